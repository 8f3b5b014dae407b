/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  What a failed refresh does to a stream table.
 *
 * Errors are told apart by SQLSTATE, never by text.  Permanent are those that
 * the same attempt would meet again until somebody changes the definition, an
 * object or a privilege: the stream table goes to ERROR and waits for a refresh
 * by hand, resume or repair.  All others, errors in the data included, are
 * tried again after 1 s, 2 s, 4 s ... at most 60 s, each varied by up to 25 % so
 * that stream tables that failed together do not come back together; after
 * max_consecutive_errors failures in a row the stream table is suspended.
 *
 * IDENTIFICATION
 *	  src/refresh/failure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"

#define RETRY_MAX_MS	60000

bool
pgt_refresh_error_is_permanent(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_INVALID_CATALOG_NAME:
			return true;
		default:
			return false;
	}
}

/* Delay before the next attempt after so many errors; jitter is in [-1, 1]. */
int
pgt_refresh_retry_delay_ms(int errors, double jitter)
{
	int			delay = 1000 << Min(Max(errors - 1, 0), 6);

	return (int) (Min(delay, RETRY_MAX_MS) * (1.0 + 0.25 * jitter));
}

/* The action that was attempted, as far as the catalog tells. */
static RefreshAction
attempted_action(const StreamTable *st)
{
	if (st->needs_reinit)
		return PGT_ACTION_REINITIALIZE;
	if (st->refresh_mode == PGT_MODE_FULL || !st->differential || !st->is_populated)
		return PGT_ACTION_FULL;
	return PGT_ACTION_DIFFERENTIAL;
}

static void
record_history(const StreamTable *st, TimestampTz start, TimestampTz end,
			   ErrorData *err, RefreshInitiator by)
{
	RefreshRecord rec = {0};
	RefreshState *state;

	rec.pgt_id = st->pgt_id;
	rec.action = attempted_action(st);
	rec.status = "FAILED";
	rec.initiated_by = by;
	rec.start_time = start;
	rec.end_time = end;
	rec.error_message = err->message;
	rec.error_sqlstate = pstrdup(unpack_sql_state(err->sqlerrcode));
	pgt_catalog_insert_history(&rec);

	state = pgt_catalog_get_refresh_state(st->pgt_id, true);
	state->total_refreshes++;
	state->failed++;
	pgt_catalog_put_refresh_state(state);
}

/* The alert carries no message text: anybody may listen. */
static void
raise_alert(const StreamTable *st, const char *sqlstate)
{
	char		errors[16];

	snprintf(errors, sizeof(errors), "%d", st->consecutive_errors);
	pgt_alert(st->status == PGT_STATUS_SUSPENDED ? "auto_suspended" : "refresh_failed",
			  st->relid,
			  "sqlstate", sqlstate,
			  "consecutive_errors", errors,
			  "status", pgt_status_name(st->status),
			  "retry_at", st->retry_at ? timestamptz_to_str(st->retry_at) : NULL,
			  NULL);
}

void
pgt_refresh_record_failure(int64 pgt_id, TimestampTz start, ErrorData *err,
						   RefreshInitiator by)
{
	TimestampTz now = GetCurrentTimestamp();
	StreamTable *st;

	pgt_catalog_lock_stream_table(pgt_id, false);
	st = pgt_catalog_get_stream_table_by_id(pgt_id, true);
	if (st == NULL)
		return;

	st->consecutive_errors++;
	st->last_error_message = err->message ? err->message : "";
	st->last_error_at = now;
	st->retry_at = 0;
	if (pgt_refresh_error_is_permanent(err->sqlerrcode))
		st->status = PGT_STATUS_ERROR;
	else if (st->consecutive_errors >= pgt_max_consecutive_errors)
		st->status = PGT_STATUS_SUSPENDED;
	else
	{
		double		jitter = 2.0 * pg_prng_double(&pg_global_prng_state) - 1.0;

		st->retry_at =
			TimestampTzPlusMilliseconds(now,
										pgt_refresh_retry_delay_ms(st->consecutive_errors,
																   jitter));
	}
	pgt_catalog_update_stream_table(st);
	record_history(st, start, now, err, by);
	raise_alert(st, unpack_sql_state(err->sqlerrcode));
}
