/*-------------------------------------------------------------------------
 *
 * aggregates.c
 *	  The state that a GROUP BY stage keeps, and how results come from it.
 *
 * Every aggregate is mapped to state columns that deltas can be merged into
 * (counts, sums, extrema), or, where no such state exists, to its own value,
 * recomputed for each touched group.  Results that are not themselves a
 * state are stored final columns computed from states: avg is sum / count,
 * and so on.  Formulas: ../doc/internals, section on aggregates.
 *
 * IDENTIFICATION
 *	  src/query/aggregates.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "query_internal.h"

typedef struct GroupBuilder
{
	Stage	   *stage;
	QueryBlock	   *block;			/* its tlist grows: keys, then arguments */
	int			input;			/* number of the stage in the consumer's block */
	int			nfinal;
	UnsupportedReason *reason;
} GroupBuilder;

/* Column of the block with this expression; added when missing. */
static int
block_column(GroupBuilder *b, Expr *expr)
{
	ListCell   *lc;

	foreach(lc, b->block->tlist)
	{
		if (equal(lfirst(lc), expr))
			return foreach_current_index(lc) + 1;
	}
	b->block->tlist = lappend(b->block->tlist, expr);
	return list_length(b->block->tlist);
}

static AttrNumber
stage_column(GroupBuilder *b, char *name, Oid type, int32 typmod, Oid collation)
{
	StageColumn *column = (StageColumn *) palloc0(sizeof(StageColumn));

	column->name = name;
	column->type = type;
	column->typmod = typmod;
	column->collation = collation;
	b->stage->columns = lappend(b->stage->columns, column);
	return list_length(b->stage->columns);
}

static const char *
column_name(GroupBuilder *b, AttrNumber attnum)
{
	return ((StageColumn *) list_nth(b->stage->columns, attnum - 1))->name;
}

static bool
same_state(const StateSpec *a, const StateSpec *b)
{
	return a->kind == b->kind && a->argument == b->argument &&
		a->filter == b->filter && a->square == b->square &&
		a->if_true == b->if_true && equal(a->aggref, b->aggref);
}

/* State column for the spec; an equal one is shared. */
static AttrNumber
add_state(GroupBuilder *b, StateSpec spec, Oid type, int32 typmod, Oid collation)
{
	ListCell   *lc;
	StateSpec  *state;

	foreach(lc, b->stage->states)
	{
		state = (StateSpec *) lfirst(lc);
		if (same_state(state, &spec))
			return state->attnum;
	}
	state = (StateSpec *) palloc(sizeof(StateSpec));
	*state = spec;
	state->attnum = stage_column(b, psprintf("s%d", list_length(b->stage->states) + 1),
								 type, typmod, collation);
	b->stage->states = lappend(b->stage->states, state);
	return state->attnum;
}

static AttrNumber
add_final(GroupBuilder *b, char *sql, Oid type)
{
	ListCell   *lc;
	FinalSpec  *final;

	foreach(lc, b->stage->finals)
	{
		final = (FinalSpec *) lfirst(lc);
		if (strcmp(final->sql, sql) == 0)
			return final->attnum;
	}
	final = (FinalSpec *) palloc(sizeof(FinalSpec));
	final->sql = sql;
	final->attnum = stage_column(b, psprintf("f%d", ++b->nfinal), type, -1, InvalidOid);
	b->stage->finals = lappend(b->stage->finals, final);
	return final->attnum;
}

/* Number of non-null arguments that pass the filter: a state, or the row count. */
static AttrNumber
count_state(GroupBuilder *b, int argument, int filter, bool not_null)
{
	StateSpec	spec = {0};

	if ((argument == 0 || not_null) && filter == 0)
		return b->stage->row_count;
	spec.kind = PGT_STATE_COUNT;
	spec.argument = not_null ? 0 : argument;
	spec.filter = filter;
	return add_state(b, spec, INT8OID, -1, InvalidOid);
}

/* Keeps watch over the display scale of a sum: see group_merge.c. */
static void
scale_state(GroupBuilder *b, int argument, int filter)
{
	StateSpec	spec = {0};

	spec.kind = PGT_STATE_SCALE;
	spec.argument = argument;
	spec.filter = filter;
	(void) add_state(b, spec, INT8OID, -1, InvalidOid);
}

static AttrNumber
sum_state(GroupBuilder *b, int argument, Expr *expr, int filter, bool not_null, bool square)
{
	StateSpec	spec = {0};
	Oid			type = getBaseType(exprType((Node *) expr));
	Oid			statetype;

	spec.argument = argument;
	spec.filter = filter;
	spec.square = square;
	spec.count_attnum = count_state(b, argument, filter, not_null);
	if (spec.count_attnum == b->stage->row_count)
		spec.count_attnum = 0;
	switch (type)
	{
		case INT2OID:
		case INT4OID:
			spec.kind = square ? PGT_STATE_SUM_NUMERIC : PGT_STATE_SUM_INT8;
			statetype = square ? NUMERICOID : INT8OID;
			break;
		case INT8OID:
			spec.kind = PGT_STATE_SUM_NUMERIC;
			statetype = NUMERICOID;
			break;
		case NUMERICOID:
			spec.kind = PGT_STATE_SUM_NUMERIC;
			statetype = NUMERICOID;
			if (!pgt_query_has_fixed_scale(expr))
				scale_state(b, argument, filter);
			break;
		case INTERVALOID:
			spec.kind = PGT_STATE_SUM_INTERVAL;
			statetype = INTERVALOID;
			break;
		case CASHOID:
			spec.kind = PGT_STATE_SUM_MONEY;
			statetype = CASHOID;
			break;
		default:
			spec.kind = PGT_STATE_SUM_FLOAT;
			statetype = type;
			break;
	}
	return add_state(b, spec, statetype, -1, InvalidOid);
}

static bool
is_exact_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
}

static AttrNumber
average(GroupBuilder *b, int argument, Expr *expr, int filter, bool not_null)
{
	Oid			type = getBaseType(exprType((Node *) expr));
	AttrNumber	sum = sum_state(b, argument, expr, filter, not_null, false);
	AttrNumber	count = count_state(b, argument, filter, not_null);

	if (type == INTERVALOID)
		return add_final(b, psprintf("CASE WHEN %s > 0 THEN %s / %s::float8 END",
									 column_name(b, count), column_name(b, sum),
									 column_name(b, count)), INTERVALOID);
	return add_final(b, psprintf("CASE WHEN %s > 0 THEN %s::numeric / %s::numeric END",
								 column_name(b, count), column_name(b, sum),
								 column_name(b, count)), NUMERICOID);
}

/*
 * var = (N*Sxx - Sx*Sx) / (N*D), D = N (population) or N-1 (sample), as
 * numeric.c computes it; stddev is its root, rounded through a longer
 * intermediate so that the digits shown agree.
 */
static AttrNumber
variance(GroupBuilder *b, int argument, Expr *expr, int filter, bool not_null,
		 bool sample, bool root)
{
	const char *n = column_name(b, count_state(b, argument, filter, not_null));
	const char *sx = column_name(b, sum_state(b, argument, expr, filter, not_null, false));
	const char *sxx = column_name(b, sum_state(b, argument, expr, filter, not_null, true));
	char	   *numerator = psprintf("(%s::numeric * %s - %s::numeric * %s::numeric)", n, sxx, sx, sx);
	char	   *denominator = psprintf("(%s::numeric * (%s - %d)::numeric)", n, n, sample ? 1 : 0);
	char	   *value = psprintf("%s / %s", numerator, denominator);

	if (root)
		value = psprintf("round(sqrt(round(%s, scale(%s) + 20)), scale(%s))", value, value, value);
	return add_final(b, psprintf("CASE WHEN %s <= %d THEN NULL"
								 " WHEN %s <= 0 THEN 0::numeric"
								 " WHEN %s = 'NaN' THEN 'NaN'::numeric"
								 " ELSE %s END",
								 n, sample ? 1 : 0, numerator, numerator, value), NUMERICOID);
}

static AttrNumber
boolean(GroupBuilder *b, int argument, int filter, bool not_null, bool conjunction)
{
	StateSpec	spec = {0};
	AttrNumber	count = count_state(b, argument, filter, not_null);
	AttrNumber	trues;

	spec.kind = PGT_STATE_COUNT;
	spec.argument = argument;
	spec.filter = filter;
	spec.if_true = true;
	trues = add_state(b, spec, INT8OID, -1, InvalidOid);
	return add_final(b, psprintf(conjunction ? "CASE WHEN %s > 0 THEN %s = %s END" :
								 "CASE WHEN %s > 0 THEN %s > 0 END",
								 column_name(b, count), column_name(b, trues),
								 column_name(b, count)), BOOLOID);
}

static AttrNumber
extremum(GroupBuilder *b, Aggref *agg, int argument, int filter, bool not_null, bool max)
{
	StateSpec	spec = {0};

	spec.kind = max ? PGT_STATE_MAX : PGT_STATE_MIN;
	spec.argument = argument;
	spec.filter = filter;
	return add_state(b, spec, agg->aggtype, -1, agg->aggcollid);
}

/* ---- aggregates without a mergeable state ---- */

typedef struct RescanContext
{
	GroupBuilder *builder;
	int			nkeys;
} RescanContext;

/* Arguments become columns of the block; keys stay recognisable as keys. */
static Node *
argument_to_column(GroupBuilder *b, Node *expr)
{
	int			column;

	if (expr == NULL || IsA(expr, Const))
		return copyObject(expr);
	column = block_column(b, (Expr *) expr);
	return (Node *) makeVar(1, column, exprType(expr), exprTypmod(expr),
							exprCollation(expr), 0);
}

static Node *
key_to_column(Node *node, RescanContext *context)
{
	if (node == NULL)
		return NULL;
	for (int i = 0; i < context->nkeys; i++)
	{
		Node	   *key = (Node *) list_nth(context->builder->block->tlist, i);

		if (equal(node, key))
			return (Node *) makeVar(1, i + 1, exprType(key), exprTypmod(key),
									exprCollation(key), 0);
	}
	return expression_tree_mutator(node, key_to_column, (void *) context);
}

static AttrNumber
rescanned(GroupBuilder *b, Aggref *agg)
{
	Aggref	   *copy = (Aggref *) copyObject(agg);
	StateSpec	spec = {0};
	RescanContext context;
	ListCell   *lc;

	foreach(lc, copy->args)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		tle->expr = (Expr *) argument_to_column(b, (Node *) tle->expr);
	}
	copy->aggfilter = (Expr *) argument_to_column(b, (Node *) copy->aggfilter);
	context.builder = b;
	context.nkeys = b->stage->nkeys;
	copy->aggdirectargs = (List *) key_to_column((Node *) copy->aggdirectargs, &context);
	copy->location = -1;
	spec.kind = PGT_STATE_RESCAN;
	spec.aggref = copy;
	return add_state(b, spec, agg->aggtype, -1, agg->aggcollid);
}

/* ---- choice ---- */

/* The state or final column that holds the aggregate's result. */
static AttrNumber
aggregate_column(GroupBuilder *b, Aggref *agg)
{
	char	   *name = get_func_name(agg->aggfnoid);
	bool		builtin = get_func_namespace(agg->aggfnoid) == PG_CATALOG_NAMESPACE;
	bool		plain = builtin && agg->aggkind == AGGKIND_NORMAL && !agg->aggdistinct &&
		!agg->aggorder && list_length(agg->args) <= 1;
	Expr	   *expr = NULL;
	Oid			type = InvalidOid;
	int			argument = 0;
	int			filter = 0;
	bool		not_null = false;

	if (!plain)
		return rescanned(b, agg);
	if (agg->args != NIL)
	{
		expr = linitial_node(TargetEntry, agg->args)->expr;
		type = getBaseType(exprType((Node *) expr));
		not_null = pgt_query_is_not_null(expr, b->block);
	}
	/* only from here on columns may be added that a rescan would not need */
#define COLUMNS() \
	do { \
		if (expr) argument = block_column(b, expr); \
		if (agg->aggfilter) filter = block_column(b, agg->aggfilter); \
	} while (0)

	if (strcmp(name, "count") == 0)
	{
		if (expr && !not_null)
			argument = block_column(b, expr);
		if (agg->aggfilter)
			filter = block_column(b, agg->aggfilter);
		return count_state(b, argument, filter, not_null);
	}
	if (expr == NULL)
		return rescanned(b, agg);
	if (strcmp(name, "sum") == 0 &&
		(is_exact_number(type) || type == INTERVALOID || type == CASHOID ||
		 type == FLOAT4OID || type == FLOAT8OID))
	{
		COLUMNS();
		return sum_state(b, argument, expr, filter, not_null, false);
	}
	if (strcmp(name, "avg") == 0 && (is_exact_number(type) || type == INTERVALOID))
	{
		COLUMNS();
		return average(b, argument, expr, filter, not_null);
	}
	if (is_exact_number(type))
	{
		static const struct
		{
			const char *name;
			bool		sample;
			bool		root;
		}			variances[] = {
			{"var_pop", false, false}, {"var_samp", true, false}, {"variance", true, false},
			{"stddev_pop", false, true}, {"stddev_samp", true, true}, {"stddev", true, true},
		};

		for (int i = 0; i < lengthof(variances); i++)
			if (strcmp(name, variances[i].name) == 0)
			{
				COLUMNS();
				return variance(b, argument, expr, filter, not_null,
								variances[i].sample, variances[i].root);
			}
	}
	if (strcmp(name, "bool_and") == 0 || strcmp(name, "every") == 0 ||
		strcmp(name, "bool_or") == 0)
	{
		COLUMNS();
		return boolean(b, argument, filter, not_null, strcmp(name, "bool_or") != 0);
	}
	if ((strcmp(name, "min") == 0 || strcmp(name, "max") == 0) && pgt_query_is_sortable(agg->aggtype))
	{
		COLUMNS();
		return extremum(b, agg, argument, filter, not_null, strcmp(name, "max") == 0);
	}
#undef COLUMNS
	return rescanned(b, agg);
}

static Node *
rewrite_over_stage(Node *node, GroupBuilder *b)
{
	if (node == NULL)
		return NULL;
	for (int i = 0; i < b->stage->nkeys; i++)
	{
		Node	   *key = (Node *) list_nth(b->block->tlist, i);

		if (equal(node, key))
			return (Node *) makeVar(b->input, i + 1, exprType(key), exprTypmod(key),
									exprCollation(key), 0);
	}
	if (IsA(node, Aggref))
	{
		Aggref	   *agg = (Aggref *) node;
		AttrNumber	attnum = aggregate_column(b, agg);
		StageColumn *column = (StageColumn *) list_nth(b->stage->columns, attnum - 1);

		return (Node *) makeVar(b->input, attnum, column->type, column->typmod,
								column->collation, 0);
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup > 0)
	{
		/* the grouped block lies one level further in */
		Var		   *var = (Var *) copyObject(node);

		var->varlevelsup--;
		return (Node *) var;
	}
	if (IsA(node, Var))
		elog(ERROR, "column %d.%d is neither grouped nor aggregated",
			 ((Var *) node)->varno, ((Var *) node)->varattno);
	return expression_tree_mutator(node, rewrite_over_stage, (void *) b);
}

/*
 * Columns that depend on the keys (GROUP BY a primary key, select other
 * columns of the table) become keys too: that changes no group, and a
 * change of such a column is then a change of key.
 */
static bool
collect_dependent_vars(Node *node, void *context)
{
	List	  **vars = (List **) context;

	if (node == NULL || IsA(node, Aggref))
		return false;
	if (list_member(linitial_node(List, *vars), node))
		return false;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup > 0)
		return false;
	if (IsA(node, Var))
	{
		*vars = lappend(*vars, node);
		return false;
	}
	return expression_tree_walker(node, collect_dependent_vars, context);
}

static bool
add_key(GroupBuilder *b, Expr *key, Oid eqop)
{
	Stage	   *stage = b->stage;
	Oid			type = exprType((Node *) key);

	if (!pgt_query_is_sortable(type))
	{
		b->reason = pgt_reason_make("unsortable_key", exprLocation((Node *) key),
									psprintf("grouping by type %s cannot be maintained differentially",
											 format_type_be(type)),
									pstrdup("The type has no default btree operator class."),
									pstrdup("Cast the grouping column, for example to text; " OR_FULL));
		return false;
	}
	b->block->tlist = lappend(b->block->tlist, key);
	stage->key_eq[stage->nkeys] = OidIsValid(eqop) ? eqop :
		lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	stage->key_collations[stage->nkeys] = exprCollation((Node *) key);
	stage->nkeys++;
	(void) stage_column(b, psprintf("k%d", stage->nkeys), type,
						exprTypmod((Node *) key), exprCollation((Node *) key));
	return true;
}

List *
pgt_query_dependent_columns(List *keys, List *exprs)
{
	List	   *dependent = list_make1(keys);

	(void) collect_dependent_vars((Node *) exprs, &dependent);
	return list_copy_tail(dependent, 1);
}

/* A column of a type that no table can have: anonymous records. */
static UnsupportedReason *
find_unstorable(const Stage *stage)
{
	ListCell   *lc;

	foreach(lc, stage->columns)
	{
		Oid			type = ((StageColumn *) lfirst(lc))->type;

		if (get_typtype(type) == TYPTYPE_PSEUDO)
			return pgt_reason_make("pseudo_type", -1,
								   psprintf("groups with values of type %s cannot be maintained differentially",
											format_type_be(type)),
								   NULL, pstrdup("Cast the value, or name its columns: a record cannot be stored; " OR_FULL));
	}
	return NULL;
}

Stage *
pgt_query_make_group_stage(int stageno, QueryBlock *block, List *keys,
						   List *groupclause, List *exprs, int input,
						   List **rewritten, UnsupportedReason **reason)
{
	GroupBuilder b = {0};
	List	   *dependent = pgt_query_dependent_columns(keys, exprs);
	int			maxkeys;
	ListCell   *lc,
			   *lc2;

	b.stage = (Stage *) palloc0(sizeof(Stage));
	b.stage->number = stageno;
	b.stage->head = PGT_HEAD_GROUP;
	b.block = block;
	b.input = input;
	maxkeys = list_length(keys) + list_length(dependent) + 1;
	b.stage->key_eq = (Oid *) palloc0(sizeof(Oid) * maxkeys);
	b.stage->key_collations = (Oid *) palloc0(sizeof(Oid) * maxkeys);

	forboth(lc, keys, lc2, groupclause)
	{
		if (list_member(block->tlist, lfirst(lc)))
			continue;			/* GROUP BY a, a */
		/* statements and indexes group by the type's own equality */
		if (lfirst_node(SortGroupClause, lc2)->eqop !=
			lookup_type_cache(exprType(lfirst(lc)), TYPECACHE_EQ_OPR)->eq_opr)
			b.reason = pgt_reason_make("group_operator", exprLocation(lfirst(lc)),
									   pstrdup("grouping by another equality than the default one of the type cannot be maintained differentially"),
									   pstrdup("ORDER BY ... USING chooses the equality, too."),
									   pstrdup("Leave out ORDER BY; " OR_FULL));
		if (b.reason ||
			!add_key(&b, (Expr *) lfirst(lc), lfirst_node(SortGroupClause, lc2)->eqop))
			break;
	}
	foreach(lc, dependent)
	{
		if (b.reason == NULL && !list_member(block->tlist, lfirst(lc)))
			(void) add_key(&b, (Expr *) lfirst(lc), InvalidOid);
	}
	if (b.stage->nkeys > INDEX_MAX_KEYS && b.reason == NULL)
		b.reason = pgt_reason_make("too_many_keys", -1,
								   psprintf("grouping by more than %d columns cannot be maintained differentially",
											INDEX_MAX_KEYS), NULL, pstrdup("Group by fewer columns in a subquery in FROM, and join the others to that; " OR_FULL));
	if (b.reason)
	{
		*reason = b.reason;
		return NULL;
	}
	b.stage->row_count = stage_column(&b, pstrdup("n"), INT8OID, -1, InvalidOid);
	*rewritten = (List *) rewrite_over_stage((Node *) exprs, &b);
	*reason = find_unstorable(b.stage);
	return *reason ? NULL : b.stage;
}
