/* Topic names and filters (MQTT 3.1.1, section 4.7), checked before there is a connection. */
#ifndef TOPIC_H
#define TOPIC_H

#include "settings.h"

/* End the program if a text is not valid. `option` names it. */
void topic_check_name(const struct settings *s, const char *option, const char *topic);
void topic_check_filter(const struct settings *s, const char *option, const char *filter);

bool topic_matches_any(const struct texts *filters, const char *topic, size_t len);

#endif
