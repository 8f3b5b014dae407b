-- The settings: names, defaults, ranges, who may change them.  Their effects
-- are shown by the tests of what they act on.
SELECT name, setting, unit, vartype, context, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'pg\_trickle.%' ORDER BY name COLLATE "C";

-- each has a description
SELECT name FROM pg_settings WHERE name LIKE 'pg\_trickle.%' AND short_desc = '';

-- no other names
SET pg_trickle.no_such_setting = 1;
SHOW pg_trickle.cdc_mode;

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

-- rights
CREATE ROLE guc_user;
SET ROLE guc_user;
SET pg_trickle.merge_strategy = 'merge';
SET pg_trickle.block_source_ddl = off;
RESET ROLE;
RESET pg_trickle.merge_strategy;
DROP ROLE guc_user;
