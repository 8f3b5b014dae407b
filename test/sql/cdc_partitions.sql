--
-- Capture on partition trees and inheritance trees.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

CREATE TABLE par (b text, a int, c int) PARTITION BY RANGE (a);
-- other columns, in another order
CREATE TABLE par1 (c int, x int, a int, b text);
ALTER TABLE par1 DROP COLUMN x;
ALTER TABLE par ATTACH PARTITION par1 FOR VALUES FROM (0) TO (100);
CREATE TABLE par2 PARTITION OF par FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (a);
CREATE TABLE par2a PARTITION OF par2 FOR VALUES FROM (100) TO (150);
INSERT INTO par SELECT 'old', g, g FROM generate_series(0, 140, 20) g;
SELECT cdc_create('par_st', 'SELECT b, a, c FROM par');
SELECT * FROM cdc_triggers ORDER BY relation::text;

-- through the root, through the partitions
INSERT INTO par VALUES ('root', 1, 1), ('root', 101, 1);
INSERT INTO par1 (a, b) VALUES (2, 'leaf');
INSERT INTO par2 (a, b) VALUES (102, 'intermediate');
INSERT INTO par2a (a, b) VALUES (103, 'leaf');
SELECT * FROM cdc_buffer('par');
SELECT cdc_check('par_st');
UPDATE par SET c = 5 WHERE a IN (1, 102);
UPDATE par1 SET c = 6 WHERE a = 2;
UPDATE par2a SET c = 7 WHERE a = 103;
DELETE FROM par WHERE a = 20;
DELETE FROM par2 WHERE a = 120;
SELECT cdc_check('par_st');

-- rows move
UPDATE par SET a = a + 100 WHERE a IN (20, 40);
SELECT cdc_check('par_st');
UPDATE par SET a = CASE WHEN a < 100 THEN a + 100 ELSE a - 100 END WHERE a IN (0, 101, 103);
SELECT cdc_check('par_st');
MERGE INTO par USING generate_series(0, 140, 20) g ON a = g
    WHEN MATCHED AND g = 80 THEN DELETE
    WHEN MATCHED THEN UPDATE SET a = 149 - a
    WHEN NOT MATCHED THEN INSERT VALUES ('merged', g, 0);
SELECT cdc_check('par_st');
-- a partition is added, with and without rows; one is detached, one dropped
CREATE TABLE par2b PARTITION OF par2 FOR VALUES FROM (150) TO (200);
INSERT INTO par VALUES ('new partition', 160, 0);
INSERT INTO par2b (a, b) VALUES (161, 'new partition');
SELECT cdc_check('par_st');
CREATE TABLE par3 (a int, b text, c int);
INSERT INTO par3 SELECT g, 'attached', g FROM generate_series(200, 205) g;
ALTER TABLE par ATTACH PARTITION par3 FOR VALUES FROM (200) TO (300);
SELECT cdc_check('par_st');
UPDATE par3 SET c = 0 WHERE a = 200;
UPDATE par SET c = 1 WHERE a = 201;
SELECT cdc_check('par_st');
ALTER TABLE par DETACH PARTITION par3;
SELECT cdc_check('par_st');
UPDATE par3 SET c = 0;
SELECT cdc_check('par_st');
DROP TABLE par2b;
SELECT cdc_check('par_st');
SELECT * FROM cdc_triggers ORDER BY relation::text;
TRUNCATE par2a;
SELECT cdc_check('par_st');

-- a partition is a source as well: rows, then
SELECT cdc_create('par1_st', 'SELECT a, c FROM par1');
SELECT * FROM cdc_triggers ORDER BY relation::text;
INSERT INTO par VALUES ('both', 3, 3), ('one', 110, 3);
UPDATE par SET a = a + 100 WHERE a IN (1, 3);
INSERT INTO par1 (a, b) VALUES (4, 'leaf');
SELECT cdc_check('par_st'), cdc_check('par1_st');
UPDATE par SET a = a - 100 WHERE a = 110;
DELETE FROM par1 WHERE a = 4;
SELECT cdc_check('par_st'), cdc_check('par1_st');
SELECT cdc_create('par2_st', 'SELECT a, c FROM par2');
UPDATE par SET c = c + 1;
SELECT cdc_check('par_st'), cdc_check('par1_st'), cdc_check('par2_st');
DROP TABLE par_st;
UPDATE par SET a = a + 100 WHERE a < 50;
SELECT cdc_check('par1_st'), cdc_check('par2_st');
DROP TABLE par1_st, par2_st;
SELECT * FROM cdc_triggers ORDER BY relation::text;
DROP TABLE par, par3 CASCADE;
DELETE FROM cdc_queries;

-- inheritance
CREATE TABLE inh (a int, b text);
CREATE TABLE inh_other (z int);
CREATE TABLE inh1 (c int) INHERITS (inh_other, inh);
INSERT INTO inh VALUES (1, 'parent');
INSERT INTO inh1 VALUES (0, 2, 'child', 0);
SELECT cdc_create('inh_st', 'SELECT a, b FROM inh');
SELECT * FROM cdc_triggers ORDER BY relation::text;
INSERT INTO inh VALUES (3, 'parent');
INSERT INTO inh1 VALUES (0, 4, 'child', 0);
SELECT cdc_check('inh_st');
UPDATE inh SET b = b || ', updated';
UPDATE inh_other SET z = z + 1;
DELETE FROM inh_other WHERE z = 1;
SELECT cdc_check('inh_st');
-- a child of the child
CREATE TABLE inh2 () INHERITS (inh1);
INSERT INTO inh2 VALUES (0, 5, 'grandchild', 0);
UPDATE inh SET a = a + 10;
SELECT cdc_check('inh_st');
-- a child leaves, and comes back
ALTER TABLE inh2 NO INHERIT inh1;
SELECT cdc_check('inh_st');
UPDATE inh2 SET b = 'away';
SELECT cdc_check('inh_st');
ALTER TABLE inh2 INHERIT inh1;
SELECT cdc_check('inh_st');
UPDATE inh2 SET b = 'back';
SELECT cdc_check('inh_st');
DROP TABLE inh2;
SELECT cdc_check('inh_st');
TRUNCATE ONLY inh;
SELECT cdc_check('inh_st');

-- a plain table gets its first child
CREATE TABLE sol (a int);
SELECT cdc_create('sol_st', 'SELECT a FROM sol');
INSERT INTO sol VALUES (1);
CREATE TABLE sol1 () INHERITS (sol);
INSERT INTO sol1 VALUES (2);
UPDATE sol SET a = a + 10;
SELECT cdc_check('sol_st');
SELECT * FROM cdc_triggers ORDER BY relation::text;

-- foreign partitions cannot be captured
CREATE FOREIGN DATA WRAPPER cdc_fdw;
CREATE SERVER cdc_server FOREIGN DATA WRAPPER cdc_fdw;
CREATE TABLE fpar (a int) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE fpar1 PARTITION OF fpar FOR VALUES FROM (0) TO (10) SERVER cdc_server;
SELECT cdc_create('fpar_st', 'SELECT a FROM fpar');
DROP FOREIGN DATA WRAPPER cdc_fdw CASCADE;

-- stored generated columns, and a partition with its columns at other places
CREATE TABLE pargen (gone int, k int, g int GENERATED ALWAYS AS (k + 1) STORED) PARTITION BY LIST (k);
ALTER TABLE pargen DROP COLUMN gone;
CREATE TABLE pargen1 PARTITION OF pargen FOR VALUES IN (1, 2);
SELECT cdc_create('pargen_st', 'SELECT k, g FROM pargen');
CREATE TABLE pargen2 PARTITION OF pargen DEFAULT;
INSERT INTO pargen (k) VALUES (1), (5);
INSERT INTO pargen2 (k) VALUES (6);
SELECT cdc_check('pargen_st');
UPDATE pargen SET k = k + 1;
SELECT cdc_check('pargen_st');
-- the same with a column that comes later
CREATE TABLE parlate (gone int, k int) PARTITION BY LIST (k);
ALTER TABLE parlate DROP COLUMN gone;
CREATE TABLE parlate1 PARTITION OF parlate DEFAULT;
SELECT cdc_create('parlate_st', 'SELECT k FROM parlate');
ALTER TABLE parlate ADD COLUMN g int GENERATED ALWAYS AS (k * 2) STORED;
SELECT cdc_create('parlate_st2', 'SELECT k, g FROM parlate');
INSERT INTO parlate (k) VALUES (1);
SELECT cdc_check('parlate_st'), cdc_check('parlate_st2');

-- what is inserted comes first: the rows after it that are updated stay what they are
CREATE TABLE routed (id int, k int, c int) PARTITION BY HASH (k);
CREATE TABLE routed0 PARTITION OF routed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE routed1 PARTITION OF routed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO routed SELECT g, g % 4, 0 FROM generate_series(1, 8) g;
SELECT cdc_create('routed_st', 'SELECT id, k, c FROM routed');
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
MERGE INTO routed USING (VALUES (21, 0), (22, 1), (1, 7), (23, 3), (2, 8), (24, 0), (3, 9)) v (id, c) ON routed.id = v.id
    WHEN MATCHED AND routed.id = 3 THEN DELETE
    WHEN MATCHED THEN UPDATE SET c = v.c, k = k + routed.id % 2
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.id % 4, v.c);
COMMIT;
SELECT * FROM cdc_buffer('routed');
SELECT cdc_check('routed_st');

-- rows that a MERGE moves are deleted and inserted, though it has no action of that kind; other triggers do not hear of it
CREATE TABLE moved (id int, k int, c int) PARTITION BY LIST (k);
CREATE TABLE moved0 PARTITION OF moved FOR VALUES IN (0);
CREATE TABLE moved1 (c int, x int, k int, id int);
ALTER TABLE moved1 DROP COLUMN x;
ALTER TABLE moved ATTACH PARTITION moved1 FOR VALUES IN (1);
INSERT INTO moved SELECT g, g % 2, 0 FROM generate_series(1, 12) g;
SELECT cdc_create('moved_st', 'SELECT id, k, c FROM moved');
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE INFO '% %', TG_WHEN, TG_OP; RETURN NULL; END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON moved FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER after AFTER INSERT OR UPDATE OR DELETE ON moved FOR EACH STATEMENT EXECUTE FUNCTION tell();
MERGE INTO moved USING generate_series(1, 4) g ON id = g WHEN MATCHED THEN UPDATE SET k = (id / 2) % 2, c = c + 1;
SELECT * FROM cdc_buffer('moved') b ORDER BY b COLLATE "C";
SELECT cdc_check('moved_st');
MERGE INTO moved USING generate_series(4, 14) g ON id = g WHEN MATCHED AND g < 8 THEN UPDATE SET k = 1 - k, c = c + 1
    WHEN MATCHED THEN UPDATE SET c = c + 1 WHEN NOT MATCHED THEN INSERT VALUES (g, 0, 0);
SELECT cdc_check('moved_st');
MERGE INTO moved USING generate_series(6, 20) g ON id = g WHEN MATCHED AND g > 12 THEN DELETE WHEN MATCHED THEN UPDATE SET k = 1 - k;
SELECT cdc_check('moved_st');
MERGE INTO moved USING generate_series(1, 3) g ON id = g WHEN MATCHED THEN DELETE;
MERGE INTO moved USING generate_series(1, 3) g ON id = g WHEN NOT MATCHED THEN INSERT VALUES (g, 1, 0);
SELECT cdc_check('moved_st');

DROP TABLE inh, inh_other, sol, routed, moved, fpar, pargen, parlate, cdc_queries CASCADE;
