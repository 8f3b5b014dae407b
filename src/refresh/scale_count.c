/*-------------------------------------------------------------------------
 *
 * scale_count.c
 *	  Aggregate numeric_scale_count: the largest display scale of its inputs,
 *	  and how many of them have it.
 *
 * Its state and result is one int8, scale * 2^48 + number.  NULL, NaN and infinities have no scale
 * and are passed over.
 *
 * IDENTIFICATION
 *	  src/refresh/scale_count.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "apply_internal.h"

PG_FUNCTION_INFO_V1(pgt_numeric_scale_add);
PG_FUNCTION_INFO_V1(pgt_numeric_scale_combine);

#define COUNT_BITS 48

int
pgt_scale_of(bool isnull, Datum state)
{
	return isnull ? -1 : (int) (DatumGetInt64(state) >> COUNT_BITS);
}

int64
pgt_scale_count_of(bool isnull, Datum state)
{
	return isnull ? 0 : DatumGetInt64(state) & ((INT64CONST(1) << COUNT_BITS) - 1);
}

Datum
pgt_scale_state(int scale, int64 count)
{
	return Int64GetDatum(((int64) scale << COUNT_BITS) + count);
}

Datum
pgt_numeric_scale_add(PG_FUNCTION_ARGS)
{
	bool		isnull = PG_ARGISNULL(0);
	Datum		state = isnull ? (Datum) 0 : PG_GETARG_DATUM(0);

	if (!PG_ARGISNULL(1))
	{
		Numeric		value = PG_GETARG_NUMERIC(1);

		if (!numeric_is_nan(value) && !numeric_is_inf(value))
		{
			int			scale = DatumGetInt32(DirectFunctionCall1(numeric_scale,
																  NumericGetDatum(value)));
			int			old = pgt_scale_of(isnull, state);

			if (scale > old)
				state = pgt_scale_state(scale, 1);
			else if (scale == old)
				state = Int64GetDatum(DatumGetInt64(state) + 1);
			isnull = false;
		}
	}
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(state);
}

Datum
pgt_numeric_scale_combine(PG_FUNCTION_ARGS)
{
	int			a = pgt_scale_of(PG_ARGISNULL(0), PG_GETARG_DATUM(0));
	int			b = pgt_scale_of(PG_ARGISNULL(1), PG_GETARG_DATUM(1));

	if (a < 0 && b < 0)
		PG_RETURN_NULL();
	if (a != b)
		PG_RETURN_DATUM(a > b ? PG_GETARG_DATUM(0) : PG_GETARG_DATUM(1));
	PG_RETURN_DATUM(pgt_scale_state(a, pgt_scale_count_of(false, PG_GETARG_DATUM(0)) +
									pgt_scale_count_of(false, PG_GETARG_DATUM(1))));
}
