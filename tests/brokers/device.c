#include "device.h"

#include <mgos_mqtt_event.h>
#include <stdlib.h>
#include <string.h>

#include "own_transport.h"

#define DEVICES 64

struct mgos_mqtt_loop *test_loop;
static struct device *devices[DEVICES];

bool complain(const char *file, int line, const char *condition, bool waited) {
  const char *name = strrchr(file, '/');
  printf("  %s:%d: %s: %s\n", name != NULL ? name + 1 : file, line,
         waited ? "waited in vain for" : "does not hold", condition);
  for (size_t i = 0; i < DEVICES; i++) {
    char text[400];
    if (devices[i] == NULL || devices[i]->conn == NULL) continue;
    if (mgos_mqtt_conn_last_error_text(devices[i]->conn, text, sizeof(text)) > 0) {
      printf("  device %zu: %s\n", i, text);
    }
  }
  return false;
}

bool device_speaks_5(void) {
  return number_from_environment("DEVICE_VERSION", 3) == 5;
}

static void remember(struct device *device, const struct mgos_mqtt_event *ev) {
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  while (mgos_mqtt_event_property(ev, &cursor, &property)) {
    if (property.id == MGOS_MQTT_PROPERTY_TOPIC_ALIAS) device->aliased++;
  }
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
  const void *payload = mgos_mqtt_event_payload(ev, &len);
  struct message *messages = realloc(device->messages, (device->count + 1) * sizeof(*messages));
  if (messages == NULL) abort();
  struct message *message = &messages[device->count++];
  device->messages = messages;
  message->topic = malloc(topic_len + 1);
  message->payload = malloc(len + 1);
  if (message->topic == NULL || message->payload == NULL) abort();
  memcpy(message->topic, topic, topic_len);
  message->topic[topic_len] = '\0';
  memcpy(message->payload, payload, len);
  message->payload[len] = '\0';
  message->len = len;
  message->qos = mgos_mqtt_event_qos(ev);
  message->retain = mgos_mqtt_event_retain(ev);
  message->dup = mgos_mqtt_event_dup(ev);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct device *device = ud;
  (void) c;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_MESSAGE:
      remember(device, ev);
      break;
    case MGOS_MQTT_EV_SUBACK:
      device->subacks++;
      device->granted = mgos_mqtt_event_code(ev);
      break;
    default:
      break;
  }
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct device *device = ud;
  (void) c;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECT_RESULT:
      device->last_error = mgos_mqtt_event_error(ev);
      if (device->last_error == MGOS_MQTT_OK) {
        device->session_present = mgos_mqtt_event_session_present(ev);
        device->ups++;
      } else {
        device->failures++;
      }
      break;
    case MGOS_MQTT_EV_CLOSE:
      device->last_error = mgos_mqtt_event_error(ev);
      device->closes++;
      break;
    case MGOS_MQTT_EV_UNSUBACK:
      device->unsubacks++;
      break;
    case MGOS_MQTT_EV_PUBACK:
      device->pubacks++;
      device->acked[mgos_mqtt_event_packet_id(ev)]++;
      break;
    case MGOS_MQTT_EV_PUBCOMP:
      device->pubcomps++;
      device->acked[mgos_mqtt_event_packet_id(ev)]++;
      break;
    case MGOS_MQTT_EV_MESSAGE:
      remember(device, ev); /* of the session, for which this device has no subscription (yet) */
      break;
    default:
      break;
  }
}

void device_address(char *to, size_t size, int port) {
  const char *scheme = getenv("DEVICE_SCHEME"), *path = getenv("DEVICE_PATH"), *socket = getenv("DEVICE_SOCKET");
  if (socket != NULL && port == number_from_environment("DEVICE_SOCKET_PORT", 0)) {
    snprintf(to, size, "unix:%s", socket);
  } else {
    snprintf(to, size, "%s127.0.0.1:%d%s", scheme != NULL ? scheme : "", port, path != NULL ? path : "");
  }
}

void device_defaults(struct device_options *options, int port, const char *user, const char *pass,
                     const char *client_id) {
  memset(options, 0, sizeof(*options));
  mgos_config_mqtt_set_defaults(&options->cfg);
  device_address(options->server, sizeof(options->server), port);
  options->cfg.enable = 1;
  options->cfg.server = options->server;
  options->cfg.ssl_ca_cert = getenv("DEVICE_CA");
  options->cfg.client_id = client_id;
  options->cfg.user = user;
  options->cfg.pass = pass;
  options->cfg.reconnect_timeout_min = 0.01;
  options->cfg.reconnect_timeout_max = 0.1;
  options->more.size = sizeof(options->more);
  options->more.proxy = getenv("DEVICE_PROXY");
  options->more.max_outgoing_bytes = 8 * 1024 * 1024;
  if (device_speaks_5()) {
    options->more.protocol_version = MGOS_MQTT_PROTOCOL_5;
    options->property = mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, 10);
    options->more.properties = &options->property;
    options->more.num_properties = 1;
  }
}

static void print_log(int level, int conn_id, const char *text, void *ud) {
  (void) ud;
  printf("    [%d] %d: %s\n", level, conn_id, text);
}

struct device *device_create(struct device_options *options) {
  if (test_loop == NULL) {
    test_loop = mgos_mqtt_loop_create();
    if (getenv("VERBOSE") != NULL)
      mgos_mqtt_loop_set_log(test_loop, MGOS_MQTT_LOG_DEBUG, print_log, NULL, NULL);
  }
  size_t slot = 0;
  while (slot < DEVICES && devices[slot] != NULL) slot++;
  struct device *device = slot < DEVICES ? calloc(1, sizeof(*device)) : NULL;
  if (device == NULL) return NULL;
  options->more.profiles = &options->cfg;
  options->more.num_profiles = 1;
  device->granted = -1;
  device->conn = mgos_mqtt_conn_create_on(test_loop, (int) slot, &options->more);
  if (device->conn == NULL) {
    printf("  no connection: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    free(device);
    return NULL;
  }
  if (getenv("DEVICE_TRANSPORT") != NULL) {
    /* One for all of them, until the program ends. */
    static struct own_transport own;
    if (own.loop == NULL) own_transport_start(&own, test_loop, 65536);
    own_transport_use(&own, device->conn);
  }
  uint32_t kinds = MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_UNSUBACK |
                   MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP | MGOS_MQTT_EV_MESSAGE;
  mgos_mqtt_conn_on(device->conn, kinds, on_event, device, NULL);
  devices[slot] = device;
  return device;
}

void device_end(struct device *device) {
  if (device->conn != NULL) mgos_mqtt_conn_free_wait(device->conn, AWAIT_MS);
  device->conn = NULL;
}

void devices_free(void) {
  for (size_t i = 0; i < DEVICES; i++) {
    if (devices[i] == NULL) continue;
    device_end(devices[i]);
    device_clear(devices[i]);
    free(devices[i]->messages);
    free(devices[i]);
    devices[i] = NULL;
  }
}

bool device_subscribe(struct device *device, const char *filter, int qos) {
  return mgos_mqtt_conn_subscribe(device->conn, filter, qos, on_message, device, NULL) == MGOS_MQTT_OK;
}

bool device_unsubscribe(struct device *device, const char *filter) {
  return mgos_mqtt_conn_unsubscribe(device->conn, filter, on_message, device) == MGOS_MQTT_OK;
}

uint16_t device_publish(struct device *device, const char *topic, const void *payload, size_t len, int qos,
                        bool retain) {
  struct mg_str message = {payload, len};
  return mgos_mqtt_conn_pub(device->conn, topic, message, qos, retain);
}

uint16_t device_publish_text(struct device *device, const char *topic, const char *text, int qos,
                             bool retain) {
  return device_publish(device, topic, text, strlen(text), qos, retain);
}

void device_clear(struct device *device) {
  for (size_t i = 0; i < device->count; i++) {
    free(device->messages[i].topic);
    free(device->messages[i].payload);
  }
  device->count = 0;
}

size_t device_count(const struct device *device, const char *topic, const char *text) {
  size_t n = 0;
  for (size_t i = 0; i < device->count; i++) {
    const struct message *message = &device->messages[i];
    if (strcmp(message->topic, topic) == 0 && strcmp((const char *) message->payload, text) == 0) n++;
  }
  return n;
}
