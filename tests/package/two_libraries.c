/* Links our static library and one or two others that are written in Rust. */
#include <mgos_mqtt_version.h>

int second_library(void);
int third_library(void);

int main(void) {
  if (mgos_mqtt_version_number() != MGOS_MQTT_VERSION_NUMBER || !mgos_mqtt_has("capi")) return 1;
#ifdef THIRD
  if (third_library() != 7) return 2;
#endif
  return second_library() == 7 ? 0 : 3;
}
