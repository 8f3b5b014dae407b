-- Stream tables that read each other: allowed only if asked for, iterated to the
-- least fixed point, refused with the cycle spelled out where they cannot be.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = warning;

CREATE TABLE cyc_edge (a int, b int, PRIMARY KEY (a, b));
INSERT INTO cyc_edge VALUES (1, 2), (2, 3), (3, 4), (10, 11), (11, 10);
CREATE VIEW cyc_truth AS
    WITH RECURSIVE r AS (SELECT a, b FROM cyc_edge
        UNION SELECT r.a, e.b FROM r JOIN cyc_edge e ON e.a = r.b)
    SELECT * FROM r;

-- off by default: the stream table itself, and through others
SELECT pgtrickle.create_stream_table('cyc_reach', 'SELECT a, b FROM cyc_edge', NULL);
SELECT pgtrickle.create_stream_table('cyc_step',
    'SELECT r.a, e.b FROM cyc_reach r JOIN cyc_edge e ON e.a = r.b', NULL);
SELECT pgtrickle.create_stream_table('cyc_reader', 'SELECT a, count(*) AS n FROM cyc_step GROUP BY a', NULL);
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, b FROM cyc_edge UNION SELECT a, b FROM cyc_reach');
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, b FROM cyc_edge UNION SELECT a, b FROM cyc_step');
SELECT * FROM pgtrickle.pgt_scc_status();

SET pg_trickle.allow_circular = on;
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, b FROM cyc_edge UNION SELECT a, b FROM cyc_step');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
SELECT scc_id, member_count, members, last_iterations, last_converged_at IS NOT NULL FROM pgtrickle.pgt_scc_status();
SELECT * FROM pgtrickle.explain_refresh_mode('cyc_step');
SELECT tree_line FROM pgtrickle.dependency_tree() WHERE tree_line LIKE '%cyc%';
-- what is there stays when the setting is off again
RESET pg_trickle.allow_circular;

-- a refresh of one is a refresh of all; what reads them sees the changes
INSERT INTO cyc_edge VALUES (4, 5), (5, 1);
SELECT pgtrickle.refresh_stream_table('cyc_step');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
SELECT check_st('cyc_step', 'SELECT r.a, e.b FROM cyc_truth r JOIN cyc_edge e ON e.a = r.b');
SELECT pgtrickle.refresh_stream_table('cyc_reader');
SELECT check_st('cyc_reader', 'SELECT r.a, count(*) AS n FROM cyc_truth r JOIN cyc_edge e ON e.a = r.b GROUP BY r.a');
-- rows that only support each other go
DELETE FROM cyc_edge WHERE (a, b) IN ((5, 1), (10, 11));
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
UPDATE cyc_edge SET b = 4 WHERE a = 2;
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT pgtrickle.refresh_stream_table('cyc_reader');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
SELECT check_st('cyc_reader', 'SELECT r.a, count(*) AS n FROM cyc_truth r JOIN cyc_edge e ON e.a = r.b GROUP BY r.a');
-- nothing changed: nothing is written, and no history row
SELECT count(*) AS n FROM pgtrickle.get_refresh_history('cyc_reach', 1000) \gset
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT count(*) - :n AS more FROM pgtrickle.get_refresh_history('cyc_reach', 1000);
SELECT action, status FROM pgtrickle.get_refresh_history('cyc_reach', 1);

-- what the refreshes wrote into the members is not left in their buffers
SELECT * FROM pgtrickle.change_buffer_sizes() WHERE source_table LIKE '%cyc_%' AND pending_rows > 0 AND source_table <> 'public.cyc_edge';

-- for each other, members need no buffers: only the reader's is ever written
SELECT count(*) AS n FROM pgtrickle.pgt_dependencies WHERE source = 'cyc_reach'::regclass;
SELECT format('SELECT count(*) AS rows FROM (SELECT FROM pgtrickle_changes.changes_%s_0 UNION ALL SELECT FROM pgtrickle_changes.changes_%1$s_1) b', 'cyc_reach'::regclass::oid) AS count_buffer \gset
:count_buffer \gset before_
INSERT INTO cyc_edge VALUES (4, 6), (6, 7);
SELECT pgtrickle.refresh_stream_table('cyc_reach');
:count_buffer \gset after_
SELECT :after_rows - :before_rows AS written;
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
SELECT pgtrickle.refresh_stream_table('cyc_reader');
SELECT check_st('cyc_reader', 'SELECT r.a, count(*) AS n FROM cyc_truth r JOIN cyc_edge e ON e.a = r.b GROUP BY r.a');

-- a suspended member stops all of them
SELECT pgtrickle.suspend_stream_table('cyc_step');
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT pgtrickle.resume_stream_table('cyc_step');

-- not enough rounds
INSERT INTO cyc_edge SELECT i, i + 1 FROM generate_series(100, 120) i;
SET pg_trickle.max_fixpoint_iterations = 5;
SELECT pgtrickle.refresh_stream_table('cyc_reach');
RESET pg_trickle.max_fixpoint_iterations;
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');

-- in one's own transaction, also under REPEATABLE READ
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO cyc_edge VALUES (121, 200);
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');
ROLLBACK;
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');

-- what cannot be in a cycle
SET pg_trickle.allow_circular = on;
\set VERBOSITY terse
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, count(*)::int AS b FROM cyc_reach GROUP BY a');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_reach LIMIT 5');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_edge EXCEPT SELECT a, b FROM cyc_reach');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT e.a, r.b FROM cyc_edge e LEFT JOIN cyc_reach r ON r.a = e.b');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_edge e WHERE NOT EXISTS (SELECT FROM cyc_reach r WHERE r.a = e.b)');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_edge e WHERE a NOT IN (SELECT r.a FROM cyc_reach r)');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_edge e WHERE (EXISTS (SELECT FROM cyc_reach r WHERE r.a = e.b)) IS FALSE');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, (SELECT r.b FROM cyc_reach r WHERE r.a = e.a ORDER BY 1 FETCH FIRST ROW ONLY) AS b FROM cyc_edge e');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, row_number() OVER ()::int AS b FROM cyc_reach');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT DISTINCT ON (a) a, b FROM cyc_reach ORDER BY a, b');
SELECT pgtrickle.alter_stream_table('cyc_step', 'WITH m AS (SELECT a, max(b) AS b FROM cyc_reach GROUP BY a) SELECT a, b FROM m');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_reach WHERE random() < 2');
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_reach r WHERE r IS NOT NULL');
CREATE VIEW cyc_view AS SELECT a, b FROM cyc_reach;
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, b FROM cyc_view');
SELECT pgtrickle.alter_stream_table('cyc_step', refresh_mode => 'DIFFERENTIAL');
\set VERBOSITY default
SELECT pgtrickle.alter_stream_table('cyc_step', 'SELECT a, max(b) AS b FROM cyc_reach GROUP BY a');
-- all of these left everything as it was
SELECT check_st('cyc_step', 'SELECT r.a, e.b FROM cyc_truth r JOIN cyc_edge e ON e.a = r.b');

-- what can: semi-joins, DISTINCT, INTERSECT, WITH, aggregates over other tables
SELECT pgtrickle.alter_stream_table('cyc_step', $$
    WITH m AS (SELECT max(b) AS b FROM cyc_edge), s AS (SELECT a, b FROM cyc_reach)
    SELECT DISTINCT s.a, e.b FROM s, cyc_edge e, m
    WHERE e.a = s.b AND e.b <= m.b AND (EXISTS (SELECT FROM cyc_reach x WHERE x.a = s.b) OR e.b IN (SELECT x.b FROM cyc_reach x))
    INTERSECT SELECT x.a, y.b FROM cyc_edge x, cyc_edge y$$);
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');

-- a cycle of three, and renames on the way
SELECT pgtrickle.create_stream_table('cyc_third', 'SELECT a, b FROM cyc_step', NULL);
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, b FROM cyc_edge UNION SELECT a, b FROM cyc_third');
SELECT member_count, members FROM pgtrickle.pgt_scc_status();
ALTER TABLE cyc_edge RENAME COLUMN b TO "to b";
ALTER TABLE cyc_third RENAME TO "cyc Third";
INSERT INTO cyc_edge VALUES (130, 131), (131, 132), (132, 133), (132, 130);
SELECT pgtrickle.refresh_stream_table('"cyc Third"');
SELECT check_st('cyc_reach', 'SELECT * FROM cyc_truth');

-- broken: they are ordinary again
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, "to b" AS b FROM cyc_edge');
SELECT * FROM pgtrickle.pgt_scc_status();
SELECT name, effective_mode FROM pgtrickle.stream_tables_info WHERE name LIKE '%cyc%' ORDER BY pgt_id;
INSERT INTO cyc_edge VALUES (133, 140);
SELECT pgtrickle.refresh_stream_table('cyc_reach');
SELECT pgtrickle.refresh_stream_table('cyc_step');
SELECT pgtrickle.refresh_stream_table('"cyc Third"');
SELECT check_st('cyc_reach', 'SELECT a, "to b" AS b FROM cyc_edge');

-- one that reads itself; DROP needs no CASCADE
SELECT pgtrickle.create_stream_table('cyc_self', 'SELECT a, "to b" AS b FROM cyc_edge', NULL);
SELECT pgtrickle.alter_stream_table('cyc_self', $$SELECT a, "to b" AS b FROM cyc_edge
    UNION SELECT s.a, e."to b" FROM cyc_self s JOIN cyc_edge e ON e.a = s.b$$);
SELECT check_st('cyc_self', 'SELECT * FROM cyc_truth');
DELETE FROM cyc_edge WHERE a = 132;
SELECT pgtrickle.refresh_stream_table('cyc_self');
SELECT check_st('cyc_self', 'SELECT * FROM cyc_truth');
SELECT pgtrickle.repair_stream_table('cyc_self');
SELECT check_st('cyc_self', 'SELECT * FROM cyc_truth');
-- UNION ALL finds new rows for ever where the edges go in circles
INSERT INTO cyc_edge VALUES (200, 201), (201, 200);
SELECT pgtrickle.alter_stream_table('cyc_self', $$SELECT a, "to b" AS b FROM cyc_edge
    UNION ALL SELECT s.a, e."to b" FROM cyc_self s JOIN cyc_edge e ON e.a = s.b$$);
DELETE FROM cyc_edge WHERE a IN (10, 11, 200, 201);
SELECT pgtrickle.alter_stream_table('cyc_self', $$SELECT a, "to b" AS b FROM cyc_edge
    UNION ALL SELECT s.a, e."to b" FROM cyc_self s JOIN cyc_edge e ON e.a = s.b$$);
SELECT check_st('cyc_self', $$WITH RECURSIVE r AS (SELECT a, "to b" AS b FROM cyc_edge
    UNION ALL SELECT r.a, e."to b" FROM r JOIN cyc_edge e ON e.a = r.b) SELECT * FROM r$$);
SELECT pgtrickle.drop_stream_table('cyc_self');

-- another owner's stream table is not drawn in
CREATE ROLE regress_cyc;
GRANT SELECT, TRIGGER ON cyc_edge TO regress_cyc;
GRANT USAGE, CREATE ON SCHEMA public TO regress_cyc;
GRANT SELECT, TRIGGER ON cyc_reach TO regress_cyc;
SET ROLE regress_cyc;
SELECT pgtrickle.create_stream_table('cyc_other', 'SELECT a, b FROM cyc_reach', NULL);
RESET ROLE;
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, "to b" AS b FROM cyc_edge UNION SELECT a, b FROM cyc_other');

-- RESTRICT lists the other member, CASCADE takes it along
SELECT pgtrickle.alter_stream_table('cyc_reach', 'SELECT a, "to b" AS b FROM cyc_edge UNION SELECT a, b FROM cyc_step');
SELECT pgtrickle.drop_stream_table('cyc_other', true);
SELECT pgtrickle.drop_stream_table('cyc_reach');
SELECT pgtrickle.drop_stream_table('cyc_reach', true);
SELECT count(*) FROM pgtrickle.pgt_stream_tables WHERE relid::regclass::text LIKE '%cyc%';
DROP TABLE cyc_edge CASCADE;
DROP OWNED BY regress_cyc;
DROP ROLE regress_cyc;
