/*-------------------------------------------------------------------------
 *
 * kept_copies.c
 *	  Sources whose changes cannot be captured: compared with a copy.
 *
 * A materialized view, a foreign table, or a table with a foreign partition has
 * no triggers.  If the setting for it is on, a stage without keys holds its rows
 * (of the columns that the query uses), and everything else reads that stage in
 * its place.  Each refresh reads the source once, compares it with the stage, and
 * the differences are the change.  So a refresh never sees two states of a source
 * that is not under our snapshot, and joins look rows up in a local table.
 *
 * The copy belongs to one stream table: what a foreign table shows depends on whose
 * user mapping it is read with.
 *
 * IDENTIFICATION
 *	  src/query/kept_copies.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"

#include "convert_internal.h"

bool
pgt_query_is_polled(Oid relid)
{
	UnsupportedReason *reason;

	if (!pgt_foreign_table_polling && !pgt_matview_polling)
		return false;
	reason = pgt_cdc_check_source(relid);
	if (reason == NULL || reason->all_modes)
		return false;
	return (pgt_foreign_table_polling && strcmp(reason->code, "foreign_table") == 0) ||
		(pgt_matview_polling && strcmp(reason->code, "materialized_view") == 0);
}

const char *
pgt_query_polling_setting(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_MATVIEW ? "pg_trickle.matview_polling" :
		"pg_trickle.foreign_table_polling";
}

char *
pgt_query_polled_kind(Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		default:
			return "table with foreign partitions";
	}
}

const char *
pgt_query_polled_when(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_MATVIEW ?
		"by the first refresh after each REFRESH MATERIALIZED VIEW" : "by each refresh";
}

/* SELECT nothing yet FROM the relation. */
static Query *
select_from_relation(RangeTblEntry *rte)
{
	Query	   *top = makeNode(Query);
	RangeTblEntry *own = (RangeTblEntry *) copyObject(rte);
	RangeTblRef *ref = makeNode(RangeTblRef);

	top->commandType = CMD_SELECT;
	top->canSetTag = true;
	own->alias = NULL;
	own->lateral = false;
	own->inFromCl = true;
	top->rtable = list_make1(own);
	ref->rtindex = 1;
	top->jointree = makeFromExpr(list_make1(ref), NULL);
	return top;
}

/* One for all that refer to the relation. */
static Stage *
find_copy(const Conversion *cv, Oid relid)
{
	ListCell   *lc;

	foreach(lc, cv->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->copy_of == relid)
			return stage;
	}
	return NULL;
}

Stage *
pgt_convert_kept_copy(Conversion *cv, RangeTblEntry *rte)
{
	Stage	   *stage = find_copy(cv, rte->relid);
	QueryBlock *block;
	Input	   *input;

	if (stage)
		return stage;
	block = pgt_convert_make_block();
	input = (Input *) palloc0(sizeof(Input));
	input->kind = PGT_INPUT_RELATION;
	input->relid = rte->relid;
	input->inh = rte->inh;
	input->source = pgt_convert_source_index(cv, rte->relid);
	((SourceUse *) list_nth(cv->def->sources, input->source))->polled = true;
	(void) pgt_convert_add_input(block, input);
	stage = pgt_query_add_native_stage(cv->def, block, select_from_relation(rte), "a kept copy",
									   &cv->reason);
	if (stage)
		stage->copy_of = rte->relid;
	return stage;
}

static int
add_column(Stage *stage, Expr *expr)
{
	StageColumn *column = (StageColumn *) palloc0(sizeof(StageColumn));

	pgt_query_add_top_column(stage->top, expr, 0, false);
	column->name = psprintf("o%d", list_length(stage->top->targetList));
	column->type = exprType((Node *) expr);
	column->typmod = exprTypmod((Node *) expr);
	column->collation = exprCollation((Node *) expr);
	stage->columns = lappend(stage->columns, column);
	return list_length(stage->columns);
}

/* Number of the stage's column that has this one of the relation; added if there is none. */
AttrNumber
pgt_convert_copied_column(Stage *stage, AttrNumber attnum)
{
	Input	   *input = (Input *) linitial(((QueryBlock *) linitial(stage->blocks))->inputs);
	Oid			type;
	int32		typmod;
	Oid			collation;
	ListCell   *lc;

	foreach(lc, stage->top->targetList)
	{
		Var		   *var = (Var *) lfirst_node(TargetEntry, lc)->expr;

		if (IsA(var, Var) && var->varattno == attnum)
			return foreach_current_index(lc) + 1;
	}
	get_atttypetypmodcoll(stage->copy_of, attnum, &type, &typmod, &collation);
	input->used = bms_add_member(input->used, attnum);
	return add_column(stage, (Expr *) makeVar(1, attnum, type, typmod, collation, 0));
}

/* Of one that nothing but the number of rows is asked of. */
void
pgt_convert_finish_copies(Conversion *cv)
{
	ListCell   *lc;

	foreach(lc, cv->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (OidIsValid(stage->copy_of) && stage->columns == NIL)
			(void) add_column(stage, (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
														Int32GetDatum(1), false, true));
	}
}

/* What PostgreSQL computes from the tables themselves would see another state than the copy has. */
void
pgt_convert_refuse_polled(Conversion *cv, Oid relid)
{
	if (!pgt_query_is_polled(relid))
		return;
	pgt_convert_unsupported(cv, "polled_source",
							psprintf("%s \"%s\" in a recursive query, or in a subquery that is computed row by row, cannot be maintained differentially",
									 pgt_query_polled_kind(relid), pgt_relation_label(relid)),
							"Create a stream table over it, and read that in its place; " OR_FULL);
	pgt_convert_place(cv, relid, InvalidOid, -1);
}
