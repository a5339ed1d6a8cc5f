//! The headers of `include/` are generated from `src/capi/` and checked in; here they are
//! generated again and compared byte for byte. `make headers` rewrites them.
//!
//! One public module `src/capi/mgos_*.rs`, with its functions, and the file of the same name in `src/capi/types/`, with its
//! types and constants, make one header, which needs one row in [`HEADERS`]. The `//!` lines of the module become the
//! header's opening comment, `///` lines the comments of the items; a heading `# Safety`, which is for the Rust reader, becomes a sentence.

#![cfg(feature = "capi")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a header has beyond the items that cbindgen finds in its Rust file.
struct Header {
    /// `src/capi/<name>.rs`, `src/capi/types/<name>.rs` and `include/<name>.h`.
    name: &'static str,
    /// Headers it includes beside stdbool, stddef and stdint: `<stdarg.h>`, `mgos_mqtt.h`.
    includes: &'static [&'static str],
    /// Items of the Rust file that stay out of the header.
    exclude: &'static [&'static str],
    /// C text after the includes, before everything else: macros.
    before: fn() -> String,
    /// C text at the end, outside `extern "C"`: `static inline` functions, mapping macros.
    after: fn() -> String,
    /// The header of Mongoose OS that declares the same types.
    original: Option<Original>,
}

/// A header whose declarations take the place of ours where it is on the include path.
struct Original {
    include: &'static str,
    /// A condition that holds when it was included.
    known_by: &'static str,
    /// The one structure that is its; `None` for all types and all text at the end.
    only: Option<&'static str>,
}

const NONE: Header =
    Header { name: "", includes: &[], exclude: &[], before: String::new, after: String::new, original: None };

const HEADERS: &[Header] = &[
    Header { name: "mgos_mqtt_version", before: version_macros, ..NONE },
    Header { name: "mgos_mqtt_error", before: error_enum, ..NONE },
    Header { name: "mgos_mqtt_loop", ..NONE },
    Header {
        name: "mgos_mqtt_reason",
        before: mgos_mqtt::capi::types::mgos_mqtt_reason::reason_enum_text,
        ..NONE
    },
    Header {
        name: "mgos_mqtt_property",
        includes: &["<string.h>"],
        after: mgos_mqtt::capi::types::mgos_mqtt_property::property_functions_text,
        ..NONE
    },
    Header {
        name: "mgos_mqtt_event",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_loop.h", "mgos_mqtt_property.h", "mgos_mqtt_reason.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header {
        name: "mgos_mqtt_publish",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_event.h", "mgos_mqtt_property.h"],
        ..NONE
    },
    Header {
        name: "mgos_mqtt_options",
        includes: &["mgos_config.h", "mgos_mqtt_error.h", "mgos_mqtt_loop.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header { name: "mgos_mqtt_compat", includes: &["mgos_mqtt_options.h"], before: error_range, ..NONE },
    Header { name: "mgos_event", before: event_base, ..NONE },
    Header { name: "mgos_mqtt_log", includes: &["mgos_mqtt_error.h", "mgos_mqtt_loop.h"], ..NONE },
    Header { name: "mgos_mqtt_stats", includes: &["mgos_mqtt_error.h", "mgos_mqtt_loop.h"], ..NONE },
    Header {
        name: "mgos_mqtt_connect",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_event.h", "mgos_mqtt_loop.h", "mgos_mqtt_property.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header {
        name: "mgos_mqtt_transport",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_loop.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header {
        name: "mgos_mqtt_subscribe",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_event.h", "mgos_mqtt_loop.h", "mgos_mqtt_property.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header {
        name: "mgos_mqtt_receive",
        includes: &["mgos_mqtt_error.h", "mgos_mqtt_event.h"],
        before: || "struct mgos_mqtt_conn;".into(),
        ..NONE
    },
    Header {
        name: "mgos_mqtt_request",
        includes: &[
            "mgos_mqtt_event.h",
            "mgos_mqtt_options.h",
            "mgos_mqtt_property.h",
            "mgos_mqtt_publish.h",
        ],
        ..NONE
    },
    Header {
        name: "mgos_mg_str",
        after: || format!("{}\n\n{}", string_macros(), names("mgos_mg_str")),
        original: Some(Original { include: "common/mg_str.h", known_by: "defined(MG_MK_STR)", only: None }),
        ..NONE
    },
    Header {
        name: "mgos_mongoose",
        includes: &["mgos_mg_str.h"],
        before: mongoose_macros,
        after: mongoose_names,
        original: Some(Original {
            include: "common/mbuf.h",
            known_by: "defined(CS_COMMON_MBUF_H_) || defined(MBUF_SIZE_MULTIPLIER)",
            only: Some("mbuf"),
        }),
        ..NONE
    },
    Header {
        name: "mgos_json",
        includes: &["<stdarg.h>", "<stdio.h>"],
        after: json_names,
        original: Some(Original { include: "frozen.h", known_by: "defined(JSON_OUT_BUF)", only: None }),
        ..NONE
    },
    Header {
        name: "mgos_config",
        includes: &["<stdlib.h>", "<string.h>", "mgos_json.h", "mgos_mongoose.h"],
        after: mgos_mqtt::config::accessors::mqtt1_header_text,
        ..NONE
    },
    Header {
        name: "mgos_sys_config",
        includes: &["mgos_config.h"],
        after: mgos_mqtt::config::accessors::accessor_header_text,
        ..NONE
    },
    Header {
        name: "mgos_mqtt_conn",
        includes: &[
            "<stdarg.h>",
            "mgos_mongoose.h",
            "mgos_mqtt_error.h",
            "mgos_mqtt_event.h",
            "mgos_mqtt_loop.h",
            "mgos_sys_config.h",
        ],
        ..NONE
    },
    Header { name: "mgos_mqtt", includes: &["<stdarg.h>", "mgos_mqtt_conn.h"], before: have_mqtt, ..NONE },
];

/// The error enumeration, from the one table in src/error.rs.
fn error_enum() -> String {
    let forward = "struct mgos_mqtt_conn;";
    format!("{}\n\n{forward}", mgos_mqtt::capi::types::mgos_mqtt_error::error_enum_text())
}

/// A macro with arguments, which Rust does not have.
fn event_base() -> String {
    "/* The base of 256 events, from three letters. */\n\
     #define MGOS_EVENT_BASE(a, b, c) ((a) << 24 | (b) << 16 | (c) << 8)"
        .into()
}

/// The number range of errors.
fn error_range() -> String {
    "/* Whether a number is an error of this library: all of its errors are in this range, and nothing else that it\n   \
     returns is. */\n\
     #define MGOS_MQTT_IS_ERROR(code) ((code) <= -1001 && (code) >= -1999)"
        .into()
}

/// What the libraries of Mongoose OS test for.
fn have_mqtt() -> String {
    "/* Tells other libraries of Mongoose OS that MQTT is available. */\n\
     #ifndef MGOS_HAVE_MQTT\n#define MGOS_HAVE_MQTT 1\n#endif"
        .into()
}

/// The initialisers of strings.
fn string_macros() -> String {
    r#"/* Initialisers of struct mg_str: from a literal, from a pointer and a length, empty. */
#define MG_MK_STR(str_literal) \
  { str_literal, sizeof(str_literal) - 1 }
#define MG_MK_STR_N(str_literal, len) \
  { str_literal, len }
#define MG_NULL_STR \
  { NULL, 0 }"#
        .into()
}

/// Macros with arguments, which Rust does not have.
fn mongoose_macros() -> String {
    r#"/* The last parameter of a handler, for code that uses Mongoose's macro for it. */
#ifndef MG_UD_ARG
#define MG_UD_ARG(ud) , ud
#endif
#ifndef MG_CB
#define MG_CB(cb, ud) cb, ud
#endif

/* The QoS in the flags of a PUBLISH. */
#define MG_MQTT_QOS(qos) ((qos) << 1)
#define MG_MQTT_GET_QOS(flags) (((flags) & 0x6) >> 1)
#define MG_MQTT_SET_QOS(flags, qos) (flags) = ((flags) & ~0x6) | ((qos) << 1)

/* The QoS of the will in the flags of a CONNECT. */
#define MG_MQTT_GET_WILL_QOS(flags) (((flags) & 0x18) >> 3)
#define MG_MQTT_SET_WILL_QOS(flags, qos) (flags) = ((flags) & ~0x18) | ((qos) << 3)"#
        .into()
}

/// The `mg_*` names of the functions that a Rust file exports as `mgos_mg_*`.
fn names(file: &str) -> String {
    let rust = fs::read_to_string(functions_file(file)).unwrap();
    let mut text = String::from(
        "/*\n * The names of Mongoose. The exported symbols are mgos_mg_*, so that this library links beside\n \
         * Mongoose 7; a source file may include the header of only one of the two.\n */",
    );
    for name in exported(&rust).filter_map(|name| name.strip_prefix("mgos_mg_")) {
        text += &format!("\n#define mg_{name} mgos_mg_{name}");
    }
    text
}

fn mongoose_names() -> String {
    // The one name of Mongoose OS that does not begin with mgos_.
    names("mgos_mongoose") + "\n#define mongoose_poll mgos_mongoose_poll"
}

/// The names of frozen, and its initialisers.
fn json_names() -> String {
    let rust = fs::read_to_string(functions_file("mgos_json")).unwrap();
    let mut text = String::from(
        "/*\n * The names of the frozen library. The exported symbols are mgos_json_*, so that this library links\n \
         * beside another copy of frozen; a source file may include the header of only one of the two.\n */",
    );
    for name in exported(&rust).filter_map(|name| name.strip_prefix("mgos_json_")) {
        text += &format!("\n#define json_{name} mgos_json_{name}");
    }
    text + r#"

/* Initialises a struct json_out that prints into `len` bytes at `buf`: always NUL-terminated, cut off if too
   short. */
#define JSON_OUT_BUF(buf, len) \
  {                            \
    json_printer_buf, {        \
      { buf, len, 0 }          \
    }                          \
  }

/* Initialises a struct json_out that prints into a FILE *. */
#define JSON_OUT_FILE(fp)   \
  {                         \
    json_printer_file, {    \
      { (char *) fp, 0, 0 } \
    }                       \
  }"#
}

/// The names of the functions that a Rust file exports or declares for cbindgen.
fn exported(rust: &str) -> impl Iterator<Item = &str> {
    rust.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
        let rest = rest.strip_prefix("extern \"C\" ").unwrap_or(rest);
        let name = rest.strip_prefix("fn ")?;
        name.split(['(', '<']).next()
    })
}

/// The version, from Cargo.toml and nowhere else.
fn version_macros() -> String {
    let (version, major, minor, patch) = (
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    );
    format!(
        "/* The version this header belongs to. */\n\
         #define MGOS_MQTT_VERSION_MAJOR {major}\n\
         #define MGOS_MQTT_VERSION_MINOR {minor}\n\
         #define MGOS_MQTT_VERSION_PATCH {patch}\n\
         #define MGOS_MQTT_VERSION \"{version}\"\n\
         /* One number that grows with every version, for #if. */\n\
         #define MGOS_MQTT_VERSION_NUMBER \\\n  \
         (MGOS_MQTT_VERSION_MAJOR * 1000000 + MGOS_MQTT_VERSION_MINOR * 1000 + MGOS_MQTT_VERSION_PATCH)"
    )
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file with a header's functions.
fn functions_file(name: &str) -> PathBuf {
    root().join("src/capi").join(format!("{name}.rs"))
}

/// The files that a header is made of, in its order: the types, if it has any, and the functions.
fn rust_files(name: &str) -> Vec<PathBuf> {
    let types = root().join("src/capi/types").join(format!("{name}.rs"));
    types.exists().then_some(types).into_iter().chain([functions_file(name)]).collect()
}

/// The text of these files.
fn rust_text(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
        .collect()
}

/// The modules that make a header: those that src/capi/mod.rs declares `pub` and names `mgos_*`.
fn modules() -> BTreeSet<String> {
    let declared = fs::read_to_string(root().join("src/capi/mod.rs")).unwrap();
    let names = declared.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.filter(|name| name.starts_with("mgos_")).map(str::to_string).collect()
}

/// The headers that are there, without `.h`.
fn present() -> BTreeSet<String> {
    let names = fs::read_dir(root().join("include")).unwrap().map(|e| e.unwrap().file_name());
    names.filter_map(|name| Some(name.to_str()?.strip_suffix(".h")?.to_string())).collect()
}

/// The `struct`, `union` and `enum` types that a Rust file declares, as `(name, "struct name")`.
/// cbindgen sees one file at a time and would write the types of the others without their tag.
fn tags(rust: &str) -> impl Iterator<Item = (String, String)> {
    rust.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let (kind, rest) = rest.split_once(' ')?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name == "va_list" {
            return None;
        }
        matches!(kind, "struct" | "union" | "enum").then(|| (name.clone(), format!("{kind} {name}")))
    })
}

/// The types that a Rust file makes public, aliases included.
fn types(rust: &str) -> impl Iterator<Item = String> {
    rust.lines().filter_map(|line| {
        let (kind, rest) = line.strip_prefix("pub ")?.split_once(' ')?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (matches!(kind, "struct" | "union" | "enum" | "type") && name != "va_list").then_some(name)
    })
}

/// The `//!` lines of a Rust file as a C comment.
fn opening_comment(rust: &str) -> String {
    let mut comment = String::from("/*\n");
    for line in rust.lines().map_while(|line| line.strip_prefix("//!")) {
        comment += format!(" *{line}").trim_end();
        comment += "\n";
    }
    comment + " */"
}

fn config() -> cbindgen::Config {
    cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap()
}

/// An initialiser for each structure of a Rust file that begins with its size. A function, since a macro that leaves fields out
/// draws warnings in C++.
fn initialisers(rust: &str) -> String {
    let structures =
        rust.lines().filter_map(|line| line.strip_prefix("unsafe impl Growing for ")?.strip_suffix(" {"));
    structures
        .map(|name| {
            format!(
                "/* A struct {name} with its size, and 0 in every other field. */\n\
                 static inline struct {name} {name}_init(void) {{\n  struct {name} value;\n  \
                 memset(&value, 0, sizeof(value));\n  value.size = sizeof(value);\n  return value;\n}}\n\n"
            )
        })
        .collect()
}

/// The text of a header that is made of these files, of which the last has its opening comment, with the `foreign` types of
/// other headers.
fn generate(header: &Header, rust_files: &[PathBuf], foreign: BTreeMap<String, String>) -> String {
    let rust = rust_text(rust_files);
    let functions = fs::read_to_string(rust_files.last().unwrap()).unwrap();
    let mut config = config();
    let guard = format!("{}_H", header.name.to_uppercase());
    config.header = Some(opening_comment(&functions));
    config.include_guard = Some(guard.clone());
    for include in header.includes {
        match include.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
            Some(system) => config.sys_includes.push(system.to_string()),
            None => config.includes.push(include.to_string()),
        }
    }
    let initialisers = initialisers(&rust);
    if !initialisers.is_empty() {
        config.sys_includes.push("string.h".to_string());
    }
    let mut before = (header.before)();
    if let Some(original) = &header.original {
        let gap = if before.is_empty() { "" } else { "\n\n" };
        before = original.looked_for(header) + gap + &before;
    }
    config.after_includes = (!before.is_empty()).then(|| format!("\n{before}"));
    config.export.exclude.extend(header.exclude.iter().map(|item| item.to_string()));
    config.export.rename.extend(foreign);
    // A type that only applications name is a part of the header all the same.
    config.export.include.extend(types(&rust));

    let mut text = Vec::new();
    rust_files
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, file| builder.with_src(file))
        .generate()
        .unwrap_or_else(|e| panic!("{}: {e}", header.name))
        .write(&mut text);
    let mut text = plain_comments(&String::from_utf8(text).unwrap());
    let mut after = initialisers + &(header.after)();
    if let Some(original) = &header.original {
        (text, after) = original.steps_in(header, &text, after);
    }
    if !after.is_empty() {
        // cbindgen's own trailer would stand behind the include guard.
        let end = text.rfind(&format!("#endif  /* {guard}")).expect("no end of the include guard");
        text.insert_str(end, &format!("{}\n\n", after.trim_end()));
    }
    text
}

impl Original {
    /// What tells later that it is there.
    fn mark(&self, header: &Header) -> String {
        format!("{}_ORIGINAL", header.name.to_uppercase())
    }

    /// The text that includes it.
    fn looked_for(&self, header: &Header) -> String {
        let Original { include, known_by, .. } = self;
        format!(
            "/* The original declares the same. Where it is on the include path it is used, and both can be included. */\n\
             #ifdef __has_include\n#if __has_include(\"{include}\")\n#include \"{include}\"\n#endif\n#endif\n\
             #if {known_by}\n#define {}\n#endif",
            self.mark(header)
        )
    }

    /// The header, and the text at its end, without what the original has where it is there.
    fn steps_in(&self, header: &Header, text: &str, after: String) -> (String, String) {
        let (guard, end) = (format!("#ifndef {}\n", self.mark(header)), "#endif\n");
        let (start, stop) = match self.only {
            Some(name) => {
                let at = text.find(&format!("\nstruct {name} {{")).expect("the structure");
                (text[..at].rfind("/**").expect("its comment"), at + text[at..].find("\n};\n").unwrap() + 4)
            }
            None => {
                let mark = format!("#define {}\n#endif\n", self.mark(header));
                let start = text.find(&mark).expect("what looks for the original") + mark.len() + 1;
                (start, text.find("\n#ifdef __cplusplus\nextern").expect("functions"))
            }
        };
        let text = format!("{}{guard}{}{end}{}", &text[..start], &text[start..stop], &text[stop..]);
        match self.only {
            Some(_) => (text, after),
            None => (text, format!("{guard}{}\n{end}", after.trim_end())),
        }
    }
}

/// Rust's conventions in comments, for the C reader: no link brackets, no `# Safety` heading.
fn plain_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "* # Safety" {
            // The heading and its first line become one: "Preconditions: ...".
            let first = lines.next().unwrap_or_default();
            let (indent, words) = first.split_once("* ").unwrap_or(("", first));
            out += &format!("{indent}* Preconditions: {words}");
        } else {
            out += &line.replace("[`", "`").replace("`]", "`");
        }
        out += "\n";
    }
    out
}

/// The header that includes all others.
const ALL: &str = "mgos_mqtt_all";

fn header_of_all() -> String {
    let includes: String = HEADERS.iter().map(|header| format!("#include \"{}.h\"\n", header.name)).collect();
    format!(
        "/*\n * Everything: all headers of this library. Each of them can be included alone as well.\n */\n\n\
         #ifndef MGOS_MQTT_ALL_H\n#define MGOS_MQTT_ALL_H\n\n{}\n\n{includes}\n#endif  /* MGOS_MQTT_ALL_H */\n",
        config().autogen_warning.unwrap()
    )
}

fn generate_row(header: &Header) -> String {
    let foreign = modules()
        .iter()
        .filter(|stem| *stem != header.name)
        .flat_map(|stem| tags(&rust_text(&rust_files(stem))).collect::<Vec<_>>())
        .collect();
    generate(header, &rust_files(header.name), foreign)
}

#[test]
fn checked_in_headers_are_current() {
    let update = std::env::var_os("MGOS_MQTT_UPDATE_HEADERS").is_some();
    let mut stale = Vec::new();
    let rows = HEADERS.iter().map(|header| (header.name, generate_row(header)));
    for (name, wanted) in rows.chain([(ALL, header_of_all())]) {
        let path = root().join("include").join(format!("{name}.h"));
        let found = fs::read_to_string(&path).unwrap_or_default();
        if found == wanted {
            continue;
        }
        if update {
            fs::write(&path, &wanted).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!("wrote include/{name}.h");
            continue;
        }
        let same = wanted.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
        stale.push(format!(
            "include/{name}.h, line {}: is `{}`, should be `{}`",
            same + 1,
            found.lines().nth(same).unwrap_or("(the end)"),
            wanted.lines().nth(same).unwrap_or("(the end)"),
        ));
    }
    assert!(stale.is_empty(), "run `make headers`:\n{}", stale.join("\n"));
}

#[test]
fn every_module_has_a_row_and_a_header() {
    let mut rows: BTreeSet<String> = HEADERS.iter().map(|header| header.name.to_string()).collect();
    assert_eq!(rows.len(), HEADERS.len(), "two rows of HEADERS have the same name");
    assert_eq!(rows, modules(), "rows of HEADERS (left) and `pub mod mgos_*` of src/capi/mod.rs (right)");
    rows.insert(ALL.to_string());
    assert_eq!(rows, present(), "rows of HEADERS (left) and include/*.h (right)");
}

/// cbindgen leaves out without a word what it cannot evaluate.
/// Distributors build with `cargo cinstall`, which installs what Cargo.toml names.
#[test]
fn cargo_c_installs_every_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let assets = manifest.lines().find(|line| line.starts_with("asset = ")).unwrap();
    for file in fs::read_dir(root.join("include")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let ending = name.rsplit('.').next().unwrap();
        assert!(assets.contains(&format!("\"include/*.{ending}\"")), "{name}: {assets}");
    }
}

#[test]
fn every_public_constant_is_in_its_header() {
    for header in HEADERS {
        let rust = rust_text(&rust_files(header.name));
        let text = generate_row(header);
        for line in rust.lines() {
            let Some(name) = line.strip_prefix("pub const ").and_then(|rest| rest.split(':').next()) else {
                continue;
            };
            assert!(text.contains(&format!("#define {name} ")), "{name} is not in {}.h", header.name);
        }
    }
}

/// The conventions that the files of src/capi/ rely on, shown on a small example: the prototypes
/// of variadic functions, types of other headers, and comments.
#[test]
fn conventions() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = dir.join("mgos_example.rs");
    fs::write(
        &file,
        r#"//! What it is for.
use super::mgos_mqtt::mgos_mqtt_conn;

/// The C compiler's own type; cbindgen leaves it out.
#[cfg(cbindgen)]
pub struct va_list;

#[cfg(cbindgen)]
unsafe extern "C" {
    /// Publishes what a [`printf`]-like format makes.
    pub fn mgos_example_pubf(c: *mut mgos_mqtt_conn, format: *const c_char, ...) -> u16;
    pub fn mgos_example_pubv(c: *mut mgos_mqtt_conn, format: *const c_char, ap: va_list) -> u16;
}

/// Frees.
///
/// # Safety
/// `c` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_example_free(c: *mut mgos_mqtt_conn, size: usize) {}
"#,
    )
    .unwrap();
    let header = Header {
        name: "mgos_example",
        includes: &["<stdarg.h>", "mgos_mqtt.h"],
        after: || "#define mg_example_free mgos_example_free".to_string(),
        ..NONE
    };
    let foreign = tags("pub struct mgos_mqtt_conn {\n pub enum mgos_x{").collect();
    let text = generate(&header, &[file], foreign);
    for wanted in [
        "/*\n * What it is for.\n */",
        "#ifndef MGOS_EXAMPLE_H\n#define MGOS_EXAMPLE_H\n",
        "#include <stdarg.h>\n#include \"mgos_mqtt.h\"\n",
        "uint16_t mgos_example_pubf(struct mgos_mqtt_conn *c, const char *format, ...);",
        "uint16_t mgos_example_pubv(struct mgos_mqtt_conn *c, const char *format, va_list ap);",
        " * Publishes what a `printf`-like format makes.\n",
        " * Preconditions: `c` is NULL or valid.\n",
        "void mgos_example_free(struct mgos_mqtt_conn *c, size_t size);",
        "#define mg_example_free mgos_example_free\n\n#endif  /* MGOS_EXAMPLE_H */\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    assert!(!text.contains("struct va_list") && !text.contains("defined("), "{text}");
}
