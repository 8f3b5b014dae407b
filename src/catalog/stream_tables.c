/*-------------------------------------------------------------------------
 *
 * stream_tables.c
 *	  Rows of pgtrickle.pgt_stream_tables, and the lock on one stream table.
 *
 * Two transactions that change one row are ordered by
 * pgt_catalog_lock_stream_table(); writers here expect the caller to hold it,
 * except for the insert of a new one.
 *
 * IDENTIFICATION
 *	  src/catalog/stream_tables.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pgtrickle/env.h"

#include "catalog_internal.h"

static StreamTable *
form_stream_table(Relation rel, HeapTuple tuple)
{
	StreamTable *st = palloc0(sizeof(StreamTable));
	Datum		v[Natts_st];
	bool		n[Natts_st];

#define GET(att)		(v[Anum_st_##att - 1])
#define GET_TEXT(att)	pgt_catalog_text(GET(att), n[Anum_st_##att - 1])
#define GET_TIME(att)	(n[Anum_st_##att - 1] ? 0 : DatumGetTimestampTz(GET(att)))
	heap_deform_tuple(tuple, RelationGetDescr(rel), v, n);
	st->pgt_id = DatumGetInt64(GET(pgt_id));
	st->relid = DatumGetObjectId(GET(relid));
	st->definition = DatumGetObjectId(GET(definition));
	st->schedule = GET_TEXT(schedule);
	st->refresh_mode = pgt_mode_parse(GET_TEXT(refresh_mode));
	st->differential = DatumGetBool(GET(differential));
	st->downgrade_code = GET_TEXT(downgrade_code);
	st->downgrade_reason = GET_TEXT(downgrade_reason);
	st->status = pgt_status_parse(GET_TEXT(status));
	st->is_populated = DatumGetBool(GET(is_populated));
	st->needs_reinit = DatumGetBool(GET(needs_reinit));
	st->reinit_reason = GET_TEXT(reinit_reason);
	st->diamond_consistency = GET_TEXT(diamond_consistency);
	st->diamond_schedule_policy = GET_TEXT(diamond_schedule_policy);
	st->cdc_mode = GET_TEXT(cdc_mode);
	st->append_only = DatumGetBool(GET(append_only));
	st->consecutive_errors = DatumGetInt32(GET(consecutive_errors));
	st->last_error_message = GET_TEXT(last_error_message);
	st->last_error_at = GET_TIME(last_error_at);
	st->retry_at = GET_TIME(retry_at);
	st->settings = GET_TEXT(settings);
	st->stamp = GET_TEXT(stamp);
	st->generation = DatumGetInt32(GET(generation));
	st->created_at = DatumGetTimestampTz(GET(created_at));
#undef GET
#undef GET_TEXT
#undef GET_TIME
	return st;
}

static void
deform_stream_table(const StreamTable *st, Datum *v, bool *n)
{
	memset(n, 0, sizeof(bool) * Natts_st);
#define SET(att)			v[Anum_st_##att - 1]
#define SET_TEXT(att, text) pgt_catalog_set_text(v, n, Anum_st_##att, text)
#define SET_TIME(att)		pgt_catalog_set_time(v, n, Anum_st_##att, st->att)
	SET(pgt_id) = Int64GetDatum(st->pgt_id);
	SET(relid) = ObjectIdGetDatum(st->relid);
	SET(definition) = ObjectIdGetDatum(st->definition);
	SET_TEXT(schedule, st->schedule);
	SET_TEXT(refresh_mode, pgt_mode_name(st->refresh_mode));
	SET(differential) = BoolGetDatum(st->differential);
	SET_TEXT(downgrade_code, st->downgrade_code);
	SET_TEXT(downgrade_reason, st->downgrade_reason);
	SET_TEXT(status, pgt_status_name(st->status));
	SET(is_populated) = BoolGetDatum(st->is_populated);
	SET(needs_reinit) = BoolGetDatum(st->needs_reinit);
	SET_TEXT(reinit_reason, st->reinit_reason);
	SET_TEXT(diamond_consistency, st->diamond_consistency);
	SET_TEXT(diamond_schedule_policy, st->diamond_schedule_policy);
	SET_TEXT(cdc_mode, st->cdc_mode);
	SET(append_only) = BoolGetDatum(st->append_only);
	SET(consecutive_errors) = Int32GetDatum(st->consecutive_errors);
	SET_TEXT(last_error_message, st->last_error_message);
	SET_TIME(last_error_at);
	SET_TIME(retry_at);
	SET_TEXT(settings, st->settings ? st->settings : "");
	SET_TEXT(stamp, st->stamp ? st->stamp : "");
	SET(generation) = Int32GetDatum(st->generation);
	SET(created_at) = TimestampTzGetDatum(st->created_at);
#undef SET
#undef SET_TEXT
#undef SET_TIME
}

/* The only row that key finds, or NULL. */
static StreamTable *
get_one(const char *index, ScanKey key)
{
	CatalogScan cs;
	HeapTuple	tuple;
	StreamTable *st = NULL;

	pgt_catalog_scan_begin(&cs, PGT_TAB_STREAM_TABLES, index, AccessShareLock, 1, key);
	tuple = pgt_catalog_scan_next(&cs);
	if (HeapTupleIsValid(tuple))
		st = form_stream_table(cs.rel, tuple);
	pgt_catalog_scan_end(&cs);
	return st;
}

StreamTable *
pgt_catalog_get_stream_table(Oid relid, bool missing_ok)
{
	ScanKeyData key;
	StreamTable *st;

	pgt_catalog_key_oid(&key, Anum_st_relid, relid);
	st = get_one(PGT_IDX_ST_RELID, &key);
	if (st == NULL && !missing_ok)
	{
		char	   *name = get_rel_name(relid);

		if (name)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a stream table", name)));
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream table with OID %u does not exist", relid)));
	}
	return st;
}

StreamTable *
pgt_catalog_get_stream_table_by_id(int64 pgt_id, bool missing_ok)
{
	ScanKeyData key;
	StreamTable *st;

	pgt_catalog_key_int64(&key, Anum_st_pgt_id, pgt_id);
	st = get_one(PGT_IDX_ST_ID, &key);
	if (st == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream table with id " INT64_FORMAT " does not exist", pgt_id)));
	return st;
}

/* In the order of pgt_id, which is the order of creation. */
List *
pgt_catalog_list_stream_tables(void)
{
	CatalogScan cs;
	HeapTuple	tuple;
	List	   *result = NIL;
	SysScanDesc scan;
	Relation	index;

	/* systable_beginscan promises no order */
	cs.rel = table_open(pgt_own_relation(PGT_TAB_STREAM_TABLES), AccessShareLock);
	index = index_open(pgt_own_relation(PGT_IDX_ST_ID), AccessShareLock);
	scan = systable_beginscan_ordered(cs.rel, index, NULL, 0, NULL);
	while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL)
		result = lappend(result, form_stream_table(cs.rel, tuple));
	systable_endscan_ordered(scan);
	index_close(index, NoLock);
	table_close(cs.rel, NoLock);
	return result;
}

bool
pgt_catalog_has_stream_tables(void)
{
	CatalogScan cs;
	bool		result;

	pgt_catalog_scan_begin(&cs, PGT_TAB_STREAM_TABLES, NULL, AccessShareLock, 0, NULL);
	result = HeapTupleIsValid(pgt_catalog_scan_next(&cs));
	pgt_catalog_scan_end(&cs);
	return result;
}

int64
pgt_catalog_insert_stream_table(StreamTable *st)
{
	Datum		values[Natts_st];
	bool		nulls[Natts_st];

	st->pgt_id = pgt_catalog_nextval(PGT_SEQ_ID);
	deform_stream_table(st, values, nulls);
	pgt_catalog_insert_row(PGT_TAB_STREAM_TABLES, values, nulls);
	return st->pgt_id;
}

void
pgt_catalog_update_stream_table(const StreamTable *st)
{
	CatalogScan cs;
	ScanKeyData key;
	HeapTuple	tuple;
	HeapTuple	newtuple;
	Datum		values[Natts_st];
	bool		nulls[Natts_st];

	pgt_catalog_key_int64(&key, Anum_st_pgt_id, st->pgt_id);
	pgt_catalog_scan_begin(&cs, PGT_TAB_STREAM_TABLES, PGT_IDX_ST_ID,
						   RowExclusiveLock, 1, &key);
	tuple = pgt_catalog_scan_next(&cs);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream table with id " INT64_FORMAT " does not exist",
						st->pgt_id)));
	deform_stream_table(st, values, nulls);
	newtuple = heap_form_tuple(RelationGetDescr(cs.rel), values, nulls);
	CatalogTupleUpdate(cs.rel, &tuple->t_self, newtuple);
	pgt_catalog_scan_end(&cs);
	CommandCounterIncrement();
}

void
pgt_catalog_delete_stream_table(int64 pgt_id)
{
	ScanKeyData key;

	/* pgt_id is the first column of all of them */
	pgt_catalog_key_int64(&key, 1, pgt_id);
	pgt_catalog_delete_rows(PGT_TAB_DEPENDENCIES, PGT_IDX_DEP, 1, &key);
	pgt_catalog_delete_rows(PGT_TAB_STAGES, PGT_IDX_STAGES, 1, &key);
	pgt_catalog_delete_rows(PGT_TAB_STATE, PGT_IDX_STATE, 1, &key);
	pgt_catalog_key_int64(&key, Anum_history_pgt_id, pgt_id);
	pgt_catalog_delete_rows(PGT_TAB_HISTORY, PGT_IDX_HISTORY, 1, &key);
	pgt_catalog_key_int64(&key, Anum_st_pgt_id, pgt_id);
	pgt_catalog_delete_rows(PGT_TAB_STREAM_TABLES, PGT_IDX_ST_ID, 1, &key);
}

/*
 * Where a row belongs: a copy of it that a dump, a template database or an
 * upgrade brought elsewhere has another stamp than the place it is found in.
 */
char *
pgt_catalog_make_stamp(Oid relid)
{
	return psprintf(UINT64_FORMAT ".%u.%u", GetSystemIdentifier(), MyDatabaseId, relid);
}

bool
pgt_catalog_lock_stream_table(int64 pgt_id, bool conditional)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, pgt_own_relation(PGT_TAB_STREAM_TABLES),
					   (Oid) (uint32) pgt_id, (uint16) (pgt_id >> 32));
	if (LockAcquire(&tag, ExclusiveLock, false, conditional) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	/* what the previous holder changed must be known before anything is read */
	AcceptInvalidationMessages();
	return true;
}
