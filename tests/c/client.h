/* A connection under test: quick to reconnect, and what happened to it is counted and can be waited for. */
#ifndef TESTS_C_CLIENT_H
#define TESTS_C_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "mgos_mqtt_conn.h"
#include "mgos_mqtt_options.h"

/* What can be waited for. */
enum happening {
  CONNECTING,
  UP,
  FAILED,
  CLOSED,
  MESSAGE,
  OVERSIZE,
  PUBACK,
  PUBCOMP,
  SUBACK,
  GONE,
  HAPPENINGS
};

struct client {
  struct mgos_mqtt_conn *conn;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  long counts[HAPPENINGS];
  int error;         /* of the last FAILED or CLOSED */
  int code;          /* of the last SUBACK or CONNACK */
  size_t size;       /* of the last MESSAGE or OVERSIZE */
  long bytes;        /* of all messages */
  bool handles_poll; /* asks for POLL too, to be counted by `polls` */
  long polls;
};

/* The options of these tests: no jitter, 50 ms between attempts, time-outs of a second. */
void client_options(struct mgos_mqtt_options *options, struct mgos_config_mqtt *config, const char *server);
/* A connection on `loop` with options, or with the ones above for `server` if `options` is NULL. */
void client_create(struct client *client, struct mgos_mqtt_loop *loop, const char *server,
                   const struct mgos_mqtt_options *options);
/* Subscribes to `filter`; messages are counted as those that no subscription matched are. */
void client_subscribe(struct client *client, const char *filter, int qos);
/* How often it happened. */
long client_count(struct client *client, enum happening what);
/* Waits, on a loop that somebody else drives, until it happened that often. */
bool client_wait(struct client *client, enum happening what, long times);
/* As before, and polls the loop itself. */
bool client_poll_until(struct client *client, struct mgos_mqtt_loop *loop, enum happening what, long times);
/* Frees the connection and waits for it; checks that the destructor ran once. */
void client_free(struct client *client);
/* What client_free() does after mgos_mqtt_conn_free(). */
void client_ended(struct client *client);

/* The connection's last error is this one, and its sentence contains `part`. */
void client_expect_error(struct client *client, int code, int phase, const char *part);

#endif
