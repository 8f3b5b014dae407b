/*-------------------------------------------------------------------------
 *
 * dag.c
 *	  Unit test of the dependency graph.
 *
 * IDENTIFICATION
 *	  test/unit/dag.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"

#include "pgtrickle/dag.h"

#include "unit.h"

static Dag *
make_dag(int nnodes, int nedges, const int (*edges)[2])
{
	Dag		   *dag = pgt_dag_create(nnodes);

	for (int i = 0; i < nedges; i++)
		pgt_dag_add_edge(dag, edges[i][0], edges[i][1]);
	return dag;
}

#define DAG(n, ...) \
	make_dag(n, sizeof((const int[][2]) {__VA_ARGS__}) / sizeof(int[2]), \
			 (const int[][2]) {__VA_ARGS__})

/* order[] is a permutation in which each edge leads forward */
static bool
is_order(int n, const int *order, int nedges, const int (*edges)[2])
{
	int		   *place = palloc(sizeof(int) * n);
	bool		good = true;

	for (int i = 0; i < n; i++)
		place[i] = -1;
	for (int i = 0; i < n; i++)
	{
		good &= order[i] >= 0 && order[i] < n && place[order[i]] < 0;
		if (good)
			place[order[i]] = i;
	}
	for (int i = 0; good && i < nedges; i++)
		good = place[edges[i][0]] < place[edges[i][1]];
	pfree(place);
	return good;
}

static bool
is_array(const int *got, int n, const int *wanted)
{
	return memcmp(got, wanted, sizeof(int) * n) == 0;
}

#define IS_ARRAY(got, ...) \
	is_array(got, lengthof(((const int[]) {__VA_ARGS__})), (const int[]) {__VA_ARGS__})

static void
check_small_graphs(void)
{
	int			result[8];
	Dag		   *dag;

	/* nothing at all */
	dag = pgt_dag_create(0);
	UNIT_CHECK(pgt_dag_topological_order(dag, result));
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == 0);
	pgt_dag_levels(dag, result);
	pgt_dag_free(dag);

	/* no edges: by number */
	dag = pgt_dag_create(3);
	UNIT_CHECK(pgt_dag_topological_order(dag, result));
	UNIT_CHECK(IS_ARRAY(result, 0, 1, 2));
	UNIT_CHECK(pgt_dag_find_path(dag, 0, 1, result) == 0);
	pgt_dag_free(dag);

	/* a diamond upside down in numbers, one edge twice */
	dag = DAG(4, {3, 2}, {3, 1}, {1, 0}, {2, 0}, {2, 0});
	UNIT_CHECK(pgt_dag_topological_order(dag, result));
	UNIT_CHECK(IS_ARRAY(result, 3, 2, 1, 0));
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == 0);
	pgt_dag_levels(dag, result);
	UNIT_CHECK(IS_ARRAY(result, 2, 1, 1, 0));
	pgt_dag_free(dag);

	/* levels are longest paths */
	dag = DAG(5, {0, 1}, {1, 2}, {2, 3}, {0, 3}, {3, 4}, {0, 4});
	pgt_dag_levels(dag, result);
	UNIT_CHECK(IS_ARRAY(result, 0, 1, 2, 3, 4));
	pgt_dag_free(dag);
}

static void
check_cycles(void)
{
	int			result[8];
	Dag		   *dag;

	/* itself */
	dag = DAG(2, {1, 1});
	UNIT_CHECK(!pgt_dag_topological_order(dag, result));
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == 1 && result[0] == 1);
	UNIT_CHECK(pgt_dag_find_path(dag, 1, 1, result) == 1 && result[0] == 1);
	pgt_dag_levels(dag, result);
	UNIT_CHECK(IS_ARRAY(result, 0, -1));
	pgt_dag_free(dag);

	/* 1 -> 2 -> 3 -> 1 with a tail before (0) and behind (4, 5) */
	dag = DAG(6, {0, 1}, {1, 2}, {2, 3}, {3, 1}, {3, 4}, {4, 5});
	UNIT_CHECK(!pgt_dag_topological_order(dag, result));
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == 3);
	for (int i = 0; i < 3; i++)
		UNIT_CHECK(result[i] >= 1 && result[i] <= 3 &&
				   result[(i + 1) % 3] == result[i] % 3 + 1);
	pgt_dag_levels(dag, result);
	UNIT_CHECK(IS_ARRAY(result, 0, -1, -1, -1, -1, -1));
	pgt_dag_free(dag);

	/* what a new edge would close: the shortest way back */
	dag = DAG(5, {0, 1}, {1, 2}, {2, 3}, {0, 4}, {4, 3});
	UNIT_CHECK(pgt_dag_find_path(dag, 3, 0, result) == 3);
	UNIT_CHECK(IS_ARRAY(result, 0, 4, 3));
	UNIT_CHECK(pgt_dag_find_path(dag, 0, 3, result) == 0);
	UNIT_CHECK(pgt_dag_find_path(dag, 4, 1, result) == 0);
	pgt_dag_free(dag);
}

/* a long chain needs no stack, and time linear in its length */
static void
check_chain(void)
{
	int			n = 200000;
	int		   *result = palloc(sizeof(int) * n);
	Dag		   *dag = pgt_dag_create(n);
	bool		good = true;

	for (int i = n - 1; i > 0; i--)
		pgt_dag_add_edge(dag, i, i - 1);
	UNIT_CHECK(pgt_dag_topological_order(dag, result));
	for (int i = 0; i < n; i++)
		good &= result[i] == n - 1 - i;
	UNIT_CHECK(good);
	pgt_dag_levels(dag, result);
	UNIT_CHECK(result[0] == n - 1 && result[n - 1] == 0);
	UNIT_CHECK(pgt_dag_find_path(dag, 0, n - 1, result) == n);
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == 0);
	pgt_dag_add_edge(dag, 0, n - 1);
	UNIT_CHECK(!pgt_dag_topological_order(dag, result));
	UNIT_CHECK(pgt_dag_find_cycle(dag, result) == n);
	pgt_dag_free(dag);
	pfree(result);
}

/* random graphs: an order exists exactly if no cycle does */
static void
check_random(void)
{
	pg_prng_state prng;

	pg_prng_seed(&prng, 42);
	for (int round = 0; round < 2000; round++)
	{
		int			n = 1 + pg_prng_uint64_range(&prng, 0, 8);
		int			nedges = pg_prng_uint64_range(&prng, 0, 12);
		int			edges[12][2];
		int			result[9];
		int			len;
		Dag		   *dag;

		for (int i = 0; i < nedges; i++)
		{
			edges[i][0] = pg_prng_uint64_range(&prng, 0, n - 1);
			edges[i][1] = pg_prng_uint64_range(&prng, 0, n - 1);
		}
		dag = make_dag(n, nedges, (const int (*)[2]) edges);
		len = pgt_dag_find_cycle(dag, result);
		for (int i = 0; i < len; i++)
		{
			bool		found = false;

			for (int j = 0; j < nedges; j++)
				found |= edges[j][0] == result[i] &&
					edges[j][1] == result[(i + 1) % len];
			UNIT_CHECK(found);
		}
		if (pgt_dag_topological_order(dag, result))
			UNIT_CHECK(len == 0 &&
					   is_order(n, result, nedges, (const int (*)[2]) edges));
		else
			UNIT_CHECK(len > 0);
		pgt_dag_free(dag);
	}
}

/* ---- analysis ---- */

static void
check_analysis_small(void)
{
	Dag		   *dag;
	DagAnalysis *a;

	dag = pgt_dag_create(0);
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->nnodes == 0 && a->ncomponents == 0 && a->nlevels == 0 && a->ngroups == 0);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* the diamond: its start is no member; what reads its end is none either */
	dag = DAG(6, {0, 1}, {1, 2}, {1, 3}, {2, 4}, {3, 4}, {4, 5});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->level, 0, 1, 2, 2, 3, 4));
	UNIT_CHECK(IS_ARRAY(a->group, -1, -1, 0, 0, 0, -1));
	UNIT_CHECK(IS_ARRAY(a->order, 0, 1, 2, 3, 4, 5));
	UNIT_CHECK(a->ngroups == 1 && a->nlevels == 5 && a->ncomponents == 6);
	for (int i = 0; i < 6; i++)
		UNIT_CHECK(a->convergence[i] == (i == 4) && !a->cyclic[i]);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* one of the two paths is an edge; an edge twice is no diamond */
	dag = DAG(5, {0, 1}, {1, 2}, {0, 2}, {3, 4}, {3, 4});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->group, -1, 0, 0, -1, -1));
	UNIT_CHECK(a->convergence[2] && !a->convergence[4]);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* two readers of the same two tables: nobody sees both */
	dag = DAG(4, {0, 2}, {0, 3}, {1, 2}, {1, 3});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ngroups == 0);
	UNIT_CHECK(IS_ARRAY(a->level, 0, 0, 1, 1));
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* two diamonds one behind the other stay apart; with a common node they do not */
	dag = DAG(7, {0, 1}, {0, 2}, {1, 3}, {2, 3}, {3, 4}, {3, 5}, {4, 6}, {5, 6});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->group, -1, 0, 0, 0, 1, 1, 1));
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);
	dag = DAG(6, {0, 1}, {0, 2}, {1, 3}, {2, 3}, {5, 2}, {5, 4}, {2, 4});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->group, -1, 0, 0, 0, 0, -1));
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* all paths from 0 pass through 1, which another way joins to the rest */
	dag = DAG(7, {0, 1}, {0, 5}, {1, 2}, {1, 3}, {2, 4}, {3, 4}, {6, 4}, {6, 5});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->group, -1, -1, 0, 0, 0, -1, -1));
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);
}

static void
check_analysis_cycles(void)
{
	Dag		   *dag;
	DagAnalysis *a;

	/* 1 <-> 2 between 0 and 3; 4 reads itself */
	dag = DAG(5, {0, 1}, {1, 2}, {2, 1}, {2, 3}, {4, 4});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ncomponents == 4);
	UNIT_CHECK(a->component[1] == a->component[2]);
	UNIT_CHECK(a->component_size[a->component[1]] == 2);
	UNIT_CHECK(a->cyclic[a->component[1]] && a->cyclic[a->component[4]]);
	UNIT_CHECK(!a->cyclic[a->component[0]] && !a->cyclic[a->component[3]]);
	UNIT_CHECK(IS_ARRAY(a->level, 0, 1, 1, 2, 0));
	UNIT_CHECK(a->ngroups == 0);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* a cycle as one side of a diamond is a member as a whole */
	dag = DAG(5, {0, 1}, {1, 2}, {2, 1}, {2, 3}, {0, 4}, {4, 3});
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(IS_ARRAY(a->group, -1, 0, 0, 0, 0));
	UNIT_CHECK(IS_ARRAY(a->level, 0, 1, 1, 2, 1));
	UNIT_CHECK(a->order[0] == 0 && a->order[4] == 3);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);
}

/* Long graphs: no recursion anywhere. */
static void
check_analysis_large(void)
{
	int			n = 100000;
	Dag		   *dag = pgt_dag_create(n);
	DagAnalysis *a;
	bool		good = true;

	for (int i = 0; i < n - 1; i++)
		pgt_dag_add_edge(dag, i, i + 1);
	a = pgt_dag_analyze(dag);
	for (int i = 0; i < n; i++)
		good &= a->level[i] == i && a->order[i] == i && a->group[i] < 0;
	UNIT_CHECK(good && a->nlevels == n);
	pgt_dag_analysis_free(a);
	/* closed to one cycle */
	pgt_dag_add_edge(dag, n - 1, 0);
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ncomponents == 1 && a->component_size[0] == n && a->cyclic[0]);
	UNIT_CHECK(a->nlevels == 1 && a->ngroups == 0);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* a ladder: all one group; a chain of triangles: one group each */
	dag = pgt_dag_create(n);
	for (int i = 0; i < n - 1; i++)
	{
		pgt_dag_add_edge(dag, i, i + 1);
		if (i < n - 2)
			pgt_dag_add_edge(dag, i, i + 2);
	}
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ngroups == 1 && a->group[0] == -1 && a->group[1] == 0 && a->group[n - 1] == 0);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	dag = pgt_dag_create(n);
	for (int i = 0; i < n - 2; i += 2)
	{
		pgt_dag_add_edge(dag, i, i + 1);
		pgt_dag_add_edge(dag, i, i + 2);
		pgt_dag_add_edge(dag, i + 1, i + 2);
	}
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ngroups == n / 2 - 1);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);

	/* one source of very many diamonds */
	dag = pgt_dag_create(n);
	for (int i = 1; i < n - 2; i += 3)
	{
		pgt_dag_add_edge(dag, 0, i);
		pgt_dag_add_edge(dag, 0, i + 1);
		pgt_dag_add_edge(dag, i, i + 2);
		pgt_dag_add_edge(dag, i + 1, i + 2);
	}
	a = pgt_dag_analyze(dag);
	UNIT_CHECK(a->ngroups == (n - 1) / 3);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);
}

/* ---- analysis by definition, for small graphs ---- */

#define MAX_NODES	9

typedef bool Matrix[MAX_NODES][MAX_NODES];

/* path[i][j]: j is reached from i by one edge or more, without passing the node "without" */
static void
closure(int n, Matrix edge, int without, Matrix path)
{
	memcpy(path, edge, sizeof(Matrix));
	for (int k = 0; k < n; k++)
		for (int i = 0; k != without && i < n; i++)
			for (int j = 0; j < n; j++)
				path[i][j] |= path[i][k] && path[k][j];
}

/*
 * Two paths from u to v with only the ends in common exist if there are two
 * paths at all and no node between separates u from v (Menger).
 */
static bool
is_diamond(int n, Matrix edge, Matrix path, int u, int v)
{
	int			nfirst = 0;

	if (u == v || !path[u][v])
		return false;
	for (int i = 0; i < n; i++)
		nfirst += edge[u][i] && (i == v || path[i][v]);
	if (nfirst < 2)
		return false;
	for (int w = 0; w < n; w++)
	{
		Matrix		rest;

		if (w == u || w == v)
			continue;
		closure(n, edge, w, rest);
		if (!rest[u][v])
			return false;
	}
	return true;
}

/* The smallest node of i's component. */
static int
first_of(int n, const DagAnalysis *a, int i)
{
	for (int j = 0; j < n; j++)
		if (a->component[j] == a->component[i])
			return j;
	return -1;
}

/* Compares with the definition: components, levels, order, diamonds. */
static bool
analysis_is_right(int n, int nedges, const int (*edges)[2], const DagAnalysis *a)
{
	Matrix		edge = {0};
	Matrix		path;
	Matrix		together = {0};
	Matrix		cedge = {0};	/* of components */
	Matrix		cpath;
	bool		good = true;

	for (int i = 0; i < nedges; i++)
		edge[edges[i][0]][edges[i][1]] = true;
	closure(n, edge, -1, path);
	for (int i = 0; i < n; i++)
	{
		good &= a->component[i] >= 0 && a->component[i] < a->ncomponents;
		good &= a->cyclic[a->component[i]] == path[i][i];
		for (int j = 0; j < n; j++)
		{
			good &= (a->component[i] == a->component[j]) ==
				(i == j || (path[i][j] && path[j][i]));
			if (edge[i][j] && a->component[i] != a->component[j])
			{
				cedge[a->component[i]][a->component[j]] = true;
				good &= a->component[i] < a->component[j] && a->level[i] < a->level[j];
			}
		}
	}
	good &= is_order(n, a->order, 0, NULL);
	for (int i = 1; i < n; i++)
	{
		int			x = a->order[i - 1];
		int			y = a->order[i];

		good &= a->level[x] < a->level[y] ||
			(a->level[x] == a->level[y] &&
			 first_of(n, a, x) <= first_of(n, a, y) &&
			 (a->component[x] != a->component[y] || x < y));
	}

	closure(a->ncomponents, cedge, -1, cpath);
	for (int v = 0; v < a->ncomponents; v++)
	{
		bool		end = false;

		for (int u = 0; u < a->ncomponents; u++)
		{
			if (!is_diamond(a->ncomponents, cedge, cpath, u, v))
				continue;
			end = true;
			for (int w = 0; w < a->ncomponents; w++)
				if (cpath[u][w] && cpath[w][v])
					together[w][v] = together[v][w] = true;
		}
		if (end)
			together[v][v] = true;
		for (int i = 0; i < n; i++)
			if (a->component[i] == v)
				good &= a->convergence[i] == end;
	}
	closure(a->ncomponents, together, -1, cpath);
	for (int i = 0; i < n; i++)
	{
		int			c = a->component[i];

		good &= (a->group[i] >= 0) == cpath[c][c];
		for (int j = 0; j < n; j++)
			if (a->group[i] >= 0)
				good &= (a->group[i] == a->group[j]) == cpath[c][a->component[j]];
	}
	return good;
}

static void
check_analysis_random(void)
{
	pg_prng_state prng;
	int			ngroups = 0;

	pg_prng_seed(&prng, 43);
	for (int round = 0; round < 6000; round++)
	{
		int			n = 1 + pg_prng_uint64_range(&prng, 0, MAX_NODES - 1);
		int			nedges = pg_prng_uint64_range(&prng, 0, 16);
		bool		acyclic = round % 3 != 0;
		int			edges[16][2];
		Dag		   *dag;
		DagAnalysis *a;

		for (int i = 0; i < nedges; i++)
		{
			int			x = pg_prng_uint64_range(&prng, 0, n - 1);
			int			y = pg_prng_uint64_range(&prng, 0, n - 1);

			if (acyclic && x == y)
				y = (x + 1) % n;
			if (acyclic && n > 1)
			{
				/* against the numbers, so that numbers are no help */
				edges[i][0] = Max(x, y);
				edges[i][1] = Min(x, y);
			}
			else
			{
				edges[i][0] = x;
				edges[i][1] = y;
			}
		}
		dag = make_dag(n, nedges, (const int (*)[2]) edges);
		a = pgt_dag_analyze(dag);
		UNIT_CHECK(analysis_is_right(n, nedges, (const int (*)[2]) edges, a));
		ngroups += a->ngroups;
		pgt_dag_analysis_free(a);
		pgt_dag_free(dag);
	}
	UNIT_CHECK(ngroups > 1000);
}

UNIT_TEST(dag)
{
	check_small_graphs();
	check_cycles();
	check_chain();
	check_random();
	check_analysis_small();
	check_analysis_cycles();
	check_analysis_large();
	check_analysis_random();
}

/* ---- for bench/run.sh ---- */

PG_FUNCTION_INFO_V1(bench_dag);

static Dag *
bench_graph(const char *shape, int n)
{
	Dag		   *dag = pgt_dag_create(n);

	for (int i = 1; i < n; i++)
	{
		if (strcmp(shape, "chain") == 0)
			pgt_dag_add_edge(dag, i - 1, i);
		else if (strcmp(shape, "wide") == 0)
			pgt_dag_add_edge(dag, 0, i);
		else if (strcmp(shape, "tree") == 0)
			pgt_dag_add_edge(dag, (i - 1) / 2, i);
		else if (strcmp(shape, "diamonds") == 0)
		{
			/* 0 -> i, i + 1 -> i + 2 */
			pgt_dag_add_edge(dag, i % 3 == 0 ? i - 1 : 0, i);
			if (i % 3 == 0)
				pgt_dag_add_edge(dag, i - 2, i);
		}
		else if (strcmp(shape, "layers") == 0)
		{
			/* layers of 100, each node reads three of the layer before */
			for (int k = 0; k < 3 && i >= 100; k++)
				pgt_dag_add_edge(dag, (i / 100 - 1) * 100 + (i * 7 + k * 31) % 100, i);
		}
		else
			elog(ERROR, "unknown shape");
	}
	return dag;
}

/*
 * bench_dag(shape, n): milliseconds that building and analysing a graph of n nodes takes,
 * on average of some rounds.
 */
Datum
bench_dag(PG_FUNCTION_ARGS)
{
	char	   *shape = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			n = PG_GETARG_INT32(1);
	int			rounds = Max(200000 / n, 20);
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < rounds; i++)
	{
		Dag		   *dag = bench_graph(shape, n);

		pgt_dag_analysis_free(pgt_dag_analyze(dag));
		pgt_dag_free(dag);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_MILLISEC(end) / rounds);
}
