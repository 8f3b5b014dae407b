# Nexmark: its queries as stream tables over persons, auctions and bids.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @differential = (
	(map { sprintf 'nq%02d', $_ } 0 .. 9, 11 .. 22), qw(nq_winning nq_idle));

my $node = pgt_node('main', conf => "pg_trickle.enabled = off\njit = off\n");

pgt_workload_file($node, 'check.sql');
pgt_workload_file($node, 'nexmark_data.sql', 'bids 4600');
pgt_workload_file($node, 'nexmark_queries.sql');
pgt_workload_file($node, 'nexmark_changes.sql');
pgt_check_workload($node, differential => \@differential,
	changes => [ map { "CALL nexmark.change($_)" } 1 .. 10 ]);

$node->stop;
done_testing();
