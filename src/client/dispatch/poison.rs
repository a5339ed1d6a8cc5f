//! Messages for which the server closes the connection each time: named, and set aside if that is wanted.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{Event, Kind};
use crate::client::state::log::Level;
use crate::error::Code;
use crate::session::Poison;
use crate::sync::MutexGuard;

impl State {
    /// The link is gone. Returns the message that the server may have closed it for.
    pub(in crate::client) fn close_session(&mut self, was_up: bool, code: Code) -> Option<Poison> {
        let by_server = was_up && matches!(code, Code::ClosedByServer | Code::ConnectionReset);
        if by_server {
            return self.session.closed_by_server();
        }
        self.session.closed();
        None
    }
}

impl Conn {
    pub(in crate::client) fn tell_poison<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        poison: Option<Poison>,
    ) -> MutexGuard<'a, State> {
        let Some(poison) = poison else { return st };
        let Ok(topic) = std::str::from_utf8(&poison.topic) else { return st };
        let Poison { token, packet_id, closes, set_aside, .. } = poison;
        let remedy = if set_aside {
            "it is set aside"
        } else {
            "poison_after of the options sets such messages aside"
        };
        let text = format_args!(
            "the server closed the connection {closes} times in a row after the message on {topic:?} (packet id {packet_id}): {remedy}"
        );
        self.note(&mut st, Level::Warn, text);
        let event = Event::Poison { topic, token, packet_id, closes, set_aside };
        self.tell(st, |h, recipients| h.connection(Kind::Poison, recipients), &event)
    }
}
