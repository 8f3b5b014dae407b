--
-- Graphs of stream tables, and how long a change takes to go through them.
--
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS dag CASCADE;
CREATE SCHEMA dag;
CREATE TABLE dag.result (what text, variant text, ms float8);

CREATE FUNCTION dag.burn(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
    r int := 0;
BEGIN
    FOR i IN 1 .. 20000 LOOP r := (r + i * x) % 1000; END LOOP;
    RETURN r;
END $$;

CREATE PROCEDURE dag.st(name text, query text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.create_stream_table('g.' || name, query, '0s');
END $$;

-- An empty schema g with a source of 10,000 rows.
CREATE PROCEDURE dag.clear() LANGUAGE plpgsql AS $$
BEGIN
    DROP SCHEMA IF EXISTS g CASCADE;
    CREATE SCHEMA g;
    CREATE TABLE g.src (id int PRIMARY KEY, grp int, v int);
    INSERT INTO g.src SELECT i, i % 100, 0 FROM generate_series(1, 10000) i;
    COMMIT;
    ANALYZE g.src;
END $$;

-- Columns of stream tables over the source, each reading the one above.
CREATE PROCEDURE dag.make_columns(width int, depth int) LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    FOR i IN 1 .. width LOOP
        FOR j IN 1 .. depth LOOP
            CALL dag.st(format('t%s_%s', j, i),
                'SELECT id, grp, v FROM g.' || CASE j WHEN 1 THEN 'src' ELSE format('t%s_%s', j - 1, i) END);
        END LOOP;
        COMMIT;
    END LOOP;
END $$;

CREATE PROCEDURE dag.make_tree(branching int, depth int) LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    CALL dag.st('t1_1', 'SELECT id, grp, v FROM g.src');
    FOR j IN 2 .. depth LOOP
        FOR i IN 1 .. branching ^ (j - 1) LOOP
            CALL dag.st(format('t%s_%s', j, i), format('SELECT id, grp, v FROM g.t%s_%s', j - 1, (i + branching - 1) / branching));
        END LOOP;
    END LOOP;
    COMMIT;
END $$;

CREATE PROCEDURE dag.make_diamond() LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    CALL dag.st('l', 'SELECT id, v FROM g.src');
    CALL dag.st('r', 'SELECT id, grp FROM g.src WHERE v >= 0');
    CALL dag.st('t1_1', 'SELECT l.id, r.grp, l.v FROM g.l JOIN g.r USING (id)');
    COMMIT;
END $$;

-- 15: filters, groups, a join, a diamond, aggregates over aggregates, a chain.
CREATE PROCEDURE dag.make_mixed() LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    CREATE TABLE g.dim (grp int PRIMARY KEY, name text);
    INSERT INTO g.dim SELECT i, 'g' || i FROM generate_series(0, 99) i;
    CALL dag.st('even', 'SELECT id, grp, v FROM g.src WHERE id % 2 = 0');
    CALL dag.st('odd', 'SELECT id, grp, v FROM g.src WHERE id % 2 = 1');
    CALL dag.st('named', 'SELECT s.id, d.name, s.v FROM g.src s JOIN g.dim d USING (grp)');
    CALL dag.st('by_group', 'SELECT grp, count(*) AS n, sum(v) AS s FROM g.src GROUP BY grp');
    CALL dag.st('by_name', 'SELECT name, max(v) AS m FROM g.named GROUP BY name');
    CALL dag.st('even_sum', 'SELECT grp, sum(v) AS s FROM g.even GROUP BY grp');
    CALL dag.st('odd_sum', 'SELECT grp, sum(v) AS s FROM g.odd GROUP BY grp');
    CALL dag.st('both', 'SELECT grp, e.s AS e, o.s AS o FROM g.even_sum e JOIN g.odd_sum o USING (grp)');
    CALL dag.st('big', 'SELECT grp, n, s FROM g.by_group WHERE s > 10');
    CALL dag.st('total', 'SELECT sum(n) AS n, sum(s) AS s FROM g.by_group');
    CALL dag.st('c1', 'SELECT id, grp, v FROM g.src');
    CALL dag.st('c2', 'SELECT id, grp, v FROM g.c1');
    CALL dag.st('c3', 'SELECT id, grp, v FROM g.c2');
    CALL dag.st('c4', 'SELECT id, grp, v FROM g.c3');
    CALL dag.st('t1_1', 'SELECT id, grp, v FROM g.c4');
    COMMIT;
END $$;

CREATE PROCEDURE dag.make_branches() LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    CREATE TABLE g.other (id int PRIMARY KEY, grp int, v int);
    INSERT INTO g.other SELECT * FROM g.src;
    CALL dag.st('t1_1', 'SELECT id, sum(v) AS v, sum(dag.burn(v)) AS b FROM g.src WHERE id <= 500 GROUP BY id');
    CALL dag.st('t1_2', 'SELECT id, sum(v) AS v, sum(dag.burn(v)) AS b FROM g.other WHERE id <= 500 GROUP BY id');
    COMMIT;
END $$;

-- Milliseconds from the commit of a change of rows with id up to n until all the
-- tables at the end of the graph show it; looks each so many seconds.
CREATE PROCEDURE dag.measure(what text, variant text, cycles int, sources text[], ends text[], n int, every float8, keep bool)
LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz;
    newest int;
    seen bool;
BEGIN
    FOR c IN 1 .. cycles LOOP
        newest := nextval('dag.version');
        FOR i IN 1 .. cardinality(sources) LOOP
            EXECUTE format('UPDATE g.%I SET v = %s WHERE id <= %s', sources[i], newest, n);
        END LOOP;
        COMMIT;
        t := clock_timestamp();
        FOR i IN 1 .. cardinality(ends) LOOP
            LOOP
                EXECUTE format('SELECT v = %s FROM g.%I WHERE id = 1', newest, ends[i]) INTO seen;
                COMMIT;
                EXIT WHEN seen;
                PERFORM pg_sleep(every);
                IF clock_timestamp() - t > '60 s' THEN
                    RAISE 'no change in % after 60 s', ends[i];
                END IF;
            END LOOP;
        END LOOP;
        IF keep THEN
            INSERT INTO dag.result VALUES (what, variant, extract(epoch FROM clock_timestamp() - t) * 1000);
        END IF;
        COMMIT;
        -- what else reads the source may still be at it
        LOOP
            EXIT WHEN NOT EXISTS (SELECT FROM pgtrickle.parallel_job_status(1) WHERE finished_at IS NULL);
            PERFORM pg_sleep(0.001);
        END LOOP;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

CREATE SEQUENCE dag.version;

-- ---- the computation of two branches in plain sessions ----

CREATE TABLE dag.plain (sessions int, begun timestamptz, ms float8);

-- What a refresh of a branch computes of n changed rows, old and new, so many times.
CREATE PROCEDURE dag.compute(sessions int, begun timestamptz, n int, times int) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(extract(epoch FROM begun - clock_timestamp()));
    FOR i IN 1 .. times LOOP
        PERFORM id, sum(v), sum(dag.burn(v)) FROM (SELECT id, v FROM g.src WHERE id <= n UNION ALL SELECT id, v + 1 FROM g.src WHERE id <= n) c GROUP BY id;
    END LOOP;
    INSERT INTO dag.plain VALUES (sessions, begun, extract(epoch FROM clock_timestamp() - begun) * 1000);
END $$;

-- What two workers give, and what two sessions do that have nothing to do with us.
CREATE VIEW dag.parallel_report AS
WITH plain AS (
    SELECT sessions, begun, max(ms) AS ms FROM dag.plain GROUP BY sessions, begun
), run(what, n, ms) AS (
    SELECT what || ', refreshed', variant::int, ms FROM dag.result
    UNION ALL SELECT 'the same in plain sessions', sessions, ms FROM plain
), median AS (
    SELECT what, count(*) AS runs, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE n = 1) AS one,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE n = 2) AS two
    FROM run GROUP BY what
)
SELECT what, runs, round(one::numeric) AS one_after_the_other_ms, round(two::numeric) AS two_at_a_time_ms, round((one / two)::numeric, 2) AS times_as_fast
FROM median ORDER BY what DESC;

CREATE FUNCTION dag.bottom(width int, depth int) RETURNS text[] IMMUTABLE LANGUAGE sql AS
    $$SELECT array_agg(format('t%s_%s', depth, i)) FROM generate_series(1, width) i$$;

-- ---- writers ----

CREATE TABLE dag.written (round int, variant text, writer int, transactions int,
    seconds float8, own_cpu float8, refresh_cpu float8, refreshes int);

-- Seconds of CPU that a process has used; NULL if it is gone.
CREATE FUNCTION dag.cpu(pid int) RETURNS float8 VOLATILE LANGUAGE sql AS
    $$SELECT split_part(pg_read_file(format('/proc/%s/schedstat', pid), 0, 100, true), ' ', 1)::float8 / 1e9$$;

-- The same of all processes of pg_trickle together; they stay.
CREATE FUNCTION dag.refresh_cpu() RETURNS float8 VOLATILE LANGUAGE sql AS
    $$SELECT sum(dag.cpu(pid)) FROM pg_stat_activity WHERE backend_type LIKE 'pg_trickle%'$$;

CREATE FUNCTION dag.refreshes() RETURNS int VOLATILE LANGUAGE sql AS
    $$SELECT sum(full_refreshes + differential_refreshes) FROM pgtrickle.pg_stat_stream_tables$$;

CREATE PROCEDURE dag.make_written() LANGUAGE plpgsql AS $$
BEGIN
    CALL dag.clear();
    CREATE TABLE g.none (LIKE g.src INCLUDING ALL);
    CREATE TABLE g.captured (LIKE g.src INCLUDING ALL);
    INSERT INTO g.none SELECT * FROM g.src;
    INSERT INTO g.captured SELECT * FROM g.src;
    CALL dag.st('a', 'SELECT id, grp, v FROM g.src');
    CALL dag.st('b', 'SELECT grp, count(*) AS n, sum(v) AS s FROM g.a GROUP BY grp');
    PERFORM pgtrickle.create_stream_table('g.kept', 'SELECT id, grp, v FROM g.captured', NULL);
    COMMIT;
    ANALYZE g.none, g.captured;
END $$;

CREATE PROCEDURE dag.write(round int, variant text, for_seconds int, writer int) LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
    until timestamptz := begun + make_interval(secs => for_seconds);
    own float8;
    theirs float8 := dag.refresh_cpu();
    refreshes int := dag.refreshes();
    n int := 0;
    key int;
BEGIN
    own := dag.cpu(pg_backend_pid());
    WHILE clock_timestamp() < until LOOP
        -- neither waits for the other
        key := 1 + (writer - 1) * 5000 + (random() * 4999)::int;
        IF variant = 'none' THEN
            UPDATE g.none SET v = v + 1 WHERE id = key;
        ELSIF variant = 'capture' THEN
            UPDATE g.captured SET v = v + 1 WHERE id = key;
        ELSE
            UPDATE g.src SET v = v + 1 WHERE id = key;
        END IF;
        COMMIT;
        n := n + 1;
    END LOOP;
    INSERT INTO dag.written VALUES (round, variant, writer, n, extract(epoch FROM clock_timestamp() - begun),
        dag.cpu(pg_backend_pid()) - own, dag.refresh_cpu() - theirs, dag.refreshes() - refreshes);
END $$;

CREATE FUNCTION dag.written_is_equal() RETURNS bool VOLATILE LANGUAGE plpgsql AS $$
BEGIN
    RETURN NOT EXISTS (SELECT * FROM g.src EXCEPT SELECT * FROM g.a)
        AND NOT EXISTS (SELECT grp, count(*), sum(v) FROM g.src GROUP BY grp EXCEPT SELECT * FROM g.b);
END $$;

-- Until the scheduler has nothing to do any more.
CREATE PROCEDURE dag.settle() LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
BEGIN
    LOOP
        EXIT WHEN dag.written_is_equal();
        COMMIT;
        IF clock_timestamp() - begun > '60 s' THEN
            RAISE 'stream tables are not up to date after 60 s';
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- Ratios are taken within a round, so that what the machine does meanwhile hits both sides.
CREATE VIEW dag.writers_report AS
WITH run AS (
    SELECT round, variant, sum(transactions / seconds) AS tps, sum(own_cpu) / sum(transactions) * 1e6 AS us,
           max(refresh_cpu / seconds) AS share, max(refreshes / seconds) AS refreshes
    FROM dag.written WHERE round > 0 GROUP BY round, variant
), paired AS (
    SELECT r.*, r.tps / n.tps AS of_none, r.us - n.us AS more_us
    FROM run r JOIN run n USING (round) WHERE n.variant = 'none'
)
SELECT variant AS writers, count(*) AS rounds,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY tps)) AS tps,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY of_none)::numeric, 2) AS of_none,
       round(min(of_none)::numeric, 2) AS least, round(max(of_none)::numeric, 2) AS most,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric, 1) AS own_cpu_us,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY more_us)::numeric, 1) AS more_us,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY share)::numeric, 2) AS refresh_cores,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY refreshes)) AS refreshes_per_s
FROM paired GROUP BY variant ORDER BY min(array_position(ARRAY['none', 'capture', 'full'], variant));
