/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Writing rows of a stream table or stage table.
 *
 * Rows are looked up by an index (or fetched by TID), updated and deleted one
 * by one, and inserted in batches.  All indexes, constraints and triggers are
 * served, like ExecSimpleRelationInsert() and its siblings do; but what the
 * relation does not have costs nothing.
 *
 * Triggers.  One writer is one query level of the trigger machinery, as a
 * MERGE is: BEFORE STATEMENT triggers fire before the first row of their kind,
 * AFTER ROW and AFTER STATEMENT triggers (with transition tables) when the
 * writer is closed, and only for kinds that occurred.  Our own guard trigger,
 * which refuses direct DML, is taken out of the writer's copy of the trigger
 * list.  A BEFORE ROW trigger may change or suppress a row as usual; what was
 * really written is told to emit.
 *
 * Rows written here get a command id that the writer's snapshot does not see,
 * so scans by that snapshot never meet them.
 *
 * IDENTIFICATION
 *	  src/refresh/writer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "optimizer/plancat.h"
#include "parser/parse_relation.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/compat_exec.h"
#include "pgtrickle/env.h"

#include "apply_internal.h"

#define KIND_BIT(cmd) (1 << (int) (cmd))

/* ---------------------------------------------------------------- opening */

/*
 * The executor state for one result relation.  updated: columns that updates
 * may change, for column triggers and for hints to indexes; attnums.
 */
static EState *
create_estate(Relation rel, Bitmapset *updated, Snapshot snapshot)
{
	EState	   *estate = CreateExecutorState();
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *perminfos = NIL;
	Bitmapset  *columns = NULL;
	int			attnum = -1;

	while ((attnum = bms_next_member(updated, attnum)) >= 0)
		columns = bms_add_member(columns, attnum - FirstLowInvalidHeapAttributeNumber);
	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	pgt_add_updated_columns(rte, &perminfos, columns);
	ExecInitRangeTable(estate, list_make1(rte), perminfos, bms_make_singleton(1));
	estate->es_output_cid = GetCurrentCommandId(true);
	estate->es_snapshot = snapshot;
	return estate;
}

bool
pgt_writer_is_guard(Oid function)
{
	return function == pgt_own_function("guard_stream_table");
}

/* Takes our guard out of a copy of a trigger list. */
static void
remove_guard(TriggerDesc *triggers)
{
	int			kept = 0;
	bool		before[3] = {false, false, false};

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) ||
			!TRIGGER_FOR_BEFORE(trigger->tgtype) ||
			!pgt_writer_is_guard(trigger->tgfoid))
		{
			if (!TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype))
			{
				before[0] |= TRIGGER_FOR_INSERT(trigger->tgtype) != 0;
				before[1] |= TRIGGER_FOR_UPDATE(trigger->tgtype) != 0;
				before[2] |= TRIGGER_FOR_DELETE(trigger->tgtype) != 0;
			}
			triggers->triggers[kept++] = *trigger;
		}
	}
	triggers->numtriggers = kept;
	triggers->trig_insert_before_statement = before[0];
	triggers->trig_update_before_statement = before[1];
	triggers->trig_delete_before_statement = before[2];
}

static void
look_at_triggers(RelWriter *w)
{
	TriggerDesc *t = w->rri->ri_TrigDesc;

	if (t == NULL)
		return;
	if (t->trig_insert_before_statement || t->trig_update_before_statement ||
		t->trig_delete_before_statement)
		remove_guard(t);
	if (t->numtriggers == 0)
	{
		w->rri->ri_TrigDesc = NULL;
		return;
	}
	w->triggers = true;
	AfterTriggerBeginQuery();
	w->capture = MakeTransitionCaptureState(t, RelationGetRelid(w->rel), CMD_MERGE);
	w->row_insert = t->trig_insert_before_row || t->trig_insert_after_row ||
		t->trig_insert_new_table;
	w->row_update = t->trig_update_before_row || t->trig_update_after_row ||
		t->trig_update_old_table || t->trig_update_new_table;
	w->row_delete = t->trig_delete_before_row || t->trig_delete_after_row ||
		t->trig_delete_old_table;
}

static void
find_key_columns(RelWriter *w)
{
	List	   *columns = pgt_key_hash_columns(w->index);
	ListCell   *lc;

	w->nkeys = columns != NIL ? list_length(columns) : w->nseek;
	w->keys = palloc(sizeof(AttrNumber) * w->nkeys);
	for (int i = 0; columns == NIL && i < w->nkeys; i++)
		w->keys[i] = w->index_info->ii_IndexAttrNumbers[i];
	foreach(lc, columns)
		w->keys[foreach_current_index(lc)] = lfirst_int(lc);
	if (columns != NIL)
		w->hashed = pgt_key_lookup_create(columns, CreateTupleDescCopy(RelationGetDescr(w->rel)));
}

static void
open_lookup(RelWriter *w, Oid index)
{
	int			n;

	w->index = index_open(index, RowExclusiveLock);
	w->index_info = BuildIndexInfo(w->index);
	n = w->nseek = IndexRelationGetNumberOfKeyAttributes(w->index);
	w->seek = palloc0(sizeof(ScanKeyData) * n);
	find_key_columns(w);
	for (int i = 0; i < n; i++)
	{
		Oid			type = w->index->rd_opcintype[i];
		Oid			equal = get_opfamily_member(w->index->rd_opfamily[i], type, type,
												BTEqualStrategyNumber);

		if (!OidIsValid(equal))
			elog(ERROR, "no equality operator for column %d of index \"%s\"",
				 i + 1, RelationGetRelationName(w->index));
		ScanKeyEntryInitialize(&w->seek[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   w->index->rd_indcollation[i], get_opcode(equal), (Datum) 0);
	}
	w->scan = index_beginscan(w->rel, w->index, w->snapshot, NULL, n, 0);
}

/*
 * index: to look rows up by, or InvalidOid.  key_attnums: columns that updates
 * never change.  Takes and keeps RowExclusiveLock.
 */
RelWriter *
pgt_writer_open(Oid relid, Oid index, Bitmapset *key_attnums, Snapshot snapshot)
{
	RelWriter  *w = palloc0(sizeof(RelWriter));
	Bitmapset  *updated = NULL;

	w->rel = table_open(relid, RowExclusiveLock);
	w->cxt = CurrentMemoryContext;
	w->snapshot = snapshot;
	w->cid = GetCurrentCommandId(true);
	w->desc = CreateTupleDescCopyConstr(RelationGetDescr(w->rel));
	for (int i = 1; i <= w->desc->natts; i++)
		if (!bms_is_member(i, key_attnums))
			updated = bms_add_member(updated, i);
	w->estate = create_estate(w->rel, updated, snapshot);
	w->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(w->rri, w->rel, 1, NULL, 0);
	look_at_triggers(w);
	ExecOpenIndices(w->rri, false);
	for (int i = 0; i < w->rri->ri_NumIndices; i++)
	{
		Relation	rel = w->rri->ri_IndexRelationDescs[i];

		if (RelationGetRelid(rel) != index &&
			(rel->rd_index->indisunique || rel->rd_index->indisexclusion))
			w->other_unique = true;
	}
	EvalPlanQualInit(&w->epq, w->estate, NULL, NIL, -1, NIL);
	w->constraints = w->rel->rd_att->constr != NULL &&
		(w->rel->rd_att->constr->has_not_null || w->rel->rd_att->constr->num_check > 0);
	w->cur = table_slot_create(w->rel, NULL);
	w->row = MakeSingleTupleTableSlot(w->desc, &TTSOpsHeapTuple);
	w->batch_cxt = AllocSetContextCreate(w->cxt, "pg_trickle insert batch",
										 ALLOCSET_DEFAULT_SIZES);
	if (OidIsValid(index))
		open_lookup(w, index);
	return w;
}

/* Writes what is pending, fires AFTER triggers, frees everything but *w. */
void
pgt_writer_close(RelWriter *w)
{
	pgt_writer_flush(w);
	if (w->scan != NULL)
	{
		index_endscan(w->scan);
		index_close(w->index, NoLock);
	}
	if (w->triggers)
	{
		if (w->begun & KIND_BIT(CMD_DELETE))
			ExecASDeleteTriggers(w->estate, w->rri, w->capture);
		if (w->begun & KIND_BIT(CMD_UPDATE))
			ExecASUpdateTriggers(w->estate, w->rri, w->capture);
		if (w->begun & KIND_BIT(CMD_INSERT))
			ExecASInsertTriggers(w->estate, w->rri, w->capture);
		AfterTriggerEndQuery(w->estate);
	}
	ExecDropSingleTupleTableSlot(w->cur);
	ExecDropSingleTupleTableSlot(w->row);
	for (int i = 0; i < w->nbatch_slots; i++)
		ExecDropSingleTupleTableSlot(w->batch[i]);
	MemoryContextDelete(w->batch_cxt);
	EvalPlanQualEnd(&w->epq);
	ExecCloseIndices(w->rri);
	ExecCloseResultRelations(w->estate);
	ExecCloseRangeTableRelations(w->estate);
	ExecResetTupleTable(w->estate->es_tupleTable, false);
	FreeExecutorState(w->estate);
	table_close(w->rel, NoLock);
}

/* ---------------------------------------------------------------- looking up */

/*
 * Looks up rows by the values of the writer's keys, NULLs equal.  The scan runs in
 * the writer's own context: btree allocates lazily in the current one.
 */
void
pgt_writer_seek(RelWriter *w, Datum *values, bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(w->cxt);
	Datum		hash;
	bool		hash_null;

	if (w->hashed)
	{
		TupleTableSlot *probe = pgt_key_lookup_probe(w->hashed, values, isnull);

		GetPerTupleExprContext(w->estate)->ecxt_scantuple = probe;
		FormIndexDatum(w->index_info, probe, w->estate, &hash, &hash_null);
		values = &hash;
		isnull = &hash_null;
	}
	for (int i = 0; i < w->nseek; i++)
	{
		w->seek[i].sk_argument = values[i];
		w->seek[i].sk_flags = isnull[i] ? (SK_SEARCHNULL | SK_ISNULL) : 0;
	}
	index_rescan(w->scan, w->seek, w->nseek, NULL, 0);
	MemoryContextSwitchTo(old);
}

bool
pgt_writer_next(RelWriter *w)
{
	MemoryContext old = MemoryContextSwitchTo(w->cxt);
	bool		found;

	do
		found = index_getnext_slot(w->scan, ForwardScanDirection, w->cur);
	while (found && w->hashed && !pgt_key_lookup_matches(w->hashed, w->cur));

	MemoryContextSwitchTo(old);
	return found;
}

bool
pgt_writer_fetch(RelWriter *w, ItemPointer tid)
{
	return table_tuple_fetch_row_version(w->rel, tid, w->snapshot, w->cur);
}

double
pgt_writer_estimate_rows(RelWriter *w)
{
	BlockNumber pages;
	double		tuples;
	double		visible;

	estimate_rel_size(w->rel, NULL, &pages, &tuples, &visible);
	return tuples;
}

/* ---------------------------------------------------------------- writing */

/*
 * Once per kind: replica identity, BEFORE STATEMENT triggers.  Triggers are
 * called in the executor's context, as functions cache things in the current one.
 */
static void
begin_kind(RelWriter *w, CmdType cmd)
{
	MemoryContext old;

	w->begun |= KIND_BIT(cmd);
	CheckCmdReplicaIdentity(w->rel, cmd);
	if (!w->triggers)
		return;
	old = MemoryContextSwitchTo(w->estate->es_query_cxt);
	switch (cmd)
	{
		case CMD_INSERT:
			ExecBSInsertTriggers(w->estate, w->rri);
			break;
		case CMD_UPDATE:
			ExecBSUpdateTriggers(w->estate, w->rri);
			break;
		case CMD_DELETE:
			ExecBSDeleteTriggers(w->estate, w->rri);
			break;
		default:
			elog(ERROR, "unexpected command type %d", (int) cmd);
	}
	MemoryContextSwitchTo(old);
}

static inline void
ensure_begun(RelWriter *w, CmdType cmd)
{
	if (unlikely((w->begun & KIND_BIT(cmd)) == 0))
		begin_kind(w, cmd);
}

/*
 * Values are handed on whole: a TOAST pointer into the row being removed would
 * not outlive it.
 */
static void
emit_slot(RelWriter *w, TupleTableSlot *slot, int32 weight)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(w->estate));
	Datum	   *values;

	slot_getallattrs(slot);
	values = slot->tts_values;
	for (int i = 0; i < w->desc->natts; i++)
	{
		if (TupleDescAttr(w->desc, i)->attlen == -1 && !slot->tts_isnull[i] &&
			VARATT_IS_EXTERNAL(DatumGetPointer(slot->tts_values[i])))
		{
			if (values == slot->tts_values)
			{
				values = palloc(sizeof(Datum) * w->desc->natts);
				memcpy(values, slot->tts_values, sizeof(Datum) * w->desc->natts);
			}
			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
		}
	}
	MemoryContextSwitchTo(old);
	w->emit(w->emit_arg, values, slot->tts_isnull, weight);
}

/*
 * The slot shows a tuple that is not its own, yet looks materialised: the
 * table access method would copy it otherwise.
 */
static inline void
lend_tuple(TupleTableSlot *slot, HeapTuple tuple)
{
	ExecStoreHeapTuple(tuple, slot, false);
	slot->tts_flags |= TTS_FLAG_SHOULDFREE;
}

static inline void
take_back_tuple(TupleTableSlot *slot)
{
	slot->tts_flags &= ~TTS_FLAG_SHOULDFREE;
	ExecClearTuple(slot);
}

/* The ..._with_triggers functions run in the executor's context. */
static void
update_with_triggers(RelWriter *w, TupleTableSlot *slot)
{
	ItemPointerData tid = w->cur->tts_tid;
	TriggerDesc *t = w->rri->ri_TrigDesc;
	TU_UpdateIndexes update_indexes;
	List	   *recheck = NIL;

	if (t->trig_update_before_row)
	{
		TM_FailureData failure;
		TM_Result	result pg_attribute_unused();

		if (!ExecBRUpdateTriggers(w->estate, &w->epq, w->rri, &tid, NULL, slot,
								  &result, &failure, false))
			return;				/* suppressed */
	}
	if (w->constraints)
		ExecConstraints(w->rri, slot, w->estate);
	if (w->rel->rd_rel->relispartition)
		ExecPartitionCheck(w->rri, slot, w->estate, true);
	simple_table_tuple_update(w->rel, &tid, slot, w->snapshot, &update_indexes);
	if (w->rri->ri_NumIndices > 0 && update_indexes != TU_None)
		recheck = ExecInsertIndexTuples(w->rri, slot, w->estate, true, false, NULL, NIL,
										update_indexes == TU_Summarizing);
	ExecARUpdateTriggers(w->estate, w->rri, NULL, NULL, &tid, NULL, slot, recheck,
						 w->capture, false);
	list_free(recheck);
	w->updated++;
	if (w->emit != NULL)
	{
		emit_slot(w, w->cur, -1);
		emit_slot(w, slot, 1);
	}
}

/* slot: the new row, in w->row. */
static void
update_row(RelWriter *w, TupleTableSlot *slot)
{
	TU_UpdateIndexes update_indexes;

	if (w->constraints)
		ExecConstraints(w->rri, slot, w->estate);
	if (w->rel->rd_rel->relispartition)
		ExecPartitionCheck(w->rri, slot, w->estate, true);
	if (w->emit != NULL)
		emit_slot(w, w->cur, -1);
	simple_table_tuple_update(w->rel, &w->cur->tts_tid, slot, w->snapshot,
							  &update_indexes);
	if (w->rri->ri_NumIndices > 0 && update_indexes != TU_None)
		ExecInsertIndexTuples(w->rri, slot, w->estate, true, false, NULL, NIL,
							  update_indexes == TU_Summarizing);
	w->updated++;
	if (w->emit != NULL)
		emit_slot(w, slot, 1);
}

void
pgt_writer_update_image(RelWriter *w, RowImage *image)
{
	ensure_begun(w, CMD_UPDATE);
	if (w->row_update)
	{
		MemoryContext old = MemoryContextSwitchTo(w->estate->es_query_cxt);

		pgt_image_store(image, &w->row_tuple, w->row);
		update_with_triggers(w, w->row);
		ExecClearTuple(w->row);
		MemoryContextSwitchTo(old);
	}
	else
	{
		w->row_tuple.t_len = image->len;
		w->row_tuple.t_data = &image->tuple;
		w->row_tuple.t_tableOid = RelationGetRelid(w->rel);
		lend_tuple(w->row, &w->row_tuple);
		update_row(w, w->row);
		take_back_tuple(w->row);
	}
	ResetPerTupleExprContext(w->estate);
}

/* values, isnull: by attnum - 1. */
void
pgt_writer_update_values(RelWriter *w, Datum *values, bool *isnull)
{
	HeapTuple	tuple = heap_form_tuple(w->desc, values, isnull);

	ensure_begun(w, CMD_UPDATE);
	ExecStoreHeapTuple(tuple, w->row, true);
	if (w->row_update)
	{
		MemoryContext old = MemoryContextSwitchTo(w->estate->es_query_cxt);

		update_with_triggers(w, w->row);
		MemoryContextSwitchTo(old);
	}
	else
		update_row(w, w->row);
	ExecClearTuple(w->row);
	ResetPerTupleExprContext(w->estate);
}

static void
delete_with_triggers(RelWriter *w)
{
	ItemPointerData tid = w->cur->tts_tid;

	if (w->rri->ri_TrigDesc->trig_delete_before_row &&
		!ExecBRDeleteTriggers(w->estate, &w->epq, w->rri, &tid, NULL, NULL,
							  NULL, NULL, false))
		return;					/* suppressed */
	if (w->emit != NULL)
		emit_slot(w, w->cur, -1);
	simple_table_tuple_delete(w->rel, &tid, w->snapshot);
	ExecARDeleteTriggers(w->estate, w->rri, &tid, NULL, w->capture, false);
	w->deleted++;
}

void
pgt_writer_delete(RelWriter *w)
{
	ensure_begun(w, CMD_DELETE);
	if (w->row_delete)
	{
		MemoryContext old = MemoryContextSwitchTo(w->estate->es_query_cxt);

		delete_with_triggers(w);
		MemoryContextSwitchTo(old);
	}
	else
	{
		if (w->emit != NULL)
			emit_slot(w, w->cur, -1);
		simple_table_tuple_delete(w->rel, &w->cur->tts_tid, w->snapshot);
		w->deleted++;
	}
	if (w->row_delete || w->emit != NULL)
		ResetPerTupleExprContext(w->estate);
}

/* ---------------------------------------------------------------- inserting */

static void
insert_with_triggers(RelWriter *w, TupleTableSlot *slot)
{
	TriggerDesc *t = w->rri->ri_TrigDesc;
	List	   *recheck = NIL;

	if (t->trig_insert_before_row && !ExecBRInsertTriggers(w->estate, w->rri, slot))
		return;					/* suppressed */
	if (w->constraints)
		ExecConstraints(w->rri, slot, w->estate);
	if (w->rel->rd_rel->relispartition)
		ExecPartitionCheck(w->rri, slot, w->estate, true);
	simple_table_tuple_insert(w->rel, slot);
	if (w->rri->ri_NumIndices > 0)
		recheck = ExecInsertIndexTuples(w->rri, slot, w->estate, false, false, NULL, NIL,
										false);
	ExecARInsertTriggers(w->estate, w->rri, slot, recheck, w->capture);
	list_free(recheck);
	w->inserted++;
	if (w->emit != NULL)
		emit_slot(w, slot, 1);
}

/* A slot of the batch and its tuple header; flushes when full. */
static int
next_in_batch(RelWriter *w)
{
	if (pgt_writer_batch_full(w))
		pgt_writer_flush(w);
	if (w->nbatch == w->nbatch_slots)
	{
		MemoryContext old = MemoryContextSwitchTo(w->cxt);

		if (w->batch == NULL)
		{
			w->batch = palloc(sizeof(TupleTableSlot *) * PGT_WRITER_BATCH);
			w->batch_tuples = palloc0(sizeof(HeapTupleData) * PGT_WRITER_BATCH);
		}
		w->batch[w->nbatch_slots++] = MakeSingleTupleTableSlot(w->desc, &TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	return w->nbatch++;
}

/* The tuple stays where it is until the next flush. */
static void
insert_in_batch(RelWriter *w, HeapTupleHeader data, uint32 len)
{
	int			i = next_in_batch(w);
	HeapTuple	tuple = &w->batch_tuples[i];

	w->batch_bytes += len;
	tuple->t_len = len;
	tuple->t_data = data;
	tuple->t_tableOid = RelationGetRelid(w->rel);
	ItemPointerSetInvalid(&tuple->t_self);
	lend_tuple(w->batch[i], tuple);
	if (w->constraints || w->rel->rd_rel->relispartition)
	{
		if (w->constraints)
			ExecConstraints(w->rri, w->batch[i], w->estate);
		if (w->rel->rd_rel->relispartition)
			ExecPartitionCheck(w->rri, w->batch[i], w->estate, true);
		ResetPerTupleExprContext(w->estate);
	}
	w->inserted++;
	if (w->emit != NULL)
	{
		emit_slot(w, w->batch[i], 1);
		ResetPerTupleExprContext(w->estate);
	}
}

void
pgt_writer_insert_image(RelWriter *w, RowImage *image)
{
	ensure_begun(w, CMD_INSERT);
	if (w->row_insert)
	{
		MemoryContext old = MemoryContextSwitchTo(w->estate->es_query_cxt);

		pgt_image_store(image, &w->row_tuple, w->row);
		insert_with_triggers(w, w->row);
		ExecClearTuple(w->row);
		ResetPerTupleExprContext(w->estate);
		MemoryContextSwitchTo(old);
	}
	else
		insert_in_batch(w, &image->tuple, image->len);
}

/* values, isnull: by attnum - 1. */
void
pgt_writer_insert_values(RelWriter *w, Datum *values, bool *isnull)
{
	HeapTuple	tuple;
	MemoryContext old;

	ensure_begun(w, CMD_INSERT);
	if (w->row_insert)
	{
		old = MemoryContextSwitchTo(w->estate->es_query_cxt);
		tuple = heap_form_tuple(w->desc, values, isnull);
		ExecStoreHeapTuple(tuple, w->row, true);
		insert_with_triggers(w, w->row);
		ExecClearTuple(w->row);
		ResetPerTupleExprContext(w->estate);
		MemoryContextSwitchTo(old);
	}
	else
	{
		/* a flush for want of space must not free the new tuple */
		if (pgt_writer_batch_full(w))
			pgt_writer_flush(w);
		old = MemoryContextSwitchTo(w->batch_cxt);
		tuple = heap_form_tuple(w->desc, values, isnull);
		MemoryContextSwitchTo(old);
		insert_in_batch(w, tuple->t_data, tuple->t_len);
	}
}

/* Writes the pending inserts and their index entries. */
void
pgt_writer_flush(RelWriter *w)
{
	MemoryContext old;

	if (w->nbatch == 0)
		return;
	old = MemoryContextSwitchTo(w->batch_cxt);
	table_multi_insert(w->rel, w->batch, w->nbatch, w->cid, 0, NULL);
	MemoryContextSwitchTo(old);
	if (w->rri->ri_NumIndices > 0)
	{
		for (int i = 0; i < w->nbatch; i++)
		{
			ExecInsertIndexTuples(w->rri, w->batch[i], w->estate, false, false, NULL,
								  NIL, false);
			ResetPerTupleExprContext(w->estate);
		}
	}
	for (int i = 0; i < w->nbatch; i++)
		take_back_tuple(w->batch[i]);
	MemoryContextReset(w->batch_cxt);
	w->nbatch = 0;
	w->batch_bytes = 0;
}
