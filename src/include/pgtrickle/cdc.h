/*-------------------------------------------------------------------------
 *
 * cdc.h
 *	  Change data capture: triggers, change buffers, reading a window.
 *
 * Buffer segment layout (table pgtrickle_changes.changes_<oid>_<0|1>):
 *		x xid8		top-level transaction of the change
 *		s int4		+seq: row added, -seq: row removed, 2^30 + seq: everything
 *					before is void (TRUNCATE, partition attached, ...),
 *					-(2^30 + seq): a statement wrote the source (a touch)
 *		c<attnum>	captured columns of the source, in attnum order
 * seq counts the commands of a transaction that captured something, from 1.  Rows are only
 * ever appended; no index, no free space map, no sequence.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/cdc.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CDC_H
#define PGTRICKLE_CDC_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "pgtrickle/types.h"
#include "storage/latch.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

struct ChangeSource;

/* ---- attach.c: capture on a source ---- */

/* NULL if relid can be captured, else why not (temporary, catalog, foreign, ...). */
extern UnsupportedReason *pgt_cdc_check_source(Oid relid);
/* NULL if its change buffer has room for these columns. */
extern UnsupportedReason *pgt_cdc_check_columns(Oid relid, const Bitmapset *columns);

/* Has the current user what pgt_cdc_attach_source() asks for? */
extern bool pgt_cdc_may_attach_source(Oid relid);

/*
 * Makes sure that at least these columns of the source are captured from the
 * moment this transaction commits.  Takes ShareRowExclusiveLock on the source
 * (and its partitions or children), so that no writer is in flight, when
 * triggers or columns have to be added; otherwise AccessShareLock.  Checks the TRIGGER privilege of the
 * current user unless the source is a stream table.  All locks are kept.
 */
extern void pgt_cdc_attach_source(Oid relid, const Bitmapset *columns);
/*
 * Makes sure that it is recorded which statements write the source, for
 * readers that recompute: one buffer row for a statement, no images.
 */
extern void pgt_cdc_attach_touches(Oid relid);
/* May the current user have that done, and can it be? */
extern bool pgt_cdc_may_attach_touches(Oid relid);
/* Both of what the configuration says, which has been forgotten. */
extern void pgt_cdc_attach_again(const struct ChangeSource *cs);

/* Drops triggers and buffer when no dependency refers to the source any more. */
extern void pgt_cdc_detach_source_if_unused(Oid relid);

/* The source itself is gone: only drop the buffer and the catalog row. */
extern void pgt_cdc_forget_source(Oid relid);

/* Re-creates missing, disabled or outdated triggers of one source; true if it changed anything. */
extern bool pgt_cdc_repair_source(Oid relid);
/* Same for a relation that may be a partition or child of a source (new partitions). */
extern bool pgt_cdc_repair_relation(Oid relid);
/* rebuild_cdc_triggers(): all sources, under the current cdc_trigger_mode. */
extern char *pgt_cdc_rebuild_triggers(void);
/* Sources (list of Oid) that a relation belongs to: itself, its ancestors. */
extern List *pgt_cdc_sources_of_relation(Oid relid);
/* Writes a void marker (see above) for the source, in this transaction. */
extern void pgt_cdc_mark_void(Oid source);
/* A command has written the source, which has no triggers (a materialized view). */
extern void pgt_cdc_mark_touched(Oid source);

/* ---- capture.c: SQL-callable trigger functions; writer used by refreshes ---- */

/*
 * Appends changes of a stream table to its own buffer when another stream
 * table reads it.  values/isnull are indexed by attnum - 1 of the source.
 */
typedef struct ChangeWriter ChangeWriter;
extern ChangeWriter *pgt_cdc_writer_begin(Oid source);	/* NULL: nobody reads it */
extern void pgt_cdc_writer_put(ChangeWriter *w, Datum *values, bool *isnull, int32 weight);
extern void pgt_cdc_writer_put_void(ChangeWriter *w);
extern void pgt_cdc_writer_end(ChangeWriter *w);

/* ---- relay.c: changes handed on in memory within a transaction ---- */

/*
 * These stream tables will be refreshed in this transaction, readers after what they
 * read.  Between begin and end, changes of one of them that only later ones read
 * are not written to its buffer.  settle follows each refresh, after its
 * subtransaction if it had one.
 */
extern void pgt_cdc_relays_begin(const int64 *pgt_ids, int n);
extern void pgt_cdc_relays_settle(int64 pgt_id);
extern void pgt_cdc_relays_end(void);

/* ---- window.c: reading what a frontier has not consumed ---- */

typedef struct ChangeWindow ChangeWindow;

/*
 * Protocol, in this order (see exact start-block rule in window.c):
 *	 lock the sources (AccessShareLock) -> pgt_cdc_window_open() -> take and push
 *	 the refresh snapshot -> pgt_cdc_window_set_snapshot() -> look / load -> advance.
 * from: frontier to start at; NULL: consume nothing, only compute the next
 * frontier (initial fill, full refresh).  sources: list of Oid.
 */
extern ChangeWindow *pgt_cdc_window_open(const Frontier *from, List *sources);
extern void pgt_cdc_window_set_snapshot(ChangeWindow *w, Snapshot snapshot);

/* Cheap: is there at least one unconsumed visible change (or void marker)? */
extern bool pgt_cdc_window_has_changes(ChangeWindow *w, Oid source);
/*
 * The same for one who reads no images: has any statement written the source?
 * True also if touches were not recorded when the frontier was made.
 */
extern bool pgt_cdc_window_was_touched(ChangeWindow *w, Oid source);

/* Have rows only been added to the source, none changed or removed?  Reads all of the window. */
extern bool pgt_cdc_window_only_adds(ChangeWindow *w, Oid source);

/*
 * About how many buffer rows are not consumed (an update is two); 0 when they are
 * few enough to load and count them.
 */
extern double pgt_cdc_window_estimate(ChangeWindow *w, Oid source);

typedef struct ChangeSet
{
	Oid			source;
	bool		voided;			/* marker seen: deltas are meaningless, recompute */
	int64		npos;			/* rows with weight +1 in the store */
	int64		nneg;			/* rows with weight -1 */
	int64		nread;			/* buffer rows read */
	double		bytes;			/* of the rows in the store */
	TupleDesc	tupdesc;		/* requested columns, then the int4 weight */
	Tuplestorestate *store;		/* NULL when empty */
} ChangeSet;

/*
 * Loads the unconsumed changes, projected to columns (attnums, ascending).
 * The tuple descriptor names the columns as the source does now; the weight
 * column comes last and is named weight_name.  With consolidate, rows of equal
 * image are netted (|w| unit copies remain); values are stored detoasted and
 * decompressed in either case.  Memory is bounded by work_mem (spills).
 * Result in the current memory context; the caller ends the store.
 */
extern ChangeSet *pgt_cdc_window_load(ChangeWindow *w, Oid source,
									  const Bitmapset *columns, const char *weight_name,
									  bool consolidate);

/*
 * The same rows one at a time, without a store and not netted, for a reader
 * that needs them once.  NULL if they must be loaded to know (voided).  values and
 * isnull have room for the columns and the weight; they hold until the next
 * call.  A void marker ends the stream and sets voided in the counts.
 */
typedef struct ChangeStream ChangeStream;
extern ChangeStream *pgt_cdc_stream_open(ChangeWindow *w, Oid source,
										 const Bitmapset *columns, const char *weight_name);
extern TupleDesc pgt_cdc_stream_desc(ChangeStream *stream);
extern bool pgt_cdc_stream_next(ChangeStream *stream, Datum *values, bool *isnull);
extern void pgt_cdc_stream_rewind(ChangeStream *stream);
extern const ChangeSet *pgt_cdc_stream_counts(ChangeStream *stream);
extern void pgt_cdc_stream_close(ChangeStream *stream);

/* The frontier after consuming the window: snapshot, own transaction, positions. */
extern Frontier *pgt_cdc_window_advance(ChangeWindow *w);
extern void pgt_cdc_window_close(ChangeWindow *w);

/* ---- cleanup.c ---- */

/*
 * Gives consumed buffer space back where that is provably safe and cheap, else does nothing:
 * rotates a large active segment, truncates a fully consumed inactive one. Never
 * waits for a lock.
 */
extern void pgt_cdc_cleanup(Oid source);
extern bool pgt_cdc_cleanup_quiet(Oid source);
extern bool pgt_cdc_cleanup_is_due(Oid source);

/* Pending: visible rows not consumed by the slowest consumer (or by one). */
extern int64 pgt_cdc_pending_rows(Oid source, const Frontier *f);
extern int64 pgt_cdc_buffer_bytes(Oid source);

/* ---- merge.c ---- */

/* When the library is loaded. */
extern void pgt_cdc_init(void);

/* ---- wakeup.c: news of commits, in shared memory (no-ops when not preloaded) ---- */

extern void pgt_cdc_shmem_request(void);
extern void pgt_cdc_shmem_startup(void);
/* The scheduler of this database wants its latch set at commits that it awaits. */
extern void pgt_cdc_wakeup_register(void);
extern void pgt_cdc_wakeup_unregister(void);
/*
 * Number of commits (and PREPAREs) that captured changes of this source since
 * server start.  A value that has not moved means: nothing to do.  When the
 * source has no slot in shared memory the database-wide counter is returned; without
 * that one, a number that moves every scheduler_interval_ms.
 */
extern uint64 pgt_cdc_commit_count(Oid source);
/* Of this database.  One without a slot: another number at each call. */
extern uint64 pgt_cdc_database_commit_count(void);
/*
 * True if the source's counter is what was seen: then the next commit that moves it
 * wakes the scheduler, once, and counts as news.  False: it has moved already.
 */
extern bool pgt_cdc_await_commit(Oid source, uint64 seen);
/* Number of commits that were awaited. */
extern uint64 pgt_cdc_news_count(void);
extern bool pgt_cdc_wakeup_is_noted(Oid source);
/* Prepared transactions with captured changes may be pending: look again anyway. */
extern bool pgt_cdc_prepared_pending(void);

#endif							/* PGTRICKLE_CDC_H */
