-- xxHash64 with our seed.  Reference values were computed by the xxhash
-- library; lengths cross each boundary of the algorithm (4, 8, 32 bytes).
SELECT pgtrickle.pg_trickle_hash('') AS empty;
SELECT n, pgtrickle.pg_trickle_hash(left(repeat('0123456789abcdef', 8), n))
FROM unnest(ARRAY[1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 100]) n ORDER BY n;
SELECT pgtrickle.pg_trickle_hash('grüße');
SELECT pgtrickle.pg_trickle_hash(NULL) IS NULL AS is_null;
-- elements are joined by 0x1E; nulls are told from the text NULL
SELECT pgtrickle.pg_trickle_hash_multi(ARRAY['a', 'b']) = pgtrickle.pg_trickle_hash(E'a\x1eb') AS joined,
    pgtrickle.pg_trickle_hash_multi(ARRAY['a']) = pgtrickle.pg_trickle_hash('a') AS single,
    pgtrickle.pg_trickle_hash_multi(ARRAY[NULL]::text[]) <> pgtrickle.pg_trickle_hash_multi(ARRAY['NULL']) AS null_differs,
    pgtrickle.pg_trickle_hash_multi('{}') = pgtrickle.pg_trickle_hash('') AS no_elements;
SELECT pgtrickle.pg_trickle_hash_multi(ARRAY['a', NULL, 'c']);
SELECT pgtrickle.pg_trickle_hash_multi(NULL) IS NULL AS is_null;
-- usable in an index
CREATE TABLE hash_t (a text);
CREATE INDEX ON hash_t (pgtrickle.pg_trickle_hash(a));
DROP TABLE hash_t;
SELECT pgtrickle.parse_duration_seconds('1h30m') AS seconds, pgtrickle.parse_duration_seconds('90') AS bare;
