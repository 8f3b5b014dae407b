# Oracle::Workload: random schemas, stream tables over them, and batches of
# changes. A case group is a list of items in order:
#   { kind, sql, need }
# kind: setup (must work), create, dml (may break a constraint), tx (BEGIN and
# the like), refresh, misc. Each item can be left out by the reducer.
package Oracle::Workload;

use strict;
use warnings;
use Exporter 'import';
use Oracle::Gen ();
use Oracle::Types;
use Oracle::Query;

our @EXPORT = qw(gen_group);

my ($group, $next_id);

sub item { my ($kind, $sql, %more) = @_; return { kind => $kind, sql => $sql, %more }; }
sub put { push @{ $group->{items} }, item(@_); return; }

# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------

sub make_table
{
	my ($n) = @_;
	my $name = "o.t$n";
	my $t = { name => $name, n => $n, shape => 'plain', rows => 18, nullp => pick(0.05, 0.12, 0.12, 0.45) };
	my $ktype = pick('int', 'int', 'int', 'bigint');
	my @cols = ({ name => 'k', type => $ktype });
	my @defs;

	$t->{key} = pick('id', 'id', 'id', 'none', 'none', 'pair');
	$t->{shape} = pick('list', 'hash', 'inherit') if chance(0.22);
	unshift @cols, { name => 'id', type => 'int', notnull => 1 } unless $t->{key} eq 'none';
	push @cols, { name => "c$n$_", type => random_type() } for 1 .. 2 + rnd(4);
	# same name and type in several tables, for USING and NATURAL
	push @cols, { name => 'm', type => pick('text', 'int') } if chance(0.3);
	$_->{loose} = 0 foreach @cols;
	$t->{cols} = \@cols;

	# the key of a partitioned table holds its partition key
	if ($t->{key} eq 'pair' || ($t->{shape} =~ /list|hash/ && $t->{key} ne 'none'))
	{
		$t->{key} = 'pair';
		$_->{notnull} = 1 foreach grep { $_->{name} eq 'k' } @cols;
	}
	foreach my $c (@cols)
	{
		my $not = $c->{notnull} || chance(0.12);
		$c->{notnull} = $not;
		push @defs, "$c->{name} " . sql_type($c->{type}) . ($not ? ' NOT NULL' : '');
	}
	# a column dropped before anything else shifts the others
	my $dropped = chance(0.15);
	splice @defs, rnd(@defs + 1), 0, 'gone int' if $dropped;
	if (chance(0.15) && $t->{shape} ne 'inherit')
	{
		my $e = pick('k * 2 + 1', 'coalesce(k, 0) % 3', 'nullif(k, 1) + 1');
		push @cols, { name => "g$n", type => $ktype, generated => 1, notnull => 1, loose => 0 };
		push @defs, "g$n " . sql_type($ktype) . " GENERATED ALWAYS AS ($e) STORED";
	}
	push @defs, 'PRIMARY KEY (id)' if $t->{key} eq 'id';
	push @defs, 'PRIMARY KEY (k, id)' if $t->{key} eq 'pair';
	if ($n > 1 && $group->{tables}[0]{key} eq 'id' && $t->{shape} eq 'plain' && chance(0.15)
		&& $ktype eq 'int')
	{
		push @defs, 'FOREIGN KEY (k) REFERENCES o.t1 ON UPDATE CASCADE ON DELETE CASCADE';
		$t->{fk} = 1;
	}
	my $sql = "CREATE TABLE $name (" . join(', ', @defs) . ')';
	$sql .= ' PARTITION BY LIST (k)' if $t->{shape} eq 'list';
	$sql .= ' PARTITION BY HASH (k)' if $t->{shape} eq 'hash';
	$sql .= ' WITH (fillfactor = 50)' if $t->{shape} eq 'plain' && chance(0.1);
	put('setup', $sql);
	put('setup', "ALTER TABLE $name DROP COLUMN gone") if $dropped;
	$t->{leaves} = [$name];
	if ($t->{shape} eq 'list')
	{
		put('setup', "CREATE TABLE ${name}_a PARTITION OF $name FOR VALUES IN (0, 1, 2)");
		put('setup', "CREATE TABLE ${name}_b PARTITION OF $name DEFAULT");
		push @{ $t->{leaves} }, "${name}_a", "${name}_b";
	}
	elsif ($t->{shape} eq 'hash')
	{
		put('setup', "CREATE TABLE ${name}_$_ PARTITION OF $name FOR VALUES WITH (MODULUS 2, REMAINDER $_)")
		  for 0, 1;
		push @{ $t->{leaves} }, "${name}_0", "${name}_1";
	}
	elsif ($t->{shape} eq 'inherit')
	{
		put('setup', "CREATE TABLE ${name}_c (extra int) INHERITS ($name)");
		push @{ $t->{leaves} }, "${name}_c";
	}
	put('setup', "CREATE INDEX ON $name (k)") if chance(0.3);
	return $t;
}

# The columns a statement may give values for.
sub plain_cols { my ($t) = @_; return grep { !$_->{generated} } @{ $t->{cols} }; }

sub values_row
{
	my ($t, %fix) = @_;
	return '(' . join(', ', map {
		exists $fix{ $_->{name} } ? $fix{ $_->{name} }
		: $_->{name} eq 'k' && chance(0.7) ? rnd(4)
		: literal($_->{type}, $_->{notnull} ? 0 : $t->{nullp})
	} plain_cols($t)) . ')';
}

sub new_id { return chance(0.5) ? rnd(40) : ++$next_id; }

sub values_list
{
	my ($t, $n) = @_;
	return 'VALUES ' . join(', ', map { values_row($t, id => new_id()) } 1 .. $n);
}

sub column_list { my ($t) = @_; return join(', ', map { $_->{name} } plain_cols($t)); }

sub copy_line
{
	my ($t) = @_;
	return join("\t", map {
		my $v = $_->{name} eq 'id' ? ++$next_id : raw_value($_->{type}, $_->{notnull} ? 0 : undef);
		if (defined $v)
		{
			$v =~ s/\\/\\\\/g;
			$v =~ s/\t/\\t/g;
			$v = '\\N' if !defined $v;
			$v = 'NULLs' if $v eq '\\.';
		}
		$v // '\\N';
	} plain_cols($t));
}

# ---------------------------------------------------------------------------
# Changes
# ---------------------------------------------------------------------------

sub table_scope { my ($t, $alias) = @_; return [ map { { %$_, ref => "$alias.$_->{name}" } } @{ $t->{cols} } ]; }

# A condition that some rows meet, the same ones in every run.
sub some_rows
{
	my ($t, $alias) = @_;
	my $key = $t->{key} eq 'none' ? 'k' : 'id';

	return "$alias.$key = " . rnd(30) if $t->{key} ne 'none' && chance(0.25);
	return "coalesce($alias.$key, 7) % " . (3 + rnd(5)) . ' = ' . rnd(3) if chance(0.6);
	return gen_cond(table_scope($t, $alias), 1);
}

sub set_list
{
	my ($t, $alias) = @_;
	my @sets;
	my %done;

	for (1 .. pick(1, 1, 2, 3))
	{
		my $c = pick(plain_cols($t));
		next if $done{ $c->{name} }++;
		my $e;
		if ($c->{name} eq 'id')
		{
			next unless chance(0.3);
			$e = pick("$alias.id + 100", "$alias.id + 1", "- $alias.id");
		}
		elsif (chance(0.1)) { $e = "$alias.$c->{name}"; }
		elsif (chance(0.35) && !$c->{notnull})
		{
			($e) = gen_expr(table_scope($t, $alias), $c->{type}, 1);
		}
		else { $e = literal($c->{type}, $c->{notnull} ? 0 : undef); }
		push @sets, "$c->{name} = $e";
	}
	push @sets, 'k = ' . literal($t->{cols}[0]{name} eq 'k' ? $t->{cols}[0]{type} : 'int', 0) unless @sets;
	return join(', ', @sets);
}

sub dml
{
	my ($t) = @_;
	my $name = $t->{name};
	my $target = chance(0.25) ? pick(@{ $t->{leaves} }) : $name;
	my $cols = column_list($t);
	my $key = $t->{key} eq 'id' ? 'id' : $t->{key} eq 'pair' ? 'k, id' : undef;
	my @other = @{ $group->{tables} };
	my @ways = (
		(sub { "INSERT INTO $target ($cols) " . values_list($t, 1 + rnd(4)) }) x 3,
		(sub { "UPDATE $target x SET " . set_list($t, 'x') . ' WHERE ' . some_rows($t, 'x') }) x 5,
		(sub { "DELETE FROM $target x WHERE " . some_rows($t, 'x') }) x 3,
		sub { "INSERT INTO $name ($cols) SELECT " . join(', ', map { $_->{name} eq 'id' ? 'id + 1000' : "x.$_->{name}" }
			  plain_cols($t)) . " FROM $name x WHERE " . some_rows($t, 'x') . ' LIMIT 6' },
		sub { "DELETE FROM $name WHERE ctid IN (SELECT ctid FROM $name x ORDER BY x.*::text LIMIT 2)" },
		sub { "COPY $name ($cols) FROM stdin;\n" . join("\n", map { copy_line($t) } 1 .. 1 + rnd(3)) . "\n\\." },
		sub { "WITH gone AS (DELETE FROM $name x WHERE " . some_rows($t, 'x')
			  . " RETURNING *) INSERT INTO $name ($cols) SELECT $cols FROM gone LIMIT 3" },
		sub { "UPDATE $name x SET " . set_list($t, 'x') . ' FROM ' . pick(@other)->{name}
			  . ' y WHERE x.k = y.k AND ' . some_rows($t, 'x') },
		sub { "DELETE FROM $name x USING " . pick(@other)->{name} . ' y WHERE x.k = y.k AND ' . some_rows($t, 'x') },
	);

	push @ways, sub { "TRUNCATE $name" . ($t->{n} == 1 && $group->{has_fk} ? ' CASCADE' : '') }
	  if chance(0.25);
	if ($key && $t->{shape} ne 'inherit')
	{
		push @ways, (sub { "INSERT INTO $name ($cols) " . values_list($t, 1 + rnd(4)) . " ON CONFLICT DO NOTHING" }) x 2;
		push @ways, sub { my $vals = $t->{key} eq 'id' ? values_row($t, id => rnd(30)) : values_row($t, id => rnd(30));
			"INSERT INTO $name AS x ($cols) VALUES $vals ON CONFLICT ($key) DO UPDATE SET "
			  . set_list($t, 'x') };
	}
	if ($t->{shape} ne 'inherit')
	{
		my $on = $t->{key} eq 'none' ? 'x.k = v.k' : 'x.id = v.id';
		push @ways, sub {
			my $source = "MERGE INTO $name x USING (SELECT * FROM (" . values_list($t, 1 + rnd(4)) . ") v ($cols)) v ON $on";
			my $delete = ' WHEN MATCHED AND x.k % 3 = 0 THEN DELETE';
			my $update = ' WHEN MATCHED THEN UPDATE SET ' . set_list($t, 'v');
			my $insert = " WHEN NOT MATCHED THEN INSERT ($cols) VALUES (" . join(', ', map { "v.$_->{name}" } plain_cols($t)) . ')';
			# not all have all actions
			my $kind = ($group->{seed} + $group->{merges}++) % 5;
			return $source . ($kind < 3 ? $delete : '') . $update . ($kind < 2 || $kind == 3 ? $insert : '');
		};
	}
	return pick(@ways)->();
}

# Statements that leave nothing, or cancel each other.
sub cancelling
{
	my ($t) = @_;
	my $name = $t->{name};
	my $cols = column_list($t);
	my ($c) = grep { $_->{type} =~ /^(int|bigint|n2)$/ && $_->{name} !~ /^(id|k)$/ } plain_cols($t);

	return ("UPDATE $name SET $c->{name} = $c->{name} + 1", "UPDATE $name SET $c->{name} = $c->{name} - 1")
	  if $c && chance(0.5);
	my $id = 500000 + rnd(1000);
	return ("INSERT INTO $name ($cols) VALUES " . values_row($t, id => $id),
		$t->{key} eq 'none' ? "DELETE FROM $name WHERE ctid = (SELECT max(ctid) FROM $name)"
		: "DELETE FROM $name WHERE id = $id");
}

# Many rows that join with little, and away again: large change sets.
sub bulk
{
	my ($t) = grep { my $x = $_; $x->{shape} ne "inherit" && !$x->{fk}
		  && !grep { $_->{notnull} && $_->{name} !~ /^(id|k)$/ } plain_cols($x) } @{ $group->{tables} };
	return unless $t;
	my $n = chance(0.1) ? 1500 : 100 + rnd(250);
	my $cols = column_list($t);

	put("dml", "INSERT INTO $t->{name} ($cols) SELECT "
		  . join(", ", map { $_->{name} =~ /^(id|k)$/ ? "10000 + g" : "NULL" } plain_cols($t))
		  . " FROM generate_series(1, $n) g");
	refresh_some(0.5) if chance(0.5);
	put("dml", "UPDATE $t->{name} SET k = k + 1 WHERE k > 10000") if chance(0.5);
	refresh_some(0.3) if chance(0.5);
	put("dml", "DELETE FROM $t->{name} WHERE k > 10000 + " . pick(0, 20));
	return;
}

# Several statements on random tables; often on all of them.
sub batch
{
	my ($n) = @_;
	my @tables = map { pick(@{ $group->{tables} }) } 1 .. $n;

	@tables = (@{ $group->{tables} }, @tables > 1 ? $tables[0] : ()) if $n > 1 && chance(0.5);
	foreach my $t (@tables)
	{
		if (chance(0.08))
		{
			put('dml', $_) foreach cancelling($t);
		}
		elsif (chance(0.1))
		{
			my $s = 's' . rnd(100);
			put('tx', "SAVEPOINT $s", intx => 1);
			put('dml', dml($t));
			put('tx', ($_ = pick('ROLLBACK TO', 'ROLLBACK TO', 'RELEASE')) . " $s", intx => 1);
		}
		else
		{
			my $sql = dml($t);
			put('dml', $sql);
			put('dml', "INSERT INTO $t->{name} (" . column_list($t) . ') ' . values_list($t, 3 + rnd(8))
				  . ($t->{key} eq 'none' ? '' : ' ON CONFLICT DO NOTHING')) if $sql =~ /^TRUNCATE/ && chance(0.7);
		}
	}
	return;
}

# Has it a column whose last digits depend on the order of the rows?
sub has_rounded { my ($q) = @_; return scalar grep { $_->{type} eq 'f8r' } @{ $q->{cols} }; }

# ---------------------------------------------------------------------------
# Stream tables
# ---------------------------------------------------------------------------

sub make_stream_table
{
	my ($n, $rels) = @_;
	my $q;

	for (1 .. 6)
	{
		$q = gen_query($rels);
		last if $q->{rows} < 1500;
	}
	my $name = "o.s$n";
	my $mode = $group->{mode} eq 'mixed' ? pick('DIFFERENTIAL', 'DIFFERENTIAL', 'DIFFERENTIAL', 'DIFFERENTIAL', 'AUTO', 'FULL')
	  : $group->{mode};
	my $st = { id => $n, name => $name, node => $q, mode => $mode, init => chance(0.93) };
	push @{ $group->{items} }, { kind => 'create', st => $st };
	push @{ $group->{sts} }, $st;
	put('misc', "SELECT pgtrickle.alter_stream_table('$name', append_only => true)") if Oracle::Gen::likely(0.05);
	return { name => $name, rows => $q->{rows}, hidden => 1,
		rounded => has_rounded($q), cols => [ map { { %$_ } } grep { $_->{type} !~ /^(f8r|whole)$/ } @{ $q->{cols} } ] };
}

sub make_view
{
	my ($n, $rels) = @_;
	my $q = gen_query($rels, view => 1);
	my $v = { name => "o.v$n", node => $q };
	push @{ $group->{items} }, { kind => 'view', st => $v };
	return { name => $v->{name}, rows => $q->{rows}, hidden => 1, rounded => has_rounded($q), cols => [ map { { %$_ } } grep { $_->{type} !~ /^(f8r|whole)$/ } @{ $q->{cols} } ] };
}

# SQL of a create item, from its (perhaps reduced) tree.
sub create_sql
{
	my ($st) = @_;
	my $query = render($st->{node});
	my $cmp = join(', ', map {
		$_->{loose} ? norm($_->{type}, $_->{name}) : "$_->{name}::text" } @{ $st->{node}{cols} });
	return sprintf("SELECT oracle.make(%d, %s, %s, %s, %s, %s%s);", $st->{id}, quote_lit($st->{name}),
		quote_lit($query), quote_lit($st->{mode}), $st->{init} ? 'true' : 'false', quote_lit($cmp),
		$st->{node}{raises} ? ', true' : '');
}

# ---------------------------------------------------------------------------
# A whole case group
# ---------------------------------------------------------------------------

sub refresh_some
{
	my ($p) = @_;
	my @sts = @{ $group->{sts} };

	@sts = reverse @sts if chance(0.1);
	foreach my $st (@sts)
	{
		next unless chance($p);
		put('refresh', "SELECT oracle.refresh($st->{id});");
	}
	return;
}

sub round_of_changes
{
	my $style = rnd(10);

	if ($style < 4)
	{
		batch(1 + rnd(4));
	}
	elsif ($style < 8)
	{
		put('tx', 'BEGIN' . pick('', '', ' ISOLATION LEVEL REPEATABLE READ'));
		batch(1 + rnd(4));
		if (chance(0.35))
		{
			refresh_some(0.7);
			batch(1 + rnd(3));
			refresh_some(0.5) if chance(0.5);
		}
		if (chance(0.2))
		{
			put('tx', 'SAVEPOINT r', intx => 1);
			batch(2);
			refresh_some(0.4);
			put('tx', 'ROLLBACK TO r', intx => 1);
			batch(1);
		}
		put('tx', pick('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK'));
	}
	elsif ($style == 8)
	{
		# a transaction in flight while others commit and a refresh runs
		my $g = "oracle_$group->{seed}_" . rnd(1000);
		my $t = pick(@{ $group->{tables} });
		put('tx', 'BEGIN');
		put('dml', "INSERT INTO $t->{name} (" . column_list($t) . ') VALUES '
			  . values_row($t, id => 600000 + rnd(100000)));
		put('dml', "UPDATE $t->{name} SET k = k WHERE k = " . rnd(3)) if chance(0.3);
		put('tx', "PREPARE TRANSACTION '$g'");
		batch(1 + rnd(3));
		refresh_some(0.8);
		batch(rnd(2));
		put('tx', pick('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '$g'");
		batch(rnd(2));
	}
	else
	{
		batch(1 + rnd(6));
	}
	return;
}

sub misc
{
	my $t = pick(@{ $group->{tables} });
	my $st = pick(@{ $group->{sts} });
	my @ways = (
		sub { put('misc', "VACUUM $t->{name}"); },
		sub { put('misc', "ANALYZE $t->{name}"); },
		sub { put('misc', "VACUUM $st->{name}"); },
		sub { put('misc', "SET pg_trickle.merge_strategy = " . pick('auto', 'merge', 'delete_insert')); },
		sub { put('misc', "SET pg_trickle.use_prepared_statements = " . pick('on', 'off')); },
		sub { put('misc', "SET pg_trickle.merge_planner_hints = " . pick('on', 'off')); },
		sub { put('misc', "SET work_mem = " . pick("'64kB'", "'4MB'")); },
		sub { put('misc', "SET TimeZone = " . pick("'UTC'", "'Asia/Kolkata'", "'America/New_York'"));
			put('misc', "SET DateStyle = " . pick("'ISO, MDY'", "'German'", "'SQL, DMY'")); },
		sub { put('misc', "SET enable_hashjoin = " . pick('on', 'off')); },
		sub { put('misc', 'DISCARD PLANS'); },
		sub { put('misc', "CREATE INDEX ON $t->{name} (k)"); },
		sub { put('misc', "SET pg_trickle.cdc_trigger_mode = " . pick('row', 'statement'));
			put('misc', 'SELECT pgtrickle.rebuild_cdc_triggers()'); },
	);
	if ($t->{shape} eq "list")
	{
		my $n = $t->{name};
		push @ways, sub {
			put("misc", "ALTER TABLE $n DETACH PARTITION ${n}_a", ddl => 1);
			batch(rnd(2));
			refresh_some(0.5) if chance(0.5);
			put("misc", "ALTER TABLE $n ATTACH PARTITION ${n}_a FOR VALUES IN (0, 1, 2)", ddl => 1);
		};
		push @ways, sub { put("misc", "CREATE TABLE ${n}_x PARTITION OF $n FOR VALUES IN (90, 91)", ddl => 1);
			put("misc", "DROP TABLE ${n}_x", ddl => 1) if chance(0.5); };
	}
	if ($t->{shape} eq "inherit")
	{
		my $n = $t->{name};
		push @ways, sub {
			put("misc", "ALTER TABLE ${n}_c NO INHERIT $n", ddl => 1);
			refresh_some(0.5);
			put("misc", "ALTER TABLE ${n}_c INHERIT $n", ddl => 1);
		};
	}
	my ($ix) = grep { $_->{type} =~ m{^(int|bigint|n2|date|ts)$} } @{ $st->{node}{cols} };
	push @ways, sub { put("misc", "CREATE INDEX ON $st->{name} ($ix->{name})"); } if $ix;
	push @ways, sub {
		my $c = 'z' . rnd(1000);
		put('misc', "ALTER TABLE $t->{name} ADD COLUMN $c int DEFAULT 5", ddl => 1);
	}
	  if chance(0.3);
	pick(@ways)->();
	return;
}

# Another content of the file that the foreign table o.f1 reads.
sub foreign_content
{
	my ($from, $m) = (rnd(4), 2 + rnd(3));
	return q{DO $$ BEGIN EXECUTE format('COPY (SELECT nullif(mod(g, 5), 4), nullif(left(''abBa'', mod(g, 4)), '''') FROM}
	  . " generate_series($from, @{[ $from + 4 + rnd(8) ]}) g WHERE mod(g, $m) <> 0)"
	  . q{ TO %L (FORMAT csv)', current_setting('data_directory') || '/oracle_f1'); END $$};
}

# opts: mode (mixed, DIFFERENTIAL, ...), tables, sts, rounds.
sub gen_group
{
	my ($seed, %opts) = @_;
	my (@rels, @views);

	srand($seed);
	%Oracle::Gen::sub = ();
	$next_id = 100;
	$group = { seed => $seed, items => [], tables => [], sts => [], mode => $opts{mode} // 'mixed' };
	$group->{unhinged} = chance(0.5);
	$group->{bulk} = chance(0.06);

	put('misc', "SET pg_trickle.cdc_trigger_mode = row") if chance(0.15);
	put('misc', "SET pg_trickle.change_buffer_unlogged = on") if chance(0.1);
	for my $n (1 .. 2 + rnd(3))
	{
		my $t = make_table($n);
		push @{ $group->{tables} }, $t;
		$group->{has_fk} = 1 if $t->{fk};
		push @rels, { name => $t->{name}, cols => $t->{cols}, rows => $t->{rows},
			key => $t->{shape} eq 'inherit' ? [] : $t->{key} eq 'id' ? ['id'] : $t->{key} eq 'pair' ? [ 'k', 'id' ] : [] };
		# a partition or child as a source of its own
		if (@{ $t->{leaves} } > 1 && chance(0.3))
		{
			push @rels, { name => $t->{leaves}[1], cols => $t->{cols}, rows => 8, hidden => $t->{shape} eq 'inherit' };
		}
		push @rels, { name => "ONLY $t->{name}", cols => $t->{cols}, rows => 10 }
		  if $t->{shape} eq 'inherit' && chance(0.3);
	}
	if (chance(0.04) && Oracle::Gen::on('matview'))
	{
		my $t = pick(@{ $group->{tables} });
		put('setup', "CREATE MATERIALIZED VIEW o.m1 AS SELECT k, $t->{cols}[-1]{name} FROM $t->{name}");
		put('misc', 'SET pg_trickle.matview_polling = on') if chance(0.6);
		push @rels, { name => 'o.m1', rows => $t->{rows}, cols => [ grep { $_->{name} =~ /^(k|$t->{cols}[-1]{name})$/ } @{ $t->{cols} } ] };
		$group->{matview} = 1;
	}
	if (chance(0.04) && Oracle::Gen::on('foreign'))
	{
		put('setup', $_) foreach 'CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA oracle',
		  'DO $$ BEGIN CREATE SERVER oracle_files FOREIGN DATA WRAPPER file_fdw; EXCEPTION WHEN duplicate_object THEN END $$',
		  foreign_content(), q{DO $$ BEGIN EXECUTE format('CREATE FOREIGN TABLE o.f1 (k int, x text) SERVER oracle_files}
		  . q{ OPTIONS (filename %L, format ''csv'')', current_setting('data_directory') || '/oracle_f1'); END $$};
		put('misc', 'SET pg_trickle.foreign_table_polling = on') if chance(0.6);
		push @rels, { name => 'o.f1', rows => 8, hidden => 1,
			cols => [ { name => 'k', type => 'int', loose => 0 }, { name => 'x', type => 'text', loose => 0 } ] };
		$group->{foreign} = 1;
	}
	foreach my $t (@{ $group->{tables} })
	{
		next if chance(0.02);
		put('dml', "INSERT INTO $t->{name} (" . column_list($t) . ') ' . values_list($t, 16 + rnd(16))
			  . ($t->{key} eq 'none' ? '' : ' ON CONFLICT DO NOTHING'));
		put('misc', "ANALYZE $t->{name}") if chance(0.2);
	}
	my $n_sts = $opts{sts} // 4 + rnd(5);
	for my $n (1 .. $n_sts)
	{
		push @views, grep { @{ $_->{cols} } } make_view($n, [@rels]) if chance(0.15);
		# creation inside a transaction that has written and goes on writing
		my $in_tx = chance(0.12);
		if ($in_tx)
		{
			put("tx", "BEGIN");
			batch(1 + rnd(2));
		}
		# recent stream tables and views more often
		my $rel = make_stream_table($n, [ @rels, @views, @views ]);
		push @rels, $rel if @{ $rel->{cols} } && chance(0.4);
		if ($in_tx)
		{
			batch(rnd(3));
			refresh_some(0.5) if chance(0.5);
			put("tx", chance(0.9) ? "COMMIT" : "ROLLBACK");
		}
		# some come only after changes
		round_of_changes() if chance(0.06);
	}
	for my $r (1 .. $opts{rounds} // 3 + rnd(4))
	{
		misc() if chance(0.3);
		put('dml', 'REFRESH MATERIALIZED VIEW o.m1') if $group->{matview} && chance(0.6);
		put('dml', foreign_content()) if $group->{foreign} && chance(0.6);
		bulk() if $group->{bulk} && chance(0.5);
		round_of_changes();
		refresh_some(0.75);
	}
	put('refresh', "SELECT oracle.refresh($_->{id});") foreach @{ $group->{sts} };
	return $group;
}

1;
