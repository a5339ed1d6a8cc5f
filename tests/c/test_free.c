/*
 * Freeing: from every place and in every state a connection can be in. Each call returns in bounded time,
 * each user-data destructor runs once, and no handler is called afterwards.
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <mgos_mqtt.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_subscribe.h>

#include "client.h"
#include "names.h"
#include "net.h"

/* "At once", on a busy machine. Everything that waits for a network here would take 10 seconds. */
#define AT_ONCE (net_slow() ? 30000 : 2000)

static struct mgos_mqtt_loop *loop;
static int listener;
static char server[32];
static struct client client;

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
  if (loop != NULL) assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  loop = NULL;
  close(listener);
  return 0;
}

static void sleep_on(sem_t *sem) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONG_MS / 1000;
  assert_int_equal(sem_timedwait(sem, &until), 0);
}

/* -- while a handler runs, from another thread -- */

struct blocked {
  sem_t inside, leave;
  int calls, freed;
};

static void blocking_handler(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct blocked *blocked = ud;
  (void) conn;
  (void) ev;
  blocked->calls++;
  sem_post(&blocked->inside);
  sleep_on(&blocked->leave);
}

static void blocked_freed(void *ud) {
  struct blocked *blocked = ud;
  blocked->freed++;
}

/* Brings a connection's handler to where it waits; two more messages wait behind it. */
static int block(struct blocked *blocked) {
  int fd;
  memset(blocked, 0, sizeof(*blocked));
  sem_init(&blocked->inside, 0, 0);
  sem_init(&blocked->leave, 0, 0);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  client_create(&client, loop, server, NULL);
  assert_int_equal(
      mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_MESSAGE, blocking_handler, blocked, blocked_freed), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  for (uint16_t id = 1; id <= 3; id++) mqtt_publish(fd, "t", 1, id, 10);
  sleep_on(&blocked->inside);
  return fd;
}

static void while_its_handler_runs(void **state) {
  struct blocked blocked;
  int64_t begun;
  int fd = block(&blocked);
  (void) state;
  begun = net_ms();
  mgos_mqtt_conn_free(client.conn);
  assert_in_range(net_ms() - begun, 0, AT_ONCE);
  assert_int_equal(blocked.freed, 0);
  assert_int_equal(client_count(&client, GONE), 0);
  sem_post(&blocked.leave);
  assert_true(client_wait(&client, GONE, 1));
  assert_true(net_read_to_end(fd));
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  client_ended(&client);
  assert_int_equal(blocked.freed, 1);
  assert_int_equal(blocked.calls, 1);
  close(fd);
}

static void wait_while_its_handler_runs(void **state) {
  struct blocked blocked;
  int fd = block(&blocked);
  (void) state;
  assert_int_equal(mgos_mqtt_conn_free_wait(client.conn, 50), MGOS_MQTT_TIMED_OUT);
  assert_int_equal(blocked.freed, 0);
  sem_post(&blocked.leave);
  assert_true(client_wait(&client, GONE, 1));
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  client_ended(&client);
  assert_int_equal(blocked.freed, 1);
  assert_int_equal(blocked.calls, 1);
  close(fd);
}

static void *release_soon(void *ud) {
  struct blocked *blocked = ud;
  usleep(20000); /* only so that the other thread probably waits by then */
  sem_post(&blocked->leave);
  return NULL;
}

static void wait_until_its_handler_returned(void **state) {
  struct blocked blocked;
  pthread_t thread;
  int fd = block(&blocked);
  (void) state;
  pthread_create(&thread, NULL, release_soon, &blocked);
  assert_int_equal(mgos_mqtt_conn_free_wait(client.conn, LONG_MS), 0);
  /* All of it has happened, without any other synchronisation. */
  assert_int_equal(blocked.freed, 1);
  assert_int_equal(blocked.calls, 1);
  client_ended(&client);
  pthread_join(thread, NULL);
  close(fd);
}

/* -- while a call on another thread has begun -- */

struct begun {
  sem_t inside, leave;
  uint16_t id;
};

/* Runs inside mgos_mqtt_conn_pubf(), on its thread. */
static int blocking_printer(struct json_out *out, va_list *ap) {
  struct begun *begun = va_arg(*ap, struct begun *);
  sem_post(&begun->inside);
  sleep_on(&begun->leave);
  return json_printf(out, "%d", 1);
}

static void *publish_slowly(void *ud) {
  struct begun *begun = ud;
  begun->id = mgos_mqtt_conn_pubf(client.conn, "t", 1, false, "{x: %M}", blocking_printer, begun);
  return NULL;
}

/* The call comes to its end on a connection that is no more: refused, and nothing worse. Whoever reads freed
 * memory is seen by valgrind and ThreadSanitizer. */
static void while_a_call_has_begun(void **state) {
  struct begun begun;
  pthread_t thread;
  (void) state;
  sem_init(&begun.inside, 0, 0);
  sem_init(&begun.leave, 0, 0);
  client_create(&client, loop, server, NULL);
  assert_int_equal(pthread_create(&thread, NULL, publish_slowly, &begun), 0);
  sleep_on(&begun.inside);
  client_free(&client);
  sem_post(&begun.leave);
  pthread_join(thread, NULL);
  assert_int_equal(begun.id, 0);
}

/* -- from inside handlers -- */

struct inside {
  struct mgos_mqtt_conn *victim;
  int calls, result, freed, others;
  bool wait;
};

static void free_it(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct inside *inside = ud;
  (void) conn;
  (void) ev;
  inside->calls++;
  if (inside->victim == NULL) return;
  if (inside->wait) {
    inside->result = mgos_mqtt_conn_free_wait(inside->victim, 1000);
  } else {
    mgos_mqtt_conn_free(inside->victim);
  }
  inside->victim = NULL;
  /* User data may still be in use. */
  assert_int_equal(inside->freed, 0);
}

static void other_handler(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct inside *inside = ud;
  (void) conn;
  (void) ev;
  inside->others++;
}

static void inside_freed(void *ud) {
  struct inside *inside = ud;
  inside->freed++;
}

static void from_its_own_handler_of(uint32_t kind, bool wait) {
  struct inside inside = {.wait = wait};
  int64_t until = net_ms() + LONG_MS;
  int fd;
  client_create(&client, loop, server, NULL);
  inside.victim = client.conn;
  /* The older one is told after the newer one: not any more, when that has freed the connection. */
  assert_int_equal(mgos_mqtt_conn_on(client.conn, kind, other_handler, &inside, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(client.conn, kind, free_it, &inside, inside_freed), 0);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  if (kind == MGOS_MQTT_EV_CONNECTING) {
    assert_true(client_wait(&client, GONE, 1));
    assert_true(net_nobody(listener, 0));
    fd = -1;
  } else {
    fd = mqtt_accept(listener);
    /* In turn, so that there is something for every kind; a free connection refuses, which is as good. */
    mqtt_publish(fd, "t", 1, 7, 10);
    if (kind == MGOS_MQTT_EV_PUBACK || kind == MGOS_MQTT_EV_CLOSE) {
      assert_true(client_wait(&client, MESSAGE, 1));
      mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false);
      mqtt_ack(fd, 0x40, mqtt_expect(fd, 0x30));
      if (kind == MGOS_MQTT_EV_CLOSE) shutdown(fd, SHUT_RDWR);
    }
    assert_true(client_wait(&client, GONE, 1));
    assert_true(net_read_to_end(fd));
  }
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  while (inside.freed == 0 && net_ms() < until) mgos_mqtt_loop_poll(loop, 0);
  assert_int_equal(inside.calls, 1);
  assert_int_equal(inside.freed, 1);
  assert_int_equal(inside.others, 0);
  assert_int_equal(inside.result, wait ? MGOS_MQTT_BUSY : 0);
  client_ended(&client);
  if (fd >= 0) close(fd);
}

static void from_its_own_handler(void **state) {
  static const uint32_t kinds[] = {MGOS_MQTT_EV_CONNECTING, MGOS_MQTT_EV_CONNECT_RESULT, MGOS_MQTT_EV_MESSAGE,
                                   MGOS_MQTT_EV_PUBACK,     MGOS_MQTT_EV_CLOSE,          MGOS_MQTT_EV_POLL};
  (void) state;
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    from_its_own_handler_of(kinds[i], false);
    from_its_own_handler_of(kinds[i], true);
  }
}

static void another_one_from_a_handler(void **state) {
  struct inside inside = {0};
  static struct client other;
  int fd, other_fd;
  (void) state;
  client_create(&client, loop, server, NULL);
  client_create(&other, loop, server, NULL);
  inside.victim = other.conn;
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_MESSAGE, free_it, &inside, NULL), 0);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(mgos_mqtt_conn_connect(other.conn));
  other_fd = mqtt_accept(listener);
  assert_true(client_wait(&other, UP, 1));
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = mqtt_accept(listener);
  mqtt_publish(fd, "t", 1, 7, 10);
  assert_int_equal(mqtt_expect(fd, 0x40), 7);
  assert_true(client_wait(&other, GONE, 1));
  /* A connection that is freed while it is up still says goodbye. */
  mqtt_expect(other_fd, 0xe0);
  assert_true(mgos_mqtt_conn_is_connected(client.conn));
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  client_ended(&other);
  close(fd);
  close(other_fd);
}

/* -- in every state -- */

static struct black_hole hole;
static int asked;

enum stage {
  UNUSED,
  WAITING,
  RESOLVING,
  OPENING,
  CONNACK_WAIT,
  MID_PACKET,
  IS_UP,
  CLOSING,
  FULL_QUEUE,
  STAGES
};
static const char *const STAGE_NAMES[] = {
    "unused",      "waiting", "resolving", "opening",          "waiting for CONNACK",
    "in a packet", "up",      "closing",   "with a full queue"};

/* Brings the connection there; the loop has a thread. Returns the server's socket, or -1. */
static int reach(enum stage stage) {
  static char payload[10000];
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  char where[64];
  int fd = -1, small = 4096, refused = 0;
  client_options(&options, &config, server);
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
  options.max_outgoing_bytes = 300000;
  if (stage == WAITING) snprintf(where, sizeof(where), "127.0.0.1:%d", net_free_port());
  if (stage == RESOLVING) {
    /* Another one each time: equal names are asked for once. */
    snprintf(where, sizeof(where), "%d.%s:1883", asked, NAME_THAT_HANGS);
  }
  if (stage == OPENING) snprintf(where, sizeof(where), "127.0.0.1:%d", hole.port);
  if (stage == WAITING || stage == RESOLVING || stage == OPENING) config.server = where;
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  client_create(&client, loop, NULL, &options);
  if (stage == UNUSED) return -1;
  client_subscribe(&client, "t", 1);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, CONNECTING, 1));
  switch (stage) {
    case WAITING:
      assert_true(client_wait(&client, FAILED, 1));
      return -1;
    case RESOLVING:
      names_wait_asked(++asked);
      return -1;
    case OPENING:
      return -1;
    case CONNACK_WAIT:
      fd = net_accept(listener);
      mqtt_expect(fd, 0x10);
      return fd;
    default:
      break;
  }
  fd = mqtt_accept(listener);
  mqtt_suback(fd, mqtt_expect(fd, 0x80), 1);
  assert_true(client_wait(&client, SUBACK, 1));
  if (stage == MID_PACKET) net_write(fd, "\x32\xff\x01\x00\x01txyz", 9);
  if (stage == CLOSING) {
    mgos_mqtt_conn_disconnect(client.conn);
    mqtt_expect(fd, 0xe0);
  }
  while (stage == FULL_QUEUE && refused < 100) {
    bool accepted =
        mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str_n(payload, sizeof(payload)), refused % 2, false);
    refused = accepted ? 0 : refused + 1;
    if (!accepted) usleep(100); /* let the loop try to write */
  }
  return fd;
}

static void in_every_state(void **state) {
  (void) state;
  black_hole_open(&hole);
  names_hold();
  for (enum stage stage = UNUSED; stage < STAGES; stage++) {
    for (int way = 0; way < 4; way++) {
      int64_t begun;
      int fd;
      print_message("%s, way %d\n", STAGE_NAMES[stage], way);
      assert_int_equal(mgos_mqtt_loop_start(loop), 0);
      fd = reach(stage);
      begun = net_ms();
      switch (way) {
        case 0: /* by the loop's thread */
          mgos_mqtt_conn_free(client.conn);
          assert_in_range(net_ms() - begun, 0, AT_ONCE);
          assert_true(client_wait(&client, GONE, 1));
          break;
        case 1: /* and waited for */
          assert_int_equal(mgos_mqtt_conn_free_wait(client.conn, AT_ONCE), 0);
          break;
        case 2: /* nobody drives */
          assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
          mgos_mqtt_conn_free(client.conn);
          break;
        default: /* with its loop */
          assert_int_equal(mgos_mqtt_loop_free(loop), 0);
          loop = mgos_mqtt_loop_create();
      }
      assert_in_range(net_ms() - begun, 0, AT_ONCE);
      assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
      client_ended(&client);
      if (fd >= 0) {
        assert_true(net_read_to_end(fd));
        close(fd);
      }
    }
  }
  names_release();
  black_hole_close(&hole);
}

/* A loop ends with all its connections, whatever they are doing. */
static void a_loop_with_many_connections(void **state) {
  enum { CONNECTIONS = 24 };
  static struct client clients[CONNECTIONS];
  int fds[CONNECTIONS], n = 0;
  (void) state;
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  for (int i = 0; i < CONNECTIONS; i++) {
    client_create(&clients[i], loop, server, NULL);
    if (i % 3 == 0) continue;
    assert_true(mgos_mqtt_conn_connect(clients[i].conn));
    fds[n++] = i % 3 == 1 ? mqtt_accept(listener) : net_accept(listener);
  }
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  loop = NULL;
  for (int i = 0; i < CONNECTIONS; i++) client_ended(&clients[i]);
  while (n > 0) {
    assert_true(net_read_to_end(fds[--n]));
    close(fds[n]);
  }
}

/* -- again and again -- */

static void *accept_and_close(void *ud) {
  (void) ud;
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) return NULL; /* the listener was shut down */
    (void) !send(fd, "\x20\x02\x00\x00", 4, MSG_NOSIGNAL);
    close(fd);
  }
}

static void add_one(void *ud) {
  __atomic_add_fetch((int *) ud, 1, __ATOMIC_SEQ_CST);
}

static void ignore(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
}

struct churn {
  int n, destructors;
};

/* Creates, connects and frees, at every moment of an attempt, as the scheduler likes it. */
static void *churn(void *ud) {
  struct churn *churn = ud;
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  client_options(&options, &config, server);
  for (int i = 0; i < churn->n; i++) {
    struct mgos_mqtt_conn *conn = mgos_mqtt_conn_create_on(loop, i, &options);
    if (conn == NULL) return "no connection";
    mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_CONNECT_RESULT, ignore, &churn->destructors, add_one);
    if (!mgos_mqtt_conn_connect(conn)) return "not begun";
    if (i % 7 == 0) sched_yield();
    if (i % 3 == 0) {
      if (mgos_mqtt_conn_free_wait(conn, LONG_MS) != 0) return "not freed";
    } else {
      mgos_mqtt_conn_free(conn);
    }
  }
  return NULL;
}

static void again_and_again(void **state) {
  enum { THREADS = 4 };
  struct churn churns[THREADS];
  pthread_t threads[THREADS], acceptor;
  int fds, tasks, n = net_count(10000) / THREADS;
  void *problem;
  (void) state;
  pthread_create(&acceptor, NULL, accept_and_close, NULL);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  fds = net_entries("/proc/self/fd");
  tasks = net_entries("/proc/self/task");
  for (int i = 0; i < THREADS; i++) {
    churns[i] = (struct churn){.n = n};
    pthread_create(&threads[i], NULL, churn, &churns[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], &problem);
    if (problem != NULL) fail_msg("%s", (char *) problem);
  }
  /* Those that were not waited for end before one that comes after them. */
  client_create(&client, loop, server, NULL);
  client_free(&client);
  for (int i = 0; i < THREADS; i++) {
    int64_t until = net_ms() + LONG_MS;
    while (__atomic_load_n(&churns[i].destructors, __ATOMIC_SEQ_CST) < n && net_ms() < until) usleep(1000);
    assert_int_equal(churns[i].destructors, n);
  }
  shutdown(listener, SHUT_RDWR);
  pthread_join(acceptor, NULL);
  assert_true(net_wait_threads(tasks - 1));
  assert_true(net_entries("/proc/self/fd") <= fds);
}

/* -- a callback that is the last one -- */

/* What it may call: everything, of the global connection, too. It deadlocks if a lock is held while it runs. */
static void use_the_library(int *calls) {
  char *text = mgos_sys_config_to_json(false, false);
  free(text);
  assert_non_null(mgos_mqtt_global());
  mgos_mqtt_pub("t", "x", 1, 0, false);
  mgos_mqtt_conn_free(mgos_mqtt_conn_create(2, NULL));
  assert_int_equal(mgos_mqtt_loop_set_log(NULL, 0, NULL, NULL, NULL), 0);
  assert_true(mgos_mqtt_loop_timeout(loop) >= -1);
  ++*calls;
}

static void using_destructor(void *ud) {
  use_the_library(ud);
}

static void using_done(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  use_the_library(ud);
}

static void other_log(int level, int conn_id, const char *text, void *ud) {
  (void) level, (void) conn_id, (void) text, (void) ud;
}

/* Registers one of everything that has an end of its own; returns how many that are. */
static int register_all(struct mgos_mqtt_conn *conn, int *calls) {
  struct mgos_mqtt_publication message;
  struct mgos_mqtt_filter filter = {"b", 1};
  memset(&message, 0, sizeof(message));
  message.size = sizeof(message);
  message.topic = "t";
  message.qos = 1;
  message.done = using_done;
  message.ud = calls;
  assert_int_equal(mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_CLOSE, ignore, calls, using_destructor), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe(conn, "a", 1, ignore, calls, using_destructor), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(conn, ignore, calls, using_destructor), 0);
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(conn, &filter, 1, ignore, calls, using_destructor, using_done, calls), 0);
  assert_int_equal(mgos_mqtt_conn_publish(conn, &message, NULL), 0);
  return 6;
}

/* field: F-30 */
static void callbacks_at_the_end_may_call_everything(void **state) {
  int calls = 0, n;
  struct mgos_mqtt_conn *conn;
  (void) state;
  /* Who waits for its own lock waits for ever. */
  alarm((unsigned) LONG_MS / 1000);
  n = register_all(mgos_mqtt_global(), &calls);
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  assert_int_equal(calls, n);
  conn = mgos_mqtt_conn_create_on(loop, 1, NULL);
  n += register_all(conn, &calls);
  assert_int_equal(mgos_mqtt_conn_off(conn, ignore, &calls), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(conn, "a", ignore, &calls), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(conn, NULL, NULL, NULL), 0);
  assert_int_equal(calls, n - 3);
  mgos_mqtt_conn_free(conn);
  assert_int_equal(calls, n);
  n += register_all(mgos_mqtt_conn_create_on(loop, 1, NULL), &calls);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, 0, other_log, &calls, using_destructor), 0);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, 0, other_log, &calls, using_destructor), 0);
  assert_int_equal(calls, n - 6 + 1);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  loop = NULL;
  assert_int_equal(calls, n + 2);
  /* Each made another global connection. */
  assert_int_equal(mgos_mqtt_deinit(LONG_MS), 0);
  assert_int_equal(calls, n + 2);
  alarm(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(while_a_call_has_begun),
      TEST(while_its_handler_runs),
      TEST(wait_while_its_handler_runs),
      TEST(wait_until_its_handler_returned),
      TEST(from_its_own_handler),
      TEST(another_one_from_a_handler),
      TEST(in_every_state),
      TEST(a_loop_with_many_connections),
      TEST(again_and_again),
      TEST(callbacks_at_the_end_may_call_everything),
  };
  return cmocka_run_group_tests_name("free", tests, NULL, NULL);
}
