/*-------------------------------------------------------------------------
 *
 * refresh_state.c
 *	  Rows of pgtrickle.pgt_refresh_state: frontier and costs.
 *
 * Every refresh that found changes writes its row once. No indexed column
 * changes and the table's fillfactor leaves room, so the update is HOT.
 *
 * Whoever is going to consume changes reads with for_update, holding the lock
 * of the stream table:
 *
 *		refresh A (committed)		refresh B, REPEATABLE READ
 *		                            BEGIN; first query: snapshot
 *		lock, consume, frontier 7
 *		COMMIT
 *		                            lock; frontier 7 is the newest
 *
 * B's snapshot sees neither A's rows of the stream table nor the frontier: if
 * it went on, it would apply a delta to rows it cannot see. So B fails with a
 * serialization error, as an UPDATE of the same row would.
 *
 * IDENTIFICATION
 *	  src/catalog/refresh_state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog_internal.h"

static RefreshAction
parse_action(const char *name)
{
	for (int action = PGT_ACTION_NO_DATA; action <= PGT_ACTION_SKIP; action++)
		if (strcmp(pgt_action_name(action), name) == 0)
			return (RefreshAction) action;
	return PGT_ACTION_NO_DATA;
}

/* Is this version's writer in the past of the transaction's snapshot? */
static void
check_visible_to_transaction(HeapTuple tuple)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(tuple->t_data);

	if (!IsolationUsesXactSnapshot() || !TransactionIdIsNormal(xmin) ||
		TransactionIdIsCurrentTransactionId(xmin))
		return;
	if (XidInMVCCSnapshot(xmin, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent refresh"),
				 errhint("The transaction might succeed if retried.")));
}

static void
form_refresh_state(RefreshState *state, Relation rel, HeapTuple tuple)
{
	Datum		v[Natts_state];
	bool		n[Natts_state];

#define GET(att)		(v[Anum_state_##att - 1])
#define ISNULL(att)		(n[Anum_state_##att - 1])
	heap_deform_tuple(tuple, RelationGetDescr(rel), v, n);
	state->frontier = ISNULL(frontier) ? NULL :
		pgt_frontier_deserialize(DatumGetByteaP(GET(frontier)));
	state->data_timestamp = ISNULL(data_timestamp) ? 0 :
		DatumGetTimestampTz(GET(data_timestamp));
	state->last_refresh_at = ISNULL(last_refresh_at) ? 0 :
		DatumGetTimestampTz(GET(last_refresh_at));
	if (!ISNULL(last_action))
		state->last_action = parse_action(TextDatumGetCString(GET(last_action)));
	state->last_full_ms = DatumGetFloat8(GET(last_full_ms));
	state->full_rows = DatumGetFloat8(GET(full_rows));
	state->diff.ms_per_row = DatumGetFloat8(GET(diff_ms_per_row));
	state->diff.base_ms = DatumGetFloat8(GET(diff_base_ms));
	state->diff.samples = DatumGetInt32(GET(diff_samples));
	state->tiny.ms_per_row = DatumGetFloat8(GET(tiny_ms_per_row));
	state->tiny.base_ms = DatumGetFloat8(GET(tiny_base_ms));
	state->tiny.samples = DatumGetInt32(GET(tiny_samples));
	state->auto_threshold = DatumGetFloat8(GET(auto_threshold));
	state->total_refreshes = DatumGetInt64(GET(total_refreshes));
	state->successful = DatumGetInt64(GET(successful));
	state->failed = DatumGetInt64(GET(failed));
	state->rows_inserted = DatumGetInt64(GET(rows_inserted));
	state->rows_deleted = DatumGetInt64(GET(rows_deleted));
	state->total_ms = DatumGetFloat8(GET(total_ms));
	state->total_full_ms = DatumGetFloat8(GET(total_full_ms));
	state->total_diff_ms = DatumGetFloat8(GET(total_diff_ms));
	state->full_refreshes = DatumGetInt64(GET(full_refreshes));
	state->diff_refreshes = DatumGetInt64(GET(diff_refreshes));
	state->last_fixpoint_iterations = DatumGetInt32(GET(last_fixpoint_iterations));
	state->last_converged_at = ISNULL(last_converged_at) ? 0 :
		DatumGetTimestampTz(GET(last_converged_at));
#undef GET
#undef ISNULL
}

/* Never NULL: without a row, all fields but pgt_id are zero. */
RefreshState *
pgt_catalog_get_refresh_state(int64 pgt_id, bool for_update)
{
	RefreshState *state = palloc0(sizeof(RefreshState));
	CatalogScan cs;
	ScanKeyData key;
	HeapTuple	tuple;

	state->pgt_id = pgt_id;
	pgt_catalog_key_int64(&key, Anum_state_pgt_id, pgt_id);
	pgt_catalog_scan_begin(&cs, PGT_TAB_STATE, PGT_IDX_STATE,
						   for_update ? RowExclusiveLock : AccessShareLock, 1, &key);
	tuple = pgt_catalog_scan_next(&cs);
	if (HeapTupleIsValid(tuple))
	{
		if (for_update)
			check_visible_to_transaction(tuple);
		form_refresh_state(state, cs.rel, tuple);
	}
	pgt_catalog_scan_end(&cs);
	return state;
}

static void
deform_refresh_state(const RefreshState *state, Datum *v, bool *n)
{
	memset(n, 0, sizeof(bool) * Natts_state);
#define SET(att)	v[Anum_state_##att - 1]
	SET(pgt_id) = Int64GetDatum(state->pgt_id);
	if (state->frontier)
		SET(frontier) = PointerGetDatum(pgt_frontier_serialize(state->frontier));
	else
	{
		SET(frontier) = (Datum) 0;
		n[Anum_state_frontier - 1] = true;
	}
	pgt_catalog_set_time(v, n, Anum_state_data_timestamp, state->data_timestamp);
	pgt_catalog_set_time(v, n, Anum_state_last_refresh_at, state->last_refresh_at);
	pgt_catalog_set_text(v, n, Anum_state_last_action,
						 state->last_refresh_at ? pgt_action_name(state->last_action) : NULL);
	SET(last_full_ms) = Float8GetDatum(state->last_full_ms);
	SET(full_rows) = Float8GetDatum(state->full_rows);
	SET(diff_ms_per_row) = Float8GetDatum(state->diff.ms_per_row);
	SET(diff_base_ms) = Float8GetDatum(state->diff.base_ms);
	SET(diff_samples) = Int32GetDatum(state->diff.samples);
	SET(tiny_ms_per_row) = Float8GetDatum(state->tiny.ms_per_row);
	SET(tiny_base_ms) = Float8GetDatum(state->tiny.base_ms);
	SET(tiny_samples) = Int32GetDatum(state->tiny.samples);
	SET(auto_threshold) = Float8GetDatum(state->auto_threshold);
	SET(total_refreshes) = Int64GetDatum(state->total_refreshes);
	SET(successful) = Int64GetDatum(state->successful);
	SET(failed) = Int64GetDatum(state->failed);
	SET(rows_inserted) = Int64GetDatum(state->rows_inserted);
	SET(rows_deleted) = Int64GetDatum(state->rows_deleted);
	SET(total_ms) = Float8GetDatum(state->total_ms);
	SET(total_full_ms) = Float8GetDatum(state->total_full_ms);
	SET(total_diff_ms) = Float8GetDatum(state->total_diff_ms);
	SET(full_refreshes) = Int64GetDatum(state->full_refreshes);
	SET(diff_refreshes) = Int64GetDatum(state->diff_refreshes);
	SET(last_fixpoint_iterations) = Int32GetDatum(state->last_fixpoint_iterations);
	pgt_catalog_set_time(v, n, Anum_state_last_converged_at, state->last_converged_at);
#undef SET
}

/* The caller holds the lock of the stream table. */
void
pgt_catalog_put_refresh_state(const RefreshState *state)
{
	CatalogScan cs;
	ScanKeyData key;
	HeapTuple	tuple;
	HeapTuple	newtuple;
	Datum		values[Natts_state];
	bool		nulls[Natts_state];

	deform_refresh_state(state, values, nulls);
	pgt_catalog_key_int64(&key, Anum_state_pgt_id, state->pgt_id);
	pgt_catalog_scan_begin(&cs, PGT_TAB_STATE, PGT_IDX_STATE, RowExclusiveLock, 1, &key);
	tuple = pgt_catalog_scan_next(&cs);
	newtuple = heap_form_tuple(RelationGetDescr(cs.rel), values, nulls);
	if (HeapTupleIsValid(tuple))
		CatalogTupleUpdate(cs.rel, &tuple->t_self, newtuple);
	else
		CatalogTupleInsert(cs.rel, newtuple);
	heap_freetuple(newtuple);
	pgt_catalog_scan_end(&cs);
	CommandCounterIncrement();
}
