/* Puts a fresh token into each CONNECT. The hook must not block the loop, so a thread gets the token and
 * sends CONNECT when it has it; the CONNACK time-out (10 s) bounds how long that may take.
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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct request {
  struct mg_connection *nc; /* lives as long as its connection, over all reconnects */
  struct mg_send_mqtt_handshake_opts opts;
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

static void *send_connect(void *arg) {
  struct request *request = arg;
  char token[32];
  get_token(token, sizeof(token));
  request->opts.user_name = "device-7";
  request->opts.password = token;
  printf("CONNECT with %s\n", token);
  mg_send_mqtt_handshake_opt(request->nc, "example-hook", request->opts);
  free(request);
  return NULL;
}

/* Before each CONNECT, on the thread that drives the loop. What it is given is valid until it returns: this
 * configuration has no strings, so the structure alone is copied. */
static void on_connect(struct mg_connection *nc, const char *client_id,
                       struct mg_send_mqtt_handshake_opts *opts, void *ud) {
  struct request *request = malloc(sizeof(*request));
  (void) client_id, (void) ud;
  if (thread_runs) pthread_join(thread, NULL); /* that of the last attempt, which is over */
  thread_runs = false;
  if (request == NULL) {
    nc->flags |= MG_F_CLOSE_IMMEDIATELY; /* gives this attempt up; there will be another */
    return;
  }
  request->nc = nc;
  request->opts = *opts;
  thread_runs = pthread_create(&thread, NULL, send_connect, request) == 0;
  if (!thread_runs) {
    free(request);
    nc->flags |= MG_F_CLOSE_IMMEDIATELY;
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
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_set_connect_fn(on_connect, NULL);
  mgos_mqtt_conn_on(mgos_mqtt_global(), MGOS_MQTT_EV_CONNECT_RESULT, on_result, NULL, NULL);

  while (!done && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (thread_runs) pthread_join(thread, NULL);
  if (done) printf("closed\n");
  return done ? 0 : 1;
}
