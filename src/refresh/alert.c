/*-------------------------------------------------------------------------
 *
 * alert.c
 *	  NOTIFY pg_trickle_alert: news about stream tables for who listens.
 *
 * The payload is a JSON object: "event", "stream_table" (qualified, quoted as
 * in SQL; absent if the news is about none) and the event's own pairs, all
 * strings.  A notification is limited to NOTIFY_PAYLOAD_MAX_LENGTH bytes,
 * beyond which Async_Notify fails, so long values are cut.
 *
 * IDENTIFICATION
 *	  src/refresh/alert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdarg.h>

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "pgtrickle/refresh.h"

#define PAYLOAD_MAX		7900	/* the server's limit is 8000 or a bit less */
#define VALUE_MAX		1000	/* of one value, before escaping */

/*
 * Appends "key": "value" if it fits into the payload, the value cut as needed.
 * Control characters grow sixfold when escaped.
 */
static void
append_pair(StringInfo payload, const char *key, const char *value)
{
	StringInfoData pair;
	int			len = pg_mbcliplen(value, strlen(value), VALUE_MAX);

	initStringInfo(&pair);
	for (;;)
	{
		char	   *cut = pnstrdup(value, len);

		resetStringInfo(&pair);
		appendStringInfoString(&pair, payload->len > 1 ? ", " : "");
		escape_json(&pair, key);
		appendStringInfoString(&pair, ": ");
		escape_json(&pair, cut);
		pfree(cut);
		if (payload->len + pair.len < PAYLOAD_MAX)
		{
			appendBinaryStringInfo(payload, pair.data, pair.len);
			break;
		}
		if (len == 0)
			break;
		len = pg_mbcliplen(value, len, len / 2);
	}
	pfree(pair.data);
}

/*
 * Notifies listeners when the transaction commits.  After the relation (may be
 * InvalidOid) come pairs of strings, key and value, then NULL; a pair whose
 * value is NULL is left out.
 */
void
pgt_alert(const char *event, Oid relid,...)
{
	StringInfoData payload;
	va_list		args;
	const char *key;

	initStringInfo(&payload);
	appendStringInfoChar(&payload, '{');
	append_pair(&payload, "event", event);
	if (OidIsValid(relid) && get_rel_name(relid) != NULL)
		append_pair(&payload, "stream_table",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
											   get_rel_name(relid)));
	va_start(args, relid);
	while ((key = va_arg(args, const char *)) != NULL)
	{
		const char *value = va_arg(args, const char *);

		if (value != NULL)
			append_pair(&payload, key, value);
	}
	va_end(args);
	appendStringInfoChar(&payload, '}');

	Async_Notify(PGT_ALERT_CHANNEL, payload.data);
	pfree(payload.data);
}
