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
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "delta_internal.h"

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

List *
pgt_delta_block_names(const DeltaContext *context, const QueryBlock *block)
{
	List	   *rtable = NIL;
	List	   *aliases = NIL;
	ListCell   *lc;

	foreach(lc, block->inputs)
	{
		Input	   *input = (Input *) lfirst(lc);

		switch (input->kind)
		{
			case PGT_INPUT_RELATION:
				rtable = lappend(rtable, relation_entry(input->relid));
				break;
			case PGT_INPUT_STAGE:
				rtable = lappend(rtable, relation_entry(context->stage_relids[input->stageno]));
				break;
			case PGT_INPUT_UNION:
				rtable = lappend(rtable, numbered_entry(list_length(((QueryBlock *) linitial(input->blocks))->tlist)));
				break;
		}
		aliases = lappend(aliases, psprintf("t%d", foreach_current_index(lc) + 1));
	}
	return make_names(rtable, aliases);
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
	return deparse_expression((Node *) expr, names, true, show_casts);
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
