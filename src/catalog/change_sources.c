/*-------------------------------------------------------------------------
 *
 * change_sources.c
 *	  Rows of pgtrickle.pgt_change_sources: how each source is captured.
 *
 * Writers of a source keep its row in a cache that relcache invalidations of
 * the source empty; so every change of a row sends one.
 *
 * IDENTIFICATION
 *	  src/catalog/change_sources.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog_internal.h"

static ChangeSource *
form_change_source(Relation rel, HeapTuple tuple)
{
	ChangeSource *cs = palloc0(sizeof(ChangeSource));
	Datum		v[Natts_source];
	bool		n[Natts_source];

	StaticAssertStmt(PGT_SEGMENTS == 2, "pgt_change_sources has two segment columns");
	heap_deform_tuple(tuple, RelationGetDescr(rel), v, n);
	cs->relid = DatumGetObjectId(v[Anum_source_relid - 1]);
	cs->segment[0] = DatumGetObjectId(v[Anum_source_segment0 - 1]);
	cs->segment[1] = DatumGetObjectId(v[Anum_source_segment1 - 1]);
	cs->active = DatumGetInt32(v[Anum_source_active - 1]);
	cs->row_mode = DatumGetBool(v[Anum_source_row_mode - 1]);
	cs->is_stream_table = DatumGetBool(v[Anum_source_is_stream_table - 1]);
	cs->columns = pgt_catalog_columns_set(v[Anum_source_columns - 1]);
	cs->unlogged = DatumGetBool(v[Anum_source_unlogged - 1]);
	cs->touches = DatumGetBool(v[Anum_source_touches - 1]);
	if (cs->active < 0 || cs->active >= PGT_SEGMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid change buffer segment %d of relation %u",
						cs->active, cs->relid)));
	return cs;
}

ChangeSource *
pgt_catalog_get_change_source(Oid relid, bool missing_ok)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	ChangeSource *result = NULL;

	pgt_catalog_key_oid(&key, Anum_source_relid, relid);
	pgt_catalog_scan_begin(&scan, PGT_TAB_SOURCES, PGT_IDX_SOURCES, AccessShareLock,
						   1, &key);
	tuple = pgt_catalog_scan_next(&scan);
	if (HeapTupleIsValid(tuple))
		result = form_change_source(scan.rel, tuple);
	pgt_catalog_scan_end(&scan);
	if (result == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("changes of relation %u are not captured", relid),
				 errhint("Call pgtrickle.repair_stream_table for the stream tables that read it.")));
	return result;
}

static int
compare_relids(const ListCell *a, const ListCell *b)
{
	Oid			x = ((ChangeSource *) lfirst(a))->relid;
	Oid			y = ((ChangeSource *) lfirst(b))->relid;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* All, by OID: the order in which they are locked. */
List *
pgt_catalog_list_change_sources(void)
{
	CatalogScan scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	pgt_catalog_scan_begin(&scan, PGT_TAB_SOURCES, NULL, AccessShareLock, 0, NULL);
	while ((tuple = pgt_catalog_scan_next(&scan)) != NULL)
		result = lappend(result, form_change_source(scan.rel, tuple));
	pgt_catalog_scan_end(&scan);
	list_sort(result, compare_relids);
	return result;
}

/* No relation, nothing to invalidate: its relcache entries are gone as well. */
static void
invalidate_source(Oid relid)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		CacheInvalidateRelcacheByRelid(relid);
}

void
pgt_catalog_put_change_source(const ChangeSource *cs)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	HeapTuple	newtuple;
	Datum		v[Natts_source];
	bool		n[Natts_source] = {0};

	v[Anum_source_relid - 1] = ObjectIdGetDatum(cs->relid);
	v[Anum_source_segment0 - 1] = ObjectIdGetDatum(cs->segment[0]);
	v[Anum_source_segment1 - 1] = ObjectIdGetDatum(cs->segment[1]);
	v[Anum_source_active - 1] = Int32GetDatum(cs->active);
	v[Anum_source_row_mode - 1] = BoolGetDatum(cs->row_mode);
	v[Anum_source_is_stream_table - 1] = BoolGetDatum(cs->is_stream_table);
	v[Anum_source_columns - 1] = pgt_catalog_columns_array(cs->columns);
	v[Anum_source_unlogged - 1] = BoolGetDatum(cs->unlogged);
	v[Anum_source_touches - 1] = BoolGetDatum(cs->touches);

	pgt_catalog_key_oid(&key, Anum_source_relid, cs->relid);
	pgt_catalog_scan_begin(&scan, PGT_TAB_SOURCES, PGT_IDX_SOURCES, RowExclusiveLock,
						   1, &key);
	tuple = pgt_catalog_scan_next(&scan);
	newtuple = heap_form_tuple(RelationGetDescr(scan.rel), v, n);
	if (HeapTupleIsValid(tuple))
		CatalogTupleUpdate(scan.rel, &tuple->t_self, newtuple);
	else
		CatalogTupleInsert(scan.rel, newtuple);
	heap_freetuple(newtuple);
	pgt_catalog_scan_end(&scan);
	invalidate_source(cs->relid);
	CommandCounterIncrement();
}

void
pgt_catalog_set_active_segment(Oid relid, int32 active)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	pgt_catalog_key_oid(&key, Anum_source_relid, relid);
	pgt_catalog_scan_begin(&scan, PGT_TAB_SOURCES, PGT_IDX_SOURCES, RowExclusiveLock,
						   1, &key);
	tuple = pgt_catalog_scan_next(&scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		v[Natts_source] = {0};
		bool		n[Natts_source] = {0};
		bool		replace[Natts_source] = {0};
		HeapTuple	newtuple;

		v[Anum_source_active - 1] = Int32GetDatum(active);
		replace[Anum_source_active - 1] = true;
		newtuple = heap_modify_tuple(tuple, RelationGetDescr(scan.rel), v, n, replace);
		CatalogTupleUpdate(scan.rel, &tuple->t_self, newtuple);
		heap_freetuple(newtuple);
	}
	pgt_catalog_scan_end(&scan);
	CommandCounterIncrement();
}

void
pgt_catalog_delete_change_source(Oid relid)
{
	ScanKeyData key;

	pgt_catalog_key_oid(&key, Anum_source_relid, relid);
	pgt_catalog_delete_rows(PGT_TAB_SOURCES, PGT_IDX_SOURCES, 1, &key);
	invalidate_source(relid);
	CommandCounterIncrement();
}
