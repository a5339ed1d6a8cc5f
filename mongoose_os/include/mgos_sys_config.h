/* The library's mgos_sys_config.h, with the configuration of the application. */

#ifndef MONGOOSE_OS_MGOS_SYS_CONFIG_H
#define MONGOOSE_OS_MGOS_SYS_CONFIG_H

/* `include_next` is no C: the library's own header has the same name. */
#pragma GCC system_header
#include_next <mgos_sys_config.h>

#include <mgos_config_util.h>

/* The library's functions of these names know only its own settings. */
#define save_cfg mgos_save_cfg
#define mgos_sys_config_get mgos_conf_sys_get
#define mgos_sys_config_set mgos_conf_sys_set
#define mgos_config_apply mgos_conf_apply
#define mgos_config_apply_s mgos_conf_apply_s
#define mgos_config_is_default_str mgos_conf_is_default_str

#if defined(__has_include)
#if __has_include(<mgos_app_config.h>)
#include <mgos_app_config.h>
#endif
#endif

#endif
