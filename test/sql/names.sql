-- Names: 63 bytes, quotes, blanks, upper case, multi-byte, keywords, and
-- columns called like anything we use internally.
SET client_min_messages = warning;
CREATE SCHEMA "Sché ""ma";
SET search_path = "Sché ""ma", public;

-- the longest names there can be, in every role
SELECT repeat('n', 63) AS long, repeat('ü', 31) || 'x' AS umlaut \gset
CREATE TABLE :long (:long int PRIMARY KEY, :umlaut text);
INSERT INTO :long VALUES (1, 'a'), (2, 'b');
SELECT pgtrickle.create_stream_table(:'umlaut', format('SELECT %I, %I FROM %I', :'long', :'umlaut', :'long')) IS NOT NULL AS created;
INSERT INTO :long VALUES (3, 'c');
SELECT pgtrickle.refresh_stream_table(:'umlaut');
SELECT count(*) FROM :umlaut;
SELECT pgtrickle.create_stream_table(repeat('m', 63), format('SELECT %I, count(*) AS c FROM %I GROUP BY 1', :'umlaut', :'umlaut')) IS NOT NULL AS created;
SELECT pgtrickle.refresh_stream_table(repeat('m', 63));
SELECT count(*) FROM pgtrickle.list_sources(repeat('m', 63));
SELECT pgtrickle.drop_stream_table(repeat('m', 63));

-- quotes, blanks, dots, upper case, keywords
CREATE TABLE "Ta.ble ""1""" ("Co l" int PRIMARY KEY, "select" text, "a""b" int, "user" int);
INSERT INTO "Ta.ble ""1""" VALUES (1, 'x', 2, 3);
SELECT pgtrickle.create_stream_table('"Sché ""ma"."SELECT"', 'SELECT * FROM "Ta.ble ""1"""') AS st;
SELECT pgtrickle.create_stream_table('"Grouped ""table"""',
    'SELECT "select", sum("a""b") AS "su m", count(*) AS "table", min("user") AS "user" FROM "SELECT" GROUP BY "select"') AS st;
INSERT INTO "Ta.ble ""1""" VALUES (2, 'x', 3, 4), (3, NULL, 1, 1);
SELECT pgtrickle.refresh_stream_table('"SELECT"');
SELECT pgtrickle.refresh_stream_table('"Sché ""ma"."Grouped ""table"""');
SELECT * FROM "SELECT" ORDER BY 1;
SELECT * FROM "Grouped ""table""" ORDER BY 1;
SELECT source_table, columns_used FROM pgtrickle.list_sources('"Grouped ""table"""');
SELECT tree_line FROM pgtrickle.dependency_tree() WHERE node LIKE '%Ta.ble%' OR depth > 0 AND node NOT LIKE '%üü%';
SELECT pgtrickle.drop_stream_table('"Grouped ""table"""');

-- names are resolved as PostgreSQL does
CREATE SCHEMA other;
CREATE TABLE other.src (a int PRIMARY KEY);
SET search_path = other, "Sché ""ma";
SELECT pgtrickle.create_stream_table('here', 'SELECT a FROM src')::regclass;
SELECT pgtrickle.refresh_stream_table('HERE');
SELECT pgtrickle.refresh_stream_table('  here ');
SET search_path = "Sché ""ma", other;
SELECT pgtrickle.refresh_stream_table('here');
-- the search_path at creation decides, not that at refresh
SET search_path = '';
INSERT INTO other.src VALUES (1);
SELECT pgtrickle.refresh_stream_table('other.here');
SELECT count(*) FROM other.here;
SELECT pgtrickle.create_stream_table('nowhere', 'SELECT a FROM other.src');

-- columns named like our own
SET search_path = other;
CREATE TABLE clash (x int PRIMARY KEY, s int, c1 int, c2 int, action text, xid int, lsn int, w int,
    weight int, __pgt_row_id int, __pgt_count int, __pgt_w int, pgt_id int, k1 int, t1 int,
    tableoid_ int, "old" int, "new" int, n int, v text);
INSERT INTO clash SELECT i, i, i, i % 2, 'a' || i, i, i, i, i, i, i, i, i, i % 3, i, i, i, i, i, 'v' FROM generate_series(1, 6) i;
SELECT pgtrickle.create_stream_table('clash_rows', 'SELECT * FROM clash WHERE w > 1', refresh_mode => 'DIFFERENTIAL') AS st;
SELECT pgtrickle.create_stream_table('clash_groups', 'SELECT w % 2 AS w, k1 AS k1, sum(x) AS x, count(*) AS weight,
    min(s) AS s, max(__pgt_count) AS __pgt_count, avg(lsn) AS c1, string_agg(action, '','' ORDER BY action) AS action
    FROM clash GROUP BY w % 2, k1', refresh_mode => 'DIFFERENTIAL') AS st;
SELECT pgtrickle.create_stream_table('clash_join', 'SELECT t1.w AS w, t2.x AS x, t1.action AS "old" FROM clash t1 JOIN clash t2 ON t1.x = t2.w',
    refresh_mode => 'DIFFERENTIAL') AS st;
UPDATE clash SET w = w + 1, s = -s WHERE x < 4;
DELETE FROM clash WHERE x = 5;
INSERT INTO clash (x, w, k1, lsn, action) VALUES (7, 3, 1, 4, 'new');
SELECT pgtrickle.refresh_stream_table(n) FROM unnest(ARRAY['clash_rows', 'clash_groups', 'clash_join']) n;
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SELECT check_st('clash_rows', 'SELECT * FROM clash WHERE w > 1');
SELECT check_st('clash_groups', 'SELECT w % 2 AS w, k1 AS k1, sum(x) AS x, count(*) AS weight,
    min(s) AS s, max(__pgt_count) AS __pgt_count, avg(lsn) AS c1, string_agg(action, '','' ORDER BY action) AS action
    FROM clash GROUP BY w % 2, k1');
SELECT check_st('clash_join', 'SELECT t1.w AS w, t2.x AS x, t1.action AS "old" FROM clash t1 JOIN clash t2 ON t1.x = t2.w');
SELECT count(*) FROM pgtrickle.pgt_refresh_history h JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
WHERE s.relid::text LIKE 'clash%' AND action = 'DIFFERENTIAL';

-- settings at creation count, not those of the session that refreshes
CREATE TABLE ts (id int PRIMARY KEY, t timestamptz, f float8, i interval, b bytea);
SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; SET intervalstyle = postgres; SET bytea_output = hex;
SET extra_float_digits = 1;
INSERT INTO ts VALUES (1, '2026-01-01 12:00+00', 0.1, '1 day 02:00', '\x01');
SELECT pgtrickle.create_stream_table('tst', 'SELECT id, t::text AS t, f::text AS f, i::text AS i, b::text AS b, t::date AS d FROM ts') AS st;
SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET intervalstyle = iso_8601; SET bytea_output = escape;
SET extra_float_digits = -10;
INSERT INTO ts VALUES (2, '2026-01-01 23:00+00', 1::float8 / 3, '1 day 02:00', '\x01');
SELECT pgtrickle.refresh_stream_table('tst');
SHOW timezone;
SET timezone = 'UTC'; SET datestyle = 'ISO, MDY';
SELECT * FROM tst ORDER BY id;
RESET timezone; RESET datestyle; RESET intervalstyle; RESET bytea_output; RESET extra_float_digits;

DROP SCHEMA "Sché ""ma" CASCADE;
DROP SCHEMA other CASCADE;
