/*-------------------------------------------------------------------------
 *
 * native.c
 *	  Subqueries that no other rule takes: computed by PostgreSQL as they are
 *	  written, for the rows that a change can reach.
 *
 * Conversion.native lists the subqueries of the defining query, in expressions or
 * LATERAL, that conversion failed at.  The level of the query that contains some
 * of them becomes
 *
 *		a block: what else is in FROM and WHERE
 *		a partition stage over it: the subqueries, and the conditions that refer to them,
 *		with the columns of the outer row that they use as keys
 *
 * What a subquery gives for a row depends on these columns and on the tables that it
 * reads.  A change of such a table reaches the rows that it is equated to in
 * the subquery (Stage.watched, Stage.probes), or, where it is not, all.
 *
 * IDENTIFICATION
 *	  src/query/native.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

/* A LATERAL subquery left out of the block. */
typedef struct NativeJoin
{
	int			rti;
	JoinType	type;			/* INNER or LEFT */
	Node	   *quals;			/* LEFT: its condition */
} NativeJoin;

typedef struct NativeValue
{
	Node	   *sublink;
	Node	   *expr;
} NativeValue;

/* ---- which constructs ---- */

static bool
is_native(Conversion *cv, Node *node)
{
	return cv->native != NIL && list_member(cv->native, node);
}

typedef struct FindContext
{
	Conversion *cv;
	bool		in_aggregate;
	bool		grouped;
	bool		found;
	bool		misplaced;		/* would have to be computed after grouping */
} FindContext;

static bool
find_walker(Node *node, FindContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && is_native(context->cv, node))
	{
		context->found = true;
		if (context->grouped && !context->in_aggregate)
			context->misplaced = true;
		return false;
	}
	if (IsA(node, Query))
		return false;
	if (IsA(node, Aggref))
	{
		bool		before = context->in_aggregate;

		context->in_aggregate = true;
		(void) expression_tree_walker(node, find_walker, (void *) context);
		context->in_aggregate = before;
		return false;
	}
	return expression_tree_walker(node, find_walker, (void *) context);
}

static void
find_native(Conversion *cv, Query *query, bool grouped, FindContext *context)
{
	ListCell   *lc;

	context->cv = cv;
	foreach(lc, query->rtable)
	{
		if (lfirst_node(RangeTblEntry, lc)->lateral && is_native(cv, lfirst(lc)))
			context->found = true;
#if PG_VERSION_NUM >= 180000
		if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_GROUP)
			(void) find_walker((Node *) lfirst_node(RangeTblEntry, lc)->groupexprs, context);
#endif
	}
	(void) find_walker((Node *) query->jointree, context);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		/* what is grouped by is computed before */
		context->grouped = grouped && !pgt_query_clause_uses(query->groupClause, tle);
		(void) find_walker((Node *) tle->expr, context);
	}
	context->grouped = grouped;
	(void) find_walker(query->havingQual, context);
}

bool
pgt_convert_has_native(Conversion *cv, Query *query, bool grouped)
{
	FindContext context = {0};

	if (cv->native == NIL)
		return false;
	find_native(cv, query, grouped, &context);
	return context.found && !context.misplaced;
}

bool
pgt_convert_has_misplaced_native(Conversion *cv, Query *query)
{
	FindContext context = {0};

	if (cv->native == NIL ||
		(!query->groupClause && !query->groupingSets && !query->hasAggs && !query->havingQual))
		return false;
	find_native(cv, query, true, &context);
	return context.misplaced;
}

bool
pgt_convert_contains_native(Conversion *cv, Scope *scope, Node *join)
{
	int			rti = -1;
	Bitmapset  *relids;

	if (cv->native == NIL)
		return false;
	relids = pgt_convert_rtindexes(join);
	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = rt_fetch(rti, scope->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && rte->lateral && is_native(cv, (Node *) rte))
			return true;
	}
	return false;
}

/* ---- what is left out of the block ---- */

static bool
at_level(const Scope *scope)
{
	return scope->native_block != NULL && scope->block == scope->native_block;
}

bool
pgt_convert_may_leave_join(Conversion *cv, Scope *scope, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, scope->query->rtable);

	return at_level(scope) && rte->rtekind == RTE_SUBQUERY && is_native(cv, (Node *) rte);
}

bool
pgt_convert_native_join(Conversion *cv, Scope *scope, int rti, JoinType type, Node *quals)
{
	NativeJoin *join;

	if (!pgt_convert_may_leave_join(cv, scope, rti))
		return false;
	join = (NativeJoin *) palloc0(sizeof(NativeJoin));
	join->rti = rti;
	join->type = type;
	join->quals = quals;
	scope->native_joins = lappend(scope->native_joins, join);
	return true;
}

static int
native_join_number(const Scope *scope, int rti)
{
	ListCell   *lc;

	foreach(lc, scope->native_joins)
	{
		if (((NativeJoin *) lfirst(lc))->rti == rti)
			return foreach_current_index(lc) + 1;
	}
	return 0;
}

typedef struct UseContext
{
	Conversion *cv;
	const Scope *scope;
	Index		depth;
} UseContext;

/* Does the condition contain a native subquery, or refer to a LATERAL one? */
static bool
use_walker(Node *node, UseContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && context->depth == 0 && is_native(context->cv, node))
		return true;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;
		Index		depth = context->depth;
		bool		result;

		if (var->varlevelsup != depth)
			return false;
		rte = rt_fetch(var->varno, context->scope->query->rtable);
		if (rte->rtekind != RTE_JOIN || var->varattno <= 0)
			return native_join_number(context->scope, var->varno) > 0;
		context->depth = 0;
		result = use_walker(list_nth(rte->joinaliasvars, var->varattno - 1), context);
		context->depth = depth;
		return result;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, use_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, use_walker, (void *) context);
}

bool
pgt_convert_uses_native(Conversion *cv, Scope *scope, Node *qual)
{
	UseContext	context = {cv, scope, 0};

	return at_level(scope) && use_walker(qual, &context);
}

bool
pgt_convert_native_qual(Conversion *cv, Scope *scope, Node *qual)
{
	if (!pgt_convert_uses_native(cv, scope, qual))
		return false;
	scope->native_quals = lappend(scope->native_quals, qual);
	return true;
}

Node *
pgt_convert_native_value(Scope *scope, SubLink *sublink)
{
	ListCell   *lc;

	foreach(lc, scope->native_values)
	{
		NativeValue *value = (NativeValue *) lfirst(lc);

		if (equal(value->sublink, sublink))
			return copyObject(value->expr);
	}
	return NULL;
}

/* ---- expressions of the level over the rows of the block ---- */

typedef struct TopContext
{
	Conversion *cv;
	Scope	   *scope;
	QueryBlock *block;			/* its tlist grows */
	Index		depth;			/* levels of query below the level */
	bool		refused;
} TopContext;

static Node *to_top(Node *node, TopContext *context);

static Node *
var_to_top(Var *var, TopContext *context)
{
	RangeTblEntry *rte;
	int			join;
	Index		depth = context->depth;
	Var		   *own;
	Node	   *expr;

	if (var->varlevelsup < depth)
		return copyObject((Node *) var);
	if (var->varlevelsup > depth)
	{
		context->refused = true;
		return copyObject((Node *) var);
	}
	rte = rt_fetch(var->varno, context->scope->query->rtable);
	if (rte->rtekind == RTE_JOIN && var->varattno > 0)
	{
		context->depth = 0;
		expr = to_top(list_nth(rte->joinaliasvars, var->varattno - 1), context);
		context->depth = depth;
		IncrementVarSublevelsUp(expr, depth, 0);
		return expr;
	}
	join = native_join_number(context->scope, var->varno);
	if (join > 0)
	{
		own = (Var *) copyObject(var);
		own->varno = own->varnosyn = join + 1;
		own->varattnosyn = own->varattno;
		return (Node *) own;
	}
	if (var->varattno <= 0)
	{
		context->refused = true;
		return copyObject((Node *) var);
	}
	own = (Var *) copyObject(var);
	own->varlevelsup = 0;
	expr = pgt_query_over_block(pgt_convert_expr(context->cv, context->scope, (Node *) own),
								context->block);
	IncrementVarSublevelsUp(expr, depth, 0);
	return expr;
}

/*
 * A reference to a WITH query around the subquery becomes a subquery in FROM; left as
 * it is, and refused later, if it is a recursive one.
 */
static Node *
cte_to_top(RangeTblEntry *rte, TopContext *context)
{
	Index		level = rte->ctelevelsup - context->depth;
	Scope	   *scope = context->scope;
	ListCell   *lc;

	for (Index i = level; i > 0 && scope != NULL; i--)
		scope = scope->parent;
	foreach(lc, scope ? scope->query->cteList : NIL)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		RangeTblEntry *copy;

		if (strcmp(cte->ctename, rte->ctename) != 0 || cte->cterecursive)
			continue;
		copy = (RangeTblEntry *) copyObject(rte);
		copy->rtekind = RTE_SUBQUERY;
		copy->subquery = castNode(Query, copyObject(cte->ctequery));
		copy->ctename = NULL;
		copy->ctelevelsup = 0;
		copy->coltypes = copy->coltypmods = copy->colcollations = NIL;
		IncrementVarSublevelsUp((Node *) copy->subquery, context->depth + level, 1);
		copy->subquery = (Query *) to_top((Node *) copy->subquery, context);
		if (copy->alias == NULL)
			copy->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
		return (Node *) copy;
	}
	return copyObject((Node *) rte);
}

/* The entries of a level of query below the level. */
static List *
entries_to_top(List *rtable, TopContext *context)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup >= context->depth)
			result = lappend(result, cte_to_top(rte, context));
		else
			result = list_concat(result, range_table_mutator(list_make1(rte), to_top,
															 (void *) context, 0));
	}
	return result;
}

static Node *
to_top(Node *node, TopContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return var_to_top((Var *) node, context);
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup >= context->depth)
		context->refused = true;
	if (IsA(node, Query))
	{
		Query		rest = *(Query *) node;
		Query	   *result;

		/* query_tree_mutator() knows no way to leave the range table out */
		rest.rtable = NIL;
		context->depth++;
		result = query_tree_mutator(&rest, to_top, (void *) context, 0);
		result->rtable = entries_to_top(((Query *) node)->rtable, context);
		context->depth--;
		return (Node *) result;
	}
	return expression_tree_mutator(node, to_top, (void *) context);
}

/* A WITH query of the level or of one further out, or ONLY of a parent. */
static bool
refused_rte_walker(Node *node, Index *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool		result;

		(*depth)++;
		result = query_tree_walker((Query *) node, refused_rte_walker, (void *) depth,
								   QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return result;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return (rte->rtekind == RTE_CTE && rte->ctelevelsup >= *depth) ||
			(rte->rtekind == RTE_RELATION && !rte->inh && has_subclass(rte->relid));
	}
	return expression_tree_walker(node, refused_rte_walker, (void *) depth);
}

static bool
refuses(Node *node)
{
	Index		depth = 0;

	return refused_rte_walker(node, &depth);
}

static bool
subqueries_refuse(const Query *top)
{
	ListCell   *lc;

	foreach(lc, top->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY && refuses((Node *) rte->subquery))
			return true;
	}
	return false;
}

/* ---- what the rest of the level needs ---- */

typedef struct RestContext
{
	Conversion *cv;
	Scope	   *scope;
	Index		depth;
	List	   *vars;			/* of the level, as of level 0 */
	List	   *sublinks;		/* native ones */
} RestContext;

static bool
rest_walker(Node *node, RestContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && context->depth == 0 && is_native(context->cv, node))
	{
		if (!list_member(context->sublinks, node))
			context->sublinks = lappend(context->sublinks, node);
		return false;
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;
		Index		depth = context->depth;
		Node	   *expr = NULL;

		if (var->varlevelsup != depth)
			return false;
		rte = rt_fetch(var->varno, context->scope->query->rtable);
		if (rte->rtekind == RTE_JOIN && var->varattno > 0)
			expr = (Node *) list_nth(rte->joinaliasvars, var->varattno - 1);
#if PG_VERSION_NUM >= 180000
		if (rte->rtekind == RTE_GROUP)
			expr = (Node *) list_nth(rte->groupexprs, var->varattno - 1);
#endif
		if (expr)
		{
			context->depth = 0;
			(void) rest_walker(expr, context);
			context->depth = depth;
			return false;
		}
		var = (Var *) copyObject(var);
		var->varlevelsup = 0;
		context->vars = list_append_unique(context->vars, var);
		return false;
	}
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, rest_walker, (void *) context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, rest_walker, (void *) context);
}

/* ---- tables that the subqueries read ---- */

/* b.column in a condition at that depth, or 0. */
static int
outer_column(Node *node, Index depth)
{
	Var		   *var = (Var *) strip_implicit_coercions(node);

	return IsA(var, Var) && var->varlevelsup == depth && var->varno == 1 ? var->varattno : 0;
}

static AttrNumber
own_column(Node *node, int rti)
{
	Var		   *var = (Var *) strip_implicit_coercions(node);

	return IsA(var, Var) && var->varlevelsup == 0 && var->varno == rti && var->varattno > 0 ?
		var->varattno : 0;
}

/* A condition that a row of the table must meet to have any effect. */
static Probe *
find_probe(Node *quals, int rti, Index depth)
{
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) quals))
	{
		OpExpr	   *op = (OpExpr *) lfirst(lc);

		if (is_andclause(op))
		{
			Probe	   *probe = NULL;
			ListCell   *lc2;

			foreach(lc2, ((BoolExpr *) op)->args)
				if (probe == NULL)
					probe = find_probe((Node *) lfirst(lc2), rti, depth);
			if (probe)
				return probe;
			continue;
		}
		if (!IsA(op, OpExpr) || list_length(op->args) != 2 || op->opretset ||
			!op_mergejoinable(op->opno, exprType(linitial(op->args))) || !op_strict(op->opno))
			continue;
		for (int side = 0; side < 2; side++)
		{
			AttrNumber	column = own_column(list_nth(op->args, side), rti);
			int			outer = outer_column(list_nth(op->args, 1 - side), depth);
			Probe	   *probe;

			if (column == 0 || outer == 0)
				continue;
			probe = (Probe *) palloc0(sizeof(Probe));
			probe->column = column;
			probe->block_column = outer;
			probe->qual = (Expr *) copyObject(op);
			probe->side = side;
			return probe;
		}
	}
	return NULL;
}

static Probe *
find_probe_in_from(Node *node, int rti, Index depth)
{
	Probe	   *probe = NULL;
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		probe = find_probe(((FromExpr *) node)->quals, rti, depth);
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (probe == NULL)
				probe = find_probe_in_from(lfirst(lc), rti, depth);
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		JoinExpr   *join = (JoinExpr *) node;

		probe = find_probe(join->quals, rti, depth);
		if (probe == NULL)
			probe = find_probe_in_from(join->larg, rti, depth);
		if (probe == NULL)
			probe = find_probe_in_from(join->rarg, rti, depth);
	}
	return probe;
}

typedef struct WatchContext
{
	Conversion *cv;
	Stage	   *stage;
	Index		depth;
} WatchContext;

static Bitmapset *
selected_columns(Query *query, RangeTblEntry *rte)
{
	Query	   *alone = makeNode(Query);
	List	   *uses;

	alone->commandType = CMD_SELECT;
	alone->rtable = list_make1(rte);
#if PG_VERSION_NUM >= 160000
	alone->rteperminfos = query->rteperminfos;
#endif
	alone->jointree = makeFromExpr(NIL, NULL);
	uses = pgt_query_collect_sources(alone);
	return uses ? ((SourceUse *) linitial(uses))->columns : NULL;
}

static bool
watch_walker(Node *node, WatchContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		context->depth++;
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			Input	   *input;

			if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW)
				continue;
			pgt_convert_refuse_polled(context->cv, rte->relid);
			input = (Input *) palloc0(sizeof(Input));
			input->kind = PGT_INPUT_RELATION;
			input->relid = rte->relid;
			input->inh = true;
			input->source = pgt_convert_source_index(context->cv, rte->relid);
			input->used = selected_columns(query, rte);
			(void) pgt_convert_add_input(context->stage->watched, input);
			context->stage->probes = lappend(context->stage->probes,
											 find_probe_in_from((Node *) query->jointree,
																foreach_current_index(lc) + 1,
																context->depth));
		}
		(void) query_tree_walker(query, watch_walker, (void *) context, 0);
		context->depth--;
		return false;
	}
	return expression_tree_walker(node, watch_walker, (void *) context);
}

static void
watch_sources(Conversion *cv, Stage *stage)
{
	WatchContext context = {cv, stage, 0};
	ListCell   *lc;

	stage->watched = pgt_convert_make_block();
	foreach(lc, stage->top->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			(void) watch_walker((Node *) rte->subquery, &context);
	}
	(void) watch_walker((Node *) stage->top->targetList, &context);
	(void) watch_walker((Node *) stage->top->jointree, &context);
}

/* ---- the stage ---- */

/* left JOIN right as the next entry of top's range table. */
static JoinExpr *
make_join(Query *top, Node *left, int right_rti, JoinType type, Node *quals)
{
	JoinExpr   *join = makeNode(JoinExpr);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *right = makeNode(RangeTblRef);

	rte->rtekind = RTE_JOIN;
	rte->jointype = type;
	rte->eref = makeAlias("unnamed_join", NIL);
	rte->inFromCl = true;
	top->rtable = lappend(top->rtable, rte);
	right->rtindex = right_rti;
	join->jointype = type;
	join->larg = left;
	join->rarg = (Node *) right;
	join->quals = quals;
	join->rtindex = list_length(top->rtable);
	return join;
}

/* The columns of one side of a join. */
static void
list_columns(const Query *top, int rti, List **names, List **vars)
{
	RangeTblEntry *rte = rt_fetch(rti, top->rtable);
	ListCell   *lc;

	if (rte->rtekind == RTE_JOIN)
	{
		*names = copyObject(rte->eref->colnames);
		*vars = copyObject(rte->joinaliasvars);
	}
	else if (rte->rtekind == RTE_CTE)
	{
		*names = copyObject(rte->eref->colnames);
		for (int i = 0; i < list_length(*names); i++)
			*vars = lappend(*vars, makeVar(rti, i + 1, list_nth_oid(rte->coltypes, i),
										   list_nth_int(rte->coltypmods, i),
										   list_nth_oid(rte->colcollations, i), 0));
	}
	else
	{
		foreach(lc, rte->subquery->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if (tle->resjunk)
				continue;
			*names = lappend(*names, makeString(pstrdup(tle->resname)));
			*vars = lappend(*vars, makeVar(rti, tle->resno, exprType((Node *) tle->expr),
										   exprTypmod((Node *) tle->expr),
										   exprCollation((Node *) tle->expr), 0));
		}
	}
}

/* The deparser wants to know the columns of joins: once those of b are complete. */
static int
describe_joins(Query *top, Node *from)
{
	JoinExpr   *join = (JoinExpr *) from;
	RangeTblEntry *rte;
	List	   *left_names = NIL;
	List	   *right_names = NIL;
	List	   *left_vars = NIL;
	List	   *right_vars = NIL;

	if (IsA(from, RangeTblRef))
		return ((RangeTblRef *) from)->rtindex;
	rte = rt_fetch(join->rtindex, top->rtable);
	list_columns(top, describe_joins(top, join->larg), &left_names, &left_vars);
	list_columns(top, describe_joins(top, join->rarg), &right_names, &right_vars);
	for (int i = 1; i <= list_length(left_names); i++)
		rte->joinleftcols = lappend_int(rte->joinleftcols, i);
	for (int i = 1; i <= list_length(right_names); i++)
		rte->joinrightcols = lappend_int(rte->joinrightcols, i);
	rte->joinaliasvars = list_concat(left_vars, right_vars);
	rte->eref->colnames = list_concat(left_names, right_names);
	return join->rtindex;
}

/* FROM b JOIN LATERAL subqueries; the rows of b are entry 1, subquery i is entry i + 1. */
static void
add_from(TopContext *context, Query *top)
{
	Scope	   *scope = context->scope;
	Node	   *from = (Node *) linitial(top->jointree->fromlist);
	ListCell   *lc;

	foreach(lc, scope->native_joins)
	{
		NativeJoin *native = (NativeJoin *) lfirst(lc);
		RangeTblEntry *rte = (RangeTblEntry *) copyObject(rt_fetch(native->rti, scope->query->rtable));

		rte->subquery = (Query *) to_top((Node *) rte->subquery, context);
		rte->alias = makeAlias(psprintf("l%d", foreach_current_index(lc) + 1), NIL);
		rte->eref->aliasname = pstrdup(rte->alias->aliasname);
		top->rtable = lappend(top->rtable, rte);
	}
	foreach(lc, scope->native_joins)
	{
		NativeJoin *native = (NativeJoin *) lfirst(lc);
		Node	   *quals = native->quals ? to_top(native->quals, context) : NULL;

		if (native->type == JOIN_LEFT && quals == NULL)
			quals = makeBoolConst(true, false);
		from = (Node *) make_join(top, from, foreach_current_index(lc) + 2, native->type, quals);
	}
	top->jointree->fromlist = list_make1(from);
}

/* What the stage computes: outputs are the Vars, then the values of the subqueries. */
static Query *
make_top(TopContext *context, const RestContext *rest)
{
	Query	   *top = pgt_query_make_top();
	List	   *quals = NIL;
	ListCell   *lc;

	top->hasSubLinks = true;
	add_from(context, top);
	foreach(lc, context->scope->native_quals)
		quals = lappend(quals, to_top(lfirst(lc), context));
	top->jointree->quals = quals ? (Node *) make_ands_explicit(quals) : NULL;
	foreach(lc, rest->sublinks)
		pgt_query_add_top_column(top, (Expr *) to_top(lfirst(lc), context), 0, false);
	foreach(lc, rest->vars)
		pgt_query_add_top_column(top, (Expr *) to_top(lfirst(lc), context), 0, false);
	return top;
}

/* The columns of the block that the subqueries and their conditions refer to. */
static List *
find_keys(const TopContext *context, const RestContext *rest)
{
	QueryBlock	scratch = {0};
	TopContext	c = *context;
	RestContext subqueries = *rest;

	c.block = &scratch;
	subqueries.vars = NIL;
	(void) make_top(&c, &subqueries);
	return pgt_query_partition_keys(scratch.tlist);
}

/* From now on the columns of the level are those of the stage. */
static void
replace_maps(Scope *scope, const RestContext *rest, const Stage *stage, QueryBlock *block)
{
	int			column = 0;
	ListCell   *lc;

	scope->block = block;
	scope->native_block = NULL;
	scope->sublinks = NIL;
	foreach(lc, rest->sublinks)
	{
		NativeValue *value = (NativeValue *) palloc(sizeof(NativeValue));

		value->sublink = (Node *) lfirst(lc);
		value->expr = (Node *) pgt_query_stage_var(stage, ++column);
		scope->native_values = lappend(scope->native_values, value);
	}
	for (int i = 0; i < list_length(scope->query->rtable); i++)
	{
		scope->maps[i].block = block;
		scope->maps[i].input = 0;
		scope->maps[i].copy = NULL;
		scope->maps[i].exprs = scope->maps[i].attnums = NIL;
		scope->maps[i].mapped = true;
	}
	foreach(lc, rest->vars)
	{
		Var		   *var = (Var *) lfirst(lc);
		RteMap	   *map = &scope->maps[var->varno - 1];

		while (list_length(map->exprs) < var->varattno)
			map->exprs = lappend(map->exprs, makeNullConst(INT4OID, -1, InvalidOid));
		lfirst(list_nth_cell(map->exprs, var->varattno - 1)) = pgt_query_stage_var(stage, ++column);
	}
}

/*
 * After FROM and WHERE: puts the stage on top of scope->block, whose place a
 * block over the stage takes.  outer: the block around.
 */
void
pgt_convert_native_stage(Conversion *cv, Scope *scope, QueryBlock *outer)
{
	RestContext rest = {0};
	TopContext	context = {0};
	List	   *keys;
	Query	   *top;
	Stage	   *stage;
	QueryBlock *block;

	rest.cv = context.cv = cv;
	rest.scope = context.scope = scope;
	context.block = scope->block;
	(void) rest_walker((Node *) scope->query->targetList, &rest);
	(void) rest_walker(scope->query->havingQual, &rest);
	scope->block->tlist = NIL;
	keys = find_keys(&context, &rest);
	scope->block->tlist = copyObject(keys);
	top = make_top(&context, &rest);
	if (!context.refused)
		context.refused = refuses((Node *) top->targetList) || refuses((Node *) top->jointree) ||
			subqueries_refuse(top);
	if (context.refused)
		pgt_convert_unsupported(cv, "correlated_subquery",
								"a subquery that refers outwards in this place cannot be maintained differentially",
								PGT_JOIN_INSTEAD);
	if (cv->reason)
		return;
	stage = pgt_query_add_partition_stage(cv->def, scope->block, list_length(keys), top,
										  "correlated subqueries", &cv->reason);
	if (stage == NULL)
		return;
	(void) describe_joins(top, linitial(top->jointree->fromlist));
	stage->multiplies = scope->native_joins != NIL;
	watch_sources(cv, stage);
	block = pgt_convert_make_inner_block(outer);
	block->inputs = pgt_query_block_over_stage(stage)->inputs;
	replace_maps(scope, &rest, stage, block);
}
