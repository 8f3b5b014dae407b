/*-------------------------------------------------------------------------
 *
 * pg_trickle.c
 *	  Entry point of the extension library.
 *
 * The library works in two ways.  Preloaded, it has shared memory and a
 * launcher, so that stream tables are refreshed by themselves.  Loaded by the
 * first function call of a session, everything but that works; each module
 * takes its missing shared memory as "not preloaded".
 *
 * IDENTIFICATION
 *	  src/pg_trickle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "pgtrickle/cdc.h"
#include "pgtrickle/guc.h"
#include "pgtrickle/refresh.h"
#include "pgtrickle/scheduler.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	pgt_cdc_shmem_request();
	pgt_refresh_shmem_request();
	pgt_scheduler_shmem_request();
}

static void
start_shmem(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	pgt_cdc_shmem_startup();
	pgt_refresh_shmem_startup();
	pgt_scheduler_shmem_startup();
}

void
_PG_init(void)
{
	pgt_guc_define();
	pgt_cdc_init();
	pgt_refresh_init();

	if (!process_shared_preload_libraries_in_progress)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
	pgt_scheduler_register_launcher();
}
