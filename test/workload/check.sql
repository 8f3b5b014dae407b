--
-- Correctness of a set of queries as stream tables: those of workload.query become
-- a stream table each, and are compared with their queries after every batch of
-- changes.
--
\set ON_ERROR_STOP 1
CREATE SCHEMA workload;
CREATE TABLE workload.query (n int PRIMARY KEY, name text NOT NULL, query text NOT NULL);
CREATE TABLE workload.compared (batch int, name text, differing bigint, rows bigint, action text, changed bigint);

-- Differential wherever that is possible.
CREATE PROCEDURE workload.create_stream_tables() LANGUAGE plpgsql AS $$
DECLARE
    q record;
BEGIN
    FOR q IN SELECT * FROM workload.query ORDER BY n LOOP
        BEGIN
            PERFORM pgtrickle.create_stream_table('public.' || q.name, q.query, NULL, 'DIFFERENTIAL');
        EXCEPTION WHEN feature_not_supported THEN
            PERFORM pgtrickle.create_stream_table('public.' || q.name, q.query, NULL, 'AUTO');
        END;
    END LOOP;
END $$;

-- Refreshes all and compares them.
CREATE PROCEDURE workload.compare(batch int) LANGUAGE plpgsql AS $$
DECLARE
    q record;
    d bigint;
    r bigint;
BEGIN
    FOR q IN SELECT * FROM workload.query ORDER BY n LOOP
        PERFORM pgtrickle.refresh_stream_table('public.' || q.name);
    END LOOP;
    FOR q IN SELECT * FROM workload.query ORDER BY n LOOP
        EXECUTE 'CREATE TEMP TABLE expected AS ' || q.query;
        EXECUTE format('SELECT count(*) FROM ((TABLE public.%1$I EXCEPT ALL TABLE expected) UNION ALL
                                              (TABLE expected EXCEPT ALL TABLE public.%1$I)) d', q.name) INTO d;
        SELECT count(*) INTO r FROM expected e WHERE NOT e IS NULL;
        INSERT INTO workload.compared
        SELECT batch, q.name, d, r, h.action, h.rows_inserted + h.rows_deleted FROM pgtrickle.get_refresh_history('public.' || q.name, 1) h;
        DROP TABLE expected;
    END LOOP;
    COMMIT;
END $$;
