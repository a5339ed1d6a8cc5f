#include "sender.h"

#include <stdlib.h>
#include <string.h>

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct sender *sender = ud;
  uint16_t id = mgos_mqtt_event_packet_id(ev);
  (void) c;
  pthread_mutex_lock(&sender->lock);
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECT_RESULT:
      if (mgos_mqtt_event_error(ev) != MGOS_MQTT_OK) break;
      if (sender->ups > 0 && !mgos_mqtt_event_session_present(ev)) sender->sessions_lost++;
      sender->ups++;
      break;
    case MGOS_MQTT_EV_CLOSE:
      sender->closes++;
      break;
    case MGOS_MQTT_EV_PUBACK:
    case MGOS_MQTT_EV_PUBCOMP: {
      struct stream *stream = sender->pending[id].stream;
      int qos = mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_PUBACK ? 1 : 2;
      if (stream == NULL || stream->qos != qos) {
        sender->strays++;
        break;
      }
      stream_acknowledged(stream, sender->pending[id].number);
      sender->pending[id].stream = NULL;
      sender->outstanding--;
      break;
    }
    default:
      break;
  }
  pthread_mutex_unlock(&sender->lock);
}

static void print_log(int level, int conn_id, const char *text, void *ud) {
  (void) conn_id;
  (void) ud;
  fprintf(stderr, "%lld [%d] %s\n", (long long) now_ms(), level, text);
}

bool sender_start(struct sender *sender, int port, struct stream *streams, size_t count) {
  char server[64], ca[256];
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  memset(sender, 0, sizeof(*sender));
  pthread_mutex_init(&sender->lock, NULL);
  sender->streams = streams;
  sender->count = count;
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = server;
  if (certificates() != NULL) {
    snprintf(ca, sizeof(ca), "%s/ca.pem", certificates());
    cfg.ssl_ca_cert = ca;
  }
  cfg.client_id = "device";
  cfg.clean_session = 0;
  cfg.reconnect_timeout_min = 0.01;
  cfg.reconnect_timeout_max = 0.1;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.profiles = &cfg;
  options.num_profiles = 1;
  options.max_outgoing_bytes = 16 * 1024 * 1024;
  sender->loop = mgos_mqtt_loop_create();
  if (getenv("VERBOSE") != NULL)
    mgos_mqtt_loop_set_log(sender->loop, MGOS_MQTT_LOG_DEBUG, print_log, NULL, NULL);
  sender->conn = mgos_mqtt_conn_create_on(sender->loop, 1, &options);
  if (sender->conn == NULL) return false;
  uint32_t kinds =
      MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP;
  return mgos_mqtt_conn_on(sender->conn, kinds, on_event, sender, NULL) == 0 &&
         mgos_mqtt_conn_connect(sender->conn) && mgos_mqtt_loop_start(sender->loop) == 0;
}

void sender_end(struct sender *sender) {
  mgos_mqtt_loop_free(sender->loop);
  pthread_mutex_destroy(&sender->lock);
}

bool sender_publish(struct sender *sender, struct stream *stream, int padding) {
  static const char dots[] = "................................................................";
  char payload[4096];
  int len = snprintf(payload, sizeof(payload), "%d ", stream->sent);
  while (padding > 0 && len < (int) sizeof(payload) - 64) {
    int n = padding < 64 ? padding : 64;
    memcpy(payload + len, dots, (size_t) n);
    len += n;
    padding -= n;
  }
  struct mg_str message = {payload, (size_t) len};
  /* The acknowledgement may come before the call returns; it waits until the id is known. */
  pthread_mutex_lock(&sender->lock);
  uint16_t id = mgos_mqtt_conn_pub(sender->conn, stream->topic, message, stream->qos, false);
  if (id == 0) {
    sender->refused++;
    if (mgos_mqtt_last_error() != MGOS_MQTT_QUEUE_FULL) {
      printf("  publish: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
      exit(1);
    }
  } else {
    if (sender->pending[id].stream != NULL) {
      printf("  packet id %u was given twice\n", (unsigned) id);
      exit(1);
    }
    sender->pending[id].stream = stream;
    sender->pending[id].number = stream->sent++;
    sender->outstanding++;
  }
  pthread_mutex_unlock(&sender->lock);
  return id != 0;
}

int sender_outstanding(struct sender *sender) {
  pthread_mutex_lock(&sender->lock);
  int outstanding = sender->outstanding;
  pthread_mutex_unlock(&sender->lock);
  return outstanding;
}

void sender_observe(struct sender *sender, struct observer *observer, const char *marker, bool *marked) {
  pthread_mutex_lock(&sender->lock);
  observer_read(observer, sender->streams, sender->count, marker, marked);
  pthread_mutex_unlock(&sender->lock);
}

void check(struct checks *checks, bool holds, const char *what) {
  printf("%s %s\n", holds ? "ok  " : "FAIL", what);
  checks->passed += holds;
  checks->failed += !holds;
}
