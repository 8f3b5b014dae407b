-- Indexes that make deltas cheap: those of sources are named, those of stage
-- tables are made.
CREATE SCHEMA idx;
SET search_path = idx, pgtrickle, public;

CREATE FUNCTION missing(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL client_min_messages = warning;
    PERFORM pgtrickle.create_stream_table('idx.st', query, NULL, 'DIFFERENTIAL', initialize => false);
    RETURN QUERY SELECT value FROM pgtrickle.explain_st('idx.st') WHERE property = 'missing index' ORDER BY 1;
    PERFORM pgtrickle.drop_stream_table('idx.st');
END $$;

CREATE TABLE a (id int PRIMARY KEY, b_id int, k text, v int NOT NULL);
CREATE TABLE b (id int PRIMARY KEY, c_id int, k text, v int NOT NULL);
CREATE TABLE c (id int PRIMARY KEY, k text, v int NOT NULL);

-- the notice at creation
SELECT create_stream_table('st', 'SELECT a.id, b.v FROM a JOIN b ON b.id = a.b_id', NULL);
SELECT drop_stream_table('st');

-- from c to b, and from b to a; the other ways there are primary keys
SELECT missing('SELECT a.id, c.v FROM a JOIN b ON b.id = a.b_id JOIN c ON c.id = b.c_id');
CREATE INDEX a_b ON a (b_id) WHERE v > 0;		-- not for every row
CREATE INDEX b_c ON b (c_id, v);
SELECT missing('SELECT a.id, c.v FROM a JOIN b ON b.id = a.b_id JOIN c ON c.id = b.c_id');
CREATE INDEX a_b2 ON a USING hash (b_id);
SELECT missing('SELECT a.id, c.v FROM a JOIN b ON b.id = a.b_id JOIN c ON c.id = b.c_id');

-- equalities are transitive: a and c are joined by way of b
SELECT missing('SELECT a.id, c.v FROM a JOIN b ON b.id = a.b_id JOIN c ON c.id = b.id');
-- one condition of two has an index
SELECT missing('SELECT a.id FROM a JOIN b ON b.id = a.id AND b.k = a.k');
-- none can help, or no lookup is needed
SELECT missing('SELECT a.id, b.v FROM a JOIN b ON a.v < b.v');
SELECT missing('SELECT a.id, b.v FROM a CROSS JOIN b');
SELECT missing('SELECT id, k FROM a WHERE k = ''x''');
-- expressions, and other types
SELECT missing('SELECT a.id FROM a JOIN c ON lower(a.k) = c.k');
CREATE INDEX ON a (lower(k));
SELECT missing('SELECT a.id FROM a JOIN c ON lower(a.k) = c.k');
SELECT missing('SELECT a.id FROM a JOIN b ON a.id = b.v::bigint');
-- a self-join
SELECT missing('SELECT x.id FROM a x JOIN a y ON x.v = y.v');
-- outer joins
SELECT missing('SELECT a.id, c.v FROM c LEFT JOIN a ON a.v = c.id');
SELECT missing('SELECT a.id, c.v FROM c FULL JOIN a ON a.v = c.v');
-- subqueries with a join, unions
SELECT missing('SELECT c.id, s.v FROM c JOIN (SELECT a.v, b.k FROM a JOIN b ON b.id = a.b_id) s ON s.k = c.k');
SELECT missing('SELECT c.id FROM c JOIN (SELECT v FROM a UNION ALL SELECT c_id FROM b) u ON u.v = c.id');

-- groups that have to be recomputed are looked up by their key
SELECT missing('SELECT k, sum(v) AS s FROM a GROUP BY k');
SELECT missing('SELECT k, max(v) AS m FROM a GROUP BY k');
SELECT missing('SELECT c.k, string_agg(b.k, '','' ORDER BY b.id) AS t FROM b JOIN c ON c.id = b.c_id GROUP BY c.k');
SELECT missing('SELECT b.c_id, min(b.v) AS m FROM b JOIN c ON c.id = b.c_id GROUP BY b.c_id');
SELECT missing('SELECT c.id, min(b.v) AS m FROM b JOIN c ON c.id = b.c_id GROUP BY c.id');

-- a stage is joined by what is not the start of its key
SELECT missing('SELECT c.id, s.n FROM c JOIN (SELECT k, v, count(*) AS n FROM a GROUP BY k, v) s ON s.v = c.id');
SET client_min_messages = warning;
SELECT create_stream_table('st', 'SELECT c.id, c.k, s.n, x.m, x.v
    FROM c JOIN (SELECT k, v, count(*) AS n FROM a GROUP BY k, v) s ON s.v = c.id
           JOIN (SELECT v, min(k) AS m FROM a GROUP BY v) x ON x.m = c.k', NULL);
RESET client_min_messages;
SELECT regexp_replace(indexdef, 'stage_\d+', 'stage', 'g') AS indexdef
  FROM pg_indexes JOIN pgtrickle.pgt_stages p ON indexname LIKE split_part(p.relid::regclass::text, '.', 2) || '%' ORDER BY 1;

INSERT INTO a VALUES (1, 1, 'x', 1), (2, 1, 'x', 1), (3, 1, 'y', 2);
INSERT INTO c VALUES (1, 'x', 1), (2, 'y', 1), (3, repeat('long ', 1000), 1);
INSERT INTO a SELECT 10 + i, 1, repeat('long ', 1000), 3 FROM generate_series(1, 2) i;
SELECT refresh_stream_table('st');
SELECT id, left(k, 5) AS k, n, left(m, 5) AS m, v FROM st ORDER BY 1, 2;
SELECT drop_stream_table('st');

-- WITH RECURSIVE: steps go forward, and under UNION back from rows that may have lost their derivation
SELECT missing('WITH RECURSIVE r(n) AS (SELECT id FROM b WHERE id = 1 UNION ALL SELECT b.id FROM r JOIN b ON b.v = r.n) SELECT n FROM r');
SELECT missing('WITH RECURSIVE r(n, k) AS (SELECT id, k FROM a WHERE id = 1 UNION SELECT b.c_id, r.k FROM r JOIN b ON b.id = r.n) SELECT n, k FROM r');
SELECT missing('WITH RECURSIVE r(n) AS (SELECT v FROM a WHERE id = 1 UNION SELECT b.v FROM r JOIN b ON b.id = r.n) SELECT n FROM r');

-- the first rows are looked up by what they are sorted by
SET client_min_messages = warning;
SELECT missing('SELECT id FROM a ORDER BY v DESC, k LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY id LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY id DESC, v LIMIT 5 OFFSET 1');
SELECT missing('SELECT id FROM a ORDER BY id NULLS FIRST LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY upper(k) DESC NULLS LAST LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY k COLLATE "C" LIMIT 5');
CREATE INDEX ON a (v NULLS FIRST);
CREATE INDEX ON a ((upper(k)) NULLS FIRST);
SELECT missing('SELECT id FROM a ORDER BY v DESC, k LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY v DESC NULLS LAST, k LIMIT 5');
SELECT missing('SELECT id FROM a ORDER BY upper(k) DESC NULLS LAST LIMIT 5');
SELECT missing('SELECT x.id FROM a x JOIN c ON c.id = x.id ORDER BY c.v, c.k FETCH FIRST 3 ROWS WITH TIES');
SELECT missing('SELECT x.id FROM a x JOIN c ON c.id = x.id ORDER BY c.v, x.k LIMIT 3');
SELECT create_stream_table('st', 'SELECT k, sum(v) AS s FROM a GROUP BY k ORDER BY sum(v) DESC, count(*), k LIMIT 1', NULL);
SELECT regexp_replace(indexdef, 'stage_\d+', 'stage', 'g') AS indexdef
  FROM pg_indexes JOIN pgtrickle.pgt_stages p ON indexname LIKE split_part(p.relid::regclass::text, '.', 2) || '%' ORDER BY 1;
INSERT INTO a SELECT 20 + i, 1, 'z' || i % 1000, i FROM generate_series(1, 5000) i;
SELECT refresh_stream_table('st');
TABLE st;
SELECT drop_stream_table('st');

DROP SCHEMA idx CASCADE;
