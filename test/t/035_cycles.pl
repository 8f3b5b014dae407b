# Cycles of stream tables under the scheduler: refreshed together when what they
# read changes, left alone otherwise, and restored by pg_dump.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "pg_trickle.allow_circular = on\n");

sub sql { return $node->safe_psql('postgres', join('', @_)); }

my $closure = 'WITH RECURSIVE r AS (SELECT a, b FROM edge
	UNION SELECT r.a, e.b FROM r JOIN edge e ON e.a = r.b) SELECT a, b FROM r';

sql(<<'SQL');
CREATE TABLE edge (a int, b int, PRIMARY KEY (a, b));
INSERT INTO edge SELECT i, i + 1 FROM generate_series(1, 20) i;
SELECT pgtrickle.create_stream_table('reach', 'SELECT a, b FROM edge', '1s');
SELECT pgtrickle.create_stream_table('step', 'SELECT r.a, e.b FROM reach r JOIN edge e ON e.a = r.b', '1s');
SELECT pgtrickle.create_stream_table('fan', 'SELECT a, count(*) AS n FROM reach GROUP BY a', '1s');
SELECT pgtrickle.alter_stream_table('reach', 'SELECT a, b FROM edge UNION SELECT a, b FROM step');
SQL
pgt_poll($node, 'SELECT count(*) = 210 FROM reach', 'all ways of a chain of 20');
sql('INSERT INTO edge VALUES (21, 22)');
pgt_poll($node, 'SELECT count(*) = 231 FROM reach', 'a commit arrives');
pgt_poll($node, 'SELECT n = 21 FROM fan WHERE a = 1', '... and at what reads the cycle');
sql('DELETE FROM edge WHERE a = 10');
pgt_poll($node, 'SELECT count(*) = 45 + 66 FROM reach', 'a deletion, too');
pgt_poll($node, "SELECT count(*) = 2 FROM pgtrickle.pgt_status() WHERE name IN ('public.reach', 'public.step') AND status = 'ACTIVE' AND consecutive_errors = 0",
	'without errors');

# nothing changes: the scheduler looks, and writes nothing
pgt_poll($node, "SELECT bool_and(no_data_refreshes > 2) FROM pgtrickle.pg_stat_stream_tables", 'looks find nothing');
my $refreshes = sql("SELECT count(*) FROM pgtrickle.refresh_timeline(100000)");
pgt_poll($node, "SELECT bool_and(no_data_refreshes > 5) FROM pgtrickle.pg_stat_stream_tables", '... again');
is(sql("SELECT count(*) FROM pgtrickle.refresh_timeline(100000)"), $refreshes, '... and write no history');

pgt_check_st($node, 'public.reach', $closure, 'the fixed point');

# one member suspended: all rest, which is no failure
sql("SELECT pgtrickle.create_stream_table('other', 'SELECT a FROM edge', '1s')");
sql("SELECT pgtrickle.suspend_stream_table('step')");
my $before = sql('SELECT count(*) FROM reach');
foreach my $i (1 .. 4)
{
	sql("INSERT INTO edge VALUES (100 + $i, 0)");
	pgt_poll($node, "SELECT EXISTS (SELECT FROM other WHERE a = 100 + $i)", 'others are refreshed');
}
is(sql('SELECT count(*) FROM reach'), $before, 'a cycle with a suspended member rests');
is(sql("SELECT status, consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.reach'"),
	'ACTIVE|0', '... and that is no failure');
sql("SELECT pgtrickle.resume_stream_table('step')");
pgt_poll($node, "SELECT count(*) = $before + 4 FROM reach", '... and goes on when it is resumed');
pgt_check_st($node, 'public.reach', $closure, '... right');

# dump and restore
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
sql('CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'restore');
$node->safe_psql('copy', 'INSERT INTO edge VALUES (10, 11)');
$node->safe_psql('copy', "SELECT pgtrickle.refresh_stream_table('step')");
$node->safe_psql('copy', "SELECT pgtrickle.refresh_stream_table('reach')");
pgt_check_st($node, 'public.reach', $closure, 'restored, and refreshed', dbname => 'copy');
is($node->safe_psql('copy', 'SELECT member_count FROM pgtrickle.pgt_scc_status()'), '2',
	'it is a cycle again');
$node->stop;
done_testing();
