/*
 * Stopping, in every state: the calls that end a connection or a loop, and the end of the process, return
 * within the second that the headers state (beyond the callback that runs, if one does), whatever the name
 * service, the server and the application's other threads are doing, and whatever drives the loop.
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgos_mqtt_connect.h"
#include "mgos_mqtt_publish.h"
#include "mgos_mqtt_receive.h"
#include "mgos_mqtt_subscribe.h"
#include "mgos_mqtt_version.h"

#include "client.h"
#include "drive.h"
#include "names.h"
#include "net.h"

/* What mgos_mqtt_loop.h states, and what is asserted of it: a busy machine is no error of the library.
 * Whatever waits for a network or an application here would take longer than either. */
#define STATED_MS 1000
#define BOUND_MS (STATED_MS * (net_slow() ? 30 : 5))

extern char **environ;

/* What a state needs. */
enum { WAITER = 1, BLOCKS = 2, ENCRYPTED = 4, HOOK = 8 };

/* How far the connection gets before the rest of the state is made. */
enum reach { NOWHERE, ATTEMPT, ACCEPTED, CONNECTED };

struct state {
  const char *name;
  enum reach reach;
  int needs;
  void (*prepare)(void); /* before connecting */
  void (*enter)(void);   /* after it got as far as it does */
};

static struct mgos_mqtt_loop *loop;
static struct client client;
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static struct driver driver;
static struct black_hole hole;
static int listener, fd, names_asked;
static char server[32], where[64];
static sem_t inside, leave;
static pthread_t waiter;
static bool log_blocks;

static void sleep_on(sem_t *sem) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONG_MS / 1000;
  assert_int_equal(sem_timedwait(sem, &until), 0);
}

/* -- callbacks that do not return before they are told to -- */

static void block(void) {
  sem_post(&inside);
  sleep_on(&leave);
  sem_post(&leave); /* for the next one */
}

static void blocking_handler(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
  block();
}

static void blocking_log(int level, int conn_id, const char *text, void *ud) {
  (void) level;
  (void) conn_id;
  (void) text;
  (void) ud;
  if (!log_blocks) return;
  log_blocks = false;
  block();
}

static void silent_hook(struct mg_connection *nc, const char *client_id,
                        struct mg_send_mqtt_handshake_opts *opts, void *ud) {
  (void) nc;
  (void) client_id;
  (void) opts;
  (void) ud;
  sem_post(&inside);
}

static void blocking_hook(struct mg_connection *nc, const char *client_id,
                          struct mg_send_mqtt_handshake_opts *opts, void *ud) {
  (void) nc;
  (void) client_id;
  (void) opts;
  (void) ud;
  block();
}

/* -- what leads to a state -- */

static void to_a_closed_port(void) {
  snprintf(where, sizeof(where), "127.0.0.1:%d", net_free_port());
}

static void to_a_name_that_hangs(void) {
  /* Another one each time: equal names are asked for once. */
  snprintf(where, sizeof(where), "%d.%s:1883", names_asked, NAME_THAT_HANGS);
}

static void to_a_black_hole(void) {
  snprintf(where, sizeof(where), "127.0.0.1:%d", hole.port);
}

static void by_tls(void) {
  snprintf(where, sizeof(where), "mqtts://%s", server);
}

static void with_a_silent_hook(void) {
  mgos_mqtt_conn_set_connect_fn(client.conn, silent_hook, NULL);
}

static void with_a_blocking_hook(void) {
  mgos_mqtt_conn_set_connect_fn(client.conn, blocking_hook, NULL);
}

static void with_a_blocking_log(void) {
  log_blocks = true;
}

static void with_a_blocking_handler(void) {
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_MESSAGE, blocking_handler, NULL, NULL), 0);
}

static void refuse(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  (void) ud;
  assert_int_equal(mgos_mqtt_msg_refuse(conn, 0x80), 0);
}

static void with_a_refusing_handler(void) {
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_MESSAGE, refuse, NULL, NULL), 0);
}

static void defer(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  (void) ud;
  assert_int_not_equal(mgos_mqtt_msg_defer(conn), 0);
}

static void with_a_deferring_handler(void) {
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_MESSAGE, defer, NULL, NULL), 0);
}

static void with_a_queue(void) {
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client.conn, "t", 1), 0);
}

static void failed(void) {
  assert_true(client_wait(&client, FAILED, 1));
}

static void asked(void) {
  names_wait_asked(++names_asked);
}

static void called(void) {
  sleep_on(&inside);
}

/* What the server has read says that the client is there. */
static void greeted_by_tls(void) {
  uint8_t first;
  assert_true(net_read(fd, &first, 1));
  assert_int_equal(first, 22); /* a handshake record, RFC 8446 section 5.1 */
}

static void sent_connect(void) {
  mqtt_expect(fd, 0x10);
}

/* A round trip, so that what the server sent before was read. */
static void half_a_packet(const char *bytes, size_t len) {
  mqtt_publish(fd, "t", 1, 1, 10);
  mqtt_expect(fd, 0x40);
  net_write(fd, bytes, len);
}

static void in_a_header(void) {
  half_a_packet("\x32\xff", 2);
}

static void in_a_payload(void) {
  half_a_packet("\x32\xff\x01\x00\x01txyz", 9);
}

static void in_a_large_payload(void) {
  static char much[300000];
  half_a_packet("\x32\x80\x80\x40\x00\x01t\x00\x02", 9);
  net_write(fd, much, sizeof(much));
}

static void got_three(void) {
  for (uint16_t id = 1; id <= 3; id++) mqtt_publish(fd, "t", 1, id, 10);
}

static void handles_three(void) {
  got_three();
  sleep_on(&inside);
}

static void handled_three(void) {
  got_three();
  /* The newer handler, which refuses or defers, was called before the one that counts. */
  assert_true(client_wait(&client, MESSAGE, 3));
}

static void queued_three(void) {
  int64_t until = net_ms() + LONG_MS;
  got_three();
  while (mgos_mqtt_conn_receive_pending(client.conn, NULL) < 3 && net_ms() < until) usleep(100);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client.conn, NULL), 3);
}

static void unanswered_subscription(void) {
  client_subscribe(&client, "t", 1);
  mqtt_expect(fd, 0x80);
}

static void full_queue(void) {
  while (mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false) != 0) {
  }
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_QUEUE_FULL);
}

static void blocked_output(void) {
  static char payload[10000];
  for (int refused = 0; refused < 100;) {
    bool accepted = mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(payload, sizeof(payload)), 0, false);
    refused = accepted ? 0 : refused + 1;
    if (!accepted) usleep(100); /* let the loop try to write */
  }
  assert_in_range(mgos_mqtt_conn_num_unsent_bytes(client.conn), 1, SIZE_MAX);
}

static void telling_an_outcome(void) {
  struct mgos_mqtt_publication message = {
      .size = sizeof(message), .topic = "t", .qos = 1, .done = blocking_handler};
  assert_int_equal(mgos_mqtt_conn_publish(client.conn, &message, NULL), 0);
  mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
  sleep_on(&inside);
}

static void draining(void) {
  mgos_mqtt_conn_disconnect(client.conn);
  mqtt_expect(fd, 0xe0);
}

/* -- threads that wait inside the library -- */

static void *publish_wait(void *ud) {
  struct mgos_mqtt_publication message = {.size = sizeof(message), .topic = "t", .qos = 1};
  (void) ud;
  assert_int_equal(mgos_mqtt_conn_publish_wait(client.conn, &message, -1, MGOS_MQTT_KEEP, NULL),
                   MGOS_MQTT_INCOMPLETE);
  return &waiter;
}

static void *subscribe_wait(void *ud) {
  struct mgos_mqtt_filter filter = {"t", 1};
  (void) ud;
  assert_int_equal(mgos_mqtt_conn_subscribe_wait(client.conn, &filter, 1, NULL, NULL, NULL, NULL, -1),
                   MGOS_MQTT_INCOMPLETE);
  return &waiter;
}

/* It is told when the attempt is given up, or when the connection is no more. */
static void *connect_wait(void *ud) {
  int result = mgos_mqtt_conn_connect_wait(client.conn, -1);
  (void) ud;
  return result == MGOS_MQTT_INCOMPLETE || result == MGOS_MQTT_CLOSED_BY_CLIENT ? &waiter : NULL;
}

static void *receive(void *ud) {
  struct mgos_mqtt_msg *msg;
  (void) ud;
  sem_post(&inside);
  assert_int_equal(mgos_mqtt_conn_receive(client.conn, -1, &msg), MGOS_MQTT_INCOMPLETE);
  return &waiter;
}

static void *flush(void *ud) {
  (void) ud;
  sem_post(&inside);
  assert_int_equal(mgos_mqtt_conn_flush(client.conn, -1), MGOS_MQTT_INCOMPLETE);
  return &waiter;
}

static void start_waiter(void *(*wait)(void *) ) {
  assert_int_equal(pthread_create(&waiter, NULL, wait, NULL), 0);
}

static void waits_for_an_outcome(void) {
  start_waiter(publish_wait);
  mqtt_expect(fd, 0x30);
}

static void waits_for_an_answer(void) {
  start_waiter(subscribe_wait);
  mqtt_expect(fd, 0x80);
}

static void waits_for_a_connection(void) {
  start_waiter(connect_wait);
  fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
}

/* Where a wait begins cannot be seen from outside: one that has not begun is refused, which is as good, so a
 * moment is given to it. */
static void waits_for_a_message(void) {
  start_waiter(receive);
  sleep_on(&inside);
  usleep(5000);
}

static void waits_for_all_outcomes(void) {
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 2, false), 0);
  mqtt_expect(fd, 0x30);
  start_waiter(flush);
  sleep_on(&inside);
  usleep(5000);
}

static const struct state STATES[] = {
    {"unused", NOWHERE, 0, NULL, NULL},
    {"waiting to reconnect", ATTEMPT, 0, to_a_closed_port, failed},
    {"resolving", ATTEMPT, 0, to_a_name_that_hangs, asked},
    {"connecting", ATTEMPT, 0, to_a_black_hole, NULL},
    {"TLS handshake", ACCEPTED, ENCRYPTED, by_tls, greeted_by_tls},
    {"connect hook has not answered", ACCEPTED, HOOK, with_a_silent_hook, called},
    {"connect hook runs", ACCEPTED, HOOK | BLOCKS, with_a_blocking_hook, called},
    {"CONNECT sent", ACCEPTED, 0, NULL, sent_connect},
    {"up, idle", CONNECTED, 0, NULL, NULL},
    {"in a packet's header", CONNECTED, 0, NULL, in_a_header},
    {"in a payload", CONNECTED, 0, NULL, in_a_payload},
    {"in a large payload", CONNECTED, 0, NULL, in_a_large_payload},
    {"SUBSCRIBE sent", CONNECTED, 0, NULL, unanswered_subscription},
    {"queue full", CONNECTED, 0, NULL, full_queue},
    {"output blocked", CONNECTED, 0, NULL, blocked_output},
    {"handler runs", CONNECTED, BLOCKS, with_a_blocking_handler, handles_three},
    {"outcome is told", CONNECTED, BLOCKS, NULL, telling_an_outcome},
    {"log function runs", ACCEPTED, BLOCKS, with_a_blocking_log, called},
    {"messages refused", CONNECTED, 0, with_a_refusing_handler, handled_three},
    {"messages deferred", CONNECTED, 0, with_a_deferring_handler, handled_three},
    {"messages in the queue", CONNECTED, 0, with_a_queue, queued_three},
    {"publish_wait", CONNECTED, WAITER, NULL, waits_for_an_outcome},
    {"subscribe_wait", CONNECTED, WAITER, NULL, waits_for_an_answer},
    {"connect_wait", NOWHERE, WAITER, NULL, waits_for_a_connection},
    {"receive", CONNECTED, WAITER, NULL, waits_for_a_message},
    {"flush", CONNECTED, WAITER, NULL, waits_for_all_outcomes},
    {"draining after DISCONNECT", CONNECTED, 0, NULL, draining},
};
enum { STATES_LEN = sizeof(STATES) / sizeof(STATES[0]) };

/* Brings a new connection on a new loop there. */
static void enter(const struct state *state, enum way way) {
  int small = 4096;
  fd = -1;
  sem_init(&inside, 0, 0);
  sem_init(&leave, 0, 0);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, blocking_log, NULL, NULL), 0);
  client_options(&options, &config, server);
  /* How long a server may take nothing of what it was sent; the rest of the second is for the end itself. */
  options.close_timeout_ms = 500;
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
  config.max_queue_length = 100;
  options.max_outgoing_bytes = 300000;
  options.refuse_delay_ms = 3600000;
  options.tls_insecure_skip_verification = (state->needs & ENCRYPTED) != 0;
  /* The options are read before the handlers are added, the address by what `prepare` says. */
  snprintf(where, sizeof(where), "%s", server);
  if (state->prepare == to_a_closed_port || state->prepare == to_a_name_that_hangs ||
      state->prepare == to_a_black_hole || state->prepare == by_tls) {
    state->prepare();
  }
  config.server = where;
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  client_create(&client, loop, NULL, &options);
  if (state->prepare != NULL && strcmp(where, server) == 0) state->prepare();
  drive_start(&driver, loop, way);
  if (state->reach >= ATTEMPT) assert_true(mgos_mqtt_conn_connect(client.conn));
  if (state->reach == ACCEPTED) fd = net_accept(listener);
  if (state->reach == CONNECTED) {
    fd = mqtt_accept(listener);
    if (state->prepare == with_a_queue) mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
    assert_true(client_wait(&client, UP, 1));
  }
  if (state->enter != NULL) state->enter();
}

/* -- ways to stop -- */

static void *release_soon(void *ud) {
  (void) ud;
  usleep(20000); /* so that the other thread probably waits by then */
  sem_post(&leave);
  return NULL;
}

static int64_t begun;
static pthread_t releaser;

static void stopwatch(void) {
  begun = net_ms();
}

static void in_time(void) {
  assert_in_range(net_ms() - begun, 0, BOUND_MS);
}

/* Calls that wait for a running callback find it returning meanwhile. */
static void release(const struct state *state) {
  if (state->needs & BLOCKS) assert_int_equal(pthread_create(&releaser, NULL, release_soon, NULL), 0);
}

static void released(const struct state *state) {
  if (state->needs & BLOCKS) assert_int_equal(pthread_join(releaser, NULL), 0);
}

static void disconnect(const struct state *state) {
  stopwatch();
  mgos_mqtt_conn_disconnect(client.conn);
  in_time();
  release(state);
  stopwatch();
  /* That server reads nothing. */
  assert_int_equal(mgos_mqtt_conn_disconnect_wait(client.conn, BOUND_MS),
                   state->enter == blocked_output ? MGOS_MQTT_UNDELIVERED : 0);
  in_time();
  released(state);
  assert_false(mgos_mqtt_conn_is_connected(client.conn));
  client_free(&client);
  drive_stop(&driver);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

/* Freed first, and the loop, whose callback is still running, then. */
static void free_at_once(const struct state *state) {
  stopwatch();
  mgos_mqtt_conn_free(client.conn);
  in_time();
  if (state->needs & BLOCKS) assert_int_equal(client_count(&client, GONE), 0);
  release(state);
  stopwatch();
  assert_true(client_wait(&client, GONE, 1));
  in_time();
  released(state);
  drive_stop(&driver);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  client_ended(&client);
}

/* The loop stops first; what is left is done by the caller, or by a thread that waits inside the library. */
static void stop_then_free(const struct state *state) {
  release(state);
  stopwatch();
  drive_stop(&driver);
  mgos_mqtt_conn_free(client.conn);
  in_time();
  released(state);
  assert_true(client_wait(&client, GONE, 1));
  in_time();
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  in_time();
  client_ended(&client);
}

static void free_loop(const struct state *state) {
  release(state);
  stopwatch();
  /* With its own thread that is all; other threads must not drive what is freed. */
  if (driver.way != OWN_THREAD) drive_stop(&driver);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  in_time();
  released(state);
  client_ended(&client);
}

static void stop_in(const struct state *state, enum way way, void (*stop)(const struct state *)) {
  void *result = &waiter;
  enter(state, way);
  stop(state);
  if (state->needs & WAITER) {
    stopwatch();
    assert_int_equal(pthread_join(waiter, &result), 0);
    in_time();
  }
  assert_ptr_equal(result, &waiter);
  if (fd >= 0) {
    if (state->enter != blocked_output) assert_true(net_read_to_end(fd));
    close(fd);
  }
  sem_destroy(&inside);
  sem_destroy(&leave);
}

static bool is_built(const struct state *state) {
  return !(state->needs & ENCRYPTED) || mgos_mqtt_has("tls");
}

static void in_each_state(void (*stop)(const struct state *), enum way from, enum way to) {
  for (int i = 0; i < STATES_LEN; i++) {
    for (enum way way = from; is_built(&STATES[i]) && way <= to; way++) {
      print_message("%s, %s\n", STATES[i].name, WAY_NAMES[way]);
      stop_in(&STATES[i], way, stop);
    }
  }
}

static void disconnecting(void **state) {
  (void) state;
  /* Servers that do not close their side take the whole second. */
  for (int i = 0; i < STATES_LEN; i++) {
    if (!is_built(&STATES[i])) continue;
    print_message("%s\n", STATES[i].name);
    stop_in(&STATES[i], (enum way)(i % 3), disconnect);
  }
}

static void freeing(void **state) {
  (void) state;
  in_each_state(free_at_once, OWN_THREAD, FOREIGN_LEVEL);
}

static void stopping_the_loop(void **state) {
  (void) state;
  in_each_state(stop_then_free, OWN_THREAD, FOREIGN_LEVEL);
}

static void freeing_the_loop(void **state) {
  (void) state;
  in_each_state(free_loop, OWN_THREAD, FOREIGN_LEVEL);
}

/* -- the end of the process -- */

static char *program;

static void open_all(void) {
  uint16_t port;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  black_hole_open(&hole);
}

/* This program once more: goes into a state, says so, and ends from main(), with all threads as they are. */
static int end_in(const char *number) {
  open_all();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enter(&STATES[atoi(number)], OWN_THREAD);
  return puts("there") < 0 || fflush(stdout) != 0;
}

static void leaving_the_process(void **state) {
  (void) state;
  for (int i = 0; i < STATES_LEN; i++) {
    char number[12], line[8] = "";
    char *arguments[] = {program, number, NULL};
    struct pollfd answer = {-1, POLLIN, 0};
    posix_spawn_file_actions_t actions;
    int status = -1, ends[2];
    pid_t child;
    if (!is_built(&STATES[i])) continue;
    print_message("%s\n", STATES[i].name);
    snprintf(number, sizeof(number), "%d", i);
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    assert_int_equal(posix_spawn(&child, program, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    answer.fd = ends[0];
    assert_int_equal(poll(&answer, 1, LONG_MS), 1);
    assert_int_equal(read(ends[0], line, sizeof(line)), 6);
    stopwatch();
    /* Its end of the pipe is closed when it is gone. */
    if (poll(&answer, 1, BOUND_MS) != 1) kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    in_time();
    close(ends[0]);
    assert_memory_equal(line, "there\n", 6);
    assert_int_equal(status, 0);
  }
}

static int group_setup(void **state) {
  (void) state;
  open_all();
  names_hold();
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  names_release();
  black_hole_close(&hole);
  close(listener);
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(disconnecting),       cmocka_unit_test(freeing),
      cmocka_unit_test(stopping_the_loop),   cmocka_unit_test(freeing_the_loop),
      cmocka_unit_test(leaving_the_process),
  };
  program = argv[0];
  if (argc == 2) return end_in(argv[1]);
  return cmocka_run_group_tests_name("stop", tests, group_setup, group_teardown);
}
