-- Groups and partitions whose keys contain NULL are found again by all kinds of
-- keys: by types that arrays compare, arrays, rows, equal values of several images.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
SET client_min_messages = warning;
CREATE SCHEMA pgt_null;
SET search_path = pgt_null, public;
\i :oracle
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN word AS text;
CREATE COLLATION same (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE k (
    id int PRIMARY KEY, sure int NOT NULL, i int, n numeric, t text COLLATE same, w word,
    a int[], d ints, p pair, v varchar(3), ch char(3), j jsonb, b boolean, x inet, m money, ia int[][]
);
CREATE FUNCTION fill(low int, high int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO k
    SELECT i, i % 3, nullif(i % 4, 0), (ARRAY[1.0, 1.00, NULL, 2])[i % 4 + 1], (ARRAY['a', 'A', NULL, 'b'])[i / 2 % 4 + 1],
           nullif('w' || i % 3, 'w1'), (ARRAY['{}', '{1}', NULL, '{NULL}'])[i / 3 % 4 + 1]::int[],
           (ARRAY['{}', '{1}', NULL, '{2,NULL}'])[i % 4 + 1]::int[], (ARRAY['(1,a)', '(1,)', NULL, '(,)'])[i / 2 % 4 + 1]::pair,
           nullif(i % 3, 1)::varchar, nullif(i % 2, 1)::text, (ARRAY['1', 'null', NULL, '1.0'])[i / 2 % 4 + 1]::jsonb,
           (ARRAY[true, false, NULL])[i % 3 + 1], (ARRAY['10.0.0.1', '10.0.0.1/32', NULL])[i % 3 + 1]::inet, nullif(i % 2, 0)::money,
           (ARRAY['{{1,2}}', '{1,2}', NULL, '[0:1]={1,2}'])[i / 4 % 4 + 1]::int[]
      FROM generate_series(low, high) i
$$;
SELECT fill(1, 200);
CREATE TABLE queries (name text PRIMARY KEY, q text);
INSERT INTO queries
SELECT 'g_' || n, format('SELECT %s, string_agg(id::text, '','' ORDER BY id) AS s, count(*) AS c FROM k GROUP BY %1$s', keys)
  FROM (VALUES (1, 'sure, i'), (2, 'i'), (3, 'i, t'), (4, 'a, d'), (5, 'a, i, w'), (6, 'p, v'), (7, 'ch, j, b'), (8, 'm, ia, sure'),
               (9, 'x, v')) l (n, keys)
UNION ALL
SELECT 'w_' || n, format('SELECT id, row_number() OVER (PARTITION BY %s ORDER BY id) AS r, count(*) OVER (PARTITION BY %1$s) AS c FROM k', keys)
  FROM (VALUES (1, 'sure, n'), (2, 't'), (3, 'n, t'), (4, 'a, d'), (5, 'a, i, w'), (6, 'p, v'), (7, 'ch, j, b'), (8, 'm, ia, sure'),
               (9, 'ROW(i, w), sure, b'), (10, 'i + 1, upper(w)')) l (n, keys)
UNION ALL
SELECT 'o_1', 'SELECT l.id, r.i, r.sure, max(l.t) OVER (PARTITION BY r.i, r.sure) AS m FROM k l LEFT JOIN k r ON r.id = l.id + 7 AND r.b'
UNION ALL
SELECT 'u_1', 'SELECT i, w, string_agg(id::text, '','' ORDER BY id) AS s FROM (SELECT id, i, w FROM k UNION ALL SELECT -id, sure, NULL FROM k) q GROUP BY i, w'
UNION ALL
SELECT 'd_1', 'SELECT DISTINCT ON (i, b) i, b, id FROM k ORDER BY i, b, n NULLS FIRST, id';
SELECT count(pgtrickle.create_stream_table(name, q, NULL, 'DIFFERENTIAL')) FROM queries;

CREATE FUNCTION wrong() RETURNS TABLE (name text, rows bigint, action text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.refresh_stream_table(q.name) FROM queries q;
    RETURN QUERY
        SELECT q.name, c, h.action
          FROM queries q, check_st(q.name::regclass, q.q) c, pgtrickle.get_refresh_history(q.name, 1) h
         WHERE c <> 0 OR h.action <> 'DIFFERENTIAL';
END $$;
UPDATE k SET sure = sure + 1 WHERE id % 9 = 2;
SELECT * FROM wrong();
DELETE FROM k WHERE id % 11 = 3;
SELECT * FROM wrong();
SELECT fill(201, 230);
SELECT * FROM wrong();
UPDATE k SET i = NULL, n = NULL, a = NULL, p = NULL, t = lower(t) WHERE id % 7 = 1;
SELECT * FROM wrong();
UPDATE k SET i = 1, n = 1.000, a = '{}', d = NULL, p = '(,)', j = '1.00', w = NULL WHERE id % 7 = 1;
SELECT * FROM wrong();
UPDATE k SET b = NULL, x = NULL, m = NULL, ia = NULL, ch = NULL, v = NULL, sure = 0 WHERE id % 5 = 1;
SELECT * FROM wrong();
DELETE FROM k WHERE id % 3 = 0;
SELECT * FROM wrong();

-- a column that may not be NULL, and then may
ALTER TABLE k ALTER sure DROP NOT NULL;
UPDATE k SET sure = NULL WHERE id % 10 = 1;
SELECT DISTINCT rows FROM wrong();
UPDATE k SET i = 3, n = 7 WHERE id % 10 = 1;
SELECT * FROM wrong();

-- a unique index that tells apart what its columns do not: no key
CREATE COLLATION same_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE fine (y text COLLATE same_case NOT NULL, v int);
CREATE UNIQUE INDEX ON fine (y COLLATE "C");
CREATE TABLE coarse (y text COLLATE "C" NOT NULL, v int);
CREATE UNIQUE INDEX ON coarse (y COLLATE same_case);
INSERT INTO fine VALUES ('a', 1);
INSERT INTO coarse VALUES ('a', 1);
SELECT pgtrickle.create_stream_table('fine_st', 'SELECT y, v FROM fine', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('coarse_st', 'SELECT y, v FROM coarse', refresh_mode => 'DIFFERENTIAL');
INSERT INTO fine VALUES ('A', 2), ('b', 3);
INSERT INTO coarse VALUES ('b', 2);
SELECT pgtrickle.refresh_stream_table('fine_st'), pgtrickle.refresh_stream_table('coarse_st');
SELECT y, v FROM fine_st ORDER BY v;
SELECT y, v FROM coarse_st ORDER BY v;
DELETE FROM fine WHERE v = 1;
UPDATE coarse SET y = 'B' WHERE v = 2;
SELECT pgtrickle.refresh_stream_table('fine_st'), pgtrickle.refresh_stream_table('coarse_st');
SELECT y, v FROM fine_st ORDER BY v;
SELECT y, v FROM coarse_st ORDER BY v;

DROP SCHEMA pgt_null CASCADE;
