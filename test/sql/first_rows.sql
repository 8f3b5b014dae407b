-- ORDER BY with LIMIT, OFFSET, WITH TIES: changes are merged into the stored rows.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\set rounds :abs_srcdir '/sql/include/rounds.sql'
SET client_min_messages = warning;
CREATE SCHEMA pgt_first;
SET search_path = pgt_first, public;
\i :oracle
\i :rounds

-- Is the query run again? Its own function tells: it is called for each row that is read.
CREATE TABLE s (id int PRIMARY KEY, v int, w text COLLATE "C");
INSERT INTO s SELECT i, i * 10, 'w' || i FROM generate_series(1, 20) i;
CREATE SEQUENCE reads;
CREATE FUNCTION seen(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM nextval('pgt_first.reads'); RETURN i; END $$;
SELECT pgtrickle.create_stream_table('top', 'SELECT id, seen(v) AS v FROM s ORDER BY v DESC, id LIMIT 3', NULL, 'DIFFERENTIAL');
-- what a change costs: calls for its own rows, or for all
CREATE FUNCTION try(change text, st text DEFAULT 'top') RETURNS TABLE (action text, again boolean, ins bigint, del bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    EXECUTE change;
    PERFORM setval('reads', 1);
    PERFORM pgtrickle.refresh_stream_table(st);
    again := (SELECT last_value > 12 FROM reads);
    SELECT h.action, rows_inserted, rows_deleted INTO r FROM pgtrickle.get_refresh_history(st, 1) h;
    action := r.action; ins := r.rows_inserted; del := r.rows_deleted;
    wrong := check_st(st::regclass, (SELECT value FROM pgtrickle.explain_st(st) WHERE property = 'defining query'), true);
    RETURN NEXT;
END $$;
SELECT * FROM top ORDER BY v DESC;
-- behind the last row; among the rows; at its place, by the second column
SELECT * FROM try('INSERT INTO s VALUES (21, 5), (22, 170)');
SELECT * FROM try('INSERT INTO s VALUES (23, 195)');
SELECT * FROM try('INSERT INTO s VALUES (0, 190)');
SELECT * FROM top ORDER BY v DESC, id;
-- a kept row moves among the kept ones, another one leaves for one that comes
SELECT * FROM try('UPDATE s SET v = 199 WHERE id = 0');
SELECT * FROM try('DELETE FROM s WHERE id = 0; INSERT INTO s VALUES (24, 300)');
-- rows behind go
SELECT * FROM try('DELETE FROM s WHERE id IN (1, 21)');
-- a kept row goes, or falls behind: the query is run again
SELECT * FROM try('DELETE FROM s WHERE id = 24');
SELECT * FROM try('UPDATE s SET v = 1 WHERE id = 20');
SELECT * FROM top ORDER BY v DESC, id;
-- NULLS FIRST is what DESC means
SELECT * FROM try('INSERT INTO s VALUES (30, NULL)');
SELECT * FROM top ORDER BY v DESC, id;
-- as long as rows are missing, all there are are known
SELECT * FROM try('DELETE FROM s WHERE id NOT IN (5, 6, 7)');
SELECT * FROM try('DELETE FROM s WHERE id = 5');
SELECT * FROM try('INSERT INTO s VALUES (40, 1), (41, 2), (42, 3), (43, 4)');
SELECT * FROM top ORDER BY v DESC, id;
SELECT * FROM try('TRUNCATE s');
SELECT * FROM try('INSERT INTO s SELECT i, i * 10, ''w'' || i FROM generate_series(1, 20) i');

-- rows that are equal in the order stay when more of them come
SELECT pgtrickle.create_stream_table('ties', 'SELECT id, v / 100 AS v FROM s ORDER BY v / 100 LIMIT 4', NULL, 'DIFFERENTIAL');
CREATE TEMP TABLE before AS SELECT * FROM ties;
INSERT INTO s SELECT i, 1 FROM generate_series(50, 90) i;
SELECT pgtrickle.refresh_stream_table('ties');
SELECT count(*) FROM before JOIN ties USING (id);
DELETE FROM s WHERE id >= 50 AND id NOT IN (SELECT id FROM ties);
SELECT pgtrickle.refresh_stream_table('ties');
SELECT count(*) FROM before JOIN ties USING (id);
SELECT action, rows_inserted, rows_deleted FROM pgtrickle.get_refresh_history('ties', 3);

-- collation and direction decide, and what is not shown does, too
SELECT pgtrickle.create_stream_table('words', 'SELECT id FROM s ORDER BY w NULLS FIRST, id DESC LIMIT 2 OFFSET 1', NULL, 'DIFFERENTIAL');
SELECT * FROM try('INSERT INTO s VALUES (95, 0, ''W''), (96, 0, ''é''), (97, 0, NULL)', 'words');
SELECT * FROM try('DELETE FROM s WHERE id = 97', 'words');
SELECT property, regexp_replace(value, 'stage_\d+_', 'stage_N_') AS value FROM pgtrickle.explain_st('words') WHERE property LIKE 'stage%';
SELECT pgtrickle.create_stream_table('none', 'SELECT id FROM s ORDER BY id LIMIT 0', NULL, 'DIFFERENTIAL');
SELECT * FROM try('DELETE FROM s WHERE id < 3', 'none');
SELECT pgtrickle.create_stream_table('huge', 'SELECT id FROM s ORDER BY id LIMIT 9223372036854775807 OFFSET 1', NULL, 'DIFFERENTIAL');
SELECT * FROM try('DELETE FROM s WHERE id < 5', 'huge');

-- ORDER BY alone orders nothing that a table could show
RESET client_min_messages;
SELECT pgtrickle.create_stream_table('o1', 'SELECT id FROM s ORDER BY v', NULL, 'DIFFERENTIAL');
CREATE VIEW sv AS SELECT id, v FROM s ORDER BY v;
SELECT pgtrickle.create_stream_table('o2', 'SELECT id FROM sv', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('o3', 'WITH c AS (SELECT id, v FROM s ORDER BY v) SELECT c.id, q.v FROM c JOIN (SELECT id, v FROM s ORDER BY w) q USING (id)', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('o4', 'SELECT id FROM s WHERE v > 50 UNION ALL SELECT v FROM s ORDER BY 1 DESC', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('o5', 'SELECT w, count(*) AS n FROM s GROUP BY w ORDER BY count(*) DESC, w', NULL, 'FULL');
SET client_min_messages = warning;
UPDATE s SET v = v + 7;
SELECT st, (SELECT wrong FROM try('SELECT', st)) FROM (VALUES ('o1'), ('o2'), ('o3'), ('o4'), ('o5')) x(st);

-- LIMIT inside other things
COPY queries FROM stdin (DELIMITER '|');
a_plain|SELECT id, v, b FROM t ORDER BY v, id LIMIT 5
a_desc|SELECT id, v, b FROM t ORDER BY v DESC, b COLLATE "C" DESC NULLS LAST, id LIMIT 5
a_offset|SELECT id, f FROM t ORDER BY f, id LIMIT 4 OFFSET 3
a_ties|SELECT v, id FROM t ORDER BY v FETCH FIRST 3 ROWS WITH TIES
a_tieoff|SELECT v FROM t ORDER BY v NULLS FIRST OFFSET 2 FETCH NEXT 3 ROWS WITH TIES
b_dups|SELECT a, x FROM u ORDER BY a, x LIMIT 6
b_dupoff|SELECT a, x FROM u ORDER BY a DESC, x LIMIT 6 OFFSET 2
b_dupties|SELECT a FROM u ORDER BY a OFFSET 1 FETCH FIRST 4 ROWS WITH TIES
c_hidden|SELECT b FROM t ORDER BY v, id LIMIT 4
c_expr|SELECT id * 2 AS d, upper(b) AS b FROM t ORDER BY coalesce(v, 3) * id, id LIMIT 5
d_agg|SELECT a, sum(v) AS s, count(*) AS n FROM t GROUP BY a ORDER BY sum(v) DESC NULLS LAST, a LIMIT 2
d_aggoff|SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY 2, 1 LIMIT 2 OFFSET 1
d_distinct|SELECT DISTINCT a, b FROM t ORDER BY a, b LIMIT 4
e_join|SELECT q.id, u.x FROM (SELECT id, a FROM t ORDER BY v, id LIMIT 5) q JOIN u ON u.a = q.a
e_left|SELECT u.a, u.x, q.id FROM u LEFT JOIN (SELECT id, a FROM t ORDER BY v DESC, id LIMIT 5 OFFSET 1) q ON u.a = q.a
e_over|SELECT t.id, u.x FROM t JOIN u ON u.a = t.a ORDER BY u.x, t.id LIMIT 7
e_self|WITH c AS (SELECT id, a, v FROM t ORDER BY v, id LIMIT 6) SELECT x.id AS x, y.id AS y FROM c x JOIN c y ON x.a = y.a
e_in|SELECT a, x FROM u WHERE a IN (SELECT a FROM t ORDER BY v, id LIMIT 3)
e_agg|SELECT a, count(*) AS n, max(v) AS m FROM (SELECT a, v FROM t ORDER BY f, id LIMIT 6) q GROUP BY a
f_window|SELECT id, r FROM (SELECT id, v, rank() OVER (PARTITION BY a ORDER BY id) AS r FROM t) q ORDER BY r DESC, id LIMIT 4
f_limwin|SELECT id, sum(v) OVER (ORDER BY id) AS s FROM (SELECT id, v FROM t ORDER BY v, id LIMIT 6) q
g_lateral|SELECT u.a, u.x, q.id FROM u, LATERAL (SELECT id FROM t WHERE t.a = u.a ORDER BY t.v DESC, t.id LIMIT 2 OFFSET 1) q
g_latties|SELECT u.a, q.v FROM u LEFT JOIN LATERAL (SELECT t.v FROM t WHERE t.a = u.a ORDER BY t.v FETCH FIRST 2 ROWS WITH TIES) q ON true
h_union|(SELECT a, v FROM t ORDER BY v, a LIMIT 3) UNION ALL (SELECT a, x FROM u ORDER BY x DESC, a LIMIT 3)
h_unionlim|SELECT a, v FROM t UNION ALL SELECT a, x FROM u ORDER BY 1, 2 LIMIT 7 OFFSET 2
h_nested|SELECT id, v FROM (SELECT id, v FROM t ORDER BY v DESC, id LIMIT 9) q ORDER BY v, id LIMIT 4
i_offset|SELECT id FROM t ORDER BY v, id OFFSET 4
i_offdup|SELECT a, x FROM u ORDER BY x DESC, a OFFSET 3
i_offhidden|SELECT b FROM t ORDER BY v DESC, id OFFSET 2
i_offties|SELECT id, b FROM t ORDER BY v NULLS FIRST, id OFFSET 5
i_offagg|SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY count(*), a OFFSET 1
i_offnum|SELECT id, f FROM t ORDER BY f, id OFFSET 3
i_offin|SELECT u.a, q.id FROM u LEFT JOIN (SELECT id, a FROM t ORDER BY v, id OFFSET 2) q ON q.a = u.x
i_offunion|SELECT a, v FROM t UNION ALL SELECT a, x FROM u ORDER BY 1, 2 OFFSET 4
i_offrows|SELECT id, generate_series(1, v) AS g FROM t ORDER BY id, 2 OFFSET 3
i_offzero|SELECT id FROM t ORDER BY v OFFSET 0
i_null|SELECT a, x FROM u ORDER BY a LIMIT NULL
i_expr|SELECT id FROM t ORDER BY id LIMIT length('four') OFFSET 1 + 1
\.
SELECT setseed(0.31);
CALL rounds(25);
SELECT * FROM results WHERE wrong > 0;
SELECT name, count(*) FROM results WHERE action = 'DIFFERENTIAL' GROUP BY name HAVING count(*) < 8;

SELECT property, regexp_replace(value, 'stage_\d+_', 'stage_N_') AS value FROM queries, pgtrickle.explain_st('st_' || name)
 WHERE name ~ '^i_off' AND property LIKE 'stage%' AND value LIKE '%recomputed as a whole%';

DROP SCHEMA pgt_first CASCADE;
