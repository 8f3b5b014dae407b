/*-------------------------------------------------------------------------
 *
 * emit.c
 *	  Statements of a stage: content, change, rescan of groups.
 *
 * IDENTIFICATION
 *	  src/delta/emit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "delta_internal.h"

static Stage *
get_stage(const DeltaContext *context, int stageno)
{
	return (Stage *) list_nth(context->def->stages, stageno);
}

Bitmapset *
pgt_delta_relevant(const DeltaContext *context, int stageno, const Bitmapset *changed)
{
	Stage	   *stage = get_stage(context, stageno);
	Bitmapset  *result = pgt_delta_relevant_blocks(context, stage->blocks, changed);

	if (stage->watched)
		result = bms_join(result, pgt_delta_relevant_blocks(context, list_make1(stage->watched),
															changed));
	return result;
}

char *
pgt_delta_current_sql(const DeltaContext *context, int stageno)
{
	Stage	   *stage = get_stage(context, stageno);
	StringInfoData buf;

	if (stage->head == PGT_HEAD_PARTITION)
		return pgt_delta_partition_current(context, stage);
	initStringInfo(&buf);
	if (stage->head == PGT_HEAD_ROWS)
		pgt_delta_current_blocks(context, stage->blocks, NULL, &buf);
	else
	{
		pgt_delta_group_select(stage, &buf, false);
		appendStringInfoString(&buf, " FROM (");
		pgt_delta_current_blocks(context, stage->blocks, NULL, &buf);
		pgt_delta_group_fence(stage, &buf);
		appendStringInfoString(&buf, ") AS b");
		pgt_delta_group_clause(stage, &buf);
	}
	return buf.data;
}

/*
 * Keys without NULL are joined by their equality operator, which an index or a
 * hash serves; keys with a NULL, mostly few, by a second arm.
 */
void
pgt_delta_restricted_blocks(const DeltaContext *context, const Stage *stage, bool has_null,
							StringInfo out)
{
	BlockRestriction restriction = {0};

	restriction.nkeys = stage->nkeys;
	restriction.key_eq = stage->key_eq;
	pgt_delta_current_blocks(context, stage->blocks, &restriction, out);
	if (has_null)
	{
		restriction.null_aware = true;
		appendStringInfoString(out, " UNION ALL ");
		pgt_delta_current_blocks(context, stage->blocks, &restriction, out);
	}
}

char *
pgt_delta_rescan_sql(const DeltaContext *context, int stageno, bool has_null)
{
	Stage	   *stage = get_stage(context, stageno);
	StringInfoData buf;

	if (stage->head == PGT_HEAD_PARTITION)
		return pgt_delta_partition_recompute(context, stage, has_null);
	initStringInfo(&buf);
	pgt_delta_group_select(stage, &buf, false);
	appendStringInfoString(&buf, " FROM (");
	pgt_delta_restricted_blocks(context, stage, has_null, &buf);
	pgt_delta_group_fence(stage, &buf);
	appendStringInfoString(&buf, ") AS b");
	pgt_delta_group_clause(stage, &buf);
	return buf.data;
}

char *
pgt_delta_change_sql(const DeltaContext *context, int stageno,
					 const Bitmapset *changed, int *nterms)
{
	Stage	   *stage = get_stage(context, stageno);
	StringInfoData buf;

	*nterms = 0;
	if (stage->head == PGT_HEAD_PARTITION)
		return pgt_delta_partition_keys(context, stage, changed, nterms);
	initStringInfo(&buf);
	if (stage->head == PGT_HEAD_ROWS)
		pgt_delta_change_blocks(context, stage->blocks, changed, &buf, nterms);
	else
	{
		int			ncolumns = list_length(((QueryBlock *) linitial(stage->blocks))->tlist);

		pgt_delta_group_select(stage, &buf, true);
		appendStringInfoString(&buf, " FROM (");
		pgt_delta_change_blocks(context, stage->blocks, changed, &buf, nterms);
		pgt_delta_group_fence(stage, &buf);
		appendStringInfoString(&buf, ") AS b(");
		for (int i = 1; i <= ncolumns; i++)
			appendStringInfo(&buf, "c%d, ", i);
		appendStringInfoString(&buf, "w)");
		pgt_delta_group_clause(stage, &buf);
	}
	return buf.data;
}
