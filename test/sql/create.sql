-- Creating stream tables: variants, options, what the catalog says, transactions.
CREATE SCHEMA cr;
SET search_path = cr, public;
CREATE TABLE src (id int PRIMARY KEY, v varchar(10) COLLATE "C", n numeric(8,2), t timestamptz);
INSERT INTO src SELECT i, 'v' || i, i * 1.5, '2026-01-01'::timestamptz + i * interval '1 hour'
FROM generate_series(1, 5) i;

-- exactly the columns of the query: names, types, typmods, collations, order
SELECT pgtrickle.create_stream_table('st', 'SELECT n, v AS "V", id, t FROM src WHERE id > 1');
\d st
SELECT * FROM st ORDER BY id;
SELECT relid, schedule, refresh_mode, differential, status, is_populated, needs_reinit, generation
FROM pgtrickle.pgt_stream_tables;
SELECT source, is_stream_table, columns_used FROM pgtrickle.pgt_dependencies;

-- VALUES, WITH and tables without rows
SELECT pgtrickle.create_stream_table('vals', 'VALUES (1, ''a''), (2, ''b'')');
SELECT * FROM vals ORDER BY 1;
SELECT pgtrickle.create_stream_table('w', 'WITH x AS (SELECT id FROM src) SELECT id FROM x WHERE false');
SELECT count(*) FROM w;

-- AUTO says why it recomputes, FULL was asked for
SELECT pgtrickle.create_stream_table('auto_full', 'SELECT v, id FROM src LIMIT 1000');
SELECT pgtrickle.create_stream_table('full', 'SELECT v, id FROM src LIMIT 1000',
    schedule => NULL, refresh_mode => 'full');
SELECT pgtrickle.create_stream_table('diff', 'SELECT v, count(*) AS c FROM src GROUP BY v',
    refresh_mode => 'differential', schedule => '1h30m', diamond_consistency => 'Atomic',
    diamond_schedule_policy => 'slowest', cdc_mode => 'trigger', append_only => true);
SELECT relid, schedule, refresh_mode, differential, downgrade_code, diamond_consistency AS dc,
    diamond_schedule_policy AS dsp, cdc_mode, append_only
FROM pgtrickle.pgt_stream_tables WHERE relid IN ('auto_full'::regclass, 'full'::regclass, 'diff'::regclass)
ORDER BY pgt_id;

-- not filled at once
SELECT pgtrickle.create_stream_table('later', 'SELECT id FROM src', initialize => false);
SELECT count(*) FROM later;
SELECT status, is_populated FROM pgtrickle.pgt_stream_tables WHERE relid = 'later'::regclass;
INSERT INTO src VALUES (6, 'v6', 6, now());
SELECT pgtrickle.refresh_stream_table('later');
SELECT count(*) FROM later;
SELECT status, is_populated FROM pgtrickle.pgt_stream_tables WHERE relid = 'later'::regclass;

-- if not exists
SELECT pgtrickle.create_stream_table_if_not_exists('st', 'SELECT 1 AS one');
SELECT pgtrickle.create_stream_table_if_not_exists('st2', 'SELECT id FROM src');

-- or replace: same query and options do nothing
SELECT pgtrickle.create_or_replace_stream_table('rep', 'SELECT id, n FROM src');
SELECT pgtrickle.create_or_replace_stream_table('rep', 'SELECT   src.id, n FROM cr.src -- same');
SELECT generation, schedule FROM pgtrickle.pgt_stream_tables WHERE relid = 'rep'::regclass;
-- other options only
SELECT pgtrickle.create_or_replace_stream_table('rep', 'SELECT id, n FROM src', schedule => '5m');
SELECT generation, schedule FROM pgtrickle.pgt_stream_tables WHERE relid = 'rep'::regclass;
-- another query: in place, grants and dependents stay
GRANT SELECT ON rep TO PUBLIC;
CREATE VIEW on_rep AS SELECT id FROM rep;
SELECT 'rep'::regclass::oid AS rep_oid \gset
SELECT pgtrickle.create_or_replace_stream_table('rep', 'SELECT id, n, v FROM src WHERE id < 3', schedule => '5m');
SELECT * FROM on_rep ORDER BY id;
SELECT * FROM rep ORDER BY id;
SELECT 'rep'::regclass::oid = :rep_oid AS same_table, relacl IS NOT NULL AS has_grants
FROM pg_class WHERE oid = 'rep'::regclass;
SELECT generation, schedule FROM pgtrickle.pgt_stream_tables WHERE relid = 'rep'::regclass;

-- all or nothing
BEGIN;
SELECT pgtrickle.create_stream_table('tx', 'SELECT id FROM src');
INSERT INTO src VALUES (7, 'v7', 7, now());
SELECT pgtrickle.refresh_stream_table('tx');
SELECT count(*) FROM tx;
ROLLBACK;
SELECT to_regclass('tx');
BEGIN;
SAVEPOINT s;
SELECT pgtrickle.create_stream_table('tx', 'SELECT id FROM src');
ROLLBACK TO s;
SELECT pgtrickle.create_stream_table('tx', 'SELECT id, n FROM src');
COMMIT;
SELECT count(*) FROM tx;

-- the hidden view is nobody's to drop, the buffers are not either
SELECT definition FROM pgtrickle.pgt_stream_tables WHERE relid = 'tx'::regclass \gset
\set VERBOSITY sqlstate
DROP VIEW :definition;
SELECT segment0::regclass FROM pgtrickle.pgt_change_sources WHERE relid = 'src'::regclass \gset
DROP TABLE :segment0;
\set VERBOSITY default

-- looking at definitions
SELECT source_table, source_type, cdc_mode, columns_used FROM pgtrickle.list_sources('diff');
SELECT pgtrickle.create_stream_table('on_diff', 'SELECT c, count(*) AS n FROM diff GROUP BY c');
SELECT source_table, source_type, cdc_mode, columns_used FROM pgtrickle.list_sources('on_diff');
SELECT tree_line, node_type, depth, status, refresh_mode FROM pgtrickle.dependency_tree();
SELECT * FROM pgtrickle.validate_query('SELECT v, count(*) AS c FROM src GROUP BY v');
SELECT * FROM pgtrickle.validate_query('SELECT v, random() AS r FROM src LIMIT 3');
SELECT check_name, severity FROM pgtrickle.validate_query('SELECT relname FROM pg_class');
SELECT pgtrickle.version() = extversion AS version FROM pg_extension WHERE extname = 'pg_trickle';

SET client_min_messages = warning;
DROP SCHEMA cr CASCADE;
RESET client_min_messages;
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace;
