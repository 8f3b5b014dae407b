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
	double		change_ratio;	/* changed rows / rows of the most changed source; 0 unknown */
	double		delta_rows;		/* rows in all change sets; an update counts two */
	double		target_rows;	/* rows of the stream table; < 0 unknown */
	bool		is_aggregate;	/* last stage is grouped */
	const RefreshState *state;	/* learned costs */
} PolicyInput;

typedef struct PolicyDecision
{
	bool		full;
	char	   *reason;			/* why full; NULL if differential */
} PolicyDecision;

extern PolicyDecision pgt_policy_decide(const PolicyInput *input);

/*
 * Learns from a refresh: its kind, rows in the change sets, rows fed to the
 * last sink, total time and the part of it that was planning.
 */
extern void pgt_policy_learn(RefreshState *state, bool differential, double delta_rows,
							 double result_rows, double total_ms, double plan_ms);

#endif							/* PGTRICKLE_POLICY_H */
