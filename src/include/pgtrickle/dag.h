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
/* Topological order in order[]; false if there is a cycle. */
extern bool pgt_dag_topological_order(Dag *dag, int *order);
/* One cycle through the graph as node numbers; length 0 if there is none. */
extern int	pgt_dag_find_cycle(Dag *dag, int *cycle);
/* Would the edge from -> to close a cycle?  path: nodes to ... from, length returned (0: no). */
extern int	pgt_dag_find_path(Dag *dag, int from, int to, int *path);
/* level[i] = length of the longest path that ends in i. */
extern void pgt_dag_levels(Dag *dag, int *level);
extern void pgt_dag_free(Dag *dag);

#endif							/* PGTRICKLE_DAG_H */
