/* Drives the library from libevent: its descriptor is an event, its next deadline another. No thread, no polling. What
 * stands between the two lines of dashes can be copied into a program as it is.
 *
 *   cc foreign_libevent.c $(pkg-config --cflags --libs mgos_mqtt libevent_core) -o foreign_libevent
 *   ./foreign_libevent 127.0.0.1:1883
 *
 * Expected output:
 *   connected
 *   reading 1 came back
 *   reading 2 came back
 *   reading 3 came back
 *   closed
 */
#define _POSIX_C_SOURCE 200809L
#include <event2/event.h>
#include <mgos_mqtt.h>
#include <stdio.h>

/* ---------------------------------------------------------------------------------------------- */
struct mqtt_event_base {
  struct mgos_mqtt_loop *loop; /* NULL: the default loop */
  struct event *ready, *deadline;
};

/* The deadline is asked for anew each time. What another thread makes earlier shows at the descriptor. */
static void mqtt_process(struct mqtt_event_base *m) {
  struct timeval timeout;
  int ms;
  mgos_mqtt_loop_process(m->loop);
  if (m->deadline == NULL) return; /* a callback has called mqtt_stop() */
  ms = mgos_mqtt_loop_timeout(m->loop);
  if (ms < 0) {
    event_del(m->deadline);
  } else {
    timeout.tv_sec = ms / 1000;
    timeout.tv_usec = ms % 1000 * 1000;
    event_add(m->deadline, &timeout);
  }
}

static void mqtt_on_event(evutil_socket_t fd, short what, void *arg) {
  (void) fd, (void) what;
  mqtt_process(arg);
}

static void mqtt_stop(struct mqtt_event_base *m) {
  if (m->ready != NULL) event_free(m->ready);
  if (m->deadline != NULL) event_free(m->deadline);
  m->ready = m->deadline = NULL;
}

/* Returns 0, or -1 if libevent does not accept the descriptor or has no memory. */
static int mqtt_start(struct mqtt_event_base *m, struct event_base *base, struct mgos_mqtt_loop *loop) {
  int fd = mgos_mqtt_loop_fd(loop); /* belongs to the library: only to be watched */
  m->loop = loop;
  m->ready = event_new(base, fd, EV_READ | EV_PERSIST, mqtt_on_event, m);
  m->deadline = evtimer_new(base, mqtt_on_event, m);
  if (fd < 0 || m->ready == NULL || m->deadline == NULL || event_add(m->ready, NULL) != 0) {
    mqtt_stop(m);
    return -1;
  }
  mqtt_process(m);
  return 0;
}
/* ---------------------------------------------------------------------------------------------- */

#define TOPIC "examples/libevent"
#define MAX_TICKS 200 /* of 50 ms: the example ends after 10 s, whatever happens */

static struct mqtt_event_base mqtt;
static struct event_base *base;
static int readings, ticks;
static bool closed;

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) ud;
  printf("reading %.*s came back\n", msg_len, msg);
  if (readings == 3 && msg_len == 1 && msg[0] == '3') mgos_mqtt_global_disconnect();
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data, (void) ud;
  if (ev == MG_EV_MQTT_CONNACK) printf("connected\n");
  if (ev == MG_EV_CLOSE) {
    printf("closed\n");
    mqtt_stop(&mqtt); /* it may be stopped in a callback, too */
    closed = true;
  }
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  char text[12];
  int len;
  (void) fd, (void) what, (void) arg;
  if (readings < 3 && mgos_mqtt_global_is_connected()) {
    len = snprintf(text, sizeof(text), "%d", readings + 1);
    if (mgos_mqtt_pub(TOPIC, text, (size_t) len, 1, false) != 0) readings++;
  }
  if (closed || ++ticks == MAX_TICKS) event_base_loopbreak(base);
}

int main(int argc, char **argv) {
  static const struct timeval every_50_ms = {0, 50000};
  struct event *ticker;
  base = event_base_new();
  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);
  mgos_mqtt_sub(TOPIC, on_message, NULL);
  ticker = base != NULL ? event_new(base, -1, EV_PERSIST, on_tick, NULL) : NULL;
  if (ticker == NULL || event_add(ticker, &every_50_ms) != 0 || mqtt_start(&mqtt, base, NULL) != 0) {
    fprintf(stderr, "libevent does not work here\n");
    return 1;
  }
  event_base_dispatch(base);
  mqtt_stop(&mqtt);
  event_free(ticker);
  event_base_free(base);
  return closed ? 0 : 1;
}
