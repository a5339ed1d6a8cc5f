#include "openmetrics.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_ 128
#define FAMILIES 128
#define SAMPLES 4096

struct reader {
  int line;
  char problem[512];
  char families[FAMILIES][NAME_MAX_];
  size_t num_families;
  char type[32]; /* of the present family */
  bool has_type, has_unit, has_help, has_samples;
  const char *samples[SAMPLES]; /* each as it is written, up to its space */
  size_t sample_lens[SAMPLES];
  size_t num_samples;
  double last_le, last_bucket; /* of the histogram whose buckets come */
  bool in_buckets;
};

static bool wrong(struct reader *r, const char *format, ...) {
  va_list ap;
  char what[400];
  if (r->problem[0] != '\0') return false;
  va_start(ap, format);
  vsnprintf(what, sizeof(what), format, ap);
  va_end(ap);
  snprintf(r->problem, sizeof(r->problem), "line %d: %s", r->line, what);
  return false;
}

/* The length of a name at `text`: of a metric, or of a label, which has no colon. */
static size_t name_len(const char *text, bool colon) {
  size_t n = 0;
  if (isdigit((unsigned char) text[0])) return 0;
  while (isalnum((unsigned char) text[n]) || text[n] == '_' || (colon && text[n] == ':')) n++;
  return n;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static bool family(struct reader *r, const char *name, size_t len) {
  size_t i;
  if (len == 0 || len >= NAME_MAX_) return wrong(r, "a bad name");
  if (r->num_families > 0) {
    const char *present = r->families[r->num_families - 1];
    if (strlen(present) == len && memcmp(present, name, len) == 0) {
      return r->has_samples ? wrong(r, "metadata after samples") : true;
    }
  }
  for (i = 0; i < r->num_families; i++) {
    if (strlen(r->families[i]) == len && memcmp(r->families[i], name, len) == 0) {
      return wrong(r, "%s comes in two places", r->families[i]);
    }
  }
  if (r->num_families == FAMILIES) return wrong(r, "too many families for this reader");
  memcpy(r->families[r->num_families], name, len);
  r->families[r->num_families++][len] = '\0';
  strcpy(r->type, "unknown");
  r->has_type = r->has_unit = r->has_help = r->has_samples = r->in_buckets = false;
  return true;
}

static bool metadata(struct reader *r, const char *line) {
  static const char *const types[] = {"counter", "gauge", "histogram", "info"};
  const char *keyword = line + 2, *name = strchr(keyword, ' '), *value;
  const char *present;
  size_t len, i;
  if (name == NULL) return wrong(r, "a comment that is none");
  len = name_len(++name, true);
  if (name[len] != ' ' || !family(r, name, len)) return wrong(r, "no name behind the keyword");
  value = name + len + 1;
  present = r->families[r->num_families - 1];
  if (strncmp(keyword, "TYPE ", 5) == 0) {
    if (r->has_type) return wrong(r, "a second TYPE");
    r->has_type = true;
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
      if (strcmp(value, types[i]) == 0) {
        strcpy(r->type, value);
        return true;
      }
    }
    return wrong(r, "the type %s", value);
  }
  if (strncmp(keyword, "UNIT ", 5) == 0) {
    if (r->has_unit) return wrong(r, "a second UNIT");
    r->has_unit = true;
    if (!ends_with(present, value) || present[strlen(present) - strlen(value) - 1] != '_') {
      return wrong(r, "%s does not end with its unit", present);
    }
    return true;
  }
  if (strncmp(keyword, "HELP ", 5) == 0) {
    if (r->has_help) return wrong(r, "a second HELP");
    r->has_help = true;
    return *value != '\0' ? true : wrong(r, "no help");
  }
  return wrong(r, "an unknown keyword");
}

/* Reads labels from behind `{`; returns behind `}`, or NULL. The value of `le` goes to *le. */
static const char *labels(struct reader *r, const char *at, const char **le) {
  const char *names[16];
  size_t lens[16], n = 0, i;
  while (*at != '}') {
    size_t len = name_len(at, false);
    if (len == 0 || n == 16) return wrong(r, "a bad label"), NULL;
    for (i = 0; i < n; i++) {
      if (lens[i] == len && memcmp(names[i], at, len) == 0) return wrong(r, "a label twice"), NULL;
    }
    names[n] = at;
    lens[n++] = len;
    if (at[len] != '=' || at[len + 1] != '"') return wrong(r, "a label without a value"), NULL;
    if (len == 2 && memcmp(at, "le", 2) == 0) *le = at + len + 2;
    for (at += len + 2; *at != '"'; at++) {
      if (*at == '\0') return wrong(r, "a label without its end"), NULL;
      if (*at == '\\' && (*++at == '\0' || strchr("\\\"n", *at) == NULL))
        return wrong(r, "a bad escape"), NULL;
    }
    at++;
    if (*at == ',' && at[1] != '}') {
      at++;
    } else if (*at != '}') {
      return wrong(r, "no end of the labels"), NULL;
    }
  }
  return at + 1;
}

static bool bucket(struct reader *r, const char *le, double value) {
  double limit = strtod(le, NULL);
  if (strncmp(le, "+Inf\"", 5) == 0) limit = INFINITY;
  if (r->in_buckets && (limit <= r->last_le || value < r->last_bucket)) return wrong(r, "buckets must grow");
  r->in_buckets = true;
  r->last_le = limit;
  r->last_bucket = value;
  return true;
}

static bool sample(struct reader *r, const char *line) {
  size_t len = name_len(line, true), i;
  const char *at = line + len, *le = NULL, *present, *suffix;
  bool counter, histogram, info;
  double value;
  char *end;
  if (r->num_families == 0) return wrong(r, "a sample without a family");
  present = r->families[r->num_families - 1];
  if (len < strlen(present) || memcmp(line, present, strlen(present)) != 0) {
    return wrong(r, "a sample that is not of %s", present);
  }
  suffix = line + strlen(present);
  counter = strcmp(r->type, "counter") == 0;
  histogram = strcmp(r->type, "histogram") == 0;
  info = strcmp(r->type, "info") == 0;
  len -= strlen(present);
  if (!(counter && len == 6 && memcmp(suffix, "_total", 6) == 0) &&
      !(info && len == 5 && memcmp(suffix, "_info", 5) == 0) &&
      !(strcmp(r->type, "gauge") == 0 && len == 0) &&
      !(histogram && (strncmp(suffix, "_bucket{", 8) == 0 || strncmp(suffix, "_count{", 7) == 0 ||
                      strncmp(suffix, "_sum{", 5) == 0))) {
    return wrong(r, "the name of a %s of %s: %s", r->type, present, line);
  }
  if (*at == '{') at = labels(r, at + 1, &le);
  if (at == NULL) return false;
  if (*at != ' ') return wrong(r, "no space before the value");
  for (i = 0; i < r->num_samples; i++) {
    if (r->sample_lens[i] == (size_t) (at - line) && memcmp(r->samples[i], line, (size_t) (at - line)) == 0) {
      return wrong(r, "twice: %s", line);
    }
  }
  if (r->num_samples == SAMPLES) return wrong(r, "too many samples for this reader");
  r->samples[r->num_samples] = line;
  r->sample_lens[r->num_samples++] = (size_t) (at - line);
  value = strtod(at + 1, &end);
  if (end == at + 1 || (*end != '\n' && *end != '\0')) return wrong(r, "not a number: %s", at + 1);
  if (isspace((unsigned char) at[1])) return wrong(r, "two spaces");
  if ((counter || histogram) && !(value >= 0)) return wrong(r, "a counter below 0");
  if (info && value != 1) return wrong(r, "an info that is not 1");
  r->has_samples = true;
  if (!histogram) return true;
  if (strncmp(suffix, "_bucket", 7) == 0)
    return le == NULL ? wrong(r, "a bucket without le") : bucket(r, le, value);
  if (r->in_buckets && !isinf(r->last_le)) return wrong(r, "no bucket +Inf");
  if (strncmp(suffix, "_count", 6) == 0 && r->in_buckets && value != r->last_bucket) {
    return wrong(r, "the count is not that of the last bucket");
  }
  r->in_buckets = false;
  return true;
}

const char *openmetrics_problem(const char *text) {
  static struct reader r;
  char *copy = malloc(strlen(text) + 1), *line = copy;
  bool ended = false;
  memset(&r, 0, sizeof(r));
  strcpy(copy, text);
  while (*line != '\0' && r.problem[0] == '\0') {
    char *end = strchr(line, '\n');
    r.line++;
    if (end == NULL) {
      wrong(&r, "the last line has no end");
      break;
    }
    *end = '\0';
    if (ended) {
      wrong(&r, "something behind # EOF");
    } else if (strcmp(line, "# EOF") == 0) {
      ended = true;
    } else if (strncmp(line, "# ", 2) == 0) {
      metadata(&r, line);
    } else {
      sample(&r, line);
    }
    line = end + 1;
  }
  if (!ended) wrong(&r, "no # EOF");
  free(copy);
  return r.problem[0] == '\0' ? NULL : r.problem;
}

bool openmetrics_value(const char *text, const char *wanted, double *value) {
  size_t n = strlen(wanted);
  const char *line = text;
  while (line != NULL && *line != '\0') {
    if (strncmp(line, wanted, n) == 0 && line[n] == ' ') {
      *value = strtod(line + n + 1, NULL);
      return true;
    }
    line = strchr(line, '\n');
    if (line != NULL) line++;
  }
  return false;
}
