/* Every call from inside every kind of callback; and that callbacks do not nest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_subscribe.h>
#include "peer.h"

/* Where the call is made from. */
enum site {
  AT_POLL,
  AT_TIMER,
  AT_CONNACK,
  AT_PUBLISH,
  AT_PUBACK,
  AT_PUBREC,
  AT_PUBREL,
  AT_PUBCOMP,
  AT_SUBACK,
  AT_UNSUBACK,
  AT_DISCONNECT,
  AT_CLOSE,
  AT_SUB_PUBLISH,
  AT_SUB_SUBACK,
  AT_SUB_PUBACK,
  AT_SUB_CLOSE,
  AT_EV_CONNECTING,
  AT_EV_CONNECT_RESULT,
  AT_EV_MESSAGE,
  AT_EV_CLOSE,
  AT_SUBSCRIBED,
  AT_UNSUBSCRIBED,
  AT_ONE_RESULT,
  AT_ON_CONNECT,
  AT_ON_MESSAGE,
  AT_ON_OFFLINE,
  AT_HOOK,
  AT_LOG,
  AT_DESTRUCTOR,
  SITES
};

static const char *const site_names[SITES] = {
    "POLL",        "TIMER",         "CONNACK",    "PUBLISH",      "PUBACK",     "PUBREC",
    "PUBREL",      "PUBCOMP",       "SUBACK",     "UNSUBACK",     "DISCONNECT", "CLOSE",
    "sub PUBLISH", "sub SUBACK",    "sub PUBACK", "sub CLOSE",    "CONNECTING", "RESULT",
    "MESSAGE",     "library CLOSE", "SUBSCRIBED", "UNSUBSCRIBED", "one result", "on_connect",
    "on_message",  "on_offline",    "hook",       "log",          "destructor"};

enum action {
  DO_PUBLISH,
  DO_SUBSCRIBE,
  DO_UNSUBSCRIBE,
  DO_CONNECT,
  DO_DISCONNECT,
  DO_ABORT,
  DO_RECONNECT,
  DO_SET_CONFIG,
  DO_HANDLERS,
  DO_SUBSCRIBE_ALL,
  DO_UNSUBSCRIBE_ALL,
  DO_CONNECT_ONCE,
  DO_SET_SERVER,
  DO_FREE,
  DO_FREE_OTHER,
  DO_WAIT,
  ACTIONS
};

static const char *const action_names[ACTIONS] = {
    "publish",    "subscribe",  "unsubscribe",  "connect",       "disconnect",      "abort",
    "reconnect",  "set_config", "handlers",     "subscribe_all", "unsubscribe_all", "connect_once",
    "set_server", "free",       "free another", "wait"};

struct scene {
  struct client *client;
  struct mgos_mqtt_conn *other;
  enum site site;
  enum action action;
  int done;   /* how often the action was done */
  int wrong;  /* what it returned was not as it should be */
  int depth;  /* callbacks that run */
  int nested; /* callbacks that ran inside another */
  int freed;  /* destructors that ran */
  int late;   /* calls after that */
  bool freed_self;
  bool acked;
  uint16_t awaited;
};

static void nothing(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

static void on_nothing(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
}

static void check(struct scene *scene, bool fine) {
  scene->wrong += !fine;
}

static void act(struct scene *scene) {
  static const struct mgos_mqtt_filter act_filters[] = {{"act/1", 1}, {"act/2", 2}};
  static const char *const kept = "kept";
  struct mgos_mqtt_conn *c = scene->client->c;
  if (scene->done > 0) return;
  scene->done = 1;
  /* From a destructor everything but its own connection. */
  if (scene->site == AT_DESTRUCTOR) c = scene->other;
  switch (scene->action) {
    case DO_PUBLISH:
      check(scene, mgos_mqtt_conn_pub(c, "act", mg_mk_str("x"), 1, false) != 0);
      check(scene, mgos_mqtt_conn_pubf(c, "act", 2, false, "{a: %d}", 1) != 0);
      mgos_mqtt_conn_pub(c, "act", mg_mk_str("x"), 0, false);
      break;
    case DO_SUBSCRIBE:
      mgos_mqtt_conn_sub(c, "act/#", 2, nothing, NULL);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_UNSUBSCRIBE:
      if (c != scene->other) check(scene, mgos_mqtt_conn_unsub(c, "t"));
      check(scene, !mgos_mqtt_conn_unsub(c, "unknown"));
      break;
    case DO_CONNECT:
      check(scene, mgos_mqtt_conn_connect(c));
      break;
    case DO_DISCONNECT:
      mgos_mqtt_conn_disconnect(c);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_ABORT:
      mgos_mqtt_conn_abort(c);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_RECONNECT:
      mgos_mqtt_conn_reconnect(c);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_SET_CONFIG:
      check(scene, mgos_mqtt_conn_set_config(c, &scene->client->cfg));
      break;
    case DO_HANDLERS:
      mgos_mqtt_conn_add_handler(c, nothing, scene);
      check(scene, mgos_mqtt_conn_remove_handler(c, nothing, scene) == 0);
      mgos_mqtt_conn_set_connect_fn(c, NULL, NULL);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_SUBSCRIBE_ALL:
      check(scene, mgos_mqtt_conn_subscribe_all(c, act_filters, 2, NULL, scene, NULL, on_nothing, NULL) == 0);
      break;
    case DO_UNSUBSCRIBE_ALL:
      if (scene->site != AT_DESTRUCTOR) {
        check(scene, mgos_mqtt_conn_unsubscribe_all(c, &kept, 1, NULL, NULL, on_nothing, NULL) == 0);
      }
      check(scene,
            mgos_mqtt_conn_unsubscribe_all(c, &kept, 1, NULL, scene, NULL, NULL) == MGOS_MQTT_NOT_FOUND);
      break;
    case DO_CONNECT_ONCE:
      check(scene, mgos_mqtt_conn_connect_once(c, on_nothing, NULL, NULL) == 0);
      break;
    case DO_SET_SERVER:
      check(scene, mgos_mqtt_conn_set_will(c, "will", "x", 1, 1, false) == 0);
      check(scene, mgos_mqtt_conn_set_server(c, NULL, "other", NULL, NULL) == 0);
      check(scene, mgos_mqtt_conn_on_connect(c, NULL, NULL, NULL) == 0);
      check(scene, mgos_mqtt_conn_on_message(c, on_nothing, NULL, NULL) == 0);
      break;
    case DO_FREE:
      if (scene->site == AT_DESTRUCTOR) scene->other = NULL;
      if (scene->site != AT_DESTRUCTOR) scene->freed_self = true;
      mgos_mqtt_conn_free(c);
      check(scene, mgos_mqtt_last_error() == MGOS_MQTT_OK);
      break;
    case DO_FREE_OTHER:
      mgos_mqtt_conn_free(scene->other);
      scene->other = NULL;
      break;
    case DO_WAIT:
      check(scene, mgos_mqtt_loop_poll(scene->client->loop, 0) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_loop_process(scene->client->loop) == MGOS_MQTT_BUSY);
      check(scene, mongoose_poll(0) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_conn_connect_wait(c, -1) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_conn_disconnect_wait(c, -1) == MGOS_MQTT_BUSY);
      check(scene,
            mgos_mqtt_conn_subscribe_wait(c, act_filters, 2, NULL, NULL, NULL, NULL, -1) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_conn_unsubscribe_wait(c, &kept, 1, NULL, NULL, -1) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_loop_free(scene->client->loop) == MGOS_MQTT_BUSY);
      check(scene, mgos_mqtt_conn_free_wait(scene->other, 1000) == MGOS_MQTT_BUSY);
      scene->other = NULL;
      break;
    case ACTIONS:
      break;
  }
}

static void enter(struct scene *scene, enum site site) {
  scene->depth++;
  scene->nested += scene->depth > 1;
  /* The log belongs to the loop, and each destructor to its own registration. */
  if (site != AT_LOG && site != AT_DESTRUCTOR) scene->late += scene->freed > 0;
  if (site == scene->site) act(scene);
  scene->depth--;
}

static enum site site_of(int ev) {
  switch (ev) {
    case MG_EV_POLL:
      return AT_POLL;
    case MG_EV_TIMER:
      return AT_TIMER;
    case MG_EV_MQTT_CONNACK:
      return AT_CONNACK;
    case MG_EV_MQTT_PUBLISH:
      return AT_PUBLISH;
    case MG_EV_MQTT_PUBACK:
      return AT_PUBACK;
    case MG_EV_MQTT_PUBREC:
      return AT_PUBREC;
    case MG_EV_MQTT_PUBREL:
      return AT_PUBREL;
    case MG_EV_MQTT_PUBCOMP:
      return AT_PUBCOMP;
    case MG_EV_MQTT_SUBACK:
      return AT_SUBACK;
    case MG_EV_MQTT_UNSUBACK:
      return AT_UNSUBACK;
    case MG_EV_MQTT_DISCONNECT:
      return AT_DISCONNECT;
    case MG_EV_CLOSE:
      return AT_CLOSE;
    default:
      return SITES;
  }
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct scene *scene = ud;
  const struct mg_mqtt_message *m = ev_data;
  (void) nc;
  if (ev == MG_EV_MQTT_PUBACK && m->message_id == scene->awaited) scene->acked = true;
  enter(scene, site_of(ev));
}

static void on_sub(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data;
  enter(ud, ev == MG_EV_MQTT_PUBLISH  ? AT_SUB_PUBLISH
            : ev == MG_EV_MQTT_SUBACK ? AT_SUB_SUBACK
            : ev == MG_EV_MQTT_PUBACK ? AT_SUB_PUBACK
            : ev == MG_EV_CLOSE       ? AT_SUB_CLOSE
                                      : SITES);
}

static void on_library_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  uint32_t kind = mgos_mqtt_event_kind(ev);
  (void) c;
  enter(ud, kind == MGOS_MQTT_EV_CONNECTING       ? AT_EV_CONNECTING
            : kind == MGOS_MQTT_EV_CONNECT_RESULT ? AT_EV_CONNECT_RESULT
            : kind == MGOS_MQTT_EV_MESSAGE        ? AT_EV_MESSAGE
            : kind == MGOS_MQTT_EV_CLOSE          ? AT_EV_CLOSE
                                                  : SITES);
}

static void on_subscribed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  enter(ud, mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBSCRIBED ? AT_SUBSCRIBED : AT_UNSUBSCRIBED);
}

static void on_one_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev;
  enter(ud, AT_ONE_RESULT);
}

static void in_place(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  uint32_t kind = mgos_mqtt_event_kind(ev);
  (void) c;
  enter(ud, kind == MGOS_MQTT_EV_CONNECT_RESULT ? AT_ON_CONNECT
            : kind == MGOS_MQTT_EV_MESSAGE      ? AT_ON_MESSAGE
                                                : AT_ON_OFFLINE);
}

static void on_connect(struct mg_connection *nc, const char *client_id,
                       struct mg_send_mqtt_handshake_opts *opts, void *arg) {
  enter(arg, AT_HOOK);
  mg_send_mqtt_handshake_opt(nc, client_id, *opts);
}

static void on_log(int level, int conn_id, const char *text, void *ud) {
  (void) level, (void) text;
  if (conn_id == 1) enter(ud, AT_LOG);
}

static void freed(void *ud) {
  ((struct scene *) ud)->freed++;
}

static void removed(void *ud) {
  enter(ud, AT_DESTRUCTOR);
}

/* Takes back a registration from inside a handler, so that its destructor runs while the loop is driven. */
static void remove_it(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct scene *scene = ud;
  (void) nc, (void) ev_data;
  if (ev == MG_EV_MQTT_CONNACK && scene->site == AT_DESTRUCTOR) {
    mgos_mqtt_conn_remove_handler(scene->client->c, nothing, scene);
  }
}

static bool alive(struct scene *scene) {
  return scene->client->c != NULL && !scene->freed_self;
}

static void play(struct client *client, enum site site, enum action action) {
  struct scene scene = {client, NULL, site, action, 0, 0, 0, 0, 0, 0, false, false, 0};
  static const struct mgos_mqtt_filter kept = {"kept", 1}, short_lived = {"short", 1};
  static const char *const short_name = "short";
  char what[64];
  long long until;
  uint16_t sent = 0;
  snprintf(what, sizeof(what), "%s in %s", action_names[action], site_names[site]);
  client_renew(client);
  scene.other = mgos_mqtt_conn_create_on(client->loop, 2, &client->options);
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_DEBUG, on_log, &scene, NULL), 0);
  mgos_mqtt_conn_add_handler(client->c, remove_it, &scene);
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(client->c, nothing, &scene, removed), 0);
  assert_int_equal(mgos_mqtt_conn_on(client->c,
                                     MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT |
                                         MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_CLOSE,
                                     on_library_event, &scene, NULL),
                   0);
  assert_int_equal(mgos_mqtt_conn_add_handler_ex(client->c, on_event, &scene, freed), 0);
  mgos_mqtt_conn_sub(client->c, "t", 1, on_sub, &scene);
  mgos_mqtt_conn_set_connect_fn(client->c, on_connect, &scene);
  assert_int_equal(mgos_mqtt_conn_on_connect(client->c, in_place, &scene, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_message(client->c, in_place, &scene, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on_offline(client->c, in_place, &scene, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, &kept, 1, NULL, NULL, NULL, on_subscribed, &scene),
                   0);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client->c, &short_lived, 1, NULL, NULL, NULL, NULL, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_connect_once(client->c, on_one_result, on_one_result, &scene), 0);

  /* Everything that brings the sites about, until the action was done. */
  until = test_now_ms() + TEST_DEADLINE_MS;
  while (scene.done == 0 && test_now_ms() < until) {
    bool first = sent == 0;
    mgos_mqtt_loop_poll(client->loop, 5);
    if (scene.done != 0 || !mgos_mqtt_conn_is_connected(client->c) || !first) continue;
    mg_set_timer(mgos_mqtt_conn_nc(client->c), mg_time() + 0.001);
    sent = mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false);
    mgos_mqtt_conn_pub(client->c, "u", mg_mk_str("x"), 2, false);
    if (site == AT_UNSUBSCRIBED) {
      mgos_mqtt_conn_unsubscribe_all(client->c, &short_name, 1, NULL, NULL, on_subscribed, &scene);
    }
    if (site == AT_SUBACK) {
      struct mg_mqtt_topic_expression raw = {"raw", 0};
      mg_mqtt_subscribe(mgos_mqtt_conn_nc(client->c), &raw, 1, 1000);
    }
    if (site == AT_UNSUBACK) {
      mgos_mqtt_conn_sub(client->c, "v", 0, nothing, NULL);
      mgos_mqtt_conn_unsub(client->c, "v");
    }
    if (site == AT_DISCONNECT || site == AT_CLOSE || site == AT_SUB_CLOSE || site == AT_EV_CLOSE ||
        site == AT_ON_OFFLINE) {
      mgos_mqtt_conn_pub(client->c, "hang up", mg_mk_str(""), 0, false);
    }
  }
  if (scene.done != 1) fail_msg("%s: the site was not reached", what);
  if (scene.wrong != 0) fail_msg("%s: %d wrong results", what, scene.wrong);

  /* The connection goes on, if it is there: it connects again, and a message gets through. */
  if (alive(&scene)) {
    mgos_mqtt_loop_poll(client->loop, 0);
    if (!mgos_mqtt_conn_connect(client->c)) fail_msg("%s: no way back", what);
    until = test_now_ms() + TEST_DEADLINE_MS;
    while (!scene.acked && test_now_ms() < until) {
      if (scene.awaited == 0)
        scene.awaited = mgos_mqtt_conn_pub(client->c, "after", mg_mk_str("x"), 1, false);
      /* A disconnect may still be under way when connect() is called. */
      mgos_mqtt_conn_connect(client->c);
      mgos_mqtt_loop_poll(client->loop, 5);
    }
    if (!scene.acked) fail_msg("%s: dead afterwards", what);
    if (scene.freed != 0) fail_msg("%s: user data was freed", what);
    mgos_mqtt_conn_free(client->c);
  } else if (scene.freed == 0) {
    UNTIL(client->loop, scene.freed != 0);
  }
  client->c = NULL;
  mgos_mqtt_conn_free(scene.other);
  mgos_mqtt_loop_poll(client->loop, 0);
  assert_int_equal(mgos_mqtt_loop_set_log(client->loop, MGOS_MQTT_LOG_ERROR, NULL, NULL, NULL), 0);
  if (scene.freed != 1) fail_msg("%s: the destructor ran %d times", what, scene.freed);
  if (scene.late != 0) fail_msg("%s: %d calls after the destructor", what, scene.late);
}

/* proves: EI-43 */
static void every_call_in_every_callback(void **state) {
  struct client *client = *state;
  int site, action;
  client->options.poll_tick_ms = 5;
  peer_serve(client->peer);
  for (site = 0; site < SITES; site++) {
    for (action = 0; action < ACTIONS; action++) play(client, (enum site) site, (enum action) action);
  }
  peer_serve_end(client->peer);
}

/* -- a message in each acknowledgement --------------------------------------------------------------- */

#define MESSAGES 10000

struct chain {
  struct mgos_mqtt_conn *c;
  int acked;
  int depth, nested;
  const char *lowest, *highest; /* where the handler's frame was */
};

static void on_ack(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  struct chain *chain = ud;
  char here = 0;
  const char *volatile frame = &here;
  (void) nc, (void) ev_data;
  if (ev != MG_EV_MQTT_PUBACK) return;
  chain->depth++;
  chain->nested += chain->depth > 1;
  if (chain->lowest == NULL || frame < chain->lowest) chain->lowest = frame;
  if (frame > chain->highest) chain->highest = frame;
  if (++chain->acked < MESSAGES) mgos_mqtt_conn_pub(chain->c, "t", mg_mk_str("x"), 1, false);
  chain->depth--;
}

static bool acknowledge_all(struct peer *p, void *arg) {
  int i;
  (void) arg;
  for (i = 0; i < MESSAGES; i++) {
    struct peer_packet packet;
    unsigned char ack[4] = {0x40, 2, 0, 0};
    if (!peer_packet(p, &packet) || packet.type != MG_MQTT_CMD_PUBLISH) return false;
    ack[2] = (unsigned char) (packet.id >> 8);
    ack[3] = (unsigned char) packet.id;
    if (!peer_write(p, ack, sizeof(ack))) return false;
  }
  return true;
}

static void publishing_in_each_puback_does_not_recurse(void **state) {
  struct client *client = *state;
  struct chain chain;
  int acked;
  memset(&chain, 0, sizeof(chain));
  chain.c = client->c;
  client_up(client);
  mgos_mqtt_conn_add_handler(client->c, on_ack, &chain);
  peer_run(client->peer, acknowledge_all, NULL);
  assert_int_not_equal(mgos_mqtt_conn_pub(client->c, "t", mg_mk_str("x"), 1, false), 0);
  /* Each message has a deadline, not all of them. */
  for (acked = 0; acked < MESSAGES; acked = chain.acked) UNTIL(client->loop, chain.acked > acked);
  peer_done(client->peer, client->loop);
  assert_int_equal(chain.nested, 0);
  assert_true(chain.highest - chain.lowest < 16384);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(every_call_in_every_callback),
      WITH_CLIENT(publishing_in_each_puback_does_not_recurse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
