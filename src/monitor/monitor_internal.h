/*-------------------------------------------------------------------------
 *
 * monitor_internal.h
 *	  What the monitoring functions share.
 *
 * All of them read the catalog without SQL, so they work for every user; what
 * tells about data (error texts, delta statements) is shown only to those who
 * may read the stream table.
 *
 * IDENTIFICATION
 *	  src/monitor/monitor_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_MONITOR_INTERNAL_H
#define PGTRICKLE_MONITOR_INTERNAL_H

#include "fmgr.h"
#include "funcapi.h"

#include "pgtrickle/catalog.h"

/* tables.c */

/* The argument of that number, which must not be NULL. */
extern Datum pgt_monitor_arg(FunctionCallInfo fcinfo, int argno, const char *name);
/* The stream table that argument 0 names; ERROR if there is none. */
extern StreamTable *pgt_monitor_find(FunctionCallInfo fcinfo);
/* May the current user know what is in it? */
extern bool pgt_monitor_may_read(Oid relid);
extern void pgt_monitor_check_may_read(Oid relid);
extern void pgt_monitor_check_may_refresh(Oid relid);
/* Name for results: quoted, qualified; for one that is gone, a description. */
extern char *pgt_monitor_name(Oid relid);
/* When the content was known to be that of the query; 0: never. */
extern TimestampTz pgt_monitor_fresh_at(const RefreshState *state);
/* Is it longer than it should be since then?  interval: microseconds, 0 = none. */
extern bool pgt_monitor_is_stale(TimestampTz fresh_at, int64 interval);

/* A row of a result under construction; columns are put in order. */
#define PGT_MONITOR_MAX_COLUMNS 48

typedef struct ResultRow
{
	int			ncolumns;
	Datum		values[PGT_MONITOR_MAX_COLUMNS];
	bool		nulls[PGT_MONITOR_MAX_COLUMNS];
} ResultRow;

extern void pgt_monitor_put(ResultRow *row, Datum value);
extern void pgt_monitor_put_null(ResultRow *row);
extern void pgt_monitor_put_text(ResultRow *row, const char *text); /* NULL: null */
extern void pgt_monitor_put_time(ResultRow *row, TimestampTz time); /* 0: null */
/* Microseconds; negative: null. */
extern void pgt_monitor_put_interval(ResultRow *row, int64 microseconds);
extern void pgt_monitor_put_float(ResultRow *row, double value, bool isnull);
extern void pgt_monitor_emit(ReturnSetInfo *rsinfo, ResultRow *row);

/* buffers.c: what is wrong with the capture of a source, as a list of sentences */
extern List *pgt_monitor_capture_problems(const ChangeSource *cs);

#endif							/* PGTRICKLE_MONITOR_INTERNAL_H */
