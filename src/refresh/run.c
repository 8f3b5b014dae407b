/*-------------------------------------------------------------------------
 *
 * run.c
 *	  One refresh of one stream table, from lock to frontier.
 *
 *	  lock the stream table -> lock its sources -> note the ends of the change
 *	  buffers -> take one snapshot -> anything new? -> load the changes ->
 *	  decide -> differential or full -> advance the frontier -> record.
 *
 * Everything happens in the caller's transaction, which may itself have
 * written the sources: its changes so far are consumed, later ones are told
 * apart by their statement counter (see types.h, Frontier).
 *
 * Two refreshes of one stream table: the second waits for the lock and then
 * reads the newest frontier with a fresh snapshot; under REPEATABLE READ, whose
 * snapshot cannot see the first one's work, it fails with a serialization error.
 *
 *		T1: lock .. snapshot S1 .. write, frontier S1 .. commit
 *		T2:            lock (waits) ....................... frontier S1, snapshot S2 > S1
 *
 * The differential attempt runs in a subtransaction.  An expression that
 * fails on a row, or stored rows that do not fit the changes, roll it back,
 * and the refresh recomputes; the reason is recorded and shown.
 *
 * IDENTIFICATION
 *	  src/refresh/run.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "pgtrickle/definition.h"
#include "pgtrickle/env.h"
#include "pgtrickle/graph.h"
#include "pgtrickle/guc.h"
#include "policy.h"
#include "refresh_internal.h"

/* From this many changes on, streaming saves more than it costs to begin. */
#define STREAM_MIN_ROWS	2000
/* The changes of a source of at most this size are netted. */
#define SMALL_SOURCE_ROWS 1000
/* Beside a source this much larger, a small one is tiny. */
#define TINY_SHARE		0.01
/* Changed rows per row of a buffer, where they have not been counted. */
#define STREAMED_SHARE	0.6

/* ---- helpers shared with differential.c and full.c ---- */

double
pgt_refresh_lap(RefreshRun *run)
{
	instr_time	now;
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(now);
	elapsed = now;
	INSTR_TIME_SUBTRACT(elapsed, run->mark);
	run->mark = now;
	return INSTR_TIME_GET_MILLISEC(elapsed);
}

void
pgt_refresh_next_command(RefreshRun *run)
{
	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
	Assert(GetActiveSnapshot() == run->snapshot);
}

void
pgt_refresh_add_stats(ApplyStats *sum, const ApplyStats *part)
{
	sum->received += part->received;
	sum->inserted += part->inserted;
	sum->updated += part->updated;
	sum->deleted += part->deleted;
	sum->unchanged += part->unchanged;
	sum->rescanned += part->rescanned;
	if (part->strategy)
		sum->strategy = part->strategy;
}

static void
refresh_error_callback(void *arg)
{
	errcontext("refreshing stream table \"%s\"", (const char *) arg);
}

/* ---- begin ---- */

/*
 * Locks the stream table, its sources as they were recorded, and the table,
 * and only then reads the row: a command on a source (ALTER TABLE) may have
 * redefined the stream table while we waited for it.
 */
static StreamTable *
lock_stream_table(Oid relid)
{
	StreamTable *st = pgt_catalog_get_stream_table(relid, false);
	int64		pgt_id = st->pgt_id;
	List	   *sources = NIL;
	ListCell   *lc;

	(void) pgt_catalog_lock_stream_table(pgt_id, false);
	foreach(lc, pgt_catalog_list_dependencies(pgt_id))
		sources = lappend_oid(sources, ((Dependency *) lfirst(lc))->source);
	pgt_refresh_lock_tables(sources, relid);
	st = pgt_catalog_get_stream_table_by_id(pgt_id, true);
	if (st == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream table with OID %u was dropped while its refresh waited", relid)));
	if (st->status == PGT_STATUS_SUSPENDED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stream table \"%s\" is suspended", pgt_relation_label(relid)),
				 errhint("Use pgtrickle.resume_stream_table() first.")));
	return st;
}

static void
lock_sources(List *sources)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("a source of the stream table was dropped")));
	}
}

/*
 * Opens the window and takes the refresh snapshot, in the order that cdc.h
 * prescribes.  The stream table's content is to be that of this moment.
 */
static void
begin_window(RefreshRun *run, List *sources, const Frontier *from)
{
	run->window = pgt_cdc_window_open(from, sources);
	CommandCounterIncrement();
	PushCopiedSnapshot(pgt_refresh_snapshot(&run->rec->data_timestamp));
	UpdateActiveSnapshotCommandId();
	run->snapshot = GetActiveSnapshot();
	pgt_cdc_window_set_snapshot(run->window, run->snapshot);
}

static void
end_window(RefreshRun *run)
{
	pgt_cdc_window_close(run->window);
	run->window = NULL;
	PopActiveSnapshot();
	run->snapshot = NULL;
}

/* ---- what to do ---- */

static bool
must_recompute(RefreshRun *run, char **reason)
{
	StreamTable *st = run->st;

	*reason = NULL;
	if (!st->is_populated || run->state->frontier == NULL)
		return true;			/* the first fill needs no excuse */
	if (st->needs_reinit)
	{
		*reason = st->reinit_reason ? st->reinit_reason : pstrdup("reinitialization was requested");
		return true;
	}
	if (st->refresh_mode == PGT_MODE_FULL)
		return true;
	if (run->m->def == NULL)
	{
		*reason = st->downgrade_reason;
		return true;
	}
	return false;
}

/*
 * What has to be captured to know that a refresh has nothing to do: NIL when
 * that cannot be known.
 */
static List *
captured_sources(RefreshRun *run, bool *touches)
{
	ListCell   *lc;

	*touches = run->m->def == NULL || run->st->refresh_mode == PGT_MODE_FULL;
	if (!*touches)
	{
		List	   *result = NIL;

		foreach(lc, run->m->def->sources)
		{
			SourceUse  *use = (SourceUse *) lfirst(lc);

			if (!use->polled || pgt_catalog_get_change_source(use->relid, true) != NULL)
				result = lappend_oid(result, use->relid);
		}
		return result;
	}
	if (!run->m->determined)
		return NIL;
	foreach(lc, run->m->sources)
	{
		ChangeSource *cs = pgt_catalog_get_change_source(lfirst_oid(lc), true);

		if (cs == NULL || !cs->touches)
			return NIL;
	}
	return list_copy(run->m->sources);
}

/* Of one that is recomputed, after a refresh that has brought it into order. */
static bool
is_untouched(RefreshRun *run, List *sources)
{
	ListCell   *lc;

	if (!run->st->is_populated || run->st->needs_reinit || run->state->frontier == NULL ||
		(sources == NIL && run->m->sources != NIL) || !run->m->determined)
		return false;
	foreach(lc, sources)
	{
		if (pgt_cdc_window_was_touched(run->window, lfirst_oid(lc)))
			return false;
	}
	return true;
}

static bool
window_has_changes(RefreshRun *run, List *sources)
{
	ListCell   *lc;

	foreach(lc, sources)
	{
		if (pgt_cdc_window_has_changes(run->window, lfirst_oid(lc)))
			return true;
	}
	return false;
}

static double
estimated_rows(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = -1;
	double		pages = 0;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		pages = ((Form_pg_class) GETSTRUCT(tuple))->relpages;
		ReleaseSysCache(tuple);
	}
	if (rows < 0)
		rows = pages > 0 ? pages * 80 : -1;
	return rows;
}

static int
count_occurrences(List *blocks, int source)
{
	int			n = 0;
	ListCell   *lc,
			   *lc2;

	foreach(lc, blocks)
	{
		QueryBlock *block = (QueryBlock *) lfirst(lc);

		foreach(lc2, block->inputs)
		{
			Input	   *input = (Input *) lfirst(lc2);

			if (input->kind == PGT_INPUT_RELATION && input->source == source)
				n++;
			else if (input->kind == PGT_INPUT_UNION)
				n += count_occurrences(input->blocks, source);
		}
		/* several terms read the change of what is attached */
		foreach(lc2, block->attachments)
		{
			Input	   *input = ((Attachment *) lfirst(lc2))->input;

			if (input->kind == PGT_INPUT_RELATION && input->source == source)
				n += 2;
		}
	}
	return n;
}

/* How often statements read the changes of a source. */
static int
count_uses(const Definition *def, int source)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, def->stages)
	{
		Stage	   *stage = (Stage *) lfirst(lc);
		int			occurrences = stage->is_map ? 0 : count_occurrences(stage->blocks, source);

		n += occurrences;
		/* recomputed as a whole: no statement reads the changes, but they count */
		if (occurrences > 0 && stage->head == PGT_HEAD_PARTITION && stage->nkeys == 0)
			n++;
		if (stage->watched)
			n += 2 * count_occurrences(list_make1(stage->watched), source);
	}
	return n;
}

/*
 * Large changes of one source that one term of one statement reads need no
 * tuplestore.
 */
static bool
open_stream(RefreshRun *run, int source)
{
	Definition *def = run->m->def;
	SourceUse  *use = (SourceUse *) list_nth(def->sources, source);

	if (def->consolidate || count_uses(def, source) != 1)
		return false;
	run->delta_rows = pgt_cdc_window_estimate(run->window, use->relid);
	if (run->delta_rows >= STREAM_MIN_ROWS)
		run->stream = pgt_cdc_stream_open(run->window, use->relid, use->columns,
										  def->weight_name);
	if (run->stream == NULL)
	{
		run->delta_rows = 0;
		return false;
	}
	run->stream_source = source;
	return true;
}

static char *
voided_reason(Oid source)
{
	return psprintf("source \"%s\" was truncated or changed as a whole",
					pgt_relation_label(source));
}

/* Loads what changed; false with a reason if a source was voided. */
static bool
load_changes(RefreshRun *run, char **reason)
{
	Definition *def = run->m->def;
	Bitmapset  *changed = NULL;
	int			source = -1;
	bool		voided = false;
	ListCell   *lc;

	run->sets = (ChangeSet **) palloc0(sizeof(ChangeSet *) * (list_length(def->sources) + 1));
	foreach(lc, def->sources)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);

		if (!use->polled && pgt_cdc_window_has_changes(run->window, use->relid))
			changed = bms_add_member(changed, foreach_current_index(lc));
	}
	if (bms_get_singleton_member(changed, &source) && open_stream(run, source))
		return true;
	source = -1;
	while ((source = bms_next_member(changed, source)) >= 0)
	{
		SourceUse  *use = (SourceUse *) list_nth(def->sources, source);
		double		rows = estimated_rows(use->relid);
		/*
		 * A few rows that change again and again are few changes.  Changes
		 * that are joined with changes must be as few as can be.
		 */
		bool		consolidate = def->consolidate ||
			(rows >= 0 && rows <= SMALL_SOURCE_ROWS) ||
			bms_membership(changed) == BMS_MULTIPLE || count_uses(def, source) > 1;
		ChangeSet  *set = pgt_cdc_window_load(run->window, use->relid, use->columns,
											  def->weight_name, consolidate);

		if (set->voided)
		{
			*reason = voided_reason(use->relid);
			voided = true;
		}
		run->sets[source] = set;
		run->delta_rows += set->npos + set->nneg;
	}
	return !voided;
}

static void
free_changes(RefreshRun *run)
{
	if (run->sets == NULL)
		return;
	for (int i = 0; i < list_length(run->m->def->sources); i++)
		if (run->sets[i] && run->sets[i]->store)
			tuplestore_end(run->sets[i]->store);
	run->sets = NULL;
}

/* Are some of its columns computed from the images of rows? */
static bool
has_computed_columns(const SourceUse *use)
{
	Relation	rel = table_open(use->relid, AccessShareLock);
	int			attnum = -1;
	bool		result = false;

	while ((attnum = bms_next_member(use->columns, attnum)) >= 0)
		result |= pgt_is_virtual_column(TupleDescAttr(RelationGetDescr(rel), attnum - 1));
	table_close(rel, NoLock);
	return result;
}

/*
 * Work for attempt(): computes virtual generated columns of what changed, which may raise
 * an error though the query never asks for that column of that row.  What is loaded does
 * not outlive a subtransaction, so it is loaded again afterwards.
 */
static void
compute_columns(RefreshRun *run)
{
	ListCell   *lc;

	foreach(lc, run->m->def->sources)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);
		ChangeSet  *set;

		if (use->polled || !pgt_cdc_window_has_changes(run->window, use->relid) ||
			!has_computed_columns(use))
			continue;
		set = pgt_cdc_window_load(run->window, use->relid, use->columns,
								  run->m->def->weight_name, false);
		if (set->store)
			tuplestore_end(set->store);
	}
}

static void
fill_policy_input(RefreshRun *run, PolicyInput *input)
{
	Stage	   *last = (Stage *) llast(run->m->def->stages);

	memset(input, 0, sizeof(*input));
	input->mode = run->st->refresh_mode;
	input->target_rows = estimated_rows(run->st->relid);
	if (input->target_rows < 0)
		input->target_rows = run->state->full_rows;
	input->is_aggregate = last->head == PGT_HEAD_GROUP || last->is_map;
	input->max_change_ratio = pgt_differential_max_change_ratio;
	input->state = run->state;
}

static double
largest_source_rows(const Definition *def)
{
	double		largest = 0;
	ListCell   *lc;

	foreach(lc, def->sources)
		largest = Max(largest, estimated_rows(((SourceUse *) lfirst(lc))->relid));
	return largest;
}

/*
 * A few rows beside many: which share of them changed says little of how
 * many rows of the result do.  Experience has to tell.
 */
static bool
is_tiny(double rows, double largest)
{
	return rows <= SMALL_SOURCE_ROWS && rows <= largest * TINY_SHARE;
}

/* The changes are loaded: their exact numbers. */
static void
count_changes(RefreshRun *run, PolicyInput *input)
{
	double		largest = largest_source_rows(run->m->def);
	ListCell   *lc;

	fill_policy_input(run, input);
	input->loaded = true;
	input->delta_rows = run->delta_rows;
	foreach(lc, run->m->def->sources)
	{
		int			source = foreach_current_index(lc);
		ChangeSet  *set = run->sets[source];
		bool		streamed = run->stream && run->stream_source == source;
		double		rows;

		if (set == NULL && !streamed)
			continue;
		rows = estimated_rows(((SourceUse *) lfirst(lc))->relid);
		/* an update is two rows; an unanalyzed source counts as unknown */
		if (rows > 0)
		{
			double		ratio = (streamed ? run->delta_rows * STREAMED_SHARE :
								 Max(set->npos, set->nneg)) / rows;

			if (is_tiny(rows, largest))
				input->tiny_changed = true;
			else
				input->change_ratio = Max(input->change_ratio, ratio);
		}
	}
}

/* They are not: estimates, an underestimate rather, as if all were updates. */
static void
estimate_changes(RefreshRun *run, PolicyInput *input)
{
	double		largest = largest_source_rows(run->m->def);
	ListCell   *lc;

	fill_policy_input(run, input);
	foreach(lc, run->m->def->sources)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);
		Oid			relid = use->relid;
		double		changed = use->polled ? 0 : pgt_cdc_window_estimate(run->window, relid);
		double		rows;

		if (changed <= 0)
			continue;
		rows = estimated_rows(relid);
		input->delta_rows += changed;
		if (rows > 0 && !is_tiny(rows, largest))
			input->change_ratio = Max(input->change_ratio, changed / 2 / rows);
	}
}

/* ---- attempts ---- */

/*
 * Errors that a row of a delta may raise though no row of the result does:
 * what expressions raise, and what functions of users raise by themselves.
 * Cancellation, locks, resources and the like are no such errors.
 */
static bool
is_recoverable(const ErrorData *edata)
{
	switch (ERRCODE_TO_CATEGORY(edata->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_PLPGSQL_ERROR:
		case ERRCODE_SQL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION:
			return true;
		default:
			return edata->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
				edata->sqlerrcode == ERRCODE_CHECK_VIOLATION ||
				edata->sqlerrcode == ERRCODE_TOO_MANY_COLUMNS ||
				edata->sqlerrcode == PGT_ERRCODE_INCONSISTENT;
	}
}

/*
 * Does work in a subtransaction.  NULL, or the error that rolled it back.
 */
static ErrorData *
attempt(RefreshRun *run, void (*work) (RefreshRun *run))
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile edata = NULL;
	CurrentStream outer = pgt_refresh_get_stream();
	const Maintenance *outer_statistics = pgt_refresh_set_statistics(NULL);

	/* a trigger or function may have called us in the middle of another refresh */
	pgt_refresh_set_stream(NULL, NULL);
	BeginInternalSubTransaction("pg_trickle refresh");
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		work(run);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(cxt);
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	pgt_refresh_set_stream(outer.name, outer.stream);
	(void) pgt_refresh_set_statistics(outer_statistics);
	return edata;
}

static void
release_maintenance(RefreshRun *run)
{
	Maintenance *m = run->m;

	run->m = NULL;
	if (m)
		pgt_maintenance_release(m);
}

static List *
attnum_list(int n, const AttrNumber *attnums)
{
	List	   *list = NIL;

	for (int i = 0; i < n; i++)
		list = lappend_int(list, attnums[i]);
	return list;
}

/*
 * A key did not fit into a btree: let hashes of keys take the place of our unique
 * indexes.  False if there is none to replace.
 */
static bool
hash_long_keys(RefreshRun *run)
{
	Maintenance *m = run->m;
	bool		changed = false;

	if (m->def == NULL)
		return false;
	if (m->rows.nkeys > 0)
		changed |= pgt_storage_hash_keys(m->relid, attnum_list(m->rows.nkeys, m->rows.keys));
	for (int i = 0; i < list_length(m->def->stages); i++)
	{
		if (m->groups[i] && m->groups[i]->nkeys > 0 && m->groups[i]->relid != m->relid)
			changed |= pgt_storage_hash_keys(m->groups[i]->relid,
											 attnum_list(m->groups[i]->nkeys, m->groups[i]->keys));
		if (m->partitions[i] && m->partitions[i]->nkeys > 0)
			changed |= pgt_storage_hash_keys(m->partitions[i]->relid,
											 attnum_list(m->partitions[i]->nkeys, m->partitions[i]->keys));
		if (m->partitions[i])
			changed |= pgt_storage_hash_recursion(m->partitions[i]->relid,
												  (Stage *) list_nth(m->def->stages, i));
	}
	if (changed)
	{
		release_maintenance(run);
		run->m = pgt_maintenance_get(run->st);
		pgt_refresh_next_command(run);
	}
	return changed;
}

/*
 * False: it was rolled back, and *reason says why to recompute; other errors
 * propagate.
 */
static bool
try_differential(RefreshRun *run, char **reason, bool *inconsistent, bool *expected)
{
	ErrorData  *edata = attempt(run, pgt_refresh_differential);

	if (edata && edata->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED && hash_long_keys(run))
	{
		memset(&run->stats, 0, sizeof(run->stats));
		run->polled_rows = 0;
		edata = attempt(run, pgt_refresh_differential);
	}
	if (edata == NULL)
		return true;
	*inconsistent = edata->sqlerrcode == PGT_ERRCODE_INCONSISTENT ||
		edata->sqlerrcode == ERRCODE_UNIQUE_VIOLATION;
	*expected = edata->sqlerrcode == PGT_ERRCODE_DEAR ||
		(run->stream && pgt_cdc_stream_counts(run->stream)->voided);
	if (run->stream && pgt_cdc_stream_counts(run->stream)->voided)
		*reason = voided_reason(pgt_cdc_stream_counts(run->stream)->source);
	else if (edata->sqlerrcode == PGT_ERRCODE_DEAR)
		*reason = pstrdup(edata->message);
	else if (is_recoverable(edata))
		*reason = psprintf("differential refresh failed: %s", edata->message);
	else
		ReThrowError(edata);
	return false;
}

static void
report_fallback(RefreshRun *run, const char *reason, bool warn)
{
	run->rec->was_full_fallback = true;
	run->rec->fallback_reason = pstrdup(reason);
	if (warn)
		ereport(WARNING,
				(errmsg("stream table \"%s\" is recomputed instead of refreshed differentially",
						pgt_relation_label(run->st->relid)),
				 errdetail("%c%s.", pg_toupper((unsigned char) reason[0]), reason + 1)));
}

static void
full_refresh(RefreshRun *run)
{
	memset(&run->stats, 0, sizeof(run->stats));
	pgt_refresh_full(run, run->expected_change);
}

static void
recompute(RefreshRun *run, double expected_change)
{
	ErrorData  *edata;

	run->rec->action = run->st->needs_reinit && run->st->is_populated ?
		PGT_ACTION_REINITIALIZE : PGT_ACTION_FULL;
	run->expected_change = expected_change;
	edata = attempt(run, full_refresh);
	if (edata)
	{
		if (edata->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED || !hash_long_keys(run))
			ReThrowError(edata);
		full_refresh(run);
	}
}

/* Differential if it is wanted and works, else full. */
static void
apply_changes(RefreshRun *run)
{
	char	   *reason = NULL;
	bool		inconsistent = false;
	bool		expected = false;
	bool		computed = false;
	ErrorData  *edata;
	PolicyDecision decision;
	ListCell   *lc;

	run->rec->delta_row_count = 0;

	/* so much that it need not be loaded to know better? */
	estimate_changes(run, &run->policy);
	decision = pgt_policy_decide(&run->policy);
	if (decision.full)
	{
		report_fallback(run, decision.reason, false);
		recompute(run, run->policy.change_ratio);
		return;
	}
	foreach(lc, run->m->def->sources)
		computed |= has_computed_columns((SourceUse *) lfirst(lc));
	edata = computed ? attempt(run, compute_columns) : NULL;
	if (edata)
	{
		if (!is_recoverable(edata))
			ReThrowError(edata);
		run->rec->load_ms += pgt_refresh_lap(run);
		report_fallback(run, psprintf("a generated column of changed rows cannot be computed: %s", edata->message), true);
		recompute(run, 1.0);
		return;
	}
	if (!load_changes(run, &reason))
	{
		run->rec->load_ms += pgt_refresh_lap(run);
		report_fallback(run, reason, false);
		recompute(run, 1.0);
		return;
	}
	run->rec->load_ms += pgt_refresh_lap(run);
	run->rec->delta_row_count = (int64) run->delta_rows;
	count_changes(run, &run->policy);
	decision = pgt_policy_decide(&run->policy);
	if (decision.full)
	{
		report_fallback(run, decision.reason, false);
		recompute(run, Max(run->policy.change_ratio, 0.01));
		return;
	}
	run->rec->action = PGT_ACTION_DIFFERENTIAL;
	pgt_refresh_decide_append(run);
	if (try_differential(run, &reason, &inconsistent, &expected))
		return;
	pgt_refresh_next_command(run);
	report_fallback(run, reason, !expected);
	if (inconsistent)
		pgt_alert("reinitialize_needed", run->st->relid, "reason", reason, NULL);
	recompute(run, run->policy.change_ratio);
}

/* ---- end ---- */

static void
learn(RefreshRun *run, double ms)
{
	RefreshState *state = run->state;
	RefreshRecord *rec = run->rec;

	state->total_refreshes++;
	state->successful++;
	state->total_ms += ms;
	state->rows_inserted += rec->rows_inserted;
	state->rows_deleted += rec->rows_deleted;
	if (rec->action == PGT_ACTION_DIFFERENTIAL)
	{
		state->diff_refreshes++;
		state->total_diff_ms += ms;
	}
	else
	{
		state->full_refreshes++;
		state->total_full_ms += ms;
	}
	if (run->m->def)
		pgt_policy_learn(state, &run->policy, rec->action == PGT_ACTION_DIFFERENTIAL,
						 run->stats.received,
						 ms - rec->plan_ms -
						 (rec->action == PGT_ACTION_DIFFERENTIAL ? 0 : rec->load_ms));
	else
		state->last_full_ms = ms;
	if (rec->action != PGT_ACTION_DIFFERENTIAL)
		state->full_rows = run->stats.received;
	state->last_action = rec->action;
}

static void
update_stream_table(RefreshRun *run)
{
	StreamTable *st = run->st;

	if (st->is_populated && !st->needs_reinit && st->status == PGT_STATUS_ACTIVE &&
		st->consecutive_errors == 0 && st->retry_at == 0)
		return;
	st->is_populated = true;
	st->needs_reinit = false;
	st->reinit_reason = NULL;
	st->status = PGT_STATUS_ACTIVE;
	st->consecutive_errors = 0;
	st->retry_at = 0;
	pgt_catalog_update_stream_table(st);
}

static void
log_profile(RefreshRun *run, double ms)
{
	RefreshRecord *rec = run->rec;

	if (!pgt_log_refresh_profile)
		return;
	ereport(LOG,
			(errmsg("pg_trickle refresh of \"%s\": action=%s decision=%.3f load=%.3f plan=%.3f delta=%.3f apply=%.3f cleanup=%.3f total=%.3f ms plan_cache=%s delta_rows=" INT64_FORMAT " inserted=" INT64_FORMAT " deleted=" INT64_FORMAT " strategy=%s%s%s",
					pgt_relation_label(run->st->relid), pgt_action_name(rec->action),
					rec->decision_ms, rec->load_ms, rec->plan_ms, rec->delta_ms,
					rec->apply_ms, rec->cleanup_ms, ms,
					run->planned ? "miss" : "hit",
					rec->delta_row_count, rec->rows_inserted, rec->rows_deleted,
					rec->strategy ? rec->strategy : "none",
					rec->fallback_reason ? " reason=" : "",
					rec->fallback_reason ? rec->fallback_reason : ""),
			 errhidestmt(true), errhidecontext(true)));
}

static void
finish_refresh(RefreshRun *run, TimestampTz start)
{
	RefreshRecord *rec = run->rec;
	double		ms;

	rec->rows_inserted = run->stats.inserted + run->stats.updated;
	rec->rows_deleted = run->stats.deleted + run->stats.updated;
	rec->strategy = run->stats.strategy ? pstrdup(run->stats.strategy) : NULL;
	rec->status = "COMPLETED";
	rec->end_time = GetCurrentTimestamp();
	ms = (rec->end_time - start) / 1000.0;
	learn(run, ms);
	run->state->frontier = pgt_cdc_window_advance(run->window);
	run->state->data_timestamp = rec->data_timestamp;
	run->state->last_refresh_at = rec->end_time;
	pgt_catalog_put_refresh_state(run->state);
	update_stream_table(run);
	(void) pgt_catalog_insert_history(rec);
	log_profile(run, ms);
}

static void
record_no_data(RefreshRun *run)
{
	run->rec->action = PGT_ACTION_NO_DATA;
	run->rec->status = "COMPLETED";
	run->rec->end_time = GetCurrentTimestamp();
	/* after an error this is success, too */
	if (run->st->is_populated && !run->st->needs_reinit)
		update_stream_table(run);
	pgt_refresh_stats_no_data(run->st->pgt_id, run->rec->data_timestamp);
}

static void
clean_buffers(RefreshRun *run, List *sources)
{
	ListCell   *lc;

	foreach(lc, sources)
		pgt_cdc_cleanup(lfirst_oid(lc));
	run->rec->cleanup_ms += pgt_refresh_lap(run);
}

static void
hold_maintenance(RefreshRun *run)
{
	run->m = pgt_maintenance_get(run->st);
	if (run->m->in_use > 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("stream table \"%s\" is being refreshed by this session already",
						pgt_relation_label(run->st->relid))));
}

/* So that their columns stay what the plan says. */
static void
lock_stages(Maintenance *m)
{
	for (int i = 0; m->def && i < list_length(m->def->stages); i++)
	{
		Oid			relid = m->delta.stage_relids[i];

		if (OidIsValid(relid) && relid != m->relid)
			LockRelationOid(relid, AccessShareLock);
	}
}

/*
 * Takes the plan, and locks what it reads.  DDL on a source does not wait for
 * a refresh that waits for that source (see pgt_ddl_lock), so the row and the
 * plan may be outdated when the locks are there; they are not any more when
 * looked at again.
 */
static void
prepare(RefreshRun *run)
{
	StreamTable *st;

	hold_maintenance(run);
	lock_sources(run->m->sources);
	lock_stages(run->m);
	st = pgt_catalog_get_stream_table_by_id(run->st->pgt_id, false);
	if (run->m->valid && st->generation == run->st->generation &&
		st->needs_reinit == run->st->needs_reinit)
		return;
	release_maintenance(run);
	run->st = st;
	hold_maintenance(run);
	lock_sources(run->m->sources);
	lock_stages(run->m);
}

/*
 * The sources to compare with their copies: all but those of which it is known that
 * nothing has written them.  *touched: it is known that something has written one.
 */
static Bitmapset *
sources_to_poll(RefreshRun *run, List *captured, bool *touched)
{
	Bitmapset  *result = NULL;
	ListCell   *lc;

	*touched = false;
	foreach(lc, run->m->def ? run->m->def->sources : NIL)
	{
		SourceUse  *use = (SourceUse *) lfirst(lc);

		if (!use->polled)
			continue;
		if (list_member_oid(captured, use->relid))
		{
			if (!pgt_cdc_window_was_touched(run->window, use->relid))
				continue;
			*touched = true;
		}
		result = bms_add_member(result, foreach_current_index(lc));
	}
	return result;
}

/* Sources were compared with their copies, and that was all; after an error, success counts. */
static bool
found_nothing(RefreshRun *run)
{
	return run->rec->action == PGT_ACTION_DIFFERENTIAL && run->polled_rows == 0 &&
		run->st->status == PGT_STATUS_ACTIVE && run->st->consecutive_errors == 0;
}

/* The refresh proper: the plan is held, the environment entered. */
static void
refresh_locked(RefreshRun *run)
{
	TimestampTz start = run->rec->start_time;
	bool		touches;
	List	   *captured = captured_sources(run, &touches);
	bool		full;
	bool		captured_changes = false;
	char	   *reason;

	if (run->m->def)
		pgt_definition_check_source_privileges(run->m->def->sources);
	full = must_recompute(run, &reason);
	begin_window(run, captured, full && !touches ? NULL : run->state->frontier);
	if (!touches && !full)
	{
		run->polled = sources_to_poll(run, captured, &captured_changes);
		captured_changes |= window_has_changes(run, captured);
	}
	if (touches ? is_untouched(run, captured) :
		!full && !captured_changes && bms_is_empty(run->polled))
	{
		record_no_data(run);
		end_window(run);
		return;
	}
	run->rec->decision_ms = pgt_refresh_lap(run);
	if (full)
	{
		if (reason)
			report_fallback(run, reason, false);
		recompute(run, run->st->needs_reinit || !run->st->is_populated ? 1.0 : 0.0);
	}
	else
		apply_changes(run);
	if (!full && !captured_changes && found_nothing(run))
	{
		record_no_data(run);
		end_window(run);
		return;
	}
	finish_refresh(run, start);
	free_changes(run);
	end_window(run);
	clean_buffers(run, captured);
}

static void
init_state(RefreshRun *run)
{
	run->state = pgt_catalog_get_refresh_state(run->st->pgt_id, true);
	if (run->state == NULL)
	{
		run->state = (RefreshState *) palloc0(sizeof(RefreshState));
		run->state->pgt_id = run->st->pgt_id;
	}
}

/*
 * cyclic is set, and nothing done, if it has to be refreshed with others; that is
 * known for sure under its lock only.
 */
static void
run_one(Oid relid, RefreshInitiator by, RefreshRecord *rec, bool *cyclic)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pg_trickle refresh",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	ErrorContextCallback callback;
	RefreshRun	run = {0};
	PinnedEnv	env;

	memset(rec, 0, sizeof(*rec));
	rec->initiated_by = by;
	rec->start_time = GetCurrentTimestamp();
	rec->status = "RUNNING";
	callback.callback = refresh_error_callback;
	callback.arg = pgt_relation_label(relid);
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	run.rec = rec;
	INSTR_TIME_SET_CURRENT(run.mark);
	run.st = lock_stream_table(relid);
	rec->pgt_id = run.st->pgt_id;
	if (pgt_cycle_is_member(run.st))
	{
		*cyclic = true;
		error_context_stack = callback.previous;
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
		return;
	}
	(void) pgt_definition_adopt_if_foreign(run.st);
	init_state(&run);

	pgt_env_enter(&env, pgt_relation_owner(relid), run.st->settings);
	PG_TRY();
	{
		prepare(&run);
		refresh_locked(&run);
	}
	PG_FINALLY();
	{
		release_maintenance(&run);
	}
	PG_END_TRY();
	pgt_env_leave(&env);

	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old);
	/* texts of the record outlive the refresh */
	rec->fallback_reason = rec->fallback_reason ? pstrdup(rec->fallback_reason) : NULL;
	rec->strategy = rec->strategy ? pstrdup(rec->strategy) : NULL;
	MemoryContextDelete(cxt);
}

/* ---- members of a cycle ---- */

/*
 * Everything up to the snapshot, which is one for all members.  run is all zero;
 * rec is filled in as by pgt_refresh_run().  The caller holds the lock of the
 * stream table.
 */
void
pgt_refresh_open_member(RefreshRun *run, StreamTable *st, RefreshInitiator by,
						RefreshRecord *rec)
{
	PinnedEnv	env;
	bool		touches;

	memset(rec, 0, sizeof(*rec));
	rec->pgt_id = st->pgt_id;
	rec->initiated_by = by;
	rec->start_time = GetCurrentTimestamp();
	rec->status = "RUNNING";
	run->rec = rec;
	INSTR_TIME_SET_CURRENT(run->mark);
	run->st = lock_stream_table(st->relid);
	init_state(run);
	pgt_env_enter(&env, pgt_relation_owner(run->st->relid), run->st->settings);
	prepare(run);
	pgt_env_leave(&env);
	run->captured = captured_sources(run, &touches);
	run->window = pgt_cdc_window_open(run->state->frontier, run->captured);
}

/* The snapshot is the active one; the caller pops it. */
void
pgt_refresh_begin_member(RefreshRun *run, TimestampTz data_timestamp)
{
	run->snapshot = GetActiveSnapshot();
	pgt_cdc_window_set_snapshot(run->window, run->snapshot);
	run->rec->data_timestamp = data_timestamp;
	run->rec->decision_ms += pgt_refresh_lap(run);
}

/* Has nothing but these relations, the members, changed what it reads? */
bool
pgt_refresh_is_untouched(RefreshRun *run, List *members)
{
	if (run->captured == NIL && run->m->sources != NIL)
		return false;			/* that cannot be known */
	return is_untouched(run, list_difference_oid(run->captured, members)) ||
		(run->st->is_populated && !run->st->needs_reinit && run->state->frontier != NULL &&
		 run->m->determined && list_difference_oid(run->captured, members) == NIL);
}

/*
 * Nothing to do.  What the last refresh of the cycle wrote into the members counts as
 * consumed from now on, so that their change buffers can be emptied.
 */
void
pgt_refresh_leave_member(RefreshRun *run)
{
	bool		touched = false;
	ListCell   *lc;

	record_no_data(run);
	foreach(lc, run->captured)
		touched |= pgt_cdc_window_was_touched(run->window, lfirst_oid(lc));
	if (!touched)
		return;
	run->state->frontier = pgt_cdc_window_advance(run->window);
	run->state->data_timestamp = run->rec->data_timestamp;
	pgt_catalog_put_refresh_state(run->state);
}

/* Its new content has been computed. */
void
pgt_refresh_take_result(RefreshRun *run, const CycleResult *result)
{
	StreamTable *st = run->st;
	ErrorContextCallback callback;
	PinnedEnv	env;
	char	   *reason;

	callback.callback = refresh_error_callback;
	callback.arg = pgt_relation_label(st->relid);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pgt_env_enter(&env, pgt_relation_owner(st->relid), st->settings);
	run->result = result->rows;
	run->result_desc = result->desc;
	(void) must_recompute(run, &reason);
	if (reason)
		report_fallback(run, reason, false);
	pgt_refresh_next_command(run);
	recompute(run, st->needs_reinit || !st->is_populated ? 1.0 : 0.0);
	run->state->last_fixpoint_iterations = result->iterations;
	run->state->last_converged_at = GetCurrentTimestamp();
	finish_refresh(run, run->rec->start_time);
	pgt_env_leave(&env);
	error_context_stack = callback.previous;
}

/* Also after an error: then only what it would not clean up. */
void
pgt_refresh_close_member(RefreshRun *run, bool failed)
{
	release_maintenance(run);
	if (failed)
		return;
	pgt_cdc_window_close(run->window);
	clean_buffers(run, run->captured);
}

/* ---- the refresh of any stream table ---- */

/*
 * Members of a cycle are locked in the order of their ids, so what is known to be one
 * is not locked first; what turns out to be one under its lock has become it meanwhile.
 */
void
pgt_refresh_run(Oid relid, RefreshInitiator by, RefreshRecord *rec)
{
	bool		cyclic;

	do
	{
		cyclic = false;
		if (!pgt_cycle_is_member(pgt_catalog_get_stream_table(relid, false)) ||
			!pgt_refresh_cycle(relid, by, rec))
			run_one(relid, by, rec, &cyclic);
	} while (cyclic);
}
