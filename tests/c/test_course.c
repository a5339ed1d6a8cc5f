/* The calls that open and close a connection, one after the other: what the headers say of each holds, whatever was
 * called before. tests/virtual_course.rs has every order from every state, in virtual time; this is the same library
 * by its C face, with the calls that only it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
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
            /* What is being closed counts as up until it is. */
            UNTIL(client->loop, mgos_mqtt_loop_timeout(client->loop) != 0);
            UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c) &&
                                    mgos_mqtt_loop_timeout(client->loop) > 20000);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(closing_nothing_takes_no_attempt_back), TEST(an_abort_stays_one),
      TEST(an_abort_overtakes_a_disconnect),       TEST(reconnect_takes_a_disconnect_back),
      TEST(every_order_of_three_calls),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
