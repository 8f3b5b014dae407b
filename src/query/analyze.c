/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  What a defining query needs, and which modes can serve it.
 *
 * IDENTIFICATION
 *	  src/query/analyze.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/heap.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pgtrickle/catalog.h"
#include "pgtrickle/env.h"
#include "query_internal.h"

/* ---- columns ---- */

static void
check_column(TargetEntry *tle, Oid type, Oid collation)
{
	if (tle->resname == NULL || tle->resname[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column %d of the defining query has no name", tle->resno),
				 errhint("Name the column with AS.")));
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column \"%s\" of the defining query has pseudo-type %s",
						tle->resname, format_type_be(type)),
				 errhint("Cast the column to a type that a table can store.")));
	if (!OidIsValid(collation) && type_is_collatable(type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("no collation was derived for column \"%s\" of the defining query with collatable type %s",
						tle->resname, format_type_be(type)),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
}

static List *
make_columns(Query *query)
{
	List	   *columns = NIL;
	ListCell   *lc,
			   *lc2;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Oid			type,
					collation;

		if (tle->resjunk)
			continue;
		type = exprType((Node *) tle->expr);
		collation = exprCollation((Node *) tle->expr);
		check_column(tle, type, collation);
		foreach(lc2, columns)
		{
			if (strcmp(lfirst_node(ColumnDef, lc2)->colname, tle->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" of the defining query is specified more than once",
								tle->resname),
						 errhint("Give each output column a name of its own with AS.")));
		}
		columns = lappend(columns,
						  makeColumnDef(tle->resname, type,
										exprTypmod((Node *) tle->expr), collation));
	}
	if (columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("the defining query of a stream table must have at least one column")));
	return columns;
}

/* ---- sources, for any mode ---- */

static void
add_source(List **sources, Oid relid, Bitmapset *selected)
{
	SourceUse  *use = NULL;
	ListCell   *lc;
	int			col = -1;

	foreach(lc, *sources)
	{
		if (((SourceUse *) lfirst(lc))->relid == relid)
			use = (SourceUse *) lfirst(lc);
	}
	if (use == NULL)
	{
		use = (SourceUse *) palloc0(sizeof(SourceUse));
		use->relid = relid;
		use->is_stream_table = pgt_catalog_get_stream_table(relid, true) != NULL;
		*sources = lappend(*sources, use);
	}
	while ((col = bms_next_member(selected, col)) >= 0)
	{
		AttrNumber	attnum = col + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0)
			use->columns = bms_add_member(use->columns, attnum);
		else if (attnum == 0)
		{
			/* whole row */
			Relation	rel = table_open(relid, AccessShareLock);

			for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
				if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
					use->columns = bms_add_member(use->columns, i + 1);
			table_close(rel, NoLock);
		}
	}
}

static bool
source_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *lc;

		foreach(lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
			Bitmapset  *selected;

			if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW)
				continue;
#if PG_VERSION_NUM >= 160000
			selected = rte->perminfoindex == 0 ? NULL :
				((RTEPermissionInfo *) list_nth(query->rteperminfos,
												rte->perminfoindex - 1))->selectedCols;
#else
			selected = rte->selectedCols;
#endif
			add_source((List **) context, rte->relid, selected);
		}
		return query_tree_walker(query, source_walker, context, 0);
	}
	return expression_tree_walker(node, source_walker, context);
}

static int
compare_sources(const ListCell *a, const ListCell *b)
{
	Oid			x = ((SourceUse *) lfirst(a))->relid;
	Oid			y = ((SourceUse *) lfirst(b))->relid;

	return x < y ? -1 : x > y;
}

static void
check_source(Oid relid, List **obstacles)
{
	char		persistence = get_rel_persistence(relid);
	UnsupportedReason *reason;

	if (persistence == RELPERSISTENCE_TEMP)
	{
		reason = pgt_reason_make("temporary_source", -1,
								 psprintf("temporary table \"%s\" cannot be a source of a stream table",
										  get_rel_name(relid)),
								 pstrdup("Other sessions, which refresh the stream table, cannot read it."),
								 pstrdup("Use an ordinary table."));
		reason->all_modes = true;
		reason->relid = relid;
		*obstacles = lcons(reason, *obstacles);
	}
	else if (relid < FirstNormalObjectId || get_rel_namespace(relid) == pgt_schema_oid() ||
			 get_rel_namespace(relid) == pgt_changes_schema_oid())
	{
		reason = pgt_reason_make("catalog_source", -1,
								 psprintf("system table \"%s\" cannot be a source of a stream table",
										  pgt_relation_label(relid)),
								 pstrdup("Changes of system catalogs and of pg_trickle's own tables cannot be captured."),
								 pstrdup("Copy what you need into an ordinary table."));
		reason->all_modes = true;
		reason->relid = relid;
		*obstacles = lcons(reason, *obstacles);
	}
}

List *
pgt_query_collect_sources(Query *rewritten)
{
	List	   *sources = NIL;

	(void) source_walker((Node *) rewritten, &sources);
	return sources;
}

/* ---- analysis ---- */

/* sql: for the places of what is found; NULL or empty if the text is not known. */
static List *
find_obstacles(Query *query, const char *sql, Query **rewritten, List **sources)
{
	List	   *obstacles;
	ListCell   *lc;

	/* refused constructs must not reach the rewriter */
	if (query->hasModifyingCTE)
	{
		*rewritten = query;
		*sources = NIL;
		return pgt_query_find_obstacles(query, query);
	}
	*rewritten = pgt_query_rewrite(query);
	*sources = NIL;
	(void) source_walker((Node *) *rewritten, sources);
	list_sort(*sources, compare_sources);
	obstacles = pgt_query_find_obstacles(*rewritten, query);
	foreach(lc, *sources)
		check_source(((SourceUse *) lfirst(lc))->relid, &obstacles);
	pgt_query_place_reasons(obstacles, *rewritten, sql);
	return obstacles;
}

QueryAnalysis *
pgt_query_analyze(Query *query, const char *sql)
{
	QueryAnalysis *a = (QueryAnalysis *) palloc0(sizeof(QueryAnalysis));
	Query	   *rewritten;
	List	   *obstacles;
	ListCell   *lc;

	a->query = query;
	obstacles = find_obstacles(query, sql, &rewritten, &a->sources);
	foreach(lc, obstacles)
	{
		UnsupportedReason *reason = (UnsupportedReason *) lfirst(lc);

		if (reason->all_modes && a->refused == NULL)
			a->refused = reason;
	}
	if (a->refused)
		return a;
	a->columns = make_columns(query);
	a->determined = pgt_query_is_determined(rewritten);
	if (obstacles != NIL)
		a->not_differential = (UnsupportedReason *) linitial(obstacles);
	else
	{
		a->definition = pgt_query_convert(rewritten, a->columns, &a->not_differential);
		if (a->not_differential)
			pgt_query_place_reasons(list_make1(a->not_differential), rewritten, sql);
	}
	if (a->definition)
		a->sources = a->definition->sources;
	return a;
}

List *
pgt_query_obstacles(Query *query, const char *sql)
{
	Query	   *rewritten;
	List	   *sources;
	List	   *obstacles = find_obstacles(query, sql, &rewritten, &sources);

	if (obstacles == NIL)
	{
		UnsupportedReason *reason = NULL;

		(void) pgt_query_convert(rewritten, make_columns(query), &reason);
		if (reason)
			obstacles = list_make1(reason);
		pgt_query_place_reasons(obstacles, rewritten, sql);
	}
	return obstacles;
}

/* ---- whole rows ---- */

typedef struct WholeRowSearch
{
	Oid			relid;
	List	   *queries;		/* range tables in scope, innermost first */
} WholeRowSearch;

static bool
whole_row_walker(Node *node, void *context)
{
	WholeRowSearch *search = (WholeRowSearch *) context;

	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno == InvalidAttrNumber)
	{
		Var		   *var = (Var *) node;
		Query	   *query = (Query *) list_nth(search->queries, var->varlevelsup);

		return rt_fetch(var->varno, query->rtable)->relid == search->relid;
	}
	if (IsA(node, Query))
	{
		bool		found;

		search->queries = lcons(node, search->queries);
		found = query_tree_walker((Query *) node, whole_row_walker, context, 0);
		search->queries = list_delete_first(search->queries);
		return found;
	}
	return expression_tree_walker(node, whole_row_walker, context);
}

bool
pgt_query_uses_whole_row(Query *query, Oid relid)
{
	WholeRowSearch search = {relid, NIL};

	return whole_row_walker((Node *) pgt_query_rewrite(query), &search);
}

/* ---- fingerprint of the stored state ---- */

/*
 * Describes all of the definition that determines what the tables store: when
 * it differs from what was recorded, the stages must be built anew.
 */
char *
pgt_query_fingerprint(const QueryAnalysis *a)
{
	StringInfoData buf;
	ListCell   *lc,
			   *lc2;

	if (a->definition == NULL)
		return pstrdup("full");
	initStringInfo(&buf);
	foreach(lc, a->definition->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		appendStringInfo(&buf, "stage %d %d keys %d map %d\n", stage->number, stage->head,
						 stage->nkeys, stage->is_map);
		foreach(lc2, stage->columns)
		{
			StageColumn *column = (StageColumn *) lfirst(lc2);

			appendStringInfo(&buf, "column %u %d %u\n", column->type, column->typmod,
							 column->collation);
		}
		foreach(lc2, stage->states)
		{
			StateSpec  *state = (StateSpec *) lfirst(lc2);

			appendStringInfo(&buf, "state %d %d %d %d %d\n", state->kind, state->attnum,
							 state->count_attnum, state->square, state->if_true);
		}
		foreach(lc2, stage->finals)
			appendStringInfo(&buf, "final %s\n", ((FinalSpec *) lfirst(lc2))->sql);
		for (int i = 0; stage->head == PGT_HEAD_PARTITION && i < stage->nkeys; i++)
			appendStringInfo(&buf, "partition %d\n", stage->key_columns[i]);
		foreach(lc2, stage->row_keys)
			appendStringInfo(&buf, "key %d\n", lfirst_int(lc2));
		if (stage->elided)
		{
			for (int i = 0; i < list_length(stage->columns); i++)
				appendStringInfo(&buf, "elided %d\n", stage->elided[i]);
		}
	}
	/* not by OpenSSL, whose first use in a session costs more than all of this */
	return psprintf("%016llx%016llx",
					(unsigned long long) hash_bytes_extended((unsigned char *) buf.data, buf.len, 1),
					(unsigned long long) hash_bytes_extended((unsigned char *) buf.data, buf.len, 2));
}
