/*
 * A megabyte through an uplink of five kilobytes a second, with default options, to a mosquitto: it arrives, in one
 * connection; so does a clean end behind it. The uplink is a relay with a small receive buffer, so that nearly all of it
 * waits in the client's kernel and in the client.
 *
 * Two devices at the same time, each with a relay of its own: one waits for the acknowledgement, and then disconnects; the
 * other disconnects behind the message at once.
 *
 *   slow         BYTES=1000000, RATE=5000: bytes a second
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mgos_mqtt_conn.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_error.h>
#include <mgos_mqtt_loop.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_publish.h>

#include "sender.h"

#define PAUSE_MS 100
#define RECEIVE_BUFFER 8192

struct uplink {
  int listener, port, target, rate;
  int links;     /* accepted */
  long long up;  /* bytes passed on to the broker */
};

struct device {
  struct uplink uplink;
  struct mgos_mqtt_loop *loop;
  struct mgos_mqtt_conn *conn;
  const char *topic;
  size_t bytes;
  int limit_ms;
  bool waits;
  int published, disconnected; /* what the calls returned */
  int64_t took_ms;
};

/* One link after the other: what comes from the broker at once, what goes there at the rate. */
static void *relay(void *arg) {
  struct uplink *uplink = arg;
  static const int portions = 1000 / PAUSE_MS;
  char *buf = malloc((size_t) uplink->rate + 65536);
  for (;;) {
    int client = accept(uplink->listener, NULL, NULL);
    if (client < 0) break;
    int server = connect_to(uplink->target);
    __atomic_add_fetch(&uplink->links, 1, __ATOMIC_SEQ_CST);
    int64_t next = now_ms();
    while (server >= 0) {
      struct pollfd fds[2] = {{server, POLLIN, 0}, {client, now_ms() >= next ? POLLIN : 0, 0}};
      if (poll(fds, 2, PAUSE_MS / 4) < 0) break;
      if (fds[0].revents != 0) {
        ssize_t n = recv(server, buf, 65536, 0);
        if (n <= 0 || send(client, buf, (size_t) n, MSG_NOSIGNAL) != n) break;
      }
      if ((fds[1].revents & (POLLIN | POLLHUP)) != 0 && now_ms() >= next) {
        ssize_t n = recv(client, buf, (size_t) (uplink->rate / portions), 0);
        if (n < 0) break;
        if (n == 0) {
          /* The device has ended its side; the broker is to see that, and to have all before. */
          shutdown(server, SHUT_WR);
          while (recv(server, buf, 65536, 0) > 0) {
          }
          break;
        }
        if (send(server, buf, (size_t) n, MSG_NOSIGNAL) != n) break;
        __atomic_add_fetch(&uplink->up, n, __ATOMIC_SEQ_CST);
        next += PAUSE_MS;
      }
    }
    close(client);
    if (server >= 0) close(server);
  }
  free(buf);
  return NULL;
}

static bool uplink_start(struct uplink *uplink, int target, int rate) {
  struct sockaddr_in address;
  socklen_t len = sizeof(address);
  int size = RECEIVE_BUFFER, segment = 1448;
  pthread_t thread;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  uplink->target = target;
  uplink->rate = rate;
  uplink->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (uplink->listener < 0 || setsockopt(uplink->listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) != 0 ||
      setsockopt(uplink->listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) != 0 ||
      bind(uplink->listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
      listen(uplink->listener, 8) != 0 ||
      getsockname(uplink->listener, (struct sockaddr *) &address, &len) != 0)
    return false;
  uplink->port = ntohs(address.sin_port);
  return pthread_create(&thread, NULL, relay, uplink) == 0 && pthread_detach(thread) == 0;
}

/* With default options all along. */
static void *run(void *arg) {
  struct device *device = arg;
  char server[32];
  char *payload = calloc(1, device->bytes);
  struct mgos_mqtt_publication message = {.size = sizeof(message), .topic = device->topic, .qos = 1};
  message.payload = payload;
  message.payload_len = device->bytes;
  int64_t start = now_ms();
  snprintf(server, sizeof(server), "127.0.0.1:%d", device->uplink.port);
  device->published = device->disconnected = -1;
  if (mgos_mqtt_conn_set_server(device->conn, server, device->topic, NULL, NULL) == 0 &&
      mgos_mqtt_conn_set_will(device->conn, "slow/will", "", 0, 0, false) == 0 &&
      mgos_mqtt_conn_connect_wait(device->conn, 10000) == 0) {
    uint64_t token;
    device->published = mgos_mqtt_conn_publish(device->conn, &message, &token);
    if (device->waits) device->published = mgos_mqtt_conn_flush(device->conn, device->limit_ms);
    device->disconnected = mgos_mqtt_conn_disconnect_wait(device->conn, device->limit_ms);
  }
  if (device->published != 0 || device->disconnected != 0) {
    char text[256] = "";
    mgos_mqtt_last_error_text(text, sizeof(text));
    printf("  %s: %d, %d: %s\n", device->topic, device->published, device->disconnected, text);
  }
  device->took_ms = now_ms() - start;
  free(payload);
  return NULL;
}

/* Reads what the observer prints until it ends, at most that long. */
static size_t read_all(struct child *child, char *text, size_t room, int timeout_ms) {
  int64_t end = now_ms() + timeout_ms;
  size_t len = 0;
  while (now_ms() < end && len + 1 < room) {
    struct pollfd item = {child->out, POLLIN, 0};
    if (poll(&item, 1, 100) <= 0) continue;
    ssize_t n = read(child->out, text + len, room - 1 - len);
    if (n == 0) break;
    if (n > 0) len += (size_t) n;
  }
  text[len] = '\0';
  return len;
}

int main(void) {
  int bytes = number_from_environment("BYTES", 1000000), rate = number_from_environment("RATE", 5000);
  int expected_ms = (int) (1000LL * bytes / rate);
  struct checks checks = {0, 0};
  struct mosquitto broker;
  struct child observer = {0, NULL, -1};
  static struct device devices[2] = {{.topic = "slow/acked", .waits = true}, {.topic = "slow/behind"}};
  pthread_t threads[2];
  char port[16], lines[1024], line[64];
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("slow: %d bytes, %d a second\n", bytes, rate);
  bool ready = mosquitto_start(&broker, "");
  snprintf(port, sizeof(port), "%d", broker.port);
  char *observe[] = {"mosquitto_sub", "-p", port, "-t", "slow/#", "-q", "1", "-F", "%t %l", "-C", "3", NULL};
  ready = ready && child_start(&observer, observe, false, true);
  sleep_ms(500); /* until it has subscribed: nothing arrives for much longer than that */
  for (int i = 0; i < 2 && ready; i++) {
    struct device *device = &devices[i];
    device->bytes = (size_t) bytes;
    device->limit_ms = 2 * expected_ms + 30000;
    device->loop = mgos_mqtt_loop_create();
    device->conn = mgos_mqtt_conn_create_on(device->loop, i + 1, NULL);
    ready = device->conn != NULL && mgos_mqtt_loop_start(device->loop) == 0 &&
            uplink_start(&device->uplink, broker.port, rate) &&
            pthread_create(&threads[i], NULL, run, device) == 0;
  }
  if (!ready) {
    printf("could not begin; are mosquitto and its clients installed?\nslow: 0 passed, 1 failed\n");
    mosquitto_stop(&broker);
    return 1;
  }
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  /* Wills, if there were any, come before this. */
  char *end[] = {"mosquitto_pub", "-p", port, "-t", "slow/end", "-n", NULL};
  struct child marker;
  if (child_start(&marker, end, false, false)) child_finish(&marker, 10000);
  read_all(&observer, lines, sizeof(lines), 10000);
  printf("  the observer got:\n%s", lines);
  for (int i = 0; i < 2; i++) {
    struct device *device = &devices[i];
    printf("  %s: %d ms, at the given rate %d\n", device->topic, (int) device->took_ms, expected_ms);
    snprintf(line, sizeof(line), "%s %d\n", device->topic, bytes);
    check(&checks, device->published == 0 && strstr(lines, line) != NULL, "the message arrived");
    check(&checks, device->uplink.links == 1, "in one connection");
    check(&checks, device->disconnected == 0, "and the connection was closed in order");
    check(&checks, device->took_ms > expected_ms / 2, "the link was slow");
    mgos_mqtt_conn_free(device->conn);
    mgos_mqtt_loop_free(device->loop);
  }
  check(&checks, strstr(lines, "slow/end") != NULL && strstr(lines, "slow/will") == NULL,
        "DISCONNECT arrived: no will was published");
  child_kill(&observer, SIGKILL);
  mosquitto_stop(&broker);
  printf("slow: %d passed, %d failed\n", checks.passed, checks.failed);
  return checks.failed != 0;
}
