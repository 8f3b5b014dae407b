/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Refresh workers and jobs, in shared memory.
 *
 * A scheduler starts workers when it has more to do than it can do itself in
 * a moment, and gives them jobs.  They stay, with warm caches and plans, until
 * they have been idle for a while, their scheduler is gone, or another database
 * has a better claim.
 *
 *		scheduler					worker
 *		take a slot: STARTING
 *		put a job in, register
 *									attach: RUNNING
 *									do the job: DONE, set the scheduler's latch
 *		collect: IDLE
 *		put a job in: RUNNING,
 *		set the worker's latch		...
 *		retire: stop				end; set the scheduler's latch
 *		collect: FREE
 *
 * How many.  max_worker_processes is for everybody.  What the launchers and the
 * schedulers leave of it is halved: one half for refresh workers of all databases,
 * the other for parallel queries and others.  Of that limit each database that
 * has use for it gets the same share: who has more than that gives an idle
 * worker back when a database is short of one.  A database without workers is
 * refreshed by its scheduler alone.
 *
 * All of it is protected by the lock of the registry (shmem.c), which is held
 * for a few instructions; results are copied while the slot belongs to the
 * process that copies.
 *
 * IDENTIFICATION
 *	  src/scheduler/pool.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pgtrickle/guc.h"

#include "scheduler_internal.h"

#define LIBRARY_NAME	"pg_trickle"

/* An idle worker leaves after this time. */
#define IDLE_MS			60000

PoolShared *pgt_pool_shared = NULL;

/* By worker slot: what this scheduler has started. */
static BackgroundWorkerHandle **handles = NULL;

Size
pgt_pool_shmem_size(void)
{
	return add_size(offsetof(PoolShared, workers),
					mul_size(sizeof(WorkerSlot), max_worker_processes));
}

/* With AddinShmemInitLock held. */
void
pgt_pool_shmem_startup(void)
{
	bool		found;

	pgt_pool_shared = ShmemInitStruct("pg_trickle workers", pgt_pool_shmem_size(), &found);
	if (found)
		return;
	memset(pgt_pool_shared, 0, pgt_pool_shmem_size());
	pgt_pool_shared->nworkers = max_worker_processes;
}

/* Of a job; NULL if newer ones have taken its place. */
static JobLog *
find_log(int64 id)
{
	JobLog	   *log = &pgt_pool_shared->logs[id % PGT_JOB_LOGS];

	return log->id == id ? log : NULL;
}

/* ---- how many ---- */

/* Refresh workers that all databases may have together; with the lock held. */
int
pgt_pool_limit(void)
{
	int			others = 2;		/* launchers: ours, and that of logical replication */

	if (pgt_scheduler_shared->short_of_slots)
		return 0;
	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
		if (OidIsValid(pgt_scheduler_shared->slots[i].database))
			others++;
	return Max((max_worker_processes - others) / 2, 0);
}

static int
count_workers(Oid database)
{
	int			n = 0;

	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->state != PGT_WORKER_FREE &&
			(!OidIsValid(database) || worker->database == database))
			n++;
	}
	return n;
}

/*
 * What each database may have, if others want workers and have fewer; INT_MAX
 * if nobody is short.
 */
static int
fair_share(Oid database)
{
	int			nclaims = 0;
	int			limit = pgt_pool_limit();
	bool		somebody_short = false;
	int			share;

	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		if (OidIsValid(slot->database) &&
			(slot->wants_workers || slot->database == database ||
			 count_workers(slot->database) > 0))
			nclaims++;
	}
	share = Max(limit / Max(nclaims, 1), 1);
	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		if (OidIsValid(slot->database) && slot->database != database &&
			slot->wants_workers && count_workers(slot->database) < share)
			somebody_short = true;
	}
	return somebody_short ? share : INT_MAX;
}

/* This database could do with a worker, and cannot have one. */
void
pgt_pool_set_wants(bool wants)
{
	SchedulerSlot *mine = pgt_scheduler_my_slot();

	if (mine->wants_workers == wants)
		return;
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	mine->wants_workers = wants;
	for (int i = 0; wants && i < pgt_scheduler_shared->nslots; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		if (slot != mine && slot->latch && count_workers(slot->database) > 0)
			SetLatch(slot->latch);
	}
	LWLockRelease(pgt_scheduler_lock);
}

/* ---- starting and ending workers ---- */

static bool
is_mine(const WorkerSlot *worker)
{
	return worker->state != PGT_WORKER_FREE && worker->owner == pgt_scheduler_my_slotno() &&
		worker->database == MyDatabaseId;
}

/* With the lock held. */
static void
free_worker(WorkerSlot *worker)
{
	worker->state = PGT_WORKER_FREE;
	worker->database = InvalidOid;
	worker->generation++;		/* a late starter must not attach */
	worker->pid = 0;
	worker->latch = NULL;
	worker->owner = -1;
}

/* A slot for a new worker, STARTING; -1, and *limited is why. */
static int
take_worker(bool *limited)
{
	int			number = -1;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	*limited = count_workers(InvalidOid) >= pgt_pool_limit() ||
		count_workers(MyDatabaseId) >= fair_share(MyDatabaseId);
	for (int i = 0; !*limited && number < 0 && i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->state != PGT_WORKER_FREE)
			continue;
		number = i;
		worker->state = PGT_WORKER_STARTING;
		worker->database = MyDatabaseId;
		worker->generation++;
		worker->owner = pgt_scheduler_my_slotno();
		worker->pid = 0;
		worker->latch = NULL;
		worker->stop = false;
		worker->ended = false;
		worker->since = GetCurrentTimestamp();
		worker->job.nmembers = 0;
		worker->job.members = worker->members;
	}
	LWLockRelease(pgt_scheduler_lock);
	return number;
}

/*
 * Starts a worker, which is to be given a job at once.  -1 if there is none to be
 * had; limited: because there are as many as there may be.
 */
int
pgt_pool_start(bool *limited)
{
	BackgroundWorker worker = {0};
	int			number = take_worker(limited);
	WorkerSlot *slot;
	MemoryContext old;
	bool		registered;

	if (number < 0)
		return -1;
	slot = &pgt_pool_shared->workers[number];
	if (handles == NULL)
		handles = MemoryContextAllocZero(TopMemoryContext,
										 sizeof(BackgroundWorkerHandle *) * max_worker_processes);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_name, BGW_MAXLEN, "pg_trickle worker %d for database %u",
			 number, MyDatabaseId);
	strlcpy(worker.bgw_type, "pg_trickle worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, LIBRARY_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgt_worker_main", BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(number);
	memcpy(worker.bgw_extra, &slot->generation, sizeof(uint32));
	memcpy(worker.bgw_extra + sizeof(uint32), &MyDatabaseId, sizeof(Oid));
	worker.bgw_notify_pid = MyProcPid;

	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &handles[number]);
	MemoryContextSwitchTo(old);
	if (registered)
		return number;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	free_worker(slot);
	LWLockRelease(pgt_scheduler_lock);
	*limited = true;
	return -1;
}

/*
 * Idle ones leave that have been idle for long, or that another database has
 * a better claim to, or all.
 */
void
pgt_pool_retire_idle(TimestampTz now, bool all)
{
	int			spare;

	if (pgt_pool_count(false) == 0)
		return;
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	spare = count_workers(MyDatabaseId);
	spare -= Min(fair_share(MyDatabaseId), spare);
	all |= pgt_scheduler_shared->short_of_slots;
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (!is_mine(worker) || worker->state != PGT_WORKER_IDLE || worker->stop)
			continue;
		if (!all && spare <= 0 &&
			!TimestampDifferenceExceeds(worker->since, now, IDLE_MS))
			continue;
		spare--;
		worker->stop = true;
		if (worker->latch)
			SetLatch(worker->latch);
	}
	LWLockRelease(pgt_scheduler_lock);
}

/*
 * The scheduler with this slot is gone: its workers finish what they are doing
 * and leave.  With the lock held.
 */
void
pgt_pool_abandon(int owner)
{
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->state == PGT_WORKER_FREE || worker->owner != owner)
			continue;
		worker->owner = -1;
		worker->stop = true;
		if (worker->pid == 0)
			free_worker(worker);
		else if (worker->latch)
			SetLatch(worker->latch);
	}
	for (int i = 0; i < PGT_JOB_LOGS; i++)
	{
		JobLog	   *log = &pgt_pool_shared->logs[i];

		/* a worker says itself how its job ends */
		if (log->id != 0 && log->scheduler == MyProcPid &&
			(log->status == PGT_JOB_QUEUED ||
			 (log->status == PGT_JOB_RUNNING && log->worker == MyProcPid)))
			pgt_job_log_lost(log->id);
	}
}

/*
 * Asks the workers of a database to leave; true if there are none (any more).
 * With the lock held.
 */
bool
pgt_pool_ask_to_leave(Oid database, bool cancel)
{
	bool		gone = true;

	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->state == PGT_WORKER_FREE || worker->database != database)
			continue;
		worker->stop = true;
		if (worker->pid == 0)
		{
			/* its scheduler, which leaves, gives the slot back */
			worker->generation++;
			continue;
		}
		gone = false;
		if (worker->latch)
			SetLatch(worker->latch);
		if (cancel)
			kill(worker->pid, SIGTERM);
	}
	return gone;
}

/* With the lock held: does any worker of the database have a job? */
bool
pgt_pool_is_busy(Oid database)
{
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		const WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->database == database && worker->pid != 0 &&
			(worker->state == PGT_WORKER_STARTING || worker->state == PGT_WORKER_RUNNING))
			return true;
	}
	return false;
}

/* ---- jobs ---- */

/* An idle worker, that one if it is idle; -1: none. */
int
pgt_pool_find_idle(int affinity)
{
	int			found = -1;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (!is_mine(worker) || worker->state != PGT_WORKER_IDLE || worker->stop || worker->ended)
			continue;
		if (found < 0 || i == affinity)
			found = i;
	}
	LWLockRelease(pgt_scheduler_lock);
	return found;
}

/* To an idle worker, or one that was just started. */
void
pgt_pool_assign(int number, const Job *job)
{
	WorkerSlot *worker = &pgt_pool_shared->workers[number];

	Assert(job->nmembers <= PGT_JOB_MEMBERS);
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	memcpy(worker->members, job->members, sizeof(JobMember) * job->nmembers);
	worker->job = *job;
	worker->job.members = worker->members;
	worker->since = GetCurrentTimestamp();
	/* one that starts may have attached meanwhile */
	if (worker->state == PGT_WORKER_IDLE || worker->pid != 0)
		worker->state = PGT_WORKER_RUNNING;
	if (worker->latch)
		SetLatch(worker->latch);
	LWLockRelease(pgt_scheduler_lock);
}

/* Has the process ended, or will it never come? */
static bool
is_gone(int number, const WorkerSlot *worker)
{
	pid_t		pid;

	if (worker->ended)
		return true;
	return worker->pid == 0 && handles != NULL && handles[number] != NULL &&
		GetBackgroundWorkerPid(handles[number], &pid) == BGWH_STOPPED;
}

/*
 * Looks at a worker.  True if a job has ended, which is copied to *job; its
 * members are PENDING if the worker ended without having done them.
 */
bool
pgt_pool_collect(int number, Job *job)
{
	WorkerSlot *worker = &pgt_pool_shared->workers[number];
	bool		collected = false;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (is_mine(worker))
	{
		bool		gone = is_gone(number, worker);

		if (worker->job.nmembers > 0 && (gone || worker->state == PGT_WORKER_DONE))
		{
			JobMember  *members = job->members;

			*job = worker->job;
			job->members = members;
			memcpy(members, worker->members, sizeof(JobMember) * job->nmembers);
			worker->job.nmembers = 0;
			collected = true;
		}
		if (gone)
			free_worker(worker);
		else if (worker->state == PGT_WORKER_DONE)
		{
			worker->state = PGT_WORKER_IDLE;
			worker->since = GetCurrentTimestamp();
		}
	}
	LWLockRelease(pgt_scheduler_lock);

	if (worker->state == PGT_WORKER_FREE && handles != NULL && handles[number] != NULL)
	{
		pfree(handles[number]);
		handles[number] = NULL;
	}
	return collected;
}

/* Workers of this scheduler. */
int
pgt_pool_count(bool busy_only)
{
	int			n = 0;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (is_mine(worker) && !(busy_only && worker->state == PGT_WORKER_IDLE))
			n++;
	}
	LWLockRelease(pgt_scheduler_lock);
	return n;
}

/* ---- what users see ---- */

/* Gives the job its number. */
void
pgt_job_log(Job *job, int attempt)
{
	JobLog	   *log;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	job->id = ++pgt_pool_shared->last_job;
	log = &pgt_pool_shared->logs[job->id % PGT_JOB_LOGS];
	memset(log, 0, sizeof(JobLog));
	log->id = job->id;
	log->database = MyDatabaseId;
	log->pgt_id = job->members[0].pgt_id;
	log->nmembers = job->nmembers;
	log->atomic = job->atomic;
	log->together = job->together;
	log->status = PGT_JOB_QUEUED;
	log->attempt = attempt;
	log->scheduler = MyProcPid;
	log->enqueued = GetCurrentTimestamp();
	LWLockRelease(pgt_scheduler_lock);
}

void
pgt_job_log_start(const Job *job)
{
	JobLog	   *log;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	log = find_log(job->id);
	if (log != NULL)
	{
		log->status = PGT_JOB_RUNNING;
		log->worker = MyProcPid;
		log->started = GetCurrentTimestamp();
	}
	LWLockRelease(pgt_scheduler_lock);
}

/* The process that was doing it ends without having done it; with the lock held. */
void
pgt_job_log_lost(int64 id)
{
	JobLog	   *log = find_log(id);

	if (log == NULL || log->finished != 0)
		return;
	log->status = PGT_JOB_FAILED;
	log->finished = GetCurrentTimestamp();
}

/* By whoever did it; by the scheduler for a worker that has died. */
void
pgt_job_log_end(const Job *job)
{
	JobLog	   *log;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	log = find_log(job->id);
	if (log != NULL && log->finished == 0)
	{
		bool		failed = false;

		for (int i = 0; i < job->nmembers; i++)
		{
			if (job->members[i].outcome == PGT_MEMBER_DONE)
				log->ndone++;
			failed |= job->members[i].outcome == PGT_MEMBER_FAILED ||
				job->members[i].outcome == PGT_MEMBER_PENDING;
		}
		log->status = failed ? PGT_JOB_FAILED : PGT_JOB_COMPLETED;
		log->finished = GetCurrentTimestamp();
	}
	LWLockRelease(pgt_scheduler_lock);
}

static JobInfo *
describe_job(const JobLog *log)
{
	static const char *const statuses[] = {"QUEUED", "RUNNING", "COMPLETED", "FAILED"};
	JobInfo    *info = palloc0(sizeof(JobInfo));

	info->id = log->id;
	info->pgt_id = log->pgt_id;
	info->kind = log->atomic ? "atomic_group" : log->nmembers > 1 ? "chain" : "singleton";
	info->status = statuses[log->status];
	info->nmembers = log->nmembers;
	info->ndone = log->ndone;
	info->attempt = log->attempt;
	info->scheduler_pid = log->scheduler;
	info->worker_pid = log->worker;
	info->enqueued = log->enqueued;
	info->started = log->started;
	info->finished = log->finished;
	return info;
}

/* Of this database, newest first. */
List *
pgt_scheduler_list_jobs(void)
{
	JobLog	   *logs;
	int64		last;
	List	   *result = NIL;

	if (pgt_pool_shared == NULL)
		return NIL;
	logs = palloc(sizeof(pgt_pool_shared->logs));
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	memcpy(logs, pgt_pool_shared->logs, sizeof(pgt_pool_shared->logs));
	last = pgt_pool_shared->last_job;
	LWLockRelease(pgt_scheduler_lock);

	for (int64 id = last; id > 0 && id > last - PGT_JOB_LOGS; id--)
	{
		JobLog	   *log = &logs[id % PGT_JOB_LOGS];

		if (log->id == id && log->database == MyDatabaseId)
			result = lappend(result, describe_job(log));
	}
	pfree(logs);
	return result;
}

PoolInfo
pgt_scheduler_pool_info(void)
{
	PoolInfo	info = {0};

	if (pgt_pool_shared == NULL)
		return info;
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		WorkerSlot *worker = &pgt_pool_shared->workers[i];

		if (worker->state == PGT_WORKER_FREE)
			continue;
		if (worker->database != MyDatabaseId)
			info.nelsewhere++;
		else if (worker->state == PGT_WORKER_IDLE)
			info.nidle++;
		else
			info.nbusy++;
	}
	info.limit = pgt_pool_limit();
	LWLockRelease(pgt_scheduler_lock);
	return info;
}
