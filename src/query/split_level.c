/*-------------------------------------------------------------------------
 *
 * split_level.c
 *	  A query level as two: the lower part of it becomes a subquery.
 *
 * PostgreSQL computes the parts of a level in this order:
 *
 *		FROM, WHERE; GROUP BY, HAVING; windows; set-returning functions of the select list;
 *		DISTINCT; ORDER BY; LIMIT
 *
 * except that set-returning functions wait until after ORDER BY if nothing is
 * sorted by them.  Where conversion wants one of these apart from those before it,
 *
 *		select f(c) from t group by ...		becomes
 *		select f(s.c) from (select c from t group by ...) s
 *
 * with a column in the subquery for whatever the upper part refers to.
 *
 * IDENTIFICATION
 *	  src/query/split_level.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"

#include "convert_internal.h"

typedef struct SplitContext
{
	Query	   *lower;
	bool		windows;		/* window functions belong to the lower level */
	Index		depth;			/* levels of query below the level */
} SplitContext;

static Node *
column_of(SplitContext *context, TargetEntry *tle)
{
	Node	   *expr = (Node *) tle->expr;

	return (Node *) makeVar(1, tle->resno, exprType(expr), exprTypmod(expr), exprCollation(expr),
							context->depth);
}

/* The column of the lower level that shows the expression, which is one of the level. */
static Node *
lower_column(SplitContext *context, Node *expr)
{
	TargetEntry *tle;
	ListCell   *lc;

	expr = copyObject(expr);
	if (context->depth > 0)
		IncrementVarSublevelsUp(expr, -(int) context->depth, context->depth);
	foreach(lc, context->lower->targetList)
	{
		tle = lfirst_node(TargetEntry, lc);
		if (!IsA(expr, Const) && equal(tle->expr, expr))
			return column_of(context, tle);
	}
	tle = makeTargetEntry((Expr *) expr, list_length(context->lower->targetList) + 1,
						  psprintf("c%d", list_length(context->lower->targetList) + 1), false);
	context->lower->targetList = lappend(context->lower->targetList, tle);
	return column_of(context, tle);
}

/* What is grouped by, other than a constant: those are told by their place only. */
static TargetEntry *
find_group_key(SplitContext *context, Node *node)
{
	ListCell   *lc;

	if (context->depth > 0 || IsA(node, Const))
		return NULL;
	foreach(lc, context->lower->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (pgt_query_clause_uses(context->lower->groupClause, tle) && equal(tle->expr, node))
			return tle;
	}
	return NULL;
}

static Node *
to_upper(Node *node, SplitContext *context)
{
	TargetEntry *key;

	if (node == NULL)
		return NULL;
	if ((IsA(node, Var) && ((Var *) node)->varlevelsup == context->depth) ||
		(IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == context->depth) ||
		(IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup == context->depth) ||
		(IsA(node, WindowFunc) && context->depth == 0 && context->windows))
		return lower_column(context, node);
	if (IsA(node, Query))
	{
		Node	   *result;

		context->depth++;
		result = (Node *) query_tree_mutator((Query *) node, to_upper, (void *) context, 0);
		context->depth--;
		return result;
	}
	key = find_group_key(context, node);
	if (key)
		return column_of(context, key);
	return expression_tree_mutator(node, to_upper, (void *) context);
}

/* Those entries of the target list that the clauses name, with their references. */
static void
keep_named_entries(Query *lower, const Query *query, List *clauses)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!pgt_query_clause_uses(clauses, tle))
			continue;
		tle = (TargetEntry *) copyObject(tle);
		tle->resno = list_length(lower->targetList) + 1;
		tle->resname = psprintf("c%d", tle->resno);
		tle->resjunk = false;
		lower->targetList = lappend(lower->targetList, tle);
	}
}

static bool
returns_sets(const Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
		if (expression_returns_set((Node *) lfirst_node(TargetEntry, lc)->expr))
			return true;
	return false;
}

/* What windows partition and sort by. */
static List *
window_clauses(const Query *query)
{
	List	   *clauses = NIL;
	ListCell   *lc;

	foreach(lc, query->windowClause)
	{
		clauses = list_concat(clauses, lfirst_node(WindowClause, lc)->partitionClause);
		clauses = list_concat(clauses, lfirst_node(WindowClause, lc)->orderClause);
	}
	return clauses;
}

static void
finish_lower(Query *lower, LevelPart part)
{
	lower->limitCount = lower->limitOffset = NULL;
	lower->limitOption = LIMIT_OPTION_COUNT;
	if (part == PGT_UP_TO_GROUPS)
	{
		lower->havingQual = NULL;
		lower->windowClause = NIL;
		lower->hasWindowFuncs = false;
	}
	if (part != PGT_UP_TO_ORDER)
	{
		lower->distinctClause = NIL;
		lower->hasDistinctOn = false;
		lower->sortClause = NIL;
	}
}

static Query *
make_upper(Query *query, Query *lower, LevelPart part)
{
	Query	   *upper = (Query *) copyObject(query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = lower;
	rte->inFromCl = true;
	rte->eref = makeAlias("lower", NIL);
	ref->rtindex = 1;
	upper->rtable = list_make1(rte);
#if PG_VERSION_NUM >= 160000
	upper->rteperminfos = NIL;
#endif
#if PG_VERSION_NUM >= 180000
	upper->hasGroupRTE = false;
#endif
	upper->jointree = makeFromExpr(list_make1(ref), NULL);
	upper->groupClause = NIL;
	upper->groupDistinct = false;
	upper->groupingSets = NIL;
	upper->havingQual = NULL;
	upper->hasAggs = false;
	if (part != PGT_UP_TO_GROUPS)
	{
		upper->windowClause = NIL;
		upper->hasWindowFuncs = false;
	}
	if (part == PGT_UP_TO_ORDER)
	{
		upper->distinctClause = NIL;
		upper->hasDistinctOn = false;
	}
	return upper;
}

/*
 * The query with the part of its level up to there as a subquery of its own; it gives
 * the same rows.  HAVING goes to the upper level if windows do.
 */
Query *
pgt_convert_split_level(Query *query, LevelPart part)
{
	SplitContext context = {0};
	Query	   *lower = (Query *) copyObject(query);
	Query	   *upper;
	ListCell   *lc;

	lower->targetList = NIL;
	finish_lower(lower, part);
	keep_named_entries(lower, query,
					   list_concat_copy(query->groupClause,
										list_concat(part == PGT_UP_TO_GROUPS ? NIL : window_clauses(query),
													part == PGT_UP_TO_ORDER ?
													list_concat_copy(query->distinctClause, query->sortClause) : NIL)));
	context.lower = lower;
	context.windows = part != PGT_UP_TO_GROUPS;
	upper = make_upper(query, lower, part);
	foreach(lc, upper->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TargetEntry *kept = NULL;
		ListCell   *lc2;

		foreach(lc2, lower->targetList)
			if (tle->ressortgroupref != 0 &&
				lfirst_node(TargetEntry, lc2)->ressortgroupref == tle->ressortgroupref)
				kept = lfirst_node(TargetEntry, lc2);
		tle->expr = (Expr *) (kept ? column_of(&context, kept) :
							  to_upper((Node *) tle->expr, &context));
	}
	if (part == PGT_UP_TO_GROUPS)
		upper->jointree->quals = to_upper(query->havingQual, &context);
	lower->hasTargetSRFs = returns_sets(lower);
	upper->hasTargetSRFs = returns_sets(upper);
	foreach(lc, lower->targetList)
		linitial_node(RangeTblEntry, upper->rtable)->eref->colnames =
			lappend(linitial_node(RangeTblEntry, upper->rtable)->eref->colnames,
					makeString(pstrdup(lfirst_node(TargetEntry, lc)->resname)));
	IncrementVarSublevelsUp((Node *) lower, 1, 1);
	return upper;
}

/* Nothing is sorted by them. */
static bool
comes_after_order(const Query *query)
{
	List	   *above = list_concat_copy(query->distinctClause, query->sortClause);
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (pgt_query_clause_uses(above, tle) && expression_returns_set((Node *) tle->expr))
			return false;
	}
	return query->sortClause != NIL;
}

bool
pgt_convert_limits_sets(const Query *query)
{
	return query->hasTargetSRFs && pgt_query_has_limit(query) &&
		query->limitOption == LIMIT_OPTION_COUNT && comes_after_order(query);
}

/*
 * Set-returning functions of the select list come after windows and, if nothing is
 * sorted by them, after DISTINCT ON and ORDER BY: up to where is the level to be
 * split for that?  PGT_NOT_SPLIT: nowhere.
 */
LevelPart
pgt_convert_part_below_sets(const Query *query)
{
	ListCell   *lc;

	if (!query->hasTargetSRFs)
		return PGT_NOT_SPLIT;
	if (query->hasDistinctOn && comes_after_order(query))
		return PGT_UP_TO_ORDER;
	if (!query->hasWindowFuncs)
		return PGT_NOT_SPLIT;
	/* those that are grouped by come before */
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (pgt_query_clause_uses(query->groupClause, tle) &&
			expression_returns_set((Node *) tle->expr))
			return PGT_UP_TO_GROUPS;
	}
	return PGT_UP_TO_WINDOWS;
}
