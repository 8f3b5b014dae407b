# Oracle::Tree: query trees as text, and the smaller trees a failing one may
# be replaced by.
#
# A query node is one of
#   { k => 'select', distinct, sel => [{ e, as }], from => [tree], where => [],
#     group => [], having => [], order => [], limit }
#   { k => 'setop', op, arms => [node], tail }       any set operation
#   { k => 'with', name, hint, inner, outer }
#   { k => 'recursive', name, names, base, step, op, tail, outer }
#   { k => 'values', rowsets => [[text]], names }
#   { k => 'text', sql }
# plus cols (what it gives) and rows (a rough estimate).  A FROM tree is
#   { k => 'table', table, alias }   { k => 'sub', q, alias, lateral, names }
#   { k => 'func', sql, alias, names, lateral }
#   { k => 'join', type, l, r, on => [], using, alias, whole }     whole: alias of all of it
# Expressions are text, in which {{q7}} stands for subquery 7 of Oracle::Gen.
package Oracle::Tree;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Gen;

our @EXPORT = qw(render variants);

# Puts the subqueries into an expression.
sub expr
{
	my ($e) = @_;
	return $e unless $e =~ /\{\{/;
	$e =~ s/\{\{q(\d+)\}\}/'(' . render($Oracle::Gen::sub{$1}) . ')'/ge;
	return $e;
}

sub from_text
{
	my ($t) = @_;
	my $names = $t->{names} ? '(' . join(', ', @{ $t->{names} }) . ')' : '';

	return "$t->{table} AS $t->{alias}" if $t->{k} eq 'table';
	return ($t->{lateral} ? 'LATERAL ' : '') . '(' . render($t->{q}) . ") AS $t->{alias}$names"
	  if $t->{k} eq 'sub';
	return ($t->{lateral} ? 'LATERAL ' : '') . expr($t->{sql}) . " AS $t->{alias}$names"
	  if $t->{k} eq 'func';

	my $r = from_text($t->{r});
	$r = "($r)" if $t->{r}{k} eq 'join' && !$t->{r}{whole};
	my $sql = from_text($t->{l}) . " $t->{type} $r";
	if ($t->{whole})
	{
		# the alias of a join hides those in it
		return "($sql ON " . (join(' AND ', map { expr($_) } @{ $t->{on} }) || 'true') . ") AS $t->{whole}" if $t->{type} !~ /CROSS/;
		return "($sql) AS $t->{whole}";
	}
	$sql .= ' USING (' . join(', ', @{ $t->{using} }) . ')' . ($t->{alias} ? " AS $t->{alias}" : '')
	  if $t->{using};
	return $sql if $t->{using} || $t->{type} =~ /CROSS|NATURAL/;
	return $sql . ' ON ' . (join(' AND ', map { expr($_) } @{ $t->{on} }) || 'true');
}

sub render
{
	my ($q) = @_;

	return $q->{sql} if $q->{k} eq 'text';
	return join(" $q->{op} ", map { '(' . render($_) . ')' } @{ $q->{arms} }) . ($q->{tail} // '') if $q->{k} eq 'setop';
	return 'VALUES ' . join(', ', map { '(' . join(', ', map { expr($_) } @$_) . ')' } @{ $q->{rowsets} })
	  if $q->{k} eq 'values';
	if ($q->{k} eq 'with' || $q->{k} eq 'recursive')
	{
		my $outer = render($q->{outer});
		$outer = "SELECT * FROM ($outer) w" if $outer =~ m{^WITH };
		return "WITH $q->{name} AS$q->{hint} (" . render($q->{inner}) . ") $outer" if $q->{k} eq 'with';
		return "WITH RECURSIVE $q->{name} (" . join(', ', @{ $q->{names} }) . ') AS ('
		  . render($q->{base}) . " $q->{op} " . render($q->{step}) . ')' . ($q->{tail} // '') . " $outer";
	}
	my $sql = 'SELECT ';
	$sql .= ref $q->{distinct} ? 'DISTINCT ON (' . join(', ', map { expr($_) } @{ $q->{distinct} }) . ') ' : 'DISTINCT '
	  if $q->{distinct};
	$sql .= join(', ', map { expr($_->{e}) . " AS $_->{as}" } @{ $q->{sel} });
	$sql .= ' FROM ' . join(', ', map { from_text($_) } @{ $q->{from} }) if @{ $q->{from} };
	$sql .= ' WHERE ' . join(' AND ', map { expr($_) } @{ $q->{where} }) if @{ $q->{where} };
	$sql .= ' GROUP BY ' . join(', ', map { expr($_) } @{ $q->{group} }) if @{ $q->{group} };
	$sql .= ' HAVING ' . join(' AND ', map { expr($_) } @{ $q->{having} }) if @{ $q->{having} };
	$sql .= ' WINDOW ' . join(', ', map { "$_->{name} AS ($_->{def})" } @{ $q->{windows} })
	  if @{ $q->{windows} // [] };
	$sql .= ' ORDER BY ' . join(', ', map { expr($_) } @{ $q->{order} }) if @{ $q->{order} // [] };
	$sql .= " $q->{limit}" if $q->{limit};
	return $sql;
}

# ---------------------------------------------------------------------------
# Smaller trees
# ---------------------------------------------------------------------------

# Each variant is a pair of functions: make the change, and take it back.
sub drop_elements
{
	my ($list, $keep) = @_;
	return map {
		my $x = $_;
		my ($at, $was);
		[ sub {
			($at) = grep { ref $x ? ref $list->[$_] && $list->[$_] == $x : !ref $list->[$_] && $list->[$_] eq $x } 0 .. $#$list;
			return 0 if !defined $at || @$list <= ($keep // 0);
			$was = splice @$list, $at, 1;
			return 1;
		}, sub { splice @$list, $at, 0, $was; } ]
	} reverse @$list;
}

sub replace_node
{
	my ($node, $by) = @_;
	my %was;
	return [ sub { %was = %$node; my %new = %$by; %$node = (%new, map { $_ => $was{$_} } grep { $was{$_} } qw(uses tags)); return 1; }, sub { %$node = %was; } ];
}

sub set_field
{
	my ($node, $field, $value) = @_;
	my $was = $node->{$field};
	return [ sub { return 0 if !$node->{$field}; $was = $node->{$field}; $node->{$field} = $value; return 1; },
		sub { $node->{$field} = $was; } ];
}

# An expression in a list replaced by a simpler one.
sub set_element
{
	my ($list, $i, $value) = @_;
	my $was;
	return [ sub { return 0 if $i > $#$list || $list->[$i] eq $value; $was = $list->[$i]; $list->[$i] = $value; return 1; },
		sub { $list->[$i] = $was; } ];
}

# The two sides of AND or OR, what NOT negates, and the branches of CASE.
sub simpler
{
	my ($e) = @_;
	my @out;

	if ($e =~ /^\((.*)\)$/s)
	{
		my ($in, $level, $start) = ($1, 0, 0);
		for my $i (0 .. length($in) - 1)
		{
			my $c = substr $in, $i, 1;
			$level++ if $c eq '(';
			$level-- if $c eq ')';
			return () if $level < 0;
			if ($level == 0 && substr($in, $i) =~ /^( (AND|OR) )/)
			{
				push @out, substr($in, $start, $i - $start);
				$start = $i + length $1;
			}
		}
		push @out, substr $in, $start;
		s/^NOT // foreach @out;
	}
	push @out, $1 if $e =~ /^CASE WHEN (.*?) THEN/s;
	return grep { $_ ne $e && $_ ne '' } @out;
}

sub conditions
{
	my ($list) = @_;
	return () unless $list;
	return (drop_elements($list), map { my $i = $_; map { set_element($list, $i, $_) } simpler($list->[$i]) } 0 .. $#$list);
}

sub from_variants
{
	my ($t) = @_;
	my @v;

	if ($t->{k} eq 'join')
	{
		push @v, replace_node($t, $t->{l}), replace_node($t, $t->{r});
		push @v, conditions($t->{on}), in_expressions(@{ $t->{on} // [] });
		push @v, set_field($t, 'type', 'JOIN') if $t->{type} =~ /LEFT|RIGHT|FULL/ && !$t->{using};
		return (@v, from_variants($t->{l}), from_variants($t->{r}));
	}
	if ($t->{k} eq 'sub')
	{
		push @v, replace_node($t, { %{ $t->{q}{from}[0] }, alias => $t->{alias} })
		  if $t->{q}{k} eq 'select' && @{ $t->{q}{from} } == 1 && $t->{q}{from}[0]{k} eq 'table';
		return (@v, variants($t->{q}));
	}
	return ();
}

# The subqueries in expressions.
sub in_expressions
{
	return map { variants($Oracle::Gen::sub{$_}) } map { /\{\{q(\d+)\}\}/g } grep { !ref } @_;
}

sub variants
{
	my ($q) = @_;
	my @v;

	return () unless ref $q eq 'HASH';
	if ($q->{k} eq 'setop')
	{
		push @v, replace_node($q, $_) foreach @{ $q->{arms} };
		push @v, set_field($q, 'tail', '');
		push @v, drop_elements($q->{arms}, 2);
		return (@v, map { variants($_) } @{ $q->{arms} });
	}
	return (drop_elements($q->{rowsets}, 1)) if $q->{k} eq 'values';
	if ($q->{k} eq 'with')
	{
		return (replace_node($q, $q->{inner}), replace_node($q, $q->{outer}), set_field($q, 'hint', ''),
			variants($q->{outer}), variants($q->{inner}));
	}
	return (set_field($q, 'tail', ''), variants($q->{outer}), variants($q->{base}), variants($q->{step}))
	  if $q->{k} eq 'recursive';
	return () if $q->{k} eq 'text';

	foreach my $t (@{ $q->{from} })
	{
		my @leaves = $t;
		while (my $x = shift @leaves)
		{
			if ($x->{k} eq 'join') { push @leaves, $x->{l}, $x->{r}; }
			elsif ($x->{k} eq 'sub') { push @v, replace_node($q, $x->{q}); }
		}
	}
	push @v, set_field($q, 'limit', undef) unless ref $q->{distinct};
	push @v, set_field($q, 'distinct', undef);
	push @v, conditions($q->{where}), conditions($q->{having});
	push @v, drop_elements($q->{group}), drop_elements($q->{from}, 1);
	push @v, drop_elements($q->{order}) if !$q->{limit} && !ref $q->{distinct};
	push @v, drop_elements($q->{windows}) if $q->{windows};
	foreach my $item (reverse @{ $q->{sel} })
	{
		# what the node gives shrinks with it
		my ($drop) = grep { 1 } map { my $i = $item; my ($at, @cols);
			[ sub {
				($at) = grep { $q->{sel}[$_] == $i } 0 .. $#{ $q->{sel} };
				return 0 if !defined $at || @{ $q->{sel} } < 2;
				splice @{ $q->{sel} }, $at, 1;
				@cols = @{ $q->{cols} };
				splice @{ $q->{cols} }, $at, 1 if $at < @{ $q->{cols} };
				return 1;
			}, sub { splice @{ $q->{sel} }, $at, 0, $i; @{ $q->{cols} } = @cols; } ] } 1;
		push @v, $drop;
		foreach my $s (simpler($item->{e}))
		{
			push @v, set_field($item, 'e', $s);
		}
	}
	push @v, in_expressions(@{ $q->{where} }, @{ $q->{having} }, @{ $q->{group} }, map { $_->{e} } @{ $q->{sel} });
	return (@v, map { from_variants($_) } @{ $q->{from} });
}

1;
