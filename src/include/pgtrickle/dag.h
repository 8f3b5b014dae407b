/*-------------------------------------------------------------------------
 *
 * dag.h
 *	  Dependency graph of stream tables: plain data in and out, no SQL.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/dag.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DAG_H
#define PGTRICKLE_DAG_H

#include "postgres_ext.h"

/*
 * Graph over nodes 0 .. n-1 (callers map them to relations); an edge goes from
 * a source to what reads it.  Built with add_edge, then queried.
 */
typedef struct Dag Dag;

extern Dag *pgt_dag_create(int nnodes);
extern void pgt_dag_add_edge(Dag *dag, int from, int to);
/* The readers of a node, one by one: *edge is -1 at first; -1 when there is no more. */
extern int	pgt_dag_next_reader(const Dag *dag, int node, int *edge);
/* Topological order in order[]; false if there is a cycle. */
extern bool pgt_dag_topological_order(Dag *dag, int *order);
/* One cycle through the graph as node numbers; length 0 if there is none. */
extern int	pgt_dag_find_cycle(Dag *dag, int *cycle);
/* Would the edge from -> to close a cycle?  path: nodes to ... from, length returned (0: no). */
extern int	pgt_dag_find_path(Dag *dag, int from, int to, int *path);
/* level[i] = length of the longest path that ends in i. */
extern void pgt_dag_levels(Dag *dag, int *level);
extern void pgt_dag_free(Dag *dag);

/*
 * What a scheduler wants to know of a graph, cycles and diamonds included.
 *
 * Components (strongly connected: two nodes that reach each other are in the same
 * one) are numbered from 0 in topological order.  Walking order[] from start to
 * end meets sources before what reads them, and the nodes of a component, and of
 * a level, one after the other; in a level, components come in the order of their
 * first nodes.  Level l+1 reads from levels 0 .. l
 * only (but for edges inside of a component), so nodes of one level that are
 * in different components are independent of each other.
 *
 * Diamonds: if two paths from a node to another have only their ends in common, all
 * on them but the start are to be consistent with one another.  Diamonds that
 * have a node in common make one group.  Groups are numbered in the order of
 * their first members in order[].  Base tables, which nothing leads to, are never
 * members, so they may be nodes of the graph, and must be for diamonds that
 * begin there to be seen.
 */
typedef struct DagAnalysis
{
	int			nnodes;
	int			ncomponents;
	int			nlevels;
	int			ngroups;		/* diamond groups */
	int		   *component;		/* by node */
	int		   *level;			/* by node; the same in all of a component */
	int		   *group;			/* by node; -1: in no diamond */
	bool	   *convergence;	/* by node: paths of a diamond meet there */
	int		   *order;			/* nodes by level, component, number */
	int		   *component_size; /* by component: number of nodes */
	bool	   *cyclic;			/* by component: several nodes, or one that reads itself */
} DagAnalysis;

/* In the current memory context; pgt_dag_analysis_free() or a reset frees it. */
extern DagAnalysis *pgt_dag_analyze(Dag *dag);
extern void pgt_dag_analysis_free(DagAnalysis *a);

#endif							/* PGTRICKLE_DAG_H */
