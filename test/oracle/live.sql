--
-- Tables, stream tables, writers and refreshers for the tests that run several
-- sessions at once (test/t/9*_oracle_*.pl).
--
SET client_min_messages = warning;
CREATE SCHEMA live;
CREATE TABLE live.dim (region text PRIMARY KEY, region_name text);
CREATE TABLE live.src (id int PRIMARY KEY, region text, category text, amount numeric, score int);
CREATE TABLE live.nk (region text, x int);
CREATE TABLE live.part (k int, id int, v text, PRIMARY KEY (k, id)) PARTITION BY LIST (k);
CREATE TABLE live.part_a PARTITION OF live.part FOR VALUES IN (0, 1);
CREATE TABLE live.part_b PARTITION OF live.part DEFAULT;
INSERT INTO live.dim SELECT 'r' || i, 'n' || i % 3 FROM generate_series(0, 4) i;
INSERT INTO live.nk SELECT 'r' || i % 4, i % 3 FROM generate_series(1, 10) i;
INSERT INTO live.src SELECT i, CASE WHEN i % 7 > 0 THEN 'r' || i % 5 END, 'c' || i % 3, CASE WHEN i % 11 > 0 THEN (i * 7) % 50 + 0.5 END, i % 10
  FROM generate_series(1, 100) i;
INSERT INTO live.part SELECT i % 4, i, 'v' || i % 3 FROM generate_series(1, 30) i;

CREATE TABLE live.st (name text PRIMARY KEY, query text, mode text DEFAULT 'DIFFERENTIAL', settings text);
INSERT INTO live.st VALUES
('live.s_scan', 'SELECT id, region, category, amount, score FROM live.src'),
('live.s_filter', 'SELECT id, amount FROM live.src WHERE score > 4'),
('live.s_bag', 'SELECT region, category, score FROM live.src'),
('live.s_join', 'SELECT s.id, s.amount, d.region_name FROM live.src s JOIN live.dim d ON s.region = d.region'),
('live.s_agg', 'SELECT region, sum(amount) AS total, count(*) AS n, avg(amount) AS av, min(amount) AS mi, max(score) AS ma FROM live.src GROUP BY region'),
('live.s_joinagg', 'SELECT d.region_name, n.x, count(*) AS n, sum(s.score) AS ss FROM live.src s JOIN live.dim d ON s.region = d.region JOIN live.nk n ON n.region = s.region GROUP BY 1, 2'),
('live.s_self', 'SELECT a.id AS ai, b.id AS bi FROM live.src a JOIN live.src b ON a.region = b.region AND a.score < b.score WHERE a.category = ''c1'''),
('live.s_rescan', 'SELECT region, string_agg(category, '','' ORDER BY category) AS cats FROM live.src GROUP BY region'),
('live.s_one', 'SELECT count(*) AS n, sum(amount) AS total FROM live.src'),
('live.s_part', 'SELECT k, count(*) AS n, min(v) AS mi FROM live.part GROUP BY k HAVING count(*) > 1'),
('live.s_union', 'SELECT id, region FROM live.src WHERE score < 5 UNION ALL SELECT id, v FROM live.part');
INSERT INTO live.st VALUES
('live.s_over', 'SELECT n, count(*) AS regions FROM live.s_agg GROUP BY n', 'DIFFERENTIAL'),
('live.s_auto', 'SELECT category, count(*) AS n, sum(score) AS ss FROM live.src GROUP BY category', 'AUTO'),
('live.s_full', 'SELECT DISTINCT region FROM live.src', 'FULL');

CREATE FUNCTION live.create_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s live.st;
BEGIN
    FOR s IN SELECT * FROM live.st ORDER BY name = 'live.s_over' LOOP
        PERFORM pgtrickle.create_stream_table(s.name, s.query, NULL, s.mode);
    END LOOP;
END $$;

CREATE FUNCTION live.refresh_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s live.st;
BEGIN
    FOR s IN SELECT * FROM live.st ORDER BY name = 'live.s_over' LOOP
        PERFORM pgtrickle.refresh_stream_table(s.name);
    END LOOP;
END $$;

-- Names of stream tables that differ from their queries, with the rows.
CREATE FUNCTION live.differing() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s live.st;
    d text;
    bad text;
BEGIN
    FOR s IN SELECT * FROM live.st LOOP
        EXECUTE format('SELECT string_agg(w || '' x '' || r, '' | '') FROM (SELECT sum(w) AS w, r FROM ('
                       'SELECT 1 AS w, t::text AS r FROM %s t UNION ALL SELECT -1, q::text FROM (%s) q) u '
                       'GROUP BY r HAVING sum(w) <> 0 LIMIT 5) d', s.name, s.query) INTO d;
        IF d IS NOT NULL THEN
            bad := concat_ws(E'\n', bad, s.name || ': ' || d);
        END IF;
    END LOOP;
    RETURN bad;
END $$;

-- One random change.
CREATE PROCEDURE live.change() LANGUAGE plpgsql AS $$
DECLARE
    r float8 := random();
    i int := floor(random() * 200);
BEGIN
    IF r < 0.2 THEN
        INSERT INTO live.src SELECT i + y * 1000, CASE WHEN i % 9 > 0 THEN 'r' || i % 6 END, 'c' || i % 4, (i % 50) + 0.5, i % 11
          FROM generate_series(0, i % 4) y ON CONFLICT (id) DO UPDATE SET score = excluded.score;
    ELSIF r < 0.32 THEN
        DELETE FROM live.src WHERE id % 200 = i;
    ELSIF r < 0.5 THEN
        UPDATE live.src SET amount = (i % 40) + 0.25, region = 'r' || i % 5 WHERE id % 13 = i % 13;
    ELSIF r < 0.56 THEN
        UPDATE live.src SET score = score + 1 WHERE id % 50 = i % 50;
    ELSIF r < 0.6 THEN
        UPDATE live.src SET id = id + 100000 + i WHERE id = i;
    ELSIF r < 0.68 THEN
        UPDATE live.dim SET region_name = 'n' || i % 4 WHERE region = 'r' || i % 6;
    ELSIF r < 0.72 THEN
        DELETE FROM live.dim WHERE region = 'r' || i % 6;
    ELSIF r < 0.78 THEN
        INSERT INTO live.dim VALUES ('r' || i % 6, 'n' || i % 3) ON CONFLICT DO NOTHING;
    ELSIF r < 0.85 THEN
        INSERT INTO live.nk VALUES ('r' || i % 6, i % 3), ('r' || i % 6, i % 3);
    ELSIF r < 0.9 THEN
        DELETE FROM live.nk WHERE ctid IN (SELECT ctid FROM live.nk LIMIT 2);
    ELSIF r < 0.94 THEN
        INSERT INTO live.part VALUES (i % 4, i, 'v' || i % 3) ON CONFLICT DO NOTHING;
    ELSIF r < 0.97 THEN
        UPDATE live.part SET k = (k + 1) % 4 WHERE id = i;
    ELSE
        DELETE FROM live.part_a WHERE id % 20 = i % 20;
    END IF;
END $$;

-- Transactions of some changes, with pauses, savepoints rolled back, and
-- rollbacks.
CREATE PROCEDURE live.write(seconds float8, seed float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + seconds * interval '1 s';
BEGIN
    PERFORM setseed(seed);
    WHILE clock_timestamp() < until LOOP
        FOR i IN 1 .. 1 + floor(random() * 4) LOOP
            BEGIN
                CALL live.change();
                IF random() < 0.2 THEN
                    RAISE SQLSTATE 'ZZ001';
                END IF;
            EXCEPTION WHEN SQLSTATE 'ZZ001' OR unique_violation OR deadlock_detected THEN
                NULL;
            END;
            PERFORM pg_sleep(random() * 0.008);
        END LOOP;
        IF random() < 0.15 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
END $$;

CREATE PROCEDURE live.refresh(seconds float8, seed float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + seconds * interval '1 s';
    st text;
BEGIN
    PERFORM setseed(seed);
    WHILE clock_timestamp() < until LOOP
        FOR st IN SELECT name FROM live.st ORDER BY random() LIMIT 1 + floor(random() * 3) LOOP
            PERFORM pgtrickle.refresh_stream_table(st);
            IF random() < 0.1 THEN ROLLBACK; ELSE COMMIT; END IF;
        END LOOP;
        PERFORM pg_sleep(random() * 0.005);
    END LOOP;
END $$;

-- Holds writers off, refreshes everything and compares; counts and complains.
CREATE TABLE live.checks (n bigint, bad text);
CREATE PROCEDURE live.watch(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + seconds * interval '1 s';
    bad text;
BEGIN
    WHILE clock_timestamp() < until LOOP
        BEGIN
            LOCK TABLE live.src, live.dim, live.nk, live.part IN SHARE MODE;
        EXCEPTION WHEN deadlock_detected THEN
            CONTINUE;           -- a writer was half way through
        END;
        PERFORM live.refresh_all();
        bad := live.differing();
        COMMIT;
        INSERT INTO live.checks VALUES (1, bad);
        COMMIT;
        PERFORM pg_sleep(0.2);
    END LOOP;
END $$;
