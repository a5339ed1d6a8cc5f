/* Subscribes with a wildcard and prints what arrives: here, what it publishes itself.
 *
 *   cc subscribe.c $(pkg-config --cflags --libs mgos_mqtt) -o subscribe
 *   ./subscribe 127.0.0.1:1883
 *
 * Expected output:
 *   examples/rooms/kitchen: 21.5
 *   examples/rooms/bath: 23.0
 *   examples/rooms/attic: 17.5
 */
#include <mgos_mqtt.h>
#include <stdio.h>
#include <string.h>

static int received;

/* Topic and message have a length and are valid until the handler returns. */
static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc;
  printf("%.*s: %.*s\n", topic_len, topic, msg_len, msg);
  (*(int *) ud)++;
}

int main(int argc, char **argv) {
  static const char *const rooms[][2] = {
      {"examples/rooms/kitchen", "21.5"},
      {"examples/rooms/bath", "23.0"},
      {"examples/rooms/attic", "17.5"},
  };
  double deadline = mg_time() + 10;
  char why[200] = "no messages";
  int i;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);

  /* Before there is a connection: the subscription is made with each connect, the messages wait for it. */
  mgos_mqtt_sub("examples/rooms/+", on_message, &received);
  for (i = 0; i < 3; i++) {
    if (mgos_mqtt_pub(rooms[i][0], rooms[i][1], strlen(rooms[i][1]), 1, false) == 0) {
      fprintf(stderr, "not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
      return 1;
    }
  }

  while (received < 3 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (received < 3) {
    mgos_mqtt_conn_last_error_text(mgos_mqtt_global(), why, sizeof(why));
    fprintf(stderr, "%d of 3 messages: %s\n", received, why);
    return 1;
  }
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return 0;
}
