/* mgos_mqtt_sub: prints messages from an MQTT server. See `help` below. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <mgos_mqtt_reason.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "format.h"
#include "output.h"
#include "receiver.h"
#include "topic.h"

static const char help[] =
    "mgos_mqtt_sub: subscribes to topics of an MQTT server and prints what arrives.\n"
    "\n"
    "  mgos_mqtt_sub [-h HOST] [-p PORT] -t TOPIC [-t TOPIC]... [-q QOS] [-v]\n"
    "  mgos_mqtt_sub -L 'mqtt://host/sensors/#' -F '%I %t %p'\n";

static const char notes[] =
    "Options may also stand in ~/.config/mgos_mqtt_sub, or else ~/.config/mosquitto_sub, one\n"
    "in each line.\n"
    "\n"
    "Exit code: 0 after -C, -E or --retained-only, SIGINT or SIGTERM; the server's code if it\n"
    "refused the connection, all subscriptions, or to end one of -U; 8 TLS failed; 27 the time\n"
    "of -W was over; 1 everything else. A connection that is lost comes back by itself.\n";

struct subscriber {
  struct client client;
  const struct settings *settings;
  struct receiver receiver;
  int *answers;             /* the server's code for each of -t; -1: none yet */
  size_t answered, granted; /* how many of them have a code, and one that grants it */
  int refused;              /* the server's code for the last one that it refused; 0: none */
  size_t not_unsubscribed;  /* of -U, that wait for an answer */
  int kept;                 /* the server's code for the last one that it did not take back; 0: none */
  bool unsubscribed;        /* they were asked for */
  int status;               /* -1 while it runs */
};

/* The end, if everything that has to be done before is done. */
static void end(struct subscriber *s, int status) {
  if (s->status >= 0) return;
  s->status = status;
  receiver_stop(&s->receiver);
}

static void on_message(struct subscriber *s, const struct mgos_mqtt_event *ev) {
  if (s->settings->retained_only && !s->receiver.stopped && !mgos_mqtt_event_retain(ev)) {
    mgos_mqtt_msg_defer(s->client.conn); /* for ever: it is not printed, and comes again the next time */
    end(s, EXIT_SUCCESS);
    return;
  }
  if (receiver_take(&s->receiver, ev) && s->settings->count > 0 && s->receiver.printed == (unsigned long) s->settings->count) {
    end(s, EXIT_SUCCESS);
  }
}

static void on_unsubscribed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct subscriber *s = ud;
  int code = mgos_mqtt_event_filter_code(ev, 0);
  size_t len;
  const char *filter = mgos_mqtt_event_filter(ev, 0, &len);
  (void) c;
  s->not_unsubscribed--;
  if (code < 0x80) return;
  s->kept = code;
  client_say(&s->client, "the server refused to end the subscription to %.*s: %s", (int) len, filter, mgos_mqtt_reason_text(code));
}

/* -U, after the subscriptions were answered: one that was made now is taken back as well. */
static void unsubscribe(struct subscriber *s) {
  const struct texts *filters = &s->settings->unsubscribe;
  size_t i;
  if (s->unsubscribed) return;
  s->unsubscribed = true;
  for (i = 0; i < filters->count; i++) {
    s->not_unsubscribed++;
    if (mgos_mqtt_conn_unsubscribe_all(s->client.conn, &filters->text[i], 1, NULL, NULL, on_unsubscribed, s) == 0) continue;
    s->not_unsubscribed--;
    client_debug(&s->client, "the server has no subscription to %s", filters->text[i]);
  }
}

static size_t find(const struct texts *filters, const char *filter, size_t len) {
  size_t i = 0;
  while (i < filters->count && (strlen(filters->text[i]) != len || memcmp(filters->text[i], filter, len) != 0)) i++;
  return i;
}

/* Nothing is answered yet: at the beginning, and in a new session, in which all of them are asked for again. */
static void forget_answers(struct subscriber *s) {
  size_t i;
  for (i = 0; i < s->settings->topics.count; i++) s->answers[i] = -1;
  s->answered = s->granted = 0;
}

static void on_suback(struct subscriber *s, const struct mgos_mqtt_event *ev) {
  int code = mgos_mqtt_event_code(ev);
  size_t len;
  const char *filter = mgos_mqtt_event_topic(ev, &len);
  size_t i = find(&s->settings->topics, filter, len);
  if (i < s->settings->topics.count) {
    if (s->answers[i] < 0) s->answered++;
    if (s->answers[i] >= 0 && s->answers[i] < 0x80) s->granted--;
    s->answers[i] = code;
  }
  if (code >= 0x80) {
    s->refused = code;
    client_say(&s->client, "the server refused the subscription to %.*s: %s", (int) len, filter, mgos_mqtt_reason_text(code));
  } else {
    if (i < s->settings->topics.count) s->granted++;
    client_debug(&s->client, "subscribed to %.*s with QoS %d", (int) len, filter, code);
  }
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct subscriber *s = ud;
  size_t len;
  const char *topic;
  (void) c;
  switch (mgos_mqtt_event_kind(ev)) {
    case MGOS_MQTT_EV_MESSAGE:
      on_message(s, ev);
      break;
    case MGOS_MQTT_EV_SUBACK:
      on_suback(s, ev);
      break;
    case MGOS_MQTT_EV_OVERSIZE:
      topic = mgos_mqtt_event_topic(ev, &len);
      client_say(&s->client, "a message of %lu bytes to %.*s is too large to be received", (unsigned long) mgos_mqtt_event_size(ev),
                 (int) len, topic);
      break;
    case MGOS_MQTT_EV_CLOSE:
      if (s->status < 0) client_debug(&s->client, "connection lost: %s", mgos_mqtt_strerror(mgos_mqtt_event_error(ev)));
      break;
    default: /* the result of an attempt */
      if (mgos_mqtt_event_error(ev) == MGOS_MQTT_OK) {
        s->client.up = true;
        if (!mgos_mqtt_event_session_present(ev) && !s->unsubscribed) forget_answers(s);
        client_debug(&s->client, "connected to %s", s->client.server);
      } else if (!s->client.up) { /* after a first success the library tries on by itself */
        end(s, client_say_error(&s->client));
      }
  }
}

/* The library has one subscription for a filter, and the server one answer. */
static void remove_duplicates(struct texts *filters) {
  size_t from, to = 0, i;
  for (from = 0; from < filters->count; from++) {
    for (i = 0; i < to && strcmp(filters->text[i], filters->text[from]) != 0;) i++;
    if (i == to) filters->text[to++] = filters->text[from];
  }
  filters->count = to;
}

static void check(struct settings *s) {
  size_t i;
  if (s->topics.count == 0 && s->url_topic != NULL) texts_add(&s->topics, s->url_topic);
  if (s->topics.count == 0 && s->unsubscribe.count == 0) settings_fail(s, "a topic (-t) is needed");
  if (s->no_retained && s->retained_only) settings_fail(s, "-R and --retained-only exclude each other");
  if (s->retain_as_published && s->options.protocol_version != MGOS_MQTT_PROTOCOL_5) {
    settings_fail(s, "--retain-as-published exists in MQTT 5.0 only (-V 5)");
  }
  for (i = 0; i < s->topics.count; i++) topic_check_filter(s, "-t", s->topics.text[i]);
  for (i = 0; i < s->filter_out.count; i++) topic_check_filter(s, "-T", s->filter_out.text[i]);
  for (i = 0; i < s->unsubscribe.count; i++) topic_check_filter(s, "-U", s->unsubscribe.text[i]);
  remove_duplicates(&s->topics);
  remove_duplicates(&s->unsubscribe);
  if (s->format != NULL) format_check(s);
}

static void subscribe(struct subscriber *s) {
  const struct properties *properties = &s->settings->properties[OF_SUBSCRIBE];
  size_t i;
  struct mgos_mqtt_subscription wanted = mgos_mqtt_subscription_init();
  wanted.qos = s->settings->qos | (s->settings->retain_as_published ? MGOS_MQTT_SUBSCRIBE_RETAIN_AS_PUBLISHED : 0);
  wanted.identifier = s->settings->subscription_identifier;
  wanted.properties = properties->property;
  wanted.num_properties = properties->count;
  for (i = 0; i < s->settings->topics.count; i++) {
    wanted.filter = s->settings->topics.text[i];
    if (mgos_mqtt_conn_subscribe_with(s->client.conn, &wanted, NULL, NULL, NULL) != 0) client_refuse(&s->client, wanted.filter);
  }
}

/* Whether what ends the program by itself has come. */
static void see(struct subscriber *s) {
  size_t wanted = s->settings->topics.count;
  if (s->receiver.failed) {
    end(s, EXIT_FAILED);
  } else if (s->client.up && s->answered >= wanted) {
    unsubscribe(s);
    if (wanted > 0 && s->granted == 0) {
      end(s, s->refused);
    } else if (s->settings->end_when_subscribed && s->not_unsubscribed == 0) {
      end(s, EXIT_SUCCESS);
    }
  }
}

int main(int argc, char **argv) {
  static struct settings settings;
  static struct subscriber s;
  output_prepare();
  settings_read(&settings, SUB, "mgos_mqtt_sub", argc, argv, help, notes);
  s.settings = &settings;
  s.status = -1;
  check(&settings);
  s.answers = must_have(malloc((settings.topics.count + 1) * sizeof(*s.answers))); /* there may be none */
  forget_answers(&s);
  settings.cfg.recv_mbuf_limit = 0; /* whatever the server sends */
  client_make(&s.client, &settings);
  receiver_begin(&s.receiver, &s.client);
  subscribe(&s);
  client_connect(&s.client,
                 MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_SUBACK | MGOS_MQTT_EV_OVERSIZE,
                 on_event, &s);
  while (s.status < 0 || (s.receiver.removals > 0 && mgos_mqtt_conn_is_connected(s.client.conn))) {
    enum client_wake wake = client_wait(&s.client, -1);
    receiver_write(&s.receiver);
    see(&s);
    if (wake == WAKE_SIGNAL) {
      end(&s, EXIT_SUCCESS);
      break;
    }
    if (wake == WAKE_TIME_OVER) {
      if (s.status < 0) client_say(&s.client, s.client.up ? "the time is over" : "not connected in time");
      end(&s, EXIT_TIME_OVER);
      break;
    }
  }
  client_close(&s.client, false);
  free(s.answers);
  if (s.status == EXIT_SUCCESS) s.status = s.kept;
  if (s.receiver.failed) s.status = EXIT_FAILED;
  if (s.receiver.failed && s.receiver.error == EPIPE) output_end_of_pipe();
  return s.status;
}
