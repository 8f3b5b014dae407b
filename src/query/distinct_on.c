/*-------------------------------------------------------------------------
 *
 * distinct_on.c
 *	  DISTINCT ON (k) ... ORDER BY k, o: the first row of each k, a stage with
 *	  the keys k.
 *
 * IDENTIFICATION
 *	  src/query/distinct_on.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "query_internal.h"

/*
 * exprs: one for each target list entry of the query, over *block.  Returns
 * them over a new *block; NIL and *reason if that cannot be done.
 */
List *
pgt_query_add_distinct_on_stage(Definition *def, Query *query, QueryBlock **block, List *exprs,
								UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();
	List	   *keys = pgt_query_partition_keys(pgt_query_clause_exprs(query->distinctClause,
																	   query->targetList, exprs));
	List	   *result = NIL;
	Stage	   *stage;
	int			column = 0;
	ListCell   *lc,
			   *lc2;

	(*block)->tlist = copyObject(keys);
	forboth(lc, query->targetList, lc2, exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		bool		above = !tle->resjunk || pgt_query_clause_uses(query->sortClause, tle);

		if (!above && !pgt_query_clause_uses(query->distinctClause, tle))
			continue;
		pgt_query_add_top_column(top, (Expr *) pgt_query_over_block(lfirst(lc2), *block),
								 tle->ressortgroupref, !above);
	}
	top->hasDistinctOn = true;
	top->distinctClause = copyObject(query->distinctClause);
	top->sortClause = copyObject(query->sortClause);
	stage = pgt_query_add_partition_stage(def, *block, list_length(keys), top, "DISTINCT ON",
										  reason);
	if (stage == NULL)
		return NIL;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		bool		above = !tle->resjunk || pgt_query_clause_uses(query->sortClause, tle);

		result = lappend(result, above ? (Node *) pgt_query_stage_var(stage, ++column) :
						 (Node *) makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	stage->one_per_key = list_length(keys) == list_length(query->distinctClause);
	*block = pgt_query_block_over_stage(stage);
	return result;
}
