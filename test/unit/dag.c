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

UNIT_TEST(dag)
{
	check_small_graphs();
	check_cycles();
	check_chain();
	check_random();
}
