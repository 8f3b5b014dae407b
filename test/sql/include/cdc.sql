-- Helpers of the cdc_* tests: stream tables over one source each.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
\set ECHO none
SET client_min_messages = warning;

CREATE TABLE IF NOT EXISTS cdc_queries (st text PRIMARY KEY, query text);

CREATE OR REPLACE FUNCTION cdc_create(st text, query text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.create_stream_table(st, query, schedule => NULL,
                                          refresh_mode => 'DIFFERENTIAL');
    INSERT INTO cdc_queries VALUES (st, query)
        ON CONFLICT ON CONSTRAINT cdc_queries_pkey DO UPDATE SET query = excluded.query;
END $$;

-- Refreshes, compares, and says what the refresh did.
CREATE OR REPLACE FUNCTION cdc_check(name text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    q text := (SELECT query FROM cdc_queries WHERE st = name);
    before bigint := (SELECT coalesce(max(refresh_id), 0) FROM pgtrickle.pgt_refresh_history);
    n bigint;
    r record;
BEGIN
    PERFORM pgtrickle.refresh_stream_table(name);
    n := check_st(name::regclass, q);
    IF n <> 0 THEN
        RETURN n || ' rows differ';
    END IF;
    SELECT h.action, h.fallback_reason, h.delta_row_count INTO r
      FROM pgtrickle.pgt_refresh_history h WHERE h.refresh_id > before
     ORDER BY h.refresh_id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 'no changes';
    END IF;
    RETURN r.action || coalesce(' (' || r.fallback_reason || ')', '')
        || CASE r.action WHEN 'DIFFERENTIAL' THEN ' ' || r.delta_row_count ELSE '' END;
END $$;

-- Rows in the change buffer, and what they look like.
CREATE OR REPLACE FUNCTION cdc_buffer(source regclass) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    seg int;
BEGIN
    FOR seg IN 0..1 LOOP
        RETURN QUERY EXECUTE format(
            'SELECT CASE WHEN s >= 1 << 30 THEN ''void'' WHEN s > 0 THEN ''+'' ELSE ''-'' END
                    || regexp_replace(b::text, ''^\(\d+,-?\d+'', '''')
               FROM pgtrickle_changes.changes_%s_%s b ORDER BY ctid', source::oid, seg);
    END LOOP;
END $$;

CREATE OR REPLACE VIEW cdc_triggers AS
SELECT tgrelid::regclass AS relation,
       string_agg(regexp_replace(tgname, '_\d+_', '_OID_')
                  || CASE WHEN tgtype & 1 = 1 THEN ' row' ELSE ' statement' END
                  || CASE tgenabled WHEN 'A' THEN '' ELSE ' ' || tgenabled::text END,
                  ', ' ORDER BY tgname) AS triggers
  FROM pg_trigger WHERE tgname LIKE 'pg_trickle_cdc%' GROUP BY 1;
\set ECHO all
