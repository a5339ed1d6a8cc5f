/* -D: properties of MQTT 5.0. Which packet may carry which is table 2-4 of the specification (section 2.2.2.2): the library
 * knows it as well, but looks at the properties of a message only when that is published, and then there is a connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"
#include "topic.h"

enum kind { NUMBER, STRING, PAIR };

enum { MAX_STRING = 65535 };

/* The packets that carry a property. */
enum {
  CONNECT = 1 << OF_CONNECT,
  PUBLISH = 1 << OF_PUBLISH,
  SUBSCRIBE = 1 << OF_SUBSCRIBE,
  UNSUBSCRIBE = 1 << OF_UNSUBSCRIBE,
  DISCONNECT = 1 << OF_DISCONNECT,
  WILL = 1 << OF_WILL,
  EVERY = CONNECT | PUBLISH | SUBSCRIBE | UNSUBSCRIBE | DISCONNECT | WILL
};

static const struct {
  const char *name;
  uint32_t id;
  int packets;
  enum kind kind;
  uint32_t min, max;
} known[] = {
    {"authentication-data", MGOS_MQTT_PROPERTY_AUTHENTICATION_DATA, CONNECT, STRING, 0, 0},
    {"authentication-method", MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, CONNECT, STRING, 0, 0},
    {"content-type", MGOS_MQTT_PROPERTY_CONTENT_TYPE, PUBLISH | WILL, STRING, 0, 0},
    {"correlation-data", MGOS_MQTT_PROPERTY_CORRELATION_DATA, PUBLISH | WILL, STRING, 0, 0},
    {"maximum-packet-size", MGOS_MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, CONNECT, NUMBER, 1, 0xFFFFFFFF},
    {"message-expiry-interval", MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, PUBLISH | WILL, NUMBER, 0, 0xFFFFFFFF},
    {"payload-format-indicator", MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, PUBLISH | WILL, NUMBER, 0, 1},
    {"receive-maximum", MGOS_MQTT_PROPERTY_RECEIVE_MAXIMUM, CONNECT, NUMBER, 1, 0xFFFF},
    {"request-problem-information", MGOS_MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION, CONNECT, NUMBER, 0, 1},
    {"request-response-information", MGOS_MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION, CONNECT, NUMBER, 0, 1},
    {"response-topic", MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, PUBLISH | WILL, STRING, 0, 0},
    {"session-expiry-interval", MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, CONNECT | DISCONNECT, NUMBER, 0, 0xFFFFFFFF},
    {"subscription-identifier", MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, SUBSCRIBE, NUMBER, 1, 268435455},
    {"topic-alias", MGOS_MQTT_PROPERTY_TOPIC_ALIAS, PUBLISH, NUMBER, 1, 0xFFFF},
    {"topic-alias-maximum", MGOS_MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, CONNECT, NUMBER, 0, 0xFFFF},
    {"user-property", MGOS_MQTT_PROPERTY_USER, EVERY, PAIR, 0, 0},
    {"will-delay-interval", MGOS_MQTT_PROPERTY_WILL_DELAY_INTERVAL, WILL, NUMBER, 0, 0xFFFFFFFF},
};

/* What the properties belong to, and the programs that send it with them. */
static const struct {
  const char *name;
  int programs;
} commands[NUM_OF] = {
    {"connect", ALL}, {"publish", PUB | RR}, {"subscribe", SUB | RR}, {"unsubscribe", 0}, {"disconnect", TALK}, {"will", TALK},
};

static bool same_word(const char *a, const char *b) {
  for (; *a != '\0' && *b != '\0'; a++, b++) {
    if ((*a >= 'A' && *a <= 'Z' ? *a - 'A' + 'a' : *a) != *b) return false;
  }
  return *a == *b;
}

static size_t find(const struct settings *s, const char *name) {
  size_t i;
  for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (same_word(name, known[i].name)) return i;
  }
  settings_fail(s, "-D: '%s' is no property of MQTT 5.0 that a client sends", name);
  return 0;
}

static enum property_of find_command(const struct settings *s, const char *command) {
  int i;
  for (i = 0; i < NUM_OF; i++) {
    if (same_word(command, commands[i].name)) return (enum property_of) i;
  }
  settings_fail(s, "-D: '%s' is none of connect, publish, subscribe, unsubscribe, disconnect and will", command);
  return OF_CONNECT;
}

int property_values(const struct settings *s, const char *command, const char *name) {
  find_command(s, command);
  return known[find(s, name)].kind == PAIR ? 2 : 1;
}

void property_add(struct properties *list, struct mgos_mqtt_property property) {
  size_t i;
  for (i = 0; i < list->count && property.id != MGOS_MQTT_PROPERTY_USER; i++) {
    if (list->property[i].id == property.id) { /* the last one counts, as with all options */
      list->property[i] = property;
      return;
    }
  }
  list->property = must_have(realloc(list->property, (list->count + 1) * sizeof(*list->property)));
  list->property[list->count++] = property;
}

/* Ends the program if it does not send this packet, or the packet cannot carry this property. */
static void check(const struct settings *s, enum property_of of, size_t i) {
  const char *command = commands[of].name;
  if (of == OF_UNSUBSCRIBE) settings_fail(s, "-D %s: UNSUBSCRIBE is sent without properties", command);
  if ((commands[of].programs & s->which) == 0) settings_fail(s, "-D %s: this program sends no such packet", command);
  if ((known[i].packets & 1 << of) == 0) {
    settings_fail(s, "-D: %s cannot carry %s", of == OF_WILL ? "a will" : command, known[i].name);
  }
}

static uint32_t take_number(const struct settings *s, size_t i, const char *value) {
  char *end;
  unsigned long long number;
  errno = 0;
  number = strtoull(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || value[0] == '-' || number < known[i].min || number > known[i].max) {
    settings_fail(s, "-D: %s: '%s' is not a number from %lu to %lu", known[i].name, value, (unsigned long) known[i].min,
                  (unsigned long) known[i].max);
  }
  return (uint32_t) number;
}

static void check_length(const struct settings *s, size_t i, const char *value) {
  if (strlen(value) > MAX_STRING) settings_fail(s, "-D: %s is longer than %d bytes", known[i].name, MAX_STRING);
}

void property_take(struct settings *s, const char *command, const char *name, const char *const *values) {
  enum property_of of = find_command(s, command);
  size_t i = find(s, name);
  check(s, of, i);
  s->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  s->property_given = true;
  if (known[i].kind == NUMBER) {
    uint32_t number = take_number(s, i, values[0]);
    if (known[i].id == MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER) {
      s->subscription_identifier = number;
    } else if (known[i].id == MGOS_MQTT_PROPERTY_TOPIC_ALIAS) {
      s->topic_alias = (uint16_t) number;
    } else {
      property_add(&s->properties[of], mgos_mqtt_property_number(known[i].id, number));
    }
    return;
  }
  check_length(s, i, values[0]);
  if (known[i].kind == PAIR) {
    check_length(s, i, values[1]);
    property_add(&s->properties[of], mgos_mqtt_property_user(values[0], values[1]));
  } else {
    if (known[i].id == MGOS_MQTT_PROPERTY_RESPONSE_TOPIC) topic_check_name(s, "-D response-topic", values[0]);
    property_add(&s->properties[of], mgos_mqtt_property_string(known[i].id, values[0]));
  }
}
