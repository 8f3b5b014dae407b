/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  Rows that insertions add to a recursive relation, round by round.
 *
 * R = B + S(R), S linear in R.  After insertions only, with R the stored rows,
 *
 *		D0 = delta of B + delta of S over R		from the inserted rows
 *		D1 = S(D0), D2 = S(D1), ...				over the current tables, until nothing comes
 *
 * and R grows by D0 + D1 + ...  Under UNION each round drops the rows that are
 * there, so that a cycle in the data ends it.  Removals have no such rule: a row
 * may stay because of another derivation, or because of itself; then the
 * relation is computed again and compared.
 *
 * IDENTIFICATION
 *	  src/refresh/recursion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "apply_internal.h"
#include "refresh_internal.h"

struct RecursionRound
{
	RelWriter  *w;
	TupleDesc	desc;			/* columns and weight */
	bool		is_union;
	Tuplestorestate *rows;		/* new ones */
	MemoryContext row_cxt;
	Datum	   *values;			/* the row put last, in row_cxt */
	bool	   *isnull;
	int64		count;
};

/* Changed sources have insertions only. */
bool
pgt_refresh_only_insertions(const RefreshRun *run, const Bitmapset *changed)
{
	int			source = -1;

	while ((source = bms_next_member(changed, source)) >= 0)
	{
		if (source >= list_length(run->m->def->sources) || run->sets[source] == NULL ||
			run->sets[source]->nneg > 0)
			return false;
	}
	return true;
}

RecursionRound *
pgt_refresh_round_begin(const PartitionTarget *target, const Stage *stage, TupleDesc desc,
						Snapshot snapshot, ApplyEmit emit, void *arg)
{
	RecursionRound *round = (RecursionRound *) palloc0(sizeof(RecursionRound));

	round->w = pgt_writer_open(target->relid, target->row_index, NULL, snapshot);
	round->w->emit = emit;
	round->w->emit_arg = arg;
	round->desc = desc;
	round->is_union = stage->is_union;
	round->rows = tuplestore_begin_heap(false, false, work_mem);
	round->row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle recursion row",
										   ALLOCSET_SMALL_SIZES);
	round->values = (Datum *) palloc(sizeof(Datum) * desc->natts);
	round->isnull = (bool *) palloc(sizeof(bool) * desc->natts);
	return round;
}

static bool
is_stored(RelWriter *w, Datum *values, bool *isnull)
{
	Datum		keys[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < w->nkeys; i++)
	{
		keys[i] = values[w->keys[i] - 1];
		nulls[i] = isnull[w->keys[i] - 1];
	}
	pgt_writer_seek(w, keys, nulls);
	return pgt_writer_next(w);
}

/* Copies of a row come one after the other: is it the one put last again? */
static bool
is_copy(const RecursionRound *round, Datum *values, bool *isnull)
{
	if (round->count == 0)
		return false;
	for (int i = 0; i < round->desc->natts - 1; i++)
	{
		Form_pg_attribute att = TupleDescAttr(round->desc, i);

		if (isnull[i] != round->isnull[i] ||
			(!isnull[i] && !datumIsEqual(values[i], round->values[i], att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

static void
keep_row(RecursionRound *round, Datum *values, bool *isnull)
{
	MemoryContext old;
	int			n = round->desc->natts - 1;

	MemoryContextReset(round->row_cxt);
	old = MemoryContextSwitchTo(round->row_cxt);
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(round->desc, i);

		round->isnull[i] = isnull[i];
		round->values[i] = isnull[i] ? (Datum) 0 : datumCopy(values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
	round->values[n] = Int32GetDatum(1);
	round->isnull[n] = false;
}

/* A row that the round derived, net. */
void
pgt_refresh_round_put(void *arg, Datum *values, bool *isnull, int32 weight)
{
	RecursionRound *round = (RecursionRound *) arg;

	if (weight < 0)
		ereport(ERROR,
				(errcode(PGT_ERRCODE_INCONSISTENT),
				 errmsg("insertions take a row from a recursive relation")));
	if (round->is_union)
	{
		if (is_copy(round, values, isnull) || is_stored(round->w, values, isnull))
			return;
		weight = 1;
	}
	keep_row(round, values, isnull);
	for (; weight > 0; weight--)
	{
		CHECK_FOR_INTERRUPTS();
		pgt_writer_insert_values(round->w, round->values, round->isnull);
		tuplestore_putvalues(round->rows, round->desc, round->values, round->isnull);
		round->count++;
	}
}

/* The new rows with their weight, for the next round; the caller ends the tuplestore. */
Tuplestorestate *
pgt_refresh_round_end(RecursionRound *round, int64 *count)
{
	Tuplestorestate *rows = round->rows;

	pgt_writer_close(round->w);
	MemoryContextDelete(round->row_cxt);
	*count = round->count;
	return rows;
}
