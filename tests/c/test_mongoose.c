/*
 * The functions of Mongoose 6, by the names that applications use: mg_names.txt lists them, and each is
 * called here through its #define. Those that send are compared with the bytes that arrive.
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
#include "peer.h"

/* -- topics: the table of mgos_api.md 3.8, with the results of MQTT 3.1.1, section 4.7 -------------- */

static void topics_match_as_mqtt_says(void **state) {
  static const struct {
    const char *filter, *topic;
    int matches;
  } table[] = {
      {"a/b", "a/b", 1},     {"a/b", "a/b/", 0},
      {"a/b/", "a/b", 0},    {"a", "a/", 0},
      {"a/+", "a", 0},       {"a/+", "a/", 1},
      {"a/+", "a/b/", 0},    {"a/+/b", "a//b", 1},
      {"+", "/a", 0},        {"+/+", "/a", 1},
      {"/", "//", 0},        {"//", "/", 0},
      {"#", "a", 1},         {"#", "$SYS/x", 0},
      {"+/x", "$SYS/x", 0},  {"a/#", "a", 1},
      {"a/#", "ab", 0},      {"#", "", 0},
      {"+", "", 0},          {"", "a", 0},
      {"a/#/b", "a/x/b", 0}, {"a#", "a#", 0},
      {"a+", "a+", 0},       {"/+", "/a", 1},
      {"a/#", "a/b/c", 1},   {"$SYS/#", "$SYS/x", 1},
      {"A/b", "a/b", 0},     {"+/b/#", "a/b", 1},
      {"#", "/", 1},
  };
  size_t i;
  (void) state;
  for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    struct mg_str topic = mg_mk_str(table[i].topic);
    if (mg_mqtt_match_topic_expression(mg_mk_str(table[i].filter), topic) != table[i].matches ||
        mg_mqtt_vmatch_topic_expression(table[i].filter, topic) != table[i].matches) {
      fail_msg("'%s' and '%s' should give %d", table[i].filter, table[i].topic, table[i].matches);
    }
  }
  assert_int_equal(mg_mqtt_vmatch_topic_expression(NULL, mg_mk_str("a")), 0);
  assert_int_equal(mg_mqtt_match_topic_expression(mg_mk_str_n("a\xff", 2), mg_mk_str("a")), 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_UTF8);
}

/* -- time ------------------------------------------------------------------------------------------ */

static void time_is_the_time_of_day(void **state) {
  double before = (double) time(NULL), now = mg_time();
  (void) state;
  assert_true(now >= before && now < before + 60);
}

static void on_timer(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct client *client = ud;
  (void) nc;
  if (ev == MG_EV_TIMER) trace(client, "TIMER:%.0f", *(double *) ev_data);
}

static void timers_come_once(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  double at;
  char expected[64];
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mgos_mqtt_conn_add_handler(client->c, on_timer, client);
  assert_true(mg_set_timer(nc, mg_time() + 3600) == 0);
  assert_true(mg_set_timer(nc, 0) > mg_time()); /* taken back */
  at = mg_time() + 0.02;
  assert_true(mg_set_timer(nc, at) == 0);
  snprintf(expected, sizeof(expected), "TIMER:%.0f ", at);
  expect_trace(client, expected);
  assert_true(mg_time() >= at - 0.005);
  assert_true(mg_set_timer(nc, 0) == 0);
  settle(client);
  expect_trace(client, "");
}

/* -- connect hooks --------------------------------------------------------------------------------- */

struct hook {
  struct client *client;
  struct mg_connection *nc;
  struct mg_send_mqtt_handshake_opts opts; /* what the hook was given */
  char client_id[32];
  char strings[128];
  int calls;
  void (*answer)(struct hook *hook, struct mg_connection *nc, struct mg_send_mqtt_handshake_opts *opts);
};

static void on_connect(struct mg_connection *nc, const char *client_id,
                       struct mg_send_mqtt_handshake_opts *opts, void *arg) {
  struct hook *hook = arg;
  hook->nc = nc;
  hook->opts = *opts;
  hook->calls++;
  snprintf(hook->client_id, sizeof(hook->client_id), "%s", client_id);
  snprintf(hook->strings, sizeof(hook->strings), "%s %s %s %s", opts->will_topic ? opts->will_topic : "-",
           opts->will_message ? opts->will_message : "-", opts->user_name ? opts->user_name : "-",
           opts->password ? opts->password : "-");
  if (hook->answer != NULL) hook->answer(hook, nc, opts);
}

static void plain_handshake(struct hook *hook, struct mg_connection *nc,
                            struct mg_send_mqtt_handshake_opts *opts) {
  (void) hook;
  (void) opts;
  mg_send_mqtt_handshake(nc, "plain");
}

/* proves: MG-32 MG-33 */
static void hook_is_given_the_configuration(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, plain_handshake};
  client->cfg.user = "user";
  client->cfg.pass = "pass";
  client->cfg.will_topic = "will/topic";
  client->cfg.will_message = "gone";
  client->cfg.will_retain = 1;
  client->cfg.keep_alive = 17;
  client->options.will_qos = 2;
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  /* mg_send_mqtt_handshake(): a session to be kept, keep-alive 60, nothing else. */
  peer_expect(client->peer, "10 @ ='MQTT' 04 00 003c ='plain'");
  peer_send(client->peer, "20 02 00 00");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(hook.calls, 1);
  assert_string_equal(hook.client_id, "c");
  assert_string_equal(hook.strings, "will/topic gone user pass");
  assert_int_equal(hook.opts.flags, MG_MQTT_CLEAN_SESSION | MG_MQTT_WILL_RETAIN | 2 << 3);
  assert_int_equal(MG_MQTT_GET_WILL_QOS(hook.opts.flags), 2);
  assert_int_equal(hook.opts.keep_alive, 17);
  assert_ptr_equal(mgos_mqtt_conn_from_nc(hook.nc), client->c);
}

static void all_of_it(struct hook *hook, struct mg_connection *nc, struct mg_send_mqtt_handshake_opts *opts) {
  char topic[] = "w", message[] = "bye", user[] = "me", password[] = "";
  (void) hook;
  opts->flags = MG_MQTT_CLEAN_SESSION | MG_MQTT_WILL_RETAIN;
  MG_MQTT_SET_WILL_QOS(opts->flags, 1);
  opts->keep_alive = 0;
  opts->will_topic = topic;
  opts->will_message = message;
  opts->user_name = user;
  opts->password = password; /* an empty one is there */
  mg_set_protocol_mqtt(nc);
  mg_send_mqtt_handshake_opt(nc, "hooked", *opts);
  memset(message, 'x', 3); /* everything was copied */
}

static void hook_sends_what_it_likes(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, all_of_it};
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 ee 0000 ='hooked' ='w' ='bye' ='me' =''");
  peer_send(client->peer, "20 02 00 00");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_string_equal(hook.strings, "- - - -");
  /* A second CONNECT is refused, and nothing of it is sent. */
  mg_send_mqtt_handshake(hook.nc, "again");
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 0, false);
  peer_expect(client->peer, "30 @ ='t' 'x'");
  peer_done(client->peer, client->loop);
}

static void half_a_will(struct hook *hook, struct mg_connection *nc,
                        struct mg_send_mqtt_handshake_opts *opts) {
  (void) hook;
  opts->flags = MG_MQTT_CLEAN_SESSION;
  opts->will_topic = "w";
  opts->will_message = NULL;
  mg_send_mqtt_handshake_opt(nc, NULL, *opts);
}

static void will_needs_topic_and_message(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, half_a_will};
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c =''");
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
}

static void *answer_from_thread(void *arg) {
  struct hook *hook = arg;
  mg_send_mqtt_handshake_opt(hook->nc, "later", hook->opts);
  return NULL;
}

/* proves: MG-33 */
static void hook_answers_later_from_another_thread(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, NULL};
  pthread_t thread;
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  mgos_mqtt_conn_connect(client->c);
  UNTIL(client->loop, hook.calls == 1);
  assert_false(mgos_mqtt_conn_is_connected(client->c));
  hook.opts.user_name = "thread";
  peer_expect(client->peer, "10 @ ='MQTT' 04 82 003c ='later' ='thread'");
  peer_send(client->peer, "20 02 00 00");
  assert_int_equal(pthread_create(&thread, NULL, answer_from_thread, &hook), 0);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(pthread_join(thread, NULL), 0);
  peer_done(client->peer, client->loop);
}

/* What an attempt ended with. */
static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)));
}

static void abort_hook(struct hook *hook, struct mg_connection *nc,
                       struct mg_send_mqtt_handshake_opts *opts) {
  (void) hook;
  (void) opts;
  nc->flags |= MG_F_CLOSE_IMMEDIATELY;
}

static void hook_gives_the_attempt_up(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, abort_hook};
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  peer_expect_end(client->peer); /* not a byte was sent */
  mgos_mqtt_conn_connect(client->c);
  peer_done(client->peer, client->loop);
  expect_trace(client, "MGOS_MQTT_HOOK_ABORTED ");
  /* Without the hook it connects. */
  mgos_mqtt_conn_set_connect_fn(client->c, NULL, NULL);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "MGOS_MQTT_OK ");
}

static void hook_that_never_answers_times_out(void **state) {
  struct client *client = *state;
  struct hook hook = {NULL, NULL, {0, 0, NULL, NULL, NULL, NULL}, "", "", 0, NULL};
  struct mgos_mqtt_error_info info;
  client->options.connack_timeout_ms = 30;
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &hook);
  peer_accept(client->peer);
  peer_expect_end(client->peer);
  mgos_mqtt_conn_connect(client->c);
  expect_trace(client, "MGOS_MQTT_HOOK_TIMEOUT ");
  info.size = sizeof(info);
  assert_int_equal(mgos_mqtt_conn_last_error(client->c, &info), 0);
  assert_int_equal(info.code, MGOS_MQTT_HOOK_TIMEOUT);
  assert_int_equal(info.phase, MGOS_MQTT_PHASE_CONNECT);
  mgos_mqtt_conn_disconnect(client->c);
  peer_done(client->peer, client->loop);
  /* Too late. */
  mg_send_mqtt_handshake(hook.nc, "late");
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED);
}

/* -- raw packets ----------------------------------------------------------------------------------- */

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *m = ev_data;
  (void) nc;
  if (ev > MG_MQTT_EVENT_BASE && ev != MG_EV_MQTT_DISCONNECT && m->cmd != ev - MG_MQTT_EVENT_BASE) {
    trace(ud, "cmd %d", m->cmd);
  }
  if (ev == MG_EV_MQTT_SUBACK) {
    size_t i;
    trace(ud, "SUBACK:%d:%d", m->message_id, (int) m->payload.len);
    for (i = 0; i < m->payload.len; i++) trace(ud, "%02x", (unsigned char) m->payload.p[i]);
  } else if (ev == MG_EV_MQTT_PUBLISH) {
    trace(ud, "PUBLISH:%d:%d:%.*s:%.*s", m->qos, m->message_id, (int) m->topic.len, m->topic.p,
          (int) m->payload.len, m->payload.p);
  } else if (ev > MG_MQTT_EVENT_BASE && ev != MG_EV_MQTT_DISCONNECT) {
    trace(ud, "%s:%d", event_name(ev), m->message_id);
  }
}

static void raw_publish(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);

  mg_mqtt_publish(nc, "zero", 99, MG_MQTT_QOS(0), "x", 1);
  peer_expect(client->peer, "30 @ ='zero' 'x'");
  mg_mqtt_publish(nc, "kept", 0, MG_MQTT_RETAIN, NULL, 0);
  peer_expect(client->peer, "31 @ ='kept'");

  mg_mqtt_publish(nc, "one", 1000, MG_MQTT_QOS(1) | MG_MQTT_RETAIN, "y", 1);
  peer_expect(client->peer, "33 @ ='one' 03e8 'y'");
  peer_done(client->peer, client->loop);
  /* Its id is in use until PUBACK, for every call. */
  mg_mqtt_publish(nc, "one", 1000, MG_MQTT_QOS(1), "z", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_PACKET_ID_IN_USE);
  mg_mqtt_publish(nc, "two", 1000, MG_MQTT_QOS(2), "z", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_PACKET_ID_IN_USE);
  /* An application that sends it again by itself says so. */
  mg_mqtt_publish(nc, "one", 1000, MG_MQTT_QOS(1) | MG_MQTT_DUP, "y", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_expect(client->peer, "3a @ ='one' 03e8 'y'");
  peer_send(client->peer, "40 02 03e8");
  peer_done(client->peer, client->loop);
  expect_trace(client, "PUBACK:1000 ");
  mg_mqtt_publish(nc, "two", 1000, MG_MQTT_QOS(2), "z", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_expect(client->peer, "34 @ ='two' 03e8 'z'");
  peer_send(client->peer, "50 02 03e8");
  peer_expect(client->peer, "62 02 03e8");
  peer_done(client->peer, client->loop);
  expect_trace(client, "PUBREC:1000 ");
  mg_mqtt_publish(nc, "two", 1000, MG_MQTT_QOS(2), "z", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_PACKET_ID_IN_USE);
  peer_send(client->peer, "70 02 03e8");
  expect_trace(client, "PUBCOMP:1000 ");

  /* Ids of the library and of the application do not meet. */
  mg_mqtt_publish(nc, "one", (uint16_t) (mgos_mqtt_conn_get_packet_id(client->c) + 1), MG_MQTT_QOS(1), "", 0);
  peer_expect(client->peer, "32 @ ='one' 0002");
  assert_int_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("u"), 1, false), 3);
  peer_expect(client->peer, "32 @ ='t' 0003 'u'");
  mg_mqtt_publish(nc, "one", 3, MG_MQTT_QOS(1), "", 0);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_PACKET_ID_IN_USE);
  peer_done(client->peer, client->loop);
}

static void raw_ids_are_free_after_a_close(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mg_mqtt_publish(nc, "t", 7, MG_MQTT_QOS(1), "x", 1);
  peer_expect(client->peer, "32 @ ='t' 0007 'x'");
  peer_close(client->peer);
  peer_greet(client->peer);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_ptr_equal(mgos_mqtt_conn_nc(client->c), nc);
  /* Not sent again, and the id can be used. */
  mg_mqtt_publish(nc, "u", 7, MG_MQTT_QOS(1), "y", 1);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  peer_expect(client->peer, "32 @ ='u' 0007 'y'");
  peer_done(client->peer, client->loop);
}

/* proves: EI-20 NM-43 NM-49x */
static void raw_subscribe(void **state) {
  struct client *client = *state;
  struct mg_mqtt_topic_expression topics[3] = {{"a/+", 0}, {"b/#", 2}, {"c", 1}};
  char first[] = "a/+", second[] = "c";
  char *names[2];
  struct mg_connection *nc;
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mgos_mqtt_conn_add_handler(client->c, on_event, client);
  mg_mqtt_subscribe(nc, topics, 3, 5);
  peer_expect(client->peer, "82 @ 0005 ='a/+' 00 ='b/#' 02 ='c' 01");
  peer_done(client->peer, client->loop);
  mg_mqtt_subscribe(nc, topics, 1, 5);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_PACKET_ID_IN_USE);
  /* All return codes of the packet come together, and what arrives goes to the handlers of the connection. */
  peer_send(client->peer, "90 05 0005 00 80 01; 32 @ ='c' 0009 'm'");
  peer_expect(client->peer, "40 02 0009");
  peer_done(client->peer, client->loop);
  expect_trace(client, "SUBACK:5:3 00 80 01 PUBLISH:1:9:c:m ");
  names[0] = first;
  names[1] = second;
  mg_mqtt_unsubscribe(nc, names, 2, 5);
  peer_expect(client->peer, "a2 @ 0005 ='a/+' ='c'");
  peer_send(client->peer, "b0 02 0005");
  peer_done(client->peer, client->loop);
  expect_trace(client, "UNSUBACK:5 ");
  mg_mqtt_unsubscribe(nc, names, 1, 5);
  peer_expect(client->peer, "a2 @ 0005 ='a/+'");
  /* Not remembered: nothing is subscribed again. */
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  expect_trace(client, "CONNACK:0 ");
  settle(client);
}

static void raw_ping_and_disconnect(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mg_mqtt_ping(nc);
  peer_expect(client->peer, "c0 00");
  peer_send(client->peer, "d0 00");
  peer_done(client->peer, client->loop);
  settle(client);
  mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("last"), 0, false);
  mg_mqtt_disconnect(nc);
  peer_expect(client->peer, "30 @ ='t' 'last'; e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer); /* the reconnect policy goes on */
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  mgos_disconnect(nc);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* proves: EI-10 */
static void nothing_is_sent_while_it_is_down(void **state) {
  struct client *client = *state;
  struct mg_mqtt_topic_expression topic = {"a", 0};
  char name[] = "a";
  char *names[1];
  struct mg_connection *nc;
  client_up(client);
  nc = mgos_mqtt_conn_nc(client->c);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  names[0] = name;
#define REFUSED(call) \
  call;               \
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_CONNECTED)
  REFUSED(mg_mqtt_publish(nc, "t", 1, 0, "x", 1));
  REFUSED(mg_mqtt_publish(nc, "t", 1, MG_MQTT_QOS(1), "x", 1));
  REFUSED(mg_mqtt_subscribe(nc, &topic, 1, 1));
  REFUSED(mg_mqtt_unsubscribe(nc, names, 1, 1));
  REFUSED(mg_mqtt_ping(nc));
  REFUSED(mg_mqtt_puback(nc, 1));
  REFUSED(mg_mqtt_pubrec(nc, 1));
  REFUSED(mg_mqtt_pubrel(nc, 1));
  REFUSED(mg_mqtt_pubcomp(nc, 1));
  REFUSED(mg_send_mqtt_handshake(nc, "x"));
#undef REFUSED
  peer_greet(client->peer);
  mgos_mqtt_conn_connect(client->c);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  settle(client);
}

/* -- acknowledgements ------------------------------------------------------------------------------ */

static void on_message_ack(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *m = ev_data;
  struct client *client = ud;
  uint16_t id = ev == MG_EV_POLL || ev == MG_EV_CLOSE ? 0 : m->message_id;
  switch (ev) {
    case MG_EV_MQTT_PUBLISH:
      /* What is sent from here goes before the acknowledgement, which comes after the handlers. */
      mgos_mqtt_conn_pub(client->c, "from", mg_mk_str("handler"), 0, false);
      mg_mqtt_puback(nc, id);
      mg_mqtt_puback(nc, id);
      mg_mqtt_pubrec(nc, id);
      mg_mqtt_puback(nc, 4711);
      break;
    case MG_EV_MQTT_PUBREC:
      mg_mqtt_pubrel(nc, id);
      break;
    case MG_EV_MQTT_PUBREL:
      mg_mqtt_pubcomp(nc, id);
      break;
    default:
      return;
  }
  trace(client, "%s:%d", event_name(ev), id);
}

/* proves: MG-57x */
static void each_message_is_acknowledged_once_after_its_handlers(void **state) {
  struct client *client = *state;
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_message_ack, client);
  peer_send(client->peer, "32 @ ='in' 0011 '1'");
  peer_expect(client->peer, "30 @ ='from' 'handler'; 40 02 0011");
  peer_send(client->peer, "34 @ ='in' 0012 '2'");
  peer_expect(client->peer, "30 @ ='from' 'handler'; 50 02 0012");
  peer_send(client->peer, "3c @ ='in' 0012 '2'"); /* the same again: acknowledged, not delivered */
  peer_expect(client->peer, "50 02 0012");
  peer_send(client->peer, "62 02 0012");
  peer_expect(client->peer, "70 02 0012");
  peer_send(client->peer, "62 02 0012"); /* an exchange that is over already */
  peer_expect(client->peer, "70 02 0012");
  peer_send(client->peer, "30 @ ='in' '0'");
  peer_expect(client->peer, "30 @ ='from' 'handler'");
  peer_done(client->peer, client->loop);
  assert_non_null(strstr(client->trace, "PUBLISH:17 PUBLISH:18 PUBREL:18 "));
  client->trace[0] = '\0';
  /* Our own QoS 2 message: one PUBREL. */
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "out", mg_mk_str("x"), 2, false), 0);
  peer_expect(client->peer, "34 @ ='out' 00 ?? 'x'");
  peer_done(client->peer, client->loop);
  expect_trace(client, "");
}

/* -- the fields of nc ------------------------------------------------------------------------------ */

struct closer {
  struct client *client;
  int at; /* the event at which the flag is set */
  unsigned long flag;
  bool done;
};

static void on_event_close(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct closer *closer = ud;
  (void) ev_data;
  if (ev == closer->at && !closer->done) {
    closer->done = true;
    nc->flags |= closer->flag;
  }
}

static void on_library_event_close(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  on_event_close(mgos_mqtt_conn_nc(c), MG_EV_MQTT_PUBLISH, NULL, ud);
}

/* Brings the event about that the flag is set at, then sees the link close as the flag says, and come back.
 */
static void close_at(void **state, int at, unsigned long flag) {
  struct client *client = *state;
  struct closer closer = {client, at, flag, false};
  bool softly = (flag & MG_F_CLOSE_IMMEDIATELY) == 0;
  client->cfg.clean_session = 0; /* the server will say that it kept the session */
  client_renew(client);
  if (at == MG_EV_MQTT_CONNACK) {
    mgos_mqtt_conn_add_handler(client->c, on_event_close, &closer);
    peer_greet(client->peer);
    mgos_mqtt_conn_connect(client->c);
  } else {
    client_up(client);
    mgos_mqtt_conn_add_handler(client->c, on_event_close, &closer);
  }
  switch (at) {
    case MG_EV_MQTT_PUBLISH:
      peer_send(client->peer, "30 @ ='t' 'x'");
      break;
    case MG_EV_MQTT_PUBACK:
      mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
      peer_expect(client->peer, "32 @ ='t' 0001 'x'");
      peer_send(client->peer, "40 02 0001");
      break;
    case MG_EV_MQTT_PUBREC:
    case MG_EV_MQTT_PUBCOMP:
      mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 2, false);
      peer_expect(client->peer, "34 @ ='t' 0001 'x'");
      peer_send(client->peer, "50 02 0001");
      /* Closing at once comes before everything that is not written yet. */
      if (softly || at == MG_EV_MQTT_PUBCOMP) peer_expect(client->peer, "62 02 0001");
      if (at == MG_EV_MQTT_PUBCOMP) peer_send(client->peer, "70 02 0001");
      break;
    case MG_EV_MQTT_PUBREL:
      peer_send(client->peer, "34 @ ='t' 0001 'x'");
      peer_expect(client->peer, "50 02 0001");
      peer_send(client->peer, "62 02 0001");
      if (softly) peer_expect(client->peer, "70 02 0001");
      break;
    case MG_EV_TIMER:
      mg_set_timer(mgos_mqtt_conn_nc(client->c), mg_time() + 0.01);
      break;
    default:
      break;
  }
  if (softly) peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00");
  if (at == MG_EV_MQTT_PUBREC) peer_expect(client->peer, "62 02 0001");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_true(closer.done);
  assert_int_equal(mgos_mqtt_conn_nc(client->c)->flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY), 0);
}

#define CLOSE_AT(event)                               \
  static void close_hard_at_##event(void **state) {   \
    close_at(state, event, MG_F_CLOSE_IMMEDIATELY);   \
  }                                                   \
  static void close_softly_at_##event(void **state) { \
    close_at(state, event, MG_F_SEND_AND_CLOSE);      \
  }
CLOSE_AT(MG_EV_POLL)
CLOSE_AT(MG_EV_TIMER)
CLOSE_AT(MG_EV_MQTT_CONNACK)
CLOSE_AT(MG_EV_MQTT_PUBLISH)
CLOSE_AT(MG_EV_MQTT_PUBACK)
CLOSE_AT(MG_EV_MQTT_PUBREC)
CLOSE_AT(MG_EV_MQTT_PUBREL)
CLOSE_AT(MG_EV_MQTT_PUBCOMP)

static void close_in_message_handlers(void **state) {
  struct client *client = *state;
  struct closer closer = {client, MG_EV_MQTT_PUBLISH, MG_F_CLOSE_IMMEDIATELY, false};
  client_up(client);
  mgos_mqtt_conn_sub(client->c, "s", 1, on_event_close, &closer);
  peer_expect(client->peer, "82 @ 0001 ='s' 01");
  peer_send(client->peer, "90 03 0001 01");
  /* Two messages in one segment: the second one, of a connection that was ended, is not delivered. */
  peer_send(client->peer, "32 @ ='s' 0005 'x'; 32 @ ='s' 0006 'y'");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0002 ='s' 01");
  peer_send(client->peer, "90 03 0002 01");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_true(closer.done);
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, on_library_event_close, &closer, NULL);
  closer.done = false;
  closer.flag = MG_F_SEND_AND_CLOSE;
  peer_send(client->peer, "30 @ ='other' 'x'");
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0003 ='s' 01");
  peer_done(client->peer, client->loop);
}

static void on_limit(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *m = ev_data;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  trace(ud, "%d", (int) m->payload.len);
  nc->recv_mbuf_limit = 100;
}

/*
 * field: F-19
 *
 * An application's timer, on the loop's thread but in no callback, with no handler that ever gets `nc`.
 */
static void flags_set_outside_of_callbacks_are_obeyed(void **state) {
  struct client *client = *state;
  struct mg_connection *nc;
  client_up(client);
  settle(client);
  nc = mgos_mqtt_conn_nc(client->c);
  nc->flags |= MG_F_SEND_AND_CLOSE;
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_greet(client->peer);
  /* Seen before it sleeps. */
  mgos_mqtt_loop_poll(client->loop, -1);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(nc->flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY), 0);
  nc->flags |= MG_F_CLOSE_IMMEDIATELY;
  peer_expect_end(client->peer);
  mgos_mqtt_loop_poll(client->loop, -1);
  peer_done(client->peer, client->loop);
}

static void receive_limit_can_be_raised_in_a_handler(void **state) {
  struct client *client = *state;
  client->cfg.recv_mbuf_limit = 20;
  client_renew(client);
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_nc(client->c)->recv_mbuf_limit, 20);
  mgos_mqtt_conn_add_handler(client->c, on_limit, client);
  /* Too large: skipped, acknowledged, and the link lives. */
  peer_send(client->peer, "32 @ ='t' 0001 '123456789012345678901234567890'; 30 @ ='t' '1'");
  peer_expect(client->peer, "40 02 0001");
  peer_done(client->peer, client->loop);
  expect_trace(client, "1 ");
  peer_send(client->peer, "32 @ ='t' 0002 '123456789012345678901234567890'");
  peer_expect(client->peer, "40 02 0002");
  peer_done(client->peer, client->loop);
  expect_trace(client, "30 ");
  /* The next connection begins with the configuration. */
  peer_close(client->peer);
  peer_greet(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_nc(client->c)->recv_mbuf_limit, 20);
}

static void on_send_mbuf(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  const struct mg_mqtt_message *m = ev_data;
  struct client *client = ud;
  if (ev != MG_EV_MQTT_PUBLISH) return;
  trace(client, "%d/%d", (int) nc->send_mbuf.len, (int) nc->recv_mbuf.len);
  if (m->payload.len == 1) mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("0123456789"), 0, false);
}

static void send_mbuf_tells_what_waits(void **state) {
  struct client *client = *state;
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_send_mbuf, client);
  /* What the first handler published (15 bytes) waits until the second one ran. */
  peer_send(client->peer, "30 @ ='a' '1'; 30 @ ='a' '22'");
  peer_expect(client->peer, "30 @ ='t' '0123456789'");
  peer_done(client->peer, client->loop);
  expect_trace(client, "0/0 15/0 ");
  assert_int_equal(mgos_mqtt_conn_num_unsent_bytes(client->c), 0);
}

static void on_flags(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct client *client = ud;
  (void) ev_data;
  if (ev == MG_EV_MQTT_CONNACK) {
    trace(client, "%lx", nc->flags);
    nc->flags |= MG_F_USER_1;
    nc->user_data = client;
  } else if (ev == MG_EV_CLOSE) {
    trace(client, "%s%s", nc->flags & MG_F_USER_1 ? "user" : "none", nc->user_data == client ? "+" : "-");
  }
}

static void fields_of_the_application_stay(void **state) {
  struct client *client = *state;
  mgos_mqtt_conn_add_handler(client->c, on_flags, client);
  client_up(client);
  expect_trace(client, "0 ");
  assert_ptr_equal(mgos_mqtt_conn_from_nc(mgos_mqtt_conn_nc(client->c)), client->c);
  assert_true(mgos_mqtt_conn_nc(client->c)->mgr == (struct mg_mgr *) client->loop);
  peer_close(client->peer);
  expect_trace(client, "user+ ");
  mgos_mqtt_conn_disconnect(client->c);
}

/* -- poll callbacks -------------------------------------------------------------------------------- */

static void count(void *ud) {
  ++*(int *) ud;
}

static void poll_callbacks_come_and_go(void **state) {
  int first = 0, second = 0, rounds;
  (void) state;
  mgos_add_poll_cb(count, &first);
  mgos_add_poll_cb(count, &second);
  /* Where a call takes long, as under valgrind, not each of them comes in each round. */
  for (rounds = 0; rounds < 100 && (first == 0 || second == 0); rounds++) mgos_mongoose_poll(0);
  assert_int_not_equal(first, 0);
  assert_int_not_equal(second, 0);
  mgos_remove_poll_cb(count, &first);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_OK);
  first = second = 0;
  for (rounds = 0; rounds < 100 && second == 0; rounds++) mgos_mongoose_poll(0);
  assert_int_not_equal(second, 0);
  mgos_remove_poll_cb(count, &first);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NOT_FOUND);
  mgos_remove_poll_cb(count, &second);
  second = 0;
  mgos_mongoose_poll(0);
  assert_int_equal(first, 0);
  assert_int_equal(second, 0);
}

/* -- the list -------------------------------------------------------------------------------------- */

/* Appends the words that follow `prefix` at the start of the lines of a file, one a line. */
static void names_in(char *names, const char *directory, const char *file, const char *prefix) {
  char line[256], path[1024];
  size_t n = strlen(prefix);
  FILE *in;
  snprintf(path, sizeof(path), "%s/%s", directory == NULL ? "" : directory, file);
  in = fopen(path, "r");
  if (in == NULL) fail_msg("cannot read %s; MG_NAMES and MG_HEADERS say where it is", path);
  while (fgets(line, sizeof(line), in) != NULL) {
    if (strncmp(line, prefix, n) != 0 || strncmp(line + n, "mg_", 3) != 0) continue;
    line[n + strcspn(line + n, " \n")] = '\0';
    strcat(names, line + n);
    strcat(names, "\n");
  }
  fclose(in);
}

static void the_list_is_the_header(void **state) {
  char list[8192] = "", headers[8192] = "";
  (void) state;
  names_in(list, getenv("MG_NAMES"), "mg_names.txt", "");
  names_in(headers, getenv("MG_HEADERS"), "mgos_mg_str.h", "#define ");
  names_in(headers, getenv("MG_HEADERS"), "mgos_mongoose.h", "#define ");
  assert_string_equal(list, headers);
  assert_int_not_equal(strlen(list), 0);
}

static void the_loop_is_the_manager(void **state) {
  (void) state;
  assert_non_null(mgos_get_mgr());
  assert_ptr_equal(mgos_get_mgr(), mgos_get_mgr());
  assert_int_equal(mongoose_poll(0), 0);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)
#define CLOSES_AT(event) WITH_CLIENT(close_hard_at_##event), WITH_CLIENT(close_softly_at_##event)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_list_is_the_header),
      cmocka_unit_test(topics_match_as_mqtt_says),
      cmocka_unit_test(time_is_the_time_of_day),
      cmocka_unit_test(the_loop_is_the_manager),
      WITH_CLIENT(timers_come_once),
      WITH_CLIENT(hook_is_given_the_configuration),
      WITH_CLIENT(hook_sends_what_it_likes),
      WITH_CLIENT(will_needs_topic_and_message),
      WITH_CLIENT(hook_answers_later_from_another_thread),
      WITH_CLIENT(hook_gives_the_attempt_up),
      WITH_CLIENT(hook_that_never_answers_times_out),
      WITH_CLIENT(raw_publish),
      WITH_CLIENT(raw_ids_are_free_after_a_close),
      WITH_CLIENT(raw_subscribe),
      WITH_CLIENT(raw_ping_and_disconnect),
      WITH_CLIENT(nothing_is_sent_while_it_is_down),
      WITH_CLIENT(each_message_is_acknowledged_once_after_its_handlers),
      CLOSES_AT(MG_EV_POLL),
      CLOSES_AT(MG_EV_TIMER),
      CLOSES_AT(MG_EV_MQTT_CONNACK),
      CLOSES_AT(MG_EV_MQTT_PUBLISH),
      CLOSES_AT(MG_EV_MQTT_PUBACK),
      CLOSES_AT(MG_EV_MQTT_PUBREC),
      CLOSES_AT(MG_EV_MQTT_PUBREL),
      CLOSES_AT(MG_EV_MQTT_PUBCOMP),
      WITH_CLIENT(close_in_message_handlers),
      WITH_CLIENT(flags_set_outside_of_callbacks_are_obeyed),
      WITH_CLIENT(receive_limit_can_be_raised_in_a_handler),
      WITH_CLIENT(send_mbuf_tells_what_waits),
      WITH_CLIENT(fields_of_the_application_stay),
      cmocka_unit_test(poll_callbacks_come_and_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
