/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A refresh worker: does the jobs that its scheduler gives it.
 *
 * It keeps what a session keeps, plans above all, from job to job.  It leaves
 * when it is asked to, after the job that it is doing.
 *
 * IDENTIFICATION
 *	  src/scheduler/worker.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "scheduler_internal.h"

static WorkerSlot *my_slot = NULL;

/* With the lock held. */
static void
tell_scheduler(void)
{
	SchedulerSlot *owner;

	if (my_slot->owner < 0)
		return;
	owner = &pgt_scheduler_shared->slots[my_slot->owner];
	if (owner->latch)
		SetLatch(owner->latch);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	my_slot->pid = 0;
	my_slot->latch = NULL;
	my_slot->ended = true;
	if (my_slot->state == PGT_WORKER_RUNNING)
		pgt_job_log_lost(my_slot->job.id);
	if (my_slot->owner < 0)
	{
		my_slot->state = PGT_WORKER_FREE;
		my_slot->database = InvalidOid;
		my_slot->generation++;
	}
	tell_scheduler();
	/* those that are short of workers */
	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		if (slot->wants_workers && slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(pgt_scheduler_lock);
}

static void
attach(int number, uint32 generation)
{
	WorkerSlot *slot = &pgt_pool_shared->workers[number];

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (slot->generation != generation || slot->state != PGT_WORKER_STARTING || slot->stop)
	{
		LWLockRelease(pgt_scheduler_lock);
		proc_exit(0);
	}
	slot->pid = MyProcPid;
	slot->latch = MyLatch;
	slot->state = slot->job.nmembers > 0 ? PGT_WORKER_RUNNING : PGT_WORKER_IDLE;
	pgt_scheduler_follow(slot->owner);
	LWLockRelease(pgt_scheduler_lock);
	my_slot = slot;
	before_shmem_exit(detach, (Datum) 0);
}

static WorkerState
read_state(bool *stop)
{
	WorkerState state;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	state = my_slot->state;
	*stop = my_slot->stop;
	LWLockRelease(pgt_scheduler_lock);
	return state;
}

static void
do_job(void)
{
	pgt_job_log_start(&my_slot->job);
	pgt_job_execute(&my_slot->job, 0);
	pgt_job_log_end(&my_slot->job);
	pgstat_report_activity(STATE_IDLE, NULL);

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	my_slot->state = PGT_WORKER_DONE;
	tell_scheduler();
	LWLockRelease(pgt_scheduler_lock);
}

void
pgt_worker_main(Datum arg)
{
	uint32		generation;
	Oid			database;
	MemoryContext context;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(uint32));
	memcpy(&database, MyBgworkerEntry->bgw_extra + sizeof(uint32), sizeof(Oid));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	attach(DatumGetInt32(arg), generation);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgt_scheduler_pin_settings();
	context = AllocSetContextCreate(TopMemoryContext, "pg_trickle worker",
									ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		bool		stop;
		WorkerState state;

		ResetLatch(MyLatch);
		/* a cancel request that comes while nothing runs has no target */
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		state = read_state(&stop);
		if (stop)
			break;
		if (state == PGT_WORKER_RUNNING)
		{
			MemoryContextSwitchTo(context);
			do_job();
			MemoryContextReset(context);
			continue;
		}
		/* the long sleep is not needed for anything */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 3600 * 1000L, pgt_wait_event(PGT_WAIT_WORKER));
	}
	proc_exit(0);
}
