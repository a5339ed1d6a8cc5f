/*
 * The process that the library lives in: it may fork, execute others, and has its own ideas about signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "drive.h"
#include "mgos_mqtt.h"
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

static void connected(void) {
  loop = mgos_mqtt_loop_create();
  client_create(&client, loop, broker.server, NULL);
  client_subscribe(&client, "process/#", 1);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(client_wait(&client, SUBACK, 1));
}

static void done(void) {
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

static void ignore(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
}

static void never_freed(void *ud) {
  __atomic_add_fetch((int *) ud, 1, __ATOMIC_SEQ_CST);
}

/* What the child tells through its pipe: the line of the first call that did not fail as it should, or 0. */
#define EXPECT_FORKED(call)                                          \
  do {                                                               \
    call;                                                            \
    if (mgos_mqtt_last_error() != MGOS_MQTT_FORKED) return __LINE__; \
  } while (0)

static int child_calls(void) {
  int freed = 0;
  EXPECT_FORKED(mgos_mqtt_conn_pub(client.conn, "process/child", mg_mk_str("x"), 1, false));
  EXPECT_FORKED(mgos_mqtt_conn_sub(client.conn, "process/child", 1, NULL, NULL));
  EXPECT_FORKED(mgos_mqtt_conn_subscribe(client.conn, "a", 1, ignore, &freed, never_freed));
  EXPECT_FORKED(mgos_mqtt_conn_unsub(client.conn, "process/#"));
  EXPECT_FORKED(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_CLOSE, ignore, &freed, never_freed));
  EXPECT_FORKED(mgos_mqtt_conn_connect(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_disconnect(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_abort(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_reconnect(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_num_unsent_bytes(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_is_connected(client.conn));
  EXPECT_FORKED(mgos_mqtt_conn_nc(client.conn));
  EXPECT_FORKED(mgos_mqtt_loop_poll(loop, 0));
  EXPECT_FORKED(mgos_mqtt_loop_process(loop));
  EXPECT_FORKED(mgos_mqtt_loop_start(loop));
  EXPECT_FORKED(mgos_mqtt_loop_stop(loop));
  EXPECT_FORKED(mgos_mqtt_loop_fd(loop));
  EXPECT_FORKED(mgos_mqtt_loop_timeout(loop));
  EXPECT_FORKED(mgos_mqtt_conn_create_on(loop, 1, NULL));
  EXPECT_FORKED(mgos_mqtt_loop_free(loop));
  EXPECT_FORKED(mgos_mqtt_conn_free(client.conn));
  /* What was refused stays the caller's. */
  return freed == 0 ? 0 : __LINE__;
}

/* Forks while the loop's thread works, so at any point of it. A child that called something which takes a
 * lock could hang: that counts as wrong. */
static void a_child_is_told(void **state) {
  const int n = net_count(50);
  (void) state;
  mgos_mqtt_init();
  connected();
  for (int i = 0; i < n; i++) {
    struct pollfd answer = {-1, POLLIN, 0};
    int line = -1, pipes[2];
    pid_t child;
    for (int k = 0; k < 5; k++) mgos_mqtt_conn_pub(client.conn, "process/x", mg_mk_str("x"), 1, false);
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      line = child_calls();
      (void) !write(pipes[1], &line, sizeof(line));
      /* Not exit(): that is the parent's to run, and valgrind would look for leaks. */
      kill(getpid(), SIGKILL);
    }
    answer.fd = pipes[0];
    if (poll(&answer, 1, LONG_MS) == 1) (void) !read(pipes[0], &line, sizeof(line));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(line, 0);
  }
  /* The parent's connection goes on as if nothing had been. */
  assert_true(client_wait(&client, MESSAGE, 5 * n));
  assert_true(client_wait(&client, PUBACK, 5 * n));
  assert_int_equal(client_count(&client, CLOSED), 0);
  assert_int_equal(client_count(&client, MESSAGE), 5 * n);
  done();
}

/* A child may use the library on its own: with a loop of its own. */
static void a_child_has_its_own_loop(void **state) {
  int pipes[2], ok = 0;
  pid_t child;
  (void) state;
  connected();
  assert_int_equal(pipe(pipes), 0);
  child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    static struct client own;
    struct mgos_mqtt_loop *own_loop = mgos_mqtt_loop_create();
    struct mgos_mqtt_options options;
    struct mgos_config_mqtt config;
    int64_t until = net_ms() + LONG_MS;
    client_options(&options, &config, broker.server);
    own.conn = own_loop != NULL ? mgos_mqtt_conn_create_on(own_loop, 2, &options) : NULL;
    if (own.conn != NULL && mgos_mqtt_conn_connect(own.conn)) {
      while (!mgos_mqtt_conn_is_connected(own.conn) && net_ms() < until) mgos_mqtt_loop_poll(own_loop, 10);
      ok = mgos_mqtt_conn_pub(own.conn, "process/own", mg_mk_str("x"), 1, false) != 0;
      while (mgos_mqtt_conn_num_unsent_bytes(own.conn) > 0 && net_ms() < until)
        mgos_mqtt_loop_poll(own_loop, 10);
    }
    (void) !write(pipes[1], &ok, sizeof(ok));
    kill(getpid(), SIGKILL);
  }
  assert_int_equal(read(pipes[0], &ok, sizeof(ok)), sizeof(ok));
  waitpid(child, NULL, 0);
  close(pipes[0]);
  close(pipes[1]);
  assert_true(ok);
  assert_true(client_wait(&client, MESSAGE, 1));
  assert_int_equal(client_count(&client, CLOSED), 0);
  done();
}

/* What a program that is executed inherits. */
static long inherited(void) {
  long n = -1;
  FILE *list = popen("ls /proc/self/fd | wc -l", "r");
  assert_non_null(list);
  assert_int_equal(fscanf(list, "%ld", &n), 1);
  pclose(list);
  return n;
}

static void no_descriptor_is_inherited(void **state) {
  long before = inherited();
  struct driver driver;
  int own = net_entries("/proc/self/fd");
  (void) state;
  connected();
  assert_true(net_entries("/proc/self/fd") > own);
  assert_int_equal(inherited(), before);
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  drive_start(&driver, loop, FOREIGN_EDGE);
  assert_int_equal(inherited(), before);
  drive_stop(&driver);
  done();
  assert_int_equal(net_entries("/proc/self/fd"), own);
}

/* The signals that this process ignores, catches and blocks. */
static void signals(char *text, size_t len) {
  char line[128];
  FILE *file = fopen("/proc/self/status", "r");
  assert_non_null(file);
  text[0] = '\0';
  while (fgets(line, sizeof(line), file) != NULL) {
    if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0 ||
        strncmp(line, "SigCgt", 6) == 0) {
      strncat(text, line, len - strlen(text) - 1);
    }
  }
  fclose(file);
}

static void signals_are_left_alone(void **state) {
  char before[256], after[256];
  (void) state;
  signals(before, sizeof(before));
  connected();
  signals(after, sizeof(after));
  assert_string_equal(before, after);
  done();
  signals(after, sizeof(after));
  assert_string_equal(before, after);
}

/* Writing to a link whose other side is gone: in a call of this thread, in the loop's, and at the end. With
 * the default action of SIGPIPE the process would be gone, too. */
static void a_broken_pipe(void **state) {
  static char payload[100000];
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  char server[32];
  uint16_t port;
  int listener = net_listen(&port);
  (void) state;
  signal(SIGPIPE, SIG_DFL);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  client_options(&options, &config, server);
  /* No attempt of its own: the listener would hand out that one, which the calls below have ended. */
  config.reconnect_timeout_min = config.reconnect_timeout_max = 1000;
  loop = mgos_mqtt_loop_create();
  client_create(&client, loop, server, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  for (int i = 0; i < net_count(40); i++) {
    bool own = i % 2 == 0;
    int64_t until = net_ms() + LONG_MS;
    int fd;
    assert_int_equal(mgos_mqtt_loop_start(loop), 0);
    /* The handshake needs the loop: it has its thread at least for that. */
    fd = mqtt_accept(listener);
    assert_true(client_wait(&client, UP, i + 1));
    if (!own) assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
    net_reset(fd);
    /* Nobody may have read the reset yet: these writes meet it. Large ones are written by the caller. */
    for (int k = 0; k < 10; k++) {
      mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(payload, k % 2 == 0 ? 10 : sizeof(payload)), 0, false);
    }
    if (i % 3 == 0) mgos_mqtt_conn_disconnect(client.conn);
    while (client_count(&client, CLOSED) < i + 1 && net_ms() < until) {
      if (!own) mgos_mqtt_loop_poll(loop, 10);
    }
    assert_int_equal(client_count(&client, CLOSED), i + 1);
    assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
    mgos_mqtt_conn_reconnect(client.conn);
  }
  done();
  close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_child_is_told),
      cmocka_unit_test(a_child_has_its_own_loop),
      cmocka_unit_test(no_descriptor_is_inherited),
      cmocka_unit_test(signals_are_left_alone),
      cmocka_unit_test(a_broken_pipe),
  };
  return cmocka_run_group_tests_name("process", tests, group_setup, group_teardown);
}
