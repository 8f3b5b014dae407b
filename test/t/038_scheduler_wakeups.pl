# Which commits wake the scheduler: each that is the first news of a source, and
# none that tells it nothing new, or that nobody waits for. It sleeps for an hour
# if nobody wakes it here, so a lost wake-up lets the test fail.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => <<'CONF');
pg_trickle.scheduler_interval_ms = 3600000
autovacuum = off
CONF

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# How often the scheduler has gone to sleep; undef where the system does not say.
sub sleeps
{
	return unless -r '/proc/self/status';
	my $status = sql("SELECT pg_read_file('/proc/' || pid || '/status') FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres'");
	return $status =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : undef;
}

sql(<<'SQL');
CREATE TABLE src (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE quiet (id int PRIMARY KEY);
CREATE TABLE later (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', '0s');
SELECT pgtrickle.create_stream_table('st_both', 'SELECT id FROM src UNION ALL SELECT id FROM other', '0s');
SELECT pgtrickle.create_stream_table('by_hand', 'SELECT id FROM quiet', NULL);
SELECT pgtrickle.create_stream_table('hourly', 'SELECT id FROM later', '1h');

-- So many commits, each waited for, or not.
CREATE PROCEDURE write(source text, ids int[], st text) LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
    seen bool;
    i int;
BEGIN
    FOREACH i IN ARRAY ids LOOP
        EXECUTE format('INSERT INTO %I VALUES (%s)', source, i);
        COMMIT;
        CONTINUE WHEN st IS NULL;
        LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id = %s)', st, i) INTO seen;
            COMMIT;
            EXIT WHEN seen;
            IF clock_timestamp() - begun > '10 min' THEN
                RAISE 'commit % did not wake the scheduler', i;
            END IF;
            PERFORM pg_sleep(0.0001);
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION ids(first int, last int) RETURNS int[] LANGUAGE sql AS
    'SELECT array_agg(i) FROM generate_series(first, last) i';
SQL
sql("CALL write('src', ids(1, 1), 'st_both')");

# --- each commit that is waited for wakes it, with two writers at a time
my @writers = map { $node->background_psql('postgres', on_error_stop => 1) } (1, 2);
my $before = sleeps();
sql("CALL write('src', ids(2, 300), 'st')");
my $after = sleeps();
SKIP:
{
	skip 'no /proc here', 1 unless defined $before;
	cmp_ok($after - $before, '>', 100, 'commits that are waited for wake the scheduler');
}
$writers[0]->query_until(qr/begun/, "\\echo begun\nCALL write('src', ids(1001, 1300), 'st_both');\n");
$writers[1]->query_until(qr/begun/, "\\echo begun\nCALL write('other', ids(2001, 2300), 'st_both');\n");
is($_->query_safe("SELECT 'done'"), 'done', 'no wake-up is lost') foreach (@writers);
$_->quit foreach (@writers);
is(sql('SELECT count(*) FROM st_both'), '900', 'all of them arrived');

# --- nobody waits
sub wakes_nobody
{
	my ($source, $ids, $name) = @_;
	my $sleeps = sleeps();

	sql("CALL write('$source', ids($ids), NULL)");
	SKIP:
	{
		skip 'no /proc here', 1 unless defined $sleeps;
		cmp_ok(sleeps() - $sleeps, '<', 100, "1000 commits wake nobody: $name");
	}
	return;
}
wakes_nobody('quiet', '1, 1000', 'a source read by hand only');
# the first one is news, and is waited for
sql('INSERT INTO later VALUES (0)');
sql("CALL write('src', ids(301, 301), 'st')");
wakes_nobody('later', '1, 1000', 'a source with changes that wait for their time');
sql("SELECT pgtrickle.suspend_stream_table('st'); SELECT pgtrickle.suspend_stream_table('st_both')");
sql("CALL write('other', ids(3001, 3001), NULL)");
wakes_nobody('src', '4001, 5000', 'a source whose stream tables are suspended');

# --- but as soon as somebody waits, they do
sql("SELECT pgtrickle.resume_stream_table('st'); SELECT pgtrickle.resume_stream_table('st_both')");
sql("CALL write('src', ids(5001, 5020), 'st')");
pass('a source whose stream table is resumed');
sql("SELECT pgtrickle.alter_stream_table('by_hand', schedule => '0s')");
sql("CALL write('quiet', ids(2001, 2020), 'by_hand')");
pass('a source whose stream table is no longer refreshed by hand');
sql("SELECT pgtrickle.alter_stream_table('hourly', schedule => '0s')");
sql("CALL write('later', ids(2001, 2020), 'hourly')");
pass('a source whose stream table has got a shorter schedule');
sql(<<'SQL');
CREATE TABLE fresh (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('st_fresh', 'SELECT id FROM fresh', '0s');
INSERT INTO fresh VALUES (0);
SQL
sql("CALL write('fresh', ids(1, 20), 'st_fresh')");
pass('a source that is new');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres'");
sql("CALL write('src', ids(6001, 6020), 'st')");
pass('a scheduler that is new');

# --- a prepared transaction is looked after without being refreshed for all the time
sub refreshes
{
	return sql('SELECT sum(full_refreshes + differential_refreshes + no_data_refreshes) FROM pgtrickle.pg_stat_stream_tables');
}
sql("BEGIN; INSERT INTO quiet VALUES (-1); PREPARE TRANSACTION 'p'");
sql("CALL write('src', ids(7001, 7001), 'st')");
$before = refreshes();
sql("CALL write('src', ids(7002, 7051), 'st')");
cmp_ok(refreshes() - $before, '<=', 50 * 4, 'a prepared transaction does not keep the scheduler busy');
sql("COMMIT PREPARED 'p'");
pgt_poll($node, 'SELECT count(*) = 1 FROM by_hand WHERE id = -1', 'its end wakes the scheduler');

# --- a diamond whose content changes by itself goes on without any commit
sql(<<'SQL');
CREATE FUNCTION now_and_then() RETURNS timestamptz VOLATILE LANGUAGE sql AS 'SELECT clock_timestamp()';
SELECT pgtrickle.create_stream_table('l', 'SELECT id, now_and_then() AS at FROM fresh', '1s', 'FULL', diamond_consistency => 'atomic');
SELECT pgtrickle.create_stream_table('r', 'SELECT id FROM fresh', '1s', diamond_consistency => 'atomic');
SELECT pgtrickle.create_stream_table('b', 'SELECT id, at FROM l JOIN r USING (id)', '1s', diamond_consistency => 'atomic');
SQL
foreach my $i (1 .. 3)
{
	my $time = sql('SELECT clock_timestamp()');
	pgt_poll($node, "SELECT min(at) > '$time' FROM b", "a diamond with a volatile function goes on ($i)");
}

$node->stop;
done_testing();
