#include "own_transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int descriptor(struct own_transport *own, uint64_t stream, bool forget) {
  int fd = -1;
  pthread_mutex_lock(&own->lock);
  for (int i = 0; i < OWN_STREAMS && fd < 0; i++) {
    if (own->streams[i].stream != stream) continue;
    fd = own->streams[i].fd;
    if (forget) own->streams[i].stream = 0;
  }
  pthread_mutex_unlock(&own->lock);
  return fd;
}

static int keep(struct own_transport *own, uint64_t stream, int fd) {
  int kept = -1;
  pthread_mutex_lock(&own->lock);
  for (int i = 0; i < OWN_STREAMS && kept < 0; i++) {
    if (own->streams[i].stream != 0) continue;
    own->streams[i].stream = stream;
    own->streams[i].fd = kept = fd;
  }
  pthread_mutex_unlock(&own->lock);
  return kept;
}

static int own_open(void *ud, uint64_t stream, const char *host, int port) {
  struct own_transport *own = ud;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = stream};
  int fd, on = 1, refuses = atomic_load(&own->refuses);
  atomic_fetch_add(&own->opened, 1);
  atomic_store(&own->last, stream);
  if (refuses != 0) return refuses;
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return -EINVAL;
  fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (keep(own, stream, fd) < 0) {
    close(fd);
    return -ENFILE;
  }
  if (connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0) {
    epoll_ctl(own->epoll, EPOLL_CTL_ADD, fd, &event);
    return 0;
  }
  if (errno != EINPROGRESS) return -errno;
  epoll_ctl(own->epoll, EPOLL_CTL_ADD, fd, &event);
  return -EAGAIN;
}

static long own_read(void *ud, uint64_t stream, void *buf, size_t len) {
  struct own_transport *own = ud;
  ssize_t n = recv(descriptor(own, stream, false), buf, len < own->piece ? len : own->piece, 0);
  return n < 0 ? -errno : n;
}

static long own_write(void *ud, uint64_t stream, const void *bytes, size_t len) {
  struct own_transport *own = ud;
  ssize_t n = send(descriptor(own, stream, false), bytes, len < own->piece ? len : own->piece, MSG_NOSIGNAL);
  return n < 0 ? -errno : n;
}

static void own_close(void *ud, uint64_t stream) {
  struct own_transport *own = ud;
  int fd = descriptor(own, stream, true);
  if (fd >= 0) close(fd);
  atomic_fetch_add(&own->closed, 1);
}

static void own_free(void *ud) {
  atomic_fetch_add(&((struct own_transport *) ud)->freed, 1);
}

static void *watch(void *arg) {
  struct own_transport *own = arg;
  struct epoll_event events[16];
  for (;;) {
    int n = epoll_wait(own->epoll, events, 16, -1);
    if (n < 0 && errno != EINTR) return NULL;
    for (int i = 0; i < n; i++) {
      int bits = 0;
      if (events[i].data.u64 == 0) return NULL;
      if (events[i].events & (EPOLLIN | EPOLLRDHUP)) bits |= MGOS_MQTT_TRANSPORT_READABLE;
      if (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) bits |= MGOS_MQTT_TRANSPORT_WRITABLE;
      if (bits != 0) mgos_mqtt_transport_ready(own->loop, events[i].data.u64, bits);
    }
  }
}

void own_transport_start(struct own_transport *own, struct mgos_mqtt_loop *loop, size_t piece) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
  memset(own, 0, sizeof(*own));
  own->loop = loop;
  own->piece = piece;
  own->epoll = epoll_create1(EPOLL_CLOEXEC);
  own->wake = eventfd(0, EFD_CLOEXEC);
  epoll_ctl(own->epoll, EPOLL_CTL_ADD, own->wake, &event);
  pthread_mutex_init(&own->lock, NULL);
  pthread_create(&own->thread, NULL, watch, own);
}

int own_transport_use(struct own_transport *own, struct mgos_mqtt_conn *c) {
  struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
  transport.open = own_open;
  transport.read = own_read;
  transport.write = own_write;
  transport.close = own_close;
  return mgos_mqtt_conn_set_transport(c, &transport, own, own_free);
}

void own_transport_stop(struct own_transport *own) {
  uint64_t one = 1;
  if (write(own->wake, &one, sizeof(one)) == sizeof(one)) pthread_join(own->thread, NULL);
  for (int i = 0; i < OWN_STREAMS; i++) {
    if (own->streams[i].stream != 0) close(own->streams[i].fd);
  }
  pthread_mutex_destroy(&own->lock);
  close(own->wake);
  close(own->epoll);
}
