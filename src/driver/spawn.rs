//! Starting threads, such that they are none of the application's business.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Runs what it is given, on the same thread; a thread that is started there inherits what it has set up.
pub type Around = fn(&mut dyn FnMut());

/// Sets up nothing.
pub(super) const NOTHING_AROUND: Around = |start| start();

/// Starts a thread with this name, inside `around`.
pub(super) fn spawn(
    around: Around,
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let mut body = Some(body);
    let mut started = Err(io::ErrorKind::Other.into());
    around(&mut || {
        if let Some(body) = body.take() {
            started = Builder::new().name(name.to_owned()).spawn(body);
        }
    });
    started
}
