#include "net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

bool net_slow(void) {
  return getenv("MGOS_MQTT_TEST_SLOW") != NULL;
}

int net_count(int n) {
  return net_slow() ? (n + 19) / 20 : n;
}

int64_t net_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int net_entries(const char *directory) {
  DIR *dir = opendir(directory);
  int n = 0;
  assert_non_null(dir);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    int fd = atoi(entry->d_name);
    n += entry->d_name[0] != '.' && !(strcmp(directory, "/proc/self/fd") == 0 && fd == dirfd(dir));
  }
  closedir(dir);
  return n;
}

bool net_wait_threads(int n) {
  int64_t until = net_ms() + LONG_MS;
  while (net_entries("/proc/self/task") > n) {
    if (net_ms() > until) return false;
    poll(NULL, 0, 1);
  }
  return true;
}

/* The thread that asks the name service belongs to nobody once its connection is gone. Valgrind takes what
 * the system holds for a thread that is alive at the end for lost. ThreadSanitizer does not, and has a thread
 * of its own that never ends. */
#ifndef THREAD_SANITIZER
static void __attribute__((destructor)) wait_for_threads(void) {
  if (net_slow()) net_wait_threads(1);
}
#endif

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

static int bound(uint16_t *port) {
  struct sockaddr_in address = loopback(*port);
  socklen_t len = sizeof(address);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &len), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

int net_listen(uint16_t *port) {
  int fd;
  *port = 0;
  fd = bound(port);
  assert_int_equal(listen(fd, 1024), 0);
  return fd;
}

int net_listen_at(uint16_t port) {
  int fd = bound(&port);
  assert_int_equal(listen(fd, 1024), 0);
  return fd;
}

uint16_t net_free_port(void) {
  uint16_t port = 0;
  close(bound(&port));
  return port;
}

static bool wait_for(int fd, short events, int ms) {
  struct pollfd item = {fd, events, 0};
  int64_t until = net_ms() + ms;
  int n;
  do {
    int64_t left = until - net_ms();
    n = poll(&item, 1, left > 0 ? (int) left : 0);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

int net_accept(int listener) {
  int fd;
  assert_true(wait_for(listener, POLLIN, LONG_MS));
  fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  assert_true(fd >= 0);
  return fd;
}

bool net_nobody(int listener, int ms) {
  return !wait_for(listener, POLLIN, ms);
}

bool net_read(int fd, void *buf, size_t n) {
  uint8_t *to = buf;
  while (n > 0) {
    ssize_t got;
    if (!wait_for(fd, POLLIN, LONG_MS)) return false;
    got = recv(fd, to, n, 0);
    if (got <= 0) return false;
    to += got;
    n -= (size_t) got;
  }
  return true;
}

bool net_read_to_end(int fd) {
  char buf[65536];
  int64_t until = net_ms() + LONG_MS;
  for (;;) {
    int64_t left = until - net_ms();
    if (left <= 0 || !wait_for(fd, POLLIN, (int) left)) return false;
    if (recv(fd, buf, sizeof(buf), 0) <= 0) return true;
  }
}

void net_write(int fd, const void *bytes, size_t n) {
  const uint8_t *from = bytes;
  while (n > 0) {
    ssize_t put;
    assert_true(wait_for(fd, POLLOUT, LONG_MS));
    put = send(fd, from, n, MSG_NOSIGNAL);
    if (put < 0) return; /* the other side went away: what it saw is looked at elsewhere */
    from += put;
    n -= (size_t) put;
  }
}

void net_reset(int fd) {
  struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd);
}

void black_hole_open(struct black_hole *hole) {
  struct sockaddr_in address;
  hole->port = 0;
  hole->listener = bound(&hole->port);
  assert_int_equal(listen(hole->listener, 0), 0);
  address = loopback(hole->port);
  for (size_t i = 0; i < 8; i++) {
    hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(hole->fillers[i] >= 0);
    /* The first ones get in, and the others stay on the way like everyone who comes later. */
    (void) !connect(hole->fillers[i], (struct sockaddr *) &address, sizeof(address));
  }
}

void black_hole_close(struct black_hole *hole) {
  for (size_t i = 0; i < 8; i++) close(hole->fillers[i]);
  close(hole->listener);
}

int mqtt_read(int fd, uint8_t *body, size_t cap, size_t *len) {
  uint8_t first, byte, waste[4096];
  size_t left = 0;
  int shift = 0;
  *len = 0;
  if (!net_read(fd, &first, 1)) return 0;
  do {
    if (!net_read(fd, &byte, 1)) return 0;
    left |= (size_t) (byte & 0x7f) << shift;
    shift += 7;
  } while ((byte & 0x80) != 0);
  *len = left;
  if (!net_read(fd, body, left < cap ? left : cap)) return 0;
  left = left > cap ? left - cap : 0;
  while (left > 0) {
    size_t n = left < sizeof(waste) ? left : sizeof(waste);
    if (!net_read(fd, waste, n)) return 0;
    left -= n;
  }
  return first;
}

uint16_t mqtt_expect(int fd, int type) {
  uint8_t body[1024];
  size_t len, at = 0;
  int first;
  do {
    first = mqtt_read(fd, body, sizeof(body), &len);
    assert_int_not_equal(first, 0);
  } while ((first & 0xf0) != type);
  if (type == 0x10 || type == 0xc0 || type == 0xe0) return 0;
  if (type == 0x30) {
    if ((first & 0x06) == 0) return 0;
    at = 2 + (size_t) (body[0] << 8 | body[1]);
    assert_true(at + 2 <= sizeof(body));
  }
  return (uint16_t) (body[at] << 8 | body[at + 1]);
}

int mqtt_accept(int listener) {
  int fd = net_accept(listener);
  mqtt_expect(fd, 0x10);
  net_write(fd, "\x20\x02\x00\x00", 4);
  return fd;
}

void mqtt_publish(int fd, const char *topic, int qos, uint16_t id, size_t len) {
  size_t name = strlen(topic), body = 2 + name + (qos > 0 ? 2 : 0) + len, left = body, n = 0;
  uint8_t *packet = malloc(5 + body);
  assert_non_null(packet);
  packet[n++] = (uint8_t) (0x30 | qos << 1);
  do {
    packet[n++] = (uint8_t) ((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  packet[n++] = (uint8_t) (name >> 8);
  packet[n++] = (uint8_t) name;
  memcpy(packet + n, topic, name);
  n += name;
  if (qos > 0) {
    packet[n++] = (uint8_t) (id >> 8);
    packet[n++] = (uint8_t) id;
  }
  memset(packet + n, 'x', len);
  net_write(fd, packet, n + len);
  free(packet);
}

void mqtt_ack(int fd, int first, uint16_t id) {
  uint8_t packet[4] = {(uint8_t) first, 2, (uint8_t) (id >> 8), (uint8_t) id};
  net_write(fd, packet, sizeof(packet));
}

void mqtt_suback(int fd, uint16_t id, uint8_t code) {
  uint8_t packet[5] = {0x90, 3, (uint8_t) (id >> 8), (uint8_t) id, code};
  net_write(fd, packet, sizeof(packet));
}
