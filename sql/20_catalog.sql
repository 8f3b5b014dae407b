-- pg_trickle's own tables.  Attribute numbers: src/catalog/catalog_internal.h.

CREATE SEQUENCE pgtrickle.pgt_id_seq;

CREATE TABLE pgtrickle.pgt_stream_tables (
    pgt_id                  bigint PRIMARY KEY,
    relid                   regclass NOT NULL UNIQUE,
    definition              regclass NOT NULL,
    schedule                text,
    refresh_mode            text NOT NULL CHECK (refresh_mode IN ('AUTO', 'DIFFERENTIAL', 'FULL')),
    differential            boolean NOT NULL,
    downgrade_code          text,
    downgrade_reason        text,
    status                  text NOT NULL CHECK (status IN ('INITIALIZING', 'ACTIVE', 'SUSPENDED', 'ERROR')),
    is_populated            boolean NOT NULL,
    needs_reinit            boolean NOT NULL,
    reinit_reason           text,
    diamond_consistency     text,
    diamond_schedule_policy text,
    cdc_mode                text,
    append_only             boolean NOT NULL,
    consecutive_errors      integer NOT NULL,
    last_error_message      text,
    last_error_at           timestamptz,
    retry_at                timestamptz,
    settings                text NOT NULL,
    stamp                   text NOT NULL,
    generation              integer NOT NULL,
    created_at              timestamptz NOT NULL
);

CREATE TABLE pgtrickle.pgt_refresh_state (
    pgt_id           bigint PRIMARY KEY,
    frontier         bytea,
    data_timestamp   timestamptz,
    last_refresh_at  timestamptz,
    last_action      text,
    last_full_ms     double precision NOT NULL,
    full_rows        double precision NOT NULL,
    diff_ms_per_row  double precision NOT NULL,
    diff_base_ms     double precision NOT NULL,
    diff_samples     integer NOT NULL,
    tiny_ms_per_row  double precision NOT NULL,
    tiny_base_ms     double precision NOT NULL,
    tiny_samples     integer NOT NULL,
    auto_threshold   double precision NOT NULL,
    total_refreshes  bigint NOT NULL,
    successful       bigint NOT NULL,
    failed           bigint NOT NULL,
    rows_inserted    bigint NOT NULL,
    rows_deleted     bigint NOT NULL,
    total_ms         double precision NOT NULL,
    total_full_ms    double precision NOT NULL,
    total_diff_ms    double precision NOT NULL,
    full_refreshes   bigint NOT NULL,
    diff_refreshes   bigint NOT NULL,
    last_fixpoint_iterations integer NOT NULL,
    last_converged_at timestamptz
) WITH (fillfactor = 40);

CREATE TABLE pgtrickle.pgt_dependencies (
    pgt_id          bigint NOT NULL,
    source          regclass NOT NULL,
    is_stream_table boolean NOT NULL,
    columns_used    smallint[] NOT NULL,
    signature       text NOT NULL,
    PRIMARY KEY (pgt_id, source)
);
CREATE INDEX pgt_dependencies_source_idx ON pgtrickle.pgt_dependencies (source);

CREATE TABLE pgtrickle.pgt_stages (
    pgt_id  bigint NOT NULL,
    stageno integer NOT NULL,
    relid   oid NOT NULL,
    PRIMARY KEY (pgt_id, stageno)
);

CREATE TABLE pgtrickle.pgt_change_sources (
    relid           oid PRIMARY KEY,
    segment0        oid NOT NULL,
    segment1        oid NOT NULL,
    active          integer NOT NULL,
    row_mode        boolean NOT NULL,
    is_stream_table boolean NOT NULL,
    columns         smallint[] NOT NULL,
    unlogged        boolean NOT NULL,
    touches         boolean NOT NULL
);

CREATE SEQUENCE pgtrickle.pgt_refresh_id_seq;

CREATE TABLE pgtrickle.pgt_refresh_history (
    refresh_id        bigint NOT NULL,
    pgt_id            bigint NOT NULL,
    action            text NOT NULL CHECK (action IN ('NO_DATA', 'FULL', 'DIFFERENTIAL', 'REINITIALIZE', 'SKIP')),
    status            text NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED', 'SKIPPED')),
    initiated_by      text NOT NULL CHECK (initiated_by IN ('SCHEDULER', 'MANUAL', 'INITIAL')),
    data_timestamp    timestamptz,
    start_time        timestamptz NOT NULL,
    end_time          timestamptz,
    rows_inserted     bigint NOT NULL,
    rows_deleted      bigint NOT NULL,
    delta_row_count   bigint NOT NULL,
    was_full_fallback boolean NOT NULL,
    fallback_reason   text,
    strategy          text,
    decision_ms       double precision NOT NULL,
    load_ms           double precision NOT NULL,
    plan_ms           double precision NOT NULL,
    delta_ms          double precision NOT NULL,
    apply_ms          double precision NOT NULL,
    cleanup_ms        double precision NOT NULL,
    error_message     text,
    error_sqlstate    text
);
CREATE INDEX pgt_refresh_history_time_idx ON pgtrickle.pgt_refresh_history (pgt_id, start_time);

-- Restored by pg_dump: only what cannot be derived again.
SELECT pg_catalog.pg_extension_config_dump('pgtrickle.pgt_stream_tables', '');
SELECT pg_catalog.pg_extension_config_dump('pgtrickle.pgt_id_seq', '');

GRANT SELECT ON pgtrickle.pgt_stream_tables, pgtrickle.pgt_dependencies TO PUBLIC;
-- error texts may quote data: get_refresh_history() shows them to whoever may read it
GRANT SELECT (refresh_id, pgt_id, action, status, initiated_by, data_timestamp, start_time,
    end_time, rows_inserted, rows_deleted, delta_row_count, was_full_fallback, strategy,
    decision_ms, load_ms, plan_ms, delta_ms, apply_ms, cleanup_ms, error_sqlstate)
    ON pgtrickle.pgt_refresh_history TO PUBLIC;
