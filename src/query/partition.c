/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Stages that recompute a query partition by partition: what windows,
 *	  DISTINCT ON and LIMIT have in common.
 *
 * The rows below are a block that delivers the keys first, then the columns
 * that the query on top refers to.  The query on top is a copy of the clauses
 * in question over one range table entry, whose columns are the block's.
 *
 * IDENTIFICATION
 *	  src/query/partition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_am_d.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "convert_internal.h"

QueryBlock *
pgt_query_make_block(void)
{
	return (QueryBlock *) palloc0(sizeof(QueryBlock));
}

static int
block_column(QueryBlock *block, Node *expr)
{
	ListCell   *lc;

	foreach(lc, block->tlist)
	{
		if (equal(lfirst(lc), expr))
			return foreach_current_index(lc) + 1;
	}
	block->tlist = lappend(block->tlist, copyObject(expr));
	return list_length(block->tlist);
}

/* What only the block can evaluate becomes a column of it. */
static Node *
over_block(Node *node, QueryBlock *block)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) || IsA(node, Param))
		return (Node *) makeVar(1, block_column(block, node), exprType(node),
								exprTypmod(node), exprCollation(node), 0);
	return expression_tree_mutator(node, over_block, (void *) block);
}

Node *
pgt_query_over_block(Node *node, QueryBlock *block)
{
	return over_block(node, block);
}

Node *
pgt_query_block_var(Node *expr, QueryBlock *block)
{
	return (Node *) makeVar(1, block_column(block, expr), exprType(expr), exprTypmod(expr),
							exprCollation(expr), 0);
}

bool
pgt_query_is_sortable(Oid type)
{
	/* the default operator class is that of all rows */
	return OidIsValid(lookup_type_cache(type, TYPECACHE_CMP_PROC)->cmp_proc);
}

/*
 * The expressions of the sort or group clause that can be keys, at most as many
 * as an index takes.  All of them are keys of the partitions, so any will do.
 */
List *
pgt_query_partition_keys(List *exprs)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		if (pgt_query_is_sortable(exprType(lfirst(lc))) &&
			get_typtype(exprType(lfirst(lc))) != TYPTYPE_PSEUDO &&
			list_length(keys) < INDEX_MAX_KEYS)
			keys = list_append_unique(keys, lfirst(lc));
	}
	return keys;
}

/*
 * The expression of each sort or group clause in the list; exprs: one for each
 * target list entry of the query.
 */
List *
pgt_query_clause_exprs(List *clauses, List *targetlist, List *exprs)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2,
			   *lc3;

	foreach(lc, clauses)
	{
		SortGroupClause *sgc = lfirst_node(SortGroupClause, lc);

		forboth(lc2, targetlist, lc3, exprs)
		{
			if (lfirst_node(TargetEntry, lc2)->ressortgroupref == sgc->tleSortGroupRef)
				result = lappend(result, lfirst(lc3));
		}
	}
	return result;
}

/* Is the target list entry named by one of the clauses? */
bool
pgt_query_clause_uses(List *clauses, const TargetEntry *tle)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (tle->ressortgroupref != 0 &&
			lfirst_node(SortGroupClause, lc)->tleSortGroupRef == tle->ressortgroupref)
			return true;
	}
	return false;
}

/* A query over the columns of the block, without output yet. */
Query *
pgt_query_make_top(void)
{
	Query	   *top = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);

	top->commandType = CMD_SELECT;
	top->canSetTag = true;
	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(PGT_TOP_INPUT);
	rte->eref = makeAlias(PGT_TOP_INPUT, NIL);
	rte->inFromCl = true;
	top->rtable = list_make1(rte);
	ref->rtindex = 1;
	top->jointree = makeFromExpr(list_make1(ref), NULL);
	return top;
}

/*
 * An output column of top, or with junk one that only its clauses refer to. One that
 * is constant becomes so before it is printed: ORDER BY - 1.0 cannot be read again.
 */
void
pgt_query_add_top_column(Query *top, Expr *expr, Index sortgroupref, bool junk)
{
	int			number = list_length(top->targetList) + 1;
	TargetEntry *tle;

	if (sortgroupref > 0 && !contain_var_clause((Node *) expr) && !checkExprHasSubLink((Node *) expr) &&
		!contain_window_function((Node *) expr))
		expr = (Expr *) eval_const_expressions(NULL, (Node *) expr);
	tle = makeTargetEntry(expr, number, psprintf("o%d", number), junk);
	tle->ressortgroupref = sortgroupref;
	top->targetList = lappend(top->targetList, tle);
}

/* The part of the query that reads the rows of the block: see limit.c. */
static const Query *
lowest_level(const Query *top)
{
	const RangeTblEntry *rte = linitial_node(RangeTblEntry, top->rtable);

	return rte->rtekind == RTE_SUBQUERY ? rte->subquery : top;
}

/* Number of the output column that shows a column of the block; or 0. */
static int
find_top_column(const Query *top, int column)
{
	int			number = 0;
	ListCell   *lc;

	foreach(lc, lowest_level(top)->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Var		   *var = (Var *) tle->expr;

		if (tle->resjunk)
			continue;
		number++;
		if (IsA(var, Var) && var->varno == 1 && var->varattno == column && var->varlevelsup == 0)
			return number;
	}
	return 0;
}

static int
ensure_top_column(Query *top, const QueryBlock *block, int column)
{
	int			number = find_top_column(top, column);
	Node	   *expr = (Node *) list_nth(block->tlist, column - 1);

	if (number > 0)
		return number;
	pgt_query_add_top_column(top, (Expr *) makeVar(1, column, exprType(expr), exprTypmod(expr),
												   exprCollation(expr), 0), 0, false);
	return find_top_column(top, column);
}

static void
describe_rows(Query *top, const QueryBlock *block)
{
	RangeTblEntry *rte = linitial_node(RangeTblEntry, top->rtable);
	ListCell   *lc;

	foreach(lc, block->tlist)
	{
		Node	   *expr = (Node *) lfirst(lc);

		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(psprintf("c%d", foreach_current_index(lc) + 1)));
		rte->coltypes = lappend_oid(rte->coltypes, exprType(expr));
		rte->coltypmods = lappend_int(rte->coltypmods, exprTypmod(expr));
		rte->colcollations = lappend_oid(rte->colcollations, exprCollation(expr));
	}
}

static List *
make_columns(const Query *top)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, top->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		StageColumn *column;

		if (tle->resjunk)
			continue;
		column = (StageColumn *) palloc0(sizeof(StageColumn));
		column->name = psprintf("o%d", list_length(columns) + 1);
		column->type = exprType((Node *) tle->expr);
		column->typmod = exprTypmod((Node *) tle->expr);
		column->collation = exprCollation((Node *) tle->expr);
		columns = lappend(columns, column);
	}
	return columns;
}

/* Columns of a type that no table can have: anonymous records, cstring. */
static bool
can_be_stored(const Stage *stage, UnsupportedReason **reason)
{
	ListCell   *lc;

	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);

		if (get_typtype(column->type) == TYPTYPE_PSEUDO)
		{
			*reason = pgt_reason_make("pseudo_type", -1,
									  psprintf("%s over values of type %s cannot be maintained differentially",
											   stage->operation, format_type_be(column->type)),
									  NULL, pstrdup("Cast the value, or name its columns: a record cannot be stored; " OR_FULL));
			return false;
		}
	}
	return true;
}

/* A new stage: top over the rows of block, whose first nkeys columns are the keys. */
Stage *
pgt_query_add_partition_stage(Definition *def, QueryBlock *block, int nkeys, Query *top,
							  const char *operation, UnsupportedReason **reason)
{
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));

	stage->number = list_length(def->stages);
	stage->head = PGT_HEAD_PARTITION;
	stage->operation = operation;
	stage->nkeys = nkeys;
	stage->key_eq = (Oid *) palloc0(sizeof(Oid) * (nkeys + 1));
	stage->key_collations = (Oid *) palloc0(sizeof(Oid) * (nkeys + 1));
	stage->key_columns = (AttrNumber *) palloc0(sizeof(AttrNumber) * (nkeys + 1));
	for (int i = 0; i < nkeys; i++)
	{
		Node	   *key = (Node *) list_nth(block->tlist, i);

		stage->key_eq[i] = lookup_type_cache(exprType(key), TYPECACHE_EQ_OPR)->eq_opr;
		stage->key_collations[i] = exprCollation(key);
		stage->key_columns[i] = ensure_top_column(top, block, i + 1);
	}
	describe_rows(top, block);
	stage->top = top;
	stage->columns = make_columns(top);
	if (pgt_convert_refers_outwards(list_make1(block)))
		*reason = pgt_reason_make("lateral_subquery", -1,
								  psprintf("a subquery with %s that refers outwards cannot be maintained differentially",
										   operation), NULL,
								  pstrdup(PGT_EQUALITY_INSTEAD));
	stage->blocks = pgt_query_block_as_union(block);
	if (*reason || !can_be_stored(stage, reason))
		return NULL;
	def->stages = lappend(def->stages, stage);
	return stage;
}

Stage *
pgt_query_add_native_stage(Definition *def, QueryBlock *block, Query *top,
						   const char *operation, UnsupportedReason **reason)
{
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));

	stage->number = list_length(def->stages);
	stage->head = PGT_HEAD_PARTITION;
	stage->native = true;
	stage->operation = operation;
	stage->top = top;
	stage->columns = make_columns(top);
	stage->blocks = list_make1(block);
	if (pgt_query_is_unnameable(top))
		*reason = pgt_reason_make("unnameable_operator", -1,
								  psprintf("%s that compares columns in JOIN USING or IN by an operator outside pg_catalog cannot be maintained differentially",
										   operation), NULL,
								  pstrdup("Write JOIN ... ON or EXISTS instead; " OR_FULL));
	if (*reason || !can_be_stored(stage, reason))
		return NULL;
	def->stages = lappend(def->stages, stage);
	return stage;
}

/*
 * Columns of the stage that are unique, as far as the rows below tell: each row
 * stems from another one of them.
 */
List *
pgt_query_partition_row_keys(const Stage *stage, const Definition *def)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (list_length(stage->blocks) == 1 && !stage->native && !stage->multiplies)
	{
		foreach(lc, pgt_query_find_row_keys((QueryBlock *) linitial(stage->blocks), def))
		{
			int			column = find_top_column(stage->top, lfirst_int(lc));

			if (column == 0)
			{
				result = NIL;
				break;
			}
			result = lappend_int(result, column);
		}
	}
	if (result != NIL || !stage->one_per_key)
		return result;
	for (int i = 0; i < stage->nkeys; i++)
		result = lappend_int(result, stage->key_columns[i]);
	return result;
}

/* A block that reads a stage, and nothing else yet. */
QueryBlock *
pgt_query_block_over_stage(const Stage *stage)
{
	QueryBlock *block = pgt_query_make_block();
	Input	   *input = (Input *) palloc0(sizeof(Input));

	input->kind = PGT_INPUT_STAGE;
	input->stageno = stage->number;
	block->inputs = list_make1(input);
	return block;
}

/* Column of a stage as the first input of a block. */
Expr *
pgt_query_stage_var(const Stage *stage, int column)
{
	StageColumn *c = (StageColumn *) list_nth(stage->columns, column - 1);

	return (Expr *) makeVar(1, column, c->type, c->typmod, c->collation, 0);
}
