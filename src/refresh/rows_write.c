/*-------------------------------------------------------------------------
 *
 * rows_write.c
 *	  The row sinks: writing the netted rows.
 *
 * Removals and updates come first, insertions afterwards, both in an order
 * that follows the index (and mostly the heap).  Stored rows are found
 *
 * - by index, one lookup per row to remove or replace, or
 * - by one scan of the table, looking up each stored row in the sink's hash,
 *   when many rows are touched, and always for a reconcile, or
 * - by a scan of the stored rows with certain keys, for the reconcile of a part.
 *
 * Keyed rows are replaced in place ("merge") or removed and inserted anew
 * ("delete_insert", setting pg_trickle.merge_strategy).  Left to us, in place:
 * such updates are mostly HOT.  The exception is a table with further unique
 * indexes, where a row may take the value that another row gives up.  (A table
 * with row triggers keeps updates all the same: a foreign key that refers to
 * it would cascade the removal.)
 *
 * A delta knows the old row, so a replaced row is written without comparing.
 * A reconcile compares, and writes real differences only.
 *
 * IDENTIFICATION
 *	  src/refresh/rows_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/guc.h"

#include "rows_internal.h"

/* Scan the table when more than this part of its rows is touched. */
#define SCAN_FRACTION_KEYED 0.20
#define SCAN_FRACTION_BAG	0.35

typedef struct Touched
{
	uint64		order;			/* follows the index, roughly */
	RowEntry   *entry;
} Touched;

struct RowWrite
{
	RowSink    *s;
	RelWriter  *w;
	TupleTableSlot *slot;		/* shows images */
	HeapTupleData tuple;		/* what slot shows */
	bool		in_place;
	bool		stretches;		/* one of several: insertions wait in pending */
	BufFile    *pending;
	Touched    *touched;
	int64		ntouched;
	int64		replaced;		/* removed to be inserted anew */
	int64		unchanged;
};

#define ST_SORT sort_touched
#define ST_ELEMENT_TYPE Touched
#define ST_COMPARE(a, b) ((a)->order < (b)->order ? -1 : (a)->order > (b)->order)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* ---------------------------------------------------------------- errors */

/* "(a, b)=(1, x)" for the key, or the first columns of a row without one. */
static char *
describe_row(RowWrite *rw, RowImage *image)
{
	RowSink    *s = rw->s;
	StringInfoData names;
	StringInfoData values;
	int			n = s->nkeys > 0 ? s->nkeys : Min(s->format->natts, 8);
	bool		first = true;

	initStringInfo(&names);
	initStringInfo(&values);
	pgt_image_store(image, &rw->tuple, rw->slot);
	slot_getallattrs(rw->slot);
	for (int i = 0; i < n; i++)
	{
		int			col = s->nkeys > 0 ? s->keys[i] - 1 : i;
		Form_pg_attribute att = TupleDescAttr(s->format->desc, col);
		char	   *value = "null";

		if (att->attisdropped)
			continue;
		if (!rw->slot->tts_isnull[col])
		{
			Oid			output;
			bool		varlena;

			getTypeOutputInfo(att->atttypid, &output, &varlena);
			value = OidOutputFunctionCall(output, rw->slot->tts_values[col]);
		}
		appendStringInfo(&names, "%s%s", first ? "" : ", ", NameStr(att->attname));
		appendStringInfo(&values, "%s%.*s", first ? "" : ", ",
						 pg_mbcliplen(value, strlen(value), 64), value);
		first = false;
	}
	return psprintf("(%s)=(%s)", names.data, values.data);
}

static void
report_inconsistent(RowWrite *rw, const char *what, RowImage *image)
{
	char	   *row = describe_row(rw, image);

	ereport(ERROR,
			(errcode(PGT_ERRCODE_INCONSISTENT),
			 errmsg("changes do not fit the stored rows of \"%s\"",
					RelationGetRelationName(rw->w->rel)),
			 errdetail(what, row)));
}

/* ---------------------------------------------------------------- opening */

static bool
replace_in_place(RelWriter *w, bool keyed)
{
	if (!keyed)
		return false;			/* nothing says which row became which */
	if (w->row_insert || w->row_update || w->row_delete)
		return true;
	switch (pgt_merge_strategy)
	{
		case PGT_STRATEGY_MERGE:
			return true;
		case PGT_STRATEGY_DELETE_INSERT:
			return false;
		default:
			return !w->other_unique;
	}
}

RowWrite *
pgt_rows_write_begin(RowSink *s, ApplyEmit emit, void *arg)
{
	RowWrite   *rw = palloc0(sizeof(RowWrite));
	Bitmapset  *keys = NULL;

	for (int i = 0; i < s->nkeys; i++)
		keys = bms_add_member(keys, s->keys[i]);
	rw->s = s;
	rw->w = pgt_writer_open(s->relid, s->index, keys, s->snapshot);
	rw->w->emit = emit;
	rw->w->emit_arg = arg;
	rw->slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
	rw->in_place = replace_in_place(rw->w, s->nkeys > 0);
	rw->stretches = s->run != NULL;
	return rw;
}

/* ---------------------------------------------------------------- what is touched */

/* Keyed: at most one image to remove and one to store are left of a key. */
static bool
net_entry(RowWrite *rw, RowEntry *entry)
{
	RowImage   *stored = NULL;
	RowImage   *old = NULL;

	for (RowImage *im = entry->images; im != NULL; im = im->next)
	{
		if (im->weight > 0)
		{
			if (stored != NULL || im->weight > 1)
				report_inconsistent(rw, "Key %s would be stored more than once.", im);
			stored = im;
		}
		else if (im->weight < 0)
		{
			if (old != NULL || im->weight < -1)
				report_inconsistent(rw, "Key %s would be removed more than once.", im);
			old = im;
		}
	}
	entry->images = stored;
	entry->old = old;
	return stored != NULL || old != NULL;
}

static uint64
order_of_keyed(RowWrite *rw, RowEntry *entry)
{
	RowSink    *s = rw->s;

	Assert(entry->images != NULL || entry->old != NULL);
	if (s->word_key && entry->key.len == sizeof(uint64))
		return (entry->key.u.word << (64 - 8 * s->word_len)) ^ (UINT64CONST(1) << 63);
	pgt_image_store(entry->images ? entry->images : entry->old, &rw->tuple, rw->slot);
	slot_getsomeattrs(rw->slot, s->last_key);
	return pgt_rows_order(s, rw->slot->tts_values, rw->slot->tts_isnull);
}

/* Bag: the value of the index expression, which lookups need anyway. */
static Datum
index_value_of_image(RowWrite *rw, RowImage *image, bool *isnull)
{
	RelWriter  *w = rw->w;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	pgt_image_store(image, &rw->tuple, rw->slot);
	GetPerTupleExprContext(w->estate)->ecxt_scantuple = rw->slot;
	FormIndexDatum(w->index_info, rw->slot, w->estate, values, nulls);
	*isnull = nulls[0];
	return values[0];
}

static uint64
order_of_bag(RowWrite *rw, RowEntry *entry)
{
	bool		isnull;
	uint64		order;

	if (rw->w->index == NULL || !TupleDescAttr(RelationGetDescr(rw->w->index), 0)->attbyval)
		return 0;
	order = (uint64) index_value_of_image(rw, entry->images, &isnull);
	ResetPerTupleExprContext(rw->w->estate);
	return order ^ (UINT64CONST(1) << 63);
}

/* Fills touched with the entries that lead to a write; in_order: sorted. */
static void
gather_touched(RowWrite *rw, bool net)
{
	RowSink    *s = rw->s;
	pgt_rowhash_iterator it;
	RowEntry   *entry;

	if (rw->touched != NULL)
		pfree(rw->touched);
	rw->touched = MemoryContextAllocHuge(s->cxt, sizeof(Touched) * (s->hash->members + 1));
	rw->ntouched = 0;
	pgt_rowhash_start_iterate(s->hash, &it);
	while ((entry = pgt_rowhash_iterate(s->hash, &it)) != NULL)
	{
		if (s->nkeys == 0 ? entry->images->weight == 0 :
			net ? !net_entry(rw, entry) : entry->images == NULL)
			continue;
		rw->touched[rw->ntouched++].entry = entry;
	}
}

static void
order_touched(RowWrite *rw)
{
	MemoryContext old = MemoryContextSwitchTo(rw->s->tmp);

	for (int64 i = 0; i < rw->ntouched; i++)
		rw->touched[i].order = rw->s->nkeys == 0 ? order_of_bag(rw, rw->touched[i].entry) :
			order_of_keyed(rw, rw->touched[i].entry);
	MemoryContextSwitchTo(old);
	MemoryContextReset(rw->s->tmp);
	sort_touched(rw->touched, rw->ntouched);
}

/* ---------------------------------------------------------------- by index */

/* w->cur is the row to replace or remove. */
static inline void
replace_current(RowWrite *rw, RowEntry *entry)
{
	if (entry->images == NULL)
		pgt_writer_delete(rw->w);
	else if (rw->in_place)
	{
		pgt_writer_update_image(rw->w, entry->images);
		entry->images = NULL;
	}
	else
	{
		pgt_writer_delete(rw->w);
		rw->replaced++;
	}
	entry->old = NULL;
}

static void
seek_key(RowWrite *rw, RowEntry *entry)
{
	RowSink    *s = rw->s;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	if (s->word_key && entry->key.len == sizeof(uint64))
	{
		values[0] = fetch_att((char *) &entry->key.u.word, true, s->word_len);
		isnull[0] = false;
	}
	else
	{
		pgt_image_store(entry->old, &rw->tuple, rw->slot);
		slot_getsomeattrs(rw->slot, s->last_key);
		for (int i = 0; i < s->nkeys; i++)
		{
			/* the order of the index, which is that of the keys */
			int			col = rw->w->keys[i] - 1;

			values[i] = rw->slot->tts_values[col];
			isnull[i] = rw->slot->tts_isnull[col];
		}
	}
	pgt_writer_seek(rw->w, values, isnull);
}

static void
keyed_by_index(RowWrite *rw)
{
	for (int64 i = 0; i < rw->ntouched; i++)
	{
		RowEntry   *entry = rw->touched[i].entry;

		CHECK_FOR_INTERRUPTS();
		if (entry->old == NULL)
			continue;
		seek_key(rw, entry);
		if (!pgt_writer_next(rw->w))
			report_inconsistent(rw, "The row to remove with key %s is not stored.",
								entry->old);
		replace_current(rw, entry);
		MemoryContextReset(rw->s->tmp);
	}
}

static void
bag_by_index(RowWrite *rw)
{
	for (int64 i = 0; i < rw->ntouched; i++)
	{
		RowImage   *image = rw->touched[i].entry->images;
		Datum		value;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (image->weight >= 0)
			continue;
		value = index_value_of_image(rw, image, &isnull);
		pgt_writer_seek(rw->w, &value, &isnull);
		while (image->weight < 0 && pgt_writer_next(rw->w))
		{
			if (pgt_image_is_stored_row(rw->s->format, image, rw->slot, rw->w->cur))
			{
				pgt_writer_delete(rw->w);
				image->weight++;
			}
		}
		ResetPerTupleExprContext(rw->w->estate);
		MemoryContextReset(rw->s->tmp);
		if (image->weight < 0)
			report_inconsistent(rw, "The row to remove with %s is not stored.", image);
	}
}

/* ---------------------------------------------------------------- by scan */

static RowEntry *
entry_of_stored(RowWrite *rw)
{
	RowSink    *s = rw->s;
	RowEntry   *entry;

	if (s->nkeys > 0)
		return pgt_rowhash_lookup(s->hash, pgt_rows_key_of_stored(s, rw->w->cur));
	else
	{
		RowImage   *image = pgt_rows_image_of_stored(s, rw->w->cur);

		entry = pgt_rowhash_lookup(s->hash, pgt_rows_key_of_image(image));
		pgt_rows_give_back(s, image);
		return entry;
	}
}

/* One stored row, w->cur, meets a delta. */
static void
delta_meets_stored(RowWrite *rw)
{
	RowEntry   *entry = entry_of_stored(rw);

	if (entry == NULL)
		return;
	if (rw->s->nkeys > 0)
	{
		if (entry->old != NULL)
			replace_current(rw, entry);
	}
	else if (entry->images->weight < 0)
	{
		pgt_writer_delete(rw->w);
		entry->images->weight++;
	}
}

/* One stored row, w->cur, meets the content that is to be. */
static void
content_meets_stored(RowWrite *rw, RowEntry *entry)
{
	if (rw->s->nkeys == 0)
	{
		if (entry != NULL && entry->images->weight > 0)
		{
			entry->images->weight--;
			rw->unchanged++;
		}
		else
			pgt_writer_delete(rw->w);
		return;
	}
	if (entry == NULL || entry->images == NULL)
	{
		pgt_writer_delete(rw->w);
		return;
	}
	pgt_image_store(entry->images, &rw->tuple, rw->slot);
	if (pgt_image_is_stored_row(rw->s->format, entry->images, rw->slot, rw->w->cur))
	{
		entry->images = NULL;
		rw->unchanged++;
	}
	else
		replace_current(rw, entry);
}

/* The stored rows that count: all, or those with some keys. */
typedef struct StoredScan
{
	TableScanDesc all;
	TupleTableSlot *key;		/* the key being looked up; or NULL */
} StoredScan;

static void
stored_begin(RowWrite *rw, StoredScan *scan)
{
	RowSink    *s = rw->s;

	memset(scan, 0, sizeof(*scan));
	if (s->stored_keys == NULL)
		scan->all = table_beginscan_strat(rw->w->rel, s->snapshot, 0, NULL, true, false);
	else
	{
		scan->key = MakeSingleTupleTableSlot(s->stored_keys_desc, &TTSOpsMinimalTuple);
		tuplestore_select_read_pointer(s->stored_keys, 0);
		tuplestore_rescan(s->stored_keys);
	}
}

/* The next one is w->cur. */
static bool
stored_next(RowWrite *rw, StoredScan *scan)
{
	if (scan->all != NULL)
		return table_scan_getnextslot(scan->all, ForwardScanDirection, rw->w->cur);
	while (TTS_EMPTY(scan->key) || !pgt_writer_next(rw->w))
	{
		if (!tuplestore_gettupleslot(rw->s->stored_keys, true, false, scan->key))
			return false;
		slot_getallattrs(scan->key);
		pgt_writer_seek(rw->w, scan->key->tts_values, scan->key->tts_isnull);
	}
	return true;
}

static void
stored_end(StoredScan *scan)
{
	if (scan->all != NULL)
		table_endscan(scan->all);
	else
		ExecDropSingleTupleTableSlot(scan->key);
}

/* run: where stored rows go, instead of meeting the sink's hash. */
static void
scan_stored(RowWrite *rw, RowRun *run)
{
	RowSink    *s = rw->s;
	RelWriter  *w = rw->w;
	StoredScan	scan;

	stored_begin(rw, &scan);
	while (stored_next(rw, &scan))
	{
		MemoryContext old = MemoryContextSwitchTo(s->tmp);

		CHECK_FOR_INTERRUPTS();
		if (run != NULL)
		{
			RowImage   *image = pgt_rows_image_of_stored(s, w->cur);
			RowKey		key = s->nkeys > 0 ? pgt_rows_key_of_values(s, s->values, s->isnull) :
				pgt_rows_key_of_image(image);

			pgt_rows_run_put(s, run, pgt_rows_order(s, s->values, s->isnull), key.hash,
							 image, -1, &w->cur->tts_tid);
			pgt_arena_reset(s->arena);
		}
		else if (s->subtract_stored)
			content_meets_stored(rw, entry_of_stored(rw));
		else
			delta_meets_stored(rw);
		MemoryContextSwitchTo(old);
		MemoryContextReset(s->tmp);
	}
	stored_end(&scan);
}

/* Reconcile that does not fit into memory: stored rows are sorted, too. */
RowRun *
pgt_rows_write_scan_stored(RowWrite *rw)
{
	RowRun	   *run = pgt_rows_run_begin(rw->s);

	scan_stored(rw, run);
	return run;
}

/* A stored row from a run; looked at in the table only if it is to be changed. */
static void
content_meets_run(RowWrite *rw, RowRun *stored)
{
	RowSink    *s = rw->s;
	ItemPointerData tid;
	int32		weight;
	RowImage   *image = pgt_rows_run_image(s, stored, &weight, &tid);
	RowKey		key;
	RowEntry   *entry;

	if (s->nkeys > 0)
	{
		pgt_image_store(image, &rw->tuple, rw->slot);
		slot_getsomeattrs(rw->slot, s->last_key);
		key = pgt_rows_key_of_values(s, rw->slot->tts_values, rw->slot->tts_isnull);
	}
	else
		key = pgt_rows_key_of_image(image);
	entry = pgt_rowhash_lookup(s->hash, key);
	if (s->nkeys > 0 && entry != NULL && entry->images != NULL &&
		pgt_image_same(entry->images, image))
	{
		entry->images = NULL;
		rw->unchanged++;
	}
	else
	{
		if (!pgt_writer_fetch(rw->w, &tid))
			elog(ERROR, "could not find tuple (%u,%u) of \"%s\" again",
				 ItemPointerGetBlockNumber(&tid), ItemPointerGetOffsetNumber(&tid),
				 RelationGetRelationName(rw->w->rel));
		content_meets_stored(rw, entry);
	}
	pgt_rows_give_back(s, image);
}

/* The stored rows up to where the stretch of fed rows ends. */
static void
read_stored(RowWrite *rw, RowRun *stored, RowRun *bound)
{
	while (!stored->at_end &&
		   (bound->at_end || stored->order < bound->order ||
			(stored->order == bound->order && stored->hash < bound->hash)))
	{
		MemoryContext old = MemoryContextSwitchTo(rw->s->tmp);

		content_meets_run(rw, stored);
		MemoryContextSwitchTo(old);
		MemoryContextReset(rw->s->tmp);
		pgt_rows_run_next(stored);
	}
}

/* ---------------------------------------------------------------- all of it */

static bool
better_by_scan(RowWrite *rw)
{
	RowSink    *s = rw->s;
	int64		lookups = 0;
	double		stored;

	if (rw->w->index == NULL)
		return true;
	if (rw->stretches || (s->nkeys > 0 && !_bt_allequalimage(rw->w->index, false)))
		return false;
	for (int64 i = 0; i < rw->ntouched; i++)
	{
		RowEntry   *entry = rw->touched[i].entry;

		if (s->nkeys > 0 ? entry->old != NULL : entry->images->weight < 0)
			lookups++;
	}
	if (lookups < 256)
		return false;
	stored = pgt_writer_estimate_rows(rw->w);
	return lookups > stored * (s->nkeys > 0 ? SCAN_FRACTION_KEYED : SCAN_FRACTION_BAG);
}

/* After a scan: every row to remove must have been met. */
static void
check_all_met(RowWrite *rw)
{
	for (int64 i = 0; i < rw->ntouched; i++)
	{
		RowEntry   *entry = rw->touched[i].entry;

		if (rw->s->nkeys > 0 && entry->old != NULL)
			report_inconsistent(rw, "The row to remove with key %s is not stored.",
								entry->old);
		if (rw->s->nkeys == 0 && entry->images->weight < 0)
			report_inconsistent(rw, "The row to remove with %s is not stored.",
								entry->images);
	}
}

static void
put_pending(RowWrite *rw, RowImage *image)
{
	if (rw->pending == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(rw->s->cxt);

		rw->pending = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(rw->pending, &image->len, sizeof(image->len));
	BufFileWrite(rw->pending, &image->tuple, image->len);
}

static void
write_insertions(RowWrite *rw)
{
	RowSink    *s = rw->s;
	MemoryContext old = MemoryContextSwitchTo(s->tmp);

	for (int64 i = 0; i < rw->ntouched; i++)
	{
		RowImage   *image = rw->touched[i].entry->images;
		int32		copies;

		if (image == NULL)
			continue;
		copies = s->nkeys > 0 ? 1 : image->weight;
		for (; copies > 0; copies--)
		{
			CHECK_FOR_INTERRUPTS();
			if (rw->stretches)
				put_pending(rw, image);
			else
				pgt_writer_insert_image(rw->w, image);
		}
		MemoryContextReset(s->tmp);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Writes what is in the sink's hash.  For one of several stretches: bound is
 * at the first row of the next one; stored has the stored rows of a reconcile.
 */
void
pgt_rows_write_hash(RowWrite *rw, RowRun *stored, RowRun *bound)
{
	RowSink    *s = rw->s;

	if (s->subtract_stored)
	{
		/* a key fed twice shows before anything is compared with it */
		gather_touched(rw, true);
		if (stored == NULL)
			scan_stored(rw, NULL);
		else
			read_stored(rw, stored, bound);
		gather_touched(rw, false);
		order_touched(rw);
	}
	else
	{
		gather_touched(rw, true);
		if (better_by_scan(rw))
		{
			scan_stored(rw, NULL);
			check_all_met(rw);
			gather_touched(rw, false);	/* what is to be inserted */
			order_touched(rw);
		}
		else
		{
			MemoryContext old;

			order_touched(rw);
			old = MemoryContextSwitchTo(s->tmp);
			if (s->nkeys > 0)
				keyed_by_index(rw);
			else
				bag_by_index(rw);
			MemoryContextSwitchTo(old);
		}
	}
	write_insertions(rw);
	if (!rw->stretches)
		pgt_writer_flush(rw->w);
}

/* The next image, in cxt; NULL at the end. */
static RowImage *
get_pending(RowWrite *rw, MemoryContext cxt)
{
	RowImage   *image;
	uint32		len;
	size_t		n = BufFileRead(rw->pending, &len, sizeof(len));

	if (n == 0)
		return NULL;
	if (n == sizeof(len))
	{
		image = MemoryContextAllocHuge(cxt, RowImageSize(len));
		image->len = len;
		if (BufFileRead(rw->pending, &image->tuple, len) == len)
			return image;
	}
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not read from a temporary file of a refresh")));
}

static void
write_pending(RowWrite *rw)
{
	RowImage   *image;

	if (BufFileSeek(rw->pending, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind a temporary file of a refresh")));
	for (;;)
	{
		/* write a full batch before the next image is read into its context */
		if (pgt_writer_batch_full(rw->w))
			pgt_writer_flush(rw->w);
		image = get_pending(rw, rw->w->batch_cxt);
		if (image == NULL)
			break;
		CHECK_FOR_INTERRUPTS();
		pgt_writer_insert_image(rw->w, image);
		if (rw->w->row_insert)
			pfree(image);		/* written already */
	}
	BufFileClose(rw->pending);
}

void
pgt_rows_write_end(RowWrite *rw, ApplyStats *stats)
{
	if (rw->pending != NULL)
		write_pending(rw);
	pgt_writer_close(rw->w);
	ExecDropSingleTupleTableSlot(rw->slot);
	stats->inserted += rw->w->inserted - rw->replaced;
	stats->updated += rw->w->updated + rw->replaced;
	stats->deleted += rw->w->deleted - rw->replaced;
	stats->unchanged += rw->unchanged;
	stats->strategy = rw->s->subtract_stored ? "reconcile" :
		rw->in_place ? "merge" : "delete_insert";
}
