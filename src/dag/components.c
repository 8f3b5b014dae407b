/*-------------------------------------------------------------------------
 *
 * components.c
 *	  Strongly connected components, and the analysis as a whole.
 *
 * Tarjan's algorithm with an explicit stack: O(V + E), no recursion.  A
 * component is complete when the search leaves the node by which it was
 * entered; all it can reach is complete by then, so components come out in
 * reverse topological order.
 *
 * The graph of components has no cycles, and its node numbers are a topological
 * order, which makes everything behind it a walk from the first to the last.
 *
 * IDENTIFICATION
 *	  src/dag/components.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dag_internal.h"

typedef struct Search
{
	int		   *number;			/* order of discovery, from 1; 0: not seen */
	int		   *low;			/* smallest number known to be reached */
	int		   *next;			/* edge to look at next */
	int		   *path;			/* nodes being searched, the last on top */
	int		   *open;			/* found, of no complete component yet */
	int			npath;
	int			nopen;
	int			nfound;
} Search;

static void
enter_node(Dag *dag, Search *s, int node)
{
	s->number[node] = s->low[node] = ++s->nfound;
	s->next[node] = dag->head[node];
	s->path[s->npath++] = node;
	s->open[s->nopen++] = node;
}

/* Searches everything that start reaches. */
static void
search_from(Dag *dag, Search *s, int start, DagAnalysis *a)
{
	enter_node(dag, s, start);
	while (s->npath > 0)
	{
		int			node = s->path[s->npath - 1];
		int			e = s->next[node];

		if (e >= 0)
		{
			int			to = dag->edges[e].to;

			s->next[node] = dag->edges[e].next;
			if (s->number[to] == 0)
				enter_node(dag, s, to);
			else if (a->component[to] < 0)
				s->low[node] = Min(s->low[node], s->number[to]);
			continue;
		}

		s->npath--;
		if (s->npath > 0)
		{
			int			parent = s->path[s->npath - 1];

			s->low[parent] = Min(s->low[parent], s->low[node]);
		}
		if (s->low[node] == s->number[node])
		{
			int			size = 0;
			int			member;

			do
			{
				member = s->open[--s->nopen];
				a->component[member] = a->ncomponents;
				size++;
			} while (member != node);
			a->component_size[a->ncomponents++] = size;
		}
	}
}

/* Does the node read itself? */
static bool
reads_itself(Dag *dag, int node)
{
	for (int e = dag->head[node]; e >= 0; e = dag->edges[e].next)
		if (dag->edges[e].to == node)
			return true;
	return false;
}

void
pgt_dag_find_components(Dag *dag, DagAnalysis *a)
{
	int			n = dag->nnodes;
	int		   *sizes;
	Search		s = {0};

	s.number = pgt_dag_alloc_filled(dag->context, n, 0);
	s.low = pgt_dag_alloc_ints(dag->context, n);
	s.next = pgt_dag_alloc_ints(dag->context, n);
	s.path = pgt_dag_alloc_ints(dag->context, n);
	s.open = pgt_dag_alloc_ints(dag->context, n);
	a->ncomponents = 0;
	for (int i = 0; i < n; i++)
		a->component[i] = -1;
	/* from the end, so that of unrelated ones the smaller number comes first */
	for (int i = n - 1; i >= 0; i--)
		if (s.number[i] == 0)
			search_from(dag, &s, i, a);

	/* reverse the numbers */
	sizes = s.low;
	memcpy(sizes, a->component_size, a->ncomponents * sizeof(int));
	for (int i = 0; i < a->ncomponents; i++)
		a->component_size[i] = sizes[a->ncomponents - 1 - i];
	for (int i = 0; i < n; i++)
	{
		int			c = a->ncomponents - 1 - a->component[i];

		a->component[i] = c;
		a->cyclic[c] = a->component_size[c] > 1 || reads_itself(dag, i);
	}

	pfree(s.number);
	pfree(s.low);
	pfree(s.next);
	pfree(s.path);
	pfree(s.open);
}

/* ---- graph of components ---- */

/* Nodes by component: result[start[c]] .. */
static int *
nodes_by_component(const DagAnalysis *a)
{
	int		   *place = pgt_dag_alloc_ints(CurrentMemoryContext, a->ncomponents);
	int		   *nodes = pgt_dag_alloc_ints(CurrentMemoryContext, a->nnodes);
	int			sum = 0;

	for (int c = 0; c < a->ncomponents; c++)
	{
		place[c] = sum;
		sum += a->component_size[c];
	}
	for (int i = 0; i < a->nnodes; i++)
		nodes[place[a->component[i]]++] = i;
	pfree(place);
	return nodes;
}

/* Incoming edges, from the outgoing ones. */
static void
reverse_edges(Condensed *g)
{
	int		   *place = pgt_dag_alloc_filled(CurrentMemoryContext, g->nnodes + 1, 0);
	int			sum = 0;

	for (int e = 0; e < g->nedges; e++)
		place[g->out_to[e]]++;
	for (int c = 0; c <= g->nnodes; c++)
	{
		int			count = place[c];

		g->in_start[c] = place[c] = sum;
		sum += count;
	}
	for (int c = 0; c < g->nnodes; c++)
	{
		for (int e = g->out_start[c]; e < g->out_start[c + 1]; e++)
		{
			int			to = g->out_to[e];

			g->in_from[place[to]] = c;
			g->in_edge[place[to]++] = e;
		}
	}
	pfree(place);
}

/* In the current memory context. */
Condensed *
pgt_dag_condense(Dag *dag, const DagAnalysis *a)
{
	MemoryContext cxt = CurrentMemoryContext;
	Condensed  *g = palloc0(sizeof(Condensed));
	int		   *nodes = nodes_by_component(a);
	int		   *seen = pgt_dag_alloc_filled(cxt, a->ncomponents, -1);
	int			position = 0;

	g->nnodes = a->ncomponents;
	g->out_start = pgt_dag_alloc_ints(cxt, a->ncomponents + 1);
	g->out_to = pgt_dag_alloc_ints(cxt, dag->nedges);
	g->in_start = pgt_dag_alloc_ints(cxt, a->ncomponents + 1);
	g->in_from = pgt_dag_alloc_ints(cxt, dag->nedges);
	g->in_edge = pgt_dag_alloc_ints(cxt, dag->nedges);
	for (int c = 0; c < a->ncomponents; c++)
	{
		g->out_start[c] = g->nedges;
		seen[c] = c;
		for (int i = 0; i < a->component_size[c]; i++)
		{
			int			e = dag->head[nodes[position++]];

			for (; e >= 0; e = dag->edges[e].next)
			{
				int			to = a->component[dag->edges[e].to];

				if (seen[to] != c)
					g->out_to[g->nedges++] = to;
				seen[to] = c;
			}
		}
	}
	g->out_start[a->ncomponents] = g->nedges;
	reverse_edges(g);
	pfree(nodes);
	pfree(seen);
	return g;
}

/* ---- the analysis ---- */

/* Level of each component, by the longest path that ends in it. */
static void
find_levels(const Condensed *g, DagAnalysis *a)
{
	int		   *level = pgt_dag_alloc_filled(CurrentMemoryContext, g->nnodes, 0);

	for (int c = 0; c < g->nnodes; c++)
	{
		for (int e = g->out_start[c]; e < g->out_start[c + 1]; e++)
			level[g->out_to[e]] = Max(level[g->out_to[e]], level[c] + 1);
		a->nlevels = Max(a->nlevels, level[c] + 1);
	}
	for (int i = 0; i < a->nnodes; i++)
		a->level[i] = level[a->component[i]];
	pfree(level);
}

/*
 * Nodes by level; in a level components by their first node; in a component by
 * number.
 */
static void
sort_nodes(DagAnalysis *a)
{
	int		   *place = pgt_dag_alloc_filled(CurrentMemoryContext, a->nlevels, 0);
	int		   *component_place = pgt_dag_alloc_filled(CurrentMemoryContext, a->ncomponents, -1);
	int			sum = 0;

	for (int i = 0; i < a->nnodes; i++)
		place[a->level[i]]++;
	for (int l = 0; l < a->nlevels; l++)
	{
		int			count = place[l];

		place[l] = sum;
		sum += count;
	}
	for (int i = 0; i < a->nnodes; i++)
	{
		int			c = a->component[i];

		if (component_place[c] < 0)
		{
			component_place[c] = place[a->level[i]];
			place[a->level[i]] += a->component_size[c];
		}
		a->order[component_place[c]++] = i;
	}
	pfree(place);
	pfree(component_place);
}

/* Groups of components become groups of nodes, numbered by first member. */
static void
assign_groups(DagAnalysis *a, const int *group, const bool *convergence)
{
	int		   *number = pgt_dag_alloc_filled(CurrentMemoryContext, a->ncomponents, -1);

	for (int i = 0; i < a->nnodes; i++)
	{
		int			node = a->order[i];
		int			g = group[a->component[node]];

		if (g >= 0 && number[g] < 0)
			number[g] = a->ngroups++;
		a->group[node] = g < 0 ? -1 : number[g];
		a->convergence[node] = convergence[a->component[node]];
	}
	pfree(number);
}

DagAnalysis *
pgt_dag_analyze(Dag *dag)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			n = dag->nnodes;
	DagAnalysis *a = palloc0(sizeof(DagAnalysis));
	Condensed  *graph;
	int		   *group;
	bool	   *convergence;
	MemoryContext work;

	a->nnodes = n;
	a->component = pgt_dag_alloc_ints(cxt, n);
	a->level = pgt_dag_alloc_ints(cxt, n);
	a->group = pgt_dag_alloc_ints(cxt, n);
	a->order = pgt_dag_alloc_ints(cxt, n);
	a->component_size = pgt_dag_alloc_ints(cxt, n);
	a->convergence = palloc0(Max(n, 1));
	a->cyclic = palloc0(Max(n, 1));

	work = AllocSetContextCreate(cxt, "pg_trickle graph analysis", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	pgt_dag_find_components(dag, a);
	graph = pgt_dag_condense(dag, a);
	find_levels(graph, a);
	sort_nodes(a);
	group = pgt_dag_alloc_filled(work, graph->nnodes, -1);
	convergence = palloc0(Max(graph->nnodes, 1));
	pgt_dag_find_diamonds(graph, group, convergence);
	assign_groups(a, group, convergence);
	MemoryContextSwitchTo(cxt);
	MemoryContextDelete(work);
	return a;
}

void
pgt_dag_analysis_free(DagAnalysis *a)
{
	pfree(a->component);
	pfree(a->level);
	pfree(a->group);
	pfree(a->convergence);
	pfree(a->order);
	pfree(a->component_size);
	pfree(a->cyclic);
	pfree(a);
}
