/*
 * What every driver in C shares: the job it was given, the clock, and the report.
 *
 * A driver is one program per library. It defines `driver`, whose functions do the job's work with that
 * library and call measure_begin() once connected and measure_end() when the work is done. main() is in
 * bench.c.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where all messages of a publishing job go. */
#define BENCH_TOPIC "bench/topic/0"
/* What is published here comes back from the sink. */
#define ECHO_TOPIC "echo/0"

struct job {
  const char *host;    /* of the sink */
  int port;            /* of the sink */
  const char *ca;      /* certificate of the authority, for TLS; NULL for plain TCP */
  const char *variant; /* of the driver; "" is the usual one */
  int qos;             /* of all messages */
  int window;          /* messages that may be without their acknowledgement */
  long count;          /* messages */
  size_t size;         /* of a payload */
  int connections;     /* for jobs with many */
  int filters;         /* subscriptions of a receiving job, one per topic; 0: a single one */
  int seconds;         /* of doing nothing */
  int keep_alive;      /* seconds */
  int protocol;        /* the version byte of CONNECT: 4, or 5 */
  bool aliases;        /* topic aliases in both directions, with MQTT 5.0 */
  bool defaults;       /* leave every option as the library has it */
  bool times;          /* note how long each message takes */
};

/* Functions may be NULL where a library has no such thing. */
struct driver {
  const char *name;
  void (*connect)(void);      /* one connection, to its CONNACK */
  void (*publish)(void);      /* job.count messages; ends with the last acknowledgement */
  void (*receive)(void);      /* the sink sends job.count messages */
  void (*round_trip)(void);   /* publish, wait for the echo, job.count times */
  void (*hold)(void);         /* job.connections connections, then job.seconds of nothing */
  void (*fleet)(void);        /* job.count echoes over job.connections connections, job.window at a time */
  void (*other_thread)(void); /* job.count messages from a thread, while another one drives and sleeps */
};

extern const struct job job;
extern const struct driver driver;
extern unsigned char *payload; /* job.size bytes */
extern char flood_topic[128];  /* subscribing to it makes the sink send */

void measure_begin(void);
void measure_end(void);
void message_took(double seconds);
void memory_before(void); /* the first connection */
void memory_after(void);  /* all connections stand and are quiet */
double seconds_now(void);
void sleep_ms(long ms);
_Noreturn void fail(const char *what);

#endif
