//! For `make mutants`: the C tests, run against the library as its source is at this moment.
//!
//! cargo-mutants changes one line of the source at a time and runs the tests in Rust. Most of what the client does is
//! tested from C, by programs that CMake built before; here the changed library takes the place of the one they
//! were built with. Without MGOS_MQTT_C_PROGRAMS, which names their directory, there is nothing to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// More than each of them takes; one that takes longer hangs, and has noticed the change so.
const LONG: Duration = Duration::from_secs(60);
/// Most of what they do is waiting.
const AT_ONCE: usize = 4;
/// The quickest first.
const PROGRAMS: [&str; 25] = [
    "arguments",
    "values",
    "limits",
    "publish",
    "connect",
    "log_topic",
    "promises_clouds",
    "handlers",
    "subscribe",
    "reentrancy",
    "promises_mg",
    "stats",
    "promises_nm",
    "compat",
    "mongoose",
    "config_apply",
    "waits",
    "fetch",
    "promises_ei",
    "memory",
    "free",
    "acknowledge",
    "outcomes",
    "bad_network",
    "idle",
];

/// The shared library, built from the source of this moment.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["rustc", "--offline", "--quiet", "--lib", "--crate-type", "cdylib", "--manifest-path"])
        .arg(Path::new(ROOT).join("Cargo.toml"))
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
        .env("SYMBOLS", Path::new(ROOT).join("abi/symbols.txt"))
        .env("MG_NAMES", Path::new(ROOT).join("tests/c"))
        .env("MG_HEADERS", Path::new(ROOT).join("include"))
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
    (!status.success()).then(|| format!("{}: {status}", program.display()))
}

/// The list is what scripts/mutants.sh builds, too.
#[test]
fn each_program_has_its_source() {
    for name in PROGRAMS {
        let source = Path::new(ROOT).join(format!("tests/c/test_{name}.c"));
        assert!(source.exists(), "{} is in the list and is not there", source.display());
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
    // The next of them, until one of them fails.
    let next = Mutex::new(PROGRAMS.iter());
    let wrong = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while wrong.lock().unwrap().is_none()
                    && let Some(name) = { next.lock().unwrap().next() }
                {
                    if let Some(text) = run(&programs.join(format!("test_{name}_shared")), &beside) {
                        *wrong.lock().unwrap() = Some(text);
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().unwrap(), None);
}
