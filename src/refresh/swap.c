/*-------------------------------------------------------------------------
 *
 * swap.c
 *	  The swap sink: new content in a new file.
 *
 * The relation gets a new, empty file (its TOAST table, too), rows are appended
 * to it in batches, frozen and without index entries, and at the end all
 * indexes are built.  That is TRUNCATE and COPY FREEZE in one: much cheaper
 * than inserting row by row, undone when the (sub)transaction aborts, but
 * not for eyes with an older snapshot.
 *
 * The rows may come from a parallel plan: everything that cannot be
 * done in parallel mode (a transaction id, a command id, the new file)
 * is done at begin.
 *
 * IDENTIFICATION
 *	  src/refresh/swap.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/pg_publication.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/compat_exec.h"

#include "apply_internal.h"

#define SWAP_BATCH 1000
#define SWAP_BATCH_BYTES (256 * 1024)

typedef struct SwapReceiver
{
	DestReceiver pub;
	SwapSink   *sink;
} SwapReceiver;

struct SwapSink
{
	MemoryContext cxt;
	MemoryContext batch_cxt;	/* tuples of the batch; reset when written */
	Relation	rel;
	ImageFormat *format;
	int			ncolumns;
	AttrNumber *attnums;
	bool		identity;
	Datum	   *values;
	bool	   *isnull;
	int			options;
	CommandId	cid;
	BulkInsertState bistate;
	TupleTableSlot *slots[SWAP_BATCH];
	int			nslots;
	int			nbatch;
	Size		batch_bytes;
	int64		rows;
	SwapReceiver receiver;
};

/*
 * Does anything but our guard look at the rows that are written?  Triggers,
 * foreign keys among them, or logical replication, which would send the new
 * rows without removing the old ones.
 */
bool
pgt_apply_has_user_triggers(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	/* a copy: looking up our function may rebuild the relation's cache entry */
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	bool		result = false;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (!pgt_writer_is_guard(triggers->triggers[i].tgfoid))
			result = true;
	if (!result && RelationIsLogicallyLogged(rel))
	{
		PublicationDesc published;

		RelationBuildPublicationDesc(rel, &published);
		result = published.pubactions.pubinsert || published.pubactions.pubupdate ||
			published.pubactions.pubdelete || published.pubactions.pubtruncate;
	}
	table_close(rel, NoLock);
	return result;
}

/* ---------------------------------------------------------------- a new file */

static void
reindex_all(Oid relid, int flags)
{
	ReindexParams params = {0};

	reindex_relation(NULL, relid, flags, &params);
}

static void
set_new_file(Relation rel)
{
	Oid			toast = rel->rd_rel->reltoastrelid;

	CheckTableNotInUse(rel, "REFRESH STREAM TABLE");
	CheckTableForSerializableConflictIn(rel);
	RelationSetNewRelfilenumber(rel, rel->rd_rel->relpersistence);
	if (OidIsValid(toast))
	{
		Relation	toastrel = table_open(toast, AccessExclusiveLock);

		RelationSetNewRelfilenumber(toastrel, toastrel->rd_rel->relpersistence);
		table_close(toastrel, NoLock);
		/* its index is written while rows are appended */
		reindex_all(toast, 0);
	}
	pgstat_count_truncate(rel);
}

SwapSink *
pgt_apply_swap_begin(const RowTarget *target)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle swap sink",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	SwapSink   *s = palloc0(sizeof(SwapSink));

	s->cxt = cxt;
	s->batch_cxt = AllocSetContextCreate(cxt, "pg_trickle swap batch",
										 ALLOCSET_DEFAULT_SIZES);
	s->rel = table_open(target->relid, NoLock);
	Assert(CheckRelationLockedByMe(s->rel, AccessExclusiveLock, false));
	set_new_file(s->rel);

	s->format = pgt_image_format_create(RelationGetDescr(s->rel));
	s->ncolumns = target->ncolumns;
	s->attnums = palloc(sizeof(AttrNumber) * (s->ncolumns + 1));
	memcpy(s->attnums, target->attnums, sizeof(AttrNumber) * s->ncolumns);
	s->identity = s->ncolumns == s->format->natts && !s->format->nested;
	for (int i = 0; i < s->ncolumns; i++)
		s->identity &= s->attnums[i] == i + 1;
	s->values = palloc0(sizeof(Datum) * (s->format->natts + 1));
	s->isnull = palloc(sizeof(bool) * (s->format->natts + 1));
	memset(s->isnull, true, sizeof(bool) * s->format->natts);

	(void) GetCurrentTransactionId();
	s->cid = GetCurrentCommandId(true);
	s->options = TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN;
	s->bistate = GetBulkInsertState();
	MemoryContextSwitchTo(old);
	return s;
}

/* ---------------------------------------------------------------- feeding */

static void
write_batch(SwapSink *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->batch_cxt);

	table_multi_insert(s->rel, s->slots, s->nbatch, s->cid, s->options, s->bistate);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < s->nbatch; i++)
	{
		/* the tuples go with their context */
		s->slots[i]->tts_flags &= ~TTS_FLAG_SHOULDFREE;
		ExecClearTuple(s->slots[i]);
	}
	MemoryContextReset(s->batch_cxt);
	s->nbatch = 0;
	s->batch_bytes = 0;
}

void
pgt_apply_swap_put(SwapSink *s, Datum *values, bool *isnull)
{
	MemoryContext old;
	HeapTuple	tuple;

	if (s->nbatch == SWAP_BATCH || s->batch_bytes >= SWAP_BATCH_BYTES)
	{
		CHECK_FOR_INTERRUPTS();
		write_batch(s);
	}
	if (s->nbatch == s->nslots)
	{
		old = MemoryContextSwitchTo(s->cxt);
		s->slots[s->nslots++] = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	old = MemoryContextSwitchTo(s->batch_cxt);
	if (!s->identity)
	{
		for (int i = 0; i < s->ncolumns; i++)
		{
			s->values[s->attnums[i] - 1] = values[i];
			s->isnull[s->attnums[i] - 1] = isnull[i];
		}
		if (s->format->nested)
			pgt_image_canonicalise(s->format, s->values, s->isnull);
		values = s->values;
		isnull = s->isnull;
	}
	tuple = heap_form_tuple(s->format->desc, values, isnull);
	MemoryContextSwitchTo(old);
	ExecStoreHeapTuple(tuple, s->slots[s->nbatch], false);
	/* looks materialised, so that table_multi_insert makes no copy */
	s->slots[s->nbatch]->tts_flags |= TTS_FLAG_SHOULDFREE;
	s->nbatch++;
	s->batch_bytes += tuple->t_len;
	s->rows++;
}

static void
swap_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	SwapSink   *s = ((SwapReceiver *) self)->sink;

	if (desc->natts != s->ncolumns)
		elog(ERROR, "swap sink fed with %d columns instead of %d", desc->natts, s->ncolumns);
}

static bool
swap_receive(TupleTableSlot *slot, DestReceiver *self)
{
	slot_getallattrs(slot);
	pgt_apply_swap_put(((SwapReceiver *) self)->sink, slot->tts_values, slot->tts_isnull);
	return true;
}

static void
swap_nothing(DestReceiver *self)
{
}

DestReceiver *
pgt_apply_swap_receiver(SwapSink *s)
{
	SwapReceiver *r = &s->receiver;

	r->pub.receiveSlot = swap_receive;
	r->pub.rStartup = swap_startup;
	r->pub.rShutdown = swap_nothing;
	r->pub.rDestroy = swap_nothing;
	r->pub.mydest = DestNone;
	r->sink = s;
	return &r->pub;
}

/* ---------------------------------------------------------------- end */

void
pgt_apply_swap_finish(SwapSink *s, ApplyStats *stats)
{
	Oid			relid = RelationGetRelid(s->rel);
	MemoryContext old = MemoryContextSwitchTo(s->cxt);

	if (s->nbatch > 0)
		write_batch(s);
	for (int i = 0; i < s->nslots; i++)
		ExecDropSingleTupleTableSlot(s->slots[i]);
	FreeBulkInsertState(s->bistate);
	table_finish_bulk_insert(s->rel, s->options);
	table_close(s->rel, NoLock);

	/* unique indexes are checked as they are built */
	CommandCounterIncrement();
	reindex_all(relid, REINDEX_REL_CHECK_CONSTRAINTS);

	stats->received += s->rows;
	stats->inserted += s->rows;
	stats->strategy = "swap";
	MemoryContextSwitchTo(old);
	MemoryContextDelete(s->cxt);
}
