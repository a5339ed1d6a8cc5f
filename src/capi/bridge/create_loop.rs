//! Making a loop.

use std::sync::Arc;

use crate::capi::base::signals;
use crate::capi::base::system::{boot_clock, send_queue};
use crate::capi::bridge::builtin_handler::BuiltinHandler;
use crate::capi::bridge::handle::LoopHandle;
use crate::capi::config::system;
use crate::client::{Builtin, Context};
use crate::driver::{Clock, Loop};
use crate::error::Code;

/// A loop with everything that the C interface adds to one.
pub(in crate::capi) fn create_loop() -> Result<Arc<LoopHandle>, Code> {
    let clock = Clock::from_fn(boot_clock);
    let driver = Loop::with_threads_inside(clock, signals::blocked).map_err(|_| Code::NoResources)?;
    let mut context = Context::new(driver);
    // Added before all others, so that it runs last.
    context.builtin_handler = Builtin::new(BuiltinHandler::KINDS, Box::new(BuiltinHandler));
    context.send_queue = send_queue;
    context.default_client_id = || system::device_id().ok().flatten();
    Ok(LoopHandle::new(Arc::new(context)))
}
