/* A transport made of four C functions, over TCP sockets of the test's own; a thread tells the library when they are ready. */
#ifndef TESTS_C_OWN_TRANSPORT_H
#define TESTS_C_OWN_TRANSPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "mgos_mqtt_transport.h"

#define OWN_STREAMS 64

struct own_transport {
  struct mgos_mqtt_loop *loop;
  size_t piece;       /* at most so many bytes at a time */
  atomic_int refuses; /* open() returns this, if it is not 0 */
  atomic_int opened, closed, freed;
  atomic_ullong last; /* the stream that was opened last */
  int epoll, wake;
  pthread_t thread;
  pthread_mutex_t lock;
  struct {
    uint64_t stream;
    int fd;
  } streams[OWN_STREAMS];
};

/* Starts the thread. */
void own_transport_start(struct own_transport *own, struct mgos_mqtt_loop *loop, size_t piece);
/* Gives its functions to a connection; what mgos_mqtt_conn_set_transport() returns. */
int own_transport_use(struct own_transport *own, struct mgos_mqtt_conn *c);
/* Ends the thread, and what streams are left. */
void own_transport_stop(struct own_transport *own);

#endif
