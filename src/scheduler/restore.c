/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  Waiting for the end of a restore.
 *
 * pg_dump writes the rows of pgt_stream_tables before those of the tables that
 * they speak of, and long before indexes and triggers.  A scheduler that
 * started meanwhile would adopt a stream table that is still being restored:
 * its rows would come twice, and its indexes be there already.  So who puts
 * rows there by INSERT or COPY (what we write ourselves fires no trigger) holds
 * a lock until his session ends, and until then the scheduler leaves copied
 * stream tables alone.
 *
 * The lock is one of a session, of the method of advisory locks: others go when
 * a transaction is rolled back.
 *
 * IDENTIFICATION
 *	  src/scheduler/restore.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "pgtrickle/env.h"

#include "scheduler_internal.h"

PG_FUNCTION_INFO_V1(pgt_note_restore);

/* On the extension; commands on it take locks of the other method. */
static LOCKTAG
restore_tag(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, pgt_extension_oid(false), 0);
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return tag;
}

/* Trigger on pgt_stream_tables: somebody writes rows there. */
Datum
pgt_note_restore(PG_FUNCTION_ARGS)
{
	LOCKTAG		tag = restore_tag();

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"note_restore\" was not called by trigger manager")));
	(void) LockAcquire(&tag, RowExclusiveLock, true, false);
	pgt_scheduler_notify_at_exit();
	PG_RETURN_POINTER(NULL);
}

/* Does another session restore stream tables of this database? */
bool
pgt_restore_under_way(void)
{
	LOCKTAG		tag;

	/* a standby takes no such locks; nobody can write there */
	if (RecoveryInProgress())
		return false;
	tag = restore_tag();
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}
