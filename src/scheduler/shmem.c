/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Registry of schedulers in shared memory, and news for them.
 *
 * A change of our catalog is announced to the scheduler of its database, or,
 * where none runs, to the launcher, after the transaction has committed: who
 * is told earlier would read the old state and not look again.
 *
 *	backend						scheduler
 *	UPDATE pgt_stream_tables
 *	notify_catalog_change()
 *	COMMIT (visible to all)
 *	counter + 1, set latch
 *								counter moved: remember it, read the catalog
 *
 * Whatever commits after the scheduler has read the counter moves it again.
 *
 * Locking: one lock for everything.  It is held for a few instructions, and
 * latches are set under it, so that a slot's latch is that of a live process.
 *
 * IDENTIFICATION
 *	  src/scheduler/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

#include "scheduler_internal.h"

#define SHARED_NAME		"pg_trickle schedulers"

SchedulerShared *pgt_scheduler_shared = NULL;
LWLock	   *pgt_scheduler_lock = NULL;

static int	my_slotno = -1;

/* what this transaction has to announce */
static bool pending_catalog_change = false;
static bool pending_databases = false;
static bool callback_registered = false;

static Size
shared_size(void)
{
	return add_size(offsetof(SchedulerShared, slots),
					mul_size(sizeof(SchedulerSlot), max_worker_processes));
}

void
pgt_scheduler_shmem_request(void)
{
	RequestAddinShmemSpace(add_size(shared_size(), pgt_pool_shmem_size()));
	RequestNamedLWLockTranche(SHARED_NAME, 1);
}

void
pgt_scheduler_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	pgt_scheduler_shared = ShmemInitStruct(SHARED_NAME, shared_size(), &found);
	if (!found)
	{
		memset(pgt_scheduler_shared, 0, shared_size());
		pgt_scheduler_shared->nslots = max_worker_processes;
	}
	pgt_pool_shmem_startup();
	pgt_scheduler_lock = &GetNamedLWLockTranche(SHARED_NAME)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/* ---- a scheduler's own slot ---- */

static void
detach(int code, Datum arg)
{
	SchedulerSlot *slot = &pgt_scheduler_shared->slots[my_slotno];

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->latch = NULL;
	slot->wants_workers = false;
	pgt_pool_abandon(my_slotno);
	if (pgt_scheduler_shared->launcher)
		SetLatch(pgt_scheduler_shared->launcher);
	LWLockRelease(pgt_scheduler_lock);
	my_slotno = -1;
}

/* Ends the process if the launcher has given up waiting for it. */
void
pgt_scheduler_attach(int slotno, uint32 generation)
{
	SchedulerSlot *slot = &pgt_scheduler_shared->slots[slotno];

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (slot->generation != generation || slot->pid != 0 || slot->stop)
	{
		LWLockRelease(pgt_scheduler_lock);
		proc_exit(0);
	}
	slot->pid = MyProcPid;
	slot->latch = MyLatch;
	slot->exit = PGT_EXIT_FAILED;
	slot->drained = false;
	LWLockRelease(pgt_scheduler_lock);

	my_slotno = slotno;
	before_shmem_exit(detach, (Datum) 0);
}

/* A worker's questions are about the slot of its scheduler. */
void
pgt_scheduler_follow(int slotno)
{
	my_slotno = slotno;
}

int
pgt_scheduler_my_slotno(void)
{
	return my_slotno;
}

SchedulerSlot *
pgt_scheduler_my_slot(void)
{
	Assert(my_slotno >= 0);
	return &pgt_scheduler_shared->slots[my_slotno];
}

/*
 * catalog_changes: the counter before this process decided to end.  If it
 * moves, the reason may be out of date, which the launcher notices.
 */
void
pgt_scheduler_set_exit(SchedulerExit exit, uint64 catalog_changes)
{
	SchedulerSlot *slot = pgt_scheduler_my_slot();

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	slot->exit = exit;
	slot->exit_changes = catalog_changes;
	LWLockRelease(pgt_scheduler_lock);
}

/* This database has the extension: tell the launcher, which starts few at once. */
void
pgt_scheduler_found_extension(void)
{
	SchedulerSlot *slot = pgt_scheduler_my_slot();

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	slot->has_extension = true;
	if (pgt_scheduler_shared->launcher)
		SetLatch(pgt_scheduler_shared->launcher);
	LWLockRelease(pgt_scheduler_lock);
}

uint64
pgt_scheduler_catalog_changes(void)
{
	uint64		result;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	result = pgt_scheduler_my_slot()->catalog_changes;
	LWLockRelease(pgt_scheduler_lock);
	return result;
}

bool
pgt_scheduler_asked_to_stop(void)
{
	bool		result;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	result = pgt_scheduler_my_slot()->stop;
	LWLockRelease(pgt_scheduler_lock);
	return result;
}

/* Is there a scheduler for this database? */
bool
pgt_scheduler_is_running(void)
{
	bool		found = false;

	if (pgt_scheduler_shared == NULL)
		return false;
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	for (int i = 0; i < pgt_scheduler_shared->nslots && !found; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		found = slot->database == MyDatabaseId && slot->pid != 0;
	}
	LWLockRelease(pgt_scheduler_lock);
	return found;
}

/* ---- drain ---- */

bool
pgt_scheduler_is_available(void)
{
	return pgt_scheduler_shared != NULL;
}

/* With the lock held.  Position of a database among the drains; -1: none. */
static int
find_drain(Oid database)
{
	for (int i = 0; i < PGT_MAX_DRAINS; i++)
		if (pgt_scheduler_shared->drains[i] == database)
			return i;
	return -1;
}

/* With the lock held. */
static SchedulerSlot *
find_slot(Oid database)
{
	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
		if (pgt_scheduler_shared->slots[i].database == database)
			return &pgt_scheduler_shared->slots[i];
	return NULL;
}

/* With the lock held: the scheduler looks at the list. */
static void
wake_scheduler(void)
{
	SchedulerSlot *slot = find_slot(MyDatabaseId);

	if (slot != NULL && slot->latch != NULL)
		SetLatch(slot->latch);
}

bool
pgt_scheduler_begin_drain(void)
{
	int			i;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	i = find_drain(MyDatabaseId);
	if (i < 0)
		i = find_drain(InvalidOid);
	if (i >= 0)
		pgt_scheduler_shared->drains[i] = MyDatabaseId;
	wake_scheduler();
	LWLockRelease(pgt_scheduler_lock);
	return i >= 0;
}

void
pgt_scheduler_end_drain(void)
{
	int			i;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	i = find_drain(MyDatabaseId);
	if (i >= 0)
		pgt_scheduler_shared->drains[i] = InvalidOid;
	wake_scheduler();
	LWLockRelease(pgt_scheduler_lock);
}

bool
pgt_scheduler_is_draining(void)
{
	bool		result;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	result = find_drain(MyDatabaseId) >= 0;
	LWLockRelease(pgt_scheduler_lock);
	return result;
}

void
pgt_scheduler_set_drained(bool drained)
{
	SchedulerSlot *slot = pgt_scheduler_my_slot();

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	slot->drained = drained;
	LWLockRelease(pgt_scheduler_lock);
}

/*
 * The scheduler itself says when all of its refreshes have ended, since only it knows
 * what it was about to begin.  Workers outlive a scheduler that was killed.
 */
bool
pgt_scheduler_is_drained(void)
{
	SchedulerSlot *slot;
	bool		result;

	if (pgt_scheduler_shared == NULL)
		return false;
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	slot = find_slot(MyDatabaseId);
	result = find_drain(MyDatabaseId) >= 0 && !pgt_pool_is_busy(MyDatabaseId) &&
		(slot == NULL || slot->pid == 0 || slot->drained);
	LWLockRelease(pgt_scheduler_lock);
	return result;
}

/* A database that is dropped drains no more; its OID may come again. */
void
pgt_scheduler_forget_drain(Oid database)
{
	int			i;

	if (pgt_scheduler_shared == NULL)
		return;
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	i = find_drain(database);
	if (i >= 0)
		pgt_scheduler_shared->drains[i] = InvalidOid;
	LWLockRelease(pgt_scheduler_lock);
}

/* ---- wait events ---- */

uint32
pgt_wait_event(SchedulerWait wait)
{
	static const char *const names[] = {
		"PgTrickleLauncherMain", "PgTrickleSchedulerMain", "PgTrickleWorkerMain",
		"PgTrickleDatabaseExit"
	};
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = WaitEventExtensionNew(names[wait]);
	return events[wait];
}

/* ---- news ---- */

static void
announce_catalog_change(void)
{
	SchedulerShared *shared = pgt_scheduler_shared;

	for (int i = 0; i < shared->nslots; i++)
	{
		SchedulerSlot *slot = &shared->slots[i];

		if (slot->database != MyDatabaseId)
			continue;
		slot->catalog_changes++;
		if (slot->latch)
			SetLatch(slot->latch);
		/* one that is still starting, or has just decided to end, counts too */
		return;
	}

	for (int i = 0; i < shared->nnews; i++)
		if (shared->news[i] == MyDatabaseId)
			return;
	if (shared->nnews < PGT_MAX_NEWS)
		shared->news[shared->nnews++] = MyDatabaseId;
	else
		shared->look_everywhere = true;
	if (shared->launcher)
		SetLatch(shared->launcher);
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (!pending_catalog_change && !pending_databases)
		return;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
			if (pending_catalog_change)
				announce_catalog_change();
			if (pending_databases)
			{
				pgt_scheduler_shared->look_at_databases = true;
				if (pgt_scheduler_shared->launcher)
					SetLatch(pgt_scheduler_shared->launcher);
			}
			LWLockRelease(pgt_scheduler_lock);
			/* FALLTHROUGH */
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* COMMIT PREPARED announces on its own, see utility.c */
			pending_catalog_change = false;
			pending_databases = false;
			break;
		default:
			break;
	}
}

static bool
can_announce(void)
{
	if (pgt_scheduler_shared == NULL)
		return false;
	if (!callback_registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		callback_registered = true;
	}
	return true;
}

void
pgt_scheduler_notify_catalog_change(void)
{
	if (can_announce())
		pending_catalog_change = true;
}

void
pgt_scheduler_notify_databases(void)
{
	if (can_announce())
		pending_databases = true;
}

static void
announce_at_exit(int code, Datum arg)
{
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	announce_catalog_change();
	LWLockRelease(pgt_scheduler_lock);
}

void
pgt_scheduler_notify_at_exit(void)
{
	static bool registered = false;

	if (pgt_scheduler_shared == NULL || registered)
		return;
	/* after ShutdownPostgres(), which gives the locks of the session back */
	on_shmem_exit(announce_at_exit, (Datum) 0);
	registered = true;
}
