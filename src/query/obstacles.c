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
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "pgtrickle/compat.h"
#include "pgtrickle/env.h"
#include "query_internal.h"

static void
add(List **reasons, const char *code, int location, const char *message,
	const char *detail, const char *hint)
{
	*reasons = lappend(*reasons,
					   pgt_reason_make(code, location, pstrdup(message),
									   detail ? pstrdup(detail) : NULL,
									   pstrdup(hint)));
}

/* The same about a relation, whose place in the text is found later. */
static void
add_relation(List **reasons, const char *code, Oid relid, const char *message,
			 const char *detail, const char *hint)
{
	add(reasons, code, -1, message, detail, hint);
	((UnsupportedReason *) llast(*reasons))->relid = relid;
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
			"a system column cannot be maintained differentially", NULL,
			((Var *) node)->varattno == TableOidAttributeNumber ?
			"Use a column of the table's own that tells the tables apart; " OR_FULL :
			"Use a column of the table's own in its place, such as its key; " OR_FULL);
		return false;
	}
	return expression_tree_walker(node, find_system_column, context);
}

/* Virtual columns are computed from captured images, in which system columns are not. */
static bool
has_virtual_system_column(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = false;

	for (AttrNumber i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i - 1);
		Bitmapset  *used = NULL;

		if (att->attisdropped || !pgt_is_virtual_column(att))
			continue;
		pull_varattnos(pgt_virtual_column_expression(rel, i), 1, &used);
		result |= bms_is_member(TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber, used);
	}
	table_close(rel, NoLock);
	return result;
}

static void
check_relation(RangeTblEntry *rte, List **reasons)
{
	const char *label = pgt_relation_label(rte->relid);

	if (has_virtual_system_column(rte->relid))
		add_relation(reasons, "system_column", rte->relid,
					 psprintf("a generated column of table \"%s\" is computed from a system column", label),
					 NULL, "Store the generated column; " OR_FULL);
	if (rte->tablesample)
		add_relation(reasons, "tablesample", rte->relid,
					 "TABLESAMPLE cannot be maintained differentially", NULL,
					 "Choose rows by what they contain, such as a hash of the key: WHERE hashint8(id) % 10 = 0; " OR_FULL);
	switch (rte->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
			break;
		case RELKIND_MATVIEW:
			if (pgt_query_is_polled(rte->relid))
				break;
			add_relation(reasons, "materialized_view", rte->relid,
						 psprintf("materialized view \"%s\" cannot be a differential source", label),
						 "Its changes cannot be captured.",
						 "Make it a stream table, or use refresh mode FULL. Or set pg_trickle.matview_polling: then the first refresh after each REFRESH MATERIALIZED VIEW reads all of it, and compares it with a kept copy.");
			break;
		case RELKIND_FOREIGN_TABLE:
			if (pgt_query_is_polled(rte->relid))
				break;
			add_relation(reasons, "foreign_table", rte->relid,
						 psprintf("foreign table \"%s\" cannot be a differential source", label),
						 "Its changes cannot be captured.",
						 "Set pg_trickle.foreign_table_polling: then each refresh reads all of it, and compares it with a kept copy. Or use refresh mode FULL, or AUTO, which then recomputes.");
			break;
		default:
			add_relation(reasons, "relation_kind", rte->relid,
						 psprintf("relation \"%s\" cannot be a differential source", label),
						 NULL, "Keep what is needed of it in a table; " OR_FULL);
			break;
	}
	if (rte->securityQuals != NIL)
		add_relation(reasons, "row_security", rte->relid,
					 psprintf("row security of table \"%s\" applies to the owner of the stream table", label),
					 "A change of a policy would change rows without any change of the source.",
					 "Let a role own the stream table that the policies do not bind, with the conditions in WHERE, or with policies of the stream table's own; " OR_FULL);
	/* the owner of a view reads it, who is not bound as we are */
	else if (check_enable_rls(rte->relid, InvalidOid, true) == RLS_ENABLED)
		add_relation(reasons, "row_security", rte->relid,
					 psprintf("row security of table \"%s\", read through a view, is another one for the owner of the stream table", label),
					 "Its changes can be read as the owner of the stream table only.",
					 "Let a role own the stream table that the policies do not bind; " OR_FULL);
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
	Node	   *limits[] = {query->limitCount, query->limitOffset};
	List	   *exprs = NIL;
	ListCell   *lc;

	for (int i = 0; i < lengthof(limits); i++)
		if (find_row_or_subquery(limits[i], NULL))
			add(reasons, "variable_limit", exprLocation(limits[i]),
				"a LIMIT or OFFSET that depends on rows cannot be maintained differentially",
				NULL,
				"Number the rows with row_number() in a subquery in FROM, and compare the number in WHERE; " OR_FULL);
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
				"a frame that depends on rows cannot be maintained differentially",
				NULL, "Use a constant in the frame; " OR_FULL);
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
					NULL, "Put it into a subquery in FROM; " OR_FULL);
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

/* Where the first WITH query that modifies data stands. */
static int
find_modification(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (castNode(Query, cte->ctequery)->commandType != CMD_SELECT)
			return cte->location;
	}
	return -1;
}

/* One query level, without its subqueries. */
static void
check_level(Query *query, List **reasons)
{
	ListCell   *lc;

	if (query->hasModifyingCTE)
		add_refusal(reasons, "data_modification", find_modification(query),
					"the defining query of a stream table must not modify data",
					"It contains INSERT, UPDATE, DELETE or MERGE in a WITH clause.",
					"Write the data by itself, and select from the table.");
	check_row_locks(query, reasons);
	if (pgt_query_has_limit(query) && query->sortClause == NIL)
		add(reasons, "limit_without_order",
			exprLocation(query->limitCount ? query->limitCount : query->limitOffset),
			"LIMIT or OFFSET without ORDER BY cannot be maintained differentially",
			"Any rows are as good as others, so there is nothing to follow.",
			"Add ORDER BY, with a unique key at its end; " OR_FULL);
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

/* What was found in the text of a view is said to be there. */
static void
say_view(List *reasons, int before, const RangeTblEntry *rte)
{
	Oid			view = pgt_query_view_of(rte);
	ListCell   *lc;

	if (!OidIsValid(view))
		return;
	for_each_from(lc, reasons, before)
		pgt_query_reason_in_view((UnsupportedReason *) lfirst(lc), view);
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
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			int			before = list_length(*reasons);

			if (rte->rtekind == RTE_SUBQUERY)
				(void) native_walker((Node *) rte->subquery, context);
			say_view(*reasons, before, rte);
		}
		return query_tree_walker(query, native_walker, context, QTW_IGNORE_RT_SUBQUERIES);
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
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr) && ((CommonTableExpr *) node)->cterecursive)
	{
		if (looks_into_record(((CommonTableExpr *) node)->ctequery, NULL))
			add(&context->reasons, "search_breadth_first", ((CommonTableExpr *) node)->location,
				"SEARCH BREADTH FIRST cannot be maintained differentially", NULL,
				"Make the depth a column of the query: 0 AS depth, and depth + 1 in the recursive term; " OR_FULL);
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
		(void) query_tree_walker(query, level_walker, (void *) context, QTW_IGNORE_RT_SUBQUERIES);
		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			int			before = list_length(context->reasons);

			if (rte->rtekind == RTE_SUBQUERY)
				(void) level_walker((Node *) rte->subquery, context);
			say_view(context->reasons, before, rte);
		}
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
