/* SCRAM-SHA-256 as C sees it: with a server that does it as well, and with one that does not know the password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_property.h>
#include <mgos_mqtt_reason.h>
#include <mgos_mqtt_version.h>
#include "peer.h"
#include "sha256.h"

#define METHOD "SCRAM-SHA-256"
#define ROUNDS 4096
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The server's side. */
struct server {
  const char *user, *password; /* as it knows them */
  const char *rounds;          /* how often it wants the password hashed */
  bool stale;                  /* its proof is that of the exchange before */
  char signed_text[1024];      /* what both sides sign, as far as it is known */
  char proof[64];              /* the server's last word */
  int exchanges;               /* how many were begun */
};

/* The authentication data of CONNECT or AUTH: its text, between the end of the method and what cannot be in it. */
static bool data_of(const struct peer_packet *packet, char *text, size_t size) {
  for (size_t i = 0; i + sizeof(METHOD) + 2 < packet->body_len; i++) {
    const unsigned char *p = packet->body + i;
    if (memcmp(p, METHOD "\x16", sizeof(METHOD)) != 0) continue;
    size_t len = (size_t) p[sizeof(METHOD)] << 8 | p[sizeof(METHOD) + 1];
    if (len >= size || i + sizeof(METHOD) + 2 + len > packet->body_len) return false;
    memcpy(text, p + sizeof(METHOD) + 2, len);
    text[len] = '\0';
    return true;
  }
  return false;
}

static bool send_packet(struct peer *p, const char *head, size_t head_len, const char *data) {
  unsigned char packet[1024];
  size_t data_len = strlen(data), properties = 3 + strlen(METHOD) + 3 + data_len, at = 0;
  packet[at++] = (unsigned char) head[0];
  size_t rest = head_len - 1 + (properties > 127 ? 2 : 1) + properties;
  for (; rest > 127; rest /= 128) packet[at++] = (unsigned char) (rest % 128 | 128);
  packet[at++] = (unsigned char) rest;
  memcpy(packet + at, head + 1, head_len - 1);
  at += head_len - 1;
  if (properties > 127) packet[at++] = (unsigned char) (properties % 128 | 128);
  packet[at++] = (unsigned char) (properties > 127 ? properties / 128 : properties);
  at += (size_t) sprintf((char *) packet + at, "\x15%c%c%s\x16", 0, (int) strlen(METHOD), METHOD);
  packet[at++] = (unsigned char) (data_len >> 8);
  packet[at++] = (unsigned char) data_len;
  memcpy(packet + at, data, data_len);
  return peer_write(p, packet, at + data_len);
}

/* CONNECT or AUTH that begins: the challenge. */
static bool challenge(struct peer *p, void *arg) {
  struct server *server = arg;
  struct peer_packet packet;
  char text[512], name[128], answer[512];
  if (!peer_packet(p, &packet)) return false;
  snprintf(name, sizeof(name), "n,,n=%s,r=", server->user);
  if (!data_of(&packet, text, sizeof(text)) || strncmp(text, name, strlen(name)) != 0) return false;
  for (size_t i = 0; i + strlen(server->password) <= packet.body_len; i++) {
    if (memcmp(packet.body + i, server->password, strlen(server->password)) == 0) return false;
  }
  snprintf(answer, sizeof(answer), "r=%s-server,s=c2FsdA==,i=%s", text + strlen(name), server->rounds);
  snprintf(server->signed_text, sizeof(server->signed_text), "%s,%s", text + 3, answer);
  server->exchanges++;
  return send_packet(p, "\xf0\x18", 2, answer);
}

/* The client's proof: whether it is right, and the server's own. */
static bool check(struct peer *p, void *arg) {
  struct server *server = arg;
  struct peer_packet packet;
  uint8_t salted[32], key[32], stored[32], sign[32];
  char text[512], right[45], *proof;
  if (!peer_packet(p, &packet) || packet.type != 15 || packet.body[0] != 0x18) return false;
  if (!data_of(&packet, text, sizeof(text)) || (proof = strstr(text, ",p=")) == NULL) return false;
  *proof = '\0';
  size_t used = strlen(server->signed_text);
  snprintf(server->signed_text + used, sizeof(server->signed_text) - used, ",%s", text);
  pbkdf2_sha256(server->password, "salt", ROUNDS, salted);
  hmac_sha256(salted, 32, "Client Key", 10, key);
  sha256(key, 32, stored);
  hmac_sha256(stored, 32, server->signed_text, strlen(server->signed_text), sign);
  for (int i = 0; i < 32; i++) sign[i] ^= key[i];
  base64_32(sign, right);
  if (strcmp(proof + 3, right) != 0) return false;
  hmac_sha256(salted, 32, "Server Key", 10, key);
  hmac_sha256(key, 32, server->signed_text, strlen(server->signed_text), sign);
  base64_32(sign, right);
  if (!server->stale) snprintf(server->proof, sizeof(server->proof), "v=%s", right);
  return true;
}

static bool accepts(struct peer *p, void *arg) {
  return send_packet(p, "\x20\0\0", 3, ((struct server *) arg)->proof);
}

static bool is_content(struct peer *p, void *arg) {
  return send_packet(p, "\xf0\0", 2, ((struct server *) arg)->proof);
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s[%d,%s,%u]", mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_AUTH ? "AUTH" : "RESULT", mgos_mqtt_event_code(ev),
        mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"),
        (unsigned) mgos_mqtt_event_attempt_number(ev));
}

/* A connection with SCRAM, and a script whose server knows "user" and "pencil". */
static struct server begin(struct client *client) {
  const struct server server = {.user = "us=3Der", .password = "pencil", .rounds = "4096"};
  if (!mgos_mqtt_has("scram")) skip();
  client->cfg.user = "us=er";
  client->cfg.pass = "pencil";
  client->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  client->options.authentication = MGOS_MQTT_AUTHENTICATION_SCRAM_SHA_256;
  client_renew(client);
  assert_int_equal(
      mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_AUTH, on_event, client, NULL), 0);
  return server;
}

static void each_side_knows_that_the_other_knows_the_password(void **state) {
  struct client *client = *state;
  struct server server = begin(client);
  struct mgos_mqtt_auth again = mgos_mqtt_auth_init();
  const struct mgos_mqtt_property method =
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, "SCRAM-SHA-256");
  char text[512];
  peer_accept(client->peer);
  peer_run(client->peer, challenge, &server);
  peer_run(client->peer, check, &server);
  peer_run(client->peer, accepts, &server);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "RESULT[0,OK,1] ");
  /* Once more, from this thread: any may. */
  again.reason = MGOS_MQTT_REASON_CONTINUE_AUTHENTICATION;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &again), MGOS_MQTT_BUSY);
  again.reason = MGOS_MQTT_REASON_REAUTHENTICATE;
  again.properties = &method;
  again.num_properties = 1;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &again), MGOS_MQTT_BAD_PROPERTY);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "properties: the method and the data are the library's with SCRAM-SHA-256"));
  again.num_properties = 0;
  again.attempt = 2;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &again), MGOS_MQTT_STALE);
  again.attempt = 1;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &again), 0);
  peer_run(client->peer, challenge, &server);
  peer_run(client->peer, check, &server);
  peer_run(client->peer, is_content, &server);
  expect_trace(client, "AUTH[0,OK,1] ");
  assert_int_equal(server.exchanges, 2);
}

/* The credentials function answers from another place than the configuration; they do not travel either. */
static void ask(struct mgos_mqtt_conn *c, uint64_t attempt, void *ud) {
  struct mgos_mqtt_credentials credentials = mgos_mqtt_credentials_init();
  (void) ud;
  credentials.user = "other";
  credentials.password = "the other one";
  credentials.password_len = strlen(credentials.password);
  assert_int_equal(mgos_mqtt_conn_answer(c, attempt, &credentials), 0);
}

static void the_credentials_function_may_say_who_it_is(void **state) {
  struct client *client = *state;
  struct server server = begin(client);
  server.user = "other";
  server.password = "the other one";
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask, NULL, NULL), 0);
  peer_accept(client->peer);
  peer_run(client->peer, challenge, &server);
  peer_run(client->peer, check, &server);
  peer_run(client->peer, accepts, &server);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "RESULT[0,OK,1] ");
}

static void a_server_that_does_not_know_it_is_refused(void **state) {
  struct client *client = *state;
  struct server server = begin(client);
  char text[512];
  strcpy(server.proof, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  server.stale = true;
  client->options.retry = MGOS_MQTT_RETRY_NEVER;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), 0);
  peer_accept(client->peer);
  peer_run(client->peer, challenge, &server);
  peer_run(client->peer, check, &server);
  peer_run(client->peer, accepts, &server);
  peer_expect(client->peer, "e0 01 80");
  peer_expect_end(client->peer);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "RESULT[-1,AUTHENTICATION_FAILED,1] ");
  mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text));
  assert_non_null(strstr(text, "the server's proof is wrong"));
  peer_done(client->peer, client->loop);
  /* Another one wants more work than is allowed. */
  server.rounds = "1000001";
  peer_accept(client->peer);
  peer_run(client->peer, challenge, &server);
  peer_expect(client->peer, "e0 01 80");
  peer_expect_end(client->peer);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "RESULT[-1,AUTHENTICATION_FAILED,2] ");
  mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text));
  assert_non_null(strstr(text, "more than the 1000000 iterations that scram_max_iterations allows"));
}

/* What cannot be prepared, or cannot carry it, is refused before there is a connection. */
static void options_that_do_not_fit(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property method = mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, "m");
  char text[512];
  begin(client);
  client->options.protocol_version = MGOS_MQTT_PROTOCOL_3_1_1;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), MGOS_MQTT_NEEDS_V5);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "authentication: SCRAM-SHA-256 needs MQTT 5.0 (protocol_version 5)"));
  client->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  client->options.authentication = 2;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), MGOS_MQTT_BAD_ARGUMENT);
  client->options.authentication = MGOS_MQTT_AUTHENTICATION_SCRAM_SHA_256;
  client->options.properties = &method;
  client->options.num_properties = 1;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), MGOS_MQTT_BAD_CONFIG);
  client->options.num_properties = 0;
  client->cfg.pass = "p\xc3\xa9ncil";
  assert_false(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "pass: SCRAM-SHA-256 takes passwords of printable ASCII"));
  assert_null(strstr(text, "ncil"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_side_knows_that_the_other_knows_the_password),
      TEST(the_credentials_function_may_say_who_it_is),
      TEST(a_server_that_does_not_know_it_is_refused),
      TEST(options_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
