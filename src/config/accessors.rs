//! The C text of the accessors, one set for each field of each section.
//!
//! They are `static inline` functions over a handful of exported ones: that saves 156 symbols and
//! keeps the names that applications of Mongoose OS use. The program that generates the headers
//! appends the texts of this file; it runs outside the library, so nothing of it is linked in.

use core::fmt::{self, Write};

use super::schema::{Fallback, Field, SectionId};

/// What `mgos_sys_config.h` ends with: macros and accessors of every field.
///
/// It needs the declarations of `src/capi/mgos_sys_config.rs` before it and is valid in C99 and
/// C++11 and later.
pub fn accessor_header_text() -> String {
    let mut out = String::from(
        "/*\n * The accessors, as they are described at the beginning. They are inline: only the functions above are\n \
         * linked.\n */\n",
    );
    for id in SectionId::ALL {
        // Writing to a String does not fail.
        let _ = section(&mut out, id);
    }
    for name in ["device.id", "debug.stdout_topic", "debug.stderr_topic"] {
        let _ = have(&mut out, name);
        let name = name.replace('.', "_");
        let _ = writeln!(
            out,
            "static inline const char *mgos_sys_config_get_default_{name}(void) {{\n  return NULL;\n}}"
        );
    }
    out
}

fn section(out: &mut String, id: SectionId) -> fmt::Result {
    have(out, id.name())?;
    for field in Field::ALL {
        let (kind, c_type, space) = match field.info().default {
            Fallback::Text(_) => ("string", "const char *", ""),
            Fallback::Double(_) => ("double", "double", " "),
            Fallback::Bool(_) | Fallback::Int(_) => ("int", "int", " "),
        };
        let (number, section) = (field as usize, id as i32);
        let name = format!("{}_{}", id.name(), field.key());
        have(out, &format!("{}.{}", id.name(), field.key()))?;
        writeln!(
            out,
            "static inline {c_type}{space}mgos_sys_config_get_{name}(void) {{\n  \
             return mgos_sys_config_read_{kind}({section}, {number});\n}}\n\
             static inline {c_type}{space}mgos_sys_config_get_default_{name}(void) {{\n  \
             return mgos_sys_config_default_{kind}({number});\n}}\n\
             static inline void mgos_sys_config_set_{name}({c_type}{space}v) {{\n  \
             mgos_sys_config_write_{kind}({section}, {number}, v);\n}}"
        )?;
    }
    Ok(())
}

/// The macros with which an application tests whether a field exists.
fn have(out: &mut String, dotted: &str) -> fmt::Result {
    let name = dotted.replace('.', "_").to_uppercase();
    writeln!(out, "\n/* {dotted} */\n#define MGOS_CONFIG_HAVE_{name}\n#define MGOS_SYS_CONFIG_HAVE_{name}")
}

/// What `mgos_config.h` ends with: the functions of `mqtt1`, whose fields and defaults are those of
/// `mqtt`, and the one that prints to a `struct json_out`.
///
/// It needs the declarations of `src/capi/mgos_config.rs`, `mgos_json.h`, `<stdlib.h>` and `<string.h>`
/// before it.
pub fn mqtt1_header_text() -> String {
    let mut out = String::from(
        "/*\n * Writes `cfg` to `out` as JSON, with the passwords. Returns false if a string is not UTF-8, a number\n \
         * cannot be written in JSON, there is no memory, or the printer of `out` fails.\n */\n\
         static inline bool mgos_config_mqtt_emit(const struct mgos_config_mqtt *cfg, bool pretty,\n                                         \
         struct json_out *out) {\n  \
         char *text = mgos_config_mqtt_to_json(cfg, pretty, true);\n  \
         bool done = text != NULL && out->printer(out, text, strlen(text)) >= 0;\n  \
         free(text);\n  return done;\n}\n\n\
         /*\n * The section `mqtt1` has the same fields and the same defaults as `mqtt`, so its functions are the same.\n */\n",
    );
    const CFG: &str = "struct mgos_config_mqtt *cfg";
    let same: [(&str, &str, &str, &str); 9] = [
        ("void", "set_defaults", CFG, "cfg"),
        ("bool", "parse", "struct mg_str json, struct mgos_config_mqtt *cfg", "json, cfg"),
        (
            "bool",
            "parse_ex",
            "const char *json, size_t len, struct mgos_config_mqtt *cfg, char *err, size_t err_len",
            "json, len, cfg, err, err_len",
        ),
        ("bool", "parse_f", "const char *fname, struct mgos_config_mqtt *cfg", "fname, cfg"),
        (
            "bool",
            "emit",
            "const struct mgos_config_mqtt *cfg, bool pretty, struct json_out *out",
            "cfg, pretty, out",
        ),
        (
            "bool",
            "emit_f",
            "const struct mgos_config_mqtt *cfg, bool pretty, const char *fname",
            "cfg, pretty, fname",
        ),
        (
            "char *",
            "to_json",
            "const struct mgos_config_mqtt *cfg, bool pretty, bool with_secrets",
            "cfg, pretty, with_secrets",
        ),
        ("bool", "copy", "const struct mgos_config_mqtt *src, struct mgos_config_mqtt *dst", "src, dst"),
        ("void", "free", CFG, "cfg"),
    ];
    for (result, name, parameters, arguments) in same {
        let space = if result.ends_with('*') { "" } else { " " };
        let give = if result == "void" { "" } else { "return " };
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "static inline {result}{space}mgos_config_mqtt1_{name}({parameters}) {{\n  \
             {give}mgos_config_mqtt_{name}({arguments});\n}}"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_section_has_its_three_functions_and_two_macros() {
        let text = accessor_header_text();
        for id in SectionId::ALL {
            for field in Field::ALL {
                let name = format!("{}_{}", id.name(), field.key());
                for function in ["get_", "get_default_", "set_"] {
                    assert_eq!(text.matches(&format!("mgos_sys_config_{function}{name}(")).count(), 1);
                }
                for prefix in ["MGOS_CONFIG_HAVE_", "MGOS_SYS_CONFIG_HAVE_"] {
                    assert!(text.contains(&format!("#define {prefix}{}\n", name.to_uppercase())));
                }
            }
        }
        assert!(text.contains(
            "/* mqtt1.server */\n#define MGOS_CONFIG_HAVE_MQTT1_SERVER\n#define MGOS_SYS_CONFIG_HAVE_MQTT1_SERVER\n\
             static inline const char *mgos_sys_config_get_mqtt1_server(void) {\n  \
             return mgos_sys_config_read_string(1, 1);\n}\n"
        ));
        assert!(
            text.contains("static inline void mgos_sys_config_set_mqtt_reconnect_timeout_min(double v) {\n")
        );
    }

    #[test]
    fn mqtt1_has_the_functions_of_mqtt() {
        let text = mqtt1_header_text();
        assert!(text.contains(
            "static inline bool mgos_config_mqtt1_copy(const struct mgos_config_mqtt *src, \
             struct mgos_config_mqtt *dst) {\n  return mgos_config_mqtt_copy(src, dst);\n}\n"
        ));
        assert!(text.contains(
            "static inline void mgos_config_mqtt1_free(struct mgos_config_mqtt *cfg) {\n  \
             mgos_config_mqtt_free(cfg);\n}\n"
        ));
    }
}
