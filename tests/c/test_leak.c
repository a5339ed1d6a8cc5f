/*
 * Create, connect, free: a hundred thousand times, through CONNACK and a message each way, on one loop and on
 * loops that come and go. Descriptors, threads and the heap are afterwards what they were.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "net.h"

/* Connections at a time; what is kept for them is there after the first of them. */
enum { AT_A_TIME = 100 };

static char server[32];

/* -- a server that says CONNACK and hangs up after the client -- */

static int listener, stop_pipe[2];

static void *serve(void *ud) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  event.data.fd = listener;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = stop_pipe[0];
  epoll_ctl(epoll, EPOLL_CTL_ADD, stop_pipe[0], &event);
  for (;;) {
    struct epoll_event events[AT_A_TIME];
    int n = epoll_wait(epoll, events, AT_A_TIME, -1);
    for (int i = 0; i < n; i++) {
      static char bytes[4096];
      int fd = events[i].data.fd;
      ssize_t len;
      if (fd == stop_pipe[0]) {
        close(epoll);
        return ud;
      }
      if (fd == listener) {
        event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (event.data.fd >= 0) epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      len = recv(fd, bytes, sizeof(bytes), 0);
      /* CONNECT comes in one piece here; a QoS 0 message follows CONNACK. */
      if (len > 0 && bytes[0] == 0x10)
        (void) !send(fd, "\x20\x02\x00\x00\x30\x04\x00\x01tx", 10, MSG_NOSIGNAL);
      if (len <= 0) close(fd);
    }
  }
}

/* -- the clients -- */

static long messages, freed;

static void on_message(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  (void) ud;
  messages++;
  mgos_mqtt_conn_pub(conn, "t", mg_mk_str("x"), 0, false);
  mgos_mqtt_conn_free(conn);
}

static void on_freed(void *ud) {
  (void) ud;
  freed++;
}

static void make(struct mgos_mqtt_loop *loop, const struct mgos_mqtt_options *options) {
  struct mgos_mqtt_conn *conn = mgos_mqtt_conn_create_on(loop, 1, options);
  assert_non_null(conn);
  assert_int_equal(mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_MESSAGE, on_message, NULL, on_freed), 0);
  assert_true(mgos_mqtt_conn_connect(conn));
}

/* `n` connections, some at a time; each is followed by another when it has ended. */
static void run(struct mgos_mqtt_loop *loop, long n) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  int64_t until = net_ms() + 4 * LONG_MS;
  long made = 0;
  client_options(&options, &config, server);
  options.poll_tick_ms = 0;
  messages = freed = 0;
  while (freed < n) {
    for (; made < n && made - freed < AT_A_TIME; made++) make(loop, &options);
    assert_int_equal(mgos_mqtt_loop_poll(loop, 100), 0);
    assert_true(net_ms() < until);
  }
  assert_int_equal(messages, n);
}

struct usage {
  int fds, threads;
  size_t heap;
};

static struct usage used(void) {
  struct usage usage = {net_entries("/proc/self/fd"), net_entries("/proc/self/task"), mallinfo2().uordblks};
  return usage;
}

/* The server may have to close the last of its descriptors yet. */
static void expect_as_before(const struct usage *before, long n) {
  int64_t until = net_ms() + LONG_MS;
  struct usage after = used();
  while (after.fds > before->fds && net_ms() < until) {
    usleep(1000);
    after = used();
  }
  print_message("after %ld: %d descriptors, %d threads, %+ld bytes\n", n, after.fds, after.threads,
                (long) after.heap - (long) before->heap);
  /* Fewer, if sockets of the warm-up were still being closed when it was counted before. */
  assert_true(after.fds <= before->fds);
  assert_true(net_wait_threads(before->threads));
  /* Freed blocks in a thread's cache count as used: ctest switches that cache off. */
  assert_in_range(after.heap, 0, before->heap + 4096);
}

static void on_one_loop(void **state) {
  const long n = net_count(100000);
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct usage before;
  (void) state;
  run(loop, n / 50);
  before = used();
  run(loop, n);
  expect_as_before(&before, n);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

/* Loops with a thread, each with some connections that are at any stage when it ends. */
static void on_many_loops(void **state) {
  const long n = net_count(2000);
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  struct usage before = {0};
  (void) state;
  client_options(&options, &config, server);
  for (long i = 0; i < n; i++) {
    struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
    if (i == n / 10) before = used();
    assert_non_null(loop);
    for (int k = 0; k < 5; k++) make(loop, &options);
    assert_int_equal(mgos_mqtt_loop_start(loop), 0);
    assert_int_equal(mgos_mqtt_loop_free(loop), 0);
    /* Counted with a loop that is alive, as the first time. */
    if (i == n - 2) {
      loop = mgos_mqtt_loop_create();
      expect_as_before(&before, 10000);
      assert_int_equal(mgos_mqtt_loop_free(loop), 0);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(on_one_loop), cmocka_unit_test(on_many_loops)};
  pthread_t thread;
  uint16_t port;
  int failed;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  if (pipe(stop_pipe) != 0 || pthread_create(&thread, NULL, serve, NULL) != 0) return 1;
  failed = cmocka_run_group_tests_name("leak", tests, NULL, NULL);
  close(stop_pipe[1]);
  pthread_join(thread, NULL);
  return failed;
}
