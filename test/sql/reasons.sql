-- Where in the query a reason stands, as the error shows it: LINE and a caret.
CREATE SCHEMA reasons;
SET search_path = reasons, public;
CREATE TABLE src (id int PRIMARY KEY, n int);
CREATE TABLE other (id int PRIMARY KEY, n int);
CREATE TABLE parent (id int, n int);
CREATE TABLE child () INHERITS (parent);
CREATE MATERIALIZED VIEW snapshot AS SELECT id, n FROM src;
CREATE VIEW sampled AS SELECT id, n FROM src TABLESAMPLE SYSTEM (50);
CREATE VIEW outer_view AS SELECT id FROM sampled WHERE n > 0;
CREATE VIEW clock AS SELECT id, now() AS at FROM src;
CREATE VIEW of_snapshot AS SELECT id FROM snapshot;
CREATE VIEW grouped AS SELECT n::text::xid AS x, count(*) AS c FROM src GROUP BY 1;

-- the relation that is sampled, not the same one before
SELECT pgtrickle.create_stream_table('st', 'SELECT a.id FROM src a JOIN src b TABLESAMPLE SYSTEM (50) ON a.id = b.n', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT a.id FROM parent a, ONLY parent b', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'WITH RECURSIVE r AS (SELECT id FROM ONLY parent UNION SELECT id + 1 FROM r WHERE id < 3) SELECT id FROM r', refresh_mode => 'DIFFERENTIAL');
-- the name means a WITH query before it means the relation
SELECT pgtrickle.create_stream_table('st', 'WITH snapshot AS (SELECT id FROM reasons.snapshot) SELECT id FROM snapshot', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'WITH s AS (SELECT 1 AS one), snapshot AS (SELECT id FROM snapshot) SELECT id FROM snapshot', refresh_mode => 'DIFFERENTIAL');
-- characters, not bytes
SELECT pgtrickle.create_stream_table('st', $$SELECT 'äöü' AS u, id FROM snapshot$$, refresh_mode => 'DIFFERENTIAL');
-- in a view: the place of the view, and its name; of views within views the inner one has what is to be changed
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM sampled', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT o.id FROM src, outer_view AS o', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM clock', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM of_snapshot', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT x FROM grouped', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'WITH RECURSIVE r AS (SELECT id FROM clock UNION SELECT id + 1 FROM r WHERE id < 3) SELECT id FROM r', refresh_mode => 'DIFFERENTIAL');
-- what no mode can serve
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM (SELECT id FROM src FOR NO KEY UPDATE) s');
SELECT pgtrickle.create_stream_table('st', 'WITH a AS (SELECT 1), b AS (DELETE FROM src RETURNING id) SELECT id FROM b');
SELECT pgtrickle.create_stream_table('st', 'SELECT s.id, c.relname FROM src s, pg_catalog.pg_class c');
-- limits and frames
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src OFFSET 2', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src ORDER BY id LIMIT (SELECT count(*) FROM other)', refresh_mode => 'DIFFERENTIAL');
-- subqueries and columns
SELECT pgtrickle.create_stream_table('st', 'SELECT id, (SELECT ROW(s.id, s.n) FROM src AS s WHERE s.n = src.id)::text AS r FROM src', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id, tableoid::regclass AS t FROM src', refresh_mode => 'DIFFERENTIAL');
-- fields of a row that have the same name
SELECT pgtrickle.create_stream_table('st', 'SELECT to_jsonb(k) AS j FROM (SELECT a.n, b.n FROM src a JOIN other b USING (id)) k', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id, json_agg(q) AS j FROM (SELECT id, count(*), count(n) FROM src GROUP BY id) q GROUP BY id', refresh_mode => 'DIFFERENTIAL');
-- an aggregate of a user, as such and over a window
CREATE FUNCTION reads_other(int, int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + $2 + (SELECT count(*)::int FROM reasons.other)';
CREATE AGGREGATE sum_and_more(int) (sfunc = reads_other, stype = int, initcond = '0');
SELECT pgtrickle.create_stream_table('st', 'SELECT n, sum_and_more(id) AS s FROM src GROUP BY n', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id, sum_and_more(id) OVER (PARTITION BY n) AS s FROM src', refresh_mode => 'DIFFERENTIAL');
-- under AUTO the NOTICE says the same
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM sampled', schedule => NULL);
SELECT downgrade_reason FROM pgtrickle.explain_refresh_mode('st');
SELECT pgtrickle.alter_stream_table('st', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.alter_stream_table('st', query => 'SELECT id FROM of_snapshot', refresh_mode => 'DIFFERENTIAL');
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT pgtrickle.alter_stream_table('st', query => $$SELECT id, '\'' AS q FROM snapshot$$, refresh_mode => 'DIFFERENTIAL');
RESET standard_conforming_strings;
RESET escape_string_warning;
SELECT pgtrickle.drop_stream_table('st');

-- Rewrites that the hints name are maintained by deltas.
SELECT q AS query, (SELECT result FROM pgtrickle.validate_query(q) WHERE check_name = 'refresh_mode')
  FROM (VALUES
    ('SELECT id FROM src WHERE hashint8(id) % 10 = 0'),
    ('SELECT id FROM src ORDER BY n, id LIMIT 3'),
    ('SELECT n::text::xid::text AS x, count(*) AS c FROM src GROUP BY 1'),
    ('SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS r FROM src) s WHERE r <= (SELECT count(*) FROM other)'),
    ('SELECT id FROM child'),
    ('WITH RECURSIVE r AS (SELECT id, 0 AS depth FROM src UNION ALL SELECT o.n, r.depth + 1 FROM r JOIN other o ON o.id = r.id) SELECT id, depth FROM r')) v (q);

SET client_min_messages = warning;
DROP SCHEMA reasons CASCADE;
