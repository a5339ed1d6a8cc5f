//! For `make mutants`: runs the C tests against the library built from the present source.
//!
//! cargo-mutants changes one line of the source at a time and runs the tests in Rust. Most of what the client does is
//! tested from C, by programs that CMake built before; here the changed library takes the place of the one they
//! were built with. Without MGOS_MQTT_C_PROGRAMS, which names their directory, there is nothing to do. MGOS_MQTT_UNCHANGED is
//! the directory of the source before the change: it tells which programs look first.

mod source_text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use source_text::{root, sources};

/// More than each of them takes; one that takes longer hangs, and has noticed the change so.
const LONG: Duration = Duration::from_secs(90);
/// Most of what they do is waiting.
const AT_ONCE: usize = 4;
/// What a test ends with that finds something missing on this machine.
const SKIPPED: i32 = 77;
/// The quickest first.
const PROGRAMS: [&str; 47] = [
    "arguments",
    "structures",
    "version",
    "mg_str",
    "json",
    "config",
    "values",
    "promises_clouds",
    "log_topic",
    "connect",
    "handlers",
    "signals",
    "promises_mg",
    "compat",
    "subscribe",
    "process",
    "limits",
    "mongoose",
    "free",
    "reentrancy",
    "publish",
    "tls",
    "log",
    "stats",
    "promises_nm",
    "many",
    "course",
    "fork",
    "promises_ei",
    "waits",
    "fetch",
    "config_apply",
    "tls_wire",
    "foreign_loop",
    "acknowledge",
    "tls_memory",
    "outcomes",
    "mqtt5",
    "scram",
    "bad_network",
    "threads",
    "transport",
    "slow_link",
    "socket_options",
    "memory",
    "stop",
    "idle",
];
/// Not for this: they link the static library, or test the tests.
const OTHERS: [&str; 3] = ["leak", "peer", "tls_cut"];
/// Which programs look first, by a part of the path of the file that was changed; the first that fits.
const NEAREST: [(&str, &[&str]); 38] = [
    ("src/driver/", &["process", "foreign_loop", "threads", "free"]),
    ("tcp_options", &["socket_options"]),
    ("src/transport/", &["tls", "tls_wire", "bad_network"]),
    ("/capi/types/", &["structures", "arguments", "values"]),
    ("/capi/json/", &["json", "promises_mg"]),
    ("mgos_json", &["json"]),
    ("/capi/config/", &["config", "config_apply"]),
    ("_config.rs", &["config", "config_apply"]),
    ("mgos_event", &["log_topic"]),
    ("event_bus", &["log_topic"]),
    ("callback", &["mongoose", "handlers", "subscribe"]),
    ("bridge/handle", &["free", "fetch", "waits"]),
    ("mgos_mg_str", &["mg_str"]),
    ("mgos_mongoose", &["mongoose", "values"]),
    ("bridge/nc", &["mongoose", "promises_mg", "handlers"]),
    ("bridge/raw", &["mongoose", "promises_mg"]),
    ("/mgos_mqtt.rs", &["promises_mg", "handlers", "config_apply"]),
    ("compat", &["compat"]),
    ("mqtt_error", &["arguments", "values", "waits"]),
    ("mqtt_event", &["handlers", "acknowledge", "promises_ei"]),
    ("propert", &["mqtt5"]),
    ("reason", &["mqtt5"]),
    ("scram", &["scram"]),
    ("log", &["log"]),
    ("loop", &["process", "signals", "free"]),
    ("options", &["connect", "config_apply", "course"]),
    ("publi", &["publish", "outcomes"]),
    ("receive", &["fetch"]),
    ("fetched", &["fetch"]),
    ("stat", &["stats"]),
    ("subscribe", &["subscribe"]),
    ("filters", &["subscribe"]),
    ("version", &["version", "compat"]),
    ("fork", &["fork", "process"]),
    ("base/process", &["fork", "process"]),
    ("signals", &["signals", "threads"]),
    ("connect", &["connect", "course", "waits"]),
    ("/capi/", &["arguments", "course", "handlers", "reentrancy"]),
];

/// The shared library, built from the source of this moment.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["rustc", "--offline", "--quiet", "--lib", "--crate-type", "cdylib", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .status()
        .expect("cargo can be run");
    assert!(built.success());
    target.join("debug/libmgos_mqtt.so")
}

/// The name by which the programs look for it: it carries the version.
fn so_name() -> String {
    let mut version = env!("CARGO_PKG_VERSION").split('.');
    let (major, minor) = (version.next().unwrap(), version.next().unwrap());
    let abi = if major == "0" { format!("0.{minor}") } else { major.into() };
    format!("libmgos_mqtt.so.{abi}")
}

/// Runs one of the programs; what is wrong with it, if anything is.
fn run(program: &Path, beside: &Path) -> Option<String> {
    let mut child = Command::new(program)
        .current_dir(beside)
        .env("LD_LIBRARY_PATH", beside)
        .env("SYMBOLS", root().join("abi/symbols.txt"))
        .env("MG_NAMES", root().join("tests/c"))
        .env("MG_HEADERS", root().join("include"))
        .env("TLS_PAGE", root().join("docs/tls.md"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let until = Instant::now() + LONG;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return Some(format!("{} hangs", program.display()));
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let good = status.success() || status.code() == Some(SKIPPED);
    (!good).then(|| format!("{}: {status}", program.display()))
}

/// Runs these, quickest first, until one of them fails; what is wrong with it.
fn first_wrong(names: &[&str], programs: &Path, beside: &Path) -> Option<String> {
    let next = Mutex::new(names.iter());
    let wrong = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while wrong.lock().unwrap().is_none()
                    && let Some(name) = { next.lock().unwrap().next() }
                {
                    if let Some(text) = run(&programs.join(format!("test_{name}_shared")), beside) {
                        *wrong.lock().unwrap() = Some(text);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// The file of src/ that is not as it is in the directory MGOS_MQTT_UNCHANGED.
fn changed() -> Option<String> {
    let unchanged = PathBuf::from(env::var_os("MGOS_MQTT_UNCHANGED")?);
    let differs = |path: &String| {
        fs::read(root().join(path)).expect("a source") != fs::read(unchanged.join(path)).unwrap_or_default()
    };
    sources("src").into_iter().map(|(path, _)| path).find(differs)
}

fn nearest(path: &str) -> &'static [&'static str] {
    NEAREST.iter().find(|(part, _)| path.contains(part)).map_or(&[], |(_, names)| names)
}

/// The list is what scripts/mutants.sh builds, too.
#[test]
fn the_lists_have_every_program() {
    let mut sources = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests/c")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_prefix("test_").and_then(|name| name.strip_suffix(".c")) {
            sources.insert(name.to_owned());
        }
    }
    let listed: BTreeSet<String> = PROGRAMS.iter().chain(&OTHERS).map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, sources);
}

#[test]
fn the_nearest_are_programs_of_files_that_exist() {
    let files = sources("src");
    for (n, (part, names)) in NEAREST.iter().enumerate() {
        let first = |path: &str| NEAREST.iter().position(|(part, _)| path.contains(part));
        assert!(files.iter().any(|(path, _)| first(path) == Some(n)), "no file has {part:?} in its path");
        for name in *names {
            assert!(PROGRAMS.contains(name), "{name} is no program");
        }
    }
}

#[test]
fn the_c_tests_pass() {
    let Some(programs) = env::var_os("MGOS_MQTT_C_PROGRAMS").map(PathBuf::from) else { return };
    let beside = library().with_file_name("by_name");
    fs::create_dir_all(&beside).unwrap();
    let link = beside.join(so_name());
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink("../libmgos_mqtt.so", &link).unwrap();
    let nearest = changed().map_or(&[][..], |path| nearest(&path));
    assert_eq!(first_wrong(nearest, &programs, &beside), None);
    let rest: Vec<&str> = PROGRAMS.into_iter().filter(|name| !nearest.contains(name)).collect();
    assert_eq!(first_wrong(&rest, &programs, &beside), None);
}
