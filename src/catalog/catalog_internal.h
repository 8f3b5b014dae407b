/*-------------------------------------------------------------------------
 *
 * catalog_internal.h
 *	  Attribute numbers of our tables, and what their readers and writers share.
 *
 * The numbers follow sql/20_catalog.sql; a column is added at the end there
 * and here in one commit.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CATALOG_INTERNAL_H
#define PGTRICKLE_CATALOG_INTERNAL_H

#include "access/genam.h"
#include "access/htup.h"
#include "access/skey.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/relcache.h"

#include "pgtrickle/catalog.h"

/* pgtrickle.pgt_stream_tables */
enum
{
	Anum_st_pgt_id = 1,
	Anum_st_relid,
	Anum_st_definition,
	Anum_st_schedule,
	Anum_st_refresh_mode,
	Anum_st_differential,
	Anum_st_downgrade_code,
	Anum_st_downgrade_reason,
	Anum_st_status,
	Anum_st_is_populated,
	Anum_st_needs_reinit,
	Anum_st_reinit_reason,
	Anum_st_diamond_consistency,
	Anum_st_diamond_schedule_policy,
	Anum_st_cdc_mode,
	Anum_st_append_only,
	Anum_st_consecutive_errors,
	Anum_st_last_error_message,
	Anum_st_last_error_at,
	Anum_st_retry_at,
	Anum_st_settings,
	Anum_st_stamp,
	Anum_st_generation,
	Anum_st_created_at,
	Natts_st = Anum_st_created_at
};

/* pgtrickle.pgt_refresh_state */
enum
{
	Anum_state_pgt_id = 1,
	Anum_state_frontier,
	Anum_state_data_timestamp,
	Anum_state_last_refresh_at,
	Anum_state_last_action,
	Anum_state_last_full_ms,
	Anum_state_full_rows,
	Anum_state_diff_ms_per_row,
	Anum_state_diff_base_ms,
	Anum_state_diff_samples,
	Anum_state_tiny_ms_per_row,
	Anum_state_tiny_base_ms,
	Anum_state_tiny_samples,
	Anum_state_auto_threshold,
	Anum_state_total_refreshes,
	Anum_state_successful,
	Anum_state_failed,
	Anum_state_rows_inserted,
	Anum_state_rows_deleted,
	Anum_state_total_ms,
	Anum_state_total_full_ms,
	Anum_state_total_diff_ms,
	Anum_state_full_refreshes,
	Anum_state_diff_refreshes,
	Anum_state_last_fixpoint_iterations,
	Anum_state_last_converged_at,
	Natts_state = Anum_state_last_converged_at
};

/* pgtrickle.pgt_dependencies */
enum
{
	Anum_dep_pgt_id = 1,
	Anum_dep_source,
	Anum_dep_is_stream_table,
	Anum_dep_columns_used,
	Anum_dep_signature,
	Natts_dep = Anum_dep_signature
};

/* pgtrickle.pgt_stages */
enum
{
	Anum_stage_pgt_id = 1,
	Anum_stage_stageno,
	Anum_stage_relid,
	Natts_stage = Anum_stage_relid
};

/* pgtrickle.pgt_change_sources */
enum
{
	Anum_source_relid = 1,
	Anum_source_segment0,
	Anum_source_segment1,
	Anum_source_active,
	Anum_source_row_mode,
	Anum_source_is_stream_table,
	Anum_source_columns,
	Anum_source_unlogged,
	Anum_source_touches,
	Natts_source = Anum_source_touches
};

/* pgtrickle.pgt_refresh_history */
enum
{
	Anum_history_refresh_id = 1,
	Anum_history_pgt_id,
	Anum_history_action,
	Anum_history_status,
	Anum_history_initiated_by,
	Anum_history_data_timestamp,
	Anum_history_start_time,
	Anum_history_end_time,
	Anum_history_rows_inserted,
	Anum_history_rows_deleted,
	Anum_history_delta_row_count,
	Anum_history_was_full_fallback,
	Anum_history_fallback_reason,
	Anum_history_strategy,
	Anum_history_decision_ms,
	Anum_history_load_ms,
	Anum_history_plan_ms,
	Anum_history_delta_ms,
	Anum_history_apply_ms,
	Anum_history_cleanup_ms,
	Anum_history_error_message,
	Anum_history_error_sqlstate,
	Natts_history = Anum_history_error_sqlstate
};

/* Tables and their indexes by name; PRIMARY KEY and UNIQUE name the latter. */
#define PGT_TAB_STREAM_TABLES	"pgt_stream_tables"
#define PGT_IDX_ST_ID			"pgt_stream_tables_pkey"
#define PGT_IDX_ST_RELID		"pgt_stream_tables_relid_key"
#define PGT_TAB_STATE			"pgt_refresh_state"
#define PGT_IDX_STATE			"pgt_refresh_state_pkey"
#define PGT_TAB_DEPENDENCIES	"pgt_dependencies"
#define PGT_IDX_DEP				"pgt_dependencies_pkey"
#define PGT_IDX_DEP_SOURCE		"pgt_dependencies_source_idx"
#define PGT_TAB_STAGES			"pgt_stages"
#define PGT_IDX_STAGES			"pgt_stages_pkey"
#define PGT_TAB_SOURCES			"pgt_change_sources"
#define PGT_IDX_SOURCES			"pgt_change_sources_pkey"
#define PGT_TAB_HISTORY			"pgt_refresh_history"
#define PGT_IDX_HISTORY			"pgt_refresh_history_time_idx"
#define PGT_SEQ_ID				"pgt_id_seq"
#define PGT_SEQ_REFRESH_ID		"pgt_refresh_id_seq"

/* catalog_scan.c: heap and index access, without SQL */

/*
 * A scan of one of our tables by a newest-state snapshot.  The lock on the
 * table is kept to the end of the transaction.
 */
typedef struct CatalogScan
{
	Relation	rel;
	SysScanDesc scan;
} CatalogScan;

extern void pgt_catalog_scan_begin(CatalogScan *cs, const char *table,
								   const char *index, LOCKMODE lockmode,
								   int nkeys, ScanKey keys);
extern HeapTuple pgt_catalog_scan_next(CatalogScan *cs);
extern void pgt_catalog_scan_end(CatalogScan *cs);

extern void pgt_catalog_key_int64(ScanKey key, AttrNumber attnum, int64 value);
extern void pgt_catalog_key_oid(ScanKey key, AttrNumber attnum, Oid value);

extern void pgt_catalog_insert_row(const char *table, Datum *values, bool *nulls);
/* Deletes what the keys find in the index; number of rows. */
extern int	pgt_catalog_delete_rows(const char *table, const char *index,
									int nkeys, ScanKey keys);

/* Values of rows: NULL for SQL null, and back. */
extern char *pgt_catalog_text(Datum value, bool isnull);
extern void pgt_catalog_set_text(Datum *values, bool *nulls, AttrNumber attnum,
								 const char *text);
/* Time stamps: 0 for SQL null, and back. */
extern void pgt_catalog_set_time(Datum *values, bool *nulls, AttrNumber attnum,
								 TimestampTz time);
extern Datum pgt_catalog_columns_array(const Bitmapset *columns);
extern Bitmapset *pgt_catalog_columns_set(Datum array);

extern int64 pgt_catalog_nextval(const char *sequence);

#endif							/* PGTRICKLE_CATALOG_INTERNAL_H */
