/*-------------------------------------------------------------------------
 *
 * hash.c
 *	  pg_trickle_hash() and pg_trickle_hash_multi(): xxHash64 of text.
 *
 * For users who call them; nothing of ours depends on them.  Written after
 * the published description of the algorithm (xxHash fast digest algorithm,
 * version 0.1.1); all words are read in little-endian order, so the result is
 * the same on every machine.
 *
 * IDENTIFICATION
 *	  src/api/hash.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgt_hash_text);
PG_FUNCTION_INFO_V1(pgt_hash_text_array);

#define HASH_SEED			UINT64CONST(0x517cc1b727220a95)
#define ELEMENT_SEPARATOR	'\x1e'

#define PRIME1	UINT64CONST(0x9E3779B185EBCA87)
#define PRIME2	UINT64CONST(0xC2B2AE3D27D4EB4F)
#define PRIME3	UINT64CONST(0x165667B19E3779F9)
#define PRIME4	UINT64CONST(0x85EBCA77C2B2AE63)
#define PRIME5	UINT64CONST(0x27D4EB2F165667C5)

static inline uint64
rotate_left(uint64 x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

/* nbytes bytes as a little-endian number */
static inline uint64
read_le(const unsigned char *p, int nbytes)
{
	uint64		result = 0;

	for (int i = nbytes - 1; i >= 0; i--)
		result = (result << 8) | p[i];
	return result;
}

static inline uint64
round_lane(uint64 acc, uint64 lane)
{
	return rotate_left(acc + lane * PRIME2, 31) * PRIME1;
}

static inline uint64
merge_lane(uint64 acc, uint64 lane)
{
	return (acc ^ round_lane(0, lane)) * PRIME1 + PRIME4;
}

static uint64
xxh64(const unsigned char *p, size_t len, uint64 seed)
{
	const unsigned char *end = p + len;
	uint64		h;

	if (len >= 32)
	{
		uint64		a1 = seed + PRIME1 + PRIME2;
		uint64		a2 = seed + PRIME2;
		uint64		a3 = seed;
		uint64		a4 = seed - PRIME1;

		for (; end - p >= 32; p += 32)
		{
			a1 = round_lane(a1, read_le(p, 8));
			a2 = round_lane(a2, read_le(p + 8, 8));
			a3 = round_lane(a3, read_le(p + 16, 8));
			a4 = round_lane(a4, read_le(p + 24, 8));
		}
		h = rotate_left(a1, 1) + rotate_left(a2, 7) +
			rotate_left(a3, 12) + rotate_left(a4, 18);
		h = merge_lane(h, a1);
		h = merge_lane(h, a2);
		h = merge_lane(h, a3);
		h = merge_lane(h, a4);
	}
	else
		h = seed + PRIME5;
	h += len;

	for (; end - p >= 8; p += 8)
		h = rotate_left(h ^ round_lane(0, read_le(p, 8)), 27) * PRIME1 + PRIME4;
	for (; end - p >= 4; p += 4)
		h = rotate_left(h ^ (read_le(p, 4) * PRIME1), 23) * PRIME2 + PRIME3;
	for (; p < end; p++)
		h = rotate_left(h ^ (*p * PRIME5), 11) * PRIME1;

	h = (h ^ (h >> 33)) * PRIME2;
	h = (h ^ (h >> 29)) * PRIME3;
	return h ^ (h >> 32);
}

Datum
pgt_hash_text(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT64((int64) xxh64((unsigned char *) VARDATA_ANY(t),
								  VARSIZE_ANY_EXHDR(t), HASH_SEED));
}

/* Elements are joined by 0x1E, a null one is the bytes 00 'NULL' 00. */
Datum
pgt_hash_text_array(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	StringInfoData buf;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	initStringInfo(&buf);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(&buf, ELEMENT_SEPARATOR);
		if (nulls[i])
			appendBinaryStringInfo(&buf, "\0NULL\0", 6);
		else
		{
			text	   *t = DatumGetTextPP(elems[i]);

			appendBinaryStringInfo(&buf, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
		}
	}
	PG_RETURN_INT64((int64) xxh64((unsigned char *) buf.data, buf.len, HASH_SEED));
}
