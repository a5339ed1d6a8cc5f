/* Lets others see whether a device is there: a retained "online" when it connects (the birth message), an
 * "offline" of its own before it leaves, and a will that the server publishes when it vanishes. A second
 * connection watches.
 *
 *   cc will_and_state.c $(pkg-config --cflags --libs mgos_mqtt) -o will_and_state
 *   ./will_and_state 127.0.0.1:1883
 *
 * proves: NM-34 NM-45
 *
 * Expected output:
 *   the device connects
 *     state: online
 *   the device says good-bye
 *     state: offline
 *   the device connects
 *     state: online
 *   the device vanishes
 *     state: lost
 */
#include <mgos_mqtt.h>
#include <stdio.h>
#include <string.h>

#define STATE "examples/will/state"

static char state[16]; /* what the watcher saw last */

/* Runs after every CONNACK, also after a reconnect: the will may have been published meanwhile. */
static void on_device(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) ev_data;
  (void) ud;
  if (ev == MG_EV_MQTT_CONNACK) {
    mgos_mqtt_conn_pub(mgos_mqtt_conn_from_nc(nc), STATE, mg_mk_str("online"), 1, true);
  }
}

static void on_state(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  (void) nc;
  (void) ud;
  if (ev != MG_EV_MQTT_PUBLISH || mm->payload.len == 0 || mm->payload.len >= sizeof(state)) return;
  memcpy(state, mm->payload.p, mm->payload.len);
  state[mm->payload.len] = '\0';
  printf("  state: %s\n", state);
}

static bool see(const char *wanted) {
  double deadline = mg_time() + 10;
  while (strcmp(state, wanted) != 0 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return strcmp(state, wanted) == 0;
}

int main(int argc, char **argv) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *device, *watcher;
  char why[200] = "an unexpected state";
  bool ok;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  watcher = mgos_mqtt_conn_create(1, &cfg);
  cfg.will_topic = STATE;
  cfg.will_message = "lost";
  cfg.will_retain = 1;
  device = mgos_mqtt_conn_create(2, &cfg);
  if (watcher == NULL || device == NULL) {
    fprintf(stderr, "no connection: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }
  mgos_mqtt_conn_sub(watcher, STATE, 1, on_state, NULL);
  mgos_mqtt_conn_add_handler(device, on_device, NULL);
  mgos_mqtt_conn_connect(watcher);

  printf("the device connects\n");
  mgos_mqtt_conn_connect(device);
  ok = see("online");

  if (ok) {
    /* Written before DISCONNECT, which takes the will back. QoS 0, as nobody would wait for an
     * acknowledgement: a QoS 1 message without one is sent again with the next connection. */
    printf("the device says good-bye\n");
    mgos_mqtt_conn_pub(device, STATE, mg_mk_str("offline"), 0, true);
    mgos_mqtt_conn_disconnect(device);
    ok = see("offline");
  }
  if (ok) {
    printf("the device connects\n");
    mgos_mqtt_conn_connect(device);
    ok = see("online");
  }
  if (ok) {
    printf("the device vanishes\n"); /* as with a power failure: the server publishes the will */
    mgos_mqtt_conn_abort(device);
    ok = see("lost");
  }
  if (!ok) {
    mgos_mqtt_conn_last_error_text(device, why, sizeof(why));
    fprintf(stderr, "failed: %s\n", why);
  }
  /* An empty retained message takes the state off the server again. */
  mgos_mqtt_conn_pub(watcher, STATE, mg_mk_str(""), 0, true);
  mgos_mqtt_conn_free(device);
  mgos_mqtt_conn_free(watcher);
  return ok ? 0 : 1;
}
