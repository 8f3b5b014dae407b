-- Functions, VALUES and the like in FROM, and set-returning functions in the
-- select list: each stream table equals its query after random changes
SET jit = off;
SET client_min_messages = warning;
CREATE SCHEMA fi;
SET search_path = fi, public;
\getenv abs_srcdir PG_ABS_SRCDIR
\set changes :abs_srcdir '/sql/include/random_changes.sql'
\i :changes
create type pair as (p int, gone int, q text);
create function anything(n int) returns setof record immutable language sql as
 $$ select g, g::text from generate_series(1, n % 3) g $$;
create function around(n int, out lo int, out hi int) immutable language sql as $$ select n - 1, n + 1 $$;
create function many(n int) returns setof int immutable strict language sql as $$ select generate_series(1, n) $$;
create operator !!! (rightarg = int, function = many);
alter type pair drop attribute gone;
create function pairs(n int) returns setof pair immutable language sql as
 $$ select g, 'p' || g from generate_series(1, n % 4) g $$;
insert into q(sql) values
-- FROM
('select a.id, g from a, generate_series(1, a.x) g'),
('select a.id, g, n from a, generate_series(a.x, 5) with ordinality as s(g, n) where g % 2 = 0'),
('select b.id, t, n from b, unnest(array[b.x, b.id, null]) with ordinality as u(t, n)'),
('select a.id, u.p, u.q from a join lateral pairs(a.x) u on u.p < a.id'),
('select a.id, u from a, pairs(a.x) u'),
('select a.id, l.lo, l.hi, c.w from a, around(a.x) l, c where c.x = l.hi'),
('select a.id, r.one, r.two, r.three from a, rows from (generate_series(1, a.x), pairs(a.id)) with ordinality as r(one, two, three, four)'),
('select a.id, r.i, r.t from a, anything(a.id) as r(i int, t text)'),
('select a.id, r.i, r.t, r.k from a, rows from (anything(a.id) as (i int, t text), many(a.x)) as r(i, t, k)'),
('select a.id, k, v from a, jsonb_each(jsonb_build_object(coalesce(a.y, ''-''), a.x, ''id'', a.id)) as j(k, v)'),
('select a.id, e.value from a, jsonb_array_elements_text(jsonb_build_array(a.x, a.y)) e'),
('select v.k, v.name, a.id from (values (1, ''one''), (2, ''two''), (null, ''none'')) v(k, name) join a on a.x = v.k'),
('select a.id, v.z from a, lateral (values (a.x), (a.id + 1), (a.x)) v(z)'),
('select g, a.id from generate_series(1, 4) g left join a on a.x = g'),
('select g, count(a.id) as n from generate_series(1, 4) g left join a on a.x = g group by g'),
('select g from generate_series(1, 3) g'),
('select 1 as one, ''t'' as t'),
('select v.b, count(*) as n, sum(v.a) as s from (values (1, 2), (3, 2)) v(a, b) group by v.b'),
-- LEFT JOIN LATERAL
('select a.id, g from a left join lateral generate_series(1, a.x - 2) g on true'),
('select a.id, a.x, g, c.w from a left join lateral generate_series(1, a.x) g on g > a.id - 5 left join c on c.x = g'),
('select a.id, b.z, g from a left join b on b.x = a.x, generate_series(1, b.id % 3) g'),
('select a.id, b.z, g, c.w from a left join b on b.x = a.x left join lateral generate_series(1, b.id % 3) g on g <> a.x left join c on c.x = g where g is null or g > 1'),
('select a.id, f.bid, g from a join (select a.x, b.id as bid from a full join b on a.x = b.x) f on f.x = a.x, generate_series(1, f.bid % 3) g'),
-- subqueries that read no table
('select a.id, s.n, s.t from a, lateral (select count(*) as n, string_agg(g::text, '','' order by g desc) as t from generate_series(1, a.x) g) s'),
('select a.id, s.g from a, lateral (select g from generate_series(1, a.x) g order by g desc limit 2) s'),
('select a.id, s.g from a left join lateral (select g * 10 as g from generate_series(1, a.x) g where g > 2) s on s.g < 50'),
('select a.id, s.r, s.g from a, lateral (select row_number() over (order by g desc) as r, g from unnest(array[a.x, a.id]) g) s'),
('select a.id, t.n from a, lateral (with recursive t(n) as (values (1) union all select n + 1 from t where n < a.x) select n from t) t'),
('with recursive t(n) as (values (1) union all select n + 1 from t where n < 4) select n from t'),
('select a.id, u.v from a, lateral (select a.x as v union select 1 union select a.id % 3) u'),
-- the same in expressions, and subqueries of tables in arguments
('select a.id, (select max(g) from generate_series(1, a.x) g) as m from a'),
('select a.id, array(select g from generate_series(1, a.x) g order by g desc) as r from a where exists (select from unnest(array[a.x, 2]) u where u = 2)'),
('select a.id, case when a.x < 2 then (select g from generate_series(1, a.x) g) else 9 end as s from a where a.id in (select g * 2 from generate_series(1, 9) g)'),
('select a.x, (select sum(g) from generate_series(1, 9) g where g <= count(a.id)) as t from a group by a.x having not exists (select from generate_series(1, a.x - 3))'),
('select d.id, g from d, generate_series(1, (select count(*)::int from c where c.x = d.x)) g'),
('select d.id, g from d, unnest(array(select g from generate_series(1, d.x) g), array[(select max(w) from c)]) u(g, w)'),
-- in the select list
('select a.id, unnest(array[a.x, a.id]) as u from a'),
('select a.id, generate_series(1, a.x) as g, generate_series(1, 2) as h from a'),
('select a.id, generate_series(1, generate_series(1, a.x % 3)) as g, 10 * generate_series(1, 2) as h from a'),
('select a.id, (pairs(a.x)).* from a'),
('select a.id, pairs(a.x) as p, generate_series(1, 3) as g from a'),
('select a.id, (jsonb_each_text(jsonb_build_object(''k'', a.x, ''y'', a.y))).value as v from a where a.x > 1'),
('select a.id, !!! a.x as s from a'),
('select a.x, count(*) as n, generate_series(1, count(*)::int % 3) as g from a group by a.x'),
('select generate_series(1, a.x) as g, count(*) as n, max(a.id) as m from a group by 1'),
('select generate_series(1, a.x) || ''!'' as g, generate_series(1, count(*)::int % 3) as h from a group by generate_series(1, a.x)'),
('select distinct a.x, generate_series(1, 2) as g from a'),
('select a.id from a order by generate_series(1, a.x)'),
('select a.x from a group by a.x order by generate_series(1, count(*)::int % 3)'),
('select s.id, s.g, c.w from (select a.id, generate_series(1, a.x) as g from a) s join c on c.x = s.g'),
('select b.z, s.g from b left join (select a.x, generate_series(1, a.id % 3) as g from a) s on s.x = b.x'),
('select generate_series(1, 3) as g union all select d.id from d'),
-- over aggregates, and aggregated
('select t.t, count(*) as n, min(s.id) as lo from (select x, count(*)::int as n, min(id) as id from a group by x) s, generate_series(1, s.n) t(t) group by t.t'),
('select s.x, e as e from (select x, array_agg(id order by id) as ids from a group by x) s, unnest(s.ids) e'),
-- a subquery in its condition compares a column of another outer join
('select a.id, f.v from a left join b on b.id = a.id left join lateral generate_series(1, a.x) as f(v) on not b.x <= all (select 3 from c)'),
('select a.id, f.v from a left join b on b.id = a.id left join lateral generate_series(1, a.x) as f(v) on b.x not in (select 3 from c where c.x > 1)'),
-- found by the names of the columns
('select a.id, r.v, r.w from a, jsonb_to_recordset(jsonb_build_array(jsonb_build_object(''v'', a.x, ''w'', a.y), jsonb_build_object(''w'', a.id))) as r(v int, w text)'),
('select distinct r.v from a left join jsonb_to_record(jsonb_build_object(''v'', a.x, ''u'', a.y)) as r(v int, u text) on r.v > 1'),
('select a.id, r.v, r.n, s.w from a, rows from (json_to_recordset(json_build_array(json_build_object(''v'', a.x))) as (v int), unnest(array[a.y, ''z''])) with ordinality as r(v, t, n), json_to_record(''{"w": 3}'') as s(w int)'),
-- names that are shown
('select a.id, to_jsonb(s) as j from a left join (select c.x, count(*) as many from c group by c.x) s on s.x = a.x'),
('select c.x, jsonb_agg(r order by r.v) as j from c, jsonb_to_recordset(jsonb_build_array(jsonb_build_object(''v'', c.x))) as r(v int) group by c.x'),
('select a.id, to_jsonb(u) as j, row_to_json(row(v, 1))::text as k from a, unnest(array[a.x, 1]) with ordinality as u(e, place), lateral (values (a.x, 1)) as v(one, two)'),
('select s.x, count(s) as n, max(s::text) as m, to_jsonb(row(s.x, 1)) as j from (select x, y from a) s group by s.x')
;
-- servers may be built without XML
do $do$ begin
 perform xmlparse(document '<a/>');
 insert into q(sql) values
 ('select a.id, x.name, x.pos from a, xmltable(''/r/e'' passing xmlparse(document ''<r><e>'' || coalesce(a.y, ''-'') || ''</e><e>2</e></r>'') columns pos for ordinality, name text path ''.'') x'),
 ('select a.id, x.e, x.n from a, xmltable(''/r'' passing xmlparse(document ''<r><e>'' || coalesce(a.y, ''-'') || ''</e></r>'') columns n for ordinality, e text) x');
exception when feature_not_supported then
end $do$;
SELECT current_setting('server_version_num')::int >= 170000 AS has_json_table \gset
\if :has_json_table
insert into q(sql) values
('select a.id, j.n, j.v from a, json_table(jsonb_build_array(a.x, a.id, a.y), ''$[*]'' columns (n for ordinality, v text path ''$'')) j'),
('select a.id, j.v, c.w from a left join json_table(jsonb_build_array(a.x, a.id), ''$[*] ? (@ > $lo)'' passing a.x - 1 as lo columns (v int path ''$'' default 0 on error)) j on j.v < 9 left join c on c.x = j.v'),
('select j.k, count(*) as n from a, json_table(jsonb_build_object(''r'', jsonb_build_array(a.x, a.id)), ''$'' columns (nested path ''$.r[*]'' columns (k int path ''$''))) j group by j.k');
\endif
CALL create_all();
SELECT setseed(0.7);
CALL compare_all(9);
SELECT * FROM how_refreshed();
-- keys of rows: an ordinality, or nothing needed where there is one row
create function row_key(st text) returns text language sql as
 $$ select substring(value from 'rows identified.*') from pgtrickle.explain_st(st) where value like '%rows identified%' $$;
delete from q;
insert into q(sql) values
('select d.id, u.n, u.t from d, unnest(array[d.x, 2]) with ordinality as u(t, n)'),
('select d.id, l.lo from d, around(d.x) l'),
('select d.id, g from d, generate_series(1, d.x) g'),
('select d.id, s.n from d, lateral (select count(*) as n from generate_series(1, d.x) g) s'),
('select d.id, g.g, b.z from d, generate_series(1, d.x) g join b on b.id = g.g'),
('select g.g, d.id as did from d, generate_series(1, d.x) g(g) where d.id = g.g'),
('select g.n, d.x from d, unnest(array[d.id, d.id]) with ordinality as g(g, n) where d.id = g.g');
CALL create_all();
CALL compare_all(3);
select row_key('st' || q.n), sql from q order by n;
-- what is looked up stays looked up: the change comes first, then the function
select value from pgtrickle.explain_st('st1') where property like 'delta of%';
-- functions that are not immutable
select * from pgtrickle.validate_query('select a.id, r from a, random() r');
select * from pgtrickle.validate_query('select a.id, r from a, pg_ls_dir(a.y) r');
CREATE FUNCTION peek(int) RETURNS SETOF int STABLE LANGUAGE sql AS 'SELECT id FROM fi.b WHERE x = $1';
select * from pgtrickle.validate_query('select a.id, peek(a.x) r from a');
SET client_min_messages = error;
DROP SCHEMA fi CASCADE;
