/*
 * Names the MQTT packets in a stream of bytes, for the log of a proxy.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How much of each packet is kept to be shown. */
#define TRACE_KEEP 160

/* One direction of one connection. All zero at its beginning. */
struct trace {
  unsigned char head[TRACE_KEEP];
  size_t have;  /* bytes of this packet so far */
  size_t total; /* bytes of this packet, 0 while its length has not come */
  unsigned counts[16];
};

/* Takes the next bytes. Counts each whole packet by its type; with a `log`, also writes a line for it. */
void trace_bytes(struct trace *trace, const unsigned char *bytes, size_t len, FILE *log, const char *prefix);

#endif
