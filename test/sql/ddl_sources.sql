-- DDL on sources: followed where meaning is kept, recomputed where it changes,
-- refused only where something else stands against it.
CREATE SCHEMA ds;
SET search_path = ds;
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
CREATE VIEW state AS
SELECT relid, differential AS diff, needs_reinit AS reinit, reinit_reason
FROM pgtrickle.pgt_stream_tables ORDER BY pgt_id;
CREATE VIEW last AS
SELECT DISTINCT ON (pgt_id) s.relid, h.action, h.fallback_reason
FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
ORDER BY pgt_id, refresh_id DESC;
CREATE FUNCTION refresh() RETURNS SETOF last LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.refresh_stream_table(relid::text)
    FROM (SELECT relid FROM pgtrickle.pgt_stream_tables ORDER BY pgt_id) t;
    RETURN QUERY SELECT * FROM last;
END $$;

CREATE TABLE src (id int PRIMARY KEY, g int NOT NULL, v varchar(5), n int, unused int);
INSERT INTO src SELECT i, i % 2, 'v' || i, i, i FROM generate_series(1, 4) i;
SELECT pgtrickle.create_stream_table('r', 'SELECT id, v, n FROM src WHERE n > 1', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');

-- renames are followed without a word
ALTER TABLE src RENAME TO source;
ALTER TABLE source RENAME COLUMN n TO number;
ALTER TABLE source RENAME CONSTRAINT src_pkey TO pk;
CREATE SCHEMA ds2;
ALTER TABLE source SET SCHEMA ds2;
INSERT INTO ds2.source VALUES (5, 1, 'v5', 5, 5);
UPDATE ds2.source SET number = 20 WHERE id = 2;
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, number AS n FROM ds2.source WHERE number > 1'),
    check_st('a', 'SELECT g, sum(number) AS s, max(number) AS m FROM ds2.source GROUP BY g');
ALTER TABLE ds2.source SET SCHEMA ds;
DROP SCHEMA ds2;
ALTER TABLE source RENAME TO src;
ALTER TABLE src RENAME COLUMN number TO n;

-- what no definition uses does not matter
ALTER TABLE src ADD COLUMN extra text DEFAULT 'x';
ALTER TABLE src ALTER COLUMN unused TYPE bigint;
ALTER TABLE src DROP COLUMN unused;
ALTER TABLE src ALTER COLUMN n SET DEFAULT 7;
ALTER TABLE src ADD CHECK (id > 0);
CREATE INDEX ON src (g);
COMMENT ON TABLE src IS 'x';
ALTER TABLE src SET (fillfactor = 50);
INSERT INTO src VALUES (6, 0, 'v6', 6);
SELECT * FROM state;
SELECT * FROM refresh();

-- rewrites of the source move rows but change none
VACUUM FULL src;
CLUSTER src USING pk;
UPDATE src SET n = n + 1 WHERE id = 6;
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, n FROM src WHERE n > 1'),
    check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');
TRUNCATE src;
INSERT INTO src SELECT i, i % 2, 'v' || i, i FROM generate_series(1, 4) i;
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, n FROM src WHERE n > 1'),
    check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');

-- the type of a column in use: stream table and state follow
GRANT SELECT ON r TO PUBLIC;
CREATE INDEX r_v ON r (v);
ALTER TABLE src ALTER COLUMN n TYPE numeric(10,2) USING n + 0.25, ALTER COLUMN v TYPE text;
\d r
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'a'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT * FROM state;
INSERT INTO src VALUES (7, 1, 'longer than 5', 7);
SELECT * FROM refresh();
INSERT INTO src VALUES (8, 1, 'v8', 8.5);
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, n FROM src WHERE n > 1'),
    check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');
-- a view of the user's on the stream table stands against it: an error, nothing changed
CREATE VIEW on_r AS SELECT n FROM r;
\set VERBOSITY terse
ALTER TABLE src ALTER COLUMN n TYPE float8;
\set VERBOSITY default
DROP VIEW on_r;
-- a query that is not valid any more
ALTER TABLE src ALTER COLUMN n TYPE text;
-- in subtransactions and after errors
BEGIN;
SAVEPOINT s;
ALTER TABLE src ALTER COLUMN n TYPE int;
ROLLBACK TO s;
SAVEPOINT s;
ALTER TABLE src ALTER COLUMN v TYPE int USING 1/0;
ROLLBACK TO s;
SELECT count(*) FROM state WHERE reinit;
ALTER TABLE src ALTER COLUMN n TYPE float8;
COMMIT;
SELECT relid, reinit FROM state;
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, n FROM src WHERE n > 1'),
    check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');
-- refused when asked to
SET pg_trickle.block_source_ddl = on;
ALTER TABLE src ALTER COLUMN n TYPE int;
ALTER TABLE src RENAME COLUMN n TO m;
ALTER TABLE src DROP COLUMN n CASCADE;
ALTER TABLE src ADD COLUMN still_fine int, ALTER COLUMN extra TYPE varchar(10);
RESET pg_trickle.block_source_ddl;

-- capture cannot be switched off behind our back
ALTER TABLE src DISABLE TRIGGER ALL;
ALTER TABLE src ENABLE TRIGGER USER;
DO $$ DECLARE t name;
BEGIN
    FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'src'::regclass AND NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON src', t);
    END LOOP;
END $$;
SELECT count(*), array_agg(DISTINCT tgenabled) FROM pg_trigger WHERE tgrelid = 'src'::regclass AND NOT tgisinternal;
INSERT INTO src VALUES (9, 1, 'v9', 9);
SELECT * FROM refresh();

-- a key that the definition rested on
ALTER TABLE src DROP CONSTRAINT pk;
INSERT INTO src VALUES (9, 1, 'v9', 9);
SELECT * FROM refresh();
SELECT check_st('r', 'SELECT id, v, n FROM src WHERE n > 1'),
    check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');
ALTER TABLE src ALTER COLUMN g DROP NOT NULL;
INSERT INTO src VALUES (10, NULL, 'v10', 10);
SELECT * FROM refresh();
SELECT check_st('a', 'SELECT g, sum(n) AS s, max(n) AS m FROM src GROUP BY g');

-- row security counts, although a superuser does not notice
ALTER TABLE src ENABLE ROW LEVEL SECURITY;
SELECT relid, diff, reinit_reason FROM state;
ALTER TABLE src DISABLE ROW LEVEL SECURITY;
SELECT * FROM refresh();
-- generated columns
CREATE TABLE gen (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO gen VALUES (1, 1), (2, 2);
SELECT pgtrickle.create_stream_table('gst', 'SELECT b, count(*) AS c FROM gen GROUP BY b');
INSERT INTO gen VALUES (3, 1);
UPDATE gen SET a = 5 WHERE id = 2;
SELECT pgtrickle.refresh_stream_table('gst');
SELECT * FROM gst ORDER BY b;

-- a source that a crash would empty gets a buffer that it would empty, too
ALTER TABLE gen SET UNLOGGED;
INSERT INTO gen VALUES (4, 1);
SELECT unlogged FROM pgtrickle.pgt_change_sources WHERE relid = 'gen'::regclass;
SELECT relpersistence FROM pg_class WHERE oid = (SELECT segment0 FROM pgtrickle.pgt_change_sources WHERE relid = 'gen'::regclass);
SELECT pgtrickle.refresh_stream_table('gst');
SELECT * FROM gst ORDER BY b;
-- columns that were captured once
SELECT pgtrickle.create_stream_table('short', 'SELECT a FROM gen');
SELECT pgtrickle.drop_stream_table('gst');
ALTER TABLE gen DROP COLUMN b;
INSERT INTO gen VALUES (5, 5);
UPDATE gen SET a = 7 WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('short');
SELECT check_st('short', 'SELECT a FROM gen');
-- a partition is altered with its parent
CREATE TABLE whole (k int, c int) PARTITION BY LIST (k);
CREATE TABLE part PARTITION OF whole DEFAULT;
INSERT INTO whole VALUES (1, 1);
SELECT pgtrickle.create_stream_table('images', 'SELECT part::text AS image FROM part');
ALTER TABLE whole ADD COLUMN z int DEFAULT 5;
SELECT pgtrickle.refresh_stream_table('images');
TABLE images;

-- rows as a whole show the names of columns
CREATE TABLE doc (id int PRIMARY KEY, n int);
CREATE VIEW doc_view AS SELECT id, to_jsonb(d) AS j FROM doc d;
INSERT INTO doc VALUES (1, 1), (2, 2);
SELECT pgtrickle.create_stream_table('image', 'SELECT id, j FROM doc_view WHERE id > 0', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('image_full', 'SELECT row_to_json(doc)::text AS j FROM doc', refresh_mode => 'FULL');
SELECT pgtrickle.create_stream_table('parts', 'SELECT id, n FROM doc');
ALTER TABLE doc RENAME COLUMN n TO m;
DELETE FROM doc WHERE id = 2;
SELECT pgtrickle.refresh_stream_table(st) FROM unnest('{image,image_full,parts}'::text[]) st;
SELECT check_st('image', 'SELECT id, j FROM doc_view'), check_st('image_full', 'SELECT row_to_json(doc)::text AS j FROM doc'),
    check_st('parts', 'SELECT id, m AS n FROM doc');
SELECT * FROM last WHERE relid IN ('image'::regclass, 'image_full'::regclass, 'parts'::regclass);
-- a column that is dropped is none of a row any more
CREATE TABLE fields (id int PRIMARY KEY, a int, b int);
INSERT INTO fields VALUES (1, 1, 1), (2, 2, NULL), (3, NULL, NULL);
SELECT pgtrickle.create_stream_table('field_image', 'SELECT id, to_jsonb(f) AS j, f::text AS t FROM fields f', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('field_nulls', 'SELECT f IS NOT NULL AS k, count(*) AS n FROM fields f GROUP BY 1', refresh_mode => 'DIFFERENTIAL');
ALTER TABLE fields DROP COLUMN b;
UPDATE fields SET a = 9 WHERE id = 1;
SELECT pgtrickle.refresh_stream_table(st) FROM unnest('{field_image,field_nulls}'::text[]) st;
SELECT check_st('field_image', 'SELECT id, to_jsonb(f) AS j, f::text AS t FROM fields f'), check_st('field_nulls', 'SELECT f IS NOT NULL AS k, count(*) AS n FROM fields f GROUP BY 1');
INSERT INTO fields VALUES (4, 4), (5, NULL);
SELECT pgtrickle.refresh_stream_table(st) FROM unnest('{field_image,field_nulls}'::text[]) st;
SELECT check_st('field_image', 'SELECT id, to_jsonb(f) AS j, f::text AS t FROM fields f'), check_st('field_nulls', 'SELECT f IS NOT NULL AS k, count(*) AS n FROM fields f GROUP BY 1');
SELECT * FROM last WHERE relid IN ('field_image'::regclass, 'field_nulls'::regclass);
-- the names of a view's columns, too
CREATE VIEW field_view AS SELECT id, a FROM fields;
SELECT pgtrickle.create_stream_table('view_image', 'SELECT to_jsonb(v) AS j FROM field_view v', refresh_mode => 'DIFFERENTIAL');
ALTER VIEW field_view RENAME COLUMN a TO z;
SELECT pgtrickle.refresh_stream_table('view_image');
SELECT check_st('view_image', 'SELECT to_jsonb(v) AS j FROM field_view v');

SET client_min_messages = warning;
DROP SCHEMA ds CASCADE;
