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
 * Memory.  When the hash and its images outgrow the limit, everything goes to
 * temporary files, partitioned by bits of the key's hash, and each partition
 * is written by itself (partitioned again if it is still too large).  Insertions
 * of all partitions wait until the removals of all are done.
 *
 * IDENTIFICATION
 *	  src/refresh/rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "pgtrickle/compat.h"

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

#define MIN_MEMORY (64 * 1024)
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

/* ---------------------------------------------------------------- memory and files */

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

static inline RowPartition *
partition_of(RowPartition *partitions, uint32 hash)
{
	int			shift = 32 - PGT_SPILL_BITS * partitions[0].level;

	return &partitions[(hash >> shift) & (PGT_SPILL_FANOUT - 1)];
}

/* Appends to a file, which is created when first used. */
void
pgt_rows_file_put(RowSink *s, BufFile **file, uint32 hash, RowImage *image,
				  int32 weight, ItemPointer tid)
{
	SpilledRow	head;

	if (*file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(s->cxt);
		ResourceOwner owner = CurrentResourceOwner;

		/* the executor that feeds us may run under an owner of its own */
		CurrentResourceOwner = s->owner;
		*file = BufFileCreateTemp(false);
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(old);
	}
	memset(&head, 0, sizeof(head));
	head.hash = hash;
	head.weight = weight;
	head.len = image->len;
	if (tid != NULL)
		head.tid = *tid;
	BufFileWrite(*file, &head, sizeof(head));
	BufFileWrite(*file, &image->tuple, image->len);
}

/*
 * The next image, in the arena or else in cxt; NULL at the end.  A file is
 * read once, from its start, after BufFileSeek().
 */
RowImage *
pgt_rows_file_get(BufFile *file, SpilledRow *head, ImageArena *arena, MemoryContext cxt)
{
	RowImage   *image;
	size_t		n = BufFileRead(file, head, sizeof(SpilledRow));

	if (n == 0)
		return NULL;
	if (n != sizeof(SpilledRow))
		goto truncated;
	image = arena != NULL ? (RowImage *) pgt_arena_alloc(arena, RowImageSize(head->len)) :
		MemoryContextAllocHuge(cxt, RowImageSize(head->len));
	image->len = head->len;
	image->next = NULL;
	image->weight = head->weight;
	if (BufFileRead(file, &image->tuple, head->len) != head->len)
		goto truncated;
	return image;

truncated:
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not read from a temporary file of a refresh")));
}

/* From now on rows of this level go to files; so does what is in memory. */
static void
start_spilling(RowSink *s)
{
	pgt_rowhash_iterator it;
	RowEntry   *entry;

	s->spill = MemoryContextAllocZero(s->cxt, sizeof(RowPartition) * PGT_SPILL_FANOUT);
	for (int i = 0; i < PGT_SPILL_FANOUT; i++)
		s->spill[i].level = s->level + 1;
	pgt_rowhash_start_iterate(s->hash, &it);
	while ((entry = pgt_rowhash_iterate(s->hash, &it)) != NULL)
	{
		uint32		hash = entry->key.hash;

		for (RowImage *im = entry->images; im != NULL; im = im->next)
			if (im->weight != 0)
				pgt_rows_file_put(s, &partition_of(s->spill, hash)->rows, hash, im,
								  im->weight, NULL);
	}
	pgt_rowhash_destroy(s->hash);
	create_hash(s, 0);
	pgt_arena_reset(s->arena);
}

/* ---------------------------------------------------------------- collecting */

static inline bool
same_image(RowImage *a, RowImage *b)
{
	uint32		alen;
	uint32		blen;
	char	   *abytes = pgt_image_bytes(a, &alen);
	char	   *bbytes = pgt_image_bytes(b, &blen);

	return alen == blen && memcmp(abytes, bbytes, alen) == 0;
}

/* The image was made last in the arena; key may point to the key buffer. */
static void
collect(RowSink *s, RowImage *image, RowKey key, int32 weight)
{
	RowEntry   *entry;
	bool		found;

	if (s->spill != NULL)
	{
		pgt_rows_file_put(s, &partition_of(s->spill, key.hash)->rows, key.hash, image,
						  weight, NULL);
		pgt_arena_reset(s->arena);
		return;
	}
	entry = pgt_rowhash_insert(s->hash, key, &found);
	if (found)
	{
		for (RowImage *im = entry->images; im != NULL; im = im->next)
		{
			if (s->nkeys == 0 || same_image(im, image))
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
	if (unlikely(memory_used(s) > s->memory_limit) && s->level < PGT_SPILL_LEVELS)
		start_spilling(s);
}

void
pgt_apply_rows_put(RowSink *s, Datum *values, bool *isnull, int32 weight)
{
	RowImage   *image;
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
	image = pgt_image_form(s->format, s->arena, values, isnull);
	collect(s, image, s->nkeys == 0 ? pgt_rows_key_of_image(image) :
			pgt_rows_key_of_values(s, values, isnull), weight);
	if (temporary)
		MemoryContextReset(s->tmp);
}

/* Collects a partition from its file; true if it fits into memory. */
static bool
load_partition(RowSink *s, BufFile *file, TupleTableSlot *slot)
{
	RowImage   *image;
	SpilledRow	head;
	HeapTupleData tuple;

	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind a temporary file of a refresh")));
	while ((image = pgt_rows_file_get(file, &head, s->arena, NULL)) != NULL)
	{
		RowKey		key;

		CHECK_FOR_INTERRUPTS();
		if (s->nkeys == 0)
			key = pgt_rows_key_of_image(image);
		else
		{
			pgt_image_store(image, &tuple, slot);
			slot_getsomeattrs(slot, s->last_key);
			key = pgt_rows_key_of_values(s, slot->tts_values, slot->tts_isnull);
			ExecClearTuple(slot);
		}
		collect(s, image, key, head.weight);
	}
	return s->spill == NULL;
}

/* Distributes stored rows over the partitions of the next level. */
static void
split_stored(RowSink *s, BufFile *file, RowPartition *partitions)
{
	RowImage   *image;
	SpilledRow	head;

	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind a temporary file of a refresh")));
	while ((image = pgt_rows_file_get(file, &head, s->arena, NULL)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		pgt_rows_file_put(s, &partition_of(partitions, head.hash)->stored, head.hash,
						  image, head.weight, &head.tid);
		pgt_arena_reset(s->arena);
	}
	BufFileClose(file);
}

static List *
push_partitions(List *todo, RowPartition *partitions)
{
	for (int i = PGT_SPILL_FANOUT - 1; i >= 0; i--)
		if (partitions[i].rows != NULL || partitions[i].stored != NULL)
			todo = lappend(todo, &partitions[i]);
	return todo;
}

static void
write_partitions(RowSink *s, RowWrite *rw)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(s->format->desc, &TTSOpsHeapTuple);
	List	   *todo;

	if (s->subtract_stored)
		pgt_rows_write_scan_stored(rw, s->spill);
	todo = push_partitions(NIL, s->spill);
	while (todo != NIL)
	{
		RowPartition *p = llast(todo);

		todo = list_delete_last(todo);
		s->spill = NULL;
		s->level = p->level;
		if (p->rows != NULL)
		{
			bool		fits = load_partition(s, p->rows, slot);

			BufFileClose(p->rows);
			if (!fits)
			{
				if (p->stored != NULL)
					split_stored(s, p->stored, s->spill);
				todo = push_partitions(todo, s->spill);
				continue;
			}
		}
		pgt_rows_write_partition(rw, p->stored);
		if (p->stored != NULL)
			BufFileClose(p->stored);
		pgt_rowhash_reset(s->hash);
		pgt_arena_reset(s->arena);
	}
	ExecDropSingleTupleTableSlot(slot);
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

RowSink *
pgt_apply_rows_begin(const RowTarget *target, Snapshot snapshot, double expected)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle row sink",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RowSink    *s = palloc0(sizeof(RowSink));
	Relation	rel = table_open(target->relid, RowExclusiveLock);

	s->cxt = cxt;
	s->tmp = AllocSetContextCreate(cxt, "pg_trickle row", ALLOCSET_DEFAULT_SIZES);
	s->owner = CurrentResourceOwner;
	s->snapshot = snapshot;
	s->relid = target->relid;
	s->index = target->index;
	s->format = pgt_image_format_create(RelationGetDescr(rel));
	table_close(rel, NoLock);

	s->ncolumns = target->ncolumns;
	s->attnums = palloc(sizeof(AttrNumber) * (s->ncolumns + 1));
	memcpy(s->attnums, target->attnums, sizeof(AttrNumber) * s->ncolumns);
	s->identity = s->ncolumns == s->format->natts;
	for (int i = 0; i < s->ncolumns; i++)
		s->identity &= s->attnums[i] == i + 1;
	s->values = palloc0(sizeof(Datum) * (s->format->natts + 1));
	s->isnull = palloc0(sizeof(bool) * (s->format->natts + 1));
	prepare_keys(s, target);
	initStringInfo(&s->keybuf);

	s->memory_limit = Max(get_hash_memory_limit(), MIN_MEMORY);
	s->arena = pgt_arena_create(cxt);
	create_hash(s, expected);
	MemoryContextSwitchTo(old);
	return s;
}

void
pgt_apply_rows_subtract_stored(RowSink *s)
{
	s->subtract_stored = true;
}

void
pgt_apply_rows_finish(RowSink *s, ApplyEmit emit, void *arg, ApplyStats *stats)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	bool		nothing = s->spill == NULL && s->hash->members == 0 &&
		!s->subtract_stored;

	if (!nothing)
	{
		RowWrite   *rw = pgt_rows_write_begin(s, emit, arg);

		if (s->spill == NULL)
			pgt_rows_write_all(rw);
		else
			write_partitions(s, rw);
		pgt_rows_write_end(rw, stats);
	}
	else if (stats->strategy == NULL)
		stats->strategy = "merge";
	stats->received += s->received;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(s->cxt);
}
