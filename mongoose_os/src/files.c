/* The configuration of the system: its files, and what the library keeps of it. */

#include "json_internal.h"
#include "runtime.h"

#include <common/json_utils.h>
#include <errno.h>
#include <fcntl.h>
#include <mgos_sys_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APP (&mgos_app_description)
/* The level of the user's settings. */
#define USER_LEVEL 9

char *mgos_os_sentence(const char *fmt, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, fmt);
  if (vasprintf(&text, fmt, ap) < 0) text = NULL;
  va_end(ap);
  return text;
}

/* Files. */

static char *failed(const char *doing, const char *path) {
  return mgos_os_sentence("%s: cannot %s: %s", path, doing, strerror(errno));
}

static bool write_all(int fd, const char *text) {
  size_t left = strlen(text);
  while (left > 0) {
    ssize_t n = write(fd, text, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text += n;
    left -= (size_t) n;
  }
  return true;
}

/* Makes the name of a file last. */
static void sync_directory(const char *path) {
  char *copy = strdup(path), *slash = copy != NULL ? strrchr(copy, '/') : NULL;
  int fd;
  if (slash != NULL) *(slash == copy ? slash + 1 : slash) = '\0';
  fd = open(slash != NULL ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void) fsync(fd);
    close(fd);
  }
  free(copy);
}

char *mgos_os_file_replace(const char *path, const char *text) {
  char *beside = path != NULL ? mgos_os_sentence("%s.new", path) : NULL, *error = NULL;
  int fd;
  if (beside == NULL) return mgos_os_sentence("no memory, or no name, for the file");
  /* Passwords stand in it. */
  fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    error = failed("make it", beside);
  } else {
    if (!write_all(fd, text)) {
      error = failed("write it", beside);
    } else if (fsync(fd) != 0) {
      error = failed("write it to the disk", beside);
    }
    if (close(fd) != 0 && error == NULL) error = failed("write it", beside);
    if (error == NULL && rename(beside, path) != 0) error = failed("replace it", path);
    if (error != NULL) unlink(beside);
    if (error == NULL) sync_directory(path);
  }
  free(beside);
  return error;
}

/* What the library keeps. */

static const char *core_text(const struct mgos_conf_core *c) {
  switch (c->section) {
    case 2: return mgos_sys_config_get_device_id();
    case 3: return c->field == 0 ? mgos_sys_config_get_debug_stdout_topic() : mgos_sys_config_get_debug_stderr_topic();
    default: return mgos_sys_config_read_string(c->section, c->field);
  }
}

void mgos_conf_pull(void) {
  struct conf_view view = mgos_os_conf_whole(APP->config);
  for (size_t i = 0; i < APP->num_core; i++) {
    const struct mgos_conf_core *c = &APP->core[i];
    const struct mgos_conf_entry *e = &APP->entries[c->entry];
    void *field = mgos_os_conf_field(&view, e);
    if (e->type == CONF_TYPE_STRING) {
      *(const char **) field = core_text(c);
    } else if (e->type == CONF_TYPE_DOUBLE) {
      *(double *) field = mgos_sys_config_read_double(c->section, c->field);
    } else {
      *(int *) field = mgos_sys_config_read_int(c->section, c->field);
    }
  }
}

static void push_text(const struct mgos_conf_core *c, const char *text) {
  const char *old = core_text(c);
  if (strcmp(old != NULL ? old : "", text != NULL ? text : "") == 0) return;
  switch (c->section) {
    case 2: mgos_sys_config_set_device_id(text); break;
    case 3:
      if (c->field == 0) {
        mgos_sys_config_set_debug_stdout_topic(text);
      } else {
        mgos_sys_config_set_debug_stderr_topic(text);
      }
      break;
    default: mgos_sys_config_write_string(c->section, c->field, text); break;
  }
}

/* Hands the library its part of a configuration; `enable` comes last, as the next iteration of the loop may use it. */
static void push(const struct conf_view *view) {
  for (int last = 0; last <= 1; last++) {
    for (size_t i = 0; i < APP->num_core; i++) {
      const struct mgos_conf_core *c = &APP->core[i];
      const struct mgos_conf_entry *e = &APP->entries[c->entry];
      const void *field = mgos_os_conf_field(view, e);
      if ((c->section <= 1 && c->field == 0) != last) continue;
      if (e->type == CONF_TYPE_STRING) {
        push_text(c, *(const char *const *) field);
      } else if (e->type == CONF_TYPE_DOUBLE) {
        mgos_sys_config_write_double(c->section, c->field, *(const double *) field);
      } else if (mgos_sys_config_read_int(c->section, c->field) != *(const int *) field) {
        mgos_sys_config_write_int(c->section, c->field, *(const int *) field);
      }
    }
  }
}

static bool is_core(const struct mgos_conf_entry *e) {
  for (size_t i = 0; i < APP->num_core; i++) {
    if (&APP->entries[APP->core[i].entry] == e) return true;
  }
  return false;
}

/* Makes `cfg`, which is given up, the configuration of the system. Texts that stay the same stay where they are: the application
   may have kept a pointer. */
static void take(void *cfg, bool free_strings) {
  struct conf_view from = mgos_os_conf_whole(cfg), to = mgos_os_conf_whole(APP->config);
  const struct mgos_conf_entry *end = APP->entries + 1 + APP->entries[0].num_desc;
  push(&from);
  for (const struct mgos_conf_entry *e = APP->entries + 1; e < end; e++) {
    void *source = mgos_os_conf_field(&from, e), *target = mgos_os_conf_field(&to, e);
    if (e->type == CONF_TYPE_OBJECT || is_core(e)) continue;
    if (e->type == CONF_TYPE_STRING) {
      const char **new_text = source, **old_text = target;
      const char *old = *old_text;
      if (strcmp(*new_text != NULL ? *new_text : "", old != NULL ? old : "") == 0) continue;
      *old_text = *new_text;
      /* The old one is released with the rest, or not at all. */
      *new_text = free_strings ? old : NULL;
    } else {
      memcpy(target, source, e->type == CONF_TYPE_DOUBLE ? sizeof(double) : sizeof(int));
    }
  }
  mgos_os_conf_free(&from);
  free(cfg);
  mgos_conf_pull();
}

/* Layers. */

static void *copy_of(const void *cfg) {
  void *copy = malloc(APP->config_size);
  struct conf_view view;
  if (copy == NULL) return NULL;
  memcpy(copy, cfg, APP->config_size);
  view = mgos_os_conf_whole(copy);
  if (mgos_os_conf_own(&view)) return copy;
  mgos_os_conf_free(&view);
  free(copy);
  return NULL;
}

static void drop(void *cfg) {
  struct conf_view view = mgos_os_conf_whole(cfg);
  if (cfg == NULL) return;
  mgos_os_conf_free(&view);
  free(cfg);
}

/* A file that cannot be used must not be overwritten by the next save_cfg(). */
static void set_aside(const char *name) {
  char *aside = mgos_os_sentence("%s.damaged", name);
  if (aside != NULL && rename(name, aside) == 0) {
    LOG(LL_ERROR, ("%s was renamed to %s, and its settings are not used", name, aside));
  } else {
    LOG(LL_ERROR, ("%s cannot be renamed: %s", name, strerror(errno)));
  }
  free(aside);
}

/* Reads one file over `*cfg`, all of it or nothing. */
static void read_level(void **cfg, int level) {
  char name[16], *text, *error;
  void *copy;
  struct conf_view view;
  snprintf(name, sizeof(name), "conf%d.json", level);
  text = mgos_json_fread(name);
  if (text == NULL) {
    if (errno != ENOENT) LOG(LL_ERROR, ("%s cannot be read, and its settings are not used: %s", name, strerror(errno)));
    return;
  }
  copy = copy_of(*cfg);
  if (copy == NULL) {
    LOG(LL_ERROR, ("%s is not used: no memory", name));
    free(text);
    return;
  }
  view = mgos_os_conf_whole(copy);
  error = mgos_os_conf_read(&view, text, strlen(text), name);
  if (error != NULL) {
    LOG(LL_ERROR, ("%s: %s", name, error));
    if (level == USER_LEVEL) {
      set_aside(name);
    } else {
      LOG(LL_ERROR, ("%s is not used", name));
    }
    drop(copy);
  } else {
    drop(*cfg);
    *cfg = copy;
  }
  free(error);
  free(text);
}

/* The defaults, and the files up to a level. */
static void *read_levels(int last) {
  void *cfg = calloc(1, APP->config_size);
  if (cfg == NULL) return NULL;
  APP->set_defaults(cfg);
  for (int level = 0; level <= last; level++) read_level(&cfg, level);
  return cfg;
}

bool mgos_os_config_start(void) {
  void *cfg = read_levels(USER_LEVEL);
  if (cfg == NULL) return false;
  take(cfg, true);
  return true;
}

bool mgos_sys_config_save(const struct mgos_config *cfg, bool try_once, char **msg) {
  void *below;
  char *text, *error = NULL;
  (void) try_once; /* that was about the flash */
  if (msg != NULL) *msg = NULL;
  if (cfg == NULL) {
    error = mgos_os_sentence("no configuration was given");
  } else {
    if ((const void *) cfg == APP->config) mgos_conf_pull();
    below = read_levels(USER_LEVEL - 1);
    if (below == NULL) {
      error = mgos_os_sentence("no memory to save the configuration");
    } else {
      struct conf_view view = mgos_os_conf_whole((void *) (uintptr_t) cfg), other = mgos_os_conf_whole(below);
      text = mgos_os_conf_text(&view, &other, true);
      error = text != NULL ? mgos_os_file_replace("conf9.json", text)
                           : mgos_os_sentence("the configuration is not saved: no memory, or a string is not UTF-8, or a number is not finite");
      free(text);
      drop(below);
      if (text != NULL && error == NULL) return true;
    }
  }
  LOG(LL_ERROR, ("%s", error != NULL ? error : "the configuration is not saved: no memory"));
  if (msg != NULL) {
    *msg = error;
  } else {
    free(error);
  }
  return false;
}

bool mgos_save_cfg(const struct mgos_config *cfg, char **msg) {
  return mgos_sys_config_save(cfg, false, msg);
}

void mgos_config_reset(int level) {
  for (int i = level > 0 ? level : 0; i <= USER_LEVEL; i++) {
    char name[16];
    snprintf(name, sizeof(name), "conf%d.json", i);
    if (unlink(name) != 0 && errno != ENOENT) LOG(LL_ERROR, ("%s cannot be removed: %s", name, strerror(errno)));
  }
}

/* Changes. */

static bool apply(struct mg_str json, bool free_strings, const char *what) {
  void *cfg;
  char *error;
  struct conf_view view;
  mgos_conf_pull();
  cfg = copy_of(APP->config);
  if (cfg == NULL) {
    LOG(LL_ERROR, ("%s: no memory", what));
    return false;
  }
  view = mgos_os_conf_whole(cfg);
  error = mgos_os_conf_read(&view, json.p, json.len, what);
  if (error == NULL) {
    take(cfg, free_strings);
    return true;
  }
  LOG(LL_ERROR, ("%s: %s", what, error));
  free(error);
  drop(cfg);
  return false;
}

bool mgos_conf_apply_s(struct mg_str json, bool save) {
  if (!apply(json, true, "mgos_config_apply")) return false;
  return !save || mgos_sys_config_save((const struct mgos_config *) APP->config, false, NULL);
}

bool mgos_conf_apply(const char *json, bool save) {
  return mgos_conf_apply_s(mg_mk_str(json), save);
}

/* {"a":{"b":VALUE}} for a.b. */
static bool wrap(struct mbuf *text, struct mg_str key, struct mg_str value, bool quote) {
  struct json_out out = JSON_OUT_MBUF(text);
  const char *at = key.p, *end = key.p + key.len;
  int depth = 0, good = 1;
  while (at < end) {
    const char *dot = memchr(at, '.', (size_t) (end - at));
    if (dot == NULL) dot = end;
    good &= mgos_json_printf(&out, "{%.*Q:", (int) (dot - at), at) > 0;
    depth++;
    at = dot < end ? dot + 1 : end;
  }
  good &= mgos_json_printf(&out, quote ? "%.*Q" : "%.*s", (int) value.len, value.p != NULL ? value.p : "") >= 0;
  while (depth-- > 0) good &= mgos_json_printf(&out, "}") > 0;
  return good != 0;
}

bool mgos_conf_sys_set(struct mg_str key, struct mg_str value, bool free_strings) {
  struct mbuf text;
  struct json_event found;
  const struct mgos_conf_entry *entry = mgos_os_conf_entry(key);
  bool good, is_string = entry != NULL && entry->type == CONF_TYPE_STRING;
  if (entry == NULL || value.len > 1024 * 1024) return false;
  /* Nothing but the value: no second key behind it. */
  if (!is_string && (mgos_os_json_check(value.p, (int) value.len) < 0 || mgos_os_json_find(value.p, (int) value.len, "", &found) < 0)) return false;
  for (size_t i = 0; is_string && i < value.len;) {
    size_t n = mgos_os_json_utf8(value.p + i, value.p + value.len);
    if (n == 0) return false;
    i += n;
  }
  mgos_mbuf_init(&text, 0);
  good = wrap(&text, key, value, is_string) && apply(mg_mk_str_n(text.buf, text.len), free_strings, "mgos_sys_config_set");
  mgos_mbuf_free(&text);
  return good;
}
