/* A whole device: configuration from a text, will and retained state, telemetry, commands, a log, reconnects,
 * and a clean end. So that it needs nobody else, it sends the commands to itself.
 *   cc firmware_main.c $(pkg-config --cflags --libs mgos_mqtt) -o firmware_main
 *   ./firmware_main 127.0.0.1:1883
 * Expected output:
 *   [info] attempt to connect
 *   [info] online
 *   sent telemetry 1
 *   sent telemetry 2
 *   command: led 1
 *   sent telemetry 3
 *   sent telemetry 4
 *   command: reconnect
 *   [info] offline: the application closed the connection
 *   [info] attempt to connect
 *   [info] online
 *   sent telemetry 5
 *   sent telemetry 6
 *   command: stop
 *   [info] offline: the application closed the connection
 *   stopped, led is 1
 */
#include <mgos_mqtt.h>
#include <stdio.h>
#include <string.h>

#define DEVICE "examples/pump-7/"

/* Would be read from flash. The server is set by main(). */
static const char config[] =
    "{\"device\": {\"id\": \"example-pump-7\"},"
    " \"mqtt\": {\"enable\": true, \"clean_session\": false, \"keep_alive\": 30,"
    "            \"will_topic\": \"" DEVICE "state\", \"will_message\": \"lost\", \"will_retain\": true}}";

static bool running = true;
static int led, telemetry;

static void on_log(int level, int conn_id, const char *text, void *ud) {
  static const char *const levels[] = {"error", "warning", "info", "debug"};
  (void) conn_id, (void) ud;
  fprintf(stderr, "%s: %s\n", levels[level], text);
}

static void on_link(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  char why[200];
  (void) ud;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECTING:
      printf("[info] attempt to connect\n");
      break;
    case MGOS_MQTT_EV_CONNECT_RESULT:
      if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
        printf("[info] online\n");
        mgos_mqtt_pub(DEVICE "state", "online", 6, 1, true);
      } else { /* the next attempt comes by itself */
        mgos_mqtt_conn_last_error_text(c, why, sizeof(why));
        printf("[warn] not connected: %s\n", why);
      }
      break;
    case MGOS_MQTT_EV_CLOSE:
      printf("[info] offline: %s\n", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
      break;
  }
}

static void on_command(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) ud;
  printf("command: %.*s\n", msg_len, msg); /* a NUL follows the message, so it is a C string, too */
  if (sscanf(msg, "led %d", &led) == 1) return;
  if (strcmp(msg, "reconnect") == 0) mgos_mqtt_conn_reconnect(mgos_mqtt_global());
  if (strcmp(msg, "stop") == 0) running = false;
}

static void send_telemetry(void) {
  static const char *const commands[] = {"led 1", "reconnect", "stop"};
  const char *command;
  if (mgos_mqtt_pubf(DEVICE "telemetry", 1, false, "{n: %d, temperature: %.1f, led: %B}", telemetry + 1, 21.5,
                     led) == 0) {
    printf("[warn] no telemetry: %s\n",
           mgos_mqtt_strerror(mgos_mqtt_last_error())); /* such as: the queue is full */
    return;
  }
  printf("sent telemetry %d\n", ++telemetry);
  if (telemetry % 2 != 0 || telemetry > 6) return;
  command = commands[telemetry / 2 - 1];
  mgos_mqtt_pub(DEVICE "command", command, strlen(command), 0, false);
}

int main(int argc, char **argv) {
  double now, started = mg_time(), next = started;
  char error[128];

  mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_WARN, on_log, NULL, NULL);
  if (!mgos_sys_config_load_json(config, strlen(config), error, sizeof(error))) {
    fprintf(stderr, "configuration: %s\n", error);
    return 1;
  }
  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_mqtt_conn_on(mgos_mqtt_global(),
                    MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_link, NULL,
                    NULL);
  mgos_mqtt_sub(DEVICE "command", on_command, NULL);

  while (running && (now = mg_time()) < started + 20) {
    if (mgos_mqtt_global_is_connected() && now >= next) {
      send_telemetry();
      next = now + 0.2;
    }
    mgos_mqtt_loop_poll(NULL, 50);
  }

  mgos_mqtt_pub(DEVICE "state", "offline", 7, 1,
                true); /* goes out before DISCONNECT, which silences the will */
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < started + 25) mgos_mqtt_loop_poll(NULL, 50);
  printf("stopped, led is %d\n", led);
  return running ? 1 : 0;
}
