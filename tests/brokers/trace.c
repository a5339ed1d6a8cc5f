#include "trace.h"

static const char *const NAMES[16] = {
    "0",         "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
    "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "15"};

static unsigned two(const unsigned char *p) {
  return (unsigned) p[0] << 8 | p[1];
}

/* The remaining length behind the first byte (MQTT 3.1.1, section 2.2.3); 0 if it has not come whole. */
static size_t header_length(const struct trace *trace, size_t *remaining) {
  size_t value = 0;
  for (size_t i = 1; i < trace->have && i < 5; i++) {
    value |= (size_t) (trace->head[i] & 0x7f) << (7 * (i - 1));
    if ((trace->head[i] & 0x80) == 0) {
      *remaining = value;
      return i + 1;
    }
  }
  return 0;
}

static void show(const struct trace *trace, FILE *log, const char *prefix) {
  size_t remaining = 0;
  size_t at = header_length(trace, &remaining);
  size_t kept = trace->total < TRACE_KEEP ? trace->total : TRACE_KEEP;
  unsigned type = trace->head[0] >> 4;
  fprintf(log, "%s %s", prefix, NAMES[type]);
  if (type == 3) {
    unsigned qos = trace->head[0] >> 1 & 3;
    size_t topic = at + 2, topic_len = two(trace->head + at);
    size_t payload = topic + topic_len + (qos > 0 ? 2 : 0);
    if (payload <= kept) {
      size_t shown = kept - payload < 12 ? kept - payload : 12;
      fprintf(log, " qos %u dup %u retain %u id %u %.*s \"%.*s\"", qos, trace->head[0] >> 3 & 1,
              trace->head[0] & 1, qos > 0 ? two(trace->head + payload - 2) : 0, (int) topic_len,
              (const char *) trace->head + topic, (int) shown, (const char *) trace->head + payload);
    }
  } else if (type == 2) {
    fprintf(log, " session present %u code %u", trace->head[at] & 1, trace->head[at + 1]);
  } else if (remaining >= 2 && type > 3 && type < 12) {
    fprintf(log, " id %u", two(trace->head + at));
  }
  fprintf(log, " (%zu bytes)\n", trace->total);
}

void trace_bytes(struct trace *trace, const unsigned char *bytes, size_t len, FILE *log, const char *prefix) {
  while (len > 0) {
    if (trace->total == 0) {
      size_t remaining = 0;
      if (trace->have == 5) return; /* not MQTT, but TLS for example */
      trace->head[trace->have++] = *bytes++;
      len--;
      size_t header = header_length(trace, &remaining);
      if (header > 0) trace->total = header + remaining;
    } else {
      size_t n = trace->total - trace->have < len ? trace->total - trace->have : len;
      for (size_t i = 0; i < n && trace->have + i < TRACE_KEEP; i++) trace->head[trace->have + i] = bytes[i];
      trace->have += n;
      bytes += n;
      len -= n;
    }
    if (trace->total != 0 && trace->have == trace->total) {
      trace->counts[trace->head[0] >> 4]++;
      if (log != NULL) show(trace, log, prefix);
      trace->have = trace->total = 0;
    }
  }
}
