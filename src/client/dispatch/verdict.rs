//! What the handlers of a message can do with it beside handling it: acknowledge it later, or refuse it.
//!
//! MQTT 3.1.1 has no way to tell the server that a message was refused. So a copy of it is kept and delivered again
//! after a while, a few times; then it is set aside: told to those who want to know, and acknowledged. Until
//! then it is held like any message whose acknowledgement was deferred.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{Event, KeptReport, Kind, Message};
use crate::client::state::log::Level;
use crate::client::state::receive_queue::OwnedMessage;
use crate::client::state::verdict::{HandlerVerdict, InDelivery, Refusals, Refused};
use crate::driver::Loop;
use crate::error::Code;
use crate::session::Hold;
use crate::sync::MutexGuard;
use crate::time::Time;
use crate::wire::reason;

impl Conn {
    /// Inside a handler of a message: it is not acknowledged when the handlers have returned, but when
    /// [`acknowledge`](Conn::acknowledge) was called once for each call of this. `None` if there is nothing
    /// to acknowledge: QoS 0, or the connection that it came on is gone.
    pub fn defer(&self) -> Result<Option<Hold>, Code> {
        let mut st = self.in_delivery()?;
        st.hold_handled()
    }

    /// Acknowledges a message that was [deferred](Conn::defer), from any thread.
    ///
    /// [`Code::Stale`] if the connection that it came on is gone (for QoS 2: the session): the server delivers it
    /// again. [`Code::NotFound`] if it is acknowledged already.
    pub fn acknowledge(&self, hold: Hold) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.let_go(&mut st, hold, reason::SUCCESS)
    }

    /// Inside a handler of a message: refuses it. [`Code::NotFound`] for the response to a request, of which nobody could be
    /// told a second time.
    pub fn refuse(&self, reason: u8) -> Result<(), Code> {
        let verdict = &mut self.in_delivery()?.handler_verdict;
        if verdict.answers {
            return Err(Code::NotFound);
        }
        verdict.refused = Some(reason);
        Ok(())
    }

    /// The state, if this is inside a handler that is being told of a message.
    fn in_delivery(&self) -> Result<MutexGuard<'_, State>, Code> {
        if !Loop::in_dispatch() || !self.context.driver.is_driver_thread() {
            return Err(Code::NotFound);
        }
        let st = self.usable()?;
        if st.in_delivery == InDelivery::Nothing { Err(Code::NotFound) } else { Ok(st) }
    }

    pub(in crate::client) fn let_go(&self, st: &mut State, hold: Hold, reason: u8) -> Result<(), Code> {
        let outcome = st.session.let_go(hold, reason);
        self.output_grew(st);
        let Err(failure) = outcome else { return Ok(()) };
        if !matches!(failure.code, Code::Stale | Code::NotFound) {
            // What was not acknowledged comes again on the next connection.
            let report = st.failure_report(&failure);
            st.report = KeptReport::of(report);
            st.link_broke = true;
            self.schedule(st);
        }
        Err(failure.code)
    }

    /// A message that has just come was refused.
    pub(in crate::client) fn refused<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        message: &Message<'_>,
        reason: u8,
    ) -> MutexGuard<'a, State> {
        match st.keep_refused(message, self.context.driver.now()) {
            Ok(()) => st,
            // Nobody can be told any more that it is set aside: it is the server's, for the next client.
            Err(_) if st.freed => {
                st.handler_verdict.not_delivered = true;
                st
            }
            // Without memory for a copy, too: it is not lost without a word.
            Err(_) => {
                st.in_delivery = InDelivery::Nothing;
                st.handler_verdict.reason = reason;
                self.set_aside(st, message, reason)
            }
        }
    }

    /// Delivers again what is due.
    pub(in crate::client) fn redeliver<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        now: Time,
    ) -> MutexGuard<'a, State> {
        // What is refused again waits behind these.
        for _ in 0..st.extras.refusals.waiting.len() {
            if st.freed || st.pace.is_over() || st.extras.refusals.due().is_none_or(|due| due > now) {
                break;
            }
            let Some(mut refused) =
                st.extras.get_mut().and_then(|extras| extras.refusals.get_mut()).and_then(Refusals::pop)
            else {
                break;
            };
            let attempt = refused.refusals + 1;
            let message = refused.kept.message(attempt);
            st.handler_verdict = HandlerVerdict::default();
            st.in_delivery = InDelivery::Again(refused.kept.hold);
            st = self.tell(
                st,
                |h, recipients| h.message(message.topic.as_bytes(), message.properties, recipients),
                &Event::Message(message),
            );
            st.in_delivery = InDelivery::Nothing;
            let HandlerVerdict { refused: reason, not_delivered, failed, .. } =
                std::mem::take(&mut st.handler_verdict);
            if st.freed && reason.is_some() {
                // Nobody can be told any more that it is set aside: it is the server's, for the next client.
                st.extras.make().refusals.make().push(refused);
                break;
            }
            let another = not_delivered || failed.is_some();
            refused.refusals += u32::from(reason.is_some());
            if another || reason.is_some() && refused.refusals <= st.settings.refuse_retries {
                refused.due = now + st.settings.refuse_delay;
                // There is room: it has just come from there.
                st.extras.make().refusals.make().push(refused);
                continue;
            }
            if let Some(reason) = reason {
                st = self.set_aside(st, &refused.kept.message(attempt), reason);
            }
            if let Some(hold) = refused.kept.hold {
                let _ = self.let_go(&mut st, hold, reason.unwrap_or(reason::SUCCESS));
            }
        }
        st
    }

    /// Enough: it is told once more, to others, and acknowledged.
    fn set_aside<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        message: &Message<'_>,
        reason: u8,
    ) -> MutexGuard<'a, State> {
        let text = format_args!("a message on {:?} was refused ({reason}) and is set aside", message.topic);
        self.note(&mut st, Level::Warn, text);
        let event = Event::SetAside(*message, reason);
        self.tell(st, |h, recipients| h.connection(Kind::SetAside, recipients), &event)
    }
}

impl State {
    /// Holds the message that is being handled.
    pub(in crate::client) fn hold_handled(&mut self) -> Result<Option<Hold>, Code> {
        let InDelivery::Again(again) = self.in_delivery else { return self.session.hold() };
        let Some(hold) = again else { return Ok(None) };
        match self.session.hold_again(hold) {
            Ok(()) => Ok(again),
            // Its connection is gone: nothing is left to be acknowledged.
            Err(_) => Ok(None),
        }
    }

    fn keep_refused(&mut self, message: &Message<'_>, now: Time) -> Result<(), Code> {
        let settings = &self.settings;
        let len = message.topic.len() + message.payload.len();
        let full = self.extras.refusals.waiting.len() >= settings.receive_queue_length
            || len > settings.receive_queue_bytes.saturating_sub(self.extras.refusals.bytes);
        if full || settings.refuse_retries == 0 {
            return Err(Code::ReceiveFull);
        }
        let due = now + settings.refuse_delay;
        self.extras.try_make()?.refusals.try_make()?.waiting.try_reserve(1).map_err(|_| Code::NoMemory)?;
        let mut kept = OwnedMessage::of(message)?;
        kept.hold = self.hold_handled()?;
        self.extras.try_make()?.refusals.try_make()?.push(Refused { kept, refusals: 1, due });
        Ok(())
    }
}
