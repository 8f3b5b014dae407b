/*-------------------------------------------------------------------------
 *
 * differential.c
 *	  One differential refresh: the stages in order, each fed by the changes
 *	  of what it reads.
 *
 * The change sets of the sources, and then the changes of each stage, are
 * ephemeral relations for the statements of later stages.  Every statement
 * runs with the one snapshot of the refresh, advanced past what earlier
 * stages wrote.
 *
 * IDENTIFICATION
 *	  src/refresh/differential.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "refresh_internal.h"

#define STREAMED_ROW_BYTES 100	/* guess, for sizing work_mem */

typedef struct Flow
{
	RefreshRun *run;
	MemoryContext cxt;
	Bitmapset  *changed;		/* sources and stages: see PGT_CHANGED_STAGE */
	Tuplestorestate **stores;	/* changes of stages, by number */
	TupleDesc  *descs;
	ChangeWriter *writer;		/* the stream table is itself a source; or NULL */

	/* while a group stage is being merged */
	int			stageno;
	Datum	   *values;			/* room for a stage row and its weight */
	bool	   *isnull;
	StageMap   *map;
	RowSink    *mapped_rows;
} Flow;

/* ---- ephemeral relations ---- */

void
pgt_refresh_register_changes(char *name, TupleDesc tupdesc, Tuplestorestate *store, double rows)
{
	EphemeralNamedRelation enr = (EphemeralNamedRelation)
		palloc0(sizeof(EphemeralNamedRelationData));
	int			rc;

	enr->md.name = name;
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = tupdesc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = pgt_merge_planner_hints ?
		pow(4, pgt_maintenance_bucket(rows)) : rows;
	enr->reldata = store;
	rc = SPI_register_relation(enr);
	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register change set \"%s\": %s", name,
			 SPI_result_code_string(rc));
}

static void
register_sources(Flow *flow)
{
	RefreshRun *run = flow->run;

	/* whether they have changed is found by looking; only their copies read them */
	flow->changed = bms_copy(run->polled);
	if (run->stream)
	{
		/* an empty store stands for it: see change_scan.c */
		char	   *name = pgt_delta_source_name(run->stream_source);

		pgt_refresh_register_changes(name, pgt_cdc_stream_desc(run->stream),
						 tuplestore_begin_heap(false, false, 64), run->delta_rows);
		flow->changed = bms_add_member(flow->changed, run->stream_source);
		pgt_refresh_set_stream(name, run->stream);
	}
	for (int i = 0; i < list_length(run->m->def->sources); i++)
	{
		ChangeSet  *set = run->sets[i];

		if (set == NULL || set->store == NULL)
			continue;
		pgt_refresh_register_changes(pgt_delta_source_name(i), set->tupdesc, set->store,
						 set->npos + set->nneg);
		flow->changed = bms_add_member(flow->changed, i);
	}
}

/* ---- statements ---- */

void
pgt_refresh_execute(Variant *variant, DestReceiver *dest)
{
	MemoryContext cxt = CurrentMemoryContext;
	SPIExecuteOptions options;
	int			rc;

	memset(&options, 0, sizeof(options));
	options.read_only = true;	/* use the refresh snapshot as it is */
	options.dest = dest;
	rc = SPI_execute_plan_extended(variant->plan, &options);
	if (rc < 0)
		elog(ERROR, "could not execute a delta statement: %s", SPI_result_code_string(rc));
	MemoryContextSwitchTo(cxt);
}

static void
execute(Flow *flow, Variant *variant, DestReceiver *dest)
{
	MemoryContextSwitchTo(flow->cxt);
	pgt_refresh_execute(variant, dest);
}

/*
 * AUTO has no experience: is recomputing much cheaper, as far as the planner can
 * tell?  Then the caller does that.
 */
static void
check_cost(RefreshRun *run, const Variant *variant)
{
	double		limit = pgt_policy_cost_limit(&run->policy);
	double		full;

	run->delta_cost += variant->cost;
	if (limit <= 0)
		return;
	full = pgt_maintenance_full_cost(run->m);
	run->rec->plan_ms += pgt_refresh_lap(run);
	if (full > 0 && run->delta_cost > limit * full)
		ereport(ERROR,
				(errcode(PGT_ERRCODE_DEAR),
				 errmsg("the planner takes a delta for %.3g times as dear as recomputing",
						run->delta_cost / full)));
}

static Variant *
get_change_variant(Flow *flow, int stageno, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	double		rows = run->delta_rows;
	bool		streamed = run->stream && bms_is_member(run->stream_source, relevant);
	bool		planned;
	Variant    *variant;

	variant = pgt_maintenance_variant(run->m, PGT_VARIANT_CHANGE, stageno, relevant,
									  false, streamed, pgt_maintenance_bucket(rows), &planned);
	run->planned |= planned;
	run->rec->plan_ms += pgt_refresh_lap(run);
	check_cost(run, variant);
	return variant;
}

/*
 * After the statement that reads the stream: the changes are counted now.  A
 * void marker among them makes them meaningless; the caller recomputes.
 */
static void
finish_stream(RefreshRun *run, const Bitmapset *relevant)
{
	const ChangeSet *counts;

	if (run->stream == NULL || !bms_is_member(run->stream_source, relevant))
		return;
	counts = pgt_cdc_stream_counts(run->stream);
	if (counts->voided)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("a source was truncated or changed as a whole")));
	run->delta_rows = counts->npos + counts->nneg;
	run->rec->delta_row_count = (int64) run->delta_rows;
}

/* ---- group stages ---- */

static void
put_stage_change(Flow *flow, Datum *values, bool *isnull, int32 weight)
{
	int			natts = flow->descs[flow->stageno]->natts;

	memcpy(flow->values, values, (natts - 1) * sizeof(Datum));
	memcpy(flow->isnull, isnull, (natts - 1) * sizeof(bool));
	flow->values[natts - 1] = Int32GetDatum(weight);
	flow->isnull[natts - 1] = false;
	tuplestore_putvalues(flow->stores[flow->stageno], flow->descs[flow->stageno],
						 flow->values, flow->isnull);
}

static void
put_mapped(Flow *flow, Datum *values, bool *isnull, int32 weight)
{
	Datum	   *out;
	bool	   *outnull;

	if (pgt_refresh_map_row(flow->map, values, isnull, &out, &outnull))
		pgt_apply_rows_put(flow->mapped_rows, out, outnull, weight);
}

static void
group_emit(void *arg, Datum *old_values, bool *old_isnull,
		   Datum *new_values, bool *new_isnull)
{
	Flow	   *flow = (Flow *) arg;

	for (int i = 0; i < 2; i++)
	{
		Datum	   *values = i == 0 ? old_values : new_values;
		bool	   *isnull = i == 0 ? old_isnull : new_isnull;
		int32		weight = i == 0 ? -1 : 1;

		if (values == NULL)
			continue;
		if (flow->stores[flow->stageno])
			put_stage_change(flow, values, isnull, weight);
		if (flow->map)
			put_mapped(flow, values, isnull, weight);
		if (flow->writer && flow->run->m->groups[flow->stageno]->relid == flow->run->m->relid)
			pgt_cdc_writer_put(flow->writer, values, isnull, weight);
	}
}

static void
row_emit(void *arg, Datum *values, bool *isnull, int32 weight)
{
	pgt_cdc_writer_put((ChangeWriter *) arg, values, isnull, weight);
}

/* Does a statement of a later stage read this stage's changes? */
static bool
is_read_by_statement(const Definition *def, int stageno)
{
	ListCell   *lc;
	DeltaContext context = {0};

	context.def = def;
	foreach(lc, def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		Bitmapset  *changed = bms_make_singleton(PGT_CHANGED_STAGE(def, stageno));

		if (stage->number > stageno && !stage->is_map &&
			!bms_is_empty(pgt_delta_relevant(&context, stage->number, changed)))
			return true;
	}
	return false;
}

TupleDesc
pgt_refresh_stage_desc(const Stage *stage, const char *weight_name)
{
	int			n = list_length(stage->columns);
	TupleDesc	desc = CreateTemplateTupleDesc(n + 1);
	ListCell   *lc;

	foreach(lc, stage->columns)
	{
		StageColumn *column = (StageColumn *) lfirst(lc);
		AttrNumber	attnum = foreach_current_index(lc) + 1;

		TupleDescInitEntry(desc, attnum, column->name, column->type, column->typmod, 0);
		TupleDescInitEntryCollation(desc, attnum, column->collation);
	}
	TupleDescInitEntry(desc, n + 1, weight_name, INT4OID, -1, 0);
	return desc;
}

static void
open_outputs(Flow *flow, const Stage *stage)
{
	const Definition *def = flow->run->m->def;
	Stage	   *last = (Stage *) llast(def->stages);
	int			natts = list_length(stage->columns) + 1;

	flow->stageno = stage->number;
	flow->values = (Datum *) palloc(sizeof(Datum) * natts);
	flow->isnull = (bool *) palloc(sizeof(bool) * natts);
	if (is_read_by_statement(def, stage->number))
	{
		flow->descs[stage->number] = pgt_refresh_stage_desc(stage, def->weight_name);
		flow->stores[stage->number] = tuplestore_begin_heap(false, false, work_mem);
	}
	if (last->is_map && stage->number == last->number - 1)
	{
		flow->map = pgt_refresh_map_begin((QueryBlock *) linitial(last->blocks),
										  flow->run->m->delta.stage_relids[stage->number]);
		flow->mapped_rows = pgt_apply_rows_begin(&flow->run->m->rows, flow->run->snapshot, 0);
	}
}

static void
rescan_groups(Flow *flow, GroupSink *sink)
{
	RefreshRun *run = flow->run;
	TupleDesc	desc;
	int64		count;
	bool		has_null,
				planned;
	Tuplestorestate *keys = pgt_apply_group_rescan_keys(sink, &desc, &count, &has_null);
	Variant    *variant;

	pgt_refresh_register_changes(PGT_DELTA_KEYS_NAME, desc, keys, count);
	run->rec->apply_ms += pgt_refresh_lap(run);
	variant = pgt_maintenance_variant(run->m, PGT_VARIANT_RESCAN, flow->stageno, NULL,
									  has_null, false, pgt_maintenance_bucket(count), &planned);
	run->planned |= planned;
	run->rec->plan_ms += pgt_refresh_lap(run);
	execute(flow, variant, pgt_apply_group_rescan_receiver(sink, group_emit, flow));
	run->rec->delta_ms += pgt_refresh_lap(run);
	SPI_unregister_relation(PGT_DELTA_KEYS_NAME);
}

static void
publish_stage_changes(Flow *flow, int stageno)
{
	Tuplestorestate *store = flow->stores[stageno];
	int64		rows;

	if (store == NULL)
		return;
	rows = tuplestore_tuple_count(store);
	if (rows == 0)
		return;
	pgt_refresh_register_changes(pgt_delta_stage_name(stageno), flow->descs[stageno], store, rows);
	flow->changed = bms_add_member(flow->changed,
								   PGT_CHANGED_STAGE(flow->run->m->def, stageno));
}

/* What comes out of a stage has been fed to the last one, if that is a map of it. */
static void
finish_map(Flow *flow)
{
	ApplyStats	stats = {0};

	if (flow->map == NULL)
		return;
	pgt_refresh_map_end(flow->map);
	flow->map = NULL;
	pgt_apply_rows_finish(flow->mapped_rows, flow->writer ? row_emit : NULL,
						  flow->writer, &stats);
	MemoryContextSwitchTo(flow->cxt);
	pgt_refresh_add_stats(&flow->run->stats, &stats);
}

static void
refresh_group_stage(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	Variant    *variant = get_change_variant(flow, stage->number, relevant);
	GroupSink  *sink;
	ApplyStats	stats = {0};

	sink = pgt_apply_group_begin(run->m->groups[stage->number], run->snapshot,
								 variant->nterms == 1 && run->m->def->consolidate,
								 run->delta_rows);
	execute(flow, variant, pgt_apply_group_delta_receiver(sink));
	finish_stream(run, relevant);
	run->rec->delta_ms += pgt_refresh_lap(run);

	open_outputs(flow, stage);
	if (pgt_apply_group_merge(sink, group_emit, flow))
		rescan_groups(flow, sink);
	pgt_apply_group_finish(sink, &stats);
	MemoryContextSwitchTo(flow->cxt);
	/* the history counts rows of the stream table, not of hidden tables */
	if (stage != llast(run->m->def->stages))
		stats.inserted = stats.updated = stats.deleted = stats.unchanged = 0;
	pgt_refresh_add_stats(&run->stats, &stats);
	publish_stage_changes(flow, stage->number);
	finish_map(flow);
	run->rec->apply_ms += pgt_refresh_lap(run);
}

static void
put_derived_change(void *arg, Datum *values, bool *isnull, int32 weight)
{
	put_stage_change((Flow *) arg, values, isnull, weight);
}

/* Nothing is stored: later stages read the change. */
static void
refresh_derived_stage(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	Variant    *variant = get_change_variant(flow, stage->number, relevant);
	RowSink    *sink;

	open_outputs(flow, stage);
	sink = pgt_apply_net_begin(flow->descs[stage->number], list_length(stage->columns),
							   run->delta_rows);
	execute(flow, variant, pgt_apply_rows_receiver(sink));
	finish_stream(run, relevant);
	pgt_apply_net_finish(sink, put_derived_change, flow);
	MemoryContextSwitchTo(flow->cxt);
	publish_stage_changes(flow, stage->number);
	run->rec->delta_ms += pgt_refresh_lap(run);
}

/* ---- partition stages ---- */

/* One row that was written to the storage of the stage, by attnum. */
static void
partition_emit(void *arg, Datum *values, bool *isnull, int32 weight)
{
	Flow	   *flow = (Flow *) arg;

	if (flow->stores[flow->stageno])
		put_stage_change(flow, values, isnull, weight);
	if (flow->map)
		put_mapped(flow, values, isnull, weight);
	if (flow->writer && flow->run->m->partitions[flow->stageno]->relid == flow->run->m->relid)
		pgt_cdc_writer_put(flow->writer, values, isnull, weight);
}

/* The keys of what changed, as ephemeral relation; NULL if nothing did. */
static PartitionKeys *
find_partitions(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	PartitionKeys *keys = pgt_refresh_partition_keys_begin(run->m->partitions[stage->number]);
	Variant    *variant = get_change_variant(flow, stage->number, relevant);

	execute(flow, variant, pgt_refresh_partition_keys_receiver(keys));
	finish_stream(run, relevant);
	run->rec->delta_ms += pgt_refresh_lap(run);
	if (keys->count == 0)
	{
		pgt_refresh_partition_keys_end(keys);
		return NULL;
	}
	pgt_refresh_register_changes(PGT_DELTA_KEYS_NAME, keys->desc, keys->store, keys->count);
	return keys;
}

/* The first rows in some order: merges the changes, and feeds what that gives to the sink. */
static FirstRowsOutcome
merge_first_rows(Flow *flow, const Stage *stage, const Bitmapset *relevant, RowSink *sink)
{
	RefreshRun *run = flow->run;
	Variant    *variant = get_change_variant(flow, stage->number, relevant);
	TupleDesc	desc = pgt_refresh_stage_desc(stage, run->m->def->weight_name);
	RowSink    *net = pgt_apply_net_begin(desc, list_length(stage->columns), 0);
	FirstRows  *first;
	FirstRowsOutcome outcome;

	execute(flow, variant, pgt_apply_rows_receiver(net));
	finish_stream(run, relevant);
	run->rec->delta_ms += pgt_refresh_lap(run);
	first = pgt_refresh_first_rows_begin(stage, &run->m->stage_rows[stage->number], run->snapshot);
	pgt_apply_net_finish(net, pgt_refresh_first_rows_change, first);
	outcome = pgt_refresh_first_rows_finish(first, sink);
	MemoryContextSwitchTo(flow->cxt);
	run->rec->apply_ms += pgt_refresh_lap(run);
	return outcome;
}

/* Computes the stage, or the partitions with these keys, from the current tables. */
static void
recompute_partitions(Flow *flow, const Stage *stage, const PartitionKeys *keys, RowSink *sink)
{
	RefreshRun *run = flow->run;
	bool		planned;
	Variant    *variant = pgt_maintenance_variant(run->m, keys ? PGT_VARIANT_RESCAN : PGT_VARIANT_CONTENT,
												  stage->number, NULL, keys && keys->has_null, false,
												  keys ? pgt_maintenance_bucket(keys->count) : 0,
												  &planned);

	run->planned |= planned;
	run->rec->plan_ms += pgt_refresh_lap(run);
	execute(flow, variant, pgt_apply_rows_receiver_plain(sink));
	run->rec->delta_ms += pgt_refresh_lap(run);
}

static void
put_net(void *arg, Datum *values, bool *isnull, int32 weight)
{
	pgt_apply_rows_put((RowSink *) arg, values, isnull, weight);
}

/* WITH RECURSIVE: follows the changes, or computes it again where that is too dear. */
static void
refresh_recursion(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	RowTarget  *target = &run->m->stage_rows[stage->number];
	RowSink    *out = NULL;
	RowSink    *sink = NULL;
	ApplyStats	stats = {0};	/* the history counts rows of the stream table */
	bool		done;

	open_outputs(flow, stage);
	if (stage->is_union)
	{
		out = pgt_apply_net_begin(pgt_refresh_stage_desc(stage, run->m->def->weight_name),
								  list_length(stage->columns), 0);
		done = pgt_refresh_recursion_as_set(run, stage, relevant, out);
	}
	else
	{
		sink = pgt_apply_rows_begin(target, run->snapshot, 0);
		done = pgt_refresh_recursion_by_depth(run, stage, relevant, sink);
	}
	MemoryContextSwitchTo(flow->cxt);
	if (!done)
	{
		if (sink == NULL)
			sink = pgt_apply_rows_begin(target, run->snapshot, 0);
		pgt_apply_rows_subtract_stored(sink);
		recompute_partitions(flow, stage, NULL, sink);
	}
	if (sink)
		pgt_apply_rows_finish(sink, out ? put_net : partition_emit, out ? (void *) out : flow,
							  &stats);
	if (out)
		pgt_apply_net_finish(out, partition_emit, flow);
	MemoryContextSwitchTo(flow->cxt);
	publish_stage_changes(flow, stage->number);
	finish_map(flow);
	run->rec->apply_ms += pgt_refresh_lap(run);
}

/*
 * Recomputes the partitions that the changes touch and compares them with what
 * is stored for these keys.
 */
static void
refresh_partition_stage(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	PartitionKeys *keys = NULL;
	RowSink    *sink;
	ApplyStats	stats = {0};
	FirstRowsOutcome first = PGT_FIRST_UNKNOWN;

	if (stage->recursive)
	{
		refresh_recursion(flow, stage, relevant);
		return;
	}
	if (stage->nkeys > 0 && !pgt_delta_reaches_all(&run->m->delta, stage->number, flow->changed))
	{
		keys = find_partitions(flow, stage, relevant);
		if (keys == NULL)
			return;
	}
	sink = pgt_apply_rows_begin(&run->m->stage_rows[stage->number], run->snapshot, 0);
	if (keys)
		pgt_apply_rows_subtract_keys(sink, keys->store, keys->desc);
	else
		pgt_apply_rows_subtract_stored(sink);
	if (stage->order != NIL)
		first = merge_first_rows(flow, stage, relevant, sink);
	if (first == PGT_FIRST_UNCHANGED)
		return;
	if (first == PGT_FIRST_UNKNOWN)
		recompute_partitions(flow, stage, keys, sink);

	open_outputs(flow, stage);
	pgt_apply_rows_finish(sink, partition_emit, flow, &stats);
	MemoryContextSwitchTo(flow->cxt);
	if (OidIsValid(stage->copy_of))
	{
		run->polled_rows += stats.inserted + stats.deleted + 2 * stats.updated;
		run->rec->delta_row_count = (int64) run->delta_rows + run->polled_rows;
	}
	/* the history counts rows of the stream table, not of hidden tables */
	if (stage != llast(run->m->def->stages))
		stats.inserted = stats.updated = stats.deleted = stats.unchanged = 0;
	pgt_refresh_add_stats(&run->stats, &stats);
	if (keys)
	{
		SPI_unregister_relation(PGT_DELTA_KEYS_NAME);
		pgt_refresh_partition_keys_end(keys);
	}
	publish_stage_changes(flow, stage->number);
	finish_map(flow);
	run->rec->apply_ms += pgt_refresh_lap(run);
}

static void
refresh_rows_stage(Flow *flow, const Stage *stage, const Bitmapset *relevant)
{
	RefreshRun *run = flow->run;
	Variant    *variant = get_change_variant(flow, stage->number, relevant);
	RowSink    *sink;
	ApplyStats	stats = {0};

	sink = pgt_apply_rows_begin(&run->m->rows, run->snapshot, run->delta_rows);
	if (run->append)
		(void) pgt_apply_rows_append(sink, flow->writer ? row_emit : NULL, flow->writer);
	execute(flow, variant, pgt_apply_rows_receiver(sink));
	finish_stream(run, relevant);
	run->rec->delta_ms += pgt_refresh_lap(run);
	pgt_apply_rows_finish(sink, flow->writer ? row_emit : NULL, flow->writer, &stats);
	MemoryContextSwitchTo(flow->cxt);
	pgt_refresh_add_stats(&run->stats, &stats);
	run->rec->apply_ms += pgt_refresh_lap(run);
}

/* ---- the refresh ---- */

/* Settings that shape the plans and their memory; inside the pinned environment. */
static void
set_planner_environment(RefreshRun *run)
{
	double		bytes = 0;
	int			kb;

	if (pgt_merge_planner_hints)
		pgt_refresh_set_costs(run->m);
	for (int i = 0; i < list_length(run->m->def->sources); i++)
		if (run->sets[i])
			bytes += run->sets[i]->bytes;
	if (run->stream)
		bytes = run->delta_rows * STREAMED_ROW_BYTES;
	/* large deltas: room for twice their size, within the configured range */
	if (bytes < 1024.0 * 1024.0)
		return;
	kb = (int) Min(Max(bytes * 2 / 1024.0, 1024.0 * pgt_merge_work_mem_mb),
				   1024.0 * pgt_merge_work_mem_max_mb);
	if (kb > work_mem)
	{
		char		text[32];

		snprintf(text, sizeof(text), "%dkB", kb);
		pgt_env_set("work_mem", text);
	}
}

void
pgt_refresh_differential(RefreshRun *run)
{
	Flow		flow = {0};
	int			nstages = list_length(run->m->def->stages);
	ListCell   *lc;

	flow.run = run;
	flow.cxt = CurrentMemoryContext;
	flow.stores = (Tuplestorestate **) palloc0(sizeof(Tuplestorestate *) * nstages);
	flow.descs = (TupleDesc *) palloc0(sizeof(TupleDesc) * nstages);
	set_planner_environment(run);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(flow.cxt);
	register_sources(&flow);
	if (pgt_merge_planner_hints)
		(void) pgt_refresh_set_statistics(run->m);
	/* from now on nobody can begin to read our changes without our knowing */
	LockRelationOid(run->st->relid, RowExclusiveLock);
	flow.writer = pgt_cdc_writer_begin(run->st->relid);
	foreach(lc, run->m->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		Bitmapset  *relevant;

		if (stage->is_map)
			continue;			/* done with the stage before */
		relevant = pgt_delta_relevant(&run->m->delta, stage->number, flow.changed);
		if (bms_is_empty(relevant))
			continue;
		if (stage->number > 0)
			pgt_refresh_next_command(run);
		if (stage->head == PGT_HEAD_GROUP)
			refresh_group_stage(&flow, stage, relevant);
		else if (stage->head == PGT_HEAD_PARTITION)
			refresh_partition_stage(&flow, stage, relevant);
		else if (stage->derived)
			refresh_derived_stage(&flow, stage, relevant);
		else
			refresh_rows_stage(&flow, stage, relevant);
	}
	if (flow.writer)
		pgt_cdc_writer_end(flow.writer);
	for (int i = 0; i < nstages; i++)
		if (flow.stores[i])
			tuplestore_end(flow.stores[i]);
	SPI_finish();
	pgt_refresh_set_stream(NULL, NULL);
	(void) pgt_refresh_set_statistics(NULL);
	if (run->stream)
		pgt_cdc_stream_close(run->stream);
	MemoryContextSwitchTo(flow.cxt);
}
