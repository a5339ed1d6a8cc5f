/* Drives the library from libuv: its descriptor is a poll handle, its next deadline a timer. No thread, no polling. What
 * stands between the two lines of dashes can be copied into a program as it is.
 *
 *   cc foreign_libuv.c $(pkg-config --cflags --libs mgos_mqtt libuv) -o foreign_libuv
 *   ./foreign_libuv 127.0.0.1:1883
 *
 * Expected output:
 *   connected
 *   reading 1 came back
 *   reading 2 came back
 *   reading 3 came back
 *   closed
 */
#define _POSIX_C_SOURCE 200809L
#include <mgos_mqtt.h>
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

/* ---------------------------------------------------------------------------------------------- */
struct mqtt_uv {
  struct mgos_mqtt_loop *loop; /* NULL: the default loop */
  uv_poll_t poll;
  uv_timer_t timer;
};

static void mqtt_uv_process(struct mqtt_uv *m);

static void mqtt_uv_on_poll(uv_poll_t *poll, int status, int events) {
  (void) status, (void) events;
  mqtt_uv_process(poll->data);
}

static void mqtt_uv_on_timer(uv_timer_t *timer) {
  mqtt_uv_process(timer->data);
}

/* Asked for anew each time. What another thread makes earlier shows at the descriptor. */
static void mqtt_uv_process(struct mqtt_uv *m) {
  int ms;
  mgos_mqtt_loop_process(m->loop);
  ms = mgos_mqtt_loop_timeout(m->loop);
  if (ms < 0) {
    uv_timer_stop(&m->timer);
  } else {
    uv_timer_start(&m->timer, mqtt_uv_on_timer, (uint64_t) ms, 0);
  }
}

/* Returns 0 or an error of libuv. */
static int mqtt_uv_start(struct mqtt_uv *m, uv_loop_t *uv, struct mgos_mqtt_loop *loop) {
  int error = uv_poll_init(uv, &m->poll, mgos_mqtt_loop_fd(loop)); /* belongs to the library: only to be watched */
  if (error != 0) return error;
  uv_timer_init(uv, &m->timer);
  m->loop = loop;
  m->poll.data = m->timer.data = m;
  error = uv_poll_start(&m->poll, UV_READABLE, mqtt_uv_on_poll);
  if (error == 0) mqtt_uv_process(m);
  return error;
}

/* `*m` is used until uv_run() has closed the two handles. */
static void mqtt_uv_stop(struct mqtt_uv *m) {
  uv_close((uv_handle_t *) &m->poll, NULL);
  uv_close((uv_handle_t *) &m->timer, NULL);
}
/* ---------------------------------------------------------------------------------------------- */

#define TOPIC "examples/libuv"
#define MAX_TICKS 200 /* of 50 ms: the example ends after 10 s, whatever happens */

static struct mqtt_uv mqtt;
static uv_timer_t ticker;
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
    closed = true;
  }
}

static void on_tick(uv_timer_t *timer) {
  char text[12];
  int len;
  if (readings < 3 && mgos_mqtt_global_is_connected()) {
    len = snprintf(text, sizeof(text), "%d", readings + 1);
    if (mgos_mqtt_pub(TOPIC, text, (size_t) len, 1, false) != 0) readings++;
  }
  if (closed || ++ticks == MAX_TICKS) {
    mqtt_uv_stop(&mqtt);
    uv_close((uv_handle_t *) timer, NULL);
  }
}

int main(int argc, char **argv) {
  uv_loop_t *uv = uv_default_loop();
  int error;
  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);
  mgos_mqtt_sub(TOPIC, on_message, NULL);
  error = mqtt_uv_start(&mqtt, uv, NULL);
  if (error != 0) {
    fprintf(stderr, "libuv: %s\n", uv_strerror(error));
    return 1;
  }
  uv_timer_init(uv, &ticker);
  uv_timer_start(&ticker, on_tick, 50, 50);
  uv_run(uv, UV_RUN_DEFAULT);
  uv_loop_close(uv);
  return closed ? 0 : 1;
}
