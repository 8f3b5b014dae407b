/*-------------------------------------------------------------------------
 *
 * convert_internal.h
 *	  What the files that convert a Query to the intermediate representation
 *	  share.
 *
 * While a block is under construction, its expressions hold
 *
 *	Var, varno 1 .. n			column of input n of the block
 *	Var, varno PGT_ATTACHED(i)	column of what is attached i-th (LEFT)
 *	Param i						does attachment i match (EXISTS)
 *	Var, varlevelsup k			the same of the k-th outer block (see below)
 *
 * A part of a query that cannot share its parent's block (the nullable side
 * of an outer join, the body of EXISTS) is a block of its own that is exported
 * into its parent: a derived stage whose columns come into being as they are
 * referred to.  attach.c brings the result into the form of ir.h.
 *
 * IDENTIFICATION
 *	  src/query/convert_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CONVERT_INTERNAL_H
#define PGTRICKLE_CONVERT_INTERNAL_H

#include "query_internal.h"

#define PGT_ATTACHED_BASE	30000
/* A column that the stage does not have, for want of a type that can be stored. */
#define PGT_NO_COLUMN		20000
#define PGT_NO_ONLY \
	"Keep the rows of the parent in a child table of its own, and select from that; " OR_FULL
#define PGT_JOIN_INSTEAD \
	"Write the subquery as a join with a subquery in FROM that is grouped by what they are joined on; " OR_FULL
#define PGT_EQUALITY_INSTEAD \
	"Refer outwards by an equality of columns in its WHERE, or join first and group then; " OR_FULL
#define PGT_ATTACHED(i)		(PGT_ATTACHED_BASE + (i))

/* What the Vars of one range table entry stand for. */
typedef struct RteMap
{
	QueryBlock *block;			/* where the expressions below hold */
	int			input;			/* > 0: Var n -> Var input.n */
	Stage	   *copy;			/* that input is a kept copy: its columns have other numbers */
	List	   *exprs;			/* else: output expressions over the block */
	List	   *attnums;		/* which columns these are, 0 the whole row; NIL: 1 .. n */
	bool		mapped;
} RteMap;

/* A CTE converted once; each reference copies it. */
typedef struct CteBlock
{
	char	   *name;
	QueryBlock *block;
} CteBlock;

/* A subquery in an expression, and what it became: the same again is the same. */
typedef struct ConvertedSublink
{
	QueryBlock *block;
	SubLink    *sublink;
	Node	   *expr;
} ConvertedSublink;

typedef struct Scope
{
	struct Scope *parent;
	Query	   *query;
	RteMap	   *maps;			/* by range table index - 1 */
	QueryBlock *block;
	List	   *ctes;			/* of CteBlock * */
	List	   *sublinks;		/* of ConvertedSublink * */

	/* native.c: the level's block, as long as its FROM and WHERE are converted; what is left out of it */
	QueryBlock *native_block;
	List	   *native_joins;
	List	   *native_quals;
	List	   *native_values;	/* afterwards: subqueries and their columns */

	/* once the level is grouped: its Vars and Aggrefs, and what they became */
	bool		grouped;
	List	   *references;		/* as in the query, level 0 */
	List	   *substitutes;	/* over block */
} Scope;

typedef struct Conversion
{
	Definition *def;
	UnsupportedReason *reason;	/* first one; conversion stops */
	Node	   *construct;		/* outermost subquery being converted: SubLink, LATERAL RTE; outer join that failed */
	List	   *native;			/* of those: left to PostgreSQL, see native.c; or JoinExpr, see join_query.c */
	bool		follows_recursion;	/* see recursion.c: some WITH RECURSIVE has blocks for its terms */
	bool		follow_no_recursion;	/* none is to have them */
} Conversion;

/* convert.c */
/* The first reason counts.  hint: a rewrite. */
extern void pgt_convert_unsupported(Conversion *cv, const char *code, const char *message,
									const char *hint);
/* If conversion failed in the relation, or the view, or in a text that begins at the location: says so. */
extern void pgt_convert_place(Conversion *cv, Oid relid, Oid view, int location);
/* Column of the relation's input that shows its column. */
extern AttrNumber pgt_convert_input_column(RteMap *map, AttrNumber attnum);
/* The expression over scope->block. */
extern Node *pgt_convert_expr(Conversion *cv, Scope *scope, Node *node);
extern QueryBlock *pgt_convert_make_block(void);
/* Number of the input. */
extern int	pgt_convert_add_input(QueryBlock *block, Input *input);
/* Puts a copy of the block's inputs and quals into another one; its tlist over that. */
extern List *pgt_convert_merge_block(const QueryBlock *block, QueryBlock *into);
extern Scope *pgt_convert_make_scope(Query *query, Scope *parent, QueryBlock *block);
extern void pgt_convert_from(Conversion *cv, Scope *scope, Node *node);
/*
 * Groups what inner delivers: a new stage, which becomes an input of into.
 * Returns exprs rewritten over into.
 */
extern List *pgt_convert_add_group_stage(Conversion *cv, QueryBlock *inner, List *keys,
										 List *groupclause, List *exprs, QueryBlock *into);
/*
 * Adds the query to the block; returns its output columns as expressions over
 * the block's inputs.
 */
extern List *pgt_convert_query(Conversion *cv, Query *query, Scope *parent, QueryBlock *into);

/* attach.c */
/*
 * A block of its own for a part of a query, whose Vars of level k belong to
 * the k-th block outwards.
 */
extern QueryBlock *pgt_convert_make_inner_block(QueryBlock *outer);
/* Makes the block a derived stage, input or attachment `varno` of outer. */
extern void pgt_convert_export_as_input(Conversion *cv, QueryBlock *block, QueryBlock *outer);
/* quals: over outer, see pgt_convert_to_block.  Returns the number of the attachment. */
extern int	pgt_convert_attach(Conversion *cv, QueryBlock *block, QueryBlock *outer,
							   AttachmentKind kind);
/* Number of the block's column that shows the expression; added if there is none. */
extern AttrNumber pgt_convert_column_of(QueryBlock *block, Node *expr);
/* An expression over block as one over target, which block is exported into. */
extern Node *pgt_convert_to_block(Conversion *cv, Node *expr, QueryBlock *block,
								  QueryBlock *target);
/* Does the expression refer to columns of a block further out? */
extern bool pgt_convert_has_outer_reference(Node *node);
/* Does something in the blocks belong to a block further out? */
extern bool pgt_convert_refers_outwards(List *blocks);
/* Will the block be left as it is, with all its inputs, by what comes next? */
extern bool pgt_convert_stays_whole(QueryBlock *block);
/* After conversion: at most one attachment for each block, stages numbered anew. */
extern void pgt_convert_normalise(Conversion *cv);

/* What ANDs together, top-level subqueries included. */
extern List *pgt_convert_conjuncts(Conversion *cv, Scope *scope, Node *quals);

/* correlate.c */
/* Does an aggregate among the expressions have an argument from further out? */
extern bool pgt_convert_aggregate_refers_outwards(Node *node);
typedef struct Correlation Correlation;
/*
 * Takes conditions that equate something of the block to something outside
 * out of it: of Correlation *.  What is equated is added to keys and clauses.
 */
extern List *pgt_convert_take_correlation(QueryBlock *block, List **keys, List **clauses);
/* The conditions, once inner is grouped and its stage is input varno of a block. */
extern List *pgt_convert_correlated_quals(List *correlations, const QueryBlock *inner,
										  const Stage *stage, int varno);
/* The condition, over the block around inner, with what was equated as column there. */
extern Node *pgt_convert_correlated_qual(const Correlation *c, Node *column);
/*
 * rewritten, the same as exprs but over a stage; where there is no row of it (row_count is NULL), what exprs
 * give for no rows.
 */
extern List *pgt_convert_or_empty(Conversion *cv, List *exprs, List *rewritten, Node *row_count);

/* Number of the source, which is a new one if need be. */
extern int	pgt_convert_source_index(Conversion *cv, Oid relid);

/* kept_copies.c */
/* The stage that has the rows of a relation that is polled. */
extern Stage *pgt_convert_kept_copy(Conversion *cv, RangeTblEntry *rte);
extern AttrNumber pgt_convert_copied_column(Stage *stage, AttrNumber attnum);
extern void pgt_convert_finish_copies(Conversion *cv);
/* The relation is read by a text of the query itself: a reason if it is polled. */
extern void pgt_convert_refuse_polled(Conversion *cv, Oid relid);

/*
 * limit.c: exprs: one for each target list entry of the query, over *block.  Returns
 * them over a new *block.  nkeys: the limit holds for each
 * combination of the last nkeys of them, which the query is sorted by first.
 */
extern List *pgt_convert_limit(Conversion *cv, Query *query, QueryBlock **block, List *exprs,
							   int nkeys);

/* recursion.c */
/* Are rows of these columns that are equal the same bytes?  And few enough to be looked up by all of them. */
extern bool pgt_convert_has_exact_columns(List *types, List *collations);
/* Makes cte->block one with the columns of a recursive WITH query of the level */
extern void pgt_convert_recursion(Conversion *cv, Scope *scope, CommonTableExpr *expr, CteBlock *cte);

/* native.c */
/* Does the level itself contain subqueries left to PostgreSQL, all before grouping? */
extern bool pgt_convert_has_native(Conversion *cv, Query *query, bool grouped);
/* Are there such subqueries above grouping? */
extern bool pgt_convert_has_misplaced_native(Conversion *cv, Query *query);
/* Is there such a LATERAL subquery in the part of the join tree? */
extern bool pgt_convert_contains_native(Conversion *cv, Scope *scope, Node *join);
/* Is it one of them? */
extern bool pgt_convert_may_leave_join(Conversion *cv, Scope *scope, int rti);
/* If so, it is left out of the block. */
extern bool pgt_convert_native_join(Conversion *cv, Scope *scope, int rti, JoinType type,
									Node *quals);
extern bool pgt_convert_native_qual(Conversion *cv, Scope *scope, Node *qual);
/* Must the condition stay with the native subqueries of the level? */
extern bool pgt_convert_uses_native(Conversion *cv, Scope *scope, Node *qual);
/* The column with the subquery's value, or NULL. */
extern Node *pgt_convert_native_value(Scope *scope, SubLink *sublink);
extern void pgt_convert_native_stage(Conversion *cv, Scope *scope, QueryBlock *outer);

/* split_level.c */
typedef enum LevelPart
{
	PGT_NOT_SPLIT,
	PGT_UP_TO_GROUPS,
	PGT_UP_TO_WINDOWS,
	PGT_UP_TO_ORDER				/* DISTINCT ON, ORDER BY */
} LevelPart;

extern Query *pgt_convert_split_level(Query *query, LevelPart part);
extern LevelPart pgt_convert_part_below_sets(const Query *query);
/*
 * Are rows to be limited that differ only in what a set-returning function gives?  Then
 * they come in the order in which it gives them.
 */
extern bool pgt_convert_limits_sets(const Query *query);

/* join_query.c: part of a join tree, converted as a query of its own into scope->block */
/* What it is written as. */
extern void pgt_convert_join_as_subquery(Conversion *cv, Scope *scope, Node *join);
/* Does the level refer to the whole row of the entry? */
extern bool pgt_convert_refers_to_row(Scope *scope, int rti);
/* An outer join, as the inner one and the rows that match nothing. */
extern void pgt_convert_outer_join_as_union(Conversion *cv, Scope *scope, JoinExpr *join);

/* lateral.c */
/*
 * Takes correlation out of block, and makes what is equated further output
 * columns that the windows, DISTINCT, ORDER BY of the result are
 * partitioned by.  exprs: one for each target list entry; the new ones at the end.
 */
extern Query *pgt_convert_partition_by_outer(Query *query, QueryBlock *block, List **exprs,
											 List **correlations);
/* Whether the conditions on the outer row hold: over into, which columns are over. */
extern List *pgt_convert_outer_quals(List *correlations, List *columns);

/* They were equated to keys, which are these columns now. */
extern void pgt_convert_map_correlations(List *correlations, List *keys, List *columns);

/* distinct_aggregates.c */
/*
 * What to group instead of inner, so that no aggregate that can do without has a DISTINCT; keys, clauses,
 * expressions and correlations are changed to fit.
 */
extern QueryBlock *pgt_convert_split_distinct(Conversion *cv, QueryBlock *inner, List **keys,
											  List **clauses, List **exprs, List *correlations);

/* grouping_sets.c */
/* A copy of a query with grouping sets in whose select list and HAVING keys are told from the rest. */
extern Query *pgt_convert_mark_group_keys(Query *query);
extern Node *pgt_convert_mark_group_key(const Query *query, Node *node);
/*
 * As pgt_convert_add_group_stage, for a query with grouping sets; keys: one for each group clause;
 * exprs: marked as above.
 */
extern List *pgt_convert_add_grouping_sets(Conversion *cv, Query *query, QueryBlock *block,
										   List *keys, List *exprs, QueryBlock *into);

/* sublinks.c */
/* A subquery in an expression; the result is over scope->block. */
extern Node *pgt_convert_sublink(Conversion *cv, Scope *scope, SubLink *sublink);
/* If the condition, one of several that AND together, is a subquery: how it is tested there; or NIL. */
extern List *pgt_convert_sublink_conjunct(Conversion *cv, Scope *scope, Node *qual);
/*
 * Subqueries outside of aggregates in the select list and HAVING of a grouped
 * query are looked at after grouping: begin takes them out of the expressions,
 * end puts them back.
 */
typedef struct LateSublinks LateSublinks;
extern LateSublinks *pgt_convert_late_begin(Query *query);
extern Node *pgt_convert_late_take(LateSublinks *late, Node *node);
/* What they refer to, over scope->block: to be grouped along with the rest. */
extern List *pgt_convert_late_references(Conversion *cv, LateSublinks *late, Scope *scope);
/* scope->block is the grouped block now; rewritten: the references over it. */
extern Node *pgt_convert_late_put(Conversion *cv, LateSublinks *late, Scope *scope, Node *node);
/* from_items.c */
/* A function, VALUES list, ... becomes an input of scope->block; its columns over that. */
extern List *pgt_convert_item(Conversion *cv, Scope *scope, RangeTblEntry *rte);
/* The same for a subquery that reads no table and cannot be pulled up; false for others. */
extern bool pgt_convert_query_as_item(Conversion *cv, Query *query, Scope *parent,
									  QueryBlock *into, List **columns);
/* A subquery in an expression that reads no table, over scope->block. */
extern Node *pgt_convert_sublink_item(Conversion *cv, Scope *scope, SubLink *sublink);
/* A LEFT JOIN whose right side is an item; false for others. */
extern bool pgt_convert_left_join_item(Conversion *cv, Scope *scope, JoinExpr *join);
/*
 * exprs over the block, those that return sets replaced by columns of an item,
 * which is added to the block.  number: a further column counts the rows of the item.
 */
extern List *pgt_convert_set_returning(List *exprs, QueryBlock *into, bool number);
/* The same for grouping keys; what is equal to one in *exprs is replaced, too. */
extern List *pgt_convert_set_returning_keys(List *keys, List **exprs, QueryBlock *block);

/* count rows for each row of the block. */
extern void pgt_convert_add_series(QueryBlock *block, Node *count);

/* set_operations.c */
/* What a branch delivers, with the type and collation of the operation. */
extern Expr *pgt_convert_as_column(Node *expr, Oid type, Oid collation);
/* INTERSECT or EXCEPT of rows, in whose last column is whether they are of the left side. */
extern List *pgt_convert_counted_sides(Conversion *cv, SetOperationStmt *op, List *blocks,
									   QueryBlock *into);
extern List *pgt_convert_set_operations(Conversion *cv, Query *query, Scope *parent,
										QueryBlock *into);

/* outer_join.c */
extern void pgt_convert_outer_join(Conversion *cv, Scope *scope, JoinExpr *join);
/* Range table indexes of a part of the join tree, the joins' own included. */
extern Bitmapset *pgt_convert_rtindexes(Node *node);

/* ---- whole_rows.c ---- */

/* A row of the relation as a constructor over what it is mapped to. */
extern Node *pgt_convert_whole_row(Conversion *cv, const Var *var, RangeTblEntry *rte, RteMap *map);
/* Makes the row that is asked whether it is NULL one without dropped columns. */
extern void pgt_convert_leave_out_dropped(RowExpr *row);

#endif							/* PGTRICKLE_CONVERT_INTERNAL_H */
