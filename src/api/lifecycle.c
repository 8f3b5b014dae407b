/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *	  Dropping, refreshing and repairing stream tables; the guard against
 *	  direct changes.
 *
 * IDENTIFICATION
 *	  src/api/lifecycle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_drop_stream_table);
PG_FUNCTION_INFO_V1(pgt_refresh_stream_table);
PG_FUNCTION_INFO_V1(pgt_repair_stream_table);
PG_FUNCTION_INFO_V1(pgt_rebuild_cdc_triggers);
PG_FUNCTION_INFO_V1(pgt_guard_stream_table);

/*
 * DROP TABLE does it; our event trigger cleans up behind it, as it does when
 * users drop the table themselves.
 */
Datum
pgt_drop_stream_table(PG_FUNCTION_ARGS)
{
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);
	bool		cascade = pgt_api_bool_arg(fcinfo, 1, "cascade");
	StreamTable *st;

	pgt_api_prevent_read_only("drop_stream_table()");
	st = pgt_api_lock_owned(name);
	pgt_spi_run("DROP TABLE %s %s", pgt_quoted_relation_name(st->relid),
				cascade ? "CASCADE" : "RESTRICT");
	pgt_scheduler_notify_catalog_change();
	PG_RETURN_VOID();
}

static void
check_may_refresh(Oid relid)
{
	if (object_ownercheck(RelationRelationId, relid, GetUserId()))
		return;
#if PG_VERSION_NUM >= 170000
	if (pg_class_aclcheck(relid, GetUserId(), ACL_MAINTAIN) == ACLCHECK_OK)
		return;
#endif
	aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

Datum
pgt_refresh_stream_table(PG_FUNCTION_ARGS)
{
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);
	Oid			relid;
	StreamTable *st;
	RefreshRecord rec;

	pgt_api_prevent_read_only("refresh_stream_table()");
	relid = pgt_api_find_relation(name);
	check_may_refresh(relid);
	memset(&rec, 0, sizeof(rec));
	st = pgt_catalog_get_stream_table(relid, true);
	/* success changes the state, which lets the scheduler go on with it */
	if (st && (st->status != PGT_STATUS_ACTIVE || !st->is_populated ||
			   st->consecutive_errors > 0))
		pgt_scheduler_notify_catalog_change();
	pgt_refresh_run(relid, PGT_BY_MANUAL, &rec);
	PG_RETURN_VOID();
}

/* ---- repair ---- */

static void
note(StringInfo buf, const char *text)
{
	appendStringInfo(buf, "%s%s", buf->len ? "; " : "", text);
}

/* Triggers and buffers of every source; says which ones it had to touch. */
static void
repair_sources(const StreamTable *st, StringInfo report)
{
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_dependencies(st->pgt_id))
	{
		Dependency *dep = lfirst(lc);

		if (pgt_cdc_check_source(dep->source) == NULL &&
			pgt_cdc_repair_source(dep->source))
			note(report, psprintf("capture on %s reinstalled",
								  pgt_relation_label(dep->source)));
	}
}

Datum
pgt_repair_stream_table(PG_FUNCTION_ARGS)
{
	char	   *name = pgt_api_text_arg(fcinfo, 0, "name", true);
	StreamTable *st;
	StringInfoData report;
	RefreshRecord rec;

	pgt_api_prevent_read_only("repair_stream_table()");
	initStringInfo(&report);
	st = pgt_api_lock_owned(name);
	if (pgt_definition_adopt_if_foreign(st))
		note(&report, "copy of another database adopted");
	else
	{
		repair_sources(st, &report);
		pgt_definition_bind(st);
		pgt_definition_redo(st, "repair was asked for");
		note(&report, "state tables rebuilt");
	}
	if (st->status != PGT_STATUS_ACTIVE)
		note(&report, psprintf("status changed from %s to ACTIVE",
							   pgt_status_name(st->status)));
	st->status = PGT_STATUS_ACTIVE;
	st->consecutive_errors = 0;
	st->retry_at = 0;
	pgt_catalog_update_stream_table(st);
	memset(&rec, 0, sizeof(rec));
	pgt_refresh_run(st->relid, PGT_BY_MANUAL, &rec);
	note(&report, "content recomputed");
	pgt_scheduler_notify_catalog_change();
	PG_RETURN_TEXT_P(cstring_to_text(report.data));
}

Datum
pgt_rebuild_cdc_triggers(PG_FUNCTION_ARGS)
{
	pgt_api_prevent_read_only("rebuild_cdc_triggers()");
	PG_RETURN_TEXT_P(cstring_to_text(pgt_cdc_rebuild_triggers()));
}

/* ---- guard ---- */

/* "a, b and c": what to change instead */
static char *
describe_sources(int64 pgt_id)
{
	List	   *deps = pgt_catalog_list_dependencies(pgt_id);
	StringInfoData buf;
	int			i = 0;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, deps)
	{
		Dependency *dep = lfirst(lc);

		i++;
		appendStringInfo(&buf, "%s%s",
						 i == 1 ? "" : i == list_length(deps) ? " and " : ", ",
						 pgt_relation_label(dep->source));
	}
	return buf.data;
}

/*
 * BEFORE STATEMENT trigger on each stream table.  Refreshes do not come by
 * here.  A table that is registered no more may be changed: it is an ordinary
 * table that a dump left behind.
 */
Datum
pgt_guard_stream_table(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	StreamTable *st;
	char	   *sources;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"guard_stream_table\" was not called by trigger manager")));
	st = pgt_catalog_get_stream_table(RelationGetRelid(trigdata->tg_relation), true);
	if (st == NULL || pgt_definition_altering())
		PG_RETURN_POINTER(NULL);

	sources = describe_sources(st->pgt_id);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot change stream table \"%s\" directly",
					RelationGetRelationName(trigdata->tg_relation)),
			 errdetail("Its content is defined by a query and written by refreshes only."),
			 sources[0] ? errhint("Change what it is computed from (%s), or its query by pgtrickle.alter_stream_table().",
								  sources) :
			 errhint("Change its query by pgtrickle.alter_stream_table().")));
}
