# The scheduler's graph follows the catalog: rebuilt after the commit of what
# changed it, never before, whatever else makes it read the catalog meanwhile.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# nothing but news of commits makes it look
my $node = pgt_node('main', conf => "pg_trickle.scheduler_interval_ms = 60000\n");

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# Whatever was announced up to now has been read: a stream table that was made
# later than all of it is refreshed.
my $probe = 0;

sub catalog_was_read
{
	my ($name) = @_;
	$probe++;
	sql("SELECT pgtrickle.create_stream_table('probe_$probe', 'SELECT id, $probe AS n FROM src', '0s')");
	sql("INSERT INTO src VALUES (100 + $probe)");
	return pgt_poll($node, "SELECT count(*) = 1 FROM probe_$probe WHERE id = 100 + $probe", $name);
}

sub jobs_of
{
	my ($st) = @_;
	return sql("SELECT count(*) FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id) WHERE s.relid = '$st'::regclass AND initiated_by = 'SCHEDULER'");
}

sql('CREATE TABLE src (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)');
catalog_was_read('a stream table is seen');

# --- created: not before the commit, though the catalog is read meanwhile
my $writer = $node->background_psql('postgres');
$writer->query_safe("BEGIN; SELECT pgtrickle.create_stream_table('late', 'SELECT id FROM other', '0s')");
sql('INSERT INTO src VALUES (1)');
catalog_was_read('the catalog is read while a creation is under way');
$writer->query_safe('COMMIT');
sql('INSERT INTO other VALUES (1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM late WHERE id = 1', 'it is found after its commit');

# --- altered: the old schedule until the commit, the new one after it
$writer->query_safe("BEGIN; SELECT pgtrickle.alter_stream_table('late', schedule => '10h')");
catalog_was_read('the catalog is read while a change is under way');
is(sql("SELECT schedule FROM pgtrickle.pgt_stream_tables WHERE relid = 'late'::regclass"), '0s', 'which nobody sees');
$writer->query_safe('ROLLBACK');
sql('INSERT INTO other VALUES (2)');
pgt_poll($node, 'SELECT count(*) = 1 FROM late WHERE id = 2', 'rolled back: nothing has changed');

sql("SELECT pgtrickle.alter_stream_table('late', schedule => '10h')");
catalog_was_read('the catalog is read after a change');
my $before = jobs_of('late');
sql('INSERT INTO other VALUES (3)');
catalog_was_read('other stream tables are refreshed');
is(jobs_of('late'), $before, 'the new schedule holds');
sql("SELECT pgtrickle.alter_stream_table('late', schedule => '0s')");
pgt_poll($node, 'SELECT count(*) = 1 FROM late WHERE id = 3', '... until it is changed again');

# --- an edge of the graph: a chain appears and goes
$writer->query_safe('BEGIN');
$writer->query_safe("SELECT pgtrickle.alter_stream_table('late', 'SELECT id FROM probe_1')");
$writer->query_safe("SAVEPOINT s; SELECT pgtrickle.create_stream_table('later', 'SELECT id FROM late', '0s'); ROLLBACK TO s");
$writer->query_safe('COMMIT');
sql('INSERT INTO src VALUES (50)');
pgt_poll($node, 'SELECT count(*) = 1 FROM late WHERE id = 50', 'what it reads now is followed');
is(sql("SELECT string_agg(tree_line, ' ') FROM pgtrickle.dependency_tree() WHERE node = 'public.late'"), "|   `-- public.late",
	'... and shown');
is(sql("SELECT to_regclass('later') IS NULL"), 't', 'what a savepoint has taken back is not there');

# --- prepared: with COMMIT PREPARED
$writer->query_safe("BEGIN; SELECT pgtrickle.create_stream_table('twice', 'SELECT id FROM other', '0s'); PREPARE TRANSACTION 'p'");
catalog_was_read('the catalog is read while a transaction is prepared');
$writer->query_safe("COMMIT PREPARED 'p'");
sql('INSERT INTO other VALUES (4)');
pgt_poll($node, 'SELECT count(*) = 1 FROM twice WHERE id = 4', 'found after COMMIT PREPARED');

# --- dropped: the rest goes on
sql('DROP TABLE late');
catalog_was_read('after a drop');

$writer->quit;
$node->stop;
done_testing();
