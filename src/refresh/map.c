/*-------------------------------------------------------------------------
 *
 * map.c
 *	  HAVING and the select list over the rows of a group stage, in C.
 *
 * The last stage of "SELECT expressions over aggregates ... HAVING ..." only
 * filters and projects the changed groups, of which there are few: evaluating
 * its expressions here saves a statement.
 *
 * IDENTIFICATION
 *	  src/refresh/map.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "refresh_internal.h"

struct StageMap
{
	EState	   *estate;
	ExprContext *econtext;
	TupleTableSlot *slot;		/* row of the group stage */
	ExprState  *qual;
	int			ncolumns;
	ExprState **exprs;
	Datum	   *values;
	bool	   *isnull;
};

StageMap *
pgt_refresh_map_begin(const QueryBlock *block, Oid storage)
{
	StageMap   *map = (StageMap *) palloc0(sizeof(StageMap));
	Relation	rel = table_open(storage, AccessShareLock);
	MemoryContext old;
	ListCell   *lc;

	map->estate = CreateExecutorState();
	old = MemoryContextSwitchTo(map->estate->es_query_cxt);
	map->econtext = GetPerTupleExprContext(map->estate);
	map->slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)),
										 &TTSOpsVirtual);
	table_close(rel, NoLock);
	if (block->quals != NIL)
		map->qual = ExecInitQual((List *) expression_planner((Expr *) copyObject(block->quals)), NULL);
	map->ncolumns = list_length(block->tlist);
	map->exprs = (ExprState **) palloc(sizeof(ExprState *) * map->ncolumns);
	map->values = (Datum *) palloc(sizeof(Datum) * map->ncolumns);
	map->isnull = (bool *) palloc(sizeof(bool) * map->ncolumns);
	foreach(lc, block->tlist)
		map->exprs[foreach_current_index(lc)] =
			ExecInitExpr(expression_planner((Expr *) copyObject(lfirst(lc))), NULL);
	MemoryContextSwitchTo(old);
	return map;
}

bool
pgt_refresh_map_row(StageMap *map, Datum *values, bool *isnull,
					Datum **out_values, bool **out_isnull)
{
	TupleTableSlot *slot = map->slot;
	int			natts = slot->tts_tupleDescriptor->natts;

	ResetExprContext(map->econtext);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	map->econtext->ecxt_scantuple = slot;
	if (map->qual && !ExecQual(map->qual, map->econtext))
		return false;
	for (int i = 0; i < map->ncolumns; i++)
		map->values[i] = ExecEvalExprSwitchContext(map->exprs[i], map->econtext,
												   &map->isnull[i]);
	*out_values = map->values;
	*out_isnull = map->isnull;
	return true;
}

void
pgt_refresh_map_end(StageMap *map)
{
	ExecDropSingleTupleTableSlot(map->slot);
	FreeExecutorState(map->estate);
}
