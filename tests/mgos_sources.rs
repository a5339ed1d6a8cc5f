//! Source files that were written for Mongoose OS compile with this library's headers, also beside the headers of
//! Mongoose OS that declare the same. (Of those there are stand-ins here, with the names and types that applications use.)

#![cfg(feature = "capi")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The languages that the headers are for.
const STANDARDS: [(&str, &str); 5] =
    [("c", "c99"), ("c", "c11"), ("c", "c2x"), ("c++", "c++11"), ("c++", "c++20")];

/// A folder for the files of one test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mgos_sources").join(name);
    fs::create_dir_all(folder.join("common")).unwrap();
    folder
}

/// Compiles a source in every language, with the include paths.
fn compiles(folder: &Path, source: &str, include: &[&Path]) {
    fs::write(folder.join("user.c"), source).unwrap();
    for (language, standard) in STANDARDS {
        let mut cc = Command::new("cc");
        cc.args(["-x", language, &format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        cc.arg(format!("-I{}/include", env!("CARGO_MANIFEST_DIR")));
        cc.args(include.iter().map(|path| format!("-I{}", path.display())));
        let output = cc.arg("-fsyntax-only").arg(folder.join("user.c")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{standard}: {source}\n{told}");
    }
}

// field: F-72
#[test]
fn enumerations_are_types() {
    let source = r#"
#include <mgos_event.h>
#include <mgos_mqtt.h>
int on_cloud(const struct mgos_cloud_arg *arg, int ev);
int on_cloud(const struct mgos_cloud_arg *arg, int ev) {
  enum mgos_cloud_type t = arg->type;
  enum mgos_event_sys e = MGOS_EVENT_CLOUD_CONNECTED;
  struct mgos_cloud_arg mine = {MGOS_CLOUD_WATSON};
  char numbers[MGOS_EVENT_INIT_DONE == MGOS_EVENT_SYS && MGOS_EVENT_REBOOT_AFTER == 0x4D4F5308 &&
               MGOS_EVENT_CLOUD_CONNECTED == 0x4D4F5304 && MGOS_CLOUD_MQTT == 0 && MGOS_CLOUD_WATSON == 5 ? 1 : -1];
  numbers[0] = 0;
  switch (ev) {
    case MGOS_EVENT_CLOUD_CONNECTED: return arg->type == MGOS_CLOUD_MQTT && t == mine.type;
    case MGOS_EVENT_CLOUD_CONNECTERROR: return numbers[0];
  }
  return ev == (int) e;
}
"#;
    compiles(&folder("enumerations"), source, &[]);
}

const FROZEN: &str = r#"
#ifndef CS_FROZEN_FROZEN_H_
#define CS_FROZEN_FROZEN_H_
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif
struct json_out {
  int (*printer)(struct json_out *, const char *str, size_t len);
  union {
    struct { char *buf; size_t size; size_t len; } buf;
    void *data;
    FILE *fp;
  } u;
};
int json_printer_buf(struct json_out *, const char *, size_t);
int json_printer_file(struct json_out *, const char *, size_t);
#define JSON_OUT_BUF(buf, len) { json_printer_buf, { { buf, len, 0 } } }
#define JSON_OUT_FILE(fp) { json_printer_file, { { (char *) fp, 0, 0 } } }
typedef int (*json_printf_callback_t)(struct json_out *, va_list *ap);
int json_printf(struct json_out *, const char *fmt, ...);
int json_vprintf(struct json_out *, const char *fmt, va_list ap);
char *json_asprintf(const char *fmt, ...);
char *json_vasprintf(const char *fmt, va_list ap);
int json_printf_array(struct json_out *, va_list *ap);
int json_escape(struct json_out *out, const char *str, size_t str_len);
int json_scanf(const char *str, int str_len, const char *fmt, ...);
#ifdef __cplusplus
}
#endif
#endif
"#;

const MBUF: &str = r#"
#ifndef CS_COMMON_MBUF_H_
#define CS_COMMON_MBUF_H_
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
struct mbuf { char *buf; size_t len; size_t size; };
void mbuf_init(struct mbuf *, size_t initial_capacity);
size_t mbuf_append(struct mbuf *, const void *data, size_t data_size);
#ifdef __cplusplus
}
#endif
#endif
"#;

const MG_STR: &str = r#"
#ifndef CS_COMMON_MG_STR_H_
#define CS_COMMON_MG_STR_H_
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
struct mg_str { const char *p; size_t len; };
struct mg_str mg_mk_str(const char *s);
struct mg_str mg_mk_str_n(const char *s, size_t len);
#define MG_MK_STR(str_literal) { str_literal, sizeof(str_literal) - 1 }
#define MG_MK_STR_N(str_literal, len) { str_literal, len }
#define MG_NULL_STR { NULL, 0 }
int mg_vcmp(const struct mg_str *str1, const char *str2);
#ifdef __cplusplus
}
#endif
#endif
"#;

/// What a source does with all of it.
const USE: &str = r#"
int use(FILE *fp, struct mg_connection *nc);
int use(FILE *fp, struct mg_connection *nc) {
  char b[9];
  struct json_out o = JSON_OUT_BUF(b, sizeof(b));
  struct json_out f = JSON_OUT_FILE(fp);
  json_printf_callback_t p = json_printf_array;
  struct mbuf *mine = &nc->recv_mbuf;
  struct mg_str s = MG_MK_STR("a"), t = mg_mk_str("b");
  struct mgos_config_mqtt cfg;
  mgos_config_mqtt_set_defaults(&cfg);
  return json_printf(&o, "%M", p) + json_printf(&f, "%d", 1) + (mine->buf != NULL) + (s.len == t.len) +
         mgos_config_mqtt_emit(&cfg, false, &o) + mgos_mqtt_pubf("t", 0, false, "%Q", "x");
}
"#;

// field: F-73
#[test]
fn beside_the_original_headers_in_every_order() {
    let folder = folder("originals");
    for (name, text) in [("frozen.h", FROZEN), ("common/mbuf.h", MBUF), ("common/mg_str.h", MG_STR)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let both = "#include <frozen.h>\n#include <common/mbuf.h>\n#include <common/mg_str.h>\n";
    let more = "int more(struct mbuf *m);\nint more(struct mbuf *m) {\n  int a;\n  mbuf_init(m, 1);\n  \
                return json_scanf(m->buf, 1, \"%d\", &a);\n}\n";
    let ours = "#include <mgos_mqtt.h>\n";
    compiles(&folder, &format!("{both}{ours}{USE}{more}"), &[&folder]);
    compiles(&folder, &format!("{ours}{both}{USE}{more}"), &[&folder]);
    compiles(&folder, &format!("{ours}#include <frozen.h>\n{ours}{USE}"), &[&folder]);
    compiles(&folder, &format!("{ours}{USE}"), &[&folder]);
}

#[test]
fn without_the_original_headers() {
    compiles(&folder("alone"), &format!("#include <mgos_mqtt.h>\n{USE}"), &[]);
}
