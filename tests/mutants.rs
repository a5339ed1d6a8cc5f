//! For `make mutants`: the C tests, run against the library as its source is at this moment.
//!
//! cargo-mutants changes one line of the source at a time and runs the tests in Rust. Most of what the client does is
//! tested from C, by programs that CMake built before; here the changed library takes the place of the one they
//! were built with. Without MGOS_MQTT_C_PROGRAMS, which names their directory, there is nothing to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// More than each of them takes; one that takes longer hangs, and has noticed the change so.
const LONG: Duration = Duration::from_secs(60);
/// The quickest first.
const PROGRAMS: [&str; 20] = [
    "arguments",
    "promises_clouds",
    "promises_mg",
    "mongoose",
    "handlers",
    "config_apply",
    "publish",
    "subscribe",
    "acknowledge",
    "fetch",
    "log_topic",
    "connect",
    "stats",
    "compat",
    "promises_nm",
    "promises_ei",
    "outcomes",
    "free",
    "bad_network",
    "reentrancy",
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

#[test]
fn the_c_tests_pass() {
    let Some(programs) = env::var_os("MGOS_MQTT_C_PROGRAMS").map(PathBuf::from) else { return };
    let beside = library().with_file_name("by_name");
    fs::create_dir_all(&beside).unwrap();
    let link = beside.join(so_name());
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink("../libmgos_mqtt.so", &link).unwrap();
    for name in PROGRAMS {
        let program = programs.join(format!("test_{name}_shared"));
        if !program.exists() {
            continue;
        }
        let mut child = Command::new(&program)
            .current_dir(&beside)
            .env("LD_LIBRARY_PATH", &beside)
            .env("SYMBOLS", Path::new(ROOT).join("abi/symbols.txt"))
            .env("MG_NAMES", Path::new(ROOT).join("tests/c/mg_names.txt"))
            .env("MG_HEADER", Path::new(ROOT).join("include/mgos_mongoose.h"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let until = Instant::now() + LONG;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > until => break None,
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        assert!(status.is_some_and(|status| status.success()), "{name}: {status:?}");
    }
}
