/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Differential or full?  Pure functions over measured costs.
 *
 * IDENTIFICATION
 *	  src/refresh/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtrickle/guc.h"
#include "policy.h"

PolicyDecision
pgt_policy_decide(const PolicyInput *input)
{
	PolicyDecision decision = {0};

	if (input->mode == PGT_MODE_DIFFERENTIAL)
		return decision;
	if (input->change_ratio > Max(input->state->auto_threshold, pgt_differential_max_change_ratio))
	{
		decision.full = true;
		decision.reason = psprintf("%.1f%% of a source changed", input->change_ratio * 100);
	}
	return decision;
}

void
pgt_policy_learn(RefreshState *state, bool differential, double delta_rows,
				 double result_rows, double total_ms, double plan_ms)
{
	if (!differential)
		state->last_full_ms = total_ms;
}
