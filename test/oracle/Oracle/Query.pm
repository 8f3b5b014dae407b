# Oracle::Query: random defining queries as small trees, and their text.
#
# A relation is { name, cols => [{ name, type, loose }], rows }, rows being a
# rough estimate. A query node is
#   { k => 'select', with, sel => [{ e, as }], from => [{ join, item, on }],
#     where => [], group => [], having => [], tail }
#   { k => 'union', arms => [] }
# plus cols (what it gives), rows and uses (names of the relations it reads).
# Trees, not text, so that the reducer can take parts away.
package Oracle::Query;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Types;

our @EXPORT = qw(gen_query render);

our %enabled;    # operators allowed; empty: all
my $serial;      # aliases

my $max_rows = 1500;

sub on { my ($op) = @_; return !%enabled || $enabled{$op}; }

# A random query over the relations.
sub gen_query
{
	my ($relations) = @_;
	$serial = 0;
	return query($relations, 2);
}

sub query
{
	my ($rels, $depth, $types) = @_;
	my @kinds;

	push @kinds, ('select') x 8 if on('select');
	push @kinds, ('agg') x 8 if on('agg') && !$types;
	push @kinds, 'noagg_key' if on('agg') && !$types;
	push @kinds, 'union' if $depth > 0 && on('union');
	push @kinds, 'cte' if $depth > 0 && on('cte') && !$types;
	push @kinds, 'exotic' if $depth == 2 && chance(0.3) && on('exotic') && !$types;
	@kinds = ('select') unless @kinds;

	my $kind = pick(@kinds);
	return union($rels, $depth) if $kind eq 'union' && !$types;
	return cte($rels, $depth) if $kind eq 'cte';
	return exotic($rels) if $kind eq 'exotic';
	return aggregate($rels, $depth, $kind eq 'noagg_key') if $kind =~ /agg/;
	return plain($rels, $depth, $types);
}

# ---------------------------------------------------------------------------
# FROM
# ---------------------------------------------------------------------------

# One more relation for a FROM list: a table, or a subquery.
sub from_item
{
	my ($rels, $depth) = @_;
	my $alias = 'r' . ++$serial;

	if ($depth > 0 && chance(0.15) && on('subquery'))
	{
		my $q = query($rels, $depth - 1);
		return { sub => $q, alias => $alias, rows => $q->{rows}, uses => $q->{uses},
			cols => [ map { { %$_ } } @{ $q->{cols} } ] };
	}
	my $r = pick(@$rels);
	return { table => $r->{name}, alias => $alias, rows => $r->{rows}, uses => { $r->{name} => 1 },
		node => $r->{node}, cols => [ map { { %$_ } } @{ $r->{cols} } ] };
}

# Columns of two items that can be compared for equality.
sub equal_pairs
{
	my ($scope, $item) = @_;
	my @pairs;
	my %class = (int => 'i', bigint => 'i', dom => 'i', n2 => 'n', num => 'n');

	foreach my $l (@$scope)
	{
		foreach my $r (@{ $item->{cols} })
		{
			next unless is_hashable($l->{type});
			next if ($class{ $l->{type} } // $l->{type}) ne ($class{ $r->{type} } // $r->{type});
			# few values of other columns are ids
			next if ($l->{name} eq 'id') != ($r->{name} eq 'id') && chance(0.8);
			my $p = "$l->{ref} = $item->{alias}.$r->{name}";
			push @pairs, $p;
			push @pairs, ($p) x 4 if $r->{name} eq 'k' || $l->{name} eq 'k';
			push @pairs, ($p) x 4 if $l->{name} eq 'k' && $r->{name} eq 'k';
		}
	}
	return @pairs;
}

# Builds from, where, scope, rows and uses of a select node.
sub from_list
{
	my ($node, $rels, $depth) = @_;
	my $n = on('join') ? pick(1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5) : 1;
	my (@scope, %names, %uses);
	my $rows = 1;

	for my $i (1 .. $n)
	{
		my $item = from_item($rels, $depth);
		my @mine = map { { %$_, ref => "$item->{alias}.$_->{name}" } } @{ $item->{cols} };
		my $el = { item => $item };

		if ($i == 1)
		{
			$rows = $item->{rows};
			$names{ $_->{name} }++ foreach @mine;
		}
		else
		{
			my @pairs = equal_pairs(\@scope, $item);
			my @common = grep { $names{ $_->{name} } } @mine;
			my $mergeable = @common && !grep { $names{ $_->{name} } > 1 } @common;
			my %ltype = map { $_->{name} => $_->{type} } reverse @scope;
			my $small = $rows * $item->{rows} <= 500;
			my $style = pick('on', 'on', 'on', 'comma', 'using', 'natural', 'theta', 'cross');
			my $sel = 5;

			# text and text COLLATE oracle.ci do not merge; json has no equality
			$mergeable = 0 if grep { !is_hashable($_->{type}) || $ltype{ $_->{name} } ne $_->{type} }
			  @common;
			$style = 'on' if $style =~ /using|natural/ && !$mergeable;
			$style = 'on' if $style =~ /theta|cross/ && !$small;
			$style = 'cross' if $style =~ /on|comma/ && !@pairs;
			if ($style eq 'cross' && !$small)
			{
				last;
			}
			if ($rows * $item->{rows} / $sel > $max_rows)
			{
				last;
			}
			if ($style eq 'using')
			{
				my @u = (pick(@common));
				$el->{join} = ' JOIN ';
				$el->{on} = ' USING (' . join(', ', map { $_->{name} } @u) . ')';
				$names{ $_->{name} }++ foreach grep { $_->{name} ne $u[0]{name} } @mine;
			}
			elsif ($style eq 'natural')
			{
				$el->{join} = ' NATURAL JOIN ';
				my %c = map { $_->{name} => 1 } @common;
				$names{ $_->{name} }++ foreach grep { !$c{ $_->{name} } } @mine;
			}
			else
			{
				$names{ $_->{name} }++ foreach @mine;
				if ($style eq 'comma')
				{
					$el->{join} = ', ';
					push @{ $node->{where} }, pick(@pairs);
				}
				elsif ($style eq 'cross')
				{
					$el->{join} = chance(0.5) ? ' CROSS JOIN ' : ', ';
					$sel = 1;
				}
				elsif ($style eq 'theta')
				{
					my $p = @pairs ? pick(@pairs) : 'true';
					my $op = pick('<', '>', '<=', '<>', 'IS NOT DISTINCT FROM');
					# composite and jsonb order is fine, too
					$p =~ s/ = / $op /;
					$el->{join} = ' JOIN ';
					$el->{on} = " ON $p";
					$sel = 2;
				}
				else
				{
					my @on = (pick(@pairs));
					push @on, gen_cond([ @scope, @mine ], 1) if chance(0.25);
					$el->{join} = pick(' JOIN ', ' INNER JOIN ');
					$el->{on} = ' ON ' . join(' AND ', @on);
				}
			}
			$rows = $rows * $item->{rows} / $sel;
		}
		# a comma binds weaker than JOIN: what follows it cannot see what is before
		if (($el->{join} // '') eq ', ')
		{
			$names{$_} = 9 foreach keys %names;
			push @{ $node->{from} }, $el;
			push @scope, @mine;
			%uses = (%uses, %{ $item->{uses} });
			last;
		}
		push @{ $node->{from} }, $el;
		push @scope, @mine;
		%uses = (%uses, %{ $item->{uses} });
	}
	push @{ $node->{where} }, gen_cond(\@scope, 2) if chance(0.35) && on('where');
	push @{ $node->{where} }, gen_cond(\@scope, 0) if chance(0.1) && on('where');
	$rows = 1 if $rows < 1;
	$node->{rows} = $rows;
	$node->{uses} = \%uses;
	return \@scope;
}

# ---------------------------------------------------------------------------
# SELECT without aggregates
# ---------------------------------------------------------------------------

sub new_select { return { k => 'select', sel => [], from => [], where => [], group => [], having => [], cols => [] }; }

sub add_output
{
	my ($node, $e, $type, $loose, $name) = @_;
	$name //= 'o' . (1 + @{ $node->{sel} });
	push @{ $node->{sel} }, { e => $e, as => $name };
	push @{ $node->{cols} }, { name => $name, type => $type, loose => $loose };
	return;
}

# With types given, the output has exactly these (an arm of UNION ALL).
sub plain
{
	my ($rels, $depth, $types) = @_;
	my $node = new_select();
	my $scope = from_list($node, $rels, $depth);

	if ($types)
	{
		add_output($node, gen_expr_typed($scope, $_)) foreach @$types;
		return $node;
	}
	my $n = 1 + rnd(5);
	# the key columns often, so that some stream tables are keyed
	if (chance(0.5))
	{
		my %seen;
		foreach my $c (grep { $_->{name} eq 'id' } @$scope)
		{
			add_output($node, $c->{ref}, $c->{type}, $c->{loose},
				$seen{id}++ ? undef : 'id');
		}
	}
	for (1 .. $n)
	{
		if (chance(0.6))
		{
			my $c = pick(@$scope);
			add_output($node, $c->{ref}, $c->{type}, $c->{loose},
				(grep { $_->{as} eq 'k' } @{ $node->{sel} }) || $c->{name} ne 'k' ? undef : 'k');
		}
		else
		{
			my $t = chance(0.15) ? "bool" : chance(0.7) ? pick(@$scope)->{type} : random_type();
			add_output($node, gen_expr_typed($scope, $t)) if on('expr');
		}
	}
	add_output($node, $scope->[0]{ref}, $scope->[0]{type}, $scope->[0]{loose})
	  unless @{ $node->{sel} };
	return $node;
}

sub gen_expr_typed
{
	my ($scope, $t) = @_;
	my ($e, $loose) = gen_expr($scope, $t, 2);
	return ($e, $t, $loose);
}

# ---------------------------------------------------------------------------
# Aggregates
# ---------------------------------------------------------------------------

sub filter_clause
{
	my ($scope) = @_;
	return chance(0.15) && on('filter') ? ' FILTER (WHERE ' . gen_cond($scope, 1) . ')' : '';
}

# Returns (expression, type, loose).
sub agg_call
{
	my ($scope) = @_;
	my $f = filter_clause($scope);
	my $vain = 0;
	my $arg = sub {
		my ($type, $depth) = @_;
		$vain = 1 unless columns_of_type($scope, $type);
		for (1 .. 5)
		{
			my ($e, $loose) = gen_expr($scope, $type, $depth // pick(0, 0, 1));
			return $e unless $loose;
		}
		return literal($type);
	};
	my $any = sub {
		my ($tight) = @_;
		my @c = grep { is_orderable($_->{type}) && !($tight && $_->{type} eq "ia") && !($tight && ($_->{loose} || is_ambiguous($_->{type}))) } @$scope;
		return @c ? pick(@c) : undef;
	};
	my @calls = (
		sub { ("count(*)$f", 'bigint', 0) },
		sub { my $c = pick(@$scope); ("count($c->{ref})$f", 'bigint', 0) },
		sub { ('sum(' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { ('sum(' . $arg->('bigint') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('n2') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('num') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('f8') . ")$f", 'f8', 0) },
		sub { ('sum(' . $arg->('iv') . ")$f", 'iv', 1) },
		sub { ('avg(' . $arg->(pick('int', 'bigint', 'n2')) . ")$f", 'num', 0) },
		sub { ('avg(' . $arg->('num') . ")$f", 'num', 0) },
		sub { ('avg(' . $arg->('f8') . ")$f", 'f8', 0) },
		(sub {
			my $c = $any->() or return ("count(*)$f", 'bigint', 0);
			# a domain's extremum is of its base type
			(pick('min', 'max') . "($c->{ref})$f", min_type($c->{type}),
				$c->{loose} || is_ambiguous($c->{type}));
		}) x 4,
		sub { (pick('bool_and', 'bool_or', 'every') . '(' . $arg->('bool') . ")$f", 'bool', 0) },
		sub { (pick('var_pop', 'var_samp', 'variance', 'stddev', 'stddev_pop', 'stddev_samp')
			  . '(' . $arg->(pick('int', 'bigint', 'n2', 'num')) . ")$f", 'num', 0) },
	);
	my @rescan = (
		sub { my $a = $arg->('text'); ("string_agg($a, ',' ORDER BY $a COLLATE \"C\")$f", 'text', 0) },
		sub { my $c = $any->(1) or return ("count(*)$f", 'bigint', 0);
			("(array_agg($c->{ref} ORDER BY $c->{ref})$f)::text", 'text', 0) },
		sub { my $a = $arg->('int'); ("array_agg($a ORDER BY $a DESC)$f", 'ia', 0) },
		sub { my $a = $arg->('int'); ("jsonb_agg($a ORDER BY $a)$f", 'jsonb', 0) },
		sub { my ($a, $b) = ($arg->('int', 0), $arg->('int', 0));
			("json_object_agg(coalesce($a, 0), $b ORDER BY $a, $b)$f", 'json', 0) },
		sub { ('percentile_disc(0.5) WITHIN GROUP (ORDER BY ' . $arg->('int') . ")$f", 'int', 0) },
		sub { ('percentile_cont(0.25) WITHIN GROUP (ORDER BY ' . $arg->('f8') . ")$f", 'f8', 1) },
		sub { ('mode() WITHIN GROUP (ORDER BY ' . $arg->('int') . ")$f", 'int', 0) },
		sub { ('rank(2) WITHIN GROUP (ORDER BY ' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { ('oracle.usum(' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { (pick('bit_and', 'bit_or') . '(' . $arg->('int') . ")$f", 'int', 0) },
		sub { (pick('var_samp', 'stddev_pop', 'var_pop') . '(' . $arg->('f8') . ")$f", 'f8r', 1) },
		sub { ('corr(' . $arg->('f8') . ', ' . $arg->('f8') . ")$f", 'f8r', 1) },
		sub { ('regr_count(' . $arg->('f8') . ', ' . $arg->('f8') . ")$f", 'bigint', 0) },
	);
	my @distinct = (
		sub { my @c = grep { is_hashable($_->{type}) } @$scope;
			my $c = @c ? pick(@c) : return ("count(*)$f", 'bigint', 0);
			("count(DISTINCT $c->{ref})$f", 'bigint', 0) },
		sub { ('sum(DISTINCT ' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { ('avg(DISTINCT ' . $arg->('n2') . ")$f", 'num', 0) },
		sub { my $a = $arg->('text', 0); ("string_agg(DISTINCT $a, '+' ORDER BY $a)$f", 'text', 0) },
	);

	push @calls, @rescan if on('rescan');
	push @calls, @distinct if on('distinct');
	my @result;
	for (1 .. 8)
	{
		$vain = 0;
		@result = pick(@calls)->();
		# an argument without a column says little
		last unless $vain;
	}
	return @result;
}

sub min_type { my ($t) = @_; return $t eq 'dom' ? 'int' : $t eq 'vc' ? 'text' : $t eq 'n2' ? 'num' : $t; }

# An expression over one aggregate.
sub over_agg
{
	my ($scope) = @_;
	my ($e, $t, $loose) = agg_call($scope);

	return ($e, $t, $loose) if $loose || chance(0.7) || !on('expr');
	return pick(
		["coalesce($e, 0)", 'bigint'], ["($e * 2)", 'bigint'],
		["CASE WHEN count(*) > 2 THEN $e END", 'bigint'],
		["($e / 2)", 'bigint'], ["(($e > 3) OR count(*) < 2)", 'bool'])->@*, 0
	  if $t eq 'bigint';
	return pick(["round($e, 2)", 'num'], ["($e + count(*))", 'num'], ["($e)::text", 'text'],
		["coalesce($e, -1)", 'num'], ["($e)::float8", 'f8'])->@*, 0
	  if $t eq 'num';
	return pick(["upper($e)", 'text'], ["length($e)", 'int'], ["coalesce($e, '')", 'text'])->@*, 0
	  if $t eq 'text';
	return ("($e IS NULL)", 'bool', 0) if chance(0.3);
	return ($e, $t, $loose);
}

sub aggregate
{
	my ($rels, $depth, $scalar) = @_;
	my $node = new_select();
	my $scope = from_list($node, $rels, $depth);
	my (@keys, @shown);

	unless ($scalar)
	{
		for (1 .. pick(1, 1, 2, 2, 3))
		{
			my @c = grep { is_hashable($_->{type}) } @$scope;
			if (@c && (chance(0.7) || !on('expr')))
			{
				my $c = pick(@c);
				next if grep { $_->{e} eq $c->{ref} } @keys;
				push @keys, { e => $c->{ref}, type => $c->{type}, name => $c->{name},
					loose => $c->{loose} || is_ambiguous($c->{type}) };
			}
			else
			{
				my $t = pick('int', 'int', 'text', 'bool', 'date', 'n2', 'bigint');
				my ($e, $loose) = gen_expr($scope, $t, 1);
				# a bare number would be an ordinal, a literal no key
				next unless $e =~ /r\d+\./;
				next if grep { $_->{e} eq $e } @keys;
				push @keys, { e => $e, type => $t, loose => $loose || is_ambiguous($t), name => '' };
			}
		}
	}
	my $hide = chance(0.2);
	foreach my $key (@keys)
	{
		next if $hide && chance(0.5);
		add_output($node, $key->{e}, $key->{type}, $key->{loose},
			$key->{name} eq 'k' && !grep({ $_->{as} eq 'k' } @{ $node->{sel} }) ? 'k' : undef);
		push @shown, scalar @{ $node->{sel} };
	}
	my $ordinal = @shown == @keys && chance(0.2);
	$node->{group} = $ordinal ? \@shown : [ map { $_->{e} } @keys ];
	# parts of the select list are then needed where they are
	$node->{pinned} = $ordinal ? scalar @shown : 0;

	add_output($node, over_agg($scope)) for 1 .. 1 + rnd(4);
	if (@keys && chance(0.2) && on('having'))
	{
		my ($e, $t, $loose) = agg_call($scope);
		my $cond = pick('count(*) > 1', 'count(*) < 4', "count(*) % 2 = 1");
		if (!$loose && $t =~ /^(bigint|num|int)$/ && chance(0.6))
		{
			$cond = "$e " . pick('>', '<', '<>') . ' ' . rnd(6);
		}
		elsif (chance(0.2))
		{
			$cond = "$e IS NOT NULL";
		}
		push @{ $node->{having} }, $cond;
		push @{ $node->{having} }, "$keys[0]{e} IS NOT NULL" if chance(0.2);
	}
	$node->{rows} = !@keys ? 1 : $node->{rows} < 12 ? $node->{rows} : 12;
	return $node;
}

# ---------------------------------------------------------------------------
# UNION ALL, CTE, and what is not maintained differentially
# ---------------------------------------------------------------------------

sub union
{
	my ($rels, $depth) = @_;
	my $first = plain($rels, $depth - 1);
	my @types = map { $_->{type} } @{ $first->{cols} };
	my @arms = ($first);

	push @arms, plain($rels, $depth - 1, \@types) for 1 .. pick(1, 1, 2);
	my %uses = map { %{ $_->{uses} } } @arms;
	my $rows = 0;
	my @cols = map { { %$_ } } @{ $first->{cols} };
	foreach my $arm (@arms)
	{
		$rows += $arm->{rows};
		$cols[$_]{loose} ||= $arm->{cols}[$_]{loose} foreach 0 .. $#cols;
	}
	# resolving different typmods or types: as PostgreSQL's rules have it
	foreach my $c (@cols) { $c->{type} = 'int' if $c->{type} eq 'dom'; }
	return { k => 'union', arms => \@arms, cols => \@cols, rows => $rows, uses => \%uses };
}

sub cte
{
	my ($rels, $depth) = @_;
	my $inner = query($rels, $depth - 1);
	my $name = 'c' . ++$serial;
	my $rel = { name => $name, cols => $inner->{cols}, rows => $inner->{rows} };
	my $outer = query([ $rel, $rel, pick(@$rels) ], $depth - 1);
	my $hint = pick('', '', ' MATERIALIZED', ' NOT MATERIALIZED');

	my %uses = (%{ $inner->{uses} }, %{ $outer->{uses} });
	delete $uses{$name};
	return { k => 'with', name => $name, hint => $hint, inner => $inner, outer => $outer,
		cols => $outer->{cols}, rows => $outer->{rows}, uses => \%uses };
}

# Served by FULL under AUTO for now; must be right all the same.
sub exotic
{
	my ($rels) = @_;
	my $r = pick(@$rels);
	my @c = grep { is_hashable($_->{type}) && !is_ambiguous($_->{type}) && !$_->{loose} } @{ $r->{cols} };
	my $c = @c ? pick(@c) : { name => '1', type => 'int' };
	my $o = pick(@$rels);
	my $ref = $c->{name} eq '1' ? '1' : "x.$c->{name}";
	my $sql = pick(
		"SELECT DISTINCT $ref AS o1 FROM $r->{name} x",
		"SELECT $ref AS o1, count(y) AS o2 FROM $r->{name} x LEFT JOIN $o->{name} y ON x.k = y.k GROUP BY 1",
		"SELECT $ref AS o1 FROM $r->{name} x WHERE EXISTS (SELECT FROM $o->{name} y WHERE y.k = x.k)",
		"SELECT $ref AS o1, (SELECT count(*) FROM $o->{name}) AS o2 FROM $r->{name} x",
		"SELECT $ref AS o1 FROM $r->{name} x UNION SELECT $ref FROM $r->{name} x",
		"SELECT $ref AS o1, count(*) OVER (PARTITION BY $ref) AS o2 FROM $r->{name} x",
		"SELECT $ref AS o1, count(*) AS o2 FROM $r->{name} x GROUP BY ROLLUP (1)",
	);
	my @cols = ({ name => 'o1', type => $c->{type}, loose => 0 });
	push @cols, { name => 'o2', type => 'bigint', loose => 0 } if $sql =~ /AS o2/;
	return { k => 'text', sql => $sql, cols => \@cols, rows => $r->{rows}, exotic => 1,
		uses => { $r->{name} => 1, $o->{name} => 1 } };
}

# ---------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------

sub render
{
	my ($q) = @_;

	return $q->{sql} if $q->{k} eq 'text';
	return join(' UNION ALL ', map { render($_) } @{ $q->{arms} }) if $q->{k} eq 'union';
	my $outer = $q->{k} eq "with" ? render($q->{outer}) : "";
	$outer = "SELECT * FROM ($outer) w" if $outer =~ m{^WITH };
	return "WITH $q->{name} AS$q->{hint} (" . render($q->{inner}) . ") $outer"
	  if $q->{k} eq 'with';

	my $sql = 'SELECT ' . join(', ', map { "$_->{e} AS $_->{as}" } @{ $q->{sel} });
	$sql .= ' FROM ';
	foreach my $el (@{ $q->{from} })
	{
		my $i = $el->{item};
		$sql .= $el->{join} // '';
		$sql .= $i->{sub} ? '(' . render($i->{sub}) . ") AS $i->{alias}" : "$i->{table} AS $i->{alias}";
		$sql .= $el->{on} // '';
	}
	$sql .= ' WHERE ' . join(' AND ', @{ $q->{where} }) if @{ $q->{where} };
	$sql .= ' GROUP BY ' . join(', ', @{ $q->{group} }) if @{ $q->{group} };
	$sql .= ' HAVING ' . join(' AND ', @{ $q->{having} }) if @{ $q->{having} };
	return $sql;
}

1;
