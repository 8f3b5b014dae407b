
-- Row images (src/refresh/row_hash.c)

-- Hash of the binary images of a row's columns.  The index expression that
-- finds the rows of stream tables without a key; never an identity by itself.
CREATE FUNCTION pgtrickle.row_hash(VARIADIC "any") RETURNS int8
AS 'MODULE_PATHNAME', 'pgt_row_hash'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pgtrickle.row_hash(VARIADIC "any") IS
'hash of the binary images of the arguments, NULLs included';
