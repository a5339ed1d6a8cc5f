/*
 * Streams of numbered messages: who counts them, and what may not happen to them. A stream is one topic at
 * one QoS; its messages are 0, 1, 2 ... in the order in which they were accepted.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "support.h"

struct stream {
  char topic[64];
  int qos;
  int sent; /* accepted by the sender */
  /* Of each number: how often it came. */
  unsigned char *came;
  /* Of each number: how often the sender was told that the broker has it. */
  unsigned char *acked;
  int room;
  int next;       /* what would be the next new one in order */
  int misordered; /* new ones that were not the next */
};

/* Takes a message that arrived. */
void stream_arrived(struct stream *stream, int number);

/* Takes an acknowledgement. */
void stream_acknowledged(struct stream *stream, int number);

/* How many numbers below `sent` came not at all: all of them, or those only whose acknowledgement came
 * (`acked` 1) or did not come (0). How many surplus messages there were. */
int stream_missing(const struct stream *stream);
int stream_missing_if(const struct stream *stream, bool acked);
int stream_repeated(const struct stream *stream);
bool stream_is_complete(const struct stream *stream);

/* One of the streams by its topic, or NULL. */
struct stream *stream_find(struct stream *streams, size_t count, const char *topic, size_t topic_len);
void streams_free(struct stream *streams, size_t count);

/* The other client library: mosquitto_sub with a session of its own, QoS 2, and a line for each message. Its
 * session exists when this returns, so that nothing that is published later can pass it by. */
struct observer {
  struct child process;
  char line[16384];
  size_t len;
};
bool observer_start(struct observer *observer, int port, const char *filter);
/* Counts what came since the last call. `marker`, if not NULL, is set when a message to that topic came. */
void observer_read(struct observer *observer, struct stream *streams, size_t count, const char *marker,
                   bool *marked);

/* Publishes one message with mosquitto_pub, QoS 2, and waits until it is done. */
bool publish_by_other(int port, const char *topic, const char *text);

#endif
