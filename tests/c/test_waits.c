/*
 * Calls that wait: connect, subscribe, unsubscribe and disconnect, whatever drives the loop, from any number
 * of threads; and that every way in which an attempt can end has a result of its own, told exactly once.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgos_mqtt_connect.h"
#include "mgos_mqtt_subscribe.h"
#include "mgos_mqtt_version.h"

#include "broker.h"
#include "client.h"
#include "drive.h"
#include "names.h"
#include "net.h"

enum { THREADS = 4 };

static struct mgos_mqtt_loop *loop;
static struct client client;
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static char server[32];
static int listener;

static int setup(void **state) {
  uint16_t port;
  (void) state;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  client_options(&options, &config, server);
  options.retry = 2; /* each attempt is asked for */
  return 0;
}

static int teardown(void **state) {
  (void) state;
  if (client.conn != NULL) client_free(&client);
  close(listener);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  return 0;
}

static void create(void) {
  client_create(&client, loop, NULL, &options);
}

/* -- a server that says one thing -- */

struct saying {
  const char *bytes;
  size_t len;
  bool at_once; /* without waiting for CONNECT */
  pthread_t thread;
};

static void *say(void *ud) {
  struct saying *saying = ud;
  int fd = net_accept(listener);
  if (!saying->at_once) mqtt_expect(fd, 0x10);
  net_write(fd, saying->bytes, saying->len);
  if (saying->len > 0) net_read_to_end(fd);
  close(fd);
  return NULL;
}

static void server_says(struct saying *saying, const char *bytes, size_t len) {
  saying->bytes = bytes;
  saying->len = len;
  assert_int_equal(pthread_create(&saying->thread, NULL, say, saying), 0);
}

/* Waits for one attempt, in poll mode on this thread, and checks that its result was told once and is this
 * one. */
static void attempt_ends_with(int code) {
  long failed = client_count(&client, FAILED), up = client_count(&client, UP);
  int result = mgos_mqtt_conn_connect_wait(client.conn, LONG_MS);
  if (result != code) {
    char text[256];
    mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
    fail_msg("expected %s, got %s (%s)", mgos_mqtt_error_name(code), mgos_mqtt_error_name(result), text);
  }
  assert_int_equal(mgos_mqtt_last_error(), code);
  assert_int_equal(mgos_mqtt_conn_is_connected(client.conn), code == 0);
  assert_int_equal(client_count(&client, FAILED), failed + (code != 0));
  assert_int_equal(client_count(&client, UP), up + (code == 0));
  if (code != 0) assert_int_equal(client.error, code);
  assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
  assert_int_equal(client_count(&client, CONNECTING), failed + up + 1);
}

/* proves: EI-27 NM-21 NM-23 NM-25 ZY-10 ZY-19 */
static void what_fails_before_the_server_answers(void **state) {
  struct saying saying = {.at_once = true};
  struct black_hole hole;
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  char where[64];
  (void) state;
  options.tcp_timeout_ms = options.dns_timeout_ms = 200;
  options.tls_timeout_ms = LONG_MS;
  create();
  snprintf(where, sizeof(where), "127.0.0.1:%d", net_free_port());
  assert_int_equal(mgos_mqtt_conn_set_server(client.conn, where, NULL, NULL, NULL), 0);
  attempt_ends_with(MGOS_MQTT_CONNECT_REFUSED);
  black_hole_open(&hole);
  snprintf(where, sizeof(where), "127.0.0.1:%d", hole.port);
  assert_int_equal(mgos_mqtt_conn_set_server(client.conn, where, NULL, NULL, NULL), 0);
  attempt_ends_with(MGOS_MQTT_CONNECT_TIMEOUT);
  black_hole_close(&hole);
  names_hold();
  assert_int_equal(mgos_mqtt_conn_set_server(client.conn, NAME_THAT_HANGS, NULL, NULL, NULL), 0);
  attempt_ends_with(MGOS_MQTT_DNS_TIMEOUT);
  names_release();
  client_free(&client);
  /* The same name, now with an answer: that there is none. */
  options.dns_timeout_ms = 0;
  create();
  assert_int_equal(mgos_mqtt_conn_set_server(client.conn, NAME_THAT_HANGS, NULL, NULL, NULL), 0);
  attempt_ends_with(MGOS_MQTT_DNS_FAILED);
  client_free(&client);
  options.tls_insecure_skip_verification = 1;
  create();
  if (mgos_mqtt_has("tls")) {
    snprintf(where, sizeof(where), "mqtts://%s", server);
    assert_int_equal(mgos_mqtt_conn_set_server(client.conn, where, NULL, NULL, NULL), 0);
    server_says(&saying, "\x20\x02\x00\x00", 4);
    attempt_ends_with(MGOS_MQTT_TLS_NOT_SPOKEN);
    pthread_join(saying.thread, NULL);
  } else {
    attempt_ends_with(MGOS_MQTT_NOT_BUILT);
  }
  /* None of them is a code of the server. */
  assert_int_equal(mgos_mqtt_conn_last_error(client.conn, &info), 0);
  assert_int_equal(info.connack, -1);
}

/* proves: NM-22 NM-24 ZY-17 */
static void what_is_no_connack(void **state) {
  struct saying saying = {.at_once = false};
  int fd;
  (void) state;
  options.connack_timeout_ms = 200;
  create();
  server_says(&saying, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
  attempt_ends_with(MGOS_MQTT_NOT_CONNACK);
  pthread_join(saying.thread, NULL);
  server_says(&saying, "", 0);
  attempt_ends_with(MGOS_MQTT_CLOSED_BY_SERVER);
  pthread_join(saying.thread, NULL);
  attempt_ends_with(MGOS_MQTT_CONNACK_TIMEOUT);
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  assert_true(net_read_to_end(fd));
  close(fd);
}

static const int refusals[] = {MGOS_MQTT_REFUSED_VERSION, MGOS_MQTT_REFUSED_IDENTIFIER,
                               MGOS_MQTT_REFUSED_UNAVAILABLE, MGOS_MQTT_REFUSED_CREDENTIALS,
                               MGOS_MQTT_REFUSED_NOT_AUTHORIZED};

/* proves: ZY-02 ZY-03 ZY-04 ZY-05 ZY-06 */
static void refusals_by_return_value(void **state) {
  (void) state;
  create();
  for (int connack = 1; connack <= 5; connack++) {
    struct mgos_mqtt_error_info info = {.size = sizeof(info)};
    struct saying saying = {.at_once = false};
    char bytes[] = {0x20, 2, 0, (char) connack};
    server_says(&saying, bytes, sizeof(bytes));
    attempt_ends_with(refusals[connack - 1]);
    pthread_join(saying.thread, NULL);
    assert_int_equal(mgos_mqtt_conn_last_error(client.conn, &info), 0);
    assert_int_equal(info.connack, connack);
    assert_int_equal(info.code, refusals[connack - 1]);
  }
}

struct told {
  int ok, failed, code, error;
};

static void on_result(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct told *told = ud;
  (void) conn;
  told->code = mgos_mqtt_event_code(ev);
  told->error = mgos_mqtt_event_error(ev);
  told->error == 0 ? told->ok++ : told->failed++;
}

/* proves: EI-29 EI-30 EI-31 EI-32 EI-33 */
static void refusals_by_result_code(void **state) {
  struct told told = {0, 0, 0, 0};
  (void) state;
  create();
  assert_int_equal(mgos_mqtt_conn_on_connect(client.conn, on_result, &told, NULL), 0);
  for (int connack = 1; connack <= 5; connack++) {
    struct saying saying = {.at_once = false};
    char bytes[] = {0x20, 2, 0, (char) connack};
    server_says(&saying, bytes, sizeof(bytes));
    assert_true(mgos_mqtt_conn_connect(client.conn));
    assert_true(client_poll_until(&client, loop, FAILED, connack));
    pthread_join(saying.thread, NULL);
    assert_int_equal(told.failed, connack);
    assert_int_equal(told.code, connack);
  }
  assert_int_equal(told.ok, 0);
}

static void not_this_one(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct told *told = ud;
  (void) conn, (void) ev;
  told->ok++;
}

/* proves: NM-27 NM-28 NM-29 NM-30 NM-31 */
static void refusals_by_failure_function(void **state) {
  (void) state;
  create();
  for (int connack = 1; connack <= 5; connack++) {
    struct told told = {0, 0, 0, 0};
    struct saying saying = {.at_once = false};
    char bytes[] = {0x20, 2, 0, (char) connack};
    server_says(&saying, bytes, sizeof(bytes));
    assert_int_equal(mgos_mqtt_conn_connect_once(client.conn, not_this_one, on_result, &told), 0);
    assert_true(client_poll_until(&client, loop, FAILED, connack));
    assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
    pthread_join(saying.thread, NULL);
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.ok, 0);
    assert_int_equal(told.code, connack);
    assert_int_equal(told.error, refusals[connack - 1]);
  }
}

/* -- time-outs, and who ends a wait -- */

static int64_t cpu_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What was begun goes on after the time is over, and a thread that waits sleeps. */
static void the_time_is_over(void **state) {
  static const struct mgos_mqtt_filter filter = {"t", 1};
  static const char *const name = "t";
  int64_t begun = net_ms(), cpu = cpu_ms();
  int code = 7, fd;
  (void) state;
  create();
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, 0), MGOS_MQTT_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, 400), MGOS_MQTT_TIMED_OUT);
  assert_true(net_ms() - begun >= 400);
  if (!net_slow()) assert_in_range(cpu_ms() - cpu, 0, 200);
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  net_write(fd, "\x20\x02\x00\x00", 4);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, LONG_MS), 0);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, 0), 0); /* it is up */
  assert_int_equal(client_count(&client, CONNECTING), 1);
  assert_int_equal(mgos_mqtt_conn_subscribe_wait(client.conn, &filter, 1, NULL, NULL, NULL, &code, 50),
                   MGOS_MQTT_TIMED_OUT);
  assert_int_equal(code, -1);
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client.conn), 1);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
  assert_true(client_poll_until(&client, loop, SUBACK, 1));
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client.conn), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_wait(client.conn, &name, 1, NULL, NULL, 50),
                   MGOS_MQTT_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_wait(client.conn, &name, 1, NULL, NULL, 50),
                   MGOS_MQTT_NOT_FOUND);
  mqtt_ack(fd, 0xb0, mqtt_expect(fd, 0xa0));
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, 50), MGOS_MQTT_TIMED_OUT);
  mqtt_expect(fd, 0xe0);
  close(fd);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
  assert_int_equal(client_count(&client, CLOSED), 1);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, 0), 0); /* there is none */
}

struct waiter {
  pthread_t thread;
  int (*wait)(void);
  int result;
};

static void *wait_there(void *ud) {
  struct waiter *waiter = ud;
  waiter->result = waiter->wait();
  return NULL;
}

static int wait_connect(void) {
  return mgos_mqtt_conn_connect_wait(client.conn, -1);
}

static int wait_subscribe(void) {
  static const struct mgos_mqtt_filter filter = {"t", 1};
  return mgos_mqtt_conn_subscribe_wait(client.conn, &filter, 1, NULL, NULL, NULL, NULL, -1);
}

static void begin_wait(struct waiter *waiter, int (*wait)(void)) {
  waiter->wait = wait;
  assert_int_equal(pthread_create(&waiter->thread, NULL, wait_there, waiter), 0);
}

/* Another thread disconnects, takes the subscription back, frees the connection: the waits end, each with its
 * reason. */
static void ended_by_another_thread(void **state) {
  static const char *const name = "t";
  struct waiter connect, subscribe;
  int fd;
  (void) state;
  create();
  begin_wait(&connect, wait_connect); /* which drives the loop */
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  begin_wait(&subscribe, wait_subscribe);
  while (mgos_mqtt_conn_pending_subscriptions(client.conn) == 0) sched_yield();
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client.conn, &name, 1, NULL, NULL, NULL, NULL), 0);
  pthread_join(subscribe.thread, NULL);
  assert_int_equal(subscribe.result, MGOS_MQTT_CANCELLED);
  mgos_mqtt_conn_disconnect(client.conn);
  pthread_join(connect.thread, NULL);
  assert_int_equal(connect.result, MGOS_MQTT_CLOSED_BY_CLIENT);
  close(fd);
  begin_wait(&connect, wait_connect);
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  begin_wait(&subscribe, wait_subscribe);
  while (mgos_mqtt_conn_pending_subscriptions(client.conn) == 0) sched_yield();
  mgos_mqtt_conn_free(client.conn);
  pthread_join(connect.thread, NULL);
  pthread_join(subscribe.thread, NULL);
  assert_int_equal(connect.result, MGOS_MQTT_INCOMPLETE);
  assert_int_equal(subscribe.result, MGOS_MQTT_INCOMPLETE);
  client_ended(&client);
  close(fd);
}

struct inside {
  int calls, wrong, freed;
};

static void on_freed(void *ud) {
  struct inside *inside = ud;
  inside->freed++;
}

static void waits_inside(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  static const struct mgos_mqtt_filter filter = {"inside", 1};
  static const char *const name = "kept";
  struct inside *inside = ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_CONNECT_RESULT) return;
  inside->calls++;
  inside->wrong += mgos_mqtt_conn_connect_wait(conn, -1) != MGOS_MQTT_BUSY;
  inside->wrong += mgos_mqtt_conn_disconnect_wait(conn, -1) != MGOS_MQTT_BUSY;
  inside->wrong += mgos_mqtt_conn_subscribe_wait(conn, &filter, 1, waits_inside, inside, on_freed, NULL,
                                                 -1) != MGOS_MQTT_BUSY;
  inside->wrong +=
      mgos_mqtt_conn_unsubscribe_wait(conn, &name, 1, waits_inside, inside, -1) != MGOS_MQTT_BUSY;
}

static void inside_a_handler_nothing_waits_and_nothing_happens(void **state) {
  static const struct mgos_mqtt_filter filter = {"kept", 1};
  struct inside inside = {0, 0, 0};
  int fd;
  (void) state;
  create();
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(client.conn, &filter, 1, waits_inside, &inside, NULL, NULL, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_CONNECT_RESULT, waits_inside, &inside, NULL),
                   0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fd = mqtt_accept(listener);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
  assert_true(client_wait(&client, UP, 1));
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  assert_int_equal(inside.calls, 1);
  assert_int_equal(inside.wrong, 0);
  assert_int_equal(inside.freed, 0);
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
  assert_true(mgos_mqtt_conn_unsub(client.conn, "kept"));
  assert_false(mgos_mqtt_conn_unsub(client.conn, "inside"));
  assert_int_equal(inside.freed, 0);
  close(fd);
}

/* -- threads, against a real broker -- */

static struct broker broker;
static struct mgos_mqtt_conn *shared;

struct subscriber {
  pthread_t thread;
  int number, rounds;
  const char *wrong;
};

static void on_message(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn, (void) ev, (void) ud;
}

/* Subscribes to two filters at a time and takes them back, and checks what the broker granted. */
static void *subscribe_often(void *ud) {
  struct subscriber *me = ud;
  char first[32], second[32];
  const char *names[] = {first, second};
  struct mgos_mqtt_filter filters[] = {{first, 1}, {second, 2}};
  int codes[2] = {7, 7}, connected = mgos_mqtt_conn_connect_wait(shared, LONG_MS);
  if (connected != 0) me->wrong = mgos_mqtt_error_name(connected);
  for (int i = 0; i < me->rounds && me->wrong == NULL; i++) {
    int result;
    snprintf(first, sizeof(first), "w/%d/%d", me->number, i);
    snprintf(second, sizeof(second), "w/%d/+", me->number);
    result = mgos_mqtt_conn_subscribe_wait(shared, filters, 2, on_message, me, NULL, codes, LONG_MS);
    if (result != 0) me->wrong = mgos_mqtt_error_name(result);
    if (codes[0] != 1 || codes[1] != 2) me->wrong = "not what was asked for was granted";
    result = mgos_mqtt_conn_unsubscribe_wait(shared, names, i % 2 + 1, on_message, me, LONG_MS);
    if (result != 0) me->wrong = mgos_mqtt_error_name(result);
  }
  return NULL;
}

static void subscribe_in_threads(int rounds) {
  struct subscriber all[THREADS];
  memset(all, 0, sizeof(all));
  for (int i = 0; i < THREADS; i++) {
    all[i].number = i;
    all[i].rounds = rounds;
    assert_int_equal(pthread_create(&all[i].thread, NULL, subscribe_often, &all[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(all[i].thread, NULL);
    if (all[i].wrong != NULL) fail_msg("thread %d: %s", i, all[i].wrong);
  }
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(shared), 0);
}

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

static void create_for_broker(void) {
  client_create(&client, loop, broker.server, NULL);
  shared = client.conn;
}

/* proves: ZY-20 ZY-21 */
static void threads_wait_while_another_drives(void **state) {
  (void) state;
  for (enum way way = OWN_THREAD; way < WAYS; way++) {
    struct driver driver;
    create_for_broker();
    drive_start(&driver, loop, way);
    assert_false(mgos_mqtt_conn_is_connected(client.conn));
    subscribe_in_threads(net_count(20));
    assert_true(mgos_mqtt_conn_is_connected(client.conn));
    assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
    assert_false(mgos_mqtt_conn_is_connected(client.conn));
    assert_int_equal(client_count(&client, CLOSED), 1);
    assert_int_equal(client_count(&client, CONNECTING), 1);
    drive_stop(&driver);
    client_free(&client);
    assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0); /* back to poll mode */
  }
}

/* Nobody drives but those who wait: one of them, in turn, for all. */
static void threads_wait_and_drive_themselves(void **state) {
  (void) state;
  create_for_broker();
  subscribe_in_threads(net_count(20));
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
}

/* The will comes when the connection ends without a good-bye, and only then.
 * proves: NM-34 */
static void the_will_follows_an_abort_and_no_disconnect(void **state) {
  struct client witness;
  (void) state;
  memset(&witness, 0, sizeof(witness));
  client_create(&witness, loop, broker.server, NULL);
  client_subscribe(&witness, "end/#", 1);
  assert_int_equal(mgos_mqtt_conn_connect_wait(witness.conn, LONG_MS), 0);
  assert_true(client_poll_until(&witness, loop, SUBACK, 1));
  create_for_broker();
  assert_int_equal(mgos_mqtt_conn_set_will(client.conn, "end/will", "will", 4, 1, false), 0);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, LONG_MS), 0);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
  /* What the broker is sent after that arrives first. */
  assert_int_not_equal(mgos_mqtt_conn_pub(witness.conn, "end/none", mg_mk_str("no will"), 1, false), 0);
  assert_true(client_poll_until(&witness, loop, MESSAGE, 1));
  assert_int_equal(witness.bytes, strlen("no will"));
  assert_int_equal(mgos_mqtt_conn_connect_wait(client.conn, LONG_MS), 0);
  mgos_mqtt_conn_abort(client.conn);
  assert_true(client_poll_until(&witness, loop, MESSAGE, 2));
  assert_int_equal(witness.bytes, strlen("no will") + strlen("will"));
  client_free(&witness);
}

/* In foreign mode the thread that processes may wait, too, and drives meanwhile. */
static void the_processing_thread_waits(void **state) {
  struct subscriber me = {.number = 9, .rounds = 5};
  (void) state;
  create_for_broker();
  assert_int_equal(mgos_mqtt_loop_process(loop), 0);
  subscribe_often(&me);
  if (me.wrong != NULL) fail_msg("%s", me.wrong);
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS), 0);
}

/* A wait begins in poll mode, goes on while the loop has a thread, and ends after that was stopped. */
static void the_mode_changes_during_a_wait(void **state) {
  struct waiter connect;
  int fd;
  (void) state;
  create();
  begin_wait(&connect, wait_connect);
  fd = net_accept(listener);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  mqtt_expect(fd, 0x10);
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  net_write(fd, "\x20\x02\x00\x00", 4);
  pthread_join(connect.thread, NULL);
  assert_int_equal(connect.result, 0);
  close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_fails_before_the_server_answers),
      TEST(what_is_no_connack),
      TEST(refusals_by_return_value),
      TEST(refusals_by_result_code),
      TEST(refusals_by_failure_function),
      TEST(the_time_is_over),
      TEST(ended_by_another_thread),
      TEST(inside_a_handler_nothing_waits_and_nothing_happens),
      TEST(threads_wait_while_another_drives),
      TEST(threads_wait_and_drive_themselves),
      TEST(the_will_follows_an_abort_and_no_disconnect),
      TEST(the_processing_thread_waits),
      TEST(the_mode_changes_during_a_wait),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
