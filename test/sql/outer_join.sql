-- LEFT, RIGHT and FULL joins: each stream table equals its query after random
-- changes of all tables at once
SET client_min_messages = warning;
CREATE SCHEMA oj;
SET search_path = oj, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
insert into q(sql) values
('select a.id, a.x, b.z from a left join b on a.x=b.x'),
('select a.id, a.x, b.id as bid, b.z from a left join b on a.x=b.x and b.z=''z1'' where a.y is not null'),
('select a.id, coalesce(b.z,''none'') z, b.id is null as isn from a left join b on a.x=b.x and a.id > b.id'),
('select a.id, b.z, c.w from a left join b on a.x=b.x left join c on c.x=b.x'),
('select a.id, b.z, c.w from a left join (b left join c on b.x=c.x) on a.x=b.x'),
('select a.id, b.z, c.w from a left join (b join c on b.x=c.x) on a.id=b.id'),
('select a.id, s.one, s.q from a left join (select x, 1 as one, coalesce(z,''u'')||''!'' as q from b where id%2=0) s on s.x=a.x'),
('select a.id aid, b.id bid from a right join b on a.x=b.x'),
('select a.id aid, b.id bid, a.y, b.z from a full join b on a.x=b.x'),
('select x, a.id aid, b.id bid from a full join b using (x)'),
('select b.z, count(*) n, count(a.id) m, sum(a.id), min(a.id) from b left join a on a.x=b.x group by b.z'),
('select d.id, d.x, b.z from d left join b on b.id=d.id'),
('select d.id, count(c.w) n, sum(c.w) from d left join c on c.x=d.x group by d.id'),
('select a.id, b.z from a left join b on a.x=b.x where b.z is null or a.y=''y1'''),
('select d.id, b.z, c.w from d join b on b.id=d.id left join c on c.x=b.x and c.w>d.x'),
('select a.id, f.bid from a left join (select b.id as bid, c.x as cx from b full join c on b.x=c.x) f on f.cx=a.x'),
('select l.x, r.cnt from a l left join (select x, count(*) cnt from c group by x) r on r.x=l.x'),
('select u.id, u.x, b.z from (select a.id, a.x from a union all select id, x from d) u left join b on b.x=u.x'),
('select distinct a.y, b.z from a left join b on a.x=b.x'),
('select a.id, b.z from a left join lateral (select z from b where b.x=a.x and b.id>a.id) b on true'),
('with t as (select a.id, b.z from a left join b on a.x=b.x) select t1.id, t2.z from t t1 left join t t2 on t1.id=t2.id+1'),
('select a.id, c.w from a left join c on true where a.id<3'),
('select a.id, b from a left join b on a.x=b.x'),
('select coalesce(f.z,''-'') z, count(*) from (select a.id, b.z from a full join b on a.x = b.x full join c on c.x = b.x) f group by 1'),
('select c.w, d.x from c full join d on c.x=d.x and d.id%2=0')
;
CALL create_all();
SELECT setseed(0.42);
CALL compare_all(12);
-- every query is maintained by deltas, but for truncated tables
SELECT * FROM how_refreshed();
DROP SCHEMA oj CASCADE;
