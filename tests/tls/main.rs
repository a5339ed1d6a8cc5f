//! TLS, against real brokers and against servers that do what no broker does. What needs a process or a feature of its own is in
//! `tls_secrets.rs`, `tls_addresses.rs`, `tls_slow_files.rs` and `tls_psk.rs`.
//!
//! | file            | what |
//! |-----------------|------|
//! | `connect.rs`    | what works, with a real broker |
//! | `errors.rs`     | each thing that goes wrong: its code, and its sentence |
//! | `expiry.rs`     | certificates that expire and are replaced while the program runs |
//! | `files.rs`      | certificate files and texts, section by section |
//! | `keys.rs`       | the client's own certificate and key |
//! | `leaks.rs`      | no byte of a secret in an error or in the log |
//! | `options.rs`    | the structures of the C interface |
//! | `pq.rs`         | post-quantum key exchange |
//! | `sentences.rs`  | every error of rustls and webpki has a sentence |
//! | `sign.rs`       | a function of the application signs |
//! | `slow.rs`       | a handshake over a slow link |
//! | `trust.rs`      | pinned keys, revoked certificates |

#[path = "../tls_support/mod.rs"]
mod tls_support;

mod connect;
mod errors;
mod expiry;
mod files;
mod keys;
mod leaks;
mod options;
mod pq;
mod sentences;
mod sign;
mod slow;
mod trust;
