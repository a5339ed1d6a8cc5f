/* What is to be published: text, a file, or standard input. */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "connection.h"

enum { MAX_MESSAGE = 268435455 }; /* of MQTT, section 2.2.3 of 3.1.1: what a packet has behind its length */

struct input {
  char *bytes;
  size_t len, size;
  size_t searched; /* so many bytes have no line feed */
  bool ended;
};

/* Reads once from a descriptor. False, with a message, if that fails or it is too much for a message. */
bool input_read(const struct client *client, struct input *input, int fd);
bool input_read_file(const struct client *client, struct input *input, const char *path);
void input_take(struct input *input, const char *text);

/* The next line from `at` on, without its line feed; the last one may lack that. False: there is none, or not all of it. */
bool input_line(struct input *input, size_t at, size_t *len);
/* Forgets the first bytes. */
void input_drop(struct input *input, size_t count);

#endif
