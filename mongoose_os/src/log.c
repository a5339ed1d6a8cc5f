/* The log. A line is put together in memory of its thread, then written, raised as an event and published. */

#include "runtime.h"

#include <common/str_util.h>
#include <mgos_event.h>
#include <mgos_mqtt.h>
#include <mgos_mqtt_log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX_WIDTH 24

enum cs_log_level cs_log_level = LL_INFO;
__thread enum cs_log_level cs_log_cur_msg_level = LL_NONE;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *s_file;        /* NULL: stderr */
static char *s_file_levels; /* under `lock` */
static atomic_bool s_has_file_levels;
static atomic_bool s_begun;

/* The beginning of the line that this thread writes, and how many lines it is writing: handlers may log. */
static __thread char t_prefix[64];
static __thread int t_depth;

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* The level that the list gives a file; `level` if it is not there. */
static int level_of(const char *file, int level) {
  struct mg_str name, value;
  int others = level;
  pthread_mutex_lock(&lock);
  for (const char *at = s_file_levels; (at = mg_next_comma_list_entry(at, &name, &value)) != NULL;) {
    if (value.len == 0) continue;
    if (name.len == 0) {
      others = atoi(value.p);
    } else if (strncmp(file, name.p, name.len) == 0) {
      others = atoi(value.p);
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  return others;
}

int cs_log_print_prefix(enum cs_log_level level, const char *file, int line) {
  const char *name = base_name(file);
  int limit = (int) __atomic_load_n(&cs_log_level, __ATOMIC_RELAXED);
  if (atomic_load_explicit(&s_has_file_levels, memory_order_relaxed)) limit = level_of(name, limit);
  if ((int) level > limit || level <= LL_NONE) return 0;
  cs_log_cur_msg_level = level;
  if (line > 0) {
    int n = snprintf(t_prefix, sizeof(t_prefix), "%.40s:%d", name, line);
    snprintf(t_prefix + n, sizeof(t_prefix) - (size_t) n, "%*s", n < PREFIX_WIDTH ? PREFIX_WIDTH - n : 0, "");
    strncat(t_prefix, " ", sizeof(t_prefix) - strlen(t_prefix) - 1);
  } else {
    snprintf(t_prefix, sizeof(t_prefix), "%-*s ", PREFIX_WIDTH, name);
  }
  return 1;
}

/* The event, and the topic: without the one for errors, that for standard output. */
static void raise_and_publish(int fd, enum cs_log_level level, const char *data, size_t len) {
  char buf[MGOS_DEBUG_TMP_BUF_SIZE];
  struct mgos_debug_hook_arg arg = {fd, level, data, len, buf};
  size_t text = len > 0 && data[len - 1] == '\n' ? len - 1 : len;
  mgos_event_trigger(MGOS_EVENT_LOG, &arg);
  if (!atomic_load_explicit(&s_begun, memory_order_relaxed) || text == 0) return;
  if (fd == STDERR_FILENO && mgos_sys_config_get_debug_stderr_topic() == NULL) fd = STDOUT_FILENO;
  if (fd == STDOUT_FILENO && mgos_sys_config_get_debug_stdout_topic() == NULL) return;
  mgos_mqtt_conn_log(mgos_mqtt_global(), fd, level, data, text);
}

/* A line with its line break. What a handler of the event logs is only written: it would raise the event again. */
static void write_line(enum cs_log_level level, const char *data, size_t len) {
  FILE *file;
  int fd;
  pthread_mutex_lock(&lock);
  file = s_file != NULL ? s_file : stderr;
  fd = file == stdout ? STDOUT_FILENO : STDERR_FILENO;
  fwrite(data, 1, len, file);
  fflush(file);
  pthread_mutex_unlock(&lock);
  if (t_depth > 0) return;
  t_depth++;
  raise_and_publish(fd, level, data, len);
  t_depth--;
}

void cs_log_printf(const char *fmt, ...) {
  char space[512], *line = space;
  size_t before = strlen(t_prefix);
  enum cs_log_level level = cs_log_cur_msg_level;
  va_list ap, again;
  int len;
  memcpy(space, t_prefix, before);
  va_start(ap, fmt);
  va_copy(again, ap);
  len = vsnprintf(space + before, sizeof(space) - before - 1, fmt, ap);
  va_end(ap);
  if (len < 0) len = 0;
  if ((size_t) len >= sizeof(space) - before - 1) {
    line = malloc(before + (size_t) len + 2);
    if (line != NULL) {
      memcpy(line, t_prefix, before);
      vsnprintf(line + before, (size_t) len + 1, fmt, again);
    } else { /* what there was room for */
      line = space;
      len = (int) (sizeof(space) - before - 2);
    }
  }
  va_end(again);
  line[before + (size_t) len] = '\n';
  write_line(level, line, before + (size_t) len + 1);
  if (line != space) free(line);
  cs_log_cur_msg_level = LL_NONE;
}

/* The library's own log. */
static void from_library(int level, int conn_id, const char *text, void *ud) {
  (void) ud;
  if (t_depth > 0 || !cs_log_print_prefix((enum cs_log_level) level, "mgos_mqtt", 0)) return;
  cs_log_printf("MQTT%d: %s", conn_id, text);
}

static void set_library_level(void) {
  int level = (int) cs_log_level;
  if (level > MGOS_MQTT_LOG_DEBUG) level = MGOS_MQTT_LOG_DEBUG;
  mgos_mqtt_loop_set_log(NULL, level, level >= MGOS_MQTT_LOG_ERROR ? from_library : NULL, NULL, NULL);
}

void mgos_os_log_begin(void) {
  atomic_store(&s_begun, true);
  set_library_level();
}

void mgos_os_log_end(void) {
  atomic_store(&s_begun, false);
}

void cs_log_set_level(enum cs_log_level level) {
  int value = (int) level;
  value = value < (int) LL_NONE ? (int) LL_NONE : value > (int) LL_VERBOSE_DEBUG ? (int) LL_VERBOSE_DEBUG : value;
  __atomic_store_n(&cs_log_level, (enum cs_log_level) value, __ATOMIC_RELAXED);
  if (atomic_load(&s_begun)) set_library_level();
}

void cs_log_set_file_level(const char *file_level) {
  char *copy = file_level != NULL && *file_level != '\0' ? strdup(file_level) : NULL, *old;
  if (file_level != NULL && *file_level != '\0' && copy == NULL) return;
  pthread_mutex_lock(&lock);
  old = s_file_levels;
  s_file_levels = copy;
  atomic_store(&s_has_file_levels, copy != NULL);
  pthread_mutex_unlock(&lock);
  free(old);
}

void cs_log_set_file(FILE *file) {
  pthread_mutex_lock(&lock);
  s_file = file;
  pthread_mutex_unlock(&lock);
}

void mgos_debug_write(int fd, const void *buf, size_t len) {
  FILE *file = fd == STDOUT_FILENO ? stdout : fd == STDERR_FILENO ? stderr : NULL;
  if (file == NULL || buf == NULL || len == 0) return;
  pthread_mutex_lock(&lock);
  fwrite(buf, 1, len, file);
  fflush(file);
  pthread_mutex_unlock(&lock);
  if (t_depth > 0) return;
  t_depth++;
  raise_and_publish(fd, fd == STDERR_FILENO ? LL_ERROR : LL_INFO, buf, len);
  t_depth--;
}

void mgos_debug_flush(void) {
  fflush(stdout);
  fflush(stderr);
}
