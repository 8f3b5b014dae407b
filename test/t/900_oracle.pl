# Random stream tables under random changes equal their queries: some hundred
# cases of the oracle, with fixed seeds and with one of the commit (ORACLE_SEED);
# see test/oracle.
use strict;
use warnings;

use File::Basename qw(dirname);
use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('oracle', conf => "autovacuum_naptime = 10s\nfsync = off\n");
my $oracle = File::Spec->catfile(dirname(__FILE__), '..', 'oracle', 'oracle.pl');
my $cases = $ENV{ORACLE_CASES} // 300;

# seed, share of the cases
foreach my $run ([ 1, 0.4 ], [ 20001, 0.4 ], [ 1_000_000 + ($ENV{ORACLE_SEED} // 0), 0.2 ])
{
	my ($seed, $share) = @$run;
	my $n = int($cases * $share);
	my @cmd = ($^X, $oracle, '--seed', $seed, '--cases', $n, '--progress', 0, '--psql', 'psql',
		'--budget', 200, '-h', $node->host, '-p', $node->port, '-d', 'postgres');
	my $out = '';

	my $ok = IPC::Run::run(\@cmd, '<', \undef, '>', \$out, '2>&1');
	ok($ok, "$n cases from seed $seed");
	my ($summary) = $out =~ /^(# oracle: .* cases\/s)$/m;
	note($summary // 'no summary');
	diag($out) unless $ok;
}

$node->stop;
done_testing();
