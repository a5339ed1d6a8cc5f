/* For those who come from Mongoose OS: the samples of its MQTT manual. Those in C compile as they are; those
 * in JavaScript become this:
 *
 *   there (mJS)                            here
 *   -------------------------------------  -----------------------------------------------------------
 *   the section `mqtt` of mos.yml          mgos_sys_config_load_json() or mgos_sys_config_set_mqtt_*()
 *   MQTT.setEventHandler(f, ud)            mgos_mqtt_add_global_handler(f, ud); the numbers are the same
 *   MQTT.sub('my/topic/#', f, ud)          mgos_mqtt_sub("my/topic/#", f, ud); topics have a length
 *   MQTT.pub(t, JSON.stringify(...), 1)    mgos_mqtt_pubf(t, 1, false, "{...}", ...)
 *   its result tested as yes or no         the packet id, or 0; why not is in mgos_mqtt_last_error()
 *   MQTT.isConnected()                     mgos_mqtt_global_is_connected()
 *   the firmware runs the events           mongoose_poll() in a loop, or mgos_mqtt_loop_start(NULL) once
 *
 * What differs on purpose: a message is acknowledged after its handler returned, QoS 2 is exact, and a
 * message of QoS 0 without a connection is 0 and not a number.
 *
 *   cc from_mongoose_os.c $(pkg-config --cflags --libs mgos_mqtt) -o from_mongoose_os
 *   ./from_mongoose_os 127.0.0.1:1883
 *
 * proves: MG-40 MG-42 MG-48 MG-49 MG-50 MG-51x
 *
 * Expected output:
 *   Connected: no
 *   Published: no
 *   MQTT event handler: got 202
 *   Connected: yes
 *   Published: yes
 *   MQTT event handler: got 209
 *   Topic: my/topic/a message: {"a": 1, "b": 2}
 *   MQTT event handler: got 204
 *   MQTT event handler: got 214
 *   MQTT event handler: got 5
 */
#include <mgos_mqtt.h>
#include <stdio.h>

static bool arrived, acknowledged;

/* The sample's handler leaves out event 0, the poll tick, which comes all the time. */
static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data, (void) ud;
  if (ev == MG_EV_POLL) return;
  /* Sent and received cross on their way: this example waits, so that its output is always the same. */
  if (ev == MG_EV_MQTT_PUBACK) {
    acknowledged = true;
    return;
  }
  printf("MQTT event handler: got %d\n", ev);
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) ud;
  printf("Topic: %.*s message: %.*s\n", topic_len, topic, msg_len, msg);
  arrived = true;
}

static void publish(void) {
  uint16_t res = mgos_mqtt_pubf("my/topic/a", 1, false, "{a: %d, b: %d}", 1, 2);
  printf("Published: %s\n", res != 0 ? "yes" : "no");
}

static void is_connected(void) {
  printf("Connected: %s\n", mgos_mqtt_global_is_connected() ? "yes" : "no");
}

int main(int argc, char **argv) {
  double deadline = mg_time() + 10;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);
  mgos_mqtt_sub("my/topic/#", on_message, NULL); /* before the connection, as there */

  is_connected();
  /* QoS 1 would wait for the connection; the sample's question is whether it went out. */
  printf("Published: %s\n", mgos_mqtt_pub("my/topic/a", "early", 5, 0, false) != 0 ? "yes" : "no");
  while (!mgos_mqtt_global_is_connected() && mg_time() < deadline) mongoose_poll(100);
  is_connected();
  publish();
  while (!(arrived && acknowledged) && mg_time() < deadline) mongoose_poll(100);
  if (acknowledged) printf("MQTT event handler: got %d\n", MG_EV_MQTT_PUBACK);
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mongoose_poll(100);
  return arrived && acknowledged ? 0 : 1;
}
