/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only place for PG_VERSION_NUM.  Shims carry the newest supported
 * server's name and signature.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_COMPAT_H
#define PGTRICKLE_COMPAT_H

/* 18: pg_noreturn before the declaration, not pg_attribute_noreturn() after */
#if PG_VERSION_NUM < 180000
#define pg_noreturn _Noreturn
#endif

/*
 * The rest wraps functions by macros of the same name, so their declarations
 * must have been read before.
 */
#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_database.h"
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

/*
 * 16: object_ownercheck(), object_aclcheck() for all classes; of those we need
 * relations, databases and schemas.  17: the privilege MAINTAIN.  The arguments expand
 * where "utils/acl.h" is included.
 */
#if PG_VERSION_NUM < 160000
#define object_ownercheck(classid, objectid, roleid) \
	((classid) == RelationRelationId ? pg_class_ownercheck(objectid, roleid) : \
	 (classid) == DatabaseRelationId ? pg_database_ownercheck(objectid, roleid) : \
	 pg_namespace_ownercheck(objectid, roleid))
#define object_aclcheck(classid, objectid, roleid, mode) \
	((classid) == RelationRelationId ? pg_class_aclcheck(objectid, roleid, mode) : \
	 pg_namespace_aclcheck(objectid, roleid, mode))
#endif

/* 18: constness of transformRelOptions()'s list of namespaces */
#if PG_VERSION_NUM >= 180000
typedef const char *const PgtReloptNamespace;
#else
typedef char *PgtReloptNamespace;
#endif

/* 16: parent trigger, recursion */
#if PG_VERSION_NUM < 160000
#define EnableDisableTrigger(rel, name, parent, fires_when, skip_system, recurse, lockmode) \
	EnableDisableTrigger(rel, name, fires_when, skip_system, lockmode)
#endif

/* 16: permissions apart from the range table */
#if PG_VERSION_NUM >= 160000
#define pgt_check_query_permissions(query) \
	((void) ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true))
#else
#define pgt_check_query_permissions(query) \
	((void) ExecCheckRTPerms((query)->rtable, true))
#endif

/* 16: macros of varlena values moved out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16: relation file "nodes" became "numbers" */
#if PG_VERSION_NUM < 160000
#define pgt_relation_filenumber(rel) ((rel)->rd_node.relNode)
#define pgt_relation_new_file_subid(rel) ((rel)->rd_newRelfilenodeSubid)
#else
#define pgt_relation_filenumber(rel) ((rel)->rd_locator.relNumber)
#define pgt_relation_new_file_subid(rel) ((rel)->rd_newRelfilelocatorSubid)
#endif

/* 16: run_as_table_owner; no triggers, not logged for logical decoding */
#if PG_VERSION_NUM < 160000
#define pgt_truncate_relation(rel) \
	ExecuteTruncateGuts(list_make1(rel), list_make1_oid(RelationGetRelid(rel)), \
						NIL, DROP_RESTRICT, false)
#else
#define pgt_truncate_relation(rel) \
	ExecuteTruncateGuts(list_make1(rel), list_make1_oid(RelationGetRelid(rel)), \
						NIL, DROP_RESTRICT, false, false)
#endif

/* 18: virtual generated columns */
#if PG_VERSION_NUM < 180000
#define pgt_is_virtual_column(att) ((void) (att), false)
#define pgt_virtual_column_expression(rel, attnum) ((Node *) NULL)
#else
#define pgt_is_virtual_column(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#define pgt_virtual_column_expression(rel, attnum) build_generation_expression(rel, attnum)
#endif

#endif							/* PGTRICKLE_COMPAT_H */
