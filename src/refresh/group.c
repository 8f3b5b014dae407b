/*-------------------------------------------------------------------------
 *
 * group.c
 *	  The group sink: keeping one stored row per group.
 *
 * Delta rows, one per touched group, are collected, sorted by key when they are
 * many (which spills when they are too many), and merged into the stored rows:
 *
 *		look up the group by its key, with the index's operators, NULLs equal
 *		merge (group_merge.c): the group lives, dies, or must be rescanned
 *		lives: compute finals, compare with the stored row, write if it differs
 *
 * A group to be rescanned is not written; its key goes to a tuplestore, from
 * which the caller computes absolute values and feeds them back.  The TIDs
 * of such groups are remembered: what is not fed back has no rows any more and
 * is removed at the end.
 *
 * The key stored first stays while the group lives, as GROUP BY also shows one
 * of several equal keys (1.0, 1.00).  Without keys there is exactly one row,
 * always.
 *
 * IDENTIFICATION
 *	  src/refresh/group.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "pgtrickle/compat.h"

#include "apply_internal.h"

/* Sort what is more: lookups in key order touch each page once. */
#define UNSORTED_GROUPS 64

typedef struct TidEntry
{
	uint64		tid;
	char		status;
} TidEntry;

#define SH_PREFIX tidset
#define SH_ELEMENT_TYPE TidEntry
#define SH_KEY_TYPE uint64
#define SH_KEY tid
#define SH_HASH_KEY(tb, key) murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct GroupReceiver
{
	DestReceiver pub;
	struct GroupSink *sink;
} GroupReceiver;

struct GroupSink
{
	MemoryContext cxt;
	MemoryContext tmp;			/* reset for each group */
	ResourceOwner owner;		/* of temporary files */
	GroupTarget target;			/* shallow copy; arrays are the caller's */
	Snapshot	snapshot;
	TupleDesc	storage;		/* not reference counted */
	GroupMerge *merge;
	GroupFinals *finals;
	int64		received;
	bool		waiting;		/* received rows are not merged yet */

	TupleDesc	input;			/* of delta rows */
	MinimalTuple few[UNSORTED_GROUPS];
	int			nfew;
	Tuplesortstate *many;

	RelWriter  *w;				/* from the first write on */
	Datum	   *values;			/* the new storage row */
	bool	   *isnull;
	GroupEmit	emit;
	void	   *emit_arg;
	int64		unchanged;
	int64		rescanned;

	TupleDesc	rescan_desc;
	Tuplestorestate *rescan;
	int64		nrescan;
	bool		rescan_null;
	tidset_hash *unconfirmed;	/* stored rows of groups being rescanned */
};

/* ---------------------------------------------------------------- collecting */

static Tuplesortstate *
begin_sort(GroupSink *s)
{
	int			n = s->target.nkeys;
	AttrNumber *attnums = palloc(sizeof(AttrNumber) * n);
	Oid		   *operators = palloc(sizeof(Oid) * n);
	Oid		   *collations = palloc(sizeof(Oid) * n);
	bool	   *nulls_first = palloc0(sizeof(bool) * n);

	for (int i = 0; i < n; i++)
	{
		Oid			type = TupleDescAttr(s->input, i)->atttypid;

		attnums[i] = i + 1;
		operators[i] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
		if (!OidIsValid(operators[i]))
			elog(ERROR, "no ordering operator for type %u", type);
		collations[i] = s->target.key_collations[i];
	}
	return tuplesort_begin_heap(s->input, n, attnums, operators, collations, nulls_first,
								work_mem, NULL, TUPLESORT_NONE);
}

static void
delta_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	GroupSink  *s = ((GroupReceiver *) self)->sink;
	MemoryContext old;

	if (desc->natts != s->target.nkeys + 1 + pgt_group_partials(&s->target))
		elog(ERROR, "group sink fed with %d columns instead of %d", desc->natts,
			 s->target.nkeys + 1 + pgt_group_partials(&s->target));
	pgt_group_merge_check_input(s->merge, desc);
	if (s->input != NULL)
		return;
	old = MemoryContextSwitchTo(s->cxt);
	s->input = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old);
}

static bool
delta_receive(TupleTableSlot *slot, DestReceiver *self)
{
	GroupSink  *s = ((GroupReceiver *) self)->sink;
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	ResourceOwner owner = CurrentResourceOwner;

	s->received++;
	s->waiting = true;
	if (s->many == NULL && s->nfew < UNSORTED_GROUPS)
		s->few[s->nfew++] = ExecCopySlotMinimalTuple(slot);
	else
	{
		CurrentResourceOwner = s->owner;
		if (s->many == NULL)
		{
			TupleTableSlot *few = MakeSingleTupleTableSlot(s->input, &TTSOpsMinimalTuple);

			if (s->target.nkeys == 0)
				elog(ERROR, "more than one row for the only group");
			s->many = begin_sort(s);
			for (int i = 0; i < s->nfew; i++)
			{
				ExecStoreMinimalTuple(s->few[i], few, true);
				tuplesort_puttupleslot(s->many, few);
			}
			s->nfew = 0;
			ExecDropSingleTupleTableSlot(few);
		}
		tuplesort_puttupleslot(s->many, slot);
		CurrentResourceOwner = owner;
	}
	MemoryContextSwitchTo(old);
	return true;
}

static void
receiver_nothing(DestReceiver *self)
{
}

/* ---------------------------------------------------------------- writing a group */

static void
open_writer(GroupSink *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	Bitmapset  *keys = NULL;

	for (int i = 0; i < s->target.nkeys; i++)
		keys = bms_add_member(keys, s->target.keys[i]);
	s->w = pgt_writer_open(s->target.relid, s->target.index, keys, s->snapshot);
	MemoryContextSwitchTo(old);
}

/* The only row of an aggregate without GROUP BY. */
static bool
find_only_row(GroupSink *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	TableScanDesc scan = table_beginscan_strat(s->w->rel, s->snapshot, 0, NULL, true, false);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, s->w->cur);

	/* the slot points into the scan */
	if (found)
		ExecMaterializeSlot(s->w->cur);
	table_endscan(scan);
	MemoryContextSwitchTo(old);
	return found;
}

/* keys: in target order; the stored row, if any, is in s->w->cur, deformed. */
static bool
find_group(GroupSink *s, Datum *keys, bool *isnull)
{
	RelWriter  *w = s->w;
	int			n = s->target.nkeys;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		found;

	if (n == 0)
		found = find_only_row(s);
	else
	{
		/* the index may have its columns in another order */
		for (int i = 0; i < w->nkeys; i++)
		{
			int			j = 0;

			while (j < n && s->target.keys[j] != w->keys[i])
				j++;
			if (j == n)
				elog(ERROR, "index \"%s\" is not on the group's keys",
					 RelationGetRelationName(w->index));
			values[i] = keys[j];
			nulls[i] = isnull[j];
		}
		pgt_writer_seek(w, values, nulls);
		found = pgt_writer_next(w);
	}
	if (found)
		slot_getallattrs(w->cur);
	return found;
}

/* A copy with out of line values fetched; the arrays if there are none. */
static Datum *
whole_values(GroupSink *s, Datum *values, bool *isnull)
{
	Datum	   *copy = NULL;

	for (int i = 0; i < s->storage->natts; i++)
	{
		if (isnull[i] || TupleDescAttr(s->storage, i)->attlen != -1 ||
			!VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			continue;
		if (copy == NULL)
		{
			copy = palloc(sizeof(Datum) * s->storage->natts);
			memcpy(copy, values, sizeof(Datum) * s->storage->natts);
		}
		copy[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
	}
	return copy != NULL ? copy : values;
}

static void
emit_change(GroupSink *s, bool old, bool new)
{
	TupleTableSlot *cur = s->w->cur;

	if (s->emit == NULL)
		return;
	s->emit(s->emit_arg,
			old ? whole_values(s, cur->tts_values, cur->tts_isnull) : NULL,
			old ? cur->tts_isnull : NULL,
			new ? whole_values(s, s->values, s->isnull) : NULL,
			new ? s->isnull : NULL);
}

/* s->values is the new row but for its finals; found: w->cur is the old one. */
static void
store_group(GroupSink *s, bool found)
{
	RelWriter  *w = s->w;

	pgt_group_finals_compute(s->finals, s->values, s->isnull);
	if (!found)
	{
		emit_change(s, false, true);
		pgt_writer_insert_values(w, s->values, s->isnull);
	}
	else if (pgt_image_equal_values(s->storage, w->cur->tts_values, w->cur->tts_isnull,
									s->values, s->isnull))
		s->unchanged++;
	else
	{
		emit_change(s, true, true);
		pgt_writer_update_values(w, s->values, s->isnull);
	}
}

static void
remove_group(GroupSink *s)
{
	emit_change(s, true, false);
	pgt_writer_delete(s->w);
}

/* ---------------------------------------------------------------- rescan */

static uint64
tid_as_number(ItemPointer tid)
{
	return (uint64) ItemPointerGetBlockNumber(tid) << 16 | ItemPointerGetOffsetNumber(tid);
}

static void
begin_rescan(GroupSink *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);
	int			n = s->target.nkeys;

	s->rescan_desc = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(s->storage, s->target.keys[i] - 1);
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "k%d", i + 1);
		TupleDescInitEntry(s->rescan_desc, i + 1, name, att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(s->rescan_desc, i + 1, att->attcollation);
	}
	s->rescan = tuplestore_begin_heap(false, false, work_mem);
	s->unconfirmed = tidset_create(s->cxt, 64, NULL);
	MemoryContextSwitchTo(old);
}

static void
ask_for_rescan(GroupSink *s, Datum *keys, bool *isnull, bool found)
{
	if (s->rescan == NULL)
		begin_rescan(s);
	for (int i = 0; i < s->target.nkeys; i++)
		s->rescan_null |= isnull[i];
	tuplestore_putvalues(s->rescan, s->rescan_desc, keys, isnull);
	s->nrescan++;
	if (found)
	{
		bool		already;

		tidset_insert(s->unconfirmed, tid_as_number(&s->w->cur->tts_tid), &already);
	}
}

/* ---------------------------------------------------------------- merging */

static void
merge_group(GroupSink *s, TupleTableSlot *slot)
{
	RelWriter  *w = s->w;
	bool		found;
	GroupFate	fate;

	slot_getallattrs(slot);
	found = find_group(s, slot->tts_values, slot->tts_isnull);
	fate = pgt_group_merge(s->merge, found ? w->cur->tts_values : NULL,
						   found ? w->cur->tts_isnull : NULL,
						   slot->tts_values, slot->tts_isnull, s->values, s->isnull);
	if (fate == PGT_GROUP_LIVES)
		store_group(s, found);
	else if (fate == PGT_GROUP_RESCAN)
		ask_for_rescan(s, slot->tts_values, slot->tts_isnull, found);
	else if (found)
		remove_group(s);
}

bool
pgt_apply_group_merge(GroupSink *s, GroupEmit emit, void *arg)
{
	TupleTableSlot *slot;
	MemoryContext old;

	if (!s->waiting)
		return s->nrescan > 0;
	old = MemoryContextSwitchTo(s->cxt);
	s->emit = emit;
	s->emit_arg = arg;
	if (s->w == NULL)
		open_writer(s);
	slot = MakeSingleTupleTableSlot(s->input, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(s->tmp);
	if (s->many == NULL)
	{
		for (int i = 0; i < s->nfew; i++)
		{
			ExecStoreMinimalTuple(s->few[i], slot, false);
			merge_group(s, slot);
			MemoryContextReset(s->tmp);
		}
	}
	else
	{
		tuplesort_performsort(s->many);
		while (tuplesort_gettupleslot(s->many, true, false, slot, NULL))
		{
			CHECK_FOR_INTERRUPTS();
			merge_group(s, slot);
			MemoryContextReset(s->tmp);
		}
		ExecClearTuple(slot);
		tuplesort_end(s->many);
		s->many = NULL;
	}
	MemoryContextSwitchTo(old);
	ExecDropSingleTupleTableSlot(slot);
	s->nfew = 0;
	s->waiting = false;
	return s->nrescan > 0;
}

Tuplestorestate *
pgt_apply_group_rescan_keys(GroupSink *s, TupleDesc *tupdesc, int64 *count, bool *has_null)
{
	if (s->rescan == NULL)
		elog(ERROR, "no group has to be rescanned");
	tuplestore_rescan(s->rescan);
	*tupdesc = s->rescan_desc;
	*count = s->nrescan;
	*has_null = s->rescan_null;
	return s->rescan;
}

/* ---------------------------------------------------------------- absolute values */

/* Keys, row count, states: to the storage row without finals. */
static void
take_absolute(const GroupTarget *t, int natts, TupleTableSlot *slot,
			  Datum *values, bool *isnull)
{
	int			col = 0;

	slot_getallattrs(slot);
	memset(isnull, true, sizeof(bool) * natts);
	memset(values, 0, sizeof(Datum) * natts);
#define TAKE(attnum) \
	(values[(attnum) - 1] = slot->tts_values[col], \
	 isnull[(attnum) - 1] = slot->tts_isnull[col], col++)
	for (int i = 0; i < t->nkeys; i++)
		TAKE(t->keys[i]);
	TAKE(t->row_count);
	for (int i = 0; i < t->nstates; i++)
		TAKE(t->states[i].attnum);
#undef TAKE
}

static void
check_absolute(const GroupTarget *t, TupleDesc desc)
{
	if (desc->natts != t->nkeys + 1 + t->nstates)
		elog(ERROR, "group sink fed with %d columns instead of %d", desc->natts,
			 t->nkeys + 1 + t->nstates);
}

static void
rescan_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	check_absolute(&((GroupReceiver *) self)->sink->target, desc);
}

static bool
rescan_receive(TupleTableSlot *slot, DestReceiver *self)
{
	GroupSink  *s = ((GroupReceiver *) self)->sink;
	GroupTarget *t = &s->target;
	MemoryContext old;
	bool		found;

	slot_getallattrs(slot);
	if (t->nkeys > 0 && DatumGetInt64(slot->tts_values[t->nkeys]) == 0)
		return true;			/* as good as not fed back */
	old = MemoryContextSwitchTo(s->tmp);
	found = find_group(s, slot->tts_values, slot->tts_isnull);
	take_absolute(t, s->storage->natts, slot, s->values, s->isnull);
	if (found)
	{
		Datum	   *stored = s->w->cur->tts_values;
		bool	   *stored_isnull = s->w->cur->tts_isnull;

		for (int i = 0; i < t->nkeys; i++)
		{
			s->values[t->keys[i] - 1] = stored[t->keys[i] - 1];
			s->isnull[t->keys[i] - 1] = stored_isnull[t->keys[i] - 1];
		}
		tidset_delete(s->unconfirmed, tid_as_number(&s->w->cur->tts_tid));
	}
	store_group(s, found);
	s->rescanned++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->tmp);
	return true;
}

static void
remove_unconfirmed(GroupSink *s)
{
	tidset_iterator it;
	TidEntry   *entry;
	MemoryContext old = MemoryContextSwitchTo(s->tmp);

	tidset_start_iterate(s->unconfirmed, &it);
	while ((entry = tidset_iterate(s->unconfirmed, &it)) != NULL)
	{
		ItemPointerData tid;

		CHECK_FOR_INTERRUPTS();
		ItemPointerSet(&tid, (BlockNumber) (entry->tid >> 16),
					   (OffsetNumber) (entry->tid & 0xffff));
		if (!pgt_writer_fetch(s->w, &tid))
			elog(ERROR, "could not find tuple (%u,%u) of \"%s\" again",
				 ItemPointerGetBlockNumber(&tid), ItemPointerGetOffsetNumber(&tid),
				 RelationGetRelationName(s->w->rel));
		slot_getallattrs(s->w->cur);
		remove_group(s);
		s->rescanned++;
		MemoryContextReset(s->tmp);
	}
	MemoryContextSwitchTo(old);
}

/* ---------------------------------------------------------------- life */

static DestReceiver *
make_receiver(GroupSink *s, bool (*receive) (TupleTableSlot *, DestReceiver *),
			  void (*startup) (DestReceiver *, int, TupleDesc))
{
	GroupReceiver *r = MemoryContextAllocZero(s->cxt, sizeof(GroupReceiver));

	r->pub.receiveSlot = receive;
	r->pub.rStartup = startup;
	r->pub.rShutdown = receiver_nothing;
	r->pub.rDestroy = receiver_nothing;
	r->pub.mydest = DestNone;
	r->sink = s;
	return &r->pub;
}

GroupSink *
pgt_apply_group_begin(const GroupTarget *target, Snapshot snapshot, bool exact, double expected)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle group sink",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	GroupSink  *s = palloc0(sizeof(GroupSink));
	Relation	rel = table_open(target->relid, RowExclusiveLock);

	s->cxt = cxt;
	s->tmp = AllocSetContextCreate(cxt, "pg_trickle group", ALLOCSET_DEFAULT_SIZES);
	s->owner = CurrentResourceOwner;
	s->target = *target;
	s->snapshot = snapshot;
	s->storage = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	table_close(rel, NoLock);
	s->merge = pgt_group_merge_create(target, s->storage, exact);
	s->finals = pgt_group_finals_create(target, s->storage);
	s->values = palloc(sizeof(Datum) * (s->storage->natts + 1));
	s->isnull = palloc(sizeof(bool) * (s->storage->natts + 1));
	MemoryContextSwitchTo(old);
	return s;
}

DestReceiver *
pgt_apply_group_delta_receiver(GroupSink *s)
{
	return make_receiver(s, delta_receive, delta_startup);
}

DestReceiver *
pgt_apply_group_rescan_receiver(GroupSink *s, GroupEmit emit, void *arg)
{
	s->emit = emit;
	s->emit_arg = arg;
	return make_receiver(s, rescan_receive, rescan_startup);
}

void
pgt_apply_group_finish(GroupSink *s, ApplyStats *stats)
{
	MemoryContext old = MemoryContextSwitchTo(s->cxt);

	if (s->unconfirmed != NULL && s->target.nkeys > 0)
		remove_unconfirmed(s);
	if (s->rescan != NULL)
		tuplestore_end(s->rescan);
	if (s->many != NULL)
		tuplesort_end(s->many);
	if (s->w != NULL)
	{
		pgt_writer_close(s->w);
		stats->inserted += s->w->inserted;
		stats->updated += s->w->updated;
		stats->deleted += s->w->deleted;
	}
	stats->received += s->received;
	stats->unchanged += s->unchanged;
	stats->rescanned += s->rescanned;
	stats->strategy = "merge";
	pgt_group_finals_free(s->finals);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(s->cxt);
}

/* ---------------------------------------------------------------- absolute receiver */

typedef struct AbsoluteReceiver
{
	DestReceiver pub;
	MemoryContext cxt;
	MemoryContext tmp;
	GroupTarget target;
	TupleDesc	storage;
	GroupFinals *finals;
	Datum	   *values;
	bool	   *isnull;
	void		(*put) (void *arg, Datum *values, bool *isnull);
	void	   *arg;
} AbsoluteReceiver;

static void
absolute_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	check_absolute(&((AbsoluteReceiver *) self)->target, desc);
}

static bool
absolute_receive(TupleTableSlot *slot, DestReceiver *self)
{
	AbsoluteReceiver *r = (AbsoluteReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(r->tmp);

	take_absolute(&r->target, r->storage->natts, slot, r->values, r->isnull);
	pgt_group_finals_compute(r->finals, r->values, r->isnull);
	r->put(r->arg, r->values, r->isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(r->tmp);
	return true;
}

static void
absolute_destroy(DestReceiver *self)
{
	AbsoluteReceiver *r = (AbsoluteReceiver *) self;

	pgt_group_finals_free(r->finals);
	MemoryContextDelete(r->cxt);
}

/* rDestroy of the result frees it. */
DestReceiver *
pgt_apply_group_absolute_receiver(const GroupTarget *target,
								  void (*put) (void *arg, Datum *values, bool *isnull),
								  void *arg)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "pg_trickle absolute groups",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	AbsoluteReceiver *r = palloc0(sizeof(AbsoluteReceiver));
	Relation	rel = table_open(target->relid, NoLock);

	r->pub.receiveSlot = absolute_receive;
	r->pub.rStartup = absolute_startup;
	r->pub.rShutdown = receiver_nothing;
	r->pub.rDestroy = absolute_destroy;
	r->pub.mydest = DestNone;
	r->cxt = cxt;
	r->tmp = AllocSetContextCreate(cxt, "pg_trickle absolute group", ALLOCSET_DEFAULT_SIZES);
	r->target = *target;
	r->storage = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	table_close(rel, NoLock);
	r->finals = pgt_group_finals_create(target, r->storage);
	r->values = palloc(sizeof(Datum) * (r->storage->natts + 1));
	r->isnull = palloc(sizeof(bool) * (r->storage->natts + 1));
	r->put = put;
	r->arg = arg;
	MemoryContextSwitchTo(old);
	return &r->pub;
}
