/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Defining queries: parsing, checking, what can be maintained and why not.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/query.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_QUERY_H
#define PGTRICKLE_QUERY_H

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "pgtrickle/types.h"

struct Definition;
struct QueryBlock;

/* A base relation or stream table that the query reads, and how. */
typedef struct SourceUse
{
	Oid			relid;
	bool		is_stream_table;
	bool		polled;			/* not captured: compared with a copy by each refresh */
	Bitmapset  *columns;		/* attnums used, all > 0; at least one */
} SourceUse;

typedef struct QueryAnalysis
{
	Query	   *query;			/* as analysed, not rewritten: what the view stores */
	List	   *columns;		/* of ColumnDef *: the stream table's columns */
	List	   *sources;		/* of SourceUse *, distinct, views expanded */
	bool		determined;		/* by the content of its sources alone */
	UnsupportedReason *refused; /* not NULL: no mode can serve it */
	UnsupportedReason *not_differential;	/* not NULL: FULL only, and why */
	struct Definition *definition;	/* IR (see ir.h); NULL unless differential */
} QueryAnalysis;

/*
 * Parses exactly one SELECT (WITH, VALUES, set operations included) and
 * analyses it under the caller's search_path and rights.  ERROR with position
 * for syntax errors, several statements, other statements, SELECT INTO,
 * parameters, data-modifying CTEs, FOR UPDATE.
 */
extern Query *pgt_query_parse(const char *sql);

/* Never raises for what is merely unsupported: see the reasons in the result. */
extern QueryAnalysis *pgt_query_analyze(Query *query, const char *sql);

/* The analysed query of an existing stream table: its hidden view's. */
extern Query *pgt_query_of_view(Oid viewid);

/*
 * Does the query, or a view that it reads, refer to a whole row of the
 * relation?  Then its result may contain the names of the columns.
 */
extern bool pgt_query_uses_whole_row(Query *query, Oid relid);

/*
 * Text that changes whenever the layout of the stored state would: recorded
 * as Dependency.signature of each source, compared at each re-analysis.
 */
extern char *pgt_query_fingerprint(const QueryAnalysis *analysis);

/*
 * Can values of the type be sorted, and found by a btree index?  A row, or an array, only
 * if its columns, or elements, can.  partition.c
 */
extern bool pgt_query_is_sortable(Oid type);

/* true if the expression cannot be NULL in a row of the block */
extern bool pgt_query_is_not_null(Expr *expr, const struct QueryBlock *block);

/*
 * kept_copies.c: can changes of the relation not be captured, and is the setting on by which
 * refreshes compare it with a copy then?
 */
extern bool pgt_query_is_polled(Oid relid);
/* Name of that setting, and what the relation is, in words. */
extern const char *pgt_query_polling_setting(Oid relid);
extern char *pgt_query_polled_kind(Oid relid);
extern const char *pgt_query_polled_when(Oid relid);

/* monotone.c: why the query cannot be part of a cycle of these stream tables (OIDs); NULL: it can. */
extern UnsupportedReason *pgt_query_find_non_monotone(Query *query, List *members);

/* All obstacles to differential maintenance, of UnsupportedReason *, for validate_query(). */
extern List *pgt_query_obstacles(Query *query, const char *sql);

#endif							/* PGTRICKLE_QUERY_H */
