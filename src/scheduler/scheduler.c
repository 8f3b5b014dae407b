/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *	  The scheduler of one database.
 *
 * It keeps a plan in memory: the stream tables in dependency order, their
 * intervals, and per source the number of capturing commits seen before the
 * last refresh (see plan.c for the rule of when a stream table is due).  A
 * pass over the plan refreshes what is due and has changes, one stream table
 * after the other, each in a transaction of its own; a stream table that reads
 * another one finds that one's changes in the same pass.  Where the counters
 * have not moved, nothing is done but counting the look: no transaction, no
 * SQL.  Between passes it sleeps until
 *
 *		- a transaction that captured changes has committed (latch, set by cdc),
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

/* a stream table that somebody else is refreshing or altering */
#define BUSY_RETRY_MS		100
/* a lock on something else that a refresh needs: waiting, and trying again */
#define LOCK_TIMEOUT		"1s"
#define LOCK_RETRY_MS		1000
#define LOCK_RETRY_MAX_MS	10000
/* after an error that could not be recorded in the catalog */
#define LOCAL_RETRY_MS		5000
#define MAX_SLEEP_MS		3600000
/* pause between passes, in terms of the time that one takes */
#define PAUSE_FACTOR		4
/* sleeping without listening is worth it from here on */
#define DEAF_MS				2
/* the catalog is read again this often without news */
#define RELOAD_MS			300000

static void
wait_on_latch(TimestampTz until)
{
	TimestampTz now = GetCurrentTimestamp();
	long		ms = MAX_SLEEP_MS;

	if (until < TimestampTzPlusMilliseconds(now, MAX_SLEEP_MS))
		ms = TimestampDifferenceMilliseconds(now, until);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(ms, 1), PG_WAIT_EXTENSION);
}

static const SchedulerClock system_clock = {GetCurrentTimestamp, wait_on_latch};

typedef struct Scheduler
{
	const SchedulerClock *clock;
	MemoryContext cycle_context;	/* reset in each cycle */
	SchedulerPlan *plan;
	uint64		plan_changes;	/* catalog counter when it was loaded */
	TimestampTz plan_time;
	uint64		commits_seen;	/* of the database, before the last pass */
	TimestampTz next_pass;		/* a pass is due without news, too */
	TimestampTz not_before;		/* no pass earlier, whatever the news */
	TimestampTz first_due;		/* no stream table is due before */
	bool		listening;		/* commits of captured changes wake us */
	bool		reload;			/* load the plan again */
	Maintenance maintenance;
} Scheduler;

/* Ends the process if the extension is not there (any more). */
static void
refresh_plan(Scheduler *s)
{
	static Oid	extension = InvalidOid;
	uint64		changes = pgt_scheduler_catalog_changes();
	Oid			now_extension;

	pgstat_report_activity(STATE_RUNNING, "reading the catalog of stream tables");
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
	s->next_pass = 0;
	s->not_before = 0;
	s->first_due = 0;
}

/* ---- one refresh ---- */

/*
 * Somebody holds a lock that a refresh needs, say an ALTER TABLE on a source in
 * an open transaction.  That is no failure; the stream table waits its turn
 * while the others are refreshed.
 */
static void
note_lock_timeout(Scheduler *s, PlanNode *node)
{
	int			delay = Min(LOCK_RETRY_MS << Min(node->lock_timeouts, 4),
							LOCK_RETRY_MAX_MS);

	if (node->lock_timeouts++ == 0)
		ereport(LOG,
				(errmsg("refresh of stream table \"%s\" waits for a lock", node->label)));
	node->force = true;
	node->retry_at = TimestampTzPlusMilliseconds(s->clock->now(), delay);
}

/* Registers the error of a refresh, after its transaction was rolled back. */
static void
note_failure(Scheduler *s, PlanNode *node, TimestampTz start, ErrorData *err)
{
	ereport(LOG,
			(errmsg("could not refresh stream table \"%s\": %s",
					node->label, err->message),
			 err->detail ? errdetail_internal("%s", err->detail) : 0,
			 err->context ? errcontext("%s", err->context) : 0));

	node->force = true;
	node->retry_at = TimestampTzPlusMilliseconds(s->clock->now(), LOCAL_RETRY_MS);
	s->reload = true;

	/* against an outdated plan nothing is proven: look again first */
	if (pgt_refresh_error_is_permanent(err->sqlerrcode) &&
		pgt_scheduler_catalog_changes() != s->plan_changes)
	{
		node->retry_at = 0;
		return;
	}

	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		/* if the extension is gone, loading the plan will find out */
		if (OidIsValid(pgt_extension_oid(true)))
			pgt_refresh_record_failure(node->pgt_id, start, err, PGT_BY_SCHEDULER);
		PopActiveSnapshot();
		CommitTransactionCommand();
		node->retry_at = 0;		/* the catalog's is valid now */
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
}

typedef enum RefreshOutcome
{
	REFRESH_DONE,
	REFRESH_BUSY,				/* locked by somebody else */
	REFRESH_OUTDATED			/* not there any more, suspended, ... */
} RefreshOutcome;

/* In a transaction.  Looks at the stream table again under its lock. */
static RefreshOutcome
refresh_locked(PlanNode *node, RefreshRecord *rec)
{
	StreamTable *st;

	if (!pgt_catalog_lock_stream_table(node->pgt_id, true))
		return REFRESH_BUSY;
	st = pgt_catalog_get_stream_table_by_id(node->pgt_id, true);
	if (st == NULL || st->relid != node->relid ||
		(st->status != PGT_STATUS_ACTIVE && st->status != PGT_STATUS_INITIALIZING))
		return REFRESH_OUTDATED;

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("refreshing stream table %s",
									pgt_quoted_relation_name(st->relid)));
	pgt_refresh_run(st->relid, PGT_BY_SCHEDULER, rec);
	return REFRESH_DONE;
}

/* What the counters say now becomes what the node has seen. */
static void
read_counters(PlanNode *node, uint64 *counters)
{
	for (int i = 0; i < node->nsources; i++)
		counters[i] = pgt_cdc_commit_count(node->sources[i].relid);
}

static void
note_success(Scheduler *s, PlanNode *node, const uint64 *counters, TimestampTz start)
{
	for (int i = 0; i < node->nsources; i++)
		node->sources[i].seen = counters[i];
	node->force = false;
	node->retry_at = 0;
	node->lock_timeouts = 0;
	if (pgt_auto_backoff)
	{
		if (pgt_plan_note_duration(node, s->clock->now() - start))
			ereport(LOG,
					(errmsg("interval of stream table \"%s\" lengthened to %.0f s",
							node->label,
							(double) node->duration * node->stretch / USECS_PER_SEC),
					 errdetail("Its refreshes take most of the interval.")));
	}
	else
		node->stretch = 1;
}

static void
refresh_node(Scheduler *s, PlanNode *node)
{
	TimestampTz start = s->clock->now();
	uint64	   *counters = palloc(sizeof(uint64) * Max(node->nsources, 1));
	ErrorData  *volatile err = NULL;
	volatile RefreshOutcome outcome = REFRESH_OUTDATED;
	RefreshRecord rec = {0};

	read_counters(node, counters);
	PG_TRY();
	{
		StartTransactionCommand();
		/* as below a statement; catalog rows with TOAST values need one */
		PushActiveSnapshot(GetTransactionSnapshot());
		outcome = refresh_locked(node, &rec);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(s->cycle_context);
		err = CopyErrorData();
		AbortOutOfAnyTransaction();
		FlushErrorState();
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(s->cycle_context);

	if (outcome != REFRESH_BUSY)
		node->last_refresh = start;
	if (err != NULL && err->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		note_lock_timeout(s, node);
	else if (err != NULL)
		note_failure(s, node, start, err);
	else if (outcome == REFRESH_DONE)
		note_success(s, node, counters, start);
	else if (outcome == REFRESH_BUSY)
		node->retry_at = TimestampTzPlusMilliseconds(start, BUSY_RETRY_MS);
	else
		s->reload = true;
	MemoryContextSwitchTo(s->cycle_context);
	pgstat_report_stat(false);
}

/* ---- a pass ---- */

static bool
has_changes(const PlanNode *node)
{
	if (node->force || node->always)
		return true;
	for (int i = 0; i < node->nsources; i++)
	{
		if (pgt_cdc_commit_count(node->sources[i].relid) != node->sources[i].seen)
			return true;
	}
	return false;
}

/*
 * Refreshes what is due.  Sets when the next pass is due without news: when
 * something that has changes already becomes due, or after
 * scheduler_interval_ms.
 *
 * With very many stream tables, walking over all of them takes a while.  Under
 * a storm of commits that must not become all that is done, so passes leave a
 * pause of a few times the time that the walk itself took.
 */
static void
run_pass(Scheduler *s)
{
	SchedulerPlan *plan = s->plan;
	TimestampTz start = s->clock->now();
	TimestampTz now = start;
	int64		refreshing = 0;
	TimestampTz next = TimestampTzPlusMilliseconds(start, pgt_scheduler_interval_ms);
	TimestampTz first = DT_NOEND;

	s->commits_seen = pgt_cdc_database_commit_count();
	s->next_pass = 0;
	for (int i = 0; i < plan->nnodes; i++)
	{
		PlanNode   *node = &plan->nodes[plan->order[i]];
		TimestampTz due = pgt_plan_due(node);

		if (due == DT_NOEND)
			continue;
		if (has_changes(node))
		{
			if (due <= now)
			{
				TimestampTz before = s->clock->now();

				refresh_node(s, node);
				now = s->clock->now();
				refreshing += now - before;
				due = pgt_plan_due(node);
				/* changed plan, settings or database: begin anew */
				if (s->reload || ConfigReloadPending ||
					pgt_scheduler_catalog_changes() != s->plan_changes ||
					pgt_scheduler_asked_to_stop())
					return;
				CHECK_FOR_INTERRUPTS();
			}
			if (has_changes(node))
				next = Min(next, due);
		}
		else
		{
			if (now >= pgt_plan_look_due(node))
			{
				pgt_refresh_stats_no_data(node->pgt_id, now);
				node->last_look = now;
			}
		}
		first = Min(first, due);
	}
	s->next_pass = next;
	s->first_due = first;
	now = s->clock->now();
	s->not_before = now + PAUSE_FACTOR * Max(now - start - refreshing, 0);
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
 * Prepared transactions were counted when they were prepared, and nobody says
 * when they end: while there are any, and once more afterwards, every stream
 * table is refreshed when it is due.
 */
static void
mind_prepared_transactions(Scheduler *s)
{
	if (!pgt_cdc_prepared_pending())
		return;
	for (int i = 0; i < s->plan->nnodes; i++)
	{
		if (s->plan->nodes[i].nsources > 0)
			s->plan->nodes[i].force = true;
	}
	s->next_pass = 0;
}

static bool
has_news(Scheduler *s)
{
	return pgt_cdc_database_commit_count() != s->commits_seen;
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

/*
 * Sleeps until then, or until something happens.  As long as no stream table
 * can be due, nobody need wake us: with many commits per interval, being woken
 * by each of them would cost more than the refreshes.  Listening begins before
 * the counters are compared, so that no commit falls in between.
 */
static void
sleep_until(Scheduler *s, TimestampTz until)
{
	TimestampTz now = s->clock->now();

	if (!pgt_enabled)
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
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
	s->clock->wait_until(until);
}

/* One turn of the loop.  Returns when to wake up at the latest. */
static TimestampTz
run_cycle(Scheduler *s)
{
	TimestampTz now;

	if (s->reload || s->plan == NULL ||
		pgt_scheduler_catalog_changes() != s->plan_changes ||
		s->clock->now() >= TimestampTzPlusMilliseconds(s->plan_time, RELOAD_MS))
		refresh_plan(s);

	now = s->clock->now();
	if (!pgt_enabled)
		return DT_NOEND;
	mind_prepared_transactions(s);
	if (now >= s->not_before && (now >= s->next_pass || has_news(s)))
	{
		run_pass(s);
		if (s->reload || s->next_pass == 0)
			return 0;			/* the pass was cut short */
	}
	pgt_scheduler_maintain(&s->maintenance, s->clock->now());
	return Max(s->next_pass, s->not_before);
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

/* The session's settings: nothing that a database or role prescribes for users. */
static void
pin_settings(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_deferrable", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("session_replication_role", "origin", PGC_SUSET, PGC_S_SESSION);
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION);
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
	pin_settings();
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
			s->first_due = s->next_pass = wake_at = TimestampTzPlusMilliseconds(s->clock->now(), LOCAL_RETRY_MS);
		if (wake_at != 0)
			sleep_until(s, wake_at);
	}
}
