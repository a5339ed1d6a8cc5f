/* The configuration file: $XDG_CONFIG_HOME/mgos_mqtt_pub, else ~/.config/mgos_mqtt_pub; if there is none, that of the program
 * of mosquitto with the same task. A line has an option and its value, one that begins with # is a comment. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "settings.h"

enum { MAX_WORDS = 5 }; /* -D connect user-property NAME VALUE */

/* NULL if there is none, or the directory is closed to us. One that is there and cannot be opened ends the program: what it
 * says would not count. */
static FILE *open_in(const struct settings *s, const char *home, const char *below, const char *name, char *path, size_t size) {
  struct stat found;
  int error;
  FILE *file;
  if (home == NULL || home[0] == '\0') return NULL;
  if (snprintf(path, size, "%s%s/%s", home, below, name) >= (int) size) return NULL;
  file = fopen(path, "r");
  error = errno;
  if (file == NULL && stat(path, &found) == 0) settings_fail(s, "cannot read '%s': %s", path, strerror(error));
  return file;
}

static FILE *open_named(const struct settings *s, const char *name, char *path, size_t size) {
  FILE *file = open_in(s, getenv("XDG_CONFIG_HOME"), "", name, path, size);
  return file != NULL ? file : open_in(s, getenv("HOME"), "/.config", name, path, size);
}

/* Cuts a line into words: the option, and as many as it has values, of which the last is all that is left. */
static int split(const struct settings *s, char *line, char **words) {
  int count = 0, wanted = 2;
  char *at = line;
  for (;;) {
    at += strspn(at, " \t");
    if (*at == '\0') return count;
    words[count++] = at;
    if (count == 1) {
      const struct option_row *row = option_find(s->which, at, strcspn(at, " \t"));
      if (row != NULL && row->id == OPT_PROPERTY) wanted = 4;
    }
    if (count == 3 && wanted == 4 && strncmp(at, "user-property", 13) == 0) wanted = MAX_WORDS;
    if (count == wanted) return count;
    at += strcspn(at, " \t");
    if (*at != '\0') *at++ = '\0';
  }
}

void config_file_read(struct settings *s) {
  static char path[4096], where[4200]; /* complaints name them */
  char *line = NULL, *words[MAX_WORDS];
  size_t size = 0;
  int number = 0;
  const char *task = strrchr(s->program, '_') + 1;
  char theirs[40];
  FILE *file = open_named(s, s->program, path, sizeof(path));
  snprintf(theirs, sizeof(theirs), "mosquitto_%s", task);
  if (file == NULL) file = open_named(s, theirs, path, sizeof(path));
  if (file == NULL) return;
  s->where = path;
  while (getline(&line, &size, file) >= 0) {
    int count;
    number++;
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '#') continue;
    snprintf(where, sizeof(where), "%s, line %d", path, number);
    s->where = where;
    texts_add(&s->lines, must_have(strdup(line))); /* it is used as long as the program runs */
    count = split(s, (char *) s->lines.text[s->lines.count - 1], words);
    settings_take_words(s, words, count);
  }
  free(line);
  if (ferror(file)) settings_fail(s, "cannot read it to its end: %s", strerror(errno));
  fclose(file);
}
