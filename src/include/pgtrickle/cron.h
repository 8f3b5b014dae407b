/*-------------------------------------------------------------------------
 *
 * cron.h
 *	  Cron expressions: parsing, and the next time that one names.
 *
 * IDENTIFICATION
 *	  src/include/pgtrickle/cron.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTRICKLE_CRON_H
#define PGTRICKLE_CRON_H

#include "datatype/timestamp.h"
#include "pgtime.h"

typedef struct CronSchedule
{
	uint64		seconds;		/* bit n: second n */
	uint64		minutes;
	uint32		hours;
	uint32		days;			/* bits 1 .. 31 */
	uint16		months;			/* bits 1 .. 12 */
	uint8		weekdays;		/* bit 0: Sunday */
	bool		every_hour;		/* the hour begins with "*": goes by elapsed time */
	bool		every_day;		/* the day of the month begins with "*" */
	bool		every_weekday;
	const pg_tz *zone;			/* NULL: the session's */
} CronSchedule;

/* Does the text look as if a cron expression were meant? */
extern bool pgt_cron_is_meant(const char *text);
/* False with the reason, a sentence, if it is malformed or can never come. */
extern bool pgt_cron_parse(const char *text, CronSchedule *cron, char **reason);
/* The first time after "after"; DT_NOEND if there is none for many years. */
extern TimestampTz pgt_cron_next(const CronSchedule *cron, TimestampTz after);
/* The shortest and the longest time between two times in a row, in seconds. */
extern void pgt_cron_gaps(const CronSchedule *cron, int64 *shortest, int64 *longest);

#endif							/* PGTRICKLE_CRON_H */
