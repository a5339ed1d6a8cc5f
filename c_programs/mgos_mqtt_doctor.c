/* mgos_mqtt_doctor: says what works on the way to an MQTT server, and what to do about the rest. See `help` below. */
#include <mgos_mqtt_connect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "output.h"
#include "topic.h"

static const char help[] =
    "mgos_mqtt_doctor: goes all the way to an MQTT server, step by step: name, addresses, TCP,\n"
    "proxy, TLS, CONNACK, messages at each QoS, retained, will and keep-alive. Each step has a\n"
    "verdict and what to do. No password, key or payload is shown.\n"
    "\n"
    "  mgos_mqtt_doctor -h HOST -p PORT -u USER --pw-file FILE --cafile CA.pem\n"
    "  mgos_mqtt_doctor -L mqtts://host --json\n";

static const char notes[] =
    "It publishes below mgos_mqtt_doctor/, or to the topic of -t, and takes back what it retains.\n"
    "\n"
    "Exit code: 0 no fault was found (there may be notes); 1 a fault, or wrong usage.\n";

int main(int argc, char **argv) {
  static struct settings settings;
  static struct doctor d;
  static void (*const checks[])(struct doctor *) = {check_retained, check_will, check_keep_alive, check_certificate};
  size_t i;
  output_prepare();
  settings_read(&settings, DOCTOR, "mgos_mqtt_doctor", argc, argv, help, notes);
  if (settings.topics.count == 0 && settings.url_topic != NULL) texts_add(&settings.topics, settings.url_topic);
  if (settings.topics.count > 0) topic_check_name(&settings, "-t", settings.topics.text[0]);
  d.settings = &settings;
  settings.options.retry = MGOS_MQTT_RETRY_NEVER;
  settings.options.tls_expiry_days = 100000;
  settings.options.connack_timeout_ms = settings.options.tls_timeout_ms = settings.options.proxy_timeout_ms = 5000;
  client_make(&d.client, &settings);
  report_begin(&d);
  check_network(&d);
  if (check_connect(&d)) {
    check_server_limits(&d);
    check_messages(&d);
    for (i = 0; i < sizeof(checks) / sizeof(checks[0]) && check_up(&d); i++) checks[i](&d);
  }
  report_end(&d);
  mgos_mqtt_conn_disconnect_wait(d.client.conn, 2000);
  mgos_mqtt_conn_free(d.client.conn);
  return !output_end(settings.program) || d.faults > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
