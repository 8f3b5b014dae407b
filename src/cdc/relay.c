/*-------------------------------------------------------------------------
 *
 * relay.c
 *	  Changes of a stream table, handed in memory to readers that are refreshed
 *	  in the same transaction.
 *
 * Who refreshes several stream tables in one transaction says which ones before
 * it begins.  What a refresh then changes goes to a relay, a tuplestore, instead of the
 * change buffer, if all readers of the stream table are still to be refreshed in
 * this transaction.  Their windows find it there, beside what the buffer has for
 * them.  Nobody else ever needs the rows, and they are never written:
 *
 *		c1		relay of c1
 *		c2		reads the buffer of c1, which is empty, and the relay; relay of c2
 *		c3		...
 *		end		all relays have been taken: nothing to write
 *
 * A relay counts as one change of the transaction, with one statement number, given
 * when it is complete.  Whether a reader has taken it is therefore what its frontier
 * says, as it is for rows of a buffer.  A reader that was left out, or whose
 * subtransaction was rolled back, has a frontier without it; for its sake the rows are
 * written to the buffer in the end, under the number that they had from the
 * beginning, so that the other readers' frontiers say that they are consumed.
 *
 * A subtransaction that is rolled back takes the relays with it that were made in it.
 *
 * New readers.  One that begins to read the stream table while we are at it, with a
 * snapshot that does not see our changes, would find them nowhere.  Whoever begins to
 * read a stream table holds ShareUpdateExclusiveLock on it (attach.c); so does a
 * refresh that uses a relay, if it gets the lock at once, and looks for readers only
 * then.
 *
 * IDENTIFICATION
 *	  src/cdc/relay.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "cdc_internal.h"

/* Who is still to be refreshed in this transaction; NULL context: nobody said. */
static MemoryContext relay_context = NULL;
static SubTransactionId announced_in = InvalidSubTransactionId;
static int64 *announced = NULL;
static int	nannounced = 0;
static List *relays = NIL;

/* ---- life ---- */

static void
destroy(Relay *relay)
{
	relays = list_delete_ptr(relays, relay);
	if (relay->store)
		tuplestore_end(relay->store);
	MemoryContextDelete(relay->cxt);
}

/* Memory and files go with the transaction. */
static void
forget_all(void)
{
	relay_context = NULL;
	announced = NULL;
	nannounced = 0;
	relays = NIL;
}

static void
xact_callback(XactEvent event, void *arg)
{
	/* the caller has to end what it began: changes would be lost */
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) && relays != NIL)
		elog(ERROR, "changes of a stream table were not handed on");
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		forget_all();
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (relay_context == NULL ||
		(event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB))
		return;
	foreach(lc, list_copy(relays))
	{
		Relay	   *relay = lfirst(lc);

		if (relay->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			destroy(relay);
		else
			relay->subid = parent;
	}
	if (announced_in == mine && event == SUBXACT_EVENT_COMMIT_SUB)
		announced_in = parent;
	else if (announced_in == mine)
	{
		MemoryContextDelete(relay_context);
		forget_all();
	}
}

/*
 * These stream tables will be refreshed in this transaction, in an order in which
 * readers come after what they read.  To be ended by pgt_cdc_relays_end().
 */
void
pgt_cdc_relays_begin(const int64 *readers, int n)
{
	static bool registered = false;

	Assert(relay_context == NULL);
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	relay_context = AllocSetContextCreate(TopTransactionContext, "pg_trickle relays",
										  ALLOCSET_DEFAULT_SIZES);
	announced_in = GetCurrentSubTransactionId();
	announced = MemoryContextAlloc(relay_context, sizeof(int64) * Max(n, 1));
	memcpy(announced, readers, sizeof(int64) * n);
	nannounced = n;
}

/* ---- filling ---- */

static bool
is_announced(int64 pgt_id)
{
	for (int i = 0; i < nannounced; i++)
		if (announced[i] == pgt_id)
			return true;
	return false;
}

/* The stream tables that read the source, if all of them will look here; else 0. */
static int
find_readers(Oid source, int64 **readers)
{
	List	   *consumers = pgt_catalog_list_consumers(source);
	int			n = 0;
	ListCell   *lc;

	*readers = palloc(sizeof(int64) * Max(list_length(consumers), 1));
	foreach(lc, consumers)
	{
		Dependency *dep = lfirst(lc);

		if (!is_announced(dep->pgt_id))
			return 0;
		(*readers)[n++] = dep->pgt_id;
	}
	return n;
}

/*
 * For changes with the columns of the segment.  NULL: they have to be written there.
 */
Relay *
pgt_cdc_relay_begin(const ChangeSource *cs, Oid segment, TupleDesc desc)
{
	MemoryContext cxt;
	MemoryContext old;
	ResourceOwner owner = CurrentResourceOwner;
	Relay	   *relay;
	int64	   *readers;
	ListCell   *lc;

	if (relay_context == NULL)
		return NULL;
	foreach(lc, relays)
		if (((Relay *) lfirst(lc))->source == cs->relid)
			return NULL;
	/* the lock first: see above */
	if (!ConditionalLockRelationOid(cs->relid, ShareUpdateExclusiveLock) ||
		find_readers(cs->relid, &readers) == 0)
		return NULL;

	cxt = AllocSetContextCreate(relay_context, "pg_trickle relay", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	relay = palloc0(sizeof(Relay));
	relay->cxt = cxt;
	relay->source = cs->relid;
	relay->segment = segment;
	relay->subid = GetCurrentSubTransactionId();
	relay->nreaders = find_readers(cs->relid, &relay->readers);
	relay->touches = cs->touches;
	relay->desc = CreateTupleDescCopy(desc);
	relay->row_context = AllocSetContextCreate(cxt, "pg_trickle relay row",
											   ALLOCSET_SMALL_SIZES);
	/* its files outlive the subtransaction of this refresh */
	CurrentResourceOwner = TopTransactionResourceOwner;
	relay->store = tuplestore_begin_heap(false, false, work_mem);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(relay_context);
	relays = lappend(relays, relay);
	MemoryContextSwitchTo(old);
	return relay;
}

void
pgt_cdc_relay_touch(Relay *relay)
{
	relay->used = true;
}

/*
 * values and isnull: as for a row of the segment.  Out-of-line values are taken in, as
 * their rows may be gone when the relay is read.
 */
void
pgt_cdc_relay_put(Relay *relay, Datum *values, bool *isnull, int sign)
{
	MemoryContext old = MemoryContextSwitchTo(relay->row_context);

	values[0] = UInt64GetDatum(0);
	values[1] = Int32GetDatum(sign);
	isnull[0] = isnull[1] = false;
	for (int i = PGT_BUFFER_FIXED; i < relay->desc->natts; i++)
	{
		if (!isnull[i] && TupleDescAttr(relay->desc, i)->attlen == -1 &&
			VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
	}
	tuplestore_putvalues(relay->store, relay->desc, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(relay->row_context);
	relay->used = true;
	if (sign > 0)
		relay->npos++;
	else
		relay->nneg++;
}

/* All is there.  Without changes, nothing remains of it. */
void
pgt_cdc_relay_complete(Relay *relay)
{
	if (!relay->used)
	{
		destroy(relay);
		return;
	}
	relay->xid = pgt_cdc_current_xid();
	relay->seq = pgt_cdc_statement_seq(relay->xid, GetCurrentCommandId(true));
}

/* ---- reading ---- */

/* What a window with this frontier and snapshot has to read, or NULL. */
Relay *
pgt_cdc_relay_find(Oid source, const Frontier *from, uint64 own_xid, int32 own_seq)
{
	ListCell   *lc;

	foreach(lc, relays)
	{
		Relay	   *relay = lfirst(lc);

		if (relay->source == source && relay->seq != 0 && relay->xid == own_xid &&
			relay->seq <= own_seq && !pgt_frontier_has_consumed(from, relay->xid, relay->seq))
			return relay;
	}
	return NULL;
}

/* To be given to pgt_cdc_relay_next(); reads from the start. */
int
pgt_cdc_relay_open(Relay *relay)
{
	int			pointer = tuplestore_alloc_read_pointer(relay->store, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(relay->store, pointer);
	tuplestore_rescan(relay->store);
	return pointer;
}

bool
pgt_cdc_relay_next(Relay *relay, int pointer, TupleTableSlot *slot)
{
	tuplestore_select_read_pointer(relay->store, pointer);
	return tuplestore_gettupleslot(relay->store, true, false, slot);
}

/* The sign of a row that was read. */
int
pgt_cdc_relay_sign(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt32(slot_getattr(slot, 2, &isnull));
}

/* ---- the end ---- */

static void
write_rows(Relay *relay, BufferWriter *w)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(relay->desc, &TTSOpsMinimalTuple);
	int			pointer = pgt_cdc_relay_open(relay);

	while (pgt_cdc_relay_next(relay, pointer, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		pgt_cdc_buffer_add(w, slot->tts_values, slot->tts_isnull, pgt_cdc_relay_sign(slot));
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Of one that is not complete: gives it up, to one who has begun to write the buffer. */
void
pgt_cdc_relay_spill(Relay *relay, BufferWriter *w)
{
	write_rows(relay, w);
	destroy(relay);
}

/* The rows are those of a statement of earlier, which somebody has seen. */
static void
write_to_buffer(Relay *relay)
{
	Relation	segment = try_table_open(relay->segment, RowExclusiveLock);
	BufferWriter *w;

	if (segment == NULL)
		return;
	pgt_cdc_wakeup_note(relay->source);
	w = pgt_cdc_buffer_open(relay->segment, relay->desc);
	pgt_cdc_buffer_set_seq(w, relay->seq);
	if (relay->touches)
		pgt_cdc_buffer_add_touch(w);
	write_rows(relay, w);
	pgt_cdc_buffer_close(w);
	table_close(segment, NoLock);
}

/* Has it taken the changes, or does it begin anew and need none? */
static bool
has_taken(const Relay *relay, int64 reader)
{
	StreamTable *st = pgt_catalog_get_stream_table_by_id(reader, true);
	RefreshState *state;

	if (st == NULL || st->needs_reinit)
		return true;
	state = pgt_catalog_get_refresh_state(reader, false);
	return state == NULL || state->frontier == NULL ||
		pgt_frontier_has_consumed(state->frontier, relay->xid, relay->seq);
}

/*
 * The refresh of a reader has ended, well or not: relays that nobody needs any
 * more go.
 */
void
pgt_cdc_relays_settle(int64 reader)
{
	ListCell   *lc;

	for (int i = 0; i < nannounced; i++)
		if (announced[i] == reader)
			announced[i] = 0;
	if (relays == NIL)
		return;
	CommandCounterIncrement();
	foreach(lc, list_copy(relays))
	{
		Relay	   *relay = lfirst(lc);

		for (int i = 0; i < relay->nreaders; i++)
		{
			if (relay->readers[i] != reader || !has_taken(relay, reader))
				continue;
			relay->readers[i] = relay->readers[--relay->nreaders];
			break;
		}
		if (relay->nreaders == 0)
			destroy(relay);
	}
}

/* Writes what somebody still needs. */
void
pgt_cdc_relays_end(void)
{
	ListCell   *lc;

	foreach(lc, relays)
		write_to_buffer(lfirst(lc));
	while (relays != NIL)
		destroy(linitial(relays));
	if (relay_context)
		MemoryContextDelete(relay_context);
	forget_all();
}
