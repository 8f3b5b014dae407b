/*-------------------------------------------------------------------------
 *
 * pass.c
 *	  A pass over the plan: what is due, made into jobs, and their outcomes.
 *
 * A unit (units.c) has something to do when a member is due and has changes.
 * Then its job consists of those members, and of due ones that read them.
 * Units that are due together form a wave: a unit waits for the units that it reads,
 * if these have something to do or are being refreshed, so that it finds
 * their changes.
 *
 *		pass 1		a: job		b (reads a): held	c: job
 *		a ends
 *		pass 2		b: job
 *
 * Ready units are served in the order in which they became due, so nobody is
 * served twice while another one waits.
 *
 * Who does a job.  Handing it to a worker costs a few context switches, and at
 * first a process.  So the scheduler does what takes a moment itself, as long as
 * nothing else is going on.  All else goes to workers, at most
 * max_concurrent_refreshes at a time; preferably to the one that did it before,
 * which has the plans.  What turns out to take longer than a moment is given up
 * and handed to a worker, too.  If no worker can be had, the scheduler does what the
 * workers cannot, one job after the other.
 *
 * Counters.  A member has seen what its sources' counters said when its job
 * was made.  What the job itself adds to the counter of a source that is a
 * member, too, has been seen as well: it is one, and known (wakeup.c).
 *
 * IDENTIFICATION
 *	  src/scheduler/pass.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"

#include "scheduler_internal.h"

/* a stream table that somebody else is refreshing or altering */
#define BUSY_RETRY_MS		100
/* a lock on something else that a refresh needs; doubled each time */
#define LOCK_RETRY_MS		50
#define LOCK_RETRY_MAX_MS	10000
/* in a row, until the log tells */
#define LOCK_RETRY_TELL		4
/* after an error that could not be recorded in the catalog, or a lost worker */
#define LOCAL_RETRY_MS		1000
/* stale content is looked for this often */
#define ALERTS_MS			1000
/* pause between passes, in terms of the time that one takes */
#define PAUSE_FACTOR		4
/* what the scheduler does itself: all that is ready, or a single job */
#define SHORT_USECS			3000
#define SHORT_JOB_USECS		20000
/* a member may be this part of its interval early to go with what it reads */
#define EARLY_SHARE			4
/* ... and gives up after this time; if it can, a worker does it then */
#define SELF_LIMIT_MS		1000
#define TOO_LONG_USECS		(10 * USECS_PER_SEC)
/* members of a chain that take less than this together share a transaction */
#define TOGETHER_USECS		10000

/* ---- what is there to do ---- */

/* Where there are none, the next commit of a source is awaited. */
static bool
has_changes(Scheduler *s, const PlanNode *node)
{
	bool		result = node->force || node->always;

	for (int i = 0; i < node->nsources && !result; i++)
		result = !pgt_cdc_await_commit(node->sources[i].relid, node->sources[i].seen);
	s->found |= result;
	return result;
}

static void
count_look(PlanNode *node, TimestampTz due, TimestampTz now)
{
	if (due <= now && now >= pgt_plan_look_due(node))
	{
		pgt_refresh_stats_no_data(node->pgt_id, now);
		node->last_look = now;
	}
}

/* Does it read a member of its unit that is to be refreshed? */
static bool
reads_todo(SchedulerPlan *plan, const PlanUnit *unit, const PlanNode *node)
{
	for (int i = 0; i < node->nsources; i++)
	{
		PlanNode   *source;

		if (node->sources[i].node < 0)
			continue;
		source = &plan->nodes[node->sources[i].node];
		if (source->unit == node->unit && source->todo)
			return true;
	}
	return false;
}

static void
set_todo(PlanUnit *unit, PlanNode *node, TimestampTz due)
{
	node->todo = true;
	if (unit->ntodo++ == 0 || due < unit->due)
		unit->due = due;
}

static bool
may_come_early(const PlanNode *node, int64 usecs)
{
	return node->crons == NIL && usecs <= node->duration * node->stretch / EARLY_SHARE;
}

/*
 * Each member when it is due.  One that reads another may come a little early, so that
 * members of a unit keep in step: later, it would have to come for
 * changes that are there now.
 */
static void
look_at_members(Scheduler *s, PlanUnit *unit, TimestampTz now)
{
	for (int i = 0; i < unit->nmembers; i++)
	{
		PlanNode   *node = &s->plan->nodes[unit->members[i]];
		TimestampTz due = pgt_plan_due(node);
		bool		early = false;

		if (due == DT_NOEND)
			continue;
		if (unit->ntodo > 0 && reads_todo(s->plan, unit, node))
			early = due <= now || (node->retry_at == 0 && node->hold_until == 0);
		if (early || has_changes(s, node))
		{
			if (node->pending_since == 0)
				node->pending_since = now;
			if (due <= now || (early && may_come_early(node, due - now)))
				set_todo(unit, node, due);
			else
				s->next_pass = Min(s->next_pass, due);
		}
		else
			count_look(node, due, now);
		s->first_due = Min(s->first_due, due);
	}
}

/* Something is to be done then, though nobody commits. */
static void
wait_for(Scheduler *s, TimestampTz due)
{
	s->found = true;
	s->next_pass = Min(s->next_pass, due);
}

/*
 * Diamonds that are to be consistent: all members, when the fastest is due, or
 * the slowest.  While one is suspended, or holds off after an error, so do
 * the others.  Members that are refreshed by hand only do not count.
 */
static void
look_at_diamond(Scheduler *s, PlanUnit *unit, TimestampTz now)
{
	TimestampTz due = unit->slowest ? 0 : DT_NOEND;
	TimestampTz not_before = 0;
	bool		changes = false;
	int			nmembers = 0;

	for (int i = 0; i < unit->nmembers; i++)
	{
		PlanNode   *node = &s->plan->nodes[unit->members[i]];
		TimestampTz its_due = pgt_plan_due(node);

		if (node->interval == 0)
			continue;
		if (its_due == DT_NOEND)
			return;
		nmembers++;
		due = unit->slowest ? Max(due, its_due) : Min(due, its_due);
		not_before = Max(not_before, Max(node->retry_at, node->hold_until));
		if (node->always && its_due > now)
			wait_for(s, its_due);
		else
			changes |= has_changes(s, node);
	}
	if (nmembers == 0)
		return;
	due = Max(due, not_before);
	s->first_due = Min(s->first_due, due);
	for (int i = 0; i < unit->nmembers; i++)
	{
		PlanNode   *node = &s->plan->nodes[unit->members[i]];

		if (node->interval == 0)
			continue;
		if (!changes)
			count_look(node, due, now);
		else
		{
			if (node->pending_since == 0 && has_changes(s, node))
				node->pending_since = now;
			if (due <= now && (has_changes(s, node) || reads_todo(s->plan, unit, node)))
				set_todo(unit, node, due);
		}
	}
	if (changes && due > now)
		s->next_pass = Min(s->next_pass, due);
}

/* Cycles are refreshed as a whole. */
static void
complete_cycles(Scheduler *s, PlanUnit *unit)
{
	for (int i = 0; i < unit->nmembers; i++)
	{
		PlanNode   *node = &s->plan->nodes[unit->members[i]];

		for (int j = 0; node->cycle != 0 && node->todo && j < unit->nmembers; j++)
		{
			PlanNode   *other = &s->plan->nodes[unit->members[j]];

			if (other->cycle == node->cycle && !other->todo)
				set_todo(unit, other, unit->due);
		}
	}
}

/* Fills unit->ntodo and, of its nodes, todo. */
static void
look_at_unit(Scheduler *s, PlanUnit *unit, TimestampTz now)
{
	unit->ntodo = 0;
	unit->due = 0;
	for (int i = 0; i < unit->nmembers; i++)
		s->plan->nodes[unit->members[i]].todo = false;
	if (unit->atomic)
		look_at_diamond(s, unit, now);
	else
		look_at_members(s, unit, now);
	if (unit->cyclic)
		complete_cycles(s, unit);
}

static bool
is_running(Scheduler *s, const PlanUnit *unit)
{
	for (int i = 0; i < unit->nmembers; i++)
		if (s->plan->nodes[unit->members[i]].running)
			return true;
	return false;
}

static bool
source_is_held(Scheduler *s, const PlanUnit *unit)
{
	for (int i = 0; i < unit->nsources; i++)
		if (s->plan->units[unit->sources[i]].held)
			return true;
	return false;
}

/* ---- jobs ---- */

static int64
expected_usecs(Scheduler *s, const PlanUnit *unit)
{
	int64		sum = 0;

	for (int i = 0; i < unit->nmembers; i++)
		if (s->plan->nodes[unit->members[i]].todo)
			sum += s->plan->nodes[unit->members[i]].expected;
	return sum;
}

/* Makes the job of a unit; its nodes are running from now on. */
static Job *
make_job(Scheduler *s, PlanUnit *unit)
{
	Job		   *job = palloc0(sizeof(Job));
	int			attempts = 0;
	int			n = 0;

	job->members = palloc0(sizeof(JobMember) * unit->ntodo);
	job->plan_changes = s->plan_changes;
	job->atomic = unit->atomic && unit->ntodo > 1;
	job->together = job->atomic || unit->cyclic ||
		(unit->ntodo > 1 && expected_usecs(s, unit) <= TOGETHER_USECS);
	for (int i = 0; i < unit->nmembers; i++)
	{
		PlanNode   *node = &s->plan->nodes[unit->members[i]];
		JobMember  *member;

		if (!node->todo)
			continue;
		member = &job->members[n];
		member->pgt_id = node->pgt_id;
		member->relid = node->relid;
		member->alone = node->rebuild;
		member->cycle = node->cycle;
		for (int j = 0; j < node->nsources; j++)
		{
			/* before the refresh takes its snapshot */
			node->sources[j].pending = pgt_cdc_commit_count(node->sources[j].relid);
			for (int k = 0; k < Min(n, 64); k++)
				if (job->members[k].relid == node->sources[j].relid)
					member->reads |= UINT64CONST(1) << k;
		}
		node->running = true;
		attempts = Max(attempts, node->attempts);
		n++;
	}
	job->nmembers = n;
	pgt_job_log(job, attempts + 1);
	return job;
}

/* ---- outcomes ---- */

static void
note_duration(Scheduler *s, PlanNode *node, int64 usecs)
{
	node->usecs = usecs;
	if (pgt_plan_note_slow_run(node, usecs))
		s->alerts = node->alert_behind = true;
	if (!pgt_auto_backoff)
		node->stretch = 1;
	else if (pgt_plan_note_duration(node, usecs))
		ereport(LOG,
				(errmsg("interval of stream table \"%s\" lengthened to %.0f s",
						node->label,
						(double) node->duration * node->stretch / USECS_PER_SEC),
				 errdetail("Its refreshes take most of the interval.")));
}

static void
note_success(Scheduler *s, PlanNode *node, const Job *job, const JobMember *member)
{
	for (int i = 0; i < node->nsources; i++)
	{
		PlanSource *source = &node->sources[i];

		source->seen = source->pending;
		for (int j = 0; j < job->nmembers; j++)
			if (job->members[j].relid == source->relid && job->members[j].touched)
				source->seen++;
	}
	node->force = false;
	node->rebuild = false;
	node->pending_since = 0;
	node->told_stale = false;
	node->retry_at = node->hold_until = 0;
	node->lock_timeouts = 0;
	node->attempts = 0;
	node->expected = (node->expected + member->usecs) / 2;
	note_duration(s, node, member->usecs);
}

/*
 * Somebody holds a lock that a refresh needs, say an ALTER TABLE on a source in
 * an open transaction.  That is no failure; the stream table waits its turn
 * while the others are refreshed.
 */
static void
note_locked(Scheduler *s, PlanNode *node)
{
	int			delay = Min(LOCK_RETRY_MS << Min(node->lock_timeouts, 10),
							LOCK_RETRY_MAX_MS);

	if (++node->lock_timeouts == LOCK_RETRY_TELL)
		ereport(LOG,
				(errmsg("refresh of stream table \"%s\" waits for a lock", node->label)));
	node->force = true;
	node->hold_until = TimestampTzPlusMilliseconds(s->clock->now(), delay);
}

static void
retry_after(Scheduler *s, PlanNode *node, int ms)
{
	node->force = true;
	node->hold_until = TimestampTzPlusMilliseconds(s->clock->now(), ms);
}

static void
note_outcome(Scheduler *s, PlanNode *node, const Job *job, const JobMember *member)
{
	node->running = false;
	node->attempts++;
	switch (member->outcome)
	{
		case PGT_MEMBER_DONE:
			node->last_refresh = member->started;
			/* what it reads may be known only now, say after a restore */
			s->reload |= node->rebuild;
			note_success(s, node, job, member);
			break;
		case PGT_MEMBER_BUSY:
			node->hold_until = TimestampTzPlusMilliseconds(s->clock->now(), BUSY_RETRY_MS);
			break;
		case PGT_MEMBER_LOCKED:
			note_locked(s, node);
			break;
		case PGT_MEMBER_OUTDATED:
			node->last_refresh = member->started;
			s->reload = true;
			break;
		case PGT_MEMBER_FAILED:
			node->last_refresh = member->started;
			/* the catalog says how long, if it could be told */
			if (!member->recorded)
				retry_after(s, node, LOCAL_RETRY_MS);
			s->reload = true;
			break;
		case PGT_MEMBER_SKIPPED:
			retry_after(s, node, BUSY_RETRY_MS);
			break;
		case PGT_MEMBER_TOO_LONG:
			node->force = true;
			node->expected = TOO_LONG_USECS;
			break;
		case PGT_MEMBER_PENDING:
			/* the process that was to do it is gone */
			retry_after(s, node, LOCAL_RETRY_MS);
			break;
	}
}

static void
finish_job(Scheduler *s, const Job *job)
{
	for (int i = 0; i < job->nmembers; i++)
	{
		PlanNode   *node = pgt_plan_find(s->plan, job->members[i].pgt_id);

		if (node != NULL && node->relid == job->members[i].relid)
			note_outcome(s, node, job, &job->members[i]);
	}
	s->next_pass = 0;
	s->found = true;
}

/* Collects what workers have done. */
void
pgt_pass_collect(Scheduler *s)
{
	JobMember	members[PGT_JOB_MEMBERS];
	Job			job = {0};

	if (s->nworkers == 0)
		return;
	job.members = members;
	for (int i = 0; i < pgt_pool_shared->nworkers; i++)
	{
		if (!pgt_pool_collect(i, &job))
			continue;
		pgt_job_log_end(&job);
		finish_job(s, &job);
	}
	s->nworkers = pgt_pool_count(false);
}

/* ---- who does it ---- */

/* By the scheduler itself.  False if the pass is to be cut short. */
static bool
do_job(Scheduler *s, Job *job, int limit_ms)
{
	pgt_job_log_start(job);
	pgt_job_execute(job, limit_ms);
	pgt_job_log_end(job);
	finish_job(s, job);
	return !s->reload && !ConfigReloadPending &&
		pgt_scheduler_catalog_changes() == s->plan_changes &&
		!pgt_scheduler_asked_to_stop();
}

/* Once in the server's life: schedulers may come and go every few seconds. */
static void
tell_limited(void)
{
	bool		told;
	int			limit;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	told = pgt_scheduler_shared->told_limited;
	pgt_scheduler_shared->told_limited = true;
	limit = pgt_pool_limit();
	LWLockRelease(pgt_scheduler_lock);
	if (told)
		return;
	ereport(LOG,
			(errmsg("pg_trickle refreshes with fewer workers than pg_trickle.max_concurrent_refreshes allows"),
			 errdetail("There can be %d refresh workers in all databases together.", limit),
			 errhint("Consider increasing max_worker_processes.")));
}

/* A worker for the unit, idle or just started; -1: none to be had now. */
static int
find_worker(Scheduler *s, const PlanUnit *unit)
{
	int			worker = pgt_pool_find_idle(unit->affinity);
	bool		limited = false;

	if (worker >= 0 || s->nworkers >= pgt_max_concurrent_refreshes)
		return worker;
	worker = pgt_pool_start(&limited);
	if (worker >= 0)
		s->nworkers++;
	else if (limited)
	{
		pgt_pool_set_wants(true);
		tell_limited();
	}
	return worker;
}

/* Order of becoming due, then of the plan. */
static int
compare_units(const void *a, const void *b)
{
	const PlanUnit *x = *(PlanUnit *const *) a;
	const PlanUnit *y = *(PlanUnit *const *) b;

	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool
may_have_workers(void)
{
	int			limit;

	if (pgt_max_concurrent_refreshes == 1)
		return false;
	LWLockAcquire(pgt_scheduler_lock, LW_SHARED);
	limit = pgt_pool_limit();
	LWLockRelease(pgt_scheduler_lock);
	return limit > 0;
}

static bool
is_for_scheduler(Scheduler *s, PlanUnit **ready, int nready)
{
	int64		sum = 0;

	if (pgt_max_concurrent_refreshes == 1)
		return true;
	for (int i = 0; i < nready && sum <= SHORT_JOB_USECS; i++)
		sum += expected_usecs(s, ready[i]);
	return sum <= (nready == 1 ? SHORT_JOB_USECS : SHORT_USECS);
}

/* Has the jobs of ready units done, as many as can be. */
static void
serve_units(Scheduler *s, PlanUnit **ready, int nready)
{
	int			nbusy = s->nworkers > 0 ? pgt_pool_count(true) : 0;
	bool		self = nbusy == 0 && is_for_scheduler(s, ready, nready);
	int			limit_ms = self && may_have_workers() ? SELF_LIMIT_MS : 0;

	qsort(ready, nready, sizeof(PlanUnit *), compare_units);
	for (int i = 0; i < nready; i++)
	{
		PlanUnit   *unit = ready[i];
		int			worker = -1;

		if (!self && nbusy >= pgt_max_concurrent_refreshes)
			break;
		if (!self && unit->ntodo <= PGT_JOB_MEMBERS)
			worker = find_worker(s, unit);
		if (worker >= 0)
		{
			pgt_pool_assign(worker, make_job(s, unit));
			unit->affinity = worker;
			nbusy++;
		}
		else if (nbusy == 0)
		{
			/* after a longer one, what came in meanwhile has its turn */
			if (!do_job(s, make_job(s, unit), limit_ms) || !self)
				break;
			CHECK_FOR_INTERRUPTS();
		}
		else
			break;
	}
}

/* ---- nothing to do ---- */

/*
 * Nothing has changes, and as long as nobody commits nothing can have.  All
 * that is left to do is to count looks, for very many stream tables in little
 * time: without touching their nodes.
 */
static void
become_idle(Scheduler *s)
{
	SchedulerPlan *plan = s->plan;

	for (int i = 0; i < plan->nnodes; i++)
	{
		PlanNode   *node = &plan->nodes[i];

		plan->look_after[i] = Max(node->duration, USECS_PER_SEC);
		plan->look_due[i] = pgt_plan_due(node) == DT_NOEND ? DT_NOEND : pgt_plan_look_due(node);
		/* what a cron is due at depends on the look before: not that simple */
		if (plan->looks[i] == NULL && node->interval > 0 && node->crons == NIL)
			plan->looks[i] = pgt_refresh_stats_looks(node->pgt_id);
	}
	s->idle = true;
}

static void
count_looks(SchedulerPlan *plan, TimestampTz now)
{
	for (int i = 0; i < plan->nnodes; i++)
	{
		RefreshLooks *looks = plan->looks[i];

		if (plan->look_due[i] > now)
			continue;
		if (looks == NULL)
		{
			count_look(&plan->nodes[i], 0, now);
			plan->look_due[i] = pgt_plan_look_due(&plan->nodes[i]);
			continue;
		}
		/* nobody else counts, but refreshes by hand that find nothing */
		pg_atomic_write_u64(&looks->count, pg_atomic_read_u64(&looks->count) + 1);
		pg_atomic_write_u64(&looks->last, (uint64) now);
		plan->look_due[i] = now + plan->look_after[i];
	}
}

/* ---- alerts ---- */

/* Changes wait for too long: for a worker, a lock, a refresh that does not end. */
static void
look_for_stale(Scheduler *s, TimestampTz now)
{
	for (int i = 0; i < s->plan->nnodes; i++)
	{
		PlanNode   *node = &s->plan->nodes[i];

		if (node->pending_since == 0 || node->told_stale || node->interval == 0 ||
			now - node->pending_since <= pgt_plan_stale_after(node))
			continue;
		s->alerts = node->told_stale = node->alert_stale = true;
	}
}

/* ---- a pass ---- */

/*
 * With very many stream tables, walking over all of them takes a while.  Under
 * a storm of commits that must not become all that is done, so passes leave a
 * pause of a few times the time that the walk itself took.
 */
void
pgt_pass_run(Scheduler *s)
{
	SchedulerPlan *plan = s->plan;
	TimestampTz start = s->clock->now();
	TimestampTz now = start;
	PlanUnit  **ready = palloc(sizeof(PlanUnit *) * Max(plan->nunits, 1));
	int			nready = 0;
	uint64		news = pgt_cdc_news_count();
	uint64		commits = pgt_cdc_database_commit_count();

	s->news_seen = news;
	s->next_pass = TimestampTzPlusMilliseconds(now, pgt_scheduler_interval_ms);
	if (s->idle && !s->found && commits == s->commits_seen)
	{
		count_looks(plan, now);
		return;
	}
	s->found = false;
	s->idle = false;
	s->commits_seen = commits;
	s->first_due = DT_NOEND;
	for (int i = 0; i < plan->nunits; i++)
	{
		PlanUnit   *unit = &plan->units[i];

		unit->held = is_running(s, unit);
		if (unit->held)
		{
			s->found = true;
			continue;
		}
		look_at_unit(s, unit, now);
		if (unit->ntodo == 0)
			continue;
		unit->held = true;
		if (!source_is_held(s, unit))
			ready[nready++] = unit;
	}
	if (s->found && start >= s->next_alerts)
	{
		look_for_stale(s, start);
		s->next_alerts = TimestampTzPlusMilliseconds(start, ALERTS_MS);
	}
	now = s->clock->now();
	s->not_before = now + PAUSE_FACTOR * Max(now - start, 0);
	if (!s->found)
		become_idle(s);
	if (nready == 0)
		pgt_pool_set_wants(false);
	else if (s->pause_until == 0 || s->nworkers == 0)
		serve_units(s, ready, nready);
}
