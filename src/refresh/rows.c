/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  The row sinks, keyed and bag: collecting and netting what is fed.
 *
 * Fed rows become images (image.c) and are netted: a keyed sink lists per key
 * the distinct images with their summed weights, a bag sums weights per image.
 * Rows that cancel leave nothing to write, whatever their order.  Afterwards a
 * key has at most one image to remove and one to store; anything else is
 * an inconsistency.
 *
 * Keys are netted by image, though the unique index compares by the types'
 * equality, and the two differ for numeric (1.0, 1.00), floats (0, -0), citext
 * and nondeterministic collations.  Then a change from 1.0 to 1.00 is two
 * entries, one row to remove and one to store, and since all removals come
 * before all insertions the index never sees both.
 *
 * Memory.  When the hash and its images outgrow the limit, everything goes
 * through a sort, which spills to disk, ordered as the index is.  Its result is
 * collected again, a hash full at a time, each full is a stretch of keys
 * and is written by itself.  Insertions wait until all removals are done.
 *
 * IDENTIFICATION
 *	  src/refresh/rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/guc.h"

#include "rows_internal.h"

#define SH_PREFIX pgt_rowhash
#define SH_ELEMENT_TYPE RowEntry
#define SH_KEY_TYPE RowKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) ((key).hash)
#define SH_EQUAL(tb, a, b) row_key_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->key.hash)
#define SH_SCOPE extern
#define SH_DEFINE
#include "lib/simplehash.h"

#define MAX_INITIAL_ENTRIES (1024 * 1024)

typedef struct RowReceiver
{
	DestReceiver pub;
	RowSink    *sink;
	bool		weighted;		/* the last column is the weight */
} RowReceiver;

/* ---------------------------------------------------------------- keys */

static inline RowKey
make_key(const char *bytes, uint32 len)
{
	RowKey		key;

	key.len = len;
	if (len <= sizeof(uint64))
	{
		key.u.word = 0;
		memcpy(&key.u.word, bytes, len);
	}
	else
		key.u.bytes = bytes;
	key.hash = hash_bytes((const unsigned char *) bytes, len);
	return key;
}

/* Bag: the image itself.  The key points into it. */
RowKey
pgt_rows_key_of_image(RowImage *image)
{
	uint32		len;
	char	   *bytes = pgt_image_bytes(image, &len);

	return make_key(bytes, len);
}

/*
 * Keyed: the bytes of the key columns, each with its length or NULL mark so
 * that different keys differ.  values: canonical, by attnum - 1.  The result
 * may point into a buffer that the next call overwrites.
 */
RowKey
pgt_rows_key_of_values(RowSink *s, Datum *values, bool *isnull)
{
	StringInfo	buf = &s->keybuf;

	if (s->word_key && !isnull[s->keys[0] - 1])
	{
		RowKey		key;
		Datum		word = 0;

		store_att_byval(&word, values[s->keys[0] - 1], s->word_len);
		key.len = sizeof(uint64);
		key.u.word = (uint64) word;
		key.hash = murmurhash32((uint32) key.u.word ^
								murmurhash32((uint32) (key.u.word >> 32)));
		return key;
	}
	resetStringInfo(buf);
	for (int i = 0; i < s->nkeys; i++)
	{
		int			col = s->keys[i] - 1;
		Form_pg_attribute att = TupleDescAttr(s->format->desc, col);
		Datum		value = values[col];

		/* an empty key is a single NULL */
		if (s->nkeys > 1)
			appendStringInfoCharMacro(buf, isnull[col] ? 1 : 0);
		if (isnull[col])
			continue;
		if (att->attbyval)
		{
			Datum		word = 0;

			store_att_byval(&word, value, att->attlen);
			appendBinaryStringInfo(buf, (char *) &word, sizeof(Datum));
		}
		else if (att->attlen == -1)
		{
			struct varlena *v = (struct varlena *) DatumGetPointer(value);
			uint32		len = VARSIZE_ANY_EXHDR(v);

			appendBinaryStringInfo(buf, (char *) &len, sizeof(len));
			appendBinaryStringInfo(buf, VARDATA_ANY(v), len);
		}
		else
			appendBinaryStringInfo(buf, DatumGetPointer(value),
								   att->attlen == -2 ? strlen(DatumGetCString(value)) + 1 :
								   att->attlen);
	}
	return make_key(buf->data, buf->len);
}

/* Order-preserving within one type, more or less: this is for locality only. */
static uint64
order_of_value(Form_pg_attribute att, Datum value)
{
	unsigned char bytes[8] = {0};
	uint64		order = 0;
	const char *from;
	int			len;

	if (att->attbyval)
	{
		Datum		word = 0;

		store_att_byval(&word, value, att->attlen);
		return ((uint64) word << (64 - 8 * att->attlen)) ^ (UINT64CONST(1) << 63);
	}
	if (att->attlen == -1)
	{
		struct varlena *v = (struct varlena *) DatumGetPointer(value);

		from = VARDATA_ANY(v);
		len = VARSIZE_ANY_EXHDR(v);
	}
	else
	{
		from = DatumGetPointer(value);
		len = att->attlen == -2 ? strlen(from) : att->attlen;
	}
	memcpy(bytes, from, Min(len, 8));
	for (int i = 0; i < 8; i++)
		order = order << 8 | bytes[i];
	return order;
}

/*
 * Keyed: where a key lies in the index, roughly.  (A bag's index is on another
 * hash: nothing to follow.)
 */
uint64
pgt_rows_order(RowSink *s, Datum *values, bool *isnull)
{
	Form_pg_attribute att;
	uint64		order;

	if (s->nkeys == 0)
		return 0;
	att = TupleDescAttr(s->format->desc, s->keys[0] - 1);
	if (isnull[s->keys[0] - 1])
		return PG_UINT64_MAX;
	order = order_of_value(att, values[s->keys[0] - 1]);
	if (att->attbyval && att->attlen <= 4 && s->nkeys > 1 && !isnull[s->keys[1] - 1])
		order |= order_of_value(TupleDescAttr(s->format->desc, s->keys[1] - 1),
								values[s->keys[1] - 1]) >> 32;
	return order;
}

/* The same for a stored row, whose values may be compressed or out of line. */
RowKey
pgt_rows_key_of_stored(RowSink *s, TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, s->last_key);
	for (int i = 0; i < s->nkeys; i++)
	{
		int			col = s->keys[i] - 1;

		if (s->key_canonical[i] == NULL || slot->tts_isnull[col])
			continue;

		/*
		 * The slot's own array: a canonical value is as good as the stored
		 * one, and the slot is read no more once the current context is reset.
		 */
		slot->tts_values[col] = pgt_canonical_value(s->key_canonical[i],
													slot->tts_values[col]);
	}
	return pgt_rows_key_of_values(s, slot->tts_values, slot->tts_isnull);
}

/* The canonical image of a stored row, in the arena. */
RowImage *
pgt_rows_image_of_stored(RowSink *s, TupleTableSlot *slot)
{
	MemoryContext old;
	RowImage   *image;

	slot_getallattrs(slot);
	memcpy(s->values, slot->tts_values, sizeof(Datum) * s->format->natts);
	memcpy(s->isnull, slot->tts_isnull, sizeof(bool) * s->format->natts);
	for (int i = 0; i < s->format->natts; i++)
		if (TupleDescAttr(s->format->desc, i)->attisdropped)
			s->isnull[i] = true;
	old = MemoryContextSwitchTo(s->tmp);
	pgt_image_canonicalise(s->format, s->values, s->isnull);
	MemoryContextSwitchTo(old);
	image = pgt_image_form(s->format, s->arena, s->values, s->isnull);
	return image;
}

/* ---------------------------------------------------------------- memory */

/* An image made last in the arena is not needed after all. */
void
pgt_rows_give_back(RowSink *s, RowImage *image)
{
	char	   *start = (char *) image;

	if (start + MAXALIGN(RowImageSize(image->len)) == s->arena->next)
		s->arena->next = start;
}

static void
create_hash(RowSink *s, double expected)
{
	/* the size is rounded up to a power of two, and images take their part */
	double		most = s->memory_limit / (double) (4 * sizeof(RowEntry));

	expected = Max(256, Min(expected, Min(most, MAX_INITIAL_ENTRIES)));
	s->hash = pgt_rowhash_create(s->cxt, (uint32) expected, NULL);
}

static inline Size
memory_used(RowSink *s)
{
	return s->arena->used + s->hash->size * sizeof(RowEntry);
}

/* ---------------------------------------------------------------- runs */

enum
{
	RUN_ORDER = 1, RUN_HASH, RUN_WEIGHT, RUN_TID, RUN_IMAGE, RUN_NATTS = RUN_IMAGE
};

RowRun *
pgt_rows_run_begin(RowSink *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	ResourceOwner owner = CurrentResourceOwner;
	RowRun	   *run = palloc0(sizeof(RowRun));
	TupleDesc	desc = CreateTemplateTupleDesc(RUN_NATTS);
	AttrNumber	attnums[] = {RUN_ORDER, RUN_HASH};
	Oid			operators[] = {Int8LessOperator, Int4LessOperator};
	Oid			collations[] = {InvalidOid, InvalidOid};
	bool		nulls_first[] = {false, false};

	TupleDescInitEntry(desc, RUN_ORDER, "order", INT8OID, -1, 0);
	TupleDescInitEntry(desc, RUN_HASH, "hash", INT4OID, -1, 0);
	TupleDescInitEntry(desc, RUN_WEIGHT, "weight", INT4OID, -1, 0);
	TupleDescInitEntry(desc, RUN_TID, "tid", INT8OID, -1, 0);
	TupleDescInitEntry(desc, RUN_IMAGE, "image", BYTEAOID, -1, 0);
	run->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	CurrentResourceOwner = s->owner;
	run->sort = tuplesort_begin_heap(desc, 2, attnums, operators, collations, nulls_first,
									 s->sort_kb, NULL, TUPLESORT_NONE);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
	return run;
}

void
pgt_rows_run_put(RowSink *s, RowRun *run, uint64 order, uint32 hash, RowImage *image,
				 int32 weight, ItemPointer tid)
{
	ResourceOwner owner = CurrentResourceOwner;
	TupleTableSlot *slot = s->run_slot;
	struct varlena *bytes = palloc(VARHDRSZ + image->len);

	SET_VARSIZE(bytes, VARHDRSZ + image->len);
	memcpy(VARDATA(bytes), &image->tuple, image->len);
	if (slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(s->cxt);

		slot = s->run_slot = MakeSingleTupleTableSlot(run->slot->tts_tupleDescriptor,
													  &TTSOpsVirtual);
		MemoryContextSwitchTo(old);
	}
	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, sizeof(bool) * RUN_NATTS);
	slot->tts_values[RUN_ORDER - 1] =
		Int64GetDatum((int64) (order ^ (UINT64CONST(1) << 63)));
	slot->tts_values[RUN_HASH - 1] = Int32GetDatum((int32) hash);
	slot->tts_values[RUN_WEIGHT - 1] = Int32GetDatum(weight);
	slot->tts_values[RUN_TID - 1] = Int64GetDatum(tid == NULL ? 0 :
												  (int64) ItemPointerGetBlockNumber(tid) << 16 |
												  ItemPointerGetOffsetNumber(tid));
	slot->tts_values[RUN_IMAGE - 1] = PointerGetDatum(bytes);
	ExecStoreVirtualTuple(slot);
	/* the executor that feeds us may run under an owner of its own */
	CurrentResourceOwner = s->owner;
	tuplesort_puttupleslot(run->sort, slot);
	CurrentResourceOwner = owner;
	pfree(bytes);
}

/* The first call sorts. */
void
pgt_rows_run_next(RowRun *run)
{
	CHECK_FOR_INTERRUPTS();
	run->at_end = !tuplesort_gettupleslot(run->sort, true, false, run->slot, NULL);
	if (!run->at_end)
	{
		slot_getallattrs(run->slot);
		run->order = DatumGetInt64(run->slot->tts_values[RUN_ORDER - 1]);
		run->hash = DatumGetInt32(run->slot->tts_values[RUN_HASH - 1]);
	}
}

/* The image of the current row, in the arena. */
RowImage *
pgt_rows_run_image(RowSink *s, RowRun *run, int32 *weight, ItemPointer tid)
{
	Datum	   *values = run->slot->tts_values;
	struct varlena *bytes = (struct varlena *) DatumGetPointer(values[RUN_IMAGE - 1]);
	uint32		len = VARSIZE_ANY_EXHDR(bytes);
	RowImage   *image = (RowImage *) pgt_arena_alloc(s->arena, RowImageSize(len));
	int64		number = DatumGetInt64(values[RUN_TID - 1]);

	image->len = len;
	memcpy(&image->tuple, VARDATA_ANY(bytes), len);
	*weight = DatumGetInt32(values[RUN_WEIGHT - 1]);
	if (tid != NULL)
		ItemPointerSet(tid, (BlockNumber) (number >> 16), (OffsetNumber) (number & 0xffff));
	return image;
}

/* From now on rows go to a run; so does what is in memory. */
static void
start_run(RowSink *s)
{
	pgt_rowhash_iterator it;
	RowEntry   *entry;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
	HeapTupleData tuple;

	s->run = pgt_rows_run_begin(s);
	pgt_rowhash_start_iterate(s->hash, &it);
	while ((entry = pgt_rowhash_iterate(s->hash, &it)) != NULL)
	{
		for (RowImage *im = entry->images; im != NULL; im = im->next)
		{
			if (im->weight == 0)
				continue;
			pgt_image_store(im, &tuple, slot);
			if (s->nkeys > 0)
				slot_getsomeattrs(slot, s->last_key);
			pgt_rows_run_put(s, s->run, pgt_rows_order(s, slot->tts_values, slot->tts_isnull),
							 entry->key.hash, im, im->weight, NULL);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	pgt_rowhash_destroy(s->hash);
	create_hash(s, 0);
	pgt_arena_reset(s->arena);
}

/* ---------------------------------------------------------------- collecting */

/* The image was made last in the arena; key may point to the key buffer. */
static void
collect(RowSink *s, RowImage *image, RowKey key, int32 weight)
{
	RowEntry   *entry;
	bool		found;

	entry = pgt_rowhash_insert(s->hash, key, &found);
	if (found)
	{
		for (RowImage *im = entry->images; im != NULL; im = im->next)
		{
			if (s->nkeys == 0 || pgt_image_same(im, image))
			{
				im->weight += weight;
				pgt_rows_give_back(s, image);
				return;
			}
		}
	}
	else
	{
		entry->images = NULL;
		entry->old = NULL;
		if (s->nkeys > 0 && key.len > sizeof(uint64))
		{
			char	   *bytes = pgt_arena_alloc(s->arena, key.len);

			memcpy(bytes, key.u.bytes, key.len);
			entry->key.u.bytes = bytes;
		}
	}
	image->weight = weight;
	image->next = entry->images;
	entry->images = image;
	if (unlikely(memory_used(s) > s->memory_limit) && !s->reading)
		start_run(s);
}

void
pgt_apply_rows_put(RowSink *s, Datum *values, bool *isnull, int32 weight)
{
	RowImage   *image;
	RowKey		key;
	bool		temporary = false;

	s->received++;
	if (weight == 0)
		return;
	if (!s->identity || s->format->ncanonical > 0)
	{
		if (s->identity)
		{
			memcpy(s->values, values, sizeof(Datum) * s->ncolumns);
			memcpy(s->isnull, isnull, sizeof(bool) * s->ncolumns);
		}
		else
		{
			/* attributes that are not fed (dropped ones) are NULL */
			memset(s->isnull, true, sizeof(bool) * s->format->natts);
			for (int i = 0; i < s->ncolumns; i++)
			{
				s->values[s->attnums[i] - 1] = values[i];
				s->isnull[s->attnums[i] - 1] = isnull[i];
			}
		}
		if (s->format->ncanonical > 0)
		{
			MemoryContext old = MemoryContextSwitchTo(s->tmp);

			temporary = pgt_image_canonicalise(s->format, s->values, s->isnull);
			MemoryContextSwitchTo(old);
		}
		values = s->values;
		isnull = s->isnull;
	}
	if (s->append != NULL)
	{
		pgt_rows_append_put(s, values, isnull, weight);
		return;
	}
	image = pgt_image_form(s->format, s->arena, values, isnull);
	key = s->nkeys == 0 ? pgt_rows_key_of_image(image) :
		pgt_rows_key_of_values(s, values, isnull);
	if (s->run == NULL)
		collect(s, image, key, weight);
	else
	{
		pgt_rows_run_put(s, s->run, pgt_rows_order(s, values, isnull), key.hash, image,
						 weight, NULL);
		pgt_arena_reset(s->arena);
	}
	if (temporary)
		MemoryContextReset(s->tmp);
}

/* Collects the next stretch of keys; run is at its first row, and left at the next. */
static void
read_stretch(RowSink *s, TupleTableSlot *slot)
{
	RowRun	   *run = s->run;
	HeapTupleData tuple;

	while (!run->at_end)
	{
		int64		order = run->order;
		int32		hash = run->hash;
		int32		weight;
		RowImage   *image = pgt_rows_run_image(s, run, &weight, NULL);
		RowKey		key;

		if (s->nkeys == 0)
			key = pgt_rows_key_of_image(image);
		else
		{
			pgt_image_store(image, &tuple, slot);
			slot_getsomeattrs(slot, s->last_key);
			key = pgt_rows_key_of_values(s, slot->tts_values, slot->tts_isnull);
		}
		collect(s, image, key, weight);
		pgt_rows_run_next(run);
		if (memory_used(s) > s->memory_limit / 2 &&
			(run->order != order || run->hash != hash))
			break;
	}
	ExecClearTuple(slot);
}

/*
 * Once everything is fed: calls write with a hash full after the other, each a stretch of
 * keys.
 */
void
pgt_rows_for_stretches(RowSink *s, void (*write) (void *arg), void *arg)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);

	s->reading = true;
	tuplesort_performsort(s->run->sort);
	pgt_rows_run_next(s->run);
	do
	{
		read_stretch(s, slot);
		write(arg);
		pgt_rowhash_reset(s->hash);
		pgt_arena_reset(s->arena);
	} while (!s->run->at_end);
	ExecClearTuple(s->run->slot);
	tuplesort_end(s->run->sort);
	ExecDropSingleTupleTableSlot(slot);
}

typedef struct WriteRun
{
	RowSink    *sink;
	RowWrite   *write;
	RowRun	   *stored;
} WriteRun;

static void
write_stretch(void *arg)
{
	WriteRun   *w = (WriteRun *) arg;

	pgt_rows_write_hash(w->write, w->stored, w->sink->run);
}

static void
write_run(RowSink *s, RowWrite *rw)
{
	WriteRun	w = {s, rw, NULL};

	if (s->subtract_stored)
	{
		w.stored = pgt_rows_write_scan_stored(rw);
		tuplesort_performsort(w.stored->sort);
		pgt_rows_run_next(w.stored);
	}
	pgt_rows_for_stretches(s, write_stretch, &w);
	if (w.stored != NULL)
	{
		ExecClearTuple(w.stored->slot);
		tuplesort_end(w.stored->sort);
	}
}

/* ---------------------------------------------------------------- receivers */

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	RowReceiver *r = (RowReceiver *) self;

	if (desc->natts != r->sink->ncolumns + (r->weighted ? 1 : 0))
		elog(ERROR, "row sink fed with %d columns instead of %d", desc->natts,
			 r->sink->ncolumns + (r->weighted ? 1 : 0));
}

static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *r = (RowReceiver *) self;
	int32		weight = 1;

	slot_getallattrs(slot);
	if (r->weighted)
		weight = DatumGetInt32(slot->tts_values[r->sink->ncolumns]);
	pgt_apply_rows_put(r->sink, slot->tts_values, slot->tts_isnull, weight);
	return true;
}

static void
receiver_nothing(DestReceiver *self)
{
}

static DestReceiver *
make_receiver(RowSink *s, bool weighted)
{
	RowReceiver *r = MemoryContextAllocZero(s->cxt, sizeof(RowReceiver));

	r->pub.receiveSlot = receiver_receive;
	r->pub.rStartup = receiver_startup;
	r->pub.rShutdown = receiver_nothing;
	r->pub.rDestroy = receiver_nothing;
	r->pub.mydest = DestNone;
	r->sink = s;
	r->weighted = weighted;
	return &r->pub;
}

DestReceiver *
pgt_apply_rows_receiver(RowSink *s)
{
	return make_receiver(s, true);
}

DestReceiver *
pgt_apply_rows_receiver_plain(RowSink *s)
{
	return make_receiver(s, false);
}

/* ---------------------------------------------------------------- life */

static void
prepare_keys(RowSink *s, const RowTarget *target)
{
	s->nkeys = target->nkeys;
	s->keys = palloc(sizeof(AttrNumber) * (target->nkeys + 1));
	s->key_canonical = palloc0(sizeof(Canonical *) * (target->nkeys + 1));
	for (int i = 0; i < s->nkeys; i++)
	{
		s->keys[i] = target->keys[i];
		s->last_key = Max(s->last_key, s->keys[i]);
		for (int j = 0; j < s->format->ncanonical; j++)
			if (s->format->columns[j] == s->keys[i] - 1)
				s->key_canonical[i] = s->format->canonical[j];
	}
	if (s->nkeys == 1)
	{
		Form_pg_attribute att = TupleDescAttr(s->format->desc, s->keys[0] - 1);

		s->word_key = att->attbyval;
		s->word_len = att->attlen;
	}
}

/* A sink for images of desc; the caller sets the rest. */
RowSink *
pgt_rows_create(TupleDesc desc, double expected)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle row sink",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RowSink    *s = palloc0(sizeof(RowSink));

	s->cxt = cxt;
	s->tmp = AllocSetContextCreate(cxt, "pg_trickle row", ALLOCSET_DEFAULT_SIZES);
	s->owner = CurrentResourceOwner;
	s->format = pgt_image_format_create(desc);
	s->values = palloc0(sizeof(Datum) * (s->format->natts + 1));
	s->isnull = palloc0(sizeof(bool) * (s->format->natts + 1));
	initStringInfo(&s->keybuf);

	/* the statement that feeds us may be given more memory than this */
	s->sort_kb = Min(work_mem, pgt_merge_work_mem_mb * 1024);
	s->memory_limit = (Size) (s->sort_kb * 1024.0 * hash_mem_multiplier);
	s->arena = pgt_arena_create(cxt);
	create_hash(s, expected);
	MemoryContextSwitchTo(old);
	return s;
}

RowSink *
pgt_apply_rows_begin(const RowTarget *target, Snapshot snapshot, double expected)
{
	Relation	rel = table_open(target->relid, RowExclusiveLock);
	RowSink    *s = pgt_rows_create(RelationGetDescr(rel), expected);
	MemoryContext old = MemoryContextSwitchTo(s->cxt);

	table_close(rel, NoLock);
	s->snapshot = snapshot;
	s->relid = target->relid;
	s->index = target->index;
	s->ncolumns = target->ncolumns;
	s->attnums = palloc(sizeof(AttrNumber) * (s->ncolumns + 1));
	memcpy(s->attnums, target->attnums, sizeof(AttrNumber) * s->ncolumns);
	s->identity = s->ncolumns == s->format->natts;
	for (int i = 0; i < s->ncolumns; i++)
		s->identity &= s->attnums[i] == i + 1;
	prepare_keys(s, target);
	MemoryContextSwitchTo(old);
	return s;
}

void
pgt_apply_rows_subtract_stored(RowSink *s)
{
	s->subtract_stored = true;
}

void
pgt_apply_rows_subtract_keys(RowSink *s, Tuplestorestate *keys, TupleDesc desc)
{
	s->subtract_stored = true;
	s->stored_keys = keys;
	s->stored_keys_desc = desc;
}

void
pgt_apply_rows_finish(RowSink *s, ApplyEmit emit, void *arg, ApplyStats *stats)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	bool		nothing = s->run == NULL && s->hash->members == 0 &&
		!s->subtract_stored;

	if (s->append != NULL)
		pgt_rows_append_finish(s, stats);
	else if (!nothing)
	{
		RowWrite   *rw = pgt_rows_write_begin(s, emit, arg);

		if (s->run == NULL)
			pgt_rows_write_hash(rw, NULL, NULL);
		else
			write_run(s, rw);
		pgt_rows_write_end(rw, stats);
	}
	else if (stats->strategy == NULL)
		stats->strategy = "merge";
	stats->received += s->received;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(s->cxt);
}
