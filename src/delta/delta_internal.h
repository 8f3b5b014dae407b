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
/*
 * Vars of the block's inputs print as t<number>.<column name>, those of what
 * is attached as a.<column name>.
 */
extern List *pgt_delta_block_names(const DeltaContext *context, const QueryBlock *block);
/* The same with another alias for one input. */
extern List *pgt_delta_block_names_renamed(const DeltaContext *context, const QueryBlock *block,
										   int renamed, const char *alias);
/*
 * The same, with a text for "the attachment has a match" (see ir.h).  mark
 * must be one that stands anywhere: a name, or parenthesised.
 */
extern char *pgt_delta_marked_expr(Expr *expr, List *names, const QueryBlock *block,
								   const char *mark, bool show_casts);
/* Name of a column of an input, quoted. */
extern char *pgt_delta_column_name(const DeltaContext *context, const Input *input,
								   AttrNumber attnum);
/* Input `number`, an item, with its alias. */
extern char *pgt_delta_item_text(const DeltaContext *context, const QueryBlock *block,
								 int number);
/* Vars 1.n print as b.c<n>: the rows that a group stage aggregates. */
extern List *pgt_delta_grouped_names(int ncolumns);
extern char *pgt_delta_expr(Expr *expr, List *names, bool show_casts);
extern Expr *pgt_delta_spell_out(Expr *expr);	/* operators.c */
extern char *pgt_delta_operator(Oid opno);
extern char *pgt_delta_null_test(const char *text, Oid type, bool is_null);

/* scan.c: items of a FROM list */
extern char *pgt_delta_from_item(const DeltaContext *context, const QueryBlock *block,
								 int number, InputState state, const Bitmapset *changed,
								 int *nterms);
/* The same without alias. */
extern char *pgt_delta_input_text(const DeltaContext *context, const Input *input,
								  bool change);

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

/* Output and conditions of a block, with texts as in pgt_delta_marked_expr. */
extern void pgt_delta_append_output(const QueryBlock *block, List *tlist, List *names,
									const char *mark, StringInfo out);
extern void pgt_delta_append_quals(const QueryBlock *block, List *quals, List *names,
								   const char *mark, const char *glue, StringInfo out);
/* The inputs of a term as items of a FROM list, with their weights multiplied ("": none). */
extern void pgt_delta_append_inputs(const DeltaContext *context, const QueryBlock *block,
									const InputState *states, const char *separator,
									const Bitmapset *changed, int *nterms,
									StringInfo from, StringInfo weight);

/* one_row.c */
extern int	pgt_delta_deciding_input(const DeltaContext *context, const QueryBlock *block,
									 const InputState *states);
extern char *pgt_delta_decide(const DeltaContext *context, const QueryBlock *block, int varno,
							  List *names, StringInfo from, StringInfo weight, List **rest);

/* attachment.c */
extern Attachment *pgt_delta_attachment(const QueryBlock *block);	/* or NULL */
/* "(EXISTS (SELECT ...))" over current tables; NULL if there is no such attachment. */
extern char *pgt_delta_current_mark(const DeltaContext *context, const QueryBlock *block,
									List *names);
/* What to put after the inputs of a block to join a LEFT attachment as it is now. */
extern void pgt_delta_append_left_join(const DeltaContext *context, const QueryBlock *block,
									   List *names, StringInfo out);
/*
 * The terms that a change of what is attached adds, for one choice of states
 * of the inputs; sign +1 or -1.  Appends to out, after UNION ALL where needed.
 */
extern void pgt_delta_attachment_terms(const DeltaContext *context, const QueryBlock *block,
									   List *names, const InputState *states, int sign,
									   bool shared, const Bitmapset *changed,
									   StringInfo out, int *nterms);
/*
 * "(WITH ... ": in what follows, up to a closing parenthesis, terms may share the keys
 * whose marks may have flipped.
 */
extern void pgt_delta_begin_shared_flips(const DeltaContext *context, const QueryBlock *block,
										 List *names, StringInfo out);

/* union_all.c: blocks under UNION ALL */
extern void pgt_delta_current_blocks(const DeltaContext *context, List *blocks,
									 const BlockRestriction *restriction, StringInfo out);
extern void pgt_delta_change_blocks(const DeltaContext *context, List *blocks,
									const Bitmapset *changed, StringInfo out, int *nterms);
extern Bitmapset *pgt_delta_relevant_blocks(const DeltaContext *context, List *blocks,
											const Bitmapset *changed);

/* partition.c */
extern char *pgt_delta_partition_current(const DeltaContext *context, const Stage *stage);
extern char *pgt_delta_partition_recompute(const DeltaContext *context, const Stage *stage,
										   bool has_null);
extern char *pgt_delta_partition_keys(const DeltaContext *context, const Stage *stage,
									  const Bitmapset *changed, int *nterms);

/* limit.c */
extern char *pgt_delta_first_rows_change(const DeltaContext *context, const Stage *stage,
										 const Bitmapset *changed, int *nterms);

/* emit.c: blocks of a stage, restricted to its keys in PGT_DELTA_KEYS_NAME */
extern void pgt_delta_restricted_blocks(const DeltaContext *context, const Stage *stage,
										bool has_null, StringInfo out);

/* aggregate.c */
extern void pgt_delta_group_select(const Stage *stage, StringInfo out, bool change);
extern void pgt_delta_group_fence(const Stage *stage, StringInfo out);
extern void pgt_delta_group_clause(const Stage *stage, StringInfo out);

#endif							/* PGTRICKLE_DELTA_INTERNAL_H */
