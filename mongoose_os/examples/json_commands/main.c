/* mgos_mqtt_sub() with json_scanf(): commands change the configuration, save_cfg() keeps it, a timer reports.
 *
 * Scenario:
 *   ready pump_7/set
 *   > pump_7/get {}
 *   < pump_7/state {"name": "pump", "speed": 0.50, "tags": []}
 *   > pump_7/set {"speed": 0.75, "name": "k\u00fcche", "tags": ["a", "b"]}
 *   < pump_7/state {"name": "küche", "speed": 0.75, "tags": ["a","b"]}
 *   > pump_7/set {"speed": "fast"}
 *   < pump_7/error {"reason": "nothing to set"}
 *   > pump_7/set {"speed": 1,
 *   < pump_7/error {"reason": "nothing to set"}
 *   restart
 *   ready pump_7/set
 *   > pump_7/set {"interval": 50, "count": 2}
 *   < pump_7/state {"name": "küche", "speed": 0.75, "tags": ["a","b"]}
 *   < pump_7/tick {"n": 1}
 *   < pump_7/tick {"n": 2}
 *   again
 *   ready pump_7/set
 *   > pump_7/get {}
 *   < pump_7/state {"name": "küche", "speed": 0.75, "tags": []}
 */

#include "mgos.h"
#include "mgos_mqtt.h"

static struct mbuf s_tags;
static mgos_timer_id s_timer;
static int s_left, s_n;

static void report(void) {
  mgos_mqtt_pubf("pump_7/state", 1, false, "{name: %Q, speed: %.2f, tags: [%.*s]}", mgos_sys_config_get_app_name(),
                 mgos_sys_config_get_app_speed(), (int) s_tags.len, s_tags.buf ? s_tags.buf : "");
}

static void tick(void *arg) {
  mgos_mqtt_pubf("pump_7/tick", 1, false, "{n: %d}", ++s_n);
  if (--s_left <= 0) {
    mgos_clear_timer(s_timer);
    s_timer = MGOS_INVALID_TIMER_ID;
  }
  (void) arg;
}

static void read_tags(const char *str, int len, void *user_data) {
  struct json_token t;
  mbuf_clear(&s_tags);
  for (int i = 0; json_scanf_array_elem(str, len, "", i, &t) > 0; i++) {
    struct json_out out = JSON_OUT_MBUF(&s_tags);
    json_printf(&out, "%s%.*Q", i > 0 ? "," : "", t.len, t.ptr);
  }
  (void) user_data;
}

static void on_set(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
  double speed;
  char *name = NULL, *err = NULL;
  int interval = 0, count = 1, found;
  found = json_scanf(msg, msg_len, "{name: %Q, tags: %M}", &name, read_tags, NULL);
  if (json_scanf(msg, msg_len, "{speed: %lf}", &speed) == 1) {
    mgos_sys_config_set_app_speed(speed);
    found++;
  }
  if (name != NULL) mgos_sys_config_set_app_name(name);
  free(name);
  if (json_scanf(msg, msg_len, "{interval: %d, count: %d}", &interval, &count) > 0) {
    s_left = count;
    mgos_clear_timer(s_timer);
    s_timer = mgos_set_timer(interval, MGOS_TIMER_REPEAT, tick, NULL);
    found++;
  }
  if (found == 0) {
    mgos_mqtt_pubf("pump_7/error", 1, false, "{reason: %Q}", "nothing to set");
  } else {
    if (!save_cfg(&mgos_sys_config, &err)) LOG(LL_ERROR, ("not saved: %s", err));
    free(err);
    report();
  }
  (void) nc, (void) topic, (void) topic_len, (void) ud;
}

static void on_get(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
  LOG(LL_INFO, ("%.*s, uptime %.1f, free %lu", topic_len, topic, mgos_uptime(), (unsigned long) mgos_get_free_heap_size()));
  report();
  (void) nc, (void) msg, (void) msg_len, (void) ud;
}

enum mgos_app_init_result mgos_app_init(void) {
  mbuf_init(&s_tags, 0);
  mgos_mqtt_sub("pump_7/get", on_get, NULL);
  mgos_mqtt_sub("pump_7/set", on_set, NULL);
  return MGOS_APP_INIT_SUCCESS;
}
