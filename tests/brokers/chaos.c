/*
 * No message is lost or doubled, and none overtakes another of its topic and QoS, however often the link to a
 * living broker is cut: by a proxy, at random moments, in the middle of packets. Counted from outside, with
 * another client library, which is connected to the broker directly.
 *
 *   chaos        DURATION=60: seconds; SEED: repeats what chance did in an earlier run;
 *                CERTS=<directory>: with TLS; PROXY_TRACE=<file>: logs every packet;
 *                VERBOSE=1: logs what the library says
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proxy.h"
#include "sender.h"

#define OUT 6
#define IN 4
#define TICK_MS 10
#define DRAIN_MS 60000

static struct stream out[OUT] = {{.topic = "out/1/a", .qos = 1}, {.topic = "out/1/b", .qos = 1},
                                 {.topic = "out/1/c", .qos = 1}, {.topic = "out/2/a", .qos = 2},
                                 {.topic = "out/2/b", .qos = 2}, {.topic = "out/2/c", .qos = 2}};
static struct stream in[IN] = {{.topic = "in/1/a", .qos = 1},
                               {.topic = "in/1/b", .qos = 1},
                               {.topic = "in/2/a", .qos = 2},
                               {.topic = "in/2/b", .qos = 2}};
static struct child publishers[IN];
static struct sender sender;
static struct observer observer;
/* Under the sender's lock. */
static int subscribed;
static bool device_marked;

/*
 * mosquitto 2.0.11 can send a QoS 2 message again after it has released it, when the connection on which it awaits
 * PUBCOMP is lost, and the next one before it has repeated the PUBREL there. For the client the exchange was over: nobody
 * could tell this from a new message. So a message that comes again is looked up here: if the broker had released it,
 * this is counted by itself; everything else is a mistake of the library.
 */
enum { MOST = 1 << 20 };
static struct {
  struct stream *stream;
  int number;
} by_id[1 << 16];
static bool released[IN][MOST];
static int sent_again;

/* Whether this message of QoS 2 came before, and was released since. */
static bool was_released(struct stream *stream, int number, int id) {
  bool again;
  if (number < 0 || number >= MOST) return false;
  again = released[stream - in][number];
  released[stream - in][number] = false;
  by_id[id].stream = stream;
  by_id[id].number = number;
  return again;
}

static void on_release(struct mg_connection *nc, int ev, void *p, void *ud) {
  const struct mg_mqtt_message *message = p;
  (void) nc;
  (void) ud;
  if (ev != MG_EV_MQTT_PUBREL) return;
  pthread_mutex_lock(&sender.lock);
  if (by_id[message->message_id].stream != NULL) {
    released[by_id[message->message_id].stream - in][by_id[message->message_id].number] = true;
    by_id[message->message_id].stream = NULL;
  }
  pthread_mutex_unlock(&sender.lock);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  (void) ud;
  pthread_mutex_lock(&sender.lock);
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK) subscribed++;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) {
    size_t len;
    const char *topic = mgos_mqtt_event_topic(ev, &len);
    struct stream *stream = stream_find(in, IN, topic, len);
    if (stream != NULL) {
      /* A NUL follows the payload. */
      int number = atoi(mgos_mqtt_event_payload(ev, NULL));
      if (stream->qos == 2 && was_released(stream, number, mgos_mqtt_event_packet_id(ev))) {
        sent_again++;
      } else {
        stream_arrived(stream, number);
      }
    } else if (len == strlen("in/2/end") && memcmp(topic, "in/2/end", len) == 0) {
      device_marked = true;
    }
  }
  pthread_mutex_unlock(&sender.lock);
}

/* mosquitto_pub, directly connected to the broker, publishes each line that it is given. */
static bool start_publisher(struct child *child, int port, struct stream *stream) {
  char port_text[16], qos[4];
  snprintf(port_text, sizeof(port_text), "%d", port);
  snprintf(qos, sizeof(qos), "%d", stream->qos);
  char *argv[] = {"mosquitto_pub", "-h", "127.0.0.1", "-p", port_text, "-q", qos, "-t",
                  stream->topic,   "-l", NULL};
  return child_start(child, argv, true, false);
}

static int received_subacks(void) {
  pthread_mutex_lock(&sender.lock);
  int n = subscribed;
  pthread_mutex_unlock(&sender.lock);
  return n;
}

/* Whether everything has arrived. */
static bool all_is_there(void) {
  bool all = sender_outstanding(&sender) == 0;
  sender_observe(&sender, &observer, NULL, NULL);
  pthread_mutex_lock(&sender.lock);
  for (int i = 0; i < OUT; i++) all = all && stream_is_complete(&out[i]);
  for (int i = 0; i < IN; i++) all = all && stream_is_complete(&in[i]);
  pthread_mutex_unlock(&sender.lock);
  return all;
}

static void wait_for_the_rest(int port) {
  int64_t end = now_ms() + DRAIN_MS;
  while (!all_is_there() && now_ms() < end) sleep_ms(TICK_MS);
  /* What comes twice has come before these. */
  bool marked = false, both = publish_by_other(port, "out/end", "") && publish_by_other(port, "in/2/end", "");
  while (both && now_ms() < end + 5000) {
    sender_observe(&sender, &observer, "out/end", &marked);
    pthread_mutex_lock(&sender.lock);
    both = !marked || !device_marked;
    pthread_mutex_unlock(&sender.lock);
    sleep_ms(TICK_MS);
  }
  if (both) printf("  the last messages did not arrive\n");
}

static void judge(struct checks *checks, const char *direction, const struct stream *streams, int count,
                  int qos) {
  int sent = 0, missing = 0, repeated = 0, misordered = 0;
  char text[160];
  for (int i = 0; i < count; i++) {
    if (streams[i].qos != qos) continue;
    sent += streams[i].sent;
    missing += stream_missing(&streams[i]);
    repeated += stream_repeated(&streams[i]);
    misordered += streams[i].misordered;
  }
  snprintf(text, sizeof(text), "%s, QoS %d: %d sent, %d lost, %d %s, %d out of order", direction, qos, sent,
           missing, repeated, qos == 1 ? "repeated (allowed)" : "doubled", misordered);
  check(checks, sent > 0 && missing == 0 && misordered == 0 && (qos == 1 || repeated == 0), text);
}

int main(void) {
  int seconds = number_from_environment("DURATION", 60);
  uint64_t seed = seed_from_environment();
  struct chance chance = {seed};
  struct checks checks = {0, 0};
  struct mosquitto broker;
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("chaos: seed %llu, %d s%s\n", (unsigned long long) seed, seconds,
         certificates() != NULL ? ", with TLS" : "");
  /* No limit in flight: mosquitto 2.0.11 lets a new message overtake those that wait for room there, about
   * once in ten thousand. */
  if (!mosquitto_start(&broker, "max_queued_messages 0\nmax_inflight_messages 0\n")) {
    printf("mosquitto does not start; is it installed?\nchaos: 0 passed, 1 failed\n");
    return 1;
  }
  struct proxy *proxy = proxy_start(broker.device_port);
  bool ready = proxy != NULL && observer_start(&observer, broker.port, "out/#") &&
               sender_start(&sender, proxy_port(proxy), out, OUT) &&
               mgos_mqtt_conn_subscribe(sender.conn, "in/1/#", 1, on_message, NULL, NULL) == 0 &&
               mgos_mqtt_conn_subscribe(sender.conn, "in/2/#", 2, on_message, NULL, NULL) == 0 &&
               mgos_mqtt_conn_add_handler_ex(sender.conn, on_release, NULL, NULL) == 0;
  for (int i = 0; i < IN && ready; i++) ready = start_publisher(&publishers[i], broker.port, &in[i]);
  for (int64_t end = now_ms() + 10000; ready && received_subacks() < 2; sleep_ms(TICK_MS)) {
    ready = now_ms() < end;
  }
  if (!ready) {
    printf("could not begin\nchaos: 0 passed, 1 failed\n");
    mosquitto_stop(&broker);
    return 1;
  }

  proxy_chaos(proxy, seed, 0, 250);
  for (int64_t end = now_ms() + (int64_t) seconds * 1000; now_ms() < end; sleep_ms(TICK_MS)) {
    for (uint32_t n = chance_below(&chance, 16); n > 0; n--) {
      /* Mostly short, some of several segments. */
      int padding = chance_below(&chance, 8) == 0 ? (int) chance_below(&chance, 3000) : 10;
      sender_publish(&sender, &out[chance_below(&chance, OUT)], padding);
    }
    for (int i = 0; i < IN; i++) {
      for (uint32_t n = chance_below(&chance, 5); n > 0; n--) {
        pthread_mutex_lock(&sender.lock);
        int number = in[i].sent++;
        pthread_mutex_unlock(&sender.lock);
        fprintf(publishers[i].in, "%d %.*s\n", number, (int) chance_below(&chance, 40),
                "----------------------------------------");
      }
      fflush(publishers[i].in);
    }
    sender_observe(&sender, &observer, NULL, NULL);
  }
  proxy_calm(proxy);
  int64_t drain = now_ms();
  bool published = true;
  for (int i = 0; i < IN; i++) published = child_finish(&publishers[i], DRAIN_MS) == 0 && published;
  wait_for_the_rest(broker.port);

  struct proxy_counts counts = proxy_counts(proxy);
  printf("  %u connections through the proxy, cut:", counts.links);
  for (int i = 0; i < CUT_KINDS; i++)
    printf(" %s %u%s", cut_name((enum cut) i), counts.cuts[i], i < CUT_KINDS - 1 ? "," : "\n");
  printf("  drained in %d ms; %d publishes had to wait for room in the queue\n", (int) (now_ms() - drain),
         sender.refused);
  if (sent_again > 0) {
    printf("  by the broker, after it had released them: %d messages of QoS 2 sent again\n", sent_again);
  }
  pthread_mutex_lock(&sender.lock);
  check(&checks, sender.closes >= seconds, "the link was cut at least once a second");
  check(&checks, sender.sessions_lost == 0, "the session was always there");
  check(&checks, published, "the other library published everything");
  check(&checks, sender.outstanding == 0, "every accepted message was acknowledged in the end");
  check(&checks, sender.strays == 0, "nothing was acknowledged that was not outstanding");
  judge(&checks, "to the broker", out, OUT, 1);
  judge(&checks, "to the broker", out, OUT, 2);
  judge(&checks, "from the broker", in, IN, 1);
  judge(&checks, "from the broker", in, IN, 2);
  pthread_mutex_unlock(&sender.lock);

  sender_end(&sender);
  proxy_stop(proxy);
  child_kill(&observer.process, SIGKILL);
  mosquitto_stop(&broker);
  streams_free(out, OUT);
  streams_free(in, IN);
  printf("chaos: %d passed, %d failed\n", checks.passed, checks.failed);
  return checks.failed != 0;
}
