/*-------------------------------------------------------------------------
 *
 * refresh_internal.h
 *	  What the files of the refresh module share: the maintenance plan of a
 *	  stream table, kept per session, and the state of one refresh.
 *
 * IDENTIFICATION
 *	  src/refresh/refresh_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_REFRESH_INTERNAL_H
#define PGTRICKLE_REFRESH_INTERNAL_H

#include "executor/spi.h"
#include "pgtrickle/apply.h"
#include "pgtrickle/cdc.h"
#include "pgtrickle/delta.h"
#include "pgtrickle/refresh.h"
#include "portability/instr_time.h"

#include "policy.h"

/* Ends an attempt at a delta; never seen outside. */
#define PGT_ERRCODE_DEAR MAKE_SQLSTATE('P', 'G', 'T', '0', '1')

/* ---- maintenance.c: kept per session, rebuilt after invalidation ---- */

typedef enum VariantKind
{
	PGT_VARIANT_CHANGE,
	PGT_VARIANT_RESCAN,
	PGT_VARIANT_CONTENT
} VariantKind;

/* One kept statement of a stage. */
typedef struct Variant
{
	VariantKind kind;
	int			stageno;
	Bitmapset  *changed;		/* CHANGE: what changed */
	int			bucket;			/* size class of the changes: 4^bucket rows */
	bool		has_null;		/* RESCAN */
	bool		streamed;		/* CHANGE: planned as a change scan */
	int			nterms;
	char	   *sql;
	SPIPlanPtr	plan;			/* kept; NULL while statements are not kept */
	double		cost;			/* the planner's estimate when it was planned */
	BlockNumber *pages;			/* of what is watched, when it was planned */
	uint64		used;			/* for eviction of the oldest */
} Variant;

/* A relation as it was when the plan was made; see maintenance.c. */
typedef struct WatchedRelation
{
	Oid			relid;
	NameData	name;
	Oid			schema;
	TupleDesc	desc;
	List	   *indexes;
	Oid			owner;
	bool		row_security;
	int			rls;			/* does it apply to the owner of the stream table? */
	bool		has_children;
} WatchedRelation;

/* Where the rows of a PARTITION stage are, and how they are found by their keys. */
typedef struct PartitionTarget
{
	Oid			relid;			/* a stage table, or the stream table itself */
	int			nkeys;
	AttrNumber *keys;			/* attnums */
	Oid			index;			/* btree on the keys, or on their hash; InvalidOid: no keys */
	Oid			row_index;		/* recursion with UNION: on all columns; UNION ALL: bag index */
} PartitionTarget;

typedef struct Maintenance
{
	int64		pgt_id;			/* hash key */
	Oid			relid;
	int32		generation;
	bool		valid;			/* false: look again at what is watched */
	bool		names_valid;	/* false: names in statements may have changed */
	int			in_use;
	MemoryContext cxt;
	Definition *def;			/* NULL: full only */
	bool		determined;		/* by the rows of its sources alone */
	List	   *sources;		/* of Oid, ascending, all sources in any mode */
	DeltaContext delta;
	GroupTarget **groups;		/* by stage number; NULL but for GROUP */
	PartitionTarget **partitions;	/* by stage number; NULL but for PARTITION */
	RowTarget  *stage_rows;		/* GROUP, PARTITION: their storage as a row target */
	RowTarget	rows;			/* the stream table as a row target */
	List	   *watched;		/* of WatchedRelation *: what the plan rests on */
	char	   *text;			/* all stages' content statements: for their names */
	List	   *variants;
	uint64		clock;
	double		full_cost;		/* the planner's estimate of recomputing; 0: not asked */
} Maintenance;

extern Maintenance *pgt_maintenance_get(StreamTable *st);
extern void pgt_maintenance_release(Maintenance *m);
/* All changes that one differential refresh of m can see, registered by the caller. */
extern Variant *pgt_maintenance_variant(Maintenance *m, VariantKind kind, int stageno,
										const Bitmapset *changed, bool has_null,
										bool streamed, int bucket, bool *planned);
/* SPI is connected. */
extern double pgt_maintenance_full_cost(Maintenance *m);
extern int	pgt_maintenance_bucket(double rows);

/* ---- lookups.c: attnums of a stage table that want an index of their own ---- */
extern List *pgt_refresh_stage_lookups(const Definition *def, int stageno);
/* What it wants to be sorted by, as column lists of CREATE INDEX. */
extern List *pgt_refresh_stage_sorts(const Definition *def, int stageno);

/* ---- storage.c ---- */
extern Oid	pgt_storage_ensure_index(Oid relid, List *keys);
/* Not unique: for looking up the rows of a partition. */
extern Oid	pgt_storage_ensure_key_index(Oid relid, List *keys);
/* Of WITH RECURSIVE that is followed. */
extern Oid	pgt_storage_recursion_index(Oid relid, const Stage *stage);
extern bool pgt_storage_hash_keys(Oid relid, List *keys);
extern bool pgt_storage_hash_recursion(Oid relid, const Stage *stage);
extern List *pgt_storage_live_attnums(Oid relid);
extern List *pgt_storage_row_keys(Oid relid, const Definition *def);
extern Oid	pgt_storage_row_index(Oid relid, const Definition *def);

/* ---- wave.c ---- */
extern void pgt_refresh_lock_tables(List *sources, Oid relid);
extern Snapshot pgt_refresh_snapshot(TimestampTz *when);

/* ---- one refresh ---- */

typedef struct RefreshRun
{
	StreamTable *st;
	RefreshState *state;
	RefreshRecord *rec;
	Maintenance *m;
	ChangeWindow *window;
	Snapshot	snapshot;
	ChangeSet **sets;			/* by source number; NULL: unchanged or not loaded */
	ChangeStream *stream;		/* the one change set that is not loaded; or NULL */
	int			stream_source;
	double		delta_rows;		/* rows in all change sets; estimated for a stream */
	Bitmapset  *polled;			/* sources to compare with their copies, by number */
	int64		polled_rows;	/* in which polled sources differed from their copies */
	bool		append;			/* the table is append_only, and rows are only added */
	PolicyInput policy;			/* what the choice was made by */
	double		delta_cost;		/* the planner's estimates so far */
	double		expected_change;	/* share of changed rows, for a full refresh */
	Tuplestorestate *result;	/* the new content, if it has been computed already */
	TupleDesc	result_desc;
	List	   *captured;		/* of a member of a cycle: sources in the window */
	List	   *peers;			/* the members (StreamTable), for whom a refresh is one of all */
	ApplyStats	stats;
	bool		planned;		/* a statement had to be planned */
	instr_time	mark;			/* start of the phase being timed */
} RefreshRun;

extern double pgt_refresh_lap(RefreshRun *run);	/* ms since the last lap */
/* Makes what was written so far visible to the refresh snapshot. */
extern void pgt_refresh_next_command(RefreshRun *run);
extern void pgt_refresh_add_stats(ApplyStats *sum, const ApplyStats *part);

/* append.c: sets run->append, and reports why not if it was asked for. */
extern void pgt_refresh_decide_append(RefreshRun *run);

/* map.c: last stage that filters and projects the rows of a group stage */
typedef struct StageMap StageMap;
extern StageMap *pgt_refresh_map_begin(const QueryBlock *block, Oid storage);
/* Returns false if the row does not pass; else the output row (until the next call). */
extern bool pgt_refresh_map_row(StageMap *map, Datum *values, bool *isnull,
								Datum **out_values, bool **out_isnull);
extern void pgt_refresh_map_end(StageMap *map);

/* partition.c: the partitions that a change affects */
typedef struct PartitionKeys
{
	TupleDesc	desc;			/* k1 .. kn */
	Tuplestorestate *store;
	int64		count;
	bool		has_null;
} PartitionKeys;

extern PartitionKeys *pgt_refresh_partition_keys_begin(const PartitionTarget *target);
extern DestReceiver *pgt_refresh_partition_keys_receiver(PartitionKeys *keys);
extern void pgt_refresh_partition_keys_end(PartitionKeys *keys);

/* first_rows.c: the first rows in some order, merged with a change */
typedef struct FirstRows FirstRows;

typedef enum FirstRowsOutcome
{
	PGT_FIRST_UNCHANGED,
	PGT_FIRST_MERGED,
	PGT_FIRST_UNKNOWN			/* to be looked up again */
} FirstRowsOutcome;

extern FirstRows *pgt_refresh_first_rows_begin(const Stage *stage, const RowTarget *target,
											   Snapshot snapshot);
extern void pgt_refresh_first_rows_change(void *arg, Datum *values, bool *isnull, int32 weight);
extern FirstRowsOutcome pgt_refresh_first_rows_finish(FirstRows *f, RowSink *sink);

/* recursion.c: the change of WITH RECURSIVE; SPI is connected */
extern bool pgt_refresh_recursion_by_depth(RefreshRun *run, const Stage *stage,
										   const Bitmapset *relevant, RowSink *sink);
extern bool pgt_refresh_recursion_as_set(RefreshRun *run, const Stage *stage,
										 const Bitmapset *relevant, RowSink *out);

/* Rows in column order for put, values and nulls valid during the call. */
extern DestReceiver *pgt_refresh_row_receiver(void (*put) (void *arg, Datum *values, bool *isnull),
											  void *arg);

/* change_scan.c: NULL, NULL when none */
typedef struct CurrentStream
{
	const char *name;
	ChangeStream *stream;
} CurrentStream;

extern void pgt_refresh_set_stream(const char *name, ChangeStream *stream);
extern CurrentStream pgt_refresh_get_stream(void);

/* change_stats.c: NULL when none; returns what was set before */
extern const Maintenance *pgt_refresh_set_statistics(const Maintenance *m);
extern void pgt_refresh_init_statistics(void);
struct RelOptInfo;
extern void pgt_refresh_raise_estimate(struct RelOptInfo *rel, const RangeTblEntry *rte);
extern void pgt_refresh_set_costs(const Maintenance *m);

/* differential.c */
extern void pgt_refresh_differential(RefreshRun *run);
/* SPI is connected. */
extern void pgt_refresh_register_changes(char *name, TupleDesc tupdesc, Tuplestorestate *store,
										 double rows);
extern void pgt_refresh_execute(Variant *variant, DestReceiver *dest);
/* Descriptor of a stage's changes: its columns and the weight. */
extern TupleDesc pgt_refresh_stage_desc(const Stage *stage, const char *weight_name);
/* fixpoint.c: refreshes all members; false if relid is not in a cycle any more */
extern bool pgt_refresh_cycle(Oid relid, RefreshInitiator by, RefreshRecord *rec);

typedef struct CycleResult
{
	Tuplestorestate *rows;		/* of one member */
	TupleDesc	desc;
	int			iterations;
} CycleResult;

/* run.c: a refresh in steps, for members of a cycle */
extern void pgt_refresh_open_member(RefreshRun *run, StreamTable *st, RefreshInitiator by,
									RefreshRecord *rec);
extern void pgt_refresh_begin_member(RefreshRun *run, TimestampTz data_timestamp);
extern bool pgt_refresh_is_untouched(RefreshRun *run, List *members);
extern void pgt_refresh_leave_member(RefreshRun *run);
extern void pgt_refresh_take_result(RefreshRun *run, const CycleResult *result);
extern void pgt_refresh_close_member(RefreshRun *run, bool failed);
/* cycle.c */
extern bool pgt_cycle_check(const StreamTable *st, const QueryAnalysis *analysis);

/* full.c: reason for the strategy goes to run->rec */
extern void pgt_refresh_full(RefreshRun *run, double expected_change);

#endif							/* PGTRICKLE_REFRESH_INTERNAL_H */
