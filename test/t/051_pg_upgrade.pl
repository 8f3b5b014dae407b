# pg_upgrade brings stream tables along, with buffers, state and triggers of
# the old cluster; they are adopted by the first refresh, and go on by deltas.

use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = pgt_node('old', conf => "pg_trickle.enabled = off\n");
my $new = pgt_node('new', conf => "pg_trickle.enabled = off\n", start => 0);

my %query = (
	'public.rows' => 'SELECT id, n FROM src WHERE n > 0',
	'public.groups' => 'SELECT g, avg(n) AS a, max(n) AS m FROM src GROUP BY g',
	'public.over' => 'SELECT n % 10 AS d, count(*) AS c FROM rows GROUP BY n % 10');
my @order = ('public.rows', 'public.groups', 'public.over');

$old->safe_psql('postgres', q{
	CREATE TABLE src (id int PRIMARY KEY, g int, n int);
	INSERT INTO src SELECT i, i % 5, i FROM generate_series(1, 1000) i;});
$old->safe_psql('postgres', "SELECT pgtrickle.create_stream_table('$_', '$query{$_}', schedule => NULL)") for @order;
$old->safe_psql('postgres', q{
	INSERT INTO src VALUES (1001, 1, 1);
	SELECT pgtrickle.refresh_stream_table('rows');
	INSERT INTO src VALUES (1002, 1, 1);});
$old->stop;

my $dir = $new->basedir;
chdir $dir or die "chdir: $!";
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade')
	or do { diag slurp_file($_) for glob("$dir/*/pg_upgrade_output.d/*/log/*dump*.log"); };
$new->start;

is($new->safe_psql('postgres', 'SELECT count(*) FROM pgtrickle.pgt_stream_tables'), 3, 'rows of the catalog');
# before adoption writers are not disturbed
$new->safe_psql('postgres', 'INSERT INTO src VALUES (1003, 2, 2)');
$new->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('$_')") for @order;
pgt_check_st($new, $_, $query{$_}, "$_ after adoption") for @order;
$new->safe_psql('postgres', q{
	UPDATE src SET n = n + 1 WHERE id < 10;
	DELETE FROM src WHERE id = 20;
	INSERT INTO src VALUES (1004, 3, 3);});
$new->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('$_')") for @order;
pgt_check_st($new, $_, $query{$_}, "$_ after changes") for @order;
is($new->safe_psql('postgres', q{
		SELECT string_agg(last_action, ',') FROM pgtrickle.pgt_refresh_state}),
	'DIFFERENTIAL,DIFFERENTIAL,DIFFERENTIAL', 'by deltas');
my ($rc, $out, $err) = $new->psql('postgres', 'DELETE FROM rows');
like($err, qr/cannot change stream table "rows" directly/, 'guarded');
$new->safe_psql('postgres', 'DROP TABLE src CASCADE');
is($new->safe_psql('postgres', q{
	SELECT (SELECT count(*) FROM pgtrickle.pgt_stream_tables)
	     + (SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace)}),
	0, 'nothing left');
$new->safe_psql('postgres', 'DROP EXTENSION pg_trickle');

done_testing();
