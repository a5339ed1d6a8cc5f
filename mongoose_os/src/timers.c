/* Timers: a list under a lock. Applications have a handful. */

#include "runtime.h"

#include <limits.h>
#include <mgos_timers.h>
#include <pthread.h>
#include <stdlib.h>

struct timer {
  struct timer *next;
  mgos_timer_id id;
  int64_t due; /* as mgos_os_micros() */
  int64_t interval; /* 0: once */
  timer_callback cb;
  void *cb_arg;
  uint64_t round; /* the last round in which it ran */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timer *s_timers;
static mgos_timer_id s_last_id;
static uint64_t s_round;

/* The place of a timer in the list, or that of its end. */
static struct timer **find(mgos_timer_id id) {
  struct timer **at = &s_timers;
  while (*at != NULL && (*at)->id != id) at = &(*at)->next;
  return at;
}

mgos_timer_id mgos_set_timer(int msecs, int flags, timer_callback cb, void *cb_arg) {
  struct timer *timer = cb != NULL ? calloc(1, sizeof(*timer)) : NULL;
  int64_t wait = msecs > 0 ? (int64_t) msecs * 1000 : 0;
  mgos_timer_id id;
  if (timer == NULL) return MGOS_INVALID_TIMER_ID;
  timer->cb = cb;
  timer->cb_arg = cb_arg;
  timer->interval = (flags & MGOS_TIMER_REPEAT) != 0 ? (wait > 0 ? wait : 1) : 0;
  timer->due = mgos_os_micros() + ((flags & MGOS_TIMER_RUN_NOW) != 0 ? 0 : wait);
  pthread_mutex_lock(&lock);
  do {
    s_last_id = s_last_id < INT_MAX ? s_last_id + 1 : 1;
  } while (*find(s_last_id) != NULL);
  timer->id = id = s_last_id;
  timer->round = s_round; /* one that a timer sets is for the next round */
  timer->next = s_timers;
  s_timers = timer;
  pthread_mutex_unlock(&lock);
  mgos_os_wake();
  return id;
}

mgos_timer_id mgos_set_hw_timer(int usecs, int flags, timer_callback cb, void *cb_arg) {
  return mgos_set_timer(usecs > 0 ? usecs / 1000 + (usecs % 1000 != 0) : 0, flags, cb, cb_arg);
}

void mgos_clear_timer(mgos_timer_id id) {
  struct timer **at, *timer;
  if (id == MGOS_INVALID_TIMER_ID) return;
  pthread_mutex_lock(&lock);
  at = find(id);
  timer = *at;
  if (timer != NULL) *at = timer->next;
  pthread_mutex_unlock(&lock);
  free(timer);
}

bool mgos_get_timer_info(mgos_timer_id id, struct mgos_timer_info *info) {
  const struct timer *timer;
  pthread_mutex_lock(&lock);
  timer = *find(id);
  if (timer != NULL && info != NULL) {
    int64_t left = timer->due - mgos_os_micros();
    info->interval_ms = (int) (timer->interval / 1000);
    info->msecs_left = left > 0 ? (int) (left / 1000) : 0;
    info->cb = timer->cb;
    info->cb_arg = timer->cb_arg;
  }
  pthread_mutex_unlock(&lock);
  return timer != NULL;
}

/* The earliest of those that are due and did not run in this round. */
static struct timer **earliest(int64_t now, uint64_t round) {
  struct timer **best = NULL;
  for (struct timer **at = &s_timers; *at != NULL; at = &(*at)->next) {
    if ((*at)->due <= now && (*at)->round < round && (best == NULL || (*at)->due <= (*best)->due)) best = at;
  }
  return best;
}

void mgos_os_timers_run(void) {
  int64_t now = mgos_os_micros();
  uint64_t round;
  pthread_mutex_lock(&lock);
  round = ++s_round;
  for (struct timer **at; (at = earliest(now, round)) != NULL;) {
    struct timer *timer = *at;
    timer_callback cb = timer->cb;
    void *cb_arg = timer->cb_arg;
    if (timer->interval > 0) {
      timer->round = round;
      timer->due += timer->interval;
      if (timer->due <= now) timer->due = now + timer->interval;
    } else {
      *at = timer->next;
      free(timer);
    }
    pthread_mutex_unlock(&lock);
    cb(cb_arg);
    pthread_mutex_lock(&lock);
  }
  pthread_mutex_unlock(&lock);
}

int mgos_os_timers_wait(void) {
  int64_t now = mgos_os_micros(), wait = -1;
  pthread_mutex_lock(&lock);
  for (const struct timer *timer = s_timers; timer != NULL; timer = timer->next) {
    int64_t left = timer->due > now ? timer->due - now : 0;
    if (wait < 0 || left < wait) wait = left;
  }
  pthread_mutex_unlock(&lock);
  if (wait < 0) return -1;
  wait = (wait + 999) / 1000;
  return wait > INT_MAX ? INT_MAX : (int) wait;
}
