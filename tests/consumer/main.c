/* What an application does first; one program per way to find and link the library. */
#include <mgos_mqtt_version.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  printf("%s\n", mgos_mqtt_version());
  return strcmp(mgos_mqtt_version(), MGOS_MQTT_VERSION) != 0 || !mgos_mqtt_has("capi");
}
