/* The calls that open and close a connection, one after the other: what the headers say of each holds, whatever was
 * called before. tests/virtual_time/course.rs has every order from every state, in virtual time; this is the same library
 * by its C interface, with the calls that only it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_subscribe.h>
#include "peer.h"

static void ignore(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

/* The `nc` of a connection that was never up. */
static struct mg_connection *the_nc;

static void keep_nc(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) ev, (void) ev_data, (void) ud;
  the_nc = nc;
}

/* The connection comes up, with the CONNECT of this client. */
static void comes_up_as(struct client *client, const char *client_id) {
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 04 02 003c ='%s'", client_id);
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* Nothing is wanted, and nothing is waited for. */
static void stays_down(struct client *client) {
  int i;
  UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c));
  for (i = 0; i < 20; i++) mgos_mqtt_loop_poll(client->loop, 1);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
}

/* There is no link to be closed, so the attempt that was asked for is still to come.
 * field: F-13 */
static void closing_nothing_takes_no_attempt_back(void **state) {
  struct client *client = *state;
  mgos_mqtt_conn_add_handler(client->c, keep_nc, NULL);
  client_up(client);
  mgos_mqtt_conn_disconnect(client->c);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  stays_down(client);
  assert_non_null(the_nc);

  assert_true(mgos_mqtt_conn_connect(client->c));
  mgos_disconnect(the_nc);
  assert_int_equal(mgos_mqtt_loop_timeout(client->loop), 0);
  comes_up_as(client, "c");
}

/* The application wanted its will to be published: no later call sends DISCONNECT.
 * field: F-14 */
static void an_abort_stays_one(void **state) {
  struct client *client = *state;
  int i;
  for (i = 0; i < 5; i++) {
    client_up(client);
    mgos_mqtt_conn_abort(client->c);
    switch (i) {
      case 0:
        assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
        break;
      case 1:
        mgos_mqtt_conn_disconnect(client->c);
        break;
      case 2:
        assert_int_equal(mgos_mqtt_conn_set_server(client->c, NULL, NULL, NULL, NULL), 0);
        break;
      case 3:
        mgos_disconnect(mgos_mqtt_conn_nc(client->c));
        break;
      default:
        /* Enough to be written at once, and too much for an abort. */
        mgos_mqtt_conn_disconnect(client->c);
        mgos_mqtt_conn_pub(client->c, "t", mg_mk_str_n((char[200000]){0}, 200000), 0, false);
        break;
    }
    peer_expect_end(client->peer);
    peer_done(client->peer, client->loop);
    stays_down(client);
  }
}

/* The softer call first, the harder before the loop had a turn.
 * field: F-14 */
static void an_abort_overtakes_a_disconnect(void **state) {
  struct client *client = *state;
  client_up(client);
  mgos_mqtt_conn_disconnect(client->c);
  mgos_mqtt_conn_abort(client->c);
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  stays_down(client);
}

/* Closed, then opened again by mgos_mqtt_conn_reconnect(): so a later configuration is opened, too.
 * field: F-15 */
static void reconnect_takes_a_disconnect_back(void **state) {
  struct client *client = *state;
  struct mgos_config_mqtt cfg = client->cfg;
  struct client global = *client;
  client_up(client);
  mgos_mqtt_conn_disconnect(client->c);
  mgos_mqtt_conn_reconnect(client->c);
  assert_int_equal(mgos_mqtt_last_error(), 0);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  comes_up_as(client, "c");
  mgos_mqtt_conn_abort(client->c);
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);

  /* The global connection comes by itself, unless it was closed: and that is taken back, even in vain. */
  global.loop = NULL;
  global.c = mgos_mqtt_global();
  mgos_mqtt_conn_disconnect(global.c);
  cfg.client_id = "g";
  assert_true(mgos_mqtt_set_config(&cfg));
  stays_down(&global);
  cfg.enable = 0;
  assert_true(mgos_mqtt_set_config(&cfg));
  mgos_mqtt_conn_reconnect(global.c);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_DISABLED);
  stays_down(&global);
  cfg.enable = 1;
  assert_true(mgos_mqtt_set_config(&cfg));
  comes_up_as(&global, "g");
  assert_int_equal(mgos_mqtt_deinit(0), 0);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

static int state_of(struct client *client);

/* -- every order --------------------------------------------------------------------------------- */

enum { CONNECT, DISCONNECT, ABORT, RECONNECT, SET_CONFIG, SET_OPTIONS, SET_SERVER, DROP, FREE, CALLS };

/* Makes the call. `*wanted` is what the headers say about whether the connection is to be up then. */
static void make(struct client *client, int call, bool *wanted) {
  struct mgos_mqtt_options options = {.size = sizeof(options), .jitter_percent = -1, .poll_tick_ms = -1};
  switch (call) {
    case CONNECT:
      assert_true(mgos_mqtt_conn_connect(client->c));
      *wanted = true;
      break;
    case DISCONNECT:
      mgos_mqtt_conn_disconnect(client->c);
      *wanted = false;
      break;
    case ABORT:
      mgos_mqtt_conn_abort(client->c);
      *wanted = false;
      break;
    case RECONNECT:
      mgos_mqtt_conn_reconnect(client->c);
      *wanted = true;
      break;
    case SET_CONFIG:
      assert_true(mgos_mqtt_conn_set_config(client->c, &client->cfg));
      break;
    case SET_OPTIONS:
      assert_int_equal(mgos_mqtt_conn_set_options(client->c, &options), 0);
      break;
    case SET_SERVER:
      assert_int_equal(mgos_mqtt_conn_set_server(client->c, NULL, "other", NULL, NULL), 0);
      break;
    case DROP:
      mgos_disconnect(the_nc);
      break;
    default:
      mgos_mqtt_conn_free(client->c);
      client->c = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
      mgos_mqtt_conn_add_handler(client->c, ignore, NULL);
      the_nc = NULL;
      *wanted = false;
      break;
  }
}

/* field: F-13 F-15 */
static void every_order_of_three_calls(void **state) {
  struct client *client = *state;
  bool slow = getenv("MGOS_MQTT_TEST_SLOW") != NULL;
  int first, second, third, up;
  peer_serve(client->peer);
  for (up = 0; up < 2; up++) {
    for (first = 0; first < CALLS; first++) {
      for (second = 0; second < CALLS; second++) {
        for (third = 0; third < CALLS; third++) {
          int calls[3] = {first, second, third}, i;
          bool wanted = up;
          /* Under valgrind some of them, others with each beginning. */
          if (slow && (first * CALLS * CALLS + second * CALLS + third) % 13 != up) continue;
          client_renew(client);
          mgos_mqtt_conn_add_handler(client->c, keep_nc, NULL);
          the_nc = NULL;
          if (up) {
            assert_true(mgos_mqtt_conn_connect(client->c));
            UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
          }
          for (i = 0; i < 3; i++) make(client, calls[i], &wanted);
          if (wanted) {
            UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_UP);
          } else {
            UNTIL(client->loop, !mgos_mqtt_conn_is_connected(client->c) &&
                                    mgos_mqtt_loop_timeout(client->loop) == -1);
          }
        }
      }
    }
  }
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  peer_serve_end(client->peer);
}

/* -- hooks --------------------------------------------------------------------------------------- */

/* What the credentials function was asked with. */
static uint64_t asked[8];
static int questions;

static void ask(struct mgos_mqtt_conn *c, uint64_t attempt, void *ud) {
  (void) c, (void) ud;
  asked[questions++ % 8] = attempt;
}

static int freed;

static void count_free(void *ud) {
  (void) ud;
  freed++;
}

static uint64_t told_attempt;

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
  told_attempt = mgos_mqtt_event_attempt_number(ev);
}

static int answer(struct client *client, uint64_t attempt, const char *password, double valid_until) {
  struct mgos_mqtt_credentials credentials = {.size = sizeof(credentials),
                                               .user = "u",
                                               .password = password,
                                               .password_len = strlen(password),
                                               .valid_until = valid_until};
  return mgos_mqtt_conn_answer(client->c, attempt, &credentials);
}

static void expect_connect_with(struct client *client, const char *password) {
  peer_expect(client->peer, "10 @ ='MQTT' 04 c2 003c ='c' ='u' ='%s'", password);
}

static const char *error_text(struct client *client) {
  static char text[512];
  mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text));
  return text;
}

static int state_of(struct client *client) {
  struct mgos_mqtt_state now = {.size = sizeof(now)};
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  return now.state;
}

/* An answer is for the attempt that asked: what comes later is refused, and goes into no other CONNECT.
 * field: F-34 */
static void a_late_answer_is_stale(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_conn *gone;
  questions = freed = 0;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, client, NULL);
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask, NULL, count_free), 0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 1);
  assert_int_equal(state_of(client), MGOS_MQTT_STATE_AWAITING_HOOK);
  /* The attempt ends before it is answered, and another asks. */
  peer_close(client->peer);
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 2);
  expect_trace(client, "CLOSED_BY_SERVER ");
  assert_true(told_attempt == asked[0] && asked[1] == asked[0] + 1);
  assert_int_equal(answer(client, asked[0], "old", 0), MGOS_MQTT_STALE);
  assert_int_equal(answer(client, asked[1] + 1, "early", 0), MGOS_MQTT_STALE);
  assert_int_equal(answer(client, asked[1], "new", 0), 0);
  assert_int_equal(answer(client, asked[1], "twice", 0), MGOS_MQTT_STALE);
  expect_connect_with(client, "new");
  peer_send(client->peer, "20 02 00 00");
  expect_trace(client, "OK ");
  assert_true(told_attempt == asked[1]);
  assert_int_equal(answer(client, asked[1], "again", 0), MGOS_MQTT_STALE);
  /* NULL gives one up, and the next asks anew. */
  peer_close(client->peer);
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 3);
  assert_int_equal(mgos_mqtt_conn_answer(client->c, asked[2], NULL), 0);
  peer_expect_end(client->peer);
  expect_trace(client, "HOOK_ABORTED ");
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 4);
  /* After the end there is nothing that an answer could reach. */
  gone = client->c;
  mgos_mqtt_conn_free(client->c);
  client->c = NULL;
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_answer(gone, asked[3], NULL), MGOS_MQTT_BAD_ARGUMENT);
  assert_int_equal(freed, 1);
}

/* What holds for a time is not asked for again, until the server refuses it.
 * field: F-34 */
static void credentials_hold_as_long_as_they_say(void **state) {
  struct client *client = *state;
  int i;
  questions = 0;
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask, NULL, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 1);
  assert_int_equal(answer(client, asked[0], "day", mg_time() + 86400), 0);
  for (i = 0; i < 3; i++) {
    expect_connect_with(client, "day");
    peer_send(client->peer, i < 2 ? "20 02 00 00" : "20 02 00 04");
    if (i < 2) peer_close(client->peer);
    if (i < 2) peer_accept(client->peer);
  }
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 2);
  assert_int_equal(answer(client, asked[1], "past", mg_time() - 1), 0);
  expect_connect_with(client, "past");
  peer_close(client->peer);
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 3);
  peer_done(client->peer, client->loop);
}

static struct mg_connection *hooked_nc;
static struct mg_send_mqtt_handshake_opts kept_opts;
static const char *kept_id;

static void keep_opts(struct mg_connection *nc, const char *client_id, struct mg_send_mqtt_handshake_opts *opts,
                      void *ud) {
  (void) ud;
  hooked_nc = nc;
  kept_id = client_id;
  kept_opts = *opts;
}

/* The strings that a hook was given live until its attempt is over. Under valgrind this reads freed memory if they do not.
 * field: F-35 */
static void a_hook_may_keep_its_strings(void **state) {
  struct client *client = *state;
  client->cfg.will_topic = "will";
  client->cfg.will_message = "gone";
  client->cfg.user = "user";
  client->cfg.pass = "pass";
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, keep_opts, NULL);
  hooked_nc = NULL;
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_accept(client->peer);
  UNTIL(client->loop, hooked_nc != NULL);
  assert_int_equal(state_of(client), MGOS_MQTT_STATE_AWAITING_HOOK);
  assert_string_equal(kept_opts.will_message, "gone");
  mg_send_mqtt_handshake_opt(hooked_nc, kept_id, kept_opts);
  assert_int_equal(mgos_mqtt_last_error(), 0);
  peer_expect(client->peer, "10 @ ='MQTT' 04 c6 003c ='c' ='will' ='gone' ='user' ='pass'");
  peer_send(client->peer, "20 02 00 00");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

static void send_rubbish(struct mg_connection *nc, const char *client_id,
                         struct mg_send_mqtt_handshake_opts *opts, void *ud) {
  (void) ud, (void) client_id;
  opts->will_topic = "no/#/topic";
  opts->will_message = "x";
  mg_send_mqtt_handshake_opt(nc, "c", *opts);
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_TOPIC);
}

static void do_nothing(struct mg_connection *nc, const char *client_id, struct mg_send_mqtt_handshake_opts *opts,
                       void *ud) {
  (void) nc, (void) client_id, (void) opts, (void) ud;
}

/* It is not the server that is silent; and what was refused will not get better.
 * field: F-36 */
static void a_hook_that_fails_is_named(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_credentials bad = {.size = sizeof(bad), .user = "\xff"};
  client->options.retry = 2;
  client->options.connack_timeout_ms = 30;
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, do_nothing, NULL);
  peer_accept(client->peer);
  peer_expect_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, -1), MGOS_MQTT_HOOK_TIMEOUT);
  assert_non_null(strstr(error_text(client), "the connect hook did not answer"));

  mgos_mqtt_conn_set_connect_fn(client->c, NULL, NULL);
  questions = 0;
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask, NULL, NULL), 0);
  peer_accept(client->peer);
  peer_expect_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, -1), MGOS_MQTT_HOOK_TIMEOUT);
  assert_non_null(strstr(error_text(client), "the credentials hook did not answer"));

  /* Without a time-out: a refused call is the end. */
  client->options.connack_timeout_ms = -1;
  client_renew(client);
  mgos_mqtt_conn_set_connect_fn(client->c, send_rubbish, NULL);
  peer_accept(client->peer);
  peer_expect_end(client->peer);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, -1), MGOS_MQTT_BAD_TOPIC);
  assert_non_null(strstr(error_text(client), "connect hook"));
  mgos_mqtt_conn_set_connect_fn(client->c, NULL, NULL);
  questions = 0;
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask, NULL, NULL), 0);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_accept(client->peer);
  UNTIL(client->loop, questions == 1);
  assert_int_equal(mgos_mqtt_conn_answer(client->c, asked[0], &bad), MGOS_MQTT_BAD_UTF8);
  peer_expect_end(client->peer);
  UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_IDLE);
  assert_non_null(strstr(error_text(client), "credentials hook"));
  peer_done(client->peer, client->loop);
}

/* -- what can be seen ---------------------------------------------------------------------------- */

static char warnings[4096];

static void on_log(int level, int conn_id, const char *text, void *ud) {
  size_t n = strlen(warnings);
  (void) conn_id, (void) ud;
  if (level <= 1) snprintf(warnings + n, sizeof(warnings) - n, "%s\n", text);
}

/* A message and a subscription that wait for a connection which nobody will open: said once, and which of the two reasons it
 * is; and what is enabled later is opened.
 * field: F-60 */
static void what_nobody_opens_is_said(void **state) {
  struct client *client = *state;
  struct client global = *client;
  char text[256];
  mgos_mqtt_deinit(-1);
  warnings[0] = '\0';
  assert_int_equal(mgos_mqtt_loop_set_log(NULL, 1, on_log, NULL, NULL), 0);
  global.loop = NULL;
  mgos_sys_config_set_mqtt_enable(0);
  mgos_sys_config_set_mqtt_server(client->cfg.server);
  mgos_sys_config_set_mqtt_client_id("late");
  mgos_mqtt_sub("a/#", NULL, NULL);
  mgos_mqtt_init();
  global.c = mgos_mqtt_global();
  assert_true(mgos_mqtt_pub("a", "x", 1, 1, false) > 0);
  UNTIL(NULL, strstr(warnings, "nobody will open") != NULL);
  assert_non_null(strstr(warnings, "enable of its configuration is 0"));
  warnings[0] = '\0';
  assert_true(mgos_mqtt_pub("a", "x", 1, 1, false) > 0);
  stays_down(&global);
  assert_null(strstr(warnings, "nobody will open")); /* once is enough */
  assert_false(mgos_mqtt_global_connect());
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_DISABLED);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "enable"));
  mgos_sys_config_set_mqtt_server(NULL);
  mgos_sys_config_set_mqtt_enable(1);
  assert_false(mgos_mqtt_global_connect());
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "no server"));
  /* After the first poll, and without another call. */
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  mgos_sys_config_set_mqtt_server(client->cfg.server);
  peer_done(client->peer, NULL);
  assert_int_equal(mgos_mqtt_deinit(-1), 0);
  mgos_mqtt_loop_set_log(NULL, -1, NULL, NULL, NULL);
  mgos_sys_config_set_mqtt_enable(0);
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

static int count_of(const char *text) {
  int n = 0;
  for (const char *at = warnings; (at = strstr(at, text)) != NULL; at++) n++;
  return n;
}

/* A connection that was made without a server has some time to get one. Who waits for it is told at once.
 * field: F-60 */
static void a_connection_without_a_server_says_so(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_state now = {.size = sizeof(now)};
  struct mgos_mqtt_conn *c;
  warnings[0] = '\0';
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, 1, on_log, NULL, NULL), 0);
  for (int waits = 0; waits < 2; waits++) {
    c = mgos_mqtt_conn_create_on(client->loop, 2, NULL);
    mgos_mqtt_conn_sub(c, "a", 1, NULL, NULL);
    assert_true(mgos_mqtt_conn_pub(c, "a", mg_mk_str("x"), 1, false) > 0);
    assert_int_equal(mgos_mqtt_conn_state(c, &now), 0);
    assert_non_null(strstr(now.text, "it has no server"));
    if (waits) assert_int_equal(mgos_mqtt_conn_flush(c, 1), MGOS_MQTT_TIMED_OUT);
    mgos_mqtt_loop_poll(client->loop, 0);
    assert_int_equal(count_of("nobody will open"), waits);
    if (!waits) {
      UNTIL(client->loop, count_of("nobody will open") == 1);
      assert_non_null(strstr(warnings, "a published message waits"));
    }
    assert_non_null(strstr(warnings, "it has no server"));
    mgos_mqtt_conn_pub(c, "a", mg_mk_str("x"), 1, false);
    assert_int_equal(mgos_mqtt_conn_flush(c, 1), MGOS_MQTT_TIMED_OUT);
    assert_int_equal(mgos_mqtt_loop_timeout(client->loop), -1);
    assert_int_equal(count_of("nobody will open"), 1); /* once is enough */
    warnings[0] = '\0';
    mgos_mqtt_conn_free(c);
  }
  /* One that gets it in time. */
  c = mgos_mqtt_conn_create_on(client->loop, 2, NULL);
  mgos_mqtt_conn_sub(c, "a", 1, NULL, NULL);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(mgos_mqtt_conn_set_server(c, client->cfg.server, "late", NULL, NULL), 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='a' 01");
  assert_true(mgos_mqtt_conn_connect(c));
  peer_done(client->peer, client->loop);
  assert_string_equal(warnings, "");
  mgos_mqtt_conn_free(c);
  mgos_mqtt_loop_set_log(client->loop, -1, NULL, NULL, NULL);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

/* Every call that waits says what has not come, and what the connection is doing.
 * field: F-60 */
static void every_wait_says_what_it_waited_for(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_filter filter = {"f", 1};
  const char *name = "f", *missing[] = {"has no outcome", "has no outcome", "have no outcome",
                                        "has not answered", "has not answered", "no message has come"};
  struct mgos_mqtt_publication message = {.size = sizeof(message), .topic = "t", .qos = 1};
  struct mgos_mqtt_msg *msg;
  uint64_t token = 0;
  char text[256], doing[2][64];
  snprintf(doing[0], sizeof(doing[0]), "%s (%s) to answer CONNECT", client->cfg.server, client->cfg.server);
  snprintf(doing[1], sizeof(doing[1]), "connected to %s", client->cfg.server);
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "q", 0), 0);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_AWAITING_CONNACK);
  for (int up = 0; up < 2; up++) {
    for (int call = 0; call < 6; call++) {
      int result = call == 0   ? mgos_mqtt_conn_publish_wait(client->c, &message, 5, MGOS_MQTT_KEEP, &token)
                   : call == 1 ? mgos_mqtt_conn_wait(client->c, token, 5)
                   : call == 2 ? mgos_mqtt_conn_flush(client->c, 5)
                   : call == 3 ? mgos_mqtt_conn_subscribe_wait(client->c, &filter, 1, NULL, NULL, NULL, NULL, 5)
                   : call == 4 ? mgos_mqtt_conn_unsubscribe_wait(client->c, &name, 1, NULL, NULL, 5)
                               : mgos_mqtt_conn_receive(client->c, 5, &msg);
      if (call == 4 && !up) { /* no server has been told of it */
        assert_int_equal(result, 0);
        continue;
      }
      assert_int_equal(result, MGOS_MQTT_TIMED_OUT);
      mgos_mqtt_last_error_text(text, sizeof(text));
      if (strstr(text, missing[call]) == NULL || strstr(text, doing[up]) == NULL) {
        fail_msg("call %d: %s", call, text);
      }
    }
    /* Who only looks has not waited. */
    assert_int_equal(mgos_mqtt_conn_receive(client->c, 0, &msg), MGOS_MQTT_TIMED_OUT);
    mgos_mqtt_last_error_text(text, sizeof(text));
    assert_null(strstr(text, "no message"));
    if (up) break;
    peer_send(client->peer, "20 02 00 00");
    peer_take(client->peer, MG_MQTT_CMD_SUBSCRIBE, NULL);
    peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
    peer_done(client->peer, client->loop);
  }
  peer_take(client->peer, MG_MQTT_CMD_PUBLISH, NULL);
  peer_take(client->peer, MG_MQTT_CMD_SUBSCRIBE, NULL);
  peer_take(client->peer, MG_MQTT_CMD_UNSUBSCRIBE, NULL);
  mgos_mqtt_conn_abort(client->c);
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

/* A silent server: what the wait was for is said, and can be asked for in every state.
 * field: F-61 */
static void what_it_waits_for_can_be_asked(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_state now = {.size = sizeof(now)};
  char text[256];
  client->cfg.reconnect_timeout_min = client->cfg.reconnect_timeout_max = 3600;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_int_equal(now.state, MGOS_MQTT_STATE_IDLE);
  assert_true(now.attempt == 0 && !now.wanted && now.error == 0);
  assert_non_null(strstr(now.text, "mgos_mqtt_conn_connect()"));

  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, 50), MGOS_MQTT_TIMED_OUT);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "to answer CONNECT"));
  assert_non_null(strstr(error_text(client), "to answer CONNECT"));
  assert_non_null(strstr(error_text(client), client->cfg.server));
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_int_equal(now.state, MGOS_MQTT_STATE_AWAITING_CONNACK);
  assert_true(now.attempt == 1 && now.wanted);
  assert_string_equal(now.address, client->cfg.server);

  peer_send(client->peer, "20 02 00 00");
  UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_UP);
  peer_close(client->peer);
  UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_WAITING);
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_in_range(now.wait_ms, 3500000, 3600000);
  assert_int_equal(now.error, MGOS_MQTT_CLOSED_BY_SERVER);
  assert_non_null(strstr(now.reason, "closed"));
  assert_non_null(strstr(now.text, "next attempt"));
  mgos_mqtt_conn_disconnect(client->c);
  assert_int_equal(state_of(client), MGOS_MQTT_STATE_IDLE);
  client_up(client);
  mgos_mqtt_conn_disconnect(client->c);
  assert_int_equal(state_of(client), MGOS_MQTT_STATE_CLOSING);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, state_of(client) == MGOS_MQTT_STATE_IDLE);
}

static void on_close(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"));
}

/* NULL means each connection of the process: the second one too, and one that was freed does not end that. */
static void a_change_of_the_network_is_told_to_all(void **state) {
  struct client *client = *state;
  void *second = NULL;
  struct client *other;
  struct mgos_mqtt_conn *gone;
  assert_int_equal(client_setup(&second), 0);
  other = second;
  gone = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  assert_non_null(gone);
  client_up(client);
  client_up(other);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CLOSE, on_close, client, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(other->c, MGOS_MQTT_EV_CLOSE, on_close, other, NULL), 0);
  mgos_mqtt_conn_free(gone);
  assert_int_equal(mgos_mqtt_network_changed(NULL, MGOS_MQTT_NETWORK_RECONNECT), 0);
  peer_expect_end(client->peer);
  peer_expect_end(other->peer);
  expect_trace(client, "NETWORK_CHANGED ");
  expect_trace(other, "NETWORK_CHANGED ");
  comes_up_as(client, "c");
  comes_up_as(other, "c");
  assert_int_equal(client_teardown(&second), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(closing_nothing_takes_no_attempt_back), TEST(an_abort_stays_one),
      TEST(an_abort_overtakes_a_disconnect),       TEST(reconnect_takes_a_disconnect_back),
      TEST(every_order_of_three_calls),            TEST(a_late_answer_is_stale),
      TEST(credentials_hold_as_long_as_they_say),  TEST(a_hook_may_keep_its_strings),
      TEST(a_hook_that_fails_is_named),            TEST(what_nobody_opens_is_said),
      TEST(a_connection_without_a_server_says_so), TEST(every_wait_says_what_it_waited_for),
      TEST(what_it_waits_for_can_be_asked),        TEST(a_change_of_the_network_is_told_to_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
