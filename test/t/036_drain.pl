# drain(): the scheduler begins nothing any more, refreshes that go on are waited
# for, a new scheduler keeps to it, and end_drain() lets it go on.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

sub sql { return $node->safe_psql('postgres', join('', @_)); }

sub scheduler_pid
{
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres'");
}

sql(<<'SQL');
CREATE TABLE src (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', '0s');
CREATE TABLE slow_src (id int PRIMARY KEY);
-- waits for whoever holds the advisory lock
CREATE FUNCTION gate(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock_shared(77) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN id;
END $$;
SELECT pgtrickle.create_stream_table('slow', 'SELECT gate(id) AS id FROM slow_src', '0s');
INSERT INTO src VALUES (1);
INSERT INTO slow_src VALUES (1);
SQL
pgt_poll($node, 'SELECT (SELECT count(*) FROM st) = 1 AND (SELECT count(*) FROM slow) = 1', 'the scheduler is at work');
is(sql('SELECT pgtrickle.is_drained()'), 'f', 'not drained');

is(sql('SELECT pgtrickle.drain()'), 't', 'drain() of an idle scheduler');
is(sql('SELECT pgtrickle.is_drained()'), 't', '... is_drained()');
sql('INSERT INTO src VALUES (2)');

# a new scheduler keeps to it
my $pid = scheduler_pid();
sql("SELECT pg_terminate_backend($pid)");
pgt_poll($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres' AND pid <> $pid)",
	'a new scheduler is there');
pgt_poll($node, 'SELECT pgtrickle.is_drained()', '... and drained');
is(sql('SELECT count(*) FROM st'), '1', 'it has refreshed nothing');
sql("SELECT pgtrickle.refresh_stream_table('st')");
is(sql('SELECT count(*) FROM st'), '2', 'by hand it goes');
# other databases go on
sql('CREATE DATABASE other');
$node->safe_psql('other', <<'SQL');
CREATE EXTENSION pg_trickle;
CREATE TABLE src (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', '0s');
INSERT INTO src VALUES (1);
SQL
pgt_poll($node, 'SELECT count(*) = 1 FROM st', 'another database is refreshed', dbname => 'other');
is(sql('SELECT pgtrickle.is_drained()'), 't', '... and this one is drained still');

sql('INSERT INTO src VALUES (3)');
sql('SELECT pgtrickle.end_drain()');
pgt_poll($node, 'SELECT count(*) = 3 FROM st', 'end_drain(): it goes on');
is(sql('SELECT pgtrickle.is_drained()'), 'f', '... and is not drained');

# a refresh that goes on
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(77)');
sql('INSERT INTO slow_src VALUES (2)');
# the scheduler gives up what takes long, and a worker goes on with it
pgt_poll($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_trickle worker' AND query LIKE '%public.slow%' AND state = 'active')",
	'a refresh waits');
is(sql('SELECT pgtrickle.drain(1)'), 'f', 'drain() gives up waiting for it');
is(sql('SELECT pgtrickle.is_drained()'), 'f', '... not drained');
$holder->query_safe('SELECT pg_advisory_unlock(77)');
pgt_poll($node, 'SELECT pgtrickle.is_drained()', 'drained when it has ended');
is(sql('SELECT count(*) FROM slow'), '2', '... and it has been done');
$holder->quit;

# who may
sql('CREATE ROLE somebody');
my ($ret, $out, $err) = $node->psql('postgres', 'SET ROLE somebody; SELECT pgtrickle.drain()');
like($err, qr/permission denied for function drain/, 'not everybody');
($ret, $out, $err) = $node->psql('postgres', 'SELECT pgtrickle.drain(NULL)');
like($err, qr/must not be null or negative/, 'NULL is no timeout');

# ends with the server
$node->restart;
sql('INSERT INTO src VALUES (4)');
pgt_poll($node, 'SELECT count(*) = 4 FROM st', 'after a restart it goes on');

$node->stop;
done_testing();
