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
  const char *name;
  struct mgos_mqtt_conn *conn;
  int messages;
};

/* `ud` says whose handler it is; `nc` is the connection that the message came on. */
static void on_ping(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  struct peer *bob = ud;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  printf("%s got ping %.*s\n", bob->name, (int) mm->payload.len, mm->payload.p);
  bob->messages++;
  mgos_mqtt_conn_pub(mgos_mqtt_conn_from_nc(nc), "examples/pong", mm->payload, 1, false);
}

static void on_pong(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *mm = ev_data;
  struct peer *alice = ud;
  (void) nc;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  printf("%s got pong %.*s\n", alice->name, (int) mm->payload.len, mm->payload.p);
  if (++alice->messages == 1) mgos_mqtt_conn_pub(alice->conn, "examples/ping", mg_mk_str("2"), 1, false);
}

/* Bob is ready when the server has taken his subscription; only then alice sends. */
static void on_subscribed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct peer *alice = ud;
  (void) c, (void) ev;
  mgos_mqtt_conn_pub(alice->conn, "examples/ping", mg_mk_str("1"), 1, false);
}

static struct mgos_mqtt_conn *open_connection(struct mgos_mqtt_loop *loop, int number, const char *server,
                                              const char *client_id) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options = {.size = sizeof(options), .profiles = &cfg, .num_profiles = 1};
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  cfg.client_id = client_id;
  return mgos_mqtt_conn_create_on(loop, number, &options);
}

int main(int argc, char **argv) {
  const char *server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct peer alice = {"alice", open_connection(loop, 1, server, "example-alice"), 0};
  struct peer bob = {"bob", open_connection(loop, 2, server, "example-bob"), 0};
  double deadline = mg_time() + 10;
  bool ok;

  if (loop == NULL || alice.conn == NULL || bob.conn == NULL) {
    fprintf(stderr, "no connection: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }
  mgos_mqtt_conn_sub(alice.conn, "examples/pong", 1, on_pong, &alice);
  mgos_mqtt_conn_sub(bob.conn, "examples/ping", 1, on_ping, &bob);
  mgos_mqtt_conn_on(bob.conn, MGOS_MQTT_EV_SUBACK, on_subscribed, &alice, NULL);
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
  if (ok) printf("both are closed\n");
  mgos_mqtt_loop_free(loop); /* and the connections with it */
  return ok ? 0 : 1;
}
