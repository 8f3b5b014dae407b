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

#include "utils/resowner.h"
#include "utils/tuplesort.h"

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

/*
 * Rows that did not fit into memory, sorted by (order, hash of the key): order
 * follows the index, so that a stretch of them touches a stretch of the table,
 * and rows of one key are neighbours.
 */
typedef struct RowRun
{
	Tuplesortstate *sort;
	TupleTableSlot *slot;		/* the row read last */
	bool		at_end;
	int64		order;			/* of the row in slot */
	int32		hash;
} RowRun;

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
	int			sort_kb;		/* memory of one run, kB */
	TupleTableSlot *run_slot;	/* to put rows into runs */
	RowRun	   *run;			/* fed rows, once they did not fit; or NULL */
	bool		reading;		/* collecting from run */

	bool		subtract_stored;
	Tuplestorestate *stored_keys;	/* of the stored rows to subtract; NULL: all */
	TupleDesc	stored_keys_desc;
	struct RowAppend *append;	/* rows are only added; or NULL */
	int64		received;
};

/* rows.c */
extern RowSink *pgt_rows_create(TupleDesc desc, double expected);
extern void pgt_rows_for_stretches(RowSink *s, void (*write) (void *arg), void *arg);
extern RowKey pgt_rows_key_of_image(RowImage *image);
extern RowKey pgt_rows_key_of_values(RowSink *s, Datum *values, bool *isnull);
extern RowKey pgt_rows_key_of_stored(RowSink *s, TupleTableSlot *slot);
extern RowImage *pgt_rows_image_of_stored(RowSink *s, TupleTableSlot *slot);
extern void pgt_rows_give_back(RowSink *s, RowImage *image);
extern uint64 pgt_rows_order(RowSink *s, Datum *values, bool *isnull);
extern RowRun *pgt_rows_run_begin(RowSink *s);
extern void pgt_rows_run_put(RowSink *s, RowRun *run, uint64 order, uint32 hash,
							 RowImage *image, int32 weight, ItemPointer tid);
extern void pgt_rows_run_next(RowRun *run);
extern RowImage *pgt_rows_run_image(RowSink *s, RowRun *run, int32 *weight, ItemPointer tid);

/* rows_append.c */
typedef struct RowAppend RowAppend;
extern void pgt_rows_append_put(RowSink *s, Datum *values, bool *isnull, int32 weight);
extern void pgt_rows_append_finish(RowSink *s, ApplyStats *stats);

/* rows_write.c */
typedef struct RowWrite RowWrite;
extern RowWrite *pgt_rows_write_begin(RowSink *s, ApplyEmit emit, void *arg);
extern RowRun *pgt_rows_write_scan_stored(RowWrite *rw);
extern void pgt_rows_write_hash(RowWrite *rw, RowRun *stored, RowRun *bound);
extern void pgt_rows_write_end(RowWrite *rw, ApplyStats *stats);

#endif							/* PGT_ROWS_INTERNAL_H */
