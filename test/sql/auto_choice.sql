-- AUTO without experience asks the planner: five occurrences of one table are 31
-- terms, and each reads all of it (src/refresh/policy.c)
SET client_min_messages = warning;
CREATE SCHEMA auto_choice;
SET search_path = auto_choice, public;
CREATE TABLE t (id int PRIMARY KEY, k int, v int);
INSERT INTO t SELECT g, g % 1000, g FROM generate_series(1, 5000) g;
ANALYZE t;
SELECT 'SELECT a.k, count(*) AS n, sum(a.v + b.v + c.v + d.v + e.v) AS s
          FROM t a JOIN t b ON a.k = b.k JOIN t c ON b.k = c.k AND c.id % 5 = 1 JOIN t d ON c.k = d.k AND d.id % 5 = 1
          JOIN t e ON d.k = e.k AND e.id % 5 = 1 GROUP BY a.k' AS query \gset
SELECT pgtrickle.create_stream_table('st', :'query', NULL, 'AUTO');
SELECT pgtrickle.create_stream_table('delta', :'query', NULL, 'DIFFERENTIAL');
UPDATE t SET v = v + 1 WHERE id % 10 = 0;
SELECT pgtrickle.refresh_stream_table('st'), pgtrickle.refresh_stream_table('delta');
-- too few rows to be worth the question
UPDATE t SET v = v + 1 WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('st'), pgtrickle.refresh_stream_table('delta');
SELECT relid::regclass, action, was_full_fallback, regexp_replace(fallback_reason, '[0-9.]+', 'N') AS reason
  FROM pgtrickle.pgt_refresh_history JOIN pgtrickle.pgt_stream_tables USING (pgt_id)
 WHERE relid IN ('st'::regclass, 'delta'::regclass) ORDER BY relid, refresh_id;
SELECT count(*) FROM ((TABLE st EXCEPT ALL TABLE delta) UNION ALL (TABLE delta EXCEPT ALL TABLE st)) x;
CREATE TEMP TABLE expected AS :query;
SELECT count(*) FROM ((TABLE st EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL TABLE st)) x;
DROP SCHEMA auto_choice CASCADE;
