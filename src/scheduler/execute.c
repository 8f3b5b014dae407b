/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  Doing a job: the refreshes of one unit, in the scheduler or a worker.
 *
 * A job that is done together is one transaction with one snapshot:
 *
 *	- Atomic (a diamond): all or nothing.  A member that fails, or that is locked
 *	  by somebody, takes the others along.  So does one that is to be filled or
 *	  rebuilt.  If that may begin to capture a source, which needs a snapshot of
 *	  later, it is done before, without touching any content.
 *	- Otherwise (a chain whose members are quick): each member is a
 *	  subtransaction.  What fails is rolled back alone, what reads it is left
 *	  out, and the rest commits.
 *
 * What one member changes goes to the next in memory then, if nobody else needs
 * it (cdc/relay.c).
 *
 * Other jobs do their members one after the other, each in a transaction of
 * its own, so that nobody waits for what comes later in a chain of slow ones.
 * The same is done, before all else, with a member of another than an atomic unit that
 * is to be filled or rebuilt.
 *
 * A failure is recorded in a transaction of its own, after the job's.  Nothing
 * here waits for a lock, see refresh/wave.c; lock_timeout is for the rest, say
 * functions of users.
 *
 * IDENTIFICATION
 *	  src/scheduler/execute.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/refresh.h"

#include "scheduler_internal.h"

/* Only what is not locked in advance is waited for, and not for long. */
#define LOCK_TIMEOUT		"500ms"
/* A refresh, not a user, is to find out about a deadlock. */
#define DEADLOCK_TIMEOUT	"10ms"

/* The session's settings: nothing that a database or role prescribes for users. */
void
pgt_scheduler_pin_settings(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("default_transaction_deferrable", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("session_replication_role", "origin", PGC_SUSET, PGC_S_SESSION);
#if PG_VERSION_NUM >= 170000
	/* it would end the process */
	SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_SESSION);
#endif
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("deadlock_timeout", DEADLOCK_TIMEOUT, PGC_SUSET, PGC_S_SESSION);
}

/* Of the job that this process is doing; outlives its transactions. */
static MemoryContext job_context = NULL;

/* ---- one member ---- */

static MemberOutcome
try_lock(const JobMember *member)
{
	switch (pgt_refresh_try_lock(member->pgt_id))
	{
		case PGT_LOCK_BUSY:
			return PGT_MEMBER_BUSY;
		case PGT_LOCK_RELATION:
			return PGT_MEMBER_LOCKED;
		case PGT_LOCK_GONE:
			return PGT_MEMBER_OUTDATED;
		case PGT_LOCK_OK:
			break;
	}
	return PGT_MEMBER_DONE;
}

/*
 * Locks and looks again: what we were told may be out of date.  With a member of
 * a cycle come the others, which its refresh refreshes, too.
 */
static MemberOutcome
lock_member(const Job *job, JobMember *member)
{
	MemberOutcome outcome = try_lock(member);
	StreamTable *st;

	for (int i = 0; member->cycle != 0 && i < job->nmembers; i++)
		if (outcome == PGT_MEMBER_DONE && job->members[i].cycle == member->cycle)
			outcome = try_lock(&job->members[i]);
	if (outcome != PGT_MEMBER_DONE)
		return outcome;
	st = pgt_catalog_get_stream_table_by_id(member->pgt_id, true);
	if (st == NULL || st->relid != member->relid ||
		(st->status != PGT_STATUS_ACTIVE && st->status != PGT_STATUS_INITIALIZING))
		return PGT_MEMBER_OUTDATED;
	if (pgt_scheduler_needs_rebuild(st) && !member->alone)
		return PGT_MEMBER_OUTDATED;
	return PGT_MEMBER_DONE;
}

/* The clock may be set while a refresh goes on. */
static int64
usecs_since(TimestampTz start)
{
	return Max(GetCurrentTimestamp() - start, 0);
}

/* Under its locks.  An error propagates. */
static void
refresh_member(JobMember *member)
{
	TimestampTz start = GetCurrentTimestamp();
	MemoryContext context = MemoryContextSwitchTo(job_context);
	RefreshRecord rec;

	member->label = pgt_relation_label(member->relid);
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("refreshing stream table %s",
									pgt_quoted_relation_name(member->relid)));
	member->started = start;
	pgt_refresh_run(member->relid, PGT_BY_SCHEDULER, &rec);
	member->usecs = usecs_since(start);
	member->outcome = PGT_MEMBER_DONE;
}

/* Which members' readers will see their counters move when this commits? */
static void
note_touched(Job *job)
{
	for (int i = 0; i < job->nmembers; i++)
		job->members[i].touched |= job->members[i].outcome == PGT_MEMBER_DONE &&
			pgt_cdc_wakeup_is_noted(job->members[i].relid);
}

/* ---- the limit ---- */

static volatile sig_atomic_t limit_reached = false;

/* In a signal handler: cancels what is going on, as a user would. */
static void
limit_handler(void)
{
	limit_reached = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static void
set_limit(int ms)
{
	static TimeoutId timeout = MAX_TIMEOUTS;

	limit_reached = false;
	if (timeout == MAX_TIMEOUTS)
	{
		if (ms == 0)
			return;
		timeout = RegisterTimeout(USER_TIMEOUT, limit_handler);
	}
	if (ms > 0)
		enable_timeout_after(timeout, ms);
	else
		disable_timeout(timeout, false);
}

/* Somebody's lock is no failure, nor is the limit. */
static void
note_error(JobMember *member, const ErrorData *err)
{
	if (err->sqlerrcode == ERRCODE_QUERY_CANCELED && limit_reached)
		member->outcome = PGT_MEMBER_TOO_LONG;
	else if (err->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
			 err->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		member->outcome = PGT_MEMBER_LOCKED;
	else
		member->outcome = PGT_MEMBER_FAILED;
	member->usecs = usecs_since(member->started);
}

/*
 * Registers the error of a refresh in the catalog, after its transaction was
 * rolled back.
 */
static void
record_failure(Job *job, JobMember *member, ErrorData *err)
{
	MemoryContext context = CurrentMemoryContext;

	ereport(LOG,
			(errmsg("could not refresh stream table \"%s\": %s",
					member->label ? member->label : "", err->message),
			 err->detail ? errdetail_internal("%s", err->detail) : 0,
			 err->context ? errcontext("%s", err->context) : 0));

	/* against an outdated plan nothing is proven: look again first */
	if (pgt_refresh_error_is_permanent(err->sqlerrcode) &&
		pgt_scheduler_catalog_changes() != job->plan_changes)
	{
		member->outcome = PGT_MEMBER_OUTDATED;
		return;
	}

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		/* if the extension is gone, loading the plan will find out */
		if (OidIsValid(pgt_extension_oid(true)))
			pgt_refresh_record_failure(member->pgt_id, member->started, err, PGT_BY_SCHEDULER);
		PopActiveSnapshot();
		CommitTransactionCommand();
		member->recorded = true;
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
	MemoryContextSwitchTo(context);
}

/* In PG_CATCH: copies the error and rolls back. */
static ErrorData *
take_error(MemoryContext context)
{
	ErrorData  *err;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	err = CopyErrorData();
	AbortOutOfAnyTransaction();
	FlushErrorState();
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(context);
	return err;
}

/* ---- a member in a transaction of its own ---- */

/* Under its locks.  Begins to capture what it reads, if that was not done. */
static void
adopt_member(JobMember *member)
{
	MemoryContext context = MemoryContextSwitchTo(job_context);

	member->label = pgt_relation_label(member->relid);
	MemoryContextSwitchTo(context);
	(void) pgt_definition_adopt_if_foreign(pgt_catalog_get_stream_table_by_id(member->pgt_id,
																			  false));
}

/* adopt: what has to be done before it can be refreshed with others, no more. */
static void
refresh_alone(Job *job, JobMember *member, bool adopt)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile err = NULL;

	member->started = GetCurrentTimestamp();
	PG_TRY();
	{
		MemberOutcome outcome;

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		/* as below a statement; catalog rows with TOAST values need one */
		PushActiveSnapshot(GetTransactionSnapshot());
		outcome = lock_member(job, member);
		if (outcome == PGT_MEMBER_DONE && adopt)
		{
			adopt_member(member);
			outcome = PGT_MEMBER_PENDING;
		}
		else if (outcome == PGT_MEMBER_DONE)
		{
			refresh_member(member);
			note_touched(job);
		}
		PopActiveSnapshot();
		CommitTransactionCommand();
		member->outcome = outcome;
	}
	PG_CATCH();
	{
		err = take_error(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (err != NULL)
	{
		member->touched = false;
		note_error(member, err);
		if (member->outcome == PGT_MEMBER_FAILED)
			record_failure(job, member, err);
	}
}

/* Has it been refreshed with another member of its cycle? */
static bool
is_done_with_cycle(const Job *job, int member)
{
	for (int i = 0; i < member; i++)
		if (job->members[member].cycle != 0 &&
			job->members[i].cycle == job->members[member].cycle &&
			job->members[i].outcome == PGT_MEMBER_DONE)
			return true;
	return false;
}

/* Did something go wrong that the member has to wait for? */
static bool
is_held_up(const Job *job, int member)
{
	for (int i = 0; i < member; i++)
	{
		MemberOutcome outcome = job->members[i].outcome;

		if (outcome != PGT_MEMBER_DONE && outcome != PGT_MEMBER_PENDING &&
			(job->atomic ||
			 (i < 64 && (job->members[member].reads & (UINT64CONST(1) << i))) ||
			 (job->members[member].cycle != 0 && job->members[i].cycle == job->members[member].cycle)))
			return true;
	}
	return false;
}

static void
refresh_one_by_one(Job *job)
{
	for (int i = 0; i < job->nmembers; i++)
	{
		JobMember  *member = &job->members[i];

		if (member->outcome != PGT_MEMBER_PENDING)
			continue;
		if (is_held_up(job, i) || limit_reached)
			member->outcome = PGT_MEMBER_SKIPPED;
		else if (is_done_with_cycle(job, i))
			member->outcome = PGT_MEMBER_DONE;
		else
			refresh_alone(job, member, false);
		if (pgt_scheduler_asked_to_stop())
			break;
	}
}

/* ---- together ---- */

/* False if nothing can be done. */
static bool
lock_members(Job *job)
{
	int			nlocked = 0;
	bool		missed = false;

	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < job->nmembers; i++)
	{
		JobMember  *member = &job->members[i];
		MemberOutcome outcome;

		if (member->outcome != PGT_MEMBER_PENDING)
		{
			missed |= member->outcome != PGT_MEMBER_DONE;
			continue;
		}
		if (is_held_up(job, i))
			continue;
		outcome = lock_member(job, member);
		if (outcome == PGT_MEMBER_DONE)
			nlocked++;
		else
		{
			member->outcome = outcome;
			missed = true;
		}
	}
	PopActiveSnapshot();
	return nlocked > 0 && !(job->atomic && missed);
}

static void
skip_members(Job *job)
{
	for (int i = 0; i < job->nmembers; i++)
		if (job->members[i].outcome == PGT_MEMBER_PENDING)
			job->members[i].outcome = PGT_MEMBER_SKIPPED;
}

/* NULL, or the error that has rolled it back. */
static ErrorData *
refresh_in_subtransaction(JobMember *member)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile err = NULL;

	BeginInternalSubTransaction("pg_trickle member");
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		refresh_member(member);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		err = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return err;
}

/* What one changes goes to the next in memory, where that is enough. */
static void
begin_relays(const Job *job)
{
	int64	   *ids = palloc(sizeof(int64) * job->nmembers);
	int			n = 0;

	for (int i = 0; i < job->nmembers; i++)
		if (job->members[i].outcome == PGT_MEMBER_PENDING)
			ids[n++] = job->members[i].pgt_id;
	pgt_cdc_relays_begin(ids, n);
}

/* In a transaction that holds the locks.  errors[i]: of member i, or NULL. */
static void
refresh_members(Job *job, ErrorData **errors, volatile int *current)
{
	PushActiveSnapshot(pgt_refresh_share_snapshot());
	begin_relays(job);
	for (int i = 0; i < job->nmembers; i++)
	{
		JobMember  *member = &job->members[i];

		if (member->outcome != PGT_MEMBER_PENDING)
			continue;
		if (is_held_up(job, i) || limit_reached)
			member->outcome = PGT_MEMBER_SKIPPED;
		else if (is_done_with_cycle(job, i))
			member->outcome = PGT_MEMBER_DONE;
		else if (job->atomic)
		{
			*current = i;
			refresh_member(member);
		}
		else if ((errors[i] = refresh_in_subtransaction(member)) != NULL)
			note_error(member, errors[i]);
		else
			*current = i;
		pgt_cdc_relays_settle(member->pgt_id);
	}
	pgt_cdc_relays_end();
	note_touched(job);
	PopActiveSnapshot();
	pgt_refresh_release_snapshot();
}

/*
 * The transaction was rolled back because of one of them.  What had failed by itself
 * before, or was not even begun, remains what it was.
 */
static void
roll_back_members(Job *job, int culprit, const ErrorData *err)
{
	for (int i = 0; i < job->nmembers; i++)
	{
		JobMember  *member = &job->members[i];

		if (member->alone && !job->atomic)
			continue;			/* in a transaction of its own */
		member->touched = false;
		if (i == culprit)
			note_error(member, err);
		else if (member->outcome == PGT_MEMBER_DONE || member->outcome == PGT_MEMBER_PENDING)
			member->outcome = PGT_MEMBER_SKIPPED;
	}
}

static void
refresh_together(Job *job)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData **errors = palloc0(sizeof(ErrorData *) * job->nmembers);
	ErrorData  *volatile err = NULL;
	volatile int current = 0;

	for (int i = 0; i < job->nmembers; i++)
		job->members[i].started = GetCurrentTimestamp();
	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		MemoryContextSwitchTo(context);
		if (lock_members(job))
			refresh_members(job, errors, &current);
		else
			skip_members(job);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		err = take_error(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);

	if (err != NULL)
	{
		roll_back_members(job, current, err);
		errors[current] = err;
	}
	for (int i = 0; i < job->nmembers; i++)
		if (errors[i] != NULL && job->members[i].outcome == PGT_MEMBER_FAILED)
			record_failure(job, &job->members[i], errors[i]);
}

/* ---- all of it ---- */

/* Fills the outcomes in.  Errors are dealt with; only FATAL ones leave. */
void
pgt_job_execute(Job *job, int limit_ms)
{
	MemoryContext old = CurrentMemoryContext;
	int			npending = 0;

	job_context = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle job",
										ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(job_context);
	set_limit(limit_ms);
	for (int i = 0; i < job->nmembers; i++)
	{
		job->members[i].label = NULL;
		if (job->together && job->members[i].alone && !is_done_with_cycle(job, i))
			refresh_alone(job, &job->members[i], job->atomic);
	}
	for (int i = 0; i < job->nmembers; i++)
		npending += job->members[i].outcome == PGT_MEMBER_PENDING;
	if (npending > 1 && job->together)
		refresh_together(job);
	else
		refresh_one_by_one(job);
	set_limit(0);
	pgstat_report_stat(false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(job_context);
	job_context = NULL;
}
