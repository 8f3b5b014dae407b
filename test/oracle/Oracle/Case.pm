# Oracle::Case: a case group as a script, what its output says, and reducing a
# failing one to few statements.
package Oracle::Case;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Query;
use Oracle::Tree;
use Oracle::Workload;

our @EXPORT = qw(run_group reduce_group reproduction);

# Constraint violations and conflicts that random changes run into.
my $expected = qr/^(23\d\d\d|22\d\d\d|21000|25P0[12]|55P03|40001|3B001|42\w\w\w|428C9|55000|0A000)$/;

my $clean = <<'SQL';
\echo @clean
ROLLBACK;
RESET ALL;
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database() \gexec
SET lock_timeout = '10s';
SELECT oracle.clean();
RESET ALL;
SQL

sub script
{
	my ($group) = @_;
	my $sql = "SET client_min_messages = warning;\n";
	my $i = -1;

	$sql .= "\\set ON_ERROR_ROLLBACK " . ($group->{unhinged} ? 'off' : 'on') . "\n";
	foreach my $it (@{ $group->{items} })
	{
		$i++;
		next if $it->{off};
		$sql .= "\\echo \@$i\n" . item_sql($it) . "\n";
	}
	return $sql . $clean;
}

sub item_sql
{
	my ($it) = @_;
	return Oracle::Workload::create_sql($it->{st}) if $it->{kind} eq 'create';
	return "CREATE VIEW $it->{st}{name} AS " . render($it->{st}{node}) . ';' if $it->{kind} eq 'view';
	return $it->{sql} if $it->{sql} =~ /^COPY/;
	return $it->{sql} =~ /;$/ ? $it->{sql} : "$it->{sql};";
}

# Names of all relations a stream table reads, through others.
sub closure
{
	my ($group) = @_;
	my %reads;
	foreach my $it (@{ $group->{items} })
	{
		next unless $it->{st};
		my %all = %{ $it->{st}{node}{uses} };
		%all = (%all, %{ $reads{$_} // {} }) foreach keys %all;
		$reads{ $it->{st}{name} } = \%all;
	}
	return \%reads;
}

# Runs a group. Returns { failure, kind, at, refused => [...], counts }.
sub run_group
{
	my ($server, $group) = @_;
	if ($server->{dirty})
	{
		# what a crash or hang has left
		$server->{dirty} = 0;
		$server->run($clean);
	}
	my $out = $server->run(script($group));
	my %r = (counts => {}, refused => [], output => $out);
	my $at = -1;
	my $reads = closure($group);
	my (%excused, %first, %saved_excused, %saved_first, $old_snapshot, $failed);
	my $items = $group->{items};

	foreach my $line (split /\n/, $out)
	{
		if ($line =~ /^\@(\d+|clean)$/)
		{
			$at = $1;
			next if $at eq 'clean';
			my $it = $items->[$at];
			my $all = $it->{ddl} || ($it->{sql} // '') =~ /rebuild_cdc/;
			# a fill with an old snapshot voids what others have of its sources
			$old_snapshot = 1 if ($it->{sql} // '') =~ /^BEGIN.*REPEATABLE/;
			if ($old_snapshot)
			{
				$excused{ $_->{name} } = 1 foreach @{ $group->{sts} };
				$old_snapshot = 0 if ($it->{sql} // '') =~ /^(COMMIT|ROLLBACK)$/;
			}
			# the COMMIT of a failed transaction is a ROLLBACK
			if (($it->{sql} // "") =~ /^(BEGIN|ROLLBACK|COMMIT$)/ && ($1 ne 'COMMIT' || $failed))
			{
				if ($1 eq "BEGIN") { %saved_excused = %excused; %saved_first = %first; $failed = 0; }
				else
				{
					%excused = (%excused, %saved_excused);
					%first = (%first, %saved_first);
				}
			}
			# a full refresh is due after these
			if ($all || ($it->{sql} // '') =~ /TRUNCATE|^SET pg_trickle.change_buffer/)
			{
				# also after a rollback to a savepoint behind it
				$excused{ $_->{name} } = $saved_excused{ $_->{name} } = 1 foreach @{ $group->{sts} };
			}
			next;
		}
		next if $line =~ /^\s*$/;
		my $it = $at =~ /^\d+$/ && $at >= 0 ? $items->[$at] : { kind => $at };
		my $fail = sub {
			my ($kind, $text) = @_;
			return if $r{failure};
			$r{failure} = $text;
			$r{kind} = $kind;
			$r{at} = $at;
		};

		if ($line =~ /^(CRASH|HANG)/) { $fail->(lc $1, $line); }
		elsif ($line =~ /^FAIL left behind/ && $group->{ignore_left}) { $r{counts}{"left behind"}++; }
		elsif ($line =~ /^FAIL ([\w ]+): /) { my $k = $1; $fail->($k, $line); }
		elsif ($line =~ /(ERROR|FATAL|PANIC):\s+(\w{5}): (.*)/)
		{
			my ($code, $text) = ($2, $3);
			$failed = 1;
			$r{counts}{"error $code"}++;
			next if $it->{kind} =~ /^(dml|tx|misc)$/ && $code =~ $expected;
			next if $it->{kind} =~ /^(refresh|create|view)$/ && $code eq "25P02";
			next if $it->{kind} eq 'refresh' && $code eq '40001';
			# depends on what else is in the statement
			next if $it->{kind} eq 'create' && $text =~ /^FULL JOIN is only supported with/;
			# autovacuum was there, and is sent away only after a while
			next if $it->{kind} =~ /^(refresh|create)$/ && $code eq '55P03';
			next if $group->{bulk} && $code eq "57014";
			if ($group->{allow} && "$code $text" =~ $group->{allow}) { $r{counts}{"allowed $code"}++; next; }
			# a view over what PostgreSQL did not take
			next if $it->{kind} eq 'view' && $code =~ /^42/;
			next if $it->{kind} eq 'setup' && $code =~ /^42/ && $group->{reducing};
			next if $at eq 'clean' && $code eq '25P01';
			$fail->("error $code", "ERROR $code: $text");
		}
		elsif ($line =~ /WARNING:\s+\w{5}: (.*(leak|inconsistent|corrupt|not found).*)/i)
		{
			$fail->('warning', "WARNING: $1");
		}
		elsif ($line =~ /^slow (.*)/) { push @{ $r{slow} }, "item $at, $1"; }
		elsif ($it->{kind} eq 'create')
		{
			if ($line =~ /^invalid (.*)/)
			{
				$r{counts}{invalid}++;
				push @{ $r{invalid} }, $1 . ' -- ' . render($it->{st}{node});
			}
			elsif ($line =~ /^refused (.*) (ok|wholly) (\w*)$/)
			{
				push @{ $r{refused} }, $1;
				$r{counts}{refused}++;
				$r{counts}{cases}++ if $2 eq 'ok';
				push @{ $r{created} }, [ $it->{st}, $2 eq 'ok' ? 'recomputed' : 'refused' ];
			}
			elsif ($line =~ /^ok (\w+)(.*)$/)
			{
				$r{counts}{cases}++;
				push @{ $r{created} }, [ $it->{st}, $1 eq 'DIFFERENTIAL' ? 'differential' : 'recomputed' ]
				  if $it->{st}{mode} ne 'FULL';
				push @{ $r{refused} }, "AUTO:$2" if $1 ne 'DIFFERENTIAL' && $it->{st}{mode} ne 'FULL';
			}
			$first{ $it->{st}{name} } = 1;
		}
		elsif ($it->{kind} eq 'refresh' && $line =~ /^ok (\w+) (\w+) (.*)/)
		{
			my ($mode, $action, $why) = ($1, $2, $3);
			my ($id) = $it->{sql} =~ /(\d+)/;
			my ($st) = grep { $_->{id} == $id } @{ $group->{sts} };
			my $empty = $action =~ s/_EMPTY$//;
			$r{counts}{empty}++ if $empty;
			push @{ $r{compared} }, [ $st, $empty, $action ];
			$r{counts}{"$mode $action"}++;
			(my $because = $why) =~ s{[\d.]+%}{N%}g;
			$because =~ s{"[^"]*"}{"..."}g;
			$r{counts}{"why $because"}++ if $why ne "";
			# a delta asks for the value of rows that have gone, too
			my $raised = $st->{node}{raises} && $why =~ /more than one row/;
			if ($why =~ /^differential refresh failed/ && !$raised) { $fail->("inconsistent", "FAIL inconsistent: $st->{name}: $why"); }
			if ($action =~ /FULL|REINIT/)
			{
				# an upstream stream table's first fill or swap, also within a
				# savepoint, and keys that outgrow its btree, are good reasons
				if ($mode eq 'DIFFERENTIAL' && !$excused{ $st->{name} } && !$raised
					&& $why !~ /^source "o\.s\d+" was truncated/
					&& $why !~ /^a key of a source was dropped/
					&& !($first{ $st->{name} } && !$st->{init}))
				{
					$fail->('full', "FAIL full: $st->{name} was refreshed by $action: $why");
				}
				# what reads it may be told to start over
				$excused{$_} = 1 foreach grep { $reads->{$_}{ $st->{name} } } keys %$reads;
			}
			# what raises, as its query does, has filled nothing
			next if $action eq 'RAISED';
			delete $excused{ $st->{name} };
			delete $first{ $st->{name} };
		}
	}
	if (($r{kind} // '') eq 'crash' && $at =~ /^\d+$/ && $items->[$at]{kind} eq 'create' && own_crash($server, $group, $at))
	{
		# PostgreSQL itself does not survive the query
		delete @r{qw(failure kind at)};
		$r{counts}{"crash without pg_trickle"}++;
	}
	if (($r{kind} // '') eq 'error 57014' && is_too_big($server, $group, $r{at}))
	{
		delete @r{qw(failure kind at)};
		$r{counts}{"too big"}++;
	}
	return \%r;
}

# Does the query whose creation or refresh was cancelled after 20 s need a fifth of that by itself?
sub is_too_big
{
	my ($server, $group, $at) = @_;
	my $it = $group->{items}[$at];
	my ($id) = ($it->{sql} // '') =~ /oracle\.refresh\((\d+)\)/;
	my ($st) = $it->{st} // (grep { $_->{id} == ($id // -1) } @{ $group->{sts} });
	return 0 unless $st;
	my $sql = "SET client_min_messages = error;\n";

	$sql .= item_sql($_) . "\n" foreach grep { !$_->{off} } @{ $group->{items} }[ 0 .. $at - 1 ];
	$sql .= "SET statement_timeout = '50s';\n\\echo ${\ measured()}\n\\timing on\nCREATE TEMP TABLE oracle_big AS "
	  . render($st->{node}) . ";\n\\timing off\nDROP TABLE oracle_big;\n";
	my $out = $server->run($sql . $clean);
	my ($ms) = $out =~ /^${\ measured()}$(?:.*)^Time: ([\d.]+) ms/ms;
	return ($ms // 0) > 4000;
}

sub measured { return 'the query alone'; }

# Does the server crash from the query of a create item alone, with tables in
# place of stream tables?
sub own_crash
{
	my ($server, $group, $at) = @_;
	my $sql = "SET client_min_messages = error;\n";

	foreach my $i (0 .. $at)
	{
		my $it = $group->{items}[$i];
		next if $it->{off} || $it->{kind} =~ /^(refresh|tx)$/ || ($it->{sql} // '') =~ /pg_?trickle/;
		$sql .= $it->{kind} eq 'create' ? "CREATE TABLE $it->{st}{name} AS " . render($it->{st}{node}) . ';' : item_sql($it);
		$sql .= "\n";
	}
	$server->run($clean) if $server->{dirty};
	$server->{dirty} = 0;
	my $out = $server->run($sql . $clean);
	return $out =~ /^CRASH/m;
}

# ---------------------------------------------------------------------------
# Reduction
# ---------------------------------------------------------------------------

my ($budget, $deadline);

sub still_fails
{
	my ($server, $group, $kind) = @_;
	return 0 if $budget-- <= 0 || time > $deadline;
	my $r = run_group($server, $group);
	return ($r->{kind} // '') eq $kind;
}

# Drop items in ever smaller runs.
sub drop_items
{
	my ($server, $group, $kind) = @_;
	my $changed = 0;
	my @live = grep { !$group->{items}[$_]{off} } 0 .. $#{ $group->{items} };

	for (my $size = int(@live / 2); $size >= 1; $size = int($size / 2))
	{
		@live = grep { !$group->{items}[$_]{off} } @live;
		for (my $end = @live; $end > 0; $end -= $size)
		{
			my $from = $end - $size < 0 ? 0 : $end - $size;
			my @part = grep { !$group->{items}[$_]{off} } @live[ $from .. $end - 1 ];
			next unless @part;
			$group->{items}[$_]{off} = 1 foreach @part;
			if (still_fails($server, $group, $kind)) { $changed = 1; }
			else { $group->{items}[$_]{off} = 0 foreach @part; }
		}
	}
	return $changed;
}

# Parts of the query left out or replaced, as long as it fails.
sub reduce_query
{
	my ($server, $group, $kind, $node) = @_;
	my $changed = 0;

	for (1 .. 3)
	{
		my $again = 0;
		foreach my $v (variants($node))
		{
			my ($do, $undo) = @$v;
			next unless $do->();
			if (@{ $node->{cols} } && still_fails($server, $group, $kind)) { $again = $changed = 1; }
			else { $undo->(); }
		}
		last unless $again;
	}
	return $changed;
}

# INSERT ... VALUES (..), (..): fewer rows.
sub reduce_values
{
	my ($server, $group, $kind) = @_;
	my $changed = 0;

	foreach my $it (grep { !$_->{off} && $_->{kind} eq 'dml' } @{ $group->{items} })
	{
		next unless $it->{sql} =~ /^(.*?VALUES )(\(.*\))(( ON CONFLICT.*)?)$/s;
		my ($head, $rows, $tail) = ($1, $2, $3);
		my @rows = split /\), \((?=[^)]*,)/, substr($rows, 1, -1);
		next if @rows < 2;
		for (my $i = $#rows; $i >= 0 && @rows > 1; $i--)
		{
			my ($old, $gone) = ($it->{sql}, splice(@rows, $i, 1));
			$it->{sql} = $head . join(', ', map { "($_)" } @rows) . $tail;
			if (still_fails($server, $group, $kind)) { $changed = 1; }
			else
			{
				$it->{sql} = $old;
				splice @rows, $i, 0, $gone;
			}
		}
	}
	return $changed;
}

sub reduce_group
{
	my ($server, $group, $result, $max) = @_;
	my $kind = $result->{kind};

	$budget = $max // 400;
	$deadline = time + 30;
	$group->{reducing} = 1;
	if ($result->{at} =~ /^\d+$/)
	{
		$group->{items}[$_]{off} = 1 foreach $result->{at} + 1 .. $#{ $group->{items} };
	}
	unless (still_fails($server, $group, $kind))
	{
		$_->{off} = 0 foreach @{ $group->{items} };
		return 0 unless still_fails($server, $group, $kind);
	}
	for (1 .. 3)
	{
		my $changed = drop_items($server, $group, $kind);
		$changed |= reduce_query($server, $group, $kind, $_->{st}{node})
		  foreach grep { !$_->{off} && $_->{st} } @{ $group->{items} };
		$changed |= reduce_values($server, $group, $kind);
		last unless $changed && $budget > 0;
	}
	return 1;
}

# What is left, as a script for psql that needs only the extension.
sub reproduction
{
	my ($group) = @_;
	my $sql = '';

	foreach my $it (grep { !$_->{off} } @{ $group->{items} })
	{
		if ($it->{kind} eq 'create')
		{
			my $st = $it->{st};
			$sql .= sprintf("SELECT pgtrickle.create_stream_table('%s', \$q\$%s\$q\$, NULL, '%s', %s);\n",
				$st->{name}, render($st->{node}), $st->{mode}, $st->{init} ? 'true' : 'false');
		}
		elsif ($it->{kind} eq 'refresh')
		{
			my ($id) = $it->{sql} =~ /(\d+)/;
			my ($st) = grep { $_->{id} == $id } @{ $group->{sts} };
			my ($is, $wanted) = ("SELECT t::text FROM $st->{name} t", 'SELECT t::text FROM (' . render($st->{node}) . ') t');
			$sql .= "SELECT pgtrickle.refresh_stream_table('$st->{name}');\n"
			  . "SELECT 'too many' AS rows, * FROM ($is EXCEPT ALL $wanted) d UNION ALL SELECT 'missing', * FROM ($wanted EXCEPT ALL $is) d;\n";
		}
		else { $sql .= item_sql($it) . "\n"; }
	}
	return prelude($sql) . $sql;
}

# Schemas and types that a script mentions.
sub prelude
{
	my ($sql) = @_;
	my @parts = (
		[ comp => 'CREATE TYPE oracle.comp AS (f int, g text)' ],
		[ posint => 'CREATE DOMAIN oracle.posint AS int CHECK (VALUE > -1000)' ],
		[ color => "CREATE TYPE oracle.color AS ENUM ('red', 'green', 'blue')" ],
		[ ci => "CREATE COLLATION oracle.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)" ],
		[ cit => 'CREATE EXTENSION IF NOT EXISTS citext SCHEMA public', 'CREATE DOMAIN oracle.cit AS public.citext' ],
		[ xmldoc => 'CREATE DOMAIN oracle.xmldoc AS xml' ],
		[ plus => "CREATE FUNCTION oracle.plus(a int, b int DEFAULT 3) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 10 + b'" ],
		[ fan => "CREATE FUNCTION oracle.fan(int) RETURNS SETOF int LANGUAGE sql IMMUTABLE AS 'SELECT g FROM generate_series(1, least(\$1, 2)) g'" ],
		[ fan2 => 'CREATE FUNCTION oracle.fan2(i int, OUT v int, OUT w text) RETURNS SETOF record LANGUAGE plpgsql IMMUTABLE AS '
			  . "'BEGIN FOR v IN 0 .. least(i, 2) LOOP w := ''w'' || v % 2; RETURN NEXT; END LOOP; END'" ],
		[ usum => 'CREATE FUNCTION oracle.usum_step(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE '
			  . "AS 'SELECT coalesce(\$1, 0) + coalesce(\$2, 100)'", 'CREATE AGGREGATE oracle.usum(int) (sfunc = oracle.usum_step, stype = bigint)' ]);
	my $text = "CREATE EXTENSION IF NOT EXISTS pg_trickle;\nCREATE SCHEMA IF NOT EXISTS o;\nCREATE SCHEMA IF NOT EXISTS oracle;\n";

	foreach my $p (@parts)
	{
		my ($name, @sql) = @$p;
		$text .= join('', map { "$_;\n" } @sql) if $sql =~ /\boracle\.$name\b/;
	}
	return $text;
}

1;
