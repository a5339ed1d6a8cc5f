//! Opening a connection to one of the endpoints of a server: those that are being opened stand in a set, the first that is
//! open wins, and the others are closed.
//!
//! Each is registered with the connection's own token: whatever the loop says of one of them leads to a turn, which looks
//! at all of them.

use mio::Registry;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::link::report::TIMED_OUT;
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::client::state::tries::Opening;
use crate::driver::Turn;
use crate::sync::MutexGuard;
use crate::time::{Moment, Span, Time};
use crate::transport::Endpoint;

impl Conn {
    /// Begins to open the next endpoint; without one left, the attempt has failed.
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
            let opened = (self.context.dial)(&endpoint).and_then(|mut transport| {
                transport.register(turn.registry(), turn.token())?;
                Ok(transport)
            });
            match opened {
                Ok(transport) => {
                    let by = st.begin_opening(turn.now);
                    st.ended = false;
                    st.link = Link::Opening { race: vec![Opening { endpoint, transport }], by };
                    return st;
                }
                Err(error) => {
                    let os = error.raw_os_error().unwrap_or(0);
                    st.tries.make().others.make().tried.push((endpoint, os));
                }
            }
            next = st.next_endpoint();
        }
        // That somebody answered, and not as he should, says more than that somebody else did not.
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
        let late = by.is_over(turn.now);
        let mut at = 0;
        while let Some(one) = race.get_mut(at) {
            let os = match one.transport.connected() {
                Ok(true) => return self.won(st, turn, at),
                Ok(false) if !late => {
                    at += 1;
                    continue;
                }
                Ok(false) => TIMED_OUT,
                Err(error) => error.raw_os_error().unwrap_or(0),
            };
            let Opening { endpoint, mut transport } = race.remove(at);
            transport.deregister(turn.registry());
            state.tries.make().others.make().tried.push((endpoint, os));
        }
        if !race.is_empty() {
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
        close(race, turn.registry());
        self.note(&mut st, Level::Debug, format_args!("the {} is open", endpoint.what()));
        st.tries.make().target = Some(endpoint);
        st.end_opening(turn.now);
        self.begin_layer(st, turn, transport, 0)
    }
}

/// Nobody wants these any more.
pub(in crate::client) fn close(race: Vec<Opening>, registry: &Registry) {
    for mut one in race {
        one.transport.deregister(registry);
    }
}

impl State {
    /// An endpoint is being opened; until when. With more of them to come, one that does not answer must not use up all
    /// the time that they have together.
    fn begin_opening(&mut self, now: Time) -> Moment {
        let limit = self.profile.timeouts.tcp;
        let left = Span(limit.0.saturating_sub(self.tries.others.used.0));
        let share = Span(left.0 / (self.tries.others.endpoints.len() as u64 + 1));
        if let Some(others) = self.tries.get_mut().and_then(|tries| tries.others.get_mut()) {
            others.present = (now, share);
        }
        (limit > Span::ZERO).then(|| now + share).into()
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
