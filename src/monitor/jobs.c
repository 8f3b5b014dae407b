/*-------------------------------------------------------------------------
 *
 * jobs.c
 *	  parallel_job_status(), worker_pool_status().
 *
 * Jobs are kept in shared memory, the newest of them: a row in a table for
 * each refresh of a millisecond would cost more than the refresh.  What they
 * did is in the refresh history.
 *
 * IDENTIFICATION
 *	  src/monitor/jobs.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pgtrickle/guc.h"
#include "pgtrickle/scheduler.h"

#include "monitor_internal.h"

PG_FUNCTION_INFO_V1(pgt_parallel_job_status);
PG_FUNCTION_INFO_V1(pgt_worker_pool_status);

static void
put_pid(ResultRow *row, int pid)
{
	if (pid != 0)
		pgt_monitor_put(row, Int32GetDatum(pid));
	else
		pgt_monitor_put_null(row);
}

static void
put_job(ResultRow *row, const JobInfo *job)
{
	StreamTable *st = pgt_catalog_get_stream_table_by_id(job->pgt_id, true);

	pgt_monitor_put(row, Int64GetDatum(job->id));
	pgt_monitor_put_text(row, st ? pgt_monitor_name(st->relid) : NULL);
	pgt_monitor_put_text(row, job->kind);
	pgt_monitor_put_text(row, job->status);
	pgt_monitor_put(row, Int32GetDatum(job->nmembers));
	pgt_monitor_put(row, Int32GetDatum(job->ndone));
	pgt_monitor_put(row, Int32GetDatum(job->attempt));
	put_pid(row, job->scheduler_pid);
	put_pid(row, job->worker_pid);
	pgt_monitor_put_time(row, job->enqueued);
	pgt_monitor_put_time(row, job->started);
	pgt_monitor_put_time(row, job->finished);
	pgt_monitor_put_float(row, (job->finished - job->started) / 1000.0,
						  job->finished == 0 || job->started == 0);
}

/* Jobs of this database, newest first. */
Datum
pgt_parallel_job_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int32		max_age = DatumGetInt32(pgt_monitor_arg(fcinfo, 0, "max_age_seconds"));
	TimestampTz since;
	ListCell   *lc;

	if (max_age < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("age must not be negative")));
	since = GetCurrentTimestamp() - max_age * USECS_PER_SEC;
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, pgt_scheduler_list_jobs())
	{
		JobInfo    *job = lfirst(lc);
		ResultRow	row;

		if (job->finished != 0 && job->finished < since)
			continue;
		row.ncolumns = 0;
		put_job(&row, job);
		pgt_monitor_emit(rsinfo, &row);
	}
	return (Datum) 0;
}

/* One row. */
Datum
pgt_worker_pool_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolInfo	pool = pgt_scheduler_pool_info();
	ResultRow	row;

	InitMaterializedSRF(fcinfo, 0);
	row.ncolumns = 0;
	pgt_monitor_put(&row, Int32GetDatum(pool.nbusy));
	pgt_monitor_put(&row, Int32GetDatum(pool.nidle));
	pgt_monitor_put(&row, Int32GetDatum(pool.nelsewhere));
	pgt_monitor_put(&row, Int32GetDatum(pool.limit));
	pgt_monitor_put(&row, Int32GetDatum(pgt_max_concurrent_refreshes));
	pgt_monitor_put_text(&row, pool.limit == 0 || pgt_max_concurrent_refreshes == 1 ?
						 "sequential" : "parallel");
	pgt_monitor_emit(rsinfo, &row);
	return (Datum) 0;
}
