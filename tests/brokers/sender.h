/*
 * The library under test in the loss tests: one connection with a session that is kept, on a loop with a
 * thread of its own, that publishes streams of numbered messages and knows which of them were acknowledged.
 */
#ifndef SENDER_H
#define SENDER_H

#include <mgos_mqtt.h>
#include <mgos_mqtt_event.h>
#include <mgos_mqtt_options.h>
#include <pthread.h>

#include "stream.h"

struct sender {
  struct mgos_mqtt_loop *loop;
  struct mgos_mqtt_conn *conn;
  /* Guards all below: handlers run on the loop's thread. */
  pthread_mutex_t lock;
  struct stream *streams; /* to be published */
  size_t count;
  struct {
    struct stream *stream; /* NULL: not in use */
    int number;
  } pending[65536];
  int outstanding;   /* accepted and not acknowledged */
  int strays;        /* acknowledgements of nothing */
  int refused;       /* publishes that were refused because the queue was full */
  int ups, closes;   /* connections that came up, and were lost */
  int sessions_lost; /* connections after the first without session present */
};

/* Makes the connection and its loop, and connects to the port, with TLS if there are certificates(). False if
 * that is refused. */
bool sender_start(struct sender *sender, int port, struct stream *streams, size_t count);
/* Frees both. */
void sender_end(struct sender *sender);
/* Publishes the next message of a stream, `padding` bytes longer than its number. False if it was not
 * accepted. */
bool sender_publish(struct sender *sender, struct stream *stream, int padding);
int sender_outstanding(struct sender *sender);
/* observer_read() of the streams, under the lock: handlers count acknowledgements in them. */
void sender_observe(struct sender *sender, struct observer *observer, const char *marker, bool *marked);

/* The checks of a test, and its last line. */
struct checks {
  int passed, failed;
};
void check(struct checks *checks, bool holds, const char *what);

#endif
