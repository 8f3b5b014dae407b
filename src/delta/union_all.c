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

Bitmapset *
pgt_delta_relevant_blocks(const DeltaContext *context, List *blocks,
						  const Bitmapset *changed)
{
	Bitmapset  *result = NULL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		foreach(lc2, ((QueryBlock *) lfirst(lc))->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (input->kind == PGT_INPUT_UNION)
				result = bms_join(result,
								  pgt_delta_relevant_blocks(context, input->blocks, changed));
			else if (pgt_delta_input_changed(context, input, changed))
				result = bms_add_member(result, input->kind == PGT_INPUT_RELATION ? input->source :
										PGT_CHANGED_STAGE(context->def, input->stageno));
		}
	}
	return result;
}
