-- Altering stream tables: options, modes, new queries in place.
CREATE SCHEMA al;
SET search_path = al, public;
CREATE TABLE src (id int PRIMARY KEY, a int, b text, c numeric);
INSERT INTO src SELECT i, i % 3, 'b' || i, i FROM generate_series(1, 6) i;
CREATE VIEW catalog AS
SELECT relid, schedule, refresh_mode AS mode, differential AS diff, status, needs_reinit AS reinit,
    reinit_reason AS reason, generation AS gen
FROM pgtrickle.pgt_stream_tables ORDER BY pgt_id;

SELECT pgtrickle.create_stream_table('st', 'SELECT id, a, b FROM src');
-- nothing given, nothing changed
SELECT pgtrickle.alter_stream_table('st');
SELECT pgtrickle.alter_stream_table('st', schedule => '2m', diamond_consistency => 'none',
    cdc_mode => 'auto', append_only => true);
SELECT schedule, diamond_consistency, cdc_mode, append_only FROM pgtrickle.pgt_stream_tables;
SELECT pgtrickle.alter_stream_table('st', schedule => 'manual', append_only => false);
SELECT * FROM catalog;

-- status
SELECT pgtrickle.alter_stream_table('st', status => 'suspended');
SELECT status FROM catalog;
SELECT pgtrickle.resume_stream_table('st');
SELECT status FROM catalog;
SELECT pgtrickle.suspend_stream_table('st');
SELECT pgtrickle.alter_stream_table('st', status => 'ACTIVE');
SELECT status FROM catalog;

-- mode: state is rebuilt when it has not been kept
SELECT pgtrickle.alter_stream_table('st', refresh_mode => 'FULL');
INSERT INTO src VALUES (7, 1, 'b7', 7);
SELECT pgtrickle.refresh_stream_table('st');
SELECT count(*) FROM st;
SELECT pgtrickle.alter_stream_table('st', refresh_mode => 'DIFFERENTIAL');
SELECT * FROM catalog;
INSERT INTO src VALUES (8, 2, 'b8', 8);
SELECT pgtrickle.refresh_stream_table('st');
INSERT INTO src VALUES (9, 0, 'b9', 9);
SELECT pgtrickle.refresh_stream_table('st');
SELECT count(*) FROM st;
SELECT action, fallback_reason FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id DESC LIMIT 2;

-- the same query in other words is no change
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT src.id, src.a, src.b FROM src');
SELECT gen FROM catalog;
-- same columns, another query: table, index, grants and dependents stay
CREATE INDEX st_b ON st (b);
GRANT SELECT ON st TO PUBLIC;
COMMENT ON TABLE st IS 'mine';
CREATE VIEW over AS SELECT b FROM st;
SELECT pgtrickle.create_stream_table('down', 'SELECT a, count(*) AS n FROM st GROUP BY a');
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, a, upper(b) AS b FROM src WHERE a > 0');
SELECT * FROM over ORDER BY b;
SELECT pgtrickle.refresh_stream_table('down');
SELECT * FROM down ORDER BY a;
SELECT obj_description('st'::regclass), relacl IS NOT NULL AS granted FROM pg_class WHERE oid = 'st'::regclass;
\d st
-- columns added at the end
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, a, b, c, c * 2 AS c2 FROM src');
SELECT * FROM st ORDER BY id LIMIT 2;
-- removed again, and one in the middle
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, a, b, c AS c2 FROM src');
SELECT * FROM st ORDER BY id LIMIT 2;
-- a dependent view stands against removing its column: an error, nothing changed
\set VERBOSITY terse
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, a FROM src');
\set VERBOSITY default
SELECT * FROM st ORDER BY id LIMIT 1;
-- and so does a stream table that reads it
DROP VIEW over;
\set VERBOSITY terse
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, c, a FROM src');
\set VERBOSITY default
SELECT pgtrickle.drop_stream_table('down');
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, c, a FROM src');
SELECT * FROM st ORDER BY id LIMIT 2;
-- another type in place
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id::bigint AS id, c::text AS c, a FROM src');
\d st
SELECT * FROM st ORDER BY id LIMIT 2;
-- another key: the unique index of the former one goes
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id % 2 AS id, c, a FROM src');
\d st
INSERT INTO src VALUES (10, 1, 'b10', 10);
SELECT pgtrickle.refresh_stream_table('st');
SELECT count(*) FROM st;
-- what cannot be maintained under DIFFERENTIAL is refused, under AUTO recorded
\set VERBOSITY terse
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, c, a FROM src OFFSET 1');
\set VERBOSITY default
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id, c, a FROM src OFFSET 1', refresh_mode => 'AUTO');
SELECT id, c, a FROM st ORDER BY a;
SELECT diff, mode, gen FROM catalog WHERE relid = 'st'::regclass;
\set VERBOSITY terse
SELECT pgtrickle.alter_stream_table('st', refresh_mode => 'DIFFERENTIAL');
\set VERBOSITY default
-- other sources: the former ones are released
CREATE TABLE src2 (a int);
INSERT INTO src2 VALUES (1), (1), (2);
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT a, count(*) AS n FROM src2 GROUP BY a');
SELECT * FROM st ORDER BY a;
SELECT source_table FROM pgtrickle.list_sources('st');
SELECT relid::regclass FROM pgtrickle.pgt_change_sources;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'src'::regclass;
-- a suspended table gets its new content, and stays suspended
SELECT pgtrickle.suspend_stream_table('st');
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT a, count(*) + 100 AS n FROM src2 GROUP BY a');
SELECT * FROM st ORDER BY a;
SELECT status FROM catalog;
-- repair says what it did
SELECT pgtrickle.repair_stream_table('st');
SELECT status FROM catalog;
-- rolled back whole
BEGIN;
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id FROM src');
ROLLBACK;
SELECT * FROM st ORDER BY a;
INSERT INTO src2 VALUES (3);
SELECT pgtrickle.refresh_stream_table('st');
SELECT * FROM st ORDER BY a;

SET client_min_messages = warning;
DROP SCHEMA al CASCADE;
