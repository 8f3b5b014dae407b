/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  WITH RECURSIVE: a stage that holds the rows of the recursive relation.
 *
 * The stage is computed by PostgreSQL from the text of the WITH clause; the
 * query around it reads the stage like any other.  A change of what it reads recomputes
 * it and compares, so that what comes after sees exact changes.  Where both terms are
 * plain joins, they are kept as blocks, too, and changes are followed through these:
 * see refresh/recursion.c.  Under UNION ALL the stage also has the depth of each row, a column
 * that is added to the WITH query.
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
				   (rte->rtekind == RTE_JOIN && rte->jointype == JOIN_INNER && rte->alias == NULL)))
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
has_exact_columns(const CommonTableExpr *cte)
{
	ListCell   *type,
			   *collation;

	forboth(type, cte->ctecoltypes, collation, cte->ctecolcollations)
	{
		if (!is_exact_type(lfirst_oid(type), lfirst_oid(collation)))
			return false;
	}
	return list_length(cte->ctecoltypes) <= INDEX_MAX_KEYS;
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
term_of(const Query *query, int number)
{
	SetOperationStmt *setop = (SetOperationStmt *) query->setOperations;
	Node	   *arg = number == 0 ? setop->larg : setop->rarg;

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
		return "SEARCH and CYCLE follow paths, which no table can store";
	if (setop == NULL || setop->op != SETOP_UNION || query->cteList != NIL ||
		query->sortClause || query->limitCount || query->limitOffset)
		return "it is not just UNION of two terms";
	for (int i = 0; i < 2; i++)
	{
		Query	   *term = term_of(query, i);

		if (term == NULL || !is_simple_term(term, i == 1))
			return psprintf("the %s term is not a plain join of tables", i == 0 ? "first" : "recursive");
	}
	if (!setop->all && !has_exact_columns(cte))
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

static char *
choose_depth_name(const List *colnames)
{
	char	   *name = pstrdup("depth");

	for (int i = 1;; i++)
	{
		ListCell   *lc;
		bool		taken = false;

		foreach(lc, colnames)
			taken = taken || strcmp(strVal(lfirst(lc)), name) == 0;
		if (!taken)
			return name;
		name = psprintf("depth%d", i);
	}
}

static void
add_target(Query *query, Expr *expr, const char *name)
{
	query->targetList = lappend(query->targetList,
								makeTargetEntry(expr, list_length(query->targetList) + 1,
												pstrdup(name), false));
}

/* After another column of a join's input got its number, or one of those after it. */
static void
shift_columns(List *columns, int from)
{
	ListCell   *lc;

	foreach(lc, columns)
		if (lfirst_int(lc) >= from)
			lfirst_int(lc)++;
}

/* Where a column of the input belongs in the list, whose first nmerged are those of USING. */
static int
place_in(const List *columns, int nmerged, int column)
{
	int			place = nmerged;

	while (place < list_length(columns) && list_nth_int(columns, place) < column)
		place++;
	return place;
}

/*
 * A join shows all columns of its inputs: adds that of the relation, its last one, to the joins
 * that it is in.  Returns its number in the item; 0 if the relation is not in it.
 */
static int
add_to_joins(Node *item, List *rtable, int varno, int column, const char *name)
{
	JoinExpr   *join = (JoinExpr *) item;
	RangeTblEntry *rte;
	int			left;
	int			right;
	int			place;

	if (IsA(item, RangeTblRef))
		return ((RangeTblRef *) item)->rtindex == varno ? column : 0;
	left = add_to_joins(join->larg, rtable, varno, column, name);
	right = add_to_joins(join->rarg, rtable, varno, column, name);
	if (left == 0 && right == 0)
		return 0;
	rte = rt_fetch(join->rtindex, rtable);
	if (left > 0)
	{
		shift_columns(rte->joinleftcols, left);
		place = place_in(rte->joinleftcols, rte->joinmergedcols, left);
		rte->joinleftcols = list_insert_nth_int(rte->joinleftcols, place, left);
	}
	else
	{
		shift_columns(rte->joinrightcols, right);
		place = place_in(rte->joinrightcols, rte->joinmergedcols, right);
		rte->joinrightcols = list_insert_nth_int(rte->joinrightcols, place, right);
		place += list_length(rte->joinleftcols) - rte->joinmergedcols;
	}
	rte->joinaliasvars = list_insert_nth(rte->joinaliasvars, place,
										 makeVar(varno, column, INT4OID, -1, InvalidOid, 0));
	rte->eref->colnames = list_insert_nth(rte->eref->colnames, place, makeString(pstrdup(name)));
	return place + 1;
}

/* Adds a last column to the WITH query: 0, and one more with each step. */
static void
add_depth(CommonTableExpr *cte)
{
	Query	   *query = castNode(Query, cte->ctequery);
	SetOperationStmt *setop = (SetOperationStmt *) query->setOperations;
	int			number = list_length(cte->ctecolnames) + 1;
	char	   *name = choose_depth_name(cte->ctecolnames);
	ListCell   *lc;

	cte->ctecolnames = lappend(cte->ctecolnames, makeString(name));
	cte->ctecoltypes = lappend_oid(cte->ctecoltypes, INT4OID);
	cte->ctecoltypmods = lappend_int(cte->ctecoltypmods, -1);
	cte->ctecolcollations = lappend_oid(cte->ctecolcollations, InvalidOid);
	if (cte->aliascolnames != NIL)
		cte->aliascolnames = copyObject(cte->ctecolnames);
	setop->colTypes = lappend_oid(setop->colTypes, INT4OID);
	setop->colTypmods = lappend_int(setop->colTypmods, -1);
	setop->colCollations = lappend_oid(setop->colCollations, InvalidOid);
	add_target(query, (Expr *) makeVar(castNode(RangeTblRef, setop->larg)->rtindex, number,
									   INT4OID, -1, InvalidOid, 0), name);
	for (int i = 0; i < 2; i++)
	{
		Node	   *arg = i == 0 ? setop->larg : setop->rarg;
		RangeTblEntry *branch = rt_fetch(castNode(RangeTblRef, arg)->rtindex, query->rtable);

		branch->eref->colnames = lappend(branch->eref->colnames, makeString(name));
	}
	add_target(term_of(query, 0), no_depth(), name);
	foreach(lc, term_of(query, 1)->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		ListCell   *lc2;

		if (rte->rtekind != RTE_CTE)
			continue;
		foreach(lc2, term_of(query, 1)->jointree->fromlist)
			(void) add_to_joins((Node *) lfirst(lc2), term_of(query, 1)->rtable,
								foreach_current_index(lc) + 1, number, name);
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(name));
		rte->coltypes = lappend_oid(rte->coltypes, INT4OID);
		rte->coltypmods = lappend_int(rte->coltypmods, -1);
		rte->colcollations = lappend_oid(rte->colcollations, InvalidOid);
		add_target(term_of(query, 1),
				   one_deeper((Expr *) makeVar(foreach_current_index(lc) + 1, number, INT4OID, -1,
											   InvalidOid, 0)), name);
	}
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

/* ---- the terms ---- */

/* The blocks deliver the columns of the stage. */
static void
convert_terms(Conversion *cv, Scope *scope, CommonTableExpr *expr, Stage *stage)
{
	Query	   *query = castNode(Query, expr->ctequery);
	Scope	   *inner = pgt_convert_make_scope(query, scope, pgt_convert_make_block());
	ListCell   *lc;

	stage->is_union = !((SetOperationStmt *) query->setOperations)->all;
	for (int i = 0; i < 2; i++)
	{
		QueryBlock *block = pgt_convert_make_block();

		block->tlist = pgt_convert_query(cv, term_of(query, i), inner, block);
		stage->terms = lappend(stage->terms, block);
		if (stage->is_union)
			continue;
		if (i == 0)
			block->tlist = lappend(block->tlist, no_depth());
		foreach(lc, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc);

			if (input->kind == PGT_INPUT_STAGE && input->stageno == stage->number)
				block->tlist = lappend(block->tlist,
									   one_deeper((Expr *) makeVar(foreach_current_index(lc) + 1,
																   list_length(stage->columns),
																   INT4OID, -1, InvalidOid, 0)));
		}
	}
}

void
pgt_convert_recursion(Conversion *cv, Scope *scope, CommonTableExpr *expr, CteBlock *cteblock)
{
	Query	   *level = scope->query;
	bool		outwards;
	List	   *ctes = needed_ctes(level, expr, &outwards);
	CommonTableExpr *cte = find_cte(ctes, expr->ctename);
	const char *reason = why_not_followed(expr);
	Query	   *top;
	QueryBlock *result;
	Stage	   *stage;
	ListCell   *type,
			   *typmod,
			   *collation;
	int			column = 0;

	if (reason == NULL && !outwards &&
		((SetOperationStmt *) castNode(Query, expr->ctequery)->setOperations)->all)
		add_depth(cte);
	top = select_from_cte(cte, ctes);
	if (outwards)
		pgt_convert_unsupported(cv, "recursive_query",
								"WITH RECURSIVE that refers to the query around it cannot be maintained differentially",
								"Join what it refers to in its terms, keep it as a column, and join by that; " OR_FULL);
	if (reads_only_of_parent((Node *) top, NULL))
		pgt_convert_unsupported(cv, "only_of_parent",
								"ONLY of a table with children cannot be maintained differentially",
								PGT_NO_ONLY);
	pgt_convert_place(cv, InvalidOid, InvalidOid, expr->location);
	if (cv->reason)
		return;
	stage = pgt_query_add_native_stage(cv->def, sources_of(cv, top), top, "WITH RECURSIVE", &cv->reason);
	if (stage == NULL)
		return;
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
	/* the terms refer to it */
	cteblock->block = result;
	scope->ctes = lappend(scope->ctes, cteblock);
	stage->whole_because = reason;
	if (reason == NULL)
		convert_terms(cv, scope, expr, stage);
}
