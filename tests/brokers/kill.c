/*
 * The broker is killed (SIGKILL) each second and started again at once, with persistence. What the library
 * accepted is either acknowledged in the end or has arrived: nothing else may become of it.
 *
 * What the broker acknowledged and then loses, because it was killed before it wrote that down, no client can
 * know of; likewise what it doubles. That is counted apart.
 *
 *   kill         DURATION=60: seconds; SEED: repeats the load of an earlier run;
 *                CERTS=<directory>: with TLS; VERBOSE=1: logs what the library says
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "proxy.h"
#include "sender.h"

#define STREAMS 4
#define TICK_MS 10
#define KILL_EACH_MS 1000
#define DRAIN_MS 120000

static struct stream streams[STREAMS] = {{.topic = "out/1/a", .qos = 1},
                                         {.topic = "out/1/b", .qos = 1},
                                         {.topic = "out/2/a", .qos = 2},
                                         {.topic = "out/2/b", .qos = 2}};
static struct sender sender;
static struct observer observer;

/* Whether everything has arrived that was not lost; the broker may have lost some for ever. */
static bool settled(int64_t *quiet_since, int *seen) {
  int came = 0;
  sender_observe(&sender, &observer, NULL, NULL);
  pthread_mutex_lock(&sender.lock);
  bool acknowledged = sender.outstanding == 0;
  for (int i = 0; i < STREAMS; i++) came += streams[i].sent - stream_missing(&streams[i]);
  pthread_mutex_unlock(&sender.lock);
  if (came != *seen || !acknowledged) *quiet_since = now_ms();
  *seen = came;
  return now_ms() - *quiet_since > 200;
}

static void wait_for_the_rest(int port) {
  int64_t end = now_ms() + DRAIN_MS, quiet_since = now_ms();
  bool marked = false;
  int seen = -1;
  while (!settled(&quiet_since, &seen) && now_ms() < end) sleep_ms(TICK_MS);
  /* Everything else that the broker has for the observer comes before this. */
  bool published = publish_by_other(port, "out/end", "");
  while (published && !marked && now_ms() < end) {
    sender_observe(&sender, &observer, "out/end", &marked);
    sleep_ms(TICK_MS);
  }
  if (!marked) printf("  the last message did not arrive\n");
}

int main(void) {
  int seconds = number_from_environment("DURATION", 60);
  uint64_t seed = seed_from_environment();
  struct chance chance = {seed};
  struct checks checks = {0, 0};
  struct mosquitto broker;
  struct proxy *proxy = NULL;
  int kills = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("kill: seed %llu, %d s%s\n", (unsigned long long) seed, seconds,
         certificates() != NULL ? ", with TLS" : "");
  bool ready =
      mosquitto_start(&broker,
                      "max_queued_messages 0\n"
                      /* Each kill leaves QoS 2 messages in flight at the broker that were completed long
                       * ago; with a limit, it soon takes no new one and closes the connection instead. */
                      "max_inflight_messages 0\n"
                      "persistence true\n"
                      "autosave_interval 1\n"
                      "autosave_on_changes true\n") &&
      observer_start(&observer, broker.port, "out/#") &&
      (getenv("PROXY_TRACE") == NULL || (proxy = proxy_start(broker.device_port)) != NULL) &&
      sender_start(&sender, proxy != NULL ? proxy_port(proxy) : broker.device_port, streams, STREAMS);
  if (!ready) {
    printf("could not begin; is mosquitto installed?\nkill: 0 passed, 1 failed\n");
    mosquitto_stop(&broker);
    return 1;
  }

  int64_t start = now_ms(), next_kill = start + KILL_EACH_MS;
  while (now_ms() < start + (int64_t) seconds * 1000) {
    /* About fifty a second: mosquitto writes its whole database at each change. */
    if (chance_below(&chance, 2) == 0) {
      sender_publish(&sender, &streams[chance_below(&chance, STREAMS)], (int) chance_below(&chance, 100));
    }
    sender_observe(&sender, &observer, NULL, NULL);
    if (now_ms() >= next_kill) {
      child_kill(&broker.process, SIGKILL);
      kills++;
      next_kill += KILL_EACH_MS;
      if (!mosquitto_restart(&broker)) break;
    }
    sleep_ms(TICK_MS);
  }
  int64_t drain = now_ms();
  if (!wait_for_port(broker.port, 10000)) printf("  the broker is not there any more\n");
  wait_for_the_rest(broker.port);

  int sent = 0, lost = 0, lost_by_broker = 0, doubled[3] = {0, 0, 0}, misordered = 0;
  pthread_mutex_lock(&sender.lock);
  for (int i = 0; i < STREAMS; i++) {
    sent += streams[i].sent;
    lost += stream_missing_if(&streams[i], false);
    lost_by_broker += stream_missing_if(&streams[i], true);
    doubled[streams[i].qos] += stream_repeated(&streams[i]);
    misordered += streams[i].misordered;
  }
  printf("  %d kills, %d connections, %d of them without the session; %d sent; drained in %d ms\n", kills,
         sender.ups, sender.sessions_lost, sent, (int) (now_ms() - drain));
  printf(
      "  by the broker, after it had acknowledged: %d lost; QoS 1 repeated %d, QoS 2 doubled %d, out of "
      "order %d\n",
      lost_by_broker, doubled[1], doubled[2], misordered);
  printf("  and %d times it acknowledged again what it had acknowledged before\n", sender.strays);
  check(&checks, kills >= seconds - 1 && sender.closes >= kills / 2, "the broker was killed each second");
  check(&checks, sent > seconds * 20, "messages were accepted all the time");
  check(&checks, lost == 0, "nothing was lost: accepted, not acknowledged and not delivered");
  check(&checks, sender.outstanding == 0, "every accepted message was acknowledged in the end");
  pthread_mutex_unlock(&sender.lock);

  sender_end(&sender);
  if (proxy != NULL) proxy_stop(proxy);
  child_kill(&observer.process, SIGKILL);
  mosquitto_stop(&broker);
  streams_free(streams, STREAMS);
  printf("kill: %d passed, %d failed\n", checks.passed, checks.failed);
  return checks.failed != 0;
}
