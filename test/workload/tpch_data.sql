--
-- TPC-H's tables at scale :scale, from generate_series: the same rows in every
-- run, with TPC-H's keys, ranges, word lists and proportions, but not its text
-- grammar and not its gaps between order keys. All 22 queries find rows from
-- scale 0.1 on. The demo, the benchmark and a test load this.
--
\set ON_ERROR_STOP 1
SET synchronous_commit = off;
SET client_min_messages = warning;

-- a number in 0 .. n-1 that looks random and depends on key and column only
CREATE FUNCTION pick(key bigint, col int, n int) RETURNS int
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(key, col) % n) + n) % n;

-- word number n (from 0) of a list
CREATE FUNCTION word(list text[], n int) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN list[1 + n];

-- text that looks like TPC-H's comments, of 1 to len characters or few more
CREATE FUNCTION blurb(key bigint, col int, len int) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN substr('carefully final deposits haggle furiously above the ironic theodolites; slyly regular packages wake among the pending '
                  'accounts, quickly bold foxes nag along the silent instructions; unusual dependencies sleep blithely after the even '
                  'pinto beans, express asymptotes detect fluffily against the close platelets', 1 + pick(key, col, 230), 1 + pick(key, col + 1, len));

CREATE TABLE region (
    r_regionkey int PRIMARY KEY,
    r_name      char(25) NOT NULL,
    r_comment   varchar(152)
);
CREATE TABLE nation (
    n_nationkey int PRIMARY KEY,
    n_name      char(25) NOT NULL,
    n_regionkey int NOT NULL,
    n_comment   varchar(152)
);
CREATE TABLE supplier (
    s_suppkey   int PRIMARY KEY,
    s_name      char(25) NOT NULL,
    s_address   varchar(40) NOT NULL,
    s_nationkey int NOT NULL,
    s_phone     char(15) NOT NULL,
    s_acctbal   numeric(15,2) NOT NULL,
    s_comment   varchar(101)
);
CREATE TABLE customer (
    c_custkey    int PRIMARY KEY,
    c_name       varchar(25) NOT NULL,
    c_address    varchar(40) NOT NULL,
    c_nationkey  int NOT NULL,
    c_phone      char(15) NOT NULL,
    c_acctbal    numeric(15,2) NOT NULL,
    c_mktsegment char(10) NOT NULL,
    c_comment    varchar(117)
);
CREATE TABLE part (
    p_partkey     int PRIMARY KEY,
    p_name        varchar(55) NOT NULL,
    p_mfgr        char(25) NOT NULL,
    p_brand       char(10) NOT NULL,
    p_type        varchar(25) NOT NULL,
    p_size        int NOT NULL,
    p_container   char(10) NOT NULL,
    p_retailprice numeric(15,2) NOT NULL,
    p_comment     varchar(23)
);
CREATE TABLE partsupp (
    ps_partkey    int NOT NULL,
    ps_suppkey    int NOT NULL,
    ps_availqty   int NOT NULL,
    ps_supplycost numeric(15,2) NOT NULL,
    ps_comment    varchar(199)
);
CREATE TABLE orders (
    o_orderkey      bigint PRIMARY KEY,
    o_custkey       int NOT NULL,
    o_orderstatus   char(1) NOT NULL,
    o_totalprice    numeric(15,2) NOT NULL,
    o_orderdate     date NOT NULL,
    o_orderpriority char(15) NOT NULL,
    o_clerk         char(15) NOT NULL,
    o_shippriority  int NOT NULL,
    o_comment       varchar(79)
);
CREATE TABLE lineitem (
    l_orderkey      bigint NOT NULL,
    l_partkey       int NOT NULL,
    l_suppkey       int NOT NULL,
    l_linenumber    int NOT NULL,
    l_quantity      numeric(15,2) NOT NULL,
    l_extendedprice numeric(15,2) NOT NULL,
    l_discount      numeric(15,2) NOT NULL,
    l_tax           numeric(15,2) NOT NULL,
    l_returnflag    char(1) NOT NULL,
    l_linestatus    char(1) NOT NULL,
    l_shipdate      date NOT NULL,
    l_commitdate    date NOT NULL,
    l_receiptdate   date NOT NULL,
    l_shipinstruct  char(25) NOT NULL,
    l_shipmode      char(10) NOT NULL,
    l_comment       varchar(44)
);

SELECT (10000 * :scale)::int AS suppliers, (150000 * :scale)::int AS customers,
       (200000 * :scale)::int AS parts, (1500000 * :scale)::int AS orders \gset

INSERT INTO region
SELECT ordinality - 1, name, blurb(ordinality, 1, 100)
  FROM unnest(ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST']) WITH ORDINALITY AS r(name, ordinality);

INSERT INTO nation
SELECT ordinality - 1, name, region, blurb(ordinality, 3, 100)
  FROM unnest(ARRAY['ALGERIA', 'ARGENTINA', 'BRAZIL', 'CANADA', 'EGYPT', 'ETHIOPIA', 'FRANCE', 'GERMANY',
                    'INDIA', 'INDONESIA', 'IRAN', 'IRAQ', 'JAPAN', 'JORDAN', 'KENYA', 'MOROCCO', 'MOZAMBIQUE',
                    'PERU', 'CHINA', 'ROMANIA', 'SAUDI ARABIA', 'VIETNAM', 'RUSSIA', 'UNITED KINGDOM',
                    'UNITED STATES'],
              ARRAY[0, 1, 1, 1, 4, 0, 3, 3, 2, 2, 4, 4, 2, 4, 0, 0, 0, 1, 2, 3, 4, 2, 3, 3, 1])
       WITH ORDINALITY AS n(name, region, ordinality);

INSERT INTO supplier
SELECT i, 'Supplier#' || lpad(i::text, 9, '0'), 'street ' || pick(i, 1, 9999), pick(i, 2, 25),
       format('%s-%s-%s-%s', 10 + pick(i, 2, 25), 100 + pick(i, 3, 900), 100 + pick(i, 8, 900), 1000 + pick(i, 4, 9000)),
       (pick(i, 5, 1100000) - 99999) / 100.0,
       CASE WHEN i % 1999 = 17 THEN 'Customer ' || blurb(i, 6, 20) || ' Complaints'
            WHEN i % 1999 = 18 THEN 'Customer ' || blurb(i, 6, 20) || ' Recommends' ELSE blurb(i, 6, 75) END
  FROM generate_series(1, :suppliers) i;

INSERT INTO customer
SELECT i, 'Customer#' || lpad(i::text, 9, '0'), 'avenue ' || pick(i, 11, 9999), pick(i, 12, 25),
       format('%s-%s-%s-%s', 10 + pick(i, 12, 25), 100 + pick(i, 13, 900), 100 + pick(i, 18, 900), 1000 + pick(i, 14, 9000)),
       (pick(i, 15, 1100000) - 99999) / 100.0,
       (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + pick(i, 16, 5)], blurb(i, 19, 100)
  FROM generate_series(1, :customers) i;

INSERT INTO part
SELECT i, concat_ws(' ', word(colors, pick(i, 21, 92)), word(colors, pick(i, 22, 92)), word(colors, pick(i, 29, 92)),
                    word(colors, pick(i, 30, 92)), word(colors, pick(i, 33, 92))),
       'Manufacturer#' || 1 + pick(i, 23, 5), format('Brand#%s%s', 1 + pick(i, 23, 5), 1 + pick(i, 24, 5)),
       concat_ws(' ', word(ARRAY['STANDARD', 'SMALL', 'MEDIUM', 'LARGE', 'ECONOMY', 'PROMO'], pick(i, 25, 6)),
                 word(ARRAY['ANODIZED', 'BURNISHED', 'PLATED', 'POLISHED', 'BRUSHED'], pick(i, 34, 5)),
                 word(ARRAY['TIN', 'NICKEL', 'BRASS', 'STEEL', 'COPPER'], pick(i, 26, 5))),
       1 + pick(i, 27, 50),
       concat_ws(' ', word(ARRAY['SM', 'LG', 'MED', 'JUMBO', 'WRAP'], pick(i, 28, 5)),
                 word(ARRAY['CASE', 'BOX', 'BAG', 'JAR', 'PKG', 'PACK', 'CAN', 'DRUM'], pick(i, 35, 8))),
       900 + i % 1000 + (i % 200) / 100.0, blurb(i, 36, 20)
  FROM (SELECT string_to_array('almond antique aquamarine azure beige bisque black blanched blue blush brown burlywood burnished chartreuse '
                               'chiffon chocolate coral cornflower cornsilk cream cyan dark deep dim dodger drab firebrick floral forest '
                               'frosted gainsboro ghost goldenrod green grey honeydew hot indian ivory khaki lace lavender lawn lemon light '
                               'lime linen magenta maroon medium metallic midnight mint misty moccasin navajo navy olive orange orchid pale '
                               'papaya peach peru pink plum powder puff purple red rose rosy royal saddle salmon sandy seashell sienna sky '
                               'slate smoke snow spring steel tan thistle tomato turquoise violet wheat white yellow', ' ') AS colors OFFSET 0) c,
       generate_series(1, :parts) i;

INSERT INTO partsupp
SELECT p, 1 + (p + j * (:suppliers / 4 + (p - 1) / :suppliers)) % :suppliers, pick(p * 4 + j, 31, 9999) + 1,
       (100 + pick(p * 4 + j, 32, 99901)) / 100.0, blurb(p * 4 + j, 37, 198)
  FROM generate_series(1, :parts) p, generate_series(0, 3) j;

-- an order has one to seven lines, and its date comes from its key
INSERT INTO lineitem
SELECT o, p, 1 + (p + pick(h, 52, 4) * (:suppliers / 4 + (p - 1) / :suppliers)) % :suppliers, j,
       q, q * (900 + p % 1000 + (p % 200) / 100.0), pick(h, 54, 11) / 100.0, pick(h, 55, 9) / 100.0,
       CASE WHEN s + r > date '1995-06-17' THEN 'N' WHEN pick(h, 58, 2) = 0 THEN 'R' ELSE 'A' END,
       CASE WHEN s > date '1995-06-17' THEN 'O' ELSE 'F' END, s, d + 30 + pick(h, 59, 61), s + r,
       (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + pick(h, 60, 4)],
       (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + pick(h, 61, 7)], blurb(h, 62, 43)
  FROM (SELECT o, d, j, h, 1 + pick(h, 51, :parts) AS p, 1 + pick(h, 53, 50) AS q,
               d + 1 + pick(h, 56, 121) AS s, 1 + pick(h, 57, 30) AS r
          FROM (SELECT o, date '1992-01-01' + pick(o, 43, 2406) AS d, j, o * 8 + j AS h
                  FROM generate_series(1::bigint, :orders) o, generate_series(1, 1 + pick(o, 50, 7)) j OFFSET 0) l) l;

-- every third customer has no orders
INSERT INTO orders
SELECT i, 3 * pick(i, 41, :customers / 3) + 1 + pick(i, 42, 2), status, total, date '1992-01-01' + pick(i, 43, 2406),
       (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + pick(i, 44, 5)],
       'Clerk#' || lpad((1 + pick(i, 45, 1000))::text, 9, '0'), 0,
       CASE WHEN pick(i, 46, 100) = 0 THEN 'special ' || blurb(i, 47, 20) || ' requests' ELSE blurb(i, 47, 78) END
  FROM (SELECT l_orderkey AS i, sum(l_extendedprice * (1 + l_tax) * (1 - l_discount)) AS total,
               CASE count(*) FILTER (WHERE l_linestatus = 'F') WHEN 0 THEN 'O' WHEN count(*) THEN 'F' ELSE 'P' END AS status
          FROM lineitem GROUP BY l_orderkey ORDER BY l_orderkey) l;

SET maintenance_work_mem = '256MB';
ALTER TABLE partsupp ADD PRIMARY KEY (ps_partkey, ps_suppkey);
ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber);
CREATE INDEX ON nation (n_regionkey);
CREATE INDEX ON supplier (s_nationkey);
CREATE INDEX ON customer (c_nationkey);
CREATE INDEX ON partsupp (ps_suppkey);
CREATE INDEX ON orders (o_custkey);
CREATE INDEX ON lineitem (l_partkey, l_suppkey);
CREATE INDEX ON lineitem (l_suppkey);
ALTER TABLE nation ADD FOREIGN KEY (n_regionkey) REFERENCES region;
ALTER TABLE supplier ADD FOREIGN KEY (s_nationkey) REFERENCES nation;
ALTER TABLE customer ADD FOREIGN KEY (c_nationkey) REFERENCES nation;
ALTER TABLE partsupp ADD FOREIGN KEY (ps_partkey) REFERENCES part, ADD FOREIGN KEY (ps_suppkey) REFERENCES supplier;
ALTER TABLE orders ADD FOREIGN KEY (o_custkey) REFERENCES customer;
ALTER TABLE lineitem ADD FOREIGN KEY (l_orderkey) REFERENCES orders,
                     ADD FOREIGN KEY (l_partkey, l_suppkey) REFERENCES partsupp;
VACUUM (ANALYZE);
