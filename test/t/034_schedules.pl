# Schedules as the scheduler follows them: '0s' after each commit, cron
# expressions at the times that they name, 'calculated' together with a reader's
# cron.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# the 29th of February comes at most once while this runs, and only if it is one
my $rare = '0 0 29 2 *';

sql(<<"SQL");
CREATE TABLE src (id int PRIMARY KEY, v int);
SELECT pgtrickle.create_stream_table('at_once', 'SELECT id, v FROM src', '0s');
SELECT pgtrickle.create_stream_table('hourly', 'SELECT id, v FROM src', '1h');
SELECT pgtrickle.create_stream_table('rare', 'SELECT id, v FROM src', '$rare');
SELECT pgtrickle.create_stream_table('above', 'SELECT id, v FROM src', 'calculated');
SELECT pgtrickle.create_stream_table('seconds', 'SELECT id, v FROM above', '* * * * * *');
SQL
# the scheduler looks at each new stream table once
foreach my $name ('at_once', 'hourly', 'rare', 'above', 'seconds')
{
	sql("SELECT pgtrickle.refresh_stream_table('$name')");
}

foreach my $i (1 .. 5)
{
	sql("INSERT INTO src VALUES ($i, $i)");
	pgt_poll($node, "SELECT count(*) = $i FROM at_once", "'0s': commit $i arrives");
}
pgt_poll($node, 'SELECT count(*) = 5 FROM seconds', 'a cron of each second comes, and what it reads before it');
cmp_ok(sql('SELECT count(*) FROM hourly'), '<=', 1, "'1h' waits");
cmp_ok(sql('SELECT count(*) FROM rare'), '<=', 1, 'a cron waits for its time');
sql("INSERT INTO src VALUES (6, 6)");
pgt_poll($node, 'SELECT count(*) = 6 FROM seconds', 'the next second, too');

# many commits while refreshes run: fewer refreshes than commits, nothing left out
my $script = join('', map { "INSERT INTO src VALUES ($_, $_);\n" } (7 .. 2006));
$node->safe_psql('postgres', $script);
pgt_poll($node, 'SELECT count(*) = 2006 FROM at_once', "'0s': 2000 commits arrive");
cmp_ok(sql("SELECT count(*) FROM pgtrickle.get_refresh_history('at_once', 100000)"),
	'<', 2000, '... in batches');
pgt_poll($node, 'SELECT count(*) = 2006 FROM seconds', '... and a second later the cron has them');

# what depends on the clock: now() is that of the refresh, not that of the process
sql("SELECT pgtrickle.create_stream_table('clock', 'SELECT now() AS at', '1s')");
foreach (1 .. 2)
{
	my $time = sql('SELECT clock_timestamp()');
	pgt_poll($node, "SELECT at > '$time' FROM clock", 'the clock goes on');
}
sql("SELECT pgtrickle.create_stream_table('clock_value', 'VALUES (now())', '1s', 'FULL')");
foreach (1 .. 2)
{
	my $time = sql('SELECT clock_timestamp()');
	pgt_poll($node, "SELECT column1 > '$time' FROM clock_value", 'the clock of a VALUES list goes on');
}

# a zone of its own: the time named was a minute ago or is not near
sql("SELECT pgtrickle.alter_stream_table('rare', schedule => 'TZ=Asia/Tokyo */1 * * * * *')");
pgt_poll($node, 'SELECT count(*) = 2006 FROM rare', 'a changed cron is followed');

pgt_check_st($node, "public.$_", 'SELECT id, v FROM src', "$_ is right")
  foreach ('at_once', 'rare', 'above', 'seconds');

$node->stop;
done_testing();
