/*-------------------------------------------------------------------------
 *
 * stages.c
 *	  Rows of pgtrickle.pgt_stages: the hidden stage tables of stream tables.
 *
 * IDENTIFICATION
 *	  src/catalog/stages.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/rel.h"

#include "catalog_internal.h"

static int
compare_stages(const ListCell *a, const ListCell *b)
{
	return ((StageTable *) lfirst(a))->stageno - ((StageTable *) lfirst(b))->stageno;
}

/* Of one stream table, by number. */
List *
pgt_catalog_list_stages(int64 pgt_id)
{
	CatalogScan cs;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *result = NIL;

	pgt_catalog_key_int64(&key, Anum_stage_pgt_id, pgt_id);
	pgt_catalog_scan_begin(&cs, PGT_TAB_STAGES, PGT_IDX_STAGES, AccessShareLock, 1, &key);
	while ((tuple = pgt_catalog_scan_next(&cs)) != NULL)
	{
		StageTable *stage = palloc0(sizeof(StageTable));
		Datum		v[Natts_stage];
		bool		n[Natts_stage];

		heap_deform_tuple(tuple, RelationGetDescr(cs.rel), v, n);
		stage->pgt_id = DatumGetInt64(v[Anum_stage_pgt_id - 1]);
		stage->stageno = DatumGetInt32(v[Anum_stage_stageno - 1]);
		stage->relid = DatumGetObjectId(v[Anum_stage_relid - 1]);
		result = lappend(result, stage);
	}
	pgt_catalog_scan_end(&cs);
	list_sort(result, compare_stages);
	return result;
}

/* The rows of one stream table become stages; their pgt_id fields are ignored. */
void
pgt_catalog_replace_stages(int64 pgt_id, List *stages)
{
	ScanKeyData key;
	ListCell   *lc;

	pgt_catalog_key_int64(&key, Anum_stage_pgt_id, pgt_id);
	pgt_catalog_delete_rows(PGT_TAB_STAGES, PGT_IDX_STAGES, 1, &key);

	foreach(lc, stages)
	{
		StageTable *stage = lfirst(lc);
		Datum		v[Natts_stage];
		bool		n[Natts_stage] = {0};

		v[Anum_stage_pgt_id - 1] = Int64GetDatum(pgt_id);
		v[Anum_stage_stageno - 1] = Int32GetDatum(stage->stageno);
		v[Anum_stage_relid - 1] = ObjectIdGetDatum(stage->relid);
		pgt_catalog_insert_row(PGT_TAB_STAGES, v, n);
	}
}
