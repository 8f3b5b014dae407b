/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Sinks: writing a delta, a recomputed result or a new content into a
 *	  stream table or a hidden stage table.
 *
 * A sink is begun, fed through its DestReceiver (or put by put), and finished.
 * All memory lives in a child of the context that was current at begin and is
 * bounded by work_mem and merge_work_mem_mb (sinks spill to temporary files).  The snapshot is the
 * refresh snapshot; rows written by the same transaction earlier than the
 * current command are visible to it (callers do UpdateActiveSnapshotCommandId).
 *
 * A row to remove that is not stored, a group count below zero, a key that is
 * there twice: ERROR with PGT_ERRCODE_INCONSISTENT.  The refresh catches it,
 * rolls its subtransaction back and recomputes.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/apply.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_APPLY_H
#define PGTRICKLE_APPLY_H

#include "nodes/primnodes.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

#define PGT_ERRCODE_INCONSISTENT ERRCODE_DATA_CORRUPTED

/* The finish functions add to the numbers. */
typedef struct ApplyStats
{
	int64		received;		/* rows fed */
	int64		inserted;
	int64		updated;		/* counted once, not as delete + insert */
	int64		deleted;
	int64		unchanged;		/* looked up, image equal, not written */
	int64		rescanned;		/* groups recomputed from their rows */
	const char *strategy;		/* "merge", "delete_insert", "append", "swap", "reconcile" */
} ApplyStats;

/*
 * What was physically written, row by row: weight -1 = old image, +1 = new
 * image.  Arrays are indexed by attnum - 1 of the relation written, valid
 * during the call only.  An update in place calls twice, old first.
 */
typedef void (*ApplyEmit) (void *arg, Datum *values, bool *isnull, int32 weight);

/* ---- row sinks: keyed and bag (rows.c) ---- */

typedef struct RowTarget
{
	Oid			relid;
	int			ncolumns;		/* input columns, without the weight */
	AttrNumber *attnums;		/* their attnums in relid */
	int			nkeys;			/* 0 = bag: identity is the whole row image */
	AttrNumber *keys;			/* attnums of a unique key (NULLS NOT DISTINCT) */
	Oid			index;			/* unique btree on keys, or bag index on pgtrickle.row_hash(...) */
} RowTarget;

typedef struct RowSink RowSink;

/* expected: estimate of the rows to be fed, 0 = unknown. */
extern RowSink *pgt_apply_rows_begin(const RowTarget *target, Snapshot snapshot,
									 double expected);
/* Slots: ncolumns columns, then int4 weight. */
extern DestReceiver *pgt_apply_rows_receiver(RowSink *sink);
/* The same without the weight column: each row counts +1 (reconcile, fill). */
extern DestReceiver *pgt_apply_rows_receiver_plain(RowSink *sink);
/* values/isnull: ncolumns entries. */
extern void pgt_apply_rows_put(RowSink *sink, Datum *values, bool *isnull, int32 weight);
/*
 * Makes the sink a reconcile: what was fed with weight +1 becomes the content,
 * i.e. every stored row counts -1.  Only real differences are written.
 */
extern void pgt_apply_rows_subtract_stored(RowSink *sink);
/*
 * The same for the stored rows with these keys only, looked up by target's
 * index, whose columns the rows of keys show; what was fed has no other keys.
 */
extern void pgt_apply_rows_subtract_keys(RowSink *sink, Tuplestorestate *keys, TupleDesc desc);
extern void pgt_apply_rows_finish(RowSink *sink, ApplyEmit emit, void *arg,
								  ApplyStats *stats);
/*
 * Before the first row: no row will have a negative weight.  Rows are not
 * netted, and written when they fill the sink's memory: the statement that feeds
 * the sink must not run in parallel.  False, and nothing changes, if triggers of the
 * table would fire in the middle of that statement.  emit is that of finish.
 */
extern bool pgt_apply_rows_append(RowSink *sink, ApplyEmit emit, void *arg);

/* ---- netting alone (net.c) ---- */

/*
 * A row sink that writes nothing: rows fed to it cancel by image, what remains is
 * emitted in unit copies, weight +1 or -1.  desc: ncolumns columns, then any.
 */
extern RowSink *pgt_apply_net_begin(TupleDesc desc, int ncolumns, double expected);
extern void pgt_apply_net_finish(RowSink *sink, ApplyEmit emit, void *arg);

/* ---- new content in a new file (swap.c) ---- */

/*
 * The caller holds AccessExclusiveLock on the relation.  Rows go frozen into
 * a new file, indexes are built at finish.  Transactional; like REFRESH
 * MATERIALIZED VIEW, older snapshots see the new rows.
 * User row triggers do not fire: callers use reconcile when there are any.
 */
typedef struct SwapSink SwapSink;
extern SwapSink *pgt_apply_swap_begin(const RowTarget *target);
extern DestReceiver *pgt_apply_swap_receiver(SwapSink *sink);	/* slots: ncolumns columns */
extern void pgt_apply_swap_put(SwapSink *sink, Datum *values, bool *isnull);
extern void pgt_apply_swap_finish(SwapSink *sink, ApplyStats *stats);
/* Triggers other than our guard, foreign keys included; or published rows. */
extern bool pgt_apply_has_user_triggers(Oid relid);

/* ---- group sink (group.c) ---- */

/*
 * How one state column of a group is maintained.  "partial" is what the delta
 * statement delivers for it, "count" the state column with the number of
 * non-null inputs (0: the group's own row count).
 *
 * kind			partial columns			merge
 * COUNT		1: int8 change			old + change
 * SUM_INT8		2: int8 pos, neg		old + pos - neg; NULL when count becomes 0
 * SUM_NUMERIC	2: numeric pos, neg		same; rescan on NaN/Infinity
 * SCALE		2: int8 pos, neg		largest display scale and number of inputs that have it
 *										(numeric_scale_count); rescan when the new one is unknown
 * SUM_INTERVAL	2: interval pos, neg	same
 * SUM_MONEY	2: money pos, neg		same
 * SUM_FLOAT	2: sum pos (float4/8), int8 number of negative rows		old + pos; rescan if any negative row
 * MIN, MAX		2: pos, neg of the type	better pos wins; rescan when the stored extremum may be gone
 * RESCAN		0						always rescan
 */
typedef enum GroupStateKind
{
	PGT_STATE_COUNT,
	PGT_STATE_SUM_INT8,
	PGT_STATE_SUM_NUMERIC,
	PGT_STATE_SCALE,
	PGT_STATE_SUM_INTERVAL,
	PGT_STATE_SUM_MONEY,
	PGT_STATE_SUM_FLOAT,
	PGT_STATE_MIN,
	PGT_STATE_MAX,
	PGT_STATE_RESCAN
} GroupStateKind;

typedef struct StateColumn
{
	GroupStateKind kind;
	AttrNumber	attnum;			/* in the storage relation */
	AttrNumber	count_attnum;	/* state column counting non-null inputs; 0: row count */
} StateColumn;

/* A stored column computed from keys and states of the same row. */
typedef struct GroupFinal
{
	AttrNumber	attnum;
	Expr	   *expr;			/* Vars: varno 1, varattno = storage attnum */
} GroupFinal;

typedef struct GroupTarget
{
	Oid			relid;			/* storage: a stage table, or the stream table itself */
	int			nkeys;			/* 0: one row, always there */
	AttrNumber *keys;			/* storage attnums */
	Oid		   *key_eq;			/* equality operators of the GROUP BY */
	Oid		   *key_collations;
	Oid			index;			/* unique btree on the keys; InvalidOid if nkeys = 0 */
	AttrNumber	row_count;		/* storage attnum of count(*), int8 */
	int			nstates;
	StateColumn *states;
	int			nfinals;
	GroupFinal *finals;
} GroupTarget;

typedef struct GroupSink GroupSink;

/*
 * Old and new storage row of a group that changed (NULL arrays: absent),
 * indexed by storage attnum - 1.
 */
typedef void (*GroupEmit) (void *arg, Datum *old_values, bool *old_isnull,
						   Datum *new_values, bool *new_isnull);

/* exact: the delta has no phantom rows (one term, consolidated): see group.c. */
extern GroupSink *pgt_apply_group_begin(const GroupTarget *target, Snapshot snapshot,
										bool exact, double expected);
/* Slots: keys, int8 row count change, partials of the states in order. */
extern DestReceiver *pgt_apply_group_delta_receiver(GroupSink *sink);
/* Merges what was received; true if groups must be rescanned. */
extern bool pgt_apply_group_merge(GroupSink *sink, GroupEmit emit, void *arg);
/* Keys (columns k1..kn) of the groups to rescan; owned by the sink. */
extern Tuplestorestate *pgt_apply_group_rescan_keys(GroupSink *sink, TupleDesc *tupdesc,
													int64 *count, bool *has_null);
/*
 * Slots: keys, int8 row count, states in order, absolute values.  Writes at
 * once: the statement must not run in parallel.
 */
extern DestReceiver *pgt_apply_group_rescan_receiver(GroupSink *sink, GroupEmit emit, void *arg);
/* Groups whose keys were asked for and did not come back are removed. */
extern void pgt_apply_group_finish(GroupSink *sink, ApplyStats *stats);

/*
 * From absolute rows (keys, count, states) to storage rows: for initial fill and
 * reconcile of a group stage.  put gets values indexed by storage attnum - 1.
 */
extern DestReceiver *pgt_apply_group_absolute_receiver(const GroupTarget *target,
													   void (*put) (void *arg, Datum *values, bool *isnull),
													   void *arg);

#endif							/* PGTRICKLE_APPLY_H */
