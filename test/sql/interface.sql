--
-- The interface: functions with their arguments and columns, views, catalog
-- tables. A change here is a change for users.
--
\pset format unaligned
\pset tuples_only on
SELECT proname || '(' || array_to_string(ARRAY(
           SELECT format('%s %s', coalesce(p.proargnames[i], '$' || i), format_type(p.proargtypes[i - 1], NULL))
             FROM generate_series(1, p.pronargs) i), ', ') || ')' ||
       CASE WHEN p.pronargdefaults > 0 THEN format(' [defaults: %s]', pg_get_expr(p.proargdefaults, 0)) ELSE '' END ||
       ' -> ' || CASE WHEN p.proallargtypes IS NULL THEN pg_get_function_result(p.oid)
                      ELSE array_to_string(ARRAY(SELECT p.proargnames[i] FROM generate_subscripts(p.proargmodes, 1) i
                                                  WHERE p.proargmodes[i] IN ('o', 't')), ', ') END
  FROM pg_proc p
 WHERE pronamespace = 'pgtrickle'::regnamespace
   AND proname IN ('create_stream_table', 'create_stream_table_if_not_exists', 'create_or_replace_stream_table', 'alter_stream_table',
       'drop_stream_table', 'refresh_stream_table', 'suspend_stream_table', 'resume_stream_table', 'repair_stream_table',
       'rebuild_cdc_triggers', 'pgt_status', 'st_refresh_stats', 'get_refresh_history', 'refresh_timeline', 'explain_st',
       'explain_refresh_mode', 'explain_delta', 'st_auto_threshold', 'get_staleness', 'validate_query', 'health_check',
       'change_buffer_sizes', 'trigger_inventory', 'check_cdc_health', 'list_sources', 'dependency_tree', 'explain_dag',
       'diamond_groups', 'pgt_scc_status', 'worker_pool_status', 'parallel_job_status', 'refresh_efficiency', 'version',
       'parse_duration_seconds', 'pg_trickle_hash', 'pg_trickle_hash_multi')
 ORDER BY proname COLLATE "C";

SELECT c.relname || ': ' || string_agg(a.attname, ', ' ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.oid IN ('pgtrickle.pg_stat_stream_tables'::regclass, 'pgtrickle.stream_tables_info'::regclass,
                 'pgtrickle.pgt_refresh_history'::regclass, 'pgtrickle.pgt_scheduler_jobs'::regclass)
 GROUP BY c.relname ORDER BY c.relname COLLATE "C";
