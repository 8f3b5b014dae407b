/*-------------------------------------------------------------------------
 *
 * expr.c
 *	  Expressions of the intermediate representation as SQL text.
 *
 * The server's own deparser prints them, over a range table made up here:
 * entry n stands for input n of a block.  That is the code that prints views,
 * so types, typmods, collations and precedence are kept.  Vars must have
 * varnosyn = varno (makeVar does that): the deparser prefers it.
 *
 * IDENTIFICATION
 *	  src/delta/expr.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "delta_internal.h"
#include "pgtrickle/env.h"

/* How a mark is printed before its text is put in; no identifier of anyone else. */
#define MARK_ALIAS "pgt_mark_7d1f3b"
#define MARK_TEXT MARK_ALIAS ".c1"

static RangeTblEntry *
relation_entry(Oid relid)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_RELATION;
	rte->relid = relid;
	rte->relkind = get_rel_relkind(relid);
	rte->rellockmode = AccessShareLock;
	rte->eref = makeAlias("input", NIL);	/* real names come from the catalog */
	return rte;
}

/* An entry whose columns are c1 .. cn. */
static RangeTblEntry *
numbered_entry(int ncolumns)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_VALUES;
	rte->eref = makeAlias("input", NIL);
	for (int i = 1; i <= ncolumns; i++)
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(psprintf("c%d", i)));
	return rte;
}

static List *
make_names(List *rtable, List *aliases)
{
	PlannedStmt *stmt = makeNode(PlannedStmt);

	stmt->commandType = CMD_SELECT;
	stmt->rtable = rtable;
	return deparse_context_for_plan_tree(stmt, aliases);
}

static RangeTblEntry *
input_entry(const DeltaContext *context, const Input *input)
{
	Stage	   *stage;

	switch (input->kind)
	{
		case PGT_INPUT_RELATION:
			return relation_entry(input->relid);
		case PGT_INPUT_STAGE:
			stage = (Stage *) list_nth(context->def->stages, input->stageno);
			if (stage->derived)
				return numbered_entry(list_length(stage->columns));
			return relation_entry(context->stage_relids[input->stageno]);
		case PGT_INPUT_ITEM:
			return numbered_entry(list_length(input->item->eref->colnames));
		case PGT_INPUT_UNION:
			break;
	}
	return numbered_entry(list_length(((QueryBlock *) linitial(input->blocks))->tlist));
}

List *
pgt_delta_block_names(const DeltaContext *context, const QueryBlock *block)
{
	return pgt_delta_block_names_renamed(context, block, 0, NULL);
}

List *
pgt_delta_block_names_renamed(const DeltaContext *context, const QueryBlock *block,
							  int renamed, const char *alias)
{
	List	   *rtable = NIL;
	List	   *aliases = NIL;
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		rtable = lappend(rtable, input_entry(context, (Input *) lfirst(lc)));
		aliases = lappend(aliases, foreach_current_index(lc) + 1 == renamed ? pstrdup(alias) :
						  psprintf("t%d", foreach_current_index(lc) + 1));
	}
	if (block->attachments != NIL)
	{
		rtable = lappend(rtable, input_entry(context, pgt_delta_attachment(block)->input));
		aliases = lappend(aliases, "a");
		rtable = lappend(rtable, numbered_entry(1));
		aliases = lappend(aliases, MARK_ALIAS);
	}
	return make_names(rtable, aliases);
}

char *
pgt_delta_column_name(const DeltaContext *context, const Input *input, AttrNumber attnum)
{
	Oid			relid = input->relid;

	if (input->kind == PGT_INPUT_STAGE)
	{
		if (((Stage *) list_nth(context->def->stages, input->stageno))->derived)
			return psprintf("c%d", attnum);
		relid = context->stage_relids[input->stageno];
	}
	else if (input->kind != PGT_INPUT_RELATION)
		return psprintf("c%d", attnum);
	return pstrdup(quote_identifier(pgt_attribute_name(relid, attnum)));
}

/* ---- items: functions and the like ---- */

/*
 * As it stands in a FROM list.  The server prints FROM lists of whole queries only:
 * so we make one up, of the item alone, with the inputs before it in its range table.
 */
static char *
print_entry(const DeltaContext *context, const QueryBlock *block, int number,
			RangeTblEntry *item)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Expr	   *one = (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
										 Int32GetDatum(1), false, true);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	for (int i = 1; i < number; i++)
	{
		RangeTblEntry *rte = input_entry(context, pgt_block_input(block, i));

		rte->alias = makeAlias(psprintf("t%d", i), NIL);
		query->rtable = lappend(query->rtable, rte);
	}
	item->alias->aliasname = item->eref->aliasname = psprintf("t%d", number);
	query->rtable = lappend(query->rtable, item);
	ref->rtindex = number;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = list_make1(makeTargetEntry(one, 1, pstrdup("one"), false));
	return strstr(pgt_delta_query_text(query), "FROM ") + strlen("FROM ");
}

char *
pgt_delta_item_text(const DeltaContext *context, const QueryBlock *block, int number)
{
	const Input *input = pgt_block_input(block, number);
	RangeTblEntry *item = copyObject(pgt_ir_item_entry(input));
	List	   *names;
	StringInfoData buf;

	if (!input->outer)
		return print_entry(context, block, number, item);
	names = pgt_delta_block_names(context, block);
	item->lateral = true;
	initStringInfo(&buf);
	appendStringInfo(&buf, "LATERAL (SELECT t%d.* FROM (VALUES (1)) AS one LEFT JOIN %s ON ",
					 number, print_entry(context, block, number, item));
	if (input->on == NIL)
		appendStringInfoString(&buf, "true");
	pgt_delta_append_quals(block, input->on, names, NULL, "", &buf);
	appendStringInfo(&buf, ") AS t%d", number);
	return buf.data;
}

List *
pgt_delta_grouped_names(int ncolumns)
{
	return make_names(list_make1(numbered_entry(ncolumns)), list_make1("b"));
}

/*
 * show_casts: print an implicit cast at the top, so that the type of a result
 * column does not depend on its context.
 */
char *
pgt_delta_expr(Expr *expr, List *names, bool show_casts)
{
	return deparse_expression((Node *) pgt_delta_spell_out(expr), names, true, show_casts);
}

typedef struct MarkContext
{
	int			varno;			/* of the entry that stands for the mark; 0: true instead */
	bool		found;
} MarkContext;

static Node *
mark_mutator(Node *node, MarkContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		context->found = true;
		if (context->varno == 0)
			return makeBoolConst(true, false);
		return (Node *) makeVar(context->varno, 1, BOOLOID, -1, InvalidOid, 0);
	}
	return expression_tree_mutator(node, mark_mutator, (void *) context);
}

char *
pgt_delta_marked_expr(Expr *expr, List *names, const QueryBlock *block, const char *mark,
					  bool show_casts)
{
	MarkContext context = {0};
	StringInfoData buf;
	char	   *text;
	char	   *next;

	context.varno = list_length(block->inputs) + 2;
	text = pgt_delta_expr((Expr *) mark_mutator((Node *) expr, &context), names, show_casts);
	if (!context.found)
		return text;
	/* a literal of the query that looks like our name would be replaced, too */
	context.varno = 0;
	if (strstr(pgt_delta_expr((Expr *) mark_mutator((Node *) expr, &context), names, show_casts),
			   MARK_TEXT) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("the defining query must not contain \"%s\"", MARK_TEXT),
				 errhint("Write the text in two parts, or use refresh mode FULL.")));
	initStringInfo(&buf);
	while ((next = strstr(text, MARK_TEXT)) != NULL)
	{
		appendBinaryStringInfo(&buf, text, next - text);
		appendStringInfoString(&buf, mark);
		text = next + strlen(MARK_TEXT);
	}
	appendStringInfoString(&buf, text);
	return buf.data;
}

char *
pgt_delta_operator(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator op;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	op = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)",
					  quote_identifier(get_namespace_name(op->oprnamespace)),
					  NameStr(op->oprname));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * "text is null" (or not) as an aggregate sees it: a row value with NULL
 * fields is not null, whatever IS NULL says of it.
 */
char *
pgt_delta_null_test(const char *text, Oid type, bool is_null)
{
	if (type_is_rowtype(getBaseType(type)))
		return psprintf("pg_catalog.num_nulls(%s) = %d", text, is_null ? 1 : 0);
	return psprintf("%s IS %sNULL", text, is_null ? "" : "NOT ");
}
