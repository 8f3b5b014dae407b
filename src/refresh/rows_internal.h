/*-------------------------------------------------------------------------
 *
 * rows_internal.h
 *	  The row sink, shared by collecting (rows.c) and writing (rows_write.c).
 *
 * IDENTIFICATION
 *	  src/refresh/rows_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGT_ROWS_INTERNAL_H
#define PGT_ROWS_INTERNAL_H

#include "apply_internal.h"

/*
 * What rows are netted by: the bytes of the key columns, or of the whole image
 * (bag).  Up to 8 bytes are kept in place.
 */
typedef struct RowKey
{
	uint32		hash;
	uint32		len;
	union
	{
		uint64		word;		/* len <= 8, zero-padded */
		const char *bytes;
	}			u;
} RowKey;

/*
 * While collecting, images lists the distinct images of the key with their
 * weights.  While writing, images is the row to be stored (or NULL) and old
 * the row to be removed (keyed only).  Bag: the one image with its weight.
 */
typedef struct RowEntry
{
	RowKey		key;
	RowImage   *images;
	RowImage   *old;
	char		status;
} RowEntry;

static inline bool
row_key_equal(RowKey a, RowKey b)
{
	if (a.len != b.len)
		return false;
	return a.len <= sizeof(uint64) ? a.u.word == b.u.word :
		memcmp(a.u.bytes, b.u.bytes, a.len) == 0;
}

#define SH_PREFIX pgt_rowhash
#define SH_ELEMENT_TYPE RowEntry
#define SH_KEY_TYPE RowKey
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

/* One partition of what did not fit into memory, in temporary files. */
typedef struct RowPartition
{
	BufFile    *rows;			/* fed rows; or NULL */
	BufFile    *stored;			/* reconcile: stored rows; or NULL */
	int			level;			/* of partitioning, from 1 */
} RowPartition;

#define PGT_SPILL_BITS 4
#define PGT_SPILL_FANOUT (1 << PGT_SPILL_BITS)
#define PGT_SPILL_LEVELS (32 / PGT_SPILL_BITS)

struct RowSink
{
	MemoryContext cxt;			/* everything of the sink */
	MemoryContext tmp;			/* reset for each row */
	ResourceOwner owner;		/* of temporary files */
	Snapshot	snapshot;
	Oid			relid;
	int			ncolumns;
	AttrNumber *attnums;
	bool		identity;		/* input column i is attribute i + 1 of natts */
	int			nkeys;			/* 0: bag */
	AttrNumber *keys;
	AttrNumber	last_key;		/* highest of keys */
	Canonical **key_canonical;	/* NULL entries: nothing to do */
	bool		word_key;		/* one key column passed by value */
	int			word_len;
	Oid			index;

	ImageFormat *format;
	Datum	   *values;			/* by attnum - 1, unless identity */
	bool	   *isnull;
	StringInfoData keybuf;

	ImageArena *arena;
	struct pgt_rowhash_hash *hash;
	Size		memory_limit;
	RowPartition *spill;		/* PGT_SPILL_FANOUT partitions being filled, or NULL */
	int			level;			/* of the rows in hash: 0 = nothing was spilled */

	bool		subtract_stored;
	int64		received;
};

/* Runs of images in a temporary file. */
typedef struct SpilledRow
{
	uint32		hash;
	int32		weight;
	uint32		len;			/* of the tuple that follows */
	ItemPointerData tid;		/* stored rows */
} SpilledRow;

/* rows.c */
extern RowKey pgt_rows_key_of_image(RowImage *image);
extern RowKey pgt_rows_key_of_values(RowSink *s, Datum *values, bool *isnull);
extern RowKey pgt_rows_key_of_stored(RowSink *s, TupleTableSlot *slot);
extern RowImage *pgt_rows_image_of_stored(RowSink *s, TupleTableSlot *slot);
extern void pgt_rows_give_back(RowSink *s, RowImage *image);
extern void pgt_rows_file_put(RowSink *s, BufFile **file, uint32 hash, RowImage *image,
							  int32 weight, ItemPointer tid);
extern RowImage *pgt_rows_file_get(BufFile *file, SpilledRow *head, ImageArena *arena,
								   MemoryContext cxt);

/* rows_write.c */
typedef struct RowWrite RowWrite;
extern RowWrite *pgt_rows_write_begin(RowSink *s, ApplyEmit emit, void *arg);
extern void pgt_rows_write_all(RowWrite *rw);
extern void pgt_rows_write_partition(RowWrite *rw, BufFile *stored);
extern void pgt_rows_write_scan_stored(RowWrite *rw, RowPartition *partitions);
extern void pgt_rows_write_end(RowWrite *rw, ApplyStats *stats);

#endif							/* PGT_ROWS_INTERNAL_H */
