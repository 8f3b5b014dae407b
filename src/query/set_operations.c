/*-------------------------------------------------------------------------
 *
 * set_operations.c
 *	  UNION, INTERSECT, EXCEPT, with and without ALL.
 *
 *		A union all B		an input made of the blocks of both
 *		A union B			the same, grouped by all columns
 *		A intersect B		A and B side by side, with a column that tells them apart, grouped by
 *		A except B			all others: a group is a row, l and r are how often it is in A and B
 *
 *							intersect		l > 0 and r > 0
 *							except			l > 0 and r = 0
 *							intersect all	least(l, r) copies, from generate_series
 *							except all		l - r copies
 *
 * Groups are kept as long as there are rows on either side.  r is the number of
 * rows of the group less l.  Trees of UNION become one union.
 *
 * IDENTIFICATION
 *	  src/query/set_operations.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"

#include "convert_internal.h"

static List *convert_node(Conversion *cv, Scope *scope, Node *node, QueryBlock *into);

/* ---- branches ---- */

/* The server does this when it plans: branches have types of their own until then. */
Expr *
pgt_convert_as_column(Node *expr, Oid type, Oid collation)
{
	if (exprType(expr) != type)
		expr = coerce_to_common_type(NULL, expr, type, "UNION/INTERSECT/EXCEPT");
	if (OidIsValid(collation) && exprCollation(expr) != collation)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) expr;
		collate->collOid = collation;
		collate->location = -1;
		expr = (Node *) collate;
	}
	return (Expr *) expr;
}

/* The blocks of one branch; side: a further column with this value, if there is to be one. */
static List *
convert_branch(Conversion *cv, Scope *scope, Node *node, SetOperationStmt *op, Node *side)
{
	QueryBlock *block = pgt_convert_make_block();
	List	   *exprs = convert_node(cv, scope, node, block);
	ListCell   *lc,
			   *type,
			   *collation;

	if (cv->reason)
		return NIL;
	forthree(lc, exprs, type, op->colTypes, collation, op->colCollations)
		block->tlist = lappend(block->tlist, pgt_convert_as_column(lfirst(lc), lfirst_oid(type),
																   lfirst_oid(collation)));
	if (side)
		block->tlist = lappend(block->tlist, side);
	return pgt_query_block_as_union(block);
}

/* Is the node a union whose rows can be put in with those of op? */
static bool
is_part_of_union(Node *node, SetOperationStmt *op)
{
	SetOperationStmt *part = (SetOperationStmt *) node;

	return IsA(node, SetOperationStmt) && part->op == SETOP_UNION && (part->all || !op->all) &&
		equal(part->colTypes, op->colTypes) && equal(part->colCollations, op->colCollations);
}

static List *
convert_branches(Conversion *cv, Scope *scope, Node *node, SetOperationStmt *op)
{
	check_stack_depth();
	if (cv->reason)
		return NIL;
	if (node == (Node *) op || is_part_of_union(node, op))
	{
		List	   *left = convert_branches(cv, scope, ((SetOperationStmt *) node)->larg, op);

		return list_concat(left, convert_branches(cv, scope, ((SetOperationStmt *) node)->rarg, op));
	}
	return convert_branch(cv, scope, node, op, NULL);
}

/* An input made of the blocks; its columns, without a further one. */
static List *
add_union(QueryBlock *into, List *blocks, SetOperationStmt *op, int *number)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));
	List	   *vars = NIL;
	ListCell   *type,
			   *typmod,
			   *collation;

	input->kind = PGT_INPUT_UNION;
	input->blocks = blocks;
	*number = pgt_convert_add_input(into, input);
	forthree(type, op->colTypes, typmod, op->colTypmods, collation, op->colCollations)
		vars = lappend(vars, makeVar(*number, list_length(vars) + 1, lfirst_oid(type),
									 lfirst_int(typmod), lfirst_oid(collation), 0));
	return vars;
}

/* ---- INTERSECT, EXCEPT ---- */

static Node *
operation(const char *name, Node *left, Node *right)
{
	return (Node *) make_op(make_parsestate(NULL),
							list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
							(Node *) copyObject(left), (Node *) copyObject(right), NULL, -1);
}

static Node *
make_count(Expr *filter)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = F_COUNT_;
	agg->aggtype = INT8OID;
	agg->aggstar = true;
	agg->aggfilter = filter;
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = agg->aggtransno = -1;
	agg->location = -1;
	return (Node *) agg;
}

static Node *
least(Node *a, Node *b)
{
	MinMaxExpr *expr = makeNode(MinMaxExpr);

	expr->minmaxtype = INT8OID;
	expr->op = IS_LEAST;
	expr->args = list_make2(copyObject(a), copyObject(b));
	expr->location = -1;
	return (Node *) expr;
}

List *
pgt_convert_counted_sides(Conversion *cv, SetOperationStmt *op, List *blocks, QueryBlock *into)
{
	QueryBlock *inner = pgt_convert_make_block();
	int			ncolumns = list_length(op->colTypes);
	int			number;
	List	   *vars = add_union(inner, blocks, op, &number);
	List	   *exprs;
	Node	   *left;
	Node	   *right;
	Node	   *zero = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(0),
										  false, FLOAT8PASSBYVAL);

	exprs = lappend(list_copy(vars),
					make_count((Expr *) makeVar(number, ncolumns + 1, BOOLOID, -1, InvalidOid, 0)));
	exprs = lappend(exprs, make_count(NULL));
	exprs = pgt_convert_add_group_stage(cv, inner, vars, op->groupClauses, exprs, into);
	if (cv->reason)
		return NIL;
	left = (Node *) list_nth(exprs, ncolumns);
	right = operation("-", list_nth(exprs, ncolumns + 1), left);
	into->quals = lappend(into->quals, operation(">", left, zero));
	if (op->op == SETOP_INTERSECT)
		into->quals = lappend(into->quals, operation(">", right, zero));
	else
		into->quals = lappend(into->quals, op->all ? operation(">", left, right) :
							  operation("=", right, zero));
	if (op->all)
		pgt_convert_add_series(into, op->op == SETOP_INTERSECT ? least(left, right) :
							   operation("-", left, right));
	return list_truncate(exprs, ncolumns);
}

static List *
convert_counted(Conversion *cv, Scope *scope, SetOperationStmt *op, QueryBlock *into)
{
	List	   *blocks = convert_branch(cv, scope, op->larg, op, makeBoolConst(true, false));

	if (cv->reason)
		return NIL;
	blocks = list_concat(blocks, convert_branch(cv, scope, op->rarg, op, makeBoolConst(false, false)));
	return cv->reason ? NIL : pgt_convert_counted_sides(cv, op, blocks, into);
}

/* ---- the tree ---- */

static List *
convert_node(Conversion *cv, Scope *scope, Node *node, QueryBlock *into)
{
	SetOperationStmt *op = (SetOperationStmt *) node;
	QueryBlock *inner = into;
	List	   *blocks;
	List	   *vars;
	int			number;

	if (IsA(node, RangeTblRef))
		return pgt_convert_query(cv, rt_fetch(((RangeTblRef *) node)->rtindex,
											  scope->query->rtable)->subquery, scope, into);
	if (op->op != SETOP_UNION)
		return convert_counted(cv, scope, op, into);
	blocks = convert_branches(cv, scope, node, op);
	if (cv->reason)
		return NIL;
	if (!op->all)
		inner = pgt_convert_make_block();
	vars = add_union(inner, blocks, op, &number);
	return op->all ? vars :
		pgt_convert_add_group_stage(cv, inner, vars, op->groupClauses, vars, into);
}

List *
pgt_convert_set_operations(Conversion *cv, Query *query, Scope *parent, QueryBlock *into)
{
	/* branches refer to CTEs of this level through a scope of their own */
	Scope	   *scope = pgt_convert_make_scope(query, parent, pgt_convert_make_block());

	return convert_node(cv, scope, query->setOperations, into);
}
