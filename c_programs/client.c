#define _POSIX_C_SOURCE 200809L /* pselect(), sigaction() */
#include "client.h"

#include <errno.h>
#include <mgos_mqtt_version.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

const char client_help[] =
    "Connection:\n"
    "  -h HOST              the server's name or address (default: localhost)\n"
    "  -p PORT              its port (default: 1883)\n"
    "  -L URL               both and more: mqtt://[user[:password]@]host[:port][/topic]; also\n"
    "                       mqtts://, and ws:// and wss:// with --ws-path\n"
    "  --ws-path PATH       the path of the WebSocket (default: /mqtt)\n"
    "  --proxy URL          the proxy that leads to the server: http://, https:// or socks5://,\n"
    "                       [user[:password]@]host[:port]\n"
    "  -i ID                client id (default: the server chooses one)\n"
    "  -u USER, -P PASS     user name and password; other users of the machine can see them\n"
    "  -k SECONDS           keep-alive (default: 60; 0 is off)\n"
    "  -c                   the server keeps the session when this program ends; needs -i\n"
    "  -V 31|311            version of MQTT (default: 311)\n"
    "  -W SECONDS           end after this time\n"
    "  -d                   say on standard error what happens\n"
    "  --will-topic TOPIC   what the server publishes if this program vanishes without\n"
    "  --will-payload TEXT  a good-bye: topic, text (default: empty), QoS and whether it\n"
    "  --will-qos QOS       is retained\n"
    "  --will-retain\n"
    "  --help, --version\n";

static volatile sig_atomic_t signalled;
static sigset_t usual_signals; /* SIGINT and SIGTERM come only while client_wait() sleeps */

static void on_signal(int number) {
  signalled = number;
}

static void say(const struct client *client, const char *format, va_list ap) {
  fprintf(stderr, "%s: ", client->program);
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
  if (!client->debug) return;
  va_start(ap, format);
  say(client, format, ap);
  va_end(ap);
}

void client_usage(const struct client *client, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say(client, format, ap);
  va_end(ap);
  fprintf(stderr, "'%s --help' lists the options.\n", client->program);
  exit(EXIT_USAGE);
}

void client_say_error(const struct client *client) {
  char text[1024];
  if (mgos_mqtt_conn_last_error_text(client->conn, text, sizeof(text)) == 0)
    strcpy(text, "no answer from the server");
  client_say(client, "%s", text);
}

static void on_log(int level, int conn_id, const char *text, void *ud) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  (void) conn_id;
  client_debug(ud, "%s: %s", names[level], text);
}

void client_init(struct client *client, const char *program) {
  memset(client, 0, sizeof(*client));
  client->program = program;
  client->options = mgos_mqtt_options_init();
  mgos_config_mqtt_set_defaults(&client->cfg);
  client->cfg.enable = 1;
}

int client_number(const struct client *client, const char *option, const char *value, int min, int max) {
  char *end;
  long number;
  errno = 0;
  number = strtol(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || number < min || number > max) {
    client_usage(client, "%s: '%s' is not a number from %d to %d", option, value, min, max);
  }
  return (int) number;
}

/* An address as it may be shown: what comes behind user name and password. */
static const char *shown(const char *address) {
  const char *at = strrchr(address, '@');
  return at != NULL ? at + 1 : address;
}

/* scheme://[user[:password]@]host[:port][/topic], cut into its parts in a copy. */
static void take_url(struct client *client, const char *url) {
  char *rest, *slash;
  if (strstr(url, "://") == NULL) client_usage(client, "-L: '%s' does not begin with mqtt:// or ws://", shown(url));
  if (strlen(url) >= sizeof(client->url)) client_usage(client, "-L: the URL is too long");
  strcpy(client->url, url);
  rest = strstr(client->url, "://") + 3;
  slash = strchr(rest, '/');
  if (slash != NULL) {
    *slash = '\0';
    if (slash[1] != '\0') client->url_topic = slash + 1;
  }
  client->host = client->url; /* perhaps with its port, user name and password */
  client->port = NULL;
}

void client_option(struct client *client, int option, const char *value, const char *help) {
  switch (option) {
    case 'h':
      client->host = value;
      break;
    case 'p':
      client_number(client, "-p", value, 1, 65535);
      client->port = value;
      break;
    case 'L':
      take_url(client, value);
      break;
    case 'i':
      client->cfg.client_id = value;
      break;
    case 'u':
      client->cfg.user = value;
      break;
    case 'P':
      client->cfg.pass = value;
      break;
    case 'k':
      client->cfg.keep_alive = client_number(client, "-k", value, 0, 65535);
      break;
    case 'c':
      client->cfg.clean_session = 0;
      break;
    case 'V':
      if (strcmp(value, "31") == 0 || strcmp(value, "mqttv31") == 0) {
        client->options.protocol_version = MGOS_MQTT_PROTOCOL_3_1;
      } else if (strcmp(value, "311") == 0 || strcmp(value, "mqttv311") == 0) {
        client->options.protocol_version = MGOS_MQTT_PROTOCOL_3_1_1;
      } else {
        client_usage(client, "-V: '%s' is neither 31 nor 311", value);
      }
      break;
    case 'd':
      client->debug = true;
      break;
    case 'W':
      client->deadline = mg_time() + client_number(client, "-W", value, 1, 1000000);
      break;
    case 'q':
      client->qos = client_number(client, "-q", value, 0, 2);
      break;
    case OPTION_WS_PATH:
      client->cfg.ws_path = value;
      break;
    case OPTION_PROXY:
      client->options.proxy = value;
      break;
    case OPTION_WILL_TOPIC:
      client->cfg.will_topic = value;
      break;
    case OPTION_WILL_PAYLOAD:
      client->options.will_payload = value;
      client->options.will_payload_len = strlen(value);
      break;
    case OPTION_WILL_QOS:
      client->options.will_qos = client_number(client, "--will-qos", value, 0, 2);
      break;
    case OPTION_WILL_RETAIN:
      client->cfg.will_retain = 1;
      break;
    case OPTION_HELP:
      printf("%s\n%s", help, client_help);
      exit(EXIT_SUCCESS);
    case OPTION_VERSION:
      printf("%s %s\n", client->program, mgos_mqtt_version());
      exit(EXIT_SUCCESS);
    default: /* getopt_long() has said what is wrong */
      fprintf(stderr, "'%s --help' lists the options.\n", client->program);
      exit(EXIT_USAGE);
  }
}

void client_open(struct client *client, uint32_t kinds, mgos_mqtt_event_fn_t on_event, void *ud) {
  const char *host = client->host != NULL ? client->host : "localhost";
  bool bare_v6 = strchr(host, ':') != NULL && strchr(host, ':') != strrchr(host, ':') && host[0] != '[' && strstr(host, "://") == NULL;
  struct sigaction action;
  sigset_t ours;
  char why[200];
  int len =
      snprintf(client->server, sizeof(client->server), "%s%s%s%s%s", bare_v6 ? "[" : "", host,
               bare_v6 ? "]" : "", client->port != NULL ? ":" : "", client->port != NULL ? client->port : "");

  if (len >= (int) sizeof(client->server)) client_usage(client, "the server's name is too long");
  client->cfg.server = client->server;
  if (!client->cfg.clean_session && client->cfg.client_id == NULL)
    client_usage(client, "-c needs a client id (-i)");
  if (client->options.protocol_version == 3 && client->cfg.client_id == NULL) { /* MQTT 3.1 must have one */
    snprintf(client->client_id, sizeof(client->client_id), "mgos-mqtt-%ld", (long) getpid());
    client->cfg.client_id = client->client_id;
  }
  if (client->cfg.pass != NULL && client->cfg.user == NULL) client_usage(client, "-P needs a user name (-u)");
  if (client->cfg.will_topic == NULL &&
      (client->options.will_payload != NULL || client->options.will_qos != 0 || client->cfg.will_retain)) {
    client_usage(client, "a will needs --will-topic");
  }
  if (client->cfg.will_topic != NULL && client->options.will_payload == NULL)
    client->options.will_payload = "";

  /* The signals that end the program are let in only while it sleeps, so that none is missed. */
  memset(&action, 0, sizeof(action));
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  sigprocmask(SIG_BLOCK, &ours, &usual_signals);

  if (client->debug) mgos_mqtt_loop_set_log(NULL, MGOS_MQTT_LOG_DEBUG, on_log, client, NULL);
  client->options.profiles = &client->cfg;
  client->options.num_profiles = 1;
  client->conn = mgos_mqtt_conn_create_on(NULL, 0, &client->options);
  if (client->conn == NULL || mgos_mqtt_conn_on(client->conn, kinds, on_event, ud, NULL) != 0 ||
      !mgos_mqtt_conn_connect(client->conn)) {
    mgos_mqtt_last_error_text(why, sizeof(why));
    client_usage(client, "%s: %s", shown(client->server), why);
  }
}

enum client_wake client_wait(struct client *client, int input) {
  int fd = mgos_mqtt_loop_fd(NULL), n, ms = mgos_mqtt_loop_timeout(NULL);
  struct timespec timeout;
  bool readable;
  fd_set set;
  if (client->deadline != 0) {
    double left = (client->deadline - mg_time()) * 1000;
    if (left <= 0) return WAKE_TIME_OVER;
    if (ms < 0 || left < ms) ms = left < 1e9 ? (int) left + 1 : 1000000000;
  }
  timeout.tv_sec = ms / 1000;
  timeout.tv_nsec = ms % 1000 * 1000000L;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  if (input >= 0) FD_SET(input, &set);
  n = pselect((fd > input ? fd : input) + 1, &set, NULL, NULL, ms >= 0 ? &timeout : NULL, &usual_signals);
  readable = n > 0 && input >= 0 && FD_ISSET(input, &set);
  mgos_mqtt_loop_process(NULL);
  if (signalled) return WAKE_SIGNAL;
  return readable ? WAKE_INPUT : WAKE_NOTHING;
}

void client_close(struct client *client) {
  double end = mg_time() + 2;
  client->deadline = end;
  mgos_mqtt_conn_disconnect(client->conn);
  while (mgos_mqtt_conn_is_connected(client->conn) && mg_time() < end) client_wait(client, -1);
  mgos_mqtt_conn_free(client->conn);
  client->conn = NULL;
}
