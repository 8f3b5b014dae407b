/*-------------------------------------------------------------------------
 *
 * scheduler_internal.h
 *	  What the launcher, the schedulers and backends share.
 *
 * IDENTIFICATION
 *	  src/scheduler/scheduler_internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_SCHEDULER_INTERNAL_H
#define PGTRICKLE_SCHEDULER_INTERNAL_H

#include "storage/latch.h"
#include "storage/lwlock.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/scheduler.h"

/* ---- shmem.c: registry of schedulers ---- */

typedef enum SchedulerExit
{
	PGT_EXIT_FAILED,			/* error or killed: start again, with backoff */
	PGT_EXIT_NO_EXTENSION,		/* nothing to do in this database */
	PGT_EXIT_ASKED				/* start again as soon as it may be */
} SchedulerExit;

/*
 * One per scheduler process.  The launcher takes and gives back slots; the
 * process it starts attaches to its slot if the generation is still the one it
 * was started for.  pid and latch are set exactly while it is attached.
 */
typedef struct SchedulerSlot
{
	Oid			database;		/* InvalidOid: free */
	uint32		generation;
	pid_t		pid;
	Latch	   *latch;
	bool		has_extension;	/* the process has found the extension */
	bool		stop;			/* asked to leave */
	uint64		catalog_changes;	/* commits that changed our catalog */
	SchedulerExit exit;			/* how it ended */
	uint64		exit_changes;	/* catalog_changes when it decided to end */
} SchedulerSlot;

/* A database that no scheduler may enter for the moment. */
typedef struct SchedulerBlock
{
	Oid			database;		/* InvalidOid: free */
	TimestampTz until;
} SchedulerBlock;

#define PGT_MAX_BLOCKS	32
#define PGT_MAX_NEWS	32

/* All fields are protected by the lock. */
typedef struct SchedulerShared
{
	Latch	   *launcher;		/* NULL: not running */
	bool		look_at_databases;	/* databases came or went */
	bool		look_everywhere;	/* news overflowed */
	int			nnews;
	Oid			news[PGT_MAX_NEWS]; /* databases to look into */
	SchedulerBlock blocks[PGT_MAX_BLOCKS];
	int			nslots;
	SchedulerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SchedulerShared;

/* NULL when not preloaded */
extern SchedulerShared *pgt_scheduler_shared;
extern LWLock *pgt_scheduler_lock;

extern void pgt_scheduler_attach(int slotno, uint32 generation);
extern SchedulerSlot *pgt_scheduler_my_slot(void);
/* How the process ends, if it ends without an error from now on. */
extern void pgt_scheduler_set_exit(SchedulerExit exit, uint64 catalog_changes);
extern void pgt_scheduler_found_extension(void);
extern uint64 pgt_scheduler_catalog_changes(void);
extern bool pgt_scheduler_asked_to_stop(void);

/* ---- utility.c: commands on databases and on the extension ---- */

extern void pgt_scheduler_install_utility_hook(void);
/* Once this transaction has committed, the launcher reads pg_database again. */
extern void pgt_scheduler_notify_databases(void);

/* ---- launcher.c, scheduler.c: entry points of the processes ---- */

pg_noreturn extern PGDLLEXPORT void pgt_scheduler_launcher_main(Datum arg);
pg_noreturn extern PGDLLEXPORT void pgt_scheduler_main(Datum arg);

/* Time, so that tests can move it. */
typedef struct SchedulerClock
{
	TimestampTz (*now) (void);
	/* Until the latch is set, or this time comes. */
	void		(*wait_until) (TimestampTz until);
} SchedulerClock;

/* ---- maintenance.c: buffers and history, when no refresh is due ---- */

typedef struct Maintenance
{
	TimestampTz next_buffers;
	uint64		commits_seen;
	int			threshold;
	TimestampTz next_prune;
	int			retention_days;
} Maintenance;

extern void pgt_scheduler_maintain(Maintenance *m, TimestampTz now);

/* ---- plan.c: when to refresh what; pure ---- */

typedef struct PlanSource
{
	Oid			relid;
	bool		captured;		/* changes are counted */
	uint64		seen;			/* counter before the last refresh */
} PlanSource;

typedef struct PlanNode
{
	int64		pgt_id;
	Oid			relid;
	char	   *label;			/* for messages */
	Schedule	schedule;
	bool		active;			/* status lets the scheduler refresh it */
	int32		generation;		/* of the definition */
	bool		more;			/* depends on more than its sources */
	bool		always;			/* changes cannot be noticed: refresh each time */
	bool		force;			/* refresh once, whatever the counters say */
	int64		interval;		/* microseconds; 0 = never by itself */
	int64		duration;		/* what it is due after; 0 = by crons only */
	List	   *crons;			/* of CronSchedule *: what it is due at */
	TimestampTz cron_due;		/* ... next, counted from cron_base; 0: not known */
	TimestampTz cron_base;
	int			stretch;		/* factor of auto_backoff, 1 = none */
	int			overruns;		/* refreshes in a row that took most of it */
	int			underruns;
	TimestampTz last_refresh;	/* start of the last one; 0 = none */
	TimestampTz last_look;		/* last look that found nothing to do */
	TimestampTz retry_at;		/* not before; 0 = no such limit */
	int			lock_timeouts;	/* in a row */
	int			nsources;
	PlanSource *sources;
	int			nconsumers;
	int		   *consumers;		/* nodes that read this one */
} PlanNode;

typedef struct SchedulerPlan
{
	MemoryContext context;		/* holds all of it */
	int			nnodes;
	PlanNode   *nodes;
	int		   *order;			/* sources first */
} SchedulerPlan;

extern void pgt_plan_set_intervals(SchedulerPlan *plan, int default_seconds);
extern TimestampTz pgt_plan_due(PlanNode *node);
extern TimestampTz pgt_plan_look_due(PlanNode *node);
extern bool pgt_plan_note_duration(PlanNode *node, int64 microseconds);

/* ---- load.c ---- */

extern SchedulerPlan *pgt_plan_load(SchedulerPlan *old, bool intervals_only);

#endif							/* PGTRICKLE_SCHEDULER_INTERNAL_H */
