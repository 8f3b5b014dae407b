/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  ORDER BY with LIMIT, OFFSET, FETCH FIRST: a stage without keys, whose
 *	  rows are the result; in a LATERAL subquery, one with keys, see lateral.c.
 *
 * LIMIT n OFFSET m is two stages: the first n + m rows, with what they are sorted by,
 * into which changes are merged (refresh/first_rows.c), and the rows after the m-th of those.
 * OFFSET m alone is all rows less the first m.
 *
 * IDENTIFICATION
 *	  src/query/limit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

static bool
is_null(const Node *node)
{
	return node == NULL || (IsA(node, Const) && ((const Const *) node)->constisnull);
}

/* LIMIT ALL, LIMIT NULL and OFFSET NULL leave every row. */
bool
pgt_query_has_limit(const Query *query)
{
	return !is_null(query->limitCount) || !is_null(query->limitOffset);
}

static List *
result_of(Query *query, const Stage *stage)
{
	List	   *result = NIL;
	int			column = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		result = lappend(result, !tle->resjunk ? (Node *) pgt_query_stage_var(stage, ++column) :
						 (Node *) makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	return result;
}

/* All rows below, with what they are sorted by. */
static void
add_columns(Query *top, Query *query, QueryBlock *block, List *exprs)
{
	ListCell   *lc,
			   *lc2;

	forboth(lc, query->targetList, lc2, exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk || pgt_query_clause_uses(query->sortClause, tle))
			pgt_query_add_top_column(top, (Expr *) pgt_query_over_block(lfirst(lc2), block),
									 tle->ressortgroupref, tle->resjunk);
	}
}

/* The same as columns of the block, all of them output. */
static void
add_block_columns(Query *top, Query *query, QueryBlock *block, List *exprs)
{
	ListCell   *lc,
			   *lc2;

	forboth(lc, query->targetList, lc2, exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk || pgt_query_clause_uses(query->sortClause, tle))
			pgt_query_add_top_column(top, (Expr *) pgt_query_block_var(lfirst(lc2), block),
									 tle->ressortgroupref, false);
	}
}

static bool
can_be_compared(Query *query, List *exprs)
{
	ListCell   *lc;

	foreach(lc, pgt_query_clause_exprs(query->sortClause, query->targetList, exprs))
		if (get_typtype(exprType(lfirst(lc))) == TYPTYPE_PSEUDO)
			return false;
	return true;
}

/* How the rows of the stage are sorted. */
static List *
make_order(const Query *query, const Query *top, const QueryBlock *block)
{
	List	   *order = NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, query->sortClause)
	{
		SortGroupClause *sgc = lfirst_node(SortGroupClause, lc);
		SortColumn *sort = (SortColumn *) palloc0(sizeof(SortColumn));

		foreach(lc2, top->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc2);

			if (tle->ressortgroupref != sgc->tleSortGroupRef)
				continue;
			sort->column = foreach_current_index(lc2) + 1;
			sort->block_column = castNode(Var, tle->expr)->varattno;
		}
		sort->sortop = sgc->sortop;
		sort->eqop = sgc->eqop;
		sort->nulls_first = sgc->nulls_first;
		order = lappend(order, sort);
	}
	return order;
}

/* The stage's output columns are not the query's only: those that are. */
static List *
output_of(Query *query, const Stage *stage)
{
	List	   *result = NIL;
	int			column = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		result = lappend(result, !tle->resjunk || pgt_query_clause_uses(query->sortClause, tle) ?
						 (Node *) pgt_query_stage_var(stage, ++column) :
						 (Node *) makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	return result;
}

static bool
constant_count(Node *node, int64 missing, int64 *count)
{
	Const	   *constant;

	*count = missing;
	if (is_null(node))
		return true;
	constant = (Const *) eval_const_expressions(NULL, copyObject(node));
	if (!IsA(constant, Const) || constant->consttype != INT8OID || constant->constisnull)
		return false;
	*count = DatumGetInt64(constant->constvalue);
	return *count >= 0;
}

/* ---- LIMIT for each combination of keys ---- */

static Expr *
window_function(Oid function)
{
	WindowFunc *func = makeNode(WindowFunc);

	func->winfnoid = function;
	func->wintype = INT8OID;
	func->winref = 1;
	func->location = -1;
	return (Expr *) func;
}

static Expr *
compare_column(int column, const char *operator, int64 value)
{
	Oid			opno = OpernameGetOprid(list_make2(makeString("pg_catalog"),
												   makeString(pstrdup(operator))),
										INT8OID, INT8OID);

	return make_opclause(opno, BOOLOID, false,
						 (Expr *) makeVar(1, column, INT8OID, -1, InvalidOid, 0),
						 (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
											Int64GetDatum(value), false, FLOAT8PASSBYVAL),
						 InvalidOid, InvalidOid);
}

/* The rows of numbered whose row number (or rank) is within the limits, without these two. */
static Query *
select_numbered(Query *numbered, const Query *query, int64 count, int64 offset)
{
	Query	   *top = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *quals = NIL;
	int			number = 0;
	int			row_number = 0;
	int			rank = 0;
	ListCell   *lc;

	top->commandType = CMD_SELECT;
	top->canSetTag = true;
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = numbered;
	rte->alias = makeAlias("n", NIL);
	rte->eref = makeAlias("n", NIL);
	rte->inFromCl = true;
	linitial_node(RangeTblEntry, numbered->rtable)->ctelevelsup = 1;
	foreach(lc, numbered->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (IsA(tle->expr, WindowFunc))
			tle->resjunk = false;	/* visible here, but not outside */
		if (tle->resjunk)
			continue;
		number++;
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(tle->resname)));
		if (!IsA(tle->expr, WindowFunc))
			pgt_query_add_top_column(top, (Expr *) makeVar(1, number, exprType((Node *) tle->expr),
														   exprTypmod((Node *) tle->expr),
														   exprCollation((Node *) tle->expr), 0),
									 0, false);
		else if (((WindowFunc *) tle->expr)->winfnoid == F_RANK_)
			rank = number;
		else
			row_number = number;
	}
	top->rtable = list_make1(rte);
	ref->rtindex = 1;
	if (offset > 0)
		quals = lappend(quals, compare_column(row_number, ">", offset));
	if (!is_null(query->limitCount))
		quals = lappend(quals, compare_column(query->limitOption == LIMIT_OPTION_WITH_TIES ?
											  rank : row_number, "<=",
											  count > PG_INT64_MAX - offset ? PG_INT64_MAX : count + offset));
	top->jointree = makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(quals));
	return top;
}

/*
 * The last nkeys of the output columns are the keys.  Rows are numbered in the
 * order of the query for each combination of them, and the rank tells which rows
 * are equal in that order.
 */
static Stage *
add_numbered_stage(Definition *def, Query *query, QueryBlock *block, List *exprs, int nkeys,
				   UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();
	WindowClause *window = makeNode(WindowClause);
	List	   *keys = list_copy_tail(exprs, list_length(exprs) - nkeys);
	List	   *partition_keys = pgt_query_partition_keys(keys);
	int64		count;
	int64		offset;
	Stage	   *stage;

	if (!constant_count(query->limitCount, PG_INT64_MAX, &count) ||
		!constant_count(query->limitOffset, 0, &offset))
	{
		*reason = pgt_reason_make("variable_limit",
								  exprLocation(query->limitCount ? query->limitCount : query->limitOffset),
								  pstrdup("a LIMIT or OFFSET that is not a constant, in a subquery that refers outwards, cannot be maintained differentially"),
								  NULL, pstrdup("Use a constant; " OR_FULL));
		return NULL;
	}
	block->tlist = copyObject(partition_keys);
	add_columns(top, query, block, exprs);
	pgt_query_add_top_column(top, window_function(F_ROW_NUMBER), 0, true);
	pgt_query_add_top_column(top, window_function(F_RANK_), 0, true);
	window->winref = 1;
	window->partitionClause = list_truncate(copyObject(query->sortClause), nkeys);
	window->orderClause = list_copy_tail(copyObject(query->sortClause), nkeys);
	window->frameOptions = FRAMEOPTION_DEFAULTS;
	top->windowClause = list_make1(window);
	top->hasWindowFuncs = true;
	stage = pgt_query_add_partition_stage(def, block, list_length(partition_keys), top,
										  "ORDER BY and LIMIT", reason);
	if (stage == NULL)
		return NULL;
	stage->one_per_key = count <= 1 && query->limitOption != LIMIT_OPTION_WITH_TIES &&
		list_length(keys) == list_length(partition_keys);
	stage->top = select_numbered(top, query, count, offset);
	return stage;
}

/* ---- LIMIT for all rows ---- */

/* The first n rows, and what they are sorted by. */
static Stage *
add_first_rows_stage(Definition *def, Query *query, QueryBlock *block, List *exprs,
					 int64 n, UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();
	Stage	   *stage;

	block->tlist = NIL;
	add_block_columns(top, query, block, exprs);
	top->sortClause = copyObject(query->sortClause);
	top->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
										 Int64GetDatum(n), false, FLOAT8PASSBYVAL);
	top->limitOption = query->limitOption;
	stage = pgt_query_add_partition_stage(def, block, 0, top, "ORDER BY and LIMIT", reason);
	if (stage == NULL)
		return NULL;
	stage->limit_rows = n;
	stage->with_ties = query->limitOption == LIMIT_OPTION_WITH_TIES;
	stage->order = make_order(query, top, block);
	return stage;
}

/* What the clauses of the query leave of all rows of the block. */
static Stage *
add_limited_stage(Definition *def, Query *query, QueryBlock *block, List *exprs,
				  const char *operation, UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();

	block->tlist = NIL;
	add_columns(top, query, block, exprs);
	top->sortClause = copyObject(query->sortClause);
	top->limitCount = copyObject(query->limitCount);
	top->limitOffset = copyObject(query->limitOffset);
	top->limitOption = query->limitOption;
	return pgt_query_add_partition_stage(def, block, 0, top, operation, reason);
}

/* Returns exprs over a new *block, as below. */
static List *
add_stages(Definition *def, Query *query, QueryBlock **block, List *exprs,
		   UnsupportedReason **reason)
{
	const char *operation = "ORDER BY and LIMIT";
	int64		count;
	int64		offset;
	Stage	   *stage;

	if (!is_null(query->limitCount) && query->sortClause != NIL &&
		constant_count(query->limitCount, 0, &count) &&
		constant_count(query->limitOffset, 0, &offset) &&
		count <= PG_INT64_MAX - offset && can_be_compared(query, exprs))
	{
		stage = add_first_rows_stage(def, query, *block, exprs, count + offset, reason);
		if (stage == NULL)
			return NIL;
		*block = pgt_query_block_over_stage(stage);
		exprs = output_of(query, stage);
		if (offset == 0)
			return exprs;
		operation = "OFFSET over the first rows";
	}
	stage = add_limited_stage(def, query, *block, exprs, operation, reason);
	if (stage == NULL)
		return NIL;
	if (is_null(query->limitCount))
		stage->whole_because = "rows that are equal may look different";
	*block = pgt_query_block_over_stage(stage);
	return result_of(query, stage);
}

/* ---- OFFSET alone ---- */

/* All columns that the stage of the first rows has, as those of an operation that takes them away. */
static SetOperationStmt *
make_except(Query *query, List *exprs, List **columns)
{
	SetOperationStmt *op = makeNode(SetOperationStmt);
	ListCell   *lc,
			   *lc2;

	op->op = SETOP_EXCEPT;
	op->all = true;
	*columns = NIL;
	forboth(lc, query->targetList, lc2, exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) lfirst(lc2);

		if (tle->resjunk && !pgt_query_clause_uses(query->sortClause, tle))
			continue;
		*columns = lappend(*columns, expr);
		op->colTypes = lappend_oid(op->colTypes, exprType(expr));
		op->colTypmods = lappend_int(op->colTypmods, exprTypmod(expr));
		op->colCollations = lappend_oid(op->colCollations, exprCollation(expr));
	}
	return op;
}

static void
add_group_clauses(SetOperationStmt *op)
{
	ListCell   *lc;

	foreach(lc, op->colTypes)
	{
		SortGroupClause *clause = makeNode(SortGroupClause);

		get_sort_group_operators(lfirst_oid(lc), true, true, false,
								 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
		op->groupClauses = lappend(op->groupClauses, clause);
	}
}

/*
 * OFFSET m:		Q except all (the first m rows of Q)
 *
 * The stage of the first m rows merges changes; it always has rows that Q has, so that what is
 * taken away is there.  Rows that are equal must look the same.  Returns false if they may not.
 */
static bool
skip_first(Conversion *cv, Query *query, QueryBlock **block, List **exprs)
{
	int64		offset;
	List	   *columns;
	SetOperationStmt *op = make_except(query, *exprs, &columns);
	QueryBlock *all = pgt_convert_make_block();
	QueryBlock *first;
	List	   *vars = NIL;
	List	   *result = NIL;
	Stage	   *stage;
	ListCell   *lc;

	if (!is_null(query->limitCount) || query->sortClause == NIL ||
		!constant_count(query->limitOffset, 0, &offset) ||
		!pgt_convert_has_exact_columns(op->colTypes, op->colCollations))
		return false;
	if (offset == 0)
		return true;
	add_group_clauses(op);
	(*block)->tlist = copyObject(columns);
	all->tlist = lappend(pgt_convert_merge_block(*block, all), makeBoolConst(true, false));
	stage = add_first_rows_stage(cv->def, query, *block, *exprs, offset, &cv->reason);
	if (stage == NULL)
		return true;
	first = pgt_query_block_over_stage(stage);
	for (int i = 1; i <= list_length(columns); i++)
		first->tlist = lappend(first->tlist, pgt_query_stage_var(stage, i));
	first->tlist = lappend(first->tlist, makeBoolConst(false, false));
	*block = pgt_convert_make_block();
	vars = pgt_convert_counted_sides(cv, op, list_concat(pgt_query_block_as_union(all), list_make1(first)),
									 *block);
	if (cv->reason)
		return true;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk && !pgt_query_clause_uses(query->sortClause, tle))
			result = lappend(result, makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
		else
		{
			result = lappend(result, linitial(vars));
			vars = list_delete_first(vars);
		}
	}
	*exprs = result;
	return true;
}

List *
pgt_convert_limit(Conversion *cv, Query *query, QueryBlock **block, List *exprs, int nkeys)
{
	Stage	   *stage;

	if (nkeys == 0)
		return skip_first(cv, query, block, &exprs) ? exprs :
			add_stages(cv->def, query, block, exprs, &cv->reason);
	stage = add_numbered_stage(cv->def, query, *block, exprs, nkeys, &cv->reason);
	if (stage == NULL)
		return NIL;
	*block = pgt_query_block_over_stage(stage);
	return result_of(query, stage);
}
