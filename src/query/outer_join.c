/*-------------------------------------------------------------------------
 *
 * outer_join.c
 *	  LEFT, RIGHT and FULL JOIN in the intermediate representation.
 *
 * The nullable side of a LEFT JOIN is attached to the block of the other side.
 * Joining more inputs to the block afterwards, and filtering, does no harm:
 * what matches a row of the preserved side depends on that row alone.  A RIGHT JOIN
 * is a LEFT JOIN from the other side.
 *
 * A FULL JOIN is the LEFT JOIN, and those rows of the right side that match
 * nothing, with NULLs: two blocks over two derived stages (attach.c makes them).
 *
 * IDENTIFICATION
 *	  src/query/outer_join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"

#include "convert_internal.h"

static void
convert_side(Conversion *cv, Scope *scope, Node *side, QueryBlock *block)
{
	QueryBlock *outer = scope->block;

	scope->block = block;
	pgt_convert_from(cv, scope, side);
	scope->block = outer;
}

static List *
convert_condition(Conversion *cv, Scope *scope, JoinExpr *join)
{
	if (cv->reason || join->quals == NULL)
		return NIL;
	return pgt_convert_conjuncts(cv, scope, join->quals);
}

static void
convert_full_join(Conversion *cv, Scope *scope, JoinExpr *join)
{
	QueryBlock *outer = scope->block;
	QueryBlock *block = pgt_convert_make_inner_block(outer);
	QueryBlock *left = pgt_convert_make_inner_block(block);
	QueryBlock *right = pgt_convert_make_inner_block(block);

	convert_side(cv, scope, join->larg, left);
	convert_side(cv, scope, join->rarg, right);
	if (cv->reason)
		return;
	pgt_convert_export_as_input(cv, left, block);
	pgt_convert_export_as_input(cv, right, block);
	scope->block = block;
	block->quals = convert_condition(cv, scope, join);
	scope->block = outer;
	if (block->attachments != NIL)
		pgt_convert_unsupported(cv, "subquery_expression",
								"a subquery in the condition of a FULL JOIN cannot be maintained differentially",
								NULL);
	block->is_full_join = true;
	if (!cv->reason)
		pgt_convert_export_as_input(cv, block, outer);
}

void
pgt_convert_outer_join(Conversion *cv, Scope *scope, JoinExpr *join)
{
	bool		left = join->jointype == JOIN_LEFT;
	QueryBlock *nullable;
	int			number;
	List	   *quals;
	Attachment *attachment;

	if (join->jointype == JOIN_FULL)
	{
		convert_full_join(cv, scope, join);
		return;
	}
	nullable = pgt_convert_make_inner_block(scope->block);
	pgt_convert_from(cv, scope, left ? join->larg : join->rarg);
	convert_side(cv, scope, left ? join->rarg : join->larg, nullable);
	if (cv->reason)
		return;
	number = pgt_convert_attach(cv, nullable, scope->block, PGT_ATTACH_LEFT);
	quals = convert_condition(cv, scope, join);
	if (cv->reason)
		return;
	attachment = (Attachment *) list_nth(scope->block->attachments, number - 1);
	attachment->quals = list_concat(attachment->quals, quals);
}
