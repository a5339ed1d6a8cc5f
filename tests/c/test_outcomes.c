/*
 * Tokens and outcomes match one to one: many threads publish at every QoS through one connection, cancel and
 * wait at random, while the link to a real broker is cut again and again.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <mgos_mqtt_publish.h>

#include "broker.h"
#include "client.h"
#include "drive.h"
#include "net.h"

enum { THREADS = 8, OUTCOMES = MGOS_MQTT_OUTCOME_TIMED_OUT + 1 };

static struct broker broker;
static struct mgos_mqtt_loop *loop;
static struct client client;

/* One message, as its publisher sees it. */
struct sent {
  uint64_t token;
  int qos;
  int cancelled; /* what mgos_mqtt_conn_cancel() said, 1 if it was not called */
  int waited;    /* what a wait returned, 0 if there was none */
  int asked;     /* the outcome that was asked for later */
  /* What the message's own function was told; under the lock of `publisher`. */
  int told, outcome, error;
  uint64_t told_token;
  struct publisher *publisher;
};

struct publisher {
  pthread_t thread;
  pthread_mutex_t lock;
  uint32_t random;
  int count;
  struct sent *sent;
  long refused, wrong;
};

static struct publisher publishers[THREADS];
/* Told to the handler of the connection: how many, and how they ended. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  long all, ended[OUTCOMES];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Waits until so many outcomes were told, or the time is over; how many were. */
static long wait_told(long wanted, int64_t ms) {
  struct timespec until;
  long all;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += ms % 1000 * 1000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&told.lock);
  while (told.all < wanted && pthread_cond_timedwait(&told.changed, &told.lock, &until) == 0) {
  }
  all = told.all;
  pthread_mutex_unlock(&told.lock);
  return all;
}

static int group_setup(void **state) {
  pthread_condattr_t monotonic;
  (void) state;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&told.changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  broker_start(&broker, "max_inflight_messages 0\nmax_queued_messages 0");
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  broker_stop(&broker);
  return 0;
}

static uint32_t below(uint32_t *random, uint32_t limit) {
  *random ^= *random << 13;
  *random ^= *random >> 17;
  *random ^= *random << 5;
  return *random % limit;
}

static void on_done(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct sent *sent = ud;
  (void) c;
  pthread_mutex_lock(&sent->publisher->lock);
  sent->told++;
  sent->outcome = mgos_mqtt_event_outcome(ev);
  sent->error = mgos_mqtt_event_error(ev);
  sent->told_token = mgos_mqtt_event_token(ev);
  /* It is known before this can be called. */
  sent->publisher->wrong += sent->told_token != sent->token;
  pthread_mutex_unlock(&sent->publisher->lock);
}

static void on_outcome(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  int outcome = mgos_mqtt_event_outcome(ev);
  (void) c;
  (void) ud;
  pthread_mutex_lock(&told.lock);
  if (outcome > 0 && outcome < OUTCOMES) told.ended[outcome]++;
  told.all++;
  pthread_cond_signal(&told.changed);
  pthread_mutex_unlock(&told.lock);
}

static int publish(struct publisher *publisher, struct sent *sent) {
  struct mgos_mqtt_publication m;
  char topic[16] = "";
  memset(&m, 0, sizeof(m));
  snprintf(topic, sizeof(topic), "outcomes/%d", sent->qos);
  m.size = sizeof(m);
  m.topic = topic;
  m.payload = topic;
  m.payload_len = 1 + below(&publisher->random, sizeof(topic) - 1);
  m.qos = sent->qos;
  m.done = on_done;
  m.ud = sent;
  if (below(&publisher->random, 50) != 0) return mgos_mqtt_conn_publish(client.conn, &m, &sent->token);
  sent->waited = mgos_mqtt_conn_publish_wait(client.conn, &m, (int) below(&publisher->random, 20),
                                             (int) below(&publisher->random, 2), &sent->token);
  return sent->token == 0 ? sent->waited : 0;
}

static void *run_publisher(void *arg) {
  struct publisher *publisher = arg;
  int i = 0;
  while (i < publisher->count) {
    struct sent *sent = &publisher->sent[i];
    int error;
    memset(sent, 0, sizeof(*sent));
    sent->publisher = publisher;
    sent->qos = (int) below(&publisher->random, 3);
    sent->cancelled = 1;
    error = publish(publisher, sent);
    if (error == MGOS_MQTT_QUEUE_FULL || error == MGOS_MQTT_NOT_CONNECTED) {
      publisher->refused++;
      /* There is room again when an earlier one has ended. */
      if (i > 0) mgos_mqtt_conn_wait(client.conn, publisher->sent[i - 1].token, 5);
      continue;
    }
    if (error != 0) {
      publisher->wrong++;
      break;
    }
    if (below(&publisher->random, 10) == 0) sent->cancelled = mgos_mqtt_conn_cancel(client.conn, sent->token);
    if (below(&publisher->random, 50) == 0 && sent->waited == 0) {
      sent->waited = mgos_mqtt_conn_wait(client.conn, sent->token, (int) below(&publisher->random, 20));
    }
    if (i >= 10 && below(&publisher->random, 10) == 0) {
      struct sent *earlier = &publisher->sent[i - 1 - (int) below(&publisher->random, 10)];
      earlier->asked = mgos_mqtt_conn_outcome(client.conn, earlier->token);
    }
    i++;
  }
  return NULL;
}

/* What is wrong with how a message ended. */
static const char *fault(const struct sent *sent) {
  bool timed_out = sent->waited == MGOS_MQTT_TIMED_OUT;
  if (sent->told != 1) return sent->told == 0 ? "no outcome" : "more than one outcome";
  if (sent->told_token != sent->token) return "the outcome of another message";
  if (sent->waited > 0 && sent->waited != sent->outcome) return "the wait said something else";
  if (sent->waited < 0 && !timed_out && sent->waited != MGOS_MQTT_FORGOTTEN) return "the wait failed";
  if (sent->asked > 0 && sent->asked != sent->outcome) return "who asked was told something else";
  if (sent->asked < 0 && sent->asked != MGOS_MQTT_FORGOTTEN) return "who asked was told nothing";
  if (sent->cancelled == 0 && sent->outcome != MGOS_MQTT_OUTCOME_CANCELLED) return "cancelled, and not";
  switch (sent->outcome) {
    case MGOS_MQTT_OUTCOME_ACKED:
      return sent->qos > 0 && sent->error == 0 ? NULL : "acked";
    case MGOS_MQTT_OUTCOME_SENT:
      return sent->qos == 0 && sent->error == 0 ? NULL : "sent";
    case MGOS_MQTT_OUTCOME_DROPPED:
      return sent->qos == 0 && sent->error == MGOS_MQTT_NOT_CONNECTED ? NULL : "dropped";
    case MGOS_MQTT_OUTCOME_CANCELLED:
      return sent->qos > 0 && (sent->cancelled == 0 || timed_out) && sent->error == MGOS_MQTT_CANCELLED
                 ? NULL
                 : "cancelled";
    default:
      return mgos_mqtt_outcome_name(sent->outcome);
  }
}

static bool all_joined(bool joined[THREADS]) {
  int left = 0;
  for (int i = 0; i < THREADS; i++) {
    if (!joined[i]) joined[i] = pthread_tryjoin_np(publishers[i].thread, NULL) == 0;
    left += !joined[i];
  }
  return left == 0;
}

static void tokens_and_outcomes_match(enum way way, int messages) {
  struct mgos_mqtt_options options;
  struct mgos_config_mqtt config;
  struct driver driver;
  bool joined[THREADS] = {false};
  uint32_t random = 88172645;
  long cuts = 0, accepted = 0, refused = 0;
  char id[32];
  snprintf(id, sizeof(id), "outcomes-%d", (int) way);
  client_options(&options, &config, broker.server);
  config.client_id = id;
  config.clean_session = 0;
  config.reconnect_timeout_min = config.reconnect_timeout_max = 0.005;
  options.in_flight_window = 200;
  loop = mgos_mqtt_loop_create();
  client_create(&client, loop, NULL, &options);
  memset(told.ended, 0, sizeof(told.ended));
  told.all = 0;
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_OUTCOME, on_outcome, NULL, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  drive_start(&driver, loop, way);
  assert_true(client_wait(&client, UP, 1));

  for (int i = 0; i < THREADS; i++) {
    struct publisher *publisher = &publishers[i];
    memset(publisher, 0, sizeof(*publisher));
    pthread_mutex_init(&publisher->lock, NULL);
    publisher->random = 1 + (uint32_t) i;
    publisher->count = messages / THREADS;
    publisher->sent = calloc((size_t) publisher->count, sizeof(*publisher->sent));
    assert_non_null(publisher->sent);
    assert_int_equal(pthread_create(&publisher->thread, NULL, run_publisher, publisher), 0);
  }
  for (int64_t end = net_ms() + 4 * LONG_MS; !all_joined(joined) && net_ms() < end;) {
    /* Between two cuts some messages have to go through, however slow this machine is. */
    wait_told(wait_told(0, 0) + (long) below(&random, 500), 200);
    switch (below(&random, 3)) {
      case 0:
        mgos_mqtt_conn_reconnect(client.conn);
        break;
      case 1:
        mgos_mqtt_conn_disconnect(client.conn);
        break;
      default:
        mgos_mqtt_conn_abort(client.conn);
    }
    mgos_mqtt_conn_connect(client.conn);
    cuts++;
  }
  assert_true(all_joined(joined));
  assert_int_equal(mgos_mqtt_conn_flush(client.conn, (int) LONG_MS), 0);
  /* Those who are told are told a moment later than those who wait. */
  for (int i = 0; i < THREADS; i++) accepted += publishers[i].count;
  wait_told(accepted, LONG_MS);
  drive_stop(&driver);

  for (int i = 0; i < THREADS; i++) {
    struct publisher *publisher = &publishers[i];
    assert_int_equal(publisher->wrong, 0);
    refused += publisher->refused;
    for (int n = 0; n < publisher->count; n++) {
      const char *what = fault(&publisher->sent[n]);
      if (what != NULL) fail_msg("thread %d, message %d, QoS %d: %s", i, n, publisher->sent[n].qos, what);
    }
  }
  assert_int_equal(told.all, accepted);
  printf("%s: %ld messages, %ld cuts, %ld refused for the moment:", WAY_NAMES[way], accepted, cuts, refused);
  for (int i = 1; i < OUTCOMES; i++) printf(" %s %ld", mgos_mqtt_outcome_name(i), told.ended[i]);
  printf("\n");
  assert_true(told.ended[MGOS_MQTT_OUTCOME_ACKED] > 0 && told.ended[MGOS_MQTT_OUTCOME_SENT] > 0);
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  for (int i = 0; i < THREADS; i++) {
    pthread_mutex_destroy(&publishers[i].lock);
    free(publishers[i].sent);
  }
}

static void with_a_thread(void **state) {
  (void) state;
  tokens_and_outcomes_match(OWN_THREAD, net_count(100000));
}

static void while_polled(void **state) {
  (void) state;
  tokens_and_outcomes_match(POLLING, net_count(8000));
}

static void in_a_foreign_loop(void **state) {
  (void) state;
  tokens_and_outcomes_match(FOREIGN_EDGE, net_count(8000));
}

/* Nobody drives but those who wait. */
static void by_those_who_wait(void **state) {
  struct mgos_mqtt_publication m = {.size = sizeof(m), .topic = "alone", .payload = "x", .payload_len = 1};
  (void) state;
  loop = mgos_mqtt_loop_create();
  client_create(&client, loop, broker.server, NULL);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  for (m.qos = 1; m.qos <= 2; m.qos++) {
    assert_int_equal(mgos_mqtt_conn_publish_wait(client.conn, &m, (int) LONG_MS, MGOS_MQTT_KEEP, NULL),
                     MGOS_MQTT_OUTCOME_ACKED);
    assert_int_equal(mgos_mqtt_conn_publish(client.conn, &m, NULL), 0);
    assert_int_equal(mgos_mqtt_conn_flush(client.conn, (int) LONG_MS), 0);
  }
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(by_those_who_wait),
      cmocka_unit_test(while_polled),
      cmocka_unit_test(in_a_foreign_loop),
      cmocka_unit_test(with_a_thread),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
