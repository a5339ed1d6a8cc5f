/*
 * Puts TLS in front of a plain server, so that a test can be a TLS server by being a plain one:
 *
 *   tls_relay <certificate> <key> <port of the plain server on 127.0.0.1>
 *
 * prints its own port, and then passes bytes on. How a side ends is passed on too: a reset as a reset, and an
 * end as an end, for every other connection with TLS's own close_notify before it, as servers do it or do
 * not. A program of its own, with a TLS library other than the one under test. It ends when it is killed, or
 * its parent is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum end { ON, CLIENT_GONE, SERVER_GONE, SERVER_RESET };

struct link {
  SSL *ssl;
  int client, server;
  bool says_goodbye;
  /* What one side said and the other has not taken yet. */
  struct half {
    char bytes[16384];
    size_t at, end;
  } up, down;
};

static uint16_t target;

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

static void reset(int fd) {
  struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Moves what can be moved to the server. Waiting for something is written into `items`. */
static enum end upward(struct link *link, struct pollfd *items) {
  struct half *half = &link->up;
  for (;;) {
    if (half->at == half->end) {
      int n = SSL_read(link->ssl, half->bytes, sizeof(half->bytes));
      if (n <= 0) {
        if (SSL_get_error(link->ssl, n) != SSL_ERROR_WANT_READ) return CLIENT_GONE;
        items[0].events |= POLLIN;
        return ON;
      }
      half->at = 0;
      half->end = (size_t) n;
    }
    ssize_t n = send(link->server, half->bytes + half->at, half->end - half->at, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      items[1].events |= POLLOUT;
      return ON;
    }
    if (n < 0) return SERVER_RESET;
    half->at += (size_t) n;
  }
}

static enum end downward(struct link *link, struct pollfd *items) {
  struct half *half = &link->down;
  for (;;) {
    if (half->at == half->end) {
      ssize_t n = recv(link->server, half->bytes, sizeof(half->bytes), 0);
      if (n < 0 && errno == EAGAIN) {
        items[1].events |= POLLIN;
        return ON;
      }
      if (n <= 0) return n == 0 ? SERVER_GONE : SERVER_RESET;
      half->at = 0;
      half->end = (size_t) n;
    }
    int n = SSL_write(link->ssl, half->bytes + half->at, (int) (half->end - half->at));
    if (n <= 0) {
      if (SSL_get_error(link->ssl, n) != SSL_ERROR_WANT_WRITE) return CLIENT_GONE;
      items[0].events |= POLLOUT;
      return ON;
    }
    half->at += (size_t) n;
  }
}

static void pump(struct link *link) {
  struct pollfd items[2] = {{link->client, 0, 0}, {link->server, 0, 0}};
  enum end end = ON;
  char waste[4096];
  while (end == ON) {
    items[0].events = items[1].events = 0;
    end = upward(link, items);
    if (end == ON) end = downward(link, items);
    if (end == ON && poll(items, 2, -1) < 0 && errno != EINTR) end = CLIENT_GONE;
  }
  if (end == SERVER_RESET) reset(link->client);
  if (end == SERVER_GONE) {
    if (link->says_goodbye) SSL_shutdown(link->ssl);
    shutdown(link->client, SHUT_WR);
    /* What is closed before all was read is reset instead. */
    items[0].events = POLLIN;
    while (poll(items, 1, 10000) > 0 && recv(link->client, waste, sizeof(waste), 0) > 0) {
    }
  }
}

static void *serve(void *ud) {
  struct link *link = ud;
  struct sockaddr_in address = loopback(target);
  int on = 1;
  setsockopt(link->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  SSL_set_fd(link->ssl, link->client);
  if (SSL_accept(link->ssl) == 1) {
    link->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(link->server, (struct sockaddr *) &address, sizeof(address)) == 0) {
      setsockopt(link->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      fcntl(link->client, F_SETFL, O_NONBLOCK);
      fcntl(link->server, F_SETFL, O_NONBLOCK);
      pump(link);
    }
    close(link->server);
  }
  close(link->client);
  SSL_free(link->ssl);
  free(link);
  return NULL;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = loopback(0);
  socklen_t len = sizeof(address);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  if (argc != 4 || context == NULL || SSL_CTX_use_certificate_file(context, argv[1], SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1) {
    fprintf(stderr, "tls_relay <certificate> <key> <port>\n");
    return 2;
  }
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  target = (uint16_t) atoi(argv[3]);
  if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(listener, 128) != 0 ||
      getsockname(listener, (struct sockaddr *) &address, &len) != 0) {
    perror("tls_relay");
    return 1;
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (bool says_goodbye = true;; says_goodbye = !says_goodbye) {
    struct link *link = calloc(1, sizeof(*link));
    pthread_t thread;
    if (link == NULL) return 1;
    link->client = accept(listener, NULL, NULL);
    link->ssl = SSL_new(context);
    link->says_goodbye = says_goodbye;
    if (link->client < 0 || link->ssl == NULL || pthread_create(&thread, NULL, serve, link) != 0) return 1;
    pthread_detach(thread);
  }
}
