#include "broker.h"

#include <fcntl.h>
#include <poll.h>
#include <arpa/inet.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net.h"

static const char *const CONFIGURATION =
    "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\n"
    "max_queued_messages 0\nmax_queued_bytes 0\n%s%s\n";

static void file_of(const struct broker *broker, const char *name, char *path, size_t len) {
  snprintf(path, len, "%s/%s", broker->directory, name);
}

static bool listens(uint16_t port) {
  struct sockaddr_in address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool connected;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  connected = connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
  close(fd);
  return connected;
}

static void run(const char *configuration, const char *log) {
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (out >= 0) {
    dup2(out, 1);
    dup2(out, 2);
  }
  execlp("mosquitto", "mosquitto", "-c", configuration, (char *) NULL);
  /* Where Debian puts servers, and a user's PATH does not look. */
  execl("/usr/sbin/mosquitto", "mosquitto", "-c", configuration, (char *) NULL);
  execl("/usr/local/sbin/mosquitto", "mosquitto", "-c", configuration, (char *) NULL);
  _exit(127);
}

/* Whether it listens everywhere before it ends. */
static bool came_up(struct broker *broker, size_t n) {
  int64_t until = net_ms() + LONG_MS;
  size_t up = 0;
  while (net_ms() < until) {
    while (up < n && listens(broker->ports[up])) up++;
    if (up == n && listens(broker->port)) return true;
    if (waitpid(broker->pid, NULL, WNOHANG) == broker->pid) {
      broker->pid = 0;
      return false;
    }
    poll(NULL, 0, 5);
  }
  return false;
}

void broker_start(struct broker *broker, const char *more) {
  broker_start_with(broker, more, NULL, 0);
}

void broker_start_with(struct broker *broker, const char *more, const char *const *listeners, size_t n) {
  char configuration[128], log[128];
  bool up = false;
  memset(broker, 0, sizeof(*broker));
  assert_true(n <= BROKER_LISTENERS);
  snprintf(broker->directory, sizeof(broker->directory), "/tmp/mgos_mqtt_test_XXXXXX");
  assert_non_null(mkdtemp(broker->directory));
  file_of(broker, "mosquitto.conf", configuration, sizeof(configuration));
  file_of(broker, "log", log, sizeof(log));
  /* Somebody else may take the port before the broker does: then it ends, and another one is tried. */
  for (int attempt = 0; attempt < 5 && !up; attempt++) {
    FILE *file = fopen(configuration, "w");
    assert_non_null(file);
    broker->port = net_free_port();
    snprintf(broker->server, sizeof(broker->server), "127.0.0.1:%d", broker->port);
    /* Started by root it would become another user, who cannot read the keys of a test. */
    fprintf(file, CONFIGURATION, broker->port, geteuid() == 0 ? "user root\n" : "", more != NULL ? more : "");
    for (size_t i = 0; i < n; i++) {
      broker->ports[i] = net_free_port();
      fprintf(file, "listener %d 127.0.0.1\n%s\n", broker->ports[i], listeners[i]);
    }
    fclose(file);
    broker->pid = fork();
    assert_true(broker->pid >= 0);
    if (broker->pid == 0) run(configuration, log);
    up = came_up(broker, n);
  }
  if (!up) {
    char text[512] = "";
    FILE *file = fopen(log, "r");
    if (file != NULL) {
      text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
      fclose(file);
    }
    fail_msg("mosquitto does not start (Debian: apt-get install mosquitto): %s", text);
  }
}

void broker_stop(struct broker *broker) {
  char path[128];
  if (broker->pid > 0) {
    kill(broker->pid, SIGKILL);
    waitpid(broker->pid, NULL, 0);
    broker->pid = 0;
  }
  file_of(broker, "mosquitto.conf", path, sizeof(path));
  unlink(path);
  file_of(broker, "log", path, sizeof(path));
  unlink(path);
  rmdir(broker->directory);
}
