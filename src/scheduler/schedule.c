/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Schedules as users write them.
 *
 * A duration is a sequence of numbers with units w, d, h, m, s, each unit at
 * most once, blanks allowed between the parts ("1h30m", "90 s"); a number
 * alone means seconds.  '0s' means at once: whenever something was committed.
 * Other durations must not be below min_schedule_seconds, nor cron expressions (cron.c)
 * name times closer together; who raises that setting does not want
 * refreshes at once either.
 *
 * IDENTIFICATION
 *	  src/scheduler/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/int.h"

#include "pgtrickle/guc.h"
#include "pgtrickle/scheduler.h"

/* Durations are added to timestamps, so they stay far below their range. */
#define DURATION_MAX	((int64) 100 * 366 * 86400)

typedef enum DurationError
{
	DURATION_OK,
	DURATION_MALFORMED,
	DURATION_TOO_LONG
} DurationError;

static const struct
{
	char		unit;
	int64		seconds;
}			units[] = {
	{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}
};

static const char *
skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n')
		p++;
	return p;
}

/* Reads digits; false if there are none.  Too large numbers saturate. */
static bool
scan_number(const char **p, int64 *number)
{
	if (!isdigit((unsigned char) **p))
		return false;
	*number = 0;
	while (isdigit((unsigned char) **p))
	{
		if (*number <= DURATION_MAX)
			*number = *number * 10 + (**p - '0');
		(*p)++;
	}
	return true;
}

static DurationError
scan_duration(const char *text, int64 *seconds)
{
	const char *p = skip_blanks(text);
	int			units_seen = 0;
	int64		number;

	*seconds = 0;
	do
	{
		int			i;
		int64		part;

		if (!scan_number(&p, &number))
			return DURATION_MALFORMED;
		p = skip_blanks(p);
		if (*p == '\0' && units_seen == 0)
			i = 0;				/* a bare number */
		else
		{
			for (i = 0; i < lengthof(units); i++)
				if (units[i].unit == *p)
					break;
			if (i == lengthof(units) || (units_seen & (1 << i)) != 0)
				return DURATION_MALFORMED;
			units_seen |= 1 << i;
			p = skip_blanks(p + 1);
		}
		if (pg_mul_s64_overflow(number, units[i].seconds, &part) ||
			pg_add_s64_overflow(*seconds, part, seconds))
			*seconds = DURATION_MAX + 1;
		*seconds = Min(*seconds, DURATION_MAX + 1);
	} while (*p != '\0');

	return *seconds > DURATION_MAX ? DURATION_TOO_LONG : DURATION_OK;
}

static bool
is_calculated(const char *text)
{
	return pg_strcasecmp(text, "calculated") == 0;
}

int64
pgt_schedule_parse_duration(const char *text)
{
	int64		seconds;
	DurationError error = scan_duration(text, &seconds);

	if (error == DURATION_TOO_LONG)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("duration \"%s\" is too long", text)));
	if (error == DURATION_MALFORMED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid duration: \"%s\"", text),
				 errhint("Write numbers with the units s, m, h, d and w, such as \"30s\" or \"1h30m\"; a number alone means seconds.")));
	return seconds;
}

static void
refuse_too_short(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("schedule \"%s\" is too short", text),
			 errdetail("The shortest accepted interval is %d s (pg_trickle.min_schedule_seconds).",
					   pgt_min_schedule_seconds)));
}

static void
parse_cron(const char *text, Schedule *schedule)
{
	char	   *reason;
	int64		shortest;
	int64		longest;

	schedule->kind = PGT_SCHEDULE_CRON;
	if (!pgt_cron_parse(text, &schedule->cron, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cron schedule: \"%s\"", text),
				 errdetail_internal("%s", reason),
				 errhint("The fields are minute, hour, day of the month, month and day of the week, such as \"*/5 8-18 * * mon-fri\"; seconds may come first, and \"TZ=zone\" before all.")));
	pgt_cron_gaps(&schedule->cron, &shortest, &longest);
	if (shortest < pgt_min_schedule_seconds)
		refuse_too_short(text);
}

/* For a schedule that a user gives now; text may be NULL. */
Schedule
pgt_schedule_parse(const char *text)
{
	Schedule	schedule = {0};

	if (text == NULL)
		schedule.kind = PGT_SCHEDULE_MANUAL;
	else if (is_calculated(text))
		schedule.kind = PGT_SCHEDULE_CALCULATED;
	else if (scan_duration(text, &schedule.seconds) == DURATION_MALFORMED)
	{
		if (!pgt_cron_is_meant(text))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid schedule: \"%s\"", text),
					 errhint("Use a duration such as \"30s\" or \"1h30m\", a cron expression such as \"0 3 * * *\", \"calculated\", or NULL to refresh by hand.")));
		schedule.seconds = 0;
		parse_cron(text, &schedule);
	}
	else
	{
		schedule.kind = PGT_SCHEDULE_DURATION;
		schedule.seconds = pgt_schedule_parse_duration(text);
		if (schedule.seconds < pgt_min_schedule_seconds &&
			(schedule.seconds > 0 || pgt_min_schedule_seconds > 1))
			refuse_too_short(text);
	}
	return schedule;
}

/*
 * For a schedule that was accepted once: no error.  What is shorter than
 * today's minimum is lengthened to it; what cannot be read any more is MANUAL.
 */
Schedule
pgt_schedule_read(const char *text)
{
	Schedule	schedule = {0};
	DurationError error;
	char	   *reason;

	if (text == NULL)
		schedule.kind = PGT_SCHEDULE_MANUAL;
	else if (is_calculated(text))
		schedule.kind = PGT_SCHEDULE_CALCULATED;
	else if ((error = scan_duration(text, &schedule.seconds)) == DURATION_OK)
	{
		schedule.kind = PGT_SCHEDULE_DURATION;
		if (schedule.seconds > 0 || pgt_min_schedule_seconds > 1)
			schedule.seconds = Max(schedule.seconds, pgt_min_schedule_seconds);
	}
	else if (error == DURATION_MALFORMED && pgt_cron_parse(text, &schedule.cron, &reason))
	{
		schedule.kind = PGT_SCHEDULE_CRON;
		schedule.seconds = 0;
	}
	else
		schedule.kind = PGT_SCHEDULE_MANUAL;
	return schedule;
}
