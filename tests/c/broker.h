/* A mosquitto of the test's own: on a free port of 127.0.0.1, with a directory of its own. */
#ifndef TESTS_C_BROKER_H
#define TESTS_C_BROKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BROKER_LISTENERS 16

struct broker {
  pid_t pid;
  uint16_t port;
  uint16_t ports[BROKER_LISTENERS]; /* of further listeners */
  char server[32];                  /* "127.0.0.1:<port>" */
  char directory[64];
};

/* Starts it and waits until it listens. `more` is added to its configuration. Fails the test if it does not
 * start. It also ends when this process does. */
void broker_start(struct broker *broker, const char *more);
/* As before, with `n` further listeners on ports of their own, each with these lines of configuration. */
void broker_start_with(struct broker *broker, const char *more, const char *const *listeners, size_t n);
/* Ends it and removes its directory. */
void broker_stop(struct broker *broker);

#endif
