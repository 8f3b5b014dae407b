/*-------------------------------------------------------------------------
 *
 * delta.h
 *	  The delta engine: from the representation of a query to the SQL that
 *	  computes its content and its changes.
 *
 * Changes reach a delta statement as ephemeral named relations: the columns
 * of the source or stage table that are used, under their names, and an int4
 * weight (+1 or -1) named Definition.weight_name.  All other names are
 * qualified; statements are written for search_path = pg_catalog, pg_temp.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/delta.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DELTA_H
#define PGTRICKLE_DELTA_H

#include "pgtrickle/ir.h"

typedef struct DeltaContext
{
	const Definition *def;
	Oid		   *stage_relids;	/* table of each stage, by number */
	const Stage *recursive;		/* stands for itself under PGT_DELTA_RECURSIVE_NAME; NULL: none */
} DeltaContext;

/* Names of the ephemeral relations. */
extern char *pgt_delta_source_name(int source);
extern char *pgt_delta_stage_name(int stageno);
#define PGT_DELTA_RECURSIVE_NAME "pgt_recursive"	/* the recursive relation, as WITH RECURSIVE computes it */
#define PGT_DELTA_KEYS_NAME "pgt_keys"	/* columns k1 .. kn: groups or partitions to recompute */

/*
 * What changed: members 0 .. nsources-1 are sources, nsources + n is stage n.
 */
#define PGT_CHANGED_STAGE(def, stageno) (list_length((def)->sources) + (stageno))

/* Inputs of the stage, wherever in it, that are in changed. */
extern Bitmapset *pgt_delta_relevant(const DeltaContext *context, int stageno,
									 const Bitmapset *changed);

/* The same of an input. */
extern bool pgt_delta_input_changed(const DeltaContext *context, const Input *input,
									const Bitmapset *changed);

/*
 * The content of a stage now.  ROWS, PARTITION: its columns.  GROUP: keys, row count,
 * states, i.e. the absolute rows of a GroupSink.
 */
extern char *pgt_delta_current_sql(const DeltaContext *context, int stageno);

/* PARTITION: must the stage be recomputed as a whole after these changes? */
extern bool pgt_delta_reaches_all(const DeltaContext *context, int stageno,
								  const Bitmapset *changed);

/*
 * The same for the groups or partitions in PGT_DELTA_KEYS_NAME only.  WITH RECURSIVE
 * that is followed: the rows in it, by all columns, that one step derives from what is stored.
 */
extern char *pgt_delta_rescan_sql(const DeltaContext *context, int stageno, bool has_null);

/*
 * The change of a stage.  ROWS: its columns and the weight.  GROUP: keys,
 * change of the row count, partials of the states.  PARTITION: the keys of the
 * partitions that may change, each once; WITH RECURSIVE that is followed: what its terms give for the
 * change, and the weight; of the first rows in some order, the rows of the change that
 * may concern them, and the weight; without keys otherwise, the content as it is now.  *nterms: joins added up; with one term there are no phantom rows.
 */
extern char *pgt_delta_change_sql(const DeltaContext *context, int stageno,
								  const Bitmapset *changed, int *nterms);

/* operators.c: a query as text that means the same under any search_path */
extern char *pgt_delta_query_text(Query *query);

#endif							/* PGTRICKLE_DELTA_H */
