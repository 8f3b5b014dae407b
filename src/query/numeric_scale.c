/*-------------------------------------------------------------------------
 *
 * numeric_scale.c
 *	  Display scale of a numeric expression, where every value has the same.
 *
 * A sum of numerics shows as many decimals as the input with the most.  When a
 * row goes, the sum's scale may have to shrink, which only a look at all rows
 * of the group tells; unless all inputs have one and the same scale.  Columns
 * with a declared scale do, and so do products, sums and the like of
 * them, by the rules of numeric.c: a product has the sum of the scales, a sum or
 * difference the larger one.  A quotient has no fixed scale.
 *
 * IDENTIFICATION
 *	  src/query/numeric_scale.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "query_internal.h"

#define NO_SCALE		(-1)
#define ANY_SCALE		(-2)	/* NULL: fits every scale */

static int	scale_of(Node *node);

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Scale that all of the values share. */
static int
common_scale(List *nodes)
{
	int			result = ANY_SCALE;
	ListCell   *lc;

	foreach(lc, nodes)
	{
		int			scale = scale_of((Node *) lfirst(lc));

		if (scale == ANY_SCALE)
			continue;
		if (scale == NO_SCALE || (result != ANY_SCALE && result != scale))
			return NO_SCALE;
		result = scale;
	}
	return result;
}

static int
scale_of_const(Const *c)
{
	Datum		scale;

	if (c->constisnull)
		return ANY_SCALE;
	if (c->consttype != NUMERICOID ||
		numeric_is_nan(DatumGetNumeric(c->constvalue)) || numeric_is_inf(DatumGetNumeric(c->constvalue)))
		return NO_SCALE;
	scale = DirectFunctionCall1(numeric_scale, c->constvalue);
	return DatumGetInt32(scale);
}

static int
scale_of_call(Oid funcid, List *args)
{
	int			a = list_length(args) > 0 ? scale_of((Node *) linitial(args)) : NO_SCALE;
	int			b = list_length(args) > 1 ? scale_of((Node *) lsecond(args)) : NO_SCALE;

	switch (funcid)
	{
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
			return 0;
		case F_NUMERIC_UMINUS:
		case F_NUMERIC_UPLUS:
		case F_NUMERIC_ABS:
		case F_ABS_NUMERIC:
			return a;
		case F_NUMERIC_MUL:
			if (a == ANY_SCALE || b == ANY_SCALE)
				return ANY_SCALE;	/* NULL */
			return a == NO_SCALE || b == NO_SCALE ? NO_SCALE : a + b;
		case F_NUMERIC_ADD:
		case F_NUMERIC_SUB:
			if (a == ANY_SCALE || b == ANY_SCALE)
				return ANY_SCALE;
			return a == NO_SCALE || b == NO_SCALE ? NO_SCALE : Max(a, b);
		case F_ROUND_NUMERIC_INT4:
		case F_TRUNC_NUMERIC_INT4:
			{
				Const	   *digits = (Const *) lsecond(args);

				if (!IsA(digits, Const) || digits->constisnull)
					return NO_SCALE;
				return Max(DatumGetInt32(digits->constvalue), 0);
			}
		case F_ROUND_NUMERIC:
		case F_TRUNC_NUMERIC:
		case F_CEIL_NUMERIC:
		case F_FLOOR_NUMERIC:
			return 0;
		default:
			return NO_SCALE;
	}
}

static int
scale_of_case(CaseExpr *expr)
{
	List	   *results = NIL;
	ListCell   *lc;

	foreach(lc, expr->args)
		results = lappend(results, lfirst_node(CaseWhen, lc)->result);
	if (expr->defresult)
		results = lappend(results, expr->defresult);
	return common_scale(results);
}

static int
scale_of(Node *node)
{
	Oid			type = getBaseType(exprType(node));
	int32		typmod = exprTypmod(node);

	if (type != NUMERICOID)
		return is_integer(type) ? 0 : NO_SCALE;
	/* a negative declared scale shows no decimals */
	if (typmod >= (int32) VARHDRSZ && !IsA(node, Const))
	{
		int			scale = (typmod - VARHDRSZ) & 0x7ff;

		return Max((scale ^ 1024) - 1024, 0);
	}
	switch (nodeTag(node))
	{
		case T_Const:
			return scale_of_const((Const *) node);
		case T_OpExpr:
			set_opfuncid((OpExpr *) node);
			return scale_of_call(((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args);
		case T_FuncExpr:
			return scale_of_call(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args);
		case T_RelabelType:
			return scale_of((Node *) ((RelabelType *) node)->arg);
		case T_CoalesceExpr:
			return common_scale(((CoalesceExpr *) node)->args);
		case T_CaseExpr:
			return scale_of_case((CaseExpr *) node);
		default:
			return NO_SCALE;
	}
}

bool
pgt_query_has_fixed_scale(Expr *expr)
{
	return scale_of((Node *) expr) != NO_SCALE;
}
