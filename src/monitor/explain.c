/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  explain_st(), explain_refresh_mode(), explain_delta().
 *
 * They show the defining query and statements derived from it, so they ask for
 * the right to read the stream table.
 *
 * IDENTIFICATION
 *	  src/monitor/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/env.h"
#include "pgtrickle/query.h"
#include "pgtrickle/refresh.h"

#include "monitor_internal.h"

PG_FUNCTION_INFO_V1(pgt_explain_st);
PG_FUNCTION_INFO_V1(pgt_explain_refresh_mode);
PG_FUNCTION_INFO_V1(pgt_explain_delta);

static void
emit_rows(FunctionCallInfo fcinfo, List *rows)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, rows)
	{
		ExplainRow *er = lfirst(lc);
		ResultRow	row;

		row.ncolumns = 0;
		pgt_monitor_put_text(&row, er->property);
		pgt_monitor_put_text(&row, er->value);
		pgt_monitor_emit(rsinfo, &row);
	}
}

/* The stream table named, which the user may read, and which nobody drops or redefines meanwhile. */
static StreamTable *
find_and_lock(FunctionCallInfo fcinfo)
{
	for (;;)
	{
		StreamTable *st = pgt_monitor_find(fcinfo);
		Oid			relid = st->relid;

		pgt_monitor_check_may_read(relid);
		LockRelationOid(relid, AccessShareLock);
		st = pgt_monitor_find(fcinfo);
		if (st->relid == relid)
			return st;
		UnlockRelationOid(relid, AccessShareLock);
	}
}

Datum
pgt_explain_st(PG_FUNCTION_ARGS)
{
	bool		with_analyze = DatumGetBool(pgt_monitor_arg(fcinfo, 1, "with_analyze"));
	StreamTable *st = with_analyze ? pgt_monitor_find(fcinfo) : find_and_lock(fcinfo);

	pgt_monitor_check_may_read(st->relid);
	/* this one refreshes */
	if (with_analyze)
	{
		pgt_monitor_check_may_refresh(st->relid);
		PreventCommandIfReadOnly("explain_st() with analyze");
	}
	emit_rows(fcinfo, pgt_refresh_explain(st->relid, with_analyze));
	return (Datum) 0;
}

Datum
pgt_explain_delta(PG_FUNCTION_ARGS)
{
	StreamTable *st = find_and_lock(fcinfo);
	char	   *format = TextDatumGetCString(pgt_monitor_arg(fcinfo, 1, "format"));

	if (pg_strcasecmp(format, "text") != 0 && pg_strcasecmp(format, "json") != 0 &&
		pg_strcasecmp(format, "yaml") != 0 && pg_strcasecmp(format, "xml") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid format: \"%s\"", format),
				 errhint("Formats are text, json, yaml and xml.")));
	emit_rows(fcinfo, pgt_refresh_explain_delta(st->relid, format));
	return (Datum) 0;
}

/* A differential refresh of such a table still reads these as a whole. */
static char *
describe_polled_sources(const StreamTable *st)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, pgt_catalog_list_dependencies(st->pgt_id))
	{
		Oid			source = ((Dependency *) lfirst(lc))->source;

		if (get_rel_name(source) != NULL && pgt_cdc_check_source(source) != NULL)
			appendStringInfo(&buf, "%s%s \"%s\" is read as a whole %s, and compared with a kept copy",
							 buf.len ? "; " : "",
							 pgt_query_polled_kind(source), pgt_relation_label(source),
							 pgt_query_polled_when(source));
	}
	return buf.len == 0 ? NULL : buf.data;
}

/* One row: what was asked for, what is done, and why they differ. */
Datum
pgt_explain_refresh_mode(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamTable *st = pgt_monitor_find(fcinfo);
	RefreshState *state = pgt_catalog_get_refresh_state(st->pgt_id, false);
	const char *effective;
	const char *reason = NULL;
	ResultRow	row;

	pgt_monitor_check_may_read(st->relid);
	if (st->refresh_mode == PGT_MODE_FULL)
		effective = "FULL";
	else if (!st->differential)
	{
		effective = "FULL";
		reason = st->downgrade_reason;
	}
	else
	{
		effective = "DIFFERENTIAL";
		if (st->refresh_mode == PGT_MODE_AUTO && state->last_action == PGT_ACTION_FULL &&
			state->diff_refreshes + state->full_refreshes > 1)
		{
			/* AUTO decides each time; say what it did last, and why */
			List	   *history = pgt_catalog_list_history(st->pgt_id, 1);
			RefreshRecord *rec = history == NIL ? NULL : linitial(history);

			if (rec && rec->action == PGT_ACTION_FULL && rec->fallback_reason)
				reason = psprintf("The last refresh was full: %s", rec->fallback_reason);
		}
		if (reason == NULL)
			reason = describe_polled_sources(st);
	}

	InitMaterializedSRF(fcinfo, 0);
	row.ncolumns = 0;
	pgt_monitor_put_text(&row, pgt_mode_name(st->refresh_mode));
	pgt_monitor_put_text(&row, effective);
	pgt_monitor_put_text(&row, reason);
	pgt_monitor_emit(rsinfo, &row);
	return (Datum) 0;
}
