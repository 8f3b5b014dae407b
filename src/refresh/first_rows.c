/*-------------------------------------------------------------------------
 *
 * first_rows.c
 *	  Merging changes into the first n rows in some order.
 *
 * Let R be the stored rows, z the last of them, and D the change, without rows that
 * rank after z while R is full (delta/limit.c).  Each row that is not in
 *
 *		K = R - removed rows of D + added rows of D
 *
 * ranks at z or after it: it did before, and what is new is in D.  So, with n rows or
 * more in K, its first n are the result; with less the rows have to be looked up
 * again.  If R was not full, it held all rows, and K does, too.
 *
 * Without WITH TIES, R holds some of the rows that are equal to z in the order; a row that is
 * removed and not in R was one of the others.  Stored rows come before equal
 * new ones, so that nothing is replaced without need.
 *
 * IDENTIFICATION
 *	  src/refresh/first_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_operator_d.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/tuplesort.h"

#include "refresh_internal.h"

struct FirstRows
{
	MemoryContext cxt;
	const Stage *stage;
	const RowTarget *target;
	Snapshot	snapshot;
	int			ncolumns;		/* of the stage; one more in the sort: is it new? */
	TupleTableSlot *slot;		/* a row of the sort */
	Tuplesortstate *sort;
	SortSupport order;			/* by what comes before that column */
	RowSink    *removed;		/* NULL: nothing is */
	int64		changes;
	int64		stored;
	int64		rows;			/* in the sort */
	bool		is_new;			/* those being put */
};

static Tuplesortstate *
begin_sort(FirstRows *f, TupleDesc desc)
{
	int			n = list_length(f->stage->order);
	AttrNumber *attnums = (AttrNumber *) palloc(sizeof(AttrNumber) * (n + 1));
	Oid		   *operators = (Oid *) palloc(sizeof(Oid) * (n + 1));
	Oid		   *collations = (Oid *) palloc(sizeof(Oid) * (n + 1));
	bool	   *nulls_first = (bool *) palloc(sizeof(bool) * (n + 1));
	ListCell   *lc;

	f->order = (SortSupport) palloc0(sizeof(SortSupportData) * n);
	foreach(lc, f->stage->order)
	{
		SortColumn *column = (SortColumn *) lfirst(lc);
		int			i = foreach_current_index(lc);

		attnums[i] = column->column;
		operators[i] = column->sortop;
		collations[i] = TupleDescAttr(desc, column->column - 1)->attcollation;
		nulls_first[i] = column->nulls_first;
		f->order[i].ssup_cxt = CurrentMemoryContext;
		f->order[i].ssup_collation = collations[i];
		f->order[i].ssup_nulls_first = nulls_first[i];
		f->order[i].ssup_attno = attnums[i];
		PrepareSortSupportFromOrderingOp(operators[i], &f->order[i]);
	}
	attnums[n] = f->ncolumns + 1;
	operators[n] = Int4LessOperator;
	collations[n] = InvalidOid;
	nulls_first[n] = false;
	return tuplesort_begin_heap(desc, n + 1, attnums, operators, collations, nulls_first,
								work_mem, NULL, TUPLESORT_NONE);
}

/* target: where the stage's rows are. */
FirstRows *
pgt_refresh_first_rows_begin(const Stage *stage, const RowTarget *target, Snapshot snapshot)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle first rows",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	FirstRows  *f = (FirstRows *) palloc0(sizeof(FirstRows));
	TupleDesc	desc = pgt_refresh_stage_desc(stage, "is_new");

	f->cxt = cxt;
	f->stage = stage;
	f->target = target;
	f->snapshot = snapshot;
	f->ncolumns = list_length(stage->columns);
	f->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	f->sort = begin_sort(f, desc);
	f->is_new = true;
	MemoryContextSwitchTo(old);
	return f;
}

static void
put_row(FirstRows *f, Datum *values, bool *isnull)
{
	ExecClearTuple(f->slot);
	memcpy(f->slot->tts_values, values, sizeof(Datum) * f->ncolumns);
	memcpy(f->slot->tts_isnull, isnull, sizeof(bool) * f->ncolumns);
	f->slot->tts_values[f->ncolumns] = Int32GetDatum(f->is_new ? 1 : 0);
	f->slot->tts_isnull[f->ncolumns] = false;
	ExecStoreVirtualTuple(f->slot);
	tuplesort_puttupleslot(f->sort, f->slot);
	f->rows++;
}

/* An ApplyEmit, arg is the FirstRows: a row of the change, net. */
void
pgt_refresh_first_rows_change(void *arg, Datum *values, bool *isnull, int32 weight)
{
	FirstRows  *f = (FirstRows *) arg;

	f->changes++;
	if (weight > 0)
	{
		put_row(f, values, isnull);
		return;
	}
	if (f->removed == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(f->cxt);

		f->removed = pgt_apply_net_begin(f->slot->tts_tupleDescriptor, f->ncolumns, 0);
		MemoryContextSwitchTo(old);
	}
	pgt_apply_rows_put(f->removed, values, isnull, -1);
}

/* Stored rows less those removed. */
static void
put_stored(void *arg, Datum *values, bool *isnull, int32 weight)
{
	FirstRows  *f = (FirstRows *) arg;

	if (weight > 0)
		put_row(f, values, isnull);
	else if (f->stored < f->stage->limit_rows || f->stage->with_ties)
		ereport(ERROR,
				(errcode(PGT_ERRCODE_INCONSISTENT),
				 errmsg("a row that is removed is not among the first rows")));
}

static void
read_stored(FirstRows *f)
{
	Relation	rel = table_open(f->target->relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, f->snapshot, 0, NULL);
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * f->ncolumns);
	bool	   *isnull = (bool *) palloc(sizeof(bool) * f->ncolumns);

	f->is_new = false;
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		for (int i = 0; i < f->ncolumns; i++)
		{
			values[i] = slot->tts_values[f->target->attnums[i] - 1];
			isnull[i] = slot->tts_isnull[f->target->attnums[i] - 1];
		}
		f->stored++;
		if (f->removed)
			pgt_apply_rows_put(f->removed, values, isnull, 1);
		else
			put_row(f, values, isnull);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	if (f->removed)
		pgt_apply_net_finish(f->removed, put_stored, f);
	f->removed = NULL;
}

static bool
is_equal(FirstRows *f, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < list_length(f->stage->order); i++)
	{
		int			column = f->order[i].ssup_attno - 1;

		if (ApplySortComparator(a->tts_values[column], a->tts_isnull[column],
								b->tts_values[column], b->tts_isnull[column],
								&f->order[i]) != 0)
			return false;
	}
	return true;
}

static void
feed_first_rows(FirstRows *f, RowSink *sink)
{
	int64		limit = f->stage->limit_rows;
	TupleDesc	desc = f->slot->tts_tupleDescriptor;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *last = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	int64		n = 0;

	tuplesort_performsort(f->sort);
	while (limit > 0 && tuplesort_gettupleslot(f->sort, true, false, slot, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (n >= limit && !(f->stage->with_ties && is_equal(f, slot, last)))
			break;
		pgt_apply_rows_put(sink, slot->tts_values, slot->tts_isnull, 1);
		if (++n == limit)
		{
			if (!f->stage->with_ties)
				break;
			ExecCopySlot(last, slot);
			slot_getallattrs(last);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(last);
}

/* Merged: the sink has got the first rows.  Otherwise it has got none. */
FirstRowsOutcome
pgt_refresh_first_rows_finish(FirstRows *f, RowSink *sink)
{
	MemoryContext old = MemoryContextSwitchTo(f->cxt);
	FirstRowsOutcome outcome = PGT_FIRST_UNCHANGED;

	if (f->changes > 0)
	{
		read_stored(f);
		if (f->stored >= f->stage->limit_rows && f->rows < f->stage->limit_rows)
			outcome = PGT_FIRST_UNKNOWN;
		else
		{
			outcome = PGT_FIRST_MERGED;
			feed_first_rows(f, sink);
		}
	}
	tuplesort_end(f->sort);
	ExecDropSingleTupleTableSlot(f->slot);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(f->cxt);
	return outcome;
}
