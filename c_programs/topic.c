#include "topic.h"

#include <string.h>

enum { MAX_TOPIC = 65535 };

void topic_check_name(const struct settings *s, const char *option, const char *topic) {
  size_t len = strlen(topic);
  if (len == 0 || len > MAX_TOPIC || strpbrk(topic, "+#") != NULL) {
    settings_fail(s, "%s: '%s' is no topic name, which has 1 to 65535 bytes and no + or #", option, topic);
  }
}

void topic_check_filter(const struct settings *s, const char *option, const char *filter) {
  size_t len = strlen(filter), i;
  bool valid = len > 0 && len <= MAX_TOPIC;
  for (i = 0; i < len && valid; i++) {
    bool begins = i == 0 || filter[i - 1] == '/';
    if (filter[i] == '#') valid = begins && i + 1 == len;
    if (filter[i] == '+') valid = begins && (i + 1 == len || filter[i + 1] == '/');
  }
  if (!valid) settings_fail(s, "%s: '%s' is empty, too long, or has a misplaced wildcard", option, filter);
}

bool topic_matches_any(const struct texts *filters, const char *topic, size_t len) {
  struct mg_str name;
  size_t i;
  name.p = topic;
  name.len = len;
  for (i = 0; i < filters->count; i++) {
    if (mg_mqtt_vmatch_topic_expression(filters->text[i], name)) return true;
  }
  return false;
}
