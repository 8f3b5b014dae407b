/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  ORDER BY with LIMIT, OFFSET, FETCH FIRST: a stage without keys, whose
 *	  rows are the result.
 *
 * IDENTIFICATION
 *	  src/query/limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "query_internal.h"

static bool
is_null(const Node *node)
{
	return node == NULL || (IsA(node, Const) && ((const Const *) node)->constisnull);
}

/* LIMIT ALL, LIMIT NULL and OFFSET NULL leave every row. */
bool
pgt_query_has_limit(const Query *query)
{
	return !is_null(query->limitCount) || !is_null(query->limitOffset);
}

/*
 * exprs: one for each target list entry of the query, over *block.  Returns
 * them over a new *block; NIL and *reason if that cannot be done.
 */
List *
pgt_query_add_limit_stage(Definition *def, Query *query, QueryBlock **block, List *exprs,
						  UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();
	List	   *result = NIL;
	Stage	   *stage;
	int			column = 0;
	ListCell   *lc,
			   *lc2;

	(*block)->tlist = NIL;
	forboth(lc, query->targetList, lc2, exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk && !pgt_query_clause_uses(query->sortClause, tle))
			continue;
		pgt_query_add_top_column(top, (Expr *) pgt_query_over_block(lfirst(lc2), *block),
								 tle->ressortgroupref, tle->resjunk);
	}
	top->sortClause = copyObject(query->sortClause);
	top->limitCount = copyObject(query->limitCount);
	top->limitOffset = copyObject(query->limitOffset);
	top->limitOption = query->limitOption;
	stage = pgt_query_add_partition_stage(def, *block, 0, top, "ORDER BY and LIMIT", reason);
	if (stage == NULL)
		return NIL;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		result = lappend(result, !tle->resjunk ? (Node *) pgt_query_stage_var(stage, ++column) :
						 (Node *) makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	*block = pgt_query_block_over_stage(stage);
	return result;
}
