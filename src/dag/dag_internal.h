/*-------------------------------------------------------------------------
 *
 * dag_internal.h
 *	  What the files of the dependency graph share.
 *
 * IDENTIFICATION
 *	  src/dag/dag_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DAG_INTERNAL_H
#define PGTRICKLE_DAG_INTERNAL_H

#include "utils/memutils.h"

#include "pgtrickle/dag.h"

typedef struct DagEdge
{
	int			to;
	int			next;			/* next edge of the same start, or -1 */
} DagEdge;

struct Dag
{
	MemoryContext context;		/* holds everything, this struct included */
	int			nnodes;
	int			nedges;
	int			maxedges;
	int		   *head;			/* first edge of a node, or -1 */
	int		   *tail;			/* last edge, so that lists keep their order */
	int		   *indegree;
	DagEdge    *edges;
};

/* dag.c: room for n ints, n may be 0 */
extern int *pgt_dag_alloc_ints(MemoryContext context, Size n);
/* the same, all of them value */
extern int *pgt_dag_alloc_filled(MemoryContext context, Size n, int value);

/* components.c: fills a->component, component_size, cyclic, ncomponents */
extern void pgt_dag_find_components(Dag *dag, DagAnalysis *a);

/*
 * The graph of components: edges without repetitions and without those from a component to
 * itself, both ways, in one array each: edges of node i are at start[i] ..
 * start[i + 1] - 1.  Node numbers are a topological order.
 */
typedef struct Condensed
{
	int			nnodes;
	int			nedges;
	int		   *out_start;
	int		   *out_to;
	int		   *in_start;
	int		   *in_from;
	int		   *in_edge;		/* position of the same edge in out_to */
} Condensed;

extern Condensed *pgt_dag_condense(Dag *dag, const DagAnalysis *a);

/*
 * diamonds.c: group[i] (-1: none) and convergence[i] of all nodes; groups are
 * numbered in any way.  Works in the current memory context.
 */
extern void pgt_dag_find_diamonds(const Condensed *graph, int *group, bool *convergence);

#endif							/* PGTRICKLE_DAG_INTERNAL_H */
