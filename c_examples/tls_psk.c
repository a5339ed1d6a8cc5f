/* TLS with a key that this device and the server share, instead of certificates. The library must have been
 * built with -DMGOS_MQTT_PSK=ON. With mosquitto the other half is a line
 * "device-1:00112233445566778899aabbccddeeff" in the file of `psk_file`, and a `psk_hint`.
 *
 *   cc tls_psk.c $(pkg-config --cflags --libs mgos_mqtt) -o tls_psk
 *   ./tls_psk 127.0.0.1:8883
 *
 * proves: MG-13 MG-14 NM-45
 *
 * Expected output:
 *   connected
 *   the server has the message
 *   with another key: MGOS_MQTT_TLS_BAD_PSK
 *   with another identity: MGOS_MQTT_TLS_PSK_IDENTITY
 *   with half a byte: MGOS_MQTT_BAD_CONFIG
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

/* One connection, until it is up or has failed; then `*code` is the error. NULL if it could not even be made.
 */
static struct mgos_mqtt_conn *attempt(const char *server, const char *identity, const char *key, bool *done,
                                      int *code) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options = mgos_mqtt_options_init();
  struct mgos_mqtt_error_info error = mgos_mqtt_error_info_init();
  struct mgos_mqtt_conn *conn;
  double deadline = mg_time() + 10;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  options.profiles = &cfg;
  options.num_profiles = 1;
  cfg.ssl_psk_identity = identity; /* this turns TLS on */
  cfg.ssl_psk_key = key;           /* two hexadecimal digits for each byte */
  conn = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (conn == NULL) {
    *code = mgos_mqtt_last_error();
    return NULL;
  }
  mgos_mqtt_conn_add_handler(conn, on_event, done);
  mgos_mqtt_conn_connect(conn);
  do {
    mgos_mqtt_loop_poll(NULL, 100);
    mgos_mqtt_conn_last_error(conn, &error);
  } while (!mgos_mqtt_conn_is_connected(conn) && error.code == MGOS_MQTT_OK && mg_time() < deadline);
  *code = error.code;
  return conn;
}

int main(int argc, char **argv) {
  const char *server = argc > 1 ? argv[1] : "127.0.0.1:8883", *identity = "device-1";
  const char *key = "00112233445566778899aabbccddeeff", *other_key = "ffeeddccbbaa99887766554433221100";
  struct mgos_mqtt_conn *conn;
  bool done = false;
  int code = 0;
  double deadline = mg_time() + 10;
  char why[300];

  conn = attempt(server, identity, key, &done, &code);
  if (!mgos_mqtt_conn_is_connected(conn)) {
    mgos_mqtt_conn_last_error_text(conn, why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  mgos_mqtt_conn_pub(conn, "examples/secret", mg_mk_str("42"), 1, false);
  while (!done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, identity, other_key, &done, &code);
  printf("with another key: %s\n", mgos_mqtt_error_name(code));
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, "device-2", key, &done, &code);
  printf("with another identity: %s\n", mgos_mqtt_error_name(code));
  mgos_mqtt_conn_free(conn);

  conn = attempt(server, identity, "001", &done, &code);
  printf("with half a byte: %s\n", mgos_mqtt_error_name(code));
  mgos_mqtt_conn_free(conn);
  return 0;
}
