-- Looking at stream tables. Functions that need more than the catalog are in
-- C; the rest selects from stream_table_details().

CREATE FUNCTION pgtrickle.stream_table_details(
    OUT pgt_id bigint, OUT relid oid, OUT name text, OUT schemaname text, OUT relname text,
    OUT owner text,
    OUT status text, OUT refresh_mode text, OUT effective_mode text, OUT downgrade_reason text,
    OUT is_populated boolean, OUT needs_reinit boolean, OUT reinit_reason text,
    OUT schedule text, OUT effective_interval interval,
    OUT consecutive_errors integer, OUT last_error_message text, OUT last_error_at timestamptz,
    OUT retry_at timestamptz, OUT created_at timestamptz,
    OUT data_timestamp timestamptz, OUT staleness interval, OUT stale boolean,
    OUT last_refresh_action text, OUT last_refresh_status text, OUT last_refresh_at timestamptz,
    OUT full_refreshes bigint, OUT differential_refreshes bigint, OUT no_data_refreshes bigint,
    OUT successful_refreshes bigint, OUT failed_refreshes bigint,
    OUT rows_inserted bigint, OUT rows_deleted bigint,
    OUT total_ms double precision, OUT total_full_ms double precision,
    OUT total_differential_ms double precision, OUT full_rows double precision,
    OUT sources text[])
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_stream_table_details';
COMMENT ON FUNCTION pgtrickle.stream_table_details() IS
    'everything the other monitoring functions say about stream tables; its columns may change between versions';

CREATE FUNCTION pgtrickle.pgt_status(
    OUT name text, OUT status text, OUT refresh_mode text, OUT is_populated boolean,
    OUT consecutive_errors integer, OUT schedule text, OUT data_timestamp timestamptz,
    OUT staleness interval)
RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT name, status, refresh_mode, is_populated, consecutive_errors, schedule,
           data_timestamp, staleness
    FROM pgtrickle.stream_table_details()
    ORDER BY name
$$
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION pgtrickle.pgt_status() IS 'state of all stream tables';

CREATE FUNCTION pgtrickle.st_refresh_stats(
    OUT name text,
    OUT total_refreshes bigint, OUT successful_refreshes bigint, OUT failed_refreshes bigint,
    OUT rows_inserted bigint, OUT rows_deleted bigint, OUT avg_duration_ms double precision,
    OUT last_refresh_action text, OUT last_refresh_status text, OUT last_refresh_at timestamptz,
    OUT staleness_secs double precision, OUT stale boolean)
RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT name,
           successful_refreshes + failed_refreshes + no_data_refreshes,
           successful_refreshes + no_data_refreshes, failed_refreshes,
           rows_inserted, rows_deleted,
           total_ms / NULLIF(full_refreshes + differential_refreshes, 0),
           last_refresh_action, last_refresh_status, last_refresh_at,
           extract(epoch FROM staleness)::double precision, stale
    FROM pgtrickle.stream_table_details()
    ORDER BY name
$$
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION pgtrickle.st_refresh_stats() IS
    'refresh counts per stream table; those without changes are counted since server start';

CREATE FUNCTION pgtrickle.get_refresh_history(name text, max_rows integer DEFAULT 20,
    OUT refresh_id bigint, OUT data_timestamp timestamptz, OUT start_time timestamptz,
    OUT end_time timestamptz, OUT action text, OUT status text, OUT rows_inserted bigint,
    OUT rows_deleted bigint, OUT duration_ms double precision, OUT error_message text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_get_refresh_history';
COMMENT ON FUNCTION pgtrickle.get_refresh_history(text, integer) IS
    'newest refreshes of a stream table';

CREATE FUNCTION pgtrickle.refresh_timeline(max_rows integer DEFAULT 50,
    OUT name text, OUT refresh_id bigint, OUT data_timestamp timestamptz,
    OUT start_time timestamptz, OUT end_time timestamptz, OUT action text, OUT status text,
    OUT rows_inserted bigint, OUT rows_deleted bigint, OUT duration_ms double precision,
    OUT error_message text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_refresh_timeline';
COMMENT ON FUNCTION pgtrickle.refresh_timeline(integer) IS
    'newest refreshes of all stream tables';

CREATE FUNCTION pgtrickle.explain_st(name text, with_analyze boolean DEFAULT false,
    OUT property text, OUT value text)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_explain_st';
COMMENT ON FUNCTION pgtrickle.explain_st(text, boolean) IS
    'how a stream table is maintained, and why';

CREATE FUNCTION pgtrickle.explain_refresh_mode(name text,
    OUT configured_mode text, OUT effective_mode text, OUT downgrade_reason text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_explain_refresh_mode';
COMMENT ON FUNCTION pgtrickle.explain_refresh_mode(text) IS
    'mode asked for, mode in effect, and the reason where they differ';

CREATE FUNCTION pgtrickle.explain_delta(name text, format text DEFAULT 'text',
    OUT property text, OUT value text)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_explain_delta';
COMMENT ON FUNCTION pgtrickle.explain_delta(text, text) IS
    'the delta statements of a stream table and their plans';

CREATE FUNCTION pgtrickle.st_auto_threshold(name text) RETURNS double precision
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_st_auto_threshold';
COMMENT ON FUNCTION pgtrickle.st_auto_threshold(text) IS
    'share of changed rows above which AUTO recomputes the stream table';

CREATE FUNCTION pgtrickle.get_staleness(name text) RETURNS double precision
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_get_staleness';
COMMENT ON FUNCTION pgtrickle.get_staleness(text) IS
    'seconds since the stream table was known to be up to date';

CREATE FUNCTION pgtrickle.health_check(OUT check_name text, OUT severity text, OUT detail text)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_health_check';
COMMENT ON FUNCTION pgtrickle.health_check() IS
    'what needs attention: severity OK, WARN or ERROR';

CREATE FUNCTION pgtrickle.change_buffer_sizes(
    OUT source_table text, OUT pending_rows bigint, OUT buffer_bytes bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_change_buffer_sizes';
COMMENT ON FUNCTION pgtrickle.change_buffer_sizes() IS
    'changes of each source that some stream table has not consumed';

CREATE FUNCTION pgtrickle.trigger_inventory(
    OUT source_table text, OUT table_name text, OUT trigger_name text, OUT trigger_type text,
    OUT present boolean, OUT enabled boolean)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_trigger_inventory';
COMMENT ON FUNCTION pgtrickle.trigger_inventory() IS
    'capture triggers that should be there';

CREATE FUNCTION pgtrickle.check_cdc_health(
    OUT source_table text, OUT cdc_mode text, OUT buffer_bytes bigint, OUT alert text)
RETURNS SETOF record
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgt_check_cdc_health';
COMMENT ON FUNCTION pgtrickle.check_cdc_health() IS
    'capture of each source, with what is wrong';

CREATE FUNCTION pgtrickle.refresh_efficiency(
    OUT name text, OUT differential_refreshes bigint, OUT full_refreshes bigint,
    OUT avg_differential_ms double precision, OUT avg_full_ms double precision,
    OUT avg_change_ratio double precision, OUT speedup double precision)
RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT name, differential_refreshes, full_refreshes, diff_ms, full_ms,
           (rows_inserted + rows_deleted)
               / NULLIF((full_refreshes + differential_refreshes) * full_rows, 0),
           full_ms / NULLIF(diff_ms, 0)
    FROM pgtrickle.stream_table_details(),
         LATERAL (SELECT total_differential_ms / NULLIF(differential_refreshes, 0) AS diff_ms,
                         total_full_ms / NULLIF(full_refreshes, 0) AS full_ms) AS avg
    ORDER BY name
$$
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION pgtrickle.refresh_efficiency() IS
    'differential against full refreshes, per stream table';

CREATE VIEW pgtrickle.pg_stat_stream_tables AS
    SELECT pgt_id, relid, schemaname, relname, status, refresh_mode,
           full_refreshes, differential_refreshes, no_data_refreshes, failed_refreshes,
           rows_inserted, rows_deleted,
           total_ms, total_full_ms, total_differential_ms,
           last_refresh_action, last_refresh_status, last_refresh_at,
           data_timestamp, staleness, stale
    FROM pgtrickle.stream_table_details();

CREATE VIEW pgtrickle.stream_tables_info AS
    SELECT pgt_id, name, owner, sources, schedule, effective_interval,
           refresh_mode, effective_mode, downgrade_reason,
           status, is_populated, needs_reinit, reinit_reason,
           consecutive_errors, last_error_message, last_error_at, retry_at,
           data_timestamp, staleness, stale, created_at
    FROM pgtrickle.stream_table_details();

GRANT SELECT ON pgtrickle.pg_stat_stream_tables, pgtrickle.stream_tables_info TO PUBLIC;
