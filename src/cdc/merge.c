/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Rows that a MERGE moves from one partition to another.
 *
 * The server moves such a row by a DELETE and an INSERT, and in a MERGE it puts
 * them into the transition tables of these; an UPDATE would have them in its own.
 * But the triggers of DELETE and INSERT fire only if the MERGE has an action that
 * deletes, or inserts.  So a MERGE on a captured partitioned table that updates is
 * made to fire them: those of ours.  Others are taken out of this query's copy of
 * the table's triggers for events that the MERGE does not name.
 *
 *		MERGE INTO p ... WHEN MATCHED THEN UPDATE SET key = ...
 *
 *		row stays		transition tables of UPDATE		fires anyway
 *		row moves		of DELETE, of INSERT			made to fire
 *
 * A library that was loaded by a trigger of a query comes too late for this query.
 * To the end of that transaction any UPDATE of a partitioned table may be such a
 * MERGE, and voids what was captured (capture.c).
 *
 * IDENTIFICATION
 *	  src/cdc/merge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "pgtrickle/env.h"

#include "cdc_internal.h"

static ExecutorStart_hook_type previous_hook = NULL;
static bool late = false;

static int
event_of_subcommand(int subcommand)
{
	return subcommand == MERGE_INSERT ? TRIGGER_TYPE_INSERT : TRIGGER_TYPE_DELETE;
}

static bool
does(const ModifyTableState *other, Oid relid, int subcommand)
{
	if (RelationGetRelid(other->rootResultRelInfo->ri_RelationDesc) != relid)
		return false;
	if (other->operation == CMD_MERGE)
		return (other->mt_merge_subcommands & subcommand) != 0;
	return other->operation == (subcommand == MERGE_INSERT ? CMD_INSERT : CMD_DELETE);
}

/* Does another part of the query do this to the table, so that all its triggers fire? */
static bool
is_done_elsewhere(QueryDesc *query, const ModifyTableState *merge, int subcommand)
{
	Oid			relid = RelationGetRelid(merge->rootResultRelInfo->ri_RelationDesc);
	ListCell   *lc;

	if (query->planstate != &merge->ps && IsA(query->planstate, ModifyTableState) &&
		does((ModifyTableState *) query->planstate, relid, subcommand))
		return true;
	foreach(lc, query->estate->es_auxmodifytables)
		if (lfirst(lc) != merge && does(lfirst(lc), relid, subcommand))
			return true;
	return false;
}

/* Of this query only: the copy is its own. */
static void
take_out_triggers(TriggerDesc *triggers, int event)
{
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *t = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(t->tgtype) || pgt_cdc_captures_statements(t))
			continue;
		t->tgtype &= ~event;
	}
	if (event == TRIGGER_TYPE_INSERT)
		triggers->trig_insert_before_statement = false;
	else
		triggers->trig_delete_before_statement = false;
}

static bool
is_captured(const TriggerDesc *triggers)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (pgt_cdc_captures_statements(&triggers->triggers[i]))
			return true;
	return false;
}

static bool
is_incomplete(const ModifyTableState *merge)
{
	const ResultRelInfo *root = merge->rootResultRelInfo;

	return merge->operation == CMD_MERGE && (merge->mt_merge_subcommands & MERGE_UPDATE) != 0 &&
		merge->mt_merge_subcommands != (MERGE_INSERT | MERGE_UPDATE | MERGE_DELETE) &&
		root->ri_RelationDesc->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
		is_captured(root->ri_TrigDesc);
}

static void
take_out_others(QueryDesc *query, ModifyTableState *merge)
{
	for (int subcommand = MERGE_INSERT; subcommand <= MERGE_DELETE; subcommand <<= 1)
		if ((merge->mt_merge_subcommands & subcommand) == 0 &&
			!is_done_elsewhere(query, merge, subcommand))
			take_out_triggers(merge->rootResultRelInfo->ri_TrigDesc,
							  event_of_subcommand(subcommand));
}

static void
start_executor(QueryDesc *query, int eflags)
{
	List	   *incomplete = NIL;
	ListCell   *lc;

	if (previous_hook)
		previous_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (query->plannedstmt->commandType != CMD_MERGE && !query->plannedstmt->hasModifyingCTE)
		return;
	foreach(lc, query->estate->es_auxmodifytables)
		if (is_incomplete(lfirst(lc)))
			incomplete = lappend(incomplete, lfirst(lc));
	if (IsA(query->planstate, ModifyTableState) &&
		is_incomplete((ModifyTableState *) query->planstate))
		incomplete = list_append_unique_ptr(incomplete, query->planstate);

	/* of all of them, before any is another MERGE than it was written */
	foreach(lc, incomplete)
		take_out_others(query, lfirst(lc));
	foreach(lc, incomplete)
		((ModifyTableState *) lfirst(lc))->mt_merge_subcommands |= MERGE_INSERT | MERGE_DELETE;
	list_free(incomplete);
}

bool
pgt_cdc_merge_may_be_incomplete(void)
{
	return late;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		late = false;
}

void
pgt_cdc_init(void)
{
	previous_hook = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	late = IsTransactionState();
	if (late)
		RegisterXactCallback(end_of_transaction, NULL);
}
