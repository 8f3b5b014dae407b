/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Inputs of a block in a FROM list: now, their change, or before it.
 *
 * The change of a relation or stage is an ephemeral relation; the content of a
 * derived stage is its blocks, as a subquery; the change of a union is the union of its blocks' changes.  The state before a change is
 * the z-set "current minus change".
 *
 * IDENTIFICATION
 *	  src/delta/scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "delta_internal.h"
#include "pgtrickle/env.h"

char *
pgt_delta_source_name(int source)
{
	return psprintf("pgt_d%d", source);
}

char *
pgt_delta_stage_name(int stageno)
{
	return psprintf("pgt_s%d", stageno);
}

bool
pgt_delta_input_changed(const DeltaContext *context, const Input *input,
						const Bitmapset *changed)
{
	switch (input->kind)
	{
		case PGT_INPUT_RELATION:
			return bms_is_member(input->source, changed);
		case PGT_INPUT_STAGE:
			return bms_is_member(PGT_CHANGED_STAGE(context->def, input->stageno), changed);
		case PGT_INPUT_UNION:
			return !bms_is_empty(pgt_delta_relevant_blocks(context, input->blocks, changed));
		case PGT_INPUT_ITEM:
			break;
	}
	return false;
}

/* Names of the columns that the block uses, each followed by a comma. */
static char *
used_columns(const DeltaContext *context, const Input *input)
{
	StringInfoData buf;
	int			attnum = -1;

	initStringInfo(&buf);
	while ((attnum = bms_next_member(input->used, attnum)) >= 0)
		appendStringInfo(&buf, "%s, ", pgt_delta_column_name(context, input, attnum));
	return buf.data;
}

/*
 * The input as something to select from, without alias.  The terms of a
 * union's change count as terms of the statement (nterms, if not NULL): they
 * may contain rows that cancel.
 */
static char *
input_text(const DeltaContext *context, const Input *input, bool change,
		   const Bitmapset *changed, int *nterms)
{
	StringInfoData buf;
	Stage	   *stage = NULL;

	switch (input->kind)
	{
		case PGT_INPUT_RELATION:
			if (change)
				return pgt_delta_source_name(input->source);
			return psprintf("%s%s", input->inh ? "" : "ONLY ",
							pgt_quoted_relation_name(input->relid));
		case PGT_INPUT_STAGE:
			if (change)
				return pgt_delta_stage_name(input->stageno);
			stage = (Stage *) list_nth(context->def->stages, input->stageno);
			if (stage == context->recursive)
				return PGT_DELTA_RECURSIVE_NAME;
			if (!stage->derived)
				return pgt_quoted_relation_name(context->stage_relids[input->stageno]);
			break;
		case PGT_INPUT_UNION:
			break;
		case PGT_INPUT_ITEM:
			elog(ERROR, "an item of a FROM list has no text of its own");
	}
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '(');
	if (input->kind == PGT_INPUT_STAGE)
		pgt_delta_current_blocks(context, stage->blocks, NULL, &buf);
	else if (change)
	{
		int			inner = 0;

		pgt_delta_change_blocks(context, input->blocks, changed, &buf, &inner);
		if (nterms != NULL && inner > 1)
			*nterms += inner - 1;
	}
	else
		pgt_delta_current_blocks(context, input->blocks, NULL, &buf);
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

char *
pgt_delta_input_text(const DeltaContext *context, const Input *input, bool change)
{
	return input_text(context, input, change, NULL, NULL);
}

char *
pgt_delta_from_item(const DeltaContext *context, const QueryBlock *block, int number,
					InputState state, const Bitmapset *changed, int *nterms)
{
	const Input *input = pgt_block_input(block, number);
	const char *weight = quote_identifier(context->def->weight_name);
	char	   *columns;

	if (input->kind == PGT_INPUT_ITEM)
		return pgt_delta_item_text(context, block, number);
	if (state != PGT_PREVIOUS)
		return psprintf("%s AS t%d",
						input_text(context, input, state == PGT_CHANGE, changed, nterms),
						number);

	/*
	 * OFFSET 0 keeps the change a subquery scan of its own: a bare scan of an
	 * ephemeral relation under the append would forbid parameterised index
	 * scans of the relation beside it.
	 */
	columns = used_columns(context, input);
	return psprintf("(SELECT %s1 AS %s FROM %s AS n UNION ALL"
					" SELECT %s- %s FROM (SELECT * FROM %s AS o OFFSET 0) AS p) AS t%d",
					columns, weight, input_text(context, input, false, changed, NULL),
					columns, weight, input_text(context, input, true, changed, nterms), number);
}
