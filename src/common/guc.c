/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings of pg_trickle.
 *
 * Contexts: what only the scheduler reads is SIGHUP, since setting it in a
 * session would look as if it had an effect; what decides about a whole table
 * or about other people's statements is SUSET; how a refresh works, like
 * work_mem for a query, is up to the session that runs it (USERSET).
 *
 * IDENTIFICATION
 *	  src/common/guc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "pgtrickle/guc.h"

/* scheduler */
bool		pgt_auto_backoff = true;
int			pgt_buffer_alert_threshold = 1000000;
int			pgt_default_schedule_seconds = 1;
bool		pgt_enabled = true;
int			pgt_history_retention_days = 90;
int			pgt_max_concurrent_refreshes = 4;
int			pgt_max_consecutive_errors = 3;
int			pgt_min_schedule_seconds = 1;

/* cycles */
bool		pgt_allow_circular = false;
int			pgt_max_fixpoint_iterations = 100;

int			pgt_scheduler_interval_ms = 1000;

/* capture */
int			pgt_cdc_mode = PGT_CDC_AUTO;
int			pgt_cdc_trigger_mode = PGT_CAPTURE_STATEMENT;
bool		pgt_change_buffer_unlogged = false;
bool		pgt_foreign_table_polling = false;
bool		pgt_matview_polling = false;

/* DDL on sources */
bool		pgt_block_source_ddl = false;

/* refresh */
double		pgt_differential_max_change_ratio = 0.15;
bool		pgt_log_refresh_profile = false;
bool		pgt_merge_planner_hints = true;
int			pgt_merge_strategy = PGT_STRATEGY_AUTO;
int			pgt_merge_work_mem_max_mb = 1024;
int			pgt_merge_work_mem_mb = 64;
bool		pgt_use_prepared_statements = true;

static const struct config_enum_entry cdc_mode_options[] = {
	{"auto", PGT_CDC_AUTO, false},
	{"trigger", PGT_CDC_TRIGGER, false},
	{"wal", PGT_CDC_WAL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry cdc_trigger_mode_options[] = {
	{"statement", PGT_CAPTURE_STATEMENT, false},
	{"row", PGT_CAPTURE_ROW, false},
	{NULL, 0, false}
};

static const struct config_enum_entry merge_strategy_options[] = {
	{"auto", PGT_STRATEGY_AUTO, false},
	{"merge", PGT_STRATEGY_MERGE, false},
	{"delete_insert", PGT_STRATEGY_DELETE_INSERT, false},
	{NULL, 0, false}
};

static void
define_scheduler_settings(void)
{
	DefineCustomBoolVariable("pg_trickle.auto_backoff",
							 "Lengthens the interval of a stream table when refreshes take most of it.",
							 NULL,
							 &pgt_auto_backoff,
							 true,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.buffer_alert_threshold",
							"Pending changes of a source that raise an alert.",
							"0 turns the alert off.",
							&pgt_buffer_alert_threshold,
							1000000, 0, INT_MAX,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.default_schedule_seconds",
							"Interval of a stream table with schedule \"calculated\" that no other stream table reads.",
							NULL,
							&pgt_default_schedule_seconds,
							1, 1, INT_MAX / 1000,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.enabled",
							 "Lets the scheduler refresh stream tables.",
							 "Changes are captured in either case.",
							 &pgt_enabled,
							 true,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.history_retention_days",
							"Days after which rows of the refresh history are removed.",
							"0 keeps them forever.",
							&pgt_history_retention_days,
							90, 0, 36500,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.max_concurrent_refreshes",
							"Refreshes that the scheduler of a database runs at a time.",
							"1 means one after the other, without refresh workers.",
							&pgt_max_concurrent_refreshes,
							4, 1, 1024,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.max_consecutive_errors",
							"Failed refreshes in a row after which a stream table is suspended.",
							NULL,
							&pgt_max_consecutive_errors,
							3, 1, 1000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.min_schedule_seconds",
							"Shortest interval that a schedule may name.",
							NULL,
							&pgt_min_schedule_seconds,
							1, 1, INT_MAX / 1000,
							PGC_SUSET, GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.scheduler_interval_ms",
							"Longest time the scheduler sleeps when nothing wakes it.",
							NULL,
							&pgt_scheduler_interval_ms,
							1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
}

/* A name that is known and cannot be chosen: said so, rather than taken. */
static bool
check_cdc_mode(int *newval, void **extra, GucSource source)
{
	if (*newval != PGT_CDC_WAL)
		return true;
	GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
	GUC_check_errmsg("cdc_mode \"wal\" is not supported yet");
	GUC_check_errhint("Use \"auto\" or \"trigger\".");
	return false;
}

static void
define_capture_settings(void)
{
	DefineCustomEnumVariable("pg_trickle.cdc_mode",
							 "How changes are captured for new stream tables that do not say it.",
							 NULL,
							 &pgt_cdc_mode,
							 PGT_CDC_AUTO, cdc_mode_options,
							 PGC_USERSET, 0,
							 check_cdc_mode, NULL, NULL);

	DefineCustomEnumVariable("pg_trickle.cdc_trigger_mode",
							 "Kind of trigger that captures changes of sources.",
							 "Sources captured already are switched by pgtrickle.rebuild_cdc_triggers().",
							 &pgt_cdc_trigger_mode,
							 PGT_CAPTURE_STATEMENT, cdc_trigger_mode_options,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.change_buffer_unlogged",
							 "Makes new change buffers unlogged.",
							 "Writing is cheaper, and a crash costs a full refresh.",
							 &pgt_change_buffer_unlogged,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.foreign_table_polling",
							 "Lets new stream tables over foreign tables be maintained by deltas.",
							 "Each refresh reads all of the foreign table, and compares it with a kept copy.",
							 &pgt_foreign_table_polling,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.matview_polling",
							 "Lets new stream tables over materialized views be maintained by deltas.",
							 "The first refresh after each REFRESH MATERIALIZED VIEW reads all of it, and compares it with a kept copy.",
							 &pgt_matview_polling,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
}

static void
define_ddl_settings(void)
{
	DefineCustomBoolVariable("pg_trickle.block_source_ddl",
							 "Refuses column changes on sources of stream tables instead of following them.",
							 NULL,
							 &pgt_block_source_ddl,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

static void
define_cycle_settings(void)
{
	DefineCustomBoolVariable("pg_trickle.allow_circular",
							 "Let stream tables read each other in a cycle.",
							 "Cycles that are there already stay.",
							 &pgt_allow_circular,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.max_fixpoint_iterations",
							"Rounds after which the refresh of a cycle gives up.",
							NULL,
							&pgt_max_fixpoint_iterations,
							100, 1, 1000000,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
}

static void
define_refresh_settings(void)
{
	DefineCustomRealVariable("pg_trickle.differential_max_change_ratio",
							 "Starting point of the share of changed rows above which AUTO recomputes.",
							 "0 leaves the choice to the cost model alone.",
							 &pgt_differential_max_change_ratio,
							 0.15, 0.0, 1.0,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.log_refresh_profile",
							 "Logs one line per refresh that says where its time went.",
							 NULL,
							 &pgt_log_refresh_profile,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.merge_planner_hints",
							 "Plans delta statements with costs that favour indexes, by size of the delta.",
							 NULL,
							 &pgt_merge_planner_hints,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomEnumVariable("pg_trickle.merge_strategy",
							 "How a delta is written into a stream table.",
							 NULL,
							 &pgt_merge_strategy,
							 PGT_STRATEGY_AUTO, merge_strategy_options,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.merge_work_mem_max_mb",
							"Upper limit of the working memory of a refresh with a large delta.",
							NULL,
							&pgt_merge_work_mem_max_mb,
							1024, 1, MAX_KILOBYTES / 1024,
							PGC_USERSET, GUC_UNIT_MB,
							NULL, NULL, NULL);

	DefineCustomIntVariable("pg_trickle.merge_work_mem_mb",
							"Working memory of a refresh with a large delta, before scaling by its size.",
							NULL,
							&pgt_merge_work_mem_mb,
							64, 1, MAX_KILOBYTES / 1024,
							PGC_USERSET, GUC_UNIT_MB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("pg_trickle.use_prepared_statements",
							 "Keeps the plans of delta statements between refreshes.",
							 NULL,
							 &pgt_use_prepared_statements,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
}

/*
 * Defines all settings.  From here on, no other setting named pg_trickle.* can
 * be made up.
 */
void
pgt_guc_define(void)
{
	define_scheduler_settings();
	define_capture_settings();
	define_ddl_settings();
	define_cycle_settings();
	define_refresh_settings();
	MarkGUCPrefixReserved("pg_trickle");
}
