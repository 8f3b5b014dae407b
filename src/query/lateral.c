/*-------------------------------------------------------------------------
 *
 * lateral.c
 *	  Windows, DISTINCT and LIMIT in subqueries that refer to the query around
 *	  them by equality.
 *
 *		FROM c, LATERAL (SELECT o.x FROM o WHERE o.k = c.k ORDER BY o.y LIMIT 3)
 *
 * is a join with the first three rows for each o.k: what is equated to the
 * outer row becomes a column that everything in the subquery is partitioned by, and
 * the condition one of the join.
 *
 * IDENTIFICATION
 *	  src/query/lateral.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "convert_internal.h"

static Index
largest_sortgroupref(const Query *query)
{
	Index		largest = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
		largest = Max(largest, lfirst_node(TargetEntry, lc)->ressortgroupref);
	return largest;
}

/* The clauses with copies of those in front. */
static List *
in_front(List *front, List *clauses)
{
	return list_concat(copyObject(front), clauses);
}

Query *
pgt_convert_partition_by_outer(Query *query, QueryBlock *block, List **exprs,
							   List **correlations)
{
	List	   *keys = NIL;
	List	   *clauses = NIL;
	Query	   *result;
	Index		ref = largest_sortgroupref(query);
	ListCell   *lc,
			   *lc2;

	*correlations = pgt_convert_take_correlation(block, &keys, &clauses);
	if (*correlations == NIL)
		return query;
	result = copyObject(query);
	*exprs = list_copy(*exprs);
	forboth(lc, keys, lc2, clauses)
	{
		TargetEntry *tle = makeTargetEntry((Expr *) copyObject(lfirst(lc)),
										   list_length(result->targetList) + 1,
										   pstrdup("outer"), false);

		tle->ressortgroupref = lfirst_node(SortGroupClause, lc2)->tleSortGroupRef = ++ref;
		result->targetList = lappend(result->targetList, tle);
		*exprs = lappend(*exprs, lfirst(lc));
	}
	foreach(lc, result->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		window->partitionClause = in_front(clauses, window->partitionClause);
	}
	if (result->distinctClause)
		result->distinctClause = in_front(clauses, result->distinctClause);
	if (result->sortClause)
		result->sortClause = in_front(clauses, result->sortClause);
	return result;
}

List *
pgt_convert_outer_quals(List *correlations, List *columns)
{
	List	   *quals = NIL;
	ListCell   *lc,
			   *lc2;

	forboth(lc, correlations, lc2, columns)
		quals = lappend(quals, pgt_convert_correlated_qual((Correlation *) lfirst(lc), lfirst(lc2)));
	return quals;
}
