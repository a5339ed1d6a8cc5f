/* Eclipse Paho C, its asynchronous client. It has threads of its own. */
#include <MQTTAsync.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static MQTTAsync client;
static atomic_long ended;
static bool wake_for_each; /* message; else for the last one */
static sem_t arrived, acknowledged;

static void check(int rc) {
  if (rc != MQTTASYNC_SUCCESS) fail("refused");
}

static void on_done(void *ud, MQTTAsync_successData *data) {
  (void) data;
  sem_post(ud);
}

static void on_failure(void *ud, MQTTAsync_failureData *data) {
  (void) ud, (void) data;
  fail("an operation failed");
}

static int on_message(void *ud, char *topic, int topic_len, MQTTAsync_message *message) {
  (void) ud, (void) topic_len;
  if ((size_t) message->payloadlen == job.size && (++ended >= job.count || wake_for_each)) sem_post(&arrived);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static MQTTAsync dial(int i, sem_t *up) {
  char address[64], id[32];
  snprintf(address, sizeof address, "%s://%s:%d", job.ca != NULL ? "ssl" : "tcp", job.host, job.port);
  snprintf(id, sizeof id, "paho%d", i);
  MQTTAsync c;
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.maxBufferedMessages = job.window + 1;
  check(MQTTAsync_createWithOptions(&c, address, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create));
  check(MQTTAsync_setCallbacks(c, NULL, NULL, on_message, NULL));
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.trustStore = job.ca;
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  options.keepAliveInterval = job.keep_alive;
  options.cleansession = 1;
  options.maxInflight = job.window;
  options.onSuccess = on_done;
  options.onFailure = on_failure;
  options.context = up;
  if (job.ca != NULL) options.ssl = &tls;
  check(MQTTAsync_connect(c, &options));
  return c;
}

static void login(void) {
  sem_t up;
  sem_init(&up, 0, 0);
  sem_init(&arrived, 0, 0);
  sem_init(&acknowledged, 0, 0);
  client = dial(0, &up);
  sem_wait(&up);
}

static void send_one(const char *topic, size_t size, int qos, sem_t *when_done) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  if (when_done != NULL) {
    response.onSuccess = on_done;
    response.onFailure = on_failure;
    response.context = when_done;
  }
  check(MQTTAsync_send(client, topic, (int) size, payload, qos, 0, &response));
}

static void subscribe(const char *filter) {
  sem_t up;
  sem_init(&up, 0, 0);
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.onSuccess = on_done;
  response.onFailure = on_failure;
  response.context = &up;
  check(MQTTAsync_subscribe(client, filter, job.qos, &response));
  sem_wait(&up);
}

static void publish(void) {
  login();
  measure_begin();
  for (long i = 0; i < job.count; i++) {
    if (i >= job.window) sem_wait(&acknowledged);
    send_one(BENCH_TOPIC, job.size, job.qos, &acknowledged);
  }
  for (long i = job.count < job.window ? job.count : job.window; i > 0; i--) sem_wait(&acknowledged);
  if (job.qos == 0) {
    send_one(BENCH_TOPIC, 0, 1, &acknowledged); /* its acknowledgement proves that all have arrived */
    sem_wait(&acknowledged);
  }
  measure_end();
}

static void receive(void) {
  login();
  measure_begin();
  subscribe(flood_topic);
  sem_wait(&arrived);
  measure_end();
}

static void round_trip(void) {
  login();
  wake_for_each = true;
  subscribe(ECHO_TOPIC);
  measure_begin();
  for (long i = 0; i < job.count; i++) {
    double begun = seconds_now();
    send_one(ECHO_TOPIC, job.size, job.qos, NULL);
    sem_wait(&arrived);
    message_took(seconds_now() - begun);
  }
  measure_end();
}

static void hold(void) {
  sem_t up;
  sem_init(&up, 0, 0);
  memory_before();
  for (int i = 0; i < job.connections; i++) dial(i, &up);
  for (int i = 0; i < job.connections; i++) sem_wait(&up);
  sleep_ms(200);
  memory_after();
  measure_begin();
  sleep_ms(job.seconds * 1000L);
  measure_end();
}

const struct driver driver = {.name = "Paho C",
                              .connect = login,
                              .publish = publish,
                              .receive = receive,
                              .round_trip = round_trip,
                              .hold = hold};
