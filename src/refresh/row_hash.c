/*-------------------------------------------------------------------------
 *
 * row_hash.c
 *	  pgtrickle.row_hash(VARIADIC "any"): hash of the images of values.
 *
 * Index expression of stream tables whose rows have no key: it leads to the
 * few rows whose image is then compared.  Equal images (see image.c) have
 * equal hashes; the result depends on no setting, type output or collation.
 * A call takes up to 100 arguments; calls nest for more.
 *
 * IDENTIFICATION
 *	  src/refresh/row_hash.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/lsyscache.h"

#include "pgtrickle/compat.h"

#include "apply_internal.h"

#define HASH_OF_NULL UINT64CONST(0x9e3779b97f4a7c15)

typedef struct HashedType
{
	int16		len;
	bool		byval;
	Canonical  *canonical;
} HashedType;

static HashedType *
lookup_types(FmgrInfo *flinfo, int nargs)
{
	MemoryContext old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	HashedType *types = palloc0(sizeof(HashedType) * (nargs + 1));

	for (int i = 0; i < nargs; i++)
	{
		Oid			type = get_fn_expr_argtype(flinfo, i);

		if (!OidIsValid(type))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("could not determine input data types")));
		get_typlenbyval(type, &types[i].len, &types[i].byval);
		types[i].canonical = pgt_canonical_create(type, TYPSTORAGE_EXTENDED);
	}
	flinfo->fn_extra = types;
	MemoryContextSwitchTo(old);
	return types;
}

/* murmurhash64; the server has it from 16 on */
static inline uint64
mix64(uint64 h)
{
	h ^= h >> 33;
	h *= UINT64CONST(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64CONST(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return h;
}

static uint64
hash_value(HashedType *type, Datum value)
{
	if (type->byval)
	{
		/* what would be stored, whatever the upper bits of the Datum are */
		Datum		stored = 0;

		store_att_byval(&stored, value, type->len);
		return mix64((uint64) stored + 1);
	}
	if (type->len == -1)
	{
		struct varlena *v;

		if (type->canonical != NULL)
			value = pgt_canonical_value(type->canonical, value);
		v = (struct varlena *) DatumGetPointer(value);
		return hash_bytes_extended((unsigned char *) VARDATA_ANY(v),
								   VARSIZE_ANY_EXHDR(v), 0);
	}
	if (type->len == -2)
		return hash_bytes_extended((unsigned char *) DatumGetCString(value),
								   strlen(DatumGetCString(value)), 0);
	return hash_bytes_extended((unsigned char *) DatumGetPointer(value), type->len, 0);
}

PG_FUNCTION_INFO_V1(pgt_row_hash);
Datum
pgt_row_hash(PG_FUNCTION_ARGS)
{
	HashedType *types = fcinfo->flinfo->fn_extra;
	uint64		h = 0;

	/* VARIADIC array: one value, the array */
	if (types == NULL)
		types = lookup_types(fcinfo->flinfo, PG_NARGS());
	for (int i = 0; i < PG_NARGS(); i++)
		h = hash_combine64(h, PG_ARGISNULL(i) ? HASH_OF_NULL :
						   hash_value(&types[i], PG_GETARG_DATUM(i)));
	PG_RETURN_INT64((int64) h);
}
