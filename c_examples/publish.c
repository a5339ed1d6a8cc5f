/* Publishes one message with QoS 1 and leaves when the server has it.
 *
 *   cc publish.c $(pkg-config --cflags --libs mgos_mqtt) -o publish
 *   ./publish 127.0.0.1:1883
 *
 * proves: NM-45
 *
 * Expected output:
 *   connected
 *   accepted as packet <id>
 *   the server has packet <id>
 *   closed
 */
#include <mgos_mqtt.h>
#include <stdio.h>
#include <string.h>

static uint16_t packet_id;
static bool acknowledged;

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  (void) nc;
  (void) ud;
  switch (ev) {
    case MG_EV_MQTT_CONNACK:
      printf("connected\n");
      packet_id = mgos_mqtt_pub("examples/greeting", "hello", strlen("hello"), 1, false);
      if (packet_id == 0) {
        printf("not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
      } else {
        printf("accepted as packet %d\n", packet_id);
      }
      break;
    case MG_EV_MQTT_PUBACK:
      printf("the server has packet %d\n", mm->message_id);
      acknowledged = mm->message_id == packet_id;
      break;
    case MG_EV_CLOSE:
      printf("closed\n");
      break;
  }
}

int main(int argc, char **argv) {
  double deadline = mg_time() + 10;
  char why[200] = "no answer";

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);

  /* The connection comes up by itself as soon as the loop is driven. */
  while (!acknowledged && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (!acknowledged) {
    mgos_mqtt_conn_last_error_text(mgos_mqtt_global(), why, sizeof(why));
    fprintf(stderr, "not delivered: %s\n", why);
    return 1;
  }
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return 0;
}
