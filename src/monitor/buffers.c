/*-------------------------------------------------------------------------
 *
 * buffers.c
 *	  Capture as it is: change buffers and triggers.
 *
 * Triggers are looked up in pg_trigger, without a lock on the source: looking
 * must not wait for DDL.
 *
 * IDENTIFICATION
 *	  src/monitor/buffers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/guc.h"

#include "monitor_internal.h"

PG_FUNCTION_INFO_V1(pgt_change_buffer_sizes);
PG_FUNCTION_INFO_V1(pgt_trigger_inventory);
PG_FUNCTION_INFO_V1(pgt_check_cdc_health);

/* A trigger that a relation should have, and what is there. */
typedef struct CaptureTrigger
{
	Oid			relid;
	char	   *name;
	const char *type;
	bool		present;
	bool		enabled;		/* and fires always */
} CaptureTrigger;

#define TOUCH "touch"
#define ROUTED "routed"
#define TRUNCATE "trunc"

static const struct
{
	const char *suffix;
	const char *type;
}			trigger_kinds[] = {
	{"ins", "INSERT"}, {"upd", "UPDATE"}, {"del", "DELETE"},
	{ROUTED, "INSERT"}, {TOUCH, "INSERT OR UPDATE OR DELETE"}, {TRUNCATE, "TRUNCATE"}
};

/* Images of rows or the fact of being written: does the relation need the trigger? */
static bool
is_needed(const ChangeSource *cs, Oid relid, const char *suffix)
{
	char		relkind = get_rel_relkind(relid);
	bool		partitioned = relkind == RELKIND_PARTITIONED_TABLE;

	if (strcmp(suffix, TRUNCATE) == 0)
		return true;
	/* rows of a partitioned table are captured in the partitions */
	if (cs->row_mode && partitioned)
		return false;
	if (strcmp(suffix, TOUCH) == 0)
		return cs->touches;
	if (strcmp(suffix, ROUTED) == 0 && (cs->row_mode || partitioned || !get_rel_relispartition(relid)))
		return false;
	return !bms_is_empty(cs->columns);
}

static void
look_up_trigger(CaptureTrigger *trigger)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger->relid));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(trigger->name));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	trigger->present = HeapTupleIsValid(tuple);
	if (trigger->present)
		trigger->enabled =
			((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled == TRIGGER_FIRES_ALWAYS;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* The triggers that capture a source: its own and those of all below it. */
static List *
list_triggers(const ChangeSource *cs)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (cs->is_stream_table || get_rel_name(cs->relid) == NULL)
		return NIL;
	foreach(lc, find_all_inheritors(cs->relid, NoLock, NULL))
	{
		Oid			relid = lfirst_oid(lc);
		char		relkind = get_rel_relkind(relid);

		if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
			continue;
		for (int i = 0; i < lengthof(trigger_kinds); i++)
		{
			CaptureTrigger *trigger;
			const char *suffix = trigger_kinds[i].suffix;
			bool		routed = strcmp(suffix, ROUTED) == 0;

			if (!is_needed(cs, relid, suffix))
				continue;
			trigger = palloc0(sizeof(CaptureTrigger));
			trigger->relid = relid;
			trigger->name = psprintf("pg_trickle_cdc_%u_%s", relid, suffix);
			trigger->type = psprintf("%s %s %s", routed ? "BEFORE" : "AFTER", trigger_kinds[i].type,
									 routed || (cs->row_mode && strcmp(suffix, TRUNCATE) != 0) ? "ROW" : "STATEMENT");
			look_up_trigger(trigger);
			result = lappend(result, trigger);
		}
	}
	return result;
}

List *
pgt_monitor_capture_problems(const ChangeSource *cs)
{
	List	   *problems = NIL;
	ListCell   *lc;

	if (get_rel_name(cs->relid) == NULL)
		problems = lappend(problems, "The source does not exist any more.");
	for (int i = 0; i < PGT_SEGMENTS; i++)
	{
		if (get_rel_name(cs->segment[i]) == NULL)
			problems = lappend(problems,
							   psprintf("Segment %d of the change buffer is missing.", i));
	}
	foreach(lc, list_triggers(cs))
	{
		CaptureTrigger *trigger = lfirst(lc);

		if (!trigger->present)
			problems = lappend(problems,
							   psprintf("Trigger %s on %s is missing.",
										quote_identifier(trigger->name),
										pgt_monitor_name(trigger->relid)));
		else if (!trigger->enabled)
			problems = lappend(problems,
							   psprintf("Trigger %s on %s is disabled.",
										quote_identifier(trigger->name),
										pgt_monitor_name(trigger->relid)));
	}
	return problems;
}

static bool
has_buffer(const ChangeSource *cs)
{
	for (int i = 0; i < PGT_SEGMENTS; i++)
		if (get_rel_name(cs->segment[i]) == NULL)
			return false;
	return true;
}

/* One row per source; NULL where the buffer is missing. */
Datum
pgt_change_buffer_sizes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_change_sources())
	{
		ChangeSource *cs = lfirst(lc);
		ResultRow	row;

		row.ncolumns = 0;
		pgt_monitor_put_text(&row, pgt_monitor_name(cs->relid));
		if (has_buffer(cs))
		{
			pgt_monitor_put(&row, Int64GetDatum(pgt_cdc_pending_rows(cs->relid, NULL)));
			pgt_monitor_put(&row, Int64GetDatum(pgt_cdc_buffer_bytes(cs->relid)));
		}
		else
		{
			pgt_monitor_put_null(&row);
			pgt_monitor_put_null(&row);
		}
		pgt_monitor_emit(rsinfo, &row);
		CHECK_FOR_INTERRUPTS();
	}
	return (Datum) 0;
}

/* One row per trigger that should be there. */
Datum
pgt_trigger_inventory(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_change_sources())
	{
		ChangeSource *cs = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, list_triggers(cs))
		{
			CaptureTrigger *trigger = lfirst(lc2);
			ResultRow	row;

			row.ncolumns = 0;
			pgt_monitor_put_text(&row, pgt_monitor_name(cs->relid));
			pgt_monitor_put_text(&row, pgt_monitor_name(trigger->relid));
			pgt_monitor_put_text(&row, trigger->name);
			pgt_monitor_put_text(&row, trigger->type);
			pgt_monitor_put(&row, BoolGetDatum(trigger->present));
			pgt_monitor_put(&row, BoolGetDatum(trigger->enabled));
			pgt_monitor_emit(rsinfo, &row);
		}
	}
	return (Datum) 0;
}

/* One row per source; alert is NULL where all is well. */
Datum
pgt_check_cdc_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_change_sources())
	{
		ChangeSource *cs = lfirst(lc);
		List	   *problems = pgt_monitor_capture_problems(cs);
		StringInfoData alert;
		ListCell   *lc2;
		ResultRow	row;

		initStringInfo(&alert);
		foreach(lc2, problems)
			appendStringInfo(&alert, "%s%s", alert.len > 0 ? " " : "",
							 (char *) lfirst(lc2));
		row.ncolumns = 0;
		pgt_monitor_put_text(&row, pgt_monitor_name(cs->relid));
		pgt_monitor_put_text(&row, cs->is_stream_table || get_rel_relkind(cs->relid) == RELKIND_MATVIEW ? "refresh" :
							 cs->row_mode ? "row" : "statement");
		if (has_buffer(cs))
			pgt_monitor_put(&row, Int64GetDatum(pgt_cdc_buffer_bytes(cs->relid)));
		else
			pgt_monitor_put_null(&row);
		pgt_monitor_put_text(&row, alert.len > 0 ? alert.data : NULL);
		pgt_monitor_emit(rsinfo, &row);
	}
	return (Datum) 0;
}
