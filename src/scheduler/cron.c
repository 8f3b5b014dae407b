/*-------------------------------------------------------------------------
 *
 * cron.c
 *	  Cron expressions.
 *
 *	[TZ=zone] [second] minute hour day-of-month month day-of-week
 *	[TZ=zone] @yearly | @annually | @monthly | @weekly | @daily | @midnight | @hourly
 *
 * A field is a list of "*", "?", a value, or a range "a-b", each with a step "/n" if
 * wanted; "a/n" is from a to the end.  Months and weekdays have names of three
 * letters; 0 and 7 are Sunday.  As in every cron, if both days are restricted (neither
 * begins with "*" or "?"), either of them is enough.
 *
 * Time zone.  The fields are local time of the zone that the expression names,
 * else of the process: the scheduler's, that is timezone of the server
 * or database.  When clocks change:
 *
 *	hour begins with "*"	by elapsed time: what the clock skips does not
 *							come, what it repeats comes twice
 *	otherwise				what it skips comes when the gap is over, all of it as one;
 *							what it repeats comes the first time only
 *
 *	"30 2 * * *"	02:00 -> 03:00		comes at 03:00
 *	"30 2 * * *"	03:00 -> 02:00		comes at the first 02:30
 *	"0,30 * * * *"	03:00 -> 02:00		comes at 02:00 02:30 02:00 02:30 03:00
 *
 * How.  Between two changes of the clock, local time is UTC and a constant, and the
 * search is one for digits.  A search begins a day early, to know of a
 * change just past.
 *
 * IDENTIFICATION
 *	  src/scheduler/cron.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "port/pg_bitutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "pgtrickle/cron.h"

/* a 29th of February comes after eight years at the latest */
#define HORIZON_DAYS	(9 * 366)
#define NEVER			PG_INT64_MAX

typedef struct CronField
{
	const char *name;
	int			min;
	int			max;
	const char *const *names;	/* of min, min + 1, ...; NULL: none */
} CronField;

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL
};
static const char *const weekday_names[] = {
	"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL
};

enum
{
	CRON_SECOND, CRON_MINUTE, CRON_HOUR, CRON_DAY, CRON_MONTH, CRON_WEEKDAY, CRON_NFIELDS
};

static const CronField fields[CRON_NFIELDS] = {
	{"second", 0, 59, NULL},
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day of the month", 1, 31, NULL},
	{"month", 1, 12, month_names},
	{"day of the week", 0, 7, weekday_names}
};

static const struct
{
	const char *name;
	const char *meaning;
}			shorthands[] = {
	{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"}
};

#define BLANKS	" \t\n"

/* ---- parsing ---- */

/* A number or name at *p; false if there is none. */
static bool
scan_value(const CronField *field, const char **p, int *value)
{
	if (isdigit((unsigned char) **p))
	{
		*value = 0;
		for (; isdigit((unsigned char) **p); (*p)++)
			*value = Min(*value * 10 + (**p - '0'), 100000);
		return true;
	}
	for (int i = 0; field->names && field->names[i]; i++)
	{
		if (pg_strncasecmp(*p, field->names[i], 3) == 0 && !isalpha((unsigned char) (*p)[3]))
		{
			*p += 3;
			*value = field->min + i;
			return true;
		}
	}
	return false;
}

/* One element of a list; p is behind it afterwards. */
static bool
scan_element(const CronField *field, const char **p, uint64 *bits, char **reason)
{
	int			from = field->min;
	int			to = field->max;
	int			step = 1;

	if (**p == '*' || **p == '?')
	{
		(*p)++;
		if (field->names == weekday_names)
			to = 6;
	}
	else if (!scan_value(field, p, &from))
		return false;
	else if (**p == '-')
	{
		(*p)++;
		if (!scan_value(field, p, &to))
			return false;
		/* "fri-sun" and the like: Sunday is 7, too */
		if (field->names == weekday_names && to == 0 && from > 0)
			to = 7;
	}
	else if (**p != '/')
		to = from;
	if (**p == '/')
	{
		(*p)++;
		if (!isdigit((unsigned char) **p) || !scan_value(field, p, &step))
			return false;
		if (step < 1 || step > field->max)
		{
			*reason = psprintf("The step %d of the %s is not between 1 and %d.",
							   step, field->name, field->max);
			return true;
		}
	}
	if (from < field->min || from > field->max || to < field->min || to > field->max)
		*reason = psprintf("The %s must be between %d and %d.",
						   field->name, field->min, field->max);
	else if (from > to)
		*reason = psprintf("The range %d-%d of the %s is empty.", from, to, field->name);
	else
	{
		for (int i = from; i <= to; i += step)
			*bits |= UINT64CONST(1) << i;
	}
	return true;
}

static bool
parse_field(const CronField *field, const char *text, uint64 *bits, char **reason)
{
	const char *p = text;

	*bits = 0;
	*reason = NULL;
	for (;;)
	{
		if (!scan_element(field, &p, bits, reason) || (*p != ',' && *p != '\0'))
		{
			*reason = psprintf("\"%s\" is not understood as the %s.", text, field->name);
			return false;
		}
		if (*reason)
			return false;
		if (*p == '\0')
			return true;
		p++;
	}
}

/* Words separated by blanks; CRON_NFIELDS + 1 if there are too many. */
static int
split_words(char *text, char **words)
{
	int			n = 0;

	for (char *p = text; *p != '\0';)
	{
		size_t		len;

		p += strspn(p, BLANKS);
		len = strcspn(p, BLANKS);
		if (len == 0)
			break;
		if (n == CRON_NFIELDS)
			return CRON_NFIELDS + 1;
		words[n++] = p;
		p += len;
		if (*p != '\0')
			*p++ = '\0';
	}
	return n;
}

/* Skips "TZ=zone"; false with the reason if there is no such zone. */
static bool
parse_zone(char **text, const pg_tz **zone, char **reason)
{
	char	   *name;
	pg_tz	   *tz;

	*zone = NULL;
	*text += strspn(*text, BLANKS);
	if (strncmp(*text, "TZ=", 3) != 0)
		return true;
	*text += 3;
	name = pnstrdup(*text, strcspn(*text, BLANKS));
	*text += strlen(name);
	tz = pg_tzset(name);
	*zone = tz;
	if (tz != NULL && pg_tz_acceptable(tz))
		return true;
	*reason = psprintf("There is no time zone \"%s\".", name);
	return false;
}

static bool
begins_with_star(const char *word)
{
	return *word == '*' || *word == '?';
}

/* Without names of zones, so that durations with blanks in between are none. */
bool
pgt_cron_is_meant(const char *text)
{
	char	   *words[CRON_NFIELDS];
	int			n;

	text += strspn(text, BLANKS);
	if (*text == '@' || strncmp(text, "TZ=", 3) == 0)
		return true;
	n = split_words(pstrdup(text), words);
	return n == 5 || n == 6;
}

static int64 next_local(const CronSchedule *cron, int64 from);

bool
pgt_cron_parse(const char *text, CronSchedule *cron, char **reason)
{
	char	   *rest = pstrdup(text);
	char	   *words[CRON_NFIELDS];
	uint64		bits[CRON_NFIELDS];
	int			n;
	int			first;

	memset(cron, 0, sizeof(CronSchedule));
	*reason = NULL;
	if (!parse_zone(&rest, &cron->zone, reason))
		return false;
	n = split_words(rest, words);
	if (n == 1 && words[0][0] == '@')
	{
		for (int i = 0; i < lengthof(shorthands); i++)
		{
			if (pg_strcasecmp(words[0], shorthands[i].name) == 0)
				n = split_words(pstrdup(shorthands[i].meaning), words);
		}
		if (n == 1)
		{
			*reason = psprintf("\"%s\" is not known.", words[0]);
			return false;
		}
	}
	if (n != 5 && n != 6)
	{
		*reason = pstrdup("A cron expression has five fields, or six with leading seconds.");
		return false;
	}

	first = CRON_NFIELDS - n;
	bits[CRON_SECOND] = 1;
	for (int i = first; i < CRON_NFIELDS; i++)
	{
		if (!parse_field(&fields[i], words[i - first], &bits[i], reason))
			return false;
	}
	cron->seconds = bits[CRON_SECOND];
	cron->minutes = bits[CRON_MINUTE];
	cron->hours = (uint32) bits[CRON_HOUR];
	cron->days = (uint32) bits[CRON_DAY];
	cron->months = (uint16) bits[CRON_MONTH];
	cron->weekdays = (uint8) ((bits[CRON_WEEKDAY] | (bits[CRON_WEEKDAY] >> 7)) & 0x7f);
	cron->every_hour = begins_with_star(words[CRON_HOUR - first]);
	cron->every_day = begins_with_star(words[CRON_DAY - first]);
	cron->every_weekday = begins_with_star(words[CRON_WEEKDAY - first]);
	if (next_local(cron, 0) == NEVER)
	{
		*reason = pstrdup("There is no such day in any year.");
		return false;
	}
	return true;
}

/* ---- local time, in seconds since 1970 ---- */

static bool
day_matches(const CronSchedule *cron, int julian)
{
	int			year,
				month,
				day;
	bool		by_day;
	bool		by_weekday;

	j2date(julian, &year, &month, &day);
	if ((cron->months & (1 << month)) == 0)
		return false;
	by_day = (cron->days & (UINT32_C(1) << day)) != 0;
	by_weekday = (cron->weekdays & (1 << j2day(julian))) != 0;
	if (cron->every_day || cron->every_weekday)
		return by_day && by_weekday;
	return by_day || by_weekday;
}

/* The smallest member not below from; -1 if there is none. */
static int
next_bit(uint64 bits, int from)
{
	for (int i = from; i < 64; i++)
		if (bits & (UINT64CONST(1) << i))
			return i;
	return -1;
}

/* The first time of a day not before that second of it; -1 if there is none. */
static int
next_in_day(const CronSchedule *cron, int from)
{
	for (int hour = next_bit(cron->hours, from / 3600); hour >= 0;
		 hour = next_bit(cron->hours, hour + 1))
	{
		int			left = Max(from - hour * 3600, 0);

		for (int minute = next_bit(cron->minutes, left / 60); minute >= 0;
			 minute = next_bit(cron->minutes, minute + 1))
		{
			int			second = next_bit(cron->seconds, Max(left - minute * 60, 0));

			if (second >= 0)
				return hour * 3600 + minute * 60 + second;
		}
	}
	return -1;
}

/* The first local time not before from; NEVER if there is none for years. */
static int64
next_local(const CronSchedule *cron, int64 from)
{
	int64		day = from / SECS_PER_DAY;
	int			second;

	if (from < day * SECS_PER_DAY)
		day--;					/* before 1970 */
	second = (int) (from - day * SECS_PER_DAY);
	for (int i = 0; i <= HORIZON_DAYS; i++, day++, second = 0)
	{
		int			found;

		if (!day_matches(cron, (int) (day + UNIX_EPOCH_JDATE)))
			continue;
		found = next_in_day(cron, second);
		if (found >= 0)
			return day * SECS_PER_DAY + found;
	}
	return NEVER;
}

/*
 * Distances of consecutive members, "unit" seconds each, of which each is a
 * while of "length" seconds.
 */
static void
note_gaps(uint64 bits, int64 unit, int64 length, int64 *shortest, int64 *longest)
{
	int			last = next_bit(bits, 0);

	for (int i = next_bit(bits, last + 1); i >= 0; last = i, i = next_bit(bits, i + 1))
	{
		*shortest = Min(*shortest, (i - last) * unit - length);
		*longest = Max(*longest, (i - last) * unit - length);
	}
}

static int
width(uint64 bits)
{
	return pg_leftmost_one_pos64(bits) - pg_rightmost_one_pos64(bits);
}

/*
 * The shortest and the longest time between two times in a row, in seconds, of
 * a year; or of as many years as it takes to see two.
 */
void
pgt_cron_gaps(const CronSchedule *cron, int64 *shortest, int64 *longest)
{
	int64		length = 0;
	int			last = -1;

	*shortest = NEVER;
	*longest = 0;
	note_gaps(cron->seconds, 1, length, shortest, longest);
	length += width(cron->seconds);
	note_gaps(cron->minutes, SECS_PER_MINUTE, length, shortest, longest);
	length += width(cron->minutes) * SECS_PER_MINUTE;
	note_gaps(cron->hours, SECS_PER_HOUR, length, shortest, longest);
	length += width(cron->hours) * SECS_PER_HOUR;
	for (int day = 0; day <= HORIZON_DAYS && (day <= 366 || *longest == 0); day++)
	{
		if (!day_matches(cron, day + UNIX_EPOCH_JDATE))
			continue;
		if (last >= 0)
			note_gaps(UINT64CONST(1) | UINT64CONST(1) << 1,
					  (int64) (day - last) * SECS_PER_DAY, length, shortest, longest);
		last = day;
	}
}

/* ---- time zones ---- */

/*
 * First time within (after, boundary], given that local time is UTC + offset
 * from "begin" to the boundary, and from where on local times are new: up
 * to there the clock has shown them before.
 */
static int64
next_in_segment(const CronSchedule *cron, int64 after, int64 begin, int64 boundary,
				int64 offset, int64 seen_until)
{
	int64		from = Max(after + 1, begin) + offset;
	int64		local;

	if (!cron->every_hour)
		from = Max(from, seen_until);
	local = next_local(cron, from);
	if (local == NEVER || local - offset >= boundary)
		return NEVER;
	return local - offset;
}

/* Both in seconds since 1970, UTC. */
static int64
next_time(const CronSchedule *cron, int64 after)
{
	const pg_tz *zone = cron->zone ? cron->zone : session_timezone;
	int64		last = after + (int64) HORIZON_DAYS * SECS_PER_DAY;
	int64		seen_until = PG_INT64_MIN;	/* local */
	int64		begin = after - SECS_PER_DAY;

	while (begin < last)
	{
		pg_time_t	time = begin;
		pg_time_t	boundary;
		long		before;
		long		behind;
		int			isdst;
		int			more = pg_next_dst_boundary(&time, &before, &isdst, &boundary, &behind,
												&isdst, zone);
		int64		found;

		if (more < 0)
			return NEVER;		/* out of the range of time zones */
		if (more == 0)
			return next_in_segment(cron, after, begin, NEVER, before, seen_until);
		found = next_in_segment(cron, after, begin, boundary, before, seen_until);
		if (found != NEVER)
			return found;
		if (!cron->every_hour && behind > before && boundary > after &&
			next_local(cron, Max(boundary + before, seen_until)) < boundary + behind)
			return boundary;	/* the clock skips some */
		seen_until = Max(seen_until, boundary + before);
		begin = boundary;
	}
	return NEVER;
}

TimestampTz
pgt_cron_next(const CronSchedule *cron, TimestampTz after)
{
	const int64 epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
	int64		seconds = after / USECS_PER_SEC;
	int64		next;

	if (TIMESTAMP_NOT_FINITE(after))
		return DT_NOEND;
	if (after < seconds * USECS_PER_SEC)
		seconds--;
	next = next_time(cron, seconds + epoch);
	return next == NEVER ? DT_NOEND : (next - epoch) * USECS_PER_SEC;
}
