--
-- The oracle's own objects in the server: column types, and functions that
-- create, refresh and compare stream tables. See test/oracle/README.
--
SET client_min_messages = warning;
-- autovacuum may be there
SET lock_timeout = '30s';
DROP SCHEMA IF EXISTS oracle CASCADE;
DROP SCHEMA IF EXISTS o CASCADE;
RESET lock_timeout;
CREATE SCHEMA oracle;
CREATE SCHEMA o;

CREATE TYPE oracle.comp AS (f int, g text);
CREATE DOMAIN oracle.posint AS int CHECK (VALUE > -1000);
CREATE TYPE oracle.color AS ENUM ('red', 'green', 'blue');
CREATE FUNCTION oracle.plus(a int, b int DEFAULT 3) RETURNS int
    LANGUAGE sql IMMUTABLE AS 'SELECT a * 10 + b';
CREATE FUNCTION oracle.usum_step(bigint, int) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + coalesce($2, 100)';
CREATE FUNCTION oracle.fan(int) RETURNS SETOF int
    LANGUAGE sql IMMUTABLE AS 'SELECT g FROM generate_series(1, least($1, 2)) g';
CREATE FUNCTION oracle.fan2(i int, OUT v int, OUT w text) RETURNS SETOF record
    LANGUAGE plpgsql IMMUTABLE AS 'BEGIN FOR v IN 0 .. least(i, 2) LOOP w := ''w'' || v % 2; RETURN NEXT; END LOOP; END';
CREATE AGGREGATE oracle.usum(int) (sfunc = oracle.usum_step, stype = bigint);

-- equal beyond image: 'a' = 'A', where the server has ICU
DO $$
BEGIN
    CREATE COLLATION oracle.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN OTHERS THEN
    CREATE COLLATION oracle.ci FROM "C";
END $$;

-- citext and xml where the server has them
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
    CREATE DOMAIN oracle.cit AS public.citext;
EXCEPTION WHEN OTHERS THEN
    CREATE DOMAIN oracle.cit AS text COLLATE oracle.ci;
END $$;
DO $$
BEGIN
    PERFORM '<a/>'::xml;
    CREATE DOMAIN oracle.xmldoc AS xml;
EXCEPTION WHEN OTHERS THEN
    CREATE DOMAIN oracle.xmldoc AS text;
END $$;

CREATE TABLE oracle.st (
    id int PRIMARY KEY,
    name text,
    query text,
    mode text,
    cmp text,
    raises boolean NOT NULL         -- a subquery may give more than one row
);

CREATE FUNCTION oracle.columns(rel regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
                                'COLLATE ' || nullif(attcollation, 0)::regcollation),
                      ', ' ORDER BY attnum)
      FROM pg_attribute
     WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped
$$;

-- Most of the time of a comparison goes into planning: it is prepared once.
CREATE FUNCTION oracle.prepare(st oracle.st) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'PREPARE oracle_compare_%4$s AS'
        ' SELECT (SELECT string_agg(format(''%%s x %%s'', w, left(r, 200)), '' | '' ORDER BY r) FROM ('
        '  SELECT sum(w) AS w, r FROM ('
        '    SELECT 1 AS w, ROW(%1$s)::text AS r FROM %2$s t'
        '    UNION ALL'
        '    SELECT -1, ROW(%1$s)::text FROM (%3$s) t) u'
        '  GROUP BY r HAVING sum(w) <> 0 LIMIT 8) d), NOT EXISTS (SELECT FROM %2$s)',
        st.cmp, st.name, st.query, st.id);
END $$;

-- How many rows of a stream table are too many or missing, as text; NULL: none. And whether it is empty.
CREATE FUNCTION oracle.compare(st oracle.st, OUT diff text, OUT empty boolean) LANGUAGE plpgsql AS $$
BEGIN
    -- what the settings of the session did to the stream table must not count
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, MDY';
    EXECUTE 'EXECUTE oracle_compare_' || st.id INTO diff, empty;
END $$;

-- One word, and more when it is not good: ok ACTION, skip, FAIL kind: text.
CREATE FUNCTION oracle.refresh(st_id int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    st oracle.st;
    last bigint;
    h record;
    c record;
    zone text := current_setting('TimeZone');
    style text := current_setting('DateStyle');
    began timestamptz := clock_timestamp();
    refreshed timestamptz;
    refresh_s numeric;
    query_s numeric;
BEGIN
    SELECT * INTO st FROM oracle.st WHERE id = st_id;
    IF NOT FOUND THEN
        RETURN 'skip';
    END IF;
    SELECT max(refresh_id) INTO last FROM pgtrickle.pgt_refresh_history;
    IF st.raises THEN
        BEGIN
            PERFORM pgtrickle.refresh_stream_table(st.name);
        EXCEPTION WHEN cardinality_violation THEN
            BEGIN
                PERFORM oracle.compare(st);
            EXCEPTION WHEN cardinality_violation THEN
                RETURN 'ok ' || st.mode || ' RAISED ';
            END;
            RETURN format('FAIL raised: %s: the query does not raise', st.name);
        END;
    ELSE
        PERFORM pgtrickle.refresh_stream_table(st.name);
    END IF;
    SELECT action, status, fallback_reason INTO h
      FROM pgtrickle.pgt_refresh_history
     WHERE refresh_id > coalesce(last, 0)
       AND pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = st.name::regclass)
     ORDER BY refresh_id DESC LIMIT 1;
    refreshed := clock_timestamp();
    c := oracle.compare(st);
    refresh_s := extract(epoch FROM refreshed - began);
    query_s := extract(epoch FROM clock_timestamp() - refreshed);
    PERFORM set_config('TimeZone', zone, false), set_config('DateStyle', style, false);
    IF c.diff IS NOT NULL THEN
        RETURN format('FAIL diff: %s after %s: %s', st.name, coalesce(h.action, 'NO_DATA'), c.diff);
    END IF;
    IF h.status <> 'COMPLETED' THEN
        RETURN format('FAIL status: %s is %s', st.name, h.status);
    END IF;
    RETURN format('ok %s %s %s', st.mode, coalesce(h.action, 'NO_DATA') || CASE WHEN c.empty THEN '_EMPTY' ELSE '' END,
                  coalesce(h.fallback_reason, ''))
        || CASE WHEN refresh_s > 1 AND refresh_s > 4 * query_s
                THEN format(E'\nslow %s: %s s by %s, %s s by query', st.name, round(refresh_s, 2), h.action, round(query_s, 2))
                ELSE '' END;
END $$;

-- The columns of a query that PostgreSQL takes, and runs; else why it does not.
CREATE FUNCTION oracle.try(query text, cmp text, OUT columns text, OUT invalid text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE TEMP VIEW oracle_query AS ' || query;
    columns := oracle.columns('pg_temp.oracle_query');
    EXECUTE 'SELECT ' || cmp || ' FROM pg_temp.oracle_query';
    DROP VIEW pg_temp.oracle_query;
EXCEPTION WHEN OTHERS THEN
    invalid := format('invalid %s %s', SQLSTATE, SQLERRM);
END $$;

-- ok, refused, or invalid when PostgreSQL itself does not take the query.
CREATE FUNCTION oracle.make(id int, name text, query text, mode text, init boolean, cmp text, raises boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    tried record;
    have text;
    refusal text := '';
    detail text;
    st oracle.st;
    diff text;
    state text;
BEGIN
    IF NOT init THEN
        tried := oracle.try(query, cmp);
        IF tried.invalid IS NOT NULL THEN
            RETURN tried.invalid;
        END IF;
    END IF;
    BEGIN
        PERFORM pgtrickle.create_stream_table(name, query, NULL, mode, init);
    EXCEPTION WHEN feature_not_supported THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        refusal := format('refused %s / %s ', SQLERRM, detail);
        tried := oracle.try(query, cmp);
        IF tried.invalid IS NOT NULL THEN
            RETURN tried.invalid;
        END IF;
        mode := 'AUTO';
        BEGIN
            PERFORM pgtrickle.create_stream_table(name, query, NULL, mode, init);
        EXCEPTION WHEN feature_not_supported THEN
            RETURN refusal || 'wholly ';
        END;
    WHEN OTHERS THEN
        state := SQLSTATE;
        diff := SQLERRM;
        tried := oracle.try(query, cmp);
        IF tried.invalid IS NOT NULL THEN
            RETURN tried.invalid;
        END IF;
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = diff;
    END;
    -- names and types of the columns, now and then
    IF NOT init OR id % 3 = 0 THEN
        tried := oracle.try(query, cmp);
        have := oracle.columns(name::regclass);
        IF have IS DISTINCT FROM tried.columns THEN
            RETURN format('FAIL columns: %s has %s, not %s', name, have, tried.columns);
        END IF;
    END IF;
    INSERT INTO oracle.st VALUES (id, name, query, mode, cmp, raises) RETURNING * INTO st;
    PERFORM oracle.prepare(st);
    IF init THEN
        SELECT c.diff INTO diff FROM oracle.compare(st) c;
        IF diff IS NOT NULL THEN
            RETURN format('FAIL diff: %s at creation: %s', name, diff);
        END IF;
    END IF;
    RETURN refusal || 'ok ' || coalesce((SELECT effective_mode || CASE WHEN refusal = '' AND mode <> 'FULL' AND downgrade_reason IS NOT NULL
                                                   THEN ' ' || downgrade_reason ELSE '' END
                                           FROM pgtrickle.explain_refresh_mode(name)), '');
END $$;

-- Removes everything of a case group, and sees that nothing stays behind.
CREATE FUNCTION oracle.clean() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    left_over text;
BEGIN
    DELETE FROM oracle.st;
    DEALLOCATE ALL;
    DROP SCHEMA IF EXISTS o CASCADE;
    SELECT string_agg(c.relname, ', ') INTO left_over
      FROM pg_class c WHERE relnamespace = 'pgtrickle_changes'::regnamespace AND relkind IN ('r', 'v');
    left_over := concat_ws('; ', left_over,
        (SELECT string_agg(relid::text, ', ') FROM pgtrickle.pgt_stream_tables));
    CREATE SCHEMA o;
    RETURN CASE WHEN left_over <> '' THEN 'FAIL left behind: ' || left_over ELSE 'ok' END;
END $$;
