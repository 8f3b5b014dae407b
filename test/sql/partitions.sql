-- Windows, DISTINCT ON, ORDER BY with LIMIT by deltas: what a change touches is
-- recomputed by key, and compared with what is stored.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\set rounds :abs_srcdir '/sql/include/rounds.sql'
SET client_min_messages = warning;
CREATE SCHEMA pgt_part;
SET search_path = pgt_part, public;
\i :oracle
\i :rounds
COPY queries FROM stdin (DELIMITER '|');
rn|SELECT id, a, row_number() OVER (PARTITION BY a ORDER BY v, id) AS r FROM t
rn_nokeyout|SELECT id, row_number() OVER (PARTITION BY a ORDER BY v, id) AS r FROM t
noid|SELECT v, rank() OVER (PARTITION BY a ORDER BY v) AS r FROM t
all|SELECT id, sum(v) OVER () AS s, count(*) OVER (PARTITION BY a) c FROM t
two|SELECT id, row_number() OVER (PARTITION BY a ORDER BY id) AS r1, sum(v) OVER (PARTITION BY b) AS s2, lag(v) OVER (PARTITION BY a, b ORDER BY id) l FROM t
three|SELECT id, v + row_number() OVER (PARTITION BY a ORDER BY id) + sum(v) OVER (PARTITION BY b) + max(v) OVER (PARTITION BY v) AS r FROM t WHERE v > 0
three_joined|SELECT avg(t.v) OVER (PARTITION BY u.s ORDER BY t.id) AS o3, percent_rank() OVER (PARTITION BY t.a) AS o4, percent_rank() OVER (PARTITION BY t.b ORDER BY t.v) AS o5 FROM t, u WHERE u.x = 1
frames|SELECT id, sum(v) OVER w1 AS s1, array_agg(v) OVER w2 s2, first_value(id) OVER w3 s3, count(*) OVER (w ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) s4, nth_value(f,2) OVER w4 s5 FROM t WINDOW w AS (PARTITION BY a ORDER BY v, id), w1 AS (PARTITION BY a ORDER BY v RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING), w2 AS (PARTITION BY a ORDER BY v, id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES), w3 AS (PARTITION BY a ORDER BY v DESC NULLS LAST, id), w4 AS (PARTITION BY a ORDER BY id ROWS UNBOUNDED PRECEDING)
overagg|SELECT a, b, count(*) n, rank() OVER (PARTITION BY a ORDER BY count(*) DESC, b) r, sum(sum(v)) OVER (PARTITION BY a) s FROM t GROUP BY a, b HAVING count(*) > 1
join|SELECT t.id, u.x, u.s, dense_rank() OVER (PARTITION BY t.a ORDER BY u.x, t.id) r FROM t JOIN u ON u.a = t.a
keyless|SELECT a, x, s, count(*) OVER (PARTITION BY a, x) c FROM u
sub|SELECT a, max(r) m, count(*) c FROM (SELECT a, row_number() OVER (PARTITION BY b ORDER BY id) r FROM t) q WHERE r <= 3 GROUP BY a
dist|SELECT DISTINCT a, count(*) OVER (PARTITION BY a) c FROM t
uall|SELECT a, x, rank() OVER (PARTITION BY a ORDER BY x) r FROM (SELECT a, x FROM u UNION ALL SELECT a, v FROM t) q
expr|SELECT id, CASE WHEN row_number() OVER (PARTITION BY a % 2 ORDER BY id) = 1 THEN 'first' ELSE b END AS c FROM t
filt|SELECT id, sum(v) FILTER (WHERE b = 'a') OVER (PARTITION BY a) s, ntile(2) OVER (PARTITION BY a ORDER BY id) n, cume_dist() OVER (PARTITION BY a ORDER BY v) cd, percent_rank() OVER (PARTITION BY a ORDER BY v) pr, lead(v, 1, -1) OVER (PARTITION BY a ORDER BY v, id) le FROM t
don|SELECT DISTINCT ON (a) a, id, v FROM t ORDER BY a, v DESC NULLS LAST, id
don2|SELECT DISTINCT ON (a, b) id, v, f FROM t ORDER BY a, b, f, id
don3|SELECT DISTINCT ON (a) id, row_number() OVER (PARTITION BY b ORDER BY id) r FROM t ORDER BY a, id
lim|SELECT id, v FROM t ORDER BY v, id LIMIT 5
limoff|SELECT id, v FROM t ORDER BY v DESC NULLS LAST, id OFFSET 2 LIMIT 5
ties|SELECT v, id FROM t ORDER BY v FETCH FIRST 3 ROWS WITH TIES
limsub|SELECT q.id, u.x FROM (SELECT id, a FROM t ORDER BY v, id LIMIT 4) q JOIN u ON u.a = q.a
limagg|SELECT a, count(*) c FROM t GROUP BY a ORDER BY count(*) DESC, a LIMIT 2
limwin|SELECT id, rank() OVER (PARTITION BY a ORDER BY v) r FROM t ORDER BY rank() OVER (PARTITION BY a ORDER BY v), id LIMIT 6
limnull|SELECT id, v FROM t ORDER BY v LIMIT NULL
limzero|SELECT id, v FROM t ORDER BY v LIMIT 0
limdist|SELECT DISTINCT v FROM t ORDER BY v LIMIT 3
limunion|SELECT id, v FROM t UNION ALL SELECT x, a FROM u ORDER BY 1, 2 LIMIT 5
cte|WITH r AS (SELECT id, a, row_number() OVER (PARTITION BY a ORDER BY id) n FROM t) SELECT x.id, y.id AS nxt FROM r x JOIN r y ON x.a = y.a AND y.n = x.n + 1
winwin|SELECT id, rank() OVER (PARTITION BY r ORDER BY id) q FROM (SELECT id, row_number() OVER (PARTITION BY a ORDER BY v, id) r FROM t) x
rowt|SELECT x, lag(u) OVER (PARTITION BY a ORDER BY x, s) IS NULL AS l FROM u
lateral_top2|SELECT u.a, u.s, l.id, l.v FROM u, LATERAL (SELECT id, v FROM t WHERE t.a = u.a ORDER BY v DESC NULLS LAST, id LIMIT 2) l
lateral_topoff|SELECT u.a, l.id FROM u CROSS JOIN LATERAL (SELECT id FROM t WHERE t.a % 2 = u.a AND v > 1 ORDER BY v, id OFFSET 1 FETCH FIRST 2 ROWS WITH TIES) l
lateral_left|SELECT u.a, l.id, l.v FROM u LEFT JOIN LATERAL (SELECT id, v FROM t WHERE t.a = u.a ORDER BY v, id LIMIT 1) l ON true
lateral_leftc|SELECT u.a, l.id, l.v FROM u LEFT JOIN LATERAL (SELECT id, v FROM t WHERE t.a = u.a ORDER BY v, id LIMIT 1) l ON l.v = u.x
lateral_scal|SELECT id, (SELECT x FROM u WHERE u.a = t.a ORDER BY x, s LIMIT 1) AS x FROM t
lateral_win|SELECT u.x, l.r, l.id FROM u, LATERAL (SELECT id, row_number() OVER (ORDER BY v, id) r FROM t WHERE t.a = u.a) l
lateral_win2|SELECT u.x, l.r, l.id FROM u, LATERAL (SELECT id, rank() OVER (PARTITION BY b ORDER BY v) + count(*) OVER () r FROM t WHERE t.a = u.a) l
lateral_don|SELECT u.x, l.b, l.id FROM u, LATERAL (SELECT DISTINCT ON (b) b, id FROM t WHERE t.a = u.a ORDER BY b, v, id) l
lateral_dist|SELECT u.x, l.v FROM u, LATERAL (SELECT DISTINCT v FROM t WHERE t.a = u.a ORDER BY v LIMIT 2) l
lateral_agg|SELECT u.x, l.b, l.n FROM u, LATERAL (SELECT b, count(*) n FROM t WHERE t.a = u.a GROUP BY b ORDER BY count(*) DESC, b LIMIT 1) l
lateral_two|SELECT u.a, l.id FROM u, LATERAL (SELECT id FROM t WHERE t.a = u.a AND t.b = u.s ORDER BY v, id LIMIT 2) l
lateral_low|SELECT u.a, l.id FROM u, LATERAL (SELECT id FROM t WHERE upper(t.b) = upper(u.s) ORDER BY v, id LIMIT 2) l
lateral_uni|SELECT u.a, l.id FROM u, LATERAL (SELECT id FROM (SELECT id, a FROM t UNION ALL SELECT x, a FROM u) q WHERE q.a = u.a ORDER BY id LIMIT 2) l
lateral_inl|SELECT id FROM t WHERE v IN (SELECT x FROM u WHERE u.a = t.a ORDER BY x LIMIT 2)
limexpr|SELECT id FROM t ORDER BY -v NULLS FIRST, upper(b) DESC, f, id LIMIT 7
limmix|SELECT b, id, v + 1 AS w FROM t ORDER BY b DESC, 3 DESC NULLS FIRST, id DESC LIMIT 6
offonly|SELECT id, v FROM t ORDER BY v, id OFFSET 3
limjoin|SELECT t.id, u.x, u.s FROM t JOIN u USING (a) ORDER BY u.x, u.s, t.id LIMIT 6
tiesu|SELECT x FROM u ORDER BY x DESC FETCH FIRST 2 ROWS WITH TIES
dup|SELECT id, v AS v1, v AS v2 FROM t ORDER BY v, 3 DESC, id LIMIT 4
one|SELECT f FROM t ORDER BY f DESC LIMIT 1
\.

SELECT setseed(0.42);
CALL rounds(12);
SELECT * FROM results WHERE wrong > 0;
-- recomputed in full only where everything goes
SELECT name, count(*) FROM results WHERE action = 'DIFFERENTIAL' GROUP BY name HAVING count(*) < 8;

-- only what a change touches is written: the other partitions stay as they are
CREATE TABLE many AS SELECT i AS id, i % 100 AS g, (i * 7919) % 1000 AS v FROM generate_series(1, 5000) i;
ALTER TABLE many ADD PRIMARY KEY (id);
CREATE INDEX ON many (g);
ANALYZE many;
SELECT pgtrickle.create_stream_table('ranks',
    'SELECT id, g, row_number() OVER (PARTITION BY g ORDER BY v, id) AS r FROM many', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('best',
    'SELECT DISTINCT ON (g) g, id, v FROM many ORDER BY g, v DESC, id', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('top',
    'SELECT id, v FROM many ORDER BY v DESC, id LIMIT 10', NULL, 'DIFFERENTIAL');
UPDATE many SET v = 1001 WHERE id = 4250;
SELECT pgtrickle.refresh_stream_table(s) FROM unnest('{ranks,best,top}'::text[]) s;
SELECT s, action, rows_inserted, rows_deleted
  FROM unnest('{ranks,best,top}'::text[]) s, pgtrickle.get_refresh_history(s, 1);
SELECT s, property, value FROM unnest('{ranks,best,top}'::text[]) s, pgtrickle.explain_st(s)
 WHERE property LIKE 'stage%' OR property = 'missing index';

-- what ranks after the last row is not looked at: nothing is planned or written for it
INSERT INTO many VALUES (9001, 1, -5);
SELECT pgtrickle.refresh_stream_table('top');
SELECT action, rows_inserted, rows_deleted FROM pgtrickle.get_refresh_history('top', 1);

-- what has no answer that could be followed
SELECT pgtrickle.create_stream_table('no', 'SELECT id FROM many LIMIT 3', NULL, 'DIFFERENTIAL');

DROP SCHEMA pgt_part CASCADE;
