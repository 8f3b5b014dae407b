/*-------------------------------------------------------------------------
 *
 * key_hash.c
 *	  Finding rows by keys that are too long for a btree.
 *
 * A btree entry has at most about 2700 bytes.  A table whose keys do not fit
 * has an index on pgtrickle.key_hash(keys) instead of a unique one on the keys: equal
 * keys have equal hashes, and what is found is compared with the types'
 * equality.  NULLs are equal.
 *
 * IDENTIFICATION
 *	  src/refresh/key_hash.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "pgtrickle/env.h"

#include "apply_internal.h"

typedef struct KeyHashType
{
	FmgrInfo	hash;
	bool		hashable;		/* else it does not contribute */
	Oid			collation;
} KeyHashType;

static KeyHashType *
lookup_key_types(FmgrInfo *flinfo, int nargs)
{
	KeyHashType *types = MemoryContextAllocZero(flinfo->fn_mcxt,
												sizeof(KeyHashType) * (nargs + 1));
	List	   *args = flinfo->fn_expr && IsA(flinfo->fn_expr, FuncExpr) ?
		((FuncExpr *) flinfo->fn_expr)->args : NIL;

	for (int i = 0; i < nargs; i++)
	{
		Oid			type = get_fn_expr_argtype(flinfo, i);
		TypeCacheEntry *entry;

		if (!OidIsValid(type))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("could not determine input data types")));
		entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC);
		types[i].hashable = OidIsValid(entry->hash_extended_proc);
		if (types[i].hashable)
			fmgr_info_cxt(entry->hash_extended_proc, &types[i].hash, flinfo->fn_mcxt);
		if (i < list_length(args))
			types[i].collation = exprCollation((Node *) list_nth(args, i));
		if (!OidIsValid(types[i].collation) && type_is_collatable(type))
			types[i].collation = DEFAULT_COLLATION_OID;
	}
	flinfo->fn_extra = types;
	return types;
}

PG_FUNCTION_INFO_V1(pgt_key_hash);
Datum
pgt_key_hash(PG_FUNCTION_ARGS)
{
	KeyHashType *types = fcinfo->flinfo->fn_extra;
	uint64		h = 0;

	if (types == NULL)
		types = lookup_key_types(fcinfo->flinfo, PG_NARGS());
	for (int i = 0; i < PG_NARGS(); i++)
	{
		uint64		value = 0;

		if (!PG_ARGISNULL(i) && types[i].hashable)
			value = DatumGetUInt64(FunctionCall2Coll(&types[i].hash, types[i].collation,
													 PG_GETARG_DATUM(i), Int64GetDatum(0)));
		h = hash_combine64(h, value);
	}
	PG_RETURN_INT64((int64) h);
}

/* The index's key columns if it is one on key_hash(columns), else NIL. */
List *
pgt_key_hash_columns(Relation index)
{
	FuncExpr   *expr;
	List	   *columns = NIL;
	ListCell   *lc;

	if (index->rd_index->indnkeyatts != 1 || index->rd_index->indkey.values[0] != 0)
		return NIL;
	expr = (FuncExpr *) linitial(RelationGetIndexExpressions(index));
	if (!IsA(expr, FuncExpr) || expr->funcid != pgt_own_function("key_hash"))
		return NIL;
	foreach(lc, expr->args)
	{
		Var		   *var = (Var *) lfirst(lc);

		if (!IsA(var, Var))
			return NIL;
		columns = lappend_int(columns, var->varattno);
	}
	return columns;
}

/* ---- looking up ---- */

struct KeyLookup
{
	int			nkeys;
	AttrNumber *columns;
	FmgrInfo  **equal;
	Oid		   *collations;
	TupleTableSlot *probe;		/* shows the keys looked for */
};

KeyLookup *
pgt_key_lookup_create(List *columns, TupleDesc desc)
{
	KeyLookup  *k = palloc0(sizeof(KeyLookup));
	ListCell   *lc;

	k->nkeys = list_length(columns);
	k->columns = palloc(sizeof(AttrNumber) * k->nkeys);
	k->equal = palloc(sizeof(FmgrInfo *) * k->nkeys);
	k->collations = palloc(sizeof(Oid) * k->nkeys);
	k->probe = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	foreach(lc, columns)
	{
		int			i = foreach_current_index(lc);
		Form_pg_attribute att = TupleDescAttr(desc, lfirst_int(lc) - 1);

		k->columns[i] = lfirst_int(lc);
		k->equal[i] = &lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR_FINFO)->eq_opr_finfo;
		k->collations[i] = att->attcollation;
	}
	return k;
}

/* Slot to compute the hash from; the values must stay until the lookup ends. */
TupleTableSlot *
pgt_key_lookup_probe(KeyLookup *k, Datum *values, bool *isnull)
{
	ExecClearTuple(k->probe);
	memset(k->probe->tts_isnull, true,
		   k->probe->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < k->nkeys; i++)
	{
		k->probe->tts_values[k->columns[i] - 1] = values[i];
		k->probe->tts_isnull[k->columns[i] - 1] = isnull[i];
	}
	return ExecStoreVirtualTuple(k->probe);
}

bool
pgt_key_lookup_matches(KeyLookup *k, TupleTableSlot *stored)
{
	for (int i = 0; i < k->nkeys; i++)
	{
		AttrNumber	column = k->columns[i];
		bool		isnull;
		Datum		value = slot_getattr(stored, column, &isnull);

		if (isnull != k->probe->tts_isnull[column - 1])
			return false;
		if (!isnull && !DatumGetBool(FunctionCall2Coll(k->equal[i], k->collations[i], value,
													   k->probe->tts_values[column - 1])))
			return false;
	}
	return true;
}
