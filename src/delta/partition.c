/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  SQL of a stage that recomputes a query partition by partition.
 *
 * For operators T whose result on a set of rows is the union of the results on its
 * partitions by the keys k (windows with PARTITION BY k, DISTINCT ON (k)),
 *
 *		delta(T(Q)) = T(Q' where k in K) - T(Q where k in K),	K = keys in delta(Q)
 *
 * The first part is computed from the current tables; the second one is what
 * is stored for these keys.  Both signs of the delta count: a row that moves
 * from one partition to another affects both.  Without keys K is everything.
 *
 * T is kept as a Query over the rows of the block, printed by the server's own
 * deparser; the rows come from a CTE, which the planner inlines.
 *
 * IDENTIFICATION
 *	  src/delta/partition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "delta_internal.h"
#include "pgtrickle/env.h"

static char *
over_rows(const Stage *stage, const char *rows)
{
	return psprintf("WITH " PGT_TOP_INPUT " AS (%s) %s", rows,
					pgt_delta_query_text(stage->top));
}

/* Rows of blocks, with the types of the stage's columns. */
static void
append_term(const DeltaContext *context, const Stage *stage, List *blocks, StringInfo out)
{
	ListCell   *lc;

	appendStringInfoString(out, "SELECT ");
	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);

		appendStringInfo(out, "%sb.c%d::%s", foreach_current_index(lc) ? ", " : "",
						 foreach_current_index(lc) + 1,
						 format_type_extended(column->type, column->typmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(column->collation))
			appendStringInfo(out, " COLLATE %s", generate_collation_name(column->collation));
	}
	appendStringInfoString(out, " FROM (");
	pgt_delta_current_blocks(context, blocks, NULL, out);
	appendStringInfoString(out, ") AS b(");
	for (int i = 1; i <= list_length(stage->columns); i++)
		appendStringInfo(out, "%sc%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(out, ')');
}

/*
 * The recursive relation.  It is computed from the blocks, not from the query as it was written:
 * where a stage could have other rows as well, such as those of a LIMIT among equal ones, it has the
 * same as those that changes start from.
 */
static char *
recursive_rows(const DeltaContext *context, const Stage *stage)
{
	int			nblocks = list_length(stage->blocks);
	DeltaContext within = *context;
	StringInfoData buf;
	StringInfoData columns;
	ListCell   *lc;

	within.recursive = stage;
	initStringInfo(&columns);
	foreach(lc, stage->columns)
		appendStringInfo(&columns, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((StageColumn *) lfirst(lc))->name));
	initStringInfo(&buf);
	appendStringInfo(&buf, "WITH RECURSIVE " PGT_DELTA_RECURSIVE_NAME "(%s) AS (", columns.data);
	append_term(&within, stage, list_copy_head(stage->blocks, nblocks - 1), &buf);
	appendStringInfoString(&buf, stage->is_union ? " UNION " : " UNION ALL ");
	append_term(&within, stage, list_make1(llast(stage->blocks)), &buf);
	appendStringInfo(&buf, ") SELECT %s FROM " PGT_DELTA_RECURSIVE_NAME, columns.data);
	return buf.data;
}

char *
pgt_delta_partition_current(const DeltaContext *context, const Stage *stage)
{
	StringInfoData rows;

	if (stage->recursive)
		return recursive_rows(context, stage);
	if (stage->native)
		return pgt_delta_query_text(stage->top);
	initStringInfo(&rows);
	pgt_delta_current_blocks(context, stage->blocks, NULL, &rows);
	return over_rows(stage, rows.data);
}

/* Rows of the recursive relation in the keys, which are all columns, that one step derives. */
static char *
derivable_rows(const DeltaContext *context, const Stage *stage, bool has_null)
{
	int			n = list_length(stage->columns);
	BlockRestriction restriction = {0};
	Oid		   *equals = (Oid *) palloc(sizeof(Oid) * n);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, stage->columns)
		equals[foreach_current_index(lc)] =
			lookup_type_cache(((StageColumn *) lfirst(lc))->type, TYPECACHE_EQ_OPR)->eq_opr;
	restriction.nkeys = n;
	restriction.key_eq = equals;
	pgt_delta_current_blocks(context, stage->blocks, &restriction, &buf);
	if (has_null)
	{
		restriction.null_aware = true;
		appendStringInfoString(&buf, " UNION ALL ");
		pgt_delta_current_blocks(context, stage->blocks, &restriction, &buf);
	}
	return buf.data;
}

char *
pgt_delta_partition_recompute(const DeltaContext *context, const Stage *stage, bool has_null)
{
	StringInfoData rows;

	if (stage->recursive)
		return derivable_rows(context, stage, has_null);
	if (stage->nkeys == 0)
		return pgt_delta_partition_current(context, stage);
	initStringInfo(&rows);
	pgt_delta_restricted_blocks(context, stage, has_null, &rows);
	return over_rows(stage, rows.data);
}

/*
 * Subqueries in top read tables by themselves: does a change of one of them reach
 * every row?
 */
bool
pgt_delta_reaches_all(const DeltaContext *context, int stageno, const Bitmapset *changed)
{
	Stage	   *stage = (Stage *) list_nth(context->def->stages, stageno);
	ListCell   *lc,
			   *lc2;

	if (stage->watched == NULL)
		return false;
	forboth(lc, stage->watched->inputs, lc2, stage->probes)
	{
		if (lfirst(lc2) == NULL &&
			pgt_delta_input_changed(context, (Input *) lfirst(lc), changed))
			return true;
	}
	return false;
}

/* The keys of the rows that a changed row of the input meets the condition with. */
static void
append_probe(const DeltaContext *context, const Stage *stage, const Input *input,
			 const Probe *probe, StringInfo out)
{
	OpExpr	   *op = (OpExpr *) probe->qual;
	char	   *column = psprintf("d.%s", quote_identifier(pgt_attribute_name(input->relid, probe->column)));
	char	   *other = psprintf("b.c%d", probe->block_column);
	Oid			collation = op->inputcollid;

	appendStringInfoString(out, "SELECT DISTINCT ");
	for (int i = 1; i <= stage->nkeys; i++)
		appendStringInfo(out, "%sb.c%d", i > 1 ? ", " : "", i);
	appendStringInfoString(out, " FROM (");
	pgt_delta_current_blocks(context, stage->blocks, NULL, out);
	appendStringInfo(out, ") AS b, %s AS d WHERE %s %s %s", pgt_delta_source_name(input->source),
					 probe->side == 0 ? column : other, pgt_delta_operator(op->opno),
					 probe->side == 0 ? other : column);
	if (OidIsValid(collation))
		appendStringInfo(out, " COLLATE %s", generate_collation_name(collation));
}

/* The keys of the rows that come and go, and of those that a subquery's change reaches. */
char *
pgt_delta_partition_keys(const DeltaContext *context, const Stage *stage,
						 const Bitmapset *changed, int *nterms)
{
	int			ncolumns = list_length(((QueryBlock *) linitial(stage->blocks))->tlist);
	StringInfoData buf;
	ListCell   *lc,
			   *lc2;

	if (stage->recursive)
	{
		initStringInfo(&buf);
		pgt_delta_change_blocks(context, stage->blocks, changed, &buf, nterms);
		return buf.data;
	}
	if (stage->order != NIL)
		return pgt_delta_first_rows_change(context, stage, changed, nterms);
	if (stage->nkeys == 0 || pgt_delta_reaches_all(context, stage->number, changed))
	{
		*nterms = 1;
		return pgt_delta_partition_current(context, stage);
	}
	initStringInfo(&buf);
	if (!bms_is_empty(pgt_delta_relevant_blocks(context, stage->blocks, changed)))
	{
		appendStringInfoString(&buf, "SELECT ");
		for (int i = 1; i <= stage->nkeys; i++)
			appendStringInfo(&buf, "%sb.c%d", i > 1 ? ", " : "", i);
		appendStringInfoString(&buf, " FROM (");
		pgt_delta_change_blocks(context, stage->blocks, changed, &buf, nterms);
		appendStringInfoString(&buf, ") AS b(");
		for (int i = 1; i <= ncolumns; i++)
			appendStringInfo(&buf, "c%d, ", i);
		appendStringInfoString(&buf, "w) GROUP BY ");
		for (int i = 1; i <= stage->nkeys; i++)
			appendStringInfo(&buf, "%sb.c%d", i > 1 ? ", " : "", i);
	}
	if (stage->watched == NULL)
		return buf.data;
	forboth(lc, stage->watched->inputs, lc2, stage->probes)
	{
		if (!pgt_delta_input_changed(context, (Input *) lfirst(lc), changed))
			continue;
		*nterms += 1;
		if (buf.len > 0)
			appendStringInfoString(&buf, " UNION ");
		append_probe(context, stage, (Input *) lfirst(lc), (Probe *) lfirst(lc2), &buf);
	}
	return buf.data;
}
