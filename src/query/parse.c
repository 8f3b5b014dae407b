/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  From the text of a defining query, or from a hidden view, to a Query.
 *
 * The text is parsed once, with the rights and the search_path of the user
 * who gives it.  From then on the query lives in a hidden view, so that
 * renames and dependencies are the server's business.
 *
 * IDENTIFICATION
 *	  src/query/parse.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/rel.h"

#include "pgtrickle/query.h"
#include "query_internal.h"

/*
 * Positions in errors refer to the defining query, which is not what the
 * client sent: report them as internal positions, as SPI does.
 */
static void
query_text_error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
	errcontext("defining query of a stream table");
}

static void
check_statement(RawStmt *raw)
{
	SelectStmt *select;

	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the defining query of a stream table must be a SELECT"),
				 errdetail("The statement is %s.", GetCommandTagName(CreateCommandTag(raw->stmt))),
				 parser_errposition(NULL, raw->stmt_location)));
	for (select = (SelectStmt *) raw->stmt; select; select = select->larg)
	{
		if (select->intoClause)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the defining query of a stream table must not contain SELECT INTO")));
	}
}

Query *
pgt_query_parse(const char *sql)
{
	ErrorContextCallback callback;
	List	   *raws;
	RawStmt    *raw;
	Query	   *query;

	callback.callback = query_text_error_callback;
	callback.arg = unconstify(char *, sql);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	raws = pg_parse_query(sql);
	if (raws == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the defining query of a stream table must not be empty")));
	if (list_length(raws) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the defining query of a stream table must be a single statement"),
				 errdetail("The text contains %d statements.", list_length(raws))));
	raw = linitial_node(RawStmt, raws);
	check_statement(raw);
	query = parse_analyze_fixedparams(raw, sql, NULL, 0, NULL);
	Assert(query->commandType == CMD_SELECT && query->utilityStmt == NULL);

	error_context_stack = callback.previous;
	return query;
}

Query *
pgt_query_of_view(Oid viewid)
{
	Relation	rel = table_open(viewid, AccessShareLock);
	Query	   *query;

	if (rel->rd_rel->relkind != RELKIND_VIEW)
		elog(ERROR, "relation %u is not a view", viewid);
	query = copyObject(get_view_query(rel));
	table_close(rel, NoLock);
	return query;
}

/* What SEARCH and CYCLE stand for has been put into the queries. */
static bool
forget_search(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr))
	{
		((CommonTableExpr *) node)->search_clause = NULL;
		((CommonTableExpr *) node)->cycle_clause = NULL;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, forget_search, context, 0);
	return expression_tree_walker(node, forget_search, context);
}

/*
 * The query with views expanded, and with SEARCH and CYCLE as columns of its terms: it
 * says the same when it is printed and read again.
 */
Query *
pgt_query_rewrite(const Query *query)
{
	Query	   *copy = copyObject(unconstify(Query *, query));
	List	   *rewritten;

	AcquireRewriteLocks(copy, true, false);
	rewritten = QueryRewrite(copy);
	if (list_length(rewritten) != 1)
		elog(ERROR, "unexpected rewrite result for a defining query");
	(void) forget_search((Node *) linitial_node(Query, rewritten), NULL);
	return linitial_node(Query, rewritten);
}
