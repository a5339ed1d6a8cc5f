/* The system. */

#include "runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mgos_event.h>
#include <mgos_ro_vars.h>
#include <mgos_system.h>
#include <mgos_time.h>
#include <mgos_timers.h>
#include <mgos_utils.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long a restart waits for the server to have everything. */
#define RESTART_WAIT_MS 2000

static char **s_argv;
static int s_start_dir = -1;
static atomic_int s_exit_code = -1;
static int64_t s_start;
static atomic_size_t s_least = SIZE_MAX;

/* Time. */

static int64_t micros(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t mgos_os_micros(void) {
  return micros(CLOCK_BOOTTIME);
}

__attribute__((constructor)) static void begin(void) {
  s_start = mgos_os_micros();
}

int64_t mgos_uptime_micros(void) {
  return mgos_os_micros() - s_start;
}

double mgos_uptime(void) {
  return (double) mgos_uptime_micros() / 1e6;
}

int64_t mgos_time_micros(void) {
  return micros(CLOCK_REALTIME);
}

int mgos_strftime(char *s, int size, const char *fmt, int time_) {
  time_t t = time_;
  struct tm tm;
  if (size <= 0 || localtime_r(&t, &tm) == NULL) return 0;
  return (int) strftime(s, (size_t) size, fmt, &tm);
}

int mgos_settimeofday(double time_, struct timezone *tz) {
  double seconds = floor(time_);
  struct timeval tv;
  (void) tz; /* of no use since long, says settimeofday(2) */
  tv.tv_sec = (time_t) seconds;
  tv.tv_usec = (suseconds_t) ((time_ - seconds) * 1e6);
  return settimeofday(&tv, NULL);
}

void mgos_usleep(uint32_t usecs) {
  struct timespec left = {(time_t) (usecs / 1000000), (long) (usecs % 1000000) * 1000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

void mgos_msleep(uint32_t msecs) {
  struct timespec left = {(time_t) (msecs / 1000), (long) (msecs % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

/* Memory and files. */

static size_t pages(int name) {
  long count = sysconf(name), size = sysconf(_SC_PAGESIZE);
  return count > 0 && size > 0 ? (size_t) count * (size_t) size : 0;
}

size_t mgos_get_free_heap_size(void) {
  size_t available = pages(_SC_AVPHYS_PAGES), least = atomic_load(&s_least);
  while (available < least && !atomic_compare_exchange_weak(&s_least, &least, available)) continue;
  return available;
}

size_t mgos_get_heap_size(void) {
  mgos_get_free_heap_size();
  return pages(_SC_PHYS_PAGES);
}

size_t mgos_get_min_free_heap_size(void) {
  mgos_get_free_heap_size();
  return atomic_load(&s_least);
}

size_t mgos_get_fs_size(void) {
  struct statvfs fs;
  return statvfs(".", &fs) == 0 ? (size_t) fs.f_blocks * fs.f_frsize : 0;
}

size_t mgos_get_free_fs_size(void) {
  struct statvfs fs;
  return statvfs(".", &fs) == 0 ? (size_t) fs.f_bavail * fs.f_frsize : 0;
}

/* Restart. */

void mgos_os_remember(char **argv) {
  s_argv = argv;
  if (s_start_dir < 0) s_start_dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void mgos_system_set_restart_exit_code(int status) {
  atomic_store(&s_exit_code, status);
}

void mgos_system_restart(void) {
  static char *no_arguments[] = {NULL};
  sigset_t none;
  int status = atomic_load(&s_exit_code);
  mgos_event_trigger(MGOS_EVENT_REBOOT, NULL);
  mgos_os_disconnect(RESTART_WAIT_MS);
  mgos_debug_flush();
  if (status >= 0) exit(status);
  if (s_start_dir >= 0 && fchdir(s_start_dir) != 0) LOG(LL_ERROR, ("restart: the first directory is gone: %s", strerror(errno)));
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  execv("/proc/self/exe", s_argv != NULL ? s_argv : no_arguments);
  LOG(LL_ERROR, ("restart: the program cannot be started again: %s", strerror(errno)));
  exit(EXIT_FAILURE);
}

static void restart_now(void *arg) {
  (void) arg;
  mgos_system_restart();
}

void mgos_system_restart_after(int delay_ms) {
  struct mgos_event_reboot_after_arg arg;
  if (delay_ms < 0) delay_ms = 0;
  arg.reboot_at_uptime_micros = mgos_uptime_micros() + (int64_t) delay_ms * 1000;
  mgos_event_trigger(MGOS_EVENT_REBOOT_AFTER, &arg);
  if (mgos_set_timer(delay_ms, 0, restart_now, NULL) == MGOS_INVALID_TIMER_ID) {
    LOG(LL_ERROR, ("restart: no memory for the timer, so it is now"));
    mgos_system_restart();
  }
}

/* Locks. */

struct mgos_rlock_type {
  pthread_mutex_t mutex;
};

struct mgos_rlock_type *mgos_rlock_create(void) {
  struct mgos_rlock_type *l = malloc(sizeof(*l));
  pthread_mutexattr_t attr;
  if (l == NULL) return NULL;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&l->mutex, &attr);
  pthread_mutexattr_destroy(&attr);
  return l;
}

void mgos_rlock(struct mgos_rlock_type *l) {
  if (l != NULL) pthread_mutex_lock(&l->mutex);
}

void mgos_runlock(struct mgos_rlock_type *l) {
  if (l != NULL) pthread_mutex_unlock(&l->mutex);
}

void mgos_rlock_destroy(struct mgos_rlock_type *l) {
  if (l == NULL) return;
  pthread_mutex_destroy(&l->mutex);
  free(l);
}

/* What only hardware has. */

void mgos_wdt_feed(void) {
}
void mgos_wdt_enable(void) {
}
void mgos_wdt_disable(void) {
}
void mgos_wdt_set_timeout(int secs) {
  (void) secs;
}
void mgos_ints_disable(void) {
}
void mgos_ints_enable(void) {
}

/* Numbers. */

int mgos_utoa(unsigned int value, char *out, int base) {
  char digits[33];
  int n = 0, len = 0;
  if (base < 2 || base > 16) base = 10;
  do {
    digits[n++] = "0123456789abcdef"[value % (unsigned) base];
    value /= (unsigned) base;
  } while (value != 0);
  while (n > 0) out[len++] = digits[--n];
  out[len] = '\0';
  return len;
}

int mgos_itoa(int value, char *out, int base) {
  if (value >= 0) return mgos_utoa((unsigned) value, out, base);
  *out = '-';
  return 1 + mgos_utoa(0u - (unsigned) value, out + 1, base);
}

float mgos_rand_range(float from, float to) {
  uint32_t bits = 0;
  double result;
  if (getrandom(&bits, sizeof(bits), 0) != (ssize_t) sizeof(bits)) bits = (uint32_t) (mgos_os_micros() * 2654435761u);
  result = (double) from + ((double) to - (double) from) * ((double) bits / 4294967296.0);
  /* Rounding may reach the end, which does not belong to it. */
  return (float) result < to || from >= to ? (float) result : nextafterf(to, from);
}

/* Who it is. */

static char s_mac[13] = "000000000000", s_fw_id[80], s_timestamp[24];

struct mgos_ro_vars mgos_sys_ro_vars = {"", "linux", s_fw_id, s_timestamp, "", s_mac};

/* The address of the first interface, by name, that has one. */
static void read_mac(void) {
  DIR *dir = opendir("/sys/class/net");
  char first[256] = "";
  struct dirent *entry;
  if (dir == NULL) return;
  while ((entry = readdir(dir)) != NULL) {
    char path[300], text[18];
    unsigned b[6];
    FILE *file;
    snprintf(path, sizeof(path), "/sys/class/net/%.255s/address", entry->d_name);
    file = entry->d_name[0] != '.' ? fopen(path, "re") : NULL;
    if (file == NULL) continue;
    if (fgets(text, sizeof(text), file) != NULL && sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) == 6 &&
        (b[0] | b[1] | b[2] | b[3] | b[4] | b[5]) != 0 && (first[0] == '\0' || strcmp(entry->d_name, first) < 0)) {
      snprintf(first, sizeof(first), "%s", entry->d_name);
      snprintf(s_mac, sizeof(s_mac), "%02X%02X%02X%02X%02X%02X", b[0] & 255, b[1] & 255, b[2] & 255, b[3] & 255, b[4] & 255, b[5] & 255);
    }
    fclose(file);
  }
  closedir(dir);
}

void mgos_os_set_ro_vars(const char *name, const char *version) {
  time_t now = time(NULL);
  struct tm tm;
  mgos_sys_ro_vars.app = name;
  mgos_sys_ro_vars.fw_version = version;
  snprintf(s_fw_id, sizeof(s_fw_id), "%.50s/%.20s", name, version);
  if (gmtime_r(&now, &tm) != NULL) strftime(s_timestamp, sizeof(s_timestamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
  read_mac();
}

void mgos_expand_mac_address_placeholders(char *str) {
  size_t digit = sizeof(s_mac) - 1;
  if (str == NULL) return;
  if (strcmp(s_mac, "000000000000") == 0) read_mac();
  for (size_t i = strlen(str); i > 0; i--) {
    if (str[i - 1] != '?') continue;
    digit = digit > 0 ? digit - 1 : sizeof(s_mac) - 2;
    str[i - 1] = s_mac[digit];
  }
}
