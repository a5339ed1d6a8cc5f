/* Programs of other systems: their error numbers, for errors that really happened, and their defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_version.h>
#include "net.h"
#include "peer.h"

/* -- how an attempt ended -------------------------------------------------------------------------- */

/* The error of the one attempt that was made; 1 before it ended. */
static int result;

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  if (result == 1) result = mgos_mqtt_event_error(ev);
}

/* Connects once and returns the error. */
static int attempt(struct client *client) {
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL);
  result = 1;
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, result != 1);
  mgos_mqtt_conn_disconnect(client->c);
  return result;
}

/* Connects to a server that answers CONNECT like this. */
static int answered(struct client *client, const char *bytes) {
  int error;
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "%s", bytes);
  error = attempt(client);
  if (error == 0) peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  return error;
}

static int refused(struct client *client, int connack) {
  char bytes[32];
  snprintf(bytes, sizeof(bytes), "20 02 00 %02x", (unsigned) connack);
  return answered(client, bytes);
}

#define SAYS(error, imp, nodemcu, zerynth)                                  \
  do {                                                                      \
    int error_ = (error);                                                   \
    assert_int_equal(mgos_mqtt_connect_error_as_electric_imp(error_), imp); \
    assert_int_equal(mgos_mqtt_error_as_nodemcu(error_), nodemcu);          \
    assert_int_equal(mgos_mqtt_error_as_zerynth(error_), zerynth);          \
  } while (0)

/* proves: NM-27 NM-28 NM-29 NM-30 NM-31 NM-26 */
static void refusals_of_the_server_for_nodemcu(void **state) {
  struct client *client = *state;
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 0)), MGOS_MQTT_NM_CONNACK_ACCEPTED);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 1)), MGOS_MQTT_NM_CONNACK_REFUSED_PROTOCOL_VER);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 2)), MGOS_MQTT_NM_CONNACK_REFUSED_ID_REJECTED);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 3)),
                   MGOS_MQTT_NM_CONNACK_REFUSED_SERVER_UNAVAILABLE);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 4)),
                   MGOS_MQTT_NM_CONNACK_REFUSED_BAD_USER_OR_PASS);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(refused(client, 5)),
                   MGOS_MQTT_NM_CONNACK_REFUSED_NOT_AUTHORIZED);
  assert_int_equal(MGOS_MQTT_NM_CONNACK_ACCEPTED, 0);
  assert_int_equal(MGOS_MQTT_NM_CONNACK_REFUSED_PROTOCOL_VER, 1);
  assert_int_equal(MGOS_MQTT_NM_CONNACK_REFUSED_NOT_AUTHORIZED, 5);
}

/* proves: ZY-02 ZY-03 ZY-05 ZY-06 ZY-01 */
static void refusals_of_the_server_for_the_others(void **state) {
  struct client *client = *state;
  SAYS(refused(client, 0), 0, 0, MGOS_MQTT_ZY_NONE);
  SAYS(refused(client, 1), 1, 1, MGOS_MQTT_ZY_CONNECTION_BAD_VERSION);
  SAYS(refused(client, 2), 2, 2, MGOS_MQTT_ZY_CONNECTION_BAD_IDENTIFIER);
  SAYS(refused(client, 3), 3, 3, MGOS_MQTT_ZY_CONNECTION_SERVER_UNAVAILABLE);
  SAYS(refused(client, 4), 4, 4, MGOS_MQTT_ZY_CONNECTION_BAD_CREDENTIALS);
  SAYS(refused(client, 5), 5, 5, MGOS_MQTT_ZY_CONNECTION_NOT_AUTHORIZED);
  SAYS(refused(client, 6), -1, MGOS_MQTT_NM_CONN_FAIL_NOT_A_CONNACK_MSG, MGOS_MQTT_ZY_ERROR);
  assert_true(MGOS_MQTT_IS_ERROR(refused(client, 6)));
  assert_string_equal(mgos_mqtt_zerynth_name(MGOS_MQTT_ZY_CONNECTION_BAD_CREDENTIALS),
                      "MQTTConnectionBadCredentials");
  assert_string_equal(mgos_mqtt_zerynth_name(99), "");
}

/* proves: NM-21 NM-22 NM-23 NM-24 NM-25 ZY-04 */
static void what_comes_before_an_answer(void **state) {
  struct client *client = *state;
  struct black_hole hole;
  const int unavailable = MGOS_MQTT_ZY_CONNECTION_SERVER_UNAVAILABLE;
  char address[32];
  client->options.tcp_timeout_ms = 100;
  SAYS(answered(client, "d0 00"), -1, MGOS_MQTT_NM_CONN_FAIL_NOT_A_CONNACK_MSG, MGOS_MQTT_ZY_ERROR);

  client->options.connack_timeout_ms = 100;
  SAYS(answered(client, ""), -1, MGOS_MQTT_NM_CONN_FAIL_TIMEOUT_RECEIVING, unavailable);

  client->cfg.server = "no-such-host.invalid";
  SAYS(attempt(client), -1, MGOS_MQTT_NM_CONN_FAIL_DNS, unavailable);

  snprintf(address, sizeof(address), "127.0.0.1:%u", net_free_port());
  client->cfg.server = address;
  SAYS(attempt(client), -1, MGOS_MQTT_NM_CONN_FAIL_SERVER_NOT_FOUND, unavailable);

  black_hole_open(&hole);
  snprintf(address, sizeof(address), "127.0.0.1:%u", hole.port);
  SAYS(attempt(client), -1, MGOS_MQTT_NM_CONN_FAIL_TIMEOUT_SENDING, unavailable);
  black_hole_close(&hole);
}

/* -- what a call returned -------------------------------------------------------------------------- */

static int imp(void) {
  return mgos_mqtt_error_as_electric_imp(mgos_mqtt_last_error());
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

/* proves: EI-07 EI-10 EI-12 EI-13 EI-14 EI-16 */
static void calls_of_electric_imp(void **state) {
  struct client *client = *state;
  struct mg_str with_nul = MG_MK_STR("a\0b");
  client_up(client);
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 0);
  assert_int_equal(imp(), MGOS_MQTT_EI_SUCCESS);
  assert_int_equal(mgos_mqtt_last_error(), 0);
  peer_expect(client->peer, "30 @ ='t' 'x'");
  mgos_mqtt_conn_pub(client->c, "\xff", mg_mk_str("x"), 0, false);
  assert_int_equal(imp(), MGOS_MQTT_EI_BAD_UTF8_STRING);
  mgos_mqtt_conn_pub(client->c, NULL, mg_mk_str("x"), 0, false);
  assert_int_equal(imp(), MGOS_MQTT_EI_NULL_PARAMETER);
  mgos_mqtt_conn_sub_s(client->c, with_nul, 0, on_event, NULL);
  assert_int_equal(imp(), MGOS_MQTT_EI_TOPICNAME_TRUNCATED);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 3, false);
  assert_int_equal(imp(), MGOS_MQTT_EI_BAD_QOS);
  peer_close(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false);
  assert_int_equal(imp(), MGOS_MQTT_EI_DISCONNECTED);
}

/* proves: EI-06 EI-15 EI-19 EI-17 */
static void limits_of_electric_imp(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_options options = client->options;
  long i;
  options.size = 3;
  assert_null(mgos_mqtt_conn_create_on(client->loop, 1, &options));
  assert_int_equal(imp(), MGOS_MQTT_EI_BAD_STRUCTURE);
  client->cfg.max_queue_length = 2;
  client_renew(client);
  for (i = 0; i < 3; i++) mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
  assert_int_equal(imp(), MGOS_MQTT_EI_MAX_BUFFERED_MESSAGES);
  client->cfg.max_queue_length = 100000;
  client->options.max_outgoing_bytes = 16 << 20;
  client_renew(client);
  for (i = 0; i < 65535; i++) {
    if (mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false) == 0) fail_msg("%ld", i);
  }
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 0);
  assert_int_equal(imp(), MGOS_MQTT_EI_NO_MORE_MSGIDS);
  /* Every code has a name and a text, and so does what is none. */
  assert_string_equal(mgos_mqtt_error_name(MGOS_MQTT_QUEUE_FULL), "MGOS_MQTT_QUEUE_FULL");
  assert_non_null(strstr(mgos_mqtt_strerror(MGOS_MQTT_QUEUE_FULL), "queue"));
}

/* proves: EI-08 EI-11 EI-18 EI-20 ZY-07 ZY-08 */
static void numbers_of_errors_that_other_tests_provoke(void **state) {
  (void) state;
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_CONNECTION_RESET), MGOS_MQTT_EI_FAILURE);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_CONNECT_REFUSED), MGOS_MQTT_EI_FAILURE);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_TLS_EXPIRED), MGOS_MQTT_EI_FAILURE);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_STORE_FAILED), MGOS_MQTT_EI_PERSISTENCE_ERROR);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_MAX_INFLIGHT),
                   MGOS_MQTT_EI_MAX_MESSAGES_INFLIGHT);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_INCOMPLETE), MGOS_MQTT_EI_OPERATION_INCOMPLETE);
  assert_int_equal(mgos_mqtt_error_as_electric_imp(MGOS_MQTT_SUBSCRIBE_REFUSED), 0x80);
  assert_int_equal(mgos_mqtt_error_as_zerynth(MGOS_MQTT_TIMED_OUT), MGOS_MQTT_ZY_PUBLISH_TIMEOUT);
  assert_int_equal(mgos_mqtt_error_as_zerynth(MGOS_MQTT_QUEUE_FULL), MGOS_MQTT_ZY_PUBLISH_GENERIC_ERROR);
  assert_string_equal(mgos_mqtt_zerynth_name(MGOS_MQTT_ZY_PUBLISH_TIMEOUT), "MQTTPublishTimeout");
  /* None of them can be taken for the other: what is no error of this library has no number anywhere. */
  assert_int_equal(mgos_mqtt_error_as_electric_imp(-1), MGOS_MQTT_NO_EQUIVALENT);
  assert_int_equal(mgos_mqtt_connect_error_as_electric_imp(-5), MGOS_MQTT_NO_EQUIVALENT);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(5), MGOS_MQTT_NO_EQUIVALENT);
  assert_int_equal(mgos_mqtt_error_as_nodemcu(MGOS_MQTT_QUEUE_FULL), MGOS_MQTT_NO_EQUIVALENT);
  assert_int_equal(mgos_mqtt_error_as_zerynth(MGOS_MQTT_NO_EQUIVALENT), MGOS_MQTT_NO_EQUIVALENT);
  assert_false(MGOS_MQTT_IS_ERROR(0));
  assert_false(MGOS_MQTT_IS_ERROR(-1));
  assert_false(MGOS_MQTT_IS_ERROR(MGOS_MQTT_NO_EQUIVALENT));
  assert_true(MGOS_MQTT_IS_ERROR(MGOS_MQTT_NULL_ARGUMENT));
}

/* A program asks what there is before it uses it, and goes on without. */
/* proves: EI-01 */
static void what_is_there_can_be_asked(void **state) {
  (void) state;
  assert_true(mgos_mqtt_has("capi"));
  assert_false(mgos_mqtt_has("no-such-feature"));
  assert_true(mgos_mqtt_version_number() >= MGOS_MQTT_VERSION_NUMBER);
}

/* -- defaults -------------------------------------------------------------------------------------- */

/* What a system wants must hold on a real connection, not only stand in a structure. */
static void mongoose_os_keeps_the_newest_five(void **state) {
  struct client *client = *state;
  const char *server = client->cfg.server;
  char text[2] = "0";
  int i;
  mgos_mqtt_conn_free(client->c);
  assert_int_equal(
      mgos_mqtt_options_set_defaults_of(&client->options, &client->cfg, MGOS_MQTT_AS_MONGOOSE_OS), 0);
  assert_int_equal(client->cfg.enable, 0);
  assert_ptr_equal(client->options.profiles, &client->cfg);
  assert_int_equal(client->options.num_profiles, 1);
  client->cfg.enable = 1;
  client->cfg.server = server;
  client->cfg.client_id = "c";
  client->c = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  for (i = 1; i <= 7; i++) {
    text[0] = (char) ('0' + i);
    assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str(text), 1, false), i);
  }
  client_up(client);
  for (i = 3; i <= 7; i++) peer_expect(client->peer, "32 @ ='t' %04x '%d'", i, i);
  peer_done(client->peer, client->loop);
}

static void zerynth_comes_back_after_exactly_five_seconds(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt cfg;
  (void) client;
  memset(&options, 0xee, sizeof(options));
  options.size = sizeof(options);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_ZERYNTH), 0);
  assert_true(cfg.reconnect_timeout_min == 5.0 && cfg.reconnect_timeout_max == 5.0);
  assert_int_equal(options.fixed_delay, 1);
  assert_int_equal(options.jitter_percent, -1);
  assert_int_equal(options.connack_timeout_ms, 6000);
  assert_int_equal(options.tcp_timeout_ms, 6000);
  assert_int_equal(options.overflow, 0);
  assert_null(options.tls_ca);
  assert_int_equal(cfg.keep_alive, 60);
  assert_true(cfg.enable && cfg.clean_session);
  assert_int_equal(mgos_mqtt_subscribe_qos_of(MGOS_MQTT_AS_ZERYNTH), 1);
}

static void nodemcu_says_so_in_connect(void **state) {
  struct client *client = *state;
  const char *server = client->cfg.server;
  mgos_mqtt_conn_free(client->c);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&client->options, &client->cfg, MGOS_MQTT_AS_NODEMCU),
                   0);
  assert_int_equal(client->options.retry, 2); /* what that does is tested with the option */
  client->cfg.server = server;
  client->cfg.client_id = "c";
  client->c = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 0078 ='c'");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_subscribe_qos_of(MGOS_MQTT_AS_NODEMCU), 0);
}

static void any_header_and_any_system(void **state) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt cfg;
  size_t first = offsetof(struct mgos_mqtt_options, tls_server_name), i;
  (void) state;
  memset(&options, 0xee, sizeof(options));
  memset(&cfg, 0xee, sizeof(cfg));
  options.size = first;
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&options, &cfg, 0), MGOS_MQTT_BAD_ARGUMENT);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&options, &cfg, 5), MGOS_MQTT_BAD_ARGUMENT);
  assert_int_equal(options.fixed_delay, (int) 0xeeeeeeee);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&options, NULL, MGOS_MQTT_AS_ELECTRIC_IMP), 0);
  assert_int_equal(options.size, first);
  assert_int_equal(options.protocol_version, 4);
  assert_null(options.profiles);
  for (i = first; i < sizeof(options); i++) assert_int_equal(((unsigned char *) &options)[i], 0xee);
  options.size = 1;
  assert_int_equal(mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_NODEMCU),
                   MGOS_MQTT_BAD_STRUCTURE);
  assert_int_equal(((unsigned char *) &cfg)[0], 0xee);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(NULL, &cfg, MGOS_MQTT_AS_NODEMCU), 0);
  assert_int_equal(cfg.keep_alive, 120);
  assert_int_equal(mgos_mqtt_options_set_defaults_of(NULL, NULL, MGOS_MQTT_AS_NODEMCU), 0);
  assert_int_equal(mgos_mqtt_subscribe_qos_of(MGOS_MQTT_AS_MONGOOSE_OS), 1);
  assert_int_equal(mgos_mqtt_subscribe_qos_of(MGOS_MQTT_AS_ELECTRIC_IMP), 0);
  assert_int_equal(mgos_mqtt_subscribe_qos_of(9), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(refusals_of_the_server_for_nodemcu, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(refusals_of_the_server_for_the_others, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(what_comes_before_an_answer, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(calls_of_electric_imp, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(limits_of_electric_imp, client_setup, client_teardown),
      cmocka_unit_test(numbers_of_errors_that_other_tests_provoke),
      cmocka_unit_test(what_is_there_can_be_asked),
      cmocka_unit_test_setup_teardown(mongoose_os_keeps_the_newest_five, client_setup, client_teardown),
      cmocka_unit_test_setup_teardown(zerynth_comes_back_after_exactly_five_seconds, client_setup,
                                      client_teardown),
      cmocka_unit_test_setup_teardown(nodemcu_says_so_in_connect, client_setup, client_teardown),
      cmocka_unit_test(any_header_and_any_system),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
