-- Sorted, partitioned and limited by an expression over constants: "- 1.00" in ORDER BY could not be read again.
SET client_min_messages = warning;
CREATE SCHEMA co;
SET search_path = co, public;
CREATE TABLE t (id int PRIMARY KEY, k int, c numeric);
INSERT INTO t VALUES (1, 1, 2), (2, 1, 1), (3, 2, 5);
SELECT pgtrickle.create_stream_table('st1', $$SELECT DISTINCT ON (k) id, c FROM t ORDER BY k DESC, (- '1.00'::numeric) DESC, c, id$$, NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st2', $$SELECT id, (- '2.5'::numeric) AS m FROM t ORDER BY (- '2.5'::numeric), c, id LIMIT 2$$, NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st3', $$SELECT id, rank() OVER (PARTITION BY (- '2.5'::numeric) ORDER BY (- '1.5'::numeric), c, id) AS m FROM t$$, NULL, 'DIFFERENTIAL');
INSERT INTO t VALUES (4, 1, 0.5);
DELETE FROM t WHERE id = 3;
SELECT pgtrickle.refresh_stream_table('st' || n) FROM generate_series(1, 3) n;
-- in a part that is left to the server
SELECT pgtrickle.create_stream_table('st4', $$SELECT t.id FROM t WHERE NOT EXISTS (SELECT x.k FROM (SELECT - '1.00'::numeric AS n FROM t t2 WHERE t2.id > 2 ORDER BY (- '1.00'::numeric)) s JOIN t x ON true WHERE x.k IS NOT DISTINCT FROM t.k + 1 GROUP BY x.k)$$, NULL, 'DIFFERENTIAL');
INSERT INTO t VALUES (5, 3, 1);
SELECT pgtrickle.refresh_stream_table('st4');
SELECT * FROM st4 ORDER BY id;
SELECT * FROM st1 ORDER BY id;
SELECT * FROM st2 ORDER BY id;
SELECT * FROM st3 ORDER BY id;
DROP SCHEMA co CASCADE;
