/* Drives the library from a main loop of GLib, so from GTK and all that stands on it: a source with its descriptor and its next
 * deadline. No thread, no polling. What stands between the two lines of dashes can be copied into a program as it is.
 *
 *   cc foreign_glib.c $(pkg-config --cflags --libs mgos_mqtt glib-2.0) -o foreign_glib
 *   ./foreign_glib 127.0.0.1:1883
 *
 * Expected output:
 *   connected
 *   reading 1 came back
 *   reading 2 came back
 *   reading 3 came back
 *   closed
 */
#define _POSIX_C_SOURCE 200809L
#include <glib.h>
#include <mgos_mqtt.h>
#include <stdio.h>

/* ---------------------------------------------------------------------------------------------- */
struct mqtt_source {
  GSource source;
  struct mgos_mqtt_loop *loop; /* NULL: the default loop */
  gpointer watch;
};

/* Before each wait. What another thread makes earlier shows at the descriptor. */
static gboolean mqtt_source_prepare(GSource *source, gint *timeout) {
  *timeout = mgos_mqtt_loop_timeout(((struct mqtt_source *) source)->loop);
  return *timeout == 0;
}

static gboolean mqtt_source_check(GSource *source) {
  struct mqtt_source *m = (struct mqtt_source *) source;
  return g_source_query_unix_fd(source, m->watch) != 0 || mgos_mqtt_loop_timeout(m->loop) == 0;
}

static gboolean mqtt_source_dispatch(GSource *source, GSourceFunc callback, gpointer ud) {
  (void) callback, (void) ud;
  mgos_mqtt_loop_process(((struct mqtt_source *) source)->loop);
  return G_SOURCE_CONTINUE;
}

/* Is used until the source is destroyed. */
static GSourceFuncs mqtt_source_funcs = {.prepare = mqtt_source_prepare,
                                         .check = mqtt_source_check,
                                         .dispatch = mqtt_source_dispatch};

/* To be attached to a context, and to be given back by g_source_destroy() and g_source_unref(). */
static GSource *mqtt_source_new(struct mgos_mqtt_loop *loop) {
  GSource *source = g_source_new(&mqtt_source_funcs, sizeof(struct mqtt_source));
  struct mqtt_source *m = (struct mqtt_source *) source;
  m->loop = loop;
  /* The descriptor belongs to the library: only to be watched. */
  m->watch = g_source_add_unix_fd(source, mgos_mqtt_loop_fd(loop), G_IO_IN);
  return source;
}
/* ---------------------------------------------------------------------------------------------- */

#define TOPIC "examples/glib"
#define MAX_TICKS 200 /* of 50 ms: the example ends after 10 s, whatever happens */

static GMainLoop *main_loop;
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

static gboolean on_tick(gpointer ud) {
  char text[12];
  int len;
  (void) ud;
  if (readings < 3 && mgos_mqtt_global_is_connected()) {
    len = snprintf(text, sizeof(text), "%d", readings + 1);
    if (mgos_mqtt_pub(TOPIC, text, (size_t) len, 1, false) != 0) readings++;
  }
  if (closed || ++ticks == MAX_TICKS) g_main_loop_quit(main_loop);
  return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv) {
  GSource *mqtt;
  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);
  mgos_mqtt_sub(TOPIC, on_message, NULL);
  main_loop = g_main_loop_new(NULL, FALSE);
  mqtt = mqtt_source_new(NULL);
  g_source_attach(mqtt, NULL);
  g_timeout_add(50, on_tick, NULL);
  g_main_loop_run(main_loop);
  g_source_destroy(mqtt);
  g_source_unref(mqtt);
  g_main_loop_unref(main_loop);
  return closed ? 0 : 1;
}
