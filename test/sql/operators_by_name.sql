-- Operators that SQL text does not name: IS DISTINCT FROM, NULLIF and CASE x
-- WHEN mean the "=" of the operands' type, wherever that operator lives.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;
CREATE SCHEMA opn;
SET search_path = opn, public;

-- equal without regard to case, and text for everything else
CREATE TYPE folded;
CREATE FUNCTION folded_in(cstring) RETURNS folded LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION folded_out(folded) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE folded (input = folded_in, output = folded_out, like = text, category = 'S', collatable = true);
CREATE CAST (folded AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE FUNCTION folded_eq(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower($1::text) = lower($2::text)';
CREATE OPERATOR = (leftarg = folded, rightarg = folded, function = folded_eq, commutator = =);

CREATE TABLE words (id int PRIMARY KEY, w folded, v folded);
INSERT INTO words VALUES (1, 'Ab', 'aB'), (2, 'ab', NULL), (3, NULL, NULL), (4, 'x', 'y');
\set query 'SELECT id, w IS DISTINCT FROM v AS differs, w IS NOT DISTINCT FROM ''AB''::folded AS ab, nullif(w, v)::text AS rest, CASE w WHEN ''AB''::folded THEN 1 WHEN v THEN 2 ELSE 3 END AS kind FROM words WHERE nullif(w, ''X''::folded) IS NOT NULL OR v IS NULL'
SELECT pgtrickle.create_stream_table('by_delta', :'query', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('in_full', :'query', schedule => NULL, refresh_mode => 'FULL');
INSERT INTO words VALUES (5, 'AB', 'ab'), (6, 'X', 'x'), (7, 'q', 'Q');
UPDATE words SET v = 'AB' WHERE id = 2;
DELETE FROM words WHERE id = 3;
SELECT pgtrickle.refresh_stream_table('by_delta'), pgtrickle.refresh_stream_table('in_full');
TABLE by_delta ORDER BY id;
SELECT check_st('by_delta', :'query') AS by_delta, check_st('in_full', :'query') AS in_full;
-- in what the server's own deparser prints
\set query 'WITH RECURSIVE r (id, w) AS (SELECT id, w FROM words WHERE w IS NOT DISTINCT FROM ''AB''::folded UNION ALL SELECT r.id + 100, words.w FROM words JOIN r ON words.id = r.id WHERE nullif(words.w, ''ab''::folded) IS NULL) SELECT id, w::text AS w FROM r'
SELECT pgtrickle.create_stream_table('recursive', :'query', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
\set windows 'SELECT id, count(*) FILTER (WHERE w IS NOT DISTINCT FROM ''AB''::folded) OVER (ORDER BY id) AS n FROM words'
SELECT pgtrickle.create_stream_table('counted', :'windows', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
INSERT INTO words VALUES (8, 'aB', NULL);
SELECT pgtrickle.refresh_stream_table('recursive'), pgtrickle.refresh_stream_table('counted');
SELECT count(*) FROM recursive;
SELECT check_st('recursive', :'query') AS recursive, check_st('counted', :'windows') AS counted;

-- comparisons of rows name one operator for all columns; windows and recursive queries are computed from text
CREATE FUNCTION folded_cmp(folded, folded) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
    'SELECT CASE WHEN lower($1::text) COLLATE "C" < lower($2::text) THEN -1 WHEN lower($1::text) COLLATE "C" = lower($2::text) THEN 0 ELSE 1 END';
CREATE FUNCTION folded_lt(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT opn.folded_cmp($1, $2) < 0';
CREATE FUNCTION folded_le(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT opn.folded_cmp($1, $2) <= 0';
CREATE FUNCTION folded_gt(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT opn.folded_cmp($1, $2) > 0';
CREATE FUNCTION folded_ge(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT opn.folded_cmp($1, $2) >= 0';
CREATE OPERATOR < (leftarg = folded, rightarg = folded, function = folded_lt);
CREATE OPERATOR <= (leftarg = folded, rightarg = folded, function = folded_le);
CREATE OPERATOR > (leftarg = folded, rightarg = folded, function = folded_gt);
CREATE OPERATOR >= (leftarg = folded, rightarg = folded, function = folded_ge);
CREATE OPERATOR CLASS folded_ops DEFAULT FOR TYPE folded USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 folded_cmp(folded, folded);
\set rows 'SELECT id, (2, w, v) <= (id, ''AB''::folded, ''ab''::folded) AS le, (w, 2) < (v, id) AS lt, (w, 2) >= (v, id) AS ge, ROW(v, id) > ROW(w, 4) AS gt FROM words'
\set windows 'SELECT id, w IS DISTINCT FROM lag(w) OVER (ORDER BY id) AS differs, nullif(w, lag(v) OVER (ORDER BY id))::text AS rest FROM words'
\set recursion 'WITH RECURSIVE r AS (SELECT id, w::text AS t FROM words WHERE w IN (SELECT ''aB''::folded) UNION SELECT x.id, x.v::text FROM r JOIN words x ON x.id > r.id AND nullif(x.w, r.t::folded) IS NULL) TABLE r'
SELECT pgtrickle.create_stream_table('of_rows', :'rows', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('of_windows', :'windows', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('of_recursion', :'recursion', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
INSERT INTO words VALUES (11, 'ab', 'AB'), (12, 'Q', 'qq'), (13, NULL, 'z'), (3, 'AB', 'Ab');
DELETE FROM words WHERE id = 6;
SELECT pgtrickle.refresh_stream_table('of_rows'), pgtrickle.refresh_stream_table('of_windows'),
    pgtrickle.refresh_stream_table('of_recursion');
TABLE of_rows ORDER BY id;
SELECT check_st('of_rows', :'rows') AS of_rows, check_st('of_windows', :'windows') AS of_windows,
    check_st('of_recursion', :'recursion') AS of_recursion;
-- these have no other words
SELECT pgtrickle.create_stream_table('unnameable',
    'WITH RECURSIVE r AS (SELECT w FROM words UNION SELECT x.v FROM r JOIN words x USING (w)) SELECT w::text FROM r', refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('unnameable',
    'WITH RECURSIVE r AS (SELECT 1 AS n, w FROM words UNION SELECT n + 1, w FROM r WHERE (n, w) IN (SELECT 1, v FROM words)) SELECT n FROM r', refresh_mode => 'DIFFERENTIAL');
-- a comparison of several columns with a subquery that reads no table, and in text that has nothing to do with tables
\set listed 'SELECT id, (w, id) IN (VALUES (''AB''::folded, 1), (''q''::folded, NULL)) AS listed, (w, id) NOT IN (VALUES (''ab''::folded, 1), (v, 12)) AS outside, (w, id) <> ALL (SELECT ''x''::folded, 1 WHERE false) AS nothing FROM words'
\set nested 'SELECT id, ((id > 3, w) IN (VALUES (true, v)), w) IN (VALUES (true, ''Ab''::folded), (false, ''x''::folded)) AS x FROM words'
SELECT pgtrickle.create_stream_table('of_nested_lists', :'nested', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('of_lists', :'listed', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
INSERT INTO words VALUES (21, 'Ab', 'x'), (22, 'Q', 'q'), (24, 'Q', 'z'), (25, NULL, NULL);
UPDATE words SET w = 'aB' WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('of_lists');
SELECT check_st('of_lists', :'listed') AS of_lists;
SELECT pgtrickle.refresh_stream_table('of_nested_lists');
SELECT check_st('of_nested_lists', :'nested') AS of_nested_lists;
SELECT listed, outside, nothing, count(*) FROM of_lists GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- a key is none for an equality that is coarser than its own
CREATE TABLE texts (t text);
INSERT INTO texts VALUES ('ab'), ('AB'), ('ab');
\set coarse 'SELECT words.id, g.n FROM words JOIN (SELECT t, count(*) AS n FROM texts GROUP BY t) AS g ON g.t::folded = words.w'
SELECT pgtrickle.create_stream_table('coarse', :'coarse', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
INSERT INTO texts VALUES ('aB'), ('ab'), ('x');
SELECT pgtrickle.refresh_stream_table('coarse');
SELECT check_st('coarse', :'coarse') AS coarse, count(*) FROM coarse;

-- ORDER BY may choose another equality
CREATE TYPE number AS (n numeric);
CREATE TABLE numbers (c number);
INSERT INTO numbers VALUES (ROW(1.0)), (ROW(1.00)), (ROW(1.0));
\set finer 'SELECT DISTINCT c FROM numbers ORDER BY c USING OPERATOR(pg_catalog.*<)'
SELECT pgtrickle.create_stream_table('finer', :'finer', schedule => NULL, refresh_mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('finer', :'finer', schedule => NULL);
SELECT check_st('finer', :'finer') AS finer, count(*) FROM finer;
DROP SCHEMA opn CASCADE;
