#include "mgos_shadow.h"

#include "common/cs_base64.h"
#include "common/cs_dbg.h"
#include "common/json_utils.h"
#include "common/queue.h"
#include "frozen.h"
#include "mgos.h"
#include "mgos_mongoose_internal.h"
#include "mgos_mqtt.h"

struct update {
  char *text;
  STAILQ_ENTRY(update) next;
};

static STAILQ_HEAD(updates, update) s_updates = STAILQ_HEAD_INITIALIZER(s_updates);
static struct mgos_rlock_type *s_lock;
static uint16_t s_sub_id;
static bool s_online;

static char *topic(const char *tail) {
  char *res = NULL;
  mg_asprintf(&res, 0, "things/%s/shadow/%s", mgos_sys_config_get_shadow_thing(), tail);
  return res;
}

/* The password is a token. Real clouds sign it. */
static void connect_fn(struct mg_connection *nc, const char *client_id, struct mg_send_mqtt_handshake_opts *opts, void *fn_arg) {
  char claims[100], token[150];
  struct json_out out = JSON_OUT_BUF(claims, sizeof(claims));
  int n = json_printf(&out, "{aud: %Q, ttl: %d}", client_id, mgos_sys_config_get_shadow_token_ttl());
  cs_base64_encode((const unsigned char *) claims, n, token);
  opts->user_name = "unused";
  opts->password = token;
  mg_send_mqtt_handshake_opt(nc, client_id, *opts);
  (void) fn_arg;
}

static void flush(struct mg_connection *nc) {
  char *t = topic("update");
  mgos_rlock(s_lock);
  while (s_online && !STAILQ_EMPTY(&s_updates)) {
    struct update *u = STAILQ_FIRST(&s_updates);
    STAILQ_REMOVE_HEAD(&s_updates, next);
    mg_mqtt_publish(nc, t, mgos_mqtt_get_packet_id(), MG_MQTT_QOS(1), u->text, strlen(u->text));
    free(u->text);
    free(u);
  }
  mgos_runlock(s_lock);
  free(t);
}

static void ev_handler(struct mg_connection *nc, int ev, void *ev_data, void *user_data) {
  struct mg_mqtt_message *msg = (struct mg_mqtt_message *) ev_data;
  switch (ev) {
    case MG_EV_MQTT_CONNACK: {
      struct mg_mqtt_topic_expression te[2];
      te[0].topic = topic("update/delta");
      te[1].topic = topic("get/accepted");
      te[0].qos = te[1].qos = 1;
      s_sub_id = mgos_mqtt_get_packet_id();
      mg_mqtt_subscribe(nc, te, 2, s_sub_id);
      free((void *) te[0].topic);
      free((void *) te[1].topic);
      break;
    }
    case MG_EV_MQTT_SUBACK:
      if (msg->message_id == s_sub_id) {
        struct mgos_cloud_arg arg = {.type = MGOS_CLOUD_AWS};
        s_online = true;
        mgos_event_trigger(MGOS_EVENT_CLOUD_CONNECTED, &arg);
        mgos_event_trigger(MGOS_SHADOW_CONNECTED, NULL);
        flush(nc);
      }
      break;
    case MG_EV_MQTT_PUBLISH: {
      struct json_token state = JSON_INVALID_TOKEN;
      char *t = topic("update/delta");
      if (mg_vcmp(&msg->topic, t) == 0 && json_scanf(msg->payload.p, msg->payload.len, "{state: %T}", &state) == 1) {
        struct mg_str delta = mg_mk_str_n(state.ptr, state.len);
        mgos_event_trigger(MGOS_SHADOW_UPDATE_DELTA, &delta);
      }
      free(t);
      mg_mqtt_puback(nc, msg->message_id);
      flush(nc);
      break;
    }
    case MG_EV_POLL:
      flush(nc);
      break;
    case MG_EV_CLOSE:
      s_online = false;
      break;
  }
  (void) user_data;
}

bool mgos_shadow_updatef(const char *fmt, ...) {
  struct mbuf data;
  struct json_out out = JSON_OUT_MBUF(&data);
  struct update *u = calloc(1, sizeof(*u));
  va_list ap;
  mbuf_init(&data, 50);
  json_printf(&out, "{state: {reported: ");
  va_start(ap, fmt);
  json_vprintf(&out, fmt, ap);
  va_end(ap);
  json_printf(&out, "}}");
  mbuf_append(&data, "", 1);
  u->text = data.buf;
  mgos_rlock(s_lock);
  STAILQ_INSERT_TAIL(&s_updates, u, next);
  mgos_runlock(s_lock);
  return true;
}

bool mgos_shadow_init(void) {
  struct mgos_config_mqtt cfg = *mgos_sys_config_get_mqtt();
  s_lock = mgos_rlock_create();
  if (!mgos_event_register_base(MGOS_SHADOW_BASE, "shadow")) return false;
  cfg.cloud_events = false;
  cfg.client_id = mgos_sys_config_get_shadow_thing();
  if (!mgos_mqtt_set_config(&cfg)) return false;
  mgos_mqtt_set_connect_fn(connect_fn, NULL);
  mgos_mqtt_add_global_handler(ev_handler, NULL);
  return true;
}
