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
#include "pgtrickle/refresh.h"
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
	bool		wants_workers;	/* and can have none */
	bool		drained;		/* drains, and no refresh goes on */
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
#define PGT_MAX_DRAINS	64
/* how long a database stays closed if the command never reports its end */
#define PGT_BLOCK_MS	60000

/* ---- jobs: what is refreshed in one go ---- */

/* members of a job that a worker can do; a larger one the scheduler does itself */
#define PGT_JOB_MEMBERS	64

typedef enum MemberOutcome
{
	PGT_MEMBER_PENDING,
	PGT_MEMBER_DONE,
	PGT_MEMBER_BUSY,			/* refreshed or altered by somebody else */
	PGT_MEMBER_LOCKED,			/* something that it needs is locked */
	PGT_MEMBER_OUTDATED,		/* not there any more, suspended, ... */
	PGT_MEMBER_FAILED,
	PGT_MEMBER_SKIPPED,			/* because of another member */
	PGT_MEMBER_TOO_LONG			/* was given up: it is one for a worker */
} MemberOutcome;

typedef struct JobMember
{
	int64		pgt_id;
	Oid			relid;
	bool		alone;			/* to be rebuilt: before the others, unless all or nothing */
	int			cycle;			/* members of a cycle are refreshed as one; 0: none */
	uint64		reads;			/* bit i: reads member i */
	/* filled in by pgt_job_execute() */
	MemberOutcome outcome;
	bool		touched;		/* its counter moved by one with the commit */
	bool		recorded;		/* FAILED: is in the catalog */
	TimestampTz started;
	int64		usecs;
	char	   *label;			/* private to the process that does the job */
} JobMember;

typedef struct Job
{
	int64		id;
	bool		together;		/* one transaction, one snapshot */
	bool		atomic;			/* all or nothing */
	uint64		plan_changes;	/* catalog counter of the plan that it is of */
	int			nmembers;
	JobMember  *members;		/* sources first */
} Job;

/* execute.c */
extern void pgt_scheduler_pin_settings(void);
/* limit_ms: give up what takes longer; 0: no limit */
extern void pgt_job_execute(Job *job, int limit_ms);

/* ---- pool.c: refresh workers ---- */

typedef enum WorkerState
{
	PGT_WORKER_FREE,			/* no process */
	PGT_WORKER_STARTING,		/* registered, with a job */
	PGT_WORKER_RUNNING,			/* has a job */
	PGT_WORKER_DONE,			/* the job's outcome is to be collected */
	PGT_WORKER_IDLE
} WorkerState;

/*
 * A worker belongs to the scheduler that has started it, and leaves when that
 * one does.  Taken by the scheduler; given back by it when the process has
 * ended, or by the process if the scheduler is gone.
 */
typedef struct WorkerSlot
{
	WorkerState state;
	Oid			database;
	uint32		generation;
	int			owner;			/* slot of the scheduler; -1: it is gone */
	pid_t		pid;			/* 0: not attached */
	Latch	   *latch;
	bool		stop;			/* asked to leave */
	bool		ended;			/* has been attached, and is gone */
	TimestampTz since;			/* start of the state */
	Job			job;
	JobMember	members[PGT_JOB_MEMBERS];
} WorkerSlot;

typedef enum JobStatus
{
	PGT_JOB_QUEUED,
	PGT_JOB_RUNNING,
	PGT_JOB_COMPLETED,
	PGT_JOB_FAILED
} JobStatus;

/* What users see of a job; the newest ones are kept. */
typedef struct JobLog
{
	int64		id;				/* 0: none */
	Oid			database;
	int64		pgt_id;			/* of the first member */
	int			nmembers;
	bool		atomic;
	bool		together;
	JobStatus	status;
	int			attempt;
	int			ndone;			/* members that were refreshed */
	pid_t		scheduler;
	pid_t		worker;			/* the scheduler's own, if it does it itself */
	TimestampTz enqueued;
	TimestampTz started;
	TimestampTz finished;
} JobLog;

#define PGT_JOB_LOGS	1024

/* Protected by the lock of the registry. */
typedef struct PoolShared
{
	int64		last_job;
	JobLog		logs[PGT_JOB_LOGS];
	int			nworkers;
	WorkerSlot	workers[FLEXIBLE_ARRAY_MEMBER];
} PoolShared;

extern PoolShared *pgt_pool_shared;

extern Size pgt_pool_shmem_size(void);
extern void pgt_pool_shmem_startup(void);
/* with the lock held */
extern void pgt_pool_abandon(int owner);
extern bool pgt_pool_ask_to_leave(Oid database, bool cancel);
extern int	pgt_pool_limit(void);
extern bool pgt_pool_is_busy(Oid database);
extern void pgt_scheduler_forget_drain(Oid database);

/* Jobs as users see them. */
extern void pgt_job_log(Job *job, int attempt);
extern void pgt_job_log_start(const Job *job);
extern void pgt_job_log_end(const Job *job);
extern void pgt_job_log_lost(int64 id);

/* The scheduler's side: numbers of worker slots. */
extern int	pgt_pool_find_idle(int affinity);
extern int	pgt_pool_start(bool *limited);
extern void pgt_pool_assign(int worker, const Job *job);
extern bool pgt_pool_collect(int worker, Job *job);
extern int	pgt_pool_count(bool busy_only);
extern void pgt_pool_retire_idle(TimestampTz now, bool all);
extern void pgt_pool_set_wants(bool wants);

/* worker.c */
pg_noreturn extern PGDLLEXPORT void pgt_worker_main(Datum arg);

/* All fields are protected by the lock. */
typedef struct SchedulerShared
{
	Latch	   *launcher;		/* NULL: not running */
	bool		look_at_databases;	/* databases came or went */
	bool		look_everywhere;	/* news overflowed */
	bool		short_of_slots; /* no process to be had for some scheduler */
	bool		told_limited;	/* that there are few workers */
	int			nnews;
	Oid			news[PGT_MAX_NEWS]; /* databases to look into */
	SchedulerBlock blocks[PGT_MAX_BLOCKS];
	Oid			drains[PGT_MAX_DRAINS];	/* databases to begin no refresh in */
	int			nslots;
	SchedulerSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SchedulerShared;

/* NULL when not preloaded */
extern SchedulerShared *pgt_scheduler_shared;
extern LWLock *pgt_scheduler_lock;

extern void pgt_scheduler_attach(int slotno, uint32 generation);
/* A worker: asks about its scheduler's slot from now on. */
extern void pgt_scheduler_follow(int slotno);
extern int	pgt_scheduler_my_slotno(void);
extern SchedulerSlot *pgt_scheduler_my_slot(void);
/* How the process ends, if it ends without an error from now on. */
extern void pgt_scheduler_set_exit(SchedulerExit exit, uint64 catalog_changes);
extern void pgt_scheduler_found_extension(void);
extern uint64 pgt_scheduler_catalog_changes(void);
extern bool pgt_scheduler_asked_to_stop(void);
/* Is this database not to be refreshed?  If nothing goes on any more, say so. */
extern bool pgt_scheduler_is_draining(void);
extern void pgt_scheduler_set_drained(bool drained);

/* What pg_stat_activity says that a process waits for. */
typedef enum SchedulerWait
{
	PGT_WAIT_LAUNCHER,
	PGT_WAIT_SCHEDULER,
	PGT_WAIT_WORKER,
	PGT_WAIT_DATABASE
} SchedulerWait;
extern uint32 pgt_wait_event(SchedulerWait wait);

/* ---- utility.c: commands on databases and on the extension ---- */

extern void pgt_scheduler_install_utility_hook(void);
/* Once this transaction has committed, the launcher reads pg_database again. */
extern void pgt_scheduler_notify_databases(void);
/* When this session ends, the scheduler of its database reads the catalog. */
extern void pgt_scheduler_notify_at_exit(void);

/* ---- restore.c ---- */

extern bool pgt_restore_under_way(void);

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
	bool		hindered;		/* by refreshes that read a buffer */
	bool		unfinished;		/* look again though nobody commits */
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
	uint64		pending;		/* ... before the one that is going on */
	int			node;			/* of a stream table; -1 */
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
	bool		rebuild;		/* to be filled or rebuilt */
	bool		running;		/* part of a job */
	bool		todo;			/* to be part of the next job of its unit */
	int			attempts;		/* jobs in a row that did not refresh it */
	int64		expected;		/* microseconds that a refresh takes */
	bool		atomic;			/* diamonds that end here are all or nothing */
	bool		slowest;		/* ... and wait for the slowest member */
	int			unit;
	int			cycle;			/* that it belongs to; 0: none */
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
	TimestampTz retry_at;		/* not before, says the catalog; 0 = no such limit */
	TimestampTz hold_until;		/* nor before that, as long as this process lives */
	int			lock_timeouts;	/* in a row */
	TimestampTz pending_since;	/* changes were first seen then; 0: none */
	int			slow_runs;		/* in a row that took most of the duration */
	bool		told_stale;		/* alerts were raised */
	bool		told_behind;
	bool		alert_stale;	/* are to be raised */
	bool		alert_behind;
	int64		usecs;			/* of the last refresh */
	int			nsources;
	PlanSource *sources;
	int			nconsumers;
	int		   *consumers;		/* nodes that read this one */
} PlanNode;

/*
 * What is refreshed by one job: a chain, a diamond, a single stream table.
 * The graph of units has no cycles.
 */
typedef struct PlanUnit
{
	int			nmembers;
	int		   *members;		/* nodes, sources first */
	bool		atomic;
	bool		slowest;
	bool		cyclic;
	int			nsources;
	int		   *sources;		/* units that it reads */
	int			affinity;		/* worker that has its plans; -1: none */
	/* of the current pass */
	bool		held;			/* its readers have to wait */
	int			ntodo;
	TimestampTz due;
} PlanUnit;

typedef struct SchedulerPlan
{
	MemoryContext context;		/* holds all of it */
	int			nnodes;
	PlanNode   *nodes;
	int		   *order;			/* sources first */
	int			nunits;
	PlanUnit   *units;			/* sources first */
	struct HTAB *by_id;			/* pgt_id to node */
	/* of an idle scheduler, by node, in little memory */
	TimestampTz *look_due;		/* when the next look counts */
	int64	   *look_after;		/* ... and after that, microseconds */
	RefreshLooks **looks;		/* where; NULL: not known yet */
} SchedulerPlan;

/* units.c */
extern void pgt_plan_make_units(SchedulerPlan *plan, const int *group, const int *cycle);

extern void pgt_plan_set_intervals(SchedulerPlan *plan, int default_seconds);
extern TimestampTz pgt_plan_due(PlanNode *node);
extern TimestampTz pgt_plan_look_due(PlanNode *node);
extern bool pgt_plan_note_duration(PlanNode *node, int64 microseconds);
extern bool pgt_plan_note_slow_run(PlanNode *node, int64 microseconds);
extern int64 pgt_plan_stale_after(const PlanNode *node);
extern void pgt_plan_forget_future(PlanNode *node, TimestampTz now);

/* ---- load.c ---- */

extern SchedulerPlan *pgt_plan_load(SchedulerPlan *old, bool intervals_only);
extern PlanNode *pgt_plan_find(SchedulerPlan *plan, int64 pgt_id);
extern bool pgt_scheduler_needs_rebuild(const StreamTable *st);

/* ---- scheduler.c, pass.c ---- */

typedef struct Scheduler
{
	const SchedulerClock *clock;
	MemoryContext cycle_context;	/* reset in each cycle */
	SchedulerPlan *plan;
	uint64		plan_changes;	/* catalog counter when it was loaded */
	TimestampTz plan_time;
	uint64		commits_seen;	/* of the database, before the last pass */
	uint64		news_seen;		/* of these, awaited ones */
	bool		found;			/* the last pass found changes, or has to be repeated */
	bool		idle;			/* as long as nobody commits, none can */
	bool		alerts;			/* there are some to be raised */
	TimestampTz next_pass;		/* a pass is due without news, too; 0: at once */
	TimestampTz not_before;		/* no pass because of news earlier */
	TimestampTz first_due;		/* no stream table is due before */
	bool		listening;		/* awaited commits wake us */
	bool		reload;			/* load the plan again */
	bool		draining;		/* nothing is to be begun */
	int			nworkers;		/* refresh workers of ours */
	TimestampTz pause_until;	/* no job is begun, so that buffers can be emptied */
	TimestampTz next_pause;		/* not before */
	TimestampTz next_alerts;	/* when to look for alerts to be raised */
	TimestampTz next_prepared;	/* ... and for prepared transactions */
	TimestampTz last_turn;		/* to notice a clock that was set back */
	Maintenance maintenance;
} Scheduler;

/* maintenance.c */
extern void pgt_scheduler_raise_alerts(Scheduler *s);

extern void pgt_pass_run(Scheduler *s);
extern void pgt_pass_collect(Scheduler *s);

#endif							/* PGTRICKLE_SCHEDULER_INTERNAL_H */
