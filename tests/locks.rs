//! What `src/sync.rs` and `src/capi/bridge/fork.rs` promise of the library's locks, read from the source: a new lock, or a new
//! kind of callback, cannot be forgotten.

mod source_text;

use std::fs;
use std::path::Path;

use source_text::{code, root, sources};

/// What waits for another thread, or knows that one is at work.
const LOCKS: [&str; 12] = [
    "Mutex",
    "RwLock",
    "Condvar",
    "Once",
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "Lazy",
    "Barrier",
    "Pool",
    "Registry",
    "ReentrantLock",
];

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The names and types of the statics in a source text, but for those of a thread.
fn statics(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("static ") {
        let before = &text[..at];
        // `&'static`, and what belongs to one thread.
        if before.ends_with(['\'', '_'])
            || before.rfind("thread_local! {").is_some_and(|begin| !closed(&before[begin..]))
        {
            continue;
        }
        let rest = &text[at + "static ".len()..];
        let Some((name, rest)) = rest.split_once(':') else { continue };
        if name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
            found.push((name, rest.split_once(" =").map_or(rest, |(kind, _)| kind)));
        }
    }
    found
}

/// Whether the brace that a text opens is closed in it.
fn closed(text: &str) -> bool {
    text.matches('{').count() == text.matches('}').count()
}

// field: F-32
#[test]
fn every_lock_of_the_process_is_known_to_the_fork_handler() {
    let fork = code(&fs::read_to_string(root().join("src/capi/bridge/fork.rs")).unwrap());
    let list = fork.split_once("static LOCKS").unwrap().1.split_once("];").unwrap().0;
    let known: Vec<&str> = list.split('&').filter_map(|entry| entry.trim().strip_suffix(',')).collect();
    let mut missing = Vec::new();
    let mut held = 0;
    for (file, text) in sources("src") {
        let module = Path::new(&file).file_stem().unwrap().to_str().unwrap();
        for (name, kind) in statics(&text) {
            if !words(kind).any(|word| LOCKS.contains(&word)) || name == "LOCKS" {
                continue;
            }
            let full = format!("{module}::{name}");
            if known.iter().any(|known| *known == full || *known == name) {
                held += 1;
            } else {
                missing.push(format!("{file}: {name}: {kind}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in LOCKS of src/capi/bridge/fork.rs: {missing:#?}");
    // What is in the list, and is found by nobody, would make this test blind.
    assert_eq!(held, known.len(), "{known:?}");
}

// field: F-30
#[test]
fn every_lock_is_counted_in_debug_builds() {
    // Set once, under no condition that another thread could wait for: the id of a connection in its loop, and what moves the
    // bytes of a stream there.
    let allowed = [
        ("src/client/conn.rs", "OnceLock"),
        ("src/client/mod.rs", "OnceLock"),
        ("src/client/pump.rs", "OnceLock"),
    ];
    let mut others = Vec::new();
    for (file, text) in sources("src") {
        if file == "src/sync.rs" {
            continue;
        }
        for line in
            text.lines().filter(|line| line.contains("std::sync::") || line.contains("once_cell::sync"))
        {
            others.extend(
                words(line)
                    .filter(|word| LOCKS.contains(word) || word.ends_with("Guard"))
                    .filter(|word| !allowed.contains(&(file.as_str(), word)))
                    .map(|word| format!("{file}: {word}")),
            );
        }
    }
    assert!(others.is_empty(), "locks of crate::sync are to be used instead: {others:#?}");
}

// field: F-30
#[test]
fn every_call_of_a_function_of_the_application_is_checked() {
    let mut calls = 0;
    let mut unchecked = Vec::new();
    let all = sources("src/capi");
    for (file, text) in &all {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !calls_user_code(line, &all) {
                continue;
            }
            calls += 1;
            // Right before it, or before the `unsafe` that it stands in; comments are empty lines here.
            let before = lines[..number].iter().rev().filter(|line| !matches!(line.trim(), "" | "unsafe {"));
            if before.clone().next().is_none_or(|line| line.trim() != "entering_user_code();") {
                unchecked.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(unchecked.is_empty(), "entering_user_code() is to stand before: {unchecked:#?}");
    // Handlers (three shapes), connect hook, log function, destructor, `done`, event bus, poll callback, printers (two).
    assert!(calls >= 11, "only {calls} calls were recognised");
}

/// Whether a line calls a function pointer: one that stands in a field, or in a variable, which is what the name of no
/// function is. The pointer of varargs.c that fetches an argument calls the application only for `%M`.
fn calls_user_code(line: &str, all: &[(String, String)]) -> bool {
    let field = line.split_once(")(").and_then(|(before, _)| before.rsplit_once('('));
    if field.is_some_and(|(_, path)| path.contains('.')) {
        return !line.contains("(self.fetch)") || line.contains("PRINTER");
    }
    let Some((_, call)) = line.split_once("unsafe { ") else { return false };
    let name = &call[..call.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(call.len())];
    // Variables that are called as functions elsewhere are.
    if ["free(self.ud)", "printer(self.out, "].into_iter().any(|variable| call.starts_with(variable)) {
        return true;
    }
    let called = !name.is_empty() && call[name.len()..].starts_with('(');
    let definitions = [format!("fn {name}("), format!("fn {name}<"), format!(" as {name};")];
    let defined = |text: &str| definitions.iter().any(|definition| text.contains(definition));
    called && !all.iter().any(|(_, text)| defined(text))
}
