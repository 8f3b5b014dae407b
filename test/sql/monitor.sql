-- Monitoring functions and views: their columns, their answers in good and in
-- odd states, and what they keep from those who may not read a stream table.
SET client_min_messages = warning;
CREATE TABLE mon_src (id int PRIMARY KEY, g int, v int);
INSERT INTO mon_src SELECT i, i % 3, i FROM generate_series(1, 9) i;
CREATE SCHEMA "Mon Schema";
SELECT pgtrickle.create_stream_table('mon_sum', 'SELECT g, sum(v) AS s FROM mon_src GROUP BY g', '1h');
SELECT pgtrickle.create_stream_table('"Mon Schema"."Mon ""Top"""', 'SELECT s FROM mon_sum WHERE s > 0', '2h', 'FULL');
SELECT pgtrickle.create_stream_table('mon_outer', 'SELECT id, v FROM mon_src TABLESAMPLE SYSTEM (100)', NULL, initialize => false);

-- columns are a promise
SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result
FROM pg_proc p
WHERE p.pronamespace = 'pgtrickle'::regnamespace AND p.proname IN (
    'pgt_status', 'st_refresh_stats', 'get_refresh_history', 'refresh_timeline', 'explain_st',
    'explain_refresh_mode', 'explain_delta', 'st_auto_threshold', 'get_staleness', 'health_check',
    'change_buffer_sizes', 'trigger_inventory', 'check_cdc_health', 'refresh_efficiency')
ORDER BY p.proname COLLATE "C";
-- none of them runs with other rights than the caller's
SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgtrickle'::regnamespace AND prosecdef AND proconfig IS NULL;

INSERT INTO mon_src VALUES (10, 4, 100);
DELETE FROM mon_src WHERE id = 1;
SELECT * FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%mon%' ORDER BY 1;
SELECT pgtrickle.refresh_stream_table('mon_sum');
SELECT pgtrickle.refresh_stream_table('"Mon Schema"."Mon ""Top"""');
SELECT source_table, pending_rows, buffer_bytes > 0 AS has_bytes
FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%mon%' ORDER BY 1;

SELECT name, status, refresh_mode, is_populated, consecutive_errors, schedule,
       data_timestamp IS NOT NULL AS has_timestamp, staleness < '1 min' AS fresh
FROM pgtrickle.pgt_status() WHERE name ILIKE '%mon%';
SELECT name, successful_refreshes, failed_refreshes, rows_inserted, rows_deleted,
       avg_duration_ms > 0 AS has_duration, last_refresh_action, last_refresh_status,
       last_refresh_at IS NOT NULL AS has_time, staleness_secs < 60 AS fresh, stale
FROM pgtrickle.st_refresh_stats() WHERE name ILIKE '%mon%';
SELECT action, status, rows_inserted, rows_deleted, duration_ms > 0 AS has_duration,
       end_time >= start_time AS in_order, error_message
FROM pgtrickle.get_refresh_history('mon_sum');
SELECT count(*) FROM pgtrickle.get_refresh_history('mon_sum', 1);
SELECT count(*) FROM pgtrickle.get_refresh_history('mon_sum', 0);
SELECT name, action, status FROM pgtrickle.refresh_timeline(4);
SELECT configured_mode, effective_mode, downgrade_reason IS NOT NULL AS has_reason
FROM unnest(ARRAY['mon_sum', '"Mon Schema"."Mon ""Top"""', 'mon_outer']) AS n,
     pgtrickle.explain_refresh_mode(n);
SELECT pgtrickle.get_staleness('mon_sum') < 60 AS fresh, pgtrickle.get_staleness('mon_outer') AS never,
       pgtrickle.st_auto_threshold('mon_sum') BETWEEN 0 AND 1 AS threshold;
SELECT name, differential_refreshes, full_refreshes, avg_full_ms > 0 AS has_full
FROM pgtrickle.refresh_efficiency() WHERE name ILIKE '%mon%';
SELECT schemaname, relname, status, full_refreshes, differential_refreshes, failed_refreshes
FROM pgtrickle.pg_stat_stream_tables WHERE relname ILIKE '%mon%' ORDER BY relname COLLATE "C";
SELECT name, sources, schedule, effective_interval, effective_mode, needs_reinit
FROM pgtrickle.stream_tables_info WHERE name ILIKE '%mon%' ORDER BY name COLLATE "C";
SELECT count(*) > 5 AS explained FROM pgtrickle.explain_st('mon_sum');
SELECT count(*) > 0 AS explained FROM pgtrickle.explain_delta('mon_sum');
SELECT count(*) > 0 AS explained FROM pgtrickle.explain_delta('mon_sum', 'JSON');

-- capture, whole and damaged
SELECT replace(trigger_name, 'mon_src'::regclass::oid::text, '<oid>') AS trigger_name, trigger_type, present, enabled
FROM pgtrickle.trigger_inventory() WHERE source_table = 'public.mon_src' ORDER BY 1;
SELECT source_table, cdc_mode, alert FROM pgtrickle.check_cdc_health() WHERE source_table LIKE '%mon%' ORDER BY 1;
SELECT check_name, severity FROM pgtrickle.health_check() WHERE check_name IN ('capture', 'status', 'staleness');
BEGIN;
UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = format('pg_trickle_cdc_%s_ins', 'mon_src'::regclass::oid);
SELECT count(*) FROM pgtrickle.trigger_inventory() WHERE present AND NOT enabled;
SELECT source_table, replace(alert, 'mon_src'::regclass::oid::text, '<oid>') FROM pgtrickle.check_cdc_health() WHERE alert IS NOT NULL;
SELECT check_name, severity, replace(detail, 'mon_src'::regclass::oid::text, '<oid>')
FROM pgtrickle.health_check() WHERE check_name = 'capture';
ROLLBACK;

-- states
SELECT pgtrickle.suspend_stream_table('mon_sum');
SELECT check_name, severity, detail FROM pgtrickle.health_check() WHERE check_name = 'status';
SELECT pgtrickle.resume_stream_table('mon_sum');
BEGIN;
UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true, reinit_reason = 'a test', status = 'ERROR',
    consecutive_errors = 1, last_error_message = 'a secret' WHERE relid = 'mon_sum'::regclass;
SELECT check_name, severity, detail FROM pgtrickle.health_check() WHERE check_name IN ('status', 'reinitialize');
SELECT last_error_message, reinit_reason FROM pgtrickle.stream_tables_info WHERE name = 'public.mon_sum';
-- an ordinary user sees the state, not what it tells about data
CREATE ROLE mon_user;
SET LOCAL ROLE mon_user;
SELECT check_name, severity, detail FROM pgtrickle.health_check() WHERE check_name IN ('status', 'reinitialize');
SELECT status, last_error_message, reinit_reason FROM pgtrickle.stream_tables_info WHERE name = 'public.mon_sum';
ROLLBACK;
-- a stamp of another cluster, a relation that is gone, a source that is gone
BEGIN;
UPDATE pgtrickle.pgt_stream_tables SET stamp = 'elsewhere' WHERE relid = 'mon_sum'::regclass;
UPDATE pgtrickle.pgt_stream_tables SET relid = 4294967295 WHERE relid = 'mon_outer'::regclass;
UPDATE pgtrickle.pgt_dependencies SET source = 4294967294 WHERE source = 'mon_src'::regclass;
UPDATE pgtrickle.pgt_change_sources SET relid = 4294967294, segment0 = 4294967293 WHERE relid = 'mon_src'::regclass;
SELECT name, status FROM pgtrickle.pgt_status() WHERE name ILIKE '%mon%' OR name LIKE '(%';
SELECT name, sources FROM pgtrickle.stream_tables_info WHERE name = 'public.mon_sum';
SELECT source_table, pending_rows FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '(%';
SELECT source_table, alert FROM pgtrickle.check_cdc_health() WHERE source_table LIKE '(%';
SELECT count(*) FROM pgtrickle.trigger_inventory() WHERE source_table LIKE '(%';
SELECT check_name, severity, regexp_replace(detail, 'id \d+', 'id N') FROM pgtrickle.health_check()
WHERE severity <> 'OK' AND check_name <> 'scheduler';
ROLLBACK;

-- an ordinary user
CREATE ROLE mon_user;
SET ROLE mon_user;
SELECT count(*) >= 3 AS ok FROM pgtrickle.pgt_status();
SELECT count(*) >= 3 AS ok FROM pgtrickle.st_refresh_stats();
SELECT count(*) >= 3 AS ok FROM pgtrickle.pg_stat_stream_tables;
SELECT count(*) >= 3 AS ok FROM pgtrickle.stream_tables_info;
SELECT count(*) >= 3 AS ok FROM pgtrickle.refresh_timeline();
SELECT count(*) >= 2 AS ok FROM pgtrickle.get_refresh_history('mon_sum');
SELECT count(*) >= 3 AS ok FROM pgtrickle.refresh_efficiency();
SELECT count(*) >= 2 AS ok FROM pgtrickle.change_buffer_sizes();
SELECT count(*) >= 4 AS ok FROM pgtrickle.trigger_inventory();
SELECT count(*) >= 2 AS ok FROM pgtrickle.check_cdc_health();
SELECT count(*) >= 7 AS ok FROM pgtrickle.health_check();
SELECT pgtrickle.get_staleness('mon_sum') < 60 AS ok;
SELECT pgtrickle.st_auto_threshold('mon_sum') > 0 AS ok;
SELECT * FROM pgtrickle.explain_st('mon_sum');
SELECT * FROM pgtrickle.explain_delta('mon_sum');
SELECT * FROM pgtrickle.explain_refresh_mode('mon_sum');
RESET ROLE;
GRANT SELECT ON mon_sum TO mon_user;
SET ROLE mon_user;
SELECT count(*) > 5 AS ok FROM pgtrickle.explain_st('mon_sum');
SELECT * FROM pgtrickle.explain_st('mon_sum', with_analyze => true);
SELECT * FROM pgtrickle.explain_refresh_mode('mon_sum');
RESET ROLE;

-- wrong input
SELECT pgtrickle.get_staleness('mon_src');
SELECT pgtrickle.get_staleness('no_such');
SELECT pgtrickle.get_staleness('mon sum');
SELECT pgtrickle.get_staleness(NULL);
SELECT * FROM pgtrickle.get_refresh_history('mon_sum', -1);
SELECT * FROM pgtrickle.get_refresh_history('mon_sum', NULL);
SELECT * FROM pgtrickle.refresh_timeline(NULL);
SELECT * FROM pgtrickle.explain_st(NULL);
SELECT * FROM pgtrickle.explain_st('mon_sum', NULL);
SELECT * FROM pgtrickle.explain_delta('mon_sum', 'csv');

REVOKE ALL ON mon_sum FROM mon_user;
DROP ROLE mon_user;
DROP SCHEMA "Mon Schema" CASCADE;
DROP TABLE mon_src CASCADE;
SELECT count(*) FROM pgtrickle.pgt_status() WHERE name ILIKE '%mon%';
