/*-------------------------------------------------------------------------
 *
 * column_type.c
 *	  ALTER COLUMN TYPE on a column that definitions use.
 *
 * PostgreSQL refuses it as long as a view mentions the column, and so it would
 * for our hidden views.  We follow it instead:
 *
 *		ddl_command_start	deparse and drop the hidden views concerned
 *		the command			changes the type
 *		ddl_command_end		parse the text again and create the views, adapt
 *							the columns of the stream tables
 *
 * Users' own views are refused as ever.  Between the two events nobody else
 * sees anything, since the command's transaction has not committed.  What was
 * dropped is remembered by the command's parse tree; commands may nest (a
 * function called in USING could run DDL), and an error takes back catalog
 * changes and memory alike, whether it ends the transaction or a subtransaction.
 *
 * With pg_trickle.block_source_ddl such commands are refused at the start.
 *
 * IDENTIFICATION
 *	  src/ddl/column_type.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/delta.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/query.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "ddl_internal.h"

/* A hidden view that was dropped at the start of a command. */
typedef struct DroppedView
{
	Node	   *command;
	SubTransactionId subid;
	int64		pgt_id;
	Oid			source;
	char	   *sql;
} DroppedView;

static List *dropped_views = NIL;	/* in TopTransactionContext */
static bool callbacks_registered = false;

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			dropped_views = NIL;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	ListCell   *lc;

	foreach(lc, dropped_views)
	{
		DroppedView *dropped = lfirst(lc);

		if (dropped->subid != mySubid)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			dropped_views = foreach_delete_current(dropped_views, lc);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			dropped->subid = parentSubid;
	}
}

/* ---- start ---- */

static void
refuse(Oid relid, const char *column, List *stream_tables)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, stream_tables)
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "",
						 pgt_relation_label(((StreamTable *) lfirst(lc))->relid));
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot change column \"%s\" of table \"%s\" because stream tables use it",
					column, get_rel_name(relid)),
			 errdetail("It is used by %s.", buf.data),
			 errhint("Set pg_trickle.block_source_ddl to off to let them follow the change.")));
}

static void
drop_view_for(Node *command, StreamTable *st, Oid relid)
{
	MemoryContext save;
	DroppedView *dropped;
	PinnedEnv	env;
	char	   *sql;

	pgt_env_enter_internal(&env);
	sql = pgt_delta_query_text(pgt_query_of_view(st->definition));
	pgt_env_leave(&env);

	if (!callbacks_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		callbacks_registered = true;
	}
	save = MemoryContextSwitchTo(TopTransactionContext);
	dropped = palloc0(sizeof(DroppedView));
	dropped->command = command;
	dropped->subid = GetCurrentSubTransactionId();
	dropped->pgt_id = st->pgt_id;
	dropped->source = relid;
	dropped->sql = pstrdup(sql);
	dropped_views = lappend(dropped_views, dropped);
	MemoryContextSwitchTo(save);

	pgt_definition_drop_view(st->definition);
}

static bool
already_dropped(const StreamTable *st)
{
	ListCell   *lc;

	foreach(lc, dropped_views)
		if (((DroppedView *) lfirst(lc))->pgt_id == st->pgt_id)
			return true;
	return false;
}

/* The relation and all that inherits from it, as the command will see them. */
static void
column_changes(Node *command, Oid relid, const char *column, bool type_change, bool recurse)
{
	List	   *relids = recurse ? find_all_inheritors(relid, NoLock, NULL) :
		list_make1_oid(relid);
	ListCell   *lc,
			   *lc2;

	foreach(lc, relids)
	{
		Oid			member = lfirst_oid(lc);
		AttrNumber	attnum = get_attnum(member, column);
		List	   *affected;

		if (attnum <= 0)
			continue;
		affected = pgt_ddl_stream_tables_of_column(member, attnum);
		if (affected == NIL)
			continue;
		if (pgt_block_source_ddl && !pgt_definition_altering())
			refuse(member, column, affected);
		if (!type_change)
			continue;
		/* what the command is going to take itself */
		LockRelationOid(member, AccessExclusiveLock);
		foreach(lc2, affected)
		{
			StreamTable *st = pgt_ddl_lock(lfirst(lc2), false);

			if (st && !already_dropped(st))
				drop_view_for(command, st, member);
		}
	}
}

/*
 * Nothing happens for a user who may not alter the table: the command itself
 * says so.
 */
static Oid
find_table(RangeVar *rv)
{
	Oid			relid = rv ? RangeVarGetRelid(rv, NoLock, true) : InvalidOid;

	if (!OidIsValid(relid) || !object_ownercheck(RelationRelationId, relid, GetUserId()))
		return InvalidOid;
	return relid;
}

void
pgt_ddl_before_alter_table(Node *parsetree)
{
	if (IsA(parsetree, RenameStmt))
	{
		RenameStmt *stmt = (RenameStmt *) parsetree;
		Oid			relid;

		if (stmt->renameType != OBJECT_COLUMN || stmt->relationType != OBJECT_TABLE ||
			!pgt_block_source_ddl)
			return;
		relid = find_table(stmt->relation);
		if (OidIsValid(relid))
			column_changes(parsetree, relid, stmt->subname, false, stmt->relation->inh);
	}
	else if (IsA(parsetree, AlterTableStmt))
	{
		AlterTableStmt *stmt = (AlterTableStmt *) parsetree;
		ListCell   *lc;

		foreach(lc, stmt->cmds)
		{
			AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
			bool		type_change = cmd->subtype == AT_AlterColumnType;
			Oid			relid;

			if (!type_change && !(cmd->subtype == AT_DropColumn && pgt_block_source_ddl))
				continue;
			relid = find_table(stmt->relation);
			if (OidIsValid(relid))
				column_changes(parsetree, relid, cmd->name, type_change, stmt->relation->inh);
		}
	}
}

/* ---- end ---- */

/* The text with the new types; its error becomes one about the command. */
static Query *
parse_again(const DroppedView *dropped, const char *stname)
{
	MemoryContext context = CurrentMemoryContext;
	Query	   *query = NULL;

	PG_TRY();
	{
		query = pgt_query_parse(dropped->sql);
	}
	PG_CATCH();
	{
		ErrorData  *err;

		MemoryContextSwitchTo(context);
		err = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot alter table \"%s\" because the query of stream table \"%s\" would be invalid",
						get_rel_name(dropped->source), stname),
				 errdetail("With the new column type, it fails: %s.", err->message),
				 errhint("Change the query by pgtrickle.alter_stream_table(), or drop the stream table.")));
	}
	PG_END_TRY();
	return query;
}

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
recreate_view(const DroppedView *dropped)
{
	StreamTable *st = pgt_catalog_get_stream_table_by_id(dropped->pgt_id, true);
	QueryAnalysis *analysis;
	PinnedEnv	env;
	Query	   *query;

	if (st == NULL)
		return;
	pgt_env_enter(&env, owner_of(st->relid), st->settings);
	query = parse_again(dropped, get_rel_name(st->relid));
	analysis = pgt_query_analyze(query, NULL);
	if (analysis->refused)
		pgt_reason_throw(analysis->refused, get_rel_name(st->relid));
	st->definition = pgt_definition_create_view(st, query, analysis->columns);
	pgt_catalog_update_stream_table(st);
	pgt_definition_bind(st);
	pgt_env_leave(&env);

	/* the buffer has a column of the old type */
	(void) pgt_cdc_repair_relation(dropped->source);
	pgt_definition_redo(st, psprintf("a column type of %s was changed",
									 pgt_relation_label(dropped->source)));
	ereport(NOTICE,
			(errmsg("stream table \"%s\" will be recomputed by its next refresh",
					pgt_relation_label(st->relid)),
			 errdetail("Reason: %s.", st->reinit_reason)));
	pgt_scheduler_notify_catalog_change();
}

void
pgt_ddl_after_alter_table(Node *parsetree)
{
	List	   *mine = NIL;
	ListCell   *lc;

	foreach(lc, dropped_views)
	{
		DroppedView *dropped = lfirst(lc);

		if (dropped->command != parsetree)
			continue;
		mine = lappend(mine, dropped);
		dropped_views = foreach_delete_current(dropped_views, lc);
	}
	foreach(lc, mine)
		recreate_view(lfirst(lc));
}
