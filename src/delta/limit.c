/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  The part of a change that concerns the first rows in some order.
 *
 * With n rows stored, the last of which is z, rows that come or go and rank
 * strictly after z leave the first n rows as they are.  All others are delivered;
 * so is every row while fewer than n are stored, which are all there are.
 *
 * IDENTIFICATION
 *	  src/delta/limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "delta_internal.h"
#include "pgtrickle/env.h"

static Oid
column_type(const Stage *stage, int column)
{
	return ((StageColumn *) list_nth(stage->columns, column - 1))->type;
}

/* Name of a column of the stage in its table; the stream table may have lost columns. */
static const char *
column_name(const Stage *stage, Oid relid, int column)
{
	int			position = stage->elided ? stage->elided[column - 1] : column;
	AttrNumber	attnum = 0;
	char	   *name = NULL;

	while (position > 0)
	{
		name = pgt_attribute_name(relid, ++attnum);
		if (name != NULL)
			position--;
	}
	return quote_identifier(name);
}

/* Is row b after row z, as far as this column tells, or equal in it? */
static char *
comparison(const Stage *stage, const SortColumn *sort, int number, bool after)
{
	Oid			type = column_type(stage, sort->column);
	char	   *b = psprintf("b.c%d", sort->block_column);
	char	   *z = psprintf("z.s%d", number);
	char	   *b_null = pgt_delta_null_test(b, type, true);
	char	   *z_null = pgt_delta_null_test(z, type, true);

	if (!after)
		return psprintf("COALESCE(%s %s %s, %s AND %s)", b, pgt_delta_operator(sort->eqop), z,
						b_null, z_null);
	return psprintf("CASE WHEN %s THEN %s WHEN %s THEN %s ELSE %s %s %s END",
					b_null, sort->nulls_first ? "false" : psprintf("NOT (%s)", z_null),
					z_null, sort->nulls_first ? "true" : "false",
					z, pgt_delta_operator(sort->sortop), b);
}

/* The last stored row, as z (s1 .. sn). */
static void
append_last_row(const DeltaContext *context, const Stage *stage, StringInfo out)
{
	Oid			relid = context->stage_relids[stage->number];
	StringInfoData order;
	ListCell   *lc;

	initStringInfo(&order);
	appendStringInfoString(out, "(SELECT ");
	foreach(lc, stage->order)
	{
		SortColumn *sort = (SortColumn *) lfirst(lc);
		int			n = foreach_current_index(lc) + 1;
		char	   *column = psprintf("r.%s", column_name(stage, relid, sort->column));

		appendStringInfo(out, "%s%s AS s%d", n > 1 ? ", " : "", column, n);
		appendStringInfo(&order, "%s%s USING %s NULLS %s", n > 1 ? ", " : "", column,
						 pgt_delta_operator(get_commutator(sort->sortop)),
						 sort->nulls_first ? "LAST" : "FIRST");
	}
	appendStringInfo(out, " FROM %s AS r ORDER BY %s LIMIT 1) AS z",
					 pgt_quoted_relation_name(relid), order.data);
}

/* The stage's columns and the weight. */
char *
pgt_delta_first_rows_change(const DeltaContext *context, const Stage *stage,
							const Bitmapset *changed, int *nterms)
{
	int			ncolumns = list_length(((QueryBlock *) linitial(stage->blocks))->tlist);
	StringInfoData buf;
	char	   *equal = "";
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	foreach(lc, stage->top->targetList)
		appendStringInfo(&buf, "b.c%d, ",
						 castNode(Var, lfirst_node(TargetEntry, lc)->expr)->varattno);
	appendStringInfo(&buf, "b.w AS %s FROM (", quote_identifier(context->def->weight_name));
	pgt_delta_change_blocks(context, stage->blocks, changed, &buf, nterms);
	appendStringInfoString(&buf, ") AS b(");
	for (int i = 1; i <= ncolumns; i++)
		appendStringInfo(&buf, "c%d, ", i);
	appendStringInfo(&buf, "w) WHERE (SELECT pg_catalog.count(*) FROM %s) < " INT64_FORMAT
					 " OR NOT EXISTS (SELECT FROM ",
					 pgt_quoted_relation_name(context->stage_relids[stage->number]),
					 stage->limit_rows);
	append_last_row(context, stage, &buf);
	appendStringInfoString(&buf, " WHERE ");
	foreach(lc, stage->order)
	{
		SortColumn *sort = (SortColumn *) lfirst(lc);
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(&buf, "%s%s(%s)", n > 1 ? " OR " : "", equal,
						 comparison(stage, sort, n, true));
		equal = psprintf("%s(%s) AND ", equal, comparison(stage, sort, n, false));
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}
