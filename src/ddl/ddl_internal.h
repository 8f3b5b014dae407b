/*-------------------------------------------------------------------------
 *
 * ddl_internal.h
 *	  What the files that follow DDL share.
 *
 * IDENTIFICATION
 *	  src/ddl/ddl_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DDL_INTERNAL_H
#define PGTRICKLE_DDL_INTERNAL_H

#include "nodes/parsenodes.h"

#include "pgtrickle/catalog.h"

/* An object that a command created, altered or dropped. */
typedef struct DdlObject
{
	Oid			classid;
	Oid			objid;
	int32		objsubid;
	char	   *type;			/* "table", "policy" ... */
	bool		original;		/* dropped: named by the command */
	char	   *identity;
	Oid			table;			/* dropped from a table that is still there */
	char	   *name;			/* its name there */
} DdlObject;

/* ---- objects.c: what a command touched, and what rests on an object ---- */

extern List *pgt_ddl_commands(void);	/* in ddl_command_end */
extern List *pgt_ddl_dropped(void); /* in sql_drop */
/*
 * Stream tables whose definition rests on the object, at any distance; with columns,
 * also through columns of a type.
 */
extern List *pgt_ddl_dependent_stream_tables(Oid classid, Oid objid, bool columns);
/* Stream tables whose hidden view mentions this column of the relation itself. */
extern List *pgt_ddl_stream_tables_of_column(Oid relid, AttrNumber attnum);
/* Stream tables that read the relation as a source. */
extern List *pgt_ddl_consumers(Oid relid);
/*
 * Reads the row anew, under the lock of the stream table unless that would
 * wait while we hold the lock of a source; NULL if it is gone, or being redefined.
 */
extern StreamTable *pgt_ddl_lock(const StreamTable *st, bool may_wait);

/* ---- column_type.c: ALTER COLUMN TYPE of a column in use ---- */

extern void pgt_ddl_before_alter_table(Node *parsetree);
/* Recreates what the call above dropped for this command. */
extern void pgt_ddl_after_alter_table(Node *parsetree);

/* ---- sources.c ---- */

extern void pgt_ddl_source_altered(Oid relid, Node *parsetree);
extern void pgt_ddl_table_created(Oid relid);
extern void pgt_ddl_object_changed(Oid classid, Oid objid, const char *identity);
/* Values of the type have another text, or fields of other names. */
extern void pgt_ddl_values_changed(Oid type, const char *identity);
extern void pgt_ddl_column_dropped(Oid relid);
extern void pgt_ddl_policy_changed(Oid relid);
extern void pgt_ddl_key_dropped(void);
extern void pgt_ddl_relation_dropped(Oid relid);
extern void pgt_ddl_before_drop_table(DropStmt *stmt);
extern void pgt_ddl_before_detach(Node *parsetree);
extern void pgt_ddl_member_dropped(void);

/* ---- own_tables.c: commands on stream tables themselves ---- */

extern void pgt_ddl_stream_table_altered(StreamTable *st);
extern void pgt_ddl_stream_table_dropped(StreamTable *st);
extern void pgt_ddl_refuse_rule(Oid relid);
extern void pgt_ddl_before_drop_owned(Node *parsetree);

#endif							/* PGTRICKLE_DDL_INTERNAL_H */
