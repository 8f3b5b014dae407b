/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  Appending rows to a change buffer segment.
 *
 * Rows go to the end of the segment only: the transaction has its xid before
 * it looks for the last page, no free space map is used, and no page that was
 * last before is filled later by somebody else.  That is what lets a reader
 * skip blocks by position (see window.c).  A batch extends the file by all
 * pages it needs at once; the pages are known to this writer alone, and only
 * until the batch is written, so they too are filled by a transaction whose xid
 * is older than the extension.  Somebody else may find the last one of them to
 * be the end of the file, and fill it, too.
 *
 * Rows are formed side by side in one piece of memory that is kept for the
 * life of the backend, and are handed to heap_multi_insert() through slots
 * that just point at them.
 *
 * IDENTIFICATION
 *	  src/cdc/buffer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/hio.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "pgtrickle/compat.h"

#include "cdc_internal.h"

#define BATCH_ROWS		1000
#define BATCH_BYTES		(64 * 1024)
#define SMALL_BATCH_ROWS	16

/*
 * A slot that heap_multi_insert() takes: its tuple is what it points at, and
 * needs no further copy.
 */
typedef struct BatchSlot
{
	TupleTableSlot base;
	HeapTupleData tuple;
} BatchSlot;

typedef struct Batch
{
	char	   *memory;			/* BATCH_BYTES for rows */
	BatchSlot  *slots;			/* BATCH_ROWS */
	TupleTableSlot **pointers;	/* to the slots */
} Batch;

struct BufferWriter
{
	MemoryContext context;		/* that it was opened in, for what it keeps */
	Relation	rel;
	TupleDesc	desc;
	uint64		xid;
	int32		seq;			/* of all rows; 0: the statement's */
	Batch	   *batch;
	int			nrows;			/* in the batch */
	Size		used;			/* of batch->memory */
	char	   *large;			/* last row, when it did not fit into that */
	BulkInsertState bulk;
	MemoryContext flush_context;
	Datum	   *null_values;	/* for markers */
	bool	   *nulls;
	MemoryContextCallback release;
};

/*
 * The batch that is kept.  Writers besides its owner (one capture may serve
 * several sources, and a refresh may fire captures) have one of their own.
 */
static Batch *kept_batch = NULL;
static BufferWriter *kept_batch_owner = NULL;

/*
 * The segment that this transaction has written last.  It may go on filling a
 * page that was the last one when it came there, after its xid.
 */
static struct
{
	uint64		xid;
	Oid			segment;
}			last_target;

/* ---- the statement counter ---- */

static struct
{
	uint64		xid;
	int32		seq;
	CommandId	cid;			/* of seq */
	CommandId	previous_cid;	/* of seq - 1 */
}			counter;

uint64
pgt_cdc_current_xid(void)
{
	return U64FromFullTransactionId(GetTopFullTransactionId());
}

int32
pgt_cdc_statement_seq(uint64 xid, CommandId cid)
{
	if (counter.xid != xid)
	{
		counter.xid = xid;
		counter.seq = 0;
		counter.cid = InvalidCommandId;
	}
	if (counter.seq == 0 || counter.cid != cid)
	{
		if (counter.seq >= PGT_SEQ_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many statements with captured changes in one transaction")));
		counter.previous_cid = counter.cid;
		counter.cid = cid;
		counter.seq++;
	}
	return counter.seq;
}

/*
 * The largest number whose rows a snapshot with this command id sees, all of
 * them.  Command ids only grow in a transaction, subtransaction aborts
 * included, and so do the numbers.
 */
int32
pgt_cdc_visible_seq(uint64 xid, CommandId curcid)
{
	if (counter.xid != xid || counter.seq == 0 || xid == 0)
		return 0;
	if (counter.cid < curcid)
		return counter.seq;
	if (counter.seq > 1 && counter.previous_cid >= curcid)
		elog(ERROR, "snapshot of command %u is too old for a frontier", curcid);
	return counter.seq - 1;
}

/*
 * The last window of this transaction, taken after it had an xid.  A statement
 * that began before it, and whose capture comes after it, is in trouble: the
 * refresh was called in the middle of the statement, by another trigger of the
 * table for instance, and has seen rows in the table that were not in the
 * buffer yet.
 */
static struct
{
	uint64		xid;
	CommandId	curcid;
}			last_window;

void
pgt_cdc_note_window(uint64 xid, CommandId curcid)
{
	last_window.xid = xid;
	last_window.curcid = curcid;
}

/*
 * May a window of this transaction have seen rows that are being captured only
 * now?  The active snapshot of a trigger is that of its statement, or of an
 * outer one (cascading foreign keys), which errs to the safe side.
 */
bool
pgt_cdc_was_seen_early(uint64 xid)
{
	return last_window.xid == xid && ActiveSnapshotSet() &&
		GetActiveSnapshot()->curcid < last_window.curcid;
}

/* ---- batches ---- */

static void
batch_materialize(TupleTableSlot *slot)
{
}

static HeapTuple
batch_get_heap_tuple(TupleTableSlot *slot)
{
	return &((BatchSlot *) slot)->tuple;
}

static const TupleTableSlotOps batch_slot_ops = {
	.base_slot_size = sizeof(BatchSlot),
	.materialize = batch_materialize,
	.get_heap_tuple = batch_get_heap_tuple
};

static Batch *
make_batch(MemoryContext context)
{
	Batch	   *batch = MemoryContextAlloc(context, sizeof(Batch));

	batch->memory = MemoryContextAlloc(context, BATCH_BYTES);
	batch->slots = MemoryContextAllocZero(context, BATCH_ROWS * sizeof(BatchSlot));
	batch->pointers = MemoryContextAlloc(context, BATCH_ROWS * sizeof(TupleTableSlot *));
	for (int i = 0; i < BATCH_ROWS; i++)
	{
		TupleTableSlot *slot = &batch->slots[i].base;

		slot->type = T_TupleTableSlot;
		*(const TupleTableSlotOps **) &slot->tts_ops = &batch_slot_ops;
		batch->pointers[i] = slot;
	}
	return batch;
}

/* The writer's memory goes away, after an error or not. */
static void
release_batch(void *arg)
{
	if (kept_batch_owner == arg)
		kept_batch_owner = NULL;
}

static Batch *
acquire_batch(BufferWriter *w)
{
	if (kept_batch_owner != NULL)
		return make_batch(CurrentMemoryContext);
	if (kept_batch == NULL)
		kept_batch = make_batch(TopMemoryContext);
	w->release.func = release_batch;
	w->release.arg = w;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &w->release);
	kept_batch_owner = w;
	return kept_batch;
}

/* The writer lives in the current memory context and is never freed alone. */
BufferWriter *
pgt_cdc_buffer_open(Oid segment, TupleDesc desc)
{
	BufferWriter *w = palloc0(sizeof(BufferWriter));

	w->context = CurrentMemoryContext;
	w->batch = acquire_batch(w);

	/* before the last page is looked for: see window.c */
	w->xid = pgt_cdc_current_xid();
	w->rel = table_open(segment, RowExclusiveLock);
	w->desc = desc;
	RelationGetSmgr(w->rel);
	if (w->xid != last_target.xid || segment != last_target.segment)
	{
		RelationSetTargetBlock(w->rel, InvalidBlockNumber);
		last_target.xid = w->xid;
		last_target.segment = segment;
	}
	return w;
}

/*
 * Least size of a row when everything that can go out of line does.  A row of
 * the source that fits its page may be too large with our two columns more.
 */
static bool
fits_page(TupleDesc desc, Datum *values, bool *isnull)
{
	Size		size = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(desc->natts));

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (isnull[i])
			continue;
		size = att_align_nominal(size, att->attalign);
		if (att->attlen > 0)
			size += att->attlen;
		else if (att->attlen == -1 && att->attstorage != TYPSTORAGE_PLAIN)
			size += Min(VARSIZE_ANY(DatumGetPointer(values[i])), TOAST_POINTER_SIZE + 8);
		else if (att->attlen == -1)
			size += VARSIZE_ANY(DatumGetPointer(values[i]));
		else
			size += strlen(DatumGetCString(values[i])) + 1;
	}
	return size <= MaxHeapTupleSize;
}

static void
add_row(BufferWriter *w, Datum *values, bool *isnull)
{
	TupleDesc	desc = w->desc;
	int			natts = desc->natts;
	bool		hasnull = false;
	Size		hoff = SizeofHeapTupleHeader;
	Size		data_len;
	Size		len;
	HeapTuple	tuple;
	HeapTupleHeader td;

	for (int i = PGT_BUFFER_FIXED; i < natts; i++)
	{
		if (isnull[i])
		{
			hasnull = true;
			hoff += BITMAPLEN(natts);
			break;
		}
	}
	hoff = MAXALIGN(hoff);
	data_len = heap_compute_data_size(desc, values, isnull);
	len = hoff + data_len;

	if (w->nrows == BATCH_ROWS ||
		(w->nrows > 0 && w->used + MAXALIGN(len) > BATCH_BYTES))
		pgt_cdc_buffer_flush(w);

	tuple = &w->batch->slots[w->nrows].tuple;
	if (MAXALIGN(len) <= BATCH_BYTES - w->used)
	{
		td = (HeapTupleHeader) (w->batch->memory + w->used);
		w->used += MAXALIGN(len);
		memset(td, 0, len);
	}
	else
	{
		Assert(w->nrows == 0 && w->large == NULL);
		w->large = MemoryContextAllocExtended(w->context, len,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		w->used = BATCH_BYTES;
		td = (HeapTupleHeader) w->large;
	}
	tuple->t_len = len;
	tuple->t_data = td;
	tuple->t_tableOid = InvalidOid;
	ItemPointerSetInvalid(&tuple->t_self);
	ItemPointerSetInvalid(&td->t_ctid);
	HeapTupleHeaderSetNatts(td, natts);
	td->t_hoff = hoff;
	heap_fill_tuple(desc, values, isnull, (char *) td + hoff, data_len,
					&td->t_infomask, hasnull ? td->t_bits : NULL);
	w->nrows++;
}

static void
add_marker(BufferWriter *w, uint64 xid, int32 s)
{
	if (w->nulls == NULL)
	{
		w->null_values = MemoryContextAllocZero(w->context, w->desc->natts * sizeof(Datum));
		w->nulls = MemoryContextAlloc(w->context, w->desc->natts * sizeof(bool));
		memset(w->nulls, true, w->desc->natts * sizeof(bool));
		w->nulls[0] = w->nulls[1] = false;
	}
	w->null_values[0] = FullTransactionIdGetDatum(FullTransactionIdFromU64(xid));
	w->null_values[1] = Int32GetDatum(s);
	add_row(w, w->null_values, w->nulls);
}

/*
 * The sign is replaced by the statement's number when the row is written: what
 * a frontier takes for consumed must be in the segment by then.
 */
void
pgt_cdc_buffer_add(BufferWriter *w, Datum *values, bool *isnull, int sign)
{
	values[0] = FullTransactionIdGetDatum(FullTransactionIdFromU64(w->xid));
	values[1] = Int32GetDatum(sign);
	isnull[0] = isnull[1] = false;
	add_row(w, values, isnull);

	/* rare: a row near the size of a page */
	if (w->batch->slots[w->nrows - 1].tuple.t_len > BLCKSZ / 2 &&
		!fits_page(w->desc, values, isnull))
	{
		w->nrows--;
		if (w->large != NULL)
		{
			pfree(w->large);
			w->large = NULL;
			w->used = 0;
		}
		pgt_cdc_buffer_add_void(w, false);
	}
}

/* The rows to come have got their number before. */
void
pgt_cdc_buffer_set_seq(BufferWriter *w, int32 seq)
{
	w->seq = seq;
}

uint64
pgt_cdc_buffer_xid(const BufferWriter *w)
{
	return w->xid;
}

void
pgt_cdc_buffer_add_void(BufferWriter *w, bool never)
{
	add_marker(w, w->xid, PGT_VOID_BASE + (never ? PGT_SEQ_NEVER : 0));
}

void
pgt_cdc_buffer_add_touch(BufferWriter *w)
{
	add_marker(w, w->xid, -PGT_VOID_BASE);
}

/* Gives the rows of the batch their statement number. */
static void
number_rows(BufferWriter *w, CommandId cid)
{
	int32		seq = w->seq ? w->seq : pgt_cdc_statement_seq(w->xid, cid);

	for (int i = 0; i < w->nrows; i++)
	{
		HeapTupleHeader td = w->batch->slots[i].tuple.t_data;
		int32	   *s = (int32 *) ((char *) td + td->t_hoff + sizeof(uint64));

		if (*s == 1)
			*s = seq;
		else if (*s == -1)
			*s = -seq;
		else if (*s == PGT_VOID_BASE)
			*s = PGT_VOID_BASE + seq;
		else if (*s == -PGT_VOID_BASE)
			*s = -(PGT_VOID_BASE + seq);
	}
}

#if PG_VERSION_NUM >= 160000

static void
insert_rows(BufferWriter *w, CommandId cid)
{
	/* no more pages than this batch needs: nobody fills what is left over */
	w->bulk->already_extended_by = 0;
	heap_multi_insert(w->rel, w->batch->pointers, w->nrows, cid,
					  HEAP_INSERT_SKIP_FSM, w->bulk);
}

static BulkInsertState
make_bulk_state(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	BulkInsertState bulk = GetBulkInsertState();

	/* pages are read soon: the ordinary pool, not a small ring */
	FreeAccessStrategy(bulk->strategy);
	bulk->strategy = NULL;
	MemoryContextSwitchTo(old);
	return bulk;
}

#else

/*
 * 15 extends a file by one page at a time, each written to the kernel, which
 * costs more than filling it.  So we extend it ourselves, then insert page by
 * page.  Whatever we guess wrong about room, heap_multi_insert() does it right.
 */
static void
insert_page(BufferWriter *w, int first, int n, CommandId cid)
{
	heap_multi_insert(w->rel, w->batch->pointers + first, n, cid,
					  HEAP_INSERT_SKIP_FSM, NULL);
	MemoryContextReset(w->flush_context);
}

/* Are all rows stored as they are? */
static bool
rows_are_plain(const BufferWriter *w)
{
	for (int i = 0; i < w->nrows; i++)
	{
		HeapTuple	tuple = &w->batch->slots[i].tuple;

		if (tuple->t_len > TOAST_TUPLE_THRESHOLD || HeapTupleHasExternal(tuple))
			return false;
	}
	return true;
}

/* Of the rows from first on, how many fit into so many bytes of a page? */
static int
rows_that_fit(const BufferWriter *w, int first, Size room)
{
	int			n = first;

	for (; n < w->nrows; n++)
	{
		Size		need = MAXALIGN(w->batch->slots[n].tuple.t_len) + sizeof(ItemIdData);

		if (need > room)
			break;
		room -= need;
	}
	return n - first;
}

/* Room on the page that is filled next. */
static Size
room_at_end(Relation rel)
{
	BlockNumber target = RelationGetTargetBlock(rel);
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	Buffer		buffer;
	Page		page;
	Size		room;

	if (nblocks == 0)
		return 0;
	if (target == InvalidBlockNumber || target >= nblocks)
		target = nblocks - 1;
	buffer = ReadBuffer(rel, target);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	if (PageIsNew(page))
		room = BLCKSZ - SizeOfPageHeaderData;
	else
		room = PageGetExactFreeSpace(page);
	UnlockReleaseBuffer(buffer);
	return room;
}

/*
 * Adds n empty pages, writing the last one only: the file has a hole before it,
 * as files of hash indexes do.  Nobody knows of the pages before that, so that
 * they can be put into the buffer pool without reading them.  Returns the first
 * one.
 */
static BlockNumber
extend_file(Relation rel, int n)
{
	PGAlignedBlock zeros = {{0}};
	BlockNumber first;

	LockRelationForExtension(rel, ExclusiveLock);
	first = RelationGetNumberOfBlocks(rel);
	for (int i = 0; i < n; i++)
	{
		Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, first + i,
												RBM_ZERO_AND_LOCK, NULL);

		if (!PageIsNew(BufferGetPage(buffer)))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("unexpected data beyond the end of relation \"%s\"",
							RelationGetRelationName(rel))));
		UnlockReleaseBuffer(buffer);
	}
	smgrextend(RelationGetSmgr(rel), MAIN_FORKNUM, first + n - 1, zeros.data, false);
	UnlockRelationForExtension(rel, ExclusiveLock);
	return first;
}

static void
insert_rows(BufferWriter *w, CommandId cid)
{
	const Size	page_room = BLCKSZ - SizeOfPageHeaderData;
	int			done;
	int			pages = 0;
	BlockNumber block;

	if (!rows_are_plain(w))
	{
		insert_page(w, 0, w->nrows, cid);
		return;
	}
	done = rows_that_fit(w, 0, room_at_end(w->rel));
	if (done > 0)
		insert_page(w, 0, done, cid);
	for (int i = done; i < w->nrows; i += rows_that_fit(w, i, page_room))
		pages++;
	if (pages == 0)
		return;
	block = extend_file(w->rel, pages);
	while (done < w->nrows)
	{
		int			n = rows_that_fit(w, done, page_room);

		RelationSetTargetBlock(w->rel, block++);
		insert_page(w, done, n, cid);
		done += n;
	}
}

/* It would only keep the last page pinned. */
static BulkInsertState
make_bulk_state(MemoryContext context)
{
	return NULL;
}

#endif

/* heap_multi_insert() leaves memory behind: little enough for the first block. */
static void
insert_batch(BufferWriter *w, CommandId cid)
{
	MemoryContext old;

	if (w->flush_context == NULL)
	{
		w->flush_context = AllocSetContextCreate(w->context,
												 "pg_trickle buffer flush",
												 4 * BLCKSZ, 4 * BLCKSZ,
												 ALLOCSET_DEFAULT_MAXSIZE);
		w->bulk = make_bulk_state(w->context);
	}
	old = MemoryContextSwitchTo(w->flush_context);
	insert_rows(w, cid);
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->flush_context);
}

void
pgt_cdc_buffer_flush(BufferWriter *w)
{
	CommandId	cid;

	if (w->nrows == 0)
		return;
	cid = GetCurrentCommandId(true);
	number_rows(w, cid);

	if (w->nrows == 1)
		heap_insert(w->rel, &w->batch->slots[0].tuple, cid, HEAP_INSERT_SKIP_FSM, NULL);
	else if (w->nrows <= SMALL_BATCH_ROWS && w->flush_context == NULL)
		heap_multi_insert(w->rel, w->batch->pointers, w->nrows, cid,
						  HEAP_INSERT_SKIP_FSM, NULL);
	else
		insert_batch(w, cid);
	if (w->large != NULL)
		pfree(w->large);
	w->large = NULL;
	w->nrows = 0;
	w->used = 0;
}

/* The lock is kept to the end of the transaction: see cleanup.c. */
void
pgt_cdc_buffer_close(BufferWriter *w)
{
	pgt_cdc_buffer_flush(w);
	if (w->bulk != NULL)
		FreeBulkInsertState(w->bulk);
	if (w->flush_context != NULL)
		MemoryContextDelete(w->flush_context);
	table_close(w->rel, NoLock);
	release_batch(w);
}

/* The caller has made the file in this transaction; nobody else can write. */
void
pgt_cdc_buffer_write_canary(Oid segment)
{
	Relation	rel = table_open(segment, RowExclusiveLock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	BufferWriter *w = pgt_cdc_buffer_open(segment, desc);

	add_marker(w, PGT_CANARY_XID, PGT_VOID_BASE + PGT_SEQ_NEVER);
	pgt_cdc_buffer_close(w);
	table_close(rel, NoLock);
}

AttrNumber
pgt_cdc_buffer_attnum(Form_pg_attribute att)
{
	if (att->attisdropped || NameStr(att->attname)[0] != 'c')
		return 0;
	return (AttrNumber) atoi(NameStr(att->attname) + 1);
}
