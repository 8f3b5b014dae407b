/*-------------------------------------------------------------------------
 *
 * units.c
 *	  Which stream tables are refreshed by one job: plain data in and out.
 *
 * A unit is
 *		- the stream tables of a cycle,
 *		- those of diamonds that are to be all or nothing,
 *		- a piece of a chain: each but the last has one reader, which reads no
 *		  other stream table, or
 *		- a single stream table.
 *
 * The units must have no cycles among themselves.  Chains cannot make any, but
 * two diamonds can, if one leads into the other and back; such units become one.
 *
 * IDENTIFICATION
 *	  src/scheduler/units.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtrickle/dag.h"

#include "scheduler_internal.h"

/* a longer chain is cut into pieces */
#define CHAIN_MAX	32

/* ---- sets of nodes ---- */

static int
find_root(int *parent, int i)
{
	while (parent[i] != i)
		i = parent[i] = parent[parent[i]];
	return i;
}

static void
join_sets(int *parent, int a, int b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	parent[Max(a, b)] = Min(a, b);
}

/* Nodes with the same number (not -1) belong together. */
static void
join_equal(int *parent, int n, const int *number)
{
	int			nnumbers = 0;
	int		   *first;

	for (int i = 0; i < n; i++)
		nnumbers = Max(nnumbers, number[i] + 1);
	first = palloc(sizeof(int) * Max(nnumbers, 1));
	for (int i = 0; i < nnumbers; i++)
		first[i] = -1;
	for (int i = 0; i < n; i++)
	{
		if (number[i] < 0)
			continue;
		if (first[number[i]] < 0)
			first[number[i]] = i;
		else
			join_sets(parent, first[number[i]], i);
	}
	pfree(first);
}

static void
join_chains(SchedulerPlan *plan, int *parent)
{
	int			n = plan->nnodes;
	int		   *nreads = palloc0(sizeof(int) * Max(n, 1));
	int		   *length = palloc(sizeof(int) * Max(n, 1));
	bool	   *taken = palloc0(sizeof(bool) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		length[i] = 1;
		if (find_root(parent, i) != i)
			taken[i] = taken[find_root(parent, i)] = true;
		for (int j = 0; j < plan->nodes[i].nconsumers; j++)
			nreads[plan->nodes[i].consumers[j]]++;
	}
	for (int i = 0; i < n; i++)
	{
		int			node = plan->order[i];
		int			reader;

		if (taken[node] || plan->nodes[node].nconsumers != 1)
			continue;
		reader = plan->nodes[node].consumers[0];
		if (taken[reader] || nreads[reader] != 1 || length[node] >= CHAIN_MAX)
			continue;
		join_sets(parent, node, reader);
		length[reader] = length[node] + 1;
	}
	pfree(nreads);
	pfree(length);
	pfree(taken);
}

/* ---- units ---- */

/* Numbers the sets, by their first node in plan->order. */
static int
number_sets(SchedulerPlan *plan, int *parent)
{
	int		   *number = palloc(sizeof(int) * Max(plan->nnodes, 1));
	int			nunits = 0;

	for (int i = 0; i < plan->nnodes; i++)
		number[i] = -1;
	for (int i = 0; i < plan->nnodes; i++)
	{
		int			root = find_root(parent, plan->order[i]);

		if (number[root] < 0)
			number[root] = nunits++;
		plan->nodes[plan->order[i]].unit = number[root];
	}
	pfree(number);
	return nunits;
}

static Dag *
make_graph(SchedulerPlan *plan, int nunits)
{
	Dag		   *dag = pgt_dag_create(nunits);

	for (int i = 0; i < plan->nnodes; i++)
	{
		PlanNode   *node = &plan->nodes[i];

		for (int j = 0; j < node->nconsumers; j++)
		{
			int			to = plan->nodes[node->consumers[j]].unit;

			if (to != node->unit)
				pgt_dag_add_edge(dag, node->unit, to);
		}
	}
	return dag;
}

/* Sets node->unit; returns the units in topological order. */
static int *
order_units(SchedulerPlan *plan, int *parent, int *nunits)
{
	int		   *order;

	for (;;)
	{
		Dag		   *dag;
		bool		ordered;

		*nunits = number_sets(plan, parent);
		order = palloc(sizeof(int) * Max(*nunits, 1));
		dag = make_graph(plan, *nunits);
		ordered = pgt_dag_topological_order(dag, order);
		if (!ordered)
		{
			/* units of a cycle become one */
			bool	   *in_cycle = palloc0(sizeof(bool) * *nunits);
			int			length = pgt_dag_find_cycle(dag, order);
			int			first = -1;

			for (int i = 0; i < length; i++)
				in_cycle[order[i]] = true;
			for (int i = 0; i < plan->nnodes; i++)
			{
				if (!in_cycle[plan->nodes[i].unit])
					continue;
				if (first < 0)
					first = i;
				join_sets(parent, first, i);
			}
			pfree(in_cycle);
		}
		pgt_dag_free(dag);
		if (ordered)
			return order;
		pfree(order);
	}
}

static void
add_unit_source(PlanUnit *unit, int source)
{
	for (int i = 0; i < unit->nsources; i++)
		if (unit->sources[i] == source)
			return;
	unit->sources[unit->nsources++] = source;
}

/* Of the graph of units: who reads whom, without duplicates where they are few. */
static void
connect_units(SchedulerPlan *plan)
{
	int		   *nedges = palloc0(sizeof(int) * Max(plan->nunits, 1));

	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; pass == 1 && i < plan->nunits; i++)
			plan->units[i].sources = palloc(sizeof(int) * Max(nedges[i], 1));
		for (int i = 0; i < plan->nnodes; i++)
		{
			PlanNode   *node = &plan->nodes[i];

			for (int j = 0; j < node->nconsumers; j++)
			{
				int			to = plan->nodes[node->consumers[j]].unit;

				if (to == node->unit)
					continue;
				if (pass == 0)
					nedges[to]++;
				else if (nedges[to] <= 64)
					add_unit_source(&plan->units[to], node->unit);
				else
					plan->units[to].sources[plan->units[to].nsources++] = node->unit;
			}
		}
	}
	pfree(nedges);
}

/*
 * plan->order is set.  group: by node, the diamonds that it belongs to, or -1;
 * cycle: by node, its cycle, or -1.  All is allocated in the current context.
 */
void
pgt_plan_make_units(SchedulerPlan *plan, const int *group, const int *cycle)
{
	int			n = plan->nnodes;
	int		   *parent = palloc(sizeof(int) * Max(n, 1));
	int		   *order;
	int		   *place;

	for (int i = 0; i < n; i++)
		parent[i] = i;
	join_equal(parent, n, group);
	join_equal(parent, n, cycle);
	join_chains(plan, parent);
	order = order_units(plan, parent, &plan->nunits);

	place = palloc(sizeof(int) * Max(plan->nunits, 1));
	for (int i = 0; i < plan->nunits; i++)
		place[order[i]] = i;
	plan->units = palloc0(sizeof(PlanUnit) * Max(plan->nunits, 1));
	for (int i = 0; i < n; i++)
	{
		PlanNode   *node = &plan->nodes[i];

		node->unit = place[node->unit];
		plan->units[node->unit].nmembers++;
	}
	for (int i = 0; i < plan->nunits; i++)
	{
		plan->units[i].members = palloc(sizeof(int) * plan->units[i].nmembers);
		plan->units[i].nmembers = 0;
		plan->units[i].affinity = -1;
	}
	for (int i = 0; i < n; i++)
	{
		int			k = plan->order[i];
		PlanUnit   *unit = &plan->units[plan->nodes[k].unit];

		unit->members[unit->nmembers++] = k;
		if (group[k] >= 0)
			unit->atomic = true;
		if (cycle[k] >= 0)
			unit->cyclic = true;
		if (group[k] >= 0 && plan->nodes[k].slowest)
			unit->slowest = true;
	}
	connect_units(plan);
	pfree(order);
	pfree(place);
	pfree(parent);
}
