//! The durable store: what was accepted is there after a power cut.
//!
//! A segmented log of our own, since what libraries offer either loses what stands behind damage, or writes many times the
//! message for each message (docs/store.md has the comparison, and the format byte by byte). It knows nothing of sessions and
//! connections: messages are bytes with a token and a class, and what became of them is a number.
//!
//! Words: something is *written* when the operating system has it, and *safe* when a power cut does not take it. A message *ends*
//! when nothing more is to be done for it. Records are *void* when they stand in a file, and do not count. What a record of the
//! state says is *applied* in a segment that was made when it was known. The *tail* is the segment that is written to.
//!
//! | file         | what |
//! |--------------|------|
//! | `writer.rs`  | the thread that works on the files: promises, groups, results |
//! | `open.rs`    | opening: what is there, what can be read, what is missing |
//! | `core.rs`    | the store on one thread: append, end, read, commit |
//! | `compact.rs` | segments that a few old messages keep alive become one |
//! | `log.rs`     | the messages of one class: its segments |
//! | `journal.rs` | the file of the state |
//! | `state.rs`   | what became of messages, packet ids, tokens; as records |
//! | `context.rs` | what all parts need: the folder, the cipher, what could not be read |
//! | `scan.rs`    | reading records, past what is damaged |
//! | `message.rs` | the body of a message |
//! | `record.rs`  | headers and frames, checksums |
//! | `ranges.rs`  | a set of numbers |
//! | `cipher.rs`  | encryption by the application |
//! | `files.rs`   | what is needed of a file system; the operating system's |
//! | `error.rs`   | errors and losses |

mod cipher;
mod compact;
mod context;
mod core;
mod error;
mod files;
mod journal;
mod log;
mod message;
mod open;
mod ranges;
mod record;
mod scan;
mod state;
mod writer;

pub use cipher::{Cipher, Position};
pub use context::Stored;
pub use core::{CLASSES, Failed, MakeSafe, Options, Store, TOKEN_BLOCK};
pub use error::{Cause, Error, Kind, Loss, Result};
pub use files::{File, Files, Folder};
pub use message::Message;
pub use state::{Fate, Outcome};
pub use writer::{Answer, Batching, Promise, Results, Work, Writer};
