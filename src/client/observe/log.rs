//! Keeping log records until no lock is held.

use std::collections::VecDeque;

use crate::client::conn::State;
use crate::client::state::log::{Level, Waiting};

impl State {
    /// Takes the records to be delivered; the last one says how many were left out.
    pub(in crate::client) fn take_log(&mut self) -> Vec<(Level, String)> {
        let Waiting { mut records, lost } = self.log.take().unwrap_or_default();
        if lost > 0 {
            records.push((Level::Warn, format!("{lost} more log records were left out")));
        }
        records
    }

    /// Puts back the [taken](State::take_log) records for which there was no time, before the newer ones.
    pub(in crate::client) fn put_log_back(&mut self, mut rest: VecDeque<(Level, String)>) {
        // Without memory for it they are lost, as all records are then.
        let Ok(waiting) = self.log.try_make() else { return };
        if rest.try_reserve(waiting.records.len()).is_ok() {
            rest.extend(waiting.records.drain(..));
            waiting.records = rest.into();
        }
    }
}
