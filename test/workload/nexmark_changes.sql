--
-- A batch of changes of Nexmark's tables: new persons, auctions and bids, as the
-- streams bring them, and corrections and deletions of old ones.
--
\set ON_ERROR_STOP 1
CREATE PROCEDURE nexmark.change(seed int) LANGUAGE plpgsql AS $$
DECLARE
    persons int := (SELECT max(id) FROM person);
    auctions int := (SELECT max(id) FROM auction);
BEGIN
    INSERT INTO person SELECT (nexmark.make_person(i)).* FROM generate_series(persons + 1, persons + 4) i;
    INSERT INTO auction SELECT (nexmark.make_auction(i, persons + 4)).* FROM generate_series(auctions + 1, auctions + 12) i;
    INSERT INTO bid SELECT (nexmark.make_bid(100000 * seed + i, persons + 4, auctions + 12)).* FROM generate_series(1, 180) i;
    -- the same bid once more
    INSERT INTO bid SELECT * FROM bid WHERE auction % 50 = seed AND price % 7 = 0;
    UPDATE bid SET price = price + 10, channel = 'Apple' WHERE auction % 37 = seed;
    UPDATE bid SET bidder = 1 + bidder % 20, date_time = date_time + interval '90 seconds' WHERE auction % 41 = seed;
    UPDATE bid SET auction = 1 + auction % 60, url = 'https://www.nexmark.com/a/b/c' WHERE bidder % 43 = seed;
    DELETE FROM bid WHERE bidder % 29 = seed;
    DELETE FROM bid WHERE ctid IN (SELECT ctid FROM bid WHERE price = (SELECT max(price) FROM bid));
    UPDATE auction SET category = 10 + (category + 1) % 5, reserve = CASE seed % 3 WHEN 0 THEN NULL ELSE 400 END WHERE id % 31 = seed;
    UPDATE auction SET expires = expires + interval '5 minutes' * CASE seed % 2 WHEN 0 THEN 1 ELSE -1 END WHERE id % 23 = seed;
    UPDATE auction SET seller = 1 + seed WHERE id % 47 = seed;
    DELETE FROM auction WHERE id % 61 = seed;
    UPDATE person SET state = CASE state WHEN 'OR' THEN 'WY' ELSE 'OR' END, name = name || '*' WHERE id % 17 = seed;
    UPDATE person SET date_time = date_time + interval '10 minutes' WHERE id % 7 = seed % 7;
    DELETE FROM person WHERE id % 53 = seed;
    UPDATE side_input SET value = value || seed WHERE key % 20 = seed;
    IF seed = 7 THEN
        DELETE FROM side_input WHERE key % 3 = 0;
    ELSIF seed = 8 THEN
        INSERT INTO side_input SELECT i, 'new ' || i FROM generate_series(0, 99, 3) i;
        UPDATE person SET id = id + 100000 WHERE id % 19 = 0;
    END IF;
    COMMIT;
END $$;
