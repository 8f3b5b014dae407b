/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Keeps one scheduler running in each database that has the extension.
 *
 * The launcher is connected to no database: it reads pg_database, and to learn
 * whether a database has the extension it starts a scheduler there, which ends
 * at once if not.  After that it is told: CREATE EXTENSION, CREATE and DROP
 * DATABASE set its latch when they have committed (utility.c).  A slow look at
 * everything finds what came in without saying so.
 *
 * Templates and databases that allow no connections get no scheduler: being
 * connected to template1 would make CREATE DATABASE fail.
 *
 *		state of a database			what happens
 *		UNKNOWN						start a scheduler when its time has come
 *		RUNNING						has a slot; wait for the process to end
 *		WITHOUT						ended with NO_EXTENSION: until news come
 *
 * Where there are more databases than processes, schedulers take turns: one that has
 * had its time is asked to leave when another database waits, and comes back
 * behind the others.  Refresh workers make room first.
 *
 * A scheduler that fails is started again after 1 s, 2 s, 4 s ... up to a
 * minute.  When the launcher itself fails, the postmaster starts it again, and
 * it takes over the schedulers that it finds in the registry.
 *
 * On a standby, the launcher is started by the end of recovery.
 *
 * IDENTIFICATION
 *	  src/scheduler/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pgtrickle/refresh.h"

#include "scheduler_internal.h"

#define LIBRARY_NAME	"pg_trickle"

/* pg_database is read this often without news */
#define LOOK_MS			60000
/* databases without the extension are looked into again */
#define LOOK_INSIDE_MS	600000
/* databases that are being looked into at a time */
#define MAX_PROBES		2
#define MAX_BACKOFF_MS	60000
/* what a scheduler has for its turn, if others wait */
#define TURN_MS			5000
/* a scheduler that ran longer than this starts without backoff */
#define STABLE_MS		60000

typedef enum DatabaseState
{
	DB_UNKNOWN,
	DB_RUNNING,
	DB_WITHOUT
} DatabaseState;

typedef struct DatabaseEntry
{
	Oid			oid;			/* hash key */
	bool		seen;			/* by the current look at pg_database */
	DatabaseState state;
	int			failures;		/* in a row */
	TimestampTz not_before;
	TimestampTz ended;			/* when it had its last turn */
	bool		waiting;		/* for a process */
	/* RUNNING */
	TimestampTz started;
	int			slotno;
	uint32		generation;
	BackgroundWorkerHandle *handle; /* NULL: taken over */
} DatabaseEntry;

static HTAB *databases;
static bool told_no_slots = false;

void
pgt_scheduler_register_launcher(void)
{
	BackgroundWorker worker = {0};

	if (IsBinaryUpgrade)
		return;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_name, "pg_trickle launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pg_trickle launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, LIBRARY_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgt_scheduler_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);

	pgt_scheduler_install_utility_hook();
}

/* ---- which databases there are ---- */

static DatabaseEntry *
find_database(Oid oid, bool *found)
{
	DatabaseEntry *entry = hash_search(databases, &oid, HASH_ENTER, found);

	if (!*found)
	{
		memset(entry, 0, sizeof(DatabaseEntry));
		entry->oid = oid;
		entry->state = DB_UNKNOWN;
	}
	return entry;
}

/* Brings the list up to date with pg_database. */
static void
look_at_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
		entry->seen = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		bool		found;

		/* a connection limit of -2 marks a half-dropped database */
		if (!form->datallowconn || form->datistemplate || form->datconnlimit == -2)
			continue;
		find_database(form->oid, &found)->seen = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->seen || entry->state == DB_RUNNING)
			continue;
		pgt_refresh_stats_forget_database(entry->oid);
		pgt_scheduler_forget_drain(entry->oid);
		hash_search(databases, &entry->oid, HASH_REMOVE, NULL);
	}
}

/* Databases that backends want us to look into. */
static bool
take_news(void)
{
	SchedulerShared *shared = pgt_scheduler_shared;
	Oid			news[PGT_MAX_NEWS];
	int			nnews;
	bool		everywhere;
	bool		look;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	nnews = shared->nnews;
	memcpy(news, shared->news, sizeof(Oid) * nnews);
	everywhere = shared->look_everywhere;
	look = shared->look_at_databases || everywhere || nnews > 0;
	shared->nnews = 0;
	shared->look_everywhere = false;
	shared->look_at_databases = false;
	LWLockRelease(pgt_scheduler_lock);

	for (int i = 0; i < nnews; i++)
	{
		bool		found;
		DatabaseEntry *entry = find_database(news[i], &found);

		if (entry->state == DB_WITHOUT)
		{
			entry->state = DB_UNKNOWN;
			entry->not_before = 0;
		}
	}
	if (everywhere)
	{
		HASH_SEQ_STATUS seq;
		DatabaseEntry *entry;

		hash_seq_init(&seq, databases);
		while ((entry = hash_seq_search(&seq)) != NULL)
			if (entry->state == DB_WITHOUT)
				entry->state = DB_UNKNOWN;
	}
	return look;
}

/* ---- schedulers that end ---- */

/*
 * Registers the end of an entry's scheduler and gives its slot back.  Returns
 * true if pg_database should be read again before anything is started.
 */
static bool
finish_scheduler(DatabaseEntry *entry, TimestampTz now)
{
	SchedulerSlot *slot = &pgt_scheduler_shared->slots[entry->slotno];
	SchedulerExit how = PGT_EXIT_FAILED;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (slot->generation == entry->generation)
	{
		how = slot->exit;
		if (slot->stop)
			how = PGT_EXIT_ASKED;
		else if (how == PGT_EXIT_NO_EXTENSION &&
				 slot->catalog_changes != slot->exit_changes)
			how = PGT_EXIT_ASKED;
		slot->database = InvalidOid;
		slot->generation++;		/* a late starter must not attach */
	}
	LWLockRelease(pgt_scheduler_lock);

	if (entry->handle)
		pfree(entry->handle);
	entry->handle = NULL;
	entry->state = DB_UNKNOWN;
	entry->not_before = 0;
	entry->ended = now;

	if (how == PGT_EXIT_NO_EXTENSION)
	{
		entry->state = DB_WITHOUT;
		entry->failures = 0;
		entry->not_before = TimestampTzPlusMilliseconds(now, LOOK_INSIDE_MS);
		pgt_refresh_stats_forget_database(entry->oid);
		pgt_scheduler_forget_drain(entry->oid);
		return false;
	}
	if (how == PGT_EXIT_ASKED)
	{
		entry->failures = 0;
		return true;
	}

	if (TimestampDifferenceExceeds(entry->started, now, STABLE_MS))
		entry->failures = 0;
	entry->not_before =
		TimestampTzPlusMilliseconds(now, Min(1000 << Min(entry->failures, 6),
											 MAX_BACKOFF_MS));
	entry->failures++;
	return true;
}

static bool
has_ended(DatabaseEntry *entry)
{
	SchedulerSlot *slot = &pgt_scheduler_shared->slots[entry->slotno];
	pid_t		pid;
	bool		ended;

	if (entry->handle)
		return GetBackgroundWorkerPid(entry->handle, &pid) == BGWH_STOPPED;
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	ended = slot->generation != entry->generation || slot->pid == 0;
	LWLockRelease(pgt_scheduler_lock);
	return ended;
}

static bool
reap_schedulers(TimestampTz now)
{
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;
	bool		look = false;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->state == DB_RUNNING && has_ended(entry))
			look |= finish_scheduler(entry, now);
	}
	return look;
}

/* ---- starting schedulers ---- */

/* Takes a slot; -1 if there is none. */
static int
take_slot(Oid database)
{
	SchedulerShared *shared = pgt_scheduler_shared;
	int			slotno = -1;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->nslots && slotno < 0; i++)
	{
		SchedulerSlot *slot = &shared->slots[i];

		if (OidIsValid(slot->database))
			continue;
		slotno = i;
		slot->database = database;
		slot->generation++;
		slot->pid = 0;
		slot->latch = NULL;
		slot->has_extension = false;
		slot->stop = false;
		slot->wants_workers = false;
		slot->exit = PGT_EXIT_FAILED;
		slot->catalog_changes = 1;
		slot->exit_changes = 0;
	}
	LWLockRelease(pgt_scheduler_lock);
	return slotno;
}

static bool
register_worker(DatabaseEntry *entry)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_name, BGW_MAXLEN, "pg_trickle scheduler for database %u",
			 entry->oid);
	strlcpy(worker.bgw_type, "pg_trickle scheduler", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, LIBRARY_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgt_scheduler_main", BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(entry->slotno);
	memcpy(worker.bgw_extra, &entry->generation, sizeof(uint32));
	memcpy(worker.bgw_extra + sizeof(uint32), &entry->oid, sizeof(Oid));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &entry->handle);
}

/* Refresh workers leave when there are no processes for schedulers. */
static void
set_short_of_slots(bool is_short)
{
	SchedulerShared *shared = pgt_scheduler_shared;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (shared->short_of_slots != is_short)
	{
		shared->short_of_slots = is_short;
		for (int i = 0; is_short && i < shared->nslots; i++)
			if (shared->slots[i].latch)
				SetLatch(shared->slots[i].latch);
	}
	LWLockRelease(pgt_scheduler_lock);
}

/* Asks the scheduler that runs for longest to leave, one at a time. */
static void
end_a_turn(TimestampTz now)
{
	DatabaseEntry *oldest = NULL;
	DatabaseEntry *entry;
	HASH_SEQ_STATUS seq;
	bool		leaving = false;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->state != DB_RUNNING)
			continue;
		leaving |= pgt_scheduler_shared->slots[entry->slotno].stop;
		if (oldest == NULL || entry->started < oldest->started)
			oldest = entry;
	}
	if (leaving || oldest == NULL ||
		!TimestampDifferenceExceeds(oldest->started, now, TURN_MS))
		return;
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	if (pgt_scheduler_shared->slots[oldest->slotno].generation == oldest->generation)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[oldest->slotno];

		slot->stop = true;
		if (slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(pgt_scheduler_lock);
}

static void
start_scheduler(DatabaseEntry *entry, TimestampTz now)
{
	entry->slotno = take_slot(entry->oid);
	if (entry->slotno >= 0)
	{
		entry->generation = pgt_scheduler_shared->slots[entry->slotno].generation;
		if (register_worker(entry))
		{
			entry->state = DB_RUNNING;
			entry->started = now;
			entry->waiting = false;
			return;
		}
		LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
		pgt_scheduler_shared->slots[entry->slotno].database = InvalidOid;
		LWLockRelease(pgt_scheduler_lock);
	}

	if (!told_no_slots)
		ereport(LOG,
				(errmsg("could not start a pg_trickle scheduler: out of background worker slots"),
				 errdetail("The schedulers of the databases take turns."),
				 errhint("Consider increasing max_worker_processes.")));
	told_no_slots = true;
	entry->waiting = true;
	entry->not_before = TimestampTzPlusMilliseconds(now, 1000);
	set_short_of_slots(true);
	end_a_turn(now);
}

/* End of the time in which no scheduler may enter the database; 0: none. */
static TimestampTz
blocked_until(Oid database, TimestampTz now)
{
	TimestampTz result = 0;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGT_MAX_BLOCKS; i++)
	{
		SchedulerBlock *block = &pgt_scheduler_shared->blocks[i];

		if (block->database != database)
			continue;
		/* one of a clock that was set back since lasts as long as others */
		block->until = Min(block->until, TimestampTzPlusMilliseconds(now, PGT_BLOCK_MS));
		if (block->until > now)
			result = block->until;
		else
		{
			/* it may have been dropped meanwhile */
			block->database = InvalidOid;
			pgt_scheduler_shared->look_at_databases = true;
			result = now;
		}
	}
	LWLockRelease(pgt_scheduler_lock);
	return result;
}

/* Schedulers that do not know yet whether their database has the extension. */
static int
count_probes(void)
{
	int			n = 0;

	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	for (int i = 0; i < pgt_scheduler_shared->nslots; i++)
	{
		SchedulerSlot *slot = &pgt_scheduler_shared->slots[i];

		if (OidIsValid(slot->database) && !slot->has_extension)
			n++;
	}
	LWLockRelease(pgt_scheduler_lock);
	return n;
}

/*
 * May the entry's scheduler be started now?  If later, *next says when at the latest.
 */
static bool
may_start(DatabaseEntry *entry, TimestampTz now, TimestampTz *next)
{
	TimestampTz blocked;

	if (entry->state == DB_RUNNING || !entry->seen)
		return false;
	blocked = blocked_until(entry->oid, now);
	if (blocked == 0 && entry->not_before <= now)
		return true;
	*next = Min(*next, Max(blocked, entry->not_before));
	return false;
}

/* The one whose last turn is the longest time ago. */
static DatabaseEntry *
next_to_start(TimestampTz now, TimestampTz *next)
{
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;
	DatabaseEntry *first = NULL;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
		if (may_start(entry, now, next) && (first == NULL || entry->ended < first->ended))
			first = entry;
	return first;
}

/* Does a database wait for a process?  They may try again at once if wanted. */
static bool
anybody_waits(bool try_again)
{
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;
	bool		result = false;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (!entry->waiting)
			continue;
		result = true;
		if (try_again)
			entry->not_before = 0;
	}
	return result;
}

/* Starts what may start now; returns when to try again. */
static TimestampTz
start_schedulers(TimestampTz now)
{
	TimestampTz next = TimestampTzPlusMilliseconds(now, LOOK_MS);
	int			nprobes = count_probes();

	/* the end of a probe wakes us */
	while (nprobes < MAX_PROBES)
	{
		DatabaseEntry *entry = next_to_start(now, &next);

		if (entry == NULL)
		{
			if (!anybody_waits(false))
				set_short_of_slots(false);
			break;
		}
		start_scheduler(entry, now);
		if (entry->state != DB_RUNNING)
			return Min(next, entry->not_before);
		nprobes++;
	}
	return next;
}

/* The clock was set back: nothing is put off until it is where it was. */
static void
forget_times(TimestampTz now)
{
	HASH_SEQ_STATUS seq;
	DatabaseEntry *entry;

	hash_seq_init(&seq, databases);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		entry->not_before = Min(entry->not_before, now);
		entry->started = Min(entry->started, now);
		entry->ended = Min(entry->ended, now);
	}
}

/* ---- the process ---- */

static void
detach_launcher(int code, Datum arg)
{
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	pgt_scheduler_shared->launcher = NULL;
	LWLockRelease(pgt_scheduler_lock);
}

/* Takes over the schedulers of an earlier launcher. */
static void
attach_launcher(void)
{
	SchedulerShared *shared = pgt_scheduler_shared;

	before_shmem_exit(detach_launcher, (Datum) 0);
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	shared->launcher = MyLatch;
	for (int i = 0; i < shared->nslots; i++)
	{
		SchedulerSlot *slot = &shared->slots[i];
		DatabaseEntry *entry;
		bool		found;

		if (!OidIsValid(slot->database))
			continue;
		if (slot->pid == 0)
		{
			/* ended, or not started yet: then it must not attach any more */
			slot->database = InvalidOid;
			slot->generation++;
			continue;
		}
		entry = find_database(slot->database, &found);
		entry->state = DB_RUNNING;
		entry->slotno = i;
		entry->generation = slot->generation;
		entry->started = GetCurrentTimestamp();
	}
	LWLockRelease(pgt_scheduler_lock);
}

void
pgt_scheduler_launcher_main(Datum arg)
{
	HASHCTL		ctl = {0};
	TimestampTz next_look = 0;
	TimestampTz last_turn = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(DatabaseEntry);
	ctl.hcxt = TopMemoryContext;
	databases = hash_create("pg_trickle databases", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	attach_launcher();
	ereport(LOG, (errmsg("pg_trickle launcher started")));
	pgstat_report_activity(STATE_IDLE, "looking after the schedulers of databases");

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;
		bool		look;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		MemoryContextSwitchTo(TopMemoryContext);
		if (now < last_turn)
		{
			forget_times(now);
			next_look = 0;
		}
		last_turn = now;
		look = take_news();
		if (reap_schedulers(now))
		{
			look = true;
			(void) anybody_waits(true);
		}
		if (look || now >= next_look)
		{
			look_at_databases();
			next_look = TimestampTzPlusMilliseconds(now, LOOK_MS);
		}
		next = Min(next_look, start_schedulers(now));

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Max(1, TimestampDifferenceMilliseconds(now, next)),
						 pgt_wait_event(PGT_WAIT_LAUNCHER));
	}
}
