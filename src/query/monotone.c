/*-------------------------------------------------------------------------
 *
 * monotone.c
 *	  Can a query be part of a cycle?
 *
 * A cycle is iterated from empty tables until nothing is added.  That gives the
 * least fixed point if more rows in the members never mean fewer rows in
 * the result: what reads members may select, join, project, unite, intersect and
 * remove duplicates.  What reads none of them is a constant, and may do
 * what it likes, but for functions that are not immutable.
 *
 * Members must be named by the query itself, not by a view, since its references to
 * them are replaced while the cycle is iterated.
 *
 * IDENTIFICATION
 *	  src/query/monotone.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "pgtrickle/env.h"
#include "query_internal.h"

typedef struct Check
{
	List	   *members;		/* OIDs */
	UnsupportedReason *reason;	/* the first one found */
} Check;

static void
refuse(Check *check, const char *what)
{
	UnsupportedReason *reason;

	if (check->reason)
		return;
	reason = pgt_reason_make("cycle", -1,
							 psprintf("%s cannot be part of a cycle of stream tables", what),
							 pstrdup("A cycle is iterated to a fixed point, so more rows in its members must never mean fewer in the result."),
							 pstrdup("Within a cycle use WHERE, inner joins, EXISTS, IN, UNION, INTERSECT and DISTINCT only."));
	reason->all_modes = true;
	check->reason = reason;
}

/* ---- does something read a member? ---- */

static bool reads_member(Node *node, void *context);

/*
 * Up to 15, the query of a view has entries for OLD and NEW, which are the view
 * itself; nothing else that is a view is not in FROM.
 */
static bool
is_rule_entry(RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW && !rte->inFromCl;
}

static bool
relation_reads_member(RangeTblEntry *rte, Check *check)
{
	if (rte->rtekind != RTE_RELATION || is_rule_entry(rte))
		return false;
	if (list_member_oid(check->members, rte->relid))
		return true;
	return rte->relkind == RELKIND_VIEW &&
		reads_member((Node *) pgt_query_of_view(rte->relid), check);
}

static bool
reads_member(Node *node, void *context)
{
	Check	   *check = (Check *) context;

	if (node == NULL)
		return false;
	check_stack_depth();
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		foreach(lc, query->rtable)
			if (relation_reads_member(lfirst_node(RangeTblEntry, lc), check))
				return true;
		return query_tree_walker(query, reads_member, context, 0);
	}
	return expression_tree_walker(node, reads_member, context);
}

/* A reference to a WITH query may stand for a member; that query says so itself. */
static bool
entry_reads_member(Query *query, RangeTblEntry *rte, Check *check)
{
	if (rte->rtekind == RTE_CTE)
		return true;
	return relation_reads_member(rte, check) ||
		(rte->rtekind == RTE_SUBQUERY && reads_member((Node *) rte->subquery, check)) ||
		reads_member((Node *) rte->functions, check);
}

/* ---- what may it do? ---- */

static void check_query(Query *query, Check *check);

static bool
find_reading_sublink(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && reads_member(((SubLink *) node)->subselect, context))
		return true;
	return expression_tree_walker(node, find_reading_sublink, context);
}

/* A condition: EXISTS, IN and ANY under AND and OR only grow with their subqueries. */
static void
check_condition(Node *node, Check *check)
{
	check_stack_depth();
	if (node == NULL)
		return;
	if (IsA(node, List))
	{
		ListCell   *lc;

		foreach(lc, (List *) node)
			check_condition(lfirst(lc), check);
	}
	else if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop != NOT_EXPR)
		check_condition((Node *) ((BoolExpr *) node)->args, check);
	else if (IsA(node, SubLink) &&
			 (((SubLink *) node)->subLinkType == EXISTS_SUBLINK ||
			  ((SubLink *) node)->subLinkType == ANY_SUBLINK))
	{
		SubLink    *sublink = (SubLink *) node;

		if (find_reading_sublink(sublink->testexpr, check))
			refuse(check, "a subquery in an expression");
		check_query(castNode(Query, sublink->subselect), check);
	}
	else if (find_reading_sublink(node, check))
		refuse(check, "NOT EXISTS, NOT IN, ALL or a subquery in an expression");
}

static bool
side_reads_member(Query *query, Node *side, Check *check)
{
	if (IsA(side, RangeTblRef))
		return entry_reads_member(query, rt_fetch(((RangeTblRef *) side)->rtindex,
												  query->rtable), check);
	if (IsA(side, JoinExpr))
		return side_reads_member(query, ((JoinExpr *) side)->larg, check) ||
			side_reads_member(query, ((JoinExpr *) side)->rarg, check) ||
			find_reading_sublink(((JoinExpr *) side)->quals, check);
	return true;
}

static void
check_from(Query *query, Node *node, Check *check)
{
	check_stack_depth();
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		bool		left = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;
		bool		right = join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;

		if ((left && side_reads_member(query, join->rarg, check)) ||
			(right && side_reads_member(query, join->larg, check)) ||
			((left || right) && find_reading_sublink(join->quals, check)))
			refuse(check, "an outer join");
		check_from(query, join->larg, check);
		check_from(query, join->rarg, check);
		check_condition(join->quals, check);
	}
}

static void
check_set_operation(Node *node, Check *check)
{
	SetOperationStmt *setop;

	if (node == NULL || !IsA(node, SetOperationStmt))
		return;
	check_stack_depth();
	setop = (SetOperationStmt *) node;
	if (setop->op == SETOP_EXCEPT)
		refuse(check, "EXCEPT");
	check_set_operation(setop->larg, check);
	check_set_operation(setop->rarg, check);
}

static void
check_range_table(Query *query, Check *check)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			check_query(rte->subquery, check);
		else if (rte->rtekind == RTE_RELATION && relation_reads_member(rte, check))
		{
			if (rte->relkind == RELKIND_VIEW)
				refuse(check, psprintf("view \"%s\"", pgt_relation_label(rte->relid)));
			if (rte->tablesample)
				refuse(check, "TABLESAMPLE");
		}
		else if (rte->rtekind != RTE_RELATION && reads_member((Node *) rte->functions, check))
			refuse(check, "a subquery in a function's argument");
	}
	foreach(lc, query->cteList)
		check_query(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery), check);
}

static void
check_query(Query *query, Check *check)
{
	ListCell   *lc;

	check_stack_depth();
	/* a subquery that names a WITH query of outside may read members by that */
	if (!reads_member((Node *) query, check))
	{
		bool		names_with = false;

		foreach(lc, query->rtable)
			names_with |= lfirst_node(RangeTblEntry, lc)->rtekind == RTE_CTE;
		if (!names_with)
			return;
	}
	if (query->hasAggs || query->groupingSets != NIL)
		refuse(check, "an aggregate");
	if (query->hasWindowFuncs)
		refuse(check, "a window function");
	if (query->hasDistinctOn)
		refuse(check, "DISTINCT ON");
	if (query->limitCount || query->limitOffset)
		refuse(check, "LIMIT or OFFSET");
	if (query->hasRecursive)
		refuse(check, "WITH RECURSIVE");
	check_set_operation(query->setOperations, check);
	check_range_table(query, check);
	foreach(lc, query->jointree->fromlist)
		check_from(query, lfirst(lc), check);
	check_condition(query->jointree->quals, check);
	check_condition(query->havingQual, check);
	if (find_reading_sublink((Node *) query->targetList, check))
		refuse(check, "a subquery in an expression");
}

static bool
find_special_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_special_column, context, 0);
	return expression_tree_walker(node, find_special_column, context);
}

/*
 * NULL, or why the query cannot be part of a cycle of these stream tables (OIDs).
 * query is not rewritten.
 */
UnsupportedReason *
pgt_query_find_non_monotone(Query *query, List *members)
{
	Check		check = {members, NULL};

	if (contain_mutable_functions((Node *) query))
		refuse(&check, "a function that is not immutable");
	if (find_special_column((Node *) query, NULL))
		refuse(&check, "a system column or a row as a whole");
	if (pgt_query_is_unnameable(query))
		refuse(&check, "JOIN USING or IN with an operator outside pg_catalog");
	check_query(query, &check);
	return check.reason;
}
