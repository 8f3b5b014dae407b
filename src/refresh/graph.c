/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The dependency graph, from the catalog.
 *
 * IDENTIFICATION
 *	  src/refresh/graph.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "pgtrickle/graph.h"

typedef struct RelationNode
{
	Oid			relid;
	int			node;
} RelationNode;

static HTAB *
make_hash(int size)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(RelationNode);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("pg_trickle dependency graph", Max(size, 16), &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static int
node_of(CatalogGraph *graph, HTAB *hash, Oid relid, int *maxnodes)
{
	bool		found;
	RelationNode *entry = hash_search(hash, &relid, HASH_ENTER, &found);

	if (found)
		return entry->node;
	if (graph->nnodes >= *maxnodes)
	{
		*maxnodes *= 2;
		graph->relids = repalloc(graph->relids, *maxnodes * sizeof(Oid));
		graph->tables = repalloc(graph->tables, *maxnodes * sizeof(StreamTable *));
	}
	entry->node = graph->nnodes++;
	graph->relids[entry->node] = relid;
	graph->tables[entry->node] = NULL;
	return entry->node;
}

/* In the current memory context.  A stream table that is being dropped is left out. */
CatalogGraph *
pgt_graph_load(void)
{
	CatalogGraph *graph = palloc0(sizeof(CatalogGraph));
	List	   *tables = pgt_catalog_list_stream_tables();
	List	   *edges = NIL;		/* from, to, from, to ... */
	int			maxnodes = Max(list_length(tables) * 2, 16);
	HTAB	   *hash = make_hash(maxnodes);
	ListCell   *lc;

	graph->relids = palloc(maxnodes * sizeof(Oid));
	graph->tables = palloc(maxnodes * sizeof(StreamTable *));
	foreach(lc, tables)
	{
		StreamTable *st = lfirst(lc);

		if (get_rel_name(st->relid) != NULL)
			graph->tables[node_of(graph, hash, st->relid, &maxnodes)] = st;
	}
	graph->ntables = graph->nnodes;
	for (int i = 0; i < graph->ntables; i++)
	{
		foreach(lc, pgt_catalog_list_dependencies(graph->tables[i]->pgt_id))
		{
			Oid			source = ((Dependency *) lfirst(lc))->source;

			if (get_rel_name(source) == NULL)
				continue;
			edges = lappend_int(edges, node_of(graph, hash, source, &maxnodes));
			edges = lappend_int(edges, i);
		}
	}
	graph->dag = pgt_dag_create(graph->nnodes);
	for (int i = 0; i < list_length(edges); i += 2)
		pgt_dag_add_edge(graph->dag, list_nth_int(edges, i), list_nth_int(edges, i + 1));
	list_free(edges);
	hash_destroy(hash);
	return graph;
}

/* ---- diamonds ---- */

static bool
some_end_says(const CatalogGraph *graph, const DagAnalysis *a, int group,
			  bool (*test) (const StreamTable *st))
{
	for (int i = 0; i < graph->ntables; i++)
		if (a->group[i] == group && a->convergence[i] && test(graph->tables[i]))
			return true;
	return false;
}

static bool
wants_atomic(const StreamTable *st)
{
	return st->diamond_consistency == NULL || strcmp(st->diamond_consistency, "atomic") == 0;
}

static bool
wants_slowest(const StreamTable *st)
{
	return st->diamond_schedule_policy != NULL &&
		strcmp(st->diamond_schedule_policy, "slowest") == 0;
}

bool
pgt_graph_is_atomic(const CatalogGraph *graph, const DagAnalysis *a, int group)
{
	return some_end_says(graph, a, group, wants_atomic);
}

bool
pgt_graph_is_slowest(const CatalogGraph *graph, const DagAnalysis *a, int group)
{
	return some_end_says(graph, a, group, wants_slowest);
}
