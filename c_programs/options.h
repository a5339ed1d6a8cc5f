/* The options of all programs, in one table: it drives the command line, the configuration files, --help, the man pages
 * and docs/programs.md. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>

/* Which programs have an option. */
enum { PUB = 1, SUB = 2, RR = 4, DOCTOR = 8, TALK = PUB | SUB | RR, ALL = TALK | DOCTOR };

enum option_section {
  SECTION_SERVER,
  SECTION_SESSION,
  SECTION_TLS,
  SECTION_WILL,
  SECTION_MESSAGE,
  SECTION_SUBSCRIPTION,
  SECTION_OUTPUT,
  SECTION_PROGRAM,
  SECTION_REFUSED, /* recognised, and refused: `help` is the reason */
  NUM_SECTIONS
};

/* What a row of the table has. */
enum option_id {
  /* server */
  OPT_HOST, OPT_PORT, OPT_URL, OPT_UNIX, OPT_BIND, OPT_NODELAY, OPT_PROXY, OPT_WS_PATH,
  /* session */
  OPT_ID, OPT_ID_PREFIX, OPT_USER, OPT_PASSWORD, OPT_PASSWORD_FILE, OPT_KEEP_ALIVE, OPT_KEEP_SESSION, OPT_EXPIRY,
  OPT_VERSION_OF_MQTT, OPT_PROPERTY,
  /* TLS */
  OPT_CAFILE, OPT_CAPATH, OPT_OS_CERTS, OPT_CERT, OPT_KEY, OPT_KEYFORM, OPT_KEY_PASSWORD_FILE, OPT_INSECURE, OPT_CIPHERS,
  OPT_TLS_VERSION, OPT_ALPN, OPT_SERVER_NAME, OPT_PINS, OPT_CRL, OPT_PSK, OPT_PSK_IDENTITY,
  /* will */
  OPT_WILL_TOPIC, OPT_WILL_PAYLOAD, OPT_WILL_QOS, OPT_WILL_RETAIN,
  /* message */
  OPT_TOPIC, OPT_MESSAGE, OPT_FILE, OPT_NULL_MESSAGE, OPT_STDIN_LINE, OPT_STDIN_FILE, OPT_QOS, OPT_RETAIN, OPT_REPEAT,
  OPT_REPEAT_DELAY, OPT_MAX_INFLIGHT, OPT_RESPONSE_TOPIC,
  /* subscription */
  OPT_FILTER_OUT, OPT_UNSUBSCRIBE, OPT_NO_RETAINED, OPT_RETAINED_ONLY, OPT_REMOVE_RETAINED, OPT_RETAIN_AS_PUBLISHED,
  OPT_RANDOM_FILTER, OPT_COUNT, OPT_SUBSCRIBED,
  /* output */
  OPT_VERBOSE, OPT_NO_LINE_FEED, OPT_FORMAT, OPT_PRETTY, OPT_JSON,
  /* the program itself */
  OPT_TIMEOUT, OPT_DEBUG, OPT_QUIET, OPT_HELP, OPT_VERSION,
  /* what is refused: no program acts on them */
  OPT_REFUSED
};

struct option_row {
  char letter;          /* '\0' without one */
  const char *name;     /* the long one; NULL without one */
  const char *argument; /* what --help calls it; NULL without one */
  int programs;         /* PUB, SUB ... */
  enum option_section section;
  enum option_id id;
  const char *help; /* may have line breaks */
};

extern const struct option_row option_table[];
extern const size_t num_options;
extern const char *const option_section_names[NUM_SECTIONS];

/* The row of "-x" or "--name", as `program` has it; NULL if it has none. `len` is without a "=value". */
const struct option_row *option_find(int program, const char *word, size_t len);

/* The option as a user writes it, "-t" or "--cafile". */
const char *option_spelling(const struct option_row *row, char buf[40]);

/* The part of --help that lists them. */
void option_print_help(int program);

#endif
