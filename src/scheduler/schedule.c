/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Schedules as users write them.
 *
 * A duration is a sequence of numbers with units w, d, h, m, s, each unit at
 * most once, blanks allowed between the parts ("1h30m", "90 s"); a number
 * alone means seconds.
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

/* Does it look like "@hourly" or five or six cron fields? */
static bool
looks_like_cron(const char *text)
{
	const char *p = skip_blanks(text);
	int			nfields = 0;

	if (*p == '@')
		return true;
	while (*p != '\0')
	{
		size_t		len = strcspn(p, " \t\n");

		if (strspn(p, "0123456789*/,-?LW#ABCDEFGHIJKMNOPRSTUVYabcdefghijklmnoprstuvy") < len)
			return false;
		nfields++;
		p = skip_blanks(p + len);
	}
	return nfields == 5 || nfields == 6;
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
		if (looks_like_cron(text))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cron schedules are not supported yet"),
					 errhint("Use a duration such as \"30s\" or \"1h30m\".")));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid schedule: \"%s\"", text),
				 errhint("Use a duration such as \"30s\" or \"1h30m\", \"calculated\", or NULL to refresh by hand.")));
	}
	else
	{
		schedule.kind = PGT_SCHEDULE_DURATION;
		schedule.seconds = pgt_schedule_parse_duration(text);
		if (schedule.seconds < pgt_min_schedule_seconds)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("schedule \"%s\" is too short", text),
					 errdetail("The shortest accepted interval is %d s (pg_trickle.min_schedule_seconds).",
							   pgt_min_schedule_seconds)));
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

	if (text == NULL)
		schedule.kind = PGT_SCHEDULE_MANUAL;
	else if (is_calculated(text))
		schedule.kind = PGT_SCHEDULE_CALCULATED;
	else if (scan_duration(text, &schedule.seconds) == DURATION_OK)
	{
		schedule.kind = PGT_SCHEDULE_DURATION;
		schedule.seconds = Max(schedule.seconds, pgt_min_schedule_seconds);
	}
	else
		schedule.kind = PGT_SCHEDULE_MANUAL;
	return schedule;
}
