/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  Commands that a scheduler must hear of, or get out of the way of.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
 * DATABASE with this database as template fail while anybody is connected to
 * the database, and its scheduler always is.  So before such a command runs,
 * the scheduler is asked to leave, and the launcher not to start another one
 * until the command has ended.  Whoever may not run the command achieves
 * nothing by trying.
 *
 *	backend							launcher, scheduler
 *	DROP DATABASE d
 *	block d; ask the scheduler
 *									scheduler of d ends
 *	command runs
 *	block d for a moment longer
 *	COMMIT, tell the launcher
 *									d is gone: forget it; else start again
 *
 * A backend that is killed meanwhile leaves a block behind that expires.
 *
 * A dump brings stream tables back by COPY into our catalog, long before
 * their data, their sources' and the triggers are there.  So the scheduler hears
 * of it when the session ends that has done it.
 *
 * IDENTIFICATION
 *	  src/scheduler/utility.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "pgtrickle/compat.h"

#include "scheduler_internal.h"

#define EXTENSION_NAME	"pg_trickle"

/* How long a database stays closed after the command, until the launcher may see its result. */
#define BLOCK_AFTER_MS	1000
/* An idle scheduler leaves at once; a refresh is cancelled after this time. */
#define ASK_MS			300
#define WAIT_MS			5000

static ProcessUtility_hook_type prev_utility_hook = NULL;

static const char *
string_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0 && def->arg != NULL)
			return defGetString(def);
	}
	return NULL;
}

/*
 * The database that nobody may be connected to while this command runs, or
 * InvalidOid.  Wrong commands are left to the server.
 */
static Oid
database_to_leave(Node *stmt)
{
	const char *name = NULL;
	Oid			database;

	if (IsA(stmt, DropdbStmt))
		name = ((DropdbStmt *) stmt)->dbname;
	else if (IsA(stmt, AlterDatabaseStmt))
	{
		AlterDatabaseStmt *alter = (AlterDatabaseStmt *) stmt;

		if (string_option(alter->options, "tablespace"))
			name = alter->dbname;
	}
	else if (IsA(stmt, RenameStmt))
	{
		RenameStmt *rename = (RenameStmt *) stmt;

		if (rename->renameType == OBJECT_DATABASE)
			name = rename->subname;
	}
	else if (IsA(stmt, CreatedbStmt))
		name = string_option(((CreatedbStmt *) stmt)->options, "template");

	if (name == NULL || !IsTransactionState())
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId)
		return InvalidOid;
	/* templates that anybody may copy have no scheduler */
	if (!object_ownercheck(DatabaseRelationId, database, GetUserId()))
		return InvalidOid;
	return database;
}

/* Closes a database, or moves the end of its closure. */
static void
block_database(Oid database, int ms)
{
	TimestampTz now = GetCurrentTimestamp();
	SchedulerBlock *free = NULL;
	SchedulerBlock *block;

	for (block = pgt_scheduler_shared->blocks;
		 block < pgt_scheduler_shared->blocks + PGT_MAX_BLOCKS; block++)
	{
		if (block->database == database)
			break;
		if (!OidIsValid(block->database) || block->until <= now)
			free = block;
	}
	if (block == pgt_scheduler_shared->blocks + PGT_MAX_BLOCKS)
		block = free;
	if (block == NULL)
		return;					/* the command may fail; it can be repeated */
	block->database = database;
	block->until = TimestampTzPlusMilliseconds(now, ms);
}

/* Asks the scheduler to leave; true if there is none (any more). */
static bool
ask_to_leave(Oid database, bool cancel)
{
	SchedulerShared *shared = pgt_scheduler_shared;
	bool		gone = true;

	for (int i = 0; i < shared->nslots; i++)
	{
		SchedulerSlot *slot = &shared->slots[i];

		if (slot->database != database)
			continue;
		slot->stop = true;
		if (slot->pid == 0)
			continue;
		gone = false;
		if (slot->latch)
			SetLatch(slot->latch);
		if (cancel)
			kill(slot->pid, SIGTERM);
	}
	return pgt_pool_ask_to_leave(database, cancel) && gone;
}

static void
make_scheduler_leave(Oid database)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		cancelled = false;

	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	block_database(database, PGT_BLOCK_MS);
	LWLockRelease(pgt_scheduler_lock);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		cancel = !cancelled &&
			TimestampDifferenceExceeds(start, now, ASK_MS);
		bool		gone;

		/* the clock may be set back */
		start = Min(start, now);
		LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
		gone = ask_to_leave(database, cancel);
		LWLockRelease(pgt_scheduler_lock);
		cancelled |= cancel;

		if (gone || TimestampDifferenceExceeds(start, now, WAIT_MS))
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10, pgt_wait_event(PGT_WAIT_DATABASE));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
let_scheduler_return(Oid database)
{
	LWLockAcquire(pgt_scheduler_lock, LW_EXCLUSIVE);
	block_database(database, BLOCK_AFTER_MS);
	pgt_scheduler_shared->look_at_databases = true;
	if (pgt_scheduler_shared->launcher)
		SetLatch(pgt_scheduler_shared->launcher);
	LWLockRelease(pgt_scheduler_lock);
}

/* May our catalog be another one when this command has committed? */
static bool
changes_catalog(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateExtensionStmt:
			return strcmp(((CreateExtensionStmt *) stmt)->extname, EXTENSION_NAME) == 0;
		case T_DropStmt:
			return ((DropStmt *) stmt)->removeType == OBJECT_EXTENSION;
		case T_TransactionStmt:
			return ((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED;
		default:
			return false;
	}
}

static bool
changes_databases(Node *stmt)
{
	return IsA(stmt, CreatedbStmt) || IsA(stmt, DropdbStmt) ||
		IsA(stmt, AlterDatabaseStmt);
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *queryEnv, DestReceiver *dest,
				QueryCompletion *qc)
{
	Node	   *stmt = pstmt->utilityStmt;
	volatile Oid database = database_to_leave(stmt);

	/* a ROLLBACK may free the statement, so it is not looked at afterwards */
	bool		catalog = changes_catalog(stmt);
	bool		databases = changes_databases(stmt);

	PG_TRY();
	{
		if (OidIsValid(database))
			make_scheduler_leave(database);
		if (prev_utility_hook)
			prev_utility_hook(pstmt, queryString, readOnlyTree, context, params,
							  queryEnv, dest, qc);
		else
			standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
									params, queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		if (OidIsValid(database))
			let_scheduler_return(database);
	}
	PG_END_TRY();

	if (catalog)
		pgt_scheduler_notify_catalog_change();
	if (databases)
		pgt_scheduler_notify_databases();
}

void
pgt_scheduler_install_utility_hook(void)
{
	prev_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
