/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Choosing between a delta and a recomputation, and learning what they cost.
 *
 * The model.  A full refresh takes as long as the last ones did, in proportion
 * to the result's rows.  A differential one takes
 *
 *		base + delta_rows * per_row * shape(change_ratio)
 *
 * where shape is 1 at high ratios and grows towards low ones: rows that lie
 * apart touch a page each.  per_row and base are learned, as moving averages;
 * a measurement far from the average counts as a moderately different one, so
 * that one checkpoint or lock wait does not turn the decision.
 *
 * Two kinds of deltas are learned apart: those in which a tiny table changed, beside
 * large ones, and those in which none did.  One row of a tiny table may reach a large
 * share of the result (a nation's customers), a row of a large one reaches few.
 *
 * The threshold.  auto_threshold is the change ratio above which AUTO
 * recomputes.  It starts at the setting (aggregates later, since deltas serve
 * them longer) and moves with experience: down when a delta was slower
 * than a recomputation, up when it was much faster near the threshold, and
 * towards the model's break-even once there are samples enough.
 * With the setting at 0 the predicted costs are compared directly, and with any
 * setting a delta that is predicted to be clearly dearer is not tried.  While
 * there are few samples, "clearly" is a multiple: they meet cold caches.
 *
 * As long as no delta has been measured, the planner's estimates of its statements and of
 * the full ones are compared: they agree with the times to a factor of three mostly,
 * which is enough to see a delta that is ten times as dear.  Now and then it is tried nevertheless.
 *
 * The question is asked twice: before changes are loaded, by an estimate, and after,
 * by exact numbers, but then part of the delta's cost has been paid.
 *
 * Hysteresis.  The other choice than last time must promise a clear gain.
 *
 * IDENTIFICATION
 *	  src/refresh/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "policy.h"

#define MIN_THRESHOLD	0.01
#define MAX_THRESHOLD	0.90
#define AGGREGATE_START	0.35	/* deltas win up to here before anything is known */
#define MODEL_START		0.18	/* rows, cost model alone, nothing known */
#define MIN_SAMPLES		3
#define MIN_ROWS		50		/* fewer tell about base, not about per_row */
#define SMALL_TABLE		40000	/* source rows, updates twice: deltas win longer */
#define SMALL_START		0.45
#define LOADED_SHARE	0.8		/* of a delta's cost that is still ahead when its changes are loaded */

#define ALPHA_ROW		0.3
#define ALPHA_FULL		0.4
#define OUTLIER			3.0
#define HYSTERESIS		0.05
#define DEAR_MARGIN		1.1		/* by which a delta must look dearer whatever the share is */
#define COST_LIMIT		3.0		/* the planner's estimates are off by that much */
#define TRY_AFTER		8		/* full refreshes, after which a delta is tried whatever its estimate, */
#define TRY_AGAIN		16		/* and whatever was learned; sooner with few samples */
#define TRY_MARGIN		3.0		/* unless it was that much dearer */
#define FORGET			0.97	/* of the learned cost of a delta, per full refresh */

/* Cost of a delta row relative to one among many. */
static double
shape(bool aggregate, double ratio)
{
	if (aggregate)
		return 1.0;
	return 1.0 + 0.9 / (1.0 + ratio / 0.08);
}

static double
clamp(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

/* Moves an average, a far-off value by no more than a moderate one would. */
static double
moved(double average, double value, double alpha)
{
	if (average <= 0)
		return value;
	value = clamp(value, average / OUTLIER, average * OUTLIER);
	return average + alpha * (value - average);
}

static const LearnedCost *
cost_of(const RefreshState *st, const PolicyInput *in)
{
	return in->tiny_changed ? &st->tiny : &st->diff;
}

/* Are there samples enough to compare costs with those of recomputing? */
static bool
model_ready(const RefreshState *st, const LearnedCost *cost)
{
	return cost->samples >= MIN_SAMPLES && cost->ms_per_row > 0 && st->last_full_ms > 0;
}

static double
predict_diff(const LearnedCost *cost, bool aggregate, double delta_rows, double ratio)
{
	return cost->base_ms + delta_rows * cost->ms_per_row * shape(aggregate, ratio);
}

/* By how much must a delta look dearer whatever the share is? 0: not known yet. */
static double
dear_margin(const RefreshState *st, const LearnedCost *cost, bool was_full)
{
	if (st->last_full_ms <= 0 || cost->ms_per_row <= 0 || cost->samples == 0)
		return 0;
	if (cost->samples < MIN_SAMPLES)
		return MIN_SAMPLES + 1 - cost->samples;
	return was_full ? 1.0 : DEAR_MARGIN;
}

/* A full refresh costs by the rows it writes; of few groups, by what it reads. */
static double
predict_full(const RefreshState *st, bool aggregate, double target_rows)
{
	double		grown = 1.0;

	if (!aggregate && target_rows >= 1000 && st->full_rows >= 1000)
		grown = clamp(target_rows / st->full_rows, 0.1, 10.0);
	return st->last_full_ms * grown;
}

/* Before anything is known. */
static double
first_threshold(bool aggregate, double max_change_ratio)
{
	double		start;

	if (max_change_ratio <= 0)
		start = aggregate ? AGGREGATE_START : MODEL_START;
	else
		start = aggregate ? fmax(max_change_ratio, AGGREGATE_START) : max_change_ratio;
	return clamp(start, MIN_THRESHOLD, MAX_THRESHOLD);
}

double
pgt_policy_threshold(const RefreshState *st, bool aggregate, double max_change_ratio)
{
	if (st != NULL && st->auto_threshold > 0)
		return clamp(st->auto_threshold, MIN_THRESHOLD, MAX_THRESHOLD);
	return first_threshold(aggregate, max_change_ratio);
}

/*
 * What was learned may be wrong by now, or have been from the start: tables
 * grow, plans change, caches were cold.
 */
static bool
is_to_be_tried(const PolicyInput *in, const LearnedCost *cost, const PolicyDecision *decision)
{
	const RefreshState *st = in->state;

	if (cost->samples == 0 || st->last_action != PGT_ACTION_FULL ||
		in->change_ratio > first_threshold(in->is_aggregate, in->max_change_ratio))
		return false;
	if (cost->samples < MIN_SAMPLES)
		return st->full_refreshes % (TRY_AGAIN / 4) == 0;
	return st->full_refreshes % TRY_AGAIN == 0 &&
		decision->diff_ms < TRY_MARGIN * decision->full_ms;
}

PolicyDecision
pgt_policy_decide(const PolicyInput *in)
{
	const RefreshState *st = in->state;
	PolicyDecision decision = {0};
	const LearnedCost *cost = cost_of(st, in);
	double		threshold;
	double		margin;
	bool		was_full = st->last_action == PGT_ACTION_FULL && cost->samples > 0;

	if (st->last_full_ms > 0)
		decision.full_ms = predict_full(st, in->is_aggregate, in->target_rows);
	if (cost->samples > 0)
		decision.diff_ms = predict_diff(cost, in->is_aggregate, in->delta_rows,
										in->change_ratio);
	if (in->mode == PGT_MODE_FULL)
	{
		decision.full = true;
		decision.reason = pstrdup("refresh mode is FULL");
		return decision;
	}
	if (in->mode == PGT_MODE_DIFFERENTIAL || is_to_be_tried(in, cost, &decision))
		return decision;
	if (in->max_change_ratio <= 0 && model_ready(st, cost))
	{
		double		bias = was_full ? 1.0 + HYSTERESIS : 1.0 - HYSTERESIS;

		decision.full = decision.diff_ms * bias * (in->loaded ? LOADED_SHARE : 1.0) >
			decision.full_ms;
		if (decision.full)
			decision.reason = psprintf("a delta would take %.3g ms, recomputing takes %.3g ms",
									   decision.diff_ms, decision.full_ms);
		return decision;
	}
	/* joins may make a small share of a source dear */
	margin = dear_margin(st, cost, was_full);
	if (margin > 0 &&
		decision.diff_ms * (in->loaded ? LOADED_SHARE : 1.0) > margin * decision.full_ms)
	{
		decision.full = true;
		decision.reason = psprintf("a delta would take %.3g ms, recomputing takes %.3g ms",
								   decision.diff_ms, decision.full_ms);
		return decision;
	}

	threshold = pgt_policy_threshold(st, in->is_aggregate, in->max_change_ratio);

	/* small tables are cheap by delta for longer, as long as nothing is known */
	if (!model_ready(st, cost) && in->change_ratio > 0 &&
		in->delta_rows / in->change_ratio <= SMALL_TABLE &&
		(in->is_aggregate || in->max_change_ratio <= 0))
		threshold = fmax(threshold, SMALL_START);
	threshold *= was_full ? 1.0 - HYSTERESIS : 1.0 + HYSTERESIS;
	if (in->loaded)
		threshold /= LOADED_SHARE;
	decision.full = in->change_ratio > threshold;
	if (decision.full)
		decision.reason = psprintf("%s%.3g%% of a source changed, more than %.3g%%",
								   in->loaded ? "" : "about ",
								   in->change_ratio * 100, threshold * 100);
	return decision;
}

double
pgt_policy_cost_limit(const PolicyInput *in)
{
	const RefreshState *st = in->state;

	if (in->mode != PGT_MODE_AUTO || cost_of(st, in)->samples > 0 || st->last_full_ms <= 0 ||
		in->delta_rows < MIN_ROWS || st->full_refreshes % TRY_AFTER == 0)
		return 0;
	return COST_LIMIT;
}

/* The ratio at which both ways cost the same, by the model. */
static double
break_even(const RefreshState *st, const LearnedCost *cost, bool aggregate,
		   double source_rows)
{
	double		low = MIN_THRESHOLD;
	double		high = MAX_THRESHOLD;

	for (int i = 0; i < 30; i++)
	{
		double		middle = (low + high) / 2;

		if (predict_diff(cost, aggregate, middle * source_rows, middle) < st->last_full_ms)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

static void
learn_diff(RefreshState *st, const PolicyInput *in, double ms)
{
	LearnedCost *cost = in->tiny_changed ? &st->tiny : &st->diff;
	double		threshold = pgt_policy_threshold(st, in->is_aggregate, in->max_change_ratio);
	double		rows_shape = in->delta_rows * shape(in->is_aggregate, in->change_ratio);
	double		rows_ms = rows_shape * cost->ms_per_row;

	if (in->delta_rows < MIN_ROWS)
		cost->base_ms = moved(cost->base_ms, fmax(ms - rows_ms, 0), ALPHA_ROW);
	else
	{
		double		per_row = fmax(ms - cost->base_ms, ms / 10) / rows_shape;

		/* the first ones meet cold caches, one after a while corrects: take the best */
		if (cost->ms_per_row > 0 &&
			(cost->samples < MIN_SAMPLES || st->last_action == PGT_ACTION_FULL))
			cost->ms_per_row = fmin(cost->ms_per_row, per_row);
		else
			cost->ms_per_row = moved(cost->ms_per_row, per_row, ALPHA_ROW);
		if (cost->samples < PG_INT32_MAX)
			cost->samples++;
	}
	/* the ratio of a tiny table does not count, nor tell */
	if (st->last_full_ms <= 0 || in->change_ratio <= 0 || in->tiny_changed)
		return;
	if (model_ready(st, cost) && in->delta_rows >= MIN_ROWS)
		threshold += 0.5 * (break_even(st, cost, in->is_aggregate,
									   in->delta_rows / in->change_ratio) - threshold);
	else if (ms > st->last_full_ms * (1 + HYSTERESIS) && in->change_ratio > MIN_THRESHOLD)
		threshold = fmin(threshold, in->change_ratio * 0.9);
	else if (ms < st->last_full_ms * 0.5 && in->change_ratio > threshold * 0.5)
		threshold *= 1.2;
	st->auto_threshold = clamp(threshold, MIN_THRESHOLD, MAX_THRESHOLD);
}

static void
learn_full(RefreshState *st, const PolicyInput *in, double result_rows, double ms)
{
	/* another number of rows is another measure */
	bool		resized = st->full_rows > 0 &&
		(result_rows > 2 * st->full_rows || result_rows < st->full_rows / 2);

	st->last_full_ms = resized ? ms : moved(st->last_full_ms, ms, ALPHA_FULL);
	st->full_rows = result_rows;
	/* what is not tried is forgotten, and so tried again some day */
	if (in->tiny_changed)
		st->tiny.ms_per_row *= FORGET;
	else
		st->diff.ms_per_row *= FORGET;
}

void
pgt_policy_learn(RefreshState *st, const PolicyInput *in, bool differential,
				 double result_rows, double ms)
{
	if (ms <= 0)
		return;
	if (differential)
		learn_diff(st, in, ms);
	else
		learn_full(st, in, result_rows, ms);
}
