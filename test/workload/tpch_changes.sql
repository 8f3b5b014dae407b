--
-- Changes of TPC-H's tables. tpch.change() is the benchmark's and is spread
-- evenly; tpch.provoke() aims at what the 22 queries look at.
--
\set ON_ERROR_STOP 1
CREATE SCHEMA tpch;

-- about n different numbers from 1 to max
CREATE FUNCTION tpch.sample(n float8, max bigint) RETURNS bigint[] LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(array_agg(DISTINCT 1 + floor(random() * max)::bigint), '{}') FROM generate_series(1, round(n)::int)
$$;

-- New orders with one to seven lines each, from key first on.
CREATE PROCEDURE tpch.insert_orders(first bigint, n int) LANGUAGE plpgsql AS $$
DECLARE
    customers int := (SELECT max(c_custkey) FROM customer WHERE c_custkey < 10000000);
    parts int := (SELECT max(p_partkey) FROM part WHERE p_partkey < 10000000);
BEGIN
    INSERT INTO orders
    SELECT o, (SELECT c_custkey FROM customer WHERE c_custkey >= pick(o, 101, customers) ORDER BY c_custkey LIMIT 1), 'O',
           1000 + pick(o, 102, 400000), date '1992-01-01' + pick(o, 103, 2406),
           (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + pick(o, 104, 5)],
           'Clerk#' || lpad((1 + pick(o, 105, 1000))::text, 9, '0'), 0, blurb(o, 106, 78)
      FROM generate_series(first, first + n - 1) o;
    INSERT INTO lineitem
    SELECT o, ps_partkey, ps_suppkey, j, 1 + pick(h, 108, 50), (1 + pick(h, 108, 50)) * (900 + ps_partkey % 1000),
           pick(h, 109, 11) / 100.0, pick(h, 110, 9) / 100.0, CASE pick(h, 111, 4) WHEN 0 THEN 'R' WHEN 1 THEN 'A' ELSE 'N' END,
           CASE pick(h, 112, 2) WHEN 0 THEN 'O' ELSE 'F' END, o_orderdate + 1 + pick(h, 113, 121), o_orderdate + 30 + pick(h, 114, 61),
           o_orderdate + 2 + pick(h, 113, 121) + pick(h, 115, 30),
           (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + pick(h, 116, 4)],
           (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + pick(h, 117, 7)], blurb(h, 118, 43)
      FROM (SELECT o_orderkey AS o, o_orderdate, j, o_orderkey * 8 + j AS h
              FROM orders, generate_series(1, 1 + pick(o_orderkey, 107, 7)) j
             WHERE o_orderkey BETWEEN first AND first + n - 1 OFFSET 0) l,
           LATERAL (SELECT ps_partkey, ps_suppkey FROM partsupp
                     WHERE ps_partkey >= pick(h, 119, parts) ORDER BY ps_partkey, ps_suppkey OFFSET pick(h, 120, 4) LIMIT 1) ps;
END $$;

-- Changes the given share of the rows of every table: of orders with their lines
-- a third is deleted (RF2), a third updated, and as many inserted (RF1); of the
-- other tables eight tenths are updated, one tenth comes, and of what came earlier
-- and is not referred to as much goes. A fifth of the updates of a customer or
-- supplier move it to another nation, a fifth of those of a part change its brand,
-- type and container. Shares of nation and region are rounded: a small one leaves
-- them alone.
CREATE PROCEDURE tpch.change(share float8, seed int) LANGUAGE plpgsql AS $$
DECLARE
    orders_n int := (SELECT max(o_orderkey) FROM orders WHERE o_orderkey < 1000000000);
    customers int := (SELECT max(c_custkey) FROM customer WHERE c_custkey < 10000000);
    suppliers int := (SELECT max(s_suppkey) FROM supplier WHERE s_suppkey < 10000000);
    parts int := (SELECT max(p_partkey) FROM part WHERE p_partkey < 10000000);
    offers int := 4 * parts;
    key bigint := 1000000000 + seed * 1000000;
    n int;
BEGIN
    PERFORM setseed((seed % 1000) / 1000.0);
    n := greatest(round(orders_n * share / 3), 1);

    -- RF2, RF1
    CREATE TEMP TABLE IF NOT EXISTS picked (k bigint PRIMARY KEY);
    TRUNCATE picked;
    INSERT INTO picked SELECT unnest(tpch.sample(n, orders_n));
    DELETE FROM lineitem USING picked WHERE l_orderkey = k;
    DELETE FROM orders USING picked WHERE o_orderkey = k;
    CALL tpch.insert_orders(key, n);

    -- updates
    TRUNCATE picked;
    INSERT INTO picked SELECT unnest(tpch.sample(n, orders_n));
    UPDATE lineitem SET l_quantity = 1 + (l_quantity + 7) % 50, l_extendedprice = l_extendedprice * 0.99 + 10,
                        l_discount = (l_discount + 0.03) % 0.11, l_receiptdate = l_receiptdate + 3,
                        l_returnflag = CASE l_returnflag WHEN 'N' THEN 'R' ELSE 'N' END
      FROM picked WHERE l_orderkey = k;
    UPDATE orders SET o_totalprice = o_totalprice + 100, o_orderstatus = CASE o_orderstatus WHEN 'O' THEN 'F' ELSE 'O' END,
                      o_orderpriority = (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + pick(k, seed, 5)]
      FROM picked WHERE o_orderkey = k;
    UPDATE customer SET c_acctbal = c_acctbal + 12.50,
                        c_mktsegment = (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + pick(c_custkey, seed, 5)],
                        c_nationkey = CASE WHEN c_custkey % 5 = seed % 5 THEN (c_nationkey + 1) % 25 ELSE c_nationkey END
     WHERE c_custkey = ANY (tpch.sample(customers * share * 0.8, customers));
    UPDATE supplier SET s_acctbal = s_acctbal + 12.50, s_address = 'road ' || seed,
                        s_nationkey = CASE WHEN s_suppkey % 5 = seed % 5 THEN (s_nationkey + 1) % 25 ELSE s_nationkey END
     WHERE s_suppkey = ANY (tpch.sample(suppliers * share * 0.8, suppliers));
    UPDATE part p SET p_retailprice = p.p_retailprice + 1, p_size = 1 + p.p_size % 50,
                    p_brand = CASE WHEN p.p_partkey % 5 = seed % 5 THEN o.p_brand ELSE p.p_brand END,
                    p_type = CASE WHEN p.p_partkey % 5 = seed % 5 THEN o.p_type ELSE p.p_type END,
                    p_container = CASE WHEN p.p_partkey % 5 = seed % 5 THEN o.p_container ELSE p.p_container END
      FROM part o
     WHERE p.p_partkey = ANY (tpch.sample(parts * share * 0.8, parts)) AND o.p_partkey = 1 + pick(p.p_partkey, seed, parts);
    TRUNCATE picked;
    INSERT INTO picked SELECT unnest(tpch.sample(offers * share * 0.8, offers));
    UPDATE partsupp SET ps_availqty = 1 + (ps_availqty + 77) % 9999, ps_supplycost = ps_supplycost * 0.98 + 3
      FROM picked
     WHERE ps_partkey = 1 + k / 4
       AND ps_suppkey = (SELECT p.ps_suppkey FROM partsupp p WHERE p.ps_partkey = 1 + k / 4 ORDER BY 1 OFFSET k % 4 LIMIT 1);
    UPDATE nation SET n_regionkey = (n_regionkey + 1) % 5 WHERE n_nationkey + 1 = ANY (tpch.sample(25 * share, 25));
    UPDATE region SET r_comment = 'batch ' || seed WHERE r_regionkey + 1 = ANY (tpch.sample(5 * share, 5));

    -- some of what earlier calls inserted goes, new rows come
    DELETE FROM partsupp WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_partkey > 10000000 ORDER BY 1 LIMIT round(parts * share * 0.1))
       AND NOT EXISTS (SELECT FROM lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey);
    DELETE FROM part p WHERE p_partkey > 10000000 AND NOT EXISTS (SELECT FROM partsupp WHERE ps_partkey = p_partkey);
    DELETE FROM supplier WHERE s_suppkey IN (SELECT s_suppkey FROM supplier WHERE s_suppkey > 10000000 ORDER BY 1 LIMIT round(suppliers * share * 0.1))
       AND NOT EXISTS (SELECT FROM partsupp WHERE ps_suppkey = s_suppkey);
    DELETE FROM customer WHERE c_custkey IN (SELECT c_custkey FROM customer WHERE c_custkey > 10000000 ORDER BY 1 LIMIT round(customers * share * 0.1))
       AND NOT EXISTS (SELECT FROM orders WHERE o_custkey = c_custkey);
    INSERT INTO customer
    SELECT c, 'Customer#' || c, 'new road', nation, format('%s-555-%s', 10 + nation, 1000 + i), 100 * i % 9999,
           (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + pick(c, 129, 5)], blurb(c, 130, 100)
      FROM (SELECT i, 10000000 + seed * 10000 + i AS c, (i + seed) % 25 AS nation FROM generate_series(1, round(customers * share * 0.1)::int) i) g;
    INSERT INTO supplier
    SELECT 10000000 + seed * 10000 + i, 'Supplier#' || 10000000 + seed * 10000 + i, 'new road', (i + seed) % 25, '11-1', 0, blurb(i, 131, 75)
      FROM generate_series(1, round(suppliers * share * 0.1)::int) i;
    INSERT INTO part
    SELECT 10000000 + seed * 10000 + i, p_name, p_mfgr, p_brand, p_type, p_size, p_container, p_retailprice, 'new'
      FROM generate_series(1, round(parts * share * 0.1)::int) i JOIN part ON p_partkey = 1 + pick(i, seed, parts);
    INSERT INTO partsupp
    SELECT 10000000 + seed * 10000 + i, 1 + (i * 13 + seed + j * (suppliers / 4)) % suppliers, 5000 + i, 10 + i % 900, 'new'
      FROM generate_series(1, round(parts * share * 0.1)::int) i, generate_series(0, 3) j;
    COMMIT;
END $$;

-- Moves rows into and out of what each of the 22 queries looks at.
CREATE PROCEDURE tpch.provoke(seed int) LANGUAGE plpgsql AS $$
DECLARE
    a int := seed % 3;
BEGIN
    -- dates, flags and amounts of lines: queries 1, 4, 6, 10, 12, 14, 15, 20, 21
    UPDATE lineitem SET l_shipdate = (ARRAY['1994-03-05', '1995-09-10', '1996-02-01'])[1 + a]::date, l_discount = 0.06, l_quantity = 10 + seed
     WHERE l_orderkey % 97 = seed;
    UPDATE lineitem SET l_commitdate = l_receiptdate + CASE a WHEN 0 THEN 1 ELSE -1 END WHERE l_orderkey % 89 = seed;
    UPDATE lineitem SET l_returnflag = 'R', l_shipmode = 'MAIL', l_commitdate = l_shipdate + 1, l_receiptdate = l_shipdate + 2
     WHERE l_orderkey % 83 = seed;
    UPDATE lineitem SET l_extendedprice = l_extendedprice * CASE a WHEN 0 THEN 3 ELSE 0.4 END WHERE l_suppkey % 41 = seed;
    UPDATE lineitem SET l_suppkey = (SELECT ps_suppkey FROM partsupp WHERE ps_partkey = l_partkey ORDER BY 1 LIMIT 1) WHERE l_orderkey % 79 = seed;
    -- large orders and back: 18
    UPDATE lineitem SET l_quantity = CASE a WHEN 2 THEN 20 ELSE 49 END
     WHERE l_orderkey IN (SELECT l_orderkey FROM lineitem WHERE l_linenumber = 7 AND l_orderkey % 71 = seed - seed % 2);
    -- orders and their customers: 3, 4, 8, 13, 21, 22
    UPDATE orders SET o_orderdate = (ARRAY['1995-03-10', '1993-08-01', '1993-11-11', '1994-05-05'])[1 + seed % 4]::date,
                      o_orderstatus = CASE a WHEN 0 THEN 'F' ELSE 'O' END, o_orderpriority = '2-HIGH'
     WHERE o_orderkey % 67 = seed;
    UPDATE orders SET o_comment = CASE WHEN o_comment LIKE '%special%requests%' THEN 'plain' ELSE 'such special needs, requests' END
     WHERE o_orderkey % 61 = seed;
    UPDATE orders SET o_custkey = CASE a WHEN 0 THEN o_custkey - o_custkey % 3 + 3 ELSE 1 + o_custkey / 2 END WHERE o_orderkey % 59 = seed;
    UPDATE customer SET c_acctbal = c_acctbal + CASE a WHEN 0 THEN 3000 ELSE -1500 END, c_phone = (13 + seed) || '-1', c_mktsegment = 'BUILDING'
     WHERE c_custkey % 37 = seed;
    UPDATE customer SET c_nationkey = (c_nationkey + 1) % 25, c_name = c_name || '*' WHERE c_custkey % 31 = seed;
    -- parts and offers: 2, 8, 9, 11, 14, 16, 17, 19, 20
    UPDATE part SET p_size = 15, p_type = 'SMALL PLATED BRASS' WHERE p_partkey % 43 = seed;
    UPDATE part SET p_type = 'ECONOMY ANODIZED STEEL', p_name = 'forest green lime' WHERE p_partkey % 47 = seed;
    UPDATE part SET p_type = 'PROMO PLATED TIN', p_name = 'lime', p_size = 14, p_brand = 'Brand#45' WHERE p_partkey % 47 = seed - 2;
    UPDATE part SET p_brand = 'Brand#23', p_container = CASE a WHEN 0 THEN 'SM CASE' ELSE 'MED BOX' END WHERE p_partkey % 29 = seed;
    UPDATE part SET p_brand = 'Brand#12', p_container = 'SM PKG', p_size = 1 + seed WHERE p_partkey % 23 = seed;
    UPDATE lineitem SET l_shipinstruct = 'DELIVER IN PERSON', l_shipmode = 'AIR', l_quantity = 8 WHERE l_partkey % 23 = seed AND l_linenumber = 1;
    UPDATE partsupp SET ps_supplycost = ps_supplycost * CASE a WHEN 0 THEN 0.5 ELSE 2 END, ps_availqty = CASE a WHEN 1 THEN 3 ELSE 9000 END
     WHERE ps_partkey % 43 = seed OR ps_partkey % 47 = seed;
    UPDATE partsupp SET ps_supplycost = 500 WHERE ps_partkey % 43 = seed - 1;
    -- suppliers: 2, 5, 7, 9, 11, 16, 20, 21
    UPDATE supplier SET s_comment = CASE WHEN s_comment LIKE '%Customer%Complaints%' THEN 'fine' ELSE 'Customer: Complaints' END
     WHERE s_suppkey % 19 = seed;
    UPDATE supplier SET s_nationkey = (ARRAY[3, 6, 7, 20])[1 + seed % 4] WHERE s_suppkey % 17 = seed;
    UPDATE supplier SET s_acctbal = s_acctbal - 100, s_name = s_suppkey || '. supplier' WHERE s_suppkey % 13 = seed;
    -- two nations change names, or a region its nations
    IF a = 1 THEN
        UPDATE nation SET n_name = CASE n_name WHEN 'GERMANY' THEN 'CANADA' ELSE 'GERMANY' END WHERE n_name IN ('GERMANY', 'CANADA');
        UPDATE nation SET n_name = CASE n_name WHEN 'BRAZIL' THEN 'SAUDI ARABIA' ELSE 'BRAZIL' END WHERE n_name IN ('BRAZIL', 'SAUDI ARABIA');
    ELSIF a = 2 THEN
        UPDATE nation SET n_regionkey = (n_regionkey + 1) % 5 WHERE n_nationkey % 4 = 0;
        UPDATE region SET r_name = CASE r_name WHEN 'ASIA' THEN 'EUROPE' ELSE 'ASIA' END WHERE r_name IN ('ASIA', 'EUROPE');
    END IF;
    COMMIT;
END $$;
