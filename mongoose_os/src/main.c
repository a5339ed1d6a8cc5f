/* The course of an application. */

#include "runtime.h"

#include <errno.h>
#include <mgos_app.h>
#include <mgos_event.h>
#include <mgos_mongoose.h>
#include <mgos_mqtt.h>
#include <mgos_net.h>
#include <mgos_ro_vars.h>
#include <mgos_sys_config.h>
#include <mgos_system.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the end waits for the server to have everything. */
#define END_WAIT_MS 5000
/* How long the loop sleeps at most: what the system tells only who looks is seen after this time. */
#define LOOK_MS 1000

static void on_signal(int signal) {
  struct sigaction act;
  int error = errno;
  mgos_os_stop();
  /* The next one does not wait. */
  memset(&act, 0, sizeof(act));
  act.sa_handler = SIG_DFL;
  sigaction(signal, &act, NULL);
  errno = error;
}

static void watch_signals(void) {
  struct sigaction act;
  memset(&act, 0, sizeof(act));
  act.sa_handler = on_signal;
  sigaction(SIGTERM, &act, NULL);
  sigaction(SIGINT, &act, NULL);
  act.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &act, NULL);
}

/* `debug` of a configuration that has no such section in the schema keeps its defaults. */
static void set_log(void) {
  struct mg_str value;
  if (mgos_sys_config_get(mg_mk_str("debug.level"), &value)) {
    cs_log_set_level((enum cs_log_level) atoi(value.p));
    free((void *) (uintptr_t) value.p);
  }
  if (mgos_sys_config_get(mg_mk_str("debug.file_level"), &value)) {
    cs_log_set_file_level(value.p);
    free((void *) (uintptr_t) value.p);
  }
}

/* `?` in topics of the log stands for digits of the MAC address. */
static void expand(const char *(*get)(void), void (*set)(const char *)) {
  const char *value = get();
  char *copy = value != NULL ? strdup(value) : NULL;
  if (copy == NULL) return;
  mgos_expand_mac_address_placeholders(copy);
  set(copy);
  free(copy);
}

static bool set_up(void) {
  const char *failed;
  mgos_os_set_ro_vars(mgos_app_description.name, mgos_app_description.version);
  if (!mgos_os_config_start()) {
    LOG(LL_ERROR, ("no memory for the configuration"));
    return false;
  }
  expand(mgos_sys_config_get_device_id, mgos_sys_config_set_device_id);
  expand(mgos_sys_config_get_debug_stdout_topic, mgos_sys_config_set_debug_stdout_topic);
  expand(mgos_sys_config_get_debug_stderr_topic, mgos_sys_config_set_debug_stderr_topic);
  mgos_conf_pull();
  set_log();
  mgos_os_log_begin();
  LOG(LL_INFO, ("%s %s, MAC %s", mgos_sys_ro_vars.app, mgos_sys_ro_vars.fw_version, mgos_sys_ro_vars.mac_address));
  if (!mgos_mqtt_init()) {
    char why[200];
    mgos_mqtt_last_error_text(why, sizeof(why));
    LOG(LL_ERROR, ("MQTT cannot be set up: %s", why));
    return false;
  }
  failed = mgos_app_description.init_libraries();
  if (failed != NULL) {
    LOG(LL_ERROR, ("the library %s could not be set up", failed));
    return false;
  }
  if (mgos_app_init() != MGOS_APP_INIT_SUCCESS) {
    LOG(LL_ERROR, ("mgos_app_init() failed"));
    return false;
  }
  return true;
}

int mgos_main(int argc, char **argv) {
  mgos_os_remember(argv);
  if (argc > 2) {
    fprintf(stderr, "usage: %s [DIRECTORY]\n  DIRECTORY has the application's files: conf0.json to conf9.json, certificates\n", argv[0]);
    return EXIT_FAILURE;
  }
  if (argc == 2 && chdir(argv[1]) != 0) {
    LOG(LL_ERROR, ("%s cannot be the directory of the application: %s", argv[1], strerror(errno)));
    return EXIT_FAILURE;
  }
  watch_signals();
  if (!set_up()) return EXIT_FAILURE;
  mgos_event_trigger(MGOS_EVENT_INIT_DONE, NULL);
  while (!mgos_os_stopped()) {
    mgos_os_net_look();
    mgos_os_clock_look();
    if (mgos_mongoose_os_poll(LOOK_MS) < 0) mgos_msleep(10); /* another thread drives the loop */
  }
  LOG(LL_INFO, ("the end was asked for"));
  mgos_event_trigger(MGOS_EVENT_REBOOT, NULL);
  mgos_os_disconnect(END_WAIT_MS);
  mgos_debug_flush();
  return EXIT_SUCCESS;
}
