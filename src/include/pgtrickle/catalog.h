/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The only readers and writers of pg_trickle's own tables.
 *
 * All readers return structs palloc'd in the current context.  Unless said
 * otherwise they use the latest committed state plus the own transaction's
 * work (a catalog-style fresh snapshot), under AccessShareLock kept to the
 * end of the transaction; writers take RowExclusiveLock and end with
 * CommandCounterIncrement().  They are heap/index access without SQL and check
 * no privileges: callers do.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/catalog.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CATALOG_H
#define PGTRICKLE_CATALOG_H

#include "nodes/bitmapset.h"
#include "pgtrickle/types.h"

/* pgtrickle.pgt_stream_tables: changes with DDL and with state changes only */
typedef struct StreamTable
{
	int64		pgt_id;
	Oid			relid;			/* the stream table */
	Oid			definition;		/* hidden view that holds the defining query */
	char	   *schedule;		/* as given; NULL = by hand */
	RefreshMode refresh_mode;	/* asked for */
	bool		differential;	/* can be maintained by deltas */
	char	   *downgrade_code; /* why not; NULL if differential */
	char	   *downgrade_reason;
	StreamTableStatus status;
	bool		is_populated;
	bool		needs_reinit;	/* next refresh rebuilds everything */
	char	   *reinit_reason;
	char	   *diamond_consistency;
	char	   *diamond_schedule_policy;
	char	   *cdc_mode;
	bool		append_only;
	int32		consecutive_errors;
	char	   *last_error_message;
	TimestampTz last_error_at;	/* 0: never */
	TimestampTz retry_at;		/* 0: no backoff */
	char	   *settings;		/* pinned settings, see env.h */
	char	   *stamp;			/* cluster, database, relation the row was made for */
	int32		generation;		/* +1 with each redefinition */
	TimestampTz created_at;
} StreamTable;

extern StreamTable *pgt_catalog_get_stream_table(Oid relid, bool missing_ok);
extern StreamTable *pgt_catalog_get_stream_table_by_id(int64 pgt_id, bool missing_ok);
extern List *pgt_catalog_list_stream_tables(void);	/* of StreamTable *, by pgt_id */
extern bool pgt_catalog_has_stream_tables(void);	/* cheap: is there any? */
extern int64 pgt_catalog_insert_stream_table(StreamTable *st);	/* assigns pgt_id */
extern void pgt_catalog_update_stream_table(const StreamTable *st);
extern void pgt_catalog_delete_stream_table(int64 pgt_id);	/* and all rows that belong to it */
extern char *pgt_catalog_make_stamp(Oid relid);

/* What deltas cost: moving averages over differential refreshes. */
typedef struct LearnedCost
{
	double		ms_per_row;		/* 0: unknown */
	double		base_ms;		/* fixed part */
	int32		samples;
} LearnedCost;

/* pgtrickle.pgt_refresh_state: the hot row, changed by every refresh */
typedef struct RefreshState
{
	int64		pgt_id;
	Frontier   *frontier;		/* NULL: never filled */
	TimestampTz data_timestamp; /* 0: never */
	TimestampTz last_refresh_at;
	RefreshAction last_action;
	double		last_full_ms;	/* 0: unknown */
	double		full_rows;		/* rows of the last full result */
	LearnedCost diff;			/* of deltas ... */
	LearnedCost tiny;			/* ... in which tables of a few rows changed */
	double		auto_threshold; /* change ratio above which AUTO recomputes */
	int64		total_refreshes;
	int64		successful;
	int64		failed;
	int64		rows_inserted;
	int64		rows_deleted;
	double		total_ms;
	double		total_full_ms;
	double		total_diff_ms;
	int64		full_refreshes;
	int64		diff_refreshes;
	int32		last_fixpoint_iterations;	/* of a cycle */
	TimestampTz last_converged_at;	/* 0: never */
} RefreshState;

/*
 * for_update: reads the newest version and raises ERRCODE_T_R_SERIALIZATION_FAILURE
 * when the transaction's snapshot (REPEATABLE READ and above) cannot see it.
 */
extern RefreshState *pgt_catalog_get_refresh_state(int64 pgt_id, bool for_update);
extern void pgt_catalog_put_refresh_state(const RefreshState *state);	/* insert or update */

/* pgtrickle.pgt_dependencies: one row per stream table and source */
typedef struct Dependency
{
	int64		pgt_id;
	Oid			source;			/* base table or stream table */
	bool		is_stream_table;
	Bitmapset  *columns_used;	/* attnums, all > 0 */
	char	   *signature;		/* names, types of the used columns when analysed */
} Dependency;

extern List *pgt_catalog_list_dependencies(int64 pgt_id);
extern List *pgt_catalog_list_consumers(Oid source);	/* of Dependency * */
extern void pgt_catalog_replace_dependencies(int64 pgt_id, List *deps);

/* pgtrickle.pgt_stages: hidden stage tables of a stream table */
typedef struct StageTable
{
	int64		pgt_id;
	int32		stageno;
	Oid			relid;
} StageTable;

extern List *pgt_catalog_list_stages(int64 pgt_id);
extern void pgt_catalog_replace_stages(int64 pgt_id, List *stages);

/* pgtrickle.pgt_change_sources: capture, one row per source */
typedef struct ChangeSource
{
	Oid			relid;
	Oid			segment[PGT_SEGMENTS];	/* buffer tables */
	int32		active;			/* segment that writers append to */
	bool		row_mode;		/* AFTER ROW instead of AFTER STATEMENT triggers */
	bool		is_stream_table;	/* written by refreshes, has no triggers */
	Bitmapset  *columns;		/* captured attnums; NULL: no rows are captured */
	bool		unlogged;
	bool		touches;		/* that a statement wrote it is recorded */
} ChangeSource;

extern ChangeSource *pgt_catalog_get_change_source(Oid relid, bool missing_ok);
extern List *pgt_catalog_list_change_sources(void);
extern void pgt_catalog_put_change_source(const ChangeSource *cs);	/* and invalidates the relcache entry of relid */
extern void pgt_catalog_delete_change_source(Oid relid);
/* Only that; invalidates nothing: plans over the source need not be made anew. */
extern void pgt_catalog_set_active_segment(Oid relid, int32 active);

/* pgtrickle.pgt_refresh_history */
typedef struct RefreshRecord
{
	int64		refresh_id;		/* assigned by insert */
	int64		pgt_id;
	RefreshAction action;
	const char *status;			/* RUNNING, COMPLETED, FAILED, SKIPPED */
	RefreshInitiator initiated_by;
	TimestampTz data_timestamp;
	TimestampTz start_time;
	TimestampTz end_time;
	int64		rows_inserted;
	int64		rows_deleted;
	int64		delta_row_count;
	bool		was_full_fallback;
	char	   *fallback_reason;
	char	   *strategy;
	double		decision_ms;
	double		load_ms;
	double		plan_ms;
	double		delta_ms;
	double		apply_ms;
	double		cleanup_ms;
	char	   *error_message;
	char	   *error_sqlstate;
} RefreshRecord;

extern int64 pgt_catalog_insert_history(RefreshRecord *rec);
extern List *pgt_catalog_list_history(int64 pgt_id, int max_rows);	/* of RefreshRecord *, newest first */
extern int64 pgt_catalog_prune_history(int days, int batch);	/* rows removed */

/*
 * The lock that serialises everything that changes one stream table: create,
 * alter, refresh, reinitialise.  A heavyweight object lock on the row's id, held to the end of
 * the transaction; readers and autovacuum of the table are not affected.
 * Returns false only with conditional = true.
 */
extern bool pgt_catalog_lock_stream_table(int64 pgt_id, bool conditional);

#endif							/* PGTRICKLE_CATALOG_H */
