/* Calls that subscribe and unsubscribe: what goes to the server, and how and when each of them ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_subscribe.h>
#include "peer.h"

/* One call, and what was told of it. */
struct call {
  struct client *client;
  const char *name;
  int told;
  int freed;
  void (*also)(struct call *call);
};

#define CALL(client, name) \
  { client, name, 0, 0, NULL }

static void on_done(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct call *call = ud;
  char text[512];
  size_t i, n = mgos_mqtt_event_num_filters(ev), used;
  assert_ptr_equal(c, call->client->c);
  used = (size_t) snprintf(text, sizeof(text), "%s:%s:%s", call->name,
                           mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBSCRIBED     ? "SUB"
                           : mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_UNSUBSCRIBED ? "UNSUB"
                                                                                   : "?",
                           mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
  for (i = 0; i < n; i++) {
    size_t len;
    const char *filter = mgos_mqtt_event_filter(ev, i, &len);
    used += (size_t) snprintf(text + used, sizeof(text) - used, ",%.*s=%d", (int) len, filter,
                              mgos_mqtt_event_filter_code(ev, i));
  }
  assert_null(mgos_mqtt_event_filter(ev, n, NULL));
  assert_int_equal(mgos_mqtt_event_filter_code(ev, n), -1);
  call->told++;
  trace(call->client, "%s", text);
  if (call->also != NULL) call->also(call);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct call *call = ud;
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
  const char *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  trace(call->client, "%s:%.*s:%.*s", call->name, (int) topic_len, topic, (int) len, payload);
}

static void on_suback(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct call *call = ud;
  (void) c;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK) {
    trace(call->client, "%s:SUBACK:%d", call->name, mgos_mqtt_event_code(ev));
  }
}

static void give_back(void *ud) {
  struct call *call = ud;
  call->freed++;
}

static void subscribe(struct call *call, const char *filter, int qos) {
  struct mgos_mqtt_filter one = {filter, qos};
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(call->client->c, &one, 1, on_message, call, NULL, on_done, call), 0);
}

static void unsubscribe(struct call *call, const char *filter) {
  assert_int_equal(
      mgos_mqtt_conn_unsubscribe_all(call->client->c, &filter, 1, on_message, call, on_done, call), 0);
}

/* The table of NodeMCU, the callback of Electric Imp: result and granted QoS of each filter, a refusal being
 * a result too; and one function for the messages of all of them. proves: EI-41 EI-42 NM-40 NM-43 NM-48x
 * NM-49x */
static void several_filters_and_a_code_for_each(void **state) {
  static const struct mgos_mqtt_filter wanted[] = {{"a/+", 0}, {"b", 1}, {"c/#", 2}, {"no", 2}};
  static const char *const names[] = {"b", "a/+"};
  struct client *client = *state;
  struct call call = CALL(client, "x"), off = CALL(client, "off");
  client_up(client);
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(client->c, wanted, 4, on_message, &call, give_back, on_done, &call), 0);
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 4);
  peer_expect(client->peer, "82 @ 0001 ='a/+' 00 ='b' 01 ='c/#' 02 ='no' 02");
  peer_send(client->peer, "90 06 0001 00 00 02 80; 30 @ ='a/1' '1'; 30 @ ='c' '2'");
  expect_trace(client, "x:SUB:OK,a/+=0,b=0,c/#=2,no=128 x:a/1:1 x:c:2 ");
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, names, 2, on_message, &call, on_done, &off), 0);
  peer_expect(client->peer, "a2 @ 0002 ='b' ='a/+'");
  peer_send(client->peer, "b0 02 0002; 30 @ ='a/1' '3'; 30 @ ='c' '4'");
  expect_trace(client, "off:UNSUB:OK,b=0,a/+=0 x:c:4 ");
  /* The user data belongs to the filters that are left. */
  assert_int_equal(call.freed, 0);
  assert_true(mgos_mqtt_conn_unsub(client->c, "c/#"));
  assert_int_equal(call.freed, 0);
  assert_true(mgos_mqtt_conn_unsub(client->c, "no"));
  assert_int_equal(call.freed, 1);
  peer_expect(client->peer, "a2 @ 0003 ='c/#'; a2 @ 0004 ='no'");
  peer_send(client->peer, "b0 02 0003 b0 02 0004");
  peer_done(client->peer, client->loop);
  assert_int_equal(call.told + off.told, 2);
}

/* Each function is told of its own call, in whichever order the server answers.
 * proves: NM-41 NM-42 ZY-22 */
static void many_calls_at_a_time(void **state) {
  struct client *client = *state;
  struct call a = CALL(client, "a"), b = CALL(client, "b"), c = CALL(client, "c"),
              again = CALL(client, "again");
  client_up(client);
  subscribe(&a, "a", 0);
  subscribe(&b, "b", 1);
  subscribe(&c, "c", 2);
  subscribe(&again, "a", 1);
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 4);
  peer_expect(client->peer, "82 @ 0001 ='a' 00; 82 @ 0002 ='b' 01; 82 @ 0003 ='c' 02; 82 @ 0004 ='a' 01");
  peer_send(client->peer, "90 03 0003 01; 90 03 0001 00; 90 03 0004 01");
  expect_trace(client, "c:SUB:OK,c=1 a:SUB:OK,a=0 again:SUB:OK,a=1 ");
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 1);
  unsubscribe(&c, "c");
  unsubscribe(&b, "b");
  peer_send(client->peer, "90 03 0002 01");
  peer_expect(client->peer, "a2 @ 0005 ='c'; a2 @ 0006 ='b'");
  peer_send(client->peer, "b0 02 0006; b0 02 0005");
  expect_trace(client, "b:SUB:OK,b=1 b:UNSUB:OK,b=0 c:UNSUB:OK,c=0 ");
  /* Somebody else has the filter: there is nothing that the server has to be told. */
  unsubscribe(&a, "a");
  expect_trace(client, "a:UNSUB:OK,a=0 ");
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 0);
}

/* More filters than go into one packet: one end all the same. */
static void more_filters_than_a_packet_takes(void **state) {
  struct mgos_mqtt_filter wanted[10];
  char names[10][4];
  struct client *client = *state;
  struct call call = CALL(client, "x");
  size_t i;
  for (i = 0; i < 10; i++) {
    snprintf(names[i], sizeof(names[i]), "f%zu", i);
    wanted[i].filter = names[i];
    wanted[i].qos = 1;
  }
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, wanted, 10, NULL, NULL, NULL, on_done, &call), 0);
  peer_expect(client->peer,
              "82 @ 0001 ='f0' 01 ='f1' 01 ='f2' 01 ='f3' 01 ='f4' 01 ='f5' 01 ='f6' 01 ='f7' 01");
  peer_expect(client->peer, "82 @ 0002 ='f8' 01 ='f9' 01");
  peer_send(client->peer, "90 04 0002 01 01");
  settle(client);
  assert_int_equal(call.told, 0);
  peer_send(client->peer, "90 0a 0001 00 00 00 00 00 00 00 00");
  expect_trace(client, "x:SUB:OK,f0=0,f1=0,f2=0,f3=0,f4=0,f5=0,f6=0,f7=0,f8=1,f9=1 ");
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev;
  subscribe(ud, "inside", 0);
}

/* Before there is a connection the filters are remembered, and the call ends when they were asked for.
 * proves: NM-44 EI-43 */
static void before_the_connection_and_from_inside_handlers(void **state) {
  struct client *client = *state;
  struct call early = CALL(client, "early"), inside = CALL(client, "inside");
  subscribe(&early, "early", 1);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, &inside, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 1);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(early.told, 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='early' 01; 82 @ 0002 ='inside' 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  peer_send(client->peer, "90 03 0001 01; 90 03 0002 00");
  expect_trace(client, "early:SUB:OK,early=1 inside:SUB:OK,inside=0 ");
}

static void subscribe_next(struct call *call) {
  if (call->told == 1) subscribe(call, "second", 0);
  if (call->told == 2) {
    unsubscribe(call, "first");
    assert_int_equal(mgos_mqtt_conn_subscribe_wait(call->client->c, NULL, 0, NULL, NULL, NULL, NULL, 0),
                     MGOS_MQTT_NULL_ARGUMENT);
  }
}

/* The way of NodeMCU: the next subscription from inside the function of the one before. */
static void the_next_call_from_inside_the_end_of_the_last(void **state) {
  struct client *client = *state;
  struct call call = CALL(client, "x");
  call.also = subscribe_next;
  client_up(client);
  subscribe(&call, "first", 1);
  peer_expect(client->peer, "82 @ 0001 ='first' 01");
  peer_send(client->peer, "90 03 0001 01");
  peer_expect(client->peer, "82 @ 0002 ='second' 00");
  peer_send(client->peer, "90 03 0002 00");
  peer_expect(client->peer, "a2 @ 0003 ='first'");
  peer_send(client->peer, "b0 02 0003");
  expect_trace(client, "x:SUB:OK,first=1 x:SUB:OK,second=0 x:UNSUB:OK,first=0 ");
}

/* Without functions: nobody is told, messages go to the handlers of the connection.
 * proves: EI-25 */
static void without_any_function(void **state) {
  static const struct mgos_mqtt_filter one = {"quiet", 1};
  static const char *const name = "quiet";
  struct client *client = *state;
  struct call conn = CALL(client, "conn"), data = CALL(client, "data");
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, on_message, &conn, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, &one, 1, NULL, &data, give_back, NULL, NULL), 0);
  peer_expect(client->peer, "82 @ 0001 ='quiet' 01");
  peer_send(client->peer, "90 03 0001 01; 30 @ ='quiet' '1'");
  expect_trace(client, "conn:quiet:1 ");
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, &name, 1, NULL, &conn, NULL, NULL),
                   MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, &name, 1, NULL, &data, NULL, NULL), 0);
  assert_int_equal(data.freed, 1);
  peer_expect(client->peer, "a2 @ 0002 ='quiet'");
  peer_send(client->peer, "b0 02 0002");
  settle(client);
}

/* A lost link answers nothing: the calls end on the next one. */
static void the_link_is_lost_before_the_answer(void **state) {
  static const struct mgos_mqtt_filter two[] = {{"a", 1}, {"b", 1}};
  struct client *client = *state;
  struct call keep = CALL(client, "keep"), on = CALL(client, "on");
  client->cfg.clean_session = 0;
  client_renew(client);
  client_up(client);
  subscribe(&keep, "off", 0);
  peer_expect(client->peer, "82 @ 0001 ='off' 00");
  peer_send(client->peer, "90 03 0001 00");
  expect_trace(client, "keep:SUB:OK,off=0 ");
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, two, 2, on_message, &on, NULL, on_done, &on), 0);
  unsubscribe(&keep, "off");
  peer_expect(client->peer, "82 @ 0002 ='a' 01 ='b' 01; a2 @ 0003 ='off'");
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00"); /* the session is there: so may be "off" */
  peer_expect(client->peer, "a2 @ 0004 ='off'; 82 @ 0005 ='a' 01 ='b' 01");
  peer_done(client->peer, client->loop);
  assert_int_equal(on.told, 0);
  peer_send(client->peer, "90 04 0005 01 80; b0 02 0004");
  expect_trace(client, "on:SUB:OK,a=1,b=128 keep:UNSUB:OK,off=0 ");
}

/* A session that is gone has nothing to be taken back. */
static void unsubscribing_while_the_session_is_lost(void **state) {
  struct client *client = *state;
  struct call call = CALL(client, "x");
  client_up(client);
  subscribe(&call, "t", 0);
  peer_expect(client->peer, "82 @ 0001 ='t' 00");
  peer_send(client->peer, "90 03 0001 00");
  expect_trace(client, "x:SUB:OK,t=0 ");
  unsubscribe(&call, "t");
  peer_expect(client->peer, "a2 @ 0002 ='t'");
  peer_close(client->peer);
  peer_greet(client->peer);
  expect_trace(client, "x:UNSUB:OK,t=0 ");
  settle(client);
}

static void calls_that_a_later_one_takes_back(void **state) {
  struct client *client = *state;
  struct call first = CALL(client, "1"), second = CALL(client, "2");
  /* Not asked yet: the second call makes the first one pointless. */
  subscribe(&first, "t", 1);
  unsubscribe(&first, "t");
  /* And there is nothing to be taken back from a server whose session will be a clean one. */
  expect_trace(client, "1:SUB:CANCELLED,t=-1 1:UNSUB:OK,t=0 ");
  subscribe(&second, "t", 1);
  client_up(client);
  peer_expect(client->peer, "82 @ 0001 ='t' 01");
  peer_done(client->peer, client->loop);
  /* Asked, and the answer is lost. */
  unsubscribe(&second, "t");
  peer_expect(client->peer, "a2 @ 0002 ='t'");
  peer_close(client->peer);
  peer_greet(client->peer);
  expect_trace(client, "2:SUB:CANCELLED,t=-1 2:UNSUB:OK,t=0 ");
  settle(client);
}

/* Asked, and taken back by the simple call before the answer. */
static void the_simple_calls_end_the_others_too(void **state) {
  struct client *client = *state;
  struct call call = CALL(client, "x");
  client->cfg.clean_session = 0;
  client_renew(client);
  subscribe(&call, "t", 1);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "t", on_message, &call), 0);
  expect_trace(client, "x:SUB:CANCELLED,t=-1 ");
  subscribe(&call, "t", 1);
  unsubscribe(&call, "t");
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "t", 1, on_message, &call, NULL), 0);
  expect_trace(client, "x:SUB:CANCELLED,t=-1 x:UNSUB:CANCELLED,t=-1 ");
}

/* Filters that an earlier process subscribed to, in a session that the server kept: the calls that take one back, before
 * there is a connection and while there is one. */
static void filters_of_an_earlier_process(void **state) {
  static const char *const names[] = {"many/1", "many/2"};
  struct client *client = *state;
  struct call call = CALL(client, "x");
  client->cfg.clean_session = 0;
  client_renew(client);
  assert_true(mgos_mqtt_conn_unsub(client->c, "first"));
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00");
  peer_expect(client->peer, "a2 @ 0001 ='first'");
  peer_send(client->peer, "b0 02 0001");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  assert_true(mgos_mqtt_conn_unsub(client->c, "second"));
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "third", on_message, &call), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, names, 2, on_message, &call, on_done, &call), 0);
  peer_expect(client->peer, "a2 @ 0002 ='second'; a2 @ 0003 ='third'; a2 @ 0004 ='many/1' ='many/2'");
  peer_send(client->peer, "b0 02 0004; b0 02 0002; b0 02 0003");
  expect_trace(client, "x:UNSUB:OK,many/1=0,many/2=0 ");
  assert_false(mgos_mqtt_conn_unsub(client->c, "not/#/one"));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_FILTER);
  /* Somebody else's is not taken back. */
  mgos_mqtt_conn_sub(client->c, "mine", 0, NULL, NULL);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "mine", on_message, &call), MGOS_MQTT_NOT_FOUND);
  peer_expect(client->peer, "82 @ 0005 ='mine' 00");
  peer_done(client->peer, client->loop);
  /* A new session has none of them. */
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0006 ='mine' 00");
  peer_done(client->peer, client->loop);
  assert_false(mgos_mqtt_conn_unsub(client->c, "first"));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_FOUND);
}

/* Some servers never answer a SUBSCRIBE to what they do not like: the call ends, and the connection stays. */
static void a_server_that_never_answers(void **state) {
  static const struct mgos_mqtt_filter other = {"other", 1};
  static const char *const name = "$SYS/#";
  struct client *client = *state;
  struct call call = CALL(client, "x");
  int code = 0;
  client->options.ack_timeout_ms = 50;
  client_renew(client);
  client_up(client);
  subscribe(&call, "$SYS/#", 0);
  peer_expect(client->peer, "82 @ 0001 ='$SYS/#' 00");
  expect_trace(client, "x:SUB:ACK_TIMEOUT,$SYS/#=-1 ");
  assert_int_equal(mgos_mqtt_conn_subscribe_wait(client->c, &other, 1, NULL, NULL, NULL, &code, TEST_DEADLINE_MS),
                   MGOS_MQTT_ACK_TIMEOUT);
  assert_int_equal(code, -1);
  peer_expect(client->peer, "82 @ 0002 ='other' 01");
  /* A late answer still counts, and ends nothing twice. */
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 2);
  peer_send(client->peer, "90 03 0001 00; 90 03 0002 01; 30 @ ='$SYS/a' '1'");
  expect_trace(client, "x:$SYS/a:1 ");
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 0);
  assert_int_equal(
      mgos_mqtt_conn_unsubscribe_wait(client->c, &name, 1, on_message, &call, TEST_DEADLINE_MS),
      MGOS_MQTT_ACK_TIMEOUT);
  peer_expect(client->peer, "a2 @ 0003 ='$SYS/#'");
  peer_done(client->peer, client->loop);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
}

static void the_connection_is_freed(void **state) {
  static const struct mgos_mqtt_filter two[] = {{"a", 1}, {"b", 1}};
  struct client *client = *state;
  struct call asked = CALL(client, "asked"), off = CALL(client, "off"), half = CALL(client, "half");
  client_up(client);
  subscribe(&off, "off", 0);
  peer_expect(client->peer, "82 @ 0001 ='off' 00");
  peer_send(client->peer, "90 03 0001 00");
  expect_trace(client, "off:SUB:OK,off=0 ");
  subscribe(&asked, "a", 1);
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(client->c, two, 2, on_message, &half, give_back, on_done, &half), 0);
  unsubscribe(&off, "off");
  peer_expect(client->peer, "82 @ 0002 ='a' 01; 82 @ 0003 ='a' 01 ='b' 01; a2 @ 0004 ='off'");
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_free(client->c);
  assert_int_equal(asked.told, 1);
  assert_int_equal(half.told, 1);
  assert_int_equal(off.told, 2);
  assert_non_null(strstr(client->trace, "asked:SUB:INCOMPLETE,a=-1 "));
  assert_non_null(strstr(client->trace, "half:SUB:INCOMPLETE,a=-1,b=-1 "));
  assert_non_null(strstr(client->trace, "off:UNSUB:INCOMPLETE,off=-1 "));
  assert_int_equal(half.freed, 1);
  client->c = NULL;
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

static void free_it(struct call *call) {
  mgos_mqtt_conn_free(call->client->c);
}

/* The end of one call frees the connection, and with it the other call ends: each once. */
static void freed_by_the_end_of_a_call(void **state) {
  struct client *client = *state;
  struct call first = CALL(client, "1"), second = CALL(client, "2");
  first.also = free_it;
  client_up(client);
  subscribe(&first, "a", 1);
  subscribe(&second, "b", 1);
  peer_expect(client->peer, "82 @ 0001 ='a' 01; 82 @ 0002 ='b' 01");
  peer_send(client->peer, "90 03 0001 01");
  expect_trace(client, "1:SUB:OK,a=1 2:SUB:INCOMPLETE,b=-1 ");
  client->c = NULL;
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

/* The same filters, function and argument again are the same subscription: the user data has one owner. */
static void the_same_subscription_twice(void **state) {
  static const struct mgos_mqtt_filter two[] = {{"a", 1}, {"a", 1}};
  static const char *const names[] = {"a", "a"};
  struct client *client = *state;
  struct call call = CALL(client, "x");
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(client->c, two, 2, on_message, &call, give_back, on_done, &call), 0);
  assert_int_equal(
      mgos_mqtt_conn_subscribe_all(client->c, two, 1, on_message, &call, give_back, on_done, &call), 0);
  client_up(client);
  peer_expect(client->peer, "82 @ 0001 ='a' 01");
  peer_send(client->peer, "90 03 0001 01; 30 @ ='a' '1'");
  expect_trace(client, "x:SUB:OK,a=1,a=1 x:SUB:OK,a=1 x:a:1 ");
  assert_int_equal(call.freed, 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, names, 2, on_message, &call, on_done, &call), 0);
  assert_int_equal(call.freed, 1);
  peer_expect(client->peer, "a2 @ 0002 ='a'");
  peer_send(client->peer, "b0 02 0002");
  expect_trace(client, "x:UNSUB:OK,a=0,a=0 ");
}

/* The subscription's own function hears of SUBACK before the call ends. */
static void the_handler_is_told_before_the_call(void **state) {
  static const struct mgos_mqtt_filter one = {"a", 1};
  struct client *client = *state;
  struct call call = CALL(client, "x");
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, &one, 1, on_suback, &call, NULL, on_done, &call),
                   0);
  peer_expect(client->peer, "82 @ 0001 ='a' 01");
  peer_send(client->peer, "90 03 0001 00");
  expect_trace(client, "x:SUBACK:0 x:SUB:OK,a=0 ");
}

/* Nothing happens, and the user data stays the caller's.
 * proves: NM-20 */
static void what_is_refused(void **state) {
  struct mgos_mqtt_filter bad[] = {{"good", 1}, {"bad#", 1}};
  static const char *const names[] = {"good", "missing"};
  static const char *const wrong = "a#";
  struct client *client = *state;
  struct call call = CALL(client, "x");
#define REFUSED(n, code)                                                                               \
  do {                                                                                                 \
    assert_int_equal(                                                                                  \
        mgos_mqtt_conn_subscribe_all(client->c, bad, n, on_message, &call, give_back, on_done, &call), \
        code);                                                                                         \
    assert_int_equal(mgos_mqtt_last_error(), code);                                                    \
  } while (0)
  REFUSED(2, MGOS_MQTT_BAD_FILTER);
  REFUSED(0, MGOS_MQTT_BAD_ARGUMENT);
  bad[1].filter = NULL;
  REFUSED(2, MGOS_MQTT_NULL_ARGUMENT);
  bad[1].filter = "\xff";
  REFUSED(2, MGOS_MQTT_BAD_UTF8);
  bad[1].filter = "fine";
  bad[1].qos = 3;
  REFUSED(2, MGOS_MQTT_BAD_QOS);
  bad[1].qos = 4; /* a bit that MQTT 5 has a meaning for */
  REFUSED(2, MGOS_MQTT_BAD_QOS);
#undef REFUSED
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 0);
  subscribe(&call, "good", 1);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, names, 2, on_message, &call, on_done, &call),
                   MGOS_MQTT_NOT_FOUND);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_all(client->c, &wrong, 1, on_message, &call, on_done, &call),
                   MGOS_MQTT_BAD_FILTER);
  assert_int_equal(mgos_mqtt_conn_pending_subscriptions(client->c), 1);
  assert_int_equal(call.told, 0);
  assert_int_equal(call.freed, 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "good", on_message, &call), 0);
  expect_trace(client, "x:SUB:CANCELLED,good=-1 ");
}

/* A SUBACK with too few codes ends the link, not the call. */
static void a_wrong_suback_answers_nothing(void **state) {
  static const struct mgos_mqtt_filter two[] = {{"a", 1}, {"b", 1}};
  struct client *client = *state;
  struct call call = CALL(client, "x");
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, two, 2, NULL, NULL, NULL, on_done, &call), 0);
  peer_expect(client->peer, "82 @ 0001 ='a' 01 ='b' 01");
  peer_send(client->peer, "90 03 0001 01");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0002 ='a' 01 ='b' 01");
  peer_send(client->peer, "90 04 0002 01 00");
  expect_trace(client, "x:SUB:OK,a=1,b=0 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(several_filters_and_a_code_for_each),
      TEST(many_calls_at_a_time),
      TEST(more_filters_than_a_packet_takes),
      TEST(before_the_connection_and_from_inside_handlers),
      TEST(the_next_call_from_inside_the_end_of_the_last),
      TEST(without_any_function),
      TEST(the_link_is_lost_before_the_answer),
      TEST(unsubscribing_while_the_session_is_lost),
      TEST(calls_that_a_later_one_takes_back),
      TEST(the_simple_calls_end_the_others_too),
      TEST(filters_of_an_earlier_process),
      TEST(a_server_that_never_answers),
      TEST(the_connection_is_freed),
      TEST(freed_by_the_end_of_a_call),
      TEST(the_same_subscription_twice),
      TEST(the_handler_is_told_before_the_call),
      TEST(what_is_refused),
      TEST(a_wrong_suback_answers_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
