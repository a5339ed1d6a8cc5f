#define _POSIX_C_SOURCE 200809L
#include "capath.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE = 4 * 1024 * 1024 };

struct pem {
  char *text;
  size_t len;
};

/* Adds a file if it has certificates; others, such as lists of revoked ones, may lie beside them. */
static void add_file(struct pem *all, const char *path) {
  struct stat info;
  size_t len;
  char *text;
  FILE *file = stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= MAX_FILE ? fopen(path, "rb") : NULL;
  if (file == NULL) return;
  all->text = must_have(realloc(all->text, all->len + (size_t) info.st_size + 2));
  text = all->text + all->len;
  len = fread(text, 1, (size_t) info.st_size, file);
  fclose(file);
  text[len] = '\0';
  if (strstr(text, "-----BEGIN CERTIFICATE-----") == NULL && strstr(text, "-----BEGIN TRUSTED CERTIFICATE-----") == NULL) return;
  text[len] = '\n';
  all->len += len + 1;
}

const void *capath_read(const struct settings *s, size_t *len) {
  struct pem all = {NULL, 0};
  const struct dirent *entry;
  DIR *directory = opendir(s->capath);
  if (directory == NULL) settings_fail(s, "--capath: cannot read '%s': %s", s->capath, strerror(errno));
  while ((entry = readdir(directory)) != NULL) {
    char path[4096];
    /* "openssl rehash" makes a link for each file, 5ed36f99.0: the same certificate once more, which does no harm. */
    if (snprintf(path, sizeof(path), "%s/%s", s->capath, entry->d_name) < (int) sizeof(path)) add_file(&all, path);
  }
  closedir(directory);
  if (all.len == 0) settings_fail(s, "--capath: no file in '%s' has a certificate in PEM", s->capath);
  *len = all.len;
  return all.text;
}
