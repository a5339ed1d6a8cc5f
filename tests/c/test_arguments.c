/*
 * What callers get wrong: NULL for every pointer of every function. Each ends in its error, nothing crashes,
 * and nothing of it is sent. For other values see test_values.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_event.h>
#include <mgos_json.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_log.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_stats.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_subscribe.h>
#include <mgos_mqtt_transport.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_request.h>
#include <mgos_mqtt_version.h>
#include "arguments.h"
#include "peer.h"

static uint16_t pubv(const char *topic, const char *format, ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, format);
  id = mgos_mqtt_pubv(topic, 0, false, format, ap);
  va_end(ap);
  return id;
}

static uint16_t conn_pubv(struct mgos_mqtt_conn *c, const char *topic, const char *format, ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, format);
  id = mgos_mqtt_conn_pubv(c, topic, 0, false, format, ap);
  va_end(ap);
  return id;
}

static int json_vprintf_(struct json_out *out, const char *format, ...) {
  va_list ap;
  int n;
  va_start(ap, format);
  n = json_vprintf(out, format, ap);
  va_end(ap);
  return n;
}

static char *json_vasprintf_(const char *format, ...) {
  va_list ap;
  char *text;
  va_start(ap, format);
  text = json_vasprintf(format, ap);
  va_end(ap);
  return text;
}

static int json_array_(struct json_out *out, ...) {
  va_list ap;
  int n;
  va_start(ap, out);
  n = json_printf_array(out, &ap);
  va_end(ap);
  return n;
}

/* Behind a variable, so that no compiler sees the NULL and warns. */
static const char *volatile null_text;
static FILE *volatile null_file;

/* Whether it is a connection that has nothing to connect to; frees it. */
static bool inert(struct mgos_mqtt_conn *c) {
  bool fine = c != NULL && !mgos_mqtt_conn_connect(c) && mgos_mqtt_last_error() == MGOS_MQTT_DISABLED;
  mgos_mqtt_conn_free(c);
  return fine;
}

static void null_for_connections(struct client *client) {
  struct mgos_mqtt_state now = {0};
  struct mgos_mqtt_conn *c = client->c;
  struct mg_str nothing = MG_NULL_STR, dangling = MG_MK_STR_N(NULL, 3);
  struct mgos_mqtt_error_info info;
  const struct mgos_mqtt_filter filter = {"t", 0}, no_filter = {NULL, 0};
  struct mgos_mqtt_options options;
  memset(&options, 0, sizeof(options));
  info.size = sizeof(info);

  /* NULL is a connection without a server. */
  HOLDS(mgos_mqtt_conn_create, inert(mgos_mqtt_conn_create(1, NULL)));
  HOLDS(mgos_mqtt_conn_create2, inert(mgos_mqtt_conn_create2(1, NULL, NULL)));
  HOLDS(mgos_mqtt_conn_create_on, inert(mgos_mqtt_conn_create_on(NULL, 1, NULL)));
  HOLDS(mgos_mqtt_conn_free, (mgos_mqtt_conn_free(NULL), mgos_mqtt_last_error() == 0));
  HOLDS(mgos_mqtt_conn_free_wait, mgos_mqtt_conn_free_wait(NULL, 0) == 0);
  NULLS(mgos_mqtt_conn_from_nc, NULL);
  NULLS(mgos_mqtt_conn_nc, NULL);
  NULLS(mgos_mqtt_conn_add_handler, NULL, on_event, NULL);
  NULLS(mgos_mqtt_conn_add_handler, c, NULL, NULL);
  NULLS(mgos_mqtt_conn_add_handler_ex, NULL, on_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_add_handler_ex, c, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_remove_handler, NULL, on_event, NULL);
  NULLS(mgos_mqtt_conn_remove_handler, c, NULL, NULL);
  NULLS(mgos_mqtt_conn_set_connect_fn, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_connect, NULL);
  NULLS(mgos_mqtt_conn_disconnect, NULL);
  NULLS(mgos_mqtt_conn_abort, NULL);
  NULLS(mgos_mqtt_conn_reconnect, NULL);
  NULLS(mgos_mqtt_conn_is_connected, NULL);
  NULLS(mgos_mqtt_conn_pub, NULL, "t", nothing, 0, false);
  NULLS(mgos_mqtt_conn_pub, c, NULL, nothing, 0, false);
  NULLS(mgos_mqtt_conn_pub, c, "t", dangling, 0, false);
  NULLS(mgos_mqtt_conn_pubf, NULL, "t", 0, false, "x");
  NULLS(mgos_mqtt_conn_pubf, c, NULL, 0, false, "x");
  NULLS(mgos_mqtt_conn_pubf, c, "t", 0, false, null_text);
  HOLDS(mgos_mqtt_conn_pubv,
        conn_pubv(NULL, "t", "x") == 0 && mgos_mqtt_last_error() == MGOS_MQTT_NULL_ARGUMENT);
  HOLDS(mgos_mqtt_conn_pubv,
        conn_pubv(c, NULL, "x") == 0 && mgos_mqtt_last_error() == MGOS_MQTT_NULL_ARGUMENT);
  HOLDS(mgos_mqtt_conn_pubv,
        conn_pubv(c, "t", null_text) == 0 && mgos_mqtt_last_error() == MGOS_MQTT_NULL_ARGUMENT);
  NULLS(mgos_mqtt_conn_sub, NULL, "t", 0, on_event, NULL);
  NULLS(mgos_mqtt_conn_sub, c, NULL, 0, on_event, NULL);
  NULLS(mgos_mqtt_conn_sub_ex, NULL, "t", 0, on_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_sub_ex, c, NULL, 0, on_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_sub_s, NULL, nothing, 0, on_event, NULL);
  NULLS(mgos_mqtt_conn_sub_s, c, dangling, 0, on_event, NULL);
  REFUSED(mgos_mqtt_conn_sub_s, MGOS_MQTT_BAD_FILTER, c, nothing, 0, on_event, NULL);
  NULLS(mgos_mqtt_conn_unsub, NULL, "t");
  NULLS(mgos_mqtt_conn_unsub, c, NULL);
  NULLS(mgos_mqtt_conn_num_unsent_bytes, NULL);
  NULLS(mgos_mqtt_conn_get_packet_id, NULL);
  NULLS(mgos_mqtt_conn_set_max_qos, NULL, 0);
  NULLS(mgos_mqtt_conn_set_config, NULL, &client->cfg);
  NULLS(mgos_mqtt_conn_set_config, c, NULL);
  NULLS(mgos_mqtt_conn_set_options, NULL, &client->options);
  NULLS(mgos_mqtt_conn_set_options, c, NULL);
  NULLS(mgos_mqtt_conn_set_certificate, NULL, NULL, 0, NULL, 0);
  NULLS(mgos_mqtt_conn_set_certificate, c, NULL, 1, NULL, 0);
  NULLS(mgos_mqtt_conn_set_certificate, c, NULL, 0, "key", 3);
  NULLS(mgos_mqtt_conn_set_key_password, NULL, NULL, 0);
  NULLS(mgos_mqtt_conn_set_key_password, c, NULL, 1);
  NULLS(mgos_mqtt_conn_authenticate, NULL, NULL);
  NULLS(mgos_mqtt_conn_authenticate, c, NULL);
  NULLS(mgos_mqtt_conn_disconnect_with, NULL, NULL);
  NULLS(mgos_mqtt_conn_server_info, NULL, NULL);
  NULLS(mgos_mqtt_conn_server_info, c, NULL);
  NULLS(mgos_mqtt_conn_subscribe_with, NULL, NULL, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_with, c, NULL, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_set_sign_fn, NULL, NULL, NULL, NULL);
  REFUSED(mgos_mqtt_conn_set_options, MGOS_MQTT_BAD_STRUCTURE, c, &options);
  options.size = sizeof(options);
  options.num_profiles = 1;
  NULLS(mgos_mqtt_conn_set_options, c, &options);
  NULLS(mgos_mqtt_conn_create_on, client->loop, 1, &options);
  HOLDS(mgos_mqtt_conn_last_error, mgos_mqtt_conn_last_error(NULL, &info) == MGOS_MQTT_NULL_ARGUMENT);
  HOLDS(mgos_mqtt_conn_last_error, mgos_mqtt_conn_last_error(c, NULL) == MGOS_MQTT_NULL_ARGUMENT);
  info.size = 0;
  HOLDS(mgos_mqtt_conn_last_error, mgos_mqtt_conn_last_error(c, &info) == MGOS_MQTT_BAD_STRUCTURE);
  HOLDS(mgos_mqtt_conn_last_error_text, mgos_mqtt_conn_last_error_text(NULL, NULL, 0) == 0);
  HOLDS(mgos_mqtt_conn_last_error_text, mgos_mqtt_conn_last_error_text(c, NULL, 5) == 0);
  NULLS(mgos_mqtt_conn_on, NULL, MGOS_MQTT_EV_CLOSE, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_on, c, MGOS_MQTT_EV_CLOSE, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_off, NULL, on_library_event, NULL);
  NULLS(mgos_mqtt_conn_off, c, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_all, NULL, &filter, 1, on_library_event, NULL, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_all, c, NULL, 1, on_library_event, NULL, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_all, c, &no_filter, 1, on_library_event, NULL, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_wait, NULL, &filter, 1, on_library_event, NULL, NULL, NULL, 0);
  NULLS(mgos_mqtt_conn_subscribe_wait, c, NULL, 1, on_library_event, NULL, NULL, NULL, 0);
  NULLS(mgos_mqtt_conn_unsubscribe_all, NULL, &filter.filter, 1, on_library_event, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_unsubscribe_all, c, NULL, 1, on_library_event, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_unsubscribe_all, c, &no_filter.filter, 1, on_library_event, NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_unsubscribe_wait, NULL, &filter.filter, 1, on_library_event, NULL, 0);
  NULLS(mgos_mqtt_conn_unsubscribe_wait, c, NULL, 1, on_library_event, NULL, 0);
  NULLS(mgos_mqtt_conn_pending_subscriptions, NULL);
  NULLS(mgos_mqtt_conn_set_server, NULL, "localhost", NULL, NULL, NULL);
  NULLS(mgos_mqtt_conn_set_will, NULL, "t", "x", 1, 0, false);
  NULLS(mgos_mqtt_conn_set_will, c, "t", NULL, 1, 0, false);
  NULLS(mgos_mqtt_conn_connect_once, NULL, on_library_event, on_library_event, NULL);
  NULLS(mgos_mqtt_conn_connect_wait, NULL, 0);
  NULLS(mgos_mqtt_conn_disconnect_wait, NULL, 0);
  NULLS(mgos_mqtt_conn_on_connect, NULL, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_set_credentials_fn, NULL, NULL, NULL, NULL);
  HOLDS(mgos_mqtt_conn_set_credentials_fn, mgos_mqtt_conn_set_credentials_fn(c, NULL, NULL, NULL) == 0);
  NULLS(mgos_mqtt_conn_set_transport, NULL, NULL, NULL, NULL);
  HOLDS(mgos_mqtt_conn_set_transport, mgos_mqtt_conn_set_transport(c, NULL, NULL, NULL) == 0);
  HOLDS(mgos_mqtt_transport_ready, mgos_mqtt_transport_ready(NULL, 77, 4) == MGOS_MQTT_BAD_ARGUMENT);
  HOLDS(mgos_mqtt_transport_ready, mgos_mqtt_transport_ready(NULL, 77, 3) == 0);
  NULLS(mgos_mqtt_conn_answer, NULL, 1, NULL);
  HOLDS(mgos_mqtt_network_changed, mgos_mqtt_network_changed(c, 2) == MGOS_MQTT_BAD_ARGUMENT);
  HOLDS(mgos_mqtt_conn_answer, mgos_mqtt_conn_answer(c, 1, NULL) == MGOS_MQTT_STALE);
  NULLS(mgos_mqtt_conn_state, NULL, &now);
  NULLS(mgos_mqtt_conn_state, c, NULL);
  HOLDS(mgos_mqtt_conn_state, mgos_mqtt_conn_state(c, &now) == MGOS_MQTT_BAD_STRUCTURE);
  NULLS(mgos_mqtt_conn_on_offline, NULL, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_on_message, NULL, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe, NULL, "t", 0, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe, c, NULL, 0, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_messages, NULL, "t", 0, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_subscribe_messages, c, NULL, 0, on_library_event, NULL, NULL);
  NULLS(mgos_mqtt_conn_unsubscribe, NULL, "t", on_library_event, NULL);
  NULLS(mgos_mqtt_conn_unsubscribe, c, NULL, on_library_event, NULL);
}

static void null_for_publishing(struct mgos_mqtt_conn *c) {
  struct mgos_mqtt_request request = mgos_mqtt_request_init();
  struct mgos_mqtt_publication message;
  memset(&message, 0, sizeof(message));
  message.size = sizeof(message);
  NULLS(mgos_mqtt_conn_publish, NULL, &message, NULL);
  NULLS(mgos_mqtt_conn_publish, c, NULL, NULL);
  NULLS(mgos_mqtt_conn_publish, c, &message, NULL);
  NULLS(mgos_mqtt_conn_request, NULL, &request, NULL);
  NULLS(mgos_mqtt_conn_request, c, NULL, NULL);
  NULLS(mgos_mqtt_conn_request, c, &request, NULL);
  request.topic = "t";
  NULLS(mgos_mqtt_conn_request, c, &request, NULL);
  NULLS(mgos_mqtt_conn_request_cancel, NULL, 1);
  NULLS(mgos_mqtt_event_reply, NULL, NULL, &message, NULL);
  HOLDS(mgos_mqtt_event_reply, mgos_mqtt_event_reply(c, NULL, &message, NULL) == MGOS_MQTT_NOT_FOUND);
  NULLS(mgos_mqtt_conn_reply, c, NULL, &message, NULL);
  NULLS(mgos_mqtt_conn_reply, NULL, NULL, &message, NULL);
  HOLDS(mgos_mqtt_event_reply_to, mgos_mqtt_event_reply_to(NULL) == NULL);
  HOLDS(mgos_mqtt_event_request, mgos_mqtt_event_request(NULL) == 0);
  mgos_mqtt_reply_to_free(NULL);
  NO_POINTERS(mgos_mqtt_reply_to_free);
  NULLS(mgos_mqtt_conn_publish_wait, NULL, &message, 0, MGOS_MQTT_KEEP, NULL);
  NULLS(mgos_mqtt_conn_publish_wait, c, NULL, 0, MGOS_MQTT_KEEP, NULL);
  NULLS(mgos_mqtt_conn_publish_wait, c, &message, 0, MGOS_MQTT_KEEP, NULL);
  NULLS(mgos_mqtt_conn_wait, NULL, 1, 0);
  NULLS(mgos_mqtt_conn_outcome, NULL, 1);
  NULLS(mgos_mqtt_conn_token, NULL, 1);
  NULLS(mgos_mqtt_conn_cancel, NULL, 1);
  NULLS(mgos_mqtt_conn_flush, NULL, 0);
  NO_POINTERS(mgos_mqtt_outcome_name);
}

static void null_for_the_global_connection(void) {
  struct mg_str dangling = MG_MK_STR_N(NULL, 3);
  NO_POINTERS(mgos_mqtt_init);
  NO_POINTERS(mgos_mqtt_deinit);
  NO_POINTERS(mgos_mqtt_global);
  NO_POINTERS(mgos_mqtt_get_global_conn);
  NO_POINTERS(mgos_mqtt_global_connect);
  NO_POINTERS(mgos_mqtt_global_disconnect);
  NO_POINTERS(mgos_mqtt_global_is_connected);
  NO_POINTERS(mgos_mqtt_num_unsent_bytes);
  NO_POINTERS(mgos_mqtt_get_packet_id);
  NO_POINTERS(mgos_mqtt_set_max_qos);
  NULLS(mgos_mqtt_global_subscribe, dangling, on_event, NULL);
  NULLS(mgos_mqtt_add_global_handler, NULL, NULL);
  REFUSED(mgos_mqtt_set_connect_fn, MGOS_MQTT_OK, NULL, NULL); /* takes the hook away */
  NULLS(mgos_mqtt_pub, NULL, "x", 1, 0, false);
  NULLS(mgos_mqtt_pub, "t", NULL, 1, 0, false);
  NULLS(mgos_mqtt_pubf, NULL, 0, false, "x");
  NULLS(mgos_mqtt_pubf, "t", 0, false, null_text);
  HOLDS(mgos_mqtt_pubv, pubv(NULL, "x") == 0 && mgos_mqtt_last_error() == MGOS_MQTT_NULL_ARGUMENT);
  HOLDS(mgos_mqtt_pubv, pubv("t", null_text) == 0 && mgos_mqtt_last_error() == MGOS_MQTT_NULL_ARGUMENT);
  NULLS(mgos_mqtt_sub, NULL, on_message, NULL);
  NULLS(mgos_mqtt_unsub, NULL);
  NULLS(mgos_mqtt_set_config, NULL);
}

static void null_for_mongoose(struct client *client) {
  struct mg_connection *nc = mgos_mqtt_conn_nc(client->c), stranger;
  struct mg_send_mqtt_handshake_opts opts;
  struct mg_mqtt_topic_expression topic = {NULL, 0};
  struct mg_str nothing = MG_NULL_STR;
  char *names[1];
  names[0] = NULL;
  memset(&opts, 0, sizeof(opts));
  memset(&stranger, 0, sizeof(stranger));
  HOLDS(mgos_mg_mk_str, mgos_mg_mk_str(NULL).p == NULL);
  HOLDS(mgos_mg_mk_str_n, mgos_mg_mk_str_n(NULL, 0).p == NULL);
  HOLDS(mgos_mg_vcmp, mgos_mg_vcmp(NULL, NULL) == 0 && mgos_mg_vcmp(&nothing, NULL) == 0);
  HOLDS(mgos_mg_vcasecmp, mgos_mg_vcasecmp(NULL, NULL) == 0 && mgos_mg_vcasecmp(NULL, "a") < 0);
  HOLDS(mgos_mg_strdup, mgos_mg_strdup(nothing).p == NULL);
  HOLDS(mgos_mg_strdup_nul, mgos_mg_strdup_nul(nothing).p == NULL);
  HOLDS(mgos_mg_strfree, (mgos_mg_strfree(NULL), true));
  HOLDS(mgos_mg_strchr, mgos_mg_strchr(nothing, 0) == NULL);
  HOLDS(mgos_mg_strcmp, mgos_mg_strcmp(nothing, nothing) == 0);
  HOLDS(mgos_mg_strncmp, mgos_mg_strncmp(nothing, nothing, 5) == 0);
  HOLDS(mgos_mg_strcasecmp, mgos_mg_strcasecmp(nothing, nothing) == 0);
  HOLDS(mgos_mg_strstr, mgos_mg_strstr(nothing, nothing) == NULL);
  HOLDS(mgos_mg_strstrip, mgos_mg_strstrip(nothing).len == 0);
  HOLDS(mgos_mg_str_starts_with, mgos_mg_str_starts_with(nothing, nothing) == 1);
  HOLDS(mgos_mg_mqtt_match_topic_expression, mgos_mg_mqtt_match_topic_expression(nothing, nothing) == 0);
  HOLDS(mgos_mg_mqtt_vmatch_topic_expression, mgos_mg_mqtt_vmatch_topic_expression(NULL, nothing) == 0);
  NO_POINTERS(mgos_mg_time);
  NO_POINTERS(mgos_get_mgr);
  NO_POINTERS(mgos_mongoose_poll);
  NULLS(mgos_mg_set_timer, NULL, 1.0);
  REFUSED(mgos_disconnect, MGOS_MQTT_OK, NULL);
  HOLDS(mgos_mg_set_protocol_mqtt, (mgos_mg_set_protocol_mqtt(NULL), true));
  NULLS(mgos_mg_send_mqtt_handshake, NULL, "c");
  NULLS(mgos_mg_send_mqtt_handshake_opt, NULL, "c", opts);
  NULLS(mgos_mg_mqtt_publish, NULL, "t", 1, 0, "x", 1);
  NULLS(mgos_mg_mqtt_publish, nc, NULL, 1, 0, "x", 1);
  NULLS(mgos_mg_mqtt_publish, nc, "t", 1, 0, NULL, 1);
  NULLS(mgos_mg_mqtt_subscribe, NULL, &topic, 1, 1);
  NULLS(mgos_mg_mqtt_subscribe, nc, NULL, 1, 1);
  NULLS(mgos_mg_mqtt_subscribe, nc, &topic, 1, 1);
  REFUSED(mgos_mg_mqtt_subscribe, MGOS_MQTT_BAD_FILTER, nc, &topic, 0, 1);
  NULLS(mgos_mg_mqtt_unsubscribe, NULL, names, 1, 1);
  NULLS(mgos_mg_mqtt_unsubscribe, nc, NULL, 1, 1);
  NULLS(mgos_mg_mqtt_unsubscribe, nc, names, 1, 1);
  REFUSED(mgos_mg_mqtt_unsubscribe, MGOS_MQTT_BAD_FILTER, nc, names, 0, 1);
  NULLS(mgos_mg_mqtt_disconnect, NULL);
  NULLS(mgos_mg_mqtt_puback, NULL, 1);
  NULLS(mgos_mg_mqtt_pubrec, NULL, 1);
  NULLS(mgos_mg_mqtt_pubrel, NULL, 1);
  NULLS(mgos_mg_mqtt_pubcomp, NULL, 1);
  NULLS(mgos_mg_mqtt_ping, NULL);
  NULLS(mgos_add_poll_cb, NULL, NULL);
  NULLS(mgos_remove_poll_cb, NULL, NULL);
  /* A connection of another library. */
  REFUSED(mgos_mqtt_conn_from_nc, MGOS_MQTT_BAD_ARGUMENT, &stranger);
  REFUSED(mgos_mg_mqtt_ping, MGOS_MQTT_BAD_ARGUMENT, &stranger);
  REFUSED(mgos_disconnect, MGOS_MQTT_BAD_ARGUMENT, &stranger);
}

static void null_for_receiving(struct client *client) {
  struct mgos_mqtt_conn *c = client->c;
  struct mgos_mqtt_msg *msg = (struct mgos_mqtt_msg *) &wrong;
  size_t len = 1;
  NULLS(mgos_mqtt_msg_defer, NULL);
  REFUSED(mgos_mqtt_msg_defer, MGOS_MQTT_NOT_FOUND, c); /* no message is being handled */
  NULLS(mgos_mqtt_msg_ack, NULL, 0);
  HOLDS(mgos_mqtt_msg_ack, mgos_mqtt_msg_ack(c, 0) == 0);
  HOLDS(mgos_mqtt_msg_ack, mgos_mqtt_msg_ack(c, 1) == MGOS_MQTT_NOT_FOUND);
  HOLDS(mgos_mqtt_msg_ack, mgos_mqtt_msg_ack(c, UINT64_MAX) == MGOS_MQTT_NOT_FOUND);
  NULLS(mgos_mqtt_msg_refuse, NULL, 0);
  HOLDS(mgos_mqtt_msg_refuse, mgos_mqtt_msg_refuse(c, 0) == MGOS_MQTT_NOT_FOUND);
  HOLDS(mgos_mqtt_msg_refuse, mgos_mqtt_msg_refuse(c, -1) == MGOS_MQTT_BAD_ARGUMENT);
  HOLDS(mgos_mqtt_msg_refuse, mgos_mqtt_msg_refuse(c, 256) == MGOS_MQTT_BAD_ARGUMENT);
  NULLS(mgos_mqtt_conn_subscribe_queue, NULL, "t", 0);
  NULLS(mgos_mqtt_conn_subscribe_queue, c, NULL, 0);
  HOLDS(mgos_mqtt_conn_subscribe_queue, mgos_mqtt_conn_subscribe_queue(c, "a#", 0) == MGOS_MQTT_BAD_FILTER);
  HOLDS(mgos_mqtt_conn_subscribe_queue, mgos_mqtt_conn_subscribe_queue(c, "a", 3) == MGOS_MQTT_BAD_QOS);
  NULLS(mgos_mqtt_conn_unsubscribe_queue, NULL, "t");
  NULLS(mgos_mqtt_conn_unsubscribe_queue, c, NULL);
  HOLDS(mgos_mqtt_conn_unsubscribe_queue, mgos_mqtt_conn_unsubscribe_queue(c, "t") == MGOS_MQTT_NOT_FOUND);
  NULLS(mgos_mqtt_conn_receive, c, 0, NULL);
  HOLDS(mgos_mqtt_conn_receive,
        mgos_mqtt_conn_receive(NULL, 0, &msg) == MGOS_MQTT_NULL_ARGUMENT && msg == NULL);
  HOLDS(mgos_mqtt_conn_receive, mgos_mqtt_conn_receive(c, 0, &msg) == MGOS_MQTT_TIMED_OUT && msg == NULL);
  HOLDS(mgos_mqtt_msg_release, mgos_mqtt_msg_release(NULL) == 0);
  HOLDS(mgos_mqtt_msg_topic, mgos_mqtt_msg_topic(NULL, &len) == NULL && len == 0);
  HOLDS(mgos_mqtt_msg_topic, mgos_mqtt_msg_topic(NULL, NULL) == NULL);
  HOLDS(mgos_mqtt_msg_payload, mgos_mqtt_msg_payload(NULL, NULL) == NULL);
  HOLDS(mgos_mqtt_msg_size, mgos_mqtt_msg_size(NULL) == 0);
  HOLDS(mgos_mqtt_msg_qos, mgos_mqtt_msg_qos(NULL) == -1);
  HOLDS(mgos_mqtt_msg_retain, !mgos_mqtt_msg_retain(NULL));
  HOLDS(mgos_mqtt_msg_dup, !mgos_mqtt_msg_dup(NULL));
  HOLDS(mgos_mqtt_conn_receive_pending, mgos_mqtt_conn_receive_pending(c, NULL) == 0);
  NULLS(mgos_mqtt_conn_receive_pending, NULL, &len);
  NULLS(mgos_mqtt_conn_receive_dropped, NULL);
}

static void null_for_loops_and_events(void) {
  size_t len = 1;
  NO_POINTERS(mgos_mqtt_loop_create);
  HOLDS(mgos_mqtt_loop_free, mgos_mqtt_loop_free(NULL) == 0);
  /* NULL is the default loop. */
  HOLDS(mgos_mqtt_loop_poll, mgos_mqtt_loop_poll(NULL, 0) == 0);
  HOLDS(mgos_mqtt_loop_break, mgos_mqtt_loop_break(NULL) == 0);
  HOLDS(mgos_mqtt_loop_run, mgos_mqtt_loop_run(NULL) == 0);
  HOLDS(mgos_mqtt_loop_fd, mgos_mqtt_loop_fd(NULL) >= 0);
  HOLDS(mgos_mqtt_loop_timeout, mgos_mqtt_loop_timeout(NULL) >= -1);
  HOLDS(mgos_mqtt_loop_process, mgos_mqtt_loop_process(NULL) == 0);
  HOLDS(mgos_mqtt_loop_start, mgos_mqtt_loop_start(NULL) == 0);
  HOLDS(mgos_mqtt_loop_stop, mgos_mqtt_loop_stop(NULL) == 0);
  HOLDS(mgos_mqtt_loop_set_log, mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL) == 0);
  HOLDS(mgos_mqtt_event_num_filters, mgos_mqtt_event_num_filters(NULL) == 0);
  HOLDS(mgos_mqtt_event_filter, mgos_mqtt_event_filter(NULL, 0, &len) == NULL && len == 0);
  HOLDS(mgos_mqtt_event_filter, mgos_mqtt_event_filter(NULL, 0, NULL) == NULL);
  HOLDS(mgos_mqtt_event_filter_code, mgos_mqtt_event_filter_code(NULL, 0) == -1);
  HOLDS(mgos_mqtt_event_kind, mgos_mqtt_event_kind(NULL) == 0);
  HOLDS(mgos_mqtt_event_topic, mgos_mqtt_event_topic(NULL, &len) == NULL && len == 0);
  HOLDS(mgos_mqtt_event_topic, mgos_mqtt_event_topic(NULL, NULL) == NULL);
  HOLDS(mgos_mqtt_event_payload, mgos_mqtt_event_payload(NULL, NULL) != NULL);
  HOLDS(mgos_mqtt_event_qos, mgos_mqtt_event_qos(NULL) == -1);
  HOLDS(mgos_mqtt_event_retain, !mgos_mqtt_event_retain(NULL));
  HOLDS(mgos_mqtt_event_dup, !mgos_mqtt_event_dup(NULL));
  HOLDS(mgos_mqtt_event_size, mgos_mqtt_event_size(NULL) == 0);
  HOLDS(mgos_mqtt_event_attempt, mgos_mqtt_event_attempt(NULL) == 0);
  HOLDS(mgos_mqtt_event_packet_id, mgos_mqtt_event_packet_id(NULL) == 0);
  HOLDS(mgos_mqtt_event_code, mgos_mqtt_event_code(NULL) == -1);
  HOLDS(mgos_mqtt_event_error, mgos_mqtt_event_error(NULL) == 0);
  HOLDS(mgos_mqtt_event_session_present, !mgos_mqtt_event_session_present(NULL));
  HOLDS(mgos_mqtt_event_token, mgos_mqtt_event_token(NULL) == 0);
  HOLDS(mgos_mqtt_event_outcome, mgos_mqtt_event_outcome(NULL) == 0);
  HOLDS(mgos_mqtt_event_certificate, mgos_mqtt_event_certificate(NULL) == 0);
  HOLDS(mgos_mqtt_event_attempt_number, mgos_mqtt_event_attempt_number(NULL) == 0);
  HOLDS(mgos_mqtt_event_protocol_version, mgos_mqtt_event_protocol_version(NULL) == 0);
  HOLDS(mgos_mqtt_event_property, !mgos_mqtt_event_property(NULL, NULL, NULL));
  HOLDS(mgos_mqtt_msg_property, !mgos_mqtt_msg_property(NULL, NULL, NULL));
  HOLDS(mgos_mqtt_property_name, mgos_mqtt_property_name(0) != NULL);
  HOLDS(mgos_mqtt_reason_name, mgos_mqtt_reason_name(3) != NULL);
  HOLDS(mgos_mqtt_reason_text, mgos_mqtt_reason_text(-1) != NULL);
  HOLDS(mgos_mqtt_event_days, mgos_mqtt_event_days(NULL) == 0);
  NO_POINTERS(mgos_mqtt_last_error);
  HOLDS(mgos_mqtt_last_error_text, mgos_mqtt_last_error_text(NULL, 10) == 0 || mgos_mqtt_last_error() != 0);
  HOLDS(mgos_mqtt_strerror, mgos_mqtt_strerror(12345) != NULL);
  HOLDS(mgos_mqtt_error_name, mgos_mqtt_error_name(12345) != NULL);
  HOLDS(mgos_mqtt_has, !mgos_mqtt_has(NULL));
  NO_POINTERS(mgos_mqtt_version);
  NO_POINTERS(mgos_mqtt_version_number);
}

static void null_for_statistics_logs_and_ports(struct client *client) {
  struct mgos_mqtt_conn *c = client->c;
  struct mgos_mqtt_stats stats;
  char text[16];
  stats.size = sizeof(stats);
  NULLS(mgos_mqtt_conn_stats, NULL, &stats);
  NULLS(mgos_mqtt_conn_stats, c, NULL);
  NULLS(mgos_mqtt_conn_metrics, NULL, text, sizeof(text));
  HOLDS(mgos_mqtt_conn_metrics, mgos_mqtt_conn_metrics(c, NULL, 5) > 100);
  HOLDS(mgos_mqtt_loop_metrics, mgos_mqtt_loop_metrics(NULL, NULL, 5) > 100);
  NULLS(mgos_mqtt_conn_end_count, NULL, 0);
  NULLS(mgos_mqtt_conn_set_log_topics, NULL, "a", "b", 0);
  HOLDS(mgos_mqtt_conn_set_log_topics, mgos_mqtt_conn_set_log_topics(c, NULL, NULL, 0) == 0);
  NULLS(mgos_mqtt_conn_log, NULL, 1, 0, "x", 1);
  NULLS(mgos_mqtt_conn_log, c, 1, 0, NULL, 1);
  REFUSED(mgos_mqtt_conn_log, MGOS_MQTT_BAD_ARGUMENT, c, 1, 0, NULL, 0);
  NULLS(mgos_mqtt_conn_log_library, NULL, 0);
  /* NULL is the default loop. */
  HOLDS(mgos_mqtt_log_to_stderr, mgos_mqtt_log_to_stderr(NULL, -1) == 0);
  NULLS(mgos_mqtt_log_from_env, NULL, NULL);
  HOLDS(mgos_mqtt_options_set_defaults_of, mgos_mqtt_options_set_defaults_of(NULL, NULL, 1) == 0);
  NO_POINTERS(mgos_mqtt_connect_error_as_electric_imp);
  NO_POINTERS(mgos_mqtt_error_as_electric_imp);
  NO_POINTERS(mgos_mqtt_error_as_nodemcu);
  NO_POINTERS(mgos_mqtt_error_as_zerynth);
  NO_POINTERS(mgos_mqtt_subscribe_qos_of);
  HOLDS(mgos_mqtt_zerynth_name, mgos_mqtt_zerynth_name(-1) != NULL);
  NULLS(mgos_event_register_base, 0x41424300, NULL);
  HOLDS(mgos_event_trigger, mgos_event_trigger(0x41424300, NULL) == 0);
  NULLS(mgos_event_add_handler, 1, NULL, NULL);
  NULLS(mgos_event_add_group_handler, 1, NULL, NULL);
  NULLS(mgos_event_remove_handler, 1, NULL, NULL);
  NULLS(mgos_event_remove_group_handler, 1, NULL, NULL);
}

static void null_for_configurations(struct client *client) {
  struct mgos_config_mqtt cfg;
  struct mg_str nothing = MG_NULL_STR, value, dangling = MG_MK_STR_N(NULL, 3);
  char err[64];
  HOLDS(mgos_config_mqtt_set_defaults, (mgos_config_mqtt_set_defaults(NULL), true));
  HOLDS(mgos_config_mqtt_parse, !mgos_config_mqtt_parse(mg_mk_str("{}"), NULL));
  HOLDS(mgos_config_mqtt_parse, !mgos_config_mqtt_parse(dangling, &cfg));
  HOLDS(mgos_config_mqtt_parse_ex, !mgos_config_mqtt_parse_ex(NULL, 2, &cfg, err, sizeof(err)));
  HOLDS(mgos_config_mqtt_parse_ex, !mgos_config_mqtt_parse_ex("{}", 2, NULL, NULL, 0));
  HOLDS(mgos_config_mqtt_parse_f, !mgos_config_mqtt_parse_f(NULL, &cfg));
  HOLDS(mgos_config_mqtt_parse_f, !mgos_config_mqtt_parse_f("x", NULL));
  HOLDS(mgos_config_mqtt_emit_f, !mgos_config_mqtt_emit_f(NULL, false, "x"));
  HOLDS(mgos_config_mqtt_emit_f, !mgos_config_mqtt_emit_f(&client->cfg, false, NULL));
  HOLDS(mgos_config_mqtt_to_json, mgos_config_mqtt_to_json(NULL, false, false) == NULL);
  HOLDS(mgos_config_mqtt_copy, !mgos_config_mqtt_copy(NULL, &cfg));
  HOLDS(mgos_config_mqtt_copy, !mgos_config_mqtt_copy(&client->cfg, NULL));
  HOLDS(mgos_config_mqtt_free, (mgos_config_mqtt_free(NULL), true));
  HOLDS(mgos_config_is_default_str, !mgos_config_is_default_str(NULL));
  NO_POINTERS(mgos_sys_config_get_mqtt);
  NO_POINTERS(mgos_sys_config_get_mqtt1);
  NO_POINTERS(mgos_sys_config_to_json);
  NO_POINTERS(mgos_sys_config_get_device_id);
  NO_POINTERS(mgos_sys_config_get_debug_stdout_topic);
  NO_POINTERS(mgos_sys_config_get_debug_stderr_topic);
  HOLDS(mgos_sys_config_get, !mgos_sys_config_get(mg_mk_str("mqtt.server"), NULL));
  HOLDS(mgos_sys_config_get, !mgos_sys_config_get(nothing, &value) && value.p == NULL);
  HOLDS(mgos_sys_config_set, !mgos_sys_config_set(nothing, nothing, true));
  HOLDS(mgos_sys_config_set, !mgos_sys_config_set(mg_mk_str("mqtt.server"), dangling, true));
  HOLDS(mgos_sys_config_load_json, !mgos_sys_config_load_json(NULL, 3, NULL, 0));
  HOLDS(mgos_sys_config_load_json_with, !mgos_sys_config_load_json_with(NULL, 3, NULL, NULL, NULL, 0));
  HOLDS(mgos_config_apply, !mgos_config_apply(NULL, false));
  HOLDS(mgos_config_apply_s, !mgos_config_apply_s(dangling, false));
  /* NULL unsets. */
  HOLDS(mgos_sys_config_set_device_id, (mgos_sys_config_set_device_id(NULL), mgos_mqtt_last_error() == 0));
  HOLDS(mgos_sys_config_set_debug_stdout_topic,
        (mgos_sys_config_set_debug_stdout_topic(NULL), mgos_mqtt_last_error() == 0));
  HOLDS(mgos_sys_config_set_debug_stderr_topic,
        (mgos_sys_config_set_debug_stderr_topic(NULL), mgos_mqtt_last_error() == 0));
  HOLDS(mgos_sys_config_write_string,
        (mgos_sys_config_write_string(0, 1, NULL), mgos_mqtt_last_error() == 0));
  /* Sections and fields that do not exist, and fields of another type. */
  HOLDS(mgos_sys_config_read_string, mgos_sys_config_read_string(7, 1) == NULL);
  HOLDS(mgos_sys_config_read_string, mgos_sys_config_read_string(0, -1) == NULL);
  HOLDS(mgos_sys_config_read_string, mgos_sys_config_read_string(0, 0) == NULL);
  HOLDS(mgos_sys_config_read_int, mgos_sys_config_read_int(0, 99) == 0);
  HOLDS(mgos_sys_config_read_double, mgos_sys_config_read_double(-1, 5) == 0);
  HOLDS(mgos_sys_config_default_string, mgos_sys_config_default_string(99) == NULL);
  HOLDS(mgos_sys_config_default_int, mgos_sys_config_default_int(-1) == 0);
  HOLDS(mgos_sys_config_default_double, mgos_sys_config_default_double(0) == 0);
  HOLDS(mgos_sys_config_write_string,
        (mgos_sys_config_write_string(0, 99, "x"), mgos_mqtt_last_error() != 0));
  HOLDS(mgos_sys_config_write_int, (mgos_sys_config_write_int(9, 0, 1), mgos_mqtt_last_error() != 0));
  HOLDS(mgos_sys_config_write_double, (mgos_sys_config_write_double(0, 0, 1), mgos_mqtt_last_error() != 0));
}

static void null_for_json(void) {
  char buf[8];
  struct json_out out = JSON_OUT_BUF(buf, sizeof(buf)), nowhere = JSON_OUT_BUF(NULL, 0),
                  file = JSON_OUT_FILE(null_file);
  HOLDS(mgos_json_printf, json_printf(NULL, "x") == -1 && json_printf(&out, null_text) == -1);
  HOLDS(mgos_json_printf, json_printf(&nowhere, "1") == 1);
  HOLDS(mgos_json_vprintf, json_vprintf_(NULL, "x") == -1 && json_vprintf_(&out, null_text) == -1);
  HOLDS(mgos_json_asprintf, json_asprintf(null_text) == NULL);
  HOLDS(mgos_json_vasprintf, json_vasprintf_(null_text) == NULL);
  HOLDS(mgos_json_printf_array, json_array_(NULL, NULL, (size_t) 0, (size_t) 0, "%d") == -1);
  HOLDS(mgos_json_printf_array, json_printf_array(&out, NULL) == -1);
  HOLDS(mgos_json_printer_buf, json_printer_buf(NULL, "x", 1) == -1 && json_printer_buf(&out, NULL, 1) == -1);
  HOLDS(mgos_json_printer_file,
        json_printer_file(NULL, "x", 1) == -1 && json_printer_file(&file, "x", 1) == -1);
  HOLDS(mgos_json_escape, json_escape(NULL, "x", 1) == -1 && json_escape(&out, NULL, 1) == -1);
}

/* Every line of a file has to be in `names`. */
static void all_called(const char *file) {
  char line[128];
  FILE *in = file == NULL ? NULL : fopen(file, "r");
  int n = 0;
  if (in == NULL) fail_msg("cannot read %s", file == NULL ? "SYMBOLS" : file);
  while (fgets(line, sizeof(line), in) != NULL) {
    n++;
    if (strstr(called, line) == NULL) {
      print_error("not called: %s", line);
      wrong++;
    }
  }
  fclose(in);
  assert_true(n > 100);
}

/* proves: EI-13 */
static void null_everywhere(void **state) {
  struct client *client = *state;
  client_up(client);
  wrong = 0;
  null_for_connections(client);
  null_for_publishing(client->c);
  null_for_the_global_connection();
  null_for_mongoose(client);
  null_for_receiving(client);
  null_for_loops_and_events();
  null_for_statistics_logs_and_ports(client);
  null_for_configurations(client);
  null_for_json();
  all_called(getenv("SYMBOLS"));
  assert_int_equal(wrong, 0);
  settle(client); /* and nothing was sent */
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(null_everywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
