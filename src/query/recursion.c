/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  WITH RECURSIVE: a stage that holds the rows of the recursive relation.
 *
 * The query around it reads the stage like any other.  Where the recursive relation R is
 *
 *		R = B + S(R)		UNION ALL
 *		R = B | S(R)		UNION
 *
 * with S linear in R, its blocks are those of B, which may be any query, and then that of S,
 * which joins R with what may be any query, too: parts that are not linear become stages
 * before this one, so that the block reads nothing but tables, stages, and R.  One outer join,
 * or one subquery of an expression, may be attached to it, since R is on its linear side.  Changes are followed through
 * these: see refresh/recursion.c.  Under UNION ALL the stage has one more column, the depth of each row.
 *
 * Otherwise PostgreSQL computes the stage from the text of the WITH clause.  A change of what it reads
 * recomputes it and compares, so that what comes after sees exact changes.
 *
 * IDENTIFICATION
 *	  src/query/recursion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

#define OPERATION	"WITH RECURSIVE"

/* ---- what a WITH query refers to ---- */

typedef struct Reach
{
	Query	   *level;			/* whose WITH clause it is */
	int			depth;			/* 1: the WITH query itself */
	List	   *needed;			/* of CommonTableExpr * of that level */
	bool		outwards;		/* refers to something further out */
} Reach;

static void
need_cte(Reach *reach, const char *name)
{
	ListCell   *lc;

	foreach(lc, reach->level->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, name) == 0)
			reach->needed = list_append_unique_ptr(reach->needed, cte);
	}
}

static bool
reach_walker(Node *node, Reach *reach)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool		result;

		reach->depth++;
		result = query_tree_walker((Query *) node, reach_walker, (void *) reach,
								   QTW_EXAMINE_RTES_BEFORE);
		reach->depth--;
		return result;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup == reach->depth)
			need_cte(reach, rte->ctename);
		else if (rte->rtekind == RTE_CTE && rte->ctelevelsup > reach->depth)
			reach->outwards = true;
		return false;
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup >= reach->depth)
		reach->outwards = true;
	if (IsA(node, Aggref) && ((Aggref *) node)->agglevelsup >= reach->depth)
		reach->outwards = true;
	return expression_tree_walker(node, reach_walker, (void *) reach);
}

/* The WITH queries that cte needs, itself included, in their order. */
static List *
needed_ctes(Query *level, CommonTableExpr *cte, bool *outwards)
{
	Reach		reach = {0};
	List	   *result = NIL;
	ListCell   *lc;

	reach.level = level;
	reach.needed = list_make1(cte);
	for (int i = 0; i < list_length(reach.needed); i++)
		(void) reach_walker(((CommonTableExpr *) list_nth(reach.needed, i))->ctequery, &reach);
	*outwards = reach.outwards;
	foreach(lc, level->cteList)
	{
		if (list_member_ptr(reach.needed, lfirst(lc)))
			result = lappend(result, copyObject(lfirst(lc)));
	}
	return result;
}

/* ---- the query ---- */

/* SEARCH and CYCLE add columns of a type that no table can have. */
static bool
can_be_stored(Oid type)
{
	return get_typtype(type) != TYPTYPE_PSEUDO;
}

/* SELECT the columns FROM the WITH query. */
static Query *
select_from_cte(CommonTableExpr *cte, List *ctes)
{
	Query	   *top = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell   *type,
			   *typmod,
			   *collation;
	int			n = 0;

	top->commandType = CMD_SELECT;
	top->canSetTag = true;
	top->hasRecursive = true;
	top->cteList = ctes;
	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	rte->eref = makeAlias(cte->ctename, copyObject(cte->ctecolnames));
	rte->coltypes = list_copy(cte->ctecoltypes);
	rte->coltypmods = list_copy(cte->ctecoltypmods);
	rte->colcollations = list_copy(cte->ctecolcollations);
	rte->inFromCl = true;
	top->rtable = list_make1(rte);
	ref->rtindex = 1;
	top->jointree = makeFromExpr(list_make1(ref), NULL);
	forthree(type, cte->ctecoltypes, typmod, cte->ctecoltypmods, collation, cte->ctecolcollations)
	{
		n++;
		if (can_be_stored(lfirst_oid(type)))
			pgt_query_add_top_column(top, (Expr *) makeVar(1, n, lfirst_oid(type), lfirst_int(typmod),
														   lfirst_oid(collation), 0), 0, false);
	}
	return top;
}

/* ONLY of a table with children: see convert.c. */
static bool
reads_only_of_parent(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_only_of_parent, context,
								 QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION && !rte->inh && has_subclass(rte->relid);
	}
	return expression_tree_walker(node, reads_only_of_parent, context);
}

/* What the query reads, as a block that says nothing else. */
static QueryBlock *
sources_of(Conversion *cv, Query *query)
{
	QueryBlock *block = pgt_convert_make_block();
	ListCell   *lc;

	foreach(lc, pgt_query_collect_sources(query))
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);
		Input	   *input = (Input *) palloc0(sizeof(Input));

		pgt_convert_refuse_polled(cv, use->relid);
		input->kind = PGT_INPUT_RELATION;
		input->relid = use->relid;
		input->inh = true;
		input->source = pgt_convert_source_index(cv, use->relid);
		input->used = bms_copy(use->columns);
		(void) pgt_convert_add_input(block, input);
	}
	return block;
}

/* ---- the terms as blocks ---- */

static bool
count_references(Node *node, int *count)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_references, (void *) count,
								 QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_CTE && ((RangeTblEntry *) node)->self_reference)
			*count += 1;
		return false;
	}
	return expression_tree_walker(node, count_references, (void *) count);
}

/* Selects from, projects and joins the recursive relation, once; the rest does not matter. */
static bool
is_linear_term(Query *query)
{
	int			direct = 0;
	int			all = 0;
	ListCell   *lc;

	if (query->commandType != CMD_SELECT || query->setOperations || query->groupClause ||
		query->groupingSets || query->havingQual || query->hasAggs || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->distinctClause || query->sortClause ||
		query->limitCount || query->limitOffset)
		return false;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_CTE && rte->self_reference && rte->ctelevelsup == 2)
			direct++;
	}
	(void) count_references((Node *) query, &all);
	return direct == 1 && all == 1;
}

/* Rows that are equal are the same bytes. */
static bool
is_exact_type(Oid type, Oid collation)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
			return get_collation_isdeterministic(collation);
		default:
			return false;
	}
}

bool
pgt_convert_has_exact_columns(List *types, List *collations)
{
	ListCell   *type,
			   *collation;

	forboth(type, types, collation, collations)
	{
		if (!is_exact_type(lfirst_oid(type), lfirst_oid(collation)))
			return false;
	}
	return list_length(types) <= INDEX_MAX_KEYS;
}

static bool
has_stored_columns(const CommonTableExpr *cte)
{
	ListCell   *lc;

	foreach(lc, cte->ctecoltypes)
	{
		if (!can_be_stored(lfirst_oid(lc)))
			return false;
	}
	return true;
}

static Query *
recursive_term(const Query *query)
{
	Node	   *arg = ((SetOperationStmt *) query->setOperations)->rarg;

	return !IsA(arg, RangeTblRef) ? NULL :
		rt_fetch(((RangeTblRef *) arg)->rtindex, query->rtable)->subquery;
}

/* Why changes cannot be followed through the two terms; or NULL. */
static const char *
why_not_followed(const CommonTableExpr *cte)
{
	Query	   *query = castNode(Query, cte->ctequery);
	SetOperationStmt *setop = (SetOperationStmt *) query->setOperations;

	if (!has_stored_columns(cte))
		return "SEARCH and CYCLE follow paths, which no table can store (keep the path as an array of the key in its place)";
	if (setop == NULL || setop->op != SETOP_UNION || query->cteList != NIL ||
		query->sortClause || query->limitCount || query->limitOffset || recursive_term(query) == NULL)
		return "it is not just UNION of two terms";
	if (!is_linear_term(recursive_term(query)))
		return "the recursive term does more with the recursive relation than join it";
	if (!setop->all && !pgt_convert_has_exact_columns(cte->ctecoltypes, cte->ctecolcollations))
		return "it is UNION over columns whose equal values may look different";
	return NULL;
}

/* ---- the depth of a row, under UNION ALL ---- */

static Expr *
one_deeper(Expr *depth)
{
	return make_opclause(OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("+")),
										  INT4OID, INT4OID),
						 INT4OID, false, depth,
						 (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
											Int32GetDatum(1), false, true),
						 InvalidOid, InvalidOid);
}

static Expr *
no_depth(void)
{
	return (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(0), false, true);
}

static CommonTableExpr *
find_cte(const List *ctes, const char *name)
{
	ListCell   *lc;

	foreach(lc, ctes)
	{
		if (strcmp(lfirst_node(CommonTableExpr, lc)->ctename, name) == 0)
			return lfirst_node(CommonTableExpr, lc);
	}
	elog(ERROR, "could not find WITH query \"%s\"", name);
}

/* ---- the stage that changes are followed through ---- */

static void
add_column(Stage *stage, Oid type, int32 typmod, Oid collation)
{
	StageColumn *column = (StageColumn *) palloc0(sizeof(StageColumn));

	column->name = psprintf("o%d", list_length(stage->columns) + 1);
	column->type = type;
	column->typmod = typmod;
	column->collation = collation;
	stage->columns = lappend(stage->columns, column);
}

static Stage *
add_recursive_stage(Definition *def, const CommonTableExpr *cte, bool all)
{
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));
	ListCell   *type,
			   *typmod,
			   *collation;

	stage->number = list_length(def->stages);
	stage->head = PGT_HEAD_PARTITION;
	stage->operation = OPERATION;
	stage->recursive = true;
	stage->is_union = !all;
	forthree(type, cte->ctecoltypes, typmod, cte->ctecoltypmods, collation, cte->ctecolcollations)
		add_column(stage, lfirst_oid(type), lfirst_int(typmod), lfirst_oid(collation));
	if (all)
		add_column(stage, INT4OID, -1, InvalidOid);
	def->stages = lappend(def->stages, stage);
	return stage;
}

/* The block's output, as the columns of the relation. */
static void
set_output(QueryBlock *block, List *exprs, const CommonTableExpr *cte)
{
	ListCell   *lc,
			   *type,
			   *collation;

	forthree(lc, exprs, type, cte->ctecoltypes, collation, cte->ctecolcollations)
		block->tlist = lappend(block->tlist, pgt_convert_as_column(lfirst(lc), lfirst_oid(type),
																   lfirst_oid(collation)));
}

static void
convert_first_term(Conversion *cv, Scope *scope, Scope *inner, const CommonTableExpr *cte, Stage *stage)
{
	Query	   *query = inner->query;
	SetOperationStmt *setop = (SetOperationStmt *) query->setOperations;
	QueryBlock *block = pgt_convert_make_block();
	List	   *exprs;

	if (IsA(setop->larg, RangeTblRef))
		exprs = pgt_convert_query(cv, rt_fetch(((RangeTblRef *) setop->larg)->rtindex, query->rtable)->subquery,
								  inner, block);
	else
	{
		Query	   *first = makeNode(Query);

		*first = *query;
		first->setOperations = setop->larg;
		exprs = pgt_convert_query(cv, first, scope, block);
	}
	if (cv->reason)
		return;
	set_output(block, exprs, cte);
	if (!stage->is_union)
		block->tlist = lappend(block->tlist, no_depth());
	stage->blocks = pgt_query_block_as_union(block);
}

/* False if the block would have to be taken apart: then R would not be an input of it. */
static bool
convert_recursive_term(Conversion *cv, Scope *inner, const CommonTableExpr *cte, Stage *stage)
{
	QueryBlock *block = pgt_convert_make_block();
	List	   *exprs = pgt_convert_query(cv, recursive_term(inner->query), inner, block);
	int			self = 0;
	ListCell   *lc;

	if (cv->reason)
		return false;
	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (input->kind == PGT_INPUT_STAGE && input->stageno == stage->number)
			self = foreach_current_index(lc) + 1;
	}
	if (self == 0 || !pgt_convert_stays_whole(block))
		return false;
	set_output(block, exprs, cte);
	if (!stage->is_union)
		block->tlist = lappend(block->tlist,
							   one_deeper((Expr *) makeVar(self, list_length(stage->columns),
														   INT4OID, -1, InvalidOid, 0)));
	stage->blocks = lappend(stage->blocks, block);
	return true;
}

/* What conversion of the terms may change, so that it can be undone. */
typedef struct Savepoint
{
	int			nstages;
	int			nsources;
	Node	   *construct;
	List	   *ctes;			/* of each scope, outwards: List * */
} Savepoint;

static void
save(const Conversion *cv, const Scope *scope, Savepoint *point)
{
	point->nstages = list_length(cv->def->stages);
	point->nsources = list_length(cv->def->sources);
	point->construct = cv->construct;
	point->ctes = NIL;
	for (; scope != NULL; scope = scope->parent)
		point->ctes = lappend(point->ctes, list_copy(scope->ctes));
}

static void
undo(Conversion *cv, Scope *scope, const Savepoint *point)
{
	ListCell   *lc;

	cv->def->stages = list_truncate(cv->def->stages, point->nstages);
	cv->def->sources = list_truncate(cv->def->sources, point->nsources);
	cv->construct = point->construct;
	cv->reason = NULL;
	foreach(lc, point->ctes)
	{
		scope->ctes = (List *) lfirst(lc);
		scope = scope->parent;
	}
}

/*
 * Makes the stage, and cteblock one that reads it; returns NULL, or why that cannot be done:
 * then nothing has been changed.
 */
static const char *
convert_followed(Conversion *cv, Scope *scope, CommonTableExpr *expr, CteBlock *cteblock)
{
	const char *reason = why_not_followed(expr);
	Query	   *query = castNode(Query, expr->ctequery);
	Savepoint	point;
	Scope	   *inner;
	Stage	   *stage;
	bool		done = false;

	if (reason == NULL && cv->follow_no_recursion)
		reason = "its terms cannot be maintained by deltas";
	if (reason)
		return reason;
	save(cv, scope, &point);
	stage = add_recursive_stage(cv->def, expr, ((SetOperationStmt *) query->setOperations)->all);
	cteblock->block = pgt_query_block_over_stage(stage);
	for (int i = 1; i <= list_length(expr->ctecoltypes); i++)
		cteblock->block->tlist = lappend(cteblock->block->tlist, pgt_query_stage_var(stage, i));
	/* the terms refer to it */
	scope->ctes = lappend(scope->ctes, cteblock);
	inner = pgt_convert_make_scope(query, scope, pgt_convert_make_block());
	convert_first_term(cv, scope, inner, expr, stage);
	if (!cv->reason)
		done = convert_recursive_term(cv, inner, expr, stage);
	if (!done)
	{
		reason = cv->reason ? "its terms cannot be maintained by deltas" :
			"the recursive term has more than one outer join or subquery in an expression";
		undo(cv, scope, &point);
		return reason;
	}
	cv->follows_recursion = true;
	return NULL;
}

/* ---- the stage that PostgreSQL computes ---- */

static void
convert_whole(Conversion *cv, Scope *scope, CommonTableExpr *expr, List *ctes, CteBlock *cteblock,
			  const char *reason)
{
	Query	   *top = select_from_cte(find_cte(ctes, expr->ctename), ctes);
	QueryBlock *result;
	Stage	   *stage;
	ListCell   *type,
			   *typmod,
			   *collation;
	int			column = 0;

	if (reads_only_of_parent((Node *) top, NULL))
		pgt_convert_unsupported(cv, "only_of_parent",
								"ONLY of a table with children cannot be maintained differentially",
								PGT_NO_ONLY);
	pgt_convert_place(cv, InvalidOid, InvalidOid, expr->location);
	if (cv->reason)
		return;
	stage = pgt_query_add_native_stage(cv->def, sources_of(cv, top), top, OPERATION, &cv->reason);
	if (stage == NULL)
		return;
	stage->whole_because = reason;
	result = pgt_query_block_over_stage(stage);
	forthree(type, expr->ctecoltypes, typmod, expr->ctecoltypmods, collation, expr->ctecolcollations)
	{
		if (can_be_stored(lfirst_oid(type)))
			result->tlist = lappend(result->tlist, pgt_query_stage_var(stage, ++column));
		else
			result->tlist = lappend(result->tlist,
									makeVar(1, PGT_NO_COLUMN, lfirst_oid(type), lfirst_int(typmod),
											lfirst_oid(collation), 0));
	}
	cteblock->block = result;
}

void
pgt_convert_recursion(Conversion *cv, Scope *scope, CommonTableExpr *expr, CteBlock *cteblock)
{
	bool		outwards;
	List	   *ctes = needed_ctes(scope->query, expr, &outwards);
	const char *reason;

	if (outwards)
		pgt_convert_unsupported(cv, "recursive_query",
								"WITH RECURSIVE that refers to the query around it cannot be maintained differentially",
								"Join what it refers to in its terms, keep it as a column, and join by that; " OR_FULL);
	pgt_convert_place(cv, InvalidOid, InvalidOid, expr->location);
	if (cv->reason)
		return;
	reason = convert_followed(cv, scope, expr, cteblock);
	if (reason)
		convert_whole(cv, scope, expr, ctes, cteblock, reason);
}
