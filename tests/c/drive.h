/* The three ways to drive a loop, each by a thread. */
#ifndef TESTS_C_DRIVE_H
#define TESTS_C_DRIVE_H

#include <pthread.h>
#include <stdbool.h>

#include "mgos_mqtt_loop.h"

enum way { OWN_THREAD, POLLING, FOREIGN_LEVEL, FOREIGN_EDGE, WAYS };
extern const char *const WAY_NAMES[];

struct driver {
  struct mgos_mqtt_loop *loop;
  enum way way;
  pthread_t thread;
  int epoll, stop_fd;
  bool stop;
  int result;
  /* Foreign loops: how often epoll_wait() returned at all, and because the time was over. */
  long rounds, timeouts;
};

void drive_start(struct driver *driver, struct mgos_mqtt_loop *loop, enum way way);
/* Ends it; the loop is then driven by nobody. */
void drive_stop(struct driver *driver);
long drive_rounds(struct driver *driver);

#endif
