/*
 * The limits of the system: no file descriptor, no buffer, no thread. Each is a clear error, leaves nothing
 * behind, and is over when there is one again. And what the library leaves alone: descriptors of programs
 * that are executed, errno, the locale.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "mgos_mqtt_connect.h"
#include "mgos_mqtt_error.h"
#include "mgos_mqtt_publish.h"
#include "names.h"
#include "net.h"

static struct mgos_mqtt_loop *loop;
static struct client client;
static int listener;
static char server[32];

/* -- functions of the C library that fail when they are told to: the program's take the place of its own --
 */

static int socket_fails, send_fails, thread_fails;

static void *next(const char *name) {
  void *function = dlsym(RTLD_NEXT, name);
  if (function == NULL) abort();
  return function;
}

static bool fails(int *with) {
  int error = __atomic_load_n(with, __ATOMIC_SEQ_CST);
  if (error != 0) errno = error;
  return error != 0;
}

static bool fails_once(int *with) {
  int error = __atomic_exchange_n(with, 0, __ATOMIC_SEQ_CST);
  if (error != 0) errno = error;
  return error != 0;
}

int socket(int domain, int type, int protocol) {
  int (*real)(int, int, int);
  *(void **) &real = next("socket");
  return fails(&socket_fails) ? -1 : real(domain, type, protocol);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags) {
  ssize_t (*real)(int, const void *, size_t, int);
  *(void **) &real = next("send");
  return fails_once(&send_fails) ? -1 : real(fd, bytes, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  ssize_t (*real)(int, const struct msghdr *, int);
  *(void **) &real = next("sendmsg");
  return fails_once(&send_fails) ? -1 : real(fd, message, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *ud) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
  *(void **) &real = next("pthread_create");
  return fails(&thread_fails) ? EAGAIN : real(thread, attributes, run, ud);
}

static void set(int *with, int error) {
  __atomic_store_n(with, error, __ATOMIC_SEQ_CST);
}

/* At most `more` further descriptors can be opened; negative: as many as at first. */
static void allow(int more) {
  static struct rlimit first;
  struct rlimit limit;
  int lowest;
  if (first.rlim_max == 0) assert_int_equal(getrlimit(RLIMIT_NOFILE, &first), 0);
  limit = first;
  if (more >= 0) {
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &first), 0);
    lowest = dup(0);
    close(lowest);
    limit.rlim_cur = (rlim_t) (lowest + more);
  }
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int setup(void **state) {
  uint16_t port;
  (void) state;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  set(&socket_fails, 0);
  set(&send_fails, 0);
  set(&thread_fails, 0);
  allow(-1);
  if (client.conn != NULL) client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(listener);
  return 0;
}

/* -- file descriptors -- */

/* Every one that a loop needs, in turn. */
static void no_descriptor_for_a_loop(void **state) {
  struct mgos_mqtt_loop *other = NULL;
  int before = net_entries("/proc/self/fd"), n;
  (void) state;
  for (n = 0; other == NULL; n++) {
    assert_in_range(n, 0, 10);
    allow(n);
    other = mgos_mqtt_loop_create();
    if (other == NULL) assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NO_RESOURCES);
    allow(-1);
    if (other == NULL) assert_int_equal(net_entries("/proc/self/fd"), before);
  }
  assert_in_range(n, 2, 10);
  assert_int_equal(mgos_mqtt_loop_free(other), 0);
  assert_int_equal(net_entries("/proc/self/fd"), before);
}

static void fails_and_comes_back(int error, void (*over)(void)) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  int fd;
  client_create(&client, loop, server, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, FAILED, 2));
  over();
  client_expect_error(&client, MGOS_MQTT_NO_RESOURCES, MGOS_MQTT_PHASE_TCP, strerror(error));
  assert_int_equal(mgos_mqtt_conn_last_error(client.conn, &info), 0);
  assert_int_equal(info.os_errno, error);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  close(fd);
}

static void allow_all(void) {
  allow(-1);
}

static void no_descriptor_for_a_connection(void **state) {
  (void) state;
  allow(0);
  fails_and_comes_back(EMFILE, allow_all);
}

/* -- buffers -- */

static void sockets_work(void) {
  set(&socket_fails, 0);
}

static void no_buffer_for_a_connection(void **state) {
  (void) state;
  set(&socket_fails, ENOBUFS);
  fails_and_comes_back(ENOBUFS, sockets_work);
}

static void no_buffer_for_a_message(void **state) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  int fd;
  (void) state;
  client_create(&client, loop, server, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  /* Once: the next connection is made at once, and its CONNECT goes out. */
  set(&send_fails, ENOBUFS);
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false), 0);
  assert_true(client_wait(&client, CLOSED, 1));
  assert_int_equal(mgos_mqtt_conn_last_error(client.conn, &info), 0);
  assert_int_not_equal(info.code, 0);
  close(fd);
  fd = mqtt_accept(listener);
  mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
  assert_true(client_wait(&client, PUBACK, 1));
  close(fd);
}

/* -- threads -- */

static void no_thread_for_a_loop(void **state) {
  int fd;
  (void) state;
  set(&thread_fails, EAGAIN);
  assert_int_equal(mgos_mqtt_loop_start(loop), MGOS_MQTT_NO_RESOURCES);
  assert_int_equal(mgos_mqtt_loop_start(loop), MGOS_MQTT_NO_RESOURCES);
  /* It can still be driven by hand, and have a thread later. */
  assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
  set(&thread_fails, 0);
  client_create(&client, loop, server, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  close(fd);
}

/* No server of names is asked: the test knows that one. */
static void no_thread_for_the_name_service(void **state) {
  char name[32];
  int fd;
  (void) state;
  snprintf(name, sizeof(name), NAME_OF_THIS_HOST ":%s", strchr(server, ':') + 1);
  set(&thread_fails, EAGAIN);
  client_create(&client, loop, name, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, FAILED, 2));
  client_expect_error(&client, MGOS_MQTT_NO_RESOURCES, MGOS_MQTT_PHASE_DNS, "thread");
  set(&thread_fails, 0);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  close(fd);
}

/* -- what is left alone -- */

/* How many descriptors there are that a program which is executed would inherit. */
static int inheritable(void) {
  DIR *list = opendir("/proc/self/fd");
  int n = 0;
  assert_non_null(list);
  for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
    int flags = fcntl(atoi(entry->d_name), F_GETFD);
    if (entry->d_name[0] != '.' && flags >= 0 && (flags & FD_CLOEXEC) == 0) n++;
  }
  closedir(list);
  return n;
}

static void descriptors_are_closed_on_exec(void **state) {
  int before = inheritable(), open = net_entries("/proc/self/fd");
  struct mgos_mqtt_loop *other = mgos_mqtt_loop_create();
  int fd, opened;
  (void) state;
  client_create(&client, other, server, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(other), 0);
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  for (int i = 0; i < 100; i++) mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false);
  opened = net_entries("/proc/self/fd") - open;
  /* At least the socket and the loop's own; and the server's side, which is the test's. */
  assert_in_range(opened, 3, 10);
  assert_int_equal(inheritable() - before, (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0);
  close(fd);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(other), 0);
  assert_int_equal(net_entries("/proc/self/fd"), open);
}

/* A value that no function of the system sets. */
#define UNTOUCHED 12345
#define KEEPS_ERRNO(call)                                                           \
  do {                                                                              \
    errno = UNTOUCHED;                                                              \
    (void) (call);                                                                  \
    if (errno != UNTOUCHED) fail_msg("%s set errno to %s", #call, strerror(errno)); \
  } while (0)

static void ignore(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
}

static void errno_and_the_locale_are_left_alone(void **state) {
  static char big[3000000];
  char locale[256];
  locale_t own = uselocale((locale_t) 0);
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  struct mgos_mqtt_conn *other = NULL;
  char text[100];
  int fd;
  (void) state;
  snprintf(locale, sizeof(locale), "%s", setlocale(LC_ALL, NULL));
  client_create(&client, loop, server, NULL);
  KEEPS_ERRNO(mgos_mqtt_conn_connect(client.conn));
  for (int i = 0; i < 5; i++) KEEPS_ERRNO(mgos_mqtt_loop_poll(loop, 1));
  KEEPS_ERRNO(mgos_mqtt_loop_process(loop));
  KEEPS_ERRNO(mgos_mqtt_loop_start(loop));
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  KEEPS_ERRNO(mgos_mqtt_conn_subscribe(client.conn, "a", 1, ignore, NULL, NULL));
  for (int qos = 0; qos < 3; qos++) {
    KEEPS_ERRNO(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), qos, false));
    /* More than the socket takes; more than is accepted. */
    KEEPS_ERRNO(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(big, 900000), qos, false));
    KEEPS_ERRNO(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(big, sizeof(big)), qos, false));
    KEEPS_ERRNO(mgos_mqtt_conn_pubf(client.conn, "t", qos, false, "{a: %f}", 1.5));
  }
  KEEPS_ERRNO(mgos_mqtt_conn_unsub(client.conn, "a"));
  KEEPS_ERRNO(mgos_mqtt_conn_flush(client.conn, 1));
  net_reset(fd);
  KEEPS_ERRNO(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(big, 900000), 0, false));
  KEEPS_ERRNO(mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text)));
  KEEPS_ERRNO(mgos_mqtt_conn_disconnect_wait(client.conn, LONG_MS));
  KEEPS_ERRNO(mgos_mqtt_loop_stop(loop));
  client_options(&options, &config, server);
  KEEPS_ERRNO(other = mgos_mqtt_conn_create_on(loop, 2, &options));
  KEEPS_ERRNO(mgos_mqtt_conn_free_wait(other, 1000));
  set(&thread_fails, EAGAIN);
  KEEPS_ERRNO(mgos_mqtt_loop_start(loop));
  set(&thread_fails, 0);
  assert_string_equal(setlocale(LC_ALL, NULL), locale);
  assert_ptr_equal(uselocale((locale_t) 0), own);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  /* The name service comes last: its thread may read a file for a moment after its connection is gone, and
   * descriptors are counted before. */
  const struct CMUnitTest tests[] = {
      TEST(descriptors_are_closed_on_exec),
      TEST(no_descriptor_for_a_loop),
      TEST(no_descriptor_for_a_connection),
      TEST(no_buffer_for_a_connection),
      TEST(no_buffer_for_a_message),
      TEST(no_thread_for_a_loop),
      TEST(errno_and_the_locale_are_left_alone),
      TEST(no_thread_for_the_name_service),
  };
  return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
