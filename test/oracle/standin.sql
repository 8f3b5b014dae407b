-- A stand-in for the extension, to try the oracle itself on a bare server.
DROP EVENT TRIGGER IF EXISTS forget;
CREATE SCHEMA IF NOT EXISTS pgtrickle;
CREATE SCHEMA IF NOT EXISTS pgtrickle_changes;
DROP TABLE IF EXISTS pgtrickle.pgt_stream_tables, pgtrickle.pgt_refresh_history;
CREATE TABLE pgtrickle.pgt_stream_tables (pgt_id bigserial, relid oid, q text);
CREATE TABLE pgtrickle.pgt_refresh_history (pgt_id bigint, refresh_id bigserial, action text, status text, fallback_reason text);
CREATE OR REPLACE FUNCTION pgtrickle.create_stream_table(name text, query text, sch text, mode text, init bool DEFAULT true)
RETURNS regclass LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s AS %s', name, query);
    INSERT INTO pgtrickle.pgt_stream_tables (relid, q) VALUES (name::regclass, query);
    RETURN name::regclass;
END $$;
CREATE OR REPLACE FUNCTION pgtrickle.refresh_stream_table(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE q text;
BEGIN
    SELECT s.q INTO q FROM pgtrickle.pgt_stream_tables s WHERE relid = name::regclass;
    EXECUTE format('DELETE FROM %s', name);
    EXECUTE format('INSERT INTO %s %s', name, q);
    IF current_setting('oracle.break', true) = 'on' AND q LIKE '%count(*)%' THEN
        EXECUTE format('DELETE FROM %s WHERE ctid = (SELECT max(ctid) FROM %1$s)', name);
    END IF;
END $$;
CREATE OR REPLACE FUNCTION pgtrickle.rebuild_cdc_triggers() RETURNS text LANGUAGE sql AS 'SELECT ''''';

CREATE OR REPLACE FUNCTION pgtrickle.forget() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM pgtrickle.pgt_stream_tables s WHERE s.relid IN (SELECT objid FROM pg_event_trigger_dropped_objects());
END $$;
DROP EVENT TRIGGER IF EXISTS forget;
CREATE EVENT TRIGGER forget ON sql_drop EXECUTE FUNCTION pgtrickle.forget();

-- other plans than the comparison's, so that what depends on them is seen
ALTER FUNCTION pgtrickle.refresh_stream_table(text) SET enable_hashagg = off;
ALTER FUNCTION pgtrickle.refresh_stream_table(text) SET enable_hashjoin = off;
ALTER FUNCTION pgtrickle.refresh_stream_table(text) SET enable_sort = off;

CREATE OR REPLACE FUNCTION pgtrickle.explain_refresh_mode(name text, OUT configured_mode text, OUT effective_mode text,
                                                          OUT downgrade_reason text)
    LANGUAGE sql AS 'SELECT ''FULL'', ''FULL'', NULL';
ALTER FUNCTION pgtrickle.refresh_stream_table(text) SET TimeZone = 'UTC';
ALTER FUNCTION pgtrickle.refresh_stream_table(text) SET DateStyle = 'ISO, MDY';
