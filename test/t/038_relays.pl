# Changes that go from one stream table to the next in memory, within the
# transaction that refreshes both: nothing is written to the change buffer while
# all readers take part, and what a reader that was left out needs is written
# and consumed once.
use strict;
use warnings;

use PgTrickleTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgt_node('main', conf => "work_mem = 64kB\n");

sub sql { return $node->safe_psql('postgres', join('', @_)); }

# Rows in the buffers of these stream tables, consumed or not.
sub buffered
{
	my $n = 0;
	foreach my $st (@_)
	{
		my $oid = sql("SELECT '$st'::regclass::oid");
		$n += sql("SELECT count(*) FROM pgtrickle_changes.changes_${oid}_$_") foreach 0, 1;
	}
	return $n;
}

sub set_enabled
{
	my ($value) = @_;
	sql("ALTER SYSTEM SET pg_trickle.enabled = $value");
	sql('SELECT pg_reload_conf()');
	pgt_poll($node, "SELECT count(*) = 0 FROM pgtrickle.parallel_job_status() WHERE status IN ('QUEUED', 'RUNNING')",
		"nothing goes on (enabled = $value)") if $value eq 'off';
	return;
}

# --- a diamond, all or nothing
sql(<<'SQL');
CREATE TABLE d (id int PRIMARY KEY, v int, t text);
INSERT INTO d SELECT i, i, repeat('x', 50) FROM generate_series(1, 200) i;
SELECT pgtrickle.create_stream_table('l', 'SELECT id, v, t FROM d', '0s', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('r', 'SELECT id, v * 2 AS w FROM d', '0s', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('top', 'SELECT l.id, l.v, l.t, r.w FROM l JOIN r USING (id)', '0s',
    refresh_mode => 'DIFFERENTIAL', diamond_consistency => 'atomic');
INSERT INTO d VALUES (1000, 1, 'y');
SQL
my $top = 'SELECT id, v, t, v * 2 AS w FROM d';
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 1000', 'the diamond is refreshed');

my $before = buffered('l', 'r');
sql('INSERT INTO d VALUES (1001, 1, NULL); UPDATE d SET v = v + 1 WHERE id < 5; DELETE FROM d WHERE id = 7');
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 1001', 'a change goes through a diamond');
pgt_check_st($node, 'top', $top);
is(buffered('l', 'r'), $before, '... and is not written to the buffers of its arms');

# more than work_mem, and enough to be streamed
sql("INSERT INTO d SELECT i, i, repeat('z', 100) FROM generate_series(2001, 12000) i");
pgt_poll($node, 'SELECT count(*) > 10000 FROM top', 'a large change does');
sql('UPDATE d SET v = v + 1 WHERE id > 2000');
pgt_poll($node, "SELECT count(*) = 0 FROM top JOIN d USING (id) WHERE top.v <> d.v", 'a large update does');
pgt_check_st($node, 'top', $top);
is(buffered('l', 'r'), $before, '... and is not written');
is(sql("SELECT string_agg(DISTINCT action, ' ') FROM pgtrickle.pgt_refresh_history WHERE delta_row_count > 9000"),
	'DIFFERENTIAL', '... nor recomputed');

# an arm that does not have the rows that a change takes away starts anew: its
# first attempt is rolled back, and the changes that it had made with it
sql("CREATE TABLE guard AS SELECT oid, tgenabled FROM pg_trigger WHERE tgrelid = 'l'::regclass");
sql("UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'l'::regclass");
sql('DELETE FROM l WHERE id = 3000');
sql('UPDATE pg_trigger t SET tgenabled = g.tgenabled FROM guard g WHERE g.oid = t.oid');
sql('UPDATE d SET v = v + 1 WHERE id BETWEEN 2990 AND 3010');
pgt_poll($node, 'SELECT count(*) = 0 FROM top JOIN d USING (id) WHERE top.v <> d.v', 'an arm is recomputed');
is(sql("SELECT count(*) FROM pgtrickle.pgt_refresh_history WHERE fallback_reason LIKE 'differential refresh failed%'") > 0,
	1, '... after its deltas failed');
pgt_check_st($node, 'top', $top);

# what is changed as a whole
sql('TRUNCATE d');
pgt_poll($node, 'SELECT count(*) = 0 FROM top', 'TRUNCATE goes through');
sql('INSERT INTO d SELECT i, i FROM generate_series(1, 300) i');
pgt_poll($node, 'SELECT count(*) = 300 FROM top', 'and what follows');
pgt_check_st($node, 'top', $top);

# one that is recomputed each time tells no less
sql("SELECT pgtrickle.alter_stream_table('l', refresh_mode => 'FULL')");
sql('INSERT INTO d VALUES (1000, 1, NULL)');
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 1000', 'an arm in FULL mode');
$before = buffered('l', 'r');
sql('UPDATE d SET v = -v WHERE id % 50 = 0; INSERT INTO d VALUES (1001, 1, NULL)');
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 1001', '... hands on what has changed');
pgt_check_st($node, 'top', $top);
is(buffered('l', 'r'), $before, '... in memory');
sql("SELECT pgtrickle.alter_stream_table('l', refresh_mode => 'DIFFERENTIAL')");

# a reader that is recomputed needs no rows, only to know that there are some
sql(<<'SQL');
CREATE TABLE e (id int PRIMARY KEY, v int);
SELECT pgtrickle.create_stream_table('el', 'SELECT id, v FROM e', '0s');
SELECT pgtrickle.create_stream_table('er', 'SELECT id FROM e', '0s');
SELECT pgtrickle.create_stream_table('etop', 'SELECT id, v FROM el JOIN er USING (id)', '0s',
    refresh_mode => 'FULL', diamond_consistency => 'atomic');
INSERT INTO e VALUES (1, 1);
SQL
pgt_poll($node, 'SELECT count(*) = 1 FROM etop', 'a reader in FULL mode');
$before = buffered('el', 'er');
sql('INSERT INTO e VALUES (2, 2)');
pgt_poll($node, 'SELECT count(*) = 2 FROM etop', '... is refreshed');
is(buffered('el', 'er'), $before, '... without a touch in the buffers');

# --- an outsider needs the buffer
sql(<<'SQL');
SELECT pgtrickle.create_stream_table('outsider', 'SELECT id, v FROM l WHERE v > 0', NULL, refresh_mode => 'DIFFERENTIAL');
SQL
$before = buffered('l');
sql('INSERT INTO d VALUES (1002, 1, NULL)');
pgt_poll($node, 'SELECT count(*) = 1 FROM top WHERE id = 1002', 'a stream table with a reader elsewhere');
is(buffered('l'), $before + 1, '... writes its changes');
sql("SELECT pgtrickle.refresh_stream_table('outsider')");
pgt_check_st($node, 'outsider', 'SELECT id, v FROM d WHERE v > 0');
sql("SELECT pgtrickle.drop_stream_table('outsider')");

# --- a chain, of which a part may fail
sql(<<'SQL');
CREATE TABLE a (id int PRIMARY KEY, v int);
INSERT INTO a SELECT i, i FROM generate_series(1, 100) i;
SELECT pgtrickle.create_stream_table('c1', 'SELECT id, v FROM a', '0s', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('c2', 'SELECT id, 1000 / v AS v FROM c1', '0s', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('c3', 'SELECT count(*) AS n, sum(v) AS s FROM c2', '0s');
SQL
my $c2 = 'SELECT id, 1000 / v AS v FROM a';
my $c3 = 'SELECT count(*) AS n, sum(1000 / v) AS s FROM a';
my $id = 1000;

# Its members are one transaction as long as they are quick, which a busy
# machine may delay.
sub passes_in_memory
{
	my ($name) = @_;
	foreach (1 .. 100)
	{
		my $written = buffered('c1', 'c2');
		$id++;
		sql("INSERT INTO a VALUES ($id, 1)");
		$node->poll_query_until('postgres', 'SELECT n = (SELECT count(*) FROM a) FROM c3') or last;
		return pass($name) if buffered('c1', 'c2') == $written;
	}
	return fail($name);
}
passes_in_memory('changes go through a chain in memory');

$before = buffered('c1');
sql('INSERT INTO a VALUES (2000, 0)');
pgt_poll($node, "SELECT status = 'ERROR' OR status = 'SUSPENDED' FROM pgtrickle.pgt_status() WHERE name = 'public.c2'", 'a reader fails');
is(sql('SELECT count(*) FROM c1 WHERE id = 2000'), '1', '... after what it reads was refreshed');
is(buffered('c1'), $before + 1, '... whose change is kept for it, once');
sql("UPDATE a SET v = 5 WHERE id = 2000; SELECT pgtrickle.resume_stream_table('c2')");
pgt_poll($node, 'SELECT count(*) = 1 FROM c2 WHERE id = 2000 AND v = 200', '... and consumed later');
pgt_poll($node, 'SELECT n = (SELECT count(*) FROM a) FROM c3', '... down to the end');
pgt_check_st($node, 'c2', $c2);
pgt_check_st($node, 'c3', $c3);
passes_in_memory('then changes pass in memory again');

# behind: it has both to read, what was written and what is handed on
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE c2 IN SHARE MODE');
sql('INSERT INTO a VALUES (3001, 1); UPDATE a SET v = 7 WHERE id = 1');
pgt_poll($node, 'SELECT count(*) = 1 FROM c1 WHERE id = 3001', 'a reader is locked');
is(sql('SELECT count(*) FROM c2 WHERE id = 3001'), '0', '... and stays behind');
set_enabled('off');
sql('INSERT INTO a VALUES (3002, 1); UPDATE a SET v = 8 WHERE id = 1; DELETE FROM a WHERE id = 2');
$locker->query_safe('COMMIT');
set_enabled('on');
pgt_poll($node, 'SELECT n = (SELECT count(*) FROM a) FROM c3', '... until it catches up');
pgt_check_st($node, 'c2', $c2);
pgt_check_st($node, 'c3', $c3);

# one that begins to read while changes are on their way in memory
sql(<<'SQL');
CREATE FUNCTION wait_for_new_reader() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 1000000 THEN
		PERFORM pg_advisory_xact_lock(1);
		FOR i IN 1 .. 18000 LOOP
			EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'public.c1'::regclass);
			PERFORM pg_sleep(0.01);
		END LOOP;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER wait_for_new_reader AFTER INSERT ON c2 FOR EACH ROW EXECUTE FUNCTION wait_for_new_reader();
INSERT INTO a VALUES (4000, 1);
SQL
pgt_poll($node, 'SELECT n = (SELECT count(*) FROM a) FROM c3', 'a reader with a trigger');
passes_in_memory('... has its changes in memory');
sql('INSERT INTO a VALUES (1000000, 1)');
pgt_poll($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted", 'it takes its time');
sql("SELECT pgtrickle.create_stream_table('late', 'SELECT id FROM c1', '0s', refresh_mode => 'DIFFERENTIAL')");
is(sql('SELECT count(*) FROM late WHERE id = 1000000'), '1', 'a new reader waits, and misses nothing');
sql('INSERT INTO a VALUES (4001, 1)');
pgt_poll($node, 'SELECT count(*) = 1 FROM late WHERE id = 4001', '... nor later');
pgt_check_st($node, 'late', 'SELECT id FROM a');
pgt_check_st($node, 'c2', $c2);

$locker->quit;
$node->stop;
done_testing();
