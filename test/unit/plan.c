/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Unit test of the scheduler's rule: effective intervals, due times,
 *	  auto_backoff, and what a failed refresh costs.
 *
 * IDENTIFICATION
 *	  test/unit/plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"

#include "../../src/scheduler/scheduler_internal.h"
#include "unit.h"

static void
set_schedule(PlanNode *node, ScheduleKind kind, int seconds)
{
	node->schedule.kind = kind;
	node->schedule.seconds = seconds;
	node->active = true;
	node->stretch = 1;
}

/*
 * 0 calculated -> 1 calculated -> 2 (30 s)
 *				-> 3 (10 s)
 * 4 calculated -> 5 (by hand)
 * 6 calculated, alone
 */
static void
check_intervals(void)
{
	static const int64 wanted[7] = {10, 30, 30, 10, 7, 0, 7};
	int			order[7] = {6, 4, 0, 1, 2, 3, 5};
	int			of_0[2] = {1, 3};
	int			of_1[1] = {2};
	int			of_4[1] = {5};
	PlanNode	nodes[7];
	SchedulerPlan plan = {0};

	memset(nodes, 0, sizeof(nodes));
	for (int i = 0; i < 7; i++)
		set_schedule(&nodes[i], PGT_SCHEDULE_CALCULATED, 0);
	set_schedule(&nodes[2], PGT_SCHEDULE_DURATION, 30);
	set_schedule(&nodes[3], PGT_SCHEDULE_DURATION, 10);
	set_schedule(&nodes[5], PGT_SCHEDULE_MANUAL, 0);
	nodes[0].consumers = of_0;
	nodes[0].nconsumers = 2;
	nodes[1].consumers = of_1;
	nodes[1].nconsumers = 1;
	nodes[4].consumers = of_4;
	nodes[4].nconsumers = 1;
	plan.nnodes = 7;
	plan.nodes = nodes;
	plan.order = order;

	pgt_plan_set_intervals(&plan, 7);
	for (int i = 0; i < 7; i++)
		UNIT_CHECK(nodes[i].interval == wanted[i] * USECS_PER_SEC);
}

static void
check_due(void)
{
	PlanNode	node = {0};
	TimestampTz t = 1000 * USECS_PER_SEC;

	set_schedule(&node, PGT_SCHEDULE_DURATION, 10);
	node.interval = node.duration = 10 * USECS_PER_SEC;

	/* never refreshed: at once */
	UNIT_CHECK(pgt_plan_due(&node) == 0);
	node.last_refresh = t;
	UNIT_CHECK(pgt_plan_due(&node) == t + 10 * USECS_PER_SEC);
	node.stretch = 4;
	UNIT_CHECK(pgt_plan_due(&node) == t + 40 * USECS_PER_SEC);
	/* backoff after an error, when it is longer */
	node.retry_at = t + 60 * USECS_PER_SEC;
	UNIT_CHECK(pgt_plan_due(&node) == t + 60 * USECS_PER_SEC);
	node.retry_at = t + USECS_PER_SEC;
	UNIT_CHECK(pgt_plan_due(&node) == t + 40 * USECS_PER_SEC);
	/* by hand, suspended: never */
	node.interval = 0;
	UNIT_CHECK(pgt_plan_due(&node) == DT_NOEND);
	node.interval = node.duration = 10 * USECS_PER_SEC;
	node.active = false;
	UNIT_CHECK(pgt_plan_due(&node) == DT_NOEND);
}

/* Times of a clock that was set back since. */
static void
check_future(void)
{
	PlanNode	node = {0};
	TimestampTz now = 1000 * USECS_PER_SEC;

	set_schedule(&node, PGT_SCHEDULE_DURATION, 10);
	node.interval = node.duration = 10 * USECS_PER_SEC;
	node.last_refresh = now - USECS_PER_SEC;
	node.retry_at = now + 60 * USECS_PER_SEC;
	pgt_plan_forget_future(&node, now);
	UNIT_CHECK(pgt_plan_due(&node) == now + 60 * USECS_PER_SEC);
	pgt_plan_forget_future(&node, now - 15 * USECS_PER_SEC);
	UNIT_CHECK(node.last_refresh == 0);
	UNIT_CHECK(pgt_plan_due(&node) == now + 60 * USECS_PER_SEC);
	node.hold_until = now + 61 * USECS_PER_SEC;
	UNIT_CHECK(pgt_plan_due(&node) == now + 61 * USECS_PER_SEC);
	node.last_look = node.pending_since = now;
	pgt_plan_forget_future(&node, now - 500 * USECS_PER_SEC);
	UNIT_CHECK(pgt_plan_due(&node) == 0);
	UNIT_CHECK(node.last_look == 0 && node.pending_since == now - 500 * USECS_PER_SEC);
}

static void
check_backoff(void)
{
	PlanNode	node = {0};
	int64		interval = 10 * USECS_PER_SEC;
	int			lengthened = 0;

	set_schedule(&node, PGT_SCHEDULE_DURATION, 10);
	node.interval = node.duration = interval;

	/* twice is not enough, and one short refresh in between starts anew */
	UNIT_CHECK(!pgt_plan_note_duration(&node, interval));
	UNIT_CHECK(!pgt_plan_note_duration(&node, interval));
	UNIT_CHECK(!pgt_plan_note_duration(&node, interval / 2));
	UNIT_CHECK(!pgt_plan_note_duration(&node, interval));
	UNIT_CHECK(!pgt_plan_note_duration(&node, interval));
	UNIT_CHECK(pgt_plan_note_duration(&node, interval));
	UNIT_CHECK(node.stretch == 2);

	/* 90 % of the schedule's interval is 45 % of the lengthened one: stays */
	for (int i = 0; i < 20; i++)
		UNIT_CHECK(!pgt_plan_note_duration(&node, interval / 10 * 9));
	UNIT_CHECK(node.stretch == 2);

	/* up to eight times */
	for (int i = 0; i < 100; i++)
		lengthened += pgt_plan_note_duration(&node, 100 * interval);
	UNIT_CHECK(lengthened == 2 && node.stretch == 8);

	/* and back */
	for (int i = 0; i < 9; i++)
		UNIT_CHECK(!pgt_plan_note_duration(&node, interval / 100));
	UNIT_CHECK(node.stretch == 1);
}

static void
check_errors(void)
{
	UNIT_CHECK(pgt_refresh_retry_delay_ms(1, 0) == 1000);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(2, 0) == 2000);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(6, 0) == 32000);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(7, 0) == 60000);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(1000000, 0) == 60000);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(1, 1) == 1250);
	UNIT_CHECK(pgt_refresh_retry_delay_ms(1, -1) == 750);

	UNIT_CHECK(pgt_refresh_error_is_permanent(ERRCODE_UNDEFINED_TABLE));
	UNIT_CHECK(pgt_refresh_error_is_permanent(ERRCODE_INSUFFICIENT_PRIVILEGE));
	UNIT_CHECK(pgt_refresh_error_is_permanent(ERRCODE_FEATURE_NOT_SUPPORTED));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_DIVISION_BY_ZERO));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_T_R_DEADLOCK_DETECTED));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_LOCK_NOT_AVAILABLE));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_OUT_OF_MEMORY));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_QUERY_CANCELED));
	UNIT_CHECK(!pgt_refresh_error_is_permanent(ERRCODE_INTERNAL_ERROR));
}

static TimestampTz
time_of_day(int day, int hour, int minute)
{
	/* from 2000-01-01 00:00 UTC, a Saturday */
	return day * USECS_PER_DAY + hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE;
}

/*
 * 0 calculated -> 1 (cron, 03:00)
 *				-> 2 (cron, weekdays 06:00)
 *				-> 3 (2 hours)
 * 4 calculated -> 1
 * 5 at once
 */
static void
check_crons(void)
{
	int			order[6] = {0, 4, 1, 2, 3, 5};
	int			of_0[3] = {1, 2, 3};
	int			of_4[1] = {1};
	PlanNode	nodes[6];
	SchedulerPlan plan = {0};

	memset(nodes, 0, sizeof(nodes));
	for (int i = 0; i < 6; i++)
		set_schedule(&nodes[i], PGT_SCHEDULE_CALCULATED, 0);
	nodes[1].schedule = pgt_schedule_parse("TZ=UTC 0 3 * * *");
	nodes[2].schedule = pgt_schedule_parse("TZ=UTC 0 6 * * mon-fri");
	nodes[3].schedule = pgt_schedule_parse("2h");
	nodes[5].schedule = pgt_schedule_parse("0s");
	nodes[0].consumers = of_0;
	nodes[0].nconsumers = 3;
	nodes[4].consumers = of_4;
	nodes[4].nconsumers = 1;
	plan.nnodes = 6;
	plan.nodes = nodes;
	plan.order = order;
	pgt_plan_set_intervals(&plan, 7);
	UNIT_CHECK(nodes[0].interval == 2 * USECS_PER_HOUR);
	UNIT_CHECK(nodes[1].interval == 24 * USECS_PER_HOUR);
	UNIT_CHECK(nodes[2].interval == 72 * USECS_PER_HOUR);
	UNIT_CHECK(nodes[4].interval == 24 * USECS_PER_HOUR);
	UNIT_CHECK(nodes[5].interval > 0 && nodes[5].interval < 1000);

	/* never refreshed: now */
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == 0);
	/* the next time after the last refresh, or after a look that found nothing */
	nodes[1].last_refresh = time_of_day(10, 2, 30);
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == time_of_day(10, 3, 0));
	UNIT_CHECK(pgt_plan_look_due(&nodes[1]) == time_of_day(10, 3, 0));
	nodes[1].last_look = time_of_day(10, 3, 0);
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == time_of_day(11, 3, 0));
	nodes[1].last_refresh = time_of_day(12, 3, 0) + 5;
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == time_of_day(13, 3, 0));
	/* a retry comes later than the time named, not earlier */
	nodes[1].retry_at = time_of_day(13, 3, 7);
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == time_of_day(13, 3, 7));
	/* 2000-01-07 is a Friday */
	nodes[2].last_refresh = time_of_day(6, 6, 0);
	UNIT_CHECK(pgt_plan_due(&nodes[2]) == time_of_day(9, 6, 0));
	/* what is calculated comes with each of its readers */
	nodes[0].last_refresh = time_of_day(12, 0, 30);
	UNIT_CHECK(pgt_plan_due(&nodes[0]) == time_of_day(12, 2, 30));
	nodes[0].last_refresh = time_of_day(12, 2, 30);
	UNIT_CHECK(pgt_plan_due(&nodes[0]) == time_of_day(12, 3, 0));
	nodes[0].last_refresh = time_of_day(12, 5, 0);
	UNIT_CHECK(pgt_plan_due(&nodes[0]) == time_of_day(12, 6, 0));
	nodes[4].last_refresh = time_of_day(12, 3, 0);
	UNIT_CHECK(pgt_plan_due(&nodes[4]) == time_of_day(13, 3, 0));
	/* times of day are not stretched, and "at once" is as fast as it goes */
	for (int i = 0; i < 20; i++)
	{
		UNIT_CHECK(!pgt_plan_note_duration(&nodes[1], 30 * USECS_PER_DAY));
		UNIT_CHECK(!pgt_plan_note_duration(&nodes[5], USECS_PER_SEC));
	}
	nodes[5].last_refresh = time_of_day(1, 0, 0);
	UNIT_CHECK(pgt_plan_due(&nodes[5]) <= time_of_day(1, 0, 0) + 1);
	/* a minimum of later applies */
	pgt_min_schedule_seconds = 60 * 60;
	nodes[1].retry_at = 0;
	nodes[1].last_refresh = time_of_day(13, 2, 30);
	UNIT_CHECK(pgt_plan_due(&nodes[1]) == time_of_day(14, 3, 0));
	pgt_min_schedule_seconds = 1;
}

UNIT_TEST(plan)
{
	check_intervals();
	check_crons();
	check_due();
	check_future();
	check_backoff();
	check_errors();
}
