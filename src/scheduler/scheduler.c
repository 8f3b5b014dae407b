/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *	  The scheduler of one database.
 *
 * It keeps a plan in memory: the stream tables in dependency order, their
 * intervals, and per source the number of capturing commits seen before the
 * last refresh (see plan.c for the rule of when a stream table is due).  A
 * pass over the plan finds what is due and has changes, and has it refreshed
 * (pass.c).  Where the counters have not moved, nothing is done but counting the
 * look: no transaction, no SQL.  Between passes it sleeps until
 *
 *		- a transaction that captured changes has committed, of a source that no
 *		  changes were known of (latch, set by cdc),
 *		- a refresh worker has done its job, or ended (latch),
 *		- the catalog has changed (latch, see shmem.c),
 *		- a stream table with changes becomes due, or
 *		- scheduler_interval_ms have passed.
 *
 * The counters are read before the refresh takes its snapshot, and they move
 * after the commit is visible, so a change is seen by the refresh or moves the
 * counter later:
 *
 *		writer							scheduler
 *										read counter: 7
 *		commit visible
 *										snapshot: may see it or not
 *		counter: 8
 *										next pass: 8 <> 7, refresh again
 *
 * Prepared transactions count when they are prepared.  As long as any is
 * pending, and once more after that, stream tables are refreshed as if their
 * sources had changed.
 *
 * The plan is loaded again when the catalog counter has moved; the counter is
 * read first.  What is only in memory (counters, auto_backoff) is carried over.
 * A refresh looks at the stream table again under its lock, so an outdated
 * plan costs a wasted attempt at most.
 *
 * Nothing here keeps a transaction open while it sleeps.  Work is committed
 * asynchronously: a refresh that a crash undoes is done again.
 *
 * IDENTIFICATION
 *	  src/scheduler/scheduler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"

#include "scheduler_internal.h"

/* after an error that was not that of a refresh */
#define ERROR_RETRY_MS		5000
#define MAX_SLEEP_MS		3600000
/* sleeping without listening is worth it from here on */
#define DEAF_MS				2
/* the catalog is read again this often without news */
#define RELOAD_MS			300000
/* pauses for cleaning buffers up: how long at most, how often */
#define PAUSE_MS			3000
#define PAUSE_EVERY_MS		10000
/* workers that have nothing to do are looked at this often */
#define IDLE_WORKERS_MS		10000

static void
wait_on_latch(TimestampTz until)
{
	TimestampTz now = GetCurrentTimestamp();
	long		ms = MAX_SLEEP_MS;

	if (until < TimestampTzPlusMilliseconds(now, MAX_SLEEP_MS))
		ms = TimestampDifferenceMilliseconds(now, until);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(ms, 1), pgt_wait_event(PGT_WAIT_SCHEDULER));
}

static const SchedulerClock system_clock = {GetCurrentTimestamp, wait_on_latch};

/* Ends the process if the extension is not there (any more). */
static void
refresh_plan(Scheduler *s)
{
	static Oid	extension = InvalidOid;
	uint64		changes = pgt_scheduler_catalog_changes();
	Oid			now_extension;

	pgstat_report_activity(STATE_RUNNING, "reading the catalog of stream tables");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	now_extension = pgt_extension_oid(true);
	if (!OidIsValid(now_extension) ||
		(OidIsValid(extension) && extension != now_extension))
	{
		/* dropped; if created anew meanwhile, begin anew */
		PopActiveSnapshot();
		CommitTransactionCommand();
		pgt_scheduler_set_exit(OidIsValid(now_extension) ? PGT_EXIT_ASKED :
							   PGT_EXIT_NO_EXTENSION, changes);
		proc_exit(0);
	}
	if (!OidIsValid(extension))
	{
		pgt_scheduler_found_extension();
		ereport(LOG,
				(errmsg("pg_trickle scheduler for database \"%s\" started",
						get_database_name(MyDatabaseId))));
	}
	extension = now_extension;
	s->plan = pgt_plan_load(s->plan, false);
	PopActiveSnapshot();
	CommitTransactionCommand();

	s->plan_changes = changes;
	s->plan_time = s->clock->now();
	s->reload = false;
	s->found = true;
	s->next_pass = 0;
	s->not_before = 0;
	s->first_due = 0;
	s->next_prepared = 0;
}

/* ---- the process ---- */

static void
reload_config(Scheduler *s)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	s->reload = true;			/* intervals depend on settings */
}

/*
 * Prepared transactions were counted when they were prepared, and they end in
 * whatever session: while there are any, and once more afterwards, every stream
 * table is refreshed when it is due, though not more often than the scheduler looks
 * without news.  Where the end was announced, the plan has been loaded again.
 */
static void
mind_prepared_transactions(Scheduler *s, TimestampTz now)
{
	if (now < s->next_prepared)
		return;
	s->next_prepared = TimestampTzPlusMilliseconds(now, pgt_scheduler_interval_ms);
	if (!pgt_cdc_prepared_pending())
		return;
	for (int i = 0; i < s->plan->nnodes; i++)
	{
		if (s->plan->nodes[i].nsources > 0)
			s->plan->nodes[i].force = true;
	}
	s->found = true;
	s->next_pass = 0;
}

static bool
has_news(Scheduler *s)
{
	return pgt_cdc_news_count() != s->news_seen;
}

static void
set_listening(Scheduler *s, bool listening)
{
	if (listening == s->listening)
		return;
	if (listening)
		pgt_cdc_wakeup_register();
	else
		pgt_cdc_wakeup_unregister();
	s->listening = listening;
}

/* For pg_stat_activity. */
static const char *
what_it_waits_for(const Scheduler *s)
{
	if (!pgt_enabled)
		return "nothing to do: pg_trickle.enabled is off";
	if (s->draining)
		return "drain: waiting for pgtrickle.end_drain()";
	if (s->pause_until != 0)
		return "pause: waiting for refreshes to end, to empty change buffers";
	return "waiting for changes";
}

/*
 * Sleeps until then, or until something happens.  As long as no stream table
 * can be due, nobody need wake us: with many sources written per interval, being
 * woken once for each would cost more than the refreshes.  Listening begins before
 * news are compared, so that no commit falls in between.
 */
static void
sleep_until(Scheduler *s, TimestampTz until)
{
	TimestampTz now = s->clock->now();

	if (!pgt_enabled || s->draining)
		set_listening(s, false);
	else if (s->first_due > TimestampTzPlusMilliseconds(now, DEAF_MS))
	{
		set_listening(s, false);
		until = Min(until, s->first_due);
	}
	else
	{
		set_listening(s, true);
		if (has_news(s))
			until = Min(until, s->not_before);
	}
	if (until <= now)
		return;
	pgstat_report_activity(STATE_IDLE, what_it_waits_for(s));
	pgstat_report_stat(true);
	s->clock->wait_until(until);
}

/*
 * Is a pass to be made now?  What news bring is put off after a long one, but
 * not what follows from the last one: what it has made ready, or due.
 */
static bool
pass_is_due(Scheduler *s, TimestampTz now)
{
	return s->next_pass == 0 ||
		(now >= s->not_before && (now >= s->next_pass || has_news(s)));
}

/*
 * A drain: jobs that go on are waited for, none is begun.  The end of each sets our
 * latch, as does the end of the drain.
 */
static void
mind_drain(Scheduler *s)
{
	bool		draining = pgt_scheduler_is_draining();

	if (draining != s->draining)
		ereport(LOG,
				(draining ?
				 errmsg("pg_trickle scheduler drains: it begins no refresh until pgtrickle.end_drain()") :
				 errmsg("pg_trickle scheduler goes on after a drain")));
	if (s->draining && !draining)
		s->next_pass = 0;
	s->draining = draining;
	pgt_scheduler_set_drained(draining && pgt_pool_count(true) == 0);
}

/*
 * Consumed changes can be removed only while no refresh reads their buffer, and
 * with several workers some refresh may do so at any time.  So once in a while, if
 * a buffer has grown because of that, no job is begun until the present ones
 * are done; long ones are not waited for.
 */
static void
mind_buffers(Scheduler *s, TimestampTz now)
{
	if (s->pause_until != 0 && pgt_pool_count(true) == 0)
	{
		s->maintenance.next_buffers = 0;
		s->maintenance.commits_seen--;
		s->maintenance.hindered = false;
		pgt_scheduler_maintain(&s->maintenance, now);
		s->pause_until = 0;
		s->next_pass = 0;
	}
	else if (s->pause_until != 0 && now >= s->pause_until)
	{
		s->pause_until = 0;
		s->next_pass = 0;
	}
	else if (s->maintenance.hindered && now >= s->next_pause)
	{
		s->maintenance.hindered = false;
		s->pause_until = TimestampTzPlusMilliseconds(now, PAUSE_MS);
		s->next_pause = TimestampTzPlusMilliseconds(now, PAUSE_EVERY_MS);
	}
}

/*
 * What was to come at some time by a clock that has been set back since would
 * come much too late.
 */
static void
mind_clock(Scheduler *s)
{
	TimestampTz now = s->clock->now();

	if (now < s->last_turn)
	{
		s->reload = true;
		s->next_alerts = s->next_pause = s->pause_until = s->next_prepared = 0;
		s->maintenance.next_buffers = s->maintenance.next_prune = 0;
	}
	s->last_turn = now;
}

/* One turn of the loop.  Returns when to wake up at the latest. */
static TimestampTz
run_cycle(Scheduler *s)
{
	TimestampTz now;
	TimestampTz wake_at;

	mind_clock(s);
	if (s->reload || s->plan == NULL ||
		pgt_scheduler_catalog_changes() != s->plan_changes ||
		s->clock->now() >= TimestampTzPlusMilliseconds(s->plan_time, RELOAD_MS))
		refresh_plan(s);
	pgt_pass_collect(s);
	mind_drain(s);

	now = s->clock->now();
	if (s->nworkers > 0)
		pgt_pool_retire_idle(now, !pgt_enabled || s->draining);
	if (!pgt_enabled || s->draining)
		return DT_NOEND;
	mind_prepared_transactions(s, now);
	mind_buffers(s, now);
	if (pass_is_due(s, now))
	{
		pgt_pass_run(s);
		if (s->reload || s->next_pass == 0)
			return 0;			/* go on at once */
	}
	now = s->clock->now();
	pgt_scheduler_raise_alerts(s);
	pgt_scheduler_maintain(&s->maintenance, now);
	wake_at = Max(s->next_pass, s->not_before);
	if (s->pause_until != 0)
		wake_at = Min(wake_at, s->pause_until);
	if (s->nworkers > 0)
		wake_at = Min(wake_at, TimestampTzPlusMilliseconds(now, IDLE_WORKERS_MS));
	return wake_at;
}

/* After an error that was not that of one refresh. */
static void
recover(Scheduler *s)
{
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(s->cycle_context);
	FlushErrorState();
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	/* where a worker is at it all the same, the next job finds it busy */
	for (int i = 0; s->plan && i < s->plan->nnodes; i++)
		s->plan->nodes[i].running = false;
	s->reload = true;
}

static void
leave_if_asked(void)
{
	if (pgt_scheduler_asked_to_stop())
	{
		pgt_scheduler_set_exit(PGT_EXIT_ASKED, 0);
		proc_exit(0);
	}
}

static void
start_process(Datum arg)
{
	uint32		generation;
	Oid			database;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(uint32));
	memcpy(&database, MyBgworkerEntry->bgw_extra + sizeof(uint32), sizeof(Oid));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	pgt_scheduler_attach(DatumGetInt32(arg), generation);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgt_scheduler_pin_settings();
}

static void
unregister_wakeup(int code, Datum arg)
{
	pgt_cdc_wakeup_unregister();
}

void
pgt_scheduler_main(Datum arg)
{
	Scheduler	scheduler = {0};
	Scheduler  *s = &scheduler;
	volatile TimestampTz wake_at = 0;

	start_process(arg);
	s->clock = &system_clock;
	s->cycle_context = AllocSetContextCreate(TopMemoryContext,
											 "pg_trickle scheduler cycle",
											 ALLOCSET_DEFAULT_SIZES);
	/* buffers are looked at once to begin with */
	s->maintenance.unfinished = true;
	refresh_plan(s);
	set_listening(s, true);
	before_shmem_exit(unregister_wakeup, (Datum) 0);

	for (;;)
	{
		volatile bool failed = false;

		ResetLatch(MyLatch);
		leave_if_asked();
		/* a cancel request that comes while nothing runs has no target */
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload_config(s);

		MemoryContextSwitchTo(s->cycle_context);
		PG_TRY();
		{
			wake_at = run_cycle(s);
		}
		PG_CATCH();
		{
			recover(s);
			failed = true;
		}
		PG_END_TRY();
		MemoryContextSwitchTo(s->cycle_context);
		MemoryContextReset(s->cycle_context);

		if (failed)
			s->first_due = s->next_pass = s->not_before = wake_at = TimestampTzPlusMilliseconds(s->clock->now(), ERROR_RETRY_MS);
		if (wake_at != 0)
			sleep_until(s, wake_at);
	}
}
