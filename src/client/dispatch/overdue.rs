//! What the server has not acknowledged in time: who waits for it is told, and the log says what it was.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::state::log::Level;
use crate::driver::Turn;
use crate::session::{Acknowledged, Overdue};
use crate::sync::MutexGuard;

impl Conn {
    /// The loop sleeps no longer than an acknowledgement may take.
    #[inline]
    pub(in crate::client) fn watch_answers(&self, st: &mut State) {
        if st.session.watch_began() && !st.in_turn {
            self.schedule(st);
        }
    }

    /// Looks for acknowledgements when it is time to. To be called after what the server sent was read: who drives the loop
    /// may come late, and the acknowledgement may have come in time.
    pub(in crate::client) fn look_for_acknowledgements<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if st.is_behind() {
            // It may be among what is still to be read.
            st.session.put_look_off(turn.now);
            return st;
        }
        let delivery = st.delivery(self.context.send_queue);
        let overdue = st.session.look_for_acknowledgements(turn.now, delivery);
        if overdue != Overdue::default() {
            self.note_overdue(&mut st, &overdue);
        }
        self.settle(&mut st);
        st
    }

    /// Logs an acknowledgement that comes after the message's outcome.
    #[inline]
    pub(in crate::client) fn note_late(&self, st: &mut State, packet: &str, ack: Acknowledged) {
        if ack.late {
            let id = ack.packet_id;
            let text =
                format_args!("a late {packet} (packet id {id}): the message had timed out, and did arrive");
            self.note(st, Level::Debug, text);
        }
    }

    #[cold]
    fn note_overdue(&self, st: &mut State, overdue: &Overdue) {
        let limit = st.session.limits().ack_timeout.as_millis_ceil();
        if let Some(qos) = overdue.qos {
            let topic = String::from_utf8_lossy(&overdue.topic);
            let (qos, packet_id, more) = (qos.bits(), overdue.packet_id, more(overdue.messages));
            self.note(
                st,
                Level::Warn,
                format_args!(
                    "the server did not acknowledge PUBLISH to {topic:?} (QoS {qos}, packet id {packet_id}){more} within {limit} ms \
                     (ack_timeout_ms): the outcome is timed out; the connection and the session go on, so it may still arrive. \
                     The server may be overloaded, or ignore what it does not permit: its log, or a larger ack_timeout_ms, helps"
                ),
            );
        }
        if let Some(filter) = &overdue.filter {
            let more = more(overdue.filters);
            self.note(
                st,
                Level::Warn,
                format_args!(
                    "the server did not answer SUBSCRIBE or UNSUBSCRIBE for {filter:?}{more} within {limit} ms (ack_timeout_ms): a late \
                     answer still counts. The server may ignore filters that it does not permit: its log, or a larger \
                     ack_timeout_ms, helps"
                ),
            );
        }
    }
}

/// That the first is not the only one.
fn more(n: usize) -> String {
    match n {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    }
}
