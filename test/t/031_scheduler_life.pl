# Schedulers come and go with databases, the extension and the server: CREATE
# EXTENSION in another database, DROP DATABASE, rename, use as a template,
# DROP EXTENSION, a killed scheduler, restart, immediate stop, standby and
# promotion, and a server that does not preload the library.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', init => [ allows_streaming => 1 ]);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub schedulers_are
{
	my ($databases, $name, $on) = @_;
	return pgt_poll($on // $node,
		"SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') = '$databases' FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'",
		$name);
}

# A stream table in a database, and a change that its scheduler must bring in.
sub populate
{
	my ($db) = @_;
	$node->safe_psql($db, <<'SQL');
CREATE TABLE src (id int PRIMARY KEY);
INSERT INTO src SELECT generate_series(1, 10);
SELECT pgtrickle.create_stream_table('st', 'SELECT count(*) AS n FROM src', '1s');
SQL
	return;
}

sub check_alive
{
	my ($db, $name, $on) = @_;
	$on //= $node;
	$on->safe_psql($db, 'INSERT INTO src SELECT max(id) + 1 FROM src');
	return pgt_poll($on, 'SELECT n = (SELECT count(*) FROM src) FROM st', $name, dbname => $db);
}

# --- databases
schedulers_are('postgres', 'one scheduler to begin with');
populate('postgres');
sql('CREATE DATABASE other');
sql('CREATE DATABASE empty');
$node->safe_psql('other', 'CREATE EXTENSION pg_trickle');
schedulers_are('other postgres', 'CREATE EXTENSION in another database; one without it gets no scheduler');
populate('other');
check_alive('other', 'refreshes there');
check_alive('postgres', 'and here');

sql('ALTER DATABASE other RENAME TO "Other 2"');
check_alive('Other 2', 'a database can be renamed, and its scheduler returns');
sql('CREATE DATABASE copy TEMPLATE "Other 2"');
schedulers_are('Other 2 copy postgres', 'a database can be a template; the copy gets a scheduler');
check_alive('copy', 'stream tables of the copy are refreshed');
check_alive('Other 2', 'those of the original, too');

sql('DROP DATABASE "Other 2"');
sql('DROP DATABASE copy WITH (FORCE)');
sql('DROP DATABASE empty');
schedulers_are('postgres', 'databases can be dropped');

# during a refresh that takes long
sql('CREATE DATABASE busy');
$node->safe_psql('busy', 'CREATE EXTENSION pg_trickle');
populate('busy');
$node->safe_psql('busy', <<'SQL');
CREATE FUNCTION slow(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(100); RETURN $1; END $$;
SELECT pgtrickle.create_stream_table('slow_st', 'SELECT slow(id) FROM src', '1s', 'FULL', initialize => false);
SQL
pgt_poll($node,
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'busy' AND query LIKE '%slow_st%' AND backend_type LIKE 'pg_trickle %'",
	'a long refresh is running');
sql('DROP DATABASE busy');
schedulers_are('postgres', 'its database can be dropped all the same');

# a user who may not drop a database does not disturb it
sql('CREATE ROLE nobody_special LOGIN');
sql('CREATE DATABASE kept');
$node->safe_psql('kept', 'CREATE EXTENSION pg_trickle');
schedulers_are('kept postgres', 'scheduler of another database');
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'kept'");
my ($status, $out, $err) = $node->psql('postgres', 'SET ROLE nobody_special; DROP DATABASE kept');
like($err, qr/must be owner of database/, 'DROP DATABASE needs rights');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'kept'"),
	$pid, '... and is without effect');
sql('DROP DATABASE kept');

# --- the extension
$node->safe_psql('postgres', 'DROP EXTENSION pg_trickle CASCADE');
schedulers_are('', 'DROP EXTENSION ends the scheduler');
$node->safe_psql('postgres', 'DROP TABLE IF EXISTS src, st CASCADE; CREATE EXTENSION pg_trickle');
schedulers_are('postgres', 'CREATE EXTENSION brings a new one');
populate('postgres');
check_alive('postgres', 'it works');
$node->safe_psql('postgres', <<'SQL');
BEGIN;
DROP EXTENSION pg_trickle CASCADE;
DROP TABLE src;
CREATE EXTENSION pg_trickle;
COMMIT;
SQL
populate('postgres');
check_alive('postgres', 'dropped and created in one transaction');
my $before = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'");
sql('ALTER EXTENSION pg_trickle UPDATE');
check_alive('postgres', 'ALTER EXTENSION: it goes on');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'"), $before, '... the same scheduler');

# --- processes that end
$pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'");
sql("SELECT pg_terminate_backend($pid)");
check_alive('postgres', 'a terminated scheduler is started again');
$pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'");
my $launcher = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle launcher'");
sql("SELECT pg_terminate_backend($launcher)");
pgt_poll($node,
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle launcher' AND pid <> $launcher",
	'a terminated launcher is started again');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'"),
	$pid, '... takes over the scheduler that runs');
sql("SELECT pg_terminate_backend($pid)");
check_alive('postgres', '... and restarts it when it ends');

# --- the server
$node->restart;
check_alive('postgres', 'restart');
$node->safe_psql('postgres', 'INSERT INTO src SELECT generate_series(100, 200)');
$node->stop('immediate');
$node->start;
pgt_poll($node, 'SELECT n = (SELECT count(*) FROM src) FROM st',
	'what was captured before a crash is refreshed after it');
check_alive('postgres', 'and life goes on');

# --- a standby: idle until it is promoted
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_trickle%'"),
	'0', 'nothing runs on a standby');
is( $standby->safe_psql('postgres', 'SELECT count(*) FROM pgtrickle.pgt_status()'),
	'1', 'monitoring works there');
$node->stop;
$standby->promote;
schedulers_are('postgres', 'promotion starts the scheduler', $standby);
check_alive('postgres', 'it works', $standby);
$standby->stop;

# --- not preloaded
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
$node->safe_psql('postgres', 'INSERT INTO src SELECT generate_series(300, 400)');
is( $node->safe_psql('postgres', <<'SQL'), 'WARN', 'health_check() tells that there is no scheduler');
SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'scheduler'
SQL
$node->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('st')");
pgt_check_st($node, 'st', 'SELECT count(*) AS n FROM src', 'refresh by hand works without preloading');
is( $node->safe_psql('postgres', "SELECT pgtrickle.get_staleness('st') < 100"),
	't', 'and so does monitoring');
$node->safe_psql('postgres', 'SELECT count(*) FROM pgtrickle.health_check()');
# the library comes with a trigger, when the MERGE has begun
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE par (id int, k int) PARTITION BY LIST (k);
CREATE TABLE par0 PARTITION OF par FOR VALUES IN (0);
CREATE TABLE par1 PARTITION OF par FOR VALUES IN (1);
INSERT INTO par SELECT g, 0 FROM generate_series(1, 3) g;
SELECT pgtrickle.create_stream_table('of_par', 'SELECT id, k FROM par', NULL, 'DIFFERENTIAL');
SQL
$node->safe_psql('postgres', 'MERGE INTO par USING generate_series(1, 2) g ON id = g WHEN MATCHED THEN UPDATE SET k = 1');
$node->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('of_par')");
pgt_check_st($node, 'of_par', 'SELECT id, k FROM par', 'rows moved by a MERGE, without preloading');
$node->stop;

done_testing();
