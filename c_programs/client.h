/* What mgos_mqtt_pub and mgos_mqtt_sub have in common: the options of the connection, the connection itself,
 * and a loop that also hears of signals and of standard input. */
#ifndef CLIENT_H
#define CLIENT_H

#include <getopt.h>
#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit codes beside EXIT_SUCCESS. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_TIME_OVER = 27 };

struct client {
  const char *program;
  char server[300], url[300], client_id[24];
  const char *host, *port, *url_topic;
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  int qos;
  bool debug;
  double deadline; /* of mg_time(); 0 without -W */
  struct mgos_mqtt_conn *conn;
};

enum {
  OPTION_HELP = 256,
  OPTION_VERSION,
  OPTION_WILL_TOPIC,
  OPTION_WILL_PAYLOAD,
  OPTION_WILL_QOS,
  OPTION_WILL_RETAIN,
  OPTION_WS_PATH,
  OPTION_PROXY
};

/* For getopt_long(): a program puts its own options behind these. */
#define CLIENT_SHORT "h:p:L:i:u:P:k:cV:dW:q:"
/* clang-format off */
#define CLIENT_LONG                                                  \
  {"help", no_argument, NULL, OPTION_HELP},                          \
  {"version", no_argument, NULL, OPTION_VERSION},                    \
  {"will-topic", required_argument, NULL, OPTION_WILL_TOPIC},        \
  {"will-payload", required_argument, NULL, OPTION_WILL_PAYLOAD},    \
  {"will-qos", required_argument, NULL, OPTION_WILL_QOS},            \
  {"will-retain", no_argument, NULL, OPTION_WILL_RETAIN},            \
  {"ws-path", required_argument, NULL, OPTION_WS_PATH},              \
  {"proxy", required_argument, NULL, OPTION_PROXY}
/* clang-format on */

/* The part of --help that is about these options. */
extern const char client_help[];

void client_init(struct client *client, const char *program);

/* Takes an option that getopt_long() found. Ends the program if it or its value is not valid. */
void client_option(struct client *client, int option, const char *value, const char *help);

/* A number from `min` to `max`, or the end of the program. */
int client_number(const struct client *client, const char *option, const char *value, int min, int max);

/* Begins to connect. `on_event` gets events of these kinds, with `ud`. */
void client_open(struct client *client, uint32_t kinds, mgos_mqtt_event_fn_t on_event, void *ud);

enum client_wake { WAKE_NOTHING, WAKE_INPUT, WAKE_SIGNAL, WAKE_TIME_OVER };

/* Waits until there is something to do, does what is the library's, and tells the rest. WAKE_INPUT: the file
 * descriptor `input` can be read; -1 for none. */
enum client_wake client_wait(struct client *client, int input);

/* Sends DISCONNECT and waits until the server has closed the connection, or two seconds. */
void client_close(struct client *client);

/* A line on standard error: "program: text". client_debug() with -d only. */
void client_say(const struct client *client, const char *format, ...);
void client_debug(const struct client *client, const char *format, ...);

/* As client_say(), and ends the program with EXIT_USAGE. */
void client_usage(const struct client *client, const char *format, ...);

/* As client_say(): what became of the last attempt to connect, or of the connection. */
void client_say_error(const struct client *client);

#endif
