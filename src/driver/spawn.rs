//! Starting threads that do not disturb the application.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Runs a function on the same thread; a thread that is started there inherits what was set up, such as
/// the signal mask.
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
