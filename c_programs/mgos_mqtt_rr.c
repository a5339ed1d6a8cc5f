/* mgos_mqtt_rr: publishes a request and prints the answer. See `help` below. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_reason.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "format.h"
#include "input.h"
#include "output.h"
#include "receiver.h"
#include "topic.h"

static const char help[] =
    "mgos_mqtt_rr: publishes a request to an MQTT server and prints the answer.\n"
    "\n"
    "  mgos_mqtt_rr [-h HOST] -t REQUEST-TOPIC -e RESPONSE-TOPIC -m MESSAGE [-W SECONDS]\n";

static const char notes[] =
    "The request goes out when the subscription to the response topic is granted. With MQTT 5.0,\n"
    "the default, the response topic is a property of the request.\n"
    "Options may also stand in ~/.config/mgos_mqtt_rr, or else ~/.config/mosquitto_rr, one in\n"
    "each line.\n"
    "\n"
    "Exit code: 0 the answer was printed; the server's code if it refused the connection, the\n"
    "subscription or the request; 8 TLS failed; 27 the time of -W was over; 1 everything else.\n";

struct requester {
  struct client client;
  struct settings *settings;
  struct receiver receiver;
  struct input input;
  const char *topic;
  bool subscribed, sent;
  int status; /* -1 while it runs */
};

static void end(struct requester *r, int status) {
  if (r->status >= 0) return;
  r->status = status;
  receiver_stop(&r->receiver);
}

static void on_outcome(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct requester *r = ud;
  int outcome = mgos_mqtt_event_outcome(ev), code = mgos_mqtt_event_code(ev);
  (void) c;
  if (outcome == MGOS_MQTT_OUTCOME_ACKED || outcome == MGOS_MQTT_OUTCOME_SENT || r->status >= 0) return;
  client_say(&r->client, "the request was not delivered: %s", code > 0 ? mgos_mqtt_reason_text(code) : mgos_mqtt_outcome_name(outcome));
  end(r, code > 0 ? code : EXIT_FAILED);
}

static void subscribe(struct requester *r) {
  const struct settings *s = r->settings;
  struct mgos_mqtt_subscription wanted = mgos_mqtt_subscription_init();
  wanted.filter = s->response_topic;
  wanted.qos = s->qos;
  wanted.identifier = s->subscription_identifier;
  wanted.properties = s->properties[OF_SUBSCRIBE].property;
  wanted.num_properties = s->properties[OF_SUBSCRIBE].count;
  if (mgos_mqtt_conn_subscribe_with(r->client.conn, &wanted, NULL, NULL, NULL) != 0) client_refuse(&r->client, wanted.filter);
}

static void request(struct requester *r) {
  struct properties *properties = &r->settings->properties[OF_PUBLISH];
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  char why[512];
  if (r->settings->options.protocol_version == MGOS_MQTT_PROTOCOL_5) {
    property_add(properties, mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, r->settings->response_topic));
  }
  message.topic = r->topic;
  message.payload = r->input.bytes;
  message.payload_len = r->input.len;
  message.qos = r->settings->qos;
  message.retain = r->settings->retain;
  message.properties = properties->property;
  message.num_properties = properties->count;
  message.topic_alias = r->settings->topic_alias;
  message.done = on_outcome;
  message.ud = r;
  r->sent = true;
  if (mgos_mqtt_conn_publish(r->client.conn, &message, NULL) == 0) return;
  mgos_mqtt_last_error_text(why, sizeof(why));
  client_say(&r->client, "%s: %s", r->topic, why);
  end(r, EXIT_FAILED);
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct requester *r = ud;
  int code = mgos_mqtt_event_code(ev);
  (void) c;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_MESSAGE:
      if (receiver_take(&r->receiver, ev)) end(r, EXIT_SUCCESS);
      break;
    case MGOS_MQTT_EV_SUBACK:
      if (code >= 0x80) {
        client_say(&r->client, "the server refused the subscription to %s: %s", r->settings->response_topic, mgos_mqtt_reason_text(code));
        end(r, code);
      } else {
        r->subscribed = true;
      }
      break;
    case MGOS_MQTT_EV_CLOSE:
      if (r->status < 0) client_debug(&r->client, "connection lost: %s", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
      break;
    default: /* the result of an attempt */
      if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
        r->client.up = true;
        client_debug(&r->client, "connected to %s", r->client.server);
      } else if (!r->client.up) {
        end(r, client_say_error(&r->client));
      }
  }
}

static void check(struct requester *r, struct settings *s) {
  r->topic = s->topics.count > 0 ? s->topics.text[0] : s->url_topic;
  if (r->topic == NULL || s->response_topic == NULL || s->source == FROM_NOTHING) {
    settings_fail(s, "a topic (-t), a response topic (-e) and a message (one of -m, -f, -n and -s) are needed");
  }
  topic_check_name(s, "-t", r->topic);
  topic_check_name(s, "-e", s->response_topic);
  if (s->format != NULL) format_check(s);
}

static bool read_request(struct requester *r) {
  const struct settings *s = r->settings;
  if (s->source == FROM_FILE) return input_read_file(&r->client, &r->input, s->file);
  if (s->source == FROM_INPUT) {
    while (!r->input.ended) {
      if (!input_read(&r->client, &r->input, STDIN_FILENO)) return false;
    }
  } else {
    input_take(&r->input, s->source == FROM_TEXT ? s->message : "");
  }
  return true;
}

static void go_on(struct requester *r) {
  enum client_wake wake = client_wait(&r->client, -1);
  receiver_write(&r->receiver);
  if (r->receiver.failed) end(r, EXIT_FAILED);
  if (r->subscribed && !r->sent && r->status < 0) request(r);
  if (wake == WAKE_SIGNAL) end(r, EXIT_FAILED);
  if (wake == WAKE_TIME_OVER && r->status < 0) {
    client_say(&r->client, r->sent ? "no answer in time" : r->client.up ? "not subscribed in time" : "not connected in time");
    end(r, EXIT_TIME_OVER);
  }
}

int main(int argc, char **argv) {
  static struct settings settings;
  static struct requester r;
  output_prepare();
  settings_read(&settings, RR, "mgos_mqtt_rr", argc, argv, help, notes);
  r.settings = &settings;
  r.status = -1;
  check(&r, &settings);
  settings.cfg.recv_mbuf_limit = 0; /* an answer of any size */
  settings.options.max_outgoing_bytes = MAX_MESSAGE + 70000u;
  client_make(&r.client, &settings);
  receiver_begin(&r.receiver, &r.client);
  if (!read_request(&r)) return EXIT_FAILED;
  subscribe(&r);
  client_connect(&r.client, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_SUBACK, on_event, &r);
  while (r.status < 0) go_on(&r);
  client_close(&r.client, false);
  free(r.input.bytes);
  if (r.receiver.failed) r.status = EXIT_FAILED;
  if (r.receiver.failed && r.receiver.error == EPIPE) output_end_of_pipe();
  return r.status;
}
