/* Gives the loop a thread of its own, and publishes from two others: main and a worker. Handlers run on the
 * loop's thread, so what they share with the others needs a lock.
 *
 *   cc own_thread.c $(pkg-config --cflags --libs mgos_mqtt) -lpthread -o own_thread
 *   ./own_thread 127.0.0.1:1883
 *
 * Expected output, in any order:
 *   received: main 1
 *   received: main 2
 *   received: main 3
 *   received: worker 1
 *   received: worker 2
 *   received: worker 3
 */
#define _POSIX_C_SOURCE 200112L
#include <mgos_mqtt.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define TOPIC "examples/threads"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int received;
static bool closed;

/* On the loop's thread. */
static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) ud;
  printf("received: %.*s\n", msg_len, msg);
  pthread_mutex_lock(&lock);
  received++;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static void on_close(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
  pthread_mutex_lock(&lock);
  closed = true;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static void publish(const char *who) {
  int i, len;
  char text[16];
  for (i = 1; i <= 3; i++) {
    len = snprintf(text, sizeof(text), "%s %d", who, i);
    if (mgos_mqtt_pub(TOPIC, text, (size_t) len, 1, false) == 0) {
      fprintf(stderr, "not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    }
  }
}

static void *worker(void *arg) {
  publish(arg);
  return NULL;
}

/* Both conditions below; at most ten seconds. */
static bool wait_for(int messages, bool close) {
  struct timespec deadline;
  int result = 0;
  bool done;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += 10;
  pthread_mutex_lock(&lock);
  while ((received < messages || closed < close) && result == 0) {
    result = pthread_cond_timedwait(&changed, &lock, &deadline);
  }
  done = received >= messages && closed >= close;
  pthread_mutex_unlock(&lock);
  return done;
}

int main(int argc, char **argv) {
  static char name[] = "worker";
  pthread_t thread;
  bool ok;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_sub(TOPIC, on_message, NULL);
  mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_CLOSE, on_close, NULL, NULL);

  if (mgos_mqtt_loop_start(NULL) != 0 || pthread_create(&thread, NULL, worker, name) != 0) {
    fprintf(stderr, "no thread\n");
    return 1;
  }
  publish("main");
  pthread_join(thread, NULL);

  ok = wait_for(6, false);
  if (!ok) {
    char why[200] = "no messages";
    mgos_mqtt_conn_last_error_text(mgos_mqtt_global(), why, sizeof(why));
    fprintf(stderr, "not everything arrived: %s\n", why);
  }
  mgos_mqtt_global_disconnect();
  ok = ok && wait_for(6, true);
  mgos_mqtt_loop_stop(NULL);
  return ok ? 0 : 1;
}
