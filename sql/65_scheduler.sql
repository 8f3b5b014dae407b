-- The scheduler's jobs and workers.

CREATE FUNCTION pgtrickle.parallel_job_status(max_age_seconds integer DEFAULT 300,
    OUT job_id bigint, OUT unit_key text, OUT unit_kind text, OUT status text,
    OUT member_count integer, OUT refreshed_count integer, OUT attempt_no integer,
    OUT scheduler_pid integer, OUT worker_pid integer, OUT enqueued_at timestamptz,
    OUT started_at timestamptz, OUT finished_at timestamptz, OUT duration_ms double precision)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_parallel_job_status';
COMMENT ON FUNCTION pgtrickle.parallel_job_status(integer) IS
    'newest jobs of the scheduler of this database';

CREATE FUNCTION pgtrickle.worker_pool_status(
    OUT active_workers integer, OUT idle_workers integer, OUT workers_elsewhere integer,
    OUT max_workers integer, OUT per_db_cap integer, OUT parallel_mode text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgt_worker_pool_status';
COMMENT ON FUNCTION pgtrickle.worker_pool_status() IS
    'refresh workers of this database, and how many there may be';

CREATE VIEW pgtrickle.pgt_scheduler_jobs AS
    SELECT * FROM pgtrickle.parallel_job_status(2147483647);
COMMENT ON VIEW pgtrickle.pgt_scheduler_jobs IS
    'newest jobs of the scheduler of this database';
GRANT SELECT ON pgtrickle.pgt_scheduler_jobs TO PUBLIC;

-- Restores are noticed by it: the extension's own writes fire no triggers.
CREATE FUNCTION pgtrickle.note_restore() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_note_restore';
COMMENT ON FUNCTION pgtrickle.note_restore() IS
    'trigger that makes the scheduler wait until the session has ended that restores stream tables';
CREATE TRIGGER note_restore AFTER INSERT ON pgtrickle.pgt_stream_tables
    FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.note_restore();
REVOKE ALL ON FUNCTION pgtrickle.note_restore() FROM PUBLIC;
ALTER TABLE pgtrickle.pgt_stream_tables ENABLE ALWAYS TRIGGER note_restore;
