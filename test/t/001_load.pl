# The library loads at server start, and the extension can be created, dropped
# and created again; the server restarts with it.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'pg_trickle'"),
	'0.1.0', 'extension is created');
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'),
	'pg_trickle', 'library is preloaded');

$node->safe_psql('postgres', 'DROP EXTENSION pg_trickle');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgtrickle%'"),
	'0', 'dropping the extension removes its schemas');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_trickle');

$node->restart;
pgt_poll($node, 'SELECT true', 'server restarts');

# the oracle as TAP tests use it
$node->safe_psql('postgres',
	'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 3) g');
pgt_check_st($node, 't', 'SELECT g AS a FROM generate_series(1, 3) g', 'equal tables');
is(pgt_diff_st($node, 't', "SELECT g AS a FROM generate_series(2, 3) g WHERE 'it''s' <> ''"),
	'1', 'one row differs');
pgt_error_like($node, 'SELECT 1/0', qr/division by zero/, 'errors are seen');

$node->stop;
done_testing();
