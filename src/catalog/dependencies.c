/*-------------------------------------------------------------------------
 *
 * dependencies.c
 *	  Rows of pgtrickle.pgt_dependencies: which sources a stream table reads.
 *
 * IDENTIFICATION
 *	  src/catalog/dependencies.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "catalog_internal.h"

static List *
list_by_key(const char *index, ScanKey key)
{
	CatalogScan cs;
	HeapTuple	tuple;
	List	   *result = NIL;

	pgt_catalog_scan_begin(&cs, PGT_TAB_DEPENDENCIES, index, AccessShareLock, 1, key);
	while ((tuple = pgt_catalog_scan_next(&cs)) != NULL)
	{
		Dependency *dep = palloc0(sizeof(Dependency));
		Datum		v[Natts_dep];
		bool		n[Natts_dep];

		heap_deform_tuple(tuple, RelationGetDescr(cs.rel), v, n);
		dep->pgt_id = DatumGetInt64(v[Anum_dep_pgt_id - 1]);
		dep->source = DatumGetObjectId(v[Anum_dep_source - 1]);
		dep->is_stream_table = DatumGetBool(v[Anum_dep_is_stream_table - 1]);
		dep->columns_used = pgt_catalog_columns_set(v[Anum_dep_columns_used - 1]);
		dep->signature = TextDatumGetCString(v[Anum_dep_signature - 1]);
		result = lappend(result, dep);
	}
	pgt_catalog_scan_end(&cs);
	return result;
}

static int
compare_sources(const ListCell *a, const ListCell *b)
{
	Oid			x = ((Dependency *) lfirst(a))->source;
	Oid			y = ((Dependency *) lfirst(b))->source;

	return x < y ? -1 : x > y ? 1 : 0;
}

static int
compare_consumers(const ListCell *a, const ListCell *b)
{
	int64		x = ((Dependency *) lfirst(a))->pgt_id;
	int64		y = ((Dependency *) lfirst(b))->pgt_id;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Sources of one stream table, by OID: the order in which they are locked. */
List *
pgt_catalog_list_dependencies(int64 pgt_id)
{
	ScanKeyData key;
	List	   *result;

	pgt_catalog_key_int64(&key, Anum_dep_pgt_id, pgt_id);
	result = list_by_key(PGT_IDX_DEP, &key);
	list_sort(result, compare_sources);
	return result;
}

/* What reads one source, by pgt_id. */
List *
pgt_catalog_list_consumers(Oid source)
{
	ScanKeyData key;
	List	   *result;

	pgt_catalog_key_oid(&key, Anum_dep_source, source);
	result = list_by_key(PGT_IDX_DEP_SOURCE, &key);
	list_sort(result, compare_consumers);
	return result;
}

/* The rows of one stream table become deps; their pgt_id fields are ignored. */
void
pgt_catalog_replace_dependencies(int64 pgt_id, List *deps)
{
	ScanKeyData key;
	ListCell   *lc;

	pgt_catalog_key_int64(&key, Anum_dep_pgt_id, pgt_id);
	pgt_catalog_delete_rows(PGT_TAB_DEPENDENCIES, PGT_IDX_DEP, 1, &key);

	foreach(lc, deps)
	{
		Dependency *dep = lfirst(lc);
		Datum		v[Natts_dep];
		bool		n[Natts_dep] = {0};

		v[Anum_dep_pgt_id - 1] = Int64GetDatum(pgt_id);
		v[Anum_dep_source - 1] = ObjectIdGetDatum(dep->source);
		v[Anum_dep_is_stream_table - 1] = BoolGetDatum(dep->is_stream_table);
		v[Anum_dep_columns_used - 1] = pgt_catalog_columns_array(dep->columns_used);
		pgt_catalog_set_text(v, n, Anum_dep_signature,
							 dep->signature ? dep->signature : "");
		pgt_catalog_insert_row(PGT_TAB_DEPENDENCIES, v, n);
	}
}
