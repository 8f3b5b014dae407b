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
#include "utils/timestamp.h"

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
