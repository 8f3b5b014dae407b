/*-------------------------------------------------------------------------
 *
 * capture.c
 *	  Capture triggers, and the writer by which refreshes report changes.
 *
 * The trigger functions run in users' transactions.  They execute no SQL, need
 * no rights, and look at the catalog only to fill a cache with one entry per
 * relation: for each source that the relation belongs to (itself, or the
 * parents it is a partition or child of) the segment to append to and which
 * attribute of the relation goes into which buffer column.
 *
 * A statement trigger reads both transition tables in lockstep: old and new
 * rows of an UPDATE come in the same order.  An UPDATE that changes none of
 * the captured columns of a source writes nothing for it.
 *
 * Entries are emptied by relcache invalidations of the relation, of the
 * sources and their ancestors, and of the segments; a change of the set of
 * captured columns or sources waits for writers, so that an entry remains
 * right for the statement that has found it.  Writing to the segment that has
 * ceased to be the active one is harmless: readers read both.
 *
 * Readers that recompute need no images: for them another trigger writes one
 * row, a touch, for a statement that writes the source.  It has no transition
 * tables, so that statements of many rows cost no more than those of one.
 *
 * A relation without configuration captures nothing and never fails: its
 * triggers came with a dump, or its sources have been detached.
 *
 * IDENTIFICATION
 *	  src/cdc/capture.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tupdesc.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"

#include "cdc_internal.h"

/* One source that a relation's changes go to. */
typedef struct CaptureTarget
{
	Oid			source;
	Oid			segment;
	TupleDesc	desc;			/* of the segment */
	AttrNumber *map;			/* per buffer column: attribute of the relation, or 0 */
	int			ncompared;		/* captured attributes of the relation ... */
	AttrNumber *compared;		/* ... in ascending order */
	AttrNumber	maxattr;
	bool		images;			/* rows are captured */
	bool		touches;		/* statements are */
	/* where the last touch was written */
	uint64		touch_xid;
	SubTransactionId touch_subid;
	CommandId	touch_cid;
} CaptureTarget;

typedef struct CaptureEntry
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		busy;			/* in use, or left so by an error */
	MemoryContext context;		/* holds all below; NULL: nothing yet */
	List	   *interest;		/* OIDs of relations it depends on */
	TupleDesc	desc;			/* of the relation, with missing values */
	AttrNumber	maxattr;		/* over the targets */
	int			ntargets;
	CaptureTarget *targets;
	TupleTableSlot *old_slot;
	TupleTableSlot *new_slot;
	Datum	   *values;			/* of the widest buffer row */
	bool	   *isnull;
} CaptureEntry;

typedef struct Interest
{
	Oid			relid;			/* hash key */
} Interest;

static HTAB *entries = NULL;
static HTAB *interests = NULL;

/* ---- the cache ---- */

static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CaptureEntry *entry;

	if (OidIsValid(relid) &&
		hash_search(interests, &relid, HASH_FIND, NULL) == NULL)
		return;
	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relid) || list_member_oid(entry->interest, relid))
			entry->valid = false;
}

static void
make_cache(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Interest);
	ctl.hcxt = CacheMemoryContext;
	interests = hash_create("pg_trickle capture interests", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.entrysize = sizeof(CaptureEntry);
	entries = hash_create("pg_trickle capture", 64, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
}

static void
add_interest(CaptureEntry *entry, Oid relid)
{
	(void) hash_search(interests, &relid, HASH_ENTER, NULL);
	entry->interest = list_append_unique_oid(entry->interest, relid);
}

/* Attribute of rel for column attnum of the source; 0: there is none (any more). */
static AttrNumber
map_attribute(Relation rel, Oid source, AttrNumber attnum)
{
	char	   *name;
	AttrNumber	result;

	if (attnum == 0)
		return 0;
	if (source == RelationGetRelid(rel))
	{
		if (attnum > RelationGetNumberOfAttributes(rel) ||
			TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attisdropped)
			return 0;
		return attnum;
	}
	name = pgt_attribute_name(source, attnum);
	if (name == NULL)
		return 0;
	result = get_attnum(RelationGetRelid(rel), name);
	return result > 0 ? result : 0;
}

/*
 * A type that was changed behind the back of the event triggers: readers see
 * it, too, and take nothing from the buffer before it is repaired.
 */
static bool
type_fits(Relation rel, AttrNumber attnum, Form_pg_attribute column)
{
	Oid			type;
	int32		typmod;

	pgt_cdc_buffer_type(TupleDescAttr(RelationGetDescr(rel), attnum - 1), &type, &typmod);
	return type == column->atttypid;
}

static void
fill_target(CaptureTarget *target, Relation rel, const ChangeSource *cs)
{
	Relation	segment;
	Bitmapset  *compared = NULL;
	int			attr = -1;

	target->source = cs->relid;
	target->images = !bms_is_empty(cs->columns);
	target->touches = cs->touches;
	target->segment = cs->segment[cs->active];
	segment = table_open(target->segment, RowExclusiveLock);
	target->desc = CreateTupleDescCopy(RelationGetDescr(segment));
	table_close(segment, NoLock);

	target->map = palloc0(target->desc->natts * sizeof(AttrNumber));
	for (int i = PGT_BUFFER_FIXED; i < target->desc->natts; i++)
	{
		AttrNumber	attnum;

		attnum = pgt_cdc_buffer_attnum(TupleDescAttr(target->desc, i));
		if (!bms_is_member(attnum, cs->columns))
			continue;
		target->map[i] = map_attribute(rel, cs->relid, attnum);
		if (target->map[i] > 0 &&
			!type_fits(rel, target->map[i], TupleDescAttr(target->desc, i)))
			target->map[i] = 0;
		if (target->map[i] > 0)
			compared = bms_add_member(compared, target->map[i]);
		target->maxattr = Max(target->maxattr, target->map[i]);
	}
	target->compared = palloc(bms_num_members(compared) * sizeof(AttrNumber));
	while ((attr = bms_next_member(compared, attr)) >= 0)
		target->compared[target->ncompared++] = attr;
	bms_free(compared);
}

/* Entries of relations that are gone. */
static void
forget_dropped(void)
{
	HASH_SEQ_STATUS status;
	CaptureEntry *entry;

	hash_seq_init(&status, entries);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->valid || entry->busy ||
			SearchSysCacheExists1(RELOID, ObjectIdGetDatum(entry->relid)))
			continue;
		if (entry->context != NULL)
			MemoryContextDelete(entry->context);
		hash_search(entries, &entry->relid, HASH_REMOVE, NULL);
	}
}

/*
 * Invalidations that arrive meanwhile leave the entry invalid: it serves the
 * present statement only.
 */
static CaptureEntry *
build_entry(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	CaptureEntry *entry;
	bool		found;
	MemoryContext old;
	List	   *sources;
	ListCell   *lc;
	int			maxnatts = 0;

	if (entries == NULL)
		make_cache();
	forget_dropped();
	entry = hash_search(entries, &relid, HASH_ENTER, &found);
	if (found && entry->context != NULL)
		MemoryContextDelete(entry->context);
	memset((char *) entry + sizeof(Oid), 0, sizeof(CaptureEntry) - sizeof(Oid));
	entry->context = AllocSetContextCreate(CacheMemoryContext, "pg_trickle capture entry",
										   ALLOCSET_SMALL_SIZES);
	entry->valid = true;
	entry->busy = true;			/* an error leaves it to be built anew */
	old = MemoryContextSwitchTo(entry->context);

	/* a source may be added anywhere above */
	add_interest(entry, relid);
	foreach(lc, pgt_cdc_ancestors(relid))
		add_interest(entry, lfirst_oid(lc));
	sources = pgt_cdc_sources_of_relation(relid);
	entry->targets = palloc0(Max(list_length(sources), 1) * sizeof(CaptureTarget));
	foreach(lc, sources)
	{
		ChangeSource *cs = pgt_catalog_get_change_source(lfirst_oid(lc), true);
		CaptureTarget *target = &entry->targets[entry->ntargets];

		if (cs == NULL || cs->is_stream_table)
			continue;
		for (int i = 0; i < PGT_SEGMENTS; i++)
			add_interest(entry, cs->segment[i]);
		fill_target(target, rel, cs);
		entry->maxattr = Max(entry->maxattr, target->maxattr);
		maxnatts = Max(maxnatts, target->desc->natts);
		entry->ntargets++;
	}
	if (entry->ntargets > 0)
	{
		entry->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
		entry->old_slot = MakeSingleTupleTableSlot(entry->desc, &TTSOpsMinimalTuple);
		entry->new_slot = MakeSingleTupleTableSlot(entry->desc, &TTSOpsMinimalTuple);
		entry->values = palloc(maxnatts * sizeof(Datum));
		entry->isnull = palloc(maxnatts * sizeof(bool));
	}
	MemoryContextSwitchTo(old);
	return entry;
}

/*
 * The entry of the relation, marked busy.  One that is still busy has been
 * left by an error, with slots whose tuples are gone: it is built anew.
 * Captures do not nest, as nothing in them runs users' code.
 */
static CaptureEntry *
begin_capture(Relation rel)
{
	CaptureEntry *entry = NULL;

	if (entries != NULL)
	{
		Oid			relid = RelationGetRelid(rel);

		entry = hash_search(entries, &relid, HASH_FIND, NULL);
	}
	if (entry == NULL || !entry->valid || entry->busy)
		entry = build_entry(rel);
	entry->busy = true;
	return entry;
}

static inline void
end_capture(CaptureEntry *entry)
{
	entry->busy = false;
}

/* ---- rows ---- */

/*
 * Are the images equal?  Same bytes are, whether they are a value or point to
 * one that is stored out of line; other bytes may still be the same value,
 * stored in another way.
 */
static bool
attribute_image_eq(Form_pg_attribute att, Datum a, Datum b)
{
	struct varlena *va;
	struct varlena *vb;

	if (att->attbyval)
		return a == b;
	if (att->attlen != -1)
		return datum_image_eq(a, b, false, att->attlen);
	va = (struct varlena *) DatumGetPointer(a);
	vb = (struct varlena *) DatumGetPointer(b);
	if (VARSIZE_ANY(va) == VARSIZE_ANY(vb) && memcmp(va, vb, VARSIZE_ANY(va)) == 0)
		return true;
	return datum_image_eq(a, b, false, -1);
}

static bool
same_image(const CaptureEntry *entry, const CaptureTarget *target,
		   const TupleTableSlot *old, const TupleTableSlot *new)
{
	for (int i = 0; i < target->ncompared; i++)
	{
		int			a = target->compared[i] - 1;

		if (old->tts_isnull[a] != new->tts_isnull[a])
			return false;
		if (!old->tts_isnull[a] &&
			!attribute_image_eq(TupleDescAttr(entry->desc, a),
								old->tts_values[a], new->tts_values[a]))
			return false;
	}
	return true;
}

static inline void
add_row(CaptureEntry *entry, CaptureTarget *target, BufferWriter *w,
		const TupleTableSlot *slot, int sign)
{
	Datum	   *values = entry->values;
	bool	   *isnull = entry->isnull;

	for (int i = PGT_BUFFER_FIXED; i < target->desc->natts; i++)
	{
		AttrNumber	a = target->map[i];

		if (a == 0)
		{
			values[i] = (Datum) 0;
			isnull[i] = true;
		}
		else
		{
			values[i] = slot->tts_values[a - 1];
			isnull[i] = slot->tts_isnull[a - 1];
		}
	}
	pgt_cdc_buffer_add(w, values, isnull, sign);
}

static inline BufferWriter *
open_target(CaptureTarget *target)
{
	BufferWriter *w;

	pgt_cdc_wakeup_note(target->source);
	w = pgt_cdc_buffer_open(target->segment, target->desc);

	/* what a refresh has seen of the rows to come is not known: start anew */
	if (unlikely(pgt_cdc_was_seen_early(pgt_cdc_buffer_xid(w))))
		pgt_cdc_buffer_add_void(w, false);
	return w;
}

static bool
next_row(Tuplestorestate *store, TupleTableSlot *slot, AttrNumber maxattr)
{
	if (!tuplestore_gettupleslot(store, true, false, slot))
		return false;
	if (maxattr > 0)
		slot_getsomeattrs(slot, maxattr);
	return true;
}

/* Other triggers leave their own read pointer selected. */
static void
rewind_store(Tuplestorestate *store)
{
	if (store != NULL)
	{
		tuplestore_select_read_pointer(store, 0);
		tuplestore_rescan(store);
	}
}

/* One target's share of a statement; the common case has one target. */
static void
capture_tables(CaptureEntry *entry, CaptureTarget *target,
			   Tuplestorestate *old_table, Tuplestorestate *new_table)
{
	TupleTableSlot *old = entry->old_slot;
	TupleTableSlot *new = entry->new_slot;
	BufferWriter *w = NULL;
	bool		have_old = old_table != NULL;
	bool		have_new = new_table != NULL;
	bool		paired;

	rewind_store(old_table);
	rewind_store(new_table);
	paired = have_old && have_new &&
		tuplestore_tuple_count(old_table) == tuplestore_tuple_count(new_table);
	for (;;)
	{
		have_old = have_old && next_row(old_table, old, target->maxattr);
		have_new = have_new && next_row(new_table, new, target->maxattr);
		if (!have_old && !have_new)
			break;
		if (paired && have_old && have_new && same_image(entry, target, old, new))
			continue;
		if (w == NULL)
			w = open_target(target);
		if (have_old)
			add_row(entry, target, w, old, -1);
		if (have_new)
			add_row(entry, target, w, new, 1);
	}
	ExecClearTuple(old);
	ExecClearTuple(new);
	if (w != NULL)
		pgt_cdc_buffer_close(w);
}

/* ---- trigger functions ---- */

static TriggerData *
check_trigger_call(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", name)));
	return (TriggerData *) fcinfo->context;
}

static inline bool
is_empty(Tuplestorestate *store)
{
	return store == NULL || tuplestore_tuple_count(store) == 0;
}

/* Whatever was captured of it up to now: compute anew. */
static void
void_captured(Relation rel)
{
	CaptureEntry *entry = begin_capture(rel);

	for (int i = 0; i < entry->ntargets; i++)
	{
		BufferWriter *w = open_target(&entry->targets[i]);

		pgt_cdc_buffer_add_void(w, false);
		pgt_cdc_buffer_close(w);
	}
	end_capture(entry);
}

PG_FUNCTION_INFO_V1(pgt_cdc_capture_statement);
Datum
pgt_cdc_capture_statement(PG_FUNCTION_ARGS)
{
	TriggerData *td = check_trigger_call(fcinfo, "cdc_capture_statement");
	Tuplestorestate *old_table = NULL;
	Tuplestorestate *new_table = NULL;
	CaptureEntry *entry;

	if (TRIGGER_FIRED_BY_UPDATE(td->tg_event) && pgt_cdc_merge_may_be_incomplete() &&
		td->tg_relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		void_captured(td->tg_relation);
		return PointerGetDatum(NULL);
	}
	/* an UPDATE without rows, for one */
	if (!TRIGGER_FIRED_BY_INSERT(td->tg_event))
		old_table = td->tg_oldtable;
	if (!TRIGGER_FIRED_BY_DELETE(td->tg_event))
		new_table = td->tg_newtable;
	if (is_empty(old_table) && is_empty(new_table))
		return PointerGetDatum(NULL);

	entry = begin_capture(td->tg_relation);
	for (int i = 0; i < entry->ntargets; i++)
		if (entry->targets[i].images)
			capture_tables(entry, &entry->targets[i], old_table, new_table);
	end_capture(entry);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(pgt_cdc_capture_row);
Datum
pgt_cdc_capture_row(PG_FUNCTION_ARGS)
{
	TriggerData *td = check_trigger_call(fcinfo, "cdc_capture_row");
	CaptureEntry *entry = begin_capture(td->tg_relation);
	TupleTableSlot *old = NULL;
	TupleTableSlot *new = NULL;

	if (entry->ntargets == 0)
	{
		end_capture(entry);
		return PointerGetDatum(NULL);
	}
	if (TRIGGER_FIRED_BY_INSERT(td->tg_event))
		new = td->tg_trigslot;
	else
		old = td->tg_trigslot;
	if (TRIGGER_FIRED_BY_UPDATE(td->tg_event))
		new = td->tg_newslot;
	if (old != NULL && entry->maxattr > 0)
		slot_getsomeattrs(old, entry->maxattr);
	if (new != NULL && entry->maxattr > 0)
		slot_getsomeattrs(new, entry->maxattr);

	for (int i = 0; i < entry->ntargets; i++)
	{
		CaptureTarget *target = &entry->targets[i];
		BufferWriter *w;

		if (!target->images ||
			(old != NULL && new != NULL && same_image(entry, target, old, new)))
			continue;
		w = open_target(target);
		if (old != NULL)
			add_row(entry, target, w, old, -1);
		if (new != NULL)
			add_row(entry, target, w, new, 1);
		pgt_cdc_buffer_close(w);
	}
	end_capture(entry);
	return PointerGetDatum(NULL);
}

/*
 * Has this transaction certainly written nothing to the table?  Most
 * statements that change no row are alone in their transaction.  The
 * statistics know, if they are kept; rows of a partitioned table are counted
 * elsewhere.
 */
static bool
nothing_written(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relhassubclass ||
		!rel->pgstat_enabled)
		return false;
	return rel->pgstat_info == NULL || rel->pgstat_info->trans == NULL;
}

/*
 * One touch is enough for all that one command does.  A command that has
 * written its touch in a subtransaction that was rolled back has another one
 * now, or is another command.
 */
static void
write_touch(CaptureTarget *target)
{
	uint64		xid = pgt_cdc_current_xid();
	SubTransactionId subid = GetCurrentSubTransactionId();
	BufferWriter *w;

	if (target->touch_xid == xid && target->touch_subid == subid &&
		target->touch_cid == GetCurrentCommandId(false))
		return;
	w = open_target(target);
	pgt_cdc_buffer_add_touch(w);
	pgt_cdc_buffer_close(w);
	target->touch_xid = xid;
	target->touch_subid = subid;
	target->touch_cid = GetCurrentCommandId(false);
}

/* Of a BEFORE trigger that has to be there, see triggers.c: the row as it is. */
PG_FUNCTION_INFO_V1(pgt_cdc_keep_row);
Datum
pgt_cdc_keep_row(PG_FUNCTION_ARGS)
{
	TriggerData *td = check_trigger_call(fcinfo, "cdc_keep_row");

	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(td->tg_event) ? td->tg_newtuple : td->tg_trigtuple);
}

PG_FUNCTION_INFO_V1(pgt_cdc_capture_touch);
Datum
pgt_cdc_capture_touch(PG_FUNCTION_ARGS)
{
	TriggerData *td = check_trigger_call(fcinfo, "cdc_capture_touch");
	CaptureEntry *entry;

	if (TRIGGER_FIRED_FOR_STATEMENT(td->tg_event) && nothing_written(td->tg_relation))
		return PointerGetDatum(NULL);
	entry = begin_capture(td->tg_relation);
	for (int i = 0; i < entry->ntargets; i++)
		if (entry->targets[i].touches)
			write_touch(&entry->targets[i]);
	end_capture(entry);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(pgt_cdc_capture_truncate);
Datum
pgt_cdc_capture_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *td = check_trigger_call(fcinfo, "cdc_capture_truncate");

	void_captured(td->tg_relation);
	return PointerGetDatum(NULL);
}

/* ---- void markers from elsewhere ---- */

static void
write_marker(Oid source, Oid segment, bool never)
{
	Relation	rel = table_open(segment, RowExclusiveLock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	BufferWriter *w;

	pgt_cdc_wakeup_note(source);
	w = pgt_cdc_buffer_open(segment, desc);
	pgt_cdc_buffer_add_void(w, never);
	pgt_cdc_buffer_close(w);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

static void
mark_void(Oid source, bool never)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);

	if (cs != NULL)
		write_marker(source, cs->segment[cs->active], never);
}

void
pgt_cdc_mark_segment_void(Oid source, Oid segment)
{
	write_marker(source, segment, false);
}

void
pgt_cdc_mark_void(Oid source)
{
	mark_void(source, false);
}

void
pgt_cdc_mark_touched(Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);
	Relation	rel;
	TupleDesc	desc;
	BufferWriter *w;

	if (cs == NULL || !cs->touches)
		return;
	rel = table_open(cs->segment[cs->active], RowExclusiveLock);
	desc = CreateTupleDescCopy(RelationGetDescr(rel));
	pgt_cdc_wakeup_note(source);
	w = pgt_cdc_buffer_open(RelationGetRelid(rel), desc);
	pgt_cdc_buffer_add_touch(w);
	pgt_cdc_buffer_close(w);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* One that no refresh in this transaction consumes. */
void
pgt_cdc_mark_void_never(Oid source)
{
	mark_void(source, true);
}

/* ---- the writer of refreshes ---- */

struct ChangeWriter
{
	Oid			source;
	Oid			segment;
	BufferWriter *buffer;		/* NULL until the first change */
	Relay	   *relay;			/* instead of it, if not NULL */
	MemoryContext context;
	TupleDesc	desc;			/* of the segment */
	AttrNumber *map;
	Datum	   *values;
	bool	   *isnull;
	bool		images;			/* a reader needs the rows */
	bool		touches;		/* a reader needs to know that there are any */
};

/* In the current memory context, which must live until the end. */
ChangeWriter *
pgt_cdc_writer_begin(Oid source)
{
	ChangeSource *cs = pgt_catalog_get_change_source(source, true);
	ChangeWriter *w;
	Relation	segment;

	if (cs == NULL)
		return NULL;
	w = palloc0(sizeof(ChangeWriter));
	segment = table_open(cs->segment[cs->active], RowExclusiveLock);
	w->desc = CreateTupleDescCopy(RelationGetDescr(segment));
	table_close(segment, NoLock);
	w->map = palloc0(w->desc->natts * sizeof(AttrNumber));
	for (int i = PGT_BUFFER_FIXED; i < w->desc->natts; i++)
	{
		AttrNumber	attnum = pgt_cdc_buffer_attnum(TupleDescAttr(w->desc, i));

		if (bms_is_member(attnum, cs->columns))
			w->map[i] = attnum;
	}
	w->values = palloc0(w->desc->natts * sizeof(Datum));
	w->isnull = palloc0(w->desc->natts * sizeof(bool));
	w->source = source;
	w->segment = cs->segment[cs->active];
	w->images = !bms_is_empty(cs->columns);
	w->touches = cs->touches;
	w->context = CurrentMemoryContext;
	w->relay = pgt_cdc_relay_begin(cs, w->segment, w->desc);
	return w;
}

static void
open_writer(ChangeWriter *w)
{
	MemoryContext old;

	if (w->buffer != NULL)
		return;
	pgt_cdc_wakeup_note(w->source);
	old = MemoryContextSwitchTo(w->context);
	w->buffer = pgt_cdc_buffer_open(w->segment, w->desc);
	if (w->touches)
		pgt_cdc_buffer_add_touch(w->buffer);
	MemoryContextSwitchTo(old);
}

static void
put_row(ChangeWriter *w, int sign)
{
	if (w->relay != NULL)
		pgt_cdc_relay_put(w->relay, w->values, w->isnull, sign);
	else
		pgt_cdc_buffer_add(w->buffer, w->values, w->isnull, sign);
}

/* |weight| rows.  The caller's context may be a short-lived one. */
void
pgt_cdc_writer_put(ChangeWriter *w, Datum *values, bool *isnull, int32 weight)
{
	MemoryContext old;

	if (w->relay == NULL)
		open_writer(w);
	else
		pgt_cdc_relay_touch(w->relay);
	if (!w->images)
		return;
	old = MemoryContextSwitchTo(w->context);
	for (int i = PGT_BUFFER_FIXED; i < w->desc->natts; i++)
	{
		AttrNumber	a = w->map[i];

		w->isnull[i] = a == 0 || isnull[a - 1];
		w->values[i] = w->isnull[i] ? (Datum) 0 : values[a - 1];
	}
	for (int32 n = weight < 0 ? -weight : weight; n > 0; n--)
		put_row(w, weight < 0 ? -1 : 1);
	MemoryContextSwitchTo(old);
}

void
pgt_cdc_writer_put_void(ChangeWriter *w)
{
	MemoryContext old;

	open_writer(w);
	old = MemoryContextSwitchTo(w->context);
	/* rare, and only buffers have markers */
	if (w->relay != NULL)
		pgt_cdc_relay_spill(w->relay, w->buffer);
	w->relay = NULL;
	pgt_cdc_buffer_add_void(w->buffer, false);
	MemoryContextSwitchTo(old);
}

void
pgt_cdc_writer_end(ChangeWriter *w)
{
	if (w->relay != NULL)
		pgt_cdc_relay_complete(w->relay);
	w->relay = NULL;
	if (w->buffer != NULL)
		pgt_cdc_buffer_close(w->buffer);
	w->buffer = NULL;
}
