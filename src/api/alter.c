/*-------------------------------------------------------------------------
 *
 * alter.c
 *	  alter_stream_table(), suspend and resume.
 *
 * A new query replaces the definition in place: the table stays, with its
 * grants, the indexes and views on columns that stay, and everything that
 * reads it.  The text is parsed as the caller, who must own the table; all
 * that follows runs as the table's owner, whose rights the refreshes use.
 *
 * IDENTIFICATION
 *	  src/api/alter.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_alter_stream_table);
PG_FUNCTION_INFO_V1(pgt_suspend_stream_table);
PG_FUNCTION_INFO_V1(pgt_resume_stream_table);

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* ---- comparing queries ---- */

/*
 * Up to 15, the range table of a view's query starts with two entries for
 * OLD and NEW; without them it is what the parser made.
 */
static Query *
without_rule_entries(Query *query)
{
#if PG_VERSION_NUM < 160000
	if (list_length(query->rtable) >= 2 &&
		strcmp(((RangeTblEntry *) linitial(query->rtable))->eref->aliasname, "old") == 0)
	{
		query->rtable = list_copy_tail(query->rtable, 2);
		OffsetVarNodes((Node *) query, -2, 0);
	}
#endif
	return query;
}

bool
pgt_api_same_query(const StreamTable *st, Query *query)
{
	Query	   *stored = without_rule_entries(pgt_query_of_view(st->definition));
	PinnedEnv	env;
	bool		result;

	pgt_env_enter_internal(&env);
	result = strcmp(pg_get_querydef(stored, false),
					pg_get_querydef(copyObject(query), false)) == 0;
	pgt_env_leave(&env);
	return result;
}

/* ---- redefinition ---- */

/* As the owner.  Lock order: sources, stream table, stages. */
static void
redefine(StreamTable *st, const AlterRequest *req, const char *settings)
{
	char	   *name = get_rel_name(st->relid);
	bool		was_cyclic = pgt_cycle_is_member(st);
	QueryAnalysis *analysis = pgt_query_analyze(req->query, req->sql);

	if (analysis->refused)
		pgt_api_throw_reason(analysis->refused, req->sql, name);
	if (analysis->not_differential && st->refresh_mode == PGT_MODE_DIFFERENTIAL)
		pgt_api_throw_reason(analysis->not_differential, req->sql, name);
	pgt_definition_check_permissions(req->query);
	if (analysis->definition)
		pgt_definition_check_source_privileges(analysis->sources);
	pgt_definition_decide(st, analysis);
	if (st->refresh_mode == PGT_MODE_DIFFERENTIAL && !st->differential)
		pgt_api_throw_reason(analysis->not_differential, req->sql, name);

	pgt_definition_attach_sources(st, analysis);
	if (st->is_populated)
		pgt_definition_discard_content(st->relid);
	pgt_definition_drop_view(st->definition);
	if (!pgt_definition_columns_equal(st->relid, analysis->columns))
		pgt_definition_adapt_columns(st->relid, analysis->columns);
	st->definition = pgt_definition_create_view(st, req->query, analysis->columns);
	pgt_definition_bind(st);
	st->settings = pstrdup(settings);
	st->generation++;
	st->needs_reinit = true;
	st->reinit_reason = pstrdup("the defining query was replaced");
	pgt_catalog_update_stream_table(st);
	pgt_definition_rebuild_storage(st, analysis, false);
	pgt_definition_report_polled(st, analysis);
	if (was_cyclic || pgt_cycle_is_member(st))
		pgt_cycle_update_members(st->pgt_id);
}

/* The mode decides which state is kept beside the rows. */
static void
change_mode(StreamTable *st, RefreshMode mode, bool redefined)
{
	RefreshMode before = st->refresh_mode;

	if (mode == before)
		return;
	if (mode == PGT_MODE_DIFFERENTIAL && !st->differential && !redefined)
	{
		QueryAnalysis *analysis = pgt_query_analyze(pgt_query_of_view(st->definition), "");

		/* asked again, for the hint; positions mean nothing without the text */
		if (analysis->not_differential)
		{
			analysis->not_differential->location = -1;
			pgt_reason_throw(analysis->not_differential, get_rel_name(st->relid));
		}
		/* FULL polls no source */
		if (before == PGT_MODE_FULL)
			st->refresh_mode = mode;
		pgt_definition_decide(st, analysis);
		if (!st->differential)
			pgt_reason_throw(analysis->not_differential, get_rel_name(st->relid));
	}
	st->refresh_mode = mode;
	if (redefined)
		return;					/* redefine() comes next */
	pgt_catalog_update_stream_table(st);
	if (mode == PGT_MODE_FULL || before == PGT_MODE_FULL)
		pgt_definition_redo(st, psprintf("the refresh mode was changed to %s",
										 pgt_mode_name(mode)));
}

/* Sources that had to be recomputed may be polled now. */
static void
follow_polling(StreamTable *st)
{
	if (pgt_definition_redo_if_changed(st, "sources are compared with copies from now on"))
		pgt_definition_report_polled(st, pgt_query_analyze(pgt_query_of_view(st->definition), ""));
}

/* Rows of the old query must not stay in a table of the new one. */
static void
refill(StreamTable *st)
{
	StreamTableStatus status = st->status;
	RefreshRecord rec;
	StreamTable *after;

	if (status != PGT_STATUS_ACTIVE)
	{
		st->status = PGT_STATUS_ACTIVE;
		pgt_catalog_update_stream_table(st);
	}
	memset(&rec, 0, sizeof(rec));
	pgt_refresh_run(st->relid, PGT_BY_MANUAL, &rec);
	after = pgt_catalog_get_stream_table(st->relid, false);
	if (status == PGT_STATUS_SUSPENDED)
	{
		after->status = status;
		pgt_catalog_update_stream_table(after);
	}
	*st = *after;
}

static void
change_status(StreamTable *st, StreamTableStatus status)
{
	if (status == PGT_STATUS_SUSPENDED)
		st->status = PGT_STATUS_SUSPENDED;
	else
	{
		st->status = st->is_populated ? PGT_STATUS_ACTIVE : PGT_STATUS_INITIALIZING;
		st->consecutive_errors = 0;
		st->retry_at = 0;
	}
}

void
pgt_api_alter(StreamTable *st, const AlterRequest *req)
{
	char	   *settings = pgt_env_capture_settings();
	char	   *polling = pgt_env_add_polling(st->settings, settings);
	StreamTableStatus before = st->status;
	bool		redefined = req->query != NULL && !pgt_api_same_query(st, req->query);
	bool		polls_more = false;
	PinnedEnv	env;

	/* whoever sets the mode may ask for sources to be polled */
	if (req->set_mode && !redefined && strcmp(polling, st->settings) != 0)
	{
		st->settings = polling;
		polls_more = true;
	}
	pgt_env_enter(&env, owner_of(st->relid), redefined ? settings : st->settings);
	if (req->set_schedule)
		st->schedule = req->schedule;
	if (req->set_diamond_consistency)
		st->diamond_consistency = req->diamond_consistency;
	if (req->set_diamond_schedule_policy)
		st->diamond_schedule_policy = req->diamond_schedule_policy;
	if (req->set_cdc_mode)
		st->cdc_mode = req->cdc_mode;
	if (req->set_append_only)
		st->append_only = req->append_only;
	if (req->set_status)
		change_status(st, req->status);
	pgt_catalog_update_stream_table(st);
	if (req->set_mode)
		change_mode(st, req->mode, redefined);
	if (polls_more)
		follow_polling(st);
	if (redefined)
		redefine(st, req, settings);
	if (st->append_only && (req->set_append_only || redefined))
		pgt_refresh_report_append(st, pgt_query_analyze(pgt_query_of_view(st->definition), "")->definition);
	pgt_env_leave(&env);

	if (redefined && st->is_populated)
		refill(st);
	if (req->set_status && before != PGT_STATUS_ACTIVE && st->status == PGT_STATUS_ACTIVE)
		pgt_alert("resumed", st->relid, NULL);
	pgt_scheduler_notify_catalog_change();
}

/* ---- SQL-callable ---- */

/* ACTIVE and SUSPENDED are the user's to set. */
static StreamTableStatus
settable_status(const char *name)
{
	StreamTableStatus status = pgt_status_parse(name);

	if (status != PGT_STATUS_ACTIVE && status != PGT_STATUS_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("status of a stream table cannot be set to \"%s\"", name),
				 errhint("Valid values are ACTIVE and SUSPENDED.")));
	return status;
}

Datum
pgt_alter_stream_table(PG_FUNCTION_ARGS)
{
	AlterRequest req = {0};
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);
	char	   *arg;

	pgt_api_prevent_read_only("alter_stream_table()");
	req.sql = pgt_api_text_arg(fcinfo, 1, "query", false);
	if ((arg = pgt_api_text_arg(fcinfo, 2, "schedule", false)) != NULL)
	{
		req.set_schedule = true;
		req.schedule = pgt_api_schedule(arg);
	}
	if ((arg = pgt_api_text_arg(fcinfo, 3, "refresh_mode", false)) != NULL)
	{
		req.set_mode = true;
		req.mode = pgt_mode_parse(arg);
	}
	if ((arg = pgt_api_text_arg(fcinfo, 4, "status", false)) != NULL)
	{
		req.set_status = true;
		req.status = settable_status(arg);
	}
	if ((arg = pgt_api_text_arg(fcinfo, 5, "diamond_consistency", false)) != NULL)
	{
		req.set_diamond_consistency = true;
		req.diamond_consistency = pgt_api_diamond_consistency(arg);
	}
	if ((arg = pgt_api_text_arg(fcinfo, 6, "diamond_schedule_policy", false)) != NULL)
	{
		req.set_diamond_schedule_policy = true;
		req.diamond_schedule_policy = pgt_api_diamond_schedule_policy(arg);
	}
	if ((arg = pgt_api_text_arg(fcinfo, 7, "cdc_mode", false)) != NULL)
	{
		req.set_cdc_mode = true;
		req.cdc_mode = pgt_api_cdc_mode(arg);
	}
	if (!PG_ARGISNULL(8))
	{
		req.set_append_only = true;
		req.append_only = PG_GETARG_BOOL(8);
	}

	/* the lock comes before the locks that parsing takes on the sources */
	{
		StreamTable *st = pgt_api_lock_owned(name);

		if (req.sql)
			req.query = pgt_query_parse(req.sql);
		pgt_api_alter(st, &req);
	}
	PG_RETURN_VOID();
}

static void
set_status(FunctionCallInfo fcinfo, const char *function, StreamTableStatus status)
{
	AlterRequest req = {0};
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);

	pgt_api_prevent_read_only(function);
	req.set_status = true;
	req.status = status;
	pgt_api_alter(pgt_api_lock_owned(name), &req);
}

Datum
pgt_suspend_stream_table(PG_FUNCTION_ARGS)
{
	set_status(fcinfo, "suspend_stream_table()", PGT_STATUS_SUSPENDED);
	PG_RETURN_VOID();
}

Datum
pgt_resume_stream_table(PG_FUNCTION_ARGS)
{
	set_status(fcinfo, "resume_stream_table()", PGT_STATUS_ACTIVE);
	PG_RETURN_VOID();
}
