/*-------------------------------------------------------------------------
 *
 * load.c
 *	  From the catalog to the scheduler's plan.
 *
 * IDENTIFICATION
 *	  src/scheduler/load.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/dag.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/query.h"

#include "scheduler_internal.h"

/* of a refresh that was never done */
#define UNKNOWN_USECS	USECS_PER_SEC

/*
 * What is recomputed needs a source whose writes of any kind are noticed, not
 * only those of the columns that other stream tables use.
 */
static void
add_source(PlanNode *node, const StreamTable *st, Dependency *dep)
{
	PlanSource *source = &node->sources[node->nsources++];
	ChangeSource *cs = pgt_catalog_get_change_source(dep->source, true);

	source->relid = dep->source;
	source->captured = cs != NULL &&
		(cs->touches || (st->differential && st->refresh_mode != PGT_MODE_FULL));
	source->seen = 0;
	source->pending = 0;
	source->node = -1;
	if (!source->captured)
		node->always = true;
}

/*
 * May the result change though no source does?  Then it has to be computed
 * again each time it is due.  Only what is recomputed anyway can be like that.
 */
static bool
depends_on_more(const StreamTable *st)
{
	if (st->differential || get_rel_relkind(st->definition) != RELKIND_VIEW)
		return false;
	return !pgt_query_analyze(pgt_query_of_view(st->definition), NULL)->determined;
}

/* Was it restored or copied, and nobody has refreshed it since? */
static bool
is_foreign(const StreamTable *st)
{
	return strcmp(st->stamp, pgt_catalog_make_stamp(st->relid)) != 0;
}

/* Filling it, or rebuilding it, comes before refreshing it with others. */
bool
pgt_scheduler_needs_rebuild(const StreamTable *st)
{
	return !st->is_populated || st->needs_reinit || is_foreign(st);
}

/* How long a refresh takes, from what the catalog knows; microseconds. */
static int64
expected_duration(const RefreshState *state, bool rebuild)
{
	if (state->diff_refreshes > 0 && !rebuild)
		return (int64) (state->total_diff_ms / state->diff_refreshes * 1000);
	if (state->full_refreshes > 0)
		return (int64) (state->total_full_ms / state->full_refreshes * 1000);
	return UNKNOWN_USECS;
}

/*
 * Fills a node from the catalog, and from the node of the old plan, if any.
 * What is new, or known only since this process runs, is refreshed once to
 * begin with: the counters say nothing about the time before.
 */
static void
load_node(PlanNode *node, StreamTable *st, List *deps, RefreshState *state,
		  const PlanNode *old, bool more)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;

	node->pgt_id = st->pgt_id;
	node->relid = st->relid;
	node->label = get_rel_name(st->relid) ? pgt_relation_label(st->relid) :
		psprintf("(id " INT64_FORMAT ")", st->pgt_id);
	node->schedule = pgt_schedule_read(st->schedule);
	node->active = (st->status == PGT_STATUS_ACTIVE ||
					st->status == PGT_STATUS_INITIALIZING) &&
		!(is_foreign(st) && pgt_restore_under_way());
	node->retry_at = st->retry_at;
	node->last_refresh = state->last_refresh_at;
	node->stretch = 1;
	node->rebuild = pgt_scheduler_needs_rebuild(st);
	node->force = node->rebuild || st->retry_at != 0;
	node->atomic = st->diamond_consistency == NULL ||
		strcmp(st->diamond_consistency, "atomic") == 0;
	node->slowest = st->diamond_schedule_policy != NULL &&
		strcmp(st->diamond_schedule_policy, "slowest") == 0;
	node->expected = expected_duration(state, node->rebuild);
	node->generation = st->generation;
	node->more = more;
	node->always = more;
	node->sources = palloc0(sizeof(PlanSource) * Max(list_length(deps), 1));
	foreach(lc, deps)
		add_source(node, st, lfirst(lc));

	pgt_plan_forget_future(node, now);
	if (old == NULL || old->relid != node->relid)
	{
		node->force = true;
		return;
	}
	node->force |= old->force || (node->active && !old->active);
	node->last_refresh = Max(node->last_refresh, old->last_refresh);
	node->last_look = old->last_look;
	node->stretch = old->stretch;
	node->overruns = old->overruns;
	node->lock_timeouts = old->lock_timeouts;
	node->hold_until = old->hold_until;
	node->underruns = old->underruns;
	node->running = old->running;
	node->pending_since = old->pending_since;
	node->slow_runs = old->slow_runs;
	node->told_stale = old->told_stale;
	node->told_behind = old->told_behind;
	node->alert_stale = old->alert_stale;
	node->alert_behind = old->alert_behind;
	node->usecs = old->usecs;
	node->attempts = old->attempts;
	pgt_plan_forget_future(node, now);
	if (old->last_refresh != 0 && !node->rebuild)
		node->expected = old->expected;
	for (int i = 0; i < node->nsources; i++)
	{
		int			j;

		for (j = 0; j < old->nsources; j++)
			if (old->sources[j].relid == node->sources[i].relid)
				break;
		if (j < old->nsources && old->sources[j].captured)
		{
			node->sources[i].seen = old->sources[j].seen;
			node->sources[i].pending = old->sources[j].pending;
		}
		else
			node->force = true;
	}
}

typedef struct NodeEntry
{
	int64		key;			/* pgt_id, or relid */
	int			node;
} NodeEntry;

static HTAB *
make_node_hash(int size)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(NodeEntry);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("pg_trickle scheduler nodes", Max(size, 16), &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
hash_node(HTAB *hash, int64 key, int node)
{
	NodeEntry  *entry = hash_search(hash, &key, HASH_ENTER, NULL);

	entry->node = node;
}

static int
lookup_node(HTAB *hash, int64 key)
{
	NodeEntry  *entry = hash_search(hash, &key, HASH_FIND, NULL);

	return entry ? entry->node : -1;
}

/* Readers of each node. */
static void
connect_nodes(SchedulerPlan *plan)
{
	HTAB	   *by_relid = make_node_hash(plan->nnodes);

	for (int i = 0; i < plan->nnodes; i++)
		hash_node(by_relid, plan->nodes[i].relid, i);
	/* count, then fill */
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < plan->nnodes; i++)
		{
			PlanNode   *node = &plan->nodes[i];

			for (int j = 0; j < node->nsources; j++)
			{
				int			from = lookup_node(by_relid, node->sources[j].relid);

				if (from < 0)
					continue;
				node->sources[j].node = from;
				if (pass == 1)
					plan->nodes[from].consumers[plan->nodes[from].nconsumers] = i;
				plan->nodes[from].nconsumers++;
			}
		}
		for (int i = 0; pass == 0 && i < plan->nnodes; i++)
		{
			PlanNode   *node = &plan->nodes[i];

			node->consumers = palloc(sizeof(int) * Max(node->nconsumers, 1));
			node->nconsumers = 0;
		}
	}
	hash_destroy(by_relid);
}

/* The graph of the nodes, and after them of the tables that they read. */
static Dag *
make_graph(SchedulerPlan *plan)
{
	HTAB	   *tables = make_node_hash(plan->nnodes);
	int			n = plan->nnodes;
	Dag		   *dag;

	for (int pass = 0; pass < 2; pass++)
	{
		if (pass == 1)
			dag = pgt_dag_create(n);
		for (int i = 0; i < plan->nnodes; i++)
		{
			PlanNode   *node = &plan->nodes[i];

			for (int j = 0; j < node->nsources; j++)
			{
				int			from = node->sources[j].node;

				if (from < 0)
					from = lookup_node(tables, node->sources[j].relid);
				if (from < 0)
					hash_node(tables, node->sources[j].relid, n++);
				if (pass == 1)
					pgt_dag_add_edge(dag, from, i);
			}
		}
	}
	hash_destroy(tables);
	return dag;
}

/* A cycle is refreshed as a whole, so one member that is suspended stops all. */
static void
rest_cycles(SchedulerPlan *plan, const int *cycle)
{
	Bitmapset  *resting = NULL;

	for (int i = 0; i < plan->nnodes; i++)
		if (cycle[i] >= 0 && !plan->nodes[i].active)
			resting = bms_add_member(resting, cycle[i]);
	for (int i = 0; i < plan->nnodes; i++)
		if (cycle[i] >= 0 && bms_is_member(cycle[i], resting))
			plan->nodes[i].active = false;
	bms_free(resting);
}

/*
 * Order and units.  The diamonds of a group are consistent, or wait for the slowest,
 * if one of the stream tables says so in which they end.
 */
static void
analyze_graph(SchedulerPlan *plan)
{
	Dag		   *dag = make_graph(plan);
	DagAnalysis *a = pgt_dag_analyze(dag);
	int		   *group = palloc(sizeof(int) * Max(plan->nnodes, 1));
	int		   *cycle = palloc(sizeof(int) * Max(plan->nnodes, 1));
	bool	   *atomic = palloc0(sizeof(bool) * Max(a->ngroups, 1));
	int			n = 0;

	plan->order = palloc(sizeof(int) * Max(plan->nnodes, 1));
	for (int i = 0; i < a->nnodes; i++)
		if (a->order[i] < plan->nnodes)
			plan->order[n++] = a->order[i];
	for (int i = 0; i < plan->nnodes; i++)
	{
		if (!a->convergence[i] || a->group[i] < 0)
			continue;
		atomic[a->group[i]] |= plan->nodes[i].atomic;
	}
	for (int i = 0; i < plan->nnodes; i++)
	{
		group[i] = a->group[i] >= 0 && atomic[a->group[i]] ? a->group[i] : -1;
		cycle[i] = a->cyclic[a->component[i]] ? a->component[i] : -1;
		plan->nodes[i].cycle = cycle[i] + 1;
		plan->nodes[i].slowest &= a->convergence[i];
	}
	rest_cycles(plan, cycle);
	pgt_plan_make_units(plan, group, cycle);
	pgt_dag_analysis_free(a);
	pgt_dag_free(dag);
	pfree(group);
	pfree(cycle);
	pfree(atomic);
}

PlanNode *
pgt_plan_find(SchedulerPlan *plan, int64 pgt_id)
{
	int			i = lookup_node(plan->by_id, pgt_id);

	return i < 0 ? NULL : &plan->nodes[i];
}

/* A worker has the plans of what it refreshed before. */
static void
keep_affinity(SchedulerPlan *plan, const SchedulerPlan *old)
{
	for (int i = 0; i < old->nunits; i++)
	{
		const PlanUnit *unit = &old->units[i];
		PlanNode   *node;

		if (unit->affinity < 0)
			continue;
		node = pgt_plan_find(plan, old->nodes[unit->members[0]].pgt_id);
		if (node != NULL)
			plan->units[node->unit].affinity = unit->affinity;
	}
}

/*
 * Reads the catalog, in a transaction.  The result lives in a context of its
 * own below TopMemoryContext; the old plan (NULL at first) is freed.  With
 * intervals_only, some questions are not asked that only refreshing needs.
 */
SchedulerPlan *
pgt_plan_load(SchedulerPlan *old, bool intervals_only)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pg_trickle scheduler plan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context;
	List	   *list = pgt_catalog_list_stream_tables();
	HTAB	   *old_nodes = make_node_hash(old ? old->nnodes : 0);
	SchedulerPlan *plan;
	ListCell   *lc;

	for (int i = 0; old && i < old->nnodes; i++)
		hash_node(old_nodes, old->nodes[i].pgt_id, i);

	old_context = MemoryContextSwitchTo(context);
	plan = palloc0(sizeof(SchedulerPlan));
	plan->context = context;
	plan->nodes = palloc0(sizeof(PlanNode) * Max(list_length(list), 1));
	foreach(lc, list)
	{
		StreamTable *st = lfirst(lc);
		int			i = lookup_node(old_nodes, st->pgt_id);
		const PlanNode *old_node = i < 0 ? NULL : &old->nodes[i];
		List	   *deps;
		RefreshState *state;
		bool		more;

		/* what is read only to be looked at stays out of the plan's context */
		MemoryContextSwitchTo(old_context);
		deps = pgt_catalog_list_dependencies(st->pgt_id);
		state = pgt_catalog_get_refresh_state(st->pgt_id, false);
		if (intervals_only)
			more = false;
		else if (old_node && old_node->generation == st->generation)
			more = old_node->more;
		else
			more = depends_on_more(st);
		MemoryContextSwitchTo(context);
		load_node(&plan->nodes[plan->nnodes++], st, deps, state, old_node, more);
	}
	connect_nodes(plan);
	analyze_graph(plan);
	pgt_plan_set_intervals(plan, pgt_default_schedule_seconds);
	plan->look_due = palloc0(sizeof(TimestampTz) * Max(plan->nnodes, 1));
	plan->look_after = palloc0(sizeof(int64) * Max(plan->nnodes, 1));
	plan->looks = palloc0(sizeof(RefreshLooks *) * Max(plan->nnodes, 1));
	plan->by_id = make_node_hash(plan->nnodes);
	for (int i = 0; i < plan->nnodes; i++)
		hash_node(plan->by_id, plan->nodes[i].pgt_id, i);
	if (old)
		keep_affinity(plan, old);
	MemoryContextSwitchTo(old_context);

	/* complete: from here on nothing fails */
	hash_destroy(old_nodes);
	MemoryContextSetParent(context, TopMemoryContext);
	if (old)
		MemoryContextDelete(old->context);
	return plan;
}

/*
 * Effective intervals in microseconds, 0 = none, in the order of the stream
 * tables in pgt_catalog_list_stream_tables().
 */
int64 *
pgt_scheduler_intervals(int *count)
{
	SchedulerPlan *plan = pgt_plan_load(NULL, true);
	int64	   *intervals = palloc(sizeof(int64) * Max(plan->nnodes, 1));

	*count = plan->nnodes;
	for (int i = 0; i < plan->nnodes; i++)
		intervals[i] = plan->nodes[i].interval;
	MemoryContextDelete(plan->context);
	return intervals;
}
