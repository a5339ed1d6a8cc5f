/* For those who come from NodeMCU: the sample of its MQTT module. Lua on the left, C on the right:
 *
 *   m = mqtt.Client(id, 120, user, password)  mgos_mqtt_options_set_defaults_of(..., MGOS_MQTT_AS_NODEMCU),
 *                                             the fields of these names, mgos_mqtt_conn_create_on()
 *   m:lwt(topic, text, 0, 0)                  mgos_mqtt_conn_set_will()
 *   m:on("connect", f), m:on("offline", f),   mgos_mqtt_conn_on_connect(), mgos_mqtt_conn_on_offline(),
 *   m:on("message", f)                        mgos_mqtt_conn_on_message()
 *   m:connect(host, port, secure, ok, fail)   mgos_mqtt_conn_set_server(), mgos_mqtt_conn_connect_once()
 *   the reason that `fail` is given           mgos_mqtt_error_as_nodemcu(): the same numbers, kept apart
 *   m:subscribe(topic, 0, f)                  mgos_mqtt_conn_subscribe_all(): each call has its own `f`
 *   m:publish(topic, text, 1, 0, f)           mgos_mqtt_conn_publish(): each message has its own `f`
 *   m:close()                                 mgos_mqtt_conn_disconnect(); the client can connect again
 *
 * What the manual warns of does not apply here: calls may follow each other without waiting for an answer,
 * and a connection that reconnects by itself (`retry` of the options) restores its subscriptions.
 *
 *   cc from_nodemcu.c $(pkg-config --cflags --libs mgos_mqtt) -o from_nodemcu
 *   ./from_nodemcu 127.0.0.1:1883
 *
 * proves: NM-09 NM-19 NM-35 NM-39 NM-41 NM-45
 *
 * Expected output, in any order:
 *   failed reason: -5
 *   connected
 *   subscribe success: /topic
 *   subscribe success: /other
 *   sent 1
 *   sent 2
 *   /topic: hello
 *   /other: nothing
 *   offline
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>

static int subscribed, sent, messages;
static bool failed, up, offline;

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
  const char *data = mgos_mqtt_event_payload(ev, &len);
  (void) c, (void) ud;
  /* Lua's `data` is nil for an empty message; here it is an empty string. */
  printf("%.*s: %s\n", (int) topic_len, topic, len > 0 ? data : "nothing");
  messages++;
}

static void on_offline(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
  printf("offline\n");
  offline = true;
}

static void on_subscribed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  if (mgos_mqtt_event_error(ev) != MGOS_MQTT_OK || mgos_mqtt_event_filter_code(ev, 0) >= 0x80) return;
  printf("subscribe success: %s\n", (const char *) ud);
  subscribed++;
}

static void on_sent(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  if (mgos_mqtt_event_outcome(ev) != MGOS_MQTT_OUTCOME_ACKED) return;
  printf("sent %s\n", (const char *) ud);
  sent++;
}

static void publish(struct mgos_mqtt_conn *c, const char *topic, const char *text, size_t len, char *which) {
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  message.topic = topic;
  message.qos = 1;
  message.done = on_sent;
  message.payload = text;
  message.payload_len = len;
  message.ud = which;
  mgos_mqtt_conn_publish(c, &message, NULL);
}

static void on_ok(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  static const struct mgos_mqtt_filter topic = {"/topic", 0}, other = {"/other", 0};
  (void) ev, (void) ud;
  printf("connected\n");
  up = true;
  /* Two calls of each kind in a row: in Lua the second would take the first one's callback away. */
  mgos_mqtt_conn_subscribe_all(c, &topic, 1, NULL, NULL, NULL, on_subscribed, "/topic");
  mgos_mqtt_conn_subscribe_all(c, &other, 1, NULL, NULL, NULL, on_subscribed, "/other");
  publish(c, "/topic", "hello", 5, "1");
  publish(c, "/other", NULL, 0, "2");
}

static void on_fail(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  printf("failed reason: %d\n", mgos_mqtt_error_as_nodemcu(mgos_mqtt_event_error(ev)));
  failed = true;
}

static void until(const bool *done) {
  double deadline = mg_time() + 10;
  while (!*done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
}

int main(int argc, char **argv) {
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *m;
  double deadline = mg_time() + 10;

  mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_NODEMCU);
  cfg.client_id = "example-nodemcu";
  cfg.user = "user";
  cfg.pass = "password";
  m = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (m == NULL) return 1;
  mgos_mqtt_conn_set_will(m, "/lwt", "offline", 7, 0, false);
  mgos_mqtt_conn_on_offline(m, on_offline, NULL, NULL);
  mgos_mqtt_conn_on_message(m, on_message, NULL, NULL);

  /* Nobody listens at port 1: one of the two functions is told, and once. */
  mgos_mqtt_conn_set_server(m, "127.0.0.1:1", NULL, NULL, NULL);
  mgos_mqtt_conn_connect_once(m, on_ok, on_fail, NULL);
  until(&failed);

  mgos_mqtt_conn_set_server(m, argc > 1 ? argv[1] : "127.0.0.1:1883", NULL, NULL, NULL);
  mgos_mqtt_conn_connect_once(m, on_ok, on_fail, NULL);
  until(&up);
  while ((subscribed < 2 || sent < 2 || messages < 2) && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);

  mgos_mqtt_conn_disconnect(m);
  until(&offline);
  mgos_mqtt_conn_free(m);
  return offline && messages == 2 ? 0 : 1;
}
