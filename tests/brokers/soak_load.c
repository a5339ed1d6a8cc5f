/*
 * The load of the soak test: everything that the library does at once, for as long as standard input stays
 * open. It counts each message, and writes what the process needs to a file, once a second. Its links are cut
 * all the time by whoever started it (soak.c); this process is nothing but the library and its load, so that
 * its memory is the library's.
 *
 *   soak_load PLAIN_PORT TLS_PORT CA_FILE CSV_FILE SEED
 *
 * Over TCP and over TLS, each on a loop with a thread: a publisher of three numbered streams, one for each
 * QoS, which is told the outcome of each message; and three subscribers with sessions that are kept, of which
 * one has handlers, one acknowledges by hand from another thread, and one fetches from the queue. Beside them
 * connections come and go. Nothing here grows with time, not even the books.
 */
#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mgos_mqtt.h>
#include <mgos_mqtt_event.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_receive.h>
#include <pthread.h>

#include "sender.h"

enum { TICK_MS = 20, DRAIN_MS = 120000, QOS = 3, OUTCOMES = 8, LATER = 4096, RECENT = 64, WAIT_MS = 20000 };
/* How the three subscribers of a transport acknowledge. */
enum way { HANDLER, BY_HAND, QUEUE, WAYS };
static const char *const way_names[WAYS] = {"handler", "by hand", "queue"};

/* What one subscriber saw of one stream. Both keep the order, so the next number is all there is to know. */
struct seen {
  long long next, arrived;
  long long repeated; /* came before */
  long long reopened; /* came before, and the broker had released it since: the exchange was over for both */
  long long skipped;  /* did not come before its successor */
};

/* A message of QoS 2 that came lately. */
struct recent {
  long long number;
  uint16_t id;
  bool released;
};

struct side;
struct subscriber {
  struct side *side;
  enum way way;
  char id[32];
  struct mgos_mqtt_conn *conn;
  int ups, sessions_lost, subscribed;
  struct seen seen[QOS];
  struct recent recent[RECENT];
  int last_recent;
};

/* What became of the messages of one stream. */
struct sent {
  struct side *side;
  long long accepted, refused, outcomes[OUTCOMES];
};

/* One transport. */
struct side {
  const char *name;
  char server[64];
  const char *ca;
  char topics[QOS][32];
  struct mgos_mqtt_loop *loop;
  struct mgos_mqtt_conn *publisher;
  pthread_mutex_t lock; /* guards what follows, and the subscribers */
  struct sent sent[QOS];
  int closes, sessions_lost, ups;
  struct subscriber subscribers[WAYS];
  uint64_t later[LATER]; /* to be acknowledged by hand */
  int later_count;
  pthread_t fetcher, visitor;
};

static struct side sides[2] = {{.name = "plain"}, {.name = "tls"}};
static volatile bool stopping;
static pthread_mutex_t visits_lock = PTHREAD_MUTEX_INITIALIZER;
static long long visits, visits_failed;

/* Whether the broker released the message after it had come; from now on it has come with this id. */
static bool was_released(struct subscriber *subscriber, long long number, uint16_t id) {
  bool released = false;
  for (int i = 0; i < RECENT; i++) {
    struct recent *recent = &subscriber->recent[i];
    if (recent->id != 0 && recent->number == number) {
      released = recent->released;
      recent->id = 0;
    }
  }
  subscriber->last_recent = (subscriber->last_recent + 1) % RECENT;
  subscriber->recent[subscriber->last_recent] = (struct recent){number, id, false};
  return released;
}

/* PUBREL came. What comes with this id from now on is another message. */
static void on_release(struct mg_connection *nc, int ev, void *p, void *ud) {
  struct subscriber *subscriber = ud;
  (void) nc;
  if (ev != MG_EV_MQTT_PUBREL) return;
  pthread_mutex_lock(&subscriber->side->lock);
  for (int i = 0; i < RECENT; i++) {
    struct recent *recent = &subscriber->recent[i];
    if (recent->id == ((const struct mg_mqtt_message *) p)->message_id) recent->released = true;
  }
  pthread_mutex_unlock(&subscriber->side->lock);
}

/* `id` is its packet id, 0 if that is not known. */
static void arrived(struct subscriber *subscriber, const char *topic, size_t topic_len, const char *payload,
                    uint16_t id) {
  struct seen *seen = &subscriber->seen[(topic[topic_len - 1] - '0') % QOS];
  long long number = atoll(payload); /* a NUL follows the payload */
  pthread_mutex_lock(&subscriber->side->lock);
  seen->arrived++;
  bool released = seen == &subscriber->seen[2] && id != 0 && was_released(subscriber, number, id);
  if (number < seen->next && released) {
    seen->reopened++;
  } else if (number < seen->next) {
    seen->repeated++;
  } else {
    seen->skipped += number - seen->next;
    seen->next = number + 1;
  }
  pthread_mutex_unlock(&subscriber->side->lock);
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct subscriber *subscriber = ud;
  struct side *side = subscriber->side;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK) {
    pthread_mutex_lock(&side->lock);
    subscriber->subscribed++;
    pthread_mutex_unlock(&side->lock);
  }
  if (mgos_mqtt_event_kind(ev) != MGOS_MQTT_EV_MESSAGE) return;
  size_t len;
  const char *topic = mgos_mqtt_event_topic(ev, &len);
  arrived(subscriber, topic, len, mgos_mqtt_event_payload(ev, NULL), mgos_mqtt_event_packet_id(ev));
  if (subscriber->way != BY_HAND || mgos_mqtt_event_qos(ev) == 0) return;
  pthread_mutex_lock(&side->lock);
  bool room = side->later_count < LATER;
  pthread_mutex_unlock(&side->lock);
  if (!room) return; /* acknowledged when this returns */
  uint64_t number = mgos_mqtt_msg_defer(c);
  pthread_mutex_lock(&side->lock);
  if (number != 0) side->later[side->later_count++] = number;
  pthread_mutex_unlock(&side->lock);
}

static void on_link(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct subscriber *subscriber = ud;
  (void) c;
  pthread_mutex_lock(&subscriber->side->lock);
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CLOSE) subscriber->side->closes++;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CONNECT_RESULT && mgos_mqtt_event_error(ev) == 0) {
    if (subscriber->ups++ > 0 && !mgos_mqtt_event_session_present(ev)) subscriber->sessions_lost++;
  }
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK && subscriber->way == QUEUE) subscriber->subscribed++;
  pthread_mutex_unlock(&subscriber->side->lock);
}

static void on_publisher(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct side *side = ud;
  (void) c;
  pthread_mutex_lock(&side->lock);
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CLOSE) side->closes++;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CONNECT_RESULT && mgos_mqtt_event_error(ev) == 0) {
    if (side->ups++ > 0 && !mgos_mqtt_event_session_present(ev)) side->sessions_lost++;
  }
  pthread_mutex_unlock(&side->lock);
}

static void on_outcome(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct sent *sent = ud;
  (void) c;
  pthread_mutex_lock(&sent->side->lock);
  sent->outcomes[mgos_mqtt_event_outcome(ev) % OUTCOMES]++;
  pthread_mutex_unlock(&sent->side->lock);
}

static struct mgos_mqtt_conn *connection(struct side *side, const char *client_id, bool clean) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = side->server;
  cfg.ssl_ca_cert = side->ca;
  cfg.client_id = client_id;
  cfg.clean_session = clean;
  cfg.keep_alive = 10;
  cfg.reconnect_timeout_min = 0.01;
  cfg.reconnect_timeout_max = 0.2;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.profiles = &cfg;
  options.num_profiles = 1;
  return mgos_mqtt_conn_create_on(side->loop, 1, &options);
}

static void *fetch(void *arg) {
  struct subscriber *subscriber = arg;
  while (!stopping) {
    struct mgos_mqtt_msg *msg;
    if (mgos_mqtt_conn_receive(subscriber->conn, 100, &msg) != 0) continue;
    size_t len;
    const char *topic = mgos_mqtt_msg_topic(msg, &len);
    arrived(subscriber, topic, len, mgos_mqtt_msg_payload(msg, NULL), 0);
    mgos_mqtt_msg_release(msg);
  }
  return NULL;
}

static void ignore(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  (void) ev;
  (void) ud;
}

/* Connections that are made, say something, and are freed again, at each moment of their life. */
static void *visit(void *arg) {
  struct side *side = arg;
  char id[32];
  snprintf(id, sizeof(id), "visitor-%s", side->name);
  for (int n = 0; !stopping; n++) {
    struct mgos_mqtt_conn *c = connection(side, id, true);
    struct mgos_mqtt_publication hello = {
        .size = sizeof(hello), .topic = "visit", .payload = "hello", .payload_len = 5, .qos = 1};
    int filters = n % 4;
    for (int i = 0; i < filters; i++) {
      char filter[32];
      snprintf(filter, sizeof(filter), "visit/%d/#", i);
      mgos_mqtt_conn_subscribe(c, filter, i % QOS, ignore, NULL, NULL);
    }
    mgos_mqtt_conn_connect(c);
    /* Every third one is freed with the message under way. */
    int wait_ms = n % 3 == 0 ? n % 50 : WAIT_MS;
    int outcome = mgos_mqtt_conn_publish_wait(c, &hello, wait_ms, MGOS_MQTT_KEEP, NULL);
    mgos_mqtt_conn_free_wait(c, WAIT_MS);
    pthread_mutex_lock(&visits_lock);
    visits++;
    if (outcome != MGOS_MQTT_OUTCOME_ACKED && wait_ms == WAIT_MS) visits_failed++;
    pthread_mutex_unlock(&visits_lock);
    for (int i = 0; i < 10 && !stopping; i++) sleep_ms(TICK_MS);
  }
  return NULL;
}

static bool start(struct side *side, int port, const char *ca) {
  snprintf(side->server, sizeof(side->server), "127.0.0.1:%d", port);
  side->ca = ca;
  pthread_mutex_init(&side->lock, NULL);
  side->loop = mgos_mqtt_loop_create();
  if (side->loop == NULL || mgos_mqtt_loop_start(side->loop) != 0) return false;
  for (int qos = 0; qos < QOS; qos++) {
    side->sent[qos].side = side;
    snprintf(side->topics[qos], sizeof(side->topics[qos]), "soak/%s/%d", side->name, qos);
  }
  for (int way = 0; way < WAYS; way++) {
    struct subscriber *subscriber = &side->subscribers[way];
    subscriber->side = side;
    subscriber->way = (enum way) way;
    snprintf(subscriber->id, sizeof(subscriber->id), "subscriber-%s-%d", side->name, way);
    subscriber->conn = connection(side, subscriber->id, false);
    uint32_t kinds = MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_SUBACK;
    if (subscriber->conn == NULL ||
        mgos_mqtt_conn_on(subscriber->conn, kinds, on_link, subscriber, NULL) != 0 ||
        mgos_mqtt_conn_add_handler_ex(subscriber->conn, on_release, subscriber, NULL) != 0)
      return false;
    for (int qos = 0; qos < QOS; qos++) {
      int error = way == QUEUE ? mgos_mqtt_conn_subscribe_queue(subscriber->conn, side->topics[qos], qos)
                               : mgos_mqtt_conn_subscribe(subscriber->conn, side->topics[qos], qos,
                                                          on_message, subscriber, NULL);
      if (error != 0) return false;
    }
    if (!mgos_mqtt_conn_connect(subscriber->conn)) return false;
  }
  char id[32];
  snprintf(id, sizeof(id), "publisher-%s", side->name);
  side->publisher = connection(side, id, false);
  if (side->publisher == NULL ||
      mgos_mqtt_conn_on(side->publisher, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_publisher, side,
                        NULL) != 0)
    return false;
  return pthread_create(&side->fetcher, NULL, fetch, &side->subscribers[QUEUE]) == 0;
}

/* Whether all filters are subscribed: nothing that is published later can pass them by. */
static bool subscribed(struct side *side) {
  bool all = true;
  pthread_mutex_lock(&side->lock);
  for (int way = 0; way < WAYS; way++) all = all && side->subscribers[way].subscribed >= QOS;
  pthread_mutex_unlock(&side->lock);
  return all;
}

static void publish(struct side *side, int qos, int padding) {
  static const char dots[] = "................................................................";
  char payload[4096];
  pthread_mutex_lock(&side->lock);
  int len = snprintf(payload, sizeof(payload), "%lld ", side->sent[qos].accepted);
  pthread_mutex_unlock(&side->lock);
  for (; padding > 0 && len < (int) (sizeof(payload) - sizeof(dots)); padding -= 64, len += 64)
    memcpy(payload + len, dots, 64);
  struct mgos_mqtt_publication message = {
      .size = sizeof(message), .topic = side->topics[qos], .payload = payload};
  message.payload_len = (size_t) len;
  message.qos = qos;
  message.done = on_outcome;
  message.ud = &side->sent[qos];
  /* Only this thread publishes, so the number cannot be taken meanwhile. */
  bool accepted = mgos_mqtt_conn_publish(side->publisher, &message, NULL) == 0;
  pthread_mutex_lock(&side->lock);
  side->sent[qos].accepted += accepted;
  side->sent[qos].refused += !accepted;
  pthread_mutex_unlock(&side->lock);
}

/* Mostly short ones, some of several segments. */
static int padding_by(struct chance *chance) {
  return chance_below(chance, 8) == 0 ? (int) chance_below(chance, 3500) : 10;
}

/* The queue is filled to the brim before the publisher connects for the first time: what is kept for the
 * deepest queue is there from the beginning then, and all growth that follows is a leak. */
static bool fill_and_connect(struct side *side, struct chance *chance) {
  for (int n = 0; side->sent[1].refused + side->sent[2].refused == 0; n++) {
    publish(side, 1 + n % 2, padding_by(chance));
  }
  return mgos_mqtt_conn_connect(side->publisher);
}

static void acknowledge_by_hand(struct side *side) {
  static uint64_t numbers[LATER];
  pthread_mutex_lock(&side->lock);
  int count = side->later_count;
  memcpy(numbers, side->later, (size_t) count * sizeof(numbers[0]));
  side->later_count = 0;
  pthread_mutex_unlock(&side->lock);
  /* One whose connection has ended is stale; the server sends it again. */
  for (int i = 0; i < count; i++) mgos_mqtt_msg_ack(side->subscribers[BY_HAND].conn, numbers[i]);
}

static long long outcomes_of(const struct sent *sent) {
  long long sum = 0;
  for (int i = 0; i < OUTCOMES; i++) sum += sent->outcomes[i];
  return sum;
}

/* Whether each message has its outcome and came everywhere. */
static bool complete(struct side *side) {
  bool complete = true;
  pthread_mutex_lock(&side->lock);
  for (int qos = 0; qos < QOS; qos++) {
    complete = complete && outcomes_of(&side->sent[qos]) == side->sent[qos].accepted;
    for (int way = 0; way < WAYS && qos > 0; way++) {
      complete = complete && side->subscribers[way].seen[qos].next == side->sent[qos].accepted;
    }
  }
  pthread_mutex_unlock(&side->lock);
  return complete;
}

/* -- what the process needs ---------------------------------------------------------------------------- */

struct sample {
  long rss_kib, heap_kib, mapped_kib;
  int fds, threads;
  long long cpu_ms;
};

static int entries(const char *path) {
  DIR *dir = opendir(path);
  int n = -2; /* itself and its parent */
  while (dir != NULL && readdir(dir) != NULL) n++;
  if (dir != NULL) closedir(dir);
  return n;
}

static struct sample take_sample(void) {
  struct sample sample = {0};
  struct rusage usage;
  struct mallinfo2 heap = mallinfo2();
  long size, resident;
  FILE *file = fopen("/proc/self/statm", "re");
  if (file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2) {
    sample.rss_kib = resident * (sysconf(_SC_PAGESIZE) / 1024);
  }
  if (file != NULL) fclose(file);
  sample.heap_kib = (long) ((heap.uordblks + heap.hblkhd) / 1024);
  sample.mapped_kib = (long) ((heap.arena + heap.hblkhd) / 1024);
  sample.fds = entries("/proc/self/fd") - 1; /* without the one that looks */
  sample.threads = entries("/proc/self/task");
  getrusage(RUSAGE_SELF, &usage);
  sample.cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000LL +
                  (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
  return sample;
}

static struct sample write_sample(FILE *csv, int64_t began) {
  long long accepted = 0, ended = 0, received = 0, closes = 0;
  struct sample sample = take_sample();
  for (int i = 0; i < 2; i++) {
    pthread_mutex_lock(&sides[i].lock);
    closes += sides[i].closes;
    for (int qos = 0; qos < QOS; qos++) {
      accepted += sides[i].sent[qos].accepted;
      ended += outcomes_of(&sides[i].sent[qos]);
      for (int way = 0; way < WAYS; way++) received += sides[i].subscribers[way].seen[qos].arrived;
    }
    pthread_mutex_unlock(&sides[i].lock);
  }
  fprintf(csv, "%.1f,%ld,%ld,%ld,%d,%d,%lld,%lld,%lld,%lld,%lld\n", (double) (now_ms() - began) / 1000,
          sample.rss_kib, sample.heap_kib, sample.mapped_kib, sample.fds, sample.threads, sample.cpu_ms,
          accepted, ended, received, closes);
  fflush(csv);
  return sample;
}

/* -- judgement ----------------------------------------------------------------------------------------- */

static void judge(struct checks *checks, struct side *side) {
  char text[256];
  long long lost = 0, doubled = 0, untrue = 0, gaps = 0, reopened = 0;
  int sessions_lost = side->sessions_lost;
  for (int qos = 0; qos < QOS; qos++) {
    const long long *outcomes = side->sent[qos].outcomes;
    untrue += side->sent[qos].accepted != outcomes_of(&side->sent[qos]);
    if (qos > 0) untrue += side->sent[qos].accepted - outcomes[MGOS_MQTT_OUTCOME_ACKED];
    printf("  %s QoS %d: %lld accepted, %lld not; acked %lld, sent %lld, dropped %lld;", side->name, qos,
           side->sent[qos].accepted, side->sent[qos].refused, outcomes[MGOS_MQTT_OUTCOME_ACKED],
           outcomes[MGOS_MQTT_OUTCOME_SENT], outcomes[MGOS_MQTT_OUTCOME_DROPPED]);
    for (int way = 0; way < WAYS; way++) {
      const struct seen *seen = &side->subscribers[way].seen[qos];
      printf(" %s %lld (%lld again)%s", way_names[way], seen->arrived, seen->repeated,
             way < WAYS - 1 ? "," : "\n");
      if (qos != 1) doubled += seen->repeated;
      if (qos > 0) {
        gaps += seen->skipped;
        lost += side->sent[qos].accepted - (seen->arrived - seen->repeated - seen->reopened);
        reopened += seen->reopened;
      }
    }
  }
  for (int way = 0; way < WAYS; way++) sessions_lost += side->subscribers[way].sessions_lost;
  printf("  %s: %d connections lost\n", side->name, side->closes);
  if (reopened > 0)
    printf("  %s: %lld messages of QoS 2 sent again by the broker after it had released them\n", side->name,
           reopened);
  snprintf(text, sizeof(text), "%s: each accepted message has one outcome, and QoS 1 and 2 are acknowledged",
           side->name);
  check(checks, untrue == 0, text);
  snprintf(text, sizeof(text), "%s: %lld messages of QoS 1 and 2 lost", side->name, lost);
  check(checks, lost == 0, text);
  snprintf(text, sizeof(text), "%s: %lld messages of QoS 0 and 2 doubled", side->name, doubled);
  check(checks, doubled == 0, text);
  snprintf(text, sizeof(text), "%s: %lld messages of QoS 1 and 2 overtaken", side->name, gaps);
  check(checks, gaps == 0, text);
  snprintf(text, sizeof(text), "%s: %d sessions lost", side->name, sessions_lost);
  check(checks, sessions_lost == 0, text);
}

/* The least heap in use in a part of the run. */
static long least(const long *heap, int from, int to) {
  long found = heap[from];
  for (int i = from; i < to; i++) found = heap[i] < found ? heap[i] : found;
  return found;
}

int main(int argc, char **argv) {
  static long heap[24 * 3600];
  struct checks checks = {0, 0};
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  int count = 0;
  if (argc != 6) return 2;
  FILE *csv = fopen(argv[4], "we");
  if (csv == NULL) return 2;
  fprintf(
      csv,
      "seconds,rss_kib,heap_kib,heap_mapped_kib,fds,threads,cpu_ms,accepted,outcomes,received,links_lost\n");
  struct chance chance = {strtoull(argv[5], NULL, 10)};
  struct sample first = take_sample();
  if (!start(&sides[0], atoi(argv[1]), NULL) || !start(&sides[1], atoi(argv[2]), argv[3])) return 2;
  int64_t began = now_ms(), second = began;
  while (!subscribed(&sides[0]) || !subscribed(&sides[1])) {
    if (now_ms() > began + WAIT_MS) return 2;
    sleep_ms(TICK_MS);
  }
  if (!fill_and_connect(&sides[0], &chance) || !fill_and_connect(&sides[1], &chance)) return 2;
  while (!complete(&sides[0]) || !complete(&sides[1])) {
    if (now_ms() > began + 2 * WAIT_MS) return 2;
    for (int i = 0; i < 2; i++) acknowledge_by_hand(&sides[i]);
    sleep_ms(TICK_MS);
  }
  for (int i = 0; i < 2; i++) {
    if (pthread_create(&sides[i].visitor, NULL, visit, &sides[i]) != 0) return 2;
  }
  printf("ready\n");
  fflush(stdout);

  while (poll(&input, 1, TICK_MS) == 0) {
    for (int i = 0; i < 2; i++) {
      for (uint32_t n = chance_below(&chance, 4); n > 0; n--) {
        publish(&sides[i], (int) chance_below(&chance, QOS), padding_by(&chance));
      }
      acknowledge_by_hand(&sides[i]);
    }
    if (now_ms() < second) continue;
    second += 1000;
    struct sample sample = write_sample(csv, began);
    if (count < (int) (sizeof(heap) / sizeof(heap[0]))) heap[count++] = sample.heap_kib;
  }

  int64_t drain = now_ms();
  while ((!complete(&sides[0]) || !complete(&sides[1])) && now_ms() < drain + DRAIN_MS) {
    for (int i = 0; i < 2; i++) acknowledge_by_hand(&sides[i]);
    sleep_ms(TICK_MS);
  }
  printf("  drained in %d ms\n", (int) (now_ms() - drain));
  write_sample(csv, began);
  stopping = true;
  for (int i = 0; i < 2; i++) {
    pthread_join(sides[i].fetcher, NULL);
    pthread_join(sides[i].visitor, NULL);
  }
  for (int i = 0; i < 2; i++) mgos_mqtt_loop_free(sides[i].loop);
  struct sample last = write_sample(csv, began);
  fclose(csv);

  for (int i = 0; i < 2; i++) judge(&checks, &sides[i]);
  printf("  %lld connections came and went\n", visits);
  check(&checks, visits_failed == 0, "each that waited for its acknowledgement got it");
  printf("  file descriptors: %d before, %d after; threads: %d, %d; heap in use: %ld, %ld KiB\n", first.fds,
         last.fds, first.threads, last.threads, first.heap_kib, last.heap_kib);
  check(&checks, last.fds == first.fds, "no file descriptor is left");
  check(&checks, last.threads == first.threads, "no thread is left");
  /* What is made once for the life of the process is not there before: buffers of stdio, of threads that
   * ended. */
  check(&checks, last.heap_kib <= first.heap_kib + 128, "no memory is left");
  if (count >= 60) {
    long early = least(heap, count / 4, count / 2), late = least(heap, count * 3 / 4, count);
    printf("  least heap in use: %ld KiB in the second quarter, %ld KiB in the last\n", early, late);
    check(&checks, late <= early + 128, "memory does not grow");
  }
  printf("load: %d passed, %d failed\n", checks.passed, checks.failed);
  return checks.failed != 0;
}
