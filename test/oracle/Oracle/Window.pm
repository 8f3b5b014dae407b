# Oracle::Window: window function calls whose results are determined.
#
# Rows that are alike in all that the level gives are interchangeable, so an
# order over all of that (outs) determines any function; an order over less
# determines the functions of peers. Two windows may order rows that are alike
# in different ways: then only one of them may tell such rows apart.
package Oracle::Window;

use strict;
use warnings;
use Oracle::Gen;
use Oracle::Types;

sub bound { return pick('UNBOUNDED', '1', '2', '0'); }

sub frame
{
	my ($unit, $by) = @_;
	my $b = sub { my $n = bound(); return $n eq 'UNBOUNDED' || !$by ? $n : $by; };
	my $start = pick('UNBOUNDED PRECEDING', $b->() . ' PRECEDING', 'CURRENT ROW');
	my $end = pick('CURRENT ROW', $b->() . ' FOLLOWING', 'UNBOUNDED FOLLOWING');
	my $text = " $unit BETWEEN $start AND $end" . pick('', '', '', ' EXCLUDE CURRENT ROW', ' EXCLUDE TIES', ' EXCLUDE GROUP', ' EXCLUDE NO OTHERS');
	tag('frame');
	tag('exclude') if $text =~ /EXCLUDE (C|T|G)/;
	return $text;
}

# Are no two rows alike?  One keyed table, and its key is shown.
sub has_key
{
	my ($node, $outs) = @_;
	my $t = $node->{from}[0];
	my %out = map { $_->[0] => 1 } @$outs;

	return @{ $node->{from} } == 1 && $t->{k} eq 'table' && @{ $t->{key} // [] } && !@{ $node->{group} }
	  && !grep { !$out{"$t->{alias}.$_"} } @{ $t->{key} };
}

# A call over the scope; returns (expression, type, loose). Windows that get a
# name are put into the node.
sub call
{
	my ($node, $scope, $outs) = @_;
	my @cols = grep { !$_->{loose} } @$scope;
	my @keys = grep { is_hashable($_->{type}) } @$scope;
	my $int = sub { my @c = columns_of_type(\@cols, 'int'); return @c ? pick(@c)->{ref} : pick('1', '2'); };
	my $tight = sub { return pick(grep { is_hashable($_->{type}) && !is_ambiguous($_->{type}) } @cols); };
	my $part = @keys && chance(0.7) ? 'PARTITION BY ' . join(', ', map { pick(@keys)->{ref} } 1 .. pick(1, 1, 1, 2)) : '';
	my $x = $tight->();
	my ($e, $t) = $x ? ($x->{ref}, $x->{type}) : ('1', 'int');
	my $f8 = sub { my @c = columns_of_type(\@cols, 'n2'); return @c ? pick(@c)->{ref} : $int->(); };
	my ($i, $n) = ($int->(), $f8->());
	my $filter = chance(0.12) && on('filter') && !(grep { $_->{ref} =~ /\(/ } @$scope) ? ' FILTER (WHERE ' . Oracle::Types::gen_cond($scope, 0) . ')' : '';
	my ($fn, $type, $loose, $order);

	tag('window');
	if (chance(0.55) && (!$node->{ordered} || has_key($node, $outs)))
	{
		$node->{ordered} = 1;
		# a total order, then any function
		my @order = total_order([ [ $e, $t, 0 ], [ $i, 'int', 0 ], [ $n, 'n2', 0 ], @$outs ]);
		($fn, $type) = @{ pick(
			[ 'row_number()', 'bigint' ], [ 'row_number()', 'bigint' ], [ 'rank()', 'bigint' ], [ 'dense_rank()', 'bigint' ],
			[ "ntile(" . pick(2, 3) . ")", 'int' ], [ "lag($e)", $t ], [ "lead($e, 2)", $t ], [ "lag($e, 1, $e)", $t ],
			[ "first_value($e)", $t ], [ "last_value($e)", $t ], [ "nth_value($e, 2)", $t ],
			[ "sum(" . $i . ")", 'bigint' ], [ "count(*)", 'bigint' ], [ "count($e)", 'bigint' ],
			[ "array_agg(" . $i . ")", 'ia' ], [ "string_agg(($e)::text, ',')", 'text' ],
			[ "avg(" . $n . ")", 'num' ], [ 'percent_rank()', 'f8r' ], [ 'cume_dist()', 'f8r' ]) };
		$order = @order ? 'ORDER BY ' . join(', ', @order) : '';
		# nothing to order by: what depends on an order is arbitrary
		($fn, $type) = ('count(*)', 'bigint') if !@order;
		$order .= frame(pick('ROWS', 'ROWS', 'GROUPS', @order == 1 ? () : 'ROWS')) if $order && chance(0.4)
		  && $fn !~ /^(row_number|rank|dense|ntile|lag|lead|percent|cume)/;
	}
	else
	{
		my @sortable = grep { is_hashable($_->{type}) } @cols;
		my $o = @sortable ? pick(@sortable) : undef;
		my $m = @sortable ? pick(@sortable) : undef;
		($fn, $type) = @{ pick(
			[ 'rank()', 'bigint' ], [ 'dense_rank()', 'bigint' ], [ 'percent_rank()', 'f8r' ], [ 'cume_dist()', 'f8r' ],
			[ "count(*)$filter", 'bigint' ], [ "sum(" . $int->() . ")$filter", 'bigint' ], [ "avg(" . $f8->() . ")$filter", 'num' ],
			[ "count($e)$filter", 'bigint' ], [ "sum(" . $f8->() . ")$filter", 'num' ],
			$m && is_orderable($m->{type}) && $m->{type} !~ /^(dom|vc|ia)$/ ? [ pick('min', 'max') . "($m->{ref})$filter", $m->{type} ]
			: [ 'count(*)', 'bigint' ]) };
		$type = 'bigint' if $fn =~ /^sum\(\d/;
		$type = 'num' if $type eq 'n2';
		$type = 'text' if $type eq 'bp' && $fn =~ /^m/;
		$loose = 1 if is_ambiguous($type) && $fn =~ /^m/;
		$order = $o && chance(0.7) ? "ORDER BY $o->{ref}" . pick('', '', ' DESC', ' NULLS FIRST') : '';
		if ($order && chance(0.4) && $fn !~ /^(rank|dense|percent|cume)/)
		{
			my $by = $o->{type} =~ /^(int|bigint|n2|num|f8)$/ ? pick(1, 2) : $o->{type} eq 'date' ? "interval '3 days'" : undef;
			$order .= $by && $o->{type} ne 'dom' && chance(0.6) ? frame('RANGE', $by)
			  : chance(0.5) ? frame('GROUPS') : ' RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING';
			tag('range') if $order =~ /RANGE/;
		}
	}
	$type = 'bigint' if $fn =~ /^sum\((1|2)\)/;
	$type = 'num' if $fn =~ /^avg/;
	$loose = 1 if $type eq 'f8r';
	my $def = join(' ', grep { $_ ne '' } $part, $order);
	if (chance(0.2))
	{
		my $name = alias('w');
		push @{ $node->{windows} }, { name => $name, def => $part };
		tag('namedwindow');
		return ("$fn OVER " . ($order ne '' ? "($name $order)" : $name), $type, $loose // 0);
	}
	return ("$fn OVER ($def)", $type, $loose // 0);
}

1;
