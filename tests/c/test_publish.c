/* How a publish ended: by callback, by waiting, by asking; each outcome once, and to the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_stats.h>
#include <pthread.h>
#include "peer.h"

/* A message and who is told of it. */
struct job {
  struct client *client;
  const char *name;
  void (*also)(struct job *job);
  uint64_t token;
  int told;
};

#define JOB(client, name) \
  { client, name, NULL, 0, 0 }

static void on_done(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct job *job = ud;
  int error = mgos_mqtt_event_error(ev);
  job->told++;
  /* No assertions in here: they would jump over the library. */
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_OUTCOME) trace(job->client, "wrong kind");
  if (mgos_mqtt_event_token(ev) != job->token) trace(job->client, "wrong token");
  trace(job->client, "%s:%s%s%s", job->name, mgos_mqtt_outcome_name(mgos_mqtt_event_outcome(ev)),
        error == 0 ? "" : ":", error == 0 ? "" : mgos_mqtt_error_name(error) + strlen("MGOS_MQTT_"));
  if (c != job->client->c) trace(job->client, "wrong connection");
  if (job->also != NULL) job->also(job);
}

static struct mgos_mqtt_publication message(const char *topic, int qos) {
  struct mgos_mqtt_publication message;
  memset(&message, 0, sizeof(message));
  message.size = sizeof(message);
  message.topic = topic;
  message.payload = "x";
  message.payload_len = 1;
  message.qos = qos;
  return message;
}

/* Publishes to the topic `job->name`; `on_done` is told. */
static int publish(struct job *job, int qos) {
  struct mgos_mqtt_publication m = message(job->name, qos);
  m.done = on_done;
  m.ud = job;
  return mgos_mqtt_conn_publish(job->client->c, &m, &job->token);
}

static void publish_and_drop_link(struct client *client) {
  peer_close(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
}

/* -- by callback ------------------------------------------------------------------------------------ */

/* proves: MG-39 NM-38 NM-39 EI-05 */
static void each_message_has_a_callback_of_its_own(void **state) {
  struct client *client = *state;
  struct job a = JOB(client, "a"), b = JOB(client, "b"), c = JOB(client, "c"), d = JOB(client, "d");
  client_up(client);
  assert_int_equal(publish(&a, 1), 0);
  assert_int_equal(publish(&b, 1), 0);
  assert_int_equal(publish(&c, 2), 0);
  assert_true(a.token != 0 && a.token != b.token && b.token != c.token);
  peer_expect(client->peer, "32 @ ='a' 0001 'x'; 32 @ ='b' 0002 'x'; 34 @ ='c' 0003 'x'");
  /* Not in the order in which they were sent. */
  peer_send(client->peer, "40 02 0002; 50 02 0003");
  peer_expect(client->peer, "62 02 0003");
  expect_trace(client, "b:acked ");
  peer_send(client->peer, "70 02 0003; 40 02 0001");
  expect_trace(client, "c:acked a:acked ");
  assert_int_equal(publish(&d, 0), 0);
  expect_trace(client, "d:sent ");
  peer_expect(client->peer, "30 @ ='d' 'x'");
  peer_done(client->peer, client->loop);
  assert_int_equal(a.told + b.told + c.told + d.told, 4);
}

/* proves: EI-18 EI-25 */
static void free_ends_what_is_outstanding(void **state) {
  struct client *client = *state;
  struct job waits = JOB(client, "waits"), flies = JOB(client, "flies");
  struct mgos_mqtt_publication nobody = message("nobody", 1);
  client_up(client);
  assert_int_equal(publish(&flies, 2), 0);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  publish_and_drop_link(client);
  mgos_mqtt_conn_disconnect(client->c);
  assert_int_equal(publish(&waits, 1), 0);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &nobody, NULL), 0);
  assert_string_equal(client->trace, "");
  mgos_mqtt_conn_free(client->c);
  assert_string_equal(client->trace, "flies:cancelled:INCOMPLETE waits:cancelled:INCOMPLETE ");
  client->c = NULL;
}

static void on_any_outcome(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct client *client = ud;
  (void) c;
  trace(client, "%s#%u", mgos_mqtt_outcome_name(mgos_mqtt_event_outcome(ev)),
        (unsigned) mgos_mqtt_event_packet_id(ev));
}

static void a_handler_of_the_connection_hears_of_all(void **state) {
  struct client *client = *state;
  struct job own = JOB(client, "own");
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_OUTCOME, on_any_outcome, client, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 1);
  assert_int_equal(publish(&own, 1), 0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 3);
  expect_trace(client, "sent#3 ");
  peer_expect(client->peer, "32 @ ='t' 0001 'x'; 32 @ ='own' 0002 'x'; 30 @ ='t' 'x'");
  peer_send(client->peer, "40 02 0002; 40 02 0001");
  expect_trace(client, "own:acked acked#2 acked#1 ");
  assert_int_equal(mgos_mqtt_conn_off(client->c, on_any_outcome, client), 0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false), 4);
  peer_expect(client->peer, "30 @ ='t' 'x'");
  peer_done(client->peer, client->loop);
  settle(client);
  expect_trace(client, "");
}

static void publish_another(struct job *job) {
  if (job->told < 3 && publish(job, 1) != 0) trace(job->client, "refused");
}

static void free_connection(struct job *job) {
  struct mgos_mqtt_conn *c = job->client->c;
  struct mgos_mqtt_publication m = message("w", 1);
  /* No waiting in here, and nothing was accepted. */
  if (mgos_mqtt_conn_publish_wait(c, &m, 1000, MGOS_MQTT_KEEP, NULL) != MGOS_MQTT_BUSY ||
      mgos_mqtt_conn_wait(c, job->token, 1000) != MGOS_MQTT_BUSY ||
      mgos_mqtt_conn_flush(c, 1000) != MGOS_MQTT_BUSY ||
      mgos_mqtt_conn_outcome(c, job->token) != MGOS_MQTT_OUTCOME_ACKED) {
    trace(job->client, "wrong");
  }
  mgos_mqtt_conn_free(c);
}

/* proves: EI-43 */
static void everything_is_allowed_in_a_callback(void **state) {
  struct client *client = *state;
  struct job again = JOB(client, "again"), last = JOB(client, "last"), left = JOB(client, "left");
  again.also = publish_another;
  client_up(client);
  assert_int_equal(publish(&again, 1), 0);
  peer_expect(client->peer, "32 @ ='again' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  peer_expect(client->peer, "32 @ ='again' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  peer_expect(client->peer, "32 @ ='again' 0003 'x'");
  peer_send(client->peer, "40 02 0003");
  expect_trace(client, "again:acked again:acked again:acked ");
  last.also = free_connection;
  assert_int_equal(publish(&last, 1), 0);
  assert_int_equal(publish(&left, 1), 0);
  peer_expect(client->peer, "32 @ ='last' 0004 'x'; 32 @ ='left' 0005 'x'");
  peer_send(client->peer, "40 02 0004");
  peer_expect(client->peer, "e0 00");
  peer_done(client->peer, client->loop);
  expect_trace(client, "last:acked left:cancelled:INCOMPLETE ");
  client->c = NULL;
}

/* -- the other outcomes ----------------------------------------------------------------------------- */

/* proves: EI-19 */
static void a_full_queue_drops_the_oldest_or_refuses_the_newest(void **state) {
  struct client *client = *state;
  struct job a = JOB(client, "a"), b = JOB(client, "b"), c = JOB(client, "c");
  client->cfg.max_queue_length = 1;
  client_renew(client);
  assert_int_equal(publish(&a, 1), 0);
  assert_int_equal(publish(&b, 1), MGOS_MQTT_QUEUE_FULL);
  client->options.overflow = 1;
  client_renew(client);
  assert_string_equal(client->trace, "a:cancelled:INCOMPLETE ");
  client->trace[0] = '\0';
  assert_int_equal(publish(&a, 1), 0);
  assert_int_equal(publish(&b, 1), 0);
  expect_trace(client, "a:dropped:QUEUE_FULL ");
  assert_int_equal(publish(&c, 0), MGOS_MQTT_NOT_CONNECTED);
  assert_int_equal(b.told + c.told, 0);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, b.token), 0);
  expect_trace(client, "b:cancelled:CANCELLED ");
}

static void qos_0_is_dropped_with_its_link(void **state) {
  struct client *client = *state;
  struct job big = JOB(client, "big");
  static char payload[8 << 20];
  struct mgos_mqtt_publication m = message("big", 0);
  client->options.max_outgoing_bytes = sizeof(payload) + 1000;
  client_renew(client);
  client_up(client);
  /* More than the system takes from us: nobody reads it. */
  m.payload = payload;
  m.payload_len = sizeof(payload);
  m.done = on_done;
  m.ud = &big;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &big.token), 0);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, big.token), MGOS_MQTT_OUTCOME_PENDING);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, big.token), MGOS_MQTT_ALREADY_SENT);
  peer_reset(client->peer);
  expect_trace(client, "big:dropped:NOT_CONNECTED ");
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, big.token), MGOS_MQTT_OUTCOME_DROPPED);
  mgos_mqtt_conn_disconnect(client->c);
}

static void a_lost_session_is_told_if_that_is_asked_for(void **state) {
  struct client *client = *state;
  struct job sent = JOB(client, "sent"), unsent = JOB(client, "unsent");
  client->options.on_session_loss = 1;
  client->options.in_flight_window = 1;
  client_renew(client);
  client_up(client);
  assert_int_equal(publish(&sent, 1), 0);
  assert_int_equal(publish(&unsent, 1), 0);
  peer_expect(client->peer, "32 @ ='sent' 0001 'x'");
  publish_and_drop_link(client);
  peer_greet(client->peer);
  peer_expect(client->peer, "32 @ ='unsent' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  expect_trace(client, "sent:lost:SESSION_LOST unsent:acked ");
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, sent.token), MGOS_MQTT_OUTCOME_LOST);
}

static void what_is_not_sent_in_time_expires(void **state) {
  struct client *client = *state;
  struct job soon = JOB(client, "soon"), late = JOB(client, "late");
  struct mgos_mqtt_publication m = message("soon", 1);
  m.done = on_done;
  m.ud = &soon;
  m.expires_ms = 20;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &soon.token), 0);
  m.topic = "late";
  m.ud = &late;
  m.expires_ms = 3600 * 1000;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &late.token), 0);
  expect_trace(client, "soon:expired:EXPIRED ");
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, soon.token), MGOS_MQTT_OUTCOME_EXPIRED);
  client_up(client);
  peer_expect(client->peer, "32 @ ='late' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  expect_trace(client, "late:acked ");
}

/* proves: EI-44x */
static void cancel_reaches_what_is_not_on_its_way(void **state) {
  struct client *client = *state;
  struct job first = JOB(client, "first"), second = JOB(client, "second");
  uint64_t token;
  client->options.in_flight_window = 1;
  client_renew(client);
  client_up(client);
  assert_int_equal(publish(&first, 1), 0);
  assert_int_equal(publish(&second, 1), 0);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, first.token), MGOS_MQTT_ALREADY_SENT);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, second.token), 0);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, second.token), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, 12345), MGOS_MQTT_NOT_FOUND);
  expect_trace(client, "second:cancelled:CANCELLED ");
  /* The mgos face has tokens, too. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "third", mg_mk_str("x"), 1, false), 2);
  token = mgos_mqtt_conn_token(client->c, 2);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, token), MGOS_MQTT_OUTCOME_PENDING);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, token), 0);
  assert_int_equal(mgos_mqtt_conn_token(client->c, 2), 0);
  peer_expect(client->peer, "32 @ ='first' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  expect_trace(client, "first:acked ");
  settle(client); /* nothing else was sent */
}

/* -- by asking -------------------------------------------------------------------------------------- */

static void outcomes_are_remembered_as_long_as_asked_for(void **state) {
  struct client *client = *state;
  uint64_t tokens[4];
  uint16_t id;
  int i;
  client->options.outcome_history = 2;
  client_renew(client);
  client_up(client);
  id = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
  tokens[0] = mgos_mqtt_conn_token(client->c, id);
  assert_true(tokens[0] != 0);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, tokens[0]), MGOS_MQTT_OUTCOME_PENDING);
  for (i = 1; i < 4; i++) {
    struct mgos_mqtt_publication m = message("t", 0);
    assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &tokens[i]), 0);
  }
  UNTIL(client->loop, mgos_mqtt_conn_outcome(client->c, tokens[3]) == MGOS_MQTT_OUTCOME_SENT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, tokens[2]), MGOS_MQTT_OUTCOME_SENT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, tokens[1]), MGOS_MQTT_FORGOTTEN);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, tokens[1], 0), MGOS_MQTT_FORGOTTEN);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, tokens[0]), MGOS_MQTT_OUTCOME_PENDING);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, 0), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, tokens[3] + 1000), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, UINT64_MAX, 0), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_token(client->c, 9), 0);
  peer_expect(client->peer, "32 @ ='t' 0001 'x'; 30 @ ='t' 'x'; 30 @ ='t' 'x'; 30 @ ='t' 'x'");
  peer_send(client->peer, "40 02 0001");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_outcome(client->c, tokens[0]) == MGOS_MQTT_OUTCOME_ACKED);
}

/* -- by waiting ------------------------------------------------------------------------------------- */

/* proves: ZY-23 ZY-24 EI-05 */
static void publish_waits_for_the_last_acknowledgement(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_publication m = message("t", 0);
  uint64_t token = 0;
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 10000, MGOS_MQTT_KEEP, &token),
                   MGOS_MQTT_OUTCOME_SENT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, token), MGOS_MQTT_OUTCOME_SENT);
  peer_expect(client->peer, "30 @ ='t' 'x'; 32 @ ='t' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  m.qos = 1;
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 10000, MGOS_MQTT_KEEP, NULL),
                   MGOS_MQTT_OUTCOME_ACKED);
  peer_expect(client->peer, "34 @ ='t' 0002 'x'");
  peer_send(client->peer, "50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  m.qos = 2;
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, -1, MGOS_MQTT_KEEP, &token),
                   MGOS_MQTT_OUTCOME_ACKED);
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, token, 0), MGOS_MQTT_OUTCOME_ACKED);
}

/* proves: ZY-07 ZY-25 ZY-26 EI-11 */
static void a_wait_that_is_over_keeps_or_cancels(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_publication m = message("flies", 1);
  uint64_t flies, kept;
  struct job told = JOB(client, "cancelled");
  client->options.in_flight_window = 1;
  client_renew(client);
  client_up(client);
  /* On its way: it can only be waited for. */
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 1, MGOS_MQTT_CANCEL, &flies),
                   MGOS_MQTT_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, flies), MGOS_MQTT_OUTCOME_PENDING);
  m.topic = "kept";
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 0, MGOS_MQTT_KEEP, &kept), MGOS_MQTT_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, kept), MGOS_MQTT_OUTCOME_PENDING);
  m.topic = told.name;
  m.done = on_done;
  m.ud = &told;
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 1, MGOS_MQTT_CANCEL, &told.token),
                   MGOS_MQTT_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, told.token), MGOS_MQTT_OUTCOME_CANCELLED);
  expect_trace(client, "cancelled:cancelled:CANCELLED ");
  peer_expect(client->peer, "32 @ ='flies' 0001 'x'");
  peer_send(client->peer, "40 02 0001");
  peer_expect(client->peer, "32 @ ='kept' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  assert_int_equal(mgos_mqtt_conn_wait(client->c, kept, 10000), MGOS_MQTT_OUTCOME_ACKED);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, flies, 10000), MGOS_MQTT_OUTCOME_ACKED);
  peer_done(client->peer, client->loop);
}

static void flush_waits_for_all_that_was_accepted_before(void **state) {
  struct client *client = *state;
  struct job one = JOB(client, "one"), two = JOB(client, "two");
  assert_int_equal(mgos_mqtt_conn_flush(client->c, 0), 0); /* there is nothing */
  assert_int_equal(publish(&one, 1), 0);
  assert_int_equal(mgos_mqtt_conn_flush(client->c, 1), MGOS_MQTT_TIMED_OUT);
  client_up(client);
  assert_int_equal(publish(&two, 2), 0);
  peer_expect(client->peer, "32 @ ='one' 0001 'x'; 34 @ ='two' 0002 'x'");
  peer_send(client->peer, "40 02 0001; 50 02 0002");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  assert_int_equal(mgos_mqtt_conn_flush(client->c, 10000), 0);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, one.token), MGOS_MQTT_OUTCOME_ACKED);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, two.token), MGOS_MQTT_OUTCOME_ACKED);
  peer_done(client->peer, client->loop);
  expect_trace(client, "one:acked two:acked ");
}

struct waiting {
  struct client *client;
  uint64_t token;
  int result;
};

static void *wait_for_ever(void *arg) {
  struct waiting *waiting = arg;
  waiting->result = mgos_mqtt_conn_wait(waiting->client->c, waiting->token, -1);
  return NULL;
}

/* Outcomes that nobody could ask for any more still reach who waits for them. */
static void waiters_are_told_whatever_is_forgotten(void **state) {
  struct client *client = *state;
  struct waiting waiting[3];
  pthread_t threads[3];
  int i;
  client->options.outcome_history = -1;
  client_renew(client);
  client_up(client);
  assert_int_equal(mgos_mqtt_loop_start(client->loop), 0);
  for (i = 0; i < 3; i++) {
    struct mgos_mqtt_publication m = message("t", 1);
    waiting[i].client = client;
    waiting[i].result = 0;
    assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &waiting[i].token), 0);
    assert_int_equal(pthread_create(&threads[i], NULL, wait_for_ever, &waiting[i]), 0);
  }
  peer_expect(client->peer, "32 @ ='t' 0001 'x'; 32 @ ='t' 0002 'x'; 32 @ ='t' 0003 'x'");
  /* A thread that comes to wait after its outcome would find it forgotten: see that they wait. */
  while (mgos_mqtt_conn_wait(client->c, waiting[2].token, 20) != MGOS_MQTT_TIMED_OUT) {
  }
  peer_send(client->peer, "40 02 0003; 40 02 0001; 40 02 0002");
  for (i = 0; i < 3; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(waiting[i].result == MGOS_MQTT_OUTCOME_ACKED);
    assert_int_equal(mgos_mqtt_conn_outcome(client->c, waiting[i].token), MGOS_MQTT_FORGOTTEN);
  }
  assert_int_equal(mgos_mqtt_loop_stop(client->loop), 0);
  peer_done(client->peer, client->loop);
}

static void waiting_ends_with_the_connection(void **state) {
  struct client *client = *state;
  struct waiting waiting = {client, 0, 0};
  struct mgos_mqtt_publication m = message("t", 1);
  pthread_t thread;
  assert_int_equal(mgos_mqtt_loop_start(client->loop), 0);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &waiting.token), 0);
  assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &waiting), 0);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, waiting.token, 20), MGOS_MQTT_TIMED_OUT);
  mgos_mqtt_conn_free(client->c);
  assert_int_equal(pthread_join(thread, NULL), 0);
  /* The other one if it came too late to wait at all. */
  assert_true(waiting.result == MGOS_MQTT_INCOMPLETE || waiting.result == MGOS_MQTT_BAD_ARGUMENT);
  client->c = NULL;
}

/* Limits hold at once: a window that is raised lets out what waited for it, without any acknowledgement. */
static void a_raised_window_sends_what_waits(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_publication m = message("t", 1);
  client->options.in_flight_window = 1;
  client_renew(client);
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, NULL), 0);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_done(client->peer, client->loop);
  client->options.in_flight_window = 2;
  client->options.profiles = NULL;
  client->options.num_profiles = 0;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), 0);
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_done(client->peer, client->loop);
}

/* -- arguments -------------------------------------------------------------------------------------- */

/* proves: EI-12 EI-13 EI-15 EI-16 ZY-08 */
static void mistakes_are_named_and_nothing_is_accepted(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_publication good = message("t", 1), m = good;
  struct {
    struct mgos_mqtt_publication known;
    char more[8];
  } later;
  uint64_t token = 7;
#define REFUSED(code)                                                                               \
  do {                                                                                              \
    assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, NULL), code);                            \
    assert_int_equal(mgos_mqtt_conn_publish(client->c, &m, &token), code);                          \
    assert_int_equal(token, 0);                                                                     \
    token = 7;                                                                                      \
    assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, -1, MGOS_MQTT_KEEP, &token), code); \
    assert_int_equal(token, 0);                                                                     \
    assert_int_equal(mgos_mqtt_last_error(), code);                                                 \
    m = good;                                                                                       \
    token = 7;                                                                                      \
  } while (0)
  m.size = 0;
  REFUSED(MGOS_MQTT_BAD_STRUCTURE);
  /* Shorter than it has ever been. */
  m.size = offsetof(struct mgos_mqtt_publication, properties) - 1;
  REFUSED(MGOS_MQTT_BAD_STRUCTURE);
  m.topic = NULL;
  REFUSED(MGOS_MQTT_NULL_ARGUMENT);
  m.topic = "a/+";
  REFUSED(MGOS_MQTT_BAD_TOPIC);
  m.topic = "";
  REFUSED(MGOS_MQTT_BAD_TOPIC);
  m.topic = "\xff";
  REFUSED(MGOS_MQTT_BAD_UTF8);
  m.payload = NULL;
  REFUSED(MGOS_MQTT_NULL_ARGUMENT);
  m.qos = 3;
  REFUSED(MGOS_MQTT_BAD_QOS);
  m.qos = -1;
  REFUSED(MGOS_MQTT_BAD_QOS);
  m.payload_len = (size_t) 268435456;
  m.payload = calloc(1, m.payload_len);
  assert_non_null(m.payload);
  {
    void *payload = (void *) m.payload;
    REFUSED(MGOS_MQTT_TOO_LARGE);
    free(payload);
  }
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, 0, 2, NULL), MGOS_MQTT_BAD_ARGUMENT);
  /* A later version of the structure is longer; what it has more may not be asked for here. */
  memset(&later, 0, sizeof(later));
  later.known = good;
  later.known.size = sizeof(later);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &later.known, &token), 0);
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, token), MGOS_MQTT_OUTCOME_PENDING);
  later.more[7] = 1;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &later.known, &token), MGOS_MQTT_BAD_STRUCTURE);
  assert_int_equal(token, 0);
  assert_string_equal(mgos_mqtt_outcome_name(-1), "unknown");
  assert_string_equal(mgos_mqtt_outcome_name(9), "unknown");
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

static void on_poison(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t len;
  const char *topic = mgos_mqtt_event_topic(ev, &len);
  (void) c;
  trace(ud, "poison:%.*s:%u:%d:%s", (int) len, topic, mgos_mqtt_event_packet_id(ev), mgos_mqtt_event_attempt(ev),
        mgos_mqtt_event_error(ev) == 0 ? "sent again" : "set aside");
}

/* field: F-65
 *
 * A message for which the server closes the connection each time is named after three, and set aside if that is wanted:
 * the one behind it arrives. */
static void a_message_that_the_server_closes_for(void **state) {
  struct client *client = *state;
  struct job bad = JOB(client, "bad"), good = JOB(client, "good");
  int closes;
  client->cfg.clean_session = 0;
  client->options.poison_after = 4;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_POISON, on_poison, client, NULL), 0);
  client_up(client);
  assert_int_equal(publish(&bad, 1), 0);
  assert_int_equal(publish(&good, 1), 0);
  peer_expect(client->peer, "32 @ ='bad' 0001 'x'; 32 @ ='good' 0002 'x'");
  for (closes = 1; closes <= 4; closes++) {
    peer_close(client->peer);
    peer_accept(client->peer);
    peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
    peer_send(client->peer, "20 02 01 00");
    if (closes < 4) peer_expect(client->peer, "3a @ ='bad' 0001 'x'");
    if (closes < 2) peer_expect(client->peer, "3a @ ='good' 0002 'x'");
    peer_done(client->peer, client->loop);
  }
  peer_expect(client->peer, "3a @ ='good' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  expect_trace(client, "poison:bad:1:3:sent again poison:bad:1:4:set aside bad:rejected:PUBLISH_REFUSED good:acked ");
}

/* A message that is not acknowledged in time ends once, for everybody who wants to know; its packet id stays in use, and
 * it is sent again to a session that was kept. */
static void a_server_that_never_acknowledges(void **state) {
  struct client *client = *state;
  struct job one = JOB(client, "one"), two = JOB(client, "two");
  struct mgos_mqtt_stats stats;
  client->cfg.clean_session = 0;
  client->options.ack_timeout_ms = 50;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_OUTCOME, on_any_outcome, client, NULL), 0);
  client_up(client);
  assert_int_equal(publish(&one, 1), 0);
  peer_expect(client->peer, "32 @ ='one' 0001 'x'");
  expect_trace(client, "one:timed out:ACK_TIMEOUT timed out#1 ");
  assert_int_equal(publish(&two, 2), 0);
  peer_expect(client->peer, "34 @ ='two' 0002 'x'");
  expect_trace(client, "two:timed out:ACK_TIMEOUT timed out#2 ");
  /* The face of Mongoose OS, which has the packet id. */
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 3);
  peer_expect(client->peer, "32 @ ='t' 0003 'x'");
  expect_trace(client, "timed out#3 ");
  assert_int_equal(mgos_mqtt_conn_token(client->c, 3), 0);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_outcome(client->c, one.token), MGOS_MQTT_OUTCOME_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_cancel(client->c, one.token), MGOS_MQTT_NOT_FOUND);
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00");
  peer_expect(client->peer, "3a @ ='one' 0001 'x'; 3c @ ='two' 0002 'x'; 3a @ ='t' 0003 'x'");
  peer_send(client->peer, "40 02 0001; 50 02 0002; 40 02 0003");
  peer_expect(client->peer, "62 02 0002");
  peer_send(client->peer, "70 02 0002");
  peer_done(client->peer, client->loop);
  settle(client);
  expect_trace(client, "");
  memset(&stats, 0, sizeof(stats));
  stats.size = sizeof(stats);
  assert_int_equal(mgos_mqtt_conn_stats(client->c, &stats), 0);
  assert_int_equal(stats.publishes_timed_out, 3);
  assert_int_equal(stats.late_acks, 3);
  assert_int_equal(stats.publishes_acked + stats.in_flight + stats.queued_messages, 0);
}

static void waits_for_a_server_that_never_acknowledges(void **state) {
  struct client *client = *state;
  struct job job = JOB(client, "a");
  struct mgos_mqtt_publication m = message("b", 2);
  uint64_t token;
  client->options.ack_timeout_ms = 50;
  client_renew(client);
  client_up(client);
  assert_int_equal(publish(&job, 1), 0);
  assert_int_equal(mgos_mqtt_conn_flush(client->c, TEST_DEADLINE_MS), 0);
  expect_trace(client, "a:timed out:ACK_TIMEOUT ");
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &m, TEST_DEADLINE_MS, MGOS_MQTT_CANCEL, &token),
                   MGOS_MQTT_OUTCOME_TIMED_OUT);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, token, TEST_DEADLINE_MS), MGOS_MQTT_OUTCOME_TIMED_OUT);
  peer_expect(client->peer, "32 @ ='a' 0001 'x'; 34 @ ='b' 0002 'x'");
  /* After PUBREC it is not given up. */
  assert_int_equal(publish(&job, 2), 0);
  peer_expect(client->peer, "34 @ ='a' 0003 'x'");
  peer_send(client->peer, "50 02 0003");
  peer_expect(client->peer, "62 02 0003");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_wait(client->c, job.token, 200), MGOS_MQTT_TIMED_OUT);
  peer_send(client->peer, "70 02 0003");
  expect_trace(client, "a:acked ");
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_done(client->peer, client->loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(each_message_has_a_callback_of_its_own),
      WITH_CLIENT(a_message_that_the_server_closes_for),
      WITH_CLIENT(a_server_that_never_acknowledges),
      WITH_CLIENT(waits_for_a_server_that_never_acknowledges),
      WITH_CLIENT(free_ends_what_is_outstanding),
      WITH_CLIENT(a_handler_of_the_connection_hears_of_all),
      WITH_CLIENT(everything_is_allowed_in_a_callback),
      WITH_CLIENT(a_full_queue_drops_the_oldest_or_refuses_the_newest),
      WITH_CLIENT(qos_0_is_dropped_with_its_link),
      WITH_CLIENT(a_lost_session_is_told_if_that_is_asked_for),
      WITH_CLIENT(what_is_not_sent_in_time_expires),
      WITH_CLIENT(cancel_reaches_what_is_not_on_its_way),
      WITH_CLIENT(outcomes_are_remembered_as_long_as_asked_for),
      WITH_CLIENT(publish_waits_for_the_last_acknowledgement),
      WITH_CLIENT(a_wait_that_is_over_keeps_or_cancels),
      WITH_CLIENT(flush_waits_for_all_that_was_accepted_before),
      WITH_CLIENT(waiters_are_told_whatever_is_forgotten),
      WITH_CLIENT(waiting_ends_with_the_connection),
      WITH_CLIENT(a_raised_window_sends_what_waits),
      WITH_CLIENT(mistakes_are_named_and_nothing_is_accepted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
