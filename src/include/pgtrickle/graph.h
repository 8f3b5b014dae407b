/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  The dependency graph of the catalog, and cycles in it.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/graph.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_GRAPH_H
#define PGTRICKLE_GRAPH_H

#include "pgtrickle/catalog.h"
#include "pgtrickle/dag.h"
#include "pgtrickle/query.h"

/*
 * Nodes 0 .. ntables-1 are the stream tables, in the order of their ids; base
 * tables and others that they read follow.
 */
typedef struct CatalogGraph
{
	int			nnodes;
	int			ntables;
	Oid		   *relids;			/* by node */
	StreamTable **tables;		/* by node; NULL: no stream table */
	Dag		   *dag;
} CatalogGraph;

/* graph.c */
extern CatalogGraph *pgt_graph_load(void);
/*
 * The diamonds of a group are all or nothing if that is asked for where one of them
 * ends; by default it is.  They wait for the slowest member if that is asked for there.
 */
extern bool pgt_graph_is_atomic(const CatalogGraph *graph, const DagAnalysis *a, int group);
extern bool pgt_graph_is_slowest(const CatalogGraph *graph, const DagAnalysis *a, int group);

/* cycle.c */

/* downgrade_code of the members of cycles */
#define PGT_CYCLE_CODE	"cycle"

extern bool pgt_cycle_is_member(const StreamTable *st);
/* The cycle of a stream table, itself included, of StreamTable *, by id; NIL: in none. */
extern List *pgt_cycle_members(const StreamTable *st);
/*
 * After the definition of one has changed: those that have come into a
 * cycle, or out of it, are defined anew.
 */
extern void pgt_cycle_update_members(int64 except);

#endif							/* PGTRICKLE_GRAPH_H */
