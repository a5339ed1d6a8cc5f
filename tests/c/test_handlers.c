/* Which event reaches which handler, in which order; and who gives user data back, when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include "peer.h"

/* One registration: what its handler writes into the trace, and what else it does. */
struct reg {
  struct client *client;
  const char *name;
  void (*also)(struct reg *reg, int ev);
  struct reg *other;
  int freed; /* how often the destructor ran */
  int calls;
  int late; /* calls after the destructor */
};

#define REG(client, name) \
  { client, name, NULL, NULL, 0, 0, 0 }

static bool is_polled(int ev) {
  return ev == MG_EV_POLL;
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct reg *reg = ud;
  (void) ev_data;
  if (is_polled(ev)) return;
  reg->calls++;
  reg->late += reg->freed > 0;
  trace(reg->client, "%s:%s", reg->name, event_name(ev));
  if (mgos_mqtt_conn_from_nc(nc) != reg->client->c) trace(reg->client, "wrong nc");
  if (reg->also != NULL) reg->also(reg, ev);
}

static void on_library_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  static const struct {
    uint32_t kind;
    const char *name;
  } names[] = {{MGOS_MQTT_EV_CONNECTING, "CONNECTING"}, {MGOS_MQTT_EV_CONNECT_RESULT, "RESULT"},
               {MGOS_MQTT_EV_CLOSE, "CLOSE"},           {MGOS_MQTT_EV_MESSAGE, "MESSAGE"},
               {MGOS_MQTT_EV_OVERSIZE, "OVERSIZE"},     {MGOS_MQTT_EV_SUBACK, "SUBACK"},
               {MGOS_MQTT_EV_UNSUBACK, "UNSUBACK"},     {MGOS_MQTT_EV_PUBACK, "PUBACK"},
               {MGOS_MQTT_EV_PUBCOMP, "PUBCOMP"},       {MGOS_MQTT_EV_POLL, "POLL"}};
  struct reg *reg = ud;
  size_t i;
  reg->calls++;
  reg->late += reg->freed > 0;
  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (names[i].kind != mgos_mqtt_event_kind(ev)) continue;
    if (names[i].kind == MGOS_MQTT_EV_CONNECT_RESULT || names[i].kind == MGOS_MQTT_EV_CLOSE) {
      trace(reg->client, "%s:%s:%s", reg->name, names[i].name,
            mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
    } else {
      trace(reg->client, "%s:%s", reg->name, names[i].name);
    }
  }
  if (c != reg->client->c) trace(reg->client, "wrong connection");
  if (reg->also != NULL) reg->also(reg, -1);
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  struct reg *reg = ud;
  (void) nc;
  trace(reg->client, "%s:%.*s:%.*s%s", reg->name, topic_len, topic, msg_len, msg,
        msg[msg_len] == '\0' ? "" : "?");
}

static void give_back(void *ud) {
  struct reg *reg = ud;
  reg->freed++;
}

/* Answers `n` SUBSCRIBE packets with the ids that they have. */
static bool answer_subscribes(struct peer *p, void *arg) {
  int n = *(int *) arg;
  for (; n > 0; n--) {
    struct peer_packet packet;
    unsigned char suback[5] = {0x90, 3, 0, 0, 1};
    if (!peer_packet(p, &packet)) return false;
    if (packet.type != MG_MQTT_CMD_SUBSCRIBE) return false;
    suback[2] = (unsigned char) (packet.id >> 8);
    suback[3] = (unsigned char) packet.id;
    if (!peer_write(p, suback, sizeof(suback))) return false;
  }
  return true;
}

static void subscribe(struct client *client, const char *filter, mg_event_handler_t handler,
                      struct reg *reg) {
  static int one = 1;
  mgos_mqtt_conn_sub(client->c, filter, 1, handler, reg);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_run(client->peer, answer_subscribes, &one);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, strstr(client->trace, "SUBACK") != NULL);
  client->trace[0] = '\0';
}

/* -- messages -------------------------------------------------------------------------------------- */

/* proves: MG-48 ZY-28 */
static void newest_first_over_all_filters(void **state) {
  struct client *client = *state;
  struct reg a = REG(client, "a"), b = REG(client, "b"), c = REG(client, "c"), d = REG(client, "d");
  struct reg e = REG(client, "e"), unmatched = REG(client, "conn");
  client_up(client);
  subscribe(client, "x/y", on_event, &a);
  subscribe(client, "#", on_event, &b);
  subscribe(client, "x/+", on_event, &c);
  subscribe(client, "x/z", on_event, &d);
  subscribe(client, "x/y", on_event, &e);
  mgos_mqtt_conn_add_handler(client->c, on_event, &unmatched);
  peer_send(client->peer, "30 @ ='x/y' '1'");
  expect_trace(client, "e:PUBLISH c:PUBLISH b:PUBLISH a:PUBLISH ");
  peer_send(client->peer, "30 @ ='x' '1'");
  expect_trace(client, "b:PUBLISH ");
}

static void unmatched_messages_go_to_connection_handlers(void **state) {
  struct client *client = *state;
  struct reg sub = REG(client, "sub"), old = REG(client, "old"), lib = REG(client, "lib"),
             new = REG(client, "new");
  client_up(client);
  subscribe(client, "a", on_event, &sub);
  mgos_mqtt_conn_add_handler(client->c, on_event, &old);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_CLOSE, on_library_event, &lib, NULL);
  mgos_mqtt_conn_add_handler(client->c, on_event, &new);
  peer_send(client->peer, "32 @ ='other' 0001 '1'; 32 @ ='a' 0002 '1'");
  peer_expect(client->peer, "40 02 0001 40 02 0002"); /* acknowledged, though nobody did it */
  peer_done(client->peer, client->loop);
  expect_trace(client, "new:PUBLISH lib:MESSAGE old:PUBLISH sub:PUBLISH ");
}

/* proves: EI-36 MG-42 NM-36 */
static void message_handlers_get_messages_only(void **state) {
  struct reg reg = REG(NULL, "g"), conn = REG(NULL, "conn");
  struct client *client = *state;
  reg.client = conn.client = client;
  /* The global connection, which the other tests leave alone; on the default loop. */
  mgos_mqtt_sub("g/+", on_message, &reg);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='g/+' 01");
  peer_send(client->peer, "90 03 0001 01; 30 @ ='g/1' 'hello'; 32 @ ='g/' 0007");
  peer_expect(client->peer, "40 02 0007");
  assert_true(mgos_mqtt_set_config(&client->cfg));
  peer_done(client->peer, NULL);
  assert_string_equal(client->trace, "g:g/1:hello g:g/: ");
  client->trace[0] = '\0';
  assert_true(mgos_mqtt_unsub("g/+"));
  peer_expect(client->peer, "a2 @ 0002 ='g/+'");
  peer_send(client->peer, "b0 02 0002");
  mgos_mqtt_global_disconnect();
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  UNTIL(NULL, !mgos_mqtt_global_is_connected());
  peer_done(client->peer, NULL);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  assert_string_equal(client->trace, "");
}

static void on_global_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *message = ev_data;
  (void) nc;
  if (ev == MG_EV_MQTT_PUBLISH || ev == MG_EV_MQTT_SUBACK) {
    trace(ud, "%s%.*s", event_name(ev), (int) message->topic.len, message->topic.p);
  }
}

/* field: F-77
 *
 * Without a handler of its own: the messages of a subscription go to the handlers of the connection. */
static void a_subscription_without_a_handler(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn");
  mgos_mqtt_add_global_handler(on_global_event, client);
  mgos_mqtt_sub("g", NULL, NULL);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  mgos_mqtt_global_subscribe(mg_mk_str("h"), NULL, NULL);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='g' 01 ='h' 01");
  peer_send(client->peer, "90 04 0001 01 01; 30 @ ='g' 'x'; 32 @ ='h' 0007 'x'");
  peer_expect(client->peer, "40 02 0007");
  assert_true(mgos_mqtt_set_config(&client->cfg));
  peer_done(client->peer, NULL);
  assert_string_equal(client->trace, "SUBACK SUBACK PUBLISHg PUBLISHh ");
  assert_true(mgos_mqtt_unsub("g"));
  assert_false(mgos_mqtt_unsub("g"));
  peer_expect(client->peer, "a2 @ 0002 ='g'");
  peer_done(client->peer, NULL);
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, NULL);
  client->trace[0] = '\0';
  /* By handle. */
  mgos_mqtt_conn_add_handler(client->c, on_event, &conn);
  mgos_mqtt_conn_sub(client->c, "a", 0, NULL, NULL);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  mgos_mqtt_conn_sub_s(client->c, mg_mk_str("b"), 0, NULL, NULL);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "c", 0, NULL, NULL, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe_messages(client->c, "d", 0, NULL, NULL, NULL), 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='a' 00 ='b' 00 ='c' 00 ='d' 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  expect_trace(client, "conn:CONNACK ");
  peer_send(client->peer, "30 @ ='a'; 30 @ ='b'; 30 @ ='c'; 30 @ ='d'");
  expect_trace(client, "conn:PUBLISH conn:PUBLISH conn:PUBLISH conn:PUBLISH ");
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "c", NULL, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "c", NULL, NULL), MGOS_MQTT_NOT_FOUND);
  peer_expect(client->peer, "a2 @ 0002 ='c'");
  peer_done(client->peer, client->loop);
}

/* What an event has for a payload is a text, as a careless handler takes it to be. */
static void on_text(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct reg *reg = ud;
  (void) c;
  trace(reg->client, "%s:%d", reg->name, atoi(mgos_mqtt_event_payload(ev, NULL)));
}

static void on_any_text(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *message = ev_data;
  struct reg *reg = ud;
  (void) nc;
  if (ev < MG_MQTT_EVENT_BASE || message == NULL || ev == MG_EV_MQTT_SUBACK) return;
  trace(reg->client, "%s:%d", reg->name, message->topic.p != NULL ? atoi(message->payload.p) : -1);
}

/* field: F-76 */
static void a_payload_is_a_text_in_every_event(void **state) {
  struct client *client = *state;
  struct reg all = REG(client, "all"), messages = REG(client, "messages"), conn = REG(client, "conn");
  size_t len = 1;
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "t", 1, on_text, &all, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe_messages(client->c, "t", 1, on_text, &messages, NULL), 0);
  mgos_mqtt_conn_add_handler(client->c, on_any_text, &conn);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='t' 01");
  peer_send(client->peer, "90 03 0001 01");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  /* CONNACK and SUBACK have none. */
  expect_trace(client, "conn:0 all:0 ");
  peer_send(client->peer, "30 @ ='t' '17'; 30 @ ='t'");
  expect_trace(client, "messages:17 all:17 messages:0 all:0 ");
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 2);
  peer_expect(client->peer, "32 @ ='t' 0002 'x'");
  peer_send(client->peer, "40 02 0002");
  peer_done(client->peer, client->loop);
  expect_trace(client, "all:0 conn:0 ");
  /* Nor has what is no event. */
  assert_string_equal(mgos_mqtt_event_payload(NULL, &len), "");
  assert_int_equal(len, 0);
  peer_close(client->peer);
  expect_trace(client, "conn:0 all:0 ");
}

/* field: F-75
 *
 * There are three of them; what the maximum of a connection lowers is one of those. */
static void another_qos_is_refused(void **state) {
  static const int bad[] = {-1, 3, 4, 0x80, 257};
  struct client *client = *state;
  size_t i;
  client_up(client);
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    assert_int_equal(mgos_mqtt_pub("t", "x", 1, bad[i], false), 0);
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_QOS);
    assert_int_equal(mgos_mqtt_pubf("t", bad[i], false, "{a: %d}", 1), 0);
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_QOS);
    assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), bad[i], false), 0);
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_QOS);
    mgos_mqtt_conn_sub(client->c, "t", bad[i], on_event, NULL);
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_QOS);
  }
  assert_int_equal(mgos_mqtt_deinit(TEST_DEADLINE_MS), 0);
  mgos_mqtt_conn_set_max_qos(client->c, 1);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 2, false), 1);
  peer_expect(client->peer, "32 @ ='t' 0001 'x'");
  peer_done(client->peer, client->loop);
}

static void add_other(struct reg *reg, int ev) {
  if (ev != MG_EV_MQTT_PUBLISH || reg->other == NULL) return;
  mgos_mqtt_conn_sub(reg->client->c, "#", 1, on_event, reg->other);
  mgos_mqtt_conn_add_handler(reg->client->c, on_event, reg->other);
  reg->other = NULL;
}

static void handlers_added_during_a_dispatch_come_next_time(void **state) {
  struct client *client = *state;
  struct reg first = REG(client, "first"), other = REG(client, "other");
  static int one = 1;
  client_up(client);
  first.also = add_other;
  first.other = &other;
  subscribe(client, "t", on_event, &first);
  peer_send(client->peer, "30 @ ='t' '1'");
  peer_run(client->peer, answer_subscribes, &one);
  expect_trace(client, "first:PUBLISH other:SUBACK ");
  peer_send(client->peer, "30 @ ='t' '2'");
  expect_trace(client, "other:PUBLISH first:PUBLISH ");
}

static void remove_other(struct reg *reg, int ev) {
  if (ev != MG_EV_MQTT_PUBLISH && ev != -1) return;
  mgos_mqtt_conn_remove_handler(reg->client->c, on_event, reg->other);
  mgos_mqtt_conn_off(reg->client->c, on_library_event, reg->other);
}

/* proves: MG-31 */
static void handlers_removed_during_a_dispatch_are_not_called(void **state) {
  struct client *client = *state;
  struct reg first = REG(client, "first"), second = REG(client, "second"), third = REG(client, "third");
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, on_library_event, &third, give_back),
                   0);
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(client->c, on_event, &second, give_back), 0);
  mgos_mqtt_conn_add_handler(client->c, on_event, &first);
  first.also = remove_other;
  first.other = &second;
  peer_send(client->peer, "30 @ ='t' '1'");
  expect_trace(client, "first:PUBLISH third:MESSAGE ");
  settle(client);
  client->trace[0] = '\0';
  assert_int_equal(second.freed, 1);
  first.other = &third;
  peer_send(client->peer, "30 @ ='t' '1'");
  expect_trace(client, "first:PUBLISH ");
  settle(client);
  client->trace[0] = '\0';
  assert_int_equal(third.freed, 1);
  /* And itself. */
  first.other = &first;
  peer_send(client->peer, "30 @ ='t' '1'; 30 @ ='t' '2'");
  settle(client);
  expect_trace(client, "first:PUBLISH ");
}

static void identical_subscriptions_are_one(void **state) {
  struct client *client = *state;
  struct reg a = REG(client, "a"), b = REG(client, "b");
  static int two = 2;
  client_up(client);
  subscribe(client, "t", on_event, &a);
  subscribe(client, "t", on_event, &b);
  /* The server is asked again, which brings retained messages again, but there is one handler. */
  mgos_mqtt_conn_sub(client->c, "t", 1, on_event, &a);
  assert_int_equal(mgos_mqtt_conn_sub_ex(client->c, "t", 1, on_event, &a, give_back), 0);
  peer_run(client->peer, answer_subscribes, &two);
  expect_trace(client, "b:SUBACK a:SUBACK b:SUBACK a:SUBACK ");
  peer_send(client->peer, "30 @ ='t' '1'");
  expect_trace(client, "b:PUBLISH a:PUBLISH ");
  assert_int_equal(a.freed, 0);
  /* One unsub for each of the two; the server is told with the last. */
  assert_true(mgos_mqtt_conn_unsub(client->c, "t"));
  peer_send(client->peer, "30 @ ='t' '1'");
  expect_trace(client, "a:PUBLISH ");
  assert_true(mgos_mqtt_conn_unsub(client->c, "t"));
  peer_expect(client->peer, "a2 @ 0005 ='t'");
  peer_done(client->peer, client->loop);
  assert_false(mgos_mqtt_conn_unsub(client->c, "t"));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_FOUND);
}

/* -- acknowledgements ------------------------------------------------------------------------------ */

/* proves: MG-30 */
static void suback_goes_to_the_subscription_or_else_to_the_connection(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), sub = REG(client, "sub"), all = REG(client, "all"),
             lib = REG(client, "lib");
  struct mg_mqtt_topic_expression raw = {"raw", 0};
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, &conn);
  subscribe(client, "#", on_event, &all);
  mgos_mqtt_conn_sub(client->c, "a", 1, on_event, &sub);
  peer_expect(client->peer, "82 @ 0002 ='a' 01");
  peer_send(client->peer, "90 03 0002 01");
  expect_trace(client, "sub:SUBACK "); /* not `#`, which matches no SUBACK */
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "b", 1, on_library_event, &lib, NULL), 0);
  peer_expect(client->peer, "82 @ 0003 ='b' 01");
  peer_send(client->peer, "90 03 0003 80");
  expect_trace(client, "lib:SUBACK ");
  mg_mqtt_subscribe(mgos_mqtt_conn_nc(client->c), &raw, 1, 77);
  peer_expect(client->peer, "82 @ 004d ='raw' 00");
  peer_send(client->peer, "90 03 004d 00");
  expect_trace(client, "conn:SUBACK ");
  /* Taken back before the answer came: nobody claims it. */
  mgos_mqtt_conn_sub(client->c, "c", 1, on_event, &sub);
  peer_expect(client->peer, "82 @ 0004 ='c' 01");
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_unsub(client->c, "c");
  peer_expect(client->peer, "a2 @ 0005 ='c'");
  peer_send(client->peer, "90 03 0004 01; b0 02 0005");
  UNTIL(client->loop, strstr(client->trace, "conn:UNSUBACK") != NULL);
  assert_null(strstr(client->trace, "sub:"));
  client->trace[0] = '\0';
}

/* proves: MG-30 */
static void puback_goes_to_matching_subscriptions_and_the_connection(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), sub = REG(client, "sub"), other = REG(client, "other");
  struct reg lib = REG(client, "lib");
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_event, &conn);
  subscribe(client, "t/#", on_event, &sub);
  subscribe(client, "u", on_event, &other);
  assert_int_equal(
      mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP, on_library_event, &lib, NULL),
      0);
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t/1", mg_mk_str("x"), 1, false), 3);
  peer_expect(client->peer, "32 @ ='t/1' 0003 'x'");
  peer_send(client->peer, "40 02 0003");
  expect_trace(client, "sub:PUBACK lib:PUBACK conn:PUBACK ");
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t/2", mg_mk_str("x"), 2, false), 4);
  peer_expect(client->peer, "34 @ ='t/2' 0004 'x'");
  peer_send(client->peer, "50 02 0004");
  peer_expect(client->peer, "62 02 0004");
  peer_send(client->peer, "70 02 0004");
  expect_trace(client, "conn:PUBREC sub:PUBCOMP lib:PUBCOMP conn:PUBCOMP ");
}

/* -- connect and close ------------------------------------------------------------------------------ */

static void trace_connected(struct reg *reg, int ev) {
  (void) ev;
  trace(reg->client, mgos_mqtt_conn_is_connected(reg->client->c) ? "up" : "down");
  if (ev == MG_EV_MQTT_CONNACK) mgos_mqtt_conn_pub(reg->client->c, "hello", mg_mk_str("x"), 0, false);
}

/* proves: EI-28 NM-26 NM-37 */
static void connack_then_disconnect_and_close(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), lib = REG(client, "lib"), sub = REG(client, "sub");
  conn.also = lib.also = sub.also = trace_connected;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE,
                    on_library_event, &lib, NULL);
  mgos_mqtt_conn_add_handler(client->c, on_event, &conn);
  mgos_mqtt_conn_sub(client->c, "t", 2, on_event, &sub);
  peer_greet(client->peer);
  /* The filters are subscribed before the handlers of CONNACK run. */
  peer_expect(client->peer, "82 @ 0001 ='t' 02; 30 @ ='hello' 'x'");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  expect_trace(client, "lib:CONNECTING down lib:RESULT:OK up conn:CONNACK up ");
  peer_close(client->peer);
  expect_trace(client,
               "conn:DISCONNECT down conn:CLOSE down lib:CLOSE:CLOSED_BY_SERVER down sub:CLOSE down ");
  mgos_mqtt_conn_disconnect(client->c);
}

static void a_refused_connection_is_told_to_library_handlers_only(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), lib = REG(client, "lib");
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE,
                    on_library_event, &lib, NULL);
  mgos_mqtt_conn_add_handler(client->c, on_event, &conn);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 05");
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "30 @ ='t' 'x'");
  peer_greet(client->peer);
  mgos_mqtt_conn_connect(client->c);
  expect_trace(client,
               "lib:CONNECTING lib:RESULT:REFUSED_NOT_AUTHORIZED lib:CONNECTING lib:RESULT:CLOSED_BY_SERVER "
               "lib:CONNECTING lib:RESULT:NOT_CONNACK lib:CONNECTING lib:RESULT:OK conn:CONNACK ");
}

/* proves: EI-24 EI-26 */
static void each_attempt_has_one_result(void **state) {
  struct client *client = *state;
  struct reg lib = REG(client, "lib");
  struct peer *gone = peer_start();
  char address[64];
  /* A port at which nobody listens any more. */
  strcpy(address, peer_address(gone));
  assert_true(peer_stop(gone));
  client->cfg.server = address;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT, on_library_event, &lib,
                    NULL);
  mgos_mqtt_conn_connect(client->c);
  expect_trace(client, "lib:CONNECTING lib:RESULT:CONNECT_REFUSED ");
  /* While it waits there is no attempt that could end. */
  mgos_mqtt_conn_disconnect(client->c);
  mgos_mqtt_loop_poll(client->loop, 0);
  mgos_mqtt_loop_poll(client->loop, 0);
  expect_trace(client, "");
  mgos_mqtt_conn_connect(client->c);
  expect_trace(client, "lib:CONNECTING lib:RESULT:CONNECT_REFUSED ");
  client->cfg.server = peer_address(client->peer);
  assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_done(client->peer, client->loop);
  expect_trace(client, "lib:CONNECTING ");
  /* While it is on its way there is one. */
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect_end(client->peer);
  expect_trace(client, "lib:RESULT:CLOSED_BY_CLIENT ");
  mgos_mqtt_conn_connect(client->c);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_abort(client->c);
  peer_expect_end(client->peer);
  expect_trace(client, "lib:CONNECTING lib:RESULT:CLOSED_BY_CLIENT ");
  /* Given up before it began. */
  mgos_mqtt_conn_connect(client->c);
  mgos_mqtt_conn_disconnect(client->c);
  mgos_mqtt_loop_poll(client->loop, 0);
  mgos_mqtt_loop_poll(client->loop, 0);
  expect_trace(client, "");
  peer_done(client->peer, client->loop);
}

/* -- POLL ------------------------------------------------------------------------------------------- */

static void on_poll(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct reg *reg = ud;
  (void) nc;
  if (ev == MG_EV_POLL) reg->calls += *(time_t *) ev_data > 1500000000;
}

/* proves: MG-50 */
static void poll_comes_after_each_turn_and_from_a_tick(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), lib = REG(client, "lib");
  int before, i;
  client->options.poll_tick_ms = 10;
  client_renew(client);
  mgos_mqtt_conn_add_handler(client->c, on_poll, &conn);
  /* Not while there is no connection. */
  for (i = 0; i < 5; i++) mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(conn.calls, 0);
  client_up(client);
  for (i = 0, before = conn.calls; i < 5; i++) {
    peer_send(client->peer, "d0 00");
    UNTIL(client->loop, conn.calls > before + i);
  }
  /* A wait without an end, on an idle connection, ends by the tick. */
  for (i = 0, before = conn.calls; i < 5; i++) mgos_mqtt_loop_poll(client->loop, -1);
  assert_int_equal(conn.calls, before + 5);
  mgos_mqtt_conn_remove_handler(client->c, on_poll, &conn);
  before = conn.calls;
  mgos_mqtt_loop_poll(client->loop, 0);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(conn.calls, before);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_POLL, on_library_event, &lib, NULL), 0);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(lib.calls > 0, 1);
  client->trace[0] = '\0';
}

/* -- user data --------------------------------------------------------------------------------------- */

/* proves: MG-57x */
static void user_data_comes_back_once(void **state) {
  struct client *client = *state;
  struct reg conn = REG(client, "conn"), lib = REG(client, "lib"), sub = REG(client, "sub"),
             sub2 = REG(client, "sub2");
  struct reg rest[4] = {REG(client, "r0"), REG(client, "r1"), REG(client, "r2"), REG(client, "r3")};
  struct reg bad = REG(client, "bad"), log = REG(client, "log");
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct mgos_mqtt_conn *c = mgos_mqtt_conn_create_on(loop, 2, NULL);
  int i;
  /* Removed. */
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(c, on_event, &conn, give_back), 0);
  assert_int_equal(mgos_mqtt_conn_remove_handler(c, on_event, &conn), 0);
  assert_int_equal(mgos_mqtt_conn_remove_handler(c, on_event, &conn), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CLOSE, on_library_event, &lib, give_back), 0);
  assert_int_equal(mgos_mqtt_conn_off(c, on_library_event, &lib), 0);
  assert_int_equal(mgos_mqtt_conn_off(c, on_library_event, &lib), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(conn.freed, 1);
  assert_int_equal(lib.freed, 1);
  /* Unsubscribed. */
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, "t", 0, on_event, &sub, give_back), 0);
  assert_true(mgos_mqtt_conn_unsub(c, "t"));
  assert_int_equal(mgos_mqtt_conn_subscribe(c, "t", 0, on_library_event, &sub2, give_back), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(c, "t", on_library_event, &sub), MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(c, "t", on_library_event, &sub2), 0);
  assert_int_equal(sub.freed, 1);
  assert_int_equal(sub2.freed, 1);
  /* Not accepted: it stays the caller's. */
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(c, NULL, &bad, give_back), MGOS_MQTT_NULL_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(NULL, on_event, &bad, give_back), MGOS_MQTT_NULL_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CLOSE, NULL, &bad, give_back), MGOS_MQTT_NULL_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_on(c, 0x80000000u, on_library_event, &bad, give_back),
                   MGOS_MQTT_BAD_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, "t", 3, on_event, &bad, give_back), MGOS_MQTT_BAD_QOS);
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, "t#", 0, on_event, &bad, give_back), MGOS_MQTT_BAD_FILTER);
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, NULL, 0, on_event, &bad, give_back), MGOS_MQTT_NULL_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_subscribe_messages(c, "t", 3, NULL, &bad, give_back), MGOS_MQTT_BAD_QOS);
  assert_int_equal(mgos_mqtt_conn_subscribe(c, "", 0, on_library_event, &bad, give_back),
                   MGOS_MQTT_BAD_FILTER);
  assert_int_equal(mgos_mqtt_conn_subscribe(c, "t", -1, on_library_event, &bad, give_back),
                   MGOS_MQTT_BAD_QOS);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, 99, NULL, &bad, give_back), MGOS_MQTT_BAD_ARGUMENT);
  /* Everything else with the connection, also when it was given twice. */
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(c, on_event, &rest[0], give_back), 0);
  assert_int_equal(mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CLOSE, on_library_event, &rest[1], give_back), 0);
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, "a/#", 0, on_event, &rest[2], give_back), 0);
  assert_int_equal(mgos_mqtt_conn_sub_ex(c, "a/#", 2, on_event, &rest[2], give_back), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe(c, "b", 0, on_library_event, &rest[3], give_back), 0);
  mgos_mqtt_conn_free(c);
  for (i = 0; i < 4; i++) assert_int_equal(rest[i].freed, 1);
  assert_int_equal(bad.freed, 0);
  /* The log's with its successor, and with the loop. */
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_ERROR, NULL, &log, NULL), 0);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
}

static void on_log(int level, int conn_id, const char *text, void *ud) {
  (void) level, (void) conn_id, (void) text;
  ((struct reg *) ud)->calls++;
}

static void user_data_of_the_log_comes_back(void **state) {
  struct client *client = *state;
  struct reg one = REG(client, "1"), two = REG(client, "2"), three = REG(client, "3");
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, on_log, &one, give_back), 0);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, on_log, &two, give_back), 0);
  assert_int_equal(one.freed, 1);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_ERROR, NULL, NULL, NULL), 0);
  assert_int_equal(two.freed, 1);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, on_log, &three, give_back), 0);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  assert_int_equal(three.freed, 1);
  assert_int_equal(one.freed + two.freed, 2);
}

static void on_last_log(int level, int conn_id, const char *text, void *ud) {
  struct reg *reg = ud;
  (void) conn_id;
  reg->calls++;
  if (strstr(text, "more log records") != NULL) trace(reg->client, "%d:%s", level, text);
}

/* A program that calls and does not poll: what is logged meanwhile takes no memory without end. */
static void the_log_waits_for_the_loop_within_bounds(void **state) {
  struct client *client = *state;
  struct reg log = REG(client, "log");
  int i;
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_WARN, on_last_log, &log, NULL), 0);
  for (i = 0; i < 1000; i++) {
    assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("in vain"), 0, false), 0);
  }
  assert_int_equal(log.calls, 0);
  expect_trace(client, "1:744 more log records were left out ");
  assert_int_equal(log.calls, 257);
}

static void unsubscribe_itself(struct reg *reg, int ev) {
  if (ev != MG_EV_MQTT_PUBLISH) return;
  mgos_mqtt_conn_unsub(reg->client->c, "t");
  if (reg->freed != 0) trace(reg->client, "freed while running");
}

static void user_data_comes_back_after_the_last_call(void **state) {
  struct client *client = *state;
  struct reg sub = REG(client, "sub");
  static int one = 1;
  client_up(client);
  sub.also = unsubscribe_itself;
  assert_int_equal(mgos_mqtt_conn_sub_ex(client->c, "t", 1, on_event, &sub, give_back), 0);
  peer_run(client->peer, answer_subscribes, &one);
  peer_send(client->peer, "30 @ ='t' '1'; 30 @ ='t' '2'");
  peer_expect(client->peer, "a2 @ 0002 ='t'");
  peer_done(client->peer, client->loop);
  expect_trace(client, "sub:SUBACK sub:PUBLISH ");
  assert_int_equal(sub.freed, 1);
  assert_int_equal(sub.late, 0);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(newest_first_over_all_filters),
      WITH_CLIENT(unmatched_messages_go_to_connection_handlers),
      WITH_CLIENT(message_handlers_get_messages_only),
      WITH_CLIENT(a_subscription_without_a_handler),
      WITH_CLIENT(a_payload_is_a_text_in_every_event),
      WITH_CLIENT(another_qos_is_refused),
      WITH_CLIENT(handlers_added_during_a_dispatch_come_next_time),
      WITH_CLIENT(handlers_removed_during_a_dispatch_are_not_called),
      WITH_CLIENT(identical_subscriptions_are_one),
      WITH_CLIENT(suback_goes_to_the_subscription_or_else_to_the_connection),
      WITH_CLIENT(puback_goes_to_matching_subscriptions_and_the_connection),
      WITH_CLIENT(connack_then_disconnect_and_close),
      WITH_CLIENT(a_refused_connection_is_told_to_library_handlers_only),
      WITH_CLIENT(each_attempt_has_one_result),
      WITH_CLIENT(poll_comes_after_each_turn_and_from_a_tick),
      WITH_CLIENT(user_data_comes_back_once),
      WITH_CLIENT(user_data_of_the_log_comes_back),
      WITH_CLIENT(the_log_waits_for_the_loop_within_bounds),
      WITH_CLIENT(user_data_comes_back_after_the_last_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
