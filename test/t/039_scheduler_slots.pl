# A server whose processes others have taken: the scheduler does what workers
# cannot, schedulers of several databases take turns, the log says each once, and
# when processes are free again there are workers.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "log_min_messages = log\nautovacuum = off\nmax_worker_processes = 8\n");
my $workers = "backend_type = 'pg_trickle worker'";

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# Stream tables g1, g2 that wait when gate 1, 2 is closed.
sub make_gates
{
	my ($db) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE FUNCTION gate(gate int, x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock_shared(gate) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN x;
END $$;
CREATE TABLE t1 (id int);
CREATE TABLE t2 (id int);
SELECT pgtrickle.create_stream_table('g1', 'SELECT gate(1, id) AS id FROM t1', '0s');
SELECT pgtrickle.create_stream_table('g2', 'SELECT gate(2, id) AS id FROM t2', '0s');
SQL
	return;
}
make_gates('postgres');
my $gates = $node->background_psql('postgres');
sub close_gates { $gates->query_safe('SELECT pg_advisory_lock(1), pg_advisory_lock(2)'); return; }
sub open_gates { $gates->query_safe('SELECT pg_advisory_unlock_all()'); return; }

sql(<<'SQL');
CREATE TABLE parallel (id int) WITH (parallel_workers = 8);
INSERT INTO parallel SELECT generate_series(1, 20000);	-- a block or more for each
SQL
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'", 'the scheduler is there');

# The launchers and one scheduler leave five; a process that has just ended counts as
# one for a moment.
my $offset = -s $node->logfile;
my $taker;
my $taken = 0;
foreach my $attempt (1 .. 30)
{
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $workers");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $workers OR backend_type = 'parallel worker'");
	$taker = $node->background_psql('postgres', on_error_stop => 0);
	$taker->query_until(qr/sent/, <<'SQL');
SET max_parallel_workers_per_gather = 8;
SET max_parallel_workers = 8;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
\echo sent
SELECT count(pg_sleep(3600)) FROM parallel;
SQL
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
	foreach (1 .. 20)
	{
		$taken = sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
		last if $taken == 5;
		select(undef, undef, undef, 0.1);
	}
	last if $taken == 5;
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT count(pg_sleep(%'");
	eval { $taker->quit; };
}
is($taken, 5, 'all processes are taken');

close_gates();
sql('INSERT INTO t1 VALUES (20); INSERT INTO t2 VALUES (20)');
pgt_poll($node, "SELECT EXISTS (SELECT FROM pgtrickle.pgt_scheduler_jobs WHERE status = 'RUNNING' AND worker_pid = scheduler_pid AND clock_timestamp() - started_at > '1.2 s')",
	'the scheduler does what workers cannot');
open_gates();
pgt_poll($node, 'SELECT EXISTS (SELECT FROM g1 WHERE id = 20) AND EXISTS (SELECT FROM g2 WHERE id = 20)', '... all of it');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE $workers"), '0', '... without workers');
is(scalar(() = slurp_file($node->logfile, $offset) =~ /refreshes with fewer workers/g), 1, '... and the log says so once');
sql('CREATE DATABASE third');
$node->safe_psql('third', 'CREATE EXTENSION pg_trickle');
make_gates('third');
$node->safe_psql('third', 'INSERT INTO t1 VALUES (1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM g1', 'a database more has its turn', dbname => 'third');
sql('INSERT INTO t1 VALUES (30)');
pgt_poll($node, 'SELECT EXISTS (SELECT FROM g1 WHERE id = 30)', '... and the first one again');
is(scalar(() = slurp_file($node->logfile, $offset) =~ /out of background worker slots/g), 1, '... which the log says once');

sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT count(pg_sleep(%'");
# what the scheduler has begun itself, because it had to, it does to the end
my $seen = 0;
my $refreshing = "FROM pg_stat_activity WHERE backend_type LIKE 'pg_trickle %' AND datname = 'postgres' AND state = 'active' AND query LIKE 'refreshing %'";
foreach my $i (40 .. 70)
{
	close_gates();
	sql("INSERT INTO t1 VALUES ($i); INSERT INTO t2 VALUES ($i)");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT $refreshing AND $workers)"
		  . " OR EXISTS (SELECT FROM pgtrickle.pgt_scheduler_jobs WHERE status = 'RUNNING' AND worker_pid = scheduler_pid AND clock_timestamp() - started_at > '1.2 s')");
	$seen = sql("SELECT count(*) $refreshing AND $workers");
	open_gates();
	last if $seen > 0;
	$node->poll_query_until('postgres', "SELECT (SELECT count(*) FROM g1) + (SELECT count(*) FROM g2) = (SELECT count(*) FROM t1) + (SELECT count(*) FROM t2)");
}
cmp_ok($seen, '>', 0, 'when processes are free again, there are workers');
pgt_poll($node, 'SELECT (SELECT count(*) FROM g1) + (SELECT count(*) FROM g2) = (SELECT count(*) FROM t1) + (SELECT count(*) FROM t2)', 'all are refreshed in the end');
eval { $taker->quit; };
$gates->quit;
$node->stop;
done_testing();
