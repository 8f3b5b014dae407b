# Immediate stops at random moments while sessions write and refresh: after
# recovery and a refresh every stream table equals its query again.
use strict;
use warnings;

use File::Basename qw(dirname);
use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $crashes = $ENV{ORACLE_CRASHES} // 5;
my $seed = $ENV{ORACLE_SEED} // time % 100000;
my $node = pgt_node('crash', conf => "fsync = off\nrestart_after_crash = off\ndeadlock_timeout = 100ms\n");
my $dir = File::Spec->catdir(dirname(__FILE__), '..', 'oracle');

srand($seed);
note("seed $seed");
$node->safe_psql('postgres', slurp_file("$dir/live.sql"));
$node->safe_psql('postgres', 'SELECT live.create_all()');
# buffers that a crash empties: a full refresh must follow
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE live.u AS SELECT g AS a, g % 3 AS b FROM generate_series(1, 20) g;
SET pg_trickle.change_buffer_unlogged = on;
SELECT pgtrickle.create_stream_table('live.s_unlogged', 'SELECT b, count(*) AS n FROM live.u GROUP BY b', NULL, 'DIFFERENTIAL');
INSERT INTO live.st VALUES ('live.s_unlogged', 'SELECT b, count(*) AS n FROM live.u GROUP BY b');
SQL

for my $i (1 .. $crashes)
{
	my @sessions;
	foreach my $sql ("CALL live.write(30, 0.$i)", "CALL live.write(30, 0.5$i)",
		"CALL live.refresh(30, 0.$i)", 'INSERT INTO live.u VALUES (1, 1); SELECT pg_sleep(30)')
	{
		my %s = (in => $sql);
		$s{run} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-f', '-' ],
			'<', \$s{in}, '>', \$s{out}, '2>', \$s{err});
		push @sessions, \%s;
	}
	if (rand() < 0.5)
	{
		$node->safe_psql('postgres', <<"SQL");
BEGIN;
INSERT INTO live.src VALUES (@{[ 900000 + $i ]}, 'r1', 'c1', 1.5, 3);
PREPARE TRANSACTION 'crash_$i';
SQL
	}
	sleep(0.2 + rand(0.8));
	$node->safe_psql('postgres', 'CHECKPOINT') if rand() < 0.3;
	$node->stop('immediate');
	IPC::Run::finish($_->{run}) foreach @sessions;
	$node->start;
	is($node->safe_psql('postgres', 'SELECT live.refresh_all(); SELECT live.differing()'),
		"\n", "equal after crash $i");
	my $gid = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	if ($gid ne '')
	{
		$node->safe_psql('postgres', (rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
		is($node->safe_psql('postgres', 'SELECT live.refresh_all(); SELECT live.differing()'),
			"\n", "equal after the prepared transaction's end");
	}
}

$node->stop;
done_testing();
