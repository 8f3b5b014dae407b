# Oracle::Sublink: subqueries in conditions and expressions.
package Oracle::Sublink;

use strict;
use warnings;
use Oracle::Gen;
use Oracle::Types;

# Opens a subquery over what the scope and its own surroundings give.
sub open_sub
{
	my ($scope, $correlated, $make) = @_;
	my @outer = grep { $_->{type} ne 'whole' } @$scope;
	push @outer, @Oracle::Gen::outer if chance(0.25);
	local @Oracle::Gen::outer = $correlated ? @outer : ();
	local $Oracle::Gen::depth = $Oracle::Gen::depth - 1;
	return subquery($make->());
}

sub may_open { return $Oracle::Gen::depth > 0 && budget() > 0; }

# A condition with a subquery, or undef.
sub condition
{
	my ($rels, $scope, $always) = @_;
	my @kinds = grep { on($_) } qw(exists exists in in any scalarcmp);

	return undef unless may_open() && @kinds && ($always || chance(0.16));
	my $kind = pick(@kinds);
	my @cols = grep { is_hashable($_->{type}) } @$scope;
	my @ints = grep { $_->{type} =~ /^(int|bigint|dom|n2)$/ } @cols;
	my $c = @ints && chance(0.6) ? pick(@ints) : @cols ? pick(@cols) : undef;
	my $not = chance(0.4) ? 'NOT ' : '';

	if ($kind eq 'scalarcmp' && chance(0.25) && @cols > 1 && on('scalar'))
	{
		# a row compared with a row
		my @two = (pick(@ints ? @ints : @cols), pick(@cols));
		my $types = [ map { $_->{type} } @two ];
		my $any = chance(0.5);
		tag($any ? 'anyrow' : 'scalarrow');
		return '(' . join(', ', map { $_->{ref} } @two) . ') ' . pick('=', '<>', '<', '>=') . ($any ? pick(' ANY ', ' ALL ') : ' ')
		  . open_sub($scope, chance(0.4), sub { Oracle::Query::row_query($rels, $types, $any) })
		  unless grep { !is_orderable($_) } @$types;
	}
	if ($kind eq 'exists' || !$c)
	{
		return undef unless on('exists');
		tag($not ? 'notexists' : 'exists');
		return $not . 'EXISTS ' . open_sub($scope, chance(0.85), sub { Oracle::Query::exists_query($rels) });
	}
	if ($kind eq 'in' && chance(0.25) && @cols > 1)
	{
		my $d = pick(@cols);
		tag($not ? 'notin' : 'in', 'inmulti');
		return "($c->{ref}, $d->{ref}) ${not}IN " . open_sub($scope, chance(0.3),
			sub { Oracle::Query::typed_query($rels, [ $c->{type}, $d->{type} ]) });
	}
	if ($kind eq 'in')
	{
		tag($not ? 'notin' : 'in');
		return "$c->{ref} ${not}IN " . open_sub($scope, chance(0.35), sub { Oracle::Query::typed_query($rels, [ $c->{type} ]) });
	}
	if ($kind eq 'any')
	{
		return undef unless is_orderable($c->{type});
		if ($c->{type} =~ /^(int|text)$/ && on('array') && chance(0.15))
		{
			tag('array');
			return "$c->{ref} " . pick('=', '<>', '>') . pick(' ANY', ' ALL') . ' (ARRAY '
			  . open_sub($scope, chance(0.4), sub { Oracle::Query::typed_query($rels, [ $c->{type} ]) }) . ')';
		}
		tag('any');
		return "$c->{ref} " . pick('=', '<', '<=', '>', '>=', '<>') . ' ' . pick('ANY', 'ANY', 'ALL') . ' '
		  . open_sub($scope, chance(0.4), sub { Oracle::Query::typed_query($rels, [ $c->{type} ]) });
	}
	return undef unless on('scalar') && $c->{type} =~ /^(int|bigint|n2|text|date)$/;
	return "$c->{ref} " . pick('=', '<', '<=', '>', '>=', '<>') . ' ' . scalar_sub($rels, $scope, $c->{type});
}

sub scalar_sub
{
	my ($rels, $scope, $type) = @_;
	my $correlated = chance(0.6);
	tag('scalar');
	return open_sub($scope, $correlated, sub { Oracle::Query::scalar_query($rels, $type) });
}

# An expression of the type with a scalar subquery, or undef.
sub expression
{
	my ($rels, $scope, $type) = @_;

	if ($type eq 'ia' && on('array') && may_open() && chance(0.15))
	{
		tag('array');
		return 'ARRAY ' . open_sub($scope, chance(0.7), sub { Oracle::Query::array_query($rels) });
	}
	return undef unless may_open() && chance(0.06) && on('scalar') && $type =~ /^(int|bigint|n2|text|date|num)$/;
	my $s = scalar_sub($rels, $scope, $type);
	return chance(0.2) ? "coalesce($s, " . literal($type, 0) . ')' : $s;
}

1;
