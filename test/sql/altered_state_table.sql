-- State tables belong to the owner of the stream table: whatever they do with
-- them, a refresh notices before it takes a column for what it is not.
SET client_min_messages = warning;
CREATE ROLE ast_alice;
CREATE SCHEMA ast AUTHORIZATION ast_alice;
SET ROLE ast_alice;
CREATE TABLE ast.src (id int PRIMARY KEY, g int, d numeric);
INSERT INTO ast.src SELECT i, i % 3, i FROM generate_series(1, 9) i;
SELECT FROM pgtrickle.create_stream_table('ast.st', 'SELECT g, avg(d) AS a FROM ast.src GROUP BY g', schedule => '1d');
INSERT INTO ast.src VALUES (10, 1, 10);
SELECT FROM pgtrickle.refresh_stream_table('ast.st');
CREATE FUNCTION ast.change(command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format(command, (SELECT oid::regclass FROM pg_class
		WHERE relname LIKE 'stage\_%' AND relkind = 'r' AND relowner = 'ast_alice'::regrole));
END$$;

SELECT FROM ast.change('ALTER TABLE %s ALTER k1 TYPE text');
INSERT INTO ast.src VALUES (11, 1, 11);
SELECT FROM pgtrickle.refresh_stream_table('ast.st');
SELECT FROM pgtrickle.repair_stream_table('ast.st');
SELECT g, round(a, 2) AS a FROM ast.st ORDER BY g;

SELECT FROM ast.change('ALTER TABLE %s ADD COLUMN more int');
INSERT INTO ast.src VALUES (12, 1, 12);
SELECT FROM pgtrickle.refresh_stream_table('ast.st');
SELECT FROM pgtrickle.repair_stream_table('ast.st');
SELECT FROM ast.change('ALTER TABLE %s DROP COLUMN n');
INSERT INTO ast.src VALUES (13, 1, 13);
SELECT FROM pgtrickle.refresh_stream_table('ast.st');
SELECT FROM pgtrickle.repair_stream_table('ast.st');
SELECT g, round(a, 2) AS a FROM ast.st ORDER BY g;

RESET ROLE;
DROP SCHEMA ast CASCADE;
DROP ROLE ast_alice;
