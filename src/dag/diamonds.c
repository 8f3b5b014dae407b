/*-------------------------------------------------------------------------
 *
 * diamonds.c
 *	  Diamonds: stream tables that are reached by two paths.
 *
 *		a --> b --> d		d reads b and c, both of which read a: if they are
 *		 \--> c --/			refreshed at different times, d mixes two states of a.
 *
 * A diamond is a start u and an end v with two paths that share nothing but u
 * and v; its members are the nodes on all paths from u to v, v included.
 * One of the paths may be the edge from u to v.  If all paths pass through
 * some node between, that node is the start of the diamond, not u.
 *
 * First the graph, directions left aside, is cut into its blocks (biconnected
 * components): both paths of a diamond lie in one block.  Chains and trees
 * have none but single edges.  That is O(V + E), as everything
 * is that is done once per block.
 *
 * Then, within a block, the starts are gone through from top to bottom, 64 at a
 * time.  One sweep over the block with a bit for each of them tells the ends: the nodes
 * that two predecessors lead to from the same start.  A start that has any gets a
 * sweep of its own over what it reaches, which gives each node a label: the first node behind
 * the start that all paths to it pass through (the node itself if there is none).
 * Where the labels of two predecessors differ, paths meet that have nothing else
 * in common, and what lies between goes into one group.  All ends when the block is one
 * group and all that can be an end is known to be one, which is soon in dense
 * blocks.  No algorithm is known that would need only O(V + E) for the worst
 * case (telling whether a graph has two paths between any two nodes is already
 * harder).
 *
 * IDENTIFICATION
 *	  src/dag/diamonds.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dag_internal.h"

/* ---- blocks ---- */

typedef struct BlockSearch
{
	const Condensed *graph;
	int		   *block;			/* result: by edge */
	int			nblocks;
	bool	   *walked;			/* by edge */
	int		   *number;			/* order of discovery, from 1; 0: not seen */
	int		   *low;			/* smallest number reached */
	int		   *next;			/* next of its edges, outgoing ones first */
	int		   *path;
	int		   *entered_by;		/* edge, by position in path */
	int		   *open;			/* edges of no complete block */
	int			npath;
	int			nopen;
	int			nfound;
} BlockSearch;

static void
enter_node(BlockSearch *s, int node, int edge)
{
	s->number[node] = s->low[node] = ++s->nfound;
	s->next[node] = 0;
	s->entered_by[s->npath] = edge;
	s->path[s->npath++] = node;
}

/* The next edge of the node that was not walked yet, or -1; other: its other end. */
static int
next_edge(BlockSearch *s, int node, int *other)
{
	const Condensed *g = s->graph;
	int			nout = g->out_start[node + 1] - g->out_start[node];
	int			n = nout + g->in_start[node + 1] - g->in_start[node];

	while (s->next[node] < n)
	{
		int			i = s->next[node]++;
		int			in = g->in_start[node] + i - nout;
		int			edge = i < nout ? g->out_start[node] + i : g->in_edge[in];

		if (!s->walked[edge])
		{
			*other = i < nout ? g->out_to[edge] : g->in_from[in];
			return edge;
		}
	}
	return -1;
}

static void
search_blocks_from(BlockSearch *s, int start)
{
	enter_node(s, start, -1);
	while (s->npath > 0)
	{
		int			node = s->path[s->npath - 1];
		int			other;
		int			edge = next_edge(s, node, &other);

		if (edge >= 0)
		{
			s->walked[edge] = true;
			s->open[s->nopen++] = edge;
			if (s->number[other] == 0)
				enter_node(s, other, edge);
			else
				s->low[node] = Min(s->low[node], s->number[other]);
			continue;
		}

		s->npath--;
		if (s->npath > 0)
		{
			int			parent = s->path[s->npath - 1];

			s->low[parent] = Min(s->low[parent], s->low[node]);
			if (s->low[node] >= s->number[parent])
			{
				/* nothing below leads past the parent: a block ends here */
				do
				{
					edge = s->open[--s->nopen];
					s->block[edge] = s->nblocks;
				} while (edge != s->entered_by[s->npath]);
				s->nblocks++;
			}
		}
	}
}

/* Numbers the blocks; fills block[], by edge.  Returns how many there are. */
static int
find_blocks(const Condensed *g, int *block)
{
	MemoryContext cxt = CurrentMemoryContext;
	BlockSearch s = {0};

	s.graph = g;
	s.block = block;
	s.walked = MemoryContextAllocExtended(cxt, Max(g->nedges, 1),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s.number = pgt_dag_alloc_filled(cxt, g->nnodes, 0);
	s.low = pgt_dag_alloc_ints(cxt, g->nnodes);
	s.next = pgt_dag_alloc_ints(cxt, g->nnodes);
	s.path = pgt_dag_alloc_ints(cxt, g->nnodes);
	s.entered_by = pgt_dag_alloc_ints(cxt, g->nnodes);
	s.open = pgt_dag_alloc_ints(cxt, g->nedges);
	for (int i = 0; i < g->nnodes; i++)
		if (s.number[i] == 0)
			search_blocks_from(&s, i);
	return s.nblocks;
}

/* ---- diamonds of a block ---- */

typedef struct BlockEdge
{
	int			from;
	int			to;
} BlockEdge;

typedef struct DiamondSearch
{
	int		   *set;			/* by node: union-find, roots point to themselves */
	uint64	   *starts;			/* by node: which of 64 starts lead to it, itself included */
	bool	   *convergence;	/* by node */
	int			sweep;			/* number of the sweep that goes on */
	int		   *reached;		/* by node: sweep that reached it */
	int		   *label;			/* by node, of that sweep */
	int		   *needed;			/* by node: sweep in which it leads to an end */

	/* the block: its edges in order of their starts, and of their ends */
	int			nedges;
	const BlockEdge *by_start;
	const BlockEdge *by_end;
	int			nunions;		/* left until all of it is one group */
	int			nends;			/* possible ends that are not known as such */
} DiamondSearch;

static int
find_set(DiamondSearch *s, int node)
{
	while (s->set[node] != node)
	{
		s->set[node] = s->set[s->set[node]];
		node = s->set[node];
	}
	return node;
}

static void
unite(DiamondSearch *s, int a, int b)
{
	a = find_set(s, a);
	b = find_set(s, b);
	if (a == b)
		return;
	s->set[Max(a, b)] = Min(a, b);
	s->nunions--;
}

/*
 * Marks the ends of all that begins in these starts, and returns which of them have
 * any.
 */
static uint64
find_ends(DiamondSearch *s, const int *u, int n)
{
	uint64		found = 0;

	for (int k = 0; k < n; k++)
		s->starts[u[k]] = UINT64CONST(1) << k;
	for (int i = 0; i < s->nedges;)
	{
		int			node = s->by_end[i].to;
		uint64		seen = 0;
		uint64		twice = 0;

		for (; i < s->nedges && s->by_end[i].to == node; i++)
		{
			twice |= seen & s->starts[s->by_end[i].from];
			seen |= s->starts[s->by_end[i].from];
		}
		s->starts[node] |= seen;
		if (twice == 0)
			continue;
		found |= twice;
		if (!s->convergence[node])
			s->nends--;
		s->convergence[node] = true;
	}
	for (int i = 0; i < s->nedges; i++)
		s->starts[s->by_end[i].from] = s->starts[s->by_end[i].to] = 0;
	return found;
}

/*
 * Labels what u reaches; ends of diamonds that start in u become needed.  first
 * is the position in by_end of the first node behind u.
 */
static bool
sweep_forward(DiamondSearch *s, int u, int first)
{
	bool		found = false;
	int			i = first;

	while (i < s->nedges)
	{
		int			node = s->by_end[i].to;
		int			label = -1;
		bool		meet = false;

		for (; i < s->nedges && s->by_end[i].to == node; i++)
		{
			int			from = s->by_end[i].from;
			int			theirs;

			if (from == u)
				theirs = node;
			else if (s->reached[from] == s->sweep)
				theirs = s->label[from];
			else
				continue;
			meet |= label >= 0 && label != theirs;
			label = theirs;
		}
		if (label < 0)
			continue;
		s->reached[node] = s->sweep;
		s->label[node] = meet ? node : label;
		if (meet)
		{
			found = true;
			s->needed[node] = s->sweep;
		}
	}
	return found;
}

/* What lies between u and the ends goes into their groups. */
static void
sweep_back(DiamondSearch *s, int u)
{
	for (int i = s->nedges - 1; i >= 0 && s->by_start[i].from > u; i--)
	{
		int			from = s->by_start[i].from;
		int			to = s->by_start[i].to;

		if (s->reached[from] == s->sweep && s->needed[to] == s->sweep)
		{
			s->needed[from] = s->sweep;
			unite(s, from, to);
		}
	}
}

/* How many groups there can be, and ends. */
static void
count_members(DiamondSearch *s)
{
	s->nunions = -1;
	s->nends = 0;
	for (int i = 0; i < s->nedges;)
	{
		int			node = s->by_end[i].to;
		int			n = 0;

		for (; i < s->nedges && s->by_end[i].to == node; i++)
			n++;
		s->nunions++;
		if (n > 1 && !s->convergence[node])
			s->nends++;
	}
}

/* The next starts in by_start from *i on: nodes with two edges or more. */
static int
next_starts(const DiamondSearch *s, int *i, int *u)
{
	int			n = 0;

	while (*i < s->nedges && n < 64)
	{
		int			first = *i;

		while (*i < s->nedges && s->by_start[*i].from == s->by_start[first].from)
			(*i)++;
		if (*i - first > 1)
			u[n++] = s->by_start[first].from;
	}
	return n;
}

static void
search_block(DiamondSearch *s)
{
	int			first = 0;
	int			i = 0;
	int			u[64];
	int			n;

	count_members(s);
	while ((s->nunions > 0 || s->nends > 0) && (n = next_starts(s, &i, u)) > 0)
	{
		uint64		found = find_ends(s, u, n);

		for (int k = 0; k < n && s->nunions > 0; k++)
		{
			if ((found & (UINT64CONST(1) << k)) == 0)
				continue;
			while (first < s->nedges && s->by_end[first].to <= u[k])
				first++;
			s->sweep++;
			if (sweep_forward(s, u[k], first))
				sweep_back(s, u[k]);
		}
	}
}

/* ---- all blocks ---- */

/* Edges by block; start[b] is where those of block b begin. */
static void
sort_edges(const Condensed *g, const int *block, const int *start, int *place, int nblocks,
		   BlockEdge *by_start, BlockEdge *by_end)
{
	memcpy(place, start, nblocks * sizeof(int));
	for (int i = 0; i < g->nnodes; i++)
		for (int e = g->out_start[i]; e < g->out_start[i + 1]; e++)
			by_start[place[block[e]]++] = (BlockEdge) {i, g->out_to[e]};
	memcpy(place, start, nblocks * sizeof(int));
	for (int i = 0; i < g->nnodes; i++)
		for (int e = g->in_start[i]; e < g->in_start[i + 1]; e++)
			by_end[place[block[g->in_edge[e]]]++] = (BlockEdge) {g->in_from[e], i};
}

void
pgt_dag_find_diamonds(const Condensed *g, int *group, bool *convergence)
{
	MemoryContext cxt = CurrentMemoryContext;
	Size		edges_size = Max(g->nedges, 1) * sizeof(BlockEdge);
	BlockEdge  *by_start = MemoryContextAllocHuge(cxt, edges_size);
	BlockEdge  *by_end = MemoryContextAllocHuge(cxt, edges_size);
	int		   *block = pgt_dag_alloc_ints(cxt, g->nedges);
	int			nblocks = find_blocks(g, block);
	int		   *start = pgt_dag_alloc_filled(cxt, nblocks + 1, 0);
	int		   *place = pgt_dag_alloc_ints(cxt, nblocks);
	DiamondSearch s = {0};

	for (int e = 0; e < g->nedges; e++)
		start[block[e] + 1]++;
	for (int b = 0; b < nblocks; b++)
		start[b + 1] += start[b];
	sort_edges(g, block, start, place, nblocks, by_start, by_end);

	s.set = pgt_dag_alloc_ints(cxt, g->nnodes);
	for (int i = 0; i < g->nnodes; i++)
		s.set[i] = i;
	s.convergence = convergence;
	s.starts = MemoryContextAllocExtended(cxt, Max(g->nnodes, 1) * sizeof(uint64),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s.reached = pgt_dag_alloc_filled(cxt, g->nnodes, 0);
	s.label = pgt_dag_alloc_ints(cxt, g->nnodes);
	s.needed = pgt_dag_alloc_filled(cxt, g->nnodes, 0);
	for (int b = 0; b < nblocks; b++)
	{
		s.nedges = start[b + 1] - start[b];
		s.by_start = by_start + start[b];
		s.by_end = by_end + start[b];
		if (s.nedges > 2)
			search_block(&s);
	}

	/* a set of one is no group */
	for (int i = 0; i < g->nnodes; i++)
	{
		int			root = find_set(&s, i);

		group[i] = -1;
		if (root != i)
			group[i] = group[root] = root;
	}
}
