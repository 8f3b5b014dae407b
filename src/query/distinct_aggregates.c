/*-------------------------------------------------------------------------
 *
 * distinct_aggregates.c
 *	  Aggregates with DISTINCT as aggregates over a stage of distinct values.
 *
 *		select k, count(distinct x), sum(y) from ... group by k
 *
 * becomes a group stage D with keys (k, x), and a group stage over
 *
 *		select k, null as x, false as of_d, y, true as plain from ...
 *		union all
 *		select k, x, true, null, false from D
 *
 * with count(x) filter (where of_d), sum(y) filter (where plain).  If there are no other
 * aggregates, D alone is what is grouped.  min, max, bool_and, bool_or and their like do
 * not need the DISTINCT in the first place.  An aggregate whose result depends on
 * the order of its input keeps its DISTINCT and is computed from the rows of its group.
 *
 * IDENTIFICATION
 *	  src/query/distinct_aggregates.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_oper.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

/* Distinct values of an expression, of the rows that pass a filter. */
typedef struct DistinctSet
{
	Expr	   *argument;
	Expr	   *filter;			/* or NULL */
	int			column;			/* of the union: the value */
	int			member;			/* of the union: is it a row of this set? */
} DistinctSet;

typedef struct Split
{
	List	   *keys;
	List	   *sets;			/* of DistinctSet * */
	bool		others;			/* are there other aggregates? */
	bool		single;			/* one set, and it has all the groups: no union */

	List	   *plain;			/* output of the branch with the rows themselves */
	int			is_plain;		/* its column that is true there; 0: none yet */
} Split;

static bool
is_builtin(Aggref *agg, const char *const *names)
{
	char	   *name;

	if (agg->aggkind != AGGKIND_NORMAL || list_length(agg->args) != 1 || agg->aggorder != NIL ||
		get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	name = get_func_name(agg->aggfnoid);
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* Duplicates make no difference. */
static bool
is_idempotent(Aggref *agg)
{
	static const char *const names[] = {
		"min", "max", "bool_and", "bool_or", "every", "bit_and", "bit_or", NULL
	};

	return is_builtin(agg, names);
}

static bool
is_split(Aggref *agg)
{
	static const char *const names[] = {
		"count", "sum", "avg", "var_pop", "var_samp", "variance",
		"stddev_pop", "stddev_samp", "stddev", NULL
	};
	Oid			type;

	if (agg->aggdistinct == NIL || !is_builtin(agg, names))
		return false;
	type = exprType((Node *) linitial_node(TargetEntry, agg->args)->expr);
	return get_typtype(type) != TYPTYPE_PSEUDO && pgt_query_is_sortable(type);
}

static DistinctSet *
find_set(Split *split, Aggref *agg)
{
	Expr	   *argument = linitial_node(TargetEntry, agg->args)->expr;
	ListCell   *lc;

	foreach(lc, split->sets)
	{
		DistinctSet *set = (DistinctSet *) lfirst(lc);

		if (equal(set->argument, argument) && equal(set->filter, agg->aggfilter))
			return set;
	}
	return NULL;
}

static bool
collect_sets(Node *node, Split *split)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		DistinctSet *set;

		if (!is_split(agg))
			split->others = true;
		else if (find_set(split, agg) == NULL)
		{
			set = (DistinctSet *) palloc0(sizeof(DistinctSet));
			set->argument = linitial_node(TargetEntry, agg->args)->expr;
			set->filter = agg->aggfilter;
			split->sets = lappend(split->sets, set);
		}
		return false;
	}
	return expression_tree_walker(node, collect_sets, (void *) split);
}

/* ---- expressions over what is grouped instead ---- */

static Node *
union_column(int column, Node *expr)
{
	return (Node *) makeVar(1, column, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

static Node *
plain_column(Split *split, Node *expr)
{
	ListCell   *lc;

	/* columns of the sets, which come after the keys, are NULL or false here */
	foreach(lc, split->plain)
	{
		int			column = foreach_current_index(lc) + 1;

		if (column > split->is_plain && equal(lfirst(lc), expr))
			return union_column(column, expr);
	}
	split->plain = lappend(split->plain, expr);
	return union_column(list_length(split->plain), expr);
}

static Node *
argument_over_union(Node *node, Split *split)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, TargetEntry))
	{
		TargetEntry *tle = (TargetEntry *) copyObject(node);

		tle->expr = (Expr *) plain_column(split, (Node *) tle->expr);
		return (Node *) tle;
	}
	return expression_tree_mutator(node, argument_over_union, (void *) split);
}

static Aggref *
distinct_over_union(Split *split, Aggref *agg)
{
	DistinctSet *set = find_set(split, agg);
	Aggref	   *copy = (Aggref *) copyObject(agg);
	TargetEntry *tle = linitial_node(TargetEntry, copy->args);

	tle->expr = (Expr *) union_column(set->column, (Node *) set->argument);
	tle->ressortgroupref = 0;
	copy->aggdistinct = NIL;
	copy->aggfilter = NULL;
	if (!split->single)
		copy->aggfilter = (Expr *) union_column(set->member, (Node *) makeBoolConst(true, false));
	return copy;
}

static Node *
over_union(Node *node, Split *split)
{
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	foreach(lc, split->keys)
	{
		if (equal(lfirst(lc), node))
			return union_column(foreach_current_index(lc) + 1, node);
	}
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		Aggref	   *copy;

		if (is_split(agg))
			return (Node *) distinct_over_union(split, agg);
		copy = (Aggref *) copyObject(agg);
		copy->aggdirectargs = (List *) over_union((Node *) agg->aggdirectargs, split);
		copy->args = (List *) argument_over_union((Node *) agg->args, split);
		copy->aggfilter = (Expr *) (agg->aggfilter ? plain_column(split, (Node *) agg->aggfilter) :
									union_column(split->is_plain, (Node *) makeBoolConst(true, false)));
		return (Node *) copy;
	}
	return expression_tree_mutator(node, over_union, (void *) split);
}

/* Aggregates that need no DISTINCT lose it. */
static Node *
drop_distinct(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref) && ((Aggref *) node)->aggdistinct != NIL && is_idempotent((Aggref *) node))
	{
		Aggref	   *agg = (Aggref *) copyObject(node);

		agg->aggdistinct = NIL;
		linitial_node(TargetEntry, agg->args)->ressortgroupref = 0;
		return (Node *) agg;
	}
	return expression_tree_mutator(node, drop_distinct, context);
}

/* ---- stages ---- */

static SortGroupClause *
make_clause(Node *expr)
{
	SortGroupClause *clause = makeNode(SortGroupClause);
	bool		hashable;

	get_sort_group_operators(exprType(expr), true, true, false,
							 &clause->sortop, &clause->eqop, NULL, &hashable);
	clause->hashable = hashable;
	return clause;
}

/* A block over the stage of a set, which delivers keys and value. */
static QueryBlock *
add_set_stage(Conversion *cv, const QueryBlock *inner, const DistinctSet *set,
			  List *keys, List *clauses)
{
	QueryBlock *rows = pgt_query_make_block();
	QueryBlock *block = pgt_query_make_block();
	Input	   *input = (Input *) palloc0(sizeof(Input));
	List	   *all = lappend(list_copy(keys), set->argument);
	List	   *rewritten = NIL;
	Stage	   *stage;

	(void) pgt_convert_merge_block(inner, rows);
	if (set->filter)
		rows->quals = lappend(rows->quals, copyObject(set->filter));
	input->kind = PGT_INPUT_STAGE;
	input->stageno = list_length(cv->def->stages);
	(void) pgt_convert_add_input(block, input);
	stage = pgt_query_make_group_stage(input->stageno, rows, copyObject(all),
									   lappend(list_copy(clauses), make_clause((Node *) set->argument)),
									   copyObject(all), 1, &rewritten, &cv->reason);
	if (cv->reason)
		return NULL;
	stage->blocks = pgt_query_block_as_union(rows);
	cv->def->stages = lappend(cv->def->stages, stage);
	block->tlist = rewritten;
	return block;
}

/* The branch of the union with the rows of one set. */
static void
fill_set_branch(QueryBlock *branch, const DistinctSet *set, const Split *split)
{
	int			nkeys = list_length(split->keys);
	Node	   *value = (Node *) list_nth(branch->tlist, nkeys);
	List	   *tlist = list_truncate(list_copy(branch->tlist), nkeys);

	for (int i = nkeys; i < list_length(split->plain); i++)
	{
		int			column = i + 1;
		Node	   *expr = (Node *) list_nth(split->plain, i);

		if (column == set->column)
			expr = value;
		else if (column == set->member)
			expr = (Node *) makeBoolConst(true, false);
		else if (exprType(expr) == BOOLOID)
			expr = (Node *) makeBoolConst(false, false);
		else
			expr = (Node *) linitial(pgt_ir_nulls(list_make1(expr)));
		tlist = lappend(tlist, expr);
	}
	branch->tlist = tlist;
}

static void
lay_out_columns(Split *split)
{
	ListCell   *lc;

	split->plain = copyObject(split->keys);
	foreach(lc, split->sets)
	{
		DistinctSet *set = (DistinctSet *) lfirst(lc);

		split->plain = lappend(split->plain,
							   linitial(pgt_ir_nulls(list_make1(set->argument))));
		set->column = list_length(split->plain);
		split->plain = lappend(split->plain, makeBoolConst(false, false));
		set->member = list_length(split->plain);
	}
	split->plain = lappend(split->plain, makeBoolConst(true, false));
	split->is_plain = list_length(split->plain);
}

QueryBlock *
pgt_convert_split_distinct(Conversion *cv, QueryBlock *inner, List **keys, List **clauses,
						   List **exprs, List *correlations)
{
	Split		split = {0};
	QueryBlock *block;
	Input	   *input;
	ListCell   *lc;

	*exprs = (List *) drop_distinct((Node *) *exprs, NULL);
	(void) collect_sets((Node *) *exprs, &split);
	if (split.sets == NIL)
		return inner;
	foreach(lc, pgt_query_dependent_columns(*keys, *exprs))
	{
		*keys = lappend(*keys, lfirst(lc));
		*clauses = lappend(*clauses, make_clause((Node *) lfirst(lc)));
	}
	split.keys = *keys;
	split.single = !split.others && list_length(split.sets) == 1 &&
		((DistinctSet *) linitial(split.sets))->filter == NULL;
	if (split.single)
	{
		((DistinctSet *) linitial(split.sets))->column = list_length(*keys) + 1;
		block = add_set_stage(cv, inner, (DistinctSet *) linitial(split.sets), *keys, *clauses);
		if (cv->reason)
			return inner;
		*exprs = pgt_ir_replace((List *) over_union((Node *) *exprs, &split), 1, block->tlist);
		pgt_convert_map_correlations(correlations, *keys, block->tlist);
		*keys = list_truncate(list_copy(block->tlist), list_length(*keys));
		block->tlist = NIL;
		return block;
	}

	lay_out_columns(&split);
	*exprs = (List *) over_union((Node *) *exprs, &split);
	input = (Input *) palloc0(sizeof(Input));
	input->kind = PGT_INPUT_UNION;
	inner->tlist = split.plain;
	foreach(lc, split.sets)
	{
		QueryBlock *branch = add_set_stage(cv, inner, (DistinctSet *) lfirst(lc), *keys, *clauses);

		if (cv->reason)
			return inner;
		fill_set_branch(branch, (DistinctSet *) lfirst(lc), &split);
		input->blocks = lappend(input->blocks, branch);
	}
	input->blocks = lcons(inner, input->blocks);
	block = pgt_query_make_block();
	block->outer = inner->outer;
	(void) pgt_convert_add_input(block, input);
	{
		List	   *columns = NIL;

		foreach(lc, *keys)
			columns = lappend(columns, union_column(foreach_current_index(lc) + 1, (Node *) lfirst(lc)));
		pgt_convert_map_correlations(correlations, *keys, columns);
		*keys = columns;
	}
	return block;
}
