\set ECHO none
--
-- check_st: does a stream table hold what its query gives?
--
-- Returns how many rows differ between table ST and query Q, taken as
-- multisets: a row that is there twice and should be there once counts one, a
-- row with a wrong value counts two (one missing, one too many). Columns are
-- compared as GROUP BY does, so NULL equals NULL and 1.0 equals 1.00; a column
-- whose type has no equality or no order (json, point, xid) by its text. With
-- EXACT, every column is compared by its text. It is an error when the columns
-- differ in name, type, collation or order.
--
-- Use it in a regression test; its text does not appear in the output:
--   \getenv abs_srcdir PG_ABS_SRCDIR
--   \set oracle :abs_srcdir '/sql/include/oracle.sql'
--   \i :oracle
--   SELECT check_st('st', 'SELECT ...');
--
CREATE OR REPLACE FUNCTION check_st(st regclass, q text, exact boolean DEFAULT false)
RETURNS bigint LANGUAGE plpgsql
SET client_min_messages = warning
SET extra_float_digits = 3
AS $$
DECLARE
    have text[];
    want text[];
    col record;
    exprs text[] := '{}';
    n bigint;
BEGIN
    -- a view tells the query's columns
    EXECUTE format('CREATE TEMP VIEW pgt_check_query AS %s', q);
    SELECT array_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
                               'COLLATE ' || nullif(attcollation, 0)::regcollation) ORDER BY attnum)
      INTO want
      FROM pg_attribute
     WHERE attrelid = 'pg_temp.pgt_check_query'::regclass AND attnum > 0;
    SELECT array_agg(concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
                               'COLLATE ' || nullif(attcollation, 0)::regcollation) ORDER BY attnum)
      INTO have
      FROM pg_attribute
     WHERE attrelid = st AND attnum > 0 AND NOT attisdropped;
    DROP VIEW pg_temp.pgt_check_query;
    IF have IS DISTINCT FROM want THEN
        RAISE EXCEPTION 'columns of % differ from its query', st
            USING DETAIL = format('Table: %s; query: %s.', array_to_string(have, ', '),
                                  array_to_string(want, ', '));
    END IF;

    FOR col IN
        SELECT quote_ident(attname) AS name, format_type(atttypid, atttypmod) AS type
          FROM pg_attribute
         WHERE attrelid = st AND attnum > 0 AND NOT attisdropped
         ORDER BY attnum
    LOOP
        BEGIN
            IF NOT exact THEN
                EXECUTE format('SELECT FROM (SELECT NULL::%s AS c) s GROUP BY c ORDER BY c', col.type);
            END IF;
        EXCEPTION WHEN undefined_function THEN
            col.name := col.name || '::text';
        END;
        IF exact THEN
            col.name := col.name || '::text';
        END IF;
        exprs := exprs || col.name;
    END LOOP;

    -- one statement, so one snapshot for table and query
    EXECUTE format(
        'SELECT coalesce(sum(abs(w)), 0) FROM ('
        '  SELECT sum(w) AS w FROM ('
        '    SELECT 1 AS w, ROW(%1$s) AS r FROM %2$s t'
        '    UNION ALL'
        '    SELECT -1, ROW(%1$s) FROM (%3$s) t) u'
        '  GROUP BY r) d',
        array_to_string(exprs, ', '), st, rtrim(q, E' \n\t;'))
      INTO n;
    RETURN n;
END
$$;
\set ECHO all
