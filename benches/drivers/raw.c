/*
 * The limit: no library, only what the protocol and the system need.
 *
 * It stands for the smallest thing that could be called a library: a function that encodes one message into a
 * batch, one that is called with topic and payload of each message received, whole batches per system call.
 * The variant "packets" has neither: packets are encoded beforehand, and only their headers are looked at.
 * TLS is OpenSSL's, as its examples use it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { BATCH = 256 << 10, READ_SIZE = 1 << 20 };
static uint8_t input[READ_SIZE], acks[READ_SIZE], *batch;
static size_t input_len, batch_len;
static int fd;
static SSL *tls; /* of the last connection */
static uint16_t last_id;

static void write_all(const uint8_t *p, size_t n) {
  while (n > 0) {
    long done = tls != NULL ? SSL_write(tls, p, (int) n) : send(fd, p, n, MSG_NOSIGNAL);
    if (done <= 0) fail("write");
    p += done;
    n -= (size_t) done;
  }
}

static void flush(void) {
  if (batch_len > 0) write_all(batch, batch_len);
  batch_len = 0;
}

static void read_more(void) {
  size_t room = sizeof input - input_len;
  long n = tls != NULL ? SSL_read(tls, input + input_len, (int) room) : recv(fd, input + input_len, room, 0);
  if (n <= 0) fail("read");
  input_len += (size_t) n;
}

static void consumed(size_t n) {
  memmove(input, input + n, input_len - n);
  input_len -= n;
}

static void begin_tls(void) {
  static SSL_CTX *context;
  if (context == NULL) {
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, job.ca, NULL) != 1) fail("certificate of the authority");
  }
  tls = SSL_new(context);
  SSL_set_fd(tls, fd);
  if (SSL_set1_host(tls, job.host) != 1 || SSL_connect(tls) != 1) fail("TLS handshake");
}

static int dial(int i) {
  uint8_t connect_packet[32] = "\x10\0\0\4MQTT\4\2\0\0\0";
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) job.port)};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  inet_pton(AF_INET, job.ca != NULL ? "127.0.0.1" : job.host, &a.sin_addr);
  if (!job.defaults) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(s, (struct sockaddr *) &a, sizeof a) != 0) fail("connect");
  int n = snprintf((char *) connect_packet + 14, 16, "raw%d", i);
  connect_packet[1] = (uint8_t) (12 + n);
  connect_packet[11] = (uint8_t) job.keep_alive;
  connect_packet[13] = (uint8_t) n;
  fd = s;
  if (job.ca != NULL) begin_tls();
  write_all(connect_packet, 14 + (size_t) n);
  return s;
}

static void login(void) {
  dial(0);
  while (input_len < 4) read_more();
  consumed(4);
  batch = malloc(BATCH + job.size + 256);
  if (batch == NULL) fail("no memory");
}

/* The publish function of the smallest library. */
static __attribute__((noinline)) uint16_t publish_one(const char *topic, const void *data, size_t size,
                                                      int qos) {
  size_t topic_len = strlen(topic), left = 2 + topic_len + (qos > 0 ? 2 : 0) + size;
  if (batch_len + left + 5 > BATCH) flush();
  uint8_t *p = batch + batch_len;
  *p++ = (uint8_t) (0x30 | qos << 1);
  for (; left > 0x7f; left >>= 7) *p++ = (uint8_t) (left | 0x80);
  *p++ = (uint8_t) left;
  *p++ = (uint8_t) (topic_len >> 8);
  *p++ = (uint8_t) topic_len;
  p = (uint8_t *) memcpy(p, topic, topic_len) + topic_len;
  if (qos > 0) {
    if (++last_id == 0) last_id = 1;
    *p++ = (uint8_t) (last_id >> 8);
    *p++ = (uint8_t) last_id;
  }
  memcpy(p, data, size);
  batch_len = (size_t) (p - batch) + size;
  return last_id;
}

/* Takes the acknowledgements that have come, answers PUBREC, returns how many messages ended. */
static long acknowledgements(void) {
  long ended = 0;
  size_t at = 0;
  for (; input_len - at >= 4; at += 4) {
    if (input[at] == 0x50) {
      const uint8_t release[4] = {0x62, 2, input[at + 2], input[at + 3]};
      if (batch_len + 4 > BATCH) flush();
      memcpy(batch + batch_len, release, 4);
      batch_len += 4;
    } else {
      ended++;
    }
  }
  consumed(at);
  return ended;
}

static void publish_packets(void) {
  size_t one;
  publish_one(BENCH_TOPIC, payload, job.size, job.qos);
  one = batch_len;
  long per_batch = BATCH / (long) one > 0 ? BATCH / (long) one : 1;
  if (job.qos > 0 && per_batch > job.window) per_batch = job.window;
  uint8_t *packets = malloc(one * (size_t) per_batch);
  if (packets == NULL) fail("no memory");
  for (long i = 0; i < per_batch; i++) memcpy(packets + (size_t) i * one, batch, one);
  batch_len = 0;
  size_t id_at = one - job.size - 2;
  long sent = 0, ended = 0;
  measure_begin();
  while (sent < job.count || (job.qos > 0 && ended < job.count)) {
    long n = job.count - sent < per_batch ? job.count - sent : per_batch;
    if (job.qos > 0 && n > job.window - (sent - ended)) n = job.window - (sent - ended);
    for (long i = 0; job.qos > 0 && i < n; i++) {
      uint8_t *id = packets + (size_t) i * one + id_at;
      if (++last_id == 0) last_id = 1;
      id[0] = (uint8_t) (last_id >> 8);
      id[1] = (uint8_t) last_id;
    }
    write_all(packets, (size_t) n * one);
    sent += n;
    if (job.qos == 0) continue;
    read_more();
    ended += acknowledgements();
    flush();
  }
  if (job.qos == 0) {
    publish_one(BENCH_TOPIC, "", 0, 1);
    flush();
    while (acknowledgements() == 0) read_more();
  }
  measure_end();
}

static void publish(void) {
  login();
  if (strcmp(job.variant, "packets") == 0) {
    publish_packets();
    return;
  }
  long sent = 0, ended = 0;
  measure_begin();
  while (ended < job.count) {
    for (; sent < job.count && (job.qos == 0 || sent - ended < job.window); sent++) {
      publish_one(BENCH_TOPIC, payload, job.size, job.qos);
    }
    flush();
    if (job.qos == 0) break;
    read_more();
    ended += acknowledgements();
  }
  if (job.qos == 0) {
    publish_one(BENCH_TOPIC, "", 0, 1); /* its acknowledgement proves that all of them have arrived */
    flush();
    while (acknowledgements() == 0) read_more();
  }
  flush();
  measure_end();
}

struct message {
  const uint8_t *topic, *payload;
  size_t topic_len, payload_len;
};
static long seen;

static __attribute__((noinline)) void on_message(const struct message *m, void *ud) {
  *(long *) ud += m->payload_len == job.size;
}
static void (*volatile handler)(const struct message *, void *) = on_message;

/* Takes the packets that have come; answers go to `acks`. Returns how many exchanges of messages ended. */
static long messages(bool call, size_t *ack_len) {
  size_t at = 0;
  long ended = 0;
  while (input_len - at >= 2) {
    size_t body = 0, head = 1;
    do body |= (size_t) (input[at + head] & 0x7f) << 7 * (head - 1);
    while (input[at + head++] >= 0x80 && at + head < input_len);
    if (input_len - at < head + body) break;
    const uint8_t *p = input + at + head;
    int qos = input[at] >> 1 & 3;
    uint8_t kind = input[at] >> 4;
    if (kind == 3) {
      size_t topic_len = (size_t) p[0] << 8 | p[1];
      const uint8_t *id = p + 2 + topic_len;
      if (call) {
        struct message m = {p + 2, id + (qos > 0 ? 2 : 0), topic_len, 0};
        m.payload_len = (size_t) (p + body - m.payload);
        handler(&m, &seen);
      }
      if (qos > 0) {
        const uint8_t ack[4] = {qos == 1 ? 0x40 : 0x50, 2, id[0], id[1]};
        memcpy(acks + *ack_len, ack, 4);
        *ack_len += 4;
      }
      ended += qos < 2;
    } else if (kind == 6) {
      const uint8_t ack[4] = {0x70, 2, p[0], p[1]};
      memcpy(acks + *ack_len, ack, 4);
      *ack_len += 4;
      ended++;
    }
    at += head + body;
  }
  consumed(at);
  return ended;
}

static void subscribe(const char *filter) {
  uint8_t packet[160] = {0x82};
  size_t n = strlen(filter);
  packet[1] = (uint8_t) (5 + n);
  packet[3] = 1;
  packet[5] = (uint8_t) n;
  memcpy(packet + 6, filter, n);
  packet[6 + n] = (uint8_t) job.qos;
  write_all(packet, 7 + n);
}

static void receive(void) {
  bool call = strcmp(job.variant, "packets") != 0;
  login();
  measure_begin();
  subscribe(flood_topic);
  for (long ended = 0; ended < job.count;) {
    size_t ack_len = 0;
    read_more();
    ended += messages(call, &ack_len);
    if (ack_len > 0) write_all(acks, ack_len);
  }
  measure_end();
}

static void round_trip(void) {
  login();
  int poller = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  measure_begin();
  size_t ack_len = 0;
  for (long i = 0; i < job.count; i++) {
    double begun = seconds_now();
    /* The acknowledgement of the echo and the next message go out together. */
    memcpy(batch, acks, ack_len);
    batch_len = ack_len;
    ack_len = 0;
    publish_one(ECHO_TOPIC, payload, job.size, job.qos);
    flush();
    for (long ended = 0; ended == 0;) {
      if (epoll_wait(poller, &e, 1, -1) < 1) continue;
      read_more();
      ended = messages(true, &ack_len);
    }
    message_took(seconds_now() - begun);
  }
  measure_end();
}

static void hold(void) {
  memory_before();
  for (int i = 0; i < job.connections; i++) {
    dial(i);
    input_len = 0;
    while (input_len < 4) read_more();
  }
  sleep_ms(200);
  memory_after();
  measure_begin();
  sleep_ms(job.seconds * 1000L);
  measure_end();
}

static void fleet(void) {
  int *all = calloc((size_t) job.connections, sizeof *all), poller = epoll_create1(0);
  if (all == NULL) fail("no memory");
  for (int i = 0; i < job.connections; i++) {
    struct epoll_event e = {.events = EPOLLIN};
    e.data.fd = all[i] = dial(i);
    input_len = 0;
    while (input_len < 4) read_more();
    epoll_ctl(poller, EPOLL_CTL_ADD, all[i], &e);
  }
  batch = malloc(BATCH + job.size + 256);
  if (batch == NULL) fail("no memory");
  measure_begin();
  for (long sent = 0, ended = 0; ended < job.count;) {
    for (; sent < job.count && sent - ended < job.window; sent++) {
      fd = all[sent % job.connections];
      publish_one(ECHO_TOPIC, payload, job.size, 0);
      flush();
    }
    struct epoll_event events[64];
    int n = epoll_wait(poller, events, 64, -1);
    for (int i = 0; i < n; i++) {
      size_t none = 0;
      fd = events[i].data.fd;
      input_len = 0;
      read_more();
      ended += messages(true, &none);
    }
  }
  measure_end();
}

static void other_thread(void) {
  login();
  measure_begin();
  for (long i = 0; i < job.count; i++) {
    double begun = seconds_now();
    publish_one(BENCH_TOPIC, payload, job.size, 0);
    flush();
    message_took(seconds_now() - begun);
    sleep_ms(1);
  }
  measure_end();
}

const struct driver driver = {.name = "raw",
                              .connect = login,
                              .publish = publish,
                              .receive = receive,
                              .round_trip = round_trip,
                              .hold = hold,
                              .fleet = fleet,
                              .other_thread = other_thread};
