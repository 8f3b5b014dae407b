/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  The state of stream tables, one row each: what pgt_status(),
 *	  st_refresh_stats() and the views select from.
 *
 * A refresh that finds nothing to do writes nothing, it is counted in shared
 * memory; so "fresh as of" is the later of the last refresh that did something
 * and the last look that found nothing to do.
 *
 * IDENTIFICATION
 *	  src/monitor/tables.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "monitor_internal.h"

/* A look may come this much late before a stream table counts as stale. */
#define GRACE_USECS		(5 * USECS_PER_SEC)

PG_FUNCTION_INFO_V1(pgt_stream_table_details);
PG_FUNCTION_INFO_V1(pgt_get_staleness);
PG_FUNCTION_INFO_V1(pgt_st_auto_threshold);

/* ---- helpers of the module ---- */

Datum
pgt_monitor_arg(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return PG_GETARG_DATUM(argno);
}

StreamTable *
pgt_monitor_find(FunctionCallInfo fcinfo)
{
	text	   *name = DatumGetTextPP(pgt_monitor_arg(fcinfo, 0, "name"));
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(name));

	return pgt_catalog_get_stream_table(RangeVarGetRelid(rv, NoLock, false), false);
}

bool
pgt_monitor_may_read(Oid relid)
{
	bool		missing = false;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return superuser();
	return pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &missing) == ACLCHECK_OK ||
		object_ownercheck(RelationRelationId, relid, GetUserId());
}

void
pgt_monitor_check_may_read(Oid relid)
{
	if (!pgt_monitor_may_read(relid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}

void
pgt_monitor_check_may_refresh(Oid relid)
{
	if (object_ownercheck(RelationRelationId, relid, GetUserId()))
		return;
#ifdef ACL_MAINTAIN
	if (pg_class_aclcheck(relid, GetUserId(), ACL_MAINTAIN) == ACLCHECK_OK)
		return;
#endif
	aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

char *
pgt_monitor_name(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	if (schema == NULL)
		return psprintf("(dropped, OID %u)", relid);
	return quote_qualified_identifier(schema, name);
}

TimestampTz
pgt_monitor_fresh_at(const RefreshState *state)
{
	TimestampTz last_check;
	int64		count;

	if (state->data_timestamp == 0)
		return 0;
	(void) pgt_refresh_stats_get(state->pgt_id, &count, &last_check);
	return Max(state->data_timestamp, last_check);
}

bool
pgt_monitor_is_stale(TimestampTz fresh_at, int64 interval)
{
	/* looks that found nothing are known where they were made: not on a standby */
	if (interval == 0 || RecoveryInProgress())
		return false;
	return fresh_at == 0 ||
		GetCurrentTimestamp() - fresh_at >
		2 * interval + pgt_scheduler_interval_ms * INT64CONST(1000) + GRACE_USECS;
}

void
pgt_monitor_put(ResultRow *row, Datum value)
{
	Assert(row->ncolumns < PGT_MONITOR_MAX_COLUMNS);
	row->nulls[row->ncolumns] = false;
	row->values[row->ncolumns++] = value;
}

void
pgt_monitor_put_null(ResultRow *row)
{
	Assert(row->ncolumns < PGT_MONITOR_MAX_COLUMNS);
	row->nulls[row->ncolumns] = true;
	row->values[row->ncolumns++] = (Datum) 0;
}

void
pgt_monitor_put_text(ResultRow *row, const char *text)
{
	if (text)
		pgt_monitor_put(row, CStringGetTextDatum(text));
	else
		pgt_monitor_put_null(row);
}

void
pgt_monitor_put_time(ResultRow *row, TimestampTz time)
{
	if (time != 0)
		pgt_monitor_put(row, TimestampTzGetDatum(time));
	else
		pgt_monitor_put_null(row);
}

void
pgt_monitor_put_interval(ResultRow *row, int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	if (microseconds < 0)
		pgt_monitor_put_null(row);
	else
		pgt_monitor_put(row, IntervalPGetDatum(interval));
}

void
pgt_monitor_put_float(ResultRow *row, double value, bool isnull)
{
	if (isnull)
		pgt_monitor_put_null(row);
	else
		pgt_monitor_put(row, Float8GetDatum(value));
}

void
pgt_monitor_emit(ReturnSetInfo *rsinfo, ResultRow *row)
{
	Assert(row->ncolumns == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values, row->nulls);
	row->ncolumns = 0;
}

/* ---- the rows ---- */

/* What the next refresh will be, as far as it does not depend on the changes. */
static const char *
effective_mode(const StreamTable *st)
{
	if (st->refresh_mode == PGT_MODE_FULL || !st->differential)
		return "FULL";
	return "DIFFERENTIAL";
}

static int64
microseconds_since(TimestampTz time)
{
	return time == 0 ? -1 : Max(GetCurrentTimestamp() - time, 0);
}

static void
put_names(ResultRow *row, const StreamTable *st)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(st->relid));

	pgt_monitor_put(row, Int64GetDatum(st->pgt_id));
	pgt_monitor_put(row, ObjectIdGetDatum(st->relid));
	pgt_monitor_put_text(row, pgt_monitor_name(st->relid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		pgt_monitor_put_text(row, get_namespace_name(form->relnamespace));
		pgt_monitor_put_text(row, NameStr(form->relname));
		pgt_monitor_put_text(row, GetUserNameFromId(form->relowner, true));
		ReleaseSysCache(tuple);
	}
	else
	{
		pgt_monitor_put_null(row);
		pgt_monitor_put_null(row);
		pgt_monitor_put_null(row);
	}
}

static void
put_definition(ResultRow *row, const StreamTable *st, int64 interval)
{
	bool		may_read = pgt_monitor_may_read(st->relid);

	pgt_monitor_put_text(row, pgt_status_name(st->status));
	pgt_monitor_put_text(row, pgt_mode_name(st->refresh_mode));
	pgt_monitor_put_text(row, effective_mode(st));
	pgt_monitor_put_text(row, may_read ? st->downgrade_reason : NULL);
	pgt_monitor_put(row, BoolGetDatum(st->is_populated));
	pgt_monitor_put(row, BoolGetDatum(st->needs_reinit));
	pgt_monitor_put_text(row, may_read ? st->reinit_reason : NULL);
	pgt_monitor_put_text(row, st->schedule);
	/* "at once" is a microsecond */
	pgt_monitor_put_interval(row, interval == 0 ? -1 : interval - interval % 1000);
	pgt_monitor_put(row, Int32GetDatum(st->consecutive_errors));
	pgt_monitor_put_text(row, may_read ? st->last_error_message : NULL);
	pgt_monitor_put_time(row, st->last_error_at);
	pgt_monitor_put_time(row, st->retry_at);
	pgt_monitor_put_time(row, st->created_at);
}

/* The last attempt: from the history, or from shared memory if that is newer. */
static void
put_last_refresh(ResultRow *row, const RefreshState *state, TimestampTz last_check)
{
	List	   *history = pgt_catalog_list_history(state->pgt_id, 1);
	RefreshRecord *rec = history == NIL ? NULL : linitial(history);

	if (last_check != 0 && (rec == NULL || last_check > rec->start_time))
	{
		pgt_monitor_put_text(row, pgt_action_name(PGT_ACTION_NO_DATA));
		pgt_monitor_put_text(row, "COMPLETED");
		pgt_monitor_put_time(row, last_check);
	}
	else if (rec != NULL)
	{
		pgt_monitor_put_text(row, pgt_action_name(rec->action));
		pgt_monitor_put_text(row, rec->status);
		pgt_monitor_put_time(row, rec->start_time);
	}
	else
	{
		/* pruned */
		pgt_monitor_put_text(row, state->last_refresh_at == 0 ? NULL :
							 pgt_action_name(state->last_action));
		pgt_monitor_put_text(row, state->last_refresh_at == 0 ? NULL : "COMPLETED");
		pgt_monitor_put_time(row, state->last_refresh_at);
	}
}

static void
put_statistics(ResultRow *row, const RefreshState *state, int64 interval)
{
	TimestampTz fresh_at = pgt_monitor_fresh_at(state);
	TimestampTz last_check;
	int64		no_data;

	(void) pgt_refresh_stats_get(state->pgt_id, &no_data, &last_check);
	pgt_monitor_put_time(row, fresh_at);
	pgt_monitor_put_interval(row, microseconds_since(fresh_at));
	pgt_monitor_put(row, BoolGetDatum(pgt_monitor_is_stale(fresh_at, interval)));
	put_last_refresh(row, state, last_check);
	pgt_monitor_put(row, Int64GetDatum(state->full_refreshes));
	pgt_monitor_put(row, Int64GetDatum(state->diff_refreshes));
	pgt_monitor_put(row, Int64GetDatum(no_data));
	pgt_monitor_put(row, Int64GetDatum(state->successful));
	pgt_monitor_put(row, Int64GetDatum(state->failed));
	pgt_monitor_put(row, Int64GetDatum(state->rows_inserted));
	pgt_monitor_put(row, Int64GetDatum(state->rows_deleted));
	pgt_monitor_put(row, Float8GetDatum(state->total_ms));
	pgt_monitor_put(row, Float8GetDatum(state->total_full_ms));
	pgt_monitor_put(row, Float8GetDatum(state->total_diff_ms));
	pgt_monitor_put(row, Float8GetDatum(state->full_rows));
}

static void
put_sources(ResultRow *row, const StreamTable *st)
{
	List	   *deps = pgt_catalog_list_dependencies(st->pgt_id);
	Datum	   *names = palloc(sizeof(Datum) * Max(list_length(deps), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, deps)
	{
		Dependency *dep = lfirst(lc);

		names[n++] = CStringGetTextDatum(pgt_monitor_name(dep->source));
	}
	pgt_monitor_put(row, PointerGetDatum(construct_array(names, n, TEXTOID, -1,
														  false, TYPALIGN_INT)));
}

/* All stream tables, in the order of their creation. */
Datum
pgt_stream_table_details(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *list;
	int64	   *intervals;
	int			nintervals;
	int			i = 0;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	intervals = pgt_scheduler_intervals(&nintervals);
	list = pgt_catalog_list_stream_tables();
	foreach(lc, list)
	{
		StreamTable *st = lfirst(lc);
		/* one may have been created in between */
		int64		interval = i < nintervals ? intervals[i] : 0;
		ResultRow	row;

		row.ncolumns = 0;
		put_names(&row, st);
		put_definition(&row, st, interval);
		put_statistics(&row, pgt_catalog_get_refresh_state(st->pgt_id, false), interval);
		put_sources(&row, st);
		pgt_monitor_emit(rsinfo, &row);
		i++;
	}
	return (Datum) 0;
}

/* Seconds; NULL if never filled. */
Datum
pgt_get_staleness(PG_FUNCTION_ARGS)
{
	StreamTable *st = pgt_monitor_find(fcinfo);
	RefreshState *state = pgt_catalog_get_refresh_state(st->pgt_id, false);
	int64		us = microseconds_since(pgt_monitor_fresh_at(state));

	if (us < 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8((double) us / USECS_PER_SEC);
}

/* The change ratio above which AUTO recomputes this stream table. */
Datum
pgt_st_auto_threshold(PG_FUNCTION_ARGS)
{
	StreamTable *st = pgt_monitor_find(fcinfo);
	RefreshState *state = pgt_catalog_get_refresh_state(st->pgt_id, false);

	if (state->auto_threshold > 0)
		PG_RETURN_FLOAT8(state->auto_threshold);
	PG_RETURN_FLOAT8(pgt_differential_max_change_ratio);
}
