--
-- Attaching and detaching capture: triggers, buffers, modes, rights, repair.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/cdc.sql'
\i :helpers

CREATE TABLE att (a int, b text);
INSERT INTO att VALUES (1, 'one');

-- the TRIGGER privilege on the source
CREATE ROLE cdc_user;
GRANT CREATE ON SCHEMA public TO cdc_user;
GRANT SELECT ON att TO cdc_user;
GRANT SELECT, INSERT, UPDATE ON cdc_queries TO cdc_user;
SET ROLE cdc_user;
SELECT cdc_create('att_st', 'SELECT a, b FROM att');
RESET ROLE;
SELECT count(*) FROM cdc_triggers;
SELECT count(*) FROM pgtrickle.pgt_change_sources;
GRANT TRIGGER ON att TO cdc_user;
SET ROLE cdc_user;
SELECT cdc_create('att_st', 'SELECT a, b FROM att');
RESET ROLE;
SELECT relowner::regrole = (SELECT extowner::regrole FROM pg_extension WHERE extname = 'pg_trickle') AS ours,
       relpersistence, relkind, count(*)
  FROM pg_class WHERE relname LIKE 'changes\_' || 'att'::regclass::oid || '\__' GROUP BY 1, 2, 3;
INSERT INTO att VALUES (2, 'two');
SELECT cdc_check('att_st');
-- a restored privilege is not needed to go on
REVOKE TRIGGER ON att FROM cdc_user;
INSERT INTO att VALUES (3, 'three');
SELECT cdc_check('att_st');

-- the buffers belong to the extension
DO $$
BEGIN
    EXECUTE format('DROP TABLE pgtrickle_changes.changes_%s_0', 'att'::regclass::oid);
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE WARNING 'refused';
END $$;

-- triggers that are disabled come back at once; nothing is lost
ALTER TABLE att DISABLE TRIGGER ALL;
SELECT * FROM cdc_triggers;
INSERT INTO att VALUES (4, 'four');
ALTER TABLE att ENABLE TRIGGER ALL;
SELECT * FROM cdc_triggers;
SET session_replication_role = replica;
INSERT INTO att VALUES (5, 'five');
RESET session_replication_role;
SELECT cdc_check('att_st');

-- one that is dropped is made anew
DO $$
BEGIN
    EXECUTE format('DROP TRIGGER pg_trickle_cdc_%s_ins ON att', 'att'::regclass::oid);
END $$;
SELECT * FROM cdc_triggers;
INSERT INTO att VALUES (6, 'six');
SELECT cdc_check('att_st');
INSERT INTO att VALUES (7, 'seven');
SELECT cdc_check('att_st');

-- behind our back
SET session_replication_role = replica;
DO $$
BEGIN
    EXECUTE format('DROP TRIGGER pg_trickle_cdc_%s_ins ON att', 'att'::regclass::oid);
END $$;
RESET session_replication_role;
SELECT cdc_check('att_st');
SELECT * FROM cdc_triggers;

-- row mode
SET pg_trickle.cdc_trigger_mode = row;
SELECT pgtrickle.rebuild_cdc_triggers();
SELECT * FROM cdc_triggers;
INSERT INTO att SELECT g, 'row mode' FROM generate_series(10, 15) g;
UPDATE att SET b = 'updated' WHERE a % 2 = 0;
UPDATE att SET b = b;
DELETE FROM att WHERE a = 11;
SELECT cdc_check('att_st');
TRUNCATE att;
INSERT INTO att VALUES (1, 'again');
SELECT cdc_check('att_st');
CREATE TABLE att2 (a int);
SELECT cdc_create('att2_st', 'SELECT a FROM att2');
SELECT * FROM cdc_triggers;
RESET pg_trickle.cdc_trigger_mode;
SELECT pgtrickle.rebuild_cdc_triggers();
SELECT * FROM cdc_triggers;
INSERT INTO att VALUES (2, 'statement mode');
SELECT cdc_check('att_st');

-- the last consumer goes, others stay
SELECT cdc_create('att_st_b', 'SELECT count(*) AS n FROM att');
SELECT pgtrickle.drop_stream_table('att_st');
SELECT count(*) FROM cdc_triggers WHERE relation = 'att'::regclass;
INSERT INTO att VALUES (3, 'other consumer');
SELECT cdc_check('att_st_b');
SELECT pgtrickle.drop_stream_table('att_st_b');
SELECT count(*) FROM cdc_triggers WHERE relation = 'att'::regclass;
SELECT count(*) FROM pg_class WHERE relname LIKE 'changes\_' || 'att'::regclass::oid || '\__';
INSERT INTO att VALUES (4, 'nobody');

-- rolled back creation leaves nothing
BEGIN;
SELECT cdc_create('att_st_c', 'SELECT count(*) AS n FROM att');
INSERT INTO att VALUES (5, 'in transaction');
ROLLBACK;
SELECT count(*) FROM cdc_triggers WHERE relation = 'att'::regclass;
INSERT INTO att VALUES (6, 'after');
-- created and dropped in one transaction, with writes
BEGIN;
SELECT cdc_create('att_st_c', 'SELECT count(*) AS n FROM att');
INSERT INTO att VALUES (5, 'in transaction');
SELECT cdc_check('att_st_c');
SELECT pgtrickle.drop_stream_table('att_st_c');
COMMIT;
DELETE FROM cdc_queries;

-- the source goes
SELECT cdc_create('att_st_d', 'SELECT count(*) AS n FROM att2');
DROP TABLE att2 CASCADE;
SELECT count(*) FROM pgtrickle.pgt_change_sources;
SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace;

-- what cannot be captured
CREATE TEMP TABLE att_temp (a int);
SELECT cdc_create('no_st', 'SELECT a FROM att_temp');
SELECT cdc_create('no_st', 'SELECT oid FROM pg_class');
SELECT cdc_create('no_st', 'SELECT sizing_id FROM information_schema.sql_sizing');
SELECT cdc_create('no_st', 'SELECT pgt_id FROM pgtrickle.pgt_stream_tables');
CREATE MATERIALIZED VIEW att_mv AS SELECT 1 AS a;
SELECT cdc_create('no_st', 'SELECT a FROM att_mv');

-- unlogged sources and buffers
CREATE UNLOGGED TABLE att_unlogged (a int);
SELECT cdc_create('att_unlogged_st', 'SELECT a FROM att_unlogged');
SELECT DISTINCT relpersistence FROM pg_class
 WHERE relname LIKE 'changes\_' || 'att_unlogged'::regclass::oid || '\__';
INSERT INTO att_unlogged SELECT generate_series(1, 5);
SELECT cdc_check('att_unlogged_st');
SET pg_trickle.change_buffer_unlogged = on;
SELECT cdc_create('att_st', 'SELECT a FROM att');
RESET pg_trickle.change_buffer_unlogged;
SELECT DISTINCT relpersistence FROM pg_class
 WHERE relname LIKE 'changes\_' || 'att'::regclass::oid || '\__';
INSERT INTO att SELECT generate_series(1, 5);
SELECT cdc_check('att_st');
SELECT cdc_check('att_st');

-- buffers are not where the creator's default_tablespace says: writers depend on them
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_pgt_space LOCATION '';
CREATE TABLE att_spaced (a int);
SET default_tablespace = regress_pgt_space;
SELECT cdc_create('att_spaced_st', 'SELECT a FROM att_spaced');
RESET default_tablespace;
SELECT count(*) FROM pg_class WHERE reltablespace <> 0
   AND relname LIKE 'changes\_' || 'att_spaced'::regclass::oid || '\__';
SELECT spcname FROM pg_tablespace t JOIN pg_class c ON c.reltablespace = t.oid
 WHERE c.oid = 'att_spaced_st'::regclass;
DROP TABLE att_spaced CASCADE;
DROP TABLESPACE regress_pgt_space;

DROP TABLE att, att_unlogged, cdc_queries CASCADE;
DROP MATERIALIZED VIEW att_mv;
REVOKE CREATE ON SCHEMA public FROM cdc_user;
DROP ROLE cdc_user;
