/*-------------------------------------------------------------------------
 *
 * places.c
 *	  Where in the text of a defining query stands what is against it.
 *
 * Expressions know their place; relations, locking clauses and what comes out
 * of a view do not.  A relation is looked for in the raw parse tree, a view
 * in its place if that is what the text names, and a locking clause among the
 * tokens.
 *
 * IDENTIFICATION
 *	  src/query/places.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "parser/scanner.h"
#include "utils/lsyscache.h"

#include "pgtrickle/env.h"
#include "query_internal.h"

/* ---- views ---- */

/* The view whose query the entry is, expanded by the rewriter; or InvalidOid. */
Oid
pgt_query_view_of(const RangeTblEntry *rte)
{
	if (rte->rtekind != RTE_SUBQUERY)
		return InvalidOid;
#if PG_VERSION_NUM >= 160000
	return rte->relid;
#else
	/* its first entry is OLD */
	if (rte->subquery->rtable != NIL)
	{
		RangeTblEntry *old = linitial_node(RangeTblEntry, rte->subquery->rtable);

		if (old->rtekind == RTE_RELATION && old->relkind == RELKIND_VIEW && !old->inFromCl)
			return old->relid;
	}
	return InvalidOid;
#endif
}

/*
 * The reason is in the text of the view: its message names the innermost one,
 * its place is that of the outermost one, for which this is called last.
 */
void
pgt_query_reason_in_view(UnsupportedReason *reason, Oid view)
{
	if (!OidIsValid(reason->relid) || get_rel_relkind(reason->relid) != RELKIND_VIEW)
		reason->message = psprintf("%s (in view \"%s\")", reason->message, pgt_relation_label(view));
	reason->location = -1;
	reason->relid = view;
}

typedef struct ViewSearch
{
	Oid			relid;
	List	   *views;			/* OIDs, innermost first */
} ViewSearch;

/* Which views lead to the relation? */
static bool
view_walker(Node *node, ViewSearch *search)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, view_walker, (void *) search);
	foreach(lc, ((Query *) node)->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Oid			view = pgt_query_view_of(rte);

		if (rte->rtekind == RTE_RELATION && rte->relid == search->relid)
			return true;
		if (rte->rtekind != RTE_SUBQUERY || !view_walker((Node *) rte->subquery, search))
			continue;
		if (OidIsValid(view))
			search->views = lappend_oid(search->views, view);
		return true;
	}
	return query_tree_walker((Query *) node, view_walker, (void *) search, QTW_IGNORE_RT_SUBQUERIES);
}

/* ---- relations ---- */

typedef struct RelationSearch
{
	Oid			relid;
	bool		sampled;		/* with TABLESAMPLE */
	bool		only;			/* with ONLY */
	bool		qualified;		/* with its schema; else without */
	List	   *ctes;			/* names in scope */
	int			location;
} RelationSearch;

static bool
names_relation(const RangeVar *rv, const RelationSearch *search)
{
	char	   *name = get_rel_name(search->relid);
	ListCell   *lc;

	if (name == NULL || strcmp(rv->relname, name) != 0)
		return false;
	if (search->qualified != (rv->schemaname != NULL))
		return false;
	if (rv->schemaname)
		return strcmp(rv->schemaname, get_namespace_name(get_rel_namespace(search->relid))) == 0;
	foreach(lc, search->ctes)
		if (strcmp((char *) lfirst(lc), name) == 0)
			return false;
	return true;
}

/* True: found. */
static bool
relation_walker(Node *node, RelationSearch *search)
{
	List	   *ctes;
	bool		found;
	ListCell   *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_RangeVar:
			if (search->sampled || (search->only && ((RangeVar *) node)->inh) ||
				!names_relation((RangeVar *) node, search))
				return false;
			search->location = ((RangeVar *) node)->location;
			return true;
		case T_RangeTableSample:
			if (!search->sampled)
				break;
			if (!IsA(((RangeTableSample *) node)->relation, RangeVar) ||
				!names_relation((RangeVar *) ((RangeTableSample *) node)->relation, search))
				return false;
			search->location = ((RangeTableSample *) node)->location;
			return true;
		case T_SelectStmt:
			if (((SelectStmt *) node)->withClause == NULL)
				break;
			ctes = list_copy(search->ctes);
			/* a name means the CTE from there on, with RECURSIVE everywhere */
			foreach(lc, ((SelectStmt *) node)->withClause->ctes)
				if (((SelectStmt *) node)->withClause->recursive)
					search->ctes = lappend(search->ctes, lfirst_node(CommonTableExpr, lc)->ctename);
			foreach(lc, ((SelectStmt *) node)->withClause->ctes)
			{
				if (relation_walker(lfirst_node(CommonTableExpr, lc)->ctequery, search))
					return true;
				search->ctes = lappend(search->ctes, lfirst_node(CommonTableExpr, lc)->ctename);
			}
			found = raw_expression_tree_walker(node, relation_walker, (void *) search);
			search->ctes = ctes;
			return found;
		case T_WithClause:
			return false;		/* above */
		default:
			break;
	}
	return raw_expression_tree_walker(node, relation_walker, (void *) search);
}

/*
 * Where the text names the relation, in the way that the reason is about; -1: nowhere.
 * search_path may be another one by now: a name without a schema counts where none
 * has it.
 */
static int
find_relation(const UnsupportedReason *reason, List *raws)
{
	RelationSearch search = {reason->relid};
	ListCell   *lc;

	search.location = -1;
	if (get_rel_relkind(reason->relid) != RELKIND_VIEW)
	{
		search.sampled = strcmp(reason->code, "tablesample") == 0;
		search.only = strcmp(reason->code, "only_of_parent") == 0;
	}
	foreach(lc, raws)
	{
		Node	   *stmt = lfirst_node(RawStmt, lc)->stmt;

		search.qualified = true;
		if (relation_walker(stmt, &search))
			break;
		search.ctes = NIL;
		search.qualified = false;
		if (relation_walker(stmt, &search))
			break;
	}
	return search.location;
}

/* ---- locking clauses ---- */

static int
keyword(const char *name)
{
	return ScanKeywordTokens[ScanKeywordLookup(name, &ScanKeywords)];
}

/* Where the first FOR [NO KEY] UPDATE, FOR [KEY] SHARE begins. */
static int
find_locking_clause(const char *sql)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(sql, &extra, &ScanKeywords, ScanKeywordTokens);
	core_YYSTYPE value;
	YYLTYPE		location;
	int			result = -1;
	int			token,
				before = 0,
				place = -1;

	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (before == keyword("for") &&
			(token == keyword("update") || token == keyword("share") ||
			 token == keyword("no") || token == keyword("key")))
		{
			result = place;
			break;
		}
		before = token;
		place = location;
	}
	scanner_finish(scanner);
	return result;
}

/* ---- all of them ---- */

/* Settings of the lexer may be others than those that the text was first parsed with: then NIL. */
static List *
parse_again(const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	volatile List *raws = NIL;

	PG_TRY();
	{
		raws = raw_parser(sql, RAW_PARSE_DEFAULT);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_SYNTAX_ERROR)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return unvolatize(List *, raws);
}

/* What begins the level's select list, as far as it has a place. */
int
pgt_query_place_of_level(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		Node	   *expr = (Node *) lfirst_node(TargetEntry, lc)->expr;

#if PG_VERSION_NUM >= 180000
		if (IsA(expr, Var) && ((Var *) expr)->varlevelsup == 0)
		{
			RangeTblEntry *rte = rt_fetch(((Var *) expr)->varno, query->rtable);

			/* the expression behind it has the place */
			if (rte->rtekind == RTE_GROUP)
				expr = list_nth(rte->groupexprs, ((Var *) expr)->varattno - 1);
		}
#endif
		if (exprLocation(expr) >= 0)
			return exprLocation(expr);
	}
	return -1;
}

/*
 * Completes the places of the reasons; sql: the text, or NULL or empty if it
 * is not known.
 */
void
pgt_query_place_reasons(List *reasons, Query *rewritten, const char *sql)
{
	List	   *raws = NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, reasons)
	{
		UnsupportedReason *reason = (UnsupportedReason *) lfirst(lc);
		ViewSearch	search = {reason->relid, NIL};

		if (reason->location >= 0)
			continue;
		if (sql && sql[0] != '\0' && raws == NIL)
			raws = parse_again(sql);
		if (!OidIsValid(reason->relid))
		{
			if (raws != NIL && strcmp(reason->code, "row_locking") == 0)
				reason->location = find_locking_clause(sql);
			continue;
		}
		reason->location = find_relation(reason, raws);
		if (reason->location >= 0 || get_rel_relkind(reason->relid) == RELKIND_VIEW)
			continue;
		(void) view_walker((Node *) rewritten, &search);
		foreach(lc2, search.views)
			pgt_query_reason_in_view(reason, lfirst_oid(lc2));
		reason->location = find_relation(reason, raws);
	}
}
