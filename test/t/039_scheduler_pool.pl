# Refreshes that go on as long as the test wants: what pg_stat_activity says of
# each process, jobs that can be seen while they run and fail when their worker is
# killed, pauses in which change buffers are emptied although refreshes overlap all
# the time, fairness over stream tables and over databases, refreshes that run out
# of memory, DROP EXTENSION while a refresh runs.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "log_min_messages = log\nautovacuum = off\nrestart_after_crash = on\n");
my $workers = "backend_type = 'pg_trickle worker'";

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# Stream tables g1 .. that begin to wait when gate 1 .. is closed.
sub make_gates
{
	my ($db, @numbers) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE FUNCTION gate(gate int, x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock_shared(gate) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN x;
END $$;
SQL
	foreach my $i (@numbers)
	{
		$node->safe_psql($db, "CREATE TABLE t$i (id int); "
			  . "SELECT pgtrickle.create_stream_table('g$i', 'SELECT gate($i, id) AS id FROM t$i', '0s')");
	}
	return $node->background_psql($db);
}

sub is_waiting
{
	my ($table, $db) = @_;
	return "EXISTS (SELECT FROM pg_stat_activity WHERE $workers AND datname = '"
	  . ($db // 'postgres')
	  . "' AND state = 'active' AND query = 'refreshing stream table public.$table')";
}

my $gates = make_gates('postgres', 1 .. 4);
sub close_gate { $gates->query_safe("SELECT pg_advisory_lock($_)") foreach @_; return; }
sub open_gate { $gates->query_safe("SELECT pg_advisory_unlock($_)") foreach @_; return; }

# --- pg_stat_activity
my $custom = $node->pg_version >= 17;

sub activity_is
{
	my ($process, $event, $query, $name) = @_;
	$event = 'Extension' unless $custom;
	return pgt_poll($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_trickle $process'"
		  . " AND state = 'idle' AND wait_event_type = 'Extension' AND wait_event = '$event' AND query LIKE '$query')", $name);
}
activity_is('launcher', 'PgTrickleLauncherMain', 'looking after %', 'pg_stat_activity: launcher');
activity_is('scheduler', 'PgTrickleSchedulerMain', 'waiting for changes', '... scheduler');
close_gate(1);
sql('INSERT INTO t1 VALUES (1)');
pgt_poll($node, 'SELECT ' . is_waiting('g1'), '... worker that refreshes');

# --- a job that runs can be seen, and fails with its worker
my ($job, $pid) = split /\|/, sql(<<'SQL');
SELECT job_id, worker_pid FROM pgtrickle.pgt_scheduler_jobs
WHERE unit_key = 'public.g1' AND status = 'RUNNING' AND started_at IS NOT NULL AND finished_at IS NULL
SQL
ok($pid, 'pgt_scheduler_jobs: a job that runs');
is(sql("SELECT pid FROM pg_stat_activity WHERE $workers AND state = 'active'"), $pid, '... by this worker');
sql("SELECT pg_terminate_backend($pid)");
pgt_poll($node, "SELECT status = 'FAILED' AND finished_at IS NOT NULL FROM pgtrickle.pgt_scheduler_jobs WHERE job_id = $job",
	'it has failed when the worker is killed');
pgt_poll($node, "SELECT count(*) = 1 FROM pgtrickle.pgt_scheduler_jobs WHERE unit_key = 'public.g1' AND status = 'RUNNING' AND attempt_no > 1 AND worker_pid <> $pid",
	'another one tries again');
my $victim = sql("SELECT pid FROM pg_stat_activity WHERE $workers AND state = 'active'");
kill 'KILL', $victim;
# our session with the gates ends with the server
eval { $gates->quit; };
foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if eval { ($node->psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $victim"))[1] eq '0' };
	select(undef, undef, undef, 0.1);
}
is(sql("SELECT count(*) FROM pgtrickle.pgt_scheduler_jobs WHERE status = 'RUNNING' AND worker_pid = $pid"), '0', 'after a crash no job of another life runs');
is(sql("SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE status = 'RUNNING'"), '0', '... nor does the history know one');
pgt_poll($node, 'SELECT count(*) = 1 FROM g1', 'it is refreshed all the same');
activity_is('worker', 'PgTrickleWorkerMain', '%', 'an idle worker')
  if sql("SELECT count(*) FROM pg_stat_activity WHERE $workers") > 0;
$gates = $node->background_psql('postgres');

# --- refreshes that overlap all the time keep a buffer locked; a pause empties it
sql(<<'SQL');
CREATE TABLE big (id int, v text);
ALTER TABLE big ALTER v SET STORAGE PLAIN;
SELECT pgtrickle.create_stream_table('b1', 'SELECT gate(1, id) AS id, v FROM big WHERE id < 0', '0s', 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('b2', 'SELECT gate(2, id) AS id, v FROM big WHERE id < 0', '0s', 'DIFFERENTIAL');
SQL
sub buffer_bytes { return sql("SELECT buffer_bytes FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%big'"); }
# some 3 MB of changes, unless there are enough of them, one of which waits at the gates
sub write_big
{
	my $rows = buffer_bytes() < 30_000_000 ? 3000 : 0;

	sql("INSERT INTO big SELECT CASE WHEN i = 0 THEN -1 ELSE i END, repeat('x', 900) FROM generate_series(0, $rows) i");
	return;
}
my $pause = "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND query LIKE 'pause: %')";
my $paused = 0;
my $rounds = 0;
# the scheduler looks at buffers every five seconds
my $until = time + $PostgreSQL::Test::Utils::timeout_default;
close_gate(1, 2);
write_big();
pgt_poll($node, 'SELECT ' . is_waiting('b1') . ' AND ' . is_waiting('b2'), 'two refreshes read one buffer');
while (!$paused && time < $until)
{
	$rounds++;
	# the one ends and comes again for what was written meanwhile, the other one stays
	my ($mine, $other) = $rounds % 2 ? (1, 2) : (2, 1);

	my $ended = "(SELECT total_refreshes FROM pgtrickle.st_refresh_stats() WHERE name = 'public.b$mine')";
	my $before = sql("SELECT $ended");
	open_gate($mine);
	$node->poll_query_until('postgres', "SELECT $ended > $before") or last;
	close_gate($mine);
	write_big();
	$node->poll_query_until('postgres', "SELECT $pause OR " . is_waiting("b$mine")) or last;
	$paused = sql("SELECT $pause") eq 't';
	if ($paused)
	{
		my $bytes = buffer_bytes();

		cmp_ok($bytes, '>', 8_000_000, 'the buffer has grown');
		open_gate($other);
		pgt_poll($node, "SELECT buffer_bytes < $bytes - 3000000 FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%big'",
			'a pause gives what is consumed back');
		open_gate($mine);
	}
}
ok($paused, "the scheduler pauses (after $rounds rounds)");
open_gate(1, 2) unless $paused;
pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM big WHERE id < 0) FROM b1', 'after that the refreshes go on');
pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM big WHERE id < 0) FROM b2', '... both of them');
pgt_poll($node, "SELECT buffer_bytes < 500000 FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%big'",
	'when nobody writes any more, the buffer becomes nearly empty');
# what only says that somebody wrote is for those that recompute, and holds nobody up
sql("SELECT pgtrickle.create_stream_table('b3', 'SELECT count(*) AS n FROM big', '0s', 'FULL')");
write_big();
pgt_poll($node, "SELECT n = (SELECT count(*) FROM big) AND (SELECT count(*) FROM b1) = (SELECT count(*) FROM big WHERE id < 0) FROM b3", 'a reader that recomputes');
sql('UPDATE big SET v = v WHERE false');
pgt_poll($node, "SELECT buffer_bytes < 500000 FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%big'",
	'... does not keep others from consuming all');
sql('DROP TABLE b1, b2, b3');

# --- out of memory in a refresh: in the scheduler, and in a worker
sql(<<'SQL');
CREATE TABLE other (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('other_st', 'SELECT id FROM other', '0s');
CREATE TABLE mem (id int PRIMARY KEY, n int);
SELECT pgtrickle.create_stream_table('mem_st', 'SELECT id, length(repeat(''x'', n)) AS l FROM mem', '0s', 'FULL');
SQL
SKIP:
{
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my ($size) = (-r "/proc/$postmaster/status" ? slurp_file("/proc/$postmaster/status") : '') =~ /VmSize:\s+(\d+) kB/;

	skip 'memory cannot be limited here', 1
	  unless $size && system("prlimit --pid $postmaster --as=" . ($size + 300_000) * 1024) == 0;
	# processes that start from now on
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $workers OR backend_type = 'pg_trickle scheduler'");
	my $started = sql('SELECT pg_postmaster_start_time()');

	foreach my $who ('scheduler', 'worker')
	{
		sql('ALTER SYSTEM SET pg_trickle.max_concurrent_refreshes = ' . ($who eq 'worker' ? 4 : 1));
		sql('SELECT pg_reload_conf()');
		pgt_poll($node, "SELECT parallel_mode = '" . ($who eq 'worker' ? 'parallel' : 'sequential') . "' FROM pgtrickle.worker_pool_status()", "refreshes by a $who");
		if ($who eq 'worker')
		{
			# while a worker is busy, the others work, too
			close_gate(3);
			sql('INSERT INTO t3 VALUES (1)');
			pgt_poll($node, 'SELECT ' . is_waiting('g3'), 'a worker is busy');
		}
		sql('INSERT INTO mem SELECT count(*), 900000000 FROM mem');
		pgt_poll($node, "SELECT consecutive_errors > 0 FROM pgtrickle.pgt_status() WHERE name = 'public.mem_st'", "out of memory in a $who");
		is( sql("SELECT DISTINCT error_message || ' ' || error_sqlstate FROM pgtrickle.pgt_refresh_history WHERE status = 'FAILED' AND pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'mem_st'::regclass)"),
			'out of memory 53200', '... is what the history tells');
		is(sql("SELECT bool_or(worker_pid = scheduler_pid) FROM pgtrickle.pgt_scheduler_jobs WHERE unit_key = 'public.mem_st' AND status = 'FAILED'"), 't', '... it was the scheduler')
		  if $who eq 'scheduler';
		is(sql("SELECT bool_or(worker_pid <> scheduler_pid) FROM pgtrickle.pgt_scheduler_jobs WHERE unit_key = 'public.mem_st' AND status = 'FAILED'"), 't', '... it was a worker')
		  if $who eq 'worker';
		my $n = sql("INSERT INTO other SELECT coalesce(max(id), 0) + 1 FROM other RETURNING id");
		pgt_poll($node, "SELECT count(*) = $n FROM other_st", '... the others are refreshed');
		sql("UPDATE mem SET n = 10; SELECT pgtrickle.resume_stream_table('mem_st')");
		pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM mem) AND sum(l) = (SELECT sum(n) FROM mem) FROM mem_st', '... and it, when there is memory enough');
		is(sql('SELECT pg_postmaster_start_time()'), $started, '... the server lives');
	}
	open_gate(3);
	pgt_poll($node, 'SELECT count(*) = 1 FROM g3', 'all goes on');
	$node->restart;
	$gates = $node->background_psql('postgres');
}
sql('DROP TABLE mem_st, other_st');

# --- fairness over stream tables: with changes for all of them, each has its turn
sql("ALTER SYSTEM SET pg_trickle.max_concurrent_refreshes = 1; SELECT pg_reload_conf()");
pgt_poll($node, "SELECT parallel_mode = 'sequential' FROM pgtrickle.worker_pool_status()", 'one refresh at a time');
sql(<<'SQL');
CREATE TABLE fair (id int);
CREATE FUNCTION slowly(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN x; END $$;
SELECT pgtrickle.create_stream_table('f' || i, 'SELECT slowly(id) AS id FROM fair WHERE id % 10 = 0', '0s') FROM generate_series(1, 4) i;
SQL
# they begin with a change for all of them
sql('INSERT INTO fair VALUES (0)');
pgt_poll($node, 'SELECT ' . join(' + ', map { "(SELECT count(*) FROM f$_)" } 1 .. 4) . ' = 4', 'all are refreshed');
my $first = sql('SELECT max(job_id) FROM pgtrickle.pgt_scheduler_jobs');
sql('DO $$ BEGIN FOR i IN 1 .. 100 LOOP INSERT INTO fair VALUES (i); COMMIT; PERFORM pg_sleep(0.01); END LOOP; END $$');
pgt_poll($node, 'SELECT ' . join(' + ', map { "(SELECT count(*) FROM f$_)" } 1 .. 4) . ' = 44', 'while a writer writes all the time');
cmp_ok(sql("SELECT min(n) FROM (SELECT count(*) AS n FROM pgtrickle.pgt_scheduler_jobs WHERE job_id > $first AND unit_key ~ '^public.f' GROUP BY unit_key) c"),
	'>=', 3, '... each comes several times');
is( sql(<<"SQL"), '0', '... and none comes twice while another one waits');
WITH j AS (SELECT job_id, unit_key, lag(job_id) OVER (PARTITION BY unit_key ORDER BY job_id) AS before
           FROM pgtrickle.pgt_scheduler_jobs WHERE job_id > $first AND unit_key ~ '^public.f')
SELECT count(*) FROM j WHERE before IS NOT NULL
   AND (SELECT count(DISTINCT b.unit_key) FROM j b WHERE b.job_id > j.before AND b.job_id < j.job_id) <> 3
SQL
sql('DROP TABLE f1, f2, f3, f4');

# --- DROP EXTENSION while a refresh runs: it waits, and then nobody is left
sql("ALTER SYSTEM RESET pg_trickle.max_concurrent_refreshes; SELECT pg_reload_conf(); CREATE DATABASE dropped");
$node->safe_psql('dropped', 'CREATE EXTENSION pg_trickle');
my $far_gates = make_gates('dropped', 1, 2);
$far_gates->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('dropped', 'INSERT INTO t1 VALUES (1)');
pgt_poll($node, 'SELECT ' . is_waiting('g1', 'dropped'), 'a refresh runs');
my $dropper = $node->background_psql('dropped');
$dropper->query_until(qr/sent/, "\\echo sent\nDROP EXTENSION pg_trickle CASCADE;\n");
pgt_poll($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND wait_event_type = 'Lock')", 'DROP EXTENSION waits for it');
$far_gates->query_safe('SELECT pg_advisory_unlock(1)');
pgt_poll($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'pg_trickle %' AND datname = 'dropped')", 'then no process of ours is left');
$dropper->quit;
is($node->safe_psql('dropped', "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trickle'"), '0', 'the extension is gone');
$far_gates->quit;
sql('DROP DATABASE dropped');

# --- fairness over databases: eight processes, of which two are for workers
$gates->quit;
$node->append_conf('postgresql.conf', "max_worker_processes = 8\npg_trickle.max_concurrent_refreshes = 4");
$node->restart;
$gates = $node->background_psql('postgres');
sql('CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION pg_trickle');
$far_gates = make_gates('second', 1 .. 3);
pgt_poll($node, 'SELECT max_workers = 2 FROM pgtrickle.worker_pool_status()', 'two workers for two databases');
my $waiting = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE $workers AND state = 'active'";
close_gate(1 .. 4);
sql("INSERT INTO t$_ VALUES (10)") foreach 1 .. 4;
pgt_poll($node, $waiting, 'one database takes both', expected => 'postgres postgres');
# the scheduler of the other one does one by itself, and would like to have a worker
$far_gates->query_safe("SELECT pg_advisory_lock($_)") foreach 1 .. 3;
$node->safe_psql('second', "INSERT INTO t$_ VALUES (1)") foreach 1 .. 3;
# (what it may hand over to one, it gives up after a second)
pgt_poll($node, "SELECT EXISTS (SELECT FROM pgtrickle.pgt_scheduler_jobs WHERE status = 'RUNNING' AND worker_pid = scheduler_pid AND clock_timestamp() - started_at > '1.2 s')",
	'the other one helps itself', dbname => 'second');
is(sql($waiting), 'postgres postgres', '... as long as it has to');
my ($mine) = sql("SELECT right(query, 1) FROM pg_stat_activity WHERE $workers AND state = 'active' ORDER BY pid LIMIT 1");
open_gate($mine);
pgt_poll($node, $waiting, 'the first one gives a worker back', expected => 'postgres');
# when the scheduler of the other one has done what it does by itself, it takes that
my $helps = "SELECT right(query, 1) FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'second' AND state = 'active' AND query LIKE 'refreshing %'";
foreach (1 .. 20)
{
	my $theirs = sql($helps);
	last if $theirs eq '';
	$far_gates->query_safe("SELECT pg_advisory_unlock($theirs)");
	$node->poll_query_until('postgres', "SELECT coalesce(($helps), '') <> '$theirs'");
	$far_gates->query_safe("SELECT pg_advisory_lock($theirs)");
	$node->safe_psql('second', "INSERT INTO t$theirs VALUES (1)");
	$node->poll_query_until('postgres', "SELECT (SELECT count(*) FROM ($helps) s) + (SELECT count(*) FROM pg_stat_activity WHERE $workers AND state = 'active' AND datname = 'second') > 0");
}
pgt_poll($node, $waiting, 'when both want more, each has one', expected => 'postgres second');
$far_gates->query_safe('SELECT pg_advisory_unlock_all()');
$gates->query_safe('SELECT pg_advisory_unlock_all()');
pgt_poll($node, 'SELECT ' . join(' AND ', map { "EXISTS (SELECT FROM g$_ WHERE id = 10)" } 1 .. 4), 'all are refreshed');
pgt_poll($node, 'SELECT (SELECT count(*) FROM g1) = (SELECT count(*) FROM t1) AND (SELECT count(*) FROM g2) = (SELECT count(*) FROM t2) AND (SELECT count(*) FROM g3) = (SELECT count(*) FROM t3)', '... there, too', dbname => 'second');
$far_gates->quit;
sql('DROP DATABASE second');

is(scalar(() = slurp_file($node->logfile) =~ /TRAP|PANIC|terminated by signal (?!9)/g), 0, 'nothing has crashed by itself');
$node->stop;
done_testing();
