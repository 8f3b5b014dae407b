-- What SQL is maintained how: one small query per construct.
--
-- tools/sql_table.sh makes the tables of README.md and doc/sql.md from this
-- output: a construct that changes its mode changes the manual.
-- For each query validate_query() says the mode; then an ordinary user creates
-- a stream table in mode AUTO, its sources are changed, it is refreshed and
-- compared with its query.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/sql/include/oracle.sql'
\i :oracle
SET client_min_messages = error;
CREATE ROLE regress_pgt_sqls;
CREATE SCHEMA sqls AUTHORIZATION regress_pgt_sqls;
CREATE FOREIGN DATA WRAPPER sqls_fdw;
CREATE SERVER sqls_server FOREIGN DATA WRAPPER sqls_fdw;
GRANT USAGE ON FOREIGN SERVER sqls_server TO regress_pgt_sqls;
SET search_path = sqls, public;
SET ROLE regress_pgt_sqls;

CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region text, parent int);
CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(10, 2), qty int, at date, tags text[], doc jsonb);
CREATE TABLE log (msg text, n int);
CREATE TABLE odd (id int PRIMARY KEY, j json, x xid);
CREATE TABLE parts (id int, day date, n int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
CREATE TABLE parent (id int, n int);
CREATE TABLE child (extra text) INHERITS (parent);
CREATE VIEW big_orders AS SELECT id, customer, amount FROM orders WHERE amount > 20;
CREATE VIEW per_customer AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;
CREATE MATERIALIZED VIEW snapshot AS SELECT id, name FROM customers;
CREATE TEMP TABLE scratch (id int);
CREATE UNLOGGED TABLE unlogged (id int, n int);
CREATE TABLE secured (id int, n int);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON secured USING (n > 0) WITH CHECK (true);
CREATE FOREIGN TABLE far (id int) SERVER sqls_server;
CREATE SEQUENCE seq;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE size AS ENUM ('small', 'large');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE shaped (gone int, id int PRIMARY KEY, n int, pair pair, span int4range, list text[], size size, pos positive,
                     word text COLLATE "C", twice int GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE shaped DROP COLUMN gone;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION lookup(int) RETURNS text STABLE LANGUAGE sql AS 'SELECT name FROM sqls.customers WHERE id = $1';
CREATE AGGREGATE product(int) (sfunc = int4mul, stype = int, initcond = 1);

CREATE FUNCTION fill(first int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO customers SELECT i, 'c' || i, (ARRAY['north', 'south'])[i % 3], nullif(i - 1, 0)
        FROM generate_series(first, first + 4) i;
    INSERT INTO orders SELECT i, i % 4, i * 7.25, i % 3, date '2025-01-01' + i, ARRAY['t' || i % 2], jsonb_build_object('k', i % 2)
        FROM generate_series(first, first + 9) i;
    INSERT INTO log SELECT 'm' || i % 3, i % 2 FROM generate_series(first, first + 5) i;
    INSERT INTO odd SELECT i, json_build_object('k', i), (i % 2)::text::xid FROM generate_series(first, first + 4) i;
    INSERT INTO parts SELECT i, date '2025-01-28' + i, i FROM generate_series(first, first + 5) i;
    INSERT INTO parent SELECT i, i FROM generate_series(first, first + 1) i;
    INSERT INTO child SELECT i, i, 'x' FROM generate_series(first, first + 1) i;
    INSERT INTO unlogged SELECT i, i FROM generate_series(first, first + 1) i;
    INSERT INTO shaped (id, n, pair, span, list, size, pos, word)
        SELECT i, i % 3, ROW(i % 2, 'p')::pair, int4range(i, i + 2), ARRAY['w' || i % 2], 'small'::size, i, 'w' || i FROM generate_series(first, first + 4) i;
    INSERT INTO secured SELECT i, i - 2 FROM generate_series(first, first + 4) i;
$$;
CREATE FUNCTION change() RETURNS void LANGUAGE sql AS $$
    SELECT fill(1000);
    UPDATE orders SET amount = amount + 1, qty = qty + 1 WHERE id % 3 = 0;
    UPDATE customers SET region = 'east' WHERE id = 1;
    UPDATE parts SET day = day + 3 WHERE id = 2;
    UPDATE log SET n = n + 1 WHERE msg = 'm1';
    DELETE FROM orders WHERE id % 5 = 0;
    DELETE FROM customers WHERE id = 2;
    REFRESH MATERIALIZED VIEW snapshot;
    UPDATE shaped SET n = n + 1, pair.a = 7, span = 'empty', size = 'large', word = NULL WHERE id % 2 = 0;
    DELETE FROM shaped WHERE id = 3;
    UPDATE odd SET j = '[1]' WHERE id = 3;
$$;
SELECT fill(1);

CREATE TABLE constructs (no int GENERATED ALWAYS AS IDENTITY, topic text, construct text, query text);
COPY constructs (topic, construct, query) FROM stdin (DELIMITER '|');
Sources|table with a primary key|SELECT id, name FROM customers
Sources|table without a key, duplicates|SELECT msg, n FROM log
Sources|partitioned table|SELECT id, day, n FROM parts
Sources|one partition|SELECT id, n FROM parts_1
Sources|table with inheritance children|SELECT id, n FROM parent
Sources|ONLY of a parent table|SELECT id, n FROM ONLY parent
Sources|unlogged table|SELECT id, n FROM unlogged
Sources|view|SELECT customer, amount FROM big_orders
Sources|view with GROUP BY|SELECT customer, total FROM per_customer WHERE total > 50
Sources|another stream table|SELECT region, id FROM base_st
Sources|materialized view|SELECT id, name FROM snapshot
Sources|materialized view, matview_polling on|SELECT id, name FROM snapshot
Sources|foreign table|SELECT id FROM far
Sources|foreign table, foreign_table_polling on|SELECT id FROM far
Sources|table with row security that binds the owner|SELECT id, n FROM secured
Sources|temporary table|SELECT id FROM scratch
Sources|system catalog|SELECT relname FROM pg_class
Sources|TABLESAMPLE|SELECT id FROM orders TABLESAMPLE BERNOULLI (100)
Sources|function in FROM|SELECT g FROM generate_series(1, 3) g
Sources|function of a column in FROM (LATERAL)|SELECT o.id, g FROM orders o, generate_series(1, o.qty) AS g
Sources|unnest() of a column in FROM|SELECT o.id, t FROM orders o, unnest(o.tags) AS t
Sources|WITH ORDINALITY|SELECT o.id, t, n FROM orders o, unnest(o.tags) WITH ORDINALITY AS u (t, n)
Sources|ROWS FROM (...)|SELECT o.id, t, g FROM orders o, ROWS FROM (unnest(o.tags), generate_series(1, 2)) AS u (t, g)
Sources|jsonb functions in FROM|SELECT o.id, e.key, e.value FROM orders o, jsonb_each(o.doc) AS e
Sources|XMLTABLE|SELECT o.id, x.v FROM orders o, XMLTABLE('/a' PASSING xmlparse(document concat('<a>', o.qty, '</a>')) COLUMNS v int PATH '.') AS x
Sources|LEFT JOIN to a function of a column|SELECT o.id, t FROM orders o LEFT JOIN unnest(o.tags) AS t ON true
Sources|VALUES in FROM|SELECT v.a FROM (VALUES (1), (2)) v (a)
Sources|VALUES joined with a table|SELECT v.a, o.id FROM (VALUES (1), (2)) v (a) JOIN orders o ON o.qty = v.a
Sources|VALUES alone|VALUES (1, 'a'), (2, 'b')
Sources|no FROM|SELECT 1 AS one
Sources|table with generated and dropped columns|SELECT id, twice FROM shaped
Sources|columns of composite, range, array, enum, domain and collated types|SELECT id, pair, span, list, size, pos, word FROM shaped
Rows|WHERE, expressions, CASE, casts|SELECT id, amount * 2 AS twice, CASE WHEN qty > 1 THEN 'many' ELSE 'few' END AS size, at::text AS at FROM orders WHERE amount > 10 AND at IS NOT NULL
Rows|jsonb and array operators|SELECT id, doc ->> 'k' AS k, tags[1] AS tag FROM orders WHERE doc @> '{"k": 1}'
Rows|columns of types without equality (json, xml, point)|SELECT id, j FROM odd
Rows|immutable function|SELECT id, twice(qty) AS q, upper(tags[1]) AS t FROM orders
Rows|stable function of dates and formats, pinned|SELECT id, to_char(at, 'YYYY-MM') AS month, date_trunc('month', at) AS m FROM orders
Rows|now(), current_date, current_user|SELECT id FROM orders WHERE at < current_date
Rows|other stable function|SELECT id, lookup(customer) AS name FROM orders
Rows|random() and other volatile functions|SELECT id, random() AS r FROM orders
Rows|nextval()|SELECT id, nextval('seq') AS n FROM orders
Rows|set-returning function in the select list|SELECT id, unnest(tags) AS tag FROM orders
Rows|set-returning function in a select list with windows|SELECT id, generate_series(1, qty) AS g, rank() OVER (PARTITION BY customer ORDER BY id) AS r FROM orders
Rows|set-returning function in a select list with DISTINCT ON, LIMIT|SELECT DISTINCT ON (customer) customer, unnest(tags) AS tag FROM orders ORDER BY customer, id LIMIT 7
Rows|set-returning function in a select list with GROUP BY|SELECT customer, generate_series(1, count(*)) AS g FROM orders GROUP BY customer
Rows|whole-row reference|SELECT c.id, c AS whole, to_jsonb(c) AS j FROM customers c
Rows|field of a composite column|SELECT id, (pair).a AS a FROM shaped
Rows|system columns|SELECT id, ctid AS tid FROM orders
Rows|ORDER BY (no effect on content)|SELECT id FROM orders ORDER BY id
Rows|ORDER BY ... LIMIT|SELECT id FROM orders ORDER BY id LIMIT 3
Rows|ORDER BY ... LIMIT and OFFSET|SELECT id, amount FROM orders ORDER BY amount DESC, id LIMIT 3 OFFSET 2
Rows|ORDER BY ... OFFSET without LIMIT|SELECT id, at FROM orders ORDER BY at DESC, id OFFSET 3
Rows|LIMIT without ORDER BY|SELECT DISTINCT 1 AS one FROM orders LIMIT 3
Rows|LIMIT in a subquery|SELECT s.id, c.name FROM (SELECT id, customer FROM orders ORDER BY amount, id LIMIT 4) s JOIN customers c ON c.id = s.customer
Rows|FETCH FIRST ... WITH TIES|SELECT id, amount FROM orders ORDER BY amount FETCH FIRST 3 ROWS WITH TIES
Rows|FOR UPDATE, FOR SHARE|SELECT id FROM orders FOR UPDATE
Joins|inner join|SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer
Joins|join of three and more|SELECT o.id, c.name, l.msg FROM orders o JOIN customers c ON c.id = o.customer JOIN log l ON l.n = o.qty
Joins|self-join|SELECT a.id, b.name AS parent FROM customers a JOIN customers b ON b.id = a.parent
Joins|join on an inequality|SELECT a.id, b.id AS other FROM orders a JOIN orders b ON a.amount < b.amount
Joins|CROSS JOIN, comma in FROM|SELECT o.id, c.id AS c FROM orders o, customers c
Joins|NATURAL JOIN, USING|SELECT id, name, qty FROM customers JOIN orders USING (id)
Joins|LATERAL subquery of plain rows|SELECT o.id, x.name FROM orders o, LATERAL (SELECT name FROM customers c WHERE c.id = o.customer) x
Joins|LATERAL subquery with an aggregate|SELECT c.id, x.n FROM customers c, LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer = c.id) x
Joins|LATERAL subquery with LIMIT (top n of a group)|SELECT c.id, x.id AS o FROM customers c, LATERAL (SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.amount DESC, o.id LIMIT 2) x
Joins|LEFT JOIN LATERAL|SELECT c.id, x.id AS o FROM customers c LEFT JOIN LATERAL (SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.amount DESC, o.id LIMIT 1) x ON true
Joins|outer join on what a LATERAL subquery without equality gives|SELECT c.id, o.id AS o FROM customers c CROSS JOIN LATERAL (SELECT max(x.qty) AS q FROM orders x WHERE x.id > c.id) l LEFT JOIN orders o ON o.qty = l.q
Joins|LEFT JOIN LATERAL of an aggregate with a condition|SELECT c.id, l.n FROM customers c LEFT JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer = c.id) l ON l.n > c.parent
Joins|LATERAL (... UNION ...)|SELECT c.id, u.q FROM customers c, LATERAL (SELECT o.qty AS q FROM orders o WHERE o.customer = c.id UNION SELECT l.n FROM log l WHERE l.n > c.parent) u
Joins|LATERAL without equality|SELECT c.id, x.n FROM customers c, LATERAL (SELECT count(*) AS n FROM orders o WHERE o.qty > c.parent) x
Joins|LEFT JOIN|SELECT c.id, o.id AS o FROM customers c LEFT JOIN orders o ON o.customer = c.id
Joins|RIGHT JOIN|SELECT c.name, o.id AS o FROM customers c RIGHT JOIN orders o ON o.customer = c.id
Joins|FULL JOIN|SELECT c.id, o.id AS o FROM customers c FULL JOIN orders o ON o.customer = c.id
Joins|FULL JOIN USING, NATURAL|SELECT id, c.name, o.amount FROM customers c FULL JOIN orders o USING (id)
Joins|outer joins chained and nested|SELECT c.id, o.id AS o, p.name, l.msg FROM customers c LEFT JOIN (orders o LEFT JOIN log l ON l.n = o.qty) ON o.customer = c.id LEFT JOIN customers p ON p.id = c.parent
Joins|outer join with further conditions in ON|SELECT c.id, o.id AS o FROM customers c LEFT JOIN orders o ON o.customer = c.id AND o.amount > 20 AND c.region IS NOT NULL
Joins|outer join on an inequality|SELECT a.id, b.id AS other FROM customers a LEFT JOIN orders b ON a.id > b.qty
Joins|expressions and constants over the nullable side|SELECT c.id, coalesce(s.one, 0) AS one, s.o IS NULL AS none FROM customers c LEFT JOIN (SELECT 1 AS one, o.id AS o, o.customer FROM orders o) s ON s.customer = c.id
Joins|outer join under an aggregate|SELECT c.region, count(o.id) AS n, sum(o.amount) AS s FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.region
Joins|outer join with an aggregate|SELECT c.id, s.n FROM customers c LEFT JOIN (SELECT customer, count(*) AS n FROM orders GROUP BY customer) s ON s.customer = c.id
Subqueries|subquery in FROM|SELECT s.id FROM (SELECT id, amount FROM orders WHERE qty > 0) s WHERE s.amount > 10
Subqueries|aggregate in a subquery, joined|SELECT c.name, s.total FROM customers c JOIN (SELECT customer, sum(amount) AS total FROM orders GROUP BY customer) s ON s.customer = c.id
Subqueries|aggregate over an aggregate|SELECT max(s.total) AS best FROM (SELECT customer, sum(amount) AS total FROM orders GROUP BY customer) s
Subqueries|WITH (also referred to twice)|WITH t AS (SELECT customer, sum(amount) AS total FROM orders GROUP BY customer) SELECT a.customer, b.customer AS other FROM t a JOIN t b ON a.total < b.total
Subqueries|WITH ... AS MATERIALIZED|WITH t AS MATERIALIZED (SELECT id FROM orders) SELECT id FROM t
Subqueries|WITH RECURSIVE ... UNION ALL|WITH RECURSIVE t AS (SELECT id, parent FROM customers WHERE parent IS NULL UNION ALL SELECT c.id, c.parent FROM customers c JOIN t ON t.id = c.parent) SELECT id, parent FROM t
Subqueries|WITH RECURSIVE ... UNION|WITH RECURSIVE t AS (SELECT id, parent FROM customers WHERE parent IS NULL UNION SELECT c.id, c.parent FROM customers c JOIN t ON t.id = c.parent) SELECT id, parent FROM t
Subqueries|WITH RECURSIVE, joined and aggregated|WITH RECURSIVE t AS (SELECT id AS top, id FROM customers UNION SELECT t.top, c.id FROM customers c JOIN t ON t.id = c.parent) SELECT t.top, count(*) AS n, sum(o.amount) AS s FROM t JOIN orders o ON o.customer = t.id GROUP BY t.top
Subqueries|WITH RECURSIVE over aggregates, DISTINCT, LIMIT|WITH RECURSIVE t AS (SELECT min(id) AS id FROM customers UNION SELECT o.id FROM t JOIN (SELECT customer, max(id) AS id FROM orders GROUP BY customer) o ON o.customer = t.id) SELECT id FROM t
Subqueries|WITH RECURSIVE with an outer join|WITH RECURSIVE t AS (SELECT id, 0 AS d FROM customers WHERE parent IS NULL UNION ALL SELECT c.id, d + 1 FROM t LEFT JOIN customers c ON c.parent = t.id WHERE d < 3) SELECT id, d FROM t
Subqueries|WITH RECURSIVE with EXISTS, NOT EXISTS|WITH RECURSIVE t AS (SELECT id FROM customers WHERE parent IS NULL UNION SELECT c.id FROM customers c JOIN t ON t.id = c.parent WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id AND o.qty > 1)) SELECT id FROM t
Subqueries|WITH RECURSIVE with SEARCH or CYCLE|WITH RECURSIVE t AS (SELECT id, parent FROM customers WHERE parent IS NULL UNION ALL SELECT c.id, c.parent FROM customers c JOIN t ON t.id = c.parent) CYCLE id SET c USING p SELECT id, c FROM t
Subqueries|WITH that modifies data|WITH d AS (DELETE FROM log RETURNING n) SELECT n FROM d
Subqueries|EXISTS|SELECT id FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id)
Subqueries|NOT EXISTS|SELECT id FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id)
Subqueries|EXISTS over an aggregate|SELECT id FROM customers c WHERE EXISTS (SELECT o.qty FROM orders o WHERE o.customer = c.id GROUP BY o.qty HAVING count(*) > 1)
Subqueries|EXISTS without correlation|SELECT id FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.qty > 2)
Subqueries|EXISTS within EXISTS|SELECT id FROM customers c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id AND NOT EXISTS (SELECT FROM log l WHERE l.n = o.qty))
Subqueries|IN (SELECT ...)|SELECT id FROM customers WHERE id IN (SELECT customer FROM orders)
Subqueries|NOT IN (SELECT ...)|SELECT id FROM customers WHERE id NOT IN (SELECT customer FROM orders WHERE qty > 1)
Subqueries|NOT IN (SELECT ...), correlated|SELECT id FROM customers c WHERE parent NOT IN (SELECT qty FROM orders o WHERE o.customer = c.id)
Subqueries|IN, NOT IN of several columns|SELECT id FROM orders WHERE (customer, qty) NOT IN (SELECT id, parent FROM customers)
Subqueries|op ANY, op ALL (SELECT ...)|SELECT id FROM orders WHERE amount > ALL (SELECT amount FROM orders x WHERE x.qty = 0) OR id = ANY (SELECT parent FROM customers)
Subqueries|EXISTS, IN under OR and NOT|SELECT id FROM customers c WHERE region IS NULL OR NOT (EXISTS (SELECT FROM orders o WHERE o.customer = c.id) AND id IN (SELECT qty FROM orders))
Subqueries|EXISTS, IN in CASE|SELECT id, CASE WHEN id IN (SELECT customer FROM orders) THEN 'buys' ELSE 'looks' END AS kind FROM customers
Subqueries|EXISTS, IN in the select list|SELECT id, EXISTS (SELECT FROM orders o WHERE o.customer = c.id) AS buys FROM customers c
Subqueries|EXISTS, IN in an aggregate|SELECT region, count(*) FILTER (WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id)) AS n FROM customers c GROUP BY region
Subqueries|EXISTS, IN in the ON of an outer join, over both sides|SELECT c.id, o.id AS o FROM customers c LEFT JOIN orders o ON o.customer = c.id AND EXISTS (SELECT FROM log l WHERE l.n = o.qty AND l.n < c.parent)
Subqueries|EXISTS, IN in the ON of an outer join, over VALUES or functions|SELECT c.id, v.k FROM customers c LEFT JOIN (VALUES (1), (2)) v (k) ON v.k = c.parent AND v.k IN (SELECT n FROM log)
Subqueries|subquery without equality, after grouping|SELECT customer, (SELECT count(*) FROM log WHERE n < customer) AS l, count(*) AS n FROM orders GROUP BY customer
Subqueries|EXISTS, IN in the ON of a join|SELECT c.id, o.id AS o FROM customers c LEFT JOIN orders o ON o.customer = c.id AND EXISTS (SELECT FROM log l WHERE l.n = o.qty)
Subqueries|scalar subquery without correlation|SELECT id, amount - (SELECT avg(amount) FROM orders) AS off FROM orders WHERE amount > (SELECT min(amount) FROM orders)
Subqueries|scalar subquery, correlated by equality|SELECT id, (SELECT max(amount) FROM orders o WHERE o.customer = c.id) AS best FROM customers c
Subqueries|scalar subquery with count(*)|SELECT id FROM customers c WHERE (SELECT count(*) FROM orders o WHERE o.customer = c.id) = 0
Subqueries|scalar subquery, correlated otherwise|SELECT id, (SELECT count(*) FROM orders x WHERE x.amount < o.amount) AS before FROM orders o
Subqueries|scalar subquery by a key|SELECT id, (SELECT name FROM customers c WHERE c.id = o.customer) AS name FROM orders o
Subqueries|scalar subquery with LIMIT 1|SELECT id, (SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.amount, o.id LIMIT 1) AS first FROM customers c
Subqueries|scalar subquery in HAVING|SELECT customer, sum(amount) AS s FROM orders GROUP BY customer HAVING sum(amount) > (SELECT avg(amount) FROM orders)
Subqueries|ARRAY (SELECT ...)|SELECT id, ARRAY (SELECT o.id FROM orders o WHERE o.customer = c.id ORDER BY o.id) AS ids FROM customers c
Subqueries|IN (list of values)|SELECT id FROM customers WHERE region IN ('north', 'east')
Aggregates|GROUP BY with count, sum, avg|SELECT customer, count(*) AS n, count(qty) AS q, sum(amount) AS s, avg(amount) AS a FROM orders GROUP BY customer
Aggregates|min, max|SELECT customer, min(amount) AS lo, max(at) AS hi FROM orders GROUP BY customer
Aggregates|bool_and, bool_or, every|SELECT customer, bool_and(qty > 0) AS a, bool_or(qty > 1) AS o, every(qty < 9) AS e FROM orders GROUP BY customer
Aggregates|stddev, variance families|SELECT customer, stddev(qty) AS sd, var_pop(amount) AS v FROM orders GROUP BY customer
Aggregates|sum and avg of floats|SELECT customer, sum(amount::float8) AS s, avg(amount::float8) AS a FROM orders GROUP BY customer
Aggregates|FILTER|SELECT customer, count(*) FILTER (WHERE qty > 1) AS n FROM orders GROUP BY customer
Aggregates|aggregate without GROUP BY|SELECT count(*) AS n, sum(amount) AS s FROM orders
Aggregates|GROUP BY an expression|SELECT date_trunc('month', at::timestamp) AS m, sum(amount) AS s FROM orders GROUP BY 1
Aggregates|GROUP BY a type without an order (xid)|SELECT x, count(*) AS n FROM odd GROUP BY x
Aggregates|GROUP BY after a join|SELECT c.region, sum(o.amount) AS s FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.region
Aggregates|HAVING|SELECT customer, sum(amount) AS s FROM orders GROUP BY customer HAVING count(*) > 1
Aggregates|count(DISTINCT ...), sum(DISTINCT ...)|SELECT customer, count(DISTINCT qty) AS n, sum(DISTINCT qty) AS s FROM orders GROUP BY customer
Aggregates|string_agg, array_agg (with ORDER BY)|SELECT customer, string_agg(id::text, ',' ORDER BY id) AS ids, array_agg(qty ORDER BY qty, id) AS q FROM orders GROUP BY customer
Aggregates|jsonb_agg, jsonb_object_agg|SELECT customer, jsonb_agg(id ORDER BY id) AS j, jsonb_object_agg(id, qty ORDER BY id) AS o FROM orders GROUP BY customer
Aggregates|ordered-set: percentile_cont, mode|SELECT customer, percentile_cont(0.5) WITHIN GROUP (ORDER BY qty) AS med, mode() WITHIN GROUP (ORDER BY qty) AS m FROM orders GROUP BY customer
Aggregates|hypothetical-set: rank, percent_rank|SELECT customer, rank(2) WITHIN GROUP (ORDER BY qty) AS r, percent_rank(2) WITHIN GROUP (ORDER BY qty) AS p FROM orders GROUP BY customer
Aggregates|user-defined aggregate|SELECT customer, product(qty) AS p FROM orders GROUP BY customer
Aggregates|SELECT DISTINCT|SELECT DISTINCT region FROM customers
Aggregates|SELECT DISTINCT ON|SELECT DISTINCT ON (customer) customer, id FROM orders ORDER BY customer, id
Aggregates|GROUPING SETS|SELECT customer, qty, sum(amount) AS s FROM orders GROUP BY GROUPING SETS ((customer), (qty), ())
Aggregates|GROUPING SETS over expressions|SELECT s.y, s.q, count(*) AS n FROM (SELECT qty + 1 AS y, qty AS q FROM orders) s GROUP BY GROUPING SETS ((s.y, s.q), (s.y), (s.y), ())
Aggregates|ROLLUP, CUBE|SELECT customer, qty, count(*) AS n FROM orders GROUP BY ROLLUP (customer, qty)
Aggregates|GROUPING()|SELECT customer, qty, GROUPING(customer, qty) AS g, count(*) AS n FROM orders GROUP BY CUBE (customer, qty) HAVING GROUPING(qty) = 0
Windows|row_number, rank, dense_rank, ntile, lag, lead|SELECT id, row_number() OVER (PARTITION BY customer ORDER BY id) AS r, lag(amount) OVER (PARTITION BY customer ORDER BY id) AS before FROM orders
Windows|aggregates OVER|SELECT id, sum(amount) OVER (PARTITION BY customer) AS s, count(*) OVER (PARTITION BY customer ORDER BY id) AS n FROM orders
Windows|frames: ROWS, RANGE, GROUPS, EXCLUDE|SELECT id, sum(qty) OVER (PARTITION BY customer ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) AS a, sum(qty) OVER (PARTITION BY customer ORDER BY qty RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS b, sum(qty) OVER (PARTITION BY customer ORDER BY qty GROUPS 1 PRECEDING) AS c FROM orders
Windows|WINDOW clause, in expressions|SELECT id, 100 * amount / nullif(sum(amount) OVER w, 0) AS share FROM orders WINDOW w AS (PARTITION BY customer)
Windows|several partitionings|SELECT id, count(*) OVER (PARTITION BY customer) AS a, count(*) OVER (PARTITION BY qty) AS b FROM orders
Windows|no PARTITION BY|SELECT id, rank() OVER (ORDER BY amount) AS r FROM orders
Windows|over aggregates|SELECT customer, sum(amount) AS s, rank() OVER (ORDER BY sum(amount) DESC) AS r FROM orders GROUP BY customer
Windows|row_number() = 1 in an outer query|SELECT id, customer FROM (SELECT id, customer, row_number() OVER (PARTITION BY customer ORDER BY amount, id) AS r FROM orders) s WHERE r = 1
Set operations|UNION ALL|SELECT id FROM customers UNION ALL SELECT id FROM orders
Set operations|UNION|SELECT id FROM customers UNION SELECT id FROM orders
Set operations|INTERSECT|SELECT id FROM customers INTERSECT SELECT id FROM orders
Set operations|EXCEPT|SELECT id FROM customers EXCEPT SELECT id FROM orders
Set operations|INTERSECT ALL, EXCEPT ALL|SELECT n FROM log EXCEPT ALL SELECT qty FROM orders
Set operations|nested|(SELECT qty FROM orders UNION SELECT n FROM log) EXCEPT (SELECT id FROM customers INTERSECT SELECT parent FROM customers)
Set operations|over aggregates, under joins|SELECT u.customer, c.name FROM (SELECT customer FROM orders GROUP BY customer HAVING count(*) > 1 UNION SELECT n FROM log) u LEFT JOIN customers c ON c.id = u.customer
\.

SELECT pgtrickle.create_stream_table('base_st', 'SELECT region, id FROM customers', schedule => NULL);

-- What one construct comes to. Says something else than a mode only when a
-- claim of validate_query() does not hold. The changes are undone.
CREATE TABLE outcome (no int, mode text, code text);
CREATE TABLE reasons (no int, code text, result text);
CREATE FUNCTION try(n int, q text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    said text;
    codes text;
    did text;
    differ bigint;
    mode text;
    out outcome;
BEGIN
    SELECT max(result) FILTER (WHERE check_name = 'refresh_mode'),
           string_agg(DISTINCT check_name, ', ') FILTER (WHERE check_name <> 'refresh_mode')
      INTO said, codes
      FROM pgtrickle.validate_query(q);
    out := ROW(n, said, codes);
    INSERT INTO reasons SELECT n, v.check_name, v.result FROM pgtrickle.validate_query(q) v;
    BEGIN
        PERFORM pgtrickle.create_stream_table('st', q, schedule => NULL);
        SELECT effective_mode INTO mode FROM pgtrickle.explain_refresh_mode('st');
        PERFORM change();
        PERFORM pgtrickle.refresh_stream_table('base_st');
        PERFORM pgtrickle.refresh_stream_table('st');
        IF codes IS DISTINCT FROM 'volatile_function' THEN
            differ := check_st('st', q);
        END IF;
        IF mode <> said OR differ > 0 THEN
            out.mode := format('said %s, is %s, %s rows differ', said, mode, differ);
        END IF;
        RAISE EXCEPTION 'undo' USING ERRCODE = 'P0099';
    EXCEPTION
        WHEN SQLSTATE 'P0099' THEN NULL;
        WHEN OTHERS THEN
            IF q ~ ' far$' AND SQLERRM LIKE '%has no handler' THEN
                NULL;           -- nothing to read here
            ELSIF said <> 'none' OR SQLSTATE NOT IN ('0A000', '42809') THEN
                out.mode := format('said %s, but error %s %s', said, SQLSTATE, SQLERRM);
            END IF;
    END;
    INSERT INTO outcome SELECT out.*;
END $$;
DO $$
DECLARE c record;
BEGIN
    FOR c IN SELECT * FROM constructs ORDER BY no LOOP
        PERFORM set_config('pg_trickle.matview_polling', (c.construct ~ 'polling on$')::text, false),
                set_config('pg_trickle.foreign_table_polling', (c.construct ~ 'polling on$')::text, false);
        PERFORM try(c.no, c.query);
    END LOOP;
END $$;

\pset format unaligned
\pset footer off
SELECT topic, construct,
       CASE mode WHEN 'DIFFERENTIAL' THEN 'differential' WHEN 'FULL' THEN 'recomputed'
                 WHEN 'none' THEN 'refused' ELSE mode END AS how,
       code
  FROM constructs JOIN outcome USING (no) ORDER BY no;

-- the reasons
SELECT DISTINCT ON (code) code, result
  FROM reasons
 WHERE code <> 'refresh_mode'
 ORDER BY code, no;

-- Whatever is not maintained by deltas has a hint, and a place: what stands there.
CREATE FUNCTION hint(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    PERFORM pgtrickle.create_stream_table('st', q, schedule => NULL, refresh_mode => 'DIFFERENTIAL');
    RAISE EXCEPTION 'created';
EXCEPTION WHEN feature_not_supported OR wrong_object_type THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN hint;
END $$;
CREATE TABLE places AS
SELECT no, construct, r.code, hint(query), substr(query, substring(r.result FROM '\(at character (\d+)\)')::int, 24) AS place
  FROM constructs JOIN outcome o USING (no) JOIN reasons r USING (no)
 WHERE o.mode IN ('FULL', 'none') AND r.code <> 'refresh_mode';
SELECT construct, code, place FROM places ORDER BY no, code;
SELECT construct, code, hint, place FROM places WHERE coalesce(hint, '') = '' OR coalesce(place, '') = '' ORDER BY no;
SELECT construct FROM constructs JOIN outcome USING (no) WHERE mode <> 'DIFFERENTIAL' AND no NOT IN (SELECT no FROM places);

-- a row for each obstacle, with its place in the query
SELECT * FROM pgtrickle.validate_query('SELECT id, random() AS r, row_number() OVER () AS n FROM customers LEFT JOIN log ON n = id LIMIT 3');

SELECT pgtrickle.drop_stream_table('base_st');
DROP TABLE scratch;
RESET ROLE;
DROP SCHEMA sqls CASCADE;
DROP FOREIGN DATA WRAPPER sqls_fdw CASCADE;
DROP ROLE regress_pgt_sqls;
