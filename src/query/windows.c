/*-------------------------------------------------------------------------
 *
 * windows.c
 *	  Window functions: a stage for each way of partitioning.
 *
 * A window function sees the rows of one partition only, so windows whose PARTITION BY
 * lists have some expressions in common are computed by one stage with these
 * expressions as its keys.  Windows without any share a chain of stages:
 * each passes on its rows with the results it computed as further columns.  A
 * window without PARTITION BY sees everything, which leaves nothing to save:
 * then all windows are computed by one stage without keys.
 *
 * IDENTIFICATION
 *	  src/query/windows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

#include "query_internal.h"

/* Windows computed by one stage. */
typedef struct Cluster
{
	List	   *windows;		/* of WindowClause * */
	List	   *keys;			/* expressions that all of them partition by */
} Cluster;

typedef struct Windows
{
	Query	   *query;
	List	   *exprs;			/* one for each target list entry */
	List	   *clusters;
} Windows;

/* ---- clusters ---- */

static bool
find_winrefs(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
		*(Bitmapset **) context = bms_add_member(*(Bitmapset **) context,
												 ((WindowFunc *) node)->winref);
	return expression_tree_walker(node, find_winrefs, context);
}

static int
compare_by_keys(const ListCell *a, const ListCell *b)
{
	return list_length(((Cluster *) lfirst(a))->keys) - list_length(((Cluster *) lfirst(b))->keys);
}

/*
 * Those with the fewest keys come first: a window that partitions further fits in
 * with them.
 */
static void
make_clusters(Windows *w)
{
	Bitmapset  *used = NULL;
	List	   *single = NIL;
	ListCell   *lc,
			   *lc2;

	(void) find_winrefs((Node *) w->exprs, &used);
	foreach(lc, w->query->windowClause)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);
		Cluster    *cluster;

		if (!bms_is_member(window->winref, used))
			continue;
		cluster = (Cluster *) palloc0(sizeof(Cluster));
		cluster->windows = list_make1(window);
		cluster->keys = pgt_query_partition_keys(pgt_query_clause_exprs(window->partitionClause,
																		w->query->targetList, w->exprs));
		single = lappend(single, cluster);
	}
	list_sort(single, compare_by_keys);
	foreach(lc, single)
	{
		Cluster    *cluster = (Cluster *) lfirst(lc);
		bool		fits = false;

		foreach(lc2, w->clusters)
		{
			Cluster    *other = (Cluster *) lfirst(lc2);

			if (other->keys == NIL || list_difference(other->keys, cluster->keys) == NIL)
			{
				other->windows = list_concat(other->windows, cluster->windows);
				fits = true;
				break;
			}
		}
		if (!fits)
			w->clusters = lappend(w->clusters, cluster);
	}
}

static bool
in_cluster(const Cluster *cluster, Index winref)
{
	ListCell   *lc;

	foreach(lc, cluster->windows)
	{
		if (lfirst_node(WindowClause, lc)->winref == winref)
			return true;
	}
	return false;
}

/* ---- stages ---- */

/* Each window with its whole specification: what it was derived from may be elsewhere. */
static void
add_windows_to_top(Query *top, const Cluster *cluster)
{
	ListCell   *lc;

	top->hasWindowFuncs = true;
	foreach(lc, cluster->windows)
	{
		WindowClause *window = copyObject(lfirst_node(WindowClause, lc));

		window->name = NULL;
		window->refname = NULL;
		window->copiedOrder = false;
		top->windowClause = lappend(top->windowClause, window);
	}
}

static bool
clusters_use(List *windows, const TargetEntry *tle)
{
	ListCell   *lc;

	foreach(lc, windows)
	{
		WindowClause *window = lfirst_node(WindowClause, lc);

		if (pgt_query_clause_uses(window->partitionClause, tle) ||
			pgt_query_clause_uses(window->orderClause, tle))
			return true;
	}
	return false;
}

/* Is the entry output, or does a clause applied after the windows refer to it? */
static bool
is_needed_above(const Query *query, const TargetEntry *tle)
{
	return !tle->resjunk || pgt_query_clause_uses(query->sortClause, tle) ||
		pgt_query_clause_uses(query->distinctClause, tle);
}

/* The last stage delivers the target list. */
static List *
add_last_stage(Windows *w, Definition *def, QueryBlock **block, const Cluster *cluster,
			   UnsupportedReason **reason)
{
	Query	   *top = pgt_query_make_top();
	List	   *result = NIL;
	Stage	   *stage;
	int			column = 0;
	ListCell   *lc,
			   *lc2;

	(*block)->tlist = copyObject(cluster->keys);
	forboth(lc, w->query->targetList, lc2, w->exprs)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		bool		needed = is_needed_above(w->query, tle);

		if (!needed && !clusters_use(cluster->windows, tle))
			continue;
		pgt_query_add_top_column(top, (Expr *) pgt_query_over_block(lfirst(lc2), *block),
								 tle->ressortgroupref, !needed);
	}
	add_windows_to_top(top, cluster);
	stage = pgt_query_add_partition_stage(def, *block, list_length(cluster->keys), top,
										  "window functions", reason);
	if (stage == NULL)
		return NIL;
	foreach(lc, w->query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		/* what nobody asks for is not there */
		result = lappend(result, is_needed_above(w->query, tle) ?
						 (Node *) pgt_query_stage_var(stage, ++column) :
						 (Node *) makeNullConst(exprType((Node *) tle->expr), -1, InvalidOid));
	}
	*block = pgt_query_block_over_stage(stage);
	return result;
}

typedef struct PassContext
{
	const Cluster *cluster;
	QueryBlock *block;
	Query	   *top;			/* output: columns of the block, then window functions */
	int			ncolumns;		/* of the block */
} PassContext;

/* The expression over what a stage of the chain outputs, for the next one. */
static Node *
over_pass(Node *node, PassContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, WindowFunc) && in_cluster(context->cluster, ((WindowFunc *) node)->winref))
	{
		Node	   *expr = pgt_query_over_block(node, context->block);
		ListCell   *lc;
		int			number = 0;

		foreach(lc, context->top->targetList)
		{
			number++;
			if (equal(lfirst_node(TargetEntry, lc)->expr, expr))
				return (Node *) makeVar(1, number, exprType(expr), exprTypmod(expr),
										exprCollation(expr), 0);
		}
		pgt_query_add_top_column(context->top, (Expr *) expr, 0, false);
		return (Node *) makeVar(1, number + 1, exprType(expr), exprTypmod(expr),
								exprCollation(expr), 0);
	}
	if (IsA(node, Var) || IsA(node, Param))
	{
		/* output column n is column n of the block */
		return pgt_query_over_block(node, context->block);
	}
	return expression_tree_mutator(node, over_pass, (void *) context);
}

/* A stage that computes some windows and passes everything on. */
static bool
add_passing_stage(Windows *w, Definition *def, QueryBlock **block, const Cluster *cluster,
				  UnsupportedReason **reason)
{
	PassContext context;
	Stage	   *stage;
	List	   *keys = list_copy(cluster->keys);
	ListCell   *lc,
			   *lc2;

	context.cluster = cluster;
	context.block = *block;
	context.top = pgt_query_make_top();
	(*block)->tlist = copyObject(keys);
	(void) pgt_query_over_block((Node *) w->exprs, *block);
	foreach(lc, (*block)->tlist)
	{
		Node	   *expr = (Node *) lfirst(lc);

		pgt_query_add_top_column(context.top,
								 (Expr *) makeVar(1, foreach_current_index(lc) + 1, exprType(expr),
												  exprTypmod(expr), exprCollation(expr), 0),
								 0, false);
	}
	/* before the expressions are rewritten: the windows' own clauses */
	context.ncolumns = list_length((*block)->tlist);
	{
		List	   *junk = NIL;
		List	   *rewritten;
		bool		later = false;

		forboth(lc, w->query->targetList, lc2, w->exprs)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc);

			if (clusters_use(cluster->windows, tle))
			{
				TargetEntry *entry = makeTargetEntry((Expr *) pgt_query_over_block(lfirst(lc2), *block),
													 0, NULL, true);

				entry->ressortgroupref = tle->ressortgroupref;
				junk = lappend(junk, entry);
			}
		}
		rewritten = (List *) over_pass((Node *) w->exprs, &context);
		context.top->targetList = list_concat(context.top->targetList, junk);
		foreach(lc, context.top->targetList)
			lfirst_node(TargetEntry, lc)->resno = foreach_current_index(lc) + 1;
		/* keys of later stages, too; those of earlier ones are over other blocks */
		foreach(lc, w->clusters)
		{
			Cluster    *other = (Cluster *) lfirst(lc);

			if (other == cluster)
				later = true;
			else if (later)
				other->keys = (List *) over_pass((Node *) other->keys, &context);
		}
		w->exprs = rewritten;
	}
	add_windows_to_top(context.top, cluster);
	stage = pgt_query_add_partition_stage(def, *block, list_length(keys), context.top,
										  "window functions", reason);
	if (stage == NULL)
		return false;
	*block = pgt_query_block_over_stage(stage);
	return true;
}

/*
 * exprs: one for each target list entry of the query, over *block, with window functions
 * in them.  Returns them over a new *block, without; NIL and *reason if that
 * cannot be done.
 */
List *
pgt_query_add_window_stages(Definition *def, Query *query, QueryBlock **block, List *exprs,
							UnsupportedReason **reason)
{
	Windows		w = {0};
	ListCell   *lc;

	w.query = query;
	w.exprs = exprs;
	make_clusters(&w);
	foreach(lc, w.clusters)
	{
		Cluster    *cluster = (Cluster *) lfirst(lc);

		if (lnext(w.clusters, lc) == NULL)
			return add_last_stage(&w, def, block, cluster, reason);
		if (!add_passing_stage(&w, def, block, cluster, reason))
			return NIL;
	}
	return exprs;
}
