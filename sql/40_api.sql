-- Life cycle of stream tables and functions that look at definitions: src/api.
-- None is STRICT where NULL has no meaning: they say so instead.

CREATE FUNCTION pgtrickle.create_stream_table(
    name text, query text, schedule text DEFAULT 'calculated',
    refresh_mode text DEFAULT 'AUTO', initialize boolean DEFAULT true,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false)
RETURNS regclass
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_create_stream_table';
COMMENT ON FUNCTION pgtrickle.create_stream_table IS 'create a stream table';

CREATE FUNCTION pgtrickle.create_stream_table_if_not_exists(
    name text, query text, schedule text DEFAULT 'calculated',
    refresh_mode text DEFAULT 'AUTO', initialize boolean DEFAULT true,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false)
RETURNS regclass
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_create_stream_table_if_not_exists';
COMMENT ON FUNCTION pgtrickle.create_stream_table_if_not_exists IS
    'create a stream table, unless one of that name exists';

CREATE FUNCTION pgtrickle.create_or_replace_stream_table(
    name text, query text, schedule text DEFAULT 'calculated',
    refresh_mode text DEFAULT 'AUTO', initialize boolean DEFAULT true,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT false)
RETURNS regclass
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_create_or_replace_stream_table';
COMMENT ON FUNCTION pgtrickle.create_or_replace_stream_table IS
    'create a stream table, or give an existing one this query and these options';

CREATE FUNCTION pgtrickle.alter_stream_table(
    name text, query text DEFAULT NULL, schedule text DEFAULT NULL,
    refresh_mode text DEFAULT NULL, status text DEFAULT NULL,
    diamond_consistency text DEFAULT NULL, diamond_schedule_policy text DEFAULT NULL,
    cdc_mode text DEFAULT NULL, append_only boolean DEFAULT NULL)
RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_alter_stream_table';
COMMENT ON FUNCTION pgtrickle.alter_stream_table IS
    'change query or options of a stream table; NULL leaves as is';

CREATE FUNCTION pgtrickle.drop_stream_table(name text, cascade boolean DEFAULT false)
RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_drop_stream_table';
COMMENT ON FUNCTION pgtrickle.drop_stream_table IS 'drop a stream table, as DROP TABLE does';

CREATE FUNCTION pgtrickle.refresh_stream_table(name text)
RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_refresh_stream_table';
COMMENT ON FUNCTION pgtrickle.refresh_stream_table IS 'bring a stream table up to date now';

CREATE FUNCTION pgtrickle.suspend_stream_table(name text)
RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_suspend_stream_table';
COMMENT ON FUNCTION pgtrickle.suspend_stream_table IS 'stop refreshing a stream table';

CREATE FUNCTION pgtrickle.resume_stream_table(name text)
RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_resume_stream_table';
COMMENT ON FUNCTION pgtrickle.resume_stream_table IS
    'go on refreshing a stream table, its errors forgotten';

CREATE FUNCTION pgtrickle.repair_stream_table(name text)
RETURNS text
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_repair_stream_table';
COMMENT ON FUNCTION pgtrickle.repair_stream_table IS
    'reinstall capture and state of a stream table and recompute it';

CREATE FUNCTION pgtrickle.rebuild_cdc_triggers()
RETURNS text
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'pgt_rebuild_cdc_triggers';
COMMENT ON FUNCTION pgtrickle.rebuild_cdc_triggers IS
    're-create capture on every source under the current cdc_trigger_mode';

CREATE FUNCTION pgtrickle.guard_stream_table()
RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_guard_stream_table';
COMMENT ON FUNCTION pgtrickle.guard_stream_table IS
    'trigger on stream tables that refuses direct changes';

CREATE FUNCTION pgtrickle.validate_query(query text)
RETURNS TABLE (check_name text, result text, severity text)
LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'pgt_validate_query';
COMMENT ON FUNCTION pgtrickle.validate_query IS
    'which refresh mode a query allows, and each obstacle to a better one';

CREATE FUNCTION pgtrickle.list_sources(name text)
RETURNS TABLE (source_table text, source_oid oid, source_type text, cdc_mode text,
    columns_used text[])
LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'pgt_list_sources';
COMMENT ON FUNCTION pgtrickle.list_sources IS
    'tables that a stream table reads, and how their changes are captured';

CREATE FUNCTION pgtrickle.dependency_tree()
RETURNS TABLE (tree_line text, node text, node_type text, depth integer, status text,
    refresh_mode text)
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pgt_dependency_tree';
COMMENT ON FUNCTION pgtrickle.dependency_tree IS 'what reads what, from base tables down';

CREATE FUNCTION pgtrickle.explain_dag(format text DEFAULT 'mermaid')
RETURNS text
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'pgt_explain_dag';
COMMENT ON FUNCTION pgtrickle.explain_dag IS
    'the graph of stream tables and what they read, as text for mermaid or dot';

CREATE FUNCTION pgtrickle.diamond_groups()
RETURNS TABLE (group_id integer, member_name text, member_schema text,
    is_convergence boolean, diamond_consistency text, schedule_policy text)
LANGUAGE c STABLE ROWS 100 AS 'MODULE_PATHNAME', 'pgt_diamond_groups';
COMMENT ON FUNCTION pgtrickle.diamond_groups IS
    'stream tables that read the same table by two ways, and how they are kept consistent';

CREATE FUNCTION pgtrickle.pgt_scc_status()
RETURNS TABLE (scc_id integer, member_count integer, members text[],
    last_iterations integer, last_converged_at timestamptz)
LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'pgt_scc_status';
COMMENT ON FUNCTION pgtrickle.pgt_scc_status IS
    'cycles of stream tables, and how their last change reached a fixed point';

CREATE FUNCTION pgtrickle.drain(timeout_s integer DEFAULT 60)
RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pgt_drain';
COMMENT ON FUNCTION pgtrickle.drain IS
    'let the scheduler begin no refresh in this database any more, and wait for those that go on';

CREATE FUNCTION pgtrickle.is_drained()
RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pgt_is_drained';
COMMENT ON FUNCTION pgtrickle.is_drained IS
    'the scheduler begins no refresh in this database, and none of its refreshes goes on';

CREATE FUNCTION pgtrickle.end_drain()
RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'pgt_end_drain';
COMMENT ON FUNCTION pgtrickle.end_drain IS 'let the scheduler go on after drain()';
REVOKE EXECUTE ON FUNCTION pgtrickle.drain, pgtrickle.end_drain FROM PUBLIC;

CREATE FUNCTION pgtrickle.version()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_trickle';
END;
COMMENT ON FUNCTION pgtrickle.version IS 'installed version of pg_trickle';

CREATE FUNCTION pgtrickle.parse_duration_seconds(duration text)
RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_parse_duration_seconds';
COMMENT ON FUNCTION pgtrickle.parse_duration_seconds IS 'seconds of a duration like 1h30m';

CREATE FUNCTION pgtrickle.pg_trickle_hash(input text)
RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_hash_text';
COMMENT ON FUNCTION pgtrickle.pg_trickle_hash IS 'xxHash64 of a text';

CREATE FUNCTION pgtrickle.pg_trickle_hash_multi(inputs text[])
RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_hash_text_array';
COMMENT ON FUNCTION pgtrickle.pg_trickle_hash_multi IS
    'xxHash64 of texts, joined by 0x1E, null as 0x00 NULL 0x00';
