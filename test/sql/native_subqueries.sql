-- Subqueries that no rule for joins takes: computed as they are written, for the rows that a change reaches.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\set rounds :abs_srcdir '/sql/include/rounds.sql'
SET client_min_messages = warning;
CREATE SCHEMA pgt_nat;
SET search_path = pgt_nat, public;
\i :oracle
\i :rounds
COPY queries FROM stdin (DELIMITER '|');
ineq|SELECT id, (SELECT count(*) FROM u WHERE u.x < t.v) AS n FROM t
ineq2|SELECT id, (SELECT max(x) FROM u WHERE u.a = t.a AND u.x < t.v) AS n FROM t
arr|SELECT id, ARRAY(SELECT x FROM u WHERE u.a = t.a ORDER BY x, s) AS xs FROM t
arr0|SELECT id, ARRAY(SELECT x FROM u ORDER BY x, s) AS xs FROM t
wh|SELECT id FROM t WHERE v > (SELECT avg(u.x) FROM u WHERE u.a = t.a AND u.x <= t.v)
notin|SELECT id FROM t WHERE (a, b) NOT IN (SELECT u.a, u.s FROM u WHERE u.x <> t.v)
lat|SELECT t.id, l.n, l.m FROM t, LATERAL (SELECT count(*) n, max(u.x) m FROM u WHERE u.x > t.v) l
latl|SELECT t.id, l.x FROM t LEFT JOIN LATERAL (SELECT u.x + t.v AS x FROM u WHERE u.a = t.a AND u.x <> t.v ORDER BY u.x, u.s LIMIT 2) l ON l.x > 1
latw|SELECT t.id, l.x, l.r FROM t, LATERAL (SELECT u.x, row_number() OVER (ORDER BY u.x, u.s) r FROM u WHERE u.x >= t.v) l WHERE l.r < 3
agg|SELECT a, sum((SELECT count(*) FROM u WHERE u.x < t.v)) AS n FROM t GROUP BY a
latagg|SELECT l.n, count(*) AS c FROM t, LATERAL (SELECT count(*) n FROM u WHERE u.x < t.v) l GROUP BY l.n
two|SELECT t.id, (SELECT count(*) FROM u WHERE u.x < t.v) n, (SELECT min(t2.id) FROM t t2 WHERE t2.v > t.v) m FROM t
join|SELECT t.id, u.s, (SELECT count(*) FROM t t2 WHERE t2.a = u.a AND t2.v < t.v) n FROM t JOIN u USING (a)
win|SELECT id, rank() OVER (PARTITION BY a ORDER BY (SELECT count(*) FROM u WHERE u.x < t.v)) r FROM t
oj|SELECT t.id, u.s, (SELECT count(*) FROM t t2 WHERE t2.v < u.x) n FROM t LEFT JOIN u ON u.a = t.a
sub|SELECT q.id, q.n FROM (SELECT id, (SELECT count(*) FROM u WHERE u.x < t.v) AS n FROM t) q WHERE q.n > 1
deep|SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE u.a = t.a AND u.x < (SELECT count(*) FROM t t2 WHERE t2.a = u.a AND t2.v < t.v))
case|SELECT id, CASE WHEN v > 2 THEN (SELECT string_agg(s, ',' ORDER BY s) FROM u WHERE u.a = t.a AND u.x < t.v) ELSE b END c FROM t
ua|SELECT id, (SELECT count(*) FROM u WHERE u.x < t.v) AS n FROM t UNION ALL SELECT x, a FROM u
alias|SELECT j.a, j.y FROM (t JOIN LATERAL (SELECT u.x AS y FROM u ORDER BY t.v, u.x, u.s LIMIT 1) l ON true) AS j WHERE j.y > 0
rec|SELECT id FROM t WHERE EXISTS (WITH RECURSIVE r(n, d) AS (SELECT a, 0 FROM u UNION ALL SELECT u.x, r.d + 1 FROM u JOIN r ON u.a = r.n WHERE r.d < 2) SEARCH DEPTH FIRST BY n SET o SELECT n FROM r WHERE n > t.v)
key|SELECT count(*) AS n, max(v) AS m FROM t GROUP BY (v = ALL (ARRAY(SELECT u.x FROM u)))
key2|SELECT a, (SELECT count(*) FROM u WHERE u.x < t.v) AS c, 1 + (SELECT count(*) FROM u WHERE u.x < t.v) AS d, count(*) AS n FROM t GROUP BY a, (SELECT count(*) FROM u WHERE u.x < t.v)
view|SELECT t.a, l.m FROM t CROSS JOIN LATERAL (SELECT sum(q.c) m FROM (SELECT u.x, count(*) c FROM u WHERE u.a = t.a GROUP BY u.x) q) l
\.

SELECT setseed(0.42);
CALL rounds(12);
SELECT * FROM results WHERE wrong > 0;
SELECT name, count(*) FROM results WHERE action = 'DIFFERENTIAL' GROUP BY name HAVING count(*) < 8;

-- printed as it is written, it could not be read
SELECT pgtrickle.create_stream_table('no', 'SELECT id FROM t WHERE EXISTS (WITH RECURSIVE r(n, d) AS (SELECT a, 0 FROM u
    UNION ALL SELECT u.x, r.d + 1 FROM u JOIN r ON u.a = r.n WHERE r.d < 2) SEARCH BREADTH FIRST BY n SET o SELECT n FROM r WHERE n > t.v)',
    NULL, 'DIFFERENTIAL');

-- what a change of the table in the subquery reaches: rows that it is equated to, or all
SELECT s, regexp_replace(value, 'stage_\d+', 'stage_n') FROM unnest('{st_ineq,st_ineq2}'::text[]) s, pgtrickle.explain_st(s)
 WHERE property = 'stage 0';

DROP SCHEMA pgt_nat CASCADE;
