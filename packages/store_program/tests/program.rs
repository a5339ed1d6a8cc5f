//! The program, from import to export, over damage and repair.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mgos_mqtt_base::store::{Folder, Options, Store};

/// What a run ended with: its code, its output, its errors.
type Ended = (i32, String, String);

fn run(command: &str, folder: &Path, input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mgos_mqtt_store"))
        .arg(command)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mgos-mqtt-store-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Lines without what is new in each store.
fn without_tokens(lines: &str) -> Vec<String> {
    let token = |line: &str| {
        let (before, rest) = line.split_once("\"token\":").unwrap();
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}{after}")
    };
    lines.lines().map(token).collect()
}

const LINES: &str = r#"{"topic":"a/b","payload":"21.5","qos":1}
{"topic":"a/ü","payload":"line\nbreak","qos":2,"retain":true,"accepted":1700000000,"deadline":1800000000000}

{"topic":"alarm","payload_base64":"AP+A","qos":1,"class":3,"properties":"AgAAAAc=","reserve_id":true}
"#;

#[test]
fn messages_go_in_and_come_out_and_damage_is_found_and_repaired() {
    let path = folder("program");
    let (code, out, error) = run("import", &path, LINES);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "3 messages added\n", ""));
    let before = contents(&path);
    let (code, exported, error) = run("export", &path, "");
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(exported.lines().count(), 3);
    assert!(
        exported.contains(r#""payload_base64":"AP+A""#) && exported.contains("line\\nbreak"),
        "{exported}"
    );
    let (code, out, _) = run("list", &path, "");
    assert!(code == 0 && out.contains("class 0: 2 waiting messages in 1 file of "), "{out}");
    let (code, out, _) = run("dump", &path, "");
    assert!(code == 0 && out.contains("a/ü QoS 2, retain, 10 bytes: line\\nbreak"), "{out}");
    let (code, out, _) = run("verify", &path, "");
    assert!(code == 0 && out.contains("3 messages can be read; nothing is damaged"), "{out}");
    assert_eq!(contents(&path), before, "nothing changes");

    // What was exported makes the same store again.
    let second = folder("second");
    assert_eq!(run("import", &second, &exported).0, 0);
    assert_eq!(without_tokens(&run("export", &second, "").1), without_tokens(&exported));

    // A flipped bit costs its message, and is named.
    let segment = path.join("00-0000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(4).position(|part| part == b"21.5").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let damaged = contents(&path);
    let (code, out, error) = run("verify", &path, "");
    assert!(code == 1 && out.contains("2 messages can be read"), "{out}");
    assert!(error.contains("00-0000000000000001.seg: ") && error.contains("are damaged"), "{error}");
    assert_eq!(contents(&path), damaged, "nothing changes");
    let (code, out, _) = run("repair", &path, "");
    assert!(code == 0 && out.contains("repaired: 1 file; waiting: 2 messages"), "{out}");
    assert_eq!(run("verify", &path, "").0, 0);
    assert_eq!(
        fs::read(path.join("lost-00-0000000000000001.seg")).unwrap(),
        bytes,
        "the damaged file is kept"
    );
    for path in [path, second] {
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn wrong_lines_and_wrong_usage_are_explained() {
    let path = folder("wrong");
    for (line, words) in [
        ("{\"topic\":\"a\"", "EOF"),
        ("[]", "is not a JSON object"),
        (r##"{"topic":"a/#"}"##, "topic is not a topic name"),
        (r#"{"topic":"a","qos":3}"#, "qos must be a number from 0 to 2"),
        (r#"{"topic":"a","class":16}"#, "class must be a number from 0 to 15"),
        (r#"{"topic":"a","payload":1}"#, "payload must be a string"),
        (r#"{"topic":"a","payload_base64":"=="}"#, "payload_base64 is not valid Base64"),
        (r#"{"topic":"a","colour":1}"#, "there is no field colour"),
    ] {
        let (code, _, error) = run("import", &path, &format!("{{\"topic\":\"ok\"}}\n{line}\n"));
        assert!(code == 1 && error.contains("line 2: ") && error.contains(words), "{line}: {error}");
        assert!(error.contains("; 1 message before it was added"), "{error}");
    }
    assert_eq!(run("export", &path, "").1.lines().count(), 8);
    fs::remove_dir_all(&path).unwrap();
    let (code, _, error) = run("list", &path, "");
    assert!(code == 1 && error.contains("there is no folder"), "{error}");
    let (code, _, error) = run("shuffle", &path, "");
    assert!(code == 2 && error.contains("no command shuffle"), "{error}");
}

/// What is no store is left as it is.
#[test]
fn a_folder_without_a_store_is_refused() {
    let path = folder("none");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("notes.txt"), "something else").unwrap();
    let before = contents(&path);
    for command in ["list", "dump", "verify", "export", "repair"] {
        let (code, out, error) = run(command, &path, "");
        assert_eq!((code, out.as_str()), (1, ""), "{command}");
        assert!(error.contains("there is no store in "), "{command}: {error}");
    }
    assert_eq!(contents(&path), before);
    fs::remove_dir_all(&path).unwrap();
}

/// Without the permission to write, a store can be looked into.
#[test]
fn a_store_that_cannot_be_written_to_can_be_looked_into() {
    use std::os::unix::fs::PermissionsExt;
    let path = folder("read-only");
    assert_eq!(run("import", &path, LINES).0, 0);
    let set = |mode: u32, file_mode: u32| {
        for entry in fs::read_dir(&path).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(file_mode)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o500, 0o400);
    let before = contents(&path);
    for command in ["list", "dump", "verify", "export"] {
        let (code, _, error) = run(command, &path, "");
        assert_eq!((code, error.as_str()), (0, ""), "{command}");
    }
    assert_eq!(contents(&path), before);
    set(0o700, 0o600);
    fs::remove_dir_all(&path).unwrap();
}

/// What was being written when the power went is reported, and is no damage.
#[test]
fn a_torn_end_is_no_damage_and_a_record_that_is_no_message_is() {
    let path = folder("torn");
    assert_eq!(run("import", &path, LINES).0, 0);
    fs::remove_file(path.join("clean")).unwrap();
    let segment = path.join("00-0000000000000001.seg");
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() - 3]).unwrap();
    let (code, out, error) = run("verify", &path, "");
    assert_eq!((code, out.as_str()), (0, "2 messages can be read; nothing is damaged\n"), "{error}");
    assert!(error.contains("were not completely written"), "{error}");
    fs::remove_dir_all(&path).unwrap();

    let mut store = Store::open(Box::new(Folder::new(&path).unwrap()), Options::default()).unwrap();
    let token = store.reserve_tokens().start;
    store.append(0, token, b"no message").unwrap();
    store.close().unwrap();
    for command in ["dump", "verify", "export"] {
        let (code, _, error) = run(command, &path, "");
        assert_eq!(code, 1, "{command}");
        assert!(error.contains("record 1 of class 0 is not a message"), "{command}: {error}");
    }
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_store_in_use_is_left_alone() {
    let path = folder("in-use");
    let store = Store::open(Box::new(Folder::new(&path).unwrap()), Options::default()).unwrap();
    for command in ["list", "verify", "repair", "import"] {
        let (code, _, error) = run(command, &path, "");
        assert!(code == 1 && error.contains("is in use by another process"), "{command}: {error}");
    }
    store.close().unwrap();
    assert_eq!(run("verify", &path, "").0, 0);
    fs::remove_dir_all(&path).unwrap();
}

/// A line that cannot be read says where it is, and what stands before it is kept.
#[test]
fn a_line_that_is_no_text_ends_an_import_in_order() {
    let path = folder("bytes");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mgos_mqtt_store"))
        .arg("import")
        .arg(&path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"topic\":\"a\"}\n{\"topic\":\"b\"}\n\xff\xfe\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("line 3: ") && error.contains("; 2 messages before it were added"), "{error}");
    assert_eq!(run("export", &path, "").1.lines().count(), 2);
    assert!(path.join("clean").exists(), "it was closed");
    fs::remove_dir_all(&path).unwrap();
}

/// A file may not grow beyond some number of bytes, as on a full disk: what is said to have been added is in the store.
#[test]
fn what_could_not_be_written_is_not_counted_as_added() {
    let path = folder("full");
    let mut child = Command::new("sh")
        // Blocks of 512 bytes.
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" import \"$1\""])
        .arg(env!("CARGO_BIN_EXE_mgos_mqtt_store"))
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String =
        (0..2000).map(|n| format!("{{\"topic\":\"t\",\"payload\":\"{n:0100}\"}}\n")).collect();
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let exported = run("export", &path, "").1.lines().count();
    assert!((1..2000).contains(&exported), "{exported}: {error}");
    assert!(error.contains(&format!("; {exported} messages before it were added")), "{exported}: {error}");
    fs::remove_dir_all(&path).unwrap();
}
