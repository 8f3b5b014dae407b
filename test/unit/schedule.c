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
	MALFORMED("9999999w");
	MALFORMED("99999999999999999999999999");
	MALFORMED("99999999999999999999999999w");

	/* at once */
	UNIT_CHECK(is_duration("0s", 0));
	UNIT_CHECK(is_duration("0", 0));

#define IS_CRON(text) \
	UNIT_CHECK(pgt_schedule_parse(text).kind == PGT_SCHEDULE_CRON && \
			   pgt_schedule_read(text).kind == PGT_SCHEDULE_CRON)
	IS_CRON("*/5 * * * *");
	IS_CRON("0 0 1 1 *");
	IS_CRON("30 */5 * * * MON-FRI");
	IS_CRON("@hourly");
	IS_CRON("TZ=Asia/Tokyo 0 3 * * *");
	MALFORMED("*/5 * * *");
	MALFORMED("61 * * * *");
	MALFORMED("@never");
	MALFORMED("TZ=Nowhere 0 3 * * *");
	MALFORMED("0 0 30 2 *");

	pgt_min_schedule_seconds = 60;
	UNIT_CHECK_ERROR(pgt_schedule_parse("59s"), ERRCODE_INVALID_PARAMETER_VALUE);
	UNIT_CHECK(is_duration("1m", 60));
	UNIT_CHECK(pgt_schedule_read("5s").seconds == 60);
	MALFORMED("0s");
	UNIT_CHECK(pgt_schedule_read("0s").seconds == 60);
	MALFORMED("*/30 * * * * *");
	IS_CRON("* * * * *");
	pgt_min_schedule_seconds = 1;
	UNIT_CHECK(pgt_schedule_read("5s").seconds == 5);
	UNIT_CHECK(pgt_schedule_read("0s").seconds == 0);
	UNIT_CHECK(pgt_schedule_read(NULL).kind == PGT_SCHEDULE_MANUAL);
	UNIT_CHECK(pgt_schedule_read("calculated").kind == PGT_SCHEDULE_CALCULATED);
	UNIT_CHECK(pgt_schedule_read("no longer understood").kind == PGT_SCHEDULE_MANUAL);
}
