# Oracle::Gen: what the parts of the query generator share while one query is
# made: which constructs are allowed and which were used, how large the query
# may still grow, and what a subquery may refer to.
package Oracle::Gen;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Types;

our @EXPORT = qw(on likely tag keep_tags back_to_tags start_query finish_query alias spend budget subquery total_order scope_of);

our %enabled;      # constructs allowed; empty: all
our %disabled;     # constructs left out
our $version = 0;  # of the server, 0 when unknown
our $depth = 0;    # levels that may still be opened
our @outer;        # columns of the surrounding query that may be referred to
our %sub;          # subqueries in expressions: {{q<n>}} in the text
my ($serial, $budget, %tags, %uses);

sub on { my ($op) = @_; return (!%enabled || $enabled{$op}) && !$disabled{$op}; }

# A construct that is rare unless only some are asked for.
sub likely
{
	my ($p) = @_;
	return chance(%enabled ? ($p < 0.1 ? 4 * $p : 0.5) : $p);
}

# Remembers that the query has a construct.
sub tag { $tags{$_} = 1 foreach @_; return; }
# For a part that may be thrown away again.
sub keep_tags { return {%tags}; }
sub back_to_tags { my ($was) = @_; %tags = %$was; return; }
sub alias { my ($letter) = @_; return ($letter // 'r') . ++$serial; }
sub budget { return $budget; }

# One more base relation is read.
sub spend { my ($rel) = @_; $budget--; $uses{$rel} = 1 if $rel =~ /o\./; return; }

sub start_query
{
	my ($max) = @_;
	$serial = 0;
	$budget = $max;
	%tags = %uses = ();
	@outer = ();
	return;
}

sub finish_query { return ({%uses}, [ sort keys %tags ]); }

# Registers a subquery; the text that stands for it in an expression.
sub subquery
{
	my ($node) = @_;
	my $n = keys(%sub) + 1;
	$sub{$n} = $node;
	return "{{q$n}}";
}

# The columns of a FROM item as expressions.
sub scope_of
{
	my ($alias, @cols) = @_;
	return map { { %$_, ref => "$alias.$_->{name}" } } @cols;
}

# Sort keys that leave only rows in undetermined order that look alike in the
# given [expression, type, loose]; lead: how many of them come first as given.
sub total_order
{
	my ($outs, $lead) = @_;
	my @o = @$outs;
	my @first = splice @o, 0, $lead // 0;
	my @keys;

	for (my $i = $#o; $i > 0; $i--)
	{
		my $j = rnd($i + 1);
		@o[ $i, $j ] = @o[ $j, $i ];
	}
	my %done;
	foreach my $o (@first, @o)
	{
		my ($e, $type, $loose) = @$o;
		next if $done{$e}++;
		# an ordinal, or a constant
		next if $e =~ /^[\d']/ || $e =~ /^NULL/;
		push @keys, $e . pick('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') if is_hashable($type);
		push @keys, norm($type, $e) . ' COLLATE "C"' if $loose;
		push @keys, "($e)::text COLLATE \"C\"" if !$loose && (is_ambiguous($type) || !is_hashable($type));
	}
	return @keys;
}

1;
