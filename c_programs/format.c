#define _POSIX_C_SOURCE 200809L
#include "format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"

const char format_help[] =
    "Format (-F), as that of mosquitto_sub:\n"
    "  %t topic               %p message               %l its length in bytes\n"
    "  %x message in hexadecimal, %X in capitals       %q QoS\n"
    "  %r retained: 0 or 1    %d delivered again       %m packet id, 0 with QoS 0\n"
    "  %j everything as JSON, the message as a string; %J the message as JSON itself\n"
    "  %I time, ISO 8601      %U seconds since 1970    @Y, @m ... as %Y, %m of strftime()\n"
    "  @N nanoseconds         %% @@ \\\\ these three     \\0 \\a \\e \\n \\r \\t \\v as in C\n"
    "  MQTT 5.0: %A topic alias, %C content type, %D correlation data, %E expiry,\n"
    "  %F payload format, %P user properties, %R response topic, %S subscription id\n"
    "  Behind the % may stand 0 (zeros in front), - (to the left), a width, and, for\n"
    "  %C %I %R %t, a point and the most that is printed: %-20.20t\n";

struct message {
  const struct mgos_mqtt_event *ev;
  const char *topic, *payload;
  size_t topic_len, payload_len;
  struct timespec now;
  struct tm local;
};

/* What stands between % and the letter. */
struct conversion {
  bool zeros, left;
  int width, most; /* -1: not given */
  char letter;
};

/* Reads a conversion behind the %; returns what follows it, or NULL if it is not complete. */
static const char *read_conversion(const char *f, struct conversion *c) {
  memset(c, 0, sizeof(*c));
  c->most = -1;
  for (; *f == '0' || *f == '-'; f++) {
    if (*f == '0') c->zeros = true;
    if (*f == '-') c->left = true;
  }
  for (; *f >= '0' && *f <= '9'; f++) c->width = c->width < 100000 ? c->width * 10 + *f - '0' : c->width;
  if (*f == '.') {
    c->most = 0;
    for (f++; *f >= '0' && *f <= '9'; f++) c->most = c->most < 100000 ? c->most * 10 + *f - '0' : c->most;
  }
  c->letter = *f;
  return *f != '\0' ? f + 1 : NULL;
}

void format_check(const struct settings *s) {
  struct conversion c;
  const char *f = s->format;
  while (f != NULL && *f != '\0') {
    char kind = *f++;
    if (kind == '%') {
      f = read_conversion(f, &c);
      if (f == NULL) settings_fail(s, "-F: the format ends in the middle of a conversion that begins with %%");
      if (strchr("%ACDEFIJPRSUXdjlmpqrtx", c.letter) == NULL) settings_fail(s, "-F: '%%%c' is not known", c.letter);
    } else if (kind == '@' || kind == '\\') {
      if (*f == '\0') settings_fail(s, "-F: the format ends with %c, behind which something must stand", kind);
      if (kind == '\\' && strchr("0aenrtv\\", *f) == NULL) settings_fail(s, "-F: '\\%c' is not known", *f);
      f++;
    }
  }
}

static void pad(char with, size_t len, int width) {
  for (; (int) len < width; len++) putchar(with);
}

static void put_text(const struct conversion *c, const char *text, size_t len) {
  if (c->most >= 0 && strchr("CIRt", c->letter) != NULL && len > (size_t) c->most) len = (size_t) c->most;
  if (!c->left) pad(' ', len, c->width);
  fwrite(text, 1, len, stdout);
  if (c->left) pad(' ', len, c->width);
}

static void put_number(const struct conversion *c, unsigned long number) {
  char text[24];
  int len = snprintf(text, sizeof(text), "%lu", number);
  if (c->zeros && !c->left) {
    pad('0', (size_t) len, c->width);
    fputs(text, stdout);
  } else {
    put_text(c, text, (size_t) len);
  }
}

static void put_hex(const struct conversion *c, const struct message *m) {
  const char *form = c->letter == 'X' ? "%02X" : "%02x";
  size_t i;
  if (!c->left) pad(c->zeros ? '0' : ' ', m->payload_len * 2, c->width);
  for (i = 0; i < m->payload_len; i++) printf(form, (unsigned char) m->payload[i]);
  if (c->left) pad(' ', m->payload_len * 2, c->width);
}

static void put_user_properties(const struct message *m) {
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  bool first = true;
  while (mgos_mqtt_event_property(m->ev, &cursor, &property)) {
    if (property.id != MGOS_MQTT_PROPERTY_USER) continue;
    printf("%s%.*s:%.*s", first ? "" : " ", (int) property.name_len, (const char *) property.name, (int) property.value_len,
           (const char *) property.value);
    first = false;
  }
}

/* The first property with this id, as text or number; only the width without one. */
static void put_property(const struct conversion *c, const struct message *m, uint32_t id, bool number) {
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  while (mgos_mqtt_event_property(m->ev, &cursor, &property)) {
    if (property.id != id) continue;
    if (number) {
      put_number(c, property.number);
    } else {
      put_text(c, property.value, property.value_len);
    }
    return;
  }
  if (number && c->zeros && !c->left) {
    pad('0', 0, c->width);
  } else {
    put_text(c, "", 0);
  }
}

static const char *const property_names[] = {
    [MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR] = "payload-format-indicator",
    [MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL] = "message-expiry-interval",
    [MGOS_MQTT_PROPERTY_CONTENT_TYPE] = "content-type",
    [MGOS_MQTT_PROPERTY_RESPONSE_TOPIC] = "response-topic",
    [MGOS_MQTT_PROPERTY_CORRELATION_DATA] = "correlation-data",
    [MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER] = "subscription-identifier",
    [MGOS_MQTT_PROPERTY_TOPIC_ALIAS] = "topic-alias",
};

static void json_user_properties(struct json *j, const struct message *m) {
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  json_key(j, "user-properties", 15);
  json_open(j, '{');
  while (mgos_mqtt_event_property(m->ev, &cursor, &property)) {
    if (property.id != MGOS_MQTT_PROPERTY_USER) continue;
    json_key(j, property.name, property.name_len);
    json_string(j, property.value, property.value_len);
  }
  json_close(j, '}');
}

static void json_properties(struct json *j, const struct message *m) {
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  bool users = false;
  json_key(j, "properties", 10);
  json_open(j, '{');
  while (mgos_mqtt_event_property(m->ev, &cursor, &property)) {
    const char *name = property.id < sizeof(property_names) / sizeof(property_names[0]) ? property_names[property.id] : NULL;
    if (property.id == MGOS_MQTT_PROPERTY_USER) {
      if (!users) json_user_properties(j, m);
      users = true;
    } else if (name != NULL) {
      json_key(j, name, strlen(name));
      if (property.value != NULL) {
        json_string(j, property.value, property.value_len);
      } else {
        json_number(j, property.number);
      }
    }
  }
  json_close(j, '}');
}

static void put_json(const struct client *client, const struct message *m, bool payload_is_json) {
  struct mgos_mqtt_property property;
  struct json j = {client->settings->pretty, 0, false};
  char seconds[40], zone[10], time[80];
  size_t cursor = 0;
  int len;
  strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &m->local);
  strftime(zone, sizeof(zone), "%z", &m->local);
  len = snprintf(time, sizeof(time), "%s.%06ld%s", seconds, m->now.tv_nsec / 1000, zone);
  json_open(&j, '{');
  json_key(&j, "tst", 3);
  json_string(&j, time, (size_t) len);
  json_key(&j, "topic", 5);
  json_string(&j, m->topic, m->topic_len);
  json_key(&j, "qos", 3);
  json_number(&j, mgos_mqtt_event_qos(m->ev));
  json_key(&j, "retain", 6);
  json_number(&j, mgos_mqtt_event_retain(m->ev));
  json_key(&j, "payloadlen", 10);
  json_number(&j, (double) m->payload_len);
  if (mgos_mqtt_event_qos(m->ev) > 0) {
    json_key(&j, "mid", 3);
    json_number(&j, mgos_mqtt_event_packet_id(m->ev));
  }
  if (mgos_mqtt_event_property(m->ev, &cursor, &property)) json_properties(&j, m);
  json_key(&j, "payload", 7);
  if (m->payload_len == 0) {
    json_word(&j, "null");
  } else if (payload_is_json) {
    json_copy(&j, m->payload, m->payload_len);
  } else {
    json_string(&j, m->payload, m->payload_len);
  }
  json_close(&j, '}');
}

static void put_time(const struct conversion *c, const struct message *m) {
  char text[64];
  if (c->letter == 'I') {
    put_text(c, text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &m->local));
  } else {
    printf("%ld.%09ld", (long) m->now.tv_sec, m->now.tv_nsec);
  }
}

static void put_conversion(const struct client *client, const struct conversion *c, const struct message *m) {
  switch (c->letter) {
    case 't':
      put_text(c, m->topic, m->topic_len);
      break;
    case 'p':
      put_text(c, m->payload, m->payload_len);
      break;
    case 'l':
      put_number(c, m->payload_len);
      break;
    case 'm':
      put_number(c, mgos_mqtt_event_packet_id(m->ev));
      break;
    case 'x':
    case 'X':
      put_hex(c, m);
      break;
    case 'q':
      printf("%d", mgos_mqtt_event_qos(m->ev));
      break;
    case 'r':
      printf("%d", mgos_mqtt_event_retain(m->ev));
      break;
    case 'd':
      printf("%d", mgos_mqtt_event_dup(m->ev));
      break;
    case 'I':
    case 'U':
      put_time(c, m);
      break;
    case 'j':
    case 'J':
      put_json(client, m, c->letter == 'J');
      break;
    case 'A':
      put_property(c, m, MGOS_MQTT_PROPERTY_TOPIC_ALIAS, true);
      break;
    case 'C':
      put_property(c, m, MGOS_MQTT_PROPERTY_CONTENT_TYPE, false);
      break;
    case 'D':
      put_property(c, m, MGOS_MQTT_PROPERTY_CORRELATION_DATA, false);
      break;
    case 'E':
      put_property(c, m, MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, true);
      break;
    case 'F':
      put_property(c, m, MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, true);
      break;
    case 'R':
      put_property(c, m, MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, false);
      break;
    case 'S':
      put_property(c, m, MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, true);
      break;
    case 'P':
      put_user_properties(m);
      break;
    default: /* '%'; others were refused by format_check() */
      putchar(c->letter);
  }
}

static void put_strftime(char letter, const struct message *m) {
  char form[3] = "%x", text[256];
  form[1] = letter;
  if (letter == '@') {
    putchar('@');
  } else if (letter == 'N') {
    printf("%09ld", m->now.tv_nsec);
  } else {
    fwrite(text, 1, strftime(text, sizeof(text), form, &m->local), stdout);
  }
}

static char escaped(char c) {
  static const char letters[] = "0aenrtv", values[] = "\0\a\033\n\r\t\v";
  const char *letter = strchr(letters, c);
  return letter != NULL ? values[letter - letters] : c; /* a backslash stands for itself */
}

static void put_format(const struct client *client, const struct message *m) {
  struct conversion c;
  const char *f = client->settings->format;
  while (*f != '\0') {
    char kind = *f++;
    if (kind == '%') {
      f = read_conversion(f, &c);
      put_conversion(client, &c, m);
    } else if (kind == '@') {
      put_strftime(*f++, m);
    } else if (kind == '\\') {
      putchar(escaped(*f++));
    } else {
      putchar(kind);
    }
  }
}

/* Whether the format has %J, behind any flags. */
static bool wants_json(const char *f) {
  struct conversion c;
  while (*f != '\0') {
    char kind = *f++;
    if (kind == '@' || kind == '\\') f++;
    if (kind != '%') continue;
    f = read_conversion(f, &c);
    if (c.letter == 'J') return true;
  }
  return false;
}

void format_print(const struct client *client, const struct mgos_mqtt_event *ev) {
  const struct settings *s = client->settings;
  struct message m;
  m.ev = ev;
  m.topic = mgos_mqtt_event_topic(ev, &m.topic_len);
  m.payload = mgos_mqtt_event_payload(ev, &m.payload_len);
  if (s->format != NULL) {
    if (wants_json(s->format) && m.payload_len > 0 && !json_is_valid(m.payload, m.payload_len)) {
      client_say(client, "a message to %.*s is not valid JSON, and not printed", (int) m.topic_len, m.topic);
      return;
    }
    clock_gettime(CLOCK_REALTIME, &m.now);
    localtime_r(&m.now.tv_sec, &m.local);
    put_format(client, &m);
  } else if (m.payload_len == 0 && (!s->verbose || s->no_line_feed)) {
    return; /* as mosquitto_sub: no line either */
  } else if (s->verbose) {
    fwrite(m.topic, 1, m.topic_len, stdout);
    putchar(' ');
    if (m.payload_len == 0) fputs("(null)", stdout);
  }
  if (s->format == NULL) fwrite(m.payload, 1, m.payload_len, stdout);
  if (!s->no_line_feed) putchar('\n');
}
