/*-------------------------------------------------------------------------
 *
 * grouping_sets.c
 *	  GROUPING SETS, ROLLUP and CUBE as one group stage.
 *
 * Each row counts once for each grouping set: the rows are joined with the
 * numbers of the sets, and grouped by the number and by each grouping expression where
 * the set has it, NULL where it has not,
 *
 *		group by s, case when s in (<sets with a>) then a end, ...
 *
 * so that a NULL of the data and one that stands for "all" are told apart by the number,
 * and GROUPING() is a function of it.  Arguments of aggregates are the rows' own
 * values.  The empty set has a row even if there are none to aggregate: it is
 * a stage without keys, and both are put together by UNION ALL.
 *
 * IDENTIFICATION
 *	  src/query/grouping_sets.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

typedef struct Sets
{
	List	   *keys;			/* grouping expressions, over the block */
	List	   *refs;			/* their sort group references, int */
	List	   *sets;			/* not empty ones: of int lists of references */
	int			nempty;
	List	   *substitutes;	/* what the keys become; NIL: the empty set */
	Var		   *number;			/* of the set */
} Sets;

static Node *
int4_const(int value)
{
	return (Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(value),
							  false, true);
}

/* CASE number WHEN i THEN value i ... END; NULL values are left to the ELSE. */
static Node *
choose(const Sets *s, List *values, Oid type, Oid collation)
{
	CaseExpr   *choice = makeNode(CaseExpr);
	ListCell   *lc;

	foreach(lc, values)
	{
		CaseWhen   *when;

		if (lfirst(lc) == NULL)
			continue;
		when = makeNode(CaseWhen);
		when->expr = (Expr *) makeFuncExpr(F_INT4EQ, BOOLOID,
										   list_make2(copyObject(s->number),
													  int4_const(foreach_current_index(lc))),
										   InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
		when->result = (Expr *) copyObject(lfirst(lc));
		when->location = -1;
		choice->args = lappend(choice->args, when);
	}
	choice->casetype = type;
	choice->casecollid = collation;
	choice->defresult = NULL;
	choice->location = -1;
	return (Node *) choice;
}

/* The key as the sets show it. */
static Node *
key_by_set(const Sets *s, Node *key, int ref)
{
	List	   *values = NIL;
	bool		always = true;
	CaseExpr   *choice;
	ListCell   *lc;

	foreach(lc, s->sets)
	{
		bool		member = list_member_int((List *) lfirst(lc), ref);

		values = lappend(values, member ? key : NULL);
		always = always && member;
	}
	if (always)
		return copyObject(key);
	choice = (CaseExpr *) choose(s, values, exprType(key), exprCollation(key));
	choice->defresult = (Expr *) linitial(pgt_ir_nulls(list_make1(key)));
	if (choice->args == NIL)
		return (Node *) choice->defresult;
	return (Node *) choice;
}

/* GROUPING(): a bit for each argument that the set does not have. */
static int
grouping_value(const GroupingFunc *grouping, List *set)
{
	int			value = 0;
	ListCell   *lc;

	foreach(lc, grouping->refs)
		value = value << 1 | (list_member_int(set, lfirst_int(lc)) ? 0 : 1);
	return value;
}

static Node *
grouping_by_set(const Sets *s, const GroupingFunc *grouping)
{
	List	   *values = NIL;
	CaseExpr   *choice;
	ListCell   *lc;

	if (s->substitutes == NIL)
		return int4_const(grouping_value(grouping, NIL));
	foreach(lc, s->sets)
		values = lappend(values, int4_const(grouping_value(grouping, (List *) lfirst(lc))));
	choice = (CaseExpr *) choose(s, values, INT4OID, InvalidOid);
	choice->defresult = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
	return (Node *) choice;
}

/* ---- grouped expressions ---- */

#define IsKeyParam(node) \
	(IsA(node, Param) && ((Param *) (node))->paramkind == PARAM_EXEC)

typedef struct MarkContext
{
	const Query *query;
	List	   *keys;			/* as they are written */
	List	   *clauses;
} MarkContext;

static Node *
make_key_param(Node *key, int number)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXEC;
	param->paramid = number;
	param->paramtype = exprType(key);
	param->paramtypmod = exprTypmod(key);
	param->paramcollid = exprCollation(key);
	param->location = -1;
	return (Node *) param;
}

/* 18 has a column of the grouping step instead of any expression that is grouped by. */
static bool
is_constant(const Query *query, Node *node)
{
#if PG_VERSION_NUM >= 180000
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0)
	{
		RangeTblEntry *rte = rt_fetch(((Var *) node)->varno, query->rtable);

		return rte->rtekind == RTE_GROUP &&
			IsA(list_nth(rte->groupexprs, ((Var *) node)->varattno - 1), Const);
	}
#endif
	return IsA(node, Const);
}

/* A constant is a key only where the clause names the column that it is. */
static Node *
mark_mutator(Node *node, MarkContext *context)
{
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	/* subqueries are looked at after grouping */
	if (IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, SubLink))
		return copyObject(node);
	foreach(lc, context->keys)
	{
		if (equal(lfirst(lc), node) && !is_constant(context->query, node))
			return make_key_param(node, foreach_current_index(lc));
	}
	return expression_tree_mutator(node, mark_mutator, (void *) context);
}

static MarkContext
keys_of(const Query *query)
{
	MarkContext context = {query, NIL, query->groupClause};
	ListCell   *lc;

	foreach(lc, query->groupClause)
		context.keys = lappend(context.keys,
							   get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
													   query->targetList)->expr);
	return context;
}

/*
 * What is grouped by is told by how it is written: the same expression may come to
 * stand elsewhere when columns of subqueries are replaced by what they are.
 */
Query *
pgt_convert_mark_group_keys(Query *query)
{
	MarkContext context = keys_of(query);
	Query	   *result = (Query *) copyObject(query);
	ListCell   *lc,
			   *lc2;

	foreach(lc, result->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *key = NULL;

		foreach(lc2, query->groupClause)
			if (tle->ressortgroupref == lfirst_node(SortGroupClause, lc2)->tleSortGroupRef)
				key = make_key_param((Node *) tle->expr, foreach_current_index(lc2));
		tle->expr = (Expr *) (key ? key : mark_mutator((Node *) tle->expr, &context));
	}
	result->havingQual = mark_mutator(query->havingQual, &context);
	return result;
}

/* The same for one expression of the level. */
Node *
pgt_convert_mark_group_key(const Query *query, Node *node)
{
	MarkContext context = keys_of(query);

	return mark_mutator(node, &context);
}

/* Expressions of the select list: what is grouped is what the set shows. */
static Node *
over_sets(Node *node, Sets *s)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
		return copyObject(node);
	if (IsA(node, GroupingFunc))
		return grouping_by_set(s, (GroupingFunc *) node);
	if (IsKeyParam(node))
		return s->substitutes ? copyObject(list_nth(s->substitutes, ((Param *) node)->paramid)) :
			(Node *) linitial(pgt_ir_nulls(list_make1(node)));
	return expression_tree_mutator(node, over_sets, (void *) s);
}

/* The numbers of the sets as an input: constants, which never change. */
static Var *
add_set_numbers(QueryBlock *block, int nsets)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));

	input->kind = PGT_INPUT_UNION;
	for (int i = 0; i < nsets; i++)
	{
		QueryBlock *number = pgt_query_make_block();

		number->tlist = list_make1(int4_const(i));
		input->blocks = lappend(input->blocks, number);
	}
	return makeVar(pgt_convert_add_input(block, input), 1, INT4OID, -1, InvalidOid, 0);
}

static SortGroupClause *
number_clause(void)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	get_sort_group_operators(INT4OID, true, true, false,
							 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
	return clause;
}

/* Those sets that have an expression: rows times sets, grouped. */
static QueryBlock *
add_sets_stage(Conversion *cv, Sets *s, QueryBlock *rows, List *clauses, List *exprs)
{
	QueryBlock *branch = pgt_query_make_block();
	List	   *keys = NIL;
	ListCell   *lc,
			   *lc2;

	s->number = add_set_numbers(rows, list_length(s->sets));
	forboth(lc, s->keys, lc2, s->refs)
		s->substitutes = lappend(s->substitutes,
								 key_by_set(s, (Node *) lfirst(lc), lfirst_int(lc2)));
	keys = lcons(s->number, copyObject(s->substitutes));
	branch->tlist = pgt_convert_add_group_stage(cv, rows, keys, lcons(number_clause(), list_copy(clauses)),
												(List *) over_sets((Node *) exprs, s), branch);
	return branch;
}

static QueryBlock *
add_empty_set_stage(Conversion *cv, Sets *s, QueryBlock *rows, List *exprs)
{
	QueryBlock *branch = pgt_query_make_block();

	s->substitutes = NIL;
	branch->tlist = pgt_convert_add_group_stage(cv, rows, NIL, NIL,
												(List *) over_sets((Node *) exprs, s), branch);
	return branch;
}

static QueryBlock *
copy_block(const QueryBlock *block)
{
	QueryBlock *copy = pgt_query_make_block();

	copy->tlist = pgt_convert_merge_block(block, copy);
	return copy;
}

/*
 * What the branches of the union have to deliver: the expressions, or their
 * parts where they wait for subqueries that are looked at afterwards, or for
 * window functions, which see the rows of all branches.
 */
typedef struct Columns
{
	int			input;
	List	   *exprs;
} Columns;

static bool
is_waiting(Node *node, void *context)
{
	if (node == NULL || IsA(node, Aggref) || IsA(node, GroupingFunc))
		return false;
	/* these have a CaseTestExpr of their own */
	if (IsA(node, ArrayCoerceExpr))
		return is_waiting((Node *) ((ArrayCoerceExpr *) node)->arg, context);
	if (IsA(node, CaseExpr) && ((CaseExpr *) node)->arg)
		return expression_tree_walker(node, is_waiting, node);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
		return true;
	if (IsA(node, WindowFunc))
		return true;
	/* the other part of a CASE that has to wait */
	if (IsA(node, CaseTestExpr))
		return context == NULL;
	return expression_tree_walker(node, is_waiting, context);
}

static Node *
to_columns(Node *node, Columns *columns)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, List) || IsA(node, CaseWhen) || is_waiting(node, NULL))
	{
		if (IsA(node, Param) || IsA(node, CaseTestExpr))
			return copyObject(node);
		return expression_tree_mutator(node, to_columns, (void *) columns);
	}
	columns->exprs = lappend(columns->exprs, node);
	return (Node *) makeVar(columns->input, list_length(columns->exprs), exprType(node),
							exprTypmod(node), exprCollation(node), 0);
}

List *
pgt_convert_add_grouping_sets(Conversion *cv, Query *query, QueryBlock *block, List *keys,
							  List *exprs, QueryBlock *into)
{
	Sets		s = {0};
	Input	   *input = (Input *) palloc0(sizeof(Input));
	Columns		columns = {0};
	List	   *result = NIL;
	bool		several;
	ListCell   *lc;

	if (pgt_convert_refers_outwards(list_make1(block)) ||
		pgt_convert_has_outer_reference((Node *) keys) ||
		pgt_convert_has_outer_reference((Node *) exprs))
	{
		pgt_convert_unsupported(cv, "lateral_subquery",
								"grouping sets in a subquery that refers outwards cannot be maintained differentially",
								"Add what it refers to to all grouping sets of a subquery in FROM, and join with that; " OR_FULL);
		return NIL;
	}
	s.keys = keys;
	foreach(lc, query->groupClause)
		s.refs = lappend_int(s.refs, lfirst_node(SortGroupClause, lc)->tleSortGroupRef);
	foreach(lc, expand_grouping_sets(query->groupingSets, query->groupDistinct, -1))
	{
		if (lfirst(lc) == NIL)
			s.nempty++;
		else
			s.sets = lappend(s.sets, lfirst(lc));
	}
	input->kind = PGT_INPUT_UNION;
	several = s.nempty + (s.sets == NIL ? 0 : 1) > 1;
	if (several)
	{
		columns.input = pgt_convert_add_input(into, input);
		result = (List *) to_columns((Node *) exprs, &columns);
		exprs = columns.exprs;
	}
	if (s.nempty > 0)
	{
		QueryBlock *branch = add_empty_set_stage(cv, &s, copy_block(block), exprs);

		for (int i = 0; i < s.nempty && !cv->reason; i++)
			input->blocks = lappend(input->blocks, copy_block(branch));
	}
	if (s.sets != NIL && !cv->reason)
		input->blocks = lappend(input->blocks,
								add_sets_stage(cv, &s, block, query->groupClause, exprs));
	if (cv->reason)
		return NIL;
	return several ? result :
		pgt_convert_merge_block((QueryBlock *) linitial(input->blocks), into);
}
