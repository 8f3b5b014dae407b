/*-------------------------------------------------------------------------
 *
 * join_query.c
 *	  Part of a join tree as a query of its own.
 *
 * What native.c and attach.c can do at the top of a query's FROM they cannot do below
 * an outer join.  There the part of the join tree becomes a subquery,
 *
 *		(a CROSS JOIN LATERAL s) LEFT JOIN b	becomes
 *		(SELECT a.*, s.* FROM a CROSS JOIN LATERAL s) LEFT JOIN b
 *
 * and an outer join whose condition nothing else can look at is, by its definition,
 *
 *		SELECT a.*, b.* FROM a JOIN b ON q
 *		UNION ALL  SELECT a.*, NULL, ... FROM a WHERE NOT EXISTS (SELECT FROM b WHERE q)
 *		UNION ALL  SELECT NULL, ..., b.* FROM b WHERE NOT EXISTS (SELECT FROM a WHERE q)
 *
 * the last one for a FULL JOIN, the last but one not for a RIGHT JOIN.  The rest of the
 * level sees no difference: its columns of the tables in question are those of the query.
 *
 * IDENTIFICATION
 *	  src/query/join_query.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "convert_internal.h"

typedef struct JoinQuery
{
	Scope	   *scope;
	Node	   *join;			/* the part of the join tree */
	Bitmapset  *relids;			/* range table indexes in it, joins included */
	List	   *vars;			/* columns of it that the rest of the level refers to, level 0; or a constant */
	Bitmapset  *rows;			/* what the level refers to as a row; such joins keep their names */
	Index		depth;
} JoinQuery;

/* ---- what the rest of the level refers to ---- */

static void
clear_nulling(Var *var)
{
#if PG_VERSION_NUM >= 160000
	var->varnullingrels = NULL;
#endif
	var->varnosyn = var->varno;
	var->varattnosyn = var->varattno;
	var->location = -1;
}

static bool
find_vars(Node *node, JoinQuery *jq)
{
	if (node == NULL || node == jq->join)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *rte;
		Index		depth = jq->depth;

		if (var->varlevelsup != depth || !bms_is_member(var->varno, jq->relids))
			return false;
		rte = rt_fetch(var->varno, jq->scope->query->rtable);
		if (rte->rtekind == RTE_JOIN)
		{
			jq->depth = 0;
			(void) find_vars(var->varattno > 0 ?
							 (Node *) list_nth(rte->joinaliasvars, var->varattno - 1) :
							 (Node *) rte->joinaliasvars, jq);
			jq->depth = depth;
			return false;
		}
		var = (Var *) copyObject(var);
		var->varlevelsup = 0;
		clear_nulling(var);
		jq->vars = list_append_unique(jq->vars, var);
		return false;
	}
	if (IsA(node, Query))
	{
		jq->depth++;
		(void) query_tree_walker((Query *) node, find_vars, (void *) jq, QTW_IGNORE_JOINALIASES);
		jq->depth--;
		return false;
	}
	return expression_tree_walker(node, find_vars, (void *) jq);
}

static void
find_outer_vars(JoinQuery *jq)
{
	Query	   *query = jq->scope->query;
	ListCell   *lc;

	(void) find_vars((Node *) query->targetList, jq);
	(void) find_vars((Node *) query->jointree, jq);
	(void) find_vars(query->havingQual, jq);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (bms_is_member(foreach_current_index(lc) + 1, jq->relids))
			continue;
		(void) find_vars((Node *) rte->subquery, jq);
		(void) find_vars((Node *) rte->functions, jq);
		(void) find_vars((Node *) rte->tablefunc, jq);
		(void) find_vars((Node *) rte->values_lists, jq);
#if PG_VERSION_NUM >= 180000
		(void) find_vars((Node *) rte->groupexprs, jq);
#endif
	}
}

static bool
find_rows(Node *node, JoinQuery *jq)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varlevelsup == jq->depth && var->varattno == 0)
			jq->rows = bms_add_member(jq->rows, var->varno);
		return false;
	}
	if (IsA(node, Query))
	{
		jq->depth++;
		(void) query_tree_walker((Query *) node, find_rows, (void *) jq, QTW_IGNORE_JOINALIASES);
		jq->depth--;
		return false;
	}
	return expression_tree_walker(node, find_rows, (void *) jq);
}

/* ---- a new level with some of the entries ---- */

/* Where the entries of the level are now, seen from a place delta levels below it. */
typedef struct MoveContext
{
	Query	   *query;			/* the level */
	const Bitmapset *rows;		/* see JoinQuery */
	int			delta;
	int		   *number;			/* by range table index: the new one; 0: it stays where it is */
	int		   *levelsup;		/* how many levels above the place */
	Index		depth;			/* below the place */
} MoveContext;

static Node *
move_mutator(Node *node, MoveContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);
		RangeTblEntry *rte;
		Index		named_join;
		AttrNumber	named_attno;

		if (var->varlevelsup != context->depth + context->delta)
			return (Node *) var;
		rte = rt_fetch(var->varno, context->query->rtable);
		if (rte->rtekind == RTE_JOIN && var->varattno > 0 &&
			!(bms_is_member(var->varno, context->rows) && context->number[var->varno] != 0))
		{
			Node	   *expr = copyObject(list_nth(rte->joinaliasvars, var->varattno - 1));

			IncrementVarSublevelsUp(expr, context->delta + context->depth, 0);
			return move_mutator(expr, context);
		}
		if (context->number[var->varno] == 0)
			return (Node *) var;
		var->varlevelsup = context->depth + context->levelsup[var->varno];
		var->varno = context->number[var->varno];
		named_join = var->varnosyn;
		named_attno = var->varattnosyn;
		clear_nulling(var);
		if (bms_is_member(named_join, context->rows) && context->number[named_join] != 0)
		{
			/* where the join has kept its name, that of the table is hidden */
			var->varnosyn = context->number[named_join];
			var->varattnosyn = named_attno;
		}
		return (Node *) var;
	}
	if (IsA(node, RangeTblRef) && context->depth == 0)
	{
		RangeTblRef *ref = (RangeTblRef *) copyObject(node);

		ref->rtindex = context->number[ref->rtindex];
		return (Node *) ref;
	}
	if (IsA(node, JoinExpr) && context->depth == 0)
	{
		JoinExpr   *join = (JoinExpr *) expression_tree_mutator(node, move_mutator, (void *) context);

		/* its columns have become columns of its tables, which its name would hide */
		if (!bms_is_member(join->rtindex, context->rows))
			join->alias = NULL;
		join->rtindex = join->rtindex > 0 ? context->number[join->rtindex] : 0;
		return (Node *) join;
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		context->depth++;
		result = (Node *) query_tree_mutator((Query *) node, move_mutator, (void *) context,
											 QTW_IGNORE_JOINALIASES);
		context->depth--;
		return result;
	}
	return expression_tree_mutator(node, move_mutator, (void *) context);
}

/* An expression, or part of the join tree, of the level, at the place. */
static Node *
move(Node *node, MoveContext *context)
{
	node = copyObject(node);
	if (node == NULL)
		return NULL;
	IncrementVarSublevelsUp(node, context->delta, 0);
	return move_mutator(node, context);
}

/* The next place, delta levels further down: what was at hand is that far away. */
static MoveContext
go_down(const JoinQuery *jq, const MoveContext *above, int delta)
{
	MoveContext context = {0};
	int			n = list_length(jq->scope->query->rtable) + 1;

	context.query = jq->scope->query;
	context.rows = jq->rows;
	context.delta = delta;
	context.number = (int *) palloc0(sizeof(int) * n);
	context.levelsup = (int *) palloc0(sizeof(int) * n);
	for (int i = 1; above && i < n; i++)
	{
		context.number[i] = above->number[i];
		context.levelsup[i] = above->levelsup[i] + delta - above->delta;
	}
	return context;
}

/* A query with the entries in its range table; without FROM, WHERE and output yet. */
static Query *
make_level(const JoinQuery *jq, const Bitmapset *relids, MoveContext *context)
{
	Query	   *level = makeNode(Query);
	int			rti = -1;

	level->commandType = CMD_SELECT;
	level->canSetTag = true;
	level->hasSubLinks = jq->scope->query->hasSubLinks;
#if PG_VERSION_NUM >= 160000
	level->rteperminfos = copyObject(jq->scope->query->rteperminfos);
#endif
	while ((rti = bms_next_member(relids, rti)) >= 0)
	{
		RangeTblEntry *rte = copyObject(rt_fetch(rti, jq->scope->query->rtable));

		if (rte->rtekind == RTE_JOIN && !bms_is_member(rti, jq->rows))
			rte->alias = NULL;
		level->rtable = lappend(level->rtable, rte);
		context->number[rti] = list_length(level->rtable);
		context->levelsup[rti] = 0;
	}
	IncrementVarSublevelsUp_rtable(level->rtable, context->delta, 0);
	level->rtable = range_table_mutator(level->rtable, move_mutator, (void *) context, 0);
	return level;
}

static void
add_column(Query *level, Expr *expr)
{
	int			number = list_length(level->targetList) + 1;

	level->targetList = lappend(level->targetList,
								makeTargetEntry(expr, number, psprintf("c%d", number), false));
}

static JoinQuery
look_at_join(Scope *scope, Node *join)
{
	JoinQuery	jq = {0};

	jq.scope = scope;
	jq.join = join;
	jq.relids = pgt_convert_rtindexes(join);
	find_outer_vars(&jq);
	(void) query_tree_walker(scope->query, find_rows, (void *) &jq, QTW_IGNORE_JOINALIASES);
	/* rows are to be counted in any case */
	if (jq.vars == NIL)
		jq.vars = list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(1),
									   false, true));
	return jq;
}

bool
pgt_convert_refers_to_row(Scope *scope, int rti)
{
	RangeTblRef *ref = makeNode(RangeTblRef);
	JoinQuery	jq;
	ListCell   *lc;

	ref->rtindex = rti;
	jq = look_at_join(scope, (Node *) ref);
	foreach(lc, jq.vars)
		if (IsA(lfirst(lc), Var) && ((Var *) lfirst(lc))->varattno == 0)
			return true;
	return false;
}

/* The level's columns of the entries are the query's. */
static void
set_maps(Conversion *cv, const JoinQuery *jq, List *exprs)
{
	int			rti = -1;
	ListCell   *lc,
			   *lc2;

	while (!cv->reason && (rti = bms_next_member(jq->relids, rti)) >= 0)
	{
		RteMap	   *map = &jq->scope->maps[rti - 1];

		map->block = jq->scope->block;
		map->input = 0;
		map->copy = NULL;
		map->exprs = map->attnums = NIL;
		map->mapped = true;
		forboth(lc, jq->vars, lc2, exprs)
		{
			if (!IsA(lfirst(lc), Var) || ((Var *) lfirst(lc))->varno != rti)
				continue;
			map->attnums = lappend_int(map->attnums, ((Var *) lfirst(lc))->varattno);
			map->exprs = lappend(map->exprs, lfirst(lc2));
		}
	}
}

void
pgt_convert_join_as_subquery(Conversion *cv, Scope *scope, Node *join)
{
	JoinQuery	jq = look_at_join(scope, join);
	MoveContext context = go_down(&jq, NULL, 1);
	Query	   *level = make_level(&jq, jq.relids, &context);
	ListCell   *lc;

	level->jointree = makeFromExpr(list_make1(move(join, &context)), NULL);
	foreach(lc, jq.vars)
		add_column(level, (Expr *) move(lfirst(lc), &context));
	set_maps(cv, &jq, pgt_convert_query(cv, level, scope, scope->block));
}

/* ---- outer joins ---- */

/* SELECT columns FROM side WHERE NOT EXISTS (SELECT FROM other WHERE quals) */
static Query *
make_rest(const JoinQuery *jq, Node *side, Node *other, Node *quals)
{
	MoveContext context = go_down(jq, NULL, 2);
	MoveContext below;
	Bitmapset  *relids = pgt_convert_rtindexes(side);
	Query	   *level = make_level(jq, relids, &context);
	Query	   *sub;
	SubLink    *exists = makeNode(SubLink);
	ListCell   *lc;

	below = go_down(jq, &context, 3);
	sub = make_level(jq, pgt_convert_rtindexes(other), &below);
	sub->jointree = makeFromExpr(list_make1(move(other, &below)), move(quals, &below));
	exists->subLinkType = EXISTS_SUBLINK;
	exists->subselect = (Node *) sub;
	exists->location = -1;
	level->hasSubLinks = true;
	level->jointree = makeFromExpr(list_make1(move(side, &context)),
								   (Node *) makeBoolExpr(NOT_EXPR, list_make1(exists), -1));
	foreach(lc, jq->vars)
	{
		Node	   *var = (Node *) lfirst(lc);

		add_column(level, !IsA(var, Var) || bms_is_member(((Var *) var)->varno, relids) ?
				   (Expr *) move(var, &context) : (Expr *) linitial(pgt_ir_nulls(list_make1(var))));
	}
	return level;
}

/* SELECT columns FROM left, right WHERE quals */
static Query *
make_inner(const JoinQuery *jq, JoinExpr *join)
{
	MoveContext context = go_down(jq, NULL, 2);
	Query	   *level;
	ListCell   *lc;

	level = make_level(jq, bms_del_member(bms_copy(jq->relids), join->rtindex), &context);
	level->jointree = makeFromExpr(list_make2(move(join->larg, &context), move(join->rarg, &context)),
								   move(join->quals, &context));
	foreach(lc, jq->vars)
		add_column(level, (Expr *) move(lfirst(lc), &context));
	return level;
}

static Node *
add_branch(const JoinQuery *jq, Query *query, Node *left, Query *branch)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	SetOperationStmt *op = makeNode(SetOperationStmt);
	ListCell   *lc;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = branch;
	rte->eref = makeAlias("branch", NIL);
	foreach(lc, branch->targetList)
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(pstrdup(lfirst_node(TargetEntry, lc)->resname)));
	query->rtable = lappend(query->rtable, rte);
	ref->rtindex = list_length(query->rtable);
	if (left == NULL)
		return (Node *) ref;
	op->op = SETOP_UNION;
	op->all = true;
	op->larg = left;
	op->rarg = (Node *) ref;
	foreach(lc, jq->vars)
	{
		Node	   *var = (Node *) lfirst(lc);

		op->colTypes = lappend_oid(op->colTypes, exprType(var));
		op->colTypmods = lappend_int(op->colTypmods, exprTypmod(var));
		op->colCollations = lappend_oid(op->colCollations, exprCollation(var));
	}
	return (Node *) op;
}

void
pgt_convert_outer_join_as_union(Conversion *cv, Scope *scope, JoinExpr *join)
{
	JoinQuery	jq = look_at_join(scope, (Node *) join);
	Query	   *query = makeNode(Query);
	Node	   *tree = add_branch(&jq, query, NULL, make_inner(&jq, join));
	ListCell   *lc;

	if (join->jointype != JOIN_RIGHT)
		tree = add_branch(&jq, query, tree, make_rest(&jq, join->larg, join->rarg, join->quals));
	if (join->jointype != JOIN_LEFT)
		tree = add_branch(&jq, query, tree, make_rest(&jq, join->rarg, join->larg, join->quals));
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->setOperations = tree;
	query->jointree = makeFromExpr(NIL, NULL);
	foreach(lc, jq.vars)
	{
		Node	   *var = (Node *) lfirst(lc);

		add_column(query, (Expr *) makeVar(1, foreach_current_index(lc) + 1, exprType(var),
										   exprTypmod(var), exprCollation(var), 0));
	}
	set_maps(cv, &jq, pgt_convert_query(cv, query, scope, scope->block));
}
