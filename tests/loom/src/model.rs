//! What stands in for the poller and the iteration of the real loop.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use loom::sync::{Arc, Condvar, Mutex};

use crate::driver::protocol::{Driving, Protocol};
use crate::driver::ready::Wake;
use crate::driver::slots::{Readiness, SourceId};
use crate::time::{Moment, Span, Time};

/// The poller's descriptor, edge-triggered: a write to the waker, or a socket's event, makes the
/// present or the next sleep return.
#[derive(Clone)]
pub struct Fd(Arc<(Mutex<Edge>, Condvar)>);

#[derive(Default)]
struct Edge {
    edge: bool,
    writes: usize,
    event: Option<SourceId>,
}

impl Fd {
    fn new() -> Fd {
        Fd(Arc::new((Mutex::new(Edge::default()), Condvar::new())))
    }

    /// Sleeps until the next edge; with `Some(ZERO)` only takes note of one.
    pub fn sleep(&self, limit: Option<Span>) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        while !state.edge && limit != Some(Span::ZERO) {
            state = changed.wait(state).unwrap();
        }
        state.edge = false;
    }

    /// A source's socket becomes readable.
    pub fn event(&self, id: SourceId) {
        self.change(|state| state.event = Some(id));
    }

    fn change(&self, change: impl FnOnce(&mut Edge)) {
        let mut state = self.0.0.lock().unwrap();
        change(&mut state);
        state.edge = true;
        self.0.1.notify_all();
    }

    fn take_event(&self) -> Option<SourceId> {
        self.0.0.lock().unwrap().event.take()
    }

    pub fn writes(&self) -> usize {
        self.0.0.lock().unwrap().writes
    }
}

impl Wake for Fd {
    fn wake(&self) {
        self.change(|state| state.writes += 1);
    }
}

/// A source that counts its turns.
#[derive(Default)]
pub struct Counter {
    pub turns: AtomicUsize,
}

/// The engine: proves that nobody else has it.
pub struct Engine {
    fd: Fd,
    sleeps: usize,
}

pub struct Model {
    pub protocol: Protocol<Engine, Arc<Counter>, Fd>,
    pub fd: Fd,
    driving: AtomicBool,
}

impl Model {
    pub fn new() -> Arc<Model> {
        let fd = Fd::new();
        let engine = Engine { fd: fd.clone(), sleeps: 0 };
        Arc::new(Model { protocol: Protocol::new(engine, fd.clone()), fd, driving: AtomicBool::new(false) })
    }

    pub fn add(&self) -> (SourceId, Arc<Counter>) {
        let counter = Arc::new(Counter::default());
        let id = self.protocol.ready.add(counter.clone()).ok().unwrap();
        (id, counter)
    }

    /// What `iteration.rs` does, with `turn` in place of user code.
    pub fn iteration_with(
        &self,
        engine: &mut Engine,
        limit: Option<Span>,
        turn: &mut dyn FnMut(SourceId, &Counter),
    ) -> Result<(), ()> {
        assert!(!self.driving.swap(true, SeqCst), "two drivers");
        let ready = &self.protocol.ready;
        let timeout = ready.before_sleep(Time::ZERO, limit);
        engine.sleeps += usize::from(timeout != Some(Span::ZERO));
        engine.fd.sleep(timeout);
        let ready_to_read = Readiness { readable: true, ..Readiness::default() };
        let event = engine.fd.take_event().map(|id| (id, ready_to_read));
        let mut next = ready.after_sleep(Time::ZERO, usize::MAX, event.into_iter().map(Some), true);
        while let Some((id, begun)) = next.turn {
            begun.value.turns.fetch_add(1, SeqCst);
            turn(id, &begun.value);
            next = ready.end(id, Moment::NONE, false, &|| Time::ZERO);
        }
        // At most one write per sleep, and none without.
        assert!(self.fd.writes() <= engine.sleeps + self.outside_writes());
        assert!(self.driving.swap(false, SeqCst));
        Ok(())
    }

    pub fn iteration(&self, engine: &mut Engine, limit: Option<Span>) -> Result<(), ()> {
        self.iteration_with(engine, limit, &mut |_, _| ())
    }

    pub fn drive(&self, driving: &mut Driving<'_, Engine, Arc<Counter>, Fd>, limit: Option<Span>) {
        driving.iteration(&mut |engine| self.iteration(engine, limit)).unwrap();
    }

    /// `Loop::wait` without a deadline, where every turn brings about something.
    pub fn wait(&self, me: usize, done: &mut dyn FnMut() -> bool) -> bool {
        let mut iteration =
            |engine: &mut Engine| self.iteration_with(engine, None, &mut |_, _| self.protocol.notify(me));
        self.protocol.wait(me, &|| None, done, &mut iteration).unwrap()
    }

    /// Writes that a watched descriptor may get while nobody drives; counted loosely.
    fn outside_writes(&self) -> usize {
        if self.protocol.seat.mode() == crate::driver::role::Mode::Foreign { usize::MAX / 2 } else { 0 }
    }
}
