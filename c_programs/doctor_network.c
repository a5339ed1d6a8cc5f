#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor.h"

enum { TCP_TIMEOUT_MS = 5000, SLOW_MS = 500 };

/* Opens a connection and closes it again; 0, or the errno. */
static int open_tcp(const struct addrinfo *address) {
  int fd = socket(address->ai_family, SOCK_STREAM, 0), error = 0;
  socklen_t len = sizeof(error);
  if (fd < 0) return errno;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      struct pollfd wait = {fd, POLLOUT, 0};
      if (poll(&wait, 1, TCP_TIMEOUT_MS) <= 0) {
        error = ETIMEDOUT;
      } else {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
      }
    }
  }
  close(fd);
  return error;
}

static int error_of(int number) {
  if (number == ECONNREFUSED) return MGOS_MQTT_CONNECT_REFUSED;
  if (number == ETIMEDOUT) return MGOS_MQTT_CONNECT_TIMEOUT;
  return MGOS_MQTT_CONNECT_UNREACHABLE;
}

static void check_address(struct doctor *d, const struct addrinfo *address) {
  char host[64], port[8];
  double start = client_now(), ms;
  int error;
  getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
  error = open_tcp(address);
  ms = (client_now() - start) * 1000;
  if (error != 0) {
    /* If another address answers, the connection does not need this one. */
    report_step(d, "tcp", NOTE, ms, remedy_of(error_of(error)), "%s port %s: %s", host, port, strerror(error));
  } else if (ms > SLOW_MS) {
    report_step(d, "tcp", NOTE, ms, "the way is slow: allow for it in time-outs and keep-alive", "%s port %s answers late", host, port);
  } else {
    report_step(d, "tcp", FINE, ms, NULL, "%s port %s", host, port);
  }
}

/* The host of what the library connects to, without brackets; returns the port, or that of the scheme. */
static const char *split_server(const char *server, char *host, size_t size) {
  const char *at = strstr(server, "://") + 3;
  bool bracket = *at == '[';
  size_t len = strcspn(at + bracket, bracket ? "]" : ":");
  snprintf(host, size, "%.*s", (int) len, at + bracket);
  at += bracket + len;
  if (*at == ']') at++;
  if (*at == ':') return at + 1;
  if (strncmp(server, "mqtt", 4) == 0) return server[4] == 's' ? "8883" : "1883";
  return strncmp(server, "wss", 3) == 0 ? "443" : "80";
}

void check_network(struct doctor *d) {
  const struct settings *s = d->settings;
  struct addrinfo hints, *found = NULL, *at;
  char bare[300];
  const char *port;
  double start = client_now();
  int error;
  if (s->unix_path != NULL || s->options.proxy != NULL) {
    report_step(d, "name", SKIPPED, -1, NULL, "%s", s->unix_path != NULL ? "a local socket has no name" : "the proxy looks the name up");
    return;
  }
  port = split_server(d->client.server, bare, sizeof(bare));
  memset(&hints, 0, sizeof(hints));
  hints.ai_socktype = SOCK_STREAM;
  error = getaddrinfo(bare, port, &hints, &found);
  if (error != 0) {
    report_step(d, "name", FAULT, (client_now() - start) * 1000, remedy_of(MGOS_MQTT_DNS_FAILED), "%s: %s", bare, gai_strerror(error));
    return;
  }
  report_step(d, "name", FINE, (client_now() - start) * 1000, NULL, "%s", bare);
  for (at = found; at != NULL; at = at->ai_next) check_address(d, at);
  freeaddrinfo(found);
}
