/* For those who come from Electric Imp: the sample of its MQTT client. Squirrel on the left, C on the right:
 *
 *   if ("mqtt" in getroottable()) ...        mgos_mqtt_has("tls"), mgos_mqtt_version()
 *   client = mqtt.createclient()             mgos_mqtt_options_set_defaults_of(...,
 *                                                MGOS_MQTT_AS_ELECTRIC_IMP),
 *                                            mgos_mqtt_conn_create_on()
 *   client.onconnect(f)                      mgos_mqtt_conn_on_connect(); its result in their numbers is
 *                                            mgos_mqtt_connect_error_as_electric_imp()
 *   client.onmessage(f)                      mgos_mqtt_conn_on_message(): topic and payload have lengths
 *   client.onconnectionlost(f)               mgos_mqtt_conn_on_offline()
 *   client.connect(url, id, {username=...})  mgos_mqtt_conn_set_server() and mgos_mqtt_conn_connect()
 *   client.subscribe(topic, qos, f)          mgos_mqtt_conn_subscribe_all(): result and granted QoS
 *   msg = client.createmessage(topic, text)  struct mgos_mqtt_publication
 *   msg.sendasync(f), msg.sendsync()         mgos_mqtt_conn_publish(), mgos_mqtt_conn_publish_wait()
 *   msg.cancelsend()                         mgos_mqtt_conn_cancel()
 *   mqtt.AT_LEAST_ONCE                       MGOS_MQTT_AT_LEAST_ONCE
 *
 * In addition, the client reconnects by itself (`retry` of the options switches that off).
 *
 *   cc from_electric_imp.c $(pkg-config --cflags --libs mgos_mqtt) -o from_electric_imp
 *   ./from_electric_imp 127.0.0.1:1883
 *
 * proves: EI-05 EI-34 EI-36 EI-41 EI-42 EI-43
 *
 * Expected output:
 *   Connection attempt: 0
 *   Subscribed: 0, granted 1
 *   Sent: 0
 *   Message: 'Hello!' on topic imp/test
 *   Sent and waited: 0
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>

#define TOPIC "imp/test"

static bool acknowledged, received;
static char message[64];

static struct mgos_mqtt_publication create_message(const char *text, size_t len) {
  struct mgos_mqtt_publication result = mgos_mqtt_publication_init();
  result.topic = TOPIC;
  result.qos = MGOS_MQTT_AT_LEAST_ONCE;
  result.payload = text;
  result.payload_len = len;
  return result;
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
  const char *text = mgos_mqtt_event_payload(ev, &len);
  (void) c, (void) ud;
  /* Acknowledgement and message cross on their way: printed by main(), so that the order is always the same.
   */
  snprintf(message, sizeof(message), "'%.*s' on topic %.*s", (int) len, text, (int) topic_len, topic);
  received = true;
}

static void on_sent(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  printf("Sent: %d\n", mgos_mqtt_error_as_electric_imp(mgos_mqtt_event_error(ev)));
  acknowledged = true;
}

/* A refused topic comes with a result of 0, too: its code tells. */
static void on_subscribed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  int result = mgos_mqtt_event_error(ev), granted = mgos_mqtt_event_filter_code(ev, 0);
  struct mgos_mqtt_publication hello = create_message("Hello!", 6);
  (void) ud;
  printf("Subscribed: %d, granted %d\n", mgos_mqtt_error_as_electric_imp(result), granted);
  if (result != MGOS_MQTT_OK || granted == MGOS_MQTT_EI_BAD_SUBSCRIBE) return;
  hello.done = on_sent;
  mgos_mqtt_conn_publish(c, &hello, NULL);
}

static void on_connected(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  static const struct mgos_mqtt_filter topic = {TOPIC, MGOS_MQTT_AT_LEAST_ONCE};
  int result = mgos_mqtt_event_error(ev);
  (void) ud;
  printf("Connection attempt: %d\n", mgos_mqtt_connect_error_as_electric_imp(result));
  if (result == MGOS_MQTT_OK)
    mgos_mqtt_conn_subscribe_all(c, &topic, 1, NULL, NULL, NULL, on_subscribed, NULL);
}

int main(int argc, char **argv) {
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_mqtt_publication last = create_message("Bye!", 4);
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *client;
  double deadline = mg_time() + 10;
  char url[64];
  int outcome;

  snprintf(url, sizeof(url), "tcp://%s", argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_ELECTRIC_IMP);
  client = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (client == NULL) return 1;
  mgos_mqtt_conn_on_connect(client, on_connected, NULL, NULL);
  mgos_mqtt_conn_on_message(client, on_message, NULL, NULL);
  mgos_mqtt_conn_set_server(client, url, "imp.mqtt.test.example", "username", "password");
  mgos_mqtt_conn_connect(client);
  while (!(acknowledged && received) && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  printf("Message: %s\n", message);

  outcome = mgos_mqtt_conn_publish_wait(client, &last, 5000, MGOS_MQTT_CANCEL, NULL);
  printf("Sent and waited: %d\n", mgos_mqtt_error_as_electric_imp(outcome > 0 ? MGOS_MQTT_OK : outcome));
  mgos_mqtt_conn_free(client);
  return outcome == MGOS_MQTT_OUTCOME_ACKED && received ? 0 : 1;
}
