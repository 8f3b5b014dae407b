--
-- Captured columns: those that are used, of all kinds, as they come and go.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

-- dropped columns, columns with a fast default, generated columns
CREATE TABLE col (gone int, a int, b text, gone2 text);
ALTER TABLE col DROP COLUMN gone, DROP COLUMN gone2;
INSERT INTO col SELECT g, 'b' || g FROM generate_series(1, 5) g;
ALTER TABLE col ADD COLUMN d int DEFAULT 7;
ALTER TABLE col ADD COLUMN g int GENERATED ALWAYS AS (a * 10) STORED;
ALTER TABLE col ADD COLUMN e text DEFAULT 'fast';
SELECT cdc_create('col_st', 'SELECT a, d, g FROM col');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attnum > 0 AND attrelid = format('pgtrickle_changes.changes_%s_0', 'col'::regclass::oid)::regclass
 ORDER BY attnum;
UPDATE col SET a = a + 1 WHERE a > 3;
DELETE FROM col WHERE a = 1;
SELECT cdc_check('col_st');
SELECT * FROM cdc_buffer('col');

-- another stream table needs more columns, another kind of query fewer
SELECT cdc_create('col_st2', 'SELECT a, b, e FROM col');
SELECT cdc_create('col_st3', 'SELECT count(*) AS n FROM col');
INSERT INTO col (a, b) VALUES (20, 'new');
UPDATE col SET e = 'slow' WHERE a = 2;
DELETE FROM col WHERE a = 3;
SELECT * FROM cdc_buffer('col');
SELECT cdc_check('col_st'), cdc_check('col_st2'), cdc_check('col_st3');

-- a column is dropped that only one of them uses
DROP TABLE col_st2;
ALTER TABLE col DROP COLUMN b;
INSERT INTO col (a) VALUES (30);
SELECT cdc_check('col_st'), cdc_check('col_st3');
-- a column is renamed
ALTER TABLE col RENAME a TO aa;
UPDATE cdc_queries SET query = 'SELECT aa AS a, d, g FROM col' WHERE st = 'col_st';
UPDATE col SET aa = 31 WHERE aa = 30;
SELECT cdc_check('col_st'), cdc_check('col_st3');
DROP TABLE col CASCADE;

-- the type of a captured column changes
CREATE TABLE typ (a int, b int, c varchar(5));
SELECT cdc_create('typ_st', 'SELECT a, b FROM typ');
INSERT INTO typ SELECT g, g, g FROM generate_series(1, 5) g;
DROP TABLE typ_st;
ALTER TABLE typ ALTER COLUMN b TYPE numeric USING b / 2.0;
SELECT cdc_create('typ_st', 'SELECT a, b FROM typ');
INSERT INTO typ VALUES (6, 6.5);
SELECT cdc_check('typ_st');
DROP TABLE typ CASCADE;

-- out-of-line and compressed values
CREATE TABLE big (id int PRIMARY KEY, small text, large text, n int);
ALTER TABLE big ALTER COLUMN large SET STORAGE EXTERNAL;
INSERT INTO big SELECT g, repeat('c', 3000 * g), string_agg(md5(g || ',' || h), ''), 0
  FROM generate_series(1, 5) g, generate_series(1, 300) h GROUP BY g;
SELECT cdc_create('big_st', 'SELECT id, small, large FROM big');
UPDATE big SET n = n + 1;
UPDATE big SET large = large, small = small || '';
SELECT count(*) AS written FROM cdc_buffer('big');
UPDATE big SET n = n + 1, small = 'x' WHERE id = 1;
UPDATE big SET large = reverse(large) WHERE id = 2;
UPDATE big SET large = left(large, 100) WHERE id = 3;
DELETE FROM big WHERE id = 4;
INSERT INTO big SELECT id + 10, large, small, 0 FROM big;
SELECT cdc_check('big_st');
UPDATE big SET large = small, small = large;
SELECT cdc_check('big_st');
-- a stored value whose row is gone by the time of the refresh
UPDATE big SET small = 'y' WHERE id = 5;
DELETE FROM big;
VACUUM big;
SELECT cdc_check('big_st');
DROP TABLE big CASCADE;

-- domains, arrays, composites, enums, ranges; no constraint is checked again
CREATE TYPE typ_enum AS ENUM ('one', 'two');
CREATE TYPE typ_pair AS (x int, y text);
CREATE DOMAIN typ_dom AS int CHECK (VALUE > 0);
CREATE TABLE typ (id int, d typ_dom DEFAULT 1, e typ_enum, p typ_pair, r int4range,
                  j jsonb, aa int[], c char(5), nm name, u uuid, f float4, t timestamptz, nu numeric(10,3));
SELECT cdc_create('typ_st', 'SELECT * FROM typ');
INSERT INTO typ VALUES (1, 1, 'one', (1, 'a'), '[1,5)', '{"a": 1}', '{1,2}', 'x', 'nm',
                        '00000000-0000-0000-0000-000000000001', 1.5, '2020-01-01 UTC', 1.5),
                       (2, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
                       (3, 3, 'two', (NULL, repeat('z', 5000)), 'empty', '[]', '{NULL}', '', '',
                        NULL, '-0', 'infinity', 'NaN');
SELECT cdc_check('typ_st');
UPDATE typ SET e = 'two', p.x = 5, r = '(,)', f = 'NaN' WHERE id < 3;
DELETE FROM typ WHERE id = 3;
SELECT cdc_check('typ_st');
ALTER TYPE typ_enum ADD VALUE 'three';
INSERT INTO typ (id, e) VALUES (4, 'three');
SELECT cdc_check('typ_st');
DROP TABLE typ CASCADE;
DROP TYPE typ_enum, typ_pair;
DROP DOMAIN typ_dom;

-- names that are ours
CREATE TABLE nam (x int, s int, w int, c1 text, "__pgt_w" int, action text, xid xid);
SELECT cdc_create('nam_st', 'SELECT x, s, w, c1, "__pgt_w", action FROM nam');
INSERT INTO nam SELECT g, -g, g, 'c' || g, 1, 'I' FROM generate_series(1, 5) g;
UPDATE nam SET s = 5, w = 0 WHERE x = 3;
SELECT cdc_check('nam_st');
DROP TABLE nam CASCADE;

-- no column at all is used
CREATE TABLE non (a int);
SELECT cdc_create('non_st', 'SELECT count(*) AS n FROM non');
INSERT INTO non SELECT generate_series(1, 5);
UPDATE non SET a = a + 1;
DELETE FROM non WHERE a = 2;
SELECT * FROM cdc_buffer('non');
SELECT cdc_check('non_st');
DROP TABLE non CASCADE;

-- many columns, and rows that are almost a page
DO $$
BEGIN
    EXECUTE format('CREATE TABLE wid (%s)',
                   (SELECT string_agg('c' || g || ' int', ', ') FROM generate_series(1, 1598) g));
    PERFORM cdc_create('wid_st', 'SELECT c1, c2, c1000, c1597, c1598 FROM wid');
    INSERT INTO wid (c1, c2, c1598) SELECT g, g, g FROM generate_series(1, 5) g;
    UPDATE wid SET c1000 = 1 WHERE c1 = 2;
END $$;
SELECT cdc_check('wid_st');
DO $$
BEGIN
    EXECUTE format('CREATE TABLE pag (%s)',
                   (SELECT string_agg('c' || g || ' bigint', ', ') FROM generate_series(1, 1003) g));
    PERFORM cdc_create('pag_st', format('SELECT c1, %s AS s FROM pag',
                                        (SELECT string_agg('c' || g, ' + ') FROM generate_series(1, 1003) g)));
    EXECUTE format('INSERT INTO pag SELECT %s FROM generate_series(1, 2) g',
                   (SELECT string_agg('g', ', ') FROM generate_series(1, 1003) g));
END $$;
SELECT left(r, 4) FROM cdc_buffer('pag') r;
SELECT cdc_check('pag_st');
DROP TABLE wid, pag CASCADE;
DROP TABLE cdc_queries CASCADE;
