-- Code of users that runs in the middle of a refresh
SET client_min_messages = warning;
CREATE TABLE rn_src (id int PRIMARY KEY, a int);
CREATE TABLE rn_other_src (id int PRIMARY KEY, t text);
CREATE TABLE rn_log (x text, y text);
CREATE FUNCTION rn_log_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM pgt_d0 LOOP
		RAISE NOTICE 'logged: %', r;
	END LOOP;
	RETURN NULL;
END$$;
-- named like the change set of a refresh
CREATE TRIGGER rn_log AFTER INSERT ON rn_log REFERENCING NEW TABLE AS pgt_d0
	FOR EACH STATEMENT EXECUTE FUNCTION rn_log_trigger();
CREATE FUNCTION rn_log(int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.rn_log VALUES ('hello', 'world');
	RETURN $1;
END$$;
CREATE FUNCTION rn_f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF $1 = 5 THEN
		PERFORM public.rn_log($1);
	END IF;
	RETURN $1;
END$$;
INSERT INTO rn_src SELECT i, -i FROM generate_series(1, 20000) i;
SELECT FROM pgtrickle.create_stream_table('public.rn_st',
	'SELECT id, public.rn_f(a) AS a FROM rn_src', schedule => '1d');
SELECT FROM pgtrickle.create_stream_table('public.rn_other',
	'SELECT id, t FROM rn_other_src', schedule => '1d');
SET client_min_messages = notice;

-- so many changes that they are not loaded
UPDATE rn_src SET a = a - 1 WHERE id BETWEEN 10000 AND 13500;
UPDATE rn_src SET a = 5 WHERE id = 12000;
SELECT FROM pgtrickle.refresh_stream_table('rn_st');
SELECT count(*) FROM (SELECT * FROM rn_src EXCEPT ALL SELECT * FROM rn_st) d;

-- a trigger refreshes another stream table
CREATE FUNCTION rn_refresh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 12000 THEN
		PERFORM pgtrickle.refresh_stream_table(TG_ARGV[0]);
	END IF;
	RETURN NEW;
END$$;
CREATE TRIGGER rn_refresh AFTER INSERT OR UPDATE ON rn_st
	FOR EACH ROW EXECUTE FUNCTION rn_refresh('public.rn_other');
INSERT INTO rn_other_src SELECT i, 'text ' || i FROM generate_series(1, 10) i;
SELECT FROM pgtrickle.refresh_stream_table('rn_other');
INSERT INTO rn_other_src SELECT i, 'text ' || i FROM generate_series(11, 20) i;
UPDATE rn_src SET a = a - 1 WHERE id BETWEEN 10000 AND 13500;
SELECT FROM pgtrickle.refresh_stream_table('rn_st');
SELECT count(*) FROM (SELECT * FROM rn_src EXCEPT ALL SELECT * FROM rn_st) d;
SELECT count(*) FROM (SELECT * FROM rn_other_src EXCEPT ALL SELECT * FROM rn_other) d;

-- or the one that is being written
DROP TRIGGER rn_refresh ON rn_st;
CREATE TRIGGER rn_refresh AFTER INSERT OR UPDATE ON rn_st
	FOR EACH ROW EXECUTE FUNCTION rn_refresh('public.rn_st');
UPDATE rn_src SET a = a - 1 WHERE id = 12000;
\set VERBOSITY terse
SELECT FROM pgtrickle.refresh_stream_table('rn_st');
DROP TRIGGER rn_refresh ON rn_st;
SELECT FROM pgtrickle.refresh_stream_table('rn_st');
SELECT count(*) FROM (SELECT * FROM rn_src EXCEPT ALL SELECT * FROM rn_st) d;

SET client_min_messages = warning;
DROP TABLE rn_src, rn_other_src, rn_log CASCADE;
DROP FUNCTION rn_f, rn_log, rn_log_trigger, rn_refresh;
