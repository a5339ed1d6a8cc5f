/* The configuration: what mgos_configure writes for every type, files in layers, saving, and damaged files. The functions that read
 * the files are those that mgos_main() calls. */

#include <mgos.h>
#include <mgos_app_description.h>
#include <mgos_mqtt.h>

#include "../src/runtime.h"

#include <setjmp.h>
#include <cmocka.h>

static char s_dir[] = "/tmp/mgos_config.XXXXXX";

static void write_file(const char *name, const char *text) {
  FILE *file = fopen(name, "we");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static bool exists(const char *name) {
  return access(name, F_OK) == 0;
}

/* A fresh directory with nothing in it, and the configuration read from there. */
static int fresh(void **state) {
  (void) state;
  for (int i = 0; i <= 9; i++) {
    char name[30];
    snprintf(name, sizeof(name), "conf%d.json", i);
    unlink(name);
  }
  unlink("conf9.json.damaged");
  cs_log_set_level(LL_NONE);
  assert_true(mgos_os_config_start());
  return 0;
}

static int begin(void **state) {
  (void) state;
  return mkdtemp(s_dir) == NULL || chdir(s_dir) != 0;
}

static int end(void **state) {
  fresh(state);
  return chdir("/") != 0 || rmdir(s_dir) != 0;
}

static void defaults(void **state) {
  (void) state;
  assert_int_equal(mgos_sys_config_get_app_flag(), 1);
  assert_int_equal(mgos_sys_config_get_app_number(), -5);
  assert_true(mgos_sys_config_get_app_count() == 4000000000u);
  assert_true(mgos_sys_config_get_app_single() == 0.1f);
  assert_true(mgos_sys_config_get_app_ratio() == 0.1);
  assert_string_equal(mgos_sys_config_get_app_text(), "de\"f");
  assert_null(mgos_sys_config_get_app_empty());
  assert_int_equal(mgos_sys_config_get_app_inner_deep(), 1);
  assert_int_equal(mgos_sys_config_get_copy_deep(), 2);
  assert_int_equal(mgos_sys_config_get_app()->inner.deep, 1);
  assert_int_equal(mgos_sys_config_get_app_inner()->deep, 1);
  assert_int_equal(mgos_sys_config_get_app_plain(), 6);
#ifdef MGOS_SYS_CONFIG_HAVE_APP_ESP
  fail();
#endif
#if !defined(MGOS_SYS_CONFIG_HAVE_APP_PLAIN) || !defined(MGOS_CONFIG_HAVE_APP) || !defined(MGOS_CONFIG_HAVE_MQTT_PUB)
  fail();
#endif
  assert_string_equal(TEST_TEXT, "a b\\c");
  assert_int_equal(TEST_NUMBER, 5);
  /* In the library's section, and in those that refer to it. */
  assert_string_equal(mgos_sys_config_get_mqtt_pub(), "/pub");
  assert_string_equal(mgos_sys_config_get_mqtt1_pub(), "/pub");
  assert_string_equal(mgos_sys_config_get_app_mqtt_pub(), "/pub");
  assert_int_equal(mgos_sys_config_get_app_mqtt_limit(), 3);
  assert_string_equal(mgos_sys_config_get_app_mqtt()->server, "own:1883");
  assert_string_equal(mgos_sys_config_get_app_mqtt_ws_path(), "/mqtt");
  /* Changed defaults of the library. */
  assert_int_equal(mgos_sys_config_get_mqtt_keep_alive(), 30);
  assert_int_equal(mgos_sys_config_get_default_mqtt_keep_alive(), 30);
  assert_int_equal(mgos_sys_config_get_mqtt()->keep_alive, 30);
  assert_int_equal(mgos_sys_config.mqtt.keep_alive, 30);
  assert_string_equal(mgos_sys_config_get_mqtt1_server(), "backup:1883");
  assert_string_equal(mgos_sys_config_get_mqtt1()->server, "backup:1883");
  assert_string_equal(mgos_config_get_default_app_text(), "de\"f");
  assert_int_equal(mgos_sys_config_get_default_app_number(), -5);
  assert_int_equal(mgos_sys_config_get_debug()->level, 1);
}

static void setters(void **state) {
  struct mgos_config copy;
  const char *old;
  (void) state;
  mgos_sys_config_set_app_text("other");
  assert_string_equal(mgos_sys_config_get_app_text(), "other");
  old = mgos_sys_config_get_app_text();
  mgos_sys_config_set_app_text(old); /* itself */
  assert_ptr_equal(mgos_sys_config_get_app_text(), old);
  mgos_sys_config_set_app_text("");
  assert_null(mgos_sys_config_get_app_text());
  mgos_sys_config_set_app_number(7);
  mgos_config_set_app_number(&mgos_sys_config, 8);
  assert_int_equal(mgos_config_get_app_number(&mgos_sys_config), 8);
  /* The library's: its own place and the copy. */
  mgos_sys_config_set_mqtt_server("one:1");
  assert_string_equal(mgos_sys_config.mqtt.server, "one:1");
  assert_string_equal(mgos_sys_config_get_mqtt_server(), "one:1");
  mgos_config_set_mqtt_server(&mgos_sys_config, "two:2");
  assert_string_equal(mgos_sys_config_get_mqtt()->server, "two:2");
  assert_ptr_equal(mgos_config_get_mqtt(&mgos_sys_config), mgos_sys_config_get_mqtt());
  mgos_sys_config_set_device_id("dev");
  assert_string_equal(mgos_sys_config.device.id, "dev");
  /* A configuration of the application's own. */
  memset(&copy, 0, sizeof(copy));
  mgos_config_set_defaults(&copy);
  mgos_config_set_mqtt_server(&copy, "three:3");
  assert_string_equal(mgos_config_get_mqtt_server(&copy), "three:3");
  assert_string_equal(mgos_sys_config_get_mqtt_server(), "two:2");
  mgos_config_set_mqtt_server(&copy, NULL);
}

static void sections(void **state) {
  struct mgos_config_app app, copy;
  char buf[1000];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  (void) state;
  assert_true(mgos_config_app_parse(mg_mk_str("{\"number\": 3, \"text\": \"t\\u00e9\", \"inner\": {\"deep\": 4}, \"mqtt\": {\"pub\": \"p\", \"keep_alive\": 9}}"), &app));
  assert_true(app.number == 3 && app.flag == 1 && app.inner.deep == 4 && app.mqtt.keep_alive == 9);
  assert_string_equal(app.text, "t\xc3\xa9");
  assert_string_equal(app.mqtt_own.pub, "p");
  assert_true(mgos_config_app_copy(&app, &copy));
  assert_ptr_not_equal(app.text, copy.text);
  mgos_config_app_free(&app);
  assert_string_equal(copy.text, "t\xc3\xa9");
  assert_true(mgos_config_app_emit(&copy, false, &out));
  assert_non_null(strstr(buf, "\"number\":3"));
  assert_non_null(strstr(buf, "\"pub\":\"p\""));
  assert_true(mgos_config_app_emit_f(&copy, true, "section.json"));
  assert_true(mgos_config_app_parse_f("section.json", &app));
  assert_true(app.single == 0.1f && app.ratio == 0.1 && app.count == 4000000000u && app.number == 3);
  mgos_config_app_free(&app);
  mgos_config_app_free(&copy);
  unlink("section.json");
  assert_false(mgos_config_app_parse_f("section.json", &app));
  assert_false(mgos_config_app_parse(mg_mk_str("{\"number\": \"x\"}"), &app));
  assert_int_equal(app.number, -5);
  assert_string_equal(mgos_config_app_get_schema()->key, "app");
}

static void layers(void **state) {
  (void) state;
  write_file("conf0.json", "{\"app\": {\"number\": 1, \"text\": \"zero\", \"flag\": false}, \"mqtt\": {\"server\": \"zero:1\"}}");
  write_file("conf5.json", "{\"app\": {\"number\": 2}, \"unknown\": {\"a\": 1}, \"mqtt\": {\"enable\": false, \"pub\": \"five\"}}");
  write_file("conf9.json", "{\"app\": {\"number\": 3}}");
  assert_true(mgos_os_config_start());
  assert_int_equal(mgos_sys_config_get_app_number(), 3);
  assert_string_equal(mgos_sys_config_get_app_text(), "zero");
  assert_int_equal(mgos_sys_config_get_app_flag(), 0);
  assert_string_equal(mgos_sys_config_get_mqtt_server(), "zero:1");
  assert_string_equal(mgos_sys_config_get_mqtt_pub(), "five");
  assert_string_equal(mgos_sys_config_get_mqtt1_pub(), "/pub");
}

/* conf9.json gets what differs, and nothing else. */
static void saves(void **state) {
  char *msg = (char *) "", *text;
  struct stat st;
  (void) state;
  write_file("conf0.json", "{\"app\": {\"number\": 1}}");
  assert_true(mgos_os_config_start());
  mgos_sys_config_set_app_text("a\"\xc3\xa9\n");
  mgos_sys_config_set_app_ratio(0.3);
  mgos_sys_config_set_mqtt_pass("secret");
  mgos_sys_config_set_mqtt_pub("/x");
  mgos_sys_config_set_copy_deep(9);
  assert_true(save_cfg(&mgos_sys_config, &msg));
  assert_null(msg);
  text = json_fread("conf9.json");
  assert_string_equal(text,
                      "{\n  \"mqtt\": {\n    \"pass\": \"secret\",\n    \"pub\": \"/x\"\n  },\n  \"app\": {\n    \"ratio\": 0.3,\n"
                      "    \"text\": \"a\\\"\xc3\xa9\\n\"\n  },\n  \"copy\": {\n    \"deep\": 9\n  }\n}\n");
  free(text);
  assert_int_equal(stat("conf9.json", &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600); /* a password stands in it */
  assert_false(exists("conf9.json.new"));
  assert_true(mgos_os_config_start());
  assert_string_equal(mgos_sys_config_get_app_text(), "a\"\xc3\xa9\n");
  assert_true(mgos_sys_config_get_app_ratio() == 0.3);
  assert_string_equal(mgos_sys_config_get_mqtt_pass(), "secret");
  assert_int_equal(mgos_sys_config_get_app_number(), 1);
  /* Back to what is below: nothing is left. */
  mgos_config_reset(9);
  assert_false(exists("conf9.json"));
  assert_true(exists("conf0.json"));
  mgos_config_reset(0);
  assert_false(exists("conf0.json"));
}

static void saving_fails(void **state) {
  char *msg = NULL;
  (void) state;
  write_file("conf9.json", "{}");
  assert_int_equal(mkdir("conf9.json.new", 0700), 0); /* in its way */
  assert_false(save_cfg(&mgos_sys_config, &msg));
  assert_non_null(msg);
  assert_non_null(strstr(msg, "conf9.json.new: cannot make it: "));
  free(msg);
  assert_int_equal(rmdir("conf9.json.new"), 0);
  mgos_sys_config_set_app_text("\xff");
  assert_false(save_cfg(&mgos_sys_config, &msg));
  assert_non_null(strstr(msg, "not UTF-8"));
  free(msg);
  mgos_sys_config_set_app_text(NULL);
  assert_false(save_cfg(NULL, NULL));
}

static char s_log[8192];

/* What mgos_os_config_start() logs. */
static const char *start_and_log(void) {
  FILE *file = tmpfile();
  size_t n;
  cs_log_set_level(LL_WARN);
  cs_log_set_file(file);
  assert_true(mgos_os_config_start());
  cs_log_set_file(NULL);
  cs_log_set_level(LL_NONE);
  rewind(file);
  n = fread(s_log, 1, sizeof(s_log) - 1, file);
  s_log[n] = '\0';
  fclose(file);
  return s_log;
}

static void damaged_files(void **state) {
  static const char *const rows[][2] = {
      {"{\"app\": {\"number\": 7}", "conf9.json: not JSON: it ends too early"},
      {"{\"app\": {\"number\": 7, \"text\": 5}}", "app.text: expected a string, found a number (line 1)"},
      {"{\n\"app\": {\n\"flag\": 1}}", "app.flag: expected true or false, found a number (line 3)"},
      {"{\"app\": {\"number\": 3000000000}}", "app.number: expected an integer of 32 bits, found 3000000000 (line 1)"},
      {"{\"app\": {\"number\": 1.5}}", "app.number: expected an integer of 32 bits, found 1.5 (line 1)"},
      {"{\"app\": {\"count\": -1}}", "app.count: expected an integer from 0 to 4294967295, found -1 (line 1)"},
      {"{\"app\": 5}", "app: expected an object, found a number (line 1)"},
      {"{\"app\": {\"text\": [\"x\"]}}", "app.text: expected a string, found an array (line 1)"},
      {"{\"app\": {\"text\": \"a\\u0000b\"}}", "app.text: expected a string"},
      {"[]", "the whole: expected an object, found an array (line 1)"},
      {"\xff", "not JSON"},
      {"", "not JSON"},
      {"{\"conf_acl\": \"-*\"}", "conf_acl is not supported"},
  };
  (void) state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    write_file("conf0.json", "{\"app\": {\"number\": 1}}");
    write_file("conf9.json", rows[i][0]);
    if (strstr(start_and_log(), rows[i][1]) == NULL) print_error("%s: %s\n", rows[i][0], s_log);
    assert_non_null(strstr(s_log, rows[i][1]));
    assert_non_null(strstr(s_log, "conf9.json was renamed to conf9.json.damaged"));
    assert_false(exists("conf9.json"));
    assert_true(exists("conf9.json.damaged"));
    assert_int_equal(mgos_sys_config_get_app_number(), 1); /* nothing of it */
  }
  /* One that came with the program stays where it is. */
  write_file("conf3.json", "{");
  assert_non_null(strstr(start_and_log(), "conf3.json is not used"));
  assert_true(exists("conf3.json"));
  write_file("conf3.json", "{\"conf_acl\": \"*\", \"app\": {\"numbr\": 1, \"x\": {\"y\": 1}}}");
  start_and_log();
  assert_non_null(strstr(s_log, "conf3.json: 'app.numbr' is not in the schema and is skipped (line 1)"));
  assert_non_null(strstr(s_log, "'app.x'"));
  assert_null(strstr(s_log, "'app.x.y'"));
}

static const char *get(const char *key) {
  static char text[3000];
  struct mg_str value;
  if (!mgos_sys_config_get(mg_mk_str(key), &value)) return NULL;
  snprintf(text, sizeof(text), "%.*s", (int) value.len, value.p);
  mg_strfree(&value);
  return text;
}

static bool put(const char *key, const char *value) {
  return mgos_sys_config_set(mg_mk_str(key), mg_mk_str(value), true);
}

static void by_name(void **state) {
  (void) state;
  assert_string_equal(get("app.number"), "-5");
  assert_string_equal(get("app.flag"), "true");
  assert_string_equal(get("app.count"), "4000000000");
  assert_string_equal(get("app.single"), "0.1");
  assert_string_equal(get("app.text"), "de\"f");
  assert_string_equal(get("app.empty"), "");
  assert_string_equal(get("app.inner"), "{\"deep\":1}");
  assert_string_equal(get("mqtt.keep_alive"), "30");
  assert_non_null(strstr(get("mqtt"), "\"pub\":\"/pub\""));
  assert_null(get("app.nothing"));
  assert_null(get("nothing"));
  assert_null(get(""));
  assert_null(get(".app"));
  assert_true(put("app.number", "12"));
  assert_true(put("app.flag", "false"));
  assert_true(put("app.text", "x\"y"));
  assert_true(put("app.inner", "{\"deep\": 5}"));
  assert_true(put("mqtt.server", "s:1"));
  assert_true(put("app.mqtt.pub", "own"));
  assert_int_equal(mgos_sys_config_get_app_number(), 12);
  assert_int_equal(mgos_sys_config_get_app_flag(), 0);
  assert_string_equal(mgos_sys_config_get_app_text(), "x\"y");
  assert_int_equal(mgos_sys_config_get_app_inner_deep(), 5);
  assert_string_equal(mgos_sys_config_get_mqtt_server(), "s:1");
  assert_string_equal(mgos_sys_config_get_app_mqtt_pub(), "own");
  assert_false(put("app.number", "x"));
  assert_false(put("app.number", "1, \"flag\": true"));
  assert_false(put("app.number", ""));
  assert_false(put("app.text", "\xff"));
  assert_false(put("nothing", "1"));
  assert_false(put("app.inner", "5"));
  assert_int_equal(mgos_sys_config_get_app_number(), 12);
}

static void changes_by_json(void **state) {
  const char *text;
  (void) state;
  mgos_sys_config_set_app_text("kept");
  text = mgos_sys_config_get_app_text();
  assert_true(mgos_config_apply("{\"app\": {\"number\": 4}, \"mqtt\": {\"client_id\": \"c\"}}", false));
  assert_int_equal(mgos_sys_config_get_app_number(), 4);
  assert_string_equal(mgos_sys_config_get_mqtt_client_id(), "c");
  assert_ptr_equal(mgos_sys_config_get_app_text(), text); /* what did not change stays where it is */
  assert_false(exists("conf9.json"));
  assert_false(mgos_config_apply("{\"app\": {\"number\": 5, \"flag\": 1}}", true)); /* all or nothing */
  assert_int_equal(mgos_sys_config_get_app_number(), 4);
  assert_false(mgos_config_apply("", false));
  assert_false(mgos_config_apply(NULL, false));
  assert_true(mgos_config_apply_s(mg_mk_str("{\"app\": {\"number\": 6}}"), true));
  assert_true(exists("conf9.json"));
  assert_false(mgos_config_is_default_str(NULL));
  assert_false(mgos_config_is_default_str(text));
  assert_true(mgos_config_is_default_str(mgos_sys_config_get_app_mqtt_pub()));
}

/* The fields of base.yml are those of the structure, in its order and with its defaults. */
static void the_library_has_the_same(void **state) {
  struct mgos_config_mqtt core;
  struct mgos_config fresh_one;
  char *ours, *theirs;
  size_t fields = 0;
  (void) state;
  memset(&fresh_one, 0, sizeof(fresh_one));
  mgos_config_set_defaults(&fresh_one);
  fresh_one.mqtt.keep_alive = 60; /* changed in app/mos.yml */
  for (size_t i = 0; i < mgos_app_description.num_core; i++) {
    const struct mgos_conf_core *c = &mgos_app_description.core[i];
    if (c->section != 0) continue;
    assert_int_equal(c->field, fields++);
  }
  assert_int_equal(fields, 26);
  mgos_config_mqtt_set_defaults(&core);
  theirs = mgos_config_mqtt_to_json(&core, false, true);
  memcpy(&core, &fresh_one.mqtt, sizeof(core));
  ours = mgos_config_mqtt_to_json(&core, false, true);
  assert_string_equal(ours, theirs);
  free(ours);
  free(theirs);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(defaults, fresh),      cmocka_unit_test_setup(setters, fresh),
      cmocka_unit_test_setup(sections, fresh),      cmocka_unit_test_setup(layers, fresh),
      cmocka_unit_test_setup(saves, fresh),         cmocka_unit_test_setup(saving_fails, fresh),
      cmocka_unit_test_setup(damaged_files, fresh), cmocka_unit_test_setup(by_name, fresh),
      cmocka_unit_test_setup(changes_by_json, fresh), cmocka_unit_test_setup(the_library_has_the_same, fresh),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
