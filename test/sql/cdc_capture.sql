--
-- Capture of every kind of statement.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

CREATE TABLE cap (id int PRIMARY KEY, a int, b text, unused int) WITH (autovacuum_enabled = off);
INSERT INTO cap SELECT g, g % 3, 'row ' || g, 0 FROM generate_series(1, 20) g;
SELECT cdc_create('cap_st', 'SELECT id, a, b FROM cap WHERE a < 100');
SELECT * FROM cdc_triggers;

INSERT INTO cap VALUES (21, 1, 'one row', 0);
INSERT INTO cap SELECT g, 2, NULL, 0 FROM generate_series(22, 30) g;
SELECT cdc_check('cap_st');
UPDATE cap SET b = 'changed', a = NULL WHERE id IN (1, 2);
SELECT cdc_check('cap_st');
DELETE FROM cap WHERE id BETWEEN 5 AND 7;
SELECT cdc_check('cap_st');

-- the key changes, rows swap values
UPDATE cap SET id = -id, a = 5;
SELECT cdc_check('cap_st');
UPDATE cap SET id = -id;
SELECT cdc_check('cap_st');

-- no captured column changes: nothing is written
SELECT count(*) AS rows_before FROM cdc_buffer('cap') \gset
UPDATE cap SET unused = unused + 1;
UPDATE cap SET a = a, b = b || '';
UPDATE cap SET a = 1 WHERE false;
SELECT count(*) - :rows_before AS written FROM cdc_buffer('cap');
SELECT cdc_check('cap_st');

-- some rows of a statement change one
UPDATE cap SET b = CASE WHEN id % 2 = 0 THEN 'even' ELSE b END;
SELECT cdc_check('cap_st');

-- INSERT ... ON CONFLICT
INSERT INTO cap VALUES (1, 9, 'new', 0), (100, 9, 'hundred', 0)
    ON CONFLICT (id) DO UPDATE SET b = cap.b || ', again';
INSERT INTO cap VALUES (1, 9, 'new', 0), (101, 9, 'x', 0) ON CONFLICT DO NOTHING;
SELECT cdc_check('cap_st');

-- MERGE with all three actions
MERGE INTO cap USING (SELECT generate_series(1, 200, 9) AS g) s ON cap.id = s.g
    WHEN MATCHED AND s.g % 2 = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET b = 'merged'
    WHEN NOT MATCHED THEN INSERT VALUES (s.g, 1, 'inserted', 0);
SELECT cdc_check('cap_st');

-- COPY
COPY cap FROM stdin;
300	1	copied	0
301	1	\N	0
\.
SELECT cdc_check('cap_st');

-- data-modifying CTEs on the same table
WITH d AS (DELETE FROM cap WHERE id >= 300 RETURNING *),
     u AS (UPDATE cap SET a = a + 1 WHERE id < 10 RETURNING 1)
INSERT INTO cap SELECT id + 100, a, b, 0 FROM d;
SELECT cdc_check('cap_st');

-- changes that cancel, in one window
INSERT INTO cap VALUES (500, 1, 'short life', 0);
UPDATE cap SET b = 'still' WHERE id = 500;
DELETE FROM cap WHERE id = 500;
SELECT cdc_check('cap_st');

-- subtransactions
BEGIN;
INSERT INTO cap VALUES (600, 1, 'kept', 0);
SAVEPOINT s;
INSERT INTO cap VALUES (601, 1, 'not kept', 0);
UPDATE cap SET b = 'not kept' WHERE id < 5;
ROLLBACK TO s;
DELETE FROM cap WHERE id = 1;
SAVEPOINT s2;
INSERT INTO cap VALUES (602, 1, 'kept, too', 0);
RELEASE s2;
COMMIT;
SELECT cdc_check('cap_st');
BEGIN;
DELETE FROM cap;
ROLLBACK;
SELECT cdc_check('cap_st');

-- an error in the middle of a statement leaves capture usable
INSERT INTO cap SELECT g, 1, 'x', 0 FROM generate_series(700, 900) g(g)
    UNION ALL SELECT 1 / (g - g), 1, 'x', 0 FROM generate_series(1, 1) g;
INSERT INTO cap VALUES (700, 1, 'after', 0);
SELECT cdc_check('cap_st');

-- TRUNCATE, alone and followed by rows
TRUNCATE cap;
SELECT cdc_check('cap_st');
BEGIN;
INSERT INTO cap VALUES (1, 1, 'gone', 0);
TRUNCATE cap;
INSERT INTO cap VALUES (2, 1, 'there', 0);
COMMIT;
SELECT cdc_check('cap_st');
SELECT cdc_check('cap_st');

-- session_replication_role
SET session_replication_role = replica;
INSERT INTO cap VALUES (3, 1, 'replica', 0);
RESET session_replication_role;
SELECT cdc_check('cap_st');

-- writers need no rights on anything of ours
CREATE ROLE cdc_writer;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON cap TO cdc_writer;
SET ROLE cdc_writer;
INSERT INTO cap VALUES (4, 1, 'writer', 0);
UPDATE cap SET b = 'by writer';
SELECT count(*) FROM pgtrickle_changes.nothing;
RESET ROLE;
SELECT cdc_check('cap_st');
REVOKE ALL ON cap FROM cdc_writer;
DROP ROLE cdc_writer;

-- the same statements many times over one session's cache
SET debug_discard_caches = 0;
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        INSERT INTO cap VALUES (1000 + i, i % 7, 'loop', 0);
        UPDATE cap SET a = a + 1 WHERE id = 1000 + i - 1;
        IF i % 3 = 0 THEN
            DELETE FROM cap WHERE id = 1000 + i - 2;
        END IF;
    END LOOP;
END $$;
SELECT cdc_check('cap_st');

-- foreign keys
CREATE TABLE cap_child (id int REFERENCES cap ON UPDATE CASCADE ON DELETE CASCADE, t text);
SELECT cdc_create('cap_child_st', 'SELECT id, t FROM cap_child');
INSERT INTO cap_child SELECT id, 'child' FROM cap, generate_series(1, 2);
SELECT cdc_check('cap_child_st');
UPDATE cap SET id = id + 5000 WHERE id % 2 = 0;
SELECT cdc_check('cap_st'), cdc_check('cap_child_st');
DELETE FROM cap WHERE id % 3 = 0;
SELECT cdc_check('cap_st'), cdc_check('cap_child_st');
TRUNCATE cap CASCADE;
SELECT cdc_check('cap_st'), cdc_check('cap_child_st');

-- no key, duplicates and NULLs
CREATE TABLE cap_bag (a int, b text);
SELECT cdc_create('cap_bag_st', 'SELECT a, b FROM cap_bag');
INSERT INTO cap_bag SELECT NULL, 'x' FROM generate_series(1, 5);
INSERT INTO cap_bag VALUES (1, NULL), (1, NULL), (1, NULL);
SELECT cdc_check('cap_bag_st');
DELETE FROM cap_bag WHERE ctid IN (SELECT min(ctid) FROM cap_bag GROUP BY a);
SELECT cdc_check('cap_bag_st');
UPDATE cap_bag SET b = 'y' WHERE ctid IN (SELECT min(ctid) FROM cap_bag GROUP BY a);
SELECT cdc_check('cap_bag_st');

-- triggers of the user see the same transition tables, before and after ours
CREATE TABLE cap_log (t text, n bigint);
CREATE FUNCTION cap_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cap_log SELECT TG_NAME, count(*) FROM n;
    RETURN NULL;
END $$;
CREATE TRIGGER aaa AFTER INSERT ON cap_bag REFERENCING NEW TABLE AS n
    FOR EACH STATEMENT EXECUTE FUNCTION cap_log();
CREATE TRIGGER zzz AFTER INSERT ON cap_bag REFERENCING NEW TABLE AS n
    FOR EACH STATEMENT EXECUTE FUNCTION cap_log();
INSERT INTO cap_bag SELECT g, 'user trigger' FROM generate_series(1, 10) g;
SELECT * FROM cap_log;
SELECT cdc_check('cap_bag_st');

-- called by hand, or put on a table that is nobody's source
CREATE TABLE cap_none (a int);
CREATE TRIGGER t AFTER INSERT ON cap_none REFERENCING NEW TABLE AS n
    FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.cdc_capture_statement();
CREATE TRIGGER r AFTER INSERT ON cap_none
    FOR EACH ROW EXECUTE FUNCTION pgtrickle.cdc_capture_row();
INSERT INTO cap_none VALUES (1);
SELECT pgtrickle.cdc_capture_statement();

DROP TABLE cap, cap_child, cap_bag, cap_none, cap_log CASCADE;
DROP FUNCTION cap_log;
SELECT * FROM cdc_triggers;
SELECT count(*) FROM pgtrickle.pgt_change_sources;
DROP TABLE cdc_queries;
