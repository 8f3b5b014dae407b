/*-------------------------------------------------------------------------
 *
 * scheduler.h
 *	  Launcher, per-database scheduler, schedules.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/scheduler.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_SCHEDULER_H
#define PGTRICKLE_SCHEDULER_H

#include "pgtrickle/catalog.h"
#include "pgtrickle/cron.h"

/* Registers the launcher; only while shared_preload_libraries is processed. */
extern void pgt_scheduler_register_launcher(void);
extern void pgt_scheduler_shmem_request(void);
extern void pgt_scheduler_shmem_startup(void);

/* schedule.c: pure functions over schedule strings */
typedef enum ScheduleKind
{
	PGT_SCHEDULE_MANUAL,		/* NULL */
	PGT_SCHEDULE_CALCULATED,
	PGT_SCHEDULE_DURATION,
	PGT_SCHEDULE_CRON
} ScheduleKind;

typedef struct Schedule
{
	ScheduleKind kind;
	int64		seconds;		/* DURATION; 0: at once */
	CronSchedule cron;			/* CRON */
} Schedule;

/* ERROR (INVALID_PARAMETER_VALUE) for malformed or too short schedules. */
extern Schedule pgt_schedule_parse(const char *text);
extern int64 pgt_schedule_parse_duration(const char *text); /* seconds; ERROR if malformed */
/* For a schedule in the catalog: no ERROR, and today's minimum applied. */
extern Schedule pgt_schedule_read(const char *text);

/*
 * load.c: effective intervals (microseconds, 0: by hand) of all stream tables,
 * in the order of pgt_catalog_list_stream_tables().
 */
extern int64 *pgt_scheduler_intervals(int *count);

/*
 * Drain of this database: from begin to end, or the end of the server, the scheduler
 * begins no refresh.  False from begin: too many databases are.
 */
extern bool pgt_scheduler_begin_drain(void);
extern void pgt_scheduler_end_drain(void);
/* Drains, and no refresh of the scheduler goes on. */
extern bool pgt_scheduler_is_drained(void);
/* Preloaded, that is. */
extern bool pgt_scheduler_is_available(void);

/* Is the scheduler of this database running? */
extern bool pgt_scheduler_is_running(void);
/* Tell the scheduler of this database, after commit, that the catalog changed. */
extern void pgt_scheduler_notify_catalog_change(void);

/* pool.c: what users may know of jobs and workers; nothing when not preloaded */
typedef struct JobInfo
{
	int64		id;
	int64		pgt_id;			/* of its first stream table */
	const char *kind;			/* singleton, chain, atomic_group */
	const char *status;			/* QUEUED, RUNNING, COMPLETED, FAILED */
	int			nmembers;
	int			ndone;
	int			attempt;
	int			scheduler_pid;
	int			worker_pid;		/* 0: not yet known */
	TimestampTz enqueued;
	TimestampTz started;
	TimestampTz finished;
} JobInfo;

typedef struct PoolInfo
{
	int			nbusy;			/* of this database */
	int			nidle;
	int			nelsewhere;		/* of other databases */
	int			limit;			/* of all together */
} PoolInfo;

extern List *pgt_scheduler_list_jobs(void); /* of JobInfo *, newest first */
extern PoolInfo pgt_scheduler_pool_info(void);

#endif							/* PGTRICKLE_SCHEDULER_H */
