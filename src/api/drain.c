/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  drain(), is_drained(), end_drain(): the scheduler at rest, say for an upgrade.
 *
 * A drain is no part of a transaction: it begins at once, and stays when the
 * transaction is rolled back.  It ends with end_drain() or with the server.
 * Refreshes by hand go on.
 *
 * IDENTIFICATION
 *	  src/api/drain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "pgtrickle/scheduler.h"

#include "api_internal.h"

PG_FUNCTION_INFO_V1(pgt_drain);
PG_FUNCTION_INFO_V1(pgt_is_drained);
PG_FUNCTION_INFO_V1(pgt_end_drain);

/* between two looks; nobody tells us */
#define LOOK_MS			20

static void
check_available(void)
{
	if (!pgt_scheduler_is_available())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no scheduler to drain"),
				 errdetail("pg_trickle is not in shared_preload_libraries.")));
}

/* False: refreshes still go on.  The drain stays all the same. */
Datum
pgt_drain(PG_FUNCTION_ARGS)
{
	TimestampTz until;

	if (PG_ARGISNULL(0) || PG_GETARG_INT32(0) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout of a drain must not be null or negative")));
	check_available();
	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										PG_GETARG_INT32(0) * INT64CONST(1000));
	if (!pgt_scheduler_begin_drain())
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many databases are being drained"),
				 errhint("Use pgtrickle.end_drain() in some of them first.")));
	while (!pgt_scheduler_is_drained())
	{
		if (GetCurrentTimestamp() >= until)
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_BOOL(true);
}

Datum
pgt_is_drained(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(pgt_scheduler_is_drained());
}

Datum
pgt_end_drain(PG_FUNCTION_ARGS)
{
	check_available();
	pgt_scheduler_end_drain();
	PG_RETURN_VOID();
}
