/* The loop: the library's default loop, with timers and with callbacks from elsewhere. */

#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <mgos_mqtt.h>
#include <mgos_mqtt_loop.h>
#include <mgos_system.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* What waits in the pipe. Fewer bytes than PIPE_BUF are written as one. */
struct invocation {
  mgos_cb_t cb;
  void *arg;
};

static atomic_int s_read = -1, s_write = -1;
static atomic_bool s_stopped;
static pthread_once_t s_fork_once = PTHREAD_ONCE_INIT;

static bool open_pipe(void) {
  int fds[2], none = -1;
  if (atomic_load(&s_write) >= 0) return true;
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  if (atomic_compare_exchange_strong(&s_write, &none, fds[1])) {
    atomic_store(&s_read, fds[0]);
  } else { /* another thread was faster */
    close(fds[0]);
    close(fds[1]);
  }
  return true;
}

/* The child of a fork has callbacks of its own. */
static void in_child(void) {
  int in = atomic_exchange(&s_read, -1), out = atomic_exchange(&s_write, -1);
  if (in >= 0) close(in);
  if (out >= 0) close(out);
}

static void watch_forks(void) {
  pthread_atfork(NULL, NULL, in_child);
}

/* Before main(), so that a signal handler finds it. */
__attribute__((constructor)) static void prepare(void) {
  pthread_once(&s_fork_once, watch_forks);
  open_pipe();
}

bool mgos_invoke_cb(mgos_cb_t cb, void *arg, uint32_t flags) {
  struct invocation call = {cb, arg};
  int error = errno;
  bool sent;
  (void) flags;
  sent = cb != NULL && open_pipe() && write(atomic_load(&s_write), &call, sizeof(call)) == (ssize_t) sizeof(call);
  if (sent) mgos_mqtt_loop_break(NULL);
  errno = error;
  return sent;
}

/* What was there at the beginning; what these add is for the next time. */
static void run_invocations(void) {
  struct invocation calls[64];
  for (int rounds = 0; rounds < 64; rounds++) {
    ssize_t n = read(atomic_load(&s_read), calls, sizeof(calls));
    for (ssize_t i = 0; i < n / (ssize_t) sizeof(calls[0]); i++) calls[i].cb(calls[i].arg);
    if (n < (ssize_t) sizeof(calls)) return;
  }
  mgos_mqtt_loop_break(NULL);
}

void mgos_os_wake(void) {
  mgos_mqtt_loop_break(NULL);
}

void mgos_os_stop(void) {
  atomic_store(&s_stopped, true);
  mgos_mqtt_loop_break(NULL);
}

bool mgos_os_stopped(void) {
  return atomic_load(&s_stopped);
}

int mgos_mongoose_os_poll(int ms) {
  int next = mgos_os_timers_wait(), result;
  if (next >= 0 && (ms < 0 || next < ms)) ms = next;
  result = mgos_mqtt_loop_poll(NULL, ms);
  if (result != 0) return result;
  run_invocations();
  mgos_os_timers_run();
  return 0;
}

void mgos_os_disconnect(int timeout_ms) {
  int64_t end = mgos_os_micros() + (int64_t) timeout_ms * 1000, left;
  mgos_os_log_end();
  mgos_mqtt_global_disconnect();
  /* Inside a handler nobody can wait: then the end of the connection sends DISCONNECT, as far as that goes at once. */
  while (mgos_mqtt_global_is_connected() && (left = end - mgos_os_micros()) > 0) {
    if (mgos_mqtt_loop_poll(NULL, (int) (left / 1000) + 1) != 0) break;
  }
  left = end - mgos_os_micros();
  mgos_mqtt_deinit(left > 0 ? (int) (left / 1000) : 0);
}
