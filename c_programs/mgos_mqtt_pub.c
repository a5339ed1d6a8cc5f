/* mgos_mqtt_pub: publishes messages from the command line. See `help` below. */
#define _POSIX_C_SOURCE 200809L
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_reason.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "input.h"
#include "output.h"
#include "topic.h"

static const char help[] =
    "mgos_mqtt_pub: publishes to an MQTT server and waits until the server has it.\n"
    "\n"
    "  mgos_mqtt_pub [-h HOST] [-p PORT] -t TOPIC -m MESSAGE [-q QOS] [-r]\n"
    "  mgos_mqtt_pub -L mqtt://host/topic -f FILE\n"
    "  sensor | mgos_mqtt_pub -t TOPIC -l\n";

static const char notes[] =
    "Options may also stand in ~/.config/mgos_mqtt_pub, or else ~/.config/mosquitto_pub, one\n"
    "in each line.\n"
    "\n"
    "Exit code: 0 everything was delivered: acknowledged (QoS 1 and 2) or received (QoS 0);\n"
    "the server's code if it refused the connection or a message; 8 TLS failed; 27 the time\n"
    "of -W was over; 1 everything else.\n";

enum { MAX_WAITING = 4 * 1024 * 1024 }; /* with more bytes on their way nothing more is read */

struct publisher {
  struct client client;
  const struct settings *settings;
  const char *topic;
  struct input input;
  int repeated;
  bool accepted; /* everything was */
  bool stuck;    /* the queue is full, or there is no connection: nothing is tried until that changes */
  unsigned long outstanding, lost;
  int status; /* -1 while it runs */
  int refused; /* the exit code for messages that the server refused; 0: none */
};

static void on_outcome(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct publisher *p = ud;
  int outcome = mgos_mqtt_event_outcome(ev), code = mgos_mqtt_event_code(ev);
  (void) c;
  p->outstanding--;
  p->stuck = false;
  if (outcome == MGOS_MQTT_OUTCOME_REJECTED) {
    client_say(&p->client, "the server refused a message to %s: %s", p->topic, mgos_mqtt_reason_text(code));
    p->refused = code > 0 ? code : EXIT_FAILED;
  } else if (outcome != MGOS_MQTT_OUTCOME_ACKED && outcome != MGOS_MQTT_OUTCOME_SENT) {
    p->lost++;
  } else {
    client_debug(&p->client, "message %d: %s", mgos_mqtt_event_packet_id(ev), mgos_mqtt_outcome_name(outcome));
  }
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct publisher *p = ud;
  (void) c;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CLOSE) {
    client_debug(&p->client, "connection lost: %s", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
  } else if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
    p->client.up = true;
    p->stuck = false;
    client_debug(&p->client, "connected to %s", p->client.server);
  } else if (!p->client.up) { /* after a first success the library tries on by itself */
    p->status = client_say_error(&p->client);
  }
}

/* True when it was accepted; false when it has to be tried again later, or is no use: then `status` says so. */
static bool publish(struct publisher *p, const char *data, size_t len) {
  const struct properties *properties = &p->settings->properties[OF_PUBLISH];
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  char why[512];
  message.topic = p->topic;
  message.payload = data;
  message.payload_len = len;
  message.qos = p->settings->qos;
  message.retain = p->settings->retain;
  message.properties = properties->property;
  message.num_properties = properties->count;
  message.topic_alias = p->settings->topic_alias;
  message.done = on_outcome;
  message.ud = p;
  p->outstanding++; /* `done` may be called before the call returns */
  if (mgos_mqtt_conn_publish(p->client.conn, &message, NULL) == 0) {
    client_debug(&p->client, "%lu bytes to %s", (unsigned long) len, p->topic);
    return true;
  }
  p->outstanding--;
  switch (mgos_mqtt_last_error()) {
    case MGOS_MQTT_QUEUE_FULL:
    case MGOS_MQTT_NO_MORE_MSGIDS:
    case MGOS_MQTT_NOT_CONNECTED:
      p->stuck = true;
      return false;
    default:
      mgos_mqtt_last_error_text(why, sizeof(why));
      client_say(&p->client, "%s: %s", p->topic, why);
      p->status = EXIT_FAILED;
      return false;
  }
}

/* Publishes all lines that are complete, and after the end of the input also a last one without line feed. */
static void publish_lines(struct publisher *p) {
  struct input *input = &p->input;
  size_t at = 0, len;
  while (p->status < 0 && input_line(input, at, &len) && publish(p, input->bytes + at, len)) {
    at += len;
    if (at < input->len) at++; /* the line feed */
  }
  input_drop(input, at);
  p->accepted = input->ended && input->len == 0;
}

static void publish_repeated(struct publisher *p) {
  while (p->repeated < p->settings->repeat && p->client.alarm == 0 && p->status < 0) {
    if (mgos_mqtt_conn_num_unsent_bytes(p->client.conn) > MAX_WAITING && p->outstanding > 0) break;
    if (!publish(p, p->input.bytes, p->input.len)) break;
    p->repeated++;
    if (p->repeated < p->settings->repeat && p->settings->repeat_delay > 0) {
      p->client.alarm = client_now() + p->settings->repeat_delay;
    }
  }
  p->accepted = p->repeated == p->settings->repeat;
}

/* One round: waits, reads, publishes, and sees whether it is the end. */
static void go_on(struct publisher *p) {
  bool lines = p->settings->source == FROM_LINES, wanted = lines || p->settings->source == FROM_INPUT;
  size_t len;
  bool full = lines && input_line(&p->input, 0, &len); /* lines wait for room in the queue */
  bool busy = p->outstanding > 0 && mgos_mqtt_conn_num_unsent_bytes(p->client.conn) > MAX_WAITING;
  enum client_wake wake = client_wait(&p->client, wanted && p->client.up && !p->input.ended && !full && !busy ? STDIN_FILENO : -1);
  if (wake == WAKE_INPUT && !input_read(&p->client, &p->input, STDIN_FILENO)) p->status = EXIT_FAILED;
  if (p->client.up && !p->accepted && !p->stuck && p->status < 0) {
    if (lines) {
      publish_lines(p);
    } else if (p->input.ended) {
      publish_repeated(p);
    }
  }
  if (p->status >= 0) return;
  if (p->accepted && p->outstanding == 0) {
    p->status = EXIT_SUCCESS;
  } else if (wake == WAKE_TIME_OVER) {
    client_say(&p->client, p->client.up ? "not everything was acknowledged in time" : "not connected in time");
    p->status = EXIT_TIME_OVER;
  } else if (wake == WAKE_SIGNAL) {
    client_say(&p->client, "interrupted; %lu messages are not acknowledged", p->outstanding);
    p->status = EXIT_FAILED;
  }
}

static void check(struct publisher *p, struct settings *s) {
  if (s->source == FROM_NOTHING) settings_fail(s, "one of -m, -f, -n, -l and -s is needed");
  if (s->source == FROM_LINES && s->repeat > 1) settings_fail(s, "--repeat and -l exclude each other");
  p->topic = s->topics.count > 0 ? s->topics.text[0] : s->url_topic;
  if (p->topic == NULL) settings_fail(s, "a topic (-t) is needed");
  topic_check_name(s, "-t", p->topic);
}

int main(int argc, char **argv) {
  static struct settings settings;
  static struct publisher p;
  output_prepare();
  settings_read(&settings, PUB, "mgos_mqtt_pub", argc, argv, help, notes);
  p.settings = &settings;
  p.status = -1;
  check(&p, &settings);
  settings.options.max_outgoing_bytes = MAX_MESSAGE + 70000u; /* a message of any size, with its topic */
  client_make(&p.client, &settings);
  if (settings.source == FROM_FILE) {
    if (!input_read_file(&p.client, &p.input, settings.file)) return EXIT_FAILED;
  } else if (settings.source == FROM_TEXT) {
    input_take(&p.input, settings.message);
  } else if (settings.source == FROM_NULL) {
    input_take(&p.input, "");
  }
  client_connect(&p.client, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_event, &p);
  while (p.status < 0) go_on(&p);
  if (!client_close(&p.client, settings.qos == 0) && settings.qos == 0 && p.status == EXIT_SUCCESS) {
    p.status = p.client.deadline != 0 && p.client.deadline <= client_now() ? EXIT_TIME_OVER : EXIT_FAILED;
  }
  if (p.lost > 0) {
    client_say(&p.client, "%lu messages were lost with the connection", p.lost);
    if (p.status == EXIT_SUCCESS) p.status = EXIT_FAILED;
  }
  free(p.input.bytes);
  return p.status == EXIT_SUCCESS ? p.refused : p.status;
}
