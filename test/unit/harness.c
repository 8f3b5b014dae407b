/*-------------------------------------------------------------------------
 *
 * harness.c
 *	  The checks of unit.h themselves.
 *
 * IDENTIFICATION
 *	  test/unit/harness.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "unit.h"

UNIT_TEST(harness)
{
	List	   *list = list_make2_int(1, 2);

	UNIT_CHECK(list_length(list) == 2);
	UNIT_CHECK_ERROR(elog(ERROR, "no"), ERRCODE_INTERNAL_ERROR);
	UNIT_CHECK_ERROR(ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("no"))),
					 ERRCODE_DIVISION_BY_ZERO);
	UNIT_CHECK(unit_failures == 0);
}
