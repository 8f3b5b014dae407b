\set ECHO none
-- Tables a .. d, random changes of all of them, and stream tables over
-- them that are compared with their queries.  Fill table q, then:
--   CALL create_all();   -- WARNING for what is not differential
--   CALL compare_all(rounds);
create table a(id int, x int, y text); create table b(id int primary key, x int, z text); create table c(x int, w numeric); create table d(id int primary key, x int not null);
create index on b(x); create index on a(x);
create function mut(seed int) returns void language plpgsql as $$
begin
 for i in 1..6 loop
  insert into a select (random()*20)::int, nullif((random()*6)::int,3), case when random()<0.2 then null else 'y'||(random()*3)::int end from generate_series(1,(random()*3)::int);
  insert into b select (select coalesce(max(id),0) from b)+g, nullif((random()*6)::int,4), 'z'||(random()*3)::int from generate_series(1,(random()*3)::int) g;
  insert into c select nullif((random()*6)::int,2), (random()*3)::int from generate_series(1,(random()*3)::int);
  insert into d select (select coalesce(max(id),0) from d)+g, (random()*6)::int from generate_series(1,(random()*3)::int) g;
  if random()<0.6 then delete from a where ctid in (select ctid from a order by random() limit 1+random()*2); end if;
  if random()<0.6 then delete from b where ctid in (select ctid from b order by random() limit 1+random()*2); end if;
  if random()<0.6 then delete from c where ctid in (select ctid from c order by random() limit 1+random()*2); end if;
  if random()<0.6 then delete from d where ctid in (select ctid from d order by random() limit 1+random()*2); end if;
  update a set x=(random()*6)::int where random()<0.15;
  update b set x=(random()*6)::int where random()<0.15;
  update c set x=(random()*6)::int, w=(random()*4)::int where random()<0.15;
  update d set x=(random()*6)::int where random()<0.15;
  update b set z='z'||(random()*3)::int where random()<0.15;
 end loop;
end $$;
create table q(n serial, sql text);
create procedure create_all() language plpgsql as $$
declare r record;
begin
 for r in select * from q order by n loop
  begin
   perform pgtrickle.create_stream_table('st' || r.n, r.sql, null, 'DIFFERENTIAL');
  exception when others then
   raise warning 'query % is refused: % (%)', r.n, sqlerrm, r.sql;
   delete from q where n = r.n;
  end;
 end loop;
end $$;
create procedure compare_all() language plpgsql as $$
declare r record; cnt bigint;
begin
 for r in select * from q order by n loop
  perform pgtrickle.refresh_stream_table('st' || r.n);
  execute format('select count(*) from ((select * from st%s except all (%s)) union all ((%s) except all select * from st%s)) t', r.n, r.sql, r.sql, r.n) into cnt;
  if cnt <> 0 then raise warning 'query % differs in % rows: %', r.n, cnt, r.sql; end if;
 end loop;
end $$;
-- random changes; all rows of one table gone; a table truncated
create procedure compare_all(rounds int) language plpgsql as $$
begin
 for i in 1 .. rounds loop
  perform mut(i);
  call compare_all();
  if i % 4 = 2 then execute format('delete from %I', (array['a', 'b', 'c', 'd'])[i / 4 % 4 + 1]); call compare_all(); end if;
  if i % 6 = 5 then execute format('truncate %I', (array['d', 'c', 'b', 'a'])[i / 6 % 4 + 1]); call compare_all(); end if;
 end loop;
end $$;
create function how_refreshed() returns table(action text, reason text) language sql as $$
 select distinct h.action, h.fallback_reason
   from pgtrickle.pgt_refresh_history h
   join pgtrickle.pgt_stream_tables s using (pgt_id)
  where s.relid in (select ('st' || q.n)::regclass from q)
  order by 1, 2 $$;
\set ECHO all
