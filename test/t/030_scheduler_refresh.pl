# The scheduler refreshes by itself: after a commit, in dependency order, by
# duration, by calculated interval, never with a NULL schedule, and without a
# look at what did not change; errors are retried, then suspend the stream
# table, and never stop the others.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

sub sql { return $node->safe_psql('postgres', join('', @_)); }

sub count_history
{
	my ($name) = @_;
	return sql("SELECT count(*) FROM pgtrickle.get_refresh_history('$name', 1000)");
}

pgt_poll($node,
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres'",
	'CREATE EXTENSION brings a scheduler');
is( sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_trickle launcher'"),
	'1', 'there is a launcher');

# --- a chain: changes go through in order, with one look of the scheduler
sql(<<'SQL');
CREATE TABLE src (id int PRIMARY KEY, g int, v int);
INSERT INTO src SELECT i, i % 10, i FROM generate_series(1, 100) i;
SELECT pgtrickle.create_stream_table('st1', 'SELECT g, sum(v) AS s FROM src GROUP BY g', 'calculated');
SELECT pgtrickle.create_stream_table('st2', 'SELECT g, s FROM st1 WHERE s > 10', 'calculated');
SELECT pgtrickle.create_stream_table('st3', 'SELECT count(*) AS n, sum(s) AS s FROM st2', '1s');
SELECT pgtrickle.create_stream_table('by_hand', 'SELECT count(*) AS n FROM src', NULL);
INSERT INTO src VALUES (1001, 77, 1000);
SQL
pgt_poll($node, 'SELECT n = 11 FROM st3', 'a change reaches the end of a chain');
pgt_check_st($node, 'st1', 'SELECT g, sum(v) AS s FROM src GROUP BY g');
pgt_check_st($node, 'st2', 'SELECT g, s FROM st1 WHERE s > 10');
is( sql("SELECT string_agg(name, ' ' ORDER BY start_time) FROM pgtrickle.refresh_timeline() WHERE action = 'DIFFERENTIAL'"),
	'public.st1 public.st2 public.st3', 'sources are refreshed before their readers, once each');
is(sql('SELECT n FROM by_hand'), '100', 'a NULL schedule is never refreshed');

# --- effective intervals: the minimum over readers
is( sql("SELECT string_agg(name || ' ' || coalesce(effective_interval::text, 'none'), ', ' ORDER BY name) FROM pgtrickle.stream_tables_info"),
	'public.by_hand none, public.st1 00:00:01, public.st2 00:00:01, public.st3 00:00:01',
	'calculated intervals');
sql("SELECT pgtrickle.alter_stream_table('st3', schedule => '1h')");
is( sql("SELECT string_agg(DISTINCT effective_interval::text, ' ') FROM pgtrickle.stream_tables_info WHERE name <> 'public.by_hand'"),
	'01:00:00', 'they follow the reader\'s schedule');
sql('DELETE FROM src WHERE id = 1001');
pgt_rounds($node, 'the scheduler has looked');
is(sql('SELECT n FROM st3'), '11', 'nothing is refreshed before it is due');
sql("SELECT pgtrickle.alter_stream_table('st3', schedule => '1s')");
pgt_poll($node, 'SELECT n = 10 FROM st3', 'a shorter schedule takes effect at once');

# --- no change, no work: looks are counted, nothing is written
my $refreshes = count_history('st1');
my $xid = sql('SELECT pg_snapshot_xmax(pg_current_snapshot())');
pgt_poll($node,
	"SELECT no_data_refreshes >= 3 FROM pgtrickle.pg_stat_stream_tables WHERE relname = 'st1'",
	'looks without changes are counted');
is(count_history('st1'), $refreshes, '... and not in the history');
is(sql('SELECT pg_snapshot_xmax(pg_current_snapshot())'), $xid, '... and use no transaction id');
is(sql("SELECT pgtrickle.get_staleness('st1') < 5"), 't', '... and keep the table fresh');

# --- prepared transactions
my $looks = "SELECT sum(no_data_refreshes + differential_refreshes + full_refreshes) FROM pgtrickle.pg_stat_stream_tables WHERE relname = 'st3'";
$refreshes = sql($looks);
sql(<<'SQL');
BEGIN;
INSERT INTO src VALUES (2001, 88, 1000);
PREPARE TRANSACTION 'p1';
SQL
pgt_poll($node, "SELECT ($looks) >= $refreshes + 2", 'the scheduler looks for it');
is(sql('SELECT n FROM st3'), '10', 'a prepared change is not seen');
sql("COMMIT PREPARED 'p1'");
pgt_poll($node, 'SELECT n = 11 FROM st3', 'it is seen once it is committed');

# --- initialize => false: the scheduler fills it
sql("SELECT pgtrickle.create_stream_table('later', 'SELECT id FROM src', '1s', initialize => false)");
pgt_poll($node, 'SELECT count(*) = 101 FROM later', 'an empty stream table is filled');

# --- errors: retried, then suspended; the others go on
sql(<<'SQL');
SELECT pgtrickle.create_stream_table('inverse', 'SELECT id, 1000 / v AS i FROM src', '1s');
INSERT INTO src VALUES (3001, 5, 0);
SQL
pgt_poll($node,
	"SELECT status = 'SUSPENDED' AND consecutive_errors = 3 FROM pgtrickle.pgt_status() WHERE name = 'public.inverse'",
	'three failures in a row suspend a stream table');
is( sql("SELECT string_agg(status || ' ' || coalesce(error_message, ''), ', ') FROM pgtrickle.get_refresh_history('inverse', 3)"),
	join(', ', ('FAILED division by zero') x 3), 'they are in the history');
is( sql(<<'SQL'), 't', 'the delay grows');
WITH h AS (SELECT start_time - lag(start_time) OVER (ORDER BY start_time) AS d
           FROM pgtrickle.get_refresh_history('inverse', 3))
SELECT min(d) >= '0.75 s' AND max(d) >= '1.5 s' FROM h
SQL
pgt_check_st($node, 'st1', 'SELECT g, sum(v) AS s FROM src GROUP BY g', 'the others were refreshed');
is( sql("SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'status'"),
	'ERROR', 'health_check() tells');
sql('UPDATE src SET v = 1 WHERE id = 3001');
sql("SELECT pgtrickle.resume_stream_table('inverse')");
pgt_poll($node,
	"SELECT i = 1000 FROM inverse WHERE id = 3001", 'it is refreshed again after resume');
is( sql("SELECT status || consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.inverse'"),
	'ACTIVE0', '... and its errors are forgotten');

# --- a permanent error goes to ERROR at once
sql(<<'SQL');
CREATE ROLE st_owner;
GRANT CREATE ON SCHEMA public TO st_owner;
CREATE TABLE perm_src (id int PRIMARY KEY);
CREATE TABLE perm_other (id int PRIMARY KEY);
INSERT INTO perm_other SELECT generate_series(1, 3);
GRANT SELECT, TRIGGER ON perm_src, perm_other TO st_owner;
SET ROLE st_owner;
SELECT pgtrickle.create_stream_table('perm', 'SELECT id FROM perm_src JOIN perm_other USING (id)', '1s');
RESET ROLE;
REVOKE SELECT ON perm_other FROM st_owner;
INSERT INTO perm_src VALUES (1);
SQL
pgt_poll($node,
	"SELECT status = 'ERROR' AND consecutive_errors = 1 FROM pgtrickle.pgt_status() WHERE name = 'public.perm'",
	'a permanent error is not retried');
sql('GRANT SELECT ON perm_other TO st_owner');
sql("SELECT pgtrickle.refresh_stream_table('perm')");
is(sql('SELECT count(*) FROM perm'), '1', 'it can be refreshed by hand');
sql('INSERT INTO perm_src VALUES (2)');
pgt_poll($node, 'SELECT count(*) = 2 FROM perm', '... which brings it back under the scheduler');

# --- suspended by hand
sql("SELECT pgtrickle.suspend_stream_table('perm')");
sql('INSERT INTO perm_src VALUES (3); INSERT INTO src VALUES (4003, 5, 6)');
pgt_poll($node, 'SELECT sum(s) = (SELECT sum(v) FROM src) FROM st1', 'the others see changes');
is(sql('SELECT count(*) FROM perm'), '2', 'a suspended one does not');
sql("SELECT pgtrickle.resume_stream_table('perm')");
pgt_poll($node, 'SELECT count(*) = 3 FROM perm', 'a resumed one does');

# --- dropped while it runs: a refresh that takes long, and one that waits for a lock
sql(<<'SQL');
CREATE TABLE gone_src (a int);
CREATE FUNCTION slow(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.5); RETURN $1; END $$;
SELECT pgtrickle.create_stream_table('gone', 'SELECT slow(a) AS a FROM gone_src', '1s', 'FULL');
INSERT INTO gone_src SELECT generate_series(1, 3);
SQL
pgt_poll($node,
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'pg_trickle %' AND state = 'active' AND query LIKE '%public.gone%'",
	'pg_stat_activity says what is being refreshed');
sql('DROP TABLE gone');
sql('DROP TABLE gone_src');
sql('INSERT INTO src VALUES (5001, 5, 6)');
pgt_poll($node, 'SELECT sum(s) = (SELECT sum(v) FROM src) FROM st1',
	'dropping a stream table during its refresh stops nobody');
is(sql("SELECT count(*) FROM pgtrickle.pgt_status() WHERE status = 'ERROR'"), '0', '... and leaves no error');

# --- a source that somebody locks: the others are refreshed, and it is no failure
sql(<<'SQL');
CREATE TABLE locked_src (a int);
SELECT pgtrickle.create_stream_table('locked', 'SELECT a FROM locked_src', '1s');
SQL
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe('INSERT INTO locked_src VALUES (1)');
$locker->query_safe('LOCK TABLE locked_src');
sql("SELECT pgtrickle.alter_stream_table('locked', schedule => '2s')");	# looks at it again
foreach my $i (1 .. 3)
{
	sql("INSERT INTO src VALUES (55000 + $i, 5, 6)");
	pgt_poll($node, 'SELECT sum(s) = (SELECT sum(v) FROM src) FROM st1', "others are refreshed meanwhile ($i)");
}
ok($node->wait_for_log(qr/refresh of stream table "public.locked" waits for a lock/, 0), 'the log tells');
$locker->query_safe('COMMIT');
$locker->quit;
pgt_poll($node, 'SELECT count(*) = 1 FROM locked', 'it is refreshed when the lock is gone');
is( sql("SELECT failed_refreshes FROM pgtrickle.pg_stat_stream_tables WHERE relname = 'locked'"),
	'0', '... and has not failed');

# --- enabled
$node->append_conf('postgresql.conf', 'pg_trickle.enabled = off');
$node->reload;
pgt_poll($node,
	"SELECT detail LIKE '%turned off%' FROM pgtrickle.health_check() WHERE check_name = 'scheduler'",
	'health_check() tells that the scheduler is off');
# what it says once it has noticed
my $off = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'postgres' AND state = 'idle' AND query LIKE '%enabled is off'";
pgt_poll($node, $off, 'the scheduler tells, too');
my $sum = sql('SELECT sum(s) FROM st1');
sql('INSERT INTO src VALUES (6001, 5, 1000000)');
my $time = sql('SELECT clock_timestamp()');
# wakes it
sql("SELECT pgtrickle.alter_stream_table('st3', schedule => '2s')");
pgt_poll($node, "$off AND state_change > '$time'", 'it looks, and goes to sleep again');
is(sql('SELECT sum(s) FROM st1'), $sum, 'enabled = off stops refreshes');
$node->append_conf('postgresql.conf', 'pg_trickle.enabled = on');
$node->reload;
pgt_poll($node, 'SELECT sum(s) = (SELECT sum(v) FROM src) FROM st1',
	'enabled = on makes up for what was captured meanwhile');

# --- a query cancel ends one refresh, not the scheduler
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'");
sql("SELECT pg_cancel_backend($pid)");
sql('INSERT INTO src VALUES (7001, 5, 1)');
pgt_poll($node, 'SELECT sum(s) = (SELECT sum(v) FROM src) FROM st1', 'a cancel request does no harm');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler'"),
	$pid, '... and does not end the scheduler');

$node->stop;
done_testing();
