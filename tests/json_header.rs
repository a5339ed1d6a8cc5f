//! `include/mgos_json.h`: the declarations that C code relies on, word by word, and that a program with its
//! macros compiles as C and C++. (tests/headers.rs checks that it is what cbindgen makes.)

#![cfg(feature = "capi")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn header() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/mgos_json.h")).unwrap()
}

#[test]
fn the_declarations_are_those_that_applications_were_written_against() {
    let text = header();
    let comment = |line: &&str| !line.trim_start().starts_with(['*', '/']);
    let code: Vec<&str> = text.lines().filter(comment).collect();
    let words = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    for declaration in [
        "struct json_out_buf { char *buf; size_t size; size_t len; };",
        "union json_out_u { struct json_out_buf buf; void *data; FILE *fp; };",
        "struct json_out { int (*printer)(struct json_out *out, const char *str, size_t len); union json_out_u u; };",
        "typedef int (*json_printf_callback_t)(struct json_out *out, va_list *ap);",
        "int mgos_json_printf(struct json_out *out, const char *fmt, ...);",
        "int mgos_json_vprintf(struct json_out *out, const char *fmt, va_list ap);",
        "char *mgos_json_asprintf(const char *fmt, ...);",
        "char *mgos_json_vasprintf(const char *fmt, va_list ap);",
        "int mgos_json_printf_array(struct json_out *out, va_list *ap);",
        "int mgos_json_printer_buf(struct json_out *out, const char *str, size_t len);",
        "int mgos_json_printer_file(struct json_out *out, const char *str, size_t len);",
        "int mgos_json_escape(struct json_out *out, const char *p, size_t len);",
    ] {
        assert!(words.contains(declaration), "missing: {declaration}\n{text}");
    }
    assert!(!words.contains("struct va_list"), "stdarg.h defines va_list:\n{text}");
}

#[test]
fn the_header_compiles_as_c_and_cpp() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("json_header");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("mgos_json.h"), header()).unwrap();
    let user = "#include \"mgos_json.h\"\n#include \"mgos_json.h\"\nint use(FILE *fp);\n\
                int use(FILE *fp) {\n  char b[9];\n  struct json_out o = JSON_OUT_BUF(b, sizeof(b));\n  \
                struct json_out f = JSON_OUT_FILE(fp);\n  json_printf_callback_t p = json_printf_array;\n  \
                return json_printf(&o, \"%M\", p) + json_printf(&f, \"%d\", 1);\n}\n";
    std::fs::write(dir.join("user.c"), user).unwrap();
    for (language, standard) in [("c", "c99"), ("c", "c11"), ("c", "c2x"), ("c++", "c++11"), ("c++", "c++20")]
    {
        let mut cc = Command::new("cc");
        cc.args(["-x", language, &format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        let output = match cc.args(["-fsyntax-only", "user.c"]).current_dir(&dir).output() {
            Ok(output) => output,
            // A machine without a C compiler cannot even build the library.
            Err(error) => panic!("cc: {error}"),
        };
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{standard}: {told}");
    }
}
