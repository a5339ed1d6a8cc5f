//! Runs the simulation of whole clients (`tests/sim`, docs/reliability.md): a small part of it, and whether it
//! finds each of the library's deliberate bugs. `make sim` runs all of it. And the search through every interleaving
//! of a few messages.

use std::path::Path;
use std::process::Command;

/// Builds the simulation and runs it; what it printed.
///
/// One build serves all tests: the library that can have deliberate bugs, which has none until one is chosen.
/// `make sim` runs the library without them.
fn simulate(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(root)
        .arg("--target-dir")
        .arg(target)
        .arg("--")
        .args(arguments)
        // Not the flags of this test (a sanitizer's, a coverage tool's).
        .env("RUSTFLAGS", "--cfg mgos_mqtt_bug")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[test]
fn no_invariant_is_violated() {
    let out = simulate(&["--faults", "25000"]);
    // Prove that the check checked.
    assert!(out.contains(" faults (") && !out.contains("the smallest cell has 0"), "{out}");
}

#[test]
fn every_deliberate_bug_is_found() {
    let out = simulate(&["--bugs", "4000"]);
    assert!(out.contains(" deliberate bugs, all found"), "{out}");
}

#[test]
fn every_interleaving_holds() {
    let out = simulate(&["--every", "0"]);
    assert!(out.contains("everything held") && out.contains("12 deliberate bugs, all found"), "{out}");
    // Prove that it went through them: there are more than half a million.
    let states =
        out.lines().find(|line| line.contains("everything held")).and_then(|line| line.split(' ').next());
    assert!(states.and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n > 500_000), "{out}");
}
