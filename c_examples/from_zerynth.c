/* For those who come from Zerynth: the sample of its MQTT module. Python on the left, C on the right:
 *
 *   client = mqtt.MQTT(host, id, ...)    mgos_mqtt_options_set_defaults_of(..., MGOS_MQTT_AS_ZERYNTH),
 *                                        the fields of these names, mgos_mqtt_conn_create_on()
 *   reconnect_after, network_timeout     `reconnect_timeout_min` with `fixed_delay`; the time-outs of the
 *                                        options, which work here
 *   client.connect(), its exceptions     mgos_mqtt_conn_connect_wait(), mgos_mqtt_error_as_zerynth()
 *   client.on(topic, f, qos=1)           mgos_mqtt_conn_subscribe()
 *   client.publish(topic, text, qos=1,   mgos_mqtt_conn_publish_wait(), which also asks what becomes of the
 *                  timeout=5000)         message when the time is over
 *   client.receive()                     mgos_mqtt_conn_subscribe_queue(), mgos_mqtt_conn_receive(), and
 *                                        mgos_mqtt_msg_release(), which acknowledges the message
 *   client.pending_subscriptions()       mgos_mqtt_conn_pending_subscriptions()
 *   client.stats()                       mgos_mqtt_conn_stats(): these eight, and more
 *   client.loop()                        mgos_mqtt_loop_run(), which mgos_mqtt_loop_break() ends
 *
 *   cc from_zerynth.c $(pkg-config --cflags --libs mgos_mqtt) -o from_zerynth
 *   ./from_zerynth 127.0.0.1:1883
 *
 * proves: ZY-19 ZY-22 ZY-23 ZY-27 ZY-28 ZY-37
 *
 * Expected output, in any order:
 *   MQTTConnectionServerUnavailable
 *   connected, 2 subscriptions pending
 *   sample: 21.5
 *   published, 0 subscriptions pending
 *   received on desktop/other: 22.5
 *   published without waiting
 *   sample: stop
 *   messages sent 3, received 3, disconnections 0
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_stats.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>
#include <string.h>

static void print_sample(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t len;
  const char *text = mgos_mqtt_event_payload(ev, &len);
  (void) c, (void) ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  printf("sample: %.*s\n", (int) len, text);
  if (strcmp(text, "stop") == 0) mgos_mqtt_loop_break(NULL);
}

/* As publish(topic, text, qos=1, timeout=...): the exception, or MGOS_MQTT_ZY_NONE. */
static int publish(struct mgos_mqtt_conn *client, const char *topic, const char *text, int timeout_ms) {
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  int outcome;
  message.topic = topic;
  message.qos = 1;
  message.payload = text;
  message.payload_len = strlen(text);
  if (timeout_ms == 0) {
    return mgos_mqtt_error_as_zerynth(mgos_mqtt_conn_publish(client, &message, NULL));
  }
  outcome = mgos_mqtt_conn_publish_wait(client, &message, timeout_ms, MGOS_MQTT_CANCEL, NULL);
  if (outcome > 0)
    return outcome == MGOS_MQTT_OUTCOME_ACKED ? MGOS_MQTT_ZY_NONE : MGOS_MQTT_ZY_PUBLISH_GENERIC_ERROR;
  return outcome == MGOS_MQTT_TIMED_OUT ? MGOS_MQTT_ZY_PUBLISH_TIMEOUT : mgos_mqtt_error_as_zerynth(outcome);
}

int main(int argc, char **argv) {
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_mqtt_stats stats = mgos_mqtt_stats_init();
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *client;
  struct mgos_mqtt_msg *msg;
  size_t topic_len, len;
  int error;

  mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_ZERYNTH);
  cfg.client_id = "example-zerynth";
  cfg.server = "127.0.0.1:1"; /* nobody listens there */
  client = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (client == NULL) return 1;
  error = mgos_mqtt_conn_connect_wait(client, 6000);
  printf("%s\n", mgos_mqtt_zerynth_name(mgos_mqtt_error_as_zerynth(error)));

  mgos_mqtt_conn_set_server(client, argc > 1 ? argv[1] : "127.0.0.1:1883", NULL, NULL, NULL);
  error = mgos_mqtt_conn_connect_wait(client, 6000);
  if (error != MGOS_MQTT_OK) {
    fprintf(stderr, "%s\n", mgos_mqtt_strerror(error));
    return 1;
  }
  mgos_mqtt_conn_subscribe(client, "desktop/samples", 1, print_sample, NULL, NULL);
  mgos_mqtt_conn_subscribe_queue(client, "desktop/other", 1);
  printf("connected, %d subscriptions pending\n", (int) mgos_mqtt_conn_pending_subscriptions(client));

  /* Waits for the acknowledgement, and drives the loop meanwhile: callbacks run here. */
  if (publish(client, "desktop/samples", "21.5", 5000) != MGOS_MQTT_ZY_NONE) return 1;
  printf("published, %d subscriptions pending\n", (int) mgos_mqtt_conn_pending_subscriptions(client));

  if (publish(client, "desktop/other", "22.5", 5000) != MGOS_MQTT_ZY_NONE) return 1;
  if (mgos_mqtt_conn_receive(client, 5000, &msg) != MGOS_MQTT_OK) return 1;
  const char *topic = mgos_mqtt_msg_topic(msg, &topic_len);
  const char *text = mgos_mqtt_msg_payload(msg, &len);
  printf("received on %.*s: %.*s\n", (int) topic_len, topic, (int) len, text);
  mgos_mqtt_msg_release(msg);

  if (publish(client, "desktop/samples", "stop", 0) != MGOS_MQTT_ZY_NONE) return 1;
  printf("published without waiting\n");
  mgos_mqtt_loop_run(NULL);

  mgos_mqtt_conn_stats(client, &stats);
  printf("messages sent %d, received %d, disconnections %d\n", (int) stats.tx_messages,
         (int) stats.rx_messages, (int) stats.disconnects);
  mgos_mqtt_conn_free(client);
  return 0;
}
