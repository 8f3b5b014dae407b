/*-------------------------------------------------------------------------
 *
 * group_merge.c
 *	  Merging a group's delta into its stored state.
 *
 * The delta brings, per state, partial aggregates over the added rows (pos)
 * and over the removed rows (neg).  Some states follow from the stored one and
 * the partials; where one does not, the group is rescanned.
 *
 * Phantom rows.  Unless the delta is exact, it may hold rows that never
 * existed, once added and once removed.  They cancel in sums, but appear in
 * pos and neg.  So a conclusion from "pos has a row like this" is good only for
 * what neg cannot contain.
 *
 * Display scale of numeric sums.  A sum shows as many decimals as the input
 * with the most, so it must be known whether such an input is left when some
 * go.  Where inputs do not all have one scale, a second state holds the largest
 * scale s and the number of inputs that have it; pos and neg bring theirs,
 * p and m.  Below s nothing matters; at s the numbers add up, phantoms cancel;
 * above s, what came decides unless it may be a phantom (p <= m).
 *
 * Extrema.  With x the better of stored and pos:  exact: x stands unless neg is
 * at least as good as stored and pos is not.  Not exact: x stands if neg is
 * strictly worse than x.
 *
 * IDENTIFICATION
 *	  src/refresh/group_merge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/fmgrprotos.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "pgtrickle/compat.h"

#include "apply_internal.h"

typedef struct MergedState
{
	GroupStateKind kind;
	int			col;			/* attnum - 1 in the storage row */
	int			count_col;		/* of the column that counts its inputs */
	int			partial;		/* first partial in the delta row */
	Oid			type;
	Oid			collation;
	FmgrInfo   *compare;		/* extrema */
} MergedState;

struct GroupMerge
{
	bool		exact;
	int			natts;
	int			nkeys;
	int		   *keys;			/* attnum - 1 */
	int			count_col;
	int			nstates;
	MergedState *states;
	TupleDesc	storage;
};

struct GroupFinals
{
	int			n;
	AttrNumber *attnums;
	ExprState **exprs;
	ExprContext *econtext;
	TupleTableSlot *slot;
};

/* A nullable value. */
typedef struct Value
{
	Datum		value;
	bool		isnull;
} Value;

static int
partials_of(GroupStateKind kind)
{
	switch (kind)
	{
		case PGT_STATE_COUNT:
			return 1;
		case PGT_STATE_RESCAN:
			return 0;
		default:
			return 2;
	}
}

/* Columns of a delta row after keys and row count. */
int
pgt_group_partials(const GroupTarget *target)
{
	int			n = 0;

	for (int i = 0; i < target->nstates; i++)
		n += partials_of(target->states[i].kind);
	return n;
}

/* storage: descriptor of the storage relation, kept by the result. */
GroupMerge *
pgt_group_merge_create(const GroupTarget *target, TupleDesc storage, bool exact)
{
	GroupMerge *m = palloc0(sizeof(GroupMerge));
	int			partial = target->nkeys + 1;

	m->exact = exact;
	m->natts = storage->natts;
	m->storage = storage;
	m->nkeys = target->nkeys;
	m->keys = palloc(sizeof(int) * (target->nkeys + 1));
	for (int i = 0; i < target->nkeys; i++)
		m->keys[i] = target->keys[i] - 1;
	m->count_col = target->row_count - 1;
	m->nstates = target->nstates;
	m->states = palloc0(sizeof(MergedState) * (target->nstates + 1));
	for (int i = 0; i < target->nstates; i++)
	{
		const StateColumn *from = &target->states[i];
		MergedState *to = &m->states[i];
		Form_pg_attribute att = TupleDescAttr(storage, from->attnum - 1);

		to->kind = from->kind;
		to->col = from->attnum - 1;
		to->count_col = (from->count_attnum > 0 ? from->count_attnum : target->row_count) - 1;
		to->type = att->atttypid;
		to->collation = att->attcollation;
		to->partial = partial;
		partial += partials_of(from->kind);
		if (from->kind == PGT_STATE_MIN || from->kind == PGT_STATE_MAX)
		{
			TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_CMP_PROC_FINFO);

			if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
				elog(ERROR, "no comparison function for type %u", att->atttypid);
			to->compare = &type->cmp_proc_finfo;
		}
	}
	return m;
}

/* The statement that feeds us must deliver what is merged by C type. */
void
pgt_group_merge_check_input(GroupMerge *m, TupleDesc input)
{
	for (int i = 0; i < m->nstates; i++)
	{
		MergedState *s = &m->states[i];
		Oid			type;

		if (partials_of(s->kind) == 0)
			continue;
		type = TupleDescAttr(input, s->partial)->atttypid;
		if (s->kind == PGT_STATE_MIN || s->kind == PGT_STATE_MAX ?
			false : type != s->type)
			elog(ERROR, "partial aggregate of column %d has type %u instead of %u",
				 s->col + 1, type, s->type);
	}
}

/* ---------------------------------------------------------------- kinds of states */

static int64
int8_or_zero(Value v)
{
	return v.isnull ? 0 : DatumGetInt64(v.value);
}

/* int8 and money: old + pos - neg, exact even if a step would overflow. */
static Datum
merge_int8(Value old, Value pos, Value neg, const char *overflow)
{
#ifdef HAVE_INT128
	int128		sum = (int128) int8_or_zero(old) + int8_or_zero(pos) - int8_or_zero(neg);

	if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s out of range", overflow)));
	return Int64GetDatum((int64) sum);
#else
	int64		change;
	int64		sum;

	if (pg_sub_s64_overflow(int8_or_zero(pos), int8_or_zero(neg), &change) ||
		pg_add_s64_overflow(int8_or_zero(old), change, &sum))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s out of range", overflow)));
	return Int64GetDatum(sum);
#endif
}

static inline bool
is_special(Value v)
{
	if (v.isnull)
		return false;
	return numeric_is_nan(DatumGetNumeric(v.value)) ||
		numeric_is_inf(DatumGetNumeric(v.value));
}

/* false: rescan */
static bool
merge_numeric(Value old, Value pos, Value neg, Value *result)
{
	Value		sum = old;

	if (!neg.isnull)
	{
		if (is_special(old) || is_special(neg))
			return false;
	}
	if (!pos.isnull)
	{
		if (sum.isnull)
			sum = pos;
		else
			sum.value = DirectFunctionCall2(numeric_add, sum.value, pos.value);
	}
	if (!neg.isnull)
	{
		if (sum.isnull)
			return false;		/* more removed than there was */
		sum.value = DirectFunctionCall2(numeric_sub, sum.value, neg.value);
	}
	*result = sum;
	return true;
}

/* false: rescan */
static bool
merge_scale(Value old, Value pos, Value neg, Value *result)
{
	int			s = pgt_scale_of(old.isnull, old.value);
	int			p = pgt_scale_of(pos.isnull, pos.value);
	int			m = pgt_scale_of(neg.isnull, neg.value);
	int			scale = Max(s, p);
	int64		n = 0;

	if (p <= m && m > s)
		return false;			/* all of it may be phantoms */
	if (s == scale)
		n += pgt_scale_count_of(old.isnull, old.value);
	if (p == scale)
		n += pgt_scale_count_of(pos.isnull, pos.value);
	if (m == scale)
		n -= pgt_scale_count_of(neg.isnull, neg.value);
	if (scale < 0)
		result->isnull = true;	/* no input has a scale */
	else if (n <= 0)
		return false;			/* a smaller scale comes next */
	else
		result->value = pgt_scale_state(scale, n);
	return true;
}

static inline bool
is_infinite_interval(Value v)
{
#ifdef INTERVAL_NOT_FINITE
	return !v.isnull && INTERVAL_NOT_FINITE(DatumGetIntervalP(v.value));
#else
	return false;
#endif
}

static bool
merge_interval(Value old, Value pos, Value neg, Value *result)
{
	Value		sum = old;

	if (!neg.isnull && (is_infinite_interval(old) || is_infinite_interval(neg)))
		return false;
	if (is_infinite_interval(old) || is_infinite_interval(pos))
		return false;			/* infinities of both signs are an error to add */
	if (!pos.isnull)
	{
		if (sum.isnull)
			sum = pos;
		else
			sum.value = DirectFunctionCall2(interval_pl, sum.value, pos.value);
	}
	if (!neg.isnull)
	{
		if (sum.isnull)
			return false;
		sum.value = DirectFunctionCall2(interval_mi, sum.value, neg.value);
	}
	*result = sum;
	return true;
}

/* Floats do not subtract exactly: only additions are merged. */
static bool
merge_float(MergedState *s, Value old, Value pos, Value negative_rows, Value *result)
{
	if (int8_or_zero(negative_rows) != 0)
		return false;
	if (pos.isnull)
		*result = old;
	else if (old.isnull)
		*result = pos;
	else
	{
		*result = old;
		result->value = DirectFunctionCall2(s->type == FLOAT4OID ? float4pl : float8pl,
											old.value, pos.value);
	}
	return true;
}

/* > 0: a is the better extremum */
static int
better(MergedState *s, Datum a, Datum b)
{
	int			c = DatumGetInt32(FunctionCall2Coll(s->compare, s->collation, a, b));

	return s->kind == PGT_STATE_MAX ? c : (c < 0) - (c > 0);
}

static bool
merge_extremum(MergedState *s, bool exact, Value old, Value pos, Value neg, Value *result)
{
	bool		old_may_go;

	if (neg.isnull)
	{
		*result = old;
		if (!pos.isnull && (old.isnull || better(s, pos.value, old.value) > 0))
			*result = pos;
		return true;
	}
	if (!exact)
	{
		*result = old;
		if (!pos.isnull && (old.isnull || better(s, pos.value, old.value) > 0))
			*result = pos;
		return !result->isnull && better(s, neg.value, result->value) < 0;
	}
	if (old.isnull)
		return false;			/* something was removed where nothing was */
	old_may_go = better(s, neg.value, old.value) >= 0;
	if (pos.isnull)
	{
		*result = old;
		return !old_may_go;
	}
	/* of equal values, the added one is there for sure */
	*result = better(s, pos.value, old.value) >= (old_may_go ? 0 : 1) ? pos : old;
	return !old_may_go || better(s, pos.value, old.value) >= 0;
}

static bool
merge_state(GroupMerge *m, MergedState *s, Value old, Value pos, Value neg, Value *result)
{
	result->isnull = false;
	switch (s->kind)
	{
		case PGT_STATE_SUM_INT8:
			result->value = merge_int8(old, pos, neg, "bigint");
			return true;
		case PGT_STATE_SUM_MONEY:
			result->value = merge_int8(old, pos, neg, "money");
			return true;
		case PGT_STATE_SUM_NUMERIC:
			return merge_numeric(old, pos, neg, result);
		case PGT_STATE_SCALE:
			return merge_scale(old, pos, neg, result);
		case PGT_STATE_SUM_INTERVAL:
			return merge_interval(old, pos, neg, result);
		case PGT_STATE_SUM_FLOAT:
			return merge_float(s, old, pos, neg, result);
		case PGT_STATE_MIN:
		case PGT_STATE_MAX:
			return merge_extremum(s, m->exact, old, pos, neg, result);
		default:
			return false;
	}
}

/* ---------------------------------------------------------------- a group */

static int64
merge_count(Value old, Value change)
{
	int64		n = int8_or_zero(old) + int8_or_zero(change);

	if (n < 0)
		ereport(ERROR,
				(errcode(PGT_ERRCODE_INCONSISTENT),
				 errmsg("changes do not fit the stored groups"),
				 errdetail("A group would have " INT64_FORMAT " rows.", n)));
	return n;
}

/*
 * Old storage row (NULL: no such group) and delta row give the new storage
 * row, without finals.  New values may point into the inputs or are made in
 * the current context.  Unless the group lives, values and isnull are garbage.
 */
GroupFate
pgt_group_merge(GroupMerge *m, Datum *old_values, bool *old_isnull,
				Datum *delta, bool *delta_isnull, Datum *values, bool *isnull)
{
	int64		n;
	Value		nothing = {(Datum) 0, true};

#define OLD(col) (old_values == NULL ? nothing : (Value) {old_values[col], old_isnull[col]})
#define DELTA(col) ((Value) {delta[col], delta_isnull[col]})

	memset(isnull, true, sizeof(bool) * m->natts);
	memset(values, 0, sizeof(Datum) * m->natts);
	for (int i = 0; i < m->nkeys; i++)
	{
		Value		key = old_values == NULL ? DELTA(i) : OLD(m->keys[i]);

		values[m->keys[i]] = key.value;
		isnull[m->keys[i]] = key.isnull;
	}
	n = merge_count(OLD(m->count_col), DELTA(m->nkeys));
	if (n == 0 && m->nkeys > 0)
		return PGT_GROUP_DIES;
	values[m->count_col] = Int64GetDatum(n);
	isnull[m->count_col] = false;

	/* counts first: other states depend on them */
	for (int i = 0; i < m->nstates; i++)
	{
		MergedState *s = &m->states[i];

		if (s->kind != PGT_STATE_COUNT)
			continue;
		values[s->col] = Int64GetDatum(merge_count(OLD(s->col), DELTA(s->partial)));
		isnull[s->col] = false;
	}
	for (int i = 0; i < m->nstates; i++)
	{
		MergedState *s = &m->states[i];
		Value		result = nothing;

		if (s->kind == PGT_STATE_COUNT)
			continue;
		if (s->kind == PGT_STATE_RESCAN)
			return PGT_GROUP_RESCAN;
		if (!isnull[s->count_col] && DatumGetInt64(values[s->count_col]) == 0)
			continue;			/* of nothing: NULL */
		if (!merge_state(m, s, OLD(s->col), DELTA(s->partial), DELTA(s->partial + 1),
						 &result))
			return PGT_GROUP_RESCAN;
		values[s->col] = result.value;
		isnull[s->col] = result.isnull;
	}
	return PGT_GROUP_LIVES;

#undef OLD
#undef DELTA
}

/* ---------------------------------------------------------------- finals */

/* storage: kept by the result. */
GroupFinals *
pgt_group_finals_create(const GroupTarget *target, TupleDesc storage)
{
	GroupFinals *f = palloc0(sizeof(GroupFinals));

	f->n = target->nfinals;
	if (f->n == 0)
		return f;
	f->attnums = palloc(sizeof(AttrNumber) * f->n);
	f->exprs = palloc(sizeof(ExprState *) * f->n);
	f->econtext = CreateStandaloneExprContext();
	f->slot = MakeSingleTupleTableSlot(storage, &TTSOpsVirtual);
	for (int i = 0; i < f->n; i++)
	{
		Expr	   *expr = expression_planner(copyObject(target->finals[i].expr));

		f->attnums[i] = target->finals[i].attnum;
		f->exprs[i] = ExecInitExpr(expr, NULL);
	}
	return f;
}

/* Results live until the next call. */
void
pgt_group_finals_compute(GroupFinals *f, Datum *values, bool *isnull)
{
	int			natts;

	if (f->n == 0)
		return;
	natts = f->slot->tts_tupleDescriptor->natts;
	ResetExprContext(f->econtext);
	ExecClearTuple(f->slot);
	memcpy(f->slot->tts_values, values, sizeof(Datum) * natts);
	memcpy(f->slot->tts_isnull, isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(f->slot);
	f->econtext->ecxt_scantuple = f->slot;
	for (int i = 0; i < f->n; i++)
	{
		int			col = f->attnums[i] - 1;

		values[col] = ExecEvalExprSwitchContext(f->exprs[i], f->econtext, &isnull[col]);
	}
}

void
pgt_group_finals_free(GroupFinals *f)
{
	if (f->n == 0)
		return;
	ExecDropSingleTupleTableSlot(f->slot);
	FreeExprContext(f->econtext, true);
}
