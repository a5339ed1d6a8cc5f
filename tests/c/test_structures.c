/*
 * A structure with a value that is not allowed: the error names the field, the value and what is allowed. A message
 * over a limit: the error names the limit, its value and the size.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgos_mqtt_all.h"

/* The last call failed with this code, and its sentence begins and ends like this. */
static void expect(int code, const char *begin, const char *end) {
  char text[300];
  size_t len = mgos_mqtt_last_error_text(text, sizeof(text)), n = strlen(end);
  if (mgos_mqtt_last_error() != code || strncmp(text, begin, strlen(begin)) != 0 || len < n ||
      strcmp(text + len - n, end) != 0) {
    fail_msg("expected %s, \"%s ... %s\"; it is %s: %s", mgos_mqtt_error_name(code), begin, end,
             mgos_mqtt_error_name(mgos_mqtt_last_error()), text);
  }
}

/* A structure as its initialiser makes it: its size, and zeros in every other field. */
#define INITIALISED(name)                                   \
  do {                                                      \
    struct name value = name##_init(), zeros;               \
    memset(&zeros, 0, sizeof(zeros));                       \
    assert_int_equal(value.size, sizeof(value));            \
    value.size = 0;                                         \
    assert_memory_equal(&value, &zeros, sizeof(value));     \
  } while (0)

static void initialisers(void **state) {
  (void) state;
  INITIALISED(mgos_mqtt_options);
  INITIALISED(mgos_mqtt_publication);
  INITIALISED(mgos_mqtt_credentials);
  INITIALISED(mgos_mqtt_state);
  INITIALISED(mgos_mqtt_error_info);
  INITIALISED(mgos_mqtt_stats);
}

static struct mgos_mqtt_conn *create(const struct mgos_mqtt_options *options) {
  return mgos_mqtt_conn_create_on(NULL, 1, options);
}

/* Numbers of the options: what is not allowed, and what is. */
#define MS "0 (the default), -1 (off) and 1 to 2147483647 ms"
#define NUMBERS(_)                                                                       \
  _(protocol_version, 2, "0 (the default), 1 (auto), 3 (MQTT 3.1), 4 (MQTT 3.1.1) and 5 (MQTT 5.0)") \
  _(will_qos, 3, "0, 1 and 2")                                                           \
  _(retry, 3, "0 (the default) to 2")                                                    \
  _(fixed_delay, -1, "0 (the default) to 2")                                             \
  _(jitter_percent, 101, "0 (the default), -1 (off) and 1 to 100")                       \
  _(fail_back_ms, -2, MS)                                                                \
  _(dns_timeout_ms, -2, MS)                                                              \
  _(tcp_timeout_ms, -3, MS)                                                              \
  _(tls_timeout_ms, INT_MIN, MS)                                                         \
  _(connack_timeout_ms, -2, MS)                                                          \
  _(pingresp_timeout_ms, -1, "0 (the default) and 1 to 2147483647 ms")                   \
  _(in_flight_window, 65536, "0 (the default) and 1 to 65535")                           \
  _(overflow, 2, "0 (the default) to 1")                                                 \
  _(on_session_loss, 2, "0 (the default) to 1")                                          \
  _(outcome_history, -2, "0 (the default), -1 (off) and 1 to 2147483647")                \
  _(resubscribe, 2, "0 (the default) to 1")                                              \
  _(receive_overflow, 2, "0 (the default) to 1")                                         \
  _(refuse_retries, -2, "0 (the default), -1 (off) and 1 to 2147483647")                 \
  _(refuse_delay_ms, -2, MS)                                                             \
  _(poll_tick_ms, -2, MS)                                                                \
  _(tls_min_version, 11, "0 (the default), 12 (TLS 1.2) and 13 (TLS 1.3)")               \
  _(tls_system_roots, 2, "0 (the default) to 1")                                         \
  _(tls_expiry_days, -2, "0 (the default), -1 (off) and 1 to 2147483647")                \
  _(tls_post_quantum, 1, "0 (the default) and -1 (off)")                                 \
  _(tls_insecure_skip_verification, 2, "0 (the default) to 1")                           \
  _(tls_insecure_skip_name, 2, "0 (the default) to 1")                                   \
  _(ws_timeout_ms, -2, MS)                                                               \
  _(proxy_from_environment, 2, "0 (the default) to 1")                                   \
  _(proxy_timeout_ms, -2, MS)

/* field: F-63 */
static void a_number_of_the_options(void **state) {
  char begin[100];
  struct mgos_mqtt_conn *conn = create(NULL);
  (void) state;
#define CHECK(field, number, allowed)                                          \
  {                                                                            \
    struct mgos_mqtt_options options = {.size = sizeof(options)};              \
    int code = #field[1] == 'i' && #field[0] == 'w' ? MGOS_MQTT_BAD_QOS : MGOS_MQTT_BAD_ARGUMENT;  \
    options.field = number;                                                    \
    snprintf(begin, sizeof(begin), "%s is %d; allowed are ", #field, number);  \
    assert_null(create(&options));                                             \
    expect(code, begin, " are " allowed);                                      \
    assert_int_equal(mgos_mqtt_conn_set_options(conn, &options), code);        \
    expect(code, begin, " are " allowed);                                      \
  }
  NUMBERS(CHECK)
  mgos_mqtt_conn_free(conn);
}

static void a_pointer_of_the_options(void **state) {
  (void) state;
#define MEMORY(field, length)                                                             \
  {                                                                                       \
    struct mgos_mqtt_options options = {.size = sizeof(options), .length = 5};            \
    assert_null(create(&options));                                                        \
    expect(MGOS_MQTT_NULL_ARGUMENT, #field " is NULL, and " #length " is 5", "");         \
    options.field = "x";                                                                  \
    options.length = SIZE_MAX;                                                            \
    assert_null(create(&options));                                                        \
    expect(MGOS_MQTT_BAD_ARGUMENT, #length " is 1844674407", "; allowed are 0 to 9223372036854775807"); \
  }
#define TEXT(field)                                                              \
  {                                                                              \
    struct mgos_mqtt_options options = {.size = sizeof(options), .field = "\xff"}; \
    assert_null(create(&options));                                               \
    expect(MGOS_MQTT_BAD_UTF8, #field " is not UTF-8", "");                      \
  }
  if (sizeof(size_t) == 8) {
    MEMORY(password, password_len)
    MEMORY(will_payload, will_payload_len)
    MEMORY(tls_ca, tls_ca_len)
    MEMORY(tls_cert, tls_cert_len)
    MEMORY(tls_key, tls_key_len)
    MEMORY(tls_crl, tls_crl_len)
  }
  TEXT(tls_server_name)
  TEXT(tls_alpn)
  TEXT(tls_pins)
  TEXT(tls_crl_file)
  {
    struct mgos_mqtt_options options = {.size = sizeof(options), .num_profiles = 3};
    assert_null(create(&options));
    expect(MGOS_MQTT_NULL_ARGUMENT, "profiles is NULL, and num_profiles is 3", "");
  }
}

/* A configuration alone, and one of several. */
static void a_field_of_a_configuration(void **state) {
  struct mgos_config_mqtt cfg[2];
  struct mgos_mqtt_options options = {.size = sizeof(options), .profiles = cfg, .num_profiles = 2};
  (void) state;
#define CONFIG(field, value, code, sentence)                   \
  mgos_config_mqtt_set_defaults(&cfg[0]);                      \
  cfg[1] = cfg[0];                                             \
  cfg[1].field = value;                                        \
  assert_null(mgos_mqtt_conn_create(1, &cfg[1]));              \
  expect(code, #field ": " sentence, "");                      \
  assert_null(create(&options));                               \
  expect(code, "profiles[1]." #field ": " sentence, "");
  CONFIG(keep_alive, 65536, MGOS_MQTT_BAD_CONFIG, "65536 is not between 0 and 65535")
  CONFIG(reconnect_timeout_min, -1, MGOS_MQTT_BAD_CONFIG, "-1 is not between 0 and 2147483")
  CONFIG(reconnect_timeout_max, 1e9, MGOS_MQTT_BAD_CONFIG, "1000000000 is not between 0 and 2147483")
  CONFIG(max_qos, 3, MGOS_MQTT_BAD_CONFIG, "3 is not between -32768 and 2")
  CONFIG(recv_mbuf_limit, -1, MGOS_MQTT_BAD_CONFIG, "-1 is not between 0 and 2147483647")
  CONFIG(server, "host:0", MGOS_MQTT_BAD_ADDRESS, "port 0")
  CONFIG(user, "\xff", MGOS_MQTT_BAD_UTF8, "")
  CONFIG(ws_path, "x", MGOS_MQTT_BAD_CONFIG, "a path begins with a slash")
  /* By a text, and by the name of one field. */
  assert_false(mgos_config_mqtt_parse(mg_mk_str("{\"keep_alive\": 65536}"), &cfg[0]));
  expect(MGOS_MQTT_BAD_CONFIG, "keep_alive: 65536 is not between 0 and 65535", "");
  assert_false(mgos_sys_config_set(mg_mk_str("mqtt.keep_alive"), mg_mk_str("-1"), true));
  expect(MGOS_MQTT_BAD_CONFIG, "mqtt.keep_alive: -1 is not between 0 and 65535", "");
  assert_false(mgos_sys_config_set(mg_mk_str("mqtt.keepalive"), mg_mk_str("1"), true));
  expect(MGOS_MQTT_NOT_FOUND, "mqtt.keepalive: there is no such field", "");
  assert_false(mgos_config_mqtt_parse_f("/nowhere/mqtt.json", &cfg[0]));
  expect(MGOS_MQTT_IO_FAILED, "/nowhere/mqtt.json cannot be read: No such file", "");
}

static void a_field_of_a_message(void **state) {
  struct mgos_mqtt_conn *conn = create(NULL);
  struct mgos_mqtt_publication good = {.size = sizeof(good), .topic = "t", .payload = "x", .payload_len = 1};
  (void) state;
#define MESSAGE(change, code, begin, end)                             \
  {                                                                   \
    struct mgos_mqtt_publication message = good;                      \
    message.change;                                                   \
    assert_int_equal(mgos_mqtt_conn_publish(conn, &message, NULL), code); \
    expect(code, begin, end);                                         \
  }
  MESSAGE(topic = NULL, MGOS_MQTT_NULL_ARGUMENT, "topic is NULL", "")
  MESSAGE(topic = "\xff", MGOS_MQTT_BAD_UTF8, "topic is not UTF-8", "")
  MESSAGE(payload = NULL, MGOS_MQTT_NULL_ARGUMENT, "payload is NULL, and payload_len is 1", "")
  MESSAGE(qos = 3, MGOS_MQTT_BAD_QOS, "qos is 3; allowed are 0, 1 and 2", "")
  assert_int_equal(mgos_mqtt_conn_publish_wait(conn, &good, 0, 7, NULL), MGOS_MQTT_BAD_ARGUMENT);
  expect(MGOS_MQTT_BAD_ARGUMENT, "on_timeout is 7; allowed are ", "");
  mgos_mqtt_conn_free(conn);
}

static void a_filter_of_several(void **state) {
  struct mgos_mqtt_conn *conn = create(NULL);
  struct mgos_mqtt_filter filters[] = {{"a", 0}, {"b", 0}, {"c", 0}};
  const char *names[] = {"a", NULL};
  (void) state;
#define FILTERS(code, begin)                                                                                 \
  assert_int_equal(mgos_mqtt_conn_subscribe_all(conn, filters, 3, NULL, NULL, NULL, NULL, NULL), code);     \
  expect(code, begin, "");
  filters[1].filter = NULL;
  FILTERS(MGOS_MQTT_NULL_ARGUMENT, "filters[1].filter is NULL")
  filters[1].filter = "\xff";
  FILTERS(MGOS_MQTT_BAD_UTF8, "filters[1].filter is not UTF-8")
  filters[1].filter = "a/#/b";
  FILTERS(MGOS_MQTT_BAD_FILTER, "filters[1].filter is \"a/#/b\": a wildcard is not allowed at this place")
  filters[1].filter = "b";
  filters[2].qos = 5;
  FILTERS(MGOS_MQTT_BAD_QOS, "filters[2].qos is 5; allowed are 0, 1 and 2")
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(conn, names, 2, NULL, NULL, NULL, NULL), MGOS_MQTT_NULL_ARGUMENT);
  expect(MGOS_MQTT_NULL_ARGUMENT, "filters[1] is NULL", "");
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(conn, names, 0, NULL, NULL, NULL, NULL), MGOS_MQTT_BAD_ARGUMENT);
  expect(MGOS_MQTT_BAD_ARGUMENT, "n is 0; allowed are 1 to ", "");
  mgos_mqtt_conn_free(conn);
}

/* A size that no header has, and a field that only a newer one has. */
static void the_size_of_each_structure(void **state) {
  struct mgos_mqtt_conn *conn = create(NULL);
  char begin[100];
  (void) state;
#define SIZES(type, call)                                                                             \
  {                                                                                                   \
    union {                                                                                           \
      struct type it;                                                                                 \
      char bytes[4096];                                                                               \
    } u;                                                                                              \
    memset(&u, 0, sizeof(u));                                                                         \
    (void) call(conn, &u.it);                                                                         \
    expect(MGOS_MQTT_BAD_STRUCTURE, "size of struct " #type " is 0; allowed are ",                    \
           " to 4096; set it to the sizeof of the structure");                                        \
    u.it.size = 4097;                                                                                 \
    (void) call(conn, &u.it);                                                                         \
    expect(MGOS_MQTT_BAD_STRUCTURE, "size of struct " #type " is 4097; allowed are ", " to 4096");    \
  }
#define NEWER(type, call)                                                                             \
  {                                                                                                   \
    union {                                                                                           \
      struct type it;                                                                                 \
      char bytes[4096];                                                                               \
    } u;                                                                                              \
    memset(&u, 0, sizeof(u));                                                                         \
    u.it.size = sizeof(u.it) + 16;                                                                    \
    u.bytes[sizeof(u.it) + 8] = 1;                                                                    \
    (void) call(conn, &u.it);                                                                         \
    snprintf(begin, sizeof(begin), "struct " #type " has a value at byte %zu, ", sizeof(u.it) + 8);   \
    expect(MGOS_MQTT_BAD_STRUCTURE, begin, "");                                                       \
  }
#define PUBLISH(c, message) mgos_mqtt_conn_publish(c, message, NULL)
  SIZES(mgos_mqtt_options, mgos_mqtt_conn_set_options)
  SIZES(mgos_mqtt_publication, PUBLISH)
  SIZES(mgos_mqtt_error_info, mgos_mqtt_conn_last_error)
  SIZES(mgos_mqtt_stats, mgos_mqtt_conn_stats)
  NEWER(mgos_mqtt_options, mgos_mqtt_conn_set_options)
  NEWER(mgos_mqtt_publication, PUBLISH)
  mgos_mqtt_conn_free(conn);
}

/* field: F-63 */
static void a_message_over_a_limit(void **state) {
  struct mgos_mqtt_options options = {.size = sizeof(options), .max_outgoing_bytes = 100};
  struct mgos_mqtt_conn *conn = create(&options);
  char payload[200] = {0};
  struct mgos_mqtt_publication message = {
      .size = sizeof(message), .topic = "t", .payload = payload, .payload_len = sizeof(payload), .qos = 1};
  const char *limit = " bytes, and max_outgoing_bytes of the options is 100";
  (void) state;
  assert_int_equal(mgos_mqtt_conn_pub(conn, "topic", mg_mk_str_n(payload, sizeof(payload)), 1, false), 0);
  expect(MGOS_MQTT_TOO_LARGE, "the message takes 212", limit);
  assert_int_equal(mgos_mqtt_conn_publish(conn, &message, NULL), MGOS_MQTT_TOO_LARGE);
  expect(MGOS_MQTT_TOO_LARGE, "the message takes 208", limit);
  assert_int_equal(mgos_mqtt_conn_pubf(conn, "t", 1, false, "%150d", 1), 0);
  expect(MGOS_MQTT_TOO_LARGE, "the message takes 158", limit);
  /* A sentence is about one call. */
  assert_false(mgos_mqtt_conn_unsub(conn, "nothing"));
  expect(MGOS_MQTT_NOT_FOUND, "there is no such entry", "");
  assert_int_equal(mgos_mqtt_conn_pubf(conn, "t", 1, false, "%2147483647d", 1), 0);
  expect(MGOS_MQTT_TOO_LARGE, "the text takes more than the limit of MQTT, which is ", " at offset 0");
  assert_int_equal(mgos_mqtt_conn_set_will(conn, "t", payload, 65536, 0, false), MGOS_MQTT_TOO_LARGE);
  expect(MGOS_MQTT_TOO_LARGE, "the will has 65536 bytes, and the limit of MQTT is 65535", "");
  mgos_mqtt_conn_free(conn);
}

static void a_file_over_the_limit(void **state) {
  char name[] = "/tmp/test_structures_XXXXXX";
  struct mgos_config_mqtt cfg;
  int fd = mkstemp(name);
  (void) state;
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, 2000000), 0);
  close(fd);
  assert_false(mgos_config_mqtt_parse_f(name, &cfg));
  expect(MGOS_MQTT_TOO_LARGE, "the file has 2000000 bytes, and the limit of a configuration is 1048576", "");
  unlink(name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(initialisers),              cmocka_unit_test(a_number_of_the_options),
      cmocka_unit_test(a_pointer_of_the_options),
      cmocka_unit_test(a_field_of_a_configuration), cmocka_unit_test(a_field_of_a_message),
      cmocka_unit_test(a_filter_of_several),       cmocka_unit_test(the_size_of_each_structure),
      cmocka_unit_test(a_message_over_a_limit),    cmocka_unit_test(a_file_over_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
