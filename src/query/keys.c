/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Which output columns of a block are a unique key of its rows.
 *
 * Each input of a join contributes at most one row per value of one of its
 * unique keys.  An input whose unique key is equated to columns of the others
 * contributes at most one row per combination of theirs and needs no
 * column of its own in the key.  A function in FROM contributes rows for each row
 * of the inputs that it refers to, which therefore stay.  What remains must show a unique key in the
 * output, by itself or through an equated column.
 *
 * What is attached by an outer join counts as an input, whose row is determined by
 * the join's own condition.  A row of NULLs stands for "no match", once for each
 * row of the inputs, and no row that matches looks like it: keys are not null
 * (or a NULL in them is one value, that of a row which matches instead).
 *
 * IDENTIFICATION
 *	  src/query/keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

#include "pgtrickle/compat.h"
#include "query_internal.h"

/* A set of columns of one input that has no duplicates. */
typedef struct UniqueKey
{
	int			ncolumns;
	AttrNumber	columns[INDEX_MAX_KEYS];
	Oid			opfamilies[INDEX_MAX_KEYS]; /* btree; InvalidOid: default of the type */
	Oid			collations[INDEX_MAX_KEYS];
	bool		not_null;		/* no column can be NULL, or NULLs count as equal */
} UniqueKey;

/* Children by inheritance may have lost the constraint; partitions cannot. */
static bool
column_not_null(Oid relid, AttrNumber attnum, bool inh)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		result = false;

	if (attnum > 0 && attnum <= desc->natts &&
		!(inh && rel->rd_rel->relkind == RELKIND_RELATION && has_subclass(relid)))
	{
#if PG_VERSION_NUM >= 180000
		result = TupleDescCompactAttr(desc, attnum - 1)->attnullability == ATTNULLABLE_VALID;
#else
		result = TupleDescAttr(desc, attnum - 1)->attnotnull;
#endif
	}
	table_close(rel, NoLock);
	return result;
}

/*
 * Can the index have two rows whose columns are equal?  By a collation or an operator
 * class of its own, which tells values apart that are the same to the column's type.
 */
static bool
separates_equal_values(Relation index)
{
	Relation	rel = table_open(index->rd_index->indrelid, AccessShareLock);
	bool		result = false;

	for (int i = 0; i < index->rd_index->indnkeyatts && !result; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), index->rd_index->indkey.values[i] - 1);
		Oid			equality = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												   index->rd_opcintype[i], BTEqualStrategyNumber);

		result = equality != lookup_type_cache(getBaseType(att->atttypid), TYPECACHE_EQ_OPR)->eq_opr ||
			(index->rd_indcollation[i] != att->attcollation && OidIsValid(att->attcollation) &&
			 !get_collation_isdeterministic(att->attcollation));
	}
	table_close(rel, NoLock);
	return result;
}

/* An index that is unique at every moment over all rows that the input reads. */
static UniqueKey *
key_of_index(Oid relid, Oid indexid)
{
	Relation	index = index_open(indexid, AccessShareLock);
	Form_pg_index form = index->rd_index;
	UniqueKey  *key = NULL;

	if (form->indisunique && form->indimmediate && form->indisvalid &&
		index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL) &&
		!separates_equal_values(index))
	{
		key = (UniqueKey *) palloc0(sizeof(UniqueKey));
		key->ncolumns = form->indnkeyatts;
		key->not_null = true;
		for (int i = 0; i < form->indnkeyatts; i++)
		{
			key->columns[i] = form->indkey.values[i];
			key->opfamilies[i] = index->rd_opfamily[i];
			key->collations[i] = index->rd_indcollation[i];
			if (!form->indnullsnotdistinct && !column_not_null(relid, key->columns[i], false))
				key->not_null = false;
		}
	}
	index_close(index, NoLock);
	return key;
}

/* ---- items: unique among the rows for one row of the inputs before ---- */

static bool
is_integer_series(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (!IsA(node, FuncExpr))
		return false;
	return call->funcid == F_GENERATE_SERIES_INT4_INT4 ||
		call->funcid == F_GENERATE_SERIES_INT8_INT8 ||
		call->funcid == F_GENERATE_SERIES_INT4_INT4_INT4 ||
		call->funcid == F_GENERATE_SERIES_INT8_INT8_INT8;
}

/* Column of the item that is unique; 0: it has one row at most; -1: none is known. */
static int
unique_item_column(const RangeTblEntry *item)
{
	const Query *query = item->subquery;
	ListCell   *lc;

	switch (item->rtekind)
	{
		case RTE_VALUES:
			return list_length(item->values_lists) == 1 ? 0 : -1;
		case RTE_TABLEFUNC:
			return item->tablefunc->ordinalitycol >= 0 ? item->tablefunc->ordinalitycol + 1 : -1;
		case RTE_SUBQUERY:
			return query->hasAggs && !query->groupClause && !query->groupingSets &&
				!query->hasTargetSRFs && !query->setOperations ? 0 : -1;
		default:
			break;
	}
	if (item->funcordinality)
		return list_length(item->eref->colnames);
	if (list_length(item->functions) == 1 &&
		is_integer_series(linitial_node(RangeTblFunction, item->functions)->funcexpr))
		return 1;
	foreach(lc, item->functions)
		if (expression_returns_set(lfirst_node(RangeTblFunction, lc)->funcexpr))
			return -1;
	return 0;
}

static List *
keys_of_item(const RangeTblEntry *item)
{
	UniqueKey  *key = (UniqueKey *) palloc0(sizeof(UniqueKey));
	int			column = unique_item_column(item);

	if (column < 0)
		return NIL;
	key->not_null = true;
	key->columns[0] = column;
	key->ncolumns = column > 0 ? 1 : 0;
	return list_make1(key);
}

/* Inputs that an item refers to. */
static Bitmapset *
references_of_item(const QueryBlock *block, int varno)
{
	Input	   *input = pgt_block_input(block, varno);

	return bms_del_member(bms_union(pull_varnos(NULL, (Node *) input->args),
									pull_varnos(NULL, (Node *) input->on)), varno);
}

static List *
keys_of_input(const Input *input, const Definition *def)
{
	List	   *keys = NIL;

	if (input->kind == PGT_INPUT_ITEM)
		return keys_of_item(input->item);

	if (input->kind == PGT_INPUT_STAGE)
	{
		Stage	   *stage = (Stage *) list_nth(def->stages, input->stageno);
		UniqueKey  *key = (UniqueKey *) palloc0(sizeof(UniqueKey));

		if (stage->derived || stage->head == PGT_HEAD_PARTITION)
		{
			ListCell   *lc;

			if (stage->row_keys == NIL || list_length(stage->row_keys) > INDEX_MAX_KEYS)
				return NIL;
			foreach(lc, stage->row_keys)
			{
				StageColumn *column = (StageColumn *) list_nth(stage->columns, lfirst_int(lc) - 1);

				key->columns[key->ncolumns] = lfirst_int(lc);
				key->collations[key->ncolumns++] = column->collation;
			}
			key->not_null = true;
			return list_make1(key);
		}
		if (stage->head != PGT_HEAD_GROUP)
			return NIL;
		key->ncolumns = stage->nkeys;
		for (int i = 0; i < stage->nkeys; i++)
		{
			key->columns[i] = i + 1;
			key->collations[i] = stage->key_collations[i];
		}
		key->not_null = true;
		keys = lappend(keys, key);
	}
	else if (input->kind == PGT_INPUT_RELATION)
	{
		Relation	rel = table_open(input->relid, AccessShareLock);
		ListCell   *lc;

		/* a unique index of a parent says nothing about its children */
		if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE || !input->inh ||
			!has_subclass(input->relid))
		{
			foreach(lc, RelationGetIndexList(rel))
			{
				UniqueKey  *key = key_of_index(input->relid, lfirst_oid(lc));

				if (key)
					keys = lappend(keys, key);
			}
		}
		table_close(rel, NoLock);
	}
	return keys;
}

/* ---- equated columns ---- */

static Node *
strip_relabel(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * If the qual says "column = other" by the equality of the key's operator family and
 * collation, returns the other side.
 */
static Node *
equated_to(Node *qual, int varno, AttrNumber column, Oid opfamily, Oid collation)
{
	OpExpr	   *op = (OpExpr *) qual;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2)
		return NULL;
	if (OidIsValid(collation) && op->inputcollid != collation &&
		!(get_collation_isdeterministic(collation) &&
		  OidIsValid(op->inputcollid) && get_collation_isdeterministic(op->inputcollid)))
		return NULL;
	for (int side = 0; side < 2; side++)
	{
		Var		   *var = (Var *) strip_relabel(list_nth(op->args, side));
		Oid			family = opfamily;

		if (var == NULL || !IsA(var, Var) || var->varno != varno || var->varattno != column ||
			var->varlevelsup > 0)
			continue;
		if (!OidIsValid(family))
		{
			/* by the own equality of the column, or a finer one */
			if (pgt_ir_is_groupable_equality(op, (Node *) var))
				return list_nth(op->args, 1 - side);
			continue;
		}
		if (get_op_opfamily_strategy(op->opno, family) == BTEqualStrategyNumber)
			return list_nth(op->args, 1 - side);
	}
	return NULL;
}

/* Is every column of the key equated to something over determined inputs only? */
static bool
key_is_determined(List *quals, int varno, const UniqueKey *key, Bitmapset *determined)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		bool		found = false;
		ListCell   *lc;

		foreach(lc, quals)
		{
			Node	   *other = equated_to((Node *) lfirst(lc), varno, key->columns[i],
										   key->opfamilies[i], key->collations[i]);

			if (other && bms_is_subset(pull_varnos(NULL, other), determined))
			{
				found = true;
				break;
			}
		}
		if (!found)
			return false;
	}
	return true;
}

/* The outer join attached to the block, or NULL. */
static Attachment *
left_join_of(const QueryBlock *block)
{
	Attachment *attachment = block->attachments == NIL ? NULL :
		(Attachment *) linitial(block->attachments);

	return attachment && attachment->kind == PGT_ATTACH_LEFT ? attachment : NULL;
}

static int
count_inputs(const QueryBlock *block)
{
	return list_length(block->inputs) + (left_join_of(block) ? 1 : 0);
}

/* Conditions that hold for rows of this input. */
static List *
quals_of_input(const QueryBlock *block, int varno)
{
	return varno > list_length(block->inputs) ? left_join_of(block)->quals : block->quals;
}

/* Do the inputs in kept determine at most one row of all the others? */
static bool
determines_all(const QueryBlock *block, List **keys, Bitmapset *kept)
{
	int			n = count_inputs(block);
	Bitmapset  *determined = bms_copy(kept);
	bool		progress = true;

	while (progress)
	{
		progress = false;
		for (int i = 1; i <= n; i++)
		{
			ListCell   *lc;

			if (bms_is_member(i, determined) ||
				!bms_is_subset(references_of_item(block, i), determined))
				continue;
			foreach(lc, keys[i])
			{
				if (key_is_determined(quals_of_input(block, i), i, (UniqueKey *) lfirst(lc), determined))
				{
					determined = bms_add_member(determined, i);
					progress = true;
					break;
				}
			}
		}
	}
	return bms_num_members(determined) == n;
}

/* Output column that shows the given column of an input, or one equated to it. */
static AttrNumber
visible_column(const QueryBlock *block, int varno, AttrNumber column, Oid opfamily, Oid collation)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, block->tlist)
	{
		Var		   *var = (Var *) lfirst(lc);

		if (IsA(var, Var) && var->varlevelsup == 0 &&
			var->varno == varno && var->varattno == column)
			return foreach_current_index(lc) + 1;
	}
	if (varno > list_length(block->inputs))
		return InvalidAttrNumber;	/* equated only where it matches */
	foreach(lc2, block->quals)
	{
		Node	   *other = equated_to((Node *) lfirst(lc2), varno, column, opfamily, collation);

		if (other == NULL || !IsA(other, Var))
			continue;
		foreach(lc, block->tlist)
		{
			if (equal(lfirst(lc), other))
				return foreach_current_index(lc) + 1;
		}
	}
	return InvalidAttrNumber;
}

bool
pgt_query_at_most_one_row(const QueryBlock *block, const Definition *def)
{
	int			n = list_length(block->inputs);
	List	  **keys = (List **) palloc0(sizeof(List *) * (n + 1));

	/* an outer join may still multiply rows */
	if (block->attachments != NIL)
		return false;
	for (int i = 1; i <= n; i++)
		keys[i] = keys_of_input(pgt_block_input(block, i), def);
	return determines_all(block, keys, NULL);
}

List *
pgt_query_find_row_keys(const QueryBlock *block, const Definition *def)
{
	int			n = count_inputs(block);
	List	  **keys;
	Bitmapset  *kept = NULL;
	Bitmapset  *referred = NULL;
	List	   *result = NIL;
	ListCell   *lc;

	if (n == 0)
		return NIL;
	keys = (List **) palloc0(sizeof(List *) * (n + 1));
	for (int i = 1; i <= n; i++)
	{
		keys[i] = keys_of_input(pgt_block_input(block, i), def);
		kept = bms_add_member(kept, i);
		referred = bms_join(referred, references_of_item(block, i));
	}
	for (int i = n; i >= 1; i--)
	{
		Bitmapset  *without = bms_del_member(bms_copy(kept), i);

		/* an item's key counts for the rows of those that it refers to */
		if (!bms_is_member(i, referred) && determines_all(block, keys, without))
			kept = without;
	}
	for (int i = -1; (i = bms_next_member(kept, i)) >= 0;)
	{
		bool		found = false;

		foreach(lc, keys[i])
		{
			UniqueKey  *key = (UniqueKey *) lfirst(lc);
			List	   *columns = NIL;

			if (!key->not_null)
				continue;
			for (int k = 0; k < key->ncolumns; k++)
			{
				AttrNumber	column = visible_column(block, i, key->columns[k],
													key->opfamilies[k], key->collations[k]);

				if (column == InvalidAttrNumber)
					break;
				columns = lappend_int(columns, column);
			}
			if (list_length(columns) == key->ncolumns)
			{
				result = list_concat_unique_int(result, columns);
				found = true;
				break;
			}
		}
		if (!found)
			return NIL;
	}
	return list_length(result) <= INDEX_MAX_KEYS ? result : NIL;
}

bool
pgt_query_is_not_null(Expr *expr, const QueryBlock *block)
{
	Node	   *node = strip_relabel((Node *) expr);

	if (IsA(node, Const))
		return !((Const *) node)->constisnull;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Input	   *input;

		if (var->varlevelsup > 0 || var->varno > list_length(block->inputs))
			return false;		/* attached */
		input = (Input *) list_nth(block->inputs, var->varno - 1);
		return input->kind == PGT_INPUT_RELATION &&
			column_not_null(input->relid, var->varattno, input->inh);
	}
	return false;
}
