/*-------------------------------------------------------------------------
 *
 * cron.c
 *	  Unit test of cron expressions.
 *
 * IDENTIFICATION
 *	  test/unit/cron.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "pgtrickle/cron.h"

#include "unit.h"

static TimestampTz
time_of(const char *text)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
}

/* The times after the first one are those that follow in the list. */
static bool
comes_at(const char *expression, const char *const *times)
{
	CronSchedule cron;
	char	   *reason;

	if (!pgt_cron_parse(expression, &cron, &reason))
	{
		elog(WARNING, "%s: %s", expression, reason);
		return false;
	}
	for (; times[1]; times++)
	{
		TimestampTz next = pgt_cron_next(&cron, time_of(times[0]));

		if (next != time_of(times[1]))
		{
			elog(WARNING, "\"%s\" after %s: %s instead of %s", expression, times[0],
				 next == DT_NOEND ? "never" : timestamptz_to_str(next), times[1]);
			return false;
		}
	}
	return true;
}

#define COMES(expression, ...) \
	UNIT_CHECK(comes_at(expression, (const char *const []) {__VA_ARGS__, NULL}))

static bool
is_refused(const char *expression)
{
	CronSchedule cron;
	char	   *reason = NULL;

	return !pgt_cron_parse(expression, &cron, &reason) && reason != NULL;
}

#define REFUSED(expression) UNIT_CHECK(is_refused(expression))

static void
check_fields(void)
{
	COMES("* * * * *", "2024-05-05 12:00:00Z", "2024-05-05 12:01:00Z", "2024-05-05 12:02:00Z");
	COMES("* * * * *", "2024-05-05 12:00:59.5Z", "2024-05-05 12:01:00Z");
	COMES("* * * * *", "1999-12-31 23:59:30.5Z", "2000-01-01 00:00:00Z");
	COMES("*/15 * * * *", "2024-05-05 12:50Z", "2024-05-05 13:00Z", "2024-05-05 13:15Z");
	COMES("5/20 * * * *", "2024-05-05 12:00Z", "2024-05-05 12:05Z", "2024-05-05 12:25Z",
		  "2024-05-05 12:45Z", "2024-05-05 13:05Z");
	COMES("10-12,50 8-9 * * *", "2024-05-05 09:11Z", "2024-05-05 09:12Z", "2024-05-05 09:50Z",
		  "2024-05-06 08:10Z");
	COMES("30 */10 * * * *", "2024-05-05 12:00:00Z", "2024-05-05 12:00:30Z",
		  "2024-05-05 12:10:30Z");
	COMES("*/20 59 23 31 12 *", "2024-01-01 00:00Z", "2024-12-31 23:59:00Z",
		  "2024-12-31 23:59:20Z", "2024-12-31 23:59:40Z", "2025-12-31 23:59:00Z");
	COMES("  0\t3 * * *  ", "2024-05-05 12:00Z", "2024-05-06 03:00Z");
	/* names, in any case; both numbers of Sunday; ranges that end on it */
	COMES("0 0 * JAN,jul Mon", "2024-05-05 00:00Z", "2024-07-01 00:00Z", "2024-07-08 00:00Z");
	COMES("0 0 * * 0", "2024-05-05 00:00Z", "2024-05-12 00:00Z");
	COMES("0 0 * * 7", "2024-05-05 00:00Z", "2024-05-12 00:00Z");
	COMES("0 0 ? * sat-sun", "2024-05-05 00:00Z", "2024-05-11 00:00Z", "2024-05-12 00:00Z");
	COMES("0 0 * * 5-7", "2024-05-05 00:00Z", "2024-05-10 00:00Z");
	COMES("0 0 * * */2", "2024-05-05 00:00Z", "2024-05-07 00:00Z", "2024-05-09 00:00Z",
		  "2024-05-11 00:00Z", "2024-05-12 00:00Z");
	COMES("@hourly", "2024-05-05 12:00Z", "2024-05-05 13:00Z");
	COMES("@daily", "2024-05-05 12:00Z", "2024-05-06 00:00Z");
	COMES("@midnight", "2024-05-05 12:00Z", "2024-05-06 00:00Z");
	COMES("@weekly", "2024-05-05 12:00Z", "2024-05-12 00:00Z");
	COMES("@monthly", "2024-05-05 12:00Z", "2024-06-01 00:00Z");
	COMES("@YEARLY", "2024-05-05 12:00Z", "2025-01-01 00:00Z");
	COMES("@annually", "2024-05-05 12:00Z", "2025-01-01 00:00Z");
}

static void
check_days(void)
{
	/* ends of months, leap years and centuries */
	COMES("0 0 31 * *", "2024-01-31 00:00Z", "2024-03-31 00:00Z", "2024-05-31 00:00Z",
		  "2024-07-31 00:00Z", "2024-08-31 00:00Z");
	COMES("0 0 30 * *", "2023-01-30 00:00Z", "2023-03-30 00:00Z");
	COMES("0 0 29 2 *", "2023-03-01 00:00Z", "2024-02-29 00:00Z", "2028-02-29 00:00Z");
	COMES("0 0 29 2 *", "2096-02-29 00:00Z", "2104-02-29 00:00Z");
	COMES("0 0 29 * *", "2023-01-29 00:00Z", "2023-03-29 00:00Z");
	/* both days restricted: either; one begins with a star: both */
	COMES("0 0 13 * 5", "2024-05-01 00:00Z", "2024-05-03 00:00Z", "2024-05-10 00:00Z",
		  "2024-05-13 00:00Z", "2024-05-17 00:00Z");
	COMES("0 0 */10 * 1", "2024-05-01 00:00Z", "2024-07-01 00:00Z");
	COMES("0 0 1 * */2", "2024-05-01 00:00Z", "2024-06-01 00:00Z", "2024-08-01 00:00Z");
	/* the 30th of February never comes, but a Monday in February does */
	REFUSED("0 0 30 2 *");
	REFUSED("0 0 31 4,6,9,11 *");
	COMES("0 0 30 2 1", "2024-05-01 00:00Z", "2025-02-03 00:00Z");
}

/* Berlin: 2024-03-31 02:00 -> 03:00, 2024-10-27 03:00 -> 02:00 */
static void
check_clock_changes(void)
{
	COMES("30 2 * * *", "2024-03-30 02:30+01", "2024-03-31 03:00+02", "2024-04-01 02:30+02");
	COMES("0,30 2 * * *", "2024-03-30 02:30+01", "2024-03-31 03:00+02", "2024-04-01 02:00+02");
	COMES("0 3 * * *", "2024-03-30 03:00+01", "2024-03-31 03:00+02", "2024-04-01 03:00+02");
	COMES("0 2,3 * * *", "2024-03-30 03:00+01", "2024-03-31 03:00+02", "2024-04-01 02:00+02");
	COMES("30 1,3 * * *", "2024-03-31 01:30+01", "2024-03-31 03:30+02");
	COMES("30 * * * *", "2024-03-31 01:30+01", "2024-03-31 03:30+02", "2024-03-31 04:30+02");

	COMES("30 2 * * *", "2024-10-26 02:30+02", "2024-10-27 02:30+02", "2024-10-28 02:30+01");
	COMES("30 2 * * *", "2024-10-27 02:10+01", "2024-10-28 02:30+01");
	COMES("*/30 2-3 * * *", "2024-10-27 02:30+02", "2024-10-27 03:00+01", "2024-10-27 03:30+01");
	COMES("0,30 * * * *", "2024-10-27 02:00+02", "2024-10-27 02:30+02", "2024-10-27 02:00+01",
		  "2024-10-27 02:30+01", "2024-10-27 03:00+01");
	/* seconds go on through the change */
	COMES("* * * * * *", "2024-10-27 02:59:59+02", "2024-10-27 02:00:00+01");
	COMES("* * * * * *", "2024-03-31 01:59:59+01", "2024-03-31 03:00:00+02");

	/* a day that was not: Apia left out 2011-12-30; half an hour: Lord Howe */
	COMES("TZ=Pacific/Apia 0 12 30 12 *", "2011-12-01 00:00Z", "2011-12-31 00:00+14",
		  "2012-12-30 12:00+14");
	COMES("TZ=Australia/Lord_Howe 15 2 * * *", "2024-10-05 02:15+10:30", "2024-10-06 02:30+11",
		  "2024-10-07 02:15+11");
	COMES("TZ=Australia/Lord_Howe 45 1 * * *", "2024-04-06 01:45+11", "2024-04-07 01:45+11",
		  "2024-04-08 01:45+10:30");

	/* the expression's zone, not ours */
	COMES("TZ=UTC 30 2 * * *", "2024-03-30 02:30Z", "2024-03-31 02:30Z");
	COMES(" TZ=America/New_York @daily", "2024-07-04 12:00Z", "2024-07-05 04:00Z");
	REFUSED("TZ=Nowhere/Atall 0 0 * * *");
	REFUSED("TZ=UTC");
	REFUSED("TZ= 0 0 * * *");
}

/*
 * From minute to minute through both changes of a year: a "*" for the hour comes
 * whenever the minute fits; nothing comes twice, or goes back.
 */
static void
check_walk(void)
{
	CronSchedule cron;
	char	   *reason;
	TimestampTz now = time_of("2024-03-30 00:00Z");
	TimestampTz end = time_of("2024-10-29 00:00Z");
	bool		good = true;
	int			n = 0;

	UNIT_CHECK(pgt_cron_parse("*/20 * * * *", &cron, &reason));
	for (; now < end; n++)
	{
		TimestampTz next = pgt_cron_next(&cron, now);

		good &= next == now + 20 * USECS_PER_MINUTE;
		if (!good)
			break;
		now = next;
	}
	UNIT_CHECK(good && n == 213 * 72);
}

static bool
has_gaps(const char *expression, int64 shortest, int64 longest)
{
	CronSchedule cron;
	char	   *reason;
	int64		got_shortest;
	int64		got_longest;

	if (!pgt_cron_parse(expression, &cron, &reason))
		return false;
	pgt_cron_gaps(&cron, &got_shortest, &got_longest);
	if (got_shortest != shortest || got_longest != longest)
		elog(WARNING, "\"%s\": gaps " INT64_FORMAT ", " INT64_FORMAT, expression,
			 got_shortest, got_longest);
	return got_shortest == shortest && got_longest == longest;
}

#define GAPS(expression, shortest, longest) UNIT_CHECK(has_gaps(expression, shortest, longest))

UNIT_TEST(cron)
{
	CronSchedule cron;
	char	   *reason;
	char	   *zone = pstrdup(GetConfigOption("timezone", false, false));

	SetConfigOption("timezone", "UTC", PGC_USERSET, PGC_S_SESSION);
	check_fields();
	check_days();
	SetConfigOption("timezone", "Europe/Berlin", PGC_USERSET, PGC_S_SESSION);
	check_clock_changes();
	check_walk();
	SetConfigOption("timezone", zone, PGC_USERSET, PGC_S_SESSION);

	REFUSED("");
	REFUSED("* * * *");
	REFUSED("* * * * * * *");
	REFUSED("60 * * * *");
	REFUSED("* 24 * * *");
	REFUSED("* * 0 * *");
	REFUSED("* * 32 * *");
	REFUSED("* * * 0 *");
	REFUSED("* * * 13 *");
	REFUSED("* * * * 8");
	REFUSED("60 0 0 * * *");
	REFUSED("*/0 * * * *");
	REFUSED("*/60 * * * *");
	REFUSED("5-1 * * * *");
	REFUSED("1,, * * * *");
	REFUSED(", * * * *");
	REFUSED("1- * * * *");
	REFUSED("-1 * * * *");
	REFUSED("1.5 * * * *");
	REFUSED("* * L * *");
	REFUSED("* * * * 5#2");
	REFUSED("* * * january *");
	REFUSED("mon * * * *");
	REFUSED("99999999999999999999 * * * *");
	REFUSED("@reboot");
	REFUSED("@");
	REFUSED("@hourly @daily");

	GAPS("0,1 0 * * *", 60, 86400 - 60);
	GAPS("* * * * * *", 1, 1);
	GAPS("*/7 * * * * *", 4, 7);
	GAPS("0,59 0,23 1,31 1,12 *", 60, 303 * 86400 + 60);
	GAPS("*/5 8-17 * * mon-fri", 300, 2 * 86400 + 14 * 3600 + 300);
	GAPS("@daily", 86400, 86400);
	GAPS("0 0 29 2 *", 1461 * 86400, 1461 * 86400);
	UNIT_CHECK(pgt_cron_parse("@daily", &cron, &reason));
	UNIT_CHECK(pgt_cron_next(&cron, DT_NOEND) == DT_NOEND);
}
