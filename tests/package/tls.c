/* Publishes over TLS and waits for the acknowledgement: tls <server> <CA file> */
#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_publish.h>
#include <stdio.h>

int main(int argc, char **argv) {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options options = {.size = sizeof(options), .profiles = &cfg, .num_profiles = 1};
  struct mgos_mqtt_publication message = {
      .size = sizeof(message), .topic = "a", .payload = "b", .payload_len = 1, .qos = 1};
  struct mgos_mqtt_conn *conn;
  int outcome;

  if (argc < 3) return 2;
  mgos_config_mqtt_set_defaults(&cfg);
  cfg.enable = 1;
  cfg.server = argv[1];
  cfg.ssl_ca_cert = argv[2];
  conn = mgos_mqtt_conn_create_on(NULL, 1, &options);
  mgos_mqtt_conn_connect(conn);
  outcome = mgos_mqtt_conn_publish_wait(conn, &message, 60000, MGOS_MQTT_CANCEL, NULL);
  puts(outcome > 0 ? mgos_mqtt_outcome_name(outcome) : mgos_mqtt_strerror(outcome));
  mgos_mqtt_deinit(1000);
  return outcome <= 0;
}
