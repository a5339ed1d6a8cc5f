/* Puts a fresh token into each CONNECT. The library asks for it, with the number of the attempt, and must not be made to
 * wait: so a thread gets the token and answers when it has it. The CONNACK time-out (10 s) bounds how long that may
 * take. An answer for an attempt that is over changes nothing: it is MGOS_MQTT_STALE, and the next attempt asks anew.
 *
 *   cc connect_hook.c $(pkg-config --cflags --libs mgos_mqtt) -lpthread -o connect_hook
 *   ./connect_hook 127.0.0.1:1883
 *
 * Expected output:
 *   CONNECT with token-1
 *   connected
 *   CONNECT with token-2
 *   connected
 *   closed
 */
#include <mgos_mqtt.h>
#include <mgos_mqtt_connect.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
  struct mgos_mqtt_conn *c;
  uint64_t attempt;
};

static pthread_t thread;
static bool thread_runs;
static int connects;
static bool done;

/* Stands for a call to a token service, which has to give up earlier than the CONNACK time-out. */
static void get_token(char *token, size_t len) {
  static int last;
  snprintf(token, len, "token-%d", ++last);
}

static void *answer(void *arg) {
  struct request *request = arg;
  char token[32];
  struct mgos_mqtt_credentials credentials = mgos_mqtt_credentials_init();
  credentials.user = "device-7";
  credentials.password = token;
  get_token(token, sizeof(token));
  credentials.password_len = strlen(token);
  printf("CONNECT with %s\n", token);
  if (mgos_mqtt_conn_answer(request->c, request->attempt, &credentials) == MGOS_MQTT_STALE) {
    printf("too late\n"); /* nothing is lost: the next attempt asks for its own */
  }
  free(request);
  return NULL;
}

/* Before each CONNECT, on the thread that drives the loop. */
static void need_credentials(struct mgos_mqtt_conn *c, uint64_t attempt, void *ud) {
  struct request *request = malloc(sizeof(*request));
  (void) ud;
  if (thread_runs) pthread_join(thread, NULL); /* that of the last attempt, which is over */
  thread_runs = false;
  if (request != NULL) {
    request->c = c;
    request->attempt = attempt;
    thread_runs = pthread_create(&thread, NULL, answer, request) == 0;
  }
  if (!thread_runs) {
    free(request);
    mgos_mqtt_conn_answer(c, attempt, NULL); /* gives this attempt up; there will be another */
  }
}

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  char why[200];
  (void) ud;
  if (mgos_mqtt_event_error(ev) != MGOS_MQTT_OK) {
    mgos_mqtt_conn_last_error_text(c, why, sizeof(why));
    printf("not connected: %s\n", why);
  } else {
    printf("connected\n");
    if (++connects == 1) {
      mgos_mqtt_conn_reconnect(c); /* to show that the next CONNECT has another token */
    } else {
      done = true;
    }
  }
}

int main(int argc, char **argv) {
  double deadline = mg_time() + 10;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_client_id("example-hook");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_conn_set_credentials_fn(mgos_mqtt_global(), need_credentials, NULL, NULL);
  mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL);

  while (!done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (thread_runs) pthread_join(thread, NULL);
  if (done) printf("closed\n");
  return done ? 0 : 1;
}
