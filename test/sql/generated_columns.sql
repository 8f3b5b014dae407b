-- Generated columns of sources: stored ones, and virtual ones from 18 on
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;
-- virtual ones do not exist before 18: stored ones stand in for them there
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind \gset
\set ECHO none
CREATE TABLE gc (gone int, id int PRIMARY KEY, a int, b text,
                 s int GENERATED ALWAYS AS (a * 2) STORED,
                 v int GENERATED ALWAYS AS (a + 100) :kind,
                 w text GENERATED ALWAYS AS (upper(b)) :kind,
                 n int GENERATED ALWAYS AS (coalesce(a, -1)) :kind);
CREATE TABLE gc_bag (a int, v int GENERATED ALWAYS AS (a % 3) :kind);
CREATE TABLE gc_part (k int, a int, v int GENERATED ALWAYS AS (a * a) :kind, s int GENERATED ALWAYS AS (a + k) STORED) PARTITION BY LIST (k);
\set ECHO all
ALTER TABLE gc DROP COLUMN gone;
CREATE TABLE gc_part1 PARTITION OF gc_part FOR VALUES IN (1);
CREATE TABLE gc_part2 PARTITION OF gc_part FOR VALUES IN (2);
CREATE TABLE gc_cases (name text, query text);
INSERT INTO gc_cases VALUES
    ('gc_all', 'SELECT id, s, v, w, n FROM gc'),
    ('gc_only', 'SELECT v FROM gc'),
    ('gc_where', 'SELECT id FROM gc WHERE v > 103 AND w IS NOT NULL'),
    ('gc_group', 'SELECT v, count(*) AS c, sum(s) AS s, max(w) AS w FROM gc GROUP BY v'),
    ('gc_join', 'SELECT g.id, h.id AS other FROM gc g JOIN gc h ON g.v = h.s + 100'),
    ('gc_left', 'SELECT g.id, h.v, h.n FROM gc g LEFT JOIN gc h ON h.id = g.id + 1 AND h.v > 101'),
    ('gc_row', 'SELECT id, g AS whole FROM gc g'),
    ('gc_dups', 'SELECT v, a FROM gc_bag'),
    ('gc_distinct', 'SELECT DISTINCT v FROM gc_bag'),
    ('gc_exists', 'SELECT id FROM gc g WHERE EXISTS (SELECT FROM gc_bag b WHERE b.v = g.v - 101)'),
    ('gc_window', 'SELECT id, v, rank() OVER (PARTITION BY w ORDER BY v) AS r FROM gc'),
    ('gc_parts', 'SELECT k, sum(v) AS v, sum(s) AS s FROM gc_part GROUP BY k'),
    ('gc_leaf', 'SELECT a, v, s FROM gc_part1');
CREATE FUNCTION gc_check() RETURNS TABLE (st text, differ bigint, action text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.refresh_stream_table(name) FROM gc_cases;
    RETURN QUERY SELECT name, check_st(name::regclass, query, true),
               (SELECT h.action FROM pgtrickle.get_refresh_history(name, 1) h)
          FROM gc_cases WHERE check_st(name::regclass, query, true) <> 0;
END $$;
INSERT INTO gc (id, a, b) VALUES (1, 1, 'x'), (2, 2, 'y'), (3, NULL, NULL);
INSERT INTO gc_bag (a) VALUES (1), (1), (2), (NULL);
INSERT INTO gc_part (k, a) VALUES (1, 1), (2, 2);
SELECT name, pgtrickle.create_stream_table(name, query, NULL, 'DIFFERENTIAL') FROM gc_cases;
SELECT * FROM gc_check();
INSERT INTO gc (id, a, b) VALUES (4, 4, 'x'), (5, 2, 'z');
UPDATE gc SET a = a + 1 WHERE id IN (1, 2);
UPDATE gc SET b = 'new' WHERE id = 3;
INSERT INTO gc_bag (a) VALUES (4), (5);
DELETE FROM gc_bag WHERE a = 1;
UPDATE gc_part SET a = a + 10;
UPDATE gc_part SET k = 3 - k;
SELECT * FROM gc_check();
-- columns that they are made of, and that nothing else uses
UPDATE gc SET a = NULL WHERE id = 4;
DELETE FROM gc WHERE id = 5;
UPDATE gc SET id = 9 WHERE id = 2;
UPDATE gc_bag SET a = 7 WHERE a = 4;
SELECT * FROM gc_check();
-- none of them recomputed
SELECT s.relid, h.action FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
 WHERE s.relid IN (SELECT name::regclass FROM gc_cases) AND h.initiated_by = 'MANUAL' AND h.action <> 'DIFFERENTIAL';
-- row triggers see them, too
SET pg_trickle.cdc_trigger_mode = row;
SELECT pgtrickle.rebuild_cdc_triggers() LIKE '% 0 failed' AS rebuilt;
UPDATE gc SET a = 50 WHERE id = 1;
UPDATE gc_part SET a = a + 1 WHERE k = 1;
DELETE FROM gc WHERE id = 3;
SELECT * FROM gc_check();
RESET pg_trickle.cdc_trigger_mode;
SELECT pgtrickle.rebuild_cdc_triggers() LIKE '% 0 failed' AS rebuilt;
TRUNCATE gc_bag;
INSERT INTO gc_bag (a) VALUES (2);
SELECT * FROM gc_check();
-- another expression, over other columns (17 and later; before, the columns are made anew), of partitions, too
\set ECHO none
SELECT current_setting('server_version_num')::int >= 170000 AS can_set \gset
\if :can_set
ALTER TABLE gc_part ALTER v SET EXPRESSION AS (k + 1000), ALTER s SET EXPRESSION AS (a - k);
ALTER TABLE gc_bag ALTER v SET EXPRESSION AS (a % 5);
\endif
SELECT current_setting('server_version_num')::int >= 180000 AS has_virtual \gset
\if :has_virtual
ALTER TABLE gc ALTER n SET EXPRESSION AS (length(b)), ALTER v SET EXPRESSION AS (id);
\endif
\set ECHO all
SELECT * FROM gc_check();
UPDATE gc SET b = b || 'more' WHERE id = 4;
UPDATE gc_part SET k = 3 - k;
UPDATE gc_bag SET a = a + 4;
INSERT INTO gc (id, a, b) VALUES (20, 1, 'long');
SELECT * FROM gc_check();
-- one that cannot be computed for a row, which the query does not ask for
\set ECHO none
CREATE TABLE gc_error (id int PRIMARY KEY, a int);
\if :has_virtual
ALTER TABLE gc_error ADD v int GENERATED ALWAYS AS (100 / a) VIRTUAL;
\else
ALTER TABLE gc_error ADD v int GENERATED ALWAYS AS (100 / nullif(a, 0)) STORED;
\endif
\set ECHO all
INSERT INTO gc_error VALUES (1, 1);
SELECT pgtrickle.create_stream_table('gc_errors', 'SELECT id, CASE WHEN a = 0 THEN 0 ELSE v END AS c FROM gc_error', NULL);
INSERT INTO gc_error VALUES (2, 0);
SET client_min_messages = error;
SELECT pgtrickle.refresh_stream_table('gc_errors');
SET client_min_messages = warning;
TABLE gc_errors ORDER BY id;
DELETE FROM gc_error WHERE id = 2;
INSERT INTO gc_error VALUES (3, 4);
SET client_min_messages = error;
SELECT pgtrickle.refresh_stream_table('gc_errors');
SET client_min_messages = warning;
INSERT INTO gc_error VALUES (4, 5);
SELECT pgtrickle.refresh_stream_table('gc_errors');
TABLE gc_errors ORDER BY id;
DROP TABLE gc_error CASCADE;
-- one that is computed from a system column, which images of rows do not have
\set ECHO none
CREATE TABLE gc_system (id int PRIMARY KEY);
\if :has_virtual
ALTER TABLE gc_system ADD w text GENERATED ALWAYS AS (CASE tableoid WHEN 0 THEN 'none' ELSE 'some' END) VIRTUAL;
\else
ALTER TABLE gc_system ADD w text DEFAULT 'some';
\endif
\set ECHO all
INSERT INTO gc_system (id) VALUES (1);
SELECT pgtrickle.create_stream_table('gc_systems', 'SELECT id, w FROM gc_system', NULL);
INSERT INTO gc_system (id) VALUES (2);
SELECT pgtrickle.refresh_stream_table('gc_systems');
TABLE gc_systems ORDER BY id;
DROP TABLE gc, gc_bag, gc_part, gc_system CASCADE;
DROP FUNCTION gc_check;
DROP TABLE gc_cases;
