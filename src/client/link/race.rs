//! Opening a connection to one of the endpoints of a server (RFC 8305, "happy eyeballs"): as long as one does not answer,
//! the next is opened beside it, the first that is open wins, and the others are closed.
//!
//! Each is registered with the connection's own token: whatever the loop says of one of them leads to a turn, which looks
//! at all of them. The winner is registered anew, so that nothing that was said of another one is taken for its own.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::Registry;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::link::report::TIMED_OUT;
use crate::client::pump::PumpSource;
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::client::state::tries::Opening;
use crate::driver::Turn;
use crate::sync::MutexGuard;
use crate::time::{Moment, Span, Time};
use crate::transport::custom::Custom;
use crate::transport::{Endpoint, LayerError, Stream};

/// So long an endpoint has before the next one is opened beside it (RFC 8305, section 8).
const ATTEMPT_DELAY: Span = Span::millis(250);

impl Conn {
    /// Opens a stream whose bytes `custom` moves.
    fn open_custom(
        &self,
        st: &mut State,
        custom: Arc<dyn Custom>,
        endpoint: &Endpoint,
    ) -> io::Result<Stream> {
        let (stream, pump) = PumpSource::open(&self.context.driver, custom, endpoint, st.first_hop())?;
        st.extras.make().pump = Some(Arc::downgrade(&pump));
        Ok(stream)
    }

    /// Begins to open the next endpoint beside those that are being opened; without one left, the attempt has failed.
    pub(in crate::client) fn next_endpoint<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let next = st.next_endpoint();
        self.try_endpoint(st, turn, next)
    }

    /// The same, beginning with this one.
    pub(in crate::client) fn try_endpoint<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut next: Option<Endpoint>,
    ) -> MutexGuard<'a, State> {
        while let Some(endpoint) = next {
            let text = format_args!("opening a {} to {endpoint}", endpoint.what());
            self.note(&mut st, Level::Debug, text);
            let dialled = match (&endpoint, st.extras.custom.clone()) {
                (Endpoint::Custom(_), Some(custom)) => self.open_custom(&mut st, custom, &endpoint),
                _ => (self.context.dial)(&endpoint, &st.profile.route.socket),
            };
            let opened = dialled.and_then(|mut transport| {
                transport.register(turn.registry(), turn.token())?;
                Ok(transport)
            });
            match opened {
                Ok(transport) => {
                    let one = Opening { endpoint, transport };
                    let next = st.begin_opening(turn.now);
                    match &mut st.link {
                        Link::Opening { race, by } => {
                            race.push(one);
                            *by = next;
                        }
                        link => *link = Link::Opening { race: vec![one], by: next },
                    }
                    st.ended = false;
                    return st;
                }
                Err(error) => {
                    if let Some(error) = LayerError::of(&error) {
                        let mut report = st.layer_report(error);
                        let tries = st.tries.make();
                        // Those that were tried before stay in the account of the attempt.
                        tries.others.make().tried = std::mem::take(&mut report.tried);
                        tries.insecure = Some(Box::new(report));
                    }
                    let os = error.raw_os_error().unwrap_or(0);
                    st.tries.make().others.make().tried.push((endpoint, os));
                }
            }
            next = st.next_endpoint();
        }
        let last = st.begin_opening(turn.now);
        if let Link::Opening { race, by } = &mut st.link
            && !race.is_empty()
        {
            *by = last;
            return st;
        }
        // That somebody answered, and not as he should, or that a socket could not be made, says more than that somebody else
        // did not answer.
        let report = match st.tries.make().insecure.take() {
            Some(report) => Report { tried: st.take_tried(), ..*report },
            None => st.unreachable_report(),
        };
        self.link_down(st, turn, report)
    }

    /// Looks at those that are being opened.
    pub(in crate::client) fn opening<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let state = &mut *st;
        let Link::Opening { race, by } = &mut state.link else { return st };
        let several = state.tries.others.get().is_some();
        let more = !state.tries.others.endpoints.is_empty();
        let due = by.is_over(turn.now);
        let late = due && !more;
        let (mut at, mut failed, mut said) = (0, false, None);
        while let Some(one) = race.get_mut(at) {
            let open = match one.transport.connected() {
                Ok(true) if several => register_anew(&mut one.transport, turn),
                other => other,
            };
            let os = match open {
                Ok(true) => return self.won(st, turn, at),
                Ok(false) if !late => {
                    at += 1;
                    continue;
                }
                Ok(false) => TIMED_OUT,
                Err(error) => {
                    said = LayerError::of(&error).cloned().or(said);
                    error.raw_os_error().unwrap_or(0)
                }
            };
            let Opening { endpoint, mut transport } = race.remove(at);
            transport.deregister(turn.registry());
            state.tries.make().others.make().tried.push((endpoint, os));
            failed = true;
        }
        let waits = !race.is_empty() && !(more && (due || failed));
        if let Some(error) = said {
            let report = st.layer_report(&error);
            st.tries.make().insecure = Some(Box::new(report));
        }
        if waits {
            return st;
        }
        st.end_opening(turn.now);
        self.next_endpoint(st, turn)
    }

    /// The one at this place is open.
    fn won<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        at: usize,
    ) -> MutexGuard<'a, State> {
        let Link::Opening { mut race, .. } = std::mem::replace(&mut st.link, Link::Idle) else { return st };
        let Opening { endpoint, transport } = race.remove(at);
        if let Some(others) = st.tries.get_mut().and_then(|tries| tries.others.get_mut()) {
            // Should this one turn out not to be a server as it should be, they are tried again.
            race.iter().rev().for_each(|one| others.endpoints.push_front(one.endpoint.clone()));
            st.ended = false;
        }
        close(race, turn.registry());
        self.note(&mut st, Level::Debug, format_args!("the {} is open", endpoint.what()));
        st.tries.make().target = Some(endpoint);
        st.end_opening(turn.now);
        self.begin_layer(st, turn, transport, 0)
    }
}

/// Registers an open stream once more, so that its readiness is reported again.
fn register_anew(transport: &mut Stream, turn: &Turn<'_>) -> io::Result<bool> {
    transport.deregister(turn.registry());
    transport.register(turn.registry(), turn.token()).map(|()| true)
}

/// The addresses by turns of both families, beginning with that of the first (RFC 8305, section 4).
pub(in crate::client) fn interleave(addresses: &[SocketAddr]) -> VecDeque<Endpoint> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let family = |of_first| addresses.iter().filter(move |one| (one.is_ipv6() == first_is_ipv6) == of_first);
    let (mut first, mut second) = (family(true), family(false));
    let mut endpoints = VecDeque::with_capacity(addresses.len());
    while endpoints.len() < addresses.len() {
        endpoints.extend(first.next().into_iter().chain(second.next()).copied().map(Endpoint::from));
    }
    endpoints
}

/// Nobody wants these any more.
pub(in crate::client) fn close(race: Vec<Opening>, registry: &Registry) {
    for mut one in race {
        one.transport.deregister(registry);
    }
}

impl State {
    /// An endpoint is being opened; until when alone, or if it is the last one, at all. With many of them to come in a
    /// short time, each has its share of that.
    fn begin_opening(&mut self, now: Time) -> Moment {
        let limit = self.profile.timeouts.tcp;
        let left = Span(limit.0.saturating_sub(self.tries.others.used.0));
        let share = match self.tries.others.endpoints.len() as u64 {
            0 => left,
            _ if limit == Span::ZERO => ATTEMPT_DELAY,
            more => Span(left.0 / (more + 1)).min(ATTEMPT_DELAY),
        };
        if let Some(others) = self.tries.get_mut().and_then(|tries| tries.others.get_mut()) {
            others.present = (now, share);
        }
        (share > Span::ZERO || limit > Span::ZERO).then(|| now + share).into()
    }

    /// It is open, or will not be. That the loop was late is not its fault.
    fn end_opening(&mut self, now: Time) {
        if let Some(others) = self.tries.get_mut().and_then(|tries| tries.others.get_mut()) {
            let (since, share) = others.present;
            others.used = Span(others.used.0 + now.since(since).min(share).0);
        }
    }

    fn next_endpoint(&mut self) -> Option<Endpoint> {
        self.tries.get_mut()?.others.get_mut()?.endpoints.pop_front()
    }
}
