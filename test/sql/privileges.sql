-- Who may do what: ordinary users only, nothing asks for a superuser.
SET client_min_messages = warning;
CREATE ROLE regress_pgt_alice;
CREATE ROLE regress_pgt_bob;
CREATE ROLE regress_pgt_group;
GRANT regress_pgt_group TO regress_pgt_bob;
CREATE SCHEMA priv;
GRANT USAGE ON SCHEMA priv TO PUBLIC;
CREATE SCHEMA alice AUTHORIZATION regress_pgt_alice;
SET search_path = priv;
CREATE TABLE src (id int PRIMARY KEY, pub int, secret int);
INSERT INTO src VALUES (1, 1, 100), (2, 2, 200);
\set VERBOSITY sqlstate

SET ROLE regress_pgt_alice;
-- CREATE on the schema
SELECT pgtrickle.create_stream_table('priv.st', 'SELECT 1 AS a');
-- SELECT on the columns used, at any depth, also when it is not filled
SELECT pgtrickle.create_stream_table('alice.st', 'SELECT id FROM src');
SELECT pgtrickle.create_stream_table('alice.st', 'SELECT count(*) AS c FROM (SELECT id FROM src) s', initialize => false);
SELECT pgtrickle.create_stream_table('alice.st', 'WITH x AS (SELECT id FROM src) SELECT id FROM x', initialize => false);
RESET ROLE;
GRANT SELECT (id, pub) ON src TO regress_pgt_alice;
SET ROLE regress_pgt_alice;
SELECT pgtrickle.create_stream_table('alice.st', 'SELECT id, secret FROM src', initialize => false);
-- TRIGGER on the source
SELECT pgtrickle.create_stream_table('alice.st', 'SELECT id, pub FROM src');
RESET ROLE;
GRANT TRIGGER ON src TO regress_pgt_alice;
SET ROLE regress_pgt_alice;
SELECT pgtrickle.create_stream_table('alice.st', 'SELECT id, pub FROM src WHERE pub > 0');
SELECT pgtrickle.create_stream_table('alice.grp', 'SELECT pub, avg(id) AS a, max(id) AS m FROM src GROUP BY pub');
SELECT tableowner FROM pg_tables WHERE schemaname = 'alice' ORDER BY tablename;
-- nothing of the inside is hers to touch
SELECT segment0::regclass FROM pgtrickle.pgt_change_sources;
RESET ROLE;
SELECT segment0::regclass AS buffer FROM pgtrickle.pgt_change_sources \gset
SELECT definition FROM pgtrickle.pgt_stream_tables WHERE relid = 'alice.st'::regclass \gset
SET ROLE regress_pgt_alice;
SELECT * FROM :buffer;
INSERT INTO :buffer VALUES ('1', 1);
DROP TABLE :buffer;
CREATE TABLE pgtrickle_changes.mine (a int);
CREATE OR REPLACE VIEW :definition AS SELECT 1 AS id, 2 AS pub;
DROP VIEW :definition;
UPDATE pgtrickle.pgt_stream_tables SET status = 'ERROR';
DELETE FROM alice.st;
RESET ROLE;

-- writers of the source need nothing
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON src TO regress_pgt_bob;
SET ROLE regress_pgt_bob;
INSERT INTO src VALUES (3, 3, 300);
UPDATE src SET pub = 5 WHERE id = 1;
DELETE FROM src WHERE id = 2;
-- others may not manage or refresh it, nor read it unless granted
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT pgtrickle.alter_stream_table('alice.st', schedule => '5s');
RESET ROLE;
GRANT USAGE ON SCHEMA alice TO regress_pgt_bob;
SET ROLE regress_pgt_bob;
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT pgtrickle.alter_stream_table('alice.st', schedule => '5s');
SELECT pgtrickle.drop_stream_table('alice.st');
SELECT pgtrickle.suspend_stream_table('alice.st');
SELECT pgtrickle.resume_stream_table('alice.st');
SELECT pgtrickle.repair_stream_table('alice.st');
SELECT pgtrickle.create_or_replace_stream_table('alice.st', 'SELECT 1 AS a');
SELECT count(*) FROM alice.st;
RESET ROLE;

-- the owner refreshes with her rights, whoever calls: a superuser, too
SELECT pgtrickle.refresh_stream_table('alice.st');
SET ROLE regress_pgt_alice;
SELECT pgtrickle.refresh_stream_table('alice.grp');
SELECT * FROM alice.st ORDER BY id;
SELECT * FROM alice.grp ORDER BY pub;
SELECT pgtrickle.alter_stream_table('alice.st', schedule => '5s');
RESET ROLE;
REVOKE SELECT ON src FROM regress_pgt_alice;
REVOKE SELECT (id, pub) ON src FROM regress_pgt_alice;
INSERT INTO src VALUES (4, 4, 400);
SELECT pgtrickle.refresh_stream_table('alice.grp');
GRANT SELECT (id, pub) ON src TO regress_pgt_alice;

-- a superuser alters hers: the rights of the owner count
SELECT pgtrickle.alter_stream_table('alice.st', query => 'SELECT id, secret AS pub FROM src');
SELECT pgtrickle.alter_stream_table('alice.st', query => 'SELECT id, pub + 0 AS pub FROM src');
SELECT viewowner FROM pg_views WHERE (schemaname || '.' || viewname)::regclass = :'definition'::regclass;

-- functions in the query run as the owner, restricted
SET ROLE regress_pgt_alice;
CREATE FUNCTION alice.who(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN RETURN current_user || ' ' || current_setting('search_path'); END $$;
CREATE FUNCTION alice.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'SET ROLE postgres'; RETURN 1; END $$;
SELECT pgtrickle.create_stream_table('alice.whoami', 'SELECT id, alice.who(id) AS w FROM src', initialize => false);
SELECT pgtrickle.create_stream_table('alice.evils', 'SELECT id, alice.evil(id) AS w FROM src', initialize => false);
RESET ROLE;
SELECT pgtrickle.refresh_stream_table('alice.whoami');
SELECT DISTINCT w FROM alice.whoami;
SELECT pgtrickle.refresh_stream_table('alice.evils');
SELECT current_user = session_user AS unchanged;

-- MAINTAIN lets others refresh it, from 17 on
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON alice.st TO regress_pgt_bob';
        SET LOCAL ROLE regress_pgt_bob;
        PERFORM pgtrickle.refresh_stream_table('alice.st');
        RESET ROLE;
        EXECUTE 'REVOKE MAINTAIN ON alice.st FROM regress_pgt_bob';
    END IF;
END $$;

-- another owner: view, state and rights follow
GRANT SELECT, TRIGGER ON src TO regress_pgt_group;
ALTER TABLE alice.grp OWNER TO regress_pgt_group;
SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
WHERE relnamespace = 'pgtrickle_changes'::regnamespace AND (relname LIKE 'stage%'
    OR oid = (SELECT definition FROM pgtrickle.pgt_stream_tables WHERE relid = 'alice.grp'::regclass));
SELECT has_schema_privilege('regress_pgt_group', 'pgtrickle_changes', 'usage');
SET ROLE regress_pgt_bob;
INSERT INTO src VALUES (5, 5, 500);
-- a member of the owning role owns it
SELECT pgtrickle.refresh_stream_table('alice.grp');
SELECT pgtrickle.alter_stream_table('alice.grp', schedule => '7s');
SELECT pgtrickle.refresh_stream_table('alice.st');
RESET ROLE;
SELECT count(*) FROM alice.grp;
-- REASSIGN OWNED
REASSIGN OWNED BY regress_pgt_group TO regress_pgt_bob;
INSERT INTO src VALUES (6, 6, 600);
SELECT pgtrickle.refresh_stream_table('alice.grp');
SELECT count(*) FROM alice.grp;

-- views: a table that is maintained by deltas needs rights on the tables below,
-- one that is recomputed reads through the view
CREATE VIEW through AS SELECT id, secret FROM src;
GRANT SELECT ON through TO regress_pgt_alice;
SET ROLE regress_pgt_alice;
SELECT pgtrickle.create_stream_table('alice.tv', 'SELECT id, secret FROM through', initialize => false);
SELECT pgtrickle.create_stream_table('alice.tv', 'SELECT id, secret FROM through WHERE random() >= 0 LIMIT 2');
RESET ROLE;
SELECT count(*) FROM alice.tv;

-- row security of the source holds for the owner of the stream table
ALTER TABLE src ENABLE ROW LEVEL SECURITY;
CREATE POLICY low_ids ON src FOR SELECT TO regress_pgt_alice USING (id < 3);
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT id FROM alice.st ORDER BY id;
DROP POLICY low_ids ON src;
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT id FROM alice.st ORDER BY id;
ALTER TABLE src DISABLE ROW LEVEL SECURITY;
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT count(*) FROM alice.st;
-- and on the stream table for its readers
GRANT SELECT ON alice.st TO regress_pgt_bob;
ALTER TABLE alice.st ENABLE ROW LEVEL SECURITY;
ALTER TABLE alice.st FORCE ROW LEVEL SECURITY;
CREATE POLICY bobs ON alice.st TO regress_pgt_bob USING (id = 1);
INSERT INTO src VALUES (7, 7, 700);
DELETE FROM src WHERE id = 6;
SELECT pgtrickle.refresh_stream_table('alice.st');
SELECT count(*) FROM alice.st;
SET ROLE regress_pgt_bob;
SELECT count(*) FROM alice.st;
RESET ROLE;

\set VERBOSITY default
DROP SCHEMA alice CASCADE;
DROP SCHEMA priv CASCADE;
SELECT nspacl IS NOT NULL AND nspacl::text LIKE '%regress%' AS grants_left FROM pg_namespace WHERE nspname = 'pgtrickle_changes';
DROP OWNED BY regress_pgt_alice, regress_pgt_bob, regress_pgt_group;
DROP ROLE regress_pgt_alice, regress_pgt_bob, regress_pgt_group;
