/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  Unit tests in C.
 *
 * test/unit/NAME.c tests plain functions of the extension, mostly those of
 * the modules that are data in and data out. All test files and the
 * extension's objects except src/pg_trickle.o make one library of their own,
 * pg_trickle_unit.so, which a backend loads: palloc, lists and ereport work as
 * usual. It has its own copy of the extension's variables: settings have their
 * initial values in C, and shared memory is not there.
 *
 * A test file holds one test, which "make test UNIT=NAME" runs:
 *
 *		#include "postgres.h"
 *		#include "unit.h"
 *
 *		UNIT_TEST(NAME)
 *		{
 *			UNIT_CHECK(1 + 1 == 2);
 *			UNIT_CHECK_ERROR(elog(ERROR, "no"), ERRCODE_INTERNAL_ERROR);
 *		}
 *
 * IDENTIFICATION
 *	  test/unit/unit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGT_UNIT_H
#define PGT_UNIT_H

#include "fmgr.h"

/* failed checks of the running test */
extern int	unit_failures;

/* Define SQL function unit_NAME, which returns the number of failed checks. */
#define UNIT_TEST(name) \
	PG_FUNCTION_INFO_V1(unit_##name); \
	static void unit_body_##name(void); \
	Datum \
	unit_##name(PG_FUNCTION_ARGS) \
	{ \
		unit_failures = 0; \
		unit_body_##name(); \
		PG_RETURN_INT32(unit_failures); \
	} \
	static void \
	unit_body_##name(void)

/* Report an expression that is not true, and go on. */
#define UNIT_CHECK(expr) \
	do { \
		if (!(expr)) \
			unit_fail(__FILE__, __LINE__, #expr); \
	} while (0)

/*
 * Check that a statement raises an error with this SQLSTATE. Fine for code
 * that leaves nothing to clean up but memory.
 */
#define UNIT_CHECK_ERROR(stmt, sqlstate) \
	do { \
		MemoryContext unit_cxt = CurrentMemoryContext; \
		volatile int unit_got = 0; \
		PG_TRY(); \
		{ \
			stmt; \
		} \
		PG_CATCH(); \
		{ \
			MemoryContextSwitchTo(unit_cxt); \
			unit_got = geterrcode(); \
			FlushErrorState(); \
		} \
		PG_END_TRY(); \
		if (unit_got != (sqlstate)) \
			unit_fail(__FILE__, __LINE__, #stmt " raises " #sqlstate); \
	} while (0)

extern void unit_fail(const char *file, int line, const char *what);

#endif							/* PGT_UNIT_H */
