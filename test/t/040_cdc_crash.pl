# Change buffers across a crash: UNLOGGED ones are emptied, and their consumers
# notice; prepared transactions survive and arrive when they are committed.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE logged (a int, b text);
CREATE TABLE volatile (a int, b text);
CREATE UNLOGGED TABLE lost (a int);
SELECT pgtrickle.create_stream_table('logged_st', 'SELECT a, b FROM logged', schedule => NULL);
SET pg_trickle.change_buffer_unlogged = on;
SELECT pgtrickle.create_stream_table('volatile_st', 'SELECT a, b FROM volatile', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('volatile_n', 'SELECT count(*) AS n FROM volatile', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('lost_st', 'SELECT a FROM lost', schedule => NULL);
SET pg_trickle.change_buffer_unlogged = off;
CREATE TABLE parts (a int) PARTITION BY RANGE (a);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (3);
SELECT pgtrickle.create_stream_table('parts_st', 'SELECT a FROM parts', schedule => NULL);
-- members that a crash empties come when the source is captured
CREATE UNLOGGED TABLE parts2 PARTITION OF parts FOR VALUES FROM (3) TO (1000000);
CREATE TABLE family (a int);
SELECT pgtrickle.create_stream_table('family_st', 'SELECT a FROM family', schedule => NULL);
CREATE UNLOGGED TABLE child () INHERITS (family);
SQL

sub refresh
{
	my ($st) = @_;
	return $node->safe_psql('postgres', <<"SQL");
SELECT pgtrickle.refresh_stream_table('$st');
SELECT h.action FROM pgtrickle.get_refresh_history('$st', 1) h;
SQL
}

sub check_all
{
	my ($when) = @_;
	pgt_check_st($node, 'logged_st', 'SELECT a, b FROM logged', "logged buffer, $when");
	pgt_check_st($node, 'volatile_st', 'SELECT a, b FROM volatile', "unlogged buffer, $when");
	pgt_check_st($node, 'volatile_n', 'SELECT count(*) AS n FROM volatile',
		"second consumer, $when");
	pgt_check_st($node, 'lost_st', 'SELECT a FROM lost', "unlogged source, $when");
	pgt_check_st($node, 'parts_st', 'SELECT a FROM parts', "unlogged partition, $when");
	pgt_check_st($node, 'family_st', 'SELECT a FROM family', "unlogged child, $when");
}

sub refresh_all
{
	refresh($_) foreach ('logged_st', 'volatile_st', 'volatile_n', 'lost_st', 'parts_st', 'family_st');
}

sub write_rows
{
	my ($n) = @_;
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO logged SELECT g, 'row' FROM generate_series(1, $n) g;
INSERT INTO volatile SELECT g, repeat('row', 150) FROM generate_series(1, $n) g;
INSERT INTO lost SELECT generate_series(1, $n);
INSERT INTO parts SELECT generate_series(1, $n);
INSERT INTO child SELECT generate_series(1, $n);
SQL
}

write_rows(10);
refresh_all();
check_all('before');

# nothing pending: consumers cannot know that
$node->stop('immediate');
$node->start;
refresh_all();
check_all('after a crash with empty windows');

# pending changes
write_rows(5);
$node->safe_psql('postgres', "DELETE FROM volatile WHERE a = 1");
$node->stop('immediate');
$node->start;

# somebody writes before the first refresh, some of it in vain
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO volatile SELECT g, 'in vain' FROM generate_series(1, 5000) g;
ROLLBACK;
INSERT INTO volatile VALUES (100, 'after the crash');
SQL
refresh('volatile_st');
$node->safe_psql('postgres', "INSERT INTO volatile VALUES (101, 'between')");
refresh_all();
check_all('after a crash with pending changes');

write_rows(3);
like(refresh('volatile_st'), qr/DIFFERENTIAL/, 'refreshes are differential again');
refresh_all();
check_all('later');

# rotation keeps the mark of the file
for my $i (1 .. 4)
{
	write_rows(10000);
	refresh_all();
}
like(refresh('volatile_n'), qr/DIFFERENTIAL|NO_DATA/, 'still after rotation');
check_all('after rotation');
write_rows(7);
$node->stop('immediate');
$node->start;
refresh_all();
check_all('after rotation and a crash');

# a clean restart loses nothing
write_rows(2);
$node->restart;
like(refresh('volatile_st'), qr/DIFFERENTIAL/, 'a clean restart keeps unlogged changes');
refresh_all();
check_all('after a clean restart');

# prepared transactions
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO logged VALUES (200, 'prepared');
DELETE FROM logged WHERE a = 2;
PREPARE TRANSACTION 'one';
BEGIN;
INSERT INTO logged VALUES (201, 'prepared, in vain');
PREPARE TRANSACTION 'two';
INSERT INTO logged VALUES (202, 'later');
SQL
refresh_all();
check_all('with prepared transactions');
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', "INSERT INTO logged VALUES (203, 'after the crash')");
refresh_all();
check_all('with prepared transactions, after a crash');
$node->safe_psql('postgres', "COMMIT PREPARED 'one'");
refresh_all();
check_all('after COMMIT PREPARED');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'two'");
refresh_all();
check_all('after ROLLBACK PREPARED');

$node->stop;
done_testing();
