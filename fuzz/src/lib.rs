//! What each fuzz target does with the bytes it is given. It panics if something is wrong.
//!
//! `fuzz_targets/` gives them to libFuzzer. tests/fuzz_corpus.rs includes this file, and replays the kept corpora
//! without it.

pub mod address;
pub mod c_api;
pub mod config_text;
pub mod decoder;
#[path = "../../tests/store_support/mod.rs"]
mod disk;
mod input;
pub mod json_format;
mod server;
pub mod session;
pub mod store;
pub mod websocket;

/// A target.
pub type Target = fn(&[u8]);

/// Each target by its name, which is that of its directory in `corpus/`.
pub const TARGETS: [(&str, Target); 8] = [
    ("decoder", decoder::run),
    ("session", session::run),
    ("c_api", c_api::run),
    ("json_format", json_format::run),
    ("config_text", config_text::run),
    ("address", address::run),
    ("websocket", websocket::run),
    ("store", store::run),
];
