/*
 * The large clouds as a device sees them (docs/clouds.md): what their servers look for in CONNECT and in the
 * first packet of TLS, and credentials that are made anew before each CONNECT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include "mgos_mqtt_version.h"
#include "net.h"
#include "peer.h"

/* A credential that is valid for one connection only: a real one would be signed with the time it ends at. */
struct token {
  const char *user;
  const char *format;
  int issued;
};

static void sign(struct mg_connection *nc, const char *client_id, struct mg_send_mqtt_handshake_opts *opts,
                 void *arg) {
  struct token *token = arg;
  char password[160];
  snprintf(password, sizeof(password), token->format, 1700000000 + 3600 * token->issued++);
  if (token->user != NULL) opts->user_name = token->user;
  opts->password = password;
  mg_send_mqtt_handshake_opt(nc, client_id, *opts);
}

/* Azure ends the connection when the token does, and wants another one: a SAS token as the password.
   proves: MG-23 MG-33 */
static void azure_renews_its_sas_token(void **state) {
  struct client *client = *state;
  struct token token = {NULL, "SharedAccessSignature sr=hub.example%%2Fdevices%%2Fd1&sig=abc%%3D&se=%d", 0};
  int i;
  client->cfg.client_id = "d1";
  client->cfg.user = "hub.example/d1/?api-version=2021-04-12";
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, sign, &token);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (i = 0; i < 3; i++) {
    peer_accept(client->peer);
    peer_expect(client->peer,
                "10 @ ='MQTT' 04 c2 003c ='d1' ='hub.example/d1/?api-version=2021-04-12' "
                "='SharedAccessSignature sr=hub.example%%2Fdevices%%2Fd1&sig=abc%%3D&se=%d'",
                1700000000 + 3600 * i);
    peer_send(client->peer, "20 02 00 00");
    peer_done(client->peer, client->loop);
    if (i < 2) peer_close(client->peer);
  }
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_not_equal(mgos_mqtt_conn_pubf(client->c, "devices/d1/messages/events/", 1, false, "{t: %d}", 21),
                       0);
  peer_expect(client->peer, "32 @ ='devices/d1/messages/events/' ?? ?? '{\"t\": 21}'");
  peer_done(client->peer, client->loop);
}

/* Google's IoT Core: the whole path is the client id, the user name is not looked at, the password is a JWT.
   One that has ended is refused with 5, and the next attempt has a new one. proves: MG-23 */
static void google_takes_a_new_jwt_after_a_refusal(void **state) {
  struct client *client = *state;
  struct token token = {"unused", "eyJhbGciOiJFUzI1NiJ9.%d.c2ln", 0};
  const char *id = "projects/p/locations/europe-west1/registries/r/devices/d";
  int i;
  client->cfg.client_id = id;
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, sign, &token);
  assert_true(mgos_mqtt_conn_connect(client->c));
  for (i = 0; i < 3; i++) {
    peer_accept(client->peer);
    peer_expect(client->peer, "10 @ ='MQTT' 04 c2 003c ='%s' ='unused' ='eyJhbGciOiJFUzI1NiJ9.%d.c2ln'", id,
                1700000000 + 3600 * i);
    peer_send(client->peer, i == 1 ? "20 02 00 05" : "20 02 00 00");
    peer_done(client->peer, client->loop);
    if (i == 0) peer_close(client->peer);
  }
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

static void ignore(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

/* AWS closes on QoS 2, which it does not have: the highest QoS lowers it. proves: MG-23 MG-46 */
static void aws_never_sees_qos_2(void **state) {
  struct client *client = *state;
  client->cfg.max_qos = 1;
  client_renew(client);
  client_up(client);
  mgos_mqtt_conn_sub(client->c, "$aws/things/d/shadow/#", 2, ignore, NULL);
  peer_expect(client->peer, "82 @ ?? ?? ='$aws/things/d/shadow/#' 01");
  assert_int_not_equal(
      mgos_mqtt_conn_pub(client->c, "$aws/things/d/shadow/update", mg_mk_str("{}"), 2, false), 0);
  peer_expect(client->peer, "32 @ ='$aws/things/d/shadow/update' ?? ?? '{}'");
  peer_done(client->peer, client->loop);
}

/* IBM's Watson: all of it is configuration. proves: MG-23 */
static void watson_wants_a_fixed_user_name(void **state) {
  struct client *client = *state;
  client->cfg.client_id = "d:org:type:dev";
  client->cfg.user = "use-token-auth";
  client->cfg.pass = "t0ken";
  client_renew(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 c2 003c ='d:org:type:dev' ='use-token-auth' ='t0ken'");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* -- TLS
 * ------------------------------------------------------------------------------------------------------- */

static unsigned number(const uint8_t *at) {
  return (unsigned) (at[0] << 8 | at[1]);
}

/* An extension of a ClientHello (RFC 8446, section 4.1.2), NULL if it has none of this number. */
static const uint8_t *extension(const uint8_t *hello, size_t len, unsigned wanted, size_t *size) {
  const uint8_t *at = hello + 4 + 2 + 32, *end = hello + len;
  at += 1 + at[0];      /* session id */
  at += 2 + number(at); /* cipher suites */
  at += 1 + at[0];      /* compression */
  for (at += 2; at + 4 <= end; at += 4 + number(at + 2)) {
    *size = number(at + 2);
    if (number(at) == wanted) return at + 4;
  }
  return NULL;
}

/* Through port 443, where other protocols are served as well, AWS asks for the protocol's name (ALPN), and
   every cloud for its own (SNI). proves: MG-23 */
static void port_443_with_alpn(void **state) {
  struct client *client = *state;
  uint8_t record[5], hello[4096];
  char server[64];
  const uint8_t *found;
  uint16_t port;
  size_t len, size;
  int listener = net_listen(&port), fd;
  if (!mgos_mqtt_has("tls")) skip();
  /* Its number makes no difference; 443 itself is for root. */
  snprintf(server, sizeof(server), "mqtts://127.0.0.1:%d", port);
  client->cfg.server = server;
  client->options.tls_alpn = "x-amzn-mqtt-ca";
  client->options.tls_server_name = "abc-ats.iot.eu-west-1.amazonaws.com";
  client->options.tls_insecure_skip_verification = 1;
  client_renew(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, !net_nobody(listener, 0));
  fd = net_accept(listener);
  UNTIL(client->loop, recv(fd, record, 5, MSG_PEEK | MSG_DONTWAIT) == 5);
  assert_true(net_read(fd, record, 5));
  assert_int_equal(record[0], 22); /* handshake */
  len = number(record + 3);
  assert_in_range(len, 50, sizeof(hello));
  assert_true(net_read(fd, hello, len));
  assert_int_equal(hello[0], 1); /* ClientHello */
  found = extension(hello, len, 16, &size);
  assert_non_null(found);
  assert_int_equal(size, 2 + 1 + 14);
  assert_memory_equal(found, "\0\x0f\x0ex-amzn-mqtt-ca", 17);
  found = extension(hello, len, 0, &size);
  assert_non_null(found);
  assert_int_equal(size, 2 + 1 + 2 + 35);
  assert_memory_equal(found + 5, "abc-ats.iot.eu-west-1.amazonaws.com", 35);
  mgos_mqtt_conn_abort(client->c);
  close(fd);
  close(listener);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(azure_renews_its_sas_token), WITH_CLIENT(google_takes_a_new_jwt_after_a_refusal),
      WITH_CLIENT(aws_never_sees_qos_2),       WITH_CLIENT(watson_wants_a_fixed_user_name),
      WITH_CLIENT(port_443_with_alpn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
