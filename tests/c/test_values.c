/*
 * Values that are none: numbers out of range, topics, addresses, formats and configurations. Each ends in its
 * error, nothing crashes, and nothing of it is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arguments.h"
#include "peer.h"

/* proves: EI-16 */
static void qos_out_of_range(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *c = client->c;
  struct mg_str x = mg_mk_str("x");
  struct mg_mqtt_topic_expression topic = {"t", 3};
  struct mg_connection *nc;
  static const int bad[] = {-1, 3, 255, 256, -2147483647 - 1, 2147483647};
  size_t i;
  client_up(client);
  nc = mgos_mqtt_conn_nc(c);
  wrong = 0;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    REFUSED(mgos_mqtt_conn_pub, MGOS_MQTT_BAD_QOS, c, "t", x, bad[i], false);
    REFUSED(mgos_mqtt_conn_pubf, MGOS_MQTT_BAD_QOS, c, "t", bad[i], false, "{}");
    REFUSED(mgos_mqtt_conn_sub, MGOS_MQTT_BAD_QOS, c, "t", bad[i], on_event, NULL);
    REFUSED(mgos_mqtt_conn_sub_ex, MGOS_MQTT_BAD_QOS, c, "t", bad[i], on_event, NULL, NULL);
    REFUSED(mgos_mqtt_conn_sub_s, MGOS_MQTT_BAD_QOS, c, mg_mk_str("t"), bad[i], on_event, NULL);
    REFUSED(mgos_mqtt_conn_subscribe, MGOS_MQTT_BAD_QOS, c, "t", bad[i], on_library_event, NULL, NULL);
  }
  REFUSED(mgos_mqtt_conn_set_max_qos, MGOS_MQTT_BAD_QOS, c, 3);
  REFUSED(mgos_mg_mqtt_publish, MGOS_MQTT_BAD_QOS, nc, "t", 1, MG_MQTT_QOS(3), "x", 1);
  REFUSED(mgos_mg_mqtt_subscribe, MGOS_MQTT_BAD_QOS, nc, &topic, 1, 1);
  /* An id of 0 is none. */
  mgos_mg_mqtt_publish(nc, "t", 0, MG_MQTT_QOS(1), "x", 1);
  check_result("publish with id 0 is refused", mgos_mqtt_last_error() != 0, __LINE__);
  REFUSED(mgos_mqtt_conn_on, MGOS_MQTT_BAD_ARGUMENT, c, 1u << 31, on_library_event, NULL, NULL);
  REFUSED(mgos_mqtt_conn_on, MGOS_MQTT_BAD_ARGUMENT, c, 0, on_library_event, NULL, NULL);
  REFUSED(mgos_mqtt_loop_set_log, MGOS_MQTT_BAD_ARGUMENT, client->loop, 4, NULL, NULL, NULL);
  REFUSED(mgos_mqtt_loop_set_log, MGOS_MQTT_BAD_ARGUMENT, client->loop, -1, NULL, NULL, NULL);
  assert_int_equal(wrong, 0);
  settle(client);
}

/* proves: EI-15 */
static void options_out_of_range(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_options good = client->options;
  struct mgos_mqtt_options o;
  wrong = 0;
#define BAD_OPTION(field, value, code)                                                   \
  o = good;                                                                              \
  o.field = value;                                                                       \
  REFUSED(mgos_mqtt_conn_set_options, code, client->c, &o);                              \
  check_result(#field, mgos_mqtt_conn_create_on(client->loop, 1, &o) == NULL, __LINE__); \
  check_error(#field, code, __LINE__)
  BAD_OPTION(size, 1, MGOS_MQTT_BAD_STRUCTURE);
  BAD_OPTION(size, (size_t) 1 << 40, MGOS_MQTT_BAD_STRUCTURE);
  BAD_OPTION(protocol_version, 6, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(protocol_version, -1, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(will_qos, 3, MGOS_MQTT_BAD_QOS);
  BAD_OPTION(will_qos, -1, MGOS_MQTT_BAD_QOS);
  BAD_OPTION(jitter_percent, 101, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(jitter_percent, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(fixed_delay, 3, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(dns_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(tcp_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(tls_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(connack_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(pingresp_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(stable_after_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(in_flight_window, 65536, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(in_flight_window, -1, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(overflow, 2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(resubscribe, -1, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(on_session_loss, 2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(fail_back_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(poll_tick_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(close_timeout_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
  BAD_OPTION(slow_callback_ms, -2, MGOS_MQTT_BAD_ARGUMENT);
#undef BAD_OPTION
  assert_int_equal(wrong, 0);
}

static char *repeated(char byte, size_t n) {
  char *text = malloc(n + 1);
  assert_non_null(text);
  memset(text, byte, n);
  text[n] = '\0';
  return text;
}

/* Every call that takes a topic or a filter refuses one that is none, and sends nothing of it. */
static void refuses_topics(struct client *client, int version) {
  bool five = version == MGOS_MQTT_PROTOCOL_5;
  struct mgos_mqtt_conn *c;
  struct mg_str x = mg_mk_str("x"), with_nul = MG_MK_STR("a\0b");
  struct mg_connection *nc;
  char *longest = repeated('a', 65535), *too_long = repeated('a', 65536);
  static const char *const wildcards[] = {"+", "#", "a/+", "a/#", "a+", "a#b"};
  static const char *const bad_filters[] = {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "a/##"};
  static const char *const bad_utf8[] = {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                         "a/\xe2\x82"};
  size_t i;
  client->cfg.max_queue_length = 0;
  client->options.protocol_version = version;
  client_renew(client);
  c = client->c;
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 @ 00 00 %s", five ? "00" : "");
  assert_true(mgos_mqtt_conn_connect(c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(c));
  nc = mgos_mqtt_conn_nc(c);
  wrong = 0;
  for (i = 0; i < sizeof(wildcards) / sizeof(wildcards[0]); i++) {
    REFUSED(mgos_mqtt_conn_pub, MGOS_MQTT_BAD_TOPIC, c, wildcards[i], x, 0, false);
    REFUSED(mgos_mqtt_conn_pubf, MGOS_MQTT_BAD_TOPIC, c, wildcards[i], 1, false, "{}");
    REFUSED(mgos_mg_mqtt_publish, MGOS_MQTT_BAD_TOPIC, nc, wildcards[i], 1, 0, "x", 1);
  }
  REFUSED(mgos_mqtt_conn_pub, MGOS_MQTT_BAD_TOPIC, c, "", x, 0, false);
  REFUSED(mgos_mqtt_conn_pub, MGOS_MQTT_BAD_TOPIC, c, too_long, x, 0, false);
  for (i = 0; i < sizeof(bad_filters) / sizeof(bad_filters[0]); i++) {
    struct mg_mqtt_topic_expression raw;
    char name[16];
    char *names[1];
    raw.topic = bad_filters[i];
    raw.qos = 0;
    strcpy(name, bad_filters[i]);
    names[0] = name;
    REFUSED(mgos_mqtt_conn_sub, MGOS_MQTT_BAD_FILTER, c, bad_filters[i], 0, on_event, NULL);
    REFUSED(mgos_mqtt_conn_sub_s, MGOS_MQTT_BAD_FILTER, c, mg_mk_str(bad_filters[i]), 0, on_event, NULL);
    REFUSED(mgos_mqtt_conn_subscribe, MGOS_MQTT_BAD_FILTER, c, bad_filters[i], 0, on_library_event, NULL,
            NULL);
    REFUSED(mgos_mqtt_conn_unsub, MGOS_MQTT_BAD_FILTER, c, bad_filters[i]);
    REFUSED(mgos_mqtt_sub, MGOS_MQTT_BAD_FILTER, bad_filters[i], on_message, NULL);
    REFUSED(mgos_mqtt_global_subscribe, MGOS_MQTT_BAD_FILTER, mg_mk_str(bad_filters[i]), on_event, NULL);
    REFUSED(mgos_mg_mqtt_subscribe, MGOS_MQTT_BAD_FILTER, nc, &raw, 1, 1);
    REFUSED(mgos_mg_mqtt_unsubscribe, MGOS_MQTT_BAD_FILTER, nc, names, 1, 1);
  }
  REFUSED(mgos_mqtt_conn_sub, MGOS_MQTT_BAD_FILTER, c, too_long, 0, on_event, NULL);
  for (i = 0; i < sizeof(bad_utf8) / sizeof(bad_utf8[0]); i++) {
    REFUSED(mgos_mqtt_conn_pub, MGOS_MQTT_BAD_UTF8, c, bad_utf8[i], x, 0, false);
    REFUSED(mgos_mqtt_conn_sub, MGOS_MQTT_BAD_UTF8, c, bad_utf8[i], 0, on_event, NULL);
    REFUSED(mgos_mqtt_conn_sub_s, MGOS_MQTT_BAD_UTF8, c, mg_mk_str(bad_utf8[i]), 0, on_event, NULL);
    REFUSED(mgos_mqtt_conn_unsub, MGOS_MQTT_BAD_UTF8, c, bad_utf8[i]);
    REFUSED(mgos_mg_mqtt_publish, MGOS_MQTT_BAD_UTF8, nc, bad_utf8[i], 1, 0, "x", 1);
  }
  mgos_mqtt_conn_sub_s(c, with_nul, 0, on_event, NULL);
  check_result("a filter with a NUL is refused",
               mgos_mqtt_last_error() == MGOS_MQTT_BAD_UTF8 || mgos_mqtt_last_error() == MGOS_MQTT_BAD_FILTER,
               __LINE__);
  assert_int_equal(wrong, 0);
  /* The first thing that is sent. */
  assert_int_not_equal(mgos_mqtt_conn_pub(c, "t", x, 0, false), 0);
  peer_expect(client->peer, five ? "30 @ ='t' 00 'x'" : "30 @ ='t' 'x'");
  /* The longest topic there is, is one. */
  assert_int_not_equal(mgos_mqtt_conn_pub(c, longest, x, 0, false), 0);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_done(client->peer, client->loop);
  free(longest);
  free(too_long);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

/* proves: EI-12 EI-14
 * mqtt3: MQTT-1.5.3-1 MQTT-3.3.2-1 MQTT-3.3.2-2 MQTT-3.8.3-1 MQTT-3.10.3-1 MQTT-4.7.1-1 MQTT-4.7.3-1 MQTT-4.7.3-3 */
static void topics_that_are_none(void **state) {
  refuses_topics(*state, MGOS_MQTT_PROTOCOL_3_1_1);
}

/* mqtt5: MQTT-1.5.4-1 MQTT-3.3.2-1 MQTT-3.3.2-2 MQTT-3.8.3-1 MQTT-3.10.3-1 MQTT-4.7.0-1 MQTT-4.7.3-1 MQTT-4.7.3-3 */
static void topics_that_are_none_in_mqtt_5(void **state) {
  refuses_topics(*state, MGOS_MQTT_PROTOCOL_5);
}

static void formats_that_are_none(void **state) {
  struct client *client = *state;
  static const char *volatile bad = "{a: %y}", *volatile empty = "";
  client_up(client);
  wrong = 0;
  REFUSED(mgos_mqtt_conn_pubf, MGOS_MQTT_BAD_FORMAT, client->c, "t", 0, false, bad, 1);
  check_result("an empty format", mgos_mqtt_conn_pubf(client->c, "t", 0, false, empty) == 0, __LINE__);
  assert_int_equal(wrong, 0);
  settle(client);
}

/* -- addresses --------------------------------------------------------------------------------------- */

/* proves: NM-20 */
static void addresses_that_are_none(void **state) {
  struct client *client = *state;
  static const char *const bad[] = {"127.0.0.1:0", "host:65536", "host:",      ":1883",     "[::1:1883",
                                    "[::1]x",      "[::g]:1883", "::1:1883:x", "host:12ab", "ftp://host",
                                    "a b",         "1.2.3.4.5",  "host:-1",    "u@host",    "host/path",
                                    "[]:1883",     "a..b",       "host:1883:1"};
  struct mgos_config_mqtt before = client->cfg;
  size_t i;
  client_up(client);
  wrong = 0;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    char text[256];
    client->cfg.server = bad[i];
    if (mgos_mqtt_conn_create(1, &client->cfg) != NULL) {
      print_error("%s was taken\n", bad[i]);
      wrong++;
    }
    check_error(bad[i], MGOS_MQTT_BAD_ADDRESS, __LINE__);
    mgos_mqtt_last_error_text(text, sizeof(text));
    check_result(bad[i], strstr(text, "server") != NULL, __LINE__);
    REFUSED(mgos_mqtt_conn_set_config, MGOS_MQTT_BAD_ADDRESS, client->c, &client->cfg);
    REFUSED(mgos_mqtt_set_config, MGOS_MQTT_BAD_ADDRESS, &client->cfg);
  }
  assert_int_equal(wrong, 0);
  assert_true(mgos_mqtt_conn_is_connected(client->c)); /* nothing changed */
  client->cfg = before;
  settle(client);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

/* proves: MG-08 NM-10 */
static void an_ipv6_address_with_a_port_is_one(void **state) {
  struct client *client = *state;
  char text[256];
  client->cfg.server = "[::1]:1";
  client_renew(client);
  client->cfg.server = "[2001:db8::1]";
  client_renew(client);
  client->cfg.server = "[::1]:1";
  client_renew(client);
  assert_true(mgos_mqtt_conn_connect(client->c));
  /* Nothing listens there, or the machine has no IPv6: either way the sentence names the address. */
  UNTIL(client->loop, mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text)) > 0);
  assert_non_null(strstr(text, "[::1]:1"));
  mgos_mqtt_conn_disconnect(client->c);
}

/* proves: EI-12
 * mqtt3: MQTT-3.1.3-4 MQTT-3.1.3-10 MQTT-3.1.3-11
 * mqtt5: MQTT-3.1.3-4 MQTT-3.1.3-11 MQTT-3.1.3-12 */
static void configurations_that_are_none(void **state) {
  struct client *client = *state;
  struct mgos_config_mqtt good = client->cfg, cfg;
  char *too_long = repeated('a', 65536);
  static const int versions[] = {MGOS_MQTT_PROTOCOL_3_1_1, MGOS_MQTT_PROTOCOL_5};
  size_t i;
  wrong = 0;
#define BAD_CONFIG(field, value, code)                                                 \
  cfg = good;                                                                          \
  cfg.field = value;                                                                   \
  check_result(#field " = " #value, mgos_mqtt_conn_create(1, &cfg) == NULL, __LINE__); \
  check_error(#field " = " #value, code, __LINE__);                                    \
  REFUSED(mgos_mqtt_conn_set_config, code, client->c, &cfg)
  for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
    client->options.protocol_version = versions[i];
    client_renew(client);
    good.will_message = NULL;
    BAD_CONFIG(client_id, too_long, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(client_id, "\xff", MGOS_MQTT_BAD_UTF8);
    BAD_CONFIG(user, "\xc0\x80", MGOS_MQTT_BAD_UTF8);
    BAD_CONFIG(pass, too_long, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(max_qos, 3, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(keep_alive, 65536, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(keep_alive, -1, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(recv_mbuf_limit, -1, MGOS_MQTT_BAD_CONFIG);
    BAD_CONFIG(reconnect_timeout_min, -1.0, MGOS_MQTT_BAD_CONFIG);
    good.will_message = "bye";
    BAD_CONFIG(will_topic, "a/#", MGOS_MQTT_BAD_TOPIC);
    BAD_CONFIG(will_topic, too_long, MGOS_MQTT_BAD_TOPIC);
    BAD_CONFIG(will_topic, "\xff", MGOS_MQTT_BAD_UTF8);
  }
#undef BAD_CONFIG
  assert_int_equal(wrong, 0);
  free(too_long);
}

/* Sentences and names of all error numbers.
 * proves: EI-06 ZY-01 */
static void every_error_has_a_name_and_a_sentence(void **state) {
  int code, known = 0;
  (void) state;
  for (code = -1200; code <= 0; code++) {
    const char *name = mgos_mqtt_error_name(code), *text = mgos_mqtt_strerror(code);
    assert_non_null(name);
    assert_non_null(text);
    if (strncmp(name, "MGOS_MQTT_", 10) == 0) known++;
    assert_true(strlen(text) > 5);
  }
  assert_true(known > 50);
  assert_string_equal(mgos_mqtt_error_name(MGOS_MQTT_QUEUE_FULL), "MGOS_MQTT_QUEUE_FULL");
  assert_string_equal(mgos_mqtt_strerror(MGOS_MQTT_BAD_QOS), "QoS must be 0, 1 or 2");
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(qos_out_of_range),
      WITH_CLIENT(options_out_of_range),
      WITH_CLIENT(topics_that_are_none),
      WITH_CLIENT(topics_that_are_none_in_mqtt_5),
      WITH_CLIENT(formats_that_are_none),
      WITH_CLIENT(addresses_that_are_none),
      WITH_CLIENT(an_ipv6_address_with_a_port_is_one),
      WITH_CLIENT(configurations_that_are_none),
      cmocka_unit_test(every_error_has_a_name_and_a_sentence),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
