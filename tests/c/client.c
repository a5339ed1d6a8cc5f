#include "client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net.h"

static void happened(struct client *client, enum happening what) {
  client->counts[what]++;
  pthread_cond_broadcast(&client->changed);
}

static void on_event(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  struct client *client = ud;
  (void) conn;
  pthread_mutex_lock(&client->lock);
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECTING:
      happened(client, CONNECTING);
      break;
    case MGOS_MQTT_EV_CONNECT_RESULT:
      client->code = mgos_mqtt_event_code(ev);
      if (mgos_mqtt_event_error(ev) != 0) client->error = mgos_mqtt_event_error(ev);
      happened(client, mgos_mqtt_event_error(ev) == 0 ? UP : FAILED);
      break;
    case MGOS_MQTT_EV_CLOSE:
      client->error = mgos_mqtt_event_error(ev);
      happened(client, CLOSED);
      break;
    case MGOS_MQTT_EV_MESSAGE:
      mgos_mqtt_event_payload(ev, &client->size);
      client->bytes += (long) client->size;
      happened(client, MESSAGE);
      break;
    case MGOS_MQTT_EV_OVERSIZE:
      client->size = mgos_mqtt_event_size(ev);
      happened(client, OVERSIZE);
      break;
    case MGOS_MQTT_EV_PUBACK:
      happened(client, PUBACK);
      break;
    case MGOS_MQTT_EV_PUBCOMP:
      happened(client, PUBCOMP);
      break;
    case MGOS_MQTT_EV_SUBACK:
      client->code = mgos_mqtt_event_code(ev);
      happened(client, SUBACK);
      break;
    case MGOS_MQTT_EV_POLL:
      client->polls++;
      break;
    default:
      break;
  }
  pthread_mutex_unlock(&client->lock);
}

/* A subscription is told of fewer kinds: those that the handler of the connection is not told of as well. */
static void on_subscription(struct mgos_mqtt_conn *conn, const struct mgos_mqtt_event *ev, void *ud) {
  uint32_t kind = mgos_mqtt_event_kind(ev);
  if (kind == MGOS_MQTT_EV_MESSAGE || kind == MGOS_MQTT_EV_SUBACK) on_event(conn, ev, ud);
}

static void on_gone(void *ud) {
  struct client *client = ud;
  pthread_mutex_lock(&client->lock);
  happened(client, GONE);
  pthread_mutex_unlock(&client->lock);
}

void client_options(struct mgos_mqtt_options *options, struct mgos_config_mqtt *config, const char *server) {
  memset(options, 0, sizeof(*options));
  mgos_config_mqtt_set_defaults(config);
  config->enable = 1;
  config->server = server;
  config->reconnect_timeout_min = 0.05;
  config->reconnect_timeout_max = 0.05;
  options->size = sizeof(*options);
  options->profiles = config;
  options->num_profiles = 1;
  options->jitter_percent = -1;
}

void client_create(struct client *client, struct mgos_mqtt_loop *loop, const char *server,
                   const struct mgos_mqtt_options *options) {
  struct mgos_mqtt_options defaults;
  struct mgos_config_mqtt config;
  pthread_condattr_t monotonic;
  uint32_t kinds = MGOS_MQTT_EV_CONNECTING | MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE |
                   MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_OVERSIZE | MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP |
                   MGOS_MQTT_EV_SUBACK;
  bool handles_poll = client->handles_poll;
  memset(client, 0, sizeof(*client));
  client->handles_poll = handles_poll;
  if (handles_poll) kinds |= MGOS_MQTT_EV_POLL;
  pthread_mutex_init(&client->lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&client->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (options == NULL) {
    client_options(&defaults, &config, server);
    options = &defaults;
  }
  client->conn = mgos_mqtt_conn_create_on(loop, 1, options);
  if (client->conn == NULL) {
    char text[256];
    mgos_mqtt_last_error_text(text, sizeof(text));
    fail_msg("no connection: %s", text);
  }
  assert_int_equal(mgos_mqtt_conn_on(client->conn, kinds, on_event, client, on_gone), 0);
}

void client_subscribe(struct client *client, const char *filter, int qos) {
  assert_int_equal(mgos_mqtt_conn_subscribe(client->conn, filter, qos, on_subscription, client, NULL), 0);
}

long client_count(struct client *client, enum happening what) {
  long n;
  pthread_mutex_lock(&client->lock);
  n = client->counts[what];
  pthread_mutex_unlock(&client->lock);
  return n;
}

bool client_wait(struct client *client, enum happening what, long times) {
  struct timespec until;
  bool seen;
  int failed = 0;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += LONG_MS / 1000;
  pthread_mutex_lock(&client->lock);
  while (client->counts[what] < times && failed == 0) {
    failed = pthread_cond_timedwait(&client->changed, &client->lock, &until);
  }
  seen = client->counts[what] >= times;
  pthread_mutex_unlock(&client->lock);
  if (!seen)
    print_error("waited for %d, %ld times; there were %ld\n", what, times, client_count(client, what));
  return seen;
}

bool client_poll_until(struct client *client, struct mgos_mqtt_loop *loop, enum happening what, long times) {
  int64_t until = net_ms() + LONG_MS;
  while (client_count(client, what) < times) {
    if (net_ms() > until || mgos_mqtt_loop_poll(loop, 100) != 0) return false;
  }
  return true;
}

/* What errors said is searched for secrets: see scripts/find_secrets.sh. */
static void keep_text(struct client *client) {
  const char *folder = getenv("MGOS_MQTT_TEST_TEXTS");
  char path[512], text[1024];
  FILE *file;
  if (folder == NULL || mgos_mqtt_conn_last_error_text(client->conn, text, sizeof(text)) == 0) return;
  snprintf(path, sizeof(path), "%s/c-%ld.txt", folder, (long) getpid());
  file = fopen(path, "a");
  if (file == NULL) return;
  fprintf(file, "%s\n", text);
  fclose(file);
}

void client_free(struct client *client) {
  keep_text(client);
  assert_int_equal(mgos_mqtt_conn_free_wait(client->conn, LONG_MS), 0);
  client_ended(client);
}

void client_ended(struct client *client) {
  assert_int_equal(client_count(client, GONE), 1);
  client->conn = NULL;
  pthread_mutex_destroy(&client->lock);
  pthread_cond_destroy(&client->changed);
}

void client_expect_error(struct client *client, int code, int phase, const char *part) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  char text[512];
  size_t len = mgos_mqtt_conn_last_error_text(client->conn, text, sizeof(text));
  assert_int_equal(mgos_mqtt_conn_last_error(client->conn, &info), 0);
  if (info.code != code || info.phase != phase || strstr(text, part) == NULL || len < 10) {
    fail_msg("expected %s in phase %d with \"%s\"; it is %s in phase %d: %s", mgos_mqtt_error_name(code),
             phase, part, mgos_mqtt_error_name(info.code), info.phase, text);
  }
}
