/*-------------------------------------------------------------------------
 *
 * lookups.c
 *	  By which columns refreshes look rows up, and which indexes that wants.
 *
 * A delta statement starts from the change of one input of a block and goes from
 * there to the rows that it joins with.  It stays cheap as long as each step finds
 * them by an index.  Steps are what equalities allow: if the other side of one is
 * computed from inputs reached so far, the input on this side is looked up by its
 * expression.  Equalities are transitive, and an attached input (outer join, EXISTS) is
 * reached and left by the conditions of its attachment.
 *
 * So for each input as the start: go on by steps that have an index until none is
 * left; then an input that is still out of reach but has a step without an
 * index names what is missing.  Inputs without any equality are read as a whole
 * whatever there is; nobody is told about that here.
 *
 * A stage that recomputes groups (extremum, any aggregate without a rule) looks
 * up the rows of a group by its key.  WITH RECURSIVE with UNION looks up what derives a row
 * by all its columns.
 *
 * The first rows in some order are looked up by an index on what they are sorted by, if
 * that is of one table.
 *
 * Columns of derived stages and unions are those of the tables below them.  Stage
 * tables are ours: what is missing there is created with them (storage.c).
 *
 * IDENTIFICATION
 *	  src/refresh/lookups.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"
#include "refresh_internal.h"

/* What a step ends at: an expression over one table (varno 1). */
typedef struct Leaf
{
	Oid			relid;			/* invalid: a stage table */
	int			stageno;
	Node	   *expr;
} Leaf;

/* Input "to" can be looked up by expr once the inputs in "from" are there. */
typedef struct Step
{
	int			to;
	Bitmapset  *from;
	List	   *leaves;			/* of Leaf *; NIL: no index can serve it */
} Step;

typedef struct Lookups
{
	const Definition *def;
	List	   *missing;		/* of Leaf *, distinct */
} Lookups;

/* What the first rows are sorted by: leaves of one table. */
typedef struct SortLookup
{
	List	   *leaves;			/* of Leaf * */
	const List *order;			/* of SortColumn *, for each of them */
} SortLookup;

/* ---- indexes ---- */

static Node *
strip_relabel(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* Does the index lead with the expression, for every row? */
static bool
index_serves(Relation index, Node *expr)
{
	Form_pg_index form = index->rd_index;
	AttrNumber	first = form->indkey.values[0];

	if (!form->indisvalid || !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
		(index->rd_rel->relam != BTREE_AM_OID && index->rd_rel->relam != HASH_AM_OID))
		return false;
	if (first != 0)
		return IsA(expr, Var) && ((Var *) expr)->varattno == first;
	return equal(strip_relabel((Node *) linitial(RelationGetIndexExpressions(index))), expr);
}

static bool
table_has_index(Oid relid, Node *expr)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		result = result || index_serves(index, expr);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return result;
}

/* A stage table has an index on its key or all columns, and those we ask for here. */
static bool
stage_has_index(const Lookups *lookups, const Leaf *leaf)
{
	Stage	   *stage = (Stage *) list_nth(lookups->def->stages, leaf->stageno);

	return (stage->nkeys > 0 || stage->is_union) && ((Var *) leaf->expr)->varattno == 1;
}

static bool
leaf_has_index(const Lookups *lookups, const Leaf *leaf)
{
	return OidIsValid(leaf->relid) ? table_has_index(leaf->relid, leaf->expr) :
		stage_has_index(lookups, leaf);
}

static bool
step_has_index(const Lookups *lookups, const Step *step)
{
	ListCell   *lc;

	foreach(lc, step->leaves)
		if (!leaf_has_index(lookups, (Leaf *) lfirst(lc)))
			return false;
	return step->leaves != NIL;
}

static void
report(Lookups *lookups, const Step *step)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, step->leaves)
	{
		Leaf	   *leaf = (Leaf *) lfirst(lc);
		bool		known = leaf_has_index(lookups, leaf);

		foreach(lc2, lookups->missing)
		{
			Leaf	   *other = (Leaf *) lfirst(lc2);

			known = known || (other->relid == leaf->relid && other->stageno == leaf->stageno &&
							  equal(other->expr, leaf->expr));
		}
		if (!known)
			lookups->missing = lappend(lookups->missing, leaf);
	}
}

/* ---- from expressions over inputs to columns of tables ---- */

/* The only input in the expression; 0 if there are none or several. */
static int
only_input(Node *expr)
{
	Bitmapset  *varnos = pull_varnos(NULL, expr);

	return bms_membership(varnos) == BMS_SINGLETON ? bms_singleton_member(varnos) : 0;
}

static bool find_leaves(const Definition *def, const Input *input, Node *expr, List **leaves);

/* The same through blocks of which input is the union; expr is a column of it. */
static bool
find_leaves_in_blocks(const Definition *def, List *blocks, Node *expr, List **leaves)
{
	ListCell   *lc;

	if (!IsA(expr, Var))
		return false;
	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);
		Node	   *column = strip_relabel(list_nth(block->tlist, ((Var *) expr)->varattno - 1));
		int			varno = only_input(column);

		if (varno == 0 || !find_leaves(def, pgt_block_input(block, varno), column, leaves))
			return false;
	}
	return true;
}

/* Appends to *leaves; false if the expression is not one over single tables. */
static bool
find_leaves(const Definition *def, const Input *input, Node *expr, List **leaves)
{
	Leaf	   *leaf;

	if (input->kind == PGT_INPUT_ITEM)
		return false;			/* computed, not looked up */
	if (input->kind == PGT_INPUT_UNION)
		return find_leaves_in_blocks(def, input->blocks, expr, leaves);
	if (input->kind == PGT_INPUT_STAGE)
	{
		Stage	   *stage = (Stage *) list_nth(def->stages, input->stageno);

		if (stage->derived)
			return find_leaves_in_blocks(def, stage->blocks, expr, leaves);
		if (!IsA(expr, Var))
			return false;
	}
	leaf = (Leaf *) palloc0(sizeof(Leaf));
	leaf->relid = input->kind == PGT_INPUT_RELATION ? input->relid : InvalidOid;
	leaf->stageno = input->kind == PGT_INPUT_STAGE ? input->stageno : -1;
	leaf->expr = (Node *) linitial(pgt_ir_renumber(list_make1(expr), only_input(expr), 1));
	*leaves = lappend(*leaves, leaf);
	return true;
}

/* ---- steps ---- */

static void
add_step(const Lookups *lookups, const QueryBlock *block, Node *expr, Bitmapset *from,
		 List **steps)
{
	int			to = only_input(expr);
	Step	   *step;
	List	   *leaves = NIL;

	if (to == 0 || bms_is_member(to, from))
		return;
	if (!find_leaves(lookups->def, pgt_block_input(block, to), expr, &leaves))
		leaves = NIL;
	step = (Step *) palloc(sizeof(Step));
	step->to = to;
	step->from = from;
	step->leaves = leaves;
	*steps = lappend(*steps, step);
}

/* Adds the pair of equal expressions to the classes (lists of expressions). */
static List *
add_equality(List *classes, Node *a, Node *b)
{
	List	   *of_a = NIL;
	List	   *of_b = NIL;
	ListCell   *lc;

	foreach(lc, classes)
	{
		if (list_member((List *) lfirst(lc), a))
			of_a = (List *) lfirst(lc);
		if (list_member((List *) lfirst(lc), b))
			of_b = (List *) lfirst(lc);
	}
	if (of_a != NIL && of_a == of_b)
		return classes;
	classes = list_delete_ptr(list_delete_ptr(classes, of_a), of_b);
	return lappend(classes, list_union(of_a ? of_a : list_make1(a), of_b ? of_b : list_make1(b)));
}

static List *
collect_equalities(List *quals, List *classes)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		Node	   *qual = (Node *) lfirst(lc);

		if (is_andclause(qual))
			classes = collect_equalities(((BoolExpr *) qual)->args, classes);
		else if (IsA(qual, OpExpr) && list_length(((OpExpr *) qual)->args) == 2)
		{
			Node	   *left = strip_relabel(linitial(((OpExpr *) qual)->args));
			Node	   *right = strip_relabel(lsecond(((OpExpr *) qual)->args));

			if (op_mergejoinable(((OpExpr *) qual)->opno, exprType(left)) ||
				op_hashjoinable(((OpExpr *) qual)->opno, exprType(left)))
				classes = add_equality(classes, left, right);
		}
	}
	return classes;
}

static List *
block_equalities(const QueryBlock *block)
{
	List	   *classes = collect_equalities(block->quals, NIL);
	ListCell   *lc;

	foreach(lc, block->attachments)
		classes = collect_equalities(((Attachment *) lfirst(lc))->quals, classes);
	return classes;
}

static List *
block_steps(const Lookups *lookups, const QueryBlock *block, List *classes)
{
	List	   *steps = NIL;
	ListCell   *lc,
			   *lc2,
			   *lc3;

	foreach(lc, classes)
	{
		foreach(lc2, (List *) lfirst(lc))
		{
			foreach(lc3, (List *) lfirst(lc))
			{
				Bitmapset  *from = pull_varnos(NULL, (Node *) lfirst(lc3));

				/* a constant does not lead from the change to its rows */
				if (lfirst(lc2) != lfirst(lc3) && !bms_is_empty(from))
					add_step(lookups, block, (Node *) lfirst(lc2), from, &steps);
			}
		}
	}
	return steps;
}

static int
block_ninputs(const QueryBlock *block)
{
	return list_length(block->inputs) + list_length(block->attachments);
}

/* The next step out of reached: one with an index, or the first that wants one. */
static Step *
next_step(const Lookups *lookups, List *steps, const Bitmapset *reached)
{
	Step	   *wanting = NULL;
	ListCell   *lc;

	foreach(lc, steps)
	{
		Step	   *step = (Step *) lfirst(lc);

		if (bms_is_member(step->to, reached) || !bms_is_subset(step->from, reached))
			continue;
		if (step_has_index(lookups, step))
			return step;
		if (wanting == NULL && step->leaves != NIL)
			wanting = step;
	}
	return wanting;
}

/* Functions and the like come with what they refer to. */
static Bitmapset *
add_items(const QueryBlock *block, Bitmapset *reached)
{
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (input->kind == PGT_INPUT_ITEM &&
			bms_is_subset(pull_varnos(NULL, (Node *) input->args), reached))
			reached = bms_add_member(reached, foreach_current_index(lc) + 1);
	}
	return reached;
}

static void
walk(Lookups *lookups, const QueryBlock *block, List *steps, Bitmapset *reached)
{
	int			n = block_ninputs(block);

	while (bms_num_members(reached = add_items(block, reached)) < n)
	{
		Step	   *step = next_step(lookups, steps, reached);

		if (step)
		{
			report(lookups, step);
			reached = bms_add_member(reached, step->to);
			continue;
		}
		/* an input that is read as a whole */
		for (int i = 1; i <= n; i++)
		{
			if (!bms_is_member(i, reached))
			{
				reached = bms_add_member(reached, i);
				break;
			}
		}
	}
}

/* ---- blocks and stages ---- */

/* From the keys of groups, block->tlist[0 .. nkeys - 1], to their rows. */
static void
walk_from_keys(Lookups *lookups, const QueryBlock *block, int nkeys, List *classes, List *steps)
{
	List	   *first = NIL;
	Step	   *step;

	for (int i = 0; i < nkeys; i++)
	{
		Node	   *key = strip_relabel(list_nth(block->tlist, i));
		ListCell   *lc,
				   *lc2;

		add_step(lookups, block, key, NULL, &first);
		foreach(lc, classes)
		{
			if (!list_member((List *) lfirst(lc), key))
				continue;
			foreach(lc2, (List *) lfirst(lc))
				add_step(lookups, block, (Node *) lfirst(lc2), NULL, &first);
		}
	}
	step = next_step(lookups, first, NULL);
	if (step == NULL)
		return;
	report(lookups, step);
	walk(lookups, block, list_concat(first, steps), bms_make_singleton(step->to));
}

static bool
recomputes_groups(const Stage *stage)
{
	ListCell   *lc;

	if (stage->head == PGT_HEAD_PARTITION)
		return true;
	foreach(lc, stage->states)
	{
		GroupStateKind kind = ((StateSpec *) lfirst(lc))->kind;

		if (kind == PGT_STATE_MIN || kind == PGT_STATE_MAX || kind == PGT_STATE_RESCAN ||
			kind == PGT_STATE_SUM_FLOAT)
			return true;
	}
	return false;
}

static void
find_in_block(Lookups *lookups, const QueryBlock *block, int nkeys)
{
	List	   *classes = block_equalities(block);
	List	   *steps = block_steps(lookups, block, classes);
	ListCell   *lc;

	for (int i = 1; i <= block_ninputs(block); i++)
	{
		/* an item does not change by itself */
		if (pgt_block_input(block, i)->kind != PGT_INPUT_ITEM)
			walk(lookups, block, steps, bms_make_singleton(i));
	}
	if (nkeys > 0)
		walk_from_keys(lookups, block, nkeys, classes, steps);
	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);
		ListCell   *lc2;

		if (input->kind == PGT_INPUT_UNION)
			foreach(lc2, input->blocks)
				find_in_block(lookups, (QueryBlock *) lfirst(lc2), 0);
	}
}

static List *
find_missing(const Definition *def)
{
	Lookups		lookups = {def, NIL};
	ListCell   *lc,
			   *lc2;

	foreach(lc, def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		foreach(lc2, stage->blocks)
			find_in_block(&lookups, (QueryBlock *) lfirst(lc2),
						  stage->is_union ? list_length(stage->columns) :
						  recomputes_groups(stage) ? stage->nkeys : 0);
	}
	return lookups.missing;
}

/* ---- the first rows in some order ---- */

static bool
find_sort(const Definition *def, const Stage *stage, SortLookup *sort)
{
	QueryBlock *block = (QueryBlock *) linitial(stage->blocks);
	ListCell   *lc;

	sort->leaves = NIL;
	sort->order = stage->order;
	if (stage->order == NIL || list_length(stage->blocks) != 1)
		return false;
	foreach(lc, stage->order)
	{
		SortColumn *column = (SortColumn *) lfirst(lc);
		Node	   *expr = strip_relabel(list_nth(block->tlist, column->block_column - 1));
		int			varno = only_input(expr);
		List	   *leaves = NIL;
		Leaf	   *first;
		Leaf	   *leaf;

		if (varno == 0 || !find_leaves(def, pgt_block_input(block, varno), expr, &leaves) ||
			list_length(leaves) != 1)
			return false;
		leaf = (Leaf *) linitial(leaves);
		sort->leaves = lappend(sort->leaves, leaf);
		first = (Leaf *) linitial(sort->leaves);
		if (leaf->relid != first->relid || leaf->stageno != first->stageno)
			return false;
	}
	return true;
}

/* Does the index deliver rows sorted by the first column?  The others are sorted as they come. */
static bool
index_sorts(Relation index, const SortColumn *column, const Leaf *leaf)
{
	int16		option = index->rd_indoption[0];
	Oid			opfamily;
	Oid			type;
	PgtOrdering strategy;
	bool		backward;

	if (index->rd_rel->relam != BTREE_AM_OID || !index_serves(index, leaf->expr) ||
		index->rd_indcollation[0] != exprCollation(leaf->expr) ||
		!get_ordering_op_properties(column->sortop, &opfamily, &type, &strategy) ||
		index->rd_opfamily[0] != opfamily)
		return false;
	backward = (strategy == BTGreaterStrategyNumber) != ((option & INDOPTION_DESC) != 0);
	return column->nulls_first == (((option & INDOPTION_NULLS_FIRST) != 0) != backward);
}

static bool
table_sorts(Oid relid, const SortColumn *column, const Leaf *leaf)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		result = result || index_sorts(index, column, leaf);
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return result;
}

/* The direction as CREATE INDEX wants it; NULL if the operator is of another kind of order. */
static const char *
sort_direction(const SortColumn *column, Oid type)
{
	Oid			opclass = GetDefaultOpClass(type, BTREE_AM_OID);
	Oid			opfamily;
	Oid			optype;
	PgtOrdering strategy;
	bool		descending;

	if (!OidIsValid(opclass) ||
		!get_ordering_op_properties(column->sortop, &opfamily, &optype, &strategy) ||
		opfamily != get_opclass_family(opclass))
		return NULL;
	descending = strategy == BTGreaterStrategyNumber;
	if (descending == column->nulls_first)
		return descending ? " DESC" : "";
	return descending ? " DESC NULLS LAST" : " NULLS FIRST";
}

static char *
leaf_text(const Leaf *leaf)
{
	if (IsA(leaf->expr, Var))
		return pstrdup(quote_identifier(pgt_attribute_name(leaf->relid, ((Var *) leaf->expr)->varattno)));
	return psprintf("(%s)", deparse_expression(leaf->expr,
											   deparse_context_for(get_rel_name(leaf->relid), leaf->relid),
											   false, false));
}

/* "table (column, column DESC)", or NULL if there is an index, or none can be. */
static char *
missing_sort(const Definition *def, const Stage *stage)
{
	SortLookup	sort;
	Leaf	   *first;
	StringInfoData buf;
	ListCell   *lc,
			   *lc2;

	if (!find_sort(def, stage, &sort))
		return NULL;
	first = (Leaf *) linitial(sort.leaves);
	if (!OidIsValid(first->relid) ||
		table_sorts(first->relid, (SortColumn *) linitial(sort.order), first))
		return NULL;
	initStringInfo(&buf);
	forboth(lc, sort.leaves, lc2, sort.order)
	{
		Leaf	   *leaf = (Leaf *) lfirst(lc);
		const char *direction = sort_direction((SortColumn *) lfirst(lc2), exprType(leaf->expr));

		if (direction == NULL)
			return NULL;
		appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "", leaf_text(leaf), direction);
	}
	return psprintf("%s (%s)", pgt_quoted_relation_name(first->relid), buf.data);
}

/* Values of any length do not fit into a btree; numbers do. */
static bool
is_short(Oid type)
{
	return get_typlen(type) > 0 || getBaseType(type) == NUMERICOID;
}

/* Indexes of a stage table that sort it for later stages, as lists of columns. */
List *
pgt_refresh_stage_sorts(const Definition *def, int stageno)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2,
			   *lc3;

	foreach(lc, def->stages)
	{
		SortLookup	sort;
		StringInfoData buf;

		if (!find_sort(def, (Stage *) lfirst(lc), &sort) ||
			OidIsValid(((Leaf *) linitial(sort.leaves))->relid) ||
			((Leaf *) linitial(sort.leaves))->stageno != stageno)
			continue;
		initStringInfo(&buf);
		forboth(lc2, sort.leaves, lc3, sort.order)
		{
			Var		   *var = castNode(Var, ((Leaf *) lfirst(lc2))->expr);
			Stage	   *stage = (Stage *) list_nth(def->stages, stageno);
			StageColumn *column = (StageColumn *) list_nth(stage->columns, var->varattno - 1);
			const char *direction = sort_direction((SortColumn *) lfirst(lc3), column->type);

			if (direction == NULL || !is_short(column->type) || foreach_current_index(lc2) == INDEX_MAX_KEYS)
				break;
			appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "",
							 quote_identifier(column->name), direction);
		}
		if (buf.len > 0)
			result = lappend(result, buf.data);
	}
	return result;
}

/* ---- what others ask for ---- */

/* Indexes that source tables lack, as "table (column)". */
List *
pgt_refresh_missing_indexes(const Definition *def)
{
	List	   *texts = NIL;
	ListCell   *lc;

	foreach(lc, find_missing(def))
	{
		Leaf	   *leaf = (Leaf *) lfirst(lc);

		if (OidIsValid(leaf->relid))
			texts = lappend(texts, psprintf("%s (%s)", pgt_quoted_relation_name(leaf->relid),
											leaf_text(leaf)));
	}
	foreach(lc, def->stages)
	{
		char	   *text = missing_sort(def, (Stage *) lfirst(lc));

		if (text)
			texts = lappend(texts, text);
	}
	return texts;
}

/* Columns of a stage table that want an index besides the one on its key. */
List *
pgt_refresh_stage_lookups(const Definition *def, int stageno)
{
	List	   *attnums = NIL;
	ListCell   *lc;

	foreach(lc, find_missing(def))
	{
		Leaf	   *leaf = (Leaf *) lfirst(lc);

		if (!OidIsValid(leaf->relid) && leaf->stageno == stageno)
			attnums = lappend_int(attnums, ((Var *) leaf->expr)->varattno);
	}
	return attnums;
}
