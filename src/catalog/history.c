/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Rows of pgtrickle.pgt_refresh_history.
 *
 * IDENTIFICATION
 *	  src/catalog/history.c
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
#include "datatype/timestamp.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "pgtrickle/env.h"

#include "catalog_internal.h"

int64
pgt_catalog_insert_history(RefreshRecord *rec)
{
	Datum		v[Natts_history];
	bool		n[Natts_history] = {0};

	rec->refresh_id = pgt_catalog_nextval(PGT_SEQ_REFRESH_ID);
#define SET(att)			v[Anum_history_##att - 1]
#define SET_TEXT(att, text) pgt_catalog_set_text(v, n, Anum_history_##att, text)
	SET(refresh_id) = Int64GetDatum(rec->refresh_id);
	SET(pgt_id) = Int64GetDatum(rec->pgt_id);
	SET_TEXT(action, pgt_action_name(rec->action));
	SET_TEXT(status, rec->status);
	SET_TEXT(initiated_by, pgt_initiator_name(rec->initiated_by));
	pgt_catalog_set_time(v, n, Anum_history_data_timestamp, rec->data_timestamp);
	SET(start_time) = TimestampTzGetDatum(rec->start_time);
	pgt_catalog_set_time(v, n, Anum_history_end_time, rec->end_time);
	SET(rows_inserted) = Int64GetDatum(rec->rows_inserted);
	SET(rows_deleted) = Int64GetDatum(rec->rows_deleted);
	SET(delta_row_count) = Int64GetDatum(rec->delta_row_count);
	SET(was_full_fallback) = BoolGetDatum(rec->was_full_fallback);
	SET_TEXT(fallback_reason, rec->fallback_reason);
	SET_TEXT(strategy, rec->strategy);
	SET(decision_ms) = Float8GetDatum(rec->decision_ms);
	SET(load_ms) = Float8GetDatum(rec->load_ms);
	SET(plan_ms) = Float8GetDatum(rec->plan_ms);
	SET(delta_ms) = Float8GetDatum(rec->delta_ms);
	SET(apply_ms) = Float8GetDatum(rec->apply_ms);
	SET(cleanup_ms) = Float8GetDatum(rec->cleanup_ms);
	SET_TEXT(error_message, rec->error_message);
	SET_TEXT(error_sqlstate, rec->error_sqlstate);
#undef SET
#undef SET_TEXT
	pgt_catalog_insert_row(PGT_TAB_HISTORY, v, n);
	return rec->refresh_id;
}

static RefreshAction
parse_action(const char *name)
{
	for (int action = PGT_ACTION_NO_DATA; action <= PGT_ACTION_SKIP; action++)
		if (strcmp(pgt_action_name(action), name) == 0)
			return (RefreshAction) action;
	return PGT_ACTION_NO_DATA;
}

static RefreshInitiator
parse_initiator(const char *name)
{
	for (int by = PGT_BY_MANUAL; by <= PGT_BY_INITIAL; by++)
		if (strcmp(pgt_initiator_name(by), name) == 0)
			return (RefreshInitiator) by;
	return PGT_BY_MANUAL;
}

static RefreshRecord *
form_record(Relation rel, HeapTuple tuple)
{
	RefreshRecord *rec = palloc0(sizeof(RefreshRecord));
	Datum		v[Natts_history];
	bool		n[Natts_history];

#define GET(att)		(v[Anum_history_##att - 1])
#define GET_TEXT(att)	pgt_catalog_text(GET(att), n[Anum_history_##att - 1])
#define GET_TIME(att)	(n[Anum_history_##att - 1] ? 0 : DatumGetTimestampTz(GET(att)))
	heap_deform_tuple(tuple, RelationGetDescr(rel), v, n);
	rec->refresh_id = DatumGetInt64(GET(refresh_id));
	rec->pgt_id = DatumGetInt64(GET(pgt_id));
	rec->action = parse_action(GET_TEXT(action));
	rec->status = GET_TEXT(status);
	rec->initiated_by = parse_initiator(GET_TEXT(initiated_by));
	rec->data_timestamp = GET_TIME(data_timestamp);
	rec->start_time = GET_TIME(start_time);
	rec->end_time = GET_TIME(end_time);
	rec->rows_inserted = DatumGetInt64(GET(rows_inserted));
	rec->rows_deleted = DatumGetInt64(GET(rows_deleted));
	rec->delta_row_count = DatumGetInt64(GET(delta_row_count));
	rec->was_full_fallback = DatumGetBool(GET(was_full_fallback));
	rec->fallback_reason = GET_TEXT(fallback_reason);
	rec->strategy = GET_TEXT(strategy);
	rec->decision_ms = DatumGetFloat8(GET(decision_ms));
	rec->load_ms = DatumGetFloat8(GET(load_ms));
	rec->plan_ms = DatumGetFloat8(GET(plan_ms));
	rec->delta_ms = DatumGetFloat8(GET(delta_ms));
	rec->apply_ms = DatumGetFloat8(GET(apply_ms));
	rec->cleanup_ms = DatumGetFloat8(GET(cleanup_ms));
	rec->error_message = GET_TEXT(error_message);
	rec->error_sqlstate = GET_TEXT(error_sqlstate);
#undef GET
#undef GET_TEXT
#undef GET_TIME
	return rec;
}

/* The newest refreshes of one stream table, of RefreshRecord *, newest first. */
List *
pgt_catalog_list_history(int64 pgt_id, int max_rows)
{
	ScanKeyData key;
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *result = NIL;

	pgt_catalog_key_int64(&key, Anum_history_pgt_id, pgt_id);
	rel = table_open(pgt_own_relation(PGT_TAB_HISTORY), AccessShareLock);
	index = index_open(pgt_own_relation(PGT_IDX_HISTORY), AccessShareLock);
	scan = systable_beginscan_ordered(rel, index, NULL, 1, &key);
	while (list_length(result) < max_rows &&
		   (tuple = systable_getnext_ordered(scan, BackwardScanDirection)) != NULL)
		result = lappend(result, form_record(rel, tuple));
	systable_endscan_ordered(scan);
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return result;
}

/*
 * Removes up to batch rows that started more than so many days ago.  Goes
 * through the stream tables one by one: the index leads to the old rows of
 * each without reading the others.
 */
int64
pgt_catalog_prune_history(int days, int batch)
{
	TimestampTz limit = GetCurrentTimestamp() - days * USECS_PER_DAY;
	int64		ndeleted = 0;
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_stream_tables())
	{
		StreamTable *st = lfirst(lc);
		CatalogScan cs;
		ScanKeyData keys[2];
		HeapTuple	tuple;

		if (ndeleted >= batch)
			break;
		pgt_catalog_key_int64(&keys[0], Anum_history_pgt_id, st->pgt_id);
		ScanKeyInit(&keys[1], Anum_history_start_time, BTLessStrategyNumber,
					F_TIMESTAMPTZ_LT, TimestampTzGetDatum(limit));
		pgt_catalog_scan_begin(&cs, PGT_TAB_HISTORY, PGT_IDX_HISTORY,
							   RowExclusiveLock, 2, keys);
		while (ndeleted < batch && (tuple = pgt_catalog_scan_next(&cs)) != NULL)
		{
			CatalogTupleDelete(cs.rel, &tuple->t_self);
			ndeleted++;
		}
		pgt_catalog_scan_end(&cs);
	}
	CommandCounterIncrement();
	return ndeleted;
}
