/*-------------------------------------------------------------------------
 *
 * types.h
 *	  Value types that every module shares: modes, states, reasons, frontier.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/types.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_TYPES_H
#define PGTRICKLE_TYPES_H

#include "access/attnum.h"
#include "access/transam.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "pgtrickle/compat.h"
#include "storage/block.h"

#define PGT_SCHEMA			"pgtrickle"
#define PGT_CHANGES_SCHEMA	"pgtrickle_changes"
#define PGT_ALERT_CHANNEL	"pg_trickle_alert"

/* What the user asked for.  Spelled in SQL as AUTO, DIFFERENTIAL, FULL. */
typedef enum RefreshMode
{
	PGT_MODE_AUTO,
	PGT_MODE_DIFFERENTIAL,
	PGT_MODE_FULL
} RefreshMode;

typedef enum StreamTableStatus
{
	PGT_STATUS_INITIALIZING,
	PGT_STATUS_ACTIVE,
	PGT_STATUS_SUSPENDED,
	PGT_STATUS_ERROR
} StreamTableStatus;

/* What one refresh did; spelled in the history as NO_DATA, FULL, ... */
typedef enum RefreshAction
{
	PGT_ACTION_NO_DATA,
	PGT_ACTION_FULL,
	PGT_ACTION_DIFFERENTIAL,
	PGT_ACTION_REINITIALIZE,
	PGT_ACTION_SKIP
} RefreshAction;

typedef enum RefreshInitiator
{
	PGT_BY_MANUAL,
	PGT_BY_SCHEDULER,
	PGT_BY_INITIAL
} RefreshInitiator;

/*
 * Why a query (or a part of it) cannot be maintained differentially.  Raised
 * as an error under DIFFERENTIAL, recorded and shown under AUTO.  All strings
 * are palloc'd in the context of the caller that made the reason.
 */
typedef struct UnsupportedReason
{
	const char *code;			/* stable identifier, e.g. "outer_join" */
	int			sqlstate;		/* ERRCODE_... for the ERROR */
	char	   *message;		/* lower case, no final period */
	char	   *detail;			/* sentence or NULL */
	char	   *hint;			/* sentence or NULL */
	int			location;		/* byte offset in the query text, or -1 */
	Oid			relid;			/* the relation it is about, or the view that it is in; or invalid */
	bool		all_modes;		/* refused in FULL mode, too */
} UnsupportedReason;

/*
 * Frontier: up to where a stream table has consumed the changes of its
 * sources.  The snapshot decides row by row; block positions only save
 * reading what is known to be consumed.
 *
 * A change (xid, seq) is consumed iff
 *		xid == own_xid ? seq <= own_seq : xid is visible in (xmin, xmax, xip).
 * own_xid is the top transaction that made the last refresh: its own later
 * changes are "in progress" for its snapshot and are told apart by seq, the
 * per-transaction counter of capturing statements.
 */
#define PGT_SEGMENTS 2			/* change buffer segments per source */

/*
 * A block of a file, and a change that was on it.  As long as that change is
 * there, the file has not been cut off before the block.  No change of this
 * transaction and number is written to the block again once it has gone.
 */
typedef struct BlockMark
{
	BlockNumber block;			/* 0 needs no change */
	uint64		xid;
	int32		s;				/* as stored, see cdc.h */
} BlockMark;

typedef struct SegmentPosition
{
	Oid			filenode;		/* file the blocks refer to; other file: start at 0 */
	BlockMark	start;			/* first block with unconsumed rows */
	BlockMark	pending;		/* becomes start once xmin reaches pending_xid */
	uint64		pending_xid;	/* 0: no pending position */
} SegmentPosition;

typedef struct SourcePosition
{
	Oid			relid;			/* source */
	SegmentPosition seg[PGT_SEGMENTS];
} SourcePosition;

typedef struct Frontier
{
	uint64		xmin;			/* all 64-bit FullTransactionId values */
	uint64		xmax;
	int			nxip;
	uint64	   *xip;			/* sorted ascending */
	uint64		own_xid;		/* 0: none */
	int32		own_seq;
	int			nsources;
	SourcePosition *sources;
} Frontier;

/* frontier.c */
extern bool pgt_frontier_has_consumed(const Frontier *f, uint64 xid, int32 seq);
extern Frontier *pgt_frontier_copy(const Frontier *f);
extern SourcePosition *pgt_frontier_position(Frontier *f, Oid relid);
extern bytea *pgt_frontier_serialize(const Frontier *f);
extern Frontier *pgt_frontier_deserialize(const bytea *b);
extern char *pgt_frontier_to_text(const Frontier *f);

/* names.c: spelling of the enumerations, both ways */
extern const char *pgt_mode_name(RefreshMode mode);
extern RefreshMode pgt_mode_parse(const char *name);	/* ERROR if malformed */
extern const char *pgt_status_name(StreamTableStatus status);
extern StreamTableStatus pgt_status_parse(const char *name);
extern const char *pgt_action_name(RefreshAction action);
extern const char *pgt_initiator_name(RefreshInitiator initiator);

/* reason.c */
extern UnsupportedReason *pgt_reason_make(const char *code, int location,
										  char *message, char *detail, char *hint);
pg_noreturn extern void pgt_reason_throw(const UnsupportedReason *reason, const char *stname);

#endif							/* PGTRICKLE_TYPES_H */
