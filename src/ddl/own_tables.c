/*-------------------------------------------------------------------------
 *
 * own_tables.c
 *	  Commands on stream tables themselves.
 *
 * Whatever the command was, afterwards the table must still be what refreshes
 * write to: these columns, a permanent heap of its own.  So the state is
 * checked and not the command.  All else is the user's: indexes, constraints,
 * grants, comments, policies, triggers, names, schema, owner.
 *
 * IDENTIFICATION
 *	  src/ddl/own_tables.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "ddl_internal.h"

/* The columns that the definition gives, as its view has them. */
static List *
columns_of_view(Oid viewid)
{
	Relation	rel = table_open(viewid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *result = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		result = lappend(result, makeColumnDef(pstrdup(NameStr(att->attname)), att->atttypid,
											   att->atttypmod, att->attcollation));
	}
	table_close(rel, NoLock);
	return result;
}

static void
check_table(StreamTable *st)
{
	Relation	rel = table_open(st->relid, AccessShareLock);
	char	   *name = RelationGetRelationName(rel);

	if (!pgt_definition_columns_equal(st->relid, columns_of_view(st->definition)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot change the columns of stream table \"%s\"", name),
				 errdetail("They are those of its defining query."),
				 errhint("Change the query by pgtrickle.alter_stream_table().")));
	if (rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream table \"%s\" cannot be unlogged", name)));
	if (rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("stream table \"%s\" cannot use another access method than heap", name)));
	if (has_superclass(st->relid) || find_inheritance_children(st->relid, NoLock) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("stream table \"%s\" cannot take part in inheritance", name)));
	table_close(rel, NoLock);
}

/* InvalidOid if the relation is gone */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
follow_owner(Oid relid, Oid owner)
{
	if (owner_of(relid) != owner)
		ATExecChangeOwner(relid, owner, true, AccessExclusiveLock);
}

void
pgt_ddl_stream_table_altered(StreamTable *st)
{
	Oid			owner = owner_of(st->relid);
	ListCell   *lc;

	check_table(st);
	follow_owner(st->definition, owner);
	foreach(lc, pgt_catalog_list_stages(st->pgt_id))
		follow_owner(((StageTable *) lfirst(lc))->relid, owner);
	CommandCounterIncrement();
	pgt_definition_bind(st);
	pgt_definition_revoke_unused_usage();
}

/*
 * The table is gone, and its hidden view with it; the command holds its lock,
 * so no refresh is under way.
 */
void
pgt_ddl_stream_table_dropped(StreamTable *st)
{
	List	   *deps = pgt_catalog_list_dependencies(st->pgt_id);
	ListCell   *lc;

	pgt_storage_drop(st->pgt_id);
	pgt_catalog_delete_stream_table(st->pgt_id);
	foreach(lc, deps)
	{
		Oid			source = ((Dependency *) lfirst(lc))->source;

		/* sources that the same command dropped are dealt with on their own */
		if (get_rel_name(source) != NULL)
			pgt_cdc_detach_source_if_unused(source);
	}
	pgt_definition_revoke_unused_usage();
	pgt_refresh_stats_forget(st->pgt_id);
	pgt_scheduler_notify_catalog_change();
}

void
pgt_ddl_refuse_rule(Oid relid)
{
	if (OidIsValid(relid) && pgt_catalog_get_stream_table(relid, true))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot create a rule on stream table \"%s\"", get_rel_name(relid))));
}

/*
 * DROP OWNED BY drops stream tables, and would stop at their stage tables,
 * which are members of the extension: so they cease to be, and go with it.
 */
void
pgt_ddl_before_drop_owned(Node *parsetree)
{
	ListCell   *lc,
			   *lc2,
			   *lc3;

	foreach(lc, ((DropOwnedStmt *) parsetree)->roles)
	{
		Oid			role = get_rolespec_oid(lfirst_node(RoleSpec, lc), true);

		foreach(lc2, pgt_catalog_list_stream_tables())
		{
			StreamTable *st = lfirst(lc2);

			foreach(lc3, pgt_catalog_list_stages(st->pgt_id))
			{
				Oid			relid = ((StageTable *) lfirst(lc3))->relid;

				if (OidIsValid(role) && owner_of(relid) == role)
					pgt_extension_release_relation(relid);
			}
		}
	}
}
