-- Schedules as users write them: accepted, read, refused.
CREATE TABLE schedule_src (id int PRIMARY KEY);

SELECT text, pgtrickle.parse_duration_seconds(text) FROM (VALUES
    ('30s'), ('90'), ('1h30m'), ('1w 2d 3h 4m 5s'), ('0s')) AS v (text);

SELECT pgtrickle.parse_duration_seconds('soon');
SELECT pgtrickle.parse_duration_seconds('100000w');

-- each kind is stored as given
SELECT pgtrickle.create_stream_table('schedule_st', 'SELECT id FROM schedule_src', '1h30m');
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'calculated');
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';

\set VERBOSITY sqlstate
-- malformed, too long: nothing is left behind
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '');
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '5 fortnights');
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '-1s');
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '99999999w');
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '*/5 * * 13 *');
SELECT pgtrickle.create_stream_table('schedule_bad', 'SELECT id FROM schedule_src', '@fortnightly');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'never');
SELECT to_regclass('schedule_bad'), count(*) FROM pgtrickle.pgt_stream_tables WHERE relid::text LIKE 'schedule_%';
\set VERBOSITY default

-- what is wrong with a cron expression
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '61 * * * *');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '0 0 30 feb *');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'TZ=Middle/Earth @daily');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'first tuesday');

-- cron expressions: the interval shown is the longest between two times
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '*/5 8-17 * * mon-fri');
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'TZ=Europe/Berlin @daily');
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';

-- at once
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '0s');
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';

-- what is shorter than a minimum set later is lengthened to it
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '5s');
SET pg_trickle.min_schedule_seconds = 60;
SELECT schedule, effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.schedule_st';
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '59s');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '0s');
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => '*/30 * * * * *');
RESET pg_trickle.min_schedule_seconds;

-- calculated: the minimum over readers; NULL: by hand, and no reason for anybody
SELECT pgtrickle.alter_stream_table('schedule_st', schedule => 'calculated');
SELECT pgtrickle.create_stream_table('schedule_st2', 'SELECT id FROM schedule_st', '1h');
SELECT pgtrickle.create_stream_table('schedule_st3', 'SELECT id FROM schedule_st', '2m');
SELECT pgtrickle.create_stream_table('schedule_st4', 'SELECT id FROM schedule_st', NULL);
SELECT name, schedule, effective_interval FROM pgtrickle.stream_tables_info
WHERE name LIKE 'public.schedule_%' ORDER BY name;
SELECT pgtrickle.drop_stream_table('schedule_st3');
SELECT name, schedule, effective_interval FROM pgtrickle.stream_tables_info
WHERE name LIKE 'public.schedule_%' ORDER BY name;

SET client_min_messages = warning;
DROP TABLE schedule_src CASCADE;
SELECT count(*) FROM pgtrickle.pgt_status() WHERE name LIKE 'public.schedule_%';
