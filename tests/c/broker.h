/* A mosquitto of the test's own: on a free port of 127.0.0.1, with a directory of its own. */
#ifndef TESTS_C_BROKER_H
#define TESTS_C_BROKER_H

#include <stdint.h>
#include <sys/types.h>

struct broker {
  pid_t pid;
  uint16_t port;
  char server[32]; /* "127.0.0.1:<port>" */
  char directory[64];
};

/* Starts it and waits until it listens. `more` is added to its configuration. Fails the test if it does not
 * start. It also ends when this process does. */
void broker_start(struct broker *broker, const char *more);
/* Ends it and removes its directory. */
void broker_stop(struct broker *broker);

#endif
