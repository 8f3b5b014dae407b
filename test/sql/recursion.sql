-- WITH RECURSIVE by deltas: a stage holds the recursive relation, what comes after reads its changes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\set rounds :abs_srcdir '/sql/include/rounds.sql'
SET client_min_messages = warning;
CREATE SCHEMA pgt_rec;
SET search_path = pgt_rec, public;
\i :oracle
\i :rounds
COPY queries FROM stdin (DELIMITER '|');
tree|WITH RECURSIVE r AS (SELECT id, a, 0 AS d FROM t WHERE v IS NULL UNION ALL SELECT t.id, t.a, d + 1 FROM t JOIN r ON t.v = r.a + d AND t.id > r.id WHERE d < 4) SELECT * FROM r
reach|WITH RECURSIVE r AS (SELECT a AS n FROM u WHERE x = 0 UNION SELECT u.x FROM u JOIN r ON u.a = r.n) SELECT n FROM r
reach2|WITH RECURSIVE r(src, dst) AS (SELECT a, x FROM u UNION SELECT r.src, u.x FROM r JOIN u ON u.a = r.dst) SELECT src, dst FROM r
agg|WITH RECURSIVE r(src, dst) AS (SELECT a, x FROM u UNION SELECT r.src, u.x FROM r JOIN u ON u.a = r.dst) SELECT t.a, count(*) AS n FROM t JOIN r ON r.src = t.a GROUP BY t.a
nonlin|WITH RECURSIVE r(src, dst) AS (SELECT a, x FROM u UNION SELECT r1.src, r2.x FROM (SELECT * FROM r) r1, u r2 WHERE r1.dst = r2.a) SELECT * FROM r
other|WITH RECURSIVE s AS (SELECT a, max(x) AS x FROM u GROUP BY a), r AS (SELECT a, x FROM s WHERE a = 1 UNION SELECT s.a, s.x FROM s JOIN r ON r.x = s.a) SELECT r.*, s.x AS sx FROM r LEFT JOIN s USING (a)
nested|SELECT t.id, q.n FROM t LEFT JOIN (WITH RECURSIVE r AS (SELECT a AS n FROM u WHERE x = 0 UNION SELECT u.x FROM u JOIN r ON u.a = r.n) SELECT n FROM r) q ON q.n = t.a
cnt|WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, id FROM r LEFT JOIN t ON t.a = n
notex|WITH RECURSIVE r(n) AS (SELECT a FROM u WHERE x = 1 UNION SELECT u.x FROM u JOIN r ON u.a = r.n WHERE NOT EXISTS (SELECT FROM t WHERE t.a = u.x)) SELECT n FROM r
outerj|WITH RECURSIVE r(n, d) AS (SELECT a, 0 FROM u WHERE x = 1 UNION SELECT u.x, d + 1 FROM r LEFT JOIN u ON u.a = r.n WHERE d < 3) SELECT n, d FROM r
cyc|WITH RECURSIVE r(n) AS (SELECT a FROM u WHERE x = 1 UNION ALL SELECT u.x FROM u JOIN r ON u.a = r.n) CYCLE n SET c USING p SELECT DISTINCT n, c FROM r
around|SELECT t.id, q.n FROM t, LATERAL (WITH RECURSIVE r(n) AS (SELECT t.a UNION SELECT u.x FROM u JOIN r ON u.a = r.n) SELECT n FROM r) q
dag|WITH RECURSIVE r(a, x, d) AS (SELECT a, x, 1 FROM u WHERE a < x UNION ALL SELECT r.a, u.x, r.d + 1 FROM r JOIN u ON u.a = r.x AND u.a < u.x) SELECT a, x, d FROM r
dagc|WITH RECURSIVE r(a, x, d) AS (SELECT a, x, 1 FROM u WHERE a < x UNION ALL SELECT r.a, u.x, r.d + 1 FROM r JOIN u ON u.a = r.x AND u.a < u.x) SELECT a, count(*) AS n, max(d) AS m FROM r GROUP BY a
txt|WITH RECURSIVE r(a, p) AS (SELECT a, s FROM u WHERE a = 1 UNION SELECT u.x, s FROM r JOIN u ON u.a = r.a) SELECT a, p FROM r
self|WITH RECURSIVE r(a, x) AS (SELECT a, x FROM u UNION SELECT r.a, u2.x FROM r JOIN u u1 ON u1.a = r.x JOIN u u2 ON u2.a = u1.x) SELECT r.a, r.x, t.id FROM r LEFT JOIN t ON t.v = r.x
\.

-- most rounds insert only: then rows are added round by round, not recomputed
ALTER FUNCTION change() RENAME TO change_all;
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.3 THEN
        PERFORM change_all();
    ELSE
        INSERT INTO u SELECT small(12), small(12), 'x' FROM generate_series(1, 2);
        INSERT INTO t SELECT i, small(4), 'q', small(6), 1
          FROM generate_series(41 + floor(random() * 300)::int, 345) i WHERE random() < 0.01 ON CONFLICT DO NOTHING;
    END IF;
END $$;
SELECT setseed(0.42);
CALL rounds(14);
SELECT * FROM results WHERE wrong > 0;
SELECT name, count(*) FROM results WHERE action = 'DIFFERENTIAL' GROUP BY name HAVING count(*) < 8;
SELECT property, regexp_replace(value, 'stage_\d+_', 'stage_N_') AS value FROM pgtrickle.explain_st('st_agg') WHERE property LIKE 'stage%';

SELECT regexp_replace(value, 'stage_\d+_', 'stage_N_') AS value FROM pgtrickle.explain_st('st_cyc') WHERE property LIKE 'stage%' AND value LIKE 'WITH%';

-- the path that CYCLE adds has a type that no table can have
SELECT pgtrickle.create_stream_table('no', 'WITH RECURSIVE r(n) AS (SELECT a FROM u UNION ALL SELECT u.x FROM u JOIN r ON u.a = r.n)
    CYCLE n SET c USING p SELECT n, cardinality(p) AS d FROM r', NULL, 'DIFFERENTIAL');

DROP SCHEMA pgt_rec CASCADE;
