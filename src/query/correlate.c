/*-------------------------------------------------------------------------
 *
 * correlate.c
 *	  Grouped subqueries that refer to the query around them.
 *
 * A condition "expression = expression of the outer row" in the WHERE of a grouped
 * subquery selects one value of a grouping column: the left side becomes a key of
 * the group stage, and the condition one on the stage, which is then joined like
 * anything else.  An aggregate without GROUP BY gives a row even where there is
 * nothing to aggregate: the stage is attached by an outer join, and in the
 * place of a missing group stands what the aggregates give for no rows
 * (forgetting that is known as the count bug).
 *
 * IDENTIFICATION
 *	  src/query/correlate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

struct Correlation
{
	OpExpr	   *op;
	int			side;			/* of the grouped expression */
	Node	   *inner;
	Node	   *outer;			/* Vars of level 1 and up */
};

typedef struct LevelContext
{
	bool		own;			/* found a Var of level 0 or a mark */
	bool		outer;			/* found one of a higher level */
} LevelContext;

static bool
level_walker(Node *node, LevelContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == 0)
			context->own = true;
		else
			context->outer = true;
		return false;
	}
	if (IsA(node, Param))
		context->own = true;
	return expression_tree_walker(node, level_walker, (void *) context);
}

static bool
aggregate_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		LevelContext level = {0};

		(void) level_walker(node, &level);
		return level.outer;
	}
	return expression_tree_walker(node, aggregate_walker, context);
}

bool
pgt_convert_aggregate_refers_outwards(Node *node)
{
	return aggregate_walker(node, NULL);
}

static Correlation *
as_correlation(Node *qual)
{
	OpExpr	   *op = (OpExpr *) qual;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2)
		return NULL;
	for (int side = 0; side < 2; side++)
	{
		LevelContext inner = {0};
		LevelContext outer = {0};
		Correlation *c;

		(void) level_walker(list_nth(op->args, side), &inner);
		(void) level_walker(list_nth(op->args, 1 - side), &outer);
		if (!inner.own || inner.outer || outer.own || !outer.outer ||
			!pgt_ir_is_groupable_equality(op, list_nth(op->args, side)))
			continue;
		c = (Correlation *) palloc(sizeof(Correlation));
		c->op = op;
		c->side = side;
		c->inner = (Node *) list_nth(op->args, side);
		c->outer = (Node *) list_nth(op->args, 1 - side);
		return c;
	}
	return NULL;
}

List *
pgt_convert_take_correlation(QueryBlock *block, List **keys, List **clauses)
{
	List	   *taken = NIL;
	List	   *kept = NIL;
	ListCell   *lc;

	foreach(lc, block->quals)
	{
		Correlation *c = as_correlation((Node *) lfirst(lc));
		SortGroupClause *clause;
		bool		hashable;

		if (c == NULL)
		{
			kept = lappend(kept, lfirst(lc));
			continue;
		}
		clause = makeNode(SortGroupClause);
		get_sort_group_operators(exprType(c->inner), false, true, false,
								 &clause->sortop, &clause->eqop, NULL, &hashable);
		clause->hashable = hashable;
		*keys = lappend(*keys, c->inner);
		*clauses = lappend(*clauses, clause);
		taken = lappend(taken, c);
	}
	block->quals = kept;
	return taken;
}

Node *
pgt_convert_correlated_qual(const Correlation *c, Node *column)
{
	OpExpr	   *op = (OpExpr *) copyObject(c->op);
	Node	   *outer = copyObject(c->outer);

	IncrementVarSublevelsUp(outer, -1, 1);
	op->args = c->side == 0 ? list_make2(column, outer) : list_make2(outer, column);
	return (Node *) op;
}

void
pgt_convert_map_correlations(List *correlations, List *keys, List *columns)
{
	ListCell   *lc,
			   *lc2,
			   *lc3;

	foreach(lc, correlations)
	{
		Correlation *c = (Correlation *) lfirst(lc);

		forboth(lc2, keys, lc3, columns)
		{
			if (equal(lfirst(lc2), c->inner))
			{
				c->inner = (Node *) lfirst(lc3);
				break;
			}
		}
	}
}

List *
pgt_convert_correlated_quals(List *correlations, const QueryBlock *inner, const Stage *stage,
							 int varno)
{
	List	   *quals = NIL;
	ListCell   *lc;

	foreach(lc, correlations)
	{
		Correlation *c = (Correlation *) lfirst(lc);
		AttrNumber	key = 0;

		while (!equal(list_nth(inner->tlist, key), c->inner))
			key++;
		quals = lappend(quals,
						pgt_convert_correlated_qual(c, (Node *) makeVar(varno, key + 1,
																		exprType(c->inner),
																		exprTypmod(c->inner),
																		exprCollation(c->inner), 0)));
	}
	return quals;
}

/* ---- aggregates over no rows ---- */

static Node *
empty_mutator(Node *node, Conversion *cv)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup > 0)
	{
		Var		   *var = (Var *) copyObject(node);

		var->varlevelsup--;
		return (Node *) var;
	}
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		char	   *name = get_func_name(agg->aggfnoid);

		if (agg->aggfnoid >= FirstNormalObjectId || agg->aggkind == AGGKIND_HYPOTHETICAL)
		{
			/* ours gives NULL */
			if (strcmp(name, "single_value") != 0 ||
				get_func_namespace(agg->aggfnoid) != get_namespace_oid(PGT_SCHEMA, false))
				pgt_convert_unsupported(cv, "correlated_aggregate",
										"this aggregate in a correlated subquery cannot be maintained differentially",
										PGT_JOIN_INSTEAD);
		}
		else if (strcmp(name, "count") == 0 || strcmp(name, "regr_count") == 0)
			return (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
									  Int64GetDatum(0), false, FLOAT8PASSBYVAL);
		return (Node *) makeNullConst(agg->aggtype, -1, agg->aggcollid);
	}
	return expression_tree_mutator(node, empty_mutator, (void *) cv);
}

List *
pgt_convert_or_empty(Conversion *cv, List *exprs, List *rewritten, Node *row_count)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2;

	forboth(lc, exprs, lc2, rewritten)
	{
		Node	   *expr = (Node *) lfirst(lc2);
		CaseExpr   *choice = makeNode(CaseExpr);
		CaseWhen   *when = makeNode(CaseWhen);
		NullTest   *missing = makeNode(NullTest);

		missing->arg = (Expr *) copyObject(row_count);
		missing->nulltesttype = IS_NULL;
		missing->location = -1;
		when->expr = (Expr *) missing;
		when->result = (Expr *) empty_mutator((Node *) lfirst(lc), cv);
		when->location = -1;
		choice->casetype = exprType(expr);
		choice->casecollid = exprCollation(expr);
		choice->args = list_make1(when);
		choice->defresult = (Expr *) expr;
		choice->location = -1;
		result = lappend(result, choice);
	}
	return result;
}
