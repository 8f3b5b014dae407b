/*-------------------------------------------------------------------------
 *
 * history.c
 *	  get_refresh_history(), refresh_timeline().
 *
 * IDENTIFICATION
 *	  src/monitor/history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "monitor_internal.h"

PG_FUNCTION_INFO_V1(pgt_get_refresh_history);
PG_FUNCTION_INFO_V1(pgt_refresh_timeline);

static int
get_max_rows(FunctionCallInfo fcinfo, int argno)
{
	int32		max_rows = DatumGetInt32(pgt_monitor_arg(fcinfo, argno, "max_rows"));

	if (max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of rows must not be negative")));
	return max_rows;
}

static void
put_record(ResultRow *row, const RefreshRecord *rec, bool may_read)
{
	pgt_monitor_put(row, Int64GetDatum(rec->refresh_id));
	pgt_monitor_put_time(row, rec->data_timestamp);
	pgt_monitor_put_time(row, rec->start_time);
	pgt_monitor_put_time(row, rec->end_time);
	pgt_monitor_put_text(row, pgt_action_name(rec->action));
	pgt_monitor_put_text(row, rec->status);
	pgt_monitor_put(row, Int64GetDatum(rec->rows_inserted));
	pgt_monitor_put(row, Int64GetDatum(rec->rows_deleted));
	pgt_monitor_put_float(row, (rec->end_time - rec->start_time) / 1000.0,
						  rec->end_time == 0);
	pgt_monitor_put_text(row, may_read ? rec->error_message : NULL);
}

/* Newest first. */
Datum
pgt_get_refresh_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamTable *st = pgt_monitor_find(fcinfo);
	int			max_rows = get_max_rows(fcinfo, 1);
	bool		may_read = pgt_monitor_may_read(st->relid);
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_history(st->pgt_id, max_rows))
	{
		ResultRow	row;

		row.ncolumns = 0;
		put_record(&row, lfirst(lc), may_read);
		pgt_monitor_emit(rsinfo, &row);
	}
	return (Datum) 0;
}

typedef struct TimelineItem
{
	RefreshRecord *rec;
	Oid			relid;
} TimelineItem;

static int
compare_items(const ListCell *a, const ListCell *b)
{
	const RefreshRecord *ra = ((TimelineItem *) lfirst(a))->rec;
	const RefreshRecord *rb = ((TimelineItem *) lfirst(b))->rec;

	if (ra->start_time != rb->start_time)
		return ra->start_time > rb->start_time ? -1 : 1;
	return ra->refresh_id > rb->refresh_id ? -1 : ra->refresh_id < rb->refresh_id;
}

/* The same over all stream tables, with their names. */
Datum
pgt_refresh_timeline(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			max_rows = get_max_rows(fcinfo, 0);
	List	   *items = NIL;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_catalog_list_stream_tables())
	{
		StreamTable *st = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, pgt_catalog_list_history(st->pgt_id, max_rows))
		{
			TimelineItem *item = palloc(sizeof(TimelineItem));

			item->rec = lfirst(lc2);
			item->relid = st->relid;
			items = lappend(items, item);
		}
		/* keep no more than may be shown */
		list_sort(items, compare_items);
		items = list_truncate(items, max_rows);
		CHECK_FOR_INTERRUPTS();
	}

	foreach(lc, items)
	{
		TimelineItem *item = lfirst(lc);
		ResultRow	row;

		row.ncolumns = 0;
		pgt_monitor_put_text(&row, pgt_monitor_name(item->relid));
		put_record(&row, item->rec, pgt_monitor_may_read(item->relid));
		pgt_monitor_emit(rsinfo, &row);
	}
	return (Datum) 0;
}
