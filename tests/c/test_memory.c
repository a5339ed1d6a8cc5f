/*
 * Without memory: while a connection is up, publishing and receiving go wrong in an orderly way at each of
 * their allocations. This program's malloc() refuses one after the other, and all after it; an allocation
 * that the library does not expect to fail would end the program.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgos_mqtt_publish.h"
#include "mgos_mqtt_receive.h"
#include "mgos_mqtt_subscribe.h"

#include "client.h"
#include "net.h"

/* -- an allocator that refuses, on the thread that asked for it -- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static __thread bool limited, once;
static __thread int left, refused;

static bool granted(void) {
  if (!limited || left-- > 0 || (once && refused > 0)) return true;
  refused++;
  errno = ENOMEM;
  return false;
}

void *malloc(size_t size) {
  return granted() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t n, size_t size) {
  return granted() ? __libc_calloc(n, size) : NULL;
}

void *realloc(void *block, size_t size) {
  return granted() ? __libc_realloc(block, size) : NULL;
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  *block = granted() ? __libc_memalign(alignment, size) : NULL;
  return *block != NULL ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size) {
  return granted() ? __libc_memalign(alignment, size) : NULL;
}

/* -- a connection -- */

enum { MESSAGES = 6 };

struct scene {
  const char *name;
  void (*prepare)(void); /* before the connection is made */
  void (*before)(void);  /* it is up, and there is memory */
  void (*act)(void);     /* there is none */
  void (*after)(void);   /* there is again */
};

static struct mgos_mqtt_loop *loop;
static struct client client;
static struct mgos_config_mqtt config;
static struct mgos_mqtt_options options;
static char server[32], big[100000];
static int listener, fd, records;
/* Accepted publishes, those whose outcome was told; how often each message came. */
static int accepted, outcomes, handled[MESSAGES + 1], set_aside;

static void on_record(int level, int conn_id, const char *text, void *ud) {
  (void) level;
  (void) conn_id;
  (void) ud;
  records += text[0] != '\0';
}

static void poll_some(void) {
  for (int i = 0; i < 20; i++) assert_int_equal(mgos_mqtt_loop_poll(loop, 0), 0);
}

/* Polls until the client has sent something. */
static void until_sent(void) {
  struct pollfd readable = {fd, POLLIN, 0};
  int64_t until = net_ms() + LONG_MS;
  while (poll(&readable, 1, 0) == 0) {
    assert_true(net_ms() < until);
    assert_int_equal(mgos_mqtt_loop_poll(loop, 1), 0);
  }
}

static void come_up(bool session_present, int times) {
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_poll_until(&client, loop, CONNECTING, times));
  fd = net_accept(listener);
  until_sent();
  mqtt_expect(fd, 0x10);
  net_write(fd, session_present ? "\x20\x02\x01\x00" : "\x20\x02\x00\x00", 4);
  assert_true(client_poll_until(&client, loop, UP, times));
}

/* -- publishing -- */

static void on_outcome(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ev;
  (void) ud;
  outcomes++;
}

static void count_all_outcomes(void) {
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_OUTCOME, on_outcome, NULL, NULL), 0);
}

static void publish_one(int qos, size_t len) {
  struct mgos_mqtt_publication message = {.size = sizeof(message), .topic = "some/topic", .payload = big};
  message.payload_len = len;
  message.qos = qos;
  message.done = on_outcome;
  if (mgos_mqtt_conn_publish(client.conn, &message, NULL) == 0) {
    accepted += 2; /* its own function, and the handler */
  } else {
    assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NO_MEMORY);
  }
}

static void publish_all(void) {
  for (int qos = 0; qos <= 2; qos++) {
    publish_one(qos, 10);
    publish_one(qos, sizeof(big));
  }
  if (mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("x"), 1, false) != 0) accepted++;
  if (mgos_mqtt_conn_pubf(client.conn, "t", 1, false, "{a: %d, b: %.*Q}", 1, 3000, big) != 0) accepted++;
  poll_some();
}

/* Answers until everything has its outcome. */
static void answer_all(void) {
  static uint8_t body[sizeof(big) + 100];
  int64_t until = net_ms() + LONG_MS;
  if (client_count(&client, CLOSED) > 0) {
    assert_int_equal(client.error, MGOS_MQTT_NO_MEMORY);
    close(fd);
    come_up(true, 2);
  }
  while (outcomes < accepted) {
    struct pollfd readable = {fd, POLLIN, 0};
    size_t len, topic_len;
    int first;
    assert_true(net_ms() < until);
    assert_int_equal(mgos_mqtt_loop_poll(loop, 1), 0);
    if (poll(&readable, 1, 0) == 0) continue;
    /* Large ones fit the buffers of the sockets whole. */
    first = mqtt_read(fd, body, sizeof(body), &len);
    topic_len = (size_t) body[0] << 8 | body[1];
    if ((first & 0xf6) == 0x32)
      mqtt_ack(fd, 0x40, (uint16_t) (body[topic_len + 2] << 8 | body[topic_len + 3]));
    if ((first & 0xf6) == 0x34)
      mqtt_ack(fd, 0x50, (uint16_t) (body[topic_len + 2] << 8 | body[topic_len + 3]));
    if (first == 0x62) mqtt_ack(fd, 0x70, (uint16_t) (body[0] << 8 | body[1]));
  }
  poll_some();
  assert_int_equal(outcomes, accepted);
}

/* -- answers -- */

static uint16_t id_of_1, id_of_2, id_of_subscribe;

static void ask(void) {
  static const struct mgos_mqtt_filter filters[] = {{"a", 0}, {"b/+", 1}, {"c/#", 2}};
  publish_one(1, 10);
  until_sent();
  id_of_1 = mqtt_expect(fd, 0x30);
  publish_one(2, 10);
  until_sent();
  id_of_2 = mqtt_expect(fd, 0x30);
  assert_int_equal(mgos_mqtt_conn_subscribe_all(client.conn, filters, 3, NULL, NULL, NULL, on_outcome, NULL),
                   0);
  accepted++;
  until_sent();
  id_of_subscribe = mqtt_expect(fd, 0x80);
}

static void take_answers(void) {
  char suback[] = {(char) 0x90, 5, (char) (id_of_subscribe >> 8), (char) id_of_subscribe, 0, 1, (char) 0x80};
  mqtt_ack(fd, 0x40, id_of_1);
  mqtt_ack(fd, 0x50, id_of_2);
  net_write(fd, suback, sizeof(suback));
  poll_some();
}

static void answered(void) {
  if (client_count(&client, CLOSED) > 0) {
    char suback[] = {(char) 0x90, 5, 0, 0, 0, 1, (char) 0x80};
    assert_int_equal(client.error, MGOS_MQTT_NO_MEMORY);
    close(fd);
    come_up(true, 2);
    until_sent();
    id_of_subscribe = mqtt_expect(fd, 0x80);
    suback[2] = (char) (id_of_subscribe >> 8);
    suback[3] = (char) id_of_subscribe;
    net_write(fd, suback, sizeof(suback));
  }
  answer_all();
}

/* -- receiving -- */

static void on_message(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  int *what = ud;
  int id = mgos_mqtt_event_packet_id(ev);
  assert_in_range(id, 0, MESSAGES);
  if (what != NULL && *what == 'r') {
    /* Refused once: it comes again. */
    if (mgos_mqtt_event_attempt(ev) == 1) {
      assert_int_equal(mgos_mqtt_msg_refuse(conn, 0x80), 0);
      return;
    }
  }
  if (what != NULL && *what == 'd') {
    uint64_t number = mgos_mqtt_msg_defer(conn);
    if (number != 0) assert_int_equal(mgos_mqtt_msg_ack(conn, number), 0);
  }
  handled[id]++;
}

static void on_set_aside(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  (void) conn;
  (void) ud;
  handled[mgos_mqtt_event_packet_id(ev)]++;
  set_aside++;
}

static void on_mg(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc;
  (void) ev;
  (void) ev_data;
  (void) ud;
}

static void handle(int *what) {
  assert_int_equal(mgos_mqtt_conn_subscribe(client.conn, "t", 2, on_message, what, NULL), 0);
  assert_int_equal(mgos_mqtt_conn_on(client.conn, MGOS_MQTT_EV_SET_ASIDE, on_set_aside, NULL, NULL), 0);
  mgos_mqtt_conn_sub(client.conn, "+", 2, on_mg, NULL);
  mgos_mqtt_conn_add_handler(client.conn, on_mg, NULL);
}

static void to_handlers(void) {
  handle(NULL);
}

static void to_refusing_handlers(void) {
  static int what = 'r';
  handle(&what);
}

static void to_deferring_handlers(void) {
  static int what = 'd';
  handle(&what);
}

static void to_the_queue(void) {
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client.conn, "t", 2), 0);
}

static void send_all(void) {
  for (uint16_t id = 1; id <= MESSAGES; id++) {
    mqtt_publish(fd, "t", 0, 0, 10);
    mqtt_publish(fd, "t", id % 2 + 1, id, id < 5 ? 10 : 150000);
  }
}

static void fetch_all(void) {
  struct mgos_mqtt_msg *msg;
  while (mgos_mqtt_conn_receive_pending(client.conn, NULL) > 0) {
    int result = mgos_mqtt_conn_receive(client.conn, 0, &msg);
    if (result != 0) {
      assert_true(result == MGOS_MQTT_NO_MEMORY || result == MGOS_MQTT_TIMED_OUT);
      return;
    }
    mgos_mqtt_msg_release(msg);
  }
}

static void receive_some(void) {
  poll_some();
  fetch_all();
}

/* Which ids came cannot be read from a fetched message; that all were acknowledged can be read by the server.
 */
static int unacknowledged(void) {
  static bool answered[MESSAGES + 1];
  uint8_t body[64];
  size_t len;
  struct pollfd readable = {fd, POLLIN, 0};
  int n = MESSAGES;
  memset(answered, 0, sizeof(answered));
  for (int64_t until = net_ms() + LONG_MS; n > 0 && net_ms() < until;) {
    int first;
    fetch_all();
    assert_int_equal(mgos_mqtt_loop_poll(loop, 1), 0);
    if (client_count(&client, CLOSED) > 0 && !mgos_mqtt_conn_is_connected(client.conn)) break;
    if (poll(&readable, 1, 0) == 0) continue;
    first = mqtt_read(fd, body, sizeof(body), &len);
    if (first != 0x40 && first != 0x50) continue;
    if (body[0] == 0 && body[1] <= MESSAGES && !answered[body[1]]) n--;
    answered[body[1]] = true;
  }
  return n;
}

static void received(void) {
  int missing = unacknowledged();
  if (missing > 0) {
    assert_int_equal(client.error, MGOS_MQTT_NO_MEMORY);
    close(fd);
    /* The server has the session, and sends what it got no answer for; here, everything. */
    come_up(true, 2);
    send_all();
    assert_int_equal(unacknowledged(), 0);
  }
}

static void received_by_handlers(void) {
  received();
  for (int id = 1; id <= MESSAGES; id++) assert_in_range(handled[id], 1, 10);
}

static const struct scene SCENES[] = {
    {"publishing", count_all_outcomes, NULL, publish_all, answer_all},
    {"answers", count_all_outcomes, ask, take_answers, answered},
    {"messages", to_handlers, send_all, poll_some, received_by_handlers},
    {"refusing", to_refusing_handlers, send_all, poll_some, received_by_handlers},
    {"deferring", to_deferring_handlers, send_all, poll_some, received_by_handlers},
    {"the queue", to_the_queue, send_all, receive_some, received},
};

static int play(const struct scene *scene, int granted_first) {
  accepted = outcomes = set_aside = refused = 0;
  memset(handled, 0, sizeof(handled));
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_set_log(loop, MGOS_MQTT_LOG_DEBUG, on_record, NULL, NULL), 0);
  client_options(&options, &config, server);
  config.client_id = "memory"; /* whose session the server will say that it kept */
  config.clean_session = 0;
  /* The next attempt is asked for: connecting has allocations that must not fail. */
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
  options.refuse_delay_ms = 1;
  client_create(&client, loop, NULL, &options);
  scene->prepare();
  come_up(false, 1);
  if (scene->prepare != count_all_outcomes) {
    /* Both filters of the handlers are in one SUBSCRIBE. */
    until_sent();
    uint16_t id = mqtt_expect(fd, 0x80);
    char suback[] = {(char) 0x90, 4, (char) (id >> 8), (char) id, 2, 2};
    if (scene->prepare == to_the_queue) suback[1] = 3;
    net_write(fd, suback, scene->prepare == to_the_queue ? 5 : 6);
    poll_some();
  }
  if (scene->before != NULL) scene->before();
  left = granted_first;
  limited = true;
  scene->act();
  limited = false;
  scene->after();
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(fd);
  return refused;
}

/* Each allocation in turn is the first one that is refused. */
static void at_each_allocation(void **state) {
  (void) state;
  for (size_t i = 0; i < sizeof(SCENES) / sizeof(SCENES[0]); i++) {
    for (int mode = 0; mode < 2; mode++) {
      int n = 0;
      once = mode == 1;
      while (play(&SCENES[i], n) > 0) n++;
      print_message("%s: %d allocations, %s\n", SCENES[i].name, n,
                    once ? "one refused" : "all after it refused");
      /* Answers ask for none: what they need was made ready when the messages were accepted. */
      assert_in_range(n, strcmp(SCENES[i].name, "answers") != 0, 10000);
    }
  }
  assert_in_range(records, 1, 1000000000);
}

static int group_setup(void **state) {
  uint16_t port;
  (void) state;
  memset(big, 'x', sizeof(big));
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  return 0;
}

static int group_teardown(void **state) {
  (void) state;
  return close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(at_each_allocation)};
  return cmocka_run_group_tests_name("memory", tests, group_setup, group_teardown);
}
