# Waves and workers: chains and diamonds in one transaction with one snapshot,
# all or nothing or in part, policies of diamonds; independent stream tables in
# parallel on workers that stay, limited by max_concurrent_refreshes; what
# becomes of jobs whose worker is killed or cancelled.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "log_min_messages = log\n");

sub sql { return $node->safe_psql('postgres', join('', @_)); }

sub workers_are
{
	my ($condition, $name) = @_;
	return pgt_poll($node,
		"SELECT count(*) $condition FROM pg_stat_activity WHERE backend_type = 'pg_trickle worker'", $name);
}

# --- a chain of quick ones: one transaction, one moment
sql(<<'SQL');
CREATE TABLE a (id int PRIMARY KEY, v int);
INSERT INTO a SELECT i, i FROM generate_series(1, 100) i;
SELECT pgtrickle.create_stream_table('c1', 'SELECT id, v FROM a', '1s');
SELECT pgtrickle.create_stream_table('c2', 'SELECT id, 1000 / v AS v FROM c1', '1s');
SELECT pgtrickle.create_stream_table('c3', 'SELECT count(*) AS n, sum(v) AS s FROM c2', '1s');
SQL

sub wait_for_chain
{
	my ($id) = @_;
	sql("INSERT INTO a VALUES ($id, 1)");
	return pgt_poll($node, 'SELECT n = (SELECT count(*) FROM a) FROM c3', "a change goes through the chain ($id)");
}
# on a busy machine they are not quick, and each has a transaction of its own
my $together = 'f';
foreach my $id (1001 .. 1100)
{
	wait_for_chain($id) or last;
	$together = sql("SELECT count(DISTINCT data_timestamp) = 1 FROM pgtrickle.pgt_status() WHERE name IN ('public.c1', 'public.c2', 'public.c3')");
	last if $together eq 't' && $id >= 1003;
}
is($together, 't', 'the members of a chain are refreshed at one moment');
is( sql("SELECT DISTINCT unit_kind || member_count || refreshed_count FROM pgtrickle.parallel_job_status() WHERE member_count = 3 AND status = 'COMPLETED'"),
	'chain33', 'it is one job');
is(sql('SELECT count(*) FROM pgtrickle.pgt_scheduler_jobs') > 0, 1, 'jobs can be looked at');

# --- what fails in a chain is rolled back alone
sql('INSERT INTO a VALUES (2000, 0)');
pgt_poll($node, "SELECT status = 'SUSPENDED' FROM pgtrickle.pgt_status() WHERE name = 'public.c2'",
	'a member of a chain fails');
is(sql('SELECT count(*) FROM c1 WHERE id = 2000'), '1', 'what it reads is up to date');
is(sql('SELECT count(*) FROM c2 WHERE id = 2000'), '0', 'it is not');
sql("DELETE FROM a WHERE id = 2000; SELECT pgtrickle.resume_stream_table('c2')");
wait_for_chain(2001);
pgt_check_st($node, 'c2', 'SELECT id, 1000 / v AS v FROM a', 'after that all is well again');

# --- a diamond: all or nothing
sql(<<'SQL');
CREATE TABLE d (id int PRIMARY KEY, v int);
INSERT INTO d SELECT i, i FROM generate_series(1, 100) i;
SELECT pgtrickle.create_stream_table('left_arm', 'SELECT id, v FROM d', '1s');
SELECT pgtrickle.create_stream_table('right_arm', 'SELECT id, 1000 / v AS w FROM d', '1s');
SELECT pgtrickle.create_stream_table('top', 'SELECT l.id, l.v, r.w FROM left_arm l JOIN right_arm r USING (id)', '1s',
    diamond_consistency => 'atomic');
INSERT INTO d VALUES (1001, 1);
SQL
pgt_poll($node, 'SELECT count(*) = 101 FROM top', 'a change goes through a diamond');
is( sql(<<'SQL'), 't', '... at one moment');
SELECT count(DISTINCT data_timestamp) = 1 FROM pgtrickle.pgt_status() WHERE name IN ('public.left_arm', 'public.right_arm', 'public.top')
SQL
is( sql("SELECT count(*) > 0 FROM pgtrickle.parallel_job_status() WHERE unit_kind = 'atomic_group' AND status = 'COMPLETED'"),
	't', '... as an atomic group');
sql('INSERT INTO d VALUES (2000, 0)');
pgt_poll($node, "SELECT consecutive_errors > 0 FROM pgtrickle.pgt_status() WHERE name = 'public.right_arm'",
	'an arm of the diamond fails');
sql('INSERT INTO a VALUES (3001, 1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM c2 WHERE id = 3001', 'others are refreshed');
is(sql('SELECT count(*) FROM left_arm WHERE id = 2000'), '0', 'the other arm is as it was');
is(sql("SELECT consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.left_arm'"), '0', '... and has not failed');
pgt_poll($node, "SELECT status = 'SUSPENDED' FROM pgtrickle.pgt_status() WHERE name = 'public.right_arm'",
	'the arm is suspended');
sql('INSERT INTO d VALUES (2001, 1)');
sql("SELECT pgtrickle.alter_stream_table('top', diamond_consistency => 'none')");
pgt_poll($node, 'SELECT count(*) = 1 FROM left_arm WHERE id = 2001', 'without consistency, the other arm goes on');
sql("DELETE FROM d WHERE id = 2000; SELECT pgtrickle.resume_stream_table('right_arm')");
sql("SELECT pgtrickle.alter_stream_table('top', diamond_consistency => 'atomic')");
pgt_poll($node, 'SELECT count(*) = 102 FROM top', 'all is well again');
pgt_check_st($node, 'top', 'SELECT id, v, 1000 / v AS w FROM d', 'the diamond equals its query');

# a member that has to be rebuilt is part of it
sql(<<'SQL');
CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
CREATE TABLE h (id int PRIMARY KEY, v int);
INSERT INTO h SELECT i, i FROM generate_series(1, 10) i;
SELECT pgtrickle.create_stream_table('h_left', 'SELECT id, half(v) AS v FROM h', '1s');
SELECT pgtrickle.create_stream_table('h_right', 'SELECT id, 1000 / v AS w FROM h', '1s');
SELECT pgtrickle.create_stream_table('h_top', 'SELECT l.id, l.v, r.w FROM h_left l JOIN h_right r USING (id)', '1s',
    diamond_consistency => 'atomic');
INSERT INTO h VALUES (11, 1);
SQL
pgt_poll($node, 'SELECT count(*) = 11 FROM h_top', 'another diamond');
sql('ALTER SYSTEM SET pg_trickle.enabled = off');
sql('SELECT pg_reload_conf()');
pgt_poll($node, "SELECT count(*) = 0 FROM pgtrickle.parallel_job_status() WHERE status IN ('QUEUED', 'RUNNING')", 'a pause');
sql("CREATE OR REPLACE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT \$1 / 2 + 1000'");
sql('INSERT INTO h VALUES (12, 0)');
is( sql("SELECT string_agg(relid || ' ' || needs_reinit, ' ' ORDER BY relid::text) FROM pgtrickle.pgt_stream_tables WHERE relid::text ~ '^h_'"),
	'h_left true h_right false h_top false', 'an arm is to be rebuilt');
sql('ALTER SYSTEM RESET pg_trickle.enabled');
sql('SELECT pg_reload_conf()');
pgt_poll($node, "SELECT consecutive_errors > 0 FROM pgtrickle.pgt_status() WHERE name = 'public.h_right'",
	'... while the other fails');
is(sql('SELECT count(*) FROM h_left WHERE id = 12 OR v > 1000'), '0', '... which holds it up');
sql("DELETE FROM h WHERE id = 12; SELECT pgtrickle.resume_stream_table('h_right')");
pgt_poll($node, 'SELECT min(v) >= 1000 FROM h_top', 'then the diamond is rebuilt as one');
pgt_check_st($node, 'h_top', 'SELECT id, v / 2 + 1000 AS v, 1000 / v AS w FROM h');

# never half-new, under writers that move both arms
my $stop = sql('SELECT clock_timestamp() + interval \'4 s\'');
sql(<<"SQL");
DO \$\$ DECLARE i int := 0; bad int; BEGIN
  WHILE clock_timestamp() < '$stop' LOOP
    i := i + 1;
    UPDATE d SET v = v % 50 + 1 WHERE id % 7 = i % 7;
    COMMIT;
    SELECT count(*) INTO bad FROM left_arm l JOIN right_arm r USING (id) WHERE r.w <> 1000 / l.v;
    IF bad > 0 THEN RAISE 'half-new: %', bad; END IF;
    SELECT count(*) INTO bad FROM top t FULL JOIN left_arm l USING (id) WHERE t.v IS DISTINCT FROM l.v;
    IF bad > 0 THEN RAISE 'half-new top: %', bad; END IF;
    COMMIT;
  END LOOP; END \$\$;
SQL
pass('a diamond never shows half-new data');

# policies
sql("SELECT pgtrickle.alter_stream_table('left_arm', schedule => '1h')");
sql('INSERT INTO d VALUES (3001, 1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM left_arm WHERE id = 3001', 'fastest: the group follows its fastest member');
sql("SELECT pgtrickle.alter_stream_table('top', diamond_schedule_policy => 'slowest')");
sql('INSERT INTO d VALUES (3002, 1)');
sql('INSERT INTO a VALUES (3002, 1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM c2 WHERE id = 3002', 'others are refreshed meanwhile');
pgt_poll($node,
	"SELECT count(*) = 0 FROM pgtrickle.parallel_job_status() WHERE status IN ('QUEUED', 'RUNNING')", 'nothing goes on');
is(sql('SELECT count(*) FROM top WHERE id = 3002'), '0', 'slowest: it waits for its slowest');
sql("SELECT pgtrickle.alter_stream_table('left_arm', schedule => '1s')");
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 3002', '... which is faster now');

# --- workers: two refreshes that meet each other can only be in parallel
sql(<<'SQL');
CREATE TABLE p1 (id int);
CREATE TABLE p2 (id int);
-- before there are stream tables: one filled without a row would leave the other one waiting
INSERT INTO p1 VALUES (1);
INSERT INTO p2 VALUES (1);
CREATE FUNCTION meet(mine int, other int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := clock_timestamp() + interval '60 s';
BEGIN
  PERFORM pg_advisory_xact_lock_shared(4711, mine);
  WHILE clock_timestamp() < until LOOP
    IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 4711 AND objid = other) THEN
      PERFORM pg_sleep(0.2);
      RETURN 1;
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  RETURN 0;
END $$;
SELECT pgtrickle.create_stream_table('m1', 'SELECT meet(1, 2) AS met FROM p1', '1h', 'FULL', initialize => false);
SELECT pgtrickle.create_stream_table('m2', 'SELECT meet(2, 1) AS met FROM p2', '1h', 'FULL', initialize => false);
SQL
sql("SELECT pgtrickle.alter_stream_table('m1', schedule => '1s'), pgtrickle.alter_stream_table('m2', schedule => '1s')");
pgt_poll($node, 'SELECT count(*) = 1 AND sum(met) = 1 FROM m1', 'two stream tables are refreshed in parallel');
pgt_poll($node, 'SELECT count(*) = 1 AND sum(met) = 1 FROM m2', '... both of them');
sql('DROP TABLE m1, m2');
workers_are('> 0', 'workers stay');
is( sql('SELECT parallel_mode, per_db_cap, max_workers > 2 FROM pgtrickle.worker_pool_status()'),
	'parallel|4|t', 'worker_pool_status()');
is( sql("SELECT count(DISTINCT worker_pid) >= 2 FROM pgtrickle.parallel_job_status() WHERE unit_key IN ('public.m1', 'public.m2') OR worker_pid <> scheduler_pid"),
	't', 'parallel_job_status() tells who did what');

# --- a worker that is killed, or whose refresh is cancelled
sql(<<'SQL');
CREATE TABLE slow_src (id int);
CREATE TABLE pace (s float8);
INSERT INTO pace VALUES (600);
CREATE FUNCTION slow(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(s) FROM public.pace; RETURN $1; END $$;
INSERT INTO slow_src VALUES (1);
SELECT pgtrickle.create_stream_table('slow_st', 'SELECT slow(id) AS id FROM slow_src', '1s', 'FULL', initialize => false);
SQL
my $slow = "FROM pg_stat_activity WHERE backend_type = 'pg_trickle worker' AND state = 'active' AND query LIKE '%slow_st%'";
pgt_poll($node, "SELECT count(*) = 1 $slow", 'a long refresh runs in a worker');
sql('INSERT INTO a VALUES (4001, 1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM c2 WHERE id = 4001', 'others are refreshed meanwhile');
my $pid = sql("SELECT pid $slow");
sql("SELECT pg_terminate_backend($pid)");
pgt_poll($node, "SELECT count(*) = 1 AND min(pid) <> $pid $slow", 'after a killed worker another one does the job');
is(sql("SELECT count(*) FROM pgtrickle.parallel_job_status() WHERE worker_pid = $pid AND unit_key = 'public.slow_st' AND status = 'FAILED'"),
	'1', 'the job of the killed one has failed');
is(sql("SELECT consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.slow_st'"), '0',
	'... which is no failure of the stream table');
$pid = sql("SELECT pid $slow");
sql("SELECT pg_cancel_backend($pid)");
pgt_poll($node, "SELECT consecutive_errors > 0 FROM pgtrickle.pgt_status() WHERE name = 'public.slow_st'",
	'a long refresh can be cancelled');
sql('UPDATE pace SET s = 0');
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid", 'which does not end the worker');
sql("SELECT pgtrickle.resume_stream_table('slow_st')")
  if sql("SELECT status FROM pgtrickle.pgt_status() WHERE name = 'public.slow_st'") eq 'SUSPENDED';
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) $slow");
pgt_poll($node, 'SELECT count(*) = 1 FROM slow_st', 'it is refreshed in the end');

# --- settings: enabled = off sends the workers home, 1 does without them
$node->append_conf('postgresql.conf', 'pg_trickle.enabled = off');
$node->reload;
workers_are('= 0', 'enabled = off: workers leave');
$node->append_conf('postgresql.conf', "pg_trickle.enabled = on\npg_trickle.max_concurrent_refreshes = 1");
$node->reload;
pgt_poll($node, 'SELECT parallel_mode = \'sequential\' FROM pgtrickle.worker_pool_status()', 'max_concurrent_refreshes = 1');
sql('INSERT INTO a SELECT i, 1 FROM generate_series(5000, 5100) i; INSERT INTO d SELECT i, 1 FROM generate_series(5000, 5100) i');
pgt_poll($node, 'SELECT (SELECT count(*) FROM c2) = (SELECT count(*) FROM a) AND (SELECT count(*) FROM top) = (SELECT count(*) FROM d)',
	'the scheduler alone does it, too');
workers_are('= 0', '... without workers');
pgt_check_st($node, 'top', 'SELECT id, v, 1000 / v AS w FROM d', 'the diamond equals its query');
pgt_check_st($node, 'c3', 'SELECT count(*) AS n, sum(1000 / v) AS s FROM a', 'the chain equals its query');
$node->stop;

# --- with as many processes as a server has by default
$node->append_conf('postgresql.conf', "max_worker_processes = 5\npg_trickle.max_concurrent_refreshes = 4");
$node->start;
sql('UPDATE pace SET s = 1');
sql("SELECT pgtrickle.create_stream_table('slow_' || i, 'SELECT slow(id) AS id FROM slow_src', '1s', 'FULL', initialize => false) FROM generate_series(1, 3) i");
pgt_poll($node, 'SELECT (SELECT count(*) FROM slow_1) + (SELECT count(*) FROM slow_2) + (SELECT count(*) FROM slow_3) = 3',
	'all works with few processes');
ok($node->wait_for_log(qr/refreshes with fewer workers than pg_trickle.max_concurrent_refreshes allows/, 0), 'the log tells');
is(scalar(() = slurp_file($node->logfile) =~ /refreshes with fewer workers/g), 1, '... once');
$node->stop;

done_testing();
