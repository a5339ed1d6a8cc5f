/*
 * A TCP proxy in a thread of its own, between a client and a server on the loopback interface. It forwards
 * bytes and cuts connections: when it is told to, or at random.
 */
#ifndef PROXY_H
#define PROXY_H

#include <stdbool.h>
#include <stdint.h>

/* Ways to lose a connection. */
enum cut {
  CUT_FIN,       /* both sides are closed in order */
  CUT_RST,       /* both sides are reset */
  CUT_HALF_UP,   /* a part of what the client sends next is forwarded, then as FIN or RST */
  CUT_HALF_DOWN, /* the same with what the server sends */
  CUT_STALL,     /* nothing moves for a while, then RST */
  CUT_DEAF_UP,   /* for a while what the client sends is swallowed, then RST */
  CUT_DEAF_DOWN, /* for a while what the server sends is swallowed, then RST: acknowledgements are lost */
  CUT_REFUSE,    /* closed as soon as it was accepted */
  CUT_KINDS
};
const char *cut_name(enum cut cut);

struct proxy;

/* What happened so far. */
struct proxy_counts {
  unsigned links;           /* connections accepted */
  unsigned cuts[CUT_KINDS]; /* connections cut, by kind */
  unsigned pings;           /* PINGREQ packets forwarded */
};

/* Forwards every connection to the proxy's port to `target`. NULL without ports or threads. With PROXY_TRACE
 * set to a file name, every packet is logged there. */
struct proxy *proxy_start(int target);
void proxy_stop(struct proxy *proxy);
int proxy_port(const struct proxy *proxy);
struct proxy_counts proxy_counts(struct proxy *proxy);

/* Cuts all connections that there are now. */
void proxy_cut(struct proxy *proxy, enum cut cut);
/* From now on connections are cut in random ways at random moments, `min_ms` to `max_ms` after they were
 * accepted. */
void proxy_chaos(struct proxy *proxy, uint64_t seed, int min_ms, int max_ms);
/* No more of that; connections that are about to be cut still are. */
void proxy_calm(struct proxy *proxy);

#endif
