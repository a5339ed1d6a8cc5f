/* Output of the application, as an event. */

#ifndef MGOS_DEBUG_H
#define MGOS_DEBUG_H

#include <stdbool.h>
#include <stddef.h>

#include <common/cs_dbg.h>

#ifndef MGOS_DEBUG_TMP_BUF_SIZE
#define MGOS_DEBUG_TMP_BUF_SIZE 96
#endif

/* The `ev_data` of MGOS_EVENT_LOG. */
struct mgos_debug_hook_arg {
  int fd; /* 1 or 2 */
  enum cs_log_level level;
  const char *data; /* a line, with its line break; no NUL behind it */
  size_t len;
  char *buf; /* MGOS_DEBUG_TMP_BUF_SIZE bytes for the handler's own use */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Writes to file descriptor 1 or 2, raises MGOS_EVENT_LOG, and publishes it to the topic of that descriptor. */
void mgos_debug_write(int fd, const void *buf, size_t len);

/* Writes out what stdout and stderr hold back. */
void mgos_debug_flush(void);

#ifdef __cplusplus
}
#endif

#endif
