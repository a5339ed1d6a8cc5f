/*
 * Small parts for the tests of threads, loops and bad networks: time, counts that shrink under valgrind, what
 * /proc tells of this process, sockets on loopback, and the few packets of MQTT that a test sends when it is
 * the server itself. All waiting is bounded; what fails here fails the test that runs.
 */
#ifndef TESTS_C_NET_H
#define TESTS_C_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than everything in these tests takes, also on a busy machine: reaching it is a failure. */
#define LONG_MS (net_slow() ? 120000 : 30000)

/* Whether the program runs under something that makes it many times slower (MGOS_MQTT_TEST_SLOW is set). */
bool net_slow(void);
/* `n`, or a part of it when the program is slow. */
int net_count(int n);
/* Milliseconds of a clock that only goes forward. */
int64_t net_ms(void);
/* Entries of a directory, e.g. /proc/self/fd (the one that reading it needs is not counted). */
int net_entries(const char *directory);
/* Waits until this process has at most `n` threads: one that was joined is there for some moments more, so a
 * count that was taken before may be too high. */
bool net_wait_threads(int n);

/* A listening socket on a free port of 127.0.0.1. */
int net_listen(uint16_t *port);
/* As before, on a given port, which a closed listener had. */
int net_listen_at(uint16_t port);
/* A port on which nothing listens. */
uint16_t net_free_port(void);
/* The next connection within LONG_MS. */
int net_accept(int listener);
/* Whether nobody connects for so long. */
bool net_nobody(int listener, int ms);
/* Reads exactly `n` bytes; false at the end of the stream or an error. */
bool net_read(int fd, void *buf, size_t n);
/* Reads until the other side closes or resets; false if it does not within LONG_MS. */
bool net_read_to_end(int fd);
void net_write(int fd, const void *bytes, size_t n);
/* Closes with RST instead of FIN. */
void net_reset(int fd);

/* A port of 127.0.0.1 that never answers: its queue is full, so Linux drops each SYN. */
struct black_hole {
  uint16_t port;
  int listener;
  int fillers[8];
};
void black_hole_open(struct black_hole *hole);
void black_hole_close(struct black_hole *hole);

/* Reads a packet: its first byte; up to `cap` bytes of its body, whose size goes to *len. 0 at the end. */
int mqtt_read(int fd, uint8_t *body, size_t cap, size_t *len);
/* Reads packets until one of this type (0x10 for CONNECT ...) and returns its packet id, if it has one. */
uint16_t mqtt_expect(int fd, int type);
/* Accepts, reads CONNECT and answers with CONNACK 0, no session. */
int mqtt_accept(int listener);
/* PUBLISH with a payload of `len` times 'x'. */
void mqtt_publish(int fd, const char *topic, int qos, uint16_t id, size_t len);
/* PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK: 0x40, 0x50, 0x62, 0x70, 0xb0. */
void mqtt_ack(int fd, int first, uint16_t id);
void mqtt_suback(int fd, uint16_t id, uint8_t code);

#endif
