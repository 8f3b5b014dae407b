/*-------------------------------------------------------------------------
 *
 * api_internal.h
 *	  What the SQL-callable functions share.
 *
 * IDENTIFICATION
 *	  src/api/api_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_API_INTERNAL_H
#define PGTRICKLE_API_INTERNAL_H

#include "fmgr.h"

#include "pgtrickle/catalog.h"
#include "pgtrickle/query.h"

/* ---- arguments.c ---- */

/* A text argument as C string; NULL for SQL null, or ERROR when required. */
extern char *pgt_api_text_arg(FunctionCallInfo fcinfo, int argno, const char *argname,
							  bool required);
extern bool pgt_api_bool_arg(FunctionCallInfo fcinfo, int argno, const char *argname);

/* Schedule as stored: NULL for by hand ('manual' or NULL).  Checked. */
extern char *pgt_api_schedule(char *schedule);
extern char *pgt_api_cdc_mode(char *mode);
extern char *pgt_api_default_cdc_mode(void);
extern char *pgt_api_diamond_consistency(char *value);
extern char *pgt_api_diamond_schedule_policy(char *value);

/* ERROR in read-only transactions and during recovery. */
extern void pgt_api_prevent_read_only(const char *function);

/* OID of the relation that a name means; ERROR if there is none. */
extern Oid	pgt_api_find_relation(const char *name);

/*
 * The stream table of that name, its lock held to the end of the transaction.
 * ERROR unless the current user owns it.
 */
extern StreamTable *pgt_api_lock_owned(const char *name);
/* Without lock and privileges. */
extern StreamTable *pgt_api_find_stream_table(const char *name);

/* Where in the query's text, to be put behind the reason's message; or an empty string. */
extern char *pgt_api_place_of_reason(const UnsupportedReason *reason, const char *sql);

/* The reason as ERROR, with the position in the query's text. */
pg_noreturn extern void pgt_api_throw_reason(const UnsupportedReason *reason,
											 const char *sql, const char *stname);

/* ---- alter.c ---- */

/* Changes to make; a pointer that is NULL or a flag that is false: none. */
typedef struct AlterRequest
{
	char	   *sql;
	Query	   *query;			/* parsed as the caller */
	bool		set_schedule;
	char	   *schedule;
	bool		set_mode;
	RefreshMode mode;
	bool		set_status;
	StreamTableStatus status;
	bool		set_diamond_consistency;
	char	   *diamond_consistency;
	bool		set_diamond_schedule_policy;
	char	   *diamond_schedule_policy;
	bool		set_cdc_mode;
	char	   *cdc_mode;
	bool		set_append_only;
	bool		append_only;
} AlterRequest;

/* The caller holds the lock and has checked ownership. */
extern void pgt_api_alter(StreamTable *st, const AlterRequest *request);
/* Is it the query that the stream table has? */
extern bool pgt_api_same_query(const StreamTable *st, Query *query);

#endif							/* PGTRICKLE_API_INTERNAL_H */
