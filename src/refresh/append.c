/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Stream tables that are append_only: may a refresh just add rows?
 *
 * The user says that rows of the sources are never changed or removed.  Then
 * neither are rows of the result, if the query is a select, joins of any kind
 * that add nothing for what is missing, or a UNION ALL of such.  The changes
 * are looked at before; a refresh that finds a row removed is like any other,
 * and says so.  Should the query's rows still be removed for another reason,
 * the sink notices, and the stream table is recomputed.
 *
 * IDENTIFICATION
 *	  src/refresh/append.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "pgtrickle/env.h"
#include "pgtrickle/ir.h"
#include "refresh_internal.h"

/* Do rows that are added to the inputs only add rows to the result? */
static bool
only_adds(List *blocks)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);

		if (block->attachments != NIL)
			return false;
		foreach(lc2, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (input->kind == PGT_INPUT_UNION && !only_adds(input->blocks))
				return false;
		}
	}
	return true;
}

bool
pgt_refresh_can_append(const Definition *def)
{
	Stage	   *stage;

	if (def == NULL || list_length(def->stages) != 1)
		return false;
	stage = (Stage *) linitial(def->stages);
	return stage->head == PGT_HEAD_ROWS && only_adds(stage->blocks);
}

static bool
source_changed(const RefreshRun *run, int source)
{
	ChangeSet  *set = run->sets[source];

	return (run->stream && run->stream_source == source) ||
		(set != NULL && set->npos + set->nneg > 0);
}

/*
 * Is there one term at most for each block?  Where several inputs of a join have
 * changed, some terms take back what others deliver twice.
 */
static bool
changes_once(const RefreshRun *run, List *blocks)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		int			nchanged = 0;

		foreach(lc2, ((QueryBlock *) lfirst(lc))->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (input->kind == PGT_INPUT_UNION)
			{
				if (!changes_once(run, input->blocks))
					return false;
				nchanged++;
			}
			else if (input->kind == PGT_INPUT_RELATION && source_changed(run, input->source))
				nchanged++;
		}
		if (nchanged > 1)
			return false;
	}
	return true;
}

static void
report_removal(RefreshRun *run, Oid source)
{
	char	   *label = pgt_relation_label(source);

	run->rec->fallback_reason =
		psprintf("not appended: rows of source \"%s\" were changed or removed", label);
	ereport(NOTICE,
			(errmsg("stream table \"%s\" is append-only, but its sources are not",
					pgt_relation_label(run->st->relid)),
			 errdetail("Rows of \"%s\" were changed or removed. This refresh applies them as for any other stream table.",
					   label),
			 errhint("Set append_only to false if that goes on.")));
	pgt_alert("append_only_violated", run->st->relid, "source", label, NULL);
}

void
pgt_refresh_decide_append(RefreshRun *run)
{
	ListCell   *lc;

	run->append = run->st->append_only && pgt_refresh_can_append(run->m->def);
	if (!run->append)
		return;
	foreach(lc, run->m->def->sources)
	{
		int			source = foreach_current_index(lc);
		Oid			relid = ((SourceUse *) lfirst(lc))->relid;
		ChangeSet  *set = run->sets[source];
		bool		streamed = run->stream && run->stream_source == source;

		if (streamed ? pgt_cdc_window_only_adds(run->window, relid) :
			set == NULL || set->nneg == 0)
			continue;
		run->append = false;
		report_removal(run, relid);
		return;
	}
	run->append = changes_once(run, ((Stage *) linitial(run->m->def->stages))->blocks);
}

void
pgt_refresh_report_append(const StreamTable *st, const Definition *def)
{
	if (!st->append_only ||
		(st->refresh_mode != PGT_MODE_FULL && pgt_refresh_can_append(def)))
		return;
	ereport(NOTICE,
			(errmsg("append_only has no effect on stream table \"%s\"",
					get_rel_name(st->relid)),
			 errdetail(def == NULL || st->refresh_mode == PGT_MODE_FULL ?
					   "It is recomputed." :
					   "Rows that are added to its sources may change or remove rows of its result.")));
}
