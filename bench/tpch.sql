--
-- Refreshes of TPC-H's 22 queries: procedures for bench/run.sh. Data, queries and
-- changes are those of test/workload. Times are taken inside the server.
--
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.tpch (
    seq       serial,
    scale     numeric,
    pct       numeric,
    cycle     int,
    n         int,
    mode      text,
    ms        float8,
    action    text,
    changes   bigint,
    written   bigint,
    decision_ms float8, load_ms float8, plan_ms float8, delta_ms float8, apply_ms float8
);
CREATE TABLE IF NOT EXISTS bench.tpch_changed (scale numeric, pct numeric, cycle int, rows bigint);

CREATE OR REPLACE FUNCTION bench.ms_since(t timestamptz) RETURNS float8 LANGUAGE sql
    RETURN 1000 * extract(epoch FROM clock_timestamp() - t);

-- For each query a stream table of each mode, and a twin with the same index for
-- FULL by hand. What cannot be maintained by deltas has no DIFFERENTIAL one.
CREATE OR REPLACE PROCEDURE bench.tpch_prepare(chosen int[] DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    q record;
    t timestamptz;
BEGIN
    FOR q IN SELECT * FROM workload.query WHERE chosen IS NULL OR query.n = ANY (chosen) ORDER BY query.n LOOP
        t := clock_timestamp();
        PERFORM pgtrickle.create_stream_table('auto_' || q.name, q.query, NULL, 'AUTO');
        IF (SELECT differential FROM pgtrickle.pgt_stream_tables WHERE relid = ('auto_' || q.name)::regclass) THEN
            PERFORM pgtrickle.create_stream_table('diff_' || q.name, q.query, NULL, 'DIFFERENTIAL');
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING INDEXES)', 'twin_' || q.name, 'auto_' || q.name);
        COMMIT;
        RAISE INFO '% created in % ms', q.name, round(bench.ms_since(t));
    END LOOP;
END $$;

CREATE OR REPLACE PROCEDURE bench.tpch_measure(scale numeric, pct numeric, cycle int, n int, name text, query text, how text) LANGUAGE plpgsql AS $$
DECLARE
    st text := CASE how WHEN 'FULL' THEN 'twin_' WHEN 'AUTO' THEN 'auto_' ELSE 'diff_' END || name;
    t timestamptz;
    ms float8;
    h record;
    line text;
BEGIN
    IF to_regclass(st) IS NULL THEN
        RETURN;
    END IF;
    COMMIT;
    t := clock_timestamp();
    IF how = 'FULL' THEN
        EXECUTE format('TRUNCATE %1$I; INSERT INTO %1$I %2$s', st, query);
    ELSE
        PERFORM pgtrickle.refresh_stream_table(st);
    END IF;
    ms := bench.ms_since(t);
    COMMIT;
    IF how = 'FULL' THEN
        INSERT INTO bench.tpch (scale, pct, cycle, n, mode, ms) VALUES (scale, pct, cycle, n, how, ms);
    ELSE
        SELECT r.* INTO h FROM pgtrickle.pgt_refresh_history r JOIN pgtrickle.pgt_stream_tables USING (pgt_id)
         WHERE relid = st::regclass ORDER BY refresh_id DESC LIMIT 1;
        INSERT INTO bench.tpch VALUES (DEFAULT, scale, pct, cycle, n, how, ms, h.action, h.delta_row_count, h.rows_inserted + h.rows_deleted,
                                       h.decision_ms, h.load_ms, h.plan_ms, h.delta_ms, h.apply_ms);
    END IF;
    line := format('[BENCH_CYCLE] scenario=tpch_%s scale=%s pct=%s cycle=%s mode=%s ms=%s', name, scale, pct, cycle, how, round(ms::numeric, 3));
    RAISE INFO '%', line;
END $$;

-- All tables change at once, then every query is measured; the order of the three
-- rotates.
CREATE OR REPLACE PROCEDURE bench.tpch_cycle(scale numeric, pct numeric, cycle int, seed int, chosen int[] DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    q record;
    modes text[] := ARRAY['FULL', 'DIFF', 'AUTO'];
BEGIN
    CALL tpch.change(pct / 100.0, seed);
    COMMIT;
    INSERT INTO bench.tpch_changed
    SELECT scale, pct, cycle, sum(pending_rows) FROM pgtrickle.change_buffer_sizes();
    FOR q IN SELECT * FROM workload.query WHERE chosen IS NULL OR query.n = ANY (chosen) ORDER BY query.n LOOP
        FOR i IN 0 .. 2 LOOP
            CALL bench.tpch_measure(scale, pct, cycle, q.n, q.name, q.query, modes[1 + (i + cycle + q.n) % 3]);
        END LOOP;
    END LOOP;
END $$;

CREATE OR REPLACE PROCEDURE bench.tpch_check(scale numeric, chosen int[] DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    q record;
    st text;
    d bigint;
BEGIN
    FOR q IN SELECT * FROM workload.query WHERE chosen IS NULL OR query.n = ANY (chosen) ORDER BY query.n LOOP
        EXECUTE 'CREATE TEMP TABLE expected AS ' || q.query;
        FOREACH st IN ARRAY ARRAY['auto_', 'diff_'] LOOP
            CONTINUE WHEN to_regclass(st || q.name) IS NULL;
            EXECUTE format('SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL TABLE %1$I)) d',
                           st || q.name) INTO d;
            INSERT INTO bench.checked VALUES ('tpch ' || q.name, NULL, NULL, st, d);
            IF d <> 0 THEN
                RAISE WARNING '% rows of % differ (scale %)', d, st || q.name, scale;
            END IF;
        END LOOP;
        DROP TABLE expected;
    END LOOP;
END $$;

CREATE OR REPLACE PROCEDURE bench.tpch_drop() LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS lineitem, orders, partsupp, part, customer, supplier, nation, region CASCADE;
    DROP SCHEMA IF EXISTS workload, tpch CASCADE;
    DROP FUNCTION IF EXISTS pick, word, blurb CASCADE;
END $$;

-- Medians, and what must be: differential faster than full, AUTO within 1.1 times
-- the better of the two.
CREATE OR REPLACE VIEW bench.tpch_summary AS
SELECT scale, pct, n, f AS full, d AS diff, a AS auto, f / d AS ratio, action, changes, written, c1,
       a / least(f, d) AS auto_ratio, decision, load, plan, delta, apply
  FROM (SELECT scale, pct, n,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE mode = 'FULL') AS f,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE mode = 'DIFF') AS d,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE mode = 'AUTO') AS a,
               mode() WITHIN GROUP (ORDER BY lower(action)) FILTER (WHERE mode = 'AUTO') AS action,
               round(avg(changes) FILTER (WHERE mode = 'DIFF')) AS changes,
               round(avg(written) FILTER (WHERE mode = 'AUTO')) AS written,
               max(ms) FILTER (WHERE mode = 'DIFF' AND cycle = 1) AS c1,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY decision_ms) FILTER (WHERE mode = 'AUTO') AS decision,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY load_ms) FILTER (WHERE mode = 'DIFF') AS load,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY plan_ms) FILTER (WHERE mode = 'DIFF') AS plan,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY delta_ms) FILTER (WHERE mode = 'DIFF') AS delta,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY apply_ms) FILTER (WHERE mode = 'DIFF') AS apply
          FROM bench.tpch GROUP BY scale, pct, n) s;
