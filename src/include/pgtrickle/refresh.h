/*-------------------------------------------------------------------------
 *
 * refresh.h
 *	  Bringing a stream table up to date.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/refresh.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_REFRESH_H
#define PGTRICKLE_REFRESH_H

#include "pgtrickle/catalog.h"
#include "pgtrickle/query.h"
#include "port/atomics.h"
#include "utils/snapshot.h"

/* Installs the planner hook; once, from _PG_init. */
extern void pgt_refresh_init(void);

/*
 * Refreshes one stream table in the current transaction (which may have
 * written its sources).  Checks status but no privileges; switches to the
 * owner by itself.  Fills *rec (also for NO_DATA, which writes no history
 * row).  Errors propagate; nothing of the refresh remains then.
 */
extern void pgt_refresh_run(Oid relid, RefreshInitiator by, RefreshRecord *rec);

/*
 * wave.c: for refreshes that share a transaction.  All locks of a refresh,
 * without waiting for any; then one snapshot for all refreshes until it is
 * released, or the transaction ends.
 */
typedef enum RefreshLock
{
	PGT_LOCK_OK,
	PGT_LOCK_BUSY,				/* somebody refreshes or alters the stream table */
	PGT_LOCK_RELATION,			/* somebody has locked something that it needs */
	PGT_LOCK_GONE				/* there is no such stream table */
} RefreshLock;
extern RefreshLock pgt_refresh_try_lock(int64 pgt_id);
extern Snapshot pgt_refresh_share_snapshot(void);
extern void pgt_refresh_release_snapshot(void);

/*
 * failure.c: records a failed refresh, in a new transaction that the caller
 * commits: history row, error count, backoff, status, alert.  Does nothing if the
 * stream table is gone.
 */
extern void pgt_refresh_record_failure(int64 pgt_id, TimestampTz start, ErrorData *err,
									   RefreshInitiator by);
/* Errors that trying again cannot cure, by SQLSTATE class. */
extern bool pgt_refresh_error_is_permanent(int sqlstate);
extern int	pgt_refresh_retry_delay_ms(int errors, double jitter);

/* storage.c: hidden stage tables and the index that identifies rows. */
extern void pgt_storage_create(StreamTable *st, QueryAnalysis *analysis);
extern void pgt_storage_drop(int64 pgt_id);

/* explain.c: SQL and strategy of the maintenance plan, rows of (property, value). */
typedef struct ExplainRow
{
	char	   *property;
	char	   *value;
} ExplainRow;
extern List *pgt_refresh_explain(Oid relid, bool with_analyze);
/* Delta statements with their EXPLAIN output; format text, json, yaml, xml. */
extern List *pgt_refresh_explain_delta(Oid relid, const char *format);
/* lookups.c: columns that refreshes look up without an index, as "table (column)". */
extern List *pgt_refresh_missing_indexes(const struct Definition *def);

/* append.c: can append_only make a difference?  The second tells the user if not. */
extern bool pgt_refresh_can_append(const struct Definition *def);
extern void pgt_refresh_report_append(const StreamTable *st, const struct Definition *def);

/* stats.c: shared-memory counters (no-ops when not preloaded). */
extern void pgt_refresh_shmem_request(void);
extern void pgt_refresh_shmem_startup(void);
typedef struct RefreshLooks
{
	pg_atomic_uint64 count;		/* looks that found nothing to do */
	pg_atomic_uint64 last;		/* when */
} RefreshLooks;
extern RefreshLooks *pgt_refresh_stats_looks(int64 pgt_id);
extern void pgt_refresh_stats_no_data(int64 pgt_id, TimestampTz when);
/* false: no slot or not preloaded */
extern bool pgt_refresh_stats_get(int64 pgt_id, int64 *no_data_count, TimestampTz *last_check);
extern void pgt_refresh_stats_forget(int64 pgt_id);
extern void pgt_refresh_stats_forget_database(Oid database);

/* alert.c: NOTIFY pg_trickle_alert with a JSON payload; key/value pairs, NULL-terminated. */
extern void pgt_alert(const char *event, Oid relid,...);

#endif							/* PGTRICKLE_REFRESH_H */
