//! The connect hook and the credentials hook: who else has a say in CONNECT, and when nobody says anything.
//!
//! Both may answer later, from any thread, and an answer is for the attempt that asked. The credentials hook names it
//! by its number; the connect hook of Mongoose OS cannot, and so sends for the attempt under way.

use std::sync::Arc;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{KeptReport, Report};
use crate::client::state::Link;
use crate::client::state::asking::{Asking, Credentials, CredentialsHook, Pending};
use crate::client::state::log::Level;
use crate::client::state::params::ConnectParams;
use crate::driver::Turn;
use crate::error::{Code, Phase};
use crate::scram::Trouble;
use crate::sync::MutexGuard;

impl Conn {
    /// Sets or clears the credentials hook. What the old one answered is forgotten.
    pub fn set_credentials_hook(&self, hook: Option<Arc<dyn CredentialsHook<Conn>>>) -> Result<(), Code> {
        let asking = hook.map(|hook| Box::new(Asking { hook, known: None, pending: None }));
        let mut st = self.usable()?;
        let extras = st.extras.try_make()?;
        let old = std::mem::replace(&mut extras.asking, asking);
        // Nobody is left to answer for the attempt under way.
        let unanswered = old.as_ref().is_some_and(|old| old.pending.is_some());
        if unanswered {
            self.end_attempt(
                &mut st,
                Code::HookAborted,
                "the credentials hook was replaced before it answered",
                Code::HookAborted.text(),
            );
        }
        drop(st);
        drop(old);
        Ok(())
    }

    /// The answer of the credentials hook for an attempt; `None` gives that up. [`Code::Stale`] if it is over or was
    /// answered.
    pub fn answer_credentials(&self, attempt: u64, credentials: Option<Credentials>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let waits = matches!(st.link, Link::Open(_)) && st.session.awaits_connect() && st.closing.is_none();
        let pending = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()?.pending.as_mut());
        match pending {
            Some(pending)
                if waits
                    && pending.answer.is_none()
                    && (pending.attempt == attempt || bug(Bug::LateAnswerTaken)) =>
            {
                pending.answer = Some(credentials);
            }
            _ => return Err(Code::Stale),
        }
        self.schedule(&mut st);
        Ok(())
    }

    /// The answer to the question of this attempt cannot be used: the attempt is over.
    pub fn refuse_answer(&self, attempt: u64, code: Code) {
        let Ok(mut st) = self.usable() else { return };
        let asked = |st: &State| st.extras.asking.as_ref()?.pending.as_ref().map(|pending| pending.attempt);
        if asked(&st) == Some(attempt) && st.session.awaits_connect() {
            self.end_attempt(&mut st, code, "the credentials hook's answer was refused", code.text());
        }
    }

    /// A connect hook's CONNECT cannot be sent: the attempt is over, since nothing better will come.
    pub fn refuse_connect(&self, code: Code) {
        let Ok(mut st) = self.usable() else { return };
        if st.session.awaits_connect() {
            self.end_attempt(&mut st, code, "the connect hook's CONNECT was refused", code.text());
        }
    }

    /// The next turn takes the link down.
    pub(in crate::client) fn end_attempt(&self, st: &mut State, code: Code, what: &str, why: &str) {
        let report = st.report(code, Phase::Connect, 0, format!("{what}: {why}"));
        st.report = KeptReport::of(report);
        st.link_broke = true;
        self.schedule(st);
    }

    /// CONNECT is due: asks whoever has a say in it, then sends it.
    pub(in crate::client) fn make_connect<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut params: ConnectParams,
    ) -> MutexGuard<'a, State> {
        let now = (self.context.wall_clock)();
        let (server, attempt) = (st.profile.server.clone(), st.attempt_number());
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else {
            return self.hook_or_send(st, turn, params);
        };
        asking.pending = None;
        match &asking.known {
            Some((of, known)) if *of == server && now < known.valid_until => {
                (params.user, params.password) = (known.user.clone(), known.password.clone());
                return self.hook_or_send(st, turn, params);
            }
            _ => asking.known = None,
        }
        asking.pending = Some(Pending { attempt, params: Box::new(params), answer: None });
        let hook = asking.hook.clone();
        drop(st);
        hook.ask(self, attempt);
        drop(hook);
        self.take_answer(self.lock(), turn)
    }

    /// Goes on with the answer of the credentials hook, if it is there.
    pub(in crate::client) fn take_answer<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let waits = matches!(st.link, Link::Open(_)) && st.session.awaits_connect() && st.closing.is_none();
        if !waits || st.freed || st.link_broke {
            return st;
        }
        let server = st.profile.server.clone();
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else { return st };
        let Some(Pending { mut params, answer, .. }) =
            asking.pending.take_if(|pending| pending.answer.is_some())
        else {
            return st;
        };
        let Some(credentials) = answer.flatten() else {
            let text = "the credentials hook gave the attempt up".into();
            let report = st.report(Code::HookAborted, Phase::Connect, 0, text);
            return self.link_down(st, turn, report);
        };
        (params.user, params.password) = (credentials.user.clone(), credentials.password.clone());
        if credentials.valid_until > 0.0 {
            asking.known = Some((server, credentials));
        }
        self.hook_or_send(st, turn, *params)
    }

    fn hook_or_send<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        params: ConnectParams,
    ) -> MutexGuard<'a, State> {
        if let Some(hook) = st.extras.hook.clone() {
            let text = format_args!("the connect hook is called, which is to send CONNECT");
            self.note(&mut st, Level::Debug, text);
            drop(st);
            hook.about_to_connect(self, &params);
            drop(hook);
            return self.lock();
        }
        let from_hook = st.extras.asking.is_some();
        if let Err(Trouble { code, text }) = st.append_connect(&params) {
            let text = match from_hook {
                true => format!("CONNECT could not be made with what the credentials hook answered: {text}"),
                false => format!("CONNECT could not be made from the configuration: {text}"),
            };
            let report = st.report(code, if from_hook { Phase::Connect } else { Phase::Usage }, 0, text);
            return self.link_down(st, turn, report);
        }
        st
    }
}

impl State {
    /// The attempt is over: nobody waits for an answer any more. If the server did not like the credentials, they are
    /// not used again.
    pub(in crate::client) fn forget_question(&mut self, report: &Report) {
        if let Some(extras) = self.extras.get_mut() {
            extras.scram = None;
        }
        if let Some(asking) = self.extras.get_mut().and_then(|extras| extras.asking.as_mut()) {
            asking.pending = None;
            if matches!(report.code, Code::RefusedCredentials | Code::RefusedNotAuthorized) {
                asking.known = None;
            }
        }
    }

    /// Who should have sent CONNECT, and has not.
    pub(in crate::client) fn silent_hook(&self) -> Option<&'static str> {
        if !self.session.awaits_connect() {
            return None;
        }
        let asked = self.extras.asking.as_ref().is_some_and(|asking| asking.pending.is_some());
        Some(if asked {
            "the credentials hook did not answer in time: it has to call mgos_mqtt_conn_answer() within the \
             CONNACK time-out (connack_timeout_ms)"
        } else {
            "the connect hook did not answer in time: it has to call mg_send_mqtt_handshake_opt() within the \
             CONNACK time-out (connack_timeout_ms)"
        })
    }
}
