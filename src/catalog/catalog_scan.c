/*-------------------------------------------------------------------------
 *
 * catalog_scan.c
 *	  Heap and index access to our own tables.
 *
 * Our tables are ordinary tables that we treat like system catalogs: scans
 * take a new snapshot each (GetCatalogSnapshot never reuses one for a relation
 * that sends no catalog invalidations), rows are written without SQL, triggers
 * or constraints other than uniqueness.
 *
 * IDENTIFICATION
 *	  src/catalog/catalog_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "pgtrickle/env.h"

#include "catalog_internal.h"

/* index may be NULL: the whole table. */
void
pgt_catalog_scan_begin(CatalogScan *cs, const char *table, const char *index,
					   LOCKMODE lockmode, int nkeys, ScanKey keys)
{
	Oid			indexid = index ? pgt_own_relation(index) : InvalidOid;

	cs->rel = table_open(pgt_own_relation(table), lockmode);
	cs->scan = systable_beginscan(cs->rel, indexid, index != NULL, NULL, nkeys, keys);
}

/* The tuple is valid until the next call. */
HeapTuple
pgt_catalog_scan_next(CatalogScan *cs)
{
	return systable_getnext(cs->scan);
}

void
pgt_catalog_scan_end(CatalogScan *cs)
{
	systable_endscan(cs->scan);
	table_close(cs->rel, NoLock);
}

void
pgt_catalog_key_int64(ScanKey key, AttrNumber attnum, int64 value)
{
	ScanKeyInit(key, attnum, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(value));
}

void
pgt_catalog_key_oid(ScanKey key, AttrNumber attnum, Oid value)
{
	ScanKeyInit(key, attnum, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
}

void
pgt_catalog_insert_row(const char *table, Datum *values, bool *nulls)
{
	Relation	rel = table_open(pgt_own_relation(table), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

int
pgt_catalog_delete_rows(const char *table, const char *index, int nkeys, ScanKey keys)
{
	CatalogScan cs;
	HeapTuple	tuple;
	int			ndeleted = 0;

	pgt_catalog_scan_begin(&cs, table, index, RowExclusiveLock, nkeys, keys);
	while ((tuple = pgt_catalog_scan_next(&cs)) != NULL)
	{
		CatalogTupleDelete(cs.rel, &tuple->t_self);
		ndeleted++;
	}
	pgt_catalog_scan_end(&cs);
	CommandCounterIncrement();
	return ndeleted;
}

char *
pgt_catalog_text(Datum value, bool isnull)
{
	return isnull ? NULL : TextDatumGetCString(value);
}

void
pgt_catalog_set_text(Datum *values, bool *nulls, AttrNumber attnum, const char *text)
{
	nulls[attnum - 1] = (text == NULL);
	values[attnum - 1] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

void
pgt_catalog_set_time(Datum *values, bool *nulls, AttrNumber attnum, TimestampTz time)
{
	nulls[attnum - 1] = (time == 0);
	values[attnum - 1] = TimestampTzGetDatum(time);
}

Datum
pgt_catalog_columns_array(const Bitmapset *columns)
{
	Datum	   *elems = palloc(sizeof(Datum) * (bms_num_members(columns) + 1));
	int			n = 0;
	int			attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
		elems[n++] = Int16GetDatum(attnum);
	return PointerGetDatum(construct_array(elems, n, INT2OID, sizeof(int16),
										   true, TYPALIGN_SHORT));
}

Bitmapset *
pgt_catalog_columns_set(Datum array)
{
	ArrayType  *arr = DatumGetArrayTypeP(array);
	Bitmapset  *result = NULL;
	Datum	   *elems;
	int			n;

	deconstruct_array(arr, INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &elems, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		int16		attnum = DatumGetInt16(elems[i]);

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("invalid column number %d in pg_trickle's catalog", attnum)));
		result = bms_add_member(result, attnum);
	}
	return result;
}

int64
pgt_catalog_nextval(const char *sequence)
{
	return nextval_internal(pgt_own_relation(sequence), false);
}
