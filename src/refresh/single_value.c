/*-------------------------------------------------------------------------
 *
 * single_value.c
 *	  Functions of scalar subqueries that may give more than one row.
 *
 * IDENTIFICATION
 *	  src/refresh/single_value.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_FUNCTION_INFO_V1(pgt_single_value_keep);
PG_FUNCTION_INFO_V1(pgt_more_than_one_row);

/* Transition of single_value(): the first value that is not NULL. */
Datum
pgt_single_value_keep(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* The server's own error; the argument gives the type. */
Datum
pgt_more_than_one_row(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("more than one row returned by a subquery used as an expression")));
	PG_RETURN_NULL();
}
