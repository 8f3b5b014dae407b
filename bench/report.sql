--
-- Summary of what setup.sql's procedures measured.
--
\pset border 0
\pset footer off
\pset null -
CREATE OR REPLACE VIEW bench.cell AS
SELECT scenario, rows, pct, mode, avg(ms) AS avg, max(ms) FILTER (WHERE cycle = 1) AS c1,
       avg(ms) FILTER (WHERE cycle > 1) AS c2, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ms + commit_ms) AS with_commit,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY decision_ms) AS decision, percentile_cont(0.5) WITHIN GROUP (ORDER BY load_ms) AS load,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY plan_ms) AS plan, percentile_cont(0.5) WITHIN GROUP (ORDER BY delta_ms) AS delta,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY apply_ms) AS apply, percentile_cont(0.5) WITHIN GROUP (ORDER BY cleanup_ms) AS cleanup,
       mode() WITHIN GROUP (ORDER BY lower(action)) AS action, mode() WITHIN GROUP (ORDER BY strategy) AS strategy
  FROM bench.result GROUP BY scenario, rows, pct, mode;

CREATE OR REPLACE VIEW bench.summary AS
SELECT s.n, c.scenario, c.rows, c.pct, f.median AS full, i.median AS incr, a.median AS auto,
       f.median / i.median AS incr_ratio, f.median / a.median AS auto_ratio, i.c1 AS incr_c1, i.c2 AS incr_c2,
       i.p95 AS incr_p95, a.p95 AS auto_p95, a.action AS auto_did,
       CASE WHEN c.rows = 100000 THEN b.ratio END AS bar
  FROM (SELECT DISTINCT scenario, rows, pct FROM bench.result) c
       JOIN bench.scenario s ON s.name = c.scenario
       JOIN bench.cell f ON (f.scenario, f.rows, f.pct, f.mode) = (c.scenario, c.rows, c.pct, 'FULL')
       JOIN bench.cell i ON (i.scenario, i.rows, i.pct, i.mode) = (c.scenario, c.rows, c.pct, 'INCR')
       JOIN bench.cell a ON (a.scenario, a.rows, a.pct, a.mode) = (c.scenario, c.rows, c.pct, 'AUTO')
       LEFT JOIN bench.bar b ON (b.scenario, b.pct) = (c.scenario, c.pct);

\echo
\echo 'Refresh: medians in ms inside the server; FULL is TRUNCATE; INSERT ... SELECT by hand, INCR is mode DIFFERENTIAL'
SELECT scenario, rows, pct AS "%", round("full"::numeric, 2) AS "FULL", round(incr::numeric, 2) AS "INCR",
       round(incr_ratio::numeric, 1) AS "FULL/INCR", round("auto"::numeric, 2) AS "AUTO",
       round(auto_ratio::numeric, 1) AS "FULL/AUTO", auto_did AS "AUTO by", round(incr_c1::numeric, 2) AS "INCR c1",
       round(incr_c2::numeric, 2) AS "INCR 2+", round(incr_p95::numeric, 2) AS "INCR P95", bar,
       CASE WHEN bar IS NULL THEN '' WHEN CASE pct WHEN 50 THEN auto_ratio ELSE incr_ratio END >= bar THEN 'reached' ELSE 'MISSED' END AS " ",
       CASE WHEN "auto" > 1.1 * least("full", incr) THEN 'AUTO slow ' ELSE '' END
       || CASE WHEN incr_p95 > 2 * incr THEN 'P95 high' ELSE '' END AS remark
  FROM bench.summary ORDER BY rows, pct, n;

\echo 'All statistics: ms'
SELECT scenario, rows, pct AS "%", mode, round(avg::numeric, 2) AS avg, round(c1::numeric, 2) AS first, round(c2::numeric, 2) AS "2+",
       round(median::numeric, 2) AS median, round(p95::numeric, 2) AS p95, round(with_commit::numeric, 2) AS "with commit",
       round(decision::numeric, 2) AS decision, round(load::numeric, 2) AS load, round(plan::numeric, 2) AS plan,
       round(delta::numeric, 2) AS delta, round(apply::numeric, 2) AS apply, round(cleanup::numeric, 2) AS cleanup, strategy
  FROM bench.cell JOIN bench.scenario s ON s.name = scenario ORDER BY rows, pct, n, mode;

INSERT INTO bench.figure (area, name, value, unit, bar, base)
SELECT 'writes', format('%s columns, %s, %s', width, capture, what), ms / none, 'x',
       CASE WHEN width = 5 AND capture = 'statement' THEN CASE what WHEN 'INSERT' THEN 1.3 WHEN 'UPDATE' THEN 1.35 WHEN 'DELETE' THEN 2.3 END
            WHEN width = 5 AND capture = 'part' AND what = 'UPDATE unused' THEN 1.15 END, none
  FROM (SELECT width, capture, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms FROM bench.write GROUP BY 1, 2, 3) w
       JOIN (SELECT width, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS none FROM bench.write WHERE capture = 'none' GROUP BY 1, 2) n
       USING (width, what)
 WHERE capture <> 'none' AND what !~ 'single|pgbench' ORDER BY width, capture, what;
INSERT INTO bench.figure (area, name, value, unit, bar, base)
SELECT CASE WHEN what ~ 'pgbench' THEN 'pgbench' ELSE 'single rows' END, format('%s columns, %s, %s', width, capture, what),
       1000 * (ms - none), 'us more', CASE WHEN capture = 'statement' AND what ~ '^single' THEN 2.5 END, none
  FROM (SELECT width, capture, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms FROM bench.write GROUP BY 1, 2, 3) w
       JOIN (SELECT width, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS none FROM bench.write WHERE capture = 'none' GROUP BY 1, 2) n
       USING (width, what)
 WHERE capture <> 'none' AND what ~ 'single|pgbench' ORDER BY what, width, capture;

\echo 'Single figures; for writes the factor (or the microseconds more) over the same table without capture, whose own time is "without"'
SELECT area, name, round(value::numeric, 3) AS value, unit, round(base::numeric, 4) AS "without, ms", bar,
       CASE WHEN bar IS NULL THEN '' WHEN value <= bar THEN 'reached' ELSE 'MISSED' END AS " "
  FROM bench.figure ORDER BY seq;

\echo 'TPC-H: medians in ms; FULL is TRUNCATE; INSERT ... SELECT by hand; changes are those that DIFFERENTIAL read, written are the rows of the result'
SELECT scale, pct AS "%", n AS q, round("full"::numeric, 1) AS "FULL", round(diff::numeric, 1) AS "DIFF", round(ratio::numeric, 1) AS "FULL/DIFF",
       round("auto"::numeric, 1) AS "AUTO", action AS "AUTO by", changes, written, round(c1::numeric, 1) AS "DIFF c1", round(load::numeric, 1) AS load,
       round(plan::numeric, 1) AS plan, round(delta::numeric, 1) AS delta, round(apply::numeric, 1) AS apply,
       CASE WHEN diff IS NULL THEN 'no deltas ' WHEN ratio <= 1 THEN 'slower ' ELSE '' END || CASE WHEN auto_ratio > 1.1 THEN 'AUTO slow' ELSE '' END AS remark
  FROM bench.tpch_summary ORDER BY scale, pct, n;
SELECT scale, pct AS "%", max(rows) AS "changes captured" FROM bench.tpch_changed GROUP BY 1, 2 ORDER BY 1, 2;

SELECT count(*) AS "comparisons", count(*) FILTER (WHERE differing <> 0) AS "stream tables that differ" FROM bench.checked;
