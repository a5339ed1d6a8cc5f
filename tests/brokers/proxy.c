#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"
#include "trace.h"

#define LINKS 64
#define BUFFER 65536

/* One direction of a link. */
struct pipe_half {
  int from, to;
  unsigned char *bytes;
  size_t start, end;
  bool ended; /* `from` was closed by its peer, and that was passed on */
  struct trace trace;
};

enum phase { OPEN, CUTTING, HALF };

struct link {
  bool used;
  unsigned number;
  struct pipe_half up, down;
  bool planned; /* to be cut at `at` */
  int64_t at;
  enum cut cut;
  enum phase phase;
};

struct proxy {
  pthread_t thread;
  pthread_mutex_t lock;
  int listener, port, target;
  int wake[2];
  FILE *log;
  /* For the thread alone. */
  struct link links[LINKS];
  /* Under the lock. */
  bool stopping, chaotic;
  struct chance chance;
  int min_ms, max_ms;
  unsigned cut_now; /* a bit for each kind of cut that was asked for */
  struct proxy_counts counts;
};

const char *cut_name(enum cut cut) {
  static const char *const names[CUT_KINDS] = {"FIN",   "RST",     "half up",   "half down",
                                               "stall", "deaf up", "deaf down", "refused"};
  return names[cut];
}

static void set_up_socket(int fd) {
  int on = 1;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static uint32_t below(struct proxy *proxy, uint32_t limit) {
  pthread_mutex_lock(&proxy->lock);
  uint32_t n = chance_below(&proxy->chance, limit);
  pthread_mutex_unlock(&proxy->lock);
  return n;
}

static void link_close(struct link *link, bool reset) {
  struct linger linger = {1, 0};
  int fds[2] = {link->up.from, link->down.from};
  for (int i = 0; i < 2; i++) {
    if (reset) setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fds[i]);
  }
  free(link->up.bytes);
  free(link->down.bytes);
  memset(link, 0, sizeof(*link));
}

static void log_line(struct proxy *proxy, const struct link *link, const char *text) {
  if (proxy->log != NULL) fprintf(proxy->log, "%lld link %u %s\n", (long long) now_ms(), link->number, text);
}

static void link_cut(struct proxy *proxy, struct link *link, bool reset) {
  pthread_mutex_lock(&proxy->lock);
  proxy->counts.cuts[link->cut]++;
  pthread_mutex_unlock(&proxy->lock);
  log_line(proxy, link, reset ? "reset" : "closed");
  link_close(link, reset);
}

static void plan(struct link *link, enum cut cut, int64_t at) {
  link->planned = true;
  link->cut = cut;
  link->at = at;
}

/* Under the lock. */
static void plan_by_chance(struct proxy *proxy, struct link *link) {
  uint32_t span = (uint32_t) (proxy->max_ms - proxy->min_ms + 1);
  int64_t at = now_ms() + proxy->min_ms + chance_below(&proxy->chance, span);
  enum cut cut = (enum cut) chance_below(&proxy->chance, CUT_KINDS);
  plan(link, cut, cut == CUT_REFUSE ? 0 : at);
}

static void accept_link(struct proxy *proxy) {
  /* Children must not inherit it: they would keep it open. */
  int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
  if (client < 0) return;
  struct link *link = NULL;
  for (int i = 0; i < LINKS && link == NULL; i++) {
    if (!proxy->links[i].used) link = &proxy->links[i];
  }
  int server = link == NULL ? -1 : connect_to(proxy->target);
  if (server < 0) {
    close(client);
    return;
  }
  set_up_socket(client);
  set_up_socket(server);
  pthread_mutex_lock(&proxy->lock);
  link->used = true;
  link->number = ++proxy->counts.links;
  if (proxy->chaotic) plan_by_chance(proxy, link);
  pthread_mutex_unlock(&proxy->lock);
  link->up.from = link->down.to = client;
  link->up.to = link->down.from = server;
  link->up.bytes = malloc(BUFFER);
  link->down.bytes = malloc(BUFFER);
  if (link->up.bytes == NULL || link->down.bytes == NULL) abort();
}

/* The moment of a planned cut has come. */
static void begin_cut(struct proxy *proxy, struct link *link) {
  if (link->phase == CUTTING) { /* the while is over */
    link_cut(proxy, link, true);
    return;
  }
  log_line(proxy, link, cut_name(link->cut));
  switch (link->cut) {
    case CUT_FIN:
    case CUT_REFUSE:
      link_cut(proxy, link, false);
      break;
    case CUT_RST:
      link_cut(proxy, link, true);
      break;
    case CUT_HALF_UP:
    case CUT_HALF_DOWN:
      /* If nothing comes, it is cut all the same. */
      link->phase = HALF;
      link->at = now_ms() + 300;
      break;
    default:
      link->phase = CUTTING;
      link->at = now_ms() + 10 + below(proxy, 200);
  }
}

/* Logs and counts the next `len` bytes of a direction. */
static void observe(struct proxy *proxy, const struct link *link, struct pipe_half *half, size_t len,
                    const char *how) {
  char prefix[64];
  unsigned pings = half->trace.counts[12];
  snprintf(prefix, sizeof(prefix), "%lld link %u %s%s", (long long) now_ms(), link->number,
           half == &link->up ? ">" : "<", how);
  trace_bytes(&half->trace, half->bytes + half->end, len, proxy->log, prefix);
  if (half->trace.counts[12] != pings) {
    pthread_mutex_lock(&proxy->lock);
    proxy->counts.pings += half->trace.counts[12] - pings;
    pthread_mutex_unlock(&proxy->lock);
  }
}

/* Moves bytes in one direction. False when the link is gone. */
static bool forward(struct proxy *proxy, struct link *link, struct pipe_half *half, short from, short to) {
  bool up = half == &link->up;
  bool deaf = link->phase == CUTTING && link->cut == (up ? CUT_DEAF_UP : CUT_DEAF_DOWN);
  if (link->phase == CUTTING && link->cut == CUT_STALL) return true;
  if ((from & (POLLIN | POLLHUP | POLLERR)) != 0 && half->end < BUFFER && !half->ended) {
    ssize_t n = read(half->from, half->bytes + half->end, BUFFER - half->end);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      log_line(proxy, link, up ? "client reset" : "server reset");
      link_close(link, true);
      return false;
    }
    if (n == 0) {
      /* The peer closed. What it sent was forwarded before or still is; then its end is passed on. */
      half->ended = true;
      log_line(proxy, link, up ? "client closed" : "server closed");
    }
    if (n > 0 && link->phase == HALF && link->cut == (up ? CUT_HALF_UP : CUT_HALF_DOWN)) {
      size_t part = half->end + below(proxy, (uint32_t) n);
      observe(proxy, link, half, part - half->end, "");
      while (half->start < part) {
        ssize_t written = send(half->to, half->bytes + half->start, part - half->start, MSG_NOSIGNAL);
        if (written <= 0) break;
        half->start += (size_t) written;
      }
      link_cut(proxy, link, below(proxy, 2) == 0);
      return false;
    }
    if (n > 0) {
      observe(proxy, link, half, (size_t) n, deaf ? " swallowed" : "");
      if (!deaf) half->end += (size_t) n;
    }
  }
  if (half->start < half->end && (to & POLLERR) == 0) {
    ssize_t n = send(half->to, half->bytes + half->start, half->end - half->start, MSG_NOSIGNAL);
    if (n > 0) half->start += (size_t) n;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      link_close(link, true);
      return false;
    }
  }
  if (half->start == half->end) {
    half->start = half->end = 0;
    if (half->ended) {
      link_close(link, false);
      return false;
    }
  }
  return true;
}

/* Does what was asked for from outside. False at the end. */
static bool obey(struct proxy *proxy) {
  char drained[64];
  while (read(proxy->wake[0], drained, sizeof(drained)) > 0) {
  }
  pthread_mutex_lock(&proxy->lock);
  unsigned cut_now = proxy->cut_now;
  bool stopping = proxy->stopping, chaotic = proxy->chaotic;
  proxy->cut_now = 0;
  pthread_mutex_unlock(&proxy->lock);
  for (int i = 0; i < LINKS; i++) {
    struct link *link = &proxy->links[i];
    if (!link->used) continue;
    if (stopping) {
      link_close(link, false);
      continue;
    }
    /* Calm again: what was only planned does not happen. */
    if (!chaotic && link->planned && link->phase == OPEN) link->planned = false;
    if (chaotic && !link->planned) {
      pthread_mutex_lock(&proxy->lock);
      plan_by_chance(proxy, link);
      pthread_mutex_unlock(&proxy->lock);
    }
    for (int cut = 0; cut < CUT_KINDS; cut++) {
      if ((cut_now & 1u << cut) != 0) plan(link, (enum cut) cut, 0);
    }
  }
  return !stopping;
}

static void *run(void *arg) {
  struct proxy *proxy = arg;
  struct pollfd fds[2 + 2 * LINKS];
  while (obey(proxy)) {
    int64_t now = now_ms(), next = now + 1000;
    fds[0] = (struct pollfd){proxy->wake[0], POLLIN, 0};
    fds[1] = (struct pollfd){proxy->listener, POLLIN, 0};
    for (int i = 0; i < LINKS; i++) {
      struct link *link = &proxy->links[i];
      if (link->used && link->planned && link->at <= now) {
        if (link->phase == HALF) {
          link_cut(proxy, link, true);
        } else {
          begin_cut(proxy, link);
        }
      }
      bool stalled = link->phase == CUTTING && link->cut == CUT_STALL;
      struct pollfd *client = &fds[2 + 2 * i], *server = client + 1;
      *client = (struct pollfd){link->used && !stalled ? link->up.from : -1, 0, 0};
      *server = (struct pollfd){link->used && !stalled ? link->down.from : -1, 0, 0};
      if (!link->used) continue;
      if (link->planned && link->at < next) next = link->at;
      if (link->up.end < BUFFER && !link->up.ended) client->events |= POLLIN;
      if (link->up.start < link->up.end) server->events |= POLLOUT;
      if (link->down.end < BUFFER && !link->down.ended) server->events |= POLLIN;
      if (link->down.start < link->down.end) client->events |= POLLOUT;
    }
    if (poll(fds, 2 + 2 * LINKS, next > now ? (int) (next - now) : 0) <= 0) continue;
    for (int i = 0; i < LINKS; i++) {
      struct link *link = &proxy->links[i];
      short client = fds[2 + 2 * i].revents, server = fds[3 + 2 * i].revents;
      if (!link->used || (client | server) == 0) continue;
      if (!forward(proxy, link, &link->up, client, server)) continue;
      forward(proxy, link, &link->down, server, client);
    }
    if (fds[1].revents != 0) accept_link(proxy);
  }
  return NULL;
}

static void wake(struct proxy *proxy) {
  ssize_t ignored = write(proxy->wake[1], "", 1);
  (void) ignored; /* a full pipe wakes, too */
}

struct proxy *proxy_start(int target) {
  struct sockaddr_in address;
  socklen_t len = sizeof(address);
  struct proxy *proxy = calloc(1, sizeof(*proxy));
  const char *log = getenv("PROXY_TRACE");
  if (proxy == NULL) return NULL;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  proxy->target = target;
  proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  pthread_mutex_init(&proxy->lock, NULL);
  if (proxy->listener < 0 || bind(proxy->listener, (struct sockaddr *) &address, len) != 0 ||
      listen(proxy->listener, 128) != 0 ||
      getsockname(proxy->listener, (struct sockaddr *) &address, &len) != 0 ||
      pipe2(proxy->wake, O_CLOEXEC | O_NONBLOCK) != 0) {
    free(proxy);
    return NULL;
  }
  proxy->port = ntohs(address.sin_port);
  if (log != NULL && (proxy->log = fopen(log, "ae")) != NULL) setvbuf(proxy->log, NULL, _IOLBF, 0);
  if (pthread_create(&proxy->thread, NULL, run, proxy) != 0) {
    free(proxy);
    return NULL;
  }
  return proxy;
}

void proxy_stop(struct proxy *proxy) {
  pthread_mutex_lock(&proxy->lock);
  proxy->stopping = true;
  pthread_mutex_unlock(&proxy->lock);
  wake(proxy);
  pthread_join(proxy->thread, NULL);
  close(proxy->listener);
  close(proxy->wake[0]);
  close(proxy->wake[1]);
  if (proxy->log != NULL) fclose(proxy->log);
  pthread_mutex_destroy(&proxy->lock);
  free(proxy);
}

int proxy_port(const struct proxy *proxy) {
  return proxy->port;
}

struct proxy_counts proxy_counts(struct proxy *proxy) {
  pthread_mutex_lock(&proxy->lock);
  struct proxy_counts counts = proxy->counts;
  pthread_mutex_unlock(&proxy->lock);
  return counts;
}

void proxy_cut(struct proxy *proxy, enum cut cut) {
  pthread_mutex_lock(&proxy->lock);
  proxy->cut_now |= 1u << cut;
  pthread_mutex_unlock(&proxy->lock);
  wake(proxy);
}

void proxy_chaos(struct proxy *proxy, uint64_t seed, int min_ms, int max_ms) {
  pthread_mutex_lock(&proxy->lock);
  proxy->chaotic = true;
  proxy->chance.state = seed;
  proxy->min_ms = min_ms;
  proxy->max_ms = max_ms;
  pthread_mutex_unlock(&proxy->lock);
  wake(proxy);
}

void proxy_calm(struct proxy *proxy) {
  pthread_mutex_lock(&proxy->lock);
  proxy->chaotic = false;
  pthread_mutex_unlock(&proxy->lock);
  wake(proxy);
}
