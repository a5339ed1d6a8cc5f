/* Publishes JSON that is made from a format string: nested objects, an array, and a printer of its own.
 *
 *   cc json_telemetry.c $(pkg-config --cflags --libs mgos_mqtt) -o json_telemetry
 *   ./json_telemetry 127.0.0.1:1883
 *
 * Expected output:
 *   {"device": {"name": "pump \"7\"", "online": true}, "uptime": 86400, "note": null}
 *   {"samples": [20.5, 21.0, 21.5], "gain": 0.25}
 *   {"pins": {"in": [1, 2], "out": [13]}, "raw": "00ff10"}
 */
#include <mgos_mqtt.h>
#include <stdio.h>

#define TOPIC "examples/telemetry"

struct pins {
  int in[2], out[1];
};

/* For %M: takes its own argument from the list and returns how many bytes it printed. */
static int print_pins(struct json_out *out, va_list *ap) {
  const struct pins *pins = va_arg(*ap, const struct pins *);
  return json_printf(out, "{in: %M, out: %M}", /* in */ json_printf_array, pins->in, sizeof(pins->in),
                     sizeof(pins->in[0]), "%d",
                     /* out */ json_printf_array, pins->out, sizeof(pins->out), sizeof(pins->out[0]), "%d");
}

static void on_message(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  (void) nc;
  (void) topic;
  (void) topic_len;
  printf("%.*s\n", msg_len, msg);
  (*(int *) ud)++;
}

int main(int argc, char **argv) {
  static const double samples[] = {20.5, 21.0, 21.5};
  static const struct pins pins = {{1, 2}, {13}};
  double deadline = mg_time() + 10;
  char why[200] = "no messages";
  int received = 0;
  bool accepted;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  mgos_mqtt_sub(TOPIC, on_message, &received);

  /* %Q quotes and escapes, %B is a truth value; words of the format get their quotes by themselves. */
  accepted = mgos_mqtt_pubf(TOPIC, 1, false, "{device: {name: %Q, online: %B}, uptime: %lu, note: %Q}",
                            "pump \"7\"", 1, 86400UL, (char *) NULL) != 0;
  accepted &= mgos_mqtt_pubf(TOPIC, 1, false, "{samples: %M, gain: %g}", json_printf_array, samples,
                             sizeof(samples), sizeof(samples[0]), "%.1f", 0.25) != 0;
  accepted &=
      mgos_mqtt_pubf(TOPIC, 1, false, "{pins: %M, raw: %H}", print_pins, &pins, 3, "\x00\xff\x10") != 0;
  if (!accepted) {
    fprintf(stderr, "not accepted: %s\n", mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }

  while (received < 3 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (received < 3) {
    mgos_mqtt_conn_last_error_text(mgos_mqtt_global(), why, sizeof(why));
    fprintf(stderr, "%d of 3 messages: %s\n", received, why);
    return 1;
  }
  mgos_mqtt_global_disconnect();
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return 0;
}
