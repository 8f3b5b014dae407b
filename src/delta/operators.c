/*-------------------------------------------------------------------------
 *
 * operators.c
 *	  Expressions whose operators, or fields, SQL text cannot name.
 *
 * IS DISTINCT FROM, NULLIF and CASE x WHEN y mean an operator "=" without a place to
 * write its schema, and a comparison of rows names that of the first columns only: when
 * the text is parsed again, with search_path pinned, another one
 * may be found (citext then compares as text), or none.  They are spelled out
 * with operators that can be qualified:
 *
 *		a IS DISTINCT FROM b	CASE WHEN a IS NULL OR b IS NULL
 *								THEN a IS NOT NULL OR b IS NOT NULL ELSE NOT a = b END
 *		NULLIF(a, b)			CASE WHEN a = b THEN NULL ELSE a END
 *		CASE x WHEN y ...		CASE WHEN x = y ...
 *		(a, b) <= (c, d)		CASE WHEN a < c THEN true WHEN a = c THEN b <= d
 *								WHEN (a = c) IS UNKNOWN THEN NULL ELSE false END
 *		(a, b) IN (query)		(SELECT CASE WHEN bool_or(c) THEN true
 *								WHEN bool_or(c IS NULL) THEN NULL ELSE false END FROM (query) AS q),
 *								where c is a = q.1 AND b = q.2
 *		(a, b) <> ALL (query)	the same with NOT c, and the answers exchanged
 *
 * A row of a subquery has field names, which ROW(...) would lose (to_jsonb() shows them); it
 * becomes (SELECT r FROM (SELECT a AS name, ...) AS r).
 *
 * The row of a view is of the view's type, and the text of its expansion says v.*::type, which
 * means ROW(v.a, ...)::type, also where an outer join has no row of it: it becomes
 * CASE WHEN v.* IS DISTINCT FROM NULL THEN ROW(v.a, ...)::type END.
 *
 * A constant to sort by that is an expression becomes its value.
 *
 * Operands are written more than once: they are immutable, or stable within a
 * statement.
 *
 * IDENTIFICATION
 *	  src/delta/operators.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "delta_internal.h"

static bool
is_of_catalog(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	result = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace == PG_CATALOG_NAMESPACE;
	ReleaseSysCache(tuple);
	return result;
}

static Expr *
null_test(Node *arg, NullTestType type)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(arg);
	test->nulltesttype = type;
	test->argisrow = false;
	test->location = -1;
	return (Expr *) test;
}

/* DistinctExpr and NullIfExpr are OpExpr by another name. */
static Expr *
plain_operator(const OpExpr *op)
{
	OpExpr	   *plain = (OpExpr *) copyObject(op);

	NodeSetTag(plain, T_OpExpr);
	plain->opresulttype = BOOLOID;
	plain->opcollid = InvalidOid;
	return (Expr *) plain;
}

static Node *
make_case(Expr *condition, Expr *result, Expr *otherwise, Oid type, Oid collation)
{
	CaseExpr   *expr = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = condition;
	when->result = result;
	when->location = -1;
	expr->casetype = type;
	expr->casecollid = collation;
	expr->args = list_make1(when);
	expr->defresult = otherwise;
	expr->location = -1;
	return (Node *) expr;
}

static Node *
spell_out_distinct(const OpExpr *op)
{
	Node	   *a = (Node *) linitial(op->args);
	Node	   *b = (Node *) lsecond(op->args);

	return make_case(makeBoolExpr(OR_EXPR, list_make2(null_test(a, IS_NULL), null_test(b, IS_NULL)), -1),
					 makeBoolExpr(OR_EXPR, list_make2(null_test(a, IS_NOT_NULL), null_test(b, IS_NOT_NULL)), -1),
					 makeBoolExpr(NOT_EXPR, list_make1(plain_operator(op)), -1),
					 BOOLOID, InvalidOid);
}

static Node *
spell_out_nullif(const OpExpr *op)
{
	Node	   *a = (Node *) linitial(op->args);
	Oid			type = exprType(a);

	return make_case(plain_operator(op),
					 (Expr *) makeNullConst(type, exprTypmod(a), exprCollation(a)),
					 (Expr *) copyObject(a), type, exprCollation(a));
}

/* In the condition of a WHEN: what is compared, in the place that stands for it. */
static Node *
put_in_argument(Node *node, void *argument)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return (Node *) copyObject((Node *) argument);
	/* these have such places of their own */
	if (IsA(node, CaseExpr) || IsA(node, ArrayCoerceExpr))
		return node;
	return expression_tree_mutator(node, put_in_argument, argument);
}

static bool
compares_with_unnameable(CaseExpr *expr)
{
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		Expr	   *condition = lfirst_node(CaseWhen, lc)->expr;

		if (IsA(condition, OpExpr) && !is_of_catalog(((OpExpr *) condition)->opno))
			return true;
	}
	return false;
}

static void
spell_out_case(CaseExpr *expr)
{
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, lc);

		when->expr = (Expr *) put_in_argument((Node *) when->expr, expr->arg);
	}
	expr->arg = NULL;
}

/* ---- rows ---- */

static bool
compares_columns_unnameably(const RowCompareExpr *row)
{
	ListCell   *lc;

	foreach(lc, row->opnos)
		if (!is_of_catalog(lfirst_oid(lc)))
			return true;
	return false;
}

/* Column i of both rows, compared by the operator. */
static Expr *
compare_columns(const RowCompareExpr *row, int i, Oid opno)
{
	return make_opclause(opno, BOOLOID, false, (Expr *) copyObject(list_nth(row->largs, i)),
						 (Expr *) copyObject(list_nth(row->rargs, i)),
						 InvalidOid, list_nth_oid(row->inputcollids, i));
}

static void
add_when(CaseExpr *expr, Expr *condition, Node *result)
{
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = condition;
	when->result = (Expr *) result;
	when->location = -1;
	expr->args = lappend(expr->args, when);
}

static Node *
spell_out_row_comparison(const RowCompareExpr *row)
{
	int			last = list_length(row->opnos) - 1;
	Node	   *result = (Node *) compare_columns(row, last, list_nth_oid(row->opnos, last));

	for (int i = last - 1; i >= 0; i--)
	{
		Oid			family = list_nth_oid(row->opfamilies, i);
		Oid			opno = list_nth_oid(row->opnos, i);
		int			strategy = get_op_opfamily_strategy(opno, family);
		CaseExpr   *expr = makeNode(CaseExpr);
		BooleanTest *unknown = makeNode(BooleanTest);
		Oid			left,
					right;
		Expr	   *same;

		op_input_types(opno, &left, &right);
		strategy = strategy <= BTLessEqualStrategyNumber ? BTLessStrategyNumber : BTGreaterStrategyNumber;
		same = compare_columns(row, i, get_opfamily_member(family, left, right, BTEqualStrategyNumber));
		unknown->arg = copyObject(same);
		unknown->booltesttype = IS_UNKNOWN;
		unknown->location = -1;
		expr->casetype = BOOLOID;
		expr->location = -1;
		add_when(expr, compare_columns(row, i, get_opfamily_member(family, left, right, strategy)),
				 makeBoolConst(true, false));
		add_when(expr, same, result);
		add_when(expr, (Expr *) unknown, makeBoolConst(false, true));
		expr->defresult = (Expr *) makeBoolConst(false, false);
		result = (Node *) expr;
	}
	return result;
}

/* ---- rows of subqueries ---- */

static bool
has_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) || IsA(node, WindowFunc))
		return true;
	return expression_tree_walker(node, has_aggregate, context);
}

/* ROW(...) calls its fields f1, f2 ... */
static bool
has_field_names(const RowExpr *row)
{
	ListCell   *lc;

	if (row->row_typeid != RECORDOID || list_length(row->colnames) != list_length(row->args) ||
		has_aggregate((Node *) row->args, NULL))
		return false;
	foreach(lc, row->colnames)
		if (strcmp(strVal(lfirst(lc)), psprintf("f%d", foreach_current_index(lc) + 1)) != 0)
			return true;
	return false;
}

/* (SELECT r FROM (SELECT field AS name, ...) AS r) */
static Node *
spell_out_row(const RowExpr *row)
{
	Query	   *fields = makeNode(Query);
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	SubLink    *sublink = makeNode(SubLink);
	List	   *args = copyObject(row->args);
	ListCell   *lc,
			   *lc2;

	IncrementVarSublevelsUp((Node *) args, 2, 0);
	fields->commandType = query->commandType = CMD_SELECT;
	fields->canSetTag = query->canSetTag = true;
	fields->jointree = makeFromExpr(NIL, NULL);
	forboth(lc, args, lc2, row->colnames)
		fields->targetList = lappend(fields->targetList,
									 makeTargetEntry((Expr *) lfirst(lc),
													 foreach_current_index(lc) + 1,
													 pstrdup(strVal(lfirst(lc2))), false));
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = fields;
	rte->alias = makeAlias("r", NIL);
	rte->eref = makeAlias("r", copyObject(row->colnames));
	rte->inFromCl = true;
	query->rtable = list_make1(rte);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) makeVar(1, 0, RECORDOID, -1, InvalidOid, 0),
												   1, pstrdup("r"), false));
	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Node *) sublink;
}

/* ---- comparisons of several columns with a subquery ---- */

static bool
compares_by_foreign_operator(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, OpExpr) && !is_of_catalog(((OpExpr *) node)->opno))
		return true;
	if (IsA(node, RowCompareExpr) && compares_columns_unnameably((RowCompareExpr *) node))
		return true;
	return expression_tree_walker(node, compares_by_foreign_operator, context);
}

/* The operator of a single column is named. */
static bool
compares_with_subquery_unnameably(const SubLink *sublink)
{
	return (sublink->subLinkType == ANY_SUBLINK || sublink->subLinkType == ALL_SUBLINK) &&
		sublink->testexpr != NULL && !IsA(sublink->testexpr, OpExpr) &&
		compares_by_foreign_operator(sublink->testexpr, NULL);
}

/* In the test of a comparison: column n of the subquery, which becomes entry 1 of a query's FROM. */
static Node *
put_in_columns(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	/* has such columns of its own */
	if (IsA(node, SubLink))
		return (Node *) copyObject(node);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
	{
		Param	   *param = (Param *) node;

		return (Node *) makeVar(1, param->paramid, param->paramtype, param->paramtypmod,
								param->paramcollid, 0);
	}
	return expression_tree_mutator(node, put_in_columns, context);
}

static Expr *
bool_aggregate(Oid function, Expr *arg)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = function;
	agg->aggtype = BOOLOID;
	agg->aggtranstype = InvalidOid;
	agg->aggargtypes = list_make1_oid(BOOLOID);
	agg->args = list_make1(makeTargetEntry(arg, 1, NULL, false));
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggno = agg->aggtransno = -1;
	agg->location = -1;
	return (Expr *) agg;
}

static Node *
spell_out_comparison(const SubLink *comparison)
{
	bool		any = comparison->subLinkType == ANY_SUBLINK;
	Query	   *compared = (Query *) copyObject(comparison->subselect);
	Node	   *test = (Node *) copyObject(comparison->testexpr);
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	SubLink    *sublink = makeNode(SubLink);
	Expr	   *decided;
	Node	   *open;
	ListCell   *lc;

	/* one level deeper */
	IncrementVarSublevelsUp((Node *) compared, 1, 1);
	IncrementVarSublevelsUp(test, 1, 0);
	test = put_in_columns(test, NULL);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = compared;
	rte->alias = makeAlias("q", NIL);
	rte->eref = makeAlias("q", NIL);
	foreach(lc, compared->targetList)
	{
		TargetEntry *te = (TargetEntry *) lfirst(lc);

		if (!te->resjunk)
			rte->eref->colnames = lappend(rte->eref->colnames,
										  makeString(psprintf("c%d", te->resno)));
	}
	rte->alias->colnames = copyObject(rte->eref->colnames);
	rte->inFromCl = true;

	/* ANY: true, then NULL, else false; ALL: false, then NULL, else true */
	decided = bool_aggregate(F_BOOL_OR, any ? (Expr *) copyObject(test) :
							 makeBoolExpr(NOT_EXPR, list_make1(copyObject(test)), -1));
	open = make_case(bool_aggregate(F_BOOL_OR, null_test(test, IS_NULL)),
					 (Expr *) makeNullConst(BOOLOID, -1, InvalidOid),
					 (Expr *) makeBoolConst(!any, false), BOOLOID, InvalidOid);
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->hasAggs = true;
	query->hasSubLinks = checkExprHasSubLink(test);
	query->rtable = list_make1(rte);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) make_case(decided, (Expr *) makeBoolConst(any, false),
																	  (Expr *) open, BOOLOID, InvalidOid),
												   1, pstrdup("compared"), false));
	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Node *) sublink;
}

/* ---- rows of views ---- */

/* The expanded view that the Var is a row of, or NULL; queries: those around it, innermost first. */
static RangeTblEntry *
view_of_row(const Var *var, const List *queries)
{
	RangeTblEntry *rte;

	if (var->varattno != 0 || var->vartype == RECORDOID || var->varlevelsup >= list_length(queries))
		return NULL;
	rte = rt_fetch(var->varno, ((Query *) list_nth(queries, var->varlevelsup))->rtable);
	return rte->rtekind == RTE_SUBQUERY ? rte : NULL;
}

/* CASE WHEN v.* IS DISTINCT FROM NULL THEN ROW(v.a, ...)::type END */
static Node *
spell_out_view_row(const Var *var, const RangeTblEntry *view)
{
	Var		   *record = (Var *) copyObject(var);
	RowExpr    *row = makeNode(RowExpr);
	ListCell   *lc;

	record->vartype = RECORDOID;
	row->row_typeid = var->vartype;
	row->row_format = COERCE_EXPLICIT_CAST;
	row->location = -1;
	foreach(lc, view->subquery->targetList)
	{
		TargetEntry *te = (TargetEntry *) lfirst(lc);

		if (te->resjunk)
			continue;
		row->args = lappend(row->args,
							makeVar(var->varno, te->resno, exprType((Node *) te->expr),
									exprTypmod((Node *) te->expr), exprCollation((Node *) te->expr),
									var->varlevelsup));
		row->colnames = lappend(row->colnames, makeString(pstrdup(te->resname ? te->resname : "?column?")));
	}
	return make_case(null_test((Node *) record, IS_NOT_NULL), (Expr *) row,
					 (Expr *) makeNullConst(var->vartype, -1, InvalidOid), var->vartype, InvalidOid);
}

/* ---- constants to sort by ---- */

/* ORDER BY - 1.0 cannot be read again. */
static void
fold_constant_keys(List *targetlist)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *te = (TargetEntry *) lfirst(lc);
		Node	   *expr = (Node *) te->expr;

		if (te->ressortgroupref > 0 && IsA(expr, OpExpr) && !contain_var_clause(expr) &&
			!checkExprHasSubLink(expr) && !contain_aggs_of_level(expr, 0) &&
			!contain_window_function(expr) && !contain_vars_of_level(expr, 1))
			te->expr = (Expr *) eval_const_expressions(NULL, expr);
	}
}

/* ---- anywhere ---- */

/* context: the queries around the node, innermost first */
static Node *
spell_out_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *query = query_tree_mutator((Query *) node, spell_out_mutator,
											   lcons(node, list_copy(context)), 0);

		fold_constant_keys(query->targetList);
		return (Node *) query;
	}
	if (IsA(node, Var))
	{
		RangeTblEntry *view = view_of_row((Var *) node, context);

		return view ? spell_out_view_row((Var *) node, view) : copyObject(node);
	}
	/* before what is in it */
	if (IsA(node, SubLink) && compares_with_subquery_unnameably((SubLink *) node))
		node = spell_out_comparison((SubLink *) node);
	node = expression_tree_mutator(node, spell_out_mutator, context);
	if (IsA(node, DistinctExpr) && !is_of_catalog(((OpExpr *) node)->opno))
		return spell_out_distinct((OpExpr *) node);
	if (IsA(node, NullIfExpr) && !is_of_catalog(((OpExpr *) node)->opno))
		return spell_out_nullif((OpExpr *) node);
	if (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg && compares_with_unnameable((CaseExpr *) node))
		spell_out_case((CaseExpr *) node);
	if (IsA(node, RowCompareExpr) && compares_columns_unnameably((RowCompareExpr *) node))
		return spell_out_row_comparison((RowCompareExpr *) node);
	if (IsA(node, RowExpr) && has_field_names((RowExpr *) node))
		return spell_out_row((RowExpr *) node);
	return node;
}

/* A copy of the expression of which the text means the same under any search_path. */
Expr *
pgt_delta_spell_out(Expr *expr)
{
	return (Expr *) spell_out_mutator((Node *) expr, NULL);
}

/* The same of a whole query, as text. */
char *
pgt_delta_query_text(Query *query)
{
	return pg_get_querydef((Query *) spell_out_mutator((Node *) copyObject(query), NULL), false);
}
