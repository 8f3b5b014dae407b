/*-------------------------------------------------------------------------
 *
 * consolidate.c
 *	  Netting changes of equal image.
 *
 * A hash table holds each distinct image once, with the sum of its weights.
 * Images are compared as bytes of the minimal tuple: values come in detoasted
 * and decompressed, and forming the tuple makes short what can be short, so
 * that equal images have equal bytes.  The weight is the last attribute of the
 * tuple and of fixed width, thus its last four bytes; it is 1 while the tuple
 * is in the table.
 *
 * When the table exceeds work_mem, it takes no new images: those go to one of
 * several tuplestores by further bits of their hash, while images that are in
 * the table go on being netted there.  Afterwards each tuplestore is netted by
 * itself in the same way, since an image is either in the table or in exactly
 * one of them.
 *
 * Rows come out in the order in which their image was first seen.
 *
 * IDENTIFICATION
 *	  src/cdc/consolidate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "cdc_internal.h"

#define PARTITION_BITS	5
#define PARTITIONS		(1 << PARTITION_BITS)
#define MAX_LEVEL		5		/* levels of partitions that a hash has bits for */
#define PARTITION_KB	64
#define FIRST_BUCKETS	1024

/* An image, followed by its minimal tuple. */
typedef struct Image
{
	struct Image *next;			/* in order of arrival */
	int64		weight;
} Image;

#define IMAGE_TUPLE(image) ((MinimalTuple) ((char *) (image) + MAXALIGN(sizeof(Image))))

typedef struct Bucket
{
	uint64		hash;
	Image	   *image;			/* NULL: free */
} Bucket;

struct Consolidation
{
	TupleDesc	desc;
	int			level;
	MemoryContext context;		/* of the table and what is below */
	MemoryContext images;		/* grows without freeing */
	Bucket	   *buckets;
	uint64		nbuckets;		/* power of 2 */
	uint64		nimages;
	Image	   *first;
	Image	   *last;
	Size		bytes;
	Size		limit;
	char	   *scratch;		/* tuple being looked up */
	Size		scratch_size;
	TupleTableSlot *slot;
	Tuplestorestate *partitions[PARTITIONS];	/* when the limit is reached */
	bool		spilling;
};

static Consolidation *
begin_level(TupleDesc desc, int level)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_trickle consolidation",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Consolidation *c = palloc0(sizeof(Consolidation));

	c->desc = desc;
	c->level = level;
	c->context = context;
	c->images = GenerationContextCreate(context, "pg_trickle images",
										0, 64 * 1024, 8 * 1024 * 1024);
	c->nbuckets = FIRST_BUCKETS;
	c->buckets = palloc0(c->nbuckets * sizeof(Bucket));
	c->limit = (Size) work_mem * 1024;
	c->bytes = c->nbuckets * sizeof(Bucket);
	c->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(old);
	return c;
}

Consolidation *
pgt_cdc_consolidation_begin(TupleDesc desc)
{
	return begin_level(desc, 0);
}

static inline int32 *
tuple_weight(MinimalTuple tuple)
{
	return (int32 *) ((char *) tuple + tuple->t_len - sizeof(int32));
}

/*
 * The image in a tuple: all but the length and the padding behind it, which a
 * tuplestore does not keep.
 */
#define IMAGE_DATA(tuple) ((const unsigned char *) (tuple) + MINIMAL_TUPLE_DATA_OFFSET)
#define IMAGE_LEN(tuple) ((tuple)->t_len - MINIMAL_TUPLE_DATA_OFFSET)

static inline uint64
hash_tuple(MinimalTuple tuple)
{
	return hash_bytes_extended(IMAGE_DATA(tuple), (int) IMAGE_LEN(tuple), 0);
}

static inline bool
equal_images(MinimalTuple a, MinimalTuple b)
{
	return a->t_len == b->t_len && memcmp(IMAGE_DATA(a), IMAGE_DATA(b), IMAGE_LEN(a)) == 0;
}

static Bucket *
find_bucket(Consolidation *c, uint64 hash, MinimalTuple tuple)
{
	uint64		mask = c->nbuckets - 1;

	for (uint64 i = hash & mask;; i = (i + 1) & mask)
	{
		Bucket	   *b = &c->buckets[i];

		if (b->image == NULL)
			return b;
		if (b->hash == hash && equal_images(IMAGE_TUPLE(b->image), tuple))
			return b;
	}
}

static void
grow_table(Consolidation *c)
{
	uint64		n = c->nbuckets * 2;
	Bucket	   *buckets = MemoryContextAllocExtended(c->context, n * sizeof(Bucket),
													 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint64 i = 0; i < c->nbuckets; i++)
	{
		uint64		at = c->buckets[i].hash & (n - 1);

		if (c->buckets[i].image == NULL)
			continue;
		while (buckets[at].image != NULL)
			at = (at + 1) & (n - 1);
		buckets[at] = c->buckets[i];
	}
	pfree(c->buckets);
	c->bytes += (n - c->nbuckets) * sizeof(Bucket);
	c->buckets = buckets;
	c->nbuckets = n;
}

static void
insert_image(Consolidation *c, Bucket *b, uint64 hash, MinimalTuple tuple, int64 weight)
{
	Size		size = MAXALIGN(sizeof(Image)) + tuple->t_len;
	Image	   *image = MemoryContextAlloc(c->images, size);

	image->next = NULL;
	image->weight = weight;
	memcpy(IMAGE_TUPLE(image), tuple, tuple->t_len);
	if (c->last != NULL)
		c->last->next = image;
	else
		c->first = image;
	c->last = image;
	b->hash = hash;
	b->image = image;
	c->bytes += MAXALIGN(size) + 16;
	if (++c->nimages > c->nbuckets / 4 * 3)
		grow_table(c);
	if (c->bytes > c->limit && c->level < MAX_LEVEL)
		c->spilling = true;
}

/* The upper bits of the hash, which the table uses last. */
static void
spill(Consolidation *c, uint64 hash, MinimalTuple tuple, int64 weight)
{
	int			p = (hash >> (64 - PARTITION_BITS * (c->level + 1))) & (PARTITIONS - 1);
	int32	   *w = tuple_weight(tuple);

	if (c->partitions[p] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(c->context);

		c->partitions[p] = tuplestore_begin_heap(false, false, PARTITION_KB);
		MemoryContextSwitchTo(old);
	}
	*w = weight > 0 ? 1 : -1;
	ExecStoreMinimalTuple(tuple, c->slot, false);
	for (int64 n = weight < 0 ? -weight : weight; n > 0; n--)
		tuplestore_puttupleslot(c->partitions[p], c->slot);
	ExecClearTuple(c->slot);
	*w = 1;
}

/* The tuple's weight is 1 here. */
static void
add_tuple(Consolidation *c, MinimalTuple tuple, int64 weight)
{
	uint64		hash = hash_tuple(tuple);
	Bucket	   *b = find_bucket(c, hash, tuple);

	if (b->image != NULL)
		b->image->weight += weight;
	else if (!c->spilling)
		insert_image(c, b, hash, tuple, weight);
	else
		spill(c, hash, tuple, weight);
}

/*
 * values and isnull have room for the weight.  Varlena values are plain (not
 * compressed, not out of line).
 */
void
pgt_cdc_consolidation_add(Consolidation *c, Datum *values, bool *isnull, int weight)
{
	int			natts = c->desc->natts;
	Size		hoff = SizeofMinimalTupleHeader;
	Size		data_len;
	Size		len;
	bool		hasnull = false;
	MinimalTuple tuple;

	values[natts - 1] = Int32GetDatum(1);
	isnull[natts - 1] = false;
	for (int i = 0; i < natts && !hasnull; i++)
		hasnull = isnull[i];
	if (hasnull)
		hoff += BITMAPLEN(natts);
	hoff = MAXALIGN(hoff);
	data_len = heap_compute_data_size(c->desc, values, isnull);
	len = hoff + data_len;
	if (len > c->scratch_size)
	{
		if (c->scratch != NULL)
			pfree(c->scratch);
		c->scratch_size = Max(len, 1024);
		c->scratch = MemoryContextAlloc(c->context, c->scratch_size);
	}
	memset(c->scratch, 0, len);
	tuple = (MinimalTuple) c->scratch;
	tuple->t_len = len;
	HeapTupleHeaderSetNatts(tuple, natts);
	tuple->t_hoff = hoff + MINIMAL_TUPLE_OFFSET;
	heap_fill_tuple(c->desc, values, isnull, (char *) tuple + hoff, data_len,
					&tuple->t_infomask, hasnull ? tuple->t_bits : NULL);
	add_tuple(c, tuple, weight);
}

static void
emit_images(Consolidation *c, ChangeSet *set)
{
	for (Image *image = c->first; image != NULL; image = image->next)
	{
		MinimalTuple tuple = IMAGE_TUPLE(image);
		int64		n = image->weight < 0 ? -image->weight : image->weight;

		if (n == 0)
			continue;
		*tuple_weight(tuple) = image->weight < 0 ? -1 : 1;
		if (set->store == NULL)
			set->store = tuplestore_begin_heap(false, false, work_mem);
		set->bytes += (double) n * tuple->t_len;
		if (image->weight < 0)
			set->nneg += n;
		else
			set->npos += n;
		ExecStoreMinimalTuple(tuple, c->slot, false);
		for (; n > 0; n--)
			tuplestore_puttupleslot(set->store, c->slot);
	}
	ExecClearTuple(c->slot);
}

static void
finish_level(Consolidation *c, ChangeSet *set)
{
	emit_images(c, set);

	/* the table's memory is needed for the next one */
	MemoryContextReset(c->images);
	pfree(c->buckets);
	for (int i = 0; i < PARTITIONS; i++)
	{
		Consolidation *part;
		MemoryContext old;

		if (c->partitions[i] == NULL)
			continue;
		old = MemoryContextSwitchTo(c->context);
		part = begin_level(c->desc, c->level + 1);
		MemoryContextSwitchTo(old);
		while (tuplestore_gettupleslot(c->partitions[i], true, false, c->slot))
		{
			bool		should_free;
			MinimalTuple tuple = ExecFetchSlotMinimalTuple(c->slot, &should_free);
			int32	   *weight = tuple_weight(tuple);
			int32		w = *weight;

			*weight = 1;
			add_tuple(part, tuple, w);
		}
		ExecClearTuple(c->slot);
		tuplestore_end(c->partitions[i]);
		finish_level(part, set);
	}
	ExecDropSingleTupleTableSlot(c->slot);
	MemoryContextDelete(c->context);
}

/* Nothing comes out of a void set. */
void
pgt_cdc_consolidation_end(Consolidation *c, ChangeSet *set)
{
	if (!set->voided)
	{
		set->bytes = 0;
		finish_level(c, set);
		return;
	}
	for (int i = 0; i < PARTITIONS; i++)
		if (c->partitions[i] != NULL)
			tuplestore_end(c->partitions[i]);
	ExecDropSingleTupleTableSlot(c->slot);
	MemoryContextDelete(c->context);
}
