/*-------------------------------------------------------------------------
 *
 * ir.c
 *	  Changing the expressions of the intermediate representation.
 *
 * IDENTIFICATION
 *	  src/query/ir.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "pgtrickle/ir.h"

Param *
pgt_ir_make_mark(int number)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = BOOLOID;
	param->paramtypmod = -1;
	param->location = -1;
	return param;
}

static Node *
make_null(Node *expr)
{
	Oid			type = exprType(expr);
	Oid			collation = exprCollation(expr);
	Node	   *null = (Node *) makeNullConst(type, exprTypmod(expr), collation);

	/* printed without it, the constant would have the collation of its type */
	if (OidIsValid(collation) && collation != get_typcollation(type))
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) null;
		collate->collOid = collation;
		collate->location = -1;
		return (Node *) collate;
	}
	return null;
}

/* What columns of one varno become. */
typedef struct SubstituteContext
{
	int			varno;
	int			new_varno;		/* 0: see below */
	List	   *exprs;			/* expression for each column; NIL: NULL */
} SubstituteContext;

static Node *
substitute_mutator(Node *node, SubstituteContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		((Var *) node)->varno == context->varno)
	{
		Var		   *var = (Var *) copyObject(node);

		if (context->new_varno > 0)
		{
			var->varno = var->varnosyn = context->new_varno;
			return (Node *) var;
		}
		if (context->exprs != NIL)
			return copyObject(list_nth(context->exprs, var->varattno - 1));
		return make_null((Node *) var);
	}
	return expression_tree_mutator(node, substitute_mutator, (void *) context);
}

List *
pgt_ir_renumber(List *exprs, int varno, int new_varno)
{
	SubstituteContext context = {varno, new_varno, NIL};

	return (List *) substitute_mutator((Node *) exprs, &context);
}

List *
pgt_ir_replace(List *exprs, int varno, List *by)
{
	SubstituteContext context = {varno, 0, by};

	return (List *) substitute_mutator((Node *) exprs, &context);
}

List *
pgt_ir_nullify(List *exprs, int varno)
{
	SubstituteContext context = {varno, 0, NIL};

	return (List *) substitute_mutator((Node *) exprs, &context);
}

static bool
same_collation(Oid a, Oid b)
{
	return a == b || !OidIsValid(a) || !OidIsValid(b) ||
		(get_collation_isdeterministic(a) && get_collation_isdeterministic(b));
}

bool
pgt_ir_is_groupable_equality(OpExpr *op, Node *inner)
{
	TypeCacheEntry *type = lookup_type_cache(exprType(inner), TYPECACHE_EQ_OPR);
	List	   *families;
	ListCell   *lc;

	if (!OidIsValid(type->eq_opr) || op->opretset ||
		!same_collation(op->inputcollid, exprCollation(inner)))
		return false;
	families = get_mergejoin_opfamilies(type->eq_opr);
	foreach(lc, get_mergejoin_opfamilies(op->opno))
		if (list_member_oid(families, lfirst_oid(lc)))
			return true;
	return false;
}

List *
pgt_ir_nulls(List *exprs)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
		result = lappend(result, make_null((Node *) lfirst(lc)));
	return result;
}

/* ---- items ---- */

typedef struct ArgumentContext
{
	List	   *args;
	Index		depth;			/* query levels entered */
} ArgumentContext;

static Node *
argument_mutator(Node *node, ArgumentContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, argument_mutator, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == context->depth)
	{
		Node	   *arg = copyObject(list_nth(context->args, ((Var *) node)->varattno - 1));

		if (context->depth > 0)
			IncrementVarSublevelsUp(arg, context->depth, 0);
		return arg;
	}
	return expression_tree_mutator(node, argument_mutator, (void *) context);
}

RangeTblEntry *
pgt_ir_item_entry(const Input *input)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	ArgumentContext context = {input->args, 0};

	*rte = *input->item;
	rte->functions = (List *) argument_mutator((Node *) rte->functions, &context);
	rte->tablefunc = (TableFunc *) argument_mutator((Node *) rte->tablefunc, &context);
	rte->values_lists = (List *) argument_mutator((Node *) rte->values_lists, &context);
	rte->subquery = (Query *) argument_mutator((Node *) rte->subquery, &context);
	rte->lateral = input->args != NIL;
	return rte;
}
