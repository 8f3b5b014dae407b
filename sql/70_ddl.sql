-- Following DDL on sources and stream tables: src/ddl.

CREATE FUNCTION pgtrickle.on_ddl_command_start() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_on_ddl_command_start';

CREATE FUNCTION pgtrickle.on_ddl_command_end() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_on_ddl_command_end';

CREATE FUNCTION pgtrickle.on_sql_drop() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'pgt_on_sql_drop';

CREATE EVENT TRIGGER pg_trickle_ddl_start ON ddl_command_start
    WHEN TAG IN ('ALTER FOREIGN TABLE', 'ALTER TABLE', 'DROP FOREIGN TABLE', 'DROP OWNED', 'DROP TABLE')
    EXECUTE FUNCTION pgtrickle.on_ddl_command_start();
ALTER EVENT TRIGGER pg_trickle_ddl_start ENABLE ALWAYS;

CREATE EVENT TRIGGER pg_trickle_ddl_end ON ddl_command_end
    WHEN TAG IN ('ALTER AGGREGATE', 'ALTER DOMAIN', 'ALTER FOREIGN TABLE', 'ALTER FUNCTION',
        'ALTER MATERIALIZED VIEW', 'ALTER OPERATOR', 'ALTER POLICY', 'ALTER ROUTINE', 'ALTER SUBSCRIPTION',
        'ALTER TABLE', 'ALTER TEXT SEARCH CONFIGURATION', 'ALTER TEXT SEARCH DICTIONARY', 'ALTER TYPE',
        'ALTER VIEW', 'CREATE AGGREGATE',
        'CREATE FOREIGN TABLE', 'CREATE FUNCTION', 'CREATE POLICY', 'CREATE RULE',
        'CREATE SCHEMA', 'CREATE SUBSCRIPTION', 'CREATE TABLE', 'CREATE VIEW',
        'REFRESH MATERIALIZED VIEW')
    EXECUTE FUNCTION pgtrickle.on_ddl_command_end();
ALTER EVENT TRIGGER pg_trickle_ddl_end ENABLE ALWAYS;

CREATE EVENT TRIGGER pg_trickle_sql_drop ON sql_drop
    EXECUTE FUNCTION pgtrickle.on_sql_drop();
ALTER EVENT TRIGGER pg_trickle_sql_drop ENABLE ALWAYS;
