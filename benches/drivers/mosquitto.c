/*
 * libmosquitto. Its loop function in the thread that publishes; the variant "thread" gives it a thread of its
 * own, as mosquitto_loop_start() does.
 */
#include <mosquitto.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bench.h"

static struct mosquitto *client;
static atomic_long up, done;
static bool threaded;
static sem_t progress;

static void check(int rc) {
  if (rc != MOSQ_ERR_SUCCESS) fail(mosquitto_strerror(rc));
}

static void on_connect(struct mosquitto *m, void *ud, int rc) {
  (void) m, (void) ud;
  if (rc != 0) fail("refused");
  up++;
  if (threaded) sem_post(&progress);
}

static void on_subscribe(struct mosquitto *m, void *ud, int id, int n, const int *qos) {
  (void) m, (void) ud, (void) id, (void) n, (void) qos;
  up++;
  if (threaded) sem_post(&progress);
}

static void on_acknowledged(struct mosquitto *m, void *ud, int id) {
  (void) m, (void) ud, (void) id;
  done++;
  if (threaded) sem_post(&progress);
}

static void on_message(struct mosquitto *m, void *ud, const struct mosquitto_message *message) {
  (void) m, (void) ud;
  if ((size_t) message->payloadlen == job.size) done++;
  if (threaded) sem_post(&progress);
}

static void turn(void) {
  if (threaded) {
    sem_wait(&progress);
  } else {
    check(mosquitto_loop(client, 1000, 1));
  }
}

static struct mosquitto *make(int i, bool acknowledgements) {
  char id[32];
  snprintf(id, sizeof id, "mosquitto%d", i);
  struct mosquitto *m = mosquitto_new(id, true, NULL);
  if (m == NULL) fail("no memory");
  if (!job.defaults) {
    mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(m, (unsigned) job.window);
  }
  mosquitto_connect_callback_set(m, on_connect);
  mosquitto_subscribe_callback_set(m, on_subscribe);
  mosquitto_message_callback_set(m, on_message);
  if (acknowledgements) mosquitto_publish_callback_set(m, on_acknowledged);
  if (job.ca != NULL) check(mosquitto_tls_set(m, job.ca, NULL, NULL, NULL, NULL));
  return m;
}

static void login(bool acknowledgements) {
  mosquitto_lib_init();
  threaded = strcmp(job.variant, "thread") == 0;
  sem_init(&progress, 0, 0);
  client = make(0, acknowledgements);
  check(mosquitto_connect(client, job.host, job.port, job.keep_alive));
  if (threaded) check(mosquitto_loop_start(client));
  while (up == 0) turn();
}

static void connect_only(void) {
  login(false);
}

static void send_one(const char *topic, size_t size, int qos) {
  check(mosquitto_publish(client, NULL, topic, (int) size, payload, qos, false));
}

static void publish(void) {
  login(true);
  measure_begin();
  /* A QoS 0 message is done when it is written. */
  for (long sent = 0; done < job.count;) {
    for (; sent < job.count && sent - done < job.window; sent++) send_one(BENCH_TOPIC, job.size, job.qos);
    if (done < job.count) turn();
  }
  if (job.qos == 0) {
    send_one(BENCH_TOPIC, 0, 1); /* its acknowledgement proves that all of them have arrived */
    while (done < job.count + 1) turn();
  }
  measure_end();
}

static void receive(void) {
  login(false);
  for (int i = 0; i < job.filters; i++) {
    char topic[32];
    snprintf(topic, sizeof topic, "t/%d", i);
    check(mosquitto_subscribe(client, NULL, topic, job.qos));
  }
  while (up < 1 + job.filters) turn();
  measure_begin();
  check(mosquitto_subscribe(client, NULL, flood_topic, job.qos));
  while (done < job.count) turn();
  measure_end();
}

static void round_trip(void) {
  login(false);
  measure_begin();
  for (long i = 1; i <= job.count; i++) {
    double begun = seconds_now();
    send_one(ECHO_TOPIC, job.size, job.qos);
    while (done < i) turn();
    message_took(seconds_now() - begun);
  }
  measure_end();
}

static void hold(void) {
  mosquitto_lib_init();
  struct mosquitto **all = calloc((size_t) job.connections, sizeof *all);
  int poller = epoll_create1(0);
  if (all == NULL) fail("no memory");
  memory_before();
  for (int i = 0; i < job.connections; i++) {
    all[i] = make(i, false);
    check(mosquitto_connect(all[i], job.host, job.port, job.keep_alive));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = all[i]};
    epoll_ctl(poller, EPOLL_CTL_ADD, mosquitto_socket(all[i]), &e);
  }
  double until = 0;
  for (;;) {
    struct epoll_event events[64];
    /* It wants to be asked once a second whether its keep-alive is due. */
    int n = epoll_wait(poller, events, 64, until == 0 ? 20 : 1000);
    for (int i = 0; i < n; i++) check(mosquitto_loop_read(events[i].data.ptr, 1));
    for (int i = 0; i < job.connections; i++) {
      check(mosquitto_loop_write(all[i], 1));
      if (until != 0) check(mosquitto_loop_misc(all[i]));
    }
    if (until == 0 && up == job.connections) {
      memory_after();
      measure_begin();
      until = seconds_now() + job.seconds;
    }
    if (until != 0 && seconds_now() >= until) break;
  }
  measure_end();
}

const struct driver driver = {.name = "libmosquitto",
                              .connect = connect_only,
                              .publish = publish,
                              .receive = receive,
                              .round_trip = round_trip,
                              .hold = hold};
