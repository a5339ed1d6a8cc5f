/* Asks a question and gets the answer. Over MQTT 5.0 the request carries, as properties, the topic for the answer and the
 * data by which it is recognised, so any program can answer without knowing who asks (MQTT 5.0, section 4.10); the
 * library sets both, and finds the request to which an answer belongs. Both sides are in this program. For two programs
 * that agree on a payload of their own, see request_reply.c.
 *
 *   cc mqtt5_request.c $(pkg-config --cflags --libs mgos_mqtt) -o mqtt5_request
 *   ./mqtt5_request 127.0.0.1:1883
 *
 * Expected output:
 *   version 5, retained messages: yes
 *   asked for temperature: 21.5 (unit: C)
 *   nobody answers at examples/nobody: timed out
 *   nobody listens at examples/nobody: No matching subscribers
 */
#include <mgos_mqtt_all.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS "examples/mqtt5/request"

/* The property with this id, if the message has one. */
static bool find(const struct mgos_mqtt_event *ev, uint32_t id, struct mgos_mqtt_property *property) {
  size_t cursor = 0;
  while (mgos_mqtt_event_property(ev, &cursor, property)) {
    if (property->id == id) return true;
  }
  return false;
}

/* -- the side that answers ------------------------------------------------------------------- */

static void on_request(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct mgos_mqtt_property unit = mgos_mqtt_property_user("unit", "C");
  struct mgos_mqtt_publication response = mgos_mqtt_publication_init();
  (void) ud;
  response.payload = "21.5";
  response.payload_len = 4;
  response.qos = 1;
  response.properties = &unit;
  response.num_properties = 1;
  mgos_mqtt_event_reply(c, ev, &response, NULL);
}

/* -- the side that asks ---------------------------------------------------------------------- */

static void on_response(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct mgos_mqtt_property unit;
  (void) c;
  ++*(int *) ud;
  if (mgos_mqtt_event_error(ev) == MGOS_MQTT_TIMED_OUT) {
    printf("nobody answers at examples/nobody: timed out\n");
    return;
  }
  if (mgos_mqtt_event_error(ev) != MGOS_MQTT_OK) { /* there is no response, and no payload */
    printf("no response: %s\n", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
    return;
  }
  printf("asked for temperature: %s", (const char *) mgos_mqtt_event_payload(ev, NULL));
  if (find(ev, MGOS_MQTT_PROPERTY_USER, &unit)) {
    printf(" (%.*s: %.*s)", (int) unit.name_len, (const char *) unit.name, (int) unit.value_len,
           (const char *) unit.value);
  }
  printf("\n");
}

/* PUBACK says more than "arrived". */
static void on_puback(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  int code = mgos_mqtt_event_code(ev);
  (void) c;
  if (code < 0) return;
  printf("nobody listens at examples/nobody: %s\n", mgos_mqtt_reason_text(code));
  *(bool *) ud = true;
}

int main(int argc, char **argv) {
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_mqtt_request request = mgos_mqtt_request_init();
  struct mgos_mqtt_publication other = mgos_mqtt_publication_init();
  struct mgos_mqtt_server_info info = mgos_mqtt_server_info_init();
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *c;
  bool told = false;
  int ended = 0;
  double deadline;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  options.profiles = &cfg;
  options.num_profiles = 1;
  options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  c = mgos_mqtt_conn_create_on(NULL, 1, &options);
  mgos_mqtt_conn_subscribe_messages(c, REQUESTS, 1, on_request, NULL, NULL);
  if (mgos_mqtt_conn_connect_wait(c, 10000) != 0) {
    char why[200];
    mgos_mqtt_conn_last_error_text(c, why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  mgos_mqtt_conn_server_info(c, &info);
  printf("version %d, retained messages: %s\n", info.protocol_version, info.retain_available ? "yes" : "no");

  request.topic = REQUESTS;
  request.payload = "temperature";
  request.payload_len = strlen("temperature");
  request.qos = 1;
  request.done = on_response;
  request.ud = &ended;
  mgos_mqtt_conn_request(c, &request, NULL);
  deadline = mg_time() + 10;
  while (ended == 0 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);
  request.topic = "examples/nobody";
  request.timeout_ms = 200;
  mgos_mqtt_conn_request(c, &request, NULL);
  while (ended == 1 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);

  mgos_mqtt_conn_on(c, MGOS_MQTT_EV_PUBACK, on_puback, &told, NULL);
  other.topic = "examples/nobody";
  other.qos = 1;
  mgos_mqtt_conn_publish(c, &other, NULL);
  while (!told && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);

  mgos_mqtt_conn_disconnect_wait(c, 5000);
  mgos_mqtt_conn_free(c);
  return 0;
}
