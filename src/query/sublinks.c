/*-------------------------------------------------------------------------
 *
 * sublinks.c
 *	  Subqueries in expressions: EXISTS, IN, ANY, ALL, scalar ones.
 *
 * All of the first kind are told by searches ("marks": is there a row that ...), each an
 * attachment of the block:
 *
 *		EXISTS (S)			m
 *		x op ANY (S)		true if m1: a row with x op y; else NULL if m2: a row for
 *							which that is NULL; else false
 *		x op ALL (S)		false if m1: a row with NOT x op y; else NULL if m2; else true
 *
 * where a condition is wanted and NULL is as good as false, m1 will do, and "NOT" of it is
 * NOT m1 AND NOT m2.  If op gives NULL for NULLs only, m2 is
 *
 *		(a row whose y is NULL) or (x is NULL and a row)
 *
 * and each part falls away where NULL is impossible.
 *
 * A scalar subquery is a value of the block: an aggregate as correlate.c has it, a
 * row found by a unique key as an outer join, anything else as a group of
 * rows with the correlation as key, which raises PostgreSQL's own error if
 * there is more than one row.
 *
 * IDENTIFICATION
 *	  src/query/sublinks.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "pgtrickle/compat.h"

#include "convert_internal.h"

/* ---- the subquery ---- */

static bool
is_plain(const Query *query)
{
	return !query->setOperations && !query->groupClause && !query->groupingSets &&
		!query->hasAggs && !query->havingQual && !query->hasWindowFuncs &&
		!query->hasTargetSRFs;
}

/* LIMIT 1 and the like: at least one row if there is any. */
static bool
keeps_a_row(const Query *query)
{
	Const	   *limit = (Const *) query->limitCount;

	return query->limitOffset == NULL &&
		(limit == NULL ||
		 (IsA(limit, Const) && limit->consttype == INT8OID &&
		  (limit->constisnull || DatumGetInt64(limit->constvalue) > 0)));
}

/* What EXISTS asks of a subquery does not depend on its columns or order. */
static Query *
simplify_exists(Query *query)
{
	Query	   *simple = (Query *) copyObject(query);

	if (!keeps_a_row(simple) || simple->rowMarks)
		return simple;
	simple->limitCount = NULL;
	if (!is_plain(simple))
		return simple;
	simple->targetList = NIL;
	simple->distinctClause = NIL;
	simple->hasDistinctOn = false;
	simple->sortClause = NIL;
	return simple;
}

/* Without LIMIT the order of the rows does not matter either. */
static Query *
simplify_rows(Query *query)
{
	Query	   *simple = (Query *) copyObject(query);

	if (simple->limitCount == NULL && simple->limitOffset == NULL && !simple->hasDistinctOn)
		simple->sortClause = NIL;
	return simple;
}

/* ---- searches ---- */

/* A subquery attached to the block, and more searches of the same rows. */
typedef struct Search
{
	QueryBlock *outer;
	QueryBlock *block;
	List	   *exprs;			/* its columns, over block */
	List	   *correlation;	/* conditions of the first attachment */
	Input	   *input;
	bool		used;			/* the first attachment has its purpose */
	int			first;
} Search;

static Search *
begin_search(Conversion *cv, Scope *scope, Query *subselect)
{
	Search	   *s = (Search *) palloc0(sizeof(Search));
	Attachment *attachment;

	s->outer = scope->block;
	s->block = pgt_convert_make_inner_block(s->outer);
	s->exprs = pgt_convert_query(cv, subselect, scope, s->block);
	if (cv->reason)
		return s;
	s->first = pgt_convert_attach(cv, s->block, s->outer, PGT_ATTACH_EXISTS);
	attachment = (Attachment *) list_nth(s->outer->attachments, s->first - 1);
	s->correlation = attachment->quals;
	s->input = attachment->input;
	return s;
}

/* Column i of the subquery, for a condition of the first attachment. */
static Node *
search_column(Conversion *cv, Search *s, int i)
{
	return pgt_convert_to_block(cv, (Node *) list_nth(s->exprs, i), s->block, s->outer);
}

/* Is there a row that meets the conditions?  Columns as of the first attachment. */
static Node *
search(Search *s, List *quals)
{
	int			number = s->first;

	if (s->used)
	{
		Attachment *attachment = (Attachment *) palloc0(sizeof(Attachment));
		int			varno = PGT_ATTACHED(s->first);

		attachment->kind = PGT_ATTACH_EXISTS;
		attachment->input = (Input *) palloc(sizeof(Input));
		*attachment->input = *s->input;
		s->outer->attachments = lappend(s->outer->attachments, attachment);
		number = list_length(s->outer->attachments);
		attachment->quals = pgt_ir_renumber(list_concat_copy(s->correlation, quals),
											varno, PGT_ATTACHED(number));
	}
	else
	{
		Attachment *attachment = (Attachment *) list_nth(s->outer->attachments, number - 1);

		attachment->quals = list_concat_copy(s->correlation, quals);
		s->used = true;
	}
	return (Node *) pgt_ir_make_mark(number);
}

/* ---- ANY and ALL ---- */

typedef struct ParamContext
{
	Conversion *cv;
	Search	   *search;
	List	   *values;			/* instead of a search */
} ParamContext;

static Node *
param_mutator(Node *node, ParamContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
	{
		int			i = ((Param *) node)->paramid - 1;

		return context->search ? search_column(context->cv, context->search, i) :
			copyObject(list_nth(context->values, i));
	}
	return expression_tree_mutator(node, param_mutator, (void *) context);
}

static Node *
negate(Node *node)
{
	return (Node *) makeBoolExpr(NOT_EXPR, list_make1(node), -1);
}

static Node *
null_test(Node *arg)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(arg);
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Node *) test;
}

static bool
is_comparison(Node *node)
{
	return IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2 &&
		pgt_is_btree_operator(((OpExpr *) node)->opno) &&
		!type_is_rowtype(exprType(linitial(((OpExpr *) node)->args))) &&
		!type_is_rowtype(exprType(lsecond(((OpExpr *) node)->args)));
}

/* Does the node mention columns of the search? */
static bool
mentions(Node *node, int varno)
{
	return bms_is_member(varno, pull_varnos(NULL, node));
}

/* Column of the subquery that the operand shows, if it is never NULL. */
static bool
operand_not_null(Search *s, Node *operand, QueryBlock *outer)
{
	Var		   *var = (Var *) operand;

	while (IsA(var, RelabelType))
		var = (Var *) ((RelabelType *) var)->arg;
	/* attachments of levels further out have numbers of their own */
	if (IsA(var, Var) && var->varlevelsup == 0 && var->varno == PGT_ATTACHED(s->first))
		return pgt_query_is_not_null((Expr *) list_nth(s->block->tlist, var->varattno - 1), s->block);
	return pgt_query_is_not_null((Expr *) operand, outer);
}

/*
 * Searches for rows on which the comparison is NULL, to be ORed.  test: over
 * outer, with columns of the search.
 */
static List *
unknown_searches(Search *s, Node *test)
{
	int			varno = PGT_ATTACHED(s->first);
	List	   *marks = NIL;
	ListCell   *lc;

	if (!is_comparison(test))
	{
		BooleanTest *unknown = makeNode(BooleanTest);

		unknown->arg = (Expr *) copyObject(test);
		unknown->booltesttype = IS_UNKNOWN;
		unknown->location = -1;
		return list_make1(search(s, list_make1(unknown)));
	}
	foreach(lc, ((OpExpr *) test)->args)
	{
		Node	   *operand = (Node *) lfirst(lc);

		if (operand_not_null(s, operand, s->outer))
			continue;
		if (mentions(operand, varno))
			marks = lappend(marks, search(s, list_make1(null_test(operand))));
		else
			marks = lappend(marks,
							makeBoolExpr(AND_EXPR, list_make2(null_test(operand),
															  search(s, NIL)), -1));
	}
	return marks;
}

/* What is tested for each row of the subquery, over scope->block; begins the search. */
static Node *
begin_any(Conversion *cv, Scope *scope, SubLink *sublink, Search **s)
{
	ParamContext context = {0};
	Node	   *test = pgt_convert_expr(cv, scope, sublink->testexpr);

	*s = begin_search(cv, scope, simplify_rows((Query *) sublink->subselect));
	if (cv->reason)
		return NULL;
	context.cv = cv;
	context.search = *s;
	return param_mutator(test, &context);
}

static Node *
convert_any_all(Conversion *cv, Scope *scope, SubLink *sublink)
{
	Search	   *s;
	Node	   *test = begin_any(cv, scope, sublink, &s);
	bool		all = sublink->subLinkType == ALL_SUBLINK;
	Node	   *decided;
	List	   *unknown;
	Node	   *null;

	if (cv->reason)
		return NULL;
	decided = search(s, make_ands_implicit((Expr *) (all ? negate(copyObject(test)) : copyObject(test))));
	unknown = unknown_searches(s, test);
	if (unknown == NIL)
		return all ? negate(decided) : decided;
	null = (Node *) makeBoolExpr(AND_EXPR, list_make2(make_orclause(unknown),
													   makeNullConst(BOOLOID, -1, InvalidOid)), -1);
	/* m1 or (m2 and NULL); or the negation of that */
	null = (Node *) makeBoolExpr(OR_EXPR, list_make2(decided, null), -1);
	return all ? negate(null) : null;
}

static List *
convert_conjunct(Conversion *cv, Scope *scope, Node *qual)
{
	bool		negated = is_notclause(qual);
	SubLink    *sublink = (SubLink *) (negated ? (Node *) get_notclausearg(qual) : qual);
	Search	   *s;
	Node	   *test;
	List	   *result;
	ListCell   *lc;

	if (!IsA(sublink, SubLink) || pgt_query_reads_nothing((Query *) sublink->subselect))
		return NIL;
	if (sublink->subLinkType == EXISTS_SUBLINK)
	{
		Node	   *mark = pgt_convert_sublink(cv, scope, sublink);

		return cv->reason ? NIL : list_make1(negated ? negate(mark) : mark);
	}
	/* x op ALL is not (x (not op) ANY), and so on: conditions that must be true */
	if (sublink->subLinkType == ANY_SUBLINK && !negated)
	{
		test = begin_any(cv, scope, sublink, &s);
		return cv->reason ? NIL : list_make1(search(s, make_ands_implicit((Expr *) test)));
	}
	if ((sublink->subLinkType == ANY_SUBLINK && negated) ||
		(sublink->subLinkType == ALL_SUBLINK && !negated))
	{
		test = begin_any(cv, scope, sublink, &s);
		if (cv->reason)
			return NIL;
		result = list_make1(negate(search(s, make_ands_implicit((Expr *)
																(negated ? copyObject(test) :
																 negate(copyObject(test)))))));
		foreach(lc, unknown_searches(s, test))
			result = lappend(result, negate((Node *) lfirst(lc)));
		return result;
	}
	return NIL;
}

/* ---- scalar subqueries ---- */

static Oid
own_function(const char *name, Oid argtype)
{
	return LookupFuncName(list_make2(makeString(pstrdup(PGT_SCHEMA)),
									 makeString(pstrdup(name))), 1, &argtype, false);
}

static Aggref *
make_aggregate(Oid function, Oid type, Oid collation, Expr *argument)
{
	Aggref	   *agg = makeNode(Aggref);

	agg->aggfnoid = function;
	agg->aggtype = type;
	agg->aggcollid = agg->inputcollid = collation;
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->aggno = agg->aggtransno = -1;
	agg->location = -1;
	if (argument)
	{
		agg->aggargtypes = list_make1_oid(exprType((Node *) argument));
		agg->args = list_make1(makeTargetEntry(argument, 1, NULL, false));
	}
	else
		agg->aggstar = true;
	return agg;
}

/*
 * Any rows: grouped by what the subquery is correlated by.  More than one row
 * is an error where the value is asked for, not before.
 */
static List *
single_values(Conversion *cv, QueryBlock *rows, List *exprs, QueryBlock *outer)
{
	List	   *aggregates = NIL;
	List	   *values;
	List	   *result = NIL;
	Node	   *count;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		Node	   *expr = (Node *) lfirst(lc);

		aggregates = lappend(aggregates,
							 make_aggregate(own_function("single_value", ANYELEMENTOID),
											exprType(expr), exprCollation(expr), (Expr *) expr));
	}
	aggregates = lappend(aggregates,
						 make_aggregate(F_COUNT_, INT8OID, InvalidOid, NULL));
	values = pgt_convert_add_group_stage(cv, rows, NIL, NIL, aggregates, outer);
	if (cv->reason)
		return NIL;
	count = (Node *) llast(values);
	foreach(lc, exprs)
	{
		Node	   *value = (Node *) list_nth(values, foreach_current_index(lc));
		CaseExpr   *choice = makeNode(CaseExpr);
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = (Expr *) makeFuncExpr(F_INT8GT, BOOLOID,
										   list_make2(copyObject(count),
													  makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
																Int64GetDatum(1), false, FLOAT8PASSBYVAL)),
										   InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
		when->result = (Expr *) makeFuncExpr(own_function("more_than_one_row", ANYELEMENTOID),
											 exprType(value), list_make1(copyObject(value)),
											 exprCollation(value), exprCollation(value),
											 COERCE_EXPLICIT_CALL);
		when->location = -1;
		choice->casetype = exprType(value);
		choice->casecollid = exprCollation(value);
		choice->args = list_make1(when);
		choice->defresult = (Expr *) value;
		choice->location = -1;
		result = lappend(result, choice);
	}
	return result;
}

/* The columns of a subquery that gives one row, or none: over scope->block. */
static List *
convert_scalar(Conversion *cv, Scope *scope, SubLink *sublink)
{
	Query	   *query = simplify_rows((Query *) sublink->subselect);
	QueryBlock *block;
	List	   *exprs;
	List	   *result = NIL;
	ListCell   *lc;

	/* an aggregate without GROUP BY: exactly one row */
	if (query->hasAggs && !query->setOperations && !query->groupClause && !query->groupingSets &&
		!query->havingQual && !query->hasWindowFuncs && !query->hasTargetSRFs &&
		!query->limitCount && !query->limitOffset)
	{
		query->distinctClause = NIL;
		query->hasDistinctOn = false;
		return pgt_convert_query(cv, query, scope, scope->block);
	}
	block = pgt_convert_make_inner_block(scope->block);
	exprs = pgt_convert_query(cv, query, scope, block);
	if (cv->reason)
		return NIL;
	if (!pgt_query_at_most_one_row(block, cv->def))
		return single_values(cv, block, exprs, scope->block);
	(void) pgt_convert_attach(cv, block, scope->block, PGT_ATTACH_LEFT);
	foreach(lc, exprs)
		result = lappend(result, pgt_convert_to_block(cv, (Node *) lfirst(lc), block, scope->block));
	return result;
}

/* ---- subqueries in general ---- */

static Node *
convert_sublink(Conversion *cv, Scope *scope, SubLink *sublink)
{
	ParamContext context = {0};
	Search	   *s;
	List	   *values;

	switch (sublink->subLinkType)
	{
		case EXISTS_SUBLINK:
			s = begin_search(cv, scope, simplify_exists((Query *) sublink->subselect));
			return cv->reason ? NULL : search(s, NIL);
		case ANY_SUBLINK:
		case ALL_SUBLINK:
			return convert_any_all(cv, scope, sublink);
		case EXPR_SUBLINK:
			values = convert_scalar(cv, scope, sublink);
			return cv->reason ? NULL : (Node *) linitial(values);
		case ROWCOMPARE_SUBLINK:
			context.cv = cv;
			context.values = convert_scalar(cv, scope, sublink);
			return cv->reason ? NULL :
				param_mutator(pgt_convert_expr(cv, scope, sublink->testexpr), &context);
		default:
			pgt_convert_unsupported(cv, "array_subquery",
									"ARRAY(subquery) cannot be maintained differentially",
									"Use array_agg() with ORDER BY in a subquery with GROUP BY; " OR_FULL);
			return NULL;
	}
}

Node *
pgt_convert_sublink(Conversion *cv, Scope *scope, SubLink *sublink)
{
	ListCell   *lc;
	ConvertedSublink *converted;
	Node	   *result;
	bool		outermost;

	if (cv->reason)
		return (Node *) makeNullConst(exprType((Node *) sublink), -1, InvalidOid);
	foreach(lc, scope->sublinks)
	{
		converted = (ConvertedSublink *) lfirst(lc);
		if (converted->block == scope->block && equal(converted->sublink, sublink))
			return copyObject(converted->expr);
	}
	result = pgt_convert_native_value(scope, sublink);
	if (result)
		return result;
	outermost = cv->construct == NULL;
	if (outermost)
		cv->construct = (Node *) sublink;
	result = pgt_query_reads_nothing((Query *) sublink->subselect) ?
		pgt_convert_sublink_item(cv, scope, sublink) : convert_sublink(cv, scope, sublink);
	if (outermost && !cv->reason)
		cv->construct = NULL;
	if (cv->reason)
	{
		pgt_convert_place(cv, InvalidOid, InvalidOid, exprLocation((Node *) sublink));
		return (Node *) makeNullConst(exprType((Node *) sublink), -1, InvalidOid);
	}
	converted = (ConvertedSublink *) palloc0(sizeof(ConvertedSublink));
	converted->block = scope->block;
	converted->sublink = sublink;
	converted->expr = result;
	scope->sublinks = lappend(scope->sublinks, converted);
	return copyObject(result);
}

/* ---- after grouping ---- */

struct LateSublinks
{
	Query	   *query;
	List	   *sublinks;		/* placeholder n stands for the n-th */
};

#define IsPlaceholder(node) \
	(IsA(node, Param) && ((Param *) (node))->paramkind == PARAM_MULTIEXPR)

LateSublinks *
pgt_convert_late_begin(Query *query)
{
	LateSublinks *late = (LateSublinks *) palloc0(sizeof(LateSublinks));

	late->query = query;
	return late;
}

static bool
is_group_key(Query *query, Node *node)
{
	ListCell   *lc;

	foreach(lc, query->groupClause)
	{
		TargetEntry *tle = get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc),
												   query->targetList);

		if (equal(tle->expr, node))
			return true;
	}
	return false;
}

static Node *
take_mutator(Node *node, LateSublinks *late)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref) || is_group_key(late->query, node))
		return copyObject(node);
	if (IsA(node, SubLink))
	{
		Param	   *param = makeNode(Param);

		late->sublinks = lappend(late->sublinks, node);
		param->paramkind = PARAM_MULTIEXPR;
		param->paramid = list_length(late->sublinks);
		param->paramtype = exprType(node);
		param->paramtypmod = exprTypmod(node);
		param->paramcollid = exprCollation(node);
		param->location = -1;
		return (Node *) param;
	}
	return expression_tree_mutator(node, take_mutator, (void *) late);
}

Node *
pgt_convert_late_take(LateSublinks *late, Node *node)
{
	return take_mutator(node, late);
}

typedef struct ReferenceContext
{
	Query	   *query;
	int			depth;
	List	   *references;
} ReferenceContext;

static void
add_reference(ReferenceContext *context, Node *node)
{
	Node	   *own = copyObject(node);

	IncrementVarSublevelsUp(own, -context->depth, context->depth);
	context->references = list_append_unique(context->references, own);
}

static bool
reference_walker(Node *node, ReferenceContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varlevelsup == context->depth)
			add_reference(context, node);
		return false;
	}
	if ((IsA(node, Aggref) && ((Aggref *) node)->agglevelsup == context->depth) ||
		(context->depth == 0 && !IsA(node, List) && is_group_key(context->query, node)))
	{
		add_reference(context, node);
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->depth++;
		result = query_tree_walker((Query *) node, reference_walker, (void *) context, 0);
		context->depth--;
		return result;
	}
	return expression_tree_walker(node, reference_walker, (void *) context);
}

List *
pgt_convert_late_references(Conversion *cv, LateSublinks *late, Scope *scope)
{
	ReferenceContext context = {late->query};
	List	   *exprs = NIL;
	ListCell   *lc;

	(void) reference_walker((Node *) late->sublinks, &context);
	scope->references = context.references;
	foreach(lc, context.references)
	{
		Node	   *node = (Node *) lfirst(lc);

		if (late->query->groupingSets)
			node = pgt_convert_mark_group_key(late->query, node);
		exprs = lappend(exprs, pgt_convert_expr(cv, scope, node));
	}
	return exprs;
}

typedef struct PutContext
{
	Conversion *cv;
	LateSublinks *late;
	Scope	   *scope;
} PutContext;

static Node *
put_mutator(Node *node, PutContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsPlaceholder(node))
		return pgt_convert_sublink(context->cv, context->scope,
								   (SubLink *) list_nth(context->late->sublinks,
														((Param *) node)->paramid - 1));
	return expression_tree_mutator(node, put_mutator, (void *) context);
}

Node *
pgt_convert_late_put(Conversion *cv, LateSublinks *late, Scope *scope, Node *node)
{
	PutContext	context = {cv, late, scope};

	return put_mutator(node, &context);
}

List *
pgt_convert_sublink_conjunct(Conversion *cv, Scope *scope, Node *qual)
{
	Node	   *sublink = is_notclause(qual) ? (Node *) get_notclausearg(qual) : qual;
	bool		outermost = IsA(sublink, SubLink) && cv->construct == NULL;
	List	   *result;

	if (outermost)
		cv->construct = sublink;
	result = convert_conjunct(cv, scope, qual);
	if (outermost && !cv->reason)
		cv->construct = NULL;
	return result;
}
