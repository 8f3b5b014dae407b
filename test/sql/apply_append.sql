--
-- append_only: rows are not netted, as long as rows are only added.
--
\set VERBOSITY terse
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle

-- What a refresh did; an error if the table is not what its query gives.
CREATE FUNCTION app_refresh(st regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT coalesce(max(refresh_id), 0) FROM pgtrickle.pgt_refresh_history);
    definition oid := (SELECT t.definition FROM pgtrickle.pgt_stream_tables t WHERE relid = st);
    result text;
BEGIN
    PERFORM pgtrickle.refresh_stream_table(st::text);
    SELECT string_agg(concat_ws(' ', action, strategy, '+' || rows_inserted, '-' || rows_deleted, fallback_reason), '; ')
      INTO result FROM pgtrickle.pgt_refresh_history WHERE refresh_id > before;
    IF check_st(st, pg_get_viewdef(definition), true) <> 0 THEN
        RAISE EXCEPTION '% differs', st;
    END IF;
    RETURN coalesce(result, 'NO_DATA');
END $$;

CREATE TABLE app (id int PRIMARY KEY, kind int, v text, n numeric);
CREATE TABLE app_kind (kind int PRIMARY KEY, name text);
CREATE TABLE app_bag (a int, b text);
INSERT INTO app SELECT g, g % 5, repeat('v', g), g FROM generate_series(1, 20) g;
INSERT INTO app_kind SELECT g, 'kind ' || g FROM generate_series(0, 3) g;
INSERT INTO app_bag VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
SELECT pgtrickle.create_stream_table('app_key', 'SELECT id, v, n FROM app WHERE kind <> 4', NULL, 'DIFFERENTIAL', append_only => true);
SELECT pgtrickle.create_stream_table('app_join', 'SELECT id, name, v FROM app JOIN app_kind USING (kind)', NULL, 'DIFFERENTIAL', append_only => true);
SELECT pgtrickle.create_stream_table('app_dup', 'SELECT a, b FROM app_bag UNION ALL SELECT kind, v FROM app', NULL, 'DIFFERENTIAL', append_only => true);
SELECT value FROM pgtrickle.explain_st('app_key') WHERE property = 'append only';
SELECT pgtrickle.create_stream_table('app_next', 'SELECT id, upper(name) AS name FROM app_join', NULL, 'DIFFERENTIAL', append_only => true);

-- only inserts, small and large; a value that is stored out of line
INSERT INTO app VALUES (21, 1, 'one', NULL), (22, 4, 'filtered', 2), (23, NULL, NULL, 'NaN');
INSERT INTO app_bag VALUES (1, 'x'), (NULL, NULL), (NULL, NULL);
SELECT app_refresh('app_key');
SELECT app_refresh('app_join');
SELECT app_refresh('app_dup');
SELECT app_refresh('app_next');
INSERT INTO app SELECT g, g % 5, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i), 1.00 FROM generate_series(24, 26) g;
SELECT app_refresh('app_key');
INSERT INTO app SELECT g, g % 5, 'v' || g, g / 3.0 FROM generate_series(100, 30000) g;
INSERT INTO app_bag SELECT g % 10, 'many' FROM generate_series(1, 20000) g;
SELECT app_refresh('app_key');
SELECT app_refresh('app_join');
SELECT app_refresh('app_dup');
SELECT app_refresh('app_next');
-- both sides of a join: terms that take back what others deliver
INSERT INTO app_kind VALUES (4, 'kind 4');
INSERT INTO app SELECT g, g % 5, 'w', 0 FROM generate_series(30001, 30010) g;
SELECT app_refresh('app_join');
-- inserted and removed again in one window: nothing was removed
INSERT INTO app VALUES (40000, 1, 'short-lived', 1);
DELETE FROM app WHERE id = 40000;
SELECT app_refresh('app_key');
SELECT app_refresh('app_next');

-- a row is changed, or removed: not appended, and said
LISTEN pg_trickle_alert;
UPDATE app SET v = 'changed' WHERE id = 1;
INSERT INTO app VALUES (40001, 1, 'with it', 1);
\o | sed 's/ PID [0-9]*/ PID/'
SELECT app_refresh('app_key');
\o
UNLISTEN pg_trickle_alert;
DELETE FROM app WHERE id = 2;
SELECT app_refresh('app_key');
UPDATE app_kind SET name = 'another' WHERE kind = 1;
SELECT app_refresh('app_join');
DELETE FROM app WHERE id BETWEEN 200 AND 4000;
INSERT INTO app SELECT g, g % 5, 'again', 0 FROM generate_series(200, 2000) g;
SELECT app_refresh('app_key');
SELECT app_refresh('app_join');
SELECT app_refresh('app_dup');
SELECT app_refresh('app_next');
-- and appended again
INSERT INTO app VALUES (50000, 1, 'x', 1);
SELECT app_refresh('app_key');
TRUNCATE app;
SELECT app_refresh('app_key');
INSERT INTO app SELECT g, g % 5, 'v', 1 FROM generate_series(1, 100) g;
SELECT app_refresh('app_key');

-- transactions
BEGIN;
INSERT INTO app VALUES (60000, 1, 'x', 1);
SELECT app_refresh('app_key');
INSERT INTO app VALUES (60001, 1, 'x', 1);
SELECT app_refresh('app_key');
ROLLBACK;
SELECT app_refresh('app_key');
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM app_key;
INSERT INTO app VALUES (60002, 1, 'x', 1);
SELECT app_refresh('app_key');
FETCH c;
COMMIT;

-- what stands in the way: triggers and constraints of the user, rows that do not fit
CREATE FUNCTION app_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING '% %', TG_OP, NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER note AFTER INSERT ON app_key FOR EACH ROW EXECUTE FUNCTION app_note();
INSERT INTO app VALUES (60003, 1, 'x', 1);
SELECT app_refresh('app_key');
DROP TRIGGER note ON app_key;
ALTER TABLE app_key ADD CONSTRAINT positive CHECK (id > 0);
INSERT INTO app VALUES (-1, 1, 'x', 1);
SELECT app_refresh('app_key');
DELETE FROM app WHERE id = -1;
SELECT app_refresh('app_key');
ALTER TABLE app_key DROP CONSTRAINT positive;
CREATE UNIQUE INDEX app_key_v ON app_key (v) WHERE v LIKE 'unique%';
INSERT INTO app VALUES (60004, 1, 'unique', 1);
SELECT app_refresh('app_key');
INSERT INTO app VALUES (60005, 1, 'unique', 1);
SELECT app_refresh('app_key');
DELETE FROM app WHERE id = 60004;
SELECT app_refresh('app_key');

-- no effect: told
SELECT pgtrickle.create_stream_table('app_sum', 'SELECT kind, sum(n) FROM app GROUP BY kind', NULL, 'DIFFERENTIAL', append_only => true);
SELECT pgtrickle.create_stream_table('app_outer', 'SELECT id, name FROM app LEFT JOIN app_kind USING (kind)', NULL, 'DIFFERENTIAL', append_only => true);
SELECT pgtrickle.create_stream_table('app_full', 'SELECT id FROM app', NULL, 'FULL', append_only => true);
SELECT value FROM pgtrickle.explain_st('app_sum') WHERE property = 'append only';
INSERT INTO app VALUES (70000, 77, 'x', 1);
SELECT app_refresh('app_sum');
SELECT app_refresh('app_outer');
INSERT INTO app_kind VALUES (77, 'late');
SELECT app_refresh('app_outer');
SELECT app_refresh('app_full');

-- switched off and on
SELECT pgtrickle.alter_stream_table('app_key', append_only => false);
INSERT INTO app VALUES (70001, 1, 'x', 1);
SELECT app_refresh('app_key');
SELECT pgtrickle.alter_stream_table('app_key', append_only => true);
SELECT pgtrickle.alter_stream_table('app_sum', append_only => true);
INSERT INTO app VALUES (70002, 1, 'x', 1);
SELECT app_refresh('app_key');
SELECT pgtrickle.alter_stream_table('app_key', query => 'SELECT max(id) AS m FROM app');

DROP TABLE app, app_kind, app_bag CASCADE;
DROP FUNCTION app_refresh, app_note;
