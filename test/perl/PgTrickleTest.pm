
=pod

=head1 NAME

PgTrickleTest - what pg_trickle's TAP tests have in common

=head1 SYNOPSIS

  use PgTrickleTest;

  my $node = pgt_node('main', conf => "pg_trickle.enabled = off\n");
  $node->safe_psql('postgres', 'CREATE TABLE ...');
  pgt_poll($node, "SELECT ...", 'the scheduler refreshed it');
  pgt_check_st($node, 'public.st', 'SELECT ...', 'after the crash');

Nodes are PostgreSQL::Test::Cluster objects with all their methods; safe_psql
stops at the first error.

=cut

package PgTrickleTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(pgt_node pgt_conf pgt_clock pgt_poll pgt_rounds pgt_check_st pgt_diff_st pgt_error_like
  pgt_workload_file pgt_check_workload);

=pod

=over

=item pgt_node($name, conf => ..., init => [...], extension => 1, start => 1)

A new node that preloads pg_trickle, started, with the extension in database
postgres. C<conf> is text for postgresql.conf, C<init> goes to the node's
init(). C<extension =E<gt> 0> and C<start =E<gt> 0> leave those steps out.

=cut

sub pgt_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(@{ $params{init} // [] });
	pgt_conf($node, $params{conf} // '');
	if ($params{start} // 1)
	{
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION pg_trickle')
		  if $params{extension} // 1;
	}
	return $node;
}

=pod

=item pgt_clock()

A clock that the test sets, for the nodes that are started from now on: with
C<< $clock->(3600) >> it is an hour later there, and with 0 as it is here; with
C<< $clock->(3600, 1) >> it is an hour later and stays that. Undef where no
library can be preloaded.

=cut

sub pgt_clock
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $file = "$dir/clock";
	my $library = "$dir/clock.so";
	my $start;
	my $set = sub {
		my ($seconds, $still) = @_;

		$start //= time;
		open(my $fh, '+<', $file) or die "$file: $!";
		syswrite($fh, pack('qq', int($seconds * 1_000_000), $still ? int(($start + $seconds) * 1_000_000) : 0), 16);
		close($fh);
		return;
	};

	return unless $^O eq 'linux';
	PostgreSQL::Test::Utils::append_to_file($file, pack('qq', 0, 0));
	system('cc', '-shared', '-fPIC', '-O2', '-o', $library,
		File::Spec->catfile(dirname(__FILE__), 'clock.c')) == 0
	  or return;
	$ENV{PGT_CLOCK} = $file;
	$ENV{LD_PRELOAD} = $library;
	return $set;
}

=pod

=item pgt_conf($node, $conf)

Append pg_trickle's test settings and C<$conf> to a node's configuration, for
nodes made in another way (from a backup).

=cut

sub pgt_conf
{
	my ($node, $conf) = @_;

	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'pg_trickle'
max_prepared_transactions = 10
max_worker_processes = 24
$conf
CONF
	return;
}

=pod

=item pgt_poll($node, $query, $test_name, dbname => 'postgres', expected => 't')

Pass when the query gives the expected text within PG_TEST_TIMEOUT_DEFAULT.

=cut

sub pgt_poll
{
	my ($node, $query, $test_name, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok( $node->poll_query_until(
			$params{dbname} // 'postgres', $query, $params{expected} // 't'),
		$test_name);
}

=pod

=item pgt_rounds($node, $test_name)

Pass when the scheduler of database postgres has looked at everything since the
call, and has done what it found: it has brought three commits of ours through a
stream table of schema pulse (made at the first call), one after the other, and no job
is left. A pass may have begun before the first commit; the second one begins
after it, and the third one after what the second did.

=cut

sub pgt_rounds
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = 0;

	$node->safe_psql('postgres', <<'SQL') if $node->safe_psql('postgres', "SELECT to_regnamespace('pulse') IS NULL") eq 't';
CREATE SCHEMA pulse;
CREATE TABLE pulse.src (id serial PRIMARY KEY);
SELECT pgtrickle.create_stream_table('pulse.pulse_st', 'SELECT id FROM pulse.src', '0s');
SQL
	foreach (1 .. 3)
	{
		my $id = $node->safe_psql('postgres', 'INSERT INTO pulse.src DEFAULT VALUES RETURNING id');

		$seen += $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pulse.pulse_st WHERE id = $id");
	}
	$seen += $node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pgtrickle.pgt_scheduler_jobs WHERE status IN ('QUEUED', 'RUNNING')");
	return is($seen, 4, $name);
}

=pod

=item pgt_diff_st($node, $st, $query, dbname => 'postgres')

The number of rows by which a stream table differs from its query; see
test/sql/include/oracle.sql. Its function is created in the session's temporary
schema, so nothing stays in the database, and a standby cannot do it.

=cut

sub pgt_diff_st
{
	my ($node, $st, $query, %params) = @_;
	my $oracle = slurp_file(
		File::Spec->catfile(dirname(__FILE__), '..', 'sql', 'include', 'oracle.sql'));

	$oracle =~ s/^\\.*$//mg;
	$oracle =~ s/FUNCTION check_st\(/FUNCTION pg_temp.check_st(/;
	s/'/''/g foreach ($st, $query);
	return $node->safe_psql($params{dbname} // 'postgres',
		"SET client_min_messages = warning; $oracle SELECT pg_temp.check_st('$st', '$query')");
}

=pod

=item pgt_check_st($node, $st, $query, $test_name, dbname => 'postgres')

Pass when a stream table holds exactly what its query gives.

=cut

sub pgt_check_st
{
	my ($node, $st, $query, $test_name, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is(pgt_diff_st($node, $st, $query, %params),
		'0', $test_name // "$st equals its query");
}

=pod

=item pgt_error_like($node, $sql, qr/.../, $test_name, dbname => 'postgres')

Pass when the SQL fails with an error that matches.

=cut

sub pgt_error_like
{
	my ($node, $sql, $pattern, $test_name, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $stdout, $stderr) =
	  $node->psql($params{dbname} // 'postgres', $sql, on_error_stop => 1);

	return fail("$test_name: no error") if $status == 0;
	return like($stderr, $pattern, $test_name);
}

=pod

=item pgt_workload_file($node, $file, 'variable value', ...)

Run a file of test/workload with psql variables set.

=cut

sub pgt_workload_file
{
	my ($node, $file, @variables) = @_;

	return $node->safe_psql('postgres', join('', map { "\\set $_\n" } @variables)
		  . slurp_file(File::Spec->catfile(dirname(__FILE__), '..', 'workload', $file)));
}

=pod

=item pgt_check_workload($node, changes => [...], differential => [...])

The queries of workload.query (test/workload/check.sql) as stream tables: those
named must be maintained by deltas; after each of the batches of changes (SQL
text) all must equal their queries. Passes for a query when it does in every
batch, has rows in one, changes in half of them, and no refresh did what it
should not.

=cut

sub pgt_check_workload
{
	my ($node, %params) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @changes = @{ $params{changes} };
	my $batch = 0;

	$node->safe_psql('postgres', 'CALL workload.create_stream_tables()');
	my %mode = map { split /\|/ } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT name, CASE WHEN s.differential THEN 'DIFFERENTIAL' ELSE s.downgrade_code END
FROM workload.query JOIN pgtrickle.pgt_stream_tables s ON relid = name::regclass
SQL
	is($mode{$_}, 'DIFFERENTIAL', "$_ is maintained by deltas") foreach @{ $params{differential} };
	note("$_: $mode{$_}") foreach grep { $mode{$_} ne 'DIFFERENTIAL' } sort keys %mode;

	# one session: plans are kept
	$node->safe_psql('postgres', join("\n", 'SET client_min_messages = warning;',
		map { $batch++; "$_; ANALYZE; CALL workload.compare($batch);" } @changes));
	foreach my $line (split /\n/, $node->safe_psql('postgres', <<'SQL'))
SELECT name, count(*), coalesce(string_agg(format('batch %s: %s rows', batch, differing), ', ' ORDER BY batch) FILTER (WHERE differing <> 0), ''),
       max(rows) > 0, count(*) FILTER (WHERE changed > 0) * 2 >= count(*), string_agg(DISTINCT action, ', ')
FROM workload.compared GROUP BY name ORDER BY name
SQL
	{
		my ($name, $compared, $differing, $has_rows, $changes, $actions) = split /\|/, $line;

		is("$compared $differing", scalar(@changes) . ' ', "$name equals its query in all batches");
		is($has_rows, 't', "$name has rows");
		is($changes, 't', "$name changes in half of the batches");
		is($actions, $mode{$name} eq 'DIFFERENTIAL' ? 'DIFFERENTIAL' : 'FULL', "$name: what refreshes did");
		delete $mode{$name};
	}
	is(join(' ', sort keys %mode), '', 'all were compared');
	return;
}

=pod

=back

=cut

1;
