-- Expressions of many kinds, through creation and a differential refresh: each
-- stream table must show what its query shows, by value and by text.
SET client_min_messages = warning;
CREATE SCHEMA x;
SET search_path = x, public;
CREATE TYPE comp AS (f int, g text);
CREATE DOMAIN posint AS int CHECK (value > -1000);
CREATE FUNCTION named(a int, b int DEFAULT 5, c int DEFAULT 7) RETURNS int IMMUTABLE LANGUAGE sql AS 'select a*100+b*10+c';
CREATE FUNCTION vari(VARIADIC x int[]) RETURNS int IMMUTABLE LANGUAGE sql AS 'select coalesce(x[1],0)+cardinality(x)';
CREATE FUNCTION defrec(a int, OUT x int, OUT y text) IMMUTABLE LANGUAGE sql AS 'select a, a::text';
CREATE TABLE e1(id int PRIMARY KEY, "Weird ""Name" text COLLATE "C", n numeric(12,2), c comp, arr int[], j jsonb, ts timestamp, d posint, b bool, f8 float8, bp char(5), e "char", bit bit(4));
CREATE TABLE e2(id int PRIMARY KEY, r int, t varchar(7));
INSERT INTO e1 SELECT i, 'x'||i, i*1.5, row(i,'g'||i)::comp, array[i,i+1,null], jsonb_build_object('a',i,'b',array[i]), '2020-01-01'::timestamp + i*'1 h'::interval, i, i%2=0, i/4.0, 'ab'||i, 'z', (i%16)::bit(4) FROM generate_series(1,20) i;
INSERT INTO e2 SELECT i, 1+i%20, 'v'||i FROM generate_series(1,40) i;
CREATE TABLE q (i int, query text, result text);
INSERT INTO q VALUES
(0, $q$select id::text as c1, n::int as c2, n::numeric(6,1) as c3, ts::date as c4, 'abc'::varchar(2) as c5 from e1$q$),
(1, $q$select case when b then n else id end as c1, case id when 3 then 'three' else "Weird ""Name" end as c2 from e1$q$),
(2, $q$select coalesce("Weird ""Name", 'q') as c1, nullif(id,3) as c2, greatest(id,n,4) as c3, least(id,5) as c4 from e1$q$),
(3, $q$select arr[2] as c1, arr[1:2] as c2, array[id,id+1] as c3, arr || 5 as c4, id = any(arr) as c5, id = any('{1,2,3}'::int[]) as c6, array[[id,1],[2,3]] as c7 from e1$q$),
(4, $q$select (c).f as c1, (c).g as c2, c as c3, (e1.c).f + 1 as c4 from e1$q$),
(5, $q$select "Weird ""Name" collate "POSIX" as c1, "Weird ""Name" < 'b' collate "C" as c2, lower("Weird ""Name" collate "C") as c3 from e1$q$),
(6, $q$select named(id) as c1, named(id, c => 3) as c2, named(b => 1, a => id) as c3, vari(id, 2, 3) as c4, vari(variadic arr) as c5 from e1$q$),
(7, $q$select j->>'a' as c1, j#>'{b,0}' as c2, j @> '{"a":3}' as c3, j ? 'a' as c4, jsonb_build_object('x', id) as c5, (j->'b'->0)::int as c6 from e1$q$),
(8, $q$select row(id, b)::text as c1, row(id,b) = row(1,true) as c2, (id,n) < (5, 3.0) as c3, row((c).f, (c).g)::text as c4, row(e1.*)::text as c5 from e1$q$),
(9, $q$select row(id, b)::text as c1, row(id,b) = row(1,true) as c2, (id,n) < (5, 3.0) as c3, (id, d) is distinct from (1,2) as c4 from e1$q$),
(10, $q$select e1 as c1, e2.t as c2 from e1, e2 where e1.id = e2.r$q$),
(11, $q$select (e1).id as c1, e1.id as c2 from e1$q$),
(12, $q$select e1::text as c1, to_jsonb(e1) as c2, e1 is null as c3, num_nulls(variadic array[id,null]) as c4 from e1$q$),
(13, $q$select d as c1, d + 1 as c2, d::posint as c3, bp as c4, bp || 'x' as c5, bp::text || 'x' as c6, e as c7, bit as c8, bit & b'1010' as c9 from e1$q$),
(14, $q$select extract(epoch from ts) as c1, ts at time zone 'UTC' at time zone 'Asia/Tokyo' as c2, ts + interval '1 day' as c3, date_trunc('day', ts) as c4, overlay('abcdef' placing 'x' from 2 for 1) as c5, position('a' in bp) as c6, substring(bp from 1 for 2) as c7, trim(both 'a' from bp) as c8, (ts, ts) overlaps (ts, interval '1h') as c9 from e1$q$),
(15, $q$select b is true as c1, b is not unknown as c2, id is null as c3, id isnull as c4, n between 3 and 9 as c5, n between symmetric 9 and 3 as c6, id in (1,2,3) as c7, id not in (1,2) as c8, "Weird ""Name" like 'x%' as c9, "Weird ""Name" ilike 'X1%' as c10, "Weird ""Name" similar to 'x[0-9]' as c11, bp ~ 'a' as c12, id <> all(arr) as c13 from e1$q$),
(16, $q$select a.id as c1, b2.id as bid, id2 as c3 from e1 a join (e2 b2 join e2 as b3(id2, r2, t2) on b2.id = b3.id2) on a.id = b2.r where a.n > 3 and (b2.t like 'v1%' or a.b)$q$),
(17, $q$select id as c1, t as c2, n as c3 from e2 join e1 using (id)$q$),
(18, $q$select id as c1, t as c2, n as c3 from e2 natural join e1$q$),
(19, $q$select x.idd as c1, x.t as c2 from (e2 join e1 using (id)) as x(idd)$q$),
(20, $q$select j.id as c1, e2.t as c2 from (e2 join e1 using (id) as j)$q$),
(22, $q$select (defrec(id)).x as c1, (defrec(id)).y as c2 from e1$q$),
(23, $q$select (row(id,'a'::text)).f1 as c1 from e1$q$),
(24, $q$select b as c1, sum(n) filter (where id > 3) as c2, count(*) filter (where arr[1] = 2) as c3, avg(d) as c4, min(bp) as c5, max(n) as c6, count(c) as c7, count(n) as c8 from e1 group by b$q$),
(25, $q$select id % 3 as k, "Weird ""Name" collate "C" as w, count(*), sum(id) from e1 group by 1,2$q$),
(26, $q$select count(*) as c1, sum(id) as c2, avg(n) as c3 from e1 where id < 0$q$),
(27, $q$select json_build_object('a', id)::text as c1, format('%s-%L', id, bp) as c2, concat(id, n, null) as c3, concat_ws('-', variadic array['-','a']) as c4 from e1$q$),
(28, $q$select id as c1 from only e1$q$),
(29, $q$select ts::timestamptz as c1, ts::time as c2, interval '1' hour as c3, ts - ts as c4, make_date(2020, 1, id % 28 + 1) as c5, '2020-01-01' < ts as c6 from e1$q$),
(30, $q$select convert_from(convert_to(bp, 'UTF8'), 'UTF8') as c1, md5(bp) as c2, encode(bp::bytea, 'hex') as c3, bp::bytea as c4, '\xab'::bytea as c5, int4range(id, id+1) as c6, int4range(1,5) @> id as c7 from e1$q$),
(31, $q$select distinct r, t from e2$q$),
(32, $q$select distinct b, id%3 as m from e1$q$),
(33, $q$with c as (select b, count(*) n from e1 group by b) select x.b, x.n, y.n as n2 from c x join c y on x.n >= y.n$q$),
(34, $q$select e1.id, l.t from e1, lateral (select e2.t from e2 where e2.r = e1.id) l$q$),
(35, $q$select b, n from (select b, sum(n) as n from e1 group by b union all select b, 1 from e1) u where n > 2$q$),
(36, $q$select count(*) from (select distinct b from e1) d$q$),
(37, $q$select id, n from e1 group by id$q$),
(38, $q$select sum(n)+count(*) as z from e1 having count(*) > 0$q$),
(39, $q$select b, array_agg(id order by id) filter (where id>5) as a, percentile_cont(0.5) within group (order by id) as p, mode() within group (order by d) as m from e1 group by b$q$),
(40, $q$select 1 as one, 'a' as b$q$),
(41, $q$select 1 as x from e1 union all select 2$q$),
(42, $q$select v.id, v.t from (select e2.id, e2.t from e2 where t like 'v1%') v join e1 on e1.id=v.id where v.id % 2 = 0$q$),
(43, $q$select b, sum(case when id % 2 = 0 then n else 0 end) as s, variance(id) as v, stddev_pop(n) as sd, every(n > 3) as ev, bool_or(id > 30) as bo, sum(f8) as f, sum(distinct id) as sd2, jsonb_agg(id order by id) as j from e1 group by b having count(*) > 1$q$);
DO $$
DECLARE x record;
BEGIN
    FOR x IN SELECT * FROM q ORDER BY i LOOP
        PERFORM pgtrickle.create_stream_table('x.s'||x.i, x.query, NULL, 'DIFFERENTIAL');
    END LOOP;
END $$;
UPDATE e1 SET n = n + 1, b = NOT b WHERE id % 3 = 0;
DELETE FROM e2 WHERE id % 7 = 0;
UPDATE e2 SET r = r % 20 + 1 WHERE id % 5 = 0;
UPDATE e1 SET "Weird ""Name" = 'q', arr = arr || 7, j = j || '{"z": 1}', c = row(id, 'z')::comp, f8 = NULL WHERE id % 4 = 1;
DELETE FROM e1 WHERE id % 6 = 2;
INSERT INTO e1 (id, c) VALUES (50, row(NULL, NULL)), (51, NULL);
INSERT INTO e2 VALUES (100, 3, 'v100'), (101, NULL, NULL);
DO $$
DECLARE x record; n text;
BEGIN
    FOR x IN SELECT * FROM q ORDER BY i LOOP
        PERFORM pgtrickle.refresh_stream_table('x.s'||x.i);
        EXECUTE format('SELECT count(*) FROM ((SELECT y::text FROM x.s%1$s y EXCEPT ALL SELECT y::text FROM (%2$s) y) UNION ALL (SELECT y::text FROM (%2$s) y EXCEPT ALL SELECT y::text FROM x.s%1$s y)) z', x.i, x.query) INTO n;
        UPDATE q SET result = n WHERE q.i = x.i;
    END LOOP;
END $$;
-- nothing differs, and nothing was recomputed
SELECT count(*) AS queries, count(*) FILTER (WHERE result = '0') AS equal FROM q;
SELECT i, result, query FROM q WHERE result <> '0' ORDER BY i;
SELECT t.relid, h.action, h.fallback_reason FROM pgtrickle.pgt_refresh_history h
    JOIN pgtrickle.pgt_stream_tables t USING (pgt_id)
    WHERE h.initiated_by = 'MANUAL' AND h.action <> 'DIFFERENTIAL' ORDER BY 1;
DROP SCHEMA x CASCADE;
