# Writers with open transactions, savepoints rolled back and rollbacks in
# several sessions, against refreshers, a session that creates and drops
# stream tables, and one that compares: nothing is lost or doubled.
use strict;
use warnings;

use File::Basename qw(dirname);
use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{ORACLE_SECONDS} // 8;
my $seed = (($ENV{ORACLE_SEED} // time) % 999_983) / 999_983;
my $node = pgt_node('concurrency', conf => "fsync = off\ndeadlock_timeout = 100ms\n");
my $dir = File::Spec->catdir(dirname(__FILE__), '..', 'oracle');

note("seed $seed");
$node->safe_psql('postgres', slurp_file("$dir/live.sql"));
$node->safe_psql('postgres', 'SELECT live.create_all()');
is($node->safe_psql('postgres', 'SELECT live.differing()'), '', 'equal after creation');

my @sessions;
my $begin = sub {
	my ($sql) = @_;
	my %s = (sql => $sql, out => '');
	$s{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$sql, '>', \$s{out}, '2>', \$s{err});
	push @sessions, \%s;
};

$begin->("CALL live.write($seconds, @{[ ($seed + $_ / 10) / 2 ]})") foreach 1 .. 3;
$begin->("CALL live.refresh($seconds, 0.$_)") foreach 1 .. 2;
$begin->("CALL live.watch($seconds)");

# stream tables that come and go while everybody works
my $comings = '';
for my $i (1 .. $seconds)
{
	$comings .= <<"SQL";
SELECT pgtrickle.create_stream_table('live.t$i', 'SELECT region, count(*) AS n FROM live.src WHERE score >= $i % 3 GROUP BY region',
	NULL, 'DIFFERENTIAL', @{[ $i % 2 ? 'true' : 'false' ]});
SELECT pg_sleep(0.3);
SELECT pgtrickle.refresh_stream_table('live.t$i');
INSERT INTO live.st VALUES ('live.t$i', 'SELECT region, count(*) AS n FROM live.src WHERE score >= $i % 3 GROUP BY region');
SELECT pg_sleep(0.2);
BEGIN;
DELETE FROM live.st WHERE name = 'live.t@{[ abs($i - 2) ]}';
DROP TABLE IF EXISTS live.t@{[ abs($i - 2) ]};
COMMIT;
SELECT pg_sleep(0.3);
SQL
}
$begin->($comings) if $ENV{ORACLE_COMINGS} // 1;

foreach my $s (@sessions)
{
	my $ok = IPC::Run::finish($s->{run});
	# a refresher may meet a table that was just dropped
	$ok = 1 if $s->{err} =~ /live\.t\d+|live\.st/ && $s->{err} !~ /XX\d|crash|closed the connection/;
	ok($ok, 'session ended well: ' . substr($s->{sql}, 0, 40)) or diag($s->{err});
}

isnt($node->safe_psql('postgres', 'SELECT count(*) FROM live.checks'), '0', 'compared in between');
is($node->safe_psql('postgres', "SELECT string_agg(bad, E'\\n') FROM live.checks"), '', 'equal in between');
$node->safe_psql('postgres', 'SELECT live.refresh_all()');
is($node->safe_psql('postgres', 'SELECT live.differing()'), '', 'equal at the end');
note('comparisons in between: ' . $node->safe_psql('postgres', 'SELECT count(*) FROM live.checks'));
is( $node->safe_psql('postgres', "SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE status = 'FAILED'"),
	'0', 'no refresh failed');

$node->stop;
done_testing();
