/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  SQL of a GROUP BY stage: absolute states, and the partials of a change.
 *
 * The rows to aggregate come as b.c1 .. b.cn (keys first) and, for a change,
 * a weight of +1 or -1.  A count adds up weights; a sum or extremum is computed once
 * over the rows that came and once over those that went, by the server's own
 * aggregate, so that its types and results are exactly the query's.  Partials
 * are listed in apply.h (GroupStateKind).
 *
 * IDENTIFICATION
 *	  src/delta/aggregate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"

#include "delta_internal.h"

/* calls of cheap functions that an expression may cost, to be computed twice */
#define COSTLY_OPERATORS	10

static Oid
block_column_type(const Stage *stage, int column)
{
	return exprType(list_nth(((QueryBlock *) linitial(stage->blocks))->tlist, column - 1));
}

/* Conditions of the state on an input row, as a FILTER clause. */
static void
append_conditions(const Stage *stage, const StateSpec *state, const char *weight,
				  StringInfo out)
{
	const char *glue = " FILTER (WHERE ";
	bool		any = false;

	if (weight)
	{
		appendStringInfo(out, "%sb.w %s 0", glue, weight);
		glue = " AND ";
		any = true;
	}
	if (state->kind == PGT_STATE_COUNT && state->argument)
	{
		char	   *argument = psprintf("b.c%d", state->argument);

		appendStringInfo(out, "%s%s", glue, state->if_true ? argument :
						 pgt_delta_null_test(argument, block_column_type(stage, state->argument), false));
		glue = " AND ";
		any = true;
	}
	if (state->filter)
	{
		appendStringInfo(out, "%sb.c%d", glue, state->filter);
		any = true;
	}
	if (any)
		appendStringInfoChar(out, ')');
}

static char *
sum_argument(const StateSpec *state)
{
	if (state->square)
		return psprintf("b.c%d::numeric * b.c%d::numeric", state->argument, state->argument);
	return psprintf("b.c%d", state->argument);
}

static void
append_aggregate(const Stage *stage, const StateSpec *state, const char *weight,
				 StringInfo out)
{
	switch (state->kind)
	{
		case PGT_STATE_MIN:
			appendStringInfo(out, "pg_catalog.min(b.c%d)", state->argument);
			break;
		case PGT_STATE_MAX:
			appendStringInfo(out, "pg_catalog.max(b.c%d)", state->argument);
			break;
		case PGT_STATE_SCALE:
			appendStringInfo(out, "pgtrickle.numeric_scale_count(b.c%d)", state->argument);
			break;
		default:
			appendStringInfo(out, "pg_catalog.sum(%s)", sum_argument(state));
			break;
	}
	append_conditions(stage, state, weight, out);
}

static void
append_absolute(const Stage *stage, const StateSpec *state, List *names,
				StringInfo out)
{
	appendStringInfoString(out, ", ");
	if (state->kind == PGT_STATE_RESCAN)
		appendStringInfoString(out, pgt_delta_expr((Expr *) state->aggref, names, true));
	else if (state->kind == PGT_STATE_COUNT)
	{
		appendStringInfoString(out, "pg_catalog.count(*)");
		append_conditions(stage, state, NULL, out);
	}
	else
		append_aggregate(stage, state, NULL, out);
}

static void
append_partials(const Stage *stage, const StateSpec *state, StringInfo out)
{
	switch (state->kind)
	{
		case PGT_STATE_RESCAN:
			break;
		case PGT_STATE_COUNT:
			appendStringInfoString(out, ", COALESCE(pg_catalog.sum(b.w)");
			append_conditions(stage, state, NULL, out);
			appendStringInfoString(out, ", 0)");
			break;
		case PGT_STATE_SUM_FLOAT:
			appendStringInfoString(out, ", ");
			append_aggregate(stage, state, ">", out);
			appendStringInfo(out, ", pg_catalog.count(b.c%d)", state->argument);
			append_conditions(stage, state, "<", out);
			break;
		default:
			appendStringInfoString(out, ", ");
			append_aggregate(stage, state, ">", out);
			appendStringInfoString(out, ", ");
			append_aggregate(stage, state, "<", out);
			break;
	}
}

static int
count_block_columns(const Stage *stage)
{
	return list_length(((QueryBlock *) linitial(stage->blocks))->tlist);
}

/* SELECT list: keys, row count (or its change), states (or partials). */
void
pgt_delta_group_select(const Stage *stage, StringInfo out, bool change)
{
	List	   *names = pgt_delta_grouped_names(count_block_columns(stage));
	ListCell   *lc;

	appendStringInfoString(out, "SELECT ");
	for (int i = 1; i <= stage->nkeys; i++)
		appendStringInfo(out, "b.c%d, ", i);
	appendStringInfoString(out, change ? "COALESCE(pg_catalog.sum(b.w), 0)" : "pg_catalog.count(*)");
	foreach(lc, stage->states)
	{
		if (change)
			append_partials(stage, (StateSpec *) lfirst(lc), out);
		else
			append_absolute(stage, (StateSpec *) lfirst(lc), names, out);
	}
}

/* Worth a node of its own in the plan? */
static bool
is_costly(const Stage *stage, int column)
{
	QualCost	cost;

	if (column == 0)
		return false;
	cost_qual_eval_node(&cost, list_nth(((QueryBlock *) linitial(stage->blocks))->tlist, column - 1), NULL);
	return cost.per_tuple > COSTLY_OPERATORS * cpu_operator_cost;
}

/*
 * Ends the subquery of input rows.  An argument may be part of several aggregates
 * (a sum, a count of what is not null), each of which would compute it if the planner
 * merged the subquery with ours.  What is costly is computed once instead.
 */
void
pgt_delta_group_fence(const Stage *stage, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, stage->states)
	{
		const StateSpec *state = lfirst(lc);

		if (is_costly(stage, state->argument) || is_costly(stage, state->filter))
		{
			appendStringInfoString(out, " OFFSET 0");
			return;
		}
	}
}

void
pgt_delta_group_clause(const Stage *stage, StringInfo out)
{
	for (int i = 1; i <= stage->nkeys; i++)
		appendStringInfo(out, "%sb.c%d", i == 1 ? " GROUP BY " : ", ", i);
}
