/*-------------------------------------------------------------------------
 *
 * storage.c
 *	  Hidden stage tables, and the index by which a stream table's rows are found.
 *
 * A stage table is owned by the owner of the stream table, so that refreshes
 * may use it, and belongs to the extension, so that nobody drops it by hand
 * and pg_dump leaves it out.
 *
 * IDENTIFICATION
 *	  src/refresh/storage.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "pgtrickle/env.h"
#include "apply_internal.h"
#include "refresh_internal.h"

#define STAGE_FILLFACTOR	70	/* counters change in place again and again */
#define HASH_ARGUMENTS		90	/* columns per call of row_hash */
#define HASH_COLUMNS		450 /* the expression must fit into a row of pg_index */

/* ---- stage tables ---- */

static char *
stage_table_name(int64 pgt_id, int stageno)
{
	return psprintf("stage_" INT64_FORMAT "_%d", pgt_id, stageno);
}

static void
append_column(StringInfo buf, const StageColumn *column)
{
	appendStringInfo(buf, "%s %s", quote_identifier(column->name),
					 format_type_extended(column->type, column->typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(column->collation))
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(column->collation));
}

/* Statements of later stages join by the column.  A hash takes values of any length. */
static void
create_lookup_index(const char *table, const StageColumn *column)
{
	Oid			am = get_typlen(column->type) > 0 ? BTREE_AM_OID : HASH_AM_OID;
	TypeCacheEntry *type = lookup_type_cache(column->type, TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC);

	if (!OidIsValid(am == BTREE_AM_OID ? type->cmp_proc : type->hash_proc))
		return;
	pgt_spi_run("CREATE INDEX ON " PGT_CHANGES_SCHEMA ".%s USING %s (%s)", table,
				am == BTREE_AM_OID ? "btree" : "hash", quote_identifier(column->name));
}

static Oid
create_stage_table(const StreamTable *st, const Definition *def, const Stage *stage, Oid owner)
{
	char	   *name = stage_table_name(st->pgt_id, stage->number);
	StringInfoData columns;
	ListCell   *lc;
	Oid			relid;

	initStringInfo(&columns);
	foreach(lc, stage->columns)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&columns, ", ");
		append_column(&columns, (StageColumn *) lfirst(lc));
	}
	pgt_spi_run("CREATE TABLE " PGT_CHANGES_SCHEMA ".%s (%s) WITH (fillfactor = %d)",
				name, columns.data, STAGE_FILLFACTOR);
	relid = get_relname_relid(name, pgt_changes_schema_oid());
	if (stage->nkeys > 0)
	{
		List	   *keys = NIL;

		for (int i = 0; i < stage->nkeys; i++)
			keys = lappend_int(keys, stage->head == PGT_HEAD_GROUP ? i + 1 : stage->key_columns[i]);
		if (stage->head == PGT_HEAD_GROUP)
			(void) pgt_storage_ensure_index(relid, keys);
		else
			(void) pgt_storage_ensure_key_index(relid, keys);
	}
	foreach(lc, pgt_refresh_stage_lookups(def, stage->number))
		create_lookup_index(name, (StageColumn *) list_nth(stage->columns, lfirst_int(lc) - 1));
	foreach(lc, pgt_refresh_stage_sorts(def, stage->number))
		pgt_spi_run("CREATE INDEX ON " PGT_CHANGES_SCHEMA ".%s (%s)", name, (char *) lfirst(lc));
	if (stage->recursive)
		(void) pgt_storage_recursion_index(relid, stage);
	pgt_spi_run("ALTER TABLE " PGT_CHANGES_SCHEMA ".%s OWNER TO %s", name,
				quote_identifier(GetUserNameFromId(owner, false)));
	pgt_extension_adopt_relation(relid);
	CommandCounterIncrement();
	return relid;
}

/* ---- indexes ---- */

List *
pgt_storage_live_attnums(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *attnums = NIL;

	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			attnums = lappend_int(attnums, i + 1);
	table_close(rel, NoLock);
	return attnums;
}

static bool
is_unique_on(Relation index, List *keys)
{
	Form_pg_index form = index->rd_index;
	ListCell   *lc;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid ||
		!form->indnullsnotdistinct || index->rd_rel->relam != BTREE_AM_OID ||
		form->indnkeyatts != list_length(keys) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	foreach(lc, keys)
		if (form->indkey.values[foreach_current_index(lc)] != lfirst_int(lc))
			return false;
	return true;
}

static bool
is_hashed_on(Relation index, List *keys)
{
	return index->rd_index->indisvalid &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		equal(pgt_key_hash_columns(index), keys);
}

static bool
is_bag_index(Relation index)
{
	Form_pg_index form = index->rd_index;
	FuncExpr   *expr;
	List	   *exprs;

	if (!form->indisvalid || form->indnkeyatts != 1 || form->indkey.values[0] != 0 ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	exprs = RelationGetIndexExpressions(index);
	expr = (FuncExpr *) linitial(exprs);
	return IsA(expr, FuncExpr) && expr->funcid == pgt_own_function("row_hash");
}

static Oid
index_key_collation(Oid relid, AttrNumber attnum)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	return collation;
}

/* Someone else's index may compare in another way than the query does. */
static bool
is_default_opclass(Relation index, int column)
{
	Oid			type = get_atttype(index->rd_index->indrelid, index->rd_index->indkey.values[column]);
	Oid			opclass = GetDefaultOpClass(type, BTREE_AM_OID);

	return OidIsValid(opclass) && get_opclass_family(opclass) == index->rd_opfamily[column];
}

static bool
is_plain_on(Relation index, List *keys)
{
	Form_pg_index form = index->rd_index;
	ListCell   *lc;

	if (!form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
		form->indnkeyatts != list_length(keys) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		return false;
	foreach(lc, keys)
	{
		int			i = foreach_current_index(lc);

		if (form->indkey.values[i] != lfirst_int(lc) ||
			index->rd_indcollation[i] != index_key_collation(form->indrelid, lfirst_int(lc)) ||
			!is_default_opclass(index, i))
			return false;
	}
	return true;
}

typedef enum IndexUse
{
	FIND_ROW,					/* unique on the keys, or the bag index */
	FIND_PARTITION				/* on the keys */
} IndexUse;

static Oid
find_index(Oid relid, List *keys, IndexUse use)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			result = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (use == FIND_PARTITION ? is_plain_on(index, keys) || is_hashed_on(index, keys) :
			keys != NIL ? is_unique_on(index, keys) || is_hashed_on(index, keys) :
			is_bag_index(index))
			result = lfirst_oid(lc);
		index_close(index, NoLock);
		if (OidIsValid(result))
			break;
	}
	table_close(rel, NoLock);
	return result;
}

static char *
column_list(Oid relid, List *attnums, int first, int count)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = first; i < first + count && i < list_length(attnums); i++)
		appendStringInfo(&buf, "%s%s", i > first ? ", " : "",
						 quote_identifier(pgt_attribute_name(relid, list_nth_int(attnums, i))));
	return buf.data;
}

/*
 * row_hash of all columns; of hashes of parts when there are many.  With very
 * many, of the first ones: what is found by the index is compared as a whole.
 */
static char *
hash_expression(Oid relid)
{
	List	   *attnums = pgt_storage_live_attnums(relid);
	int			n = Min(list_length(attnums), HASH_COLUMNS);
	StringInfoData buf;

	if (n <= HASH_ARGUMENTS)
		return psprintf("pgtrickle.row_hash(%s)", column_list(relid, attnums, 0, n));
	initStringInfo(&buf);
	for (int i = 0; i < n; i += HASH_ARGUMENTS)
		appendStringInfo(&buf, "%spgtrickle.row_hash(%s)", i ? ", " : "",
						 column_list(relid, attnums, i, HASH_ARGUMENTS));
	return psprintf("pgtrickle.row_hash(%s)", buf.data);
}

/*
 * The index that identifies rows: unique on keys (attnums), or the bag index
 * when keys is NIL.  Created when it is missing.
 */
Oid
pgt_storage_ensure_index(Oid relid, List *keys)
{
	Oid			index = find_index(relid, keys, FIND_ROW);
	PinnedEnv	env;

	if (OidIsValid(index))
		return index;
	pgt_env_enter_internal(&env);
	if (keys != NIL)
		pgt_spi_run("CREATE UNIQUE INDEX ON %s (%s) NULLS NOT DISTINCT",
					pgt_quoted_relation_name(relid),
					column_list(relid, keys, 0, list_length(keys)));
	else
		pgt_spi_run("CREATE INDEX ON %s (%s)", pgt_quoted_relation_name(relid),
					hash_expression(relid));
	pgt_env_leave(&env);
	CommandCounterIncrement();
	index = find_index(relid, keys, FIND_ROW);
	if (!OidIsValid(index))
		elog(ERROR, "could not find the index just created on relation %u", relid);
	return index;
}

Oid
pgt_storage_ensure_key_index(Oid relid, List *keys)
{
	Oid			index = find_index(relid, keys, FIND_PARTITION);
	PinnedEnv	env;

	if (OidIsValid(index))
		return index;
	pgt_env_enter_internal(&env);
	pgt_spi_run("CREATE INDEX ON %s (%s)", pgt_quoted_relation_name(relid),
				column_list(relid, keys, 0, list_length(keys)));
	pgt_env_leave(&env);
	CommandCounterIncrement();
	index = find_index(relid, keys, FIND_PARTITION);
	if (!OidIsValid(index))
		elog(ERROR, "could not find the index just created on relation %u", relid);
	return index;
}

static List *
all_columns(const Stage *stage)
{
	List	   *all = NIL;

	for (int i = 1; i <= list_length(stage->columns); i++)
		all = lappend_int(all, i);
	return all;
}

/* By which rows of a recursive relation are found: UNION all columns, UNION ALL their hash. */
Oid
pgt_storage_recursion_index(Oid relid, const Stage *stage)
{
	return stage->is_union ? pgt_storage_ensure_key_index(relid, all_columns(stage)) :
		pgt_storage_ensure_index(relid, NIL);
}

/*
 * Keys turned out too long for the unique index: put one on their hash in its
 * place.  False if that cannot be done now, or has been done.
 */
bool
pgt_storage_hash_keys(Oid relid, List *keys)
{
	Oid			index = find_index(relid, keys, FIND_ROW);
	Relation	rel;
	bool		hashed;
	PinnedEnv	env;

	if (!OidIsValid(index))
		index = find_index(relid, keys, FIND_PARTITION);
	if (!OidIsValid(index))
		return false;
	rel = index_open(index, AccessShareLock);
	hashed = pgt_key_hash_columns(rel) != NIL;
	index_close(rel, NoLock);
	if (hashed || !ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	pgt_env_enter_internal(&env);
	pgt_spi_run("DROP INDEX %s; CREATE INDEX ON %s (pgtrickle.key_hash(%s))",
				pgt_quoted_relation_name(index), pgt_quoted_relation_name(relid),
				column_list(relid, keys, 0, list_length(keys)));
	pgt_env_leave(&env);
	CommandCounterIncrement();
	return true;
}

/* The same for the rows of a recursive relation. */
bool
pgt_storage_hash_recursion(Oid relid, const Stage *stage)
{
	return stage->recursive && stage->is_union && pgt_storage_hash_keys(relid, all_columns(stage));
}

/* Attnums of the stream table's identifying columns: NIL for a bag. */
List *
pgt_storage_row_keys(Oid relid, const Definition *def)
{
	Stage	   *last = (Stage *) llast(def->stages);
	List	   *live = pgt_storage_live_attnums(relid);
	List	   *keys = NIL;
	ListCell   *lc;

	if (last->head == PGT_HEAD_PARTITION)
	{
		foreach(lc, last->row_keys)
			keys = lappend_int(keys, list_nth_int(live, last->elided[lfirst_int(lc) - 1] - 1));
	}
	else if (last->elided)
	{
		for (int i = 0; i < last->nkeys; i++)
			keys = lappend_int(keys, list_nth_int(live, last->elided[i] - 1));
	}
	else
	{
		foreach(lc, last->row_keys)
			keys = lappend_int(keys, list_nth_int(live, lfirst_int(lc) - 1));
	}
	return keys;
}

/*
 * InvalidOid: the stream table is the single row of an aggregate over all, or
 * always looked at as a whole.
 */
Oid
pgt_storage_row_index(Oid relid, const Definition *def)
{
	Stage	   *last = (Stage *) llast(def->stages);

	if (last->elided && last->nkeys == 0)
		return InvalidOid;
	if (last->head == PGT_HEAD_PARTITION)
	{
		List	   *live = pgt_storage_live_attnums(relid);
		List	   *keys = NIL;

		for (int i = 0; i < last->nkeys; i++)
			keys = lappend_int(keys, list_nth_int(live, last->elided[last->key_columns[i] - 1] - 1));
		return pgt_storage_ensure_key_index(relid, keys);
	}
	return pgt_storage_ensure_index(relid, pgt_storage_row_keys(relid, def));
}

/* ---- create and drop ---- */

void
pgt_storage_create(StreamTable *st, QueryAnalysis *analysis)
{
	Definition *def = analysis->definition;
	Relation	rel;
	Oid			owner;
	List	   *stages = NIL;
	ListCell   *lc;
	PinnedEnv	env;

	if (def == NULL)
		return;
	rel = table_open(st->relid, AccessShareLock);
	owner = rel->rd_rel->relowner;
	table_close(rel, NoLock);

	pgt_env_enter_internal(&env);
	foreach(lc, def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		StageTable *table;

		if (stage->head == PGT_HEAD_ROWS || stage->elided)
			continue;
		table = (StageTable *) palloc0(sizeof(StageTable));
		table->pgt_id = st->pgt_id;
		table->stageno = stage->number;
		table->relid = create_stage_table(st, def, stage, owner);
		stages = lappend(stages, table);
	}
	pgt_env_leave(&env);
	pgt_catalog_replace_stages(st->pgt_id, stages);
	(void) pgt_storage_row_index(st->relid, def);
}

void
pgt_storage_drop(int64 pgt_id)
{
	List	   *stages = pgt_catalog_list_stages(pgt_id);
	ListCell   *lc;

	foreach(lc, stages)
		pgt_extension_drop_relation(((StageTable *) lfirst(lc))->relid);
	pgt_catalog_replace_stages(pgt_id, NIL);
}
