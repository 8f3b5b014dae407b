# A physical standby has the stream tables of its primary; functions that look
# work there, the others say why they cannot; after promotion its scheduler
# goes on by deltas, from where the primary was.

use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $query = 'SELECT k, avg(n) AS a, count(*) AS c FROM src GROUP BY k';
my $primary = pgt_node('primary', init => [ allows_streaming => 1 ]);

$primary->safe_psql('postgres', <<"SQL");
CREATE TABLE src (id int PRIMARY KEY, k int, n int);
INSERT INTO src SELECT i, i % 5, i FROM generate_series(1, 100) i;
SELECT pgtrickle.create_stream_table('st', '$query', schedule => '1s', refresh_mode => 'DIFFERENTIAL');
UPDATE src SET n = n + 1 WHERE id <= 10;
SQL
pgt_poll($primary,
	q{SELECT EXISTS (SELECT FROM pgtrickle.get_refresh_history('st') WHERE action = 'DIFFERENTIAL')},
	'the primary refreshes');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# a change that the primary has captured and not refreshed
$primary->safe_psql('postgres', q{
	SELECT pgtrickle.suspend_stream_table('st');
	UPDATE src SET n = n + 100 WHERE id = 7;
	DELETE FROM src WHERE id = 8});
# one that was restored, and that nobody has refreshed since
$primary->safe_psql('postgres', q{
	ALTER SYSTEM SET pg_trickle.enabled = off;
	SELECT pg_reload_conf();
	SELECT pgtrickle.create_stream_table('restored', 'SELECT id FROM src', '1d');
	UPDATE pgtrickle.pgt_stream_tables SET stamp = 'elsewhere' WHERE relid = 'restored'::regclass});
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', 'SELECT count(*) FROM st'), 5, 'rows on the standby');

for my $call (
	"create_stream_table('x', 'SELECT 1 AS a')",
	"alter_stream_table('st', schedule => '2s')",
	"refresh_stream_table('st')", "repair_stream_table('st')",
	"suspend_stream_table('st')", "drop_stream_table('st')",
	"explain_st('st', true)", 'rebuild_cdc_triggers()')
{
	my ($name) = $call =~ /^(\w+)/;
	my ($status, $out, $err) = $standby->psql('postgres', "SELECT pgtrickle.$call");

	like($err, qr/^psql:<stdin>:1: ERROR:  cannot execute $name\(\).* in a read-only transaction/,
		"$name() on a standby");
}

for my $from (
	'pgt_status()', 'st_refresh_stats()', "get_refresh_history('st')",
	'refresh_timeline()', "explain_st('st')", "explain_refresh_mode('st')",
	"explain_delta('st')", 'change_buffer_sizes()', 'check_cdc_health()',
	'trigger_inventory()', "list_sources('st')", 'dependency_tree()',
	"validate_query('SELECT id FROM src')", 'refresh_efficiency()',
	'pg_stat_stream_tables', 'stream_tables_info')
{
	ok($standby->safe_psql('postgres', "SELECT count(*) FROM pgtrickle.$from") > 0,
		"$from on a standby");
}
is( $standby->safe_psql(
		'postgres', "SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'scheduler'"),
	'OK', 'a standby needs no scheduler');
like($standby->safe_psql('postgres', "SELECT string_agg(detail, ' ') FROM pgtrickle.health_check()"),
	qr/public.restored was restored or copied/, 'a restored stream table on a standby');

$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', q{
	UPDATE src SET k = 9 WHERE id > 95;
	SELECT pgtrickle.resume_stream_table('st')});
pgt_poll($standby,
	'SELECT count(*) > 0 FROM st WHERE k = 9',
	'the scheduler of the new primary refreshes');
pgt_check_st($standby, 'st', $query, 'after promotion');
is( $standby->safe_psql('postgres', q{SELECT action FROM pgtrickle.get_refresh_history('st', 1)}),
	'DIFFERENTIAL', 'by deltas');

done_testing();
