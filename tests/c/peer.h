/*
 * A scripted MQTT peer for tests: a server on a free loopback port that expects exact bytes and sends exact
 * bytes, in a thread of the test's own process.
 *
 * A script is written in order, from the thread of the test. Each call adds a step and returns at once; the
 * peer's thread takes them one after the other, each within a deadline; peer_done() drives the client until
 * all of them are done, and fails the test with file, line and a hex dump if one did not come true:
 *
 *     peer_accept(p);
 *     peer_expect(p, "10 @ ='MQTT' 04 02 003c ='%s'", client_id);
 *     peer_send(p, "20 02 00 00");
 *     peer_done(p, loop);
 *
 * Patterns (after printf has filled in the %): pairs of hexadecimal digits; 'text' in quotes; ='text' with
 * its length in two bytes before it, as MQTT writes strings; @ for the remaining length of what follows, up
 * to the end or a `;`; ?? for any byte, where bytes are expected. White space is for the reader.
 *
 * Nothing that arrives is skipped: what the script did not expect makes the next step fail, or the end of the
 * test.
 */
#ifndef MGOS_TEST_PEER_H
#define MGOS_TEST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>

/* How long anything may take. Reached only when a test fails. */
#define TEST_DEADLINE_MS 20000

struct peer;

/* A packet that came, taken apart as far as tests need it. */
struct peer_packet {
  int type;                  /* MG_MQTT_CMD_* */
  int flags;                 /* the low four bits of its first byte */
  uint16_t id;               /* the packet id, 0 if it has none */
  char topic[256];           /* PUBLISH: its topic, cut */
  size_t body_len;           /* bytes after the fixed header */
  const unsigned char *body; /* all of them; valid until the next packet */
};

enum peer_step {
  PEER_ACCEPT,
  PEER_EXPECT,
  PEER_SEND,
  PEER_SEND_SLOWLY,
  PEER_TAKE,
  PEER_RUN,
  PEER_SERVE,
  PEER_END,
  PEER_CLOSE,
  PEER_RESET
};

/* A part of a script that needs a loop. Runs on the peer's thread; returns false after peer_packet() did. */
typedef bool (*peer_fn)(struct peer *p, void *arg);

/* Listens. Never NULL: exits the process if the machine has no loopback. */
struct peer *peer_start(void);

/* Ends the peer. False, after a message, if the script failed, was not finished, or the client sent more. */
bool peer_stop(struct peer *p);

/* "127.0.0.1:port", for the configuration. Lives as long as the peer. */
const char *peer_address(const struct peer *p);

/* How many connections were accepted so far. */
int peer_accepted(struct peer *p);

void peer_add(struct peer *p, enum peer_step kind, const char *file, int line, const char *format, ...);
void peer_add_take(struct peer *p, const char *file, int line, int type, struct peer_packet *out);
void peer_add_run(struct peer *p, const char *file, int line, peer_fn fn, void *arg);

/* Waits for a client, which is the one that the following steps talk to. */
#define peer_accept(p) peer_add(p, PEER_ACCEPT, __FILE__, __LINE__, NULL)
/* Expects bytes. */
#define peer_expect(p, ...) peer_add(p, PEER_EXPECT, __FILE__, __LINE__, __VA_ARGS__)
/* Sends bytes. */
#define peer_send(p, ...) peer_add(p, PEER_SEND, __FILE__, __LINE__, __VA_ARGS__)
/* Sends bytes, each in a segment of its own. */
#define peer_send_slowly(p, ...) peer_add(p, PEER_SEND_SLOWLY, __FILE__, __LINE__, __VA_ARGS__)
/* Expects a packet of a type; its fields go to `out` (without the body), to be read after peer_done(). */
#define peer_take(p, type, out) peer_add_take(p, __FILE__, __LINE__, type, out)
/* Runs a function as a step. */
#define peer_run(p, fn, arg) peer_add_run(p, __FILE__, __LINE__, fn, arg)
/* Is a small server from here on, for any number of connections one after the other: answers everything,
   sends the messages of a client back to it as QoS 0, and after each CONNACK a QoS 0 and a QoS 2 message to
   "greeting". A message to "hang up" closes the connection. Until peer_serve_end(). */
#define peer_serve(p) peer_add(p, PEER_SERVE, __FILE__, __LINE__, NULL)
void peer_serve_end(struct peer *p);
/* Expects that the client closes its side and sent nothing before; then closes too. */
#define peer_expect_end(p) peer_add(p, PEER_END, __FILE__, __LINE__, NULL)
/* Closes. */
#define peer_close(p) peer_add(p, PEER_CLOSE, __FILE__, __LINE__, NULL)
/* Resets the connection (RST). */
#define peer_reset(p) peer_add(p, PEER_RESET, __FILE__, __LINE__, NULL)

/* For functions that run as steps: the next packet, sending. False if the step has failed. */
bool peer_packet(struct peer *p, struct peer_packet *packet);
bool peer_write(struct peer *p, const void *bytes, size_t len);
/* Whether everything that the client has sent so far was taken; fails the step if not. */
bool peer_silent(struct peer *p);

/* Accepts, takes any CONNECT, and answers with CONNACK. */
#define peer_greet(p)                        \
  do {                                       \
    peer_accept(p);                          \
    peer_take(p, MG_MQTT_CMD_CONNECT, NULL); \
    peer_send(p, "20 02 00 00");             \
  } while (0)

/* Drives the loop until the script is done; fails the test if it cannot be. */
#define peer_done(p, loop) peer_finish(p, loop, __FILE__, __LINE__)
void peer_finish(struct peer *p, struct mgos_mqtt_loop *loop, const char *file, int line);

/* Milliseconds of a clock that only goes forward. */
long long test_now_ms(void);

void test_failed(const char *file, int line, const char *what);

/* Drives the loop until a condition holds; fails the test if it never does. */
#define UNTIL(loop, condition)                                                           \
  do {                                                                                   \
    long long until_ = test_now_ms() + TEST_DEADLINE_MS;                                 \
    while (!(condition)) {                                                               \
      if (test_now_ms() > until_) test_failed(__FILE__, __LINE__, "never: " #condition); \
      mgos_mqtt_loop_poll(loop, 5);                                                      \
    }                                                                                    \
  } while (0)

/* A client, its own loop and its peer: what most tests start with. */
struct client {
  struct mgos_mqtt_loop *loop;
  struct mgos_mqtt_conn *c;
  struct peer *peer;
  struct mgos_config_mqtt cfg;      /* enabled, at the peer, reconnects after 10 ms */
  struct mgos_mqtt_options options; /* no jitter, no POLL ticks */
  char trace[4096];                 /* what handlers wrote with trace() */
};

/* Setup and teardown of a cmocka test: `*state` is a struct client with a connection that is not up. */
int client_setup(void **state);
int client_teardown(void **state);

/* The same with options changed by the test: frees the connection and makes it anew. */
void client_renew(struct client *client);

/* Connects; returns when the connection is up. */
void client_up(struct client *client);

/* Appends to the trace, with a space behind it. */
void trace(struct client *client, const char *format, ...);

/* Drives until the trace is `expected`; fails the test with both if it is not by then, or is more. */
#define expect_trace(client, expected) trace_is(client, expected, __FILE__, __LINE__)
void trace_is(struct client *client, const char *expected, const char *file, int line);

/* A round trip to the peer and back, after which everything that was sent before has been handled: the peer
   sends a QoS 0 message, and this returns when a handler of the connection got it. */
#define settle(client) settle_at(client, __FILE__, __LINE__)
void settle_at(struct client *client, const char *file, int line);

/* "PUBLISH" for MG_EV_MQTT_PUBLISH, and so on. */
const char *event_name(int ev);

#endif
