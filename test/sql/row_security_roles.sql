-- Row security begins and ceases to apply to the owner of a stream table by
-- commands on roles, which tell nobody
SET client_min_messages = warning;
CREATE ROLE rsr_alice BYPASSRLS;
CREATE SCHEMA rsr AUTHORIZATION rsr_alice;
CREATE TABLE rsr_src (id int, secret bool);
GRANT SELECT, TRIGGER ON rsr_src TO rsr_alice;
ALTER TABLE rsr_src ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rsr_src FOR SELECT TO rsr_alice USING (NOT secret);
INSERT INTO rsr_src VALUES (1, false), (2, true);
SET ROLE rsr_alice;
SELECT FROM pgtrickle.create_stream_table('rsr.st', 'SELECT id, secret FROM rsr_src', schedule => '1d');
RESET ROLE;
INSERT INTO rsr_src VALUES (3, true);
SELECT FROM pgtrickle.refresh_stream_table('rsr.st');
SELECT * FROM rsr.st ORDER BY id;

ALTER ROLE rsr_alice NOBYPASSRLS;
INSERT INTO rsr_src VALUES (4, true), (5, false);
SELECT FROM pgtrickle.refresh_stream_table('rsr.st');
SELECT * FROM rsr.st ORDER BY id;

-- a session without a plan
ALTER ROLE rsr_alice BYPASSRLS;
SELECT FROM pgtrickle.repair_stream_table('rsr.st');
SELECT * FROM rsr.st ORDER BY id;
ALTER ROLE rsr_alice NOBYPASSRLS;
INSERT INTO rsr_src VALUES (6, true);
\c -
SET client_min_messages = warning;
SELECT FROM pgtrickle.refresh_stream_table('rsr.st');
SELECT * FROM rsr.st ORDER BY id;

DROP SCHEMA rsr CASCADE;
DROP TABLE rsr_src;
DROP ROLE rsr_alice;
