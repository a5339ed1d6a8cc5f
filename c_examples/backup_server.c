/* A main server and a backup: nothing listens at the main one, so after its attempts the backup takes over.
 * The waits are shortened; by default they are 2, 4, 8 ... 60 seconds.
 *
 *   cc backup_server.c $(pkg-config --cflags --libs mgos_mqtt) -o backup_server
 *   ./backup_server 127.0.0.1:1883
 *
 * Expected output:
 *   attempt 1: nothing listens at the server's address and port
 *   attempt 2: nothing listens at the server's address and port
 *   attempt 3: nothing listens at the server's address and port
 *   attempt 4: connected
 *   the message went to the backup server
 */
#include <mgos_mqtt.h>
#include <stdio.h>

static int attempts;
static bool delivered;

/* Each attempt ends in exactly one such event. */
static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  int error = mgos_mqtt_event_error(ev);
  (void) c, (void) ud;
  printf("attempt %d: %s\n", ++attempts, error == MGOS_MQTT_OK ? "connected" : mgos_mqtt_strerror(error));
}

static void on_puback(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
  printf("the message went to the backup server\n");
  delivered = true;
}

int main(int argc, char **argv) {
  double deadline = mg_time() + 10;
  char config[512], error[128];
  int len = snprintf(config, sizeof(config),
                     "{\"mqtt\": {\"enable\": true, \"server\": \"127.0.0.1:1\","
                     "           \"reconnect_timeout_min\": 0.05, \"reconnect_timeout_max\": 0.1},"
                     " \"mqtt1\": {\"enable\": true, \"server\": \"%s\", \"reconnect_timeout_min\": 0.05}}",
                     argc > 1 ? argv[1] : "127.0.0.1:1883");

  if (len >= (int) sizeof(config) || !mgos_sys_config_load_json(config, (size_t) len, error, sizeof(error))) {
    fprintf(stderr, "configuration: %s\n", len >= (int) sizeof(config) ? "too long" : error);
    return 1;
  }
  mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL);
  mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_PUBACK, on_puback, NULL, NULL);
  if (mgos_mqtt_pub("examples/backup", "hello", 5, 1, false) == 0) { /* waits for a server, whichever it is */
    fprintf(stderr, "not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }

  while (!delivered && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return delivered ? 0 : 1;
}
