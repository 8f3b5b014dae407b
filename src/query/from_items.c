/*-------------------------------------------------------------------------
 *
 * from_items.c
 *	  Functions, VALUES lists, XMLTABLE, JSON_TABLE, and subqueries without
 *	  tables, as inputs of a block; set-returning functions in a select list.
 *
 * What such an item gives for a row of the inputs before it depends on that row
 * alone: it is linear in them, and has no change of its own.  The item is kept as
 * the server's own range table entry, in which what it refers to is replaced by
 * arguments (Vars 1.i), so that who changes expressions of a block need
 * not look into it; the delta engine prints it with the arguments in place.
 *
 * A subquery that reads no table is such an item whatever is in it (aggregates
 * over an array, LIMIT, WITH RECURSIVE); if it only selects, projects and joins it
 * is pulled up like any other.
 *
 * Functions that return sets in a select list become an item "(SELECT list)"
 * over the rest of the query: the server does the rest.
 *
 * IDENTIFICATION
 *	  src/query/from_items.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "convert_internal.h"
#include "pgtrickle/compat.h"

/* ---- arguments ---- */

typedef struct ArgumentContext
{
	Conversion *cv;
	Scope	   *scope;			/* of the level around the item; NULL: expressions are over the block */
	Index		depth;			/* query levels entered */
	List	   *args;			/* found so far */
} ArgumentContext;

static Node *
make_argument(ArgumentContext *context, Node *expr)
{
	ListCell   *lc;
	int			number = 0;

	foreach(lc, context->args)
	{
		if (equal(lfirst(lc), expr))
			number = foreach_current_index(lc) + 1;
	}
	if (number == 0)
	{
		context->args = lappend(context->args, expr);
		number = list_length(context->args);
	}
	return (Node *) makeVar(1, number, exprType(expr), exprTypmod(expr), exprCollation(expr),
							context->depth);
}

/* A Var or Aggref of a level outside of the item. */
static Node *
outer_argument(ArgumentContext *context, Node *node)
{
	Node	   *own = copyObject(node);

	if (context->depth > 0)
		IncrementVarSublevelsUp(own, -(int) context->depth, context->depth);
	return make_argument(context, pgt_convert_expr(context->cv, context->scope, own));
}

static Node *
to_arguments(Node *node, ArgumentContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *query;

		context->depth++;
		query = query_tree_mutator((Query *) node, to_arguments, (void *) context, 0);
		context->depth--;
		return (Node *) query;
	}
	if (context->scope == NULL)
	{
		/* over the block already */
		if (IsA(node, Var) || (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN))
			return make_argument(context, copyObject(node));
	}
	else if ((IsA(node, Var) && ((Var *) node)->varlevelsup >= context->depth) ||
			 (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup >= context->depth) ||
			 (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup >= context->depth))
		return outer_argument(context, node);
	return expression_tree_mutator(node, to_arguments, (void *) context);
}

/* ---- items ---- */

/*
 * A function that is given names and types of its columns may go by the names: they
 * stay, within ROWS FROM (f(...) AS (name type, ...)), which is how the server prints it if
 * there is an ordinality.
 */
static void
keep_defined_names(RangeTblEntry *item)
{
	if (list_length(item->functions) != 1 || item->funcordinality ||
		linitial_node(RangeTblFunction, item->functions)->funccolnames == NIL)
		return;
	item->funcordinality = true;
	item->eref->colnames = lappend(item->eref->colnames, makeString(pstrdup("ordinality")));
}

/* A column of XMLTABLE without a path is found by its name. */
static void
name_paths(TableFunc *table)
{
	ListCell   *lc,
			   *lc2;

	forboth(lc, table->colexprs, lc2, table->colnames)
	{
		if (lfirst(lc) == NULL && foreach_current_index(lc) != table->ordinalitycol)
			lfirst(lc) = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								   CStringGetTextDatum(strVal(lfirst(lc2))), false, false);
	}
}

/* Columns c1 .. cn; a dropped field of a row type has no name. */
static void
name_columns(RangeTblEntry *item)
{
	List	   *names = NIL;
	ListCell   *lc;

	keep_defined_names(item);
	if (item->tablefunc)
		name_paths(item->tablefunc);
	foreach(lc, item->eref->colnames)
		names = lappend(names, makeString(strVal(lfirst(lc))[0] == '\0' ? pstrdup("") :
										  psprintf("c%d", foreach_current_index(lc) + 1)));
	item->eref = makeAlias("item", names);
	item->alias = makeAlias("item", copyObject(names));
	if (item->tablefunc)
		item->tablefunc->colnames = copyObject(names);
	if (item->subquery)
	{
		AttrNumber	attnum = 0;

		foreach(lc, item->subquery->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if (!tle->resjunk)
				tle->resname = psprintf("c%d", ++attnum);
		}
	}
}

/* Adds the item to the block; its columns over the block. */
static List *
add_item(QueryBlock *block, RangeTblEntry *item, List *args)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));
	List	   *columns;
	int			number;
	ListCell   *lc;

	name_columns(item);
	input->kind = PGT_INPUT_ITEM;
	input->item = item;
	input->args = args;
	number = pgt_convert_add_input(block, input);
	pgt_expand_rte(item, NULL, &columns);
	foreach(lc, columns)
	{
		Var		   *var = (Var *) lfirst(lc);

		/* a dropped field is a NULL constant */
		if (IsA(var, Var))
			var->varno = var->varnosyn = number;
	}
	return columns;
}

static RangeTblEntry *
make_subquery_entry(Query *query)
{
	RangeTblEntry *item = makeNode(RangeTblEntry);
	List	   *names = NIL;
	ListCell   *lc;

	item->rtekind = RTE_SUBQUERY;
	item->subquery = query;
	item->inFromCl = true;
	foreach(lc, query->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			names = lappend(names, makeString(pstrdup("column")));
	item->eref = makeAlias("item", names);
	return item;
}

/* "SELECT" */
static Query *
make_select(void)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	return query;
}

List *
pgt_convert_item(Conversion *cv, Scope *scope, RangeTblEntry *rte)
{
	RangeTblEntry *item = (RangeTblEntry *) copyObject(rte);
	ArgumentContext context = {cv, NULL, 0, NIL};
	List	   *columns;

	if (rte->rtekind == RTE_SUBQUERY)
	{
		context.scope = scope;
		item->subquery = (Query *) to_arguments((Node *) rte->subquery, &context);
		item->security_barrier = false;
	}
	else
	{
		item->functions = (List *) to_arguments(pgt_convert_expr(cv, scope, (Node *) rte->functions),
												&context);
		item->tablefunc = (TableFunc *) to_arguments(pgt_convert_expr(cv, scope, (Node *) rte->tablefunc),
													 &context);
		item->values_lists = (List *) to_arguments(pgt_convert_expr(cv, scope, (Node *) rte->values_lists),
												   &context);
	}
	if (cv->reason)
		return NIL;
	columns = add_item(scope->block, item, context.args);
	/* without an ordinality that was only added */
	return rte->rtekind == RTE_FUNCTION && !rte->funcordinality && item->funcordinality ?
		list_truncate(columns, list_length(columns) - 1) : columns;
}

void
pgt_convert_add_series(QueryBlock *block, Node *count)
{
	ArgumentContext context = {NULL, NULL, 0, NIL};
	RangeTblEntry *item = makeNode(RangeTblEntry);
	RangeTblFunction *function = makeNode(RangeTblFunction);
	Node	   *one = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(1),
										 false, FLOAT8PASSBYVAL);
	FuncExpr   *call = makeFuncExpr(F_GENERATE_SERIES_INT8_INT8, INT8OID,
									list_make2(one, to_arguments(count, &context)),
									InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);

	call->funcretset = true;
	function->funcexpr = (Node *) call;
	function->funccolcount = 1;
	item->rtekind = RTE_FUNCTION;
	item->functions = list_make1(function);
	item->inFromCl = true;
	item->eref = makeAlias("item", list_make1(makeString(pstrdup("copy"))));
	(void) add_item(block, item, context.args);
}

/* ---- subqueries that read no table ---- */

typedef struct ClosedContext
{
	Index		depth;			/* query levels entered */
} ClosedContext;

static bool
reads_walker(Node *node, ClosedContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		/* what is left of views after rewriting stands in no FROM list */
		return (rte->rtekind == RTE_RELATION && rte->relkind != RELKIND_VIEW) ||
			rte->rtekind == RTE_NAMEDTUPLESTORE ||
			(rte->rtekind == RTE_CTE && rte->ctelevelsup >= context->depth);
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		bool		reads;

		/* what LIMIT takes must not depend on chance */
		if (query->commandType != CMD_SELECT || query->rowMarks != NIL ||
			((query->limitCount || query->limitOffset) && query->sortClause == NIL))
			return true;
		context->depth++;
		reads = query_tree_walker(query, reads_walker, (void *) context,
								  QTW_EXAMINE_RTES_BEFORE);
		context->depth--;
		return reads;
	}
	return expression_tree_walker(node, reads_walker, (void *) context);
}

bool
pgt_query_reads_nothing(Query *query)
{
	ClosedContext context = {0};

	return !reads_walker((Node *) query, &context);
}

static bool
has_outer_join(Node *node)
{
	ListCell   *lc;

	if (IsA(node, JoinExpr))
		return ((JoinExpr *) node)->jointype != JOIN_INNER ||
			has_outer_join(((JoinExpr *) node)->larg) ||
			has_outer_join(((JoinExpr *) node)->rarg);
	if (IsA(node, FromExpr))
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (has_outer_join(lfirst(lc)))
				return true;
	return false;
}

/* Can it be pulled up? */
static bool
is_plain(const Query *query)
{
	return !query->setOperations && !query->hasAggs && !query->groupClause &&
		!query->groupingSets && !query->havingQual && !query->hasWindowFuncs &&
		!query->distinctClause && !query->limitCount && !query->limitOffset &&
		!query->hasSubLinks && !query->cteList && !has_outer_join((Node *) query->jointree);
}

bool
pgt_convert_query_as_item(Conversion *cv, Query *query, Scope *parent, QueryBlock *into,
						  List **columns)
{
	ArgumentContext context = {cv, NULL, 0, NIL};
	Scope		around;

	if (is_plain(query) || !pgt_query_reads_nothing(query))
		return false;
	if (parent)
	{
		/* references are to be over the block that the item goes into */
		around = *parent;
		around.block = into;
		context.scope = &around;
	}
	else
		context.scope = pgt_convert_make_scope(query, NULL, into);
	query = (Query *) to_arguments((Node *) query, &context);
	*columns = cv->reason ? NIL : add_item(into, make_subquery_entry(query), context.args);
	return true;
}

Node *
pgt_convert_sublink_item(Conversion *cv, Scope *scope, SubLink *sublink)
{
	ArgumentContext context = {cv, scope, 0, NIL};
	Query	   *query = make_select();
	Node	   *expr = copyObject((Node *) sublink);

	IncrementVarSublevelsUp(expr, 1, 0);
	query->hasSubLinks = true;
	query->targetList = list_make1(makeTargetEntry((Expr *) expr, 1, pstrdup("column"), false));
	query = (Query *) to_arguments((Node *) query, &context);
	if (cv->reason)
		return (Node *) makeNullConst(exprType((Node *) sublink), -1, exprCollation((Node *) sublink));
	return (Node *) linitial(add_item(scope->block, make_subquery_entry(query), context.args));
}

/* ---- LEFT JOIN of an item ---- */

bool
pgt_convert_left_join_item(Conversion *cv, Scope *scope, JoinExpr *join)
{
	RangeTblEntry *rte;
	RteMap	   *map;
	Input	   *input;

	if (join->jointype != JOIN_LEFT || !IsA(join->rarg, RangeTblRef))
		return false;
	rte = rt_fetch(((RangeTblRef *) join->rarg)->rtindex, scope->query->rtable);
	if (rte->rtekind != RTE_FUNCTION && rte->rtekind != RTE_TABLEFUNC &&
		rte->rtekind != RTE_VALUES &&
		!(rte->rtekind == RTE_SUBQUERY && pgt_query_reads_nothing(rte->subquery)))
		return false;
	/*
	 * What a subquery gives is attached after the items; a row made of the
	 * columns of one that is missing would not be NULL.
	 */
	if (checkExprHasSubLink(join->quals) ||
		pgt_convert_refers_to_row(scope, ((RangeTblRef *) join->rarg)->rtindex))
	{
		pgt_convert_outer_join_as_union(cv, scope, join);
		return true;
	}
	if (pgt_convert_contains_native(cv, scope, join->larg))
		pgt_convert_join_as_subquery(cv, scope, join->larg);
	else
		pgt_convert_from(cv, scope, join->larg);
	if (cv->reason)
		return true;
	map = &scope->maps[((RangeTblRef *) join->rarg)->rtindex - 1];
	map->block = scope->block;
	map->exprs = pgt_convert_item(cv, scope, rte);
	map->mapped = true;
	if (cv->reason)
		return true;
	input = (Input *) llast(scope->block->inputs);
	input->outer = true;
	input->on = pgt_convert_conjuncts(cv, scope, join->quals);
	return true;
}

/* ---- set-returning functions in a select list ---- */

/* SELECT all columns, row_number() OVER () FROM (query) */
static Query *
make_numbered(Query *query)
{
	Query	   *numbered = make_select();
	RangeTblRef *ref = makeNode(RangeTblRef);
	WindowClause *window = makeNode(WindowClause);
	WindowFunc *number = makeNode(WindowFunc);
	ListCell   *lc;

	numbered->rtable = list_make1(make_subquery_entry(query));
	ref->rtindex = 1;
	numbered->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) tle->expr;

		numbered->targetList = lappend(numbered->targetList,
									   makeTargetEntry((Expr *) makeVar(1, tle->resno, exprType(expr),
																		exprTypmod(expr),
																		exprCollation(expr), 0),
													   tle->resno, pstrdup("column"), false));
	}
	number->winfnoid = F_ROW_NUMBER;
	number->wintype = INT8OID;
	number->winref = window->winref = 1;
	number->location = -1;
	window->frameOptions = FRAMEOPTION_DEFAULTS;
	numbered->windowClause = list_make1(window);
	numbered->hasWindowFuncs = true;
	numbered->targetList = lappend(numbered->targetList,
								   makeTargetEntry((Expr *) number,
												   list_length(numbered->targetList) + 1,
												   pstrdup("column"), false));
	name_columns(linitial_node(RangeTblEntry, numbered->rtable));
	return numbered;
}

List *
pgt_convert_set_returning(List *exprs, QueryBlock *into, bool number)
{
	ArgumentContext context = {NULL, NULL, number ? 2 : 1, NIL};
	Query	   *query = make_select();
	List	   *columns;
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *column;

	query->hasTargetSRFs = true;
	foreach(lc, exprs)
	{
		if (expression_returns_set(lfirst(lc)))
			query->targetList = lappend(query->targetList,
										makeTargetEntry((Expr *) to_arguments(lfirst(lc), &context),
														list_length(query->targetList) + 1,
														pstrdup("column"), false));
	}
	if (query->targetList == NIL)
		return exprs;
	columns = add_item(into, make_subquery_entry(number ? make_numbered(query) : query), context.args);
	column = list_head(columns);
	foreach(lc, exprs)
	{
		if (expression_returns_set(lfirst(lc)))
		{
			result = lappend(result, lfirst(column));
			column = lnext(columns, column);
		}
		else
			result = lappend(result, lfirst(lc));
	}
	return number ? lappend(result, lfirst(column)) : result;
}

typedef struct ReplaceContext
{
	List	   *from;
	List	   *to;
} ReplaceContext;

static Node *
replace_mutator(Node *node, ReplaceContext *context)
{
	ListCell   *lc,
			   *lc2;

	if (node == NULL)
		return NULL;
	forboth(lc, context->from, lc2, context->to)
	{
		if (equal(lfirst(lc), node))
			return copyObject(lfirst(lc2));
	}
	return expression_tree_mutator(node, replace_mutator, (void *) context);
}

List *
pgt_convert_set_returning_keys(List *keys, List **exprs, QueryBlock *block)
{
	List	   *columns = pgt_convert_set_returning(keys, block, false);
	ReplaceContext context = {keys, columns};

	if (columns != keys)
		*exprs = (List *) replace_mutator((Node *) *exprs, &context);
	return columns;
}
