//! Runs the loom models of the driver (`tests/loom`), so that they cannot be forgotten.
//!
//! They are a crate of their own because they compile the driver's files against loom's mutexes.

use std::path::Path;
use std::process::Command;

#[test]
fn the_models_of_the_driver_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loom");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loom");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--locked", "--lib", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        // The models' own flags, whatever those of this test are (a sanitizer's, a coverage tool's).
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    // Prove that the check checked: the models ran.
    assert!(out.contains("test result: ok") && !out.contains("running 0 tests"), "{out}");
}
