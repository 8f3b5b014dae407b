-- Partitions and children that come in by other commands than CREATE TABLE
SET client_min_messages = warning;
CREATE TABLE dnm_root (k int, v int) PARTITION BY LIST (k);
CREATE TABLE dnm_plain (id int, v int);
SELECT FROM pgtrickle.create_stream_table('dnm_root_st', 'SELECT k, v FROM dnm_root', schedule => '1d');
SELECT FROM pgtrickle.create_stream_table('dnm_plain_st', 'SELECT id, v FROM dnm_plain', schedule => '1d');

-- as elements of a new schema
CREATE SCHEMA dnm
	CREATE TABLE part PARTITION OF public.dnm_root FOR VALUES IN (2)
	CREATE TABLE child () INHERITS (public.dnm_plain);
INSERT INTO dnm.part VALUES (2, 20);
INSERT INTO dnm_root VALUES (2, 21);
INSERT INTO dnm.child VALUES (1, 10);
SELECT FROM pgtrickle.refresh_stream_table('dnm_root_st');
SELECT FROM pgtrickle.refresh_stream_table('dnm_plain_st');
SELECT * FROM dnm_root_st ORDER BY v;
SELECT * FROM dnm_plain_st ORDER BY v;

-- foreign tables cannot be captured
CREATE FOREIGN DATA WRAPPER dnm_wrapper;
CREATE SERVER dnm_server FOREIGN DATA WRAPPER dnm_wrapper;
CREATE FOREIGN TABLE dnm_foreign PARTITION OF dnm_root FOR VALUES IN (3) SERVER dnm_server;
CREATE FOREIGN TABLE dnm_foreign (id int, v int) SERVER dnm_server;
ALTER FOREIGN TABLE dnm_foreign INHERIT dnm_plain;
CREATE FOREIGN TABLE dnm_foreign_child () INHERITS (dnm_plain) SERVER dnm_server;

DROP FOREIGN DATA WRAPPER dnm_wrapper CASCADE;
DROP TABLE dnm_root, dnm_plain CASCADE;
DROP SCHEMA dnm CASCADE;
