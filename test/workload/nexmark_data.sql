--
-- Nexmark's three streams as tables: persons, auctions and bids of an online
-- auction over an hour, the same rows in every run. Hot auctions and hot bidders
-- get more bids, some reserves and channels are NULL.
--
\set ON_ERROR_STOP 1
SET client_min_messages = warning;

CREATE FUNCTION pick(key bigint, col int, n int) RETURNS int
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(key, col) % n) + n) % n;

CREATE TABLE person (
    id           bigint PRIMARY KEY,
    name         text NOT NULL,
    email        text,
    credit_card  text,
    city         text NOT NULL,
    state        text NOT NULL,
    date_time    timestamp NOT NULL,
    extra        text
);
CREATE TABLE auction (
    id           bigint PRIMARY KEY,
    item_name    text NOT NULL,
    description  text,
    initial_bid  bigint NOT NULL,
    reserve      bigint,
    date_time    timestamp NOT NULL,
    expires      timestamp NOT NULL,
    seller       bigint NOT NULL,
    category     bigint NOT NULL,
    extra        text
);
-- a stream: bids have no key
CREATE TABLE bid (
    auction      bigint NOT NULL,
    bidder       bigint NOT NULL,
    price        bigint NOT NULL,
    channel      text,
    url          text,
    date_time    timestamp NOT NULL,
    extra        text
);
CREATE TABLE side_input (key bigint PRIMARY KEY, value text NOT NULL);

CREATE SCHEMA nexmark;
CREATE FUNCTION nexmark.make_person(i bigint) RETURNS person LANGUAGE sql IMMUTABLE AS $$
    SELECT (i, 'person ' || i, i || '@example.com', pick(i, 1, 9999)::text,
            (ARRAY['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne'])[1 + pick(i, 2, 10)],
            (ARRAY['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'])[1 + pick(i, 3, 6)], timestamp '2026-01-01' + pick(i, 4, 3600) * interval '1 s', NULL)::person
$$;
CREATE FUNCTION nexmark.make_auction(i bigint, persons int) RETURNS auction LANGUAGE sql IMMUTABLE AS $$
    SELECT (i, 'item ' || i, NULL, 1 + pick(i, 11, 100), CASE WHEN pick(i, 12, 8) > 0 THEN 50 + pick(i, 12, 500) END, t,
            t + (1 + pick(i, 14, 1200)) * interval '1 s', 1 + pick(i, 15, persons) / (1 + pick(i, 16, 3)), 10 + pick(i, 17, 5), NULL)::auction
      FROM (SELECT timestamp '2026-01-01' + pick(i, 13, 3600) * interval '1 s' AS t) d
$$;
CREATE FUNCTION nexmark.make_bid(i bigint, persons int, auctions int) RETURNS bid LANGUAGE sql IMMUTABLE AS $$
    SELECT (CASE WHEN pick(i, 21, 3) = 0 THEN 1 + pick(i, 22, 10) ELSE 1 + pick(i, 22, auctions) END,
            CASE WHEN pick(i, 23, 4) = 0 THEN 1 + pick(i, 24, 5) ELSE 1 + pick(i, 24, persons) END, 1 + pick(i, 25, 1000),
            (ARRAY['apple', 'google', 'facebook', 'baidu', 'channel-7', NULL])[1 + pick(i, 26, 6)],
            format('https://www.nexmark.com/%s/item.htm?query=1&channel_id=%s', pick(i, 28, 50), pick(i, 27, 20)),
            timestamp '2026-01-01' + pick(i, 29, 36000) * interval '0.1 s', NULL)::bid
$$;

INSERT INTO person SELECT (nexmark.make_person(i)).* FROM generate_series(1, :bids / 46) i;
INSERT INTO auction SELECT (nexmark.make_auction(i, :bids / 46)).* FROM generate_series(1, 3 * :bids / 46) i;
INSERT INTO bid SELECT (nexmark.make_bid(i, :bids / 46, 3 * :bids / 46)).* FROM generate_series(1, :bids) i;
INSERT INTO side_input SELECT i, 'value ' || i FROM generate_series(0, 99) i;
CREATE INDEX ON auction (seller);
CREATE INDEX ON bid (auction);
CREATE INDEX ON bid (bidder);
VACUUM ANALYZE;
