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
 * does is done for rows that come or go.  X is still read as a whole; where an
 * equality with the row could be looked up in an index, the plain term stays.
 *
 * IDENTIFICATION
 *	  src/delta/one_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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
				before;
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
	return psprintf("t%d.%s > 0 AND %s.%s < 0 AND ((%s) IS TRUE) <> ((%s) IS TRUE)",
					varno, weight_name, old, weight_name, now.data, before.data);
}
