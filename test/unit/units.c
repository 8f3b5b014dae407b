/*-------------------------------------------------------------------------
 *
 * units.c
 *	  Unit test of what the scheduler refreshes by one job.
 *
 * IDENTIFICATION
 *	  test/unit/units.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/scheduler/scheduler_internal.h"

#include "pgtrickle/dag.h"

#include "unit.h"

#define MAX_NODES	64

/* A plan whose nodes are in topological order by their numbers. */
static SchedulerPlan *
make_plan(int n, int nedges, const int (*edges)[2])
{
	SchedulerPlan *plan = palloc0(sizeof(SchedulerPlan));

	plan->nnodes = n;
	plan->nodes = palloc0(sizeof(PlanNode) * n);
	plan->order = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
	{
		plan->order[i] = i;
		plan->nodes[i].consumers = palloc(sizeof(int) * n);
	}
	for (int i = 0; i < nedges; i++)
	{
		PlanNode   *node = &plan->nodes[edges[i][0]];

		node->consumers[node->nconsumers++] = edges[i][1];
	}
	return plan;
}

#define PLAN(n, ...) \
	make_plan(n, sizeof((const int[][2]) {__VA_ARGS__}) / sizeof(int[2]), \
			  (const int[][2]) {__VA_ARGS__})

/* Units as text: members, sources first, "atomic" ones with a star. */
static char *
units_of(SchedulerPlan *plan, const int *group, const int *cycle)
{
	int			none[MAX_NODES];
	StringInfoData text;

	for (int i = 0; i < MAX_NODES; i++)
		none[i] = -1;
	pgt_plan_make_units(plan, group ? group : none, cycle ? cycle : none);
	initStringInfo(&text);
	for (int i = 0; i < plan->nunits; i++)
	{
		PlanUnit   *unit = &plan->units[i];

		appendStringInfo(&text, "%s%s", i ? " " : "", unit->atomic ? "*" : unit->cyclic ? "o" : "");
		for (int j = 0; j < unit->nmembers; j++)
			appendStringInfo(&text, "%s%d", j ? "-" : "", unit->members[j]);
	}
	return text.data;
}

static void
test_chains(void)
{
	UNIT_CHECK(strcmp(units_of(PLAN(3, {0, 1}, {1, 2}), NULL, NULL), "0-1-2") == 0);
	/* a fork ends a chain, and so does a join */
	UNIT_CHECK(strcmp(units_of(PLAN(4, {0, 1}, {1, 2}, {1, 3}), NULL, NULL), "0-1 2 3") == 0);
	UNIT_CHECK(strcmp(units_of(PLAN(4, {0, 2}, {1, 2}, {2, 3}), NULL, NULL), "0 1 2-3") == 0);
}

static void
test_long_chain(void)
{
	int			edges[MAX_NODES - 1][2];
	SchedulerPlan *plan;

	for (int i = 0; i < MAX_NODES - 1; i++)
	{
		edges[i][0] = i;
		edges[i][1] = i + 1;
	}
	plan = make_plan(MAX_NODES, MAX_NODES - 1, edges);
	(void) units_of(plan, NULL, NULL);
	UNIT_CHECK(plan->nunits == 2);
	UNIT_CHECK(plan->units[0].nmembers == 32 && plan->units[1].nmembers == 32);
	UNIT_CHECK(plan->units[1].nsources == 1 && plan->units[1].sources[0] == 0);
}

static void
test_diamonds(void)
{
	const int	group[] = {-1, 0, 0, 0, -1, -1};

	/* 0 is read by 1 and 2, these by 3, 3 by 4, 4 by 5 */
	UNIT_CHECK(strcmp(units_of(PLAN(6, {0, 1}, {0, 2}, {1, 3}, {2, 3}, {3, 4}, {4, 5}), group, NULL),
					  "0 *1-2-3 4-5") == 0);
	UNIT_CHECK(strcmp(units_of(PLAN(6, {0, 1}, {0, 2}, {1, 3}, {2, 3}, {3, 4}, {4, 5}), NULL, NULL),
					  "0 1 2 3-4-5") == 0);
}

/* Two groups of which each leads into the other become one. */
static void
test_crossed_diamonds(void)
{
	const int	group[] = {0, 1, 1, 0};

	UNIT_CHECK(strcmp(units_of(PLAN(4, {0, 1}, {2, 3}), group, NULL), "*0-1-2-3") == 0);
}

static void
test_cycles(void)
{
	const int	cycle[] = {-1, 3, 3, -1};

	UNIT_CHECK(strcmp(units_of(PLAN(4, {0, 1}, {1, 2}, {2, 1}, {2, 3}), NULL, cycle), "0 o1-2 3") == 0);
}

/* Whatever the graph and the groups, sources come before what reads them. */
static void
test_order(void)
{
	uint32		state = 1;

	for (int round = 0; round < 200; round++)
	{
		int			edges[60][2];
		int			group[20];
		SchedulerPlan *plan;
		bool		good = true;

#define RANDOM(n) ((int) ((state = state * 1103515245 + 12345) >> 16) % (n))
		for (int i = 0; i < 60; i++)
		{
			edges[i][0] = RANDOM(19);
			edges[i][1] = edges[i][0] + 1 + RANDOM(19 - edges[i][0]);
		}
		for (int i = 0; i < 20; i++)
			group[i] = RANDOM(8) - 3;
		for (int i = 0; i < 20; i++)
			group[i] = group[i] < 0 ? -1 : group[i];
		plan = make_plan(20, 60, edges);
		(void) units_of(plan, group, NULL);
		for (int i = 0; i < 60; i++)
		{
			int			from = plan->nodes[edges[i][0]].unit;
			int			to = plan->nodes[edges[i][1]].unit;
			bool		known = from == to;

			for (int j = 0; j < plan->units[to].nsources; j++)
				known |= plan->units[to].sources[j] == from;
			good &= from <= to && known;
		}
		UNIT_CHECK(good);
	}
}

UNIT_TEST(units)
{
	test_chains();
	test_long_chain();
	test_diamonds();
	test_crossed_diamonds();
	test_cycles();
	test_order();
}
