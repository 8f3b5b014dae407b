/*-------------------------------------------------------------------------
 *
 * segments.c
 *	  Change buffer segments: the two tables that hold a source's changes.
 *
 * A buffer column has the type, typmod and collation of its source column; a
 * domain is replaced by its base type, as no constraint shall be checked on
 * values that were stored once.
 *
 * A column that is added later is NULL in rows written before.  No consumer
 * that uses it ever reads such a row: the column is added in the transaction
 * that first needs it, under a lock that keeps writers of the source out.  So
 * every row without it is of a transaction that had ended by then, and the
 * first fill of the new consumer takes its snapshot after getting the lock, or
 * starts without a frontier in a later transaction: it has consumed them all.
 * Should the snapshot be older (REPEATABLE READ), a void marker makes the
 * second refresh a full one (see pgt_cdc_attach_source).  A column whose type
 * was changed is replaced by a new one in the same way, with a void marker for
 * the other consumers.
 *
 * IDENTIFICATION
 *	  src/cdc/segments.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "catalog/toasting.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"

#include "cdc_internal.h"

void
pgt_cdc_buffer_type(Form_pg_attribute att, Oid *type, int32 *typmod)
{
	*typmod = att->atttypmod;
	*type = getBaseTypeAndTypmod(att->atttypid, typmod);
}

Bitmapset *
pgt_cdc_stored_columns(Oid relid, const Bitmapset *columns)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *result = NULL;
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		Form_pg_attribute att;
		Bitmapset  *used = NULL;
		int			u = -1;

		if (attnum < 1 || attnum > desc->natts)
			elog(ERROR, "relation %u has no column %d", relid, attnum);
		att = TupleDescAttr(desc, attnum - 1);
		if (!pgt_is_virtual_column(att))
		{
			result = bms_add_member(result, attnum);
			continue;
		}
		pull_varattnos(pgt_virtual_column_expression(rel, attnum), 1, &used);
		while ((u = bms_next_member(used, u)) >= 0)
			if (u + FirstLowInvalidHeapAttributeNumber > 0)
				result = bms_add_member(result, u + FirstLowInvalidHeapAttributeNumber);
	}
	table_close(rel, NoLock);
	return result;
}

static ColumnDef *
buffer_column(Form_pg_attribute att)
{
	Oid			type;
	int32		typmod;

	pgt_cdc_buffer_type(att, &type, &typmod);
	return makeColumnDef(psprintf("c%d", att->attnum), type, typmod, att->attcollation);
}

static Oid
create_segment(const ChangeSource *cs, int number)
{
	CreateStmt *stmt = makeNode(CreateStmt);
	Relation	source = table_open(cs->relid, NoLock);
	TupleDesc	desc = RelationGetDescr(source);
	ObjectAddress address;
	Datum		toast_options;
	PgtReloptNamespace validnsps[] = HEAP_RELOPT_NAMESPACES;
	int			attnum = -1;

	stmt->relation = makeRangeVar(pstrdup(PGT_CHANGES_SCHEMA),
								  psprintf("changes_%u_%d", cs->relid, number), -1);
	stmt->relation->relpersistence = cs->unlogged ? RELPERSISTENCE_UNLOGGED :
		RELPERSISTENCE_PERMANENT;
	stmt->tableElts = list_make2(makeColumnDef("x", XID8OID, -1, InvalidOid),
								 makeColumnDef("s", INT4OID, -1, InvalidOid));
	while ((attnum = bms_next_member(cs->columns, attnum)) >= 0)
		stmt->tableElts = lappend(stmt->tableElts,
								  buffer_column(TupleDescAttr(desc, attnum - 1)));

	/* nothing there is ever updated or deleted, and the end must not move */
	stmt->options =
		list_make4(makeDefElem("autovacuum_enabled", (Node *) makeString("false"), -1),
				   makeDefElem("vacuum_truncate", (Node *) makeString("false"), -1),
				   makeDefElemExtended("toast", "autovacuum_enabled",
									   (Node *) makeString("false"),
									   DEFELEM_UNSPEC, -1),
				   makeDefElemExtended("toast", "vacuum_truncate",
									   (Node *) makeString("false"),
									   DEFELEM_UNSPEC, -1));
	stmt->oncommit = ONCOMMIT_NOOP;
	stmt->accessMethod = pstrdup("heap");
	/* all writers of the source depend on it: not where one user's setting says */
	stmt->tablespacename = get_tablespace_name(MyDatabaseTableSpace);
	table_close(source, NoLock);

	address = DefineRelation(stmt, RELKIND_RELATION, pgt_extension_owner(), NULL, NULL);
	CommandCounterIncrement();
	toast_options = transformRelOptions((Datum) 0, stmt->options, "toast",
										validnsps,
										true, false);
	NewRelationCreateToastTable(address.objectId, toast_options);
	CommandCounterIncrement();
	pgt_extension_adopt_relation(address.objectId);
	if (cs->unlogged)
		pgt_cdc_buffer_write_canary(address.objectId);
	return address.objectId;
}

/* Columns that are there no more count, too: a table never gets rid of them. */
bool
pgt_cdc_segments_have_room(const ChangeSource *cs, const Bitmapset *columns)
{
	int			n = bms_num_members(columns) + PGT_BUFFER_FIXED;

	if (cs != NULL)
	{
		Bitmapset  *more = bms_difference(columns, cs->columns);

		n = 0;
		for (int i = 0; i < PGT_SEGMENTS; i++)
		{
			Relation	rel = try_relation_open(cs->segment[i], AccessShareLock);

			if (rel == NULL)
				continue;
			n = Max(n, RelationGetNumberOfAttributes(rel) + bms_num_members(more));
			relation_close(rel, NoLock);
		}
	}
	return n <= MaxHeapAttributeNumber;
}

void
pgt_cdc_segments_create(ChangeSource *cs)
{
	Assert(pgt_cdc_segments_have_room(NULL, cs->columns));
	for (int i = 0; i < PGT_SEGMENTS; i++)
		cs->segment[i] = create_segment(cs, i);
	cs->active = 0;
}

void
pgt_cdc_segments_drop(const ChangeSource *cs)
{
	for (int i = 0; i < PGT_SEGMENTS; i++)
		if (get_rel_relkind(cs->segment[i]) != '\0')
			pgt_extension_drop_relation(cs->segment[i]);
}

/* ---- columns ---- */

typedef enum ColumnState
{
	COLUMN_FITS,
	COLUMN_MISSING,
	COLUMN_DIFFERS
} ColumnState;

static ColumnState
column_state(Relation segment, Form_pg_attribute att)
{
	TupleDesc	desc = RelationGetDescr(segment);
	Oid			type;
	int32		typmod;

	pgt_cdc_buffer_type(att, &type, &typmod);
	for (int i = PGT_BUFFER_FIXED; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (pgt_cdc_buffer_attnum(column) != att->attnum)
			continue;
		return column->atttypid == type && column->atttypmod == typmod ?
			COLUMN_FITS : COLUMN_DIFFERS;
	}
	return COLUMN_MISSING;
}

/* Columns of cs that are not dropped in the source. */
static Bitmapset *
live_columns(const ChangeSource *cs, TupleDesc desc)
{
	Bitmapset  *result = NULL;
	int			attnum = -1;

	while ((attnum = bms_next_member(cs->columns, attnum)) >= 0)
		if (attnum <= desc->natts && !TupleDescAttr(desc, attnum - 1)->attisdropped)
			result = bms_add_member(result, attnum);
	return result;
}

static bool
segment_fits(Oid segment, TupleDesc desc, const Bitmapset *columns)
{
	Relation	rel = try_relation_open(segment, AccessShareLock);
	bool		fits = true;
	int			attnum = -1;

	if (rel == NULL)
		return false;
	while (fits && (attnum = bms_next_member(columns, attnum)) >= 0)
		fits = column_state(rel, TupleDescAttr(desc, attnum - 1)) == COLUMN_FITS;
	relation_close(rel, NoLock);
	return fits;
}

bool
pgt_cdc_segments_fit(const ChangeSource *cs)
{
	Relation	source = table_open(cs->relid, AccessShareLock);
	Bitmapset  *columns = live_columns(cs, RelationGetDescr(source));
	bool		fits = true;

	for (int i = 0; i < PGT_SEGMENTS && fits; i++)
		fits = segment_fits(cs->segment[i], RelationGetDescr(source), columns);
	table_close(source, NoLock);
	return fits;
}

static AlterTableCmd *
make_command(AlterTableType type, char *name, Node *def)
{
	AlterTableCmd *cmd = makeNode(AlterTableCmd);

	cmd->subtype = type;
	cmd->name = name;
	cmd->def = def;
	cmd->behavior = DROP_RESTRICT;
	return cmd;
}

static void
alter_segment(Oid segment, List *commands)
{
	AlterTableStmt *stmt = makeNode(AlterTableStmt);

	/* a DDL event trigger may be our caller */
	stmt->relation = makeRangeVar(pstrdup(PGT_CHANGES_SCHEMA), get_rel_name(segment), -1);
	stmt->cmds = commands;
	stmt->objtype = OBJECT_TABLE;
	EventTriggerAlterTableStart((Node *) stmt);
	AlterTableInternal(segment, commands, false);
	EventTriggerAlterTableEnd();
	CommandCounterIncrement();
}

/* Returns true if a column had to be replaced. */
static bool
fit_segment(Oid segment, TupleDesc desc, const Bitmapset *columns)
{
	Relation	rel = table_open(segment, AccessExclusiveLock);
	List	   *drop = NIL;
	List	   *add = NIL;
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);
		ColumnState s = column_state(rel, att);

		if (s == COLUMN_FITS)
			continue;
		if (s == COLUMN_DIFFERS)
			drop = lappend(drop, make_command(AT_DropColumn,
											  psprintf("c%d", attnum), NULL));
		add = lappend(add, make_command(AT_AddColumn, NULL,
										(Node *) buffer_column(att)));
	}
	table_close(rel, NoLock);
	if (drop != NIL)
		alter_segment(segment, drop);
	if (add != NIL)
		alter_segment(segment, add);
	return drop != NIL;
}

bool
pgt_cdc_segments_repair(ChangeSource *cs)
{
	Relation	source = table_open(cs->relid, NoLock);
	TupleDesc	desc = RelationGetDescr(source);
	bool		lossy = false;

	cs->columns = live_columns(cs, desc);
	for (int i = 0; i < PGT_SEGMENTS; i++)
	{
		if (get_rel_relkind(cs->segment[i]) == '\0')
		{
			cs->segment[i] = create_segment(cs, i);
			lossy = true;
		}
		else if (fit_segment(cs->segment[i], desc, cs->columns))
			lossy = true;
	}
	table_close(source, NoLock);
	return lossy;
}
