/*-------------------------------------------------------------------------
 *
 * ir.h
 *	  Intermediate representation of a defining query: stages, blocks, inputs.
 *
 * A defining query is cut at every non-linear operator into stages.  A stage
 * is a UNION ALL of blocks under one head.  A block is linear in each of its
 * inputs (select-project-join), so that its delta is a sum of flat joins; the head
 * (rows, or groups) has stored state.  Stages are numbered in dependency order;
 * the rows of an inner stage live in a hidden stage table, those of the last
 * stage in the stream table.
 *
 * Expressions are analysed PostgreSQL expression trees.  In a block, a Var's
 * varno is the number of an input (from 1, in list order) and varattno a
 * column of it: an attribute of the relation, an attribute of the stage
 * table, or the position in the output of a union or derived stage.  The
 * attached input comes after the inputs; PARAM_EXTERN 1 says whether the
 * attachment EXISTS has a match.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/ir.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_IR_H
#define PGTRICKLE_IR_H

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "pgtrickle/apply.h"
#include "pgtrickle/types.h"

typedef enum InputKind
{
	PGT_INPUT_RELATION,			/* base table or stream table */
	PGT_INPUT_STAGE,			/* an earlier stage of this definition */
	PGT_INPUT_UNION,			/* UNION ALL of blocks */
	PGT_INPUT_ITEM				/* function, VALUES list, ... over columns of inputs before it */
} InputKind;

typedef struct Input
{
	InputKind	kind;
	Oid			relid;			/* RELATION */
	bool		inh;			/* RELATION: false for ONLY */
	int			source;			/* RELATION: index into Definition.sources */
	int			stageno;		/* STAGE */
	struct Stage *stage;		/* STAGE: used while the query is converted */
	List	   *blocks;			/* UNION: of QueryBlock *, same number of columns */

	/*
	 * ITEM: an entry of kind FUNCTION, TABLEFUNC, VALUES, or SUBQUERY that reads
	 * no table; its columns are c1 .. cn.  Its rows depend on nothing but the
	 * arguments: it has no change of its own.  A Var 1.i in it, of the level
	 * around it, stands for argument i.
	 */
	RangeTblEntry *item;
	List	   *args;			/* of Expr *, over the block */
	bool		outer;			/* a row of NULLs if no row of it meets on: LEFT JOIN */
	List	   *on;				/* of Expr *, over the block, implicitly ANDed */
	Bitmapset  *used;			/* columns that the block refers to */
} Input;

/*
 * Something beside the join of the inputs that is looked at for each of its
 * rows.  LEFT: rows that match are joined to it, or else NULLs.  EXISTS: is
 * there a row that matches?  Not linear: see delta/attachment.c.
 */
typedef enum AttachmentKind
{
	PGT_ATTACH_LEFT,
	PGT_ATTACH_EXISTS
} AttachmentKind;

typedef struct Attachment
{
	AttachmentKind kind;
	Input	   *input;			/* RELATION or STAGE; its Vars: varno = number of inputs + 1 */
	List	   *quals;			/* of Expr *, implicitly ANDed: when does a row match? */
} Attachment;

typedef struct QueryBlock
{
	List	   *inputs;			/* of Input * */
	List	   *attachments;	/* of Attachment *: none or one */
	List	   *quals;			/* of Expr *, implicitly ANDed */
	List	   *tlist;			/* of Expr *, the output columns */

	/* only while the query is converted: see query/convert_internal.h */
	struct QueryBlock *outer;	/* what Vars of level 1 refer to */
	struct QueryBlock *exported_to;	/* this block is a derived stage, and a part of that one */
	int			exported_as;	/* varno there */
	struct Stage *exported_stage;
	bool		is_full_join;	/* two inputs; attachments none; quals are the join's */
} QueryBlock;

/* Input number varno, the attached one included. */
static inline Input *
pgt_block_input(const QueryBlock *block, int varno)
{
	if (varno > list_length(block->inputs))
		return ((Attachment *) linitial(block->attachments))->input;
	return (Input *) list_nth(block->inputs, varno - 1);
}

/* A condition that a table's row must meet, with a row of a block, to matter for that one. */
typedef struct Probe
{
	AttrNumber	column;			/* of the table */
	int			block_column;
	Expr	   *qual;			/* an equality of these two */
	int			side;			/* which of its arguments the table's column is */
} Probe;

/* Something that the rows of a stage are sorted by. */
typedef struct SortColumn
{
	int			block_column;
	int			column;			/* of the stage */
	Oid			sortop;			/* "comes before" */
	Oid			eqop;
	bool		nulls_first;
} SortColumn;

typedef enum StageHead
{
	PGT_HEAD_ROWS,				/* the rows of the blocks */
	PGT_HEAD_GROUP,				/* grouped by the first nkeys columns */
	PGT_HEAD_PARTITION			/* a query over the rows, partition by partition */
} StageHead;

#define PGT_TOP_INPUT	"b"		/* name of the rows below, in the text of a top query */

/* A column of a stage table, in attnum order from 1. */
typedef struct StageColumn
{
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
} StageColumn;

/* A group state: see GroupStateKind in apply.h for the meaning of the kinds. */
typedef struct StateSpec
{
	GroupStateKind kind;
	AttrNumber	attnum;			/* in the stage table */
	AttrNumber	count_attnum;
	int			argument;		/* column of the blocks that is aggregated; 0: none */
	int			filter;			/* boolean column of the blocks; 0: none */
	bool		square;			/* SUM_NUMERIC of the square of the argument */
	bool		if_true;		/* COUNT of true values only */
	Aggref	   *aggref;			/* RESCAN: arguments are Vars 1.<block column> */
} StateSpec;

/* A stored column computed from others: SQL over the stage table's column names. */
typedef struct FinalSpec
{
	AttrNumber	attnum;
	char	   *sql;
} FinalSpec;

typedef struct Stage
{
	int			number;			/* from 0 */
	List	   *blocks;			/* of QueryBlock * */
	StageHead	head;
	List	   *columns;		/* of StageColumn *: stage table (GROUP, PARTITION) or stream table (ROWS) */

	/*
	 * ROWS, not the last stage: nothing is stored.  Statements that read its
	 * content have its blocks as a subquery, with columns c1 .. cn; its change
	 * is computed once.
	 */
	bool		derived;

	/* GROUP: blocks deliver keys, then the columns that states refer to */
	int			nkeys;
	Oid		   *key_eq;			/* equality operators, by key */
	Oid		   *key_collations;
	List	   *states;			/* of StateSpec * */
	List	   *finals;			/* of FinalSpec * */
	AttrNumber	row_count;

	/*
	 * PARTITION: what top makes of the rows of the blocks.  top is a query over
	 * one range table entry, named PGT_TOP_INPUT, with the columns of the
	 * blocks, of which the first nkeys are the keys: rows that differ in one of
	 * them do not meet in it, so that a change is confined to its partitions.
	 * Its output is the stage's columns, key_columns[i] of which shows key i.
	 */
	Query	   *top;
	bool		native;			/* top reads the sources itself; the one block only names them */
	Oid			copy_of;		/* native: the rows of this relation, which is compared by each refresh */
	AttrNumber *key_columns;

	/*
	 * Subqueries in top read these tables by themselves: the inputs of watched.
	 * probes (of Probe *, NULL for none) say for each of them how its changed rows
	 * lead to rows of the block; where none does, a change reaches them all.
	 */
	QueryBlock *watched;
	List	   *probes;
	bool		multiplies;		/* a row of the blocks may give several */

	/*
	 * PARTITION: WITH RECURSIVE, the last block the recursive term, which reads this stage once,
	 * as an input, and the others the first term.  Under UNION (is_union) rows are there once, and
	 * equal ones are the same bytes; under UNION ALL the last column of the stage, which
	 * nothing else refers to, is the depth at which a row was derived.
	 */
	bool		recursive;
	bool		is_union;

	/*
	 * Without keys, but the first limit_rows rows in some order (of SortColumn *), with
	 * all that tie with the last one if so asked: top only projects the block's columns
	 * and sorts.  NIL: not so.
	 */
	List	   *order;
	int64		limit_rows;
	bool		with_ties;
	bool		one_per_key;	/* there is at most one row for each combination of keys */
	const char *operation;		/* what top does, in words */
	const char *whole_because;	/* why a change recomputes all of it; NULL: see explain.c */

	/*
	 * ROWS: columns (attnums of the stream table, if it is it) that are unique; NIL: bag.
	 * PARTITION: the same, of the stage's columns.
	 */
	List	   *row_keys;

	/*
	 * ROWS over exactly one GROUP or PARTITION stage and nothing else: computed in C from
	 * that stage's changed rows (block 1 has one STAGE input).
	 */
	bool		is_map;

	/*
	 * GROUP, PARTITION: the stream table itself holds the state (elided[i] = attnum in
	 * the stream table of stage column i + 1); there is no stage table and no
	 * ROWS stage then.
	 */
	AttrNumber *elided;
} Stage;

typedef struct Definition
{
	List	   *sources;		/* of SourceUse * (query.h), ascending OID */
	List	   *stages;			/* of Stage *, in dependency order */
	char	   *weight_name;	/* name of the weight column, free in all sources */
	bool		consolidate;	/* some state's merge needs net changes: see group_merge.c */
} Definition;

/* ---- ir.c: expressions ---- */

/* Stands for "attachment number i matches". */
extern Param *pgt_ir_make_mark(int number);
/* Copies of the list, with the Vars of one input changed: number, expression, NULL. */
extern List *pgt_ir_renumber(List *exprs, int varno, int new_varno);
extern List *pgt_ir_replace(List *exprs, int varno, List *by);
extern List *pgt_ir_nullify(List *exprs, int varno);
/* A NULL for each, of its type and collation. */
extern List *pgt_ir_nulls(List *exprs);
/*
 * Is the operator an equality that values equal by the own equality of the
 * type of inner, one of its sides, cannot tell apart?
 */
extern bool pgt_ir_is_groupable_equality(OpExpr *op, Node *inner);
/* The item with its arguments in place, over the block. */
extern RangeTblEntry *pgt_ir_item_entry(const Input *input);

#endif							/* PGTRICKLE_IR_H */
