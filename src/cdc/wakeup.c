/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  News of commits that captured changes, in shared memory.
 *
 * A commit bumps the counter of each source it captured changes of and the one
 * of its database.  It does so in the transaction callback, when other backends'
 * new snapshots see the changes.  An aborted subtransaction's sources are counted
 * too: that costs somebody a look.
 *
 * It wakes the scheduler only if that waits for a commit of one of these sources.
 * The scheduler says so source by source when it has found the counter unmoved, and
 * the first commit takes it back: the scheduler then knows that there are changes,
 * and those that follow tell it nothing new.  So sources whose stream tables are
 * never due, or are being refreshed, or have changes and wait for their time, cost
 * their writers no wake-up, and a source that is written all the time one per
 * refresh at most.
 *
 *		scheduler						writer
 *		awaited = true					counter + 1
 *		(barrier)						(barrier)
 *		counter moved?					awaited?
 *		no: sleep						yes: awaited = false, news + 1, set latch
 *
 * Whichever comes first, the other one sees it.  What is awaited when the scheduler
 * is not listening (it knows when it has to look again) counts as news, which it compares
 * after it has begun to listen.
 *
 * A prepared transaction is committed by whoever, in a backend that knows
 * nothing of its changes.  So PREPARE remembers the transaction, and the
 * scheduler asks whether such transactions have finished in the meantime.
 * Those prepared before a restart are older than the first transaction after
 * it, which is remembered, too.
 *
 * Shared state is one fixed array for databases and one for sources, both filled
 * by compare-and-swap and never emptied before a restart; there is no lock.  The
 * scheduler of a database without a place is woken by nobody, and takes it that
 * something may have happened whenever it looks.  A source without a place counts
 * for its database only: waiting for it is waiting for any commit.  One without either
 * is taken for changed once in scheduler_interval_ms.
 *
 * IDENTIFICATION
 *	  src/cdc/wakeup.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pgtrickle/guc.h"

#include "cdc_internal.h"

#define MAX_DATABASES	128
#define MAX_SOURCES		8192	/* power of 2 */
#define MAX_PREPARED	64
/* as first_xid: no transaction before the first registration is left */
#define NONE_LEFT		PG_UINT64_MAX

/* Commits, and whether the next one wakes the scheduler. */
typedef struct CommitCounter
{
	pg_atomic_uint64 commits;
	pg_atomic_uint32 awaited;
} CommitCounter;

typedef struct DatabaseSlot
{
	pg_atomic_uint32 dboid;		/* 0: free */
	CommitCounter counter;
	pg_atomic_uint64 news;		/* commits that were awaited */
	Latch	   *latch;			/* of the scheduler, or NULL */
	pg_atomic_uint64 first_xid; /* next xid when first registered; 0: unset */
	pg_atomic_uint32 overflow;	/* a prepared transaction found no place */
	pg_atomic_uint64 prepared[MAX_PREPARED];	/* 0: free */
} DatabaseSlot;

typedef struct SourceSlot
{
	pg_atomic_uint64 key;		/* database and relation; 0: free */
	CommitCounter counter;
} SourceSlot;

typedef struct WakeupState
{
	DatabaseSlot databases[MAX_DATABASES];
	SourceSlot	sources[MAX_SOURCES];
} WakeupState;

static WakeupState *state = NULL;

/* Sources touched by this transaction. */
static Oid *touched = NULL;
static int	ntouched = 0;
static int	maxtouched = 0;

void
pgt_cdc_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(WakeupState)));
}

static void
init_counter(CommitCounter *counter)
{
	pg_atomic_init_u64(&counter->commits, 0);
	pg_atomic_init_u32(&counter->awaited, 0);
}

void
pgt_cdc_shmem_startup(void)
{
	bool		found;

	state = ShmemInitStruct("pg_trickle wakeup", sizeof(WakeupState), &found);
	if (found)
		return;
	memset(state, 0, sizeof(WakeupState));
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		DatabaseSlot *db = &state->databases[i];

		pg_atomic_init_u32(&db->dboid, 0);
		init_counter(&db->counter);
		pg_atomic_init_u64(&db->news, 0);
		pg_atomic_init_u64(&db->first_xid, 0);
		pg_atomic_init_u32(&db->overflow, 0);
		for (int j = 0; j < MAX_PREPARED; j++)
			pg_atomic_init_u64(&db->prepared[j], 0);
	}
	for (int i = 0; i < MAX_SOURCES; i++)
	{
		pg_atomic_init_u64(&state->sources[i].key, 0);
		init_counter(&state->sources[i].counter);
	}
}

/* The slot of this database; NULL: not preloaded, or too many databases. */
static DatabaseSlot *
database_slot(void)
{
	static DatabaseSlot *mine = NULL;

	if (mine != NULL || state == NULL)
		return mine;
	for (int i = 0; i < MAX_DATABASES; i++)
	{
		DatabaseSlot *db = &state->databases[i];
		uint32		dboid = 0;

		if (pg_atomic_compare_exchange_u32(&db->dboid, &dboid, MyDatabaseId) ||
			dboid == MyDatabaseId)
		{
			mine = db;
			break;
		}
	}
	return mine;
}

static SourceSlot *
source_slot(Oid source, bool create)
{
	uint64		key = ((uint64) MyDatabaseId << 32) | source;
	uint64		hash = key * UINT64CONST(0x9E3779B97F4A7C15);
	uint32		i = (uint32) (hash >> 40);

	for (int probes = 0; probes < 64; probes++, i++)
	{
		SourceSlot *slot = &state->sources[i & (MAX_SOURCES - 1)];
		uint64		seen = pg_atomic_read_u64(&slot->key);

		if (seen == 0 && create &&
			pg_atomic_compare_exchange_u64(&slot->key, &seen, key))
			return slot;
		if (seen == key)
			return slot;
		if (seen == 0 && !create)
			return NULL;
	}
	return NULL;
}

/* ---- writers ---- */

/* Counts a commit (a full barrier).  Returns true if the scheduler awaits it. */
static bool
count_commit(CommitCounter *counter)
{
	pg_atomic_fetch_add_u64(&counter->commits, 1);
	return pg_atomic_read_u32(&counter->awaited) != 0 &&
		pg_atomic_exchange_u32(&counter->awaited, 0) != 0;
}

static void
publish(void)
{
	DatabaseSlot *db = database_slot();
	bool		awaited = false;
	Latch	   *latch;

	for (int i = 0; i < ntouched; i++)
	{
		SourceSlot *slot = source_slot(touched[i], true);

		if (slot != NULL)
			awaited |= count_commit(&slot->counter);
	}
	if (db == NULL)
		return;
	awaited |= count_commit(&db->counter);
	if (!awaited)
		return;
	/* a full barrier: the scheduler begins to listen before it reads */
	pg_atomic_fetch_add_u64(&db->news, 1);
	latch = *(Latch *volatile *) &db->latch;
	if (latch != NULL && latch != MyLatch)
		SetLatch(latch);
}

static void
remember_prepared(uint64 xid)
{
	DatabaseSlot *db = database_slot();

	if (db == NULL || xid == 0)
		return;
	for (int i = 0; i < MAX_PREPARED; i++)
	{
		uint64		expected = 0;

		if (pg_atomic_compare_exchange_u64(&db->prepared[i], &expected, xid))
			return;
	}
	pg_atomic_write_u32(&db->overflow, 1);
}

/*
 * Runs outside of any transaction state worth the name: nothing here may fail.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	static uint64 preparing = 0;

	if (ntouched == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			preparing = pgt_cdc_current_xid();
			break;
		case XACT_EVENT_PREPARE:
			remember_prepared(preparing);
			publish();
			ntouched = 0;
			break;
		case XACT_EVENT_COMMIT:
			publish();
			ntouched = 0;
			break;
		case XACT_EVENT_ABORT:
			ntouched = 0;
			break;
		default:
			break;
	}
}

/*
 * Has this transaction captured changes of the source?  Then its counter, as
 * pgt_cdc_commit_count() gives it, will move by one with the commit.
 */
bool
pgt_cdc_wakeup_is_noted(Oid source)
{
	for (int i = ntouched - 1; i >= 0; i--)
		if (touched[i] == source)
			return true;
	return false;
}

void
pgt_cdc_wakeup_note(Oid source)
{
	static bool registered = false;

	if (state == NULL)
		return;
	for (int i = ntouched - 1; i >= 0; i--)
		if (touched[i] == source)
			return;
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		registered = true;
	}
	if (ntouched == maxtouched)
	{
		int			newmax = maxtouched == 0 ? 64 : 2 * maxtouched;

		if (touched == NULL)
			touched = MemoryContextAlloc(TopMemoryContext, newmax * sizeof(Oid));
		else
			touched = repalloc(touched, newmax * sizeof(Oid));
		maxtouched = newmax;
	}
	touched[ntouched++] = source;
}

/* ---- the scheduler ---- */

void
pgt_cdc_wakeup_register(void)
{
	DatabaseSlot *db = database_slot();
	uint64		unset = 0;

	if (db == NULL)
		return;
	pg_atomic_compare_exchange_u64(&db->first_xid, &unset,
								   U64FromFullTransactionId(ReadNextFullTransactionId()));
	db->latch = &MyProc->procLatch;
	pg_memory_barrier();
}

/* A latch left behind by a crash of the process is some process' latch: harmless. */
void
pgt_cdc_wakeup_unregister(void)
{
	DatabaseSlot *db = database_slot();

	if (db != NULL && db->latch == &MyProc->procLatch)
		db->latch = NULL;
}

uint64
pgt_cdc_database_commit_count(void)
{
	static uint64 looks = 0;
	DatabaseSlot *db = database_slot();

	return db == NULL ? ++looks : pg_atomic_read_u64(&db->counter.commits);
}

uint64
pgt_cdc_news_count(void)
{
	DatabaseSlot *db = database_slot();
	uint64		news = db == NULL ? 0 : pg_atomic_read_u64(&db->news);

	/* what is read next is no older */
	pg_read_barrier();
	return news;
}

/* NULL: not preloaded, or too many databases. */
static CommitCounter *
find_counter(Oid source)
{
	SourceSlot *slot;
	DatabaseSlot *db;

	if (state == NULL)
		return NULL;
	slot = source_slot(source, true);
	if (slot != NULL)
		return &slot->counter;
	db = database_slot();
	return db == NULL ? NULL : &db->counter;
}

/* Where nobody counts: another number whenever the scheduler looks without news. */
static uint64
uncounted(void)
{
	if (state == NULL)
		return 0;
	return (uint64) GetCurrentTimestamp() / ((uint64) pgt_scheduler_interval_ms * 1000);
}

uint64
pgt_cdc_commit_count(Oid source)
{
	CommitCounter *counter = find_counter(source);

	return counter == NULL ? uncounted() : pg_atomic_read_u64(&counter->commits);
}

bool
pgt_cdc_await_commit(Oid source, uint64 seen)
{
	CommitCounter *counter = find_counter(source);

	if (counter == NULL)
		return seen == uncounted();
	if (pg_atomic_read_u64(&counter->commits) != seen)
		return false;
	if (pg_atomic_read_u32(&counter->awaited) == 0)
		pg_atomic_exchange_u32(&counter->awaited, 1);
	else
		pg_read_barrier();
	return pg_atomic_read_u64(&counter->commits) == seen;
}

static bool
is_running(uint64 xid)
{
	return TransactionIdIsInProgress(XidFromFullTransactionId(FullTransactionIdFromU64(xid)));
}

/*
 * True while prepared transactions may be pending, and once more after the
 * last one has finished.
 */
bool
pgt_cdc_prepared_pending(void)
{
	DatabaseSlot *db = database_slot();
	bool		pending = false;
	uint64		first;

	if (db == NULL)
		return false;
	if (max_prepared_xacts == 0)
		return false;
	for (int i = 0; i < MAX_PREPARED; i++)
	{
		uint64		xid = pg_atomic_read_u64(&db->prepared[i]);

		if (xid == 0)
			continue;
		pending = true;
		if (!is_running(xid))
			pg_atomic_compare_exchange_u64(&db->prepared[i], &xid, 0);
	}

	/* those of before a restart, and those that found no place */
	first = pg_atomic_read_u64(&db->first_xid);
	if ((first != 0 && first != NONE_LEFT) || pg_atomic_read_u32(&db->overflow) != 0)
	{
		uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
		TransactionId oldest = GetOldestActiveTransactionId();
		bool		overflow = pg_atomic_exchange_u32(&db->overflow, 0) != 0;

		pending = true;
		if (overflow)
			pg_atomic_write_u64(&db->first_xid, next);
		else if (!TransactionIdPrecedes(oldest, (TransactionId) first))
			pg_atomic_compare_exchange_u64(&db->first_xid, &first, NONE_LEFT);
	}
	return pending;
}
