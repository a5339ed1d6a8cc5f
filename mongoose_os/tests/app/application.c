/* An application for the courses of mgos_main(): it tells what happens to it, and does what $DO says. */

#include <mgos.h>
#include <mgos_mqtt.h>

#include <signal.h>

static const char *s_do;
static bool s_in_handler;

static void say(const char *what) {
  printf("%s\n", what);
  fflush(stdout);
}

static void restart(void *arg) {
  (void) arg;
  mgos_system_restart();
}

static void end(void *arg) {
  (void) arg;
  raise(SIGTERM);
}

static void on_event(int ev, void *ev_data, void *userdata) {
  static bool told;
  (void) userdata;
  switch (ev) {
    case MGOS_EVENT_INIT_DONE:
      say("INIT_DONE");
      if (strcmp(s_do, "end") == 0) mgos_set_timer(1, 0, end, NULL);
      break;
    case MGOS_EVENT_REBOOT: say("REBOOT"); break;
    case MGOS_EVENT_REBOOT_AFTER: say("REBOOT_AFTER"); break;
    case MGOS_NET_EV_IP_ACQUIRED: {
      const struct mgos_net_event_data *data = (const struct mgos_net_event_data *) ev_data;
      if (!told && data->if_instance > 0) say("IP_ACQUIRED");
      told = true;
      break;
    }
  }
}

/* A restart while the connection is up: by a timer, or inside a handler of the connection. */
static void on_mqtt(struct mg_connection *nc, int ev, void *ev_data, void *ud) {
  (void) nc, (void) ev_data, (void) ud;
  if (ev == MG_EV_MQTT_CONNACK) {
    say("CONNACK");
    LOG(LL_ERROR, ("a line of the log"));
    mgos_debug_write(1, "a line\n", 7);
    mgos_mqtt_pub("course", mgos_sys_ro_vars_get_app(), strlen(mgos_sys_ro_vars_get_app()), 1, false);
    if (s_in_handler) restart(NULL);
    if (strcmp(s_do, "restart") == 0) mgos_system_restart_after(1);
  }
  if (ev == MG_EV_CLOSE) say("CLOSE");
}

enum mgos_app_init_result mgos_app_init(void) {
  const char *again = getenv("AGAIN");
  s_do = getenv("DO") != NULL ? getenv("DO") : "";
  /* The program that a restart begins ends. */
  if (again != NULL && access(again, F_OK) == 0) s_do = "end";
  if (again != NULL && strcmp(s_do, "end") != 0) close(open(again, O_CREAT | O_WRONLY, 0600));
  say("mgos_app_init");
  if (strcmp(s_do, "fail") == 0) return MGOS_APP_INIT_ERROR;
  if (getenv("EXIT_CODE") != NULL) mgos_system_set_restart_exit_code(atoi(getenv("EXIT_CODE")));
  s_in_handler = strcmp(s_do, "restart_in_handler") == 0;
  printf("number %d\n", mgos_sys_config_get_app_number());
  mgos_event_add_group_handler(MGOS_EVENT_SYS, on_event, NULL);
  mgos_event_add_group_handler(MGOS_EVENT_GRP_NET, on_event, NULL);
  mgos_mqtt_add_global_handler(on_mqtt, NULL);
  return MGOS_APP_INIT_SUCCESS;
}
