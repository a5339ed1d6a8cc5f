/*
 * The configuration as a C program uses it: the structure, its JSON text, the system configuration
 * and the accessors. Every function of mgos_config.h and mgos_sys_config.h is called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mgos_config.h"
#include "mgos_mqtt_error.h"
#include "mgos_sys_config.h"

static int failures;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                     \
    }                                                                 \
  } while (0)

/* Whether two strings are equal, of which NULL is one. */
static bool same(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static struct mg_str str(const char *s) {
  struct mg_str result;
  result.p = s;
  result.len = strlen(s);
  return result;
}

static void test_struct(void) {
  struct mgos_config_mqtt cfg;
  if (sizeof(void *) == 8) CHECK(sizeof(cfg) == 176);
  CHECK(offsetof(struct mgos_config_mqtt, enable) == 0);
  CHECK(offsetof(struct mgos_config_mqtt, server) == sizeof(void *));

  memset(&cfg, 0xff, sizeof(cfg));
  mgos_config_mqtt_set_defaults(&cfg);
  CHECK(cfg.enable == 0 && cfg.clean_session == 1 && cfg.keep_alive == 60);
  CHECK(cfg.server == NULL && same(cfg.ws_path, "/mqtt"));
  CHECK(mgos_config_is_default_str(cfg.ws_path) && !mgos_config_is_default_str("/other"));
  mgos_config_mqtt_free(&cfg);
  CHECK(cfg.ws_path == NULL);
  mgos_config_mqtt_free(&cfg);
  mgos_config_mqtt_free(NULL);
}

static void test_text(void) {
  struct mgos_config_mqtt cfg, copy, file;
  char err[100];
  const char *text = "{\"server\": \"h:1\", \"pass\": \"secret\", \"will_retain\": true}";
  const char *wrong = "{\"server\": \"h:1\",\n \"keepalive\": 60}";

  CHECK(mgos_config_mqtt_parse_ex(text, strlen(text), &cfg, err, sizeof(err)));
  CHECK(same(err, "") && same(cfg.server, "h:1") && cfg.will_retain == 1);
  CHECK(mgos_config_mqtt_copy(&cfg, &copy));
  CHECK(copy.server != cfg.server && same(copy.server, cfg.server));
  mgos_config_mqtt_free(&cfg);
  CHECK(same(copy.pass, "secret"));

  char *json = mgos_config_mqtt_to_json(&copy, true, false);
  CHECK(json != NULL && strstr(json, "secret") == NULL && strstr(json, "\"pass\": \"***\"") != NULL);
  free(json);

  const char *name = "test_config.json";
  CHECK(mgos_config_mqtt_emit_f(&copy, true, name));
  CHECK(mgos_config_mqtt_parse_f(name, &file));
  CHECK(same(file.pass, "secret") && file.will_retain == 1);
  mgos_config_mqtt_free(&file);
  remove(name);
  CHECK(!mgos_config_mqtt_parse_f(name, &file));
  CHECK(file.keep_alive == 60);

  char buf[2000];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  CHECK(mgos_config_mqtt_emit(&copy, false, &out));
  CHECK(strncmp(buf, "{\"enable\":false,\"server\":\"h:1\"", 30) == 0);
  mgos_config_mqtt_free(&copy);

  CHECK(!mgos_config_mqtt_parse_ex(wrong, strlen(wrong), &cfg, err, sizeof(err)));
  CHECK(same(err, "unknown key; the nearest is keep_alive (line 2, column 12)"));
  CHECK(!mgos_config_mqtt_parse_ex(wrong, strlen(wrong), &cfg, err, 10));
  CHECK(same(err, "unknown k"));
  CHECK(!mgos_config_mqtt_parse_ex(wrong, strlen(wrong), &cfg, NULL, 0));
  CHECK(!mgos_config_mqtt_parse(str(wrong), &cfg));
  CHECK(cfg.server == NULL);
  CHECK(!mgos_config_mqtt_parse(str("{}"), NULL));
  CHECK(!mgos_config_mqtt_copy(NULL, &copy) && !mgos_config_mqtt_copy(&cfg, NULL));
}

static void test_mqtt1(void) {
  struct mgos_config_mqtt a, b;
  char err[10];
  CHECK(mgos_config_mqtt1_parse(str("{\"server\": \"x\"}"), &a));
  CHECK(mgos_config_mqtt1_copy(&a, &b));
  mgos_config_mqtt1_free(&a);
  CHECK(same(b.server, "x"));
  char *json = mgos_config_mqtt1_to_json(&b, false, true);
  CHECK(json != NULL && mgos_config_mqtt1_parse_ex(json, strlen(json), &a, err, sizeof(err)));
  CHECK(same(a.server, "x"));
  free(json);
  mgos_config_mqtt1_free(&a);
  CHECK(mgos_config_mqtt1_emit_f(&b, false, "test_config1.json"));
  CHECK(mgos_config_mqtt1_parse_f("test_config1.json", &a));
  CHECK(same(a.server, "x"));
  remove("test_config1.json");
  char buf[2000];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  CHECK(mgos_config_mqtt1_emit(&b, false, &out));
  mgos_config_mqtt1_free(&a);
  mgos_config_mqtt1_free(&b);
  mgos_config_mqtt1_set_defaults(&a);
  CHECK(a.server == NULL);
}

static void test_accessors(void) {
#if !defined(MGOS_CONFIG_HAVE_MQTT_SERVER) || !defined(MGOS_SYS_CONFIG_HAVE_MQTT1_DEBUG_USE_LOG_LEVEL) || \
    !defined(MGOS_SYS_CONFIG_HAVE_DEVICE_ID) || !defined(MGOS_SYS_CONFIG_HAVE_MQTT)
#error "an accessor macro is missing"
#endif
  const struct mgos_config_mqtt *live = mgos_sys_config_get_mqtt();
  char text[] = "first";

  CHECK(live == mgos_sys_config_get_mqtt() && live != mgos_sys_config_get_mqtt1());
  CHECK(mgos_sys_config_get_mqtt_server() == NULL && mgos_sys_config_get_default_mqtt_server() == NULL);
  mgos_sys_config_set_mqtt_server(text);
  text[0] = 'F';
  CHECK(same(mgos_sys_config_get_mqtt_server(), "first"));
  CHECK(live->server == mgos_sys_config_get_mqtt_server());
  CHECK(mgos_sys_config_get_mqtt1_server() == NULL);
  mgos_sys_config_set_mqtt_server(mgos_sys_config_get_mqtt_server());
  CHECK(same(mgos_sys_config_get_mqtt_server(), "first"));
  mgos_sys_config_set_mqtt_server("");
  CHECK(mgos_sys_config_get_mqtt_server() == NULL);

  CHECK(same(mgos_sys_config_get_mqtt_ws_path(), "/mqtt"));
  CHECK(mgos_config_is_default_str(mgos_sys_config_get_default_mqtt1_ws_path()));
  mgos_sys_config_set_mqtt_ws_path("/other");
  CHECK(same(mgos_sys_config_get_mqtt_ws_path(), "/other"));

  mgos_sys_config_set_mqtt1_keep_alive(7);
  CHECK(mgos_sys_config_get_mqtt1_keep_alive() == 7 && mgos_sys_config_get_mqtt_keep_alive() == 60);
  CHECK(mgos_sys_config_get_default_mqtt1_keep_alive() == 60);
  mgos_sys_config_set_mqtt_reconnect_timeout_max(0.5);
  CHECK(live->reconnect_timeout_max > 0.4 && live->reconnect_timeout_max < 0.6);
  CHECK(mgos_sys_config_get_default_mqtt_reconnect_timeout_max() > 59);
  mgos_sys_config_set_mqtt1_debug_use_log_level(1);
  CHECK(mgos_sys_config_get_mqtt1()->debug_use_log_level == 1);

  CHECK(mgos_sys_config_get_default_device_id() == NULL);
  mgos_sys_config_set_device_id("pump-7");
  CHECK(same(mgos_sys_config_get_device_id(), "pump-7"));
  mgos_sys_config_set_debug_stdout_topic("/out");
  mgos_sys_config_set_debug_stderr_topic("/err");
  CHECK(same(mgos_sys_config_get_debug_stdout_topic(), "/out"));
  CHECK(same(mgos_sys_config_get_debug_stderr_topic(), "/err"));
}

static void test_dotted(void) {
  struct mg_str value;
  CHECK(mgos_sys_config_set(str("mqtt.keep_alive"), str("30"), true));
  CHECK(mgos_sys_config_get(str("mqtt.keep_alive"), &value));
  CHECK(same(value.p, "30") && value.len == 2);
  free((void *) value.p);
  CHECK(!mgos_sys_config_get(str("mqtt.nothing"), &value));
  CHECK(value.p == NULL && value.len == 0);
  CHECK(!mgos_sys_config_set(str("mqtt.keep_alive"), str("often"), true));
  CHECK(mgos_sys_config_get_mqtt_keep_alive() == 30);
}

static void test_load(void) {
  char err[100];
  const char *text = "{\"mqtt\": {\"server\": \"a\"}, \"mine\": [1, 2], \"mqtt1\": {\"server\": \"b\"}}";
  const char *wrong = "{\"mqtt\": {\"server\": \"c\"},\n \"mqtt1\": {\"max_qos\": 3}}";
  CHECK(mgos_sys_config_load_json(text, strlen(text), err, sizeof(err)));
  CHECK(same(mgos_sys_config_get_mqtt_server(), "a") && same(mgos_sys_config_get_mqtt1_server(), "b"));
  CHECK(mgos_sys_config_get_mqtt_keep_alive() == 30);
  CHECK(!mgos_sys_config_load_json(wrong, strlen(wrong), err, sizeof(err)));
  CHECK(same(err, "mqtt1.max_qos: 3 is not between -32768 and 2 (line 2, column 23)"));
  CHECK(same(mgos_sys_config_get_mqtt_server(), "a"));
  CHECK(!mgos_sys_config_load_json(NULL, 0, err, sizeof(err)));

  CHECK(mgos_config_apply("{\"mqtt\": {\"server\": \"d\"}}", false));
  CHECK(same(mgos_sys_config_get_mqtt_server(), "d"));
  CHECK(!mgos_config_apply("{\"mqtt\": {\"server\": \"e\"}}", true));
  CHECK(mgos_config_apply_s(str("{}"), false) && !mgos_config_apply(NULL, false));
  CHECK(same(mgos_sys_config_get_mqtt_server(), "d"));

  char *json = mgos_sys_config_to_json(true, true);
  CHECK(json != NULL && mgos_sys_config_load_json(json, strlen(json), err, sizeof(err)));
  free(json);

  /* The way of many applications: a copy of the section with a field of their own. */
  struct mgos_config_mqtt cfg = *mgos_sys_config_get_mqtt();
  cfg.client_id = "mine";
  struct mgos_config_mqtt copy;
  CHECK(mgos_config_mqtt_copy(&cfg, &copy));
  CHECK(same(copy.client_id, "mine") && same(copy.server, "d"));
  mgos_config_mqtt_free(&copy);
}

/* A text for people has no password, wherever somebody wrote it.
 * field: F-42 */
static void test_hidden(void) {
  const char *text =
      "{\"mqtt\": {\"server\": \"mqtt://u:hunter2@h\", \"pass\": \"hunter2\", \"ssl_psk_key\": \"hunter2\","
      " \"ssl_key\": \"hunter2\"}, \"mqtt1\": {\"server\": \"wss://h/p?token=hunter2\"}}";
  struct mgos_config_mqtt cfg;
  char *json;
  CHECK(mgos_config_apply(text, false));
  json = mgos_sys_config_to_json(true, false);
  CHECK(json != NULL && strstr(json, "hunter2") == NULL);
  CHECK(json != NULL && strstr(json, "mqtt://***@h") != NULL && strstr(json, "wss://h/p?***") != NULL);
  free(json);
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.server = "u:hunter2@h";
  json = mgos_config_mqtt_to_json(&cfg, false, false);
  CHECK(json != NULL && strstr(json, "hunter2") == NULL && strstr(json, "***@h") != NULL);
  free(json);
  /* And one for a file has all of it. */
  json = mgos_config_mqtt_to_json(&cfg, false, true);
  CHECK(json != NULL && strstr(json, "u:hunter2@h") != NULL);
  free(json);
}

/* What mgos_sys_config_load_json_with() handed over. */
static char handed[300];

static void on_unknown(const char *name, const char *value, void *ud) {
  CHECK(ud == handed);
  snprintf(handed + strlen(handed), sizeof(handed) - strlen(handed), "%s=%s ", name, value);
}

/* Names that this library does not know: refused, or the application's.
 * field: F-53 */
static void test_unknown(void) {
  static const char *const refused[][2] = {
      {"{\"mqtt\": {\"pub\": \"x\"}}", "mqtt: unknown key; the nearest is"},
      {"{\"MQTT\": {\"server\": \"x\"}}", "mqtt: unknown section; this is the nearest"},
      {"{\"Mqtt1\": {}}", "mqtt1: unknown section"},
      {"{\"mqt\": {\"server\": \"x\"}}", "mqtt: unknown section"},
      {"{\"mtqt\": {}}", "mqtt: unknown section"},
      {"{\"nqtt1\": {}}", "mqtt1: unknown section"},
      {"{\"mqtt.server\": \"x\"}", "mqtt: a key stands in its section, as in {\"mqtt\": {"},
      {"{\"device.id\": \"x\"}", "device: a key stands in its section"},
  };
  const char *fine = "{\"mqtt2\": {\"pub\": 1}, \"http\": {}, \"device\": {\"mac\": 1}, \"debug\": {\"level\": 3}}";
  const char *mixed =
      "{\"mqtt\": {\"pub\": \"a/b\", \"server\": \"known\", \"list\": [1, true, null]}, \"mqt\": {\"x\": -1.5},"
      " \"mqtt.server\": \"dotted\", \"mqtt2\": 7}";
  const char *wrong = "{\"mqtt\": {\"pub\": 1, \"server\": \"other\", \"keep_alive\": -1}}";
  const char *nul = "{\"mqtt\": {\"server\": \"other\", \"a\\u0000b\": \"x\"}}";
  char err[200];
  size_t i;
  for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    const char *text = refused[i][0];
    CHECK(!mgos_sys_config_load_json(text, strlen(text), err, sizeof(err)));
    if (strncmp(err, refused[i][1], strlen(refused[i][1])) != 0) {
      fprintf(stderr, "%s: %s\n", text, err);
      failures++;
    }
  }
  CHECK(mgos_sys_config_load_json(fine, strlen(fine), err, sizeof(err)) && same(err, ""));

  handed[0] = 0;
  CHECK(mgos_sys_config_load_json_with(mixed, strlen(mixed), on_unknown, handed, err, sizeof(err)));
  CHECK(same(handed, "mqtt.pub=\"a/b\" mqtt.list=[1, true, null] mqt={\"x\": -1.5} mqtt.server=\"dotted\" "));
  CHECK(strncmp(err, "names of the configuration that this library does not know", 58) == 0 && strstr(err, ": 4") != NULL);
  CHECK(same(mgos_sys_config_get_mqtt_server(), "known"));
  CHECK(mgos_sys_config_load_json_with(mixed, strlen(mixed), NULL, NULL, NULL, 0));
  CHECK(mgos_sys_config_load_json_with(fine, strlen(fine), on_unknown, handed, err, sizeof(err)) && same(err, ""));
  /* What is known must be right, and then nothing is handed over. */
  handed[0] = 0;
  CHECK(!mgos_sys_config_load_json_with(wrong, strlen(wrong), on_unknown, handed, err, sizeof(err)));
  CHECK(strncmp(err, "mqtt.keep_alive: -1 is not between", 34) == 0 && same(handed, ""));
  /* Nor is a name that a C string cannot have left out without a word. */
  CHECK(!mgos_sys_config_load_json_with(nul, strlen(nul), on_unknown, handed, err, sizeof(err)));
  CHECK(strncmp(err, "mqtt.a\\u0000b: unknown key whose name has U+0000", 48) == 0 && same(handed, ""));
  CHECK(same(mgos_sys_config_get_mqtt_server(), "known"));
}

/* A file of exactly 1 MiB is read, and one byte more is too much. */
static void test_large_file(void) {
  static const char text[] = "{\"server\": \"h:1\"}";
  const size_t limit = 1 << 20;
  char name[] = "/tmp/mgos_mqtt_test_XXXXXX", err[100];
  struct mgos_config_mqtt cfg;
  int file = mkstemp(name);
  char *spaces = malloc(limit);
  CHECK(file >= 0 && spaces != NULL);
  memset(spaces, ' ', limit);
  CHECK(write(file, spaces, limit - strlen(text)) == (ssize_t) (limit - strlen(text)));
  CHECK(write(file, text, strlen(text)) == (ssize_t) strlen(text));
  CHECK(mgos_config_mqtt_parse_f(name, &cfg) && same(cfg.server, "h:1"));
  mgos_config_mqtt_free(&cfg);
  CHECK(write(file, " ", 1) == 1);
  CHECK(!mgos_config_mqtt_parse_f(name, &cfg));
  CHECK(mgos_mqtt_last_error() == MGOS_MQTT_TOO_LARGE);
  mgos_mqtt_last_error_text(err, sizeof(err));
  CHECK(strstr(err, "1048577 bytes") != NULL);
  free(spaces);
  close(file);
  unlink(name);
}

int main(void) {
  test_struct();
  test_large_file();
  test_text();
  test_mqtt1();
  test_accessors();
  test_dotted();
  test_load();
  test_hidden();
  test_unknown();
  if (failures == 0) puts("test_config: all passed");
  return failures != 0;
}
