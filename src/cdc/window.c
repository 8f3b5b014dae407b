/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Reading the changes that a frontier has not consumed.
 *
 * A window is the difference of two snapshots: rows that are visible to the
 * refresh's snapshot and not consumed by the frontier (frontier.c).  It is
 * exact whatever transactions are in flight, prepared, or older than others
 * that were consumed long ago.
 *
 * Start blocks.  Reading a buffer from its first block each time would be
 * right, and slow.  As writers only append (buffer.c), most of it is known to
 * be consumed.  In this order, a window
 *	1. reads B, the number of blocks of the segment (see last_mark),
 *	2. reads X, the next transaction id,
 *	3. is given the snapshot.
 * A transaction with xid >= X looks for the end of the file after it has got
 * its xid, that is after step 2: its rows are in block B - 1 or later.  All
 * rows in earlier blocks are of transactions < X.  When the snapshot's xmin is
 * >= X, all of these had ended when it was taken, so that this window consumes
 * what they wrote: the next one starts at block B - 1.  When xmin < X, some
 * transaction < X may still add rows anywhere up to the end of the file.  B - 1
 * and X are then kept in the frontier as pending position, which becomes the
 * start as soon as the snapshot of a later consumed window has xmin >= X.
 * "Nobody is running" cannot be concluded in another way: xip lists neither
 * the own transaction nor those >= xmax, but xmin is below all of them.  The
 * own transaction, if it has an xid below X, keeps xmin below X.
 *
 * A snapshot that is older than step 1 (REPEATABLE READ) only has a smaller
 * xmin.  Block numbers belong to one file: a segment with another file than
 * the frontier remembers is read from block 0.  So is one whose file has been
 * cut off and has grown again.  VACUUM (TRUNCATE) does that, when the end of a
 * segment held nothing but what was rolled back.  A position therefore names a
 * change that was on its block (BlockMark) and holds as long as the change is
 * there: the number of a transaction's changes only grows, and while the file
 * is cut off no transaction has written to it and may go on doing so (the lock
 * of a subtransaction that was rolled back is gone, but its number is used up).
 *
 * Void windows.  Changes are not usable, and the caller recomputes, when a
 * void marker is in the window; when capture is not there or its buffer does
 * not have a column in its present type (DDL that nobody has followed yet); and
 * when an UNLOGGED segment was emptied by a crash.  The latter shows by the
 * absence of its canary, the first row of each file.  The one who finds it
 * missing writes an ordinary void marker into the file in its place: it is in
 * the window of every consumer of before, and stands for the canary from then
 * on.  A backend remembers files whose canary (or committed marker) it has
 * seen: no backend survives a crash.
 *
 * IDENTIFICATION
 *	  src/cdc/window.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pgtrickle/compat.h"

#include "cdc_internal.h"

typedef struct WindowSource
{
	Oid			relid;
	ChangeSource *cs;			/* NULL: capture is not there */
	bool		lost;			/* a segment is not there */
	bool		known;			/* the frontier has a position in it */
	SourcePosition was;			/* in the frontier, valid for the present files */
	BlockMark	last[PGT_SEGMENTS]; /* B - 1 */
	Relay	   *relay;			/* changes that are not in the segments, or NULL */
} WindowSource;

struct ChangeWindow
{
	Frontier   *from;			/* NULL: nothing is consumed */
	int			nsources;
	WindowSource *sources;
	uint64		next_xid;		/* X */
	Snapshot	snapshot;
	Frontier   *next;			/* without positions */
};

/* ---- scanning a segment ---- */

typedef struct SegmentScan
{
	Relation	rel;
	TableScanDesc scan;
} SegmentScan;

/* False, with nothing to end, if the segment has no block from start on. */
static bool
begin_segment_scan(SegmentScan *s, Oid segment, BlockNumber start, Snapshot snapshot,
				   bool bulk)
{
	BlockNumber nblocks;

	s->rel = table_open(segment, AccessShareLock);
	nblocks = RelationGetNumberOfBlocks(s->rel);
	if (nblocks <= start)
	{
		table_close(s->rel, NoLock);
		return false;
	}
	s->scan = table_beginscan_strat(s->rel, snapshot, 0, NULL, bulk, false);
	nblocks = ((HeapScanDesc) s->scan)->rs_nblocks;
	heap_setscanlimits(s->scan, start, nblocks - start);
	return true;
}

static void
end_segment_scan(SegmentScan *s)
{
	table_endscan(s->scan);
	table_close(s->rel, NoLock);
}

/* ---- canaries of unlogged segments ---- */

typedef struct KnownFile
{
	Oid			segment;		/* hash key */
	Oid			filenode;
} KnownFile;

static HTAB *known_files = NULL;

static KnownFile *
known_file(Oid segment, HASHACTION action)
{
	if (known_files == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(KnownFile);
		ctl.hcxt = TopMemoryContext;
		known_files = hash_create("pg_trickle unlogged change buffers", 16, &ctl,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return hash_search(known_files, &segment, action, NULL);
}

/* Writes a marker in its place if it is missing. */
static void
check_canary(Oid source, Oid segment, Oid filenode)
{
	KnownFile  *known = known_file(segment, HASH_FIND);
	uint64		own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	bool		found = false;
	Snapshot	snapshot;
	SegmentScan scan;
	HeapTuple	tuple;

	if (known != NULL && known->filenode == filenode)
		return;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (begin_segment_scan(&scan, segment, 0, snapshot, false))
	{
		while (!found && (tuple = heap_getnext(scan.scan, ForwardScanDirection)) != NULL)
		{
			ChangeHeader h = change_header(tuple->t_data);

			if (!change_is_void(h.s))
				continue;
			found = true;
			if (h.xid != own)
				known_file(segment, HASH_ENTER)->filenode = filenode;
		}
		end_segment_scan(&scan);
	}
	UnregisterSnapshot(snapshot);
	if (!found)
		pgt_cdc_mark_segment_void(source, segment);
}

/* ---- opening ---- */

/* A normal item's change, as far as it can mark its block. */
static bool
item_mark(Page page, OffsetNumber off, ChangeHeader *h)
{
	ItemId		item = PageGetItemId(page, off);

	if (!ItemIdIsNormal(item))
		return false;
	*h = change_header((HeapTupleHeader) PageGetItem(page, item));
	/* markers with this number are not told from each other */
	return change_seq(h->s) != PGT_SEQ_NEVER;
}

/*
 * The last block that has a change.  Empty pages at the end, which a bulk
 * extension has left over, are not in WAL: on a promoted standby, or after a
 * crash of the machine, they may not be there, and rows would be appended
 * before them.
 */
static BlockMark
last_mark(Relation rel)
{
	BlockMark	mark = {0};

	for (BlockNumber n = RelationGetNumberOfBlocks(rel); n > 1 && mark.block == 0; n--)
	{
		Buffer		buffer = ReadBuffer(rel, n - 1);
		Page		page;
		ChangeHeader h;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		page = BufferGetPage(buffer);
		for (OffsetNumber off = FirstOffsetNumber; off <= PageGetMaxOffsetNumber(page); off++)
		{
			if (!item_mark(page, off, &h))
				continue;
			mark.block = n - 1;
			mark.xid = h.xid;
			mark.s = h.s;
			break;
		}
		UnlockReleaseBuffer(buffer);
	}
	return mark;
}

/* Is the file still the one that had this block, up to it at least? */
static bool
mark_holds(Relation rel, const BlockMark *mark)
{
	Buffer		buffer;
	Page		page;
	ChangeHeader h;
	bool		found = false;

	if (mark->block == 0)
		return true;
	if (mark->block >= RelationGetNumberOfBlocks(rel))
		return false;
	buffer = ReadBuffer(rel, mark->block);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	for (OffsetNumber off = FirstOffsetNumber;
		 !found && off <= PageGetMaxOffsetNumber(page); off++)
		found = item_mark(page, off, &h) && h.xid == mark->xid && h.s == mark->s;
	UnlockReleaseBuffer(buffer);
	return found;
}

static inline bool
same_mark(const BlockMark *a, const BlockMark *b)
{
	return a->block == b->block && a->xid == b->xid && a->s == b->s;
}

/* What still holds of the frontier's position; block 0 for the rest. */
static SegmentPosition
find_position(Relation segment, const SegmentPosition *position, const BlockMark *last)
{
	SegmentPosition result = {0};
	Oid			filenode = pgt_relation_filenumber(segment);

	if (position != NULL && position->filenode == filenode)
	{
		if (same_mark(&position->start, last) || mark_holds(segment, &position->start))
			result.start = position->start;
		if (position->pending_xid != 0 &&
			(same_mark(&position->pending, last) || mark_holds(segment, &position->pending)))
		{
			result.pending = position->pending;
			result.pending_xid = position->pending_xid;
		}
	}
	result.filenode = filenode;
	return result;
}

static void
open_source(WindowSource *ws, Oid relid, Frontier *from)
{
	SourcePosition *position = from ? pgt_frontier_position(from, relid) : NULL;

	ws->relid = relid;
	ws->was.relid = relid;
	ws->known = position != NULL;
	ws->cs = pgt_catalog_get_change_source(relid, true);
	for (int i = 0; ws->cs != NULL && i < PGT_SEGMENTS; i++)
	{
		/* the lock is kept: see cleanup.c */
		Relation	segment = try_relation_open(ws->cs->segment[i], AccessShareLock);

		if (segment == NULL)
		{
			ws->lost = true;
			continue;
		}
		if (ws->cs->unlogged)
		{
			Oid			filenode = pgt_relation_filenumber(segment);

			relation_close(segment, NoLock);
			check_canary(relid, ws->cs->segment[i], filenode);
			segment = relation_open(ws->cs->segment[i], NoLock);
		}
		ws->last[i] = last_mark(segment);
		ws->was.seg[i] = find_position(segment, position ? &position->seg[i] : NULL,
									   &ws->last[i]);
		relation_close(segment, NoLock);
	}
}

ChangeWindow *
pgt_cdc_window_open(const Frontier *from, List *sources)
{
	ChangeWindow *w = palloc0(sizeof(ChangeWindow));
	ListCell   *lc;

	if (from != NULL)
		w->from = pgt_frontier_copy(from);
	w->sources = palloc0(Max(list_length(sources), 1) * sizeof(WindowSource));
	foreach(lc, sources)
		open_source(&w->sources[w->nsources++], lfirst_oid(lc), w->from);

	/*
	 * A first fill with an old snapshot: rows that it does not see may have
	 * been removed from the buffer before our locks.  See also
	 * pgt_cdc_attach_source.
	 */
	if (from == NULL && pgt_cdc_snapshot_is_stale())
		for (int i = 0; i < w->nsources; i++)
			pgt_cdc_mark_void_never(w->sources[i].relid);

	w->next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	return w;
}

static int
compare_xids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The snapshot's ids are at most 2^31 behind the next one. */
static uint64
widen_xid(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

void
pgt_cdc_window_set_snapshot(ChangeWindow *w, Snapshot snapshot)
{
	Frontier   *f = palloc0(sizeof(Frontier));
	FullTransactionId next = ReadNextFullTransactionId();

	w->snapshot = snapshot;
	f->xmin = widen_xid(snapshot->xmin, next);
	f->xmax = widen_xid(snapshot->xmax, next);
	f->nxip = snapshot->xcnt;
	if (f->nxip > 0)
	{
		f->xip = palloc(f->nxip * sizeof(uint64));
		for (int i = 0; i < f->nxip; i++)
			f->xip[i] = widen_xid(snapshot->xip[i], next);
		qsort(f->xip, f->nxip, sizeof(uint64), compare_xids);
	}

	/* an xid that is assigned later is beyond xmax */
	f->own_xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	f->own_seq = pgt_cdc_visible_seq(f->own_xid, snapshot->curcid);
	if (f->own_xid != 0)
		pgt_cdc_note_window(f->own_xid, snapshot->curcid);
	w->next = f;
	for (int i = 0; w->from != NULL && i < w->nsources; i++)
		w->sources[i].relay = pgt_cdc_relay_find(w->sources[i].relid, w->from,
												 f->own_xid, f->own_seq);
}

static WindowSource *
find_source(ChangeWindow *w, Oid source)
{
	for (int i = 0; i < w->nsources; i++)
		if (w->sources[i].relid == source)
			return &w->sources[i];
	elog(ERROR, "relation %u is not part of the window", source);
	return NULL;
}

static inline bool
is_fresh(const ChangeWindow *w, ChangeHeader h)
{
	return !pgt_frontier_has_consumed(w->from, h.xid, change_seq(h.s));
}

/*
 * Is there a row that is not consumed, not counting that many touches?  With
 * many of them it is worth moving the frontier.
 */
static bool
has_fresh(ChangeWindow *w, WindowSource *ws, int ignored_touches)
{
	bool		result = ws->relay != NULL &&
		(ignored_touches == 0 || ws->relay->npos + ws->relay->nneg > 0);

	Assert(w->snapshot != NULL);
	for (int i = 0; i < PGT_SEGMENTS && !result; i++)
	{
		SegmentScan scan;
		HeapTuple	tuple;

		if (!begin_segment_scan(&scan, ws->cs->segment[i], ws->was.seg[i].start.block,
								w->snapshot, false))
			continue;
		while (!result && (tuple = heap_getnext(scan.scan, ForwardScanDirection)) != NULL)
		{
			ChangeHeader h = change_header(tuple->t_data);

			result = is_fresh(w, h) &&
				(!change_is_touch(h.s) || ignored_touches-- <= 0);
		}
		end_segment_scan(&scan);
	}
	return result;
}

#define IGNORED_TOUCHES 1000

bool
pgt_cdc_window_has_changes(ChangeWindow *w, Oid source)
{
	WindowSource *ws = find_source(w, source);

	return ws->cs == NULL || ws->lost || w->from == NULL ||
		has_fresh(w, ws, IGNORED_TOUCHES);
}

bool
pgt_cdc_window_was_touched(ChangeWindow *w, Oid source)
{
	WindowSource *ws = find_source(w, source);

	return ws->cs == NULL || ws->lost || w->from == NULL ||
		!ws->known || !ws->cs->touches || has_fresh(w, ws, 0);
}

bool
pgt_cdc_window_only_adds(ChangeWindow *w, Oid source)
{
	WindowSource *ws = find_source(w, source);
	bool		result = true;

	if (ws->cs == NULL || ws->lost || w->from == NULL ||
		(ws->relay != NULL && ws->relay->nneg > 0))
		return false;
	for (int i = 0; i < PGT_SEGMENTS && result; i++)
	{
		SegmentScan scan;
		HeapTuple	tuple;

		if (!begin_segment_scan(&scan, ws->cs->segment[i], ws->was.seg[i].start.block,
								w->snapshot, true))
			continue;
		while (result && (tuple = heap_getnext(scan.scan, ForwardScanDirection)) != NULL)
		{
			ChangeHeader h = change_header(tuple->t_data);

			if (!change_is_touch(h.s) && is_fresh(w, h))
				result = h.s > 0 && !change_is_void(h.s);
		}
		end_segment_scan(&scan);
	}
	return result;
}

#define ESTIMATE_SAMPLES 8
/* Less is few, where the number is known. */
#define ESTIMATE_MIN_ROWS 1000

/* Rows not consumed on one page of a segment, whether visible or not. */
static int
count_fresh_on_page(const ChangeWindow *w, Relation segment, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(segment, block);
	Page		page = BufferGetPage(buffer);
	int			n = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (OffsetNumber off = FirstOffsetNumber; off <= PageGetMaxOffsetNumber(page); off++)
	{
		ItemId		item = PageGetItemId(page, off);
		ChangeHeader h;

		if (!ItemIdIsNormal(item))
			continue;
		h = change_header((HeapTupleHeader) PageGetItem(page, item));
		if (is_fresh(w, h) && !change_is_touch(h.s))
			n++;
	}
	UnlockReleaseBuffer(buffer);
	return n;
}

/* From a few pages of each segment; 0 while there are few, or nothing is known. */
double
pgt_cdc_window_estimate(ChangeWindow *w, Oid source)
{
	WindowSource *ws = find_source(w, source);
	double		rows = 0;

	if (ws->cs == NULL || ws->lost || w->from == NULL)
		return 0;
	if (ws->relay != NULL && ws->relay->npos + ws->relay->nneg >= ESTIMATE_MIN_ROWS)
		rows = ws->relay->npos + ws->relay->nneg;
	for (int i = 0; i < PGT_SEGMENTS; i++)
	{
		BlockNumber start = ws->was.seg[i].start.block;
		BlockNumber end = ws->last[i].block + 1;
		Relation	segment;
		int			fresh = 0;

		if (end < start || end - start < 2 * ESTIMATE_SAMPLES)
			continue;
		/* a file that was emptied meanwhile has nothing for us */
		segment = table_open(ws->cs->segment[i], AccessShareLock);
		end = Min(end, RelationGetNumberOfBlocks(segment));
		if (end > start && end - start >= ESTIMATE_SAMPLES)
		{
			for (int j = 0; j < ESTIMATE_SAMPLES; j++)
				fresh += count_fresh_on_page(w, segment, start + (BlockNumber)
											 ((uint64) (end - start) * j / ESTIMATE_SAMPLES));
			rows += (double) fresh / ESTIMATE_SAMPLES * (end - start);
		}
		table_close(segment, NoLock);
	}
	return rows;
}

/* ---- loading ---- */

typedef struct LoadColumn
{
	int			index;			/* of the buffer column; -1: computed */
	bool		varlena;
	ExprState  *expr;			/* of a virtual generated column */
} LoadColumn;

typedef struct Load
{
	ChangeWindow *window;
	WindowSource *source;
	ChangeSet  *set;
	int			ncolumns;		/* without the weight */
	LoadColumn *columns;
	int			maxattr;		/* last buffer column needed */
	Datum	   *values;
	bool	   *isnull;
	Consolidation *consolidation;	/* NULL: rows go to the store at once */
	MemoryContext row_context;	/* detoasted values of the last row */
	bool		used_context;
	/* virtual generated columns */
	EState	   *estate;
	TupleTableSlot *source_slot;
	int		   *source_index;	/* per attribute of the source: buffer column or -1 */
} Load;

/* The descriptor of the result: the source's columns, then the weight. */
static TupleDesc
make_set_desc(TupleDesc source, const Bitmapset *columns, const char *weight_name)
{
	int			n = bms_num_members(columns);
	TupleDesc	desc = CreateTemplateTupleDesc(n + 1);
	int			attnum = -1;
	AttrNumber	i = 0;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		Form_pg_attribute att;

		if (attnum < 1 || attnum > source->natts)
			elog(ERROR, "source has no column %d", attnum);
		att = TupleDescAttr(source, attnum - 1);
		i++;
		if (att->attisdropped)
		{
			/* the window is void: see map_columns */
			TupleDescInitEntry(desc, i, NameStr(att->attname), INT4OID, -1, 0);
			continue;
		}
		TupleDescInitEntry(desc, i, NameStr(att->attname), att->atttypid,
						   att->atttypmod, att->attndims);
		TupleDescInitEntryCollation(desc, i, att->attcollation);
	}
	TupleDescInitEntry(desc, n + 1, weight_name, INT4OID, -1, 0);
	return desc;
}

/* Index of the buffer column for a column of the source; -1: none that fits. */
static int
find_buffer_column(TupleDesc buffer, Form_pg_attribute att)
{
	Oid			type;
	int32		typmod;

	if (att->attisdropped)
		return -1;
	pgt_cdc_buffer_type(att, &type, &typmod);
	for (int i = PGT_BUFFER_FIXED; i < buffer->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(buffer, i);

		if (pgt_cdc_buffer_attnum(column) == att->attnum)
			return column->atttypid == type && column->atttypmod == typmod ? i : -1;
	}
	return -1;
}

/* Virtual generated columns are computed from the image of the row. */
static void
prepare_expression(Load *load, Relation source, LoadColumn *column, AttrNumber attnum)
{
	Node	   *expr = pgt_virtual_column_expression(source, attnum);

	if (load->estate == NULL)
	{
		load->estate = CreateExecutorState();
		load->source_slot =
			MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(source)),
									 &TTSOpsVirtual);
		load->source_index = palloc(RelationGetNumberOfAttributes(source) * sizeof(int));
	}
	column->index = -1;
	column->expr = ExecPrepareExpr((Expr *) expr, load->estate);
}

/* False: the buffer does not have what the source has now. */
static bool
map_columns(Load *load, Relation source, TupleDesc buffer, const Bitmapset *columns)
{
	TupleDesc	desc = RelationGetDescr(source);
	int			attnum = -1;
	int			n = 0;

	load->maxattr = PGT_BUFFER_FIXED;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);
		LoadColumn *column = &load->columns[n++];

		column->varlena = att->attlen == -1;
		column->expr = NULL;
		if (!att->attisdropped && pgt_is_virtual_column(att))
		{
			prepare_expression(load, source, column, attnum);
			continue;
		}
		column->index = find_buffer_column(buffer, att);
		if (column->index < 0)
			return false;
		load->maxattr = Max(load->maxattr, column->index + 1);
	}
	for (int i = 0; load->source_index != NULL && i < desc->natts; i++)
	{
		load->source_index[i] = find_buffer_column(buffer, TupleDescAttr(desc, i));
		load->maxattr = Max(load->maxattr, load->source_index[i] + 1);
	}
	return true;
}

static void
fill_source_slot(Load *load, const TupleTableSlot *row)
{
	TupleTableSlot *slot = load->source_slot;

	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		int			index = load->source_index[i];

		slot->tts_isnull[i] = index < 0 || row->tts_isnull[index];
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 : row->tts_values[index];
	}
	ExecStoreVirtualTuple(slot);
	GetPerTupleExprContext(load->estate)->ecxt_scantuple = slot;
}

static inline Datum
plain_value(Load *load, Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);
	MemoryContext old;
	Datum		result;

	if (likely(!VARATT_IS_EXTERNAL(v) && !VARATT_IS_COMPRESSED(v)))
		return value;
	load->used_context = true;
	old = MemoryContextSwitchTo(load->row_context);
	result = PointerGetDatum(detoast_attr(v));
	MemoryContextSwitchTo(old);
	return result;
}

/* The row's columns, and its weight, in load->values and isnull. */
static void
project_row(Load *load, const TupleTableSlot *row, int weight)
{
	if (load->used_context)
		MemoryContextReset(load->row_context);
	load->used_context = false;
	if (load->estate != NULL)
	{
		ResetPerTupleExprContext(load->estate);
		fill_source_slot(load, row);
	}
	for (int i = 0; i < load->ncolumns; i++)
	{
		LoadColumn *column = &load->columns[i];

		if (column->expr != NULL)
			load->values[i] = ExecEvalExpr(column->expr,
										   GetPerTupleExprContext(load->estate),
										   &load->isnull[i]);
		else
		{
			load->values[i] = row->tts_values[column->index];
			load->isnull[i] = row->tts_isnull[column->index];
		}
		if (column->varlena && !load->isnull[i])
			load->values[i] = plain_value(load, load->values[i]);
	}
	load->values[load->ncolumns] = Int32GetDatum(weight);
}

static void
load_row(Load *load, const TupleTableSlot *row, int weight)
{
	ChangeSet  *set = load->set;

	project_row(load, row, weight);
	if (load->consolidation != NULL)
	{
		pgt_cdc_consolidation_add(load->consolidation, load->values, load->isnull, weight);
		return;
	}
	if (set->store == NULL)
		set->store = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_putvalues(set->store, set->tupdesc, load->values, load->isnull);
	if (weight > 0)
		set->npos++;
	else
		set->nneg++;
}

static inline double
slot_bytes(TupleTableSlot *slot)
{
	return TTS_IS_MINIMALTUPLE(slot) ? ((MinimalTupleTableSlot *) slot)->tuple->t_len :
		((HeapTupleTableSlot *) slot)->tuple->t_len;
}

/* Returns false at a void marker. */
static bool
load_segment(Load *load, int number)
{
	ChangeWindow *w = load->window;
	SegmentScan scan;
	HeapTuple	tuple;
	TupleTableSlot *slot = NULL;
	bool		ok = true;

	if (!begin_segment_scan(&scan, load->source->cs->segment[number],
							load->source->was.seg[number].start.block, w->snapshot, true))
		return true;
	while ((tuple = heap_getnext(scan.scan, ForwardScanDirection)) != NULL)
	{
		ChangeHeader h = change_header(tuple->t_data);

		if (change_is_touch(h.s) || (w->from != NULL && !is_fresh(w, h)))
			continue;
		load->set->nread++;
		if (change_is_void(h.s))
		{
			ok = false;
			break;
		}
		if (slot == NULL)
			slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(scan.rel)),
											&TTSOpsHeapTuple);
		ExecStoreHeapTuple(tuple, slot, false);
		slot_getsomeattrs(slot, load->maxattr);
		load_row(load, slot, h.s > 0 ? 1 : -1);
		load->set->bytes += slot_bytes(slot);
	}
	if (slot != NULL)
		ExecDropSingleTupleTableSlot(slot);
	end_segment_scan(&scan);
	return ok;
}

/* What the segments do not have; see relay.c. */
static void
load_relay(Load *load)
{
	Relay	   *relay = load->source->relay;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(relay->desc, &TTSOpsMinimalTuple);
	int			pointer = pgt_cdc_relay_open(relay);

	while (pgt_cdc_relay_next(relay, pointer, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, load->maxattr);
		load_row(load, slot, pgt_cdc_relay_sign(slot));
		load->set->nread++;
		load->set->bytes += slot_bytes(slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static void
void_set(ChangeSet *set)
{
	if (set->store != NULL)
		tuplestore_end(set->store);
	set->store = NULL;
	set->voided = true;
	set->npos = set->nneg = 0;
	set->bytes = 0;
}

static bool
load_segments(Load *load, Relation source, const Bitmapset *columns)
{
	for (int i = 0; i < PGT_SEGMENTS; i++)
	{
		Relation	segment = table_open(load->source->cs->segment[i], AccessShareLock);
		bool		fits = map_columns(load, source, RelationGetDescr(segment), columns);

		table_close(segment, NoLock);
		if (!fits || !load_segment(load, i))
			return false;
	}
	if (load->source->relay != NULL)
	{
		if (!map_columns(load, source, load->source->relay->desc, columns))
			return false;
		load_relay(load);
	}
	return true;
}

static void
begin_load(Load *load, ChangeWindow *w, WindowSource *ws, Relation source,
		   const Bitmapset *columns, const char *weight_name)
{
	ChangeSet  *set = palloc0(sizeof(ChangeSet));

	memset(load, 0, sizeof(*load));
	set->source = ws->relid;
	set->tupdesc = make_set_desc(RelationGetDescr(source), columns, weight_name);
	load->window = w;
	load->source = ws;
	load->set = set;
	load->ncolumns = set->tupdesc->natts - 1;
	load->columns = palloc0(Max(load->ncolumns, 1) * sizeof(LoadColumn));
	load->values = palloc0(set->tupdesc->natts * sizeof(Datum));
	load->isnull = palloc0(set->tupdesc->natts * sizeof(bool));
	load->row_context = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle change row",
											  ALLOCSET_DEFAULT_SIZES);
}

static void
end_load(Load *load)
{
	if (load->estate != NULL)
	{
		ExecDropSingleTupleTableSlot(load->source_slot);
		FreeExecutorState(load->estate);
	}
	MemoryContextDelete(load->row_context);
}

ChangeSet *
pgt_cdc_window_load(ChangeWindow *w, Oid relid, const Bitmapset *columns,
					const char *weight_name, bool consolidate)
{
	WindowSource *ws = find_source(w, relid);
	Relation	source = table_open(relid, AccessShareLock);
	Load		load;

	Assert(w->snapshot != NULL);
	begin_load(&load, w, ws, source, columns, weight_name);
	if (consolidate)
		load.consolidation = pgt_cdc_consolidation_begin(load.set->tupdesc);

	if (ws->cs == NULL || ws->lost || !load_segments(&load, source, columns))
		void_set(load.set);
	if (load.consolidation != NULL)
		pgt_cdc_consolidation_end(load.consolidation, load.set);
	end_load(&load);
	table_close(source, NoLock);
	return load.set;
}

/* ---- streaming: the same rows, one at a time, without a store ---- */

struct ChangeStream
{
	Load		load;
	int			number;			/* segment being read; PGT_SEGMENTS: the relay */
	bool		scanning;
	SegmentScan scan;
	int			pointer;		/* in the relay */
	TupleTableSlot *slots[PGT_SEGMENTS + 1];
	MemoryContext cxt;
};

/* Segments have the same columns, but after a repair not always in one order. */
static bool
same_columns(TupleDesc a, TupleDesc b)
{
	if (a->natts != b->natts)
		return false;
	for (int i = 0; i < a->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(a, i)->attname),
				   NameStr(TupleDescAttr(b, i)->attname)) != 0)
			return false;
	return true;
}

ChangeStream *
pgt_cdc_stream_open(ChangeWindow *w, Oid relid, const Bitmapset *columns,
					const char *weight_name)
{
	WindowSource *ws = find_source(w, relid);
	Relation	source;
	ChangeStream *stream;
	bool		fits = true;

	Assert(w->snapshot != NULL && w->from != NULL);
	if (ws->cs == NULL || ws->lost)
		return NULL;
	source = table_open(relid, AccessShareLock);
	stream = palloc0(sizeof(ChangeStream));
	stream->cxt = CurrentMemoryContext;
	begin_load(&stream->load, w, ws, source, columns, weight_name);
	for (int i = 0; fits && i < PGT_SEGMENTS; i++)
	{
		Relation	segment = table_open(ws->cs->segment[i], AccessShareLock);

		fits = map_columns(&stream->load, source, RelationGetDescr(segment), columns);
		stream->slots[i] = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(segment)),
													&TTSOpsHeapTuple);
		table_close(segment, NoLock);
	}
	fits = fits && same_columns(stream->slots[0]->tts_tupleDescriptor,
								stream->slots[1]->tts_tupleDescriptor);
	if (fits && ws->relay != NULL)
	{
		fits = same_columns(stream->slots[0]->tts_tupleDescriptor, ws->relay->desc);
		stream->slots[PGT_SEGMENTS] = MakeSingleTupleTableSlot(ws->relay->desc,
															   &TTSOpsMinimalTuple);
	}
	table_close(source, NoLock);
	if (!fits)
	{
		pgt_cdc_stream_close(stream);
		return NULL;
	}
	return stream;
}

TupleDesc
pgt_cdc_stream_desc(ChangeStream *stream)
{
	return stream->load.set->tupdesc;
}

const ChangeSet *
pgt_cdc_stream_counts(ChangeStream *stream)
{
	return stream->load.set;
}

static void
stop_stream_scan(ChangeStream *stream)
{
	if (stream->scanning && stream->number < PGT_SEGMENTS)
		end_segment_scan(&stream->scan);
	stream->scanning = false;
}

void
pgt_cdc_stream_rewind(ChangeStream *stream)
{
	ChangeSet  *set = stream->load.set;

	stop_stream_scan(stream);
	stream->number = 0;
	set->npos = set->nneg = set->nread = 0;
	set->bytes = 0;
}

/* The next row of the segments in their slot; *s: as stored. */
static TupleTableSlot *
next_in_segments(ChangeStream *stream, int32 *s)
{
	ChangeWindow *w = stream->load.window;
	WindowSource *ws = stream->load.source;
	HeapTuple	tuple;

	for (; stream->number < PGT_SEGMENTS; stream->number++)
	{
		if (!stream->scanning &&
			!begin_segment_scan(&stream->scan, ws->cs->segment[stream->number],
								ws->was.seg[stream->number].start.block, w->snapshot, true))
			continue;
		stream->scanning = true;
		while ((tuple = heap_getnext(stream->scan.scan, ForwardScanDirection)) != NULL)
		{
			ChangeHeader h = change_header(tuple->t_data);

			if (change_is_touch(h.s) || !is_fresh(w, h))
				continue;
			*s = h.s;
			return ExecStoreHeapTuple(tuple, stream->slots[stream->number], false);
		}
		stop_stream_scan(stream);
	}
	return NULL;
}

static TupleTableSlot *
next_in_relay(ChangeStream *stream, int32 *s)
{
	Relay	   *relay = stream->load.source->relay;
	TupleTableSlot *slot = stream->slots[PGT_SEGMENTS];

	if (relay == NULL)
		return NULL;
	if (!stream->scanning)
		stream->pointer = pgt_cdc_relay_open(relay);
	stream->scanning = true;
	if (!pgt_cdc_relay_next(relay, stream->pointer, slot))
		return NULL;
	*s = pgt_cdc_relay_sign(slot);
	return slot;
}

bool
pgt_cdc_stream_next(ChangeStream *stream, Datum *values, bool *isnull)
{
	Load	   *load = &stream->load;
	ChangeSet  *set = load->set;
	MemoryContext old = MemoryContextSwitchTo(stream->cxt);
	TupleTableSlot *slot;
	int32		s = 0;

	slot = next_in_segments(stream, &s);
	if (slot == NULL)
		slot = next_in_relay(stream, &s);
	MemoryContextSwitchTo(old);
	if (slot == NULL || set->voided)
		return false;
	set->nread++;
	if (change_is_void(s))
	{
		set->voided = true;
		return false;
	}
	set->bytes += slot_bytes(slot);
	if (s > 0)
		set->npos++;
	else
		set->nneg++;
	slot_getsomeattrs(slot, load->maxattr);
	project_row(load, slot, s > 0 ? 1 : -1);
	memcpy(values, load->values, (load->ncolumns + 1) * sizeof(Datum));
	memcpy(isnull, load->isnull, (load->ncolumns + 1) * sizeof(bool));
	return true;
}

void
pgt_cdc_stream_close(ChangeStream *stream)
{
	stop_stream_scan(stream);
	for (int i = 0; i <= PGT_SEGMENTS; i++)
		if (stream->slots[i] != NULL)
			ExecDropSingleTupleTableSlot(stream->slots[i]);
	end_load(&stream->load);
}

/* ---- the next frontier ---- */

static void
advance_segment(const ChangeWindow *w, const WindowSource *ws, int number,
				SegmentPosition *position)
{
	const BlockMark *last = &ws->last[number];

	*position = ws->was.seg[number];
	if (w->next->xmin >= w->next_xid)
	{
		if (last->block > position->start.block)
			position->start = *last;
		position->pending_xid = 0;
	}
	else
	{
		if (position->pending_xid != 0 && w->next->xmin >= position->pending_xid)
		{
			position->start = position->pending;
			position->pending_xid = 0;
		}
		if (position->pending_xid == 0)
		{
			position->pending = *last;
			position->pending_xid = w->next_xid;
		}
	}
}

Frontier *
pgt_cdc_window_advance(ChangeWindow *w)
{
	Frontier   *next = pgt_frontier_copy(w->next);

	next->sources = palloc0(Max(w->nsources, 1) * sizeof(SourcePosition));
	for (int i = 0; i < w->nsources; i++)
	{
		WindowSource *ws = &w->sources[i];
		SourcePosition *position;

		if (ws->cs == NULL || ws->lost)
			continue;
		position = &next->sources[next->nsources++];
		position->relid = ws->relid;
		for (int s = 0; s < PGT_SEGMENTS; s++)
			advance_segment(w, ws, s, &position->seg[s]);
	}
	return next;
}

void
pgt_cdc_window_close(ChangeWindow *w)
{
	pfree(w->sources);
	pfree(w);
}

/* ---- looking from outside ---- */

/* Touches count where nothing else is captured. */
int64
pgt_cdc_count_fresh(const ChangeSource *cs, const Frontier *f, Snapshot snapshot,
					int64 limit)
{
	SourcePosition *position = pgt_frontier_position(unconstify(Frontier *, f), cs->relid);
	int64		n = 0;

	for (int i = 0; i < PGT_SEGMENTS; i++)
		n += pgt_cdc_count_fresh_segment(cs->segment[i],
										 position ? &position->seg[i] : NULL,
										 f, snapshot, bms_is_empty(cs->columns), limit - n);
	return n;
}

/* Unconsumed rows that the snapshot sees, touches or not, counting up to limit. */
int64
pgt_cdc_count_fresh_segment(Oid segment, const SegmentPosition *position,
							const Frontier *f, Snapshot snapshot, bool touches,
							int64 limit)
{
	Relation	rel = try_relation_open(segment, AccessShareLock);
	BlockNumber start = 0;
	SegmentScan scan;
	HeapTuple	tuple;
	int64		n = 0;

	if (rel == NULL)
		return 0;
	if (position != NULL && position->filenode == pgt_relation_filenumber(rel) &&
		mark_holds(rel, &position->start))
		start = position->start.block;
	if (limit > 0 && begin_segment_scan(&scan, segment, start, snapshot, true))
	{
		while (n < limit && (tuple = heap_getnext(scan.scan, ForwardScanDirection)) != NULL)
		{
			ChangeHeader h = change_header(tuple->t_data);

			if ((touches || !change_is_touch(h.s)) &&
				!pgt_frontier_has_consumed(f, h.xid, change_seq(h.s)))
				n++;
		}
		end_segment_scan(&scan);
	}
	relation_close(rel, NoLock);
	return n;
}
