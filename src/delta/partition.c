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

#include "delta_internal.h"

static char *
over_rows(const Stage *stage, const char *rows)
{
	return psprintf("WITH " PGT_TOP_INPUT " AS (%s) %s", rows,
					pgt_delta_query_text(stage->top));
}

char *
pgt_delta_partition_current(const DeltaContext *context, const Stage *stage)
{
	StringInfoData rows;

	if (stage->native)
		return pgt_delta_query_text(stage->top);
	initStringInfo(&rows);
	pgt_delta_current_blocks(context, stage->blocks, NULL, &rows);
	return over_rows(stage, rows.data);
}

char *
pgt_delta_partition_recompute(const DeltaContext *context, const Stage *stage, bool has_null)
{
	StringInfoData rows;

	if (stage->nkeys == 0)
		return pgt_delta_partition_current(context, stage);
	initStringInfo(&rows);
	pgt_delta_restricted_blocks(context, stage, has_null, &rows);
	return over_rows(stage, rows.data);
}

/* The keys of the rows that come and go. */
char *
pgt_delta_partition_keys(const DeltaContext *context, const Stage *stage,
						 const Bitmapset *changed, int *nterms)
{
	int			ncolumns = list_length(((QueryBlock *) linitial(stage->blocks))->tlist);
	StringInfoData buf;

	if (stage->nkeys == 0)
	{
		*nterms = 1;
		return pgt_delta_partition_current(context, stage);
	}
	initStringInfo(&buf);
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
	return buf.data;
}
