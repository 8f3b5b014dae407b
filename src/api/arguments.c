/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  Arguments of SQL-callable functions: nulls, options, names.
 *
 * None of our functions is STRICT where a NULL has no meaning: a silent NULL
 * instead of a stream table would go unnoticed in a script.
 *
 * IDENTIFICATION
 *	  src/api/arguments.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "pgtrickle/env.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/scheduler.h"

#include "api_internal.h"

static void
check_not_null(FunctionCallInfo fcinfo, int argno, const char *argname)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", argname)));
}

char *
pgt_api_text_arg(FunctionCallInfo fcinfo, int argno, const char *argname, bool required)
{
	if (required)
		check_not_null(fcinfo, argno, argname);
	return PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

bool
pgt_api_bool_arg(FunctionCallInfo fcinfo, int argno, const char *argname)
{
	check_not_null(fcinfo, argno, argname);
	return PG_GETARG_BOOL(argno);
}

char *
pgt_api_schedule(char *schedule)
{
	if (schedule == NULL || pg_strcasecmp(schedule, "manual") == 0)
		return NULL;
	(void) pgt_schedule_parse(schedule);
	return schedule;
}

/* value as one of the names, in their spelling; NULL stays NULL. */
static char *
choose(const char *option, char *value, const char *const *names)
{
	StringInfoData buf;

	if (value == NULL)
		return NULL;
	initStringInfo(&buf);
	for (int i = 0; names[i]; i++)
	{
		if (pg_strcasecmp(names[i], value) == 0)
			return pstrdup(names[i]);
		appendStringInfo(&buf, "%s\"%s\"", i == 0 ? "" : names[i + 1] ? ", " : " and ",
						 names[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for %s: \"%s\"", option, value),
			 errhint("Valid values are %s.", buf.data)));
}

char *
pgt_api_cdc_mode(char *mode)
{
	static const char *const names[] = {"auto", "trigger", "wal", NULL};

	mode = choose("cdc_mode", mode, names);
	if (mode && strcmp(mode, "wal") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cdc_mode \"wal\" is not supported yet"),
				 errhint("Use \"auto\" or \"trigger\".")));
	return mode;
}

/* Of a stream table that is created without saying it. */
char *
pgt_api_default_cdc_mode(void)
{
	return pgt_cdc_mode == PGT_CDC_TRIGGER ? "trigger" : "auto";
}

char *
pgt_api_diamond_consistency(char *value)
{
	static const char *const names[] = {"none", "atomic", NULL};

	return choose("diamond_consistency", value, names);
}

char *
pgt_api_diamond_schedule_policy(char *value)
{
	static const char *const names[] = {"fastest", "slowest", NULL};

	return choose("diamond_schedule_policy", value, names);
}

void
pgt_api_prevent_read_only(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
}

Oid
pgt_api_find_relation(const char *name)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));
	RangeVar   *rv = makeRangeVarFromNameList(names);
	Oid			relid = RangeVarGetRelid(rv, NoLock, true);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("stream table \"%s\" does not exist", NameListToString(names))));
	return relid;
}

StreamTable *
pgt_api_find_stream_table(const char *name)
{
	return pgt_catalog_get_stream_table(pgt_api_find_relation(name), false);
}

/*
 * The name is looked up again once the lock is held: meanwhile the table may
 * have been dropped, renamed or replaced.
 */
StreamTable *
pgt_api_lock_owned(const char *name)
{
	for (;;)
	{
		StreamTable *st = pgt_api_find_stream_table(name);
		StreamTable *locked;

		if (!object_ownercheck(RelationRelationId, st->relid, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(st->relid));
		pgt_catalog_lock_stream_table(st->pgt_id, false);
		/* DROP TABLE takes no other lock than this */
		LockRelationOid(st->relid, AccessShareLock);
		locked = pgt_api_find_stream_table(name);
		if (locked->pgt_id == st->pgt_id &&
			object_ownercheck(RelationRelationId, locked->relid, GetUserId()))
			return locked;
	}
}

/* ---- positions in the defining query ---- */

static void
position_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

void
pgt_api_throw_reason(const UnsupportedReason *reason, const char *sql, const char *stname)
{
	UnsupportedReason copy = *reason;
	ErrorContextCallback callback;

	if (copy.location > (int) strlen(sql))
		copy.location = -1;
	if (copy.location >= 0)
		copy.location = pg_mbstrlen_with_len(sql, copy.location);
	callback.callback = position_callback;
	callback.arg = unconstify(char *, sql);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pgt_reason_throw(&copy, stname);
}
