#define _POSIX_C_SOURCE 200809L
#include "receiver.h"

#include <errno.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_receive.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "output.h"
#include "topic.h"

void receiver_begin(struct receiver *r, struct client *client) {
  struct timespec now;
  memset(r, 0, sizeof(*r));
  r->client = client;
  clock_gettime(CLOCK_REALTIME, &now);
  r->random = ((uint64_t) now.tv_nsec << 20) ^ (uint64_t) now.tv_sec ^ (uint64_t) getpid();
}

/* Whether a message is among so many percent (xorshift64*, by Vigna). */
static bool drawn(struct receiver *r, double percent) {
  r->random ^= r->random >> 12;
  r->random ^= r->random << 25;
  r->random ^= r->random >> 27;
  return (double) ((r->random * 0x2545F4914F6CDD1Du) >> 11) / 9007199254740992.0 * 100 < percent;
}

static void on_removed(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct receiver *r = ud;
  (void) c;
  r->removals--;
  if (mgos_mqtt_event_outcome(ev) != MGOS_MQTT_OUTCOME_ACKED && mgos_mqtt_event_error(ev) != MGOS_MQTT_INCOMPLETE) {
    client_say(r->client, "a retained message was not removed: %s", mgos_mqtt_outcome_name(mgos_mqtt_event_outcome(ev)));
  }
}

/* An empty message with the retain flag takes the place of the retained one (MQTT 3.1.1, section 3.3.1.3). */
static void remove_retained(struct receiver *r, const char *topic, size_t len) {
  struct mgos_mqtt_publication empty = mgos_mqtt_publication_init();
  char *name = must_have(malloc(len + 1)), why[512];
  memcpy(name, topic, len);
  name[len] = '\0';
  empty.topic = name;
  empty.qos = 1;
  empty.retain = true;
  empty.done = on_removed;
  empty.ud = r;
  r->removals++;
  if (mgos_mqtt_conn_publish(r->client->conn, &empty, NULL) != 0) {
    r->removals--;
    mgos_mqtt_last_error_text(why, sizeof(why));
    client_say(r->client, "the retained message of %s is not removed: %s", name, why);
  }
  free(name);
}

/* Whether it is to be printed. */
static bool is_wanted(struct receiver *r, const struct mgos_mqtt_event *ev) {
  const struct settings *s = r->client->settings;
  size_t len;
  const char *topic = mgos_mqtt_event_topic(ev, &len);
  bool retained = mgos_mqtt_event_retain(ev);
  if (s->filter_out.count > 0 && topic_matches_any(&s->filter_out, topic, len)) return false;
  if (retained && s->remove_retained && mgos_mqtt_event_size(ev) > 0) remove_retained(r, topic, len);
  if (retained && s->no_retained) return false;
  return s->random_percent >= 100 || drawn(r, s->random_percent);
}

bool receiver_take(struct receiver *r, const struct mgos_mqtt_event *ev) {
  uint64_t deferred = 0;
  if (r->stopped) {
    mgos_mqtt_msg_defer(r->client->conn); /* for ever: it comes again the next time */
    return false;
  }
  if (!is_wanted(r, ev)) return false;
  if (mgos_mqtt_event_qos(ev) > 0 && output_is_batched()) deferred = mgos_mqtt_msg_defer(r->client->conn);
  format_print(r->client, ev);
  r->printed++;
  if (deferred != 0) r->deferred[r->num_deferred++] = deferred;
  if (!output_is_batched() || r->num_deferred == sizeof(r->deferred) / sizeof(r->deferred[0])) receiver_write(r);
  return true;
}

void receiver_write(struct receiver *r) {
  size_t i;
  if (r->failed) return;
  if (!output_flush()) {
    r->error = errno;
    r->failed = r->stopped = true;
    if (errno != EPIPE) client_say(r->client, "cannot write the output: %s", strerror(errno));
    return;
  }
  for (i = 0; i < r->num_deferred; i++) mgos_mqtt_msg_ack(r->client->conn, r->deferred[i]);
  r->num_deferred = 0;
}

void receiver_stop(struct receiver *r) {
  receiver_write(r);
  r->stopped = true;
}
