/* What the command line and the configuration file of a program say. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_property.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

/* Exit codes beside EXIT_SUCCESS and the codes of CONNACK. As with the programs of mosquitto. */
enum { EXIT_FAILED = 1, EXIT_TLS = 8, EXIT_TIME_OVER = 27 };

/* What a property that -D gives belongs to. */
enum property_of { OF_CONNECT, OF_PUBLISH, OF_SUBSCRIBE, OF_UNSUBSCRIBE, OF_DISCONNECT, OF_WILL, NUM_OF };

struct texts {
  const char **text;
  size_t count;
};

struct properties {
  struct mgos_mqtt_property *property;
  size_t count;
};

enum message_source { FROM_NOTHING, FROM_TEXT, FROM_FILE, FROM_NULL, FROM_LINES, FROM_INPUT };

struct settings {
  int which;           /* PUB ... */
  const char *program; /* its name */
  const char *where;   /* what a complaint about an option begins with: the line of a file; NULL for the command line */
  bool from_file;      /* it is a configuration file that is read now */
  struct texts lines;  /* of that file */

  /* server */
  const char *host, *unix_path;
  int port;             /* 0: not given */
  bool url_tls, url_ws; /* the scheme of -L */
  bool ws_path_given;
  const char *url_topic;
  /* session, TLS, will */
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options;
  const char *id_prefix;
  bool id_from_file;
  bool expiry_given;
  uint32_t expiry;
  struct properties properties[NUM_OF];
  bool property_given;                 /* -D was, and needs MQTT 5.0 */
  uint32_t subscription_identifier;    /* of -D subscribe; 0: none */
  uint16_t topic_alias;                /* of -D publish; 0: none */
  const char *capath;
  bool tls_named; /* an option that is about TLS */
  /* message */
  struct texts topics;
  const char *response_topic;
  enum message_source source;
  bool source_from_file; /* the configuration file said so: the command line may say something else */
  const char *message, *file;
  int qos, repeat;
  bool retain;
  double repeat_delay;
  /* subscription */
  struct texts filter_out, unsubscribe;
  bool no_retained, retained_only, remove_retained, retain_as_published, end_when_subscribed;
  double random_percent; /* 100: all */
  int count;             /* 0: without limit */
  /* output */
  bool verbose, no_line_feed, pretty, json;
  const char *format;
  /* the program */
  int timeout; /* seconds; 0: none */
  bool debug, quiet;
};

/* Reads the configuration file, if there is one, and then the command line. Ends the program if either is not valid. `help`
 * and `notes` are what --help shows before and after the options. */
void settings_read(struct settings *s, int which, const char *program, int argc, char **argv, const char *help,
                   const char *notes);

/* One option with its value (NULL without one), as the table says. */
void settings_take(struct settings *s, const struct option_row *row, const char *value);

/* A complaint about how the program was called, and its end. */
void settings_fail(const struct settings *s, const char *format, ...);

/* A number from `min` to `max`, or the end of the program. */
long long settings_number(const struct settings *s, const struct option_row *row, const char *value, long long min, long long max);

/* Takes scheme://[user[:password]@]host[:port][/topic] apart. */
void url_take(struct settings *s, const char *url);

/* -D: the number of values that follow the command's name and the property's, and taking all of them. */
int property_values(const struct settings *s, const char *command, const char *name);
void property_take(struct settings *s, const char *command, const char *name, const char *const *values);
void property_add(struct properties *list, struct mgos_mqtt_property property);

/* The configuration file of this program; without one, that of the program of mosquitto. */
void config_file_read(struct settings *s);

/* Words of a command: options with their values, one after the other. */
void settings_take_words(struct settings *s, char **words, int count);

void texts_add(struct texts *list, const char *text);
/* Memory, or the end of the program. */
void *must_have(void *memory);

/* What --help and --version need. */
struct program_texts {
  const char *help, *notes;
};
extern struct program_texts program_texts;

#endif
