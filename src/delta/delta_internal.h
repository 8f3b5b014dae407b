/*-------------------------------------------------------------------------
 *
 * delta_internal.h
 *	  What the files of the delta engine share.
 *
 * IDENTIFICATION
 *	  src/delta/delta_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DELTA_INTERNAL_H
#define PGTRICKLE_DELTA_INTERNAL_H

#include "lib/stringinfo.h"
#include "pgtrickle/delta.h"

/* How an input appears in a FROM list. */
typedef enum InputState
{
	PGT_CURRENT,				/* the relation as it is now */
	PGT_CHANGE,					/* its change, with weights */
	PGT_PREVIOUS				/* current minus change, with weights */
} InputState;

/* expr.c: expressions to text */
/* Vars of the block's inputs print as t<number>.<column name>. */
extern List *pgt_delta_block_names(const DeltaContext *context, const QueryBlock *block);
/* Vars 1.n print as b.c<n>: the rows that a group stage aggregates. */
extern List *pgt_delta_grouped_names(int ncolumns);
extern char *pgt_delta_expr(Expr *expr, List *names, bool show_casts);
extern char *pgt_delta_operator(Oid opno);
extern char *pgt_delta_null_test(const char *text, Oid type, bool is_null);

/* scan.c: items of a FROM list */
extern char *pgt_delta_from_item(const DeltaContext *context, const Input *input,
								 int number, InputState state, const Bitmapset *changed,
								 int *nterms);
extern bool pgt_delta_input_changed(const DeltaContext *context, const Input *input,
									const Bitmapset *changed);

/* join.c: one block */
typedef struct BlockRestriction
{
	int			nkeys;			/* first columns of the block are compared with the keys */
	const Oid  *key_eq;
	bool		null_aware;		/* keys that contain NULL, only these */
} BlockRestriction;

extern void pgt_delta_current_block(const DeltaContext *context, const QueryBlock *block,
									const BlockRestriction *restriction, StringInfo out);
/* Appends terms joined by UNION ALL; *nterms counts all that were appended so far. */
extern void pgt_delta_change_block(const DeltaContext *context, const QueryBlock *block,
								   const Bitmapset *changed, StringInfo out, int *nterms);

/* union_all.c: blocks under UNION ALL */
extern void pgt_delta_current_blocks(const DeltaContext *context, List *blocks,
									 const BlockRestriction *restriction, StringInfo out);
extern void pgt_delta_change_blocks(const DeltaContext *context, List *blocks,
									const Bitmapset *changed, StringInfo out, int *nterms);
extern Bitmapset *pgt_delta_relevant_blocks(const DeltaContext *context, List *blocks,
											const Bitmapset *changed);

/* aggregate.c */
extern void pgt_delta_group_select(const Stage *stage, StringInfo out, bool change);
extern void pgt_delta_group_clause(const Stage *stage, StringInfo out);

#endif							/* PGTRICKLE_DELTA_INTERNAL_H */
