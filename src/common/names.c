/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Spelling of the enumerations in SQL, both ways.
 *
 * Output is what the catalog's CHECK constraints list. Input ignores case, so
 * that users may write 'full'.
 *
 * IDENTIFICATION
 *	  src/common/names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtrickle/types.h"

static const char *const mode_names[] = {
	[PGT_MODE_AUTO] = "AUTO",
	[PGT_MODE_DIFFERENTIAL] = "DIFFERENTIAL",
	[PGT_MODE_FULL] = "FULL",
};

static const char *const status_names[] = {
	[PGT_STATUS_INITIALIZING] = "INITIALIZING",
	[PGT_STATUS_ACTIVE] = "ACTIVE",
	[PGT_STATUS_SUSPENDED] = "SUSPENDED",
	[PGT_STATUS_ERROR] = "ERROR",
};

static const char *const action_names[] = {
	[PGT_ACTION_NO_DATA] = "NO_DATA",
	[PGT_ACTION_FULL] = "FULL",
	[PGT_ACTION_DIFFERENTIAL] = "DIFFERENTIAL",
	[PGT_ACTION_REINITIALIZE] = "REINITIALIZE",
	[PGT_ACTION_SKIP] = "SKIP",
};

static const char *const initiator_names[] = {
	[PGT_BY_MANUAL] = "MANUAL",
	[PGT_BY_SCHEDULER] = "SCHEDULER",
	[PGT_BY_INITIAL] = "INITIAL",
};

/* Index of name in names[], or -1. */
static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(names[i], name) == 0)
			return i;
	return -1;
}

const char *
pgt_mode_name(RefreshMode mode)
{
	return mode_names[mode];
}

RefreshMode
pgt_mode_parse(const char *name)
{
	int			i = find_name(mode_names, lengthof(mode_names), name);

	if (i >= 0)
		return (RefreshMode) i;
	if (pg_strcasecmp(name, "IMMEDIATE") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("refresh mode IMMEDIATE is not supported yet"),
				 errhint("Use AUTO or DIFFERENTIAL with a short schedule.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid refresh mode: \"%s\"", name),
			 errhint("Valid modes are AUTO, DIFFERENTIAL and FULL.")));
}

const char *
pgt_status_name(StreamTableStatus status)
{
	return status_names[status];
}

StreamTableStatus
pgt_status_parse(const char *name)
{
	int			i = find_name(status_names, lengthof(status_names), name);

	if (i >= 0)
		return (StreamTableStatus) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid stream table status: \"%s\"", name),
			 errhint("Valid values are ACTIVE and SUSPENDED.")));
}

const char *
pgt_action_name(RefreshAction action)
{
	return action_names[action];
}

const char *
pgt_initiator_name(RefreshInitiator initiator)
{
	return initiator_names[initiator];
}
