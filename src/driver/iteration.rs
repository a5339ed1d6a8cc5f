//! One iteration of a loop: sleep, collect, give turns.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};

use super::dispatch::Dispatch;
use super::ready::{Begun, Next, SHORT_SLICE};
use super::slots::{Readiness, SourceId};
use super::{AnySource, Loop};
use crate::time::{Moment, Span, Time};

/// The waker's token; no [`SourceId`] has these bits.
pub(super) const WAKER: Token = Token(usize::MAX);

/// How many events one iteration takes from the system. What is left comes in the next iteration; a foreign
/// loop is told to come back at once.
const EVENTS: usize = 256;

/// The size of the read buffer that all sources of a loop share. One byte more than 128 KiB, for
/// the NUL that follows a payload.
const BUFFER: usize = 128 * 1024 + 1;

/// What only the driver uses: it is handed over with the role.
#[derive(Debug)]
pub(super) struct Engine {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// See [`Turn::spare`].
    spare: Vec<u8>,
    /// The sources that are still to be told the end of an iteration.
    every_iteration: Vec<SourceId>,
}

impl Engine {
    pub(super) fn new(poll: Poll) -> Engine {
        Engine {
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; BUFFER],
            spare: Vec::new(),
            every_iteration: Vec::new(),
        }
    }
}

/// Something that a loop drives: a connection, for instance.
///
/// Turns of one loop's sources never overlap; they run on the thread that drives, and no lock of
/// the driver is held meanwhile. A turn may come without a reason, and must then do no harm.
pub trait Source: Send + Sync {
    /// One turn: the socket is ready, the deadline has come, or [`Loop::schedule`] was called, or [`Turn::again`] in
    /// the turn before. It must do a bounded amount of work: if there is much to do, it stops where it can and asks
    /// for another turn, unless [it must not](Turn::is_bounded).
    fn drive(&self, turn: &mut Turn<'_>);

    /// The beginning of an iteration, before it sleeps, for sources with [`Loop::set_every_begin`]: a chance to check
    /// for changes that nobody announces. No user code runs here.
    fn iteration_begin(&self) {}

    /// The end of an iteration, for sources with [`Loop::set_every_iteration`].
    fn iteration_end(&self, turn: &mut Turn<'_>) {
        let _ = turn;
    }
}

/// What a source sees of its loop during a turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time at the beginning of the turn. A source that reads the clock at the end of its turn stores the time
    /// here, so that it need not be read again.
    pub now: Time,
    /// The socket became readable, or has an error or the end of the stream to be read. This is an edge: it is not
    /// reported again until everything was read. A source that stops earlier calls [`again`](Self::again).
    pub readable: bool,
    /// What is to be read is an error, or is followed by the end of the stream. Also an edge: it is
    /// reported only once.
    pub ended: bool,
    /// The source itself.
    pub id: SourceId,
    /// The loop's read buffer, 128 KiB and one byte, shared by its sources one turn at a time.
    pub buffer: &'a mut Vec<u8>,
    /// A second buffer, for a source that keeps the loop's own: one that an earlier source has kept and given back.
    /// Empty if there is none, and after a quiet moment.
    pub spare: &'a mut Vec<u8>,
    registry: &'a Registry,
    handle: &'a Loop,
    deadline: Moment,
    again: bool,
    bounded: bool,
}

impl Turn<'_> {
    /// Where sockets are registered, with [`token`](Self::token), once each, for reading and writing.
    pub fn registry(&self) -> &Registry {
        self.registry
    }

    /// What to register a socket of this source with.
    pub fn token(&self) -> Token {
        Token(self.id.bits())
    }

    /// The source's next deadline, `None` after it came.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline.get()
    }

    /// Replaces the source's one deadline. It stays until it comes or is replaced.
    pub fn set_deadline(&mut self, deadline: impl Into<Moment>) {
        self.deadline = deadline.into();
    }

    /// There is work left: the source gets another turn in the next iteration, which does not sleep, after the
    /// sources that wait for their first one.
    pub fn again(&mut self) {
        self.again = true;
    }

    /// True if other sources wait for their turns. False if the loop is being closed and there may be no
    /// further turn: everything left has to be done in this one.
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// The loop.
    pub fn handle(&self) -> &Loop {
        self.handle
    }
}

/// One iteration that sleeps until `until` at most. Only the owner of the engine can call it.
///
/// It ends soon, so that the driver can check its own condition and time limit; what is left comes first in the
/// next iteration. If it is not `bounded`, it does everything, for a loop that has no further iterations.
pub(super) fn iteration(handle: &Loop, engine: &mut Engine, until: Time, bounded: bool) -> io::Result<()> {
    let inner = &*handle.0;
    let ready = &inner.protocol.ready;
    if inner.begins.load(Ordering::Relaxed) {
        (0..).map_while(|at| ready.every_begin(at)).for_each(|source| source.iteration_begin());
    }
    sleep(handle, engine, until)?;
    if inner.interrupted.load(Ordering::Relaxed) && inner.interrupted.swap(false, Ordering::SeqCst) {
        handle.notify();
    }

    let events = engine.events.iter().map(|event| {
        if event.token() == WAKER {
            return None;
        }
        let ended = event.is_error() || event.is_read_closed();
        let readable = ended || event.is_readable();
        Some((SourceId::from_bits(event.token().0)?, Readiness { readable, ended }))
    });
    let mut next = ready.after_sleep(handle.now(), EVENTS, events, bounded);
    while let Some((id, begun)) = next.turn {
        next = turn(handle, engine, id, begun, bounded, |source, turn| source.drive(turn));
    }
    if next.ticks {
        end_of_round(handle, engine, bounded);
    }
    Ok(())
}

/// Tells the sources that asked for it. Those that it does not get to in time come first at the end of the next
/// iteration.
fn end_of_round(handle: &Loop, engine: &mut Engine, bounded: bool) {
    let ready = &handle.0.protocol.ready;
    if engine.every_iteration.is_empty() {
        ready.every_iteration(&mut engine.every_iteration);
    }
    let mut now = handle.now();
    let until = now + SHORT_SLICE;
    while let Some(id) = engine.every_iteration.pop() {
        if let Some(begun) = ready.begin_round_end(id, now) {
            turn(handle, engine, id, begun, bounded, |source, turn| source.iteration_end(turn));
            if engine.every_iteration.is_empty() {
                return;
            }
            now = handle.now();
            if bounded && now >= until {
                return;
            }
        }
    }
}

/// Sleeps until something is ready or due, or until `until`.
fn sleep(handle: &Loop, engine: &mut Engine, until: Time) -> io::Result<()> {
    let inner = &*handle.0;
    let now = inner.clock.now();
    let limit = (until != Time::NEVER).then(|| until.since(now));
    // mio rounds up to the milliseconds of epoll, so the loop does not spin for a deadline a moment
    // away.
    let timeout = inner.protocol.ready.before_sleep(now, limit).map(Span::to_duration);
    let polled = engine.poll.poll(&mut engine.events, timeout);
    if !engine.spare.is_empty() && engine.events.is_empty() && timeout != Some(Duration::ZERO) {
        engine.spare = Vec::new();
    }
    match polled {
        // A signal. Its handler may have changed what the driver waits for.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            engine.events.clear();
            Ok(())
        }
        other => other,
    }
}

/// Gives one source its turn.
fn turn(
    handle: &Loop,
    engine: &mut Engine,
    id: SourceId,
    begun: Begun<AnySource>,
    bounded: bool,
    run: impl FnOnce(&dyn Source, &mut Turn<'_>),
) -> Next<AnySource> {
    let inside = Dispatch::enter();
    // Bound after `inside`, so that it is dropped before: this may be the last reference, and a
    // destructor is user code, too.
    let Begun { value: source, ready: Readiness { readable, ended }, deadline, now } = begun;
    // A source may have taken the buffer apart.
    if engine.buffer.len() != BUFFER {
        engine.buffer.resize(BUFFER, 0);
    }
    let mut turn = Turn {
        now,
        readable,
        ended,
        id,
        buffer: &mut engine.buffer,
        spare: &mut engine.spare,
        registry: engine.poll.registry(),
        handle,
        deadline,
        again: false,
        bounded,
    };
    run(&*source, &mut turn);
    let Turn { deadline, again, now: at_end, .. } = turn;
    // Before another turn begins: what the destructor may do must not concern that one.
    drop(source);
    drop(inside);
    let asked = at_end != now;
    handle.0.protocol.ready.end(id, deadline, again, &|| if asked { at_end } else { handle.now() })
}
