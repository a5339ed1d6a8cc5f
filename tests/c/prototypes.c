/*
 * The declarations of mgos_mqtt.h and mgos_mqtt_conn.h of Mongoose OS, and those of the functions that it
 * exports without a header, once more beside this library's headers: a compiler refuses two that differ. The
 * program that is linked from it proves that they are there. All but the two internal mgos_mqtt_ev() and
 * mgos_mqtt_ws_ev().
 *
 * Compiled as C99, C11, C23, C++11 and C++20.
 */
#include <mgos_mqtt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* mgos_mqtt.h */
void mgos_mqtt_global_subscribe(const struct mg_str topic, mg_event_handler_t handler, void *ud);
void mgos_mqtt_add_global_handler(mg_event_handler_t handler, void *ud);
void mgos_mqtt_set_connect_fn(mgos_mqtt_connect_fn_t cb, void *fn_arg);
struct mg_connection *mgos_mqtt_get_global_conn(void);
bool mgos_mqtt_global_connect(void);
void mgos_mqtt_global_disconnect(void);
bool mgos_mqtt_global_is_connected(void);
uint16_t mgos_mqtt_pub(const char *topic, const void *message, size_t len, int qos, bool retain);
uint16_t mgos_mqtt_pubf(const char *topic, int qos, bool retain, const char *json_fmt, ...);
uint16_t mgos_mqtt_pubv(const char *topic, int qos, bool retain, const char *json_fmt, va_list ap);
void mgos_mqtt_sub(const char *topic, sub_handler_t, void *ud);
bool mgos_mqtt_unsub(const char *topic);
size_t mgos_mqtt_num_unsent_bytes(void);
uint16_t mgos_mqtt_get_packet_id(void);
void mgos_mqtt_set_max_qos(int qos);
struct mgos_config_mqtt;
bool mgos_mqtt_set_config(const struct mgos_config_mqtt *cfg);

/* mgos_mqtt_conn.h */
struct mgos_mqtt_conn;
struct mgos_mqtt_conn *mgos_mqtt_conn_create(int conn_id, const struct mgos_config_mqtt *cfg);
struct mgos_mqtt_conn *mgos_mqtt_conn_create2(int conn_id, const struct mgos_config_mqtt *cfg,
                                              const struct mgos_config_mqtt *cfg2);
struct mgos_mqtt_conn *mgos_mqtt_conn_from_nc(struct mg_connection *nc);
void mgos_mqtt_conn_add_handler(struct mgos_mqtt_conn *c, mg_event_handler_t handler, void *user_data);
void mgos_mqtt_conn_set_connect_fn(struct mgos_mqtt_conn *c, mgos_mqtt_connect_fn_t fn, void *fn_arg);
bool mgos_mqtt_conn_connect(struct mgos_mqtt_conn *c);
void mgos_mqtt_conn_disconnect(struct mgos_mqtt_conn *c);
bool mgos_mqtt_conn_is_connected(struct mgos_mqtt_conn *c);
uint16_t mgos_mqtt_conn_pub(struct mgos_mqtt_conn *c, const char *topic, struct mg_str msg, int qos,
                            bool retain);
uint16_t mgos_mqtt_conn_pubv(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain,
                             const char *json_fmt, va_list ap);
uint16_t mgos_mqtt_conn_pubf(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain,
                             const char *json_fmt, ...);
void mgos_mqtt_conn_sub(struct mgos_mqtt_conn *c, const char *topic, int qos, mg_event_handler_t handler,
                        void *user_data);
bool mgos_mqtt_conn_unsub(struct mgos_mqtt_conn *c, const char *topic);
size_t mgos_mqtt_conn_num_unsent_bytes(struct mgos_mqtt_conn *c);
void mgos_mqtt_conn_set_max_qos(struct mgos_mqtt_conn *c, int qos);
bool mgos_mqtt_conn_set_config(struct mgos_mqtt_conn *c, const struct mgos_config_mqtt *cfg);

/* in no header there */
bool mgos_mqtt_init(void);
uint16_t mgos_mqtt_conn_get_packet_id(struct mgos_mqtt_conn *c);
struct mg_connection *mgos_mqtt_conn_nc(struct mgos_mqtt_conn *c);
void mgos_mqtt_conn_sub_s(struct mgos_mqtt_conn *c, struct mg_str topic, int qos, mg_event_handler_t h,
                          void *ud);
void mgos_mqtt_conn_reconnect(struct mgos_mqtt_conn *c);

#ifdef __cplusplus
}
#endif

/* The types of callbacks: functions as applications write them can be given for them. Volatile, so that no
   compiler knows what they are. */
static void handler(struct mg_connection *nc, int ev, void *ev_data MG_UD_ARG(void *user_data)) {
  (void) nc, (void) ev, (void) ev_data, (void) user_data;
}

static void message_handler(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                            int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) msg, (void) msg_len, (void) ud;
}

static void connect_fn(struct mg_connection *nc, const char *client_id,
                       struct mg_send_mqtt_handshake_opts *opts, void *fn_arg) {
  (void) nc, (void) client_id, (void) opts, (void) fn_arg;
}

static volatile mg_event_handler_t event_type = handler;
static volatile sub_handler_t message_type = message_handler;
static volatile mgos_mqtt_connect_fn_t connect_type = connect_fn;

typedef void (*any_fn)(void);
#define FN(name) ((any_fn) (name))
static any_fn const all[] = {
    FN(mgos_mqtt_global_subscribe),
    FN(mgos_mqtt_add_global_handler),
    FN(mgos_mqtt_set_connect_fn),
    FN(mgos_mqtt_get_global_conn),
    FN(mgos_mqtt_global_connect),
    FN(mgos_mqtt_global_disconnect),
    FN(mgos_mqtt_global_is_connected),
    FN(mgos_mqtt_pub),
    FN(mgos_mqtt_pubf),
    FN(mgos_mqtt_pubv),
    FN(mgos_mqtt_sub),
    FN(mgos_mqtt_unsub),
    FN(mgos_mqtt_num_unsent_bytes),
    FN(mgos_mqtt_get_packet_id),
    FN(mgos_mqtt_set_max_qos),
    FN(mgos_mqtt_set_config),
    FN(mgos_mqtt_conn_create),
    FN(mgos_mqtt_conn_create2),
    FN(mgos_mqtt_conn_from_nc),
    FN(mgos_mqtt_conn_add_handler),
    FN(mgos_mqtt_conn_set_connect_fn),
    FN(mgos_mqtt_conn_connect),
    FN(mgos_mqtt_conn_disconnect),
    FN(mgos_mqtt_conn_is_connected),
    FN(mgos_mqtt_conn_pub),
    FN(mgos_mqtt_conn_pubv),
    FN(mgos_mqtt_conn_pubf),
    FN(mgos_mqtt_conn_sub),
    FN(mgos_mqtt_conn_unsub),
    FN(mgos_mqtt_conn_num_unsent_bytes),
    FN(mgos_mqtt_conn_set_max_qos),
    FN(mgos_mqtt_conn_set_config),
    FN(mgos_mqtt_init),
    FN(mgos_mqtt_conn_get_packet_id),
    FN(mgos_mqtt_conn_nc),
    FN(mgos_mqtt_conn_sub_s),
    FN(mgos_mqtt_conn_reconnect),
};

int main(void) {
  size_t i, missing = 0;
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) missing += all[i] == NULL;
  return missing == 0 && event_type != NULL && message_type != NULL && connect_type != NULL ? 0 : 1;
}
