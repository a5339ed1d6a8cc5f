//! Computations that take long, on helper threads: a loop does not stand still for them.
//!
//! As with names, a thread owns nothing but its job, and the asker can simply give up: what no thread has begun is then not
//! done at all.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::spawn::{Around, spawn};
use crate::sync::Mutex;

/// How many of a loop's computations run at a time: they take the processor from the loop itself.
const MAX_THREADS: usize = 2;

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub enum TaskError {
    /// No thread could be started.
    NoResources,
    /// The computation panicked.
    Panicked,
}

type Slot<T> = Mutex<Option<Result<T, TaskError>>>;

/// A computation. Dropping it means that the result is of no interest any more.
pub struct Task<T>(Arc<Slot<T>>);

impl<T> Task<T> {
    /// The result, once.
    pub fn take(&self) -> Option<Result<T, TaskError>> {
        self.0.lock().take()
    }
}

/// Runs the computation, or tells that it cannot be run.
type Job = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    threads: usize,
}

/// The helper threads of one loop, and their jobs.
pub(super) struct Workers {
    around: Around,
    work: Mutex<Work>,
}

impl Workers {
    /// The threads are started inside `around`.
    pub(super) fn new(around: Around) -> Workers {
        Workers { around, work: Mutex::default() }
    }

    /// Has `compute` run on a thread. `announce` is called when the result is there, unless nobody waits for it any more.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        compute: impl FnOnce() -> T + Send + 'static,
        announce: impl FnOnce() + Send + 'static,
    ) -> Task<T> {
        let slot: Arc<Slot<T>> = Arc::default();
        let asker = Arc::downgrade(&slot);
        let job: Job = Box::new(move |may_run| {
            if asker.strong_count() == 0 {
                return;
            }
            let result = match may_run {
                true => catch_unwind(AssertUnwindSafe(compute)).map_err(|_| TaskError::Panicked),
                false => Err(TaskError::NoResources),
            };
            if let Some(slot) = asker.upgrade() {
                *slot.lock() = Some(result);
                announce();
            }
        });
        let mut work = self.work.lock();
        work.queue.push_back(job);
        if work.threads < MAX_THREADS {
            let shared = self.clone();
            match spawn(self.around, "mgos-mqtt-auth", move || shared.serve()) {
                Ok(_) => work.threads += 1,
                // Another thread may take it; without any, nobody would.
                Err(_) if work.threads > 0 => {}
                Err(_) => {
                    let stranded = work.queue.pop_back();
                    drop(work);
                    if let Some(job) = stranded {
                        job(false);
                    }
                }
            }
        }
        Task(slot)
    }

    /// Forgets what no thread has begun with.
    pub(super) fn clear(&self) {
        let queue = std::mem::take(&mut self.work.lock().queue);
        drop(queue);
    }

    /// What a helper thread does until there is no more work.
    fn serve(&self) {
        loop {
            let mut work = self.work.lock();
            let Some(job) = work.queue.pop_front() else {
                // Under the same lock as the look at the queue: whoever adds a job later sees that this thread is gone.
                work.threads -= 1;
                return;
            };
            drop(work);
            job(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::driver::spawn::NOTHING_AROUND;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_result_is_announced_and_taken_once() {
        let workers = Arc::new(Workers::new(NOTHING_AROUND));
        let (announce, announced) = channel();
        let task = workers.run(|| 7, move || announce.send(()).unwrap());
        announced.recv_timeout(LONG).unwrap();
        assert_eq!((task.take(), task.take()), (Some(Ok(7)), None));
    }

    #[test]
    fn a_panic_is_an_answer_and_costs_no_thread() {
        let workers = Arc::new(Workers::new(NOTHING_AROUND));
        for _ in 0..2 * MAX_THREADS {
            let (announce, announced) = channel();
            let task = workers.run::<()>(|| panic!("for the test"), move || announce.send(()).unwrap());
            announced.recv_timeout(LONG).unwrap();
            assert_eq!(task.take(), Some(Err(TaskError::Panicked)));
        }
    }

    /// No more threads than allowed; and what nobody wants any more is not begun.
    #[test]
    fn threads_are_few_and_work_that_was_given_up_is_not_done() {
        let workers = Arc::new(Workers::new(NOTHING_AROUND));
        let (begin, begun) = channel();
        let mut holds = Vec::new();
        let tasks: Vec<_> = (0..MAX_THREADS)
            .map(|_| {
                let (hold, held) = channel::<()>();
                holds.push(hold);
                let begin = begin.clone();
                workers.run(
                    move || {
                        begin.send("first").unwrap();
                        held.recv().ok()
                    },
                    || {},
                )
            })
            .collect();
        for _ in &tasks {
            assert_eq!(begun.recv_timeout(LONG), Ok("first"));
        }
        let given_up = {
            let begin = begin.clone();
            workers.run(move || begin.send("given up").unwrap(), || {})
        };
        let last = workers.run(move || begin.send("last").unwrap(), || {});
        assert_eq!(workers.work.lock().threads, MAX_THREADS);
        drop(given_up);
        drop(holds);
        assert_eq!(begun.recv_timeout(LONG), Ok("last"));
        drop((tasks, last));
    }
}
