/* mgos_mqtt_pub: publishes messages from the command line. See `help` below. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

static const char help[] =
    "mgos_mqtt_pub: publishes to an MQTT server and waits until the server has it.\n"
    "\n"
    "  mgos_mqtt_pub [-h HOST] [-p PORT] -t TOPIC -m MESSAGE [-q QOS] [-r]\n"
    "  mgos_mqtt_pub -L mqtt://host/topic -f FILE\n"
    "  sensor | mgos_mqtt_pub -t TOPIC -l\n"
    "\n"
    "Message:\n"
    "  -t TOPIC             where to\n"
    "  -m MESSAGE           this text\n"
    "  -f FILE              the content of a file\n"
    "  -n                   an empty message; with -r it removes a retained one\n"
    "  -l                   each line of standard input as a message of its own\n"
    "  -s                   all of standard input as one message\n"
    "  -q QOS               0, 1 or 2 (default: 0)\n"
    "  -r                   the server retains it\n"
    "\n"
    "Exit code: 0 everything was delivered: acknowledged (QoS 1 and 2) or written (QoS 0);\n"
    "1 not connected, refused, or not delivered; 2 wrong usage; 27 the time of -W was over.\n";

enum { MAX_MESSAGE = 268435455 };

struct publisher {
  struct client client;
  const char *topic;
  bool retain;
  bool up, failed;
  unsigned long unacknowledged;
  /* What was read and not published yet. */
  char *input;
  size_t len, size;
};

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct publisher *p = ud;
  (void) c;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_CONNECT_RESULT:
      if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
        p->up = true;
        client_debug(&p->client, "connected to %s", p->client.server);
      } else if (!p->up) { /* after a first success the library tries on by itself */
        p->failed = true;
      }
      break;
    case MGOS_MQTT_EV_CLOSE: /* what was published with QoS 0 is lost with the connection */
      if (p->client.qos == 0) p->failed = true;
      break;
    case MGOS_MQTT_EV_PUBACK:
    case MGOS_MQTT_EV_PUBCOMP:
      client_debug(&p->client, "packet %d is acknowledged", mgos_mqtt_event_packet_id(ev));
      if (p->unacknowledged > 0) p->unacknowledged--;
      break;
  }
}

/* True when it was accepted; false when it has to be tried again later. Ends the program if that is no use.
 */
static bool publish(struct publisher *p, const char *data, size_t len) {
  struct mg_str message;
  uint16_t id;
  int error;
  message.p = data;
  message.len = len;
  id = mgos_mqtt_conn_pub(p->client.conn, p->topic, message, p->client.qos, p->retain);
  if (id != 0) {
    client_debug(&p->client, "packet %d: %lu bytes to %s", id, (unsigned long) len, p->topic);
    if (p->client.qos > 0) p->unacknowledged++;
    return true;
  }
  error = mgos_mqtt_last_error();
  switch (error) {
    case MGOS_MQTT_QUEUE_FULL:
    case MGOS_MQTT_NO_MORE_MSGIDS:
    case MGOS_MQTT_NOT_CONNECTED:
      return false;
    default:
      client_say(&p->client, "%s: %s", p->topic, mgos_mqtt_strerror(error));
      client_close(&p->client);
      exit(error == MGOS_MQTT_BAD_TOPIC || error == MGOS_MQTT_BAD_UTF8 ? EXIT_USAGE : EXIT_FAILED);
  }
}

/* Reads once. False at the end of the input. */
static bool take_input(struct publisher *p, int fd) {
  ssize_t n;
  if (p->size - p->len < 4096) {
    size_t size = p->size == 0 ? 65536 : p->size * 2;
    char *larger = size <= 2 * (size_t) MAX_MESSAGE ? realloc(p->input, size) : NULL;
    if (larger == NULL) {
      client_say(&p->client, "the input is too large for a message");
      exit(EXIT_FAILED);
    }
    p->input = larger;
    p->size = size;
  }
  do {
    n = read(fd, p->input + p->len, p->size - p->len);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    client_say(&p->client, "cannot read: %s", strerror(errno));
    exit(EXIT_FAILED);
  }
  p->len += (size_t) n;
  return n > 0;
}

/* Publishes all lines that are complete, and after the end of the input also a last one without line feed.
 * False if there are lines left. */
static bool publish_lines(struct publisher *p, bool ended) {
  size_t at = 0;
  bool all = true;
  while (at < p->len) {
    const char *feed = memchr(p->input + at, '\n', p->len - at);
    size_t len = feed != NULL ? (size_t) (feed - p->input) - at : p->len - at;
    if (feed == NULL && !ended) break;
    if (!publish(p, p->input + at, len)) {
      all = false;
      break;
    }
    at += len + (feed != NULL);
  }
  if (at > 0) memmove(p->input, p->input + at, p->len - at);
  p->len -= at;
  return all;
}

static void read_file(struct publisher *p, const char *name) {
  FILE *file = fopen(name, "rb");
  if (file == NULL) {
    client_say(&p->client, "%s: %s", name, strerror(errno));
    exit(EXIT_FAILED);
  }
  while (take_input(p, fileno(file))) {
  }
  fclose(file);
}

int main(int argc, char **argv) {
  static const struct option long_options[] = {CLIENT_LONG, {NULL, 0, NULL, 0}};
  struct publisher p;
  const char *message = NULL, *file = NULL;
  bool lines = false, whole_input = false, empty = false, ended = false;
  bool stuck = false; /* the queue is full: nothing more is read until it has room */
  bool accepted = false;
  int option, status = -1;

  memset(&p, 0, sizeof(p));
  client_init(&p.client, "mgos_mqtt_pub");
  while ((option = getopt_long(argc, argv, CLIENT_SHORT "t:m:f:nlsr", long_options, NULL)) != -1) {
    switch (option) {
      case 't':
        p.topic = optarg;
        break;
      case 'm':
        message = optarg;
        break;
      case 'f':
        file = optarg;
        break;
      case 'n':
        empty = true;
        break;
      case 'l':
        lines = true;
        break;
      case 's':
        whole_input = true;
        break;
      case 'r':
        p.retain = true;
        break;
      default:
        client_option(&p.client, option, optarg, help);
    }
  }
  if (optind < argc) client_usage(&p.client, "'%s' is no option", argv[optind]);
  if ((message != NULL) + (file != NULL) + empty + lines + whole_input != 1) {
    client_usage(&p.client, "one of -m, -f, -n, -l and -s is needed");
  }
  if (p.topic == NULL) p.topic = p.client.url_topic;
  if (p.topic == NULL) client_usage(&p.client, "a topic (-t) is needed");
  if (file != NULL) read_file(&p, file);
  p.client.options.max_outgoing_bytes = MAX_MESSAGE;
  client_open(&p.client,
              MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_PUBACK | MGOS_MQTT_EV_PUBCOMP,
              on_event, &p);

  while (status < 0) {
    bool reading = (lines || whole_input) && p.up && !ended && !stuck;
    enum client_wake wake = client_wait(&p.client, reading ? STDIN_FILENO : -1);
    if (wake == WAKE_INPUT) ended = !take_input(&p, STDIN_FILENO);
    if (p.up && lines) {
      stuck = !publish_lines(&p, ended);
      accepted = ended && !stuck;
    } else if (p.up && !accepted && (ended || !whole_input)) {
      accepted = message != NULL ? publish(&p, message, strlen(message)) : publish(&p, p.input, p.len);
    }
    if (accepted && p.unacknowledged == 0 && mgos_mqtt_conn_num_unsent_bytes(p.client.conn) == 0 &&
        !p.failed) {
      status = EXIT_SUCCESS;
    } else if (p.failed) {
      client_say_error(&p.client);
      status = EXIT_FAILED;
    } else if (wake == WAKE_TIME_OVER) {
      client_say(&p.client, p.up ? "not everything was acknowledged in time" : "not connected in time");
      status = EXIT_TIME_OVER;
    } else if (wake == WAKE_SIGNAL) {
      client_say(&p.client, "interrupted; %lu messages are not acknowledged", p.unacknowledged);
      status = EXIT_FAILED;
    }
  }
  client_close(&p.client);
  free(p.input);
  return status;
}
