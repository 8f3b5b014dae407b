# What the settings of refreshes do: differential_max_change_ratio,
# merge_strategy, merge_planner_hints, merge_work_mem_mb and
# merge_work_mem_max_mb, use_prepared_statements, log_refresh_profile.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "pg_trickle.enabled = off\n");

sub sql { return $node->safe_psql('postgres', join('', @_)); }

sub last_refresh
{
	my ($name, $column) = @_;
	return sql(<<"SQL");
SELECT $column FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables USING (pgt_id)
WHERE relid = '$name'::regclass ORDER BY refresh_id DESC LIMIT 1
SQL
}

sql(<<'SQL');
CREATE TABLE src (id int PRIMARY KEY, k int, t text);
INSERT INTO src SELECT i, i, repeat('x', 20) FROM generate_series(1, 40000) i;
CREATE TABLE dim (k int PRIMARY KEY, n text);
INSERT INTO dim SELECT i, 'n' || i FROM generate_series(1, 20000) i;
CREATE INDEX ON src (k);
ANALYZE;
SQL

# --- differential_max_change_ratio: where AUTO starts to recompute
foreach my $case ([ '0.05', 'FULL' ], [ '0.9', 'DIFFERENTIAL' ])
{
	my ($ratio, $action) = @$case;
	sql("SELECT pgtrickle.create_stream_table('st', 'SELECT id, t FROM src', NULL, 'AUTO')");
	sql('UPDATE src SET t = t || 1 WHERE id % 5 = 0');
	sql("SET pg_trickle.differential_max_change_ratio = $ratio; SELECT pgtrickle.refresh_stream_table('st')");
	is(last_refresh('st', 'action'), $action, "20 % changed, ratio $ratio");
	pgt_check_st($node, 'st', 'SELECT id, t FROM src');
	sql("SELECT pgtrickle.drop_stream_table('st')");
}

# --- merge_strategy: how a delta is written
sql("SELECT pgtrickle.create_stream_table('st', 'SELECT id, t FROM src', NULL, 'DIFFERENTIAL')");
foreach my $strategy ('merge', 'delete_insert')
{
	sql('UPDATE src SET t = t || 2 WHERE id % 7 = 0');
	sql("SET pg_trickle.merge_strategy = $strategy; SELECT pgtrickle.refresh_stream_table('st')");
	is(last_refresh('st', 'strategy'), $strategy, "merge_strategy = $strategy");
	pgt_check_st($node, 'st', 'SELECT id, t FROM src');
}

# --- merge_work_mem_mb, merge_work_mem_max_mb: memory of a large delta
sub temp_files_of_refresh
{
	my ($settings) = @_;
	sql('UPDATE src SET t = t || 3');
	return sql(<<"SQL");
SET work_mem = '64kB';
$settings
DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
SELECT temp_files AS before FROM pg_stat_database WHERE datname = current_database() \\gset
DO \$\$ BEGIN PERFORM pgtrickle.refresh_stream_table('st'); END \$\$;
DO 'BEGIN PERFORM pg_stat_force_next_flush(); END';
SELECT temp_files - :before FROM pg_stat_database WHERE datname = current_database();
SQL
}
cmp_ok(temp_files_of_refresh('SET pg_trickle.merge_work_mem_mb = 1; SET pg_trickle.merge_work_mem_max_mb = 1;'),
	'>', 0, 'little memory: the refresh uses files');
is(temp_files_of_refresh('SET pg_trickle.merge_work_mem_mb = 256;'), '0', 'merge_work_mem_mb: it does not');
cmp_ok(temp_files_of_refresh('SET pg_trickle.merge_work_mem_mb = 256; SET pg_trickle.merge_work_mem_max_mb = 1;'),
	'>', 0, 'merge_work_mem_max_mb caps it');
pgt_check_st($node, 'st', 'SELECT id, t FROM src');

# --- merge_planner_hints: delta statements prefer indexes
sql("SELECT pgtrickle.create_stream_table('joined', 'SELECT s.id, d.n FROM src s JOIN dim d USING (k)', NULL)");
my $plan = "SELECT string_agg(value, chr(10)) FROM pgtrickle.explain_delta('joined')";
like(sql($plan), qr/Index Scan using dim_pkey/, 'merge_planner_hints = on: index');
unlike(sql("SET pg_trickle.merge_planner_hints = off; $plan"),
	qr/Index Scan using dim_pkey/, 'merge_planner_hints = off: as the planner likes');
# ... and borrow the statistics of the table that changed: a condition that all rows meet
sql("SELECT pgtrickle.create_stream_table('filtered', 'SELECT id FROM src WHERE k > 0 AND t <> ''y''', NULL); ANALYZE src");
my $scan = "SELECT substring(string_agg(value, chr(10)) FROM 'Named Tuplestore Scan[^\\n]*rows=(\\d+)') FROM pgtrickle.explain_delta('filtered')";
cmp_ok(sql($scan), '>=', 90, 'merge_planner_hints = on: statistics of the source');
cmp_ok(sql("SET pg_trickle.merge_planner_hints = off; $scan"), '<=', 50, 'merge_planner_hints = off: none');

# --- log_refresh_profile, use_prepared_statements
sub profiles
{
	my ($settings) = @_;
	my $offset = -s $node->logfile;
	sql($settings, "SET pg_trickle.log_refresh_profile = on;\n",
		map { "UPDATE src SET k = k + 1 WHERE id = $_; SELECT pgtrickle.refresh_stream_table('joined');\n" }
		  (1 .. 4));
	return grep { /pg_trickle refresh of/ } split(/\n/, slurp_file($node->logfile, $offset));
}
my @lines = profiles("SET pg_trickle.use_prepared_statements = on;\n");
is(scalar(@lines), 4, 'log_refresh_profile: one line per refresh');
like($lines[0],
	qr/refresh of "public.joined": action=DIFFERENTIAL decision=[\d.]+ load=[\d.]+ plan=[\d.]+ delta=[\d.]+ apply=[\d.]+ cleanup=[\d.]+ .*plan_cache=miss delta_rows=2 .*strategy=\w+/,
	'... with its contents');
like($lines[3], qr/plan_cache=hit/, 'use_prepared_statements = on: plans are kept');
@lines = profiles("SET pg_trickle.use_prepared_statements = off;\n");
like($lines[3], qr/plan_cache=miss/, 'use_prepared_statements = off: they are not');
my $offset = -s $node->logfile;
sql("UPDATE src SET k = k + 1 WHERE id = 1; SELECT pgtrickle.refresh_stream_table('joined')");
unlike(slurp_file($node->logfile, $offset), qr/pg_trickle refresh of/, 'log_refresh_profile is off by default');
pgt_check_st($node, 'joined', 'SELECT s.id, d.n FROM src s JOIN dim d USING (k)');

$node->stop;
done_testing();
