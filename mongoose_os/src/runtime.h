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
void runtime_stop(void);
bool runtime_stopped(void);
/* Lets the loop look at what is due. */
void runtime_wake(void);
/* Closes the global connection and waits for that, if it is possible here. */
void runtime_disconnect(int timeout_ms);

/* timers.c */

/* Calls what is due. */
void timers_run(void);
/* How many milliseconds until the next is due; -1 if there is none. */
int timers_wait(void);

/* system.c */

int64_t runtime_micros(void);
/* Remembers how the program was started. */
void runtime_remember(char **argv);
void runtime_set_ro_vars(const char *name, const char *version);

/* net.c */

/* Raises the events of what changed since the last call. */
void net_look(void);
/* Looks whether the clock was set. */
void clock_look(void);

/* log.c */

/* Takes the library's log, too. */
void log_begin(void);
/* Publishes no more lines: the connection ends. */
void log_end(void);

/* config.c */

/* Reads the files, and hands the library its part. False without memory. */
bool config_start(void);

/* A configuration in a schema, wherever it is. */
struct conf_view {
  const struct mgos_conf_entry *root; /* the object */
  char *base;                         /* where an offset of 0 would be */
};

void *conf_field(const struct conf_view *view, const struct mgos_conf_entry *entry);
/* Reads an object over what there is. Unknown keys are reported, with `what` in front. NULL, or a sentence to be given to
   free(); what was read before the error stays. */
char *conf_read(const struct conf_view *view, const char *json, size_t len, const char *what);
/* The object as JSON; only what differs from `other`, if that is not NULL. NULL without memory, or for a number or text that is
   not JSON. */
char *conf_text(const struct conf_view *view, const struct conf_view *other, bool pretty);
/* Replaces texts that belong to `view` by copies. False without memory. */
bool conf_own(const struct conf_view *view);
void conf_free(const struct conf_view *view);
struct conf_view conf_whole(void *cfg);
/* The entry of a dotted name, or NULL. */
const struct mgos_conf_entry *conf_entry(struct mg_str key);

/* files.c */

/* Writes a file beside it and replaces it. NULL, or a sentence to be given to free(). */
char *file_replace(const char *path, const char *text);

/* A sentence to be given to free(); of it, a constant one without memory is not made: NULL. */
char *sentence(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
