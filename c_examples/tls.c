/* TLS with the certificate of the CA that signed the server's. What happens when it is another one, or when
 * the server's certificate is for another name, is seen too: the connection fails with its own error.
 *
 *   cc tls.c $(pkg-config --cflags --libs mgos_mqtt) -o tls
 *   ./tls 127.0.0.1:8883 ca.pem other-ca.pem
 *
 * proves: NM-45
 *
 * Expected output:
 *   connected
 *   the server has the message
 *   with another CA: MGOS_MQTT_TLS_UNTRUSTED
 *   for another name: MGOS_MQTT_TLS_WRONG_NAME
 *   tls: the certificate is for localhost and 127.0.0.1, not broker.example
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <stdio.h>

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc;
  (void) ev_data;
  if (ev == MG_EV_MQTT_CONNACK) printf("connected\n");
  if (ev == MG_EV_MQTT_PUBACK) {
    printf("the server has the message\n");
    *(bool *) ud = true;
  }
}

/* One connection, until it is up or has failed. */
static struct mgos_mqtt_conn *attempt(const char *server, const char *ca, const char *name, bool *done,
                                      struct mgos_mqtt_error_info *error) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_mqtt_conn *conn;
  double deadline = mg_time() + 10;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  options.profiles = &cfg;
  options.num_profiles = 1;
  cfg.ssl_ca_cert = ca; /* this turns TLS on */
  options.tls_server_name = name;
  conn = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (conn == NULL) return NULL;
  mgos_mqtt_conn_add_handler(conn, on_event, done);
  mgos_mqtt_conn_connect(conn);
  *error = mgos_mqtt_error_info_init();
  do {
    mgos_mqtt_loop_poll(NULL, 100);
    mgos_mqtt_conn_last_error(conn, error);
  } while (!mgos_mqtt_conn_is_connected(conn) && error->code == MGOS_MQTT_OK && mg_time() < deadline);
  return conn;
}

int main(int argc, char **argv) {
  const char *server = argc > 1 ? argv[1] : "127.0.0.1:8883";
  const char *ca = argc > 2 ? argv[2] : "ca.pem", *other_ca = argc > 3 ? argv[3] : "other-ca.pem";
  struct mgos_mqtt_error_info error;
  struct mgos_mqtt_conn *conn;
  bool done = false;
  double deadline = mg_time() + 10;
  char why[300];

  conn = attempt(server, ca, NULL, &done, &error);
  if (!mgos_mqtt_conn_is_connected(conn)) {
    mgos_mqtt_conn_last_error_text(conn, why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  mgos_mqtt_conn_pub(conn, "examples/secret", mg_mk_str("42"), 1, false);
  while (!done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, other_ca, NULL, &done, &error);
  printf("with another CA: %s\n", mgos_mqtt_error_name(error.code));
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, ca, "broker.example", &done, &error);
  printf("for another name: %s\n", mgos_mqtt_error_name(error.code));
  mgos_mqtt_conn_last_error_text(conn, why, sizeof(why));
  printf("%s\n", why);
  mgos_mqtt_conn_free(conn);
  return 0;
}
