/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  WITH RECURSIVE: a stage that holds the rows of the recursive relation.
 *
 * The stage is computed by PostgreSQL from the text of the WITH clause; the
 * query around it reads the stage like any other.  A change of what it reads recomputes
 * it and compares, so that what comes after sees exact changes.  Where both terms are
 * plain joins, they are kept as blocks, too, and what insertions add is computed from these.
 *
 * IDENTIFICATION
 *	  src/query/recursion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

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

/* Select, project, join of tables, and of the recursive relation if it is the second term. */
static bool
is_simple_term(const Query *query, bool recursive)
{
	int			references = 0;
	ListCell   *lc;

	if (query->commandType != CMD_SELECT || query->setOperations || query->groupClause ||
		query->groupingSets || query->havingQual || query->hasAggs || query->hasWindowFuncs ||
		query->hasTargetSRFs || query->hasSubLinks || query->distinctClause ||
		query->sortClause || query->limitCount || query->limitOffset || query->cteList)
		return false;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_CTE && rte->self_reference && rte->ctelevelsup == 2)
			references++;
		else if (!(rte->rtekind == RTE_RELATION || rte->rtekind == RTE_RESULT ||
				   (rte->rtekind == RTE_JOIN && rte->jointype == JOIN_INNER)))
			return false;
	}
	return references == (recursive ? 1 : 0);
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

static bool
has_exact_columns(const Stage *stage)
{
	ListCell   *lc;

	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);

		if (!is_exact_type(column->type, column->collation))
			return false;
	}
	return list_length(stage->columns) <= INDEX_MAX_KEYS;
}

/* What insertions add can then be computed from them: see refresh/recursion.c. */
static void
convert_terms(Conversion *cv, Scope *scope, CommonTableExpr *expr, Stage *stage)
{
	Query	   *query = castNode(Query, expr->ctequery);
	SetOperationStmt *setop = (SetOperationStmt *) query->setOperations;
	Scope	   *inner;
	List	   *terms = NIL;

	if (setop == NULL || setop->op != SETOP_UNION || query->cteList != NIL ||
		query->sortClause || query->limitCount || query->limitOffset ||
		list_length(stage->columns) != list_length(expr->ctecoltypes) ||
		(!setop->all && !has_exact_columns(stage)))
		return;
	inner = pgt_convert_make_scope(query, scope, pgt_convert_make_block());
	for (int i = 0; i < 2; i++)
	{
		Node	   *arg = i == 0 ? setop->larg : setop->rarg;
		QueryBlock *block = pgt_convert_make_block();
		Query	   *term;

		if (!IsA(arg, RangeTblRef))
			return;
		term = rt_fetch(((RangeTblRef *) arg)->rtindex, query->rtable)->subquery;
		if (!is_simple_term(term, i == 1))
			return;
		block->tlist = pgt_convert_query(cv, term, inner, block);
		terms = lappend(terms, block);
	}
	stage->terms = terms;
	stage->is_union = !setop->all;
}

void
pgt_convert_recursion(Conversion *cv, Scope *scope, CommonTableExpr *expr, CteBlock *cteblock)
{
	Query	   *level = scope->query;
	CommonTableExpr *cte = expr;
	bool		outwards;
	List	   *ctes = needed_ctes(level, cte, &outwards);
	Query	   *top = select_from_cte(cte, ctes);
	QueryBlock *result;
	Stage	   *stage;
	ListCell   *type,
			   *typmod,
			   *collation;
	int			column = 0;

	if (outwards)
		pgt_convert_unsupported(cv, "recursive_query",
								"WITH RECURSIVE that refers to the query around it cannot be maintained differentially",
								NULL);
	if (reads_only_of_parent((Node *) top, NULL))
		pgt_convert_unsupported(cv, "only_of_parent",
								"ONLY of a table with children cannot be maintained differentially",
								NULL);
	if (cv->reason)
		return;
	stage = pgt_query_add_native_stage(cv->def, sources_of(cv, top), top, "WITH RECURSIVE", &cv->reason);
	if (stage == NULL)
		return;
	result = pgt_query_block_over_stage(stage);
	forthree(type, cte->ctecoltypes, typmod, cte->ctecoltypmods, collation, cte->ctecolcollations)
	{
		if (can_be_stored(lfirst_oid(type)))
			result->tlist = lappend(result->tlist, pgt_query_stage_var(stage, ++column));
		else
			result->tlist = lappend(result->tlist,
									makeVar(1, PGT_NO_COLUMN, lfirst_oid(type), lfirst_int(typmod),
											lfirst_oid(collation), 0));
	}
	/* the terms refer to it */
	cteblock->block = result;
	scope->ctes = lappend(scope->ctes, cteblock);
	convert_terms(cv, scope, expr, stage);
}
