/*-------------------------------------------------------------------------
 *
 * net.c
 *	  A row sink that only nets: for the changes of a derived stage.
 *
 * Rows that never existed, and rows that came and went, cancel here, so that
 * what later stages read is the exact change.
 *
 * IDENTIFICATION
 *	  src/refresh/net.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "rows_internal.h"

typedef struct Emission
{
	RowSink    *sink;
	ApplyEmit	emit;
	void	   *arg;
	TupleTableSlot *slot;
} Emission;

RowSink *
pgt_apply_net_begin(TupleDesc desc, int ncolumns, double expected)
{
	TupleDesc	row = CreateTemplateTupleDesc(ncolumns);
	RowSink    *s;

	for (int i = 1; i <= ncolumns; i++)
		TupleDescCopyEntry(row, i, desc, i);
	s = pgt_rows_create(row, expected);
	s->ncolumns = ncolumns;
	s->identity = true;
	return s;
}

static void
emit_hash(void *arg)
{
	Emission   *e = (Emission *) arg;
	pgt_rowhash_iterator it;
	RowEntry   *entry;
	HeapTupleData tuple;

	pgt_rowhash_start_iterate(e->sink->hash, &it);
	while ((entry = pgt_rowhash_iterate(e->sink->hash, &it)) != NULL)
	{
		RowImage   *image = entry->images;

		CHECK_FOR_INTERRUPTS();
		if (image->weight == 0)
			continue;
		pgt_image_store(image, &tuple, e->slot);
		slot_getallattrs(e->slot);
		for (int32 i = 0; i < abs(image->weight); i++)
			e->emit(e->arg, e->slot->tts_values, e->slot->tts_isnull,
					image->weight > 0 ? 1 : -1);
		ExecClearTuple(e->slot);
	}
}

void
pgt_apply_net_finish(RowSink *s, ApplyEmit emit, void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	Emission	e = {s, emit, arg, NULL};

	e.slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
	if (s->run == NULL)
		emit_hash(&e);
	else
		pgt_rows_for_stretches(s, emit_hash, &e);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(s->cxt);
}
