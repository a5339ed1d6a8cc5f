/* Configurations, by the schema that mgos_configure wrote: reading and writing JSON, copies, accessors by name. */

#include "json_internal.h"
#include "runtime.h"

#include <common/json_utils.h>
#include <errno.h>
#include <mgos_sys_config.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Here the library's own is meant. */
#undef mgos_config_is_default_str

#define APP (&mgos_app_description)

/* Fields. */

struct conf_view mgos_os_conf_whole(void *cfg) {
  struct conf_view view = {&APP->entries[0], cfg};
  return view;
}

/* Offsets count from the beginning of the whole. */
static struct conf_view section_view(const struct mgos_conf_entry *section, const void *cfg) {
  struct conf_view view;
  view.root = section;
  view.base = (char *) ((uintptr_t) cfg - section->offset);
  return view;
}

void *mgos_os_conf_field(const struct conf_view *view, const struct mgos_conf_entry *entry) {
  return (void *) ((uintptr_t) view->base + entry->offset);
}

static const char **text_field(const struct conf_view *view, const struct mgos_conf_entry *entry) {
  return mgos_os_conf_field(view, entry);
}

/* All entries of a view, those of objects included. */
static const struct mgos_conf_entry *first_of(const struct conf_view *view) {
  return view->root->type == CONF_TYPE_OBJECT ? view->root + 1 : view->root;
}

static const struct mgos_conf_entry *end_of(const struct conf_view *view) {
  return view->root + 1 + view->root->num_desc;
}

/* The entry of a path ".a.b" or "a.b" in an object; NULL if there is none. */
static const struct mgos_conf_entry *find(const struct mgos_conf_entry *object, const char *path, size_t len) {
  const char *end = path + len;
  while (path < end) {
    const char *dot;
    const struct mgos_conf_entry *entry, *last = object + 1 + object->num_desc;
    if (*path == '.') path++;
    dot = memchr(path, '.', (size_t) (end - path));
    if (dot == NULL) dot = end;
    if (object->type != CONF_TYPE_OBJECT) return NULL;
    for (entry = object + 1; entry < last; entry += 1 + entry->num_desc) {
      if (strlen(entry->key) == (size_t) (dot - path) && memcmp(entry->key, path, (size_t) (dot - path)) == 0) break;
    }
    if (entry >= last) return NULL;
    object = entry;
    path = dot;
  }
  return object;
}

/* Strings. */

bool mgos_conf_is_default_str(const char *s) {
  if (s == NULL) return false;
  for (size_t i = 0; i < APP->num_default_strings; i++) {
    if (APP->default_strings[i] == s) return true;
  }
  return mgos_config_is_default_str(s);
}

static void free_text(const char *s) {
  if (s != NULL && !mgos_conf_is_default_str(s)) free((void *) (uintptr_t) s);
}

void mgos_conf_set_str(const char **field, const char *value) {
  char *copy = NULL;
  if (*field == value) return;
  if (value != NULL && *value != '\0') {
    copy = strdup(value);
    if (copy == NULL) return;
  }
  free_text(*field);
  *field = copy;
}

bool mgos_os_conf_own(const struct conf_view *view) {
  bool good = true;
  for (const struct mgos_conf_entry *e = first_of(view); e < end_of(view); e++) {
    const char **field = text_field(view, e);
    if (e->type != CONF_TYPE_STRING || *field == NULL || mgos_conf_is_default_str(*field)) continue;
    *field = strdup(*field);
    if (*field == NULL) good = false;
  }
  return good;
}

void mgos_os_conf_free(const struct conf_view *view) {
  for (const struct mgos_conf_entry *e = first_of(view); e < end_of(view); e++) {
    if (e->type != CONF_TYPE_STRING) continue;
    free_text(*text_field(view, e));
    *text_field(view, e) = NULL;
  }
}

/* Reading. */

struct reading {
  const struct conf_view *view;
  const char *json;
  const char *what;
  char *error;
};

static int line_of(const struct reading *r, const char *at) {
  int line = 1;
  for (const char *p = r->json; p < at; p++) line += *p == '\n';
  return line;
}

static const char *const expectations[] = {"an integer", "true or false", "a number", "a string", "an object", "an integer from 0",
                                           "a number"};
static const char *const findings[] = {"nothing", "a string", "a number", "true", "false", "null", "an object", "an object",
                                       "an array", "an array"};

static int refuse(struct reading *r, const struct json_event *event, const char *expected, const char *found) {
  r->error = mgos_os_sentence("%s: expected %s, found %s (line %d)", event->path_len > 0 ? event->path + 1 : "the whole", expected, found,
                      line_of(r, event->start));
  return JSON_STRING_INVALID;
}

static bool read_text(const struct json_token *t, const char **field) {
  int len = mgos_json_unescape(t->ptr, t->len, NULL, 0);
  char *text;
  if (t->type != JSON_TYPE_STRING || len < 0) return false;
  text = malloc((size_t) len + 1);
  if (text == NULL) return false;
  mgos_json_unescape(t->ptr, t->len, text, len);
  text[len] = '\0';
  if (memchr(text, '\0', (size_t) len) != NULL) {
    free(text);
    return false;
  }
  free_text(*field);
  *field = text;
  if (len == 0) {
    free(text);
    *field = NULL;
  }
  return true;
}

/* A whole number; the reader of json_scanf() would take one with a fraction, too. */
static bool read_integer(const struct json_token *t, const char *fmt, void *field) {
  if (t->type != JSON_TYPE_NUMBER || memchr(t->ptr, '.', (size_t) t->len) != NULL) return false;
  return mgos_json_scanf(t->ptr, t->len, fmt, field) == 1;
}

static bool read_value(const struct mgos_conf_entry *entry, const struct json_token *t, void *field) {
  switch (entry->type) {
    case CONF_TYPE_INT: return read_integer(t, "%d", field);
    case CONF_TYPE_UNSIGNED_INT: return read_integer(t, "%u", field);
    case CONF_TYPE_DOUBLE: return t->type == JSON_TYPE_NUMBER && mgos_json_scanf(t->ptr, t->len, "%lf", field) == 1;
    case CONF_TYPE_FLOAT: return t->type == JSON_TYPE_NUMBER && mgos_json_scanf(t->ptr, t->len, "%f", field) == 1;
    case CONF_TYPE_STRING: return read_text(t, field);
    case CONF_TYPE_BOOL:
      if (t->type == JSON_TYPE_TRUE || t->type == JSON_TYPE_FALSE) {
        *(int *) field = t->type == JSON_TYPE_TRUE;
        return true;
      }
      return false;
    default: return false;
  }
}

static int read_event(void *ud, const struct json_event *event) {
  struct reading *r = ud;
  enum json_token_type type = event->token.type;
  const struct mgos_conf_entry *entry = find(r->view->root, event->path, event->path_len);
  if (event->path_len == strlen(".conf_acl") && strcmp(event->path, ".conf_acl") == 0) {
    if (type == JSON_TYPE_STRING && (event->token.len == 0 || (event->token.len == 1 && *event->token.ptr == '*'))) return 0;
    r->error = mgos_os_sentence("conf_acl is not supported: on Linux the rights of the files conf0.json to conf9.json say who may change what "
                        "(line %d)", line_of(r, event->start));
    return JSON_STRING_INVALID;
  }
  if (type == JSON_TYPE_OBJECT_END || type == JSON_TYPE_ARRAY_END) return 0;
  if (entry == NULL) {
    /* One warning for an object and all in it. */
    if (find(r->view->root, event->path, event->parent_len) != NULL && event->path[event->parent_len] == '.') {
      LOG(LL_WARN, ("%s: '%s' is not in the schema and is skipped (line %d)", r->what, event->path + 1, line_of(r, event->start)));
    }
    return 0;
  }
  if (entry->type == CONF_TYPE_OBJECT) {
    if (type == JSON_TYPE_OBJECT_START) return 0;
  } else if (read_value(entry, &event->token, mgos_os_conf_field(r->view, entry))) {
    return 0;
  }
  if (type == JSON_TYPE_NUMBER && entry->type != CONF_TYPE_OBJECT && entry->type != CONF_TYPE_BOOL && entry->type != CONF_TYPE_STRING) {
    char number[40];
    snprintf(number, sizeof(number), "%.*s", event->token.len < 30 ? event->token.len : 30, event->token.ptr);
    return refuse(r, event, entry->type == CONF_TYPE_INT ? "an integer of 32 bits"
                            : entry->type == CONF_TYPE_UNSIGNED_INT ? "an integer from 0 to 4294967295"
                                                                    : "a number that fits", number);
  }
  return refuse(r, event, expectations[entry->type], findings[type]);
}

char *mgos_os_conf_read(const struct conf_view *view, const char *json, size_t len, const char *what) {
  struct reading r = {view, json, what, NULL};
  int result = len > 1024 * 1024 ? JSON_DEPTH_LIMIT : mgos_os_json_check(json, (int) len);
  if (len > 1024 * 1024) return mgos_os_sentence("a configuration may have at most 1 MiB");
  if (result >= 0) result = mgos_os_json_events(json, (int) len, read_event, &r);
  if (result >= 0) return NULL;
  if (r.error != NULL) return r.error;
  return mgos_os_sentence("not JSON: %s", result == JSON_STRING_INCOMPLETE ? "it ends too early"
                                  : result == JSON_DEPTH_LIMIT     ? "it is nested too deep"
                                  : result == JSON_NO_MEMORY       ? "no memory to read it"
                                                                   : "something stands where it cannot");
}

/* Writing. */

struct writing {
  const struct conf_view *view;
  const struct conf_view *other;
  struct json_out out;
  struct mbuf text;
  bool failed;
};

static bool is_utf8(const char *s) {
  const char *end = s + strlen(s);
  while (s < end) {
    size_t n = mgos_os_json_utf8(s, end);
    if (n == 0) return false;
    s += n;
  }
  return true;
}

/* The shortest of two that reads back as the same. */
static bool write_number(struct writing *w, double value, bool single) {
  double back = 0;
  char text[40];
  struct json_out out = JSON_OUT_BUF(text, sizeof(text));
  int len;
  if (!isfinite(value)) return false;
  len = single ? mgos_json_printf(&out, "%.7g", value) : mgos_json_printf(&out, "%.15g", value);
  if (mgos_json_scanf(text, len, "%lf", &back) != 1 || (single ? (float) back != (float) value : memcmp(&back, &value, sizeof(back)) != 0)) {
    return (single ? mgos_json_printf(&w->out, "%.9g", value) : mgos_json_printf(&w->out, "%.17g", value)) >= 0;
  }
  return mgos_json_printf(&w->out, "%s", text) >= 0;
}

static void write_value(struct writing *w, const struct mgos_conf_entry *e) {
  const void *field = mgos_os_conf_field(w->view, e);
  bool good = false;
  switch (e->type) {
    case CONF_TYPE_BOOL: good = mgos_json_printf(&w->out, "%B", *(const int *) field) >= 0; break;
    case CONF_TYPE_INT: good = mgos_json_printf(&w->out, "%d", *(const int *) field) >= 0; break;
    case CONF_TYPE_UNSIGNED_INT: good = mgos_json_printf(&w->out, "%u", *(const unsigned *) field) >= 0; break;
    case CONF_TYPE_DOUBLE: good = write_number(w, *(const double *) field, false); break;
    case CONF_TYPE_FLOAT: good = write_number(w, (double) *(const float *) field, true); break;
    case CONF_TYPE_STRING: {
      const char *text = *text_field(w->view, e);
      if (text == NULL) text = "";
      good = is_utf8(text) && mgos_json_printf(&w->out, "%Q", text) >= 0;
      break;
    }
    default: break;
  }
  if (!good) w->failed = true;
}

static bool same(const struct conf_view *a, const struct conf_view *b, const struct mgos_conf_entry *e) {
  const void *x = mgos_os_conf_field(a, e), *y = mgos_os_conf_field(b, e);
  switch (e->type) {
    case CONF_TYPE_BOOL: return (*(const int *) x != 0) == (*(const int *) y != 0);
    case CONF_TYPE_DOUBLE: return memcmp(x, y, sizeof(double)) == 0;
    case CONF_TYPE_STRING: {
      const char *s = *text_field(a, e), *t = *text_field(b, e);
      return strcmp(s != NULL ? s : "", t != NULL ? t : "") == 0;
    }
    default: return memcmp(x, y, sizeof(int)) == 0;
  }
}

/* Whether anything in an entry differs. */
static bool differs(const struct writing *w, const struct mgos_conf_entry *e) {
  if (w->other == NULL) return true;
  if (e->type != CONF_TYPE_OBJECT) return !same(w->view, w->other, e);
  for (const struct mgos_conf_entry *i = e + 1; i < e + 1 + e->num_desc; i++) {
    if (i->type != CONF_TYPE_OBJECT && !same(w->view, w->other, i)) return true;
  }
  return false;
}

static void write_object(struct writing *w, const struct mgos_conf_entry *object) {
  bool first = true;
  mgos_json_printf(&w->out, "{");
  for (const struct mgos_conf_entry *e = object + 1; e < object + 1 + object->num_desc; e += 1 + e->num_desc) {
    if (!differs(w, e)) continue;
    if (mgos_json_printf(&w->out, "%s%Q:", first ? "" : ",", e->key) < 0) w->failed = true;
    first = false;
    if (e->type == CONF_TYPE_OBJECT) {
      write_object(w, e);
    } else {
      write_value(w, e);
    }
  }
  if (mgos_json_printf(&w->out, "}") < 0) w->failed = true;
}

char *mgos_os_conf_text(const struct conf_view *view, const struct conf_view *other, bool pretty) {
  struct writing w = {view, other, JSON_OUT_MBUF(&w.text), {NULL, 0, 0}, false};
  struct mbuf result;
  if (view->root->type == CONF_TYPE_OBJECT) {
    write_object(&w, view->root);
  } else {
    write_value(&w, view->root);
  }
  mgos_mbuf_init(&result, 0);
  if (!w.failed && pretty) {
    struct json_out out = JSON_OUT_MBUF(&result);
    w.failed = mgos_json_prettify(w.text.buf, (int) w.text.len, &out) < 0 || mgos_mbuf_append(&result, "\n", 1) != 1;
    mgos_mbuf_free(&w.text);
  } else {
    result = w.text;
  }
  if (w.failed || mgos_mbuf_append(&result, "", 1) != 1) mgos_mbuf_free(&result);
  return result.buf;
}

/* Sections, for the accessors. */

void mgos_conf_section_defaults(const struct mgos_conf_entry *section, void *cfg) {
  struct conf_view view = section_view(section, cfg), whole;
  void *defaults = calloc(1, APP->config_size);
  if (defaults == NULL) return;
  APP->set_defaults(defaults);
  whole = mgos_os_conf_whole(defaults);
  for (const struct mgos_conf_entry *e = first_of(&view); e < end_of(&view); e++) {
    size_t size = e->type == CONF_TYPE_STRING   ? sizeof(char *)
                  : e->type == CONF_TYPE_DOUBLE ? sizeof(double)
                  : e->type == CONF_TYPE_OBJECT ? 0
                                                : sizeof(int);
    memcpy(mgos_os_conf_field(&view, e), mgos_os_conf_field(&whole, e), size);
  }
  free(defaults);
}

bool mgos_conf_section_parse(const struct mgos_conf_entry *section, struct mg_str json, void *cfg) {
  struct conf_view view = section_view(section, cfg);
  char *error;
  mgos_conf_section_defaults(section, cfg);
  error = mgos_os_conf_read(&view, json.p, json.len, section->key);
  if (error == NULL) return true;
  LOG(LL_ERROR, ("%s: %s", section->key, error));
  free(error);
  mgos_os_conf_free(&view);
  mgos_conf_section_defaults(section, cfg);
  return false;
}

bool mgos_conf_section_parse_f(const struct mgos_conf_entry *section, const char *fname, void *cfg) {
  char *text = mgos_json_fread(fname);
  bool good;
  if (text == NULL) {
    LOG(LL_ERROR, ("%s cannot be read: %s", fname != NULL ? fname : "(no name)", strerror(errno)));
    mgos_conf_section_defaults(section, cfg);
    return false;
  }
  good = mgos_conf_section_parse(section, mg_mk_str(text), cfg);
  free(text);
  return good;
}

bool mgos_conf_section_emit(const struct mgos_conf_entry *section, const void *cfg, bool pretty, struct json_out *out) {
  struct conf_view view = section_view(section, cfg);
  char *text = mgos_os_conf_text(&view, NULL, pretty);
  bool good = text != NULL && out->printer(out, text, strlen(text)) >= 0;
  free(text);
  return good;
}

bool mgos_conf_section_emit_f(const struct mgos_conf_entry *section, const void *cfg, bool pretty, const char *fname) {
  struct conf_view view = section_view(section, cfg);
  char *text = mgos_os_conf_text(&view, NULL, pretty), *error;
  if (text == NULL) return false;
  error = mgos_os_file_replace(fname, text);
  free(text);
  if (error == NULL) return true;
  LOG(LL_ERROR, ("%s", error));
  free(error);
  return false;
}

bool mgos_conf_section_copy(const struct mgos_conf_entry *section, const void *src, void *dst) {
  struct conf_view from = section_view(section, src), to = section_view(section, dst);
  if (src == dst) return true;
  for (const struct mgos_conf_entry *e = first_of(&from); e < end_of(&from); e++) {
    if (e->type == CONF_TYPE_OBJECT) continue;
    memcpy(mgos_os_conf_field(&to, e), mgos_os_conf_field(&from, e),
           e->type == CONF_TYPE_STRING ? sizeof(char *) : e->type == CONF_TYPE_DOUBLE ? sizeof(double) : sizeof(int));
  }
  if (mgos_os_conf_own(&to)) return true;
  mgos_os_conf_free(&to);
  return false;
}

void mgos_conf_section_free(const struct mgos_conf_entry *section, void *cfg) {
  struct conf_view view = section_view(section, cfg);
  mgos_os_conf_free(&view);
}

/* By name. */

const struct mgos_conf_entry *mgos_os_conf_entry(struct mg_str key) {
  return key.len == 0 || key.p == NULL || *key.p == '.' ? NULL : find(APP->entries, key.p, key.len);
}

bool mgos_conf_sys_get(struct mg_str key, struct mg_str *value) {
  struct conf_view view;
  char *text;
  if (value == NULL) return false;
  *value = mg_mk_str(NULL);
  mgos_conf_pull();
  view = mgos_os_conf_whole(APP->config);
  view.root = mgos_os_conf_entry(key);
  if (view.root == NULL) return false;
  if (view.root->type == CONF_TYPE_STRING) {
    const char *s = *text_field(&view, view.root);
    text = strdup(s != NULL ? s : "");
  } else {
    text = mgos_os_conf_text(&view, NULL, false);
  }
  *value = mg_mk_str(text);
  return text != NULL;
}
