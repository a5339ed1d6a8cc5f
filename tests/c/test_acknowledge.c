/*
 * When a message is acknowledged: never before its handler has returned, later if the handler says so, in the
 * order of the messages; what becomes of messages that are refused, and of those that are too large.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <mgos_mqtt_receive.h>

#include "drive.h"
#include "peer.h"

/* -- not before the handler has returned --------------------------------------------------------------- */

enum { MESSAGES = 5, PROBE = 100000 };

/* A handler that goes on when it is told to, and the peer that watches the wire meanwhile. */
struct gate {
  struct mgos_mqtt_conn *c;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int entered, let_go, qos;
  bool deferred; /* the handler defers, and a third thread acknowledges while it is still running */
  uint64_t number;
  int acked;
};

/* Returns in any case; whoever waited in vain finds out by what is missing then. */
static void gate_wait(struct gate *gate, const int *value, int wanted) {
  struct timespec until;
  int failed = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += TEST_DEADLINE_MS / 1000;
  pthread_mutex_lock(&gate->lock);
  while (*value < wanted && failed == 0) {
    failed = pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
  }
  pthread_mutex_unlock(&gate->lock);
}

static void gate_set(struct gate *gate, int *value, int to) {
  pthread_mutex_lock(&gate->lock);
  *value = to;
  pthread_cond_broadcast(&gate->changed);
  pthread_mutex_unlock(&gate->lock);
}

static void at_the_gate(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct gate *gate = ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  if (gate->deferred) gate->number = mgos_mqtt_msg_defer(c);
  gate_set(gate, &gate->entered, gate->entered + 1);
  gate_wait(gate, &gate->let_go, gate->entered);
}

/* Each time the handler waits, the client is made to write all that it has, and nothing of it may be the
   acknowledgement of this message or of a later one. */
static bool watch(struct peer *p, void *arg) {
  static char probe[PROBE];
  struct gate *gate = arg;
  struct peer_packet packet;
  struct mg_str text = MG_MK_STR_N(probe, sizeof(probe));
  int acked = 0, i;
  for (i = 1; i <= MESSAGES; i++) {
    gate_wait(gate, &gate->entered, i);
    if (gate->deferred) {
      /* Once; and not in place of the handler, which is still running. */
      if (mgos_mqtt_msg_ack(gate->c, gate->number) != 0) return false;
      if (mgos_mqtt_msg_ack(gate->c, gate->number) != MGOS_MQTT_NOT_FOUND) return false;
    }
    /* More than is collected for the end of the round: it is written at once, behind everything else. */
    mgos_mqtt_conn_pub(gate->c, "probe", text, 0, false);
    for (;;) {
      if (!peer_packet(p, &packet)) return false;
      if (packet.type == MG_MQTT_CMD_PUBLISH) break;
      if (packet.type != (gate->qos == 1 ? MG_MQTT_CMD_PUBACK : MG_MQTT_CMD_PUBREC)) return false;
      if (packet.id != ++acked || acked >= i) return false;
    }
    if (acked != i - 1 || !peer_silent(p)) return false;
    gate_set(gate, &gate->let_go, i);
  }
  return peer_packet(p, &packet) && packet.id == MESSAGES;
}

/* proves: MG-57x */
static void never_on_the_wire_before_the_handler_returned(void **state) {
  int way, qos, deferred;
  (void) state;
  for (way = 0; way < WAYS; way++) {
    for (qos = 1; qos <= 2; qos++) {
      for (deferred = 0; deferred <= 1; deferred++) {
        struct client *client;
        struct driver driver;
        struct gate gate;
        int i;
        char segment[256] = "";
        assert_int_equal(client_setup((void **) &client), 0);
        memset(&gate, 0, sizeof(gate));
        pthread_mutex_init(&gate.lock, NULL);
        pthread_cond_init(&gate.changed, NULL);
        gate.c = client->c;
        gate.qos = qos;
        gate.deferred = deferred;
        mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, at_the_gate, &gate, NULL);
        client_up(client);
        /* All of them in one segment. */
        for (i = 1; i <= MESSAGES; i++) {
          snprintf(segment + strlen(segment), sizeof(segment) - strlen(segment), "3%d @ ='t' 000%d 'x';",
                   qos * 2, i);
        }
        peer_send(client->peer, segment);
        peer_run(client->peer, watch, &gate);
        drive_start(&driver, client->loop, (enum way) way);
        gate_wait(&gate, &gate.let_go, MESSAGES);
        drive_stop(&driver);
        peer_done(client->peer, client->loop);
        assert_int_equal(client_teardown((void **) &client), 0);
        pthread_mutex_destroy(&gate.lock);
        pthread_cond_destroy(&gate.changed);
      }
    }
  }
}

/* -- later -------------------------------------------------------------------------------------------- */

struct later {
  struct client *client;
  uint64_t numbers[16];
  int n;
  int refuse; /* how often to refuse */
};

static void defers(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct later *later = ud;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  trace(later->client, "%d%s", mgos_mqtt_event_packet_id(ev), mgos_mqtt_event_dup(ev) ? "dup" : "");
  later->numbers[later->n++] = mgos_mqtt_msg_defer(c);
  if (mgos_mqtt_last_error() != 0) trace(later->client, "error");
}

/* The same through the handlers of Mongoose OS. */
static void defers_too(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct later *later = ud;
  (void) ev_data;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  later->numbers[later->n++] = mgos_mqtt_msg_defer(mgos_mqtt_conn_from_nc(nc));
}

struct call {
  struct mgos_mqtt_conn *c;
  uint64_t number;
  int result;
};

static void *ack_thread(void *ud) {
  struct call *call = ud;
  call->result = mgos_mqtt_msg_ack(call->c, call->number);
  return NULL;
}

/* mgos_mqtt_msg_ack() on a thread of its own. */
static int ack(struct client *client, uint64_t number) {
  struct call call = {client->c, number, 1};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, ack_thread, &call), 0);
  pthread_join(thread, NULL);
  return call.result;
}

static void later_and_in_order(void **state) {
  struct client *client = *state;
  struct later later = {client, {0}, 0, 0};
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, defers, &later, NULL);
  client_up(client);
  peer_send(client->peer, "32 @ ='t' 0001; 32 @ ='t' 0002; 34 @ ='t' 0001; 30 @ ='t'; 32 @ ='t' 0003");
  expect_trace(client, "1 2 1 0 3 ");
  settle(client);
  assert_int_equal(later.n, 6);
  expect_trace(client, "0 ");
  /* QoS 0 has nothing to acknowledge, and saying so is no error. */
  assert_true(later.numbers[3] == 0);
  assert_int_equal(ack(client, 0), 0);
  /* Nothing leaves before the first is acknowledged; QoS 2 is a line of its own. */
  assert_int_equal(ack(client, later.numbers[1]), 0);
  assert_int_equal(ack(client, later.numbers[1]), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(ack(client, later.numbers[2]), 0);
  peer_expect(client->peer, "50 02 0001");
  peer_done(client->peer, client->loop);
  assert_int_equal(ack(client, later.numbers[0]), 0);
  peer_expect(client->peer, "40 02 0001; 40 02 0002");
  peer_done(client->peer, client->loop);
  assert_int_equal(ack(client, later.numbers[4]), 0);
  peer_expect(client->peer, "40 02 0003");
  assert_int_equal(ack(client, later.numbers[0]), MGOS_MQTT_NOT_FOUND);
  /* Outside of a handler, and on another thread than the handler's, there is nothing to defer. */
  assert_true(mgos_mqtt_msg_defer(client->c) == 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_FOUND);
  peer_done(client->peer, client->loop);
}

static void by_every_handler_that_deferred(void **state) {
  struct client *client = *state;
  struct later one = {client, {0}, 0, 0}, two = {client, {0}, 0, 0};
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, defers, &one, NULL);
  mgos_mqtt_conn_add_handler(client->c, defers_too, &two);
  client_up(client);
  peer_send(client->peer, "32 @ ='t' 0001; 32 @ ='t' 0002");
  expect_trace(client, "1 2 ");
  assert_true(one.numbers[0] == two.numbers[0] && one.numbers[0] != one.numbers[1]);
  assert_int_equal(ack(client, one.numbers[0]), 0);
  assert_int_equal(ack(client, one.numbers[1]), 0);
  settle(client);
  client->trace[0] = '\0';
  assert_int_equal(ack(client, two.numbers[1]), 0);
  assert_int_equal(ack(client, two.numbers[0]), 0);
  peer_expect(client->peer, "40 02 0001; 40 02 0002");
  peer_done(client->peer, client->loop);
}

/* Comes back, to a server that kept the session or did not. */
static void again(struct client *client, bool kept) {
  int n = peer_accepted(client->peer);
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, kept ? "20 02 01 00" : "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, peer_accepted(client->peer) > n && mgos_mqtt_conn_is_connected(client->c));
}

static void acknowledgements_do_not_reach_another_connection(void **state) {
  struct client *client = *state;
  struct later later = {client, {0}, 0, 0};
  client->cfg.clean_session = false;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, defers, &later, NULL);
  client_up(client);
  peer_send(client->peer, "32 @ ='t' 0001; 34 @ ='t' 0002; 34 @ ='t' 0003");
  expect_trace(client, "1 2 3 ");
  again(client, true);
  /* QoS 1 comes again, and QoS 2 does not: it is still being worked on, or it is done. */
  assert_int_equal(ack(client, later.numbers[0]), MGOS_MQTT_STALE);
  assert_int_equal(ack(client, later.numbers[1]), 0);
  settle(client);
  expect_trace(client, "0 ");
  peer_send(client->peer, "3a @ ='t' 0001; 3c @ ='t' 0002; 3c @ ='t' 0003");
  peer_expect(client->peer, "50 02 0002");
  expect_trace(client, "1dup ");
  peer_done(client->peer, client->loop);
  assert_int_equal(ack(client, later.numbers[0]), MGOS_MQTT_STALE);
  assert_int_equal(ack(client, later.numbers[4]), 0);
  peer_expect(client->peer, "40 02 0001");
  peer_done(client->peer, client->loop);
  assert_int_equal(ack(client, later.numbers[2]), 0);
  peer_expect(client->peer, "50 02 0003");
  peer_done(client->peer, client->loop);
  /* With the session everything ends, and a message with the same packet id is another one. */
  peer_send(client->peer, "62 02 0002; 62 02 0003; 34 @ ='t' 0004");
  peer_expect(client->peer, "70 02 0002; 70 02 0003");
  expect_trace(client, "4 ");
  peer_done(client->peer, client->loop);
  again(client, false);
  peer_send(client->peer, "34 @ ='t' 0004");
  expect_trace(client, "4 ");
  assert_int_equal(ack(client, later.numbers[5]), MGOS_MQTT_STALE);
  assert_int_equal(ack(client, later.numbers[6]), 0);
  peer_expect(client->peer, "50 02 0004");
  peer_done(client->peer, client->loop);
}

/* A number of one connection is nothing on another. */
static void numbers_belong_to_their_connection(void **state) {
  struct client *client = *state, *other;
  struct later here = {client, {0}, 0, 0}, there;
  memset(&there, 0, sizeof(there));
  assert_int_equal(client_setup((void **) &other), 0);
  there.client = other;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, defers, &here, NULL);
  mgos_mqtt_conn_on(other->c, MGOS_MQTT_EV_MESSAGE, defers, &there, NULL);
  client_up(client);
  client_up(other);
  peer_send(client->peer, "32 @ ='t' 0001");
  peer_send(other->peer, "32 @ ='t' 0001");
  expect_trace(client, "1 ");
  expect_trace(other, "1 ");
  assert_int_not_equal(ack(client, there.numbers[0]), 0);
  assert_int_not_equal(ack(other, here.numbers[0]), 0);
  assert_int_equal(ack(other, there.numbers[0]), 0);
  peer_expect(other->peer, "40 02 0001");
  peer_done(other->peer, other->loop);
  settle(client);
  client->trace[0] = '\0';
  assert_int_equal(client_teardown((void **) &other), 0);
}

/* -- refused ------------------------------------------------------------------------------------------ */

static void refuses(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct later *later = ud;
  size_t len, topic_len;
  const char *payload = mgos_mqtt_event_payload(ev, &len), *topic = mgos_mqtt_event_topic(ev, &topic_len);
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_MESSAGE:
      trace(later->client, "%.*s:%s%d%s", (int) topic_len, topic, payload, mgos_mqtt_event_attempt(ev),
            mgos_mqtt_event_dup(ev) ? "dup" : "");
      if (strcmp(payload, "bad") != 0 || later->refuse == 0) return;
      later->refuse--;
      if (mgos_mqtt_msg_refuse(c, 0x99) != 0) trace(later->client, "error");
      break;
    case MGOS_MQTT_EV_SET_ASIDE:
      /* Here it is too late for another opinion. */
      trace(later->client, "aside:%s:%02x:%d%s", payload, (unsigned) mgos_mqtt_event_code(ev),
            mgos_mqtt_event_qos(ev),
            mgos_mqtt_msg_refuse(c, 1) == MGOS_MQTT_NOT_FOUND && mgos_mqtt_msg_defer(c) == 0 ? "" : "?");
      break;
    default:
      break;
  }
}

static void refusing_client(struct client *client, struct later *later, int retries, int delay_ms) {
  client->cfg.clean_session = false;
  client->options.refuse_retries = retries;
  client->options.refuse_delay_ms = delay_ms;
  client_renew(client);
  later->client = client;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_SET_ASIDE, refuses, later, NULL);
  client_up(client);
}

static void a_refused_message_comes_again_and_is_set_aside(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, -1};
  refusing_client(client, &later, 2, 20);
  /* The messages behind it are delivered at once; their acknowledgement waits. */
  peer_send(client->peer, "32 @ ='t' 0001 'bad'; 32 @ ='t' 0002 'good'");
  peer_expect(client->peer, "40 02 0001; 40 02 0002");
  expect_trace(client, "t:bad1 t:good1 t:bad2dup t:bad3dup aside:bad:99:1 ");
  peer_done(client->peer, client->loop);
  peer_send(client->peer, "34 @ ='t' 0003 'bad'");
  peer_expect(client->peer, "50 02 0003");
  expect_trace(client, "t:bad1 t:bad2dup t:bad3dup aside:bad:99:2 ");
  peer_done(client->peer, client->loop);
  peer_send(client->peer, "30 @ ='t' 'bad'");
  expect_trace(client, "t:bad1 t:bad2dup t:bad3dup aside:bad:99:0 ");
  /* The connection is the same, and nothing is left. */
  assert_int_equal(peer_accepted(client->peer), 1);
  settle(client);
  expect_trace(client, "settled:1 ");
}

static void a_refused_message_may_be_accepted_later(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, 1};
  refusing_client(client, &later, 0, -1);
  peer_send(client->peer, "32 @ ='t' 0001 'bad'");
  peer_expect(client->peer, "40 02 0001");
  expect_trace(client, "t:bad1 t:bad2dup ");
  peer_done(client->peer, client->loop);
}

static void refusing_without_another_try(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, -1};
  refusing_client(client, &later, -1, 0);
  peer_send(client->peer, "32 @ ='t' 0001 'bad'");
  peer_expect(client->peer, "40 02 0001");
  expect_trace(client, "t:bad1 aside:bad:99:1 ");
  peer_done(client->peer, client->loop);
}

/* What is kept is bounded: beyond it, refused messages are set aside at once. */
static void refused_messages_have_a_limit(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, -1};
  client->options.receive_queue_length = 2;
  refusing_client(client, &later, 1, 100);
  peer_send(client->peer, "32 @ ='a' 0001 'bad'; 32 @ ='b' 0002 'bad'; 32 @ ='c' 0003 'bad'");
  peer_expect(client->peer, "40 02 0001; 40 02 0002; 40 02 0003");
  expect_trace(client,
               "a:bad1 b:bad1 c:bad1 aside:bad:99:1 a:bad2dup aside:bad:99:1 b:bad2dup aside:bad:99:1 ");
  peer_done(client->peer, client->loop);
}

static void refused_messages_and_reconnects(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, 2};
  refusing_client(client, &later, 0, 2000);
  peer_send(client->peer, "32 @ ='t' 0001 'bad'; 34 @ ='t' 0002 'bad'");
  expect_trace(client, "t:bad1 t:bad1 ");
  /* The server sends both again. QoS 1 begins anew, and its old copy is gone; QoS 2 is known. */
  again(client, true);
  peer_send(client->peer, "3a @ ='t' 0001 'bad'; 3c @ ='t' 0002 'bad'");
  peer_expect(client->peer, "40 02 0001; 50 02 0002");
  expect_trace(client, "t:bad1dup t:bad2dup ");
  peer_done(client->peer, client->loop);
  /* A server that lost the session does not, so both copies are what is left. */
  later.refuse = 2;
  peer_send(client->peer, "62 02 0002; 32 @ ='t' 0001 'bad'; 34 @ ='t' 0002 'bad'");
  peer_expect(client->peer, "70 02 0002");
  expect_trace(client, "t:bad1 t:bad1 ");
  peer_done(client->peer, client->loop);
  again(client, false);
  expect_trace(client, "t:bad2dup t:bad2dup ");
  settle(client);
  expect_trace(client, "settled:1 ");
}

/* One that the server sends again has the place of its old copy, however often the link is lost in between.
 */
static void refused_messages_count_once(void **state) {
  struct client *client = *state;
  struct later later = {NULL, {0}, 0, -1};
  client->options.receive_queue_bytes = 10; /* two of them */
  refusing_client(client, &later, 5, 60000);
  peer_send(client->peer, "32 @ ='t' 0001 'bad'");
  expect_trace(client, "t:bad1 ");
  for (int i = 0; i < 4; i++) {
    again(client, true);
    peer_send(client->peer, "3a @ ='t' 0001 'bad'");
    expect_trace(client, "t:bad1dup ");
  }
  settle(client);
  expect_trace(client, "settled:1 ");
}

/* -- too large ----------------------------------------------------------------------------------------- */

static void measures(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t len;
  const char *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  trace(ud, "%s:%d/%d%s", mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_OVERSIZE ? "oversize" : "message",
        (int) len, (int) mgos_mqtt_event_size(ev), payload[len] != '\0' ? "?" : "");
}

static void measures_too(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *message = ev_data;
  (void) nc;
  if (ev == MG_EV_MQTT_PUBLISH) trace(ud, "mg:%d/%d", (int) message->payload.len, message->len);
}

/* A PUBLISH whose payload is `size` times 'x'. */
static bool send_large(struct peer *p, void *arg) {
  const int *size = arg;
  char *bytes = malloc((size_t) *size + 64);
  size_t rest = (size_t) *size + 5, n = 0;
  bool sent;
  assert_non_null(bytes);
  bytes[n++] = 0x32;
  do {
    bytes[n++] = (char) (rest & 0x7f);
    rest >>= 7;
    if (rest != 0) bytes[n - 1] |= (char) 0x80;
  } while (rest != 0);
  memcpy(bytes + n, "\0\1t\0\7", 5);
  memset(bytes + n + 5, 'x', (size_t) *size);
  sent = peer_write(p, bytes, n + 5 + (size_t) *size);
  free(bytes);
  return sent;
}

/* proves: NM-47x */
static void the_beginning_of_a_large_message(void **state) {
  struct client *client = *state;
  static const struct {
    int limit, keep, size;
    const char *expected;
  } cases[] = {{1024, 0, 2000, "oversize:0/2000 "},
               {1024, 10, 1000, "mg:1000/1008 message:1000/1000 "},
               {1024, 10, 2000, "mg:10/2008 message:10/2000 "},
               {1024, 10000, 2000, "mg:1024/2008 message:1024/2000 "},
               {1024, 10, 1000000, "mg:10/1000009 message:10/1000000 "},
               /* More than the loop's read buffer holds. */
               {600000, 500000, 3000000, "mg:500000/3000010 message:500000/3000000 "}};
  size_t i;
  for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    int size = cases[i].size;
    client->cfg.recv_mbuf_limit = cases[i].limit;
    client->options.oversize_keep = (size_t) cases[i].keep;
    client_renew(client);
    mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_OVERSIZE, measures, client, NULL);
    mgos_mqtt_conn_add_handler(client->c, measures_too, client);
    client_up(client);
    peer_run(client->peer, send_large, &size);
    /* It is acknowledged in any case, and what follows is understood. */
    peer_expect(client->peer, "40 02 0007");
    peer_done(client->peer, client->loop);
    expect_trace(client, cases[i].expected);
    peer_send(client->peer, "30 @ ='t' 'next'");
    expect_trace(client, "mg:4/9 message:4/4 ");
    mgos_mqtt_conn_disconnect(client->c);
    peer_expect(client->peer, "e0 00");
    peer_expect_end(client->peer);
    peer_done(client->peer, client->loop);
  }
}

/* -- what a message is ---------------------------------------------------------------------------------- */

static void shows(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t topic_len = 99, len = 99;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len), *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  trace(ud, "%.*s(%d)=%s(%d)", (int) topic_len, topic, (int) topic_len, payload == NULL ? "NULL" : payload,
        (int) len);
  if (payload != NULL && memchr(payload, 1, len) != NULL) trace(ud, "binary");
}

static void closes(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)));
}

/* proves: EI-14 EI-36 NM-36 */
static void topic_and_payload_have_lengths(void **state) {
  struct client *client = *state;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, shows, client, NULL);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CLOSE, closes, client, NULL);
  client_up(client);
  peer_send(client->peer, "30 @ ='a/b' 'text'; 30 @ ='a/b'; 30 @ ='t' 41 00 01 42");
  expect_trace(client, "a/b(3)=text(4) a/b(3)=(0) t(1)=A(4) binary ");
  /* A topic with U+0000 inside is not allowed (MQTT 3.1.1, section 1.5.3): never a truncated one. */
  peer_send(client->peer, "30 @ 0003 61 00 62 'x'");
  peer_expect_end(client->peer);
  expect_trace(client, "MGOS_MQTT_PROTOCOL ");
  mgos_mqtt_conn_disconnect(client->c);
  peer_done(client->peer, client->loop);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(never_on_the_wire_before_the_handler_returned),
      WITH_CLIENT(later_and_in_order),
      WITH_CLIENT(by_every_handler_that_deferred),
      WITH_CLIENT(acknowledgements_do_not_reach_another_connection),
      WITH_CLIENT(numbers_belong_to_their_connection),
      WITH_CLIENT(a_refused_message_comes_again_and_is_set_aside),
      WITH_CLIENT(a_refused_message_may_be_accepted_later),
      WITH_CLIENT(refusing_without_another_try),
      WITH_CLIENT(refused_messages_have_a_limit),
      WITH_CLIENT(refused_messages_and_reconnects),
      WITH_CLIENT(refused_messages_count_once),
      WITH_CLIENT(the_beginning_of_a_large_message),
      WITH_CLIENT(topic_and_payload_have_lengths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
