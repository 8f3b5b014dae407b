/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  Shared counters of refreshes that found nothing to do.
 *
 * A refresh without changes writes nothing to disk: it is counted here, per
 * (database, stream table), and lost with the server.  Not preloaded, there is
 * no shared memory, and nothing is counted.
 *
 * Locking: the lock protects the hash table itself; the fields of an entry are
 * atomics, changed under the shared lock.  When the table is full, further
 * stream tables are not counted.
 *
 * IDENTIFICATION
 *	  src/refresh/stats.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "pgtrickle/refresh.h"

#define STATS_MAX_ENTRIES	16384
#define STATS_TRANCHE		"pg_trickle refresh stats"

typedef struct StatsKey
{
	int64		pgt_id;
	Oid			database;
	uint32		unused;			/* no padding: the key is hashed as bytes */
} StatsKey;

typedef struct StatsEntry
{
	StatsKey	key;
	RefreshLooks looks;
} StatsEntry;

static HTAB *stats_hash = NULL;
static LWLock *stats_lock = NULL;

void
pgt_refresh_shmem_request(void)
{
	RequestAddinShmemSpace(hash_estimate_size(STATS_MAX_ENTRIES,
											  sizeof(StatsEntry)));
	RequestNamedLWLockTranche(STATS_TRANCHE, 1);
}

void
pgt_refresh_shmem_startup(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(StatsKey);
	ctl.entrysize = sizeof(StatsEntry);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	stats_hash = ShmemInitHash(STATS_TRANCHE, STATS_MAX_ENTRIES,
							   STATS_MAX_ENTRIES, &ctl,
							   HASH_ELEM | HASH_BLOBS);
	stats_lock = &GetNamedLWLockTranche(STATS_TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

static StatsKey
make_key(int64 pgt_id)
{
	StatsKey	key = {0};

	key.pgt_id = pgt_id;
	key.database = MyDatabaseId;
	return key;
}

/*
 * The counters of a stream table, NULL if there is no room.  They are given
 * back when the stream table is dropped: what is counted after that goes astray.
 */
RefreshLooks *
pgt_refresh_stats_looks(int64 pgt_id)
{
	StatsKey	key = make_key(pgt_id);
	StatsEntry *entry;

	if (stats_hash == NULL)
		return NULL;

	LWLockAcquire(stats_lock, LW_SHARED);
	entry = hash_search(stats_hash, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		bool		found;

		LWLockRelease(stats_lock);
		LWLockAcquire(stats_lock, LW_EXCLUSIVE);
		entry = hash_search(stats_hash, &key, HASH_ENTER_NULL, &found);
		if (entry != NULL && !found)
		{
			pg_atomic_init_u64(&entry->looks.count, 0);
			pg_atomic_init_u64(&entry->looks.last, 0);
		}
	}
	LWLockRelease(stats_lock);
	return entry ? &entry->looks : NULL;
}

/* Counts one look at a stream table that found nothing to do. */
void
pgt_refresh_stats_no_data(int64 pgt_id, TimestampTz when)
{
	RefreshLooks *looks = pgt_refresh_stats_looks(pgt_id);

	if (looks == NULL)
		return;
	pg_atomic_fetch_add_u64(&looks->count, 1);
	pg_atomic_write_u64(&looks->last, (uint64) when);
}

/* false, and zeroes, if nothing was counted for the stream table. */
bool
pgt_refresh_stats_get(int64 pgt_id, int64 *no_data_count,
					  TimestampTz *last_check)
{
	StatsKey	key = make_key(pgt_id);
	StatsEntry *entry;

	*no_data_count = 0;
	*last_check = 0;
	if (stats_hash == NULL)
		return false;

	LWLockAcquire(stats_lock, LW_SHARED);
	entry = hash_search(stats_hash, &key, HASH_FIND, NULL);
	if (entry != NULL)
	{
		*no_data_count = (int64) pg_atomic_read_u64(&entry->looks.count);
		*last_check = (TimestampTz) pg_atomic_read_u64(&entry->looks.last);
	}
	LWLockRelease(stats_lock);
	return entry != NULL;
}

/*
 * Gives the entry of a dropped stream table back.  That the drop may still be
 * rolled back does not matter: counting starts again.
 */
void
pgt_refresh_stats_forget(int64 pgt_id)
{
	StatsKey	key = make_key(pgt_id);

	if (stats_hash == NULL)
		return;

	LWLockAcquire(stats_lock, LW_EXCLUSIVE);
	hash_search(stats_hash, &key, HASH_REMOVE, NULL);
	LWLockRelease(stats_lock);
}

/* Gives all entries of a database back that is gone or has no extension. */
void
pgt_refresh_stats_forget_database(Oid database)
{
	HASH_SEQ_STATUS scan;
	StatsEntry *entry;

	if (stats_hash == NULL)
		return;

	LWLockAcquire(stats_lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, stats_hash);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->key.database == database)
			hash_search(stats_hash, &entry->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(stats_lock);
}
