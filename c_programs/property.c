/* -D: properties of MQTT 5.0. Which packet may carry which, and with which values, is the library's to say: it knows the
 * specification (section 2.2.2), and its error names the property. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

enum kind { NUMBER, STRING, PAIR };

static const struct {
  const char *name;
  uint32_t id;
  enum kind kind;
  uint32_t max;
} known[] = {
    {"authentication-data", MGOS_MQTT_PROPERTY_AUTHENTICATION_DATA, STRING, 0},
    {"authentication-method", MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, STRING, 0},
    {"content-type", MGOS_MQTT_PROPERTY_CONTENT_TYPE, STRING, 0},
    {"correlation-data", MGOS_MQTT_PROPERTY_CORRELATION_DATA, STRING, 0},
    {"maximum-packet-size", MGOS_MQTT_PROPERTY_MAXIMUM_PACKET_SIZE, NUMBER, 0xFFFFFFFF},
    {"message-expiry-interval", MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, NUMBER, 0xFFFFFFFF},
    {"payload-format-indicator", MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, NUMBER, 1},
    {"receive-maximum", MGOS_MQTT_PROPERTY_RECEIVE_MAXIMUM, NUMBER, 0xFFFF},
    {"request-problem-information", MGOS_MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION, NUMBER, 1},
    {"request-response-information", MGOS_MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION, NUMBER, 1},
    {"response-topic", MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, STRING, 0},
    {"session-expiry-interval", MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, NUMBER, 0xFFFFFFFF},
    {"subscription-identifier", MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, NUMBER, 268435455},
    {"topic-alias", MGOS_MQTT_PROPERTY_TOPIC_ALIAS, NUMBER, 0xFFFF},
    {"topic-alias-maximum", MGOS_MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM, NUMBER, 0xFFFF},
    {"user-property", MGOS_MQTT_PROPERTY_USER, PAIR, 0},
    {"will-delay-interval", MGOS_MQTT_PROPERTY_WILL_DELAY_INTERVAL, NUMBER, 0xFFFFFFFF},
};

static const char *const commands[NUM_OF] = {"connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"};

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
    if (same_word(command, commands[i])) return (enum property_of) i;
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

void property_take(struct settings *s, const char *command, const char *name, const char *const *values) {
  enum property_of of = find_command(s, command);
  size_t i = find(s, name);
  struct mgos_mqtt_property property;
  s->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  if (known[i].kind == NUMBER) {
    char *end;
    unsigned long long number;
    errno = 0;
    number = strtoull(values[0], &end, 10);
    if (errno != 0 || end == values[0] || *end != '\0' || values[0][0] == '-' || number > known[i].max) {
      settings_fail(s, "-D: %s: '%s' is not a number from 0 to %lu", name, values[0], (unsigned long) known[i].max);
    }
    property = mgos_mqtt_property_number(known[i].id, (uint32_t) number);
  } else if (known[i].kind == PAIR) {
    property = mgos_mqtt_property_user(values[0], values[1]);
  } else {
    property = mgos_mqtt_property_string(known[i].id, values[0]);
  }
  property_add(&s->properties[of], property);
}
