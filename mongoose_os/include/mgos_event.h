/* The library's mgos_event.h: the event bus, with the arguments of the system's events. */

#ifndef MONGOOSE_OS_MGOS_EVENT_H
#define MONGOOSE_OS_MGOS_EVENT_H

/* `include_next` is no C: the library's own header has the same name. */
#pragma GCC system_header
#include_next <mgos_event.h>

#include <stdint.h>

/* Of MGOS_EVENT_TIME_CHANGED: by how many seconds the clock was set forward. */
struct mgos_time_changed_arg {
  double delta;
};

/* Of MGOS_EVENT_REBOOT_AFTER: when the restart is due, as mgos_uptime_micros() counts. */
struct mgos_event_reboot_after_arg {
  int64_t reboot_at_uptime_micros;
};

#endif
