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
 * An outer join or search attached to the block is linear in the inputs as
 * well, as long as the attachment does not change; what its own change adds is
 * in attachment.c, for the rows before the changes of the inputs, X' - D, by
 * the same inclusion and exclusion (with the empty set).
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
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "delta_internal.h"
#include "pgtrickle/query.h"

#define MAX_SUBSET_INPUTS 6
#define MAX_SUBSET_ATTACHED 4

void
pgt_delta_append_output(const QueryBlock *block, List *tlist, List *names, const char *mark,
						StringInfo out)
{
	ListCell   *lc;

	foreach(lc, tlist)
		appendStringInfo(out, "%s%s AS c%d", foreach_current_index(lc) ? ", " : "",
						 pgt_delta_marked_expr((Expr *) lfirst(lc), names, block, mark, true),
						 foreach_current_index(lc) + 1);
}

/* glue comes before the first condition, AND before the others. */
void
pgt_delta_append_quals(const QueryBlock *block, List *quals, List *names, const char *mark,
					   const char *glue, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, quals)
		appendStringInfo(out, "%s(%s)", foreach_current_index(lc) ? " AND " : glue,
						 pgt_delta_marked_expr((Expr *) lfirst(lc), names, block, mark, false));
}

/*
 * Are arrays of one value equal exactly if the values are, by this operator, or
 * both NULL?  The planner can hash or sort such arrays, unlike "a = b OR (a IS
 * NULL AND b IS NULL)", for which it compares each key with each row.  Arrays
 * of arrays have a NULL and an empty one in common.
 */
static bool
compares_as_array(Oid type, Oid eq)
{
	return OidIsValid(get_array_type(type)) &&
		!OidIsValid(get_element_type(getBaseType(type))) &&
		lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr == eq;
}

/* Column "key" of the block is k.k<n>, by the n-th operator. */
static void
append_key_condition(const QueryBlock *block, const char *key, int n,
					 const BlockRestriction *r, StringInfo out)
{
	Expr	   *expr = (Expr *) list_nth(block->tlist, n - 1);
	Oid			type = exprType((Node *) expr);
	Oid			eq = r->key_eq[n - 1];

	if (!r->null_aware || pgt_query_is_not_null(expr, block))
		appendStringInfo(out, "%s %s k.k%d", key, pgt_delta_operator(eq), n);
	else if (r->nkeys == 1)
		appendStringInfoString(out, pgt_delta_null_test(key, type, true));
	else if (compares_as_array(type, eq))
		appendStringInfo(out, "ARRAY[%s] OPERATOR(pg_catalog.=) ARRAY[k.k%d]", key, n);
	else
		appendStringInfo(out, "(%s %s k.k%d OR (%s AND %s))", key, pgt_delta_operator(eq), n,
						 pgt_delta_null_test(key, type, true),
						 pgt_delta_null_test(psprintf("k.k%d", n), type, true));
}

/* Keys come as k.k1 .. k.kn from PGT_DELTA_KEYS_NAME. */
static void
append_restriction(const QueryBlock *block, List *names, const char *mark,
				   const BlockRestriction *r, StringInfo out)
{
	for (int i = 0; i < r->nkeys; i++)
	{
		Expr	   *expr = (Expr *) list_nth(block->tlist, i);

		appendStringInfoString(out, i == 0 && block->quals == NIL ? " WHERE " : " AND ");
		append_key_condition(block, psprintf("(%s)", pgt_delta_marked_expr(expr, names, block,
																		   mark, true)),
							 i + 1, r, out);
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
pgt_delta_append_inputs(const DeltaContext *context, const QueryBlock *block,
						const InputState *states, const char *separator,
						const Bitmapset *changed, int *nterms,
						StringInfo from, StringInfo weight)
{
	const char *weight_name = quote_identifier(context->def->weight_name);

	for (int i = 0; i < list_length(block->inputs); i++)
	{
		InputState	state = states ? states[i] : PGT_CURRENT;

		appendStringInfo(from, "%s%s", i ? separator : "",
						 pgt_delta_from_item(context, block, i + 1, state, changed, nterms));
		if (state != PGT_CURRENT)
			appendStringInfo(weight, "%st%d.%s", weight->len ? " * " : "", i + 1, weight_name);
	}
}

/* The inputs and what is joined to them from outside, as one FROM list. */
static void
append_from(const DeltaContext *context, const QueryBlock *block, List *names,
			const InputState *states, const Bitmapset *changed, int *nterms,
			StringInfo from, StringInfo weight)
{
	Attachment *attachment = pgt_delta_attachment(block);

	if (attachment == NULL || attachment->kind != PGT_ATTACH_LEFT)
	{
		pgt_delta_append_inputs(context, block, states, ", ", changed, nterms, from, weight);
		return;
	}
	if (block->inputs == NIL)
		appendStringInfoString(from, "(SELECT) AS nothing");
	pgt_delta_append_inputs(context, block, states, " CROSS JOIN ", changed, nterms, from, weight);
	pgt_delta_append_left_join(context, block, names, from);
}

void
pgt_delta_current_block(const DeltaContext *context, const QueryBlock *block,
						const BlockRestriction *restriction, StringInfo out)
{
	List	   *names = pgt_delta_block_names(context, block);
	const char *mark = pgt_delta_current_mark(context, block, names);
	bool		restricted = restriction && restriction->nkeys > 0;
	StringInfoData from;

	initStringInfo(&from);
	append_from(context, block, names, NULL, NULL, NULL, &from, NULL);
	appendStringInfoString(out, "SELECT ");
	pgt_delta_append_output(block, block->tlist, names, mark, out);
	if (from.len > 0 || restricted)
		appendStringInfoString(out, " FROM ");
	if (restricted)
		append_keys_item(block, restriction, out);
	appendStringInfo(out, "%s%s", from.len > 0 && restricted ? ", " : "", from.data);
	pgt_delta_append_quals(block, block->quals, names, mark, " WHERE ", out);
	if (restricted)
		append_restriction(block, names, mark, restriction, out);
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
	const char *mark = pgt_delta_current_mark(context, block, names);
	int			decider = pgt_delta_deciding_input(context, block, states);
	List	   *quals = block->quals;
	char	   *decided = NULL;
	StringInfoData from;
	StringInfoData weight;

	if ((*nterms)++ > 0)
		appendStringInfoString(out, " UNION ALL ");
	initStringInfo(&from);
	initStringInfo(&weight);
	append_from(context, block, names, states, changed, nterms, &from, &weight);
	if (decider > 0)
		decided = pgt_delta_decide(context, block, decider, names, &from, &weight, &quals);
	appendStringInfoString(out, "SELECT ");
	pgt_delta_append_output(block, block->tlist, names, mark, out);
	appendStringInfo(out, "%s%s%s AS %s FROM %s", block->tlist ? ", " : "",
					 negative ? "- " : "", weight.data, weight_name, from.data);
	pgt_delta_append_quals(block, quals, names, mark, " WHERE ", out);
	if (decided)
		appendStringInfo(out, "%s%s", quals == NIL ? " WHERE " : " AND ", decided);
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
		append_term(context, block, names, states, false, changed, out, nterms);
	}
}

/*
 * What a change of the attachment adds, for the rows as they were before the
 * changes of the inputs.
 */
static void
append_attachment(const DeltaContext *context, const QueryBlock *block, List *names,
				  const int *inputs, int k, const Bitmapset *changed,
				  StringInfo out, int *nterms)
{
	int			n = list_length(block->inputs);
	InputState *states = (InputState *) palloc(sizeof(InputState) * (n + 1));
	int			inner = 0;

	for (int i = 0; i < n; i++)
		states[i] = PGT_CURRENT;
	if (k == 0 || k > MAX_SUBSET_ATTACHED)
	{
		for (int i = 0; i < k; i++)
			states[inputs[i]] = PGT_PREVIOUS;
		pgt_delta_attachment_terms(context, block, names, states, 1, false, changed, out, nterms);
		return;
	}
	if (*nterms > 0)
		appendStringInfoString(out, " UNION ALL ");
	pgt_delta_begin_shared_flips(context, block, names, out);
	for (uint32 subset = 0; subset < (1u << k); subset++)
	{
		for (int i = 0; i < k; i++)
			states[inputs[i]] = subset & (1u << i) ? PGT_CHANGE : PGT_CURRENT;
		pgt_delta_attachment_terms(context, block, names, states,
								   pg_popcount32(subset) % 2 == 0 ? 1 : -1, true, changed,
								   out, &inner);
	}
	appendStringInfoChar(out, ')');
	*nterms += inner;
}

void
pgt_delta_change_block(const DeltaContext *context, const QueryBlock *block,
					   const Bitmapset *changed, StringInfo out, int *nterms)
{
	List	   *names = pgt_delta_block_names(context, block);
	int		   *inputs = (int *) palloc(sizeof(int) * (list_length(block->inputs) + 1));
	Attachment *attachment = pgt_delta_attachment(block);
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
	if (attachment && pgt_delta_input_changed(context, attachment->input, changed))
		append_attachment(context, block, names, inputs, k, changed, out, nterms);
}
