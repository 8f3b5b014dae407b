/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The settings of pg_trickle (pg_trickle.*).
 *
 * A setting is here only if something reads it, and each has a test that
 * shows its effect.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/guc.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_GUC_H
#define PGTRICKLE_GUC_H

enum
{
	PGT_CDC_AUTO, PGT_CDC_TRIGGER, PGT_CDC_WAL
};
enum
{
	PGT_CAPTURE_STATEMENT, PGT_CAPTURE_ROW
};
enum
{
	PGT_STRATEGY_AUTO, PGT_STRATEGY_MERGE, PGT_STRATEGY_DELETE_INSERT
};

extern bool pgt_enabled;
extern int	pgt_scheduler_interval_ms;
extern int	pgt_min_schedule_seconds;
extern int	pgt_default_schedule_seconds;
extern int	pgt_max_concurrent_refreshes;
extern int	pgt_max_consecutive_errors;
extern bool pgt_allow_circular;
extern int	pgt_max_fixpoint_iterations;
extern int	pgt_cdc_mode;
extern int	pgt_cdc_trigger_mode;
extern bool pgt_change_buffer_unlogged;
extern bool pgt_foreign_table_polling;
extern bool pgt_matview_polling;
extern double pgt_differential_max_change_ratio;
extern int	pgt_merge_strategy;
extern bool pgt_merge_planner_hints;
extern int	pgt_merge_work_mem_mb;
extern int	pgt_merge_work_mem_max_mb;
extern bool pgt_use_prepared_statements;
extern bool pgt_block_source_ddl;
extern bool pgt_auto_backoff;
extern int	pgt_buffer_alert_threshold;
extern int	pgt_history_retention_days;
extern bool pgt_log_refresh_profile;

/* Defines all settings; called once from _PG_init. */
extern void pgt_guc_define(void);

#endif							/* PGTRICKLE_GUC_H */
