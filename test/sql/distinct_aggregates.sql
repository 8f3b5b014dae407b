-- Aggregates with DISTINCT: each stream table equals its query after random
-- changes of all tables at once
SET client_min_messages = warning;
CREATE SCHEMA da;
SET search_path = da, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
INSERT INTO q (sql) VALUES
('select x, count(distinct y) n from a group by x'),
('select x, count(distinct y) n, count(*) c, sum(id) s, count(distinct id) i from a group by x'),
('select count(distinct x) n from a'),
('select count(distinct x) n, sum(distinct id) s, avg(distinct id) v, count(*) c, max(distinct y) m from a'),
('select x, count(distinct y) filter (where id > 5) n, count(distinct y) m, min(id) filter (where y is not null) f from a group by x'),
('select x, sum(distinct w) s, stddev(distinct w) d from c group by x having count(distinct w) > 1'),
('select b.z, count(distinct a.y) n, count(a.id) k from b left join a on a.x = b.x group by b.z'),
('select x, string_agg(distinct y, '','') s, count(distinct y) n from a group by x'),
('select a.id, (select count(distinct b.z) from b where b.x = a.x) n from a'),
('select d.id, d.x, count(distinct c.w) n from d join c on c.x = d.x group by d.id'),
('select n, count(*) k from (select x, count(distinct y) n from a group by x) t group by n'),
('select x + 1 x1, count(distinct x % 2) n, bool_or(distinct x > 2) o from a group by x + 1'),
('select count(distinct exists (select 1 from b where b.x = a.x)) n, count(*) c from a'),
('select x, array_agg(distinct y order by y) ys from a group by x')
;
CALL create_all();
SELECT setseed(0.42);
CALL compare_all(12);
SELECT * FROM how_refreshed();
DROP SCHEMA da CASCADE;
