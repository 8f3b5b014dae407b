/*-------------------------------------------------------------------------
 *
 * full.c
 *	  Full refresh: recompute, then reconcile or replace.
 *
 * Reconcile compares the recomputed rows with the stored ones and writes the
 * differences only: readers are not blocked, and stream tables that read this one get
 * an exact delta.  Replace writes the rows into a new file and builds the indexes
 * afterwards, which is two to three times faster when most rows change; it
 * needs AccessExclusiveLock, taken only if it is free, and tells readers of
 * the change buffer to recompute.
 *
 * IDENTIFICATION
 *	  src/refresh/full.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pgtrickle/env.h"
#include "refresh_internal.h"

/* From this expected share of changed rows on, replacing is cheaper. */
#define REPLACE_THRESHOLD	0.15
#define REPLACE_MIN_BLOCKS	8

/* New content of one table, written either way. */
typedef struct Content
{
	const RowTarget *target;
	SwapSink   *swap;			/* replace */
	RowSink    *rows;			/* reconcile */
	Datum	   *values;			/* room for one row in column order */
	bool	   *isnull;
} Content;

typedef struct FullFlow
{
	RefreshRun *run;
	MemoryContext cxt;
	bool		replace;
	ChangeWriter *writer;
	Content    *stage;			/* storage of the group stage being computed */
	Content    *table;			/* the stream table */
	StageMap   *map;
} FullFlow;

/*
 * A new file needs the lock at once and nobody, not even a cursor of this
 * session, in the middle of a scan; and rows must not have to pass through user
 * triggers.
 */
static bool
can_replace(Oid relid)
{
	Relation	rel;
	bool		in_use;

	if (pgt_apply_has_user_triggers(relid) ||
		!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	rel = table_open(relid, NoLock);
	in_use = rel->rd_refcnt > 1;
	table_close(rel, NoLock);
	return !in_use;
}

static Content *
content_begin(FullFlow *flow, const RowTarget *target)
{
	Content    *content = (Content *) palloc0(sizeof(Content));

	content->target = target;
	if (flow->replace)
		content->swap = pgt_apply_swap_begin(target);
	else
		content->rows = pgt_apply_rows_begin(target, flow->run->snapshot, 0);
	content->values = (Datum *) palloc(sizeof(Datum) * target->ncolumns);
	content->isnull = (bool *) palloc(sizeof(bool) * target->ncolumns);
	return content;
}

static DestReceiver *
content_receiver(Content *content)
{
	return content->swap ? pgt_apply_swap_receiver(content->swap) :
		pgt_apply_rows_receiver_plain(content->rows);
}

/* values in column order */
static void
content_put(Content *content, Datum *values, bool *isnull)
{
	if (content->swap)
		pgt_apply_swap_put(content->swap, values, isnull);
	else
		pgt_apply_rows_put(content->rows, values, isnull, 1);
}

/* values by attnum */
static void
content_put_attributes(Content *content, Datum *values, bool *isnull)
{
	for (int i = 0; i < content->target->ncolumns; i++)
	{
		int			attribute = content->target->attnums[i] - 1;

		content->values[i] = values[attribute];
		content->isnull[i] = isnull[attribute];
	}
	content_put(content, content->values, content->isnull);
}

static void
emit_change(void *arg, Datum *values, bool *isnull, int32 weight)
{
	pgt_cdc_writer_put((ChangeWriter *) arg, values, isnull, weight);
}

static void
content_finish(FullFlow *flow, Content *content, bool is_stream_table)
{
	ApplyStats	stats = {0};
	ChangeWriter *writer = is_stream_table ? flow->writer : NULL;

	if (content->swap)
	{
		pgt_apply_swap_finish(content->swap, &stats);
		if (writer)
			pgt_cdc_writer_put_void(writer);
	}
	else
	{
		pgt_apply_rows_subtract_stored(content->rows);
		pgt_apply_rows_finish(content->rows, writer ? emit_change : NULL, writer, &stats);
	}
	MemoryContextSwitchTo(flow->cxt);
	if (is_stream_table)
		pgt_refresh_add_stats(&flow->run->stats, &stats);
}

/* One absolute row of a group stage, by storage attnum. */
static void
put_group(void *arg, Datum *values, bool *isnull)
{
	FullFlow   *flow = (FullFlow *) arg;
	Datum	   *out;
	bool	   *outnull;

	content_put_attributes(flow->stage, values, isnull);
	if (flow->map && pgt_refresh_map_row(flow->map, values, isnull, &out, &outnull))
		content_put(flow->table, out, outnull);
}

static void
execute(FullFlow *flow, const char *sql, DestReceiver *dest)
{
	SPIExecuteOptions options;
	int			rc;

	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = dest;
	rc = SPI_execute_extended(sql, &options);
	if (rc < 0)
		elog(ERROR, "could not execute a full refresh: %s", SPI_result_code_string(rc));
	MemoryContextSwitchTo(flow->cxt);
	flow->run->rec->delta_ms += pgt_refresh_lap(flow->run);
}

static void
compute_group_stage(FullFlow *flow, const Stage *stage)
{
	Maintenance *m = flow->run->m;
	GroupTarget *group = m->groups[stage->number];
	Stage	   *last = (Stage *) llast(m->def->stages);
	bool		is_table = group->relid == m->relid;

	flow->stage = content_begin(flow, &m->stage_rows[stage->number]);
	if (last->is_map && stage->number == last->number - 1)
	{
		flow->map = pgt_refresh_map_begin((QueryBlock *) linitial(last->blocks), group->relid);
		flow->table = content_begin(flow, &m->rows);
	}
	execute(flow, pgt_delta_current_sql(&m->delta, stage->number),
			pgt_apply_group_absolute_receiver(group, put_group, flow));
	content_finish(flow, flow->stage, is_table);
	if (flow->map)
	{
		pgt_refresh_map_end(flow->map);
		flow->map = NULL;
		content_finish(flow, flow->table, true);
	}
	flow->run->rec->apply_ms += pgt_refresh_lap(flow->run);
}

/* One row of a partition stage, in column order. */
static void
put_row(void *arg, Datum *values, bool *isnull)
{
	FullFlow   *flow = (FullFlow *) arg;
	Datum	   *out;
	bool	   *outnull;

	content_put(flow->stage, values, isnull);
	if (flow->map && pgt_refresh_map_row(flow->map, values, isnull, &out, &outnull))
		content_put(flow->table, out, outnull);
}

static void
compute_partition_stage(FullFlow *flow, const Stage *stage)
{
	Maintenance *m = flow->run->m;
	Oid			relid = m->delta.stage_relids[stage->number];
	Stage	   *last = (Stage *) llast(m->def->stages);

	flow->stage = content_begin(flow, &m->stage_rows[stage->number]);
	if (last->is_map && stage->number == last->number - 1)
	{
		flow->map = pgt_refresh_map_begin((QueryBlock *) linitial(last->blocks), relid);
		flow->table = content_begin(flow, &m->rows);
	}
	execute(flow, pgt_delta_current_sql(&m->delta, stage->number),
			pgt_refresh_row_receiver(put_row, flow));
	content_finish(flow, flow->stage, relid == m->relid);
	if (flow->map)
	{
		pgt_refresh_map_end(flow->map);
		flow->map = NULL;
		content_finish(flow, flow->table, true);
	}
	flow->run->rec->apply_ms += pgt_refresh_lap(flow->run);
}

static void
compute_rows(FullFlow *flow, const char *sql)
{
	Content    *content = content_begin(flow, &flow->run->m->rows);

	execute(flow, sql, content_receiver(content));
	content_finish(flow, content, true);
	flow->run->rec->apply_ms += pgt_refresh_lap(flow->run);
}

/* What somebody else has computed. */
static void
store_result(FullFlow *flow)
{
	RefreshRun *run = flow->run;
	Content    *content = content_begin(flow, &run->m->rows);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(run->result_desc, &TTSOpsMinimalTuple);

	tuplestore_rescan(run->result);
	while (tuplestore_gettupleslot(run->result, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		content_put(content, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
	content_finish(flow, content, true);
	run->rec->apply_ms += pgt_refresh_lap(run);
}

/* A new file costs more than the few rows of such a table ever do. */
static bool
is_small(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, NoLock);
	return blocks > 0 && blocks <= REPLACE_MIN_BLOCKS;
}

static bool
decide_replace(RefreshRun *run, double expected_change)
{
	Maintenance *m = run->m;

	if (run->st->is_populated &&
		(expected_change < REPLACE_THRESHOLD || is_small(m->relid)))
		return false;
	if (!can_replace(m->relid))
		return false;
	for (int i = 0; m->def && i < list_length(m->def->stages); i++)
		if (OidIsValid(m->stage_rows[i].relid) && m->stage_rows[i].relid != m->relid &&
			!can_replace(m->stage_rows[i].relid))
			return false;
	return true;
}

/*
 * Members of a cycle know of each other's changes without reading them: they are
 * refreshed together, and never because one of them has changed.
 */
static ChangeWriter *
begin_writer(RefreshRun *run)
{
	bool		needed = run->peers == NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, needed ? NIL : pgt_catalog_list_consumers(run->st->relid))
	{
		bool		is_peer = false;

		foreach(lc2, run->peers)
			is_peer |= ((StreamTable *) lfirst(lc2))->pgt_id == ((Dependency *) lfirst(lc))->pgt_id;
		needed |= !is_peer;
	}
	return needed ? pgt_cdc_writer_begin(run->st->relid) : NULL;
}

/* expected_change: share of the rows that are believed to have changed, 0 .. 1. */
void
pgt_refresh_full(RefreshRun *run, double expected_change)
{
	FullFlow	flow = {0};
	Maintenance *m = run->m;
	ListCell   *lc;

	flow.run = run;
	flow.cxt = CurrentMemoryContext;
	flow.replace = decide_replace(run, expected_change);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(flow.cxt);
	/* from now on nobody can begin to read our changes without our knowing */
	LockRelationOid(run->st->relid, RowExclusiveLock);
	flow.writer = begin_writer(run);
	if (run->result)
		store_result(&flow);
	else if (m->def == NULL)
		compute_rows(&flow, psprintf("SELECT * FROM %s",
									 pgt_quoted_relation_name(run->st->definition)));
	else
	{
		foreach(lc, m->def->stages)
		{
			Stage	   *stage = (Stage *) lfirst(lc);

			if (stage->is_map || stage->derived)
				continue;
			if (stage->number > 0)
				pgt_refresh_next_command(run);
			if (stage->head == PGT_HEAD_GROUP)
				compute_group_stage(&flow, stage);
			else if (stage->head == PGT_HEAD_PARTITION)
				compute_partition_stage(&flow, stage);
			else
				compute_rows(&flow, pgt_delta_current_sql(&m->delta, stage->number));
		}
	}
	if (flow.writer)
		pgt_cdc_writer_end(flow.writer);
	SPI_finish();
	MemoryContextSwitchTo(flow.cxt);
}
