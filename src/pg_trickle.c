/*-------------------------------------------------------------------------
 *
 * pg_trickle.c
 *	  Entry point of the extension library.
 *
 * IDENTIFICATION
 *	  src/pg_trickle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
}
