/* mgos_mqtt_sub: prints messages from an MQTT server. See `help` below. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"

static const char help[] =
    "mgos_mqtt_sub: subscribes to topics of an MQTT server and prints what arrives.\n"
    "\n"
    "  mgos_mqtt_sub [-h HOST] [-p PORT] -t TOPIC [-t TOPIC]... [-q QOS] [-v]\n"
    "  mgos_mqtt_sub -L 'mqtt://host/sensors/#' -F '%I %t %p'\n"
    "\n"
    "Subscription:\n"
    "  -t TOPIC             a topic, with + and # if need be; may be given several times\n"
    "  -q QOS               the highest QoS of what is received: 0, 1 or 2 (default: 0)\n"
    "  -R                   do not print messages that were retained before\n"
    "  -C COUNT             end after so many messages\n"
    "  -E                   end when all subscriptions are made; with -c and -i the server\n"
    "                       then collects messages for the next time\n"
    "\n"
    "Output, to standard output, one message a line:\n"
    "  -v                   the topic before each message\n"
    "  -N                   no line feed after messages\n"
    "  -F FORMAT            as the format says:\n"
    "       %t topic             %p message             %l its length in bytes\n"
    "       %x message in hexadecimal, %X in capitals   %j everything as JSON\n"
    "       %q QoS               %r retained: 0 or 1    %d delivered again: 0 or 1\n"
    "       %m packet id         %I time, ISO 8601      %U time, seconds since 1970\n"
    "       %% percent sign      \\n \\t \\r \\0 \\\\       line feed, tab, return, NUL, backslash\n"
    "\n"
    "Exit code: 0 after -C or -E, SIGINT or SIGTERM; 1 not connected, a subscription was\n"
    "refused, or the output cannot be written; 2 wrong usage; 27 the time of -W was over.\n"
    "A connection that is lost comes back by itself.\n";

struct subscriber {
  struct client client;
  const char **topics;
  int num_topics, num_answered;
  bool up, verbose, no_line_feed, no_retained, end_when_subscribed;
  int count; /* -C; 0 is without limit */
  const char *format;
  int received;
  int status; /* -1 while it runs */
};

struct message {
  struct mg_str topic, payload;
  const struct mgos_mqtt_event *ev;
};

static void print_hex(struct mg_str bytes, const char *format) {
  size_t i;
  for (i = 0; i < bytes.len; i++) printf(format, (unsigned char) bytes.p[i]);
}

static void print_time(bool iso) {
  struct timespec now;
  struct tm local;
  char text[40];
  clock_gettime(CLOCK_REALTIME, &now);
  if (!iso) {
    printf("%ld.%09ld", (long) now.tv_sec, now.tv_nsec);
  } else if (localtime_r(&now.tv_sec, &local) != NULL &&
             strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &local) > 0) {
    fputs(text, stdout);
  }
}

static void print_conversion(char conversion, const struct message *m) {
  struct json_out out = JSON_OUT_FILE(stdout);
  switch (conversion) {
    case 't':
      fwrite(m->topic.p, 1, m->topic.len, stdout);
      break;
    case 'p':
      fwrite(m->payload.p, 1, m->payload.len, stdout);
      break;
    case 'l':
      printf("%lu", (unsigned long) m->payload.len);
      break;
    case 'x':
      print_hex(m->payload, "%02x");
      break;
    case 'X':
      print_hex(m->payload, "%02X");
      break;
    case 'q':
      printf("%d", mgos_mqtt_event_qos(m->ev));
      break;
    case 'r':
      printf("%d", mgos_mqtt_event_retain(m->ev));
      break;
    case 'd':
      printf("%d", mgos_mqtt_event_dup(m->ev));
      break;
    case 'm':
      printf("%d", mgos_mqtt_event_packet_id(m->ev));
      break;
    case 'I':
      print_time(true);
      break;
    case 'U':
      print_time(false);
      break;
    case 'j':
      json_printf(&out, "{topic: %.*Q, qos: %d, retain: %B, payloadlen: %d, payload: %.*Q}",
                  (int) m->topic.len, m->topic.p, mgos_mqtt_event_qos(m->ev), mgos_mqtt_event_retain(m->ev),
                  (int) m->payload.len, (int) m->payload.len, m->payload.p);
      break;
    default: /* '%'; others were refused by check_format() */
      putchar(conversion);
  }
}

static char escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return '\0';
    default: /* a backslash */
      return c;
  }
}

static void check_format(const struct client *client, const char *format) {
  const char *f;
  for (f = format; *f != '\0'; f++) {
    if (*f != '%' && *f != '\\') continue;
    if (f[1] == '\0' || strchr(*f == '%' ? "tplxXqrdmIUj%" : "ntr0\\", f[1]) == NULL) {
      client_usage(client, "-F: '%c%c' is not known", *f, f[1]);
    }
    f++;
  }
}

static void print_message(const struct subscriber *s, const struct message *m) {
  const char *f = s->format != NULL ? s->format : s->verbose ? "%t %p" : "%p";
  for (; *f != '\0'; f++) {
    if (*f == '%') {
      print_conversion(*++f, m);
    } else if (*f == '\\') {
      putchar(escaped(*++f));
    } else {
      putchar(*f);
    }
  }
  if (!s->no_line_feed) putchar('\n');
}

static struct subscriber s;

/* A message goes to every subscription that matches it; the first of them prints it. */
static void on_message(const struct mgos_mqtt_event *ev, int index) {
  struct message m;
  int i;
  m.ev = ev;
  m.topic.p = mgos_mqtt_event_topic(ev, &m.topic.len);
  m.payload.p = mgos_mqtt_event_payload(ev, &m.payload.len);
  for (i = 0; i < index; i++) {
    if (mg_mqtt_vmatch_topic_expression(s.topics[i], m.topic)) return;
  }
  if (s.status >= 0 || (s.no_retained && mgos_mqtt_event_retain(ev))) return;
  print_message(&s, &m);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    client_say(&s.client, "cannot write the output");
    s.status = EXIT_FAILED;
  } else if (++s.received == s.count) {
    s.status = EXIT_SUCCESS;
  }
  /* At once: what the server sends after the last message is left for the next time. */
  if (s.status >= 0) mgos_mqtt_conn_disconnect(s.client.conn);
}

/* `ud` is the place of the subscription in the list, which gives its index. */
static void on_subscription(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  int index = (int) ((const char **) ud - s.topics);
  int code = mgos_mqtt_event_code(ev);
  (void) c;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_MESSAGE) {
    on_message(ev, index);
  } else if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_SUBACK) {
    if (code >= 0x80) {
      client_say(&s.client, "the server refused the subscription to %s", s.topics[index]);
      s.status = EXIT_FAILED;
    } else {
      client_debug(&s.client, "subscribed to %s with QoS %d", s.topics[index], code);
      if (++s.num_answered == s.num_topics && s.end_when_subscribed) s.status = EXIT_SUCCESS;
    }
  }
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c, (void) ud;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CLOSE) {
    if (s.status < 0)
      client_debug(&s.client, "connection lost: %s", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
  } else if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
    s.up = true;
    client_debug(&s.client, "connected to %s", s.client.server);
  } else if (!s.up) { /* after a first success the library tries on by itself */
    client_say_error(&s.client);
    s.status = EXIT_FAILED;
  }
}

int main(int argc, char **argv) {
  static const struct option long_options[] = {CLIENT_LONG, {NULL, 0, NULL, 0}};
  int i, option;

  client_init(&s.client, "mgos_mqtt_sub");
  s.status = -1;
  s.topics = calloc((size_t) argc, sizeof(*s.topics));
  if (s.topics == NULL) return EXIT_FAILED;
  while ((option = getopt_long(argc, argv, CLIENT_SHORT "t:RC:EvNF:", long_options, NULL)) != -1) {
    switch (option) {
      case 't':
        s.topics[s.num_topics++] = optarg;
        break;
      case 'R':
        s.no_retained = true;
        break;
      case 'C':
        s.count = client_number(&s.client, "-C", optarg, 1, 2000000000);
        break;
      case 'E':
        s.end_when_subscribed = true;
        break;
      case 'v':
        s.verbose = true;
        break;
      case 'N':
        s.no_line_feed = true;
        break;
      case 'F':
        check_format(&s.client, optarg);
        s.format = optarg;
        break;
      default:
        client_option(&s.client, option, optarg, help);
    }
  }
  if (optind < argc) client_usage(&s.client, "'%s' is no option", argv[optind]);
  if (s.num_topics == 0 && s.client.url_topic != NULL) s.topics[s.num_topics++] = s.client.url_topic;
  if (s.num_topics == 0) client_usage(&s.client, "a topic (-t) is needed");
  client_open(&s.client, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_event, NULL);
  for (i = 0; i < s.num_topics; i++) {
    if (mgos_mqtt_conn_subscribe(s.client.conn, s.topics[i], s.client.qos, on_subscription, &s.topics[i],
                                 NULL) != 0) {
      client_usage(&s.client, "-t '%s': %s", s.topics[i], mgos_mqtt_strerror(mgos_mqtt_last_error()));
    }
  }

  while (s.status < 0) {
    switch (client_wait(&s.client, -1)) {
      case WAKE_SIGNAL:
        if (s.status < 0) s.status = EXIT_SUCCESS;
        break;
      case WAKE_TIME_OVER:
        client_say(&s.client, s.up ? "the time is over" : "not connected in time");
        s.status = EXIT_TIME_OVER;
        break;
      default:
        break;
    }
  }
  client_close(&s.client);
  free(s.topics);
  return s.status;
}
