/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  From a rewritten Query to the intermediate representation.
 *
 * Subqueries, views and CTEs that only select, project and join are pulled up
 * into the block that refers to them; GROUP BY and DISTINCT become stages of
 * their own; UNION ALL becomes an input made of blocks.  Scopes map the Vars
 * of each query level to expressions over the block under construction.
 *
 * A subquery that is pulled up shares its parent's block, so references to
 * the left (LATERAL) resolve by themselves.  One that is grouped may refer
 * outwards by equality (correlate.c); a branch of UNION ALL must not.
 *
 * IDENTIFICATION
 *	  src/query/convert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/catalog.h"
#include "convert_internal.h"

void
pgt_convert_unsupported(Conversion *cv, const char *code, const char *message, const char *hint)
{
	if (cv->reason == NULL)
		cv->reason = pgt_reason_make(code, -1, pstrdup(message), NULL,
									 pstrdup(hint));
}

void
pgt_convert_place(Conversion *cv, Oid relid, Oid view, int location)
{
	UnsupportedReason *reason = cv->reason;

	if (reason == NULL)
		return;
	if (OidIsValid(view))
		pgt_query_reason_in_view(reason, view);
	else if (reason->location < 0 && !OidIsValid(reason->relid))
	{
		reason->relid = relid;
		reason->location = location;
	}
}

/* ---- Vars ---- */

typedef struct MapContext
{
	Conversion *cv;
	Scope	   *scope;			/* whose level the Vars are of */
	QueryBlock *target;			/* the result is over this block */
} MapContext;

static Node *map_vars(Node *node, MapContext *context);

AttrNumber
pgt_convert_input_column(RteMap *map, AttrNumber attnum)
{
	return map->copy ? pgt_convert_copied_column(map->copy, attnum) : attnum;
}

/* What a Var or Aggref of a level became when the level was grouped. */
static Node *
find_substitute(Scope *scope, Node *reference)
{
	ListCell   *lc,
			   *lc2;

	forboth(lc, scope->references, lc2, scope->substitutes)
	{
		if (equal(lfirst(lc), reference))
			return copyObject(lfirst(lc2));
	}
	return NULL;
}

/*
 * Does the expression use an item that may be missing, with NULLs in its place?
 * A row made of its columns would not be NULL then.
 */
static bool
has_missing_item(Node *expr, const QueryBlock *block)
{
	Bitmapset  *varnos = pull_varnos(NULL, expr);
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (input->kind == PGT_INPUT_ITEM && input->outer &&
			bms_is_member(foreach_current_index(lc) + 1, varnos))
			return true;
	}
	return false;
}

/* Is there an outer join above the one that it is a row of, on whose nullable side that is? */
static bool
is_nulled(const Var *var)
{
#if PG_VERSION_NUM >= 160000
	return !bms_is_empty(var->varnullingrels);
#else
	return false;
#endif
}

static Node *
map_var(Conversion *cv, Scope *scope, QueryBlock *target, Var *var)
{
	RangeTblEntry *rte;
	RteMap	   *map;
	Node	   *expr;
	MapContext	context;

	for (Index level = var->varlevelsup; level > 0; level--)
	{
		scope = scope->parent;
		if (scope == NULL)
			elog(ERROR, "bad level of a column reference");
	}
	if (scope->grouped)
	{
		Var		   *own = (Var *) copyObject(var);
		Node	   *substitute;

		own->varlevelsup = 0;
		substitute = find_substitute(scope, (Node *) own);
		if (substitute == NULL)
			elog(ERROR, "a subquery refers to a column that is not grouped");
		return pgt_convert_to_block(cv, substitute, scope->block, target);
	}
	rte = rt_fetch(var->varno, scope->query->rtable);
	context.cv = cv;
	context.scope = scope;
	context.target = target;
	if (rte->rtekind == RTE_JOIN && var->varattno > 0)
		return map_vars(list_nth(rte->joinaliasvars, var->varattno - 1), &context);
#if PG_VERSION_NUM >= 180000
	if (rte->rtekind == RTE_GROUP)
		return map_vars(list_nth(rte->groupexprs, var->varattno - 1), &context);
#endif
	map = &scope->maps[var->varno - 1];
	if (rte->rtekind == RTE_JOIN)
	{
		/* whole row of a named join */
		RteMap		joined = {0};
		ListCell   *lc;

		/* from 16 on NULL where an outer join around it finds nothing, before a row of NULLs */
		if (is_nulled(var))
		{
			pgt_convert_unsupported(cv, "row_of_join",
									"a whole row of an outer join cannot be maintained differentially",
									"Name the columns instead; " OR_FULL);
			pgt_convert_place(cv, InvalidOid, InvalidOid, var->location);
		}
		foreach(lc, rte->joinaliasvars)
			joined.exprs = lappend(joined.exprs, map_vars(lfirst(lc), &context));
		return pgt_convert_whole_row(cv, var, rte, &joined);
	}
	if (!map->mapped)
	{
		pgt_convert_unsupported(cv, "lateral_reference",
								"a reference in FROM cannot be maintained differentially",
								"Write the reference as a condition in WHERE; " OR_FULL);
		pgt_convert_place(cv, InvalidOid, InvalidOid, var->location);
		return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
	}
	if (map->attnums != NIL)
	{
		int			i = 0;

		while (i < list_length(map->attnums) && list_nth_int(map->attnums, i) != var->varattno)
			i++;
		if (i == list_length(map->attnums))
			elog(ERROR, "a column of a join is not a column of the query in its place");
		expr = copyObject(list_nth(map->exprs, i));
	}
	else if (var->varattno == 0)
	{
		expr = pgt_convert_whole_row(cv, var, rte, map);
		if (has_missing_item(expr, map->block))
		{
			pgt_convert_unsupported(cv, "row_of_join",
									"a whole row of an outer join cannot be maintained differentially",
									"Name the columns instead; " OR_FULL);
			pgt_convert_place(cv, InvalidOid, InvalidOid, var->location);
		}
	}
	else if (map->input > 0)
		expr = (Node *) makeVar(map->input, pgt_convert_input_column(map, var->varattno), var->vartype,
								var->vartypmod, var->varcollid, 0);
	else
		expr = copyObject(list_nth(map->exprs, var->varattno - 1));
	return pgt_convert_to_block(cv, expr, map->block, target);
}

/* An aggregate of an outer level, in a subquery looked at after grouping. */
static Node *
map_outer_aggregate(Conversion *cv, Scope *scope, QueryBlock *target, Aggref *agg)
{
	Aggref	   *own = (Aggref *) copyObject(agg);
	Node	   *result;

	for (Index level = agg->agglevelsup; level > 0 && scope != NULL; level--)
		scope = scope->parent;
	IncrementVarSublevelsUp((Node *) own, -((int) agg->agglevelsup), 0);
	result = scope && scope->grouped ? find_substitute(scope, (Node *) own) : NULL;
	if (result == NULL)
	{
		pgt_convert_unsupported(cv, "outer_aggregate",
								"an aggregate of an outer query level cannot be maintained differentially",
								"Compute it in a subquery in FROM, and refer to its column; " OR_FULL);
		pgt_convert_place(cv, InvalidOid, InvalidOid, agg->location);
		return (Node *) makeNullConst(agg->aggtype, -1, agg->aggcollid);
	}
	return pgt_convert_to_block(cv, result, scope->block, target);
}

static Node *
map_vars(Node *node, MapContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return map_var(context->cv, context->scope, context->target, (Var *) node);
	if (IsA(node, Aggref) &&
		(((Aggref *) node)->agglevelsup > 0 || context->scope->grouped))
		return map_outer_aggregate(context->cv, context->scope, context->target, (Aggref *) node);
	if (IsA(node, GroupingFunc) && ((GroupingFunc *) node)->agglevelsup > 0)
	{
		pgt_convert_unsupported(context->cv, "outer_aggregate",
								"GROUPING() of an outer query level cannot be maintained differentially",
								"Compute it in a subquery in FROM, and refer to its column; " OR_FULL);
		pgt_convert_place(context->cv, InvalidOid, InvalidOid, ((GroupingFunc *) node)->location);
		return (Node *) makeNullConst(INT4OID, -1, InvalidOid);
	}
	/* one set, written as such or left of several that are alike: everything is grouped by */
	if (IsA(node, GroupingFunc) && context->scope->query->groupingSets == NIL)
		return (Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(0), false, true);
	if (IsA(node, SubLink))
		return pgt_convert_sublink(context->cv, context->scope, (SubLink *) node);
	if (context->scope->grouped && !IsA(node, List))
	{
		Node	   *substitute = find_substitute(context->scope, node);

		if (substitute)
			return pgt_convert_to_block(context->cv, substitute, context->scope->block,
										context->target);
	}
	if (IsA(node, NullTest) && IsA(((NullTest *) node)->arg, Var))
	{
		NullTest   *test = (NullTest *) expression_tree_mutator(node, map_vars, (void *) context);

		if (test->argisrow && IsA(test->arg, RowExpr))
			pgt_convert_leave_out_dropped((RowExpr *) test->arg);
		return (Node *) test;
	}
	return expression_tree_mutator(node, map_vars, (void *) context);
}

Node *
pgt_convert_expr(Conversion *cv, Scope *scope, Node *node)
{
	MapContext	context;

	context.cv = cv;
	context.scope = scope;
	context.target = scope->block;
	return map_vars(node, &context);
}

/* ---- blocks ---- */

QueryBlock *
pgt_convert_make_block(void)
{
	return (QueryBlock *) palloc0(sizeof(QueryBlock));
}

int
pgt_convert_add_input(QueryBlock *block, Input *input)
{
	block->inputs = lappend(block->inputs, input);
	return list_length(block->inputs);
}

static Input *copy_input(const Input *input);

static Attachment *
copy_attachment(const Attachment *attachment)
{
	Attachment *copy = (Attachment *) palloc(sizeof(Attachment));

	copy->kind = attachment->kind;
	copy->input = copy_input(attachment->input);
	copy->quals = copyObject(attachment->quals);
	return copy;
}

/* Deep copy: later steps change inputs in place.  Stages are shared. */
static Input *
copy_input(const Input *input)
{
	Input	   *copy = (Input *) palloc(sizeof(Input));
	ListCell   *lc,
			   *lc2;

	*copy = *input;
	copy->blocks = NIL;
	copy->args = copyObject(input->args);
	copy->on = copyObject(input->on);
	foreach(lc, input->blocks)
	{
		QueryBlock	   *from = (QueryBlock *) lfirst(lc);
		QueryBlock	   *to = pgt_convert_make_block();

		foreach(lc2, from->inputs)
			(void) pgt_convert_add_input(to, copy_input((Input *) lfirst(lc2)));
		foreach(lc2, from->attachments)
			to->attachments = lappend(to->attachments,
									  copy_attachment((Attachment *) lfirst(lc2)));
		to->quals = copyObject(from->quals);
		to->tlist = copyObject(from->tlist);
		copy->blocks = lappend(copy->blocks, to);
	}
	return copy;
}

typedef struct ShiftContext
{
	int			inputs;			/* numbers of inputs and attachments grow by these */
	int			attachments;
} ShiftContext;

static Node *
shift_vars(Node *node, ShiftContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varlevelsup == 0)
		{
			var->varno += var->varno > PGT_ATTACHED_BASE ? context->attachments : context->inputs;
			var->varnosyn = var->varno;
		}
		return (Node *) var;
	}
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		Param	   *param = (Param *) copyObject(node);

		param->paramid += context->attachments;
		return (Node *) param;
	}
	return expression_tree_mutator(node, shift_vars, (void *) context);
}

List *
pgt_convert_merge_block(const QueryBlock *block, QueryBlock *into)
{
	ShiftContext context;
	ListCell   *lc;

	context.inputs = list_length(into->inputs);
	context.attachments = list_length(into->attachments);
	foreach(lc, block->inputs)
	{
		Input	   *copy = copy_input((Input *) lfirst(lc));

		copy->args = (List *) shift_vars((Node *) copy->args, &context);
		copy->on = (List *) shift_vars((Node *) copy->on, &context);
		(void) pgt_convert_add_input(into, copy);
	}
	foreach(lc, block->attachments)
	{
		Attachment *copy = copy_attachment((Attachment *) lfirst(lc));

		copy->quals = (List *) shift_vars((Node *) copy->quals, &context);
		into->attachments = lappend(into->attachments, copy);
	}
	into->quals = list_concat(into->quals,
							  (List *) shift_vars((Node *) block->quals, &context));
	return (List *) shift_vars((Node *) block->tlist, &context);
}

/*
 * A block that only projects and filters one UNION input is that input's
 * blocks, with the projection and the filter in each.
 */
List *
pgt_query_block_as_union(QueryBlock *block)
{
	Input	   *input;
	ListCell   *lc;

	if (list_length(block->inputs) != 1 || block->attachments != NIL)
		return list_make1(block);
	input = (Input *) linitial(block->inputs);
	if (input->kind != PGT_INPUT_UNION || pgt_convert_refers_outwards(list_make1(block)))
		return list_make1(block);
	foreach(lc, input->blocks)
	{
		QueryBlock *branch = (QueryBlock *) lfirst(lc);

		branch->quals = list_concat(branch->quals,
									pgt_ir_replace(block->quals, 1, branch->tlist));
		branch->tlist = pgt_ir_replace(block->tlist, 1, branch->tlist);
	}
	return input->blocks;
}

/* ---- FROM ---- */

int
pgt_convert_source_index(Conversion *cv, Oid relid)
{
	ListCell   *lc;
	SourceUse  *use;

	foreach(lc, cv->def->sources)
	{
		if (((SourceUse *) lfirst(lc))->relid == relid)
			return foreach_current_index(lc);
	}
	use = (SourceUse *) palloc0(sizeof(SourceUse));
	use->relid = relid;
	use->is_stream_table = pgt_catalog_get_stream_table(relid, true) != NULL;
	cv->def->sources = lappend(cv->def->sources, use);
	return list_length(cv->def->sources) - 1;
}

static void
convert_relation(Conversion *cv, Scope *scope, RangeTblEntry *rte, RteMap *map)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));

	/* capture of a tree does not tell the parent's own rows from the others */
	if (!rte->inh && has_subclass(rte->relid))
	{
		pgt_convert_unsupported(cv, "only_of_parent",
								"ONLY of a table with children cannot be maintained differentially",
								PGT_NO_ONLY);
		pgt_convert_place(cv, rte->relid, InvalidOid, -1);
	}
	if (pgt_query_is_polled(rte->relid))
	{
		map->copy = pgt_convert_kept_copy(cv, rte);
		if (map->copy == NULL)
			return;
		input->kind = PGT_INPUT_STAGE;
		input->stageno = map->copy->number;
	}
	else
	{
		input->kind = PGT_INPUT_RELATION;
		input->relid = rte->relid;
		input->inh = rte->inh;
		input->source = pgt_convert_source_index(cv, rte->relid);
	}
	map->input = pgt_convert_add_input(scope->block, input);
}

static QueryBlock *
find_cte(Conversion *cv, Scope *scope, RangeTblEntry *rte)
{
	ListCell   *lc;
	CteBlock   *cte;

	for (Index level = rte->ctelevelsup; level > 0; level--)
	{
		scope = scope->parent;
		if (scope == NULL)
			elog(ERROR, "bad levelsup for CTE \"%s\"", rte->ctename);
	}
	foreach(lc, scope->ctes)
	{
		cte = (CteBlock *) lfirst(lc);
		if (strcmp(cte->name, rte->ctename) == 0)
			return cte->block;
	}
	foreach(lc, scope->query->cteList)
	{
		CommonTableExpr *expr = lfirst_node(CommonTableExpr, lc);

		if (strcmp(expr->ctename, rte->ctename) == 0)
		{
			cte = (CteBlock *) palloc0(sizeof(CteBlock));
			cte->name = expr->ctename;
			if (expr->cterecursive)
				pgt_convert_recursion(cv, scope, expr, cte);
			else
			{
				cte->block = pgt_convert_make_block();
				cte->block->tlist = pgt_convert_query(cv, castNode(Query, expr->ctequery),
													  scope, cte->block);
			}
			pgt_convert_place(cv, InvalidOid, InvalidOid, expr->location);
			if (cv->reason)
				return pgt_convert_make_block();
			scope->ctes = list_append_unique_ptr(scope->ctes, cte);
			return cte->block;
		}
	}
	elog(ERROR, "could not find CTE \"%s\"", rte->ctename);
}

static void
convert_rte(Conversion *cv, Scope *scope, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, scope->query->rtable);
	RteMap	   *map = &scope->maps[rti - 1];
	bool		outermost;

	map->block = scope->block;
	if (pgt_convert_native_join(cv, scope, rti, JOIN_INNER, NULL))
		return;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			convert_relation(cv, scope, rte, map);
			break;
		case RTE_SUBQUERY:
			outermost = rte->lateral && cv->construct == NULL;
			if (outermost)
				cv->construct = (Node *) rte;
			map->exprs = pgt_convert_query(cv, rte->subquery, scope, scope->block);
			pgt_convert_place(cv, InvalidOid, pgt_query_view_of(rte),
							  pgt_query_place_of_level(rte->subquery));
			if (outermost && !cv->reason)
				cv->construct = NULL;
			break;
		case RTE_CTE:
			map->exprs = pgt_convert_merge_block(find_cte(cv, scope, rte), scope->block);
			break;
		case RTE_FUNCTION:
		case RTE_TABLEFUNC:
		case RTE_VALUES:
			map->exprs = pgt_convert_item(cv, scope, rte);
			break;
		case RTE_RESULT:
			break;
		default:
			pgt_convert_unsupported(cv, "from_item",
						"an item in FROM cannot be maintained differentially",
						"Keep its rows in a table; " OR_FULL);
			break;
	}
	map->mapped = true;
}

List *
pgt_convert_conjuncts(Conversion *cv, Scope *scope, Node *quals)
{
	List	   *result;

	if (quals == NULL || cv->reason)
		return NIL;
	if (IsA(quals, List) || is_andclause(quals))
	{
		ListCell   *lc;

		result = NIL;
		foreach(lc, IsA(quals, List) ? (List *) quals : ((BoolExpr *) quals)->args)
			result = list_concat(result, pgt_convert_conjuncts(cv, scope, lfirst(lc)));
		return result;
	}
	if (pgt_convert_native_qual(cv, scope, quals))
		return NIL;
	result = pgt_convert_sublink_conjunct(cv, scope, quals);
	return result ? result :
		make_ands_implicit((Expr *) pgt_convert_expr(cv, scope, quals));
}

static void
add_quals(Conversion *cv, Scope *scope, Node *quals)
{
	if (quals)
		scope->block->quals = list_concat(scope->block->quals,
										  pgt_convert_conjuncts(cv, scope, quals));
}

/* Does something in the join tree have to be taken apart, see join_query.c? */
static bool
has_failed_join(Conversion *cv, Scope *scope, Node *node)
{
	JoinExpr   *join = (JoinExpr *) node;

	return IsA(node, JoinExpr) &&
		(list_member(cv->native, node) || has_failed_join(cv, scope, join->larg) ||
		 has_failed_join(cv, scope, join->rarg) ||
		 (join->jointype != JOIN_INNER && pgt_convert_contains_native(cv, scope, node)));
}

/* Rows that a RIGHT or FULL join adds have to stay one each: nothing goes to its left. */
static bool
can_be_nested(Node *node)
{
	return IsA(node, JoinExpr) && (((JoinExpr *) node)->jointype == JOIN_LEFT ||
								   ((JoinExpr *) node)->jointype == JOIN_INNER);
}

/* "a, b LEFT JOIN c" as "(a, b) LEFT JOIN c". */
static Node *
nest_in_front(List *items, Node *node)
{
	JoinExpr   *join;

	if (!can_be_nested(node))
		return (Node *) makeFromExpr(lappend(items, node), NULL);
	join = makeNode(JoinExpr);
	*join = *(JoinExpr *) node;
	join->larg = nest_in_front(items, join->larg);
	return (Node *) join;
}

/* A join that is taken apart must contain what its LATERAL parts refer to. */
static List *
nest_joins(Conversion *cv, Scope *scope, List *fromlist)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, fromlist)
	{
		if (result != NIL && cv->native != NIL && can_be_nested(lfirst(lc)) &&
			has_failed_join(cv, scope, lfirst(lc)))
			result = list_make1(nest_in_front(result, lfirst(lc)));
		else
			result = lappend(result, lfirst(lc));
	}
	return result;
}

void
pgt_convert_from(Conversion *cv, Scope *scope, Node *node)
{
	ListCell   *lc;

	if (cv->reason)
		return;
	if (IsA(node, RangeTblRef))
		convert_rte(cv, scope, ((RangeTblRef *) node)->rtindex);
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (join->jointype == JOIN_LEFT && IsA(join->rarg, RangeTblRef) &&
			pgt_convert_may_leave_join(cv, scope, ((RangeTblRef *) join->rarg)->rtindex))
		{
			/* those on the left first: it may refer to them */
			pgt_convert_from(cv, scope, join->larg);
			(void) pgt_convert_native_join(cv, scope, ((RangeTblRef *) join->rarg)->rtindex,
										   JOIN_LEFT, join->quals);
			return;
		}
		if (join->jointype != JOIN_INNER)
		{
			pgt_convert_outer_join(cv, scope, join);
			return;
		}
		pgt_convert_from(cv, scope, join->larg);
		pgt_convert_from(cv, scope, join->rarg);
		if (!cv->reason)
			add_quals(cv, scope, join->quals);
	}
	else
	{
		FromExpr   *from = castNode(FromExpr, node);

		foreach(lc, nest_joins(cv, scope, from->fromlist))
			pgt_convert_from(cv, scope, lfirst(lc));
		if (!cv->reason)
			add_quals(cv, scope, from->quals);
	}
}

/* ---- SELECT ---- */

Scope *
pgt_convert_make_scope(Query *query, Scope *parent, QueryBlock *block)
{
	Scope	   *scope = (Scope *) palloc0(sizeof(Scope));

	scope->parent = parent;
	scope->query = query;
	scope->maps = (RteMap *) palloc0(sizeof(RteMap) * Max(1, list_length(query->rtable)));
	scope->block = block;
	return scope;
}

List *
pgt_convert_add_group_stage(Conversion *cv, QueryBlock *inner, List *keys, List *groupclause,
							List *exprs, QueryBlock *into)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));
	bool		plain = keys == NIL;	/* a row in any case */
	List	   *correlations;
	List	   *grouped = exprs;
	List	   *rewritten = NIL;
	List	   *quals;
	Stage	   *stage;
	int			number;

	/* the query's own lists stay as they are: it may be converted once more */
	keys = list_copy(keys);
	groupclause = list_copy(groupclause);
	correlations = pgt_convert_take_correlation(inner, &keys, &groupclause);
	if (pgt_convert_refers_outwards(list_make1(inner)) ||
		pgt_convert_aggregate_refers_outwards((Node *) exprs) ||
		pgt_convert_has_outer_reference((Node *) keys))
		pgt_convert_unsupported(cv, "lateral_subquery",
								"a grouped subquery that refers outwards other than by equality cannot be maintained differentially",
								PGT_EQUALITY_INSTEAD);
	if (cv->reason)
		return NIL;
	inner = pgt_convert_split_distinct(cv, inner, &keys, &groupclause, &grouped, correlations);
	if (cv->reason)
		return NIL;
	input->kind = PGT_INPUT_STAGE;
	input->stageno = list_length(cv->def->stages);
	if (plain && correlations)
	{
		Attachment *attachment = (Attachment *) palloc0(sizeof(Attachment));

		attachment->kind = PGT_ATTACH_LEFT;
		attachment->input = input;
		into->attachments = lappend(into->attachments, attachment);
		number = PGT_ATTACHED(list_length(into->attachments));
	}
	else
		number = pgt_convert_add_input(into, input);
	stage = pgt_query_make_group_stage(input->stageno, inner, keys, groupclause,
									   grouped, number, &rewritten, &cv->reason);
	if (cv->reason)
		return NIL;
	stage->blocks = pgt_query_block_as_union(inner);
	cv->def->stages = lappend(cv->def->stages, stage);
	quals = pgt_convert_correlated_quals(correlations, inner, stage, number);
	if (plain && correlations)
	{
		((Attachment *) llast(into->attachments))->quals = quals;
		return pgt_convert_or_empty(cv, exprs, rewritten,
									(Node *) makeVar(number, stage->row_count, INT8OID, -1,
													 InvalidOid, 0));
	}
	into->quals = list_concat(into->quals, quals);
	return rewritten;
}

static List *
group_keys(Conversion *cv, Scope *scope, Query *query, List *clause)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, clause)
	{
		SortGroupClause *sgc = lfirst_node(SortGroupClause, lc);
		TargetEntry *tle = get_sortgroupclause_tle(sgc, query->targetList);

		keys = lappend(keys, pgt_convert_expr(cv, scope, (Node *) tle->expr));
	}
	return keys;
}

/* junk: also those that only clauses of the query refer to */
static List *
output_exprs(Conversion *cv, Scope *scope, Query *query, LateSublinks *late, bool junk)
{
	List	   *exprs = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk || junk)
			exprs = lappend(exprs, pgt_convert_expr(cv, scope,
													late ? pgt_convert_late_take(late, (Node *) tle->expr) :
													(Node *) tle->expr));
	}
	/* ORDER BY a set-returning function multiplies rows, too */
	foreach(lc, query->hasTargetSRFs && !junk ? query->targetList : NIL)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk && expression_returns_set((Node *) tle->expr))
			exprs = lappend(exprs, pgt_convert_expr(cv, scope, (Node *) tle->expr));
	}
	return exprs;
}

static int
count_output(const Query *query)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, query->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			n++;
	return n;
}

/* GROUP BY and HAVING over scope->block: the select list over into. */
static List *
convert_groups(Conversion *cv, Query *query, Scope *scope, QueryBlock *into, bool junk)
{
	QueryBlock *block = scope->block;
	LateSublinks *late = query->hasSubLinks ? pgt_convert_late_begin(query) : NULL;
	List	   *keys = group_keys(cv, scope, query, query->groupClause);
	Query	   *marked = query->groupingSets ? pgt_convert_mark_group_keys(query) : query;
	List	   *exprs = output_exprs(cv, scope, marked, late, junk);
	List	   *having;
	int			noutput = list_length(exprs);

	having = make_ands_implicit((Expr *) pgt_convert_expr(cv, scope,
														  late ? pgt_convert_late_take(late, marked->havingQual) :
														  marked->havingQual));
	exprs = list_concat(exprs, having);
	if (late)
		exprs = list_concat(exprs, pgt_convert_late_references(cv, late, scope));
	if (cv->reason)
		return NIL;
	if (query->hasTargetSRFs)
		keys = pgt_convert_set_returning_keys(keys, &exprs, block);
	exprs = query->groupingSets ?
		pgt_convert_add_grouping_sets(cv, query, block, keys, exprs, into) :
		pgt_convert_add_group_stage(cv, block, keys, query->groupClause, exprs, into);
	if (cv->reason)
		return NIL;
	if (late)
	{
		scope->block = into;
		scope->grouped = true;
		scope->substitutes = list_copy_tail(exprs, noutput + list_length(having));
		exprs = list_truncate(exprs, noutput + list_length(having));
		exprs = (List *) pgt_convert_late_put(cv, late, scope, (Node *) exprs);
	}
	into->quals = list_concat(into->quals, list_copy_tail(exprs, noutput));
	return list_truncate(exprs, noutput);
}

/* SELECT ... FROM ... WHERE ... GROUP BY ... HAVING, without what comes after. */
static List *
convert_grouping(Conversion *cv, Query *query, Scope *parent, QueryBlock *into, bool junk)
{
	bool		grouped = query->groupClause || query->groupingSets || query->hasAggs || query->havingQual;
	bool		native = pgt_convert_has_native(cv, query, grouped);
	QueryBlock *block = grouped || native ? pgt_convert_make_inner_block(into) : into;
	Scope	   *scope = pgt_convert_make_scope(query, parent, block);
	List	   *exprs;

	scope->native_block = native ? block : NULL;
	pgt_convert_from(cv, scope, (Node *) query->jointree);
	if (native && !cv->reason)
		pgt_convert_native_stage(cv, scope, into);
	if (cv->reason)
		return NIL;
	if (grouped)
		exprs = convert_groups(cv, query, scope, into, junk);
	else
	{
		exprs = output_exprs(cv, scope, query, NULL, junk);
		if (native && !cv->reason)
		{
			scope->block->tlist = exprs;
			exprs = pgt_convert_merge_block(scope->block, into);
		}
	}
	if (query->hasTargetSRFs && !cv->reason)
	{
		exprs = pgt_convert_set_returning(exprs, into, junk && pgt_convert_limits_sets(query));
		if (!junk)
			exprs = list_truncate(exprs, count_output(query));
	}
	return cv->reason ? NIL : exprs;
}

/* exprs: the output columns, over block.  Returns them over into. */
static List *
convert_distinct(Conversion *cv, Query *query, QueryBlock *block, List *exprs, QueryBlock *into)
{
	List	   *clauses = NIL;
	List	   *keys = NIL;
	ListCell   *lc;
	int			i = 0;

	/* one key per output column, in order; clauses may be in another one */
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		ListCell   *lc2;

		if (tle->resjunk)
			continue;
		foreach(lc2, query->distinctClause)
		{
			SortGroupClause *sgc = lfirst_node(SortGroupClause, lc2);

			if (sgc->tleSortGroupRef == tle->ressortgroupref)
			{
				clauses = lappend(clauses, sgc);
				keys = lappend(keys, list_nth(exprs, i));
				break;
			}
		}
		i++;
	}
	if (list_length(keys) != list_length(exprs))
		elog(ERROR, "DISTINCT does not cover the select list");
	return pgt_convert_add_group_stage(cv, block, keys, clauses, exprs, into);
}

/* Output columns only, of one expression for each target list entry. */
static List *
without_junk(Query *query, List *exprs)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2;

	forboth(lc, query->targetList, lc2, exprs)
	{
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			result = lappend(result, lfirst(lc2));
	}
	return result;
}

/* The other way round, with something in the place of what is gone. */
static List *
with_junk(Query *query, List *exprs)
{
	List	   *result = NIL;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		result = lappend(result, !tle->resjunk ? list_nth(exprs, i++) :
						 makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	return result;
}

/* The query sorted by the last expression, too, after all that it is sorted by. */
static Query *
sort_by_number(Query *query, Node *number)
{
	Query	   *result = (Query *) copyObject(query);
	SortGroupClause *clause = makeNode(SortGroupClause);
	TargetEntry *tle = makeTargetEntry((Expr *) copyObject(number),
									   list_length(query->targetList) + 1, NULL, true);
	ListCell   *lc;

	foreach(lc, query->targetList)
		tle->ressortgroupref = Max(tle->ressortgroupref,
								   lfirst_node(TargetEntry, lc)->ressortgroupref);
	clause->tleSortGroupRef = ++tle->ressortgroupref;
	get_sort_group_operators(exprType(number), true, true, false,
							 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
	result->targetList = lappend(result->targetList, tle);
	result->sortClause = lappend(result->sortClause, clause);
	return result;
}

/*
 * What is done after grouping, in this order: windows, DISTINCT, ORDER BY with
 * LIMIT.  Each makes a stage, which a new block reads.
 */
static List *
convert_ordered(Conversion *cv, Query *query, Scope *parent, QueryBlock *into)
{
	QueryBlock *block = pgt_convert_make_inner_block(into);
	List	   *correlations = NIL;
	List	   *exprs;
	List	   *columns;

	exprs = query->setOperations ? pgt_convert_set_operations(cv, query, parent, block) :
		convert_grouping(cv, query, parent, block, true);
	if (list_length(exprs) > list_length(query->targetList))
		query = sort_by_number(query, llast(exprs));
	if (!cv->reason)
		query = pgt_convert_partition_by_outer(query, block, &exprs, &correlations);
	if (query->hasWindowFuncs && !cv->reason)
		exprs = pgt_query_add_window_stages(cv->def, query, &block, exprs, &cv->reason);
	if (query->hasDistinctOn && !cv->reason)
		exprs = pgt_query_add_distinct_on_stage(cv->def, query, &block, exprs, &cv->reason);
	else if (query->distinctClause && !cv->reason)
	{
		/* what it is sorted by is among the output columns */
		QueryBlock *distinct = pgt_convert_make_inner_block(into);

		exprs = convert_distinct(cv, query, block, without_junk(query, exprs), distinct);
		if (!cv->reason)
			exprs = with_junk(query, exprs);
		block = distinct;
	}
	if (pgt_query_has_limit(query) && !cv->reason)
		exprs = pgt_convert_limit(cv, query, &block, exprs, list_length(correlations));
	if (cv->reason)
		return NIL;
	block->tlist = without_junk(query, exprs);
	columns = pgt_convert_merge_block(block, into);
	if (correlations == NIL)
		return columns;
	into->quals = list_concat(into->quals,
							  pgt_convert_outer_quals(correlations,
													  list_copy_tail(columns, list_length(columns) -
																	 list_length(correlations))));
	return list_truncate(columns, list_length(columns) - list_length(correlations));
}

List *
pgt_convert_query(Conversion *cv, Query *query, Scope *parent, QueryBlock *into)
{
	List	   *exprs;
	LevelPart	part;

	check_stack_depth();
	if (cv->reason)
		return NIL;
	if (pgt_convert_query_as_item(cv, query, parent, into, &exprs))
		return exprs;
	if (pgt_convert_has_misplaced_native(cv, query))
		query = pgt_convert_split_level(query, PGT_UP_TO_GROUPS);
	part = pgt_convert_part_below_sets(query);
	if (part != PGT_NOT_SPLIT)
	{
		query = pgt_convert_split_level(query, part);
		return pgt_convert_query(cv, query, parent, into);
	}
	if (query->hasWindowFuncs || query->hasDistinctOn || pgt_query_has_limit(query))
		return convert_ordered(cv, query, parent, into);
	if (query->setOperations)
		return pgt_convert_set_operations(cv, query, parent, into);
	if (query->distinctClause)
	{
		QueryBlock *block = pgt_convert_make_inner_block(into);

		exprs = convert_grouping(cv, query, parent, block, false);
		return cv->reason ? NIL : convert_distinct(cv, query, block, exprs, into);
	}
	return convert_grouping(cv, query, parent, into, false);
}

/* ---- after conversion ---- */

static void finish_block(Conversion *cv, QueryBlock *block);

static bool
collect_used(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Input	   *input = pgt_block_input((QueryBlock *) context, var->varno);

		input->used = bms_add_member(input->used, var->varattno);
		return false;
	}
	return expression_tree_walker(node, collect_used, context);
}

static AttrNumber
first_live_column(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	result = 0;

	for (int i = 0; i < desc->natts && result == 0; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			result = i + 1;
	table_close(rel, NoLock);
	return result;
}

static void
finish_input(Conversion *cv, Input *input)
{
	ListCell   *lc;

	if (input->kind == PGT_INPUT_RELATION)
	{
		SourceUse  *use = (SourceUse *) list_nth(cv->def->sources, input->source);

		/* count(*) needs no column, but capture needs one to tell rows */
		if (bms_is_empty(input->used))
		{
			AttrNumber	attnum = first_live_column(input->relid);

			if (attnum == 0)
			{
				pgt_convert_unsupported(cv, "no_columns",
										"a source without columns cannot be maintained differentially",
										"Add a column to the table; " OR_FULL);
				pgt_convert_place(cv, input->relid, InvalidOid, -1);
				return;
			}
			input->used = bms_add_member(input->used, attnum);
		}
		use->columns = bms_add_members(use->columns, input->used);
	}
	else if (input->kind == PGT_INPUT_STAGE && bms_is_member(PGT_NO_COLUMN, input->used))
		pgt_convert_unsupported(cv, "pseudo_type",
								"a column that SEARCH or CYCLE adds to a recursive query cannot be maintained differentially",
								"Leave the column out, or compute an array of the path in the query; " OR_FULL);
	else if (input->kind == PGT_INPUT_UNION)
	{
		foreach(lc, input->blocks)
			finish_block(cv, (QueryBlock *) lfirst(lc));
	}
}

static void
finish_block(Conversion *cv, QueryBlock *block)
{
	ListCell   *lc;

	(void) collect_used((Node *) block->quals, block);
	(void) collect_used((Node *) block->tlist, block);
	foreach(lc, block->attachments)
	{
		Attachment *attachment = (Attachment *) lfirst(lc);

		(void) collect_used((Node *) attachment->quals, block);
		finish_input(cv, attachment->input);
	}
	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		(void) collect_used((Node *) input->args, block);
		(void) collect_used((Node *) input->on, block);
	}
	foreach(lc, block->inputs)
		finish_input(cv, (Input *) lfirst(lc));
}

static int
compare_sources(const ListCell *a, const ListCell *b)
{
	Oid			x = ((SourceUse *) lfirst(a))->relid;
	Oid			y = ((SourceUse *) lfirst(b))->relid;

	return x < y ? -1 : x > y;
}

/* Sources in ascending OID (lock order); inputs follow. */
static void
renumber_sources(Conversion *cv, List *blocks, const int *newnumber)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		foreach(lc2, ((QueryBlock *) lfirst(lc))->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (input->kind == PGT_INPUT_RELATION)
				input->source = newnumber[input->source];
			else if (input->kind == PGT_INPUT_UNION)
				renumber_sources(cv, input->blocks, newnumber);
		}
		foreach(lc2, ((QueryBlock *) lfirst(lc))->attachments)
		{
			Input	   *input = ((Attachment *) lfirst(lc2))->input;

			if (input->kind == PGT_INPUT_RELATION)
				input->source = newnumber[input->source];
		}
	}
}

static void
sort_sources(Conversion *cv)
{
	List	   *sorted = list_copy(cv->def->sources);
	int		   *newnumber = (int *) palloc0(sizeof(int) * (list_length(sorted) + 1));
	ListCell   *lc,
			   *lc2;

	list_sort(sorted, compare_sources);
	foreach(lc, cv->def->sources)
	{
		foreach(lc2, sorted)
			if (lfirst(lc2) == lfirst(lc))
				newnumber[foreach_current_index(lc)] = foreach_current_index(lc2);
	}
	foreach(lc, cv->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		renumber_sources(cv, stage->blocks, newnumber);
		if (stage->watched)
			renumber_sources(cv, list_make1(stage->watched), newnumber);
	}
	cv->def->sources = sorted;
}

/* A weight column name that no used column of any source has. */
static char *
choose_weight_name(List *sources)
{
	char	   *name = pstrdup("__pgt_w");

	for (int i = 1;; i++)
	{
		ListCell   *lc;
		bool		taken = false;

		foreach(lc, sources)
		{
			SourceUse  *use = (SourceUse *) lfirst(lc);

			taken = taken || get_attnum(use->relid, name) != InvalidAttrNumber;
		}
		if (!taken)
			return name;
		name = psprintf("__pgt_w%d", i);
	}
}

/*
 * The last stage only passes on the columns of a group stage, and they hold
 * its whole state: let the stream table be the storage of the group stage.
 */
static void
try_elide_state(Definition *def)
{
	Stage	   *rows = (Stage *) llast(def->stages);
	Stage	   *group;
	QueryBlock	   *block = (QueryBlock *) linitial(rows->blocks);
	AttrNumber *elided;
	int			ncolumns;
	ListCell   *lc;
	AttrNumber	position = 0;

	if (!rows->is_map || block->quals != NIL)
		return;
	group = (Stage *) list_nth(def->stages, list_length(def->stages) - 2);
	if (group->recursive)
		return;					/* its own statements read it by the stage's columns */
	ncolumns = list_length(group->columns);
	elided = (AttrNumber *) palloc0(sizeof(AttrNumber) * ncolumns);
	foreach(lc, block->tlist)
	{
		Var		   *var = (Var *) lfirst(lc);

		position++;
		if (!IsA(var, Var) || elided[var->varattno - 1] != 0)
			return;				/* an expression, or a column shown twice */
		elided[var->varattno - 1] = position;
	}
	for (int i = 0; i < ncolumns; i++)
		if (elided[i] == 0)
			return;
	group->elided = elided;
	def->stages = list_truncate(def->stages, list_length(def->stages) - 1);
}

/* Is the last stage nothing but a projection and filter of the one before? */
static bool
is_map_of_previous(const Definition *def, const Stage *rows)
{
	QueryBlock	   *block;
	Input	   *input;

	if (list_length(rows->blocks) != 1 || list_length(def->stages) < 1)
		return false;
	block = (QueryBlock *) linitial(rows->blocks);
	if (list_length(block->inputs) != 1 || block->attachments != NIL)
		return false;
	input = (Input *) linitial(block->inputs);
	return input->kind == PGT_INPUT_STAGE && input->stageno == rows->number - 1 &&
		((Stage *) list_nth(def->stages, input->stageno))->head != PGT_HEAD_ROWS;
}

static Stage *
make_rows_stage(Conversion *cv, QueryBlock *block, List *columns)
{
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));
	ListCell   *lc;

	stage->number = list_length(cv->def->stages);
	stage->head = PGT_HEAD_ROWS;
	stage->blocks = pgt_query_block_as_union(block);
	foreach(lc, columns)
	{
		ColumnDef  *def = lfirst_node(ColumnDef, lc);
		StageColumn *column = (StageColumn *) palloc0(sizeof(StageColumn));

		column->name = def->colname;
		column->type = def->typeName->typeOid;
		column->typmod = def->typeName->typemod;
		column->collation = def->collOid;
		stage->columns = lappend(stage->columns, column);
	}
	return stage;
}

/*
 * native: subqueries left to PostgreSQL.  *failed: the one that it failed at, or NULL.
 * *follow: may changes be followed through WITH RECURSIVE?  Becomes whether they are.
 */
static Definition *
convert(Query *rewritten, List *columns, List *native, bool *follow, Node **failed,
		UnsupportedReason **reason)
{
	Conversion	cv;
	QueryBlock	   *block = pgt_convert_make_block();
	Stage	   *rows = NULL;
	ListCell   *lc,
			   *lc2;

	memset(&cv, 0, sizeof(cv));
	cv.def = (Definition *) palloc0(sizeof(Definition));
	cv.native = native;
	cv.follow_no_recursion = !*follow;
	block->tlist = pgt_convert_query(&cv, rewritten, NULL, block);
	pgt_convert_place(&cv, InvalidOid, InvalidOid, pgt_query_place_of_level(rewritten));
	if (cv.reason == NULL)
	{
		pgt_convert_finish_copies(&cv);
		rows = make_rows_stage(&cv, block, columns);
		cv.def->stages = lappend(cv.def->stages, rows);
		pgt_convert_normalise(&cv);
	}
	if (cv.reason == NULL)
	{
		rows->is_map = is_map_of_previous(cv.def, rows);
		foreach(lc, cv.def->stages)
		{
			foreach(lc2, ((Stage *) lfirst(lc))->blocks)
				finish_block(&cv, (QueryBlock *) lfirst(lc2));
			if (((Stage *) lfirst(lc))->watched)
				finish_block(&cv, ((Stage *) lfirst(lc))->watched);
		}
	}
	*failed = cv.construct;
	*follow = cv.follows_recursion;
	if (cv.reason)
	{
		*reason = cv.reason;
		return NULL;
	}
	sort_sources(&cv);
	cv.def->weight_name = choose_weight_name(cv.def->sources);
	foreach(lc, cv.def->stages)
	{
		foreach(lc2, ((Stage *) lfirst(lc))->states)
		{
			StateSpec  *state = (StateSpec *) lfirst(lc2);

			/* rows that came and went would hide what may be gone */
			if (state->kind == PGT_STATE_MIN || state->kind == PGT_STATE_MAX)
				cv.def->consolidate = true;
		}
	}
	foreach(lc, cv.def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->head == PGT_HEAD_ROWS && list_length(stage->blocks) == 1)
			stage->row_keys = pgt_query_find_row_keys((QueryBlock *) linitial(stage->blocks), cv.def);
		else if (stage->head == PGT_HEAD_PARTITION)
			stage->row_keys = pgt_query_partition_row_keys(stage, cv.def);
	}
	try_elide_state(cv.def);
	return cv.def;
}

/* As pgt_query_convert; *follow: as above. */
static Definition *
convert_what_can_be(Query *rewritten, List *columns, bool *follow, UnsupportedReason **reason)
{
	List	   *native = NIL;
	Node	   *failed;
	bool		asked = *follow;
	Definition *def = convert(rewritten, columns, NIL, follow, &failed, reason);

	while (def == NULL && failed != NULL && !list_member(native, failed))
	{
		UnsupportedReason *later = NULL;

		CHECK_FOR_INTERRUPTS();
		native = lappend(native, failed);
		*follow = asked;
		def = convert(rewritten, columns, native, follow, &failed, &later);
	}
	return def;
}

/*
 * What conversion fails at is left to PostgreSQL, if it is a subquery that can
 * be taken by itself, or may have to do with WITH RECURSIVE; the reason is that of the first failure.
 */
Definition *
pgt_query_convert(Query *rewritten, List *columns, UnsupportedReason **reason)
{
	bool		follow = true;
	Definition *def = convert_what_can_be(rewritten, columns, &follow, reason);

	if (def == NULL && follow)
	{
		UnsupportedReason *later = NULL;

		follow = false;
		def = convert_what_can_be(rewritten, columns, &follow, &later);
	}
	if (def)
		*reason = NULL;
	return def;
}
