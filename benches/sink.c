/*
 * The other side of every measurement: an MQTT server, 3.1.1 and 5.0, that answers and forgets, as cheaply as it
 * can, so that what is measured is the client.
 *
 *   sink --port N [--tls-port N --certificate FILE --key FILE]
 *
 * One thread with epoll. Nothing is stored or routed, and clients are trusted: this is no server for anything
 * but measuring. Two topics do something:
 *
 *   a PUBLISH to echo/...  comes back to its sender, with a packet id of the sink's own;
 *   a SUBSCRIBE to flood/<count>/<size>/<qos>/<window>/<filters>  makes the sink send `count` messages of
 * `size` bytes, at most `window` of them unacknowledged: to this topic, or with filters > 0 to t/0 ...
 * t/<filters - 1> in a scattered order. A client that accepts topic aliases gets one for that topic.
 *
 * A client of MQTT 5.0 may use topic aliases, but not for what is to come back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 20, FLOOD_UP_TO = 256 << 10, MAX_CLIENTS = 1 << 16 };

struct buffer {
  uint8_t *bytes;
  size_t begin, end, room;
};

struct flood {
  long left;
  size_t size;
  unsigned qos, window, filters, unacknowledged, scatter;
  bool aliased; /* the client knows what topic alias 1 stands for */
  char topic[128];
};

struct client {
  int fd;
  SSL *tls;
  bool waits_to_write, leaves;
  bool five, takes_aliases; /* MQTT 5.0; its CONNECT has a Topic Alias Maximum */
  uint16_t last_id;
  struct buffer in, out; /* the beginning of a packet; what the socket did not take */
  struct flood flood;
};

static int poller;
static SSL_CTX *tls_context;
static struct client *clients[MAX_CLIENTS]; /* by descriptor */

static _Noreturn void die(const char *what) {
  perror(what);
  exit(1);
}

static uint8_t *room(struct buffer *b, size_t n) {
  if (b->begin == b->end) b->begin = b->end = 0;
  if (b->end + n > b->room) {
    if (b->begin > 0) memmove(b->bytes, b->bytes + b->begin, b->end - b->begin);
    b->end -= b->begin;
    b->begin = 0;
    if (b->end + n > b->room) {
      b->room = (b->end + n) * 2;
      b->bytes = realloc(b->bytes, b->room);
      if (b->bytes == NULL) die("realloc");
    }
  }
  return b->bytes + b->end;
}

static void append(struct buffer *b, const void *bytes, size_t n) {
  memcpy(room(b, n), bytes, n);
  b->end += n;
}

static void drop_buffer(struct buffer *b) {
  free(b->bytes);
  *b = (struct buffer){0};
}

static void drop_client(struct client *c) {
  clients[c->fd] = NULL;
  if (c->tls != NULL) SSL_free(c->tls);
  close(c->fd);
  drop_buffer(&c->in);
  drop_buffer(&c->out);
  free(c);
}

static void watch(struct client *c, bool write, int operation) {
  struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.fd = c->fd};
  if (operation == EPOLL_CTL_MOD && c->waits_to_write == write) return;
  c->waits_to_write = write;
  if (epoll_ctl(poller, operation, c->fd, &e) != 0) die("epoll_ctl");
}

static uint16_t next_id(struct client *c) {
  if (++c->last_id == 0) c->last_id = 1;
  return c->last_id;
}

static size_t put_length(uint8_t *p, size_t n) {
  size_t k = 0;
  for (; n > 0x7f; n >>= 7) p[k++] = (uint8_t) (n | 0x80);
  p[k++] = (uint8_t) n;
  return k;
}

static void answer(struct client *c, uint8_t first, const uint8_t *id) {
  const uint8_t packet[4] = {first, 2, id[0], id[1]};
  append(&c->out, packet, sizeof packet);
}

/* Fills the output with messages, up to the window. */
static void flood(struct client *c) {
  struct flood *f = &c->flood;
  while (f->left > 0 && c->out.end - c->out.begin < FLOOD_UP_TO &&
         (f->qos == 0 || f->unacknowledged < f->window)) {
    char scattered[32];
    const char *topic = f->topic;
    if (f->filters > 0) {
      f->scatter = f->scatter * 1103515245u + 12345u;
      snprintf(scattered, sizeof scattered, "t/%u", (f->scatter >> 8) % f->filters);
      topic = scattered;
    }
    bool alias = c->takes_aliases && f->filters == 0;
    size_t topic_len = alias && f->aliased ? 0 : strlen(topic);
    size_t body = 2 + topic_len + (f->qos > 0 ? 2 : 0) + (c->five ? 1 : 0) + (alias ? 3 : 0) + f->size;
    uint8_t *begin = room(&c->out, body + 5), *p = begin;
    *p++ = (uint8_t) (0x30 | f->qos << 1);
    p += put_length(p, body);
    *p++ = (uint8_t) (topic_len >> 8);
    *p++ = (uint8_t) topic_len;
    memcpy(p, topic, topic_len);
    p += topic_len;
    if (f->qos > 0) {
      uint16_t id = next_id(c);
      *p++ = (uint8_t) (id >> 8);
      *p++ = (uint8_t) id;
      f->unacknowledged++;
    }
    if (c->five) *p++ = alias ? 3 : 0;
    if (alias) {
      memcpy(p, "\x23\0\1", 3);
      p += 3;
      f->aliased = true;
    }
    memset(p, 'x', f->size);
    c->out.end += (size_t) (p - begin) + f->size;
    f->left--;
  }
}

/* Writes what there is; false when the client is gone. */
static bool flush(struct client *c) {
  for (;;) {
    flood(c);
    size_t n = c->out.end - c->out.begin;
    if (n == 0) break;
    long done;
    if (c->tls != NULL) {
      done = SSL_write(c->tls, c->out.bytes + c->out.begin, (int) n);
      if (done <= 0) {
        int error = SSL_get_error(c->tls, (int) done);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
        watch(c, true, EPOLL_CTL_MOD);
        return true;
      }
    } else {
      done = send(c->fd, c->out.bytes + c->out.begin, n, MSG_NOSIGNAL);
      if (done < 0) {
        if (errno != EAGAIN) return false;
        watch(c, true, EPOLL_CTL_MOD);
        return true;
      }
    }
    c->out.begin += (size_t) done;
  }
  if (c->out.room > READ_SIZE) drop_buffer(&c->out);
  watch(c, false, EPOLL_CTL_MOD);
  return true;
}

static void on_subscribe(struct client *c, const uint8_t *p, const uint8_t *end) {
  uint8_t codes[1024], head[8];
  const uint8_t *id = p;
  size_t n = 0, k = 0;
  p += 2;
  if (c->five) p += 1 + *p;
  for (; p + 2 < end && n < sizeof codes;) {
    size_t len = (size_t) p[0] << 8 | p[1];
    if (p + 2 + len >= end) break;
    struct flood f = {.scatter = 1};
    char filter[sizeof f.topic] = "";
    memcpy(filter, p + 2, len < sizeof filter ? len : sizeof filter - 1);
    if (sscanf(filter, "flood/%ld/%zu/%u/%u/%u", &f.left, &f.size, &f.qos, &f.window, &f.filters) == 5) {
      memcpy(f.topic, filter, sizeof filter);
      c->flood = f;
    }
    codes[n++] = p[2 + len];
    p += 3 + len;
  }
  head[k++] = 0x90;
  k += put_length(head + k, 2 + (c->five ? 1 : 0) + n);
  head[k++] = id[0];
  head[k++] = id[1];
  if (c->five) head[k++] = 0;
  append(&c->out, head, k);
  append(&c->out, codes, n);
}

/* One whole packet; false when there is no sense in it. */
static bool on_packet(struct client *c, uint8_t *packet, size_t head, size_t len) {
  uint8_t *body = packet + head, *end = packet + len;
  switch (packet[0] >> 4) {
    case 1: /* CONNECT: protocol name, version, flags, keep-alive, properties */
      if (len < head + 12u) return false;
      c->five = body[6] == 5;
      c->takes_aliases = c->five && memchr(body + 11, 0x22, body[10]) != NULL;
      if (c->five) {
        append(&c->out, "\x20\x06\0\0\x03\x22\0\x10", 8); /* topic aliases up to 16 */
      } else {
        append(&c->out, "\x20\x02\0\0", 4);
      }
      return true;
    case 3: { /* PUBLISH */
      unsigned qos = packet[0] >> 1 & 3;
      if (len < head + 4u) return false;
      uint8_t *id = body + 2 + ((size_t) body[0] << 8 | body[1]);
      if (id + (qos > 0 ? 2 : 0) > end) return false;
      if (qos > 0) answer(c, qos == 1 ? 0x40 : 0x50, id);
      if (id - body > 6 && memcmp(body + 2, "echo/", 5) == 0) {
        if (qos > 0) {
          uint16_t own = next_id(c);
          id[0] = (uint8_t) (own >> 8);
          id[1] = (uint8_t) own;
        }
        append(&c->out, packet, len);
      }
      return true;
    }
    case 4: /* PUBACK and PUBCOMP end a message of the flood */
    case 7:
      if (c->flood.unacknowledged > 0) c->flood.unacknowledged--;
      return true;
    case 5:
      answer(c, 0x62, body);
      return true; /* PUBREC */
    case 6:
      answer(c, 0x70, body);
      return true; /* PUBREL */
    case 8:
      on_subscribe(c, body, end);
      return true;
    case 10: /* UNSUBSCRIBE, of one filter */
      answer(c, 0xb0, body);
      if (c->five) {
        append(&c->out, "\0\0", 2); /* no properties, success */
        c->out.bytes[c->out.end - 5] += 2;
      }
      return true;
    case 12:
      append(&c->out, "\xd0\0", 2);
      return true; /* PINGREQ */
    case 14:
      c->leaves = true;
      return true; /* DISCONNECT */
    default:
      return false;
  }
}

/* Handles the whole packets in front; returns how many bytes those are, or -1. */
static long parse(struct client *c, uint8_t *bytes, size_t n) {
  size_t at = 0;
  while (n - at >= 2) {
    size_t body = 0, head = 1;
    bool complete = false;
    while (!complete && head < 5 && at + head < n) {
      uint8_t b = bytes[at + head];
      body |= (size_t) (b & 0x7f) << 7 * (head - 1);
      complete = b < 0x80;
      head++;
    }
    if (!complete && head == 5) return -1;
    if (!complete || n - at < head + body) break;
    if (!on_packet(c, bytes + at, head, head + body)) return -1;
    at += head + body;
  }
  return (long) at;
}

static bool on_bytes(struct client *c, uint8_t *bytes, size_t n) {
  bool pieces = c->in.end > c->in.begin;
  if (pieces) append(&c->in, bytes, n);
  long used = pieces ? parse(c, c->in.bytes + c->in.begin, c->in.end - c->in.begin) : parse(c, bytes, n);
  if (used < 0) return false;
  if (pieces) {
    c->in.begin += (size_t) used;
  } else if ((size_t) used < n) {
    append(&c->in, bytes + used, n - (size_t) used);
  }
  if (c->in.begin == c->in.end && c->in.room > 0) drop_buffer(&c->in);
  return true;
}

static bool on_ready(struct client *c, uint32_t events) {
  static uint8_t bytes[READ_SIZE];
  if (c->tls != NULL && !SSL_is_init_finished(c->tls)) {
    int rc = SSL_do_handshake(c->tls);
    if (rc != 1) {
      int error = SSL_get_error(c->tls, rc);
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    }
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    do {
      long n = c->tls != NULL ? SSL_read(c->tls, bytes, sizeof bytes) : recv(c->fd, bytes, sizeof bytes, 0);
      if (n > 0) {
        if (!on_bytes(c, bytes, (size_t) n)) return false;
      } else if (c->tls != NULL ? SSL_get_error(c->tls, (int) n) == SSL_ERROR_WANT_READ
                                : n < 0 && errno == EAGAIN) {
        break;
      } else {
        return false;
      }
    } while (c->tls != NULL);
  }
  return flush(c) && !c->leaves;
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *) &a, sizeof a) != 0 || listen(fd, 4096) != 0) die("listen");
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  return fd;
}

static void accept_all(int listener, bool tls) {
  for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    struct client *c = fd < MAX_CLIENTS ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) die("too many clients");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    if (tls) {
      c->tls = SSL_new(tls_context);
      SSL_set_fd(c->tls, fd);
      SSL_set_accept_state(c->tls);
    }
    clients[fd] = c;
    watch(c, false, EPOLL_CTL_ADD);
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"port", 1, NULL, 'p'},
                                          {"tls-port", 1, NULL, 't'},
                                          {"certificate", 1, NULL, 'c'},
                                          {"key", 1, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
  int port = 0, tls_port = 0;
  const char *certificate = "", *key = "";
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
      case 'p':
        port = atoi(optarg);
        break;
      case 't':
        tls_port = atoi(optarg);
        break;
      case 'c':
        certificate = optarg;
        break;
      case 'k':
        key = optarg;
        break;
      default:
        return 2;
    }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  poller = epoll_create1(EPOLL_CLOEXEC);
  int plain = listen_on(port), secure = -1;
  if (tls_port != 0) {
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
      die("certificate");
    }
    secure = listen_on(tls_port);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int n = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      if (fd == plain || fd == secure) {
        accept_all(fd, fd == secure);
      } else if (clients[fd] != NULL && !on_ready(clients[fd], events[i].events)) {
        drop_client(clients[fd]);
      }
    }
  }
}
