/*
 * A mosquitto without an in-flight limit has twenty thousand messages of QoS 1 for a client whose handler takes five
 * milliseconds for each. The client stays connected, gets each once, and its loop does not make others wait: a second
 * connection, to a server that this program plays, answers requests and sends PINGREQ on time.
 *
 *   burst        COUNT=20000: messages; HANDLER_MS=5
 */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mgos_mqtt_conn.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_error.h>
#include <mgos_mqtt_event.h>
#include <mgos_mqtt_loop.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_subscribe.h>

#include "sender.h"

#define KEEP_ALIVE 5      /* seconds, of both */
#define REQUEST_EACH_MS 50
#define POLL_MS 100
/* By then the client knows that its handlers are slow. */
#define KNOWN 32
/* Ten times what is wanted, on a machine that others use, too. */
#define TOLERANCE_MS 1000

static int count, handler_ms;

/* -- the slow client -- */

static int *seen;
static int got, out_of_order, closes;
/* Slow handlers that have begun, as others may count them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int begun;

static int begun_so_far(void) {
  pthread_mutex_lock(&lock);
  int n = begun;
  pthread_mutex_unlock(&lock);
  return n;
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  (void) ud;
  size_t len;
  int n = atoi(mgos_mqtt_event_payload(ev, &len));
  pthread_mutex_lock(&lock);
  begun++;
  pthread_mutex_unlock(&lock);
  if (n >= 0 && n < count) seen[n]++;
  if (n != got) out_of_order++;
  got++;
  sleep_ms(handler_ms);
}

static void on_close(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  (void) ev;
  (void) ud;
  closes++;
}

static struct mgos_mqtt_conn *client(struct mgos_mqtt_loop *loop, int number, int port, const char *id, bool clean) {
  static char servers[3][32];
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  mgos_config_mqtt_set_defaults(&cfg);
  snprintf(servers[number], sizeof(servers[number]), "127.0.0.1:%d", port);
  cfg.enable = true;
  cfg.server = servers[number];
  cfg.client_id = id;
  cfg.clean_session = clean;
  cfg.keep_alive = KEEP_ALIVE;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.profiles = &cfg;
  options.num_profiles = 1;
  return mgos_mqtt_conn_create_on(loop, number, &options);
}

/* Polls until a condition holds; false after a while. */
#define POLL_UNTIL(loop, condition, ms)                                            \
  do {                                                                             \
    int64_t end_ = now_ms() + (ms);                                                \
    while (!(condition) && now_ms() < end_) mgos_mqtt_loop_poll(loop, 20);         \
  } while (0)

/* -- the second connection, and its server -- */

static struct {
  int listener, port;
  volatile bool over;
  int requests, answers, pings;
  int most_between;       /* slow handlers that ended between a request and its handler */
  int more_than_two;      /* how often there were */
  long long sum_between;
  int64_t longest_answer; /* milliseconds, from the request to the answer */
  int64_t longest_quiet;  /* before a PINGREQ, beyond the keep-alive */
} peer;

static volatile int asked_at; /* `begun` when the last request was sent */

/* Runs on the loop's thread, between two slow handlers. */
static void on_request(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ev;
  (void) ud;
  int between = begun_so_far() - asked_at;
  if (between > peer.most_between) peer.most_between = between;
  peer.sum_between += between;
  peer.more_than_two += between > 2;
  mgos_mqtt_conn_pub(c, "answer", mg_mk_str("!"), 0, false);
}

/* One packet with at most a hundred bytes; 0 when there is none in time, negative at the end. */
static int packet(int fd, unsigned char *buf, int timeout_ms) {
  struct pollfd ready = {fd, POLLIN, 0};
  if (poll(&ready, 1, timeout_ms) <= 0) return 0;
  if (recv(fd, buf, 2, MSG_WAITALL) != 2 || buf[1] > 100) return -1;
  return buf[1] == 0 || recv(fd, buf + 2, buf[1], MSG_WAITALL) == buf[1] ? 2 + buf[1] : -1;
}

static void *serve(void *ud) {
  static const unsigned char request[] = {0x30, 6, 0, 3, 'a', 's', 'k', '?'};
  unsigned char buf[128];
  (void) ud;
  int fd = accept(peer.listener, NULL, NULL);
  if (fd < 0 || packet(fd, buf, 10000) <= 0 || buf[0] != 0x10) return NULL;
  if (write(fd, "\x20\x02\0\0", 4) != 4) return NULL;
  int64_t start = now_ms(), last = start, asked = 0, next = 0;
  bool waits = false;
  while (!peer.over) {
    /* For a while requests, then nothing but the keep-alive, and so on. */
    bool asks = (now_ms() - start) / 1000 % (3 * KEEP_ALIVE) < KEEP_ALIVE && begun_so_far() >= KNOWN;
    if (asks && !waits && now_ms() >= next) {
      asked = now_ms();
      next = asked + REQUEST_EACH_MS;
      asked_at = begun_so_far();
      if (write(fd, request, sizeof(request)) != (ssize_t) sizeof(request)) break;
      peer.requests++;
      waits = true;
    }
    int n = packet(fd, buf, 10);
    if (n < 0) break;
    if (n == 0) continue;
    int64_t now = now_ms();
    switch (buf[0]) {
      case 0x82: {
        unsigned char suback[] = {0x90, 3, buf[2], buf[3], 0};
        if (write(fd, suback, sizeof(suback)) != (ssize_t) sizeof(suback)) return NULL;
        break;
      }
      case 0xc0:
        peer.pings++;
        if (now - last - KEEP_ALIVE * 1000 > peer.longest_quiet) peer.longest_quiet = now - last - KEEP_ALIVE * 1000;
        if (write(fd, "\xd0\0", 2) != 2) return NULL;
        break;
      case 0x30:
        peer.answers++;
        if (now - asked > peer.longest_answer) peer.longest_answer = now - asked;
        waits = false;
        break;
      default: break;
    }
    last = now;
  }
  close(fd);
  return NULL;
}

static bool listen_as_peer(void) {
  struct sockaddr_in address;
  socklen_t len = sizeof(address);
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  peer.listener = socket(AF_INET, SOCK_STREAM, 0);
  if (peer.listener < 0 || bind(peer.listener, (struct sockaddr *) &address, len) != 0) return false;
  if (listen(peer.listener, 1) != 0) return false;
  if (getsockname(peer.listener, (struct sockaddr *) &address, &len) != 0) return false;
  peer.port = ntohs(address.sin_port);
  return true;
}

/* -- what the broker has -- */

/* Another client publishes all the messages, and waits until the broker has them. */
static bool fill(int port) {
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  struct mgos_mqtt_conn *c = client(loop, 2, port, "filler", true);
  bool good = mgos_mqtt_conn_connect_wait(c, 20000) == 0;
  for (int n = 0; good && n < count; n++) {
    char text[16];
    snprintf(text, sizeof(text), "%d", n);
    while (!mgos_mqtt_conn_pub(c, "burst/x", mg_mk_str(text), 1, false)) {
      /* The queue is full: it has room again soon. */
      if (!mgos_mqtt_conn_is_connected(c)) break;
      mgos_mqtt_loop_poll(loop, 20);
    }
  }
  good = good && mgos_mqtt_conn_flush(c, 60000) == 0;
  mgos_mqtt_conn_free(c);
  mgos_mqtt_loop_free(loop);
  return good;
}

int main(void) {
  struct checks checks = {0, 0};
  struct mosquitto broker;
  pthread_t server;
  setvbuf(stdout, NULL, _IOLBF, 0);
  count = number_from_environment("COUNT", 20000);
  handler_ms = number_from_environment("HANDLER_MS", 5);
  seen = calloc((size_t) count, sizeof(*seen));
  struct mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  bool ready = mosquitto_start(&broker, "max_inflight_messages 0\nmax_queued_messages 0\n") && listen_as_peer();
  struct mgos_mqtt_conn *slow = ready ? client(loop, 0, broker.port, "slow", false) : NULL;
  if (ready) {
    /* Its session is to have them all before it comes. */
    mgos_mqtt_conn_on(slow, MGOS_MQTT_EV_CLOSE, on_close, NULL, NULL);
    mgos_mqtt_conn_subscribe_messages(slow, "burst/#", 1, on_message, NULL, NULL);
    ready = mgos_mqtt_conn_connect_wait(slow, 20000) == 0;
    POLL_UNTIL(loop, mgos_mqtt_conn_pending_subscriptions(slow) == 0, 10000);
    ready = ready && mgos_mqtt_conn_disconnect_wait(slow, 10000) == 0 && fill(broker.port);
  }
  ready = ready && pthread_create(&server, NULL, serve, NULL) == 0;
  if (!ready) {
    printf("could not begin; is mosquitto installed?\nburst: 0 passed, 1 failed\n");
    mosquitto_stop(&broker);
    return 1;
  }
  struct mgos_mqtt_conn *second = client(loop, 1, peer.port, "second", true);
  mgos_mqtt_conn_subscribe_messages(second, "ask", 0, on_request, NULL, NULL);
  check(&checks, mgos_mqtt_conn_connect_wait(second, 20000) == 0, "the second connection is up");

  closes = 0;
  int64_t start = now_ms(), longest_poll = 0, limit = start + 2 * (int64_t) count * handler_ms + 60000;
  mgos_mqtt_conn_connect(slow);
  while (got < count && now_ms() < limit) {
    int64_t before = now_ms();
    mgos_mqtt_loop_poll(loop, POLL_MS);
    int64_t took = now_ms() - before;
    if (took > longest_poll) longest_poll = took;
  }
  int64_t took = now_ms() - start;
  int missing = 0, repeated = 0;
  for (int n = 0; n < count; n++) {
    missing += seen[n] == 0;
    if (seen[n] != 1) printf("  message %d came %d times\n", n, seen[n]);
    repeated += seen[n] > 1 ? seen[n] - 1 : 0;
  }
  peer.over = true;
  pthread_join(server, NULL);
  printf("  %d messages in %.1f s, handlers of %d ms: %d missing, %d repeated, %d out of order, %d losses of the connection\n",
         count, (double) took / 1000, handler_ms, missing, repeated, out_of_order, closes);
  printf("  beside it %d requests, %d answers: %.2f slow handlers between a request and its handler on average, %d at most, "
         "%d times more than two; the longest took %d ms\n",
         peer.requests, peer.answers, peer.answers > 0 ? (double) peer.sum_between / peer.answers : 0.0,
         peer.most_between, peer.more_than_two, (int) peer.longest_answer);
  printf("  %d PINGREQs, the latest %d ms after it was due; the longest poll of %d ms took %d ms\n", peer.pings,
         (int) peer.longest_quiet, POLL_MS, (int) longest_poll);
  check(&checks, missing == 0 && repeated == 0 && out_of_order == 0, "each message comes once, in order");
  check(&checks, closes == 0, "the connection is not lost");
  check(&checks, peer.answers > 0 && peer.answers >= peer.requests - 1, "each request is answered");
  /* Of some the kernel tells late, on a busy machine. */
  check(&checks, peer.answers > 0 && peer.more_than_two * 100 <= peer.answers,
        "at most two slow handlers between a request and its answer");
  check(&checks, took < 3 * KEEP_ALIVE * 1000 || (peer.pings > 0 && peer.longest_quiet < TOLERANCE_MS),
        "PINGREQ leaves on time");
  check(&checks, longest_poll < POLL_MS + TOLERANCE_MS, "a poll ends soon after its time");
  mgos_mqtt_loop_free(loop);
  mosquitto_stop(&broker);
  free(seen);
  printf("burst: %d passed, %d failed\n", checks.passed, checks.failed);
  return checks.failed > 0;
}
