/*-------------------------------------------------------------------------
 *
 * union_all.c
 *	  Delta of UNION ALL: the branches' deltas, side by side.
 *
 * IDENTIFICATION
 *	  src/delta/union_all.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delta_internal.h"

void
pgt_delta_current_blocks(const DeltaContext *context, List *blocks,
						 const BlockRestriction *restriction, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, blocks)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(out, " UNION ALL ");
		pgt_delta_current_block(context, (QueryBlock *) lfirst(lc), restriction, out);
	}
}

void
pgt_delta_change_blocks(const DeltaContext *context, List *blocks,
						const Bitmapset *changed, StringInfo out, int *nterms)
{
	ListCell   *lc;

	foreach(lc, blocks)
		pgt_delta_change_block(context, (QueryBlock *) lfirst(lc), changed, out, nterms);
}

static Bitmapset *
add_relevant(const DeltaContext *context, const Input *input, const Bitmapset *changed,
			 Bitmapset *result)
{
	if (input->kind == PGT_INPUT_UNION)
		return bms_join(result, pgt_delta_relevant_blocks(context, input->blocks, changed));
	if (pgt_delta_input_changed(context, input, changed))
		return bms_add_member(result, input->kind == PGT_INPUT_RELATION ? input->source :
							  PGT_CHANGED_STAGE(context->def, input->stageno));
	return result;
}

Bitmapset *
pgt_delta_relevant_blocks(const DeltaContext *context, List *blocks,
						  const Bitmapset *changed)
{
	Bitmapset  *result = NULL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);

		foreach(lc2, block->inputs)
			result = add_relevant(context, (Input *) lfirst(lc2), changed, result);
		foreach(lc2, block->attachments)
			result = add_relevant(context, ((Attachment *) lfirst(lc2))->input, changed, result);
	}
	return result;
}
