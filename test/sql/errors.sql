-- Wrong input: a clear error with a fitting SQLSTATE, and nothing left behind.
CREATE SCHEMA err;
SET search_path = err, public;
CREATE TABLE src (id int PRIMARY KEY, v text, n int);
INSERT INTO src VALUES (1, 'a', 10), (2, 'b', 20);
CREATE TABLE nocols ();

-- runs a statement that must fail; says how
CREATE FUNCTION fails(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; msg text; det text; hnt text;
BEGIN
    EXECUTE sql;
    RETURN 'no error!';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, msg = MESSAGE_TEXT,
        det = PG_EXCEPTION_DETAIL, hnt = PG_EXCEPTION_HINT;
    RETURN state || ' ' || msg || coalesce(E'\n  ' || nullif(det, ''), '')
        || coalesce(E'\n  ' || nullif(hnt, ''), '');
END $$;
CREATE FUNCTION create_fails(query text, name text DEFAULT 'st', mode text DEFAULT 'AUTO')
RETURNS text LANGUAGE sql AS
    $$ SELECT fails(format('SELECT pgtrickle.create_stream_table(%L, %L, refresh_mode => %L)', name, query, mode)) $$;
\pset format unaligned
\pset tuples_only on

-- syntax errors keep their position in the query
SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src WHERE');
SELECT pgtrickle.create_stream_table('st', E'SELECT \'é\' AS e, nope FROM src');
SELECT pgtrickle.create_stream_table('st', 'SELECT * FROM nope');
-- and so do reasons why a query cannot be maintained
SELECT pgtrickle.create_stream_table('st', E'SELECT \'é\' AS e, random() AS r FROM src', refresh_mode => 'DIFFERENTIAL');

SELECT create_fails('SELEC 1');
SELECT create_fails('');
SELECT create_fails('   -- nothing');
SELECT create_fails('SELECT nope FROM src');
SELECT create_fails('SELECT * FROM nope.src');
SELECT create_fails('SELECT 1 AS a; SELECT 2 AS b');
SELECT create_fails('INSERT INTO src VALUES (3)');
SELECT create_fails('UPDATE src SET n = 1');
SELECT create_fails('CREATE TABLE x (a int)');
SELECT create_fails('VACUUM');
SELECT create_fails('SELECT id INTO x FROM src');
SELECT create_fails('SELECT id FROM src WHERE id = $1');
SELECT create_fails('WITH d AS (DELETE FROM src RETURNING id) SELECT id FROM d');
SELECT create_fails('SELECT id FROM src FOR UPDATE');
SELECT create_fails('WITH RECURSIVE w AS (SELECT id FROM (SELECT id FROM src FOR UPDATE) AS l UNION SELECT id + 1 FROM w WHERE id < 3) TABLE w');
SELECT create_fails('SELECT id, n AS id FROM src');
SELECT create_fails('SELECT id AS "" FROM src');
SELECT create_fails('SELECT FROM src');
SELECT create_fails('SELECT ROW(1, 2) AS r FROM src');
SELECT create_fails('SELECT * FROM nocols');
SELECT create_fails('SELECT oid FROM pg_class');
SELECT create_fails('SELECT table_name FROM information_schema.tables');
SELECT create_fails('SELECT pgt_id FROM pgtrickle.pgt_stream_tables');
CREATE TEMP TABLE tmp (a int);
SELECT create_fails('SELECT a FROM tmp');
DROP TABLE tmp;

-- names
SELECT create_fails('SELECT id FROM src', 'src');
SELECT create_fails('SELECT id FROM src', 'nope.st');
SELECT create_fails('SELECT id FROM src', 'pg_temp.st');
SELECT create_fails('SELECT id FROM src', 'pg_catalog.st');
SELECT create_fails('SELECT id FROM src', 'pgtrickle.st');
SELECT create_fails('SELECT id FROM src', 'pgtrickle_changes.st');
SELECT create_fails('SELECT id FROM src', '');
SELECT create_fails('SELECT id FROM src', 'a.b.c.d');
SELECT create_fails('SELECT id FROM src', 'other_db.err.st');
SELECT create_fails('SELECT id FROM src', '"unclosed');
SELECT create_fails('SELECT * FROM st');

-- options
SELECT create_fails('SELECT id FROM src', mode => 'SOMETIMES');
SELECT create_fails('SELECT id FROM src', mode => 'IMMEDIATE');
SELECT create_fails('SELECT id FROM src LIMIT 1000', mode => 'DIFFERENTIAL');
SELECT create_fails('SELECT random() AS r FROM src', mode => 'DIFFERENTIAL');
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', schedule => 'soon')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', schedule => '')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', schedule => '-1s')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', cdc_mode => 'wal')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', cdc_mode => 'magic')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', diamond_consistency => 'x')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', diamond_schedule_policy => 'x')$$);

-- null arguments
SELECT fails($$SELECT pgtrickle.create_stream_table(NULL, 'SELECT id FROM src')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', NULL)$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', refresh_mode => NULL)$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', initialize => NULL)$$);
SELECT fails($$SELECT pgtrickle.create_stream_table('st', 'SELECT id FROM src', append_only => NULL)$$);
SELECT f, fails(format('SELECT pgtrickle.%s(NULL)', f))
FROM unnest(ARRAY['alter_stream_table', 'drop_stream_table', 'refresh_stream_table',
    'suspend_stream_table', 'resume_stream_table', 'repair_stream_table', 'validate_query',
    'list_sources', 'parse_duration_seconds']) f;

-- functions on what is no stream table
SELECT f, fails(format('SELECT pgtrickle.%s(%L)', f, n))
FROM unnest(ARRAY['nope', 'src']) n,
    unnest(ARRAY['alter_stream_table', 'drop_stream_table', 'refresh_stream_table',
    'suspend_stream_table', 'resume_stream_table', 'repair_stream_table', 'list_sources']) f;
SELECT fails($$SELECT pgtrickle.create_or_replace_stream_table('src', 'SELECT 1 AS a')$$);
SELECT fails($$SELECT pgtrickle.create_stream_table_if_not_exists('src', 'SELECT 1 AS a')$$);

-- a query that fails at run time takes everything back
SELECT create_fails('SELECT id, 1 / (n - 10) AS q FROM src');

-- so does one that is cancelled: the creation, a delta, a recomputation
\set SHOW_CONTEXT never
CREATE FUNCTION sleepy(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF i > 100 AND current_setting('errors.sleep', true) = 'on' THEN PERFORM pg_sleep(600); END IF;
    RETURN i;
END $$;
INSERT INTO src VALUES (100, 'slow', 101);
SET errors.sleep = on;
SET statement_timeout = '500ms';
SELECT create_fails('SELECT id, sleepy(n) AS n FROM src');
RESET statement_timeout;
RESET errors.sleep;
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
SELECT to_regclass('st'), count(*) FROM pg_trigger WHERE tgrelid = 'src'::regclass;
DELETE FROM src WHERE id = 100;
SELECT pgtrickle.create_stream_table('st', 'SELECT id, sleepy(n) AS n FROM src', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st_full', 'SELECT id, sleepy(n) AS n FROM src', NULL, 'FULL');
INSERT INTO src VALUES (3, 'c', 30), (100, 'slow', 101);
SET errors.sleep = on;
SET statement_timeout = '500ms';
SELECT pgtrickle.refresh_stream_table('st');
SELECT pgtrickle.refresh_stream_table('st_full');
RESET statement_timeout;
RESET errors.sleep;
SELECT count(*) FROM st;
SELECT count(*) FROM st_full;
UPDATE src SET n = 40 WHERE id = 100;
DELETE FROM src WHERE id = 1;
SELECT pgtrickle.refresh_stream_table('st'), pgtrickle.refresh_stream_table('st_full');
SELECT id, n FROM st ORDER BY id;
SELECT id, n FROM st_full ORDER BY id;
DROP TABLE st, st_full;
DELETE FROM src WHERE id IN (3, 100);
INSERT INTO src VALUES (1, 'a', 10);
\set SHOW_CONTEXT errors

-- cycles
SELECT pgtrickle.create_stream_table('c1', 'SELECT id, n FROM src');
SELECT pgtrickle.create_stream_table('c2', 'SELECT id, n FROM c1');
CREATE VIEW cv AS SELECT id, n FROM c2;
SELECT pgtrickle.create_stream_table('c3', 'SELECT id, n FROM cv');
SELECT fails($$SELECT pgtrickle.alter_stream_table('c1', query => 'SELECT id, n FROM c1')$$);
SELECT fails($$SELECT pgtrickle.alter_stream_table('c1', query => 'SELECT id, n FROM c3')$$);
SELECT fails($$SELECT pgtrickle.alter_stream_table('c1', status => 'ERROR')$$);
SELECT fails($$SELECT pgtrickle.alter_stream_table('c1', status => 'nope')$$);
SELECT fails($$SELECT pgtrickle.alter_stream_table('c1', query => 'SELECT id, n FROM src LIMIT 1000', refresh_mode => 'DIFFERENTIAL')$$);
SELECT fails($$SELECT pgtrickle.drop_stream_table('c1')$$);
SELECT pgtrickle.drop_stream_table('c1', cascade => true);

-- groups with values that no table can store are recomputed
SELECT create_fails('SELECT id, (SELECT ROW(s.id, s.n) FROM src AS s WHERE s.n = src.id)::text AS r FROM src', mode => 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('st', 'SELECT id, (SELECT ROW(s.id, s.n) FROM src AS s WHERE s.n = src.id)::text AS r FROM src');
SELECT pgtrickle.drop_stream_table('st');

-- direct changes
SELECT pgtrickle.create_stream_table('g', 'SELECT id, n FROM src');
SELECT fails('INSERT INTO g VALUES (1, 2)');
SELECT fails('UPDATE g SET n = 1');
SELECT fails('DELETE FROM g');
SELECT fails('TRUNCATE g');
SELECT fails('COPY g FROM PROGRAM ''echo''');
SELECT fails('MERGE INTO g USING src ON g.id = src.id WHEN MATCHED THEN DELETE');
SELECT pgtrickle.suspend_stream_table('g');
SELECT fails($$SELECT pgtrickle.refresh_stream_table('g')$$);
-- read-only transactions
BEGIN READ ONLY;
SELECT pgtrickle.resume_stream_table('g');
ROLLBACK;
BEGIN READ ONLY;
SELECT pgtrickle.refresh_stream_table('g');
ROLLBACK;
SELECT pgtrickle.drop_stream_table('g');

-- nothing is left
SELECT count(*) FROM pgtrickle.pgt_stream_tables;
SELECT count(*) FROM pgtrickle.pgt_dependencies;
SELECT count(*) FROM pgtrickle.pgt_change_sources;
SELECT count(*) FROM pgtrickle.pgt_refresh_state;
SELECT count(*) FROM pg_class WHERE relnamespace = 'pgtrickle_changes'::regnamespace;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'src'::regclass;
SELECT count(*) FROM pg_class WHERE relname = 'st';
SET client_min_messages = warning;
DROP SCHEMA err CASCADE;
