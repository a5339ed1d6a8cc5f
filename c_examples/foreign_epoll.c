/* Drives the library from an event loop of its own: epoll with a timer, and the library as one more
 * descriptor with a time-out. No thread, no polling.
 *
 *   cc foreign_epoll.c $(pkg-config --cflags --libs mgos_mqtt) -o foreign_epoll
 *   ./foreign_epoll 127.0.0.1:1883
 *
 * Expected output:
 *   connected
 *   reading 1 came back
 *   reading 2 came back
 *   reading 3 came back
 *   closed
 */
#define _POSIX_C_SOURCE 199309L
#include <errno.h>
#include <mgos_mqtt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TOPIC "examples/epoll"
#define MAX_TICKS 200 /* of 50 ms: the example ends after 10 s, whatever happens */

static int readings, ticks;
static bool closed;

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) ud;
  printf("reading %.*s came back\n", msg_len, msg);
  if (readings == 3 && msg_len == 1 && msg[0] == '3') mgos_mqtt_global_disconnect();
}

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data, (void) ud;
  if (ev == MG_EV_MQTT_CONNACK) printf("connected\n");
  if (ev == MG_EV_CLOSE) {
    printf("closed\n");
    closed = true;
  }
}

static void on_tick(int timer) {
  uint64_t expired;
  char text[12];
  int len;
  if (read(timer, &expired, sizeof(expired)) != sizeof(expired)) return;
  ticks++;
  if (readings < 3 && mgos_mqtt_global_is_connected()) {
    len = snprintf(text, sizeof(text), "%d", readings + 1);
    if (mgos_mqtt_pub(TOPIC, text, (size_t) len, 1, false) != 0) readings++;
  }
}

static int watch(int epoll, int fd) {
  struct epoll_event ev;
  memset(&ev, 0, sizeof(ev));
  ev.events = EPOLLIN;
  ev.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

int main(int argc, char **argv) {
  static const struct itimerspec every_50_ms = {{0, 50000000}, {0, 50000000}};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int mqtt = mgos_mqtt_loop_fd(NULL); /* belongs to the library: only to be watched */

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_add_global_handler(on_event, NULL);
  mgos_mqtt_sub(TOPIC, on_message, NULL);

  if (epoll < 0 || timer < 0 || mqtt < 0 || timerfd_settime(timer, 0, &every_50_ms, NULL) != 0 ||
      watch(epoll, timer) != 0 || watch(epoll, mqtt) != 0) {
    perror("epoll");
    return 1;
  }
  while (!closed && ticks < MAX_TICKS) {
    struct epoll_event events[4];
    /* Asked for anew each time; -1 is "no deadline", as epoll_wait() understands it. */
    int i, n = epoll_wait(epoll, events, 4, mgos_mqtt_loop_timeout(NULL));
    if (n < 0 && errno != EINTR) break;
    for (i = 0; i < n; i++) {
      if (events[i].data.fd == timer) on_tick(timer);
    }
    /* Cheap when there is nothing to do, so after each wake-up, for descriptor and deadline alike. */
    mgos_mqtt_loop_process(NULL);
  }
  close(timer);
  close(epoll);
  return closed ? 0 : 1;
}
