/*-------------------------------------------------------------------------
 *
 * change_scan.c
 *	  Scan of a change buffer as a node of a delta statement's plan.
 *
 * A large change set that one term of one statement reads once need not be
 * copied into a tuplestore first: the ephemeral relation that stands for it
 * is planned as a custom scan, which reads the buffer through a stream (cdc.h).
 * A plan made that way is kept apart from those over tuplestores and run only while
 * the stream of its name is set.
 *
 * IDENTIFICATION
 *	  src/refresh/change_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"

#include "refresh_internal.h"

#define SCAN_NAME "pg_trickle change scan"

/* The stream that plans are made for and run over at the moment. */
static const char *current_name = NULL;
static ChangeStream *current_stream = NULL;

static set_rel_pathlist_hook_type previous_hook = NULL;

void
pgt_refresh_set_stream(const char *name, ChangeStream *stream)
{
	current_name = name;
	current_stream = stream;
}

CurrentStream
pgt_refresh_get_stream(void)
{
	CurrentStream result = {current_name, current_stream};

	return result;
}

/* ---- execution ---- */

static TupleTableSlot *
next_change(ScanState *node)
{
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (current_stream == NULL)
		elog(ERROR, "change scan without a stream");
	if (pgt_cdc_stream_next(current_stream, slot->tts_values, slot->tts_isnull))
		ExecStoreVirtualTuple(slot);
	return slot;
}

static bool
recheck_change(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY) && current_stream)
		pgt_cdc_stream_rewind(current_stream);
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_change, recheck_change);
}

static void
end_scan(CustomScanState *node)
{
}

static void
rescan(CustomScanState *node)
{
	if (current_stream)
		pgt_cdc_stream_rewind(current_stream);
	ExecScanReScan(&node->ss);
}

static const CustomExecMethods exec_methods = {
	.CustomName = SCAN_NAME,
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
};

static Node *
create_state(CustomScan *scan)
{
	CustomScanState *state = makeNode(CustomScanState);

	state->methods = &exec_methods;
	return (Node *) state;
}

static const CustomScanMethods scan_methods = {
	.CustomName = SCAN_NAME,
	.CreateCustomScanState = create_state,
};

/* ---- planning ---- */

/* All columns of the ephemeral relation, as the scan delivers them. */
static List *
scan_columns(PlannerInfo *root, Index rti)
{
	RangeTblEntry *rte = root->simple_rte_array[rti];
	List	   *columns = NIL;
	ListCell   *type,
			   *typmod,
			   *collation;
	AttrNumber	attnum = 0;

	forthree(type, rte->coltypes, typmod, rte->coltypmods, collation, rte->colcollations)
	{
		Var		   *var;

		attnum++;
		var = makeVar(rti, attnum, lfirst_oid(type), lfirst_int(typmod),
					  lfirst_oid(collation), 0);
		columns = lappend(columns, makeTargetEntry((Expr *) var, attnum, NULL, false));
	}
	return columns;
}

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = 0;	/* its rows are not those of a relation */
	scan->flags = path->flags;
	scan->custom_scan_tlist = scan_columns(root, rel->relid);
	scan->methods = &scan_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = SCAN_NAME,
	.PlanCustomPath = plan_scan,
};

static void
add_change_scan(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	CustomPath *path;
	Path	   *plain;

	if (previous_hook)
		previous_hook(root, rel, rti, rte);
	pgt_refresh_raise_estimate(rel, rte);

	/*
	 * Functions that the statement calls may have statements of their own, with
	 * transition tables of any name; those have a relation.
	 */
	if (current_stream == NULL || rte->rtekind != RTE_NAMEDTUPLESTORE ||
		OidIsValid(rte->relid) || strcmp(rte->enrname, current_name) != 0 || rel->pathlist == NIL)
		return;
	plain = (Path *) linitial(rel->pathlist);
	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = plain->param_info;
	path->path.rows = plain->rows;
	path->path.startup_cost = plain->startup_cost;
	path->path.total_cost = plain->total_cost;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &path_methods;
	rel->pathlist = NIL;		/* the tuplestore is empty: no other way */
	add_path(rel, &path->path);
}

void
pgt_refresh_init(void)
{
	RegisterCustomScanMethods(&scan_methods);
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_change_scan;
	pgt_refresh_init_statistics();
}
