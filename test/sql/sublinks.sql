-- Subqueries in expressions: each stream table equals its query after random
-- changes of all tables at once
SET client_min_messages = warning;
CREATE SCHEMA sub;
SET search_path = sub, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
INSERT INTO q (sql) VALUES
('select a.id, a.x from a where exists (select 1 from b where b.x = a.x)'),
('select a.id, a.x from a where not exists (select 1 from b where b.x = a.x and b.z = ''z1'')'),
('select a.id from a where exists (select 1 from b where b.x = a.x and b.id > a.id)'),
('select a.id from a where not exists (select 1 from b where b.x = a.x and b.id <> a.id)'),
('select a.id from a where exists (select 1 from b where b.id > a.id)'),
('select a.id from a where exists (select 1 from c where c.w = 2)'),
('select a.id from a where not exists (select from c)'),
('select a.id, a.y from a where a.x in (select x from b)'),
('select a.id, a.y from a where a.x not in (select x from b)'),
('select a.id, a.y from a where a.x not in (select x from d where d.id % 2 = 0)'),
('select d.id from d where d.x not in (select x from c where c.w > 1)'),
('select d.id from d where d.x not in (select x from b where b.id = d.id)'),
('select a.id from a where (a.x, a.id) in (select x, id from b)'),
('select a.id from a where (a.x, a.id) not in (select x, id from b)'),
('select a.id from a where a.x > all (select w from c where c.x = a.id)'),
('select a.id from a where a.x >= all (select w from c)'),
('select a.id from a where a.x < any (select w from c where c.x = a.x)'),
('select a.id, exists (select 1 from b where b.x = a.x) e, a.x in (select x from d) i from a'),
('select a.id, a.x not in (select x from b) ni, a.x = all (select x from c where c.w = 1) al from a'),
('select a.id from a where a.y = ''y1'' or exists (select 1 from b where b.x = a.x) or a.x in (select x from c)'),
('select a.id, case when exists (select 1 from b where b.x = a.x) then ''yes'' when a.x in (select x from d) then ''d'' else ''no'' end k from a where not (a.id > 5 and exists (select 1 from c where c.x = a.id))'),
('select a.id from a where exists (select 1 from b where b.x = a.x and exists (select 1 from c where c.x = b.x and c.w > 0))'),
('select a.id from a where exists (select 1 from b join c on b.id = c.x where b.x = a.x)'),
('select a.id from a where a.x in (select x from c group by x having count(*) > 1)'),
('select a.id from a where exists (select w from c where c.x = a.x group by w having count(*) > 1)'),
('select a.id from a where a.x in (select x from b union all select x from c)'),
('select a.id, b.z from a join b on a.x = b.x where exists (select 1 from c where c.x = a.x and c.w < b.id)'),
('select a.x, count(*) n from a where exists (select 1 from b where b.x = a.x) and not exists (select 1 from c where c.x = a.x) group by a.x'),
('select id from a l1 where exists (select 1 from a l2 where l2.x = l1.x and l2.id <> l1.id) and not exists (select 1 from a l3 where l3.x = l1.x and l3.id <> l1.id and l3.y = ''y2'')'),
('select a.id, (select count(*) from c) n, (select max(w) from c) m from a'),
('select a.id from a where a.x > (select avg(w) from c)'),
('select a.id, (select count(*) from b where b.x = a.x) n, (select sum(w) from c where c.x = a.x) s from a'),
('select a.id, (select count(*) + a.id from b where b.x = a.x and b.z = a.y) n from a'),
('select a.id from a where a.id < (select 2 * avg(id) from b where b.x = a.x)'),
('select d.id, (select b.z from b where b.id = d.id) z from d'),
('select d.id, (select upper(b.z) || d.x from b where b.id = d.id) z from d'),
('select d.id, (select max(c.w) from b join c on b.x = c.x where b.id = d.x) m from d'),
('select x, sum(id) s from a group by x having sum(id) > (select avg(id) from d)'),
('select x, sum(id) s, (select count(*) from b where b.x = a.x) n from a group by x'),
('select x, exists (select 1 from c where c.x = a.x and c.w > count(a.id)) e from a group by x'),
('select x, count(*) n from a group by x having exists (select 1 from b where b.x = a.x)'),
('select a.id, (select w from (select max(w) as w, x from c group by x) m where m.x = a.x) w from a'),
('select a.id, (select distinct x from d where d.id = a.id) x from a'),
('select a.id, s.n, s.t from a, lateral (select count(*) n, sum(w) t from c where c.x = a.x) s'),
('select a.id, s.w, s.n from a, lateral (select w, count(*) n from c where c.x = a.x group by w) s'),
('select a.id, s.n from a left join lateral (select count(*) n from c where c.x = a.x) s on a.id > 3'),
('select a.id, s.z from a left join (select b.z, b.x from b where exists (select 1 from c where c.x = b.x)) s on s.x = a.x'),
('select a.id from a left join b on a.x = b.x where b.id in (select id from d) or b.id is null'),
('select a.id from a where row(a.x, a.id) = (select d.x, d.id from d where d.id = a.id)'),
('with t as (select x from c where w > 1) select a.id from a where a.x in (select x from t) and not exists (select 1 from t where t.x = a.id)'),
('select distinct a.x from a where a.x = any (select x from b) or a.x is null'),
('select a.id from a where a.x is not distinct from (select min(x) from b)'),
('select a.id from a where exists (select 1 from b where b.z = a.y or b.x = a.x)'),
('select a.id from a where exists (select 1 from b where b.x is not distinct from a.x)'),
('select a.id, b.z from a left join b on a.x = b.x and exists (select 1 from c where c.x = b.x)'),
('select a.id, b.z from a left join b on a.x = b.x and a.id in (select x from d)'),
('select a.id, b.z from a full join b on a.x = b.x and exists (select 1 from c where c.x = b.id) and a.x not in (select x from d)'),
('select a.id, s.k from a left join lateral (select a.x + 1 as k) s on s.k in (select x from d)'),
('select a.id, b.z from a right join b on a.x = b.x and (select max(w) from c where c.x = a.x) > 1')
;
CALL create_all();
SELECT setseed(0.42);
CALL compare_all(12);
-- every query is maintained by deltas, but for truncated tables
SELECT * FROM how_refreshed();
DROP SCHEMA sub CASCADE;
