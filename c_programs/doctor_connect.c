/* The way up to CONNACK, and what the server is. */
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

enum { ATTEMPT_SECONDS = 15 };

bool wait_for(const bool *done, double seconds) {
  double end = client_now() + seconds;
  while (!*done && client_now() < end) mgos_mqtt_loop_poll(NULL, 20);
  return *done;
}

struct attempt {
  bool ended;
  int error;
};

static void on_result(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct attempt *a = ud;
  (void) c;
  a->ended = true;
  a->error = mgos_mqtt_event_error(ev);
}

/* One attempt; 0, or the error. */
static int attempt(struct mgos_mqtt_conn *c) {
  struct attempt a = {false, 0};
  int error = mgos_mqtt_conn_connect_once(c, on_result, on_result, &a);
  if (error != 0) return error;
  if (!wait_for(&a.ended, ATTEMPT_SECONDS)) {
    mgos_mqtt_conn_disconnect(c); /* which ends the attempt, and tells so */
    wait_for(&a.ended, 2);
    return MGOS_MQTT_TIMED_OUT;
  }
  return a.error;
}

static const char *step_of(int phase) {
  switch (phase) {
    case MGOS_MQTT_PHASE_DNS:
      return "name";
    case MGOS_MQTT_PHASE_TCP:
      return "tcp";
    case MGOS_MQTT_PHASE_PROXY:
      return "proxy";
    case MGOS_MQTT_PHASE_TLS:
      return "tls";
    case MGOS_MQTT_PHASE_WEBSOCKET:
      return "websocket";
    default:
      return "connect";
  }
}

static void on_expiry(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct doctor *d = ud;
  (void) c;
  if (mgos_mqtt_event_certificate(ev) != MGOS_MQTT_CERTIFICATE_SERVER) return;
  d->expiry_told = true;
  d->expiry_days = mgos_mqtt_event_days(ev);
}

bool check_connect(struct doctor *d) {
  struct mgos_mqtt_error_info info = mgos_mqtt_error_info_init();
  struct mgos_mqtt_state state = mgos_mqtt_state_init();
  char why[1024] = "no answer";
  double start = client_now(), ms;
  int error;
  mgos_mqtt_conn_on(d->client.conn, MGOS_MQTT_EV_TLS_EXPIRY, on_expiry, d, NULL);
  error = attempt(d->client.conn);
  ms = (client_now() - start) * 1000;
  if (error != 0) {
    mgos_mqtt_conn_last_error(d->client.conn, &info);
    mgos_mqtt_conn_last_error_text(d->client.conn, why, sizeof(why));
    report_step(d, step_of(info.phase), FAULT, ms,
                info.phase == MGOS_MQTT_PHASE_PROXY && error > MGOS_MQTT_PROXY_REFUSED ? "start the proxy, or correct --proxy" : remedy_of(error), "%s: %s", mgos_mqtt_error_name(error) + strlen("MGOS_MQTT_"), why);
    return false;
  }
  mgos_mqtt_conn_state(d->client.conn, &state);
  if (ms > 1000) {
    report_step(d, "connect", NOTE, ms, "the link is slow, or the server busy: allow for it in time-outs and keep-alive",
                "SLOW: accepted by %s", state.address);
  } else {
    report_step(d, "connect", FINE, ms, NULL, "accepted by %s", state.address);
  }
  return true;
}

struct mgos_mqtt_conn *connect_another(struct doctor *d, void (*change)(struct mgos_mqtt_options *, struct mgos_config_mqtt *),
                                       char *why, size_t size) {
  struct mgos_config_mqtt cfg = d->settings->cfg;
  struct mgos_mqtt_options options = d->settings->options;
  struct mgos_mqtt_conn *c;
  char id[32];
  snprintf(id, sizeof(id), "doctor-%llx", (unsigned long long) (mg_time() * 1000) & 0xFFFFFFF);
  cfg.client_id = id;
  cfg.clean_session = 1;
  options.profiles = &cfg;
  change(&options, &cfg);
  c = mgos_mqtt_conn_create_on(NULL, 1, &options);
  if (c == NULL) {
    mgos_mqtt_last_error_text(why, size);
  } else if (attempt(c) != 0) {
    mgos_mqtt_conn_last_error_text(c, why, size);
    mgos_mqtt_conn_free(c);
    c = NULL;
  }
  return c;
}

static void no_pin(struct mgos_mqtt_options *options, struct mgos_config_mqtt *cfg) {
  (void) cfg;
  options->tls_pins = "0000000000000000000000000000000000000000000000000000000000000000";
}
static void no_name(struct mgos_mqtt_options *options, struct mgos_config_mqtt *cfg) {
  (void) cfg;
  options->tls_server_name = "no-such-name.invalid";
  options->tls_insecure_skip_name = 0;
}

/* The library says of a certificate that it refuses what it is like: so it is shown a reason. */
void check_certificate(struct doctor *d) {
  const struct settings *s = d->settings;
  char why[1024] = "";
  struct mgos_mqtt_conn *c;
  bool tls = strncmp(d->client.server, "mqtts", 5) == 0 || strncmp(d->client.server, "wss", 3) == 0;
  if (!tls || s->cfg.ssl_psk_key != NULL) {
    report_step(d, "certificate", tls ? SKIPPED : NOTE, -1, tls ? NULL : "use TLS unless the network is your own: passwords and messages can be read",
                "%s", tls ? "a pre-shared key is used" : "the connection is not encrypted");
    return;
  }
  if ((c = connect_another(d, no_name, why, sizeof(why))) == NULL) report_step(d, "certificate", FINE, -1, NULL, "names: %s", why);
  mgos_mqtt_conn_free(c);
  if ((c = connect_another(d, no_pin, why, sizeof(why))) == NULL) report_step(d, "certificate", FINE, -1, NULL, "pin: %s", why);
  mgos_mqtt_conn_free(c);
  if (!d->expiry_told) {
    report_step(d, "certificate", SKIPPED, -1, NULL, "when it expires is not known");
  } else if (d->expiry_days < 14) {
    report_step(d, "certificate", NOTE, -1, "have it renewed", "expires in %d days", d->expiry_days);
  } else {
    report_step(d, "certificate", FINE, -1, NULL, "expires in %d days", d->expiry_days);
  }
}

static void limit(char *text, size_t size, const char *format, long number) {
  size_t len = strlen(text);
  snprintf(text + len, size - len, format, len > 0 ? "; " : "", number);
}

void check_server_limits(struct doctor *d) {
  struct mgos_mqtt_server_info info = mgos_mqtt_server_info_init();
  char text[512] = "";
  if (mgos_mqtt_conn_server_info(d->client.conn, &info) != 0) return;
  if (info.protocol_version != MGOS_MQTT_PROTOCOL_5) {
    report_step(d, "limits", SKIPPED, -1, NULL, "only MQTT 5.0 tells them (-V 5)");
    return;
  }
  limit(text, sizeof(text), "%sreceive maximum %ld", info.receive_maximum);
  if (info.maximum_packet_size != 0) limit(text, sizeof(text), "%spackets up to %ld bytes", (long) info.maximum_packet_size);
  if (info.topic_alias_maximum != 0) limit(text, sizeof(text), "%stopic aliases up to %ld", info.topic_alias_maximum);
  if (info.keep_alive >= 0) limit(text, sizeof(text), "%skeep-alive of the server %ld s", info.keep_alive);
  report_step(d, "limits", FINE, -1, NULL, "%s", text);
  if (info.maximum_qos < 2) {
    report_step(d, "limits", NOTE, -1, "use a lower QoS, or another server", "QOS_LOWERED: at most QoS %d", info.maximum_qos);
  }
  if (!info.retain_available) report_step(d, "limits", NOTE, -1, "publish without -r", "RETAIN_REFUSED: nothing is retained");
  if (!info.wildcards_available) report_step(d, "limits", NOTE, -1, "subscribe to each topic", "filters have no wildcards");
  if (!info.shared_subscriptions_available) report_step(d, "limits", NOTE, -1, NULL, "there are no shared subscriptions");
}
