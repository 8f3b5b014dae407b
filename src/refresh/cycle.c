/*-------------------------------------------------------------------------
 *
 * cycle.c
 *	  Cycles of stream tables: who is in one, and may be.
 *
 * A stream table that reads itself, directly or through others, is a member of a
 * cycle.  Members have the downgrade code "cycle": they are not maintained by
 * deltas, and a refresh of one is a refresh of all (fixpoint.c).  A cycle comes
 * into being when the definition of one of them is changed; the others are then
 * defined anew, as they are when it is broken.
 *
 * All members have one owner, who thereby agrees to what altering one of them does
 * to the others.
 *
 * IDENTIFICATION
 *	  src/refresh/cycle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/guc.h"

#include "refresh_internal.h"

bool
pgt_cycle_is_member(const StreamTable *st)
{
	return st->downgrade_code != NULL && strcmp(st->downgrade_code, PGT_CYCLE_CODE) == 0;
}

/* ---- the part of the graph above a stream table ---- */

typedef struct Upstream
{
	List	   *relids;			/* OIDs of stream tables, by node; 0: the one asked for */
	Dag		   *dag;
} Upstream;

static int
position_of(List *relids, Oid relid)
{
	ListCell   *lc;

	foreach(lc, relids)
		if (lfirst_oid(lc) == relid)
			return foreach_current_index(lc);
	return -1;
}

/* OIDs of the stream tables among what a stream table reads. */
static List *
stream_tables_read(Oid relid)
{
	StreamTable *st = pgt_catalog_get_stream_table(relid, true);
	List	   *result = NIL;
	ListCell   *lc;

	if (st == NULL)
		return NIL;
	foreach(lc, pgt_catalog_list_dependencies(st->pgt_id))
	{
		Dependency *dep = lfirst(lc);

		if (dep->is_stream_table)
			result = lappend_oid(result, dep->source);
	}
	return result;
}

/* All that relid reads, directly or not, if it itself reads these. */
static Upstream *
find_upstream(Oid relid, List *reads)
{
	Upstream   *up = palloc0(sizeof(Upstream));
	List	   *edges = NIL;
	ListCell   *lc;

	up->relids = list_make1_oid(relid);
	for (int i = 0; i < list_length(up->relids); i++)
	{
		Oid			reader = list_nth_oid(up->relids, i);

		foreach(lc, i == 0 ? reads : stream_tables_read(reader))
		{
			int			source = position_of(up->relids, lfirst_oid(lc));

			if (source < 0)
			{
				source = list_length(up->relids);
				up->relids = lappend_oid(up->relids, lfirst_oid(lc));
			}
			edges = lappend_int(edges, source);
			edges = lappend_int(edges, i);
		}
	}
	up->dag = pgt_dag_create(list_length(up->relids));
	for (int i = 0; i < list_length(edges); i += 2)
		pgt_dag_add_edge(up->dag, list_nth_int(edges, i), list_nth_int(edges, i + 1));
	return up;
}

/* OIDs of the members of relid's cycle; NIL if it is in none. */
static List *
members_of(Upstream *up)
{
	DagAnalysis *a = pgt_dag_analyze(up->dag);
	List	   *result = NIL;

	if (a->cyclic[a->component[0]])
	{
		for (int i = 0; i < a->nnodes; i++)
			if (a->component[i] == a->component[0])
				result = lappend_oid(result, list_nth_oid(up->relids, i));
	}
	pgt_dag_analysis_free(a);
	return result;
}

static List *
stream_tables_among(List *sources)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, sources)
		if (((SourceUse *) lfirst(lc))->is_stream_table)
			result = lappend_oid(result, ((SourceUse *) lfirst(lc))->relid);
	return result;
}

/* "a -> b -> a": who is read by whom, from relid to relid, along a shortest way. */
static char *
describe(Upstream *up)
{
	int		   *path = palloc(sizeof(int) * list_length(up->relids));
	int			edge = -1;
	int			reader;
	int			length = 0;
	StringInfoData buf;

	/* the ways go from sources to readers: from one that reads relid back to it */
	while (length == 0 && (reader = pgt_dag_next_reader(up->dag, 0, &edge)) >= 0)
		length = pgt_dag_find_path(up->dag, 0, reader, path);
	initStringInfo(&buf);
	appendStringInfoString(&buf, pgt_relation_label(linitial_oid(up->relids)));
	for (int i = 0; i < length; i++)
		appendStringInfo(&buf, " -> %s",
						 pgt_relation_label(list_nth_oid(up->relids, path[i])));
	return buf.data;
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int64		x = ((StreamTable *) lfirst(a))->pgt_id;
	int64		y = ((StreamTable *) lfirst(b))->pgt_id;

	return x < y ? -1 : x > y ? 1 : 0;
}

static List *
tables_by_id(List *relids)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		StreamTable *st = pgt_catalog_get_stream_table(lfirst_oid(lc), true);

		if (st)
			result = lappend(result, st);
	}
	list_sort(result, compare_ids);
	return result;
}

List *
pgt_cycle_members(const StreamTable *st)
{
	return tables_by_id(members_of(find_upstream(st->relid, stream_tables_read(st->relid))));
}

/* ---- may it be? ---- */

static void
throw_reason(const UnsupportedReason *reason, const StreamTable *st, const char *cycle)
{
	ereport(ERROR,
			(errcode(reason->sqlstate),
			 errmsg("%s", reason->message),
			 errdetail("The cycle is %s; this is about the query of \"%s\". %s", cycle,
					   pgt_relation_label(st->relid), reason->detail),
			 errhint("%s", reason->hint)));
}

static void
check_member(const StreamTable *st, Query *query, List *members, Oid owner, const char *cycle)
{
	UnsupportedReason *reason = pgt_query_find_non_monotone(query, members);

	if (reason)
		throw_reason(reason, st, cycle);
	if (st->refresh_mode != PGT_MODE_AUTO && st->refresh_mode != PGT_MODE_FULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream table \"%s\" with refresh mode %s cannot be part of a cycle",
						pgt_relation_label(st->relid), pgt_mode_name(st->refresh_mode)),
				 errdetail("The cycle is %s.", cycle),
				 errhint("Use refresh mode AUTO or FULL.")));
	if (pgt_relation_owner(st->relid) != owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("stream tables of a cycle must have the same owner"),
				 errdetail("The cycle is %s; \"%s\" is owned by another role.", cycle,
						   pgt_relation_label(st->relid))));
}

/*
 * Is a stream table with this definition a member of a cycle?  ERROR if it would
 * make one that cannot or must not be.  Locks the other members, before anything is
 * changed.
 */
bool
pgt_cycle_check(const StreamTable *st, const QueryAnalysis *analysis)
{
	Upstream   *up;
	List	   *members;
	char	   *cycle;
	ListCell   *lc;

	if (!OidIsValid(st->relid))
		return false;			/* nobody reads what is not there yet */
	up = find_upstream(st->relid, stream_tables_among(analysis->sources));
	members = members_of(up);
	if (members == NIL)
		return false;
	cycle = describe(up);
	if (!pgt_allow_circular && !pgt_cycle_is_member(st))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("stream table \"%s\" cannot read itself%s", get_rel_name(st->relid),
						list_length(members) > 1 ? " through other stream tables" : ""),
				 errdetail("The cycle is %s.", cycle),
				 errhint("Monotone queries may be in a cycle if pg_trickle.allow_circular is on.")));
	foreach(lc, tables_by_id(members))
	{
		StreamTable *member = lfirst(lc);

		if (member->relid == st->relid)
		{
			check_member(st, analysis->query, members, pgt_relation_owner(st->relid), cycle);
			continue;
		}
		(void) pgt_catalog_lock_stream_table(member->pgt_id, false);
		check_member(member, pgt_query_of_view(member->definition), members,
					 pgt_relation_owner(st->relid), cycle);
	}
	return true;
}

/* ---- coming and going ---- */

void
pgt_cycle_update_members(int64 except)
{
	CatalogGraph *graph = pgt_graph_load();
	DagAnalysis *a = pgt_dag_analyze(graph->dag);

	for (int i = 0; i < graph->ntables; i++)
	{
		bool		cyclic = a->cyclic[a->component[i]];
		StreamTable *st = graph->tables[i];

		if (st->pgt_id == except || cyclic == pgt_cycle_is_member(st))
			continue;
		(void) pgt_catalog_lock_stream_table(st->pgt_id, false);
		st = pgt_catalog_get_stream_table_by_id(st->pgt_id, true);
		if (st == NULL || cyclic == pgt_cycle_is_member(st))
			continue;
		pgt_definition_redo(st, cyclic ? "it became part of a cycle of stream tables" :
							"it is part of a cycle of stream tables no more");
	}
	pgt_dag_analysis_free(a);
	pgt_dag_free(graph->dag);
}
