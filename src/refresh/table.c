/*-------------------------------------------------------------------------
 *
 * table.c
 *	  The table behind a stream table: creating it, and fitting its columns to
 *	  a definition that changed.
 *
 * A stream table is an ordinary heap with exactly the columns of its query, in
 * order.  When the definition changes, columns that stay where they are keep
 * their attribute numbers and with them grants, indexes and dependent views.
 * PostgreSQL adds columns at the end only, so from the first position on where
 * a column has to come in between, the rest is dropped and added again.
 *
 * IDENTIFICATION
 *	  src/refresh/table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/toasting.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"

/* Nested statements of ours on a stream table, in this session. */
static int	altering = 0;

bool
pgt_definition_altering(void)
{
	return altering > 0;
}

/*
 * Room for updates in place when rows are going to be maintained one by one.
 * Storage is heap whatever default_table_access_method says: rows are written
 * by heap routines.
 */
Oid
pgt_definition_create_table(const char *schema, const char *name, List *columns,
							bool differential)
{
	static PgtReloptNamespace validnsps[] = HEAP_RELOPT_NAMESPACES;
	CreateStmt *create = makeNode(CreateStmt);
	ObjectAddress address;
	Datum		toast_options;

	create->relation = makeRangeVar(pstrdup(schema), pstrdup(name), -1);
	create->tableElts = copyObject(columns);
	create->oncommit = ONCOMMIT_NOOP;
	create->accessMethod = "heap";
	if (differential)
		create->options = list_make1(makeDefElem("fillfactor",
												 (Node *) makeInteger(90), -1));

	address = DefineRelation(create, RELKIND_RELATION, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	toast_options = transformRelOptions((Datum) 0, create->options, "toast",
										validnsps, true, false);
	(void) heap_reloptions(RELKIND_TOASTVALUE, toast_options, true);
	NewRelationCreateToastTable(address.objectId, toast_options);
	CommandCounterIncrement();
	return address.objectId;
}

/* ---- comparing and adapting columns ---- */

/* Live columns as copies, so that altering the table does not pull them away. */
static List *
live_columns(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *result = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			result = lappend(result, makeColumnDef(NameStr(att->attname), att->atttypid,
												   att->atttypmod, att->attcollation));
	}
	table_close(rel, NoLock);
	return result;
}

static Oid
column_type(const ColumnDef *column)
{
	return column->typeName->typeOid;
}

static bool
same_type(const ColumnDef *a, const ColumnDef *b)
{
	return column_type(a) == column_type(b) &&
		a->typeName->typemod == b->typeName->typemod &&
		a->collOid == b->collOid;
}

bool
pgt_definition_columns_equal(Oid relid, List *columns)
{
	List	   *live = live_columns(relid);
	ListCell   *lc1,
			   *lc2;

	if (list_length(live) != list_length(columns))
		return false;
	forboth(lc1, live, lc2, columns)
	{
		ColumnDef  *a = lfirst(lc1);
		ColumnDef  *b = lfirst(lc2);

		if (strcmp(a->colname, b->colname) != 0 || !same_type(a, b))
			return false;
	}
	return true;
}

/* "type COLLATE collation", all names qualified where the search_path needs it */
static char *
column_type_text(const ColumnDef *column)
{
	char	   *type = format_type_extended(column_type(column), column->typeName->typemod,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	HeapTuple	tuple;
	char	   *result = type;

	if (!OidIsValid(column->collOid))
		return type;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(column->collOid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_collation form = (Form_pg_collation) GETSTRUCT(tuple);

		result = psprintf("%s COLLATE %s", type,
						  quote_qualified_identifier(get_namespace_name(form->collnamespace),
													 NameStr(form->collname)));
		ReleaseSysCache(tuple);
	}
	return result;
}

static void
drop_column(Oid relid, const char *name)
{
	pgt_spi_run("ALTER TABLE %s DROP COLUMN %s",
				pgt_quoted_relation_name(relid), quote_identifier(name));
}

static void
add_column(Oid relid, const ColumnDef *column)
{
	pgt_spi_run("ALTER TABLE %s ADD COLUMN %s %s",
				pgt_quoted_relation_name(relid), quote_identifier(column->colname),
				column_type_text(column));
}

/*
 * The content is going to be rebuilt, so converting the old values is only for
 * readers until then: where they cannot be converted, they become NULL.
 */
static void
change_type(Oid relid, const ColumnDef *from, const ColumnDef *to)
{
	const char *name = quote_identifier(to->colname);
	const char *type = column_type_text(to);
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Oid			from_type = column_type(from);
	bool		done = false;

	if (can_coerce_type(1, &from_type, (Oid[]) {column_type(to)}, COERCION_EXPLICIT))
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			pgt_spi_run("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::%s",
						pgt_quoted_relation_name(relid), name, type, name,
						format_type_extended(column_type(to), to->typeName->typemod,
											 FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
			ReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			done = true;
		}
		PG_CATCH();
		{
			ErrorData  *err;

			MemoryContextSwitchTo(context);
			err = CopyErrorData();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			if (ERRCODE_TO_CATEGORY(err->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
				ReThrowError(err);
			FreeErrorData(err);
		}
		PG_END_TRY();
	}
	if (!done)
		pgt_spi_run("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING NULL",
					pgt_quoted_relation_name(relid), name, type);
}

static bool
has_column(List *columns, int from, const char *name)
{
	for (int i = from; i < list_length(columns); i++)
		if (strcmp(((ColumnDef *) list_nth(columns, i))->colname, name) == 0)
			return true;
	return false;
}

static void
adapt(Oid relid, List *columns)
{
	List	   *live = live_columns(relid);
	int			pos = 0;		/* columns[0 .. pos) are in place */
	ListCell   *lc;
	bool		rest = false;	/* drop all that follows */

	/* dropped first, so that names are free */
	foreach(lc, live)
	{
		ColumnDef  *old = lfirst(lc);

		if (!rest && pos < list_length(columns))
		{
			ColumnDef  *wanted = list_nth(columns, pos);

			if (strcmp(old->colname, wanted->colname) == 0)
			{
				if (!same_type(old, wanted))
					change_type(relid, old, wanted);
				pos++;
				continue;
			}
			rest = has_column(columns, pos, old->colname);
		}
		drop_column(relid, old->colname);
	}
	for (; pos < list_length(columns); pos++)
		add_column(relid, list_nth(columns, pos));
}

static void
adapt_error_callback(void *arg)
{
	errcontext("fitting the columns of stream table \"%s\" to its defining query",
			   (char *) arg);
}

static Oid
lock_and_get_owner(Oid relid)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	Oid			owner = rel->rd_rel->relowner;

	table_close(rel, NoLock);
	return owner;
}

void
pgt_definition_adapt_columns(Oid relid, List *columns)
{
	ErrorContextCallback callback;
	PinnedEnv	env;
	Oid			owner = lock_and_get_owner(relid);

	callback.callback = adapt_error_callback;
	callback.arg = pgt_relation_label(relid);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	pgt_env_enter(&env, owner, NULL);
	altering++;
	PG_TRY();
	{
		adapt(relid, columns);
	}
	PG_FINALLY();
	{
		altering--;
	}
	PG_END_TRY();
	pgt_env_leave(&env);

	error_context_stack = callback.previous;
	CommandCounterIncrement();
}

/*
 * TRUNCATE, so that subscribers and users' triggers hear of it; stream tables
 * that read this one hear it from the void marker.
 */
void
pgt_definition_discard_content(Oid relid)
{
	PinnedEnv	env;

	pgt_env_enter(&env, lock_and_get_owner(relid), NULL);
	altering++;
	PG_TRY();
	{
		pgt_spi_run("TRUNCATE TABLE %s", pgt_quoted_relation_name(relid));
	}
	PG_FINALLY();
	{
		altering--;
	}
	PG_END_TRY();
	pgt_env_leave(&env);
	if (pgt_catalog_get_change_source(relid, true))
		pgt_cdc_mark_void(relid);
}
