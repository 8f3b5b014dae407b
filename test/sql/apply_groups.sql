-- Writing group deltas: states, finals, rescans, groups that come and go
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;
CREATE SCHEMA apply_groups;
SET search_path = apply_groups, public;

CREATE FUNCTION refreshed(st text, q text, exact bool DEFAULT true) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    h record;
BEGIN
    PERFORM pgtrickle.refresh_stream_table(st);
    SELECT r.* INTO h
      FROM pgtrickle.pgt_refresh_history r JOIN pgtrickle.pgt_stream_tables s USING (pgt_id)
     WHERE s.relid = st::regclass ORDER BY refresh_id DESC LIMIT 1;
    RETURN format('%s wrong, %s +%s -%s%s', check_st(st::regclass, q, exact), h.action,
                  h.rows_inserted, h.rows_deleted, ' because ' || h.fallback_reason);
END $$;

CREATE TABLE s (id serial PRIMARY KEY, g text, h int, i int, b bigint, n numeric, d numeric(8,2),
                f float8, r real, t text, iv interval, m money, ok bool);
INSERT INTO s (g, h, i, b, n, d, f, r, t, iv, m, ok)
SELECT CASE WHEN x % 7 > 0 THEN 'g' || x % 7 END, x % 3, x, x * 1000000000::bigint, (x % 13)::numeric / 4,
       x % 17, x / 8.0, x, 't' || x % 50, x * interval '1 day 2 hours', x::money, x % 5 = 0
  FROM generate_series(1, 400) x;
ANALYZE s;

-- what there is, one per kind of state; NULL keys among them
\set counts 'SELECT g, count(*) AS n, count(i) AS ni, count(*) FILTER (WHERE ok) AS nok, bool_and(ok) AS al, bool_or(ok) AS an FROM s GROUP BY g'
\set sums 'SELECT g, h, sum(i) AS si, sum(b) AS sb, sum(n) AS sn, sum(d) AS sd, sum(iv) AS siv, sum(m) AS sm FROM s GROUP BY g, h'
\set avgs 'SELECT h, avg(i) AS ai, avg(n) AS an, avg(d) AS ad, avg(iv) AS aiv, stddev(i), var_pop(d) FROM s GROUP BY h'
\set floats 'SELECT g, sum(f) AS sf, sum(r) AS sr, avg(f) AS af FROM s GROUP BY g'
\set extrema 'SELECT g, min(i) AS i0, max(i) AS i1, min(t) AS t0, max(t) AS t1, min(n) AS n0, max(f) AS f1 FROM s GROUP BY g'
\set others 'SELECT h, string_agg(t, '','' ORDER BY t, id) AS ts, count(DISTINCT t) AS dt FROM s GROUP BY h'
\set only 'SELECT count(*), sum(i) AS si, max(t) AS t1, avg(n) AS an FROM s'
\set having 'SELECT g, count(*) AS n, max(i) AS i1 FROM s GROUP BY g HAVING count(*) > 3'
\set exprs 'SELECT upper(g) || h AS k, sum(i) + count(*) AS x, max(n) - min(n) AS spread FROM s GROUP BY upper(g), h, upper(g) || h'
SELECT pgtrickle.create_stream_table('counts', :'counts', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('sums', :'sums', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('avgs', :'avgs', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('floats', :'floats', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('extrema', :'extrema', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('others', :'others', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('only', :'only', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('having', :'having', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('exprs', :'exprs', NULL, 'DIFFERENTIAL');

\set check 'SELECT v.name, refreshed(v.name, v.q, v.name <> ''floats'') FROM (VALUES (''counts'', ' :'counts' '), (''sums'', ' :'sums' '), (''avgs'', ' :'avgs' '), (''floats'', ' :'floats' '), (''extrema'', ' :'extrema' '), (''others'', ' :'others' '), (''only'', ' :'only' '), (''having'', ' :'having' '), (''exprs'', ' :'exprs' ')) v (name, q)'

-- additions only
INSERT INTO s (g, h, i, b, n, d, f, r, t, iv, m, ok)
VALUES ('g1', 1, 5, 5, 1.125, 1, 0.5, 0.5, 'zz', '1 hour', 5, true), ('new', 0, 1, 1, 1, 1, 1, 1, 'n', '1 min', 1, false),
       (NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
:check;
-- updates and deletions, extrema and largest scales among them
UPDATE s SET i = i + 1, n = n + 0.5, t = t || 'x' WHERE id % 20 = 0;
DELETE FROM s WHERE n = 1.125 OR i = (SELECT max(i) FROM s);
DELETE FROM s WHERE i = (SELECT min(i) FROM s);
:check;
-- nothing changes in the end
UPDATE s SET i = i + 1, t = 'tmp' WHERE id = 50;
UPDATE s SET i = i - 1, t = 't0' WHERE id = 50;
:check;
-- a group moves, one vanishes, one loses all its values
UPDATE s SET g = 'moved' WHERE g = 'g2';
DELETE FROM s WHERE g = 'g3' AND h = 1;
UPDATE s SET i = NULL, b = NULL, n = NULL, d = NULL, f = NULL, r = NULL, t = NULL, iv = NULL, m = NULL, ok = NULL
 WHERE g = 'g4';
:check;
-- infinities and NaN come and go
INSERT INTO s (g, h, i, n, f) VALUES ('g1', 1, 1, 'NaN', 'Infinity'), ('g5', 1, 1, 'Infinity', '-Infinity'), ('g5', 2, 1, '-Infinity', 'NaN');
:check;
DELETE FROM s WHERE n IN ('NaN', 'Infinity');
:check;
DELETE FROM s WHERE n = '-Infinity';
:check;
-- everything goes, and comes back
DELETE FROM s;
:check;
INSERT INTO s (g, h, i, n, t) SELECT 'g' || x % 3, x % 2, x, x * 0.10, 'a' || x FROM generate_series(1, 30) x;
:check;

-- keys that are equal but look different stay one group
CREATE TABLE nk (k numeric, v int);
INSERT INTO nk VALUES (1.0, 1), (1.00, 2), (2, 3);
\set q 'SELECT k, count(*), sum(v) FROM nk GROUP BY k'
SELECT pgtrickle.create_stream_table('nks', :'q', NULL, 'DIFFERENTIAL');
DELETE FROM nk WHERE v = 1;
INSERT INTO nk VALUES (1.000, 4), (2.0, 5), (3, 6);
SELECT refreshed('nks', :'q', false);
SELECT trim_scale(k) AS k, count, sum FROM nks ORDER BY k;
DELETE FROM nk WHERE k = 1;
SELECT refreshed('nks', :'q', false);

-- phantom rows: both sides of a join change, and their extremes never meet
CREATE TABLE l (k int, x int);
CREATE TABLE r (k int, y int);
INSERT INTO l SELECT i % 5, i FROM generate_series(1, 50) i;
INSERT INTO r SELECT i % 5, i FROM generate_series(1, 50) i;
\set q 'SELECT l.k, max(x + y) AS big, min(x * y) AS small, count(*), sum((x + y)::numeric / 4) AS s FROM l JOIN r USING (k) GROUP BY l.k'
SELECT pgtrickle.create_stream_table('js', :'q', NULL, 'DIFFERENTIAL');
UPDATE l SET x = x + 1000 WHERE x = 50;
UPDATE r SET k = 1, y = y + 1000 WHERE y = 50;
SELECT refreshed('js', :'q');
DELETE FROM l WHERE x > 1000;
DELETE FROM r WHERE y > 1000;
SELECT refreshed('js', :'q');

-- overflow is the query's own error, of what remains only
CREATE TABLE o (g int, b bigint);
INSERT INTO o VALUES (1, 9223372036854775807), (1, -1);
\set q 'SELECT g, sum(b) AS s, count(b) AS c FROM o GROUP BY g'
SELECT pgtrickle.create_stream_table('os', :'q', NULL, 'DIFFERENTIAL');
INSERT INTO o VALUES (1, 9223372036854775807);
SELECT refreshed('os', :'q');

-- many groups, in little memory: sorting and rescanning spill
SET work_mem = '64kB';
CREATE TABLE mg (g int, t text, v int);
INSERT INTO mg SELECT i % 5000, 'k' || i % 3, i FROM generate_series(1, 20000) i;
INSERT INTO mg SELECT NULL, NULL, i FROM generate_series(1, 10) i;
ANALYZE mg;
\set q 'SELECT g, t, count(*), sum(v) AS s, max(v) AS m FROM mg GROUP BY g, t'
SELECT pgtrickle.create_stream_table('mgs', :'q', NULL, 'DIFFERENTIAL');
UPDATE mg SET v = v + 1 WHERE g % 2 = 0;
DELETE FROM mg WHERE g % 3 = 0 AND v > 15000;
DELETE FROM mg WHERE g < 100;
INSERT INTO mg SELECT i, 'new', i FROM generate_series(6000, 9000) i;
DELETE FROM mg WHERE g IS NULL AND v > 5;
SELECT refreshed('mgs', :'q');
RESET work_mem;

-- a user's trigger on a stream table of groups
CREATE TABLE log (what text);
CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql SET search_path = apply_groups AS $$
BEGIN
    INSERT INTO log VALUES (format('%s %s -> %s', TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN OLD END,
                                   CASE WHEN TG_OP <> 'DELETE' THEN NEW END));
    RETURN NULL;
END $$;
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON nks FOR EACH ROW EXECUTE FUNCTION log_row();
INSERT INTO nk VALUES (2, 10), (7, 7);
DELETE FROM nk WHERE k = 3;
SELECT refreshed('nks', 'SELECT k, count(*), sum(v) FROM nk GROUP BY k', false);
SELECT * FROM log ORDER BY what;


-- an argument that is costly is computed once for each row, whatever needs it
CREATE SEQUENCE calls;
CREATE FUNCTION costly(i int) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS
    $$BEGIN PERFORM nextval('apply_groups.calls'); RETURN i; END$$;
CREATE TABLE c (id int PRIMARY KEY, g int, i int);
INSERT INTO c SELECT x, x % 3, x FROM generate_series(1, 100) x;
SELECT pgtrickle.create_stream_table('st_costly', 'SELECT g, sum(costly(i)) AS s, avg(costly(i)) AS a, count(costly(i)) AS n FROM c GROUP BY g', NULL);
SELECT setval('calls', 1) AS before;
UPDATE c SET i = i + 1 WHERE id <= 10;
SELECT pgtrickle.refresh_stream_table('st_costly');
SELECT last_value - 1 AS calls FROM calls;
SELECT check_st('st_costly', 'SELECT g, sum(i) AS s, avg(i) AS a, count(i) AS n FROM c GROUP BY g') AS wrong;

DROP SCHEMA apply_groups CASCADE;
