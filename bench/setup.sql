--
-- The benchmark's tables and procedures. Times are taken inside the server.
--
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trickle;
CREATE SCHEMA bench;

CREATE TABLE bench.scenario (name text PRIMARY KEY, n int, key text, query text);
INSERT INTO bench.scenario VALUES
('scan', 1, 'id', 'SELECT id, region, category, amount, score FROM src'),
('filter', 2, 'id', 'SELECT id, region, amount FROM src WHERE amount > 5000'),
('aggregate', 3, 'region', 'SELECT region, sum(amount) AS total, count(*) AS cnt FROM src GROUP BY region'),
('join', 4, 'id', 'SELECT s.id, s.region, s.amount, d.region_name FROM src s JOIN dim d ON s.region = d.region'),
('join_agg', 5, 'region_name', 'SELECT d.region_name, sum(s.amount) AS total, count(*) AS cnt
    FROM src s JOIN dim d ON s.region = d.region GROUP BY d.region_name');

-- What is to be reached at 100K rows: ratio of FULL by hand to DIFFERENTIAL
-- (AUTO at 50 %).
CREATE TABLE bench.bar (scenario text, pct int, ratio float8);
INSERT INTO bench.bar VALUES
('scan', 1, 20), ('filter', 1, 25), ('join', 1, 27), ('aggregate', 1, 20), ('join_agg', 1, 23),
('scan', 10, 3.5), ('filter', 10, 4.5), ('join', 10, 4), ('aggregate', 10, 4), ('join_agg', 10, 4),
('scan', 50, 1.5), ('filter', 50, 1.5), ('join', 50, 1.5), ('aggregate', 50, 1.0), ('join_agg', 50, 1.0);

CREATE TABLE bench.result (
    seq       serial,
    scenario  text,
    rows      int,
    pct       int,
    cycle     int,
    mode      text,
    ms        float8,
    commit_ms float8,
    action    text,
    strategy  text,
    delta_rows bigint,
    decision_ms float8, load_ms float8, plan_ms float8, delta_ms float8, apply_ms float8, cleanup_ms float8
);
CREATE TABLE bench.checked (scenario text, rows int, pct int, mode text, differing bigint);
CREATE TABLE bench.figure (seq serial, area text, name text, value float8, unit text, bar float8, base float8);

CREATE FUNCTION bench.ms_since(t timestamptz) RETURNS float8 LANGUAGE sql
    RETURN 1000 * extract(epoch FROM clock_timestamp() - t);

-- Source tables with n rows, and targets of one scenario: a twin for FULL by
-- hand with the stream table's own index, and a stream table of each mode.
CREATE PROCEDURE bench.prepare(scen text, n int) LANGUAGE plpgsql AS $$
DECLARE
    s bench.scenario;
BEGIN
    SELECT * INTO s FROM bench.scenario WHERE name = scen;
    DROP TABLE IF EXISTS st_auto, st_incr, twin, src, dim CASCADE;
    CREATE TABLE dim (region text PRIMARY KEY, region_name text NOT NULL);
    INSERT INTO dim VALUES ('north', 'North'), ('south', 'South'), ('east', 'East'), ('west', 'West'), ('central', 'Central');
    CREATE TABLE src (id serial PRIMARY KEY, region text NOT NULL, category text NOT NULL,
                      amount int NOT NULL, score int NOT NULL);
    INSERT INTO src (region, category, amount, score)
    SELECT (ARRAY['north', 'south', 'east', 'west', 'central'])[1 + i % 5], (ARRAY['A', 'B', 'C', 'D'])[1 + i % 4],
           (i * 17 + 13) % 10000, (i * 31 + 7) % 100
      FROM generate_series(1, n) i;
    PERFORM pgtrickle.create_stream_table('st_auto', s.query, NULL, 'AUTO');
    PERFORM pgtrickle.create_stream_table('st_incr', s.query, NULL, 'DIFFERENTIAL');
    EXECUTE format('CREATE TABLE twin AS %s', s.query);
    EXECUTE format('CREATE UNIQUE INDEX ON twin (%I)', s.key);
    COMMIT;
END $$;

-- 70 % updates, 15 % deletes, 15 % inserts of random rows.
CREATE PROCEDURE bench.change(n int, seed int) LANGUAGE plpgsql AS $$
DECLARE
    updates int := round(n * 0.7);
    deletes int := round(n * 0.15);
BEGIN
    PERFORM setseed((seed % 1000) / 1000.0);
    CREATE TEMP TABLE IF NOT EXISTS sample (id int, r int);
    TRUNCATE sample;
    INSERT INTO sample SELECT id, row_number() OVER () FROM (SELECT id FROM src ORDER BY random() LIMIT updates + deletes) s;
    ANALYZE sample;
    UPDATE src SET amount = (amount * 7 + 13 + score) % 10000, score = (score + 1) % 100
      FROM sample s WHERE s.id = src.id AND s.r <= updates;
    DELETE FROM src USING sample s WHERE s.id = src.id AND s.r > updates;
    INSERT INTO src (region, category, amount, score)
    SELECT (ARRAY['north', 'south', 'east', 'west', 'central'])[1 + i % 5], (ARRAY['A', 'B', 'C', 'D'])[1 + i % 4],
           floor(random() * 10000), floor(random() * 100)
      FROM generate_series(1, n - updates - deletes) i;
    COMMIT;
END $$;

CREATE PROCEDURE bench.measure(scen text, n int, p int, cyc int, how text) LANGUAGE plpgsql AS $$
DECLARE
    s bench.scenario;
    t timestamptz;
    ms float8;
    commit_ms float8;
    st text := CASE how WHEN 'AUTO' THEN 'st_auto' ELSE 'st_incr' END;
    h record;
    line text;
BEGIN
    SELECT * INTO s FROM bench.scenario WHERE name = scen;
    COMMIT;
    t := clock_timestamp();
    IF how = 'FULL' THEN
        TRUNCATE twin;
        EXECUTE 'INSERT INTO twin ' || s.query;
    ELSE
        PERFORM pgtrickle.refresh_stream_table(st);
    END IF;
    ms := bench.ms_since(t);
    t := clock_timestamp();
    COMMIT;
    commit_ms := bench.ms_since(t);
    IF how <> 'FULL' THEN
        SELECT r.* INTO h FROM pgtrickle.pgt_refresh_history r JOIN pgtrickle.pgt_stream_tables USING (pgt_id)
         WHERE relid = st::regclass ORDER BY refresh_id DESC LIMIT 1;
        INSERT INTO bench.result VALUES (DEFAULT, scen, n, p, cyc, how, ms, commit_ms, h.action, h.strategy, h.delta_row_count,
            h.decision_ms, h.load_ms, h.plan_ms, h.delta_ms, h.apply_ms, h.cleanup_ms);
    ELSE
        INSERT INTO bench.result (scenario, rows, pct, cycle, mode, ms, commit_ms) VALUES (scen, n, p, cyc, how, ms, commit_ms);
    END IF;
    line := format('[BENCH_CYCLE] scenario=%s rows=%s pct=%s cycle=%s mode=%s ms=%s', scen, n, round(p / 100.0, 2), cyc, how, round(ms::numeric, 3));
    RAISE INFO '%', line;
END $$;

CREATE PROCEDURE bench.check(scen text, n int, p int) LANGUAGE plpgsql AS $$
DECLARE
    q text := (SELECT query FROM bench.scenario WHERE name = scen);
    st text;
    d bigint;
BEGIN
    FOREACH st IN ARRAY ARRAY['st_auto', 'st_incr'] LOOP
        EXECUTE format('SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL TABLE %1$I)) d', st, q)
           INTO d;
        INSERT INTO bench.checked VALUES (scen, n, p, st, d);
        IF d <> 0 THEN
            RAISE WARNING '% rows of % differ (% % %)', d, st, scen, n, p;
        END IF;
    END LOOP;
END $$;

-- Many refreshes with no, one or k changed rows in between. Only the refresh
-- is timed.
CREATE PROCEDURE bench.repeat(area text, name text, st text, times int, changed int, bar float8 DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz;
    ms float8[] := '{}';
    n int := (SELECT max(id) FROM src);
BEGIN
    PERFORM setseed(0.5);
    PERFORM pgtrickle.refresh_stream_table(st);
    COMMIT;
    FOR i IN 1 .. times LOOP
        IF changed > 0 THEN
            UPDATE src SET amount = (amount + 1) % 10000 WHERE id IN (SELECT (floor(random() * n) + 1)::int FROM generate_series(1, changed));
            COMMIT;
        END IF;
        t := clock_timestamp();
        PERFORM pgtrickle.refresh_stream_table(st);
        -- the first ones fill caches
        IF i > times / 5 THEN
            ms := ms || bench.ms_since(t);
        END IF;
        COMMIT;
    END LOOP;
    INSERT INTO bench.figure (area, name, value, unit, bar)
    SELECT repeat.area, repeat.name, percentile_cont(0.5) WITHIN GROUP (ORDER BY m), 'ms', repeat.bar FROM unnest(ms) m;
    INSERT INTO bench.figure (area, name, value, unit)
    SELECT repeat.area, repeat.name || ', P95', percentile_cont(0.95) WITHIN GROUP (ORDER BY m), 'ms' FROM unnest(ms) m;
END $$;

-- ---------------------------------------------------------------------------
-- Writes
-- ---------------------------------------------------------------------------

CREATE TABLE bench.write (width int, capture text, what text, ms float8);

-- Table w<width>_<capture> of 100K rows; capture none, statement, row, or part
-- (statement mode, but only two columns are used).
CREATE PROCEDURE bench.write_table(width int, capture text) LANGUAGE plpgsql AS $$
DECLARE
    name text := format('w%s_%s', width, capture);
    cols text := (SELECT string_agg(format('c%s %s NOT NULL', i, CASE i % 3 WHEN 0 THEN 'text' ELSE 'int' END), ', ')
                    FROM generate_series(1, width - 1) i);
    vals text := (SELECT string_agg(CASE i % 3 WHEN 0 THEN '''value '' || g' ELSE 'g % 1000' END, ', ')
                    FROM generate_series(1, width - 1) i);
BEGIN
    EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, %s)', name, cols);
    EXECUTE format('INSERT INTO %I SELECT g, %s FROM generate_series(1, 100000) g', name, vals);
    IF capture <> 'none' THEN
        PERFORM set_config('pg_trickle.cdc_trigger_mode', CASE capture WHEN 'row' THEN 'row' ELSE 'statement' END, false);
        PERFORM pgtrickle.create_stream_table(name || '_st', format('SELECT %s FROM %I', CASE capture WHEN 'part' THEN 'id, c1' ELSE '*' END,
                                              name), NULL, 'DIFFERENTIAL');
        PERFORM set_config('pg_trickle.cdc_trigger_mode', 'statement', false);
    END IF;
    COMMIT;
END $$;

-- One statement each on 10000 rows; COMMIT in between is not counted.
CREATE PROCEDURE bench.write_bulk(width int, capture text) LANGUAGE plpgsql AS $$
DECLARE
    name text := format('w%s_%s', width, capture);
    vals text := (SELECT string_agg(CASE i % 3 WHEN 0 THEN '''value '' || g' ELSE 'g % 1000' END, ', ')
                    FROM generate_series(1, width - 1) i);
    t timestamptz;
    ms float8;
    q record;
BEGIN
    FOR q IN VALUES
        ('INSERT', format('INSERT INTO %I SELECT 200000 + g, %s FROM generate_series(1, 10000) g', name, vals)),
        ('UPDATE', format('UPDATE %I SET c1 = c1 + 1 WHERE id > 200000', name)),
        ('UPDATE unused', format('UPDATE %I SET c4 = c4 + 1 WHERE id > 200000', name)),
        ('DELETE', format('DELETE FROM %I WHERE id > 200000', name))
    LOOP
        COMMIT;
        t := clock_timestamp();
        EXECUTE q.column2;
        ms := bench.ms_since(t);
        INSERT INTO bench.write VALUES (width, capture, q.column1, ms);
        COMMIT;
    END LOOP;
    IF capture <> 'none' THEN
        PERFORM pgtrickle.refresh_stream_table(name || '_st');
    END IF;
END $$;

-- Makes bench.loop_<table>(n): single-row statements in a loop; ms of one is stored.
CREATE PROCEDURE bench.write_single(width int, capture text) LANGUAGE plpgsql AS $$
DECLARE
    name text := format('w%s_%s', width, capture);
    vals text := (SELECT string_agg(CASE i % 3 WHEN 0 THEN '''value''' ELSE '7' END, ', ') FROM generate_series(1, width - 1) i);
BEGIN
    EXECUTE format($f$
        CREATE OR REPLACE PROCEDURE bench.loop_%1$s(n int) LANGUAGE plpgsql AS $b$
        DECLARE
            t timestamptz;
        BEGIN
            t := clock_timestamp();
            FOR i IN 1 .. n LOOP INSERT INTO %1$I VALUES (300000 + i, %2$s); END LOOP;
            INSERT INTO bench.write VALUES (%3$s, %4$L, 'single INSERT', bench.ms_since(t) / n);
            COMMIT;
            t := clock_timestamp();
            FOR i IN 1 .. n LOOP UPDATE %1$I SET c1 = c1 + 1 WHERE id = 300000 + i; END LOOP;
            INSERT INTO bench.write VALUES (%3$s, %4$L, 'single UPDATE', bench.ms_since(t) / n);
            COMMIT;
            t := clock_timestamp();
            FOR i IN 1 .. n LOOP DELETE FROM %1$I WHERE id = 300000 + i; END LOOP;
            INSERT INTO bench.write VALUES (%3$s, %4$L, 'single DELETE', bench.ms_since(t) / n);
            COMMIT;
        END $b$ $f$, name, vals, width, capture);
END $$;

-- Rows as the defining queries of the memory test give them.
CREATE FUNCTION bench.big_query(st text, anyelement) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE CASE st WHEN 'big_st' THEN 'SELECT id, v, t FROM big'
                         ELSE 'SELECT v, count(*) AS n, sum(id) AS s FROM big GROUP BY v' END;
END $$;
