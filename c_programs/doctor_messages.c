/* What can be exchanged with the server: messages at each QoS, a retained one, a will, and silence. */
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_reason.h>
#include <mgos_mqtt_stats.h>
#include <mgos_mqtt_subscribe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { ANSWER_SECONDS = 5, SLOW_MS = 1000 };

static const char *topic;  /* where the doctor's own messages go */
static char run[32];       /* what tells them from those of others, and of earlier runs */
static bool occupied;      /* somebody else's message is retained there, or that cannot be seen */
static char will_text[64]; /* used until the connection with the will has ended */

/* One message. */
struct exchange {
  char text[64];
  bool arrived, ended;
  int outcome, code, qos;
  bool retain;
};

static void on_arrived(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct exchange *e = ud;
  size_t len;
  const char *payload = mgos_mqtt_event_payload(ev, &len);
  (void) c;
  if (len == 0 || len != strlen(e->text) || memcmp(payload, e->text, len) != 0) { /* somebody else's */
    if (len > 0 && mgos_mqtt_event_retain(ev)) occupied = true;
    return;
  }
  e->arrived = true;
  e->qos = mgos_mqtt_event_qos(ev);
  e->retain = mgos_mqtt_event_retain(ev);
}

static void on_done(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct exchange *e = ud;
  (void) c;
  e->ended = true;
  e->outcome = mgos_mqtt_event_outcome(ev);
  e->code = mgos_mqtt_event_code(ev);
}

/* A message of the doctor's own; without a name the empty one, which removes a retained one. */
static void begin(struct exchange *e, const char *name) {
  memset(e, 0, sizeof(*e));
  if (name != NULL) snprintf(e->text, sizeof(e->text), "mgos_mqtt_doctor %s: %s", run, name);
}

static int publish(struct mgos_mqtt_conn *c, struct exchange *e, int qos, bool retain) {
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  message.topic = topic;
  message.payload = e->text;
  message.payload_len = strlen(e->text);
  message.qos = qos;
  message.retain = retain;
  message.done = on_done;
  message.ud = e;
  return mgos_mqtt_conn_publish(c, &message, NULL);
}

static struct exchange exchange; /* the library may tell of it until the connection is freed */

static bool subscribe(struct doctor *d) {
  struct mgos_mqtt_filter filter = {topic, 2};
  int code = -1, error;
  mgos_mqtt_conn_on_message(d->client.conn, on_arrived, &exchange, NULL);
  error = mgos_mqtt_conn_subscribe_wait(d->client.conn, &filter, 1, NULL, NULL, NULL, &code, ANSWER_SECONDS * 1000);
  if (error != 0) {
    report_step(d, "subscribe", FAULT, -1, "some servers never answer what they do not permit: check the permissions, and name a topic with -t",
                "no answer to a subscription to %s: %s", topic, mgos_mqtt_strerror(error));
  } else if (code >= 0x80) {
    report_step(d, "subscribe", FAULT, -1, "have the server permit it, or name a topic that is permitted with -t",
                "NOT_AUTHORIZED: the server refuses a subscription to %s: %s", topic, mgos_mqtt_reason_text(code));
  } else if (code < 2) {
    report_step(d, "subscribe", NOTE, -1, "expect messages with this QoS at most", "QOS_LOWERED: %s is granted with QoS %d instead of 2", topic, code);
  } else {
    report_step(d, "subscribe", FINE, -1, NULL, "%s", topic);
  }
  return error == 0 && code < 0x80;
}

static void check_qos(struct doctor *d, int qos, bool subscribed) {
  static const char *const names[] = {"QoS 0", "QoS 1", "QoS 2"};
  double start = client_now(), acknowledged, arrived;
  char why[512];
  begin(&exchange, names[qos]);
  if (publish(d->client.conn, &exchange, qos, false) != 0) {
    mgos_mqtt_last_error_text(why, sizeof(why));
    report_step(d, "publish", mgos_mqtt_last_error() == MGOS_MQTT_SERVER_LIMIT ? NOTE : FAULT, -1, NULL, "QoS %d: %s", qos, why);
    return;
  }
  if (!wait_for(&exchange.ended, ANSWER_SECONDS) || exchange.outcome > MGOS_MQTT_OUTCOME_SENT) {
    report_step(d, "publish", FAULT, (client_now() - start) * 1000, "have the server permit it, or name a topic that is permitted with -t", "QoS %d to %s: %s",
                qos, topic, !exchange.ended ? "not acknowledged" : exchange.code > 0 ? mgos_mqtt_reason_text(exchange.code) : mgos_mqtt_outcome_name(exchange.outcome));
    return;
  }
  acknowledged = (client_now() - start) * 1000;
  if (!subscribed) {
    report_step(d, "publish", FINE, acknowledged, NULL, "QoS %d", qos);
  } else if (!wait_for(&exchange.arrived, ANSWER_SECONDS)) {
    report_step(d, "receive", FAULT, -1, "the server accepts the message and drops it: check what this client may publish (before MQTT 5.0 no error tells it)",
                "NOT_AUTHORIZED? a message with QoS %d to %s does not arrive", qos, topic);
  } else {
    arrived = (client_now() - start) * 1000;
    if (exchange.qos < qos) {
      report_step(d, "receive", NOTE, arrived, "expect no more of this server", "QOS_LOWERED: QoS %d arrives with QoS %d", qos, exchange.qos);
    } else if (arrived > SLOW_MS) {
      report_step(d, "receive", NOTE, arrived, "the link is slow, or the server busy", "SLOW: QoS %d", qos);
    } else {
      report_step(d, "receive", FINE, arrived, NULL, "QoS %d, acknowledged after %.1f ms", qos, acknowledged);
    }
  }
}

void check_messages(struct doctor *d) {
  static char of_this_run[64];
  bool subscribed, named = d->settings->topics.count > 0;
  int qos;
  snprintf(run, sizeof(run), "%llx", (unsigned long long) (mg_time() * 1000));
  snprintf(of_this_run, sizeof(of_this_run), "mgos_mqtt_doctor/%s", run);
  topic = named ? d->settings->topics.text[0] : of_this_run;
  subscribed = subscribe(d);
  occupied |= named && !subscribed;
  for (qos = 0; qos <= 2 && mgos_mqtt_conn_is_connected(d->client.conn); qos++) check_qos(d, qos, subscribed);
}

bool check_up(struct doctor *d) {
  char why[1024];
  if (mgos_mqtt_conn_is_connected(d->client.conn)) return true;
  mgos_mqtt_conn_last_error_text(d->client.conn, why, sizeof(why));
  report_step(d, "connection", FAULT, -1,
              "another client may have the same id: use another one (-i); or this one may not do that: see the server's log", "lost: %s", why);
  return false;
}

static void nothing(struct mgos_mqtt_options *options, struct mgos_config_mqtt *cfg) {
  (void) options, (void) cfg;
}

/* Another connection is to get the message that was retained. */
static void check_kept(struct doctor *d) {
  static struct exchange got;
  struct mgos_mqtt_filter filter = {topic, 1};
  struct mgos_mqtt_conn *other;
  char why[1024];
  int code;
  begin(&got, "retained");
  other = connect_another(d, nothing, why, sizeof(why));
  if (other == NULL) {
    report_step(d, "retained", NOTE, -1, "this check needs a second connection", "%s", why);
    return;
  }
  mgos_mqtt_conn_on_message(other, on_arrived, &got, NULL);
  mgos_mqtt_conn_subscribe_wait(other, &filter, 1, NULL, NULL, NULL, &code, ANSWER_SECONDS * 1000);
  if (wait_for(&got.arrived, 2) && got.retain) {
    report_step(d, "retained", FINE, -1, NULL, "a retained message is kept");
  } else {
    report_step(d, "retained", NOTE, -1, "do not rely on retained messages here", "RETAIN_REFUSED: a retained message was not kept");
  }
  mgos_mqtt_conn_free(other);
}

void check_retained(struct doctor *d) {
  static struct exchange sent;
  if (occupied) {
    report_step(d, "retained", SKIPPED, -1, NULL, "something may be retained at this topic already; use another -t");
    return;
  }
  begin(&sent, "retained");
  if (publish(d->client.conn, &sent, 1, true) != 0) {
    report_step(d, "retained", NOTE, -1, "publish without -r", "RETAIN_REFUSED: the server does not accept a retained message");
    return;
  }
  if (wait_for(&sent.ended, ANSWER_SECONDS) && sent.outcome == MGOS_MQTT_OUTCOME_ACKED) {
    check_kept(d);
  } else {
    report_step(d, "retained", NOTE, -1, "publish without -r", "RETAIN_REFUSED: the server does not accept a retained message");
  }
  /* Whatever was found, nothing of this stays there. */
  begin(&sent, NULL);
  if (publish(d->client.conn, &sent, 1, true) == 0) wait_for(&sent.ended, ANSWER_SECONDS);
}

static void with_will(struct mgos_mqtt_options *options, struct mgos_config_mqtt *cfg) {
  cfg->will_topic = topic;
  options->will_payload = will_text;
  options->will_payload_len = strlen(will_text);
  options->will_qos = 0;
}

void check_will(struct doctor *d) {
  char why[1024];
  struct mgos_mqtt_conn *other;
  begin(&exchange, "will");
  strcpy(will_text, exchange.text);
  other = connect_another(d, with_will, why, sizeof(why));
  if (other == NULL) {
    report_step(d, "will", NOTE, -1, "this check needs a second connection", "%s", why);
    return;
  }
  mgos_mqtt_conn_abort(other);
  if (wait_for(&exchange.arrived, ANSWER_SECONDS)) {
    report_step(d, "will", FINE, -1, NULL, "published when a connection vanishes");
  } else {
    report_step(d, "will", NOTE, -1, "do not rely on wills here", "the will of a connection that vanished did not come");
  }
  mgos_mqtt_conn_free(other);
}

static void short_keep_alive(struct mgos_mqtt_options *options, struct mgos_config_mqtt *cfg) {
  (void) options;
  cfg->keep_alive = 1;
}

void check_keep_alive(struct doctor *d) {
  static const bool never = false;
  struct mgos_mqtt_stats stats = mgos_mqtt_stats_init();
  char why[1024];
  struct mgos_mqtt_conn *other = connect_another(d, short_keep_alive, why, sizeof(why));
  if (other == NULL) {
    report_step(d, "keep-alive", NOTE, -1, "this check needs a second connection", "%s", why);
    return;
  }
  wait_for(&never, 2.5);
  mgos_mqtt_conn_stats(other, &stats);
  if (mgos_mqtt_conn_is_connected(other)) {
    report_step(d, "keep-alive", FINE, -1, NULL, "%lu answers in 2.5 s of silence", (unsigned long) stats.pings);
  } else {
    mgos_mqtt_conn_last_error_text(other, why, sizeof(why));
    report_step(d, "keep-alive", FAULT, -1, "something between closes silent connections, or the server does not answer PINGREQ", "%s", why);
  }
  mgos_mqtt_conn_free(other);
}
