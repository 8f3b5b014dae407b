/*-------------------------------------------------------------------------
 *
 * dag.c
 *	  Dependency graph of stream tables.
 *
 * Cycles as a whole are in components.c, diamonds in diamonds.c.
 *
 * Nodes are numbers; edges are kept as chained adjacency lists in one growing
 * array, so that building and each question cost O(V + E) time and memory.
 * Nothing recurses: a chain of many thousand stream tables needs no more stack
 * than a short one.
 *
 * The order is Kahn's: nodes without unvisited predecessors, smallest number
 * first among those that became ready together, hence the same for the same
 * input.  Duplicate edges are harmless; an edge from a node to itself is a
 * cycle of length one.
 *
 * IDENTIFICATION
 *	  src/dag/dag.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dag_internal.h"

static void *
alloc_array(MemoryContext context, Size n, Size size)
{
	return MemoryContextAllocHuge(context, Max(n, 1) * size);
}

int *
pgt_dag_alloc_ints(MemoryContext context, Size n)
{
	return alloc_array(context, n, sizeof(int));
}

int *
pgt_dag_alloc_filled(MemoryContext context, Size n, int value)
{
	int		   *array = pgt_dag_alloc_ints(context, n);

	for (Size i = 0; i < n; i++)
		array[i] = value;
	return array;
}

/* An empty graph in a child of the current memory context. */
Dag *
pgt_dag_create(int nnodes)
{
	MemoryContext context;
	Dag		   *dag;
	int			i;

	Assert(nnodes >= 0);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"pg_trickle dependency graph",
									ALLOCSET_DEFAULT_SIZES);
	dag = MemoryContextAllocZero(context, sizeof(Dag));
	dag->context = context;
	dag->nnodes = nnodes;
	dag->maxedges = Max(nnodes, 16);
	dag->head = alloc_array(context, nnodes, sizeof(int));
	dag->tail = alloc_array(context, nnodes, sizeof(int));
	dag->indegree = alloc_array(context, nnodes, sizeof(int));
	dag->edges = alloc_array(context, dag->maxedges, sizeof(DagEdge));
	for (i = 0; i < nnodes; i++)
	{
		dag->head[i] = dag->tail[i] = -1;
		dag->indegree[i] = 0;
	}
	return dag;
}

void
pgt_dag_add_edge(Dag *dag, int from, int to)
{
	int			e = dag->nedges;

	Assert(from >= 0 && from < dag->nnodes);
	Assert(to >= 0 && to < dag->nnodes);

	if (e >= dag->maxedges)
	{
		dag->maxedges *= 2;
		dag->edges = repalloc_huge(dag->edges,
								   (Size) dag->maxedges * sizeof(DagEdge));
	}
	dag->edges[e].to = to;
	dag->edges[e].next = -1;
	if (dag->tail[from] < 0)
		dag->head[from] = e;
	else
		dag->edges[dag->tail[from]].next = e;
	dag->tail[from] = e;
	dag->indegree[to]++;
	dag->nedges++;
}

int
pgt_dag_next_reader(const Dag *dag, int node, int *edge)
{
	*edge = *edge < 0 ? dag->head[node] : dag->edges[*edge].next;
	return *edge < 0 ? -1 : dag->edges[*edge].to;
}

/*
 * Kahn's algorithm.  Fills order[] with the nodes that have no cycle among
 * their ancestors and returns how many there are; if missing is not NULL it
 * gets, per node, the number of predecessors that were not reached.
 */
static int
peel_nodes(Dag *dag, int *order, int *missing)
{
	int			ndone = 0;
	int			nready = 0;
	int			i;

	memcpy(missing, dag->indegree, dag->nnodes * sizeof(int));
	for (i = 0; i < dag->nnodes; i++)
	{
		if (missing[i] == 0)
			order[nready++] = i;
	}
	/* order[] is result and queue at once: done nodes, then ready ones */
	while (ndone < nready)
	{
		int			node = order[ndone++];
		int			e;

		for (e = dag->head[node]; e >= 0; e = dag->edges[e].next)
		{
			int			to = dag->edges[e].to;

			if (--missing[to] == 0)
				order[nready++] = to;
		}
	}
	return ndone;
}

/*
 * Sources before what reads them.  order[] has room for all nodes; it is
 * complete only if the result is true, i.e. there is no cycle.
 */
bool
pgt_dag_topological_order(Dag *dag, int *order)
{
	int		   *missing = alloc_array(dag->context, dag->nnodes, sizeof(int));
	int			n = peel_nodes(dag, order, missing);

	pfree(missing);
	return n == dag->nnodes;
}

/*
 * One cycle: cycle[0] -> cycle[1] -> ... -> cycle[0].  Returns its length, 0
 * if there is none.
 *
 * A node that was not peeled off has a predecessor that was not either, so
 * that walking backwards among them must come round.
 */
int
pgt_dag_find_cycle(Dag *dag, int *cycle)
{
	int			n = dag->nnodes;
	int		   *order = alloc_array(dag->context, n, sizeof(int));
	int		   *missing = alloc_array(dag->context, n, sizeof(int));
	int		   *before = alloc_array(dag->context, n, sizeof(int));
	int		   *seen_at = alloc_array(dag->context, n, sizeof(int));
	int			length = 0;
	int			node = -1;
	int			i;

	if (peel_nodes(dag, order, missing) < n)
	{
		/* some unpeeled predecessor of each unpeeled node */
		for (i = 0; i < n; i++)
			before[i] = seen_at[i] = -1;
		for (i = n - 1; i >= 0; i--)
		{
			int			e;

			if (missing[i] == 0)
				continue;
			node = i;
			for (e = dag->head[i]; e >= 0; e = dag->edges[e].next)
				before[dag->edges[e].to] = i;
		}

		/* walk back until a node comes again; order[] serves as the path */
		for (i = 0; seen_at[node] < 0; i++)
		{
			seen_at[node] = i;
			order[i] = node;
			node = before[node];
			Assert(node >= 0);
		}
		/* the path was walked against the edges */
		length = i - seen_at[node];
		while (--i >= seen_at[node])
			*cycle++ = order[i];
	}

	pfree(order);
	pfree(missing);
	pfree(before);
	pfree(seen_at);
	return length;
}

/*
 * Would an edge from -> to close a cycle?  If so, path is the shortest way
 * that the graph already has from "to" to "from", both included, and its
 * length in nodes is returned; else 0.
 */
int
pgt_dag_find_path(Dag *dag, int from, int to, int *path)
{
	int			n = dag->nnodes;
	int		   *queue = alloc_array(dag->context, n, sizeof(int));
	int		   *parent = alloc_array(dag->context, n, sizeof(int));
	int			nqueued = 0;
	int			next = 0;
	int			length = 0;
	int			i;

	Assert(from >= 0 && from < n && to >= 0 && to < n);

	for (i = 0; i < n; i++)
		parent[i] = -1;
	parent[to] = to;
	queue[nqueued++] = to;
	while (next < nqueued && parent[from] < 0)
	{
		int			node = queue[next++];
		int			e;

		for (e = dag->head[node]; e >= 0; e = dag->edges[e].next)
		{
			int			succ = dag->edges[e].to;

			if (parent[succ] < 0)
			{
				parent[succ] = node;
				queue[nqueued++] = succ;
			}
		}
	}

	if (parent[from] >= 0)
	{
		int			node;

		for (node = from, length = 1; node != to; node = parent[node])
			length++;
		for (node = from, i = length - 1; i >= 0; node = parent[node], i--)
			path[i] = node;
	}

	pfree(queue);
	pfree(parent);
	return length;
}

/*
 * level[i] = number of edges of the longest path that ends in i; -1 for nodes
 * on a cycle or behind one.
 */
void
pgt_dag_levels(Dag *dag, int *level)
{
	int			n = dag->nnodes;
	int		   *order = alloc_array(dag->context, n, sizeof(int));
	int		   *missing = alloc_array(dag->context, n, sizeof(int));
	int			npeeled = peel_nodes(dag, order, missing);
	int			i;

	for (i = 0; i < n; i++)
		level[i] = missing[i] == 0 ? 0 : -1;
	for (i = 0; i < npeeled; i++)
	{
		int			node = order[i];
		int			e;

		for (e = dag->head[node]; e >= 0; e = dag->edges[e].next)
		{
			int			to = dag->edges[e].to;

			if (level[to] >= 0)
				level[to] = Max(level[to], level[node] + 1);
		}
	}

	pfree(order);
	pfree(missing);
}

void
pgt_dag_free(Dag *dag)
{
	MemoryContextDelete(dag->context);
}
