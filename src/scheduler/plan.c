/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  When to refresh which stream table: plain data in and out.
 *
 * The rule.  A stream table has an effective interval:
 *
 *		a duration		as given
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

#include "scheduler_internal.h"

#define MAX_STRETCH		8
#define STRETCH_AFTER	3

/* Effective intervals of all nodes; plan->order is set. */
void
pgt_plan_set_intervals(SchedulerPlan *plan, int default_seconds)
{
	for (int i = plan->nnodes - 1; i >= 0; i--)
	{
		PlanNode   *node = &plan->nodes[plan->order[i]];

		node->interval = 0;
		switch (node->schedule.kind)
		{
			case PGT_SCHEDULE_MANUAL:
				break;
			case PGT_SCHEDULE_DURATION:
				node->interval = node->schedule.seconds * USECS_PER_SEC;
				break;
			case PGT_SCHEDULE_CALCULATED:
				for (int j = 0; j < node->nconsumers; j++)
				{
					int64		theirs = plan->nodes[node->consumers[j]].interval;

					if (theirs > 0 && (node->interval == 0 || theirs < node->interval))
						node->interval = theirs;
				}
				if (node->interval == 0)
					node->interval = (int64) default_seconds * USECS_PER_SEC;
				break;
		}
	}
}

/* When the node may be refreshed next; DT_NOEND if never. */
TimestampTz
pgt_plan_due(const PlanNode *node)
{
	TimestampTz due = 0;

	if (!node->active || node->interval == 0)
		return DT_NOEND;
	if (node->last_refresh != 0)
		due = node->last_refresh + node->interval * node->stretch;
	return Max(due, node->retry_at);
}

/* Registers how long a refresh took; true if the interval was lengthened. */
bool
pgt_plan_note_duration(PlanNode *node, int64 microseconds)
{
	int64		interval = node->interval * node->stretch;

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
