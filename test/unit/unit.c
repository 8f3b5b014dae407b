/*-------------------------------------------------------------------------
 *
 * unit.c
 *	  What unit tests have in common; see unit.h. Not a test itself.
 *
 * IDENTIFICATION
 *	  test/unit/unit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "unit.h"

PG_MODULE_MAGIC;

int			unit_failures = 0;

void
unit_fail(const char *file, int line, const char *what)
{
	unit_failures++;
	elog(WARNING, "%s:%d: failed: %s", file, line, what);
}
