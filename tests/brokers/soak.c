/*
 * The soak test: a mixed load over TCP and TLS (soak_load.c) for a long time, through proxies that cut its
 * links in every way, with a mosquitto of its own.
 *
 *   soak LOAD_PROGRAM CSV_FILE
 *
 * SOAK_SECONDS=3600; SEED repeats what chance did in an earlier run; CERTS=<directory> of
 * scripts/with_certificates.sh. Prints what came of it; the file has what the load needed, second by second.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy.h"
#include "support.h"

enum { READY_MS = 60000, DRAIN_MS = 300000 };

enum heard { NOTHING, SAID, ENDED };

/* Copies what the load prints, until it said `word`, ended, or the time is over. */
static enum heard relay(struct child *load, const char *word, int64_t timeout_ms) {
  static char text[65536];
  static size_t len;
  int64_t end = now_ms() + timeout_ms;
  for (int64_t left = timeout_ms; left > 0; left = end - now_ms()) {
    struct pollfd out = {load->out, POLLIN, 0};
    if (poll(&out, 1, (int) left) <= 0) continue;
    ssize_t n = read(load->out, text + len, sizeof(text) - 1 - len);
    if (n <= 0) return ENDED;
    fwrite(text + len, 1, (size_t) n, stdout);
    fflush(stdout);
    len += (size_t) n;
    text[len] = '\0';
    if (strstr(text, word) != NULL) return SAID;
  }
  return NOTHING;
}

static void print_counts(const char *name, struct proxy *proxy) {
  struct proxy_counts counts = proxy_counts(proxy);
  printf("  %s: %u connections through the proxy, cut:", name, counts.links);
  for (int i = 0; i < CUT_KINDS; i++) {
    printf(" %s %u%s", cut_name((enum cut) i), counts.cuts[i], i < CUT_KINDS - 1 ? "," : "\n");
  }
}

int main(int argc, char **argv) {
  struct mosquitto broker;
  struct child load;
  char ports[2][16], ca[512], seed_text[32];
  int seconds = number_from_environment("SOAK_SECONDS", 3600), status = -1;
  uint64_t seed = seed_from_environment();
  if (argc != 3 || certificates() == NULL) return 2;
  signal(SIGPIPE, SIG_IGN);
  /* Otherwise glibc counts what each thread keeps for its next allocations, up to 200 KiB of it, as in use.
   */
  setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
  printf("soak: %d seconds, seed %llu\n", seconds, (unsigned long long) seed);
  fflush(stdout);
  if (!mosquitto_start(&broker, "max_queued_messages 0\nmax_inflight_messages 0\n")) {
    printf("mosquitto does not start; is it installed?\nsoak: failed\n");
    return 1;
  }
  struct proxy *plain = proxy_start(broker.port), *tls = proxy_start(broker.device_port);
  if (plain != NULL && tls != NULL) {
    snprintf(ports[0], sizeof(ports[0]), "%d", proxy_port(plain));
    snprintf(ports[1], sizeof(ports[1]), "%d", proxy_port(tls));
    snprintf(ca, sizeof(ca), "%s/ca.pem", certificates());
    snprintf(seed_text, sizeof(seed_text), "%llu", (unsigned long long) seed);
    char *command[] = {argv[1], ports[0], ports[1], ca, argv[2], seed_text, NULL};
    if (child_start(&load, command, true, true) && relay(&load, "ready\n", READY_MS) == SAID) {
      /* Over TLS a connection lives a little longer before it is of any use. */
      proxy_chaos(plain, seed, 0, 1000);
      proxy_chaos(tls, seed + 1, 0, 2000);
      enum heard early = relay(&load, "load:", (int64_t) seconds * 1000);
      proxy_calm(plain);
      proxy_calm(tls);
      fclose(load.in);
      load.in = NULL;
      if (early == NOTHING) relay(&load, "load:", DRAIN_MS);
      print_counts("plain", plain);
      print_counts("tls", tls);
    }
    status = child_finish(&load, 10000);
  }
  if (plain != NULL) proxy_stop(plain);
  if (tls != NULL) proxy_stop(tls);
  mosquitto_stop(&broker);
  printf("soak: %s\n", status == 0 ? "passed" : "failed");
  return status != 0;
}
