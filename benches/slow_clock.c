// Loaded before the C library: a clock that runs as much more slowly as a program does under valgrind.
//
// What is limited by time does as much between two looks at the clock as it does at full speed; otherwise a turn of the
// loop, which is to take a few milliseconds, would end under valgrind after a fiftieth of its work, and how often that
// happens would depend on the machine's load. It takes no more instructions than the C library's own function.
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOWER 64
#define SECOND UINT64_C(1000000000)

int clock_gettime(clockid_t id, struct timespec *time) {
  int result = (int) syscall(SYS_clock_gettime, id, time);
  // Time since the epoch is for calendars; the clocks of a process and a thread count what it used.
  if (result != 0 || (id != CLOCK_MONOTONIC && id != CLOCK_BOOTTIME)) return result;
  uint64_t now = (uint64_t) time->tv_sec * SECOND + (uint64_t) time->tv_nsec;
  now /= SLOWER;
  time->tv_sec = (time_t) (now / SECOND);
  time->tv_nsec = (long) (now % SECOND);
  return 0;
}
