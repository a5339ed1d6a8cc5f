/* The connection of a program, and a loop that also hears of signals, of standard input and of times. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <mgos_mqtt.h>
#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

struct client {
  const struct settings *settings;
  char server[1024], client_id[300];
  struct mgos_mqtt_conn *conn;
  bool up;         /* it was, at least once */
  double deadline; /* of client_now(); 0 without -W */
  double alarm;    /* of client_now(): client_wait() returns WAKE_ALARM; 0: none */
};

/* Seconds of a clock that nobody sets. */
double client_now(void);

/* Completes the options, and makes the connection without opening it. Ends the program if they are not valid. */
void client_make(struct client *client, struct settings *settings);

/* From here on SIGINT and SIGTERM end client_wait(). Begins to connect. `on_event` gets events of these kinds, with `ud`. */
void client_connect(struct client *client, uint32_t kinds, mgos_mqtt_event_fn_t on_event, void *ud);

enum client_wake { WAKE_NOTHING, WAKE_INPUT, WAKE_ALARM, WAKE_SIGNAL, WAKE_TIME_OVER };

/* Waits until there is something to do, does what is the library's, and tells the rest. WAKE_INPUT: the file
 * descriptor `input` can be read; -1 for none. */
enum client_wake client_wait(struct client *client, int input);

/* Sends DISCONNECT and waits until the server has received everything. False if it did not; with a message if that
 * `matters`, because something was sent that no answer of the server is about. */
bool client_close(struct client *client, bool matters);

/* A line on standard error: "program: text". client_debug() with -d only; --quiet silences both. */
void client_say(const struct client *client, const char *format, ...);
void client_debug(const struct client *client, const char *format, ...);

/* As client_say(): what became of the last attempt to connect, or of the connection. Returns the exit code: the server's
 * code if it refused the connection. */
int client_say_error(const struct client *client);

/* Ends the program: the call that just failed was given something that is not valid, namely `what`. */
void client_refuse(const struct client *client, const char *what);

#endif
