-- Functions, views, types, domains, policies that definitions use; partitions.
CREATE SCHEMA dob;
SET search_path = dob;
CREATE TABLE src (id int PRIMARY KEY, n int);
INSERT INTO src SELECT i, i FROM generate_series(1, 3) i;
CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION unrelated(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION add_f(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE OPERATOR |+| (LEFTARG = int, RIGHTARG = int, FUNCTION = add_f);
CREATE AGGREGATE total(int) (SFUNC = add_f, STYPE = int, INITCOND = '0');
CREATE VIEW inner_v AS SELECT id, f(n) AS fn FROM src;
CREATE VIEW v AS SELECT id, fn FROM inner_v;
CREATE TYPE mood AS ENUM ('bad', 'good');
CREATE DOMAIN small AS int CHECK (VALUE < 100);

SELECT pgtrickle.create_stream_table('by_function', 'SELECT id, f(n) AS x FROM src');
SELECT pgtrickle.create_stream_table('by_view', 'SELECT id, fn FROM v');
SELECT pgtrickle.create_stream_table('by_operator', 'SELECT id, n |+| 1 AS x FROM src');
SELECT pgtrickle.create_stream_table('by_aggregate', 'SELECT total(n) AS t FROM src');
SELECT pgtrickle.create_stream_table('by_enum', 'SELECT id, (''good''::mood)::text AS m FROM src');
SELECT pgtrickle.create_stream_table('by_domain', 'SELECT id, n::small AS s FROM src');
CREATE FUNCTION marked() RETURNS TABLE (st regclass, reason text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT relid, reinit_reason FROM pgtrickle.pgt_stream_tables
        WHERE needs_reinit AND relid::text LIKE 'by_%' ORDER BY pgt_id;
    PERFORM pgtrickle.refresh_stream_table(relid::text) FROM pgtrickle.pgt_stream_tables
        WHERE needs_reinit AND relid::text LIKE 'by_%';
END $$;
SET client_min_messages = warning;

CREATE OR REPLACE FUNCTION unrelated(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
SELECT * FROM marked();
CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 100';
SELECT * FROM marked();
SELECT * FROM by_view ORDER BY id;
CREATE OR REPLACE FUNCTION add_f(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2 + 1000';
SELECT * FROM marked();
SELECT * FROM by_operator ORDER BY id;
SELECT * FROM by_aggregate;
CREATE OR REPLACE VIEW inner_v AS SELECT id, -f(n) AS fn FROM src;
SELECT * FROM marked();
SELECT * FROM by_view ORDER BY id;
ALTER VIEW inner_v RENAME TO renamed_v;
ALTER FUNCTION f(int) RENAME TO renamed_f;
SELECT st FROM marked();
INSERT INTO src VALUES (4, 4);
SELECT pgtrickle.refresh_stream_table('by_view');
SELECT * FROM by_view ORDER BY id;
ALTER FUNCTION renamed_f(int) VOLATILE;
SELECT relid, differential, downgrade_code FROM pgtrickle.pgt_stream_tables
WHERE relid::text IN ('by_view', 'by_function') ORDER BY pgt_id;
ALTER FUNCTION renamed_f(int) IMMUTABLE;
SELECT relid, differential, downgrade_code FROM pgtrickle.pgt_stream_tables
WHERE relid::text IN ('by_view', 'by_function') ORDER BY pgt_id;
SELECT st FROM marked();
-- columns added to a view are not the definition's
CREATE OR REPLACE VIEW v AS SELECT id, fn, 1 AS one FROM renamed_v;
SELECT st FROM marked();
ALTER TYPE mood RENAME VALUE 'good' TO 'fine';
SELECT * FROM marked();
SELECT DISTINCT m FROM by_enum;
ALTER DOMAIN small ADD CONSTRAINT less CHECK (VALUE < 50);
SELECT * FROM marked();
-- all of it in a transaction that is rolled back
BEGIN;
CREATE OR REPLACE FUNCTION renamed_f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 0';
SELECT st FROM marked();
SELECT * FROM by_view ORDER BY id LIMIT 1;
ROLLBACK;
INSERT INTO src VALUES (5, 5);
SELECT pgtrickle.refresh_stream_table('by_view');
SELECT * FROM by_view ORDER BY id;
DELETE FROM src WHERE id > 3;

-- partitions: rows that come or go with them are no changes that triggers see
CREATE TABLE part (id int, g int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF part FOR VALUES FROM (0) TO (10);
INSERT INTO part SELECT i, i % 2 FROM generate_series(1, 5) i;
SELECT pgtrickle.create_stream_table('on_part', 'SELECT g, count(*) AS c FROM part GROUP BY g');
CREATE TABLE p2 PARTITION OF part FOR VALUES FROM (10) TO (20);
INSERT INTO p2 VALUES (11, 0);
INSERT INTO part VALUES (12, 1);
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;
SELECT action FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id DESC LIMIT 1;
CREATE TABLE p3 (id int, g int);
INSERT INTO p3 VALUES (21, 0), (22, 7);
ALTER TABLE part ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30);
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;
INSERT INTO p3 VALUES (23, 7);
UPDATE part SET id = 13 WHERE id = 23;
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;
ALTER TABLE part DETACH PARTITION p3;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p3'::regclass;
INSERT INTO p3 VALUES (24, 9);
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;
ALTER TABLE part DETACH PARTITION p2 CONCURRENTLY;
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;
ALTER TABLE part ALTER COLUMN g TYPE bigint;
SELECT pgtrickle.refresh_stream_table('on_part');
INSERT INTO part VALUES (6, 3);
SELECT pgtrickle.refresh_stream_table('on_part');
SELECT * FROM on_part ORDER BY g;

-- inheritance
CREATE TABLE par (id int, g int);
CREATE TABLE chi () INHERITS (par);
INSERT INTO par VALUES (1, 1);
INSERT INTO chi VALUES (2, 1);
SELECT pgtrickle.create_stream_table('on_par', 'SELECT g, count(*) AS c FROM par GROUP BY g');
CREATE TABLE chi2 () INHERITS (par);
INSERT INTO chi2 VALUES (3, 2);
SELECT pgtrickle.refresh_stream_table('on_par');
SELECT * FROM on_par ORDER BY g;
ALTER TABLE chi NO INHERIT par;
SELECT pgtrickle.refresh_stream_table('on_par');
SELECT * FROM on_par ORDER BY g;
ALTER TABLE chi INHERIT par;
SELECT pgtrickle.refresh_stream_table('on_par');
DROP TABLE chi2;
SELECT pgtrickle.refresh_stream_table('on_par');
SELECT * FROM on_par ORDER BY g;

-- types of columns whose values have another text afterwards, or fields of other names
CREATE TYPE feeling AS ENUM ('a', 'b', 'c');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN pairs AS pair[];
CREATE TABLE inner_row (a int, b text);
CREATE TABLE typed (id int PRIMARY KEY, e feeling, p pair, ps pairs, r inner_row);
CREATE TABLE of_type OF pair;
INSERT INTO typed SELECT i, (array['a', 'b', 'c'])[1 + i % 3]::feeling, ROW(i, 'x')::pair, ARRAY[ROW(i, 'y')::pair], ROW(i, 'z')::inner_row FROM generate_series(1, 4) i;
INSERT INTO of_type VALUES (1, 'x');
SELECT pgtrickle.create_stream_table(name, query, refresh_mode => 'DIFFERENTIAL') FROM (VALUES
    ('labels', 'SELECT e::text AS e, count(*) AS n FROM typed GROUP BY 1'),
    ('label', 'SELECT id, e FROM typed WHERE e::text = ''c'''),
    ('fields', 'SELECT id, to_jsonb(p) AS p, to_jsonb(ps) AS ps FROM typed'),
    ('rows_in', 'SELECT id, to_jsonb(r) AS r FROM typed'),
    ('of_types', 'SELECT to_jsonb(t) AS j FROM of_type t')) v (name, query);
CREATE FUNCTION differences() RETURNS TABLE (st text, rows bigint) LANGUAGE plpgsql AS $$
DECLARE q text;
BEGIN
    FOR st, q IN SELECT relid::text, '(' || rtrim(pg_get_viewdef(definition::oid), ';') || ')' FROM pgtrickle.pgt_stream_tables
        WHERE relid::text IN ('labels', 'label', 'fields', 'rows_in', 'of_types') ORDER BY 1
    LOOP
        PERFORM pgtrickle.refresh_stream_table(st);
        EXECUTE format('SELECT count(*) FROM ((TABLE %1$I EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL TABLE %1$I)) d', st, q) INTO rows;
        RETURN NEXT;
    END LOOP;
END $$;
ALTER TYPE feeling ADD VALUE 'd';
ALTER TYPE feeling RENAME VALUE 'c' TO 'cc';
INSERT INTO typed SELECT i, 'cc', ROW(i, 'x')::pair, ARRAY[ROW(i, 'y')::pair], ROW(i, 'z')::inner_row FROM generate_series(5, 6) i;
SELECT * FROM differences();
ALTER TYPE pair RENAME ATTRIBUTE x TO z CASCADE;
DELETE FROM typed WHERE id = 5;
SELECT * FROM differences();
ALTER TABLE inner_row RENAME b TO bb;
UPDATE typed SET id = 10 WHERE id = 6;
SELECT * FROM differences();
ALTER TABLE inner_row ADD COLUMN n int;
SELECT * FROM differences();

-- text search
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
SELECT pgtrickle.create_stream_table('lexemes', $$SELECT id, to_tsvector('dob.words', id || ' cats') AS w FROM typed$$, refresh_mode => 'DIFFERENTIAL');
ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR asciiword WITH english_stem;
SELECT pgtrickle.refresh_stream_table('lexemes');
SELECT count(*) FROM (TABLE lexemes EXCEPT ALL SELECT id, to_tsvector('dob.words', id || ' cats') FROM typed) d;

DROP SCHEMA dob CASCADE;
