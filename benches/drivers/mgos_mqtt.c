/*
 * Our own library, by its public API: connections on one loop, handlers for acknowledgements and messages.
 *
 * As the library is used: poll mode in the thread that publishes; "thread" gives the loop a thread of its
 * own.
 */
#include <limits.h>
#include <mgos_mqtt.h>
#include <mgos_mqtt_conn.h>
#include <mgos_mqtt_event.h>
#include <mgos_mqtt_loop.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_property.h>
#include <mgos_mqtt_stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static struct mgos_mqtt_loop *the_loop;
static long up, done;

static _Noreturn void refused(void) {
  char text[256];
  mgos_mqtt_last_error_text(text, sizeof text);
  fail(text);
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  if (mgos_mqtt_event_error(ev) != 0) fail("could not connect");
  up++;
}

static void on_acknowledged(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
  done++;
}

/* The handler of Mongoose OS, as most programs have one. */
static void on_message(struct mg_connection *nc, int ev, void *p, void *ud) {
  const struct mg_mqtt_message *m = p;
  (void) nc, (void) ud;
  if (ev == MG_EV_MQTT_PUBLISH) done += m->payload.len == job.size;
}

static void on_suback(struct mg_connection *nc, int ev, void *p, void *ud) {
  (void) nc, (void) p, (void) ud;
  if (ev == MG_EV_MQTT_SUBACK) up++;
}

static void turn(void) {
  if (mgos_mqtt_loop_poll(the_loop, -1) != 0) fail("poll");
}

static struct mgos_mqtt_conn *dial(int i, uint32_t ack_kinds) {
  char server[64], id[32];
  struct mgos_config_mqtt cfg;
  snprintf(server, sizeof server, "%s:%d", job.host, job.port);
  snprintf(id, sizeof id, "mgos%d", i);
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  cfg.client_id = id;
  cfg.ssl_ca_cert = job.ca;
  cfg.keep_alive = job.keep_alive;
  struct mgos_mqtt_options options = {.size = sizeof options, .profiles = &cfg, .num_profiles = 1};
  struct mgos_mqtt_property alias_maximum = {.id = MGOS_MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, .number = 1};
  options.protocol_version = job.protocol;
  if (job.aliases) {
    options.topic_aliases = 1;
    options.properties = &alias_maximum;
    options.num_properties = 1;
  }
  if (!job.defaults) {
    options.in_flight_window = job.window;
    options.max_outgoing_bytes = 64 << 20;
  }
  struct mgos_mqtt_conn *c = mgos_mqtt_conn_create_on(the_loop, i, &options);
  if (c == NULL) refused();
  mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL);
  if (ack_kinds != 0) mgos_mqtt_conn_on(c, ack_kinds, on_acknowledged, NULL, NULL);
  if (!mgos_mqtt_conn_connect(c)) fail("connect");
  return c;
}

static struct mgos_mqtt_conn *login(uint32_t ack_kinds) {
  the_loop = mgos_mqtt_loop_create();
  if (the_loop == NULL) fail("no loop");
  struct mgos_mqtt_conn *c = dial(0, ack_kinds);
  while (up == 0) turn();
  return c;
}

static void connect_only(void) {
  login(0);
}

static uint16_t send_one(struct mgos_mqtt_conn *c, const char *topic, size_t size, int qos) {
  struct mg_str message = {(const char *) payload, size};
  return mgos_mqtt_conn_pub(c, topic, message, qos, false);
}

static struct mgos_mqtt_stats stats_of(struct mgos_mqtt_conn *c) {
  struct mgos_mqtt_stats stats = mgos_mqtt_stats_init();
  if (mgos_mqtt_conn_stats(c, &stats) != 0) fail("statistics");
  return stats;
}

/* The bytes of so many PUBLISH packets. */
static uint64_t publish_bytes(long count, size_t topic_len, size_t size, int qos) {
  size_t body = 2 + topic_len + (qos > 0 ? 2 : 0) + (job.protocol == 5 ? 1 : 0) + (job.aliases ? 3 : 0) + size;
  return (uint64_t) count * (1 + (body < 128 ? 1 : body < 16384 ? 2 : 3) + body);
}

/* All messages of the job, with what else their sender sends for them. Only the first one has a topic if there are
   aliases. */
static uint64_t job_bytes(const char *topic) {
  size_t len = strlen(topic);
  return publish_bytes(1, len, job.size, job.qos) +
         publish_bytes(job.count - 1, job.aliases ? 0 : len, job.size, job.qos) +
         (job.qos == 2 ? 4 * (uint64_t) job.count : 0);
}

/* What was sent or received is what was meant to be: PINGREQ or PINGRESP may be among it. */
static void check_bytes(uint64_t bytes, uint64_t expected) {
  if (bytes < expected || bytes > expected + 20 || (bytes - expected) % 2 != 0) {
    fprintf(stderr, "%llu bytes instead of %llu\n", (unsigned long long) bytes, (unsigned long long) expected);
    fail("bytes on the wire");
  }
}

static void publish(void) {
  struct mgos_mqtt_conn *c = login(MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP);
  long sent = 0;
  uint64_t before = stats_of(c).tx_bytes;
  measure_begin();
  if (job.qos == 0) {
    /* What the limit of bytes waiting to be written refuses comes again after a round. */
    while (sent < job.count) {
      while (sent < job.count && send_one(c, BENCH_TOPIC, job.size, 0) != 0) {
        if (++sent % job.window == 0) break;
      }
      if (sent < job.count && mgos_mqtt_loop_poll(the_loop, 0) != 0) fail("poll");
    }
    send_one(c, BENCH_TOPIC, 0, 1); /* its acknowledgement proves that all of them have arrived */
    while (done < 1) turn();
  } else {
    while (done < job.count) {
      while (sent < job.count && sent - done < job.window) {
        if (send_one(c, BENCH_TOPIC, job.size, job.qos) == 0) refused();
        sent++;
      }
      turn();
    }
  }
  measure_end();
  uint64_t last = job.qos == 0 ? publish_bytes(1, job.aliases ? 0 : strlen(BENCH_TOPIC), 0, 1) : 0;
  check_bytes(stats_of(c).tx_bytes - before, job_bytes(BENCH_TOPIC) + last);
}

static void receive(void) {
  struct mgos_mqtt_conn *c = login(0);
  uint64_t before = stats_of(c).rx_bytes;
  up = 0;
  if (job.filters == 0) {
    mgos_mqtt_conn_sub(c, flood_topic, job.qos, on_message, NULL);
  } else {
    char topic[32];
    for (int i = 0; i < job.filters; i++) {
      snprintf(topic, sizeof topic, "t/%d", i);
      mgos_mqtt_conn_sub(c, topic, job.qos, on_message, NULL);
    }
    mgos_mqtt_conn_sub(c, flood_topic, job.qos, on_suback, NULL);
  }
  measure_begin();
  while (done < job.count) turn();
  measure_end();
  /* SUBACK, and with QoS 2 the last PUBREL may be still to come. */
  uint64_t others = job.protocol == 5 ? 6 : 5, bytes = stats_of(c).rx_bytes - before - others;
  uint64_t expected = job_bytes(flood_topic);
  if (job.filters == 0 && job.qos < 2) check_bytes(bytes, expected);
}

/* The next message leaves from the handler of the one before, together with that one's acknowledgement. */
static double departed;

static void on_echo(struct mg_connection *nc, int ev, void *p, void *ud) {
  on_message(nc, ev, p, NULL);
  if (ev != MG_EV_MQTT_PUBLISH) return;
  double now = seconds_now();
  message_took(now - departed);
  departed = now;
  if (done < job.count) send_one(ud, ECHO_TOPIC, job.size, job.qos);
}

static void round_trip(void) {
  struct mgos_mqtt_conn *c = login(0);
  up = 0;
  mgos_mqtt_conn_sub(c, ECHO_TOPIC, job.qos, on_echo, c);
  mgos_mqtt_conn_sub(c, "ready", job.qos, on_suback, NULL);
  while (up == 0) turn();
  measure_begin();
  departed = seconds_now();
  send_one(c, ECHO_TOPIC, job.size, job.qos);
  while (done < job.count) turn();
  measure_end();
}

static struct mgos_mqtt_conn **dial_all(void) {
  struct mgos_mqtt_conn **all = calloc((size_t) job.connections, sizeof *all);
  the_loop = mgos_mqtt_loop_create();
  if (all == NULL || the_loop == NULL) fail("no loop");
  memory_before();
  for (int i = 0; i < job.connections; i++) all[i] = dial(i, 0);
  while (up < job.connections) turn();
  return all;
}

static void hold(void) {
  dial_all();
  for (int i = 0; i < 20; i++) mgos_mqtt_loop_poll(the_loop, 20);
  memory_after();
  measure_begin();
  double until = seconds_now() + job.seconds;
  for (double left = job.seconds; left > 0; left = until - seconds_now()) {
    mgos_mqtt_loop_poll(the_loop, (int) (left * 1000) + 1);
  }
  measure_end();
}

static void fleet(void) {
  struct mgos_mqtt_conn **all = dial_all();
  up = 0;
  for (int i = 0; i < job.connections; i++) {
    mgos_mqtt_conn_sub(all[i], ECHO_TOPIC, 0, on_message, NULL);
    mgos_mqtt_conn_sub(all[i], "ready", 0, on_suback, NULL);
  }
  while (up < job.connections) turn();
  measure_begin();
  for (long sent = 0; done < job.count;) {
    for (; sent < job.count && sent - done < job.window; sent++) {
      send_one(all[sent % job.connections], ECHO_TOPIC, job.size, 0);
    }
    turn();
  }
  measure_end();
}

/* The loop's thread sleeps when each message is published. */
static void other_thread(void) {
  struct mgos_mqtt_conn *c = login(0);
  if (mgos_mqtt_loop_start(the_loop) != 0) fail("no thread");
  sleep_ms(20);
  measure_begin();
  for (long i = 0; i < job.count; i++) {
    double begun = seconds_now();
    send_one(c, BENCH_TOPIC, job.size, 0);
    message_took(seconds_now() - begun);
    sleep_ms(1);
  }
  measure_end();
}

const struct driver driver = {
    .name = "mgos_mqtt",
    .connect = connect_only,
    .publish = publish,
    .receive = receive,
    .round_trip = round_trip,
    .hold = hold,
    .fleet = fleet,
    .other_thread = other_thread,
};
