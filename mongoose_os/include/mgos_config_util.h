/*
 * The configuration of an application, behind the accessors that mgos_configure writes from its mos.yml.
 *
 * `mgos_sys_config` is read at the start from the defaults of the schema and from the files conf0.json to conf9.json of the
 * working directory, each over the one before. save_cfg() writes conf9.json with what differs from all the others.
 *
 * What the MQTT library has itself (the sections mqtt and mqtt1, device.id, the topics of debug) is in the library; the structure
 * has a copy, which the setters keep up to date. Writing to these members directly does not reach the library.
 *
 * Strings: setters copy; NULL and "" are both "not set", which getters return as NULL.
 *
 * Threads: as in the original, the structure belongs to the thread of the loop.
 */

#ifndef MGOS_CONFIG_UTIL_H
#define MGOS_CONFIG_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <common/mbuf.h>
#include <common/mg_str.h>

/* Which value an entry of the schema has. */
enum mgos_conf_type {
  CONF_TYPE_INT = 0,
  CONF_TYPE_BOOL = 1,
  CONF_TYPE_DOUBLE = 2,
  CONF_TYPE_STRING = 3,
  CONF_TYPE_OBJECT = 4,
  CONF_TYPE_UNSIGNED_INT = 5,
  CONF_TYPE_FLOAT = 6
};

/* An entry of the schema. After an object come the entries in it, `num_desc` in all. */
struct mgos_conf_entry {
  enum mgos_conf_type type;
  const char *key;
  uint16_t offset; /* in struct mgos_config */
  uint16_t num_desc;
};

struct mgos_config;
struct json_out;

#ifdef __cplusplus
extern "C" {
#endif

/* Writes what differs from the defaults and from conf0.json to conf8.json into conf9.json: first into a file beside it, which
   replaces it when it is on the disk. False on an error; `*msg`, if `msg` is not NULL, then gets a sentence, to be given
   to free(), and NULL otherwise. */
bool mgos_sys_config_save(const struct mgos_config *cfg, bool try_once, char **msg);

/* The older name. */
bool mgos_save_cfg(const struct mgos_config *cfg, char **msg);

/* Removes the files of this level and above, conf9.json being level 9. It takes effect with the next start. */
void mgos_config_reset(int level);

/* The value of a dotted name as text: numbers decimal, flags "true" or "false", sections as JSON. `value` is to be freed. */
bool mgos_conf_sys_get(struct mg_str key, struct mg_str *value);

/* Sets a dotted name from text, in the form of mgos_sys_config_get(). False, and nothing is changed, if there is no such name
   or the value does not fit. */
bool mgos_conf_sys_set(struct mg_str key, struct mg_str value, bool free_strings);

/* Changes what a JSON text names, all of it or nothing; unknown keys are reported in the log and skipped. With `save`, also
   saves it. False on an error, which is in the log. */
bool mgos_conf_apply(const char *json, bool save);
bool mgos_conf_apply_s(struct mg_str json, bool save);

/* Whether a string is a default of the schema, which is not to be freed. */
bool mgos_conf_is_default_str(const char *s);

/* For the accessors. */
void mgos_conf_set_str(const char **field, const char *value);
void mgos_conf_pull(void);
void mgos_conf_section_defaults(const struct mgos_conf_entry *section, void *cfg);
bool mgos_conf_section_parse(const struct mgos_conf_entry *section, struct mg_str json, void *cfg);
bool mgos_conf_section_parse_f(const struct mgos_conf_entry *section, const char *fname, void *cfg);
bool mgos_conf_section_emit(const struct mgos_conf_entry *section, const void *cfg, bool pretty, struct json_out *out);
bool mgos_conf_section_emit_f(const struct mgos_conf_entry *section, const void *cfg, bool pretty, const char *fname);
bool mgos_conf_section_copy(const struct mgos_conf_entry *section, const void *src, void *dst);
void mgos_conf_section_free(const struct mgos_conf_entry *section, void *cfg);

/* Replaces each '?' by a digit of the device's MAC address, the last by the last. */
void mgos_expand_mac_address_placeholders(char *str);

#ifdef __cplusplus
}
#endif

#include <mgos_sys_config.h>

#endif
