/*-------------------------------------------------------------------------
 *
 * one_row.c
 *	  Change of an input that always has one row and only decides.
 *
 * An uncorrelated subquery such as (SELECT avg(x) FROM t) is an input of one row: its
 * change D_S is the old row with weight -1 and the new one with +1.  The plain term
 * X join D_S has two rows for each row of X that either of them lets pass, which
 * mostly cancel.  If nothing but conditions refers to the input, what does not
 * cancel are the rows of X for which the conditions decide differently now:
 *
 *		X join D_S = { x with weight +1 if the new row lets it pass, else -1
 *					   : x of X, pass(x, new) <> pass(x, old) }
 *
 * so the term reads X once, with both rows at hand, and whatever else the block
 * does is done for rows that come or go.  If the condition is one comparison x < s,
 * those lie between the old and the new s, which is cheaper to see than anything else
 * about a row and is asked first.  X is still read as a whole; where an
 * equality with the row could be looked up in an index, the plain term stays.
 *
 * IDENTIFICATION
 *	  src/delta/one_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "delta_internal.h"

static bool
refers_to(Node *node, int varno)
{
	return bms_is_member(varno, pull_varnos(NULL, node));
}

/* Could the other side be looked up by a value of the row? */
static bool
is_lookup(Node *qual, int varno)
{
	OpExpr	   *op = (OpExpr *) qual;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2 ||
		!op_mergejoinable(op->opno, exprType(linitial(op->args))))
		return false;
	for (int side = 0; side < 2; side++)
	{
		Bitmapset  *other = pull_varnos(NULL, list_nth(op->args, 1 - side));

		if (refers_to(list_nth(op->args, side), varno) && !bms_is_empty(other) &&
			!bms_is_member(varno, other))
			return true;
	}
	return false;
}

/* Is a condition more than an expression over inputs? */
static bool
has_mark(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || expression_tree_walker(node, has_mark, context);
}

static bool
only_decides(const QueryBlock *block, int varno)
{
	bool		decides = false;
	ListCell   *lc;

	if (refers_to((Node *) block->tlist, varno))
		return false;
	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (refers_to((Node *) input->args, varno) || refers_to((Node *) input->on, varno))
			return false;
	}
	foreach(lc, block->attachments)
	{
		Attachment *attachment = (Attachment *) lfirst(lc);

		if (attachment->kind != PGT_ATTACH_EXISTS || refers_to((Node *) attachment->quals, varno))
			return false;
	}
	foreach(lc, block->quals)
	{
		Node	   *qual = (Node *) lfirst(lc);

		if (!refers_to(qual, varno))
			continue;
		if (is_lookup(qual, varno) || has_mark(qual, NULL))
			return false;
		decides = true;
	}
	return decides;
}

/* Number of the input that this is about in a term; 0: none. */
int
pgt_delta_deciding_input(const DeltaContext *context, const QueryBlock *block,
						 const InputState *states)
{
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);
		int			varno = foreach_current_index(lc) + 1;
		Stage	   *stage;

		if (states[varno - 1] != PGT_CHANGE || input->kind != PGT_INPUT_STAGE)
			continue;
		stage = (Stage *) list_nth(context->def->stages, input->stageno);
		if (stage->head == PGT_HEAD_GROUP && stage->nkeys == 0 && only_decides(block, varno))
			return varno;
	}
	return 0;
}

static void
append_pass(const QueryBlock *block, int varno, List *names, StringInfo out)
{
	bool		first = true;
	ListCell   *lc;

	foreach(lc, block->quals)
	{
		if (!refers_to((Node *) lfirst(lc), varno))
			continue;
		appendStringInfo(out, "%s(%s)", first ? "" : " AND ",
						 pgt_delta_expr((Expr *) lfirst(lc), names, false));
		first = false;
	}
}

/*
 * The comparison of X with the row, if there is but one condition and that is one:
 * *value is the row's side.  NULL: there is none.
 */
static OpExpr *
only_comparison(const QueryBlock *block, int varno, int *value, Oid *family)
{
	OpExpr	   *op = NULL;
	ListCell   *lc;

	foreach(lc, block->quals)
	{
		if (!refers_to((Node *) lfirst(lc), varno))
			continue;
		if (op != NULL || !IsA(lfirst(lc), OpExpr))
			return NULL;
		op = (OpExpr *) lfirst(lc);
	}
	if (op == NULL || list_length(op->args) != 2 || OidIsValid(op->inputcollid))
		return NULL;
	*value = refers_to((Node *) lsecond(op->args), varno) ? 1 : 0;
	if (refers_to((Node *) list_nth(op->args, 1 - *value), varno) ||
		!bms_equal(pull_varnos(NULL, list_nth(op->args, *value)), bms_make_singleton(varno)) ||
		bms_is_empty(pull_varnos(NULL, list_nth(op->args, 1 - *value))))
		return NULL;
	foreach(lc, get_op_btree_interpretation(op->opno))
	{
		OpBtreeInterpretation *btree = (OpBtreeInterpretation *) lfirst(lc);

		if (pgt_interpreted_strategy(btree) < BTLessStrategyNumber ||
			pgt_interpreted_strategy(btree) > BTGreaterStrategyNumber)
			continue;
		*family = btree->opfamily_id;
		return op;
	}
	return NULL;
}

/*
 * "x lies between the old and the new value", or nothing.  A value may be NULL: the
 * other then has no counterpart.
 */
static void
append_range(const DeltaContext *context, const QueryBlock *block, int varno, List *names,
			 StringInfo out)
{
	const char *weight_name = quote_identifier(context->def->weight_name);
	int			side;
	Oid			family;
	OpExpr	   *op = only_comparison(block, varno, &side, &family);
	Node	   *x,
			   *value;
	Oid			type,
				less,
				from,
				to;
	char	   *x_text,
			   *now,
			   *before,
			   *rows;

	if (op == NULL)
		return;
	value = (Node *) list_nth(op->args, side);
	x = (Node *) list_nth(op->args, 1 - side);
	type = exprType(value);
	less = get_opfamily_member(family, type, type, BTLessStrategyNumber);
	from = get_opfamily_member(family, exprType(x), type, BTGreaterEqualStrategyNumber);
	to = get_opfamily_member(family, exprType(x), type, BTLessEqualStrategyNumber);
	if (!OidIsValid(less) || !OidIsValid(from) || !OidIsValid(to))
		return;
	x_text = pgt_delta_expr((Expr *) x, names, true);
	now = pgt_delta_expr((Expr *) value, pgt_delta_block_names_renamed(context, block, varno, "v"),
						 true);
	before = pgt_delta_expr((Expr *) value,
							pgt_delta_block_names_renamed(context, block, varno, "w"), true);
	rows = pgt_delta_input_text(context, pgt_block_input(block, varno), true);
	rows = psprintf("FROM %s AS v, %s AS w WHERE v.%s > 0 AND w.%s < 0", rows, rows,
					weight_name, weight_name);
	appendStringInfo(out, " AND (((%s) %s (SELECT CASE WHEN (%s) %s (%s) THEN (%s) ELSE (%s) END %s)"
					 " AND (%s) %s (SELECT CASE WHEN (%s) %s (%s) THEN (%s) ELSE (%s) END %s))"
					 " OR (SELECT pg_catalog.count(*) %s AND (%s) IS NOT NULL AND (%s) IS NOT NULL) OPERATOR(pg_catalog.=) 0)",
					 x_text, pgt_delta_operator(from), now, pgt_delta_operator(less), before, now, before, rows,
					 x_text, pgt_delta_operator(to), now, pgt_delta_operator(less), before, before, now, rows,
					 rows, now, before);
}

/*
 * Appends the old row to the FROM list, the sign to the weight.  Returns the
 * conditions that take the place of those that refer to the input; the others
 * are put into *rest.
 */
char *
pgt_delta_decide(const DeltaContext *context, const QueryBlock *block, int varno, List *names,
				 StringInfo from, StringInfo weight, List **rest)
{
	const char *weight_name = quote_identifier(context->def->weight_name);
	char	   *old = psprintf("o%d", varno);
	StringInfoData now,
				before,
				result;
	ListCell   *lc;

	initStringInfo(&now);
	initStringInfo(&before);
	append_pass(block, varno, names, &now);
	append_pass(block, varno, pgt_delta_block_names_renamed(context, block, varno, old), &before);
	appendStringInfo(from, ", %s AS %s",
					 pgt_delta_input_text(context, pgt_block_input(block, varno), true), old);
	appendStringInfo(weight, " * CASE WHEN %s THEN 1 ELSE -1 END", now.data);
	*rest = NIL;
	foreach(lc, block->quals)
		if (!refers_to((Node *) lfirst(lc), varno))
			*rest = lappend(*rest, lfirst(lc));
	initStringInfo(&result);
	appendStringInfo(&result, "t%d.%s > 0 AND %s.%s < 0 AND ((%s) IS TRUE) <> ((%s) IS TRUE)",
					 varno, weight_name, old, weight_name, now.data, before.data);
	append_range(context, block, varno, names, &result);
	return result.data;
}
