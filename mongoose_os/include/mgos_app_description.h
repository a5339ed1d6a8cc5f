/* What mgos_configure tells the library about an application. Applications do not need this header. */

#ifndef MGOS_APP_DESCRIPTION_H
#define MGOS_APP_DESCRIPTION_H

#include <mgos_config_util.h>

/* Where the MQTT library keeps a setting: section 0 mqtt, 1 mqtt1 with the number of the field, 2 device.id, 3 the topics of
   debug, 0 for standard output and 1 for standard error. */
struct mgos_conf_core {
  uint16_t entry;
  uint8_t section;
  uint8_t field;
};

struct mgos_app_description {
  const char *name;
  const char *version;
  void *config; /* &mgos_sys_config */
  size_t config_size;
  const struct mgos_conf_entry *entries; /* the first is the whole */
  const char *const *default_strings;
  size_t num_default_strings;
  void (*set_defaults)(void *config);
  const struct mgos_conf_core *core;
  size_t num_core;
  const char *(*init_libraries)(void); /* the name of the library that failed, or NULL */
};

#ifdef __cplusplus
extern "C" {
#endif

extern const struct mgos_app_description mgos_app_description;

#ifdef __cplusplus
}
#endif

#endif
