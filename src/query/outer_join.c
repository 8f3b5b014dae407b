/*-------------------------------------------------------------------------
 *
 * outer_join.c
 *	  LEFT, RIGHT and FULL JOIN in the intermediate representation.
 *
 * The nullable side of a LEFT JOIN is attached to the block of the other side.
 * Joining more inputs to the block afterwards, and filtering, does no harm:
 * what matches a row of the preserved side depends on that row alone.  A RIGHT JOIN
 * is a LEFT JOIN from the other side.
 *
 * A FULL JOIN is the LEFT JOIN, and those rows of the right side that match
 * nothing, with NULLs: two blocks over two derived stages (attach.c makes them).
 *
 * IDENTIFICATION
 *	  src/query/outer_join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "convert_internal.h"

/* apart: a query of its own, if there is something in it that native.c is to compute */
static void
convert_side(Conversion *cv, Scope *scope, Node *side, QueryBlock *block, bool apart)
{
	QueryBlock *outer = scope->block;

	scope->block = block;
	if (apart && pgt_convert_contains_native(cv, scope, side))
		pgt_convert_join_as_subquery(cv, scope, side);
	else
		pgt_convert_from(cv, scope, side);
	scope->block = outer;
}

Bitmapset *
pgt_convert_rtindexes(Node *node)
{
	Bitmapset  *result = NULL;
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		result = bms_join(pgt_convert_rtindexes(join->larg), pgt_convert_rtindexes(join->rarg));
		return join->rtindex > 0 ? bms_add_member(result, join->rtindex) : result;
	}
	foreach(lc, castNode(FromExpr, node)->fromlist)
		result = bms_join(result, pgt_convert_rtindexes(lfirst(lc)));
	return result;
}

typedef struct LevelVarnos
{
	Index		depth;
	Bitmapset  *varnos;
} LevelVarnos;

static bool
varnos_walker(Node *node, LevelVarnos *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == context->depth)
			context->varnos = bms_add_member(context->varnos, ((Var *) node)->varno);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, varnos_walker, (void *) context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, varnos_walker, (void *) context);
}

static List *
flatten_ands(Node *quals)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (quals == NULL)
		return NIL;
	if (!is_andclause(quals))
		return list_make1(quals);
	foreach(lc, ((BoolExpr *) quals)->args)
		result = list_concat(result, flatten_ands((Node *) lfirst(lc)));
	return result;
}

/*
 * Conditions with subqueries that refer to one side only, whose block this is, are looked
 * at there, for rows of that side alone; to scope->block they are columns.
 * Takes them out of *quals.
 */
static List *
take_conditions(Conversion *cv, Scope *scope, List **quals, Node *side, QueryBlock *block)
{
	Bitmapset  *relids = pgt_convert_rtindexes(side);
	List	   *taken = NIL;
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, *quals)
	{
		Node	   *qual = (Node *) lfirst(lc);
		QueryBlock *outer = scope->block;
		LevelVarnos refers = {0};
		Node	   *expr;

		if (checkExprHasSubLink(qual))
			(void) varnos_walker(qual, &refers);
		if (!checkExprHasSubLink(qual) || !bms_is_subset(refers.varnos, relids))
		{
			others = lappend(others, qual);
			continue;
		}
		scope->block = block;
		expr = pgt_convert_expr(cv, scope, qual);
		scope->block = outer;
		if (cv->reason)
			return NIL;
		taken = lappend(taken, pgt_convert_to_block(cv, expr, block, outer));
	}
	if (block != scope->block && pgt_convert_refers_outwards(list_make1(block)))
		pgt_convert_unsupported(cv, "correlated_subquery",
								"a subquery in the condition of an outer join over LATERAL references cannot be maintained differentially",
								PGT_JOIN_INSTEAD);
	*quals = others;
	return taken;
}

/* What is left of the condition, over scope->block. */
static List *
convert_conditions(Conversion *cv, Scope *scope, List *quals)
{
	if (cv->reason)
		return NIL;
	if (checkExprHasSubLink((Node *) quals))
	{
		pgt_convert_unsupported(cv, "correlated_subquery",
								"a subquery in the condition of an outer join that refers to both sides cannot be maintained differentially",
								PGT_JOIN_INSTEAD);
		pgt_convert_place(cv, InvalidOid, InvalidOid, exprLocation((Node *) quals));
		return NIL;
	}
	return pgt_convert_conjuncts(cv, scope, (Node *) quals);
}

static void
convert_full_join(Conversion *cv, Scope *scope, JoinExpr *join)
{
	QueryBlock *outer = scope->block;
	QueryBlock *block = pgt_convert_make_inner_block(outer);
	QueryBlock *left = pgt_convert_make_inner_block(block);
	QueryBlock *right = pgt_convert_make_inner_block(block);
	List	   *quals = flatten_ands(join->quals);

	convert_side(cv, scope, join->larg, left, true);
	convert_side(cv, scope, join->rarg, right, true);
	if (cv->reason)
		return;
	pgt_convert_export_as_input(cv, left, block);
	pgt_convert_export_as_input(cv, right, block);
	scope->block = block;
	block->quals = take_conditions(cv, scope, &quals, join->larg, left);
	block->quals = list_concat(block->quals,
							   take_conditions(cv, scope, &quals, join->rarg, right));
	block->quals = list_concat(block->quals, convert_conditions(cv, scope, quals));
	scope->block = outer;
	block->is_full_join = true;
	if (!cv->reason)
		pgt_convert_export_as_input(cv, block, outer);
}

/* Does the condition refer to something on the side that native.c computes? */
static bool
uses_native_of(Conversion *cv, Scope *scope, Node *quals, Node *side)
{
	LevelVarnos refers = {0};

	if (!pgt_convert_contains_native(cv, scope, side))
		return false;
	(void) varnos_walker(quals, &refers);
	return bms_overlap(refers.varnos, pgt_convert_rtindexes(side));
}

static void
convert_left_join(Conversion *cv, Scope *scope, Node *preserved_side, Node *nullable_side,
				  Node *condition)
{
	QueryBlock *outer = scope->block;
	QueryBlock *nullable = pgt_convert_make_inner_block(outer);
	List	   *quals = flatten_ands(condition);
	List	   *conditions;
	int			number;

	convert_side(cv, scope, preserved_side, outer,
				 uses_native_of(cv, scope, condition, preserved_side));
	convert_side(cv, scope, nullable_side, nullable, true);
	if (cv->reason)
		return;
	/* what the condition refers to has to be attached before */
	conditions = take_conditions(cv, scope, &quals, preserved_side, outer);
	if (cv->reason)
		return;
	number = pgt_convert_attach(cv, nullable, outer, PGT_ATTACH_LEFT);
	conditions = list_concat(conditions,
							 take_conditions(cv, scope, &quals, nullable_side, nullable));
	conditions = list_concat(conditions, convert_conditions(cv, scope, quals));
	if (!cv->reason)
	{
		Attachment *attachment = (Attachment *) list_nth(outer->attachments, number - 1);

		attachment->quals = list_concat(attachment->quals, conditions);
	}
}

/* What is to be taken otherwise if the join cannot be converted: its LATERAL subquery, or itself. */
static Node *
construct_of(Scope *scope, JoinExpr *join)
{
	if (join->jointype == JOIN_LEFT && IsA(join->rarg, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) join->rarg)->rtindex, scope->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && rte->lateral)
			return (Node *) rte;
	}
	return (Node *) join;
}

void
pgt_convert_outer_join(Conversion *cv, Scope *scope, JoinExpr *join)
{
	bool		outermost = cv->construct == NULL;

	if (list_member(cv->native, join))
	{
		pgt_convert_outer_join_as_union(cv, scope, join);
		return;
	}
	if (pgt_convert_left_join_item(cv, scope, join))
		return;
	if (join->jointype == JOIN_FULL)
		convert_full_join(cv, scope, join);
	else if (join->jointype == JOIN_LEFT)
		convert_left_join(cv, scope, join->larg, join->rarg, join->quals);
	else
		convert_left_join(cv, scope, join->rarg, join->larg, join->quals);
	if (outermost && cv->reason && cv->construct == NULL)
		cv->construct = construct_of(scope, join);
}
