/* Mutual TLS as firmware does it: without a file system, with the certificates as strings in the program. The
 * device proves who it is by its certificate, so that it needs no password; a device without one is refused.
 *
 *   ./embed.sh <directory of ca.pem, client.pem, client.key> .      makes certificates.h
 *   cc tls_mutual.c -I. $(pkg-config --cflags --libs mgos_mqtt) -o tls_mutual
 *   ./tls_mutual 127.0.0.1:8883
 *
 * Expected output:
 *   connected
 *   the server has the message
 *   without a certificate: MGOS_MQTT_TLS_CLIENT_CERTIFICATE
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <stdio.h>

#include "certificates.h" /* ca_pem, device_pem, device_key_pem */

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
static struct mgos_mqtt_conn *attempt(const char *server, bool with_certificate, bool *done,
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
  options.tls_ca = ca_pem; /* this turns TLS on */
  options.tls_ca_len = sizeof(ca_pem) - 1;
  if (with_certificate) {
    options.tls_cert = device_pem;
    options.tls_cert_len = sizeof(device_pem) - 1;
    options.tls_key = device_key_pem;
    options.tls_key_len = sizeof(device_key_pem) - 1;
  }
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
  struct mgos_mqtt_error_info error;
  struct mgos_mqtt_conn *conn;
  bool done = false;
  double deadline = mg_time() + 10;
  char why[300];

  conn = attempt(server, true, &done, &error);
  if (!mgos_mqtt_conn_is_connected(conn)) {
    mgos_mqtt_conn_last_error_text(conn, why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  mgos_mqtt_conn_pub(conn, "examples/secret", mg_mk_str("42"), 1, false);
  while (!done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, false, &done, &error);
  printf("without a certificate: %s\n", mgos_mqtt_error_name(error.code));
  mgos_mqtt_conn_free(conn);
  return 0;
}
