/*-------------------------------------------------------------------------
 *
 * health.c
 *	  health_check(): everything that needs somebody's attention.
 *
 * Each check gives one row with severity OK, or one row per finding.
 *
 * IDENTIFICATION
 *	  src/monitor/health.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/scheduler.h"

#include "monitor_internal.h"

/* a change takes no less than this in a buffer */
#define MIN_CHANGE_BYTES	40

PG_FUNCTION_INFO_V1(pgt_health_check);

typedef struct HealthCheck
{
	ReturnSetInfo *rsinfo;
	const char *name;			/* of the current check */
	int			findings;		/* of the current check */
	List	   *tables;			/* of StreamTable * */
	List	   *sources;		/* of ChangeSource * */
	int64	   *intervals;
	int			nintervals;
} HealthCheck;

static void
emit(HealthCheck *h, const char *severity, const char *detail)
{
	ResultRow	row;

	row.ncolumns = 0;
	pgt_monitor_put_text(&row, h->name);
	pgt_monitor_put_text(&row, severity);
	pgt_monitor_put_text(&row, detail);
	pgt_monitor_emit(h->rsinfo, &row);
}

static void
find(HealthCheck *h, const char *severity, char *detail)
{
	h->findings++;
	emit(h, severity, detail);
}

#define find_problem(h, severity, ...) find(h, severity, psprintf(__VA_ARGS__))

static int64
interval_of(HealthCheck *h, int i)
{
	return i < h->nintervals ? h->intervals[i] : 0;
}

static bool
is_scheduled(const StreamTable *st)
{
	return pgt_schedule_read(st->schedule).kind != PGT_SCHEDULE_MANUAL;
}

/* ---- the checks ---- */

static void
check_scheduler(HealthCheck *h)
{
	bool		needed = false;
	ListCell   *lc;

	foreach(lc, h->tables)
		needed |= is_scheduled(lfirst(lc));
	/* a standby gets what the primary refreshes */
	if (!needed || RecoveryInProgress())
		return;
	if (!pgt_scheduler_is_running())
		find_problem(h, "WARN", "Stream tables have schedules, but no scheduler is running in this database. It needs pg_trickle in shared_preload_libraries.");
	else if (!pgt_enabled)
		find_problem(h, "WARN", "Stream tables have schedules, but the scheduler is turned off (pg_trickle.enabled).");
}

static void
check_status(HealthCheck *h)
{
	ListCell   *lc;

	foreach(lc, h->tables)
	{
		StreamTable *st = lfirst(lc);
		char	   *name = pgt_monitor_name(st->relid);
		const char *message = "";

		if (st->last_error_message && pgt_monitor_may_read(st->relid))
			message = psprintf(" Last error: %s.", st->last_error_message);
		if (get_rel_name(st->relid) == NULL)
			find_problem(h, "ERROR", "A stream table does not exist any more (id " INT64_FORMAT ").",
						 st->pgt_id);
		else if (st->status == PGT_STATUS_ERROR)
			find_problem(h, "ERROR", "Stream table %s is in status ERROR.%s", name, message);
		else if (st->status == PGT_STATUS_SUSPENDED && st->consecutive_errors > 0)
			find_problem(h, "ERROR", "Stream table %s was suspended after %d errors in a row.%s",
						 name, st->consecutive_errors, message);
		else if (st->status == PGT_STATUS_SUSPENDED)
			find_problem(h, "WARN", "Stream table %s is suspended.", name);
		else if (st->consecutive_errors > 0)
			find_problem(h, "WARN", "The last %d refreshes of stream table %s failed.%s",
						 st->consecutive_errors, name, message);
	}
}

static void
check_reinit(HealthCheck *h)
{
	ListCell   *lc;

	foreach(lc, h->tables)
	{
		StreamTable *st = lfirst(lc);

		if (st->needs_reinit)
			find_problem(h, "WARN", "Stream table %s will be rebuilt by its next refresh.%s%s",
						 pgt_monitor_name(st->relid),
						 st->reinit_reason && pgt_monitor_may_read(st->relid) ? " Reason: " : "",
						 st->reinit_reason && pgt_monitor_may_read(st->relid) ? st->reinit_reason : "");
		else if (get_rel_name(st->relid) != NULL &&
				 strcmp(st->stamp, pgt_catalog_make_stamp(st->relid)) != 0)
			find_problem(h, "WARN", "Stream table %s was restored or copied; its next refresh rebuilds it.",
						 pgt_monitor_name(st->relid));
	}
}

static void
check_staleness(HealthCheck *h)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, h->tables)
	{
		StreamTable *st = lfirst(lc);
		int64		interval = interval_of(h, i++);
		RefreshState *state;
		TimestampTz fresh_at;

		/* the others are reported as what they are */
		if (st->status != PGT_STATUS_ACTIVE || interval == 0)
			continue;
		state = pgt_catalog_get_refresh_state(st->pgt_id, false);
		fresh_at = pgt_monitor_fresh_at(state);
		if (pgt_monitor_is_stale(fresh_at, interval))
			find_problem(h, "WARN", "Stream table %s was last up to date at %s; its interval is %.0f s.",
						 pgt_monitor_name(st->relid),
						 fresh_at ? timestamptz_to_str(fresh_at) : "no time",
						 (double) interval / USECS_PER_SEC);
	}
}

static void
check_capture(HealthCheck *h)
{
	ListCell   *lc;

	foreach(lc, h->sources)
	{
		ChangeSource *cs = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, pgt_monitor_capture_problems(cs))
			find_problem(h, "ERROR", "Source %s: %s", pgt_monitor_name(cs->relid),
						 (char *) lfirst(lc2));
	}

	/* dependencies without any capture, as after a damaged restore */
	foreach(lc, h->tables)
	{
		StreamTable *st = lfirst(lc);
		ListCell   *lc2;

		if (!st->differential || st->refresh_mode == PGT_MODE_FULL)
			continue;
		foreach(lc2, pgt_catalog_list_dependencies(st->pgt_id))
		{
			Dependency *dep = lfirst(lc2);

			/* what cannot be captured is compared with a copy */
			if (pgt_catalog_get_change_source(dep->source, true) == NULL &&
				pgt_cdc_check_source(dep->source) == NULL)
				find_problem(h, "ERROR", "Changes of %s, a source of %s, are not captured.",
							 pgt_monitor_name(dep->source), pgt_monitor_name(st->relid));
		}
	}
}

static void
check_buffers(HealthCheck *h)
{
	int64		threshold = pgt_buffer_alert_threshold;
	ListCell   *lc;

	foreach(lc, h->sources)
	{
		ChangeSource *cs = lfirst(lc);
		int64		rows;

		if (get_rel_name(cs->segment[0]) == NULL || get_rel_name(cs->segment[1]) == NULL)
			continue;
		if (threshold == 0 ||
			pgt_cdc_buffer_bytes(cs->relid) / MIN_CHANGE_BYTES <= threshold)
			continue;
		rows = pgt_cdc_pending_rows(cs->relid, NULL);
		if (rows > threshold)
			find_problem(h, "WARN", "Source %s has " INT64_FORMAT " pending changes.",
						 pgt_monitor_name(cs->relid), rows);
	}
}

static void
check_unlogged(HealthCheck *h)
{
	ListCell   *lc;

	foreach(lc, h->sources)
	{
		ChangeSource *cs = lfirst(lc);

		if (cs->unlogged)
			find_problem(h, "WARN", "The change buffer of source %s is unlogged: after a crash its stream tables are rebuilt.",
						 pgt_monitor_name(cs->relid));
	}
}

static const struct
{
	const char *name;
	void		(*check) (HealthCheck *h);
	const char *ok;
}			checks[] = {
	{"scheduler", check_scheduler, "A scheduler runs, or none is needed."},
	{"status", check_status, "No stream table is suspended or in error."},
	{"reinitialize", check_reinit, "No stream table needs to be rebuilt."},
	{"staleness", check_staleness, "All scheduled stream tables are fresh."},
	{"capture", check_capture, "All sources have their triggers and change buffers."},
	{"buffer_growth", check_buffers, "No change buffer exceeds buffer_alert_threshold."},
	{"unlogged_buffers", check_unlogged, "All change buffers survive a crash."}
};

Datum
pgt_health_check(PG_FUNCTION_ARGS)
{
	HealthCheck h = {0};

	InitMaterializedSRF(fcinfo, 0);
	h.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	h.intervals = pgt_scheduler_intervals(&h.nintervals);
	h.tables = pgt_catalog_list_stream_tables();
	h.sources = pgt_catalog_list_change_sources();
	for (int i = 0; i < lengthof(checks); i++)
	{
		h.name = checks[i].name;
		h.findings = 0;
		checks[i].check(&h);
		if (h.findings == 0)
			emit(&h, "OK", checks[i].ok);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}
