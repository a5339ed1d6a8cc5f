/* A cloud library with a connect hook and shadow topics: it reports its state when the cloud is there, and does what deltas ask for.
 *
 * Scenario:
 *   < things/lamp/shadow/update {"state": {"reported": {"on": false, "level": 10}}}
 *   > things/lamp/shadow/update/delta {"version": 2, "state": {"on": true, "level": 80}}
 *   < things/lamp/shadow/update {"state": {"reported": {"on": true, "level": 80}}}
 *   > things/lamp/shadow/update/delta {"version": 3, "state": {"level": 5}}
 *   < things/lamp/shadow/update {"state": {"reported": {"on": true, "level": 5}}}
 *   restart
 *   < things/lamp/shadow/update {"state": {"reported": {"on": true, "level": 5}}}
 *   > things/lamp/shadow/update/delta {"version": 4, "state": {"on": false}}
 *   < things/lamp/shadow/update {"state": {"reported": {"on": false, "level": 5}}}
 */

#include "mgos.h"
#include "mgos_shadow.h"

static int s_level = 10;

static void report(void) {
  mgos_shadow_updatef("{on: %B, level: %d}", mgos_sys_config_get_app_on(), s_level);
}

static void on_shadow(int ev, void *ev_data, void *userdata) {
  if (ev == MGOS_SHADOW_UPDATE_DELTA) {
    const struct mg_str *delta = (const struct mg_str *) ev_data;
    void *h = NULL;
    struct json_token key, val;
    while ((h = json_next_key(delta->p, delta->len, h, "", &key, &val)) != NULL) {
      LOG(LL_INFO, ("delta: %.*s is %.*s", key.len, key.ptr, val.len, val.ptr));
      if (key.len == 2 && strncmp(key.ptr, "on", 2) == 0) mgos_sys_config_set_app_on(val.type == JSON_TYPE_TRUE);
      if (key.len == 5 && strncmp(key.ptr, "level", 5) == 0) s_level = (int) strtol(val.ptr, NULL, 10);
    }
  }
  report();
  (void) userdata;
}

static void on_cloud(int ev, void *ev_data, void *userdata) {
  const struct mgos_cloud_arg *arg = (const struct mgos_cloud_arg *) ev_data;
  LOG(LL_INFO, ("cloud %d: event %d", arg->type, ev - MGOS_EVENT_SYS));
  (void) userdata;
}

enum mgos_app_init_result mgos_app_init(void) {
  mgos_event_add_group_handler(MGOS_SHADOW_BASE, on_shadow, NULL);
  mgos_event_add_handler(MGOS_EVENT_CLOUD_CONNECTED, on_cloud, NULL);
  return MGOS_APP_INIT_SUCCESS;
}
