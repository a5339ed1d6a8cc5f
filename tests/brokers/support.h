/*
 * What the broker tests need of the system: time, chance, ports, child processes.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);
void sleep_ms(int ms);

/* Chance that can be repeated: the same seed gives the same numbers. */
struct chance {
  uint64_t state;
};
uint32_t chance_next(struct chance *chance);
/* From 0 to below - 1. */
uint32_t chance_below(struct chance *chance, uint32_t below);
/* The number in the environment variable SEED, or one from the clock. */
uint64_t seed_from_environment(void);
/* The number in an environment variable, or `otherwise`. */
int number_from_environment(const char *name, int otherwise);

/* A TCP port of the loopback interface that nothing listens on now; 0 if there is none. */
int free_port(void);
/* Waits until something listens there. */
bool wait_for_port(int port, int timeout_ms);
/* A connection to a port of the loopback interface; negative without one. */
int connect_to(int port);

/* A child process. Its standard input and output are pipes if asked for, otherwise nothing. */
struct child {
  pid_t pid;
  FILE *in;
  int out;
};
bool child_start(struct child *child, char *const argv[], bool with_in, bool with_out);
/* Closes its input, waits until it ends by itself and returns its exit code; otherwise kills it and returns
 * -1. */
int child_finish(struct child *child, int timeout_ms);
/* Ends it by a signal and waits for that. */
void child_kill(struct child *child, int signal_number);

/* The directory of certificates in the environment variable CERTS, as scripts/with_certificates.sh makes it;
 * NULL: the device does without TLS. */
const char *certificates(void);

/* A mosquitto of our own, in a directory of its own below TMPDIR. */
struct mosquitto {
  struct child process;
  int port;        /* plain, for other clients */
  int device_port; /* for the device: with TLS if there are certificates, else the same */
  char dir[256];
};
/* `config` has lines to add to its configuration. */
bool mosquitto_start(struct mosquitto *broker, const char *config);
/* Starts it again after child_kill(&broker->process, ...), with the same port and files. */
bool mosquitto_restart(struct mosquitto *broker);
/* Ends it and removes its directory. */
void mosquitto_stop(struct mosquitto *broker);

#endif
