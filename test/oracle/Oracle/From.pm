# Oracle::From: FROM lists: join trees of any shape over tables, subqueries,
# functions, VALUES and LATERAL items.
package Oracle::From;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Gen;
use Oracle::Types;

our @EXPORT = qw(from_list correlate equal_pairs);

my $max_rows = 1200;

# A leaf or a tree is { t, scope, rows, vis }: vis tells how often each name
# is visible, and its type, for USING and NATURAL.
sub leaf
{
	my ($t, $rows, @cols) = @_;
	my %vis;
	push @{ $vis{ $_->{name} } }, $_->{type} foreach @cols;
	return { t => $t, rows => $rows, vis => \%vis, scope => [ scope_of($t->{alias}, @cols) ] };
}

sub table_leaf
{
	my ($rels) = @_;
	my $r = pick(@$rels);
	my $t = { k => 'table', table => $r->{name}, alias => alias(), key => $r->{key} };

	spend($r->{name});
	tag('matview') if $r->{name} eq 'o.m1';
	tag('foreign') if $r->{name} eq 'o.f1';
	my $l = leaf($t, $r->{rows}, @{ $r->{cols} });
	$l->{hidden} = $r->{hidden};
	if (on('wholerow') && $r->{name} =~ /^o\./ && !$r->{rounded} && !grep { $_->{loose} || $_->{type} eq 'whole' } @{ $r->{cols} })
	{
		push @{ $l->{scope} }, { name => $t->{alias}, ref => $t->{alias}, type => 'whole', loose => 0 };
	}
	return $l;
}

sub sub_leaf
{
	my ($rels, $lateral) = @_;
	local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
	local @Oracle::Gen::outer = $lateral ? @$lateral : ();
	my $q = $lateral ? Oracle::Query::lateral_query($rels) : Oracle::Query::query($rels);

	tag($lateral ? 'lateral' : 'subquery');
	my $l = leaf({ k => 'sub', q => $q, alias => alias(), lateral => $lateral ? 1 : 0 }, $q->{rows}, @{ $q->{cols} });
	return $l;
}

sub values_leaf
{
	my $q = Oracle::Query::values_query(pick(1, 2, 2, 3));
	my $alias = alias('v');
	my @names = map { "a$_" } 1 .. @{ $q->{cols} };
	my @cols = map { { %{ $q->{cols}[$_] }, name => $names[$_] } } 0 .. $#names;
	$names[0] = $cols[0]{name} = 'k' if $cols[0]{type} eq 'int';
	tag('values');
	return leaf({ k => 'sub', q => $q, alias => $alias, names => \@names }, $q->{rows}, @cols);
}

# Set-returning calls over the columns: [sql, [type, name] ...], rows each 3.
sub calls
{
	my ($scope) = @_;
	my $of = sub { my ($t) = @_; my @c = columns_of_type($scope, $t, 1); return @c ? pick(@c)->{ref} : undef; };
	my @calls;

	my $ia = $of->('ia');
	push @calls, (["unnest($ia)", [ 'int', 'v' ]]) x 3 if $ia;
	push @calls, ["unnest($ia, ARRAY['p', 'q'])", [ 'int', 'v' ], [ 'text', 'w' ]] if $ia;
	my $i = $of->('int') // $of->('dom');
	push @calls, ["generate_series(1, least($i, 3))", [ 'int', 'v' ]],
	  ["generate_series($i, 3, 2)", [ 'int', 'v' ]], ["oracle.fan($i)", [ 'int', 'v' ]],
	  ["oracle.fan2($i)", [ 'int', 'v' ], [ 'text', 'w' ]], ["abs($i)", [ 'int', 'v' ]] if $i;
	my $x = $of->('text');
	push @calls, ["string_to_table($x, ' ')", [ 'text', 'w' ]], ["regexp_split_to_table($x, 'b')", [ 'text', 'w' ]] if $x;
	my $j = $of->('jsonb');
	push @calls, ["jsonb_path_query($j, '\$.*')", [ 'jsonb', 'j' ]],
	  ["jsonb_object_keys(CASE WHEN jsonb_typeof($j) = 'object' THEN $j END)", [ 'text', 'w' ]],
	  ["jsonb_each_text(CASE WHEN jsonb_typeof($j) = 'object' THEN $j END)", [ 'text', 'w' ], [ 'text', 'x' ]],
	  ["jsonb_array_elements(CASE WHEN jsonb_typeof($j) = 'array' THEN $j END)", [ 'jsonb', 'j' ]] if $j;
	push @calls, ["jsonb_to_recordset(CASE WHEN jsonb_typeof($j) = 'object' THEN jsonb_build_array($j - 'a' - 'b' || '{\"w\": \"u\"}', '{\"v\": 2}'::jsonb) ELSE '[{\"v\": 1}, {\"w\": \"z\"}]'::jsonb END)",
		[ 'int', 'v', 'v int' ], [ 'text', 'w', 'w text' ]],
	  ["jsonb_path_query_array($j, '\$.*')", [ 'jsonb', 'j' ]] if $j;
	my $ta = $of->('ta');
	push @calls, ["unnest($ta)", [ 'text', 'w' ]], ["array_position($ta, 'a')", [ 'int', 'v' ]] if $ta;
	push @calls, ["json_array_elements(CASE WHEN json_typeof($_) = 'array' THEN $_ END)", [ 'json', 'j' ]]
	  foreach grep { defined } $of->('json');
	return @calls;
}

sub func_leaf
{
	my ($scope) = @_;
	my @calls = $scope ? calls($scope) : ();
	my $lateral = @calls ? 1 : 0;

	push @calls, ['generate_series(0, 3)', [ 'int', 'v' ]], ["unnest(ARRAY[1, 2, 2, NULL])", [ 'int', 'v' ]],
	  ["unnest(ARRAY['a', 'b'], ARRAY[1])", [ 'text', 'w' ], [ 'int', 'v' ]] if !@calls;
	my $c = pick(@calls);
	my ($sql, @types) = @$c;
	my $alias = alias('f');

	tag($lateral ? 'lfunc' : 'func');
	my @plain = grep { $_->[0] !~ /recordset/ } @calls;
	if (chance(0.12) && $lateral && $sql !~ /recordset/ && @plain)
	{
		my $d = pick(@plain);
		my ($more, @t) = @$d;
		$sql = "ROWS FROM ($sql, $more)";
		push @types, @t;
		tag('rowsfrom');
	}
	elsif ($lateral && chance(0.08))
	{
		my ($j) = columns_of_type($scope, 'jsonb', 1);
		my ($x) = columns_of_type($scope, 'xml', 1);
		if ($j && $Oracle::Gen::version >= 170000)
		{
			$sql = "JSON_TABLE($j->{ref}, '\$' COLUMNS (v int PATH '\$.a' NULL ON ERROR, w text PATH '\$.b' NULL ON ERROR))";
			@types = ([ 'int', 'v' ], [ 'text', 'w' ]);
			tag('json_table');
		}
		elsif ($x)
		{
			$sql = "XMLTABLE('/a' PASSING (CASE WHEN $x->{ref} IS DOCUMENT THEN ($x->{ref})::xml END) COLUMNS w text PATH '.')";
			@types = ([ 'text', 'w' ]);
			tag('xmltable');
		}
	}
	if ($sql !~ /_?TABLE\(|recordset/ && chance(0.2))
	{
		$sql .= ' WITH ORDINALITY';
		push @types, [ 'bigint', 'n' ];
		tag('ordinality');
	}
	my %seen;
	my @cols = map { { name => $seen{ $_->[1] }++ ? "$_->[1]$seen{$_->[1]}" : $_->[1], type => $_->[0], loose => 0 } } @types;
	return leaf({ k => 'func', sql => $sql, alias => $alias, names => [ map { $types[$_][2] // $cols[$_]{name} } 0 .. $#cols ],
			lateral => $lateral && $sql =~ /^XMLTABLE|^JSON|^ROWS/ ? 1 : $lateral && chance(0.5) ? 1 : 0 }, 3, @cols);
}

# One item; the columns to the left when it may be LATERAL.
sub from_item
{
	my ($rels, $left) = @_;
	my $deep = $Oracle::Gen::depth > 0 && budget() > 0;

	return func_leaf($left) if $left && on('lfunc') && likely(0.1) && calls($left);
	return sub_leaf($rels, $left) if $left && $deep && on('lateral') && likely(0.1);
	return sub_leaf($rels) if $deep && on('subquery') && chance(0.22);
	return values_leaf() if on('values') && chance(0.03);
	return func_leaf() if on('func') && chance(0.02);
	return table_leaf($rels);
}

# Columns that can be compared for equality, as conditions; the better often.
sub equal_pairs
{
	my ($left, $right) = @_;
	my @pairs;
	my %class = (int => 'i', bigint => 'i', dom => 'i', n2 => 'n', num => 'n');

	foreach my $l (@$left)
	{
		foreach my $r (@$right)
		{
			next unless is_hashable($l->{type});
			my $c = $class{ $l->{type} } // $l->{type};
			next if $c ne ($class{ $r->{type} } // $r->{type});
			my ($lk, $rk) = ($l->{name} eq 'k', $r->{name} eq 'k');
			# few values of other columns are ids
			next if ($l->{name} eq 'id') != ($r->{name} eq 'id') && chance(0.8);
			my $p = "$l->{ref} = $r->{ref}";
			my $n = $lk && $rk ? 40 : $lk || $rk ? 8 : $c eq "i" ? 3 : $c =~ /^(bool|enum|date|text)$/ ? 2 : 1;
			push @pairs, ($p) x $n;
		}
	}
	return @pairs;
}

# Conditions that tie the scope to the surrounding query.
sub correlate
{
	my ($scope, $outer) = @_;
	my @pairs = equal_pairs($scope, $outer);

	return () unless @pairs;
	my $p = pick(@pairs);
	if (on('corrother') && likely(0.25))
	{
		my $op = pick('<', '>', '<=', '<>', 'IS NOT DISTINCT FROM');
		$p =~ s/ = / $op /;
		tag('corrother');
	}
	else { tag('correq'); }
	return ($p, chance(0.12) ? (pick(@pairs)) : ());
}

sub merge_vis
{
	my ($l, $r, @merged) = @_;
	my %m = map { $_ => 1 } @merged;
	my %vis = map { $_ => [ @{ $l->{vis}{$_} } ] } keys %{ $l->{vis} };
	foreach my $n (keys %{ $r->{vis} })
	{
		push @{ $vis{$n} }, @{ $r->{vis}{$n} } unless $m{$n};
	}
	return \%vis;
}

sub common_names
{
	my ($l, $r) = @_;
	return grep { $r->{vis}{$_} } sort keys %{ $l->{vis} };
}

sub mergeable
{
	my ($l, $r, $name) = @_;
	my ($a, $b) = ($l->{vis}{$name}, $r->{vis}{$name});
	return @$a == 1 && @$b == 1 && $a->[0] eq $b->[0] && is_hashable($a->[0]);
}

sub join_types
{
	my ($lateral) = @_;
	my @t = ('JOIN') x 3;
	push @t, ('LEFT JOIN') x 3 if on('left');
	return @t if $lateral;
	push @t, 'RIGHT JOIN' if on('right');
	push @t, 'FULL JOIN' if on('full');
	return @t;
}

# Joins two trees; undef when the result would be too large.
sub join_trees
{
	my ($l, $r) = @_;
	my $lateral = $r->{t}{lateral} || $r->{t}{k} eq 'func';
	my $scope = [ @{ $l->{scope} }, @{ $r->{scope} } ];
	my @pairs = equal_pairs($l->{scope}, $r->{scope});
	my @common = common_names($l, $r);
	my $product = $l->{rows} * $r->{rows};
	my $type = pick(join_types($lateral));
	my $style = pick(('on') x 8, 'using', 'using', 'natural', 'theta', 'cross');
	my ($sel, @merged) = (5);
	my $j = { k => 'join', type => $type, l => $l->{t}, r => $r->{t}, on => [] };

	@common = grep { mergeable($l, $r, $_) } @common;
	$style = 'on' if $style eq 'natural' && ($l->{hidden} || $r->{hidden});
	$style = 'on' if $style eq 'using' && !@common || $style eq 'natural' && (!@common || @common < common_names($l, $r));
	$style = 'on' if $style =~ /theta|cross/ && $product > 300;
	$style = 'cross' if $style eq 'on' && !@pairs || $lateral && chance(0.6);
	return undef if ($style eq 'cross' ? $product : $product / $sel) > $max_rows;

	if ($style eq 'using')
	{
		@merged = (pick(@common));
		$j->{using} = [@merged];
		$j->{alias} = alias('j') if chance(0.7);
		push @$scope, { name => $merged[0], ref => "$j->{alias}.$merged[0]", type => $l->{vis}{ $merged[0] }[0],
			loose => $type eq 'FULL JOIN' && is_ambiguous($l->{vis}{ $merged[0] }[0])
			  || (grep { $_->{name} eq $merged[0] && $_->{loose} } @$scope) ? 1 : 0 } if $j->{alias};
		tag('using');
	}
	elsif ($style eq 'natural')
	{
		@merged = @common;
		$j->{type} = "NATURAL $type";
		tag('using');
	}
	elsif ($style eq 'cross')
	{
		$sel = 1;
		if ($type eq 'JOIN' && chance(0.8)) { $j->{type} = 'CROSS JOIN'; }
		elsif (chance(0.5) && $type ne 'FULL JOIN') { $j->{on} = [ Oracle::Query::condition($lateral ? $r->{scope} : $scope, 1) ]; }
		else { $j->{on} = [ $type eq 'FULL JOIN' ? pick('true', 'true', 'false') : 'true' ]; }
	}
	elsif ($style eq 'theta' && $type ne 'FULL JOIN' && @pairs)
	{
		my $op = pick('<', '>', '<=', '<>', 'IS NOT DISTINCT FROM');
		my $p = pick(@pairs);
		$p =~ s/ = / $op /;
		push @{ $j->{on} }, $p;
		$sel = 2;
	}
	else
	{
		return undef unless @pairs;
		push @{ $j->{on} }, pick(@pairs);
		push @{ $j->{on} }, pick(@pairs) if chance(0.06);
		push @{ $j->{on} }, Oracle::Query::condition($scope, 1) if chance(0.15);
		push @{ $j->{on} }, Oracle::Query::condition($l->{scope}, 0) if chance(0.1);
		push @{ $j->{on} }, Oracle::Query::condition($r->{scope}, 0) if chance(0.1);
	}
	tag($type =~ /^(\w+) JOIN/ ? lc $1 : 'join');
	my $vis = merge_vis($l, $r, @merged);
	if (!@merged && chance(0.04))
	{
		# an alias for the join: names that are there once
		my @once = grep { my $n = $_->{name}; @{ $vis->{$n} // [] } == 1 && 1 == grep { $_->{name} eq $n } @$scope } @$scope;
		@once = grep { $_->{type} ne 'whole' && $_->{ref} =~ /\.\Q$_->{name}\E$/ } @once;
		if (@once && !$l->{hidden} && !$r->{hidden})
		{
			$j->{whole} = alias('j');
			$scope = [ map { { %$_, ref => "$j->{whole}.$_->{name}" } } @once ];
			$vis = { map { $_->{name} => [ $_->{type} ] } @once };
			tag('joinalias');
		}
	}
	my $rows = $product / $sel;
	$rows = $l->{rows} if $type =~ /LEFT|FULL/ && $rows < $l->{rows};
	$rows = $r->{rows} if $type =~ /RIGHT|FULL/ && $rows < $r->{rows};
	return { t => $j, scope => $scope, rows => $rows < 1 ? 1 : $rows, vis => $vis,
		hidden => $l->{hidden} || $r->{hidden} || $j->{whole} };
}

# A join tree of n leaves; left: columns that a single leaf may refer to.
sub join_tree
{
	my ($rels, $n, $left) = @_;

	return from_item($rels, $left) if $n == 1;
	my $nl = chance(0.7) ? $n - 1 : 1 + rnd($n - 1);
	my $l = join_tree($rels, $nl);
	my $tags = keep_tags();
	my $r = join_tree($rels, $n - $nl, $n - $nl == 1 ? $l->{scope} : undef);
	my $j = join_trees($l, $r);
	return $j if $j;
	# too much: one of them alone, which must not refer to the other
	back_to_tags($tags);
	return $l;
}

# Fills from, where and rows of a select node; returns its scope.
sub from_list
{
	my ($node, $rels, $few) = @_;
	my $joins = on('join') || on('left') || on('right') || on('full');
	my $n = !$joins || ($few // 0) eq 'one' ? 1 : $few ? pick(1, 1, 1, 2) : pick(1, 1, 2, 2, 2, 3, 3, 4, 5);
	$n = 1 if budget() < 1;
	$n = budget() if $n > budget() && budget() > 0;
	my $f = join_tree($rels, $n);
	my @scope = @{ $f->{scope} };
	my $rows = $f->{rows};

	push @{ $node->{from} }, $f->{t};
	if ($joins && on('join') && ($few // 0) ne 'one' && chance(0.15) && budget() > 0)
	{
		my $tags = keep_tags();
		my $g = join_tree($rels, 1, chance(0.4) ? \@scope : undef);
		my @pairs = equal_pairs(\@scope, $g->{scope});
		my $free = $g->{t}{k} eq 'func' || $g->{t}{lateral};
		if ((@pairs || $free) && $rows * $g->{rows} / (@pairs ? 5 : 1) <= $max_rows)
		{
			push @{ $node->{from} }, $g->{t};
			push @{ $node->{where} }, pick(@pairs) if @pairs && !($free && chance(0.6));
			push @scope, @{ $g->{scope} };
			$rows *= $g->{rows} / (@pairs ? 5 : 1);
			tag('join');
		}
		else { back_to_tags($tags); }
	}
	$node->{rows} = $rows < 1 ? 1 : $rows;
	push @{ $node->{where} }, correlate([ grep { $_->{type} ne 'whole' } @scope ], \@Oracle::Gen::outer)
	  if @Oracle::Gen::outer && chance(0.85);
	if (on('where'))
	{
		push @{ $node->{where} }, Oracle::Query::condition(\@scope, 2) if chance(0.3);
		push @{ $node->{where} }, Oracle::Query::condition(\@scope, 0) if chance(0.1);
		my $s = likely(0.12) ? Oracle::Query::subquery_condition(\@scope) : undef;
		push @{ $node->{where} }, $s if defined $s;
	}
	return \@scope;
}

1;
