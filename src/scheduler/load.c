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
#include "optimizer/optimizer.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/dag.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/query.h"

#include "scheduler_internal.h"

static void
add_source(PlanNode *node, Dependency *dep)
{
	PlanSource *source = &node->sources[node->nsources++];

	source->relid = dep->source;
	source->captured = pgt_catalog_get_change_source(dep->source, true) != NULL;
	source->seen = 0;
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
	Query	   *query;
	ListCell   *lc;

	if (st->differential || get_rel_relkind(st->definition) != RELKIND_VIEW)
		return false;
	query = pgt_query_of_view(st->definition);
	if (contain_volatile_functions((Node *) query))
		return true;
	foreach(lc, pgt_query_obstacles(query, NULL))
	{
		UnsupportedReason *reason = lfirst(lc);

		if (strcmp(reason->code, "stable_function") == 0)
			return true;
		/* its arguments and the function itself are not looked into */
		if (strcmp(reason->code, "function_in_from") == 0 &&
			contain_mutable_functions((Node *) query))
			return true;
	}
	return false;
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
	ListCell   *lc;

	node->pgt_id = st->pgt_id;
	node->relid = st->relid;
	node->label = get_rel_name(st->relid) ? pgt_relation_label(st->relid) :
		psprintf("(id " INT64_FORMAT ")", st->pgt_id);
	node->schedule = pgt_schedule_read(st->schedule);
	node->active = st->status == PGT_STATUS_ACTIVE ||
		st->status == PGT_STATUS_INITIALIZING;
	node->retry_at = st->retry_at;
	node->last_refresh = state->last_refresh_at;
	node->stretch = 1;
	node->force = !st->is_populated || st->needs_reinit || st->retry_at != 0 ||
		strcmp(st->stamp, pgt_catalog_make_stamp(st->relid)) != 0;
	node->generation = st->generation;
	node->more = more;
	node->always = more;
	node->sources = palloc0(sizeof(PlanSource) * Max(list_length(deps), 1));
	foreach(lc, deps)
		add_source(node, lfirst(lc));

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
	if (old->lock_timeouts > 0)
		node->retry_at = Max(node->retry_at, old->retry_at);
	node->underruns = old->underruns;
	for (int i = 0; i < node->nsources; i++)
	{
		int			j;

		for (j = 0; j < old->nsources; j++)
			if (old->sources[j].relid == node->sources[i].relid)
				break;
		if (j < old->nsources && old->sources[j].captured)
			node->sources[i].seen = old->sources[j].seen;
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

/* Consumers and topological order. */
static void
connect_nodes(SchedulerPlan *plan)
{
	HTAB	   *by_relid = make_node_hash(plan->nnodes);
	Dag		   *dag = pgt_dag_create(plan->nnodes);

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
				if (pass == 1)
				{
					plan->nodes[from].consumers[plan->nodes[from].nconsumers] = i;
					pgt_dag_add_edge(dag, from, i);
				}
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

	plan->order = palloc(sizeof(int) * Max(plan->nnodes, 1));
	if (!pgt_dag_topological_order(dag, plan->order))
	{
		/* not possible to create; in a damaged catalog, by age */
		ereport(LOG, (errmsg("stream tables depend on one another in a cycle")));
		for (int i = 0; i < plan->nnodes; i++)
			plan->order[i] = i;
	}
	pgt_dag_free(dag);
	hash_destroy(by_relid);
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
	pgt_plan_set_intervals(plan, pgt_default_schedule_seconds);
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
