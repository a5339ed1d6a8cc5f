/*
 * Many threads and one loop, against a real broker: whatever drives the loop, nothing is lost or doubled, the
 * order of each thread is kept, and every call is allowed from everywhere.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "drive.h"
#include "net.h"

enum { PUBLISHERS = 8 };

static struct broker broker;
static struct mgos_mqtt_loop *loop, *sink_loop;
static struct client client, sink;

static int group_setup(void **state) {
  (void) state;
  /* With a limit, which is 20 otherwise, mosquitto 2.0.11 itself changes the order now and then. */
  broker_start(&broker, "max_inflight_messages 0");
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return 0;
}

/* -- what arrives at a second connection, on a loop of its own -- */

struct stamp {
  int thread, qos;
  long number;
};

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  long next[PUBLISHERS][3];
  long total, wrong;
} arrived = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_arrival(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct stamp stamp;
  size_t len;
  const void *payload;
  (void) conn;
  (void) ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  payload = mgos_mqtt_event_payload(ev, &len);
  pthread_mutex_lock(&arrived.lock);
  if (len == sizeof(stamp)) {
    memcpy(&stamp, payload, len);
    arrived.wrong += arrived.next[stamp.thread][stamp.qos]++ != stamp.number;
    arrived.wrong += mgos_mqtt_event_qos(ev) != stamp.qos;
  } else {
    arrived.wrong++;
  }
  arrived.total++;
  pthread_cond_broadcast(&arrived.changed);
  pthread_mutex_unlock(&arrived.lock);
}

/* Waits until so many arrived altogether, and returns how many did. */
static long wait_arrived(long total) {
  struct timespec until;
  long n;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONG_MS / 1000;
  pthread_mutex_lock(&arrived.lock);
  while (arrived.total < total && pthread_cond_timedwait(&arrived.changed, &arrived.lock, &until) == 0) {
  }
  n = arrived.total;
  pthread_mutex_unlock(&arrived.lock);
  return n;
}

static int setup(void **state) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  (void) state;
  memset(arrived.next, 0, sizeof(arrived.next));
  arrived.total = arrived.wrong = 0;
  loop = mgos_mqtt_loop_create();
  sink_loop = mgos_mqtt_loop_create();
  client_create(&sink, sink_loop, broker.server, NULL);
  assert_int_equal(mgos_mqtt_conn_subscribe(sink.conn, "threads/#", 2, on_arrival, NULL, NULL), 0);
  client_subscribe(&sink, "ready", 0); /* the last one of one SUBSCRIBE */
  assert_true(mgos_mqtt_conn_connect(sink.conn));
  assert_int_equal(mgos_mqtt_loop_start(sink_loop), 0);
  assert_true(client_wait(&sink, SUBACK, 1));
  client_options(&options, &config, broker.server);
  config.max_queue_length = 100;
  options.max_outgoing_bytes = 100000;
  client_create(&client, loop, NULL, &options);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  client_free(&client);
  client_free(&sink);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  assert_int_equal(mgos_mqtt_loop_free(sink_loop), 0);
  return 0;
}

/* -- publishing -- */

struct publisher {
  pthread_t thread;
  int number;
  long each; /* messages at each QoS */
  const char *problem;
};

static void *publish(void *ud) {
  struct publisher *publisher = ud;
  int64_t until = net_ms() + LONG_MS;
  char topic[32];
  snprintf(topic, sizeof(topic), "threads/%d", publisher->number);
  for (long i = 0; i < publisher->each * 3; i++) {
    struct stamp stamp;
    struct mg_str payload = mg_mk_str_n((const char *) &stamp, sizeof(stamp));
    memset(&stamp, 0, sizeof(stamp));
    stamp.thread = publisher->number;
    stamp.qos = (int) (i % 3);
    stamp.number = i / 3;
    while (mgos_mqtt_conn_pub(client.conn, topic, payload, stamp.qos, false) == 0) {
      /* Full: the loop has to get its turn. Everything else is wrong. */
      if (mgos_mqtt_last_error() != MGOS_MQTT_QUEUE_FULL || net_ms() > until) {
        publisher->problem = mgos_mqtt_strerror(mgos_mqtt_last_error());
        return NULL;
      }
      usleep(100);
    }
  }
  return NULL;
}

static void publishers_start(struct publisher *publishers, long each) {
  for (int i = 0; i < PUBLISHERS; i++) {
    publishers[i] = (struct publisher){.number = i, .each = each};
    assert_int_equal(pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]), 0);
  }
}

static void publishers_join(struct publisher *publishers) {
  for (int i = 0; i < PUBLISHERS; i++) {
    pthread_join(publishers[i].thread, NULL);
    if (publishers[i].problem != NULL) fail_msg("publishing failed: %s", publishers[i].problem);
  }
}

static void all_arrived(long each) {
  const long total = PUBLISHERS * 3 * each;
  assert_int_equal(wait_arrived(total), total);
  assert_int_equal(arrived.wrong, 0);
  /* Each was acknowledged once, too. */
  assert_true(client_wait(&client, PUBACK, PUBLISHERS * each));
  assert_true(client_wait(&client, PUBCOMP, PUBLISHERS * each));
  assert_int_equal(client_count(&client, PUBACK), PUBLISHERS * each);
  assert_int_equal(client_count(&client, PUBCOMP), PUBLISHERS * each);
  assert_int_equal(client_count(&client, CLOSED), 0);
}

static void publish_driven(enum way way) {
  struct publisher publishers[PUBLISHERS];
  struct driver driver;
  const long each = net_count(400);
  drive_start(&driver, loop, way);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, UP, 1));
  publishers_start(publishers, each);
  publishers_join(publishers);
  all_arrived(each);
  drive_stop(&driver);
}

static void publish_with_an_own_thread(void **state) {
  (void) state;
  publish_driven(OWN_THREAD);
}

static void publish_with_a_polling_thread(void **state) {
  (void) state;
  publish_driven(POLLING);
}

static void publish_with_a_foreign_loop(void **state) {
  (void) state;
  publish_driven(FOREIGN_LEVEL);
}

static void publish_with_an_edge_triggered_foreign_loop(void **state) {
  (void) state;
  publish_driven(FOREIGN_EDGE);
}

/* Several threads poll the same loop: one drives at a time, and whoever waits takes over. */
static void publish_with_four_polling_threads(void **state) {
  struct publisher publishers[PUBLISHERS];
  struct driver drivers[4];
  const long each = net_count(400);
  (void) state;
  for (int i = 0; i < 4; i++) drive_start(&drivers[i], loop, POLLING);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, UP, 1));
  publishers_start(publishers, each);
  publishers_join(publishers);
  all_arrived(each);
  for (int i = 0; i < 4; i++) drive_stop(&drivers[i]);
}

/* Another driver every some messages. */
static void the_mode_changes_under_traffic(void **state) {
  static const enum way order[] = {POLLING, OWN_THREAD, FOREIGN_EDGE, POLLING, FOREIGN_LEVEL, OWN_THREAD};
  const long each = net_count(1000), total = PUBLISHERS * 3 * each, step = total / 40;
  struct publisher publishers[PUBLISHERS];
  struct driver driver;
  size_t i = 0;
  long switches = 0;
  (void) state;
  drive_start(&driver, loop, order[i]);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, UP, 1));
  publishers_start(publishers, each);
  for (long n = step; n < total; n += step) {
    n = wait_arrived(n);
    drive_stop(&driver);
    i = (i + 1) % (sizeof(order) / sizeof(order[0]));
    drive_start(&driver, loop, order[i]);
    switches++;
  }
  publishers_join(publishers);
  all_arrived(each);
  assert_true(switches > 5);
  drive_stop(&driver);
}

/* -- everything at the same time -- */

static struct { int running, destructors, added; } chaos;

static void count_free(void *ud) {
  (void) ud;
  __atomic_add_fetch(&chaos.destructors, 1, __ATOMIC_SEQ_CST);
}

static void on_anything(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ud;
  /* Calls from inside, while others come from outside. */
  mgos_mqtt_conn_is_connected(conn);
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) {
    mgos_mqtt_conn_pub(conn, "echo", mg_mk_str("x"), 1, false);
  }
}

static void on_nc(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) ev_data;
  (void) ud;
  if (ev == MG_EV_MQTT_CONNACK)
    mgos_mqtt_conn_pub(mgos_mqtt_conn_from_nc(nc), "up", mg_mk_str("x"), 0, false);
}

static void *links(void *ud) {
  for (long i = 0; i < *(long *) ud; i++) {
    switch (i % 4) {
      case 0:
        mgos_mqtt_conn_disconnect(client.conn);
        break;
      case 1:
        mgos_mqtt_conn_reconnect(client.conn);
        break;
      case 2:
        mgos_mqtt_conn_abort(client.conn);
        break;
      default:
        break;
    }
    mgos_mqtt_conn_connect(client.conn);
    usleep(200);
  }
  return NULL;
}

static void *filters(void *ud) {
  static long keys;
  char filter[32];
  for (long i = 0; i < *(long *) ud; i++) {
    /* No two are the same, or they would be one subscription. */
    void *key = (void *) __atomic_add_fetch(&keys, 1, __ATOMIC_SEQ_CST);
    snprintf(filter, sizeof(filter), "chaos/%ld", i % 5);
    if (mgos_mqtt_conn_subscribe(client.conn, filter, (int) i % 3, on_anything, key, count_free) == 0) {
      __atomic_add_fetch(&chaos.added, 1, __ATOMIC_SEQ_CST);
    }
    mgos_mqtt_conn_pub(client.conn, filter, mg_mk_str("x"), (int) i % 3, false);
    if (i % 2 == 0) mgos_mqtt_conn_unsub(client.conn, filter);
    if (i % 3 == 0) mgos_mqtt_conn_unsubscribe(client.conn, filter, on_anything, key);
  }
  return NULL;
}

static void *handlers(void *ud) {
  for (long i = 0; i < *(long *) ud; i++) {
    void *key = (void *) (i % 7);
    if (mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_POLL,
                          on_anything, key, count_free) == 0) {
      __atomic_add_fetch(&chaos.added, 1, __ATOMIC_SEQ_CST);
    }
    if (mgos_mqtt_conn_add_handler_ex(client.conn, on_nc, key, count_free) == 0) {
      __atomic_add_fetch(&chaos.added, 1, __ATOMIC_SEQ_CST);
    }
    mgos_mqtt_conn_off(client.conn, on_anything, (void *) ((i + 3) % 7));
    mgos_mqtt_conn_remove_handler(client.conn, on_nc, (void *) ((i + 3) % 7));
  }
  return NULL;
}

static void *questions(void *ud) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  char text[200];
  for (long i = 0; i < *(long *) ud; i++) {
    mgos_mqtt_conn_last_error(client.conn, &info);
    mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
    mgos_mqtt_conn_num_unsent_bytes(client.conn);
    mgos_mqtt_conn_get_packet_id(client.conn);
    mgos_mqtt_conn_set_max_qos(client.conn, (int) (i % 3));
    mgos_disconnect(i % 50 == 0 ? mgos_mqtt_conn_nc(client.conn) : NULL);
    mgos_mqtt_loop_timeout(loop);
  }
  return NULL;
}

static void everything_at_the_same_time(void **state) {
  static void *(*const parts[])(void *) = {links, filters, handlers, questions, filters, handlers, questions};
  enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
  long n = net_count(1000);
  pthread_t threads[PARTS];
  (void) state;
  memset(&chaos, 0, sizeof(chaos));
  for (enum way way = OWN_THREAD; way < WAYS; way++) {
    struct driver driver;
    drive_start(&driver, loop, way);
    for (int i = 0; i < PARTS; i++) assert_int_equal(pthread_create(&threads[i], NULL, parts[i], &n), 0);
    for (int i = 0; i < PARTS; i++) pthread_join(threads[i], NULL);
    drive_stop(&driver);
  }
  /* It still works. */
  {
    struct driver driver;
    struct publisher one = {.number = 1, .each = 20};
    int64_t until = net_ms() + LONG_MS;
    drive_start(&driver, loop, OWN_THREAD);
    mgos_mqtt_conn_set_max_qos(client.conn, -1);
    /* The last calls may have it close and open still: a message may come twice over that. */
    mgos_mqtt_conn_abort(client.conn);
    while (mgos_mqtt_conn_is_connected(client.conn) && net_ms() < until) usleep(1000);
    assert_true(mgos_mqtt_conn_connect(client.conn));
    while ((!mgos_mqtt_conn_is_connected(client.conn) || mgos_mqtt_conn_num_unsent_bytes(client.conn) > 0) &&
           net_ms() < until) {
      usleep(1000);
    }
    assert_true(mgos_mqtt_conn_is_connected(client.conn));
    publish(&one);
    if (one.problem != NULL) fail_msg("publishing failed: %s", one.problem);
    assert_int_equal(wait_arrived(60), 60);
    assert_int_equal(arrived.wrong, 0);
    drive_stop(&driver);
  }
  /* What is still registered is taken back with the connection. */
  client_free(&client);
  assert_int_equal(chaos.destructors, chaos.added);
  client_create(&client, loop, broker.server, NULL); /* for the teardown */
}

/* -- the loop's calls inside handlers -- */

static struct { int stops, starts, wrong; } inside;

static void stops_its_loop(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  (void) ud;
  inside.wrong += mgos_mqtt_loop_poll(loop, 0) != MGOS_MQTT_BUSY;
  inside.wrong += mgos_mqtt_loop_process(loop) != MGOS_MQTT_BUSY;
  inside.wrong += mgos_mqtt_loop_poll(sink_loop, 0) != MGOS_MQTT_BUSY;
  inside.wrong += mgos_mqtt_loop_free(loop) != MGOS_MQTT_BUSY;
  (void) conn;
  inside.wrong += mgos_mqtt_loop_stop(loop) != 0;
  inside.stops++;
}

static void starts_its_loop(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
  inside.starts++;
  inside.wrong += mgos_mqtt_loop_start(loop) != 0;
}

static void restarts_its_loop(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  stops_its_loop(conn, ev, ud);
  starts_its_loop(conn, ev, ud);
}

/* An event whose handler is `fn`, driven by the calling thread or by the loop's. */
static void send_to_handler(mgos_mqtt_event_fn_t fn) {
  int64_t until = net_ms() + LONG_MS;
  long before = client_count(&client, PUBACK);
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_PUBACK, fn, &inside, NULL), 0);
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "self", mg_mk_str("x"), 1, false), 0);
  while (client_count(&client, PUBACK) == before && net_ms() < until) {
    int result = mgos_mqtt_loop_poll(loop, 10);
    assert_true(result == 0 || result == MGOS_MQTT_BUSY);
    if (result != 0) usleep(100);
  }
  assert_int_equal(client_count(&client, PUBACK), before + 1);
  assert_int_equal(mgos_mqtt_conn_off(client.conn, fn, &inside), 0);
}

static void start_and_stop_inside_handlers(void **state) {
  int threads;
  (void) state;
  memset(&inside, 0, sizeof(inside));
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, UP, 1));
  threads = net_entries("/proc/self/task");
  for (long i = 0; i < net_count(20); i++) {
    send_to_handler(starts_its_loop);                /* polled; goes on by its own thread */
    send_to_handler(restarts_its_loop);              /* another thread after the first */
    assert_int_equal(mgos_mqtt_loop_start(loop), 0); /* has one: nothing happens */
    send_to_handler(stops_its_loop);                 /* goes on by polling */
    assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
  }
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
  assert_true(net_wait_threads(threads));
  assert_int_equal(inside.wrong, 0);
  assert_int_equal(inside.starts, 2 * net_count(20));
  assert_int_equal(inside.stops, 2 * net_count(20));
}

/* -- two loops -- */

static struct {
  struct mgos_mqtt_conn *other;
  long left;
} table[2];

static void hit_back(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  long side = (long) (intptr_t) ud;
  (void) conn;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  if (--table[side].left < 0) return;
  /* Sent by the other connection, whose loop another thread drives. */
  if (mgos_mqtt_conn_pub(table[side].other, side == 0 ? "pong" : "ping", mg_mk_str("x"), 1, false) == 0) {
    table[side].left = -1000;
  }
}

static void two_loops(void **state) {
  const long n = net_count(500);
  (void) state;
  table[0].other = sink.conn;
  table[1].other = client.conn;
  table[0].left = table[1].left = n;
  /* Newest first: what counts a message comes after what answers it, and then nobody uses the other one. */
  client_subscribe(&client, "ping", 1);
  client_subscribe(&sink, "pong", 1);
  assert_int_equal(mgos_mqtt_conn_subscribe(client.conn, "ping", 1, hit_back, (void *) 0, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe(sink.conn, "pong", 1, hit_back, (void *) 1, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  assert_true(client_wait(&client, SUBACK, 1));
  assert_true(client_wait(&sink, SUBACK, 2));
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "ping", mg_mk_str("x"), 1, false), 0);
  assert_true(client_wait(&sink, MESSAGE, n));
  assert_true(client_wait(&client, MESSAGE, n));
  assert_int_equal(mgos_mqtt_loop_stop(loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(publish_with_an_own_thread),
      TEST(publish_with_a_polling_thread),
      TEST(publish_with_a_foreign_loop),
      TEST(publish_with_an_edge_triggered_foreign_loop),
      TEST(publish_with_four_polling_threads),
      TEST(the_mode_changes_under_traffic),
      TEST(everything_at_the_same_time),
      TEST(start_and_stop_inside_handlers),
      TEST(two_loops),
  };
  return cmocka_run_group_tests_name("threads", tests, group_setup, group_teardown);
}
