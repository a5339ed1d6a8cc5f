/* Did it arrive? A device measures while it is offline, connects, and sleeps only when the server has
 * everything.
 *
 *   cc did_it_arrive.c $(pkg-config --cflags --libs mgos_mqtt) -o did_it_arrive
 *   ./did_it_arrive 127.0.0.1:1883
 *
 * Expected output:
 *   cancelled: reading 2
 *   expired: reading 3
 *   acked: reading 1
 *   alarm: acked
 *   everything has arrived: good night
 */
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_conn.h>
#include <stdio.h>
#include <string.h>

#define SECONDS_MS 1000

/* Each message brings its own text back here, once. */
static void on_done(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  printf("%s: %s\n", mgos_mqtt_outcome_name(mgos_mqtt_event_outcome(ev)), (const char *) ud);
}

static struct mgos_mqtt_publication reading(const char *text) {
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  message.topic = "examples/readings";
  message.payload = text;
  message.payload_len = strlen(text);
  message.qos = 1;
  message.done = on_done;
  message.ud = (void *) text;
  return message;
}

int main(int argc, char **argv) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_conn *c;
  struct mgos_mqtt_publication first = reading("reading 1"), second = reading("reading 2"),
                               third = reading("reading 3"), alarm = reading("alarm");
  uint64_t token;
  int outcome;

  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = argc > 1 ? argv[1] : "127.0.0.1:1883";
  c = mgos_mqtt_conn_create(1, &cfg);
  if (c == NULL) return 1;

  /* Without a connection they are queued. */
  mgos_mqtt_conn_publish(c, &first, NULL);
  mgos_mqtt_conn_publish(c, &second, &token);
  mgos_mqtt_conn_cancel(c, token); /* nobody needs it any more */
  third.expires_ms = 50;           /* worth nothing when it is old */
  mgos_mqtt_conn_publish(c, &third, &token);
  mgos_mqtt_conn_wait(c, token, 10 * SECONDS_MS);

  /* The loop is driven by the calls that wait. */
  mgos_mqtt_conn_connect(c);
  mgos_mqtt_conn_flush(c, 10 * SECONDS_MS);
  alarm.done = NULL;
  outcome = mgos_mqtt_conn_publish_wait(c, &alarm, 10 * SECONDS_MS, MGOS_MQTT_KEEP, &token);
  printf("alarm: %s\n", outcome > 0 ? mgos_mqtt_outcome_name(outcome) : mgos_mqtt_strerror(outcome));
  if (mgos_mqtt_conn_flush(c, 10 * SECONDS_MS) == 0) printf("everything has arrived: good night\n");

  mgos_mqtt_conn_free(c);
  return outcome == MGOS_MQTT_OUTCOME_ACKED ? 0 : 1;
}
