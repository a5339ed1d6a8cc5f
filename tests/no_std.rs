//! `wire` and `session` need only `core` and `alloc`: no clock, no socket, no thread.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compiles both rooms in a `#![no_std]` crate.
#[test]
fn builds_without_std() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Below the target directory of this very build, wherever that is.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_std");
    let output = Command::new(cargo)
        .args(["build", "--offline", "--quiet", "--manifest-path"])
        .arg(Path::new(ROOT).join("tests/no_std/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        // The flags of the outer build (coverage, sanitizers) are not for this one.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// On a hosted target `#![no_std]` does not keep a module from naming `std`, nor from naming a
/// clock that somebody wraps. So the words themselves are looked for.
#[test]
fn names_nothing_of_the_outside() {
    let forbidden = ["std::", "extern crate std", "mio", "rustls", "socket", "thread", "Instant", "HashMap"];
    let mut files = Vec::new();
    for room in ["src/wire", "src/session"] {
        source_files(&Path::new(ROOT).join(room), &mut files);
    }
    assert!(files.len() > 10, "only {} files found", files.len());
    let below = ["src/error.rs", "src/patience.rs", "src/lazy_box.rs", "src/time.rs"]
        .map(|file| Path::new(ROOT).join(file));
    files.extend_from_slice(&below);
    let mut found = String::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("a source file can be read");
        // What the rooms stand on talks of sockets and threads, and may.
        let forbidden = if below.contains(file) { &forbidden[..2] } else { &forbidden[..] };
        for (number, line) in text.lines().enumerate() {
            // What a comment says is no dependency.
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden.iter().filter(|word| names(code, word)) {
                found += &format!("{}:{}: `{word}`: {}\n", file.display(), number + 1, line.trim());
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

/// The check checks.
#[test]
fn sees_what_it_looks_for() {
    assert!(names("use std::io;", "std::"));
    assert!(names("let t = Instant::now();", "Instant"));
    assert!(names("use mio::Poll;", "mio"));
    assert!(names("use socket2::Socket;", "socket"));
    assert!(!names("let permission = 1;", "mio"));
    assert!(!names("dyn_std::x", "std::"));
}

/// Does a word in `code` begin with `word`? `thread` includes `thread_local`, `socket` `socket2`.
fn names(code: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(start, _)| !code[..start].chars().next_back().is_some_and(part_of_word))
}

/// All source files below `folder` but the tests, which may use std.
fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the room exists") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            source_files(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
            files.push(path);
        }
    }
}
