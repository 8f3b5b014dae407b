-- The dependency graph as users see it: diamonds, their options, drawings.
CREATE SCHEMA graph;
SET search_path = graph, public;
SET client_min_messages = warning;
CREATE TABLE g_a (id int PRIMARY KEY, v int);
CREATE TABLE g_b (id int PRIMARY KEY, v int);
SELECT * FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';

-- no diamond: a chain, and two readers of the same two tables
SELECT pgtrickle.create_stream_table('g_top', 'SELECT id, v FROM g_a', NULL);
SELECT pgtrickle.create_stream_table('g_x', 'SELECT a.id, b.v FROM g_a a JOIN g_b b USING (id)', NULL);
SELECT pgtrickle.create_stream_table('g_y', 'SELECT b.id, a.v FROM g_a a JOIN g_b b USING (id)', NULL);
SELECT * FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';

-- a diamond over a stream table, which is no member
SELECT pgtrickle.create_stream_table('g_left', 'SELECT id, v + 1 AS v FROM g_top', NULL);
SELECT pgtrickle.create_stream_table('g_right', 'SELECT id, v - 1 AS v FROM g_top', NULL);
SELECT pgtrickle.create_stream_table('g_end', 'SELECT l.id, l.v AS l, r.v AS r FROM g_left l JOIN g_right r USING (id)', '1m', diamond_consistency => 'ATOMIC');
SELECT * FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';
SELECT diamond_consistency, diamond_schedule_policy FROM pgtrickle.pgt_stream_tables WHERE relid = 'g_end'::regclass;

-- options: those of the stream table in which it ends
SELECT pgtrickle.alter_stream_table('g_left', diamond_consistency => 'none', diamond_schedule_policy => 'slowest');
SELECT DISTINCT diamond_consistency, schedule_policy FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';
SELECT pgtrickle.alter_stream_table('g_end', diamond_consistency => 'none', diamond_schedule_policy => 'slowest');
SELECT DISTINCT diamond_consistency, schedule_policy FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';
SELECT pgtrickle.alter_stream_table('g_end', schedule => '2m');
SELECT diamond_consistency, diamond_schedule_policy FROM pgtrickle.pgt_stream_tables WHERE relid = 'g_end'::regclass;
SELECT pgtrickle.alter_stream_table('g_end', diamond_consistency => 'sometimes');
SELECT pgtrickle.create_stream_table('g_bad', 'SELECT id FROM g_a', diamond_schedule_policy => 'now');
SELECT to_regclass('g_bad');

-- the edge itself is a path, too; a second diamond that shares a member joins the group
SELECT pgtrickle.create_stream_table('g_also', 'SELECT t.id, e.l FROM g_top t JOIN g_end e USING (id)', NULL);
SELECT * FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';

-- drawings: names that need quoting
CREATE TABLE "g "" <odd>\" (id int PRIMARY KEY);
SELECT pgtrickle.create_stream_table('"g ""st"" #1"', 'SELECT id FROM "g "" <odd>\"', '1h');
SELECT pgtrickle.explain_dag();
SELECT pgtrickle.explain_dag('DOT');
SELECT pgtrickle.explain_dag('svg');
SELECT pgtrickle.explain_dag(NULL);
SELECT tree_line FROM pgtrickle.dependency_tree() WHERE tree_line NOT LIKE 'public.%';

DROP SCHEMA graph CASCADE;
SELECT count(*) FROM pgtrickle.diamond_groups() WHERE member_schema = 'graph';
