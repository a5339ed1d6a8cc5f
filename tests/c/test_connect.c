/* Connecting: who is told of the result, once or always; the three places for one function each; where to, as
 * whom and with which will; and whether a connection tries again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include "peer.h"

/* A function's argument: what it writes into the trace, and what else it does. */
struct place {
  struct client *client;
  const char *name;
  void (*also)(struct place *place);
  int calls;
  int freed;
};

#define PLACE(client, name) \
  { client, name, NULL, 0, 0 }

static void called(struct place *place) {
  place->calls++;
  assert_int_equal(place->freed, 0);
  if (place->also != NULL) place->also(place);
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct place *place = ud;
  assert_ptr_equal(c, place->client->c);
  assert_int_equal(mgos_mqtt_event_kind(ev), MGOS_MQTT_EV_CONNECT_RESULT);
  trace(place->client, "%s:%s:%d", place->name,
        mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"), mgos_mqtt_event_code(ev));
  called(place);
}

static void on_ok(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct place *place = ud;
  (void) c;
  trace(place->client, "%s:ok:%d", place->name, mgos_mqtt_event_error(ev));
  called(place);
}

static void on_fail(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct place *place = ud;
  (void) c;
  trace(place->client, "%s:fail:%s", place->name,
        mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
  called(place);
}

static void on_offline(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct place *place = ud;
  (void) c;
  assert_int_equal(mgos_mqtt_event_kind(ev), MGOS_MQTT_EV_CLOSE);
  trace(place->client, "%s:%s", place->name,
        mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
  called(place);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct place *place = ud;
  size_t topic_len, len;
  const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
  const char *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  assert_non_null(payload);
  assert_int_equal(payload[len], '\0');
  trace(place->client, "%s:%.*s:%.*s", place->name, (int) topic_len, topic, (int) len, payload);
  called(place);
}

static void give_back(void *ud) {
  struct place *place = ud;
  place->freed++;
}

/* A connection attempt that the peer refuses with this code. */
static void refuse(struct client *client, int connack) {
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 %02x", connack);
  peer_expect_end(client->peer);
}

static void retry(struct client *client, int how) {
  client->options.retry = how;
  client_renew(client);
}

/* -- the places ---------------------------------------------------------------------------------- */

/* Once for each attempt, automatic ones too, whether it succeeds or not; beside the handlers and after them.
 * proves: EI-24 EI-26 EI-28 NM-35 NM-37 */
static void every_attempt_and_every_loss_is_told(void **state) {
  struct client *client = *state;
  struct place slot = PLACE(client, "slot"), offline = PLACE(client, "off"), list = PLACE(client, "list");
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, on_result, &slot, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(client->c, on_offline, &offline, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, &list, NULL), 0);
  refuse(client, 3);
  refuse(client, 5);
  client_up(client);
  expect_trace(client,
               "list:REFUSED_UNAVAILABLE:3 slot:REFUSED_UNAVAILABLE:3 list:REFUSED_NOT_AUTHORIZED:5 "
               "slot:REFUSED_NOT_AUTHORIZED:5 list:OK:0 slot:OK:0 ");
  peer_close(client->peer);
  refuse(client, 2);
  peer_greet(client->peer);
  expect_trace(
      client,
      "off:CLOSED_BY_SERVER list:REFUSED_IDENTIFIER:2 slot:REFUSED_IDENTIFIER:2 list:OK:0 slot:OK:0 ");
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  expect_trace(client, "off:CLOSED_BY_CLIENT ");
  peer_done(client->peer, client->loop);
}

/* Every message, also those that somebody subscribed to, and empty ones.
 * proves: EI-36 NM-36 */
static void every_message_comes_to_its_place(void **state) {
  struct client *client = *state;
  struct place slot = PLACE(client, "slot"), sub = PLACE(client, "sub"), list = PLACE(client, "list");
  assert_int_equal(mgos_mqtt_conn_on_message(client->c, on_message, &slot, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, on_message, &list, NULL), 0);
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "t", 1, on_message, &sub, NULL), 0);
  peer_expect(client->peer, "82 @ 0001 ='t' 01");
  peer_send(client->peer, "90 03 0001 01; 32 @ ='t' 0001 '1'; 30 @ ='u' '2'; 30 @ ='t'");
  peer_expect(client->peer, "40 02 0001");
  expect_trace(client, "sub:t:1 slot:t:1 list:u:2 slot:u:2 sub:t: slot:t: ");
  peer_done(client->peer, client->loop);
}

static void put_other(struct place *place) {
  if (place->calls > 1) return;
  assert_int_equal(mgos_mqtt_conn_on_message(place->client->c, on_message, place + 1, give_back), 0);
  /* It is still inside its own call. */
  assert_int_equal(place->freed, 0);
}

static void clear(struct place *place) {
  assert_int_equal(mgos_mqtt_conn_on_message(place->client->c, NULL, NULL, NULL), 0);
  assert_int_equal(place->freed, 0);
}

/* The last one set is the only one; NULL clears; both also from inside the function itself.
 * proves: EI-34 EI-35 */
static void the_last_one_wins_and_null_clears(void **state) {
  struct client *client = *state;
  struct place places[3] = {PLACE(client, "0"), PLACE(client, "1"), PLACE(client, "2")};
  struct place connect = PLACE(client, "connect"), offline = PLACE(client, "offline");
  places[1].also = put_other;
  places[2].also = clear;
  assert_int_equal(mgos_mqtt_conn_on_message(client->c, on_message, &places[0], give_back), 0);
  assert_int_equal(mgos_mqtt_conn_on_message(client->c, on_message, &places[1], give_back), 0);
  assert_int_equal(places[0].freed, 1);
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, on_result, &connect, give_back), 0);
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, NULL, &offline, give_back), 0);
  assert_int_equal(connect.freed, 1);
  assert_int_equal(offline.freed, 0); /* nothing was kept that it could belong to */
  assert_int_equal(mgos_mqtt_conn_on_offline(client->c, on_offline, &offline, give_back), 0);
  client_up(client);
  peer_send(client->peer, "30 @ ='a' '1'; 30 @ ='a' '2'; 30 @ ='a' '3'");
  settle(client);
  expect_trace(client, "1:a:1 2:a:2 ");
  assert_int_equal(places[1].freed, 1);
  assert_int_equal(places[2].freed, 1);
  /* What is left goes with the connection. */
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  assert_int_equal(offline.freed, 1);
  assert_int_equal(offline.calls, 0);
}

/* -- one result ---------------------------------------------------------------------------------- */

/* The pair of NodeMCU: one of the two, once, whatever comes later.
 * proves: NM-09 NM-18 NM-19 NM-26 */
static void exactly_one_of_the_pair_is_called(void **state) {
  struct client *client = *state;
  struct place a = PLACE(client, "a"), b = PLACE(client, "b"), c = PLACE(client, "c");
  refuse(client, 4);
  peer_greet(client->peer);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &a), 0);
  /* A second one while that attempt is under way gets the same result. */
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, NULL, on_fail, &b), 0);
  expect_trace(client, "a:fail:REFUSED_CREDENTIALS b:fail:REFUSED_CREDENTIALS ");
  /* The next attempts of the connection are nobody's any more. */
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  settle(client);
  expect_trace(client, "");
  /* Up already: told at once, but not from inside the call. */
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &c), 0);
  assert_int_equal(c.calls, 0);
  expect_trace(client, "c:ok:0 ");
  peer_close(client->peer);
  peer_greet(client->peer);
  UNTIL(client->loop, peer_accepted(client->peer) == 3 && mgos_mqtt_conn_is_connected(client->c));
  settle(client);
  assert_int_equal(a.calls + b.calls + c.calls, 3);
}

static void ended_before_there_was_a_result(void **state) {
  struct client *client = *state;
  struct place a = PLACE(client, "a"), b = PLACE(client, "b"), c = PLACE(client, "c");
  /* Before the attempt began. */
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &a), 0);
  mgos_mqtt_conn_disconnect(client->c);
  expect_trace(client, "a:fail:CLOSED_BY_CLIENT ");
  /* While it goes on. */
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &b), 0);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect_end(client->peer);
  expect_trace(client, "b:fail:CLOSED_BY_CLIENT ");
  /* And with the connection. */
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &c), 0);
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  expect_trace(client, "c:fail:INCOMPLETE ");
}

static void nothing_to_try(void **state) {
  struct client *client = *state;
  struct place a = PLACE(client, "a");
  client->cfg.enable = 0;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &a), MGOS_MQTT_DISABLED);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, 0), MGOS_MQTT_DISABLED);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(a.calls, 0);
}

static void connect_again(struct place *place) {
  if (place->calls == 1) {
    assert_int_equal(mgos_mqtt_conn_connect_once(place->client->c, on_ok, on_fail, place), 0);
  }
}

/* The application tries again by itself, from inside the function that was told of the failure.
 * proves: NM-16 */
static void without_retry_each_attempt_is_asked_for(void **state) {
  struct client *client = *state;
  struct place a = PLACE(client, "a"), slot = PLACE(client, "slot"), offline = PLACE(client, "off");
  retry(client, 2);
  a.also = connect_again;
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, on_result, &slot, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(client->c, on_offline, &offline, NULL), 0);
  refuse(client, 3);
  refuse(client, 3);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &a), 0);
  expect_trace(client,
               "slot:REFUSED_UNAVAILABLE:3 a:fail:REFUSED_UNAVAILABLE slot:REFUSED_UNAVAILABLE:3 "
               "a:fail:REFUSED_UNAVAILABLE ");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1); /* nothing is planned */
  client_up(client);
  peer_close(client->peer);
  expect_trace(client, "slot:OK:0 off:CLOSED_BY_SERVER ");
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
  assert_int_equal(peer_accepted(client->peer), 3);
}

/* If the very first attempt fails it is the last; once up, the connection comes back, and says so.
 * proves: NM-17 */
static void retry_only_once_it_was_up(void **state) {
  struct client *client = *state;
  struct place slot = PLACE(client, "slot"), offline = PLACE(client, "off");
  retry(client, 1);
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, on_result, &slot, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(client->c, on_offline, &offline, NULL), 0);
  refuse(client, 3);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "slot:REFUSED_UNAVAILABLE:3 ");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
  client_up(client);
  peer_close(client->peer);
  refuse(client, 3);
  peer_greet(client->peer);
  expect_trace(client, "slot:OK:0 off:CLOSED_BY_SERVER slot:REFUSED_UNAVAILABLE:3 slot:OK:0 ");
  /* A new beginning: again the first attempt decides. */
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  expect_trace(client, "off:CLOSED_BY_CLIENT ");
  peer_done(client->peer, client->loop);
  refuse(client, 5);
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "slot:REFUSED_NOT_AUTHORIZED:5 ");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
  client->options.retry = 3;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &client->options), MGOS_MQTT_BAD_ARGUMENT);
}

/* -- where to, as whom, with which will ---------------------------------------------------------- */

/* The three arguments of Electric Imp's connect().
 * proves: EI-37 EI-38 EI-39 EI-40 ZY-12 */
static void address_identity_and_credentials_of_a_connect(void **state) {
  struct client *client = *state;
  char url[64];
  client->cfg.server = "127.0.0.1:1";
  client->cfg.user = "old";
  client->cfg.pass = "c0nnect-pa55";
  client_renew(client);
  snprintf(url, sizeof(url), "tcp://%s", peer_address(client->peer));
  assert_int_equal(mgos_mqtt_conn_set_server(client->c, url, "imp.mqtt.test.1", "me", "word"), 0);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 c2 003c ='imp.mqtt.test.1' ='me' ='word'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  assert_false(mgos_mqtt_conn_is_connected(client->c)); /* it returned at once */
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  /* While it is up: closed in order, and opened again. What is NULL stays; what is empty is not sent. */
  assert_int_equal(mgos_mqtt_conn_set_server(client->c, NULL, "two", "", ""), 0);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='two'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_set_server(client->c, "gopher://x", NULL, NULL, NULL),
                   MGOS_MQTT_BAD_ADDRESS);
  assert_int_equal(mgos_mqtt_conn_set_server(client->c, NULL, "\xff", NULL, NULL), MGOS_MQTT_BAD_UTF8);
  assert_true(mgos_mqtt_conn_is_connected(client->c));
}

/* A connection that was made without any configuration. */
static void a_server_for_a_connection_without_one(void **state) {
  struct client *client = *state;
  mgos_mqtt_conn_free(client->c);
  client->c = mgos_mqtt_conn_create_on(client->loop, 1, NULL);
  assert_non_null(client->c);
  assert_false(mgos_mqtt_conn_connect(client->c));
  assert_int_equal(mgos_mqtt_conn_set_server(client->c, peer_address(client->peer), "c", NULL, NULL), 0);
  client_up(client);
}

/* Binary, with its QoS and flag on the wire; set while the connection is up it holds for the next one.
 * proves: NM-32 NM-33 NM-46x */
static void the_will_of_the_next_connect(void **state) {
  static const unsigned char bytes[] = {0, 0xff, 0};
  struct client *client = *state;
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "gone", bytes, sizeof(bytes), 2, true), 0);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 36 003c ='c' ='gone' 0003 00ff00");
  peer_send(client->peer, "20 02 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "late", NULL, 0, 0, false), 0);
  settle(client); /* the connection is not touched */
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 06 003c ='c' ='late' 0000");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, NULL, NULL, 0, 0, false), 0);
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='c'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "a/#", "x", 1, 0, false), MGOS_MQTT_BAD_TOPIC);
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "a", "x", 1, 3, false), MGOS_MQTT_BAD_QOS);
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "a", NULL, 1, 0, false), MGOS_MQTT_NULL_ARGUMENT);
  assert_int_equal(mgos_mqtt_conn_set_will(client->c, "a", "x", 65536, 0, false), MGOS_MQTT_TOO_LARGE);
}

/* Closed and connected again at once, on the same handle.
 * proves: NM-08 */
/* mqtt3: MQTT-3.14.4-1 MQTT-3.14.4-2 */
static void closed_and_connected_again_at_once(void **state) {
  struct client *client = *state;
  struct place a = PLACE(client, "a");
  client_up(client);
  mgos_mqtt_conn_disconnect(client->c);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &a), 0);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  /* It is told of the new connection, not of the one that was closing. */
  expect_trace(client, "a:ok:0 ");
  peer_done(client->peer, client->loop);
  assert_int_equal(peer_accepted(client->peer), 2);
}

/* The same while it was still on its way: the attempt that the application ended is not the one that it waits
 * for. */
static void given_up_and_connected_again_at_once(void **state) {
  struct client *client = *state;
  struct place list = PLACE(client, "list"), old = PLACE(client, "old"), new = PLACE(client, "new");
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, &list, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &old), 0);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_done(client->peer, client->loop);
  mgos_mqtt_conn_disconnect(client->c);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_ok, on_fail, &new), 0);
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  expect_trace(client, "list:CLOSED_BY_CLIENT:-1 old:fail:CLOSED_BY_CLIENT list:OK:0 new:ok:0 ");
  peer_done(client->peer, client->loop);
}

static void ask_for_another(struct place *place) {
  static struct place another;
  if (place->calls > 1) return;
  another = (struct place) PLACE(place->client, "another");
  assert_int_equal(mgos_mqtt_conn_connect_once(place->client->c, on_ok, on_fail, &another), 0);
}

/* Asked for by a handler that is just being told of a failure: the next attempt is meant, not the one that
 * failed. */
static void a_handler_asks_for_the_next_attempt(void **state) {
  struct client *client = *state;
  struct place list = PLACE(client, "list");
  retry(client, 2);
  list.also = ask_for_another;
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, &list, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  refuse(client, 3);
  peer_greet(client->peer);
  expect_trace(client, "list:REFUSED_UNAVAILABLE:3 list:OK:0 another:ok:0 ");
  peer_done(client->peer, client->loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_attempt_and_every_loss_is_told),
      TEST(every_message_comes_to_its_place),
      TEST(the_last_one_wins_and_null_clears),
      TEST(exactly_one_of_the_pair_is_called),
      TEST(ended_before_there_was_a_result),
      TEST(nothing_to_try),
      TEST(without_retry_each_attempt_is_asked_for),
      TEST(retry_only_once_it_was_up),
      TEST(address_identity_and_credentials_of_a_connect),
      TEST(a_server_for_a_connection_without_one),
      TEST(the_will_of_the_next_connect),
      TEST(closed_and_connected_again_at_once),
      TEST(given_up_and_connected_again_at_once),
      TEST(a_handler_asks_for_the_next_attempt),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
