/* Home Assistant: a will, discovery and state as retained messages when the connection is up, and a command topic.
 *
 * Scenario:
 *   < homeassistant/switch/ha_1/config {"name": "Relay", "stat_t": "ha_1/relay", "cmd_t": "ha_1/relay/set", "avty_t": "ha_1/stat"}
 *   < ha_1/stat online
 *   < ha_1/relay OFF
 *   ready ha_1/relay/set
 *   > ha_1/relay/set ON
 *   < ha_1/relay ON
 *   > ha_1/relay/set TOGGLE
 *   < ha_1/relay OFF
 *   restart
 *   < homeassistant/switch/ha_1/config {"name": "Relay", "stat_t": "ha_1/relay", "cmd_t": "ha_1/relay/set", "avty_t": "ha_1/stat"}
 *   < ha_1/stat online
 *   < ha_1/relay OFF
 *   ready ha_1/relay/set
 *   > ha_1/relay/set ON
 *   < ha_1/relay ON
 *   kill
 *   < ha_1/stat offline
 */

#include "mgos.h"
#include "mgos_mqtt.h"

struct entity {
  const char *name;
  bool on;
  SLIST_ENTRY(entity) next;
};

static SLIST_HEAD(, entity) s_entities = SLIST_HEAD_INITIALIZER(s_entities);

static char *make(const char *fmt, ...) {
  char *res = NULL;
  va_list ap;
  va_start(ap, fmt);
  mg_avprintf(&res, 0, fmt, ap);
  va_end(ap);
  return res;
}

static void publish_state(struct entity *e) {
  char *topic = make("%s/%s", mgos_sys_config_get_device_id(), e->name);
  const char *state = e->on ? "ON" : "OFF";
  mgos_mqtt_pub(topic, state, strlen(state), 1, true);
  free(topic);
}

static void publish_config(struct entity *e) {
  const char *id = mgos_sys_config_get_device_id();
  char *topic = make("%s/switch/%s/config", mgos_sys_config_get_ha_prefix(), id);
  char *stat = make("%s/%s", id, e->name), *cmd = make("%s/%s/set", id, e->name), *avail = make("%s/stat", id);
  mgos_mqtt_pubf(topic, 1, true, "{name: %Q, stat_t: %Q, cmd_t: %Q, avty_t: %Q}", "Relay", stat, cmd, avail);
  free(topic);
  free(stat);
  free(cmd);
  free(avail);
}

static void on_command(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
  struct entity *e = (struct entity *) ud;
  struct mg_str s = mg_mk_str_n(msg, msg_len);
  if (mg_vcasecmp(&s, "toggle") == 0) {
    e->on = !e->on;
  } else {
    e->on = mg_vcasecmp(&s, "on") == 0;
  }
  publish_state(e);
  (void) nc, (void) topic, (void) topic_len;
}

static void on_mqtt(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct entity *e;
  char *topic;
  if (ev != MG_EV_MQTT_CONNACK) return;
  SLIST_FOREACH(e, &s_entities, next) publish_config(e);
  topic = make("%s/stat", mgos_sys_config_get_device_id());
  mgos_mqtt_pub(topic, "online", 6, 1, true);
  free(topic);
  SLIST_FOREACH(e, &s_entities, next) publish_state(e);
  (void) nc, (void) ev_data, (void) ud;
}

enum mgos_app_init_result mgos_app_init(void) {
  struct entity *e = calloc(1, sizeof(*e));
  char *topic;
  e->name = "relay";
  SLIST_INSERT_HEAD(&s_entities, e, next);
  topic = make("%s/stat", mgos_sys_config_get_device_id());
  mgos_sys_config_set_mqtt_will_topic(topic);
  free(topic);
  mgos_sys_config_set_mqtt_will_message(mgos_sys_config_get_ha_will());
  mgos_sys_config_set_mqtt_will_retain(true);
  mgos_mqtt_add_global_handler(on_mqtt, NULL);
  topic = make("%s/%s/set", mgos_sys_config_get_device_id(), e->name);
  mgos_mqtt_sub(topic, on_command, e);
  free(topic);
  return MGOS_APP_INIT_SUCCESS;
}
