/* -L: scheme://[user[:password]@]host[:port][/topic] (RFC 3986, and the form of mosquitto_pub). */
#include <stdlib.h>
#include <string.h>

#include "settings.h"

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* A copy of a part with %XX decoded. `what` names it. */
static char *decoded(const struct settings *s, const char *part, size_t len, const char *what) {
  char *text = must_have(malloc(len + 1));
  size_t from, to = 0;
  for (from = 0; from < len; from++) {
    char c = part[from];
    if (c == '%') {
      int high = from + 2 < len ? hex(part[from + 1]) : -1, low = from + 2 < len ? hex(part[from + 2]) : -1;
      if (high < 0 || low < 0) {
        settings_fail(s, "-L: in the %s, %% is not followed by two hexadecimal digits (%% itself is %%25)", what);
      }
      c = (char) (high * 16 + low);
      if (c == '\0') settings_fail(s, "-L: the %s has a NUL byte (%%00)", what);
      from += 2;
    }
    text[to++] = c;
  }
  text[to] = '\0';
  return text;
}

static bool has_scheme(const char *url, const char *scheme, const char **rest) {
  size_t len = strlen(scheme), i;
  for (i = 0; i < len; i++) {
    char c = url[i];
    if (c >= 'A' && c <= 'Z') c = (char) (c - 'A' + 'a');
    if (c != scheme[i]) return false;
  }
  if (strncmp(url + len, "://", 3) != 0) return false;
  *rest = url + len + 3;
  return true;
}

/* Which scheme it is. */
static const char *take_scheme(struct settings *s, const char *url) {
  static const struct {
    const char *name;
    bool tls, ws;
  } schemes[] = {{"mqtt", false, false}, {"tcp", false, false}, {"mqtts", true, false}, {"ssl", true, false},
                 {"tls", true, false},   {"ws", false, true},   {"wss", true, true}};
  const char *rest;
  size_t i;
  for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
    if (has_scheme(url, schemes[i].name, &rest)) {
      s->url_tls = schemes[i].tls;
      s->url_ws = schemes[i].ws;
      return rest;
    }
  }
  settings_fail(s, "-L: the URL does not begin with mqtt://, mqtts://, ws:// or wss://");
  return NULL;
}

void url_take(struct settings *s, const char *url) {
  const char *rest = take_scheme(s, url);
  size_t len = strcspn(rest, "/"), host_len, i, at = len;
  const char *host = rest, *colon;
  /* The last @ before the topic: a password that has one not encoded is understood as well. */
  for (i = 0; i < len; i++) {
    if (rest[i] == '@') at = i;
  }
  if (at < len) {
    const char *sep = memchr(rest, ':', at);
    size_t user_len = sep != NULL ? (size_t) (sep - rest) : at;
    s->cfg.user = decoded(s, rest, user_len, "user name");
    if (sep != NULL) s->cfg.pass = decoded(s, sep + 1, at - user_len - 1, "password");
    host = rest + at + 1;
  }
  host_len = (size_t) (rest + len - host);
  colon = host[0] == '[' ? memchr(host, ']', host_len) : host;
  if (colon == NULL) settings_fail(s, "-L: '[' has no ']'");
  colon = memchr(colon, ':', (size_t) (host + host_len - colon));
  if (colon != NULL) {
    char *port = decoded(s, colon + 1, (size_t) (host + host_len - colon) - 1, "port");
    char *end;
    long number = strtol(port, &end, 10);
    if (*port == '\0' || *end != '\0' || number < 1 || number > 65535) {
      /* Not shown: it may be the beginning of a password. */
      settings_fail(s, "-L: the port is not a number from 1 to 65535 (a / in a password is written %%2F)");
    }
    free(port);
    s->port = (int) number;
    host_len = (size_t) (colon - host);
  }
  if (host_len == 0) settings_fail(s, "-L: the URL has no host");
  s->host = decoded(s, host, host_len, "host");
  if (rest[len] == '/' && rest[len + 1] != '\0') {
    s->url_topic = decoded(s, rest + len + 1, strlen(rest + len + 1), "topic");
  }
}
