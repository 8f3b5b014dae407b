/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Unit test of the schedule parser.
 *
 * IDENTIFICATION
 *	  test/unit/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtrickle/guc.h"
#include "pgtrickle/scheduler.h"

#include "unit.h"

static bool
is_duration(const char *text, int64 seconds)
{
	Schedule	s = pgt_schedule_parse(text);

	return s.kind == PGT_SCHEDULE_DURATION && s.seconds == seconds &&
		pgt_schedule_parse_duration(text) == seconds;
}

UNIT_TEST(schedule)
{
	UNIT_CHECK(is_duration("30s", 30));
	UNIT_CHECK(is_duration("30", 30));
	UNIT_CHECK(is_duration("1h30m", 5400));
	UNIT_CHECK(is_duration(" 1 h 30 m ", 5400));
	UNIT_CHECK(is_duration("30m1h", 5400));
	UNIT_CHECK(is_duration("1w2d3h4m5s", 7 * 86400 + 2 * 86400 + 3 * 3600 + 245));
	UNIT_CHECK(is_duration("5200w", INT64CONST(5200) * 7 * 86400));
	UNIT_CHECK(pgt_schedule_parse_duration("0s") == 0);

	UNIT_CHECK(pgt_schedule_parse(NULL).kind == PGT_SCHEDULE_MANUAL);
	UNIT_CHECK(pgt_schedule_parse("calculated").kind == PGT_SCHEDULE_CALCULATED);
	UNIT_CHECK(pgt_schedule_parse("CALCULATED").kind == PGT_SCHEDULE_CALCULATED);

#define MALFORMED(text) \
	UNIT_CHECK_ERROR(pgt_schedule_parse(text), ERRCODE_INVALID_PARAMETER_VALUE)
	MALFORMED("");
	MALFORMED("  ");
	MALFORMED("s");
	MALFORMED("-5s");
	MALFORMED("+5s");
	MALFORMED("1.5h");
	MALFORMED("1h30");
	MALFORMED("30 5");
	MALFORMED("1h1h");
	MALFORMED("1S");
	MALFORMED("5 seconds");
	MALFORMED("5s;");
	MALFORMED("soon");
	MALFORMED("1\302\265s");
	MALFORMED("0s");
	MALFORMED("0");
	MALFORMED("9999999w");
	MALFORMED("99999999999999999999999999");
	MALFORMED("99999999999999999999999999w");

#define CRON(text) \
	UNIT_CHECK_ERROR(pgt_schedule_parse(text), ERRCODE_FEATURE_NOT_SUPPORTED)
	CRON("*/5 * * * *");
	CRON("0 0 1 1 *");
	CRON("30 */5 * * * MON-FRI");
	CRON("@hourly");

	pgt_min_schedule_seconds = 60;
	UNIT_CHECK_ERROR(pgt_schedule_parse("59s"), ERRCODE_INVALID_PARAMETER_VALUE);
	UNIT_CHECK(is_duration("1m", 60));
	UNIT_CHECK(pgt_schedule_read("5s").seconds == 60);
	pgt_min_schedule_seconds = 1;
	UNIT_CHECK(pgt_schedule_read("5s").seconds == 5);
	UNIT_CHECK(pgt_schedule_read(NULL).kind == PGT_SCHEDULE_MANUAL);
	UNIT_CHECK(pgt_schedule_read("calculated").kind == PGT_SCHEDULE_CALCULATED);
	UNIT_CHECK(pgt_schedule_read("no longer understood").kind == PGT_SCHEDULE_MANUAL);
}
