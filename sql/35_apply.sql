
-- Row images (src/refresh/row_hash.c)

-- Hash of the binary images of a row's columns.  The index expression that
-- finds the rows of stream tables without a key; never an identity by itself.
CREATE FUNCTION pgtrickle.row_hash(VARIADIC "any") RETURNS int8
AS 'MODULE_PATHNAME', 'pgt_row_hash'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pgtrickle.row_hash(VARIADIC "any") IS
'hash of the binary images of the arguments, NULLs included';

-- The largest display scale of its inputs, and how many have it: state kept
-- beside sums of numerics.
CREATE FUNCTION pgtrickle.numeric_scale_add(bigint, numeric) RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_numeric_scale_add';
CREATE FUNCTION pgtrickle.numeric_scale_combine(bigint, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_numeric_scale_combine';
CREATE AGGREGATE pgtrickle.numeric_scale_count(numeric) (
    SFUNC = pgtrickle.numeric_scale_add,
    STYPE = bigint,
    COMBINEFUNC = pgtrickle.numeric_scale_combine,
    PARALLEL = SAFE
);

-- Hash of key columns by their types' equality: the index expression that finds
-- rows whose keys are too long for a btree (src/refresh/key_hash.c).
CREATE FUNCTION pgtrickle.key_hash(VARIADIC "any") RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_key_hash';

-- A scalar subquery that is not an aggregate (src/query/sublinks.c): the value
-- of a group that should have one row, and the error where it has more.
CREATE FUNCTION pgtrickle.single_value_keep(anyelement, anyelement) RETURNS anyelement
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_single_value_keep';
CREATE AGGREGATE pgtrickle.single_value(anyelement) (
    SFUNC = pgtrickle.single_value_keep,
    STYPE = anyelement,
    PARALLEL = SAFE
);
CREATE FUNCTION pgtrickle.more_than_one_row(anyelement) RETURNS anyelement
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgt_more_than_one_row';
