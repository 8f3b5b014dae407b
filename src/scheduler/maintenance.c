/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  What a scheduler does when no refresh is due.
 *
 * Every few seconds, if anything was captured since the last time: gives the
 * space of consumed changes back (where refreshes that overlap each other keep a
 * buffer locked all the time, the scheduler makes a pause for it), and warns when
 * a buffer grows beyond buffer_alert_threshold rows.  When nobody has written
 * since, once more, and then gives nearly all of the space back.  Once an hour,
 * and when the process starts or its settings change: removes history that is
 * older than history_retention_days, in batches of a transaction each.
 *
 * IDENTIFICATION
 *	  src/scheduler/maintenance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"

#include "scheduler_internal.h"

#define BUFFERS_MS			5000
#define PRUNE_MS			3600000
#define PRUNE_BATCH			1000

/* a change takes no less than this in a buffer: headers, xid and counter */
#define MIN_CHANGE_BYTES	40

/* Remembers for which sources an alert was raised. */
static HTAB *alerted = NULL;

static bool
mark_alerted(Oid source, bool alert)
{
	bool		found;

	if (alerted == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(Oid);
		ctl.hcxt = TopMemoryContext;
		alerted = hash_create("pg_trickle buffer alerts", 16, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	(void) hash_search(alerted, &source, alert ? HASH_ENTER : HASH_REMOVE, &found);
	return found;
}

/* One alert each time that the pending changes exceed the threshold. */
static void
watch_buffer(Oid source)
{
	int64		threshold = pgt_buffer_alert_threshold;
	int64		rows = 0;
	char		text[32];

	if (threshold == 0)
		return;
	/* counting reads the buffer, so only where it may matter */
	if (pgt_cdc_buffer_bytes(source) / MIN_CHANGE_BYTES > threshold)
		rows = pgt_cdc_pending_rows(source, NULL);
	if (rows <= threshold)
	{
		mark_alerted(source, false);
		return;
	}
	if (mark_alerted(source, true))
		return;
	snprintf(text, sizeof(text), INT64_FORMAT, rows);
	pgt_alert("buffer_growth_warning", InvalidOid,
			  "source", pgt_quoted_relation_name(source),
			  "pending_rows", text,
			  NULL);
}

/* quiet: nobody has written since the last look. */
static void
look_after_buffers(Maintenance *m, bool quiet)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *sources;
	ListCell   *lc;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	sources = pgt_catalog_list_change_sources();
	CommitTransactionCommand();

	m->hindered = false;
	m->unfinished = !quiet;
	/* locks on one source are not kept while looking at the next */
	foreach(lc, sources)
	{
		ChangeSource *cs = lfirst(lc);

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (pgt_catalog_get_change_source(cs->relid, true) != NULL)
		{
			if (quiet)
				m->unfinished |= pgt_cdc_cleanup_quiet(cs->relid);
			else
				pgt_cdc_cleanup(cs->relid);
			m->hindered |= pgt_cdc_cleanup_is_due(cs->relid);
			watch_buffer(cs->relid);
		}
		PopActiveSnapshot();
		CommitTransactionCommand();
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(context);
}

/* ---- alerts about stream tables ---- */

static char *
format_ms(int64 usecs)
{
	return psprintf("%.0f", usecs / 1000.0);
}

static void
raise_alert(PlanNode *node)
{
	TimestampTz now = GetCurrentTimestamp();

	if (node->alert_stale)
		pgt_alert("stale_data", node->relid,
				  "pending_ms", node->pending_since ? format_ms(now - node->pending_since) : NULL,
				  "interval_ms", format_ms(node->interval),
				  NULL);
	if (node->alert_behind)
		pgt_alert("scheduler_falling_behind", node->relid,
				  "duration_ms", format_ms(node->usecs),
				  "interval_ms", format_ms(node->duration),
				  NULL);
	node->alert_stale = node->alert_behind = false;
}

/* What passes have found. */
void
pgt_scheduler_raise_alerts(Scheduler *s)
{
	if (!s->alerts)
		return;
	s->alerts = false;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < s->plan->nnodes; i++)
		raise_alert(&s->plan->nodes[i]);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Returns true if there may be more to remove. */
static bool
prune_history(void)
{
	int64		nremoved;

	if (pgt_history_retention_days == 0)
		return false;
	pgstat_report_activity(STATE_RUNNING, "removing old refresh history");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	nremoved = pgt_catalog_prune_history(pgt_history_retention_days, PRUNE_BATCH);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return nremoved >= PRUNE_BATCH;
}

/* Does the next piece of work that is due, if any. */
void
pgt_scheduler_maintain(Maintenance *m, TimestampTz now)
{
	uint64		commits = pgt_cdc_database_commit_count();

	if (now >= m->next_buffers &&
		(commits != m->commits_seen || m->unfinished ||
		 m->threshold != pgt_buffer_alert_threshold))
	{
		bool		quiet = commits == m->commits_seen;

		m->next_buffers = TimestampTzPlusMilliseconds(now, BUFFERS_MS);
		m->commits_seen = commits;
		m->threshold = pgt_buffer_alert_threshold;
		look_after_buffers(m, quiet);
	}
	else if (now >= m->next_prune || m->retention_days != pgt_history_retention_days)
	{
		/* a batch per call: refreshes come first */
		m->retention_days = pgt_history_retention_days;
		m->next_prune = TimestampTzPlusMilliseconds(now, PRUNE_MS);
		if (prune_history())
			m->next_prune = now;
	}
}
