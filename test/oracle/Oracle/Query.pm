# Oracle::Query: random defining queries as small trees; see Oracle::Tree for
# their form, Oracle::From, Oracle::Sublink and Oracle::Window for their parts.
#
# A relation is { name, cols => [{ name, type, loose }], rows, key }, rows being
# a rough estimate, key the names of the columns of its primary key.
# Every query generated has one answer whatever the plan, up to what norm() of
# Oracle::Types leaves open for columns marked loose.
package Oracle::Query;

use strict;
use warnings;
use Exporter 'import';
use Oracle::From;
use Oracle::Gen;
use Oracle::Sublink;
use Oracle::Tree;
use Oracle::Types;
use Oracle::Window;

our @EXPORT = qw(gen_query render);

our $rels_now;    # what subqueries in expressions may read

# A random query over the relations (view: one that other queries read), with uses (names of what it reads) and
# tags (its constructs).
sub gen_query
{
	my ($rels, %how) = @_;
	start_query(pick(1, 2, 2, 3, 3, 4, 5, 6, 8));
	local $Oracle::Gen::depth = pick(1, 2, 2, 3, 3, 4);
	local $rels_now = $rels;
	local $Oracle::Types::sublink = sub { return Oracle::Sublink::condition($rels_now, @_); };
	local $Oracle::Types::scalar = sub { return Oracle::Sublink::expression($rels_now, @_); };
	my $q = !$how{view} && on('scalar') && likely(0.012) ? raising($rels) : query($rels);
	my ($uses, $tags) = finish_query();
	delete $uses->{$_} foreach grep { !/o\./ } keys %$uses;
	return { %$q, uses => $uses, tags => $tags };
}

# A scalar subquery that may give more than one row.
sub raising
{
	my ($rels) = @_;
	my @keyed = grep { @{ $_->{key} // [] } == 1 } @$rels;
	my ($r, $s) = (pick(@$rels), pick(@keyed ? @keyed : @$rels));
	my ($x) = grep { $_->{name} eq 'id' } @{ $s->{cols} };
	my @rc = grep { $_->{type} eq 'int' } @{ $r->{cols} };
	my @sc = grep { is_hashable($_->{type}) && !$_->{loose} } @{ $s->{cols} };
	return query($rels) unless $x && @rc && @sc;
	my ($node, $sub, $c) = (new_select(), new_select(), pick(@sc));
	spend($_->{name}) foreach $r, $s;
	push @{ $sub->{from} }, { k => 'table', table => $s->{name}, alias => 'y' };
	push @{ $sub->{where} }, 'y.id % ' . pick(40, 60, 101) . ' = x.' . pick(@rc)->{name};
	add_output($sub, "y.$c->{name}", $c->{type}, 0);
	push @{ $node->{from} }, { k => 'table', table => $r->{name}, alias => 'x' };
	add_output($node, "x.$_->{name}", $_->{type}, 0) foreach @rc;
	add_output($node, subquery($sub), $c->{type}, 0);
	$node->{rows} = $r->{rows};
	tag('scalarraise');
	return { %$node, raises => 1 };
}

# A condition with a subquery, alone or under OR; undef if there may be none.
sub subquery_condition
{
	my ($scope) = @_;
	my $c = Oracle::Sublink::condition($rels_now, $scope, 1);
	return defined $c && chance(0.25) ? '(' . gen_cond($scope, 0) . " OR $c)" : $c;
}

sub condition { my ($scope, $depth) = @_; return gen_cond($scope, $depth); }

sub query
{
	my ($rels) = @_;
	my $deep = $Oracle::Gen::depth > 0 && budget() > 0;
	my @kinds;

	push @kinds, ('plain') x 10 if on('select');
	push @kinds, ('agg') x 8 if on('agg');
	push @kinds, 'scalaragg' if on('agg');
	push @kinds, ('setop') x 3 if $deep && (grep { on($_) } qw(unionall union intersect except));
	push @kinds, 'cte' if $deep && on('cte');
	push @kinds, 'recursive' if $deep && on('recursive');
	push @kinds, 'values' if on('values') && chance(0.3);
	push @kinds, 'nofrom' if on('nofrom') && chance(0.3);
	@kinds = ('plain') unless @kinds;

	my $kind = pick(@kinds);
	return setop($rels, small_types()) if $kind eq 'setop';
	return cte($rels) if $kind eq 'cte';
	return recursive($rels) // plain($rels) if $kind eq 'recursive';
	return values_query(pick(1, 2, 3)) if $kind eq 'values';
	return no_from() if $kind eq 'nofrom';
	return aggregate($rels, $kind eq 'scalaragg') if $kind =~ /agg/;
	return plain($rels);
}

# ---------------------------------------------------------------------------
# SELECT without aggregates
# ---------------------------------------------------------------------------

sub new_select
{
	return { k => 'select', sel => [], from => [], where => [], group => [], having => [], order => [],
		windows => [], cols => [], rows => 1 };
}

sub add_output
{
	my ($node, $e, $type, $loose, $name) = @_;
	$name //= 'o' . (1 + @{ $node->{sel} });
	push @{ $node->{sel} }, { e => $e, as => $name };
	push @{ $node->{cols} }, { name => $name, type => $type, loose => $loose };
	return;
}

sub outs { my ($node) = @_; return [ map { [ $node->{sel}[$_]{e}, $node->{cols}[$_]{type}, $node->{cols}[$_]{loose} ] } 0 .. $#{ $node->{sel} } ]; }

# A column or an expression of its type.
sub add_random_output
{
	my ($node, $scope) = @_;
	my $c = pick(@$scope);

	if ($c->{type} eq 'whole')
	{
		tag('wholerow');
		my $r = $c->{ref};
		my ($e, $t) = @{ pick([ $r, 'whole' ], [ "to_jsonb($r)", 'jsonb' ], [ "($r)::text", 'text' ], [ "($r IS NULL)", 'bool' ],
			[ "(coalesce(($r)::text, 'none'))", 'text' ]) };
		return add_output($node, $e, $t, 0);
	}
	if (chance(0.003) && on('tableoid') && @{ $node->{from} } && $node->{from}[0]{k} eq 'table' && $node->{from}[0]{table} =~ /^o\./)
	{
		tag('tableoid');
		return add_output($node, "$node->{from}[0]{alias}.tableoid::regclass::text", 'text', 0);
	}
	if (chance(0.6))
	{
		return add_output($node, $c->{ref}, $c->{type}, $c->{loose},
			(grep { $_->{as} eq 'k' } @{ $node->{sel} }) || $c->{name} ne 'k' ? undef : 'k');
	}
	return unless on('expr');
	my $t = chance(0.15) ? 'bool' : chance(0.7) ? $c->{type} : random_type();
	my $here = @Oracle::Gen::outer && chance(0.3) ? [ @$scope, @Oracle::Gen::outer ] : $scope;
	my ($e, $loose) = gen_expr($here, $t, 2);
	return add_output($node, $e, $t, $loose);
}

# With types given, the output has exactly these (an arm, or what is compared).
sub plain
{
	my ($rels, $types, %how) = @_;
	my $node = new_select();
	my $scope = from_list($node, $rels, $how{few});

	if ($types)
	{
		my $here = @Oracle::Gen::outer && chance(0.15) ? [ @$scope, @Oracle::Gen::outer ] : $scope;
		foreach my $t (@$types)
		{
			my ($e, $loose) = gen_expr($here, $t, chance(0.6) ? 0 : 1);
			add_output($node, $e, $t, $loose);
		}
	}
	else
	{
		# the key columns often, so that some stream tables are keyed
		if (chance(0.5))
		{
			my %seen;
			foreach my $c (grep { $_->{name} eq 'id' } @$scope)
			{
				add_output($node, $c->{ref}, $c->{type}, $c->{loose}, $seen{id}++ ? undef : 'id');
			}
		}
		add_random_output($node, $scope) for 1 .. 1 + rnd(5);
	}
	my ($first) = grep { $_->{type} ne 'whole' } @$scope;
	add_output($node, $first->{ref}, $first->{type}, $first->{loose}) unless @{ $node->{sel} };
	unless ($types)
	{
		my @core;
		if (on('window') && chance(0.16))
		{
			# the windows use few columns, and every order is over all of these
			@core = map { pick(@$scope) } 1 .. 4;
			my $outs = [ @{ outs($node) }, map { [ $_->{ref}, $_->{type}, $_->{loose} ] } @core ];
			add_output($node, window_expression($node, \@core, $outs)) for 1 .. pick(1, 1, 2, 3);
		}
		if (on('srf') && chance(0.06))
		{
			# more rows of what the windows number: only by what they are ordered by
			set_returning($node, $node->{ordered} ? \@core : $scope) for 1 .. pick(1, 1, 2);
		}
	}
	return $how{bare} ? $node : decorate($node, $scope, $types);
}

# A set-returning call in the select list, alone or within an expression.
sub set_returning
{
	my ($node, $scope) = @_;
	my ($ia) = columns_of_type($scope, 'ia', 1);
	my ($i) = columns_of_type($scope, 'int', 1);
	my ($x) = columns_of_type($scope, 'text', 1);
	my $e = $ia && chance(0.6) ? "unnest($ia->{ref})" : $i && chance(0.5) ? "generate_series(1, least($i->{ref}, 3))"
	  : pick('generate_series(1, 2)', 'unnest(ARRAY[1, 1, NULL])');

	$node->{srf} = 1;
	tag('srf');
	return add_output($node, "string_to_table($x->{ref}, ' ')", 'text', 0) if $x && chance(0.2);
	return add_output($node, pick("($e + 1)", "abs($e)", "($e * 2)"), 'int', 0) if chance(0.3);
	return add_output($node, $e, 'int', 0);
}

# A window call, alone or within an expression.
sub window_expression
{
	my ($node, $scope, $outs) = @_;
	my ($e, $t, $loose) = Oracle::Window::call($node, $scope, $outs);

	return ("($e + 1)", $t, 0) if $t eq 'bigint' && chance(0.15);
	return ("CASE WHEN $e > 1 THEN 'many' ELSE 'few' END", 'text', 0) if $t eq 'bigint' && chance(0.1);
	return ("coalesce($e, 0)", $t, 0) if $t eq 'int' && chance(0.2);
	return ($e, $t, $loose);
}

# DISTINCT, DISTINCT ON, ORDER BY, LIMIT.
sub decorate
{
	my ($node, $scope, $types) = @_;
	my @cols = @{ $node->{cols} };
	my $hashable = !grep { !is_hashable($_->{type}) } @cols;

	if (on('distinct') && $hashable && chance(0.12))
	{
		$node->{distinct} = 1;
		$_->{loose} ||= is_ambiguous($_->{type}) foreach @cols;
		tag('distinct');
	}
	elsif (on('distincton') && !$node->{srf} && chance($types ? 0.03 : 0.06)) { distinct_on($node, $scope); }
	elsif (on('limit') && chance($types ? 0.04 : 0.07)) { limit($node, $scope); }
	elsif (on('orderby') && !$node->{srf} && chance(0.03))
	{
		$node->{order} = [ total_order(outs($node)) ];
		tag('orderby') if @{ $node->{order} };
	}
	return $node;
}

sub distinct_on
{
	my ($node, $scope) = @_;
	my @keys = @{ $node->{group} } ? map { [ $node->{sel}[$_]{e}, $node->{cols}[$_]{type} ] } 0 .. $#{ $node->{sel} }
	  : map { [ $_->{ref}, $_->{type} ] } @$scope;
	@keys = grep { is_hashable($_->[1]) && $_->[0] =~ /^[rvfj]\d+\.\w+$/ } @keys;
	@keys = grep { shown($node, $_->[0]) } @keys if $node->{ordered};
	return unless @keys;
	my @on = (pick(@keys), chance(0.3) ? pick(@keys) : ());
	@on = ($on[0]) if @on == 2 && $on[0][0] eq $on[1][0];
	$node->{distinct} = [ map { $_->[0] } @on ];
	$node->{order} = [ (map { $_->[0] . pick('', '', ' DESC', ' NULLS FIRST') } @on), total_order(outs($node)) ];
	tag('distincton');
	return;
}

# Is the expression a column of the node?  Windows order rows by these only, and
# what they tell apart must not be looked at afterwards.
sub shown
{
	my ($node, $e) = @_;
	return scalar grep { $_->{e} eq $e } @{ $node->{sel} };
}

sub limit
{
	my ($node, $scope, $n) = @_;
	my @order = total_order(outs($node));
	my @sortable = grep { is_hashable($_->{type}) && (!$node->{ordered} || shown($node, $_->{ref})) } @$scope;

	return unless @order;
	if (!@{ $node->{group} } && !$node->{srf} && !$n && on('ties') && chance(0.25) && @sortable && !$node->{pinned})
	{
		$node->{order} = [ map { pick(@sortable)->{ref} . pick('', ' DESC', ' NULLS FIRST') } 1 .. pick(1, 1, 2) ];
		$node->{limit} = 'FETCH FIRST ' . (1 + rnd(5)) . ' ROWS WITH TIES';
		tag('ties');
	}
	else
	{
		# a leading order of its own
		unshift @order, pick(@sortable)->{ref} . pick('', ' DESC') if @sortable && chance(0.4) && !@{ $node->{group} } && !$node->{pinned};
		$node->{order} = \@order;
		$node->{limit} = 'LIMIT ' . ($n // (1 + rnd(8)));
		my $alone = !$n && chance(0.2);
		$node->{limit} = '' if $alone;
		$node->{limit} .= ' OFFSET ' . (1 + rnd(3)) if chance($alone ? 0.7 : 0.25);
		tag('offset') if $alone && $node->{limit};
		tag('limit') if $node->{limit};
	}
	$node->{rows} = 8 if $node->{rows} > 8 && $node->{limit} =~ /LIMIT|FETCH/;
	return;
}

sub values_query
{
	my ($n) = @_;
	my @types = ('int', map { pick('int', 'text', 'date', 'n2', 'bool', 'enum', 'ia') } 2 .. $n);
	my $rows = 1 + rnd(4);
	my @sets = map { [ map { literal($_, 0.1) } @types ] } 1 .. $rows;

	tag('values');
	return { k => 'values', rowsets => \@sets, rows => $rows,
		cols => [ map { { name => "column$_", type => $types[ $_ - 1 ], loose => 0 } } 1 .. $n ] };
}

sub no_from
{
	my ($types) = @_;
	my $node = new_select();
	my @scope = @Oracle::Gen::outer;

	foreach my $t ($types ? @$types : map { pick('int', 'text', 'date') } 1 .. pick(1, 2))
	{
		my ($e) = @scope && chance(0.7) ? gen_expr(\@scope, $t, 1) : literal($t);
		add_output($node, $e, $t, 0);
	}
	push @{ $node->{where} }, condition(\@scope, 1) if chance(0.3) && on('where');
	tag('nofrom');
	return $node;
}

# ---------------------------------------------------------------------------
# Subqueries in expressions, and LATERAL
# ---------------------------------------------------------------------------

sub typed_query
{
	my ($rels, $types) = @_;
	my $deep = $Oracle::Gen::depth > 0 && budget() > 0;

	return setop($rels, $types) if $deep && chance(0.1) && !(grep { !is_hashable($_) } @$types)
	  && (grep { on($_) } qw(unionall union intersect except));
	return no_from($types) if chance(0.03) && on('nofrom');
	return typed_values($types) if chance(0.04) && on('values');
	if ($deep && chance(0.12) && on('agg'))
	{
		# an aggregate, with the types asked for on top
		local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
		my $inner = chance(0.6) ? aggregate($rels, chance(0.3)) : query($rels);
		my $node = new_select();
		my $alias = alias();
		tag('subquery');
		push @{ $node->{from} }, { k => 'sub', q => $inner, alias => $alias };
		my @scope = grep { $_->{type} ne 'whole' } scope_of($alias, @{ $inner->{cols} });
		push @{ $node->{where} }, correlate(\@scope, \@Oracle::Gen::outer) if @Oracle::Gen::outer && chance(0.7);
		foreach my $t (@$types)
		{
			my ($e, $loose) = gen_expr(\@scope, $t, 1);
			add_output($node, $e, $t, $loose);
		}
		$node->{rows} = $inner->{rows};
		return $node;
	}
	return plain($rels, $types, few => 1);
}

# VALUES of the types, made of constants and what surrounds.
sub typed_values
{
	my ($types) = @_;
	my @rows = map { [ map { my $t = $_; my ($c) = @Oracle::Gen::outer && chance(0.4) ? gen_expr(\@Oracle::Gen::outer, $t, 1) : literal($t, 0.1); $c }
			@$types ] } 1 .. pick(1, 2, 2, 3);

	tag('values');
	return { k => 'values', rowsets => \@rows, rows => scalar @rows,
		cols => [ map { { name => "column$_", type => $types->[ $_ - 1 ], loose => 1 } } 1 .. @$types ] };
}

sub exists_query
{
	my ($rels) = @_;
	return aggregate($rels, chance(0.15)) if on('agg') && chance(0.15);
	return typed_query($rels, ['int']);
}

# Rows to compare with a row; at most one unless any.
sub row_query
{
	my ($rels, $types, $any) = @_;
	my $q = plain($rels, $types, few => 1, bare => 1);
	my $order = [ total_order(outs($q)) ];

	return $q if $any;
	$q->{order} = $order;
	# nothing to order by: one row whatever is read
	@{$q}{qw(from where order)} = ([], [], []) if !@$order;
	$q->{limit} = 'LIMIT 1';
	return $q;
}

# One column in an order.
sub array_query
{
	my ($rels) = @_;
	my $q = plain($rels, ['int'], few => 1, bare => 1);

	$q->{order} = [ total_order(outs($q)) ];
	limit($q, [], 2) if chance(0.2) && @{ $q->{order} };
	return $q;
}

# At most one row, of the type.
sub scalar_query
{
	my ($rels, $type) = @_;
	my $node = new_select();
	my $style = pick('agg', 'agg', 'agg', 'agg', 'limit', 'key');

	if ($style eq 'key')
	{
		my @keyed = grep { @{ $_->{key} // [] } == 1 && columns_of_type($_->{cols}, $type, 1) } @$rels;
		my @ints = grep { $_->{type} eq 'int' } @Oracle::Gen::outer;
		if (@keyed && (@ints || chance(0.3)))
		{
			my $r = pick(@keyed);
			my $a = alias();
			my $c = pick(columns_of_type($r->{cols}, $type, 1));
			spend($r->{name});
			push @{ $node->{from} }, { k => 'table', table => $r->{name}, alias => $a };
			push @{ $node->{where} }, "$a.$r->{key}[0] = " . (@ints ? pick(@ints)->{ref} : rnd(20));
			add_output($node, "$a.$c->{name}", $type, 0);
			tag('scalarkey');
			return $node;
		}
	}
	my $scope = from_list($node, $rels, 1);
	my $arg = sub { my ($t) = @_; for (1 .. 4) { my ($e, $l) = gen_expr($scope, $t, pick(0, 0, 1)); return $e unless $l; } return literal($t); };
	# few rows, now and then none: the value comes and goes
	my ($few) = columns_of_type($scope, 'int', 1);
	push @{ $node->{where} }, "$few->{ref} = " . (rnd(8) - 1) if $few && chance(0.25);
	if ($style eq 'limit' && on('limit'))
	{
		add_output($node, $arg->($type), $type, 0);
		limit($node, $scope, 1);
		if ($node->{limit}) { tag('scalarlimit'); return $node; }
		$node->{sel} = [];
		$node->{cols} = [];
	}
	my $e = $type eq 'int' ? pick('max(' . $arg->('int') . ')', 'min(' . $arg->('int') . ')', 'count(*)::int')
	  : $type eq 'bigint' ? pick('count(*)', 'count(*)', 'sum(' . $arg->('int') . ')', 'coalesce(sum(' . $arg->('int') . '), 7)')
	  : $type eq 'n2' ? pick('max(', 'min(', 'sum(') . $arg->('n2') . ')::numeric(12,2)'
	  : $type eq 'num' ? pick('avg(', 'sum(') . $arg->('n2') . ')'
	  : $type eq 'text' ? pick('max(' . $arg->('text') . ')', "coalesce(min(" . $arg->('text') . "), 'none')")
	  : pick('max(', 'min(') . $arg->($type) . ')';
	add_output($node, $e, $type, 0);
	push @{ $node->{having} }, pick('count(*) > 1', 'count(*) < 5') if chance(0.1) && on('having');
	tag('agg');
	return $node;
}

sub lateral_query
{
	my ($rels) = @_;
	my $style = pick('top', 'top', 'top', 'agg', 'agg', 'agg', 'group', 'plain', 'nofrom', 'values', 'setop', 'any');

	return typed_values([ pick('int', 'bigint', 'text'), pick('text', 'date', 'int') ]) if $style eq 'values' && on('values');
	return setop($rels, small_types()) if $style eq 'setop' && budget() > 0 && (grep { on($_) } qw(unionall union intersect except));
	return plain($rels, undef, few => 1) if $style eq 'any';

	return no_from() if $style eq 'nofrom' && on('nofrom');
	return aggregate($rels, $style eq 'agg', few => 1) if $style =~ /agg|group/ && on('agg');
	my $node = new_select();
	my $scope = from_list($node, $rels, 1);
	add_random_output($node, $scope) for 1 .. pick(1, 2, 3);
	add_output($node, $scope->[0]{ref}, $scope->[0]{type}, $scope->[0]{loose}) unless @{ $node->{sel} };
	if ($style eq 'top' && on('limit'))
	{
		limit($node, $scope);
		tag('lateraltop') if $node->{limit};
	}
	return $node;
}

# ---------------------------------------------------------------------------
# Aggregates
# ---------------------------------------------------------------------------

sub filter_clause
{
	my ($scope) = @_;
	return chance(0.15) && on('filter') ? ' FILTER (WHERE ' . condition($scope, 1) . ')' : '';
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
		sub { my $c = pick(@$scope); tag('wholerow') if $c->{type} eq 'whole'; ("count($c->{ref})$f", 'bigint', 0) },
		sub { ('sum(' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { ('sum(' . $arg->('bigint') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('n2') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('num') . ")$f", 'num', 0) },
		sub { ('sum(' . $arg->('f8') . ")$f", 'f8', 0) },
		sub { ('sum(' . $arg->('iv') . ")$f", 'iv', 1) },
		sub { ('avg(' . $arg->(pick('int', 'bigint', 'n2')) . ")$f", 'num', 0) },
		sub { ('avg(' . $arg->('num') . ")$f", 'num', 0) },
		# sums of these depend on the order in which they are added
		sub { ('avg(' . $arg->('f8') . ")$f", 'f8r', 0) },
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
		sub { (pick('rank', 'dense_rank') . '(2) WITHIN GROUP (ORDER BY ' . $arg->('int') . ")$f", 'bigint', 0) },
		sub { (pick('percent_rank', 'cume_dist') . "(1, 'b') WITHIN GROUP (ORDER BY " . $arg->('int') . ' DESC, ' . $arg->('text', 0) . ")$f", 'f8r', 1) },
		sub { ('percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY ' . $arg->('int') . " DESC)$f", 'ia', 0) },
		sub { ('string_agg(' . $arg->('text', 0) . ", '' ORDER BY " . $arg->('text', 0) . ' COLLATE "C" DESC)' . '::text IS NULL', 'bool', 0) },
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
		sub { ('array_agg(DISTINCT ' . $arg->('int') . ")$f", 'ia', 0) },
		sub { (pick('min', 'max') . '(DISTINCT ' . $arg->('int') . ")$f", 'int', 0) },
		sub { my ($x, $y) = ($arg->('int', 0), $arg->('int', 0)); ("count(DISTINCT ($x, $y))$f", 'bigint', 0) },
		sub { my $a = $arg->('text', 0); ("string_agg(DISTINCT $a, '+' ORDER BY $a)$f", 'text', 0) },
	);

	push @calls, @rescan if on('rescan');
	push @calls, @distinct, @distinct if on('aggdistinct');
	my @result;
	for (1 .. 8)
	{
		$vain = 0;
		@result = pick(@calls)->();
		# an argument without a column says little
		last unless $vain;
	}
	tag('aggdistinct') if $result[0] =~ /\(DISTINCT /;
	tag($result[0] =~ /WITHIN GROUP/ ? 'orderedset' : 'rescan') if $result[0] =~ /_agg\(|WITHIN GROUP|usum|bit_|corr/;
	tag('filter') if $result[0] =~ /FILTER/;
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
		["coalesce($e, -1)", 'num'], ["($e)::float8", 'f8r'])->@*, 0
	  if $t eq 'num';
	return pick(["upper($e)", 'text'], ["length($e)", 'int'], ["coalesce($e, '')", 'text'])->@*, 0
	  if $t eq 'text';
	return ("($e IS NULL)", 'bool', 0) if chance(0.3);
	return ($e, $t, $loose);
}

# The keys of GROUP BY: { e, type, loose, name }.
sub group_keys
{
	my ($scope) = @_;
	my @keys;
	my @usable = grep { is_hashable($_->{type}) } @$scope;

	for (1 .. pick(1, 1, 2, 2, 3))
	{
		if (@usable && (chance(0.75) || !on('expr')))
		{
			my @k = grep { $_->{name} eq 'k' } @usable;
			my $c = @k && chance(0.25) ? pick(@k) : pick(@usable);
			next if grep { $_->{e} eq $c->{ref} } @keys;
			push @keys, { e => $c->{ref}, type => $c->{type}, name => $c->{name},
				loose => $c->{loose} || is_ambiguous($c->{type}) };
		}
		else
		{
			my $t = pick('int', 'int', 'text', 'bool', 'date', 'n2', 'bigint');
			my ($e, $loose) = gen_expr($scope, $t, 1);
			# a bare number would be an ordinal, a literal no key
			next unless $e =~ /[rvfj]\d+\./;
			next if grep { $_->{e} eq $e } @keys;
			push @keys, { e => $e, type => $t, loose => $loose || is_ambiguous($t), name => '' };
		}
	}
	return @keys;
}

# GROUP BY clauses with several grouping sets over the keys.
sub grouping_sets
{
	my (@e) = @_;
	my $some = sub { my @s = grep { chance(0.6) } @e; return '(' . join(', ', @s) . ')'; };
	my $all = join(', ', @e);
	my @ways = ("ROLLUP ($all)", "CUBE ($all)", 'GROUPING SETS (' . join(', ', map { $some->() } 1 .. 2 + rnd(2)) . ", ($all))",
		"GROUPING SETS (($all), ())", 'GROUPING SETS (ROLLUP (' . join(', ', reverse @e) . '), (' . $e[0] . '))');

	tag('groupingsets');
	return ($e[0], 'ROLLUP (' . join(', ', @e[ 1 .. $#e ]) . ')') if @e > 1 && chance(0.2);
	return ("ROLLUP ($e[0])", 'CUBE (' . join(', ', @e[ 1 .. $#e ]) . ')') if @e > 1 && chance(0.1);
	my $way = pick(@ways);
	return chance(0.12) ? "DISTINCT ROLLUP ($e[0]), $way" : $way;
}

# Without keys when scalar.
sub aggregate
{
	my ($rels, $scalar, %how) = @_;
	my $node = new_select();
	my $scope = from_list($node, $rels, $how{few});
	my @keys = $scalar ? () : group_keys($scope);
	my @e = map { $_->{e} } @keys;
	my $sets = @keys && on('groupingsets') && chance(0.16) && !grep { /\{\{/ } @e;
	# before 18 the planner confuses keys that are equal below with what
	# grouping sets make of them
	my $old = $sets && $Oracle::Gen::version < 180000;
	if ($old)
	{
		my ($r) = $e[0] =~ /([rvfj]\d+)\./;
		@keys = grep { $_->{e} =~ /\b$r\./ } @keys;
		@e = map { $_->{e} } @keys;
	}
	my $hide = chance(0.2);
	my @shown;

	tag('agg');
	foreach my $key (@keys)
	{
		next if $hide && chance(0.5);
		add_output($node, $key->{e}, $key->{type}, $key->{loose},
			$key->{name} eq 'k' && !grep({ $_->{as} eq 'k' } @{ $node->{sel} }) ? 'k' : undef);
		push @shown, scalar @{ $node->{sel} };
	}
	my $ordinal = @shown == @keys && !$sets && chance(0.2);
	$node->{group} = $sets ? [ grouping_sets(@e) ] : $ordinal ? \@shown : [@e];
	$node->{pinned} = $ordinal ? scalar @shown : 0;
	add_output($node, 'GROUPING(' . join(', ', @e) . ')', 'int', 0) if $sets && chance(0.6);

	# what may be used besides aggregates
	my @keyscope = map { { ref => $_->{e}, name => $_->{name}, type => $_->{type}, loose => $_->{loose} } }
	  grep { $_->{e} =~ /^\w+\.\w+$/ } @keys;
	add_output($node, over_agg($scope)) for 1 .. 1 + rnd(4);
	if (@keyscope && !$sets && chance(0.12) && on('expr'))
	{
		my $t = pick('int', 'text', 'bigint', 'n2', pick(@keyscope)->{type});
		my ($e, $loose) = gen_expr(\@keyscope, $t, 2);
		add_output($node, $e, $t, $loose);
	}
	having($node, $scope, \@keyscope, @keys) if (@keys || chance(0.3)) && chance(0.22) && on('having');
	push @{ $node->{having} }, 'GROUPING(' . pick(@e) . ') = ' . rnd(2) if $sets && chance(0.1) && on('having');
	set_returning($node, \@keyscope) if @keyscope && !$sets && on('srf') && chance(0.03);
	if (on('window') && chance(0.1) && !$old && !$node->{srf})
	{
		my @ws = map { { ref => $node->{sel}[$_]{e}, %{ $node->{cols}[$_] } } } 0 .. $#{ $node->{sel} };
		@ws = grep { $_->{ref} !~ /\{\{|GROUPING/ } @ws;
		if (@ws)
		{
			my $outs = outs($node);
			add_output($node, window_expression($node, \@ws, $outs)) for 1 .. pick(1, 1, 2);
			tag('windowagg');
		}
	}
	my $rows = $node->{rows};
	$node->{rows} = !@keys ? 1 : $rows < 12 ? $rows : $sets ? 24 : 12;
	if (!$how{few} && @keys && chance(0.12) && !$old && !$node->{srf})
	{
		my @cols = @{ $node->{cols} };
		if (on('distinct') && chance(0.4) && !grep { !is_hashable($_->{type}) } @cols)
		{
			$node->{distinct} = 1;
			$_->{loose} ||= is_ambiguous($_->{type}) foreach @cols;
			tag('distinct');
		}
		elsif (on('limit')) { limit($node, []); }
	}
	return $node;
}

sub having
{
	my ($node, $scope, $keyscope, @keys) = @_;
	my ($e, $t, $loose) = agg_call($scope);
	my $cond = pick('count(*) > 1', 'count(*) < 6', 'count(*) % 2 = 1');

	tag('having');
	if (!$loose && $t =~ /^(bigint|num|int)$/ && chance(0.6))
	{
		$cond = "$e " . pick('>', '<', '<>') . ' ' . rnd(4);
		my $s = chance(0.3) ? Oracle::Sublink::expression($rels_now, $keyscope, 'bigint') : undef;
		if (defined $s)
		{
			$cond = "($e " . pick('>', '<>', '<=') . " $s)";
			tag('havingsub');
		}
	}
	elsif (chance(0.2))
	{
		$cond = "$e IS NOT NULL";
	}
	push @{ $node->{having} }, $cond;
	push @{ $node->{having} }, "$keys[0]{e} IS NOT NULL" if @keys && chance(0.15);
	push @{ $node->{having} }, condition($keyscope, 1) if @$keyscope && chance(0.25);
	return;
}

# ---------------------------------------------------------------------------
# Set operations, CTEs, recursion
# ---------------------------------------------------------------------------

# Types with few values, so that arms have rows in common.
sub small_types
{
	return [ map { pick('int', 'int', 'int', 'int', 'bigint', 'bool', 'enum', 'text', 'text', 'date', 'n2', 'num', 'ci', 'vc',
			'ia', 'comp', 'jsonb', 'f8', 'cit') } 1 .. pick(1, 1, 2, 2, 3) ];
}

sub setop
{
	my ($rels, $types) = @_;
	my @ops;
	push @ops, 'UNION ALL', 'UNION ALL' if on('unionall');
	push @ops, 'UNION', 'UNION' if on('union');
	push @ops, 'INTERSECT', 'INTERSECT ALL' if on('intersect');
	push @ops, 'EXCEPT', 'EXCEPT ALL' if on('except');
	my $op = pick(@ops);
	local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
	# arms with rows in common
	my @alike = grep { my $r = $_; !grep { my $t = $_; !grep { $_->{type} eq $t } @{ $r->{cols} } } @$types } @$rels;
	my $one = $op !~ /UNION/ && @alike && chance(0.7) ? [ pick(@alike) ] : undef;
	my @arms = map { $Oracle::Gen::depth > 0 && budget() > 1 && chance(0.25) ? setop($rels, $types)
		  : $one ? plain($one, $types, few => 'one') : chance(0.15) ? typed_query($rels, $types) : plain($rels, $types, few => 1) }
	  1 .. ($op =~ /UNION/ ? pick(2, 2, 2, 3) : 2);
	my $rows = 0;
	my @cols = map { { name => $_->{name}, type => $_->{type}, loose => $_->{loose} } } @{ $arms[0]{cols} };

	tag(lc($op =~ s/ //r));
	foreach my $arm (@arms)
	{
		$rows += $arm->{rows};
		$cols[$_]{loose} ||= $arm->{cols}[$_]{loose} foreach 0 .. $#cols;
	}
	foreach my $c (@cols)
	{
		# resolved as PostgreSQL's rules have it
		$c->{type} = 'int' if $c->{type} eq 'dom';
		$c->{loose} ||= is_ambiguous($c->{type}) if $op ne 'UNION ALL';
	}
	my $node = { k => 'setop', op => $op, arms => \@arms, cols => \@cols, rows => $rows };
	if (chance(0.05) && on('limit') && !grep { $_->{loose} || is_ambiguous($_->{type}) || !is_hashable($_->{type}) } @cols)
	{
		$node->{tail} = ' ORDER BY ' . join(', ', map { $_ . pick('', '', ' DESC', ' NULLS FIRST') } 1 .. @cols) . ' LIMIT ' . (1 + rnd(8))
		  . (chance(0.2) ? ' OFFSET 1' : '');
		$node->{rows} = 8 if $rows > 8;
		tag('limit');
	}
	return $node;
}

sub cte
{
	my ($rels) = @_;
	local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
	my $inner = query($rels);
	my $name = alias('c');
	my $rel = { name => $name, cols => [ grep { $_->{type} ne 'whole' } @{ $inner->{cols} } ], rows => $inner->{rows} };

	return $inner unless @{ $rel->{cols} };
	my $all = [ $rel, $rel, pick(@$rels) ];
	local $rels_now = $all;
	my $outer = query($all);
	tag('cte');
	return { k => 'with', name => $name, hint => pick('', '', ' MATERIALIZED', ' NOT MATERIALIZED'), inner => $inner,
		outer => $outer, cols => $outer->{cols}, rows => $outer->{rows} };
}

# What the recursive term joins with, in the place of the table: a subquery that is
# not linear, with columns $from and $to.
sub recursive_part
{
	my ($rel, $from, $to) = @_;
	my $x = alias();
	my $part = pick("SELECT $x.$from AS $from, max($x.$to) AS $to FROM $rel->{name} $x GROUP BY $x.$from",
		"SELECT $x.$from, min($x.$to) AS $to FROM $rel->{name} $x GROUP BY $x.$from HAVING count(*) < 4",
		"SELECT DISTINCT $x.$from, $x.$to FROM $rel->{name} $x",
		"SELECT $x.$from, $x.$to FROM $rel->{name} $x ORDER BY $x.$from, $x.$to LIMIT " . (2 + rnd(8)),
		"SELECT DISTINCT ON ($x.$from) $x.$from, $x.$to FROM $rel->{name} $x ORDER BY $x.$from, $x.$to DESC",
		"SELECT $x.$from, row_number() OVER (PARTITION BY $x.$from ORDER BY $x.$to)::int - 1 AS $to FROM $rel->{name} $x",
		"SELECT $x.$from, $x.$to FROM $rel->{name} $x UNION SELECT $x.$to, $x.$from FROM $rel->{name} $x",
		"SELECT $x.$from, $x.$to FROM $rel->{name} $x EXCEPT SELECT $x.$to, $x.$from FROM $rel->{name} $x",
		"SELECT $x.$from, y.$to FROM $rel->{name} $x LEFT JOIN $rel->{name} y ON y.$from = $x.$to AND y.$to > $x.$from");

	tag('recursivepart');
	return { k => 'text', sql => $part };
}

# A condition of the recursive term that looks at a table: of w.v, and what joins it.
sub recursive_condition
{
	my ($rel, $col, $other, $mine) = @_;
	my $x = alias();
	my $arg = pick('w.v', $mine, $mine);

	tag('recursivesublink');
	return pick('EXISTS', 'NOT EXISTS', 'NOT EXISTS') . " (SELECT 1 FROM $rel->{name} $x WHERE $x.$col = $arg" .
	  pick('', " AND $x.$other > 1", " AND $x.$other <> w.v") . ')' if chance(0.6);
	return "$arg " . pick('IN', 'NOT IN') . " (SELECT $x.$col FROM $rel->{name} $x" .
	  pick('', " WHERE $x.$other > 2", " WHERE $x.$col IS NOT NULL") . ')' if chance(0.6);
	return "$arg " . pick('<', '>=') . " (SELECT " . pick('max', 'min', 'count') . "($x.$col) FROM $rel->{name} $x" .
	  pick('', " WHERE $x.$other = w.v") . ')';
}

# WITH RECURSIVE whose recursion ends: UNION over few values, or a bounded
# depth, or values that grow. undef when no relation lends itself.
sub recursive
{
	my ($rels) = @_;
	local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
	my @edges = grep { (grep { $_->{type} =~ /^(int|dom)$/ && !$_->{loose} } @{ $_->{cols} }) >= 2 } @$rels;
	return undef unless @edges;
	my ($r1, $r2) = (pick(@edges), pick(@edges));
	my $ints = sub { my ($r) = @_; my @c = map { $_->{name} } grep { $_->{type} =~ /^(int|dom)$/ && !$_->{loose} } @{ $r->{cols} }; return @c; };
	my ($name, $b, $e) = (alias('g'), alias(), alias());
	my @c2 = $ints->($r2);
	my ($from, $to) = ('k', pick(grep { $_ ne 'k' } @c2));
	($from, $to) = ($to, $from) if chance(0.4);
	($from, $to) = @c2[ 0, 1 ] unless grep { $_ eq 'k' } @c2;
	my ($base, $step) = (new_select(), new_select());
	my $start = pick($ints->($r1));
	my $style = pick('set', 'set', 'depth', 'grow', 'count', 'path');
	my @names = ('v');
	my $op = $style eq 'set' ? 'UNION' : pick('UNION ALL', 'UNION ALL', 'UNION');

	tag('recursive', $op eq 'UNION' ? 'recursiveunion' : 'recursiveall');
	my $sel = sub { my ($node, @e) = @_; push @{ $node->{sel} }, { e => $e[$_], as => "c$_" } foreach 0 .. $#e; return; };
	if ($style eq 'count')
	{
		my $n = 2 + rnd(4);
		@{$base}{qw(k sql)} = ('text', 'VALUES (' . rnd(2) . ')');
		$sel->($step, 'w.v + 1');
		push @{ $step->{from} }, { k => 'table', table => $name, alias => 'w' };
		push @{ $step->{where} }, "w.v < $n";
		$op = 'UNION ALL';
	}
	else
	{
		spend($r1->{name});
		spend($r2->{name});
		my @scope1 = grep { $_->{type} ne 'whole' } scope_of($b, @{ $r1->{cols} });
		push @{ $base->{from} }, { k => 'table', table => $r1->{name}, alias => $b };
		push @{ $base->{where} }, "$b.$start " . pick('< 3', '>= 0', 'IS NOT NULL', 'IN (0, 1)');
		push @{ $base->{where} }, condition(\@scope1, 0) if chance(0.3);
		my @more = $style eq 'depth' ? '0' : $style eq 'path' ? ("ARRAY[$b.$start]::int[]") : ();
		push @names, $style eq 'path' ? 'p' : 'd' if @more;
		$sel->($base, "$b.$start\::int", @more);
		my @scope2 = scope_of($e, @{ $r2->{cols} });
		$sel->($step, "$e.$to\::int", $style eq 'depth' ? 'w.d + 1' : $style eq 'path' ? "w.p || $e.$to\::int" : ());
		my ($t, $w) = ({ k => 'table', table => $r2->{name}, alias => $e }, { k => 'table', table => $name, alias => 'w' });
		my $part = chance(0.3);
		if ($part)
		{
			spend($r2->{name});
			$t = { k => 'sub', q => recursive_part($r2, $from, $to), alias => $e };
		}
		if ($style =~ /set|depth/ && chance(0.2))
		{
			tag('recursiveouter');
			push @{ $step->{from} }, chance(0.7) ? { k => 'join', type => 'LEFT JOIN', l => $w, r => $t, on => [ "$e.$from = w.v" ] } :
			  { k => 'join', type => 'RIGHT JOIN', l => $t, r => $w, on => [ "$e.$from = w.v", "$e.$to > 0" ] };
		}
		elsif (chance(0.5))
		{
			push @{ $step->{from} }, { k => 'join', type => 'JOIN', l => $t, r => $w, on => [ "$e.$from = w.v" ] };
		}
		else
		{
			push @{ $step->{from} }, $w, $t;
			push @{ $step->{where} }, "$e.$from = w.v";
		}
		push @{ $step->{where} }, "$e.$to > w.v" if $style eq 'grow';
		push @{ $step->{where} }, 'w.v < 6' if $style eq 'grow';
		push @{ $step->{where} }, "$e.$to <> ALL (w.p)", 'cardinality(w.p) < 3' if $style eq 'path';
		push @{ $step->{where} }, 'w.d < ' . pick(1, 2) if $style eq 'depth';
		push @{ $step->{where} }, condition(\@scope2, 0) if !$part && chance(0.25);
		if (chance(0.3))
		{
			my ($c1, $c2) = $ints->($r1);
			($c1, $c2) = ($c2, $c1) if chance(0.5);
			spend($r1->{name});
			push @{ $step->{where} }, recursive_condition($r1, $c1, $c2, "$e.$to");
		}
		if (chance(0.2) && $style =~ /set|depth/)
		{
			tag('recursivebase');
			$base->{sel}[0]{e} = pick('max', 'min', 'count') . "($b.$start)::int";
			push @{ $base->{group} }, "$b." . pick($ints->($r1)) if chance(0.6);
		}
		$op = 'UNION' if $style eq 'grow';
	}
	my %type = (v => 'int', d => 'int', p => 'ia');
	my @cols = map { { name => $_, type => $type{$_}, loose => 0 } } @names;
	$cols[0]{name} = $names[0] = 'v';
	my $tail = '';
	if ($style eq 'depth' && chance(0.25))
	{
		$tail = pick('', ' SEARCH ' . pick('BREADTH', 'DEPTH') . ' FIRST BY v SET ord');
		$tail .= ' CYCLE v SET cyc' . pick('', " TO 'y' DEFAULT 'n'") . ' USING pth' if !$tail || chance(0.3);
	}
	elsif ($style eq 'set' && chance(0.15))
	{
		$tail = pick(' CYCLE v SET cyc USING pth', ' SEARCH DEPTH FIRST BY v SET ord CYCLE v SET cyc USING pth');
	}
	push @cols, { name => 'cyc', type => $tail =~ / TO / ? 'text' : 'bool', loose => 0 } if $tail =~ /CYCLE/;
	my $rel = { name => $name, cols => \@cols, rows => $style =~ /set|count|grow/ ? 8 : 100 };
	my $all = [ $rel, $rel, pick(@$rels) ];
	local $rels_now = $all;
	my $outer = chance(0.4) ? plain([$rel]) : query($all);
	tag('searchcycle') if $tail;
	return { k => 'recursive', name => $name, names => \@names, base => $base, step => $step, op => $op, tail => $tail,
		outer => $outer, cols => $outer->{cols}, rows => $outer->{rows} };
}

1;
