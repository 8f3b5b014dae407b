/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  Making the rows and objects of a stream table fit its definition again.
 *
 * Two occasions.  First, something that the definition rests on has changed:
 * the type of a source column, a key, a function, a view.  The hidden view is
 * analysed anew, and what follows from it is derived again: columns, stages,
 * captured columns, whether deltas can maintain it.
 *
 * Second, the row of the catalog is a copy: pg_dump brings back nothing but
 * rows of pgt_stream_tables, the tables and the hidden views; CREATE DATABASE
 * ... TEMPLATE and pg_upgrade bring everything, but what the frontier says
 * belongs to another place.  The stamp in the row tells, and the first refresh,
 * repair or look of the scheduler adopts it.
 *
 * Either way the content is rebuilt by the next refresh.
 *
 * IDENTIFICATION
 *	  src/refresh/adopt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/refresh.h"

/* Do the recorded dependencies say what the analysis says? */
static bool
dependencies_equal(const StreamTable *st, const QueryAnalysis *analysis)
{
	List	   *deps = pgt_catalog_list_dependencies(st->pgt_id);
	char	   *fingerprint = pgt_query_fingerprint(analysis);
	ListCell   *lc,
			   *lc2;

	if (list_length(deps) != list_length(analysis->sources))
		return false;
	foreach(lc, analysis->sources)
	{
		SourceUse  *use = lfirst(lc);
		bool		found = false;

		foreach(lc2, deps)
		{
			Dependency *dep = lfirst(lc2);

			if (dep->source == use->relid &&
				bms_is_subset(use->columns, dep->columns_used) &&
				strcmp(dep->signature, fingerprint) == 0)
				found = true;
		}
		if (!found)
			return false;
	}
	return true;
}

static bool
is_unchanged(const StreamTable *st, const StreamTable *before, const QueryAnalysis *analysis)
{
	return st->differential == before->differential && dependencies_equal(st, analysis) &&
		pgt_definition_columns_equal(st->relid, analysis->columns);
}

/*
 * Somebody's DDL has made a definition differential, or given it another source, that the
 * owner may not capture.  That is no reason to refuse the command.
 */
static void
do_without_capture(StreamTable *st, QueryAnalysis *analysis)
{
	ListCell   *lc;

	if (!st->differential || st->refresh_mode == PGT_MODE_FULL)
		return;
	foreach(lc, analysis->sources)
	{
		SourceUse  *use = lfirst(lc);

		if (use->polled || pgt_cdc_may_attach_source(use->relid))
			continue;
		analysis->definition = NULL;
		analysis->not_differential =
			pgt_reason_make("trigger_privilege", -1,
							psprintf("its owner may not capture changes of table \"%s\"",
									 pgt_relation_label(use->relid)),
							pstrdup("Capturing them needs the TRIGGER privilege."), NULL);
		st->differential = false;
		st->downgrade_code = pstrdup(analysis->not_differential->code);
		st->downgrade_reason = pstrdup(analysis->not_differential->message);
		return;
	}
}

/* The caller has become the owner of the stream table. */
static bool
redo(StreamTable *st, const char *reason, bool only_if_changed)
{
	Query	   *query = pgt_query_of_view(st->definition);
	QueryAnalysis *analysis = pgt_query_analyze(query, "");
	StreamTable before = *st;
	bool		same_layout;

	if (analysis->refused)
		pgt_reason_throw(analysis->refused, get_rel_name(st->relid));
	pgt_definition_decide(st, analysis);
	if (!only_if_changed || !is_unchanged(st, &before, analysis))
		do_without_capture(st, analysis);
	if (only_if_changed && is_unchanged(st, &before, analysis))
	{
		*st = before;
		return false;
	}
	if (before.differential && !st->differential &&
		st->refresh_mode != PGT_MODE_FULL)
		ereport(WARNING,
				(errmsg("stream table \"%s\" cannot be maintained differentially any more",
						pgt_relation_label(st->relid)),
				 errdetail("Refreshes recompute it: %s.", st->downgrade_reason)));

	same_layout = dependencies_equal(st, analysis);
	pgt_definition_attach_sources(st, analysis);
	if (!pgt_definition_columns_equal(st->relid, analysis->columns))
	{
		pgt_definition_adapt_columns(st->relid, analysis->columns);
		same_layout = false;
	}
	st->generation++;
	st->needs_reinit = true;
	st->reinit_reason = pstrdup(reason);
	pgt_catalog_update_stream_table(st);
	pgt_definition_rebuild_storage(st, analysis, same_layout);
	if (pgt_cycle_is_member(&before) || pgt_cycle_is_member(st))
		pgt_cycle_update_members(st->pgt_id);
	return true;
}

static bool
redo_as_owner(StreamTable *st, const char *reason, bool only_if_changed)
{
	PinnedEnv	env;
	bool		result;

	pgt_env_enter(&env, pgt_relation_owner(st->relid), st->settings);
	result = redo(st, reason, only_if_changed);
	pgt_env_leave(&env);
	if (result)
		pgt_alert("reinitialize_needed", st->relid, "reason", reason, NULL);
	return result;
}

void
pgt_definition_redo(StreamTable *st, const char *reason)
{
	(void) redo_as_owner(st, reason, false);
}

bool
pgt_definition_redo_if_changed(StreamTable *st, const char *reason)
{
	return redo_as_owner(st, reason, true);
}

bool
pgt_definition_adopt_if_foreign(StreamTable *st)
{
	char	   *stamp = pgt_catalog_make_stamp(st->relid);
	RefreshState *state;

	if (strcmp(stamp, st->stamp) == 0)
	{
		/* REASSIGN OWNED fires no event trigger */
		pgt_definition_grant_usage(pgt_relation_owner(st->relid));
		return false;
	}

	ereport(DEBUG1,
			(errmsg_internal("adopting stream table \"%s\"", pgt_relation_label(st->relid))));
	pgt_definition_bind(st);
	state = pgt_catalog_get_refresh_state(st->pgt_id, true);
	state->frontier = NULL;
	pgt_catalog_put_refresh_state(state);
	st->stamp = stamp;
	pgt_definition_redo(st, "the stream table was copied from another database");
	return true;
}
