/*
 * What a broker and the library have to do together, through the C API:
 *
 *   broker_test <broker>[-<way>] <port> [<test>...]
 *
 * The way there (ws, unix ...) is in the environment, see device_address().
 * The broker listens at this port of the loopback interface; with_broker.sh starts one. Ends with
 * "N passed, N failed". PROXY_TRACE=<file> logs every packet, VERBOSE=1 what the library says.
 */
#include <mgos_mqtt_event.h>
#include <mgos_mqtt_stats.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "proxy.h"

/* In what the brokers differ, all of it: everything else is the same test for each. */
struct broker {
  const char *name;
  const char *user, *pass;
  /* The highest QoS that is granted and delivered. RabbitMQ has no QoS 2. */
  int max_qos;
  /* A QoS 2 PUBLISH is answered with PUBACK, not PUBREC: RabbitMQ again. */
  bool qos2_ends_with_puback;
  /* MQTT 3.1; ejabberd refuses it with CONNACK 1. */
  bool has_v31;
  /* When a session moves to a new connection, a new message may overtake those that the old connection had
   * not delivered. RabbitMQ gives the new one its first messages before it has taken those back; in ejabberd
   * they come from the old connection's process, new ones directly. None is lost. */
  bool redelivers_late;
  /* It sends topic aliases to who takes them. */
  bool sends_aliases;
};

static const struct broker BROKERS[] = {
    {.name = "mosquitto", .max_qos = 2, .has_v31 = true},
    /* ejabberd has no anonymous users: with_broker.sh registers this one. */
    {.name = "ejabberd",
     .user = "u@localhost",
     .pass = "p",
     .max_qos = 2,
     .has_v31 = false,
     .redelivers_late = true},
    {.name = "rabbitmq",
     .max_qos = 1,
     .qos2_ends_with_puback = true,
     .has_v31 = true,
     .redelivers_late = true},
    {.name = "rumqttd", .max_qos = 2, .sends_aliases = true},
};

static const struct broker *broker;
static int broker_port;
static int test_number;

static int min(int a, int b) {
  return a < b ? a : b;
}

/* Topics and client ids of their own for each test of each run: RabbitMQ still takes down the QoS 0 queue of
 * a client that is gone when the next one of the same name has it already, and its messages are lost. And no
 * dots: it turns them into slashes. */
static const char *own(const char *what) {
  static char texts[16][64];
  static unsigned next;
  char *text = texts[next++ % 16];
  snprintf(text, sizeof(texts[0]), "%d-%d/%s", (int) getpid(), test_number, what);
  return text;
}

static void defaults(struct device_options *options, const char *client_id) {
  device_defaults(options, broker_port, broker->user, broker->pass, client_id);
  /* rumqttd takes no "/" in it. */
  snprintf(options->client_id, sizeof(options->client_id), "%s", client_id != NULL ? client_id : "");
  for (char *at = options->client_id; *at != '\0'; at++) {
    if (*at == '/') *at = '-';
  }
  if (client_id != NULL) options->cfg.client_id = options->client_id;
}

static struct device *client(const char *client_id) {
  struct device_options options;
  defaults(&options, client_id);
  struct device *device = device_create(&options);
  if (device != NULL) mgos_mqtt_conn_connect(device->conn);
  return device;
}

static struct device *keeping_session(const char *client_id, int port) {
  struct device_options options;
  defaults(&options, client_id);
  options.cfg.clean_session = 0;
  device_address(options.server, sizeof(options.server), port);
  return device_create(&options);
}

/* How many messages the server has acknowledged as far as it does for this QoS. */
static int completed(const struct device *device, int qos) {
  return qos == 2 && !broker->qos2_ends_with_puback ? device->pubcomps : device->pubacks;
}

/* Each QoS of a publish with each of a subscription; what is granted, and what arrives. */
static bool test_qos(void) {
  struct device *sender = client(own("a")), *receiver = client(own("b"));
  CHECK(sender != NULL && receiver != NULL);
  AWAIT(sender->ups == 1 && receiver->ups == 1);
  for (int wanted = 0; wanted <= 2; wanted++) {
    char filter[64];
    snprintf(filter, sizeof(filter), "%s/%d", own("qos"), wanted);
    CHECK(device_subscribe(receiver, filter, wanted));
    AWAIT(receiver->subacks == wanted + 1);
    CHECK(receiver->granted == min(wanted, broker->max_qos));
    for (int qos = 0; qos <= 2; qos++) {
      int before = completed(sender, qos);
      device_clear(receiver);
      uint16_t id = device_publish_text(sender, filter, "hello", qos, false);
      CHECK(id != 0);
      if (qos > 0) {
        AWAIT(completed(sender, qos) == before + 1);
        CHECK(sender->acked[id] == 1);
      }
      AWAIT(receiver->count >= 1);
      CHECK(receiver->count == 1 && device_count(receiver, filter, "hello") == 1);
      CHECK(receiver->messages[0].qos == min(qos, min(wanted, broker->max_qos)));
      CHECK(!receiver->messages[0].retain && !receiver->messages[0].dup);
    }
  }
  CHECK(sender->closes == 0 && receiver->closes == 0);
  return true;
}

/* Payloads of any bytes, from none to a megabyte, around the sizes where the length takes another byte. */
static bool test_payloads(void) {
  static const size_t SIZES[] = {0,     1,     2,     100,   127,   128,    200,
                                 16000, 16383, 16384, 65535, 65536, 300000, 1048576};
  size_t count = sizeof(SIZES) / sizeof(SIZES[0]);
  /* mosquitto 2.0 sends 4 KB each tenth of a second over WebSocket. */
  while (getenv("DEVICE_PATH") != NULL && strcmp(broker->name, "mosquitto") == 0 && SIZES[count - 1] > 20000) count--;
  struct device *sender = client(own("a")), *receiver = client(own("b"));
  unsigned char *bytes = malloc(SIZES[count - 1]);
  CHECK(sender != NULL && receiver != NULL && bytes != NULL);
  for (size_t i = 0; i < SIZES[count - 1]; i++) bytes[i] = (unsigned char) (i * 31 + (i >> 8));
  AWAIT(sender->ups == 1 && receiver->ups == 1);
  for (int qos = 0; qos <= 2; qos++) {
    char topic[64];
    snprintf(topic, sizeof(topic), "%s/%d", own("payload"), qos);
    CHECK(device_subscribe(receiver, topic, qos));
    AWAIT(receiver->subacks == qos + 1);
    device_clear(receiver);
    for (size_t i = 0; i < count; i++) CHECK(device_publish(sender, topic, bytes, SIZES[i], qos, false) != 0);
    int64_t patience = now_ms() + AWAIT_MS;
    while (receiver->count < count && now_ms() < patience) mgos_mqtt_loop_poll(test_loop, 20);
    if (receiver->count != count) {
      printf("  QoS %d: %zu of %zu messages came, %zu bytes are unsent\n", qos, receiver->count, count,
             mgos_mqtt_conn_num_unsent_bytes(sender->conn));
      CHECK(!"each message comes once");
    }
    for (size_t i = 0; i < count; i++) {
      CHECK(receiver->messages[i].len == SIZES[i]);
      CHECK(memcmp(receiver->messages[i].payload, bytes, SIZES[i]) == 0);
    }
  }
  AWAIT(mgos_mqtt_conn_num_unsent_bytes(sender->conn) == 0);
  free(bytes);
  return true;
}

static bool test_retain(void) {
  const char *topic = own("retain"), *marker = own("marker");
  struct device *sender = client(own("a")), *early = client(own("b"));
  CHECK(sender != NULL && early != NULL);
  AWAIT(sender->ups == 1 && early->ups == 1);
  CHECK(device_subscribe(early, topic, 1));
  AWAIT(early->subacks == 1);
  /* ejabberd looks for retained messages after SUBACK: one that comes just then is taken for an old one. When
   * a message of its own came back, that is over. */
  CHECK(device_subscribe(early, marker, 1) && device_publish_text(early, marker, "ready", 1, false) != 0);
  AWAIT(device_count(early, marker, "ready") == 1 && early->subacks == 2);
  device_clear(early);
  CHECK(device_publish_text(sender, topic, "kept", 1, true) != 0);
  AWAIT(sender->pubacks == 1 && early->count == 1);
  CHECK(device_count(early, topic, "kept") == 1);
  /* It goes to somebody who had subscribed before: not as a retained one (MQTT 3.1.1, section 3.3.1.3). */
  CHECK(!early->messages[0].retain);

  struct device *late = client(own("c"));
  CHECK(late != NULL && device_subscribe(late, topic, 1));
  AWAIT(late->count == 1);
  CHECK(device_count(late, topic, "kept") == 1 && late->messages[0].retain);

  CHECK(device_publish(sender, topic, NULL, 0, 1, true) != 0);
  AWAIT(sender->pubacks == 2 && early->count == 2);
  CHECK(early->messages[1].len == 0 && !early->messages[1].retain);
  struct device *later = client(own("d"));
  CHECK(later != NULL && device_subscribe(later, topic, 1) && device_subscribe(later, marker, 1));
  AWAIT(later->subacks == 2);
  CHECK(device_publish_text(sender, marker, "end", 1, false) != 0);
  AWAIT(later->count >= 1);
  CHECK(later->count == 1 && device_count(later, marker, "end") == 1);
  return true;
}

static bool test_will(void) {
  const char *topic = own("will");
  struct device *watcher = client(own("w"));
  CHECK(watcher != NULL);
  AWAIT(watcher->ups == 1);
  CHECK(device_subscribe(watcher, topic, 2));
  AWAIT(watcher->subacks == 1);
  for (int qos = 0; qos <= 2; qos++) {
    struct device_options options;
    defaults(&options, own("dying"));
    options.cfg.will_topic = topic;
    options.cfg.will_message = "gone";
    options.more.will_qos = qos;
    struct device *device = device_create(&options);
    CHECK(device != NULL && mgos_mqtt_conn_connect(device->conn));
    AWAIT(device->ups == 1);

    /* Without DISCONNECT the will comes. */
    device_clear(watcher);
    mgos_mqtt_conn_abort(device->conn);
    AWAIT(watcher->count >= 1);
    CHECK(watcher->count == 1 && device_count(watcher, topic, "gone") == 1);
    CHECK(watcher->messages[0].qos == min(qos, broker->max_qos));

    /* After DISCONNECT it does not: what is published next is all that comes. */
    device_clear(watcher);
    CHECK(mgos_mqtt_conn_connect(device->conn));
    AWAIT(device->ups == 2);
    mgos_mqtt_conn_disconnect(device->conn);
    AWAIT(device->closes == 2);
    CHECK(device->last_error == MGOS_MQTT_CLOSED_BY_CLIENT);
    CHECK(device_publish_text(watcher, topic, "end", 1, false) != 0);
    AWAIT(watcher->count >= 1);
    CHECK(watcher->count == 1 && device_count(watcher, topic, "end") == 1);
    device_end(device);
  }
  return true;
}

/* What was published while a device was away; the device is the same one, then one that was started again. */
static bool test_session(void) {
  const char *id = own("s");
  char topics[2][64];
  struct device *sender = client(own("a"));
  struct device *device = keeping_session(id, broker_port);
  CHECK(sender != NULL && device != NULL && mgos_mqtt_conn_connect(device->conn));
  AWAIT(sender->ups == 1 && device->ups == 1);
  CHECK(!device->session_present);
  for (int qos = 1; qos <= 2; qos++) {
    snprintf(topics[qos - 1], sizeof(topics[0]), "%s/%d", own("session"), qos);
    CHECK(device_subscribe(device, topics[qos - 1], qos));
  }
  AWAIT(device->subacks == 2);

  for (int round = 0; round < 2; round++) {
    const int count = 50;
    /* Freeing it at once might leave acknowledgements behind, and a device without memory cannot know that a
     * QoS 2 message came twice; so it is closed first. */
    mgos_mqtt_conn_disconnect(device->conn);
    AWAIT(device->closes == round + 1);
    if (round == 1) device_end(device);
    int completed_before = sender->pubacks + sender->pubcomps;
    for (int i = 0; i < count; i++) {
      char text[16];
      snprintf(text, sizeof(text), "%d", i);
      CHECK(device_publish_text(sender, topics[0], text, 1, false) != 0);
      CHECK(device_publish_text(sender, topics[1], text, 2, false) != 0);
    }
    AWAIT(sender->pubacks + sender->pubcomps == completed_before + 2 * count);

    if (round == 1) {
      device = keeping_session(id, broker_port);
      CHECK(device != NULL);
    }
    device_clear(device);
    int ups = device->ups;
    CHECK(mgos_mqtt_conn_connect(device->conn));
    AWAIT(device->ups == ups + 1);
    CHECK(device->session_present);
    AWAIT(device->count >= (size_t) (2 * count));
    CHECK(device->count == (size_t) (2 * count));
    int next[2] = {0, 0};
    for (size_t i = 0; i < device->count; i++) {
      int which = strcmp(device->messages[i].topic, topics[1]) == 0;
      CHECK(atoi((const char *) device->messages[i].payload) == next[which]++);
      CHECK(device->messages[i].qos == min(which + 1, broker->max_qos));
    }
    CHECK(next[0] == count && next[1] == count);
  }
  device_end(device);

  /* A clean session takes it all away. */
  device = client(id);
  CHECK(device != NULL);
  AWAIT(device->ups == 1);
  CHECK(!device->session_present);
  device_end(device);
  device = keeping_session(id, broker_port);
  CHECK(device != NULL && mgos_mqtt_conn_connect(device->conn));
  AWAIT(device->ups == 1);
  CHECK(!device->session_present);
  return true;
}

/* What was published and subscribed before there is a connection. */
static bool test_offline(void) {
  const char *topic = own("offline");
  struct device_options options;
  defaults(&options, own("a"));
  struct device *sender = device_create(&options), *receiver = client(own("b"));
  CHECK(sender != NULL && receiver != NULL);
  CHECK(device_subscribe(receiver, topic, 1));
  AWAIT(receiver->subacks == 1);
  CHECK(device_publish_text(sender, topic, "zero", 0, false) == 0);
  CHECK(mgos_mqtt_last_error() == MGOS_MQTT_NOT_CONNECTED);
  CHECK(device_publish_text(sender, topic, "one", 1, false) != 0);
  CHECK(device_publish_text(sender, topic, "two", 2, false) != 0);
  CHECK(mgos_mqtt_conn_connect(sender->conn));
  AWAIT(sender->pubacks + sender->pubcomps == 2 && receiver->count >= 2);
  CHECK(receiver->count == 2);
  CHECK(device_count(receiver, topic, "one") == 1 && device_count(receiver, topic, "two") == 1);
  return true;
}

static bool test_unsubscribe(void) {
  const char *topic = own("un"), *marker = own("un/marker");
  struct device *device = client(own("a"));
  CHECK(device != NULL);
  CHECK(device_subscribe(device, topic, 1) && device_subscribe(device, marker, 1));
  AWAIT(device->subacks == 2);
  CHECK(device_publish_text(device, topic, "first", 1, false) != 0);
  AWAIT(device_count(device, topic, "first") == 1);
  CHECK(device_unsubscribe(device, topic));
  AWAIT(device->unsubacks == 1);
  device_clear(device);
  CHECK(device_publish_text(device, topic, "second", 1, false) != 0);
  CHECK(device_publish_text(device, marker, "end", 1, false) != 0);
  AWAIT(device->count >= 1);
  CHECK(device->count == 1 && device_count(device, marker, "end") == 1);
  /* Nor does it come back with the next connection. What is not acknowledged by then would come twice. */
  AWAIT(device->pubacks == 3);
  mgos_mqtt_conn_reconnect(device->conn);
  AWAIT(device->ups == 2 && device->subacks == 3);
  device_clear(device);
  CHECK(device_publish_text(device, topic, "third", 1, false) != 0);
  CHECK(device_publish_text(device, marker, "end", 1, false) != 0);
  AWAIT(device->count >= 1);
  CHECK(device->count == 1 && device_count(device, marker, "end") == 1);
  return true;
}

static bool test_wildcards(void) {
  static const char *const TOPICS[] = {"", "/x", "/a/x", "/b/x", "/a/y", "/a/b/x", "//x", "/ü/x"};
  /* Which of these topics a filter takes, as bits (MQTT 3.1.1, section 4.7). */
  static const struct {
    const char *filter;
    unsigned takes;
  } CASES[] = {{"/#", 0xff}, {"/+/x", 0xcc}, {"/a/#", 0x34}, {"/a/+", 0x14}, {"/+/+/x", 0x20}, {"/+", 0x02}};
  const char *marker = own("wild/end");
  char base[64], topic[96];
  struct device *device = client(own("a"));
  CHECK(device != NULL && device_subscribe(device, marker, 1));
  AWAIT(device->subacks == 1);
  for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
    /* A base of its own for each filter: a late message must not be counted for the next one. */
    snprintf(base, sizeof(base), "%s/%zu", own("wild"), i);
    snprintf(topic, sizeof(topic), "%s%s", base, CASES[i].filter);
    CHECK(device_subscribe(device, topic, 1));
    AWAIT(device->subacks == (int) i + 2);
    device_clear(device);
    for (size_t t = 0; t < sizeof(TOPICS) / sizeof(TOPICS[0]); t++) {
      snprintf(topic, sizeof(topic), "%s%s", base, TOPICS[t]);
      CHECK(device_publish_text(device, topic, "m", 1, false) != 0);
    }
    CHECK(device_publish_text(device, marker, "end", 1, false) != 0);
    AWAIT(device_count(device, marker, "end") == 1);
    for (size_t t = 0; t < sizeof(TOPICS) / sizeof(TOPICS[0]); t++) {
      snprintf(topic, sizeof(topic), "%s%s", base, TOPICS[t]);
      size_t came = device_count(device, topic, "m");
      if (came != (CASES[i].takes >> t & 1)) {
        printf("  filter %s, topic %s: came %zu times\n", CASES[i].filter, TOPICS[t], came);
        CHECK(!"a filter takes what it should");
      }
    }
    snprintf(topic, sizeof(topic), "%s%s", base, CASES[i].filter);
    CHECK(device_unsubscribe(device, topic));
    AWAIT(device->unsubacks == (int) i + 1);
  }
  return true;
}

/* The server chooses the client id. */
static bool test_empty_client_id(void) {
  const char *topic = own("anonymous");
  struct device *one = client(""), *two = client(NULL);
  CHECK(one != NULL && two != NULL);
  AWAIT(one->ups == 1 && two->ups == 1);
  CHECK(device_subscribe(one, topic, 1) && device_subscribe(two, topic, 1));
  AWAIT(one->subacks == 1 && two->subacks == 1);
  CHECK(device_publish_text(one, topic, "to both", 1, false) != 0);
  AWAIT(one->count == 1 && two->count == 1);
  CHECK(one->closes == 0 && two->closes == 0);
  return true;
}

/* Counted here and not by the proxy, which cannot read what a WebSocket masks. */
static uint64_t pings(const struct device *device) {
  struct mgos_mqtt_stats stats = mgos_mqtt_stats_init();
  return mgos_mqtt_conn_stats(device->conn, &stats) == 0 ? stats.pings : 0;
}

/* A keep-alive of one second: a server closes after one and a half without a packet. */
static bool test_keep_alive(void) {
  struct proxy *proxy = proxy_start(broker_port);
  struct device_options options;
  CHECK(proxy != NULL);
  defaults(&options, own("a"));
  device_address(options.server, sizeof(options.server), proxy_port(proxy));
  options.cfg.keep_alive = 1;
  struct device *device = device_create(&options);
  CHECK(device != NULL && mgos_mqtt_conn_connect(device->conn));
  AWAIT(device->ups == 1);
  AWAIT(device->closes > 0 || pings(device) >= 5);
  CHECK(device->closes == 0);
  /* And a link on which nothing moves any more is noticed. */
  proxy_cut(proxy, CUT_DEAF_DOWN);
  AWAIT(device->closes == 1 && device->ups == 2);
  devices_free();
  proxy_stop(proxy);
  return true;
}

#define RECONNECTS 100
#define EACH 5

/* Whether every number came; if asked for, in order when repetitions are left out. */
static bool complete(const struct device *device, const char *topic, bool ordered) {
  bool came[RECONNECTS * EACH] = {false};
  int next = 0;
  for (size_t i = 0; i < device->count; i++) {
    if (strcmp(device->messages[i].topic, topic) != 0) continue;
    int number = atoi((const char *) device->messages[i].payload);
    CHECK(number >= 0 && number < RECONNECTS * EACH);
    came[number] = true;
    if (number == next) next++;
    if (ordered && number >= next) {
      printf("  %s: %d came before %d\n", topic, number, next);
      CHECK(!"the order is kept");
    }
  }
  for (int i = 0; i < RECONNECTS * EACH; i++) CHECK(came[i]);
  return true;
}

/* How many different numbers came. */
static int different(const struct device *device, const char *topic) {
  bool came[RECONNECTS * EACH] = {false};
  int n = 0;
  for (size_t i = 0; i < device->count; i++) {
    int number = atoi((const char *) device->messages[i].payload);
    if (strcmp(device->messages[i].topic, topic) != 0 || number < 0 || number >= RECONNECTS * EACH) continue;
    n += !came[number];
    came[number] = true;
  }
  return n;
}

/* The link is lost a hundred times with messages under way in both directions. */
static bool test_reconnects(void) {
  const char *up = own("up"), *down = own("down");
  struct proxy *proxy = proxy_start(broker_port);
  CHECK(proxy != NULL);
  struct device *device = keeping_session(own("d"), proxy_port(proxy)), *other = client(own("o"));
  CHECK(device != NULL && other != NULL && mgos_mqtt_conn_connect(device->conn));
  CHECK(device_subscribe(device, down, 1) && device_subscribe(other, up, 1));
  AWAIT(device->subacks == 1 && other->subacks == 1);
  for (int i = 0; i < RECONNECTS; i++) {
    for (int k = 0; k < EACH; k++) {
      char text[16];
      snprintf(text, sizeof(text), "%d", i * EACH + k);
      CHECK(device_publish_text(device, up, text, 1, false) != 0);
      CHECK(device_publish_text(other, down, text, 1, false) != 0);
    }
    switch (i % 4) {
      case 0:
        proxy_cut(proxy, CUT_RST);
        break;
      case 2:
        proxy_cut(proxy, CUT_FIN);
        break;
      default:
        mgos_mqtt_loop_poll(test_loop, 0);
        mgos_mqtt_conn_abort(device->conn);
        mgos_mqtt_conn_connect(device->conn);
    }
    AWAIT(device->closes == i + 1 && device->ups == i + 2);
    CHECK(device->session_present);
  }
  AWAIT(different(other, up) == RECONNECTS * EACH && different(device, down) == RECONNECTS * EACH);
  CHECK(complete(other, up, true) && complete(device, down, !broker->redelivers_late));
  AWAIT(mgos_mqtt_conn_num_unsent_bytes(device->conn) == 0);
  CHECK(other->closes == 0);
  devices_free();
  proxy_stop(proxy);
  return true;
}

/* MQTT 5.0: what is published with topic aliases arrives with its topics, and so does what comes with aliases. */
static bool test_aliases(void) {
  enum { TOPICS = 3, ROUNDS = 4 };
  struct device_options options;
  char topics[TOPICS][64];
  defaults(&options, own("a"));
  options.more.topic_aliases = 2;
  struct device *sender = device_create(&options), *receiver = client(own("b"));
  CHECK(sender != NULL && receiver != NULL && mgos_mqtt_conn_connect(sender->conn));
  AWAIT(sender->ups == 1 && receiver->ups == 1);
  for (int i = 0; i < TOPICS; i++) {
    snprintf(topics[i], sizeof(topics[i]), "%s/%d", own("a/longer/topic/than/an/alias"), i);
    CHECK(device_subscribe(receiver, topics[i], 2));
    AWAIT(receiver->subacks == i + 1);
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < TOPICS; i++) CHECK(device_publish_text(sender, topics[i], topics[i], round % 3, false) != 0);
  }
  AWAIT(receiver->count >= TOPICS * ROUNDS);
  for (int i = 0; i < TOPICS; i++) CHECK(device_count(receiver, topics[i], topics[i]) == ROUNDS);
  CHECK(receiver->count == TOPICS * ROUNDS);
  CHECK(!broker->sends_aliases || receiver->aliased > 0);
  CHECK(sender->closes == 0 && receiver->closes == 0);
  return true;
}

static bool test_v31(void) {
  const char *topic = own("v31");
  struct device_options options;
  defaults(&options, own("a"));
  options.more.protocol_version = 3;
  options.more.num_properties = 0;
  struct device *device = device_create(&options);
  CHECK(device != NULL && mgos_mqtt_conn_connect(device->conn));
  if (!broker->has_v31) {
    AWAIT(device->failures >= 1);
    CHECK(device->last_error == MGOS_MQTT_REFUSED_VERSION && device->ups == 0);
    return true;
  }
  AWAIT(device->ups == 1);
  CHECK(device_subscribe(device, topic, 2));
  AWAIT(device->subacks == 1);
  for (int qos = 0; qos <= 2; qos++) {
    CHECK(device_publish_text(device, topic, "old", qos, false) != 0);
    AWAIT(device->count == (size_t) qos + 1);
    CHECK(device->messages[qos].qos == min(qos, broker->max_qos));
  }
  mgos_mqtt_conn_reconnect(device->conn);
  AWAIT(device->ups == 2 && device->subacks == 2);
  return true;
}

static const struct {
  const char *name;
  bool (*run)(void);
  bool needs_5;
} TESTS[] = {
    {"qos", test_qos, false},
    {"payloads", test_payloads, false},
    {"retain", test_retain, false},
    {"will", test_will, false},
    {"session", test_session, false},
    {"offline", test_offline, false},
    {"unsubscribe", test_unsubscribe, false},
    {"wildcards", test_wildcards, false},
    {"empty_client_id", test_empty_client_id, false},
    {"keep_alive", test_keep_alive, false},
    {"reconnects", test_reconnects, false},
    {"aliases", test_aliases, true},
    {"mqtt_3_1", test_v31, false},
};

int main(int argc, char **argv) {
  int passed = 0, failed = 0;
  if (argc < 3) {
    fprintf(stderr, "usage: %s <broker> <port> [<test>...]\n", argv[0]);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < sizeof(BROKERS) / sizeof(BROKERS[0]); i++) {
    if (strcspn(argv[1], "-") == strlen(BROKERS[i].name) && strncmp(argv[1], BROKERS[i].name, strlen(BROKERS[i].name)) == 0)
      broker = &BROKERS[i];
  }
  broker_port = atoi(argv[2]);
  /* All packets are logged. */
  if (getenv("PROXY_TRACE") != NULL) broker_port = proxy_port(proxy_start(broker_port));
  if (broker == NULL) {
    fprintf(stderr, "no broker '%s' in the table\n", argv[1]);
    return 2;
  }
  for (size_t i = 0; i < sizeof(TESTS) / sizeof(TESTS[0]); i++) {
    bool wanted = argc == 3;
    for (int k = 3; k < argc; k++) wanted = wanted || strcmp(argv[k], TESTS[i].name) == 0;
    if (!wanted || (TESTS[i].needs_5 && !device_speaks_5())) continue;
    int64_t start = now_ms();
    test_number = (int) i;
    bool ok = TESTS[i].run();
    devices_free();
    printf("%s %s %s (%d ms)\n", ok ? "ok  " : "FAIL", argv[1], TESTS[i].name, (int) (now_ms() - start));
    passed += ok;
    failed += !ok;
  }
  mgos_mqtt_loop_free(test_loop);
  printf("%s: %d passed, %d failed\n", argv[1], passed, failed);
  return failed != 0 || passed == 0;
}
