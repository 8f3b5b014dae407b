/*-------------------------------------------------------------------------
 *
 * join.c
 *	  Delta of a block: select, project, inner join of n inputs.
 *
 * A join is linear in each input.  With X' the state after the changes and D
 * the change of an input, X before = X' - D, so for the changed inputs 1..k
 *
 *		delta = sum over non-empty S of {1..k} of (-1)^(|S|+1) * join(D_i for i in S, X'_j for the others)
 *
 * (inclusion-exclusion over the occurrences that changed).  All terms read
 * current tables only, where indexes help; mostly k = 1 and there is one
 * term.  From k = 7 on the 2^k - 1 terms cost more than what they save: then
 *
 *		delta = sum over i of join(X before_1 .. i-1, D_i, X'_i+1 .. k)
 *
 * Each term is one flat FROM list with the block's own quals; weights
 * multiply.  A self-join counts each occurrence by itself.  With more than one
 * term the sum contains rows that never existed (a new row joined to an old
 * one), which cancel: consumers must add up, not look at single rows.
 *
 * IDENTIFICATION
 *	  src/delta/join.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"

#include "delta_internal.h"

#define MAX_SUBSET_INPUTS 6

static void
append_output(const QueryBlock *block, List *names, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, block->tlist)
		appendStringInfo(out, "%s%s AS c%d", foreach_current_index(lc) ? ", " : "",
						 pgt_delta_expr((Expr *) lfirst(lc), names, true),
						 foreach_current_index(lc) + 1);
}

static void
append_quals(const QueryBlock *block, List *names, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, block->quals)
		appendStringInfo(out, "%s(%s)", foreach_current_index(lc) ? " AND " : " WHERE ",
						 pgt_delta_expr((Expr *) lfirst(lc), names, false));
}

/* Keys come as k.k1 .. k.kn from PGT_DELTA_KEYS_NAME. */
static void
append_restriction(const QueryBlock *block, List *names, const BlockRestriction *r,
				   StringInfo out)
{
	for (int i = 0; i < r->nkeys; i++)
	{
		Node	   *expr = (Node *) list_nth(block->tlist, i);
		Oid			type = exprType(expr);
		char	   *key = psprintf("(%s)", pgt_delta_expr((Expr *) expr, names, true));
		char	   *op = pgt_delta_operator(r->key_eq[i]);

		appendStringInfoString(out, i == 0 && block->quals == NIL ? " WHERE " : " AND ");
		if (r->null_aware)
			appendStringInfo(out, "(%s %s k.k%d OR (%s AND %s))", key, op, i + 1,
							 pgt_delta_null_test(key, type, true),
							 pgt_delta_null_test(psprintf("k.k%d", i + 1), type, true));
		else
			appendStringInfo(out, "%s %s k.k%d", key, op, i + 1);
	}
}

static void
append_keys_item(const QueryBlock *block, const BlockRestriction *r, StringInfo out)
{
	if (!r->null_aware)
	{
		appendStringInfoString(out, PGT_DELTA_KEYS_NAME " AS k");
		return;
	}
	appendStringInfoString(out, "(SELECT * FROM " PGT_DELTA_KEYS_NAME " AS a WHERE ");
	for (int i = 0; i < r->nkeys; i++)
		appendStringInfo(out, "%s%s", i ? " OR " : "",
						 pgt_delta_null_test(psprintf("a.k%d", i + 1),
											 exprType(list_nth(block->tlist, i)), true));
	appendStringInfoString(out, ") AS k");
}

void
pgt_delta_current_block(const DeltaContext *context, const QueryBlock *block,
						const BlockRestriction *restriction, StringInfo out)
{
	List	   *names = pgt_delta_block_names(context, block);
	ListCell   *lc;
	bool		restricted = restriction && restriction->nkeys > 0;

	appendStringInfoString(out, "SELECT ");
	append_output(block, names, out);
	if (block->inputs != NIL || restricted)
		appendStringInfoString(out, " FROM ");
	if (restricted)
		append_keys_item(block, restriction, out);
	foreach(lc, block->inputs)
	{
		int			number = foreach_current_index(lc) + 1;

		if (number > 1 || restricted)
			appendStringInfoString(out, ", ");
		appendStringInfoString(out, pgt_delta_from_item(context, (Input *) lfirst(lc),
														number, PGT_CURRENT, NULL, NULL));
	}
	append_quals(block, names, out);
	if (restricted)
		append_restriction(block, names, restriction, out);
}

/*
 * One term: states[i] says how input i appears; the weight is the product of
 * all weights, negated if asked for.
 */
static void
append_term(const DeltaContext *context, const QueryBlock *block, List *names,
			const InputState *states, bool negative, const Bitmapset *changed,
			StringInfo out, int *nterms)
{
	const char *weight_name = quote_identifier(context->def->weight_name);
	StringInfoData from;
	StringInfoData weight;
	ListCell   *lc;

	initStringInfo(&from);
	initStringInfo(&weight);
	foreach(lc, block->inputs)
	{
		int			i = foreach_current_index(lc);

		appendStringInfo(&from, "%s%s", i ? ", " : "",
						 pgt_delta_from_item(context, (Input *) lfirst(lc), i + 1,
											 states[i], changed, nterms));
		if (states[i] != PGT_CURRENT)
			appendStringInfo(&weight, "%st%d.%s", weight.len ? " * " : "", i + 1, weight_name);
	}
	appendStringInfoString(out, "SELECT ");
	append_output(block, names, out);
	appendStringInfo(out, "%s%s%s AS %s FROM %s", block->tlist ? ", " : "",
					 negative ? "- " : "", weight.data, weight_name, from.data);
	append_quals(block, names, out);
}

static void
append_subsets(const DeltaContext *context, const QueryBlock *block, List *names,
			   const int *inputs, int k, const Bitmapset *changed,
			   StringInfo out, int *nterms)
{
	int			n = list_length(block->inputs);
	InputState *states = (InputState *) palloc(sizeof(InputState) * n);

	for (uint32 subset = 1; subset < (1u << k); subset++)
	{
		for (int i = 0; i < n; i++)
			states[i] = PGT_CURRENT;
		for (int i = 0; i < k; i++)
			if (subset & (1u << i))
				states[inputs[i]] = PGT_CHANGE;
		if ((*nterms)++ > 0)
			appendStringInfoString(out, " UNION ALL ");
		append_term(context, block, names, states, pg_popcount32(subset) % 2 == 0,
					changed, out, nterms);
	}
}

static void
append_telescope(const DeltaContext *context, const QueryBlock *block, List *names,
				 const int *inputs, int k, const Bitmapset *changed,
				 StringInfo out, int *nterms)
{
	int			n = list_length(block->inputs);
	InputState *states = (InputState *) palloc(sizeof(InputState) * n);

	for (int term = 0; term < k; term++)
	{
		for (int i = 0; i < n; i++)
			states[i] = PGT_CURRENT;
		for (int i = 0; i < term; i++)
			states[inputs[i]] = PGT_PREVIOUS;
		states[inputs[term]] = PGT_CHANGE;
		if ((*nterms)++ > 0)
			appendStringInfoString(out, " UNION ALL ");
		append_term(context, block, names, states, false, changed, out, nterms);
	}
}

void
pgt_delta_change_block(const DeltaContext *context, const QueryBlock *block,
					   const Bitmapset *changed, StringInfo out, int *nterms)
{
	List	   *names = pgt_delta_block_names(context, block);
	int		   *inputs = (int *) palloc(sizeof(int) * (list_length(block->inputs) + 1));
	int			k = 0;
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		if (pgt_delta_input_changed(context, (Input *) lfirst(lc), changed))
			inputs[k++] = foreach_current_index(lc);
	}
	if (k <= MAX_SUBSET_INPUTS)
		append_subsets(context, block, names, inputs, k, changed, out, nterms);
	else
		append_telescope(context, block, names, inputs, k, changed, out, nterms);
}
