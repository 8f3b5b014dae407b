/*-------------------------------------------------------------------------
 *
 * event_triggers.c
 *	  Entry points of our event triggers: which command concerns us how.
 *
 * They fire for everybody's DDL, so they look whether there is a stream table
 * at all before anything else, and say nothing about commands that have
 * nothing to do with one.  What they do belongs to the command's transaction,
 * and an error here undoes the command.
 *
 * IDENTIFICATION
 *	  src/ddl/event_triggers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/scheduler.h"

#include "ddl_internal.h"

PG_FUNCTION_INFO_V1(pgt_on_ddl_command_start);
PG_FUNCTION_INFO_V1(pgt_on_ddl_command_end);
PG_FUNCTION_INFO_V1(pgt_on_sql_drop);

static EventTriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by event trigger manager")));
	return (EventTriggerData *) fcinfo->context;
}

/* Nothing of ours is there while the extension is being created or dropped. */
static bool
nothing_to_follow(void)
{
	return !OidIsValid(pgt_extension_oid(true)) ||
		!OidIsValid(get_relname_relid("pgt_refresh_history", pgt_schema_oid())) ||
		!pgt_catalog_has_stream_tables();
}

Datum
pgt_on_ddl_command_start(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);

	if (nothing_to_follow())
		PG_RETURN_NULL();
	if (IsA(data->parsetree, DropOwnedStmt))
		pgt_ddl_before_drop_owned(data->parsetree);
	else if (IsA(data->parsetree, DropStmt))
		pgt_ddl_before_drop_table((DropStmt *) data->parsetree);
	else
	{
		pgt_ddl_before_detach(data->parsetree);
		pgt_ddl_before_alter_table(data->parsetree);
	}
	PG_RETURN_NULL();
}

/* Relation of a policy or rule, by the column that refers to it. */
static Oid
relation_of(Oid classid, Oid indexid, AttrNumber oid_attnum, AttrNumber rel_attnum, Oid objid)
{
	Relation	rel = table_open(classid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;
	bool		isnull;

	ScanKeyInit(&key, oid_attnum, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(rel, indexid, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = DatumGetObjectId(heap_getattr(tuple, rel_attnum, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static bool
renames_column(Node *parsetree)
{
	return IsA(parsetree, RenameStmt) && ((RenameStmt *) parsetree)->renameType == OBJECT_COLUMN;
}

static void
relation_changed(DdlObject *object, Node *parsetree)
{
	StreamTable *st;

	switch (get_rel_relkind(object->objid))
	{
		case RELKIND_COMPOSITE_TYPE:
			pgt_ddl_values_changed(get_rel_type_id(object->objid), object->identity);
			break;
		case RELKIND_VIEW:
			pgt_ddl_object_changed(RelationRelationId, object->objid, object->identity);
			break;
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_MATVIEW:
			if (IsA(parsetree, RefreshMatViewStmt))
			{
				pgt_cdc_mark_touched(object->objid);
				break;
			}
			if (IsA(parsetree, CreateStmt) || IsA(parsetree, CreateForeignTableStmt))
			{
				pgt_ddl_table_created(object->objid);
				break;
			}
			st = pgt_catalog_get_stream_table(object->objid, true);
			if (st && !pgt_definition_altering())
				pgt_ddl_stream_table_altered(st);
			pgt_ddl_source_altered(object->objid, parsetree);
			break;
		default:
			break;
	}
}

/*
 * A definition knows functions, types and views by OID: names do not matter, but for
 * those of a view's columns, which its rows as a whole show.
 */
static bool
matters_by_name(const DdlObject *object, Node *parsetree)
{
	if (object->classid != RelationRelationId)
		return false;
	return get_rel_relkind(object->objid) != RELKIND_VIEW ||
		(renames_column(parsetree) &&
		 get_rel_namespace(object->objid) != pgt_changes_schema_oid());
}

static void
object_changed(DdlObject *object, Node *parsetree, bool only_names)
{
	if (only_names && !matters_by_name(object, parsetree))
		return;

	switch (object->classid)
	{
		case RelationRelationId:
			relation_changed(object, parsetree);
			break;
		case TypeRelationId:
			if (IsA(parsetree, AlterEnumStmt) && ((AlterEnumStmt *) parsetree)->oldVal)
			{
				pgt_ddl_values_changed(object->objid, object->identity);
				break;
			}
			/* FALLTHROUGH */
		case ProcedureRelationId:
		case OperatorRelationId:
		case TSConfigRelationId:
		case TSDictionaryRelationId:
			pgt_ddl_object_changed(object->classid, object->objid, object->identity);
			break;
		case ConstraintRelationId:	/* ALTER DOMAIN ... ADD CONSTRAINT */
			break;
		case PolicyRelationId:
			pgt_ddl_policy_changed(relation_of(PolicyRelationId, PolicyOidIndexId,
											   Anum_pg_policy_oid, Anum_pg_policy_polrelid,
											   object->objid));
			break;
		case RewriteRelationId:
			{
				Oid			relid = relation_of(RewriteRelationId, RewriteOidIndexId,
												Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class,
												object->objid);

				pgt_ddl_refuse_rule(relid);
				pgt_ddl_object_changed(RelationRelationId, relid, object->identity);
				break;
			}
		case SubscriptionRelationId:
			{
				ListCell   *lc;

				/* its tables are written by apply workers now */
				foreach(lc, pgt_catalog_list_change_sources())
				{
					ChangeSource *cs = lfirst(lc);

					if (!cs->is_stream_table)
						(void) pgt_cdc_repair_source(cs->relid);
				}
				break;
			}
		default:
			break;
	}
}

Datum
pgt_on_ddl_command_end(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	ListCell   *lc;
	bool		only_names;

	/* the commonest of all, also of temporary tables */
	if (IsA(data->parsetree, CreateStmt) &&
		((CreateStmt *) data->parsetree)->inhRelations == NIL)
		PG_RETURN_NULL();
	if (nothing_to_follow())
		PG_RETURN_NULL();

	pgt_ddl_after_alter_table(data->parsetree);
	only_names = IsA(data->parsetree, AlterObjectSchemaStmt) ||
		(IsA(data->parsetree, RenameStmt) &&
		 ((RenameStmt *) data->parsetree)->renameType != OBJECT_ATTRIBUTE);
	foreach(lc, pgt_ddl_commands())
		object_changed(lfirst(lc), data->parsetree, only_names);
	PG_RETURN_NULL();
}

/* Did a dropped relation have capture triggers?  They are dropped with it. */
static bool
was_captured(Oid relid, List *objects)
{
	char	   *prefix = psprintf("pg_trickle_cdc_%u_", relid);
	ListCell   *lc;

	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);

		if (object->classid == TriggerRelationId && object->name &&
			strncmp(object->name, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

/*
 * Dropped relations first: what belongs to them needs no repair any more.
 */
Datum
pgt_on_sql_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	List	   *objects;
	ListCell   *lc;
	bool		key_dropped = false;

	if (nothing_to_follow())
		PG_RETURN_NULL();
	objects = pgt_ddl_dropped();
	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);
		StreamTable *st;

		if (object->classid != RelationRelationId || object->objsubid != 0)
			continue;
		st = pgt_catalog_get_stream_table(object->objid, true);
		if (st)
			pgt_ddl_stream_table_dropped(st);
	}
	foreach(lc, objects)
	{
		DdlObject  *object = lfirst(lc);

		if (object->classid == RelationRelationId && object->objsubid == 0)
		{
			pgt_ddl_relation_dropped(object->objid);
			if (!(object->original && IsA(data->parsetree, DropStmt)) &&
				was_captured(object->objid, objects))
				pgt_ddl_member_dropped();
			key_dropped |= object->original && strcmp(object->type, "index") == 0;
		}
		else if (object->classid == RelationRelationId)
			pgt_ddl_column_dropped(object->objid);
		else if (object->classid == ConstraintRelationId && OidIsValid(object->table))
			key_dropped = true;
		else if (object->classid == PolicyRelationId && OidIsValid(object->table))
			pgt_ddl_policy_changed(object->table);
		else if (object->classid == TriggerRelationId && OidIsValid(object->table))
			(void) pgt_cdc_repair_relation(object->table);
	}
	if (key_dropped)
		pgt_ddl_key_dropped();
	PG_RETURN_NULL();
}
