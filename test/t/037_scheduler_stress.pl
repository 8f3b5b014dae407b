# Life under stress: more databases than processes, alerts, locks that refreshes
# do not wait for, errors of all classes, a server that stops in the middle, a
# restored dump.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# --- alerts: changes that wait, refreshes that take most of their interval
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN pg_trickle_alert');

sub heard
{
	my ($pattern, $name) = @_;
	my $heard = '';

	foreach my $i (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$heard .= $listener->query_safe('SELECT 1');
		last if $heard =~ $pattern;
		select(undef, undef, undef, 0.1);
	}
	return like($heard, $pattern, $name);
}
# what ends long transactions of users does not end refreshes
my $timeout = $node->pg_version >= 17 ? 'transaction_timeout' : 'idle_in_transaction_session_timeout';
$node->append_conf('postgresql.conf', "$timeout = 600ms");
$node->reload;
sql("SET $timeout = 0;", <<'SQL');
CREATE TABLE src (id int PRIMARY KEY, v int);
CREATE TABLE src2 (id int PRIMARY KEY, v int);
INSERT INTO src SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO src2 SELECT i, i FROM generate_series(1, 10) i;
SELECT pgtrickle.create_stream_table('joined', 'SELECT id, src.v, src2.v AS w FROM src JOIN src2 USING (id)', '1s');
CREATE TABLE slow_src (id int);
CREATE FUNCTION slow(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(1.2); RETURN $1; END $$;
INSERT INTO slow_src VALUES (1);
SELECT pgtrickle.create_stream_table('slow_st', 'SELECT slow(id) AS id FROM slow_src', '1s', 'FULL');
SQL
heard(qr/"event": "scheduler_falling_behind", "stream_table": "?public.slow_st/, 'alert: a refresh takes most of its interval');
$node->append_conf('postgresql.conf', "$timeout = 0");
$node->reload;
sql('DROP TABLE slow_st');

# --- lock order: a refresh never waits for one source while it holds another
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE src2');
sql('INSERT INTO src VALUES (100, 1)');
ok($node->wait_for_log(qr/refresh of stream table "public.joined" waits for a lock/, 0), 'a source is locked');
heard(qr/"event": "stale_data", "stream_table": "?public.joined/, 'alert: changes wait for too long');
$locker->query_safe("SET lock_timeout = '${PostgreSQL::Test::Utils::timeout_default}s'");
$locker->query_safe("SET deadlock_timeout = '1ms'");
$locker->query_safe('LOCK TABLE src');
pass('its holder can lock the other source: nobody waits for it holding that');
$locker->query_safe('INSERT INTO src2 VALUES (100, 2)');
$locker->query_safe('COMMIT');
pgt_poll($node, 'SELECT count(*) = 11 FROM joined', 'then it is refreshed');
is(sql("SELECT failed_refreshes FROM pgtrickle.pg_stat_stream_tables WHERE relname = 'joined'"), '0', '... and has not failed');

# both orders, again and again, beside writers: no deadlock, on either side
my $offset = -s $node->logfile;
foreach my $i (1 .. 15)
{
	my ($first, $second) = $i % 2 ? ('src', 'src2') : ('src2', 'src');
	sql("UPDATE src SET v = v + 1");
	sql("SET deadlock_timeout = '10ms'; BEGIN; LOCK TABLE $first; SELECT pg_sleep(0.02); LOCK TABLE $second; "
		  . "ALTER TABLE $first ALTER v SET STATISTICS $i; COMMIT; UPDATE src2 SET v = v + 1");
}
is(scalar(() = slurp_file($node->logfile, $offset) =~ /deadlock detected/g), 0, 'no deadlock with DDL in either order');
pgt_poll($node, 'SELECT NOT EXISTS (SELECT * FROM joined EXCEPT ALL SELECT id, src.v, src2.v FROM src JOIN src2 USING (id))',
	'it is up to date afterwards');

# --- errors: transient ones are tried again, whatever the language of messages
sql(<<'SQL');
CREATE TABLE fault (state text);
CREATE FUNCTION faulty(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
DECLARE s text; BEGIN
  SELECT state INTO s FROM public.fault;
  IF s IS NOT NULL THEN RAISE 'fault %', s USING ERRCODE = s; END IF;
  RETURN $1;
END $$;
INSERT INTO fault VALUES ('53200');
SELECT pgtrickle.create_stream_table('faulty_st', 'SELECT faulty(id) AS id FROM src', '1s', 'FULL', initialize => false);
SQL
pgt_poll($node, "SELECT consecutive_errors = 1 AND status = 'INITIALIZING' FROM pgtrickle.pgt_status() WHERE name = 'public.faulty_st'",
	'out of memory: tried again');
heard(qr/"event": "refresh_failed", "stream_table": "?public.faulty_st"?, "sqlstate": "53200"/, 'alert: a refresh has failed');
is(sql("SELECT last_error_message FROM pgtrickle.pgt_stream_tables WHERE relid = 'faulty_st'::regclass AND last_error_at IS NOT NULL"),
	'fault 53200', 'the catalog tells why, and when');
sql('UPDATE fault SET state = NULL');
pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM src) FROM faulty_st', 'it is filled when the fault is gone');
# somebody's lock, and a deadlock with somebody, are no failures: it comes again
foreach my $state ('55P03', '40P01')
{
	my $log = -s $node->logfile;
	my $failed = "SELECT count(*) FROM pgtrickle.get_refresh_history('faulty_st', 1000) WHERE status = 'FAILED'";
	my $before = sql($failed);

	sql("UPDATE fault SET state = '$state'; INSERT INTO src SELECT max(id) + 1, 1 FROM src");
	ok($node->wait_for_log(qr/refresh of stream table "public.faulty_st" waits for a lock/, $log), "SQLSTATE $state: tried again, and the log tells");
	is(sql($failed), $before, '... no refresh has failed');
	is(sql("SELECT status || consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.faulty_st'"), 'ACTIVE0', '... and nothing counts against it');
	sql('UPDATE fault SET state = NULL');
	pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM src) FROM faulty_st', '... until it succeeds');
}
sql("UPDATE fault SET state = '42501'");
sql('INSERT INTO src VALUES (200, 1)');
pgt_poll($node, "SELECT status = 'ERROR' FROM pgtrickle.pgt_status() WHERE name = 'public.faulty_st'", 'a permanent one: not');
sql('UPDATE fault SET state = NULL');
sql("SELECT pgtrickle.resume_stream_table('faulty_st')");
heard(qr/"event": "resumed", "stream_table": "?public.faulty_st/, 'alert: resumed by hand');
sql("SELECT pgtrickle.repair_stream_table('faulty_st')");
pgt_poll($node, 'SELECT count(*) = (SELECT count(*) FROM src) FROM faulty_st', 'repaired');

# --- the server stops in the middle of a refresh; nothing is left half-done
sql(<<'SQL');
CREATE TABLE big (id int PRIMARY KEY, v int);
INSERT INTO big SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE pace (s float8);
INSERT INTO pace VALUES (0);
CREATE FUNCTION crawl(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(s) FROM public.pace; RETURN $1; END $$;
SELECT pgtrickle.create_stream_table('crawling', 'SELECT id, crawl(v) AS v FROM big', '1s', 'FULL');
UPDATE pace SET s = 10;
UPDATE big SET v = v + 1;
SQL
foreach my $mode ('fast', 'immediate')
{
	pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND backend_type LIKE 'pg_trickle %' AND query LIKE '%crawling%'",
		'a refresh is under way');
	$node->stop($mode);
	$node->start;
	is(sql("SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE status = 'RUNNING'"), '0', "$mode shutdown: nothing is left running");
	is(sql("SELECT consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.crawling'"), '0', '... nor has anything failed');
}
sql('UPDATE pace SET s = 0');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%crawling%' AND backend_type LIKE 'pg_trickle %'");
pgt_poll($node, 'SELECT sum(v) = (SELECT sum(v) FROM big) FROM crawling', 'in the end it is refreshed');

# --- a worker that dies of SIGKILL takes the server down, which comes back
sql('UPDATE pace SET s = 10; UPDATE big SET v = v + 1');
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'pg_trickle worker' AND query LIKE '%crawling%'",
	'a worker is at it');
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'pg_trickle worker' AND query LIKE '%crawling%'");
kill 'KILL', $pid;
pgt_poll($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", 'the server is back');
sql('UPDATE pace SET s = 0');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%crawling%' AND backend_type LIKE 'pg_trickle %'");
pgt_poll($node, 'SELECT sum(v) = (SELECT sum(v) FROM big) FROM crawling', 'it is refreshed after the crash');
pgt_check_st($node, 'joined', 'SELECT id, src.v, src2.v AS w FROM src JOIN src2 USING (id)', 'the others are right, too');
sql('DROP TABLE crawling, faulty_st');

# --- a restored dump: the scheduler hears of it when the restore has ended
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
sql('CREATE DATABASE restored');
# it stops once the definitions are there: before rows, indexes, triggers
my $text = slurp_file($dump) =~ s/^\\(un)?restrict .*\n//mgr;
$text =~ /^COPY pgtrickle\.pgt_stream_tables .*?^\\\.\n/ms or die 'no definitions in the dump';
append_to_file("$dump.begin", substr($text, 0, $+[0]));
append_to_file("$dump.end", substr($text, $+[0]));
my $restorer = $node->background_psql('restored');
$restorer->query_safe("\\i $dump.begin");
$restorer->query_safe('BEGIN; ROLLBACK');
$node->safe_psql('restored', <<'SQL');
SELECT setval('pgtrickle.pgt_id_seq', 1000);
CREATE TABLE probe_src (id int);
SELECT pgtrickle.create_stream_table('probe', 'SELECT id FROM public.probe_src', '1s');
INSERT INTO probe_src VALUES (1);
SQL
pgt_poll($node, 'SELECT count(*) = 1 FROM probe', 'beside a restore the scheduler is at work', dbname => 'restored');
like($node->safe_psql('restored', "SELECT string_agg(detail, ' ') FROM pgtrickle.health_check()"),
	qr/Stream table public.joined was restored or copied/, '... and leaves alone what is being restored');
$restorer->query_safe('DROP TABLE public.probe, public.probe_src');
$restorer->query_safe("\\i $dump.end");
$restorer->quit;
$node->safe_psql('restored', 'INSERT INTO src VALUES (300, 3); INSERT INTO src2 VALUES (300, 3)');
pgt_poll($node, 'SELECT count(*) = 1 FROM joined WHERE id = 300', 'a restored stream table is refreshed by itself', dbname => 'restored');
pgt_check_st($node, 'joined', 'SELECT id, src.v, src2.v AS w FROM src JOIN src2 USING (id)', 'it is right', dbname => 'restored');
sql('DROP DATABASE restored');

# --- 50 databases, with processes for a few
$listener->quit;
$locker->quit;
sql('CREATE DATABASE d0');
$node->safe_psql('d0', <<'SQL');
CREATE EXTENSION pg_trickle;
CREATE TABLE s (id int);
SELECT pgtrickle.create_stream_table('st', 'SELECT count(*) AS n FROM s', '1s');
SQL
$node->append_conf('postgresql.conf', 'max_worker_processes = 14');
$node->restart;
sql("CREATE DATABASE d$_ TEMPLATE d0") foreach 1 .. 49;
$node->safe_psql("d$_", 'INSERT INTO s VALUES (1)') foreach 0 .. 49;
foreach my $i (0 .. 49)
{
	pgt_poll($node, 'SELECT n = 1 FROM st', "database $i of 50", dbname => "d$i");
}
ok($node->wait_for_log(qr/schedulers of the databases take turns/, 0), 'the log tells that they take turns');
$node->stop;

done_testing();
