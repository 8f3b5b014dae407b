--
-- Windows: refreshes inside writing transactions, several consumers, netting,
-- spilling, rotation of the buffer.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

CREATE TABLE win (a int, b text);
INSERT INTO win SELECT g, 'x' FROM generate_series(1, 10) g;
SELECT cdc_create('win_st', 'SELECT a, b FROM win');
SELECT cdc_create('win_max', 'SELECT b, max(a), count(*) FROM win GROUP BY b');

-- a refresh in the writing transaction; what it wrote later comes later
BEGIN;
INSERT INTO win VALUES (11, 'before');
SELECT cdc_check('win_st');
INSERT INTO win VALUES (12, 'between');
SELECT cdc_check('win_st');
SAVEPOINT s;
INSERT INTO win VALUES (13, 'undone');
SELECT cdc_check('win_st');
ROLLBACK TO s;
SELECT cdc_check('win_st');
INSERT INTO win VALUES (14, 'after');
COMMIT;
SELECT cdc_check('win_st'), cdc_check('win_max');
-- the refresh is rolled back
BEGIN;
INSERT INTO win VALUES (15, 'undone');
SELECT cdc_check('win_st');
ROLLBACK;
SELECT cdc_check('win_st');
INSERT INTO win VALUES (15, 'kept');
BEGIN;
SELECT cdc_check('win_st');
ROLLBACK;
SELECT cdc_check('win_st');
-- all in a subtransaction
BEGIN;
SAVEPOINT s;
INSERT INTO win VALUES (16, 'sub');
SELECT cdc_check('win_st');
RELEASE s;
DELETE FROM win WHERE a = 16;
COMMIT;
SELECT cdc_check('win_st'), cdc_check('win_max');
-- a function: several commands of one statement
CREATE FUNCTION win_write() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r text;
BEGIN
    INSERT INTO win VALUES (17, 'function');
    r := cdc_check('win_st');
    INSERT INTO win VALUES (18, 'function');
    RETURN r;
END $$;
SELECT win_write();
SELECT cdc_check('win_st'), cdc_check('win_max');
-- TRUNCATE after a refresh in the same transaction
BEGIN;
SELECT cdc_check('win_st');
INSERT INTO win VALUES (19, 'x');
SELECT cdc_check('win_st');
TRUNCATE win;
COMMIT;
SELECT cdc_check('win_st'), cdc_check('win_max');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO win VALUES (20, 'repeatable read');
SELECT cdc_check('win_st');
INSERT INTO win VALUES (21, 'repeatable read');
COMMIT;
SELECT cdc_check('win_st'), cdc_check('win_max');

-- refreshes in the middle of a statement: rows are in the table that have not
-- been captured yet
CREATE TABLE mid (a int, b text);
SELECT cdc_create('mid_st', 'SELECT a, b FROM mid');
SELECT cdc_create('mid_n', 'SELECT count(*) AS n FROM mid');
CREATE FUNCTION mid_refresh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_NAME LIKE '%full%' THEN
        UPDATE pgtrickle.pgt_stream_tables SET needs_reinit = true
         WHERE relid IN ('mid_st'::regclass, 'mid_n'::regclass);
    END IF;
    PERFORM pgtrickle.refresh_stream_table('mid_st');
    PERFORM pgtrickle.refresh_stream_table('mid_n');
    RETURN NULL;
END $$;
CREATE TRIGGER aaa AFTER INSERT ON mid FOR EACH STATEMENT EXECUTE FUNCTION mid_refresh();
INSERT INTO mid SELECT g, 'before ours' FROM generate_series(1, 3) g;
SELECT cdc_check('mid_st'), cdc_check('mid_n');
DROP TRIGGER aaa ON mid;
CREATE TRIGGER aaa_full AFTER INSERT OR DELETE ON mid FOR EACH STATEMENT EXECUTE FUNCTION mid_refresh();
INSERT INTO mid SELECT g, 'before ours, full' FROM generate_series(1, 3) g;
SELECT cdc_check('mid_st'), cdc_check('mid_n');
DELETE FROM mid WHERE a = 3;
SELECT cdc_check('mid_st'), cdc_check('mid_n');
DROP TRIGGER aaa_full ON mid;
CREATE TRIGGER aaa_full AFTER INSERT ON mid FOR EACH ROW EXECUTE FUNCTION mid_refresh();
INSERT INTO mid SELECT g, 'row by row' FROM generate_series(1, 3) g;
SELECT cdc_check('mid_st'), cdc_check('mid_n');
DROP TRIGGER aaa_full ON mid;
-- after ours, all is there
CREATE TRIGGER zzz AFTER INSERT ON mid FOR EACH STATEMENT EXECUTE FUNCTION mid_refresh();
INSERT INTO mid SELECT g, 'after ours' FROM generate_series(1, 3) g;
SELECT cdc_check('mid_st'), cdc_check('mid_n');
DROP TABLE mid CASCADE;
DROP FUNCTION mid_refresh;

-- a table created in the transaction that writes the source
BEGIN;
INSERT INTO win VALUES (22, 'before creation');
SELECT cdc_create('win_new', 'SELECT a, b FROM win');
INSERT INTO win VALUES (23, 'after creation');
SELECT cdc_check('win_new');
COMMIT;
INSERT INTO win VALUES (24, 'later');
SELECT cdc_check('win_new'), cdc_check('win_st');
DROP TABLE win_new;

-- changes of a window cancel, whatever their order
UPDATE win SET a = a + 1;
UPDATE win SET a = a - 1;
DELETE FROM win WHERE a = 20;
INSERT INTO win VALUES (20, 'repeatable read');
SELECT cdc_check('win_max');

-- with little memory
SET work_mem = '64kB';
INSERT INTO win SELECT g, 'spill ' || g % 10 FROM generate_series(1, 20000) g;
UPDATE win SET b = 'spilled ' || a % 10 WHERE b LIKE 'spill %';
UPDATE win SET b = repeat('long', 100) WHERE a BETWEEN 1000 AND 1999;
DELETE FROM win WHERE a > 15000;
SELECT cdc_check('win_max'), cdc_check('win_st');
RESET work_mem;

-- rotation: the segments take turns, consumed ones are emptied
CREATE TABLE rot (a int, b text);
SELECT cdc_create('rot_1', 'SELECT a, b FROM rot');
SELECT cdc_create('rot_2', 'SELECT count(*) AS n, sum(a) AS s FROM rot');
CREATE FUNCTION rot_sizes() RETURNS TABLE (active int, has0 bool, has1 bool)
LANGUAGE sql AS $$
    SELECT cs.active, pg_relation_size(segment0) > 0, pg_relation_size(segment1) > 0
      FROM pgtrickle.pgt_change_sources cs WHERE relid = 'rot'::regclass
$$;
INSERT INTO rot SELECT g, repeat('r', 400) FROM generate_series(1, 10000) g;
SELECT cdc_check('rot_1');
SELECT * FROM rot_sizes();
INSERT INTO rot SELECT g, repeat('r', 400) FROM generate_series(1, 10000) g;
-- the other consumer has not seen the first ones
SELECT cdc_check('rot_1');
SELECT * FROM rot_sizes();
SELECT cdc_check('rot_2');
SELECT * FROM rot_sizes();
SELECT cdc_check('rot_1');
INSERT INTO rot VALUES (0, 'one');
SELECT cdc_check('rot_1');
SELECT * FROM rot_sizes();
SELECT cdc_check('rot_2');
INSERT INTO rot VALUES (0, 'two');
SELECT cdc_check('rot_1'), cdc_check('rot_2');
SELECT * FROM rot_sizes();
-- the truncation is undone with the refresh
INSERT INTO rot SELECT g, repeat('r', 400) FROM generate_series(1, 10000) g;
SELECT cdc_check('rot_1');
BEGIN;
SELECT cdc_check('rot_2');
ROLLBACK;
SELECT cdc_check('rot_2'), cdc_check('rot_1');
DO $$
BEGIN
    FOR i IN 1..6 LOOP
        INSERT INTO rot SELECT g, repeat('q', 400) FROM generate_series(1, 9000) g;
        DELETE FROM rot WHERE b LIKE 'q%' AND random() < 0.5;
        IF cdc_check('rot_1') !~ '^DIFF' OR (i % 2 = 0 AND cdc_check('rot_2') !~ '^DIFF') THEN
            RAISE WARNING 'round % failed', i;
        END IF;
    END LOOP;
END $$;
SELECT cdc_check('rot_1'), cdc_check('rot_2');

DROP TABLE win, rot, cdc_queries CASCADE;
DROP FUNCTION win_write, rot_sizes;
