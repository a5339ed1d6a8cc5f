//! Credentials that end while the connection is up: the credentials hook is asked for new ones before that. Where CONNECT had
//! an authentication method they go out in AUTH; else the connection is opened anew, in a moment in which nothing is in
//! flight, or when the time is over.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::link::credentials::DATA_IS_OURS;
use crate::client::state::asking::{Asking, Credentials, Pending, Purpose};
use crate::client::state::log::Level;
use crate::driver::Turn;
use crate::error::{Code, Trouble};
use crate::scram::Login;
use crate::sync::MutexGuard;
use crate::time::{Span, Time};
use crate::wire::{Properties, PropertyId, PropertyValue, reason};

/// New credentials are looked for when a tenth of their time is left, at most so much.
const EARLIEST: Span = Span::secs(300);

/// So often it is looked whether the moment is quiet.
const LOOK: Span = Span::millis(100);

/// So often it is looked how much of their time is left: the clock may be set while the connection is up.
const CLOCK_LOOK: Span = Span::secs(3600);

impl State {
    /// The connection is up, or has new credentials. `clock` are seconds since 1970.
    pub(in crate::client) fn plan_renewal(&mut self, now: Time, clock: f64) {
        let Some(asking) = self.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else { return };
        let known = asking.known.as_ref().filter(|(server, _)| *server == self.profile.server);
        let left = known.map(|(_, known)| span(known.valid_until - clock));
        // Those that were over before are not renewed: new ones of that kind would end the next connection at once, too.
        let Some(left) = left.filter(|left| *left > Span::ZERO) else {
            asking.renew_at = None;
            return;
        };
        asking.renewed_with = Span(left.0 / 10).min(EARLIEST);
        asking.look_again(now, left);
    }

    /// Nothing is on its way that the end of the connection could delay.
    fn is_idle(&self) -> bool {
        self.session.queue_len() == 0
            && self.session.output().is_empty()
            && self.session.pending_subscriptions() == 0
    }
}

impl<C> Asking<C> {
    /// So much of the time of the present credentials is left.
    fn look_again(&mut self, now: Time, left: Span) {
        let wait = Span(left.0.saturating_sub(self.renewed_with.0));
        self.renew_at = Some(now + wait.min(CLOCK_LOOK));
    }
}

/// So many seconds; none if they are over.
fn span(seconds: f64) -> Span {
    // The conversion saturates.
    Span((seconds.max(0.0) * 1e6) as u64)
}

impl Conn {
    /// The credentials of the present connection end soon.
    pub(in crate::client) fn renew<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let now = turn.now;
        let (is_up, is_idle, attempt) = (st.is_up(), st.is_idle(), st.attempt_number());
        let by_auth = st.session.authentication_method().is_some();
        let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) else { return st };
        asking.renew_at = None;
        let Some((_, known)) = asking.known.as_ref().filter(|_| is_up) else { return st };
        let left = span(known.valid_until - (self.context.wall_clock)());
        if left > asking.renewed_with {
            asking.look_again(now, left);
            return st;
        }
        if by_auth && left > Span::ZERO && asking.pending.is_none() {
            // Should no answer come, or not be taken, there is this end.
            asking.renew_at = Some(now + left);
            asking.pending = Some(Pending { attempt, purpose: Purpose::Renewal, answer: None });
            let hook = asking.hook.clone();
            drop(st);
            hook.ask(self, attempt);
            drop(hook);
            return self.take_answer(self.lock(), turn);
        }
        if left > Span::ZERO && (by_auth || !is_idle) {
            asking.renew_at = Some(now + left.min(if by_auth { left } else { LOOK }));
            return st;
        }
        (asking.known, asking.pending) = (None, None);
        self.note(&mut st, Level::Info, format_args!("{}", Code::CredentialsExpired.text()));
        st.end_link(Code::CredentialsExpired, true);
        st.course.hurry();
        st
    }

    /// The hook has answered for a connection that is up. Without an answer the connection is opened anew when the time is
    /// over.
    pub(in crate::client) fn renew_with(&self, st: &mut State, now: Time, answer: Option<Credentials>) {
        let Some(credentials) = answer else { return };
        let sent = match &st.extras.scram {
            Some(_) => st.renew_scram(&credentials),
            None => {
                let method = st.session.authentication_method().unwrap_or_default().to_owned();
                let mut list = vec![(PropertyId::AuthenticationMethod, PropertyValue::Utf8(&method))];
                let data = credentials.auth_data.as_ref().map(|data| PropertyValue::Binary(data));
                list.extend(data.map(|data| (PropertyId::AuthenticationData, data)));
                let properties = Properties::from_list(&list);
                st.session.authenticate(reason::REAUTHENTICATE, properties).map_err(Trouble::from)
            }
        };
        if let Err(Trouble { text, .. }) = sent {
            let text = format_args!("the new credentials cannot be used on this connection: {text}");
            self.note(st, Level::Warn, text);
            return;
        }
        self.note(st, Level::Info, format_args!("authenticating with new credentials"));
        self.warn_if_over(st, credentials.valid_until);
        let known = (credentials.valid_until > 0.0).then(|| (st.profile.server.clone(), credentials));
        if let Some(asking) = st.extras.get_mut().and_then(|extras| extras.asking.as_mut()) {
            asking.known = known;
        }
        st.plan_renewal(now, (self.context.wall_clock)());
    }
}

impl State {
    fn renew_scram(&mut self, credentials: &Credentials) -> Result<(), Trouble> {
        if credentials.auth_data.is_some() {
            return Err(Trouble { code: Code::BadProperty, text: DATA_IS_OURS.into() });
        }
        let password = credentials.password.as_ref().map_or(&[][..], |password| password);
        let login = Login::new(credentials.user.as_deref().unwrap_or_default(), password)?;
        self.repeat_scram(Some(login), Properties::EMPTY)
    }
}
