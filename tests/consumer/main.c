/* What an application does first; one program per way to find and link the library. Its arguments
 * are features that the library must have. */
#ifndef MGOS_HAVE_MQTT
#error "what finds the library should define MGOS_HAVE_MQTT, as the build tool of Mongoose OS does"
#endif
#include <mgos_mqtt.h>
#include <mgos_mqtt_version.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  int i;
  printf("%s\n", mgos_mqtt_version());
  for (i = 1; i < argc; i++) {
    if (!mgos_mqtt_has(argv[i])) {
      fprintf(stderr, "not built in: %s\n", argv[i]);
      return 1;
    }
  }
  return strcmp(mgos_mqtt_version(), MGOS_MQTT_VERSION) != 0;
}
