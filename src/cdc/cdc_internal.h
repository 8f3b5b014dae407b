/*-------------------------------------------------------------------------
 *
 * cdc_internal.h
 *	  What the files of change data capture share among themselves.
 *
 * IDENTIFICATION
 *	  src/cdc/cdc_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CDC_INTERNAL_H
#define PGTRICKLE_CDC_INTERNAL_H

#include "access/heapam.h"
#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "pgtrickle/catalog.h"
#include "pgtrickle/cdc.h"

/*
 * A buffer row starts with two fixed columns that are never null, so that they
 * are read without deforming the tuple:
 *		x	top-level FullTransactionId of the change
 *		s	+seq or -seq: a row added or removed; PGT_VOID_BASE + seq: void marker;
 *			-(PGT_VOID_BASE + seq): a statement wrote the source
 * Columns c<attnum> follow.
 */
#define PGT_BUFFER_FIXED	2
#define PGT_VOID_BASE		0x40000000
#define PGT_SEQ_MAX			(PGT_VOID_BASE - 2)

/*
 * A void marker that its own transaction never consumes: the next refresh
 * after this transaction's must recompute.
 */
#define PGT_SEQ_NEVER		(PGT_VOID_BASE - 1)

/*
 * First row of a file of an UNLOGGED segment: a void marker of a transaction
 * that every frontier has consumed.  Its absence shows that a crash emptied
 * the file; see window.c.
 */
#define PGT_CANARY_XID		((uint64) FrozenTransactionId)

typedef struct ChangeHeader
{
	uint64		xid;
	int32		s;
} ChangeHeader;

static inline ChangeHeader
change_header(HeapTupleHeader tuple)
{
	const char *data = (const char *) tuple + tuple->t_hoff;
	ChangeHeader h;

	h.xid = *(const uint64 *) data;
	h.s = *(const int32 *) (data + sizeof(uint64));
	return h;
}

static inline bool
change_is_void(int32 s)
{
	return s >= PGT_VOID_BASE;
}

static inline bool
change_is_touch(int32 s)
{
	return s <= -PGT_VOID_BASE;
}

static inline int32
change_seq(int32 s)
{
	if (s >= PGT_VOID_BASE)
		return s - PGT_VOID_BASE;
	if (s <= -PGT_VOID_BASE)
		return -(s + PGT_VOID_BASE);
	return s < 0 ? -s : s;
}

/* ---- buffer.c: appending to a segment ---- */

/* Assigns the top transaction's xid if needed. */
extern uint64 pgt_cdc_current_xid(void);

/*
 * The statement counter.  Rows written under one command id share a number, so
 * that a frontier can tell what its snapshot saw of its own transaction.
 */
extern int32 pgt_cdc_statement_seq(uint64 xid, CommandId cid);
extern int32 pgt_cdc_visible_seq(uint64 xid, CommandId curcid);

/* Refreshes in the middle of a statement that writes a source. */
extern void pgt_cdc_note_window(uint64 xid, CommandId curcid);
extern bool pgt_cdc_was_seen_early(uint64 xid);

typedef struct BufferWriter BufferWriter;

/* desc: a copy of the segment's, not reference-counted, living longer. */
extern BufferWriter *pgt_cdc_buffer_open(Oid segment, TupleDesc desc);
/* values and isnull have room for the two fixed columns in front. */
extern void pgt_cdc_buffer_add(BufferWriter *w, Datum *values, bool *isnull, int sign);
extern void pgt_cdc_buffer_add_void(BufferWriter *w, bool never);
extern void pgt_cdc_buffer_add_touch(BufferWriter *w);
extern void pgt_cdc_buffer_set_seq(BufferWriter *w, int32 seq);
extern uint64 pgt_cdc_buffer_xid(const BufferWriter *w);
/* Writes what was added; the writer can be used on. */
extern void pgt_cdc_buffer_flush(BufferWriter *w);
extern void pgt_cdc_buffer_close(BufferWriter *w);
extern void pgt_cdc_buffer_write_canary(Oid segment);

/* attnum of the source that a buffer column holds; 0: none (dropped, fixed) */
extern AttrNumber pgt_cdc_buffer_attnum(Form_pg_attribute att);

/* ---- relay.c: changes for readers in the same transaction ---- */

typedef struct Relay
{
	MemoryContext cxt;
	Oid			source;
	Oid			segment;		/* where its rows go if they must */
	TupleDesc	desc;			/* of the segment; of the fixed columns only the sign is set */
	bool		touches;		/* a touch belongs to them */
	bool		used;			/* there are rows, or would be if anybody needed images */
	Tuplestorestate *store;
	int64		npos;
	int64		nneg;
	uint64		xid;
	int32		seq;			/* 0: not complete yet */
	SubTransactionId subid;		/* that it goes with */
	int			nreaders;
	int64	   *readers;		/* pgt_ids that have not taken it */
	MemoryContext row_context;
} Relay;

extern Relay *pgt_cdc_relay_begin(const ChangeSource *cs, Oid segment, TupleDesc desc);
extern void pgt_cdc_relay_touch(Relay *relay);
extern void pgt_cdc_relay_put(Relay *relay, Datum *values, bool *isnull, int sign);
extern void pgt_cdc_relay_spill(Relay *relay, BufferWriter *w);
extern void pgt_cdc_relay_complete(Relay *relay);
extern Relay *pgt_cdc_relay_find(Oid source, const Frontier *from, uint64 own_xid,
								 int32 own_seq);
extern int	pgt_cdc_relay_open(Relay *relay);
extern bool pgt_cdc_relay_next(Relay *relay, int pointer, TupleTableSlot *slot);
extern int	pgt_cdc_relay_sign(TupleTableSlot *slot);

/* ---- attach.c ---- */

/* Direct and indirect parents, by partitioning or inheritance. */
extern List *pgt_cdc_ancestors(Oid relid);

/* In REPEATABLE READ: has any transaction ended since the snapshot was taken? */
extern bool pgt_cdc_snapshot_is_stale(void);

/* ---- segments.c: the tables that hold changes ---- */

/* Type of the buffer column for a column of a source. */
extern void pgt_cdc_buffer_type(Form_pg_attribute att, Oid *type, int32 *typmod);
/* Have its segments, which need not be there, room for these stored columns, too? */
extern bool pgt_cdc_segments_have_room(const ChangeSource *cs, const Bitmapset *columns);
/* Makes both segments of cs for its columns. */
extern void pgt_cdc_segments_create(ChangeSource *cs);
extern void pgt_cdc_segments_drop(const ChangeSource *cs);
/* Do both exist, with all columns of cs in their present types? */
extern bool pgt_cdc_segments_fit(const ChangeSource *cs);
/* Makes them fit; true if changes may have been lost by that. */
extern bool pgt_cdc_segments_repair(ChangeSource *cs);
/* columns, with virtual generated ones replaced by what they are made of */
extern Bitmapset *pgt_cdc_stored_columns(Oid relid, const Bitmapset *columns);

/* ---- capture.c ---- */

extern void pgt_cdc_mark_void_never(Oid source);
extern void pgt_cdc_mark_segment_void(Oid source, Oid segment);

/* ---- window.c ---- */

extern int64 pgt_cdc_count_fresh(const ChangeSource *cs, const Frontier *f,
								 Snapshot snapshot, int64 limit);
/* position NULL: from the start */
extern int64 pgt_cdc_count_fresh_segment(Oid segment, const SegmentPosition *position,
										 const Frontier *f, Snapshot snapshot,
										 bool touches, int64 limit);

/* ---- triggers.c: the triggers of one relation ---- */

typedef enum CaptureKind
{
	PGT_CAPTURES_NOTHING,
	PGT_CAPTURES_STATEMENTS,
	PGT_CAPTURES_ROWS
} CaptureKind;

/* What a relation's triggers are for. */
typedef struct CaptureNeeds
{
	CaptureKind rows;			/* images of changed rows */
	CaptureKind touches;		/* that it was written, by statement or row triggers */
} CaptureNeeds;

extern bool pgt_cdc_triggers_match(Oid relid, CaptureNeeds needs);
extern bool pgt_cdc_captures_statements(const Trigger *t);
/* What may have been missed, because its trigger was not there. */
typedef struct CaptureLoss
{
	bool		rows;
	bool		touches;
} CaptureLoss;

/* What it takes to match; true if anything changed.  Adds to *loss. */
extern bool pgt_cdc_triggers_sync(Oid relid, CaptureNeeds needs, CaptureLoss *loss);

/* ---- consolidate.c: netting of equal images ---- */

typedef struct Consolidation Consolidation;

extern Consolidation *pgt_cdc_consolidation_begin(TupleDesc desc);
/* values and isnull have room for the weight, which comes last. */
extern void pgt_cdc_consolidation_add(Consolidation *c, Datum *values, bool *isnull,
									  int weight);
/* Moves what remains into set->store and counts it there. */
extern void pgt_cdc_consolidation_end(Consolidation *c, ChangeSet *set);

/* ---- merge.c ---- */

/* May rows that a MERGE has moved be missing from transition tables? */
extern bool pgt_cdc_merge_may_be_incomplete(void);

/* ---- wakeup.c ---- */

/* The current transaction has captured changes of this source. */
extern void pgt_cdc_wakeup_note(Oid source);

#endif							/* PGTRICKLE_CDC_INTERNAL_H */
