/*-------------------------------------------------------------------------
 *
 * cleanup.c
 *	  Giving back the space of consumed changes.
 *
 * Writers append to the active segment of a source until it is large; then the
 * other one becomes the active segment, provided it is empty.  The former is
 * truncated once every consumer has consumed all of it.  Nothing is ever
 * deleted row by row.  Readers read both segments, and a writer that has not
 * heard of the change may go on appending to the inactive one: which segment a
 * row is in matters to nobody.
 *
 * Truncating is safe because, under AccessExclusiveLock on the segment,
 *	- no writer's transaction is in flight that has rows in it, prepared ones
 *	  included: they keep RowExclusiveLock.  So every row is of a transaction
 *	  that has ended, or of ours, and the snapshot taken after the lock sees all
 *	  rows that anybody will ever see;
 *	- no refresh is in flight that has opened a window on it: it keeps
 *	  AccessShareLock until its frontier is committed.  The consumers and their
 *	  frontiers, read after the lock, are therefore final until ours;
 *	- a consumer that has no frontier, or starts anew, needs none of the rows
 *	  that the snapshot sees.  Its fill has not opened its window yet, or else
 *	  we would not have the lock, and will take its snapshot after that: it sees
 *	  what we see (REPEATABLE READ is cared for in pgt_cdc_window_open).
 * It is done in the transaction that advances the frontier, with a new file, so
 * that a rollback brings both back.  Readers with another frontier notice the
 * file by its number and start at its first block.
 *
 * One transaction at a time cleans up or reconfigures a source; they hold
 * ShareUpdateExclusiveLock on its first segment.
 *
 * IDENTIFICATION
 *	  src/cdc/cleanup.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/tablecmds.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"

#include "cdc_internal.h"

/*
 * 4 MB: some 50,000 narrow rows.  Truncating costs a new file, and a search of
 * the whole buffer pool at commit.
 */
#define ROTATE_BLOCKS	512

/* When nobody writes, it disturbs nobody, and much less is worth it. */
#define QUIET_BLOCKS	16

/*
 * The last transaction of this session that rotated a segment.  Until it has
 * committed, everybody else writes to the segment that it takes for inactive,
 * and would wait for its end if it truncated that.
 */
static uint64 rotated_by = 0;

/* With its out-of-line values. */
static BlockNumber
segment_blocks(Oid segment)
{
	Relation	rel = try_relation_open(segment, AccessShareLock);
	BlockNumber n;
	Oid			toast;

	if (rel == NULL)
		return 0;
	n = RelationGetNumberOfBlocks(rel);
	toast = rel->rd_rel->reltoastrelid;
	relation_close(rel, NoLock);
	if (OidIsValid(toast) && n < ROTATE_BLOCKS)
	{
		rel = relation_open(toast, AccessShareLock);
		n += RelationGetNumberOfBlocks(rel);
		relation_close(rel, NoLock);
	}
	return n;
}

/* The canary of an unlogged segment does not count, nor what fits beside it. */
static bool
segment_is_empty(const ChangeSource *cs, int number)
{
	return segment_blocks(cs->segment[number]) <= (cs->unlogged ? 1 : 0);
}

/*
 * Frontiers of the consumers that need rows, or that need touches; the others pass
 * over those, and need not have come past them.
 */
static List *
consumer_frontiers(Oid source, bool touches)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_consumers(source))
	{
		Dependency *dep = lfirst(lc);
		StreamTable *st = pgt_catalog_get_stream_table_by_id(dep->pgt_id, true);
		RefreshState *state;

		if (st == NULL || st->needs_reinit)
			continue;
		if (touches && st->differential && st->refresh_mode != PGT_MODE_FULL)
			continue;
		state = pgt_catalog_get_refresh_state(dep->pgt_id, false);
		if (state != NULL && state->frontier != NULL)
			result = lappend(result, state->frontier);
	}
	return result;
}

static bool
has_unconsumed(const ChangeSource *cs, int number, Snapshot snapshot, bool touches)
{
	ListCell   *lc;

	foreach(lc, consumer_frontiers(cs->relid, touches))
	{
		Frontier   *f = lfirst(lc);
		SourcePosition *position = pgt_frontier_position(f, cs->relid);

		if (pgt_cdc_count_fresh_segment(cs->segment[number],
										position ? &position->seg[number] : NULL,
										f, snapshot, touches, 1) > 0)
			return true;
	}
	return false;
}

static bool
is_consumed(const ChangeSource *cs, int number)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		consumed = !has_unconsumed(cs, number, snapshot, false) &&
		!has_unconsumed(cs, number, snapshot, true);

	UnregisterSnapshot(snapshot);
	return consumed;
}

/* Would truncating be in place (file made by this transaction) or refused? */
static bool
can_truncate(Relation rel)
{
	return rel->rd_refcnt == 1 &&
		rel->rd_createSubid == InvalidSubTransactionId &&
		pgt_relation_new_file_subid(rel) == InvalidSubTransactionId &&
		(!OidIsValid(rel->rd_rel->reltoastrelid) ||
		 ConditionalLockRelationOid(rel->rd_rel->reltoastrelid, AccessExclusiveLock));
}

static void
truncate_segment(const ChangeSource *cs, int number)
{
	Oid			segment = cs->segment[number];
	Relation	rel;

	/* without the lock first: it would hold off writers for nothing */
	if (!is_consumed(cs, number) ||
		!ConditionalLockRelationOid(segment, AccessExclusiveLock))
		return;
	rel = table_open(segment, NoLock);
	if (!can_truncate(rel) || !is_consumed(cs, number))
	{
		table_close(rel, NoLock);
		UnlockRelationOid(segment, AccessExclusiveLock);
		return;
	}
	pgt_truncate_relation(rel);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	if (cs->unlogged)
		pgt_cdc_buffer_write_canary(segment);
}

/* The active segment is left to the other one from so many blocks on. */
static void
cleanup_source(Oid source, BlockNumber rotate_blocks)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);
	PinnedEnv	env;

	if (cs == NULL)
		return;
	if (segment_is_empty(cs, 1 - cs->active) &&
		segment_blocks(cs->segment[cs->active]) < rotate_blocks)
		return;
	if (!ConditionalLockRelationOid(cs->segment[0], ShareUpdateExclusiveLock))
		return;
	cs = pgt_catalog_get_change_source(source, true);
	if (cs == NULL)
		return;

	/* what we have written so far has to be seen */
	CommandCounterIncrement();
	pgt_env_enter_internal(&env);
	if (!segment_is_empty(cs, 1 - cs->active) &&
		(rotated_by == 0 ||
		 rotated_by != U64FromFullTransactionId(GetTopFullTransactionIdIfAny())))
		truncate_segment(cs, 1 - cs->active);
	if (segment_is_empty(cs, 1 - cs->active) &&
		segment_blocks(cs->segment[cs->active]) >= rotate_blocks)
	{
		rotated_by = pgt_cdc_current_xid();
		pgt_catalog_set_active_segment(source, 1 - cs->active);
		for (int i = 0; i < PGT_SEGMENTS; i++)
			CacheInvalidateRelcacheByRelid(cs->segment[i]);
	}
	pgt_env_leave(&env);
}

void
pgt_cdc_cleanup(Oid source)
{
	cleanup_source(source, ROTATE_BLOCKS);
}

/*
 * The same where nobody writes any more: a buffer that is all consumed becomes
 * (nearly) empty, in two steps with a transaction each.  True before the second.
 */
bool
pgt_cdc_cleanup_quiet(Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);

	if (cs == NULL)
		return false;
	if (segment_is_empty(cs, 1 - cs->active) &&
		(segment_blocks(cs->segment[cs->active]) < QUIET_BLOCKS ||
		 !is_consumed(cs, cs->active)))
		return false;
	cleanup_source(source, QUIET_BLOCKS);
	cs = pgt_catalog_get_change_source(source, true);
	return cs != NULL && !segment_is_empty(cs, 1 - cs->active) &&
		is_consumed(cs, 1 - cs->active);
}

int64
pgt_cdc_pending_rows(Oid source, const Frontier *f)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);
	Snapshot	snapshot;
	int64		result = 0;
	ListCell   *lc;

	if (cs == NULL)
		return 0;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (f != NULL)
		result = pgt_cdc_count_fresh(cs, f, snapshot, PG_INT64_MAX);
	else
	{
		foreach(lc, consumer_frontiers(source, false))
		{
			int64		n = pgt_cdc_count_fresh(cs, lfirst(lc), snapshot, PG_INT64_MAX);

			result = Max(result, n);
		}
	}
	UnregisterSnapshot(snapshot);
	return result;
}

/*
 * Is there space to be given back, for which only a moment without refreshes is
 * missing?  Much of it: more than a segment should have.
 */
bool
pgt_cdc_cleanup_is_due(Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);

	return cs != NULL && !segment_is_empty(cs, 1 - cs->active) &&
		segment_blocks(cs->segment[cs->active]) >= ROTATE_BLOCKS &&
		is_consumed(cs, 1 - cs->active);
}

/* With out-of-line values and everything else that belongs to it. */
int64
pgt_cdc_buffer_bytes(Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);
	int64		result = 0;

	for (int i = 0; cs != NULL && i < PGT_SEGMENTS; i++)
	{
		LOCAL_FCINFO(fcinfo, 1);
		Datum		size;

		/* NULL, and no error, when the relation is gone */
		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = ObjectIdGetDatum(cs->segment[i]);
		fcinfo->args[0].isnull = false;
		size = pg_total_relation_size(fcinfo);
		if (!fcinfo->isnull)
			result += DatumGetInt64(size);
	}
	return result;
}
