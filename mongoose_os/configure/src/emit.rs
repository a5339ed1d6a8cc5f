//! The C header and source of a schema.
//!
//! The section `mqtt` of the base, and each section that refers to it, is the structure of the library, which never gets
//! another member. Keys that an application adds there stand in a second structure beside it, `mqtt_own`.

use std::collections::HashSet;
use std::fmt::Write;

use crate::schema::{Default, Entry, Kind, find};

/// The structure of the library.
const CORE: &str = "mqtt";

/// What is written, apart from the schema.
pub struct Application<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The names of the libraries whose `mgos_NAME_init()` is called, in this order.
    pub libraries: &'a [String],
}

/// A setting or section in the order of the schema.
struct Item<'a> {
    /// Its dotted path.
    path: String,
    /// Where it stands in `struct mgos_config`.
    member: String,
    entry: &'a Entry,
    /// How many items it contains, directly or not.
    inside: usize,
}

impl Item<'_> {
    fn id(&self) -> String {
        self.path.replace('.', "_")
    }

    /// The arguments by which the library finds one of its own settings: section and number of the field.
    fn core(&self, entries: &[Entry]) -> Option<(u8, usize)> {
        let (section, name) = self.path.split_once('.')?;
        match (section, name) {
            ("device", "id") => Some((2, 0)),
            ("debug", "stdout_topic") => Some((3, 0)),
            ("debug", "stderr_topic") => Some((3, 1)),
            ("mqtt" | "mqtt1", _) if self.entry.base => {
                let Kind::Section(fields, _) = &find(entries, CORE)?.kind else { return None };
                let field = fields.iter().filter(|field| field.base).position(|field| field.name == name)?;
                Some((u8::from(section == "mqtt1"), field))
            }
            _ => None,
        }
    }
}

fn items<'a>(entries: &'a [Entry], path: &str, member: &str, own: &str, out: &mut Vec<Item<'a>>) {
    let dot = |before: &str, name: &str| {
        if before.is_empty() { name.to_string() } else { format!("{before}.{name}") }
    };
    for entry in entries {
        let (path, within) = (dot(path, &entry.name), if entry.base { member } else { own });
        let place = dot(within, &entry.name);
        let index = out.len();
        out.push(Item { path: path.clone(), member: place.clone(), entry, inside: 0 });
        if let Kind::Section(inner, kind) = &entry.kind {
            let own = if kind == CORE { format!("{place}_own") } else { place.clone() };
            items(inner, &path, &place, &own, out);
            out[index].inside = out.len() - index - 1;
        }
    }
}

fn c_type(default: &Default) -> &'static str {
    match default {
        Default::Bool(_) | Default::Int(_) => "int ",
        Default::Unsigned(_) => "unsigned int ",
        Default::Float(_) => "float ",
        Default::Double(_) => "double ",
        Default::Text(_) => "const char *",
    }
}

fn type_constant(default: &Default) -> &'static str {
    match default {
        Default::Bool(_) => "CONF_TYPE_BOOL",
        Default::Int(_) => "CONF_TYPE_INT",
        Default::Unsigned(_) => "CONF_TYPE_UNSIGNED_INT",
        Default::Float(_) => "CONF_TYPE_FLOAT",
        Default::Double(_) => "CONF_TYPE_DOUBLE",
        Default::Text(_) => "CONF_TYPE_STRING",
    }
}

/// A text as a C literal.
pub fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => {
                out.push('\\');
                out.push(byte as char);
            }
            b' '..=b'~' => out.push(byte as char),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}

fn constant(default: &Default) -> String {
    match default {
        Default::Bool(on) => u8::from(*on).to_string(),
        Default::Int(i32::MIN) => "(-2147483647 - 1)".into(),
        Default::Int(n) => n.to_string(),
        Default::Unsigned(n) => format!("{n}u"),
        Default::Float(n) => format!("{n:?}f"),
        Default::Double(n) => format!("{n:?}"),
        Default::Text(text) if text.is_empty() => "NULL".into(),
        Default::Text(text) => literal(text),
    }
}

fn structure_name(kind: &str) -> String {
    format!("struct mgos_config_{}", kind.replace('.', "_"))
}

/// Members of a structure, and before it the structures that they need.
fn structure(entries: &[&Entry], name: &str, done: &mut HashSet<String>, out: &mut String) {
    if !done.insert(name.into()) {
        return;
    }
    let mut members = String::new();
    for entry in entries {
        match &entry.kind {
            Kind::Setting(default, _) => {
                let _ = writeln!(members, "  {}{};", c_type(default), entry.name);
            }
            Kind::Section(inner, kind) => {
                let type_name = structure_name(kind);
                let _ = writeln!(members, "  {type_name} {};", entry.name);
                if kind == CORE {
                    let own: Vec<&Entry> = inner.iter().filter(|entry| !entry.base).collect();
                    if !own.is_empty() {
                        structure(&own, &format!("{type_name}_own"), done, out);
                        let _ = writeln!(members, "  {type_name}_own {}_own;", entry.name);
                    }
                } else {
                    structure(&inner.iter().collect::<Vec<_>>(), &type_name, done, out);
                }
            }
        }
    }
    let _ = write!(out, "{name} {{\n{members}}};\n\n");
}

/// The accessors of one setting.
fn setting(item: &Item<'_>, core: bool, default: &Default, changed: bool, out: &mut String) {
    let (id, member, c_type, constant) = (item.id(), &item.member, c_type(default), constant(default));
    let text = matches!(default, Default::Text(_));
    let store = |target: &str| {
        if text {
            format!("mgos_conf_set_str(&{target}{member}, v);")
        } else {
            format!("{target}{member} = v;")
        }
    };
    let _ = writeln!(
        out,
        "static inline {c_type}mgos_config_get_{id}(const struct mgos_config *cfg) {{\n  return cfg->{member};\n}}"
    );
    let _ = writeln!(
        out,
        "static inline {c_type}mgos_config_get_default_{id}(void) {{\n  return {constant};\n}}"
    );
    if core {
        let _ = writeln!(
            out,
            "static inline void mgos_config_put_{id}({c_type}v) {{\n  mgos_sys_config_set_{id}(v);\n  mgos_conf_pull();\n}}\n\
             #define mgos_sys_config_set_{id} mgos_config_put_{id}\n\
             static inline void mgos_config_set_{id}(struct mgos_config *cfg, {c_type}v) {{\n  if (cfg == &mgos_sys_config) {{\n    \
             mgos_config_put_{id}(v);\n  }} else {{\n    {}\n  }}\n}}",
            store("cfg->")
        );
        if changed {
            let _ = writeln!(out, "#define mgos_sys_config_get_default_{id} mgos_config_get_default_{id}");
        }
    } else {
        let upper = id.to_ascii_uppercase();
        let _ = writeln!(
            out,
            "#define MGOS_CONFIG_HAVE_{upper}\n#define MGOS_SYS_CONFIG_HAVE_{upper}\n\
             static inline void mgos_config_set_{id}(struct mgos_config *cfg, {c_type}v) {{\n  {}\n}}\n\
             static inline {c_type}mgos_sys_config_get_{id}(void) {{\n  return mgos_sys_config.{member};\n}}\n\
             static inline {c_type}mgos_sys_config_get_default_{id}(void) {{\n  return {constant};\n}}\n\
             static inline void mgos_sys_config_set_{id}({c_type}v) {{\n  mgos_config_set_{id}(&mgos_sys_config, v);\n}}",
            store("cfg->")
        );
    }
    out.push('\n');
}

/// The functions of one section.
fn section(item: &Item<'_>, index: usize, kind: &str, out: &mut String) {
    let (id, member, upper) = (item.id(), &item.member, item.id().to_ascii_uppercase());
    let name = structure_name(kind);
    if matches!(item.path.as_str(), "mqtt" | "mqtt1") {
        let _ = writeln!(
            out,
            "static inline const {name} *mgos_config_get_{id}(const struct mgos_config *cfg) {{\n  \
             return cfg == &mgos_sys_config ? mgos_sys_config_get_{id}() : &cfg->{member};\n}}\n"
        );
        return;
    }
    let _ = writeln!(
        out,
        "#define MGOS_CONFIG_HAVE_{upper}\n#define MGOS_SYS_CONFIG_HAVE_{upper}\n\
         static inline const {name} *mgos_config_get_{id}(const struct mgos_config *cfg) {{\n  return &cfg->{member};\n}}\n\
         static inline const {name} *mgos_sys_config_get_{id}(void) {{\n  return &mgos_sys_config.{member};\n}}\n\
         static inline const struct mgos_conf_entry *mgos_config_{id}_get_schema(void) {{\n  return &mgos_config_entries[{index}];\n}}"
    );
    if kind == CORE {
        for (call, arguments, names) in [
            ("void mgos_config_@_set_defaults", "struct mgos_config_mqtt *cfg", "cfg"),
            ("bool mgos_config_@_parse", "struct mg_str json, struct mgos_config_mqtt *cfg", "json, cfg"),
            ("bool mgos_config_@_parse_f", "const char *fname, struct mgos_config_mqtt *cfg", "fname, cfg"),
            (
                "bool mgos_config_@_emit",
                "const struct mgos_config_mqtt *cfg, bool pretty, struct json_out *out",
                "cfg, pretty, out",
            ),
            (
                "bool mgos_config_@_emit_f",
                "const struct mgos_config_mqtt *cfg, bool pretty, const char *fname",
                "cfg, pretty, fname",
            ),
            (
                "bool mgos_config_@_copy",
                "const struct mgos_config_mqtt *src, struct mgos_config_mqtt *dst",
                "src, dst",
            ),
            ("void mgos_config_@_free", "struct mgos_config_mqtt *cfg", "cfg"),
        ] {
            let (result, call) = call.split_once(' ').unwrap_or_default();
            let back = if result == "void" { "" } else { "return " };
            let _ = writeln!(
                out,
                "static inline {result} {}({arguments}) {{\n  {back}{}({names});\n}}",
                call.replace('@', &id),
                call.replace('@', "mqtt")
            );
        }
        out.push('\n');
        return;
    }
    let schema = format!("&mgos_config_entries[{index}]");
    let _ = writeln!(
        out,
        "static inline void mgos_config_{id}_set_defaults({name} *cfg) {{\n  mgos_conf_section_defaults({schema}, cfg);\n}}\n\
         static inline bool mgos_config_{id}_parse(struct mg_str json, {name} *cfg) {{\n  return mgos_conf_section_parse({schema}, json, cfg);\n}}\n\
         static inline bool mgos_config_{id}_parse_f(const char *fname, {name} *cfg) {{\n  return mgos_conf_section_parse_f({schema}, fname, cfg);\n}}\n\
         static inline bool mgos_config_{id}_emit(const {name} *cfg, bool pretty, struct json_out *out) {{\n  \
         return mgos_conf_section_emit({schema}, cfg, pretty, out);\n}}\n\
         static inline bool mgos_config_{id}_emit_f(const {name} *cfg, bool pretty, const char *fname) {{\n  \
         return mgos_conf_section_emit_f({schema}, cfg, pretty, fname);\n}}\n\
         static inline bool mgos_config_{id}_copy(const {name} *src, {name} *dst) {{\n  return mgos_conf_section_copy({schema}, src, dst);\n}}\n\
         static inline void mgos_config_{id}_free({name} *cfg) {{\n  mgos_conf_section_free({schema}, cfg);\n}}\n"
    );
}

/// The header `mgos_app_config.h`.
pub fn header(entries: &[Entry], application: &Application<'_>) -> String {
    let mut all = Vec::new();
    items(entries, "", "", "", &mut all);
    let mut out = format!(
        "/* The configuration of {}. Written by mgos_configure from its mos.yml: do not edit. */\n\n\
         #ifndef MGOS_APP_CONFIG_H\n#define MGOS_APP_CONFIG_H\n\n#include <mgos_config_util.h>\n#include <mgos_sys_config.h>\n\n",
        application.name
    );
    structure(&entries.iter().collect::<Vec<_>>(), "struct mgos_config", &mut HashSet::new(), &mut out);
    let _ = write!(
        out,
        "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         /* The configuration of the system. What the library itself has (sections mqtt and mqtt1, device.id, the topics of\n   \
         debug) is a copy here: change it by its setters. */\n\
         extern struct mgos_config mgos_sys_config;\n\
         extern const struct mgos_conf_entry mgos_config_entries[{}];\n\
         void mgos_config_set_defaults(struct mgos_config *cfg);\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n\
         static inline const struct mgos_conf_entry *mgos_config_schema(void) {{\n  return &mgos_config_entries[0];\n}}\n\n",
        all.len() + 1
    );
    for (index, item) in all.iter().enumerate() {
        let _ = writeln!(out, "/* {} */", item.path);
        match &item.entry.kind {
            Kind::Setting(default, changed) => {
                setting(item, item.core(entries).is_some(), default, *changed, &mut out)
            }
            Kind::Section(_, kind) => section(item, index + 1, kind, &mut out),
        }
    }
    out.push_str("#endif\n");
    out
}

/// The source `mgos_app_config.c`.
pub fn source(entries: &[Entry], application: &Application<'_>) -> String {
    let mut all = Vec::new();
    items(entries, "", "", "", &mut all);
    let mut out = format!(
        "/* The configuration of {}. Written by mgos_configure from its mos.yml: do not edit. */\n\n\
         #include <mgos_app_config.h>\n#include <mgos_app_description.h>\n\n#include <stddef.h>\n\n\
         struct mgos_config mgos_sys_config;\n\n\
         /* Offsets have 16 bits. */\n\
         extern char mgos_config_is_too_large[sizeof(struct mgos_config) <= 65535 ? 1 : -1];\n\n",
        application.name
    );
    let mut strings = Vec::new();
    let (mut table, mut defaults, mut core) = (String::new(), String::new(), String::new());
    let mut changed_core = 0;
    for (index, item) in all.iter().enumerate() {
        let at = format!("(uint16_t) offsetof(struct mgos_config, {})", item.member);
        match &item.entry.kind {
            Kind::Section(..) => {
                let _ = writeln!(
                    table,
                    "  {{CONF_TYPE_OBJECT, {}, {at}, {}}},",
                    literal(&item.entry.name),
                    item.inside
                );
            }
            Kind::Setting(default, _) => {
                let _ = writeln!(
                    table,
                    "  {{{}, {}, {at}, 0}},",
                    type_constant(default),
                    literal(&item.entry.name)
                );
                let value = match default {
                    Default::Text(text) if !text.is_empty() => {
                        strings.push(literal(text));
                        format!("default_strings[{}]", strings.len() - 1)
                    }
                    other => constant(other),
                };
                let _ = writeln!(defaults, "  cfg->{} = {value};", item.member);
                if let Some((section, field)) = item.core(entries) {
                    let _ = writeln!(core, "  {{{}, {section}, {field}}},", index + 1);
                    changed_core += 1;
                }
            }
        }
    }
    let count = strings.len();
    strings.push("NULL".into());
    let _ = write!(
        out,
        "static const char *const default_strings[] = {{\n  {},\n}};\n\n\
         const struct mgos_conf_entry mgos_config_entries[{}] = {{\n  {{CONF_TYPE_OBJECT, \"\", 0, {}}},\n{table}}};\n\n\
         void mgos_config_set_defaults(struct mgos_config *cfg) {{\n{defaults}}}\n\n\
         static void set_defaults(void *cfg) {{\n  mgos_config_set_defaults((struct mgos_config *) cfg);\n}}\n\n\
         static const struct mgos_conf_core core[] = {{\n{core}}};\n\n",
        strings.join(",\n  "),
        all.len() + 1,
        all.len()
    );
    for library in application.libraries {
        let _ = writeln!(out, "bool mgos_{}_init(void);", library.replace('-', "_"));
    }
    out.push_str("\nstatic const char *init_libraries(void) {\n");
    for library in application.libraries {
        let _ =
            writeln!(out, "  if (!mgos_{}_init()) return {};", library.replace('-', "_"), literal(library));
    }
    let _ = write!(
        out,
        "  return NULL;\n}}\n\n\
         const struct mgos_app_description mgos_app_description = {{\n  {},\n  {},\n  &mgos_sys_config,\n  sizeof(struct mgos_config),\n  \
         mgos_config_entries,\n  default_strings,\n  {count},\n  set_defaults,\n  core,\n  {changed_core},\n  init_libraries,\n}};\n",
        literal(application.name),
        literal(application.version)
    );
    out
}

/// Options for the compiler, one a line, in a file for `@`.
pub fn options(cdefs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in cdefs {
        let _ = write!(out, "-D{name}=");
        for c in value.chars() {
            if !c.is_ascii_alphanumeric() {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('\n');
    }
    out
}
