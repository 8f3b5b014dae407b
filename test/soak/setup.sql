-- What the soak runs on: sources of several kinds, stream tables of every shape
-- over them, and procedures that change both at random.
\set ON_ERROR_STOP on
CREATE EXTENSION IF NOT EXISTS pg_trickle;
CREATE SCHEMA soak;

CREATE TABLE customer (id int PRIMARY KEY, region int NOT NULL, name text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer int, amount numeric(12,2), state text, at timestamptz DEFAULT now());
CREATE TABLE item (order_id bigint, product int, qty int, price float8);      -- no key
CREATE TABLE part (id int, bucket int, v int, PRIMARY KEY (id, bucket)) PARTITION BY LIST (bucket);
CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE edge (a int, b int, PRIMARY KEY (a, b));
CREATE SEQUENCE soak.ids;

INSERT INTO customer SELECT i, i % 7, 'customer ' || i FROM generate_series(1, 300) i;
INSERT INTO orders SELECT nextval('soak.ids'), 1 + i % 310, (i % 1000) / 4.0, 'new' FROM generate_series(1, 3000) i;
INSERT INTO item SELECT 1 + i % 3000, i % 40, i % 9, i / 8.0 FROM generate_series(1, 6000) i;
INSERT INTO part SELECT i, i % 2, i FROM generate_series(1, 500) i;
INSERT INTO edge SELECT i, i + 1 FROM generate_series(1, 12) i;

CREATE TABLE soak.st (name text PRIMARY KEY, query text);

-- a stream table, remembered with its query where the hidden view does not tell it all
CREATE FUNCTION soak.make(name text, query text, schedule text DEFAULT 'calculated',
    mode text DEFAULT 'AUTO') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgtrickle.create_stream_table(name, query, schedule, mode);
    INSERT INTO soak.st VALUES (name, NULL);
END $$;

SELECT soak.make('s_filter', 'SELECT id, customer, amount FROM orders WHERE amount > 100', '0s');
SELECT soak.make('s_region', 'SELECT c.region, count(*) AS n, sum(o.amount) AS total, avg(o.amount) AS mean, min(o.amount) AS lowest, max(o.amount) AS highest
    FROM orders o JOIN customer c ON c.id = o.customer GROUP BY c.region', '1s');
SELECT soak.make('s_state', 'SELECT state, count(*) AS n, count(DISTINCT customer) AS customers FROM orders GROUP BY state', '1s');
SELECT soak.make('s_left', 'SELECT c.id, c.name, o.id AS order_id, o.amount FROM customer c LEFT JOIN orders o ON o.customer = c.id', '2s');
SELECT soak.make('s_items', 'SELECT product, qty FROM item WHERE qty > 2', '1s');
SELECT soak.make('s_join3', 'SELECT o.id, c.region, i.product, i.qty FROM orders o JOIN customer c ON c.id = o.customer JOIN item i ON i.order_id = o.id WHERE i.qty > 5', '2s');
SELECT soak.make('s_exists', 'SELECT id, region FROM customer c WHERE EXISTS (SELECT FROM orders o WHERE o.customer = c.id AND o.amount > 200)', '1s');
SELECT soak.make('s_anti', 'SELECT id FROM customer c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id)', '1s');
SELECT soak.make('s_distinct', 'SELECT DISTINCT product FROM item', '1s');
SELECT soak.make('s_union', 'SELECT id::bigint AS id, 1 AS src FROM customer UNION ALL SELECT id, 2 FROM orders', '2s');
SELECT soak.make('s_part', 'SELECT bucket, count(*) AS n, sum(v) AS v FROM part GROUP BY bucket', '1s');
SELECT soak.make('s_full', 'SELECT region, count(*) AS n FROM customer GROUP BY region', '3s', 'FULL');
SELECT soak.make('s_cron', 'SELECT id, region FROM customer WHERE region < 4', '*/2 * * * * *');
SELECT soak.make('s_window', 'SELECT id, customer, rank() OVER (PARTITION BY customer ORDER BY amount, id) AS r FROM orders', '3s');
SELECT soak.make('s_top', 'SELECT id, amount FROM orders ORDER BY amount DESC NULLS LAST, id LIMIT 10', '1s');
-- a chain, and two diamonds
SELECT soak.make('s_chain1', 'SELECT id, customer, amount * 2 AS amount FROM orders');
SELECT soak.make('s_chain2', 'SELECT id, customer, amount FROM s_chain1 WHERE amount > 50');
SELECT soak.make('s_chain3', 'SELECT customer, count(*) AS n, sum(amount) AS total FROM s_chain2 GROUP BY customer');
SELECT soak.make('s_chain4', 'SELECT n, count(*) AS customers FROM s_chain3 GROUP BY n', '1s');
SELECT soak.make('s_d_left', 'SELECT customer, count(*) AS n FROM orders GROUP BY customer');
SELECT soak.make('s_d_right', 'SELECT customer, sum(amount) AS total FROM orders GROUP BY customer');
SELECT soak.make('s_d_end', 'SELECT l.customer, l.n, r.total FROM s_d_left l JOIN s_d_right r ON r.customer = l.customer', '1s');
SELECT soak.make('s_d_more', 'SELECT e.customer, e.total, f.amount FROM s_d_end e JOIN s_filter f ON f.customer = e.customer', '2s');
-- a cycle
SET pg_trickle.allow_circular = on;
SELECT soak.make('s_reach', 'SELECT a, b FROM edge', '1s');
SELECT soak.make('s_step', 'SELECT r.a, e.b FROM s_reach r JOIN edge e ON e.a = r.b', '1s');
SELECT pgtrickle.alter_stream_table('s_reach', 'SELECT a, b FROM edge UNION SELECT a, b FROM s_step');
UPDATE soak.st SET query = 'WITH RECURSIVE r AS (SELECT a, b FROM edge UNION SELECT r.a, e.b FROM r JOIN edge e ON e.a = r.b) SELECT a, b FROM r'
WHERE name = 's_reach';
RESET pg_trickle.allow_circular;

-- ---- writers ----

CREATE FUNCTION soak.r(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT (random() * n - 0.5)::int';

CREATE PROCEDURE soak.write_once() LANGUAGE plpgsql AS $$
DECLARE
    k int := soak.r(24);
    n int := 1 + soak.r(20);
BEGIN
    CASE
    WHEN k < 5 THEN
        INSERT INTO orders (id, customer, amount, state)
        SELECT nextval('soak.ids'), 1 + soak.r(310), soak.r(100000) / 100.0, (ARRAY['new', 'paid', 'sent', NULL])[1 + soak.r(4)]
        FROM generate_series(1, n);
    WHEN k < 9 THEN
        UPDATE orders SET amount = amount + soak.r(50) - 25, state = (ARRAY['new', 'paid', 'sent', NULL])[1 + soak.r(4)]
        WHERE id IN (SELECT id FROM orders TABLESAMPLE SYSTEM (20) LIMIT n);
    WHEN k < 12 THEN
        DELETE FROM orders WHERE id IN (SELECT id FROM orders TABLESAMPLE SYSTEM (10) LIMIT n * 2);
    WHEN k < 14 THEN
        INSERT INTO item SELECT 1 + soak.r(4000), soak.r(40), nullif(soak.r(9), 0), soak.r(100) / 8.0 FROM generate_series(1, n);
    WHEN k < 16 THEN
        DELETE FROM item WHERE ctid IN (SELECT ctid FROM item LIMIT n);
    WHEN k < 17 THEN
        UPDATE item SET qty = qty + 1, product = soak.r(40) WHERE product = soak.r(40) AND qty < 20;
    WHEN k < 18 THEN
        UPDATE customer SET region = soak.r(7) WHERE id = 1 + soak.r(310);
    WHEN k < 19 THEN
        INSERT INTO customer VALUES (1 + soak.r(310), soak.r(7), 'customer') ON CONFLICT (id) DO UPDATE SET name = 'again', region = 3;
        DELETE FROM customer WHERE id = 1 + soak.r(310);
    WHEN k < 21 THEN
        INSERT INTO part VALUES (1 + soak.r(600), soak.r(2), soak.r(100)) ON CONFLICT (id, bucket) DO UPDATE SET v = excluded.v;
        UPDATE part SET bucket = 1 - bucket WHERE id = 1 + soak.r(600)
            AND NOT EXISTS (SELECT FROM part p WHERE p.id = part.id AND p.bucket = 1 - part.bucket);
        DELETE FROM part WHERE id = 1 + soak.r(600);
    ELSE
        INSERT INTO edge VALUES (1 + soak.r(15), 1 + soak.r(15)) ON CONFLICT DO NOTHING;
        DELETE FROM edge WHERE (a, b) IN (SELECT a, b FROM edge ORDER BY random() LIMIT CASE WHEN (SELECT count(*) FROM edge) > 20 THEN 4 ELSE 1 END);
    END CASE;
    -- tables stay small
    IF (SELECT count(*) FROM orders) > 6000 THEN
        DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY id LIMIT 2000);
    END IF;
    IF random() < 0.002 THEN
        DELETE FROM item WHERE ctid IN (SELECT ctid FROM item LIMIT greatest((SELECT count(*) FROM item) - 5000, 0));
    END IF;
    IF random() < 0.0005 THEN
        TRUNCATE item;
    END IF;
    IF random() < 0.05 THEN
        RAISE EXCEPTION 'this one is rolled back';
    END IF;
END $$;

CREATE PROCEDURE soak.write_many(n int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. n LOOP
        BEGIN
            CALL soak.write_once();
        EXCEPTION WHEN raise_exception OR deadlock_detected OR lock_not_available OR unique_violation
            OR undefined_column OR undefined_table OR serialization_failure THEN
            NULL;
        END;
        IF random() < 0.6 THEN
            COMMIT;
        END IF;
        PERFORM pg_sleep(random() * 0.02);
    END LOOP;
END $$;

-- ---- DDL: one statement each time, as text, that a client runs ----

CREATE FUNCTION soak.ddl() RETURNS text LANGUAGE plpgsql AS $fn$
DECLARE
    any_st text := (SELECT name FROM soak.st ORDER BY random() LIMIT 1);
BEGIN
    RETURN CASE soak.r(30)
    WHEN 0 THEN 'ALTER TABLE orders ADD COLUMN IF NOT EXISTS extra int DEFAULT 5'
    WHEN 1 THEN 'ALTER TABLE orders DROP COLUMN IF EXISTS extra'
    WHEN 2 THEN 'ALTER TABLE item RENAME COLUMN price TO cost'
    WHEN 3 THEN 'ALTER TABLE item RENAME COLUMN cost TO price'
    WHEN 4 THEN 'CREATE INDEX IF NOT EXISTS orders_customer ON orders (customer)'
    WHEN 5 THEN 'DROP INDEX IF EXISTS orders_customer'
    WHEN 6 THEN 'CREATE INDEX IF NOT EXISTS s_filter_amount ON s_filter (amount)'
    WHEN 7 THEN 'DROP INDEX IF EXISTS s_filter_amount'
    WHEN 8 THEN 'ALTER TABLE customer ALTER COLUMN name TYPE varchar(60)'
    WHEN 9 THEN 'ALTER TABLE customer ALTER COLUMN name TYPE text'
    WHEN 10 THEN 'VACUUM FULL orders'
    WHEN 11 THEN 'VACUUM (ANALYZE) orders, item, customer'
    WHEN 12 THEN 'ALTER TABLE part DETACH PARTITION part_1'
    WHEN 13 THEN $q$DO $d$ BEGIN IF NOT (SELECT relispartition FROM pg_class WHERE oid = 'part_1'::regclass)
        THEN DELETE FROM part_1 WHERE bucket <> 1; ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1); END IF; END $d$ $q$
    WHEN 14 THEN format('SELECT pgtrickle.suspend_stream_table(%L)', any_st)
    -- one of those that do not run, so that most of them do
    WHEN 15 THEN format('SELECT pgtrickle.resume_stream_table(%L)', coalesce(
        (SELECT i.name FROM pgtrickle.stream_tables_info i WHERE status <> 'ACTIVE' ORDER BY random() LIMIT 1), any_st))
    WHEN 16 THEN format('SELECT pgtrickle.refresh_stream_table(%L)', any_st)
    WHEN 17 THEN format('SELECT pgtrickle.repair_stream_table(%L)', any_st)
    WHEN 18 THEN $q$SELECT pgtrickle.alter_stream_table('s_items', 'SELECT product, qty FROM item WHERE qty > 2')$q$
    WHEN 19 THEN $q$SELECT pgtrickle.alter_stream_table('s_items', 'SELECT product, sum(qty) AS qty FROM item GROUP BY product')$q$
    WHEN 20 THEN $q$SELECT pgtrickle.create_or_replace_stream_table('s_temp', 'SELECT customer, max(amount) AS m FROM orders GROUP BY customer', '1s')$q$
    WHEN 21 THEN 'DROP TABLE IF EXISTS s_temp'
    WHEN 22 THEN $q$SELECT pgtrickle.alter_stream_table('s_state', refresh_mode => 'FULL')$q$
    WHEN 23 THEN $q$SELECT pgtrickle.alter_stream_table('s_state', refresh_mode => 'AUTO')$q$
    WHEN 24 THEN $q$SELECT pgtrickle.alter_stream_table('s_d_end', diamond_consistency => 'none')$q$
    WHEN 25 THEN $q$SELECT pgtrickle.alter_stream_table('s_d_end', diamond_consistency => 'atomic', diamond_schedule_policy => 'slowest')$q$
    WHEN 26 THEN $q$SELECT pgtrickle.alter_stream_table('s_chain4', schedule => '0s')$q$
    WHEN 27 THEN $q$SELECT pgtrickle.alter_stream_table('s_chain4', schedule => '1s')$q$
    WHEN 28 THEN 'CLUSTER customer USING customer_pkey'
    ELSE 'SELECT pgtrickle.rebuild_cdc_triggers()'
    END;
END $fn$;

-- ---- verification ----

-- rows by which the stream table and its query differ
CREATE FUNCTION soak.difference(st text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    query := coalesce(query, (SELECT format('SELECT * FROM %s', definition::regclass) FROM pgtrickle.pgt_stream_tables WHERE relid = st::regclass));
    EXECUTE format('SELECT count(*) FROM ((TABLE %1$s EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$s)) d', st, query) INTO n;
    RETURN n;
END $$;

CREATE VIEW soak.differences AS
    SELECT name, soak.difference(name, query) AS rows FROM soak.st;
