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
	node.interval = 10 * USECS_PER_SEC;

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
	node.interval = 10 * USECS_PER_SEC;
	node.active = false;
	UNIT_CHECK(pgt_plan_due(&node) == DT_NOEND);
}

static void
check_backoff(void)
{
	PlanNode	node = {0};
	int64		interval = 10 * USECS_PER_SEC;
	int			lengthened = 0;

	set_schedule(&node, PGT_SCHEDULE_DURATION, 10);
	node.interval = interval;

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

UNIT_TEST(plan)
{
	check_intervals();
	check_due();
	check_backoff();
	check_errors();
}
