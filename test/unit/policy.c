/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Choosing between a delta and a recomputation.
 *
 * IDENTIFICATION
 *	  test/unit/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/refresh/policy.h"
#include "unit.h"

static bool
decide(const RefreshState *st, double ratio, bool aggregate, double setting)
{
	PolicyInput in = {0};
	PolicyDecision d;

	in.mode = PGT_MODE_AUTO;
	in.loaded = true;
	in.change_ratio = ratio;
	in.delta_rows = ratio * 2 * 100000;
	in.target_rows = aggregate ? 5 : 100000;
	in.is_aggregate = aggregate;
	in.max_change_ratio = setting;
	in.state = st;
	d = pgt_policy_decide(&in);
	UNIT_CHECK(d.full == (d.reason != NULL));
	return d.full;
}

/* A refresh of a table of 100000 rows. */
static void
learn(RefreshState *st, double ratio, bool aggregate, double setting, bool differential,
	  double ms)
{
	PolicyInput in = {0};

	in.mode = PGT_MODE_AUTO;
	in.loaded = true;
	in.change_ratio = ratio;
	in.delta_rows = ratio * 2 * 100000;
	in.is_aggregate = aggregate;
	in.max_change_ratio = setting;
	in.state = st;
	pgt_policy_learn(st, &in, differential, aggregate ? 5 : 100000, ms);
	st->last_action = differential ? PGT_ACTION_DIFFERENTIAL : PGT_ACTION_FULL;
}

static void
modes(void)
{
	RefreshState st = {0};
	PolicyInput in = {0};

	in.state = &st;
	in.change_ratio = 0.9;
	in.max_change_ratio = 0.15;
	in.mode = PGT_MODE_DIFFERENTIAL;
	UNIT_CHECK(!pgt_policy_decide(&in).full);
	in.mode = PGT_MODE_FULL;
	in.change_ratio = 0;
	UNIT_CHECK(pgt_policy_decide(&in).full);
}

/* Nothing is known: the setting decides. */
static void
first_choice(void)
{
	RefreshState st = {0};

	UNIT_CHECK(!decide(&st, 0.10, false, 0.15));
	UNIT_CHECK(decide(&st, 0.43, false, 0.15));
	UNIT_CHECK(decide(&st, 0.10, false, 0.02));
	UNIT_CHECK(!decide(&st, 0.43, false, 0.80));
	UNIT_CHECK(!decide(&st, 0.20, true, 0.15));
	UNIT_CHECK(!decide(&st, 0, false, 0.15));
	UNIT_CHECK(pgt_policy_threshold(&st, false, 0.15) == 0.15);
	UNIT_CHECK(pgt_policy_threshold(&st, false, 5) <= 0.9);
	UNIT_CHECK(pgt_policy_threshold(&st, false, 0.0001) >= 0.01);
}

/* Deltas turn out dear: the threshold falls below the ratio that was tried. */
static void
slow_deltas(void)
{
	RefreshState st = {0};

	learn(&st, 0, false, 0.15, false, 20);
	UNIT_CHECK(st.last_full_ms == 20 && st.full_rows == 100000);
	for (int i = 0; i < 4; i++)
		learn(&st, 0.10, false, 0.15, true, 80);
	UNIT_CHECK(st.diff.samples == 4);
	UNIT_CHECK(decide(&st, 0.10, false, 0.15));
	UNIT_CHECK(decide(&st, 0.10, false, 0));
	UNIT_CHECK(st.auto_threshold >= 0.01 && st.auto_threshold < 0.10);
}

/* Deltas turn out cheap: the threshold rises. */
static void
fast_deltas(void)
{
	RefreshState st = {0};

	learn(&st, 0, false, 0.15, false, 400);
	for (int i = 0; i < 8; i++)
		learn(&st, 0.10, false, 0.15, true, 20);
	UNIT_CHECK(!decide(&st, 0.43, false, 0.15));
	UNIT_CHECK(!decide(&st, 0.43, false, 0));
	UNIT_CHECK(st.auto_threshold <= 0.9);
}

/* One refresh that waited for a lock does not turn the decision. */
static void
outlier(void)
{
	RefreshState st = {0};

	learn(&st, 0, false, 0, false, 60);
	for (int i = 0; i < 6; i++)
		learn(&st, 0.05, false, 0, true, 12);
	UNIT_CHECK(!decide(&st, 0.05, false, 0));
	learn(&st, 0.05, false, 0, true, 60000);
	UNIT_CHECK(!decide(&st, 0.05, false, 0));
}

/* The figures of doc/benchmark.md: 1 % is by delta, half by recomputation. */
static void
benchmark(void)
{
	RefreshState st = {0};

	learn(&st, 0, false, 0.15, false, 62);
	for (int i = 0; i < 6; i++)
		learn(&st, 0.0085, false, 0.15, true, 3.2);
	UNIT_CHECK(!decide(&st, 0.0085, false, 0.15));
	UNIT_CHECK(!decide(&st, 0.085, false, 0.15));
	UNIT_CHECK(decide(&st, 0.43, false, 0.15));
}

/* Refreshes of a few rows teach the fixed cost only. */
static void
small_changes(void)
{
	RefreshState st = {0};

	learn(&st, 0, false, 0.15, false, 60);
	for (int i = 0; i < 5; i++)
		learn(&st, 0.00001, false, 0.15, true, 0.3);
	UNIT_CHECK(st.diff.samples == 0);
	UNIT_CHECK(st.diff.base_ms > 0.2 && st.diff.base_ms < 0.4);
	learn(&st, 0, false, 0.15, true, 0);
	UNIT_CHECK(st.diff.samples == 0);
}

/* A tiny table's change reaches much of the result: learned, and decided, apart. */
static void
tiny_tables(void)
{
	RefreshState st = {0};
	PolicyInput in = {0};

	learn(&st, 0, true, 0.15, false, 100);
	in.mode = PGT_MODE_AUTO;
	in.loaded = true;
	in.change_ratio = 0.001;
	in.delta_rows = 200;
	in.is_aggregate = true;
	in.max_change_ratio = 0.15;
	in.state = &st;
	for (int i = 0; i < 4; i++)
	{
		in.tiny_changed = false;
		pgt_policy_learn(&st, &in, true, 5, 10);
		in.tiny_changed = true;
		pgt_policy_learn(&st, &in, true, 5, 300);
	}
	UNIT_CHECK(st.diff.samples == 4 && st.tiny.samples == 4);
	UNIT_CHECK(pgt_policy_decide(&in).full);
	in.tiny_changed = false;
	UNIT_CHECK(!pgt_policy_decide(&in).full);
}

/* The first delta takes far longer than recomputing; a second one is not needed. */
static void
very_slow_delta(void)
{
	RefreshState st = {0};

	learn(&st, 0, true, 0.15, false, 100);
	learn(&st, 0.001, true, 0.15, true, 200);
	UNIT_CHECK(!decide(&st, 0.001, true, 0.15));
	memset(&st, 0, sizeof(st));
	learn(&st, 0, true, 0.15, false, 100);
	learn(&st, 0.001, true, 0.15, true, 1000);
	UNIT_CHECK(decide(&st, 0.001, true, 0.15));
	UNIT_CHECK(!decide(&st, 0.0001, true, 0.15));
}

/* The planner is asked until a delta has been measured, and not always. */
static void
cost_limit(void)
{
	RefreshState st = {0};
	PolicyInput in = {0};

	in.mode = PGT_MODE_AUTO;
	in.delta_rows = 1000;
	in.state = &st;
	st.full_refreshes = 1;
	UNIT_CHECK(pgt_policy_cost_limit(&in) == 0);
	st.last_full_ms = 10;
	UNIT_CHECK(pgt_policy_cost_limit(&in) > 1);
	in.mode = PGT_MODE_DIFFERENTIAL;
	UNIT_CHECK(pgt_policy_cost_limit(&in) == 0);
	in.mode = PGT_MODE_AUTO;
	in.delta_rows = 3;
	UNIT_CHECK(pgt_policy_cost_limit(&in) == 0);
	in.delta_rows = 1000;
	st.full_refreshes = 8;
	UNIT_CHECK(pgt_policy_cost_limit(&in) == 0);
	st.full_refreshes = 9;
	UNIT_CHECK(pgt_policy_cost_limit(&in) > 1);
	learn(&st, 0.1, false, 0.15, true, 5);
	UNIT_CHECK(pgt_policy_cost_limit(&in) == 0);
}

/* What was learned is wrong: it is tried again, and believed. */
static void
second_try(void)
{
	RefreshState st = {0};
	int			fulls = 0;

	learn(&st, 0, true, 0.15, false, 100);
	for (int i = 0; i < 4; i++)
		learn(&st, 0.05, true, 0.15, true, 200);
	UNIT_CHECK(decide(&st, 0.05, true, 0.15));
	while (fulls < 100 && decide(&st, 0.05, true, 0.15))
	{
		fulls++;
		st.full_refreshes++;
		learn(&st, 0.05, true, 0.15, false, 100);
	}
	UNIT_CHECK(fulls > 3 && fulls <= 16);
	learn(&st, 0.05, true, 0.15, true, 10);
	UNIT_CHECK(!decide(&st, 0.05, true, 0.15));
	/* not what the setting forbids */
	st.last_action = PGT_ACTION_FULL;
	for (st.full_refreshes = 0; st.full_refreshes < 40; st.full_refreshes++)
		UNIT_CHECK(decide(&st, 0.8, true, 0.15));
}

UNIT_TEST(policy)
{
	second_try();
	tiny_tables();
	very_slow_delta();
	cost_limit();
	modes();
	first_choice();
	slow_deltas();
	fast_deltas();
	outlier();
	benchmark();
	small_changes();
}
