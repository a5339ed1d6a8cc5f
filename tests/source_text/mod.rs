//! The source of the library as text, for the tests that read it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Cargo.toml is.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

/// Every file of the library below `below`.
pub(crate) fn files(below: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join(below), &mut files);
    files
}

/// Every file of the library below `below`, without comments and without its unit tests, and its path.
pub(crate) fn sources(below: &str) -> Vec<(String, String)> {
    let files = files(below);
    let is_test = |name: &str| name.contains("/tests/") || name.ends_with("tests.rs");
    let mut all: Vec<(String, String)> = files
        .iter()
        .map(|path| (path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| !is_test(name))
        .map(|(name, path)| (name, code(&fs::read_to_string(path).unwrap())))
        .collect();
    all.sort();
    assert!(all.len() > 20, "{below} has {} files", all.len());
    all
}

/// A source text without its comments and its unit tests, which stand at its end.
pub(crate) fn code(text: &str) -> String {
    let tests = ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().filter_map(|begin| text.find(begin)).min();
    let lines = text[..tests.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}
