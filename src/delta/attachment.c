/*-------------------------------------------------------------------------
 *
 * attachment.c
 *	  Delta of what is attached to a block: outer joins and searches.
 *
 * L: the rows of the block's inputs; R: the relation attached; a row of L
 * matches those of R that meet the attachment's conditions.  While R stays,
 *
 *		L left join R,    select ... from L where exists (R)
 *
 * are linear in L, and join.c has their terms: D_L in the place of L, R as it
 * is now.  What a change D_R adds concerns rows of L as they were, L' - D_L:
 *
 *		left join	those rows joined to D_R
 *					- (l, NULLs) for each l that has a match and had none
 *					+ (l, NULLs) for each l that had a match and has none
 *		exists		+ the block's rows for l with the mark as it is now
 *					- the block's rows for l with the mark as it was
 *					for each l whose mark flipped
 *
 * A mark flips if (n > 0) <> (n - d > 0), n the number of matches now, d the sum of
 * the weights of the rows of D_R that match; n need not be counted beyond
 * d + 1.  Nothing is stored for it.
 *
 * Conditions "expression of L = expression of R" make this cheap: D_R is
 * grouped by its side, and L looked up by the other.  If there are no other conditions on
 * L, the mark is one of the key, and only flipped keys are looked up in L;
 * otherwise each row of L that finds its key among the changes counts for itself.
 *
 * IDENTIFICATION
 *	  src/delta/attachment.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "delta_internal.h"

#define FLIPS_NAME "pgt_flips"

/* A condition "expression of L = expression of R". */
typedef struct Equality
{
	OpExpr	   *op;
	Node	   *outer;			/* of L */
	Node	   *inner;			/* of R */
	bool		inner_first;	/* R's side is the left one */
} Equality;

typedef struct Conditions
{
	List	   *equalities;		/* of Equality * */
	List	   *inner;			/* on R only */
	List	   *others;
} Conditions;

/*
 * What it takes to find the rows of L whose mark may have flipped.  The keys do
 * not depend on L: several terms share them.
 */
typedef struct Flips
{
	StringInfoData keys;		/* relation of keys, with more than keys */
	const char *alias;			/* of the keys */
	StringInfoData items;		/* more items of a FROM list, each after a comma */
	StringInfoData quals;		/* conditions to AND */
	const char *now;			/* does the row match now? */
} Flips;

Attachment *
pgt_delta_attachment(const QueryBlock *block)
{
	return block->attachments == NIL ? NULL : (Attachment *) linitial(block->attachments);
}

/* ---- conditions ---- */

static Equality *
as_equality(Node *qual, int varno)
{
	OpExpr	   *op = (OpExpr *) qual;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2)
		return NULL;
	for (int side = 0; side < 2; side++)
	{
		Node	   *inner = (Node *) list_nth(op->args, side);
		Node	   *outer = (Node *) list_nth(op->args, 1 - side);
		Bitmapset  *varnos = pull_varnos(NULL, inner);
		Equality   *eq;

		if (bms_num_members(varnos) != 1 || !bms_is_member(varno, varnos) ||
			bms_is_member(varno, pull_varnos(NULL, outer)) ||
			!pgt_ir_is_groupable_equality(op, inner))
			continue;
		eq = (Equality *) palloc(sizeof(Equality));
		eq->op = op;
		eq->inner = inner;
		eq->outer = outer;
		eq->inner_first = side == 0;
		return eq;
	}
	return NULL;
}

static Conditions
classify(const QueryBlock *block)
{
	Conditions	c = {0};
	int			varno = list_length(block->inputs) + 1;
	ListCell   *lc;

	foreach(lc, pgt_delta_attachment(block)->quals)
	{
		Node	   *qual = (Node *) lfirst(lc);
		Bitmapset  *varnos = pull_varnos(NULL, qual);
		Equality   *eq;

		if (bms_num_members(varnos) == 1 && bms_is_member(varno, varnos))
			c.inner = lappend(c.inner, qual);
		else if ((eq = as_equality(qual, varno)) != NULL)
			c.equalities = lappend(c.equalities, eq);
		else
			c.others = lappend(c.others, qual);
	}
	return c;
}

/* "outer = prefix.k<i>" for each equality */
static void
append_key_lookup(List *equalities, List *names, const char *prefix, const char *glue,
				  StringInfo out)
{
	ListCell   *lc;

	foreach(lc, equalities)
	{
		Equality   *eq = (Equality *) lfirst(lc);
		char	   *outer = psprintf("(%s)", pgt_delta_expr((Expr *) eq->outer, names, true));
		char	   *key = psprintf("%s.k%d", prefix, foreach_current_index(lc) + 1);
		char	   *op = pgt_delta_operator(eq->op->opno);

		/* the key has lost an explicit collation */
		if (OidIsValid(eq->op->inputcollid) &&
			exprCollation(eq->outer) != exprCollation(eq->inner))
			outer = psprintf("(%s COLLATE %s)", outer,
							 generate_collation_name(eq->op->inputcollid));
		if (eq->inner_first)
			appendStringInfo(out, "%s%s %s %s", glue, key, op, outer);
		else
			appendStringInfo(out, "%s%s %s %s", glue, outer, op, key);
		glue = " AND ";
	}
}

/* ---- the attachment as it is now ---- */

static char *
current_item(const DeltaContext *context, const Attachment *attachment)
{
	return psprintf("%s AS a", pgt_delta_input_text(context, attachment->input, false));
}

static char *
change_item(const DeltaContext *context, const Attachment *attachment)
{
	return psprintf("%s AS a", pgt_delta_input_text(context, attachment->input, true));
}

char *
pgt_delta_current_mark(const DeltaContext *context, const QueryBlock *block, List *names)
{
	Attachment *attachment = pgt_delta_attachment(block);
	StringInfoData buf;

	if (attachment == NULL || attachment->kind != PGT_ATTACH_EXISTS)
		return NULL;
	initStringInfo(&buf);
	appendStringInfo(&buf, "(EXISTS (SELECT 1 FROM %s", current_item(context, attachment));
	pgt_delta_append_quals(block, attachment->quals, names, NULL, " WHERE ", &buf);
	appendStringInfoString(&buf, "))");
	return buf.data;
}

void
pgt_delta_append_left_join(const DeltaContext *context, const QueryBlock *block, List *names,
						   StringInfo out)
{
	Attachment *attachment = pgt_delta_attachment(block);

	appendStringInfo(out, " LEFT JOIN %s ON ", current_item(context, attachment));
	if (attachment->quals == NIL)
		appendStringInfoString(out, "true");
	pgt_delta_append_quals(block, attachment->quals, names, NULL, "", out);
}

/* ---- counting matches ---- */

static bool
is_leading_index_column(Oid relid, AttrNumber attnum)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		result = result || (index->rd_index->indisvalid &&
							index->rd_index->indkey.values[0] == attnum &&
							heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL));
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return result;
}

/* Can rows of the input be looked up by this column? */
static bool
has_lookup(const DeltaContext *context, const Input *input, AttrNumber attnum)
{
	Stage	   *stage;
	QueryBlock *block;
	Var		   *var;

	if (input->kind == PGT_INPUT_RELATION)
		return is_leading_index_column(input->relid, attnum);
	if (input->kind != PGT_INPUT_STAGE)
		return false;
	stage = (Stage *) list_nth(context->def->stages, input->stageno);
	if (!stage->derived)
		return is_leading_index_column(context->stage_relids[input->stageno], attnum);
	if (list_length(stage->blocks) != 1)
		return false;
	block = (QueryBlock *) linitial(stage->blocks);
	var = (Var *) list_nth(block->tlist, attnum - 1);
	return IsA(var, Var) && var->varno <= list_length(block->inputs) &&
		has_lookup(context, pgt_block_input(block, var->varno), var->varattno);
}

static bool
keys_have_lookup(const DeltaContext *context, const Attachment *attachment, List *equalities)
{
	ListCell   *lc;

	foreach(lc, equalities)
	{
		Node	   *inner = ((Equality *) lfirst(lc))->inner;

		while (IsA(inner, RelabelType))
			inner = (Node *) ((RelabelType *) inner)->arg;
		if (IsA(inner, Var) && has_lookup(context, attachment->input, ((Var *) inner)->varattno))
			return true;
	}
	return equalities == NIL;
}

/* "inner AS k1, ..., " */
static void
append_keys(List *equalities, List *names, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, equalities)
		appendStringInfo(out, "%s AS k%d, ",
						 pgt_delta_expr((Expr *) ((Equality *) lfirst(lc))->inner, names, true),
						 foreach_current_index(lc) + 1);
}

static void
append_group_by(int nkeys, const char *prefix, StringInfo out)
{
	for (int i = 1; i <= nkeys; i++)
		appendStringInfo(out, "%s%s%d", i == 1 ? " GROUP BY " : ", ", prefix, i);
}

/* By the types' own equality: both sides are values of R. */
static void
append_same_keys(List *equalities, List *names, const char *glue, bool named, StringInfo out)
{
	ListCell   *lc;

	foreach(lc, equalities)
	{
		Node	   *inner = ((Equality *) lfirst(lc))->inner;
		TypeCacheEntry *type = lookup_type_cache(exprType(inner), TYPECACHE_EQ_OPR);
		int			i = foreach_current_index(lc) + 1;

		appendStringInfo(out, "%s%s %s g.k%d", glue,
						 named ? psprintf("r.k%d", i) :
						 psprintf("(%s)", pgt_delta_expr((Expr *) inner, names, true)),
						 pgt_delta_operator(type->eq_opr), i);
		glue = " AND ";
	}
}

/*
 * The mark depends on the key alone: a relation f of the flipped keys.
 */
static void
flips_by_key(const DeltaContext *context, const QueryBlock *block, List *names,
			 const Conditions *c, Flips *flips)
{
	Attachment *attachment = pgt_delta_attachment(block);
	const char *weight = quote_identifier(context->def->weight_name);
	int			nkeys = list_length(c->equalities);
	StringInfo	out = &flips->keys;

	appendStringInfoString(out, "SELECT ");
	for (int i = 1; i <= nkeys; i++)
		appendStringInfo(out, "n.k%d, ", i);
	appendStringInfoString(out, "n.n > 0 AS now FROM (SELECT ");
	for (int i = 1; i <= nkeys; i++)
		appendStringInfo(out, "g.k%d, ", i);
	if (keys_have_lookup(context, attachment, c->equalities))
		appendStringInfoString(out, "g.d, c.n");
	else
		appendStringInfoString(out, "g.d, pg_catalog.count(r.one) AS n");

	appendStringInfoString(out, " FROM (SELECT ");
	append_keys(c->equalities, names, out);
	appendStringInfo(out, "pg_catalog.sum(a.%s) AS d FROM %s", weight,
					 change_item(context, attachment));
	pgt_delta_append_quals(block, c->inner, names, NULL, " WHERE ", out);
	append_group_by(nkeys, "", out);
	appendStringInfo(out, " HAVING pg_catalog.sum(a.%s) <> 0) AS g ", weight);

	if (keys_have_lookup(context, attachment, c->equalities))
	{
		appendStringInfo(out, "CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS n FROM"
						 " (SELECT 1 FROM %s", current_item(context, attachment));
		pgt_delta_append_quals(block, c->inner, names, NULL, " WHERE ", out);
		append_same_keys(c->equalities, names, c->inner ? " AND " : " WHERE ", false, out);
		appendStringInfoString(out, " LIMIT GREATEST(g.d, 0) + 1) AS x) AS c");
	}
	else
	{
		appendStringInfoString(out, "LEFT JOIN (SELECT ");
		append_keys(c->equalities, names, out);
		appendStringInfo(out, "1 AS one FROM %s", current_item(context, attachment));
		pgt_delta_append_quals(block, c->inner, names, NULL, " WHERE ", out);
		appendStringInfoString(out, ") AS r ON ");
		append_same_keys(c->equalities, names, "", true, out);
		append_group_by(nkeys, "g.k", out);
		appendStringInfoString(out, ", g.d");
	}
	/* the planner takes half of all for this, nearly all for <> */
	appendStringInfoString(out, ") AS n WHERE (n.n > 0) = (NOT (n.n > n.d))");
	flips->alias = "f";
	append_key_lookup(c->equalities, names, "f", "", &flips->quals);
	flips->now = "f.now";
}

/* "(column type, ..., weight int4)" of the changes; false if a type has no name. */
static bool
append_change_columns(const DeltaContext *context, const Input *input, bool definitions,
					  StringInfo out)
{
	int			attnum = -1;

	while ((attnum = bms_next_member(input->used, attnum)) >= 0)
	{
		char	   *name = pgt_delta_column_name(context, input, attnum);
		Oid			type,
					collation;
		int32		typmod;

		if (input->kind == PGT_INPUT_RELATION)
			get_atttypetypmodcoll(input->relid, attnum, &type, &typmod, &collation);
		else
		{
			Stage	   *stage = (Stage *) list_nth(context->def->stages, input->stageno);
			StageColumn *column = (StageColumn *) list_nth(stage->columns, attnum - 1);

			type = column->type;
			typmod = column->typmod;
			collation = column->collation;
		}
		if (get_typtype(type) == TYPTYPE_PSEUDO)
			return false;
		if (definitions)
		{
			appendStringInfo(out, "%s %s", name, format_type_extended(type, typmod,
																	  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
			if (OidIsValid(collation) && collation != get_typcollation(type))
				appendStringInfo(out, " COLLATE %s", generate_collation_name(collation));
			appendStringInfoString(out, ", ");
		}
		else
			appendStringInfo(out, "a.%s, ", name);
	}
	appendStringInfo(out, definitions ? "%s pg_catalog.int4" : "a.%s",
					 quote_identifier(context->def->weight_name));
	return true;
}

/*
 * The mark depends on more than the key: each row of L that finds its key
 * looks at the changes with that key, which come as an array.
 */
static void
flips_by_row(const DeltaContext *context, const QueryBlock *block, List *names,
			 const Conditions *c, Flips *flips)
{
	Attachment *attachment = pgt_delta_attachment(block);
	const char *weight = quote_identifier(context->def->weight_name);
	StringInfo	out = &flips->keys;
	StringInfoData columns,
				definitions;

	initStringInfo(&columns);
	initStringInfo(&definitions);
	appendStringInfoString(out, "SELECT ");
	append_keys(c->equalities, names, out);
	if (append_change_columns(context, attachment->input, false, &columns) &&
		append_change_columns(context, attachment->input, true, &definitions))
		appendStringInfo(out, "pg_catalog.array_agg(ROW(%s)) AS rows", columns.data);
	else
	{
		appendStringInfoString(out, "1 AS one");
		definitions.len = 0;
	}
	appendStringInfo(out, " FROM %s", change_item(context, attachment));
	pgt_delta_append_quals(block, c->inner, names, NULL, " WHERE ", out);
	append_group_by(list_length(c->equalities), "", out);
	flips->alias = "g";

	out = &flips->items;
	appendStringInfo(out, ", LATERAL (SELECT COALESCE(pg_catalog.sum(a.%s), 0) AS d FROM ",
					 weight);
	if (definitions.len > 0)
	{
		appendStringInfo(out, "pg_catalog.unnest(g.rows) AS a(%s)", definitions.data);
		pgt_delta_append_quals(block, c->others, names, NULL, " WHERE ", out);
	}
	else
	{
		appendStringInfoString(out, change_item(context, attachment));
		pgt_delta_append_quals(block, attachment->quals, names, NULL, " WHERE ", out);
	}
	appendStringInfo(out, ") AS d, LATERAL (SELECT pg_catalog.count(*) AS n FROM"
					 " (SELECT 1 FROM %s", current_item(context, attachment));
	pgt_delta_append_quals(block, attachment->quals, names, NULL, " WHERE ", out);
	appendStringInfoString(out, " LIMIT GREATEST(d.d, 0) + 1) AS x) AS f");
	append_key_lookup(c->equalities, names, "g", "", &flips->quals);
	appendStringInfo(&flips->quals, "%s(f.n > 0) = (NOT (f.n > d.d))",
					 c->equalities ? " AND " : "");
	flips->now = "(f.n > 0)";
}

/* ---- terms ---- */

static void
begin_term(StringInfo out, int *nterms)
{
	if ((*nterms)++ > 0)
		appendStringInfoString(out, " UNION ALL ");
	appendStringInfoString(out, "SELECT ");
}

static void
append_weight(const DeltaContext *context, const QueryBlock *block, int sign,
			  const char *inputs, const char *factor, StringInfo out)
{
	appendStringInfo(out, "%s%s%s%s%s AS %s", block->tlist ? ", " : "", sign < 0 ? "- " : "",
					 inputs, *inputs ? " * " : "", factor,
					 quote_identifier(context->def->weight_name));
}

/* Rows of L joined to the changes. */
static void
append_joined(const DeltaContext *context, const QueryBlock *block, List *names,
			  const InputState *states, int sign, const Bitmapset *changed,
			  StringInfo out, int *nterms)
{
	Attachment *attachment = pgt_delta_attachment(block);
	StringInfoData from,
				weight;

	begin_term(out, nterms);
	initStringInfo(&from);
	initStringInfo(&weight);
	pgt_delta_append_inputs(context, block, states, ", ", changed, nterms, &from, &weight);
	pgt_delta_append_output(block, block->tlist, names, NULL, out);
	append_weight(context, block, sign, weight.data,
				  psprintf("a.%s", quote_identifier(context->def->weight_name)), out);
	appendStringInfo(out, " FROM %s%s%s", from.data, from.len ? ", " : "",
					 change_item(context, attachment));
	pgt_delta_append_quals(block, attachment->quals, names, NULL, " WHERE ", out);
	pgt_delta_append_quals(block, block->quals, names, NULL,
						   attachment->quals ? " AND " : " WHERE ", out);
}

/* A condition that is the mark, or its negation: the rows on one side only count. */
static const char *
fixed_mark(const QueryBlock *block)
{
	ListCell   *lc;

	foreach(lc, block->quals)
	{
		Node	   *qual = (Node *) lfirst(lc);

		if (IsA(qual, Param) && ((Param *) qual)->paramkind == PARAM_EXTERN)
			return "true";
		if (IsA(qual, BoolExpr) && ((BoolExpr *) qual)->boolop == NOT_EXPR)
		{
			Node	   *arg = (Node *) linitial(((BoolExpr *) qual)->args);

			if (IsA(arg, Param) && ((Param *) arg)->paramkind == PARAM_EXTERN)
				return "false";
		}
	}
	return NULL;
}

static void
find_flips(const DeltaContext *context, const QueryBlock *block, List *names, Flips *flips)
{
	Conditions	c = classify(block);

	memset(flips, 0, sizeof(*flips));
	initStringInfo(&flips->keys);
	initStringInfo(&flips->items);
	initStringInfo(&flips->quals);
	if (c.others == NIL)
		flips_by_key(context, block, names, &c, flips);
	else
		flips_by_row(context, block, names, &c, flips);
}

/* Rows of L whose mark flipped; with NULLs in the place of R if it is an outer join. */
static void
append_flipped(const DeltaContext *context, const QueryBlock *block, List *names,
			   const InputState *states, int sign, bool shared, const Bitmapset *changed,
			   StringInfo out, int *nterms)
{
	Attachment *attachment = pgt_delta_attachment(block);
	Flips		flips;
	List	   *tlist = block->tlist;
	List	   *quals = block->quals;
	const char *mark = NULL;
	const char *both = "";
	char	   *factor;
	StringInfoData from,
				weight;

	find_flips(context, block, names, &flips);
	if (attachment->kind == PGT_ATTACH_LEFT)
	{
		int			varno = list_length(block->inputs) + 1;

		tlist = pgt_ir_nullify(tlist, varno);
		quals = pgt_ir_nullify(quals, varno);
		factor = psprintf("CASE WHEN %s THEN -1 ELSE 1 END", flips.now);
	}
	else if ((mark = fixed_mark(block)) != NULL)
		factor = psprintf("CASE WHEN %s = %s THEN 1 ELSE -1 END", flips.now, mark);
	else
	{
		mark = "v.mark";
		both = ", (VALUES (true), (false)) AS v(mark)";
		factor = psprintf("CASE WHEN v.mark = %s THEN 1 ELSE -1 END", flips.now);
	}

	begin_term(out, nterms);
	initStringInfo(&from);
	initStringInfo(&weight);
	pgt_delta_append_inputs(context, block, states, ", ", changed, nterms, &from, &weight);
	pgt_delta_append_output(block, tlist, names, mark, out);
	append_weight(context, block, sign, weight.data, factor, out);
	appendStringInfo(out, " FROM %s%s%s AS %s%s%s", from.data, from.len ? ", " : "",
					 shared ? FLIPS_NAME : psprintf("(%s)", flips.keys.data), flips.alias,
					 flips.items.data, both);
	appendStringInfo(out, "%s%s", flips.quals.len ? " WHERE " : "", flips.quals.data);
	pgt_delta_append_quals(block, quals, names, mark,
						   flips.quals.len ? " AND " : " WHERE ", out);
}

void
pgt_delta_begin_shared_flips(const DeltaContext *context, const QueryBlock *block, List *names,
							 StringInfo out)
{
	Flips		flips;

	find_flips(context, block, names, &flips);
	appendStringInfo(out, "(WITH " FLIPS_NAME " AS MATERIALIZED (%s) ", flips.keys.data);
}

void
pgt_delta_attachment_terms(const DeltaContext *context, const QueryBlock *block, List *names,
						   const InputState *states, int sign, bool shared,
						   const Bitmapset *changed, StringInfo out, int *nterms)
{
	if (pgt_delta_attachment(block)->kind == PGT_ATTACH_LEFT)
		append_joined(context, block, names, states, sign, changed, out, nterms);
	append_flipped(context, block, names, states, sign, shared, changed, out, nterms);
}
