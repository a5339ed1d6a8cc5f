/* Calls that have to be refused: what test_arguments.c and test_values.c share. One source file includes it.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <mgos_mqtt.h>

/* The functions that the NULL test has called, one a line. */
static char called[16384];
static int wrong;

static void note_call(const char *name) {
  char line[128];
  snprintf(line, sizeof(line), "%s\n", name);
  if (strstr(called, line) == NULL) strcat(called, line);
}

static void check_error(const char *call, int expected, int line) {
  char text[256];
  int error = mgos_mqtt_last_error();
  if (error != expected) {
    print_error("%d: %s: %s instead of %s\n", line, call, mgos_mqtt_error_name(error),
                mgos_mqtt_error_name(expected));
    wrong++;
  }
  mgos_mqtt_last_error_text(text, sizeof(text));
  if (error != MGOS_MQTT_OK && strlen(text) < 10) {
    print_error("%d: %s: no text\n", line, call);
    wrong++;
  }
}

static void check_result(const char *call, bool fine, int line) {
  if (fine) return;
  print_error("%d: not so: %s\n", line, call);
  wrong++;
}

/* Calls a function and expects an error; the same with a look at what it returned; and one whose result is
 * all. */
#define REFUSED(name, code, ...)                             \
  do {                                                       \
    note_call(#name);                                        \
    (void) name(__VA_ARGS__);                                \
    check_error(#name "(" #__VA_ARGS__ ")", code, __LINE__); \
  } while (0)
#define NULLS(name, ...) REFUSED(name, MGOS_MQTT_NULL_ARGUMENT, __VA_ARGS__)
#define HOLDS(name, condition)                     \
  do {                                             \
    note_call(#name);                              \
    check_result(#condition, condition, __LINE__); \
  } while (0)
#define NO_POINTERS(name) note_call(#name)

static void on_event(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev, (void) ev_data, (void) ud;
}

static void on_library_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ev, (void) ud;
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc, (void) topic, (void) topic_len, (void) msg, (void) msg_len, (void) ud;
}

#endif /* ARGUMENTS_H */
