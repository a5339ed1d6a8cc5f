/* What the files of the component share. */

#ifndef RUNTIME_H
#define RUNTIME_H

#include <mgos_app_description.h>
#include <mgos_debug.h>
#include <mgos_net.h>
#include <stdbool.h>
#include <stdint.h>

/* loop.c */

/* Ends mgos_main()'s loop; for signal handlers. */
void mgos_os_stop(void);
bool mgos_os_stopped(void);
/* Lets the loop look at what is due. */
void mgos_os_wake(void);
/* Closes the global connection and waits for that, if it is possible here. */
void mgos_os_disconnect(int timeout_ms);

/* timers.c */

/* Calls what is due. */
void mgos_os_timers_run(void);
/* How many milliseconds until the next is due; -1 if there is none. */
int mgos_os_timers_wait(void);

/* system.c */

int64_t mgos_os_micros(void);
/* Remembers how the program was started. */
void mgos_os_remember(char **argv);
void mgos_os_set_ro_vars(const char *name, const char *version);

/* net.c */

/* Raises the events of what changed since the last call. */
void mgos_os_net_look(void);
/* Looks whether the clock was set. */
void mgos_os_clock_look(void);

/* log.c */

/* Takes the library's log, too. */
void mgos_os_log_begin(void);
/* Publishes no more lines: the connection ends. */
void mgos_os_log_end(void);

/* config.c */

/* Reads the files, and hands the library its part. False without memory. */
bool mgos_os_config_start(void);

/* A configuration in a schema, wherever it is. */
struct conf_view {
  const struct mgos_conf_entry *root; /* the object */
  char *base;                         /* where an offset of 0 would be */
};

void *mgos_os_conf_field(const struct conf_view *view, const struct mgos_conf_entry *entry);
/* Reads an object over what there is. Unknown keys are reported, with `what` in front. NULL, or a sentence to be given to
   free(); what was read before the error stays. */
char *mgos_os_conf_read(const struct conf_view *view, const char *json, size_t len, const char *what);
/* The object as JSON; only what differs from `other`, if that is not NULL. NULL without memory, or for a number or text that is
   not JSON. */
char *mgos_os_conf_text(const struct conf_view *view, const struct conf_view *other, bool pretty);
/* Replaces texts that belong to `view` by copies. False without memory. */
bool mgos_os_conf_own(const struct conf_view *view);
void mgos_os_conf_free(const struct conf_view *view);
struct conf_view mgos_os_conf_whole(void *cfg);
/* The entry of a dotted name, or NULL. */
const struct mgos_conf_entry *mgos_os_conf_entry(struct mg_str key);

/* files.c */

/* Writes a file beside it and replaces it. NULL, or a sentence to be given to free(). */
char *mgos_os_file_replace(const char *path, const char *text);

/* A sentence to be given to free(); NULL without memory. */
char *mgos_os_sentence(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
