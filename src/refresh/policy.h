/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Differential or full?  Pure functions over measured costs.
 *
 * IDENTIFICATION
 *	  src/refresh/policy.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_POLICY_H
#define PGTRICKLE_POLICY_H

#include "pgtrickle/catalog.h"

typedef struct PolicyInput
{
	RefreshMode mode;
	bool		loaded;			/* changes are counted, else estimated */
	double		change_ratio;	/* changed rows / rows of the most changed source; 0 unknown */
	bool		tiny_changed;	/* a source too small for its ratio to count changed */
	double		delta_rows;		/* rows in all change sets; an update counts two */
	double		target_rows;	/* rows of the stream table; < 0 unknown */
	bool		is_aggregate;	/* last stage is grouped */
	double		max_change_ratio;	/* the setting; 0 = cost model alone */
	const RefreshState *state;	/* learned costs */
} PolicyInput;

typedef struct PolicyDecision
{
	bool		full;
	char	   *reason;			/* why full; NULL if differential */
	double		diff_ms;		/* predicted; 0 = unknown */
	double		full_ms;
} PolicyDecision;

extern PolicyDecision pgt_policy_decide(const PolicyInput *input);

/*
 * As long as no delta has been measured: how many times as dear as recomputing it may
 * look to the planner.  0: it is to be tried.
 */
extern double pgt_policy_cost_limit(const PolicyInput *input);

/*
 * Learns from a refresh: what was decided upon (its numbers matter for a
 * differential one only), its kind, rows of a full result, and its time without
 * planning; a full one's also without loading changes.  Updates last_full_ms,
 * full_rows, the learned costs and auto_threshold.
 */
extern void pgt_policy_learn(RefreshState *state, const PolicyInput *input,
							 bool differential, double result_rows, double ms);

/* The threshold in force: what was learned, or where a stream table starts. */
extern double pgt_policy_threshold(const RefreshState *state, bool is_aggregate,
								   double max_change_ratio);

#endif							/* PGTRICKLE_POLICY_H */
