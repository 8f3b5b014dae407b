--
-- The demo's stream tables. What each shows is in table demo.tables.
--
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
CREATE SCHEMA demo;
CREATE TABLE demo.tables (
    n        serial PRIMARY KEY,
    name     text NOT NULL,
    shows    text NOT NULL,
    query    text NOT NULL,
    full_ms  float8
);

INSERT INTO demo.tables (name, shows, query) VALUES
('open_orders', 'filter',
 'SELECT o_orderkey, o_custkey, o_totalprice, o_orderdate, o_orderpriority
    FROM orders WHERE o_orderstatus = ''O'''),
('urgent_orders', 'join of 4',
 'SELECT o_orderkey, o_orderdate, o_totalprice, c_name, c_mktsegment, n_name, r_name
    FROM orders JOIN customer ON c_custkey = o_custkey
         JOIN nation ON n_nationkey = c_nationkey
         JOIN region ON r_regionkey = n_regionkey
   WHERE o_orderpriority = ''1-URGENT'''),
('pricing_summary', 'aggregate',
 'SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
         sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price,
         avg(l_quantity) AS avg_qty, avg(l_discount) AS avg_disc, count(*) AS count_order
    FROM lineitem GROUP BY l_returnflag, l_linestatus'),
('nation_revenue', 'join of 6, aggregate',
 'SELECT r_name, n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, count(*) AS lines
    FROM customer JOIN orders ON o_custkey = c_custkey
         JOIN lineitem ON l_orderkey = o_orderkey
         JOIN supplier ON s_suppkey = l_suppkey AND s_nationkey = c_nationkey
         JOIN nation ON n_nationkey = s_nationkey
         JOIN region ON r_regionkey = n_regionkey
   GROUP BY r_name, n_name'),
('offer_range', 'min and max',
 'SELECT p_brand, p_size, min(ps_supplycost) AS cheapest, max(ps_supplycost) AS dearest,
         sum(ps_availqty) AS available, count(*) AS offers
    FROM part JOIN partsupp ON ps_partkey = p_partkey GROUP BY p_brand, p_size'),
('customer_spend', 'aggregate, 10K groups',
 'SELECT c_custkey, c_nationkey, count(*) AS orders, sum(o_totalprice) AS spent, max(o_orderdate) AS last_order
    FROM customer JOIN orders ON o_custkey = c_custkey GROUP BY c_custkey, c_nationkey'),
('nation_spend', 'over a stream table',
 'SELECT n_name, count(*) AS customers, sum(spent) AS spent, max(last_order) AS last_order
    FROM customer_spend JOIN nation ON n_nationkey = c_nationkey GROUP BY n_name'),
('large_orders', 'having, subquery',
 'SELECT o_orderkey, o_orderdate, q.quantity
    FROM (SELECT l_orderkey, sum(l_quantity) AS quantity FROM lineitem
           GROUP BY l_orderkey HAVING sum(l_quantity) > 250) q
         JOIN orders ON o_orderkey = q.l_orderkey');

SELECT format('SELECT pgtrickle.create_stream_table(%L, %L, schedule => ''1s'')', name, query)
  FROM demo.tables ORDER BY n
\gexec

-- what a full recompute of each costs, for comparison
DO $$
DECLARE
    t record;
    start timestamptz;
BEGIN
    FOR t IN SELECT * FROM demo.tables ORDER BY n LOOP
        EXECUTE format('CREATE UNLOGGED TABLE demo.twin (LIKE %I INCLUDING INDEXES)', t.name);
        start := clock_timestamp();
        EXECUTE format('TRUNCATE demo.twin; INSERT INTO demo.twin %s', t.query);
        UPDATE demo.tables SET full_ms = 1000 * extract(epoch FROM clock_timestamp() - start) WHERE n = t.n;
        DROP TABLE demo.twin;
    END LOOP;
END $$;

-- rows too many plus rows missing
CREATE FUNCTION demo.difference(name text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM ((TABLE %1$s EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$s)) d',
                   quote_ident(name), query) INTO n;
    RETURN n;
END $$;

-- Random changes of all tables for some seconds, in small transactions, which
-- the sequence counts.
CREATE SEQUENCE demo.transactions;
CREATE PROCEDURE demo.write(seconds float8, seed float8) LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + seconds * interval '1 s';
    ok bigint;
    k bigint;
    what float8;
    n bigint := 0;
BEGIN
    PERFORM setseed(seed);
    WHILE clock_timestamp() < until LOOP
        n := n + 1;
        what := random() * 100;
        k := 1 + floor(random() * 150000);
        -- in blocks, so that a conflict of two writers ends no writer
        BEGIN
            IF what < 25 THEN
                ok := 1000000 + (seed * 1e6)::bigint * 1000000 + n;
                INSERT INTO orders VALUES (ok, 1 + k % 15000, 'O', 1000 + k % 9000, date '1998-08-02', '1-URGENT', 'Clerk', 0, 'new');
                INSERT INTO lineitem
                SELECT ok, ps_partkey, ps_suppkey, row_number() OVER (), 10 + k % 40, 1000 + k % 5000, 0.05, 0.02, 'N', 'O',
                       date '1998-08-02', date '1998-08-20', date '1998-08-10', 'NONE', 'AIR', NULL
                  FROM partsupp WHERE ps_partkey = 1 + k % 20000 LIMIT 1 + k % 4;
            ELSIF what < 45 THEN
                UPDATE orders SET o_totalprice = o_totalprice + 1, o_orderstatus = CASE o_orderstatus WHEN 'O' THEN 'P' ELSE 'O' END
                 WHERE o_orderkey = k;
                UPDATE lineitem SET l_quantity = 1 + l_quantity % 50, l_returnflag = 'R' WHERE l_orderkey = k;
            ELSIF what < 55 THEN
                DELETE FROM lineitem WHERE l_orderkey = k;
                DELETE FROM orders WHERE o_orderkey = k;
            ELSIF what < 70 THEN
                UPDATE partsupp SET ps_supplycost = ps_supplycost * 0.9 + 5, ps_availqty = 1 + (ps_availqty + 7) % 9999
                 WHERE ps_partkey = 1 + k % 20000;
            ELSIF what < 78 THEN
                UPDATE customer SET c_acctbal = c_acctbal + 10, c_mktsegment = 'BUILDING' WHERE c_custkey = 1 + k % 15000;
            ELSIF what < 84 THEN
                UPDATE supplier SET s_nationkey = (s_nationkey + 1) % 25 WHERE s_suppkey = 1 + k % 1000;
            ELSIF what < 90 THEN
                UPDATE part SET p_size = 1 + p_size % 50 WHERE p_partkey = 1 + k % 20000;
            -- a nation's region or a region's name changes many rows of results: rarely
            ELSIF what < 90.1 THEN
                UPDATE nation SET n_regionkey = (n_regionkey + 1) % 5 WHERE n_nationkey = k % 25;
            ELSIF what < 90.15 THEN
                UPDATE region SET r_name = r_name WHERE r_regionkey = k % 5;
                UPDATE region SET r_name = translate(r_name, 'AEIOU ', 'EIOUA_') WHERE r_regionkey = k % 5;
            ELSIF what < 95 THEN
                -- one of each smaller table comes and goes
                INSERT INTO region VALUES (1000 + n, 'ATLANTIS', NULL) ON CONFLICT DO NOTHING;
                INSERT INTO nation VALUES (1000 + n, 'UTOPIA', 1000 + n, NULL) ON CONFLICT DO NOTHING;
                INSERT INTO supplier VALUES (100000 + n, 'Supplier new', 'x', 1000 + n, '1', 0, NULL) ON CONFLICT DO NOTHING;
                INSERT INTO customer VALUES (100000 + n, 'Customer new', 'x', 1000 + n, '1', 0, 'BUILDING', NULL) ON CONFLICT DO NOTHING;
                INSERT INTO part VALUES (100000 + n, 'new', 'm', 'Brand#99', 't', 1 + n % 50, 'c', 1, NULL) ON CONFLICT DO NOTHING;
                INSERT INTO partsupp VALUES (100000 + n, 100000 + n, 10, 20, NULL) ON CONFLICT DO NOTHING;
                INSERT INTO orders VALUES (100000000 + n, 100000 + n, 'O', 77, date '1998-01-01', '1-URGENT', 'Clerk', 0, NULL) ON CONFLICT DO NOTHING;
            ELSE
                DELETE FROM orders WHERE o_orderkey > 100000000 AND o_orderkey % 2 = n % 2;
                DELETE FROM partsupp WHERE ps_partkey > 100000 AND ps_partkey % 2 = n % 2
                    AND NOT EXISTS (SELECT FROM lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey);
                DELETE FROM part p WHERE p_partkey > 100000 AND NOT EXISTS (SELECT FROM partsupp WHERE ps_partkey = p_partkey);
                DELETE FROM customer WHERE c_custkey > 100000 AND NOT EXISTS (SELECT FROM orders WHERE o_custkey = c_custkey);
                DELETE FROM supplier WHERE s_suppkey > 100000 AND NOT EXISTS (SELECT FROM partsupp WHERE ps_suppkey = s_suppkey);
                DELETE FROM nation WHERE n_nationkey >= 1000
                    AND NOT EXISTS (SELECT FROM supplier WHERE s_nationkey = n_nationkey)
                    AND NOT EXISTS (SELECT FROM customer WHERE c_nationkey = n_nationkey);
                DELETE FROM region WHERE r_regionkey >= 1000 AND NOT EXISTS (SELECT FROM nation WHERE n_regionkey = r_regionkey);
            END IF;
        EXCEPTION WHEN unique_violation OR foreign_key_violation OR deadlock_detected THEN
            NULL;
        END;
        PERFORM nextval('demo.transactions');
        COMMIT;
        PERFORM pg_sleep(0.004);
    END LOOP;
END $$;

-- What the screen shows of each stream table. Pending: captured changes of its
-- sources that some stream table has yet to take in.
CREATE FUNCTION demo.screen()
RETURNS TABLE (n int, name text, shows text, rows bigint, pending bigint, stale float8, full_ms float8)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    FOR n, name, shows, full_ms, pending IN
        WITH sizes AS MATERIALIZED (
            SELECT source_table::regclass AS source, pending_rows FROM pgtrickle.change_buffer_sizes())
        SELECT t.n, t.name, t.shows, t.full_ms, coalesce(p.pending, 0)
          FROM demo.tables t LEFT JOIN LATERAL (
               SELECT sum(pending_rows)::bigint AS pending
                 FROM pgtrickle.pgt_stream_tables s JOIN pgtrickle.pgt_dependencies d USING (pgt_id) JOIN sizes z USING (source)
                WHERE s.relid = t.name::regclass) p ON true
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', name) INTO rows;
        stale := pgtrickle.get_staleness(name);
        RETURN NEXT;
    END LOOP;
END $$;
