-- GROUPING SETS, ROLLUP, CUBE: each stream table equals its query after random
-- changes of all tables at once
SET client_min_messages = warning;
CREATE SCHEMA gs;
SET search_path = gs, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
INSERT INTO q (sql) VALUES
('select x, y, count(*) n, sum(id) s from a group by grouping sets ((x, y), (x), ())'),
('select x, y, count(*) n, grouping(x, y) g from a group by rollup (x, y)'),
('select x, y, max(id) m, grouping(x) gx, grouping(y) gy from a group by cube (x, y) having count(*) > 1'),
('select x, count(*) n from a group by grouping sets ((x), (x))'),
('select count(*) n from a group by grouping sets ((), ())'),
('select sum(w) s, count(*) n from c group by grouping sets (())'),
('select x + 1 x1, sum(x) s, count(distinct y) d from a group by rollup (x + 1)'),
('select a.y, b.z, count(*) n, avg(a.id) v from a join b on a.x = b.x group by cube (a.y, b.z)'),
('select a.y, b.z, count(b.id) n from a left join b on a.x = b.x group by grouping sets ((a.y), (b.z), (a.y, b.z))'),
('select coalesce(y, ''all'') y, x, min(id) m, string_agg(y, '','' order by id, y) s from a group by rollup (x, y)'),
('select x, y, count(*) n from a group by x, rollup (y)'),
('select x, y, w, count(*) n from a join c using (x) group by distinct rollup (x, y), rollup (x, w)'),
('select g, count(*) k from (select x, grouping(x) g, count(*) n from c group by rollup (x)) t group by g'),
('select x, count(*) n, (select count(*) from b where b.x = a.x) nb from a group by rollup (x)'),
('select x, sum(id) s from a group by rollup (x) having sum(id) > (select avg(id) from d)'),
('select case when grouping(x) = 1 then ''total'' else x::text end k, count(*) filter (where y is not null) n from a group by rollup (x)'),
('select distinct grouping(x, y) g, count(*) > 2 as many from a group by cube (x, y)'),
('select x, count(*) n, rank() over (order by count(*), x) r, 1 + sum(sum(id)) over (partition by grouping(x)) - count(*) s from a group by rollup (x)'),
('select x, case rank() over (order by count(*), x) when 1 then ''first'' when count(*) then ''n'' else ''other'' end c from a group by rollup (x)'),
('select x, case (select count(*) from b where b.x = a.x) when 0 then ''none'' when count(*) then ''n'' else ''other'' end c from a group by rollup (x)'),
('select x, percentile_disc(array[0.1, 0.9]) within group (order by id) p from a group by grouping sets ((x), ())'),
('select o, x, count(*) n from (select date ''2024-02-04'' as o, x from a) v group by cube (o, x)'),
('select x, y::varchar(5) in (''b'', ''c'') i, grouping(x, (y::varchar(5) in (''b'', ''c''))) g, count(*) n from a group by cube (x, (y::varchar(5) in (''b'', ''c'')))'),
('select x, case y when ''b'' then 1 when ''c'' then 0 end c, count(*) n from a group by cube (x, case y when ''b'' then 1 when ''c'' then 0 end)'),
('select case y when ''b'' then x when ''c'' then 0 end c, grouping(id) g, max(case when y = ''b'' then 1 end) m from a group by cube (case y when ''b'' then x when ''c'' then 0 end, id)'),
('select o4, count(*) n from (with m as materialized (select x from a) select x o4, x o5 from m offset 0) v group by rollup (o5, o4)'),
('select x, grouping(x) g, count(*) n from a group by x having grouping(x) = 0'),
('select x, y, grouping(y, x) g, count(*) n from a group by distinct rollup (x), grouping sets ((x, y), (x, y))'),
('select 1 as one, x, count(*) n from a group by rollup (x)')
;
CALL create_all();
SELECT setseed(0.42);
CALL compare_all(12);
SELECT * FROM how_refreshed();
DROP SCHEMA gs CASCADE;
