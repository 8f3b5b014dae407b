--
-- The oracle of the other tests: check_st sees every kind of difference.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle

CREATE TABLE oracle_src (a int, b text, c json, d numeric, e point);
CREATE TABLE oracle_st (a int, b text, c json, d numeric, e point);
INSERT INTO oracle_src VALUES
    (1, 'x', '{"k": 1}', 1.0, '(0,0)'), (1, 'x', '{"k": 1}', 1.0, '(0,0)'),
    (2, NULL, NULL, NULL, NULL), (NULL, '', '[]', 'NaN', '(1,2)');
INSERT INTO oracle_st SELECT * FROM oracle_src;
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src;');

-- a duplicate missing, then also NULL for '', then also another json
BEGIN;
DELETE FROM oracle_st WHERE ctid = (SELECT min(ctid) FROM oracle_st);
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src');
UPDATE oracle_st SET b = NULL WHERE b = '';
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src');
UPDATE oracle_st SET c = '{}' WHERE c::text = '[]';
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src');
UPDATE oracle_st SET c = '{}', e = '(1,3)' WHERE a = 1;
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src');
ROLLBACK;

-- another scale is the same number, unless asked for exactly
BEGIN;
UPDATE oracle_st SET d = 1.00 WHERE d = 1;
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src'),
       check_st('oracle_st', 'SELECT * FROM oracle_src', exact => true);
ROLLBACK;

-- one side empty, both empty
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src WHERE false');
BEGIN;
TRUNCATE oracle_st;
SELECT check_st('oracle_st', 'TABLE oracle_src');
SELECT check_st('oracle_st', 'SELECT * FROM oracle_src WHERE false');
ROLLBACK;

-- the same rows under other columns
\set VERBOSITY terse
SELECT check_st('oracle_st', 'SELECT a, b AS z, c, d, e FROM oracle_src');
SELECT check_st('oracle_st', 'SELECT a::bigint, b, c, d, e FROM oracle_src');
SELECT check_st('oracle_st', 'SELECT a, b COLLATE "C" AS b, c, d, e FROM oracle_src');

DROP TABLE oracle_src, oracle_st;
