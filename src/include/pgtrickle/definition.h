/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  The objects a stream table is made of, besides its rows in our catalog:
 *	  table, hidden view, guard trigger, dependencies, privileges.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/definition.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_DEFINITION_H
#define PGTRICKLE_DEFINITION_H

#include "pgtrickle/catalog.h"
#include "pgtrickle/query.h"

/* ---- table.c: the table and its columns ---- */

/* Creates the empty table as the current user, who becomes its owner. */
extern Oid	pgt_definition_create_table(const char *schema, const char *name,
										List *columns, bool differential);
/* Has the table exactly these columns, in this order? */
extern bool pgt_definition_columns_equal(Oid relid, List *columns);
/*
 * Alters the table until it has.  Columns that stay keep what depends on
 * them; ERROR if something depends on one that has to go.  Runs as the owner.
 */
extern void pgt_definition_adapt_columns(Oid relid, List *columns);
/*
 * Empties the table, whose rows are those of a former query: they are going
 * to be replaced in this transaction, and might stand against a new key.
 */
extern void pgt_definition_discard_content(Oid relid);
/* We are altering a stream table ourselves: event triggers and guard let it pass. */
extern bool pgt_definition_altering(void);

/* ---- definition.c: view, guard, dependencies, privileges ---- */

/* Hidden view def_<pgt_id>, owned by the owner of the stream table. */
extern Oid	pgt_definition_create_view(const StreamTable *st, Query *query,
									   List *columns);
extern void pgt_definition_drop_view(Oid viewid);
/*
 * Records the dependencies of table and view, creates the guard trigger, or
 * enables it again, and lets the owner use schema pgtrickle_changes.  What is
 * there already stays.
 */
extern void pgt_definition_bind(const StreamTable *st);
/* Like the last part of bind alone; cheap when there is nothing to do. */
extern void pgt_definition_grant_usage(Oid owner);
/* Takes that right back from roles that own no stream table any more. */
extern void pgt_definition_revoke_unused_usage(void);

/*
 * Rows of pgt_dependencies become those of the analysis, new sources are
 * captured, in the order of their OIDs, and those read no more released.  For
 * what is always recomputed, only that they were written; not even that where
 * the result changes by itself, or the owner may not have triggers created.
 */
extern void pgt_definition_attach_sources(const StreamTable *st,
										  const QueryAnalysis *analysis);
/* A NOTICE about the cost of each source that refreshes compare with a copy. */
extern void pgt_definition_report_polled(const StreamTable *st, const QueryAnalysis *analysis);
/* ERROR if the current user may not read what the query names. */
extern void pgt_definition_check_permissions(Query *query);
/*
 * ERROR if the current user may not read the columns used of a source (of
 * SourceUse *).  Statements that maintain a stream table name base tables, no
 * views, and those that apply captured changes read no table at all: so each
 * refresh asks.  Cheap.
 */
extern void pgt_definition_check_source_privileges(List *sources);
/*
 * Fills differential, downgrade_code and downgrade_reason of the row.  ERROR if
 * it would be in a cycle that cannot be iterated; locks the members of one that
 * can.  Comes first: a source that cannot be captured takes analysis->definition away.
 */
extern void pgt_definition_decide(StreamTable *st, QueryAnalysis *analysis);
/*
 * Drops and creates stage tables and the index that identifies rows; the
 * latter stays if keep_index.
 */
extern void pgt_definition_rebuild_storage(StreamTable *st, QueryAnalysis *analysis,
										   bool keep_index);

/* ---- adopt.c ---- */

/*
 * Re-analyses the definition as its owner and makes sources, stages and row
 * fit again; the next refresh rebuilds the content, for this reason.  The
 * caller holds the lock of the stream table.  Updates *st.
 */
extern void pgt_definition_redo(StreamTable *st, const char *reason);
/*
 * The same, only if the stored state or the sources are not what the
 * definition needs now; true if it did something.
 */
extern bool pgt_definition_redo_if_changed(StreamTable *st, const char *reason);
/*
 * A row that came here by a dump, a template database or pg_upgrade: makes
 * its objects ours.  True if it did; *st is up to date then.  Cheap otherwise.
 * The caller holds the lock of the stream table.
 */
extern bool pgt_definition_adopt_if_foreign(StreamTable *st);

#endif							/* PGTRICKLE_DEFINITION_H */
