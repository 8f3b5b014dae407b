/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  Which relations are captured, and how.
 *
 * A source is a base table, with its partitions or children, or a stream
 * table.  The latter has no triggers; refreshes write its changes.  For stream
 * tables that are maintained by deltas, images of changed rows are captured;
 * for those that are recomputed, touches: which statements wrote the source; so
 * for materialized views that are compared with a copy.
 * A source has either or both; neither goes before the source is detached.
 * Every relation of the tree (a "member") has the same kind of triggers:
 *
 * Statement triggers with transition tables on the root, every intermediate
 * and every leaf of a partition tree, or on the single plain table: exactly
 * one of them fires for a statement, that of the relation it names.
 *
 * Row triggers on the members with storage where that does not hold:
 *	- an inheritance tree, whose children may have other parents, too;
 *	- a source that is itself a partition or a child: the statement triggers
 *	  of its parents do not say which rows are its own;
 *	- two sources of which one is below the other, both of them;
 *	- a member that a subscription writes to: statement triggers do not fire
 *	  for logical replication;
 *	- a partitioned table with stored generated columns: transition tables may
 *	  have the row as it was before it was routed, without their values.
 *
 * Locks: attaching something new takes ShareRowExclusiveLock on all members,
 * so that no writer is in flight; attaching what is captured already takes
 * AccessShareLock, and keeps it, which holds off a concurrent detach, as that
 * takes AccessExclusiveLock to drop triggers.  On stream tables the two are
 * ShareUpdateExclusiveLock and ShareRowExclusiveLock.
 *
 * IDENTIFICATION
 *	  src/cdc/attach.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_subscription_rel.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"

#include "cdc_internal.h"

/* ---- trees ---- */

static void
collect_ancestors(Relation pg_inherits, Oid relid, List **result)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *parents = NIL;
	ListCell   *lc;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_inherits inherits = (Form_pg_inherits) GETSTRUCT(tuple);

		/* half detached: its rows are not the parent's any more */
		if (!inherits->inhdetachpending)
			parents = lappend_oid(parents, inherits->inhparent);
	}
	systable_endscan(scan);
	foreach(lc, parents)
	{
		if (list_member_oid(*result, lfirst_oid(lc)))
			continue;
		*result = lappend_oid(*result, lfirst_oid(lc));
		collect_ancestors(pg_inherits, lfirst_oid(lc), result);
	}
}

List *
pgt_cdc_ancestors(Oid relid)
{
	List	   *result = NIL;
	Relation	pg_inherits = table_open(InheritsRelationId, AccessShareLock);

	collect_ancestors(pg_inherits, relid, &result);
	table_close(pg_inherits, AccessShareLock);
	return result;
}

List *
pgt_cdc_sources_of_relation(Oid relid)
{
	List	   *candidates = lcons_oid(relid, pgt_cdc_ancestors(relid));
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, candidates)
		if (pgt_catalog_get_change_source(lfirst_oid(lc), true) != NULL)
			result = lappend_oid(result, lfirst_oid(lc));
	return result;
}

/* What triggers a relation needs for all sources that it is a member of. */
static CaptureNeeds
capture_needs(Oid relid)
{
	CaptureNeeds needs = {PGT_CAPTURES_NOTHING, PGT_CAPTURES_NOTHING};
	ListCell   *lc;

	foreach(lc, pgt_cdc_sources_of_relation(relid))
	{
		ChangeSource *cs = pgt_catalog_get_change_source(lfirst_oid(lc), true);
		CaptureKind kind;

		if (cs == NULL || cs->is_stream_table)
			continue;
		kind = cs->row_mode ? PGT_CAPTURES_ROWS : PGT_CAPTURES_STATEMENTS;
		if (!bms_is_empty(cs->columns))
			needs.rows = Max(needs.rows, kind);
		if (cs->touches)
			needs.touches = Max(needs.touches, kind);
	}
	return needs;
}

static bool
is_subscribed(Oid relid)
{
	Relation	rel = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		result;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
	result = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static bool
has_stored_generated_columns(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	bool		result = constr != NULL && constr->has_generated_stored;

	table_close(rel, AccessShareLock);
	return result;
}

/* Do statement triggers miss or mix up anything here?  See above. */
static bool
needs_row_mode(Oid relid, List *members)
{
	ListCell   *lc;

	if (list_length(members) > 1 && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return true;
	if (pgt_cdc_ancestors(relid) != NIL)
		return true;
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE && has_stored_generated_columns(relid))
		return true;
	foreach(lc, members)
	{
		Oid			member = lfirst_oid(lc);

		if (is_subscribed(member))
			return true;
		if (member != relid && pgt_catalog_get_change_source(member, true) != NULL)
			return true;
	}
	return false;
}

/* ---- what can be captured ---- */

static UnsupportedReason *
refuse(bool all_modes, const char *code, char *message, char *hint)
{
	UnsupportedReason *reason = pgt_reason_make(code, -1, message, NULL, hint);

	reason->all_modes = all_modes;
	return reason;
}

static UnsupportedReason *
check_member(Oid root, Oid relid)
{
	char		kind = get_rel_relkind(relid);
	char	   *label = pgt_relation_label(root);

	if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
		return NULL;
	if (kind == RELKIND_MATVIEW)
		return refuse(false, "materialized_view",
					  psprintf("cannot capture changes of materialized view \"%s\"", label),
					  pstrdup("Create a stream table in its place, or use refresh mode FULL."));
	if (kind == RELKIND_FOREIGN_TABLE)
		return refuse(false, "foreign_table",
					  relid == root ?
					  psprintf("cannot capture changes of foreign table \"%s\"", label) :
					  psprintf("cannot capture changes of table \"%s\" with foreign partition \"%s\"",
							   label, pgt_relation_label(relid)),
					  pstrdup("Use refresh mode FULL."));
	return refuse(true, "not_a_table",
				  psprintf("cannot capture changes of relation \"%s\"", label), NULL);
}

UnsupportedReason *
pgt_cdc_check_source(Oid relid)
{
	Oid			namespace = get_rel_namespace(relid);
	UnsupportedReason *reason;
	ListCell   *lc;

	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return refuse(true, "temporary_table",
					  psprintf("cannot use temporary table \"%s\" as a source",
							   pgt_relation_label(relid)),
					  pstrdup("Other sessions, such as the scheduler's, cannot read it."));
	if (IsCatalogRelationOid(relid) || IsCatalogNamespace(namespace) ||
		IsToastNamespace(namespace) ||
		(relid < FirstNormalObjectId &&
		 strcmp(get_namespace_name(namespace), "information_schema") == 0))
		return refuse(true, "system_catalog",
					  psprintf("cannot use system catalog \"%s\" as a source",
							   pgt_relation_label(relid)), NULL);
	if (namespace == pgt_schema_oid() || namespace == pgt_changes_schema_oid())
		return refuse(true, "own_catalog",
					  psprintf("cannot use pg_trickle's own table \"%s\" as a source",
							   pgt_relation_label(relid)), NULL);
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		reason = check_member(relid, lfirst_oid(lc));
		if (reason != NULL)
			return reason;
	}
	return NULL;
}

UnsupportedReason *
pgt_cdc_check_columns(Oid relid, const Bitmapset *columns)
{
	Bitmapset  *stored = pgt_cdc_stored_columns(relid, columns);

	if (pgt_cdc_segments_have_room(pgt_catalog_get_change_source(relid, true), stored))
		return NULL;
	return refuse(false, "too_many_columns",
				  psprintf("cannot capture more than %d columns of table \"%s\"",
						   MaxHeapAttributeNumber - PGT_BUFFER_FIXED, pgt_relation_label(relid)),
				  pstrdup("Use fewer columns of the table, in all of its stream tables together."));
}

static void
check_members(Oid relid, List *members)
{
	ListCell   *lc;

	foreach(lc, members)
	{
		UnsupportedReason *reason = check_member(relid, lfirst_oid(lc));

		if (reason != NULL)
			ereport(ERROR,
					(errcode(reason->sqlstate),
					 errmsg("%s", reason->message),
					 reason->hint ? errhint("%s", reason->hint) : 0));
	}
}

/*
 * A materialized view has no triggers, and nothing but REFRESH writes it: an
 * event trigger tells that.
 */
static bool
is_told_by_command(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_MATVIEW;
}

bool
pgt_cdc_may_attach_source(Oid relid)
{
	return is_told_by_command(relid) || pgt_catalog_get_stream_table(relid, true) != NULL ||
		pg_class_aclcheck(relid, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK;
}

static void
check_trigger_privilege(Oid relid)
{
	if (!pgt_cdc_may_attach_source(relid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", pgt_relation_label(relid)),
				 errdetail("Capturing its changes needs the TRIGGER privilege.")));
}

/* ---- attaching ---- */

static bool
any_unlogged(List *members)
{
	ListCell   *lc;

	foreach(lc, members)
		if (get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_UNLOGGED)
			return true;
	return false;
}

static bool
members_match(List *members)
{
	ListCell   *lc;

	foreach(lc, members)
		if (!pgt_cdc_triggers_match(lfirst_oid(lc), capture_needs(lfirst_oid(lc))))
			return false;
	return true;
}

/* Is the source captured as it should be, for this much at least? */
static bool
is_attached(const ChangeSource *cs, Oid relid, const Bitmapset *columns, bool touches,
			bool is_stream_table)
{
	List	   *members;

	if (cs == NULL || cs->is_stream_table != is_stream_table ||
		!bms_is_subset(columns, cs->columns) || (touches && !cs->touches) ||
		!pgt_cdc_segments_fit(cs))
		return false;
	if (is_stream_table)
		return true;
	members = find_all_inheritors(relid, AccessShareLock, NULL);
	if (!cs->row_mode && needs_row_mode(relid, members))
		return false;
	return members_match(members);
}

/* Keeps pgt_cdc_cleanup() off the row, which may have changed it meanwhile. */
static void
lock_configuration(ChangeSource *cs)
{
	ChangeSource *now;

	if (get_rel_relkind(cs->segment[0]) == '\0')
		return;
	LockRelationOid(cs->segment[0], ShareUpdateExclusiveLock);
	now = pgt_catalog_get_change_source(cs->relid, true);
	if (now != NULL)
		cs->active = now->active;
}

static bool
sync_members(List *members, CaptureLoss *loss)
{
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, members)
	{
		CommandCounterIncrement();
		if (pgt_cdc_triggers_sync(lfirst_oid(lc), capture_needs(lfirst_oid(lc)), loss))
			changed = true;
	}
	return changed;
}

/* Sources above and below change to row triggers, too. */
static void
spread_row_mode(Oid relid, List *members)
{
	List	   *related = list_concat(pgt_cdc_ancestors(relid), list_copy_tail(members, 1));
	ListCell   *lc;

	foreach(lc, related)
	{
		ChangeSource *cs = pgt_catalog_get_change_source(lfirst_oid(lc), true);
		CaptureLoss ignored = {0};

		if (cs == NULL || cs->is_stream_table || cs->row_mode)
			continue;
		LockRelationOid(cs->relid, ShareRowExclusiveLock);
		lock_configuration(cs);
		cs->row_mode = true;
		pgt_catalog_put_change_source(cs);
		sync_members(find_all_inheritors(cs->relid, ShareRowExclusiveLock, NULL), &ignored);
	}
}

/*
 * Makes capture what cs says (cs->segment[0] invalid: it is new), as owner of
 * the extension, with all members locked.  Returns whether anything changed.
 * What was not captured before cannot have been lost.
 */
static bool
establish(ChangeSource *cs, List *members)
{
	PinnedEnv	env;
	bool		is_new = !OidIsValid(cs->segment[0]);
	ChangeSource *before = pgt_catalog_get_change_source(cs->relid, true);
	CaptureLoss loss = {0};
	bool		lossy = false;
	bool		changed = false;

	pgt_env_enter_internal(&env);
	if (!is_new)
		lock_configuration(cs);
	if (is_new)
		pgt_cdc_segments_create(cs);
	else if (!pgt_cdc_segments_fit(cs))
	{
		lossy = pgt_cdc_segments_repair(cs);
		changed = true;
	}
	pgt_catalog_put_change_source(cs);
	if (!cs->is_stream_table)
	{
		if (sync_members(members, &loss))
			changed = true;
		if (cs->row_mode)
			spread_row_mode(cs->relid, members);
	}
	if (before != NULL)
		lossy = lossy || (loss.rows && !bms_is_empty(before->columns)) ||
			(loss.touches && before->touches);
	if (lossy && !is_new)
		pgt_cdc_mark_void(cs->relid);
	pgt_env_leave(&env);
	return changed || is_new;
}

static ChangeSource *
make_source(Oid relid, bool is_stream_table, List *members)
{
	ChangeSource *cs = palloc0(sizeof(ChangeSource));

	cs->relid = relid;
	cs->is_stream_table = is_stream_table;
	/* a crash empties an unlogged table without a trigger: its buffer, too */
	cs->unlogged = pgt_change_buffer_unlogged || any_unlogged(members);
	return cs;
}

bool
pgt_cdc_snapshot_is_stale(void)
{
	Snapshot	mine;
	Snapshot	latest;

	if (!IsolationUsesXactSnapshot() || !FirstSnapshotSet)
		return false;
	mine = GetTransactionSnapshot();
	latest = GetLatestSnapshot();
	return mine->xmax != latest->xmax || mine->xcnt != latest->xcnt ||
		memcmp(mine->xip, latest->xip, mine->xcnt * sizeof(TransactionId)) != 0;
}

static void
attach(Oid relid, const Bitmapset *columns, bool touches, bool is_stream_table)
{
	ChangeSource *cs;
	Bitmapset  *stored = pgt_cdc_stored_columns(relid, columns);
	List	   *members;

	cs = pgt_catalog_get_change_source(relid, true);
	if (is_attached(cs, relid, stored, touches, is_stream_table))
		return;

	LockRelationOid(relid, ShareRowExclusiveLock);
	members = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	if (!is_told_by_command(relid) || !bms_is_empty(stored))
		check_members(relid, members);
	cs = pgt_catalog_get_change_source(relid, true);
	if (cs == NULL)
	{
		cs = make_source(relid, is_stream_table, members);
		cs->row_mode = pgt_cdc_trigger_mode == PGT_CAPTURE_ROW;
	}
	cs->is_stream_table = is_stream_table;
	cs->columns = bms_union(cs->columns, stored);
	cs->touches = cs->touches || touches;
	if (!is_stream_table)
		cs->row_mode = cs->row_mode || needs_row_mode(relid, members);
	establish(cs, members);

	/*
	 * Waiting for writers does not help a snapshot that was there before: what
	 * they committed meanwhile is neither in it nor (completely) in the
	 * buffer.  The first fill is right for its snapshot; what follows it has
	 * to start anew.
	 */
	if (pgt_cdc_snapshot_is_stale())
		pgt_cdc_mark_void_never(relid);
}

void
pgt_cdc_attach_source(Oid relid, const Bitmapset *columns)
{
	bool		is_stream_table = pgt_catalog_get_stream_table(relid, true) != NULL;

	LockRelationOid(relid, is_stream_table ? ShareUpdateExclusiveLock : AccessShareLock);
	if (!is_stream_table)
		check_trigger_privilege(relid);
	attach(relid, columns, false, is_stream_table);
}

bool
pgt_cdc_may_attach_touches(Oid relid)
{
	if (is_told_by_command(relid))
		return true;
	return pgt_cdc_check_source(relid) == NULL &&
		(pgt_catalog_get_stream_table(relid, true) != NULL ||
		 pg_class_aclcheck(relid, GetUserId(), ACL_TRIGGER) == ACLCHECK_OK);
}

void
pgt_cdc_attach_touches(Oid relid)
{
	bool		is_stream_table = pgt_catalog_get_stream_table(relid, true) != NULL;

	LockRelationOid(relid, is_stream_table ? ShareUpdateExclusiveLock : AccessShareLock);
	attach(relid, NULL, true, is_stream_table);
}

void
pgt_cdc_attach_again(const ChangeSource *cs)
{
	if (!bms_is_empty(cs->columns))
		pgt_cdc_attach_source(cs->relid, cs->columns);
	if (cs->touches)
		pgt_cdc_attach_touches(cs->relid);
}

/* ---- detaching ---- */

void
pgt_cdc_detach_source_if_unused(Oid relid)
{
	ChangeSource *cs = pgt_catalog_get_change_source(relid, true);
	PinnedEnv	env;
	List	   *members = NIL;
	CaptureLoss ignored = {0};

	if (cs == NULL || pgt_catalog_list_consumers(relid) != NIL)
		return;
	LockRelationOid(relid, cs->is_stream_table ? ShareRowExclusiveLock :
					AccessExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
	{
		pgt_cdc_forget_source(relid);
		return;
	}

	/* somebody may have attached to it while we waited */
	cs = pgt_catalog_get_change_source(relid, true);
	if (cs == NULL || pgt_catalog_list_consumers(relid) != NIL)
		return;
	pgt_env_enter_internal(&env);
	lock_configuration(cs);
	pgt_catalog_delete_change_source(relid);
	if (!cs->is_stream_table)
	{
		members = find_all_inheritors(relid, AccessExclusiveLock, NULL);
		sync_members(members, &ignored);
	}
	pgt_cdc_segments_drop(cs);
	pgt_env_leave(&env);
}

void
pgt_cdc_forget_source(Oid relid)
{
	ChangeSource *cs = pgt_catalog_get_change_source(relid, true);
	PinnedEnv	env;

	if (cs == NULL)
		return;
	pgt_env_enter_internal(&env);
	lock_configuration(cs);
	pgt_catalog_delete_change_source(relid);
	pgt_cdc_segments_drop(cs);
	pgt_env_leave(&env);
}

/* ---- repair ---- */

static bool
repair_source(Oid relid, bool configured_mode)
{
	ChangeSource *cs = pgt_catalog_get_change_source(relid, true);
	List	   *members;
	bool		row_mode;

	if (cs == NULL)
		return false;
	LockRelationOid(relid, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
	{
		UnlockRelationOid(relid, AccessShareLock);
		pgt_cdc_forget_source(relid);
		return true;
	}
	members = find_all_inheritors(relid, AccessShareLock, NULL);
	row_mode = cs->row_mode;
	if (configured_mode)
		row_mode = pgt_cdc_trigger_mode == PGT_CAPTURE_ROW;
	row_mode = !cs->is_stream_table && (row_mode || needs_row_mode(relid, members));
	if (row_mode == cs->row_mode &&
		is_attached(cs, relid, cs->columns, cs->touches, cs->is_stream_table))
		return false;

	LockRelationOid(relid, ShareRowExclusiveLock);
	members = find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	if (!cs->is_stream_table && !is_told_by_command(relid))
		check_members(relid, members);
	cs = pgt_catalog_get_change_source(relid, true);
	if (cs == NULL)
		return false;
	cs->row_mode = row_mode;
	return establish(cs, members);
}

bool
pgt_cdc_repair_source(Oid relid)
{
	return repair_source(relid, false);
}

/*
 * Also for one that has just ceased to belong to a source: its triggers go.
 * That the former source has lost its rows is for the caller to mark.
 */
bool
pgt_cdc_repair_relation(Oid relid)
{
	bool		changed = false;
	CaptureLoss ignored = {0};
	PinnedEnv	env;
	ListCell   *lc;
	List	   *members = NIL;

	foreach(lc, pgt_cdc_sources_of_relation(relid))
		if (repair_source(lfirst_oid(lc), false))
			changed = true;

	/* what is left over is below it, and belongs to nobody */
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_FOREIGN_TABLE &&
			!pgt_cdc_triggers_match(lfirst_oid(lc), capture_needs(lfirst_oid(lc))))
			members = lappend_oid(members, lfirst_oid(lc));
	if (members != NIL)
	{
		foreach(lc, members)
			LockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock);
		pgt_env_enter_internal(&env);
		changed |= sync_members(members, &ignored);
		pgt_env_leave(&env);
	}
	return changed;
}

/* One source in a subtransaction; a failure is a WARNING. */
static bool
rebuild_source(Oid relid, bool *changed)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		check_trigger_privilege(relid);
		*changed = repair_source(relid, true);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *err;

		MemoryContextSwitchTo(old);
		err = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (err->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			err->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(err);
		ereport(WARNING,
				(errcode(err->sqlerrcode),
				 errmsg("could not rebuild capture of table \"%s\": %s",
						pgt_relation_label(relid), err->message)));
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	return ok;
}

char *
pgt_cdc_rebuild_triggers(void)
{
	int			nsources = 0;
	int			nchanged = 0;
	int			nfailed = 0;
	ListCell   *lc;

	foreach(lc, pgt_catalog_list_change_sources())
	{
		ChangeSource *cs = lfirst(lc);
		bool		changed = false;

		if (cs->is_stream_table)
			continue;
		nsources++;
		if (!rebuild_source(cs->relid, &changed))
			nfailed++;
		else if (changed)
			nchanged++;
	}
	return psprintf("%d sources checked, %d rebuilt, %d failed",
					nsources, nchanged, nfailed);
}
