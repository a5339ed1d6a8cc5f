/*
 * Messages that are fetched instead of delivered: by whom, when they are acknowledged, what happens when the
 * queue is full, when the connection is lost, and when it is freed. And mgos_mqtt_loop_run().
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_receive.h>

#include "broker.h"
#include "drive.h"
#include "net.h"
#include "peer.h"

/* A connection that is up, with a subscription for the queue. */
static void up(struct client *client, const char *filter) {
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, filter, 2), 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='%s' 02", filter);
  peer_send(client->peer, "90 03 0001 02");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

static void again(struct client *client, const char *filter, bool kept) {
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, kept ? "20 02 01 00" : "20 02 00 00");
  peer_expect(client->peer, "82 @ ???? ='%s' 02", filter);
  peer_done(client->peer, client->loop);
}

static struct mgos_mqtt_msg *fetch(struct client *client) {
  struct mgos_mqtt_msg *msg;
  int result = mgos_mqtt_conn_receive(client->c, TEST_DEADLINE_MS, &msg);
  if (result != 0) fail_msg("%s", mgos_mqtt_error_name(result));
  return msg;
}

static void nothing_there(struct client *client) {
  struct mgos_mqtt_msg *msg = (struct mgos_mqtt_msg *) &msg;
  assert_int_equal(mgos_mqtt_conn_receive(client->c, 0, &msg), MGOS_MQTT_TIMED_OUT);
  assert_null(msg);
}

static void is(struct mgos_mqtt_msg *msg, const char *topic, const char *payload, int qos) {
  size_t topic_len, len;
  const char *found_topic = mgos_mqtt_msg_topic(msg, &topic_len);
  const char *found = mgos_mqtt_msg_payload(msg, &len);
  assert_int_equal(topic_len, strlen(topic));
  assert_memory_equal(found_topic, topic, topic_len);
  assert_int_equal(len, strlen(payload));
  assert_string_equal(found, payload); /* with the NUL behind it */
  assert_int_equal(mgos_mqtt_msg_size(msg), len);
  assert_int_equal(mgos_mqtt_msg_qos(msg), qos);
}

/* Waits until so many are in the queue. */
static void pending(struct client *client, size_t n) {
  UNTIL(client->loop, mgos_mqtt_conn_receive_pending(client->c, NULL) == n);
}

/* proves: ZY-27 */
static void fetched_in_order_and_acknowledged_when_released(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_msg *first, *second, *third, *empty;
  size_t bytes;
  up(client, "t/#");
  nothing_there(client);
  peer_send(client->peer,
            "33 @ ='t/1' 0001 'one'; 3c @ ='t/2' 0001 'two'; 32 @ ='t/3' 0002 'three'; 30 @ ='t'");
  pending(client, 4);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client->c, &bytes), 4);
  assert_int_equal(bytes, 6 + 6 + 8 + 1);
  first = fetch(client);
  second = fetch(client);
  third = fetch(client);
  empty = fetch(client);
  nothing_there(client);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client->c, &bytes), 0);
  assert_int_equal(bytes, 0);
  is(first, "t/1", "one", 1);
  is(second, "t/2", "two", 2);
  is(third, "t/3", "three", 1);
  is(empty, "t", "", 0);
  assert_true(mgos_mqtt_msg_retain(first) && !mgos_mqtt_msg_dup(first));
  assert_true(!mgos_mqtt_msg_retain(second) && mgos_mqtt_msg_dup(second));
  assert_int_equal(mgos_mqtt_msg_release(empty), 0);
  /* Later ones wait for earlier ones of the same QoS. */
  assert_int_equal(mgos_mqtt_msg_release(third), 0);
  assert_int_equal(mgos_mqtt_msg_release(second), 0);
  peer_expect(client->peer, "50 02 0001");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_msg_release(first), 0);
  peer_expect(client->peer, "40 02 0001; 40 02 0002");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_msg_release(NULL), 0);
}

/* Nothing but this call in a loop, which is the whole program of some devices. */
static void a_program_that_only_fetches(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_msg *msg;
  int n = 0, result;
  long long until = test_now_ms() + TEST_DEADLINE_MS;
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "t", 0), 0);
  peer_greet(client->peer);
  peer_expect(client->peer, "82 @ 0001 ='t' 00");
  peer_send(client->peer, "90 03 0001 00; 30 @ ='t' '1'; 32 @ ='t' 0001 '2'; 30 @ ='t' '3'");
  peer_expect(client->peer, "40 02 0001");
  assert_true(mgos_mqtt_conn_connect(client->c));
  while (n < 3 && test_now_ms() < until) {
    result = mgos_mqtt_conn_receive(client->c, 0, &msg);
    if (result == MGOS_MQTT_TIMED_OUT) continue;
    assert_int_equal(result, 0);
    n++;
    assert_int_equal(((const char *) mgos_mqtt_msg_payload(msg, NULL))[0], '0' + n);
    assert_int_equal(mgos_mqtt_msg_release(msg), 0);
  }
  assert_int_equal(n, 3);
  peer_done(client->peer, client->loop);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct client *client = ud;
  struct mgos_mqtt_msg *msg;
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  trace(client, "%s", (const char *) mgos_mqtt_event_payload(ev, NULL));
  /* Here nothing can be waited for; looking is fine. */
  if (mgos_mqtt_conn_receive(c, -1, &msg) != MGOS_MQTT_BUSY || msg != NULL) trace(client, "not busy");
  if (mgos_mqtt_conn_receive(c, 10, &msg) != MGOS_MQTT_BUSY) trace(client, "not busy");
  if (mgos_mqtt_conn_receive(c, 0, &msg) == 0) {
    trace(client, "found:%s", (const char *) mgos_mqtt_msg_payload(msg, NULL));
    mgos_mqtt_msg_release(msg);
  }
}

static void beside_handlers_and_inside_of_them(void **state) {
  struct client *client = *state;
  up(client, "t/#");
  /* The second filter for the queue, and a handler: each message is in the queue once. */
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "t/+", 1), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "t/+", 1), 0);
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "t/+", 1, on_message, client, NULL), 0);
  peer_expect(client->peer, "82 @ 0002 ='t/+' 01; 82 @ 0003 ='t/+' 01; 82 @ 0004 ='t/+' 01");
  peer_send(client->peer, "90 03 0002 01; 90 03 0003 01; 90 03 0004 01");
  peer_send(client->peer, "32 @ ='t/1' 0001 'one'; 32 @ ='t/1' 0002 'two'");
  peer_expect(client->peer, "40 02 0001");
  expect_trace(client, "one two found:one ");
  peer_done(client->peer, client->loop);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client->c, NULL), 1);
  assert_int_equal(mgos_mqtt_msg_release(fetch(client)), 0);
  peer_expect(client->peer, "40 02 0002");
  peer_done(client->peer, client->loop);
  /* Taken back: the same call twice was one subscription. */
  assert_int_equal(mgos_mqtt_conn_unsubscribe(client->c, "t/+", on_message, client), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_queue(client->c, "t/+"), 0);
  assert_int_equal(mgos_mqtt_conn_unsubscribe_queue(client->c, "t/+"), MGOS_MQTT_NOT_FOUND);
  peer_expect(client->peer, "a2 @ 0005 ='t/+'");
  peer_done(client->peer, client->loop);
}

/* -- full ----------------------------------------------------------------------------------------------- */

static void expect_payloads(struct client *client, const char *payloads) {
  for (; *payloads != '\0'; payloads++) {
    struct mgos_mqtt_msg *msg = fetch(client);
    assert_int_equal(((const char *) mgos_mqtt_msg_payload(msg, NULL))[0], *payloads);
    assert_int_equal(mgos_mqtt_msg_release(msg), 0);
  }
  nothing_there(client);
}

static void qos_0_is_dropped_and_counted(void **state) {
  struct client *client = *state;
  int oldest;
  for (oldest = 0; oldest <= 1; oldest++) {
    client->options.receive_queue_length = 3;
    client->options.receive_overflow = oldest;
    client_renew(client);
    up(client, "t");
    peer_send(client->peer, "30 @ ='t' '1'; 30 @ ='t' '2'; 30 @ ='t' '3'; 30 @ ='t' '4'; 30 @ ='t' '5'");
    UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 2);
    expect_payloads(client, oldest ? "345" : "123");
    /* QoS 1 takes the place of QoS 0 in any case. */
    peer_send(client->peer, "30 @ ='t' '1'; 30 @ ='t' '2'; 30 @ ='t' '3'; 32 @ ='t' 0001 '4'");
    UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 3);
    pending(client, 3);
    expect_payloads(client, "234");
    peer_expect(client->peer, "40 02 0001");
    mgos_mqtt_conn_disconnect(client->c);
    peer_expect(client->peer, "e0 00");
    peer_expect_end(client->peer);
    peer_done(client->peer, client->loop);
  }
  /* By bytes; one message is always taken. */
  client->options.receive_queue_length = 0;
  client->options.receive_queue_bytes = 10;
  client->options.receive_overflow = 0;
  client_renew(client);
  up(client, "t");
  peer_send(client->peer, "30 @ ='t' '1 is more than ten bytes'; 30 @ ='t' '2'");
  UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 1);
  expect_payloads(client, "1");
  peer_send(client->peer, "30 @ ='t' '1234'; 30 @ ='t' '2345'; 30 @ ='t' '3'; 30 @ ='t'");
  UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 3);
  expect_payloads(client, "12");
}

/* A server with a larger window than the queue has room for: nothing is lost, and QoS 2 comes once. */
static void qos_1_and_2_are_left_with_the_server(void **state) {
  struct client *client = *state;
  client->cfg.clean_session = false;
  client->options.receive_queue_length = 2;
  client_renew(client);
  up(client, "t");
  peer_send(client->peer,
            "34 @ ='t' 0001 '1'; 32 @ ='t' 0002 '2'; 34 @ ='t' 0003 '3'; 32 @ ='t' 0004 '4'; 30 @ ='t' '5'");
  /* QoS 0 has no room either. The link is alive meanwhile: it is read, and it answers. */
  UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 1);
  settle(client);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client->c, NULL), 2);
  /* When there is room, the server is asked for the rest. */
  peer_expect(client->peer, "50 02 0001; e0 00");
  assert_int_equal(mgos_mqtt_msg_release(fetch(client)), 0);
  peer_expect_end(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 01 00");
  peer_expect(client->peer, "82 @ ???? ='t' 02");
  peer_send(client->peer, "3c @ ='t' 0001 '1'; 3a @ ='t' 0002 '2'");
  peer_expect(client->peer, "50 02 0001");
  peer_done(client->peer, client->loop);
  pending(client, 1);
  assert_int_equal(mgos_mqtt_msg_release(fetch(client)), 0);
  peer_send(client->peer, "3c @ ='t' 0003 '3'; 3a @ ='t' 0004 '4'");
  peer_expect(client->peer, "40 02 0002");
  peer_done(client->peer, client->loop);
  expect_payloads(client, "34");
  peer_expect(client->peer, "50 02 0003; 40 02 0004");
  peer_done(client->peer, client->loop);
}

/* The server is asked for the rest when half of the room is free, in messages and in bytes. With the first
   free place, each message would cost a connection. */
static void the_rest_comes_when_half_is_free(void **state) {
  struct client *client = *state;
  client->cfg.clean_session = false;
  for (int in_bytes = 0; in_bytes <= 1; in_bytes++) {
    client->options.receive_queue_length = in_bytes ? 0 : 4;
    client->options.receive_queue_bytes = in_bytes ? 40 : 0;
    client_renew(client);
    up(client, "t");
    for (int id = 1; id <= 5; id++) peer_send(client->peer, "32 @ ='t' %04x '123456789'", id);
    pending(client, 4);
    settle(client);
    peer_expect(client->peer, "40 02 0001");
    assert_int_equal(mgos_mqtt_msg_release(fetch(client)), 0);
    settle(client);
    peer_expect(client->peer, "40 02 0002; e0 00");
    assert_int_equal(mgos_mqtt_msg_release(fetch(client)), 0);
    peer_expect_end(client->peer);
    peer_accept(client->peer);
    peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
    peer_send(client->peer, "20 02 01 00");
    peer_expect(client->peer, "82 @ ???? ='t' 02");
    peer_done(client->peer, client->loop);
  }
}

/* Two filters of the queue that match the same message are one taker, not two: the limit holds. */
static void the_limit_holds_for_filters_that_overlap(void **state) {
  struct client *client = *state;
  client->options.receive_queue_length = 2;
  client_renew(client);
  up(client, "t/#");
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "t/+", 2), 0);
  peer_expect(client->peer, "82 @ 0002 ='t/+' 02");
  peer_send(client->peer, "90 03 0002 02; 32 @ ='t/1' 0001 '1'; 32 @ ='t/1' 0002 '2'; 32 @ ='t/1' 0003 '3'");
  peer_send(client->peer, "34 @ ='t/1' 0004 '4'; 30 @ ='t/1' '5'");
  UNTIL(client->loop, mgos_mqtt_conn_receive_dropped(client->c) == 1);
  assert_int_equal(mgos_mqtt_conn_receive_pending(client->c, NULL), 2);
}

/* -- the connection is lost ----------------------------------------------------------------------------- */

static void nothing_is_lost_and_qos_2_comes_once(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_msg *one, *two;
  client->cfg.clean_session = false;
  client_renew(client);
  up(client, "t");
  peer_send(client->peer,
            "32 @ ='t' 0001 'a'; 34 @ ='t' 0002 'b'; 32 @ ='t' 0003 'c'; 34 @ ='t' 0004 'd'; 30 @ ='t' 'e'");
  pending(client, 5);
  one = fetch(client);
  two = fetch(client);
  again(client, "t", true);
  /* What was not fetched of QoS 1 comes again; the rest is still there. */
  pending(client, 2);
  assert_int_equal(mgos_mqtt_msg_release(one), MGOS_MQTT_STALE);
  peer_send(client->peer, "3a @ ='t' 0001 'a'; 3c @ ='t' 0002 'b'; 3a @ ='t' 0003 'c'; 3c @ ='t' 0004 'd'");
  pending(client, 4);
  assert_int_equal(mgos_mqtt_msg_release(two), 0);
  peer_expect(client->peer, "50 02 0002");
  peer_done(client->peer, client->loop);
  expect_payloads(client, "deac");
  peer_expect(client->peer, "50 02 0004; 40 02 0001; 40 02 0003");
  peer_done(client->peer, client->loop);
  /* A server that does not know the session any more sends nothing again, so all of it stays. */
  peer_send(client->peer, "32 @ ='t' 0005 'f'; 34 @ ='t' 0006 'g'");
  pending(client, 2);
  again(client, "t", false);
  peer_send(client->peer, "32 @ ='t' 0005 'h'; 34 @ ='t' 0006 'i'");
  pending(client, 4);
  again(client, "t", true);
  pending(client, 3);
  expect_payloads(client, "fgi");
  /* Their session is over, or the server has not repeated it yet. */
  settle(client);
  peer_send(client->peer, "3c @ ='t' 0006 'i'");
  peer_expect(client->peer, "50 02 0006");
  peer_done(client->peer, client->loop);
}

/* -- the connection is freed ---------------------------------------------------------------------------- */

struct waiter {
  struct mgos_mqtt_conn *c;
  pthread_t thread;
  int result;
};

static void *wait_for_ever(void *ud) {
  struct waiter *waiter = ud;
  struct mgos_mqtt_msg *msg;
  waiter->result = mgos_mqtt_conn_receive(waiter->c, -1, &msg);
  return NULL;
}

static void messages_outlive_the_connection(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_msg *msg;
  struct waiter waiters[3];
  struct mgos_mqtt_loop *loop = client->loop;
  int i;
  up(client, "t");
  peer_send(client->peer, "32 @ ='t' 0001 'kept'; 32 @ ='t' 0002 'never fetched'; 30 @ ='t' 'nor this'");
  pending(client, 3);
  msg = fetch(client);
  mgos_mqtt_conn_free(client->c);
  is(msg, "t", "kept", 1);
  assert_int_equal(mgos_mqtt_msg_release(msg), MGOS_MQTT_INCOMPLETE);
  peer_expect(client->peer, "e0 00");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
  /* Who waits returns, on a loop with and without a thread. */
  for (i = 0; i < 2; i++) {
    int n;
    client->c = mgos_mqtt_conn_create_on(loop, 1, &client->options);
    if (i == 1) assert_int_equal(mgos_mqtt_loop_start(loop), 0);
    for (n = 0; n < 3; n++) {
      waiters[n].c = client->c;
      assert_int_equal(pthread_create(&waiters[n].thread, NULL, wait_for_ever, &waiters[n]), 0);
    }
    mgos_mqtt_conn_free(client->c);
    for (n = 0; n < 3; n++) {
      pthread_join(waiters[n].thread, NULL);
      /* One that came too late finds no such connection. */
      if (waiters[n].result != MGOS_MQTT_BAD_ARGUMENT) {
        assert_int_equal(waiters[n].result, MGOS_MQTT_INCOMPLETE);
      }
    }
  }
  client->c = NULL;
}

/* -- threads and a real broker -------------------------------------------------------------------------- */

enum { FETCHERS = 4, PER_QOS = 2000 };

static struct {
  struct mgos_mqtt_conn *c;
  pthread_mutex_t lock;
  unsigned char seen[3][PER_QOS];
  int total, doubled, wrong, wanted;
} fetched;

static void *fetch_thread(void *ud) {
  (void) ud;
  for (;;) {
    struct mgos_mqtt_msg *msg;
    unsigned qos, n;
    int result = mgos_mqtt_conn_receive(fetched.c, 50, &msg);
    bool done;
    if (result == 0) {
      if (sscanf(mgos_mqtt_msg_payload(msg, NULL), "%u %u", &qos, &n) != 2 || qos > 2 || n >= PER_QOS) {
        qos = n = 0;
        result = -1;
      }
    }
    pthread_mutex_lock(&fetched.lock);
    if (result == 0) {
      fetched.doubled += fetched.seen[qos][n]++ > 0;
      fetched.wrong += mgos_mqtt_msg_qos(msg) != (int) qos;
      fetched.total++;
    } else if (result != MGOS_MQTT_TIMED_OUT) {
      fetched.wrong++;
    }
    done = fetched.total >= fetched.wanted || fetched.wrong > 0;
    pthread_mutex_unlock(&fetched.lock);
    if (msg != NULL && mgos_mqtt_msg_release(msg) != 0) {
      pthread_mutex_lock(&fetched.lock);
      fetched.wrong++;
      pthread_mutex_unlock(&fetched.lock);
    }
    if (done) return NULL;
  }
}

static void each_message_goes_to_one_of_the_threads(void **state) {
  struct broker broker;
  int way;
  (void) state;
  broker_start(&broker, NULL);
  for (way = 0; way <= WAYS; way++) {
    struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
    struct mgos_config_mqtt config;
    struct mgos_mqtt_options options;
    struct mgos_mqtt_conn *sender;
    struct driver driver;
    pthread_t threads[FETCHERS];
    int i, qos, per_qos = net_count(PER_QOS);
    int64_t until = net_ms() + LONG_MS;
    memset(&fetched, 0, sizeof(fetched));
    pthread_mutex_init(&fetched.lock, NULL);
    fetched.wanted = 3 * per_qos;
    mgos_config_mqtt_set_defaults(&config);
    config.enable = 1;
    config.server = broker.server;
    config.max_queue_length = 2 * PER_QOS;
    memset(&options, 0, sizeof(options));
    options.size = sizeof(options);
    options.profiles = &config;
    options.num_profiles = 1;
    options.receive_queue_length = 3 * PER_QOS; /* QoS 0 is to be counted, too */
    fetched.c = mgos_mqtt_conn_create_on(loop, 1, &options);
    sender = mgos_mqtt_conn_create_on(loop, 2, &options);
    assert_int_equal(mgos_mqtt_conn_subscribe_queue(fetched.c, "fetch/#", 2), 0);
    assert_true(mgos_mqtt_conn_connect(fetched.c) && mgos_mqtt_conn_connect(sender));
    /* The last way: nobody drives but those who wait. */
    if (way < WAYS) drive_start(&driver, loop, (enum way) way);
    while (!mgos_mqtt_conn_is_connected(sender) || !mgos_mqtt_conn_is_connected(fetched.c)) {
      struct mgos_mqtt_msg *msg;
      assert_true(net_ms() < until);
      assert_int_equal(mgos_mqtt_conn_receive(fetched.c, 10, &msg), MGOS_MQTT_TIMED_OUT);
    }
    /* The broker has the subscription when it has answered what came after it. */
    {
      struct mgos_mqtt_msg *msg;
      assert_int_not_equal(mgos_mqtt_conn_pub(fetched.c, "fetch/ready", mg_mk_str("ready"), 1, false), 0);
      assert_int_equal(mgos_mqtt_conn_receive(fetched.c, (int) LONG_MS, &msg), 0);
      assert_int_equal(mgos_mqtt_msg_release(msg), 0);
    }
    for (i = 0; i < FETCHERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, fetch_thread, NULL), 0);
    for (i = 0; i < per_qos; i++) {
      for (qos = 0; qos < 3; qos++) {
        char text[32];
        snprintf(text, sizeof(text), "%d %d", qos, i);
        while (mgos_mqtt_conn_pub(sender, "fetch/x", mg_mk_str(text), qos, false) == 0) {
          assert_true(net_ms() < until);
        }
      }
    }
    for (i = 0; i < FETCHERS; i++) pthread_join(threads[i], NULL);
    if (way < WAYS) drive_stop(&driver);
    assert_int_equal(fetched.wrong, 0);
    assert_int_equal(fetched.doubled, 0);
    assert_int_equal(fetched.total, 3 * per_qos);
    assert_int_equal(mgos_mqtt_conn_receive_dropped(fetched.c), 0);
    assert_int_equal(mgos_mqtt_loop_free(loop), 0);
    pthread_mutex_destroy(&fetched.lock);
  }
  broker_stop(&broker);
}

/* -- mgos_mqtt_loop_run() ------------------------------------------------------------------------------- */

static void breaks(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct client *client = ud;
  (void) c;
  trace(client, "%s", (const char *) mgos_mqtt_event_payload(ev, NULL));
  if (mgos_mqtt_loop_run(client->loop) != MGOS_MQTT_BUSY) trace(client, "not busy");
  if (strcmp(mgos_mqtt_event_payload(ev, NULL), "end") == 0) mgos_mqtt_loop_break(client->loop);
}

static void *run_thread(void *ud) {
  struct client *client = ud;
  return mgos_mqtt_loop_run(client->loop) == 0 ? ud : NULL;
}

/* proves: ZY-37 */
static void runs_until_it_is_told_to_end(void **state) {
  struct client *client = *state;
  pthread_t threads[3];
  int i;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, breaks, client, NULL);
  client_up(client);
  /* Ended by a handler, twice: nothing of the first time is left for the second. */
  for (i = 0; i < 2; i++) {
    peer_send(client->peer, "30 @ ='t' 'a'; 30 @ ='t' 'b'; 30 @ ='t' 'end'");
    assert_int_equal(mgos_mqtt_loop_run(client->loop), 0);
    assert_string_equal(client->trace, "a b end ");
    expect_trace(client, "a b end ");
  }
  /* Told before it began. */
  assert_int_equal(mgos_mqtt_loop_break(client->loop), 0);
  assert_int_equal(mgos_mqtt_loop_run(client->loop), 0);
  /* By another thread, several at once, driven by one of them or by the loop's own. */
  for (i = 0; i < 2; i++) {
    size_t n;
    void *fine;
    if (i == 1) assert_int_equal(mgos_mqtt_loop_start(client->loop), 0);
    for (n = 0; n < 3; n++) assert_int_equal(pthread_create(&threads[n], NULL, run_thread, client), 0);
    for (n = 0; n < 3; n++) {
      /* Whoever begins after the others were ended needs a word of its own. */
      while (pthread_tryjoin_np(threads[n], &fine) != 0)
        assert_int_equal(mgos_mqtt_loop_break(client->loop), 0);
      assert_non_null(fine);
    }
    /* The last word may have come when nobody was there any more. */
    assert_int_equal(mgos_mqtt_loop_break(client->loop), 0);
    assert_int_equal(mgos_mqtt_loop_run(client->loop), 0);
  }
  assert_int_equal(mgos_mqtt_loop_stop(client->loop), 0);
  peer_done(client->peer, client->loop);
}

#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_CLIENT(fetched_in_order_and_acknowledged_when_released),
      WITH_CLIENT(a_program_that_only_fetches),
      WITH_CLIENT(beside_handlers_and_inside_of_them),
      WITH_CLIENT(qos_0_is_dropped_and_counted),
      WITH_CLIENT(qos_1_and_2_are_left_with_the_server),
      WITH_CLIENT(the_rest_comes_when_half_is_free),
      WITH_CLIENT(the_limit_holds_for_filters_that_overlap),
      WITH_CLIENT(nothing_is_lost_and_qos_2_comes_once),
      WITH_CLIENT(messages_outlive_the_connection),
      cmocka_unit_test(each_message_goes_to_one_of_the_threads),
      WITH_CLIENT(runs_until_it_is_told_to_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
