-- DDL on stream tables themselves: an ordinary table in all that does not
-- touch what its query defines.
CREATE SCHEMA dt;
SET search_path = dt;
CREATE TABLE src (id int PRIMARY KEY, v text, n int);
INSERT INTO src SELECT i, 'v' || i, i FROM generate_series(1, 3) i;
SELECT pgtrickle.create_stream_table('st', 'SELECT id, v, n FROM src');
SELECT pgtrickle.create_stream_table('grp', 'SELECT v, avg(n) AS a FROM src GROUP BY v');
CREATE TABLE parent (id int, v text, n int);
CREATE TABLE parted (id int, v text, n int) PARTITION BY LIST (id);

-- refused
ALTER TABLE st ADD COLUMN x int;
ALTER TABLE st DROP COLUMN v;
ALTER TABLE st RENAME COLUMN v TO w;
\set VERBOSITY terse
ALTER TABLE st ALTER COLUMN id TYPE bigint;
ALTER TABLE st ALTER COLUMN v TYPE text COLLATE "C";
ALTER TABLE st SET UNLOGGED;
ALTER TABLE st INHERIT parent;
ALTER TABLE parted ATTACH PARTITION st DEFAULT;
CREATE TABLE child () INHERITS (st);
CREATE RULE r AS ON INSERT TO st DO NOTHING;
CREATE RULE r AS ON UPDATE TO st DO ALSO NOTIFY x;
\set VERBOSITY default
\d st

-- fine
ALTER TABLE st RENAME TO st2;
ALTER TABLE st2 ADD CONSTRAINT positive CHECK (n > 0);
ALTER TABLE st2 ALTER COLUMN v SET NOT NULL;
ALTER TABLE st2 ALTER COLUMN v SET STATISTICS 10;
ALTER TABLE st2 SET (autovacuum_enabled = off);
ALTER TABLE st2 REPLICA IDENTITY FULL;
CREATE INDEX st2_n ON st2 (n);
CREATE UNIQUE INDEX st2_v ON st2 (v);
CLUSTER st2 USING st2_n;
VACUUM FULL st2;
ANALYZE st2;
COMMENT ON COLUMN st2.n IS 'number';
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE '% %', TG_OP, coalesce(NEW.id, OLD.id); RETURN NULL; END $$;
CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON st2 FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE SCHEMA dt2;
ALTER TABLE st2 SET SCHEMA dt2;
ALTER TABLE grp SET SCHEMA dt2;
INSERT INTO src VALUES (4, 'v4', 4);
UPDATE src SET n = 10 WHERE id = 1;
DELETE FROM src WHERE id = 2;
SELECT pgtrickle.refresh_stream_table('dt2.st2');
SELECT pgtrickle.refresh_stream_table('dt2.grp');
SELECT * FROM dt2.st2 ORDER BY id;
SELECT * FROM dt2.grp ORDER BY v;
\d dt2.st2
-- a violated constraint of the user's fails the refresh, and that alone
INSERT INTO src VALUES (5, 'v5', -5);
\set VERBOSITY terse
SELECT pgtrickle.refresh_stream_table('dt2.st2');
\set VERBOSITY default
UPDATE src SET n = 5 WHERE id = 5;
SELECT pgtrickle.refresh_stream_table('dt2.st2');
SELECT count(*) FROM dt2.st2;

-- the guard stays
ALTER TABLE dt2.st2 DISABLE TRIGGER ALL;
\set VERBOSITY terse
DELETE FROM dt2.st2;
ALTER TABLE dt2.st2 DISABLE TRIGGER USER;
TRUNCATE dt2.st2;
SET session_replication_role = replica;
UPDATE dt2.st2 SET n = 1;
RESET session_replication_role;
\set VERBOSITY default
-- the index that identifies rows comes back
DROP INDEX dt2.st_id_idx;
INSERT INTO src VALUES (6, 'v6', 6);
SELECT pgtrickle.refresh_stream_table('dt2.st2');
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'dt2.st2'::regclass ORDER BY 1;
-- LIKE copies an ordinary table
CREATE TABLE copy (LIKE dt2.st2 INCLUDING ALL);
INSERT INTO copy SELECT * FROM dt2.st2;
SELECT count(*) FROM copy;
-- a column dropped with its table's definition altered by us
SELECT pgtrickle.alter_stream_table('dt2.st2', query => 'SELECT id, n, v, n * 2 AS d FROM dt.src');
SELECT * FROM dt2.st2 ORDER BY id LIMIT 1;

-- types changed together with a key that goes, while another reads the table
SELECT pgtrickle.create_stream_table('over', 'SELECT v, d FROM dt2.st2');
ALTER TABLE src DROP CONSTRAINT src_pkey, ALTER COLUMN n TYPE bigint;
SELECT pgtrickle.refresh_stream_table('dt2.st2');
SELECT pgtrickle.refresh_stream_table('over');
SELECT * FROM over ORDER BY v;
\d over
SET client_min_messages = warning;
DROP SCHEMA dt, dt2 CASCADE;
