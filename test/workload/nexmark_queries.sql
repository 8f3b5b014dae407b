--
-- Nexmark's queries over tables, into workload.query of check.sql. Tumbling windows
-- are group keys by date_bin() and date_trunc(); what the original orders by arrival
-- is ordered by date_time and as many columns as make it deterministic. q10 writes
-- files and is left out; two queries of ours are at the end.
--
\set ON_ERROR_STOP 1
INSERT INTO workload.query VALUES (0, 'nq00', $$
SELECT auction, bidder, price, date_time, extra FROM bid
$$), (1, 'nq01', $$
SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bid
$$), (2, 'nq02', $$
SELECT auction, price FROM bid WHERE auction % 123 = 0
$$), (3, 'nq03', $$
SELECT p.name, p.city, p.state, a.id
  FROM auction a JOIN person p ON a.seller = p.id
 WHERE a.category = 10 AND (p.state = 'OR' OR p.state = 'ID' OR p.state = 'CA')
$$), (4, 'nq04', $$
SELECT q.category, avg(q.final) AS average
  FROM (SELECT max(b.price) AS final, a.category
          FROM auction a, bid b
         WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
         GROUP BY a.id, a.category) q
 GROUP BY q.category
$$), (5, 'nq05', $$
SELECT b.auction, b.num, b.starttime
  FROM (SELECT auction, count(*) AS num, date_bin('10 minutes', date_time, '2026-01-01') AS starttime
          FROM bid GROUP BY auction, date_bin('10 minutes', date_time, '2026-01-01')) b
       JOIN (SELECT max(c.num) AS maxn, c.starttime
               FROM (SELECT count(*) AS num, date_bin('10 minutes', date_time, '2026-01-01') AS starttime
                       FROM bid GROUP BY auction, date_bin('10 minutes', date_time, '2026-01-01')) c
              GROUP BY c.starttime) m ON b.starttime = m.starttime AND b.num >= m.maxn
$$), (6, 'nq06', $$
SELECT seller, id, avg(final) OVER (PARTITION BY seller ORDER BY expires, id ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS average
  FROM (SELECT max(b.price) AS final, a.seller, a.id, a.expires
          FROM auction a, bid b
         WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
         GROUP BY a.id, a.seller, a.expires) q
$$), (7, 'nq07', $$
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
  FROM bid b
       JOIN (SELECT max(price) AS maxprice, date_bin('10 seconds', date_time, '2026-01-01') AS starttime
               FROM bid GROUP BY date_bin('10 seconds', date_time, '2026-01-01')) m
         ON b.price = m.maxprice AND b.date_time >= m.starttime AND b.date_time < m.starttime + interval '10 seconds'
$$), (8, 'nq08', $$
SELECT p.id, p.name, p.starttime
  FROM (SELECT id, name, date_bin('10 minutes', date_time, '2026-01-01') AS starttime
          FROM person GROUP BY id, name, date_bin('10 minutes', date_time, '2026-01-01')) p
       JOIN (SELECT seller, date_bin('10 minutes', date_time, '2026-01-01') AS starttime
               FROM auction GROUP BY seller, date_bin('10 minutes', date_time, '2026-01-01')) a
         ON p.id = a.seller AND p.starttime = a.starttime
$$), (9, 'nq09', $$
SELECT id, item_name, reserve, seller, category, auction, bidder, price, bid_date_time
  FROM (SELECT a.id, a.item_name, a.reserve, a.seller, a.category, b.auction, b.bidder, b.price, b.date_time AS bid_date_time,
               row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time, b.bidder, b.channel, b.url) AS rownum
          FROM auction a, bid b
         WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires) q
 WHERE rownum <= 1
$$), (11, 'nq11', $$
SELECT bidder, session, count(*) AS bid_count, min(date_time) AS starttime, max(date_time) AS endtime
  FROM (SELECT bidder, date_time,
               count(*) FILTER (WHERE gap) OVER (PARTITION BY bidder ORDER BY date_time) AS session
          FROM (SELECT bidder, date_time,
                       date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time) > interval '60 seconds' AS gap
                  FROM bid) g) s
 GROUP BY bidder, session
$$), (12, 'nq12', $$
SELECT bidder, count(*) AS bid_count, date_trunc('minute', date_time) AS starttime
  FROM bid GROUP BY bidder, date_trunc('minute', date_time)
$$), (13, 'nq13', $$
SELECT b.auction, b.bidder, b.price, b.date_time, s.value
  FROM bid b JOIN side_input s ON b.auction % 100 = s.key
$$), (14, 'nq14', $$
SELECT auction, bidder, 0.908 * price AS price,
       CASE WHEN extract(hour FROM date_time) BETWEEN 8 AND 18 THEN 'dayTime'
            WHEN extract(hour FROM date_time) <= 6 OR extract(hour FROM date_time) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bid_time_type,
       date_time, length(url) - length(replace(url, 'c', '')) AS c_counts
  FROM bid WHERE 0.908 * price > 200 AND 0.908 * price < 500
$$), (15, 'nq15', $$
SELECT date_trunc('hour', date_time) AS hour, count(*) AS total_bids, count(*) FILTER (WHERE price < 100) AS rank1_bids,
       count(*) FILTER (WHERE price >= 100 AND price < 500) AS rank2_bids, count(*) FILTER (WHERE price >= 500) AS rank3_bids,
       count(DISTINCT bidder) AS total_bidders, count(DISTINCT bidder) FILTER (WHERE price < 100) AS rank1_bidders,
       count(DISTINCT bidder) FILTER (WHERE price >= 500) AS rank3_bidders, count(DISTINCT auction) AS total_auctions,
       count(DISTINCT auction) FILTER (WHERE price < 100) AS rank1_auctions
  FROM bid GROUP BY date_trunc('hour', date_time)
$$), (16, 'nq16', $$
SELECT channel, date_trunc('hour', date_time) AS hour, max(to_char(date_time, 'HH24:MI')) AS minute, count(*) AS total_bids,
       count(DISTINCT bidder) AS total_bidders, count(DISTINCT bidder) FILTER (WHERE price < 100) AS rank1_bidders,
       count(DISTINCT auction) AS total_auctions
  FROM bid GROUP BY channel, date_trunc('hour', date_time)
$$), (17, 'nq17', $$
SELECT auction, date_trunc('hour', date_time) AS hour, count(*) AS total_bids, count(*) FILTER (WHERE price < 100) AS rank1_bids,
       min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
  FROM bid GROUP BY auction, date_trunc('hour', date_time)
$$), (18, 'nq18', $$
SELECT DISTINCT ON (bidder, auction) auction, bidder, price, channel, url, date_time, extra
  FROM bid ORDER BY bidder, auction, date_time DESC, price, channel, url
$$), (19, 'nq19', $$
SELECT auction, bidder, price, date_time, rank_number
  FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time, bidder, channel, url) AS rank_number FROM bid) q
 WHERE rank_number <= 10
$$), (20, 'nq20', $$
SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, a.item_name, a.initial_bid, a.reserve, a.expires, a.seller
  FROM bid b JOIN auction a ON b.auction = a.id
 WHERE a.category = 10
$$), (21, 'nq21', $$
SELECT auction, bidder, price, channel,
       CASE WHEN lower(channel) = 'apple' THEN '0' WHEN lower(channel) = 'google' THEN '1' WHEN lower(channel) = 'facebook' THEN '2'
            WHEN lower(channel) = 'baidu' THEN '3' ELSE substring(url FROM 'channel_id=([0-9]+)') END AS channel_id
  FROM bid
 WHERE substring(url FROM 'channel_id=([0-9]+)') IS NOT NULL OR lower(channel) IN ('apple', 'google', 'facebook', 'baidu')
$$), (22, 'nq22', $$
SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2, split_part(url, '/', 6) AS dir3
  FROM bid
$$), (101, 'nq_winning', $$
SELECT a.id, a.seller, p.name AS seller_name, b.bidder, b.price, w.name AS winner_name
  FROM auction a
       LEFT JOIN (SELECT auction, max(price) AS price FROM bid GROUP BY auction) m ON m.auction = a.id AND m.price >= a.reserve
       LEFT JOIN bid b ON b.auction = m.auction AND b.price = m.price
       LEFT JOIN person p ON p.id = a.seller
       LEFT JOIN person w ON w.id = b.bidder
$$), (102, 'nq_idle', $$
SELECT p.id, p.name, p.state
  FROM person p
 WHERE NOT EXISTS (SELECT FROM bid WHERE bidder = p.id) AND p.id NOT IN (SELECT seller FROM auction WHERE category = 12)
$$);
