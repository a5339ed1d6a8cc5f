/*
 * Timers. They run on the thread of the loop, in mgos_main() or mongoose_poll(), and not inside a handler: they may call everything,
 * also what waits.
 *
 * Threads: every function may be called from any thread, and from timers; a new timer wakes the loop.
 */

#ifndef MGOS_TIMERS_H
#define MGOS_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#define MGOS_INVALID_TIMER_ID 0

/* Small numbers: an application may keep them in an int. */
typedef uintptr_t mgos_timer_id;

typedef void (*timer_callback)(void *param);

#define MGOS_TIMER_REPEAT (1 << 0)
#define MGOS_TIMER_RUN_NOW (1 << 1)

struct mgos_timer_info {
  int interval_ms; /* 0 unless it repeats */
  int msecs_left;
  timer_callback cb;
  void *cb_arg;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Calls `cb(cb_arg)` after so many milliseconds (less than 0: 0): once, or again and again with MGOS_TIMER_REPEAT; with
   MGOS_TIMER_RUN_NOW for the first time in the loop's next iteration. One that is late does not catch up. The id, never 0; 0
   without memory or without a function. */
mgos_timer_id mgos_set_timer(int msecs, int flags, timer_callback cb, void *cb_arg);

/* Ends a timer. It is not called any more, unless it runs on another thread right now. An id that is not in use is ignored. */
void mgos_clear_timer(mgos_timer_id id);

/* What a timer is; false if there is none with this id. */
bool mgos_get_timer_info(mgos_timer_id id, struct mgos_timer_info *info);

/* As mgos_set_timer(), in microseconds, rounded up to milliseconds: there are no interrupts here. */
mgos_timer_id mgos_set_hw_timer(int usecs, int flags, timer_callback cb, void *cb_arg);

#ifdef __cplusplus
}
#endif

#endif
