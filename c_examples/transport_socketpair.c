/* MQTT over functions of one's own. Here they move bytes through a pair of sockets; behind its other end stands a thread that
 * plays the modem: it dials the server, and passes on what comes. Firmware has a driver there.
 *
 *   cc transport_socketpair.c $(pkg-config --cflags --libs mgos_mqtt) -pthread -o transport_socketpair
 *   ./transport_socketpair 127.0.0.1:1883
 *
 * Expected output:
 *   the modem dials
 *   connected
 *   reading 1 came back
 *   closed
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <mgos_mqtt_conn.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_transport.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection, so one stream at a time. */
static struct {
  uint64_t stream;
  int fd;    /* our end of the pair; -1: there is no stream */
  bool full; /* it takes no more for now */
} modem = {0, -1, false};

/* What the modem's thread has of a stream. */
struct call {
  int fd;
  char host[128], port[8];
};

static bool closed;

/* Passes on what comes from `from`; false at its end. */
static bool pass(int from, int to) {
  char buf[1024];
  ssize_t n = read(from, buf, sizeof(buf)), at = 0;
  while (at < n) {
    ssize_t m = send(to, buf + at, (size_t) (n - at), MSG_NOSIGNAL);
    if (m <= 0) return false;
    at += m;
  }
  return n > 0;
}

static void *modem_runs(void *arg) {
  struct call *call = arg;
  struct addrinfo hints, *to = NULL;
  int server = -1;
  memset(&hints, 0, sizeof(hints));
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(call->host, call->port, &hints, &to) == 0) {
    server = socket(to->ai_family, SOCK_STREAM, 0);
    if (connect(server, to->ai_addr, to->ai_addrlen) != 0) {
      close(server);
      server = -1;
    }
    freeaddrinfo(to);
  }
  while (server >= 0) {
    struct pollfd fds[2] = {{call->fd, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) break;
    if (fds[0].revents != 0 && !pass(call->fd, server)) break;
    if (fds[1].revents != 0 && !pass(server, call->fd)) break;
  }
  if (server >= 0) close(server);
  close(call->fd); /* at the other end that is the end of the stream */
  free(call);
  return NULL;
}

static int modem_open(void *ud, uint64_t stream, const char *host, int port) {
  struct call *call = calloc(1, sizeof(*call));
  pthread_t thread;
  int pair[2];
  (void) ud;
  if (call == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
    free(call);
    return -ENOMEM;
  }
  call->fd = pair[1];
  snprintf(call->host, sizeof(call->host), "%s", host);
  snprintf(call->port, sizeof(call->port), "%d", port);
  if (pthread_create(&thread, NULL, modem_runs, call) != 0) {
    close(pair[0]);
    close(pair[1]);
    free(call);
    return -ENOMEM;
  }
  pthread_detach(thread); /* it ends when our end is closed, and nobody has to wait for that */
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  modem.stream = stream;
  modem.fd = pair[0];
  printf("the modem dials\n");
  return 0;
}

static long modem_read(void *ud, uint64_t stream, void *buf, size_t len) {
  ssize_t n = recv(modem.fd, buf, len, 0);
  (void) ud, (void) stream;
  return n < 0 ? -errno : n;
}

static long modem_write(void *ud, uint64_t stream, const void *bytes, size_t len) {
  ssize_t n = send(modem.fd, bytes, len, MSG_NOSIGNAL);
  (void) ud, (void) stream;
  modem.full = n < 0 && errno == EAGAIN;
  return n < 0 ? -errno : n;
}

static void modem_close(void *ud, uint64_t stream) {
  (void) ud, (void) stream;
  if (modem.fd >= 0) close(modem.fd); /* -1: it could not be opened */
  modem.fd = -1;
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ud;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECT_RESULT:
      if (mgos_mqtt_event_error(ev) != 0) break;
      printf("connected\n");
      mgos_mqtt_conn_pub(c, "examples/modem", mg_mk_str("1"), 1, false);
      break;
    case MGOS_MQTT_EV_CLOSE:
      printf("closed\n");
      closed = true;
      break;
    default:
      break;
  }
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  size_t len;
  const char *text = mgos_mqtt_event_payload(ev, &len);
  (void) ud;
  printf("reading %.*s came back\n", (int) len, text);
  mgos_mqtt_conn_disconnect(c);
}

int main(int argc, char **argv) {
  struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
  struct mgos_mqtt_conn *c = mgos_mqtt_conn_create(1, NULL);
  int i;
  transport.open = modem_open;
  transport.read = modem_read;
  transport.write = modem_write;
  transport.close = modem_close;
  if (c == NULL || mgos_mqtt_conn_set_server(c, argc > 1 ? argv[1] : "127.0.0.1:1883", NULL, NULL, NULL) != 0 ||
      mgos_mqtt_conn_set_transport(c, &transport, NULL, NULL) != 0) {
    return 1;
  }
  mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_event, NULL, NULL);
  mgos_mqtt_conn_subscribe_messages(c, "examples/modem", 1, on_message, NULL, NULL);
  mgos_mqtt_conn_connect(c);
  /* 10 s at most. The library and the modem are watched together. */
  for (i = 0; i < 1000 && !closed; i++) {
    struct pollfd fds[2] = {{mgos_mqtt_loop_fd(NULL), POLLIN, 0}, {modem.fd, (short) (modem.full ? POLLIN | POLLOUT : POLLIN), 0}};
    int wait = mgos_mqtt_loop_timeout(NULL);
    poll(fds, 2, wait < 0 || wait > 10 ? 10 : wait);
    if (fds[1].revents != 0) {
      mgos_mqtt_transport_ready(NULL, modem.stream, MGOS_MQTT_TRANSPORT_READABLE | MGOS_MQTT_TRANSPORT_WRITABLE);
    }
    mgos_mqtt_loop_process(NULL);
  }
  mgos_mqtt_conn_free(c); /* closes the stream, if it is still open */
  return closed ? 0 : 1;
}
