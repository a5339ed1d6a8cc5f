/* Asks a question over MQTT 5.0 and gets the answer. The request carries, as properties, the topic for the
 * answer and the data by which it is recognised, so any program can answer without knowing who asks
 * (MQTT 5.0, section 4.10). Both sides are in this program. With MQTT 3.1.1 the payload has to carry the
 * two: see request_reply.c.
 *
 *   cc mqtt5_request.c $(pkg-config --cflags --libs mgos_mqtt) -o mqtt5_request
 *   ./mqtt5_request 127.0.0.1:1883
 *
 * Expected output:
 *   version 5, retained messages: yes
 *   asked for temperature: 21.5 (unit: C)
 *   nobody listens at examples/nobody: No matching subscribers
 */
#include <mgos_mqtt_all.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS "examples/mqtt5/request"
#define REPLIES "examples/mqtt5/reply"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
  struct mgos_mqtt_property reply_to, properties[2];
  struct mgos_mqtt_publication reply = mgos_mqtt_publication_init();
  char topic[128];
  (void) ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  if (!find(ev, MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, &reply_to) || reply_to.value_len >= sizeof(topic)) return;
  memcpy(topic, reply_to.value, reply_to.value_len);
  topic[reply_to.value_len] = '\0';
  reply.topic = topic;
  reply.payload = "21.5";
  reply.payload_len = 4;
  reply.qos = 1;
  /* The answer carries the data of the request, whatever it is. */
  reply.properties = properties;
  properties[reply.num_properties++] = mgos_mqtt_property_user("unit", "C");
  if (find(ev, MGOS_MQTT_PROPERTY_CORRELATION_DATA, &properties[reply.num_properties])) reply.num_properties++;
  mgos_mqtt_conn_publish(c, &reply, NULL);
}

/* -- the side that asks ---------------------------------------------------------------------- */

static int awaited = 4711;

static void on_reply(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct mgos_mqtt_property data, unit;
  const char *payload = mgos_mqtt_event_payload(ev, NULL);
  (void) c, (void) ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  if (!find(ev, MGOS_MQTT_PROPERTY_CORRELATION_DATA, &data) || data.value_len != sizeof(awaited) ||
      memcmp(data.value, &awaited, sizeof(awaited)) != 0) {
    return; /* the answer to another request */
  }
  printf("asked for temperature: %s", payload);
  if (find(ev, MGOS_MQTT_PROPERTY_USER, &unit)) {
    printf(" (%.*s: %.*s)", (int) unit.name_len, (const char *) unit.name, (int) unit.value_len,
           (const char *) unit.value);
  }
  printf("\n");
  awaited = 0;
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
  struct mgos_mqtt_publication request = mgos_mqtt_publication_init(), other = mgos_mqtt_publication_init();
  struct mgos_mqtt_server_info info = mgos_mqtt_server_info_init();
  struct mgos_mqtt_property properties[2];
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *c;
  bool told = false;
  double deadline;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  options.profiles = &cfg;
  options.num_profiles = 1;
  options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  c = mgos_mqtt_conn_create_on(NULL, 1, &options);
  mgos_mqtt_conn_subscribe(c, REQUESTS, 1, on_request, NULL, NULL);
  mgos_mqtt_conn_subscribe(c, REPLIES, 1, on_reply, NULL, NULL);
  if (mgos_mqtt_conn_connect_wait(c, 10000) != 0) {
    char why[200];
    mgos_mqtt_conn_last_error_text(c, why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  mgos_mqtt_conn_server_info(c, &info);
  printf("version %d, retained messages: %s\n", info.protocol_version, info.retain_available ? "yes" : "no");

  properties[0] = mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, REPLIES);
  properties[1] = mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CORRELATION_DATA, &awaited, sizeof(awaited));
  request.topic = REQUESTS;
  request.payload = "temperature";
  request.payload_len = strlen("temperature");
  request.qos = 1;
  request.properties = properties;
  request.num_properties = COUNT(properties);
  mgos_mqtt_conn_publish(c, &request, NULL);
  deadline = mg_time() + 10;
  while (awaited != 0 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);
  if (awaited != 0) printf("asked for temperature: no answer in time\n");

  mgos_mqtt_conn_on(c, MGOS_MQTT_EV_PUBACK, on_puback, &told, NULL);
  other.topic = "examples/nobody";
  other.qos = 1;
  mgos_mqtt_conn_publish(c, &other, NULL);
  while (!told && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);

  mgos_mqtt_conn_disconnect_wait(c, 5000);
  mgos_mqtt_conn_free(c);
  return 0;
}
