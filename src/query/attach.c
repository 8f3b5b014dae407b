/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  Parts of a query that are blocks of their own: derived stages, and what
 *	  is attached to a block.
 *
 * While the query is converted, a block may have any number of attachments,
 * and derived stages gain columns whenever they are referred to.  At the end
 * each stage is brought into the form of ir.h: a derived stage that only
 * passes on columns is replaced by what it reads, and a block with several
 * attachments becomes a chain of derived stages with one each, in the order they
 * were written in, each with the conditions that can be decided there.
 *
 * IDENTIFICATION
 *	  src/query/attach.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "convert_internal.h"

/*
 * More inputs than this, and an outer join is put onto them by a stage of its own:
 * the planner orders explicit joins freely up to join_collapse_limit only.
 */
#define MAX_LEFT_INPUTS 6

#define BEING_ORDERED (-1)		/* in the place of a stage's number */

/* ---- export ---- */

QueryBlock *
pgt_convert_make_inner_block(QueryBlock *outer)
{
	QueryBlock *block = pgt_convert_make_block();

	block->outer = outer;
	return block;
}

static Stage *
add_derived_stage(Conversion *cv, QueryBlock *block)
{
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));

	stage->number = list_length(cv->def->stages);
	stage->head = PGT_HEAD_ROWS;
	stage->derived = true;
	stage->blocks = list_make1(block);
	cv->def->stages = lappend(cv->def->stages, stage);
	return stage;
}

static Input *
make_stage_input(Stage *stage)
{
	Input	   *input = (Input *) palloc0(sizeof(Input));

	input->kind = PGT_INPUT_STAGE;
	input->stage = stage;
	input->stageno = stage->number;
	return input;
}

static bool
is_mark(Node *node)
{
	return IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN;
}

static bool
has_outer_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > 0;
	return expression_tree_walker(node, has_outer_walker, context);
}

bool
pgt_convert_has_outer_reference(Node *node)
{
	return has_outer_walker(node, NULL);
}

static bool
has_mark_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (is_mark(node))
		return true;
	return expression_tree_walker(node, has_mark_walker, context);
}

static void
refuse_correlation(Conversion *cv)
{
	pgt_convert_unsupported(cv, "correlated_subquery",
							"a subquery that refers outwards in this place cannot be maintained differentially",
							PGT_JOIN_INSTEAD);
}

/* The column of a derived stage, or of the block's output, that shows the expression. */
AttrNumber
pgt_convert_column_of(QueryBlock *block, Node *expr)
{
	ListCell   *lc;

	foreach(lc, block->tlist)
	{
		if (equal(lfirst(lc), expr))
			return foreach_current_index(lc) + 1;
	}
	block->tlist = lappend(block->tlist, expr);
	return list_length(block->tlist);
}

static Node *
make_column(int varno, AttrNumber attnum, Node *expr)
{
	return (Node *) makeVar(varno, attnum, exprType(expr), exprTypmod(expr),
							exprCollation(expr), 0);
}

/* An expression over an inner block, with references outwards, as one over outer. */
static Node *
lift_mutator(Node *node, QueryBlock *block)
{
	if (node == NULL)
		return NULL;
	if (is_mark(node) || (IsA(node, Var) && ((Var *) node)->varlevelsup == 0))
		return make_column(block->exported_as, pgt_convert_column_of(block, node), node);
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		var->varlevelsup--;
		return (Node *) var;
	}
	return expression_tree_mutator(node, lift_mutator, (void *) block);
}

/* As a column: NULL where an outer join found no row. */
static Node *
lift_column(QueryBlock *block, Node *expr)
{
	Node	   *lifted = lift_mutator(expr, block);
	Node	   *matched = (Node *) makeBoolConst(true, false);
	CaseExpr   *choice;
	CaseWhen   *when;

	if (block->exported_as <= PGT_ATTACHED_BASE)
		return lifted;
	choice = makeNode(CaseExpr);
	when = makeNode(CaseWhen);
	when->expr = (Expr *) make_column(block->exported_as, pgt_convert_column_of(block, matched),
									  matched);
	when->result = (Expr *) lifted;
	when->location = -1;
	choice->casetype = exprType(expr);
	choice->casecollid = exprCollation(expr);
	choice->args = list_make1(when);
	choice->defresult = (Expr *) makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr));
	choice->location = -1;
	return (Node *) choice;
}

Node *
pgt_convert_to_block(Conversion *cv, Node *expr, QueryBlock *block, QueryBlock *target)
{
	for (;;)
	{
		int			levels = 0;
		QueryBlock *b;

		for (b = target; b != NULL && b != block; b = b->outer)
			levels++;
		if (b != NULL)
		{
			if (levels > 0)
			{
				if (has_mark_walker(expr, NULL))
					refuse_correlation(cv);
				expr = copyObject(expr);
				IncrementVarSublevelsUp(expr, levels, 0);
			}
			return expr;
		}
		if (block->exported_to == NULL)
		{
			pgt_convert_unsupported(cv, "lateral_subquery",
									"a LATERAL subquery with aggregates, DISTINCT or UNION ALL cannot be maintained differentially",
									PGT_EQUALITY_INSTEAD);
			return (Node *) makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr));
		}
		if (pgt_convert_has_outer_reference(expr))
			expr = lift_column(block, expr);
		else
			expr = make_column(block->exported_as, pgt_convert_column_of(block, expr), expr);
		block = block->exported_to;
	}
}

bool
pgt_convert_refers_outwards(List *blocks)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);

		if (pgt_convert_has_outer_reference((Node *) block->quals) || pgt_convert_has_outer_reference((Node *) block->tlist))
			return true;
		foreach(lc2, block->attachments)
			if (pgt_convert_has_outer_reference((Node *) ((Attachment *) lfirst(lc2))->quals))
				return true;
		foreach(lc2, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (pgt_convert_has_outer_reference((Node *) input->args) ||
				pgt_convert_has_outer_reference((Node *) input->on) ||
				pgt_convert_refers_outwards(input->blocks))
				return true;
		}
	}
	return false;
}

static void
export_block(Conversion *cv, QueryBlock *block, QueryBlock *outer, int varno, Stage *stage)
{
	block->exported_to = outer;
	block->exported_as = varno;
	block->exported_stage = stage;
}

void
pgt_convert_export_as_input(Conversion *cv, QueryBlock *block, QueryBlock *outer)
{
	Stage	   *stage = add_derived_stage(cv, block);

	if (pgt_convert_refers_outwards(list_make1(block)))
		refuse_correlation(cv);
	export_block(cv, block, outer, pgt_convert_add_input(outer, make_stage_input(stage)), stage);
}

/*
 * Conditions of the block that refer outwards become conditions of the
 * attachment.
 */
int
pgt_convert_attach(Conversion *cv, QueryBlock *block, QueryBlock *outer, AttachmentKind kind)
{
	Stage	   *stage = add_derived_stage(cv, block);
	Attachment *attachment = (Attachment *) palloc0(sizeof(Attachment));
	int			number = list_length(outer->attachments) + 1;
	List	   *own = NIL;
	ListCell   *lc;

	attachment->kind = kind;
	attachment->input = make_stage_input(stage);
	outer->attachments = lappend(outer->attachments, attachment);
	export_block(cv, block, outer, PGT_ATTACHED(number), stage);
	foreach(lc, block->quals)
	{
		Node	   *qual = (Node *) lfirst(lc);

		if (pgt_convert_has_outer_reference(qual))
			attachment->quals = lappend(attachment->quals, lift_mutator(qual, block));
		else
			own = lappend(own, qual);
	}
	block->quals = own;
	if (pgt_convert_refers_outwards(list_make1(block)))
		refuse_correlation(cv);
	return number;
}

/* ---- FULL JOIN ---- */

/* Two inputs and the join's condition become two blocks: see outer_join.c. */
static List *
expand_full_join(QueryBlock *join)
{
	QueryBlock *both = pgt_convert_make_block();
	QueryBlock *right = pgt_convert_make_block();
	Attachment *nullable = (Attachment *) palloc0(sizeof(Attachment));
	Attachment *mark = (Attachment *) palloc0(sizeof(Attachment));
	Param	   *param = pgt_ir_make_mark(1);

	both->inputs = list_make1(linitial(join->inputs));
	nullable->kind = PGT_ATTACH_LEFT;
	nullable->input = (Input *) lsecond(join->inputs);
	nullable->quals = pgt_ir_renumber(join->quals, 2, PGT_ATTACHED(1));
	both->attachments = list_make1(nullable);
	both->tlist = pgt_ir_renumber(join->tlist, 2, PGT_ATTACHED(1));

	right->inputs = list_make1(make_stage_input(nullable->input->stage));
	mark->kind = PGT_ATTACH_EXISTS;
	mark->input = make_stage_input(((Input *) linitial(join->inputs))->stage);
	mark->quals = pgt_ir_renumber(pgt_ir_renumber(join->quals, 1, PGT_ATTACHED(1)), 2, 1);
	right->attachments = list_make1(mark);
	right->quals = list_make1(makeBoolExpr(NOT_EXPR, list_make1(param), -1));
	right->tlist = pgt_ir_renumber(pgt_ir_nullify(join->tlist, 1), 2, 1);
	return list_make2(both, right);
}

/* ---- derived stages that are not needed ---- */

/*
 * The one input of a derived stage that is nothing but a projection and filter
 * of it; or NULL.
 */
static Input *
single_input(Input *input, bool plain_columns)
{
	QueryBlock *block;
	Input	   *only;
	ListCell   *lc;

	if (input->kind != PGT_INPUT_STAGE || !input->stage->derived ||
		list_length(input->stage->blocks) != 1)
		return NULL;
	block = (QueryBlock *) linitial(input->stage->blocks);
	if (list_length(block->inputs) != 1 || block->attachments != NIL)
		return NULL;
	only = (Input *) linitial(block->inputs);
	if (only->kind != PGT_INPUT_RELATION && only->kind != PGT_INPUT_STAGE)
		return NULL;
	foreach(lc, block->tlist)
		if (plain_columns && !IsA(lfirst(lc), Var))
			return NULL;
	return only;
}

static Input *
copy_simple_input(const Input *input)
{
	Input	   *copy = (Input *) palloc(sizeof(Input));

	*copy = *input;
	return copy;
}

/* The columns of input or attachment varno, in what the block's items refer to. */
static void
replace_in_items(QueryBlock *block, int varno, List *columns)
{
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		input->args = pgt_ir_replace(input->args, varno, columns);
		input->on = pgt_ir_replace(input->on, varno, columns);
	}
}

static void
simplify_attachment(QueryBlock *block, int number)
{
	Attachment *attachment = (Attachment *) list_nth(block->attachments, number - 1);
	Input	   *only;

	while ((only = single_input(attachment->input, true)) != NULL)
	{
		QueryBlock *inner = (QueryBlock *) linitial(attachment->input->stage->blocks);
		int			varno = PGT_ATTACHED(number);
		List	   *columns = pgt_ir_renumber(inner->tlist, 1, varno);
		ListCell   *lc;

		foreach(lc, block->attachments)
		{
			Attachment *other = (Attachment *) lfirst(lc);

			other->quals = pgt_ir_replace(other->quals, varno, columns);
		}
		replace_in_items(block, varno, columns);
		block->quals = pgt_ir_replace(block->quals, varno, columns);
		block->tlist = pgt_ir_replace(block->tlist, varno, columns);
		attachment->quals = list_concat(attachment->quals,
										pgt_ir_renumber(inner->quals, 1, varno));
		attachment->input = copy_simple_input(only);
	}
}

/* The same for an input, whose rows are all there: any expression will do. */
static void
simplify_input(QueryBlock *block, int number)
{
	ListCell   *cell = list_nth_cell(block->inputs, number - 1);
	Input	   *only;

	while ((only = single_input((Input *) lfirst(cell), false)) != NULL)
	{
		QueryBlock *inner = (QueryBlock *) linitial(((Input *) lfirst(cell))->stage->blocks);
		List	   *columns = pgt_ir_renumber(inner->tlist, 1, number);
		ListCell   *lc;

		foreach(lc, block->attachments)
		{
			Attachment *other = (Attachment *) lfirst(lc);

			other->quals = pgt_ir_replace(other->quals, number, columns);
		}
		replace_in_items(block, number, columns);
		block->quals = list_concat(pgt_ir_replace(block->quals, number, columns),
								   pgt_ir_renumber(inner->quals, 1, number));
		block->tlist = pgt_ir_replace(block->tlist, number, columns);
		lfirst(cell) = copy_simple_input(only);
	}
}

/* ---- one attachment for each block ---- */

typedef struct SplitContext
{
	int			nattached;		/* how many of the attachments the inner block keeps */
	QueryBlock *inner;			/* gains columns; NULL: look only */
	int		   *moved;			/* by input number: > 0, its number in the inner block; < 0, - its number in the other */
	bool		later;			/* refers to something that the inner block lacks */
} SplitContext;

static bool
split_walker(Node *node, SplitContext *context)
{
	if (node == NULL)
		return false;
	if (is_mark(node) && ((Param *) node)->paramid > context->nattached)
		context->later = true;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0)
	{
		int			varno = ((Var *) node)->varno;

		if (varno > PGT_ATTACHED_BASE ? varno > PGT_ATTACHED_BASE + context->nattached :
			context->moved != NULL && context->moved[varno] < 0)
			context->later = true;
		return false;
	}
	return expression_tree_walker(node, split_walker, (void *) context);
}

static bool
needs_later(Node *node, int nattached, int *moved)
{
	SplitContext context = {0};

	context.nattached = nattached;
	context.moved = moved;
	(void) split_walker(node, &context);
	return context.later;
}

/*
 * Items over columns of attachments come after these.  The inner block keeps
 * the inputs that need none but its own attachments; the others follow the
 * inner block as input 1.
 */
static int *
divide_inputs(QueryBlock *block, int nattached, List **kept, List **others)
{
	int		   *moved = (int *) palloc0(sizeof(int) * (list_length(block->inputs) + 1));
	ListCell   *lc;

	*kept = *others = NIL;
	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);
		int			number = foreach_current_index(lc) + 1;

		/* its own columns, in its join condition, go where it goes */
		if (nattached > 0 &&
			(needs_later((Node *) input->args, 0, moved) || needs_later((Node *) input->on, 0, moved)))
		{
			*others = lappend(*others, input);
			moved[number] = -(list_length(*others) + 1);
		}
		else
		{
			*kept = lappend(*kept, input);
			moved[number] = list_length(*kept);
		}
	}
	return moved;
}

static bool
has_late_item(QueryBlock *block)
{
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (needs_later((Node *) input->args, 0, NULL) || needs_later((Node *) input->on, 0, NULL))
			return true;
	}
	return false;
}

static Node *
split_mutator(Node *node, SplitContext *context)
{
	if (node == NULL)
		return NULL;
	if (is_mark(node))
	{
		Param	   *param = (Param *) node;

		if (param->paramid > context->nattached)
			return (Node *) pgt_ir_make_mark(param->paramid - context->nattached);
		return make_column(1, pgt_convert_column_of(context->inner, node), node);
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0)
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varno > PGT_ATTACHED_BASE + context->nattached)
		{
			var->varno -= context->nattached;
			var->varnosyn = var->varno;
			return (Node *) var;
		}
		if (var->varno < PGT_ATTACHED_BASE)
		{
			int			moved = context->moved[var->varno];

			var->varno = var->varnosyn = abs(moved);
			if (moved < 0)
				return (Node *) var;
		}
		return make_column(1, pgt_convert_column_of(context->inner, (Node *) var), (Node *) var);
	}
	return expression_tree_mutator(node, split_mutator, (void *) context);
}

/* After inputs were taken out from among those of the block. */
static void
renumber_inputs(QueryBlock *block, const int *moved, int ninputs)
{
	ListCell   *lc;

	for (int i = 1; i <= ninputs; i++)
	{
		if (moved[i] <= 0 || moved[i] == i)
			continue;
		/* ascending: the new number is free */
		block->quals = pgt_ir_renumber(block->quals, i, moved[i]);
		foreach(lc, block->attachments)
		{
			Attachment *attachment = (Attachment *) lfirst(lc);

			attachment->quals = pgt_ir_renumber(attachment->quals, i, moved[i]);
		}
		foreach(lc, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc);

			input->args = pgt_ir_renumber(input->args, i, moved[i]);
			input->on = pgt_ir_renumber(input->on, i, moved[i]);
		}
	}
}

/*
 * Moves the inputs, the first nattached attachments and what can be decided
 * on them into a derived stage.
 */
static Stage *
split_block(Conversion *cv, QueryBlock *block, int nattached)
{
	QueryBlock *inner = pgt_convert_make_block();
	Stage	   *stage = (Stage *) palloc0(sizeof(Stage));
	SplitContext context = {0};
	List	   *later = NIL;
	List	   *others;
	ListCell   *lc;

	context.moved = divide_inputs(block, nattached, &inner->inputs, &others);
	inner->attachments = list_copy_head(block->attachments, nattached);
	foreach(lc, inner->attachments)
		if (needs_later((Node *) ((Attachment *) lfirst(lc))->quals, nattached, context.moved))
			refuse_correlation(cv);
	foreach(lc, block->quals)
	{
		if (needs_later((Node *) lfirst(lc), nattached, context.moved))
			later = lappend(later, lfirst(lc));
		else
			inner->quals = lappend(inner->quals, lfirst(lc));
	}
	renumber_inputs(inner, context.moved, list_length(block->inputs));
	context.inner = inner;
	context.nattached = nattached;
	foreach(lc, others)
	{
		Input	   *input = (Input *) lfirst(lc);

		input->args = (List *) split_mutator((Node *) input->args, &context);
		input->on = (List *) split_mutator((Node *) input->on, &context);
	}
	block->quals = (List *) split_mutator((Node *) later, &context);
	block->tlist = (List *) split_mutator((Node *) block->tlist, &context);
	block->attachments = list_copy_tail(block->attachments, nattached);
	foreach(lc, block->attachments)
	{
		Attachment *attachment = (Attachment *) lfirst(lc);

		if (needs_later((Node *) attachment->quals, nattached + foreach_current_index(lc) + 1, NULL))
			refuse_correlation(cv);
		attachment->quals = (List *) split_mutator((Node *) attachment->quals, &context);
	}
	stage->head = PGT_HEAD_ROWS;
	stage->derived = true;
	stage->blocks = list_make1(inner);
	block->inputs = lcons(make_stage_input(stage), others);
	return stage;
}

bool
pgt_convert_stays_whole(QueryBlock *block)
{
	if (block->attachments == NIL)
		return true;
	return list_length(block->attachments) == 1 && !has_late_item(block) &&
		(((Attachment *) linitial(block->attachments))->kind != PGT_ATTACH_LEFT ||
		 list_length(block->inputs) <= MAX_LEFT_INPUTS);
}

static void normalise_blocks(Conversion *cv, List *blocks, List **stages);

static void
normalise_block(Conversion *cv, QueryBlock *block, List **stages)
{
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		if (input->kind == PGT_INPUT_UNION)
			normalise_blocks(cv, input->blocks, stages);
	}
	for (int i = 1; i <= list_length(block->inputs); i++)
		simplify_input(block, i);
	for (int i = 1; i <= list_length(block->attachments); i++)
		simplify_attachment(block, i);
	while (list_length(block->attachments) > 1 ||
		   (block->attachments != NIL && has_late_item(block)))
	{
		Stage	   *stage = split_block(cv, block, 1);

		normalise_block(cv, (QueryBlock *) linitial(stage->blocks), stages);
		*stages = lappend(*stages, stage);
	}
	if (list_length(block->attachments) == 1)
	{
		Attachment *attachment = (Attachment *) linitial(block->attachments);
		int			varno;

		if (attachment->kind == PGT_ATTACH_LEFT && list_length(block->inputs) > MAX_LEFT_INPUTS)
			*stages = lappend(*stages, split_block(cv, block, 0));
		varno = list_length(block->inputs) + 1;
		block->quals = pgt_ir_renumber(block->quals, PGT_ATTACHED(1), varno);
		block->tlist = pgt_ir_renumber(block->tlist, PGT_ATTACHED(1), varno);
		attachment->quals = pgt_ir_renumber(attachment->quals, PGT_ATTACHED(1), varno);
	}
}

static void
normalise_blocks(Conversion *cv, List *blocks, List **stages)
{
	ListCell   *lc;

	foreach(lc, blocks)
		normalise_block(cv, (QueryBlock *) lfirst(lc), stages);
}

/* ---- numbers of stages ---- */

typedef void (*InputVisit) (Conversion *cv, Input *input);

static void
visit_inputs(Conversion *cv, List *blocks, InputVisit visit)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);

		foreach(lc2, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			visit(cv, input);
			visit_inputs(cv, input->blocks, visit);
		}
		foreach(lc2, block->attachments)
			visit(cv, ((Attachment *) lfirst(lc2))->input);
	}
}

static void
resolve_stage(Conversion *cv, Input *input)
{
	if (input->kind == PGT_INPUT_STAGE && input->stage == NULL)
		input->stage = (Stage *) list_nth(cv->def->stages, input->stageno);
}

static void
number_input(Conversion *cv, Input *input)
{
	if (input->kind == PGT_INPUT_STAGE)
		input->stageno = input->stage->number;
}

static void order_stage(Conversion *cv, Stage *stage);

static void
order_input(Conversion *cv, Input *input)
{
	if (input->kind == PGT_INPUT_STAGE && input->stage->number != BEING_ORDERED)
		order_stage(cv, input->stage);
}

/* Appends the stage to the definition's, after those it reads; WITH RECURSIVE reads itself. */
static void
order_stage(Conversion *cv, Stage *stage)
{
	if (list_member_ptr(cv->def->stages, stage))
		return;
	check_stack_depth();
	stage->number = BEING_ORDERED;
	visit_inputs(cv, stage->blocks, order_input);
	stage->number = list_length(cv->def->stages);
	cv->def->stages = lappend(cv->def->stages, stage);
}

/* In the order in which they are computed; what nobody reads goes. */
static void
number_stages(Conversion *cv, Stage *last)
{
	ListCell   *lc;

	cv->def->stages = NIL;
	order_stage(cv, last);
	foreach(lc, cv->def->stages)
		visit_inputs(cv, ((Stage *) lfirst(lc))->blocks, number_input);
}

static void
describe_columns(Stage *stage)
{
	QueryBlock *block = (QueryBlock *) linitial(stage->blocks);
	ListCell   *lc;

	/* nobody looks at any column: rows are counted */
	if (block->tlist == NIL)
	{
		foreach(lc, stage->blocks)
			((QueryBlock *) lfirst(lc))->tlist =
				list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
									 Int32GetDatum(1), false, true));
	}
	foreach(lc, block->tlist)
	{
		Node	   *expr = (Node *) lfirst(lc);
		StageColumn *column = (StageColumn *) palloc0(sizeof(StageColumn));

		column->name = psprintf("c%d", foreach_current_index(lc) + 1);
		column->type = exprType(expr);
		column->typmod = exprTypmod(expr);
		column->collation = exprCollation(expr);
		stage->columns = lappend(stage->columns, column);
	}
}

void
pgt_convert_normalise(Conversion *cv)
{
	List	   *stages = NIL;
	ListCell   *lc;

	foreach(lc, cv->def->stages)
		visit_inputs(cv, ((Stage *) lfirst(lc))->blocks, resolve_stage);
	foreach(lc, cv->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		QueryBlock *first = (QueryBlock *) linitial(stage->blocks);

		if (first->is_full_join)
			stage->blocks = expand_full_join(first);
		normalise_blocks(cv, stage->blocks, &stages);
		stages = lappend(stages, stage);
	}
	if (cv->reason)
		return;
	number_stages(cv, (Stage *) llast(stages));
	foreach(lc, cv->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (stage->derived)
			describe_columns(stage);
	}
}
