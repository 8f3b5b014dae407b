# Oracle::Types: random values, expressions and conditions of many types.
#
# A scope is a list of columns { ref, type, loose }. A column or expression is
# "loose" when equal values with different images (1.0 and 1.00, -0 and 0) make
# PostgreSQL's own choice arbitrary, e.g. as a group key; such expressions are
# only passed on, compared or added, and compared after norm().
package Oracle::Types;

use strict;
use warnings;
use Exporter 'import';

# Called for a condition or an expression; may give one with a subquery.
our ($sublink, $scalar);

our @EXPORT = qw(rnd pick chance raw_value literal sql_type gen_expr gen_cond
  is_orderable is_hashable is_ambiguous norm columns_of_type quote_lit random_type);

sub rnd { my ($n) = @_; return int(rand($n)); }
sub pick { return $_[ int(rand(scalar @_)) ]; }
sub chance { my ($p) = @_; return rand() < $p; }

sub quote_lit
{
	my ($s) = @_;
	$s =~ s/'/''/g;
	return $s =~ /\\/ ? do { $s =~ s/\\/\\\\/g; "E'$s'" } : "'$s'";
}

my @words = ('a', 'b', 'B', '', 'x y', "q'uote", 'zz', 'abc', "\xc3\xa9t\xc3\xa9", 'NULL');

# ord: has a btree order; ambig: equality is coarser than image
my %types = (
	int => { sql => 'int', ord => 1, raw => sub { chance(0.6) ? rnd(4) : rnd(9) - 2 } },
	bigint => { sql => 'bigint', ord => 1,
		raw => sub { chance(0.1) ? 3000000000 + rnd(3) : rnd(9) - 2 } },
	n2 => { sql => 'numeric(12,2)', ord => 1, raw => sub { sprintf('%.2f', (rnd(60) - 20) / 4) } },
	num => { sql => 'numeric', ord => 1, ambig => 1,
		raw => sub { chance(0.04) ? 'NaN' : chance(0.02) ? 'Infinity'
			  : pick('1', '1.0', '1.00', '2.5', '2.50', '-3.25', '0', '0.00', '7', '10.125', '-1') } },
	text => { sql => 'text', ord => 1,
		raw => sub { chance(0.02) ? join('', map { sprintf('%08x', rnd(2**31)) } 1 .. 300 + rnd(100))
			  : pick(@words) } },
	vc => { sql => 'varchar(7)', ord => 1, raw => sub { substr(pick('a', 'b', 'long one', 'C', 'dd'), 0, 7) } },
	bp => { sql => 'char(4)', ord => 1, raw => sub { pick('a', 'ab', 'B', 'abcd') } },
	bool => { sql => 'boolean', ord => 1, noagg => 1, raw => sub { pick('t', 'f') } },
	date => { sql => 'date', ord => 1, raw => sub { sprintf('2024-%02d-%02d', 1 + rnd(3), 1 + rnd(28)) } },
	ts => { sql => 'timestamptz', ord => 1,
		raw => sub { sprintf('2024-03-%02d %02d:%02d:00+00', 9 + rnd(3), rnd(24), pick(0, 30)) } },
	f8 => { sql => 'float8', ord => 1, ambig => 1,
		raw => sub { chance(0.03) ? pick('NaN', 'Infinity') : chance(0.1) ? '-0' : (rnd(40) - 10) / 4 } },
	ci => { sql => 'text COLLATE oracle.ci', ord => 1, ambig => 1, raw => sub { pick('a', 'A', 'b', 'Bb', 'bB', '') } },
	jsonb => { sql => 'jsonb', ord => 1, nominmax => 1,
		raw => sub { pick('{"a": 1}', '{"a": 2, "b": "x"}', '{"b": "y"}', '[1, 2]', '{}', 'null', '{"a": 1, "c": [1]}') } },
	json => { sql => 'json', raw => sub { pick('{"a": 1}', '{"a":1}', '[1,2]', 'null') } },
	ia => { sql => 'int[]', ord => 1, raw => sub { pick('{1,2}', '{1,NULL}', '{}', '{3}', '{2,1}') } },
	comp => { sql => 'oracle.comp', ord => 1, nominmax => 1, raw => sub { pick('(1,a)', '(2,)', '(,b)', '(,)', '(1,b)', '(3,"c d")') } },
	dom => { sql => 'oracle.posint', ord => 1, raw => sub { rnd(8) } },
	enum => { sql => 'oracle.color', ord => 1, raw => sub { pick('red', 'green', 'blue') } },
	cit => { sql => 'oracle.cit', ord => 1, ambig => 1, nominmax => 1, raw => sub { pick('a', 'A', 'b', 'Bb', 'bB', '') } },
	rng => { sql => 'int4range', ord => 1, nominmax => 1, raw => sub { pick('[1,3)', '[0,9)', 'empty', '(,2)', '[2,)', '[1,2]') } },
	xml => { sql => 'oracle.xmldoc', raw => sub { pick('<a>1</a>', '<a>1</a>', '<b><c/></b>', 'x') } },
	whole => { sql => 'whole row', raw => sub { undef } },
	f8r => { sql => 'float8', raw => sub { (rnd(40) - 10) / 4 } },
	tsn => { sql => 'timestamp', ord => 1, raw => sub { sprintf('2024-03-%02d %02d:30:00', 9 + rnd(3), rnd(24)) } },
	time => { sql => 'time', ord => 1, raw => sub { sprintf('%02d:%02d:00', rnd(24), pick(0, 30)) } },
	uuid => { sql => 'uuid', ord => 1, nominmax => 1, raw => sub { sprintf('00000000-0000-0000-0000-%012d', rnd(5)) } },
	bytea => { sql => 'bytea', ord => 1, nominmax => 1, raw => sub { pick('\\x00', '\\xff01', '\\x', '\\x00ff') } },
	inet => { sql => 'inet', ord => 1, nominmax => 1, raw => sub { pick('10.0.0.1', '10.0.0.0/8', '::1', '10.0.0.2/32') } },
	bit => { sql => 'bit(3)', ord => 1, nominmax => 1, raw => sub { pick('101', '000', '111') } },
	mr => { sql => 'int4multirange', ord => 1, nominmax => 1, raw => sub { pick('{[1,3)}', '{}', '{[0,2),[5,)}', '{(,1)}') } },
	ta => { sql => 'text[]', ord => 1, nominmax => 1, raw => sub { pick('{a,b}', '{}', '{NULL}', '{"x y",a}', '{b}') } },
	iv => { sql => 'interval', ord => 1, ambig => 1, raw => sub { pick('1 day', '24:00:00', '01:30:00', '-2 days', '1 mon', '30 days') } },
);

sub sql_type { return $types{ $_[0] }{sql}; }
sub is_orderable { my $t = $types{ $_[0] }; return $t->{ord} && !$t->{nominmax} && !$t->{noagg}; }
sub is_hashable { return $types{ $_[0] }{ord}; }
sub is_ambiguous { return $types{ $_[0] }{ambig}; }
sub random_type
{
	return pick(qw(int int int int bigint n2 n2 num text text text vc bp bool date date ts f8 ci jsonb jsonb json ia ia comp dom enum enum iv cit rng xml
		tsn time uuid bytea inet bit mr ta));
}

# A value in text form, undef for NULL.
sub raw_value
{
	my ($type, $nullp) = @_;
	return undef if chance($nullp // 0.12);
	return $types{$type}{raw}->();
}

sub literal
{
	my ($type, $nullp) = @_;
	my $v = raw_value($type, $nullp);
	my $sql = $types{$type}{sql};

	$sql =~ s/ COLLATE .*//;
	return "NULL::$sql" unless defined $v;
	return $v if $type eq 'int' && $v >= 0;
	return quote_lit($v) . "::$sql";
}

# What two images of a loose value have in common, as text.
sub norm
{
	my ($type, $ref) = @_;
	return "trim_scale($ref)::text" if $type eq 'num';
	return "(CASE WHEN $ref = 0 THEN 0 ELSE $ref END)::text" if $type eq 'f8';
	return "round($ref\::numeric, 6)::text" if $type eq 'f8r';
	return "lower(($ref)::text COLLATE \"C\")" if $type =~ /^(ci|cit)$/;
	return "justify_interval($ref)::text" if $type eq 'iv';
	return "$ref\::text";
}

sub columns_of_type
{
	my ($scope, $type, $tight) = @_;
	return grep { $_->{type} eq $type && !($tight && $_->{loose}) } @$scope;
}

# Returns (sql, loose). Falls back to a literal where the scope has no column.
sub gen_expr
{
	my ($scope, $type, $depth) = @_;
	my @cols = columns_of_type($scope, $type);

	if ($scalar)
	{
		my $e = $scalar->($scope, $type);
		return ($e, 0) if defined $e;
	}
	if (@cols && ($depth <= 0 || chance(0.55)))
	{
		my $c = pick(@cols);
		return ($c->{ref}, $c->{loose});
	}
	return (literal($type), 0) if $depth <= 0 || chance(0.08);
	return compose($scope, $type, $depth - 1);
}

# A sub-expression that may be embedded anywhere: never loose.
sub tight
{
	my ($scope, $type, $depth) = @_;
	for (1 .. 3)
	{
		my ($e, $loose) = gen_expr($scope, $type, $depth);
		return $e unless $loose;
	}
	return literal($type);
}

my %compose = (
	int => sub {
		my ($s, $d) = @_;
		my $a = tight($s, 'int', $d);
		return pick(
			sub { "($a + " . tight($s, 'int', $d) . ')' },
			sub { "($a - " . rnd(4) . ')' },
			sub { "($a * " . pick(2, 3, -1) . ')' },
			sub { "($a % " . pick(2, 3, 5) . ')' },
			sub { 'length(' . tight($s, 'text', $d) . ')' },
			sub { "abs($a)" },
			sub { 'extract(month FROM ' . tight($s, 'date', $d) . ')::int' },
			sub { '(' . tight($s, 'ia', 0) . ')[1]' },
			sub { '(' . tight($s, 'comp', 0) . ').f' },
			sub { "nullif($a, " . rnd(3) . ')' },
			sub { "greatest($a, " . tight($s, 'int', $d) . ', 1)' },
			sub { '(' . tight($s, 'bool', $d) . ')::int' },
			sub { '(' . tight($s, 'dom', 0) . ' + 1)' },
			sub { '(' . tight($s, 'jsonb', 0) . "->>'a')::int" },
			sub { '(' . tight($s, 'date', 0) . ' - ' . tight($s, 'date', 0) . ')' },
			sub { 'oracle.plus(' . $a . ')' },
			sub { 'oracle.plus(b => ' . $a . ', a => ' . rnd(3) . ')' },
			sub { "CASE $a WHEN 1 THEN " . tight($s, 'int', $d) . " WHEN 2 THEN 0 END" },
			sub { 'cardinality(' . tight($s, pick('ia', 'ta'), 0) . ')' },
			sub { 'position(' . quote_lit(pick('a', 'b')) . ' IN ' . tight($s, 'text', 0) . ')' },
			sub { 'num_nulls(' . join(', ', $a, tight($s, 'text', 0), tight($s, 'date', 0)) . ')' },
			sub { "width_bucket($a, 0, 6, 3)" },
			sub { 'extract(hour FROM ' . tight($s, pick('tsn', 'time'), 0) . ')::int' },
			sub { 'bit_length(' . tight($s, 'bytea', 0) . ')' },
			sub { '(' . tight($s, 'jsonb', 0) . ")['a']::text::numeric::int" },
			sub { pick('upper', 'lower') . '(' . tight($s, 'rng', 0) . ')' },
		)->();
	},
	bigint => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'bigint', $d) . ' + ' . tight($s, 'int', $d) . ')' },
			sub { '(' . tight($s, 'int', $d) . ')::bigint' },
			sub { '(- ' . tight($s, 'bigint', 0) . ')' },
		)->();
	},
	n2 => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'int', $d) . ')::numeric(12,2)' },
			sub { '(' . tight($s, 'n2', 0) . ' * ' . pick('0.3', '1.15', '2') . ')::numeric(12,2)' },
		)->();
	},
	num => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'num', $d) . ' + ' . tight($s, 'n2', $d) . ')' },
			sub { '(' . tight($s, 'n2', $d) . ' * (1 - ' . tight($s, 'n2', 0) . '))' },
			sub { '(' . tight($s, 'n2', $d) . ' / 3)' },
			sub { 'round(' . tight($s, 'num', $d) . ', 1)' },
			sub { '(- ' . tight($s, 'num', $d) . ')' },
			sub { '(' . tight($s, 'int', $d) . ')::numeric' },
			sub { 'abs(' . tight($s, 'num', $d) . ')' },
		)->();
	},
	f8 => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'f8', $d) . ' + ' . tight($s, 'f8', $d) . ')' },
			sub { '(' . tight($s, 'f8', $d) . ' * 2)' },
			sub { '(- ' . tight($s, 'f8', $d) . ')' },
			sub { '(' . tight($s, 'int', $d) . ')::float8' },
		)->();
	},
	text => sub {
		my ($s, $d) = @_;
		my $a = tight($s, 'text', $d);
		return pick(
			sub { "lower($a)" },
			sub { "upper($a)" },
			sub { "($a || " . tight($s, 'text', $d) . ')' },
			sub { "substr($a, 1, 2)" },
			sub { "left($a, 1)" },
			sub { "md5($a)" },
			sub { "coalesce($a, '-')" },
			sub { "replace($a, 'a', 'o')" },
			sub { "concat($a, '/', " . tight($s, 'int', $d) . ')' },
			sub { '(' . tight($s, 'int', $d) . ')::text' },
			sub { '(' . tight($s, 'date', 0) . ')::text' },
			sub { '(' . tight($s, 'ts', 0) . ')::text' },
			sub { '(' . tight($s, 'num', 0) . ')::text' },
			sub { '(' . tight($s, 'enum', 0) . ')::text' },
			sub { '(' . tight($s, 'bp', 0) . ')::text' },
			sub { '(' . tight($s, 'jsonb', 0) . "->>'b')" },
			sub { '(' . tight($s, 'comp', 0) . ').g' },
			sub { "format('%s-%s', $a, " . tight($s, 'int', 0) . ')' },
			sub { 'to_char(' . tight($s, 'date', 0) . ", 'YYYY-MM')" },
			sub { '(' . tight($s, 'bool', 0) . ')::text' },
			sub { '(' . tight($s, 'vc', 0) . " || 'v')" },
			sub { my $t = pick('uuid', 'bytea', 'inet', 'bit', 'mr', 'tsn', 'time', 'rng'); '(' . tight($s, $t, 0) . ')::text' },
			sub { '(' . tight($s, 'ta', 0) . ')[' . pick('1', '2', '-1') . ']' },
			sub { 'array_to_string(' . tight($s, pick('ia', 'ta'), 0) . ", '-', '*')" },
			sub { "trim(both 'a' from $a)" },
			sub { "overlay($a placing 'z' from 1 for 1)" },
			sub { '(' . tight($s, 'enum', 0) . ')::text || ' . $a },
		)->();
	},
	vc => sub { my ($s, $d) = @_; return '(' . tight($s, 'text', $d) . ')::varchar(7)'; },
	bp => sub { my ($s, $d) = @_; return '(left(' . tight($s, 'text', 0) . ', 4))::char(4)'; },
	bool => sub { my ($s, $d) = @_; return '(' . gen_cond($s, $d) . ')'; },
	date => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'date', $d) . ' + ' . rnd(5) . ')' },
			sub { '(' . tight($s, 'ts', 0) . ')::date' },
		)->();
	},
	ts => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'ts', 0) . " + interval '1 hour')" },
			sub { "date_trunc('day', " . tight($s, 'ts', 0) . ')' },
			sub { '(' . tight($s, 'date', 0) . ')::timestamptz' },
			sub { '(' . tight($s, 'ts', 0) . ' + ' . tight($s, 'iv', 0) . ')' },
		)->();
	},
	ci => sub { my ($s, $d) = @_; return '(coalesce(' . tight($s, 'ci', 0) . ", 'n'))"; },
	jsonb => sub {
		my ($s, $d) = @_;
		return pick(
			sub { "jsonb_build_object('x', " . tight($s, 'int', $d) . ')' },
			sub { 'to_jsonb(' . tight($s, 'text', $d) . ')' },
			sub { '(' . tight($s, 'jsonb', 0) . "->'b')" },
		)->();
	},
	json => sub { my ($s, $d) = @_; return '(' . tight($s, 'jsonb', 0) . ')::json'; },
	ia => sub {
		my ($s, $d) = @_;
		return pick(
			sub { '(' . tight($s, 'ia', 0) . ' || ' . tight($s, 'int', 0) . ')' },
			sub { 'ARRAY[' . tight($s, 'int', $d) . ', ' . tight($s, 'int', 0) . ']' },
		)->();
	},
	comp => sub { my ($s, $d) = @_; return 'ROW(' . tight($s, 'int', $d) . ', ' . tight($s, 'text', 0) . ')::oracle.comp'; },
	dom => sub { my ($s, $d) = @_; return 'abs(' . tight($s, 'int', 0) . ')::oracle.posint'; },
	enum => sub { my ($s, $d) = @_; return 'greatest(' . tight($s, 'enum', 0) . ", 'green'::oracle.color)"; },
	f8r => sub { my ($s, $d) = @_; return '(' . tight($s, 'f8', 0) . ' * 2)'; },
	iv => sub { my ($s, $d) = @_; return '(' . tight($s, 'iv', 0) . ' * 2)'; },
	cit => sub { my ($s, $d) = @_; return '(coalesce(' . tight($s, 'cit', 0) . ", 'n'))"; },
	rng => sub { my ($s, $d) = @_; my $i = tight($s, 'int', 0); return "int4range(least($i, 2), greatest($i, 2))"; },
	tsn => sub { my ($s, $d) = @_; return pick('(' . tight($s, 'date', 0) . ")::timestamp", '(' . tight($s, 'ts', 0) . " AT TIME ZONE 'UTC')"); },
	time => sub { my ($s, $d) = @_; return '(' . tight($s, 'tsn', 0) . ')::time'; },
	uuid => sub { my ($s, $d) = @_; return '(md5(' . tight($s, 'text', 0) . '))::uuid'; },
	bytea => sub { my ($s, $d) = @_; return '(' . tight($s, 'bytea', 0) . " || '\\x01'::bytea)"; },
	inet => sub { my ($s, $d) = @_; return 'network(' . tight($s, 'inet', 0) . ')::inet'; },
	bit => sub { my ($s, $d) = @_; return '(~ ' . tight($s, 'bit', 0) . ')::bit(3)'; },
	mr => sub { my ($s, $d) = @_; return 'int4multirange(' . tight($s, 'rng', 0) . ')'; },
	ta => sub { my ($s, $d) = @_; return pick('ARRAY[' . tight($s, 'text', $d) . ", 'e']", '(' . tight($s, 'ta', 0) . ')[1:1]', 'string_to_array(' . tight($s, 'text', 0) . ", ' ')"); },
	xml => sub { my ($s, $d) = @_; return 'coalesce(' . tight($s, 'xml', 0) . ", '<n/>'::oracle.xmldoc)"; },
);

sub compose
{
	my ($scope, $type, $depth) = @_;

	if ($type ne 'bool' && chance(0.25) && $type ne 'whole')
	{
		my $a = tight($scope, $type, $depth);
		return ("coalesce($a, " . literal($type, 0) . ')', 0) if chance(0.4);
		return ('CASE WHEN ' . gen_cond($scope, $depth) . " THEN $a ELSE "
			  . tight($scope, $type, $depth) . ' END', 0);
	}
	return ($compose{$type}->($scope, $depth), 0);
}

# A boolean condition over the scope.
sub gen_cond
{
	my ($scope, $depth) = @_;
	my @usable = grep { is_hashable($_->{type}) } @$scope;

	if ($sublink)
	{
		my $s = $sublink->($scope);
		return $s if defined $s;
	}
	return pick('true', 'NOT false') unless @usable;
	if ($depth > 0 && chance(0.3))
	{
		my $op = pick('AND', 'OR', 'OR');
		return '(' . gen_cond($scope, $depth - 1) . " $op " . gen_cond($scope, $depth - 1) . ')';
	}
	return '(NOT ' . gen_cond($scope, $depth - 1) . ')' if $depth > 0 && chance(0.08);

	my $c = pick(@usable);
	my ($r, $t) = ($c->{ref}, $c->{type});
	my @same = grep { $_->{ref} ne $r } columns_of_type($scope, $t);

	return "$r IS " . pick("", "NOT ", "NOT ", "NOT ") . "NULL" if chance(0.1);
	return "$r IS " . pick('', 'NOT ') . pick('TRUE', 'FALSE', 'UNKNOWN') if $t eq 'bool' && chance(0.3);
	return $r if $t eq 'bool' && chance(0.6);
	if (chance(0.04))
	{
		# rows
		my $c2 = pick(@usable);
		my @with = columns_of_type($scope, $c2->{type});
		return "($r, $c2->{ref}) " . pick('=', '<>', '<', '>=') . ' (' . literal($t, 0.05) . ', ' . pick(@with)->{ref} . ')' if chance(0.5);
		return "($r, $c2->{ref}) " . pick('', 'NOT ') . 'IN (' . join(', ', map { '(' . literal($t, 0) . ', ' . literal($c2->{type}, 0.05) . ')' } 1 .. 3) . ')'
		  if chance(0.5);
		return "ROW($r, $c2->{ref}) IS " . pick('', 'NOT ') . 'NULL';
	}
	return "$r = ANY (ARRAY[" . join(', ', map { literal($t, 0.05) } 1 .. 3) . '])' if $t =~ /^(int|text|date|enum|n2)$/ && chance(0.05);
	return "$r COLLATE \"C\" " . pick('<', '>=') . ' ' . literal($t, 0) if $t =~ /^(text|vc)$/ && chance(0.08);
	return "$r SIMILAR TO '(a|b)%'" if $t eq 'text' && chance(0.05);
	return "$r " . pick('&&', '@>', '<@') . ' ' . literal($t, 0) if $t =~ /^(ia|ta|rng|mr)$/ && chance(0.3);
	return "$r " . pick("? 'a'", "? 'b'", "\@> '{\"a\": 1}'", "\@? '\$.c'") if $t eq 'jsonb' && chance(0.25);
	return "$r IS JSON " . pick('OBJECT', 'ARRAY', 'SCALAR') if $t eq 'text' && chance(0.03) && ($Oracle::Gen::version // 0) >= 160000;
	return "$r " . pick('', 'NOT ') . 'BETWEEN SYMMETRIC ' . literal($t, 0) . ' AND ' . literal($t, 0) if is_orderable($t) && chance(0.03);
	return "$r " . pick('=', '<>', '<', '<=', '>=', '<>') . ' ' . pick(@same)->{ref} if @same && chance(0.25);
	return "$r IS " . pick('', 'NOT ', '') . 'DISTINCT FROM ' . literal($t) if chance(0.12);
	return "$r " . pick('', 'NOT ') . 'IN (' . join(', ', map { literal($t, 0) } 1 .. 4) . ")" if chance(0.15);
	return "$r LIKE " . quote_lit(pick('a%', '%b%', '_', '')) if $t =~ /^(text|vc)$/ && chance(0.3);
	return "$r BETWEEN " . literal($t, 0) . ' AND ' . literal($t, 0)
	  if is_orderable($t) && chance(0.07);
	return "($r->>'a') = '1'" if $t eq 'jsonb' && chance(0.4);
	return rnd(4) . " = ANY($r)" if $t eq 'ia' && chance(0.4);
	return "$r @> 1" if $t eq 'rng' && chance(0.5);
	return "$r " . pick('=', '<>', '<>') . ' ' . literal($t, 0) unless is_orderable($t);
	return "$r " . pick('=', '<>', '<>', '<', '<=', '>', '>=', '>', '<=') . ' ' . literal($t, 0);
}

1;
