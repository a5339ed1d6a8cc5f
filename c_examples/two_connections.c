/* Two connections on one loop: they have client ids, subscriptions and handlers of their own, and could as
 * well have different servers. One asks, the other answers.
 *
 *   cc two_connections.c $(pkg-config --cflags --libs mgos_mqtt) -o two_connections
 *   ./two_connections 127.0.0.1:1883
 *
 * Expected output:
 *   bob got ping 1
 *   alice got pong 1
 *   bob got ping 2
 *   alice got pong 2
 *   both are closed
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <stdio.h>

struct peer {
  struct mgos_mqtt_conn *conn;
  struct peer *other;
  int messages;
};

static void publish(struct peer *from, const char *topic, struct mg_str text) {
  if (mgos_mqtt_conn_pub(from->conn, topic, text, 1, false) == 0) {
    fprintf(stderr, "not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
  }
}

/* `ud` says whose handler it is. A handler that came with a subscription is also told when the server has
 * taken that: only then alice begins. */
static void on_bobs(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  struct peer *bob = ud;
  (void) nc;
  if (ev == MG_EV_MQTT_SUBACK) publish(bob->other, "examples/ping", mg_mk_str("1"));
  if (ev != MG_EV_MQTT_PUBLISH) return;
  printf("bob got ping %.*s\n", (int) mm->payload.len, mm->payload.p);
  bob->messages++;
  publish(bob, "examples/pong", mm->payload);
}

static void on_alices(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  struct peer *alice = ud;
  (void) nc;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  printf("alice got pong %.*s\n", (int) mm->payload.len, mm->payload.p);
  if (++alice->messages == 1) publish(alice, "examples/ping", mg_mk_str("2"));
}

static struct mgos_mqtt_conn *open_connection(struct mgos_mqtt_loop *loop, int number, const char *server,
                                              const char *client_id) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  cfg.client_id = client_id;
  options.profiles = &cfg;
  options.num_profiles = 1;
  return mgos_mqtt_conn_create_on(loop, number, &options);
}

int main(int argc, char **argv) {
  const char *server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct peer alice = {open_connection(loop, 1, server, "example-alice"), NULL, 0};
  struct peer bob = {open_connection(loop, 2, server, "example-bob"), &alice, 0};
  double deadline = mg_time() + 10;
  bool ok;

  if (loop == NULL || alice.conn == NULL || bob.conn == NULL) {
    fprintf(stderr, "no connection: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }
  mgos_mqtt_conn_sub(alice.conn, "examples/pong", 1, on_alices, &alice);
  mgos_mqtt_conn_sub(bob.conn, "examples/ping", 1, on_bobs, &bob);
  mgos_mqtt_conn_connect(alice.conn);
  mgos_mqtt_conn_connect(bob.conn);

  while (alice.messages < 2 && mg_time() < deadline) mgos_mqtt_loop_poll(loop, 100);
  ok = alice.messages == 2 && bob.messages == 2;

  mgos_mqtt_conn_disconnect(alice.conn);
  mgos_mqtt_conn_disconnect(bob.conn);
  while ((mgos_mqtt_conn_is_connected(alice.conn) || mgos_mqtt_conn_is_connected(bob.conn)) &&
         mg_time() < deadline) {
    mgos_mqtt_loop_poll(loop, 100);
  }
  if (ok) {
    printf("both are closed\n");
  } else {
    char why[200] = "no messages";
    mgos_mqtt_conn_last_error_text(bob.conn, why, sizeof(why));
    fprintf(stderr, "failed: %s\n", why);
  }
  mgos_mqtt_loop_free(loop); /* and the connections with it */
  return ok ? 0 : 1;
}
