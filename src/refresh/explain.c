/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  How a stream table is maintained, in words and in SQL.
 *
 * Shows exactly what a refresh would run: the statements come from the same
 * maintenance plan.  Plans of delta statements are made over empty ephemeral
 * relations that claim a hundred rows.
 *
 * IDENTIFICATION
 *	  src/refresh/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "refresh_internal.h"

#define EXPLAIN_ROWS 100		/* size of the change sets that plans are made for */

static void
add_text(List **rows, const char *property, char *value)
{
	ExplainRow *row = (ExplainRow *) palloc(sizeof(ExplainRow));

	row->property = pstrdup(property);
	row->value = value;
	*rows = lappend(*rows, row);
}

#define add_row(rows, property, ...) add_text(rows, property, psprintf(__VA_ARGS__))

/* ---- words ---- */

static const char *
state_name(const StateSpec *state)
{
	switch (state->kind)
	{
		case PGT_STATE_COUNT:
			return "count";
		case PGT_STATE_SUM_INT8:
		case PGT_STATE_SUM_NUMERIC:
		case PGT_STATE_SUM_INTERVAL:
		case PGT_STATE_SUM_MONEY:
			return state->square ? "sum of squares" : "sum";
		case PGT_STATE_SCALE:
			return "display scale of a sum";
		case PGT_STATE_SUM_FLOAT:
			return "float sum (group recomputed after a removal)";
		case PGT_STATE_MIN:
			return "minimum (group recomputed when it may be gone)";
		case PGT_STATE_MAX:
			return "maximum (group recomputed when it may be gone)";
		case PGT_STATE_RESCAN:
			return NULL;
	}
	return NULL;
}

static void
describe_group_stage(const Maintenance *m, const Stage *stage, List **rows)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "groups by %d key%s; state in %s: row count", stage->nkeys,
					 stage->nkeys == 1 ? "" : "s",
					 stage->elided ? "the stream table itself" :
					 pgt_quoted_relation_name(m->delta.stage_relids[stage->number]));
	foreach(lc, stage->states)
	{
		StateSpec  *state = (StateSpec *) lfirst(lc);

		if (state->kind == PGT_STATE_RESCAN)
			appendStringInfo(&buf, ", %s (each touched group recomputed)",
							 get_func_name(state->aggref->aggfnoid));
		else
			appendStringInfo(&buf, ", %s", state_name(state));
	}
	add_row(rows, psprintf("stage %d", stage->number), "%s", buf.data);
}

static void
describe_partition_stage(const Maintenance *m, const Stage *stage, List **rows)
{
	const PartitionTarget *target = m->partitions[stage->number];
	StringInfoData buf;
	ListCell   *lc,
			   *lc2;

	initStringInfo(&buf);
	appendStringInfoString(&buf, stage->operation);
	if (stage->nkeys > 0)
	{
		appendStringInfoString(&buf, ", recomputed for the touched values of (");
		for (int i = 0; i < stage->nkeys; i++)
			appendStringInfo(&buf, "%s%s", i ? ", " : "",
							 quote_identifier(pgt_attribute_name(target->relid, target->keys[i])));
		appendStringInfoChar(&buf, ')');
	}
	else if (OidIsValid(stage->copy_of))
		appendStringInfo(&buf, " of %s %s, whose changes cannot be captured: it is read as a whole %s,",
						 pgt_query_polled_kind(stage->copy_of),
						 pgt_quoted_relation_name(stage->copy_of),
						 pgt_query_polled_when(stage->copy_of));
	else if (stage->recursive)
		appendStringInfoString(&buf, ", changes followed round by round, or recomputed as a whole where they reach a large part of it,");
	else if (stage->order != NIL)
		appendStringInfo(&buf, ": the first " INT64_FORMAT " rows%s, changes that rank among them merged, looked up again when removals leave less,",
						 stage->limit_rows, stage->with_ties ? " and their ties" : "");
	else
		appendStringInfo(&buf, ", recomputed as a whole, since %s,",
						 stage->whole_because ? stage->whole_because : "every row may depend on every other");
	appendStringInfo(&buf, " and compared with the rows in %s",
					 stage->elided ? "the stream table itself" :
					 pgt_quoted_relation_name(target->relid));
	if (stage->watched)
	{
		forboth(lc, stage->watched->inputs, lc2, stage->probes)
		{
			if (lfirst(lc2) == NULL)
				appendStringInfo(&buf, "; as a whole after a change of \"%s\", whose rows no equality leads from to the rows of the stage",
								 pgt_relation_label(((Input *) lfirst(lc))->relid));
		}
	}
	add_row(rows, psprintf("stage %d", stage->number), "%s", buf.data);
}

static void
describe_rows_stage(const Maintenance *m, const Stage *stage, List **rows)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	if (stage->is_map)
		appendStringInfo(&buf, "filters and projects the rows of stage %d", stage->number - 1);
	else
		appendStringInfo(&buf, "joins and filters, %d branch%s", list_length(stage->blocks),
						 list_length(stage->blocks) == 1 ? "" : "es");
	foreach(lc, stage->blocks)
	{
		ListCell   *lc2;

		foreach(lc2, ((QueryBlock *) lfirst(lc))->attachments)
			appendStringInfo(&buf, "; branch %d %s", foreach_current_index(lc) + 1,
							 ((Attachment *) lfirst(lc2))->kind == PGT_ATTACH_LEFT ?
							 "has an outer join" : "looks for matching rows");
	}
	if (stage->derived)
		appendStringInfoString(&buf, "; nothing stored");
	else if (m->rows.nkeys > 0)
	{
		appendStringInfoString(&buf, "; rows identified by key (");
		for (int i = 0; i < m->rows.nkeys; i++)
			appendStringInfo(&buf, "%s%s", i ? ", " : "",
							 quote_identifier(pgt_attribute_name(m->relid, m->rows.keys[i])));
		appendStringInfoChar(&buf, ')');
	}
	else
		appendStringInfoString(&buf, "; rows identified by their whole value");
	add_row(rows, psprintf("stage %d", stage->number), "%s", buf.data);
}

static void
describe_stages(Maintenance *m, List **rows)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->head == PGT_HEAD_GROUP)
			describe_group_stage(m, stage, rows);
		else if (stage->head == PGT_HEAD_PARTITION)
			describe_partition_stage(m, stage, rows);
		else
			describe_rows_stage(m, stage, rows);
	}
	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->is_map)
			continue;
		foreach(lc2, m->def->sources)
		{
			int			n = foreach_current_index(lc2);
			Bitmapset  *changed = bms_make_singleton(n);
			int			nterms;

			if (bms_is_empty(pgt_delta_relevant(&m->delta, stage->number, changed)))
				continue;
			add_row(rows, psprintf("delta of stage %d, changed: %s", stage->number,
								   pgt_relation_label(((SourceUse *) lfirst(lc2))->relid)),
					"%s", pgt_delta_change_sql(&m->delta, stage->number, changed, &nterms));
		}
	}
	foreach(lc, pgt_refresh_missing_indexes(m->def))
		add_row(rows, "missing index", "%s", (char *) lfirst(lc));
}

/* ---- entry points ---- */

static void
describe_state(const StreamTable *st, const RefreshState *state, List **rows)
{
	if (state == NULL || state->frontier == NULL)
	{
		add_row(rows, "frontier", "none: the stream table has not been filled");
		return;
	}
	add_row(rows, "frontier", "%s", pgt_frontier_to_text(state->frontier));
	add_row(rows, "data timestamp", "%s", timestamptz_to_str(state->data_timestamp));
	add_row(rows, "last action", "%s", pgt_action_name(state->last_action));
	if (state->last_full_ms > 0)
		add_row(rows, "last full refresh", "%.3f ms", state->last_full_ms);
	if (state->diff.samples > 0)
		add_row(rows, "learned differential cost", "%.3f ms + %.6f ms per changed row (%d refreshes)",
				state->diff.base_ms, state->diff.ms_per_row, state->diff.samples);
	if (state->tiny.samples > 0)
		add_row(rows, "learned differential cost, tables of a few rows changed",
				"%.3f ms + %.6f ms per changed row (%d refreshes)",
				state->tiny.base_ms, state->tiny.ms_per_row, state->tiny.samples);
	add_row(rows, "change ratio above which AUTO recomputes", "%.4f", state->auto_threshold);
}

static void
describe_mode(const StreamTable *st, List **rows)
{
	add_row(rows, "defining query", "%s",
			text_to_cstring(DatumGetTextPP(OidFunctionCall1(fmgr_internal_function("pg_get_viewdef"),
															ObjectIdGetDatum(st->definition)))));
	add_row(rows, "refresh mode", "%s", pgt_mode_name(st->refresh_mode));
	add_row(rows, "mode in effect", "%s",
			st->refresh_mode == PGT_MODE_FULL || !st->differential ? "FULL" :
			st->refresh_mode == PGT_MODE_AUTO ? "DIFFERENTIAL, or FULL when a refresh finds that cheaper" :
			"DIFFERENTIAL");
	if (!st->differential)
		add_row(rows, "why not differential", "%s (%s)",
				st->downgrade_reason ? st->downgrade_reason : "", st->downgrade_code ? st->downgrade_code : "");
	add_row(rows, "status", "%s%s", pgt_status_name(st->status),
			st->is_populated ? "" : ", not populated");
	if (st->needs_reinit)
		add_row(rows, "next refresh rebuilds", "%s", st->reinit_reason ? st->reinit_reason : "");
}

/* Must a refresh recompute even if nothing has changed? */
static void
describe_recompute(const Maintenance *m, List **rows)
{
	ListCell   *lc;

	if (!m->determined)
	{
		add_row(rows, "recomputed", "by each refresh: the result may change though its sources do not");
		return;
	}
	foreach(lc, m->sources)
	{
		ChangeSource *cs = pgt_catalog_get_change_source(lfirst_oid(lc), true);

		if (cs != NULL && cs->touches)
			continue;
		add_row(rows, "recomputed", "by each refresh: writes to %s are not recorded",
				pgt_relation_label(lfirst_oid(lc)));
		return;
	}
	add_row(rows, "recomputed", "when a source has been written since");
}

List *
pgt_refresh_explain(Oid relid, bool with_analyze)
{
	StreamTable *st = pgt_catalog_get_stream_table(relid, false);
	List	   *rows = NIL;
	PinnedEnv	env;
	Maintenance *m;

	describe_mode(st, &rows);
	describe_state(st, pgt_catalog_get_refresh_state(st->pgt_id, false), &rows);
	if (st->needs_reinit)
		return rows;
	pgt_env_enter(&env, pgt_relation_owner(relid), st->settings);
	m = pgt_maintenance_get(st);
	PG_TRY();
	{
		if (m->def == NULL || st->refresh_mode == PGT_MODE_FULL)
			describe_recompute(m, &rows);
		if (st->append_only)
			add_row(&rows, "append only", "%s",
					st->refresh_mode != PGT_MODE_FULL && pgt_refresh_can_append(m->def) ?
					"rows are added without netting while sources only gain rows" : "without effect");
		if (m->def)
			describe_stages(m, &rows);
	}
	PG_FINALLY();
	{
		pgt_maintenance_release(m);
	}
	PG_END_TRY();
	pgt_env_leave(&env);
	if (with_analyze)
	{
		RefreshRecord rec;

		pgt_refresh_run(relid, PGT_BY_MANUAL, &rec);
		add_row(&rows, "refresh now", "%s: load %.3f ms, plan %.3f ms, delta %.3f ms, apply %.3f ms, "
				INT64_FORMAT " changes read, " INT64_FORMAT " rows inserted, " INT64_FORMAT " deleted",
				pgt_action_name(rec.action), rec.load_ms, rec.plan_ms, rec.delta_ms,
				rec.apply_ms, rec.delta_row_count, rec.rows_inserted, rec.rows_deleted);
	}
	return rows;
}

/* An empty change set of the source or stage, of nominal size. */
static void
register_empty(char *name, TupleDesc desc)
{
	EphemeralNamedRelation enr = (EphemeralNamedRelation)
		palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = name;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = EXPLAIN_ROWS;
	enr->reldata = tuplestore_begin_heap(false, false, 64);
	if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register change set \"%s\"", name);
}

static TupleDesc
change_desc(Oid relid, const Bitmapset *columns, const char *weight_name)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	from = RelationGetDescr(rel);
	TupleDesc	desc;
	int			n = columns ? bms_num_members(columns) : from->natts;
	AttrNumber	out = 0;

	desc = CreateTemplateTupleDesc(n + 1);
	for (int i = 0; i < from->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(from, i);

		if (columns && !bms_is_member(i + 1, columns))
			continue;
		TupleDescInitEntry(desc, ++out, NameStr(att->attname), att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(desc, out, att->attcollation);
	}
	TupleDescInitEntry(desc, out + 1, weight_name, INT4OID, -1, 0);
	table_close(rel, NoLock);
	return desc;
}

static char *
explain_statement(const char *sql, const char *format)
{
	StringInfoData buf;
	int			rc;

	rc = SPI_execute(psprintf("EXPLAIN (FORMAT %s) %s", format, sql), false, 0);
	if (rc < 0)
		elog(ERROR, "could not explain a delta statement: %s", SPI_result_code_string(rc));
	initStringInfo(&buf);
	for (uint64 i = 0; i < SPI_processed; i++)
		appendStringInfo(&buf, "%s%s", i ? "\n" : "",
						 SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	return buf.data;
}

static void
explain_stages(Maintenance *m, const char *format, MemoryContext cxt, List **rows)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc2, m->def->sources)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc2);

		register_empty(pgt_delta_source_name(foreach_current_index(lc2)),
					   change_desc(use->relid, use->columns, m->def->weight_name));
	}
	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->is_map)
			continue;
		for (int n = 0; n < list_length(m->def->sources) + stage->number; n++)
		{
			Bitmapset  *changed = bms_make_singleton(n);
			char	   *sql;
			char	   *plan;
			int			nterms;
			MemoryContext old;
			int			nsources = list_length(m->def->sources);

			if (bms_is_empty(pgt_delta_relevant(&m->delta, stage->number, changed)))
				continue;
			sql = pgt_delta_change_sql(&m->delta, stage->number, changed, &nterms);
			plan = explain_statement(sql, format);
			old = MemoryContextSwitchTo(cxt);
			add_row(rows, n < nsources ?
					psprintf("stage %d, changed: %s", stage->number,
							 pgt_relation_label(((SourceUse *) list_nth(m->def->sources, n))->relid)) :
					psprintf("stage %d, changed: stage %d", stage->number, n - nsources),
					"%s\n%s", sql, plan);
			MemoryContextSwitchTo(old);
		}
		if (stage->number < ((Stage *) llast(m->def->stages))->number)
			register_empty(pgt_delta_stage_name(stage->number),
						   pgt_refresh_stage_desc(stage, m->def->weight_name));
	}
}

List *
pgt_refresh_explain_delta(Oid relid, const char *format)
{
	StreamTable *st = pgt_catalog_get_stream_table(relid, false);
	MemoryContext cxt = CurrentMemoryContext;
	List	   *rows = NIL;
	PinnedEnv	env;
	Maintenance *m;
	const Maintenance *outer;

	if (pg_strcasecmp(format, "text") != 0 && pg_strcasecmp(format, "json") != 0 &&
		pg_strcasecmp(format, "yaml") != 0 && pg_strcasecmp(format, "xml") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized format \"%s\"", format),
				 errhint("Use text, json, yaml or xml.")));
	if (!st->differential)
	{
		add_row(&rows, "full", "%s", st->downgrade_reason ? st->downgrade_reason : "the stream table is recomputed");
		return rows;
	}
	pgt_env_enter(&env, pgt_relation_owner(relid), st->settings);
	m = pgt_maintenance_get(st);
	outer = pgt_refresh_set_statistics(pgt_merge_planner_hints ? m : NULL);
	PG_TRY();
	{
		if (pgt_merge_planner_hints && m->def)
			pgt_refresh_set_costs(m);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		if (m->def)
			explain_stages(m, format, cxt, &rows);
		SPI_finish();
	}
	PG_FINALLY();
	{
		(void) pgt_refresh_set_statistics(outer);
		pgt_maintenance_release(m);
	}
	PG_END_TRY();
	pgt_env_leave(&env);
	return rows;
}
