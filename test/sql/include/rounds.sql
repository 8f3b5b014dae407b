\set ECHO none
--
-- Random rounds: stream tables in mode DIFFERENTIAL over two tables, a keyed one
-- and one without a key, that change at random; after each round each stream
-- table is compared with its query, by image.
--
-- Put queries into table queries, then CALL rounds(n); it reports what went
-- wrong, and fills table results. setseed() makes it reproducible. Needs oracle.sql.
--
CREATE TABLE t (id int PRIMARY KEY, a int, b text, v int, f numeric);
CREATE TABLE u (a int, x int, s text);
CREATE TABLE queries (name text PRIMARY KEY, query text);
CREATE TABLE results (round int, name text, action text, wrong bigint);

-- 0 .. n - 1, or NULL
CREATE FUNCTION small(n int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT nullif(floor(random() * (n + 1))::int, n) $$;

CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kind int := floor(random() * 9);
BEGIN
    IF kind <= 5 THEN
        INSERT INTO t SELECT i, small(4), chr(97 + floor(random() * 3)::int), small(6), (random() * 100)::int / 10.0
          FROM generate_series(1, 40) i WHERE random() < 0.2 ON CONFLICT DO NOTHING;
        UPDATE t SET v = small(6) WHERE random() < 0.1;
        UPDATE t SET a = small(4) WHERE random() < 0.05;
        UPDATE t SET id = id + 1000 + floor(random() * 100000)::int WHERE random() < 0.03;
        DELETE FROM t WHERE random() < 0.1;
    END IF;
    IF kind >= 3 THEN
        INSERT INTO u SELECT small(4), small(3), chr(97 + floor(random() * 3)::int) FROM generate_series(1, 5);
        DELETE FROM u WHERE random() < 0.15;
        UPDATE u SET x = small(3) WHERE random() < 0.1;
    END IF;
    IF kind = 8 AND random() < 0.2 THEN
        TRUNCATE u;
    END IF;
    IF kind = 0 AND random() < 0.3 THEN
        DELETE FROM t;
    END IF;
END $$;

CREATE PROCEDURE rounds(n int) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM queries ORDER BY name LOOP
        PERFORM pgtrickle.create_stream_table('st_' || r.name, r.query, schedule => NULL, refresh_mode => 'DIFFERENTIAL');
    END LOOP;
    FOR i IN 1 .. n LOOP
        PERFORM change();
        IF random() < 0.7 THEN
            COMMIT;
        END IF;
        FOR r IN SELECT * FROM queries ORDER BY name LOOP
            PERFORM pgtrickle.refresh_stream_table('st_' || r.name);
            INSERT INTO results
            SELECT i, r.name, (SELECT action FROM pgtrickle.get_refresh_history('st_' || r.name, 1)),
                   check_st(('st_' || r.name)::regclass, r.query, true);
            IF random() < 0.7 THEN
                COMMIT;
            END IF;
        END LOOP;
    END LOOP;
END $$;
\set ECHO all
