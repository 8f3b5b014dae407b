-- UNION, INTERSECT, EXCEPT: each stream table equals its query after random
-- changes of all tables at once
SET client_min_messages = warning;
CREATE SCHEMA so;
SET search_path = so, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
insert into q(sql) values
('select x from a union select x from b'),
('select x from a intersect select x from b'),
('select x from a except select x from b'),
('select x from a intersect all select x from c'),
('select x from a except all select x from c'),
('select x, y from a union select x, z from b union select x, w::text from c'),
('(select x from a union all select x from b) except (select x from c union select x from d)'),
('select x from a union (select x from b intersect all (select x from c union all select x from d))'),
('(select x from a except all select x from d) intersect select x from b'),
('select x from a union all (select x from b union select x from c)'),
('(select x from a union select x from b) union all select x from c'),
-- types
('select x from c union all select w from c'),
('select id from a union all select w from c'),
('select x, ''a'' as src from a union select w, null from c'),
('select x::int2 as x from a intersect select w from c'),
('select y from a except select z from b'),
('select y::char(5) as y from a union select z::varchar(3) from b'),
('select y collate "C" as y from a union select z from b'),
-- nested in other things, and the other way round
('select s.x, count(*) as n, sum(d.id) as i from (select x from a union select x from b) s join d on d.x = s.x group by s.x'),
('select s.x, d.id from d left join (select x from a intersect select x from b) s on s.x = d.x'),
('select d.id from d where d.x in (select x from a except select x from b)'),
('select d.id, d.x in (select x from a intersect all select x from b) as i from d'),
('select x, count(*) as n from a group by x union select x, sum(id) from b group by x'),
('select x, count(*) as n from a group by x except all select x, count(*) from b group by x'),
('select distinct x from a union all select max(x) from b'),
('select a.x, b.z from a left join b on b.x = a.x except select x, null from c'),
('with t as (select x from a union select x from b) select x from t except select x from c union all select x from t where x > 2'),
('select u.n, count(*) as c from (select count(*) as n from a union all select count(*) from b) u group by u.n'),
('select count(*) as n, min(x) as lo, string_agg(x::text, '','' order by x) as s from (select x from a union select x from b) u'),
('select x from a union select generate_series(1, x) from d'),
('select x from a intersect select * from (values (1), (2), (null)) v(x)'),
('select 1 as x union select x from a'),
('select x, row_number() over (order by x) as r from (select x from a union select x from b) u'),
('select x from a union select x from b order by x desc nulls last limit 3'),
('select x from a except select x from b order by 1'),
('select s.x + 1 as y from (select id, x from a union all select id, x from b) s where s.id % 2 = 0'),
('select array[x, id] as r from a intersect select array[x, id] from d'),
('select a from a except select a from a where a.x > 3')
;
CALL create_all();
SELECT setseed(0.3);
CALL compare_all(12);
SELECT * FROM how_refreshed();
-- what is stored: a group for each row, with how often it is on the left
SELECT property, regexp_replace(value, 'stage_[0-9]+', 'stage_n') AS value FROM pgtrickle.explain_st('st3') WHERE property LIKE '%stage%';
SELECT property, regexp_replace(value, 'stage_[0-9]+', 'stage_n') AS value FROM pgtrickle.explain_st('st5') WHERE property LIKE '%stage%';
-- types that cannot be sorted
CREATE TABLE odd (k xid);
SELECT check_name, result FROM pgtrickle.validate_query('SELECT k FROM odd UNION SELECT k FROM odd');
SELECT check_name FROM pgtrickle.validate_query('SELECT k FROM odd UNION ALL SELECT k FROM odd');
SET client_min_messages = error;
DROP SCHEMA so CASCADE;
