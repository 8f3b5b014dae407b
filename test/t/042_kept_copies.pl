# Sources whose changes cannot be captured, where the scheduler refreshes: a
# foreign table of another database, compared at each interval; a materialized
# view, compared after it was refreshed. Two owners see it with their own user
# mappings. Then dump and restore, and an immediate stop.

use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');
my $host = $node->host;
my $port = $node->port;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# --- a foreign table, and a materialized view over it
$node->safe_psql('template1', 'CREATE DATABASE remote');
$node->safe_psql('remote', q{
	CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric, secret boolean DEFAULT false);
	INSERT INTO orders SELECT i, i % 10, i FROM generate_series(1, 1000) i;
	CREATE ROLE kc_remote LOGIN;
	GRANT SELECT ON orders TO kc_remote;
	ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON orders USING (NOT secret);});
sql(qq{
	CREATE EXTENSION postgres_fdw;
	CREATE ROLE kc_owner LOGIN SUPERUSER;
	CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'remote');
	CREATE USER MAPPING FOR CURRENT_USER SERVER remote;
	CREATE USER MAPPING FOR kc_owner SERVER remote OPTIONS (user 'kc_remote');
	CREATE FOREIGN TABLE orders (id int, customer int, amount numeric, secret boolean) SERVER remote OPTIONS (table_name 'orders');
	CREATE TABLE customers (id int PRIMARY KEY, name text);
	INSERT INTO customers SELECT i, 'c' || i FROM generate_series(0, 9) i;
	CREATE MATERIALIZED VIEW large AS SELECT id, amount FROM orders WHERE amount > 900;});
my %query = (
	totals => 'SELECT c.name, sum(o.amount) AS total, count(*) AS n FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.name',
	larger => 'SELECT l.id, l.amount, r.id AS next FROM large l LEFT JOIN large r ON r.amount = l.amount + 1',
	copied => 'SELECT amount, id FROM large');
sub create
{
	my ($name, $role) = @_;
	sql(qq{
		SET ROLE $role;
		SET pg_trickle.foreign_table_polling = on;
		SET pg_trickle.matview_polling = on;
		SELECT pgtrickle.create_stream_table('$name', '$query{$name}', '1s', 'DIFFERENTIAL');});
	return;
}
create($_, 'NONE') for qw(totals larger copied);
$query{mine} = $query{totals};
create('mine', 'kc_owner');

sub agrees
{
	my ($st) = @_;
	return "SELECT NOT EXISTS (($query{$st}) EXCEPT ALL SELECT * FROM $st) AND NOT EXISTS (SELECT * FROM $st EXCEPT ALL ($query{$st}))";
}
$node->safe_psql('remote', 'UPDATE orders SET amount = amount + 1 WHERE id % 100 = 0; DELETE FROM orders WHERE id = 950; INSERT INTO orders VALUES (2000, 3, 2000, true)');
pgt_poll($node, agrees('totals'), 'the scheduler finds what has changed in a foreign table');
pgt_poll($node, "SELECT (SELECT sum(total) FROM mine) = (SELECT sum(total) - 2000 FROM totals)",
	'each owner has what the own user mapping shows');
sql('UPDATE customers SET name = name || 0 WHERE id = 3');
pgt_poll($node, agrees('totals'), 'and joins it with captured changes');
is(sql("SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'totals'::regclass) AND initiated_by = 'SCHEDULER' AND action <> 'DIFFERENTIAL'"),
	'0', 'by deltas');

# --- the view says nothing until it is refreshed
sql('REFRESH MATERIALIZED VIEW large');
pgt_poll($node, agrees('larger'), 'REFRESH MATERIALIZED VIEW is followed');
pgt_poll($node, agrees('copied'), 'by all that read it');
my $history = "SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'copied'::regclass)";
my $before = sql($history);
sql('UPDATE customers SET name = name || 1 WHERE id = 4');
pgt_poll($node, agrees('totals'), 'another round of the scheduler');
is(sql($history), $before, 'what was not refreshed is left alone');
sql('CREATE UNIQUE INDEX ON large (id)');
$node->safe_psql('remote', 'UPDATE orders SET amount = 5000 WHERE id IN (910, 920)');
sql('REFRESH MATERIALIZED VIEW CONCURRENTLY large');
pgt_poll($node, agrees($_), "CONCURRENTLY: $_") for qw(larger copied);

# --- a server that is away, and comes back
sql("ALTER SERVER remote OPTIONS (SET dbname 'nowhere')");
pgt_poll($node, "SELECT consecutive_errors > 0 FROM pgtrickle.pgt_stream_tables WHERE relid = 'totals'::regclass",
	'a server that does not answer is an error of the refresh');
sql("ALTER SERVER remote OPTIONS (SET dbname 'remote'); SELECT pgtrickle.resume_stream_table('totals')");
$node->safe_psql('remote', 'DELETE FROM orders WHERE id < 10');
pgt_poll($node, agrees('totals'), 'and it goes on where it was');
pgt_poll($node, "SELECT consecutive_errors = 0 FROM pgtrickle.pgt_stream_tables WHERE relid = 'totals'::regclass",
	'without counting errors');

# --- crash
$node->safe_psql('remote', 'UPDATE orders SET amount = amount + 7 WHERE id % 50 = 0');
$node->stop('immediate');
$node->start;
pgt_poll($node, agrees('totals'), 'after a crash');
is(sql("SELECT string_agg(check_name || ': ' || detail, '; ') FROM pgtrickle.health_check() WHERE check_name = 'capture' AND severity <> 'OK'"),
	'', 'all is in order');

# --- dump and restore
my $dump = $node->backup_dir . '/kept_copies.dump';
mkdir $node->backup_dir unless -d $node->backup_dir;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
sql('CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
$node->safe_psql('remote', 'DELETE FROM orders WHERE id % 20 = 0');
$node->safe_psql('restored', 'REFRESH MATERIALIZED VIEW large');
$node->safe_psql('restored', "SELECT pgtrickle.refresh_stream_table('$_')") for qw(totals larger copied);
is($node->safe_psql('restored', agrees($_)), 't', "restored: $_") for qw(totals larger copied);
$node->safe_psql('remote', 'DELETE FROM orders WHERE id % 30 = 0');
$node->safe_psql('restored', 'REFRESH MATERIALIZED VIEW large');
$node->safe_psql('restored', "SELECT pgtrickle.refresh_stream_table('$_')") for qw(totals larger copied);
is($node->safe_psql('restored', agrees($_)), 't', "restored and refreshed: $_") for qw(totals larger copied);
is($node->safe_psql('restored', "SELECT DISTINCT cdc_mode FROM pgtrickle.list_sources('larger')"), 'kept copy',
	'restored: compared as before');

# --- nothing is left over
$node->safe_psql('restored', 'DROP MATERIALIZED VIEW large CASCADE; DROP FOREIGN TABLE orders CASCADE; DROP TABLE customers CASCADE');
is($node->safe_psql('restored', "SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace"),
	'0', 'dropped with all that belongs to it');

done_testing();
