# The scheduler by a clock that the test sets: nothing comes before it is due, a
# schedule of an hour or a cron comes when its time has come, backoff after
# errors grows and varies, and a clock that is set back stops nothing: neither
# schedules, nor backoff, nor databases that come and go.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clock = pgt_clock();
plan skip_all => 'the clock cannot be set here' unless $clock;

my $node = pgt_node('main', conf => "pg_trickle.auto_backoff = off\npg_trickle.history_retention_days = 0\n");
my $n = 0;
# where the clock stands still
my $time;

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# The scheduler has seen all that was committed, and done what is due: it has
# brought a commit of ours through.
sub pass_over
{
	my ($name) = @_;

	$n++;
	# "at once" is a moment after the last time
	$clock->($time += 0.01, 1) if defined $time;
	sql("INSERT INTO pulse VALUES ($n)");
	return pgt_poll($node, "SELECT count(*) = $n FROM pulse_st", $name);
}

sub rows { return sql("SELECT count(*) FROM $_[0]"); }

sql(<<'SQL');
CREATE TABLE pulse (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('pulse_st', 'SELECT id FROM pulse', '0s');
CREATE TABLE src (id int PRIMARY KEY, v int);
SELECT pgtrickle.create_stream_table('hourly', 'SELECT id FROM src', '1h');
SELECT pgtrickle.create_stream_table('daily', 'SELECT id FROM src', '0 3 * * *');
SELECT pgtrickle.create_stream_table('weekly', 'SELECT id FROM src', '1w');
SQL
is(sql("SELECT clock_timestamp() - now() < '1 minute'"), 't', 'the clock stands where it stood');
pass_over('the scheduler is at work');
pgt_poll($node, "SELECT count(*) = 0 FROM pgtrickle.pgt_scheduler_jobs WHERE status IN ('QUEUED', 'RUNNING')", 'and has done what it does first');
sql("SELECT pgtrickle.refresh_stream_table('$_')") foreach ('hourly', 'daily', 'weekly');

# --- nothing before it is due
sql('INSERT INTO src VALUES (1, 1)');
pass_over('now');
is(rows('hourly') . rows('weekly'), '00', 'an hour has not passed');
$clock->(3500);
is(sql("SELECT now() > '2 s'::interval + (SELECT max(start_time) FROM pgtrickle.pgt_refresh_history)"), 't', 'the clock moves');
pass_over('58 minutes later');
is(rows('hourly') . rows('weekly'), '00', 'nor has it 58 minutes later');
$clock->(3700);
pgt_poll($node, 'SELECT count(*) = 1 FROM hourly', 'an hour has passed');
is(rows('weekly'), '0', 'a week has not');
$clock->(3600 * 25);
pgt_poll($node, 'SELECT count(*) = 1 FROM daily', 'a cron of 3 o\'clock has come a day later');
is(rows('weekly'), '0', 'still no week');
sql('INSERT INTO src VALUES (2, 2)');
pass_over('a little later');
is(rows('daily'), '1', 'the cron waits for the next day');
$clock->(3600 * 24 * 8);
pgt_poll($node, 'SELECT count(*) = 2 FROM weekly', 'a week has passed');
pgt_poll($node, 'SELECT count(*) = 2 FROM daily', 'and another day');

# --- backoff after errors: 1, 2, 4 ... 60 s, each varied by a quarter
# (the clock stands still, and moves when a delay is to end)
$time = 3600 * 24 * 9;
$clock->($time, 1);
sql(<<'SQL');
ALTER SYSTEM SET pg_trickle.max_consecutive_errors = 100;
SELECT pg_reload_conf();
SELECT pgtrickle.create_stream_table('inverse', 'SELECT id, 1000 / v AS i FROM src', '0s');
INSERT INTO src VALUES (3, 0);
SQL
$clock->($time += 0.01, 1);
my @delays;
foreach my $errors (1 .. 8)
{
	pgt_poll($node, "SELECT consecutive_errors = $errors FROM pgtrickle.pgt_status() WHERE name = 'public.inverse'", "failure $errors");
	my $delay = sql("SELECT extract(epoch FROM retry_at - last_error_at) FROM pgtrickle.pgt_stream_tables WHERE relid = 'inverse'::regclass");
	my $wanted = 2**($errors - 1) > 60 ? 60 : 2**($errors - 1);

	push @delays, $delay / $wanted;
	ok($delay >= $wanted * 0.75 - 0.01 && $delay <= $wanted * 1.25 + 0.01, "delay after failure $errors: $delay s");
	$time += $delay - 0.1;
	pass_over('until shortly before its end');
	is(sql("SELECT consecutive_errors FROM pgtrickle.pgt_status() WHERE name = 'public.inverse'"), $errors, '... it is not tried again');
	$clock->($time += 0.2, 1);
}
my %distinct = map { sprintf('%.3f', $_) => 1 } @delays;
cmp_ok(scalar(keys %distinct), '>', 1, 'delays vary');

# --- the clock is set back, far: by more than all of the above
is(sql("SELECT count(*) FROM hourly WHERE id = 4"), '0', 'nothing yet');
sql('INSERT INTO src VALUES (4, 4)');
pass_over('before that');
undef $time;
$clock->(-86400);
pass_over('the clock is set back: the scheduler goes on');
pgt_poll($node, 'SELECT count(*) = 4 FROM hourly', 'what would have come at a time of the other clock comes now');
pgt_poll($node, 'SELECT count(*) = 4 FROM daily', '... by cron, too');
pgt_poll($node, "SELECT retry_at < clock_timestamp() + '2 min' FROM pgtrickle.pgt_stream_tables WHERE relid = 'inverse'::regclass",
	'... and what waited after an error');
sql('UPDATE src SET v = 1 WHERE id = 3; INSERT INTO src VALUES (5, 5)');
pass_over('before the hour');
is(rows('hourly'), '4', 'an hour is an hour again');
# no backoff is longer
$clock->(-86400 + 80);
pgt_poll($node, 'SELECT count(*) = 5 FROM inverse', 'backoff ends by the new clock');
is(rows('hourly'), '4', 'still no hour');
$clock->(-86400 + 3700);
pgt_poll($node, 'SELECT count(*) = 5 FROM hourly', 'an hour from then');

# --- databases come and go by a clock that is set back
$clock->(7200);
sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION pg_trickle');
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'other'", 'a scheduler of another database');
sql('ALTER DATABASE other RENAME TO another');
$clock->(-7200);
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'another'", 'it returns after the clock was set back');
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'another'");
$clock->(-14400);
pgt_poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'another'", 'a failed one is started again, too');
sql('DROP DATABASE another');

pgt_check_st($node, 'hourly', 'SELECT id FROM src', 'all is right in the end');
$node->stop;
done_testing();
