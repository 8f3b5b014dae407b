-- Sources whose changes cannot be captured: materialized views, foreign tables
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;
CREATE EXTENSION file_fdw;
RESET client_min_messages;
CREATE TABLE kc_base (id int PRIMARY KEY, g text, v int);
INSERT INTO kc_base SELECT i, 'g' || i % 3, i FROM generate_series(1, 10) i;
CREATE MATERIALIZED VIEW kc_mv AS SELECT g, v FROM kc_base;
CREATE TABLE kc_names (g text PRIMARY KEY, name text);
INSERT INTO kc_names VALUES ('g0', 'zero'), ('g1', 'one');

-- off: recomputed, or refused with the setting's name
SELECT * FROM pgtrickle.validate_query('SELECT g, v FROM kc_mv');
SELECT pgtrickle.create_stream_table('kc_later', 'SELECT g, v FROM kc_mv', NULL);
SELECT pgtrickle.create_stream_table('kc_plain', 'SELECT g, v FROM kc_mv', NULL, 'DIFFERENTIAL');

-- on: differential, and what it costs
SET pg_trickle.matview_polling = on;
SELECT * FROM pgtrickle.validate_query('SELECT g, v FROM kc_mv');
SELECT pgtrickle.create_stream_table('kc_plain', 'SELECT g, v FROM kc_mv', NULL, 'DIFFERENTIAL');
SET client_min_messages = warning;
CREATE TABLE kc_cases (name text, query text);
INSERT INTO kc_cases VALUES
    ('kc_plain', 'SELECT g, v FROM kc_mv'),
    ('kc_filter', 'SELECT v * 2 AS w FROM kc_mv WHERE v > 3'),
    ('kc_join', 'SELECT m.g, n.name, sum(m.v) s, count(*) c FROM kc_mv m JOIN kc_names n ON n.g = m.g GROUP BY 1, 2'),
    ('kc_outer', 'SELECT n.name, m.v, m FROM kc_names n FULL JOIN kc_mv m ON n.g = m.g'),
    ('kc_count', 'SELECT count(*) FROM kc_mv'),
    ('kc_self', 'SELECT a.v, b.v AS w FROM kc_mv a, kc_mv b WHERE a.v = b.v + 1 AND a.v NOT IN (SELECT v FROM kc_mv WHERE v > 6)'),
    ('kc_window', 'SELECT g, v, row_number() OVER (PARTITION BY g ORDER BY v) r FROM kc_mv'),
    ('kc_union', 'SELECT g, v FROM kc_mv UNION SELECT g, id FROM kc_base'),
    ('kc_scalar', 'SELECT n.g, (SELECT max(v) FROM kc_mv m WHERE m.g = n.g) FROM kc_names n'),
    ('kc_rec', 'WITH RECURSIVE r AS (SELECT v FROM kc_mv WHERE v = 1 UNION ALL SELECT m.v FROM r JOIN kc_mv m ON m.v = r.v + 1) SELECT * FROM r'),
    ('kc_first', 'SELECT g, v FROM kc_mv ORDER BY v DESC, g LIMIT 3');
SELECT pgtrickle.create_stream_table(name, query, NULL, 'DIFFERENTIAL') FROM kc_cases WHERE name <> 'kc_plain';
RESET client_min_messages;
-- PostgreSQL would compute these from the view itself, which may have gone on
SELECT pgtrickle.create_stream_table('kc_whole', 'WITH RECURSIVE r AS (SELECT v FROM kc_mv WHERE v = 1 UNION ALL SELECT DISTINCT m.v FROM r JOIN kc_mv m ON m.v = r.v + 1) SELECT * FROM r', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('kc_native', 'SELECT n.g, ARRAY (SELECT v FROM kc_mv m WHERE m.g > n.g ORDER BY v) a FROM kc_names n', NULL, 'DIFFERENTIAL');
-- the setting of the creation counts
RESET pg_trickle.matview_polling;

CREATE FUNCTION kc_check() RETURNS TABLE (st text, differ bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.refresh_stream_table(name) FROM kc_cases;
    RETURN QUERY SELECT name, check_st(name::regclass, query) FROM kc_cases
        WHERE check_st(name::regclass, query) <> 0;
END $$;
SELECT * FROM kc_check();
DELETE FROM kc_base WHERE id = 2;
INSERT INTO kc_base VALUES (20, 'g0', 3), (21, 'g2', 3), (22, 'g1', 11), (23, NULL, NULL), (24, NULL, NULL);
UPDATE kc_base SET v = 8 WHERE id = 5;
SELECT * FROM kc_check();
REFRESH MATERIALIZED VIEW kc_mv;
INSERT INTO kc_names VALUES ('g2', 'two');
SELECT * FROM kc_check();
SELECT * FROM kc_check();
-- in place, by DELETE and INSERT
DELETE FROM kc_base WHERE g IS NULL OR id IN (8, 20, 21);
UPDATE kc_base SET v = 77 WHERE id = 7;
REFRESH MATERIALIZED VIEW kc_mv;
CREATE UNIQUE INDEX ON kc_mv (g, v);
UPDATE kc_base SET v = 78 WHERE id = 7;
DELETE FROM kc_base WHERE id = 1;
REFRESH MATERIALIZED VIEW CONCURRENTLY kc_mv;
SELECT * FROM kc_check();
-- REFRESH and refresh in one transaction, undone
BEGIN;
DELETE FROM kc_base WHERE id > 4;
REFRESH MATERIALIZED VIEW kc_mv;
SELECT * FROM kc_check();
SELECT count(*) FROM kc_plain;
ROLLBACK;
SELECT count(*) FROM kc_plain;
SELECT * FROM kc_check();
-- only differences were written
SELECT s.relid, h.action, h.rows_inserted, h.rows_deleted, h.delta_row_count, h.fallback_reason
  FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
 WHERE s.relid IN ('kc_plain'::regclass, 'kc_join'::regclass) ORDER BY 1, refresh_id;

-- a materialized view is read only if it was refreshed since
CREATE VIEW kc_reads AS SELECT coalesce(sum(seq_scan), 0) AS reads FROM pg_stat_xact_all_tables WHERE relid = 'kc_mv'::regclass;
BEGIN;
SELECT reads AS before FROM kc_reads \gset
SELECT pgtrickle.refresh_stream_table('kc_plain');
INSERT INTO kc_names VALUES ('g3', 'three');
SELECT pgtrickle.refresh_stream_table('kc_outer');
SELECT reads - :before AS reads FROM kc_reads;
ROLLBACK;
SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'kc_plain'::regclass);
BEGIN;
SAVEPOINT s;
REFRESH MATERIALIZED VIEW kc_mv;
ROLLBACK TO s;
SELECT reads AS before FROM kc_reads \gset
SELECT pgtrickle.refresh_stream_table('kc_plain');
SELECT reads - :before AS reads FROM kc_reads;
REFRESH MATERIALIZED VIEW kc_mv;
SELECT reads AS before FROM kc_reads \gset
SELECT pgtrickle.refresh_stream_table('kc_plain');
SELECT reads - :before AS reads FROM kc_reads;
ROLLBACK;
REFRESH MATERIALIZED VIEW kc_mv;
SELECT pgtrickle.refresh_stream_table('kc_plain');
SELECT pgtrickle.refresh_stream_table('kc_plain');
SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'kc_plain'::regclass);
-- so is what is recomputed
SELECT pgtrickle.refresh_stream_table('kc_later');
BEGIN;
SELECT reads AS before FROM kc_reads \gset
SELECT pgtrickle.refresh_stream_table('kc_later');
SELECT reads - :before AS reads FROM kc_reads;
ROLLBACK;
DROP VIEW kc_reads;
SELECT source_table, cdc_mode FROM pgtrickle.list_sources('kc_later');

-- how it is shown
SELECT source_table, source_type, cdc_mode, columns_used FROM pgtrickle.list_sources('kc_join');
SELECT * FROM pgtrickle.explain_refresh_mode('kc_join');
SELECT property, regexp_replace(value, '\d+', 'N', 'g') FROM pgtrickle.explain_st('kc_join') WHERE property LIKE 'stage%';
SELECT * FROM pgtrickle.health_check() WHERE severity <> 'OK';

-- asked for later; and given up by FULL
SELECT pgtrickle.alter_stream_table('kc_later', refresh_mode => 'DIFFERENTIAL');
SET pg_trickle.matview_polling = on;
SELECT pgtrickle.alter_stream_table('kc_later', refresh_mode => 'AUTO');
RESET pg_trickle.matview_polling;
SELECT pgtrickle.refresh_stream_table('kc_later');
SELECT effective_mode FROM pgtrickle.explain_refresh_mode('kc_later');
SELECT pgtrickle.alter_stream_table('kc_later', refresh_mode => 'FULL');
SELECT pgtrickle.refresh_stream_table('kc_later');
SELECT source_table, cdc_mode FROM pgtrickle.list_sources('kc_later');
SELECT check_st('kc_later', 'SELECT g, v FROM kc_mv');
SELECT pgtrickle.alter_stream_table('kc_later', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.repair_stream_table('kc_later');
SELECT source_table, cdc_mode FROM pgtrickle.list_sources('kc_later');
DELETE FROM kc_base WHERE id = 3;
REFRESH MATERIALIZED VIEW kc_mv;
SELECT pgtrickle.refresh_stream_table('kc_later');
SELECT check_st('kc_later', 'SELECT g, v FROM kc_mv');
-- another query: the copy is another one
SELECT pgtrickle.alter_stream_table('kc_later', query => 'SELECT v FROM kc_mv');
SET pg_trickle.matview_polling = on;
SELECT pgtrickle.alter_stream_table('kc_later', query => 'SELECT v FROM kc_mv');
RESET pg_trickle.matview_polling;
SELECT check_st('kc_later', 'SELECT v FROM kc_mv');

-- names; nothing to read
ALTER MATERIALIZED VIEW kc_mv RENAME COLUMN v TO value;
ALTER MATERIALIZED VIEW kc_mv RENAME TO kc_renamed;
DELETE FROM kc_base WHERE id = 4;
REFRESH MATERIALIZED VIEW kc_renamed;
SELECT pgtrickle.refresh_stream_table('kc_plain');
SELECT check_st('kc_plain', 'SELECT g, value AS v FROM kc_renamed');
REFRESH MATERIALIZED VIEW kc_renamed WITH NO DATA;
\set VERBOSITY terse
SELECT pgtrickle.refresh_stream_table('kc_plain');
DROP MATERIALIZED VIEW kc_renamed;
\set VERBOSITY default

-- rights: SELECT on the columns is all it takes, and is asked for each time
CREATE TABLE kc_secret (a int, b int);
INSERT INTO kc_secret VALUES (1, 2);
CREATE MATERIALIZED VIEW kc_ms AS SELECT * FROM kc_secret;
CREATE ROLE kc_user;
CREATE ROLE kc_heir;
CREATE SCHEMA kc_own AUTHORIZATION kc_user;
GRANT CREATE, USAGE ON SCHEMA kc_own TO kc_heir;
GRANT USAGE ON SCHEMA pgtrickle TO kc_user;
GRANT SELECT (a) ON kc_ms TO kc_user, kc_heir;
SET ROLE kc_user;
SET pg_trickle.matview_polling = on;
SELECT pgtrickle.create_stream_table('kc_own.st', 'SELECT b FROM public.kc_ms', NULL);
SET client_min_messages = warning;
SELECT pgtrickle.create_stream_table('kc_own.st', 'SELECT a, count(*) FROM public.kc_ms GROUP BY a', NULL, 'DIFFERENTIAL');
RESET client_min_messages;
RESET pg_trickle.matview_polling;
RESET ROLE;
INSERT INTO kc_secret VALUES (1, 2), (3, 4);
REFRESH MATERIALIZED VIEW kc_ms;
SET ROLE kc_user;
SELECT pgtrickle.refresh_stream_table('kc_own.st');
SELECT * FROM kc_own.st ORDER BY a;
RESET ROLE;
REVOKE SELECT (a) ON kc_ms FROM kc_user;
SELECT pgtrickle.refresh_stream_table('kc_own.st');
ALTER TABLE kc_own.st OWNER TO kc_heir;
INSERT INTO kc_secret VALUES (9, 2);
REFRESH MATERIALIZED VIEW kc_ms;
SELECT pgtrickle.refresh_stream_table('kc_own.st');
SELECT * FROM kc_own.st ORDER BY a;
DROP TABLE kc_own.st;
DROP SCHEMA kc_own;
DROP TABLE kc_secret CASCADE;
REVOKE ALL ON SCHEMA pgtrickle FROM kc_user;
DROP ROLE kc_user, kc_heir;

-- foreign tables
SELECT current_setting('data_directory') || '/kc_far.csv' AS file \gset
COPY (VALUES (1, 'a'), (2, 'b'), (2, 'b'), (3, NULL)) TO :'file' (FORMAT csv);
CREATE SERVER kc_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE kc_far (id int, name text) SERVER kc_files OPTIONS (filename :'file', format 'csv');
SELECT pgtrickle.create_stream_table('kc_far_all', 'SELECT * FROM kc_far', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('kc_far_full', 'SELECT name FROM kc_far', NULL, 'FULL');
SET pg_trickle.foreign_table_polling = on;
SELECT pgtrickle.create_stream_table('kc_far_all', 'SELECT * FROM kc_far', NULL, 'DIFFERENTIAL');
SET client_min_messages = warning;
TRUNCATE kc_cases;
INSERT INTO kc_cases VALUES
    ('kc_far_all', 'SELECT * FROM kc_far'),
    ('kc_far_full', 'SELECT name FROM kc_far'),
    ('kc_far_join', 'SELECT n.w, count(f.id) c FROM kc_near n FULL JOIN kc_far f USING (id) GROUP BY 1'),
    ('kc_far_next', 'SELECT id FROM kc_far_all EXCEPT ALL SELECT id FROM kc_near');
CREATE TABLE kc_near (id int PRIMARY KEY, w text);
INSERT INTO kc_near VALUES (1, 'one'), (3, 'three'), (4, 'four');
SELECT pgtrickle.create_stream_table(name, query, NULL, 'DIFFERENTIAL') FROM kc_cases WHERE name IN ('kc_far_join', 'kc_far_next');
RESET client_min_messages;
RESET pg_trickle.foreign_table_polling;
SELECT * FROM kc_check();
COPY (VALUES (2, 'b'), (2, 'b'), (2, 'b'), (3, 'c'), (4, 'x')) TO :'file' (FORMAT csv);
UPDATE kc_near SET w = 'vier' WHERE id = 4;
SELECT * FROM kc_check();
BEGIN;
COPY (VALUES (2, 'b')) TO :'file' (FORMAT csv);
SELECT * FROM kc_check();
ROLLBACK;
SELECT count(*) FROM kc_far_all;
SELECT * FROM kc_check();
SELECT * FROM kc_far_all;
-- what cannot be read stays as it was
COPY (VALUES ('x')) TO :'file' (FORMAT csv);
\set VERBOSITY sqlstate
SELECT pgtrickle.refresh_stream_table('kc_far_all');
\set VERBOSITY default
SELECT * FROM kc_far_all;
COPY (VALUES (7, 'b')) TO :'file' (FORMAT csv);
SELECT * FROM kc_check();
-- DDL
ALTER FOREIGN TABLE kc_far RENAME COLUMN name TO label;
ALTER FOREIGN TABLE kc_far ALTER COLUMN id TYPE bigint;
SELECT pgtrickle.refresh_stream_table('kc_far_all');
SELECT check_st('kc_far_all', 'SELECT id, label AS name FROM kc_far');
ALTER FOREIGN TABLE kc_far DROP COLUMN label;
-- partitions that are foreign
CREATE TABLE kc_parts (k int, v text) PARTITION BY LIST (k);
CREATE TABLE kc_part1 PARTITION OF kc_parts FOR VALUES IN (1);
CREATE FOREIGN TABLE kc_part7 PARTITION OF kc_parts FOR VALUES IN (7, 8) SERVER kc_files OPTIONS (filename :'file', format 'csv');
INSERT INTO kc_parts VALUES (1, 'l');
SET pg_trickle.foreign_table_polling = on;
SELECT pgtrickle.create_stream_table('kc_parts_st', 'SELECT k, count(*) FROM kc_parts GROUP BY k', NULL, 'DIFFERENTIAL');
RESET pg_trickle.foreign_table_polling;
INSERT INTO kc_parts VALUES (1, 'm');
COPY (VALUES (7, 'b'), (8, 'c'), (7, 'd')) TO :'file' (FORMAT csv);
SELECT pgtrickle.refresh_stream_table('kc_parts_st');
SELECT check_st('kc_parts_st', 'SELECT k, count(*) FROM kc_parts GROUP BY k');

-- nothing is left over
SET client_min_messages = warning;
DROP SERVER kc_files CASCADE;
DROP TABLE kc_parts, kc_names, kc_base, kc_near CASCADE;
DROP EXTENSION file_fdw;
DROP FUNCTION kc_check;
DROP TABLE kc_cases;
SELECT relid FROM pgtrickle.pgt_stream_tables WHERE relid::text LIKE 'kc%';
SELECT count(*) FROM pgtrickle.pgt_stages s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relid);
SELECT count(*) FROM pgtrickle.pgt_change_sources s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relid);
