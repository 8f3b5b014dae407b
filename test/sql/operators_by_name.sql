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
DROP SCHEMA opn CASCADE;
