# Nexmark: its queries as stream tables over persons, auctions and bids.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @differential = qw(nq00 nq01 nq02 nq03 nq04 nq05 nq07 nq08 nq12 nq13 nq14 nq15 nq16 nq17 nq20 nq21 nq22 nq_winning nq_idle);

my $node = pgt_node('main', conf => "pg_trickle.enabled = off\njit = off\n");

pgt_workload_file($node, 'check.sql');
pgt_workload_file($node, 'nexmark_data.sql', 'bids 4600');
pgt_workload_file($node, 'nexmark_queries.sql');
pgt_workload_file($node, 'nexmark_changes.sql');
pgt_check_workload($node, differential => \@differential,
	changes => [ map { "CALL nexmark.change($_)" } 1 .. 10 ]);

$node->stop;
done_testing();
