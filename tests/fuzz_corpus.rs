//! The kept corpora of the fuzz targets (`fuzz/`), given to the same functions without a fuzzer.
#![cfg(all(feature = "capi", feature = "websocket", feature = "store"))]

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};

#[allow(unreachable_pub, reason = "public for the programs in fuzz/fuzz_targets")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

thread_local! {
    static INPUT: RefCell<PathBuf> = RefCell::default();
}

/// A panic names the input. Some of them end the process: callbacks from C do not unwind.
fn name_inputs() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            INPUT.with_borrow(|path| drop(writeln!(std::io::stderr(), "with {}:", path.display())));
            default(info);
        }));
    });
}

fn replay(name: &str) {
    name_inputs();
    let (_, target) = targets::TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        INPUT.set(path);
        target(&bytes);
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed} inputs are no corpus");
}

#[test]
fn decoder() {
    replay("decoder");
}

#[test]
fn session() {
    replay("session");
}

#[test]
fn c_api() {
    replay("c_api");
}

#[test]
fn json_format() {
    replay("json_format");
}

#[test]
fn config_text() {
    replay("config_text");
}

#[test]
fn address() {
    replay("address");
}

#[test]
fn websocket() {
    replay("websocket");
}

#[test]
fn store() {
    replay("store");
}

/// What a fuzzer would begin with, where there is none.
#[test]
fn stores_that_are_damaged_at_random() {
    let mut state = 0x9e37_79b9_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    for _ in 0..4_000 {
        let len = usize::from(next()) + 40;
        let bytes: Vec<u8> = (0..len).map(|_| next()).collect();
        targets::store::run(&bytes);
    }
}

#[test]
fn every_target_has_a_program_and_no_program_is_without() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let programs: Vec<&str> =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
    let names: Vec<String> = targets::TARGETS.iter().map(|(name, _)| format!("{name}.rs\"")).collect();
    assert_eq!(programs, names);
}

/// `docs/reliability.md` says of each target what its bytes are, and what is checked.
#[test]
fn every_target_is_described() {
    let page = include_str!("../docs/reliability.md");
    let described: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("| target | what the bytes are |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let mut names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    // The one in C.
    names.push("json_read");
    assert_eq!(described, names);
}
