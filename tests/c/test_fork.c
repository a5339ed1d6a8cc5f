/*
 * fork(): the child is told of everything that is the parent's, touches nothing of it, finds no lock of the library
 * held by a thread that it does not have, and has a default loop and a global connection of its own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <mgos_event.h>
#include <mgos_json.h>
#include <mgos_mqtt_compat.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_log.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_request.h>
#include <mgos_mqtt_stats.h>
#include <mgos_mqtt_subscribe.h>
#include <mgos_mqtt_transport.h>
#include <mgos_mqtt_version.h>

#include "arguments.h"
#include "broker.h"
#include "client.h"
#include "net.h"

static struct broker broker;
static struct mgos_mqtt_loop *loop;
static struct client client;

static int group_setup(void **state) {
  (void) state;
  broker_start(&broker, NULL);
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return 0;
}

/* A child, and the pipe through which it answers. */
struct child {
  pid_t pid;
  int answer;
};

/* Runs `body` in a child of a fork; what it returns is the child's answer. */
static struct child child_begin(int (*body)(void)) {
  int pipes[2];
  struct child child;
  assert_int_equal(pipe(pipes), 0);
  child.pid = fork();
  assert_true(child.pid >= 0);
  if (child.pid == 0) {
    int answer;
    /* A child that hangs is the parent's to find, but must not outlive it for long. */
    alarm((unsigned) LONG_MS / 1000 + 10);
    answer = body();
    (void) !write(pipes[1], &answer, sizeof(answer));
    /* Not exit(): that is the parent's to run, and valgrind would look for leaks. */
    kill(getpid(), SIGKILL);
  }
  close(pipes[1]);
  child.answer = pipes[0];
  return child;
}

/* Its answer, or -1 if there is none in time. */
static int child_end(struct child *child) {
  struct timeval limit = {LONG_MS / 1000, 0};
  fd_set in;
  int answer = -1;
  FD_ZERO(&in);
  FD_SET(child->answer, &in);
  if (select(child->answer + 1, &in, NULL, NULL, &limit) == 1) {
    if (read(child->answer, &answer, sizeof(answer)) != sizeof(answer)) answer = -1;
  }
  kill(child->pid, SIGKILL);
  waitpid(child->pid, NULL, 0);
  close(child->answer);
  return answer;
}

static int in_child(int (*body)(void)) {
  struct child child = child_begin(body);
  return child_end(&child);
}

static void freed(void *ud) {
  ++*(int *) ud;
}

/* -- the parent's objects ------------------------------------------------------------------------ */

static struct mg_connection *nc;
static struct mgos_mqtt_msg *fetched;
static struct mgos_mqtt_conn *global;

#define FORKED(name, ...) REFUSED(name, MGOS_MQTT_FORKED, __VA_ARGS__)
/* A function that takes nothing of the parent's: it works. */
#define WORKS(name, condition)                        \
  do {                                                \
    HOLDS(name, condition);                           \
    check_error(#condition, MGOS_MQTT_OK, __LINE__);  \
  } while (0)

static uint16_t pubv(struct mgos_mqtt_conn *c, const char *format, ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, format);
  id = c != NULL ? mgos_mqtt_conn_pubv(c, "t", 0, false, format, ap) : mgos_mqtt_pubv("t", 1, false, format, ap);
  va_end(ap);
  return id;
}

static void credentials(struct mgos_mqtt_conn *c, uint64_t attempt, void *ud) {
  (void) c;
  (void) attempt;
  (void) ud;
}

static void forked_connection(struct mgos_mqtt_conn *c) {
  static int ud;
  struct mgos_mqtt_filter filter = {"t", 0};
  struct mgos_mqtt_error_info info;
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_state connection_state;
  connection_state.size = sizeof(connection_state);
  client_options(&options, &cfg, broker.server);
  info.size = sizeof(info);
  FORKED(mgos_mqtt_conn_nc, c);
  FORKED(mgos_mqtt_conn_add_handler, c, on_event, NULL);
  FORKED(mgos_mqtt_conn_add_handler_ex, c, on_event, &ud, freed);
  FORKED(mgos_mqtt_conn_remove_handler, c, on_event, NULL);
  FORKED(mgos_mqtt_conn_set_connect_fn, c, NULL, NULL);
  FORKED(mgos_mqtt_conn_connect, c);
  FORKED(mgos_mqtt_conn_disconnect, c);
  FORKED(mgos_mqtt_conn_abort, c);
  FORKED(mgos_mqtt_conn_reconnect, c);
  FORKED(mgos_mqtt_conn_is_connected, c);
  FORKED(mgos_mqtt_conn_pub, c, "t", mg_mk_str("x"), 1, false);
  FORKED(mgos_mqtt_conn_pubf, c, "t", 1, false, "%d", 1);
  HOLDS(mgos_mqtt_conn_pubv, pubv(c, "%d", 1) == 0 && mgos_mqtt_last_error() == MGOS_MQTT_FORKED);
  FORKED(mgos_mqtt_conn_sub, c, "t", 1, on_event, NULL);
  FORKED(mgos_mqtt_conn_sub_ex, c, "t", 1, on_event, &ud, freed);
  FORKED(mgos_mqtt_conn_sub_s, c, mg_mk_str("t"), 1, on_event, NULL);
  FORKED(mgos_mqtt_conn_unsub, c, "t");
  FORKED(mgos_mqtt_conn_num_unsent_bytes, c);
  FORKED(mgos_mqtt_conn_get_packet_id, c);
  FORKED(mgos_mqtt_conn_set_max_qos, c, 1);
  FORKED(mgos_mqtt_conn_set_config, c, &cfg);
  FORKED(mgos_mqtt_conn_set_options, c, &options);
  FORKED(mgos_mqtt_conn_set_certificate, c, "x", 1, NULL, 0);
  FORKED(mgos_mqtt_conn_set_key_password, c, "x", 1);
  FORKED(mgos_mqtt_conn_authenticate, c, NULL);
  FORKED(mgos_mqtt_conn_disconnect_with, c, NULL);
  FORKED(mgos_mqtt_conn_server_info, c, NULL);
  FORKED(mgos_mqtt_conn_subscribe_with, c, NULL, NULL, NULL, NULL);
  FORKED(mgos_mqtt_conn_set_sign_fn, c, NULL, &ud, freed);
  FORKED(mgos_mqtt_conn_set_credentials_fn, c, credentials, &ud, freed);
  FORKED(mgos_mqtt_conn_answer, c, 1, NULL);
  FORKED(mgos_mqtt_conn_set_transport, c, NULL, NULL, NULL);
  FORKED(mgos_mqtt_network_changed, c, MGOS_MQTT_NETWORK_PROBE);
  FORKED(mgos_mqtt_conn_state, c, &connection_state);
  HOLDS(mgos_mqtt_conn_last_error, mgos_mqtt_conn_last_error(c, &info) == MGOS_MQTT_FORKED);
  FORKED(mgos_mqtt_conn_last_error_text, c, NULL, 0);
  FORKED(mgos_mqtt_conn_on, c, MGOS_MQTT_EV_CLOSE, on_library_event, &ud, freed);
  FORKED(mgos_mqtt_conn_off, c, on_library_event, NULL);
  FORKED(mgos_mqtt_conn_subscribe, c, "t", 1, on_library_event, &ud, freed);
  FORKED(mgos_mqtt_conn_subscribe_messages, c, "t", 1, on_library_event, &ud, freed);
  FORKED(mgos_mqtt_conn_unsubscribe, c, "t", on_library_event, NULL);
  FORKED(mgos_mqtt_conn_subscribe_all, c, &filter, 1, on_library_event, &ud, freed, NULL, NULL);
  FORKED(mgos_mqtt_conn_subscribe_wait, c, &filter, 1, on_library_event, &ud, freed, NULL, 100);
  FORKED(mgos_mqtt_conn_unsubscribe_all, c, &filter.filter, 1, on_library_event, NULL, NULL, NULL);
  FORKED(mgos_mqtt_conn_unsubscribe_wait, c, &filter.filter, 1, on_library_event, NULL, 100);
  FORKED(mgos_mqtt_conn_pending_subscriptions, c);
  FORKED(mgos_mqtt_conn_set_server, c, "localhost", NULL, NULL, NULL);
  FORKED(mgos_mqtt_conn_set_will, c, "t", "x", 1, 0, false);
  FORKED(mgos_mqtt_conn_connect_once, c, on_library_event, on_library_event, NULL);
  FORKED(mgos_mqtt_conn_connect_wait, c, 100);
  FORKED(mgos_mqtt_conn_disconnect_wait, c, 100);
  FORKED(mgos_mqtt_conn_on_connect, c, on_library_event, &ud, freed);
  FORKED(mgos_mqtt_conn_on_offline, c, on_library_event, &ud, freed);
  FORKED(mgos_mqtt_conn_on_message, c, on_library_event, &ud, freed);
  /* What was refused stays the caller's. */
  check_result("no destructor", ud == 0, __LINE__);
}

static void forked_messages(struct mgos_mqtt_conn *c) {
  struct mgos_mqtt_request request = mgos_mqtt_request_init();
  struct mgos_mqtt_publication message;
  struct mgos_mqtt_stats stats;
  struct mgos_mqtt_msg *msg;
  char text[16];
  size_t bytes;
  memset(&message, 0, sizeof(message));
  message.size = sizeof(message);
  message.topic = "t";
  request.topic = "t";
  request.done = on_library_event;
  stats.size = sizeof(stats);
  FORKED(mgos_mqtt_conn_publish, c, &message, NULL);
  FORKED(mgos_mqtt_conn_request, c, &request, NULL);
  FORKED(mgos_mqtt_conn_request_cancel, c, 1);
  FORKED(mgos_mqtt_event_reply, c, NULL, &message, NULL);
  FORKED(mgos_mqtt_conn_reply, c, NULL, &message, NULL);
  mgos_mqtt_reply_to_free(NULL); /* it belongs to no connection */
  NO_POINTERS(mgos_mqtt_reply_to_free);
  FORKED(mgos_mqtt_conn_publish_wait, c, &message, 100, MGOS_MQTT_KEEP, NULL);
  FORKED(mgos_mqtt_conn_wait, c, 1, 100);
  FORKED(mgos_mqtt_conn_outcome, c, 1);
  FORKED(mgos_mqtt_conn_token, c, 1);
  FORKED(mgos_mqtt_conn_cancel, c, 1);
  FORKED(mgos_mqtt_conn_flush, c, 100);
  FORKED(mgos_mqtt_msg_defer, c);
  FORKED(mgos_mqtt_msg_ack, c, 1);
  FORKED(mgos_mqtt_msg_refuse, c, 0);
  FORKED(mgos_mqtt_conn_subscribe_queue, c, "t", 1);
  FORKED(mgos_mqtt_conn_unsubscribe_queue, c, "t");
  FORKED(mgos_mqtt_conn_receive, c, 100, &msg);
  FORKED(mgos_mqtt_conn_receive_pending, c, &bytes);
  FORKED(mgos_mqtt_conn_receive_dropped, c);
  FORKED(mgos_mqtt_conn_stats, c, &stats);
  FORKED(mgos_mqtt_conn_metrics, c, text, sizeof(text));
  FORKED(mgos_mqtt_conn_end_count, c, 0);
  FORKED(mgos_mqtt_conn_set_log_topics, c, "a", "b", 0);
  FORKED(mgos_mqtt_conn_log, c, 1, 0, "x", 1);
  FORKED(mgos_mqtt_conn_log_library, c, 0);
  /* A message that was fetched is memory of this process; acknowledging it is the parent's. */
  WORKS(mgos_mqtt_msg_topic, mgos_mqtt_msg_topic(fetched, NULL) != NULL);
  WORKS(mgos_mqtt_msg_payload, mgos_mqtt_msg_payload(fetched, NULL) != NULL);
  WORKS(mgos_mqtt_msg_size, mgos_mqtt_msg_size(fetched) == 1);
  WORKS(mgos_mqtt_msg_qos, mgos_mqtt_msg_qos(fetched) == 1);
  WORKS(mgos_mqtt_msg_retain, !mgos_mqtt_msg_retain(fetched));
  WORKS(mgos_mqtt_msg_property, !mgos_mqtt_msg_property(fetched, NULL, NULL));
  WORKS(mgos_mqtt_msg_dup, !mgos_mqtt_msg_dup(fetched));
  FORKED(mgos_mqtt_msg_release, fetched);
}

static void forked_mongoose(void) {
  struct mg_send_mqtt_handshake_opts opts;
  struct mg_mqtt_topic_expression topic = {"t", 0};
  char name[] = "t", *names[] = {name};
  memset(&opts, 0, sizeof(opts));
  FORKED(mgos_mqtt_conn_from_nc, nc);
  FORKED(mgos_disconnect, nc);
  FORKED(mgos_mg_set_timer, nc, 1.0);
  HOLDS(mgos_mg_set_protocol_mqtt, (mgos_mg_set_protocol_mqtt(nc), true)); /* does nothing anywhere */
  FORKED(mgos_mg_send_mqtt_handshake, nc, "c");
  FORKED(mgos_mg_send_mqtt_handshake_opt, nc, "c", opts);
  FORKED(mgos_mg_mqtt_publish, nc, "t", 1, 0, "x", 1);
  FORKED(mgos_mg_mqtt_subscribe, nc, &topic, 1, 1);
  FORKED(mgos_mg_mqtt_unsubscribe, nc, names, 1, 1);
  FORKED(mgos_mg_mqtt_disconnect, nc);
  FORKED(mgos_mg_mqtt_puback, nc, 1);
  FORKED(mgos_mg_mqtt_pubrec, nc, 1);
  FORKED(mgos_mg_mqtt_pubrel, nc, 1);
  FORKED(mgos_mg_mqtt_pubcomp, nc, 1);
  FORKED(mgos_mg_mqtt_ping, nc);
}

static void forked_loop(void) {
  FORKED(mgos_mqtt_conn_create_on, loop, 1, NULL);
  FORKED(mgos_mqtt_loop_poll, loop, 100);
  FORKED(mgos_mqtt_transport_ready, loop, 1, MGOS_MQTT_TRANSPORT_READABLE);
  FORKED(mgos_mqtt_loop_run, loop);
  FORKED(mgos_mqtt_loop_break, loop);
  FORKED(mgos_mqtt_loop_fd, loop);
  FORKED(mgos_mqtt_loop_timeout, loop);
  FORKED(mgos_mqtt_loop_process, loop);
  FORKED(mgos_mqtt_loop_start, loop);
  FORKED(mgos_mqtt_loop_stop, loop);
  FORKED(mgos_mqtt_loop_set_log, loop, 0, NULL, NULL, NULL);
  FORKED(mgos_mqtt_loop_metrics, loop, NULL, 0);
  FORKED(mgos_mqtt_log_to_stderr, loop, 0);
  FORKED(mgos_mqtt_log_from_env, loop, "TEST_LOG");
}

static void poll_cb(void *ud) {
  ++*(int *) ud;
}

/* What takes no handle is the child's own from its first use on. */
static void own_defaults(void) {
  struct mgos_config_mqtt cfg;
  static int polled;
  mgos_config_mqtt_set_defaults(&cfg);
  HOLDS(mgos_remove_poll_cb, (mgos_remove_poll_cb(poll_cb, &polled), true));
  check_error("the parent's poll callback", MGOS_MQTT_NOT_FOUND, __LINE__);
  WORKS(mgos_mqtt_deinit, mgos_mqtt_deinit(100) == 0); /* there is none yet */
  WORKS(mgos_mqtt_init, mgos_mqtt_init());
  WORKS(mgos_mqtt_global, mgos_mqtt_global() != NULL && mgos_mqtt_global() != global);
  WORKS(mgos_get_mgr, mgos_get_mgr() != NULL);
  WORKS(mgos_add_poll_cb, (mgos_add_poll_cb(poll_cb, &polled), true));
  WORKS(mgos_mongoose_poll, mgos_mongoose_poll(0) == 0 && polled == 1);
  WORKS(mgos_mqtt_loop_timeout, mgos_mqtt_loop_timeout(NULL) >= -1);
  WORKS(mgos_mqtt_conn_create, mgos_mqtt_conn_create(1, NULL) != NULL);
  WORKS(mgos_mqtt_conn_create2, mgos_mqtt_conn_create2(1, NULL, NULL) != NULL);
  WORKS(mgos_mqtt_loop_create, mgos_mqtt_loop_create() != NULL);
  WORKS(mgos_mqtt_global_is_connected, !mgos_mqtt_global_is_connected());
  WORKS(mgos_mqtt_num_unsent_bytes, mgos_mqtt_num_unsent_bytes() == 0);
  WORKS(mgos_mqtt_get_packet_id, mgos_mqtt_get_packet_id() != 0);
  WORKS(mgos_mqtt_set_max_qos, (mgos_mqtt_set_max_qos(2), true));
  WORKS(mgos_mqtt_pub, mgos_mqtt_pub("t", "x", 1, 1, false) != 0);
  WORKS(mgos_mqtt_pubf, mgos_mqtt_pubf("t", 1, false, "%d", 1) != 0);
  WORKS(mgos_mqtt_pubv, pubv(NULL, "%d", 1) != 0);
  WORKS(mgos_mqtt_sub, (mgos_mqtt_sub("t", on_message, NULL), true));
  WORKS(mgos_mqtt_unsub, mgos_mqtt_unsub("t"));
  WORKS(mgos_mqtt_global_subscribe, (mgos_mqtt_global_subscribe(mg_mk_str("t"), on_event, NULL), true));
  WORKS(mgos_mqtt_add_global_handler, (mgos_mqtt_add_global_handler(on_event, NULL), true));
  WORKS(mgos_mqtt_set_connect_fn, (mgos_mqtt_set_connect_fn(NULL, NULL), true));
  WORKS(mgos_mqtt_set_config, mgos_mqtt_set_config(&cfg));
  WORKS(mgos_mqtt_global_disconnect, (mgos_mqtt_global_disconnect(), true));
  HOLDS(mgos_mqtt_global_connect, !mgos_mqtt_global_connect());
  check_error("not enabled", MGOS_MQTT_DISABLED, __LINE__);
  HOLDS(mgos_mqtt_get_global_conn, mgos_mqtt_get_global_conn() == NULL);
  check_error("not up", MGOS_MQTT_NOT_CONNECTED, __LINE__);
  WORKS(mgos_mqtt_deinit, mgos_mqtt_deinit(100) == 0);
}

/* Functions that concern neither loops nor connections, but text, JSON, the configuration, the event bus (which are the
 * process's own, and whose locks are another test's), an event inside a callback, and the library itself. */
static bool without_handle(const char *name) {
  static const char *const groups[] = {
      "mgos_json_", "mgos_config_", "mgos_sys_config_", "mgos_event_", "mgos_mqtt_event_", "mgos_mg_str",
      "mgos_mg_mk_str", "mgos_mg_vc", "mgos_mg_time", "mgos_mg_mqtt_match", "mgos_mg_mqtt_vmatch",
      "mgos_mqtt_last_error", "mgos_mqtt_strerror", "mgos_mqtt_error_", "mgos_mqtt_connect_error_",
      "mgos_mqtt_version", "mgos_mqtt_has", "mgos_mqtt_outcome_name", "mgos_mqtt_zerynth_name",
      "mgos_mqtt_subscribe_qos_of", "mgos_mqtt_options_", "mgos_mqtt_reason_", "mgos_mqtt_property_",
  };
  for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
    if (strncmp(name, groups[i], strlen(groups[i])) == 0) return true;
  }
  return false;
}

static void all_called(const char *file) {
  char line[128];
  FILE *in = file == NULL ? NULL : fopen(file, "r");
  int n = 0;
  check_result("SYMBOLS can be read", in != NULL, __LINE__);
  while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
    n++;
    if (!without_handle(line) && strstr(called, line) == NULL) {
      print_error("not called: %s", line);
      wrong++;
    }
  }
  check_result("SYMBOLS is a list", n > 100, __LINE__);
}

static int every_function(void) {
  forked_connection(client.conn);
  forked_messages(client.conn);
  forked_mongoose();
  forked_loop();
  FORKED(mgos_mqtt_conn_pub, global, "t", mg_mk_str("x"), 1, false);
  FORKED(mgos_mqtt_conn_free, global);
  own_defaults();
  FORKED(mgos_mqtt_conn_is_connected, global);
  /* Again and again: no freed handle is taken for a wrong one. */
  for (int i = 0; i < 2; i++) {
    FORKED(mgos_mqtt_conn_free, client.conn);
    FORKED(mgos_mqtt_conn_free_wait, client.conn, 100);
    FORKED(mgos_mqtt_loop_free, loop);
  }
  FORKED(mgos_mqtt_conn_pub, client.conn, "t", mg_mk_str("x"), 1, false);
  all_called(getenv("SYMBOLS"));
  return wrong;
}

static void connected(bool thread) {
  loop = mgos_mqtt_loop_create();
  client_create(&client, loop, broker.server, NULL);
  client_subscribe(&client, "fork/#", 1);
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client.conn, "queue", 1), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  if (thread) assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(thread ? client_wait(&client, SUBACK, 1) : client_poll_until(&client, loop, SUBACK, 1));
}

/* field: F-31 */
static void every_function_in_the_child(void **state) {
  static int polled;
  (void) state;
  connected(true);
  mgos_mqtt_conn_pub(client.conn, "queue", mg_mk_str("x"), 1, false);
  assert_int_equal(mgos_mqtt_conn_receive(client.conn, LONG_MS, &fetched), 0);
  nc = mgos_mqtt_conn_nc(client.conn);
  assert_non_null(nc);
  global = mgos_mqtt_global();
  mgos_add_poll_cb(poll_cb, &polled);
  assert_int_equal(mongoose_poll(0), 0);
  wrong = 0;
  assert_int_equal(in_child(every_function), 0);
  /* The parent goes on as if nothing had been. */
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
  assert_int_equal(mgos_mqtt_msg_release(fetched), 0);
  mgos_mqtt_conn_pub(client.conn, "fork/1", mg_mk_str("x"), 1, false);
  assert_true(client_wait(&client, MESSAGE, 1));
  assert_int_equal(client_count(&client, CLOSED), 0);
  assert_ptr_equal(mgos_mqtt_global(), global);
  mgos_remove_poll_cb(poll_cb, &polled);
  assert_int_equal(mgos_mqtt_last_error(), 0);
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

/* Everything that waits, of a loop that nobody drives in the parent: each would drive it here. */
static int waits(void) {
  struct mgos_mqtt_msg *msg;
  struct mgos_mqtt_stats stats;
  stats.size = sizeof(stats);
  if (mgos_mqtt_conn_free_wait(client.conn, LONG_MS) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_conn_flush(client.conn, LONG_MS) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_conn_receive(client.conn, LONG_MS, &msg) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_conn_connect_wait(client.conn, LONG_MS) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_loop_poll(loop, LONG_MS) != MGOS_MQTT_FORKED) return __LINE__;
  if (mgos_mqtt_loop_free(loop) != MGOS_MQTT_FORKED) return __LINE__;
  return 0;
}

/* field: F-31 */
static void the_parent_gets_its_messages(void **state) {
  struct child child;
  (void) state;
  connected(false);
  child = child_begin(waits);
  for (int i = 1; i <= 20; i++) {
    mgos_mqtt_conn_pub(client.conn, "fork/1", mg_mk_str("x"), 1, false);
    assert_true(client_poll_until(&client, loop, MESSAGE, i));
  }
  assert_int_equal(child_end(&child), 0);
  assert_int_equal(client_count(&client, CLOSED), 0);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

/* -- locks ------------------------------------------------------------------------------------------ */

static void ignore_log(int level, int conn_id, const char *text, void *ud) {
  (void) level, (void) conn_id, (void) text, (void) ud;
}

static void on_bus(int ev, void *ev_data, void *ud) {
  (void) ev, (void) ev_data, (void) ud;
}

/* Each of these holds a lock of the whole process most of the time, when it is called again and again. */
static void use_configuration(void) {
  free(mgos_sys_config_to_json(false, true));
  mgos_sys_config_set_device_id("device");
}

static void use_event_bus(void) {
  mgos_event_add_handler(0x41424301, on_bus, NULL);
  mgos_event_trigger(0x41424301, NULL);
  mgos_event_remove_handler(0x41424301, on_bus, NULL);
}

static void use_event_bases(void) {
  mgos_event_register_base(0x41424300, "test");
}

static void use_poll_callbacks(void) {
  static int polled;
  mgos_add_poll_cb(poll_cb, &polled);
  mgos_remove_poll_cb(poll_cb, &polled);
}

static void use_handles(void) {
  mgos_mqtt_conn_free(mgos_mqtt_conn_create(1, NULL));
  for (int i = 0; i < 50; i++) mgos_mqtt_conn_is_connected((struct mgos_mqtt_conn *) &client);
}

static void use_loops(void) {
  mgos_mqtt_loop_free(mgos_mqtt_loop_create());
  for (int i = 0; i < 50; i++) mgos_mqtt_loop_timeout((struct mgos_mqtt_loop *) &client);
}

static void use_defaults(void) {
  mgos_mqtt_init();
  mgos_mqtt_deinit(0);
}

static void use_log(void) {
  mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_ERROR, ignore_log, NULL, NULL);
}

static void (*const uses[])(void) = {
    use_configuration, use_event_bus, use_event_bases, use_poll_callbacks,
    use_handles,       use_loops,     use_defaults,    use_log,
};
enum { USES = sizeof(uses) / sizeof(uses[0]) };

static bool enough;

static void *use(void *ud) {
  void (*const *one)(void) = ud;
  while (!__atomic_load_n(&enough, __ATOMIC_SEQ_CST)) (*one)();
  return NULL;
}

static int use_all(void) {
  for (int i = 0; i < USES; i++) uses[i]();
  return mgos_mqtt_loop_poll(NULL, 0);
}

/* field: F-32 */
static void no_lock_is_inherited(void **state) {
  pthread_t threads[2];
  (void) state;
#ifdef __SANITIZE_ADDRESS__
  /* Its allocator's own locks are inherited: a child hangs in realloc() when a thread of the parent allocated at the
   * moment of the fork. */
  print_message("skipped: AddressSanitizer's allocator does not survive the fork of a process with threads\n");
  skip();
#endif
  /* One after the other: with all of them at once, each would hardly ever run. */
  for (int i = 0; i < USES; i++) {
    __atomic_store_n(&enough, false, __ATOMIC_SEQ_CST);
    for (int k = 0; k < 2; k++) assert_int_equal(pthread_create(&threads[k], NULL, use, (void *) &uses[i]), 0);
    for (int k = 0; k < net_count(30); k++) {
      int answer = in_child(use_all);
      if (answer != 0) fail_msg("use %d, fork %d: %d", i, k, answer);
    }
    __atomic_store_n(&enough, true, __ATOMIC_SEQ_CST);
    for (int k = 0; k < 2; k++) pthread_join(threads[k], NULL);
  }
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL);
}

/* -- a default loop and a global connection of its own -------------------------------------------- */

static char warnings[1024];
static int from_parent, from_child;

static void on_log(int level, int conn_id, const char *text, void *ud) {
  (void) level, (void) conn_id;
  assert_ptr_equal(ud, warnings);
  strncat(warnings, text, sizeof(warnings) - strlen(warnings) - 1);
  /* With no lock held. */
  mgos_mqtt_global_is_connected();
}

static void count(struct mg_connection *from, const char *topic, int topic_len, const char *msg, int msg_len,
                  void *ud) {
  (void) from, (void) topic, (void) topic_len, (void) msg, (void) msg_len;
  ++*(int *) ud;
}

static bool poll_until(int *counter, int times) {
  int64_t until = net_ms() + LONG_MS;
  while (*counter < times && net_ms() < until) mongoose_poll(10);
  return *counter >= times;
}

static bool poll_until_up(void) {
  int64_t until = net_ms() + LONG_MS;
  while (!mgos_mqtt_global_is_connected() && net_ms() < until) mongoose_poll(10);
  return mgos_mqtt_global_is_connected();
}

/* A daemon: the parent has made it all, the child uses it. */
static int daemon_calls(void) {
  static char large[5000];
  from_parent = from_child = 0;
  /* Two clients of one name would throw each other out. */
  mgos_sys_config_set_mqtt_client_id("fork-child");
  if (mgos_mqtt_num_unsent_bytes() != 0) return __LINE__;
  if (strstr(warnings, "forked") == NULL) return __LINE__;
  warnings[0] = '\0';
  mgos_mqtt_sub("fork/child", count, &from_child);
  if (mgos_mqtt_last_error() != 0) return __LINE__;
  if (!poll_until_up()) return __LINE__;
  if (mgos_mqtt_pub("fork/child", "x", 1, 1, false) == 0) return __LINE__;
  if (!poll_until(&from_child, 1)) return __LINE__;
  /* The parent's subscriptions are the parent's. */
  if (from_parent != 0) return __LINE__;
  /* The parent's options are the child's, too. */
  if (mgos_mqtt_pub("fork/child", large, sizeof(large), 1, false) != 0) return __LINE__;
  if (mgos_mqtt_last_error() != MGOS_MQTT_TOO_LARGE) return __LINE__;
  /* Once. */
  if (strstr(warnings, "forked") != NULL) return __LINE__;
  if (mgos_mqtt_conn_is_connected(global) || mgos_mqtt_last_error() != MGOS_MQTT_FORKED) return __LINE__;
  mgos_mqtt_pub("fork/parent", "x", 1, 1, false);
  if (mgos_mqtt_conn_flush(mgos_mqtt_global(), LONG_MS) != 0) return __LINE__;
  return mgos_mqtt_deinit(LONG_MS) == 0 ? 0 : __LINE__;
}

/* The child of a child that used nothing has it from the first parent. */
static int grandchild(void) {
  return in_child(daemon_calls);
}

static void parent_of_a_daemon(void) {
  struct mgos_mqtt_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.max_outgoing_bytes = 4096;
  from_parent = from_child = 0;
  mgos_sys_config_set_mqtt_server(broker.server);
  mgos_sys_config_set_mqtt_client_id("fork-parent");
  mgos_sys_config_set_mqtt_enable(1);
  assert_int_equal(mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_WARN, on_log, warnings, NULL), 0);
  global = mgos_mqtt_global();
  assert_int_equal(mgos_mqtt_conn_set_options(global, &options), 0);
  mgos_mqtt_sub("fork/#", count, &from_parent);
  assert_true(mgos_mqtt_pub("fork/parent", "x", 1, 1, false) != 0);
}

/* field: F-33 */
static void a_daemon_has_its_own(void **state) {
  struct child child;
  (void) state;
  parent_of_a_daemon();
  /* Before there is a connection: the message is the parent's. */
  assert_int_equal(in_child(daemon_calls), 0);
  assert_true(poll_until_up());
  /* Its own, and what the child sent to both topics. */
  assert_true(poll_until(&from_parent, 1));
  child = child_begin(daemon_calls);
  /* Meanwhile the parent's is served by nobody but itself. */
  assert_true(poll_until(&from_parent, 3));
  assert_int_equal(child_end(&child), 0);
  assert_int_equal(in_child(grandchild), 0);
  assert_true(mgos_mqtt_global_is_connected());
  assert_string_equal(warnings, "");
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL);
  mgos_sys_config_set_mqtt_enable(0);
}

static int child_of_a_callback;

/* In a callback of the parent's loop the child is in none of its own: it may poll and wait. */
static void fork_here(struct mg_connection *from, const char *topic, int topic_len, const char *msg, int msg_len,
                      void *ud) {
  (void) from, (void) topic, (void) topic_len, (void) msg, (void) msg_len, (void) ud;
  child_of_a_callback = in_child(daemon_calls);
}

/* field: F-33 */
static void a_daemon_from_a_callback(void **state) {
  (void) state;
  parent_of_a_daemon();
  child_of_a_callback = -2;
  mgos_mqtt_sub("fork/parent", fork_here, NULL);
  assert_true(poll_until(&from_parent, 1));
  assert_int_equal(child_of_a_callback, 0);
  mgos_mqtt_unsub("fork/parent");
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL);
  mgos_sys_config_set_mqtt_enable(0);
}

/* The log function of the parent forks at its first line; the child's is the same. */
static void fork_in_log(int level, int conn_id, const char *text, void *ud) {
  static bool forked;
  if (!forked) {
    forked = true;
    child_of_a_callback = in_child(daemon_calls);
  } else if (level <= MGOS_MQTT_LOG_WARN) {
    on_log(level, conn_id, text, ud);
  }
}

/* What is logged in the child is logged, though the parent's function has not returned.
 * field: F-33 */
static void a_daemon_from_a_log_function(void **state) {
  (void) state;
  parent_of_a_daemon();
  warnings[0] = '\0';
  child_of_a_callback = -2;
  assert_int_equal(mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_INFO, fork_in_log, warnings, NULL), 0);
  assert_true(poll_until(&from_parent, 1));
  assert_int_equal(child_of_a_callback, 0);
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL);
  mgos_sys_config_set_mqtt_enable(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_lock_is_inherited),
      cmocka_unit_test(every_function_in_the_child),
      cmocka_unit_test(the_parent_gets_its_messages),
      cmocka_unit_test(a_daemon_has_its_own),
      cmocka_unit_test(a_daemon_from_a_callback),
      cmocka_unit_test(a_daemon_from_a_log_function),
  };
  return cmocka_run_group_tests_name("fork", tests, group_setup, group_teardown);
}
