/*-------------------------------------------------------------------------
 *
 * compat_exec.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18: scanning and writing
 *	  relations.
 *
 * Apart from compat.h because of the headers it needs: the macros have the
 * names of functions, whose declarations must have been read before.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/compat_exec.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_COMPAT_EXEC_H
#define PGTRICKLE_COMPAT_EXEC_H

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "parser/parse_relation.h"
#include "utils/relcache.h"

/* 17: statement parameter, const parameters */
#if PG_VERSION_NUM < 170000
#define reindex_relation(stmt, relid, flags, params) \
	reindex_relation(relid, flags, params)
#endif

/* 18: unpruned_relids; 16: permission info apart from the range table */
#if PG_VERSION_NUM < 160000
#define ExecInitRangeTable(estate, rtable, perminfos, unpruned) \
	ExecInitRangeTable(estate, rtable)
#elif PG_VERSION_NUM < 180000
#define ExecInitRangeTable(estate, rtable, perminfos, unpruned) \
	ExecInitRangeTable(estate, rtable, perminfos)
#endif

/* 16: updated columns are in the permission info, which must be added */
static inline void
pgt_add_updated_columns(RangeTblEntry *rte, List **perminfos, Bitmapset *columns)
{
#if PG_VERSION_NUM >= 160000
	addRTEPermissionInfo(perminfos, rte)->updatedCols = columns;
#else
	rte->updatedCols = columns;
#endif
}

/* 18: instrumentation */
#if PG_VERSION_NUM < 180000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)
#endif

/* 16: summarizing indexes, tuple result of row triggers; 18: MERGE */
#if PG_VERSION_NUM < 160000
typedef enum TU_UpdateIndexes
{
	TU_None,
	TU_All,
	TU_Summarizing
} TU_UpdateIndexes;

#define simple_table_tuple_update(rel, tid, slot, snapshot, update_indexes) \
	do { \
		bool		update_indexes_; \
		(simple_table_tuple_update) (rel, tid, slot, snapshot, &update_indexes_); \
		*(update_indexes) = update_indexes_ ? TU_All : TU_None; \
	} while (0)
#define ExecInsertIndexTuples(rri, slot, estate, update, nodup, conflict, arbiters, summarizing) \
	ExecInsertIndexTuples(rri, slot, estate, update, nodup, conflict, arbiters)
#define EvalPlanQualInit(epq, estate, plan, marks, param, relations) \
	EvalPlanQualInit(epq, estate, plan, marks, param)
#define ExecBRUpdateTriggers(estate, epq, rri, tid, tuple, slot, result, failure, merge) \
	ExecBRUpdateTriggers(estate, epq, rri, tid, tuple, slot, failure)
#define ExecBRDeleteTriggers(estate, epq, rri, tid, tuple, slot, result, failure, merge) \
	ExecBRDeleteTriggers(estate, epq, rri, tid, tuple, slot)
#define RelationSetNewRelfilenumber RelationSetNewRelfilenode
#elif PG_VERSION_NUM < 180000
#define ExecBRUpdateTriggers(estate, epq, rri, tid, tuple, slot, result, failure, merge) \
	ExecBRUpdateTriggers(estate, epq, rri, tid, tuple, slot, result, failure)
#define ExecBRDeleteTriggers(estate, epq, rri, tid, tuple, slot, result, failure, merge) \
	ExecBRDeleteTriggers(estate, epq, rri, tid, tuple, slot, result, failure)
#endif

#endif							/* PGTRICKLE_COMPAT_EXEC_H */
