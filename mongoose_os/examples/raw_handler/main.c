/* Everything in one global handler, by the raw calls of Mongoose: it subscribes when the connection is up, reads requests with
 * json_scanf() and answers with mg_mqtt_publish().
 *
 * Scenario:
 *   ready raw_1/request
 *   > raw_1/request {"gpio": {"pin": 3, "state": 1}}
 *   < raw_1/response {"pin": 3, "state": true}
 *   > raw_1/request {"gpio": {"pin": 3}}
 *   < raw_1/response {"error": "pin and state are needed"}
 *   restart
 *   ready raw_1/request
 *   > raw_1/request {gpio: {state: 0, pin: 3}}
 *   < raw_1/response {"pin": 3, "state": false}
 */

#include "common/cs_dbg.h"
#include "common/json_utils.h"
#include "mgos_app.h"
#include "mgos_gpio.h"
#include "mgos_mqtt.h"

static char *topic_of(const char *tail) {
  char *topic = NULL;
  mg_asprintf(&topic, 0, "%s%s", mgos_sys_config_get_device_id(), tail);
  return topic;
}

static void sub(struct mg_connection *nc) {
  char *topic = topic_of(mgos_sys_config_get_mqtt_sub());
  struct mg_mqtt_topic_expression te = {.topic = topic, .qos = 1};
  mg_mqtt_subscribe(nc, &te, 1, mgos_mqtt_get_packet_id());
  LOG(LL_INFO, ("Subscribing to %s", topic));
  free(topic);
}

static void answer(struct mg_connection *nc, const char *fmt, ...) {
  char *topic = topic_of(mgos_sys_config_get_mqtt_pub());
  char buf[200];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
  va_list ap;
  int n;
  va_start(ap, fmt);
  n = json_vprintf(&out, fmt, ap);
  va_end(ap);
  mg_mqtt_publish(nc, topic, mgos_mqtt_get_packet_id(), MG_MQTT_QOS(1), buf, n);
  LOG(LL_INFO, ("%s -> %s", buf, topic));
  free(topic);
}

static void ev_handler(struct mg_connection *nc, int ev, void *ev_data, void *user_data) {
  struct mg_mqtt_message *msg = (struct mg_mqtt_message *) ev_data;
  switch (ev) {
    case MG_EV_MQTT_CONNACK:
      LOG(LL_INFO, ("CONNACK: %d", msg->connack_ret_code));
      sub(nc);
      break;
    case MG_EV_MQTT_PUBLISH: {
      struct mg_str *s = &msg->payload;
      int pin, state;
      LOG(LL_INFO, ("got command: [%.*s]", (int) s->len, s->p));
      if (json_scanf(s->p, s->len, "{gpio: {pin: %d, state: %d}}", &pin, &state) == 2) {
        mgos_gpio_set_mode(pin, MGOS_GPIO_MODE_OUTPUT);
        mgos_gpio_write(pin, state > 0);
        answer(nc, "{pin: %d, state: %B}", pin, mgos_gpio_read(pin));
      } else {
        answer(nc, "{error: %Q}", "pin and state are needed");
      }
      mg_mqtt_puback(nc, msg->message_id);
      break;
    }
    case MG_EV_CLOSE:
      LOG(LL_INFO, ("closed"));
      break;
  }
  (void) user_data;
}

enum mgos_app_init_result mgos_app_init(void) {
  mgos_mqtt_add_global_handler(ev_handler, NULL);
  return MGOS_APP_INIT_SUCCESS;
}
