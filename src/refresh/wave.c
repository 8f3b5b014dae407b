/*-------------------------------------------------------------------------
 *
 * wave.c
 *	  Several refreshes in one transaction, under one snapshot.
 *
 * Locks.  A scheduler's refresh never waits for a lock while it holds one, so
 * it cannot be part of a deadlock: before it begins, it takes everything that
 * it will need, in the order of all of pg_trickle, each lock only if it is
 * free.  If one is not, the transaction ends, and with it all locks, and the
 * refresh is tried again a moment later.
 *
 *		scheduler						somebody's DDL
 *										BEGIN; LOCK src2
 *		src1: ok; src2: not free
 *		roll back: src1 is free again
 *										LOCK src1: no wait, no deadlock
 *
 * A refresh by hand waits, but for one table at a time, and lets go of the others
 * meanwhile.
 *
 * Snapshot.  After all locks have been taken, one snapshot serves all
 * refreshes: each of them adds what the transaction has written so far, as if
 * in REPEATABLE READ, but begun late enough to see what the holders of the locks
 * before us have committed.  The change buffers are locked, too, so that no
 * change that the snapshot does not see can be cleaned away before a window
 * is opened.
 *
 * IDENTIFICATION
 *	  src/refresh/wave.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"

#include "refresh_internal.h"

/* ---- locks ---- */

/* With its partitions or children, of which a plan reads all; held: what was locked. */
static Oid
try_lock_tree(Oid relid, List **held)
{
	ListCell   *lc;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return relid;
	*held = lappend_oid(*held, relid);
	/* it may have been dropped meanwhile, which somebody else will notice */
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) || !has_subclass(relid))
		return InvalidOid;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return lfirst_oid(lc);
		*held = lappend_oid(*held, lfirst_oid(lc));
	}
	return InvalidOid;
}

static bool
try_lock_source(Oid relid)
{
	List	   *held = NIL;
	ChangeSource *cs;

	if (OidIsValid(try_lock_tree(relid, &held)))
		return false;
	cs = pgt_catalog_get_change_source(relid, true);
	for (int i = 0; cs != NULL && i < PGT_SEGMENTS; i++)
	{
		if (!ConditionalLockRelationOid(cs->segment[i], AccessShareLock))
			return false;
	}
	return true;
}

/*
 * Takes all locks of a refresh without waiting.  What was taken is kept to the
 * end of the transaction also when the result is another than PGT_LOCK_OK.
 */
RefreshLock
pgt_refresh_try_lock(int64 pgt_id)
{
	StreamTable *st;
	ListCell   *lc;

	if (!pgt_catalog_lock_stream_table(pgt_id, true))
		return PGT_LOCK_BUSY;
	st = pgt_catalog_get_stream_table_by_id(pgt_id, true);
	if (st == NULL)
		return PGT_LOCK_GONE;
	foreach(lc, pgt_catalog_list_dependencies(pgt_id))
	{
		if (!try_lock_source(((Dependency *) lfirst(lc))->source))
			return PGT_LOCK_RELATION;
	}
	if (!ConditionalLockRelationOid(st->relid, RowExclusiveLock))
		return PGT_LOCK_RELATION;
	foreach(lc, pgt_catalog_list_stages(pgt_id))
	{
		if (!ConditionalLockRelationOid(((StageTable *) lfirst(lc))->relid, AccessShareLock))
			return PGT_LOCK_RELATION;
	}
	return PGT_LOCK_OK;
}

/* What of it is not free; InvalidOid if all of it is locked now. */
static Oid
try_lock_tables(List *sources, Oid relid, List **held)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		Oid			taken = try_lock_tree(lfirst_oid(lc), held);

		if (OidIsValid(taken))
			return taken;
	}
	return ConditionalLockRelationOid(relid, RowExclusiveLock) ? InvalidOid : relid;
}

/*
 * For a refresh by hand, which waits: the sources of a stream table and itself.  It
 * waits for one lock at a time, holding none of the others.
 */
void
pgt_refresh_lock_tables(List *sources, Oid relid)
{
	Oid			wanted = InvalidOid;

	for (;;)
	{
		LOCKMODE	mode = wanted == relid ? RowExclusiveLock : AccessShareLock;
		List	   *held = NIL;
		Oid			next;
		ListCell   *lc;

		if (OidIsValid(wanted))
			LockRelationOid(wanted, mode);
		next = try_lock_tables(sources, relid, &held);
		/* what is held twice is released once */
		if (OidIsValid(wanted))
			UnlockRelationOid(wanted, mode);
		if (!OidIsValid(next))
			return;
		foreach(lc, held)
			UnlockRelationOid(lfirst_oid(lc), AccessShareLock);
		list_free(held);
		wanted = next;
	}
}

/* ---- one snapshot ---- */

static Snapshot shared = NULL;
static TimestampTz shared_time = 0;

/* The owner of the transaction has released it by then. */
static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		shared = NULL;
}

/* Takes the snapshot of the refreshes that follow in this transaction. */
Snapshot
pgt_refresh_share_snapshot(void)
{
	static bool registered = false;

	Assert(shared == NULL && !IsolationUsesXactSnapshot());
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		registered = true;
	}
	shared = RegisterSnapshot(GetTransactionSnapshot());
	shared_time = GetCurrentTimestamp();
	return shared;
}

/* Before the transaction commits. */
void
pgt_refresh_release_snapshot(void)
{
	if (shared)
		UnregisterSnapshot(shared);
	shared = NULL;
}

/* The snapshot that a refresh begins with, and the time that its content is of. */
Snapshot
pgt_refresh_snapshot(TimestampTz *when)
{
	if (shared)
	{
		*when = shared_time;
		return shared;
	}
	*when = IsolationUsesXactSnapshot() ? GetCurrentTransactionStartTimestamp() :
		GetCurrentTimestamp();
	return GetTransactionSnapshot();
}
