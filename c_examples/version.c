/* Which library a program runs with, and what it can do.
 *
 *   cc version.c $(pkg-config --cflags --libs mgos_mqtt) -o version
 *   ./version
 *
 * Expected output:
 *   libmgos_mqtt <version>, built against <version>
 *   TLS: <yes_or_no>
 */
#include <mgos_mqtt_version.h>
#include <stdio.h>

int main(void) {
  printf("libmgos_mqtt %s, built against %s\n", mgos_mqtt_version(), MGOS_MQTT_VERSION);
  printf("TLS: %s\n", mgos_mqtt_has("tls") ? "yes" : "no");
  return mgos_mqtt_version_number() < MGOS_MQTT_VERSION_NUMBER ? 1 : 0;
}
