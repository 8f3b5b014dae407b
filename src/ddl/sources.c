/*-------------------------------------------------------------------------
 *
 * sources.c
 *	  Commands on sources, and on functions, types and views that definitions
 *	  use.
 *
 * Names need no following: the hidden views know columns by number and
 * relations by OID.  The rest falls into three kinds: capture has to be put
 * back in order (triggers, partitions); rows have appeared or gone without
 * being captured (a marker in the buffer says so, and consumers recompute); or
 * the definition means something else now (it is analysed anew).
 *
 * IDENTIFICATION
 *	  src/ddl/sources.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/query.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

#include "ddl_internal.h"

static void
redo_all(List *stream_tables, const char *reason, bool always, bool may_wait)
{
	ListCell   *lc;

	foreach(lc, stream_tables)
	{
		StreamTable *st = pgt_ddl_lock(lfirst(lc), may_wait);

		if (st == NULL)
			continue;
		if (always)
			pgt_definition_redo(st, reason);
		else if (!pgt_definition_redo_if_changed(st, reason))
			continue;
		ereport(NOTICE,
				(errmsg("stream table \"%s\" will be recomputed by its next refresh",
						pgt_relation_label(st->relid)),
				 errdetail("Reason: %s.", reason)));
		pgt_scheduler_notify_catalog_change();
	}
}

/* Rows came or went without being captured. */
static void
void_sources_of(Oid relid)
{
	ListCell   *lc;

	foreach(lc, pgt_cdc_sources_of_relation(relid))
		pgt_cdc_mark_void(lfirst_oid(lc));
}

/* Refuses a stream table as partition or child; true if there was one to ask about. */
static void
refuse_as_child(Oid relid)
{
	if (OidIsValid(relid) && pgt_catalog_get_stream_table(relid, true))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("stream table \"%s\" cannot be a partition or an inheritance child",
						get_rel_name(relid))));
}

/*
 * A crash is going to empty the table without a trigger.  An unlogged buffer
 * is emptied with it, which is noticed; so the buffer is made anew.
 */
static void
follow_persistence(Oid relid, Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);

	if (cs == NULL || cs->unlogged || cs->is_stream_table ||
		get_rel_persistence(relid) != RELPERSISTENCE_UNLOGGED)
		return;
	pgt_cdc_forget_source(source);
	pgt_cdc_attach_again(cs);
	pgt_cdc_mark_void(source);
}

/* The relation and what is below it may belong to other sources than before. */
static void
follow_membership(Oid relid)
{
	ListCell   *lc,
			   *lc2;

	(void) pgt_cdc_repair_relation(relid);
	foreach(lc, pgt_cdc_sources_of_relation(relid))
		foreach(lc2, find_all_inheritors(relid, AccessShareLock, NULL))
			follow_persistence(lfirst_oid(lc2), lfirst_oid(lc));
}

static void
partition_command(Oid relid, RangeVar *other)
{
	Oid			child = other ? RangeVarGetRelid(other, NoLock, true) : InvalidOid;

	refuse_as_child(child);
	if (OidIsValid(child))
		follow_membership(child);
	void_sources_of(relid);
}

/*
 * DETACH ... CONCURRENTLY takes the rows away with its first transaction, after which it
 * may wait for long, or be cancelled.
 */
void
pgt_ddl_before_detach(Node *parsetree)
{
	AlterTableStmt *stmt = (AlterTableStmt *) parsetree;
	ListCell   *lc;

	if (!IsA(parsetree, AlterTableStmt))
		return;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		PartitionCmd *detach = (PartitionCmd *) cmd->def;
		Oid			relid,
					child;

		if (cmd->subtype != AT_DetachPartition || !detach->concurrent)
			continue;
		relid = RangeVarGetRelid(stmt->relation, NoLock, true);
		child = RangeVarGetRelid(detach->name, NoLock, true);
		if (!OidIsValid(relid) || !OidIsValid(child))
			continue;
		void_sources_of(relid);
		/* writers look again whose it is */
		CacheInvalidateRelcacheByRelid(child);
	}
}

static void
inherit_command(Oid relid, RangeVar *parent)
{
	Oid			parentid = RangeVarGetRelid(parent, NoLock, true);

	if (OidIsValid(parentid))
		void_sources_of(parentid);
	follow_membership(relid);
}

/* What the subcommands of one ALTER TABLE ask for besides. */
typedef struct Consequences
{
	bool		row_security;
	bool		values;			/* rows have other ones now */
	bool		triggers;		/* enabled or disabled */
	const char *columns;		/* what became of some; NULL: nothing that rows show */
} Consequences;

static void
follow_subcommand(Oid relid, AlterTableCmd *cmd, Consequences *consequences)
{
	switch (cmd->subtype)
	{
		case AT_AttachPartition:
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			if (cmd->def && IsA(cmd->def, PartitionCmd))
				partition_command(relid, ((PartitionCmd *) cmd->def)->name);
			break;
		case AT_AddInherit:
		case AT_DropInherit:
			inherit_command(relid, (RangeVar *) cmd->def);
			break;
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			consequences->row_security = true;
			break;
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
			consequences->triggers = true;
			break;
		case AT_AddColumn:
			consequences->columns = "added";
			break;
#if PG_VERSION_NUM >= 170000
		case AT_SetExpression:
			/* other values in all rows, maybe of other columns */
			consequences->values = true;
			break;
#endif
		default:
			break;
	}
}

/*
 * Rows as a whole show the columns and their names (to_jsonb(t), for one): rows of this
 * table, and values of its row type elsewhere.
 */
static void
follow_columns(Oid relid, const char *what)
{
	List	   *affected = pgt_ddl_dependent_stream_tables(TypeRelationId, get_rel_type_id(relid), true);
	ListCell   *lc,
			   *lc2;

	foreach(lc, pgt_ddl_consumers(relid))
	{
		StreamTable *st = lfirst(lc);
		bool		found = false;

		foreach(lc2, affected)
			found |= ((StreamTable *) lfirst(lc2))->pgt_id == st->pgt_id;
		if (!found && SearchSysCacheExists1(RELOID, ObjectIdGetDatum(st->definition)) &&
			pgt_query_uses_whole_row(pgt_query_of_view(st->definition), relid))
			affected = lappend(affected, st);
	}
	redo_all(affected, psprintf("a column of %s was %s", pgt_relation_label(relid), what),
			 true, false);
}

void
pgt_ddl_column_dropped(Oid relid)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		follow_columns(relid, "dropped");
}

void
pgt_ddl_source_altered(Oid relid, Node *parsetree)
{
	Consequences consequences = {0};
	List	   *sources;
	ListCell   *lc;

	if (IsA(parsetree, AlterTableStmt))
	{
		foreach(lc, ((AlterTableStmt *) parsetree)->cmds)
			follow_subcommand(relid, lfirst_node(AlterTableCmd, lc), &consequences);
	}
	else if (IsA(parsetree, RenameStmt) && ((RenameStmt *) parsetree)->renameType == OBJECT_COLUMN)
		consequences.columns = "renamed";
	if (pgt_cdc_repair_relation(relid) && consequences.triggers)
		ereport(NOTICE,
				(errmsg("change capture of table \"%s\" stays enabled", get_rel_name(relid)),
				 errdetail("Stream tables read the table.")));
	/*
	 * A source of what is always recomputed may not be captured. Partitions and
	 * children, the relation itself among them, are altered with their parent.
	 */
	sources = list_concat_unique_oid(pgt_cdc_sources_of_relation(relid),
									 find_all_inheritors(relid, AccessShareLock, NULL));
	foreach(lc, sources)
	{
		Oid			source = lfirst_oid(lc);

		follow_persistence(relid, source);
		if (consequences.columns)
			follow_columns(source, consequences.columns);
		redo_all(pgt_ddl_consumers(source),
				 psprintf(consequences.row_security ? "row security of %s was changed" : "table %s was altered",
						  pgt_relation_label(source)),
				 consequences.row_security || consequences.values, false);
	}
}

/* A new partition or child: empty, so capture is all it needs. */
void
pgt_ddl_table_created(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		child = has_superclass(relid);

	table_close(rel, NoLock);
	if (!child)
		return;
	if (get_rel_relkind(relid) == RELKIND_RELATION ||
		get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
	{
		ListCell   *lc;

		foreach(lc, pgt_catalog_list_stream_tables())
		{
			StreamTable *st = lfirst(lc);

			if (find_inheritance_children(st->relid, NoLock) != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_WRONG_OBJECT_TYPE),
						 errmsg("cannot inherit from stream table \"%s\"",
								get_rel_name(st->relid))));
		}
	}
	follow_membership(relid);
}

void
pgt_ddl_object_changed(Oid classid, Oid objid, const char *identity)
{
	List	   *affected;

	if (!OidIsValid(objid))
		return;
	affected = pgt_ddl_dependent_stream_tables(classid, objid, false);
	redo_all(affected, psprintf("%s was changed", identity), true, true);
}

void
pgt_ddl_values_changed(Oid type, const char *identity)
{
	if (!OidIsValid(type))
		return;
	redo_all(pgt_ddl_dependent_stream_tables(TypeRelationId, type, true),
			 psprintf("%s was changed", identity), true, true);
}

void
pgt_ddl_policy_changed(Oid relid)
{
	if (!OidIsValid(relid))
		return;
	redo_all(pgt_ddl_consumers(relid),
			 psprintf("row security of %s was changed", pgt_relation_label(relid)),
			 true, false);
}

/*
 * A unique index or constraint has gone, from a table that we are not told
 * with certainty: look whether any definition rested on it.
 */
void
pgt_ddl_key_dropped(void)
{
	redo_all(pgt_catalog_list_stream_tables(), "a key of a source was dropped", false, false);
}

void
pgt_ddl_relation_dropped(Oid relid)
{
	if (pgt_catalog_get_change_source(relid, true))
		pgt_cdc_forget_source(relid);
}

/*
 * A partition or child takes its rows along.  Afterwards nobody knows whose it
 * was, so this is done before.
 */
void
pgt_ddl_before_drop_table(DropStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->objects)
	{
		RangeVar   *rv = makeRangeVarFromNameList((List *) lfirst(lc));
		Oid			relid = RangeVarGetRelid(rv, NoLock, true);

		if (OidIsValid(relid) && has_superclass(relid))
			void_sources_of(relid);
	}
}

/*
 * One that was dropped in another way, with its schema or owner: any source
 * that has partitions or children may have lost rows.
 */
void
pgt_ddl_member_dropped(void)
{
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_change_sources())
	{
		ChangeSource *cs = lfirst(lc);
		char		kind = get_rel_relkind(cs->relid);

		if (kind == RELKIND_PARTITIONED_TABLE || (kind == RELKIND_RELATION && cs->row_mode))
			pgt_cdc_mark_void(cs->relid);
	}
}
