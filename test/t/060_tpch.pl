# TPC-H: the 22 queries as stream tables over changing tables.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @differential = map { sprintf 'q%02d', $_ } 1 .. 22;

my $node = pgt_node('main', conf => "pg_trickle.enabled = off\njit = off\n");

pgt_workload_file($node, 'check.sql');
pgt_workload_file($node, 'tpch_data.sql', 'scale 0.01');
pgt_workload_file($node, 'tpch_queries.sql', 'scale 0.01');
pgt_workload_file($node, 'tpch_changes.sql');
is($node->safe_psql('postgres', 'SELECT count(*) FROM workload.query'), '22', '22 queries');
pgt_check_workload($node, differential => \@differential,
	changes => [ map { "CALL tpch.change(0.03, $_); CALL tpch.provoke($_)" } 1 .. 10 ]);

$node->stop;
done_testing();
