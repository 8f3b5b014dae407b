/*-------------------------------------------------------------------------
 *
 * fixpoint.c
 *	  Refresh of a cycle of stream tables.
 *
 * The members of a cycle are refreshed together, in one transaction and for one
 * snapshot.  Their content is the least fixed point: all begin empty; in each
 * round each query is run over what the members have so far, until a round
 * adds nothing.  Since the queries are monotone (query/monotone.c), the results of a
 * round contain those of the one before, so that equal numbers of rows mean equal
 * rows.
 *
 *		reach = SELECT a, b FROM edge UNION SELECT r.a, e.b FROM reach r JOIN edge e ON ...
 *		round	1	the edges
 *				2	and the ways of two edges
 *				...
 *				n	nothing new
 *
 * Rounds work on tuplestores.  The query of a member is taken from its hidden
 * view, each reference to a member replaced by one to an ephemeral relation
 * that holds that member's rows.  Only the end result meets the tables, which
 * are reconciled with it as in any other full refresh: unchanged rows are not
 * touched, and what reads them sees exact changes.
 *
 * The fixed point is computed from nothing each time: rows that only support each
 * other must go when what supported them from outside is deleted.
 *
 * IDENTIFICATION
 *	  src/refresh/fixpoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pgtrickle/delta.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/delta.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/guc.h"

#include "refresh_internal.h"

typedef struct Member
{
	StreamTable *st;
	RefreshRun *run;
	EphemeralNamedRelation enr;
	char	   *sql;
	Tuplestorestate *rows;
	uint64		nrows;
} Member;

typedef struct Cycle
{
	int			nmembers;
	Member	   *members;
	MemoryContext cxt;
} Cycle;

static char *
ephemeral_name(const StreamTable *st)
{
	return psprintf("__pgt_cycle_" INT64_FORMAT, st->pgt_id);
}

/* ---- queries ---- */

static Member *
find_member(Cycle *cycle, Oid relid)
{
	for (int i = 0; i < cycle->nmembers; i++)
		if (cycle->members[i].st->relid == relid)
			return &cycle->members[i];
	return NULL;
}

/* Names by attribute number, empty for dropped columns, as the deparser wants them. */
static List *
column_names(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		names = lappend(names, makeString(att->attisdropped ? pstrdup("") :
										  pstrdup(NameStr(att->attname))));
	}
	table_close(rel, NoLock);
	return names;
}

/*
 * References to members become references to a WITH query of the ephemeral
 * relation's name, which is what they are when deparsed.
 */
static bool
replace_members(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			Member	   *member = rte->rtekind == RTE_RELATION ?
				find_member((Cycle *) context, rte->relid) : NULL;

			if (member == NULL)
				continue;
			rte->rtekind = RTE_CTE;
			rte->ctename = ephemeral_name(member->st);
			rte->ctelevelsup = 0;
			rte->self_reference = false;
			rte->eref = copyObject(rte->eref);
			rte->eref->colnames = column_names(rte->relid);
			rte->relid = InvalidOid;
			rte->relkind = 0;
			rte->inh = false;
#if PG_VERSION_NUM >= 160000
			rte->perminfoindex = 0;
#endif
		}
		return query_tree_walker((Query *) node, replace_members, context, 0);
	}
	return expression_tree_walker(node, replace_members, context);
}

static TupleDesc
live_columns(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *attnums = pgt_storage_live_attnums(relid);
	TupleDesc	result = CreateTemplateTupleDesc(list_length(attnums));
	ListCell   *lc;

	foreach(lc, attnums)
	{
		Form_pg_attribute att = TupleDescAttr(desc, lfirst_int(lc) - 1);
		AttrNumber	attnum = foreach_current_index(lc) + 1;

		TupleDescInitEntry(result, attnum, NameStr(att->attname), att->atttypid,
						   att->atttypmod, 0);
		TupleDescInitEntryCollation(result, attnum, att->attcollation);
	}
	table_close(rel, NoLock);
	return result;
}

static void
prepare_member(Cycle *cycle, Member *member)
{
	Query	   *query = pgt_query_of_view(member->st->definition);
	PinnedEnv	env;

	(void) replace_members((Node *) query, cycle);
	pgt_env_enter(&env, pgt_relation_owner(member->st->relid), member->st->settings);
	member->sql = pgt_delta_query_text(query);
	pgt_env_leave(&env);

	member->enr = palloc0(sizeof(EphemeralNamedRelationData));
	member->enr->md.name = ephemeral_name(member->st);
	member->enr->md.reliddesc = InvalidOid;
	member->enr->md.tupdesc = live_columns(member->st->relid);
	member->enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	member->rows = tuplestore_begin_heap(false, false, work_mem);
	member->enr->reldata = member->rows;
}

/* ---- rounds ---- */

/* The executor asks for rights on tables only, not on what stands for them. */
static void
check_privileges(Cycle *cycle, Member *member)
{
	ListCell   *lc;
	List	   *uses = NIL;

	foreach(lc, pgt_catalog_list_dependencies(member->st->pgt_id))
	{
		Dependency *dep = lfirst(lc);
		SourceUse  *use = palloc0(sizeof(SourceUse));

		if (find_member(cycle, dep->source) == NULL)
			continue;
		use->relid = dep->source;
		use->columns = dep->columns_used;
		uses = lappend(uses, use);
	}
	pgt_definition_check_source_privileges(uses);
}

/* True if there are more rows than before. */
static bool
run_query(Cycle *cycle, Member *member)
{
	Tuplestorestate *result;
	DestReceiver *dest = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options;
	PinnedEnv	env;
	uint64		nrows;
	MemoryContext old = MemoryContextSwitchTo(cycle->cxt);
	int			rc;

	result = tuplestore_begin_heap(false, false, work_mem);
	/* out-of-line values must outlive the snapshot that protects them */
	SetTuplestoreDestReceiverParams(dest, result, cycle->cxt, true, NULL, NULL);
	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = dest;
	pgt_env_enter(&env, pgt_relation_owner(member->st->relid), member->st->settings);
	check_privileges(cycle, member);
	rc = SPI_execute_extended(member->sql, &options);
	if (rc < 0)
		elog(ERROR, "could not execute a round of a cycle: %s", SPI_result_code_string(rc));
	nrows = SPI_processed;
	pgt_env_leave(&env);
	MemoryContextSwitchTo(old);

	Assert(nrows >= member->nrows);
	if (nrows == member->nrows)
	{
		tuplestore_end(result);
		return false;
	}
	tuplestore_end(member->rows);
	member->rows = result;
	member->nrows = nrows;
	member->enr->reldata = result;
	member->enr->md.enrtuples = nrows;
	return true;
}

static void
fail_to_converge(Cycle *cycle)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < cycle->nmembers; i++)
		appendStringInfo(&buf, "%s%s", i ? ", " : "",
						 pgt_relation_label(cycle->members[i].st->relid));
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("cycle of stream tables has no fixed point after %d iterations",
					pgt_max_fixpoint_iterations),
			 errdetail("Its members are %s.", buf.data),
			 errhint("Raise pg_trickle.max_fixpoint_iterations, unless the queries find new rows for ever: UNION instead of UNION ALL removes those that come again.")));
}

/* Number of rounds, the last of which found nothing new. */
static int
iterate(Cycle *cycle)
{
	bool		grows = true;
	int			rounds = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < cycle->nmembers; i++)
	{
		int			rc = SPI_register_relation(cycle->members[i].enr);

		if (rc != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register rows of a cycle: %s", SPI_result_code_string(rc));
	}
	while (grows)
	{
		if (rounds >= pgt_max_fixpoint_iterations)
			fail_to_converge(cycle);
		grows = false;
		rounds++;
		for (int i = 0; i < cycle->nmembers; i++)
		{
			CHECK_FOR_INTERRUPTS();
			grows |= run_query(cycle, &cycle->members[i]);
		}
	}
	SPI_finish();
	MemoryContextSwitchTo(cycle->cxt);
	return rounds;
}

/* ---- the refresh ---- */

static bool
same_members(List *a, List *b)
{
	if (list_length(a) != list_length(b))
		return false;
	for (int i = 0; i < list_length(a); i++)
		if (((StreamTable *) list_nth(a, i))->pgt_id != ((StreamTable *) list_nth(b, i))->pgt_id)
			return false;
	return true;
}

/*
 * Locks the members by id, and makes them ours if they were restored.  Doing so
 * may change who is a member; then everything begins anew.
 */
static List *
lock_members(Oid relid)
{
	for (;;)
	{
		StreamTable *st = pgt_catalog_get_stream_table(relid, false);
		List	   *members = pgt_cycle_members(st);
		List	   *again = NIL;
		ListCell   *lc;

		if (members == NIL)
			members = list_make1(st);
		foreach(lc, members)
		{
			(void) pgt_catalog_lock_stream_table(((StreamTable *) lfirst(lc))->pgt_id, false);
			st = pgt_catalog_get_stream_table(((StreamTable *) lfirst(lc))->relid, false);
			(void) pgt_definition_adopt_if_foreign(st);
		}
		st = pgt_catalog_get_stream_table(relid, false);
		if (!pgt_cycle_is_member(st))
			return NIL;
		again = pgt_cycle_members(st);
		if (same_members(members, again))
			return again;
	}
}

static void
check_status(const StreamTable *st)
{
	if (st->status == PGT_STATUS_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stream table \"%s\" is suspended", pgt_relation_label(st->relid)),
				 errdetail("The members of a cycle are refreshed together."),
				 errhint("Use pgtrickle.resume_stream_table() first.")));
}

static void
begin_members(Cycle *cycle)
{
	TimestampTz when;

	CommandCounterIncrement();
	PushCopiedSnapshot(pgt_refresh_snapshot(&when));
	UpdateActiveSnapshotCommandId();
	for (int i = 0; i < cycle->nmembers; i++)
		pgt_refresh_begin_member(cycle->members[i].run, when);
}

static bool
is_untouched(Cycle *cycle)
{
	List	   *relids = NIL;

	for (int i = 0; i < cycle->nmembers; i++)
		relids = lappend_oid(relids, cycle->members[i].st->relid);
	for (int i = 0; i < cycle->nmembers; i++)
		if (!pgt_refresh_is_untouched(cycle->members[i].run, relids))
			return false;
	return true;
}

static void
refresh_members(Cycle *cycle)
{
	CycleResult result;

	if (is_untouched(cycle))
	{
		for (int i = 0; i < cycle->nmembers; i++)
			pgt_refresh_leave_member(cycle->members[i].run);
		return;
	}
	for (int i = 0; i < cycle->nmembers; i++)
		prepare_member(cycle, &cycle->members[i]);
	result.iterations = iterate(cycle);
	for (int i = 0; i < cycle->nmembers; i++)
	{
		Member	   *member = &cycle->members[i];

		result.rows = member->rows;
		result.desc = member->enr->md.tupdesc;
		pgt_refresh_take_result(member->run, &result);
		tuplestore_end(member->rows);
	}
}

static void
close_members(Cycle *cycle, bool failed)
{
	for (int i = 0; i < cycle->nmembers; i++)
		if (cycle->members[i].run)
			pgt_refresh_close_member(cycle->members[i].run, failed);
}

/* False if the stream table is not in a cycle any more. */
bool
pgt_refresh_cycle(Oid relid, RefreshInitiator by, RefreshRecord *rec)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle cycle",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List	   *members = lock_members(relid);
	Cycle		cycle = {0};

	if (members == NIL)
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
		return false;
	}
	cycle.cxt = cxt;
	cycle.members = palloc0(sizeof(Member) * list_length(members));
	PG_TRY();
	{
		while (cycle.nmembers < list_length(members))
		{
			Member	   *member = &cycle.members[cycle.nmembers];

			member->st = list_nth(members, cycle.nmembers);
			cycle.nmembers++;
			check_status(member->st);
			member->run = palloc0(sizeof(RefreshRun));
			pgt_refresh_open_member(member->run, member->st, by,
									member->st->relid == relid ? rec :
									palloc(sizeof(RefreshRecord)));
			member->run->peers = members;
		}
		begin_members(&cycle);
		refresh_members(&cycle);
		close_members(&cycle, false);
		PopActiveSnapshot();
	}
	PG_CATCH();
	{
		close_members(&cycle, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	/* texts of the record outlive the refresh */
	rec->fallback_reason = rec->fallback_reason ? pstrdup(rec->fallback_reason) : NULL;
	rec->strategy = rec->strategy ? pstrdup(rec->strategy) : NULL;
	MemoryContextDelete(cxt);
	return true;
}
