/* Time. */

#ifndef MGOS_TIME_H
#define MGOS_TIME_H

#include <stdint.h>

struct timezone;

#ifdef __cplusplus
extern "C" {
#endif

/* How long the program runs, in seconds and in microseconds; time in which the machine sleeps counts. */
double mgos_uptime(void);
int64_t mgos_uptime_micros(void);

/* The time of day, in microseconds since 1970. */
int64_t mgos_time_micros(void);

/* The local time as strftime() prints it; `time` is in seconds since 1970. The length, 0 if it does not fit. */
int mgos_strftime(char *s, int size, const char *fmt, int time);

/* Sets the clock of the machine, for which a program needs the right to; -1 with errno otherwise. Whoever sets it,
   MGOS_EVENT_TIME_CHANGED is raised by the loop. */
int mgos_settimeofday(double time, struct timezone *tz);

#ifdef __cplusplus
}
#endif

#endif
