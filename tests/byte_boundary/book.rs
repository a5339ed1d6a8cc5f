//! What became of the messages of each case. The device and the observer write it down.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use mgos_mqtt::session::Outcome;

use crate::LONG;

/// What became of the messages of one case.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) subscribed: bool,
    /// Arrivals at the observer and at the device, by QoS.
    pub(crate) out: [usize; 3],
    pub(crate) into: [usize; 3],
    pub(crate) out_end: bool,
    pub(crate) in_end: bool,
    /// Outcomes of the device's messages, by QoS.
    pub(crate) outcomes: BTreeMap<u64, Outcome>,
    pub(crate) connects: usize,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) cases: Mutex<BTreeMap<usize, Counts>>,
    pub(crate) changed: Condvar,
}

impl Book {
    pub(crate) fn note(&self, case: usize, note: impl FnOnce(&mut Counts)) {
        note(self.cases.lock().unwrap().entry(case).or_default());
        self.changed.notify_all();
    }

    #[track_caller]
    pub(crate) fn wait(&self, case: usize, what: &str, mut done: impl FnMut(&Counts) -> bool) {
        let end = Instant::now() + LONG;
        let mut cases = self.cases.lock().unwrap();
        while !cases.get(&case).is_some_and(&mut done) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "case {case}: {what}");
            cases = self.changed.wait_timeout(cases, left).unwrap().0;
        }
    }
}
