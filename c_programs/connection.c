#define _POSIX_C_SOURCE 200809L /* pselect(), sigaction() */
#include "connection.h"

#include <errno.h>
#include <mgos_mqtt_connect.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "capath.h"

static volatile sig_atomic_t signalled;
static sigset_t usual_signals; /* SIGINT and SIGTERM come only while client_wait() sleeps */

static void on_signal(int number) {
  signalled = number;
}

double client_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void say(const struct client *client, const char *format, va_list ap) {
  if (client->settings->quiet) return;
  fprintf(stderr, "%s: ", client->settings->program);
  vfprintf(stderr, format, ap);
  fputc('\n', stderr);
}

void client_say(const struct client *client, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say(client, format, ap);
  va_end(ap);
}

void client_debug(const struct client *client, const char *format, ...) {
  va_list ap;
  if (!client->settings->debug) return;
  va_start(ap, format);
  say(client, format, ap);
  va_end(ap);
}

void client_refuse(const struct client *client, const char *what) {
  char why[1024];
  mgos_mqtt_last_error_text(why, sizeof(why));
  settings_fail(client->settings, "%s: %s", what, why);
}

int client_say_error(const struct client *client) {
  struct mgos_mqtt_error_info info = mgos_mqtt_error_info_init();
  char text[1024];
  if (mgos_mqtt_conn_last_error_text(client->conn, text, sizeof(text)) == 0) strcpy(text, "no answer from the server");
  client_say(client, "%s", text);
  mgos_mqtt_conn_last_error(client->conn, &info);
  if (info.connack > 0) return info.connack;
  if (info.phase == MGOS_MQTT_PHASE_TLS) return EXIT_TLS;
  return EXIT_FAILED;
}

static void on_log(int level, int conn_id, const char *text, void *ud) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  const struct client *client = ud;
  (void) conn_id;
  client_debug(client, "%s: %s", names[level], text);
}

/* The server as the library takes it: scheme, host and port. */
static void name_server(struct client *client, struct settings *s) {
  const char *host = s->host != NULL ? s->host : "localhost", *scheme;
  bool bare_v6 = strchr(host, ':') != NULL && strchr(host, ':') != strrchr(host, ':') && host[0] != '[';
  bool ws = s->url_ws || s->ws_path_given, tls = s->url_tls || s->tls_named || s->port == 8883;
  char port[8] = "", directory[512] = "";
  int len;
  if (s->unix_path != NULL) {
    if (ws || s->url_tls || s->tls_named || s->options.proxy != NULL) {
      settings_fail(s, "--unix: a local socket has no TLS, no WebSocket and no proxy; leave out the options about these");
    }
    if (s->unix_path[0] != '/' && getcwd(directory, sizeof(directory) - 1) == NULL) {
      settings_fail(s, "--unix: the present directory is not known: %s", strerror(errno));
    }
    len = snprintf(client->server, sizeof(client->server), "unix:%s%s%s", directory, directory[0] != '\0' ? "/" : "", s->unix_path);
  } else {
    scheme = ws ? (tls ? "wss" : "ws") : tls ? "mqtts" : "mqtt";
    if (s->port != 0) snprintf(port, sizeof(port), ":%d", s->port);
    /* A name with a port in it, as -h took it before: the library understands it. */
    len = snprintf(client->server, sizeof(client->server), "%s://%s%s%s%s", scheme, bare_v6 ? "[" : "", host,
                   bare_v6 ? "]" : "", port);
  }
  if (len >= (int) sizeof(client->server)) settings_fail(s, "the server's name is too long");
  s->cfg.server = client->server;
}

static void name_client(struct client *client, struct settings *s) {
  bool v5 = s->options.protocol_version == MGOS_MQTT_PROTOCOL_5;
  if (s->id_prefix != NULL) {
    if (snprintf(client->client_id, sizeof(client->client_id), "%s%ld", s->id_prefix, (long) getpid()) >=
        (int) sizeof(client->client_id)) {
      settings_fail(s, "-I: the prefix is too long");
    }
    s->cfg.client_id = client->client_id;
  }
  if (s->cfg.client_id != NULL) return;
  if (!s->cfg.clean_session) settings_fail(s, "-c needs a client id (-i)");
  if (v5 && s->expiry_given && s->expiry == 0xFFFFFFFF) settings_fail(s, "a session for ever (-x -1) needs a client id (-i)");
  if (s->options.protocol_version == MGOS_MQTT_PROTOCOL_3_1) { /* it must have one */
    snprintf(client->client_id, sizeof(client->client_id), "mgos-mqtt-%ld", (long) getpid());
    s->cfg.client_id = client->client_id;
  }
}

static void complete(struct client *client, struct settings *s) {
  bool v5 = s->options.protocol_version == MGOS_MQTT_PROTOCOL_5;
  if (s->property_given && !v5) settings_fail(s, "-D needs MQTT 5.0 (-V 5)");
  name_server(client, s);
  name_client(client, s);
  if (s->cfg.will_topic == NULL &&
      (s->options.will_payload != NULL || s->options.will_qos != 0 || s->cfg.will_retain || s->properties[OF_WILL].count > 0)) {
    settings_fail(s, "a will needs --will-topic");
  }
  if (s->cfg.will_topic != NULL && s->options.will_payload == NULL) s->options.will_payload = "";
  if (s->capath != NULL) s->options.tls_ca = capath_read(s, &s->options.tls_ca_len);
  if ((s->cfg.ssl_psk_key != NULL) != (s->cfg.ssl_psk_identity != NULL)) {
    settings_fail(s, "--psk and --psk-identity need each other");
  }
  if (s->expiry_given && v5) {
    property_add(&s->properties[OF_CONNECT],
                 mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, s->expiry));
  } else if (s->expiry_given) {
    client_say(client, "-x has no meaning before MQTT 5.0 (-V 5)");
  }
  s->options.properties = s->properties[OF_CONNECT].property;
  s->options.num_properties = s->properties[OF_CONNECT].count;
  s->options.will_properties = s->properties[OF_WILL].property;
  s->options.num_will_properties = s->properties[OF_WILL].count;
  s->options.profiles = &s->cfg;
  s->options.num_profiles = 1;
  if (s->options.retry == 0) s->options.retry = MGOS_MQTT_RETRY_ONCE_UP;
}

/* The signals that end the program are let in only while it sleeps, so that none is missed. */
static void take_signals(void) {
  struct sigaction action;
  sigset_t ours;
  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  sigprocmask(SIG_BLOCK, &ours, &usual_signals);
}

void client_make(struct client *client, struct settings *s) {
  memset(client, 0, sizeof(*client));
  client->settings = s;
  if (s->timeout != 0) client->deadline = client_now() + s->timeout;
  complete(client, s);
  if (s->debug) mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_DEBUG, on_log, client, NULL);
  client->conn = mgos_mqtt_conn_create_on(NULL, 0, &s->options);
  if (client->conn == NULL) client_refuse(client, client->server);
}

void client_connect(struct client *client, uint32_t kinds, mgos_mqtt_event_fn_t on_event, void *ud) {
  take_signals();
  if (mgos_mqtt_conn_on(client->conn, kinds, on_event, ud, NULL) != 0 || !mgos_mqtt_conn_connect(client->conn)) {
    client_refuse(client, client->server);
  }
}

/* Milliseconds until a time, not more than `ms` (negative: without limit). */
static int until(double time, int ms) {
  double left = (time - client_now()) * 1000;
  if (left <= 0) return 0;
  if (ms >= 0 && left >= ms) return ms;
  return left < 1e9 ? (int) left + 1 : 1000000000;
}

enum client_wake client_wait(struct client *client, int input) {
  int fd = mgos_mqtt_loop_fd(NULL), n, ms = mgos_mqtt_loop_timeout(NULL);
  struct timespec timeout;
  bool readable;
  fd_set set;
  if (client->deadline != 0) {
    ms = until(client->deadline, ms);
    if (client_now() >= client->deadline) return WAKE_TIME_OVER;
  }
  if (client->alarm != 0) ms = until(client->alarm, ms);
  timeout.tv_sec = ms / 1000;
  timeout.tv_nsec = ms % 1000 * 1000000L;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  if (input >= 0) FD_SET(input, &set);
  n = pselect((fd > input ? fd : input) + 1, &set, NULL, NULL, ms >= 0 ? &timeout : NULL, &usual_signals);
  readable = n > 0 && input >= 0 && FD_ISSET(input, &set);
  mgos_mqtt_loop_process(NULL);
  if (signalled) return WAKE_SIGNAL;
  if (client->alarm != 0 && client_now() >= client->alarm) {
    client->alarm = 0;
    return WAKE_ALARM;
  }
  return readable ? WAKE_INPUT : WAKE_NOTHING;
}

static void disconnect(struct client *client) {
  const struct properties *properties = &client->settings->properties[OF_DISCONNECT];
  if (properties->count > 0 && mgos_mqtt_conn_is_connected(client->conn)) {
    struct mgos_mqtt_disconnect how = mgos_mqtt_disconnect_init();
    char why[512];
    how.properties = properties->property;
    how.num_properties = properties->count;
    if (mgos_mqtt_conn_disconnect_with(client->conn, &how) == 0) return;
    mgos_mqtt_last_error_text(why, sizeof(why));
    client_say(client, "DISCONNECT has no properties: %s", why);
  }
  mgos_mqtt_conn_disconnect(client->conn);
}

bool client_close(struct client *client, bool matters) {
  struct mgos_mqtt_error_info info = mgos_mqtt_error_info_init();
  bool delivered = true, up = mgos_mqtt_conn_is_connected(client->conn);
  double now = client_now();
  /* After a signal, or when the time of -W is over, it may take two seconds, and ends at the next signal; otherwise the
   * library gives up when the server has not received anything for a while. */
  if (signalled || (client->deadline != 0 && client->deadline < now)) client->deadline = now;
  if (client->deadline != 0) client->deadline += 2;
  client->alarm = 0;
  signalled = 0;
  disconnect(client);
  while (mgos_mqtt_conn_is_connected(client->conn)) {
    enum client_wake wake = client_wait(client, -1);
    if (wake == WAKE_SIGNAL || wake == WAKE_TIME_OVER) break;
  }
  mgos_mqtt_conn_last_error(client->conn, &info);
  if (mgos_mqtt_conn_is_connected(client->conn)) {
    if (matters) client_say(client, "the end comes before the server has received everything");
    delivered = false;
  } else if (up && info.code == MGOS_MQTT_UNDELIVERED) {
    if (matters) client_say_error(client);
    delivered = false;
  }
  mgos_mqtt_conn_free(client->conn);
  client->conn = NULL;
  return delivered;
}
