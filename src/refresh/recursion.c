/*-------------------------------------------------------------------------
 *
 * recursion.c
 *	  The change of a recursive relation, round by round.
 *
 * R = B + S(R), S linear in R; X° is before the change, X' after it, D a change.
 *
 * UNION ALL.  R is stored with the depth d at which each row was derived:
 *
 *		D(R_0) = D(B),		D(R_d+1) = D(S)(R°_d) + S'(D(R_d))
 *
 * One statement delivers D(B) and D(S) over all of R°; then the depths follow in
 * ascending order, each netted, so that what is taken away in one way and given in another
 * cancels before it is followed.  It ends, because R° and R' do, whatever cycles are in
 * the data that the rows do not reach.  R is written at the end.
 *
 * UNION, in three steps.  A row may be there because of several derivations, or because of
 * itself by a cycle; counting does not tell.
 *
 *	1. All rows of R that a derivation with a removed row gave are taken away, then those
 *	   that a derivation with one of these gave, over the current tables.  Rows of
 *	   the delta with a negative weight are such rows; they are not netted against others.
 *	2. Those of them that what is left derives come back,
 *	3. with what the added rows derive: D0; D1 = S'(D0), D2 = S'(D1), ... less the rows that
 *	   are there, until nothing comes.
 *
 * B and S may have an outer join or a search attached (attachment.c); R is never what is attached, so that
 * S remains linear in R.  A change of what is attached may remove derivations by adding rows, and the other
 * way round.  What a delta statement delivers adds up to the exact change derivation by derivation,
 * so one that is lost has a row with a negative weight among its own, as the first step wants it.
 *
 * What is written to the stage's table on the way is netted for those who read its change.
 *
 * Where a change reaches a large part of R, following it costs more than computing R
 * again: then the caller does that.
 *
 * IDENTIFICATION
 *	  src/refresh/recursion.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_operator_d.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "apply_internal.h"
#include "refresh_internal.h"

#define MIN_WORK	1000		/* rows that are followed whatever the size of R is */
#define ROUND_WORK	20			/* a round costs as much as so many rows */

typedef struct Recursion
{
	RefreshRun *run;
	const Stage *stage;
	const PartitionTarget *target;
	TupleDesc	desc;			/* columns and weight */
	int			ncolumns;
	char	   *name;			/* of what the last round changed, for the next one's statement */
	Bitmapset  *self;
	double		work;			/* so far: rows, and rounds */
	double		bound;
} Recursion;

/* Rows of one round of UNION, written as they come. */
typedef struct Round
{
	RelWriter  *w;
	TupleDesc	desc;
	bool		removing;
	Tuplestorestate *rows;		/* what was written */
	MemoryContext row_cxt;
	Datum	   *values;			/* the row put last, in row_cxt */
	bool	   *isnull;
	int64		count;
} Round;

/* Rows of one depth of UNION ALL. */
typedef struct DepthRound
{
	TupleDesc	desc;
	Tuplestorestate *rows;
	Tuplestorestate *all;		/* of all depths */
	Datum	   *values;
	bool	   *isnull;
	int64		count;
} DepthRound;

static double
estimate_rows(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber pages;
	double		tuples;
	double		visible;

	estimate_rel_size(rel, NULL, &pages, &tuples, &visible);
	table_close(rel, NoLock);
	return tuples;
}

static void
init_recursion(Recursion *r, RefreshRun *run, const Stage *stage, double share)
{
	r->run = run;
	r->stage = stage;
	r->target = run->m->partitions[stage->number];
	r->desc = pgt_refresh_stage_desc(stage, run->m->def->weight_name);
	r->ncolumns = list_length(stage->columns);
	r->name = pgt_delta_stage_name(stage->number);
	r->self = bms_make_singleton(PGT_CHANGED_STAGE(run->m->def, stage->number));
	r->work = 0;
	r->bound = Max(MIN_WORK, share * estimate_rows(r->target->relid));
}

/*
 * May derivations have been added, or removed?  A change of what is attached, one way or the
 * other, may do both: NOT EXISTS.
 */
static void
look_at_changes(const RefreshRun *run, const Stage *stage, const Bitmapset *changed, bool *added,
				bool *removed)
{
	int			nsources = list_length(run->m->def->sources);
	int			source = -1;
	ListCell   *lc,
			   *lc2;

	*added = *removed = false;
	while ((source = bms_next_member(changed, source)) >= 0)
	{
		*added |= source >= nsources || run->sets[source]->npos > 0;
		*removed |= source >= nsources || run->sets[source]->nneg > 0;
	}
	foreach(lc, stage->blocks)
	{
		foreach(lc2, ((QueryBlock *) lfirst(lc))->attachments)
		{
			if (pgt_delta_input_changed(&run->m->delta, ((Attachment *) lfirst(lc2))->input, changed))
				*added = *removed = true;
		}
	}
}

static RowSink *
begin_net(const Recursion *r)
{
	return pgt_apply_net_begin(r->desc, r->ncolumns, 0);
}

static void
execute(Recursion *r, VariantKind kind, const Bitmapset *changed, bool has_null, double rows,
		DestReceiver *dest)
{
	RefreshRun *run = r->run;
	bool		planned;
	Variant    *variant = pgt_maintenance_variant(run->m, kind, r->stage->number, changed, has_null,
												  false, pgt_maintenance_bucket(rows), &planned);

	run->planned |= planned;
	run->rec->plan_ms += pgt_refresh_lap(run);
	pgt_refresh_execute(variant, dest);
	run->rec->delta_ms += pgt_refresh_lap(run);
}

/* One step from these rows; ends the tuplestore. */
static void
execute_step(Recursion *r, Tuplestorestate *rows, int64 count, DestReceiver *dest)
{
	pgt_refresh_register_changes(r->name, r->desc, rows, count);
	execute(r, PGT_VARIANT_CHANGE, r->self, false, count, dest);
	SPI_unregister_relation(r->name);
	tuplestore_end(rows);
}

/* Is it too dear to go on? */
static bool
is_dear(Recursion *r, int64 count)
{
	r->work += count + ROUND_WORK;
	return r->work > r->bound;
}

/* ---- UNION ALL ---- */

static void
put_seed(void *arg, Datum *values, bool *isnull, int32 weight)
{
	Tuplesortstate *sort = (Tuplesortstate *) ((void **) arg)[0];
	TupleTableSlot *slot = (TupleTableSlot *) ((void **) arg)[1];
	int			n = slot->tts_tupleDescriptor->natts - 1;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * n);
	memcpy(slot->tts_isnull, isnull, sizeof(bool) * n);
	slot->tts_values[n] = Int32GetDatum(weight);
	slot->tts_isnull[n] = false;
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort, slot);
}

/* The changes of B, and of S over the rows that are stored, by depth. */
static Tuplesortstate *
sort_seeds(Recursion *r, const Bitmapset *relevant)
{
	RowSink    *net = begin_net(r);
	AttrNumber	depth = r->ncolumns;
	Oid			operator = Int4LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	Tuplesortstate *sort = tuplesort_begin_heap(r->desc, 1, &depth, &operator, &collation,
												&nulls_first, work_mem, NULL, TUPLESORT_NONE);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(r->desc, &TTSOpsVirtual);
	void	   *arg[] = {sort, slot};

	execute(r, PGT_VARIANT_CHANGE, relevant, false, r->run->delta_rows, pgt_apply_rows_receiver(net));
	pgt_apply_net_finish(net, put_seed, arg);
	ExecDropSingleTupleTableSlot(slot);
	tuplesort_performsort(sort);
	return sort;
}

static void
put_at_depth(void *arg, Datum *values, bool *isnull, int32 weight)
{
	DepthRound *round = (DepthRound *) arg;
	int			n = round->desc->natts - 1;

	memcpy(round->values, values, sizeof(Datum) * n);
	memcpy(round->isnull, isnull, sizeof(bool) * n);
	round->values[n] = Int32GetDatum(weight);
	round->isnull[n] = false;
	tuplestore_putvalues(round->rows, round->desc, round->values, round->isnull);
	tuplestore_putvalues(round->all, round->desc, round->values, round->isnull);
	round->count++;
}

static void
feed_sink(const Recursion *r, Tuplestorestate *rows, RowSink *sink)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(r->desc, &TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		pgt_apply_rows_put(sink, slot->tts_values, slot->tts_isnull,
						   DatumGetInt32(slot->tts_values[r->ncolumns]));
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Feeds the change of the relation to the sink; false if that is too dear, and the sink
 * has got nothing.
 */
bool
pgt_refresh_recursion_by_depth(RefreshRun *run, const Stage *stage, const Bitmapset *relevant,
							   RowSink *sink)
{
	Recursion	r;
	DepthRound	round = {0};
	Tuplesortstate *seeds;
	TupleTableSlot *seed;
	bool		more;
	int32		depth = 0;
	bool		dear = false;

	init_recursion(&r, run, stage, 1.0);
	seeds = sort_seeds(&r, relevant);
	seed = MakeSingleTupleTableSlot(r.desc, &TTSOpsMinimalTuple);
	round.desc = r.desc;
	round.values = (Datum *) palloc(sizeof(Datum) * r.desc->natts);
	round.isnull = (bool *) palloc(sizeof(bool) * r.desc->natts);
	round.all = tuplestore_begin_heap(false, false, work_mem);
	more = tuplesort_gettupleslot(seeds, true, false, seed, NULL);
	while ((more || round.count > 0) && !dear)
	{
		RowSink    *net = begin_net(&r);
		int64		count = round.count;

		if (more)
			slot_getallattrs(seed);
		if (count == 0)
			depth = DatumGetInt32(seed->tts_values[r.ncolumns - 1]);
		while (more && DatumGetInt32(seed->tts_values[r.ncolumns - 1]) == depth)
		{
			pgt_apply_rows_put(net, seed->tts_values, seed->tts_isnull,
							   DatumGetInt32(seed->tts_values[r.ncolumns]));
			more = tuplesort_gettupleslot(seeds, true, false, seed, NULL);
			if (more)
				slot_getallattrs(seed);
		}
		if (count > 0)
			execute_step(&r, round.rows, count, pgt_apply_rows_receiver(net));
		else if (round.rows)
			tuplestore_end(round.rows);
		round.rows = tuplestore_begin_heap(false, false, work_mem);
		round.count = 0;
		pgt_apply_net_finish(net, put_at_depth, &round);
		dear = is_dear(&r, round.count);
		depth++;
	}
	if (round.rows)
		tuplestore_end(round.rows);
	ExecDropSingleTupleTableSlot(seed);
	tuplesort_end(seeds);
	if (!dear)
		feed_sink(&r, round.all, sink);
	tuplestore_end(round.all);
	run->rec->apply_ms += pgt_refresh_lap(run);
	return !dear;
}

/* ---- UNION: one round ---- */

static void
put_net(void *arg, Datum *values, bool *isnull, int32 weight)
{
	pgt_apply_rows_put((RowSink *) arg, values, isnull, weight);
}

static Round *
begin_round(const Recursion *r, bool removing, RowSink *out)
{
	Round	   *round = (Round *) palloc0(sizeof(Round));

	round->w = pgt_writer_open(r->target->relid, r->target->row_index, NULL, r->run->snapshot);
	round->w->emit = put_net;
	round->w->emit_arg = out;
	round->desc = r->desc;
	round->removing = removing;
	round->rows = tuplestore_begin_heap(false, false, work_mem);
	round->row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle recursion row",
										   ALLOCSET_SMALL_SIZES);
	round->values = (Datum *) palloc(sizeof(Datum) * r->desc->natts);
	round->isnull = (bool *) palloc(sizeof(bool) * r->desc->natts);
	return round;
}

static bool
is_stored(RelWriter *w, Datum *values, bool *isnull)
{
	Datum		keys[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < w->nkeys; i++)
	{
		keys[i] = values[w->keys[i] - 1];
		nulls[i] = isnull[w->keys[i] - 1];
	}
	pgt_writer_seek(w, keys, nulls);
	return pgt_writer_next(w);
}

/* Copies of a row come one after the other: is it the one put last again? */
static bool
is_copy(const Round *round, Datum *values, bool *isnull)
{
	if (round->count == 0)
		return false;
	for (int i = 0; i < round->desc->natts - 1; i++)
	{
		Form_pg_attribute att = TupleDescAttr(round->desc, i);

		if (isnull[i] != round->isnull[i] ||
			(!isnull[i] && !datumIsEqual(values[i], round->values[i], att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

static void
keep_row(Round *round, Datum *values, bool *isnull, int32 weight)
{
	MemoryContext old;
	int			n = round->desc->natts - 1;

	MemoryContextReset(round->row_cxt);
	old = MemoryContextSwitchTo(round->row_cxt);
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(round->desc, i);

		round->isnull[i] = isnull[i];
		round->values[i] = isnull[i] ? (Datum) 0 : datumCopy(values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
	round->values[n] = Int32GetDatum(weight);
	round->isnull[n] = false;
}

/* A row that the round derived: it goes if it is there, or comes if it is not. */
static void
write_row(void *arg, Datum *values, bool *isnull, int32 weight)
{
	Round	   *round = (Round *) arg;

	CHECK_FOR_INTERRUPTS();
	if (is_copy(round, values, isnull) || is_stored(round->w, values, isnull) != round->removing)
		return;
	keep_row(round, values, isnull, round->removing ? -1 : 1);
	if (round->removing)
		pgt_writer_delete(round->w);
	else
		pgt_writer_insert_values(round->w, round->values, round->isnull);
	tuplestore_putvalues(round->rows, round->desc, round->values, round->isnull);
	round->count++;
}

/* Writes the rows in net; returns those that made a difference, with their weight. */
static Tuplestorestate *
write_round(Recursion *r, RowSink *net, bool removing, RowSink *out, int64 *count)
{
	Round	   *round = begin_round(r, removing, out);
	Tuplestorestate *rows = round->rows;

	pgt_apply_net_finish(net, write_row, round);
	pgt_writer_close(round->w);
	MemoryContextDelete(round->row_cxt);
	*count = round->count;
	pgt_refresh_next_command(r->run);
	r->run->rec->apply_ms += pgt_refresh_lap(r->run);
	return rows;
}

/* ---- UNION: rows that may have lost their derivation ---- */

typedef struct Candidates
{
	RowSink    *net;
	int			weight;			/* column */
} Candidates;

static void
put_candidate(void *arg, Datum *values, bool *isnull)
{
	Candidates *c = (Candidates *) arg;

	if (DatumGetInt32(values[c->weight]) < 0)
		pgt_apply_rows_put(c->net, values, isnull, 1);
}

static TupleDesc
make_keys_desc(const Recursion *r)
{
	TupleDesc	desc = CreateTemplateTupleDesc(r->ncolumns);

	for (int i = 0; i < r->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(r->desc, i);
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "k%d", i + 1);
		TupleDescInitEntry(desc, i + 1, name, att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, att->attcollation);
	}
	return desc;
}

static void
add_keys(const Recursion *r, Tuplestorestate *rows, PartitionKeys *keys)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(r->desc, &TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < r->ncolumns; i++)
			keys->has_null |= slot->tts_isnull[i];
		tuplestore_putvalues(keys->store, keys->desc, slot->tts_values, slot->tts_isnull);
		keys->count++;
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_rescan(rows);
}

/* Takes them away; false if they are too many. */
static bool
remove_dependent(Recursion *r, const Bitmapset *relevant, PartitionKeys *gone, RowSink *out)
{
	Candidates	c = {NULL, r->ncolumns};
	Tuplestorestate *last = NULL;
	int64		count = 0;

	do
	{
		c.net = begin_net(r);
		if (last == NULL)
			execute(r, PGT_VARIANT_CHANGE, relevant, false, r->run->delta_rows,
					pgt_refresh_row_receiver(put_candidate, &c));
		else
			execute_step(r, last, count, pgt_refresh_row_receiver(put_candidate, &c));
		last = write_round(r, c.net, true, out, &count);
		add_keys(r, last, gone);
		if (is_dear(r, count))
		{
			tuplestore_end(last);
			return false;
		}
	} while (count > 0);
	tuplestore_end(last);
	return true;
}

/* ---- UNION: rows that come ---- */

static void
put_added(void *arg, Datum *values, bool *isnull, int32 weight)
{
	/* what the change removes has been dealt with */
	if (weight > 0)
		pgt_apply_rows_put((RowSink *) arg, values, isnull, 1);
}

/*
 * Writes the change of the relation, and feeds it to out, not netted; false if that is too
 * dear: what has been written so far is in out.
 */
bool
pgt_refresh_recursion_as_set(RefreshRun *run, const Stage *stage, const Bitmapset *relevant,
							 RowSink *out)
{
	Recursion	r;
	PartitionKeys gone = {0};
	RowSink    *net;
	Tuplestorestate *last;
	int64		count;
	bool		added,
				removed;

	init_recursion(&r, run, stage, 0.5);
	look_at_changes(run, stage, relevant, &added, &removed);
	if (removed)
	{
		bool		done;

		gone.desc = make_keys_desc(&r);
		gone.store = tuplestore_begin_heap(false, false, work_mem);
		done = remove_dependent(&r, relevant, &gone, out);
		if (!done)
			tuplestore_end(gone.store);
		if (!done)
			return false;
	}
	net = begin_net(&r);
	if (gone.count > 0)
	{
		pgt_refresh_register_changes(PGT_DELTA_KEYS_NAME, gone.desc, gone.store, gone.count);
		execute(&r, PGT_VARIANT_RESCAN, NULL, gone.has_null, gone.count,
				pgt_apply_rows_receiver_plain(net));
		SPI_unregister_relation(PGT_DELTA_KEYS_NAME);
	}
	if (gone.store)
		tuplestore_end(gone.store);
	if (added)
	{
		RowSink    *change = begin_net(&r);

		execute(&r, PGT_VARIANT_CHANGE, relevant, false, run->delta_rows,
				pgt_apply_rows_receiver(change));
		pgt_apply_net_finish(change, put_added, net);
	}
	last = write_round(&r, net, false, out, &count);
	while (count > 0)
	{
		net = begin_net(&r);
		execute_step(&r, last, count, pgt_apply_rows_receiver(net));
		last = write_round(&r, net, false, out, &count);
	}
	tuplestore_end(last);
	return true;
}
