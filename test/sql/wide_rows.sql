--
-- Tables with very many columns, with and without a key.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
CREATE FUNCTION wide_table(name text, n int, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (%s)', name,
                   (SELECT string_agg(format('c%s %s', i, type), ', ') FROM generate_series(1, n) i));
END $$;
SELECT wide_table('wide', 1000, 'int'), wide_table('wider', 1598, 'int2'), wide_table('widest', 1600, 'int2');

-- rows that differ in the last columns only; duplicates
INSERT INTO wide (c1, c2, c1000) SELECT 1, 2, g / 2 FROM generate_series(1, 40) g;
SELECT pgtrickle.create_stream_table('wide_bag', 'SELECT * FROM wide', NULL, 'DIFFERENTIAL');
UPDATE wide SET c999 = c1000 WHERE c1000 % 5 = 0;
DELETE FROM wide WHERE c1000 IN (3, 4);
INSERT INTO wide (c1, c2, c1000) VALUES (1, 2, 7), (1, 2, NULL);
SELECT pgtrickle.refresh_stream_table('wide_bag');
SELECT action FROM pgtrickle.get_refresh_history('wide_bag', 1);
SELECT count(*), (SELECT count(*) FROM (TABLE wide EXCEPT ALL TABLE wide_bag) m) AS missing,
    (SELECT count(*) FROM (TABLE wide_bag EXCEPT ALL TABLE wide) t) AS too_many FROM wide_bag;
ALTER TABLE wide ADD COLUMN id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
SELECT pgtrickle.create_stream_table('wide_key', 'SELECT id, c1000, c1 FROM wide', NULL, 'DIFFERENTIAL');
UPDATE wide SET c1000 = 0 WHERE id < 5;
SELECT pgtrickle.refresh_stream_table('wide_key');
SELECT check_st('wide_key', 'SELECT id, c1000, c1 FROM wide');

-- two columns fewer than a table can have
INSERT INTO wider (c1, c1598) VALUES (1, 1), (1, 2);
SELECT pgtrickle.create_stream_table('wider_bag', 'SELECT * FROM wider', NULL, 'DIFFERENTIAL');
UPDATE wider SET c1598 = 3 WHERE c1598 = 2;
SELECT pgtrickle.refresh_stream_table('wider_bag');
SELECT c1, c1598 FROM wider_bag ORDER BY c1598;
-- all columns: too many to capture, unless they are not all used
SELECT pgtrickle.create_stream_table('widest_bag', 'SELECT * FROM widest', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('widest_auto', 'SELECT * FROM widest', NULL);
SELECT * FROM pgtrickle.explain_refresh_mode('widest_auto');
INSERT INTO widest (c1, c1600) VALUES (1, 1), (1, 2);
SELECT pgtrickle.create_stream_table('widest_bag', 'SELECT * FROM widest', NULL, 'FULL');
SELECT pgtrickle.create_stream_table('widest_part', 'SELECT c1, c1600 FROM widest', NULL, 'DIFFERENTIAL');
UPDATE widest SET c1600 = 3 WHERE c1600 = 2;
SELECT pgtrickle.refresh_stream_table('widest_bag'), pgtrickle.refresh_stream_table('widest_part');
SELECT pgtrickle.refresh_stream_table('widest_auto');
SELECT c1, c1600 FROM widest_auto ORDER BY c1600;
-- not in one query, but in two
SELECT wide_table('halves', 1600, 'int2');
DO $$
DECLARE
    left_half text := (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 1000) i);
    right_half text := (SELECT string_agg('c' || i, ', ') FROM generate_series(601, 1600) i);
BEGIN
    PERFORM pgtrickle.create_stream_table('left_half', format('SELECT %s FROM halves', left_half), NULL);
    PERFORM pgtrickle.create_stream_table('right_half', format('SELECT %s FROM halves', right_half), NULL);
END $$;
SELECT * FROM pgtrickle.explain_refresh_mode('left_half');
SELECT * FROM pgtrickle.explain_refresh_mode('right_half');
INSERT INTO halves (c1, c1600) VALUES (1, 2);
SELECT pgtrickle.refresh_stream_table('left_half'), pgtrickle.refresh_stream_table('right_half');
SELECT c1 FROM left_half;
SELECT c1600 FROM right_half;
SELECT c1, c1600 FROM widest_bag ORDER BY c1600;
SELECT c1, c1600 FROM widest_part ORDER BY c1600;

SET client_min_messages = warning;
DROP TABLE wide, wider, widest, halves CASCADE;
DROP FUNCTION wide_table;
