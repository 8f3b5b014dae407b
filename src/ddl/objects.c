/*-------------------------------------------------------------------------
 *
 * objects.c
 *	  What a command touched, and which stream tables rest on it.
 *
 * IDENTIFICATION
 *	  src/ddl/objects.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pgtrickle/env.h"

#include "ddl_internal.h"

/* ---- the server's lists of a command's objects ---- */

/* Columns of sql: classid, objid, objsubid, type, original, identity, schema, table, name */
static List *
run_list(const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	PinnedEnv	env;

	pgt_env_enter_internal(&env);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list the objects of a command");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext save = MemoryContextSwitchTo(context);
		DdlObject  *object = palloc0(sizeof(DdlObject));
		bool		isnull;
		char	   *schema = SPI_getvalue(tuple, desc, 7);
		char	   *table = SPI_getvalue(tuple, desc, 8);

		object->classid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		object->objid = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
		object->objsubid = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
		object->type = SPI_getvalue(tuple, desc, 4);
		object->original = DatumGetBool(SPI_getbinval(tuple, desc, 5, &isnull));
		object->identity = SPI_getvalue(tuple, desc, 6);
		if (schema && table)
		{
			Oid			namespace = get_namespace_oid(schema, true);

			if (OidIsValid(namespace))
				object->table = get_relname_relid(table, namespace);
		}
		object->name = SPI_getvalue(tuple, desc, 9);
		result = lappend(result, object);
		MemoryContextSwitchTo(save);
	}
	SPI_finish();
	pgt_env_leave(&env);
	return result;
}

List *
pgt_ddl_commands(void)
{
	/* a command with several subcommands lists its object several times */
	return run_list("SELECT DISTINCT ON (classid, objid)"
					" classid, objid, objsubid, object_type, true, object_identity,"
					" NULL::text, NULL::text, NULL::text"
					" FROM pg_catalog.pg_event_trigger_ddl_commands()"
					" WHERE objid IS NOT NULL ORDER BY classid, objid");
}

List *
pgt_ddl_dropped(void)
{
	return run_list("SELECT classid, objid, objsubid, object_type, original, object_identity,"
					" CASE WHEN part THEN address_names[1] END,"
					" CASE WHEN part THEN address_names[2] END,"
					" CASE WHEN part THEN address_names[3] END"
					" FROM (SELECT *, object_type IN ('table constraint', 'policy', 'trigger')"
					"       AND pg_catalog.cardinality(address_names) = 3 AS part"
					"       FROM pg_catalog.pg_event_trigger_dropped_objects()) d"
					" WHERE NOT is_temporary");
}

/* ---- dependents ---- */

typedef struct ObjectRef
{
	Oid			classid;
	Oid			objid;
} ObjectRef;

static void
add_object(List **objects, Oid classid, Oid objid)
{
	ObjectRef  *ref;
	ListCell   *lc;

	foreach(lc, *objects)
	{
		ref = lfirst(lc);
		if (ref->classid == classid && ref->objid == objid)
			return;
	}
	ref = palloc(sizeof(ObjectRef));
	ref->classid = classid;
	ref->objid = objid;
	*objects = lappend(*objects, ref);
}

static Oid
view_of_rule(Oid ruleid)
{
	Relation	rel = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ruleid));
	scan = systable_beginscan(rel, RewriteOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Adds what refers to the object (its column, unless attnum is 0) and can lie
 * between it and a hidden view.  With columns, also relations that have columns of
 * a type (and that way the types of their rows).
 */
static void
add_dependents(List **objects, Oid classid, Oid objid, AttrNumber attnum, bool columns)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(attnum));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, attnum ? 3 : 2, keys);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend dep = (Form_pg_depend) GETSTRUCT(tuple);

		switch (dep->classid)
		{
			case ProcedureRelationId:
			case OperatorRelationId:
			case TypeRelationId:
			case TSConfigRelationId:
				add_object(objects, dep->classid, dep->objid);
				break;
			case RelationRelationId:
				if (!columns || classid != TypeRelationId)
					break;
				add_object(objects, RelationRelationId, dep->objid);
				break;
			case RewriteRelationId:
				{
					Oid			view = view_of_rule(dep->objid);

					if (OidIsValid(view) && !(classid == RelationRelationId && view == objid))
						add_object(objects, RelationRelationId, view);
					break;
				}
			default:
				break;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* The stream tables whose hidden views are among the objects. */
static List *
stream_tables_of(List *objects)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, pgt_catalog_list_stream_tables())
	{
		StreamTable *st = lfirst(lc);

		foreach(lc2, objects)
		{
			ObjectRef  *ref = lfirst(lc2);

			if (ref->classid == RelationRelationId && ref->objid == st->definition)
			{
				result = lappend(result, st);
				break;
			}
		}
	}
	return result;
}

List *
pgt_ddl_dependent_stream_tables(Oid classid, Oid objid, bool columns)
{
	List	   *objects = NIL;

	add_object(&objects, classid, objid);
	/* the list grows behind the loop */
	for (int i = 0; i < list_length(objects); i++)
	{
		ObjectRef  *ref = list_nth(objects, i);

		add_dependents(&objects, ref->classid, ref->objid, 0, columns);
	}
	return stream_tables_of(objects);
}

List *
pgt_ddl_stream_tables_of_column(Oid relid, AttrNumber attnum)
{
	List	   *objects = NIL;

	add_dependents(&objects, RelationRelationId, relid, attnum, false);
	return stream_tables_of(objects);
}

List *
pgt_ddl_consumers(Oid relid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_consumers(relid))
	{
		StreamTable *st =
			pgt_catalog_get_stream_table_by_id(((Dependency *) lfirst(lc))->pgt_id, true);

		if (st)
			result = lappend(result, st);
	}
	return result;
}

/*
 * Refreshes lock the stream table first and its sources then.  A command that
 * holds a source exclusively comes the other way, and waiting could be a
 * deadlock; it need not wait: whoever holds the lock has not got past locking
 * that source, so it has changed nothing and looks at the row again.
 *
 * One whose hidden view is missing is just being redefined, by the command
 * that this one is part of.
 */
StreamTable *
pgt_ddl_lock(const StreamTable *st, bool may_wait)
{
	StreamTable *locked;

	(void) pgt_catalog_lock_stream_table(st->pgt_id, !may_wait);
	locked = pgt_catalog_get_stream_table_by_id(st->pgt_id, true);
	if (locked && !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(locked->definition)))
		return NULL;
	return locked;
}
