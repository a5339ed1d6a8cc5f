#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sleep_ms(int ms) {
  poll(NULL, 0, ms);
}

/* splitmix64, a generator in the public domain. */
uint32_t chance_next(struct chance *chance) {
  uint64_t z = (chance->state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t) ((z ^ (z >> 31)) >> 32);
}

uint32_t chance_below(struct chance *chance, uint32_t below) {
  return below == 0 ? 0 : chance_next(chance) % below;
}

uint64_t seed_from_environment(void) {
  const char *text = getenv("SEED");
  if (text != NULL && *text != '\0') return strtoull(text, NULL, 10);
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return ((uint64_t) ts.tv_sec * 1000003u) ^ (uint64_t) ts.tv_nsec;
}

int number_from_environment(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text != NULL && *text != '\0' ? atoi(text) : otherwise;
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof(address));
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t) port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static bool is_free(int port) {
  struct sockaddr_in address = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool bound = bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
  close(fd);
  return bound;
}

/* Not one that the system chooses: it gives those to outgoing connections as well, and a broker that is
 * killed and comes back would find its port taken, perhaps by the very client that tries to connect to it. */
int free_port(void) {
  static struct chance chance;
  if (chance.state == 0) chance.state = (uint64_t) getpid() << 32 ^ (uint64_t) time(NULL);
  for (int attempt = 0; attempt < 1000; attempt++) {
    int port = 15000 + (int) chance_below(&chance, 17000);
    if (is_free(port)) return port;
  }
  return 0;
}

int connect_to(int port) {
  struct sockaddr_in address = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

bool wait_for_port(int port, int timeout_ms) {
  int64_t end = now_ms() + timeout_ms;
  do {
    int fd = connect_to(port);
    if (fd >= 0) {
      close(fd);
      return true;
    }
    sleep_ms(5);
  } while (now_ms() < end);
  return false;
}

bool child_start(struct child *child, char *const argv[], bool with_in, bool with_out) {
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  if (with_in && pipe2(in, O_CLOEXEC) != 0) return false;
  if (with_out && pipe2(out, O_CLOEXEC) != 0) return false;
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  pid_t parent = getpid();
  child->pid = fork();
  if (child->pid < 0) return false;
  if (child->pid == 0) {
    /* The test may be killed; what it started must not stay. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(with_in ? in[0] : nothing, STDIN_FILENO);
    dup2(with_out ? out[1] : nothing, STDOUT_FILENO);
    if (getenv("VERBOSE") == NULL) dup2(nothing, STDERR_FILENO);
    execvp(argv[0], argv);
    _exit(127);
  }
  close(nothing);
  child->in = NULL;
  child->out = -1;
  if (with_in) {
    close(in[0]);
    child->in = fdopen(in[1], "w");
  }
  if (with_out) {
    close(out[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    child->out = out[0];
  }
  return true;
}

static void child_close(struct child *child) {
  if (child->in != NULL) fclose(child->in);
  if (child->out >= 0) close(child->out);
  child->in = NULL;
  child->out = -1;
  child->pid = 0;
}

int child_finish(struct child *child, int timeout_ms) {
  if (child->pid <= 0) return -1;
  if (child->in != NULL) fclose(child->in);
  child->in = NULL;
  int64_t end = now_ms() + timeout_ms;
  int status;
  while (waitpid(child->pid, &status, WNOHANG) == 0) {
    if (now_ms() > end) {
      child_kill(child, SIGKILL);
      return -1;
    }
    sleep_ms(2);
  }
  child_close(child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void child_kill(struct child *child, int signal_number) {
  if (child->pid <= 0) return;
  kill(child->pid, signal_number);
  while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
  }
  child_close(child);
}

const char *certificates(void) {
  return getenv("CERTS");
}

bool mosquitto_restart(struct mosquitto *broker) {
  char config[300];
  snprintf(config, sizeof(config), "%s/mosquitto.conf", broker->dir);
  /* Debian has it where the PATH of a user does not look. */
  char *argv[] = {access("/usr/sbin/mosquitto", X_OK) == 0 ? "/usr/sbin/mosquitto" : "mosquitto", "-c",
                  config, NULL};
  return child_start(&broker->process, argv, false, false);
}

bool mosquitto_start(struct mosquitto *broker, const char *lines) {
  const char *tmp = getenv("TMPDIR");
  char config[300];
  memset(broker, 0, sizeof(*broker));
  snprintf(broker->dir, sizeof(broker->dir), "%s/mgos-mosquitto-XXXXXX", tmp != NULL ? tmp : "/tmp");
  if (mkdtemp(broker->dir) == NULL) return false;
  snprintf(config, sizeof(config), "%s/mosquitto.conf", broker->dir);
  /* Another process may take a port that was free a moment ago. */
  for (int attempt = 0; attempt < 5; attempt++) {
    broker->port = broker->device_port = free_port();
    FILE *file = fopen(config, "w");
    if (file == NULL) return false;
    /* Started by root it would become another user, who cannot write here. */
    fprintf(file, "listener %d 127.0.0.1\nallow_anonymous true\n%spersistence_location %s/\n%s", broker->port,
            geteuid() == 0 ? "user root\n" : "", broker->dir, lines);
    if (certificates() != NULL) {
      broker->device_port = free_port();
      fprintf(file, "listener %d 127.0.0.1\ncertfile %s/server.pem\nkeyfile %s/server.key\n",
              broker->device_port, certificates(), certificates());
    }
    fclose(file);
    if (mosquitto_restart(broker) && wait_for_port(broker->port, 5000) &&
        wait_for_port(broker->device_port, 5000))
      return true;
    child_kill(&broker->process, SIGKILL);
  }
  return false;
}

void mosquitto_stop(struct mosquitto *broker) {
  const char *files[] = {"mosquitto.conf", "mosquitto.db", "mosquitto.db.new"};
  char path[300];
  child_kill(&broker->process, SIGTERM);
  if (broker->dir[0] == '\0') return;
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
    snprintf(path, sizeof(path), "%s/%s", broker->dir, files[i]);
    unlink(path);
  }
  rmdir(broker->dir);
}
