/* The part of a driver that is the same for all libraries. See bench.h. */
#define _GNU_SOURCE
#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct job parsed = {.host = "127.0.0.1",
                            .variant = "",
                            .window = 1000,
                            .count = 1000,
                            .size = 256,
                            .connections = 1,
                            .keep_alive = 60,
                            .protocol = 4};
extern const struct job job __attribute__((alias("parsed")));
unsigned char *payload;
char flood_topic[128];

struct usage {
  double wall, cpu;
  long waits; /* the times that the process slept */
};
static struct usage begun, ended;
static double *took;
static long times_seen;
static long private_before, private_after, threads;

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", driver.name, what);
  _exit(1);
}

static struct usage usage(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  double cpu = (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
               (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
  return (struct usage){seconds_now(), cpu, r.ru_nvcsw};
}

void measure_begin(void) {
  begun = usage();
}

void measure_end(void) {
  ended = usage();
}

void message_took(double seconds) {
  /* Only where it is asked for: else the sorting would count as work for messages. */
  if (parsed.times && times_seen < parsed.count) took[times_seen++] = seconds;
}

/* The sum of all "name...: <number>" of a file in /proc/self. */
static long proc_number(const char *path, const char *name) {
  char line[256];
  long sum = 0;
  FILE *f = fopen(path, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL) {
    const char *colon = strchr(line, ':');
    if (colon != NULL && strncmp(line, name, strlen(name)) == 0) sum += strtol(colon + 1, NULL, 10);
  }
  fclose(f);
  return sum;
}

void memory_before(void) {
  private_before = proc_number("/proc/self/smaps_rollup", "Private_");
}

void memory_after(void) {
  private_after = proc_number("/proc/self/smaps_rollup", "Private_");
  threads = proc_number("/proc/self/status", "Threads");
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static void report(void) {
  double per_message = 1e6 / (double) parsed.count;
  printf("{\"wall_us\":%.4f,\"cpu_us\":%.4f,\"waits\":%ld", (ended.wall - begun.wall) * per_message,
         (ended.cpu - begun.cpu) * per_message, ended.waits - begun.waits);
  if (times_seen > 0) {
    qsort(took, (size_t) times_seen, sizeof *took, by_size);
    printf(",\"median_us\":%.3f,\"p99_us\":%.3f", took[times_seen / 2] * 1e6,
           took[times_seen * 99 / 100] * 1e6);
  }
  if (threads > 0) {
    printf(",\"kib_per_connection\":%.3f,\"threads\":%ld",
           (double) (private_after - private_before) / parsed.connections, threads);
  }
  printf("}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"host", 1, NULL, 'h'},     {"port", 1, NULL, 'p'},    {"ca", 1, NULL, 'a'},
      {"variant", 1, NULL, 'v'},  {"qos", 1, NULL, 'q'},     {"window", 1, NULL, 'w'},
      {"count", 1, NULL, 'n'},    {"size", 1, NULL, 's'},    {"connections", 1, NULL, 'c'},
      {"filters", 1, NULL, 'f'},  {"seconds", 1, NULL, 't'}, {"keep-alive", 1, NULL, 'k'},
      {"defaults", 0, NULL, 'd'}, {"times", 0, NULL, 'T'},   {"protocol", 1, NULL, 'P'},
      {"aliases", 0, NULL, 'A'},  {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
      case 'h':
        parsed.host = optarg;
        break;
      case 'p':
        parsed.port = atoi(optarg);
        break;
      case 'a':
        parsed.ca = optarg;
        break;
      case 'v':
        parsed.variant = optarg;
        break;
      case 'q':
        parsed.qos = atoi(optarg);
        break;
      case 'w':
        parsed.window = atoi(optarg);
        break;
      case 'n':
        parsed.count = atol(optarg);
        break;
      case 's':
        parsed.size = strtoul(optarg, NULL, 10);
        break;
      case 'c':
        parsed.connections = atoi(optarg);
        break;
      case 'f':
        parsed.filters = atoi(optarg);
        break;
      case 't':
        parsed.seconds = atoi(optarg);
        break;
      case 'k':
        parsed.keep_alive = atoi(optarg);
        break;
      case 'd':
        parsed.defaults = true;
        break;
      case 'T':
        parsed.times = true;
        break;
      case 'P':
        parsed.protocol = atoi(optarg);
        break;
      case 'A':
        parsed.aliases = true;
        break;
      default:
        return 2;
    }
  const char *mode = optind < argc ? argv[optind] : "";
  const struct {
    const char *name;
    void (*run)(void);
  } jobs[] = {{"connect", driver.connect},          {"publish", driver.publish}, {"receive", driver.receive},
              {"round-trip", driver.round_trip},    {"hold", driver.hold},       {"fleet", driver.fleet},
              {"other-thread", driver.other_thread}};
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  payload = malloc(parsed.size + 1);
  took = calloc((size_t) parsed.count, sizeof *took);
  if (payload == NULL || took == NULL) fail("no memory");
  memset(payload, 'x', parsed.size + 1);
  if (parsed.times) memset(took, 1, (size_t) parsed.count * sizeof *took); /* no page fault later */
  snprintf(flood_topic, sizeof flood_topic, "flood/%ld/%zu/%d/%d/%d", parsed.count, parsed.size, parsed.qos,
           parsed.window, parsed.filters);
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
    if (strcmp(mode, jobs[i].name) != 0) continue;
    if (jobs[i].run == NULL) fail("has no such job");
    jobs[i].run();
    report();
    _exit(0); /* without taking anything down: that is not what is measured */
  }
  fail("no such job");
}
