/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18.
 *
 * The only place for PG_VERSION_NUM, with compat_exec.h.  Shims carry the newest supported
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

#include "catalog/pg_database.h"

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

/* 18: what an operator orders by is a CompareType, with the values of btree's strategy numbers */
#if PG_VERSION_NUM >= 180000
#include "access/cmptype.h"
typedef CompareType PgtOrdering;
#else
typedef int16 PgtOrdering;
#endif

/* 16: parent trigger, recursion */
#if PG_VERSION_NUM < 160000
#include "commands/trigger.h"
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

/* 18: expansion of a range table entry asks for OLD or NEW */
#if PG_VERSION_NUM >= 180000
#define pgt_expand_rte(rte, colnames, colvars) \
	expandRTE(rte, 1, 0, VAR_RETURNING_DEFAULT, -1, true, colnames, colvars)
#else
#define pgt_expand_rte(rte, colnames, colvars) \
	expandRTE(rte, 1, 0, -1, true, colnames, colvars)
#endif

/* 18: virtual generated columns */
#if PG_VERSION_NUM < 180000
#define pgt_is_virtual_column(att) ((void) (att), false)
#define pgt_virtual_column_expression(rel, attnum) ((Node *) NULL)
#else
#define pgt_is_virtual_column(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#define pgt_virtual_column_expression(rel, attnum) build_generation_expression(rel, attnum)
#endif

/* 17: wait events of extensions have names */
#if PG_VERSION_NUM < 170000
#define WaitEventExtensionNew(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* Renamed in 18, with other structs: only ask whether there is any. */
#if PG_VERSION_NUM >= 180000
#define pgt_is_btree_operator(opno) (get_op_index_interpretation(opno) != NIL)
/* CompareType has the numbers of btree strategies */
#define OpBtreeInterpretation OpIndexInterpretation
#define get_op_btree_interpretation(opno) get_op_index_interpretation(opno)
#define pgt_interpreted_strategy(i) ((int) (i)->cmptype)
#else
#define pgt_is_btree_operator(opno) (get_op_btree_interpretation(opno) != NIL)
#define pgt_interpreted_strategy(i) ((i)->strategy)
#endif

#endif							/* PGTRICKLE_COMPAT_H */
