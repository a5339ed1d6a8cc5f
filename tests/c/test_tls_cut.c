/*
 * A TLS handshake that is cut, after every single byte of it, in either direction, in order and by a reset:
 * the attempt ends with an error that says so, is never taken for a success, never hangs, and leaves nothing
 * behind. And one whose every byte comes for itself, which works. A proxy of the test cuts, in front of a
 * mosquitto; several connections at a time.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>

#include "broker.h"
#include "mgos_mqtt_conn.h"
#include "mgos_mqtt_event.h"
#include "mgos_mqtt_options.h"
#include "net.h"

#define WORKERS 6
/* Every byte, unless the library is a slow one. */
#ifdef __SANITIZE_ADDRESS__
#define STEP 7
#else
#define STEP (net_slow() ? 61 : 1)
#endif
#define NEVER 1000000
/* So many bytes less a server may send; so often in a row that cannot be. */
#define SHORTER 64
#define TRIES 20

enum direction { UP, DOWN };

/* What is to happen to the connections of a round. */
struct round {
  uint16_t broker_port;
  enum direction direction;
  bool reset;
  bool drip; /* each byte is sent for itself */
  int step;
  int end; /* cuts are made below this */
};

/* One connection at a time, with its proxy. Only the main thread may fail a test; a worker writes down why.
 */
struct worker {
  const struct round *round;
  pthread_t thread;
  int number, listener, told;
  uint16_t port;
  char problem[700];
  long attempts, closed_before, closed_during, closed_after;
  int passed[2];
};

/* How an attempt ended, told by the loop's thread. */
struct result {
  int told, error;
};

static struct mgos_mqtt_loop *loop;
static struct broker broker, old;
static char *pem;

static void on_result(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct result *result = ud;
  uint64_t one = 1;
  (void) conn;
  result->error = mgos_mqtt_event_error(ev);
  if (write(result->told, &one, sizeof(one)) != sizeof(one)) abort();
}

static void problem(struct worker *worker, int cut, const char *what, const char *detail) {
  snprintf(worker->problem, sizeof(worker->problem), "cut %s after %d bytes%s: %s%s",
           worker->round->direction == UP ? "up" : "down", cut, worker->round->reset ? " by a reset" : "",
           what, detail);
}

static struct mgos_mqtt_conn *create(struct worker *worker, int cut, struct result *result) {
  struct mgos_config_mqtt config;
  struct mgos_mqtt_options options;
  struct mgos_mqtt_conn *conn;
  char server[32], *own;
  size_t len = strlen(pem) + 32;
  memset(&options, 0, sizeof(options));
  mgos_config_mqtt_set_defaults(&config);
  snprintf(server, sizeof(server), "127.0.0.1:%d", worker->port);
  config.enable = 1;
  config.server = server;
  config.client_id = "cut";
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
  /* Connections with the same settings resume each other's sessions, by a shorter handshake; a comment makes
   * them different. */
  own = malloc(len);
  if (own == NULL) return NULL;
  snprintf(own, len, "%d %d\n%s", worker->number, cut, pem);
  options.size = sizeof(options);
  options.profiles = &config;
  options.num_profiles = 1;
  options.tls_ca = own;
  options.tls_ca_len = strlen(own);
  conn = mgos_mqtt_conn_create_on(loop, cut, &options);
  free(own);
  if (conn != NULL && mgos_mqtt_conn_on(conn, MGOS_MQTT_EV_CONNECT_RESULT, on_result, result, NULL) != 0) {
    return NULL;
  }
  return conn;
}

static int connect_to(uint16_t port) {
  struct sockaddr_in address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

/* Passes on what has come, as far as it may. False when this direction is at its end. */
static bool pass(struct worker *worker, int from, int to, int *passed, int limit) {
  char bytes[4096];
  ssize_t n = recv(from, bytes, sizeof(bytes), 0);
  if (n <= 0) return false;
  if (n > limit - *passed) n = limit - *passed;
  for (ssize_t at = 0, len; at < n; at += len) {
    len = worker->round->drip ? 1 : n - at;
    len = send(to, bytes + at, (size_t) len, MSG_NOSIGNAL);
    if (len <= 0) return false;
  }
  *passed += (int) n;
  return *passed < limit;
}

/* The proxy of one connection. Returns true when it was cut, false when the attempt's end came first, or an
 * end that nobody made. */
static bool proxy(struct worker *worker, int cut) {
  struct pollfd items[3] = {{worker->listener, POLLIN, 0}, {-1, POLLIN, 0}, {worker->told, POLLIN, 0}};
  int limits[2] = {NEVER, NEVER}, on = 1;
  bool was_cut = false;
  limits[worker->round->direction] = cut;
  worker->passed[UP] = worker->passed[DOWN] = 0;
  if (poll(items, 1, LONG_MS) != 1) return false;
  items[0].fd = accept(worker->listener, NULL, NULL);
  items[1].fd = connect_to(worker->round->broker_port);
  if (items[0].fd >= 0 && items[1].fd >= 0) {
    setsockopt(items[0].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(items[1].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (!was_cut && poll(items, 3, LONG_MS) > 0 && items[2].revents == 0) {
      for (int i = UP; i <= DOWN && !was_cut; i++) {
        if (items[i].revents != 0)
          was_cut = !pass(worker, items[i].fd, items[1 - i].fd, &worker->passed[i], limits[i]);
      }
    }
  }
  for (int i = 0; i < 2; i++) {
    if (items[i].fd >= 0 && worker->round->reset) net_reset(items[i].fd);
    if (items[i].fd >= 0 && !worker->round->reset) close(items[i].fd);
  }
  return was_cut;
}

/* What may be said of a connection that was cut, by where it was. */
static bool is_proper(struct worker *worker, const struct mgos_mqtt_error_info *info) {
  switch (info->code) {
    case MGOS_MQTT_TLS_NOT_SPOKEN:
      worker->closed_before++;
      return info->phase == MGOS_MQTT_PHASE_TLS;
    case MGOS_MQTT_TLS_CLOSED:
      worker->closed_during++;
      return info->phase == MGOS_MQTT_PHASE_TLS;
    case MGOS_MQTT_CLOSED_BY_SERVER:
    case MGOS_MQTT_CONNECTION_RESET:
      worker->closed_after++;
      return info->phase == MGOS_MQTT_PHASE_CONNECT;
    default:
      return false;
  }
}

/* One attempt, cut after so many bytes. False if it came through whole, in fewer bytes than that: the length
 * of the server's session tickets depends on random numbers, by a block of their cipher once in some hundred
 * attempts. */
static bool attempt(struct worker *worker, int cut) {
  struct result result = {worker->told, 1};
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  struct pollfd told = {worker->told, POLLIN, 0};
  struct mgos_mqtt_conn *conn = create(worker, cut, &result);
  char text[512] = "";
  uint64_t count;
  bool was_cut, shorter;
  if (conn == NULL || !mgos_mqtt_conn_connect(conn)) {
    problem(worker, cut, "no connection", "");
    return true;
  }
  worker->attempts++;
  was_cut = proxy(worker, cut);
  if (poll(&told, 1, LONG_MS) != 1) {
    problem(worker, cut, "it hangs", "");
    return true;
  }
  if (read(worker->told, &count, sizeof(count)) != sizeof(count)) abort();
  if (count != 1) problem(worker, cut, "the result was told twice", "");
  mgos_mqtt_conn_last_error_text(conn, text, sizeof(text));
  mgos_mqtt_conn_last_error(conn, &info);
  shorter = worker->round->direction == DOWN && cut != NEVER && result.error == 0 &&
            worker->passed[DOWN] > cut - SHORTER;
  if (shorter) {
    worker->attempts--;
  } else if (cut == NEVER) {
    if (result.error != 0) problem(worker, cut, "it failed: ", text);
  } else if (!was_cut) {
    problem(worker, cut, "it ended before: ", text);
  } else if (result.error == 0) {
    problem(worker, cut, "it was a success", "");
  } else if (result.error != info.code || !is_proper(worker, &info) || strlen(text) < 20) {
    problem(worker, cut, "not the error of a cut: ", text);
  }
  if (mgos_mqtt_conn_free_wait(conn, LONG_MS) != 0) problem(worker, cut, "it cannot be freed", "");
  return !shorter;
}

static void *work(void *ud) {
  struct worker *worker = ud;
  const struct round *round = worker->round;
  for (int cut = worker->number * round->step; cut < round->end && worker->problem[0] == '\0';
       cut += WORKERS * round->step) {
    int tries = 1;
    while (!attempt(worker, cut) && tries++ < TRIES) continue;
    if (tries > TRIES) problem(worker, cut, "the server sends less each time", "");
  }
  return NULL;
}

static void worker_open(struct worker *worker, const struct round *round, int number) {
  memset(worker, 0, sizeof(*worker));
  worker->round = round;
  worker->number = number;
  worker->listener = net_listen(&worker->port);
  worker->told = eventfd(0, EFD_CLOEXEC);
  assert_true(worker->told >= 0);
}

static void worker_close(struct worker *worker) {
  if (worker->problem[0] != '\0') fail_msg("%s", worker->problem);
  close(worker->listener);
  close(worker->told);
}

/* An attempt that is not cut; says how many bytes there were. */
static void whole(uint16_t broker_port, bool drip, int passed[2]) {
  const struct round round = {.broker_port = broker_port, .drip = drip};
  struct worker worker;
  worker_open(&worker, &round, WORKERS);
  attempt(&worker, NEVER);
  memcpy(passed, worker.passed, sizeof(worker.passed));
  worker_close(&worker);
}

static void cut_everywhere(uint16_t broker_port, enum direction direction, bool reset) {
  struct round round = {.broker_port = broker_port, .direction = direction, .reset = reset, .step = STEP};
  struct worker workers[WORKERS];
  long attempts = 0, before = 0, during = 0, after = 0;
  int passed[2];
  int64_t begun = net_ms();
  int descriptors = net_entries("/proc/self/fd");
  whole(broker_port, false, passed);
  round.end = passed[direction];
  assert_in_range(round.end, 200, 10000);
  for (int i = 0; i < WORKERS; i++) {
    worker_open(&workers[i], &round, i);
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < WORKERS; i++) pthread_join(workers[i].thread, NULL);
  for (int i = 0; i < WORKERS; i++) {
    attempts += workers[i].attempts;
    before += workers[i].closed_before;
    during += workers[i].closed_during;
    after += workers[i].closed_after;
    worker_close(&workers[i]);
  }
  print_message("%ld attempts: %ld before the server was heard, %ld in the handshake, %ld after it; %d ms\n",
                attempts, before, during, after, (int) (net_ms() - begun));
  assert_int_equal(net_entries("/proc/self/fd"), descriptors);
  assert_int_equal(attempts, (round.end + round.step - 1) / round.step);
  assert_int_equal(before + during + after, attempts);
  assert_true(before > 0 && (net_slow() || after > 0));
}

static void tls13_down(void **state) {
  (void) state;
  cut_everywhere(broker.ports[0], DOWN, false);
}

static void tls13_down_by_a_reset(void **state) {
  (void) state;
  cut_everywhere(broker.ports[0], DOWN, true);
}

static void tls13_up(void **state) {
  (void) state;
  cut_everywhere(broker.ports[0], UP, false);
}

static void tls13_up_by_a_reset(void **state) {
  (void) state;
  cut_everywhere(broker.ports[0], UP, true);
}

static void tls12_down(void **state) {
  (void) state;
  cut_everywhere(old.ports[0], DOWN, false);
}

static void tls12_up_by_a_reset(void **state) {
  (void) state;
  cut_everywhere(old.ports[0], UP, true);
}

static void tls12_down_by_a_reset(void **state) {
  (void) state;
  cut_everywhere(old.ports[0], DOWN, true);
}

static void tls12_up(void **state) {
  (void) state;
  cut_everywhere(old.ports[0], UP, false);
}

static void each_byte_for_itself(void **state) {
  int passed[2];
  (void) state;
  whole(broker.ports[0], true, passed);
  whole(old.ports[0], true, passed);
}

static int setup(void **state) {
  const char *certificates = getenv("CERTS");
  char lines[1024], path[512];
  const char *listener = lines;
  FILE *file;
  (void) state;
  assert_non_null(certificates);
  /* With an RSA key, all signatures have the same length, and so have all handshakes. */
  snprintf(lines, sizeof(lines), "certfile %s/rsa.pem\nkeyfile %s/rsa.key\n", certificates, certificates);
  broker_start_with(&broker, NULL, &listener, 1);
  snprintf(path, sizeof(path), "%s/tls12.cnf", certificates);
  setenv("OPENSSL_CONF", path, 1);
  broker_start_with(&old, NULL, &listener, 1);
  unsetenv("OPENSSL_CONF");
  snprintf(path, sizeof(path), "%s/ca.pem", certificates);
  file = fopen(path, "r");
  pem = calloc(1, 8192);
  assert_true(file != NULL && pem != NULL);
  assert_in_range(fread(pem, 1, 8191, file), 1, 8190);
  fclose(file);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  return mgos_mqtt_loop_start(loop);
}

static int teardown(void **state) {
  (void) state;
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  broker_stop(&broker);
  broker_stop(&old);
  free(pem);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tls13_down),
      cmocka_unit_test(tls13_down_by_a_reset),
      cmocka_unit_test(tls13_up),
      cmocka_unit_test(tls13_up_by_a_reset),
      cmocka_unit_test(tls12_down),
      cmocka_unit_test(tls12_down_by_a_reset),
      cmocka_unit_test(tls12_up),
      cmocka_unit_test(tls12_up_by_a_reset),
      cmocka_unit_test(each_byte_for_itself),
  };
  signal(SIGPIPE, SIG_DFL);
  return cmocka_run_group_tests_name("tls_cut", tests, setup, teardown);
}
