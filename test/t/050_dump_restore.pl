# Stream tables survive pg_dump and pg_restore, CREATE DATABASE ... TEMPLATE
# and a schema-only dump: what comes back is adopted by the first refresh.

use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('dump', conf => "pg_trickle.enabled = off\n");
my $dir = $node->backup_dir;
mkdir $dir unless -d $dir;

# rows in which a stream table and its query differ
sub differences
{
	my ($db, $st, $query) = @_;
	return $node->safe_psql($db, qq{
		SELECT (SELECT count(*) FROM (SELECT * FROM $st EXCEPT ALL ($query)) a)
		     + (SELECT count(*) FROM (($query) EXCEPT ALL SELECT * FROM $st) b)});
}

my %query = (
	'app.rows' => 'SELECT id, upper(v) AS v FROM app.src WHERE n > 0',
	'app."Groups"' => 'SELECT g, avg(n) AS a, max(n) AS m FROM app.src GROUP BY g',
	'app.over' => 'SELECT v, count(*) AS c FROM app.rows GROUP BY v',
	'app.by_part' => 'SELECT g, count(*) AS c FROM app.part GROUP BY g',
	'app.bag' => 'SELECT g FROM app.src',
	'app.full_only' => 'SELECT g, id FROM app.src LIMIT 1000000');
my @order = ('app.rows', 'app."Groups"', 'app.over', 'app.by_part', 'app.bag', 'app.full_only');

sub check_all
{
	my ($db, $what) = @_;

	# first look: adoption
	$node->safe_psql($db, "SELECT pgtrickle.refresh_stream_table('$_')") for @order;
	is(differences($db, $_, $query{$_}), 0, "$what: $_ after adoption") for @order;
	$node->safe_psql($db, q{
		INSERT INTO app.src (id, g, v, n) SELECT i, i % 7, 'new' || i % 3, i FROM generate_series(2000, 2100) i;
		UPDATE app.src SET n = n + 1, g = g + 1 WHERE id % 3 = 0;
		DELETE FROM app.src WHERE id % 5 = 0;
		INSERT INTO app.part VALUES (1, 5), (15, 5);
		UPDATE app.part SET id = id + 10 WHERE id = 1;});
	$node->safe_psql($db, "SELECT pgtrickle.refresh_stream_table('$_')") for @order;
	is(differences($db, $_, $query{$_}), 0, "$what: $_ after changes") for @order;
	cmp_ok($node->safe_psql($db, q{SELECT count(*) FROM pgtrickle.pgt_refresh_history
			WHERE action = 'DIFFERENTIAL'}), '>=', 3, "$what: by deltas");
	my ($rc, $out, $err) = $node->psql($db, 'DELETE FROM app.rows');
	like($err, qr/cannot change stream table "rows" directly/, "$what: guarded");
	is($node->safe_psql($db, q{SELECT tableowner FROM pg_tables WHERE tablename = 'Groups'}),
		'dump_owner', "$what: owner");
	is($node->safe_psql($db, q{
		SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
		WHERE p.pronamespace = 'pgtrickle'::regnamespace AND tgname LIKE 'pg_trickle_cdc%'
		    AND tgname NOT LIKE 'pg_trickle_cdc_' || tgrelid || '_%'}),
		0, "$what: no left-over triggers");

	# a new one beside them, and all go without a trace
	$node->safe_psql($db, q{SELECT pgtrickle.create_stream_table('app.another', 'SELECT id FROM app.src')});
	$node->safe_psql($db, 'DROP SCHEMA app CASCADE');
	is($node->safe_psql($db, q{
		SELECT (SELECT count(*) FROM pgtrickle.pgt_stream_tables)
		     + (SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace)}),
		0, "$what: nothing left after DROP SCHEMA");
}

$node->safe_psql('postgres', q{
	CREATE ROLE dump_owner;
	CREATE SCHEMA app AUTHORIZATION dump_owner;
	SET ROLE dump_owner;
	CREATE TABLE app.src (id int PRIMARY KEY, g int, v text, n int);
	INSERT INTO app.src SELECT i, i % 5, 'v' || i % 4, i FROM generate_series(1, 1000) i;
	CREATE TABLE app.part (id int, g int) PARTITION BY RANGE (id);
	CREATE TABLE app.part1 PARTITION OF app.part FOR VALUES FROM (0) TO (10);
	CREATE TABLE app.part2 PARTITION OF app.part FOR VALUES FROM (10) TO (100);
	INSERT INTO app.part SELECT i, i % 3 FROM generate_series(0, 50) i;});
for my $st (@order)
{
	my $q = $query{$st};
	$node->safe_psql('postgres', qq{SET ROLE dump_owner;
		SET client_min_messages = warning;
		SELECT pgtrickle.create_stream_table('$st', '$q', schedule => '5m')});
}
$node->safe_psql('postgres', q{
	GRANT SELECT ON app.rows TO PUBLIC;
	CREATE INDEX by_v ON app.rows (v);
	COMMENT ON TABLE app.rows IS 'commented';
	INSERT INTO app.src VALUES (5001, 1, 'pending', 1);});

# plain and custom format, into new databases
for my $format ('plain', 'custom', 'parallel')
{
	my $db = "restored_$format";
	my $file = "$dir/$format.dump";
	my @jobs = ();

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	if ($format eq 'plain')
	{
		command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], "$format: dump");
		command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $file ],
			"$format: restore");
		unlike(slurp_file($file), qr/changes_\d+_[01]|stage_\d+_\d+/, 'no buffer or stage table in the dump');
	}
	else
	{
		command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('postgres') ], "$format: dump");
		@jobs = ('-j', '2') if $format eq 'parallel';
		command_ok([ 'pg_restore', '--exit-on-error', @jobs, '-d', $node->connstr($db), $file ], "$format: restore");
	}
	is($node->safe_psql($db, 'SELECT count(*) FROM pgtrickle.pgt_stream_tables'), 6, "$format: rows of the catalog");
	is($node->safe_psql($db, q{SELECT obj_description('app.rows'::regclass)}), 'commented', "$format: comment");
	# before adoption: writers are not disturbed
	$node->safe_psql($db, q{INSERT INTO app.src VALUES (5002, 1, 'early', 1); UPDATE app.part SET g = g});
	check_all($db, $format);
}

# a copy of the whole database, with its buffers and triggers
$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
$node->safe_psql('copied', q{INSERT INTO app.src VALUES (5002, 1, 'early', 1); UPDATE app.part SET g = g});
$node->safe_psql('copied', 'DELETE FROM pgtrickle.pgt_refresh_history');
check_all('copied', 'template');

# repair adopts, too
$node->safe_psql('template1', 'CREATE DATABASE repaired TEMPLATE postgres');
like($node->safe_psql('repaired', q{SELECT pgtrickle.repair_stream_table('app.rows')}),
	qr/adopted/, 'repair adopts a copy');
is(differences('repaired', 'app.rows', $query{'app.rows'}), 0, 'repaired copy');

# schema only: ordinary tables, which may be filled, dropped and created anew
$node->safe_psql('postgres', 'CREATE DATABASE schema_only TEMPLATE template0');
command_ok([ 'pg_dump', '-s', '-f', "$dir/schema.sql", '-d', $node->connstr('postgres') ], 'schema only: dump');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('schema_only'), '-f', "$dir/schema.sql" ],
	'schema only: restore');
$node->safe_psql('schema_only', q{
	INSERT INTO app.src VALUES (1, 1, 'a', 1);
	INSERT INTO app.rows VALUES (1, 'A');
	DROP TABLE app.rows CASCADE;
	SELECT pgtrickle.create_stream_table('app.rows', 'SELECT id FROM app.src')});
is($node->safe_psql('schema_only', 'SELECT count(*) FROM app.rows'), 1, 'schema only: works again');

# the original is untouched
$node->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('$_')") for @order;
is(differences('postgres', $_, $query{$_}), 0, "original: $_") for @order;

done_testing();
