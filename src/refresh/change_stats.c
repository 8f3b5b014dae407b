/*-------------------------------------------------------------------------
 *
 * change_stats.c
 *	  Statistics of change sets: those of the tables that changed.
 *
 * The planner knows nothing about the columns of an ephemeral relation and takes
 * half a percent for every condition on one.  With several changed inputs in a
 * statement that makes it believe in single rows where there are hundreds, and loop
 * over change sets.  Changed rows are rows of their table, so while the
 * statements of a refresh are planned, a change set borrows its table's column
 * statistics, and the changes of a stage those of the stage table.  The state
 * before a change ("current minus change", a union) has those of the table, too.
 *
 * A batch of changes is no random sample: all of it may be orders of one day.  Where
 * an estimate says one row of a thousand, a loop over another change set is cheap if
 * it is right and quadratic if not.  So no condition is believed to leave
 * less than the square root of a change set.
 *
 * Costs.  The planner takes an index scan inside a loop to read no page twice, and
 * counts the rounds of the loop before other joins have cut them down: thousands of
 * rows found one by one, all lines of forty suppliers, then cost next to nothing
 * beside looking up a thousand changed orders.  A cache that does not hold all of the tables
 * makes it count most of them.
 *
 * IDENTIFICATION
 *	  src/refresh/change_stats.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "pgtrickle/env.h"
#include "refresh_internal.h"

#define CACHED_SHARE	0.8		/* of the pages of the sources */
#define CACHED_MIN_PAGES 100

/* Whose change sets statements are planned over at the moment; or NULL. */
static const Maintenance *current = NULL;

static get_relation_stats_hook_type previous_hook = NULL;

/* Returns what was set before. */
const Maintenance *
pgt_refresh_set_statistics(const Maintenance *m)
{
	const Maintenance *previous = current;

	current = m;
	return previous;
}

/* The n-th of used attnums is column n of a change set; 0 for the weight. */
static AttrNumber
nth_attnum(const Bitmapset *attnums, int n)
{
	int			attnum = -1;

	while (n > 0 && (attnum = bms_next_member(attnums, attnum)) >= 0)
		n--;
	return attnum < 0 || n > 0 ? 0 : attnum;
}

/* Where a column of a stage is stored: the stream table has an order of its own, and may have lost columns. */
static AttrNumber
stage_attnum(const Stage *stage, Oid relid, AttrNumber column)
{
	int			position = stage->elided ? stage->elided[column - 1] : column;

	for (int attnum = 1; attnum <= MaxHeapAttributeNumber; attnum++)
	{
		if (pgt_attribute_name(relid, attnum) && --position == 0)
			return attnum;
	}
	return 0;
}

/* Table and column that a column of an ephemeral relation comes from. */
static bool
find_origin(const char *enrname, AttrNumber attnum, Oid *relid, AttrNumber *origin)
{
	ListCell   *lc;

	foreach(lc, current->def->sources)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);

		if (strcmp(enrname, pgt_delta_source_name(foreach_current_index(lc))) != 0)
			continue;
		*relid = use->relid;
		*origin = nth_attnum(use->columns, attnum);
		return *origin > 0;
	}
	foreach(lc, current->def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);

		if (strcmp(enrname, pgt_delta_stage_name(stage->number)) != 0)
			continue;
		*relid = current->delta.stage_relids[stage->number];
		if (stage->derived || !OidIsValid(*relid) || attnum > list_length(stage->columns))
			return false;
		*origin = stage_attnum(stage, *relid, attnum);
		return *origin > 0;
	}
	return false;
}

/* The same for a union, by its first branch. */
static bool
find_origin_in_union(const Query *query, AttrNumber attnum, Oid *relid, AttrNumber *origin)
{
	Node	   *node = query->setOperations;
	TargetEntry *tle;
	RangeTblEntry *rte;
	Var		   *var;

	while (IsA(node, SetOperationStmt))
		node = ((SetOperationStmt *) node)->larg;
	query = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
	if (query == NULL || attnum > list_length(query->targetList))
		return false;
	tle = (TargetEntry *) list_nth(query->targetList, attnum - 1);
	var = (Var *) tle->expr;
	if (!IsA(var, Var) || var->varlevelsup > 0 || var->varattno <= 0)
		return false;
	rte = rt_fetch(var->varno, query->rtable);
	*relid = rte->relid;
	*origin = var->varattno;
	return rte->rtekind == RTE_RELATION;
}

static bool
is_change_set(const RangeTblEntry *rte)
{
	/* transition tables of functions' own statements have a relation */
	return current != NULL && rte->rtekind == RTE_NAMEDTUPLESTORE && !OidIsValid(rte->relid);
}

static bool
is_union(const RangeTblEntry *rte)
{
	return current != NULL && rte->rtekind == RTE_SUBQUERY && rte->inh &&
		rte->subquery && rte->subquery->setOperations;
}

/* Type of a column of an ephemeral relation or a subquery. */
static Oid
column_type(const RangeTblEntry *rte, AttrNumber attnum)
{
	TargetEntry *tle;

	if (rte->rtekind == RTE_NAMEDTUPLESTORE)
		return attnum <= list_length(rte->coltypes) ? list_nth_oid(rte->coltypes, attnum - 1) :
			InvalidOid;
	tle = get_tle_by_resno(rte->subquery->targetList, attnum);
	return tle ? exprType((Node *) tle->expr) : InvalidOid;
}

/* The values in statistics are of the column's own type: there is no looking at them as another. */
static bool
change_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
				  VariableStatData *vardata)
{
	Oid			relid;
	AttrNumber	origin;
	HeapTuple	tuple;

	if (previous_hook && previous_hook(root, rte, attnum, vardata))
		return true;
	if (attnum <= 0 ||
		!(is_change_set(rte) ? find_origin(rte->enrname, attnum, &relid, &origin) :
		  is_union(rte) && find_origin_in_union(rte->subquery, attnum, &relid, &origin)) ||
		get_atttype(relid, origin) != column_type(rte, attnum))
		return false;
	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(origin),
							BoolGetDatum(true));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(origin),
								BoolGetDatum(false));
	if (!HeapTupleIsValid(tuple))
		return false;
	vardata->statsTuple = tuple;
	vardata->freefunc = ReleaseSysCache;
	vardata->acl_ok = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relid, origin, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	return true;
}

/* To be called before joins with the relation are planned. */
void
pgt_refresh_raise_estimate(RelOptInfo *rel, const RangeTblEntry *rte)
{
	double		least = rint(sqrt(rel->tuples));
	ListCell   *lc;

	if (!is_change_set(rte) || rel->rows >= least)
		return;
	rel->rows = least;
	foreach(lc, rel->pathlist)
		((Path *) lfirst(lc))->rows = least;
}

static double
table_pages(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		pages = 0;

	if (HeapTupleIsValid(tuple))
	{
		pages = ((Form_pg_class) GETSTRUCT(tuple))->relpages;
		ReleaseSysCache(tuple);
	}
	return Max(pages, 0);
}

/* Inside the pinned environment, before statements are planned. */
void
pgt_refresh_set_costs(const Maintenance *m)
{
	double		pages = 0;
	ListCell   *lc;

	pgt_env_set("random_page_cost", "1.1");
	foreach(lc, m->def->sources)
		pages += table_pages(((SourceUse *) lfirst(lc))->relid);
	pages = floor(pages * CACHED_SHARE);
	if (pages >= CACHED_MIN_PAGES && pages < effective_cache_size)
		pgt_env_set("effective_cache_size", psprintf("%.0f", pages));
}

void
pgt_refresh_init_statistics(void)
{
	previous_hook = get_relation_stats_hook;
	get_relation_stats_hook = change_statistics;
}
