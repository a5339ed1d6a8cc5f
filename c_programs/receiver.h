/* Prints messages as they come, and acknowledges what was written. */
#ifndef RECEIVER_H
#define RECEIVER_H

#include "connection.h"

struct receiver {
  struct client *client;
  unsigned long printed;
  bool stopped;           /* nothing more is printed; what comes is left with the server */
  uint64_t random;        /* for --random-filter */
  uint64_t deferred[64];  /* printed, and not yet written and acknowledged */
  size_t num_deferred;
  unsigned long removals; /* so many */
  bool failed;            /* the output cannot be written */
  int error;              /* errno of that */
};

void receiver_begin(struct receiver *r, struct client *client);

/* Handles a message: filters it, prints it. True if it counts. */
bool receiver_take(struct receiver *r, const struct mgos_mqtt_event *ev);

/* Writes what was printed, and acknowledges it. After each client_wait(). */
void receiver_write(struct receiver *r);

/* Nothing more is wanted: writes, and lets nothing more in. */
void receiver_stop(struct receiver *r);

#endif
