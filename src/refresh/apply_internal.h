/*-------------------------------------------------------------------------
 *
 * apply_internal.h
 *	  What the sinks share: row images, and writing rows of one relation.
 *
 * IDENTIFICATION
 *	  src/refresh/apply_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGT_APPLY_INTERNAL_H
#define PGT_APPLY_INTERNAL_H

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "pgtrickle/apply.h"
#include "storage/buffile.h"
#include "utils/rel.h"

/* ---- image.c: canonical row images ---- */

/*
 * A bump allocator for the images of one sink.  Only the newest piece can be
 * given back.
 */
typedef struct ImageArena
{
	MemoryContext cxt;
	char	   *first;			/* kept by a reset while it is the only block */
	char	   *next;
	char	   *end;
	Size		block_size;		/* of the next block */
	Size		used;			/* bytes in all blocks */
} ImageArena;

extern ImageArena *pgt_arena_create(MemoryContext parent);
extern void pgt_arena_reset(ImageArena *arena);
extern char *pgt_arena_alloc_block(ImageArena *arena, Size size);

static inline char *
pgt_arena_alloc(ImageArena *arena, Size size)
{
	char	   *result = arena->next;

	size = MAXALIGN(size);
	if (size > (Size) (arena->end - arena->next))
		return pgt_arena_alloc_block(arena, size);
	arena->next += size;
	return result;
}

/* How the values of one type become canonical; NULL where they always are. */
typedef struct Canonical Canonical;

extern Canonical *pgt_canonical_create(Oid type, char storage);
extern Datum pgt_canonical_value(Canonical *c, Datum value);

/*
 * The layout of row images: heap tuples of a relation whose values are
 * canonical, so that equal rows are equal bytes.
 */
typedef struct ImageFormat
{
	TupleDesc	desc;			/* a copy, not reference counted */
	int			natts;
	bool		nested;			/* composites among them */
	int			ncanonical;
	int		   *columns;		/* attnum - 1 of those that may need a change */
	Canonical **canonical;
} ImageFormat;

/* The tuple of an image is written to the relation as it stands. */
typedef struct RowImage
{
	struct RowImage *next;
	int32		weight;
	uint32		len;			/* of the tuple */
	HeapTupleHeaderData tuple;
} RowImage;

#define RowImageSize(len) (offsetof(RowImage, tuple) + (len))
StaticAssertDecl(offsetof(RowImage, tuple) == MAXALIGN(offsetof(RowImage, tuple)),
				 "tuples of row images must be aligned");

extern ImageFormat *pgt_image_format_create(TupleDesc desc);
extern bool pgt_image_canonicalise(ImageFormat *format, Datum *values, bool *isnull);
extern RowImage *pgt_image_form(ImageFormat *format, ImageArena *arena,
								Datum *values, bool *isnull);
extern bool pgt_image_is_stored_row(ImageFormat *format, RowImage *image,
									TupleTableSlot *image_slot,
									TupleTableSlot *stored);
extern bool pgt_image_equal_values(TupleDesc desc, Datum *a, bool *anull,
								   Datum *b, bool *bnull);

/* Bytes that identify an image, for hashing and comparing. */
static inline char *
pgt_image_bytes(RowImage *image, uint32 *len)
{
	uint32		skip = offsetof(HeapTupleHeaderData, t_bits);

	*len = image->len - skip;
	return (char *) &image->tuple + skip;
}

static inline bool
pgt_image_same(RowImage *a, RowImage *b)
{
	uint32		alen;
	uint32		blen;
	char	   *abytes = pgt_image_bytes(a, &alen);
	char	   *bbytes = pgt_image_bytes(b, &blen);

	return alen == blen && memcmp(abytes, bbytes, alen) == 0;
}

/* Makes *tuple and slot (of TTSOpsHeapTuple) show the image, without copying. */
static inline void
pgt_image_store(RowImage *image, HeapTuple tuple, TupleTableSlot *slot)
{
	tuple->t_len = image->len;
	ItemPointerSetInvalid(&tuple->t_self);
	tuple->t_tableOid = InvalidOid;
	tuple->t_data = &image->tuple;
	ExecStoreHeapTuple(tuple, slot, false);
}

/* ---- key_hash.c: keys too long for a btree ---- */

typedef struct KeyLookup KeyLookup;

extern List *pgt_key_hash_columns(Relation index);
extern KeyLookup *pgt_key_lookup_create(List *columns, TupleDesc desc);
extern TupleTableSlot *pgt_key_lookup_probe(KeyLookup *k, Datum *values, bool *isnull);
extern bool pgt_key_lookup_matches(KeyLookup *k, TupleTableSlot *stored);

/* ---- writer.c: writing the rows of one relation ---- */

#define PGT_WRITER_BATCH 1000
#define PGT_WRITER_BATCH_BYTES (1024 * 1024)

typedef struct RelWriter
{
	Relation	rel;
	Relation	index;			/* to look rows up by; or NULL */
	Snapshot	snapshot;
	MemoryContext cxt;			/* lives as long as the writer */
	EState	   *estate;
	ResultRelInfo *rri;
	EPQState	epq;
	IndexScanDesc scan;
	IndexInfo  *index_info;		/* of index, to evaluate expressions */
	int			nseek;
	ScanKey		seek;
	KeyLookup  *hashed;			/* index is on key_hash; or NULL */
	int			nkeys;			/* columns to give to pgt_writer_seek */
	AttrNumber *keys;			/* their attnums; 0 for an expression */
	TupleTableSlot *cur;		/* the stored row found last */
	TupleTableSlot *row;		/* the row being written */
	HeapTupleData row_tuple;	/* what row shows */

	bool		triggers;		/* any at all, without our guard */
	bool		row_insert;		/* triggers that need each row */
	bool		row_update;
	bool		row_delete;
	bool		constraints;
	bool		other_unique;	/* a unique index besides index */
	TransitionCaptureState *capture;
	int			begun;			/* kinds of commands seen, bits of CmdType */

	TupleDesc	desc;			/* not reference counted, for the slots */
	TupleTableSlot **batch;
	HeapTupleData *batch_tuples;
	int			nbatch;
	int			nbatch_slots;
	Size		batch_bytes;
	MemoryContext batch_cxt;	/* reset when the batch is written */
	CommandId	cid;

	ApplyEmit	emit;			/* told of every write; or NULL */
	void	   *emit_arg;
	int64		inserted;
	int64		updated;
	int64		deleted;
} RelWriter;

extern RelWriter *pgt_writer_open(Oid relid, Oid index, Bitmapset *key_attnums,
								  Snapshot snapshot);
extern void pgt_writer_close(RelWriter *w);
extern bool pgt_writer_is_guard(Oid function);

/* Looking up: the row found is w->cur, until the next call. */
extern void pgt_writer_seek(RelWriter *w, Datum *values, bool *isnull);
extern bool pgt_writer_next(RelWriter *w);
extern bool pgt_writer_fetch(RelWriter *w, ItemPointer tid);
extern double pgt_writer_estimate_rows(RelWriter *w);

/* Changing w->cur.  The image or the arrays may be gone after the call. */
extern void pgt_writer_update_image(RelWriter *w, RowImage *image);
extern void pgt_writer_update_values(RelWriter *w, Datum *values, bool *isnull);
extern void pgt_writer_delete(RelWriter *w);

/* The image must stay until the next flush; copy it into batch_cxt otherwise. */
extern void pgt_writer_insert_image(RelWriter *w, RowImage *image);
extern void pgt_writer_insert_values(RelWriter *w, Datum *values, bool *isnull);
extern void pgt_writer_flush(RelWriter *w);

/* The next insertion writes the batch first. */
static inline bool
pgt_writer_batch_full(RelWriter *w)
{
	return w->nbatch == PGT_WRITER_BATCH || w->batch_bytes >= PGT_WRITER_BATCH_BYTES;
}

/* ---- group_merge.c: merging a delta into the state of a group ---- */

typedef enum GroupFate
{
	PGT_GROUP_LIVES,
	PGT_GROUP_DIES,				/* no row is left */
	PGT_GROUP_RESCAN			/* its states cannot be told from the delta */
} GroupFate;

typedef struct GroupMerge GroupMerge;

extern GroupMerge *pgt_group_merge_create(const GroupTarget *target, TupleDesc storage,
										  bool exact);
extern int	pgt_group_partials(const GroupTarget *target);
extern void pgt_group_merge_check_input(GroupMerge *m, TupleDesc input);
extern GroupFate pgt_group_merge(GroupMerge *m, Datum *old_values, bool *old_isnull,
								 Datum *delta, bool *delta_isnull,
								 Datum *values, bool *isnull);

/* Computes the finals of a storage row in place. */
typedef struct GroupFinals GroupFinals;

extern GroupFinals *pgt_group_finals_create(const GroupTarget *target, TupleDesc storage);
extern void pgt_group_finals_compute(GroupFinals *f, Datum *values, bool *isnull);
extern void pgt_group_finals_free(GroupFinals *f);

/* ---- scale_count.c: state of numeric_scale_count; -1 and 0 for NULL ---- */

extern int	pgt_scale_of(bool isnull, Datum state);
extern int64 pgt_scale_count_of(bool isnull, Datum state);
extern Datum pgt_scale_state(int scale, int64 count);

#endif							/* PGT_APPLY_INTERNAL_H */
