/*-------------------------------------------------------------------------
 *
 * obstacles.c
 *	  What stands against maintaining a query, construct by construct.
 *
 * Walks all levels of the rewritten query and collects every obstacle, so
 * that validate_query() can show them all; creation raises or records the
 * first.
 *
 * IDENTIFICATION
 *	  src/query/obstacles.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "pgtrickle/env.h"
#include "query_internal.h"

#define USE_FULL "Use refresh mode FULL, or AUTO, which then recomputes."

static void
add(List **reasons, const char *code, int location, const char *message,
	const char *detail, const char *hint)
{
	*reasons = lappend(*reasons,
					   pgt_reason_make(code, location, pstrdup(message),
									   detail ? pstrdup(detail) : NULL,
									   pstrdup(hint ? hint : USE_FULL)));
}

/* Refused in every mode. */
static void
add_refusal(List **reasons, const char *code, int location, const char *message,
			const char *detail, const char *hint)
{
	UnsupportedReason *reason;

	add(reasons, code, location, message, detail, hint);
	reason = (UnsupportedReason *) llast(*reasons);
	reason->all_modes = true;
}

static bool
find_system_column(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, GroupingFunc) || IsA(node, Query))
		return false;			/* the clause says it already; levels are walked apart */
	if (IsA(node, Var) && ((Var *) node)->varattno < 0)
	{
		List	  **reasons = (List **) context;

		add(reasons, "system_column", exprLocation(node),
			"a system column cannot be maintained differentially", NULL, NULL);
		return false;
	}
	return expression_tree_walker(node, find_system_column, context);
}

static void
check_relation(RangeTblEntry *rte, List **reasons)
{
	const char *label = pgt_relation_label(rte->relid);

	if (rte->tablesample)
		add(reasons, "tablesample", -1,
			"TABLESAMPLE cannot be maintained differentially", NULL, NULL);
	switch (rte->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
			break;
		case RELKIND_MATVIEW:
			if (pgt_query_is_polled(rte->relid))
				break;
			add(reasons, "materialized_view", -1,
				psprintf("materialized view \"%s\" cannot be a differential source", label),
				"Its changes cannot be captured.",
				"Make it a stream table, or use refresh mode FULL. Or set pg_trickle.matview_polling: then the first refresh after each REFRESH MATERIALIZED VIEW reads all of it, and compares it with a kept copy.");
			break;
		case RELKIND_FOREIGN_TABLE:
			if (pgt_query_is_polled(rte->relid))
				break;
			add(reasons, "foreign_table", -1,
				psprintf("foreign table \"%s\" cannot be a differential source", label),
				"Its changes cannot be captured.",
				"Use refresh mode FULL, or AUTO, which then recomputes. Or set pg_trickle.foreign_table_polling: then each refresh reads all of it, and compares it with a kept copy.");
			break;
		default:
			add(reasons, "relation_kind", -1,
				psprintf("relation \"%s\" cannot be a differential source", label),
				NULL, NULL);
			break;
	}
	if (rte->securityQuals != NIL)
		add(reasons, "row_security", -1,
			psprintf("row security of table \"%s\" applies to the owner of the stream table", label),
			"A change of a policy would change rows without any change of the source.", NULL);
}

static void
check_range_table(Query *query, List **reasons)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		switch (rte->rtekind)
		{
			case RTE_RELATION:
				check_relation(rte, reasons);
				break;
			default:
				break;
		}
	}
}

static bool
find_row_or_subquery(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) || IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, find_row_or_subquery, context);
}

/* Frames and limits are expressions without columns, evaluated where they stand. */
static void
check_ordering(Query *query, List **reasons)
{
	List	   *exprs = list_make2(query->limitCount, query->limitOffset);
	ListCell   *lc;

	foreach(lc, query->windowClause)
	{
		exprs = lappend(exprs, lfirst_node(WindowClause, lc)->startOffset);
		exprs = lappend(exprs, lfirst_node(WindowClause, lc)->endOffset);
	}
	foreach(lc, exprs)
	{
		Node	   *expr = (Node *) lfirst(lc);

		if (find_row_or_subquery(expr, NULL))
			add(reasons, "variable_limit", exprLocation(expr),
				"a LIMIT, OFFSET or frame that depends on rows cannot be maintained differentially",
				NULL, NULL);
	}
}

/* Elsewhere in the select list they come after windows. */
static void
check_window_sets(Query *query, List **reasons)
{
	ListCell   *lc,
			   *lc2;

	foreach(lc, query->hasTargetSRFs ? query->windowClause : NIL)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		foreach(lc2, query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc2);

			if ((pgt_query_clause_uses(window->partitionClause, tle) ||
				 pgt_query_clause_uses(window->orderClause, tle)) &&
				!pgt_query_clause_uses(query->groupClause, tle) &&
				expression_returns_set((Node *) tle->expr))
				add(reasons, "set_returning_function", exprLocation((Node *) tle->expr),
					"a set-returning function in the definition of a window cannot be maintained differentially",
					NULL, "Put it into a subquery in FROM.");
		}
	}
}

/* What the level calls, without its subqueries. */
static void
check_calls(Query *query, List **reasons)
{
	ListCell   *lc;

	pgt_query_check_functions((Node *) query->targetList, reasons);
	pgt_query_check_functions((Node *) query->jointree, reasons);
	pgt_query_check_functions(query->havingQual, reasons);
	pgt_query_check_functions((Node *) query->windowClause, reasons);
	pgt_query_check_functions(query->limitOffset, reasons);
	pgt_query_check_functions(query->limitCount, reasons);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		pgt_query_check_functions((Node *) rte->functions, reasons);
		pgt_query_check_functions((Node *) rte->tablefunc, reasons);
		pgt_query_check_functions((Node *) rte->values_lists, reasons);
	}
}

static void
check_row_locks(Query *query, List **reasons)
{
	if (query->rowMarks != NIL || query->hasForUpdate)
		add_refusal(reasons, "row_locking", -1,
					"the defining query of a stream table must not lock rows",
					"It contains FOR UPDATE or FOR SHARE.",
					"Remove the locking clause.");
}

/* One query level, without its subqueries. */
static void
check_level(Query *query, List **reasons)
{
	ListCell   *lc;

	if (query->hasModifyingCTE || query->commandType != CMD_SELECT)
		add_refusal(reasons, "data_modification", -1,
					"the defining query of a stream table must not modify data",
					"It contains INSERT, UPDATE, DELETE or MERGE in a WITH clause.",
					"Write the data by itself, and select from the table.");
	check_row_locks(query, reasons);
	if (pgt_query_has_limit(query) && query->sortClause == NIL)
		add(reasons, "limit_without_order", -1,
			"LIMIT or OFFSET without ORDER BY cannot be maintained differentially",
			"Any rows are as good as others, so there is nothing to follow.",
			"Add ORDER BY, or use refresh mode FULL.");
	check_ordering(query, reasons);
	check_window_sets(query, reasons);
	check_range_table(query, reasons);
	(void) find_system_column((Node *) query->targetList, reasons);
	(void) find_system_column((Node *) query->jointree, reasons);
	(void) find_system_column(query->havingQual, reasons);
	foreach(lc, query->rtable)
	{
		(void) find_system_column((Node *) lfirst_node(RangeTblEntry, lc)->functions, reasons);
		(void) find_system_column((Node *) lfirst_node(RangeTblEntry, lc)->tablefunc, reasons);
		(void) find_system_column((Node *) lfirst_node(RangeTblEntry, lc)->values_lists, reasons);
	}
	check_calls(query, reasons);
}

/*
 * What PostgreSQL computes as it is written may be anything that depends on
 * nothing but captured rows.
 */
static bool
native_walker(Node *node, void *context)
{
	List	  **reasons = (List **) context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		foreach(lc, query->rtable)
			if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_RELATION)
				check_relation(lfirst_node(RangeTblEntry, lc), reasons);
		check_row_locks(query, reasons);
		(void) find_system_column((Node *) query->targetList, reasons);
		(void) find_system_column((Node *) query->jointree, reasons);
		(void) find_system_column(query->havingQual, reasons);
		check_calls(query, reasons);
		return query_tree_walker(query, native_walker, context, 0);
	}
	return expression_tree_walker(node, native_walker, context);
}

/*
 * SEARCH BREADTH FIRST looks into a row of unnamed type, which no text can
 * express.
 */
static bool
looks_into_record(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FieldSelect) && exprType((Node *) ((FieldSelect *) node)->arg) == RECORDOID)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, looks_into_record, context, 0);
	return expression_tree_walker(node, looks_into_record, context);
}

typedef struct LevelContext
{
	List	   *reasons;
	bool		computed;		/* below a query that reads no table: see from_items.c */
} LevelContext;

static bool
level_walker(Node *node, LevelContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr) && ((CommonTableExpr *) node)->cterecursive)
	{
		if (looks_into_record(((CommonTableExpr *) node)->ctequery, NULL))
			add(&context->reasons, "search_breadth_first", -1,
				"SEARCH BREADTH FIRST cannot be maintained differentially", NULL,
				"Use refresh mode FULL, or an array of the path as a column of the query.");
		return native_walker(((CommonTableExpr *) node)->ctequery, &context->reasons);
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		bool		computed = context->computed;

		context->computed = computed || pgt_query_reads_nothing(query);
		if (context->computed)
			check_calls(query, &context->reasons);
		else
			check_level(query, &context->reasons);
		(void) query_tree_walker(query, level_walker, (void *) context, 0);
		context->computed = computed;
		return false;
	}
	return expression_tree_walker(node, level_walker, (void *) context);
}

/*
 * Obstacles found in the rewritten query; row locking is looked for in the
 * original too, since the rewriter moves it into views.
 */
List *
pgt_query_find_obstacles(Query *rewritten, Query *original)
{
	LevelContext context = {0};

	(void) level_walker((Node *) rewritten, &context);
	if (original->rowMarks != NIL && rewritten->rowMarks == NIL)
		add_refusal(&context.reasons, "row_locking", -1,
					"the defining query of a stream table must not lock rows",
					"It contains FOR UPDATE or FOR SHARE.",
					"Remove the locking clause.");
	return context.reasons;
}
