-- The settings: names, defaults, ranges, who may change them.  Their effects
-- are shown by the tests of what they act on.
SELECT name, setting, unit, vartype, context, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'pg\_trickle.%' ORDER BY name COLLATE "C";

-- each has a description
SELECT name FROM pg_settings WHERE name LIKE 'pg\_trickle.%' AND short_desc = '';

-- no other names
SET pg_trickle.no_such_setting = 1;

-- values; the texts differ between servers
\set VERBOSITY sqlstate
SET pg_trickle.merge_strategy = 'sideways';
SET pg_trickle.differential_max_change_ratio = 1.5;
SET pg_trickle.merge_work_mem_mb = 0;
\set VERBOSITY default
SET pg_trickle.min_schedule_seconds = '2min';
SHOW pg_trickle.min_schedule_seconds;
RESET pg_trickle.min_schedule_seconds;
SET pg_trickle.enabled = off;

-- how changes are captured, where a stream table does not say it
SET pg_trickle.cdc_mode = 'wal';
CREATE TABLE guc_src (id int PRIMARY KEY);
SET pg_trickle.cdc_mode = 'trigger';
SELECT pgtrickle.create_stream_table('guc_a', 'SELECT id FROM guc_src', schedule => NULL);
SELECT pgtrickle.create_stream_table('guc_b', 'SELECT id FROM guc_src', schedule => NULL, cdc_mode => 'auto');
RESET pg_trickle.cdc_mode;
SELECT pgtrickle.create_stream_table('guc_c', 'SELECT id FROM guc_src', schedule => NULL);
SELECT relid, cdc_mode FROM pgtrickle.pgt_stream_tables WHERE relid::text LIKE 'guc%' ORDER BY relid::text;
DROP TABLE guc_a, guc_b, guc_c, guc_src;

-- rights
CREATE ROLE guc_user;
SET ROLE guc_user;
SET pg_trickle.merge_strategy = 'merge';
SET pg_trickle.block_source_ddl = off;
RESET ROLE;
RESET pg_trickle.merge_strategy;
DROP ROLE guc_user;
