# Tables that logical replication writes to: apply workers fire row triggers
# only, so their capture is by row.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = pgt_node('publisher', init => [ allows_streaming => 'logical' ]);
my $subscriber = pgt_node('subscriber');

$publisher->safe_psql('postgres', <<'SQL');
CREATE TABLE rep (id int PRIMARY KEY, t text);
INSERT INTO rep SELECT g, 'old' FROM generate_series(1, 10) g;
CREATE PUBLICATION pub FOR TABLE rep;
SQL
$subscriber->safe_psql('postgres', <<'SQL');
CREATE TABLE rep (id int PRIMARY KEY, t text);
SELECT pgtrickle.create_stream_table('rep_st', 'SELECT id, t FROM rep', schedule => NULL);
SQL

my $connstr = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connstr' PUBLICATION pub");
$subscriber->wait_for_subscription_sync($publisher, 'sub')
  if $subscriber->can('wait_for_subscription_sync');
$subscriber->poll_query_until('postgres', 'SELECT count(*) = 10 FROM rep');

my $refresh = <<'SQL';
SELECT pgtrickle.refresh_stream_table('rep_st');
SELECT h.action FROM pgtrickle.get_refresh_history('rep_st', 1) h;
SQL
$subscriber->safe_psql('postgres', $refresh);
pgt_check_st($subscriber, 'rep_st', 'SELECT id, t FROM rep', 'initial copy');

is( $subscriber->safe_psql(
		'postgres', "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rep'::regclass
		AND tgname LIKE 'pg_trickle_cdc%' AND tgtype & 1 = 1 AND tgenabled = 'A'"),
	'3', 'capture by row');

$publisher->safe_psql('postgres', <<'SQL');
INSERT INTO rep VALUES (11, 'new');
UPDATE rep SET t = 'changed' WHERE id <= 3;
UPDATE rep SET id = id + 100 WHERE id = 4;
DELETE FROM rep WHERE id = 5;
SQL
$publisher->wait_for_catchup('sub');
like($subscriber->safe_psql('postgres', $refresh), qr/DIFFERENTIAL/, 'differential refresh');
pgt_check_st($subscriber, 'rep_st', 'SELECT id, t FROM rep', 'applied changes');
$publisher->safe_psql('postgres', 'TRUNCATE rep');
$publisher->wait_for_catchup('sub');
$subscriber->safe_psql('postgres', $refresh);
pgt_check_st($subscriber, 'rep_st', 'SELECT id, t FROM rep', 'TRUNCATE applied');
$subscriber->safe_psql('postgres', "INSERT INTO rep VALUES (1, 'local')");
$subscriber->safe_psql('postgres', $refresh);
pgt_check_st($subscriber, 'rep_st', 'SELECT id, t FROM rep', 'local changes');

# a stream table over a table that is subscribed already
$subscriber->safe_psql('postgres',
	"SELECT pgtrickle.create_stream_table('rep_n', 'SELECT count(*) AS n FROM rep', schedule => NULL)");
$publisher->safe_psql('postgres', "INSERT INTO rep VALUES (2, 'again')");
$publisher->wait_for_catchup('sub');
$subscriber->safe_psql('postgres', "SELECT pgtrickle.refresh_stream_table('rep_n')");
pgt_check_st($subscriber, 'rep_n', 'SELECT count(*) AS n FROM rep', 'second stream table');

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
$subscriber->stop;
$publisher->stop;
done_testing();
