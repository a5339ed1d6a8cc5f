/* How a message is printed: plainly, with its topic (-v), or by a format (-F). */
#ifndef FORMAT_H
#define FORMAT_H

#include <mgos_mqtt_event.h>

#include "connection.h"
#include "settings.h"

extern const char format_help[]; /* for --help */

/* Ends the program if the format has something that is not known. */
void format_check(const struct settings *s);

/* Prints a message. What cannot be printed as the format wants is said on standard error. */
void format_print(const struct client *client, const struct mgos_mqtt_event *ev);

#endif
