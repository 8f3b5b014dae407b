-- Subqueries of one row that decide which rows pass: each stream table equals its
-- query after random changes of all tables at once (src/delta/one_row.c)
SET client_min_messages = warning;
CREATE SCHEMA one_row;
SET search_path = one_row, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
insert into q(sql) values
('select a.id from a where a.x > (select avg(w) from c)'),
('select a.id, a.y from a where a.x > (select avg(w) from c) and not exists (select from b where b.x = a.x)'),
('select a.id, a.y from a where a.x <= (select avg(w) from c) and exists (select from b where b.x = a.x and b.z = ''z1'')'),
('select a.id from a where a.x > (select min(w) from c) and a.id < (select max(id) from d)'),
('select a.id from a where a.x + (select count(*) from d) > (select max(w) * 5 from c)'),
('select a.id from a where (select max(w) from c) is not null'),
('select a.id from a where (select bool_and(x > 0) from d)'),
('select a.id from a where a.x is null or a.x <= (select avg(x) from b)'),
('select a.id from a where not (a.x > 1 and a.id >= (select avg(x) from a))'),
('select a.id, b.id as bid, b.z from a join b on a.x = b.x where b.id > (select avg(id) from b)'),
('select a.id, b.z from a left join b on a.x = b.x where a.id > (select avg(id) from a)'),
('select y, count(*) n, sum(id) s, max(x) m from a where x >= (select avg(x) from d) group by y'),
('select x, sum(id) s from a group by x having sum(id) > (select avg(id) * 2 from d)'),
('select a.id from a where a.x = (select min(x) from b)'),
('select a.id, (select max(w) from c) m from a where a.x > (select max(w) from c)'),
('select a.id, s.n from a, (select count(*) n from d) s where a.x < s.n'),
('select a.id from a, (select count(*) n, max(x) m from d) s where a.id between s.m and s.n union all select id from d where x < (select avg(x) from d)');
CALL create_all();
SELECT setseed(0.31);
CALL compare_all(14);
SELECT * FROM how_refreshed();
-- the rows that pass are told from those that passed
SELECT value FROM pgtrickle.explain_delta('st1') WHERE property ~ 'stage 0$' \gset
SELECT substring(:'value' FROM 'SELECT [^\n]*') AS delta;
-- the row's value comes from NULL and becomes NULL: no range then
CREATE TABLE bound (v numeric);
CREATE TABLE point (id int PRIMARY KEY, v int);
INSERT INTO point SELECT g, CASE WHEN g % 7 > 0 THEN g END FROM generate_series(1, 30) g;
SELECT pgtrickle.create_stream_table('above', 'SELECT id FROM point WHERE v > (SELECT max(v) FROM bound)', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('upto', 'SELECT id FROM point WHERE (SELECT min(v) * 2 FROM bound) >= v', NULL, 'DIFFERENTIAL');
CREATE FUNCTION sizes() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.refresh_stream_table('above'), pgtrickle.refresh_stream_table('upto');
    RETURN format('above: %s, %s differ; upto: %s, %s differ', (SELECT count(*) FROM above),
        (SELECT count(*) FROM (SELECT id FROM point WHERE v > (SELECT max(v) FROM bound) EXCEPT ALL TABLE above) d),
        (SELECT count(*) FROM upto),
        (SELECT count(*) FROM (SELECT id FROM point WHERE (SELECT min(v) * 2 FROM bound) >= v EXCEPT ALL TABLE upto) d));
END $$;
INSERT INTO bound VALUES (10);
SELECT sizes();
UPDATE bound SET v = 12;
SELECT sizes();
UPDATE bound SET v = 4.5;
SELECT sizes();
DELETE FROM bound;
SELECT sizes();
DROP SCHEMA one_row CASCADE;
