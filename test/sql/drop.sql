-- Dropping: by our function, by plain DDL, with the source, the schema, the
-- owner, the extension; nothing stays behind.
SET client_min_messages = warning;
CREATE SCHEMA dr;
SET search_path = dr;
CREATE VIEW leftovers AS
SELECT (SELECT count(*) FROM pgtrickle.pgt_stream_tables) AS tables,
    (SELECT count(*) FROM pgtrickle.pgt_dependencies) AS deps,
    (SELECT count(*) FROM pgtrickle.pgt_stages) AS stages,
    (SELECT count(*) FROM pgtrickle.pgt_refresh_state) AS states,
    (SELECT count(*) FROM pgtrickle.pgt_change_sources) AS sources,
    (SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace) AS hidden,
    (SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE p.pronamespace = 'pgtrickle'::regnamespace AND p.proname <> 'note_restore') AS triggers;
CREATE PROCEDURE make() LANGUAGE plpgsql AS $$
BEGIN
    CREATE TABLE IF NOT EXISTS src (id int PRIMARY KEY, g int, v int);
    PERFORM pgtrickle.create_stream_table('rows', 'SELECT id, g FROM src');
    -- with a stage table
    PERFORM pgtrickle.create_stream_table('groups', 'SELECT g, avg(v) AS a, max(v) AS m FROM src GROUP BY g');
    PERFORM pgtrickle.create_stream_table('over', 'SELECT g, count(*) AS c FROM rows GROUP BY g');
END $$;

CALL make();
SELECT tables, deps, states, sources FROM leftovers;
SELECT pgtrickle.drop_stream_table('groups');
SELECT tables, deps, states, sources, stages FROM leftovers;
\set VERBOSITY terse
SELECT pgtrickle.drop_stream_table('rows');
SELECT pgtrickle.drop_stream_table('rows', false);
\set VERBOSITY default
SELECT pgtrickle.drop_stream_table('over');
SELECT pgtrickle.drop_stream_table('rows');
SELECT * FROM leftovers;

CALL make();
DROP TABLE groups, rows, over;
SELECT * FROM leftovers;

CALL make();
\set VERBOSITY terse
DROP TABLE src;
\set VERBOSITY default
DROP TABLE src CASCADE;
SELECT * FROM leftovers;

-- a column with all that needs it
CALL make();
ALTER TABLE src DROP COLUMN v CASCADE;
SELECT tables, stages FROM leftovers;
ALTER TABLE src DROP COLUMN g CASCADE;
SELECT * FROM leftovers;
DROP TABLE src;

-- a view in between, a function, a type
CALL make();
CREATE FUNCTION plus(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE VIEW v AS SELECT id, g FROM src;
SELECT pgtrickle.create_stream_table('by_view', 'SELECT id FROM v') AS st;
SELECT pgtrickle.create_stream_table('by_function', 'SELECT plus(id) AS p FROM src') AS st;
SELECT pgtrickle.create_stream_table('by_type', 'SELECT id, ''good''::mood AS mood FROM src') AS st;
DROP VIEW v CASCADE;
DROP FUNCTION plus CASCADE;
-- the column of that type goes, and takes the definition with it
DROP TYPE mood CASCADE;
SELECT to_regclass('by_view'), to_regclass('by_function'), to_regclass('by_type');
-- rolled back: all is there, and works
BEGIN;
DROP TABLE src CASCADE;
SELECT tables, sources, triggers FROM leftovers;
ROLLBACK;
INSERT INTO src VALUES (1, 1, 1);
SELECT pgtrickle.refresh_stream_table('rows');
SELECT pgtrickle.refresh_stream_table('over');
SELECT * FROM over;
-- dropped and created again in one transaction
BEGIN;
DROP TABLE groups;
SELECT pgtrickle.create_stream_table('groups', 'SELECT g, avg(v) AS a FROM src GROUP BY g') AS st;
COMMIT;
SELECT * FROM groups;
DROP TABLE src CASCADE;

-- schemas
CREATE SCHEMA dr2;
CALL make();
ALTER TABLE rows SET SCHEMA dr2;
ALTER TABLE groups SET SCHEMA dr2;
DROP SCHEMA dr2 CASCADE;
SELECT * FROM leftovers;

-- owners
CREATE ROLE regress_pgt_owner;
GRANT ALL ON SCHEMA dr TO regress_pgt_owner;
DROP TABLE src;
SET ROLE regress_pgt_owner;
CALL make();
RESET ROLE;
SELECT tables, stages FROM leftovers;
SELECT has_schema_privilege('regress_pgt_owner', 'pgtrickle_changes', 'usage');
DROP OWNED BY regress_pgt_owner;
SELECT * FROM leftovers;
SELECT has_schema_privilege('regress_pgt_owner', 'pgtrickle_changes', 'usage');
DROP ROLE regress_pgt_owner;

-- partitions go one by one, or with their root
CREATE TABLE part (id int, g int) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO part VALUES (1, 1), (2, 1), (11, 1);
SELECT pgtrickle.create_stream_table('on_part', 'SELECT g, count(*) AS c FROM part GROUP BY g') AS st;
DROP TABLE part2;
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part;
CREATE SCHEMA dr2;
CREATE TABLE dr2.part3 PARTITION OF part FOR VALUES FROM (20) TO (30);
INSERT INTO part VALUES (21, 1);
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part;
DROP SCHEMA dr2 CASCADE;
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part;
DROP TABLE part CASCADE;
SELECT * FROM leftovers;

-- the extension
CALL make();
\set VERBOSITY terse
DROP EXTENSION pg_trickle;
\set VERBOSITY default
DROP VIEW leftovers;
DROP EXTENSION pg_trickle CASCADE;
SELECT to_regclass('rows'), to_regnamespace('pgtrickle'), to_regnamespace('pgtrickle_changes');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'src'::regclass;
SELECT count(*) FROM pg_event_trigger;
INSERT INTO src VALUES (1, 1, 1);
CREATE EXTENSION pg_trickle;
-- in the session that knew the former one
CALL make();
SELECT * FROM over;
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
DROP SCHEMA dr CASCADE;
