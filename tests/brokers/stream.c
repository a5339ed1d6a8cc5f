#include "stream.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *larger(unsigned char *counts, int from, int to) {
  counts = realloc(counts, (size_t) to);
  if (counts == NULL) abort();
  memset(counts + from, 0, (size_t) (to - from));
  return counts;
}

/* Room for a number; false if it cannot be one of ours. */
static bool make_room(struct stream *stream, int number) {
  if (number < 0 || number > 10000000) return false;
  if (number >= stream->room) {
    int room = number * 2 + 1024;
    stream->came = larger(stream->came, stream->room, room);
    stream->acked = larger(stream->acked, stream->room, room);
    stream->room = room;
  }
  return true;
}

void stream_arrived(struct stream *stream, int number) {
  if (!make_room(stream, number)) return;
  if (stream->came[number] == 0) {
    if (number == stream->next) {
      stream->next++;
    } else {
      /* Counted once; the order is looked at from there on. */
      stream->misordered++;
      if (getenv("VERBOSE") != NULL) {
        fprintf(stderr, "%lld %s: %d came instead of %d\n", (long long) now_ms(), stream->topic, number,
                stream->next);
      }
      stream->next = number + 1;
    }
  }
  if (stream->came[number] < 255) stream->came[number]++;
}

void stream_acknowledged(struct stream *stream, int number) {
  if (make_room(stream, number) && stream->acked[number] < 255) stream->acked[number]++;
}

int stream_missing_if(const struct stream *stream, bool acked) {
  int missing = 0;
  for (int i = 0; i < stream->sent; i++) {
    bool here = i < stream->room;
    missing += (!here || stream->came[i] == 0) && (here && stream->acked[i] > 0) == acked;
  }
  return missing;
}

int stream_missing(const struct stream *stream) {
  return stream_missing_if(stream, true) + stream_missing_if(stream, false);
}

int stream_repeated(const struct stream *stream) {
  int repeated = 0;
  for (int i = 0; i < stream->room; i++) {
    if (stream->came[i] > 1) repeated += stream->came[i] - 1;
    /* What nobody sent is surplus altogether. */
    if (i >= stream->sent && stream->came[i] > 0) repeated++;
  }
  return repeated;
}

bool stream_is_complete(const struct stream *stream) {
  return stream_missing(stream) == 0;
}

struct stream *stream_find(struct stream *streams, size_t count, const char *topic, size_t topic_len) {
  for (size_t i = 0; i < count; i++) {
    if (strlen(streams[i].topic) == topic_len && memcmp(streams[i].topic, topic, topic_len) == 0)
      return &streams[i];
  }
  return NULL;
}

void streams_free(struct stream *streams, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(streams[i].came);
    free(streams[i].acked);
  }
}

bool observer_start(struct observer *observer, int port, const char *filter) {
  char port_text[16], topic[96];
  snprintf(port_text, sizeof(port_text), "%d", port);
  snprintf(topic, sizeof(topic), "%s", filter);
  char *subscribe[] = {
      "mosquitto_sub", "-h", "127.0.0.1", "-p", port_text, "-i", "observer", "-c", "-q", "2", "-t",
      topic,           "-E", NULL};
  char *observe[] = {
      "mosquitto_sub", "-h", "127.0.0.1", "-p", port_text, "-i", "observer", "-c", "-q", "2", "-t",
      topic,           "-F", "%t %p",     NULL};
  struct child first;
  memset(observer, 0, sizeof(*observer));
  /* Subscribes and ends; the session stays. */
  if (!child_start(&first, subscribe, false, false) || child_finish(&first, 10000) != 0) return false;
  return child_start(&observer->process, observe, false, true);
}

void observer_read(struct observer *observer, struct stream *streams, size_t count, const char *marker,
                   bool *marked) {
  for (;;) {
    ssize_t n = read(observer->process.out, observer->line + observer->len,
                     sizeof(observer->line) - observer->len - 1);
    if (n <= 0) return;
    observer->len += (size_t) n;
    char *start = observer->line, *end;
    while ((end = memchr(start, '\n', observer->len - (size_t) (start - observer->line))) != NULL) {
      *end = '\0';
      char *space = strchr(start, ' ');
      if (space != NULL) {
        struct stream *stream = stream_find(streams, count, start, (size_t) (space - start));
        if (stream != NULL) stream_arrived(stream, atoi(space + 1));
        *space = '\0';
        if (marker != NULL && strcmp(start, marker) == 0) *marked = true;
      }
      start = end + 1;
    }
    observer->len -= (size_t) (start - observer->line);
    memmove(observer->line, start, observer->len);
    if (observer->len == sizeof(observer->line) - 1) observer->len = 0; /* no line of ours */
  }
}

bool publish_by_other(int port, const char *topic, const char *text) {
  char port_text[16], topic_text[96], message[64];
  snprintf(port_text, sizeof(port_text), "%d", port);
  snprintf(topic_text, sizeof(topic_text), "%s", topic);
  snprintf(message, sizeof(message), "%s", text);
  char *argv[] = {"mosquitto_pub", "-h", "127.0.0.1", "-p", port_text, "-q", "2", "-t",
                  topic_text,      "-m", message,     NULL};
  struct child child;
  return child_start(&child, argv, false, false) && child_finish(&child, 10000) == 0;
}
