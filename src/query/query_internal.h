/*-------------------------------------------------------------------------
 *
 * query_internal.h
 *	  What the files of the query module share.
 *
 * IDENTIFICATION
 *	  src/query/query_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_QUERY_INTERNAL_H
#define PGTRICKLE_QUERY_INTERNAL_H

#include "nodes/pathnodes.h"
#include "pgtrickle/ir.h"
#include "pgtrickle/query.h"

/* analyze.c: what a rewritten query reads, of SourceUse * */
extern List *pgt_query_collect_sources(Query *rewritten);

/* parse.c: error positions refer to this text, not to the client's statement. */
typedef struct QueryTextContext
{
	const char *sql;
	void	   *callback;		/* ErrorContextCallback */
} QueryTextContext;

/* obstacles.c: everything that stands against a mode, as UnsupportedReason *. */
extern List *pgt_query_find_obstacles(Query *rewritten, Query *original);

/* The end of hints, after a rewrite. */
#define OR_FULL "or use refresh mode FULL, or AUTO, which then recomputes."

/* places.c */
/* The view whose query the entry is, expanded by the rewriter; or InvalidOid. */
extern Oid	pgt_query_view_of(const RangeTblEntry *rte);
/* The reason is in the text of the view; inner views first. */
extern void pgt_query_reason_in_view(UnsupportedReason *reason, Oid view);
extern int	pgt_query_place_of_level(Query *query);
/* Completes the places, in this text; NULL or empty: it is not known. */
extern void pgt_query_place_reasons(List *reasons, Query *rewritten, const char *sql);

/* functions.c: volatile and unpinned stable functions below a node; appends to *reasons. */
extern void pgt_query_check_functions(Node *node, List **reasons);

/*
 * keys.c: does the block give no more than one row, for each choice of what it
 * refers to outside?
 */
extern bool pgt_query_at_most_one_row(const QueryBlock *block, const Definition *def);

/*
 * functions.c: does the result depend on nothing but the rows of the tables
 * that the rewritten query reads, and on settings that are pinned?
 */
extern bool pgt_query_is_determined(Query *rewritten);

/* convert.c: NULL and *reason set when the IR cannot express the query. */
extern Definition *pgt_query_convert(Query *rewritten, List *columns,
									 UnsupportedReason **reason);

/* from_items.c: its rows depend on nothing but what it refers to outside */
extern bool pgt_query_reads_nothing(Query *query);

/* aggregates.c */
/*
 * Makes a GROUP stage over block, which delivers nothing yet.  keys: key
 * expressions; groupclause: SortGroupClause for each.  exprs: expressions
 * over the block that contain Aggrefs; returned rewritten to Vars of input
 * number `input` (the stage as seen by its consumer).
 */
extern Stage *pgt_query_make_group_stage(int stageno, QueryBlock *block, List *keys,
										 List *groupclause, List *exprs, int input,
										 List **rewritten, UnsupportedReason **reason);

/* convert.c: a block that only passes on one UNION input is that input's blocks. */
extern List *pgt_query_block_as_union(QueryBlock *block);

/* partition.c: stages that recompute a query partition by partition */
extern QueryBlock *pgt_query_make_block(void);
/* The expression over columns of the block, which are added as needed. */
extern Node *pgt_query_over_block(Node *node, QueryBlock *block);
/* The expression itself as a column of the block. */
extern Node *pgt_query_block_var(Node *expr, QueryBlock *block);
extern List *pgt_query_partition_keys(List *exprs);
extern List *pgt_query_clause_exprs(List *clauses, List *targetlist, List *exprs);
extern bool pgt_query_clause_uses(List *clauses, const TargetEntry *tle);
extern Query *pgt_query_make_top(void);
extern void pgt_query_add_top_column(Query *top, Expr *expr, Index sortgroupref, bool junk);
extern Stage *pgt_query_add_partition_stage(Definition *def, QueryBlock *block, int nkeys,
											Query *top, const char *operation,
											UnsupportedReason **reason);
/* One that top computes by itself; block only says what it reads. */
extern Stage *pgt_query_add_native_stage(Definition *def, QueryBlock *block, Query *top,
										 const char *operation, UnsupportedReason **reason);
extern List *pgt_query_partition_row_keys(const Stage *stage, const Definition *def);
extern QueryBlock *pgt_query_block_over_stage(const Stage *stage);
extern Expr *pgt_query_stage_var(const Stage *stage, int column);

/* windows.c, distinct_on.c, limit.c: see there */
extern List *pgt_query_add_window_stages(Definition *def, Query *query, QueryBlock **block,
										 List *exprs, UnsupportedReason **reason);
extern List *pgt_query_add_distinct_on_stage(Definition *def, Query *query, QueryBlock **block,
											 List *exprs, UnsupportedReason **reason);
extern bool pgt_query_has_limit(const Query *query);

/* Columns that exprs show though they are no keys: they depend on the keys. */
extern List *pgt_query_dependent_columns(List *keys, List *exprs);

/* unnameable.c: does its text not mean the same with search_path pinned? */
extern bool pgt_query_is_unnameable(Query *query);

/* numeric_scale.c: do all values of the expression show the same number of decimals? */
extern bool pgt_query_has_fixed_scale(Expr *expr);

/* keys.c: columns of a block's output that are a unique key of it; NIL if none is known. */
extern List *pgt_query_find_row_keys(const QueryBlock *block, const Definition *def);

/* rewritten copy of an analysed query: views expanded, row security applied */
extern Query *pgt_query_rewrite(const Query *query);

#endif							/* PGTRICKLE_QUERY_INTERNAL_H */
