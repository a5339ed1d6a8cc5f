/* What the application and its machine are. */

#ifndef MGOS_RO_VARS_H
#define MGOS_RO_VARS_H

struct mgos_ro_vars {
  const char *app;          /* its name, from mos.yml */
  const char *arch;         /* "linux" */
  const char *fw_id;        /* its name and version */
  const char *fw_timestamp; /* when it was started, in UTC: a time of the build would make each build differ */
  const char *fw_version;   /* from mos.yml */
  const char *mac_address;  /* 12 digits, of the first interface that has one; otherwise zeros */
};

#ifdef __cplusplus
extern "C" {
#endif

extern struct mgos_ro_vars mgos_sys_ro_vars;

#ifdef __cplusplus
}
#endif

static inline const char *mgos_sys_ro_vars_get_app(void) {
  return mgos_sys_ro_vars.app;
}
static inline const char *mgos_sys_ro_vars_get_arch(void) {
  return mgos_sys_ro_vars.arch;
}
static inline const char *mgos_sys_ro_vars_get_fw_id(void) {
  return mgos_sys_ro_vars.fw_id;
}
static inline const char *mgos_sys_ro_vars_get_fw_timestamp(void) {
  return mgos_sys_ro_vars.fw_timestamp;
}
static inline const char *mgos_sys_ro_vars_get_fw_version(void) {
  return mgos_sys_ro_vars.fw_version;
}
static inline const char *mgos_sys_ro_vars_get_mac_address(void) {
  return mgos_sys_ro_vars.mac_address;
}

#endif
