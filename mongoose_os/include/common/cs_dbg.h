/*
 * LOG(LL_INFO, ("temperature %d", t)): a line of the log, with its file and line in front.
 *
 *     main.c:42                temperature 21
 *
 * Lines go to standard error (cs_log_set_file()), to the handlers of MGOS_EVENT_LOG (mgos_debug.h), and, over the global
 * MQTT connection, to the topic `debug.stderr_topic` of the configuration, or, where only that is set, `debug.stdout_topic`.
 * The MQTT library's own log comes out here as well, with "mgos_mqtt" in front.
 *
 * Threads: from any thread; a line is written as one. Not in signal handlers.
 */

#ifndef CS_COMMON_CS_DBG_H_
#define CS_COMMON_CS_DBG_H_

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The level of a line, and of the log: it has what is at most as high as its level. */
enum mgos_cs_log_level {
  LL_NONE = -1,
  LL_ERROR = 0,
  LL_WARN = 1,
  LL_INFO = 2,
  LL_DEBUG = 3,
  LL_VERBOSE_DEBUG = 4,

  _LL_MIN = -2,
  _LL_MAX = 5
};

/* The level of the log; LL_INFO at first, then `debug.level` of the configuration. To change it call cs_log_set_level(). */
extern enum mgos_cs_log_level mgos_cs_log_level;

/* The level of the line that this thread is writing. */
extern __thread enum mgos_cs_log_level mgos_cs_log_cur_msg_level;

/* Changes the level of the log, of the MQTT library's own, too. Values that are no level are made one. */
void mgos_cs_log_set_level(enum mgos_cs_log_level level);

/* Levels of single files, "main.c=4,mongoose.c=1,=2": each beginning of a file name with its level; an empty one stands for
   all others. NULL: none. The text is copied; without memory the old one stays. */
void mgos_cs_log_set_file_level(const char *file_level);

/* Where lines are written; NULL: standard error. The file stays the caller's. */
void mgos_cs_log_set_file(FILE *file);

/* For LOG: begins a line. 0 if it is not to be written. */
int mgos_cs_log_print_prefix(enum mgos_cs_log_level level, const char *file, int line);

/* For LOG: ends and writes the line that cs_log_print_prefix() began. */
void mgos_cs_log_printf(const char *fmt, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 1, 2)))
#endif
    ;

#ifdef __cplusplus
}
#endif

#define LOG(l, x)                                                                         \
  do {                                                                                    \
    if (mgos_cs_log_print_prefix((enum mgos_cs_log_level)(l), __FILE__, __LINE__)) {           \
      mgos_cs_log_printf x;                                                               \
    }                                                                                     \
  } while (0)

#ifndef DBG
#define DBG(x) LOG(LL_VERBOSE_DEBUG, x)
#endif

/* The names of the original; the symbols begin with mgos_, as all of this library. */
#define cs_log_level mgos_cs_log_level
#define cs_log_cur_msg_level mgos_cs_log_cur_msg_level
#define cs_log_set_level mgos_cs_log_set_level
#define cs_log_set_file_level mgos_cs_log_set_file_level
#define cs_log_set_file mgos_cs_log_set_file
#define cs_log_print_prefix mgos_cs_log_print_prefix
#define cs_log_printf mgos_cs_log_printf

#endif
