/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  The maintenance plan of a stream table: representation, targets and kept
 *	  statements, cached per session.
 *
 * Built from the hidden view by the owner of the stream table, in the pinned
 * environment.  After an invalidation of a relation involved, the next refresh
 * looks whether anything that the plan rests on has changed (VACUUM and
 * ANALYZE change nothing of it) and only then builds it again, statements and
 * all.  When the rebuilt definition would store its state differently from what the tables
 * hold (say, a NOT NULL constraint went away), the storage is made anew and
 * the stream table is reinitialised.
 *
 * Statements are planned once for each set of changed inputs and size class
 * of the changes (4^n rows), without parameters, and planned again by the
 * server when its statistics or catalogs change.  Statistics come late: a plan
 * for tables of a page, which loops over them, would be used for a while when
 * they have been filled.  So a statement is also planned again when a table or
 * its storage has become four times as large, or small, as it was.
 *
 * IDENTIFICATION
 *	  src/refresh/maintenance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "refresh_internal.h"

#define MAX_VARIANTS	16		/* kept statements per stage */
#define MAX_BUCKET		12		/* 4^12 = 16 million rows */
#define RESIZED			4		/* times as large as when a statement was planned: planned again */
#define SMALL_PAGES		4		/* a table is not smaller to the planner's eyes */

static HTAB *cache = NULL;

typedef struct CacheEntry
{
	int64		pgt_id;
	Maintenance *m;
} CacheEntry;

/* ---- invalidation ---- */

static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;
	ListCell   *lc;

	if (cache == NULL)
		return;
	hash_seq_init(&scan, cache);
	while ((entry = (CacheEntry *) hash_seq_search(&scan)) != NULL)
	{
		Maintenance *m = entry->m;

		if (m == NULL || !m->valid)
			continue;
		if (!OidIsValid(relid))
			m->valid = false;
		foreach(lc, m->watched)
		{
			if (((WatchedRelation *) lfirst(lc))->relid == relid)
				m->valid = false;
		}
	}
}

/* Something was renamed, or made: types, functions, operators, schemas. */
static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	if (cache == NULL)
		return;
	hash_seq_init(&scan, cache);
	while ((entry = (CacheEntry *) hash_seq_search(&scan)) != NULL)
	{
		if (entry->m)
			entry->m->valid = entry->m->names_valid = false;
	}
}

/* ---- what a plan rests on ---- */

/* Every name that a statement of the plan can contain is in this text. */
static char *
statement_text(Maintenance *m)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->is_map)
			continue;
		appendStringInfoString(&buf, pgt_delta_current_sql(&m->delta, stage->number));
		if (stage->nkeys > 0)
			appendStringInfoString(&buf, pgt_delta_rescan_sql(&m->delta, stage->number, false));
	}
	return buf.data;
}

static void
watch(Maintenance *m, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	WatchedRelation *w = (WatchedRelation *) palloc0(sizeof(WatchedRelation));

	w->relid = relid;
	w->name = rel->rd_rel->relname;
	w->schema = rel->rd_rel->relnamespace;
	w->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	if (rel->rd_rel->relkind != RELKIND_VIEW)
		w->indexes = RelationGetIndexList(rel);
	w->owner = rel->rd_rel->relowner;
	w->row_security = rel->rd_rel->relrowsecurity;
	w->rls = check_enable_rls(relid, InvalidOid, true);
	w->has_children = rel->rd_rel->relhassubclass;
	table_close(rel, NoLock);
	m->watched = lappend(m->watched, w);
}

static bool
is_unchanged(const WatchedRelation *w)
{
	Relation	rel = try_relation_open(w->relid, AccessShareLock);
	bool		same;
	int			natts;

	if (rel == NULL)
		return false;
	natts = RelationGetDescr(rel)->natts;
	same = strcmp(NameStr(w->name), RelationGetRelationName(rel)) == 0 &&
		w->schema == rel->rd_rel->relnamespace &&
		w->owner == rel->rd_rel->relowner &&
		w->row_security == rel->rd_rel->relrowsecurity &&
		w->rls == check_enable_rls(w->relid, InvalidOid, true) &&
		w->has_children == rel->rd_rel->relhassubclass &&
		equalTupleDescs(w->desc, RelationGetDescr(rel));
	/* equalTupleDescs leaves column names of row types aside on some servers */
	for (int i = 0; same && i < natts; i++)
		same = strcmp(NameStr(TupleDescAttr(w->desc, i)->attname),
					  NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname)) == 0;
	if (same && rel->rd_rel->relkind != RELKIND_VIEW)
	{
		List	   *indexes = RelationGetIndexList(rel);

		same = equal(indexes, w->indexes);
		list_free(indexes);
	}
	relation_close(rel, NoLock);
	return same;
}

static bool
still_holds(Maintenance *m)
{
	ListCell   *lc;

	foreach(lc, m->watched)
	{
		if (!is_unchanged((WatchedRelation *) lfirst(lc)))
			return false;
	}
	if (!m->names_valid)
	{
		m->names_valid = true;
		if (m->def && strcmp(m->text, statement_text(m)) != 0)
			return false;
	}
	return true;
}

/* ALTER ROLE ... BYPASSRLS, or a grant of a role, invalidates nothing of ours. */
static bool
row_security_differs(const Maintenance *m)
{
	ListCell   *lc;

	foreach(lc, m->watched)
	{
		const WatchedRelation *w = (WatchedRelation *) lfirst(lc);

		if (w->row_security && w->rls != check_enable_rls(w->relid, InvalidOid, true))
			return true;
	}
	return false;
}

static void
init_cache(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(CacheEntry);
	ctl.hcxt = CacheMemoryContext;
	cache = hash_create("pg_trickle maintenance plans", 64, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(OPEROID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(COLLOID, syscache_callback, (Datum) 0);
}

static void
free_plans(Maintenance *m)
{
	ListCell   *lc;

	foreach(lc, m->variants)
	{
		Variant    *variant = (Variant *) lfirst(lc);

		if (variant->plan)
			SPI_freeplan(variant->plan);
		variant->plan = NULL;
	}
}

static void
destroy(Maintenance *m)
{
	free_plans(m);
	MemoryContextDelete(m->cxt);
}

/* Plans of stream tables that are gone. */
static void
forget_dropped(void)
{
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	hash_seq_init(&scan, cache);
	while ((entry = (CacheEntry *) hash_seq_search(&scan)) != NULL)
	{
		if (entry->m == NULL || entry->m->valid || entry->m->in_use > 0 ||
			SearchSysCacheExists1(RELOID, ObjectIdGetDatum(entry->m->relid)))
			continue;
		destroy(entry->m);
		hash_search(cache, &entry->pgt_id, HASH_REMOVE, NULL);
	}
}

/* ---- building ---- */

/* Position n of the stream table's columns -> attnum. */
static void
build_row_target(Maintenance *m)
{
	List	   *live = pgt_storage_live_attnums(m->relid);
	RowTarget  *rows = &m->rows;
	ListCell   *lc;

	rows->relid = m->relid;
	rows->ncolumns = list_length(live);
	rows->attnums = (AttrNumber *) palloc(sizeof(AttrNumber) * rows->ncolumns);
	foreach(lc, live)
		rows->attnums[foreach_current_index(lc)] = lfirst_int(lc);
	if (m->def)
	{
		List	   *keys = pgt_storage_row_keys(m->relid, m->def);

		rows->nkeys = list_length(keys);
		rows->keys = (AttrNumber *) palloc(sizeof(AttrNumber) * (rows->nkeys + 1));
		foreach(lc, keys)
			rows->keys[foreach_current_index(lc)] = lfirst_int(lc);
		rows->index = pgt_storage_row_index(m->relid, m->def);
	}
}

typedef struct StorageMap
{
	const AttrNumber *attnums;	/* stage column - 1 -> attnum */
} StorageMap;

static Node *
to_storage(Node *node, StorageMap *map)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		var->varno = 1;
		var->varattno = map->attnums[var->varattno - 1];
		return (Node *) var;
	}
	return expression_tree_mutator(node, to_storage, (void *) map);
}

/* Parses SQL over the stage's column names. */
static Expr *
parse_final(const Stage *stage, const char *sql, const AttrNumber *attnums)
{
	StringInfoData buf;
	List	   *raws;
	Query	   *query;
	ListCell   *lc;
	StorageMap	map;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT %s FROM (VALUES (", sql);
	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);

		appendStringInfo(&buf, "%sNULL::%s", foreach_current_index(lc) ? ", " : "",
						 format_type_extended(column->type, column->typmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfoString(&buf, ")) AS v(");
	foreach(lc, stage->columns)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_identifier(((StageColumn *) lfirst(lc))->name));
	appendStringInfoChar(&buf, ')');
	raws = pg_parse_query(buf.data);
	query = parse_analyze_fixedparams(linitial_node(RawStmt, raws), buf.data, NULL, 0, NULL);
	map.attnums = attnums;
	return (Expr *) to_storage((Node *) linitial_node(TargetEntry, query->targetList)->expr, &map);
}

static GroupTarget *
build_group_target(Maintenance *m, const Stage *stage, Oid relid)
{
	GroupTarget *target = (GroupTarget *) palloc0(sizeof(GroupTarget));
	int			ncolumns = list_length(stage->columns);
	AttrNumber *attnums = (AttrNumber *) palloc(sizeof(AttrNumber) * ncolumns);
	ListCell   *lc;
	int			i = 0;

	for (int c = 0; c < ncolumns; c++)
		attnums[c] = stage->elided ? m->rows.attnums[stage->elided[c] - 1] : c + 1;
	target->relid = relid;
	target->nkeys = stage->nkeys;
	target->keys = attnums;		/* keys are the first columns */
	target->key_eq = stage->key_eq;
	target->key_collations = stage->key_collations;
	target->row_count = attnums[stage->row_count - 1];
	target->nstates = list_length(stage->states);
	target->states = (StateColumn *) palloc0(sizeof(StateColumn) * (target->nstates + 1));
	foreach(lc, stage->states)
	{
		StateSpec  *spec = (StateSpec *) lfirst(lc);
		StateColumn *state = &target->states[i++];

		state->kind = spec->kind;
		state->attnum = attnums[spec->attnum - 1];
		state->count_attnum = spec->count_attnum ? attnums[spec->count_attnum - 1] : 0;
	}
	target->nfinals = list_length(stage->finals);
	target->finals = (GroupFinal *) palloc0(sizeof(GroupFinal) * (target->nfinals + 1));
	i = 0;
	foreach(lc, stage->finals)
	{
		FinalSpec  *spec = (FinalSpec *) lfirst(lc);

		target->finals[i].attnum = attnums[spec->attnum - 1];
		target->finals[i].expr = parse_final(stage, spec->sql, attnums);
		i++;
	}
	if (stage->nkeys > 0)
	{
		List	   *keys = NIL;

		for (int k = 0; k < stage->nkeys; k++)
			keys = lappend_int(keys, attnums[k]);
		target->index = pgt_storage_ensure_index(relid, keys);
	}
	return target;
}

/* The storage of a group stage as rows, for reconcile and fill. */
static void
build_stage_rows(RowTarget *rows, const GroupTarget *group, int ncolumns)
{
	rows->relid = group->relid;
	rows->ncolumns = ncolumns;
	rows->attnums = (AttrNumber *) palloc(sizeof(AttrNumber) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
		rows->attnums[i] = i + 1;
	rows->nkeys = group->nkeys;
	rows->keys = group->keys;
	rows->index = group->index;
}

/* Also the stage's storage as rows, found by the keys. */
static PartitionTarget *
build_partition_target(Maintenance *m, const Stage *stage, Oid relid, RowTarget *rows)
{
	PartitionTarget *target = (PartitionTarget *) palloc0(sizeof(PartitionTarget));
	int			ncolumns = list_length(stage->columns);
	List	   *keys = NIL;
	ListCell   *lc;

	target->relid = relid;
	target->nkeys = stage->nkeys;
	target->keys = (AttrNumber *) palloc(sizeof(AttrNumber) * (stage->nkeys + 1));
	for (int i = 0; i < stage->nkeys; i++)
	{
		int			column = stage->key_columns[i];

		target->keys[i] = stage->elided ? m->rows.attnums[stage->elided[column - 1] - 1] : column;
		keys = lappend_int(keys, target->keys[i]);
	}
	if (stage->nkeys > 0)
		target->index = pgt_storage_ensure_key_index(relid, keys);
	if (stage->recursive)
		target->row_index = pgt_storage_recursion_index(relid, stage);
	rows->relid = relid;
	rows->ncolumns = ncolumns;
	rows->attnums = (AttrNumber *) palloc(sizeof(AttrNumber) * (ncolumns + 1));
	for (int i = 0; i < ncolumns; i++)
		rows->attnums[i] = stage->elided ? m->rows.attnums[stage->elided[i] - 1] : i + 1;
	rows->nkeys = list_length(stage->row_keys);
	rows->keys = (AttrNumber *) palloc(sizeof(AttrNumber) * (rows->nkeys + 1));
	foreach(lc, stage->row_keys)
		rows->keys[foreach_current_index(lc)] = rows->attnums[lfirst_int(lc) - 1];
	rows->index = stage->recursive && !stage->is_union ? target->row_index : target->index;
	return target;
}

static Oid
find_stage_relid(List *tables, int stageno)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		StageTable *table = (StageTable *) lfirst(lc);

		if (table->stageno == stageno)
			return table->relid;
	}
	return InvalidOid;
}

/*
 * State tables belong to the owner of the stream table, who may do with them
 * what owners may.  Their columns are taken for what the plan says unseen.
 */
static void
check_stage_table(const Stage *stage, Oid relid, Oid stream_table)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		fits = desc->natts == list_length(stage->columns) &&
		rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam == HEAP_TABLE_AM_OID;
	ListCell   *lc;

	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);
		Form_pg_attribute att;

		if (!fits)
			break;
		att = TupleDescAttr(desc, foreach_current_index(lc));
		fits = !att->attisdropped && att->attgenerated == '\0' &&
			att->atttypid == column->type && att->atttypmod == column->typmod;
	}
	table_close(rel, NoLock);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a state table of stream table \"%s\" has been altered",
						pgt_relation_label(stream_table)),
				 errhint("Call pgtrickle.repair_stream_table() to make it anew.")));
}

static void
build_stages(Maintenance *m, StreamTable *st)
{
	List	   *tables = pgt_catalog_list_stages(st->pgt_id);
	int			n = list_length(m->def->stages);
	ListCell   *lc;

	m->delta.def = m->def;
	m->delta.stage_relids = (Oid *) palloc0(sizeof(Oid) * n);
	m->groups = (GroupTarget **) palloc0(sizeof(GroupTarget *) * n);
	m->partitions = (PartitionTarget **) palloc0(sizeof(PartitionTarget *) * n);
	m->stage_rows = (RowTarget *) palloc0(sizeof(RowTarget) * n);
	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		Oid			relid = st->relid;

		if (stage->head != PGT_HEAD_ROWS && !stage->elided)
		{
			relid = find_stage_relid(tables, stage->number);
			if (!OidIsValid(relid))
				elog(ERROR, "stage %d of stream table " INT64_FORMAT " has no table",
					 stage->number, st->pgt_id);
			check_stage_table(stage, relid, st->relid);
		}
		m->delta.stage_relids[stage->number] = relid;
		if (stage->head == PGT_HEAD_PARTITION)
		{
			m->partitions[stage->number] = build_partition_target(m, stage, relid,
																  &m->stage_rows[stage->number]);
			if (!stage->elided)
				watch(m, relid);
		}
		if (stage->head == PGT_HEAD_GROUP)
		{
			m->groups[stage->number] = build_group_target(m, stage, relid);
			if (!stage->elided)
				watch(m, relid);
			if (stage->elided)
				m->stage_rows[stage->number] = m->rows;
			else
				build_stage_rows(&m->stage_rows[stage->number], m->groups[stage->number],
								 list_length(stage->columns));
		}
	}
}

static bool
layout_matches(List *deps, const char *fingerprint)
{
	ListCell   *lc;

	foreach(lc, deps)
	{
		if (strcmp(((Dependency *) lfirst(lc))->signature, fingerprint) != 0)
			return false;
	}
	return true;
}

static Maintenance *
build(StreamTable *st)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "pg_trickle maintenance plan",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Maintenance *m = (Maintenance *) palloc0(sizeof(Maintenance));
	QueryAnalysis *analysis;
	List	   *deps = pgt_catalog_list_dependencies(st->pgt_id);
	char	   *fingerprint;
	ListCell   *lc;

	m->cxt = cxt;
	m->pgt_id = st->pgt_id;
	m->relid = st->relid;
	m->valid = m->names_valid = true;
	analysis = pgt_query_analyze(pgt_query_of_view(st->definition), NULL);
	if (analysis->refused)
		pgt_reason_throw(analysis->refused, pgt_relation_label(st->relid));
	fingerprint = pgt_query_fingerprint(analysis);
	if (!layout_matches(deps, fingerprint) &&
		pgt_definition_redo_if_changed(st, "a source changed in a way that changes how the stream table is maintained"))
		CommandCounterIncrement();
	m->generation = st->generation;
	m->def = st->differential ? analysis->definition : NULL;
	m->determined = analysis->determined;
	watch(m, st->definition);
	foreach(lc, analysis->sources)
	{
		m->sources = lappend_oid(m->sources, ((SourceUse *) lfirst(lc))->relid);
		watch(m, ((SourceUse *) lfirst(lc))->relid);
	}
	build_row_target(m);
	watch(m, st->relid);
	if (m->def)
	{
		build_stages(m, st);
		m->text = statement_text(m);
	}
	MemoryContextSwitchTo(old);
	return m;
}

/*
 * The caller is in the pinned environment of the stream table, under its
 * lock.  The result stays valid until released, even if invalidated.
 */
Maintenance *
pgt_maintenance_get(StreamTable *st)
{
	CacheEntry *entry;
	bool		found;

	if (cache == NULL)
		init_cache();
	entry = (CacheEntry *) hash_search(cache, &st->pgt_id, HASH_ENTER, &found);
	if (!found)
		entry->m = NULL;
	if (entry->m && entry->m->in_use == 0 && row_security_differs(entry->m))
		entry->m->valid = false;
	if (entry->m && !entry->m->valid && entry->m->in_use == 0)
	{
		/* set first: an invalidation that arrives meanwhile counts again */
		entry->m->valid = true;
		if (!still_holds(entry->m))
			entry->m->valid = false;
	}
	if (entry->m && entry->m->in_use == 0 &&
		(!entry->m->valid || entry->m->generation != st->generation ||
		 entry->m->relid != st->relid))
	{
		destroy(entry->m);
		entry->m = NULL;
	}
	if (entry->m == NULL)
	{
		Maintenance *m = build(st);

		MemoryContextSetParent(m->cxt, CacheMemoryContext);
		forget_dropped();

		/* the build may have caused invalidations that grew or changed the cache */
		entry = (CacheEntry *) hash_search(cache, &st->pgt_id, HASH_ENTER, &found);
		entry->m = m;
	}
	entry->m->in_use++;
	return entry->m;
}

void
pgt_maintenance_release(Maintenance *m)
{
	m->in_use--;
}

/* ---- statements ---- */

int
pgt_maintenance_bucket(double rows)
{
	int			bucket = 0;

	while (rows > 4 && bucket < MAX_BUCKET)
	{
		rows /= 4;
		bucket++;
	}
	return bucket;
}

static Variant *
find_variant(Maintenance *m, VariantKind kind, int stageno, const Bitmapset *changed,
			 bool has_null, bool streamed, int bucket)
{
	ListCell   *lc;

	foreach(lc, m->variants)
	{
		Variant    *v = (Variant *) lfirst(lc);

		if (v->kind == kind && v->stageno == stageno && v->bucket == bucket &&
			v->has_null == has_null && v->streamed == streamed &&
			bms_equal(v->changed, changed))
			return v;
	}
	return NULL;
}

static void
evict_oldest(Maintenance *m, int stageno)
{
	Variant    *oldest = NULL;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, m->variants)
	{
		Variant    *v = (Variant *) lfirst(lc);

		if (v->stageno != stageno)
			continue;
		n++;
		if (oldest == NULL || v->used < oldest->used)
			oldest = v;
	}
	if (n < MAX_VARIANTS)
		return;
	m->variants = list_delete_ptr(m->variants, oldest);
	if (oldest->plan)
		SPI_freeplan(oldest->plan);
	bms_free(oldest->changed);
	pfree(oldest->pages);
	pfree(oldest->sql);
	pfree(oldest);
}

static Variant *
make_variant(Maintenance *m, VariantKind kind, int stageno, const Bitmapset *changed,
			 bool has_null, bool streamed, int bucket)
{
	char	   *sql;
	int			nterms = 1;
	MemoryContext old;
	Variant    *v;

	if (kind == PGT_VARIANT_CONTENT)
		sql = pgt_delta_current_sql(&m->delta, stageno);
	else if (kind == PGT_VARIANT_CHANGE)
		sql = pgt_delta_change_sql(&m->delta, stageno, changed, &nterms);
	else
		sql = pgt_delta_rescan_sql(&m->delta, stageno, has_null);
	evict_oldest(m, stageno);
	old = MemoryContextSwitchTo(m->cxt);
	v = (Variant *) palloc0(sizeof(Variant));
	v->kind = kind;
	v->stageno = stageno;
	v->changed = bms_copy(changed);
	v->bucket = bucket;
	v->has_null = has_null;
	v->streamed = streamed;
	v->nterms = nterms;
	v->sql = pstrdup(sql);
	v->pages = (BlockNumber *) palloc0(sizeof(BlockNumber) * list_length(m->watched));
	m->variants = lappend(m->variants, v);
	MemoryContextSwitchTo(old);
	return v;
}

/* The planner's estimate; a kept plan is planned by asking. */
static double
plan_cost(SPIPlanPtr plan)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	double		cost = 0;
	ListCell   *lc;

	if (cached == NULL)
		return 0;
	foreach(lc, cached->stmt_list)
	{
		PlannedStmt *stmt = lfirst_node(PlannedStmt, lc);

		if (stmt->planTree)
			cost += stmt->planTree->total_cost;
	}
	ReleaseCachedPlan(cached, CurrentResourceOwner);
	return cost;
}

static SPIPlanPtr
keep_plan(const char *sql)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, 0, NULL, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "could not prepare a delta statement: %s",
			 SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep a delta statement");
	return plan;
}

/* Pages of a relation with its partitions or children; the refresh has locked what it reads. */
static BlockNumber
count_pages(Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	BlockNumber pages = 0;
	List	   *children = NIL;
	ListCell   *lc;

	if (rel == NULL)
		return 0;
	if (RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind))
		pages = RelationGetNumberOfBlocks(rel);
	if (rel->rd_rel->relhassubclass)
		children = find_inheritance_children(relid, NoLock);
	relation_close(rel, NoLock);
	foreach(lc, children)
		pages += count_pages(lfirst_oid(lc));
	list_free(children);
	return pages;
}

/* Notes what size everything has now, and tells whether it was another one. */
static bool
note_sizes(const Maintenance *m, Variant *v)
{
	bool		resized = false;
	ListCell   *lc;

	foreach(lc, m->watched)
	{
		BlockNumber *noted = &v->pages[foreach_current_index(lc)];
		BlockNumber now = Max(count_pages(((WatchedRelation *) lfirst(lc))->relid), SMALL_PAGES);

		if (now / RESIZED >= *noted || *noted / RESIZED >= now)
		{
			resized = true;
			*noted = now;
		}
	}
	return resized;
}

/* Asked again when a delta statement has been planned: sizes may have changed. */
double
pgt_maintenance_full_cost(Maintenance *m)
{
	ListCell   *lc;

	if (m->full_cost > 0)
		return m->full_cost;
	foreach(lc, m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		SPIPlanPtr	plan;

		if (stage->is_map || stage->derived)
			continue;
		plan = keep_plan(pgt_delta_current_sql(&m->delta, stage->number));
		m->full_cost += plan_cost(plan);
		SPI_freeplan(plan);
	}
	return m->full_cost;
}

/*
 * The statement for this set of changes, planned.  SPI is connected and the
 * ephemeral relations it names are registered.  *planned: it was planned now.
 */
Variant *
pgt_maintenance_variant(Maintenance *m, VariantKind kind, int stageno,
						const Bitmapset *changed, bool has_null, bool streamed,
						int bucket, bool *planned)
{
	Variant    *v = find_variant(m, kind, stageno, changed, has_null, streamed, bucket);

	if (v == NULL)
		v = make_variant(m, kind, stageno, changed, has_null, streamed, bucket);
	v->used = ++m->clock;
	if ((note_sizes(m, v) || !pgt_use_prepared_statements) && v->plan)
	{
		SPI_freeplan(v->plan);
		v->plan = NULL;
	}
	*planned = v->plan == NULL;
	if (v->plan == NULL)
	{
		v->plan = keep_plan(v->sql);
		v->cost = plan_cost(v->plan);
		m->full_cost = 0;
	}
	return v;
}
