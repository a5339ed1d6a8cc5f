#define _POSIX_C_SOURCE 200809L
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool input_read(const struct client *client, struct input *input, int fd) {
  ssize_t n;
  if (input->size - input->len < 4096) {
    size_t size = input->size == 0 ? 65536 : input->size * 2;
    input->bytes = must_have(realloc(input->bytes, size));
    input->size = size;
  }
  do {
    n = read(fd, input->bytes + input->len, input->size - input->len);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    client_say(client, "cannot read: %s", strerror(errno));
    return false;
  }
  input->len += (size_t) n;
  input->ended = n == 0;
  if (input->len > MAX_MESSAGE) {
    client_say(client, "the input is too large for a message of MQTT, which has at most %d bytes", MAX_MESSAGE);
    return false;
  }
  return true;
}

bool input_read_file(const struct client *client, struct input *input, const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    client_say(client, "cannot read '%s': %s", path, strerror(errno));
    return false;
  }
  while (!input->ended) {
    if (!input_read(client, input, fd)) break;
  }
  close(fd);
  return input->ended;
}

void input_take(struct input *input, const char *text) {
  input->len = strlen(text);
  input->bytes = must_have(malloc(input->len + 1));
  memcpy(input->bytes, text, input->len);
  input->ended = true;
}

bool input_line(struct input *input, size_t at, size_t *len) {
  size_t from = input->searched > at ? input->searched : at;
  /* Before anything was read there are no bytes to search. */
  const char *feed = input->len > from ? memchr(input->bytes + from, '\n', input->len - from) : NULL;
  *len = (feed != NULL ? (size_t) (feed - input->bytes) : input->len) - at;
  if (feed != NULL) return true;
  input->searched = input->len;
  return input->ended && *len > 0;
}

void input_drop(struct input *input, size_t count) {
  if (count == 0) return;
  memmove(input->bytes, input->bytes + count, input->len - count);
  input->len -= count;
  input->searched = input->searched > count ? input->searched - count : 0;
}
