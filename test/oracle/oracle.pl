#!/usr/bin/perl
# oracle.pl: random stream tables under random changes, compared with their
# queries after every refresh. See README.
#
#   oracle.pl --seed S --cases N [--mode M] [--ops a,b] [--keep-going]
#             [--no-reduce] [--max-refused F] [--seconds T] [--standin] [psql options]
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Getopt::Long qw(:config pass_through no_auto_abbrev prefix_pattern=--);
use Time::HiRes qw(time);
use lib dirname(__FILE__);
use Oracle::Case;
use Oracle::Gen ();
use Oracle::Query;
use Oracle::Server;
use Oracle::Workload;

my %o = (cases => 300, mode => 'mixed', 'max-refused' => 0.025, reduce => 1, psql => 'psql', progress => 30);
GetOptions(\%o, 'seed=i', 'cases=i', 'groups=i', 'mode=s', 'ops=s', 'without=s', 'keep-going', 'reduce!', 'max-refused=f',
	'seconds=f', 'standin', 'psql=s', 'dump', 'progress=f', 'show-refused', 'show-invalid', 'failures=s',
	"budget=i", "ignore-left", "allow=s", "memory", "wait=f") or exit 2;
$o{seed} //= time % 1_000_000 * 1000;
$Oracle::Gen::enabled{$_} = 1 foreach split /,/, $o{ops} // '';
$Oracle::Gen::disabled{$_} = 1 foreach split /,/, $o{without} // '';

my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
my $here = dirname(__FILE__);
my $server = Oracle::Server->new(psql => $o{psql}, conn => [@ARGV], dir => $dir);
my (%counts, %refused, %invalid, %construct);
my ($cases, $groups, $failures) = (0, 0, 0);
my @slow;

# What no delta can be had of, see doc/sql.md; other refusals are counted against --max-refused.
my $inherent = qr/ONLY of a table|[Mm]aterialized view|[Ff]oreign table|system column|without ORDER BY/;
my $start = time;
my $last = $start;

$| = 1;
if ($o{dump})
{
	my $g = gen_group($o{seed}, mode => $o{mode});
	print reproduction($g);
	exit 0;
}

my $setup = $server->run(($o{wait} ? "SELECT pg_sleep($o{wait});\n" : "") . ($o{standin} ? read_file("$here/standin.sql") : '') . read_file("$here/oracle.sql"));
die "oracle.sql: $setup\n" if $setup =~ /ERROR|CRASH/;
($Oracle::Gen::version) = $server->run('SHOW server_version_num;') =~ /(\d+)/;
# a server with assertions looks at all of a session's memory after each statement
my $fresh_sessions = $server->run('SHOW debug_assertions;') =~ /^on$/m;
print "# oracle: seed $o{seed}, $o{cases} cases, mode $o{mode}\n";

while ($cases < $o{cases})
{
	my $seed = $o{seed} + $groups;
	my $group = gen_group($seed, mode => $o{mode});
	$group->{ignore_left} = $o{"ignore-left"};
	$group->{allow} = $o{allow} ? qr{$o{allow}} : undef;
	$server->close if $fresh_sessions;
	my $r = run_group($server, $group);

	$groups++;
	$counts{$_} += $r->{counts}{$_} foreach keys %{ $r->{counts} };
	$refused{ generalise($_) }++ foreach @{ $r->{refused} };
	$counts{'refused without need'} += grep { !/$inherent/ && !/^AUTO/ } @{ $r->{refused} };
	$invalid{ substr($_, 0, 60) } //= $_ foreach @{ $r->{invalid} // [] };
	$cases += $r->{counts}{cases} // 0;
	count_constructs($r);
	push @slow, map { "seed $seed, $_" } @{ $r->{slow} // [] };
	if ($r->{failure})
	{
		$failures++;
		report($seed, $group, $r);
		last unless $o{'keep-going'} && $failures < 50 + $cases / 10;
	}
	if ($o{progress} && time - $last > $o{progress})
	{
		$last = time;
		printf "# %d cases, %d failed groups, %.1f cases/s\n", $cases, $failures, $cases / (time - $start);
	}
	last if $o{seconds} && time - $start > $o{seconds};
	last if $o{groups} && $groups >= $o{groups};
}
exit summary();

sub read_file
{
	my ($name) = @_;
	open my $fh, '<', $name or die "$name: $!\n";
	local $/;
	return scalar <$fh>;
}

# Refusals of one kind, whatever the names in them.
sub generalise
{
	my ($s) = @_;
	$s =~ s/"[^"]*"/"..."/g;
	return $s;
}

# What became of each construct: of its queries, and of their refreshes.
sub count_constructs
{
	my ($r) = @_;
	foreach my $c (@{ $r->{created} // [] })
	{
		$construct{$_}{ $c->[1] }++ foreach @{ $c->[0]{node}{tags} }, 'all';
	}
	foreach my $c (@{ $r->{compared} // [] })
	{
		foreach my $tag (@{ $c->[0]{node}{tags} }, 'all')
		{
			$construct{$tag}{compared}++;
			$construct{$tag}{rows}++ unless $c->[1];
			$construct{$tag}{deltas}++ if $c->[2] eq 'DIFFERENTIAL';
			$construct{$tag}{full}++ if $c->[2] =~ /FULL|REINIT/;
		}
	}
	return;
}

sub print_constructs
{
	printf "# %-14s %12s %10s %7s %9s %9s %6s %10s\n", 'construct', 'differential', 'recomputed', 'refused', 'compared',
	  'by delta', 'full', 'non-empty';
	foreach my $t (sort keys %construct)
	{
		my $c = $construct{$t};
		printf "# %-14s %12d %10d %7d %9d %9d %6d %8.0f %%\n", $t, (map { $c->{$_} // 0 } qw(differential recomputed refused
			  compared deltas full)), 100 * ($c->{rows} // 0) / ($c->{compared} || 1);
	}
	return;
}

sub report
{
	my ($seed, $group, $r) = @_;
	my $text = "FAILED: seed $seed, item $r->{at}: $r->{failure}\n";

	print $text;
	if ($o{reduce})
	{
		my $t = time;
		if (reduce_group($server, $group, $r, $o{budget} // 300))
		{
			my $again = run_group($server, $group);
			$text .= "-- reduced: " . ($again->{failure} // '?') . "\n" . reproduction($group);
		}
		else
		{
			$text .= "-- does not fail again by itself (seed $seed)\n";
			my $again = run_group($server, gen_group($seed, mode => $o{mode}));
			$text .= "-- run again: " . ($again->{failure} // 'no failure') . "\n";
		}
		$text =~ s/^FAILED/-- FAILED/;
		printf "%s-- (reduced in %.1f s)\n", $text, time - $t;
	}
	if ($o{failures})
	{
		open my $fh, '>>', "$o{failures}" or die "$o{failures}: $!\n";
		print $fh "$text\n";
		close $fh;
	}
	return;
}

sub summary
{
	my $seconds = time - $start;
	my $refreshes = 0;

	print $server->run("SELECT '# memory: ' || name || ', contexts ' || count(*) || ', bytes ' || sum(total_bytes)"
		  . ' FROM pg_backend_memory_contexts GROUP BY name ORDER BY sum(total_bytes) DESC LIMIT 8;')
	  if $o{memory};
	$refreshes += $counts{$_} foreach grep { /^(DIFFERENTIAL|AUTO|FULL) / } keys %counts;
	my $tried = $cases || 1;
	my $share = ($counts{refused} // 0) / $tried;
	my $needless = ($counts{'refused without need'} // 0) / $tried;

	print "# $_: $counts{$_}\n" foreach sort keys %counts;
	print "# slow: $_\n" foreach @slow;
	print_constructs();
	if ($o{'show-refused'})
	{
		print "# refused $refused{$_}: $_\n" foreach sort { $refused{$b} <=> $refused{$a} } keys %refused;
	}
	if ($o{'show-invalid'})
	{
		print "# invalid: $_\n" foreach values %invalid;
	}
	printf "# oracle: %d cases in %d groups (seeds %d to %d), %d refreshes compared, %d failed groups,"
	  . " %.1f %% refused, %.1f s, %.1f cases/s\n",
	  $cases, $groups, $o{seed}, $o{seed} + $groups - 1, $refreshes, $failures, 100 * $share, $seconds,
	  $cases / $seconds;
	# a few queries say nothing about their share
	if ($needless > $o{'max-refused'} && $tried >= 400)
	{
		print "FAILED: more than $o{'max-refused'} of the queries were refused without need\n";
		$failures++;
	}
	return $failures ? 1 : 0;
}
