#include <mgos_mqtt_version.h>

int second_library(void);

int main(void) {
  return second_library() == 7 && mgos_mqtt_version_number() == MGOS_MQTT_VERSION_NUMBER ? 0 : 1;
}
