/*-------------------------------------------------------------------------
 *
 * rows_append.c
 *	  The row sinks where rows are only added.
 *
 * Without rows to remove there is nothing to net and nothing to look up.  Rows
 * are kept until they fill the memory of the sink, put into the order of the
 * index that identifies them (without that, each would touch another page of
 * it), and written while the statement that delivers them is running.  It does
 * not see them, as its snapshot is of an earlier command.
 *
 * A key that is there already is found by the unique index.  The caller takes
 * that as it takes any row that does not fit: it recomputes.
 *
 * IDENTIFICATION
 *	  src/refresh/rows_append.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "rows_internal.h"

typedef struct AppendedRow
{
	uint64		order;			/* follows the index, roughly */
	RowImage   *image;
} AppendedRow;

struct RowAppend
{
	RelWriter  *w;
	TupleTableSlot *slot;		/* shows an image, for the index of a bag */
	HeapTupleData tuple;
	bool		by_hash;		/* order is the value of that index */
	AppendedRow *rows;
	int64		nrows;
	int64		maxrows;
};

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE AppendedRow
#define ST_COMPARE(a, b) ((a)->order < (b)->order ? -1 : (a)->order > (b)->order)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

bool
pgt_apply_rows_append(RowSink *s, ApplyEmit emit, void *arg)
{
	MemoryContext old;
	RowAppend  *a;

	Assert(s->received == 0 && !s->subtract_stored);
	/* a writer with triggers is a query level, and the statement is one inside */
	if (pgt_apply_has_user_triggers(s->relid))
		return false;
	old = MemoryContextSwitchTo(s->cxt);
	a = s->append = palloc0(sizeof(RowAppend));
	a->w = pgt_writer_open(s->relid, s->index, NULL, s->snapshot);
	a->w->emit = emit;
	a->w->emit_arg = arg;
	a->slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
	a->by_hash = s->nkeys == 0 && a->w->index != NULL &&
		TupleDescAttr(RelationGetDescr(a->w->index), 0)->attbyval;
	a->maxrows = 1024;
	a->rows = palloc(sizeof(AppendedRow) * a->maxrows);
	MemoryContextSwitchTo(old);
	return true;
}

static uint64
order_by_hash(RowAppend *a, RowImage *image)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	pgt_image_store(image, &a->tuple, a->slot);
	GetPerTupleExprContext(a->w->estate)->ecxt_scantuple = a->slot;
	FormIndexDatum(a->w->index_info, a->slot, a->w->estate, values, isnull);
	ResetPerTupleExprContext(a->w->estate);
	return (uint64) values[0] ^ (UINT64CONST(1) << 63);
}

/* Writes what is kept, in order. */
static void
write_rows(RowSink *s)
{
	RowAppend  *a = s->append;

	sort_rows(a->rows, a->nrows);
	for (int64 i = 0; i < a->nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		pgt_writer_insert_image(a->w, a->rows[i].image);
	}
	/* the batch points to its images until it is written */
	pgt_writer_flush(a->w);
	a->nrows = 0;
	ExecClearTuple(a->slot);
	pgt_arena_reset(s->arena);
}

static void
keep_row(RowSink *s, uint64 order, RowImage *image)
{
	RowAppend  *a = s->append;

	if (a->nrows == a->maxrows)
	{
		a->maxrows *= 2;
		a->rows = repalloc_huge(a->rows, sizeof(AppendedRow) * a->maxrows);
	}
	a->rows[a->nrows].order = order;
	a->rows[a->nrows++].image = image;
}

/* values: canonical, by attnum - 1. */
void
pgt_rows_append_put(RowSink *s, Datum *values, bool *isnull, int32 weight)
{
	RowAppend  *a = s->append;
	MemoryContext old = MemoryContextSwitchTo(s->tmp);
	RowImage   *image;
	uint64		order;

	if (weight < 0)
		ereport(ERROR,
				(errcode(PGT_ERRCODE_INCONSISTENT),
				 errmsg("a row of \"%s\" would be removed by a change that only adds rows",
						RelationGetRelationName(a->w->rel))));
	if (s->arena->used + a->maxrows * sizeof(AppendedRow) > s->memory_limit)
		write_rows(s);
	image = pgt_image_form(s->format, s->arena, values, isnull);
	order = a->by_hash ? order_by_hash(a, image) : pgt_rows_order(s, values, isnull);
	for (; weight > 0; weight--)
		keep_row(s, order, image);
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->tmp);
}

void
pgt_rows_append_finish(RowSink *s, ApplyStats *stats)
{
	RowAppend  *a = s->append;

	write_rows(s);
	ExecDropSingleTupleTableSlot(a->slot);
	pgt_writer_close(a->w);
	stats->inserted += a->w->inserted;
	stats->strategy = "append";
}
