--
-- Stream tables that are recomputed: not while their sources are untouched,
-- unless the result may change by itself.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;

-- What a refresh did; an error if the table is not what its query gives.
CREATE FUNCTION untouched_refresh(st regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT coalesce(max(refresh_id), 0) FROM pgtrickle.pgt_refresh_history);
    definition oid := (SELECT t.definition FROM pgtrickle.pgt_stream_tables t WHERE relid = st);
    result text;
BEGIN
    PERFORM pgtrickle.refresh_stream_table(st::text);
    SELECT string_agg(action, ' ') INTO result FROM pgtrickle.pgt_refresh_history WHERE refresh_id > before;
    -- as it is for its owner
    EXECUTE format('SET LOCAL ROLE %s', (SELECT relowner::regrole FROM pg_class WHERE oid = st));
    IF check_st(st, pg_get_viewdef(definition)) <> 0 THEN
        RAISE EXCEPTION '% differs', st;
    END IF;
    RESET ROLE;
    RETURN coalesce(result, 'NO_DATA');
END $$;
CREATE FUNCTION untouched_why(st text) RETURNS text LANGUAGE sql AS $$
    SELECT value FROM pgtrickle.explain_st(st) WHERE property = 'recomputed' $$;
CREATE FUNCTION untouched_rows(source regclass) RETURNS TABLE (touches bigint, rows bigint, voids bigint)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT count(*) FILTER (WHERE s <= -(1 << 30)),
               count(*) FILTER (WHERE abs(s) < 1 << 30), count(*) FILTER (WHERE s >= 1 << 30)
          FROM (SELECT s FROM pgtrickle_changes.changes_%1$s_0
                UNION ALL SELECT s FROM pgtrickle_changes.changes_%1$s_1) b', source::oid);
END $$;

CREATE TABLE unt (id int PRIMARY KEY, a int, b text);
CREATE TABLE unt_other (id int PRIMARY KEY, c int);
INSERT INTO unt SELECT g, g % 7, 'b' || g FROM generate_series(1, 100) g;
INSERT INTO unt_other SELECT g, g FROM generate_series(1, 10) g;

SELECT pgtrickle.create_stream_table('unt_wide', 'SELECT a, id, row_number() OVER (PARTITION BY a ORDER BY id) AS n FROM unt LEFT JOIN unt_other USING (id)', NULL, 'FULL');
SELECT pgtrickle.create_stream_table('unt_full', 'SELECT id, a FROM unt WHERE a > 2', NULL, 'FULL');
SELECT source_table, cdc_mode FROM pgtrickle.list_sources('unt_wide') ORDER BY 1;
SELECT untouched_why('unt_wide'), untouched_why('unt_full');
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
-- success without any change is success
UPDATE pgtrickle.pgt_stream_tables SET status = 'ERROR', consecutive_errors = 2, retry_at = now() WHERE relid = 'unt_wide'::regclass;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_wide');
SELECT status, consecutive_errors, retry_at FROM pgtrickle.pgt_stream_tables WHERE relid = 'unt_wide'::regclass;
-- one row for each statement, whatever its size; none for one that does nothing
INSERT INTO unt SELECT g, 1, 'more' FROM generate_series(101, 300) g;
UPDATE unt SET a = a + 1 WHERE id > 250;
UPDATE unt SET a = a + 1 WHERE id < 0;
DELETE FROM unt WHERE id > 290;
SELECT * FROM untouched_rows('unt');
INSERT INTO unt VALUES (1, 1, 'x') ON CONFLICT (id) DO UPDATE SET a = 6;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
UPDATE unt_other SET c = c + 1;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
TRUNCATE unt_other;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');

-- transactions: rolled back, subtransactions, a refresh in the middle
BEGIN;
INSERT INTO unt VALUES (1000, 5, 'undone');
ROLLBACK;
SELECT untouched_refresh('unt_wide');
BEGIN;
SAVEPOINT s;
INSERT INTO unt VALUES (1000, 5, 'undone');
SELECT untouched_refresh('unt_full');
ROLLBACK TO s;
SELECT untouched_refresh('unt_full');
INSERT INTO unt VALUES (1001, 5, 'kept');
SELECT untouched_refresh('unt_full');
SELECT untouched_refresh('unt_full');
COMMIT;
SELECT untouched_refresh('unt_full'), untouched_refresh('unt_wide');
-- a trigger whose own write is undone, before the one that tells us fires
CREATE FUNCTION unt_undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        BEGIN
            INSERT INTO unt VALUES (2000, 5, 'undone');
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN
        END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER aaa AFTER UPDATE ON unt FOR EACH ROW EXECUTE FUNCTION unt_undo();
UPDATE unt SET a = 6 WHERE id = 2;
SELECT untouched_refresh('unt_full'), untouched_refresh('unt_wide');
DROP TRIGGER aaa ON unt;
-- the buffer is emptied as ever
DO $$
BEGIN
    FOR i IN 1..100000 LOOP
        INSERT INTO unt_other VALUES (i, i);
    END LOOP;
END $$;
SELECT untouched_refresh('unt_wide');
DELETE FROM unt_other;
SELECT untouched_refresh('unt_wide');
INSERT INTO unt_other VALUES (1, 1);
SELECT untouched_refresh('unt_wide');
SELECT touches < 10 AS emptied FROM untouched_rows('unt_other');

-- beside one that is maintained by deltas: columns that it does not use
SELECT pgtrickle.create_stream_table('unt_delta', 'SELECT id, b FROM unt', NULL, 'DIFFERENTIAL');
UPDATE unt SET a = 4 WHERE id = 3;
SELECT untouched_refresh('unt_delta'), untouched_refresh('unt_full'), untouched_refresh('unt_wide');
UPDATE unt SET b = 'new' WHERE id = 3;
SELECT untouched_refresh('unt_delta'), untouched_refresh('unt_full'), untouched_refresh('unt_wide');
-- so many of them that it moves on
DO $$
BEGIN
    FOR i IN 1..1100 LOOP
        UPDATE unt SET a = i % 7 WHERE id = 3;
    END LOOP;
END $$;
SELECT untouched_refresh('unt_delta'), untouched_refresh('unt_delta');
SELECT delta_row_count, rows_inserted FROM pgtrickle.pgt_refresh_history ORDER BY refresh_id DESC LIMIT 1;
SELECT source_table, pending_rows FROM pgtrickle.change_buffer_sizes() WHERE source_table = 'public.unt';
SELECT untouched_refresh('unt_full'), untouched_refresh('unt_wide');
-- the mode is changed there and back
SELECT pgtrickle.alter_stream_table('unt_full', refresh_mode => 'DIFFERENTIAL');
SELECT untouched_refresh('unt_full');
UPDATE unt SET a = 5 WHERE id = 4;
SELECT untouched_refresh('unt_full');
UPDATE unt SET a = 3 WHERE id = 4;
SELECT pgtrickle.alter_stream_table('unt_full', refresh_mode => 'FULL');
SELECT untouched_refresh('unt_full'), untouched_refresh('unt_full');

-- upstream is a stream table
SELECT pgtrickle.create_stream_table('unt_top', 'SELECT max(n) OVER () AS m, id FROM unt_wide', NULL, 'FULL');
SELECT untouched_refresh('unt_top');
UPDATE unt SET a = 0 WHERE id = 5;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_top'), untouched_refresh('unt_top');
UPDATE unt SET b = 'same' WHERE id = 5;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_top');
DROP TABLE unt_top;

-- DDL
ALTER TABLE unt DISABLE TRIGGER ALL;
SELECT trigger_type FROM pgtrickle.trigger_inventory() WHERE table_name = 'public.unt' AND NOT (present AND enabled);
UPDATE unt SET a = 6 WHERE id = 6;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
ALTER TABLE unt ALTER COLUMN a TYPE int USING a + 1;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full'), untouched_refresh('unt_wide');
ALTER TABLE unt RENAME COLUMN a TO aa;
SELECT untouched_refresh('unt_wide');
DROP TABLE unt_delta;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
UPDATE unt SET aa = 3 WHERE id = 7;
SELECT untouched_refresh('unt_wide'), untouched_refresh('unt_full');
SELECT pgtrickle.rebuild_cdc_triggers();
DROP TABLE unt, unt_other CASCADE;
SELECT count(*) FROM pgtrickle.pgt_change_sources;

-- partitions, children; row triggers
CREATE TABLE unp (id int, day int) PARTITION BY RANGE (day);
CREATE TABLE unp_1 PARTITION OF unp FOR VALUES FROM (0) TO (10);
CREATE TABLE unp_2 (id int, day int);
INSERT INTO unp_2 SELECT g, 15 FROM generate_series(1, 5) g;
CREATE TABLE uni (id int);
CREATE TABLE uni_child () INHERITS (uni);
CREATE TABLE uni_father (x int);
SELECT pgtrickle.create_stream_table('unp_st', 'SELECT id, count(*) OVER () AS n FROM unp', NULL, 'FULL');
SELECT pgtrickle.create_stream_table('uni_st', 'SELECT id, count(*) OVER () AS n FROM uni', NULL, 'FULL');
SELECT table_name, trigger_type FROM pgtrickle.trigger_inventory() WHERE table_name LIKE '%.un%' ORDER BY 1, 2;
INSERT INTO unp VALUES (1, 1);
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
UPDATE unp_1 SET id = 2;
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
ALTER TABLE unp ATTACH PARTITION unp_2 FOR VALUES FROM (10) TO (20);
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
UPDATE unp SET day = 5 WHERE day = 15 AND id = 1;
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
UPDATE unp SET day = 5 WHERE id = 77;
DELETE FROM unp_2 WHERE id = 2;
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
ALTER TABLE unp DETACH PARTITION unp_2;
SELECT untouched_refresh('unp_st'), untouched_refresh('unp_st');
INSERT INTO unp_2 VALUES (1, 1);
SELECT untouched_refresh('unp_st');
INSERT INTO uni_child VALUES (1);
SELECT untouched_refresh('uni_st'), untouched_refresh('uni_st');
-- through another parent, which is no source
ALTER TABLE uni_child ADD x int;
ALTER TABLE uni_child INHERIT uni_father;
SELECT untouched_refresh('uni_st');
SELECT untouched_refresh('uni_st');
INSERT INTO uni_child SELECT g, g FROM generate_series(1, 100) g;
SELECT * FROM untouched_rows('uni');
DELETE FROM uni_father WHERE x > 50;
SELECT untouched_refresh('uni_st'), untouched_refresh('uni_st');
DROP TABLE unp, unp_2, uni, uni_father CASCADE;

-- what is recomputed by each refresh nevertheless
CREATE TABLE unv (id int, t timestamptz DEFAULT '2020-01-01');
INSERT INTO unv VALUES (1), (2);
CREATE MATERIALIZED VIEW unv_mat AS SELECT id FROM unv;
CREATE SEQUENCE unv_seq;
CREATE FUNCTION unv_stable() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM public.unv';
CREATE FUNCTION unv_immutable(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE ROLE regress_pgt_unt;
CREATE FUNCTION unv_try(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM pgtrickle.create_stream_table('unv_st', q, NULL, 'FULL');
    result := untouched_why('unv_st');
    PERFORM pgtrickle.refresh_stream_table('unv_st');
    result := concat_ws(' / ', (SELECT string_agg(action, ' ' ORDER BY refresh_id) FROM pgtrickle.pgt_refresh_history
        WHERE pgt_id = (SELECT pgt_id FROM pgtrickle.pgt_stream_tables WHERE relid = 'unv_st'::regclass)), result);
    DROP TABLE unv_st;
    RETURN result;
END $$;
SELECT q, unv_try(q) FROM (VALUES
    ('SELECT id FROM unv LIMIT 1'),
    ('SELECT 1 AS one'),
    ('SELECT id, unv_immutable(id) AS i, t::text AS t FROM unv'),
    ('VALUES (1), (2)'),
    ('SELECT g FROM generate_series(1, 3) g'),
    ('SELECT id FROM unv WHERE EXISTS (SELECT FROM unv u WHERE u.id > unv.id)'),
    ('WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r'),
    ('SELECT id, tableoid::regclass::text AS r FROM unv'),
    ('SELECT now() AS n FROM unv'),
    ('SELECT random() AS n FROM unv'),
    ('SELECT id FROM unv WHERE t < current_date'),
    ('SELECT id FROM unv ORDER BY random()'),
    ('VALUES (now())'),
    ('SELECT g FROM generate_series(now(), now(), ''1 day'') g'),
    ('SELECT id FROM unv LIMIT (random() * 2)::int'),
    ('SELECT id, (SELECT max(t) FROM unv u WHERE u.t < now()) AS m FROM unv'),
    ('SELECT id FROM unv u JOIN LATERAL (SELECT clock_timestamp() AS c) l ON true'),
    ('SELECT unv_stable() AS n'),
    ('SELECT nextval(''unv_seq'') AS n FROM unv'),
    ('SELECT id FROM unv_mat'),
    ('SELECT ctid::text AS c FROM unv'),
    ('SELECT id FROM unv TABLESAMPLE BERNOULLI (100)'),
    ('SELECT current_user::text AS u, id FROM unv'),
    ('SELECT current_setting(''work_mem'') AS u, id FROM unv'),
    ('SELECT sum(id) OVER (ORDER BY id ROWS extract(epoch FROM now())::int % 2 PRECEDING) AS s FROM unv')) v(q);
-- row security, and a role that may not have triggers created
ALTER TABLE unv ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON unv USING (id > 1);
GRANT SELECT ON unv, unv_mat TO regress_pgt_unt;
CREATE SCHEMA unv_schema AUTHORIZATION regress_pgt_unt;
SET ROLE regress_pgt_unt;
SELECT pgtrickle.create_stream_table('unv_schema.st', 'SELECT id FROM public.unv', NULL, 'FULL');
RESET ROLE;
SELECT untouched_why('unv_schema.st');
ALTER TABLE unv DISABLE ROW LEVEL SECURITY;
SELECT untouched_refresh('unv_schema.st'), untouched_refresh('unv_schema.st');
SELECT untouched_why('unv_schema.st');
GRANT TRIGGER ON unv TO regress_pgt_unt;
SELECT pgtrickle.repair_stream_table('unv_schema.st') <> '' AS repaired;
SELECT untouched_why('unv_schema.st');
SELECT untouched_refresh('unv_schema.st');
ALTER TABLE unv ENABLE ROW LEVEL SECURITY;
SELECT untouched_refresh('unv_schema.st'), untouched_refresh('unv_schema.st');
ALTER ROLE regress_pgt_unt BYPASSRLS;
SELECT untouched_refresh('unv_schema.st'), untouched_refresh('unv_schema.st');
ALTER ROLE regress_pgt_unt NOBYPASSRLS;
SELECT untouched_refresh('unv_schema.st'), untouched_refresh('unv_schema.st');
-- who may not capture changes does not stop a command that would have them captured
CREATE TABLE unr (id int PRIMARY KEY);
ALTER TABLE unr ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON unr USING (id > 0);
GRANT SELECT ON unr TO regress_pgt_unt;
SET ROLE regress_pgt_unt;
SELECT pgtrickle.create_stream_table('unv_schema.reader', 'SELECT id FROM public.unr', NULL);
RESET ROLE;
ALTER TABLE unr DISABLE ROW LEVEL SECURITY;
INSERT INTO unr VALUES (1), (-1);
SELECT untouched_refresh('unv_schema.reader');
SELECT untouched_why('unv_schema.reader');
-- a view whose owner sees all, over a table whose policies bind the owner of the stream table
ALTER TABLE unr ENABLE ROW LEVEL SECURITY;
CREATE VIEW unr_view AS SELECT id FROM unr;
GRANT TRIGGER ON unr TO regress_pgt_unt;
GRANT SELECT ON unr_view TO regress_pgt_unt;
SET ROLE regress_pgt_unt;
SELECT pgtrickle.create_stream_table('unv_schema.of_view', 'SELECT id FROM public.unr_view', NULL);
SELECT pgtrickle.create_stream_table('unv_schema.of_view_full', 'SELECT id FROM public.unr_view', NULL, 'FULL');
RESET ROLE;
INSERT INTO unr VALUES (2), (-2);
SELECT untouched_refresh('unv_schema.of_view'), untouched_refresh('unv_schema.of_view_full');
SELECT untouched_why('unv_schema.of_view');
SELECT count(*) FROM unv_schema.of_view;
DROP TABLE unr CASCADE;
DROP TABLE unv CASCADE;
DROP SCHEMA unv_schema CASCADE;
DROP ROLE regress_pgt_unt;
DROP SEQUENCE unv_seq;
DROP FUNCTION unv_stable, unv_immutable, unv_try, unt_undo, untouched_refresh, untouched_why, untouched_rows;
