#define _POSIX_C_SOURCE 200809L
#include "settings.h"

#include <errno.h>
#include <mgos_mqtt_version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "output.h"

struct program_texts program_texts;

void *must_have(void *memory) {
  if (memory == NULL) {
    fputs("out of memory\n", stderr);
    exit(EXIT_FAILED);
  }
  return memory;
}

void texts_add(struct texts *list, const char *text) {
  list->text = must_have(realloc(list->text, (list->count + 1) * sizeof(*list->text)));
  list->text[list->count++] = text;
}

void settings_fail(const struct settings *s, const char *format, ...) {
  va_list ap;
  fprintf(stderr, "%s: ", s->program);
  if (s->where != NULL) fprintf(stderr, "%s: ", s->where);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fprintf(stderr, "\n'%s --help' lists the options.\n", s->program);
  exit(EXIT_FAILED);
}

long long settings_number(const struct settings *s, const struct option_row *row, const char *value, long long min, long long max) {
  char *end, name[40];
  long long number;
  errno = 0;
  number = strtoll(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || number < min || number > max) {
    settings_fail(s, "%s: '%s' is not a number from %lld to %lld", option_spelling(row, name), value, min, max);
  }
  return number;
}

static double decimal(const struct settings *s, const struct option_row *row, const char *value, double min, double max) {
  char *end, name[40];
  double number = strtod(value, &end);
  if (end == value || *end != '\0' || !(number >= min && number <= max)) {
    settings_fail(s, "%s: '%s' is not a number from %g to %g", option_spelling(row, name), value, min, max);
  }
  return number;
}

/* The first line of a file that has a secret. */
static const char *secret_of(const struct settings *s, const struct option_row *row, const char *path) {
  char name[40], *line = NULL;
  size_t size = 0;
  FILE *file = fopen(path, "r");
  ssize_t len = file != NULL ? getline(&line, &size, file) : -1;
  if (file == NULL) settings_fail(s, "%s: cannot read '%s': %s", option_spelling(row, name), path, strerror(errno));
  if (len <= 0) settings_fail(s, "%s: '%s' has no first line", option_spelling(row, name), path);
  fclose(file);
  line[strcspn(line, "\r\n")] = '\0';
  return line;
}

static void take_server(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_HOST:
      s->host = NULL;
      if (strstr(value, "://") != NULL) {
        url_take(s, value);
      } else if (strchr(value, '@') != NULL) { /* not shown: there may be a password in it */
        settings_fail(s, "-h: a host has no @; user name and password are given by -u and -P, or in a URL (-L)");
      } else {
        s->host = value;
      }
      break;
    case OPT_PORT:
      s->port = (int) settings_number(s, row, value, 1, 65535);
      break;
    case OPT_URL: /* it says all: what an earlier one, or the file, said of port and topic counts no more */
      s->port = 0;
      s->url_topic = NULL;
      url_take(s, value);
      break;
    case OPT_UNIX:
      s->unix_path = value;
      break;
    case OPT_BIND:
      s->options.source_address = value;
      break;
    case OPT_PROXY:
      s->options.proxy = value;
      break;
    case OPT_WS_PATH:
      s->cfg.ws_path = value;
      s->ws_path_given = true;
      break;
    default: /* OPT_NODELAY: always so */
      break;
  }
}

/* Sets id or prefix, which exclude each other; the command line counts more than the file. */
static void take_id(struct settings *s, const struct option_row *row, const char *value) {
  bool prefix = row->id == OPT_ID_PREFIX;
  const char *other = prefix ? s->cfg.client_id : s->id_prefix;
  if (other != NULL && s->id_from_file == s->from_file) settings_fail(s, "-i and -I exclude each other");
  s->cfg.client_id = prefix ? NULL : value;
  s->id_prefix = prefix ? value : NULL;
  s->id_from_file = s->from_file;
}

static void take_version(struct settings *s, const char *value) {
  static const struct {
    const char *name;
    int version;
  } versions[] = {{"31", MGOS_MQTT_PROTOCOL_3_1},         {"mqttv31", MGOS_MQTT_PROTOCOL_3_1},
                  {"311", MGOS_MQTT_PROTOCOL_3_1_1},      {"mqttv311", MGOS_MQTT_PROTOCOL_3_1_1},
                  {"5", MGOS_MQTT_PROTOCOL_5},            {"mqttv5", MGOS_MQTT_PROTOCOL_5}};
  size_t i;
  for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
    if (strcmp(value, versions[i].name) == 0) {
      s->options.protocol_version = versions[i].version;
      return;
    }
  }
  settings_fail(s, "-V: '%s' is none of 31, 311 and 5, nor mqttv31, mqttv311 and mqttv5", value);
}

static void take_expiry(struct settings *s, const struct option_row *row, const char *value) {
  s->expiry_given = true;
  if (strcmp(value, "\xe2\x88\x9e") == 0) value = "-1"; /* the sign for infinity */
  s->expiry = (uint32_t) settings_number(s, row, value, -1, 4294967295LL);
}

static void take_session(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_ID:
    case OPT_ID_PREFIX:
      take_id(s, row, value);
      break;
    case OPT_USER:
      s->cfg.user = value;
      break;
    case OPT_PASSWORD:
      s->cfg.pass = value;
      break;
    case OPT_PASSWORD_FILE:
      s->cfg.pass = secret_of(s, row, value);
      break;
    case OPT_KEEP_ALIVE:
      s->cfg.keep_alive = (int) settings_number(s, row, value, 0, 65535);
      break;
    case OPT_KEEP_SESSION:
      s->cfg.clean_session = 0;
      break;
    case OPT_EXPIRY:
      take_expiry(s, row, value);
      break;
    default: /* OPT_VERSION_OF_MQTT; properties have more than one value and are taken elsewhere */
      take_version(s, value);
  }
}

static void take_tls_version(struct settings *s, const char *value) {
  if (strcmp(value, "tlsv1.3") == 0) {
    s->options.tls_min_version = MGOS_MQTT_TLS_1_3;
  } else if (strcmp(value, "tlsv1.2") == 0) {
    s->options.tls_min_version = MGOS_MQTT_TLS_1_2;
  } else if (strcmp(value, "tlsv1.1") == 0) {
    settings_fail(s, "--tls-version: TLS 1.1 is not spoken, it is not secure any more (RFC 8996); leave this option out");
  } else {
    settings_fail(s, "--tls-version: '%s' is neither tlsv1.2 nor tlsv1.3", value);
  }
}

static void take_tls(struct settings *s, const struct option_row *row, const char *value) {
  if (!mgos_mqtt_has("tls")) settings_fail(s, "--%s: the library was built without TLS", row->name);
  s->tls_named = true;
  switch (row->id) {
    case OPT_CAFILE:
      s->cfg.ssl_ca_cert = value;
      break;
    case OPT_CAPATH:
      s->capath = value;
      break;
    case OPT_OS_CERTS:
      s->options.tls_system_roots = 1;
      break;
    case OPT_CERT:
      s->cfg.ssl_cert = value;
      break;
    case OPT_KEY:
      s->cfg.ssl_key = value;
      break;
    case OPT_KEYFORM:
      if (strcmp(value, "pem") != 0) {
        settings_fail(s, "--keyform: only pem is possible; engines belong to OpenSSL, and TLS is rustls here");
      }
      break;
    case OPT_KEY_PASSWORD_FILE:
      s->options.tls_key_password = secret_of(s, row, value);
      s->options.tls_key_password_len = strlen(s->options.tls_key_password);
      break;
    case OPT_INSECURE:
      s->options.tls_insecure_skip_name = 1;
      break;
    case OPT_CIPHERS:
      s->cfg.ssl_cipher_suites = value;
      break;
    case OPT_TLS_VERSION:
      take_tls_version(s, value);
      break;
    case OPT_ALPN:
      s->options.tls_alpn = value;
      break;
    case OPT_SERVER_NAME:
      s->options.tls_server_name = value;
      break;
    case OPT_PINS:
      s->options.tls_pins = value;
      break;
    case OPT_CRL:
      s->options.tls_crl_file = value;
      break;
    case OPT_PSK:
      s->cfg.ssl_psk_key = value;
      break;
    default: /* OPT_PSK_IDENTITY */
      s->cfg.ssl_psk_identity = value;
  }
}

static void take_will(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_WILL_TOPIC:
      s->cfg.will_topic = value;
      break;
    case OPT_WILL_PAYLOAD:
      s->options.will_payload = value;
      s->options.will_payload_len = strlen(value);
      break;
    case OPT_WILL_QOS:
      s->options.will_qos = (int) settings_number(s, row, value, 0, 2);
      break;
    default: /* OPT_WILL_RETAIN */
      s->cfg.will_retain = 1;
  }
}

static void take_source(struct settings *s, enum message_source source, const char *value) {
  if (s->source != FROM_NOTHING && s->source_from_file == s->from_file) {
    settings_fail(s, "there can be one message only: one of -m, -f, -n, -s%s", s->which == PUB ? " and -l" : "");
  }
  s->source = source;
  s->source_from_file = s->from_file;
  if (source == FROM_TEXT) s->message = value;
  if (source == FROM_FILE) s->file = value;
}

static void take_topic(struct settings *s, const char *value) {
  if (s->which != SUB) s->topics.count = 0; /* it has one, and the last one given counts */
  texts_add(&s->topics, value);
}

static void take_message(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_TOPIC:
      take_topic(s, value);
      break;
    case OPT_RESPONSE_TOPIC:
      s->response_topic = value;
      break;
    case OPT_MESSAGE:
      take_source(s, FROM_TEXT, value);
      break;
    case OPT_FILE:
      take_source(s, FROM_FILE, value);
      break;
    case OPT_NULL_MESSAGE:
      take_source(s, FROM_NULL, NULL);
      break;
    case OPT_STDIN_LINE:
      take_source(s, FROM_LINES, NULL);
      break;
    case OPT_STDIN_FILE:
      take_source(s, FROM_INPUT, NULL);
      break;
    case OPT_QOS:
      s->qos = (int) settings_number(s, row, value, 0, 2);
      break;
    case OPT_RETAIN:
      s->retain = true;
      break;
    case OPT_MAX_INFLIGHT:
      s->options.in_flight_window = (int) settings_number(s, row, value, 1, 65535);
      break;
    case OPT_REPEAT:
      s->repeat = (int) settings_number(s, row, value, 1, 2147483647L);
      break;
    default: /* OPT_REPEAT_DELAY */
      s->repeat_delay = decimal(s, row, value, 0, 1e9);
  }
}

static void take_subscription(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_TOPIC:
      take_topic(s, value);
      break;
    case OPT_QOS:
      s->qos = (int) settings_number(s, row, value, 0, 2);
      break;
    case OPT_FILTER_OUT:
      texts_add(&s->filter_out, value);
      break;
    case OPT_UNSUBSCRIBE:
      texts_add(&s->unsubscribe, value);
      break;
    case OPT_NO_RETAINED:
      s->no_retained = true;
      break;
    case OPT_RETAINED_ONLY:
      s->retained_only = true;
      break;
    case OPT_REMOVE_RETAINED:
      s->remove_retained = true;
      break;
    case OPT_RETAIN_AS_PUBLISHED:
      s->retain_as_published = true;
      break;
    case OPT_RANDOM_FILTER:
      s->random_percent = decimal(s, row, value, 0.1, 100);
      break;
    case OPT_COUNT:
      s->count = (int) settings_number(s, row, value, 1, 2147483647L);
      break;
    default: /* OPT_SUBSCRIBED */
      s->end_when_subscribed = true;
  }
}

static void take_output(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_VERBOSE:
      s->verbose = true;
      break;
    case OPT_NO_LINE_FEED:
      s->no_line_feed = true;
      break;
    case OPT_FORMAT:
      s->format = value;
      break;
    case OPT_PRETTY:
      s->pretty = true;
      break;
    default: /* OPT_JSON */
      s->json = true;
  }
}

static void take_program(struct settings *s, const struct option_row *row, const char *value) {
  switch (row->id) {
    case OPT_TIMEOUT:
      s->timeout = (int) settings_number(s, row, value, 1, 2147483647L);
      break;
    case OPT_DEBUG:
      s->debug = true;
      break;
    case OPT_QUIET:
      s->quiet = true;
      break;
    case OPT_HELP:
      printf("%s", program_texts.help);
      option_print_help(s->which);
      if (option_find(s->which, "-F", 2) != NULL) printf("\n%s", format_help);
      printf("\n%s", program_texts.notes);
      exit(output_end(s->program) ? EXIT_SUCCESS : EXIT_FAILED);
    default: /* OPT_VERSION */
      printf("%s %s\n", s->program, mgos_mqtt_version());
      exit(output_end(s->program) ? EXIT_SUCCESS : EXIT_FAILED);
  }
}

void settings_take(struct settings *s, const struct option_row *row, const char *value) {
  static void (*const take[NUM_SECTIONS])(struct settings *, const struct option_row *, const char *) = {
      take_server, take_session, take_tls, take_will, take_message, take_subscription, take_output, take_program};
  char name[40];
  if (row->section == SECTION_REFUSED) settings_fail(s, "%s: %s", option_spelling(row, name), row->help);
  take[row->section](s, row, value);
}

/* The row of a word, and its value if that stands in the same word: "--port=1883", "-p1883". NULL: no option of ours. Of
 * several letters in one word, "-vN", the first is taken, and `*rest` are the others. */
static const struct option_row *look_up(const struct settings *s, const char *word, const char **value, const char **rest) {
  const struct option_row *row;
  size_t len = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : 2;
  *value = *rest = NULL;
  if (word[0] != '-' || word[1] == '\0') return NULL;
  row = option_find(s->which, word, len);
  if (row == NULL || word[len] == '\0') return row;
  if (row->id == OPT_PROPERTY) return NULL; /* its values are words of their own */
  if (row->argument != NULL) {
    *value = word + len + (word[len] == '=' && len > 2);
  } else if (len == 2) {
    *rest = word + 2;
  } else {
    return NULL; /* a value for an option without one */
  }
  return row;
}

/* Ends the program: a word is no option. A password may be in it, behind a = or in an address, and is not shown. */
static void refuse_word(const struct settings *s, const char *word) {
  if (strchr(word, '@') != NULL) settings_fail(s, "an address is given by -h or -L; a word with an @ in it is no option");
  settings_fail(s, "'%.*s' is no option", (int) strcspn(word, "="), word);
}

void settings_take_words(struct settings *s, char **words, int count) {
  char name[40], letter[3] = "-x";
  int at = 0;
  while (at < count) {
    const char *word = words[at++], *value, *rest;
    const struct option_row *row = look_up(s, word, &value, &rest);
    while (row != NULL && rest != NULL) { /* several letters */
      settings_take(s, row, NULL);
      letter[1] = *rest++;
      row = option_find(s->which, letter, 2);
      if (row != NULL && row->argument != NULL) {
        value = *rest != '\0' ? rest : NULL;
        rest = NULL;
      } else if (*rest == '\0') {
        rest = NULL;
      }
    }
    if (row == NULL || (row->id == OPT_PROPERTY && value != NULL)) {
      refuse_word(s, word);
      return; /* it does not */
    }
    if (row->id == OPT_PROPERTY) {
      int values = at + 1 < count ? property_values(s, words[at], words[at + 1]) : count;
      if (at + 2 + values > count) settings_fail(s, "-D: COMMAND NAME VALUE are needed, for user-property two values");
      property_take(s, words[at], words[at + 1], (const char *const *) &words[at + 2]);
      at += 2 + values;
      continue;
    }
    if (row->argument != NULL && value == NULL) {
      if (at == count) settings_fail(s, "%s: %s is missing", option_spelling(row, name), row->argument);
      value = words[at++];
    }
    settings_take(s, row, value);
  }
}

void settings_read(struct settings *s, int which, const char *program, int argc, char **argv, const char *help,
                   const char *notes) {
  memset(s, 0, sizeof(*s));
  s->which = which;
  s->program = program;
  s->repeat = 1;
  s->random_percent = 100;
  s->options = mgos_mqtt_options_init();
  mgos_config_mqtt_set_defaults(&s->cfg);
  s->cfg.enable = 1;
  program_texts.help = help;
  program_texts.notes = notes;
  if (which == RR) s->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  s->from_file = true;
  config_file_read(s);
  s->from_file = false;
  s->where = NULL;
  settings_take_words(s, argv + 1, argc - 1);
}
