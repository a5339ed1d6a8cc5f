#define _POSIX_C_SOURCE 200809L
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ANY_BYTE 0x100 /* ?? in a pattern */

struct step {
  enum peer_step kind;
  const char *file;
  int line;
  unsigned short *pattern; /* bytes or ANY_BYTE */
  size_t len;
  int type;
  struct peer_packet *out;
  peer_fn fn;
  void *arg;
  struct step *next;
};

struct peer {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct step *first, **last; /* steps to be done; the first is being done */
  bool stopping;
  bool failed;
  bool served; /* peer_serve() is to end */
  int accepted;
  char message[2048]; /* why it failed */
  char address[32];

  /* Of the thread alone. */
  int listener;
  int fd; /* -1: no client */
  int wake[2];
  const struct step *now;
  long long by;
  unsigned char *body;
  size_t body_size;
};

long long test_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void test_failed(const char *file, int line, const char *what) {
  print_error("%s\n", what);
  _fail(file, line);
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void *get(size_t size) {
  void *memory = calloc(1, size);
  if (memory == NULL) die("calloc");
  return memory;
}

/* -- patterns ------------------------------------------------------------------------------------ */

static int digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *at = c == '\0' ? NULL : strchr(digits, c);
  return at == NULL ? -1 : (int) (at - digits);
}

static void bad_pattern(const char *pattern, const char *at) {
  fprintf(stderr, "bad pattern at \"%s\" in \"%s\"\n", at, pattern);
  exit(1);
}

/* Puts the remaining length into the place that `at` kept for it. */
static size_t put_length(unsigned short *out, size_t at, size_t end) {
  size_t rest = end - at, digits = 0;
  unsigned short length[4];
  do {
    length[digits] = (unsigned short) (rest % 128);
    rest /= 128;
    if (rest > 0) length[digits] |= 0x80;
    digits++;
  } while (rest > 0);
  memmove(out + at + digits, out + at, (end - at) * sizeof(*out));
  memcpy(out + at, length, digits * sizeof(*out));
  return end + digits;
}

/* What a pattern stands for; to be freed. */
static unsigned short *parse(const char *pattern, size_t *len) {
  unsigned short *out = get((strlen(pattern) * 2 + 8) * sizeof(*out));
  size_t n = 0, body = 0;
  bool counted = false;
  const char *s = pattern;
  for (;;) {
    if (*s == ';' || *s == '\0') {
      if (counted) n = put_length(out, body, n);
      counted = false;
      if (*s++ == '\0') break;
    } else if (*s == ' ') {
      s++;
    } else if (*s == '@') {
      counted = true;
      body = n;
      s++;
    } else if (*s == '?' && s[1] == '?') {
      out[n++] = ANY_BYTE;
      s += 2;
    } else if (*s == '\'' || (*s == '=' && s[1] == '\'')) {
      bool prefixed = *s == '=';
      const char *text = s + 1 + prefixed;
      const char *end = strchr(text, '\'');
      if (end == NULL) bad_pattern(pattern, s);
      if (prefixed) {
        out[n++] = (unsigned short) (((size_t) (end - text) >> 8) & 0xff);
        out[n++] = (unsigned short) ((size_t) (end - text) & 0xff);
      }
      for (; text < end; text++) out[n++] = (unsigned char) *text;
      s = end + 1;
    } else if (digit(s[0]) >= 0 && digit(s[1]) >= 0) {
      out[n++] = (unsigned short) (digit(s[0]) << 4 | digit(s[1]));
      s += 2;
    } else {
      bad_pattern(pattern, s);
    }
  }
  *len = n;
  return out;
}

/* -- the thread ---------------------------------------------------------------------------------- */

static bool failed(struct peer *p, const char *format, ...) {
  va_list args;
  size_t n = 0;
  pthread_mutex_lock(&p->lock);
  if (!p->failed) {
    n = (size_t) snprintf(p->message, sizeof(p->message), "%s:%d: ", p->now->file, p->now->line);
    va_start(args, format);
    vsnprintf(p->message + n, sizeof(p->message) - n, format, args);
    va_end(args);
    p->failed = true;
  }
  pthread_mutex_unlock(&p->lock);
  return false;
}

/* A little before the test gives up, so that it is the peer that tells why. */
static long long deadline(void) {
  return test_now_ms() + TEST_DEADLINE_MS - 2000;
}

/* Waits until `fd` can be read or written; false if the step is over before that. */
static bool ready(struct peer *p, int fd, short events, const char *what) {
  struct pollfd fds[2];
  for (;;) {
    long long left = p->by - test_now_ms();
    int n;
    fds[0].fd = fd;
    fds[0].events = events;
    fds[1].fd = p->wake[0];
    fds[1].events = POLLIN;
    fds[0].revents = fds[1].revents = 0;
    if (left <= 0) return failed(p, "not in time: %s", what);
    n = poll(fds, 2, (int) left);
    if (n < 0 && errno != EINTR) return failed(p, "poll: %s", strerror(errno));
    if (n > 0 && fds[1].revents != 0) return failed(p, "the test ended before: %s", what);
    if (n > 0) return true;
  }
}

/* Reads at most `len` bytes: how many, 0 at the end, -1 after a failure. A reset is an end, too. */
static long some(struct peer *p, unsigned char *out, size_t len, const char *what) {
  if (p->fd < 0) return failed(p, "no client: %s", what) ? 0 : -1;
  for (;;) {
    ssize_t n;
    if (!ready(p, p->fd, POLLIN, what)) return -1;
    n = recv(p->fd, out, len, 0);
    if (n >= 0) return (long) n;
    if (errno == ECONNRESET) return 0;
    if (errno != EAGAIN && errno != EINTR) return failed(p, "recv: %s", strerror(errno)) ? 0 : -1;
  }
}

static bool exactly(struct peer *p, unsigned char *out, size_t len, const char *what) {
  size_t have = 0;
  while (have < len) {
    long n = some(p, out + have, len - have, what);
    if (n < 0) return false;
    if (n == 0) return failed(p, "the client closed the connection before: %s", what);
    have += (size_t) n;
  }
  return true;
}

static void dump(char *out, size_t size, const unsigned short *bytes, size_t len) {
  size_t i, n = 0;
  out[0] = '\0';
  for (i = 0; i < len && n + 8 < size; i++) {
    if (bytes[i] == ANY_BYTE) {
      n += (size_t) snprintf(out + n, size - n, " ??");
    } else {
      n += (size_t) snprintf(out + n, size - n, " %02x", bytes[i]);
    }
  }
  if (i < len) snprintf(out + n, size - n, " ...");
}

static bool expect(struct peer *p, const struct step *step) {
  unsigned char *found = get(step->len + 256);
  unsigned short *shown;
  char wanted[768], got[768];
  size_t have = 0, i;
  bool same = true, over = false;
  long n = 1;
  while (have < step->len && same) {
    n = some(p, found + have, step->len - have, "the bytes expected");
    if (n <= 0) break;
    have += (size_t) n;
    for (i = 0; i < have; i++) same = same && (step->pattern[i] == ANY_BYTE || step->pattern[i] == found[i]);
  }
  if (same && have == step->len) {
    free(found);
    return true;
  }
  over = n == 0;
  /* What follows is worth seeing, as far as it is there. */
  if (!same) {
    ssize_t more = recv(p->fd, found + have, 64, MSG_DONTWAIT);
    if (more > 0) have += (size_t) more;
  }
  shown = get((have + 1) * sizeof(*shown));
  for (i = 0; i < have; i++) shown[i] = found[i];
  dump(wanted, sizeof(wanted), step->pattern, step->len);
  dump(got, sizeof(got), shown, have);
  pthread_mutex_lock(&p->lock);
  p->failed = false; /* this says more than that it was not in time */
  pthread_mutex_unlock(&p->lock);
  failed(p, "expected:%s\n    found:   %s%s", wanted, got, over ? " and the end" : "");
  free(shown);
  free(found);
  return false;
}

bool peer_write(struct peer *p, const void *bytes, size_t len) {
  const unsigned char *from = bytes;
  while (len > 0) {
    ssize_t n;
    if (p->fd < 0) return failed(p, "no client to send to");
    if (!ready(p, p->fd, POLLOUT, "sending")) return false;
    n = send(p->fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return failed(p, "send: %s", strerror(errno));
    if (n > 0) {
      from += n;
      len -= (size_t) n;
    }
  }
  return true;
}

bool peer_silent(struct peer *p) {
  unsigned char byte;
  if (recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) return true;
  return failed(p, "the client sent something, beginning with %02x, where it must not", byte);
}

bool peer_packet(struct peer *p, struct peer_packet *packet) {
  unsigned char byte;
  size_t rest = 0, shift = 0, at = 0;
  const char *what = "a packet";
  memset(packet, 0, sizeof(*packet));
  p->by = deadline();
  if (!exactly(p, &byte, 1, what)) return false;
  packet->type = byte >> 4;
  packet->flags = byte & 15;
  do {
    if (!exactly(p, &byte, 1, what)) return false;
    rest |= (size_t) (byte & 0x7f) << shift;
    shift += 7;
    if (shift > 28) return failed(p, "a remaining length of more than four bytes");
  } while ((byte & 0x80) != 0);
  if (rest > p->body_size) {
    free(p->body);
    p->body = get(rest);
    p->body_size = rest;
  }
  if (!exactly(p, p->body, rest, what)) return false;
  packet->body = p->body;
  packet->body_len = rest;
  if (packet->type == MG_MQTT_CMD_PUBLISH && rest >= 2) {
    size_t len = (size_t) p->body[0] << 8 | p->body[1];
    at = 2 + len;
    if (at > rest) return failed(p, "a topic longer than its packet");
    if (len >= sizeof(packet->topic)) len = sizeof(packet->topic) - 1;
    memcpy(packet->topic, p->body + 2, len);
  }
  if (packet->type != MG_MQTT_CMD_CONNECT && packet->type < MG_MQTT_CMD_PINGREQ && rest >= at + 2 &&
      (packet->type != MG_MQTT_CMD_PUBLISH || (packet->flags & 6) != 0)) {
    packet->id = (uint16_t) (p->body[at] << 8 | p->body[at + 1]);
  }
  return true;
}

static bool take(struct peer *p, const struct step *step) {
  struct peer_packet packet;
  if (!peer_packet(p, &packet)) return false;
  if (packet.type != step->type) {
    return failed(p, "expected a packet of type %d, found type %d (flags %d, id %d, topic '%s')", step->type,
                  packet.type, packet.flags, packet.id, packet.topic);
  }
  packet.body = NULL;
  if (step->out != NULL) *step->out = packet;
  return true;
}

static bool transmit(struct peer *p, const struct step *step) {
  size_t each = step->kind == PEER_SEND ? step->len : 1, i;
  unsigned char *bytes = get(step->len + 1);
  bool fine = true;
  for (i = 0; i < step->len; i++) bytes[i] = (unsigned char) step->pattern[i];
  for (i = 0; i < step->len && fine; i += each) fine = peer_write(p, bytes + i, each);
  free(bytes);
  return fine;
}

static void shut(struct peer *p) {
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
}

static bool welcome(struct peer *p) {
  int on = 1;
  shut(p);
  if (!ready(p, p->listener, POLLIN, "a connection")) return false;
  p->fd = accept(p->listener, NULL, NULL);
  if (p->fd < 0) return failed(p, "accept: %s", strerror(errno));
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  pthread_mutex_lock(&p->lock);
  p->accepted++;
  pthread_mutex_unlock(&p->lock);
  return true;
}

static bool end(struct peer *p) {
  unsigned char found[64];
  unsigned short shown[64];
  char got[256];
  long n = some(p, found, sizeof(found), "the end of the connection"), i;
  if (n < 0) return false;
  if (n > 0) {
    for (i = 0; i < n; i++) shown[i] = found[i];
    dump(got, sizeof(got), shown, (size_t) n);
    return failed(p, "expected the end of the connection\n    found:   %s", got);
  }
  shut(p);
  return true;
}

static bool reset(struct peer *p) {
  struct linger now;
  if (p->fd < 0) return failed(p, "no client to reset");
  now.l_onoff = 1;
  now.l_linger = 0;
  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  shut(p);
  return true;
}

/* Answers one packet; false to end the connection. */
static bool answer(struct peer *p, const struct peer_packet *packet) {
  unsigned char ack[64] = {0, 2, 0, 0};
  unsigned char rest[1024];
  size_t at = 2, n = 0;
  ack[2] = (unsigned char) (packet->id >> 8);
  ack[3] = (unsigned char) packet->id;
  switch (packet->type) {
    case MG_MQTT_CMD_CONNECT:
      return peer_write(p, "\x20\x02\x00\x00", 4) && peer_write(p, "\x30\x0a\x00\x08greeting", 12) &&
             peer_write(p, "\x34\x0c\x00\x08greeting\x00\x09", 14);
    case MG_MQTT_CMD_PUBLISH:
      if (strcmp(packet->topic, "hang up") == 0) return false;
      ack[0] = (packet->flags & 6) == 2 ? 0x40 : 0x50;
      if ((packet->flags & 6) != 0 && !peer_write(p, ack, 4)) return false;
      n = packet->body_len < 120 ? packet->body_len : 120;
      rest[0] = 0x30;
      rest[1] = (unsigned char) n;
      memcpy(rest + 2, packet->body, n);
      return peer_write(p, rest, n + 2);
    case MG_MQTT_CMD_PUBREC:
      ack[0] = 0x62;
      return peer_write(p, ack, 4);
    case MG_MQTT_CMD_PUBREL:
      ack[0] = 0x70;
      return peer_write(p, ack, 4);
    case MG_MQTT_CMD_SUBSCRIBE:
      for (n = 4; at + 2 < packet->body_len && n < sizeof(ack); n++) {
        at += 2 + ((size_t) packet->body[at] << 8 | packet->body[at + 1]);
        ack[n] = packet->body[at++];
      }
      ack[0] = 0x90;
      ack[1] = (unsigned char) (n - 2);
      return peer_write(p, ack, n);
    case MG_MQTT_CMD_UNSUBSCRIBE:
      ack[0] = 0xb0;
      return peer_write(p, ack, 4);
    case MG_MQTT_CMD_PINGREQ:
      return peer_write(p, "\xd0\x00", 2);
    default:
      return packet->type != MG_MQTT_CMD_DISCONNECT;
  }
}

static bool serve(struct peer *p) {
  int on = 1;
  for (;;) {
    struct pollfd fds[3];
    struct peer_packet packet;
    unsigned char byte;
    fds[0].fd = p->listener;
    fds[1].fd = p->wake[0];
    fds[2].fd = p->fd;
    fds[0].events = fds[1].events = fds[2].events = POLLIN;
    fds[0].revents = fds[1].revents = fds[2].revents = 0;
    if (poll(fds, 3, -1) < 0 && errno != EINTR) return failed(p, "poll: %s", strerror(errno));
    if (fds[1].revents != 0) {
      bool ended;
      pthread_mutex_lock(&p->lock);
      ended = p->served;
      p->served = false;
      pthread_mutex_unlock(&p->lock);
      if (!ended) return failed(p, "the test ended before: peer_serve_end()");
      if (read(p->wake[0], &byte, 1) != 1) die("read");
      shut(p);
      return true;
    }
    if (fds[2].revents != 0) {
      ssize_t n = recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (n <= 0 || !peer_packet(p, &packet) || !answer(p, &packet)) {
        /* Whatever a client does, this server goes on. */
        pthread_mutex_lock(&p->lock);
        p->failed = false;
        pthread_mutex_unlock(&p->lock);
        shut(p);
      }
    } else if (fds[0].revents != 0) {
      shut(p);
      p->fd = accept(p->listener, NULL, NULL);
      if (p->fd >= 0) setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
  }
}

static bool perform(struct peer *p, const struct step *step) {
  p->now = step;
  p->by = deadline();
  switch (step->kind) {
    case PEER_ACCEPT:
      return welcome(p);
    case PEER_EXPECT:
      return expect(p, step);
    case PEER_SEND:
    case PEER_SEND_SLOWLY:
      return transmit(p, step);
    case PEER_TAKE:
      return take(p, step);
    case PEER_RUN:
      return step->fn(p, step->arg);
    case PEER_SERVE:
      return serve(p);
    case PEER_END:
      return end(p);
    case PEER_CLOSE:
      shut(p);
      return true;
    case PEER_RESET:
      return reset(p);
  }
  return false;
}

static void forget(struct step *step) {
  free(step->pattern);
  free(step);
}

static void *run(void *arg) {
  struct peer *p = arg;
  pthread_mutex_lock(&p->lock);
  for (;;) {
    struct step *step;
    while (!p->stopping && (p->first == NULL || p->failed)) pthread_cond_wait(&p->changed, &p->lock);
    if (p->stopping) break;
    step = p->first;
    pthread_mutex_unlock(&p->lock);
    if (!perform(p, step)) failed(p, "the step failed");
    pthread_mutex_lock(&p->lock);
    if (p->failed) {
      /* What is left stays, and is freed by peer_stop(); the client need not wait. */
      shut(p);
      pthread_cond_broadcast(&p->changed);
      continue;
    }
    p->first = step->next;
    if (p->first == NULL) p->last = &p->first;
    forget(step);
    pthread_cond_broadcast(&p->changed);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

/* -- the test's side ----------------------------------------------------------------------------- */

struct peer *peer_start(void) {
  struct peer *p = get(sizeof(*p));
  struct sockaddr_in address;
  socklen_t len = sizeof(address);
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p->fd = -1;
  p->last = &p->first;
  p->listener = socket(AF_INET, SOCK_STREAM, 0);
  if (p->listener < 0 || bind(p->listener, (struct sockaddr *) &address, len) != 0 ||
      listen(p->listener, 16) != 0 || getsockname(p->listener, (struct sockaddr *) &address, &len) != 0 ||
      pipe(p->wake) != 0) {
    die("listening on the loopback");
  }
  snprintf(p->address, sizeof(p->address), "127.0.0.1:%d", ntohs(address.sin_port));
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->changed, NULL);
  if (pthread_create(&p->thread, NULL, run, p) != 0) die("pthread_create");
  return p;
}

bool peer_stop(struct peer *p) {
  unsigned char rest[64];
  bool fine = true;
  pthread_mutex_lock(&p->lock);
  /* What it sent last may have arrived before it has noted that. Every step has a deadline. */
  while (p->first != NULL && p->first->kind != PEER_SERVE && !p->failed) {
    pthread_cond_wait(&p->changed, &p->lock);
  }
  if (p->failed || p->first != NULL) {
    print_error("the peer: %s\n", p->failed ? p->message : "its script is not finished");
    fine = false;
  }
  p->stopping = true;
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
  if (write(p->wake[1], "", 1) != 1) die("write");
  pthread_join(p->thread, NULL);
  if (fine && p->fd >= 0) {
    /* A DISCONNECT is what every client may send at the end. */
    ssize_t n = recv(p->fd, rest, sizeof(rest), MSG_DONTWAIT);
    if (n > 0 && !(n == 2 && rest[0] == 0xe0 && rest[1] == 0)) {
      print_error("the peer: the client sent more than expected, beginning with %02x\n", rest[0]);
      fine = false;
    }
  }
  while (p->first != NULL) {
    struct step *step = p->first;
    p->first = step->next;
    forget(step);
  }
  shut(p);
  close(p->listener);
  close(p->wake[0]);
  close(p->wake[1]);
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  free(p->body);
  free(p);
  return fine;
}

void peer_serve_end(struct peer *p) {
  pthread_mutex_lock(&p->lock);
  p->served = true;
  if (write(p->wake[1], "", 1) != 1) die("write");
  while (p->served && !p->failed) pthread_cond_wait(&p->changed, &p->lock);
  while (p->first != NULL && !p->failed) pthread_cond_wait(&p->changed, &p->lock);
  pthread_mutex_unlock(&p->lock);
}

const char *peer_address(const struct peer *p) {
  return p->address;
}

int peer_accepted(struct peer *p) {
  int n;
  pthread_mutex_lock(&p->lock);
  n = p->accepted;
  pthread_mutex_unlock(&p->lock);
  return n;
}

static void append(struct peer *p, struct step *step) {
  pthread_mutex_lock(&p->lock);
  *p->last = step;
  p->last = &step->next;
  pthread_cond_broadcast(&p->changed);
  pthread_mutex_unlock(&p->lock);
}

static struct step *new_step(enum peer_step kind, const char *file, int line) {
  struct step *step = get(sizeof(*step));
  step->kind = kind;
  step->file = file;
  step->line = line;
  return step;
}

void peer_add(struct peer *p, enum peer_step kind, const char *file, int line, const char *format, ...) {
  struct step *step = new_step(kind, file, line);
  if (format != NULL) {
    char *pattern;
    int n;
    va_list args;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    pattern = get((size_t) n + 1);
    va_start(args, format);
    vsnprintf(pattern, (size_t) n + 1, format, args);
    va_end(args);
    step->pattern = parse(pattern, &step->len);
    free(pattern);
  }
  append(p, step);
}

void peer_add_take(struct peer *p, const char *file, int line, int type, struct peer_packet *out) {
  struct step *step = new_step(PEER_TAKE, file, line);
  step->type = type;
  step->out = out;
  append(p, step);
}

void peer_add_run(struct peer *p, const char *file, int line, peer_fn fn, void *arg) {
  struct step *step = new_step(PEER_RUN, file, line);
  step->fn = fn;
  step->arg = arg;
  append(p, step);
}

/* 1: all steps are done; 0: not yet; -1: failed. */
static int progress(struct peer *p) {
  int is;
  pthread_mutex_lock(&p->lock);
  is = p->failed ? -1 : p->first == NULL;
  pthread_mutex_unlock(&p->lock);
  return is;
}

void peer_finish(struct peer *p, struct mgos_mqtt_loop *loop, const char *file, int line) {
  int is;
  /* Every step has a deadline of its own. */
  while ((is = progress(p)) == 0) mgos_mqtt_loop_poll(loop, 5);
  if (is < 0) test_failed(file, line, p->message);
}

/* -- a client ------------------------------------------------------------------------------------ */

int client_setup(void **state) {
  struct client *client = get(sizeof(*client));
  client->peer = peer_start();
  client->loop = mgos_mqtt_loop_create();
  mgos_config_mqtt_set_defaults(&client->cfg);
  client->cfg.enable = 1;
  client->cfg.server = peer_address(client->peer);
  client->cfg.client_id = "c";
  client->cfg.reconnect_timeout_min = 0.01;
  client->cfg.reconnect_timeout_max = 0.01;
  client->options.size = sizeof(client->options);
  client->options.profiles = &client->cfg;
  client->options.num_profiles = 1;
  client->options.jitter_percent = -1;
  client->options.poll_tick_ms = -1;
  client->c = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  *state = client;
  return client->loop == NULL || client->c == NULL ? -1 : 0;
}

int client_teardown(void **state) {
  struct client *client = *state;
  bool fine;
  mgos_mqtt_conn_free(client->c);
  if (mgos_mqtt_loop_free(client->loop) != 0) return -1;
  fine = peer_stop(client->peer);
  free(client);
  return fine ? 0 : -1;
}

void client_renew(struct client *client) {
  mgos_mqtt_conn_free(client->c);
  client->c = mgos_mqtt_conn_create_on(client->loop, 1, &client->options);
  if (client->c == NULL) test_failed(__FILE__, __LINE__, mgos_mqtt_strerror(mgos_mqtt_last_error()));
}

void client_up(struct client *client) {
  peer_greet(client->peer);
  if (!mgos_mqtt_conn_connect(client->c)) test_failed(__FILE__, __LINE__, "connect");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

void trace(struct client *client, const char *format, ...) {
  size_t n = strlen(client->trace);
  va_list args;
  va_start(args, format);
  vsnprintf(client->trace + n, sizeof(client->trace) - n - 1, format, args);
  va_end(args);
  n = strlen(client->trace);
  client->trace[n] = ' ';
  client->trace[n + 1] = '\0';
}

void trace_is(struct client *client, const char *expected, const char *file, int line) {
  long long until = test_now_ms() + TEST_DEADLINE_MS;
  size_t len = strlen(expected);
  while (strlen(client->trace) < len && strncmp(client->trace, expected, strlen(client->trace)) == 0 &&
         test_now_ms() < until) {
    mgos_mqtt_loop_poll(client->loop, 5);
  }
  if (strcmp(client->trace, expected) != 0) {
    print_error("expected: %s\nfound:    %s\n", expected, client->trace);
    _fail(file, line);
  }
  client->trace[0] = '\0';
}

static void settled(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t len;
  const char *topic = mgos_mqtt_event_topic(ev, &len);
  (void) c;
  if (len == 7 && memcmp(topic, "settled", 7) == 0) *(bool *) ud = true;
}

void settle_at(struct client *client, const char *file, int line) {
  bool done = false;
  long long until = test_now_ms() + TEST_DEADLINE_MS;
  mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_MESSAGE, settled, &done, NULL);
  peer_send(client->peer, "30 @ ='settled'");
  while (!done && progress(client->peer) >= 0 && test_now_ms() < until) mgos_mqtt_loop_poll(client->loop, 5);
  mgos_mqtt_conn_off(client->c, settled, &done);
  peer_finish(client->peer, client->loop, file, line);
  if (!done) test_failed(file, line, "the client did not settle");
}

const char *event_name(int ev) {
  switch (ev) {
    case MG_EV_POLL:
      return "POLL";
    case MG_EV_CLOSE:
      return "CLOSE";
    case MG_EV_TIMER:
      return "TIMER";
    case MG_EV_MQTT_CONNACK:
      return "CONNACK";
    case MG_EV_MQTT_PUBLISH:
      return "PUBLISH";
    case MG_EV_MQTT_PUBACK:
      return "PUBACK";
    case MG_EV_MQTT_PUBREC:
      return "PUBREC";
    case MG_EV_MQTT_PUBREL:
      return "PUBREL";
    case MG_EV_MQTT_PUBCOMP:
      return "PUBCOMP";
    case MG_EV_MQTT_SUBACK:
      return "SUBACK";
    case MG_EV_MQTT_UNSUBACK:
      return "UNSUBACK";
    case MG_EV_MQTT_DISCONNECT:
      return "DISCONNECT";
    default:
      return "?";
  }
}
