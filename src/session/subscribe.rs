//! Asking the server for filters, and its answers.

use alloc::sync::Arc;

use crate::session::event::{Event, Failure, range_in};
use crate::session::state::ids::{RawUse, Use};
use crate::session::state::sending::Sending;
use crate::session::state::subscriptions::{Request, Server, SubscribeResult};
use crate::session::state::tickets::{Answer, Ticket};
use crate::session::state::{PendingEvent, Session, State};
use crate::wire::PacketType;

impl Session {
    /// Wants a filter from now on, on this and every later connection. The filter is valid.
    pub fn subscribe(&mut self, filter: Arc<str>, request: impl Into<Request>) {
        self.desire(filter, request, None);
        self.flush_subscriptions();
    }

    /// Does not want a filter any more. False if it was not wanted, and the server cannot have it from an earlier
    /// process either.
    pub fn unsubscribe(&mut self, filter: &str) -> bool {
        let wanted = self.withdraw(filter, None);
        self.flush_subscriptions();
        wanted
    }

    /// As [`subscribe`](Session::subscribe), for several filters one after the other: [`flush_subscriptions`](Session::flush_subscriptions)
    /// then puts them into as few packets as possible. The ticket gets the server's answer.
    pub fn desire(&mut self, filter: Arc<str>, request: impl Into<Request>, ticket: Option<Ticket>) {
        self.subscriptions.make().desire(filter, request.into(), ticket);
    }

    /// Whether the server of the present connection allows this; or the reason code with which it would refuse.
    pub fn may_subscribe(&self, filter: &str, request: &Request) -> Result<(), u8> {
        match self.sending.server.refuse_filter(filter, request.properties()) {
            Some(reason) if self.is_up() => Err(reason),
            _ => Ok(()),
        }
    }

    /// As [`unsubscribe`](Session::unsubscribe), until [`flush_subscriptions`](Session::flush_subscriptions).
    pub fn withdraw(&mut self, filter: &str, ticket: Option<Ticket>) -> bool {
        let server = Server { up: self.is_up(), kept: self.may_have_filters() };
        if !server.kept && self.subscriptions.get().is_none() {
            return false;
        }
        self.subscriptions.make().withdraw(filter, ticket, server)
    }

    /// Whether the server may have filters that this process did not ask for: those of a session that it kept.
    pub fn may_have_filters(&self) -> bool {
        if self.is_up() { self.resumed } else { self.limits.keep_session }
    }

    /// Asks the server for what [`desire`](Session::desire) and [`withdraw`](Session::withdraw) left to be asked.
    pub fn flush_subscriptions(&mut self) {
        self.pump_subscriptions();
    }

    #[inline]
    pub(super) fn pump_subscriptions(&mut self) {
        if self.state == State::Up
            && let Some(subscriptions) = self.subscriptions.get_mut().filter(|all| all.are_due())
        {
            // What could not be appended for want of memory or ids stays due; the next
            // acknowledgement tries again.
            let Ok(Sending { ids, server, .. }) = self.sending.try_make() else { return };
            let (version, now) = (self.version, self.now);
            let from = self.out.end();
            let _ = self.out.append(|out| subscriptions.pump(version, ids, server, (from, now), out));
            if self.flight_limit == 0 {
                self.watch_acknowledgements();
            }
        }
    }

    pub(super) fn suback(&mut self, id: u16, codes: &[u8], bytes: &[u8]) -> Result<Option<Event>, Failure> {
        let raw = match self.sending.ids.get(id) {
            Some(Use::Subscribe) => {
                if let Some(subscriptions) = self.subscriptions.get_mut() {
                    subscriptions.acknowledged(id, codes)?;
                }
                None
            }
            Some(Use::Raw(RawUse::Subscribe)) => Some(range_in(bytes, codes)),
            // As any acknowledgement of nothing. To close would help nobody: a server that does this does it again.
            _ => return Ok(Some(Event::Unasked(PacketType::SubAck, id))),
        };
        self.sending.ids.release(id);
        self.pending_event = PendingEvent::SubAck;
        self.pump_subscriptions();
        Ok(Some(Event::SubAck { packet_id: id, raw }))
    }

    pub(super) fn unsuback(&mut self, id: u16, codes: &[u8]) -> Result<Option<Event>, Failure> {
        match self.sending.ids.get(id) {
            Some(Use::Unsubscribe) => {
                if let Some(subscriptions) = self.subscriptions.get_mut() {
                    subscriptions.removed(id, codes)?;
                }
            }
            Some(Use::Raw(RawUse::Unsubscribe)) => {}
            _ => return Ok(Some(Event::Unasked(PacketType::UnsubAck, id))),
        }
        self.sending.ids.release(id);
        self.pump_subscriptions();
        Ok(Some(Event::UnsubAck(id)))
    }

    /// How the wait of the next ticket ended. Each comes by here exactly once.
    pub fn take_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.subscriptions.get_mut()?.take_answer()
    }

    /// A call does not wait any more: its tickets are given up. Answers that are on their way may still come.
    pub fn forget_call(&mut self, call: u64) {
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.forget(call);
        }
    }

    /// Filters that were asked for and not acknowledged, or are still to be asked for.
    pub fn pending_subscriptions(&self) -> usize {
        self.subscriptions.pending()
    }

    /// The codes of the SUBACK that is being handled.
    pub fn subscribe_results(&self) -> &[SubscribeResult] {
        self.subscriptions.results()
    }

    /// The next of these codes, and the SUBACK's packet id, for a caller who lets go of the session to tell of it. All
    /// of them have to be taken before the next SUBACK.
    pub fn take_subscribe_result(&mut self) -> Option<(u16, SubscribeResult)> {
        self.subscriptions.get_mut()?.take_result()
    }

    /// Whether there are codes that were not [taken](Session::take_subscribe_result).
    pub fn has_subscribe_result(&self) -> bool {
        self.subscriptions.has_result()
    }
}
