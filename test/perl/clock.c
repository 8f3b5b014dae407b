/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A clock that tests set: gettimeofday() for a server that is started with
 *	  this library preloaded (LD_PRELOAD).
 *
 * The file named by PGT_CLOCK holds two numbers of microseconds: one is added to
 * the time; the other one, unless it is 0, is the time (since 1970), at which the
 * clock stands still.  Intervals that the server measures otherwise (how long a process
 * sleeps on its latch) are not moved.
 *
 * IDENTIFICATION
 *	  test/perl/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *setting = NULL;

__attribute__((constructor)) static void
open_clock(void)
{
	const char *file = getenv("PGT_CLOCK");
	int			fd = file ? open(file, O_RDONLY) : -1;
	void	   *map;

	if (fd < 0)
		return;
	map = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		setting = map;
	close(fd);
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec now;
	int64_t		usecs;

	(void) tz;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	usecs = (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
	if (setting)
		usecs = setting[1] != 0 ? setting[1] : usecs + setting[0];
	tv->tv_sec = usecs / 1000000;
	tv->tv_usec = usecs % 1000000;
	return 0;
}
