/* RPC over MQTT: requests come to <device>/rpc, answers go to <src>/rpc.
 *
 * Scenario:
 *   ready rpc_1/rpc
 *   > rpc_1/rpc {"id": 1, "src": "me", "method": "Sum", "args": {"a": 2, "b": 40}}
 *   < me/rpc {"id": 1, "src": "rpc_1", "result": {"sum": 42}}
 *   > rpc_1/rpc {"id": 2, "src": "me", "method": "Config.Get", "args": {"key": "rpc.mqtt"}}
 *   < me/rpc {"id": 2, "src": "rpc_1", "result": {"qos":1}}
 *   > rpc_1/rpc {"id": 3, "src": "me", "method": "Nothing"}
 *   < me/rpc {"id": 3, "src": "rpc_1", "error": {"code": 404, "message": "No handler for Nothing"}}
 *   restart
 *   ready rpc_1/rpc
 *   > rpc_1/rpc {"id": 4, "src": "me", "method": "Echo", "args": "a\"\u00e9\ud83d\ude00"}
 *   < me/rpc {"id": 4, "src": "rpc_1", "result": "a\"é😀"}
 *   > rpc_1/rpc {"id": 5, "src": "me", "method": "Sum", "args": {"a": 1}}
 *   < me/rpc {"id": 5, "src": "rpc_1", "error": {"code": 400, "message": "a and b are needed"}}
 */

#include "common/cs_dbg.h"
#include "common/json_utils.h"
#include "common/mbuf.h"
#include "common/queue.h"
#include "frozen.h"
#include "mgos_app.h"
#include "mgos_config.h"
#include "mgos_mqtt.h"

struct request {
  int64_t id;
  char *src;
  struct mg_str args;
  struct mbuf result;
  int code;
  char *error;
};

typedef void (*method_fn)(struct request *r);

struct method {
  const char *name;
  method_fn fn;
  SLIST_ENTRY(method) next;
};

static SLIST_HEAD(methods, method) s_methods;

static void sum(struct request *r) {
  struct json_out out = JSON_OUT_MBUF(&r->result);
  int a, b;
  if (json_scanf(r->args.p, (int) r->args.len, "{a: %d, b: %d}", &a, &b) != 2) {
    r->code = 400;
    mg_asprintf(&r->error, 0, "a and b are needed");
    return;
  }
  json_printf(&out, "{sum: %d}", a + b);
}

static void echo(struct request *r) {
  struct json_out out = JSON_OUT_MBUF(&r->result);
  char *text = NULL;
  json_scanf(r->args.p, (int) r->args.len, "%Q", &text);
  json_printf(&out, "%Q", text);
  free(text);
}

static void config_get(struct request *r) {
  struct mg_str value = MG_NULL_STR;
  char *key = NULL;
  json_scanf(r->args.p, (int) r->args.len, "{key: %Q}", &key);
  if (key != NULL && mgos_sys_config_get(mg_mk_str(key), &value)) {
    mbuf_append(&r->result, value.p, value.len);
  } else {
    r->code = 404;
    mg_asprintf(&r->error, 0, "No setting %s", key ? key : "");
  }
  mg_strfree(&value);
  free(key);
}

static void add(const char *name, method_fn fn) {
  struct method *m = calloc(1, sizeof(*m));
  m->name = name;
  m->fn = fn;
  SLIST_INSERT_HEAD(&s_methods, m, next);
}

static int print_answer(struct json_out *out, va_list *ap) {
  const struct request *r = va_arg(*ap, const struct request *);
  if (r->error != NULL) return json_printf(out, "error: {code: %d, message: %Q}", r->code, r->error);
  return json_printf(out, "result: %.*s", (int) r->result.len, r->result.buf);
}

static void on_request(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
  struct request r;
  struct method *m;
  struct json_token args = JSON_INVALID_TOKEN;
  char *method = NULL, *to = NULL;
  memset(&r, 0, sizeof(r));
  mbuf_init(&r.result, 0);
  if (json_scanf(msg, msg_len, "{id: %ld, src: %Q, method: %Q}", &r.id, &r.src, &method) == 3) {
    json_scanf(msg, msg_len, "{args: %T}", &args);
    /* Of a string the token is what is between its quotes. */
    if (args.type == JSON_TYPE_STRING) args.ptr--, args.len += 2;
    r.args = mg_mk_str_n(args.ptr, args.len);
    SLIST_FOREACH(m, &s_methods, next) {
      if (strcmp(m->name, method) == 0) break;
    }
    if (m != NULL) {
      m->fn(&r);
    } else {
      r.code = 404;
      mg_asprintf(&r.error, 0, "No handler for %s", method);
    }
    mg_asprintf(&to, 0, "%s/rpc", r.src);
    mgos_mqtt_pubf(to, mgos_sys_config_get_rpc_mqtt()->qos, false, "{id: %lld, src: %Q, %M}", (long long) r.id,
                   mgos_sys_config_get_device_id(), print_answer, &r);
  } else {
    LOG(LL_ERROR, ("not a request: %.*s", msg_len, msg));
  }
  free(to);
  free(method);
  free(r.src);
  free(r.error);
  mbuf_free(&r.result);
  (void) nc, (void) topic, (void) topic_len, (void) ud;
}

enum mgos_app_init_result mgos_app_init(void) {
  char *topic = NULL;
  add("Sum", sum);
  add("Echo", echo);
  add("Config.Get", config_get);
  mg_asprintf(&topic, 0, "%s/rpc", mgos_sys_config_get_device_id());
  mgos_mqtt_sub(topic, on_request, NULL);
  free(topic);
  return MGOS_APP_INIT_SUCCESS;
}
