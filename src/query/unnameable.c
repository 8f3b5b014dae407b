/*-------------------------------------------------------------------------
 *
 * unnameable.c
 *	  Queries whose text cannot name an operator that they use.
 *
 * Parsed again with search_path pinned, such text means another operator. Within
 * expressions delta/operators.c finds other words; JOIN USING and comparisons
 * of several columns with a subquery have none.
 *
 * IDENTIFICATION
 *	  src/query/unnameable.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "utils/syscache.h"

#include "query_internal.h"

static bool
is_foreign(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	result = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace != PG_CATALOG_NAMESPACE;
	ReleaseSysCache(tuple);
	return result;
}

static bool
compares_by_foreign_operator(Node *node, void *context)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, OpExpr))
		return is_foreign(((OpExpr *) node)->opno);
	if (IsA(node, RowCompareExpr))
	{
		foreach(lc, ((RowCompareExpr *) node)->opnos)
			if (is_foreign(lfirst_oid(lc)))
				return true;
		return false;
	}
	return expression_tree_walker(node, compares_by_foreign_operator, context);
}

static bool
find_unnameable(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_unnameable, context, 0);
	if (IsA(node, JoinExpr) && ((JoinExpr *) node)->usingClause != NIL &&
		compares_by_foreign_operator(((JoinExpr *) node)->quals, NULL))
		return true;
	/* the operator of a single column is named */
	if (IsA(node, SubLink))
	{
		Node	   *test = ((SubLink *) node)->testexpr;

		if (test && !IsA(test, OpExpr) && compares_by_foreign_operator(test, NULL))
			return true;
	}
	return expression_tree_walker(node, find_unnameable, context);
}

bool
pgt_query_is_unnameable(Query *query)
{
	return find_unnameable((Node *) query, NULL);
}
