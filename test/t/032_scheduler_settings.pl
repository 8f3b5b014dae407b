# What the scheduler's settings do: scheduler_interval_ms,
# default_schedule_seconds, max_consecutive_errors, auto_backoff,
# buffer_alert_threshold, history_retention_days; and alerts. (enabled: 030.)
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

sub sql { return $node->safe_psql('postgres', join('', @_)); }

sub configure
{
	$node->append_conf('postgresql.conf', $_[0]);
	$node->reload;
	return;
}

# --- alerts: whoever listens gets JSON
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN pg_trickle_alert');

sub alert_like
{
	my ($pattern, $name) = @_;
	my $seen = '';
	foreach (1 .. 200)
	{
		$seen .= $listener->query('SELECT 1');
		last if $seen =~ $pattern;
		select(undef, undef, undef, 0.1);
	}
	return like($seen, $pattern, $name);
}

sql(<<'SQL');
CREATE TABLE src (id int PRIMARY KEY, v int);
INSERT INTO src SELECT i, i FROM generate_series(1, 10) i;
SELECT pgtrickle.create_stream_table('st', 'SELECT id, v FROM src', 'calculated');
SQL

# --- default_schedule_seconds: interval of a calculated table that nobody reads
is(sql("SELECT effective_interval FROM pgtrickle.stream_tables_info WHERE name = 'public.st'"),
	'00:00:01', 'default_schedule_seconds: 1 by default');
configure('pg_trickle.default_schedule_seconds = 3600');
pgt_poll($node,
	"SELECT effective_interval = '1 hour' FROM pgtrickle.stream_tables_info WHERE name = 'public.st'",
	'default_schedule_seconds is shown');
pgt_rounds($node, 'the scheduler knows');
my $before = sql('SELECT count(*) FROM st');
sql('INSERT INTO src VALUES (11, 11)');
sql('INSERT INTO src VALUES (12, 12)');
pgt_rounds($node, 'the scheduler has looked');
is(sql('SELECT count(*) FROM st'), $before, '... and obeyed');
configure('pg_trickle.default_schedule_seconds = 1');
pgt_poll($node, 'SELECT count(*) = 12 FROM st', '... also when it is shortened');

# --- scheduler_interval_ms: the longest sleep when nothing wakes the scheduler
sub looks
{
	return sql("SELECT no_data_refreshes FROM pgtrickle.pg_stat_stream_tables WHERE relname = 'st'");
}
# commits that nobody waits for wake nobody
sub work_elsewhere
{
	sql('DO $$ BEGIN FOR i IN 1 .. 500 LOOP INSERT INTO elsewhere VALUES (i); COMMIT; END LOOP; END $$');
	return;
}
sql('CREATE TABLE elsewhere (i int)');
configure('pg_trickle.scheduler_interval_ms = 100');
pgt_rounds($node, 'the scheduler knows');
$before = looks();
my $work = 0;
while (looks() < $before + 3 && $work < 10000)
{
	work_elsewhere();
	$work++;
}
cmp_ok(looks() - $before, '>=', 3, 'scheduler_interval_ms: with 100 ms, many looks');
configure('pg_trickle.scheduler_interval_ms = 60000');
pgt_rounds($node, 'the scheduler knows');
$before = looks();
work_elsewhere() foreach 1 .. $work;
cmp_ok(looks() - $before, '<=', 1, 'with 60 s, hardly a look in the same time');
sql('INSERT INTO src VALUES (13, 13)');
pgt_poll($node, 'SELECT count(*) = 13 FROM st', '... but a commit wakes the scheduler');
sql("SELECT pgtrickle.create_stream_table('st_other', 'SELECT id FROM src', '1s', initialize => false)");
pgt_poll($node, 'SELECT count(*) = 13 FROM st_other', '... and so does a change of the catalog');
configure('pg_trickle.scheduler_interval_ms = 100');

# --- max_consecutive_errors, and alerts of failures
sql(<<'SQL');
SELECT pgtrickle.create_stream_table('inverse', 'SELECT id, 1000 / v AS i FROM src', '1s');
SQL
configure('pg_trickle.max_consecutive_errors = 2');
sql('INSERT INTO src VALUES (14, 0)');
alert_like(qr/"event": "refresh_failed", "stream_table": "public.inverse", "sqlstate": "22012", "consecutive_errors": "1"/,
	'alert: refresh_failed');
pgt_poll($node,
	"SELECT status = 'SUSPENDED' AND consecutive_errors = 2 FROM pgtrickle.pgt_status() WHERE name = 'public.inverse'",
	'max_consecutive_errors suspends');
alert_like(qr/"event": "auto_suspended", "stream_table": "public.inverse"/, 'alert: auto_suspended');
sql("SELECT pgtrickle.drop_stream_table('inverse')");

# --- alerts of what refreshes and DDL find
sql(<<'SQL');
CREATE TABLE log (id int PRIMARY KEY, v int);
SELECT pgtrickle.create_stream_table('added', 'SELECT id, v FROM log', '1s', append_only => true);
INSERT INTO log VALUES (1, 1);
SQL
pgt_poll($node, 'SELECT count(*) = 1 FROM added', 'append-only: a row is added');
sql('UPDATE log SET v = 2');
alert_like(qr/"event": "append_only_violated", "stream_table": "public.added", "source": "public.log"\}/,
	'alert: append_only_violated');
pgt_poll($node, 'SELECT v = 2 FROM added', '... and the change is applied');
sql('ALTER TABLE log ALTER v TYPE bigint');
alert_like(qr/"event": "reinitialize_needed", "stream_table": "public.added", "reason": "a column type of public.log was changed/,
	'alert: reinitialize_needed');
sql('INSERT INTO log VALUES (2, 1::bigint << 40)');
pgt_poll($node, 'SELECT max(v) = 1::bigint << 40 FROM added', '... and the next refresh rebuilds it');
sql("SELECT pgtrickle.drop_stream_table('added')");

# --- buffer_alert_threshold
configure('pg_trickle.buffer_alert_threshold = 500');
is(sql("SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'buffer_growth'"),
	'OK', 'buffer_alert_threshold: below');
sql("SELECT pgtrickle.create_stream_table('by_hand', 'SELECT count(*) AS n FROM src', NULL)");
sql('INSERT INTO src SELECT i, i FROM generate_series(1001, 2000) i');
alert_like(qr/"event": "buffer_growth_warning", "source": "public.src", "pending_rows": "100\d"/,
	'alert: buffer_growth_warning');
is(sql("SELECT severity FROM pgtrickle.health_check() WHERE check_name = 'buffer_growth'"),
	'WARN', '... and health_check() tells');
configure('pg_trickle.buffer_alert_threshold = 0');
pgt_poll($node,
	"SELECT severity = 'OK' FROM pgtrickle.health_check() WHERE check_name = 'buffer_growth'",
	'0 turns it off');

# --- history_retention_days
sql(<<'SQL');
INSERT INTO pgtrickle.pgt_refresh_history
SELECT -i, (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'st'::regclass),
       'FULL', 'COMPLETED', 'MANUAL', NULL, now() - '40 days'::interval, NULL, 0, 0, 0, false, NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL
FROM generate_series(1, 2500) i;
SQL
my $recent = sql('SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE refresh_id > 0');
configure('pg_trickle.history_retention_days = 50');
pgt_rounds($node, 'the scheduler has looked at the history');
is(sql('SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE refresh_id < 0'),
	'2500', 'history_retention_days keeps what is younger');
configure('pg_trickle.history_retention_days = 0');
pgt_rounds($node, 'the scheduler has looked again');
is(sql('SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE refresh_id < 0'),
	'2500', '0 keeps everything');
configure('pg_trickle.history_retention_days = 30');
pgt_poll($node, 'SELECT count(*) = 0 FROM pgtrickle.pgt_refresh_history WHERE refresh_id < 0',
	'what is older goes, in batches');
is(sql("SELECT count(*) >= $recent FROM pgtrickle.pgt_refresh_history"), 't', 'the rest stays');

# --- auto_backoff: a refresh that takes longer than its interval
sub run_slow
{
	my ($name) = @_;
	sql("SELECT pgtrickle.create_stream_table('$name', 'SELECT count(*) AS n FROM pg_sleep(1.1)', '1s', 'FULL')");
	pgt_poll($node, "SELECT count(*) >= 8 FROM pgtrickle.get_refresh_history('$name')", "$name is refreshed");
	# the longest pause between two of them, without the initial fill
	my $pause = sql(<<"SQL");
SELECT max(extract(epoch FROM start_time - before)) FROM (
    SELECT start_time, lag(end_time) OVER (ORDER BY start_time) AS before
    FROM pgtrickle.get_refresh_history('$name', 7)) AS h
SQL
	sql("SELECT pgtrickle.drop_stream_table('$name')");
	return $pause;
}
configure('pg_trickle.auto_backoff = off');
cmp_ok(run_slow('slow_off'), '<', 0.5, 'auto_backoff = off: one refresh after the other');
configure('pg_trickle.auto_backoff = on');
cmp_ok(run_slow('slow_on'), '>', 0.5, 'auto_backoff = on: pauses between them');

$listener->quit;
$node->stop;
done_testing();
