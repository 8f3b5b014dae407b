--
-- The file of a change buffer is cut off and grows again: VACUUM (TRUNCATE),
-- which overrides the buffers' vacuum_truncate = off, and files made anew.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

CREATE TABLE cut (id int, v text);
SELECT cdc_create('cut_st', 'SELECT id, v FROM cut');
SELECT cdc_create('cut_sum', 'SELECT v, count(*), sum(id) FROM cut GROUP BY v');
SELECT 'pgtrickle_changes.changes_' || 'cut'::regclass::oid || '_0' AS buffer \gset

-- the end of the buffer is of a transaction that is rolled back
INSERT INTO cut VALUES (0, 'first');
BEGIN;
INSERT INTO cut SELECT g, 'undone' FROM generate_series(1, 9000) g;
ROLLBACK;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');
SELECT pg_relation_size(:'buffer') AS before \gset
VACUUM (TRUNCATE) :buffer;
SELECT pg_relation_size(:'buffer') < :before / 2 AS cut_off;
-- beyond the block that was the last one
INSERT INTO cut SELECT g, 'more' FROM generate_series(1, 30000) g;
SELECT pg_relation_size(:'buffer') > :before AS grown;
SELECT cdc_check('cut_st');
-- the other one reads them later, when some have been consumed
INSERT INTO cut VALUES (30001, 'last');
SELECT cdc_check('cut_st'), cdc_check('cut_sum');

-- a subtransaction writes, is rolled back, and its transaction writes on
TRUNCATE cut;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');
INSERT INTO cut VALUES (0, 'first');
BEGIN;
INSERT INTO cut VALUES (1, 'kept');
SAVEPOINT s;
INSERT INTO cut SELECT g, 'undone' FROM generate_series(1, 9000) g;
SELECT cdc_check('cut_st');
ROLLBACK TO s;
INSERT INTO cut SELECT g, 'kept' FROM generate_series(1, 9000) g;
SELECT cdc_check('cut_st');
COMMIT;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');

-- plain VACUUM: rows go, the file stays
SELECT CASE active WHEN 0 THEN segment0 ELSE segment1 END::regclass AS buffer
  FROM pgtrickle.pgt_change_sources WHERE relid = 'cut'::regclass \gset
BEGIN;
INSERT INTO cut SELECT g, 'undone' FROM generate_series(1, 9000) g;
ROLLBACK;
SELECT cdc_check('cut_st');
SELECT pg_relation_size(:'buffer') AS before \gset
VACUUM :buffer;
SELECT pg_relation_size(:'buffer') = :before AS as_large;
UPDATE cut SET v = 'changed' WHERE id % 3 = 0;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');
UPDATE cut SET v = 'again' WHERE id % 3 = 1;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');

-- other files
INSERT INTO cut VALUES (40000, 'rewritten');
VACUUM FULL :buffer;
SELECT cdc_check('cut_st');
INSERT INTO cut VALUES (40001, 'rewritten');
SELECT cdc_check('cut_st'), cdc_check('cut_sum');
DELETE FROM cut WHERE id >= 40000;
ALTER TABLE :buffer SET UNLOGGED;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');
ALTER TABLE :buffer SET LOGGED;
DELETE FROM cut WHERE id < 100;
SELECT cdc_check('cut_st'), cdc_check('cut_sum');

DROP TABLE cut, cdc_queries CASCADE;
