//! What mgos_configure says to schemas that are wrong, with file and line, and what it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn configure(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mgos_configure"))
        .current_dir(folder)
        .args(["--out", "out"])
        .args(arguments)
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The text of a schema whose entries begin in line 2.
fn schema(entries: &str) -> String {
    format!("config_schema:\n{entries}\n")
}

#[test]
fn wrong_schemas_are_refused_with_their_line() {
    let folder = folder("wrong");
    for (text, expected) in [
        (
            schema("  - [\"a.b\", \"int\", 1, {}]"),
            "mos.yml:2: error: 'a.b' is a section and cannot have a default (1)",
        ),
        (
            schema("  - [\"a.b\", \"int\", {}]"),
            "mos.yml:2: error: 'int', the type of 'a.b', is neither a type (b, i, ui, f, d, s, o) nor a section",
        ),
        (
            schema("  - [\"a\", \"o\", {}]\n  - [\"b\", \"nowhere.at.all\", {}]"),
            "mos.yml:3: error: 'nowhere.at.all', the type of 'b', is neither a type",
        ),
        (
            schema("  - [\"a.x\", \"i\", 1, {}]\n  - [\"b\", \"a.x\", {}]"),
            "mos.yml:3: error: 'a.x', the type of 'b'",
        ),
        (schema("  - [\"a\", \"b2\", {}]\n  - [\"b2\", \"a\", {}]"), "leads back to itself"),
        (
            schema("  - [\"a\", \"a\", {}]"),
            "mos.yml:2: error: 'a' has the type 'a', which leads back to itself",
        ),
        (
            schema("  - [\"a.b\", \"i\", \"x\", {}]"),
            "mos.yml:2: error: 'a.b', type i: the default has to be an integer of 32 bits, but is the text \"x\"",
        ),
        (schema("  - [\"a.b\", \"i\", 1.5, {}]"), "but is '1.5'"),
        (schema("  - [\"a.b\", \"i\", 2147483648, {}]"), "an integer of 32 bits, but is '2147483648'"),
        (schema("  - [\"a.b\", \"ui\", -1, {}]"), "an integer from 0 to 4294967295, but is '-1'"),
        (schema("  - [\"a.b\", \"b\", 1, {}]"), "true or false, but is '1'"),
        (schema("  - [\"a.b\", \"d\", x, {}]"), "a number, but is 'x'"),
        (schema("  - [\"a.b\", \"f\", 1e60, {}]"), "a number that fits a float, but is '1e60'"),
        (schema("  - [\"a.b\", \"s\", 5, {}]"), "a text; put it in quotes, but is '5'"),
        (schema("  - [\"a.b\", \"s\", [x], {}]"), "a text, but is a list"),
        (
            schema("  - [\"a.b\", 7]"),
            "mos.yml:2: error: 'a.b' is not defined anywhere, so its default cannot be changed",
        ),
        (
            schema("  - [\"mqtt.keep_alive\", \"x\"]"),
            "mos.yml:2: error: 'mqtt.keep_alive': the default has to be an integer",
        ),
        (schema("  - [\"mqtt\", 7]"), "'mqtt' is a section and cannot have a default"),
        (
            schema("  - [\"a.b\", \"i\", 1, {}]\n  - [\"a.b\", \"i\", 2, {}]"),
            "mos.yml:3: error: 'a.b' is already defined at mos.yml:2; to change its default, write [\"a.b\", value]",
        ),
        (schema("  - [\"mqtt.server\", \"s\", \"x\", {}]"), "'mqtt.server' is already defined at base.yml:"),
        (
            schema("  - [\"a.b\", \"i\", 1, {}]\n  - [\"a.b.c\", \"i\", 2, {}]"),
            "'a.b' is a setting, not a section",
        ),
        (schema("  - [\"mqtt1.x\", \"i\", 1, {}]"), "'mqtt1' has the keys of 'mqtt'; add this one there"),
        (schema("  - [\"a.int\", \"i\", 1, {}]"), "'int' is no name in C"),
        (schema("  - [\"a-b\", \"i\", 1, {}]"), "'a-b' is no name in C"),
        (schema("  - [\"a..b\", \"i\", 1, {}]"), "'' is no name in C"),
        (schema("  - [\"a.b\"]"), "'a.b' has neither a type nor a default"),
        (schema("  - a.b"), "an entry has to be a list that begins with a name"),
        (schema("  - [\"a.b\", \"i\", 1, 2, {}]"), "'a.b' has too many parts"),
        (schema("  - [\"conf_acl\", \"-*\"]"), "mos.yml:2: error: conf_acl is not supported"),
        ("config_schema: 5\n".into(), "mos.yml:1: error: config_schema has to be a list"),
        ("a: [1\n".into(), "error: not YAML: "),
        ("a: 1\na: 2\n".into(), "mos.yml:2: error: the key 'a' is there twice"),
        ("- a\n".into(), "mos.yml:1: error: a mos.yml is a map"),
        ("name: \"a b\"\n".into(), "mos.yml:1: error: the name may have letters"),
        ("conds:\n  - apply: {}\n".into(), "mos.yml:2: error: a condition without 'when'"),
        (
            "conds:\n  - when: mos.x == 1\n".into(),
            "mos.yml:2: error: condition 'mos.x == 1': 'mos.x' is neither",
        ),
        (
            "conds:\n  - when: mos.platform == \"ubuntu\"\n    error: not here\n".into(),
            "the file itself says: not here",
        ),
        (format!("a: {}{}\n", "[".repeat(100), "]".repeat(100)), "more than 64 levels"),
    ] {
        fs::write(folder.join("mos.yml"), &text).unwrap();
        let output = configure(&folder, &["mos.yml"]);
        let told = errors(&output);
        assert!(!output.status.success(), "accepted: {text}");
        assert!(told.contains(expected), "{text}\n{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    assert!(!folder.join("out").exists(), "a wrong schema leaves nothing behind");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder("unreadable");
    let output = configure(&folder, &["nothing.yml"]);
    assert!(errors(&output).starts_with("nothing.yml: error: cannot read it: "));
    let output = configure(&folder, &["a.yml", "b.yml"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Two libraries that define one key, libraries that use each other, and their order.
#[test]
fn libraries() {
    let folder = folder("libraries");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("one.yml", "name: one\nconfig_schema:\n  - [\"x.y\", \"i\", 1, {}]\n");
    write("two.yml", "name: two\nconfig_schema:\n  - [\"x.y\", \"i\", 1, {}]\n");
    write("mos.yml", "name: app\n");
    let output = configure(&folder, &["--library", "one.yml", "--library", "two.yml", "mos.yml"]);
    assert!(errors(&output).contains("two.yml:3: error: 'x.y' is already defined at one.yml:3"));

    write("two.yml", "name: two-b\nlibs:\n  - origin: https://github.com/x/three\n");
    write("three.yml", "name: three\nlibs:\n  - origin: https://github.com/x/one\n  - name: elsewhere\n");
    write("mos.yml", "name: app\nversion: \"7\"\nconfig_schema:\n  - [\"x.y\", 5]\n");
    let output = configure(
        &folder,
        &["--library", "two.yml", "--library", "three.yml", "--schema", "one.yml", "mos.yml"],
    );
    assert!(output.status.success(), "{}", errors(&output));
    let source = fs::read_to_string(folder.join("out/mgos_app_config.c")).unwrap();
    let started: Vec<&str> = source.lines().filter(|line| line.starts_with("  if (!mgos_")).collect();
    assert_eq!(
        started,
        ["  if (!mgos_three_init()) return \"three\";", "  if (!mgos_two_b_init()) return \"two-b\";"]
    );
    let options = fs::read_to_string(folder.join("out/mgos_app_options")).unwrap();
    for have in ["-DMGOS_HAVE_ONE=1", "-DMGOS_HAVE_TWO_B=1"] {
        assert!(options.lines().any(|line| line == have), "{options}");
    }

    write("one.yml", "name: one\nlibs:\n  - name: two-b\n");
    let output = configure(
        &folder,
        &["--library", "two.yml", "--library", "three.yml", "--schema", "one.yml", "mos.yml"],
    );
    assert!(errors(&output).contains("use each other in a circle"), "{}", errors(&output));
}

/// An empty schema, and one with everything from YAML: anchors, comments, hexadecimal numbers, words for true.
#[test]
fn forms_that_are_taken() {
    let folder = folder("forms");
    for (text, expected) in [
        (String::new(), "struct mgos_config_mqtt mqtt1;"),
        ("# nothing\n".into(), "struct mgos_config_mqtt mqtt;"),
        (
            schema("  - &e [\"a.b\", \"i\", 0x10, {title: \"x\"}]"),
            "mgos_config_get_default_a_b(void) {\n  return 16;",
        ),
        (schema("  - [a.on, b, yes, {}]"), "mgos_config_get_default_a_on(void) {\n  return 1;"),
        (schema("  - [\"a.s\", \"s\", ~, {}]"), "mgos_config_get_default_a_s(void) {\n  return NULL;"),
        (schema("  - [\"a.s\", \"s\", \"??/\\\"\\\\é\", {}]"), "return \"\\?\\?/\\\"\\\\\\303\\251\";"),
        (schema("  - [\"a.i\", \"i\", -2147483648, {}]"), "return (-2147483647 - 1);"),
        (schema("  - [\"a\", \"o\", {}]\n  - [\"a\", \"o\", {}]\n  - [\"a.x\", \"i\", 1, {}]"), "int x;"),
        (schema("  - [\"empty\", \"o\", {}]\n  - [\"a.x\", \"i\", 1, {}]"), "struct mgos_config_a a;"),
    ] {
        fs::write(folder.join("mos.yml"), &text).unwrap();
        let output = configure(&folder, &["mos.yml"]);
        assert!(output.status.success(), "{text}: {}", errors(&output));
        let header = fs::read_to_string(folder.join("out/mgos_app_config.h")).unwrap();
        assert!(header.contains(expected), "{text}\n{header}");
        assert!(!header.contains("empty"), "{header}");
    }
}
