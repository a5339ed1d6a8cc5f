/* A manager class in C++: it owns its sensors, is called by static functions, and runs timers and callbacks of another thread.
 *
 * Scenario:
 *   ready home/sensors/set
 *   > home/sensors/set {"sensor": "t1", "raw": 40}
 *   < home/sensors/t1 {"value": 20.0}
 *   > home/sensors/set {"sensor": "t1", "raw": 300}
 *   < home/sensors/t1 {"value": 150.0}
 *   < home/sensors/t1/alarm {"limit": 100}
 *   restart
 *   ready home/sensors/set
 *   < home/sensors/status {"sensors": 1, "reconnects": 1}
 *   > home/sensors/set {"sensor": "h1", "raw": 7}
 *   < home/sensors/h1 {"value": 3.5}
 */

#include <map>
#include <string>
#include <thread>

#include "mgos.h"
#include "mgos_mqtt.h"

class Manager {
 public:
  Manager() : connections_(0), timer_(MGOS_INVALID_TIMER_ID) {
  }

  void Start() {
    mgos_event_add_handler(MGOS_EVENT_CLOUD_CONNECTED, CloudHandler, this);
    mgos_mqtt_sub(Topic("/set").c_str(), SetHandler, this);
    timer_ = mgos_set_timer(60 * 1000, MGOS_TIMER_REPEAT, TimerHandler, this);
  }

 private:
  static std::string Topic(const std::string &tail) {
    return mgos_sys_config_get_sensors_topic() + tail;
  }

  static void CloudHandler(int ev, void *ev_data, void *userdata) {
    enum mgos_cloud_type type = static_cast<struct mgos_cloud_arg *>(ev_data)->type;
    if (type == MGOS_CLOUD_MQTT) static_cast<Manager *>(userdata)->OnConnected();
    (void) ev;
  }

  static void SetHandler(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len, void *ud) {
    char *name = NULL;
    int raw = 0;
    if (json_scanf(msg, msg_len, "{sensor: %Q, raw: %d}", &name, &raw) == 2) {
      static_cast<Manager *>(ud)->Measure(name, raw);
    } else {
      LOG(LL_WARN, ("bad message on %.*s", topic_len, topic));
    }
    free(name);
    (void) nc;
  }

  static void TimerHandler(void *arg) {
    static_cast<Manager *>(arg)->PublishStatus();
  }

  static void StatusHandler(void *arg) {
    static_cast<Manager *>(arg)->PublishStatus();
  }

  void OnConnected() {
    /* Not at the first: the status comes from another thread, by the loop's. */
    if (connections_++ > 0) std::thread([this]() { mgos_invoke_cb(StatusHandler, this, false /* from_isr */); }).join();
  }

  void Measure(const std::string &name, int raw) {
    double value = raw * mgos_sys_config_get_sensors_scale();
    values_[name] = value;
    mgos_mqtt_pubf(Topic("/" + name).c_str(), 1, false, "{value: %.1f}", value);
    if (value > mgos_sys_config_get_sensors_limit()) {
      mgos_mqtt_pubf(Topic("/" + name + "/alarm").c_str(), 1, false, "{limit: %u}", mgos_sys_config_get_sensors_limit());
    }
  }

  void PublishStatus() {
    mgos_mqtt_pubf(Topic("/status").c_str(), 1, false, "{sensors: %d, reconnects: %d}", static_cast<int>(values_.size()),
                   connections_ - 1);
  }

  std::map<std::string, double> values_;
  int connections_;
  mgos_timer_id timer_;
};

extern "C" enum mgos_app_init_result mgos_app_init(void) {
  static Manager manager;
  manager.Start();
  return MGOS_APP_INIT_SUCCESS;
}
