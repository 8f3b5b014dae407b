/*-------------------------------------------------------------------------
 *
 * triggers.c
 *	  The capture triggers of one relation.
 *
 * They are named pg_trickle_cdc_<relation>_ins, _upd and _del where images of
 * rows are captured, _touch where it is recorded that it was written, _trunc
 * in both cases, and are
 * told from others by the function they call, whatever their name: those that
 * came with a dump or have been renamed are replaced.
 *
 * A partition whose statements are captured also has a BEFORE trigger, _routed,
 * which does nothing: when a MERGE on the partitioned table has inserted a row
 * into a partition without such triggers, some servers (17.11, 18.6) put this row
 * into the transition table in place of the next one that the MERGE updates.
 *
 * IDENTIFICATION
 *	  src/cdc/triggers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "pgtrickle/env.h"

#include "cdc_internal.h"

#define OLD_TABLE	"pgt_old"
#define NEW_TABLE	"pgt_new"

typedef struct WantedTrigger
{
	char		name[NAMEDATALEN];
	int16		event;			/* TRIGGER_TYPE_INSERT, ... */
	int16		timing;			/* TRIGGER_TYPE_BEFORE, _AFTER */
	bool		row;
	bool		old_table;
	bool		new_table;
	Oid			function;
	bool		present;
} WantedTrigger;

#define MAX_WANTED 6
#define TRIGGER_TYPE_WRITE \
	(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)

static void
want(WantedTrigger *wanted, int *n, Oid relid, const char *suffix, int16 event,
	 CaptureKind kind)
{
	WantedTrigger *w = &wanted[(*n)++];
	bool		truncate = event == TRIGGER_TYPE_TRUNCATE;

	memset(w, 0, sizeof(WantedTrigger));
	snprintf(w->name, NAMEDATALEN, "pg_trickle_cdc_%u_%s", relid, suffix);
	w->event = event;
	if (truncate)
		w->function = pgt_own_function("cdc_capture_truncate");
	else if (event == TRIGGER_TYPE_WRITE)
	{
		w->row = kind == PGT_CAPTURES_ROWS;
		w->function = pgt_own_function("cdc_capture_touch");
	}
	else if (kind == PGT_CAPTURES_ROWS)
	{
		w->row = true;
		w->function = pgt_own_function("cdc_capture_row");
	}
	else
	{
		w->old_table = event != TRIGGER_TYPE_INSERT;
		w->new_table = event != TRIGGER_TYPE_DELETE;
		w->function = pgt_own_function("cdc_capture_statement");
	}
}

static void
want_routed(WantedTrigger *wanted, int *n, Oid relid)
{
	WantedTrigger *w = &wanted[(*n)++];

	memset(w, 0, sizeof(WantedTrigger));
	snprintf(w->name, NAMEDATALEN, "pg_trickle_cdc_%u_routed", relid);
	w->event = TRIGGER_TYPE_INSERT;
	w->timing = TRIGGER_TYPE_BEFORE;
	w->row = true;
	w->function = pgt_own_function("cdc_keep_row");
}

/* Row triggers belong to where the rows are. */
static bool
fires_here(Relation rel, CaptureKind kind)
{
	return kind == PGT_CAPTURES_STATEMENTS ||
		(kind == PGT_CAPTURES_ROWS && rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE);
}

static int
wanted_triggers(Relation rel, CaptureNeeds needs, WantedTrigger *wanted)
{
	Oid			relid = RelationGetRelid(rel);
	int			n = 0;

	/* it cannot have any: ddl/event_triggers.c tells when it is written */
	if (rel->rd_rel->relkind == RELKIND_MATVIEW)
		return 0;
	if (fires_here(rel, needs.rows))
	{
		want(wanted, &n, relid, "ins", TRIGGER_TYPE_INSERT, needs.rows);
		want(wanted, &n, relid, "upd", TRIGGER_TYPE_UPDATE, needs.rows);
		want(wanted, &n, relid, "del", TRIGGER_TYPE_DELETE, needs.rows);
		if (needs.rows == PGT_CAPTURES_STATEMENTS && rel->rd_rel->relispartition &&
			rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
			want_routed(wanted, &n, relid);
	}
	if (fires_here(rel, needs.touches))
		want(wanted, &n, relid, "touch", TRIGGER_TYPE_WRITE, needs.touches);
	if (needs.rows != PGT_CAPTURES_NOTHING || needs.touches != PGT_CAPTURES_NOTHING)
		want(wanted, &n, relid, "trunc", TRIGGER_TYPE_TRUNCATE, PGT_CAPTURES_STATEMENTS);
	return n;
}

static bool
is_capture_function(Oid function)
{
	return function == pgt_own_function("cdc_capture_statement") ||
		function == pgt_own_function("cdc_capture_row") ||
		function == pgt_own_function("cdc_capture_touch") ||
		function == pgt_own_function("cdc_keep_row") ||
		function == pgt_own_function("cdc_capture_truncate");
}

/* One with transition tables, that is; in any database. */
bool
pgt_cdc_captures_statements(const Trigger *t)
{
	const char *table = t->tgnewtable != NULL ? t->tgnewtable : t->tgoldtable;

	return table != NULL && (strcmp(table, NEW_TABLE) == 0 || strcmp(table, OLD_TABLE) == 0) &&
		OidIsValid(pgt_extension_oid(true)) &&
		t->tgfoid == pgt_own_function("cdc_capture_statement");
}

static bool
trigger_matches(const Trigger *t, const WantedTrigger *w)
{
	int16		type = w->event | w->timing | (w->row ? TRIGGER_TYPE_ROW : 0);

	return t->tgfoid == w->function && t->tgtype == type &&
		strcmp(t->tgname, w->name) == 0 &&
		(t->tgoldtable != NULL) == w->old_table &&
		(t->tgnewtable != NULL) == w->new_table &&
		t->tgnattr == 0 && t->tgqual == NULL;
}

static WantedTrigger *
find_wanted(const Trigger *t, WantedTrigger *wanted, int n)
{
	for (int i = 0; i < n; i++)
		if (!wanted[i].present && trigger_matches(t, &wanted[i]))
			return &wanted[i];
	return NULL;
}

/* Has the relation exactly the triggers that it needs, enabled always? */
bool
pgt_cdc_triggers_match(Oid relid, CaptureNeeds needs)
{
	Relation	rel = table_open(relid, AccessShareLock);
	WantedTrigger wanted[MAX_WANTED];
	int			n = wanted_triggers(rel, needs, wanted);
	int			found = 0;
	bool		match = true;
	/* a copy: looking up functions may rebuild the relation's cache entry */
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *t = &triggers->triggers[i];
		WantedTrigger *w;

		if (!is_capture_function(t->tgfoid))
			continue;
		w = find_wanted(t, wanted, n);
		if (w == NULL || t->tgenabled != TRIGGER_FIRES_ALWAYS)
			match = false;
		else
		{
			w->present = true;
			found++;
		}
	}
	table_close(rel, NoLock);
	return match && found == n;
}

static void
drop_trigger(Oid trigger)
{
	ObjectAddress object;

	ObjectAddressSet(object, TriggerRelationId, trigger);
	performDeletion(&object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/*
 * ENABLE ALWAYS.  A trigger that this very transaction has disabled has missed
 * nothing: whoever did it holds a lock against writers.  Returns false if
 * somebody else has.
 */
static bool
enable_trigger(Relation rel, Oid trigger)
{
	Relation	pg_trigger = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		ours = false;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(pg_trigger, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		HeapTuple	copy = heap_copytuple(tuple);

		ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		((Form_pg_trigger) GETSTRUCT(copy))->tgenabled = TRIGGER_FIRES_ALWAYS;
		CatalogTupleUpdate(pg_trigger, &copy->t_self, copy);
		heap_freetuple(copy);
	}
	systable_endscan(scan);
	table_close(pg_trigger, NoLock);
	CacheInvalidateRelcache(rel);
	CommandCounterIncrement();
	return ours;
}

static List *
transition_tables(const WantedTrigger *w)
{
	List	   *result = NIL;

	for (int new = 0; new < 2; new++)
	{
		TriggerTransition *t;

		if (!(new ? w->new_table : w->old_table))
			continue;
		t = makeNode(TriggerTransition);
		t->name = pstrdup(new ? NEW_TABLE : OLD_TABLE);
		t->isNew = new;
		t->isTable = true;
		result = lappend(result, t);
	}
	return result;
}

static void
create_trigger(Oid relid, const WantedTrigger *w)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);
	ObjectAddress trigger;
	ObjectAddress extension;

	stmt->trigname = pstrdup(w->name);
	stmt->row = w->row;
	stmt->timing = w->timing;
	stmt->events = w->event;
	stmt->transitionRels = transition_tables(w);
	trigger = CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid,
									InvalidOid, w->function, InvalidOid, NULL,
									false, false, TRIGGER_FIRES_ALWAYS);

	/* goes with the extension, without being named in its way */
	ObjectAddressSet(extension, ExtensionRelationId, pgt_extension_oid(false));
	recordDependencyOn(&trigger, &extension, DEPENDENCY_AUTO_EXTENSION);
	CommandCounterIncrement();
}

static void
note_loss(CaptureLoss *loss, const WantedTrigger *missing)
{
	if (missing->event != TRIGGER_TYPE_WRITE)
		loss->rows = true;
	if (missing->event == TRIGGER_TYPE_WRITE || missing->event == TRIGGER_TYPE_TRUNCATE)
		loss->touches = true;
}

static bool
has_rows(Relation rel)
{
	return RELKIND_HAS_STORAGE(rel->rd_rel->relkind) && RelationGetNumberOfBlocks(rel) > 0;
}

/*
 * Gives the relation the triggers that it needs, as owner of the extension.
 * The caller holds ShareRowExclusiveLock; dropping a trigger takes
 * AccessExclusiveLock.  Something is lost when a trigger was disabled or missing
 * while the relation may have been written.
 */
bool
pgt_cdc_triggers_sync(Oid relid, CaptureNeeds needs, CaptureLoss *loss)
{
	Relation	rel = table_open(relid, ShareRowExclusiveLock);
	WantedTrigger wanted[MAX_WANTED];
	int			n = wanted_triggers(rel, needs, wanted);
	bool		changed = false;
	bool		filled;
	List	   *drop = NIL;
	List	   *enable = NIL;
	ListCell   *lc;
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *t = &triggers->triggers[i];
		WantedTrigger *w;

		if (!is_capture_function(t->tgfoid))
			continue;
		w = find_wanted(t, wanted, n);
		if (w == NULL)
			drop = lappend_oid(drop, t->tgoid);
		else
		{
			w->present = true;
			if (t->tgenabled != TRIGGER_FIRES_ALWAYS)
				enable = lappend_oid(enable, t->tgoid);
		}
	}
	foreach(lc, enable)
	{
		if (!enable_trigger(rel, lfirst_oid(lc)))
			loss->rows = loss->touches = true;
		changed = true;
	}
	filled = has_rows(rel);
	table_close(rel, NoLock);

	/* first, as a trigger of another kind may have the name of a wanted one */
	foreach(lc, drop)
	{
		drop_trigger(lfirst_oid(lc));
		changed = true;
	}
	for (int i = 0; i < n; i++)
	{
		if (wanted[i].present)
			continue;
		/* nothing is lost when the kind changes: no writer is in flight */
		if (drop == NIL && filled)
			note_loss(loss, &wanted[i]);
		create_trigger(relid, &wanted[i]);
		changed = true;
	}
	return changed;
}
