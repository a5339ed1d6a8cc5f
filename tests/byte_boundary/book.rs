//! What became of the messages of each case. The device and the observer write it down.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

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

/// The counts of one case, and who waits for them: a note wakes the threads of its own case alone.
#[derive(Default)]
struct Page {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<usize, Arc<Page>>>);

impl Book {
    fn page(&self, case: usize) -> Arc<Page> {
        self.0.lock().unwrap().entry(case).or_default().clone()
    }

    pub(crate) fn note(&self, case: usize, note: impl FnOnce(&mut Counts)) {
        let page = self.page(case);
        note(&mut page.counts.lock().unwrap());
        page.changed.notify_all();
    }

    #[track_caller]
    pub(crate) fn wait(&self, case: usize, what: &str, done: impl FnMut(&Counts) -> bool) {
        assert!(self.comes(case, LONG, done), "case {case}: {what}");
    }

    /// Whether it is so, or becomes so within `patience`.
    pub(crate) fn comes(
        &self,
        case: usize,
        patience: Duration,
        mut done: impl FnMut(&Counts) -> bool,
    ) -> bool {
        let page = self.page(case);
        let counts = page.counts.lock().unwrap();
        let (_counts, waited) =
            page.changed.wait_timeout_while(counts, patience, |counts| !done(counts)).unwrap();
        !waited.timed_out()
    }

    /// What is written of a case, which ends with this.
    pub(crate) fn close(&self, case: usize) -> Counts {
        let page = self.0.lock().unwrap().remove(&case).unwrap_or_default();
        std::mem::take(&mut *page.counts.lock().unwrap())
    }
}
