/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  When to refresh which stream table: plain data in and out.
 *
 * The rule.  A stream table has an effective interval:
 *
 *		a duration		as given; 0: at once
 *		a cron			the longest time between two times that it names
 *		calculated		the shortest effective interval among the stream tables
 *						that read it; without any, default_schedule_seconds
 *		NULL			none: it is refreshed by hand
 *
 * It is due when that interval has passed since its last refresh began, and
 * no backoff after an error holds it.  A due stream table is refreshed as soon
 * as there is something to do: a commit changed one of its sources, or it was
 * never filled, or must be rebuilt.  So a change after a quiet time is applied
 * at once, and a source that is written all the time leads to one refresh per
 * interval.
 *
 *		interval 10 s
 *		|--refresh--|............|due, nothing changed....commit: refresh
 *		|--refresh--|....commit..|due: refresh
 *
 * A cron is different: it is due at the times named, and what finds nothing to
 * do then waits for the next one.  A time that passes while
 * nobody looks is made up for, once.  What is calculated is due when a reader
 * with a cron is, and comes before it; besides, when the shortest duration
 * of its readers has passed.
 *
 *		cron 03:00, 06:00	03:00: refresh....commit..|06:00: refresh
 *							03:00: no changes.commit..|06:00: refresh
 *
 * auto_backoff.  If three refreshes in a row took more than 80 % of the
 * interval, it is doubled, up to eight times its length; after three in a row
 * that took less than 30 % it is halved again, down to the schedule's.
 *
 * IDENTIFICATION
 *	  src/scheduler/plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "pgtrickle/guc.h"

#include "scheduler_internal.h"

#define MAX_STRETCH		8
#define STRETCH_AFTER	3

/* An effective interval of "at once": the shortest that there is. */
#define AT_ONCE			1
/* What is looked at all the time counts as looked at this often. */
#define LOOK_INTERVAL	USECS_PER_SEC
/* No backoff is longer: refresh/failure.c. */
#define LONGEST_WAIT_MS	75000
/* What nobody need be told of. */
#define STALE_GRACE		(2 * USECS_PER_SEC)

static void
add_cron(PlanNode *node, const CronSchedule *cron)
{
	ListCell   *lc;

	foreach(lc, node->crons)
		if (memcmp(lfirst(lc), cron, sizeof(CronSchedule)) == 0)
			return;
	node->crons = lappend(node->crons, unconstify(CronSchedule *, cron));
}

static void
set_shorter(int64 *interval, int64 other)
{
	if (other > 0 && (*interval == 0 || other < *interval))
		*interval = other;
}

/* As soon as any reader. */
static void
calculate_interval(SchedulerPlan *plan, PlanNode *node, int default_seconds)
{
	ListCell   *lc;

	for (int j = 0; j < node->nconsumers; j++)
	{
		PlanNode   *reader = &plan->nodes[node->consumers[j]];

		set_shorter(&node->interval, reader->interval);
		set_shorter(&node->duration, reader->duration);
		foreach(lc, reader->crons)
			add_cron(node, lfirst(lc));
	}
	if (node->interval == 0)
		node->interval = node->duration = (int64) default_seconds * USECS_PER_SEC;
}

/*
 * Effective intervals of all nodes; plan->order is set.  Lists are made in the
 * current memory context.
 */
void
pgt_plan_set_intervals(SchedulerPlan *plan, int default_seconds)
{
	for (int i = plan->nnodes - 1; i >= 0; i--)
	{
		PlanNode   *node = &plan->nodes[plan->order[i]];
		int64		shortest;

		node->interval = node->duration = 0;
		node->crons = NIL;
		switch (node->schedule.kind)
		{
			case PGT_SCHEDULE_MANUAL:
				break;
			case PGT_SCHEDULE_DURATION:
				node->duration = node->schedule.seconds == 0 ? AT_ONCE :
					node->schedule.seconds * USECS_PER_SEC;
				node->interval = node->duration;
				break;
			case PGT_SCHEDULE_CRON:
				pgt_cron_gaps(&node->schedule.cron, &shortest, &node->interval);
				node->interval *= USECS_PER_SEC;
				add_cron(node, &node->schedule.cron);
				break;
			case PGT_SCHEDULE_CALCULATED:
				calculate_interval(plan, node, default_seconds);
				break;
		}
	}
}

/* The next of the times that crons name; kept until the node is looked at again. */
static TimestampTz
cron_due(PlanNode *node)
{
	TimestampTz base = Max(node->last_refresh, node->last_look);
	ListCell   *lc;

	/* closer than today's minimum is as good as one */
	base += (pgt_min_schedule_seconds - 1) * USECS_PER_SEC;
	if (node->cron_due == 0 || node->cron_base != base)
	{
		node->cron_base = base;
		node->cron_due = DT_NOEND;
		foreach(lc, node->crons)
			node->cron_due = Min(node->cron_due, pgt_cron_next(lfirst(lc), base));
	}
	return node->cron_due;
}

/* When the node may be refreshed next; DT_NOEND if never. */
TimestampTz
pgt_plan_due(PlanNode *node)
{
	TimestampTz due = 0;

	if (!node->active || node->interval == 0)
		return DT_NOEND;
	if (node->last_refresh != 0)
	{
		due = DT_NOEND;
		if (node->duration > 0)
			due = node->last_refresh + node->duration * node->stretch;
		if (node->crons != NIL)
			due = Min(due, cron_due(node));
	}
	return Max(due, Max(node->retry_at, node->hold_until));
}

/*
 * When a look that finds no changes counts as one: it is remembered as
 * last_look, and in the statistics.
 */
TimestampTz
pgt_plan_look_due(PlanNode *node)
{
	TimestampTz due = pgt_plan_due(node);

	if (node->crons == NIL)
		due = Max(due, node->last_look + Max(node->duration, LOOK_INTERVAL));
	return due;
}

/* Registers how long a refresh took; true if the interval was lengthened. */
bool
pgt_plan_note_duration(PlanNode *node, int64 microseconds)
{
	int64		interval = node->duration * node->stretch;

	/* times of day stay what they are, and at once is as fast as it goes */
	if (node->duration <= AT_ONCE)
		return false;
	node->overruns = microseconds > interval / 10 * 8 ? node->overruns + 1 : 0;
	node->underruns = microseconds < interval / 10 * 3 ? node->underruns + 1 : 0;

	if (node->overruns >= STRETCH_AFTER && node->stretch < MAX_STRETCH)
	{
		node->stretch *= 2;
		node->overruns = 0;
		return true;
	}
	if (node->underruns >= STRETCH_AFTER && node->stretch > 1)
	{
		node->stretch /= 2;
		node->underruns = 0;
	}
	return false;
}

/*
 * The same for somebody to hear of: true when refreshes have begun to take most
 * of the schedule's duration.
 */
bool
pgt_plan_note_slow_run(PlanNode *node, int64 microseconds)
{
	if (node->duration <= AT_ONCE || microseconds <= node->duration / 10 * 8)
	{
		node->slow_runs = 0;
		node->told_behind = false;
		return false;
	}
	if (++node->slow_runs < STRETCH_AFTER || node->told_behind)
		return false;
	node->told_behind = true;
	return true;
}

/* Changes that wait for longer than this make the content stale. */
int64
pgt_plan_stale_after(const PlanNode *node)
{
	return 2 * node->interval + pgt_scheduler_interval_ms * INT64CONST(1000) + STALE_GRACE;
}

/*
 * After the clock was set back: times that seem to lie in the future say nothing.
 * The node would wait until the clock is where it was; so it is due at once.
 */
void
pgt_plan_forget_future(PlanNode *node, TimestampTz now)
{
	TimestampTz latest = TimestampTzPlusMilliseconds(now, LONGEST_WAIT_MS);

	if (node->last_refresh > now)
		node->last_refresh = 0;
	if (node->last_look > now)
		node->last_look = 0;
	if (node->retry_at > latest)
		node->retry_at = 0;
	if (node->hold_until > latest)
		node->hold_until = 0;
	node->pending_since = Min(node->pending_since, now);
}
